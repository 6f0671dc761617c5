//! What a finding asks for: which user, role or key, and by which rule.

use remediation::{
    Claim,
    finding::{Compliance, Credential, Detail, Finding, Resource, Rule as Checked, UnusedAccess},
    ids::{KeyId, PrincipalName, UniqueId},
    outcome::Reason,
};

use crate::identity::{Principal, Role, Rule, Target, User, root_path};

/// The targets of a finding.
#[must_use]
pub fn claim(finding: &Finding) -> Claim<Target> {
    let kind = finding.evidence.kind.as_str();
    match &finding.detail {
        Detail::Compliance(check) => checked(kind, check),
        Detail::UnusedAccess(unused) => unused_access(unused),
        Detail::ExposedCredentials(named) => exposed(kind, named),
        Detail::Threat(threat) => used_by_attacker(kind, &threat.credentials),
        Detail::ExternalAccess(_) => Claim::declined(
            "not-about-credentials",
            "access from outside is no matter of access keys",
        ),
        Detail::IngressAuthorized(_) => Claim::declined("not-about-credentials", "this is about a security group"),
        Detail::BucketCreated(_) => {
            Claim::declined("not-about-credentials", "a new bucket is no matter of access keys")
        }
        Detail::Other(what) => Claim::declined("not-about-credentials", format!("{what} names no access key")),
    }
}

fn checked(kind: &str, check: &Compliance) -> Claim<Target> {
    let rule = match &check.rule {
        Checked::Control(control) => match control.as_str() {
            "IAM.3" => Rule::Rotation,
            "IAM.8" => Rule::Unused,
            "IAM.22" => Rule::Unused45,
            _ => return Claim::declined("unclaimed-rule", format!("{kind} is no control about access keys")),
        },
        Checked::Config(rule) => match rule.as_str() {
            "access-keys-rotated" => Rule::Rotation,
            "iam-user-unused-credentials-check" => Rule::Unused,
            _ => return Claim::declined("unclaimed-rule", format!("{kind} is no rule about access keys")),
        },
    };
    if let Some(reason) = check.is_no_violation(kind) {
        return Claim::Declined(reason);
    }
    let users: Result<Vec<_>, Reason> = check.resources.iter().map(user).collect();
    match users {
        Ok(users) if users.is_empty() => Claim::declined("no-user", format!("{kind} names no resource")),
        Ok(users) => Claim::Targets(users.into_iter().map(|user| Target::Credentials(user, rule)).collect()),
        Err(reason) => Claim::Declined(reason),
    }
}

fn unused_access(unused: &UnusedAccess) -> Claim<Target> {
    if unused.kind != "UnusedIAMUserAccessKey" {
        return Claim::declined("unclaimed-rule", format!("{} is not about access keys", unused.kind));
    }
    if !unused.active {
        return Claim::declined("not-active", "the analyzer does not see the key as unused any more");
    }
    match user(&unused.resource) {
        Ok(user) => Claim::Targets(vec![Target::Credentials(user, Rule::Unused)]),
        Err(reason) => Claim::Declined(reason),
    }
}

/// The user that a resource is. Config sends the unique id; Security Hub an ARN that ends in the name, below a path or not,
/// or in the unique id; its details, where it sends them, know both.
fn user(resource: &Resource) -> Result<User, Reason> {
    if resource.kind != "AWS::IAM::User" {
        let text = format!("{} {} is not an IAM user", resource.kind, resource.id);
        return Err(Reason::new("not-a-user", text));
    }
    let id = resource.unique_id.as_deref().and_then(UniqueId::parse);
    let stated = resource.name.as_deref().or_else(|| resource.id.rsplit('/').next());
    let stated = stated.unwrap_or_default();
    if let Some(id) = UniqueId::parse(stated) {
        return Ok(User::Id(id));
    }
    PrincipalName::parse(stated)
        .map(|name| User::Named(name, id))
        .ok_or_else(|| Reason::new("not-a-user", format!("{stated:?} is not the name of an IAM user")))
}

/// What AWS Health names as exposed or compromised.
fn exposed(kind: &str, named: &[String]) -> Claim<Target> {
    if named.is_empty() {
        return Claim::declined("no-key", format!("{kind} names no access key"));
    }
    let targets = named.iter().flat_map(|entity| match KeyId::parse(entity) {
        Some(key) => compromised(User::OwnerOf(key.clone()), Some(key)),
        None => vec![Target::Beyond {
            subject: entity.chars().take(128).collect(),
            code: "not-a-long-term-key".to_owned(),
            advice: format!(
                "{kind} names no long-term access key of a user. Find in CloudTrail whose credentials these are, and revoke \
                 the sessions of that user or role"
            ),
        }],
    });
    Claim::Targets(targets.collect())
}

