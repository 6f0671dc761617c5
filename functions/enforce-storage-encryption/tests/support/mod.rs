//! `enforce-storage-encryption` on Regions that behave like EC2's, and break when told to.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use enforce_storage_encryption::{EnforceStorageEncryption, Regions, Settings, Switch};
use remediation::{
    Approved, Receipt,
    clock::{Clock, Deadline},
    engine::Summary,
    failure::Failure,
    ids::Region,
    ledger::MemoryLedger,
};
use serde_json::{Value, json};
use testkit::{Faults, TokioClock, locked, samples};

/// The Regions where it is on.
#[derive(Debug, Default)]
pub struct Ec2Double {
    on: Mutex<BTreeSet<String>>,
    writes: Mutex<u64>,
    /// What becomes of the next writes.
    pub faults: Faults,
}

impl Ec2Double {
    pub fn switch(&self, region: &str, on: bool) {
        let mut regions = locked(&self.on);
        if on {
            regions.insert(region.to_owned());
        } else {
            regions.remove(region);
        }
    }

    pub fn is_on(&self, region: &str) -> bool {
        locked(&self.on).contains(region)
    }

    pub fn writes(&self) -> u64 {
        *locked(&self.writes)
    }
}

#[derive(Debug, Clone)]
pub struct Shared(Arc<Ec2Double>);

impl Regions for Shared {
    async fn is_encrypted(&self, region: &Region) -> Result<bool, Failure> {
        Ok(self.0.is_on(region.as_str()))
    }

    async fn write(&self, write: &Approved<Switch>) -> Result<Receipt, Failure> {
        self.0.faults.around("ec2:write", || {
            self.0.switch(write.write().region.as_str(), write.write().on);
            *locked(&self.0.writes) += 1;
            Ok(())
        })?;
        Ok(Receipt::default())
    }
}

pub type Instance = testkit::Instance<EnforceStorageEncryption<Shared>>;

pub struct World {
    pub ec2: Arc<Ec2Double>,
    pub ledger: Arc<MemoryLedger>,
    pub clock: TokioClock,
}

impl World {
    pub fn new() -> Self {
        Self {
            ec2: Arc::default(),
            ledger: Arc::default(),
            clock: TokioClock::starting_at(samples::now()),
        }
    }

    pub fn instance(&self) -> Instance {
        self.instance_with(&json!({}))
    }

    pub fn instance_with(&self, settings: &Value) -> Instance {
        let document =
            testkit::settings::document("enforce-storage-encryption", &[&json!({ "mode": "enforce" }), settings]);
        let settings = Settings::read(&document).unwrap();
        let function = EnforceStorageEncryption::new(Shared(Arc::clone(&self.ec2)), settings.protected);
        testkit::instance(settings.policy, function, &self.ledger, self.clock)
    }

    pub fn deadline(&self) -> Deadline {
        Deadline::after(Duration::from_secs(57), self.clock.now())
    }
}

/// A sample event, from intake to its outcomes, each as `target outcome code`.
pub async fn deliver(instance: &Instance, world: &World, event: &Value) -> (Vec<String>, Summary) {
    let summary = testkit::deliver(instance, world.deadline(), event).await;
    (told(&summary), summary)
}

pub fn told(summary: &Summary) -> Vec<String> {
    testkit::told(summary, |report, code| {
        format!("{}: {} {code}", report.target, report.outcome.name())
    })
}
