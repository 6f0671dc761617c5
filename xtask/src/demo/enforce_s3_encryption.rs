//! Buckets without SSE-KMS or TLS-only access, in S3.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::stage::{Scene, Stage};
use crate::screen;

const FUNCTION: &str = "enforce-s3-encryption";
const ORDERS: &str = "securecart-orders-111122223333";
const UPLOADS: &str = "securecart-uploads-111122223333";

/// A policy as a person writes it.
const POLICY: &str = r#"{
  "Version" : "2012-10-17",
  "Statement" : { "Sid": "Orders", "Effect":"Allow",
    "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
    "Action": [ "s3:GetObject" ], "Resource": "arn:aws:s3:::securecart-orders-111122223333/*" }
}"#;

/// Two are about one thing, and whichever is taken first makes the change.
const SCENES: &[Scene] = &[
    Scene {
        file: "securityhub-s3-17",
        about: "S3.17: the orders are not encrypted with KMS",
        expect: &[(ORDERS, &["Remediated", "AlreadyInPlace"])],
    },
    Scene {
        file: "securityhub-s3-5",
        about: "S3.5: the orders can be read without TLS",
        expect: &[(ORDERS, &["Remediated"])],
    },
    Scene {
        file: "config-default-encryption-kms",
        about: "the same, as AWS Config sees it",
        expect: &[(ORDERS, &["Remediated", "AlreadyInPlace"])],
    },
    Scene {
        file: "cloudtrail-create-bucket",
        about: "CloudTrail: somebody has just created a bucket",
        expect: &[(UPLOADS, &["Remediated"])],
    },
];

pub fn play(stage: &Stage) -> Result<()> {
    screen::heading("enforce-s3-encryption: S3 before");
    let before = look(stage)?;
    stage.play(FUNCTION, SCENES)?;
    screen::heading("S3 after");
    let after = look(stage)?;
    for (bucket, state) in &after {
        ensure!(
            state.encryption.starts_with("aws:kms, bucket key true"),
            "{bucket} has {}",
            state.encryption
        );
    }
    let [(_, orders), _] = &after;
    ensure!(
        orders.encryption.ends_with("SSE-C blocked"),
        "what was blocked is not any more: {}",
        orders.encryption
    );
    ensure!(
        orders.policy.contains("aws:SecureTransport"),
        "the orders can be read without TLS: {}",
        orders.policy
    );
    ensure!(
        orders.policy.contains(r#""Action": [ "s3:GetObject" ]"#),
        "the other statement has another text: {}",
        orders.policy
    );

    let records = stage.records(FUNCTION)?;
    for record in records.iter().filter(|record| record.outcome == "Remediated") {
        stage.undo(FUNCTION, record)?;
    }
    screen::heading("S3 after the undo, as it was before to the byte");
    let undone = look(stage)?;
    ensure!(undone == before, "S3 is {undone:#?} and was {before:#?}");
    Ok(())
}

/// The buckets that the sample events are about.
pub fn seed(stage: &Stage) -> Result<()> {
    let encryption = json!({ "Rules": [{
        "ApplyServerSideEncryptionByDefault": { "SSEAlgorithm": "AES256" },
        "BlockedEncryptionTypes": { "EncryptionType": ["SSE-C"] }
    }] });
    stage.read(&[
        ("s3", "create_bucket", json!({ "Bucket": ORDERS })),
        ("s3", "create_bucket", json!({ "Bucket": UPLOADS })),
        (
            "s3",
            "put_bucket_encryption",
            json!({ "Bucket": ORDERS, "ServerSideEncryptionConfiguration": encryption }),
        ),
        ("s3", "put_bucket_policy", json!({ "Bucket": ORDERS, "Policy": POLICY })),
    ])?;
    Ok(())
}

#[derive(Debug, PartialEq)]
struct State {
    encryption: String,
    policy: String,
}

/// Default encryption and policy of each bucket, as boto3 reads them.
fn look(stage: &Stage) -> Result<[(&'static str, State); 2]> {
    let of = |bucket| {
        let bucket = json!({ "Bucket": bucket });
        [
            ("s3", "get_bucket_encryption", bucket.clone()),
            ("s3", "get_bucket_policy", bucket),
        ]
    };
    let calls = [of(ORDERS), of(UPLOADS)].concat();
    let mut answers = stage.cloud.boto3(&calls)?.into_iter();
    let mut state = || {
        let encryption = answers.next().context("an encryption")??;
        let policy = match answers.next().context("a policy")? {
            Ok(answer) => answer
                .get("Policy")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            Err(error) if error.code() == Some("NoSuchBucketPolicy") => "no policy".to_owned(),
            Err(error) => return Err(error.into()),
        };
        Ok::<_, anyhow::Error>(State {
            encryption: described(&encryption),
            policy,
        })
    };
    let states = [(ORDERS, state()?), (UPLOADS, state()?)];
    for (bucket, state) in &states {
        screen::row(&format!("{bucket:<32} {}", state.encryption));
        for line in state.policy.lines() {
            screen::row(&format!("{:<32} {line}", ""));
        }
    }
    Ok(states)
}

fn described(answer: &Value) -> String {
    let rule = answer
        .pointer("/ServerSideEncryptionConfiguration/Rules/0")
        .cloned()
        .unwrap_or_default();
    let algorithm = rule
        .pointer("/ApplyServerSideEncryptionByDefault/SSEAlgorithm")
        .and_then(Value::as_str);
    let bucket_key = rule.get("BucketKeyEnabled").and_then(Value::as_bool).unwrap_or(false);
    let blocked = rule
        .pointer("/BlockedEncryptionTypes/EncryptionType/0")
        .and_then(Value::as_str);
    let blocked = blocked.map_or(String::new(), |blocked| format!(", {blocked} blocked"));
    format!("{}, bucket key {bucket_key}{blocked}", algorithm.unwrap_or("none"))
}
