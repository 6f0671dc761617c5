//! What a finding asks for: which bucket, and which part of it.

use remediation::{
    Claim,
    finding::{Detail, Finding, Resource, Rule},
    ids::BucketName,
    outcome::Reason,
};

use crate::bucket::{Target, Want};

/// The targets of a finding.
#[must_use]
pub fn claim(finding: &Finding) -> Claim<Target> {
    let kind = finding.evidence.kind.as_str();
    let check = match &finding.detail {
        Detail::Compliance(check) => check,
        Detail::BucketCreated(name) => {
            return match bucket(name) {
                Ok(bucket) => Claim::Targets(vec![Target::Encryption(bucket, Want::Chosen)]),
                Err(reason) => Claim::Declined(reason),
            };
        }
        Detail::Other(what) => {
            return declined(
                "not-about-buckets",
                format!("{what} is not about a bucket's encryption"),
            );
        }
        _ => {
            return declined(
                "not-about-buckets",
                format!("{kind} is not about a bucket's encryption"),
            );
        }
    };
    let target: fn(BucketName) -> Target = match &check.rule {
        Rule::Control(control) => match control.as_str() {
            "S3.17" => |bucket| Target::Encryption(bucket, Want::Kms),
            "S3.4" => |bucket| Target::Encryption(bucket, Want::Any),
            "S3.5" => Target::TlsOnly,
            _ => {
                return declined(
                    "unclaimed-rule",
                    format!("{kind} is no control about a bucket's encryption"),
                );
            }
        },
        Rule::Config(rule) => match rule.as_str() {
            "s3-default-encryption-kms" => |bucket| Target::Encryption(bucket, Want::Kms),
            "s3-bucket-server-side-encryption-enabled" => |bucket| Target::Encryption(bucket, Want::Any),
            "s3-bucket-ssl-requests-only" => Target::TlsOnly,
            _ => {
                return declined(
                    "unclaimed-rule",
                    format!("{kind} is no rule about a bucket's encryption"),
                );
            }
        },
    };
    if let Some(reason) = check.is_no_violation(kind) {
        return Claim::Declined(reason);
    }
    let buckets: Result<Vec<_>, Reason> = check.resources.iter().map(named).collect();
    match buckets {
        Ok(buckets) if buckets.is_empty() => declined("no-bucket", format!("{kind} names no resource")),
        Ok(buckets) => Claim::Targets(buckets.into_iter().map(target).collect()),
        Err(reason) => Claim::Declined(reason),
    }
}

fn declined(code: &str, text: impl Into<String>) -> Claim<Target> {
    Claim::Declined(Reason::new(code, text))
}

/// A bucket's ARN has neither Region nor account: `arn:aws:s3:::name`. AWS Config sends the bare name.
fn named(resource: &Resource) -> Result<BucketName, Reason> {
    if resource.kind != "AWS::S3::Bucket" {
        let text = format!("{} {} is not a bucket", resource.kind, resource.id);
        return Err(Reason::new("not-a-bucket", text));
    }
    bucket(
        resource
            .name
            .as_deref()
            .or_else(|| resource.id.rsplit(':').next())
            .unwrap_or_default(),
    )
}

fn bucket(name: &str) -> Result<BucketName, Reason> {
    match BucketName::parse(name) {
        None => Err(Reason::new(
            "not-a-bucket",
            format!("{name:?} is not the name of a bucket"),
        )),
        Some(bucket) if bucket.is_directory() => {
            let text =
                format!("{bucket} is a directory bucket, which has one key for its life and no policy of this kind");
            Err(Reason::new("directory-bucket", text))
        }
        Some(bucket) => Ok(bucket),
    }
}
