//! What the function needs of IAM.

use remediation::{
    Approved, Receipt,
    clock::Timestamp,
    failure::Failure,
    ids::{KeyId, PrincipalName, UniqueId},
};

use crate::identity::{Principal, Role, User};

/// IAM, as far as this function uses it.
///
/// IAM is eventually consistent: what was written may be read only after some seconds.
pub trait Iam: Send + Sync {
    /// The user of this name; `None` when there is none.
    fn user(&self, name: &PrincipalName) -> impl Future<Output = Result<Option<Account>, Failure>> + Send;

    /// The user with this id. IAM has no call for it: all users are listed.
    fn user_with_id(&self, id: &UniqueId) -> impl Future<Output = Result<Option<Account>, Failure>> + Send;

    /// Whose key this is.
    fn owner(&self, key: &KeyId) -> impl Future<Output = Result<Owner, Failure>> + Send;

    /// The role of this name; `None` when there is none.
    fn role(&self, name: &PrincipalName) -> impl Future<Output = Result<Option<Role>, Failure>> + Send;

    /// The user's keys, without their use; `None` when the user is gone.
    fn keys(&self, user: &PrincipalName) -> impl Future<Output = Result<Option<Vec<Key>>, Failure>> + Send;

    /// When the key was last used, in any service and Region; `None`: never since IAM keeps account of it.
    fn last_used(&self, key: &KeyId) -> impl Future<Output = Result<Option<Timestamp>, Failure>> + Send;

    /// Since when the user has a password; `None` when it has none.
    fn password_since(&self, user: &PrincipalName) -> impl Future<Output = Result<Option<Timestamp>, Failure>> + Send;

    /// The text of an inline policy of the principal; `None` when there is none.
    fn inline_policy(
        &self,
        principal: &Principal,
        name: &str,
    ) -> impl Future<Output = Result<Option<String>, Failure>> + Send;

    /// Writes.
    fn write(&self, write: &Approved<Write>) -> impl Future<Output = Result<Receipt, Failure>> + Send;
}

/// A user as IAM describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: PrincipalName,
    /// Its unique id.
    pub id: UniqueId,
    /// Its path, from slash to slash.
    pub path: String,
    /// When it last signed in with its password, if it did.
    pub password_last_used: Option<Timestamp>,
}

impl From<Account> for User {
    fn from(account: Account) -> Self {
        Self::Known {
            name: account.name,
            id: account.id,
            path: account.path,
        }
    }
}

/// Whose key it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// This user's.
    User(PrincipalName),
    /// The account's root.
    Root,
    /// No one's any more: it is deleted.
    Nobody,
}

/// A long-term access key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its id.
    pub id: KeyId,
    /// Whether it works.
    pub active: bool,
    /// Since when it exists.
    pub created: Timestamp,
    /// When it was last used.
    pub used: Use,
}

/// The use of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Never, as far as IAM knows.
    Never,
    /// Last at this time.
    At(Timestamp),
    /// Not asked for. Whoever needs to know must not act.
    NotRead,
}

/// A write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Set the status of these keys: `true` is `Active`.
    Keys {
        /// Whose.
        user: PrincipalName,
        /// Each key with its status.
        active: Vec<(KeyId, bool)>,
    },
    /// Put this inline policy.
    PutPolicy {
        /// On whom.
        principal: Principal,
        /// Its name.
        name: &'static str,
        /// Its text.
        document: String,
    },
    /// Remove this inline policy.
    DeletePolicy {
        /// From whom.
        principal: Principal,
        /// Its name.
        name: &'static str,
    },
}
