//! What a finding asks for: which bucket, or which account.

use remediation::{
    Claim,
    finding::{Detail, ExternalAccess, Finding, Resource, Rule},
    ids::AccountId,
    outcome::Reason,
};

use crate::target::Target;

/// The targets of a finding.
#[must_use]
pub fn claim(finding: &Finding) -> Claim<Target> {
    let kind = finding.evidence.kind.as_str();
    let check = match &finding.detail {
        Detail::Compliance(check) => check,
        Detail::ExternalAccess(access) => return external_access(access),
        Detail::Other(what) => {
            return Claim::declined("not-about-public-access", format!("{what} is not about public access"));
        }
        _ => return Claim::declined("not-about-public-access", format!("{kind} is not about public access")),
    };
    let rule = match &check.rule {
        Rule::Control(rule) | Rule::Config(rule) => rule.as_str(),
    };
    let is_account = match rule {
        "S3.1" => true,
        "S3.2"
        | "S3.3"
        | "S3.8"
        | "s3-bucket-public-read-prohibited"
        | "s3-bucket-public-write-prohibited"
        | "s3-bucket-level-public-access-prohibited" => false,
        _ => {
            return Claim::declined(
                "unclaimed-rule",
                format!("{kind} is no rule about public access to buckets"),
            );
        }
    };
    if let Some(reason) = check.is_no_violation(kind) {
        return Claim::Declined(reason);
    }
    if is_account {
        return match AccountId::parse(finding.evidence.account.as_str()) {
            Ok(account) => Claim::Targets(vec![Target::Account(account)]),
            Err(wrong) => Claim::declined("not-an-account", wrong),
        };
    }
    let buckets: Result<Vec<_>, Reason> = check.resources.iter().map(Resource::bucket).collect();
    match buckets {
        Ok(buckets) if buckets.is_empty() => Claim::declined("no-bucket", format!("{kind} names no resource")),
        Ok(buckets) => Claim::Targets(buckets.into_iter().map(Target::Bucket).collect()),
        Err(reason) => Claim::Declined(reason),
    }
}

/// Of what IAM Access Analyzer finds, buckets that are open to everybody; who else comes from outside is no matter of Block
/// Public Access.
fn external_access(access: &ExternalAccess) -> Claim<Target> {
    if !access.active {
        return Claim::declined("not-active", "the analyzer does not see the access any more");
    }
    if !access.public || access.resource.kind != "AWS::S3::Bucket" {
        let text = format!("{} is no bucket that is open to everybody", access.resource.id);
        return Claim::declined("not-a-public-bucket", text);
    }
    match access.resource.bucket() {
        Ok(bucket) => Claim::Targets(vec![Target::Bucket(bucket)]),
        Err(reason) => Claim::Declined(reason),
    }
}
