//! What the function needs of IAM, IAM Access Analyzer and S3.

use std::sync::Arc;

use remediation::{Approved, Receipt, failure::Failure, ids::BucketName, policy::Narrowed};

use crate::{
    account::Account,
    identity::{Analysis, Bearer, Place, PolicyArn},
};

/// The services behind this function, as far as it uses them.
///
/// IAM is eventually consistent, and has no versions for conditional writes: implementations read once more before they write,
/// and answer with a conflict where the policy is not the one that the plan was made from.
pub trait Policies: Send + Sync {
    /// The account as it is now.
    fn account(&self) -> impl Future<Output = Result<Arc<Account>, Failure>> + Send;

    /// The text of an AWS-managed policy; `None`: there is no such policy.
    fn aws_managed(&self, arn: &PolicyArn) -> impl Future<Output = Result<Option<String>, Failure>> + Send;

    /// The text of the bucket policy; `None` inside: there is none, outside: there is no such bucket.
    fn bucket(&self, bucket: &BucketName) -> impl Future<Output = Result<Option<Option<String>>, Failure>> + Send;

    /// What IAM Access Analyzer recommends. It is asked for if nobody has yet; while it is being made, a failure that is worth
    /// another try.
    fn recommendation(&self, analysis: &Analysis) -> impl Future<Output = Result<Recommendation, Failure>> + Send;

    /// Writes.
    fn write(&self, write: &Approved<Write>) -> impl Future<Output = Result<Receipt, Failure>> + Send;
}

/// What IAM Access Analyzer answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recommendation {
    /// To do this, for each policy.
    Steps(Vec<Advice>),
    /// Nothing, and why.
    None(String),
}

/// What to do about one policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// The policy: an ARN, a unique id, or the name of an inline policy.
    pub policy: String,
    /// What is to take its place; `None`: nothing.
    pub document: Option<String>,
    /// As of when the policy was analysed.
    pub updated: Option<remediation::clock::Timestamp>,
}

/// A write. Whatever it puts into a place was shown to grant no more than what it replaces, or was there before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// A new default version of a managed policy.
    Version {
        /// Of this policy.
        policy: PolicyArn,
        /// The version that is the default now.
        from: String,
        /// The version that goes to make room.
        displaced: Option<String>,
        /// The change.
        change: Narrowed,
    },
    /// Back to an earlier version, and away with ours.
    VersionBack {
        /// Of this policy.
        policy: PolicyArn,
        /// The version to be in force again.
        to: String,
        /// The version that we made.
        ours: String,
    },
    /// Another text, or none, in an inline policy, a trust policy or a bucket policy.
    Text {
        /// Where.
        place: Place,
        /// The change.
        change: Narrowed,
    },
    /// The text as it was before our change.
    TextBack {
        /// Where.
        place: Place,
        /// What is there now: ours.
        found: Option<String>,
        /// What was there before.
        wanted: Option<String>,
    },
    /// A managed policy off its bearer, after this inline policy was put in its place.
    Detach {
        /// From this one.
        bearer: Bearer,
        /// This policy.
        policy: PolicyArn,
        /// The name of the inline policy, and the change.
        replacement: String,
        /// From the managed policy's text to the inline one's.
        change: Narrowed,
    },
    /// The managed policy back on, and the inline policy away.
    Attach {
        /// On this one.
        bearer: Bearer,
        /// This policy.
        policy: PolicyArn,
        /// The name of the inline policy that took its place, if one did.
        replacement: Option<String>,
    },
}

impl Write {
    /// Whether somebody may lose everything by it: such writes are made one at a time.
    #[must_use]
    pub fn cuts_administration(&self) -> bool {
        match self {
            Self::Version { change, .. } | Self::Text { change, .. } | Self::Detach { change, .. } => {
                change.before().is_some_and(makes_administrator)
            }
            Self::VersionBack { .. } | Self::TextBack { .. } | Self::Attach { .. } => false,
        }
    }
}

/// Whether a policy of this text grants everything on everything; one that cannot be read may.
pub(crate) fn makes_administrator(text: &str) -> bool {
    remediation::policy::Document::parse(text).map_or(true, |document| {
        document
            .statements()
            .any(remediation::policy::Statement::grants_administration)
    })
}
