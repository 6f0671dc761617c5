//! The promises of `block-public-access`, one by one, on a double with the semantics of S3.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod support;

use std::time::Duration;

use block_public_access::{Block, BlockPublicAccess, Blocking, Settings};
use remediation::{
    Remediation,
    ids::{BucketName, RecordId},
    intake::{self, Intake, Invocation},
    outcome::Outcome,
    settings::Document,
};
use serde_json::{Value, json};
use support::{SharedS3, World, access, config, control, deliver, open, told, website, with};
use testkit::{Fault, events};

/// Every one of the four on or off.
fn blocks() -> impl Iterator<Item = Block> {
    (0..16_u8).map(|number| {
        let bit = |place: u8| number & (1 << place) != 0;
        Block {
            block_public_acls: bit(0),
            ignore_public_acls: bit(1),
            block_public_policy: bit(2),
            restrict_public_buckets: bit(3),
        }
    })
}

/// The record of the change.
fn record(world: &World) -> RecordId {
    let records = world.ledger.records();
    let changed = records.iter().find(|record| record.change.is_some());
    changed.unwrap().id.clone()
}

async fn outcomes(world: &World, event: &Value) -> Vec<String> {
    deliver(&world.instance(), world, event).await.0
}

async fn undo(world: &World) -> Vec<String> {
    told(
        &world
            .instance()
            .undo(&record(world), "ann", world.deadline())
            .await
            .unwrap(),
    )
}

