//! What a finding asks for.

use remediation::{
    Claim,
    finding::{Detail, Finding, Resource, Rule},
    ids::Region,
    outcome::Reason,
};

use crate::storage::{Database, Target};

/// The targets of a finding.
#[must_use]
pub fn claim(finding: &Finding) -> Claim<Target> {
    let kind = finding.evidence.kind.as_str();
    let check = match &finding.detail {
        Detail::Compliance(check) => check,
        Detail::Other(what) => {
            return Claim::declined("not-about-storage", format!("{what} is not about encrypted storage"));
        }
        _ => return Claim::declined("not-about-storage", format!("{kind} is not about encrypted storage")),
    };
    let about = match &check.rule {
        Rule::Control(control) => match control.as_str() {
            "EC2.7" => About::Default,
            "EC2.3" => About::Volumes,
            "RDS.3" => About::Databases,
            _ => {
                return Claim::declined(
                    "unclaimed-rule",
                    format!("{kind} is no control about encrypted storage"),
                );
            }
        },
        Rule::Config(rule) => match rule.as_str() {
            "ec2-ebs-encryption-by-default" => About::Default,
            "encrypted-volumes" => About::Volumes,
            "rds-storage-encrypted" => About::Databases,
            _ => return Claim::declined("unclaimed-rule", format!("{kind} is no rule about encrypted storage")),
        },
    };
    if let Some(reason) = check.is_no_violation(kind) {
        return Claim::Declined(reason);
    }
    let region = match Region::parse(finding.evidence.region.as_str()) {
        Ok(region) => region,
        Err(wrong) => return Claim::declined("not-a-region", wrong.to_string()),
    };
    let target = |resource: &Resource| match about {
        About::Default => Ok(Target::Default(region.clone())),
        About::Volumes => volume(&region, resource),
        About::Databases => database(&region, resource),
    };
    match check.resources.iter().map(target).collect::<Result<Vec<_>, _>>() {
        Ok(targets) if targets.is_empty() => Claim::declined("no-resource", format!("{kind} names no resource")),
        Ok(targets) => Claim::Targets(targets),
        Err(reason) => Claim::Declined(reason),
    }
}

enum About {
    Default,
    Volumes,
    Databases,
}

/// The last part of an ARN, or the whole of what is none. It becomes part of a command.
fn last(resource: &Resource) -> Option<&str> {
    let id = resource.id.rsplit([':', '/']).next().unwrap_or(&resource.id);
    let is_safe = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_safe.then_some(id)
}

fn volume(region: &Region, resource: &Resource) -> Result<Target, Reason> {
    let id = last(resource).filter(|id| resource.kind == "AWS::EC2::Volume" && id.starts_with("vol-"));
    let id = id.ok_or_else(|| not("volume", resource))?;
    Ok(Target::Volume(region.clone(), id.to_owned()))
}

fn database(region: &Region, resource: &Resource) -> Result<Target, Reason> {
    let id = last(resource).ok_or_else(|| not("database", resource))?.to_owned();
    let database = match resource.kind.as_str() {
        // AWS Config knows instances by their resource ids; an identifier has no capitals.
        "AWS::RDS::DBInstance" if id.starts_with("db-") && id.bytes().any(|byte| byte.is_ascii_uppercase()) => {
            Database::InstanceById(id)
        }
        "AWS::RDS::DBInstance" => Database::Instance(id),
        "AWS::RDS::DBCluster" => Database::Cluster(id),
        _ => return Err(not("database", resource)),
    };
    Ok(Target::Database(region.clone(), database))
}

fn not(what: &str, resource: &Resource) -> Reason {
    Reason::new(
        "other-resource",
        format!("{} {} is not a {what}", resource.kind, resource.id),
    )
}
