//! What a finding asks for: which policy, of whom, and what must not be in it.

use remediation::{
    Claim,
    finding::{Compliance, Detail, ExternalAccess, Finding, Resource, Rule as Checked, UnusedAccess},
    ids::{PrincipalName, Region, UniqueId},
    outcome::Reason,
};

use crate::identity::{Analysis, Demand, Kind, Named, PolicyArn, Target};

/// What IAM.27 looks for.
pub(crate) const CLOUD_SHELL: &str = "AWSCloudShellFullAccess";

/// The targets of a finding. `blocked`: the managed policies of `iam-policy-blacklisted-check`.
#[must_use]
pub fn claim(finding: &Finding, blocked: &[PolicyArn]) -> Claim<Target> {
    let kind = finding.evidence.kind.as_str();
    match &finding.detail {
        Detail::Compliance(check) => checked(kind, check, blocked),
        Detail::UnusedAccess(unused) => unused_access(unused),
        Detail::ExternalAccess(access) => external_access(access),
        Detail::Threat(_) | Detail::ExposedCredentials(_) => Claim::declined(
            "not-about-permissions",
            format!("{kind} is about credentials and traffic"),
        ),
        Detail::IngressAuthorized(_) => Claim::declined("not-about-permissions", "this is about a security group"),
        Detail::BucketCreated(_) => Claim::declined("not-about-permissions", "a new bucket has no policy"),
        Detail::Other(what) => Claim::declined("not-about-permissions", format!("{what} names no policy")),
    }
}

/// What a rule is about.
enum Subject {
    ManagedPolicy(Demand),
    InlinePolicies(Demand),
    Blocked(Vec<PolicyArn>),
    CloudShell,
    PoliciesOnUser,
}

fn checked(kind: &str, check: &Compliance, blocked: &[PolicyArn]) -> Claim<Target> {
    let rule = match &check.rule {
        Checked::Control(rule) | Checked::Config(rule) => rule.as_str(),
    };
    let subject = match rule {
        "IAM.1" | "iam-policy-no-statements-with-admin-access" => Subject::ManagedPolicy(Demand::Administration),
        "IAM.21" | "iam-policy-no-statements-with-full-access" => Subject::ManagedPolicy(Demand::FullAccess),
        "KMS.1" | "iam-customer-policy-blocked-kms-actions" => Subject::ManagedPolicy(Demand::BlockedActions),
        "KMS.2" | "iam-inline-policy-blocked-kms-actions" => Subject::InlinePolicies(Demand::BlockedActions),
        "iam-no-inline-policy-check" => Subject::InlinePolicies(Demand::Administration),
        "IAM.27" => Subject::CloudShell,
        "iam-policy-blacklisted-check" => Subject::Blocked(blocked.to_vec()),
        "IAM.2" | "iam-user-no-policies-check" => Subject::PoliciesOnUser,
        _ => return Claim::declined("unclaimed-rule", format!("{kind} is no rule about permissions")),
    };
    if let Some(reason) = check.is_no_violation(kind) {
        return Claim::Declined(reason);
    }
    let targets: Result<Vec<_>, Reason> = check
        .resources
        .iter()
        .map(|resource| target(&subject, resource))
        .collect();
    match targets {
        Ok(targets) if targets.is_empty() => Claim::declined("no-resource", format!("{kind} names no resource")),
        Ok(targets) => Claim::Targets(targets),
        Err(reason) => Claim::Declined(reason),
    }
}

fn target(subject: &Subject, resource: &Resource) -> Result<Target, Reason> {
    match subject {
        Subject::ManagedPolicy(demand) => policy(resource, demand.clone()),
        Subject::InlinePolicies(demand) => Ok(Target::InlineOf(named(resource)?, demand.clone())),
        Subject::CloudShell => {
            let arn = format!("arn:{}:iam::aws:policy/{CLOUD_SHELL}", partition(&resource.id));
            Ok(Target::AttachedTo(
                named(resource)?,
                PolicyArn::parse(&arn).into_iter().collect(),
            ))
        }
        Subject::Blocked(listed) => Ok(Target::AttachedTo(named(resource)?, listed.clone())),
        Subject::PoliciesOnUser => Ok(Target::PoliciesOf(named(resource)?)),
    }
}

/// Of an ARN; `aws` where it is none.
fn partition(text: &str) -> &str {
    let mut parts = text.split(':');
    let partition = (parts.next() == Some("arn")).then(|| parts.next()).flatten();
    partition.filter(|partition| !partition.is_empty()).unwrap_or("aws")
}

