//! What `enforce-s3-encryption` answers to each file of `events/enforce-s3-encryption`, as a snapshot per file.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod support;

use std::fmt::Write;

use support::{Bucket, World};
use testkit::samples;

const FUNCTION: &str = "enforce-s3-encryption";
const BUCKETS: [&str; 2] = ["securecart-orders-111122223333", "securecart-uploads-111122223333"];

fn world() -> World {
    let world = World::new();
    for bucket in BUCKETS {
        world.s3.put(bucket, Bucket::default());
    }
    world
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
    let count = |world: &World| (world.s3.writes(), world.ledger.records().len());
    samples::change_nothing_again(FUNCTION, world, answer, count).await;
}

/// What becomes of a payload, and what the buckets are then.
async fn answer(world: &World, payload: &str) -> String {
    let mut text = samples::answer(&world.instance(), world.deadline(), payload).await;
    for name in BUCKETS {
        let bucket = world.s3.get(name);
        let encryption = bucket
            .encryption
            .map_or("none".to_owned(), |encryption| encryption.to_string());
        writeln!(
            text,
            "{name}: {encryption}; policy {}",
            bucket.policy.as_deref().unwrap_or("none")
        )
        .unwrap();
    }
    text
}
