//! IAM, through its SDK. IAM has one endpoint for the whole partition, which the SDK knows.

use aws_sdk_iam::{
    Client,
    operation::RequestId,
    types::{AccessKeyMetadata, StatusType},
};
use chrono::DateTime;
use remediation::{
    Approved, Receipt,
    clock::Timestamp,
    failure::{Class, Failure},
    ids::{KeyId, PrincipalName, UniqueId},
};
use remediation_aws::{Aws, Bearer, InlinePolicies, classify, found, unexpected};

use crate::{
    iam::{Account, Iam, Key, Owner, Use, Write},
    identity::{Principal, Role},
};

/// IAM with the function's own credentials, or those of its role in a member account.
#[derive(Debug, Clone)]
pub struct AwsIam(Client);

impl AwsIam {
    /// With these credentials.
    #[must_use]
    pub fn new(aws: &Aws) -> Self {
        Self(Client::new(&aws.paced()))
    }

    /// Makes the call that every change begins with, as a rehearsal: what comes back says nothing.
    pub async fn rehearse(aws: &Aws) {
        drop(Client::new(&aws.paced()).list_access_keys().send().await);
    }

    fn inline(&self) -> InlinePolicies {
        InlinePolicies::new(self.0.clone())
    }

    async fn set_status(&self, user: &PrincipalName, key: &KeyId, active: bool) -> Result<Option<String>, Failure> {
        let status = if active {
            StatusType::Active
        } else {
            StatusType::Inactive
        };
        // Without a user name IAM would take the caller for the key's owner.
        let call = self
            .0
            .update_access_key()
            .user_name(user.as_str())
            .access_key_id(key.as_str());
        let answer = call.status(status).send().await;
        let answer = answer.map_err(|error| classify("iam:UpdateAccessKey", &error))?;
        Ok(answer.request_id().map(str::to_owned))
    }

    /// Tries every key, so that a first one that IAM refuses does not spare the second.
    async fn set_all(&self, user: &PrincipalName, keys: &[(KeyId, bool)]) -> Result<Receipt, Failure> {
        let mut receipt = Receipt::default();
        let mut first = None;
        for (key, active) in keys {
            match self.set_status(user, key, *active).await {
                Ok(request) => receipt.request_id = receipt.request_id.or(request),
                Err(failure) => first = first.or(Some(failure)),
            }
        }
        first.map_or(Ok(receipt), Err)
    }
}

fn bearer(principal: &Principal) -> Result<Bearer<'_>, Failure> {
    match principal {
        Principal::Role(role) => Ok(Bearer::Role(role.name.as_str())),
        Principal::User(user) => user
            .name()
            .map(|name| Bearer::User(name.as_str()))
            .ok_or_else(|| Failure::new(Class::Permanent, "iam", "Unresolved", format!("{user} has no name"))),
    }
}

/// The code by which IAM says that there is no such thing.
const NONE: &str = "NoSuchEntity";

fn time(time: &aws_sdk_iam::primitives::DateTime) -> Option<Timestamp> {
    DateTime::from_timestamp(time.secs(), time.subsec_nanos())
}

fn account(operation: &str, user: &aws_sdk_iam::types::User) -> Result<Account, Failure> {
    let unreadable = || {
        unexpected(
            operation,
            format!("a user {:?} with the id {:?}", user.user_name, user.user_id),
        )
    };
    Ok(Account {
        name: PrincipalName::parse(user.user_name()).ok_or_else(unreadable)?,
        id: UniqueId::parse(user.user_id()).ok_or_else(unreadable)?,
        path: user.path().to_owned(),
        password_last_used: user.password_last_used().and_then(time),
    })
}

fn key(operation: &str, key: &AccessKeyMetadata) -> Result<Key, Failure> {
    let id = key.access_key_id().unwrap_or_default();
    Ok(Key {
        id: KeyId::parse(id).ok_or_else(|| unexpected(operation, format!("a key with the id {id:?}")))?,
        active: key.status() == Some(&StatusType::Active),
        created: key
            .create_date()
            .and_then(time)
            .ok_or_else(|| unexpected(operation, format!("the key {id} has no date")))?,
        used: Use::NotRead,
    })
}

impl Iam for AwsIam {
    async fn user(&self, name: &PrincipalName) -> Result<Option<Account>, Failure> {
        const OPERATION: &str = "iam:GetUser";
        let answer = found(OPERATION, NONE, self.0.get_user().user_name(name.as_str()).send().await)?;
        let user = answer.and_then(|answer| answer.user);
        user.map(|user| account(OPERATION, &user)).transpose()
    }

