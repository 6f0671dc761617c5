//! Doubles that behave like the AWS services where the tests rest on it, and break when told to.
//!
//! They keep the services' semantics (lock tokens, limits, refusals); what is canned is only when they fail.

#![allow(clippy::panic, reason = "a test that cannot go on has failed")]

mod clock;
mod deliver;
pub mod events;
mod fault;
mod instance;
mod ledger;
pub mod policies;
mod recorder;
pub mod samples;
pub mod settings;
mod waf;

pub use clock::TokioClock;
pub use deliver::{deliver, told};
pub use fault::{Fault, Faults, any_fault};
pub use instance::{Instance, instance};
pub use ledger::FaultyLedger;
pub use recorder::Recorder;
pub use waf::{IpSetContents, WafDouble};

/// For [`assert_answers!`].
#[doc(hidden)]
pub use insta;

use std::sync::{Mutex, MutexGuard};

/// The account of the tests.
pub const ACCOUNT: &str = "111122223333";

/// A role in an account, for the functions to act as.
///
/// # Panics
/// When the account is none.
#[must_use]
pub fn role(account: &str) -> remediation::ids::RoleArn {
    remediation::ids::RoleArn::parse(&format!("arn:aws:iam::{account}:role/own"))
        .unwrap_or_else(|wrong| panic!("{wrong}"))
}

/// What a mutex guards.
///
/// # Panics
/// When somebody panicked who held it.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| panic!("{poisoned}"))
}

/// The example of the page compiles, and does what the page says.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/ADDING_A_REMEDIATION.md")]
struct AddingARemediation;
