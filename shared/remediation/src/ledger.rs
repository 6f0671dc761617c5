//! The ledger: what was intended, done, and how to take it back, before it is done.
//!
//! It holds two things. A [`Record`] is one matter: a finding version, a target, its outcome, the change with what was
//! there before. A [`Standing`] entry is what the function holds in place in a scope right now; its scope's entries are
//! read together, consistently, so that concurrent writers converge on the same state. Both carry a revision, and every
//! write names the revision it builds on: whoever is behind loses, and looks again.

pub mod chain;
mod memory;

use std::{fmt, time::Duration};

use chrono::TimeDelta;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

pub use memory::MemoryLedger;

use crate::{
    clock::Timestamp,
    failure::Failure,
    finding::Evidence,
    ids::{AccountId, FindingId, RecordId},
    outcome::{Outcome, Reason},
};

/// Which writing of something this is; 0 means that it does not exist. A standing entry that was removed and is put again
/// does not begin anew: no revision of it ever comes twice, so that a write that lingers in the network meets none of its
/// own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl Revision {
    /// Of what is not there yet.
    pub const ABSENT: Self = Self(0);

    /// After the next write.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a matter stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// The change is about to be made; whether it was is to be found out by looking.
    Intended,
    /// The change is about to be taken back.
    Reverting,
    /// Ended.
    Settled(Outcome),
}

/// What a change does, for the reader and for undo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// What was there.
    pub before: Value,
    /// What is to be there.
    pub after: Value,
    /// What takes it back.
    pub inverse: Value,
}

/// Somebody's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// Whose, as they said.
    pub by: String,
    /// When it was given.
    pub at: Timestamp,
}

/// One matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its name.
    pub id: RecordId,
    /// The revision that was read; a write is refused when there is a newer one.
    #[serde(skip)]
    pub revision: Revision,
    /// The function.
    pub remediation: String,
    /// The account that was acted in.
    pub account: AccountId,
    /// The scope, as the function names it.
    pub scope: String,
    /// The target, as the function keeps it.
    pub target: Value,
    /// The finding that asked for it.
    pub evidence: Evidence,
    /// Where it stands.
    pub status: Status,
    /// The change that was made, or is about to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Value>,
    /// The same for the reader: before, after and inverse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
    /// The change ended by itself: it expired or gave way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released: Option<Reason>,
    /// The AWS request ids of the writes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<String>,
    /// The role that wrote it last.
    #[serde(default)]
    pub actor: String,
    /// Who let the change be made, where it waited for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<Word>,
    /// Who had it taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverted: Option<Word>,
    /// Whether people were told, or are about to be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub noticed: bool,
    /// The message in whose delivery it was written last; nothing where it came by another way. If that message comes again, it is
    /// not certain that others were told.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub teller: String,
    /// Whether it is not certain that people were told where it stands.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub untold: bool,
    /// The same of the service that the finding came from.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unanswered: bool,
    /// When it was first written.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
}

impl Record {
    /// Whether it ended in a failure.
    #[must_use]
    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.status, Status::Settled(Outcome::Failed(_)))
    }
}

/// How firmly a standing change is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// It shall be in place.
    Active,
    /// It is being taken back. Whoever wants it again must write, even if it still looks to be in place.
    Releasing(Reason),
    /// An operator took it back: it shall not come again before this time.
    Held(Timestamp),
}

impl Phase {
    /// Until when an operator's undo holds, if it does. One that is under way holds already, for this long: a finding that
    /// comes in between must not take back what is just being restored.
    #[must_use]
    pub fn held_until(&self, now: Timestamp, hold: TimeDelta) -> Option<Timestamp> {
        match self {
            Self::Held(until) => Some(*until).filter(|until| *until > now),
            Self::Releasing(_) => Some(now + hold),
            Self::Active => None,
        }
    }
}

/// A change that the function holds in place in a scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing<C> {
    /// Its target's name within the scope.
    pub target: String,
    /// The revision that was read.
    #[serde(skip)]
    pub revision: Revision,
    /// How firmly.
    pub phase: Phase,
    /// The record that made it.
    pub record: RecordId,
    /// The change.
    pub change: C,
}

/// The scope of a remediation in an account, as the ledger names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeKey<'a> {
    /// The account that is acted in.
    pub account: &'a str,
    /// The function.
    pub remediation: &'a str,
    /// The scope.
    pub scope: &'a str,
}

/// What is to become of a standing entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StandingWrite<C> {
    /// Put it; `revision` is the one this builds on.
    Put(Standing<C>),
    /// Put it as a change that the budget pays for.
    Spend(Standing<C>),
    /// Remove it, if it still has this revision.
    Remove {
        /// The target's name.
        target: String,
        /// The revision that was read.
        revision: Revision,
    },
}

