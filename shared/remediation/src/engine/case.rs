//! One matter on its way through the engine.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::{
    Remediation,
    clock::Timestamp,
    failure::{Class, Failure},
    finding::{Channel, Evidence},
    ids::{AccountId, RecordId},
    ledger::{Image, Record, Revision, ScopeKey, Status, Word},
    outcome::{Outcome, Reason},
    report::Report,
};

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Remediate { approved: bool },
    Undo,
}

/// A target in a scope, with the finding version or the command that brought it.
pub(super) struct Case<R: Remediation> {
    pub(super) id: RecordId,
    pub(super) key: String,
    pub(super) target: R::Target,
    pub(super) evidence: Evidence,
    pub(super) kind: Kind,
    /// Whose word asks for it, where somebody's does.
    pub(super) word: Option<Word>,
    /// The budget has no room for it.
    pub(super) over_budget: bool,
    /// People are to be told: nobody has been yet.
    pub(super) notice: bool,
    /// If it fails, then not for the first time, or nobody will know that it was the first.
    pub(super) repeated: bool,
    /// Another target of the same finding is known not to be done.
    pub(super) part: bool,
    /// A guardrail's answer.
    pub(super) refused: Option<Reason>,
    /// Security Hub shows that somebody dealt with the finding; if the ledger knows this version, that was us.
    pub(super) answered: bool,
    /// As last read from or written to the ledger.
    pub(super) record: Option<Record>,
    /// Set once, when it is in the ledger; or when it cannot be.
    pub(super) outcome: Option<Outcome>,
    /// It had ended before.
    pub(super) replayed: bool,
    /// The message that sees to it that others are told.
    pub(super) teller: String,
    /// The messages that have been delivered before, or must be taken as if they had.
    pub(super) again: BTreeSet<String>,
    /// The ways by which it was brought; each is answered on.
    pub(super) channels: BTreeSet<Channel>,
    /// The inputs that wait for it.
    pub(super) messages: Vec<usize>,
}

