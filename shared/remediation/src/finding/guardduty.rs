//! The `GuardDuty Finding` event: `detail` is one finding with camelCase keys. Findings copied from the API have
//! PascalCase keys; both are read.

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Action, Channel, Detail, Direction, Evidence, Finding, FindingError, Role, Severity, Threat, canonical_kind,
    lenient, parse_address, parse_time, read_time, required,
};
use crate::ids::{AccountId, FindingId, FindingVersion, Region};

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(default, alias = "Id", deserialize_with = "lenient::text")]
    id: Option<String>,
    #[serde(default, alias = "Arn", deserialize_with = "lenient::text")]
    arn: Option<String>,
    #[serde(
        default,
        rename = "accountId",
        alias = "AccountId",
        deserialize_with = "lenient::text"
    )]
    account: Option<String>,
    #[serde(default, alias = "Region", deserialize_with = "lenient::text")]
    region: Option<String>,
    #[serde(default, rename = "type", alias = "Type", deserialize_with = "lenient::text")]
    kind: Option<String>,
    #[serde(
        default,
        rename = "updatedAt",
        alias = "UpdatedAt",
        deserialize_with = "lenient::text"
    )]
    updated_at: Option<String>,
    #[serde(default, alias = "Severity", deserialize_with = "lenient::number")]
    severity: Option<f64>,
    #[serde(default, alias = "Title", deserialize_with = "lenient::text")]
    title: Option<String>,
    #[serde(default, borrow, alias = "Service")]
    service: Option<Service<'a>>,
}

#[derive(Deserialize, Default)]
struct Service<'a> {
    #[serde(default, alias = "Archived", deserialize_with = "lenient::flag")]
    archived: Option<bool>,
    #[serde(
        default,
        rename = "resourceRole",
        alias = "ResourceRole",
        deserialize_with = "lenient::text"
    )]
    role: Option<String>,
    #[serde(
        default,
        rename = "eventLastSeen",
        alias = "EventLastSeen",
        deserialize_with = "lenient::text"
    )]
    last_seen: Option<String>,
    #[serde(default, borrow, rename = "additionalInfo", alias = "AdditionalInfo")]
    additional_info: Option<&'a RawValue>,
    #[serde(default, alias = "Action")]
    action: Option<RawAction>,
    #[serde(default, alias = "Detection")]
    detection: Option<Detection>,
}

#[derive(Deserialize)]
pub(super) struct RawAction {
    #[serde(
        default,
        rename = "actionType",
        alias = "ActionType",
        deserialize_with = "lenient::text"
    )]
    kind: Option<String>,
    #[serde(default, rename = "networkConnectionAction", alias = "NetworkConnectionAction")]
    network: Option<Call>,
    #[serde(default, rename = "portProbeAction", alias = "PortProbeAction")]
    probe: Option<Probe>,
    #[serde(default, rename = "awsApiCallAction", alias = "AwsApiCallAction")]
    aws_api: Option<Call>,
    #[serde(default, rename = "kubernetesApiCallAction", alias = "KubernetesApiCallAction")]
    kubernetes_api: Option<Call>,
    #[serde(default, rename = "rdsLoginAttemptAction", alias = "RdsLoginAttemptAction")]
    rds_login: Option<Call>,
}

#[derive(Deserialize, Default)]
struct Call {
    #[serde(
        default,
        rename = "connectionDirection",
        alias = "ConnectionDirection",
        deserialize_with = "lenient::text"
    )]
    direction: Option<String>,
    #[serde(default, rename = "remoteIpDetails", alias = "RemoteIpDetails")]
    remote: Option<Remote>,
    #[serde(default, rename = "remoteAccountDetails", alias = "RemoteAccountDetails")]
    account: Option<RemoteAccount>,
}

#[derive(Deserialize)]
struct Probe {
    #[serde(
        default,
        rename = "portProbeDetails",
        alias = "PortProbeDetails",
        deserialize_with = "lenient::list"
    )]
    details: Vec<Call>,
}

#[derive(Deserialize)]
struct Remote {
    #[serde(
        default,
        rename = "ipAddressV4",
        alias = "IpAddressV4",
        deserialize_with = "lenient::text"
    )]
    v4: Option<String>,
    #[serde(
        default,
        rename = "ipAddressV6",
        alias = "IpAddressV6",
        deserialize_with = "lenient::text"
    )]
    v6: Option<String>,
}

