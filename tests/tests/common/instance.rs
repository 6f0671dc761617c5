//! Instances of the function that run in the test's own process, on the local cloud.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::{sync::Arc, time::Duration};

use block_ip::{BlockIp, Environment, Settings, Waf};
use local_cloud::LocalCloud;
use remediation::{
    clock::{Clock, Deadline, SystemClock},
    engine::{AlwaysOn, Engine},
    intake::{self, Invocation},
    report::Silent,
    settings::SettingsReader,
};
use remediation_aws::{Aws, DynamoLedger};
use securecart_tests::sdk_config;
use serde_json::json;

pub type Instance = Engine<BlockIp<Waf>, DynamoLedger, Silent, SystemClock>;

/// An instance of the function in this process, with clients of its own.
pub async fn instance(cloud: &LocalCloud, table: &str, v4: &str, v6: &str) -> Instance {
    let values = [("BLOCK_IPV4_SETS", v4), ("BLOCK_IPV6_SETS", v6)];
    let environment = Environment::read(SettingsReader::new(testkit::settings::environment(&values))).unwrap();
    let document = json!({ "mode": "enforce", "changesPerHour": 1_000_000 });
    let document = testkit::settings::document("block-ip", &[&document]);
    let settings = Settings::read(&environment, &document).unwrap();
    let waf = Waf::new(&Aws::from_config(sdk_config(cloud.waf_endpoint()).await));
    let ledger = Aws::from_config(sdk_config(cloud.endpoint()).await).patient();
    Engine {
        policy: settings.policy.clone(),
        remediation: BlockIp::new(waf, settings),
        ledger: DynamoLedger::new(aws_sdk_dynamodb::Client::new(&ledger), table.to_owned()),
        reporter: Silent,
        clock: SystemClock,
        switch: Arc::new(AlwaysOn),
        actor: testkit::role(local_cloud::ACCOUNT),
    }
}

/// Delivers a batch and, as SQS does, delivers again what was not done.
pub async fn deliver(instance: &Instance, mut bodies: Vec<(String, String)>) -> usize {
    for delivery in 1..=20 {
        let batch = testkit::events::sqs_batch(bodies.iter().map(|(id, body)| (id.as_str(), body.clone())));
        let Ok(Invocation::Batch(messages)) = intake::read(&batch.to_string()) else {
            panic!("not a batch")
        };
        let deadline = Deadline::after(Duration::from_secs(57), instance.clock.now());
        let again = instance.batch(messages, deadline).await.redeliver;
        bodies.retain(|(id, _)| again.contains(id));
        if bodies.is_empty() {
            return delivery;
        }
    }
    panic!("{} messages were never done", bodies.len())
}

/// A finding of its own about this address, as message id and body.
pub fn brute_force(writer: &str, address: &str) -> (String, String) {
    let id = format!("{writer}-{address}");
    let attack = testkit::events::Attack {
        id: &id,
        seen: SystemClock.now(),
        address,
        severity: 2.0,
    };
    (id.clone(), testkit::events::brute_force(&attack).to_string())
}
