//! Which bucket, and which part of its configuration.

use std::fmt;

use remediation::ids::BucketName;
use serde::{Deserialize, Serialize};

/// How far a bucket's default encryption has to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Want {
    /// Any: S3.4, `s3-bucket-server-side-encryption-enabled`.
    Any,
    /// A KMS key: S3.17, `s3-default-encryption-kms`.
    Kms,
    /// What the settings choose: a new bucket.
    Chosen,
}

/// What is acted on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The default encryption.
    Encryption(BucketName, Want),
    /// The statement in the bucket policy that refuses what does not come over TLS.
    TlsOnly(BucketName),
}

impl Target {
    /// Whose.
    #[must_use]
    pub fn bucket(&self) -> &BucketName {
        match self {
            Self::Encryption(bucket, _) | Self::TlsOnly(bucket) => bucket,
        }
    }

    /// Where it is dealt with.
    #[must_use]
    pub fn scope(&self) -> Scope {
        match self {
            Self::Encryption(bucket, _) => Scope::Encryption(bucket.clone()),
            Self::TlsOnly(bucket) => Scope::Policy(bucket.clone()),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encryption(bucket, Want::Any) => write!(f, "{bucket} encryption"),
            Self::Encryption(bucket, Want::Kms) => write!(f, "{bucket} encryption (KMS)"),
            Self::Encryption(bucket, Want::Chosen) => write!(f, "{bucket} encryption (new)"),
            Self::TlsOnly(bucket) => write!(f, "{bucket} TLS only"),
        }
    }
}

/// What one look, and one write, covers. The two parts must not stop each other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// The bucket's default encryption.
    Encryption(BucketName),
    /// The bucket's policy.
    Policy(BucketName),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encryption(bucket) => write!(f, "encryption/{bucket}"),
            Self::Policy(bucket) => write!(f, "policy/{bucket}"),
        }
    }
}
