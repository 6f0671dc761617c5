//! What is acted on: places where a policy stands, and what is asked of it.

use std::fmt;

use remediation::{
    clock::Timestamp,
    finding::Grantee,
    ids::{BucketName, PrincipalName, UniqueId},
};
use serde::{Deserialize, Serialize};

/// Users, roles and groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A user.
    User,
    /// A role.
    Role,
    /// A group.
    Group,
}

impl Kind {
    /// From CloudFormation's type.
    #[must_use]
    pub fn of(resource_type: &str) -> Option<Self> {
        match resource_type {
            "AWS::IAM::User" => Some(Self::User),
            "AWS::IAM::Role" => Some(Self::Role),
            "AWS::IAM::Group" => Some(Self::Group),
            _ => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Role => "role",
            Self::Group => "group",
        })
    }
}

/// A user, role or group as a finding names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Named {
    /// Which kind.
    pub kind: Kind,
    /// By its name.
    pub name: Option<PrincipalName>,
    /// By its unique id, which a name must still have.
    pub id: Option<UniqueId>,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, &self.id) {
            (Some(name), _) => write!(f, "{}/{name}", self.kind),
            (None, Some(id)) => write!(f, "{}/{id}", self.kind),
            (None, None) => write!(f, "{}", self.kind),
        }
    }
}

/// A user, role or group as IAM knows it: name and id belong together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Bearer {
    /// Which kind.
    pub kind: Kind,
    /// Its name.
    pub name: PrincipalName,
    /// Its unique id.
    pub id: UniqueId,
}

impl fmt::Display for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

/// The ARN of a managed policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PolicyArn(String);

impl PolicyArn {
    /// Takes the text if it is the ARN of a managed policy.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let is_arn = parts.next() == Some("arn") && parts.nth(1) == Some("iam");
        let name = parts.nth(2).and_then(|rest| rest.strip_prefix("policy/"))?;
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
        (is_arn && is_name && text.len() <= 2048).then(|| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without its path.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// Whether AWS manages it: nobody else can change what it says.
    #[must_use]
    pub fn is_aws_managed(&self) -> bool {
        self.0.split(':').nth(4) == Some("aws")
    }
}

impl fmt::Display for PolicyArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_aws_managed() {
            f.write_str("aws-managed-policy/")?;
        } else {
            f.write_str("policy/")?;
        }
        let path = self.0.split_once(":policy/").map_or(self.0.as_str(), |(_, path)| path);
        f.write_str(path)
    }
}

/// Where a policy stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// A customer-managed policy.
    Managed(PolicyArn),
    /// An inline policy.
    Inline(Bearer, String),
    /// A managed policy on one of those that have it. Written, it leaves them; what is to take its place becomes an inline
    /// policy.
    Attached(Bearer, PolicyArn),
    /// A role's trust policy.
    Trust(Bearer),
    /// A bucket policy.
    Bucket(BucketName),
}

impl Place {
    /// The user, role or group that alone has the policy.
    #[must_use]
    pub fn bearer(&self) -> Option<&Bearer> {
        match self {
            Self::Inline(bearer, _) | Self::Attached(bearer, _) | Self::Trust(bearer) => Some(bearer),
            Self::Managed(_) | Self::Bucket(_) => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Managed(arn) => arn.fmt(f),
            Self::Inline(bearer, name) => write!(f, "{bearer} inline policy {name}"),
            Self::Attached(bearer, arn) => write!(f, "{bearer} {arn}"),
            Self::Trust(bearer) => write!(f, "{bearer} trust policy"),
            Self::Bucket(bucket) => write!(f, "bucket/{bucket}"),
        }
    }
}

/// What must not be there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Demand {
    /// Every action on every resource: IAM.1, `iam-policy-no-statements-with-admin-access`; inline:
    /// `iam-no-inline-policy-check`.
    Administration,
    /// Every action of a service: IAM.21, `iam-policy-no-statements-with-full-access`.
    FullAccess,
    /// Decrypting with every key: KMS.1, KMS.2 and the rules of Config behind them.
    BlockedActions,
    /// The policy as a whole: IAM.27, `iam-policy-blacklisted-check`.
    TheWhole,
    /// Whatever IAM Access Analyzer leaves out of the policy that it recommends.
    Unused(Recommended),
    /// Any use of a role that nobody uses.
    UnusedRole,
    /// These from outside of the account.
    Outsiders(Vec<Grantee>),
}

/// What IAM Access Analyzer recommends in the place of a policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Recommended {
    /// The text; none: nothing.
    pub document: Option<String>,
    /// When the policy had last been changed when it was analysed.
    pub updated: Option<Timestamp>,
}

impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Administration => f.write_str("administration"),
            Self::FullAccess => f.write_str("full access"),
            Self::BlockedActions => f.write_str("decryption with every key"),
            Self::TheWhole => f.write_str("blocked policy"),
            Self::Unused(_) => f.write_str("unused permissions"),
            Self::UnusedRole => f.write_str("unused role"),
            Self::Outsiders(grantees) => {
                let names: Vec<_> = grantees.iter().map(|grantee| grantee.id.as_str()).collect();
                f.write_str(&names.join(", "))
            }
        }
    }
}

/// A finding of IAM Access Analyzer, to be asked for its recommendation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Analysis {
    /// The analyzer's ARN.
    pub analyzer: String,
    /// The finding's id there.
    pub finding: String,
}

/// What is acted on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// A customer-managed policy, by its ARN.
    Policy(PolicyArn, Demand),
    /// A customer-managed policy, by its unique id.
    PolicyId(UniqueId, Demand),
    /// Every inline policy of these.
    InlineOf(Named, Demand),
    /// These managed policies, wherever this one has them.
    AttachedTo(Named, Vec<PolicyArn>),
    /// What nobody has used of these permissions.
    UnusedPermissions(Named, Analysis),
    /// A role that nobody uses.
    UnusedRole(Named),
    /// Whom a role trusts.
    TrustOf(Named, Demand),
    /// Policies straight on a user, which a person has to move to groups.
    PoliciesOf(Named),
    /// As IAM or S3 knows it.
    At(Place, Demand),
    /// What no function can, or should, deal with: what, a word for it, and what a person has to do.
    Beyond {
        /// Who or what.
        subject: String,
        /// A stable word.
        code: String,
        /// What there is to do, and why by a person.
        advice: String,
    },
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Policy(arn, demand) => write!(f, "{arn} ({demand})"),
            Self::PolicyId(id, demand) => write!(f, "policy/{id} ({demand})"),
            Self::InlineOf(named, demand) => write!(f, "{named} inline policies ({demand})"),
            Self::AttachedTo(named, _) => write!(f, "{named} (blocked policies)"),
            Self::UnusedPermissions(named, _) => write!(f, "{named} (unused permissions)"),
            Self::UnusedRole(named) => write!(f, "{named} (unused role)"),
            Self::TrustOf(named, demand) => write!(f, "{named} trust policy ({demand})"),
            Self::PoliciesOf(named) => write!(f, "{named} policies"),
            Self::At(place, demand) => write!(f, "{place} ({demand})"),
            Self::Beyond { subject, code, .. } => write!(f, "{subject} ({code})"),
        }
    }
}

impl Target {
    /// The policy, or the bucket, and who has it where that is one alone.
    pub(crate) fn resources(&self) -> Vec<String> {
        let Self::At(place, _) = self else { return Vec::new() };
        let own = match place {
            Place::Managed(arn) | Place::Attached(_, arn) => Some(arn.to_string()),
            Place::Bucket(bucket) => Some(format!("bucket/{bucket}")),
            Place::Inline(..) | Place::Trust(_) => None,
        };
        own.into_iter().chain(place.bearer().map(ToString::to_string)).collect()
    }
}

/// What one look, and one write, covers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// One policy.
    Place(Place),
    /// Nothing that is written: a person has to look.
    Beyond(String),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // A name may come to belong to somebody else: an id does not.
            Self::Place(place) => match place.bearer() {
                Some(bearer) => write!(f, "{place} [{}]", bearer.id),
                None => place.fmt(f),
            },
            Self::Beyond(subject) => write!(f, "beyond/{subject}"),
        }
    }
}

impl Target {
    /// Where it is dealt with.
    #[must_use]
    pub fn scope(&self) -> Scope {
        match self {
            Self::At(place, _) => Scope::Place(place.clone()),
            Self::Beyond { subject, .. } => Scope::Beyond(subject.clone()),
            unresolved => Scope::Beyond(unresolved.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_of_policies() {
        let own = PolicyArn::parse("arn:aws-us-gov:iam::111122223333:policy/team/a/orders").unwrap();
        assert_eq!((own.name(), own.is_aws_managed()), ("orders", false));
        assert_eq!(own.to_string(), "policy/team/a/orders");
        let aws = PolicyArn::parse("arn:aws:iam::aws:policy/AdministratorAccess").unwrap();
        assert!(aws.is_aws_managed());
        for text in [
            "",
            "AdministratorAccess",
            "arn:aws:iam::111122223333:role/x",
            "arn:aws:iam::111122223333:policy/",
            "arn:aws:s3:::policy/x",
        ] {
            assert_eq!(PolicyArn::parse(text), None, "{text}");
        }
    }
}
