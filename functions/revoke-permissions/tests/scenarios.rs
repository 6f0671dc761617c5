//! The promises of `revoke-permissions`, one by one, on a double with IAM's semantics.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod support;

use std::time::Duration;

use chrono::TimeDelta;
use remediation::{
    clock::Clock,
    ids::RecordId,
    outcome::Outcome,
    policy::says_the_same,
    settings::{Document, InvalidSettings, SettingsReader},
};
use revoke_permissions::{Advice, Environment, Kind, QUARANTINE, Recommendation, Settings};
use serde_json::{Value, json};
use support::{
    ACCOUNT, ADMIN, World, about, admin, allow, arn, config, control, deliver, external, policy, told, trusting,
    unused, version, why,
};
use testkit::Fault;

/// The record whose target's text holds this.
fn record(world: &World, part: &str) -> RecordId {
    let records = world.ledger.records();
    let found = records.iter().find(|record| record.target.to_string().contains(part));
    found.unwrap_or_else(|| panic!("no record about {part}")).id.clone()
}

async fn undo(world: &World, part: &str) -> Vec<String> {
    let id = record(world, part);
    told(
        &world
            .instance()
            .undo(&id, "an operator", world.deadline())
            .await
            .unwrap(),
    )
}

/// With a statement that is none of ours to touch, in its author's own layout.
const MIXED: &str = "{\n  \"Version\" : \"2012-10-17\",\n  \"Statement\": [\n    {\"Sid\":\"Admin\", \"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"},\n    {\"Sid\":\"Orders\" , \"Effect\":\"Allow\",\n       \"Action\":[\"dynamodb:GetItem\"], \"Resource\":\"arn:aws:dynamodb:*:*:table/orders\"}\n  ]\n}";
const REST: &str = "{\n  \"Version\" : \"2012-10-17\",\n  \"Statement\": [\n    {\"Sid\":\"Orders\" , \"Effect\":\"Allow\",\n       \"Action\":[\"dynamodb:GetItem\"], \"Resource\":\"arn:aws:dynamodb:*:*:table/orders\"}\n  ]\n}";

#[tokio::test(start_paused = true)]
async fn s77_an_admin_statement_goes_the_others_stay_and_undo_restores_to_the_byte() {
    let world = World::new();
    let legacy = world.aws.policy("legacy", MIXED);
    world
        .aws
        .holder(Kind::Role, "batch", |role| role.attached.push(legacy.clone()));
    let before = world.aws.state();

    let instance = world.instance();
    let (outcomes, summary) = deliver(&instance, &world, &about("IAM.1", "a", &legacy)).await;
    assert_eq!(outcomes, ["policy/legacy (administration) Remediated revoked"]);
    assert!(why(&summary).contains("it reaches role/batch"), "{}", why(&summary));
    assert_eq!(
        world.aws.versions(&legacy),
        [version("v1", false, MIXED), version("v2", true, REST)]
    );
    assert_eq!(world.aws.writes(), ["Version"]);

    let (again, _) = deliver(&instance, &world, &about("IAM.1", "a", &legacy)).await;
    assert_eq!(again, outcomes, "a redelivery is told the same");
    assert_eq!(world.aws.writes().len(), 1, "and writes nothing");

    assert_eq!(
        undo(&world, "legacy").await,
        ["policy/legacy (administration) Undone restored"]
    );
    let mut after = world.aws.state();
    after.account.policies[0].updated = before.account.policies[0].updated;
    assert_eq!(after, before, "the whole account is as it was");

    let (held, _) = deliver(&instance, &world, &about("IAM.1", "b", &legacy)).await;
    assert_eq!(held, ["policy/legacy (administration) Declined undone"]);
}

#[tokio::test(start_paused = true)]
async fn s77_what_would_leave_nothing_is_made_to_grant_nothing_and_stays_attached() {
    let world = World::new();
    let legacy = world.aws.policy("legacy", &admin());
    let batch = world
        .aws
        .holder(Kind::Role, "batch", |role| role.attached.push(legacy.clone()));
    let event = config(
        "securityhub-iam-policy-no-statements-with-admin-access-1a2b3c4d",
        "AWS::IAM::Policy",
        "ANPALEGACY000000",
    );
    let (outcomes, _) = deliver(&world.instance(), &world, &event).await;
    assert_eq!(outcomes, ["policy/legacy (administration) Remediated revoked"]);
    assert_eq!(
        world.aws.text(&legacy),
        policy(&json!([allow("sts:GetCallerIdentity", "*")]))
    );
    assert_eq!(world.aws.get(&batch).attached, [legacy]);
}

#[tokio::test(start_paused = true)]
async fn s78_full_access_becomes_reading_or_what_the_setting_says() {
    let text =
        policy(&json!([{ "Effect": "Allow", "Action": ["s3:*", "sqs:SendMessage"], "Resource": "arn:aws:s3:::a" }]));
    for (setting, actions) in [
        (
            "read-only",
            Some(json!([
                "s3:BatchGet*",
                "s3:Describe*",
                "s3:Get*",
                "s3:List*",
                "sqs:SendMessage"
            ])),
        ),
        ("remove", Some(json!(["sqs:SendMessage"]))),
        ("escalate", None),
    ] {
        let world = World::new();
        let orders = world.aws.policy("orders", &text);
        let instance = world.instance_with(&json!({ "fullAccess": setting }));
        let (outcomes, summary) = deliver(&instance, &world, &about("IAM.21", "a", &orders)).await;
        match actions {
            Some(actions) => {
                assert_eq!(outcomes, ["policy/orders (full access) Remediated revoked"]);
                let now: Value = serde_json::from_str(&world.aws.text(&orders)).unwrap();
                assert_eq!(now["Statement"][0]["Action"], actions, "{setting}");
            }
            None => {
                assert_eq!(outcomes, ["policy/orders (full access) Escalated full-access"]);
                assert!(why(&summary).contains("number 1 allows s3:*"), "{}", why(&summary));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn inline_policies_are_rewritten_or_deleted_and_each_is_told_by_itself() {
    let world = World::new();
    let everything = policy(&json!([allow("kms:*", "*"), allow("s3:GetObject", "*")]));
    let reports = world.aws.holder(Kind::Role, "reports", |role| {
        role.inline.insert("a".to_owned(), everything.clone());
        role.inline
            .insert("b".to_owned(), policy(&json!([allow("kms:Decrypt", "*")])));
        role.inline.insert(
            "c".to_owned(),
            policy(&json!([allow(
                "kms:Decrypt",
                "arn:aws:kms:us-east-1:111122223333:key/1"
            )])),
        );
    });
    let before = world.aws.state();
    let event = control("KMS.2", "a", "AwsIamRole", "arn:aws:iam::111122223333:role/reports");
    let (outcomes, _) = deliver(&world.instance(), &world, &event).await;
    assert_eq!(
        outcomes,
        [
            "role/reports inline policy a (decryption with every key) Remediated revoked",
            "role/reports inline policy b (decryption with every key) Remediated revoked",
            "role/reports inline policy c (decryption with every key) AlreadyInPlace in-order",
        ]
    );
    let now = world.aws.get(&reports).inline;
    assert_eq!(now.keys().collect::<Vec<_>>(), ["a", "c"]);
    assert!(now["a"].contains("\"kms:Encrypt\"") && !now["a"].contains("kms:Decrypt") && !now["a"].contains("kms:*"));
    undo(&world, "\"a\"").await;
    undo(&world, "\"b\"").await;
    assert_eq!(world.aws.state(), before);
}

#[tokio::test(start_paused = true)]
async fn s79_an_inline_policy_with_a_deny_is_never_deleted() {
    let world = World::new();
    let deny = json!({ "Effect": "Deny", "Action": "s3:DeleteBucket", "Resource": "*" });
    let user = world.aws.holder(Kind::User, "contractor", |user| {
        user.inline
            .insert("all".to_owned(), policy(&json!([allow("*", "*"), deny])));
    });
    let event = config("iam-no-inline-policy-check", "AWS::IAM::User", user.id.as_str());
    let (outcomes, _) = deliver(&world.instance(), &world, &event).await;
    assert_eq!(
        outcomes,
        ["user/contractor inline policy all (administration) Remediated revoked"]
    );
    assert_eq!(world.aws.get(&user).inline["all"], policy(&json!([deny])));
}

#[tokio::test(start_paused = true)]
async fn s79_a_blocked_policy_is_detached_from_the_one_that_the_finding_names() {
    let world = World::new();
    let batch = world
        .aws
        .holder(Kind::Role, "batch", |role| role.attached.push(arn(ADMIN)));
    let before = world.aws.state();
    let event = config("iam-policy-blacklisted-check", "AWS::IAM::Role", batch.id.as_str());
    let (outcomes, _) = deliver(&world.instance(), &world, &event).await;
    assert_eq!(
        outcomes,
        ["role/batch aws-managed-policy/AdministratorAccess (blocked policy) Remediated revoked"]
    );
    assert!(world.aws.get(&batch).attached.is_empty());
    assert_eq!(
        undo(&world, "batch").await,
        ["role/batch aws-managed-policy/AdministratorAccess (blocked policy) Undone restored"]
    );
    assert_eq!(world.aws.state(), before);

    let shell = control("IAM.27", "a", "AwsIamRole", "arn:aws:iam::111122223333:role/batch");
    let (outcomes, _) = deliver(&world.instance(), &world, &shell).await;
    assert_eq!(
        outcomes,
        ["role/batch aws-managed-policy/AWSCloudShellFullAccess (blocked policy) AlreadyInPlace in-order"]
    );
}

#[tokio::test(start_paused = true)]
async fn s79_a_policy_that_denies_is_not_detached() {
    let world = World::new();
    let mixed = world.aws.policy(
        "mixed",
        &policy(&json!([allow("s3:*", "*"), { "Effect": "Deny", "Action": "iam:*", "Resource": "*" }])),
    );
    let user = world
        .aws
        .holder(Kind::User, "dev", |user| user.attached.push(mixed.clone()));
    let instance = world.instance_with(&json!({ "blockedPolicies": [mixed.as_str()] }));
    let event = config("iam-policy-blacklisted-check", "AWS::IAM::User", user.id.as_str());
    let (outcomes, summary) = deliver(&instance, &world, &event).await;
    assert_eq!(outcomes, ["user/dev policy/mixed (blocked policy) Escalated unproven"]);
    assert!(
        why(&summary).contains("would not be denied any more"),
        "{}",
        why(&summary)
    );
    assert!(world.aws.writes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn policies_on_a_user_are_only_reported() {
    let world = World::new();
    world.aws.holder(Kind::User, "contractor", |user| {
        user.attached.push(arn("arn:aws:iam::aws:policy/ReadOnlyAccess"));
        user.inline
            .insert("x".to_owned(), policy(&json!([allow("s3:GetObject", "*")])));
    });
    let event = control("IAM.2", "a", "AwsIamUser", "arn:aws:iam::111122223333:user/contractor");
    let (outcomes, summary) = deliver(&world.instance(), &world, &event).await;
    assert_eq!(
        outcomes,
        ["user/contractor (policies-on-user) Escalated policies-on-user"]
    );
    let why = why(&summary);
    assert!(why.contains(
        "aws iam detach-user-policy --user-name contractor --policy-arn arn:aws:iam::aws:policy/ReadOnlyAccess"
    ));
    assert!(
        why.contains("aws iam delete-user-policy --user-name contractor --policy-name x"),
        "{why}"
    );
    assert!(world.aws.writes().is_empty());
}

fn recommends(world: &World, finding: &str, steps: Vec<Advice>) {
    world.aws.change(|directory| {
        drop(
            directory
                .recommendations
                .insert(finding.to_owned(), Recommendation::Steps(steps)),
        )
    });
}

fn advice(world: &World, policy: &str, document: Option<&str>) -> Advice {
    Advice {
        policy: policy.to_owned(),
        document: document.map(str::to_owned),
        updated: Some(world.clock.now() - TimeDelta::days(10)),
    }
}

const API: &str = "arn:aws:iam::111122223333:role/orders-api";

#[tokio::test(start_paused = true)]
async fn s80_what_is_recommended_takes_the_place_of_a_policy_of_its_own() {
    let world = World::new();
    let orders = world.aws.policy("orders", &policy(&json!([allow("s3:*", "*")])));
    world
        .aws
        .holder(Kind::Role, "orders-api", |role| role.attached.push(orders.clone()));
    let before = world.aws.state();
    let less = policy(&json!([allow("s3:GetObject", "*")]));
    recommends(&world, "f", vec![advice(&world, orders.as_str(), Some(&less))]);
    *world.aws.in_progress.lock().unwrap() = 3;
    let event = unused("UnusedPermission", "f", "AWS::IAM::Role", API);
    let (outcomes, _) = deliver(&world.instance(), &world, &event).await;
    assert_eq!(outcomes, ["policy/orders (unused permissions) Remediated revoked"]);
    assert_eq!(world.aws.text(&orders), less);
    undo(&world, "orders").await;
    assert_eq!(
        world.aws.state().account.policies[0].versions,
        before.account.policies[0].versions
    );
}

#[tokio::test(start_paused = true)]
async fn an_analyzer_at_an_address_that_is_none_is_not_asked() {
    let world = World::new();
    for region in ["", "us-east-1.example.com/#", "us-east-1; reboot"] {
        let mut event = unused("UnusedPermission", "f", "AWS::IAM::Role", API);
        event["resources"] = json!([format!("arn:aws:access-analyzer:{region}:111122223333:analyzer/a")]);
        let (outcomes, _) = deliver(&world.instance(), &world, &event).await;
        assert_eq!(outcomes, ["declined not-a-region"], "{region}");
    }
}

#[tokio::test(start_paused = true)]
async fn s80_a_policy_that_others_have_too_is_replaced_for_this_one_alone() {
    let world = World::new();
    let s3 = "arn:aws:iam::aws:policy/AmazonS3FullAccess";
    world.aws.change(|directory| {
        drop(
            directory
                .aws_managed
                .insert(s3.to_owned(), policy(&json!([allow("s3:*", "*")]))),
        )
    });
    let shared = world.aws.policy("shared", &policy(&json!([allow("sqs:*", "*")])));
    let api = world.aws.holder(Kind::Role, "orders-api", |role| {
        role.attached = vec![arn(s3), shared.clone()]
    });
    world.aws.holder(Kind::Role, "other", |role| {
        role.attached = vec![arn(s3), shared.clone()]
    });
    let before = world.aws.state();
    let less = policy(&json!([allow("s3:GetObject", "*")]));
    let steps = vec![advice(&world, s3, Some(&less)), advice(&world, shared.as_str(), None)];
    recommends(&world, "f", steps);
    let (outcomes, _) = deliver(
        &world.instance(),
        &world,
        &unused("UnusedPermission", "f", "AWS::IAM::Role", API),
    )
    .await;
    assert_eq!(
        outcomes,
        [
            "role/orders-api aws-managed-policy/AmazonS3FullAccess (unused permissions) Remediated revoked",
            "role/orders-api policy/shared (unused permissions) Remediated revoked",
        ]
    );
    let now = world.aws.get(&api);
    assert!(now.attached.is_empty());
    assert_eq!(
        now.inline.into_iter().collect::<Vec<_>>(),
        [("SecureCartTrimmed-AmazonS3FullAccess".to_owned(), less)]
    );
    undo(&world, "policy/shared").await;
    undo(&world, "AmazonS3FullAccess").await;
    let now = world.aws.get(&api);
    assert_eq!((now.attached.len(), now.inline.len()), (2, 0));
    assert_eq!(world.aws.state().account.policies, before.account.policies);
}

#[tokio::test(start_paused = true)]
async fn s80_a_recommendation_that_is_stale_or_grants_more_is_not_applied() {
    let more = policy(&json!([allow("s3:GetObject", "*"), allow("sqs:SendMessage", "*")]));
    let less = policy(&json!([allow("s3:GetObject", "*")]));
    for (document, days_ago, expected) in [
        (&more, 10, "policy/orders (unused permissions) Escalated unproven"),
        (
            &less,
            200,
            "policy/orders (unused permissions) Escalated changed-since-analysis",
        ),
    ] {
        let world = World::new();
        let orders = world.aws.policy("orders", &policy(&json!([allow("s3:*", "*")])));
        world
            .aws
            .holder(Kind::Role, "orders-api", |role| role.attached.push(orders.clone()));
        let updated = Some(world.clock.now() - TimeDelta::days(days_ago));
        recommends(
            &world,
            "f",
            vec![Advice {
                updated,
                ..advice(&world, orders.as_str(), Some(document))
            }],
        );
        let (outcomes, _) = deliver(
            &world.instance(),
            &world,
            &unused("UnusedPermission", "f", "AWS::IAM::Role", API),
        )
        .await;
        assert_eq!(outcomes, [expected]);
        assert!(world.aws.writes().is_empty());
    }
    let world = World::new();
    world.aws.holder(Kind::Role, "orders-api", |_| {});
    let (outcomes, _) = deliver(
        &world.instance(),
        &world,
        &unused("UnusedPermission", "none", "AWS::IAM::Role", API),
    )
    .await;
    assert_eq!(
        outcomes,
        ["role/orders-api (no-recommendation) Escalated no-recommendation"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_replacement_comes_with_its_detachment_and_several_are_for_a_person() {
    let less = policy(&json!([allow("s3:GetObject", "*")]));
    for (second, expected) in [
        (None, "policy/orders (unused permissions) Remediated revoked"),
        (
            Some(&less),
            "role/orders-api (several-policies) Escalated several-policies",
        ),
    ] {
        let world = World::new();
        let orders = world.aws.policy("orders", &policy(&json!([allow("s3:*", "*")])));
        world
            .aws
            .holder(Kind::Role, "orders-api", |role| role.attached.push(orders.clone()));
        let steps = vec![
            advice(&world, orders.as_str(), second.map(String::as_str)),
            advice(&world, orders.as_str(), Some(&less)),
        ];
        recommends(&world, "f", steps);
        let event = unused("UnusedPermission", "f", "AWS::IAM::Role", API);
        let (outcomes, _) = deliver(&world.instance(), &world, &event).await;
        assert_eq!(outcomes, [expected]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_recommendation_that_is_never_ready_fails_and_comes_again() {
    let world = World::new();
    world.aws.holder(Kind::Role, "orders-api", |_| {});
    *world.aws.in_progress.lock().unwrap() = 10_000;
    let (_, summary) = deliver(
        &world.instance(),
        &world,
        &unused("UnusedPermission", "f", "AWS::IAM::Role", API),
    )
    .await;
    assert!(summary.needs_redelivery());
    assert!(why(&summary).contains("InProgress"), "{}", why(&summary));
}

#[tokio::test(start_paused = true)]
async fn s81_an_unused_role_is_quarantined_by_a_deny_and_not_deleted() {
    let arn = "arn:aws:iam::111122223333:role/migration";
    for (last_used, expected) in [
        (None, "Remediated revoked"),
        (Some(200), "Remediated revoked"),
        (Some(5), "Declined used"),
    ] {
        let world = World::new();
        let migration = world.aws.holder(Kind::Role, "migration", |role| {
            role.last_used = last_used.map(|days| world.clock.now() - TimeDelta::days(days));
        });
        let before = world.aws.state();
        let event = unused("UnusedIAMRole", "f", "AWS::IAM::Role", arn);
        let (outcomes, _) = deliver(&world.instance(), &world, &event).await;
        assert_eq!(
            outcomes,
            [format!(
                "role/migration inline policy {QUARANTINE} (unused role) {expected}"
            )]
        );
        if expected.starts_with("Remediated") {
            let deny = json!([{ "Sid": QUARANTINE, "Effect": "Deny", "Action": "*", "Resource": "*" }]);
            assert!(says_the_same(
                Some(&world.aws.get(&migration).inline[QUARANTINE]),
                Some(&policy(&deny))
            ));
            undo(&world, "migration").await;
        }
        assert_eq!(world.aws.state(), before);
    }
    let world = World::new();
    world.aws.holder(Kind::Role, "migration", |role| {
        role.created = Some(world.clock.now() - TimeDelta::days(3))
    });
    let (outcomes, _) = deliver(
        &world.instance(),
        &world,
        &unused("UnusedIAMRole", "f", "AWS::IAM::Role", arn),
    )
    .await;
    assert_eq!(
        outcomes,
        [format!(
            "role/migration inline policy {QUARANTINE} (unused role) Declined used"
        )]
    );
}

const PARTNER: &str = "999988887777";
const ROOT: &str = "arn:aws:iam::111122223333:root";

#[tokio::test(start_paused = true)]
async fn s82_an_outsider_is_taken_out_of_a_trust_policy() {
    let role = "arn:aws:iam::111122223333:role/partner";
    let event = external("f", "AWS::IAM::Role", role, &json!({ "AWS": PARTNER }), false);
    for (before, after) in [
        (
            json!({ "AWS": ["arn:aws:iam::999988887777:root", ACCOUNT] }),
            trusting(&json!({ "AWS": ACCOUNT })),
        ),
        (
            json!({ "AWS": "arn:aws:iam::999988887777:root" }),
            trusting(&json!({ "AWS": "arn:aws:iam::999988887777:root" })).replace("Allow", "Deny"),
        ),
    ] {
        let world = World::new();
        let partner = world
            .aws
            .holder(Kind::Role, "partner", |role| role.trust = Some(trusting(&before)));
        let start = world.aws.state();
        let (outcomes, _) = deliver(&world.instance(), &world, &event).await;
        assert_eq!(
            outcomes,
            ["role/partner trust policy (999988887777) Remediated revoked"]
        );
        assert!(says_the_same(world.aws.get(&partner).trust.as_deref(), Some(&after)));
        undo(&world, "partner").await;
        assert_eq!(world.aws.state(), start);

        let trusting = world.instance_with(&json!({ "trustedAccounts": [PARTNER] }));
        let event = external("g", "AWS::IAM::Role", role, &json!({ "AWS": PARTNER }), false);
        let (outcomes, _) = deliver(&trusting, &world, &event).await;
        assert_eq!(outcomes, ["role/partner trust policy (999988887777) Declined trusted"]);
    }
}

#[tokio::test(start_paused = true)]
async fn s82_an_outsider_is_taken_out_of_a_bucket_policy() {
    let read = |principal: Value| json!({ "Effect": "Allow", "Principal": principal, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::exports/*" });
    let tls = json!({ "Sid": "Tls", "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*", "Condition": { "Bool": { "aws:SecureTransport": "false" } } });
    let world = World::new();
    let before = policy(&json!([read(json!({ "AWS": PARTNER })), tls]));
    world
        .aws
        .change(|directory| drop(directory.buckets.insert("exports".to_owned(), Some(before.clone()))));
    let event = |id: &str, principal: &Value, is_public| {
        external(id, "AWS::S3::Bucket", "arn:aws:s3:::exports", principal, is_public)
    };
    let (outcomes, _) = deliver(
        &world.instance(),
        &world,
        &event("f", &json!({ "AWS": PARTNER }), false),
    )
    .await;
    assert_eq!(outcomes, ["bucket/exports (999988887777) Remediated revoked"]);
    assert_eq!(world.aws.state().buckets["exports"], Some(policy(&json!([tls]))));
    undo(&world, "exports").await;
    assert_eq!(world.aws.state().buckets["exports"], Some(before));

    let world = World::new();
    let open = policy(&json!([read(json!("*"))]));
    world
        .aws
        .change(|directory| drop(directory.buckets.insert("exports".to_owned(), Some(open))));
    let (outcomes, _) = deliver(&world.instance(), &world, &event("g", &json!({ "AWS": "*" }), true)).await;
    assert_eq!(outcomes, ["bucket/exports (*) Remediated revoked"]);
    assert_eq!(
        world.aws.state().buckets["exports"],
        Some(policy(&json!([read(json!({ "AWS": ROOT }))])))
    );

    let kept = world.instance_with(&json!({ "protected": ["bucket/export*"] }));
    let open = policy(&json!([read(json!("*"))]));
    world
        .aws
        .change(|directory| drop(directory.buckets.insert("exports".to_owned(), Some(open))));
    let (outcomes, _) = deliver(&kept, &world, &event("i", &json!({ "AWS": "*" }), true)).await;
    assert_eq!(outcomes, ["bucket/exports (*) Declined exempt"]);

    world.aws.change(|directory| directory.buckets.clear());
    let (outcomes, _) = deliver(
        &world.instance(),
        &world,
        &event("h", &json!({ "AWS": PARTNER }), false),
    )
    .await;
    assert_eq!(outcomes, ["bucket/exports (999988887777) Declined gone"]);
    let queue = external(
        "q",
        "AWS::SQS::Queue",
        "arn:aws:sqs:us-east-1:111122223333:q",
        &json!({ "AWS": PARTNER }),
        false,
    );
    let (outcomes, _) = deliver(&world.instance(), &world, &queue).await;
    assert_eq!(
        outcomes,
        ["arn:aws:sqs:us-east-1:111122223333:q (external-access) Escalated external-access"]
    );
}

#[tokio::test(start_paused = true)]
async fn s83_the_oldest_version_makes_room_and_is_kept_in_the_ledger() {
    let world = World::new();
    let legacy = world.aws.policy("legacy", MIXED);
    world.aws.change(|directory| {
        let versions =
            ["v3", "v4", "v8", "v9"].map(|id| version(id, false, &policy(&json!([allow("s3:GetObject", id)]))));
        let policy = &mut directory.account.policies[0];
        policy.versions = versions.into_iter().chain([version("v10", true, MIXED)]).collect();
    });
    let (outcomes, _) = deliver(&world.instance(), &world, &about("IAM.1", "a", &legacy)).await;
    assert_eq!(outcomes, ["policy/legacy (administration) Remediated revoked"]);
    let ids = || {
        world
            .aws
            .versions(&legacy)
            .into_iter()
            .map(|version| version.id)
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(), ["v4", "v8", "v9", "v10", "v11"]);
    let change = world.ledger.records()[0].change.clone().unwrap();
    assert_eq!(
        change["displaced"],
        json!({ "version": "v3", "document": policy(&json!([allow("s3:GetObject", "v3")])) })
    );
    undo(&world, "legacy").await;
    assert_eq!(ids(), ["v4", "v8", "v9", "v10"]);
    assert_eq!(world.aws.text(&legacy), MIXED);
}

#[tokio::test(start_paused = true)]
async fn s83_a_version_that_made_room_for_a_write_that_failed_stays_in_the_ledger() {
    let world = World::new();
    let legacy = world.aws.policy("legacy", MIXED);
    world.aws.change(|directory| {
        let versions = ["v1", "v2", "v3", "v4"].map(|id| version(id, false, REST));
        let policy = &mut directory.account.policies[0];
        policy.versions = versions.into_iter().chain([version("v5", true, MIXED)]).collect();
    });
    let event = about("IAM.1", "a", &legacy);
    world.aws.faults.plan([Fault::Denied]);
    deliver(&world.instance(), &world, &event).await;
    world
        .aws
        .change(|directory| drop(directory.account.policies[0].versions.remove(0)));
    let (outcomes, _) = deliver(&world.instance(), &world, &event).await;
    assert_eq!(outcomes, ["policy/legacy (administration) Remediated revoked"]);
    let change = world.ledger.records()[0].change.clone().unwrap();
    assert_eq!(change["displaced"], json!({ "version": "v1", "document": REST }));
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_stopped_half_way_takes_the_replacement_away() {
    let world = World::new();
    let shared = world.aws.policy("shared", &policy(&json!([allow("sqs:*", "*")])));
    let api = world
        .aws
        .holder(Kind::Role, "orders-api", |role| role.attached = vec![shared.clone()]);
    world
        .aws
        .holder(Kind::Role, "other", |role| role.attached = vec![shared.clone()]);
    let less = policy(&json!([allow("sqs:SendMessage", "*")]));
    recommends(&world, "f", vec![advice(&world, shared.as_str(), Some(&less))]);
    deliver(
        &world.instance(),
        &world,
        &unused("UnusedPermission", "f", "AWS::IAM::Role", API),
    )
    .await;
    world.aws.edit(&api, |role| role.attached.push(shared.clone()));
    undo(&world, "shared").await;
    let now = world.aws.get(&api);
    assert_eq!((now.attached, now.inline.len()), (vec![shared], 0));
}

#[tokio::test(start_paused = true)]
async fn s27_an_undo_that_stopped_half_way_takes_our_version_away() {
    for fault in [Fault::Before, Fault::After, Fault::Late, Fault::Denied] {
        for lag in [0, 3] {
            let world = World::new();
            let legacy = world.aws.policy("legacy", MIXED);
            // It says the same as ours will, and is somebody else's.
            let foreign = version("v2", false, REST);
            world
                .aws
                .change(|directory| directory.account.policies[0].versions.push(foreign.clone()));
            let before = world.aws.versions(&legacy);
            world.aws.lag(Duration::from_secs(lag));
            deliver(&world.instance(), &world, &about("IAM.1", "a", &legacy)).await;
            assert_eq!(world.aws.versions(&legacy).len(), 3);
            world.aws.faults.plan([Fault::None, fault]);
            let outcomes = undo(&world, "legacy").await;
            if fault == Fault::Denied {
                assert!(outcomes[0].contains("Failed"), "{outcomes:?}");
                assert_eq!(world.aws.text(&legacy), MIXED);
                undo(&world, "legacy").await;
            }
            assert_eq!(world.aws.versions(&legacy), before, "{fault:?} {lag}: {outcomes:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn s87_two_rules_about_one_policy_are_one_change_and_later_ones_are_undone_first() {
    let world = World::new();
    let text = policy(&json!([
        allow("*", "*"),
        allow("s3:*", "*"),
        allow("sqs:SendMessage", "*")
    ]));
    let legacy = world.aws.policy("legacy", &text);
    let instance = world.instance();
    let findings: Vec<Value> = [about("IAM.1", "a", &legacy), about("IAM.21", "b", &legacy)]
        .iter()
        .map(|event| event["detail"]["findings"][0].clone())
        .collect();
    let mut both = about("IAM.1", "a", &legacy);
    both["detail"]["findings"] = json!(findings);
    let (outcomes, _) = deliver(&instance, &world, &both).await;
    assert_eq!(
        outcomes,
        [
            "policy/legacy (administration) Remediated revoked",
            "policy/legacy (full access) Remediated revoked"
        ]
    );
    assert_eq!(world.aws.versions(&legacy).len(), 2, "one new version");
    assert_eq!(
        undo(&world, "administration").await,
        ["policy/legacy (administration) Undone restored"]
    );
    assert_eq!(world.aws.text(&legacy), text);
    assert_eq!(
        undo(&world, "full-access").await,
        ["policy/legacy (full access) Undone restored"]
    );

    let world = World::new();
    let legacy = world.aws.policy("legacy", &text);
    deliver(&world.instance(), &world, &about("IAM.1", "a", &legacy)).await;
    deliver(&world.instance(), &world, &about("IAM.21", "b", &legacy)).await;
    let early = undo(&world, "administration").await;
    assert_eq!(early, ["policy/legacy (administration) Declined changed-since"]);
    undo(&world, "full-access").await;
    assert_eq!(
        undo(&world, "administration").await,
        ["policy/legacy (administration) Undone restored"]
    );
    assert_eq!(world.aws.text(&legacy), text);
}

#[tokio::test(start_paused = true)]
async fn s87_a_policy_that_somebody_changed_since_is_not_restored() {
    let world = World::new();
    let legacy = world.aws.policy("legacy", MIXED);
    deliver(&world.instance(), &world, &about("IAM.1", "a", &legacy)).await;
    let foreign = policy(&json!([allow("s3:GetObject", "*")]));
    world
        .aws
        .change(|directory| directory.account.policies[0].versions[1].document = foreign.clone());
    let id = record(&world, "legacy");
    let summary = world
        .instance()
        .undo(&id, "an operator", world.deadline())
        .await
        .unwrap();
    assert_eq!(
        told(&summary),
        ["policy/legacy (administration) Declined changed-since"]
    );
    assert!(why(&summary).contains("Orders is gone or changed"), "{}", why(&summary));
    assert_eq!(world.aws.text(&legacy), foreign);
}

#[tokio::test(start_paused = true)]
async fn s84_what_must_never_be_touched_is_not() {
    let world = World::new();
    let event = |id: &str, name: &str| {
        control(
            "IAM.1",
            id,
            "AwsIamPolicy",
            &format!("arn:aws:iam::111122223333:policy/{name}"),
        )
    };
    let attached = |name: &str, kind, holder: &str, change: &dyn Fn(&mut revoke_permissions::Holder)| {
        let policy = world.aws.policy(name, MIXED);
        world.aws.holder(kind, holder, |holder| {
            holder.attached.push(policy.clone());
            change(holder);
        });
    };
    attached("linked", Kind::Role, "AWSServiceRoleForX", &|role| {
        role.path = "/aws-service-role/x.amazonaws.com/".to_owned()
    });
    attached("sso", Kind::Role, "AWSReservedSSO_Dev_1", &|role| {
        role.path = "/aws-reserved/sso.amazonaws.com/eu-west-1/".to_owned()
    });
    attached("tagged", Kind::User, "tagged-user", &|user| {
        drop(user.tags.insert("break-glass".to_owned(), "yes".to_owned()))
    });
    attached("named", Kind::User, "alice", &|_| {});
    attached("ours", Kind::Role, "remediator", &|role| {
        role.path = "/securecart/".to_owned()
    });
    attached("exempted", Kind::Role, "plain", &|_| {});
    let bounding = world.aws.policy("bounding", MIXED);
    world
        .aws
        .holder(Kind::User, "bounded", |user| user.boundary = Some(bounding));
    let instance = world.instance_with(&json!({ "protected": ["role/securecart/*", "arn:aws:iam::111122223333:user/Alice", "policy/exempted"], "protectedTags": ["team=x", "break-glass"] }));
    for (name, expected) in [
        ("linked", "Escalated reserved-role"),
        ("sso", "Escalated reserved-role"),
        ("tagged", "Escalated reaches-exempt"),
        ("named", "Escalated reaches-exempt"),
        ("ours", "Escalated reaches-exempt"),
        ("exempted", "Declined exempt"),
        ("bounding", "Escalated permissions-boundary"),
    ] {
        let (outcomes, _) = deliver(&instance, &world, &event(name, name)).await;
        assert_eq!(outcomes, [format!("policy/{name} (administration) {expected}")]);
    }
    world.aws.change(|directory| {
        drop(
            directory
                .aws_managed
                .insert("arn:aws:iam::aws:policy/PowerX".to_owned(), admin()),
        )
    });
    let (outcomes, _) = deliver(
        &instance,
        &world,
        &control("IAM.1", "p", "AwsIamPolicy", "arn:aws:iam::aws:policy/PowerX"),
    )
    .await;
    assert_eq!(
        outcomes,
        ["aws-managed-policy/PowerX (administration) Escalated aws-managed"]
    );

    let quarantine = "arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV3";
    world.aws.change(|directory| {
        drop(directory.aws_managed.insert(
            quarantine.to_owned(),
            policy(&json!([{ "Effect": "Deny", "Action": "*", "Resource": "*" }])),
        ))
    });
    let user = world
        .aws
        .holder(Kind::User, "hacked", |user| user.attached.push(arn(quarantine)));
    let blocking = world.instance_with(&json!({ "blockedPolicies": [quarantine] }));
    let event = config("iam-policy-blacklisted-check", "AWS::IAM::User", user.id.as_str());
    let (outcomes, _) = deliver(&blocking, &world, &event).await;
    assert_eq!(
        outcomes,
        ["user/hacked aws-managed-policy/AWSCompromisedKeyQuarantineV3 (blocked policy) Declined quarantine"]
    );
    assert!(world.aws.writes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn s84_an_exempt_principal_keeps_what_is_its_alone() {
    let world = World::new();
    world.aws.holder(Kind::User, "contractor", |user| {
        user.inline.insert("all".to_owned(), admin());
        user.tags.insert("exempt".to_owned(), "true".to_owned());
    });
    let event = config("iam-no-inline-policy-check", "AWS::IAM::User", "AIDACONTRACTOR00");
    let (outcomes, _) = deliver(
        &world.instance_with(&json!({ "protectedTags": ["exempt=false"] })),
        &world,
        &event,
    )
    .await;
    assert!(outcomes[0].ends_with("Remediated revoked"), "{outcomes:?}");
    undo(&world, "contractor").await;
    let mut later = event.clone();
    later["detail"]["newEvaluationResult"]["resultRecordedTime"] = "2026-09-22T00:00:00.000Z".into();
    let (outcomes, _) = deliver(
        &world.instance_with(&json!({ "protectedTags": ["exempt"] })),
        &world,
        &later,
    )
    .await;
    assert!(outcomes[0].contains("Declined"), "{outcomes:?}");
}

#[tokio::test(start_paused = true)]
async fn s85_the_last_administrator_stays() {
    let world = World::empty(World::new().clock.now());
    let legacy = world.aws.policy("legacy", &admin());
    world
        .aws
        .holder(Kind::User, "only", |user| user.attached.push(legacy.clone()));
    // None of these counts: a service's role, one that is denied something, one that is bounded, one with a condition.
    world.aws.holder(Kind::Role, "lambda", |role| {
        role.attached.push(arn(ADMIN));
        role.trust = Some(trusting(&json!({ "Service": "lambda.amazonaws.com" })));
    });
    world.aws.holder(Kind::User, "denied", |user| {
        user.attached.push(arn(ADMIN));
        user.inline.insert(
            "no".to_owned(),
            policy(&json!([{ "Effect": "Deny", "Action": "iam:*", "Resource": "*" }])),
        );
    });
    world.aws.holder(Kind::User, "bounded", |user| {
        user.attached.push(arn(ADMIN));
        user.boundary = Some(arn("arn:aws:iam::aws:policy/ReadOnlyAccess"));
    });
    world.aws.holder(Kind::User, "with-mfa", |user| {
        let mfa = json!({ "Bool": { "aws:MultiFactorAuthPresent": "true" } });
        user.inline.insert(
            "all".to_owned(),
            policy(&json!([{ "Effect": "Allow", "Action": "*", "Resource": "*", "Condition": mfa }])),
        );
    });
    let (outcomes, _) = deliver(&world.instance(), &world, &about("IAM.1", "a", &legacy)).await;
    assert_eq!(
        outcomes,
        ["policy/legacy (administration) Escalated last-administrator"]
    );
    assert!(world.aws.writes().is_empty());

    // A group's member does.
    let group = world
        .aws
        .holder(Kind::Group, "admins", |group| group.attached.push(arn(ADMIN)));
    world
        .aws
        .holder(Kind::User, "member", |user| user.groups.push(group.name.clone()));
    let (outcomes, _) = deliver(&world.instance(), &world, &about("IAM.1", "b", &legacy)).await;
    assert_eq!(outcomes, ["policy/legacy (administration) Remediated revoked"]);
    let event = config("iam-policy-blacklisted-check", "AWS::IAM::Group", group.id.as_str());
    let (outcomes, _) = deliver(&world.instance(), &world, &event).await;
    assert_eq!(
        outcomes,
        ["group/admins aws-managed-policy/AdministratorAccess (blocked policy) Escalated last-administrator"]
    );
}

#[tokio::test(start_paused = true)]
async fn s85_a_role_that_administers_is_not_cut_off_while_it_is_the_last() {
    let world = World::empty(World::new().clock.now());
    let arn_of = "arn:aws:iam::111122223333:role/OrganizationAccountAccessRole";
    let role = world.aws.holder(Kind::Role, "OrganizationAccountAccessRole", |role| {
        role.attached.push(arn(ADMIN));
        role.trust = Some(trusting(&json!({ "AWS": PARTNER })));
    });
    let (outcomes, _) = deliver(
        &world.instance(),
        &world,
        &external("f", "AWS::IAM::Role", arn_of, &json!({ "AWS": PARTNER }), false),
    )
    .await;
    assert_eq!(
        outcomes,
        ["role/OrganizationAccountAccessRole trust policy (999988887777) Escalated last-administrator"]
    );
    let (outcomes, _) = deliver(
        &world.instance(),
        &world,
        &unused("UnusedIAMRole", "g", "AWS::IAM::Role", arn_of),
    )
    .await;
    assert_eq!(
        outcomes,
        [format!(
            "role/OrganizationAccountAccessRole inline policy {QUARANTINE} (unused role) Escalated last-administrator"
        )]
    );
    assert!(world.aws.get(&role).inline.is_empty() && world.aws.writes().is_empty());
}

/// By all that a policy does not except.
#[tokio::test(start_paused = true)]
async fn s85_who_administers_by_exceptions_is_an_administrator_too() {
    let world = World::empty(World::new().clock.now());
    let all_but = |actions: Value| json!({ "Effect": "Allow", "NotAction": actions, "Resource": "*" });
    let role = world.aws.holder(Kind::Role, "ops-admin", |role| {
        let admin = policy(&json!([all_but(json!(["account:*", "organizations:*"]))]));
        role.inline.insert("admin".to_owned(), admin);
        role.trust = Some(trusting(&json!({ "AWS": PARTNER })));
    });
    let arn_of = "arn:aws:iam::111122223333:role/ops-admin";
    for (event, what) in [
        (
            external("f", "AWS::IAM::Role", arn_of, &json!({ "AWS": PARTNER }), false),
            "trust policy (999988887777)".to_owned(),
        ),
        (
            unused("UnusedIAMRole", "g", "AWS::IAM::Role", arn_of),
            format!("inline policy {QUARANTINE} (unused role)"),
        ),
    ] {
        let (outcomes, _) = deliver(&world.instance(), &world, &event).await;
        assert_eq!(
            outcomes,
            [format!("role/ops-admin {what} Escalated last-administrator")]
        );
    }
    assert!(world.aws.get(&role).trust.is_some() && world.aws.writes().is_empty());

    let world = World::empty(World::new().clock.now());
    let statements = json!([all_but(json!("billing:*")), allow("support:DescribeCases", "*")]);
    let admins = world.aws.policy("admins", &policy(&statements));
    world
        .aws
        .holder(Kind::User, "only", |user| user.attached.push(admins.clone()));
    let (outcomes, _) = deliver(&world.instance(), &world, &about("IAM.21", "a", &admins)).await;
    assert_eq!(outcomes, ["policy/admins (full access) Escalated last-administrator"]);
    assert!(world.aws.writes().is_empty());

    // What stays with exceptions may be without all that makes an administrator.
    let world = World::empty(World::new().clock.now());
    let rest = all_but(json!(["iam:Attach*", "iam:Create*", "iam:Put*", "iam:Update*"]));
    let both = world.aws.policy("both", &policy(&json!([allow("*", "*"), rest])));
    world
        .aws
        .holder(Kind::User, "only", |user| user.attached.push(both.clone()));
    let (outcomes, _) = deliver(&world.instance(), &world, &about("IAM.1", "a", &both)).await;
    assert_eq!(outcomes, ["policy/both (administration) Escalated last-administrator"]);
    assert!(world.aws.writes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn s85_two_administrators_are_not_both_cut_at_once() {
    for lag in [0, 2] {
        let world = World::empty(World::new().clock.now());
        world.aws.lag(Duration::from_secs(lag));
        let names = ["one", "two", "three"];
        let policies: Vec<_> = names.iter().map(|name| world.aws.policy(name, &admin())).collect();
        for (name, policy) in names.iter().zip(&policies) {
            world
                .aws
                .holder(Kind::User, name, |user| user.attached.push(policy.clone()));
        }
        let instances: Vec<_> = names.iter().map(|_| world.instance()).collect();
        let events: Vec<_> = names
            .iter()
            .zip(&policies)
            .map(|(name, policy)| about("IAM.1", name, policy))
            .collect();
        let (a, b, c) = tokio::join!(
            deliver(&instances[0], &world, &events[0]),
            deliver(&instances[1], &world, &events[1]),
            deliver(&instances[2], &world, &events[2]),
        );
        let all = [a.0, b.0, c.0].concat();
        let count = |what: &str| all.iter().filter(|told| told.contains(what)).count();
        assert_eq!((count("Remediated"), count("last-administrator")), (2, 1), "{all:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn s86_everybody_whom_a_shared_policy_reaches_is_named_and_too_many_escalate() {
    let world = World::new();
    let legacy = world.aws.policy("legacy", MIXED);
    let group = world
        .aws
        .holder(Kind::Group, "staff", |group| group.attached.push(legacy.clone()));
    for name in ["ann", "ben"] {
        world
            .aws
            .holder(Kind::User, name, |user| user.groups.push(group.name.clone()));
    }
    world
        .aws
        .holder(Kind::Role, "batch", |role| role.attached.push(legacy.clone()));
    let few = world.instance_with(&json!({ "maxPrincipals": 3 }));
    let (outcomes, summary) = deliver(&few, &world, &about("IAM.1", "a", &legacy)).await;
    assert_eq!(outcomes, ["policy/legacy (administration) Escalated reach"]);
    for name in ["group/staff", "user/ann", "user/ben", "role/batch"] {
        assert!(why(&summary).contains(name), "{name} in {}", why(&summary));
    }
    assert!(world.aws.writes().is_empty());
    let (outcomes, summary) = deliver(&world.instance(), &world, &about("IAM.1", "b", &legacy)).await;
    assert_eq!(outcomes, ["policy/legacy (administration) Remediated revoked"]);
    assert!(why(&summary).contains("it reaches 4: "), "{}", why(&summary));
    let records = world.ledger.records();
    let change = records.iter().find_map(|record| record.change.clone()).unwrap();
    assert_eq!(
        change["reaches"],
        json!(["group/staff", "role/batch", "user/ann", "user/ben"])
    );
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_would_become_too_long_is_escalated() {
    let world = World::new();
    let filler: Vec<Value> = (0..90)
        .map(|n| allow("s3:GetObject", &format!("arn:aws:s3:::bucket-{n:03}/*")))
        .collect();
    let mut statements = filler;
    statements.push(allow("kms:*", "*"));
    let text = policy(&json!(statements));
    let kms = world.aws.policy("kms", &text);
    let (outcomes, summary) = deliver(&world.instance(), &world, &about("KMS.1", "a", &kms)).await;
    assert_eq!(
        outcomes,
        ["policy/kms (decryption with every key) Escalated policy-too-large"]
    );
    assert!(why(&summary).contains("AWS takes 6144"), "{}", why(&summary));
}

#[tokio::test(start_paused = true)]
async fn a_name_that_belongs_to_somebody_else_by_now_means_nobody() {
    let world = World::new();
    let mut event = control("KMS.2", "a", "AwsIamRole", "arn:aws:iam::111122223333:role/reports");
    event["detail"]["findings"][0]["Resources"][0]["Details"] =
        json!({ "AwsIamRole": { "RoleName": "reports", "RoleId": "AROAANOTHERONE" } });
    let (outcomes, _) = deliver(&world.instance(), &world, &event).await;
    assert!(outcomes[0].ends_with("Declined no-such-principal"), "{outcomes:?}");
    world.aws.holder(Kind::Role, "reports", |role| {
        drop(role.inline.insert("a".to_owned(), admin()))
    });
    event["detail"]["findings"][0]["UpdatedAt"] = "2026-09-22T00:00:00.000Z".into();
    let (outcomes, _) = deliver(&world.instance(), &world, &event).await;
    assert!(outcomes[0].ends_with("Declined another-bearer"), "{outcomes:?}");
    assert!(world.aws.writes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn s7_lost_answers_late_reads_and_conflicts_end_in_one_change() {
    for fault in [Fault::After, Fault::Before, Fault::Throttled, Fault::Late] {
        for lag in [0, 3] {
            let world = World::new();
            world.aws.lag(Duration::from_secs(lag));
            let legacy = world.aws.policy("legacy", MIXED);
            world.aws.faults.plan([fault]);
            let (outcomes, _) = deliver(&world.instance(), &world, &about("IAM.1", "a", &legacy)).await;
            assert_eq!(
                outcomes,
                ["policy/legacy (administration) Remediated revoked"],
                "{fault:?} {lag}"
            );
            assert_eq!(world.aws.text(&legacy), REST);
            undo(&world, "legacy").await;
            assert_eq!(world.aws.text(&legacy), MIXED, "{fault:?} {lag}");
        }
    }
    let world = World::new();
    let legacy = world.aws.policy("legacy", MIXED);
    world.aws.faults.plan([Fault::Denied]);
    let (_, summary) = deliver(&world.instance(), &world, &about("IAM.1", "a", &legacy)).await;
    assert!(
        matches!(summary.outcomes[0].outcome, Outcome::Failed(_)),
        "a refusal is no success"
    );
    assert_eq!(world.aws.text(&legacy), MIXED);
}

#[tokio::test(start_paused = true)]
async fn s17_dry_run_writes_nothing_and_a_plan_waits_for_approval() {
    let world = World::new();
    let legacy = world.aws.policy("legacy", MIXED);
    let event = about("IAM.1", "a", &legacy);
    let (outcomes, _) = deliver(&world.instance_with(&json!({ "mode": "dry-run" })), &world, &event).await;
    assert_eq!(outcomes, ["policy/legacy (administration) WouldRemediate revoked"]);
    let waiting = world.instance_with(&json!({ "mode": "approve" }));
    let (outcomes, _) = deliver(&waiting, &world, &about("IAM.1", "b", &legacy)).await;
    assert_eq!(outcomes, ["policy/legacy (administration) AwaitingApproval revoked"]);
    assert!(world.aws.writes().is_empty());
    let waits = |record: &&remediation::ledger::Record| {
        matches!(
            &record.status,
            remediation::ledger::Status::Settled(Outcome::AwaitingApproval(_))
        )
    };
    let id = world.ledger.records().iter().find(waits).unwrap().id.clone();
    let summary = waiting.approve(&id, "an operator", world.deadline()).await.unwrap();
    assert_eq!(told(&summary), ["policy/legacy (administration) Remediated revoked"]);
    assert_eq!(world.aws.text(&legacy), REST);
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_cannot_be_read_is_escalated_and_other_findings_are_declined() {
    let world = World::new();
    let odd = world.aws.policy(
        "odd",
        r#"{"Statement":{"Effect":"Allow","Action":"*","Action":"s3:*","Resource":"*"}}"#,
    );
    let (outcomes, _) = deliver(&world.instance(), &world, &about("IAM.1", "a", &odd)).await;
    assert_eq!(outcomes, ["policy/odd (administration) Escalated unreadable-policy"]);
    for (event, expected) in [
        (about("IAM.3", "b", &odd), "declined unclaimed-rule"),
        (
            control("IAM.1", "c", "AwsIamUser", "arn:aws:iam::111122223333:user/x"),
            "declined not-a-policy",
        ),
        (
            control("KMS.2", "d", "AwsAccount", "AWS::::Account:111122223333"),
            "declined not-a-principal",
        ),
        (
            unused(
                "UnusedIAMUserAccessKey",
                "e",
                "AWS::IAM::User",
                "arn:aws:iam::111122223333:user/x",
            ),
            "declined unclaimed-rule",
        ),
    ] {
        let (outcomes, _) = deliver(&world.instance(), &world, &event).await;
        assert_eq!(outcomes, [expected]);
    }
}

#[tokio::test(start_paused = true)]
async fn s82_who_comes_by_a_provider_or_within_conditions_is_for_a_person() {
    let world = World::new();
    let role = "arn:aws:iam::111122223333:role/partner";
    let provider = "arn:aws:iam::111122223333:oidc-provider/token.example";
    let deploys = trusting(&json!({ "Federated": provider }));
    world
        .aws
        .holder(Kind::Role, "partner", |role| role.trust = Some(deploys));
    for (id, principal) in [
        ("a", json!({ "Federated": provider })),
        ("b", json!({ "CanonicalUser": "79a59df900b949e5" })),
        ("c", json!({ "AWS": "*" })),
        ("d", json!({ "AWS": PARTNER, "Federated": provider })),
    ] {
        let event = external(id, "AWS::IAM::Role", role, &principal, false);
        let (outcomes, _) = deliver(&world.instance(), &world, &event).await;
        assert!(
            outcomes[0].ends_with("Escalated external-access"),
            "{principal}: {outcomes:?}"
        );
    }
    let org = json!({ "StringEquals": { "aws:PrincipalOrgID": "o-exampleorgid" } });
    let within = json!({ "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::exports/*", "Condition": org });
    world.aws.change(|directory| {
        drop(
            directory
                .buckets
                .insert("exports".to_owned(), Some(policy(&json!([within])))),
        )
    });
    for (id, principal, is_public) in [
        ("e", json!({ "AWS": "*" }), true),
        ("f", json!({ "AWS": PARTNER }), false),
    ] {
        let event = external(id, "AWS::S3::Bucket", "arn:aws:s3:::exports", &principal, is_public);
        let (outcomes, _) = deliver(&world.instance(), &world, &event).await;
        assert!(outcomes[0].ends_with("Escalated open-by-condition"), "{outcomes:?}");
    }
    assert!(world.aws.writes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_outsider_whom_the_policy_does_not_name_is_no_success() {
    let world = World::new();
    let tls = json!({ "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*", "Condition": { "Bool": { "aws:SecureTransport": "false" } } });
    for (id, text) in [("a", None), ("b", Some(policy(&json!([tls]))))] {
        world
            .aws
            .change(|directory| drop(directory.buckets.insert("exports".to_owned(), text)));
        let by_acl = external(
            id,
            "AWS::S3::Bucket",
            "arn:aws:s3:::exports",
            &json!({ "AWS": PARTNER }),
            false,
        );
        let (outcomes, _) = deliver(&world.instance(), &world, &by_acl).await;
        assert_eq!(outcomes, ["bucket/exports (999988887777) Escalated not-in-policy"]);
    }
    let batch = world.aws.holder(Kind::Role, "batch", |_| {});
    let event = config("iam-policy-blacklisted-check", "AWS::IAM::Role", batch.id.as_str());
    let (outcomes, _) = deliver(&world.instance(), &world, &event).await;
    assert_eq!(
        outcomes,
        ["role/batch aws-managed-policy/AdministratorAccess (blocked policy) Declined not-attached"]
    );
}

#[tokio::test(start_paused = true)]
async fn s82_a_trust_policy_that_names_the_dead_is_for_a_person() {
    let world = World::new();
    world.aws.holder(Kind::Role, "partner", |role| {
        role.trust = Some(trusting(&json!({ "AWS": [PARTNER, "AIDAIQDELETEDUSER000"] })));
    });
    let event = external(
        "a",
        "AWS::IAM::Role",
        "arn:aws:iam::111122223333:role/partner",
        &json!({ "AWS": PARTNER }),
        false,
    );
    let (outcomes, summary) = deliver(&world.instance(), &world, &event).await;
    assert_eq!(
        outcomes,
        ["role/partner trust policy (999988887777) Escalated deleted-principal"]
    );
    assert!(why(&summary).contains("AIDAIQDELETEDUSER000"), "{}", why(&summary));
    let readers = policy(&json!([{
        "Effect": "Allow", "Principal": { "AWS": [PARTNER, "AIDAIQDELETEDUSER000"] }, "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::exports/*"
    }]));
    world
        .aws
        .change(|directory| drop(directory.buckets.insert("exports".to_owned(), Some(readers))));
    let event = external(
        "b",
        "AWS::S3::Bucket",
        "arn:aws:s3:::exports",
        &json!({ "AWS": PARTNER }),
        false,
    );
    let (outcomes, _) = deliver(&world.instance(), &world, &event).await;
    assert_eq!(outcomes, ["bucket/exports (999988887777) Escalated deleted-principal"]);
    assert!(world.aws.writes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn s85_only_who_certainly_can_act_counts_as_an_administrator_who_is_left() {
    let saml = json!({ "Federated": "arn:aws:iam::111122223333:saml-provider/sso" });
    let unconditional = |principal: &Value| trusting(principal);
    let within = policy(&json!([{
        "Effect": "Allow", "Principal": { "AWS": PARTNER }, "Action": "sts:AssumeRole",
        "Condition": { "IpAddress": { "aws:SourceIp": "203.0.113.0/24" } }
    }]));
    let denied = policy(&json!([
        { "Effect": "Allow", "Principal": { "AWS": PARTNER }, "Action": "sts:AssumeRole" },
        { "Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole" }
    ]));
    for (trust, counts) in [
        (unconditional(&json!({ "AWS": ROOT })), false),
        (unconditional(&json!({ "AWS": ACCOUNT })), false),
        (within, false),
        (denied, false),
        (unconditional(&json!({ "AWS": PARTNER })), true),
        (unconditional(&saml), true),
    ] {
        let world = World::empty(World::new().clock.now());
        let legacy = world.aws.policy("legacy", &policy(&json!([allow("iam:*", "*")])));
        world
            .aws
            .holder(Kind::User, "going", |user| user.attached.push(legacy.clone()));
        world.aws.holder(Kind::Role, "stays", |role| {
            role.attached.push(arn(ADMIN));
            role.trust = Some(trust.clone());
        });
        let (outcomes, _) = deliver(&world.instance(), &world, &about("IAM.21", "a", &legacy)).await;
        let expected = if counts {
            "Remediated revoked"
        } else {
            "Escalated last-administrator"
        };
        assert_eq!(outcomes, [format!("policy/legacy (full access) {expected}")], "{trust}");
    }
    for (inactive, expected) in [(true, "Escalated last-administrator"), (false, "Remediated revoked")] {
        let world = World::empty(World::new().clock.now());
        let legacy = world.aws.policy("legacy", &admin());
        world
            .aws
            .holder(Kind::User, "going", |user| user.attached.push(legacy.clone()));
        world
            .aws
            .holder(Kind::User, "stays", |user| user.attached.push(arn(ADMIN)));
        if inactive {
            world
                .aws
                .change(|directory| directory.inactive.extend(["stays".to_owned()]));
        }
        let (outcomes, _) = deliver(&world.instance(), &world, &about("IAM.1", "a", &legacy)).await;
        assert_eq!(outcomes, [format!("policy/legacy (administration) {expected}")]);
    }
}

#[tokio::test(start_paused = true)]
async fn s85_of_two_administrators_whom_only_outsiders_can_be_one_stays() {
    for lag in [0, 5] {
        let world = World::empty(World::new().clock.now());
        world.aws.lag(Duration::from_secs(lag));
        for name in ["one", "two"] {
            world.aws.holder(Kind::Role, name, |role| {
                role.attached.push(arn(ADMIN));
                role.trust = Some(trusting(&json!({ "AWS": PARTNER })));
            });
        }
        let role = |name: &str| format!("arn:aws:iam::111122223333:role/{name}");
        let trust = external("a", "AWS::IAM::Role", &role("one"), &json!({ "AWS": PARTNER }), false);
        let unused = unused("UnusedIAMRole", "b", "AWS::IAM::Role", &role("two"));
        let (one, two) = (world.instance(), world.instance());
        let (a, b) = tokio::join!(deliver(&one, &world, &trust), deliver(&two, &world, &unused));
        let all = [a.0, b.0].concat();
        let count = |what: &str| all.iter().filter(|told| told.contains(what)).count();
        assert_eq!((count("Remediated"), count("last-administrator")), (1, 1), "{all:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_that_takes_too_long_is_a_failure_by_name() {
    let world = World::new();
    let legacy = world.aws.policy("legacy", &admin());
    world
        .aws
        .holder(Kind::User, "going", |user| user.attached.push(legacy.clone()));
    *world.aws.reading.lock().unwrap() = Duration::from_secs(13);
    let (_, summary) = deliver(&world.instance(), &world, &about("IAM.1", "a", &legacy)).await;
    assert!(summary.needs_redelivery());
    assert!(why(&summary).contains("LookTooSlow"), "{}", why(&summary));
    assert!(world.aws.writes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn s87_what_an_operator_gave_back_is_held_for_every_rule() {
    let world = World::new();
    let text = policy(&json!([allow("*", "*"), allow("s3:*", "*")]));
    let legacy = world.aws.policy("legacy", &text);
    deliver(&world.instance(), &world, &about("IAM.1", "a", &legacy)).await;
    undo(&world, "legacy").await;
    let (outcomes, _) = deliver(&world.instance(), &world, &about("IAM.21", "b", &legacy)).await;
    assert_eq!(outcomes, ["policy/legacy (full access) Declined undone"]);
    assert_eq!(world.aws.text(&legacy), text);
}

#[tokio::test(start_paused = true)]
async fn s87_a_detached_policy_that_grants_more_by_now_is_not_attached_again() {
    let world = World::new();
    let shared = world.aws.policy("shared", &policy(&json!([allow("sqs:*", "*")])));
    let api = world
        .aws
        .holder(Kind::Role, "orders-api", |role| role.attached.push(shared.clone()));
    let instance = world.instance_with(&json!({ "blockedPolicies": [shared.as_str()] }));
    let event = config("iam-policy-blacklisted-check", "AWS::IAM::Role", api.id.as_str());
    let (outcomes, _) = deliver(&instance, &world, &event).await;
    assert_eq!(
        outcomes,
        ["role/orders-api policy/shared (blocked policy) Remediated revoked"]
    );
    world
        .aws
        .change(|directory| directory.account.policies[0].versions[0].document = admin());
    assert_eq!(
        undo(&world, "orders-api").await,
        ["role/orders-api policy/shared (blocked policy) Declined changed-since"]
    );
    assert!(world.aws.get(&api).attached.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_inline_policy_of_the_replacements_name_is_left_alone() {
    let world = World::new();
    let shared = world.aws.policy("shared", &policy(&json!([allow("sqs:*", "*")])));
    let foreign = policy(&json!([allow("s3:GetObject", "*")]));
    let api = world.aws.holder(Kind::Role, "orders-api", |role| {
        role.attached.push(shared.clone());
        role.inline
            .insert("SecureCartTrimmed-shared".to_owned(), foreign.clone());
    });
    world
        .aws
        .holder(Kind::Role, "other", |role| role.attached.push(shared.clone()));
    let less = policy(&json!([allow("sqs:SendMessage", "*")]));
    recommends(&world, "f", vec![advice(&world, shared.as_str(), Some(&less))]);
    let event = unused("UnusedPermission", "f", "AWS::IAM::Role", API);
    let (outcomes, _) = deliver(&world.instance(), &world, &event).await;
    assert_eq!(
        outcomes,
        ["role/orders-api policy/shared (unused permissions) Escalated foreign-policy"]
    );
    assert_eq!(world.aws.get(&api).inline["SecureCartTrimmed-shared"], foreign);
}

#[tokio::test(start_paused = true)]
async fn s19_an_approval_is_decided_on_what_is_there_by_then() {
    let world = World::new();
    let orders = world.aws.policy("orders", &policy(&json!([allow("s3:*", "*")])));
    world
        .aws
        .holder(Kind::Role, "orders-api", |role| role.attached.push(orders.clone()));
    let less = policy(&json!([allow("s3:GetObject", "*")]));
    recommends(&world, "f", vec![advice(&world, orders.as_str(), Some(&less))]);
    let waiting = world.instance_with(&json!({ "mode": "approve" }));
    let event = unused("UnusedPermission", "f", "AWS::IAM::Role", API);
    let (outcomes, _) = deliver(&waiting, &world, &event).await;
    assert_eq!(
        outcomes,
        ["policy/orders (unused permissions) AwaitingApproval revoked"]
    );
    let id = record(&world, "orders");
    let changed = world.clock.now();
    let set = |at| {
        world
            .aws
            .change(|directory| directory.account.policies[0].updated = Some(at))
    };
    set(changed);
    let summary = waiting.approve(&id, "an operator", world.deadline()).await.unwrap();
    assert_eq!(
        told(&summary),
        ["policy/orders (unused permissions) Escalated changed-since-analysis"]
    );
    assert!(world.aws.writes().is_empty());
    set(changed - TimeDelta::days(30));
    let summary = waiting.approve(&id, "an operator", world.deadline()).await.unwrap();
    assert_eq!(
        told(&summary),
        ["policy/orders (unused permissions) Remediated revoked"]
    );
}

#[tokio::test(start_paused = true)]
async fn s19_another_plan_than_the_one_that_was_shown_is_shown_again() {
    let world = World::new();
    let legacy = world.aws.policy("legacy", MIXED);
    let waiting = world.instance_with(&json!({ "mode": "approve" }));
    deliver(&waiting, &world, &about("IAM.1", "a", &legacy)).await;
    let id = record(&world, "legacy");
    // By now it would reach somebody.
    world
        .aws
        .holder(Kind::Role, "batch", |role| role.attached.push(legacy.clone()));
    let shown = waiting.approve(&id, "ann", world.deadline()).await.unwrap();
    assert_eq!(
        told(&shown),
        ["policy/legacy (administration) AwaitingApproval stale-plan"]
    );
    assert!(why(&shown).contains("role/batch"), "{}", why(&shown));
    let stored = world.ledger.records().remove(0);
    assert!(world.aws.writes().is_empty() && stored.approved.is_none(), "{stored:?}");
    let done = waiting.approve(&id, "ben", world.deadline()).await.unwrap();
    assert_eq!(told(&done), ["policy/legacy (administration) Remediated revoked"]);
    assert_eq!(world.ledger.records().remove(0).approved.unwrap().by, "ben");
}

#[test]
fn settings_name_everything_that_is_wrong() {
    let environment = |values: &[(&str, &str)]| {
        Environment::read(
            SettingsReader::new(testkit::settings::environment(values)),
            testkit::role(ACCOUNT),
        )
    };
    let names = |wrong: InvalidSettings| -> Vec<String> {
        let last = |name: &str| name.rsplit('.').next().unwrap().to_owned();
        wrong.0.iter().map(|wrong| last(&wrong.name)).collect()
    };
    let wrong = environment(&[("OWN_ROLES", "stack")]).unwrap_err();
    assert_eq!(names(wrong), ["OWN_ROLES"]);
    let environment = environment(&[]).unwrap();
    let read = |own: &Value| {
        let document = json!({ "functions": { "revoke-permissions": own } }).to_string();
        let now = World::new().clock.now();
        Settings::read(&environment, &Document::parse(&document).unwrap(), now)
    };
    let wrong = read(&json!({
        "protected": ["role/x", "alice"], "protectedTags": ["=x"], "trustedAccounts": ["999"], "fullAccess": "none",
        "blockedPolicies": ["AdministratorAccess"], "exempt": [],
    }));
    assert_eq!(
        names(wrong.unwrap_err()),
        [
            "blockedPolicies[0]",
            "exempt",
            "fullAccess",
            "protected[1]",
            "protectedTags[0]",
            "trustedAccounts[0]"
        ]
    );
    let wrong = read(&json!({ "maxPrincipals": 0, "unusedRoleDays": 500 }));
    assert_eq!(names(wrong.unwrap_err()), ["maxPrincipals", "unusedRoleDays"]);
    assert!(read(&json!({})).is_ok());
}

/// An exemption protects its resource also from what would reach it through another one.
#[tokio::test(start_paused = true)]
async fn s26_an_exemption_holds_until_its_day_and_for_what_reaches_its_resource() {
    // The clock stands at 2026-09-21.
    for (resource, control, expires, expected) in [
        ("policy/legacy", "IAM.*", "2026-09-21", "Declined exempt"),
        ("policy/leg*", "*", "2026-12-31", "Declined exempt"),
        ("role/batch", "S3.1", "2026-12-31", "Escalated reaches-exempt"),
        ("Role/Batch", "*", "2026-12-31", "Escalated reaches-exempt"),
        ("*bat*", "*", "2026-12-31", "Escalated reaches-exempt"),
        // Of another rule, and over.
        ("policy/legacy", "KMS.1", "2026-12-31", "Remediated revoked"),
        ("policy/legacy", "IAM.1", "2026-09-20", "Remediated revoked"),
        ("*bat*", "*", "2026-09-20", "Remediated revoked"),
        ("*", "KMS.1", "2026-12-31", "Remediated revoked"),
    ] {
        let world = World::new();
        let legacy = world.aws.policy("legacy", MIXED);
        world
            .aws
            .holder(Kind::Role, "batch", |role| role.attached.push(legacy.clone()));
        let exemption =
            json!({ "resource": resource, "control": control, "owner": "ann", "reason": "moving", "expires": expires });
        let instance = world.instance_of(&json!({
            "exemptions": [exemption], "functions": { "revoke-permissions": { "mode": "enforce", "protected": [] } }
        }));
        let (outcomes, summary) = deliver(&instance, &world, &about("IAM.1", "a", &legacy)).await;
        assert_eq!(
            outcomes,
            [format!("policy/legacy (administration) {expected}")],
            "{resource} {control} {expires}"
        );
        if expected.starts_with("Declined") {
            assert!(
                why(&summary).contains("on the word of ann: moving"),
                "{}",
                why(&summary)
            );
        }
        assert_eq!(
            world.aws.writes().len(),
            usize::from(expected.starts_with("Remediated"))
        );
    }
}
