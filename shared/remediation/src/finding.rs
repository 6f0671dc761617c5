//! What a finding says, whichever way it came.
//!
//! A finding arrives straight from the service that saw it, imported into Security Hub as ASFF, and in the newer Security
//! Hub as OCSF. All of them become one [`Finding`] here, so that no remediation knows the difference.

mod access_analyzer;
mod asff;
mod cloudtrail;
mod config;
mod control;
mod credentials;
mod envelope;
mod guardduty;
mod health;
mod lenient;
mod ocsf;
mod resource;

use std::{fmt, net::IpAddr};

use chrono::Datelike;
use serde::{Deserialize, Serialize};

pub(crate) use access_analyzer::{from_external_access, from_unused_access};
pub(crate) use asff::from_asff;
pub(crate) use cloudtrail::from_cloudtrail;
pub(crate) use config::from_config;
pub(crate) use envelope::Envelope;
pub(crate) use guardduty::from_guardduty;
pub(crate) use health::from_health;
pub(crate) use ocsf::from_ocsf;

use crate::{
    clock::Timestamp,
    ids::{AccountId, BucketName, FindingId, FindingVersion, Region},
    outcome::Reason,
    text::{is_hidden, one_line},
};

/// Classes of severity, as GuardDuty and Security Hub have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Severity {
    /// 1.0 to 3.9, and whatever states no severity.
    Low,
    /// 4.0 to 6.9.
    Medium,
    /// 7.0 to 8.9.
    High,
    /// 9.0 to 10.0: attack sequences.
    Critical,
}

impl Severity {
    /// From GuardDuty's number, which may be whole or fractional.
    #[must_use]
    pub fn from_number(number: f64) -> Self {
        if number >= 9.0 {
            Self::Critical
        } else if number >= 7.0 {
            Self::High
        } else if number >= 4.0 {
            Self::Medium
        } else {
            Self::Low
        }
    }

    /// From the label of ASFF or OCSF, in any case.
    #[must_use]
    pub fn from_label(label: &str) -> Option<Self> {
        match label.to_ascii_uppercase().as_str() {
            "INFORMATIONAL" | "LOW" => Some(Self::Low),
            "MEDIUM" => Some(Self::Medium),
            "HIGH" => Some(Self::High),
            "CRITICAL" | "FATAL" => Some(Self::Critical),
            _ => None,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        })
    }
}

/// The way by which a finding came, and how to answer on it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "via")]
pub enum Channel {
    /// Straight from the service that saw it; there is nobody to answer to.
    Direct,
    /// Security Hub CSPM: answered with `BatchUpdateFindings`.
    SecurityHub {
        /// The finding's `Id` there.
        finding: String,
        /// The product that imported it.
        product_arn: String,
    },
    /// Security Hub (OCSF): answered with `BatchUpdateFindingsV2`.
    SecurityHubV2 {
        /// The finding's `metadata.uid`.
        metadata_uid: String,
    },
}

/// Who says what, and when: what a ledger record keeps of a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The finding.
    pub id: FindingId,
    /// Which state of it.
    pub version: FindingVersion,
    /// The way it came.
    pub channel: Channel,
    /// The finding type in GuardDuty's spelling, the control, the rule, or the kind of event.
    pub kind: String,
    /// How bad.
    pub severity: Severity,
    /// The account that the finding is about; the envelope's may be an administrator's.
    pub account: AccountId,
    /// The Region that the finding is about; the envelope's may be an aggregation Region.
    pub region: Region,
    /// When the activity was last seen.
    pub observed_at: Timestamp,
}

/// What a custom action of Security Hub asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// To remediate: it counts as approved.
    Remediate,
    /// To take back what was done.
    Undo,
    /// An action that is not ours.
    Other,
}

impl Asked {
    /// By the name of the action, in any case.
    pub(crate) fn named(action: &str) -> Self {
        match action.trim().to_ascii_lowercase().as_str() {
            "remediate" => Self::Remediate,
            "undo remediation" => Self::Undo,
            _ => Self::Other,
        }
    }

