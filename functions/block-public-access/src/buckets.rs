//! What the function needs of S3.

use remediation::{Approved, Receipt, failure::Failure, ids::BucketName};

use crate::block::{Block, Found};

/// The buckets of an account.
///
/// A block has no version: a write replaces whatever is there, so implementations read once more before they write, and answer
/// with a conflict where it is not what the plan was made from.
pub trait Buckets: Send + Sync {
    /// How the bucket stands; `None`: there is no such bucket.
    fn look(&self, bucket: &BucketName) -> impl Future<Output = Result<Option<Found>, Failure>> + Send;

    /// Writes.
    fn write(&self, write: &Approved<Write>) -> impl Future<Output = Result<Receipt, Failure>> + Send;
}

/// A write of a bucket's block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Whose.
    pub bucket: BucketName,
    /// Where the bucket is.
    pub region: String,
    /// What was found.
    pub found: Option<Block>,
    /// What is to be there; `None` removes it.
    pub wanted: Option<Block>,
}
