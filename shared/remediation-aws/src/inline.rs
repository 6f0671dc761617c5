//! Inline policies of users, roles and groups.

use aws_sdk_iam::{Client, operation::RequestId};
use percent_encoding::percent_decode_str;
use remediation::failure::Failure;

use crate::{classify, found, unexpected};

/// Who has an inline policy, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bearer<'a> {
    /// A user.
    User(&'a str),
    /// A role.
    Role(&'a str),
    /// A group.
    Group(&'a str),
}

/// The code by which IAM says that there is no such thing.
const NONE: &str = "NoSuchEntity";

/// IAM sends policies percent-encoded (RFC 3986).
///
/// # Errors
/// When the text is not UTF-8.
pub fn decoded(operation: &str, document: &str) -> Result<String, Failure> {
    let text = percent_decode_str(document).decode_utf8();
    text.map(Into::into)
        .map_err(|_| unexpected(operation, "a policy that is not UTF-8"))
}

/// The inline policies of an account.
#[derive(Debug, Clone)]
pub struct InlinePolicies(Client);

macro_rules! call {
    ($operation:literal, $call:expr) => {{
        let answer = $call.send().await;
        let answer = answer.map_err(|error| classify($operation, &error))?;
        Ok(answer.request_id().map(str::to_owned))
    }};
}

macro_rules! delete {
    ($operation:literal, $call:expr) => {{
        let answer = found($operation, NONE, $call.send().await)?;
        Ok(answer.and_then(|answer| answer.request_id().map(str::to_owned)))
    }};
}

macro_rules! get {
    ($operation:literal, $call:expr) => {{
        let answer = found($operation, NONE, $call.send().await)?;
        answer
            .map(|answer| decoded($operation, answer.policy_document()))
            .transpose()
    }};
}

impl InlinePolicies {
    /// Through this client.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self(client)
    }

    /// The text; `None` when there is no such policy, or no such bearer.
    ///
    /// # Errors
    /// When IAM does not answer, or not with a text.
    pub async fn get(&self, bearer: Bearer<'_>, name: &str) -> Result<Option<String>, Failure> {
        match bearer {
            Bearer::User(user) => get!(
                "iam:GetUserPolicy",
                self.0.get_user_policy().user_name(user).policy_name(name)
            ),
            Bearer::Role(role) => get!(
                "iam:GetRolePolicy",
                self.0.get_role_policy().role_name(role).policy_name(name)
            ),
            Bearer::Group(group) => get!(
                "iam:GetGroupPolicy",
                self.0.get_group_policy().group_name(group).policy_name(name)
            ),
        }
    }

    /// Writes the text, and returns the request's id.
    ///
    /// # Errors
    /// When IAM refuses.
    pub async fn put(&self, bearer: Bearer<'_>, name: &str, document: &str) -> Result<Option<String>, Failure> {
        match bearer {
            Bearer::User(user) => {
                let call = self.0.put_user_policy().user_name(user).policy_name(name);
                call!("iam:PutUserPolicy", call.policy_document(document))
            }
            Bearer::Role(role) => {
                let call = self.0.put_role_policy().role_name(role).policy_name(name);
                call!("iam:PutRolePolicy", call.policy_document(document))
            }
            Bearer::Group(group) => {
                let call = self.0.put_group_policy().group_name(group).policy_name(name);
                call!("iam:PutGroupPolicy", call.policy_document(document))
            }
        }
    }

    /// Removes the policy, and returns the request's id; `None` when it was gone already, as after a call whose answer was lost.
    ///
    /// # Errors
    /// When IAM refuses.
    pub async fn delete(&self, bearer: Bearer<'_>, name: &str) -> Result<Option<String>, Failure> {
        match bearer {
            Bearer::User(user) => {
                let call = self.0.delete_user_policy().user_name(user);
                delete!("iam:DeleteUserPolicy", call.policy_name(name))
            }
            Bearer::Role(role) => {
                let call = self.0.delete_role_policy().role_name(role);
                delete!("iam:DeleteRolePolicy", call.policy_name(name))
            }
            Bearer::Group(group) => {
                let call = self.0.delete_group_policy().group_name(group);
                delete!("iam:DeleteGroupPolicy", call.policy_name(name))
            }
        }
    }
}
