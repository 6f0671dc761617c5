//! Random streams of findings with duplicates, reordering, concurrent instances, people who edit the set, and faults,
//! against a reference model of what must and must not be blocked.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use block_ip::Block;
use proptest::{collection::vec, prelude::*, sample::select};
use remediation::{
    clock::{Clock, Timestamp},
    ledger::{Ledger, Phase, ScopeKey},
    outcome::Outcome,
};
use serde_json::Value;
use support::{V4, World, attack, deliver};
use testkit::{Fault, Faults, any_fault};

/// Few addresses, so that streams meet: neighbours, a private one, one of the allow-list.
const ADDRESSES: [&str; 8] = [
    "198.51.100.4",
    "198.51.100.5",
    "198.51.100.6",
    "198.51.100.7",
    "192.0.2.9",
    "192.0.2.77",
    "10.0.0.9",
    "203.0.113.5",
];
const PROTECTED: [&str; 2] = ["10.0.0.9", "203.0.113.5"];
/// What a person may add by hand; some of it attacks as well, some would be protected from us.
const BY_HAND: [&str; 4] = ["192.0.2.77/32", "192.0.2.128/25", "203.0.113.5/32", "100.100.100.0/24"];

#[derive(Debug, Clone)]
enum Op {
    /// Three instances take a batch each, at the same time.
    Deliver {
        batches: [Vec<Sent>; 3],
        waf: Vec<Fault>,
        ledger: Vec<Fault>,
    },
    /// A person adds an address.
    Add(usize),
    /// A person takes back what a person added.
    Take(usize),
    /// An operator undoes a block.
    Undo(usize),
    /// The schedule.
    Sweep(Vec<Fault>),
    /// Hours pass.
    Wait(u64),
}

#[derive(Debug, Clone)]
enum Sent {
    /// A finding of its own.
    New { address: usize, severity: u8 },
    /// One that has been sent before.
    Again(usize),
}