#[tokio::test(start_paused = true)]
async fn s99_what_is_off_is_turned_on_and_undo_restores_what_was_there_exactly() {
    for before in blocks().map(Some).chain([None]) {
        let world = World::with("media", with(before));
        let told = outcomes(&world, &control("S3.8", "a", "media")).await;
        assert_eq!(world.s3.block("media"), Some(Block::WHOLE));
        if before == Some(Block::WHOLE) {
            assert_eq!(
                (told, world.s3.writes()),
                (vec!["AlreadyInPlace blocked".to_owned()], 0)
            );
            continue;
        }
        assert_eq!(told, ["Remediated blocked"], "{before:?}");
        let again = outcomes(&world, &config("s3-bucket-level-public-access-prohibited", "media")).await;
        assert_eq!(
            (again, world.s3.writes()),
            (vec!["AlreadyInPlace blocked".to_owned()], 1)
        );

        assert_eq!(undo(&world).await, ["Undone restored"]);
        assert_eq!(world.s3.block("media"), before);
        for event in [
            control("S3.2", "b", "media"),
            access(("AWS::S3::Bucket", "arn:aws:s3:::media"), true, "ACTIVE"),
        ] {
            assert_eq!(outcomes(&world, &event).await, ["Declined undone"], "the undo holds");
        }
        world.clock.advance(Duration::from_secs(31 * 24 * 3600)).await;
        assert_eq!(
            outcomes(&world, &control("S3.3", "c", "media")).await,
            ["Remediated blocked"]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn s99_what_was_changed_since_is_not_undone() {
    let acls = Block {
        block_public_acls: true,
        ..Block::default()
    };
    for (since, told) in [(Some(acls), "Declined changed-since"), (None, "Undone restored")] {
        let world = World::with("media", open());
        outcomes(&world, &control("S3.8", "a", "media")).await;
        world.s3.put("media", with(since));
        assert_eq!(undo(&world).await, [told]);
        assert_eq!((world.s3.block("media"), world.s3.writes()), (since, 1), "it stays so");
    }
    let world = World::with("media", open());
    outcomes(&world, &control("S3.8", "a", "media")).await;
    world.s3.remove("media");
    assert_eq!(undo(&world).await, ["Declined no-such-bucket"]);
}

#[tokio::test(start_paused = true)]
async fn s99_a_change_between_look_and_write_is_kept() {
    let policies = Block {
        block_public_policy: true,
        ..Block::default()
    };
    let world = World::with("media", open());
    world.s3.meddle("media", with(Some(policies)));
    assert_eq!(
        outcomes(&world, &control("S3.8", "a", "media")).await,
        ["Remediated blocked"]
    );
    assert_eq!(undo(&world).await, ["Undone restored"]);
    assert_eq!(world.s3.block("media"), Some(policies));
    // It has become a website before the write.
    let world = World::with("media", open());
    let site = block_public_access::Found {
        block: Some(policies),
        ..website()
    };
    world.s3.meddle("media", site);
    assert_eq!(
        outcomes(&world, &control("S3.8", "a", "media")).await,
        ["Escalated website"]
    );
    assert_eq!(world.s3.writes(), 0);
}

#[test]
fn s12_a_block_that_lets_in_whom_the_one_before_kept_out_is_not_put_on() {
    let function = BlockPublicAccess::new(SharedS3(std::sync::Arc::default()), Vec::new());
    let bucket = BucketName::parse("media").unwrap();
    let as_bits = |block: Block| {
        [
            block.block_public_acls,
            block.ignore_public_acls,
            block.block_public_policy,
            block.restrict_public_buckets,
        ]
    };
    for before in blocks().map(Some).chain([None]) {
        for after in blocks() {
            let change = Blocking {
                bucket: bucket.clone(),
                before,
                after,
            };
            let mut pairs = as_bits(before.unwrap_or_default()).into_iter().zip(as_bits(after));
            let loses_one = pairs.any(|(was, is)| was && !is);
            assert_eq!(function.oversteps(&change).is_some(), loses_one, "{change:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn s100_a_website_is_left_to_a_person_with_the_command() {
    let elsewhere = block_public_access::Found {
        region: "eu-west-1".to_owned(),
        ..website()
    };
    let world = World::with("shop", elsewhere);
    let (told, summary) = deliver(&world.instance(), &world, &control("S3.8", "a", "shop")).await;
    assert_eq!(told, ["Escalated website"]);
    let why = summary.outcomes[0].outcome.why();
    let command = "aws s3api put-public-access-block --region eu-west-1 --bucket shop --public-access-block-configuration \
                   BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true";
    assert!(why.contains(command), "{why}");
    assert_eq!(world.s3.writes(), 0);
    // One that is blocked already, as behind CloudFront, is as it shall be.
    world.s3.put(
        "shop",
        block_public_access::Found {
            block: Some(Block::WHOLE),
            ..website()
        },
    );
    assert_eq!(
        outcomes(&world, &control("S3.8", "b", "shop")).await,
        ["AlreadyInPlace blocked"]
    );
}

#[tokio::test(start_paused = true)]
async fn s100_the_whole_account_is_left_to_a_person_with_the_command() {
    let world = World::new();
    let about = ("AwsAccount", "AWS::::Account:111122223333");
    let event = events::control("S3.1", "a", about, "2026-11-20T00:00:00Z");
    let (told, summary) = deliver(&world.instance(), &world, &event).await;
    assert_eq!(told, ["Escalated whole-account"]);
    let why = summary.outcomes[0].outcome.why();
    let command = "aws s3control put-public-access-block --account-id 111122223333 --public-access-block-configuration BlockPublicAcls=true,";
    assert!(why.contains(command), "{why}");
    let mut hostile = event.clone();
    hostile["detail"]["findings"][0]["AwsAccountId"] = json!("1; reboot");
    assert_eq!(outcomes(&world, &hostile).await, ["declined not-an-account"]);
}

#[tokio::test(start_paused = true)]
async fn s101_a_bucket_that_is_open_to_everybody_is_blocked_and_who_else_comes_from_outside_is_not_ours() {
    let media = ("AWS::S3::Bucket", "arn:aws:s3:::media");
    let world = World::with("media", open());
    assert_eq!(
        outcomes(&world, &access(media, true, "ACTIVE")).await,
        ["Remediated blocked"]
    );
    assert_eq!(world.s3.block("media"), Some(Block::WHOLE));
    for (event, told) in [
        (access(media, false, "ACTIVE"), "declined not-a-public-bucket"),
        (access(media, true, "RESOLVED"), "declined not-active"),
        (
            access(
                ("AWS::SQS::Queue", "arn:aws:sqs:us-east-1:111122223333:media"),
                true,
                "ACTIVE",
            ),
            "declined not-a-public-bucket",
        ),
    ] {
        assert_eq!(outcomes(&world, &event).await, [told], "{event}");
    }
}

#[test]
fn s101_revoke_permissions_answers_for_what_the_analyzer_found_and_this_function_for_the_rest() {
    let function = BlockPublicAccess::new(SharedS3(std::sync::Arc::default()), Vec::new());
    let answers = |event: &Value| {
        let Invocation::Event(Intake::Findings(findings)) = intake::read(&event.to_string()).unwrap() else {
            panic!("{event}")
        };
        function.answers(&findings[0])
    };
    assert!(!answers(&access(
        ("AWS::S3::Bucket", "arn:aws:s3:::media"),
        true,
        "ACTIVE"
    )));
    assert!(answers(&control("S3.8", "a", "media")));
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_protected_exempt_or_no_bucket_is_declined() {
    let world = World::with("website", open());
    let instance = world.instance_with(&json!({ "protectedBuckets": ["web*"] }));
    let mut passed = control("S3.8", "e", "website");
    passed["detail"]["findings"][0]["Compliance"]["Status"] = json!("PASSED");
    let created = events::envelope(
        "aws.s3",
        "AWS API Call via CloudTrail",
        "2026-11-20T00:00:00Z",
        json!({
            "eventID": "e", "eventTime": "2026-11-20T00:00:00Z", "eventSource": "s3.amazonaws.com", "eventName": "CreateBucket",
            "awsRegion": "us-east-1", "recipientAccountId": "111122223333", "requestParameters": { "bucketName": "website" }
        }),
    );
    for (event, expected) in [
        (control("S3.2", "a", "gone"), "Declined no-such-bucket"),
        (control("S3.8", "b", "website"), "Declined protected-bucket"),
        (
            control("S3.8", "c", "data--use1-az4--x-s3"),
            "declined directory-bucket",
        ),
        (control("S3.3", "d", "not/a/bucket"), "declined not-a-bucket"),
        (control("S3.5", "f", "website"), "declined unclaimed-rule"),
        (config("s3-bucket-acl-prohibited", "website"), "declined unclaimed-rule"),
        (passed, "declined passed"),
        (created, "declined not-about-public-access"),
    ] {
        assert_eq!(deliver(&instance, &world, &event).await.0, [expected], "{event}");
    }
    assert_eq!(world.s3.writes(), 0);
}

#[tokio::test(start_paused = true)]
async fn s9_refused_calls_are_failures_and_lost_answers_are_found_out() {
    let event = control("S3.8", "a", "media");
    for at_looks in [true, false] {
        let world = World::with("media", open());
        let faults = if at_looks { &world.s3.looks } else { &world.s3.faults };
        faults.plan([Fault::Denied]);
        let (_, summary) = deliver(&world.instance(), &world, &event).await;
        assert!(matches!(&summary.outcomes[0].outcome, Outcome::Failed(_)) && summary.needs_redelivery());
        assert_eq!(world.s3.block("media"), None, "no action on what cannot be seen");
        assert_eq!(outcomes(&world, &event).await, ["Remediated blocked"]);
    }
    for fault in [Fault::After, Fault::Before, Fault::Throttled] {
        let world = World::with("media", open());
        world.s3.faults.plan([fault]);
        assert_eq!(outcomes(&world, &event).await, ["Remediated blocked"], "{fault:?}");
        assert_eq!(world.s3.writes(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn s17_dry_run_writes_nothing_and_approval_is_waited_for() {
    let world = World::with("media", open());
    let dry = world.instance_with(&json!({ "mode": "dry-run" }));
    assert_eq!(
        deliver(&dry, &world, &control("S3.8", "a", "media")).await.0,
        ["WouldRemediate blocked"]
    );
    let careful = world.instance_with(&json!({ "mode": "approve" }));
    let (waits, summary) = deliver(&careful, &world, &control("S3.8", "b", "media")).await;
    assert_eq!(
        (waits, world.s3.writes()),
        (vec!["AwaitingApproval blocked".to_owned()], 0)
    );
    let record = &summary.outcomes[0].record;
    let done = careful.approve(record, "ann", world.deadline()).await.unwrap();
    assert_eq!(told(&done), ["Remediated blocked"]);
}

#[test]
fn a_setting_that_means_every_bucket_or_none_is_named() {
    let read = |own: &str| {
        let document = format!(r#"{{"functions": {{"block-public-access": {own}}}}}"#);
        Settings::read(&Document::parse(&document).unwrap())
    };
    let wrong = read(r#"{"protectedBuckets": ["website", "*", "a/b"], "protected": []}"#).unwrap_err();
    let names: Vec<_> = wrong.0.iter().map(|wrong| wrong.name.as_str()).collect();
    let at = "functions.block-public-access";
    let expected = ["protected", "protectedBuckets[1]", "protectedBuckets[2]"].map(|name| format!("{at}.{name}"));
    let mut names: Vec<_> = names.into_iter().map(str::to_owned).collect();
    names.sort();
    assert_eq!(names, expected);
}
