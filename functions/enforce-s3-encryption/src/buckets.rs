//! What the function needs of S3 and KMS.

use remediation::{Approved, Receipt, failure::Failure, ids::BucketName};

use crate::encryption::{Encryption, Key};

/// S3, and the keys that it encrypts with, as far as this function uses them.
///
/// A bucket is served in its own Region. Configurations have no version: a write replaces whatever is there, so
/// implementations read once more before they write, and answer with a conflict where it is not what the plan was made from.
pub trait Buckets: Send + Sync {
    /// The bucket's Region; `None`: there is no such bucket.
    fn region(&self, bucket: &BucketName) -> impl Future<Output = Result<Option<String>, Failure>> + Send;

    /// The default encryption; `None`: none is configured.
    fn encryption(
        &self,
        bucket: &BucketName,
        region: &str,
    ) -> impl Future<Output = Result<Option<Encryption>, Failure>> + Send;

    /// The text of the bucket policy; `None`: there is none.
    fn policy(&self, bucket: &BucketName, region: &str)
    -> impl Future<Output = Result<Option<String>, Failure>> + Send;

    /// Whether the bucket is a website. S3 serves websites over plain HTTP only.
    fn is_website(&self, bucket: &BucketName, region: &str) -> impl Future<Output = Result<bool, Failure>> + Send;

    /// Whom the bucket's ACL lets in, beside its owner.
    fn grantees(&self, bucket: &BucketName, region: &str) -> impl Future<Output = Result<Vec<String>, Failure>> + Send;

    /// A KMS key by its ARN; `None`: there is no such key.
    fn key(&self, arn: &str, region: &str) -> impl Future<Output = Result<Option<Key>, Failure>> + Send;

    /// Writes.
    fn write(&self, write: &Approved<Write>) -> impl Future<Output = Result<Receipt, Failure>> + Send;
}

/// A write, with what it replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Of the default encryption; `wanted: None` removes it.
    Encryption {
        /// Whose.
        bucket: BucketName,
        /// What was found.
        found: Option<Encryption>,
        /// What is to be there.
        wanted: Option<Encryption>,
    },
    /// Of the policy; `wanted: None` removes it.
    Policy {
        /// Whose.
        bucket: BucketName,
        /// The text that was found.
        found: Option<String>,
        /// The text that is to be there, to the byte.
        wanted: Option<String>,
    },
}
