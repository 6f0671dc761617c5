//! The function's settings, from the environment that `template.yaml` sets.

use std::{convert::Infallible, str::FromStr};

use chrono::TimeDelta;
use remediation::{
    engine::Policy,
    ids::AccountId,
    policy::matches,
    settings::{InvalidSettings, Mode, SettingsReader, flag, list},
};

use crate::{account::Holder, identity::PolicyArn, trim::FullAccess};

/// All that can be set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How far to go, and in which account.
    pub policy: Policy,
    /// The account.
    pub account: AccountId,
    /// `aws`, or `aws-cn`, or `aws-us-gov`.
    pub partition: String,
    /// What never changes, and how far a change may reach.
    pub limits: Limits,
    /// The managed policies of `iam-policy-blacklisted-check`.
    pub blocked: Vec<PolicyArn>,
}

/// What never changes, and how far a change may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Users, roles, groups, policies and buckets that are left as they are.
    pub exempt: Vec<Exemption>,
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

impl Default for Limits {
    fn default() -> Self {
        Self {
            exempt: Vec::new(),
            exempt_tags: Vec::new(),
            trusted: Vec::new(),
            reach: 10,
            unused: TimeDelta::days(90),
            full_access: FullAccess::default(),
        }
    }
}

/// Who or what is exempt: `user/NAME`, `role/PATH/NAME`, `group/NAME`, `policy/PATH/NAME`, `bucket/NAME`, with `*` for any
/// text, or an ARN of such a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exemption(String);

impl Exemption {
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
        if self.exempts_name(&holder.with_path()) || self.exempts_name(&holder.bearer.to_string()) {
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
        format!("arn:{}:iam::{}:root", self.partition, self.account)
    }

    /// Reads them.
    ///
    /// # Errors
    /// All settings that are missing or wrong, each by its name.
    pub fn read(mut reader: SettingsReader) -> Result<Self, InvalidSettings> {
        let default = Limits::default();
        let mode = reader.required("MODE", Mode::from_str);
        let account = reader.required("ACCOUNT_ID", AccountId::parse);
        let partition = reader.or_default("PARTITION", |text| Ok::<_, Infallible>(Some(text.to_owned())));
        let samples = reader.or_default("ALLOW_SAMPLE_FINDINGS", flag);
        let exempt = reader.or_default("EXEMPT", |text| list(text, Exemption::parse));
        let exempt_tags = reader.or_default("EXEMPT_TAGS", |text| list(text, tag));
        let trusted = reader.or_default("TRUSTED_ACCOUNTS", |text| list(text, AccountId::parse));
        let reach = reader.or_default("MAX_PRINCIPALS", |text| whole(text, 1, 10_000).map(Some));
        let unused = reader.or_default("UNUSED_ROLE_DAYS", |text| whole(text, 1, 400).map(Some));
        let full_access = reader.or_default("FULL_ACCESS", full_access);
        let blocked = reader.required("BLOCKED_POLICIES", |text| {
            list(text, |arn| {
                PolicyArn::parse(arn).ok_or("expected the ARN of a managed policy")
            })
        });
        let settings = (|| {
            let account = account?;
            Some(Self {
                policy: Policy {
                    mode: mode?,
                    allow_samples: samples?,
                    account: Some(account.clone()),
                },
                account,
                partition: partition?.unwrap_or_else(|| "aws".to_owned()),
                limits: Limits {
                    exempt: exempt?,
                    exempt_tags: exempt_tags?,
                    trusted: trusted?,
                    reach: reach?.map_or(default.reach, |count| usize::try_from(count).unwrap_or(default.reach)),
                    unused: unused?.map_or(default.unused, TimeDelta::days),
                    full_access: full_access?,
                },
                blocked: blocked?,
            })
        })();
        reader.finish(settings)
    }
}

fn tag(text: &str) -> Result<(String, Option<String>), &'static str> {
    let (key, value) = text
        .split_once('=')
        .map_or((text, None), |(key, value)| (key, Some(value)));
    if key.trim().is_empty() {
        return Err("expected KEY or KEY=VALUE");
    }
    Ok((key.trim().to_owned(), value.map(|value| value.trim().to_owned())))
}

fn whole(text: &str, least: i64, most: i64) -> Result<i64, &'static str> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or(if most == 400 {
        "expected whole days from 1 to 400: IAM keeps account of no more"
    } else {
        "expected a whole number from 1 to 10000"
    })
}

fn full_access(text: &str) -> Result<FullAccess, &'static str> {
    match text {
        "read-only" => Ok(FullAccess::ReadOnly),
        "remove" => Ok(FullAccess::Remove),
        "escalate" => Ok(FullAccess::Escalate),
        _ => Err("expected read-only, remove or escalate"),
    }
}
