//! What `revoke-permissions` answers to each file of `events/revoke-permissions`, as a snapshot per file.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod support;

use std::fmt::Write;

use chrono::TimeDelta;
use remediation::{clock::Clock, ids::UniqueId};
use revoke_permissions::{Advice, Holder, Kind, Recommendation, size};
use serde_json::json;
use support::{ADMIN, World, allow, arn, policy, trusting};
use testkit::samples;

const FUNCTION: &str = "revoke-permissions";

/// The account of the samples.
fn world() -> World {
    let world = World::empty(samples::now());
    let aws = &world.aws;
    let read = |name: &str| arn(&format!("arn:aws:iam::aws:policy/{name}"));
    aws.holder(Kind::User, "administrator", |user| user.attached.push(arn(ADMIN)));
    let legacy = aws.policy(
        "securecart-legacy-admin",
        &policy(&json!([allow("*", "*"), allow("sqs:SendMessage", "*")])),
    );
    let orders = aws.policy(
        "securecart-orders-access",
        &policy(&json!([allow("dynamodb:*", "arn:aws:dynamodb:*:*:table/orders")])),
    );
    let kms = aws.policy("securecart-kms-access", &policy(&json!([allow("kms:*", "*")])));
    let shell = policy(&json!([allow("cloudshell:*", "*")]));
    aws.change(|directory| {
        directory
            .aws_managed
            .insert(read("AWSCloudShellFullAccess").as_str().to_owned(), shell);
        for (policy, id) in directory.account.policies.iter_mut().zip([
            "ANPA2EXAMPLELEGACY00",
            "ANPA2EXAMPLEORDERS00",
            "ANPA2EXAMPLEKMSACC00",
        ]) {
            policy.id = UniqueId::parse(id).unwrap();
        }
    });
    let role = |name: &str, id: &str, change: &dyn Fn(&mut Holder)| {
        aws.holder(Kind::Role, name, |role| {
            role.bearer.id = UniqueId::parse(id).unwrap();
            change(role);
        });
    };
    role("securecart-batch", "AROA2EXAMPLEBATCH000", &|role| {
        role.attached = vec![arn(ADMIN), legacy.clone()]
    });
    role("securecart-support", "AROA2EXAMPLESUPPORT0", &|role| {
        role.attached.push(read("AWSCloudShellFullAccess"))
    });
    role("securecart-reports", "AROA2EXAMPLEREPORTS0", &|role| {
        role.inline.insert(
            "decrypt-reports".to_owned(),
            policy(&json!([allow("kms:Decrypt", "*"), allow("s3:GetObject", "*")])),
        );
        role.attached.push(kms.clone());
    });
    role("securecart-orders-api", "AROA2EXAMPLEORDAPI00", &|role| {
        role.attached.push(orders.clone())
    });
    role("securecart-migration", "AROA2EXAMPLEMIGRATE0", &|role| {
        role.last_used = Some(world.clock.now() - TimeDelta::days(200))
    });
    role("securecart-partner", "AROA2EXAMPLEPARTNER0", &|role| {
        role.trust = Some(trusting(&json!({ "AWS": "arn:aws:iam::999988887777:root" })))
    });
    aws.holder(Kind::User, "contractor", |user| {
        user.bearer.id = UniqueId::parse("AIDA2EXAMPLECONTRACT").unwrap();
        user.attached.push(read("ReadOnlyAccess"));
        user.inline
            .insert("deploy-anything".to_owned(), policy(&json!([allow("*", "*")])));
    });
    let exports = policy(&json!([{
        "Effect": "Allow", "Principal": { "AWS": "arn:aws:iam::999988887777:root" }, "Action": ["s3:GetObject", "s3:ListBucket"],
        "Resource": ["arn:aws:s3:::securecart-exports-111122223333", "arn:aws:s3:::securecart-exports-111122223333/*"]
    }]));
    let less = policy(&json!([allow("dynamodb:GetItem", "arn:aws:dynamodb:*:*:table/orders")]));
    let finding = samples::named(FUNCTION, "access-analyzer-unused-permission");
    let finding: serde_json::Value = serde_json::from_str(&finding).unwrap();
    aws.change(|directory| {
        directory
            .buckets
            .insert("securecart-exports-111122223333".to_owned(), Some(exports));
        let advice = Advice {
            policy: orders.as_str().to_owned(),
            document: Some(less),
            updated: Some(world.clock.now()),
        };
        let id = finding["detail"]["findingId"].as_str().unwrap().to_owned();
        directory
            .recommendations
            .insert(id, Recommendation::Steps(vec![advice]));
    });
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
    for (name, payload) in samples::of(FUNCTION) {
        let world = world();
        answer(&world, &payload).await;
        let writes = world.aws.writes().len();
        let again = answer(&world, &payload).await;
        assert_eq!(world.aws.writes().len(), writes, "{name}");
        assert!(
            !again.contains(": Declined"),
            "{name} is answered otherwise than before: {again}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn s11_a_finding_that_comes_by_several_ways_is_one_finding() {
    for (names, writes) in [
        (
            &[
                "access-analyzer-unused-permission",
                "ocsf-unused-permission",
                "securityhub-unused-permission",
            ][..],
            1,
        ),
        (&["access-analyzer-external-role", "securityhub-external-role"][..], 1),
        (
            &["access-analyzer-external-bucket", "securityhub-external-bucket"][..],
            1,
        ),
    ] {
        let world = world();
        for name in names {
            answer(&world, &samples::named(FUNCTION, name)).await;
        }
        assert_eq!(world.aws.writes().len(), writes, "{names:?}");
    }
}

/// What becomes of a payload, and what has changed in the account.
async fn answer(world: &World, payload: &str) -> String {
    let before = world.aws.state();
    let mut text = samples::answer(&world.instance(), world.deadline(), payload).await;
    let after = world.aws.state();
    for (old, new) in before.account.policies.iter().zip(&after.account.policies) {
        for version in new
            .versions
            .iter()
            .filter(|version| !old.versions.contains(version) && version.is_default)
        {
            writeln!(text, "{} {}: {}", new.arn, version.id, version.document).unwrap();
        }
    }
    for (old, new) in before.account.holders.iter().zip(&after.account.holders) {
        for gone in old.attached.iter().filter(|arn| !new.attached.contains(arn)) {
            writeln!(text, "{}: without {gone}", new.bearer).unwrap();
        }
        for (name, policy) in &old.inline {
            match new.inline.get(name) {
                None => writeln!(text, "{}: without {name} of {} characters", new.bearer, size(policy)).unwrap(),
                Some(now) if now != policy => writeln!(text, "{} {name}: {now}", new.bearer).unwrap(),
                Some(_) => {}
            }
        }
        for (name, policy) in new.inline.iter().filter(|(name, _)| !old.inline.contains_key(*name)) {
            writeln!(text, "{} {name}: {policy}", new.bearer).unwrap();
        }
        if old.trust != new.trust {
            writeln!(text, "{} trust: {}", new.bearer, new.trust.as_deref().unwrap_or("none")).unwrap();
        }
    }
    for (bucket, policy) in after
        .buckets
        .iter()
        .filter(|(bucket, policy)| before.buckets.get(*bucket) != Some(policy))
    {
        writeln!(text, "{bucket}: {}", policy.as_deref().unwrap_or("no policy")).unwrap();
    }
    text
}
