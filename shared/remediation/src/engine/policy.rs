//! What the operator allows, the same for every remediation.

use std::fmt;

use chrono::TimeDelta;
use futures_util::{FutureExt, future::BoxFuture};

use crate::{
    clock::Timestamp,
    failure::Failure,
    ids::AccountId,
    ledger::Budget,
    outcome::Reason,
    policy::matches,
    settings::{Document, Exemption, InvalidSettings, Mode, Section},
};

/// What the operator allows a function to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// How far to go.
    pub mode: Mode,
    /// How far for single controls, rules or finding types, by patterns of their names.
    pub controls: Vec<(String, Mode)>,
    /// The kill switch: nothing is written, everything waits.
    pub stop: bool,
    /// How many changes are made in the account in an hour.
    pub changes_per_hour: u32,
    /// How long a plan waits for approval.
    pub approval: TimeDelta,
    /// What is left alone for a while.
    pub exemptions: Vec<Exemption>,
    /// Whether GuardDuty's sample findings are acted on.
    pub allow_samples: bool,
}

impl Policy {
    /// What a document says of a function: the policy, and the function's own settings.
    ///
    /// # Errors
    /// All that is wrong in the function's settings, each by its path.
    pub fn read<S: Section>(document: &Document, function: &str) -> Result<(Self, S), InvalidSettings> {
        let (common, own) = document.of::<S>(function)?;
        let policy = Self {
            mode: common.mode.unwrap_or(document.mode),
            controls: common.controls.into_iter().collect(),
            stop: document.stop,
            changes_per_hour: common
                .changes_per_hour
                .or(document.changes_per_hour)
                .unwrap_or(S::CHANGES_PER_HOUR),
            approval: document.approval_hours.span(),
            exemptions: document.exemptions.clone(),
            allow_samples: common.sample_findings,
        };
        Ok((policy, own))
    }

    /// How far to go for this control, rule or finding type: of the settings that fit it the most cautious.
    #[must_use]
    pub fn mode_of(&self, kind: &str) -> Mode {
        let kind = kind.to_ascii_lowercase();
        let fitting = self
            .controls
            .iter()
            .filter(|(pattern, _)| matches(&pattern.to_ascii_lowercase(), &kind));
        fitting.map(|(_, mode)| *mode).min().unwrap_or(self.mode)
    }

    /// Whether anything at all may be written.
    #[must_use]
    pub fn may_write(&self) -> bool {
        let mut modes = self.controls.iter().map(|(_, mode)| *mode).chain([self.mode]);
        !self.stop && modes.any(|mode| mode >= Mode::Approve)
    }

    /// Why nothing is to be done in an account about this kind of finding on a resource of these names.
    #[must_use]
    pub fn exempts(&self, account: &AccountId, kind: &str, resources: &[String], now: Timestamp) -> Option<Reason> {
        let covers = |exemption: &&Exemption| {
            let mut names = resources.iter();
            names.any(|resource| exemption.covers(account, kind, resource, now))
        };
        let exemption = self.exemptions.iter().find(covers)?;
        let text = format!(
            "{} is exempt until {}, on the word of {}: {}",
            exemption.resource, exemption.expires, exemption.owner, exemption.reason
        );
        Some(Reason::new("exempt", text))
    }

    /// What a function may change in an account within this hour.
    pub(super) fn budget(&self, function: &str, account: &AccountId, now: Timestamp) -> Budget {
        let hour = now.timestamp().div_euclid(3600);
        Budget {
            key: format!("{function}#{account}#{hour}"),
            limit: self.changes_per_hour,
        }
    }
}

/// What is asked right before each write, however long the run has lasted: whether writing is still allowed.
pub trait Switch: fmt::Debug + Send + Sync {
    /// Whether it is.
    fn allows_writes(&self) -> BoxFuture<'_, Result<bool, Failure>>;
}

/// Never stopped.
#[derive(Debug, Clone, Copy, Default)]
pub struct AlwaysOn;

impl Switch for AlwaysOn {
    fn allows_writes(&self) -> BoxFuture<'_, Result<bool, Failure>> {
        async { Ok(true) }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
    #[serde(deny_unknown_fields, default)]
    struct Nothing {}
    impl Section for Nothing {}

    fn policy(text: &str) -> Policy {
        let document = Document::parse(text).unwrap();
        let read = Policy::read::<Nothing>(&document, "block-ip");
        read.unwrap().0
    }

    #[test]
    fn s22_what_is_set_for_a_function_goes_before_what_is_set_for_all() {
        let all = policy(r#"{"mode": "approve", "changesPerHour": 7}"#);
        assert_eq!((all.mode, all.changes_per_hour), (Mode::Approve, 7));
        let own = policy(r#"{"mode": "approve", "functions": {"block-ip": {"mode": "enforce", "changesPerHour": 9}}}"#);
        assert_eq!((own.mode, own.changes_per_hour), (Mode::Enforce, 9));
    }

    #[test]
    fn s22_of_several_controls_the_most_cautious_holds() {
        let policy = policy(
            r#"{"functions": {"block-ip": {"mode": "enforce", "controls": {"Recon:*": "approve", "*:EC2/Portscan": "off", "IAM.1": "dry-run"}}}}"#,
        );
        assert_eq!(policy.mode_of("Recon:IAMUser/x"), Mode::Approve);
        assert_eq!(policy.mode_of("Recon:EC2/portscan"), Mode::Off);
        assert_eq!(policy.mode_of("IAM.10"), Mode::Enforce);
    }

    #[test]
    fn s23_a_stop_stops_whatever_the_modes_say() {
        assert!(policy(r#"{"functions": {"block-ip": {"controls": {"IAM.1": "approve"}}}}"#).may_write());
        assert!(!policy(r#"{"functions": {"block-ip": {"controls": {"IAM.1": "dry-run"}}}}"#).may_write());
        assert!(!policy(r#"{"stop": true, "mode": "enforce"}"#).may_write());
    }
}
