//! The `GuardDuty Finding` event: `detail` is one finding with camelCase keys. Findings copied from the API have
//! PascalCase keys; both are read.

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Action, Channel, Credential, Detail, Direction, Evidence, Finding, FindingError, Role, Severity, Threat,
    canonical_kind, credentials, lenient, parse_address, parse_time, read_time, required,
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
    #[serde(default, alias = "Resource", deserialize_with = "lenient::part")]
    resource: Option<RawResource>,
    #[serde(default, borrow, alias = "Service")]
    service: Option<Service<'a>>,
}

#[derive(Deserialize)]
struct RawResource {
    #[serde(default, rename = "accessKeyDetails", alias = "AccessKeyDetails")]
    access_key: lenient::Object,
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
    #[serde(default, alias = "Actors", deserialize_with = "lenient::parts")]
    actors: Vec<Actor>,
    #[serde(default, alias = "Resources", deserialize_with = "lenient::parts")]
    resources: Vec<SequenceResource>,
}

#[derive(Deserialize)]
struct Actor {
    #[serde(default, alias = "User")]
    user: lenient::Object,
}

#[derive(Deserialize)]
struct SequenceResource {
    /// The key id, if this is a key.
    #[serde(default, alias = "Uid", deserialize_with = "lenient::text")]
    uid: Option<String>,
    #[serde(default, alias = "Data", deserialize_with = "lenient::part")]
    data: Option<SequenceData>,
}

