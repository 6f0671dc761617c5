//! The newer Security Hub's findings: OCSF, snake_case. GuardDuty's come as Detection Findings (class 2004), controls as
//! Compliance Findings (class 2003).

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Action, Channel, Compliance, Credential, Detail, Direction, Evidence, ExternalAccess, Finding, FindingError,
    Grantee, Resource, Role, Rule, Severity, Threat, UnusedAccess, Verdict,
    access_analyzer::{self, Access, EXTERNAL},
    canonical_kind,
    control::control,
    credentials,
    guardduty::read_direction,
    lenient, parse_address, parse_time, required, resource,
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
    #[serde(default, deserialize_with = "lenient::text")]
    activity_id: Option<String>,
    #[serde(default, deserialize_with = "lenient::part")]
    compliance: Option<RawCompliance>,
    #[serde(default, deserialize_with = "lenient::parts")]
    resources: Vec<RawResource>,
    #[serde(default)]
    vendor_attributes: Option<Box<RawValue>>,
    #[serde(default)]
    unmapped: Option<Box<RawValue>>,
}

impl Raw {
    /// Where a product may put what OCSF has no field for.
    fn places(&self) -> impl Iterator<Item = &RawValue> {
        let resources = self.resources.iter().map(|resource| resource.data.as_ref());
        let evidences = self.evidences.iter().map(|evidence| evidence.data.as_ref());
        let own = [self.vendor_attributes.as_ref(), self.unmapped.as_ref()];
        resources.chain(evidences).chain(own).flatten().map(Box::as_ref)
    }
}

#[derive(Deserialize)]
struct RawCompliance {
    #[serde(default, deserialize_with = "lenient::text")]
    control: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    status: Option<String>,
    /// 1 pass, 2 warning, 3 fail.
    #[serde(default, deserialize_with = "lenient::text")]
    status_id: Option<String>,
}

impl RawCompliance {
    fn verdict(&self) -> Verdict {
        let status = self.status.as_deref().unwrap_or("no compliance.status");
        match (self.status_id.as_deref(), status.to_ascii_lowercase().as_str()) {
            (Some("1"), _) => Verdict::Passed,
            (Some("3"), _) => Verdict::Failed,
            (Some("2"), _) => Verdict::Unknown(status.to_owned()),
            (_, "pass" | "passed") => Verdict::Passed,
            (_, "fail" | "failed") => Verdict::Failed,
            _ => Verdict::Unknown(status.to_owned()),
        }
    }
}

#[derive(Deserialize)]
struct RawResource {
    #[serde(default, rename = "type", deserialize_with = "lenient::text")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    uid: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    name: Option<String>,
    #[serde(default, deserialize_with = "lenient::part")]
    owner: Option<Cloud>,
    #[serde(default)]
    data: Option<Box<RawValue>>,
}

impl RawResource {
    fn data(&self) -> lenient::Object {
        self.data.as_deref().map(object).unwrap_or_default()
    }

    /// The account of the resource, by its ARN or by its owner.
    fn account(&self) -> Option<&str> {
        let owner = || self.owner.as_ref()?.account.as_ref()?.uid.as_deref();
        self.uid.as_deref().and_then(access_analyzer::account_of).or_else(owner)
    }

    fn read(&self) -> Resource {
        let id = self.uid.clone().or_else(|| self.name.clone()).unwrap_or_default();
        let mut read = resource::read(self.kind.as_deref().unwrap_or_default(), id, &self.data());
        // `name` repeats the uid for many types.
        let own_name = || {
            self.name
                .clone()
                .filter(|name| !name.is_empty() && Some(name) != self.uid.as_ref())
        };
        read.name = read.name.take().or_else(own_name);
        read
    }

    fn credential(&self) -> Option<Credential> {
        let is_key = resource::kind(self.kind.as_deref()?) == "AWS::IAM::AccessKey";
        is_key.then(|| credentials::with_key(credentials::read(&self.data()), self.uid.as_deref()))
    }
}

