//! Many instances at once, and many findings at once: the real binaries on the local cloud, under AWS WAF's limit of one update a second.
//!
//! `cargo test` runs small ones; `STORM=all cargo test --workspace --test storm -- --nocapture` runs up to 64 instances, ten thousand
//! findings, and more attackers than an IP set holds.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed, and the figures are shown"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use chrono::Utc;
use local_cloud::{Answer, AwsCall, Fault, Instance};
use securecart_tests::{
    laboratory::{Laboratory, comes_again, messages, notices, resources},
    read_ip_set,
    seeds::{self, CHANGES},
    stack::{Stack, sample},
};
use serde_json::{Value, json};
use testkit::events::{Attack, brute_force};

/// As the template has it.
const DEADLINE: Duration = Duration::from_secs(60);
/// As the template has it: a message that still fails then lies in the dead-letter queue.
const DELIVERIES: usize = 5;

fn is_full() -> bool {
    std::env::var("STORM").is_ok_and(|storm| storm == "all")
}

/// Delivers the events to an instance of their own until none comes again. One that ran out of time is killed, as Lambda does, and what it had
/// comes to another.
fn deliver(laboratory: &Laboratory, function: &str, mut instance: Instance, events: &[Value]) -> Result<(), String> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let message = |event| (NEXT.fetch_add(1, Ordering::Relaxed).to_string(), event);
    let mut waiting: Vec<(String, &Value)> = events.iter().map(message).collect();
    for delivery in 1..=DELIVERIES {
        let answer = instance.invoke(&messages(waiting.clone(), delivery), DEADLINE);
        waiting.retain(|(id, _)| comes_again(id, &answer));
        if waiting.is_empty() {
            return Ok(());
        }
        match answer {
            Answer::TimedOut => instance = laboratory.instance(function).unwrap(),
            Answer::Ended(_) => return Err(format!("{answer:?}")),
            Answer::Response(_) | Answer::Error(_) => {}
        }
    }
    Err(format!("{} messages lie in the dead-letter queue", waiting.len()))
}

/// Each batch to its own instance, all at the same time.
fn all_at_once(laboratory: &Laboratory, function: &str, batches: &[Vec<Value>]) {
    let instances: Vec<_> = batches.iter().map(|_| laboratory.instance(function).unwrap()).collect();
    for instance in &instances {
        instance.ready().unwrap();
    }
    std::thread::scope(|scope| {
        let running: Vec<_> = instances
            .into_iter()
            .zip(batches)
            .map(|(instance, events)| scope.spawn(move || deliver(laboratory, function, instance, events)))
            .collect();
        for run in running {
            run.join().unwrap().unwrap();
        }
    });
}

fn count(calls: &[AwsCall], operation: &str) -> usize {
    calls
        .iter()
        .filter(|call| call.operation == operation && call.applied)
        .count()
}

fn attacks(attackers: std::ops::Range<u32>, name: &str) -> Vec<Value> {
    let seen = Utc::now();
    let event = |number: u32| {
        // Public addresses, no two of them next to each other.
        let [_, high, middle, low] = (number * 2).to_be_bytes();
        let address = format!("{}.{middle}.{low}.7", 50 + u16::from(high));
        let id = format!("{name}-{number}");
        let attack = Attack {
            id: &id,
            seen,
            address: &address,
            severity: 2.0,
        };
        brute_force(&attack)
    };
    attackers.map(event).collect()
}

/// A third change that may cut an administrator waits for longer than CI should.
const ONE_TOO_MANY: &str = "config-blacklisted";