    /// Whose word it is: Security Hub does not say who chose the action.
    pub(crate) fn by(self) -> &'static str {
        match self {
            Self::Remediate => "the Security Hub custom action Remediate",
            Self::Undo => "the Security Hub custom action Undo remediation",
            Self::Other => "a Security Hub custom action",
        }
    }
}

/// A finding as the functions see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Who says what, and when.
    pub evidence: Evidence,
    /// Somebody has put it away; it asks for nothing.
    pub archived: bool,
    /// Generated by GuardDuty for a trial; nothing happened.
    pub sample: bool,
    /// Security Hub shows it as notified or resolved: somebody, maybe this function, has dealt with it.
    pub answered: bool,
    /// Security Hub shows it as suppressed: somebody has decided that nothing is to be done.
    pub suppressed: bool,
    /// A custom action was chosen on it.
    pub asked: Option<Asked>,
    /// What was seen.
    pub detail: Detail,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq)]
pub enum Detail {
    /// A threat that GuardDuty saw.
    Threat(Threat),
    /// A rule, and what was checked against it.
    Compliance(Compliance),
    /// Access that IAM Access Analyzer found granted and not used.
    UnusedAccess(UnusedAccess),
    /// Access from outside that IAM Access Analyzer found granted.
    ExternalAccess(ExternalAccess),
    /// Credentials that AWS Health reports as exposed or compromised: access key ids, or whatever else it names.
    ExposedCredentials(Vec<String>),
    /// A bucket that was just created: its name.
    BucketCreated(String),
    /// A security group that was just opened to somebody.
    IngressAuthorized(IngressAuthorized),
    /// A product or class of finding that no function here acts on.
    Other(String),
}

/// A threat that GuardDuty saw.
#[derive(Debug, Clone, PartialEq)]
pub struct Threat {
    /// Which side of the activity is ours. Some kinds of findings do not say.
    pub role: Option<Role>,
    /// What happened, and with whom. An address that cannot be read is no reason to lose the rest of the finding.
    pub action: Result<Action, FindingError>,
    /// The credentials that were used.
    pub credentials: Vec<Credential>,
}

/// Credentials, as a finding names them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Credential {
    /// The access key id: `AKIA…` long-term, `ASIA…` temporary.
    pub key: Option<String>,
    /// The principal's unique id: `AIDA…` of a user, `AROA…:session` of a role.
    pub principal: Option<String>,
    /// The user's name; for a role's session the role's.
    pub name: Option<String>,
    /// `IAMUser`, `AssumedRole`, `Role`, `Root`, `FederatedUser`, …
    pub kind: Option<String>,
}

/// A rule, and what was checked against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compliance {
    /// The rule.
    pub rule: Rule,
    /// What the check said.
    pub verdict: Verdict,
    /// What was checked.
    pub resources: Vec<Resource>,
}

impl Compliance {
    /// Why a check asks for nothing; `None`: the resource violates the rule.
    #[must_use]
    pub fn is_no_violation(&self, kind: &str) -> Option<Reason> {
        match &self.verdict {
            Verdict::Failed => None,
            Verdict::Passed => Some(Reason::new("passed", format!("the resource complies with {kind}"))),
            Verdict::Unknown(status) => {
                let text = format!("{kind} has the status {status:?}, which is no violation");
                Some(Reason::new("not-failed", text))
            }
        }
    }
}

/// What a resource is checked against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// A Security Hub control in its consolidated spelling, such as `IAM.3`, whichever standard it came by.
    Control(String),
    /// A rule of AWS Config by its name, without what Security Hub, conformance packs and organisations put around it,
    /// such as `access-keys-rotated`.
    Config(String),
}

/// What a check said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The resource violates the rule.
    Failed,
    /// It does not.
    Passed,
    /// Nothing certain: the check could not be made, or the resource is gone. The status as it was sent.
    Unknown(String),
}

/// An AWS resource, as a finding names it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resource {
    /// The type as CloudFormation spells it, such as `AWS::IAM::User`.
    pub kind: String,
    /// As it was sent: an ARN, a name, or a unique id.
    pub id: String,
    /// The name, where the finding's details state it.
    pub name: Option<String>,
    /// The unique id, such as `AIDA…`, where the finding's details state it.
    pub unique_id: Option<String>,
}

