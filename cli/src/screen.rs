//! Printing, for people or for programs.

use std::io::Write;

use serde::Serialize;
use serde_json::json;

use crate::error::Error;

/// Where results go.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    /// For programs.
    pub json: bool,
}

impl Screen {
    /// Prints a result: as JSON, or as these lines. A reader that has gone away is no error.
    pub fn show<T: Serialize>(self, value: &T, lines: impl IntoIterator<Item = String>) {
        let mut out = std::io::stdout().lock();
        if self.json {
            let text = serde_json::to_string_pretty(value).unwrap_or_else(|error| json!(error.to_string()).to_string());
            let _ = writeln!(out, "{text}");
        } else {
            for line in lines {
                let _ = writeln!(out, "{line}");
            }
        }
    }

    /// Says why nothing came of it.
    pub fn complain(self, error: &Error) {
        let mut out = std::io::stderr().lock();
        let _ = if self.json {
            writeln!(out, "{}", json!({ "error": error.to_string() }))
        } else {
            writeln!(out, "securecart: {error}")
        };
    }
}
