//! What `block-ip` answers to each file of `events/block-ip`, as a snapshot per file.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod support;

use std::{collections::BTreeSet, fmt::Write};

use remediation::{
    finding::Channel,
    intake::{self, Invocation},
};
use support::{V4, V6, World, texts};
use testkit::{TokioClock, samples};

const FUNCTION: &str = "block-ip";

fn world() -> World {
    World {
        clock: TokioClock::starting_at(samples::now()),
        ..World::new()
    }
}

#[tokio::test(start_paused = true)]
async fn s40_every_sample_is_answered_as_its_snapshot_says() {
    testkit::assert_answers!(FUNCTION, world, answer);
}

#[test]
fn every_snapshot_and_every_description_belongs_to_a_sample() {
    samples::all_have_snapshots_and_descriptions(FUNCTION, env!("CARGO_MANIFEST_DIR"));
}

#[tokio::test(start_paused = true)]
async fn s10_a_sample_that_comes_again_changes_nothing() {
    let count = |world: &World| (world.waf.0.updates(), world.ledger.records().len());
    samples::change_nothing_again(FUNCTION, world, answer, count).await;
}

#[tokio::test(start_paused = true)]
async fn s11_a_finding_that_comes_by_three_ways_is_one_finding() {
    let world = world();
    let ways = [
        "ssh-brute-force",
        "security-hub-imported-ssh-brute-force",
        "security-hub-v2-ssh-brute-force",
    ];
    for way in ways {
        answer(&world, &samples::named(FUNCTION, way)).await;
    }
    assert_eq!(world.waf.0.updates(), 1);
    let findings: BTreeSet<_> = world
        .ledger
        .records()
        .into_iter()
        .map(|record| record.evidence.id.to_string())
        .collect();
    assert_eq!(findings.len(), 1, "{findings:?}");
}

/// Where credentials were used, they are the cause: blocking the address is no answer to the finding.
#[tokio::test(start_paused = true)]
async fn s49_security_hub_is_answered_only_where_no_credentials_are_named() {
    for (function, name, expected) in [
        (FUNCTION, "security-hub-imported-ssh-brute-force", true),
        ("disable-access-key", "securityhub-guardduty-key", false),
    ] {
        let world = world();
        let Ok(Invocation::Event(intake)) = intake::read(&samples::named(function, name)) else {
            panic!("not an event")
        };
        let summary = world.instance().event(intake, world.deadline()).await;
        let report = &summary.outcomes[0];
        assert_eq!(report.outcome.name(), "Remediated", "{name}");
        let is_answered = report.channels.iter().any(|channel| *channel != Channel::Direct);
        assert_eq!(is_answered, expected, "{name}");
    }
}

/// What becomes of a payload, and what the sets then hold.
async fn answer(world: &World, payload: &str) -> String {
    let mut text = samples::answer(&world.instance(), world.deadline(), payload).await;
    for set in [V4, V6] {
        let held = texts(&world.waf.0.contents(set).addresses);
        let held = if held.is_empty() {
            "empty".to_owned()
        } else {
            held.join(", ")
        };
        writeln!(text, "{set}: {held}").unwrap();
    }
    text
}