#[derive(Deserialize)]
struct RemoteAccount {
    #[serde(default, alias = "Affiliated", deserialize_with = "lenient::flag")]
    affiliated: Option<bool>,
}

#[derive(Deserialize)]
struct Detection {
    #[serde(default, alias = "Sequence")]
    sequence: Option<Sequence>,
}

#[derive(Deserialize)]
struct Sequence {
    #[serde(default, alias = "Endpoints", deserialize_with = "lenient::list")]
    endpoints: Vec<Endpoint>,
    #[serde(default, alias = "Signals", deserialize_with = "lenient::list")]
    signals: Vec<Signal>,
}

#[derive(Deserialize)]
struct Endpoint {
    #[serde(default, alias = "Id", deserialize_with = "lenient::text")]
    id: Option<String>,
    #[serde(default, alias = "Ip", deserialize_with = "lenient::text")]
    ip: Option<String>,
    #[serde(default, alias = "Connection")]
    connection: Option<Connection>,
}

#[derive(Deserialize)]
struct Connection {
    #[serde(default, alias = "Direction", deserialize_with = "lenient::text")]
    direction: Option<String>,
}

#[derive(Deserialize)]
struct Signal {
    #[serde(
        default,
        rename = "endpointIds",
        alias = "EndpointIds",
        deserialize_with = "lenient::list"
    )]
    endpoints: Vec<lenient::Scalar>,
    #[serde(
        default,
        rename = "signalIndicators",
        alias = "SignalIndicators",
        deserialize_with = "lenient::list"
    )]
    indicators: Vec<Indicator>,
}

#[derive(Deserialize)]
struct Indicator {
    #[serde(default, alias = "Key", deserialize_with = "lenient::text")]
    key: Option<String>,
}

#[derive(Deserialize)]
struct AdditionalInfo {
    #[serde(default, alias = "Sample", deserialize_with = "lenient::flag")]
    sample: Option<bool>,
    /// JSON inside a string.
    #[serde(default, alias = "Value", deserialize_with = "lenient::text")]
    value: Option<String>,
}

/// Whether `service.additionalInfo` marks a sample. Anything unreadable there does not.
pub(super) fn says_sample(additional_info: &str) -> bool {
    let Ok(info) = serde_json::from_str::<AdditionalInfo>(additional_info) else {
        return false;
    };
    let inner = info
        .value
        .and_then(|value| serde_json::from_str::<AdditionalInfo>(&value).ok());
    info.sample.or(inner.and_then(|inner| inner.sample)).unwrap_or(false)
}

/// Reads `detail` of a `GuardDuty Finding` event.
pub(crate) fn from_guardduty(detail: &str) -> Result<Finding, FindingError> {
    let raw: Raw<'_> = serde_json::from_str(detail).map_err(|error| FindingError::malformed("detail", &error))?;
    let service = raw.service.unwrap_or_default();
    let kind = canonical_kind(&required(raw.kind, "detail.type")?);
    let arn = raw.arn.filter(|arn| !arn.trim().is_empty());
    let id = required(arn.or(raw.id), "detail.id")?;
    let updated_at = required(raw.updated_at, "detail.updatedAt")?;
    let updated = parse_time(&updated_at, "detail.updatedAt")?;
    let observed_at = service.last_seen.as_deref().and_then(read_time).unwrap_or(updated);
    let action = match (
        service.action,
        service.detection.and_then(|detection| detection.sequence),
    ) {
        (Some(action), _) => action.read("detail.service.action")?,
        (None, Some(sequence)) => sequence.read()?,
        (None, None) => Action::Other("none".to_owned()),
    };
    Ok(Finding {
        evidence: Evidence {
            id: FindingId::new(id),
            version: FindingVersion::new(updated_at),
            channel: Channel::GuardDuty,
            kind,
            severity: raw.severity.map_or(Severity::Low, Severity::from_number),
            account: AccountId::new(required(raw.account, "detail.accountId")?),
            region: Region::new(raw.region.unwrap_or_default()),
            observed_at,
        },
        archived: service.archived.unwrap_or(false),
        sample: raw.title.is_some_and(|title| title.starts_with("[SAMPLE]"))
            || service.additional_info.is_some_and(|info| says_sample(info.get())),
        answered: false,
        suppressed: false,
        detail: Detail::Threat(Threat {
            role: service.role.as_deref().and_then(read_role),
            action,
        }),
    })
}