impl<R: Remediation> Case<R> {
    pub(super) fn new(id: RecordId, target: R::Target, evidence: Evidence, kind: Kind) -> Self {
        Self {
            id,
            key: target.to_string(),
            target,
            kind,
            word: None,
            over_budget: false,
            notice: false,
            repeated: false,
            part: false,
            refused: None,
            answered: false,
            record: None,
            outcome: None,
            replayed: false,
            teller: String::new(),
            again: BTreeSet::new(),
            channels: BTreeSet::from([evidence.channel.clone()]),
            evidence,
            messages: Vec::new(),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.outcome.is_none()
    }

    /// Takes what the ledger knows. An outcome that is final is adopted.
    ///
    /// Each of our reports to Security Hub comes back as an event with the same version of the finding; acting on that
    /// one again would go round for ever. A later version means that the attacker is back, whatever the workflow says.
    pub(super) fn recall(&mut self, record: Record) {
        let is_open = matches!(
            record.status,
            Status::Intended | Status::Reverting | Status::Settled(Outcome::Failed(_))
        );
        if self.answered && !is_open {
            let reason = Reason::new("answered", "this version of the finding has been dealt with");
            self.outcome = Some(Outcome::Declined(reason));
            self.replayed = true;
        } else if let Status::Settled(outcome) = &record.status
            && outcome.is_final()
            && self.kind != Kind::Undo
        {
            self.outcome = Some(outcome.clone());
            self.replayed = true;
        }
        self.notice |= record.untold && self.comes_again(&record);
        self.repeated |= record.has_failed();
        self.record = Some(record);
    }

    /// Whether the change has been announced in the ledger, so that it may be in place by our doing.
    pub(super) fn is_intended(&self) -> bool {
        self.record.as_ref().is_some_and(|record| match &record.status {
            Status::Intended | Status::Reverting => true,
            Status::Settled(Outcome::Failed(_) | Outcome::Escalated(_) | Outcome::Declined(_)) => {
                record.change.is_some()
            }
            Status::Settled(_) => false,
        })
    }

    /// Whether somebody was shown a plan, and their word is on that one: a failure must not make the record forget it.
    pub(super) fn is_shown(&self) -> bool {
        let is_shown = |record: &Record| {
            record.change.is_some()
                && matches!(
                    record.status,
                    Status::Settled(Outcome::AwaitingApproval(_) | Outcome::WouldRemediate(_))
                )
        };
        self.record.as_ref().is_some_and(is_shown)
    }

    /// Whether the change was announced, or made and maybe taken back.
    fn is_made(&self) -> bool {
        let is_ended = |record: &Record| {
            matches!(
                record.status,
                Status::Settled(Outcome::Remediated(_) | Outcome::Undone(_))
            )
        };
        self.is_intended() || self.record.as_ref().is_some_and(is_ended)
    }

    /// Whether the delivery that wrote the record did not come to its end.
    pub(super) fn comes_again(&self, record: &Record) -> bool {
        self.again.contains(&record.teller)
    }

    /// Whether there is anything to tell: something new, or a finding in Security Hub that still counts as new there
    /// because its twin came first by another way.
    pub(super) fn is_news(&self) -> bool {
        let is_open = |record: &Record| (record.untold || record.unanswered) && self.comes_again(record);
        let is_untold = self.record.as_ref().is_some_and(is_open);
        !self.replayed
            || is_untold
            || (!self.answered && self.channels.iter().any(|channel| *channel != Channel::Direct))
    }

    /// The record as it is to be written next.
    pub(super) fn record(&self, scope: ScopeKey<'_>, status: Status, now: Timestamp) -> Result<Record, Failure> {
        let mut record = match &self.record {
            Some(record) => record.clone(),
            None => Record {
                id: self.id.clone(),
                revision: Revision::ABSENT,
                remediation: scope.remediation.to_owned(),
                account: AccountId::new(scope.account),
                scope: scope.scope.to_owned(),
                target: to_json(&self.target)?,
                evidence: self.evidence.clone(),
                status: Status::Intended,
                change: None,
                image: None,
                released: None,
                requests: Vec::new(),
                actor: String::new(),
                approved: None,
                reverted: None,
                noticed: false,
                teller: String::new(),
                untold: false,
                unanswered: false,
                created_at: now,
                updated_at: now,
            },
        };
        // A plan that was shown, and then was not carried out, is nothing that could be undone.
        if matches!(status, Status::Settled(_)) && !self.is_made() {
            record.change = None;
            record.image = None;
        }
        // A word that nothing came of is no word on the change.
        match (&self.word, &status) {
            (Some(word), Status::Reverting | Status::Settled(Outcome::Undone(_))) => {
                record.reverted = Some(word.clone())
            }
            (Some(word), Status::Intended | Status::Settled(Outcome::Remediated(_))) => {
                record.approved = Some(word.clone())
            }
            _ => {}
        }
        let waits = |status: &Status| {
            matches!(
                status,
                Status::Settled(Outcome::AwaitingApproval(_) | Outcome::Escalated(_))
            )
        };
        // Whoever is to tell people that it waits still is, while it does.
        let is_owed = record.untold && waits(&record.status) && waits(&status);
        record.status = status;
        // What another delivery left open is its own matter.
        if record.teller != self.teller && !is_owed {
            record.untold = false;
            record.teller.clone_from(&self.teller);
        }
        record.updated_at = now;
        Ok(record)
    }

    /// The same with the change that is planned.
    pub(super) fn record_with<W: Serialize>(
        &self,
        scope: ScopeKey<'_>,
        status: Status,
        change: &W,
        image: Image,
        now: Timestamp,
    ) -> Result<Record, Failure> {
        Ok(Record {
            change: Some(to_json(change)?),
            image: Some(image),
            released: None,
            ..self.record(scope, status, now)?
        })
    }

    pub(super) fn into_report(self, scope: &str) -> Option<Report> {
        let outcome = self.outcome?;
        Some(Report {
            record: self.id,
            scope: scope.to_owned(),
            target: self.key,
            evidence: self.evidence,
            channels: self.channels,
            notice: self.notice && outcome.is_notable(),
            // Whoever gave their word for it is answered.
            repeated: self.repeated && self.word.is_none() && outcome.needs_redelivery(),
            part: self.part,
            image: self.record.and_then(|record| record.image),
            outcome,
        })
    }
}

pub(super) fn to_json<T: Serialize>(value: &T) -> Result<serde_json::Value, Failure> {
    serde_json::to_value(value).map_err(|error| Failure::new(Class::Permanent, "record", "NotJson", error.to_string()))
}
