//! What `disable-access-key` answers to each file of `events/disable-access-key`, as a snapshot per file.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod support;

use std::fmt::Write;

use disable_access_key::Key;
use support::World;
use testkit::samples;

const FUNCTION: &str = "disable-access-key";
const USERS: [&str; 4] = ["analyst", "checkout-deploy", "ci-runner", "reporting"];
const ROLE: &str = "securecart-web";

/// The people of the samples.
fn world() -> World {
    let world = World::at(samples::now());
    let key = |id: &str, age, used| -> Vec<Key> { vec![world.key(id, age, used)] };
    world.iam.user(
        "analyst",
        "AIDA2EXAMPLEANALYST00",
        key("AKIAEXAMPLEANALYST00", 300, Some(50)),
    );
    world.iam.user(
        "ci-runner",
        "AIDA2EXAMPLECIRUNNER0",
        key("AKIAEXAMPLECIRUNNER0", 30, Some(0)),
    );
    world.iam.user(
        "reporting",
        "AIDA2EXAMPLEREPORTING",
        key("AKIAEXAMPLEREPORTING", 200, None),
    );
    let password = Some((world.ago(300), Some(world.ago(200))));
    world.iam.change("reporting", |reporting| reporting.password = password);
    let mut keys = key("AKIAEXAMPLECHECKOUT0", 400, Some(100));
    keys.push(world.key("AKIAEXAMPLECHECKOUT1", 120, Some(1)));
    world.iam.user("checkout-deploy", "AIDA2EXAMPLECHECKOUT0", keys);
    world.iam.role(ROLE, "AROA2EXAMPLEWEBROLE00", "/");
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
    let count = |world: &World| (world.iam.writes(), world.ledger.records().len());
    samples::change_nothing_again(FUNCTION, world, answer, count).await;
}

#[tokio::test(start_paused = true)]
async fn s11_a_compromised_key_that_comes_by_three_ways_is_one_finding() {
    let world = world();
    for way in [
        "guardduty-key-compromised",
        "ocsf-guardduty-key",
        "securityhub-guardduty-key",
    ] {
        answer(&world, &samples::named(FUNCTION, way)).await;
    }
    assert_eq!(world.ledger.records().len(), 2, "the key and the sessions");
    assert_eq!(world.iam.writes(), 2);
}

/// What becomes of a payload, and what IAM then holds.
async fn answer(world: &World, payload: &str) -> String {
    let mut text = samples::answer(&world.instance(), world.deadline(), payload).await;
    for user in USERS {
        writeln!(text, "{user}: {}", world.iam.state(user).join(", ")).unwrap();
    }
    let policies: Vec<_> = world.iam.role_policies(ROLE).into_keys().collect();
    writeln!(text, "{ROLE}: {}", policies.join(", ")).unwrap();
    text
}