/// A record and a standing entry that are written together or not at all, each only on top of the revision that it
/// names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<C> {
    /// The record; `revision` is the one this builds on.
    pub record: Option<Record>,
    /// The standing entry.
    pub standing: Option<StandingWrite<C>>,
}

impl<C> Entry<C> {
    /// Whether the budget pays for it.
    #[must_use]
    pub fn spends(&self) -> bool {
        matches!(self.standing, Some(StandingWrite::Spend(_)))
    }
}

/// How many changes may be made within a time. Writes that count spend it together with what they write, or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// What it is for, with the time that it is for.
    pub key: String,
    /// How many.
    pub limit: u32,
}

/// What became of an [`Entry`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is stored.
    Stored,
    /// Somebody wrote since: nothing was stored.
    Behind,
    /// The budget is spent: nothing was stored.
    OverBudget,
}

/// Whose turn it is to make a call that is limited across all instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Ours, now.
    Ours,
    /// Taken; free again at this time.
    At(Timestamp),
}

/// Where matters are kept. Reads are consistent, so that what was stored before the call began is seen; all but
/// [`Self::of_finding`].
pub trait Ledger: Send + Sync {
    /// The records that exist among these, in any order.
    fn find(&self, ids: &[RecordId]) -> impl Future<Output = Result<Vec<Record>, Failure>> + Send;

    /// The records of a function about any version of a finding, each as it is; one that was stored just now may be missing.
    fn of_finding(
        &self,
        remediation: &str,
        finding: &FindingId,
    ) -> impl Future<Output = Result<Vec<Record>, Failure>> + Send;

    /// All that is held in this scope.
    fn standing<C: DeserializeOwned + Send>(
        &self,
        scope: ScopeKey<'_>,
    ) -> impl Future<Output = Result<Vec<Standing<C>>, Failure>> + Send;

    /// Writes each entry by itself, all or nothing within the entry; answers in the order of the entries.
    fn write<C: Serialize + Send + Sync>(
        &self,
        scope: ScopeKey<'_>,
        entries: &[Entry<C>],
        budget: &Budget,
    ) -> impl Future<Output = Result<Vec<Written>, Failure>> + Send;

    /// Takes the turn for `key` if nobody took it within the last `every`. Taken for no time it is free again, whosever it was.
    fn turn(&self, key: &str, every: Duration, now: Timestamp) -> impl Future<Output = Result<Turn, Failure>> + Send;
}

impl<L: Ledger> Ledger for std::sync::Arc<L> {
    async fn find(&self, ids: &[RecordId]) -> Result<Vec<Record>, Failure> {
        L::find(self, ids).await
    }

    async fn of_finding(&self, remediation: &str, finding: &FindingId) -> Result<Vec<Record>, Failure> {
        L::of_finding(self, remediation, finding).await
    }

    async fn standing<C: DeserializeOwned + Send>(&self, scope: ScopeKey<'_>) -> Result<Vec<Standing<C>>, Failure> {
        L::standing(self, scope).await
    }

    async fn write<C: Serialize + Send + Sync>(
        &self,
        scope: ScopeKey<'_>,
        entries: &[Entry<C>],
        budget: &Budget,
    ) -> Result<Vec<Written>, Failure> {
        L::write(self, scope, entries, budget).await
    }

    async fn turn(&self, key: &str, every: Duration, now: Timestamp) -> Result<Turn, Failure> {
        L::turn(self, key, every, now).await
    }
}

/// How long a settled record is kept: the year that auditors ask for, and a month.
pub const RETENTION: Duration = Duration::from_secs(400 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_undo_holds_while_it_is_under_way_and_until_its_time() {
        let now = Timestamp::UNIX_EPOCH;
        let hold = TimeDelta::hours(1);
        assert_eq!(Phase::Active.held_until(now, hold), None);
        assert_eq!(Phase::Held(now).held_until(now, hold), None);
        assert_eq!(Phase::Held(now + hold).held_until(now, hold), Some(now + hold));
        let releasing = Phase::Releasing(Reason::undone_before());
        assert_eq!(releasing.held_until(now, hold), Some(now + hold));
    }

    #[test]
    fn a_revision_is_counted_from_nothing() {
        assert_eq!(Revision::ABSENT.next().next().to_string(), "2");
    }

    #[test]
    fn a_record_is_kept_for_a_year_and_a_month() {
        assert_eq!(RETENTION, Duration::from_secs(34_560_000));
    }
}
