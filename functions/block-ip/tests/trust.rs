//! What lets an operator leave the engine running: budgets, the kill switch, approvals, custom actions, the audit. Shown with
//! `block-ip`; the engine is the same for every function.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chrono::TimeDelta;
use futures_util::{FutureExt, future::BoxFuture};
use remediation::{
    clock::Clock,
    engine::{Summary, Switch},
    failure::Failure,
    ids::RecordId,
    intake::{self, Command, Invocation},
    ledger::Status,
    outcome::Outcome,
};
use serde_json::{Value, json};
use support::{ACCOUNT, Instance, World, attack, deliver};

fn told(summary: &Summary) -> Vec<String> {
    let code = |outcome: &Outcome| {
        let why = outcome.why();
        why.rsplit_once('(')
            .map_or(String::new(), |(_, code)| code.trim_end_matches(')').to_owned())
    };
    let outcomes = summary.outcomes.iter();
    let mut told: Vec<_> = outcomes
        .map(|report| format!("{} {} {}", report.target, report.outcome.name(), code(&report.outcome)))
        .chain(
            summary
                .declined
                .iter()
                .map(|reason| format!("declined {}", reason.code)),
        )
        .collect();
    told.sort();
    told
}

fn findings(world: &World, range: std::ops::Range<u8>) -> Vec<(String, Value)> {
    let now = world.clock.now();
    range
        .map(|n| attack(&format!("f{n}"), now, &format!("198.51.100.{n}"), 2.0))
        .collect()
}

fn count(told: &[String], what: &str) -> usize {
    told.iter().filter(|line| line.contains(what)).count()
}

fn only_record(summary: &Summary) -> RecordId {
    assert_eq!(summary.outcomes.len(), 1, "{summary:?}");
    summary.outcomes[0].record.clone()
}

async fn event(instance: &Instance, world: &World, event: &Value) -> Summary {
    let Invocation::Event(intake) = intake::read(&event.to_string()).unwrap() else {
        panic!("not an event")
    };
    instance.event(intake, world.deadline()).await
}

/// A finding in Security Hub on which somebody chose a custom action.
fn chosen(world: &World, action: &str, id: &str) -> Value {
    let (_, guardduty) = attack(id, world.clock.now(), "198.51.100.7", 2.0);
    let file = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../events/block-ip/security-hub-custom-action.json"
    ));
    let mut event: Value = serde_json::from_str(&file.unwrap()).unwrap();
    event["detail"]["actionName"] = action.into();
    let arn = guardduty["detail"]["arn"].clone();
    let findings = event["detail"]["findings"].as_array_mut().unwrap();
    findings.truncate(1);
    findings[0]["Id"] = arn;
    event
}

#[tokio::test(start_paused = true)]
async fn s24_over_the_budget_everything_waits_and_one_notice_goes_out() {
    let world = World::new();
    let three = world.instance_with(&json!({ "changesPerHour": 3 }));
    let done = deliver(&three, &world, &findings(&world, 1..8)).await;
    let lines = told(&done.summary);
    assert_eq!(
        (count(&lines, "Remediated"), count(&lines, "AwaitingApproval budget")),
        (3, 4),
        "{lines:?}"
    );
    assert_eq!(world.v4().len(), 3);
    let notices = world.told.notices();
    assert_eq!(
        (count(&notices, "Remediated"), count(&notices, "AwaitingApproval")),
        (3, 1),
        "{notices:?}"
    );

    let later = deliver(&three, &world, &findings(&world, 20..23)).await;
    assert_eq!(count(&told(&later.summary), "budget"), 3);
    assert_eq!(count(&world.told.notices(), "AwaitingApproval"), 1, "once an hour");

    // A person's word is not counted, and the next hour has its own changes.
    let waiting = done
        .summary
        .outcomes
        .iter()
        .find(|report| report.outcome.name() == "AwaitingApproval");
    let approved = three
        .approve(&waiting.unwrap().record, "ann", world.deadline())
        .await
        .unwrap();
    assert_eq!(count(&told(&approved), "Remediated"), 1);
    world.clock.sleep(Duration::from_secs(3600)).await;
    let next = deliver(&three, &world, &findings(&world, 30..32)).await;
    assert_eq!(count(&told(&next.summary), "Remediated"), 2);
}

