//! The newer Security Hub's findings: OCSF, snake_case. GuardDuty's come as Detection Findings (class 2004).

use serde::Deserialize;

use super::{
    Action, Channel, Detail, Direction, Evidence, Finding, FindingError, Role, Severity, Threat, canonical_kind,
    guardduty::read_direction, lenient, parse_address, parse_time, required,
};
use crate::{
    clock::Timestamp,
    ids::{AccountId, FindingId, FindingVersion, Region},
};

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    metadata: Option<Metadata>,
    #[serde(default)]
    finding_info: Option<Info>,
    #[serde(default)]
    cloud: Option<Cloud>,
    #[serde(default, deserialize_with = "lenient::text")]
    severity: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    status_id: Option<String>,
    #[serde(default, deserialize_with = "lenient::list")]
    evidences: Vec<RawEvidence>,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default, deserialize_with = "lenient::text")]
    uid: Option<String>,
    #[serde(default)]
    product: Option<Product>,
}

#[derive(Deserialize)]
struct Product {
    #[serde(default, deserialize_with = "lenient::text")]
    uid: Option<String>,
}

#[derive(Deserialize)]
struct Info {
    #[serde(default, deserialize_with = "lenient::text")]
    uid: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    title: Option<String>,
    #[serde(default, deserialize_with = "lenient::list")]
    types: Vec<lenient::Scalar>,
    #[serde(default, deserialize_with = "lenient::text")]
    modified_time: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    modified_time_dt: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    last_seen_time: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    last_seen_time_dt: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    created_time: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    created_time_dt: Option<String>,
}

#[derive(Deserialize)]
struct Cloud {
    #[serde(default)]
    account: Option<Account>,
    #[serde(default, deserialize_with = "lenient::text")]
    region: Option<String>,
}

#[derive(Deserialize)]
struct Account {
    #[serde(default, deserialize_with = "lenient::text")]
    uid: Option<String>,
}

#[derive(Deserialize)]
struct RawEvidence {
    #[serde(default)]
    src_endpoint: Option<Endpoint>,
    #[serde(default)]
    connection_info: Option<Connection>,
    #[serde(default)]
    api: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Endpoint {
    #[serde(default, deserialize_with = "lenient::text")]
    ip: Option<String>,
}

#[derive(Deserialize)]
struct Connection {
    #[serde(default, deserialize_with = "lenient::text")]
    direction: Option<String>,
    /// 1 inbound, 2 outbound.
    #[serde(default, deserialize_with = "lenient::text")]
    direction_id: Option<String>,
}

impl Connection {
    fn direction(&self) -> Direction {
        match self.direction_id.as_deref() {
            Some("1") => Direction::Inbound,
            Some("2") => Direction::Outbound,
            _ => read_direction(self.direction.as_deref()),
        }
    }
}

/// Reads one entry of `detail.findings` of a `Findings Imported V2` event.
pub(crate) fn from_ocsf(finding: &str, at: &str) -> Result<Finding, FindingError> {
    let raw: Raw = serde_json::from_str(finding).map_err(|error| FindingError::malformed(at, &error))?;
    let info = raw
        .finding_info
        .ok_or_else(|| FindingError::Missing(format!("{at}.finding_info")))?;
    let metadata = raw
        .metadata
        .ok_or_else(|| FindingError::Missing(format!("{at}.metadata")))?;
    let cloud = raw.cloud.ok_or_else(|| FindingError::Missing(format!("{at}.cloud")))?;
    let product = required(
        metadata.product.and_then(|product| product.uid),
        &format!("{at}.metadata.product.uid"),
    )?;
    let finding_uid = required(info.uid, &format!("{at}.finding_info.uid"))?;

    let modified = either_time(
        info.modified_time,
        info.modified_time_dt,
        &format!("{at}.finding_info.modified_time"),
    )?;
    let created = either_time(
        info.created_time,
        info.created_time_dt,
        &format!("{at}.finding_info.created_time"),
    )?;
    let seen = either_time(
        info.last_seen_time,
        info.last_seen_time_dt,
        &format!("{at}.finding_info.last_seen_time"),
    )?;
    let updated = modified
        .or(created)
        .or(seen)
        .ok_or_else(|| FindingError::Missing(format!("{at}.finding_info.modified_time")))?;

    let types = || info.types.iter().filter_map(|kind| kind.0.as_deref());
    let kind = types()
        .find(|kind| kind.contains(':'))
        .or_else(|| types().next())
        .map(canonical_kind)
        .unwrap_or_default();
    let detail = if product.ends_with("/aws/guardduty") {
        Detail::Threat(threat(&raw.evidences, &kind, at)?)
    } else {
        Detail::Other(format!("Security Hub product {product}"))
    };
    // OCSF: 1 new, 2 in progress, 3 suppressed, 4 resolved.
    let status = raw.status_id.as_deref().unwrap_or_default();
    Ok(Finding {
        archived: false,
        sample: info.title.is_some_and(|title| title.starts_with("[SAMPLE]")),
        answered: matches!(status, "2" | "4"),
        suppressed: status == "3",
        evidence: Evidence {
            version: FindingVersion::new(updated.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)),
            kind,
            severity: raw
                .severity
                .as_deref()
                .and_then(Severity::from_label)
                .unwrap_or(Severity::Low),
            account: AccountId::new(required(
                cloud.account.and_then(|account| account.uid),
                &format!("{at}.cloud.account.uid"),
            )?),
            region: Region::new(cloud.region.unwrap_or_default()),
            observed_at: seen.unwrap_or(updated),
            channel: Channel::SecurityHubV2 {
                metadata_uid: metadata.uid.unwrap_or_else(|| finding_uid.clone()),
            },
            id: FindingId::new(finding_uid),
        },
        detail,
    })
}

