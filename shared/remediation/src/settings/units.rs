//! The values of settings.

use std::{borrow::Cow, fmt};

use chrono::TimeDelta;
use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de::Error};

macro_rules! span {
    ($(#[$doc:meta])* $name:ident, $unit:literal, $most:literal, $delta:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(u16);

        impl $name {
            /// So many; brought within what can be set.
            #[must_use]
            pub const fn new(number: u16) -> Self {
                Self(if number == 0 { 1 } else if number > $most { $most } else { number })
            }

            /// As a span of time.
            #[must_use]
            pub fn span(self) -> TimeDelta {
                $delta(self.0.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} {}", self.0, $unit)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let number = serde_json::Value::deserialize(deserializer)?;
                let within = number.as_u64().and_then(|number| u16::try_from(number).ok());
                let within = within.filter(|number| (1..=$most).contains(number));
                within.map(Self).ok_or_else(|| {
                    D::Error::custom(format_args!(concat!("expected whole ", $unit, " from 1 to {}, not {}"), $most, number))
                })
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "integer", "minimum": 1, "maximum": $most })
            }
        }
    };
}

span! {
    /// Whole days, from one to ten years.
    Days, "days", 3650, TimeDelta::days
}
span! {
    /// Whole hours, from one to a year.
    Hours, "hours", 8760, TimeDelta::hours
}

/// A range of addresses, or one, in CIDR's form: `203.0.113.0/24`, `2001:db8::1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Net(pub IpNet);

impl Net {
    /// Reads it.
    ///
    /// # Errors
    /// What is no range, and a range with bits beside its prefix: it may be meant otherwise.
    pub fn parse(text: &str) -> Result<Self, String> {
        let net = match text.parse::<IpNet>() {
            Ok(net) => net,
            Err(_) => text
                .parse::<std::net::IpAddr>()
                .map(IpNet::from)
                .map_err(|_| format!("expected an address or a CIDR range, not {text:?}"))?,
        };
        if net.addr() == net.network() {
            Ok(Self(net))
        } else {
            Err(format!("{text} has bits beside its prefix; expected {}", net.trunc()))
        }
    }
}

impl<'de> Deserialize<'de> for Net {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl JsonSchema for Net {
    fn schema_name() -> Cow<'static, str> {
        "Net".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_meant_otherwise_is_no_range() {
        assert_eq!(Net::parse("2001:db8::1").unwrap().0.to_string(), "2001:db8::1/128");
        assert!(Net::parse("10.0.0.5/24").unwrap_err().contains("10.0.0.0/24"));
        for text in ["example", "10.0.0.0/33", "010.0.0.1", ""] {
            assert!(Net::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_editor_is_told_what_a_range_looks_like() {
        let schema = Net::json_schema(&mut SchemaGenerator::default());
        assert_eq!(
            (Net::schema_name().as_ref(), schema.get("type")),
            ("Net", Some(&"string".into()))
        );
    }
}