fn sent() -> impl Strategy<Value = Sent> {
    prop_oneof![
        2 => (0..ADDRESSES.len(), 1..10_u8).prop_map(|(address, severity)| Sent::New { address, severity }),
        1 => (0..64_usize).prop_map(Sent::Again),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let batch = || vec(sent(), 0..5);
    prop_oneof![
        5 => ([batch(), batch(), batch()], vec(any_fault(), 0..12), vec(any_fault(), 0..12))
            .prop_map(|(batches, waf, ledger)| Op::Deliver { batches, waf, ledger }),
        1 => (0..BY_HAND.len()).prop_map(Op::Add),
        1 => (0..BY_HAND.len()).prop_map(Op::Take),
        1 => (0..64_usize).prop_map(Op::Undo),
        2 => vec(any_fault(), 0..6).prop_map(Op::Sweep),
        2 => select(vec![1_u64, 12, 23, 25, 80]).prop_map(Op::Wait),
    ]
}

/// What is known from outside: what was promised, and what people did.
#[derive(Debug, Default)]
struct Model {
    sent: Vec<(String, Value, &'static str)>,
    /// Messages that have been answered for, and need not come again.
    done: BTreeSet<String>,
    /// Until when an address is at least blocked, by the outcomes that were told.
    blocked: BTreeMap<&'static str, Timestamp>,
    /// Until when an address is at least left alone, by the undos that were told.
    released: BTreeMap<&'static str, Timestamp>,
    by_hand: BTreeSet<&'static str>,
}

impl Model {
    fn pick(&mut self, world: &World, sent: &Sent) -> Option<(String, Value)> {
        match sent {
            Sent::New { address, severity } => {
                let id = format!("f{}", self.sent.len());
                let (message, body) = attack(&id, world.clock.now(), ADDRESSES[*address], f64::from(*severity));
                self.sent.push((message.clone(), body.clone(), ADDRESSES[*address]));
                Some((message, body))
            }
            Sent::Again(index) => {
                let (message, body, _) = self.sent.get(index % self.sent.len().max(1))?;
                Some((message.clone(), body.clone()))
            }
        }
    }

    /// Takes note of what a batch was told.
    fn note(&mut self, started: Timestamp, bodies: &[(String, Value)], told: &remediation::engine::BatchSummary) {
        for (message, _) in bodies {
            if told.redeliver.contains(message) || !self.done.insert(message.clone()) {
                continue;
            }
            let address = self.sent.iter().find(|(sent, ..)| sent == message).unwrap().2;
            let finding = format!("/{}", message.trim_start_matches("message-"));
            let reports = &told.summary.outcomes;
            let report = reports
                .iter()
                .find(|report| report.evidence.id.as_str().ends_with(&finding));
            let outcome = report.map(|report| &report.outcome);
            match outcome {
                Some(Outcome::Remediated(_)) => {
                    let until = started + Duration::from_secs(24 * 3600);
                    let known = self.blocked.entry(address).or_insert(until);
                    *known = until.max(*known);
                }
                Some(Outcome::AlreadyInPlace(_) | Outcome::Declined(_) | Outcome::Undone(_)) => {}
                other => panic!("{message} about {address} ended as {other:?}"),
            }
        }
    }

    fn check(&self, world: &World) {
        let now = world.clock.now();
        let set: BTreeSet<String> = world.v4().into_iter().collect();
        for net in &self.by_hand {
            assert!(set.contains(*net), "what a person added is gone: {net} of {set:?}");
        }
        for (address, until) in &self.blocked {
            let released = self.released.get(address).is_some_and(|hold| *hold > now);
            if *until > now && !released {
                let covered = world
                    .waf
                    .0
                    .contents(V4)
                    .addresses
                    .iter()
                    .any(|net| net.contains(&address.parse::<std::net::IpAddr>().unwrap()));
                assert!(covered, "lost block of {address}: {set:?}");
            }
        }
        for net in set.iter().filter(|net| !self.by_hand.contains(net.as_str())) {
            let address = net.strip_suffix("/32").unwrap_or_else(|| panic!("{net} is nobody's"));
            assert!(!PROTECTED.contains(&address), "protected address blocked: {address}");
            assert!(
                self.sent.iter().any(|(_, _, sent)| *sent == address),
                "{address} was never reported"
            );
            let released = self.released.get(address).is_some_and(|hold| *hold > now);
            assert!(!released, "{address} was undone and is blocked again");
        }
    }
}

async fn run(ops: Vec<Op>) {
    let world = World::new();
    let mut model = Model::default();
    for op in ops {
        match op {
            Op::Deliver { batches, waf, ledger } => {
                let bodies = batches.map(|batch| {
                    let mut batch: Vec<_> = batch.iter().filter_map(|sent| model.pick(&world, sent)).collect();
                    batch.dedup_by(|a, b| a.0 == b.0);
                    batch
                });
                world.waf.0.faults.plan(waf);
                let mut chunks = ledger.chunks(4).map(<[Fault]>::to_vec);
                let instances =
                    [(); 3].map(|()| world.instance_failing(Faults::new(chunks.next().unwrap_or_default())));
                let started = world.clock.now();
                let [a, b, c] = &bodies;
                let [x, y, z] = &instances;
                let told = tokio::join!(deliver(x, &world, a), deliver(y, &world, b), deliver(z, &world, c));
                for (bodies, told) in bodies.iter().zip([told.0, told.1, told.2]) {
                    model.note(started, bodies, &told);
                }
                // Late writes have landed by then; what was told must hold before any schedule mends it.
                world.clock.advance(support::LATE * 2).await;
                model.check(&world);
                settle(&world, &mut model).await;
                model.check(&world);
            }
            Op::Add(index) => {
                let net = BY_HAND[index];
                let parsed = net.parse().unwrap();
                // An address that the ledger still holds cannot be told from one that a person adds as well: nobody
                // adds it twice.
                let ours = ScopeKey {
                    account: support::ACCOUNT,
                    remediation: "block-ip",
                    scope: V4,
                };
                let standing = world.ledger.standing::<Block>(ours).await.unwrap();
                let is_held = standing
                    .iter()
                    .any(|held| held.change.cidr == parsed && !matches!(held.phase, Phase::Held(_)));
                if !is_held && !world.v4().contains(&net.to_owned()) {
                    world.waf.0.edit(V4, |set| set.push(parsed));
                    model.by_hand.insert(net);
                }
            }
            Op::Take(index) => {
                let net = BY_HAND[index];
                if model.by_hand.remove(net) {
                    world.waf.0.edit(V4, |set| set.retain(|held| held.to_string() != net));
                    // What a person's network covered is no promise of ours.
                    let parsed: ipnet::IpNet = net.parse().unwrap();
                    model
                        .blocked
                        .retain(|address, _| !parsed.contains(&address.parse::<std::net::IpAddr>().unwrap()));
                }
            }
            Op::Undo(index) => {
                let records: Vec<_> = world.ledger.records();
                let Some(record) = records.get(index % records.len().max(1)) else {
                    continue;
                };
                let address = *ADDRESSES.iter().find(|address| record.target == **address).unwrap();
                let undone = world.instance().undo(&record.id, "an operator", world.deadline()).await;
                match undone.map(|summary| summary.outcomes[0].outcome.clone()) {
                    Ok(Outcome::Undone(_)) => {
                        model
                            .released
                            .insert(address, world.clock.now() + Duration::from_secs(23 * 3600));
                        model.blocked.remove(address);
                    }
                    // It may have got as far as its intent; the schedule then completes it.
                    Ok(Outcome::Failed(_)) => {
                        model.blocked.remove(address);
                    }
                    Ok(Outcome::Declined(_)) | Err(_) => {}
                    other => panic!("undo ended as {other:?}"),
                }
                settle(&world, &mut model).await;
                model.check(&world);
            }
            Op::Sweep(faults) => {
                world.waf.0.faults.plan(faults);
                world.instance().sweep(world.deadline()).await;
                model.check(&world);
            }
            Op::Wait(hours) => world.clock.advance(Duration::from_secs(hours * 3600)).await,
        }
    }
    settle(&world, &mut model).await;
    model.check(&world);

    // All of it again: what was done is not done again.
    let again: Vec<_> = model
        .sent
        .iter()
        .filter(|(_, _, address)| !PROTECTED.contains(address))
        .map(|(message, body, _)| (message.clone(), body.clone()))
        .collect();
    let (updates, set) = (world.waf.0.updates(), world.v4());
    world.clock.advance(Duration::from_secs(5)).await;
    deliver(&world.instance(), &world, &again).await;
    assert_eq!((world.waf.0.updates(), world.v4()), (updates, set), "a replay wrote");

    // In the end only what people added is left.
    world.clock.advance(Duration::from_secs(1_000 * 3600)).await;
    world.instance().sweep(world.deadline()).await;
    let by_hand: Vec<_> = model.by_hand.iter().map(ToString::to_string).collect();
    assert_eq!(world.v4(), by_hand);
}

/// The faults are over; what has to come again does, until nothing has to.
async fn settle(world: &World, model: &mut Model) {
    world.waf.0.faults.plan([]);
    for _ in 0..10 {
        let open: Vec<_> = model
            .sent
            .iter()
            .filter(|(message, ..)| !model.done.contains(message))
            .map(|(message, body, _)| (message.clone(), body.clone()))
            .collect();
        if open.is_empty() {
            world.instance().sweep(world.deadline()).await;
            return;
        }
        let started = world.clock.now();
        let told = deliver(&world.instance(), world, &open).await;
        model.note(started, &open, &told);
    }
    panic!("messages never came to rest");
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn s43_no_stream_loses_a_block_or_touches_what_is_not_ours(ops in vec(op(), 1..14)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(run(ops));
    }
}