#[tokio::test(start_paused = true)]
async fn s24_many_instances_share_one_budget() {
    let world = World::new();
    let instances: Vec<_> = (0..8)
        .map(|_| world.instance_with(&json!({ "changesPerHour": 5 })))
        .collect();
    let runs = instances.iter().enumerate().map(|(n, instance)| {
        let first = u8::try_from(n * 4).unwrap() + 1;
        let batch = findings(&world, first..first + 6);
        let world = &world;
        async move { told(&deliver(instance, world, &batch).await.summary) }
    });
    let lines: Vec<_> = futures_util::future::join_all(runs).await.concat();
    assert_eq!(world.v4().len(), 5, "{lines:?}");
    let settled = |name: &str| {
        let records = world.ledger.records();
        let is = |record: &&remediation::ledger::Record| matches!(&record.status, Status::Settled(outcome) if outcome.name() == name);
        records.iter().filter(is).count()
    };
    assert_eq!((settled("Remediated"), settled("AwaitingApproval")), (5, 29));
    assert_eq!(count(&world.told.notices(), "AwaitingApproval"), 1);
}

/// Stopped after so many questions.
#[derive(Debug)]
struct StopsAfter(AtomicUsize);

impl Switch for StopsAfter {
    fn allows_writes(&self) -> BoxFuture<'_, Result<bool, Failure>> {
        let left = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        async move { Ok(left.is_ok()) }.boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn s23_the_kill_switch_stops_every_write_also_of_a_run_under_way() {
    let world = World::new();
    let (one, two) = (findings(&world, 1..2), findings(&world, 2..3));
    let done = deliver(&world.instance(), &world, &one).await;
    let record = only_record(&done.summary);

    let stopped = world.instance_of(&json!({ "stop": true, "mode": "enforce" }));
    let waits = deliver(&stopped, &world, &two).await;
    assert_eq!(told(&waits.summary), ["198.51.100.2 AwaitingApproval stopped"]);
    let waiting = only_record(&waits.summary);
    for refused in [
        stopped.undo(&record, "ann", world.deadline()).await,
        stopped.approve(&waiting, "ann", world.deadline()).await,
    ] {
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("set stop to false"), "{refused}");
    }
    let undo = event(&stopped, &world, &chosen(&world, "Undo remediation", "f1")).await;
    assert_eq!(told(&undo), ["declined stopped"]);
    stopped.sweep(world.deadline()).await;
    assert_eq!(world.v4(), ["198.51.100.1/32"]);

    let mut running = world.instance();
    running.switch = Arc::new(StopsAfter(AtomicUsize::new(0)));
    let failed_again = findings(&world, 3..4);
    let failed = deliver(&running, &world, &failed_again).await;
    assert_eq!(failed.redeliver.len(), 1, "it comes again: {failed:?}");
    assert!(failed.summary.outcomes[0].outcome.why().contains("Stopped"));
    // What was announced is not put aside as waiting: it comes again until it is finished.
    let again = deliver(&stopped, &world, &failed_again).await;
    assert_eq!(again.redeliver.len(), 1, "{again:?}");
    assert_eq!(world.v4(), ["198.51.100.1/32"]);
}

#[tokio::test(start_paused = true)]
async fn s22_modes_hold_for_single_finding_types() {
    let world = World::new();
    let one = findings(&world, 1..2);
    for (mode, expected) in [
        ("off", "declined off"),
        ("dry-run", "198.51.100.1 WouldRemediate blocked"),
        ("approve", "198.51.100.1 AwaitingApproval blocked"),
        ("enforce", "198.51.100.1 Remediated blocked"),
    ] {
        let instance = world.instance_with(&json!({
            "mode": if mode == "enforce" { "off" } else { "enforce" }, "controls": { "*SSHBruteForce": mode, "Recon:*": "off" }
        }));
        assert_eq!(told(&deliver(&instance, &world, &one).await.summary), [expected]);
        assert_eq!(world.v4().len(), usize::from(mode == "enforce"), "{mode}");
    }
    // What a control's own mode has done can be taken back although the function is off.
    let own = world.instance_with(&json!({ "mode": "off", "controls": { "*SSHBruteForce": "enforce" } }));
    let record = world.ledger.records().remove(0).id;
    let undone = own.undo(&record, "ann", world.deadline()).await.unwrap();
    assert_eq!(count(&told(&undone), "Undone"), 1, "{undone:?}");
    assert!(world.v4().is_empty());
}

