//! What the deployment sets, in the environment: names and ARNs. What is missing or wrong stops the function before it acts.

use std::{collections::BTreeMap, fmt};

use super::{InvalidSetting, InvalidSettings};

/// The settings as text, read one by one; what is wrong is gathered, so that all of it is reported at once.
#[derive(Debug)]
pub struct SettingsReader {
    values: BTreeMap<String, String>,
    wrong: Vec<InvalidSetting>,
}

impl SettingsReader {
    /// From the environment.
    #[must_use]
    pub fn from_environment() -> Self {
        Self::new(
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        )
    }

    /// From pairs of name and value.
    pub fn new(values: impl IntoIterator<Item = (String, String)>) -> Self {
        Self {
            values: values.into_iter().collect(),
            wrong: Vec::new(),
        }
    }

    /// A setting that must be there. Returns a value only if it is right; [`Self::finish`] then fails otherwise.
    pub fn required<T, E: fmt::Display>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        match self
            .values
            .get(name)
            .map(|text| text.trim())
            .filter(|text| !text.is_empty())
        {
            Some(text) => {
                let parsed = parse(text);
                parsed.map_err(|problem| self.reject(name, &problem)).ok()
            }
            None => {
                self.reject(name, &"is missing");
                None
            }
        }
    }

    /// A setting with a default, which an empty text also means.
    pub fn or_default<T: Default, E: fmt::Display>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match self
            .values
            .get(name)
            .map(|text| text.trim())
            .filter(|text| !text.is_empty())
        {
            Some(_) => self.required(name, parse),
            None => Some(T::default()),
        }
    }

    /// Notes that a setting is wrong.
    pub fn reject(&mut self, name: &str, problem: &dyn fmt::Display) {
        self.wrong.push(InvalidSetting {
            name: name.to_owned(),
            problem: problem.to_string(),
        });
    }

    /// The settings, if none of them was wrong.
    ///
    /// # Errors
    /// Every setting that is missing or wrong.
    pub fn finish<T>(self, settings: Option<T>) -> Result<T, InvalidSettings> {
        match settings {
            Some(settings) if self.wrong.is_empty() => Ok(settings),
            _ => Err(InvalidSettings(self.wrong)),
        }
    }
}

/// Reads a list of texts that are separated by commas; spaces around them do not count.
///
/// # Errors
/// The first entry that does not parse, with what is wrong with it.
pub fn list<T, E: fmt::Display>(text: &str, parse: impl Fn(&str) -> Result<T, E>) -> Result<Vec<T>, String> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries
        .map(|entry| parse(entry).map_err(|problem| format!("{entry:?}: {problem}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_wrong_is_reported_at_once() {
        let values = [("NUMBER", "x"), ("LIST", "1,x"), ("EMPTY", " ")];
        let mut reader = SettingsReader::new(values.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let number = reader.required("NUMBER", str::parse::<u8>);
        let wrong_list = reader.or_default("LIST", |text| list(text, str::parse::<u8>));
        let empty = reader.or_default("EMPTY", |text| list(text, str::parse::<u8>));
        let absent = reader.required("ABSENT", str::parse::<u8>);
        assert_eq!((number, wrong_list, empty, absent), (None, None, Some(vec![]), None));
        assert_eq!(
            reader.finish(Some(())).unwrap_err().to_string(),
            "setting NUMBER: invalid digit found in string; setting LIST: \"x\": invalid digit found in string; \
             setting ABSENT: is missing"
        );
    }

    #[test]
    fn what_is_right_is_handed_over() {
        let reader = SettingsReader::new([("A".to_owned(), "1".to_owned())]);
        assert_eq!(reader.finish(Some(1)).ok(), Some(1));
        let mut wrong = SettingsReader::new([]);
        wrong.reject("A", &"is odd");
        assert!(wrong.finish(Some(1)).is_err());
    }
}