    async fn user_with_id(&self, id: &UniqueId) -> Result<Option<Account>, Failure> {
        const OPERATION: &str = "iam:ListUsers";
        let mut users = self.0.list_users().max_items(1000).into_paginator().items().send();
        while let Some(user) = users.next().await {
            let user = user.map_err(|error| classify(OPERATION, &error))?;
            if user.user_id() == id.as_str() {
                return account(OPERATION, &user).map(Some);
            }
        }
        Ok(None)
    }

    async fn owner(&self, key: &KeyId) -> Result<Owner, Failure> {
        const OPERATION: &str = "iam:GetAccessKeyLastUsed";
        let call = self.0.get_access_key_last_used().access_key_id(key.as_str());
        let Some(answer) = found(OPERATION, NONE, call.send().await)? else {
            return Ok(Owner::Nobody);
        };
        match answer.user_name() {
            None | Some("" | "<root_account>" | "root") => Ok(Owner::Root),
            Some(name) => PrincipalName::parse(name)
                .map(Owner::User)
                .ok_or_else(|| unexpected(OPERATION, format!("the owner {name:?}"))),
        }
    }

    async fn role(&self, name: &PrincipalName) -> Result<Option<Role>, Failure> {
        const OPERATION: &str = "iam:GetRole";
        let answer = found(OPERATION, NONE, self.0.get_role().role_name(name.as_str()).send().await)?;
        let Some(role) = answer.and_then(|answer| answer.role) else {
            return Ok(None);
        };
        let id = UniqueId::parse(role.role_id());
        let id = id.ok_or_else(|| unexpected(OPERATION, format!("a role with the id {:?}", role.role_id())))?;
        let spelt = PrincipalName::parse(role.role_name());
        Ok(Some(Role {
            name: spelt.unwrap_or_else(|| name.clone()),
            id: Some(id),
            path: role.path,
        }))
    }

    async fn keys(&self, user: &PrincipalName) -> Result<Option<Vec<Key>>, Failure> {
        const OPERATION: &str = "iam:ListAccessKeys";
        let mut pages = self
            .0
            .list_access_keys()
            .user_name(user.as_str())
            .into_paginator()
            .send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            let Some(page) = found(OPERATION, NONE, page)? else {
                return Ok(None);
            };
            for metadata in page.access_key_metadata() {
                keys.push(key(OPERATION, metadata)?);
            }
        }
        Ok(Some(keys))
    }

    async fn last_used(&self, key: &KeyId) -> Result<Option<Timestamp>, Failure> {
        const OPERATION: &str = "iam:GetAccessKeyLastUsed";
        let answer = self
            .0
            .get_access_key_last_used()
            .access_key_id(key.as_str())
            .send()
            .await;
        let answer = answer.map_err(|error| classify(OPERATION, &error))?;
        let used = answer.access_key_last_used.and_then(|used| used.last_used_date);
        Ok(used.as_ref().and_then(time))
    }

    async fn password_since(&self, user: &PrincipalName) -> Result<Option<Timestamp>, Failure> {
        const OPERATION: &str = "iam:GetLoginProfile";
        let answer = found(
            OPERATION,
            NONE,
            self.0.get_login_profile().user_name(user.as_str()).send().await,
        )?;
        let Some(profile) = answer.and_then(|answer| answer.login_profile) else {
            return Ok(None);
        };
        let since = time(profile.create_date());
        since
            .map(Some)
            .ok_or_else(|| unexpected(OPERATION, "a password without a date"))
    }

    async fn inline_policy(&self, principal: &Principal, name: &str) -> Result<Option<String>, Failure> {
        self.inline().get(bearer(principal)?, name).await
    }

    async fn write(&self, write: &Approved<Write>) -> Result<Receipt, Failure> {
        match write.write() {
            Write::Keys { user, active } => self.set_all(user, active).await,
            Write::PutPolicy {
                principal,
                name,
                document,
            } => {
                let request_id = self.inline().put(bearer(principal)?, name, document).await?;
                Ok(Receipt { request_id })
            }
            Write::DeletePolicy { principal, name } => {
                let request_id = self.inline().delete(bearer(principal)?, name).await?;
                Ok(Receipt { request_id })
            }
        }
    }
}