#[tokio::test(start_paused = true)]
async fn s21_an_approval_expires_and_says_who_gave_it() {
    let world = World::new();
    let careful = world.instance_of(&json!({ "mode": "approve", "approvalHours": 2 }));
    let waits = deliver(&careful, &world, &findings(&world, 1..2)).await;
    let record = only_record(&waits.summary);
    assert_eq!(world.told.notices(), ["AwaitingApproval 198.51.100.1"]);
    world.clock.sleep(Duration::from_secs(2 * 3600)).await;
    let late = careful
        .approve(&record, "ann", world.deadline())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        late.contains("has expired; a new event of the finding brings a new one"),
        "{late}"
    );
    assert!(world.v4().is_empty());

    let again = deliver(&careful, &world, &findings(&world, 2..3)).await;
    let record = only_record(&again.summary);
    let done = careful
        .approve(&record, "ann@example.com", world.deadline())
        .await
        .unwrap();
    assert_eq!(told(&done), ["198.51.100.2 Remediated blocked"]);
    let stored = world
        .ledger
        .records()
        .into_iter()
        .find(|stored| stored.id == record)
        .unwrap();
    let word = stored.approved.unwrap();
    assert_eq!(
        (word.by.as_str(), stored.actor.as_str()),
        ("ann@example.com", testkit::role(ACCOUNT).as_str())
    );
    assert!(word.at <= stored.updated_at && stored.image.is_some());
    let undone = careful.undo(&record, "ben", world.deadline()).await.unwrap();
    assert_eq!(count(&told(&undone), "Undone"), 1);
    let stored = world
        .ledger
        .records()
        .into_iter()
        .find(|stored| stored.id == record)
        .unwrap();
    assert_eq!(stored.reverted.unwrap().by, "ben");
    let twice = careful
        .undo(&record, "ben", world.deadline())
        .await
        .unwrap_err()
        .to_string();
    assert!(twice.contains("it has been undone already"), "{twice}");
}

#[tokio::test(start_paused = true)]
async fn s33_people_are_told_of_a_record_once() {
    let world = World::new();
    let careful = world.instance_with(&json!({ "mode": "approve" }));
    let one = findings(&world, 1..2);
    for _ in 0..3 {
        deliver(&careful, &world, &one).await;
    }
    assert_eq!(world.told.notices(), ["AwaitingApproval 198.51.100.1"]);
    for _ in 0..2 {
        deliver(
            &world.instance_with(&json!({ "mode": "dry-run" })),
            &world,
            &findings(&world, 2..3),
        )
        .await;
    }
    assert_eq!(world.told.notices().len(), 1, "a dry run is not worth a notice");
}

/// A topic that cannot be reached, or a process that ends before it has told anybody: the message comes again, and people are told then.
#[tokio::test(start_paused = true)]
async fn s91_what_could_not_be_told_is_told_when_the_message_comes_again() {
    let world = World::new();
    let instance = world.instance();
    let one = findings(&world, 1..2);
    world.told.is_out_of_reach(true);
    let failed = deliver(&instance, &world, &one).await;
    assert_eq!(failed.redeliver, ["message-f1"], "the message comes again");
    assert_eq!(world.v4(), ["198.51.100.1/32"], "what is done is done");
    world.told.is_out_of_reach(false);
    let again = |times| {
        let mut messages = support::messages(&one);
        messages[0].again = times > 1;
        instance.batch(messages, world.deadline())
    };
    assert_eq!(again(1).await.redeliver, [""; 0]);
    assert_eq!(
        world.told.notices().len(),
        0,
        "another event of the same finding asks for nothing"
    );
    assert_eq!(again(2).await.redeliver, [""; 0]);
    assert_eq!(world.told.notices(), ["Remediated 198.51.100.1"]);
    assert_eq!(again(3).await.redeliver, [""; 0]);
    assert_eq!(world.told.notices().len(), 1, "now it is known that they were told");
    let mut others = support::messages(&one);
    others[0].id = "another".to_owned();
    others[0].again = true;
    instance.batch(others, world.deadline()).await;
    assert_eq!(
        world.told.notices().len(),
        1,
        "another message of the same finding is none that told"
    );
}

