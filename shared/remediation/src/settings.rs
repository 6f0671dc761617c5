//! What is set: by the deployment in the environment, by the operator in one JSON document. A setting that cannot be read
//! stops the function before it acts, and names itself.

mod buckets;
mod document;
mod environment;
mod strict;
mod units;

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::text::one_line;

pub use buckets::BucketPattern;
pub use document::{Document, Exemption, FUNCTIONS, Section, of, schema};
pub use environment::{SettingsReader, list};
pub use units::{Days, Hours, Net};

/// How far a function goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Mode {
    /// Nothing is done; every finding is declined.
    Off,
    /// Everything is decided and recorded, nothing is written.
    #[default]
    DryRun,
    /// Plans wait for an operator's word.
    Approve,
    /// Plans are carried out.
    Enforce,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::DryRun => "dry-run",
            Self::Approve => "approve",
            Self::Enforce => "enforce",
        })
    }
}

/// Every setting that is wrong, each by its name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct InvalidSettings(pub Vec<InvalidSetting>);

/// A setting that is missing or wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("setting {}: {}", one_line(name), one_line(problem))]
pub struct InvalidSetting {
    /// The environment variable, or the path in the document.
    pub name: String,
    /// What is wrong.
    pub problem: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_written_as_it_is_set() {
        for mode in [Mode::Off, Mode::DryRun, Mode::Approve, Mode::Enforce] {
            assert_eq!(serde_json::from_value::<Mode>(mode.to_string().into()).ok(), Some(mode));
        }
    }
}
