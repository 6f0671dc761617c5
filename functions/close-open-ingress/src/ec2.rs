//! What the function needs of EC2.

use remediation::{Approved, Receipt, failure::Failure};

use crate::group::{Group, GroupRef, Opening, Rule};

/// Security groups, as far as this function uses them.
pub trait Groups: Send + Sync {
    /// A security group; `None`: there is none.
    fn group(&self, group: &GroupRef) -> impl Future<Output = Result<Option<Group>, Failure>> + Send;

    /// Writes. Rules are named by what they let in, so that one that was changed meanwhile is not met; then, and where the rule is there
    /// already, the answer is a conflict.
    fn write(&self, write: &Approved<Write>) -> impl Future<Output = Result<Receipt, Failure>> + Send;
}

/// A write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Takes rules away.
    Revoke(GroupRef, Vec<Opening>),
    /// Puts one back, with its description and its tags.
    Authorize(GroupRef, Rule),
}
