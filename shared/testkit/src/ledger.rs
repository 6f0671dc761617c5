//! A ledger that fails when told to.

use std::time::Duration;

use remediation::{
    clock::Timestamp,
    failure::Failure,
    ids::{FindingId, RecordId},
    ledger::{Budget, Entry, Ledger, Record, ScopeKey, Standing, Turn, Written},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Fault, Faults};

/// Another ledger, with faults.
#[derive(Debug)]
pub struct FaultyLedger<L> {
    inner: L,
    faults: Faults,
}

impl<L> FaultyLedger<L> {
    /// That ledger, with these faults.
    pub fn new(inner: L, faults: Faults) -> Self {
        Self { inner, faults }
    }

    async fn call<T>(&self, operation: &str, call: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        // Other instances get their turn between any two calls, as they would over a network.
        tokio::task::yield_now().await;
        let fault = self.faults.next();
        let answer = if matches!(fault, Fault::None | Fault::After | Fault::Partly) {
            Some(call.await)
        } else {
            None
        };
        match (fault.failure(operation), answer) {
            (Some(failure), _) => Err(failure),
            (None, Some(answer)) => answer,
            (None, None) => Err(Failure::new(
                remediation::failure::Class::Permanent,
                operation,
                "Testkit",
                "no answer",
            )),
        }
    }
}

impl<L: Ledger> Ledger for FaultyLedger<L> {
    async fn find(&self, ids: &[RecordId]) -> Result<Vec<Record>, Failure> {
        self.call("ledger:find", self.inner.find(ids)).await
    }

    async fn of_finding(&self, remediation: &str, finding: &FindingId) -> Result<Vec<Record>, Failure> {
        self.call("ledger:of_finding", self.inner.of_finding(remediation, finding))
            .await
    }

    async fn standing<C: DeserializeOwned + Send>(&self, scope: ScopeKey<'_>) -> Result<Vec<Standing<C>>, Failure> {
        self.call("ledger:standing", self.inner.standing(scope)).await
    }

    async fn write<C: Serialize + Send + Sync>(
        &self,
        scope: ScopeKey<'_>,
        entries: &[Entry<C>],
        budget: &Budget,
    ) -> Result<Vec<Written>, Failure> {
        self.call("ledger:write", self.inner.write(scope, entries, budget))
            .await
    }

    async fn turn(&self, key: &str, every: Duration, now: Timestamp) -> Result<Turn, Failure> {
        self.call("ledger:turn", self.inner.turn(key, every, now)).await
    }
}