#[derive(Deserialize)]
struct SequenceData {
    #[serde(
        default,
        rename = "accessKey",
        alias = "AccessKey",
        deserialize_with = "lenient::part"
    )]
    access_key: Option<lenient::Object>,
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
    let sequence = service.detection.and_then(|detection| detection.sequence);
    let access_key = raw.resource.map(|resource| resource.access_key).unwrap_or_default();
    let credentials = credentials::distinct(
        std::iter::once(credentials::read(&access_key)).chain(sequence.iter().flat_map(Sequence::credentials)),
        "detail",
    )?;
    let action = match (service.action, sequence) {
        (Some(action), _) => action.read("detail.service.action"),
        (None, Some(sequence)) => sequence.read(),
        (None, None) => Ok(Action::Other("none".to_owned())),
    };
    Ok(Finding {
        evidence: Evidence {
            id: FindingId::new(id),
            version: FindingVersion::new(updated_at),
            channel: Channel::Direct,
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
        asked: None,
        suppressed: false,
        detail: Detail::Threat(Threat {
            role: service.role.as_deref().and_then(read_role),
            action,
            credentials,
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
    fn credentials(&self) -> Vec<Credential> {
        let actors = self.actors.iter().map(|actor| credentials::read(&actor.user));
        let keys = self.resources.iter().filter_map(|resource| {
            let found = credentials::read(resource.data.as_ref()?.access_key.as_ref()?);
            Some(credentials::with_key(found, resource.uid.as_deref()))
        });
        actors.chain(keys).collect()
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(change: impl FnOnce(&mut serde_json::Value)) -> Finding {
        let mut detail = serde_json::json!({
            "schemaVersion": "2.0",
            "accountId": "111122223333",
            "region": "us-east-1",
            "id": "2b2b",
            "arn": "arn:aws:guardduty:us-east-1:111122223333:detector/12ab/finding/2b2b",
            "type": "UnauthorizedAccess:IAMUser/MaliciousIPCaller",
            "resource": {"resourceType": "AccessKey", "accessKeyDetails": {
                "accessKeyId": "AKIAEXAMPLECHECKOUT0",
                "principalId": "AIDA2EXAMPLECHECKOUT0",
                "userName": "checkout-deploy",
                "userType": "IAMUser"
            }},
            "service": {
                "resourceRole": "TARGET",
                "action": {"actionType": "AWS_API_CALL", "awsApiCallAction": {
                    "remoteIpDetails": {"ipAddressV4": "198.51.100.23"}
                }}
            },
            "severity": 5,
            "updatedAt": "2026-11-20T09:20:31.412Z"
        });
        change(&mut detail);
        from_guardduty(&detail.to_string()).unwrap()
    }

    fn threat(change: impl FnOnce(&mut serde_json::Value)) -> Threat {
        match finding(change).detail {
            Detail::Threat(threat) => threat,
            other => panic!("{other:?}"),
        }
    }

    fn checkout() -> Credential {
        Credential {
            key: Some("AKIAEXAMPLECHECKOUT0".to_owned()),
            principal: Some("AIDA2EXAMPLECHECKOUT0".to_owned()),
            name: Some("checkout-deploy".to_owned()),
            kind: Some("IAMUser".to_owned()),
        }
    }

    #[test]
    fn credentials_in_both_spellings() {
        assert_eq!(threat(|_| {}).credentials, [checkout()]);
        let pascal = threat(|detail| {
            detail["Resource"] = serde_json::json!({"AccessKeyDetails": {
                "AccessKeyId": "AKIAEXAMPLECHECKOUT0",
                "PrincipalId": "AIDA2EXAMPLECHECKOUT0",
                "UserName": "checkout-deploy",
                "UserType": "IAMUser"
            }});
            detail.as_object_mut().unwrap().remove("resource");
        });
        assert_eq!(pascal.credentials, [checkout()]);
    }

    #[test]
    fn an_unreadable_address_costs_only_the_action() {
        let threat = threat(|detail| {
            detail["service"]["action"]["awsApiCallAction"]["remoteIpDetails"]["ipAddressV4"] = "198.51.100.256".into();
        });
        assert_eq!(
            threat.action.unwrap_err().to_string(),
            "detail.service.action.awsApiCallAction.remoteIpDetails.ipAddressV4: \"198.51.100.256\" is not an IP address"
        );
        assert_eq!(threat.credentials, [checkout()]);
    }

    #[test]
    fn credentials_of_an_attack_sequence_once_each() {
        let threat = threat(|detail| {
            detail["resource"] =
                serde_json::json!({"resourceType": "AttackSequence", "accessKeyDetails": {"userName": ""}});
            detail["service"] = serde_json::json!({"detection": {"sequence": {
                "actors": [
                    {"id": "a", "user": {"name": "checkout-deploy", "uid": "AIDA2EXAMPLECHECKOUT0", "type": "IAMUser",
                        "credentialUid": "AKIAEXAMPLECHECKOUT0", "account": {"uid": "111122223333"}}},
                    {"id": "b", "session": {"uid": "s"}}
                ],
                "resources": [
                    {"uid": "AKIAEXAMPLECHECKOUT0", "resourceType": "ACCESS_KEY", "data": {"accessKey": {
                        "principalId": "AIDA2EXAMPLECHECKOUT0", "userName": "checkout-deploy", "userType": "IAMUser"}}},
                    {"uid": "arn:aws:s3:::securecart-orders-111122223333", "data": {"s3Bucket": {}}},
                    {"uid": "ASIAEXAMPLESESSION00", "data": {"accessKey": {"userName": "ci-runner", "userType": "IAMUser"}}}
                ]
            }}});
        });
        let session = Credential {
            key: Some("ASIAEXAMPLESESSION00".to_owned()),
            principal: None,
            name: Some("ci-runner".to_owned()),
            kind: Some("IAMUser".to_owned()),
        };
        assert_eq!(threat.credentials, [checkout(), session]);
    }

    #[test]
    fn no_form_of_the_resource_loses_the_finding() {
        for resource in [
            serde_json::json!(null),
            serde_json::json!("x"),
            serde_json::json!({"accessKeyDetails": 7}),
        ] {
            assert!(threat(|detail| detail["resource"] = resource).credentials.is_empty());
        }
    }

    fn addresses<const N: usize>(texts: [&str; N]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn each_action_names_its_remotes() {
        let call =
            serde_json::json!({"remoteIpDetails": {"ipAddressV4": "198.51.100.23", "ipAddressV6": "2001:db8::23"}});
        let remotes = addresses(["198.51.100.23", "2001:db8::23"]);
        let network = |direction: &str, expected| {
            let mut call = call.clone();
            call["connectionDirection"] = direction.into();
            let action = serde_json::json!({"actionType": "NETWORK_CONNECTION", "networkConnectionAction": call});
            let remotes = remotes.clone();
            (
                action,
                Action::NetworkConnection {
                    direction: expected,
                    remotes,
                },
            )
        };
        for (action, expected) in [
            network("INBOUND", Direction::Inbound),
            network("outbound", Direction::Outbound),
            network("UNKNOWN", Direction::Unknown),
            (
                serde_json::json!({"actionType": "PORT_PROBE", "portProbeAction": {"portProbeDetails": [call, call]}}),
                Action::PortProbe {
                    remotes: [remotes.clone(), remotes.clone()].concat(),
                },
            ),
            (
                serde_json::json!({"actionType": "KUBERNETES_API_CALL", "kubernetesApiCallAction": call}),
                Action::KubernetesApiCall {
                    remotes: remotes.clone(),
                },
            ),
            (
                serde_json::json!({"actionType": "RDS_LOGIN_ATTEMPT", "rdsLoginAttemptAction": call}),
                Action::RdsLoginAttempt {
                    remotes: remotes.clone(),
                },
            ),
            (
                serde_json::json!({"actionType": "DNS_REQUEST", "dnsRequestAction": {"domain": "a.example"}}),
                Action::Other("DNS_REQUEST".to_owned()),
            ),
        ] {
            let read = threat(|detail| detail["service"]["action"] = action.clone());
            assert_eq!(read.action, Ok(expected), "{action}");
        }
    }

    #[test]
    fn which_side_is_ours() {
        for (text, role) in [
            ("TARGET", Some(Role::Target)),
            ("ACTOR", Some(Role::Actor)),
            ("target", None),
        ] {
            let read = threat(|detail| detail["service"]["resourceRole"] = text.into());
            assert_eq!(read.role, role, "{text}");
        }
    }

    #[test]
    fn a_sample_says_so_by_its_title_or_beside_it() {
        for (title, info, expected) in [
            ("[SAMPLE] x", serde_json::json!(null), true),
            ("x [SAMPLE]", serde_json::json!({}), false),
            ("x", serde_json::json!({"sample": true}), true),
            ("x", serde_json::json!({"sample": "false", "value": "{}"}), false),
            ("x", serde_json::json!({"value": "{\"sample\":true}"}), true),
            ("x", serde_json::json!({"value": "{"}), false),
            ("x", serde_json::json!("y"), false),
        ] {
            let read = finding(|detail| {
                detail["title"] = title.into();
                detail["service"]["additionalInfo"] = info.clone();
            });
            assert_eq!(read.sample, expected, "{title} {info}");
        }
    }

    #[test]
    fn only_endpoints_of_a_malicious_signal_are_attackers() {
        let endpoint = |id: &str, ip: &str, direction: &str| serde_json::json!({"id": id, "ip": ip, "connection": {"direction": direction}});
        let signal = |ids: &[&str], key: &str| serde_json::json!({"endpointIds": ids, "signalIndicators": [{"key": "SUSPICIOUS_USER_AGENT"}, {"key": key}]});
        let read = threat(|detail| {
            detail["service"] = serde_json::json!({"detection": {"sequence": {
                "endpoints": [
                    endpoint("bad", "198.51.100.1", "INBOUND"),
                    endpoint("tor", "198.51.100.2", "UNKNOWN"),
                    endpoint("ours", "198.51.100.3", "OUTBOUND"),
                    endpoint("customer", "198.51.100.4", "INBOUND"),
                    endpoint("alone", "198.51.100.5", "INBOUND")
                ],
                "signals": [signal(&["bad", "ours"], "MALICIOUS_IP"), signal(&["tor"], "TOR_IP"), signal(&["customer"], "HIGH_RISK_API")]
            }}});
        });
        let remotes = addresses(["198.51.100.1", "198.51.100.2"]);
        assert_eq!(read.action, Ok(Action::AttackSequence { remotes }));
    }

    #[test]
    fn a_finding_is_called_by_its_arn_where_it_has_one() {
        let id = |arn: &str| finding(|detail| detail["arn"] = arn.into()).evidence.id;
        let arn = "arn:aws:guardduty:us-east-1:111122223333:detector/12ab/finding/2b2b";
        assert_eq!((id(arn).as_str(), id(" ").as_str()), (arn, "2b2b"));
    }
}
