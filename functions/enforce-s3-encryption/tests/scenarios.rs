//! The promises of `enforce-s3-encryption`, one by one, on a double with the semantics of S3 and KMS.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod support;

use std::time::Duration;

use enforce_s3_encryption::Encryption;
use remediation::{ids::RecordId, outcome::Outcome};
use serde_json::{Value, json};
use support::{Bucket, World, control, created, deliver, kms, sse_s3, told};
use testkit::Fault;

const KEY: &str = "arn:aws:kms:us-east-1:111122223333:key/a";
const OPEN: &str = r#"{"Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"kms:*","Resource":"*"}]}"#;

fn record(world: &World) -> RecordId {
    let records = world.ledger.records();
    records
        .iter()
        .find(|record| record.change.is_some())
        .unwrap()
        .id
        .clone()
}

fn policy(statement: &str) -> Bucket {
    Bucket {
        policy: Some(format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#)),
        ..Bucket::default()
    }
}

#[tokio::test(start_paused = true)]
async fn s65_sse_s3_becomes_sse_kms_with_a_bucket_key_and_what_was_blocked_stays_blocked() {
    let before = Encryption {
        blocked: vec!["SSE-C".to_owned()],
        ..sse_s3()
    };
    let world = World::with(
        "orders",
        Bucket {
            encryption: Some(before.clone()),
            ..Bucket::default()
        },
    );
    let instance = world.instance();
    let (outcomes, _) = deliver(&instance, &world, &control("S3.17", "a", "orders")).await;
    assert_eq!(outcomes, ["Remediated encrypted"]);
    let after = Encryption {
        blocked: vec!["SSE-C".to_owned()],
        ..kms(None)
    };
    assert_eq!(world.s3.get("orders").encryption, Some(after));

    let writes = world.s3.writes();
    for id in ["a", "b"] {
        deliver(&instance, &world, &control("S3.17", id, "orders")).await;
    }
    assert_eq!(world.s3.writes(), writes, "it is encrypted already");

    let undone = instance
        .undo(&record(&world), "an operator", world.deadline())
        .await
        .unwrap();
    assert_eq!(told(&undone), ["Undone restored"]);
    assert_eq!(world.s3.get("orders").encryption, Some(before));
    for event in [control("S3.17", "c", "orders"), created("orders")] {
        assert_eq!(
            deliver(&instance, &world, &event).await.0,
            ["Declined undone"],
            "the undo holds"
        );
    }
    world.clock.advance(Duration::from_secs(31 * 24 * 3600)).await;
    assert_eq!(
        deliver(&instance, &world, &control("S3.17", "d", "orders")).await.0,
        ["Remediated encrypted"]
    );
}

#[tokio::test(start_paused = true)]
async fn s64_kms_stays_kms_with_its_own_key_and_settings() {
    for encryption in [
        kms(Some("arn:aws:kms:us-east-1:444455556666:key/theirs")),
        Encryption {
            bucket_key: false,
            ..kms(None)
        },
        Encryption {
            algorithm: "aws:kms:dsse".to_owned(),
            bucket_key: false,
            ..kms(None)
        },
    ] {
        let bucket = Bucket {
            encryption: Some(encryption),
            ..Bucket::default()
        };
        let world = World::with("orders", bucket.clone());
        let instance = world.instance_with(&json!({ "defaultEncryption": "AES256" }));
        for event in [
            control("S3.4", "a", "orders"),
            control("S3.17", "b", "orders"),
            created("orders"),
        ] {
            assert_eq!(deliver(&instance, &world, &event).await.0, ["AlreadyInPlace encrypted"]);
        }
        assert_eq!((world.s3.get("orders"), world.s3.writes()), (bucket, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn s65_a_bucket_without_any_encryption_gets_what_the_settings_choose() {
    for (setting, expected) in [("AES256", sse_s3()), ("aws/s3", kms(None))] {
        let world = World::with(
            "orders",
            Bucket {
                encryption: None,
                ..Bucket::default()
            },
        );
        let instance = world.instance_with(&json!({ "defaultEncryption": setting }));
        assert_eq!(
            deliver(&instance, &world, &control("S3.4", "a", "orders")).await.0,
            ["Remediated encrypted"]
        );
        assert_eq!(world.s3.get("orders").encryption, Some(expected));
        let id = record(&world);
        let undone = instance.undo(&id, "an operator", world.deadline()).await.unwrap();
        assert_eq!(told(&undone), ["Undone restored"], "{setting}");
        assert_eq!(world.s3.get("orders").encryption, Some(sse_s3()), "what S3 shows then");
    }
    let world = World::with("orders", Bucket::default());
    assert_eq!(
        deliver(&world.instance(), &world, &control("S3.4", "a", "orders"))
            .await
            .0,
        ["AlreadyInPlace encrypted"]
    );
    let plain = world.instance_with(&json!({ "defaultEncryption": "AES256" }));
    assert_eq!(
        deliver(&plain, &world, &control("S3.17", "b", "orders")).await.0,
        ["Declined sse-s3-by-setting"]
    );
}

#[tokio::test(start_paused = true)]
async fn s65_a_new_bucket_is_encrypted_and_one_elsewhere_in_its_own_region() {
    let world = World::with(
        "uploads",
        Bucket {
            region: "eu-west-1",
            ..Bucket::default()
        },
    );
    let ireland = "arn:aws:kms:eu-west-1:111122223333:key/b";
    world.s3.key(ireland, None, OPEN);
    let instance = world.instance_with(&json!({ "defaultEncryption": ireland }));
    assert_eq!(
        deliver(&instance, &world, &created("uploads")).await.0,
        ["Remediated encrypted"]
    );
    assert_eq!(world.s3.get("uploads").encryption, Some(kms(Some(ireland))));

    world.s3.put("orders", Bucket::default());
    assert_eq!(
        deliver(&instance, &world, &created("orders")).await.0,
        ["Escalated no-key-for-region"]
    );
}

#[tokio::test(start_paused = true)]
async fn s66_an_unusable_key_is_found_before_the_write() {
    for unusable in [
        None,
        Some("its state is PendingDeletion"),
        Some("its state is Disabled"),
    ] {
        let world = World::with("orders", Bucket::default());
        if let Some(unusable) = unusable {
            world.s3.key(KEY, Some(unusable), OPEN);
        }
        let instance = world.instance_with(&json!({ "defaultEncryption": KEY }));
        let (outcomes, summary) = deliver(&instance, &world, &control("S3.17", "a", "orders")).await;
        assert_eq!(outcomes, ["Escalated kms-key-unusable"]);
        assert!(
            summary.outcomes[0]
                .outcome
                .why()
                .contains(unusable.unwrap_or("not found")),
            "{summary:?}"
        );
        assert_eq!(world.s3.writes(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn s67_log_targets_keep_sse_s3() {
    let by_policy = policy(
        r#"{"Effect":"Allow","Principal":{"Service":"delivery.logs.amazonaws.com"},"Action":"s3:PutObject","Resource":"*","Condition":{"StringEquals":{"aws:SourceAccount":"111122223333"}}}"#,
    );
    let by_acl = Bucket {
        grantees: vec!["http://acs.amazonaws.com/groups/s3/LogDelivery".to_owned()],
        ..Bucket::default()
    };
    for bucket in [by_policy, by_acl] {
        let world = World::with("logs", bucket.clone());
        assert_eq!(
            deliver(&world.instance(), &world, &control("S3.17", "a", "logs"))
                .await
                .0,
            ["Declined log-delivery-target"]
        );
        assert_eq!(world.s3.get("logs"), bucket);

        world.s3.put(
            "logs",
            Bucket {
                encryption: None,
                ..bucket
            },
        );
        assert_eq!(
            deliver(&world.instance(), &world, &control("S3.4", "b", "logs"))
                .await
                .0,
            ["Remediated encrypted"]
        );
        assert_eq!(world.s3.get("logs").encryption, Some(sse_s3()));
    }
}

#[tokio::test(start_paused = true)]
async fn s67_who_reads_from_outside_is_not_locked_out() {
    let reader = r#"{"Effect":"Allow","Principal":{"AWS":"444455556666"},"Action":["s3:GetObject"],"Resource":"*"}"#;
    let cloudfront = r#"{"Effect":"Allow","Principal":{"Service":"cloudfront.amazonaws.com"},"Action":"s3:GetObject","Resource":"*"}"#;
    let anyone = r#"{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*"}"#;
    for statement in [reader, cloudfront, anyone] {
        let world = World::with("orders", policy(statement));
        assert_eq!(
            deliver(&world.instance(), &world, &control("S3.17", "a", "orders"))
                .await
                .0,
            ["Escalated outside-readers"]
        );
        assert_eq!(world.s3.writes(), 0);
    }
    let by_acl = Bucket {
        grantees: vec!["a canonical user".to_owned()],
        ..Bucket::default()
    };
    let world = World::with("orders", by_acl);
    assert_eq!(
        deliver(&world.instance(), &world, &control("S3.17", "a", "orders"))
            .await
            .0,
        ["Escalated outside-readers"]
    );

    // A key of our own that lets CloudFront in. What another account lets its own principals do cannot be seen from here.
    let instance = |world: &World| world.instance_with(&json!({ "defaultEncryption": KEY }));
    let admits = |principal: &str| {
        format!(
            r#"{{"Statement":[{{"Effect":"Allow","Principal":{principal},"Action":"kms:Decrypt","Resource":"*"}}]}}"#
        )
    };
    let world = World::with("orders", policy(cloudfront));
    world.s3.key(KEY, None, OPEN);
    assert_eq!(
        deliver(&instance(&world), &world, &control("S3.17", "a", "orders"))
            .await
            .0,
        ["Escalated outside-readers"]
    );
    world
        .s3
        .key(KEY, None, &admits(r#"{"Service":"cloudfront.amazonaws.com"}"#));
    assert_eq!(
        deliver(&instance(&world), &world, &control("S3.17", "b", "orders"))
            .await
            .0,
        ["Remediated encrypted"]
    );
    let world = World::with("orders", policy(reader));
    world
        .s3
        .key(KEY, None, &admits(r#"{"AWS":"arn:aws:iam::444455556666:root"}"#));
    assert_eq!(
        deliver(&instance(&world), &world, &control("S3.17", "a", "orders"))
            .await
            .0,
        ["Escalated outside-readers"]
    );
}

#[tokio::test(start_paused = true)]
async fn s67_a_website_is_not_taken_offline() {
    let bucket = Bucket {
        website: true,
        ..Bucket::default()
    };
    let world = World::with("website", bucket.clone());
    assert_eq!(
        deliver(&world.instance(), &world, &control("S3.5", "a", "website"))
            .await
            .0,
        ["Escalated website"]
    );
    // Its objects may be open by their own ACLs, which nobody sees in the bucket.
    assert_eq!(
        deliver(&world.instance(), &world, &control("S3.17", "b", "website"))
            .await
            .0,
        ["Escalated website"]
    );
    assert_eq!((world.s3.get("website"), world.s3.writes()), (bucket, 0));
}

#[tokio::test(start_paused = true)]
async fn s68_a_policy_that_names_the_dead_is_for_a_person() {
    let text = r#"{"Statement":[{"Effect":"Allow","Principal":{"AWS":"AIDAIQDELETEDUSER000"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::orders/*"}]}"#;
    let bucket = Bucket {
        policy: Some(text.to_owned()),
        ..Bucket::default()
    };
    let world = World::with("orders", bucket.clone());
    let (outcomes, _) = deliver(&world.instance(), &world, &control("S3.5", "a", "orders")).await;
    assert_eq!(outcomes, ["Escalated deleted-principal"]);
    assert_eq!((world.s3.get("orders"), world.s3.writes()), (bucket, 0));
}

#[tokio::test(start_paused = true)]
async fn s68_the_tls_statement_is_merged_once_and_undone_to_the_byte() {
    let texts = [
        None,
        Some(
            r#"{ "Version":"2012-10-17",  "Statement": {"Sid" : "A", "Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::orders/*"} }"#,
        ),
        Some(
            "{\"Statement\":[\n {\"Effect\":\"Deny\",\"NotPrincipal\":{\"AWS\":\"arn:aws:iam::111122223333:role/own\"},\"Action\":\"s3:PutBucketPolicy\",\"Resource\":\"*\"}\n],\"Id\":\"x\"}",
        ),
    ];
    for text in texts {
        let bucket = Bucket {
            policy: text.map(str::to_owned),
            ..Bucket::default()
        };
        let world = World::with("orders", bucket.clone());
        let instance = world.instance();
        assert_eq!(
            deliver(&instance, &world, &control("S3.5", "a", "orders")).await.0,
            ["Remediated tls-only"]
        );
        let merged = world.s3.get("orders").policy.unwrap();
        let writes = world.s3.writes();
        assert_eq!(
            deliver(&instance, &world, &control("S3.5", "b", "orders")).await.0,
            ["AlreadyInPlace tls-only"]
        );
        assert_eq!(world.s3.writes(), writes);
        let statements = |text: &str| {
            serde_json::from_str::<Value>(text).unwrap()["Statement"]
                .as_array()
                .unwrap()
                .len()
        };
        assert_eq!(statements(&merged), if text.is_some() { 2 } else { 1 });
        assert_eq!(merged.matches("aws:SecureTransport").count(), 1);
        assert_eq!(
            told(
                &instance
                    .undo(&record(&world), "an operator", world.deadline())
                    .await
                    .unwrap()
            ),
            ["Undone restored"]
        );
        assert_eq!(world.s3.get("orders"), bucket);
    }
}

#[tokio::test(start_paused = true)]
async fn s71_undo_refuses_what_was_changed_since_and_says_what() {
    let world = World::with(
        "orders",
        policy(
            r#"{"Sid":"Read","Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"s3:GetObject","Resource":"*"}"#,
        ),
    );
    let instance = world.instance();
    deliver(&instance, &world, &control("S3.5", "a", "orders")).await;
    let merged = world.s3.get("orders").policy.unwrap();
    world.s3.put(
        "orders",
        Bucket {
            policy: Some(merged.replace("s3:GetObject", "s3:*")),
            ..Bucket::default()
        },
    );
    let refused = instance
        .undo(&record(&world), "an operator", world.deadline())
        .await
        .unwrap();
    assert_eq!(told(&refused), ["Declined changed-since"]);
    assert!(
        refused.outcomes[0].outcome.why().contains("Read is gone or changed"),
        "{refused:?}"
    );

    // Another text that says the same is not another policy.
    let respelt: Value = serde_json::from_str(&merged).unwrap();
    world.s3.put(
        "orders",
        Bucket {
            policy: Some(serde_json::to_string_pretty(&respelt).unwrap()),
            ..Bucket::default()
        },
    );
    assert_eq!(
        told(
            &instance
                .undo(&record(&world), "an operator", world.deadline())
                .await
                .unwrap()
        ),
        ["Undone restored"]
    );

    let world = World::with("orders", Bucket::default());
    let instance = world.instance();
    deliver(&instance, &world, &control("S3.17", "a", "orders")).await;
    world.s3.put(
        "orders",
        Bucket {
            encryption: Some(kms(Some(KEY))),
            ..Bucket::default()
        },
    );
    let refused = instance
        .undo(&record(&world), "an operator", world.deadline())
        .await
        .unwrap();
    assert_eq!(told(&refused), ["Declined changed-since"]);
    assert_eq!(world.s3.get("orders").encryption, Some(kms(Some(KEY))));
}

#[tokio::test(start_paused = true)]
async fn s69_policies_that_cannot_be_merged_go_to_a_person() {
    let large = format!(
        r#"{{"Sid":"{}","Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"*"}}"#,
        "x".repeat(20_200)
    );
    let denies = |principal: &str| format!(r#"{{"Effect":"Deny",{principal},"Action":"s3:Put*","Resource":"*"}}"#);
    for (statement, code) in [
        (large, "policy-too-large"),
        (denies(r#""Principal":"*""#), "locked-out"),
        (denies(r#""Principal":{"AWS":["111122223333"]}"#), "locked-out"),
        (
            denies(r#""Principal":{"AWS":"arn:aws:iam::111122223333:role/own"}"#),
            "locked-out",
        ),
        (
            denies(r#""NotPrincipal":{"AWS":"arn:aws:iam::111122223333:role/admin"}"#),
            "locked-out",
        ),
        ("1".to_owned(), "unreadable-policy"),
    ] {
        let world = World::with("orders", policy(&statement));
        assert_eq!(
            deliver(&world.instance(), &world, &control("S3.5", "a", "orders"))
                .await
                .0,
            [format!("Escalated {code}")]
        );
        assert_eq!(world.s3.writes(), 0);
    }
    for statement in [
        denies(r#""Principal":{"AWS":"444455556666"}"#),
        denies(r#""Principal":{"AWS":"arn:aws:iam::111122223333:role/other"}"#),
    ] {
        let world = World::with("orders", policy(&statement));
        assert_eq!(
            deliver(&world.instance(), &world, &control("S3.5", "a", "orders"))
                .await
                .0,
            ["Remediated tls-only"]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn s70_an_edit_between_look_and_write_is_kept() {
    let world = World::with("orders", Bucket::default());
    let theirs = policy(
        r#"{"Sid":"Theirs","Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"s3:GetObject","Resource":"*"}"#,
    );
    world.s3.meddle("orders", theirs);
    assert_eq!(
        deliver(&world.instance(), &world, &control("S3.5", "a", "orders"))
            .await
            .0,
        ["Remediated tls-only"]
    );
    let merged = world.s3.get("orders").policy.unwrap();
    assert!(
        merged.contains("Theirs") && merged.contains("SecureTransport"),
        "{merged}"
    );
}

#[tokio::test(start_paused = true)]
async fn s9_refused_calls_are_failures_and_lost_answers_are_found_out() {
    for operation in [
        "s3:HeadBucket",
        "s3:GetBucketEncryption",
        "s3:GetBucketAcl",
        "s3:GetBucketPolicy",
        "s3:PutBucketEncryption",
    ] {
        let world = World::with("orders", Bucket::default());
        world.s3.deny(operation);
        let (_, summary) = deliver(&world.instance(), &world, &control("S3.17", "a", "orders")).await;
        assert!(
            matches!(&summary.outcomes[0].outcome, Outcome::Failed(failure) if failure.operation == operation),
            "{summary:?}"
        );
        assert!(summary.needs_redelivery());
        assert_eq!(world.s3.get("orders"), Bucket::default());
        world.s3.allow_all();
        assert_eq!(
            deliver(&world.instance(), &world, &control("S3.17", "a", "orders"))
                .await
                .0,
            ["Remediated encrypted"]
        );
    }
    for fault in [Fault::After, Fault::Before, Fault::Throttled] {
        let world = World::with("orders", Bucket::default());
        world.s3.faults.plan([fault]);
        assert_eq!(
            deliver(&world.instance(), &world, &control("S3.5", "a", "orders"))
                .await
                .0,
            ["Remediated tls-only"],
            "{fault:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_protected_elsewhere_or_no_bucket_is_declined() {
    let world = World::with("website", Bucket::default());
    let instance = world.instance_with(&json!({ "protectedBuckets": ["web*"] }));
    for (event, expected) in [
        (control("S3.17", "a", "gone"), "Declined no-such-bucket"),
        (control("S3.5", "a", "gone"), "Declined no-such-bucket"),
        (created("gone"), "Declined no-such-bucket"),
        (control("S3.17", "b", "website"), "Declined protected-bucket"),
        (
            control("S3.17", "c", "data--use1-az4--x-s3"),
            "declined directory-bucket",
        ),
        (control("S3.8", "d", "website"), "declined unclaimed-rule"),
        (control("S3.17", "e", "not/a/bucket"), "declined not-a-bucket"),
    ] {
        assert_eq!(deliver(&instance, &world, &event).await.0, [expected], "{event}");
    }
    let elsewhere = world.instance_as("arn:aws:iam::444455556666:role/own");
    assert_eq!(
        deliver(&elsewhere, &world, &control("S3.17", "f", "website")).await.0,
        ["Declined other-account"]
    );
    let mut passed = control("S3.17", "g", "website");
    passed["detail"]["findings"][0]["Compliance"]["Status"] = json!("PASSED");
    assert_eq!(deliver(&instance, &world, &passed).await.0, ["declined passed"]);
    assert_eq!(world.s3.writes(), 0);
}

#[tokio::test(start_paused = true)]
async fn s17_dry_run_writes_nothing_and_approval_is_waited_for() {
    let world = World::with("orders", Bucket::default());
    let dry = world.instance_with(&json!({ "mode": "dry-run" }));
    for control_id in ["S3.17", "S3.5"] {
        let (outcomes, _) = deliver(&dry, &world, &control(control_id, "a", "orders")).await;
        assert!(outcomes[0].starts_with("WouldRemediate"), "{outcomes:?}");
    }
    assert_eq!(world.s3.get("orders"), Bucket::default());
    let careful = world.instance_with(&json!({ "mode": "approve" }));
    let (outcomes, summary) = deliver(&careful, &world, &control("S3.17", "b", "orders")).await;
    assert_eq!(outcomes, ["AwaitingApproval encrypted"]);
    let done = careful
        .approve(&summary.outcomes[0].record, "an operator", world.deadline())
        .await
        .unwrap();
    assert_eq!(told(&done), ["Remediated encrypted"]);
}

#[tokio::test(start_paused = true)]
async fn a_bucket_arn_of_any_partition_works() {
    let world = World::with("orders", Bucket::default());
    let instance = world.instance_as("arn:aws-cn:iam::111122223333:role/own");
    let mut event = control("S3.5", "a", "orders");
    event["detail"]["findings"][0]["Resources"][0]["Id"] = json!("arn:aws-cn:s3:::orders");
    assert_eq!(deliver(&instance, &world, &event).await.0, ["Remediated tls-only"]);
    assert!(
        world
            .s3
            .get("orders")
            .policy
            .unwrap()
            .contains("arn:aws-cn:s3:::orders/*")
    );
}

#[tokio::test(start_paused = true)]
async fn two_findings_about_one_change_are_undone_one_by_one() {
    let world = World::with("orders", Bucket::default());
    let instance = world.instance();
    let batch = testkit::events::sqs_batch([
        ("1", control("S3.17", "a", "orders").to_string()),
        ("2", control("S3.17", "b", "orders").to_string()),
    ]);
    let Ok(remediation::intake::Invocation::Batch(messages)) = remediation::intake::read(&batch.to_string()) else {
        panic!("not a batch")
    };
    let done = instance.batch(messages, world.deadline()).await;
    assert_eq!(told(&done.summary), ["Remediated encrypted", "Remediated encrypted"]);
    assert_eq!(world.s3.writes(), 1);
    let ids: Vec<_> = world.ledger.records().into_iter().map(|record| record.id).collect();
    let undone = instance.undo(&ids[0], "an operator", world.deadline()).await.unwrap();
    assert_eq!(told(&undone), ["Undone restored"]);
    let undone = instance.undo(&ids[1], "an operator", world.deadline()).await.unwrap();
    assert_eq!(told(&undone), ["Undone undone-before"]);
    assert_eq!(world.s3.get("orders"), Bucket::default());
}

#[tokio::test(start_paused = true)]
async fn a_log_target_without_encryption_gets_sse_s3_only_where_that_answers_the_finding() {
    let bare = Bucket {
        encryption: None,
        grantees: vec!["http://acs.amazonaws.com/groups/s3/LogDelivery".to_owned()],
        ..Bucket::default()
    };
    let world = World::with("logs", bare.clone());
    let instance = world.instance();
    assert_eq!(
        deliver(&instance, &world, &control("S3.17", "a", "logs")).await.0,
        ["Declined log-delivery-target"]
    );
    assert_eq!((world.s3.get("logs"), world.s3.writes()), (bare.clone(), 0));

    let (outcomes, summary) = deliver(&instance, &world, &created("logs")).await;
    assert_eq!(outcomes, ["Remediated encrypted"]);
    assert_eq!(world.s3.get("logs").encryption, Some(sse_s3()));
    let record = &summary.outcomes[0].record;
    assert_eq!(
        told(&instance.undo(record, "an operator", world.deadline()).await.unwrap()),
        ["Undone restored"]
    );
    assert_eq!(world.s3.get("logs").encryption, Some(sse_s3()));
}

#[tokio::test(start_paused = true)]
async fn s71_an_undo_holds_against_every_rule_about_the_same_part() {
    let bare = Bucket {
        encryption: None,
        ..Bucket::default()
    };
    let world = World::with("orders", bare);
    let instance = world.instance();
    deliver(&instance, &world, &control("S3.17", "a", "orders")).await;
    instance
        .undo(&record(&world), "an operator", world.deadline())
        .await
        .unwrap();
    assert_eq!(world.s3.get("orders").encryption, Some(sse_s3()));
    for event in [control("S3.17", "b", "orders"), created("orders")] {
        assert_eq!(deliver(&instance, &world, &event).await.0, ["Declined undone"]);
    }
    assert_eq!(
        deliver(&instance, &world, &control("S3.4", "c", "orders")).await.0,
        ["AlreadyInPlace encrypted"],
        "by S3 itself"
    );
    assert_eq!(
        deliver(&instance, &world, &control("S3.5", "d", "orders")).await.0,
        ["Remediated tls-only"],
        "the policy is another part"
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_person_changed_back_is_encrypted_again_and_undone_to_what_that_person_left() {
    let world = World::with("orders", Bucket::default());
    let instance = world.instance();
    deliver(&instance, &world, &control("S3.17", "a", "orders")).await;
    let theirs = Bucket {
        encryption: Some(Encryption {
            blocked: vec!["SSE-C".to_owned()],
            ..sse_s3()
        }),
        ..Bucket::default()
    };
    world.s3.put("orders", theirs.clone());
    let (outcomes, summary) = deliver(&instance, &world, &control("S3.17", "b", "orders")).await;
    assert_eq!(outcomes, ["Remediated encrypted"]);
    let record = &summary.outcomes[0].record;
    assert_eq!(
        told(&instance.undo(record, "an operator", world.deadline()).await.unwrap()),
        ["Undone restored"]
    );
    assert_eq!(world.s3.get("orders"), theirs);
}

#[tokio::test(start_paused = true)]
async fn s70_encryption_set_between_look_and_write_is_kept() {
    let world = World::with("orders", Bucket::default());
    let theirs = Bucket {
        encryption: Some(kms(Some(KEY))),
        ..Bucket::default()
    };
    world.s3.meddle("orders", theirs.clone());
    deliver(&world.instance(), &world, &control("S3.17", "a", "orders")).await;
    assert_eq!(world.s3.get("orders"), theirs);
}

#[tokio::test(start_paused = true)]
async fn s67_who_would_be_locked_out_is_known() {
    let denies = |principal: &str, resource: &str| {
        policy(&format!(
            r#"{{"Effect":"Deny",{principal},"Action":"s3:*","Resource":"{resource}"}}"#
        ))
    };
    let bucket = "arn:aws:s3:::orders";
    for (bucket, own_role, expected) in [
        (
            denies(r#""Principal":"*""#, bucket),
            "arn:aws:iam::111122223333:role/another",
            "Escalated locked-out",
        ),
        (
            denies(r#""Principal":{"AWS":"arn:aws:iam::111122223333:root"}"#, bucket),
            "arn:aws:iam::111122223333:role/another",
            "Escalated locked-out",
        ),
        // Whoever `NotPrincipal` excepts may not be us.
        (
            denies(r#""NotPrincipal":{"AWS":"arn:aws:iam::111122223333:role/own"}"#, bucket),
            "arn:aws:iam::111122223333:role/another",
            "Escalated locked-out",
        ),
        // The account's name alone excepts its root user, and none of its roles.
        (
            denies(r#""NotPrincipal":{"AWS":"arn:aws:iam::111122223333:root"}"#, bucket),
            "arn:aws:iam::111122223333:role/own",
            "Escalated locked-out",
        ),
        // About objects only: the policy can still be written.
        (
            denies(r#""Principal":"*""#, "arn:aws:s3:::orders/private/*"),
            "arn:aws:iam::111122223333:role/own",
            "Remediated tls-only",
        ),
    ] {
        let world = World::with("orders", bucket.clone());
        let instance = world.instance_as(own_role);
        assert_eq!(
            deliver(&instance, &world, &control("S3.5", "a", "orders")).await.0,
            [expected],
            "{bucket:?}"
        );
    }
}
