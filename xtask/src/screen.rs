//! What a command prints: headings, rows, and what is being waited for.

use std::io::{IsTerminal, stdout};

/// A heading.
pub fn heading(text: &str) {
    if stdout().is_terminal() {
        println!("\n\x1b[1m{text}\x1b[0m")
    } else {
        println!("\n{text}")
    }
}

/// A line below a heading.
pub fn row(text: &str) {
    println!("  {text}");
}

/// What is being waited for.
pub fn progress(text: &str) {
    println!("  … {text}");
}

/// An outcome, coloured by what it means.
pub fn outcome(name: &str) -> String {
    let colour = match name {
        "Remediated" | "Undone" => "32",
        "AlreadyInPlace" | "WouldRemediate" | "AwaitingApproval" => "36",
        "Failed" | "Escalated" => "31",
        _ => "33",
    };
    if stdout().is_terminal() {
        format!("\x1b[{colour}m{name:<14}\x1b[0m")
    } else {
        format!("{name:<14}")
    }
}
