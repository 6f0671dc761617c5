//! What goes wrong, call by call.

use std::{collections::VecDeque, sync::Mutex};

use proptest::prelude::*;
use remediation::failure::{Class, Failure};

use crate::locked;

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// It is throttled.
    Throttled,
    /// The service fails before it does anything.
    Before,
    /// It is carried out, and the answer is lost.
    After,
    /// It is carried out in part, and the rest is throttled.
    Partly,
    /// The answer is lost, and the call is carried out only seconds later, when the caller has long moved on.
    Late,
    /// It is refused for want of permission.
    Denied,
}

impl Fault {
    /// The failure that the caller sees, if any.
    #[must_use]
    pub fn failure(self, operation: &str) -> Option<Failure> {
        let (class, code) = match self {
            Self::None => return None,
            Self::Throttled | Self::Partly => (Class::Throttled, "ThrottlingException"),
            Self::Before => (Class::Transient, "InternalServerError"),
            Self::After | Self::Late => (Class::Transient, "Timeout"),
            Self::Denied => (Class::Denied, "AccessDeniedException"),
        };
        Some(Failure::new(class, operation, code, "injected"))
    }
}

/// Any fault, most often none.
pub fn any_fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        6 => Just(Fault::None),
        1 => Just(Fault::Throttled),
        1 => Just(Fault::Before),
        2 => Just(Fault::After),
        2 => Just(Fault::Late),
        1 => Just(Fault::Denied),
    ]
}

/// The faults of the coming calls, in order; none after the last.
#[derive(Debug, Default)]
pub struct Faults(Mutex<VecDeque<Fault>>);

impl Faults {
    /// These, in this order.
    #[must_use]
    pub fn new(faults: impl IntoIterator<Item = Fault>) -> Self {
        Self(Mutex::new(faults.into_iter().collect()))
    }

    /// The fault of this call.
    pub fn next(&self) -> Fault {
        locked(&self.0).pop_front().unwrap_or(Fault::None)
    }

    /// The next call, as far as its fault lets it: carried out or not, answered or not.
    ///
    /// # Errors
    /// That of the call, and the fault.
    pub fn around(&self, operation: &str, call: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
        let fault = self.next();
        if matches!(fault, Fault::None | Fault::After | Fault::Partly | Fault::Late) {
            call()?;
        }
        fault.failure(operation).map_or(Ok(()), Err)
    }

    /// Takes the fault of this call only if it is this one.
    pub fn take(&self, fault: Fault) -> bool {
        let mut planned = locked(&self.0);
        let is_next = planned.front() == Some(&fault);
        if is_next {
            planned.pop_front();
        }
        is_next
    }

    /// Replaces what was planned.
    pub fn plan(&self, faults: impl IntoIterator<Item = Fault>) {
        *locked(&self.0) = faults.into_iter().collect();
    }
}
