//! The engine holds a change back that would grant more, whatever the remediation has decided.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use remediation::{
    Approved, Claim, Receipt, Remediation, View,
    clock::{Clock, Deadline, Timestamp},
    engine::{AlwaysOn, Engine, Policy},
    failure::Failure,
    finding::Finding,
    intake::{self, Invocation},
    ledger::{Image, MemoryLedger, Status},
    outcome::{Outcome, Reason},
    plan::{Decision, Plan, Step},
    policy::Narrowed,
    report::Silent,
    settings::Section,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use testkit::{TokioClock, events};

const BEFORE: &str = r#"{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}}"#;
const WIDER: &str = r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;
const NARROWER: &str = r#"{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::a"}}"#;

/// A remediation that is wrong about one of its two targets.
#[derive(Debug, Default)]
struct Careless(Arc<AtomicUsize>);

impl Remediation for Careless {
    const NAME: &'static str = "careless";

    type Target = String;
    type Scope = String;
    type State = bool;
    type Change = String;
    type Write = ();

    fn claim(&self, _: &Finding) -> Claim<String> {
        Claim::Targets(vec!["wider".to_owned(), "narrower".to_owned()])
    }

    fn guard(&self, _: &String) -> Option<Reason> {
        None
    }

    fn resources(&self, target: &String) -> Vec<String> {
        vec![target.clone()]
    }

    fn scopes(&self, _: &String) -> Vec<String> {
        vec!["scope".to_owned()]
    }

    async fn observe(&self, _: &String, _: &[&String]) -> Result<bool, Failure> {
        Ok(self.0.load(Ordering::SeqCst) > 0)
    }

    fn decide(&self, view: &View<'_, Self>) -> Plan<String, ()> {
        let decision = |target: &str| {
            let text = if target == "wider" { WIDER } else { NARROWER };
            let reason = Reason::new("changed", target);
            if *view.state {
                Decision::InPlace(reason)
            } else {
                Decision::Act(Step::Make(text.to_owned()), reason)
            }
        };
        Plan::of(view.requests.iter().map(|request| decision(request.target)), |_| {
            Some(())
        })
    }

    fn oversteps(&self, change: &String) -> Option<Reason> {
        Narrowed::prove(Some(BEFORE), Some(change)).err().map(Reason::from)
    }

    async fn apply(&self, _: &String, _: &Approved<()>) -> Result<Receipt, Failure> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(Receipt::default())
    }

    fn image(&self, _: &String, _: &String) -> Image {
        let none = || Value::Null;
        Image {
            before: none(),
            after: none(),
            inverse: none(),
        }
    }

    fn hold_after_undo(&self, _: &String, _: Timestamp) -> Option<Timestamp> {
        None
    }
}

/// In the mode `enforce`.
fn enforcing() -> Policy {
    let document = testkit::settings::document("block-ip", &[&json!({ "mode": "enforce" })]);
    Policy::read::<Nothing>(&document, "block-ip").unwrap().0
}

/// No settings of its own.
#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Nothing {}

impl Section for Nothing {}

fn engine(clock: TokioClock) -> Engine<Careless, Arc<MemoryLedger>, Silent, TokioClock> {
    Engine {
        remediation: Careless::default(),
        ledger: Arc::default(),
        reporter: Silent,
        clock,
        policy: enforcing(),
        switch: Arc::new(AlwaysOn),
        actor: testkit::role("111122223333"),
    }
}

fn clock() -> TokioClock {
    TokioClock::starting_at(Timestamp::from_timestamp(1_790_000_000, 0).unwrap())
}

#[tokio::test(start_paused = true)]
async fn s12_what_would_grant_more_is_escalated_and_never_written_or_recorded_as_intended() {
    let clock = clock();
    let engine = engine(clock);
    let (ledger, writes) = (Arc::clone(&engine.ledger), Arc::clone(&engine.remediation.0));
    let attack = events::Attack {
        id: "a",
        seen: clock.now(),
        address: "198.51.100.23",
        severity: 2.0,
    };
    let Invocation::Event(intake) = intake::read(&events::brute_force(&attack).to_string()).unwrap() else {
        panic!("not an event")
    };
    let deadline = Deadline::after(Duration::from_secs(60), clock.now());
    let summary = engine.event(intake, deadline).await;
    let outcome = |target: &str| {
        let report = summary.outcomes.iter().find(|report| report.target == target);
        report.unwrap().outcome.clone()
    };
    let Outcome::Escalated(why) = outcome("wider") else {
        panic!("{summary:?}")
    };
    assert_eq!(why.code, "unproven");
    assert!(matches!(outcome("narrower"), Outcome::Remediated(_)), "{summary:?}");
    assert_eq!(writes.load(Ordering::SeqCst), 1, "the write without it");
    let records = ledger.records();
    let of = |target: &str| records.iter().find(|record| record.target == json!(target)).unwrap();
    assert!(matches!(of("wider").status, Status::Settled(Outcome::Escalated(_))));
    assert_eq!(of("wider").change, None, "there is nothing to undo");
}

/// Whatever is not said otherwise.
#[tokio::test(start_paused = true)]
async fn what_becomes_of_a_finding_is_the_answer_to_it() {
    let clock = clock();
    let engine = engine(clock);
    let event = events::control("S3.17", "a", ("AwsS3Bucket", "a"), "2026-09-21T14:00:00Z");
    let batch = events::sqs_batch([("m", event.to_string())]);
    let Invocation::Batch(messages) = intake::read(&batch.to_string()).unwrap() else {
        panic!("not a batch")
    };
    engine
        .batch(messages, Deadline::after(Duration::from_secs(60), clock.now()))
        .await;
    let records = engine.ledger.records();
    assert!(
        records.iter().all(|record| record.unanswered) && records.len() == 2,
        "{records:?}"
    );
    assert!(
        engine
            .sweep(Deadline::after(Duration::from_secs(60), clock.now()))
            .await
            .outcomes
            .is_empty()
    );
}
