//! Identities as types, so that one cannot stand where another is meant.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the text as it is.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// A finding, the same for every way by which it arrives: the finding's ARN where it has one.
    FindingId
}
text_id! {
    /// One state of a finding. A finding is re-sent under its id with other content, so the id alone is no identity.
    FindingVersion
}
text_id! {
    /// A twelve-digit AWS account.
    AccountId
}
text_id! {
    /// An AWS Region, such as `eu-central-1`.
    Region
}

macro_rules! formed_id {
    ($(#[$doc:meta])* $name:ident, $is_valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the text if it has the form.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                let is_valid: fn(&str) -> bool = $is_valid;
                is_valid(text).then(|| Self(text.to_owned()))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

formed_id! {
    /// The name of an IAM user, role, group or policy: at most 64 characters for users and roles, 128 for the others; letters,
    /// digits and `+=,.@_-`. Unique among its kind in its account, whatever its path and case, and free again once its bearer
    /// is deleted.
    PrincipalName,
    |text| (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+=,.@_-".contains(&b))
}
formed_id! {
    /// IAM's unique id, never used again: `AIDA…` of a user, `AROA…` of a role, `AGPA…` of a group, `ANPA…` of a managed
    /// policy.
    UniqueId,
    |text| ["AIDA", "AROA", "AGPA", "ANPA"].iter().any(|prefix| text.starts_with(prefix)) && is_id(text)
}
formed_id! {
    /// A long-term access key id, `AKIA…`: of a user, or of the account's root.
    KeyId,
    |text| text.starts_with("AKIA") && is_id(text)
}
formed_id! {
    /// The name of a general-purpose bucket. Names are 3 to 63 characters today; older ones in us-east-1 have up to 255,
    /// with capitals and underscores.
    BucketName,
    |text| (3..=255).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
}

/// AWS's ids have 16 to 128 characters; examples and tests often fewer.
fn is_id(text: &str) -> bool {
    (8..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

impl BucketName {
    /// Directory buckets have an API and rules of their own.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.0.ends_with("--x-s3")
    }
}

impl AccountId {
    /// Reads an account's id.
    ///
    /// # Errors
    /// When it has not twelve digits.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()) {
            Ok(Self(text.to_owned()))
        } else {
            Err("expected the twelve digits of an AWS account")
        }
    }
}

/// The name of one ledger record, which an operator passes to undo it.
///
/// Derived from what the record is about, so that a redelivery meets the record of the first delivery.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordId(String);

impl RecordId {
    /// The record of what `remediation` does to `target` in `scope` because of this version of this finding.
    #[must_use]
    pub fn derive(remediation: &str, scope: &str, target: &str, finding: &FindingId, version: &FindingVersion) -> Self {
        let mut hash = Sha256::new();
        for part in [remediation, scope, target, finding.as_str(), version.as_str()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let hex: String = hash
            .finalize()
            .iter()
            .take(12)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self(format!("{remediation}-{hex}"))
    }

    /// Reads an id that an operator typed.
    ///
    /// # Errors
    /// When the text has not the form `<remediation>-<24 hexadecimal digits>`.
    pub fn parse(text: &str) -> Result<Self, InvalidRecordId> {
        let well_formed = text.rsplit_once('-').is_some_and(|(remediation, hex)| {
            !remediation.is_empty()
                && remediation
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                && hex.len() == 24
                && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        });
        if well_formed {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidRecordId(text.chars().take(80).collect()))
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is not the id of a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a record id: expected the form <function>-<24 hexadecimal digits>")]
pub struct InvalidRecordId(String);

#[cfg(test)]
mod tests {
    use super::*;

    fn id(version: &str) -> RecordId {
        RecordId::derive(
            "block-ip",
            "REGIONAL/IPV4",
            "192.0.2.1",
            &FindingId::new("f"),
            &FindingVersion::new(version),
        )
    }

    #[test]
    fn the_same_matter_has_the_same_record() {
        assert_eq!(id("1"), id("1"));
        assert_ne!(id("1"), id("2"));
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let a = RecordId::derive("r", "ab", "c", &FindingId::new("f"), &FindingVersion::new("v"));
        let b = RecordId::derive("r", "a", "bc", &FindingId::new("f"), &FindingVersion::new("v"));
        assert_ne!(a, b);
    }

    #[test]
    fn an_operator_may_type_what_was_printed_and_nothing_else() {
        let printed = id("1");
        assert_eq!(RecordId::parse(printed.as_str()).unwrap(), printed);
        for wrong in [
            "",
            "block-ip",
            "block-ip-12",
            "block-ip-zzzzzzzzzzzzzzzzzzzzzzzz",
            "-0123456789abcdef01234567",
        ] {
            assert!(RecordId::parse(wrong).is_err(), "{wrong}");
        }
    }
}