/// Every function, with instances that all get all events of the function at the same time, as duplicates of a queue would come.
#[test]
fn s93_instances_that_run_into_each_other_lose_nothing_and_say_nothing_twice() {
    let laboratory = Laboratory::of(Stack::deploy_all("crowd")).unwrap();
    seeds::everything(&laboratory.stack);
    laboratory.stack.cloud.save().unwrap();
    let functions: BTreeSet<_> = CHANGES.iter().map(|(_, function, _)| *function).collect();
    let crowds: &[usize] = if is_full() { &[2, 8, 32, 64] } else { &[4] };
    for function in functions {
        let samples = CHANGES
            .iter()
            .filter(|(_, of, name)| *of == function && (is_full() || *name != ONE_TOO_MANY));
        let events: Vec<_> = samples.map(|(_, _, name)| sample(function, name)).collect();
        laboratory.stack.cloud.restore().unwrap();
        laboratory.proxy.plan(|_| Fault::None);
        all_at_once(&laboratory, function, std::slice::from_ref(&events));
        let (alone, records) = (laboratory.stack.cloud.state().unwrap(), laboratory.records().unwrap());
        let told = notices(&laboratory.proxy.calls());
        assert!(!told.is_empty(), "{function}");
        // A duplicate that is looked at when all is done may lead to another target, in which nothing is left to do: the inline policy that it
        // was about is gone, for instance.
        all_at_once(&laboratory, function, std::slice::from_ref(&events));
        let late = laboratory.records().unwrap();
        let is_as_it_may_be = |(id, status): (&String, &String)| match records.get(id) {
            Some(before) => before == status,
            None => status == "AlreadyInPlace",
        };
        assert!(late.iter().all(is_as_it_may_be), "{function}: {late:?}");
        assert!(records.keys().all(|id| late.contains_key(id)), "{function}: {late:?}");
        let state = laboratory.stack.cloud.state().unwrap();
        assert!(resources(&state) == resources(&alone), "{function}");
        assert_eq!(notices(&laboratory.proxy.calls()), told, "{function}");
        for crowd in crowds {
            laboratory.stack.cloud.restore().unwrap();
            laboratory.proxy.plan(|_| Fault::None);
            let begin = Instant::now();
            // Each in another order.
            let order = |number: usize| {
                let mut events = events.clone();
                let turn = number % events.len();
                events.rotate_left(turn);
                events
            };
            let batches: Vec<_> = (0..*crowd).map(order).collect();
            all_at_once(&laboratory, function, &batches);
            let calls = laboratory.proxy.calls();
            println!(
                "{function}: {crowd} instances, {} events each: {} AWS calls, {} notices, {:.1} s",
                events.len(),
                calls.len(),
                notices(&calls).len(),
                begin.elapsed().as_secs_f64()
            );
            let state = laboratory.stack.cloud.state().unwrap();
            let (state, alone) = (resources(&state), resources(&alone));
            let differences: Vec<_> = state.symmetric_difference(&alone).collect();
            assert!(
                differences.is_empty(),
                "{function}, {crowd} instances: {differences:#?}"
            );
            let mut recorded = laboratory.records().unwrap();
            recorded.retain(|id, status| records.contains_key(id) || late.get(id) != Some(status));
            assert_eq!(recorded, records, "{function}, {crowd} instances");
            assert_eq!(notices(&calls), told, "{function}, {crowd} instances");
        }
    }
}

#[test]
fn s24_a_budget_is_spent_to_the_last_change_and_not_beyond_by_however_many() {
    let budget = 25;
    let laboratory = Laboratory::of(Stack::deploy(
        "block-ip",
        "budget",
        &json!({ "changesPerHour": budget }),
    ))
    .unwrap();
    let instances: u32 = if is_full() { 32 } else { 4 };
    let batches: Vec<_> = (0..instances)
        .map(|number| attacks(number * 20..number * 20 + 20, "over"))
        .collect();
    all_at_once(&laboratory, "block-ip", &batches);
    let records = laboratory.records().unwrap();
    let with = |outcome: &str| records.values().filter(|status| *status == outcome).count();
    assert_eq!(with("Remediated"), budget, "{records:?}");
    assert_eq!(with("AwaitingApproval"), instances as usize * 20 - budget);
    assert_eq!(blocked(&laboratory).len(), budget);
    let told = notices(&laboratory.proxy.calls());
    let of_the_budget = told.iter().filter(|subject| subject.contains("AwaitingApproval"));
    assert_eq!(of_the_budget.count(), 1, "{told:?}");
}

