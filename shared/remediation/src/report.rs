//! What was done is told: to Security Hub, people, the metrics and the log. Telling never changes an outcome; what could not be told is told
//! when the message comes again.

use std::{collections::BTreeSet, time::Duration};

use serde::Serialize;

use crate::{
    finding::{Channel, Evidence},
    ids::RecordId,
    ledger::Image,
    outcome::Outcome,
};

/// What became of one target of one finding.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The record, to undo or to look up.
    pub record: RecordId,
    /// The scope.
    pub scope: String,
    /// The target.
    pub target: String,
    /// The finding.
    #[serde(skip)]
    pub evidence: Evidence,
    /// The ways by which it came; each is answered on.
    #[serde(skip)]
    pub channels: BTreeSet<Channel>,
    /// Whether people are to be told of it: nobody has been yet.
    #[serde(skip)]
    pub notice: bool,
    /// Whether it has failed before and nothing else has come of it since, or the ledger will not know that it has.
    #[serde(skip)]
    pub repeated: bool,
    /// Whether another target of the same finding is not done, so that the finding is not either.
    #[serde(skip)]
    pub part: bool,
    /// The change, or the plan.
    #[serde(skip)]
    pub image: Option<Image>,
    /// How it ended.
    pub outcome: Outcome,
}

/// Measures of one run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Gauges(pub Vec<(&'static str, f64)>);

/// Records of which somebody does not know yet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Untold {
    /// People do not.
    pub people: BTreeSet<RecordId>,
    /// The service that the finding came from does not.
    pub sources: BTreeSet<RecordId>,
}

/// Where reports go.
pub trait Reporter: Send + Sync {
    /// Tells what became of these, within this time. What cannot be told is logged, counted, and returned.
    fn report(
        &self,
        remediation: &'static str,
        reports: &[Report],
        gauges: &Gauges,
        within: Duration,
    ) -> impl Future<Output = Untold> + Send;
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Reporter for Silent {
    async fn report(&self, _: &'static str, _: &[Report], _: &Gauges, _: Duration) -> Untold {
        Untold::default()
    }
}
