//! `block-ip` on the doubles of the testkit.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::{sync::Arc, time::Duration};

use block_ip::{BlockIp, Contents, Environment, IpSet, IpSets, Replacement, Settings};
use ipnet::IpNet;
use remediation::{
    Approved, Receipt,
    clock::{Clock, Deadline, Timestamp},
    engine::{AlwaysOn, BatchSummary, Engine},
    failure::Failure,
    intake::{self, Invocation, Message},
    ledger::MemoryLedger,
    settings::{Document, SettingsReader},
};
use serde_json::{Value, json};
pub use testkit::ACCOUNT;
use testkit::{Fault, Faults, FaultyLedger, Recorder, TokioClock, WafDouble};

/// How long a late call is on its way; longer than the time between two updates.
pub const LATE: Duration = Duration::from_millis(2_500);

/// Shared by all instances of a test, as AWS is.
#[derive(Debug, Clone, Default)]
pub struct Waf(pub Arc<WafDouble>);

impl IpSets for Waf {
    async fn get(&self, set: &IpSet) -> Result<Contents, Failure> {
        tokio::task::yield_now().await;
        let found = self.0.get(&set.to_string())?;
        Ok(Contents {
            addresses: found.addresses,
            lock_token: found.lock_token,
            description: None,
        })
    }

    async fn update(&self, set: &IpSet, replacement: &Approved<Replacement>) -> Result<Receipt, Failure> {
        tokio::task::yield_now().await;
        let replacement = replacement.write();
        if self.0.faults.take(Fault::Late) {
            let (waf, set, late) = (Arc::clone(&self.0), set.to_string(), replacement.clone());
            tokio::spawn(async move {
                tokio::time::sleep(LATE).await;
                // By now it is nobody's call: whether WAF takes it depends on the token alone.
                let _ = waf.update(&set, &late.addresses, &late.lock_token);
            });
            return Err(Fault::Late.failure("wafv2:UpdateIPSet").unwrap());
        }
        self.0
            .update(&set.to_string(), &replacement.addresses, &replacement.lock_token)?;
        Ok(Receipt {
            request_id: Some("request".to_owned()),
        })
    }
}

pub type Instance = Engine<BlockIp<Waf>, FaultyLedger<Arc<MemoryLedger>>, Recorder, TokioClock>;

/// AWS and the ledger, before which any number of instances stand.
#[derive(Debug)]
pub struct World {
    pub waf: Waf,
    pub ledger: Arc<MemoryLedger>,
    pub clock: TokioClock,
    /// What was reported.
    pub told: Recorder,
}

pub const V4: &str = "REGIONAL/IPV4/blocked-v4";
pub const V6: &str = "REGIONAL/IPV6/blocked-v6";
pub const ENVIRONMENT: [(&str, &str); 2] = [
    ("BLOCK_IPV4_SETS", "blocked-v4|id-4|REGIONAL"),
    ("BLOCK_IPV6_SETS", "blocked-v6|id-6|REGIONAL"),
];

/// What is set in every test.
pub fn defaults() -> Value {
    json!({ "mode": "enforce", "allowList": ["203.0.113.0/28"], "changesPerHour": 100_000 })
}

impl World {
    pub fn new() -> Self {
        let start = Timestamp::from_timestamp(1_790_000_000, 0).unwrap();
        Self {
            waf: Waf::default(),
            ledger: Arc::default(),
            clock: TokioClock::starting_at(start),
            told: Recorder::default(),
        }
    }

    pub fn instance(&self) -> Instance {
        self.instance_with(&json!({}))
    }

    /// Settings beside, or instead of, the defaults.
    pub fn instance_with(&self, settings: &Value) -> Instance {
        self.built(settings, &[], Faults::default())
    }

    /// In another environment.
    pub fn instance_in(&self, environment: &[(&str, &str)]) -> Instance {
        self.built(&json!({}), environment, Faults::default())
    }

    pub fn instance_failing(&self, faults: Faults) -> Instance {
        self.built(&json!({}), &[], faults)
    }

    /// With a whole document.
    pub fn instance_of(&self, document: &Value) -> Instance {
        self.built_of(&Document::parse(&document.to_string()).unwrap(), &[], Faults::default())
    }

    fn built(&self, settings: &Value, environment: &[(&str, &str)], faults: Faults) -> Instance {
        let document = testkit::settings::document("block-ip", &[&defaults(), settings]);
        self.built_of(&document, environment, faults)
    }

    fn built_of(&self, document: &Document, environment: &[(&str, &str)], faults: Faults) -> Instance {
        let environment = [&ENVIRONMENT, environment].concat();
        let environment = Environment::read(SettingsReader::new(testkit::settings::environment(&environment))).unwrap();
        let settings = Settings::read(&environment, document).unwrap();
        Engine {
            policy: settings.policy.clone(),
            remediation: BlockIp::new(self.waf.clone(), settings),
            ledger: FaultyLedger::new(Arc::clone(&self.ledger), faults),
            reporter: self.told.clone(),
            clock: self.clock,
            switch: Arc::new(AlwaysOn),
            actor: testkit::role(ACCOUNT),
        }
    }

    pub fn deadline(&self) -> Deadline {
        Deadline::after(Duration::from_secs(57), self.clock.now())
    }

    pub fn v4(&self) -> Vec<String> {
        texts(&self.waf.0.contents(V4).addresses)
    }
}

pub fn texts(nets: &[IpNet]) -> Vec<String> {
    let mut texts: Vec<_> = nets.iter().map(ToString::to_string).collect();
    texts.sort();
    texts
}

/// The messages of an SQS batch, through intake.
pub fn messages(bodies: &[(String, Value)]) -> Vec<Message> {
    let batch = testkit::events::sqs_batch(bodies.iter().map(|(id, body)| (id.as_str(), body.to_string())));
    match intake::read(&batch.to_string()).unwrap() {
        Invocation::Batch(messages) => messages,
        other => panic!("not a batch: {other:?}"),
    }
}

pub async fn deliver(instance: &Instance, world: &World, bodies: &[(String, Value)]) -> BatchSummary {
    instance.batch(messages(bodies), world.deadline()).await
}

pub fn attack(id: &str, seen: Timestamp, address: &str, severity: f64) -> (String, Value) {
    let attack = testkit::events::Attack {
        id,
        seen,
        address,
        severity,
    };
    (format!("message-{id}"), testkit::events::brute_force(&attack))
}

/// What each target ended as: target, outcome, code or class.
pub fn outcomes(summary: &remediation::engine::Summary) -> Vec<String> {
    summary
        .outcomes
        .iter()
        .map(|report| format!("{} {}", report.target, report.outcome))
        .collect()
}
