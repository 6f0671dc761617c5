//! Cutting off temporary credentials. They cannot be disabled; a deny on their principal, for all that were issued before a
//! moment, takes every right from them. `aws:TokenIssueTime` is there only in temporary credentials, so long-term keys are
//! not touched, and applications that fetch new credentials go on.

use chrono::{SecondsFormat, TimeDelta};
use remediation::{
    Ask, Request,
    clock::Timestamp,
    finding::Evidence,
    ledger::{Phase, Standing},
    outcome::Reason,
    plan::{Decision, Plan, Step},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    Change, HOLD_COMPROMISED,
    iam::Write,
    identity::{Principal, Target},
};

/// The name of the inline policy, and of its only statement. IAM's console has one of its own, `AWSRevokeOlderSessions`,
/// which is a person's and is not touched.
pub const POLICY: &str = "SecureCartRevokeOlderSessions";

/// IAM needs about so long to make a deny known everywhere; the console allows as much.
const PROPAGATION: TimeDelta = TimeDelta::seconds(30);

/// Sessions that were cut off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// Whose.
    pub principal: Principal,
    /// All that were issued before.
    pub before: Timestamp,
}

impl Cut {
    /// The policy's text.
    #[must_use]
    pub fn document(&self) -> String {
        document(self.before).to_string()
    }
}

fn document(before: Timestamp) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": POLICY,
            "Effect": "Deny",
            "Action": "*",
            "Resource": "*",
            "Condition": {
                "DateLessThan": { "aws:TokenIssueTime": before.to_rfc3339_opts(SecondsFormat::Secs, true) }
            }
        }]
    })
}

/// Before when sessions are cut off by this text; `None` when it is not exactly what this function writes.
fn cut_off(text: &str) -> Option<Timestamp> {
    let found: Value = serde_json::from_str(text).ok()?;
    let time = found.pointer("/Statement/0/Condition/DateLessThan/aws:TokenIssueTime")?;
    let time = Timestamp::from(chrono::DateTime::parse_from_rfc3339(time.as_str()?).ok()?);
    (found == document(time)).then_some(time)
}

/// What the decision rests on.
pub(crate) struct Situation<'a> {
    pub now: Timestamp,
    pub principal: &'a Principal,
    /// The text of our policy, if there is one.
    pub policy: Option<&'a str>,
    pub standing: &'a [Standing<Change>],
}

/// Decides on the sessions of one principal.
pub(crate) fn decide(situation: &Situation<'_>, requests: &[Request<'_, Target>]) -> Plan<Change, Write> {
    let decisions = requests.iter().map(|request| match request.ask {
        Ask::Undo => situation.undo(request.target),
        Ask::Remediate(evidence) => situation.cut(request.target, evidence),
    });
    let principal = || situation.principal.clone();
    Plan::of(decisions, |step| match step {
        Step::Make(Change::Sessions(cut)) => Some(Write::PutPolicy {
            principal: principal(),
            name: POLICY,
            document: cut.document(),
        }),
        Step::Make(Change::Key(_)) => None,
        Step::Revert(_) => Some(Write::DeletePolicy {
            principal: principal(),
            name: POLICY,
        }),
    })
}

impl Situation<'_> {
    fn cut(&self, target: &Target, evidence: &[&Evidence]) -> Decision<Change> {
        let seen = evidence
            .iter()
            .map(|evidence| evidence.observed_at)
            .max()
            .unwrap_or(self.now);
        match self.policy.map(cut_off) {
            // Whatever was seen up to then came from a session that has no rights any more.
            Some(Some(before)) if seen.min(self.now) <= before => {
                return Decision::InPlace(Reason::new("cut", format!("sessions {}", self.since(before))));
            }
            Some(None) => {
                let text = format!(
                    "the inline policy {POLICY} of {} is not as this function writes it, so it is left alone: look at it, and \
                     revoke the sessions by hand",
                    self.principal
                );
                return Decision::Escalate(Reason::new("foreign-policy", text));
            }
            _ => {}
        }
        let row = self.row(target);
        if let Some(until) = row.and_then(|row| row.phase.held_until(self.now, HOLD_COMPROMISED)) {
            let text = format!(
                "an operator gave {} back its sessions; it keeps them until {}",
                self.principal,
                until.date_naive()
            );
            return Decision::Decline(Reason::new(Reason::UNDONE, text));
        }
        // A cut that was announced a moment ago is still on its way: announcing another would make the record tell of one that
        // was never written.
        let announced = row.and_then(|row| match (&row.phase, &row.change) {
            (Phase::Active, Change::Sessions(cut)) if cut.before > self.now => Some(cut.clone()),
            _ => None,
        });
        let cut = announced.unwrap_or_else(|| Cut {
            principal: self.principal.clone(),
            before: whole_second(self.now + PROPAGATION),
        });
        let reason = Reason::new("cut", format!("sessions {}", self.since(cut.before)));
        Decision::Act(Step::Make(Change::Sessions(cut)), reason)
    }

    fn since(&self, before: Timestamp) -> String {
        let time = before.to_rfc3339_opts(SecondsFormat::Secs, true);
        let advice = match self.principal {
            Principal::Role(_) => "; an instance or a task that holds the role can fetch new ones, so isolate it",
            Principal::User(_) => "",
        };
        format!(
            "of {} that were issued before {time} are cut off{advice}",
            self.principal
        )
    }

    fn undo(&self, target: &Target) -> Decision<Change> {
        let Some((row, Change::Sessions(cut))) = self.row(target).map(|row| (row, &row.change)) else {
            let text = "nothing that this function cut off is left here";
            return Decision::Decline(Reason::new("not-standing", text));
        };
        if let Phase::Held(_) = row.phase {
            return match self.policy {
                None => Decision::InPlace(Reason::undone_before()),
                Some(_) => Decision::Decline(Reason::new(
                    "not-standing",
                    format!("the {POLICY} that is there is no change of ours"),
                )),
            };
        }
        let reason = Reason::new(
            "restored",
            format!("an operator gave {} back its sessions", self.principal),
        );
        match self.policy {
            None => Decision::InPlace(reason),
            Some(text) if cut_off(text) == Some(cut.before) => {
                Decision::Act(Step::Revert(Change::Sessions(cut.clone())), reason)
            }
            Some(text) => {
                let found: String = text.chars().take(300).collect();
                let text = format!(
                    "{POLICY} has been changed since. It was {}; it is {found}",
                    cut.document()
                );
                Decision::Decline(Reason::new("changed-since", text))
            }
        }
    }

    fn row(&self, target: &Target) -> Option<&Standing<Change>> {
        let name = target.to_string();
        self.standing.iter().find(|row| row.target == name)
    }
}

/// IAM compares whole seconds.
fn whole_second(time: Timestamp) -> Timestamp {
    time - TimeDelta::nanoseconds(i64::from(time.timestamp_subsec_nanos()))
}
