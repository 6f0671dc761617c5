//! The function's settings: what the deployment sets in the environment, and what the operator does in the document.

use chrono::TimeDelta;
use remediation::{
    clock::Timestamp,
    engine::Policy,
    ids::{AccountId, RoleArn},
    policy::matches,
    settings::{Document, Exemption, InvalidSettings, Section, SettingsReader, list},
};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

use crate::{account::Holder, identity::PolicyArn, trim::FullAccess};

/// What the deployment sets.
#[derive(Debug, Clone)]
pub struct Environment {
    /// As whom the function acts.
    pub role: RoleArn,
    /// The roles of the application, which are left as they are.
    pub own_roles: Vec<Protected>,
}

impl Environment {
    /// Reads it. `role`: as whom the function acts.
    ///
    /// # Errors
    /// All that is missing or wrong, each by its name.
    pub fn read(mut reader: SettingsReader, role: RoleArn) -> Result<Self, InvalidSettings> {
        let own_roles = reader.or_default("OWN_ROLES", |text| list(text, Protected::parse));
        reader.finish(own_roles.map(|own_roles| Self { role, own_roles }))
    }
}

/// What the operator sets for this function alone.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(inline)]
pub struct Own {
    /// Users, roles, groups, policies and buckets whose permissions are never revoked, as `user/NAME`, `role/PATH/NAME`,
    /// `group/NAME`, `policy/NAME`, `bucket/NAME` or an ARN; a `*` stands for any text. Those for emergencies, and whatever
    /// deploys. The application's own roles are protected as well.
    pub protected: Vec<Protected>,
    /// Tags, as `KEY` or `KEY=VALUE`. Users and roles that have one of them keep their permissions.
    pub protected_tags: Vec<Tag>,
    /// Accounts that are no outsiders, such as those of your organisation and of partners.
    pub trusted_accounts: Vec<Trusted>,
    /// How many users, roles and groups one change may reach. A policy that reaches more is left to a person.
    #[schemars(range(min = 1))]
    pub max_principals: u32,
    /// Days for which a role has to lie unused, by IAM's own account, before it is quarantined; IAM keeps account of 400. Keep it
    /// the same as in your analyzer.
    #[schemars(range(min = 1, max = 400))]
    pub unused_role_days: u16,
    /// What becomes of all actions of a service (IAM.21).
    pub full_access: FullAccess,
    /// The managed policies that `iam-policy-blacklisted-check` is about. Keep them the same as in the rule.
    pub blocked_policies: Vec<Blocked>,
}

impl Default for Own {
    fn default() -> Self {
        let roles = [
            "OrganizationAccountAccessRole",
            "AWSControlTowerExecution",
            "AWSCloudFormationStackSetExecutionRole",
            "stacksets-exec-*",
            "cdk-*",
            "aws-sam-cli-managed-*",
        ];
        let administrator = PolicyArn::parse("arn:aws:iam::aws:policy/AdministratorAccess");
        Self {
            protected: roles
                .iter()
                .filter_map(|role| Protected::parse(&format!("role/{role}")).ok())
                .collect(),
            protected_tags: Vec::new(),
            trusted_accounts: Vec::new(),
            max_principals: 10,
            unused_role_days: 90,
            full_access: FullAccess::default(),
            blocked_policies: administrator.into_iter().map(Blocked).collect(),
        }
    }
}

impl Section for Own {
    fn contradictions(&self) -> Vec<(String, String)> {
        let mut wrong = Vec::new();
        if self.max_principals == 0 {
            wrong.push(("maxPrincipals".to_owned(), "expected 1 or more".to_owned()));
        }
        if !(1..=400).contains(&self.unused_role_days) {
            let text = "expected whole days from 1 to 400: IAM keeps account of no more";
            wrong.push(("unusedRoleDays".to_owned(), text.to_owned()));
        }
        wrong
    }
}

macro_rules! text_setting {
    ($(#[$doc:meta])* $name:ident, $inner:ty, $expected:literal, $parse:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
        #[schemars(inline, with = "String")]
        pub struct $name($inner);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = Value::deserialize(deserializer)?;
                let parse: fn(&str) -> Option<$inner> = $parse;
                let wrong = || D::Error::custom(format_args!(concat!("expected ", $expected, ", not {}"), value));
                value.as_str().and_then(parse).map(Self).ok_or_else(wrong)
            }
        }
    };
}

text_setting! {
    /// A tag: a key, and maybe its value.
    Tag, (String, Option<String>), "KEY or KEY=VALUE", tag
}
text_setting! {
    /// An account.
    Trusted, AccountId, "an account of twelve digits", |text| AccountId::parse(text).ok()
}
text_setting! {
    /// A managed policy.
    Blocked, PolicyArn, "the ARN of a managed policy", PolicyArn::parse
}

fn tag(text: &str) -> Option<(String, Option<String>)> {
    let (key, value) = text
        .split_once('=')
        .map_or((text, None), |(key, value)| (key, Some(value)));
    (!key.trim().is_empty()).then(|| (key.trim().to_owned(), value.map(|value| value.trim().to_owned())))
}

