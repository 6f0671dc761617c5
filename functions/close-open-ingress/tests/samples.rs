//! What `close-open-ingress` answers to each file of `events/close-open-ingress`, as a snapshot per file.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod support;

use std::fmt::Write;

use support::World;
use testkit::samples;

const FUNCTION: &str = "close-open-ingress";

fn world() -> World {
    World::with(&[
        ("sgr-0aaaabbbbccccdddd", "tcp 22 0.0.0.0/0"),
        ("sgr-0aaaabbbbcccceeee", "tcp 3389 ::/0"),
        ("sgr-0aaaabbbbccccffff", "tcp 443 0.0.0.0/0"),
    ])
}

async fn answer(world: &World, payload: &str) -> String {
    let mut text = samples::answer(&world.instance(), world.deadline(), payload).await;
    for opening in world.openings() {
        writeln!(text, "lets in: {opening}").unwrap();
    }
    text
}

#[tokio::test(start_paused = true)]
async fn every_sample_is_answered_as_its_snapshot_says() {
    testkit::assert_answers!(FUNCTION, world, answer);
}

#[test]
fn every_snapshot_and_every_description_belongs_to_a_sample() {
    samples::all_have_snapshots_and_descriptions(FUNCTION, env!("CARGO_MANIFEST_DIR"));
}

#[tokio::test(start_paused = true)]
async fn s10_a_sample_that_comes_again_writes_nothing() {
    let count = |world: &World| (world.ec2.writes(), world.ledger.records().len());
    samples::change_nothing_again(FUNCTION, world, answer, count).await;
}