/// The texts of an object; none of what is no object.
fn object(raw: &RawValue) -> lenient::Object {
    serde_json::from_str(raw.get()).unwrap_or_default()
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
    uid_alt: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    title: Option<String>,
    #[serde(default, deserialize_with = "lenient::list")]
    types: Vec<lenient::Scalar>,
    #[serde(default)]
    analytic: lenient::Object,
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
    data: Option<Box<RawValue>>,
    #[serde(default)]
    src_endpoint: Option<Endpoint>,
    #[serde(default)]
    connection_info: Option<Connection>,
    #[serde(default)]
    api: Option<serde::de::IgnoredAny>,
    #[serde(default, deserialize_with = "lenient::part")]
    actor: Option<Actor>,
}

#[derive(Deserialize)]
struct Actor {
    #[serde(default)]
    user: lenient::Object,
    #[serde(default)]
    process: Option<serde::de::IgnoredAny>,
}

impl Actor {
    /// A process runs as a user of the operating system, who has no credentials of AWS.
    fn credential(&self) -> Option<Credential> {
        self.process.is_none().then(|| credentials::read(&self.user))
    }
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
    let mut raw: Raw = serde_json::from_str(finding).map_err(|error| FindingError::malformed(at, &error))?;
    let info = raw
        .finding_info
        .take()
        .ok_or_else(|| FindingError::Missing(format!("{at}.finding_info")))?;
    let metadata = raw
        .metadata
        .take()
        .ok_or_else(|| FindingError::Missing(format!("{at}.metadata")))?;
    let cloud = raw.cloud.take();
    let cloud = cloud.ok_or_else(|| FindingError::Missing(format!("{at}.cloud")))?;
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

    let types: Vec<&str> = info.types.iter().filter_map(|kind| kind.0.as_deref()).collect();
    let first = types.iter().find(|kind| kind.contains(':')).or_else(|| types.first());
    let mut kind = first.map(|kind| canonical_kind(kind)).unwrap_or_default();
    // OCSF: 1 new, 2 in progress, 3 suppressed, 4 resolved, 5 archived, 6 deleted.
    let status = raw.status_id.as_deref().unwrap_or_default();
    let archived = matches!(status, "5" | "6");
    let mut owner = None;
    let mut original = None;
    let other = || Detail::Other(format!("Security Hub product {product}"));
    let detail = if product.ends_with("/aws/guardduty") {
        Detail::Threat(threat(&raw.evidences, &raw.resources, &kind, at)?)
    } else if product.ends_with("/aws/securityhub") {
        let checked = raw.compliance.as_ref();
        match checked.and_then(|checked| Some((checked, control(checked.control.as_deref(), None, None)?))) {
            Some((checked, control)) => {
                kind.clone_from(&control);
                Detail::Compliance(Compliance {
                    rule: Rule::Control(control),
                    verdict: checked.verdict(),
                    resources: raw.resources.iter().map(RawResource::read).collect(),
                })
            }
            None => other(),
        }
    } else if product.ends_with("/aws/access-analyzer") {
        let analytic = [info.analytic.get(&["name"]), info.analytic.get(&["uid"])];
        let mut marks = types
            .iter()
            .copied()
            .chain(analytic.iter().flatten().map(String::as_str));
        let title = info.title.as_deref();
        let what = marks.find_map(access_analyzer::access);
        // Activity 3 closes a finding.
        let active = !archived && status != "4" && raw.activity_id.as_deref() != Some("3");
        owner = raw.resources.first().and_then(RawResource::account).map(str::to_owned);
        let own = own_id(&raw, &finding_uid, info.uid_alt.as_deref());
        if let Some((analyzer, id)) = &own {
            original = Some(access_analyzer::finding_id(Some(analyzer), id));
        }
        match (
            what.or_else(|| access_analyzer::titled(title?)),
            raw.resources.as_slice(),
        ) {
            (Some(Access::Unused(unused)), [resource, ..]) => {
                kind.clone_from(&unused);
                let (analyzer, finding) = own.unzip();
                Detail::UnusedAccess(UnusedAccess {
                    kind: unused,
                    resource: resource.read(),
                    active,
                    analyzer,
                    finding: finding.unwrap_or_else(|| finding_uid.clone()),
                })
            }
            (Some(Access::External), resources) => {
                EXTERNAL.clone_into(&mut kind);
                let public = access_analyzer::is_public(types.iter().copied(), title);
                external(&raw, resources, public, active)
                    .unwrap_or_else(|| Detail::Other("external access that does not say whose, or to what".to_owned()))
            }
            (Some(Access::Internal), _) => access_analyzer::internal_access(),
            (Some(Access::Unused(_)) | None, _) => other(),
        }
    } else {
        other()
    };
    Ok(Finding {
        archived,
        sample: info.title.is_some_and(|title| title.starts_with("[SAMPLE]")),
        answered: matches!(status, "2" | "4"),
        asked: None,
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
                owner.or_else(|| cloud.account?.uid),
                &format!("{at}.cloud.account.uid"),
            )?),
            region: Region::new(cloud.region.unwrap_or_default()),
            observed_at: seen.unwrap_or(updated),
            channel: Channel::SecurityHubV2 {
                metadata_uid: metadata.uid.unwrap_or_else(|| finding_uid.clone()),
            },
            id: original.unwrap_or_else(|| FindingId::new(finding_uid)),
        },
        detail,
    })
}