impl Resource {
    /// The bucket that it is. A bucket's ARN has neither Region nor account, `arn:aws:s3:::name`; AWS Config sends the bare
    /// name.
    ///
    /// # Errors
    /// Why it is none that a function may touch.
    pub fn bucket(&self) -> Result<BucketName, Reason> {
        if self.kind != "AWS::S3::Bucket" {
            let text = format!("{} {} is not a bucket", self.kind, self.id);
            return Err(Reason::new("not-a-bucket", text));
        }
        let last = || self.id.rsplit(':').next();
        general_purpose_bucket(self.name.as_deref().or_else(last).unwrap_or_default())
    }
}

/// The bucket of this name. Directory buckets have an API of their own.
///
/// # Errors
/// When it is the name of no bucket, or of a directory bucket.
pub fn general_purpose_bucket(name: &str) -> Result<BucketName, Reason> {
    match BucketName::parse(name) {
        None => {
            let text = format!("{name:?} is not the name of a bucket");
            Err(Reason::new("not-a-bucket", text))
        }
        Some(bucket) if bucket.is_directory() => {
            let text =
                format!("{bucket} is a directory bucket, which has neither such settings nor policies of this kind");
            Err(Reason::new("directory-bucket", text))
        }
        Some(bucket) => Ok(bucket),
    }
}

/// Rules for incoming traffic that were just added to a security group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngressAuthorized {
    /// `sg-…`.
    pub group: String,
    /// The rules, by their ids, where CloudTrail tells them.
    pub rules: Vec<String>,
}

/// Access that is granted and not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusedAccess {
    /// `UnusedIAMUserAccessKey`, `UnusedIAMUserPassword`, `UnusedIAMRole` or `UnusedPermission`.
    pub kind: String,
    /// Whose.
    pub resource: Resource,
    /// The analyzer still sees it so.
    pub active: bool,
    /// The analyzer's ARN. Stated only along with the analyzer's own id of the finding: neither says anything alone.
    pub analyzer: Option<String>,
    /// The analyzer's own id of the finding, for `GetFindingV2` and `GenerateFindingRecommendation`; without an analyzer,
    /// the id that the finding came with.
    pub finding: String,
}

/// Access that a policy or an ACL grants to somebody outside the analyzer's zone of trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalAccess {
    /// To what: the type as CloudFormation spells it, such as `AWS::IAM::Role` or `AWS::S3::Bucket`, and the ARN.
    pub resource: Resource,
    /// To whom. Empty only if the finding cannot be read there, or if it is public.
    pub grantees: Vec<Grantee>,
    /// To everybody.
    pub public: bool,
    /// The analyzer still sees it so.
    pub active: bool,
    /// By what, such as `POLICY`, `BUCKET_ACL` or `S3_ACCESS_POINT`, where the finding states it.
    pub sources: Vec<String>,
}

/// Somebody who is granted access, as a policy's `Principal` names them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Grantee {
    /// `AWS`, `Federated`, `CanonicalUser` or `Service`.
    pub kind: String,
    /// An account id, an ARN, a canonical user id, a provider, a service, or `*`.
    pub id: String,
}

/// Which side of the activity our resource was on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Attacked: the remote side is the actor.
    Target,
    /// The actor: the remote side is a victim, or a command server.
    Actor,
}

/// Who opened a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The remote side, to us.
    Inbound,
    /// Our side, to the remote.
    Outbound,
    /// Not known.
    Unknown,
}

