//! The remediation library: everything that can be decided, and proved, without AWS.
//!
//! One event goes one way ([`engine`]): intake, claim, guardrails, group by scope, observe, decide, record, apply,
//! verify, report. A remediation says only what is its own ([`Remediation`]); retries, conflicts, the deadline, dry run
//! and the ledger belong to the engine, so that no two functions can disagree about them.

pub mod accounts;
pub mod clock;
pub mod engine;
pub mod failure;
pub mod finding;
pub mod ids;
pub mod intake;
pub mod ledger;
pub mod notice;
pub mod outcome;
pub mod plan;
pub mod policy;
pub mod report;
pub mod settings;

mod json;
mod remediation;
mod text;

pub use finding::Evidence;
pub use remediation::{Approved, Ask, Claim, Pace, Receipt, Remediation, Request, Resolution, View};
