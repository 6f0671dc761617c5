//! What `block-public-access` answers to each file of `events/block-public-access`, as a snapshot per file.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod support;

use std::fmt::Write;

use block_public_access::Block;
use support::World;
use testkit::samples;

const FUNCTION: &str = "block-public-access";
const MEDIA: &str = "securecart-media-111122223333";
const UPLOADS: &str = "securecart-uploads-111122223333";
const WEBSITE: &str = "securecart-website-111122223333";

/// ACLs are blocked on the uploads, nothing on the others.
fn world() -> World {
    let acls = Block {
        block_public_acls: true,
        ignore_public_acls: true,
        ..Block::default()
    };
    let world = World::with(MEDIA, support::open());
    world.s3.put(UPLOADS, support::with(Some(acls)));
    world.s3.put(WEBSITE, support::website());
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
    for name in [MEDIA, UPLOADS, WEBSITE] {
        let block = world.s3.block(name);
        let block = block.map_or("no block".to_owned(), |block| block.to_string());
        writeln!(text, "{name}: {block}").unwrap();
    }
    text
}