/// The activity of a finding, with the remote addresses that belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Traffic with one remote host.
    NetworkConnection {
        /// Who opened it.
        direction: Direction,
        /// The remote host.
        remotes: Vec<IpAddr>,
    },
    /// Probes of open ports; each prober.
    PortProbe {
        /// The probers.
        remotes: Vec<IpAddr>,
    },
    /// A call of an AWS API.
    AwsApiCall {
        /// The caller; empty when it is an AWS service.
        remotes: Vec<IpAddr>,
        /// The caller's account belongs to the same organisation.
        affiliated: bool,
    },
    /// A call of a Kubernetes API.
    KubernetesApiCall {
        /// The caller, without the proxies between.
        remotes: Vec<IpAddr>,
    },
    /// Logins at a database.
    RdsLoginAttempt {
        /// The client.
        remotes: Vec<IpAddr>,
    },
    /// Several signals that together make an attack.
    AttackSequence {
        /// Endpoints on the far side of inbound signals that name a malicious or Tor address.
        remotes: Vec<IpAddr>,
    },
    /// Anything without a remote address to act on.
    Other(String),
}

/// Why a finding could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FindingError {
    /// The JSON is not of the form that the source sends.
    #[error("{at}: {problem}")]
    Malformed {
        /// Where.
        at: String,
        /// What is wrong.
        problem: String,
    },
    /// A field that nothing can be decided without.
    #[error("{0} is missing")]
    Missing(String),
    /// The remote address is no IP address.
    #[error("{at}: {text:?} is not an IP address")]
    BadAddress {
        /// Where.
        at: String,
        /// What stands there, shortened.
        text: String,
    },
    /// A time that cannot be read.
    #[error("{at}: {text:?} is not a time")]
    BadTime {
        /// Where.
        at: String,
        /// What stands there, shortened.
        text: String,
    },
}

impl FindingError {
    fn malformed(at: &str, error: &serde_json::Error) -> Self {
        Self::Malformed {
            at: at.to_owned(),
            problem: one_line(&error.to_string()),
        }
    }
}

impl Finding {
    /// The finding, if what it is called by can be shown as it is, and its time is one that there can be.
    ///
    /// No service sends anything else. What names a finding is an identity and stands in many places, so it is refused rather than
    /// altered; a time at the end of all times would end in an overflow wherever something is added to it.
    pub(crate) fn checked(self, at: &str) -> Result<Self, FindingError> {
        let evidence = &self.evidence;
        let names = [
            ("id", evidence.id.as_str()),
            ("version", evidence.version.as_str()),
            ("account", evidence.account.as_str()),
            ("region", evidence.region.as_str()),
            ("type", &evidence.kind),
        ];
        if let Some((what, _)) = names.iter().find(|(_, text)| text.contains(is_hidden)) {
            return Err(FindingError::Malformed {
                at: at.to_owned(),
                problem: format!("its {what} has characters that cannot be shown"),
            });
        }
        if (1970..=9999).contains(&evidence.observed_at.year()) {
            Ok(self)
        } else {
            Err(FindingError::BadTime {
                at: at.to_owned(),
                text: evidence.observed_at.to_string(),
            })
        }
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

fn required(value: Option<String>, at: &str) -> Result<String, FindingError> {
    value
        .filter(|text| !text.trim().is_empty())
        .ok_or_else(|| FindingError::Missing(at.to_owned()))
}

/// RFC 3339; a time without an offset, as some exports write it, is UTC.
fn read_time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let zoned = chrono::DateTime::parse_from_rfc3339(text).map(|time| time.to_utc());
    let naive = |format| chrono::NaiveDateTime::parse_from_str(text, format).map(|time| time.and_utc());
    zoned
        .or_else(|_| naive("%Y-%m-%d %H:%M:%S%.f"))
        .or_else(|_| naive("%Y-%m-%dT%H:%M:%S%.f"))
        .ok()
}

fn parse_time(text: &str, at: &str) -> Result<Timestamp, FindingError> {
    read_time(text).ok_or_else(|| FindingError::BadTime {
        at: at.to_owned(),
        text: shortened(text),
    })
}

/// Parses strictly (`010.0.0.1` is refused) and takes an IPv4-mapped IPv6 address for the IPv4 address that it is.
fn parse_address(text: &str, at: &str) -> Result<Option<IpAddr>, FindingError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    text.parse::<IpAddr>()
        .map(|address| Some(address.to_canonical()))
        .map_err(|_| FindingError::BadAddress {
            at: at.to_owned(),
            text: shortened(text),
        })
}