fn blocked(laboratory: &Laboratory) -> BTreeSet<String> {
    let set = &laboratory.stack.deployment.outputs["RegionalIPv4SetRef"];
    read_ip_set(&laboratory.stack.cloud, set)
        .unwrap()
        .0
        .into_iter()
        .collect()
}

/// Two instances, as the template's concurrency has it, take turns with the batches of a storm in which every fifth finding is about an attacker
/// who is known already.
#[test]
fn s94_a_storm_is_blocked_in_no_more_updates_than_batches() {
    let (attackers, findings, size) = if is_full() {
        (8_000, 10_000, 1_000)
    } else {
        (400, 500, 100)
    };
    let laboratory = Laboratory::of(Stack::deploy(
        "block-ip",
        "storm",
        &json!({ "changesPerHour": 100_000 }),
    ))
    .unwrap();
    let mut events = attacks(0..attackers, "first");
    events.extend(attacks(0..findings - attackers, "second"));
    let batches: Vec<_> = events.chunks(size).map(<[Value]>::to_vec).collect();
    let begin = Instant::now();
    for pair in batches.chunks(2) {
        all_at_once(&laboratory, "block-ip", pair);
    }
    let (calls, took) = (laboratory.proxy.calls(), begin.elapsed());
    let updates = count(&calls, "UpdateIPSet");
    println!(
        "{findings} findings about {attackers} attackers in {} batches: {updates} updates, {} AWS calls, {:.1} s",
        batches.len(),
        calls.len(),
        took.as_secs_f64()
    );
    assert_eq!(blocked(&laboratory).len(), attackers as usize);
    assert!(
        updates <= batches.len(),
        "{updates} updates for {} batches",
        batches.len()
    );
    let records = laboratory.records().unwrap();
    assert_eq!(records.len(), findings as usize);
    assert!(
        records
            .values()
            .all(|status| status == "Remediated" || status == "AlreadyInPlace"),
        "{records:?}"
    );
}

/// More attackers than a set holds. Only by the full run: it takes minutes.
#[test]
fn s94_beyond_the_capacity_of_a_set_every_attacker_is_accounted_for() {
    if !is_full() {
        println!("left out: STORM=all runs it");
        return;
    }
    let laboratory = Laboratory::of(Stack::deploy(
        "block-ip",
        "flood",
        &json!({ "changesPerHour": 100_000 }),
    ))
    .unwrap();
    let events = attacks(0..12_000, "flood");
    let begin = Instant::now();
    for chunk in events.chunks(1_000) {
        all_at_once(&laboratory, "block-ip", &[chunk.to_vec()]);
    }
    let records = laboratory.records().unwrap();
    let mut outcomes: BTreeMap<&str, usize> = BTreeMap::new();
    for status in records.values() {
        *outcomes.entry(status).or_default() += 1;
    }
    let blocked = blocked(&laboratory);
    println!(
        "12000 attackers, {} blocked, {outcomes:?}, {:.1} s",
        blocked.len(),
        begin.elapsed().as_secs_f64()
    );
    assert_eq!(blocked.len(), 10_000);
    assert_eq!(records.len(), 12_000, "each finding has its record");
    let items = laboratory.ledger().unwrap();
    let bodies = items
        .iter()
        .filter(|item| item["pk"]["S"].as_str().is_some_and(|pk| pk.starts_with("record#")))
        .map(|item| serde_json::from_str::<Value>(item["body"]["S"].as_str().unwrap()).unwrap());
    let gave_way = bodies.filter(|body| !body["released"].is_null()).count();
    assert_eq!(gave_way, 2_000, "who gave way is told of by their records");
}
