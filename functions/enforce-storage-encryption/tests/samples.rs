//! What `enforce-storage-encryption` answers to each file of `events/enforce-storage-encryption`, as a snapshot per file.
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

const FUNCTION: &str = "enforce-storage-encryption";

async fn answer(world: &World, payload: &str) -> String {
    let mut text = samples::answer(&world.instance(), world.deadline(), payload).await;
    let state = if world.ec2.is_on("us-east-1") { "on" } else { "off" };
    writeln!(text, "EBS encryption by default in us-east-1: {state}").unwrap();
    text
}

#[tokio::test(start_paused = true)]
async fn every_sample_is_answered_as_its_snapshot_says() {
    testkit::assert_answers!(FUNCTION, World::new, answer);
}

#[test]
fn every_snapshot_and_every_description_belongs_to_a_sample() {
    samples::all_have_snapshots_and_descriptions(FUNCTION, env!("CARGO_MANIFEST_DIR"));
}

#[tokio::test(start_paused = true)]
async fn s10_a_sample_that_comes_again_writes_nothing() {
    let count = |world: &World| (world.ec2.writes(), world.ledger.records().len());
    samples::change_nothing_again(FUNCTION, World::new, answer, count).await;
}
