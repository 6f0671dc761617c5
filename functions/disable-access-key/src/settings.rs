//! The function's settings, from the environment that `template.yaml` sets.

use std::{collections::BTreeSet, str::FromStr};

use chrono::TimeDelta;
use remediation::{
    engine::Policy,
    ids::{AccountId, PrincipalName},
    settings::{InvalidSettings, Mode, SettingsReader, flag, list},
};

use crate::credentials::Limits;

/// All that can be set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How far to go, and in which account.
    pub policy: Policy,
    /// Users and roles that are never touched, as `user/NAME` and `role/NAME`.
    pub protected: BTreeSet<String>,
    /// How old a key may grow, and how long it may lie unused.
    pub limits: Limits,
}

impl Settings {
    /// Reads them.
    ///
    /// # Errors
    /// All settings that are missing or wrong, each by its name.
    pub fn read(mut reader: SettingsReader) -> Result<Self, InvalidSettings> {
        let mode = reader.required("MODE", Mode::from_str);
        let account = reader.required("ACCOUNT_ID", AccountId::parse);
        let samples = reader.or_default("ALLOW_SAMPLE_FINDINGS", flag);
        let protected = reader.or_default("PROTECTED_PRINCIPALS", |text| list(text, principal));
        let default = Limits::default();
        let key_age = reader.or_default("MAX_KEY_AGE_DAYS", |text| days(text).map(Some));
        let unused = reader.or_default("MAX_UNUSED_DAYS", |text| days(text).map(Some));
        let in_use = reader.or_default("IN_USE_DAYS", |text| days(text).map(Some));
        let disable_used = reader.or_default("ROTATION_OF_USED_KEYS", of_used_keys);
        let settings = (|| {
            Some(Self {
                policy: Policy {
                    mode: mode?,
                    allow_samples: samples?,
                    account: Some(account?),
                },
                protected: protected?.into_iter().collect(),
                limits: Limits {
                    key_age: key_age?.unwrap_or(default.key_age),
                    unused: unused?.unwrap_or(default.unused),
                    in_use: in_use?.unwrap_or(default.in_use),
                    disable_used: disable_used?,
                },
            })
        })();
        reader.finish(settings)
    }
}

fn principal(text: &str) -> Result<String, &'static str> {
    let is_valid = text
        .split_once('/')
        .is_some_and(|(kind, name)| matches!(kind, "user" | "role") && PrincipalName::parse(name).is_some());
    is_valid
        .then(|| text.to_owned())
        .ok_or("expected user/NAME or role/NAME, without a path")
}

fn days(text: &str) -> Result<TimeDelta, &'static str> {
    let days = text.parse().ok().filter(|days| (1..=3650).contains(days));
    days.map(TimeDelta::days).ok_or("expected whole days from 1 to 3650")
}

fn of_used_keys(text: &str) -> Result<bool, &'static str> {
    match text {
        "escalate" => Ok(false),
        "disable" => Ok(true),
        _ => Err("expected escalate or disable"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[(&str, &str)]) -> Result<Settings, InvalidSettings> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Settings::read(SettingsReader::new(values.iter().map(own)))
    }

    #[test]
    fn as_the_template_sets_them() {
        let settings = read(&[
            ("MODE", "enforce"),
            ("ACCOUNT_ID", "111122223333"),
            ("ALLOW_SAMPLE_FINDINGS", "false"),
            (
                "PROTECTED_PRINCIPALS",
                "role/stack-DisableAccessKeyRole-1ABC,, user/break.glass@example.com",
            ),
            ("MAX_KEY_AGE_DAYS", "60"),
            ("MAX_UNUSED_DAYS", ""),
            ("IN_USE_DAYS", "14"),
            ("ROTATION_OF_USED_KEYS", "disable"),
        ])
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
        let wrong = read(&[
            ("MODE", "on"),
            ("ACCOUNT_ID", "1111-2222-3333"),
            ("PROTECTED_PRINCIPALS", "arn:aws:iam::111122223333:user/a"),
            ("MAX_KEY_AGE_DAYS", "0"),
            ("MAX_UNUSED_DAYS", "ninety"),
            ("IN_USE_DAYS", "-1"),
            ("ROTATION_OF_USED_KEYS", "true"),
        ])
        .unwrap_err();
        let names: Vec<_> = wrong.0.iter().map(|wrong| wrong.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "MODE",
                "ACCOUNT_ID",
                "PROTECTED_PRINCIPALS",
                "MAX_KEY_AGE_DAYS",
                "MAX_UNUSED_DAYS",
                "IN_USE_DAYS",
                "ROTATION_OF_USED_KEYS"
            ]
        );
    }
}