/// The managed policy that a resource is: Security Hub sends its ARN, Config its unique id.
fn policy(resource: &Resource, demand: Demand) -> Result<Target, Reason> {
    if resource.kind != "AWS::IAM::Policy" {
        let text = format!("{} {} is not a managed policy", resource.kind, resource.id);
        return Err(Reason::new("not-a-policy", text));
    }
    if let Some(arn) = PolicyArn::parse(&resource.id) {
        return Ok(Target::Policy(arn, demand));
    }
    let id = UniqueId::parse(&resource.id).or_else(|| resource.unique_id.as_deref().and_then(UniqueId::parse));
    id.map(|id| Target::PolicyId(id, demand)).ok_or_else(|| {
        let text = format!("{:?} is neither the ARN nor the id of a managed policy", resource.id);
        Reason::new("not-a-policy", text)
    })
}

/// The user, role or group that a resource is. Config sends the unique id; Security Hub an ARN that ends in the name, below a
/// path or not, or in the unique id.
fn named(resource: &Resource) -> Result<Named, Reason> {
    let Some(kind) = Kind::of(&resource.kind) else {
        let text = format!("{} {} is no user, role or group", resource.kind, resource.id);
        return Err(Reason::new("not-a-principal", text));
    };
    let id = resource.unique_id.as_deref().and_then(UniqueId::parse);
    let stated = resource.name.as_deref().or_else(|| resource.id.rsplit('/').next());
    let stated = stated.unwrap_or_default();
    if let Some(id) = UniqueId::parse(stated) {
        return Ok(Named {
            kind,
            name: None,
            id: Some(id),
        });
    }
    let name = PrincipalName::parse(stated)
        .ok_or_else(|| Reason::new("not-a-principal", format!("{stated:?} is not the name of a {kind}")))?;
    Ok(Named {
        kind,
        name: Some(name),
        id,
    })
}

fn unused_access(unused: &UnusedAccess) -> Claim<Target> {
    if !unused.active {
        return Claim::declined("not-active", "the analyzer does not see it as unused any more");
    }
    let named = match named(&unused.resource) {
        Ok(named) => named,
        Err(reason) => return Claim::Declined(reason),
    };
    match (unused.kind.as_str(), &unused.analyzer) {
        ("UnusedIAMRole", _) => Claim::Targets(vec![Target::UnusedRole(named)]),
        ("UnusedPermission", Some(analyzer)) => {
            // It is asked there.
            if let Err(wrong) = Region::parse(analyzer.split(':').nth(3).unwrap_or_default()) {
                return Claim::declined(
                    "not-a-region",
                    format!("the finding's analyzer has no address: {wrong}"),
                );
            }
            let analysis = Analysis {
                analyzer: analyzer.clone(),
                finding: unused.finding.clone(),
            };
            Claim::Targets(vec![Target::UnusedPermissions(named, analysis)])
        }
        ("UnusedPermission", None) => Claim::Targets(vec![Target::Beyond {
            subject: named.to_string(),
            code: "unknown-analyzer".to_owned(),
            advice: format!(
                "{named} has permissions that it does not use; the finding does not say which analyzer knows them: look at it in \
                 IAM Access Analyzer"
            ),
        }]),
        (kind, _) => Claim::declined("unclaimed-rule", format!("{kind} is not about permissions")),
    }
}

fn external_access(access: &ExternalAccess) -> Claim<Target> {
    if !access.active {
        return Claim::declined("not-active", "the analyzer does not see the access any more");
    }
    let resource = &access.resource;
    let demand = Demand::Outsiders(access.grantees.clone());
    let by_hand = |why: &str| {
        Claim::Targets(vec![Target::Beyond {
            subject: resource.id.clone(),
            code: "external-access".to_owned(),
            advice: format!("{} is open to {demand}, {why}", resource.id),
        }])
    };
    if access.grantees.is_empty() {
        return by_hand("and the finding does not say to whom: look at its policy");
    }
    if access.grantees.iter().any(|grantee| grantee.kind != "AWS") {
        return by_hand(
            "by an identity provider, a service or a canonical user: whether that is meant its conditions say. Take it out of the policy, or archive \
             the finding",
        );
    }
    if !access.public && access.grantees.iter().any(|grantee| grantee.id == "*") {
        return by_hand("within conditions: name whom it is for in their place, or archive the finding");
    }
    let by_policy = access.sources.is_empty() || access.sources.iter().any(|source| source == "POLICY");
    match resource.kind.as_str() {
        "AWS::IAM::Role" => match named(resource) {
            Ok(named) => Claim::Targets(vec![Target::TrustOf(named, demand)]),
            Err(reason) => Claim::Declined(reason),
        },
        "AWS::S3::Bucket" if !by_policy => by_hand(
            "by its ACL or an access point: turn ACLs off (ObjectOwnership BucketOwnerEnforced), or change the access point's policy",
        ),
        "AWS::S3::Bucket" => match resource.bucket() {
            Ok(bucket) => Claim::Targets(vec![Target::At(crate::Place::Bucket(bucket), demand)]),
            Err(reason) => Claim::Declined(reason),
        },
        _ => by_hand("by a policy that this function does not change: take them out of it, or archive the finding"),
    }
}
