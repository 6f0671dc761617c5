//! What is acted on.

use std::fmt;

use remediation::ids::{AccountId, BucketName};
use serde::{Deserialize, Serialize};

/// What is acted on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// A bucket.
    Bucket(BucketName),
    /// The account, whose own block is above those of its buckets: a person has to look.
    Account(AccountId),
}

impl Target {
    /// By what exemptions name it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Bucket(bucket) => format!("bucket/{bucket}"),
            Self::Account(account) => format!("account/{account}"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bucket(bucket) => write!(f, "{bucket} public access"),
            Self::Account(account) => write!(f, "public access in {account}"),
        }
    }
}

/// What one look, and one write, covers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// A bucket.
    Bucket(BucketName),
    /// The account.
    Account(AccountId),
}

impl From<&Target> for Scope {
    fn from(target: &Target) -> Self {
        match target {
            Target::Bucket(bucket) => Self::Bucket(bucket.clone()),
            Target::Account(account) => Self::Account(account.clone()),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bucket(bucket) => write!(f, "public-access/{bucket}"),
            Self::Account(account) => write!(f, "public-access-of-account/{account}"),
        }
    }
}