/// Disabling a key does not end the sessions that were opened with it.
fn compromised(user: User, key: Option<KeyId>) -> Vec<Target> {
    let key = key.map(|key| Target::CompromisedKey(user.clone(), key));
    key.into_iter()
        .chain([Target::Sessions(Principal::User(user))])
        .collect()
}

/// What a GuardDuty finding type says of the credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Suspicion {
    /// Somebody else has them.
    Stolen,
    /// They were used in a way that may be legitimate.
    Unusual,
    /// The finding is about something else that was done with them.
    Elsewhere,
}

impl Suspicion {
    fn of(kind: &str) -> Self {
        if matches!(
            kind,
            "AttackSequence:IAM/CompromisedCredentials" | "AttackSequence:S3/CompromisedData"
        ) {
            return Self::Stolen;
        }
        let (_, of) = kind.split_once(':').unwrap_or_default();
        let (resource, family) = of.split_once('/').unwrap_or_default();
        match family.split('.').next().unwrap_or_default() {
            "MaliciousIPCaller"
            | "TorIPCaller"
            | "InstanceCredentialExfiltration"
            | "ResourceCredentialExfiltration"
            | "CompromisedCredentials" => Self::Stolen,
            _ if matches!(resource, "IAMUser" | "IAM") => Self::Unusual,
            _ => Self::Elsewhere,
        }
    }
}

fn used_by_attacker(kind: &str, credentials: &[Credential]) -> Claim<Target> {
    let suspicion = Suspicion::of(kind);
    if suspicion == Suspicion::Elsewhere {
        return Claim::declined(
            "not-about-credentials",
            format!("{kind} does not say that credentials are in other hands"),
        );
    }
    if credentials.is_empty() {
        return Claim::declined("no-credentials", format!("{kind} names no credentials"));
    }
    Claim::Targets(
        credentials
            .iter()
            .flat_map(|used| contain(kind, suspicion, used))
            .collect(),
    )
}

/// What contains these credentials. The long-term key can be disabled; a temporary one cannot, only its sessions can be cut
/// off at the user or role that they belong to.
fn contain(kind: &str, suspicion: Suspicion, used: &Credential) -> Vec<Target> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (who, as_what) = (text(&used.name), text(&used.kind));
    let subject = if who.is_empty() {
        text(&used.principal)
    } else {
        who.clone()
    };
    let beyond = |code: &str, advice: String| {
        vec![Target::Beyond {
            subject: format!("{as_what}/{subject}").chars().take(128).collect(),
            code: code.to_owned(),
            advice: format!("{kind}: {advice}"),
        }]
    };
    if as_what == "Root" {
        return beyond(
            "root",
            "only the account's owner can contain its root user: sign in, change the password, check MFA, delete root's access \
             keys"
                .to_owned(),
        );
    }
    let name = PrincipalName::parse(&who);
    let id = used
        .principal
        .as_deref()
        .and_then(|principal| principal.split(':').next());
    let id = id.and_then(UniqueId::parse);
    let containment = match (as_what.as_str(), name) {
        ("IAMUser", Some(name)) => {
            let key = used.key.as_deref().and_then(KeyId::parse);
            compromised(User::Named(name, id), key)
        }
        ("AssumedRole" | "Role", Some(name)) if name.as_str().starts_with("AWSReservedSSO_") => {
            return sso(kind, &name);
        }
        ("AssumedRole" | "Role", Some(name)) => {
            let path = root_path();
            vec![Target::Sessions(Principal::Role(Role { name, id, path }))]
        }
        _ => {
            return beyond(
                "unknown-principal",
                format!(
                    "credentials of {as_what:?} {subject:?} cannot be revoked in IAM: find out in CloudTrail who issued them"
                ),
            );
        }
    };
    match suspicion {
        Suspicion::Stolen => containment,
        _ => beyond(
            "may-be-legitimate",
            format!(
                "it may be a legitimate user doing something unusual. If it is not: {}",
                by_hand(used, &who)
            ),
        ),
    }
}

/// The commands that a person would use.
fn by_hand(used: &Credential, name: &str) -> String {
    match used.key.as_deref().and_then(KeyId::parse) {
        Some(key) => format!("aws iam update-access-key --user-name {name} --access-key-id {key} --status Inactive"),
        None => format!("revoke the sessions of {name}, by a deny on aws:TokenIssueTime"),
    }
}

/// IAM Identity Center's roles cannot be edited.
pub(crate) fn sso(kind: &str, role: &PrincipalName) -> Vec<Target> {
    vec![Target::Beyond {
        subject: format!("role/{role}"),
        code: "sso-role".to_owned(),
        advice: format!(
            "{kind}: the role belongs to IAM Identity Center and cannot be edited here. End the user's sessions there, and \
             disable the user"
        ),
    }]
}
