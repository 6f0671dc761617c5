//! One event, from intake to its outcomes, in the short form that assertions read.

use remediation::{
    Remediation,
    clock::{Clock, Deadline},
    engine::{Engine, Summary},
    intake::{self, Invocation},
    ledger::Ledger,
    report::{Report, Reporter},
};
use serde_json::Value;

/// Hands one event to an engine.
///
/// # Panics
/// When intake does not take it for one event.
pub async fn deliver<R: Remediation, L: Ledger, P: Reporter, C: Clock>(
    engine: &Engine<R, L, P, C>,
    deadline: Deadline,
    event: &Value,
) -> Summary {
    match intake::read(&event.to_string()) {
        Ok(Invocation::Event(intake)) => engine.event(intake, deadline).await,
        other => panic!("not an event: {other:?}"),
    }
}

/// What came of it: each outcome as `tell` puts it, of its report and its reason's code; then `declined CODE`.
pub fn told(summary: &Summary, tell: impl Fn(&Report, &str) -> String) -> Vec<String> {
    let outcomes = summary.outcomes.iter();
    let outcomes = outcomes.map(|report| tell(report, code(&report.outcome.why())));
    let declined = summary.declined.iter();
    outcomes
        .chain(declined.map(|reason| format!("declined {}", reason.code)))
        .collect()
}

/// The code at the end of a reason's text; where there is none, the text.
fn code(why: &str) -> &str {
    why.rsplit_once('(').map_or(why, |(_, code)| code.trim_end_matches(')'))
}
