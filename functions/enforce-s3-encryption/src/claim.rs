//! What a finding asks for: which bucket, and which part of it.

use remediation::{
    Claim,
    finding::{Detail, Finding, Resource, Rule, general_purpose_bucket},
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
            return match general_purpose_bucket(name) {
                Ok(bucket) => Claim::Targets(vec![Target::Encryption(bucket, Want::Chosen)]),
                Err(reason) => Claim::Declined(reason),
            };
        }
        Detail::Other(what) => {
            return Claim::declined(
                "not-about-buckets",
                format!("{what} is not about a bucket's encryption"),
            );
        }
        _ => {
            return Claim::declined(
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
                return Claim::declined(
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
                return Claim::declined(
                    "unclaimed-rule",
                    format!("{kind} is no rule about a bucket's encryption"),
                );
            }
        },
    };
    if let Some(reason) = check.is_no_violation(kind) {
        return Claim::Declined(reason);
    }
    let buckets: Result<Vec<_>, Reason> = check.resources.iter().map(Resource::bucket).collect();
    match buckets {
        Ok(buckets) if buckets.is_empty() => Claim::declined("no-bucket", format!("{kind} names no resource")),
        Ok(buckets) => Claim::Targets(buckets.into_iter().map(target).collect()),
        Err(reason) => Claim::Declined(reason),
    }
}
