//! The events of IAM Access Analyzer: `Unused Access Finding for IAM entities`, which names neither the access key nor the
//! unused actions, and `Access Analyzer Finding`, access from outside. What Security Hub makes of them is told apart here
//! too.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Channel, Detail, Envelope, Evidence, ExternalAccess, Finding, FindingError, Grantee, Resource, Severity,
    UnusedAccess, lenient, read_time, required,
};
use crate::ids::{AccountId, FindingId, FindingVersion, Region};

/// What a finding of access from outside is called as evidence.
pub(super) const EXTERNAL: &str = "ExternalAccess";

const KINDS: [&str; 4] = [
    "UnusedIAMUserAccessKey",
    "UnusedIAMUserPassword",
    "UnusedIAMRole",
    "UnusedPermission",
];

/// What the `Principal` of a policy may name.
const PRINCIPALS: [&str; 4] = ["AWS", "Federated", "CanonicalUser", "Service"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw<'a> {
    /// Of external and internal access.
    #[serde(default, deserialize_with = "lenient::text")]
    id: Option<String>,
    /// Of unused access.
    #[serde(default, deserialize_with = "lenient::text")]
    finding_id: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    finding_type: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    resource: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    resource_type: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    status: Option<String>,
    #[serde(default, deserialize_with = "lenient::flag")]
    is_deleted: Option<bool>,
    #[serde(default, deserialize_with = "lenient::text")]
    account_id: Option<String>,
    /// The same, as the analyzer's API has it.
    #[serde(default, deserialize_with = "lenient::text")]
    resource_owner_account: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    region: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    updated_at: Option<String>,
    #[serde(default, deserialize_with = "lenient::flag")]
    is_public: Option<bool>,
    /// To whom: kind to id.
    #[serde(default, deserialize_with = "lenient::part")]
    principal: Option<Principal>,
    #[serde(default, deserialize_with = "lenient::parts")]
    sources: Vec<Source>,
    /// The analyzer could not look; the rest is not filled in then.
    #[serde(default, borrow)]
    error: Option<&'a RawValue>,
}

/// Kinds of principals, each with one id, or with several as in a policy.
pub(super) type Principal = BTreeMap<String, Box<RawValue>>;

#[derive(Deserialize)]
struct Source {
    #[serde(rename = "type")]
    kind: String,
}

impl Raw<'_> {
    /// A deleted finding keeps its status.
    fn is_active(&self) -> bool {
        self.status.as_deref() == Some("ACTIVE") && self.is_deleted != Some(true)
    }

    fn resource(&mut self) -> Result<Resource, FindingError> {
        Ok(Resource {
            kind: required(self.resource_type.take(), "detail.resourceType")?,
            id: required(self.resource.take(), "detail.resource")?,
            ..Resource::default()
        })
    }

    fn external(&mut self) -> Result<ExternalAccess, FindingError> {
        Ok(ExternalAccess {
            grantees: self.principal.as_ref().and_then(grantees).unwrap_or_default(),
            public: self.is_public == Some(true),
            active: self.is_active(),
            sources: self.sources.drain(..).map(|source| source.kind).collect(),
            resource: self.resource()?,
        })
    }
}

fn read<'a>(event: &'a Envelope) -> Result<Raw<'a>, FindingError> {
    serde_json::from_str(event.detail.get()).map_err(|error| FindingError::malformed("detail", &error))
}

/// The ARN of the analyzer that an event is from.
fn analyzer(event: &Envelope) -> Option<&String> {
    event.resources.first().filter(|arn| arn.contains(":analyzer/"))
}

fn analyzer_error() -> Detail {
    Detail::Other("an analyzer error".to_owned())
}

