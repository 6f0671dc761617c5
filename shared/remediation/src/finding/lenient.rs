//! Readers that absorb the drift of types that real events show: numbers as strings, flags as strings, `null`.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned, Visitor},
};
use serde_json::value::RawValue;

/// A text, also where a number or a flag stands; anything else is absent.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Scalar::deserialize(deserializer)?.0)
}

/// A flag, also as the text `"true"` or `"false"`; anything else counts as absent.
pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    Ok(match text(deserializer)?.as_deref() {
        Some("true" | "True" | "TRUE") => Some(true),
        Some("false" | "False" | "FALSE") => Some(false),
        _ => None,
    })
}

/// A number, also as text; text that is none counts as absent.
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    Ok(text(deserializer)?.and_then(|text| text.trim().parse().ok()))
}

/// A list, where `null` stands for an empty one.
pub(super) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A part that is no reason to lose the rest: absent unless it has the expected form.
pub(super) fn part<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).ok())
}

/// The entries of a list that have the expected form.
pub(super) fn parts<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let entries = part::<D, Vec<Box<RawValue>>>(deserializer)?.unwrap_or_default();
    Ok(entries
        .iter()
        .filter_map(|raw| serde_json::from_str(raw.get()).ok())
        .collect())
}

/// The texts of an object, found by their names without regard to letter case and underscores: the same field is
/// `userName`, `UserName` or `user_name`, depending on the way by which a finding comes. Empty texts are absent.
#[derive(Default)]
pub(super) struct Object(BTreeMap<String, String>);

impl Object {
    /// The first of these fields that is there; in lower case, without underscores.
    pub(super) fn get(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| self.0.get(*name)).cloned()
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields: BTreeMap<String, Scalar> = part(deserializer)?.unwrap_or_default();
        let texts = fields.into_iter().filter_map(|(name, value)| {
            let text = value.0.filter(|text| !text.trim().is_empty())?;
            Some((name.to_ascii_lowercase().replace('_', ""), text))
        });
        Ok(Self(texts.collect()))
    }
}

/// A JSON scalar as text; `None` for `null`, and for a list or an object in its place.
#[derive(Default)]
pub(super) struct Scalar(pub(super) Option<String>);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, a number, a flag or null")
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Scalar, E> {
        Ok(Scalar(Some(value.to_owned())))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar(Some(value.to_string())))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Scalar, E> {
        Ok(Scalar(Some(value.to_string())))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Scalar, E> {
        Ok(Scalar(Some(value.to_string())))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Scalar, E> {
        Ok(Scalar(Some(value.to_string())))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Scalar, E> {
        Ok(Scalar(None))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Scalar, A::Error> {
        while list.next_element::<de::IgnoredAny>()?.is_some() {}
        Ok(Scalar(None))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
        while map.next_entry::<de::IgnoredAny, de::IgnoredAny>()?.is_some() {}
        Ok(Scalar(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Flag(#[serde(deserialize_with = "flag")] Option<bool>);

    #[test]
    fn a_flag_is_a_word_that_is_known() {
        for (json, expected) in [
            ("true", Some(true)),
            ("\"True\"", Some(true)),
            ("false", Some(false)),
            ("\"FALSE\"", Some(false)),
            ("\"no\"", None),
            ("0", None),
        ] {
            assert_eq!(serde_json::from_str::<Flag>(json).unwrap().0, expected, "{json}");
        }
    }

    #[test]
    fn a_scalar_is_its_text() {
        for (json, expected) in [
            ("\"a\"", Some("a")),
            ("-7", Some("-7")),
            ("7", Some("7")),
            ("1.5", Some("1.5")),
            ("null", None),
            ("[1]", None),
            ("{\"a\": 1}", None),
        ] {
            let scalar: Scalar = serde_json::from_str(json).unwrap();
            assert_eq!(scalar.0.as_deref(), expected, "{json}");
        }
    }
}
