//! The promises of `enforce-storage-encryption`, one by one.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod support;

use enforce_storage_encryption::Settings;
use remediation::settings::Document;
use serde_json::{Value, json};
use support::{World, deliver, told};
use testkit::{Fault, samples};

const REGION: &str = "us-east-1";

fn sample(name: &str) -> Value {
    serde_json::from_str(&samples::named("enforce-storage-encryption", name)).unwrap()
}

/// The same finding, later.
fn later(name: &str, version: &str) -> Value {
    let mut event = sample(name);
    event["detail"]["findings"][0]["UpdatedAt"] = json!(version);
    event
}

#[tokio::test(start_paused = true)]
async fn s72_the_default_is_switched_on_in_the_findings_region_and_undo_switches_it_off() {
    let world = World::new();
    let instance = world.instance();
    let mut event = sample("securityhub-ec2-7");
    event["detail"]["findings"][0]["Region"] = json!("eu-west-1");
    let (done, summary) = deliver(&instance, &world, &event).await;
    assert_eq!(done, ["EBS encryption by default: Remediated encrypted"]);
    assert!(world.ec2.is_on("eu-west-1") && !world.ec2.is_on(REGION));
    let (again, _) = deliver(&instance, &world, &sample("config-ebs-encryption-by-default")).await;
    assert_eq!(
        again,
        ["EBS encryption by default: Remediated encrypted"],
        "another Region, another default"
    );

    let record = summary.outcomes[0].record.clone();
    let undone = instance.undo(&record, "ann", world.deadline()).await.unwrap();
    assert_eq!(told(&undone), ["EBS encryption by default: Undone restored"]);
    assert!(!world.ec2.is_on("eu-west-1") && world.ec2.is_on(REGION));
    let mut held = later("securityhub-ec2-7", "2026-11-20T10:00:00Z");
    held["detail"]["findings"][0]["Region"] = json!("eu-west-1");
    assert_eq!(
        deliver(&instance, &world, &held).await.0,
        ["EBS encryption by default: Declined undone"]
    );
    let twice = instance.undo(&record, "ann", world.deadline()).await.unwrap_err();
    assert!(twice.to_string().contains("undone already"), "{twice}");
}

#[tokio::test(start_paused = true)]
async fn s72_what_somebody_did_meanwhile_stays() {
    let world = World::new();
    world.ec2.switch(REGION, true);
    let (there, _) = deliver(&world.instance(), &world, &sample("securityhub-ec2-7")).await;
    assert_eq!(there, ["EBS encryption by default: AlreadyInPlace encrypted"]);
    let record = world.ledger.records().remove(0).id;
    let refused = world
        .instance()
        .undo(&record, "ann", world.deadline())
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("nothing was changed"), "{refused}");
    assert!(world.ec2.is_on(REGION));
}

#[tokio::test(start_paused = true)]
async fn s9_faults_modes_and_protection() {
    for fault in [Fault::Before, Fault::After, Fault::Throttled] {
        let world = World::new();
        world.ec2.faults.plan([fault]);
        let (done, _) = deliver(&world.instance(), &world, &sample("securityhub-ec2-7")).await;
        assert_eq!(done, ["EBS encryption by default: Remediated encrypted"], "{fault:?}");
    }
    let world = World::new();
    world.ec2.faults.plan([Fault::Denied]);
    let (failed, summary) = deliver(&world.instance(), &world, &sample("securityhub-ec2-7")).await;
    assert!(
        failed[0].starts_with("EBS encryption by default: Failed") && summary.needs_redelivery(),
        "{failed:?}"
    );
    for (settings, expected) in [
        (json!({ "mode": "dry-run" }), "WouldRemediate encrypted"),
        (json!({ "mode": "approve" }), "AwaitingApproval encrypted"),
        (
            json!({ "protectedRegions": ["us-east-1"] }),
            "Declined protected-region",
        ),
    ] {
        let world = World::new();
        let (told, _) = deliver(&world.instance_with(&settings), &world, &sample("securityhub-ec2-7")).await;
        assert_eq!(told, [format!("EBS encryption by default: {expected}")]);
        assert!(!world.ec2.is_on(REGION));
    }
}

#[tokio::test(start_paused = true)]
async fn s73_what_is_there_already_is_left_to_a_person_with_the_commands() {
    for (name, commands) in [
        (
            "securityhub-ec2-3",
            [
                "aws ec2 copy-snapshot --region us-east-1",
                "--volume-id vol-0a1b2c3d4e5f60718",
            ],
        ),
        (
            "securityhub-rds-3",
            [
                "aws rds copy-db-snapshot --region us-east-1",
                "--db-instance-identifier securecart-legacy ",
            ],
        ),
        (
            "config-rds-storage-encrypted",
            [
                "Name=dbi-resource-id,Values=db-ABCDEFGHIJKLMNOPQRSTUVWXY0",
                "--db-instance-identifier IDENTIFIER",
            ],
        ),
    ] {
        let world = World::new();
        let (told, summary) = deliver(&world.instance(), &world, &sample(name)).await;
        assert!(told[0].contains("Escalated"), "{told:?}");
        let why = summary.outcomes[0].outcome.why();
        for command in commands {
            assert!(why.contains(command), "{command} in {why}");
        }
        assert_eq!(world.ec2.writes(), 0);
    }
    // What would become part of a command is looked at first.
    let world = World::new();
    let mut hostile = sample("securityhub-rds-3");
    hostile["detail"]["findings"][0]["Resources"][0]["Id"] = json!("arn:aws:rds:us-east-1:111122223333:db:x;reboot");
    assert_eq!(
        deliver(&world.instance(), &world, &hostile).await.0,
        ["declined other-resource"]
    );
    let long = format!("us-{}-1", "e".repeat(10_000));
    for region in [
        "us-east-1; reboot",
        "us-$(reboot)-1",
        "us-east-1 reboot",
        "",
        "us-east-1.example.com/",
        &long,
    ] {
        for name in ["securityhub-ec2-3", "securityhub-ec2-7", "securityhub-rds-3"] {
            let mut hostile = sample(name);
            hostile["detail"]["findings"][0]["Region"] = json!(region);
            let told = deliver(&world.instance(), &world, &hostile).await.0;
            assert_eq!(told, ["declined not-a-region"], "{name} in {region:.40?}");
        }
    }
    assert_eq!(world.ec2.writes(), 0);
}

#[test]
fn a_region_that_is_none_is_named() {
    let read = |own: &str| {
        let document = format!(r#"{{"functions": {{"enforce-storage-encryption": {own}}}}}"#);
        Settings::read(&Document::parse(&document).unwrap())
    };
    let wrong = read(r#"{"protectedRegions": ["eu-central-1", "us-east1", "", "US-EAST-1"]}"#).unwrap_err();
    let names: Vec<_> = wrong.0.iter().map(|wrong| wrong.name.as_str()).collect();
    let name = |index| format!("functions.enforce-storage-encryption.protectedRegions[{index}]");
    assert_eq!(names, [name(1), name(2), name(3)]);
    assert!(wrong.to_string().contains(r#""us-east1""#), "{wrong}");
}