/// Reads an `Unused Access Finding for IAM entities` event.
pub(crate) fn from_unused_access(event: &Envelope) -> Result<Finding, FindingError> {
    let mut raw = read(event)?;
    let id = required(raw.finding_id.take(), "detail.findingId")?;
    let (kind, detail) = if raw.error.is_some() {
        (raw.finding_type.take().unwrap_or_default(), analyzer_error())
    } else {
        let kind = required(raw.finding_type.take(), "detail.findingType")?;
        let unused = UnusedAccess {
            kind: kind.clone(),
            active: raw.is_active(),
            resource: raw.resource()?,
            analyzer: analyzer(event).cloned(),
            finding: id.clone(),
        };
        (kind, Detail::UnusedAccess(unused))
    };
    finding(event, raw, &id, kind, detail)
}

/// Reads an `Access Analyzer Finding` event: access from outside. One about access from inside is recognised by its type.
pub(crate) fn from_external_access(event: &Envelope) -> Result<Finding, FindingError> {
    let mut raw = read(event)?;
    let id = required(raw.id.take(), "detail.id")?;
    let kind = raw.finding_type.take().filter(|kind| !kind.is_empty());
    let kind = kind.unwrap_or_else(|| EXTERNAL.to_owned());
    let detail = match kind.as_str() {
        _ if raw.error.is_some() => analyzer_error(),
        EXTERNAL => Detail::ExternalAccess(raw.external()?),
        "InternalAccess" => internal_access(),
        _ => Detail::Other(format!("{kind} of IAM Access Analyzer")),
    };
    finding(event, raw, &id, kind, detail)
}

fn finding(event: &Envelope, raw: Raw<'_>, id: &str, kind: String, detail: Detail) -> Result<Finding, FindingError> {
    let analyzer = analyzer(event);
    let account = raw.account_id.or(raw.resource_owner_account);
    let updated_at = required(raw.updated_at, "detail.updatedAt")?;
    let region = raw.region.or_else(|| event.region.clone());
    let region = region.or_else(|| analyzer?.split(':').nth(3).map(str::to_owned));
    Ok(Finding {
        evidence: Evidence {
            id: finding_id(analyzer.map(String::as_str), id),
            observed_at: event.observed(read_time(&updated_at), &updated_at, "detail.updatedAt")?,
            version: FindingVersion::new(updated_at),
            channel: Channel::Direct,
            kind,
            severity: Severity::Low,
            account: AccountId::new(required(account, "detail.accountId")?),
            region: Region::new(region.unwrap_or_default()),
        },
        archived: raw.status.as_deref() == Some("ARCHIVED"),
        sample: false,
        answered: false,
        asked: None,
        suppressed: false,
        detail,
    })
}

/// One id for a finding, whichever way it comes. A role is seen by the analyzers of several Regions.
pub(super) fn finding_id(analyzer: Option<&str>, id: &str) -> FindingId {
    FindingId::new(match analyzer {
        Some(arn) => format!("{arn}/{id}"),
        None => id.to_owned(),
    })
}

/// Access inside the zone of trust, which nobody here judges.
pub(super) fn internal_access() -> Detail {
    Detail::Other("internal access, which IAM Access Analyzer lists and does not judge".to_owned())
}

/// Those whom a principal names; none if any of it cannot be read.
pub(super) fn grantees(principal: &Principal) -> Option<Vec<Grantee>> {
    let mut grantees = Vec::new();
    for (kind, raw) in principal {
        let one = serde_json::from_str(raw.get()).map(|id: lenient::Scalar| vec![id]);
        let several = || serde_json::from_str::<Vec<lenient::Scalar>>(raw.get());
        let ids = one.ok().filter(|ids| ids.iter().all(|id| id.0.is_some()));
        for id in ids.or_else(|| several().ok())? {
            grantees.push(grantee(Some(kind), &id.0?)?);
        }
    }
    Some(grantees)
}