/// OCSF gives a time as milliseconds since 1970 and, beside it, as RFC 3339.
fn either_time(millis: Option<String>, text: Option<String>, at: &str) -> Result<Option<Timestamp>, FindingError> {
    if let Some(time) = millis.as_deref().and_then(|m| m.parse::<f64>().ok()) {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "milliseconds are whole; a time out of range is refused"
        )]
        return Ok(chrono::DateTime::from_timestamp_millis(time as i64));
    }
    text.map(|text| parse_time(&text, at)).transpose()
}

/// OCSF has no resource role: an inbound connection says that our side was the target.
fn threat(evidences: &[RawEvidence], kind: &str, at: &str) -> Result<Threat, FindingError> {
    let mut remotes = Vec::new();
    let mut direction = Direction::Unknown;
    let mut by_api = false;
    for (index, evidence) in evidences.iter().enumerate() {
        direction = match evidence.connection_info.as_ref().map(Connection::direction) {
            Some(Direction::Outbound) => continue,
            Some(known) => known,
            None => direction,
        };
        by_api |= evidence.api.is_some();
        if let Some(text) = evidence
            .src_endpoint
            .as_ref()
            .and_then(|endpoint| endpoint.ip.as_deref())
        {
            remotes.extend(parse_address(
                text,
                &format!("{at}.evidences[{index}].src_endpoint.ip"),
            )?);
        }
    }
    let family = kind.split_once('/').map_or("", |(_, family)| family);
    let resource = kind
        .split_once(':')
        .and_then(|(_, rest)| rest.split('/').next())
        .unwrap_or_default();
    let action = match resource {
        _ if remotes.is_empty() => Action::Other("none".to_owned()),
        _ if kind.starts_with("AttackSequence:") => Action::Other("attack sequence in OCSF".to_owned()),
        _ if family.starts_with("PortProbe") => Action::PortProbe { remotes },
        "Kubernetes" => Action::KubernetesApiCall { remotes },
        "RDS" => Action::RdsLoginAttempt { remotes },
        "IAMUser" | "S3" => Action::AwsApiCall {
            remotes,
            affiliated: false,
        },
        _ if by_api => Action::AwsApiCall {
            remotes,
            affiliated: false,
        },
        _ => Action::NetworkConnection { direction, remotes },
    };
    Ok(Threat {
        role: (direction == Direction::Inbound).then_some(Role::Target),
        action,
    })
}
