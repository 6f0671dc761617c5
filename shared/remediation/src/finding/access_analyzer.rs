//! The `Unused Access Finding for IAM entities` event of IAM Access Analyzer. It names neither the access key nor the
//! unused actions.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Channel, Detail, Envelope, Evidence, Finding, FindingError, Resource, Severity, UnusedAccess, lenient, read_time,
    required,
};
use crate::ids::{AccountId, FindingId, FindingVersion, Region};

const KINDS: [&str; 4] = [
    "UnusedIAMUserAccessKey",
    "UnusedIAMUserPassword",
    "UnusedIAMRole",
    "UnusedPermission",
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw<'a> {
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
    #[serde(default, deserialize_with = "lenient::text")]
    updated_at: Option<String>,
    /// The analyzer could not look; the rest is not filled in then.
    #[serde(default, borrow)]
    error: Option<&'a RawValue>,
}

/// Reads an `Unused Access Finding for IAM entities` event.
pub(crate) fn from_unused_access(event: &Envelope) -> Result<Finding, FindingError> {
    let raw: Raw<'_> =
        serde_json::from_str(event.detail.get()).map_err(|error| FindingError::malformed("detail", &error))?;
    let id = required(raw.finding_id, "detail.findingId")?;
    let analyzer = event.resources.first().filter(|arn| arn.contains(":analyzer/"));
    let updated_at = required(raw.updated_at, "detail.updatedAt")?;
    let status = raw.status.unwrap_or_default();
    let region = event.region.clone();
    let region = region.or_else(|| analyzer?.split(':').nth(3).map(str::to_owned));
    let (kind, detail) = if raw.error.is_some() {
        let kind = raw.finding_type.unwrap_or_default();
        (kind, Detail::Other("an analyzer error".to_owned()))
    } else {
        let kind = required(raw.finding_type, "detail.findingType")?;
        let unused = UnusedAccess {
            kind: kind.clone(),
            resource: Resource {
                kind: required(raw.resource_type, "detail.resourceType")?,
                id: required(raw.resource, "detail.resource")?,
                ..Resource::default()
            },
            // A deleted finding keeps its status.
            active: status == "ACTIVE" && raw.is_deleted != Some(true),
        };
        (kind, Detail::UnusedAccess(unused))
    };
    Ok(Finding {
        evidence: Evidence {
            id: FindingId::new(match analyzer {
                Some(arn) => format!("{arn}/{id}"),
                None => id,
            }),
            observed_at: event.observed(read_time(&updated_at), &updated_at, "detail.updatedAt")?,
            version: FindingVersion::new(updated_at),
            channel: Channel::Direct,
            kind,
            severity: Severity::Low,
            account: AccountId::new(required(raw.account_id, "detail.accountId")?),
            region: Region::new(region.unwrap_or_default()),
        },
        archived: status == "ARCHIVED",
        sample: false,
        answered: false,
        suppressed: false,
        detail,
    })
}

/// The kind of unused access that a text starts with, whether written `UnusedIAMUserAccessKey` or
/// `Unused IAM User Access Key`.
pub(super) fn unused_kind(text: &str) -> Option<String> {
    let written = text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
    let written = written.to_ascii_lowercase();
    let known = KINDS
        .iter()
        .find(|kind| written.starts_with(&kind.to_ascii_lowercase()));
    known.map(|kind| (*kind).to_owned())
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
            })
        );
        let without_analyzer = read(&[], &detail()).unwrap();
        assert_eq!(
            without_analyzer.evidence.id.as_str(),
            "11112222-3333-4444-5555-666677778888"
        );
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
}
