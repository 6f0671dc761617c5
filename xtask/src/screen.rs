//! What a command prints: headings, rows, and what is being waited for.

use std::{
    fmt::Write as _,
    io::{IsTerminal, stdout},
    sync::{Mutex, PoisonError},
};

/// What has been printed, with its colours.
static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The escape sequences that are in use, and what they are in a picture.
const STYLES: [(&str, &str); 5] = [
    ("\x1b[1m", "font-weight=\"bold\" fill=\"#ffffff\""),
    ("\x1b[31m", "fill=\"#ff7b72\""),
    ("\x1b[32m", "fill=\"#7ee787\""),
    ("\x1b[33m", "fill=\"#e3b341\""),
    ("\x1b[36m", "fill=\"#79c0ff\""),
];
const PLAIN: &str = "\x1b[0m";

/// Prints a line, without its colours where nobody would see them.
fn say(line: &str) {
    if stdout().is_terminal() {
        println!("{line}");
    } else {
        let plain = STYLES
            .iter()
            .fold(line.replace(PLAIN, ""), |line, (style, _)| line.replace(style, ""));
        println!("{plain}");
    }
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    said.extend(line.split('\n').map(str::to_owned));
}

/// A heading.
pub fn heading(text: &str) {
    say(&format!("\n\x1b[1m{text}{PLAIN}"));
}

/// A line below a heading.
pub fn row(text: &str) {
    say(&format!("  {text}"));
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
    format!("\x1b[{colour}m{name:<14}{PLAIN}")
}

/// What has been printed so far, drawn as a terminal of this many letters a line shows it, up to this many lines.
pub fn picture(columns: usize, lines: usize) -> String {
    const LETTER: f64 = 7.25;
    const LINE: f64 = 17.0;
    let said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    let shown: Vec<&String> = said.iter().skip_while(|line| line.is_empty()).take(lines).collect();
    let mut text = String::new();
    let mut y = 26.0;
    for line in shown {
        let _ = writeln!(text, "<text x=\"14\" y=\"{y:.0}\">{}</text>", spans(line, columns));
        y += LINE;
    }
    #[expect(clippy::cast_precision_loss, reason = "pixels")]
    let width = columns as f64 * LETTER + 28.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{y:.0}\" viewBox=\"0 0 {width:.0} {y:.0}\">\n\
         <title>cargo demo, as it was printed</title>\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#0d1117\"/>\n\
         <g font-family=\"ui-monospace, Menlo, Consolas, monospace\" font-size=\"12\" fill=\"#c9d1d9\" xml:space=\"preserve\">\n{text}</g>\n</svg>\n"
    )
}

/// A line with its colours, cut at the border of the terminal.
fn spans(line: &str, columns: usize) -> String {
    let mut spans = String::new();
    let mut left = columns;
    let mut style = "";
    let mut rest = line;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(PLAIN) {
            (style, rest) = ("", after);
            continue;
        }
        let begun = STYLES
            .iter()
            .find_map(|(escape, style)| Some((*style, rest.strip_prefix(escape)?)));
        if let Some((begun, after)) = begun {
            (style, rest) = (begun, after);
            continue;
        }
        let end = rest
            .get(1..)
            .and_then(|tail| tail.find('\x1b'))
            .map_or(rest.len(), |at| at + 1);
        let (now, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let shown: String = now.chars().take(left).collect();
        left -= shown.chars().count();
        let escaped = shown.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let _ = write!(spans, "<tspan {style}>{escaped}</tspan>");
        rest = after;
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_keeps_colours_and_is_cut_at_the_border() {
        let line = format!("  {}<is in & done>", outcome("Remediated"));
        let shown = spans(&line, 20);
        assert!(
            shown.contains("<tspan fill=\"#7ee787\">Remediated    </tspan>"),
            "{shown}"
        );
        assert!(shown.ends_with("<tspan >&lt;is </tspan>"), "{shown}");
    }
}