/// All that can be set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What is allowed.
    pub policy: Policy,
    /// As whom the function acts.
    pub role: RoleArn,
    /// What never changes, and how far a change may reach.
    pub limits: Limits,
    /// The managed policies of `iam-policy-blacklisted-check`.
    pub blocked: Vec<PolicyArn>,
}

/// What never changes, and how far a change may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Users, roles, groups, policies and buckets that are left as they are.
    pub exempt: Vec<Protected>,
    /// Of the operator's exemptions, those that hold now: whatever they are of, users, roles and groups that they fit are left as they
    /// are.
    pub exemptions: Vec<Protected>,
    /// Users and roles with one of these tags are left as they are: a key, and maybe its value.
    pub exempt_tags: Vec<(String, Option<String>)>,
    /// Accounts that are no outsiders.
    pub trusted: Vec<AccountId>,
    /// How many users, roles and groups one change may reach.
    pub reach: usize,
    /// How long a role has to lie unused.
    pub unused: TimeDelta,
    /// What full access to a service is trimmed to.
    pub full_access: FullAccess,
}

/// Who or what is exempt: `user/NAME`, `role/PATH/NAME`, `group/NAME`, `policy/PATH/NAME`, `bucket/NAME`, with `*` for any
/// text, or an ARN of such a form.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(inline)]
pub struct Protected(String);

impl TryFrom<String> for Protected {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        Self::parse(&text)
    }
}

impl Protected {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let resource = match text.strip_prefix("arn:") {
            Some(arn) => arn.splitn(5, ':').nth(4).unwrap_or_default(),
            None => text,
        };
        let is_valid = resource.split_once('/').is_some_and(|(kind, name)| {
            matches!(kind, "user" | "role" | "group" | "policy" | "bucket")
                && !name.is_empty()
                && !name.contains(char::is_whitespace)
        });
        is_valid
            .then(|| Self(resource.to_ascii_lowercase()))
            .ok_or("expected user/NAME, role/NAME, group/NAME, policy/NAME or bucket/NAME, with its path if it has one")
    }

    fn covers(&self, resource: &str) -> bool {
        matches(&self.0, &resource.to_ascii_lowercase())
    }
}

impl Limits {
    /// Why this user, role or group is left as it is.
    pub(crate) fn exempts(&self, holder: &Holder) -> Option<String> {
        let names = [holder.with_path(), holder.bearer.to_string()];
        let mut exempt = self.exempt.iter().chain(&self.exemptions);
        if exempt.any(|exempt| names.iter().any(|name| exempt.covers(name))) {
            return Some(format!("{} is exempt by its name", holder.bearer));
        }
        let is_tagged = |(key, value): &&(String, Option<String>)| {
            let found = holder.tags.get(key);
            found.is_some_and(|found| value.as_ref().is_none_or(|value| value == found))
        };
        let tag = self.exempt_tags.iter().find(is_tagged)?;
        Some(format!("{} is exempt by its tag {}", holder.bearer, tag.0))
    }

    /// Whether this managed policy is left as it is.
    pub(crate) fn exempts_policy(&self, arn: &PolicyArn) -> bool {
        self.exempts_name(&arn.to_string()) || self.exempts_name(&format!("policy/{}", arn.name()))
    }

    /// Whether what is called so is left as it is.
    pub(crate) fn exempts_name(&self, name: &str) -> bool {
        self.exempt.iter().any(|exempt| exempt.covers(name))
    }
}

impl Settings {
    /// The ARN of the account's root, as services write the account.
    pub(crate) fn root(&self) -> String {
        format!("arn:{}:iam::{}:root", self.role.partition(), self.role.account())
    }

    /// Reads the operator's document. An exemption of a user, role or group that holds now protects also from a change that would
    /// reach it through another resource, whatever its control is; one of everything is about its control alone.
    ///
    /// # Errors
    /// All settings of this function that are wrong, each by its path.
    pub fn read(environment: &Environment, document: &Document, now: Timestamp) -> Result<Self, InvalidSettings> {
        let (policy, own) = Policy::read::<Own>(document, "revoke-permissions")?;
        let holds = |exemption: &&Exemption| {
            let is_everything = exemption.resource.chars().all(|c| c == '*');
            !is_everything && exemption.holds(environment.role.account(), now)
        };
        let exemptions = policy.exemptions.iter().filter(holds);
        let exemptions = exemptions.map(|exemption| Protected(exemption.resource.to_ascii_lowercase()));
        let exempt = environment.own_roles.iter().cloned().chain(own.protected);
        Ok(Self {
            role: environment.role.clone(),
            limits: Limits {
                exempt: exempt.collect(),
                exemptions: exemptions.collect(),
                exempt_tags: own.protected_tags.into_iter().map(|Tag(tag)| tag).collect(),
                trusted: own
                    .trusted_accounts
                    .into_iter()
                    .map(|Trusted(account)| account)
                    .collect(),
                reach: usize::try_from(own.max_principals).unwrap_or(usize::MAX),
                unused: TimeDelta::days(own.unused_role_days.into()),
                full_access: own.full_access,
            },
            blocked: own.blocked_policies.into_iter().map(|Blocked(arn)| arn).collect(),
            policy,
        })
    }
}
