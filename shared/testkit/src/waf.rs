//! AWS WAF's IP sets: lock tokens, the refusals, and one update a second.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use ipnet::IpNet;
use remediation::failure::{Class, Failure};
use tokio::time::Instant;

use crate::{Fault, Faults, locked};

/// What a set holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IpSetContents {
    /// Its addresses.
    pub addresses: Vec<IpNet>,
    /// Its lock token.
    pub lock_token: String,
}

/// AWS WAF with IP sets of any name.
#[derive(Debug, Default)]
pub struct WafDouble {
    sets: Mutex<State>,
    /// What goes wrong with the coming calls.
    pub faults: Faults,
}

#[derive(Debug, Default)]
struct State {
    sets: BTreeMap<String, IpSetContents>,
    tokens: u64,
    updated: Option<Instant>,
    updates: u64,
}

/// The quota of AWS WAF: one call a second of any individual update action.
const UPDATE_EVERY: Duration = Duration::from_secs(1);
const CAPACITY: usize = 10_000;

impl WafDouble {
    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.sets)
    }

    /// What a set holds; a set that nobody wrote to is empty.
    #[must_use]
    pub fn contents(&self, set: &str) -> IpSetContents {
        self.state().set(set).clone()
    }

    /// Updates that were carried out by the function, not by people.
    #[must_use]
    pub fn updates(&self) -> u64 {
        self.state().updates
    }

    /// A person changes a set by hand.
    pub fn edit(&self, set: &str, edit: impl FnOnce(&mut Vec<IpNet>)) {
        let mut state = self.state();
        let token = state.next_token();
        let set = state.set(set);
        edit(&mut set.addresses);
        set.lock_token = token;
    }

    /// `GetIPSet`.
    ///
    /// # Errors
    /// The planned fault.
    pub fn get(&self, set: &str) -> Result<IpSetContents, Failure> {
        match self.faults.next().failure("wafv2:GetIPSet") {
            Some(failure) => Err(failure),
            None => Ok(self.contents(set)),
        }
    }

    /// `UpdateIPSet`.
    ///
    /// # Errors
    /// A stale token, a bad or surplus address, more than one update a second, and the planned fault.
    pub fn update(&self, set: &str, addresses: &[IpNet], lock_token: &str) -> Result<(), Failure> {
        const OPERATION: &str = "wafv2:UpdateIPSet";
        let fault = self.faults.next();
        if !matches!(fault, Fault::None | Fault::After)
            && let Some(failure) = fault.failure(OPERATION)
        {
            return Err(failure);
        }
        let mut state = self.state();
        let now = Instant::now();
        if state.updated.is_some_and(|at| now.duration_since(at) < UPDATE_EVERY) {
            return Err(Failure::new(
                Class::Throttled,
                OPERATION,
                "ThrottlingException",
                "rate exceeded",
            ));
        }
        state.updated = Some(now);
        if let Some(bad) = addresses
            .iter()
            .find(|net| net.prefix_len() == 0 || **net != net.trunc())
        {
            return Err(Failure::new(
                Class::Permanent,
                OPERATION,
                "WAFInvalidParameterException",
                bad.to_string(),
            ));
        }
        if addresses.len() > CAPACITY {
            return Err(Failure::new(
                Class::Permanent,
                OPERATION,
                "WAFLimitsExceededException",
                "too many addresses",
            ));
        }
        if state.set(set).lock_token != lock_token {
            return Err(Failure::new(
                Class::Conflict,
                OPERATION,
                "WAFOptimisticLockException",
                "stale token",
            ));
        }
        let token = state.next_token();
        state.updates += 1;
        *state.set(set) = IpSetContents {
            addresses: addresses.to_vec(),
            lock_token: token,
        };
        fault.failure(OPERATION).map_or(Ok(()), Err)
    }
}

impl State {
    fn set(&mut self, name: &str) -> &mut IpSetContents {
        self.sets.entry(name.to_owned()).or_insert_with(|| IpSetContents {
            addresses: Vec::new(),
            lock_token: "token-0".to_owned(),
        })
    }

    fn next_token(&mut self) -> String {
        self.tokens += 1;
        format!("token-{}", self.tokens)
    }
}