#[tokio::test(start_paused = true)]
async fn s33_people_who_were_told_of_a_change_are_not_told_when_its_undo_is_asked_for_again() {
    let world = World::new();
    let instance = world.instance();
    deliver(&instance, &world, &findings(&world, 1..2)).await;
    let record = world.ledger.records().remove(0).id;
    for is_out_of_reach in [true, false, false] {
        world.told.is_out_of_reach(is_out_of_reach);
        let undone = instance.undo(&record, "anna", world.deadline()).await;
        if let Err(refused) = undone {
            assert!(refused.to_string().contains("it has been undone already"), "{refused}");
        }
    }
    assert_eq!(world.told.notices(), ["Remediated 198.51.100.1"]);
}

#[tokio::test(start_paused = true)]
async fn s34_custom_actions_remediate_and_undo() {
    let world = World::new();
    let careful = world.instance_with(&json!({ "mode": "approve" }));
    let none = event(&careful, &world, &chosen(&world, "Undo remediation", "f")).await;
    assert_eq!(told(&none), ["declined nothing-to-undo"]);
    let done = event(&careful, &world, &chosen(&world, "Remediate", "f")).await;
    assert_eq!(count(&told(&done), "Remediated"), done.outcomes.len(), "{done:?}");
    let blocked = world.v4();
    assert!(!blocked.is_empty());
    let record = world.ledger.records().remove(0);
    assert_eq!(record.approved.unwrap().by, "the Security Hub custom action Remediate");
    let undone = event(&careful, &world, &chosen(&world, "undo remediation", "f")).await;
    assert_eq!(count(&told(&undone), "Undone"), blocked.len(), "{undone:?}");
    assert!(world.v4().is_empty());
    let record = world.ledger.records().remove(0);
    assert_eq!(
        record.reverted.unwrap().by,
        "the Security Hub custom action Undo remediation"
    );
    let other = event(&careful, &world, &chosen(&world, "Open a ticket", "f")).await;
    assert_eq!(told(&other), ["declined other-action"]);
}

#[tokio::test(start_paused = true)]
async fn s25_what_would_be_done_is_explained_in_every_mode_and_nothing_is_written() {
    let world = World::new();
    for mode in ["off", "dry-run", "approve", "enforce"] {
        let instance = world.instance_with(&json!({ "mode": mode }));
        let (_, body) = attack("f", world.clock.now(), "198.51.100.7", 2.0);
        let explain = json!({ "explain": body }).to_string();
        let Invocation::Command(Command::Explain(intake)) = intake::read(&explain).unwrap() else {
            panic!("not a command")
        };
        let told = told(&instance.explain(intake, world.deadline()).await.unwrap());
        assert_eq!(told, ["198.51.100.7 WouldRemediate blocked"], "{mode}");
    }
    assert!(world.v4().is_empty() && world.ledger.records().is_empty() && world.told.reports().is_empty());
}

#[tokio::test(start_paused = true)]
async fn s26_what_is_exempt_is_left_alone_until_its_day() {
    let world = World::new();
    let one = findings(&world, 1..2);
    let today = world.clock.now().date_naive();
    let exempt = |day: chrono::NaiveDate| {
        world.instance_of(&json!({ "mode": "enforce", "exemptions": [{
            "resource": "198.51.100.*", "control": "*BruteForce", "owner": "ann", "reason": "a scanner", "expires": day
        }] }))
    };
    let kept = deliver(&exempt(today), &world, &one).await;
    assert_eq!(told(&kept.summary), ["198.51.100.1 Declined exempt"]);
    let why = kept.summary.outcomes[0].outcome.why();
    assert!(why.contains("on the word of ann: a scanner"), "{why}");
    let over = deliver(&exempt(today - TimeDelta::days(1)), &world, &one).await;
    assert_eq!(told(&over.summary), ["198.51.100.1 Remediated blocked"]);
}
