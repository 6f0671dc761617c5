//! What the function needs of IAM, IAM Access Analyzer and S3.

use std::sync::Arc;

use remediation::{
    Approved, Receipt,
    failure::Failure,
    ids::{BucketName, PrincipalName},
    policy::{Document, Narrowed, Statement},
};

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

    /// Whether a user can sign in, or has an access key that works.
    fn is_active(&self, user: &PrincipalName) -> impl Future<Output = Result<bool, Failure>> + Send;

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
        /// Whether an administrator may lose everything by it.
        is_alone: bool,
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
        /// Whether an administrator may lose everything by it.
        is_alone: bool,
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
        /// Whether an administrator may lose everything by it.
        is_alone: bool,
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
    /// Whether an administrator may lose everything by it: such writes are made one at a time.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        match self {
            Self::Version { is_alone, .. } | Self::Text { is_alone, .. } | Self::Detach { is_alone, .. } => *is_alone,
            Self::VersionBack { .. } | Self::TextBack { .. } | Self::Attach { .. } => false,
        }
    }
}

/// Whether whoever has a policy of this text may have everything on everything. One that cannot be read may do so.
pub(crate) fn makes_administrator(text: &str) -> bool {
    Document::parse(text).map_or(true, |document| document.statements().any(Statement::may_grant_iam))
}

/// Whether nothing of the administration is lost with a policy that becomes this text. What is excepted may be what counted.
pub(crate) fn keeps_administrator(text: &str) -> bool {
    Document::parse(text).is_ok_and(|document| document.statements().any(Statement::grants_iam))
}
