//! What is to become of a user's keys and password: each key by itself, from what IAM says of it.

use chrono::TimeDelta;
use remediation::{
    Ask, Request,
    clock::Timestamp,
    ids::{KeyId, PrincipalName},
    ledger::{Phase, Standing},
    outcome::Reason,
    plan::{Decision, Plan, Step, Upkeep},
};
use serde::{Deserialize, Serialize};

use crate::{
    Change, HOLD_COMPROMISED,
    iam::{Key, Use, Write},
    identity::{Rule, Target},
};

/// A key that this function made inactive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisabledKey {
    /// Whose.
    pub user: PrincipalName,
    /// Which.
    pub key: KeyId,
    /// By which rule; `None`: it was compromised.
    pub rule: Option<Rule>,
    /// Why, for the reader.
    pub why: String,
}

/// How old a key may grow, and how long it may lie unused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The age at which a key is due for rotation.
    pub key_age: TimeDelta,
    /// How long a key or a password may be unused.
    pub unused: TimeDelta,
    /// A key that was used within this time is in use: disabling it breaks something.
    pub in_use: TimeDelta,
    /// Whether a key that is due for rotation is disabled although it is in use.
    pub disable_used: bool,
}

/// The 90 days of IAM.3 and IAM.8 are no parameter of the controls.
const CONTROL: TimeDelta = TimeDelta::days(90);
/// Nor are the 45 days of IAM.22.
const UNUSED_45: TimeDelta = TimeDelta::days(45);

impl Limits {
    fn unused(&self, rule: Rule) -> TimeDelta {
        match rule {
            Rule::Unused45 => UNUSED_45,
            Rule::Unused | Rule::Rotation => self.unused,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            key_age: TimeDelta::days(90),
            unused: TimeDelta::days(90),
            in_use: TimeDelta::days(30),
            disable_used: false,
        }
    }
}

/// A user's credentials, as IAM has them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Credentials {
    /// The keys; `None`: the user is gone.
    pub keys: Option<Vec<Key>>,
    /// The password, where it was asked for.
    pub password: Option<Password>,
}

/// A password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Password {
    /// Since when there is one.
    pub since: Timestamp,
    /// When the user last signed in with it, if ever.
    pub used: Option<Timestamp>,
}

/// What the decision rests on.
pub(crate) struct Situation<'a> {
    pub now: Timestamp,
    pub limits: &'a Limits,
    pub user: &'a PrincipalName,
    pub state: &'a Credentials,
    pub standing: &'a [Standing<Change>],
}

/// Decides on every key that is asked about; one write sets the status of all that have to change.
pub(crate) fn decide(situation: &Situation<'_>, requests: &[Request<'_, Target>]) -> Plan<Change, Write> {
    let mut write = Vec::new();
    let mut upkeep = Vec::new();
    let decisions = requests
        .iter()
        .map(|request| {
            let decision = match request.ask {
                Ask::Undo => situation.undo(request.target),
                Ask::Remediate(_) => situation.remediate(request.target),
            };
            if let Decision::Act(step, _) = &decision
                && let Step::Make(Change::Key(disabled)) | Step::Revert(Change::Key(disabled)) = step
            {
                write.push((disabled.key.clone(), matches!(step, Step::Revert(_))));
            }
            if let (Decision::InPlace(_), Target::CompromisedKey(_, key), Ask::Remediate(_)) =
                (&decision, request.target, request.ask)
            {
                upkeep.extend(situation.give_up(key));
            }
            decision
        })
        .collect();
    // Disabling wins over re-activating, should both be asked of one key at once.
    write.sort();
    write.dedup_by(|later, earlier| later.0 == earlier.0);
    Plan {
        decisions,
        upkeep,
        write: (!write.is_empty()).then(|| Write::Keys {
            user: situation.user.clone(),
            active: write,
        }),
        gauges: Vec::new(),
    }
}