/// Somebody by their id, and the kind of it where it is stated: an id that speaks for itself needs none.
pub(super) fn grantee(kind: Option<&str>, id: &str) -> Option<Grantee> {
    let id = id.trim();
    let kind = match kind.map(written).filter(|kind| !kind.is_empty()) {
        Some(kind) => PRINCIPALS.into_iter().find(|known| known.eq_ignore_ascii_case(&kind))?,
        None => evident_kind(id)?,
    };
    (!id.is_empty()).then(|| Grantee {
        kind: kind.to_owned(),
        id: id.to_owned(),
    })
}

fn evident_kind(id: &str) -> Option<&'static str> {
    let is_account = id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_digit());
    let mut parts = id.splitn(6, ':');
    let (arn, service, rest) = (parts.next(), parts.nth(1), parts.nth(2));
    match (arn, service, rest) {
        _ if id == "*" || is_account => Some("AWS"),
        (Some("arn"), Some("iam"), Some(rest)) if rest.starts_with("saml-provider/") => Some("Federated"),
        (Some("arn"), Some("iam"), Some(rest)) if rest.starts_with("oidc-provider/") => Some("Federated"),
        (Some("arn"), Some("iam"), Some("root")) => Some("AWS"),
        (Some("arn"), Some("iam"), Some(rest)) if rest.starts_with("user/") || rest.starts_with("role/") => Some("AWS"),
        (Some("arn"), Some("sts"), Some(rest)) if rest.starts_with("assumed-role/") => Some("AWS"),
        _ => None,
    }
}

/// What a finding in Security Hub is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Access {
    /// Granted and not used: the kind.
    Unused(String),
    /// From outside.
    External,
    /// From inside.
    Internal,
}

/// What a finding is about, by a mark: a finding type of the analyzer, or one of ASFF.
pub(super) fn access(mark: &str) -> Option<Access> {
    let last = mark.rsplit('/').next().unwrap_or_default();
    let starts = |what: &str| written(last).starts_with(what);
    match unused_kind(last) {
        Some(kind) => Some(Access::Unused(kind)),
        None if starts("externalaccess") => Some(Access::External),
        None if starts("internalaccess") => Some(Access::Internal),
        None => None,
    }
}

/// What a finding is about, by its title, `<type>/<ARN>/ allows cross-account access`. Somebody has chosen the name of the
/// resource, but cannot have chosen what comes after it.
pub(super) fn titled(title: &str) -> Option<Access> {
    if title.ends_with(" allows cross-account access") || title.ends_with(PUBLIC_TITLE) {
        return Some(Access::External);
    }
    let (_, what) = title.rsplit_once(" contains ").unwrap_or_default();
    unused_kind(what).or_else(|| unused_kind(title)).map(Access::Unused)
}

const PUBLIC_TITLE: &str = " allows public access";

/// Whether the types and the title of a finding say that everybody has access.
pub(super) fn is_public<'a>(types: impl IntoIterator<Item = &'a str>, title: Option<&str>) -> bool {
    let by_type = |kind: &str| written(kind).starts_with("effects/dataexposure/externalaccess");
    types.into_iter().any(by_type) || title.is_some_and(|title| title.ends_with(PUBLIC_TITLE))
}

/// The analyzer's ARN at the start of an id, and what comes after it: the ARN of the resource, or the id of the finding.
pub(super) fn split_analyzer(id: &str) -> Option<(String, &str)> {
    let (before, rest) = id.split_once(":analyzer/")?;
    let (name, rest) = rest.split_once('/')?;
    let is_analyzer = before.starts_with("arn:") && before.split(':').nth(2) == Some("access-analyzer");
    (is_analyzer && !name.is_empty()).then(|| (format!("{before}:analyzer/{name}"), rest))
}

/// A text that may be the analyzer's own id of a finding: no ARN, no path.
pub(super) fn is_own_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// The account that an ARN names.
pub(super) fn account_of(arn: &str) -> Option<&str> {
    let account = arn.strip_prefix("arn:")?.split(':').nth(3)?;
    (account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit())).then_some(account)
}