/// GuardDuty's spelling of a finding type, `Purpose:Resource/Family`. Security Hub puts a path before it and writes
/// `-` for `/`; older senders write `.` or a space.
fn canonical_kind(text: &str) -> String {
    let Some((before, family)) = text.split_once(':') else {
        return text.to_owned();
    };
    let purpose = before.rsplit('/').next().unwrap_or(before);
    match family.split_once(['/', '-', '.', ' ']) {
        Some((resource, rest)) => format!("{purpose}:{resource}/{rest}"),
        None => format!("{purpose}:{family}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_for_a_type() {
        for text in [
            "UnauthorizedAccess:EC2/SSHBruteForce",
            "TTPs/Initial Access/UnauthorizedAccess:EC2-SSHBruteForce",
            "UnauthorizedAccess:EC2 SSHBruteForce",
            "UnauthorizedAccess:EC2.SSHBruteForce",
        ] {
            assert_eq!(canonical_kind(text), "UnauthorizedAccess:EC2/SSHBruteForce");
        }
        assert_eq!(
            canonical_kind("Backdoor:EC2/C&CActivity.B!DNS"),
            "Backdoor:EC2/C&CActivity.B!DNS"
        );
        assert_eq!(canonical_kind("Threats"), "Threats");
    }

    #[test]
    fn tricks_with_addresses() {
        assert_eq!(
            parse_address("::ffff:10.0.0.1", "x").unwrap(),
            Some("10.0.0.1".parse().unwrap())
        );
        assert_eq!(parse_address(" ", "x").unwrap(), None);
        for text in [
            "010.0.0.1",
            "10.0.0",
            "10.0.0.1/32",
            "fe80::1%eth0",
            "０.0.0.0",
            "000.000.000.00",
        ] {
            assert!(parse_address(text, "x").is_err(), "{text}");
        }
    }

    #[test]
    fn severities_at_their_borders() {
        assert_eq!([3.9, 4.0, 6.9, 7.0, 8.9, 9.0].map(Severity::from_number), {
            use Severity::{Critical, High, Low, Medium};
            [Low, Medium, Medium, High, High, Critical]
        });
    }

    #[test]
    fn severities_by_their_labels() {
        for (label, expected) in [
            ("Informational", Some(Severity::Low)),
            ("LOW", Some(Severity::Low)),
            ("Medium", Some(Severity::Medium)),
            ("high", Some(Severity::High)),
            ("CRITICAL", Some(Severity::Critical)),
            ("Fatal", Some(Severity::Critical)),
            ("Other", None),
        ] {
            assert_eq!(Severity::from_label(label), expected, "{label}");
        }
        assert_eq!(
            [Severity::Low, Severity::Critical].map(|severity| severity.to_string()),
            ["low", "critical"]
        );
    }

    #[test]
    fn only_a_failed_check_asks_for_something() {
        let code = |verdict| {
            let compliance = Compliance {
                rule: Rule::Control("S3.5".to_owned()),
                verdict,
                resources: Vec::new(),
            };
            compliance.is_no_violation("S3.5").map(|reason| reason.code)
        };
        assert_eq!(code(Verdict::Failed), None);
        assert_eq!(code(Verdict::Passed).as_deref(), Some("passed"));
        assert_eq!(
            code(Verdict::Unknown("WARNING".to_owned())).as_deref(),
            Some("not-failed")
        );
    }

    #[test]
    fn a_time_is_what_it_says() {
        let expected = "2026-11-20T09:17:45Z".parse::<Timestamp>().unwrap();
        for text in [
            "2026-11-20T10:17:45+01:00",
            "2026-11-20 09:17:45",
            "2026-11-20T09:17:45.000",
            " 2026-11-20T09:17:45Z ",
        ] {
            assert_eq!(parse_time(text, "x"), Ok(expected), "{text}");
        }
        for text in ["", "2026-11-20", "1795166265", "2026-13-01T00:00:00Z"] {
            assert!(parse_time(text, "x").is_err(), "{text}");
        }
    }
}