/// The analyzer, and its own id of a finding, which the uid ends with, or which is stated beside it.
fn own_id(raw: &Raw, uid: &str, alternative: Option<&str>) -> Option<(String, String)> {
    let (analyzer, rest) = access_analyzer::split_analyzer(uid)?;
    let stated = raw.places().find_map(|place| object(place).get(&["findingid"]));
    let ids = [Some(rest), stated.as_deref(), alternative];
    let id = ids.into_iter().flatten().find(|id| access_analyzer::is_own_id(id))?;
    Some((analyzer, id.to_owned()))
}

/// Access from outside, if it is certain to what and to whom. How OCSF says to whom is documented nowhere.
fn external(raw: &Raw, resources: &[RawResource], public: bool, active: bool) -> Option<Detail> {
    let [resource] = resources else { return None };
    let each = raw.places().map(grantees_in).collect::<Option<Vec<_>>>()?;
    let mut grantees: Vec<Grantee> = each.into_iter().flatten().collect();
    let mut known = BTreeSet::new();
    grantees.retain(|grantee| known.insert(grantee.clone()));
    let is_certain = resource.uid.is_some() && (public || !grantees.is_empty());
    is_certain.then(|| {
        Detail::ExternalAccess(ExternalAccess {
            resource: resource.read(),
            grantees,
            public,
            active,
            sources: Vec::new(),
        })
    })
}

/// Those who are named as external principals, in the spelling of ASFF or of the analyzer; nobody else that is named there
/// is one. `None` if there is one who cannot be read.
fn grantees_in(place: &RawValue) -> Option<Vec<Grantee>> {
    let fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(place.get()).unwrap_or_default();
    let nested = ["Other", "other"].iter().find_map(|name| fields.get(*name));
    let mut grantees = Vec::new();
    for texts in nested.into_iter().map(|raw| object(raw)).chain([object(place)]) {
        if let Some(id) = texts.get(&["external principal", "externalprincipal"]) {
            let kind = texts.get(&["external principal type", "externalprincipaltype"]);
            grantees.push(access_analyzer::grantee(kind.as_deref(), &id)?);
        }
    }
    if let Some(principal) = fields.get("principal") {
        grantees.extend(access_analyzer::grantees(&serde_json::from_str(principal.get()).ok()?)?);
    }
    Some(grantees)
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
fn threat(evidences: &[RawEvidence], resources: &[RawResource], kind: &str, at: &str) -> Result<Threat, FindingError> {
    let mut direction = Direction::Unknown;
    let mut by_api = false;
    let mut sources = Vec::new();
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
            sources.push((index, text));
        }
    }
    let remotes = sources
        .into_iter()
        .filter_map(|(index, text)| {
            parse_address(text, &format!("{at}.evidences[{index}].src_endpoint.ip")).transpose()
        })
        .collect::<Result<Vec<_>, _>>();
    let keys = resources.iter().filter_map(RawResource::credential);
    let actors = evidences
        .iter()
        .filter_map(|evidence| evidence.actor.as_ref()?.credential());
    Ok(Threat {
        role: (direction == Direction::Inbound).then_some(Role::Target),
        action: remotes.map(|remotes| action(remotes, kind, direction, by_api)),
        credentials: credentials::distinct(keys.chain(actors), at)?,
    })
}

