//! A function on doubles.

use std::sync::Arc;

use remediation::{
    Remediation,
    engine::{AlwaysOn, Engine, Policy},
    ledger::MemoryLedger,
    report::Silent,
};

use crate::{ACCOUNT, Faults, FaultyLedger, TokioClock, role};

/// A function as one environment of Lambda runs it. What stands for AWS is within the remediation.
pub type Instance<R> = Engine<R, FaultyLedger<Arc<MemoryLedger>>, Silent, TokioClock>;

/// An instance in the account of the tests, which tells nobody. Any number of them may share a ledger.
pub fn instance<R: Remediation>(
    policy: Policy,
    remediation: R,
    ledger: &Arc<MemoryLedger>,
    clock: TokioClock,
) -> Instance<R> {
    Engine {
        policy,
        remediation,
        ledger: FaultyLedger::new(Arc::clone(ledger), Faults::default()),
        reporter: Silent,
        clock,
        switch: Arc::new(AlwaysOn),
        actor: role(ACCOUNT),
    }
}
