//! The function's settings: what the deployment sets in the environment, and what the operator does in the document.

use std::collections::BTreeSet;

use remediation::{
    engine::Policy,
    ids::PrincipalName,
    settings::{Days, Document, InvalidSettings, Section, SettingsReader, list},
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::credentials::Limits;

/// What the deployment sets.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The roles of the application, as `role/NAME`; never touched.
    pub own_roles: Vec<Named>,
}

impl Environment {
    /// Reads it.
    ///
    /// # Errors
    /// All that is missing or wrong, each by its name.
    pub fn read(mut reader: SettingsReader) -> Result<Self, InvalidSettings> {
        let own_roles = reader.or_default("OWN_ROLES", |text| list(text, |name| Named::try_from(name.to_owned())));
        reader.finish(own_roles.map(|own_roles| Self { own_roles }))
    }
}

/// A user or role, as `user/NAME` or `role/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(inline, extend("pattern" = "^(user|role)/[A-Za-z0-9+=,.@_-]+$"))]
pub struct Named(String);

impl TryFrom<String> for Named {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_valid = text
            .split_once('/')
            .is_some_and(|(kind, name)| matches!(kind, "user" | "role") && PrincipalName::parse(name).is_some());
        if is_valid {
            Ok(Self(text))
        } else {
            Err(format!("expected user/NAME or role/NAME, without a path, not {text:?}"))
        }
    }
}

/// What becomes of a key that is due for rotation and in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum UsedKeys {
    /// It is left to a person.
    #[default]
    Escalate,
    /// It is disabled, and whoever uses it breaks.
    Disable,
}

/// What the operator sets for this function alone.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(inline)]
pub struct Own {
    /// Users and roles, as `user/NAME` and `role/NAME`, whose keys and sessions are never touched, such as those for
    /// emergencies.
    pub protected_principals: Vec<Named>,
    /// Days after which a key is due for rotation. Keep it the same as in the rule `access-keys-rotated`; IAM.3 has 90.
    pub max_key_age_days: Days,
    /// Days for which a key or a password may lie unused. Keep it the same as in `iam-user-unused-credentials-check` and in your
    /// analyzer; IAM.8 has 90. For IAM.22 it is always 45.
    pub max_unused_days: Days,
    /// A key that was used within so many days is in use. Disabling it would break something.
    pub in_use_days: Days,
    /// What becomes of a key that is due for rotation and in use.
    pub rotation_of_used_keys: UsedKeys,
}

impl Default for Own {
    fn default() -> Self {
        Self {
            protected_principals: Vec::new(),
            max_key_age_days: Days::new(90),
            max_unused_days: Days::new(90),
            in_use_days: Days::new(30),
            rotation_of_used_keys: UsedKeys::default(),
        }
    }
}

impl Section for Own {}

/// All that can be set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What is allowed.
    pub policy: Policy,
    /// Users and roles that are never touched, as `user/NAME` and `role/NAME`.
    pub protected: BTreeSet<String>,
    /// How old a key may grow, and how long it may lie unused.
    pub limits: Limits,
}

impl Settings {
    /// Reads the operator's document.
    ///
    /// # Errors
    /// All settings of this function that are wrong, each by its path.
    pub fn read(environment: &Environment, document: &Document) -> Result<Self, InvalidSettings> {
        let (policy, own) = Policy::read::<Own>(document, "disable-access-key")?;
        let protected = own
            .protected_principals
            .into_iter()
            .chain(environment.own_roles.clone());
        Ok(Self {
            policy,
            protected: protected.map(|Named(name)| name).collect(),
            limits: Limits {
                key_age: own.max_key_age_days.span(),
                unused: own.max_unused_days.span(),
                in_use: own.in_use_days.span(),
                disable_used: own.rotation_of_used_keys == UsedKeys::Disable,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn read(own: &str) -> Result<Settings, InvalidSettings> {
        let values = [("OWN_ROLES", "role/stack-DisableAccessKeyRole-1ABC")];
        let values = values.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let environment = Environment::read(SettingsReader::new(values)).unwrap();
        let document = format!(r#"{{"functions": {{"disable-access-key": {own}}}}}"#);
        Settings::read(&environment, &Document::parse(&document).unwrap())
    }

    #[test]
    fn what_is_set_is_read() {
        assert_eq!(read("{}").unwrap().limits, Limits::default());
        let settings = read(
            r#"{"protectedPrincipals": ["user/break.glass@example.com"], "maxKeyAgeDays": 60, "inUseDays": 14, "rotationOfUsedKeys": "disable"}"#,
        )
        .unwrap();
        assert_eq!(settings.protected.len(), 2);
        assert_eq!(
            settings.limits,
            Limits {
                key_age: TimeDelta::days(60),
                in_use: TimeDelta::days(14),
                disable_used: true,
                ..Limits::default()
            }
        );
    }

    #[test]
    fn everything_wrong_is_named() {
        let wrong = read(
            r#"{"protectedPrincipals": ["arn:aws:iam::111122223333:user/a"], "maxKeyAgeDays": 0, "maxUnusedDays": "ninety", "inUseDays": -1,
                "rotationOfUsedKeys": true}"#,
        )
        .unwrap_err();
        let names: Vec<_> = wrong
            .0
            .iter()
            .filter_map(|wrong| wrong.name.rsplit('.').next())
            .collect();
        assert_eq!(
            names,
            [
                "inUseDays",
                "maxKeyAgeDays",
                "maxUnusedDays",
                "protectedPrincipals[0]",
                "rotationOfUsedKeys"
            ]
        );
        let wrong = Environment::read(SettingsReader::new([("OWN_ROLES".to_owned(), "stack".to_owned())])).unwrap_err();
        let names: Vec<_> = wrong.0.iter().map(|wrong| wrong.name.as_str()).collect();
        assert_eq!(names, ["OWN_ROLES"]);
    }
}
