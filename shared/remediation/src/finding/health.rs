//! AWS Health events. AWS looks for access keys in public places and says so in these.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{Channel, Detail, Envelope, Evidence, Finding, FindingError, Severity, lenient, read_time, required};
use crate::{
    clock::Timestamp,
    ids::{AccountId, FindingId, FindingVersion, Region},
};

/// Codes of the service `RISK` whose entities are credentials.
const EXPOSED: [&str; 5] = [
    "AWS_RISK_CREDENTIALS_EXPOSED",
    "AWS_RISK_CREDENTIALS_EXPOSURE_SUSPECTED",
    "AWS_RISK_CREDENTIALS_COMPROMISED",
    "AWS_RISK_CREDENTIALS_COMPROMISE_SUSPECTED",
    "AWS_RISK_IAM_QUARANTINE",
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(default, deserialize_with = "lenient::text")]
    event_arn: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    service: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    event_type_code: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    event_region: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    communication_id: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    start_time: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    last_updated_time: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    status_code: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    affected_account: Option<String>,
    #[serde(default, deserialize_with = "lenient::list")]
    affected_entities: Vec<Entity>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entity {
    #[serde(default, deserialize_with = "lenient::text")]
    entity_value: Option<String>,
}

/// Reads an `AWS Health Event` or `AWS Health Abuse Event`.
pub(crate) fn from_health(event: &Envelope) -> Result<Finding, FindingError> {
    let raw: Raw =
        serde_json::from_str(event.detail.get()).map_err(|error| FindingError::malformed("detail", &error))?;
    let code = required(raw.event_type_code, "detail.eventTypeCode")?;
    let arn = required(raw.event_arn, "detail.eventArn")?;
    let account = raw.affected_account.or_else(|| event.account.clone());
    let account = required(account, "detail.affectedAccount")?;
    let at = "detail.lastUpdatedTime";
    let updated = raw.last_updated_time.or(raw.start_time);
    let version = raw.communication_id.filter(|id| !id.is_empty());
    let version = required(version.or_else(|| updated.clone()), at)?;
    let updated = updated.unwrap_or_default();
    let region = raw.event_region.filter(|region| region != "global");
    let region = region.or_else(|| event.region.clone()).unwrap_or_default();
    let is_exposure = raw.service.as_deref() == Some("RISK") && EXPOSED.contains(&code.as_str());
    let detail = if is_exposure {
        Detail::ExposedCredentials(distinct(raw.affected_entities))
    } else {
        Detail::Other(code.clone())
    };
    Ok(Finding {
        evidence: Evidence {
            // One event may be about several accounts.
            id: FindingId::new(format!("{arn}/{account}")),
            version: FindingVersion::new(version),
            channel: Channel::Direct,
            kind: code,
            severity: Severity::High,
            account: AccountId::new(account),
            region: Region::new(region),
            observed_at: event.observed(read_health_time(&updated), &updated, at)?,
        },
        archived: raw.status_code.as_deref() == Some("closed"),
        sample: false,
        answered: false,
        asked: None,
        suppressed: false,
        detail,
    })
}

fn distinct(entities: Vec<Entity>) -> Vec<String> {
    let mut known = BTreeSet::new();
    let mut values: Vec<_> = entities.into_iter().filter_map(|entity| entity.entity_value).collect();
    values.retain(|value| !value.trim().is_empty() && known.insert(value.clone()));
    values
}