/// The kind of unused access that a text starts with, whether written `UnusedIAMUserAccessKey` or
/// `Unused IAM User Access Key`.
pub(super) fn unused_kind(text: &str) -> Option<String> {
    let written = written(text);
    let known = KINDS
        .iter()
        .find(|kind| written.starts_with(&kind.to_ascii_lowercase()));
    known.map(|kind| (*kind).to_owned())
}

/// Without regard to letter case and spaces.
fn written(text: &str) -> String {
    let written = text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
    written.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ANALYZER: &str = "arn:aws:access-analyzer:us-east-1:111122223333:analyzer/unused-access";

    fn detail() -> Value {
        json!({
            "findingId": "11112222-3333-4444-5555-666677778888",
            "resource": "arn:aws:iam::444455556666:user/reporting",
            "resourceType": "AWS::IAM::User",
            "accountId": "444455556666",
            "analyzedAt": "2026-11-20T09:10:00Z",
            "createdAt": "2026-11-19T09:10:00Z",
            "updatedAt": "2026-11-20T09:12:00Z",
            "findingType": "UnusedIAMUserAccessKey",
            "status": "ACTIVE",
            "previousStatus": "",
            "isDeleted": false,
            "version": "2.0"
        })
    }

    fn read(resources: &[&str], detail: &Value) -> Result<Finding, FindingError> {
        let detail_type = "Unused Access Finding for IAM entities";
        from_unused_access(&Envelope::sample("aws.access-analyzer", detail_type, resources, detail))
    }

    #[test]
    fn an_unused_key() {
        let finding = read(&[ANALYZER], &detail()).unwrap();
        assert_eq!(
            finding.evidence.id.as_str(),
            format!("{ANALYZER}/11112222-3333-4444-5555-666677778888")
        );
        assert_eq!(finding.evidence.account.as_str(), "444455556666");
        assert_eq!(finding.evidence.region.as_str(), "us-east-1");
        assert_eq!(
            finding.detail,
            Detail::UnusedAccess(UnusedAccess {
                kind: "UnusedIAMUserAccessKey".to_owned(),
                resource: Resource {
                    kind: "AWS::IAM::User".to_owned(),
                    id: "arn:aws:iam::444455556666:user/reporting".to_owned(),
                    ..Resource::default()
                },
                active: true,
                analyzer: Some(ANALYZER.to_owned()),
                finding: "11112222-3333-4444-5555-666677778888".to_owned(),
            })
        );
        let without_analyzer = read(&[], &detail()).unwrap();
        assert_eq!(
            without_analyzer.evidence.id.as_str(),
            "11112222-3333-4444-5555-666677778888"
        );
        let Detail::UnusedAccess(unused) = without_analyzer.detail else {
            panic!("no unused access")
        };
        assert_eq!(unused.analyzer, None);
        assert_eq!(unused.finding, "11112222-3333-4444-5555-666677778888");
    }

    #[test]
    fn only_what_the_analyzer_still_sees_is_active() {
        for (status, is_deleted, active, archived) in [
            ("ACTIVE", json!(false), true, false),
            ("ACTIVE", json!(true), false, false),
            ("ACTIVE", json!("true"), false, false),
            ("RESOLVED", json!(false), false, false),
            ("ARCHIVED", json!(null), false, true),
        ] {
            let mut detail = detail();
            detail["status"] = status.into();
            detail["isDeleted"] = is_deleted;
            let finding = read(&[ANALYZER], &detail).unwrap();
            assert_eq!(finding.archived, archived);
            match finding.detail {
                Detail::UnusedAccess(unused) => assert_eq!(unused.active, active),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn an_error_of_the_analyzer_is_not_unused_access() {
        let mut detail = detail();
        detail["error"] = "ACCESS_DENIED".into();
        detail["findingType"] = Value::Null;
        assert_eq!(
            read(&[ANALYZER], &detail).unwrap().detail,
            Detail::Other("an analyzer error".to_owned())
        );
    }

    #[test]
    fn spellings_of_the_kinds() {
        for (text, kind) in [
            ("UnusedPermissions", Some("UnusedPermission")),
            ("Unused IAM User Access Key", Some("UnusedIAMUserAccessKey")),
            ("Unused IAM User Password", Some("UnusedIAMUserPassword")),
            ("Unused IAM Role", Some("UnusedIAMRole")),
            ("External Access Granted", None),
            ("", None),
        ] {
            assert_eq!(unused_kind(text).as_deref(), kind);
        }
    }

    fn external() -> Value {
        json!({
            "version": "1.0",
            "id": "22222222-dcba-4444-dcba-333333333333",
            "status": "ACTIVE",
            "resourceType": "AWS::S3::Bucket",
            "resource": "arn:aws:s3:::securecart-exports-111122223333",
            "createdAt": "2026-11-20T04:58:50Z",
            "analyzedAt": "2026-11-20T09:12:22Z",
            "updatedAt": "2026-11-20T09:14:07Z",
            "accountId": "111122223333",
            "region": "eu-west-1",
            "principal": {"AWS": "999988887777"},
            "action": ["s3:GetObject"],
            "condition": {},
            "isDeleted": false,
            "isPublic": false,
            "sources": [{"type": "POLICY"}, {"type": "S3_ACCESS_POINT", "detail": {"accessPointArn": "arn:x"}}, "odd"]
        })
    }

    fn read_external(detail: &Value) -> Finding {
        let event = Envelope::sample("aws.access-analyzer", "Access Analyzer Finding", &[ANALYZER], detail);
        from_external_access(&event).unwrap()
    }

    fn external_of(detail: &Value) -> ExternalAccess {
        match read_external(detail).detail {
            Detail::ExternalAccess(access) => access,
            other => panic!("{other:?}"),
        }
    }

    fn named(kind: &str, id: &str) -> Grantee {
        Grantee {
            kind: kind.to_owned(),
            id: id.to_owned(),
        }
    }

    #[test]
    fn access_from_outside() {
        let finding = read_external(&external());
        assert_eq!(
            finding.evidence.id.as_str(),
            format!("{ANALYZER}/22222222-dcba-4444-dcba-333333333333")
        );
        assert_eq!(finding.evidence.kind, "ExternalAccess");
        assert_eq!(finding.evidence.region.as_str(), "eu-west-1");
        assert_eq!(finding.evidence.version.as_str(), "2026-11-20T09:14:07Z");
        assert_eq!(
            finding.detail,
            Detail::ExternalAccess(ExternalAccess {
                resource: Resource {
                    kind: "AWS::S3::Bucket".to_owned(),
                    id: "arn:aws:s3:::securecart-exports-111122223333".to_owned(),
                    ..Resource::default()
                },
                grantees: vec![named("AWS", "999988887777")],
                public: false,
                active: true,
                sources: vec!["POLICY".to_owned(), "S3_ACCESS_POINT".to_owned()],
            })
        );
    }

    #[test]
    fn access_from_outside_that_is_gone() {
        for (status, is_deleted, archived) in [
            ("ACTIVE", json!(true), false),
            ("ARCHIVED", json!(false), true),
            ("RESOLVED", json!(null), false),
        ] {
            let mut detail = external();
            detail["status"] = status.into();
            detail["isDeleted"] = is_deleted;
            assert_eq!(read_external(&detail).archived, archived);
            assert!(!external_of(&detail).active);
        }
    }

    #[test]
    fn principals_as_the_analyzer_writes_them() {
        let session = "arn:aws:sts::644160558196:assumed-role/resource-check-role-6qxf8l2j/resource-check";
        for (principal, expected) in [
            (json!({"AWS": "*"}), vec![named("AWS", "*")]),
            (json!({"AWS": 999_988_887_777_u64}), vec![named("AWS", "999988887777")]),
            (json!({"AWS": session}), vec![named("AWS", session)]),
            (
                json!({"AWS": ["999988887777", "*"], "CanonicalUser": "79a59df900b949e5"}),
                vec![
                    named("AWS", "999988887777"),
                    named("AWS", "*"),
                    named("CanonicalUser", "79a59df900b949e5"),
                ],
            ),
            (
                json!({"Federated": "cognito-identity.amazonaws.com"}),
                vec![named("Federated", "cognito-identity.amazonaws.com")],
            ),
            // Half of it would be wrong.
            (json!({"AWS": "999988887777", "Service": {"x": 1}}), vec![]),
            (json!({"AWS": ["999988887777", ["*"]]}), vec![]),
            (json!({"AWS": ""}), vec![]),
            (json!({"uid": "999988887777"}), vec![]),
            (json!("*"), vec![]),
            (json!({}), vec![]),
            (Value::Null, vec![]),
        ] {
            let mut detail = external();
            detail["principal"] = principal.clone();
            assert_eq!(external_of(&detail).grantees, expected, "{principal}");
        }
        let mut public = external();
        public["isPublic"] = "true".into();
        public["sources"] = Value::Null;
        let access = external_of(&public);
        assert!(access.public && access.sources.is_empty());
    }

    #[test]
    fn what_is_no_access_from_outside() {
        let mut error = external();
        error["error"] = "ACCESS_DENIED".into();
        for field in ["principal", "action", "condition", "isPublic"] {
            error.as_object_mut().unwrap().remove(field).unwrap();
        }
        let mut internal = external();
        internal["findingType"] = "InternalAccess".into();
        internal["accessType"] = "INTRA_ORG".into();
        let mut unknown = external();
        unknown["findingType"] = "SomethingNew".into();
        for (detail, kind, text) in [
            (error, "ExternalAccess", "an analyzer error"),
            (internal, "InternalAccess", "internal access"),
            (unknown, "SomethingNew", "SomethingNew"),
        ] {
            let finding = read_external(&detail);
            assert_eq!(finding.evidence.kind, kind);
            match finding.detail {
                Detail::Other(what) => assert!(what.starts_with(text), "{what}"),
                other => panic!("{other:?}"),
            }
        }
        let mut explicit = external();
        explicit["findingType"] = "ExternalAccess".into();
        assert!(external_of(&explicit).active);
    }

    #[test]
    fn findings_that_the_analyzer_api_returned() {
        for (principal, resource, public) in [
            (
                json!({"AWS": "arn:aws:iam::644160558196:role/service-role/resource-check-role-6qxf8l2j"}),
                (
                    "AWS::IAM::Role",
                    "arn:aws:iam::644160558196:role/aws-RecorderRoleC4E33A-TSABEY6UXXXX",
                ),
                false,
            ),
            (
                json!({"AWS": "*"}),
                ("AWS::SQS::Queue", "arn:aws:sqs:us-east-1:644160558196:public-test"),
                true,
            ),
        ] {
            let access = external_of(&json!({
                "id": "6d1a2533-bfac-4e07-82b2-7540f68cad26",
                "principal": principal,
                "resource": resource.1,
                "isPublic": public,
                "resourceType": resource.0,
                "condition": {},
                "status": "ACTIVE",
                "accountId": "644160558196",
                "updatedAt": "2023-07-05T08:32:24Z"
            }));
            assert_eq!((access.resource.kind.as_str(), access.resource.id.as_str()), resource);
            assert_eq!((access.public, access.grantees.len()), (public, 1));
        }
    }

    #[test]
    fn a_finding_as_the_analyzer_api_lists_it_does_not_say_to_whom() {
        let finding = read_external(&json!({
            "analyzedAt": "2024-02-16T18:17:47.888000+00:00",
            "createdAt": "2021-02-26T21:17:50.905000+00:00",
            "id": "ce0e221a-85b9-4d52-91ff-d7678075442f",
            "resource": "arn:aws:iam::111122223333:role/Cognito_testpoolAuth_Role",
            "resourceType": "AWS::IAM::Role",
            "resourceOwnerAccount": "111122223333",
            "status": "ACTIVE",
            "updatedAt": "2021-02-26T21:17:50.905000+00:00",
            "findingType": "ExternalAccess"
        }));
        assert_eq!(finding.evidence.account.as_str(), "111122223333");
        match finding.detail {
            Detail::ExternalAccess(access) => assert!(access.active && !access.public && access.grantees.is_empty()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn kinds_that_an_id_shows_by_itself() {
        for (id, expected) in [
            ("*", Some("AWS")),
            ("999988887777", Some("AWS")),
            ("arn:aws:iam::999988887777:root", Some("AWS")),
            ("arn:aws-cn:iam::999988887777:role/a,b", Some("AWS")),
            ("arn:aws:sts::999988887777:assumed-role/r/s", Some("AWS")),
            ("arn:aws:iam::999988887777:saml-provider/Okta", Some("Federated")),
            (
                "arn:aws:iam::999988887777:oidc-provider/token.actions.githubusercontent.com",
                Some("Federated"),
            ),
            ("arn:aws:s3:::bucket", None),
            ("99998888777", None),
            ("accounts.google.com", None),
            ("", None),
        ] {
            assert_eq!(grantee(None, id).map(|it| it.kind).as_deref(), expected, "{id}");
        }
        assert_eq!(
            grantee(Some("Canonical User"), " 79a5 "),
            Some(named("CanonicalUser", "79a5"))
        );
        assert_eq!(grantee(Some("Everybody"), "*"), None);
    }

    #[test]
    fn titles_say_it_at_their_end() {
        let unused = |kind: &str| Some(Access::Unused(kind.to_owned()));
        let role = "AwsIamRole/arn:aws:iam::111122223333:role/UnusedIAMRole/";
        for (title, expected) in [
            (format!("{role} allows cross-account access"), Some(Access::External)),
            (format!("{role} allows public access"), Some(Access::External)),
            (
                format!("{role} contains unused permissions"),
                unused("UnusedPermission"),
            ),
            (format!("{role} contains unused iam role"), unused("UnusedIAMRole")),
            ("Unused IAM User Password".to_owned(), unused("UnusedIAMUserPassword")),
            (role.to_owned(), None),
        ] {
            assert_eq!(titled(&title), expected, "{title}");
        }
    }

    #[test]
    fn the_analyzer_at_the_start_of_an_id() {
        for (id, expected) in [
            (
                "arn:aws:s3:::securecart-exports",
                Some("arn:aws:s3:::securecart-exports"),
            ),
            ("22222222-dcba", Some("22222222-dcba")),
        ] {
            let read = split_analyzer(&format!("{ANALYZER}/{id}")).map(|(analyzer, rest)| {
                assert_eq!(analyzer, ANALYZER);
                rest.to_owned()
            });
            assert_eq!(read.as_deref(), expected);
        }
        for id in [
            ANALYZER,
            "arn:aws:iam::111122223333:role/x:analyzer/y/z",
            "arn:aws:access-analyzer:us-east-1:111122223333:analyzer//x",
            "",
        ] {
            assert_eq!(split_analyzer(id), None, "{id}");
        }
    }

    #[test]
    fn what_an_id_shows_is_certain_only_for_principals() {
        for id in [
            "arn:aws:iam::111122223333:group/g",
            "arn:aws:iam::111122223333:policy/p",
            "arn:aws:sts::111122223333:federated-user/f",
            "11112222333a",
            "1111222233334",
        ] {
            assert_eq!(evident_kind(id), None, "{id}");
        }
    }

    #[test]
    fn access_from_inside_is_told_from_the_others() {
        for (mark, expected) in [
            ("InternalAccess", Some(Access::Internal)),
            ("Effects/Data Exposure/Internal Access Granted", Some(Access::Internal)),
            ("External Access Granted", Some(Access::External)),
            ("Other", None),
        ] {
            assert_eq!(access(mark), expected, "{mark}");
        }
    }
}
