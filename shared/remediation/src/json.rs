//! JSON in which nothing can be meant in two ways.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

/// A value in which no key is repeated: readers differ in which of the two they take.
pub(crate) fn unambiguous(text: &str) -> Result<Value, serde_json::Error> {
    Ok(serde_json::from_str::<Unambiguous>(text)?.0)
}

struct Unambiguous(Value);

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Unambiguous;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
                Ok(Unambiguous(flag.into()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Unambiguous(number.into()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Unambiguous(number.into()))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
                Ok(Unambiguous(number.into()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Unambiguous(text.into()))
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Unambiguous(Value::Null))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut values = Vec::new();
                while let Some(Unambiguous(value)) = list.next_element()? {
                    values.push(value);
                }
                Ok(Unambiguous(Value::Array(values)))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut values = Map::new();
                while let Some((name, Unambiguous(value))) = map.next_entry::<String, Unambiguous>()? {
                    if values.insert(name.clone(), value).is_some() {
                        return Err(de::Error::custom(format!("{name} is there twice")));
                    }
                }
                Ok(Unambiguous(Value::Object(values)))
            }
        }
        deserializer.deserialize_any(Any)
    }
}