/// `Sat, 04 Jun 2016 05:01:10 GMT`, and RFC 3339 in case that changes.
fn read_health_time(text: &str) -> Option<Timestamp> {
    let usual = chrono::DateTime::parse_from_rfc2822(text.trim()).map(|time| time.to_utc());
    usual.ok().or_else(|| read_time(text))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ARN: &str =
        "arn:aws:health:us-east-1::event/RISK/AWS_RISK_CREDENTIALS_EXPOSED/AWS_RISK_CREDENTIALS_EXPOSED_0b1c2d3e";

    fn detail() -> Value {
        json!({
            "eventArn": ARN,
            "service": "RISK",
            "eventTypeCode": "AWS_RISK_CREDENTIALS_EXPOSED",
            "eventTypeCategory": "issue",
            "eventScopeCode": "ACCOUNT_SPECIFIC",
            "communicationId": "01b0993207d81a09dcd552ebd1e633e36cf1f09a-1",
            "startTime": "Fri, 20 Nov 2026 09:05:00 GMT",
            "lastUpdatedTime": "Fri, 20 Nov 2026 09:12:00 GMT",
            "statusCode": "open",
            "eventRegion": "us-east-1",
            "eventDescription": [{"language": "en_US", "latestDescription": "An access key was found in public."}],
            "affectedEntities": [
                {"entityValue": "AKIAEXAMPLECIRUNNER0"},
                {"entityValue": "AKIAEXAMPLECIRUNNER0"},
                {"entityValue": ""}
            ],
            "affectedAccount": "111122223333",
            "page": "1",
            "totalPages": "1"
        })
    }

    fn read(detail: &Value) -> Result<Finding, FindingError> {
        from_health(&Envelope::sample("aws.health", "AWS Health Event", &[], detail))
    }

    #[test]
    fn an_exposed_key() {
        let finding = read(&detail()).unwrap();
        assert_eq!(finding.evidence.id.as_str(), format!("{ARN}/111122223333"));
        assert_eq!(
            finding.evidence.version.as_str(),
            "01b0993207d81a09dcd552ebd1e633e36cf1f09a-1"
        );
        assert_eq!(
            finding.evidence.observed_at,
            "2026-11-20T09:12:00Z".parse::<Timestamp>().unwrap()
        );
        assert_eq!(finding.evidence.severity, Severity::High);
        assert!(!finding.archived);
        assert_eq!(
            finding.detail,
            Detail::ExposedCredentials(vec!["AKIAEXAMPLECIRUNNER0".to_owned()])
        );
    }

    #[test]
    fn other_events_and_other_services() {
        let mut other = detail();
        other["eventTypeCode"] = "AWS_RISK_ACCOUNT_CONSOLE_COMPROMISE".into();
        assert_eq!(
            read(&other).unwrap().detail,
            Detail::Other("AWS_RISK_ACCOUNT_CONSOLE_COMPROMISE".to_owned())
        );
        other["service"] = "ABUSE".into();
        other["eventTypeCode"] = "AWS_RISK_CREDENTIALS_EXPOSED".into();
        assert!(matches!(read(&other).unwrap().detail, Detail::Other(_)));
    }

    #[test]
    fn what_the_envelope_and_other_fields_stand_in_for() {
        let mut detail = detail();
        for field in ["affectedAccount", "communicationId", "affectedEntities"] {
            detail[field] = Value::Null;
        }
        detail["eventRegion"] = "global".into();
        detail["statusCode"] = "closed".into();
        detail["lastUpdatedTime"] = "2026-11-20T09:12:00Z".into();
        let finding = read(&detail).unwrap();
        assert_eq!(finding.evidence.account.as_str(), "111122223333");
        assert_eq!(finding.evidence.region.as_str(), "us-east-1");
        assert_eq!(finding.evidence.version.as_str(), "2026-11-20T09:12:00Z");
        assert!(finding.archived);
        assert_eq!(finding.detail, Detail::ExposedCredentials(Vec::new()));
    }

    #[test]
    fn an_unreadable_time_gives_way_to_the_events() {
        let mut detail = detail();
        detail["lastUpdatedTime"] = "yesterday".into();
        let finding = read(&detail).unwrap();
        assert_eq!(
            finding.evidence.observed_at,
            "2026-11-20T09:21:07Z".parse::<Timestamp>().unwrap()
        );
    }
}
