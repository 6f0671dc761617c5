//! Buckets that are open to everybody, in S3.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::stage::{Scene, Stage};
use crate::screen;

const FUNCTION: &str = "block-public-access";
const MEDIA: &str = "securecart-media-111122223333";
const WEBSITE: &str = "securecart-website-111122223333";
/// What is in each of them.
const KEY: &str = "index.html";

/// Two are about one bucket, and whichever is taken first makes the change.
const SCENES: &[Scene] = &[
    Scene {
        file: "securityhub-s3-8",
        about: "S3.8: the bucket of media does not block public access",
        expect: &[(MEDIA, &["Remediated", "AlreadyInPlace"])],
    },
    Scene {
        file: "access-analyzer-public-bucket",
        about: "IAM Access Analyzer: everybody can list it",
        expect: &[(MEDIA, &["Remediated", "AlreadyInPlace"])],
    },
    Scene {
        file: "securityhub-s3-8-website",
        about: "S3.8: the website does not block public access either",
        expect: &[(WEBSITE, &["Escalated"])],
    },
    Scene {
        file: "securityhub-s3-1",
        about: "S3.1: nor does the account as a whole",
        expect: &[("account", &["Escalated"])],
    },
];

pub fn play(stage: &Stage) -> Result<()> {
    screen::heading("block-public-access: S3 before");
    let before = look(stage)?;
    ensure!(
        before == [(MEDIA, 200), (WEBSITE, 200)],
        "strangers get in nowhere: {before:?}"
    );
    stage.play(FUNCTION, SCENES)?;
    screen::heading("S3 after");
    let after = look(stage)?;
    ensure!(
        after == [(MEDIA, 403), (WEBSITE, 200)],
        "strangers get in where they shall not, or not where they shall: {after:?}"
    );
    for record in stage
        .records(FUNCTION)?
        .iter()
        .filter(|record| record.outcome == "Remediated")
        .take(1)
    {
        stage.undo(FUNCTION, record)?;
    }
    screen::heading("S3 after the undo");
    ensure!(look(stage)? == before, "S3 is not as it was");
    Ok(())
}

/// Two buckets that everybody reads: one that should not be so, and a website.
pub fn seed(stage: &Stage) -> Result<()> {
    let mut calls = Vec::new();
    for bucket in [MEDIA, WEBSITE] {
        let policy = json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": format!("arn:aws:s3:::{bucket}/*")
        }] });
        calls.extend([
            ("s3", "create_bucket", json!({ "Bucket": bucket })),
            // S3 blocks all public access to new buckets.
            ("s3", "delete_public_access_block", json!({ "Bucket": bucket })),
            (
                "s3",
                "put_bucket_policy",
                json!({ "Bucket": bucket, "Policy": policy.to_string() }),
            ),
            (
                "s3",
                "put_object",
                json!({ "Bucket": bucket, "Key": KEY, "Body": "hello" }),
            ),
        ]);
    }
    let site = json!({ "IndexDocument": { "Suffix": KEY } });
    calls.push((
        "s3",
        "put_bucket_website",
        json!({ "Bucket": WEBSITE, "WebsiteConfiguration": site }),
    ));
    stage.read(&calls)?;
    Ok(())
}

/// The block of each bucket, as boto3 reads it, and what a stranger gets who asks for an object.
fn look(stage: &Stage) -> Result<[(&'static str, u16); 2]> {
    let mut seen = [(MEDIA, 0), (WEBSITE, 0)];
    for (bucket, status) in &mut seen {
        *status = stage.cloud.anonymous(bucket, KEY)?;
        let read = ("s3", "get_public_access_block", json!({ "Bucket": bucket }));
        let block = stage.cloud.boto3(&[read])?.into_iter().flatten().next();
        let block = block
            .as_ref()
            .and_then(|answer| answer.get("PublicAccessBlockConfiguration"));
        let settings = block.and_then(Value::as_object).into_iter().flatten();
        let on: Vec<_> = settings
            .filter(|(_, setting)| **setting == Value::Bool(true))
            .map(|(name, _)| name.as_str())
            .collect();
        let on = if on.is_empty() { "none".to_owned() } else { on.join(" ") };
        screen::row(&format!("{bucket:<32} a stranger gets HTTP {status}; blocks: {on}"));
    }
    Ok(seen)
}
