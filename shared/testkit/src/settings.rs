//! Settings documents.
#![allow(clippy::panic, reason = "a test that cannot go on has failed")]

use remediation::settings::Document;
use serde_json::{Map, Value, json};

/// A document with these settings of one function; what comes later goes before what came earlier.
///
/// # Panics
/// When it is not valid.
#[must_use]
pub fn document(function: &str, settings: &[&Value]) -> Document {
    let mut own = Map::new();
    for settings in settings {
        own.extend(settings.as_object().cloned().unwrap_or_default());
    }
    let text = json!({ "functions": { function: own } }).to_string();
    Document::parse(&text).unwrap_or_else(|wrong| panic!("{wrong}"))
}

/// Pairs of name and value, as an environment.
pub fn environment(values: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    values.iter().map(own)
}
