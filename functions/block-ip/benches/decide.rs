//! From a batch of GuardDuty findings to the one write that they come to, on IP sets and batches of every size.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a measurement that cannot go on has failed"
)]

use std::{hint::black_box, net::IpAddr};

use block_ip::{Attacker, Contents, Situation, Terms, attackers, converge};
use chrono::{TimeZone, Utc};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ipnet::IpNet;
use remediation::{
    Ask, Claim, Request,
    clock::Timestamp,
    finding::Finding,
    intake::{self, Intake, Invocation},
};
use serde_json::json;
use testkit::events::{Attack, brute_force};

const SET_SIZES: [u32; 5] = [100, 300, 1_000, 3_000, 9_999];
const BATCH_SIZES: [u32; 5] = [1, 10, 100, 1_000, 10_000];

fn now() -> Timestamp {
    Utc.with_ymd_and_hms(2026, 11, 1, 0, 0, 0).unwrap()
}

/// Public addresses, no two of them next to each other.
fn address(number: u32) -> IpAddr {
    let [_, high, middle, low] = (number * 2).to_be_bytes();
    IpAddr::from([50 + high, middle, low, 7])
}

/// A batch of a queue, with one finding for each of these attackers.
fn batch(attackers: std::ops::Range<u32>) -> String {
    let record = |number: u32| {
        let (id, address) = (number.to_string(), address(number).to_string());
        let event = brute_force(&Attack {
            id: &id,
            seen: now(),
            address: &address,
            severity: 2.0,
        });
        json!({ "messageId": id, "body": event.to_string(), "attributes": { "ApproximateReceiveCount": "1" } })
    };
    json!({ "Records": attackers.map(record).collect::<Vec<_>>() }).to_string()
}

fn findings(payload: &str) -> Vec<Finding> {
    let Invocation::Batch(messages) = intake::read(payload).unwrap() else {
        panic!("no batch")
    };
    let findings = |intake| match intake {
        Ok(Intake::Findings(findings)) => findings,
        other => panic!("{other:?}"),
    };
    messages
        .into_iter()
        .flat_map(|message| findings(message.intake))
        .collect()
}

/// Reads, claims and decides; returns how many addresses the set is to have.
fn decide(payload: &str, set: &Contents, terms: &Terms) -> usize {
    let findings = findings(payload);
    let claimed: Vec<_> = findings
        .iter()
        .map(|finding| match attackers(finding) {
            Claim::Targets(targets) => (targets, [&finding.evidence]),
            other => panic!("{other:?}"),
        })
        .collect();
    let requests: Vec<Request<'_, Attacker>> = claimed
        .iter()
        .flat_map(|(targets, evidence)| {
            targets.iter().map(|target| Request {
                target,
                ask: Ask::Remediate(evidence),
            })
        })
        .collect();
    let situation = Situation {
        now: now(),
        terms,
        set,
        standing: &[],
    };
    let plan = converge(&situation, &requests);
    plan.write.map_or(0, |write| write.addresses.len())
}

fn contents(size: u32) -> Contents {
    // Apart from every attacker.
    let foreign = |number: u32| IpNet::from(address(number + 4_000_000));
    Contents {
        addresses: (0..size).map(foreign).collect(),
        lock_token: "token".to_owned(),
        description: None,
    }
}

fn one_finding(criterion: &mut Criterion) {
    let (terms, payload) = (Terms::default(), batch(0..1));
    let mut group = criterion.benchmark_group("set");
    for size in SET_SIZES {
        let set = contents(size);
        assert_eq!(decide(&payload, &set, &terms), size as usize + 1);
        group.bench_with_input(BenchmarkId::from_parameter(size), &set, |bencher, set| {
            bencher.iter(|| decide(black_box(&payload), set, &terms));
        });
    }
    group.finish();
}

fn many_findings(criterion: &mut Criterion) {
    let (terms, set) = (Terms::default(), contents(0));
    let mut group = criterion.benchmark_group("batch");
    group.sample_size(20);
    for size in BATCH_SIZES {
        let payload = batch(0..size);
        assert_eq!(decide(&payload, &set, &terms), size as usize);
        group.throughput(Throughput::Elements(size.into()));
        group.bench_with_input(BenchmarkId::from_parameter(size), &payload, |bencher, payload| {
            bencher.iter_batched(
                || (),
                |()| decide(black_box(payload), &set, &terms),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, one_finding, many_findings);
criterion_main!(benches);