impl Situation<'_> {
    fn remediate(&self, target: &Target) -> Decision<Change> {
        let Some(keys) = &self.state.keys else {
            return Decision::decline("no-such-user", format!("there is no user {} any more", self.user));
        };
        match target {
            Target::Key(_, id, rule) => match keys.iter().find(|key| key.id == *id) {
                Some(key) if !key.active => self.inactive(target, id),
                Some(key) => self.by_rule(key, *rule),
                None => Decision::InPlace(Reason::new("deleted", format!("the key {id} does not exist any more"))),
            },
            Target::CompromisedKey(_, id) => match keys.iter().find(|key| key.id == *id) {
                Some(key) if !key.active => self.inactive(target, id),
                Some(_) => self.compromised(id),
                None => Decision::decline("no-such-key", format!("{} has no key {id}", self.user)),
            },
            Target::Password(_, rule) => self.password(*rule),
            _ => Decision::InPlace(Reason::new("no-key", format!("{} has no access key", self.user))),
        }
    }

    /// Inactive as it should be: by us, which is then the end of what was begun, or by somebody else.
    fn inactive(&self, target: &Target, id: &KeyId) -> Decision<Change> {
        let reason = match self.row(target).map(|row| (&row.phase, &row.change)) {
            Some((Phase::Active, Change::Key(disabled))) => Reason::new("disabled", &disabled.why),
            _ => Reason::new("inactive", format!("{id} is inactive")),
        };
        Decision::InPlace(reason)
    }

    fn by_rule(&self, key: &Key, rule: Rule) -> Decision<Change> {
        let id = &key.id;
        let violation = match rule {
            Rule::Rotation => self.overdue(key, self.limits.key_age),
            Rule::Unused | Rule::Unused45 => self.idle(key, self.limits.unused(rule)),
        };
        let Some(violation) = violation else {
            return self.within_limits(key, rule);
        };
        if let Some(until) = self.held(id, |_| true) {
            return undone(id, until);
        }
        match (rule, key.used) {
            (Rule::Rotation, Use::At(used)) if self.now - used < self.limits.in_use && !self.limits.disable_used => {
                let user = self.user;
                Decision::Escalate(Reason::new(
                    "key-in-use",
                    format!(
                        "{violation}, and was used on {}: rotate it. aws iam create-access-key --user-name {user}; deploy the \
                         new key; aws iam update-access-key --user-name {user} --access-key-id {id} --status Inactive",
                        used.date_naive()
                    ),
                ))
            }
            (_, Use::NotRead) => Decision::decline("use-unknown", format!("it is not known when {id} was last used")),
            _ => self.disable(id, Some(rule), format!("{violation}: disabled")),
        }
    }

    /// Active, and by our limits in order. Nothing was done, so nothing is said to be done.
    fn within_limits(&self, key: &Key, rule: Rule) -> Decision<Change> {
        let id = &key.id;
        let is_announced = |row: &&Standing<Change>| {
            row.phase == Phase::Active
                && matches!(&row.change, Change::Key(disabled) if disabled.key == *id && disabled.rule == Some(rule))
        };
        if self.standing.iter().any(|row| is_announced(&row)) {
            return Decision::decline(
                "compliant-since",
                format!("{id} does not violate the rule any more ({rule}), and is active"),
            );
        }
        let by_control = match rule {
            Rule::Rotation => self.overdue(key, CONTROL),
            Rule::Unused => self.idle(key, CONTROL),
            Rule::Unused45 => None,
        };
        match by_control {
            Some(violation) => Decision::decline(
                "within-limit",
                format!("{violation} by the control; the settings allow more"),
            ),
            None => Decision::InPlace(Reason::new(
                "compliant",
                format!("{id} does not violate the rule ({rule})"),
            )),
        }
    }

    fn overdue(&self, key: &Key, most: TimeDelta) -> Option<String> {
        let age = self.now - key.created;
        (age > most).then(|| {
            let most = most.num_days();
            format!("{} is {} days old, of {most} allowed", key.id, age.num_days())
        })
    }

    /// A key that was never used is idle since it was made.
    fn idle(&self, key: &Key, most: TimeDelta) -> Option<String> {
        let (since, how) = match key.used {
            Use::At(used) => (used, "unused"),
            Use::Never => (key.created, "never used, and made"),
            Use::NotRead => return None,
        };
        let idle = self.now - since.max(key.created);
        (idle > most).then(|| {
            let (days, most) = (idle.num_days(), most.num_days());
            match key.used {
                Use::Never => format!("{} was {how} {days} days ago, of {most} allowed", key.id),
                _ => format!("{} was {how} for {days} days, of {most} allowed", key.id),
            }
        })
    }

    fn compromised(&self, id: &KeyId) -> Decision<Change> {
        match self.held(id, |disabled| disabled.rule.is_none()) {
            Some(until) => undone(id, until),
            None => self.disable(id, None, format!("{id} is in other hands: disabled")),
        }
    }

    fn password(&self, rule: Rule) -> Decision<Change> {
        let Some(password) = self.state.password else {
            return Decision::InPlace(Reason::new("no-password", format!("{} has no password", self.user)));
        };
        let most = self.limits.unused(rule);
        let idle = self.now - password.used.unwrap_or(password.since).max(password.since);
        if idle <= most {
            let text = format!("the password of {} was used within {} days", self.user, most.num_days());
            return Decision::InPlace(Reason::new("compliant", text));
        }
        Decision::Escalate(Reason::new(
            "password-unused",
            format!(
                "the password of {user} was not used for {} days, of {} allowed. A deleted password cannot be restored, so a \
                 person has to: aws iam delete-login-profile --user-name {user}",
                idle.num_days(),
                most.num_days(),
                user = self.user
            ),
        ))
    }

    fn disable(&self, key: &KeyId, rule: Option<Rule>, text: String) -> Decision<Change> {
        let disabled = DisabledKey {
            user: self.user.clone(),
            key: key.clone(),
            rule,
            why: text.clone(),
        };
        Decision::Act(Step::Make(Change::Key(disabled)), Reason::new("disabled", text))
    }

    fn undo(&self, target: &Target) -> Decision<Change> {
        let Some((row, Change::Key(disabled))) = self.row(target).map(|row| (row, &row.change)) else {
            return Decision::decline(
                "not-standing",
                "nothing that this function disabled is left here".to_owned(),
            );
        };
        if let Phase::Held(_) = row.phase {
            let keys = self.state.keys.as_deref().unwrap_or_default();
            let is_active = keys.iter().any(|key| key.id == disabled.key && key.active);
            return if is_active {
                Decision::InPlace(Reason::undone_before())
            } else {
                Decision::decline(
                    "not-standing",
                    format!("{} is inactive, but by no change of ours that stands", disabled.key),
                )
            };
        }
        let id = &disabled.key;
        let is_compromised = |other: &&Standing<Change>| {
            other.phase == Phase::Active
                && other.target != row.target
                && matches!(&other.change, Change::Key(other) if other.key == *id && other.rule.is_none())
        };
        if disabled.rule.is_some() && self.standing.iter().any(|other| is_compromised(&other)) {
            return Decision::decline(
                "compromised",
                format!("{id} has been reported as compromised: undo that first"),
            );
        }
        let keys = self.state.keys.as_deref().unwrap_or_default();
        match keys.iter().find(|key| key.id == *id) {
            None => Decision::decline("changed-since", format!("the key {id} has been deleted since")),
            Some(key) if key.active => Decision::InPlace(match &row.phase {
                Phase::Releasing(reason) => reason.clone(),
                _ => Reason::new("reactivated", format!("{id} of {} is active", disabled.user)),
            }),
            Some(_) => {
                let reason = Reason::new(
                    "reactivated",
                    format!("an operator re-activated {id} of {}", disabled.user),
                );
                Decision::Act(Step::Revert(Change::Key(disabled.clone())), reason)
            }
        }
    }

    fn row(&self, target: &Target) -> Option<&Standing<Change>> {
        let name = target.to_string();
        self.standing.iter().find(|row| row.target == name)
    }

    /// Until when an operator's undo keeps this key from being disabled for the same kind of reason.
    fn held(&self, key: &KeyId, counts: impl Fn(&DisabledKey) -> bool) -> Option<Timestamp> {
        let holds = self.standing.iter().filter_map(|row| match &row.change {
            Change::Key(disabled) if disabled.key == *key && counts(disabled) => {
                row.phase.held_until(self.now, HOLD_COMPROMISED)
            }
            _ => None,
        });
        holds.max()
    }

    /// A key that was disabled by rule, and is then reported as compromised, is not to be re-activated by undoing the rule.
    fn give_up(&self, key: &KeyId) -> impl Iterator<Item = Upkeep<Change>> {
        let by_rule = |row: &&Standing<Change>| {
            row.phase == Phase::Active
                && matches!(&row.change, Change::Key(disabled) if disabled.key == *key && disabled.rule.is_some())
        };
        self.standing.iter().filter(by_rule).map(|row| Upkeep {
            target: row.target.clone(),
            step: Step::Revert(row.change.clone()),
            reason: Reason::new("compromised", "the key has been reported as compromised since"),
            in_place: true,
        })
    }
}

fn undone(key: &KeyId, until: Timestamp) -> Decision<Change> {
    let text = format!(
        "an operator re-activated {key}; it stays so until {}",
        until.date_naive()
    );
    Decision::Decline(Reason::new(Reason::UNDONE, text))
}
