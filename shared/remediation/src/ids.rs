//! Identities as types, so that one cannot stand where another is meant.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ledger::ScopeKey;

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
    /// An AWS Region, such as `eu-central-1`. What a finding names is taken as it is: `parse` it before it becomes part of an address
    /// or a command.
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

/// The longest name of today has 14 characters, `ap-southeast-1`.
const LONGEST_REGION: usize = 32;

impl Region {
    /// Takes the text if it has the form of a Region's name: words of small letters and a number, joined by hyphens.
    ///
    /// # Errors
    /// When it has not. Whether there is such a Region is not known here.
    pub fn parse(text: &str) -> Result<Self, InvalidRegion> {
        let is_word = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let is_name = |words: &str| words.contains('-') && words.split('-').all(is_word);
        let is_region = |(words, number)| is_name(words) && is_number(number);
        if text.len() <= LONGEST_REGION && text.rsplit_once('-').is_some_and(is_region) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidRegion(text.chars().take(LONGEST_REGION).collect()))
        }
    }
}

/// The text is not the name of a Region.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected the name of a Region, such as eu-central-1, not {0:?}")]
pub struct InvalidRegion(String);

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

/// The ARN of a role: as whom something acts, and in which account.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RoleArn {
    text: String,
    partition: String,
    account: AccountId,
}

impl RoleArn {
    /// Reads `arn:PARTITION:iam::ACCOUNT:role/PATH/NAME`.
    ///
    /// # Errors
    /// When the text is not of that form.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let wrong = "expected the ARN of a role, such as arn:aws:iam::111122223333:role/NAME";
        let mut parts = text.splitn(6, ':');
        let mut next = || parts.next().ok_or(wrong);
        let (arn, partition, service, region, account, role) = (next()?, next()?, next()?, next()?, next()?, next()?);
        let name = role.strip_prefix("role/").unwrap_or_default();
        if (arn, service, region) != ("arn", "iam", "") || partition.is_empty() || name.is_empty() {
            return Err(wrong);
        }
        Ok(Self {
            text: text.to_owned(),
            partition: partition.to_owned(),
            account: AccountId::parse(account).map_err(|_| wrong)?,
        })
    }

    /// The role of this name, with its path, in another account of the partition.
    #[must_use]
    pub fn in_account(&self, account: &AccountId, name: &str) -> Self {
        Self {
            text: format!("arn:{}:iam::{account}:role/{name}", self.partition),
            partition: self.partition.clone(),
            account: account.clone(),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Such as `aws`, or `aws-cn`.
    #[must_use]
    pub fn partition(&self) -> &str {
        &self.partition
    }

    /// The account that it belongs to, and acts in.
    #[must_use]
    pub fn account(&self) -> &AccountId {
        &self.account
    }
}

impl fmt::Display for RoleArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The name of one ledger record, which an operator passes to undo it.
///
/// Derived from what the record is about, so that a redelivery meets the record of the first delivery.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordId(String);

impl RecordId {
    /// The record of what is done to `target` in this scope because of this version of this finding.
    #[must_use]
    pub fn derive(scope: ScopeKey<'_>, target: &str, finding: &FindingId, version: &FindingVersion) -> Self {
        let mut hash = Sha256::new();
        let place = [scope.account, scope.remediation, scope.scope];
        for part in place.into_iter().chain([target, finding.as_str(), version.as_str()]) {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let digits = hex(hash.finalize().get(..12).unwrap_or_default());
        Self(format!("{}-{digits}", scope.remediation))
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
        let scope = ScopeKey {
            account: "111122223333",
            remediation: "block-ip",
            scope: "REGIONAL/IPV4",
        };
        RecordId::derive(scope, "192.0.2.1", &FindingId::new("f"), &FindingVersion::new(version))
    }

    #[test]
    fn s29_the_same_matter_has_the_same_record() {
        assert_eq!(id("1"), id("1"));
        assert_ne!(id("1"), id("2"));
    }

    #[test]
    fn s29_parts_do_not_run_into_each_other() {
        let id = |account, scope, target| {
            let scope = ScopeKey {
                account,
                remediation: "r",
                scope,
            };
            RecordId::derive(scope, target, &FindingId::new("f"), &FindingVersion::new("v"))
        };
        assert_ne!(id("1", "ab", "c"), id("1", "a", "bc"));
        assert_ne!(id("1", "a", "b"), id("2", "a", "b"));
    }

    #[test]
    fn a_role_says_whose_it_is() {
        let role = RoleArn::parse("arn:aws-cn:iam::111122223333:role/stack/name").unwrap();
        assert_eq!((role.partition(), role.account().as_str()), ("aws-cn", "111122223333"));
        let member = role.in_account(&AccountId::new("444455556666"), "a/b");
        assert_eq!(RoleArn::parse("arn:aws-cn:iam::444455556666:role/a/b").unwrap(), member);
        for wrong in [
            "",
            "name",
            "arn:aws:iam::1:role/name",
            "arn:aws:iam::111122223333:user/name",
            "arn:aws:iam::111122223333:role/",
        ] {
            assert!(RoleArn::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_region_has_the_form_of_one() {
        for name in [
            "us-east-1",
            "ap-southeast-12",
            "us-gov-west-1",
            "us-isob-east-1",
            "eusc-de-east-1",
            "cn-north-1",
        ] {
            assert_eq!(Region::parse(name).unwrap().as_str(), name);
        }
        let long = format!("us-{}-1", "e".repeat(10_000));
        for wrong in [
            "",
            "-",
            "us-1",
            "us-east",
            "us-east1",
            "us-east-l",
            "us--1",
            "us-east-1-",
            "US-EAST-1",
            " us-east-1",
            "us-east-1\n",
            "us_east-1",
            "us-east-1; reboot",
            "us-$(reboot)-1",
            "us-east-1.example.com/#",
            "us-\u{435}ast-1",
            &long,
        ] {
            let error = Region::parse(wrong).unwrap_err().to_string();
            assert!(error.len() < 120 && !error.contains('\n'), "{error}");
        }
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

    #[test]
    fn an_id_of_iam_has_its_letters_its_digits_and_its_length() {
        for text in ["AKIA2EXAMPLE", "AKIA1234", &format!("AKIA{}", "A".repeat(124))] {
            assert!(KeyId::parse(text).is_some(), "{text}");
        }
        for text in [
            "AKIA123",
            "AKIA2example",
            "AKIA2EXAMPL_",
            &format!("AKIA{}", "A".repeat(125)),
        ] {
            assert!(KeyId::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_directory_bucket_says_so_by_its_name() {
        let is_directory = |name| BucketName::parse(name).unwrap().is_directory();
        assert!(is_directory("orders--use1-az4--x-s3") && !is_directory("orders"));
    }

    #[test]
    fn a_role_has_a_partition() {
        assert!(RoleArn::parse("arn::iam::111122223333:role/name").is_err());
    }

    #[test]
    fn a_role_is_shown_as_it_is_written() {
        let text = "arn:aws:iam::111122223333:role/stack/name";
        let role = RoleArn::parse(text).unwrap();
        assert_eq!((role.as_str(), role.to_string().as_str()), (text, text));
    }
}