fn action(remotes: Vec<IpAddr>, kind: &str, direction: Direction, by_api: bool) -> Action {
    let family = kind.split_once('/').map_or("", |(_, family)| family);
    let resource = kind
        .split_once(':')
        .and_then(|(_, rest)| rest.split('/').next())
        .unwrap_or_default();
    match resource {
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
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn finding(product: &str, rest: Value) -> Value {
        let mut finding = json!({
            "activity_id": 1,
            "class_uid": 2003,
            "cloud": {"account": {"uid": "111122223333"}, "region": "us-east-1"},
            "finding_info": {
                "uid": "arn:aws:securityhub:us-east-1:111122223333:security-control/IAM.3/finding/0b1c2d3e",
                "title": "IAM users' access keys should be rotated every 90 days or less",
                "types": ["Posture Management"],
                "analytic": {"type": "Rule", "type_id": 1},
                "created_time": 1_795_165_511_090_i64,
                "modified_time": 1_795_166_431_412_i64
            },
            "metadata": {
                "product": {"uid": format!("arn:aws:securityhub:us-east-1::productv2/aws/{product}")},
                "uid": "7c0de8a1"
            },
            "severity": "Medium",
            "severity_id": 3,
            "status": "New",
            "status_id": 1
        });
        let Value::Object(rest) = rest else { panic!("no object") };
        for (key, value) in rest {
            finding[key] = value;
        }
        finding
    }

    fn read(finding: &Value) -> Finding {
        from_ocsf(&finding.to_string(), "detail.findings[0]").unwrap()
    }

    #[test]
    fn a_control_finding() {
        let finding = read(&finding(
            "securityhub",
            json!({
                "compliance": {"control": "IAM.3", "status": "Fail", "status_id": 3},
                "resources": [{
                    "type": "AWS::IAM::User",
                    "uid": "arn:aws:iam::111122223333:user/checkout-deploy",
                    "name": "checkout-deploy",
                    "data": {"UserId": "AIDA2EXAMPLECHECKOUT0"}
                }, {
                    "type": "AwsS3Bucket",
                    "uid": "arn:aws:s3:::securecart-orders-111122223333",
                    "data": {"name": "securecart-orders-111122223333"}
                }]
            }),
        ));
        assert_eq!(finding.evidence.kind, "IAM.3");
        let Detail::Compliance(compliance) = finding.detail else {
            panic!("no compliance")
        };
        assert_eq!(compliance.rule, Rule::Control("IAM.3".to_owned()));
        assert_eq!(compliance.verdict, Verdict::Failed);
        assert_eq!(
            compliance.resources,
            [
                Resource {
                    kind: "AWS::IAM::User".to_owned(),
                    id: "arn:aws:iam::111122223333:user/checkout-deploy".to_owned(),
                    name: Some("checkout-deploy".to_owned()),
                    unique_id: Some("AIDA2EXAMPLECHECKOUT0".to_owned()),
                },
                Resource {
                    kind: "AWS::S3::Bucket".to_owned(),
                    id: "arn:aws:s3:::securecart-orders-111122223333".to_owned(),
                    name: Some("securecart-orders-111122223333".to_owned()),
                    unique_id: None,
                }
            ]
        );
    }

    #[test]
    fn the_verdict_by_number_or_by_word() {
        for (compliance, expected) in [
            (json!({"control": "S3.5", "status_id": 1}), Verdict::Passed),
            (json!({"control": "S3.5", "status_id": "3"}), Verdict::Failed),
            (json!({"control": "S3.5", "status": "Fail"}), Verdict::Failed),
            (
                json!({"control": "S3.5", "status": "Warning", "status_id": 2}),
                Verdict::Unknown("Warning".to_owned()),
            ),
            (
                json!({"control": "S3.5"}),
                Verdict::Unknown("no compliance.status".to_owned()),
            ),
        ] {
            match read(&finding("securityhub", json!({"compliance": compliance}))).detail {
                Detail::Compliance(read) => assert_eq!(read.verdict, expected),
                other => panic!("{other:?}"),
            }
        }
        let without_control = read(&finding("securityhub", json!({"compliance": {"status_id": 3}})));
        assert!(matches!(without_control.detail, Detail::Other(_)));
        let of_another = read(&finding(
            "inspector",
            json!({"compliance": {"control": "IAM.3", "status_id": 3}}),
        ));
        assert!(matches!(of_another.detail, Detail::Other(_)));
    }

    #[test]
    fn credentials_of_a_threat() {
        let mut finding = finding(
            "guardduty",
            json!({
                "evidences": [
                    {"actor": {"user": {"uid": "0", "name": "root"}, "process": {"name": "curl"}}},
                    {"api": {"operation": "ListBuckets"}, "src_endpoint": {"ip": "198.51.100.256"}, "actor": {"user": {
                        "name": "checkout-deploy", "uid": "AIDA2EXAMPLECHECKOUT0", "type": "IAMUser",
                        "credential_uid": "AKIAEXAMPLECHECKOUT0"}}}
                ],
                "resources": [
                    {"type": "AWS::IAM::AccessKey", "uid": "AKIAEXAMPLECHECKOUT0", "data": {"user_name": "checkout-deploy"}},
                    {"type": "AwsIamAccessKey", "uid": "ASIAEXAMPLESESSION00", "data": {"userType": "AssumedRole"}}
                ]
            }),
        );
        finding["finding_info"]["types"] = json!(["Threats", "UnauthorizedAccess:IAMUser/MaliciousIPCaller"]);
        let Detail::Threat(threat) = read(&finding).detail else {
            panic!("no threat")
        };
        assert_eq!(
            threat.credentials,
            [
                Credential {
                    key: Some("AKIAEXAMPLECHECKOUT0".to_owned()),
                    principal: Some("AIDA2EXAMPLECHECKOUT0".to_owned()),
                    name: Some("checkout-deploy".to_owned()),
                    kind: Some("IAMUser".to_owned()),
                },
                Credential {
                    key: Some("ASIAEXAMPLESESSION00".to_owned()),
                    kind: Some("AssumedRole".to_owned()),
                    ..Credential::default()
                }
            ]
        );
        assert_eq!(
            threat.action.unwrap_err().to_string(),
            "detail.findings[0].evidences[1].src_endpoint.ip: \"198.51.100.256\" is not an IP address"
        );
    }

    #[test]
    fn unused_access() {
        let user = json!([{"type": "AWS::IAM::User", "uid": "arn:aws:iam::111122223333:user/reporting"}]);
        let mut finding = finding("access-analyzer", json!({"resources": user}));
        finding["finding_info"]["types"] =
            json!(["Software and Configuration Checks/AWS Security Best Practices/Unused IAM User Access Key"]);
        let is_active = |finding: &Value| match read(finding).detail {
            Detail::UnusedAccess(unused) => {
                assert_eq!(unused.kind, "UnusedIAMUserAccessKey");
                unused.active
            }
            other => panic!("{other:?}"),
        };
        assert!(is_active(&finding));
        finding["status_id"] = 4.into();
        assert!(!is_active(&finding));
        finding["resources"] = json!([]);
        assert!(matches!(read(&finding).detail, Detail::Other(_)));
    }

    const ANALYZER: &str = "arn:aws:access-analyzer:us-east-1:111122223333:analyzer/securecart-unused";
    const ROLE: &str = "arn:aws:iam::444455556666:role/securecart-orders-api";

    #[test]
    fn the_analyzer_and_its_own_id_of_the_finding() {
        let id = "11112222-3333-4444-5555-666677778888";
        let grouped = format!("{ANALYZER}/{ROLE}/UnusedPermissions");
        for (uid, rest, expected) in [
            (format!("{ANALYZER}/{id}"), json!({}), true),
            (grouped.clone(), json!({"vendor_attributes": {"finding_id": id}}), true),
            (grouped.clone(), json!({"unmapped": {"findingId": id}}), true),
            (grouped.clone(), json!({"uid_alt": id}), true),
            (grouped.clone(), json!({"uid_alt": "arn:aws:x"}), false),
            (grouped, json!({}), false),
            ("7c0de8a1".to_owned(), json!({"uid_alt": id}), false),
        ] {
            let resources = json!([{"type": "AWS::IAM::Role", "uid": ROLE}]);
            let mut finding = finding("access-analyzer", json!({"resources": resources}));
            finding["finding_info"]["uid"] = uid.clone().into();
            finding["finding_info"]["uid_alt"] = rest["uid_alt"].clone();
            finding["finding_info"]["title"] = format!("AwsIamRole/{ROLE}/ contains unused permissions").into();
            finding["vendor_attributes"] = rest["vendor_attributes"].clone();
            finding["unmapped"] = rest["unmapped"].clone();
            let read = read(&finding);
            assert_eq!(read.evidence.kind, "UnusedPermission");
            assert_eq!(read.evidence.account.as_str(), "444455556666");
            let Detail::UnusedAccess(unused) = read.detail else {
                panic!("no unused access")
            };
            if expected {
                assert_eq!(
                    (unused.analyzer.as_deref(), unused.finding.as_str()),
                    (Some(ANALYZER), id)
                );
                assert_eq!(read.evidence.id.as_str(), format!("{ANALYZER}/{id}"));
            } else {
                assert_eq!((unused.analyzer, unused.finding), (None, uid.clone()));
                assert_eq!(read.evidence.id.as_str(), uid);
            }
        }
    }

    fn external(rest: Value) -> Value {
        let resources = json!([{
            "type": "AwsS3Bucket",
            "uid": "arn:aws:s3:::securecart-exports-444455556666",
            "owner": {"account": {"uid": "444455556666"}},
            "data": {"name": "securecart-exports-444455556666"}
        }]);
        let mut finding = finding("access-analyzer", json!({"resources": resources}));
        finding["finding_info"]["types"] =
            json!(["Software and Configuration Checks/AWS Security Best Practices/External Access Granted"]);
        let Value::Object(rest) = rest else { panic!("no object") };
        for (key, value) in rest {
            finding[key] = value;
        }
        finding
    }

    #[test]
    fn external_access_that_says_to_whom() {
        let asff = json!({"External Principal Type": "AWS", "External Principal": "999988887777"});
        for (rest, count) in [
            (json!({"vendor_attributes": asff}), 1),
            (json!({"unmapped": {"external_principal": "999988887777"}}), 1),
            (
                json!({"evidences": [{"data": {"Other": asff}}, {"data": {"other": asff}}]}),
                1,
            ),
            (
                json!({"evidences": [{"data": {"principal": {"AWS": "999988887777"}}}, {"data": asff}]}),
                1,
            ),
            (
                json!({"evidences": [{"data": asff}, {"data": {"principal": {"Federated": "accounts.google.com"}}}]}),
                2,
            ),
        ] {
            let read = read(&external(rest.clone()));
            assert_eq!(read.evidence.kind, "ExternalAccess");
            assert_eq!(read.evidence.account.as_str(), "444455556666");
            let Detail::ExternalAccess(access) = read.detail else {
                panic!("no external access: {rest}")
            };
            let first = access.grantees.first().unwrap();
            assert_eq!((first.kind.as_str(), first.id.as_str()), ("AWS", "999988887777"));
            assert_eq!(access.grantees.len(), count, "{rest}");
            assert_eq!(access.resource.kind, "AWS::S3::Bucket");
            assert!(access.active && !access.public);
        }
        let mut within = external(json!({"activity_id": 3}));
        within["resources"][0]["data"]["Other"] = asff;
        match read(&within).detail {
            Detail::ExternalAccess(access) => assert_eq!((access.grantees.len(), access.active), (1, false)),
            other => panic!("{other:?}"),
        }
        let public = json!({"finding_info": {
            "uid": "u", "modified_time": 1_795_166_431_412_i64, "types": ["Effects/Data Exposure/External Access Granted"]
        }});
        match read(&external(public)).detail {
            Detail::ExternalAccess(access) => assert!(access.public && access.grantees.is_empty()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn external_access_that_is_not_certain_is_none() {
        let asff = json!({"External Principal Type": "AWS", "External Principal": "999988887777"});
        for rest in [
            json!({}),
            json!({"evidences": [{"actor": {"user": {"uid": "999988887777", "type": "AWS"}}}]}),
            json!({"vendor_attributes": {"External Principal": "somebody"}}),
            json!({"vendor_attributes": {"principal": {"uid": "999988887777"}}}),
            json!({"vendor_attributes": {"principal": "999988887777"}}),
            json!({"vendor_attributes": asff, "unmapped": {"principal": {"AWS": [7, {}]}}}),
            json!({"vendor_attributes": asff, "resources": []}),
            json!({"vendor_attributes": asff, "resources": 7}),
            json!({"vendor_attributes": asff, "resources": [{"type": "AwsS3Bucket", "name": "x"}]}),
            json!({"vendor_attributes": asff, "resources": [{"uid": "arn:aws:s3:::a"}, {"uid": "arn:aws:s3:::b"}]}),
            json!({"vendor_attributes": 7, "unmapped": [asff]}),
        ] {
            let read = read(&external(rest.clone()));
            assert!(matches!(read.detail, Detail::Other(_)), "{rest}: {:?}", read.detail);
            assert_eq!(read.evidence.kind, "ExternalAccess");
        }
        let mut internal = external(json!({"vendor_attributes": asff}));
        internal["finding_info"]["types"] = json!(["Internal Access"]);
        assert!(matches!(read(&internal).detail, Detail::Other(_)));
    }

    fn threat_of(kind: &str, evidences: Value) -> Threat {
        let mut finding = finding("guardduty", json!({ "evidences": evidences }));
        finding["finding_info"]["types"] = json!(["Threats", kind]);
        match read(&finding).detail {
            Detail::Threat(threat) => threat,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_action_by_its_type_and_its_evidences() {
        let from = json!([{"src_endpoint": {"ip": "198.51.100.23"}}]);
        let called = json!([{"src_endpoint": {"ip": "198.51.100.23"}, "api": {"operation": "ListBuckets"}}, {}]);
        let remotes = vec!["198.51.100.23".parse().unwrap()];
        let by_api = |remotes| Action::AwsApiCall {
            remotes,
            affiliated: false,
        };
        for (kind, evidences, expected) in [
            (
                "Recon:EC2/PortProbeUnprotectedPort",
                &from,
                Action::PortProbe {
                    remotes: remotes.clone(),
                },
            ),
            (
                "Discovery:Kubernetes/MaliciousIPCaller",
                &from,
                Action::KubernetesApiCall {
                    remotes: remotes.clone(),
                },
            ),
            (
                "CredentialAccess:RDS/MaliciousIPCaller",
                &from,
                Action::RdsLoginAttempt {
                    remotes: remotes.clone(),
                },
            ),
            (
                "UnauthorizedAccess:IAMUser/MaliciousIPCaller",
                &from,
                by_api(remotes.clone()),
            ),
            ("Discovery:S3/MaliciousIPCaller", &from, by_api(remotes.clone())),
            ("Impact:EC2/MaliciousIPCaller", &called, by_api(remotes.clone())),
            (
                "Impact:EC2/MaliciousIPCaller",
                &from,
                Action::NetworkConnection {
                    direction: Direction::Unknown,
                    remotes: remotes.clone(),
                },
            ),
            (
                "AttackSequence:IAM/CompromisedCredentials",
                &from,
                Action::Other("attack sequence in OCSF".to_owned()),
            ),
            (
                "Recon:EC2/PortProbeUnprotectedPort",
                &json!([]),
                Action::Other("none".to_owned()),
            ),
        ] {
            assert_eq!(threat_of(kind, evidences.clone()).action, Ok(expected), "{kind}");
        }
    }

    #[test]
    fn the_direction_by_number_or_by_word() {
        for (connection, expected) in [
            (json!({"direction_id": 1}), Some(Direction::Inbound)),
            (
                json!({"direction_id": "1", "direction": "Outbound"}),
                Some(Direction::Inbound),
            ),
            (json!({"direction": "Inbound"}), Some(Direction::Inbound)),
            (json!({"direction_id": 2, "direction": "Inbound"}), None),
            (json!({"direction_id": 99}), Some(Direction::Unknown)),
        ] {
            let evidences = json!([{"src_endpoint": {"ip": "198.51.100.23"}, "connection_info": connection}]);
            let threat = threat_of("UnauthorizedAccess:EC2/SSHBruteForce", evidences);
            let is_target = expected == Some(Direction::Inbound);
            assert_eq!(threat.role, is_target.then_some(Role::Target), "{connection}");
            // Whom we connect to is no attacker.
            match (threat.action.unwrap(), expected) {
                (Action::NetworkConnection { direction, remotes }, Some(expected)) => {
                    assert_eq!((direction, remotes.len()), (expected, 1));
                }
                (action, expected) => assert_eq!((action, expected), (Action::Other("none".to_owned()), None)),
            }
        }
    }

    #[test]
    fn a_verdict_that_disagrees_with_itself_is_the_number() {
        for (compliance, expected) in [
            (
                json!({"control": "S3.5", "status": "Pass", "status_id": 2}),
                Verdict::Unknown("Pass".to_owned()),
            ),
            (json!({"control": "S3.5", "status": "PASSED"}), Verdict::Passed),
        ] {
            match read(&finding("securityhub", json!({"compliance": compliance}))).detail {
                Detail::Compliance(read) => assert_eq!(read.verdict, expected),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn times_are_taken_from_where_they_stand() {
        let mut finding = finding(
            "securityhub",
            json!({"compliance": {"control": "IAM.3", "status_id": 3}}),
        );
        let info = &mut finding["finding_info"];
        info["last_seen_time_dt"] = "2026-11-20T09:17:45Z".into();
        let seen = read(&finding).evidence;
        assert_eq!(seen.observed_at, parse_time("2026-11-20T09:17:45Z", "x").unwrap());
        assert_eq!(seen.version.as_str(), "2026-11-20T09:20:31.412Z");
    }

    #[test]
    fn suppressed_is_neither_answered_nor_archived() {
        for (status, expected) in [
            (1, [false; 3]),
            (3, [true, false, false]),
            (4, [false, true, false]),
            (5, [false, false, true]),
        ] {
            let finding = read(&finding("securityhub", json!({ "status_id": status })));
            assert_eq!(
                [finding.suppressed, finding.answered, finding.archived],
                expected,
                "{status}"
            );
        }
    }

    #[test]
    fn a_name_that_is_only_the_uid_is_none() {
        for (name, expected) in [("", None), ("arn:aws:s3:::orders", None), ("orders", Some("orders"))] {
            let resources = json!([{"type": "AWS::Other::Thing", "uid": "arn:aws:s3:::orders", "name": name}]);
            let compliance = json!({"control": "S3.5", "status_id": 3});
            match read(&finding(
                "securityhub",
                json!({ "compliance": compliance, "resources": resources }),
            ))
            .detail
            {
                Detail::Compliance(read) => assert_eq!(read.resources[0].name.as_deref(), expected),
                other => panic!("{other:?}"),
            }
        }
    }
}