pub(super) fn read_role(text: &str) -> Option<Role> {
    match text {
        "TARGET" => Some(Role::Target),
        "ACTOR" => Some(Role::Actor),
        _ => None,
    }
}

pub(super) fn read_direction(text: Option<&str>) -> Direction {
    match text.map(str::to_ascii_uppercase).as_deref() {
        Some("INBOUND") => Direction::Inbound,
        Some("OUTBOUND") => Direction::Outbound,
        _ => Direction::Unknown,
    }
}

impl RawAction {
    pub(super) fn read(self, at: &str) -> Result<Action, FindingError> {
        let kind = self.kind.unwrap_or_default();
        Ok(match kind.as_str() {
            "NETWORK_CONNECTION" => {
                let call = self.network.unwrap_or_default();
                Action::NetworkConnection {
                    direction: read_direction(call.direction.as_deref()),
                    remotes: call.remotes(&format!("{at}.networkConnectionAction"))?,
                }
            }
            "PORT_PROBE" => {
                let probers = self.probe.map(|probe| probe.details).unwrap_or_default();
                let mut remotes = Vec::with_capacity(probers.len());
                for (index, prober) in probers.iter().enumerate() {
                    remotes.extend(prober.remotes(&format!("{at}.portProbeAction.portProbeDetails[{index}]"))?);
                }
                Action::PortProbe { remotes }
            }
            "AWS_API_CALL" => {
                let call = self.aws_api.unwrap_or_default();
                Action::AwsApiCall {
                    remotes: call.remotes(&format!("{at}.awsApiCallAction"))?,
                    affiliated: call.account.and_then(|account| account.affiliated).unwrap_or(false),
                }
            }
            "KUBERNETES_API_CALL" => Action::KubernetesApiCall {
                remotes: self
                    .kubernetes_api
                    .unwrap_or_default()
                    .remotes(&format!("{at}.kubernetesApiCallAction"))?,
            },
            "RDS_LOGIN_ATTEMPT" => Action::RdsLoginAttempt {
                remotes: self
                    .rds_login
                    .unwrap_or_default()
                    .remotes(&format!("{at}.rdsLoginAttemptAction"))?,
            },
            _ => Action::Other(kind),
        })
    }
}

impl Call {
    fn remotes(&self, at: &str) -> Result<Vec<IpAddr>, FindingError> {
        let Some(remote) = &self.remote else {
            return Ok(Vec::new());
        };
        let mut remotes = Vec::new();
        for (text, field) in [(&remote.v4, "ipAddressV4"), (&remote.v6, "ipAddressV6")] {
            if let Some(text) = text {
                remotes.extend(parse_address(text, &format!("{at}.remoteIpDetails.{field}"))?);
            }
        }
        Ok(remotes)
    }
}

impl Sequence {
    /// Only endpoints that are tied to a signal naming a malicious or Tor address: the others may be customers.
    fn read(self) -> Result<Action, FindingError> {
        let mut remotes = Vec::new();
        for (index, endpoint) in self.endpoints.iter().enumerate() {
            let outbound = read_direction(endpoint.connection.as_ref().and_then(|c| c.direction.as_deref()))
                == Direction::Outbound;
            if outbound || !self.is_malicious(endpoint) {
                continue;
            }
            if let Some(text) = &endpoint.ip {
                let at = format!("detail.service.detection.sequence.endpoints[{index}].ip");
                remotes.extend(parse_address(text, &at)?);
            }
        }
        Ok(Action::AttackSequence { remotes })
    }

    fn is_malicious(&self, endpoint: &Endpoint) -> bool {
        let names = |signal: &Signal| {
            signal
                .indicators
                .iter()
                .any(|i| matches!(i.key.as_deref(), Some("MALICIOUS_IP" | "TOR_IP")))
        };
        endpoint.id.as_ref().is_some_and(|id| {
            self.signals
                .iter()
                .any(|signal| names(signal) && signal.endpoints.iter().any(|other| other.0.as_ref() == Some(id)))
        })
    }
}
