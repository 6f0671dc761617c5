//! Doubles that behave like the AWS services where the tests rest on it, and break when told to.
//!
//! They keep the services' semantics (lock tokens, limits, refusals); what is canned is only when they fail.

#![allow(clippy::panic, reason = "a test that cannot go on has failed")]

mod clock;
mod deliver;
pub mod events;
mod fault;
mod ledger;
pub mod policies;
mod recorder;
pub mod samples;
pub mod settings;
mod waf;

pub use clock::TokioClock;
pub use deliver::{deliver, told};
pub use fault::{Fault, Faults, any_fault};
pub use ledger::FaultyLedger;
pub use recorder::Recorder;
pub use waf::{IpSetContents, WafDouble};

/// A role in an account, for the functions to act as.
///
/// # Panics
/// When the account is none.
#[must_use]
pub fn role(account: &str) -> remediation::ids::RoleArn {
    remediation::ids::RoleArn::parse(&format!("arn:aws:iam::{account}:role/own"))
        .unwrap_or_else(|wrong| panic!("{wrong}"))
}

/// The example of the page compiles, and does what the page says.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/ADDING_A_REMEDIATION.md")]
struct AddingARemediation;
