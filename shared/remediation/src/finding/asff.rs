//! The Security Hub finding format (ASFF). For GuardDuty's findings `ProductFields` repeats the original as
//! `aws/guardduty/service/…` paths; the `Action` block has the same, for fewer kinds and IPv4 only. The credentials are
//! among the `Resources`.

use std::{collections::BTreeMap, net::IpAddr};

use serde::Deserialize;

use super::{
    Action, Asked, Channel, Compliance, Credential, Detail, Evidence, ExternalAccess, Finding, FindingError, Grantee,
    Resource, Rule, Severity, Threat, UnusedAccess, Verdict,
    access_analyzer::{self, Access, EXTERNAL},
    canonical_kind,
    control::control,
    credentials,
    guardduty::{RawAction, read_direction, read_role, says_sample},
    lenient, parse_address, parse_time, read_time, required, resource,
};
use crate::ids::{AccountId, FindingId, FindingVersion, Region};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Raw {
    #[serde(default, deserialize_with = "lenient::text")]
    id: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    product_arn: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    generator_id: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    aws_account_id: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    region: Option<String>,
    #[serde(default, deserialize_with = "lenient::list")]
    types: Vec<lenient::Scalar>,
    #[serde(default, deserialize_with = "lenient::text")]
    updated_at: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    last_observed_at: Option<String>,
    #[serde(default)]
    severity: Option<RawSeverity>,
    #[serde(default, deserialize_with = "lenient::text")]
    title: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    source_url: Option<String>,
    #[serde(default)]
    product_fields: Option<BTreeMap<String, lenient::Scalar>>,
    #[serde(default)]
    workflow: Option<Workflow>,
    #[serde(default, deserialize_with = "lenient::text")]
    record_state: Option<String>,
    #[serde(default)]
    action: Option<RawAction>,
    #[serde(default, deserialize_with = "lenient::part")]
    compliance: Option<RawCompliance>,
    #[serde(default, deserialize_with = "lenient::parts")]
    resources: Vec<RawResource>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
struct RawCompliance {
    #[serde(default, deserialize_with = "lenient::text")]
    status: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    security_control_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawResource {
    #[serde(default, rename = "Type", deserialize_with = "lenient::text")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    id: Option<String>,
    /// By the name of the type.
    #[serde(default, deserialize_with = "lenient::part")]
    details: Option<BTreeMap<String, lenient::Object>>,
}

impl RawResource {
    fn details(&self) -> Option<&lenient::Object> {
        self.details.as_ref()?.get(self.kind.as_deref()?)
    }

    /// What a product states that has no field for it.
    fn other(&self, names: &[&str]) -> Option<String> {
        self.details.as_ref()?.get("Other")?.get(names)
    }

    fn read(&self) -> Resource {
        let nothing = lenient::Object::default();
        resource::read(
            self.kind.as_deref().unwrap_or_default(),
            self.id.clone().unwrap_or_default(),
            self.details().unwrap_or(&nothing),
        )
    }

    fn credential(&self) -> Option<Credential> {
        (self.kind.as_deref() == Some("AwsIamAccessKey")).then(|| {
            let found = self.details().map(credentials::read).unwrap_or_default();
            credentials::with_key(found, self.id.as_deref())
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawSeverity {
    #[serde(default, deserialize_with = "lenient::text")]
    label: Option<String>,
    /// 0 to 100.
    #[serde(default, deserialize_with = "lenient::number")]
    normalized: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Workflow {
    #[serde(default, deserialize_with = "lenient::text")]
    status: Option<String>,
}

/// Reads one entry of `detail.findings`. `asked`: sent by a custom action, whatever its workflow says.
pub(crate) fn from_asff(finding: &str, at: &str, asked: Option<Asked>) -> Result<Finding, FindingError> {
    let raw: Raw = serde_json::from_str(finding).map_err(|error| FindingError::malformed(at, &error))?;
    let id = required(raw.id, &format!("{at}.Id"))?;
    let product_arn = required(raw.product_arn, &format!("{at}.ProductArn"))?;
    let product = product_arn.split_once(":product/").map_or("", |(_, product)| product);
    let fields = Fields(raw.product_fields.unwrap_or_default());
    let updated_at = required(raw.updated_at, &format!("{at}.UpdatedAt"))?;
    let updated = parse_time(&updated_at, &format!("{at}.UpdatedAt"))?;
    let last_seen = fields.get("eventLastSeen").or(raw.last_observed_at.as_deref());
    let observed_at = last_seen.and_then(read_time).unwrap_or(updated);
    let label = raw
        .severity
        .as_ref()
        .and_then(|s| s.label.as_deref())
        .and_then(Severity::from_label);
    let normalized = raw
        .severity
        .as_ref()
        .and_then(|s| s.normalized)
        .map(|n| Severity::from_number(n / 10.0));
    let archived = raw.record_state.as_deref() == Some("ARCHIVED");
    let types: Vec<&str> = raw.types.iter().filter_map(|kind| kind.0.as_deref()).collect();
    let own_id = own_id(&fields, raw.source_url.as_deref());
    let mut owner = None;
    let detail = match product.to_ascii_lowercase().as_str() {
        "aws/guardduty" => Detail::Threat(Threat {
            role: fields.get("resourceRole").and_then(read_role),
            action: fields.action(raw.action, at),
            credentials: credentials::distinct(raw.resources.iter().filter_map(RawResource::credential), at)?,
        }),
        "aws/securityhub" => compliance(
            &raw.compliance.unwrap_or_default(),
            raw.generator_id.as_deref(),
            &fields,
            &raw.resources,
        ),
        "aws/access-analyzer" => {
            owner = owner_of(&fields, raw.resources.first());
            let what = accessed(&fields, &types, raw.title.as_deref(), &id);
            match (what, raw.resources.first()) {
                (Some(Access::Unused(kind)), Some(resource)) => {
                    let (analyzer, finding) = access_analyzer::split_analyzer(&id)
                        .and_then(|(analyzer, _)| Some((analyzer, own_id.clone()?)))
                        .unzip();
                    Detail::UnusedAccess(UnusedAccess {
                        kind,
                        resource: resource.read(),
                        active: !archived,
                        analyzer,
                        finding: finding.unwrap_or_else(|| id.clone()),
                    })
                }
                (Some(Access::External), Some(resource)) => Detail::ExternalAccess(ExternalAccess {
                    grantees: grantee(resource).into_iter().collect(),
                    public: access_analyzer::is_public(types.iter().copied(), raw.title.as_deref()),
                    active: !archived,
                    sources: Vec::new(),
                    resource: resource.read(),
                }),
                (Some(Access::Unused(_) | Access::External), None) => {
                    return Err(FindingError::Missing(format!("{at}.Resources")));
                }
                (Some(Access::Internal), _) => access_analyzer::internal_access(),
                (None, _) => Detail::Other(format!("Security Hub product {product}")),
            }
        }
        _ => Detail::Other(format!("Security Hub product {product}")),
    };
    let kind = match &detail {
        Detail::Compliance(Compliance {
            rule: Rule::Control(name) | Rule::Config(name),
            ..
        }) => name.clone(),
        Detail::UnusedAccess(unused) => unused.kind.clone(),
        Detail::ExternalAccess(_) => EXTERNAL.to_owned(),
        _ => types.first().map(|kind| canonical_kind(kind)).unwrap_or_default(),
    };
    let workflow = raw.workflow.as_ref().and_then(|workflow| workflow.status.as_deref());
    Ok(Finding {
        archived: archived || fields.get("archived") == Some("true"),
        sample: raw.title.is_some_and(|title| title.starts_with("[SAMPLE]")) || fields.sample(),
        answered: asked.is_none() && matches!(workflow, Some("NOTIFIED" | "RESOLVED")),
        suppressed: asked.is_none() && workflow == Some("SUPPRESSED"),
        asked,
        evidence: Evidence {
            id: original_id(own_id.as_deref(), &id).unwrap_or_else(|| FindingId::new(id.clone())),
            version: FindingVersion::new(updated_at),
            kind,
            severity: label.or(normalized).unwrap_or(Severity::Low),
            account: AccountId::new(required(owner.or(raw.aws_account_id), &format!("{at}.AwsAccountId"))?),
            region: Region::new(raw.region.unwrap_or_else(|| region_of(&product_arn))),
            observed_at,
            channel: Channel::SecurityHub {
                finding: id,
                product_arn,
            },
        },
        detail,
    })
}

fn region_of(arn: &str) -> String {
    arn.split(':').nth(3).unwrap_or_default().to_owned()
}

/// The rule by its control, if it can be told which.
fn compliance(
    compliance: &RawCompliance,
    generator: Option<&str>,
    fields: &Fields,
    resources: &[RawResource],
) -> Detail {
    let arn = fields.product("StandardsControlArn");
    match control(compliance.security_control_id.as_deref(), generator, arn) {
        Some(control) => Detail::Compliance(Compliance {
            rule: Rule::Control(control),
            verdict: verdict(compliance.status.as_deref()),
            resources: resources.iter().map(RawResource::read).collect(),
        }),
        None => Detail::Other(format!(
            "Security Hub, no control that is known: {}",
            generator.unwrap_or("no GeneratorId")
        )),
    }
}

fn verdict(status: Option<&str>) -> Verdict {
    match status {
        Some("FAILED") => Verdict::Failed,
        Some("PASSED") => Verdict::Passed,
        other => Verdict::Unknown(other.unwrap_or("no Compliance.Status").to_owned()),
    }
}

/// What a finding of Access Analyzer is about. The id of one of unused access ends with its kind too, but the id of any
/// other ends with a name that somebody has chosen, so it is only asked when nothing else speaks.
fn accessed(fields: &Fields, types: &[&str], title: Option<&str>, id: &str) -> Option<Access> {
    match (fields.product("findingType"), types) {
        (Some(kind), _) => access_analyzer::access(kind),
        (None, []) => match title.and_then(access_analyzer::titled) {
            None => access_analyzer::unused_kind(id.rsplit('/').next()?).map(Access::Unused),
            titled => titled,
        },
        (None, types) => types.iter().find_map(|kind| access_analyzer::access(kind)),
    }
}

/// To whom access is granted: a finding names one, however many there are.
fn grantee(resource: &RawResource) -> Option<Grantee> {
    let kind = resource.other(&["external principal type"]);
    access_analyzer::grantee(kind.as_deref(), &resource.other(&["external principal"])?)
}

/// The account of the resource. An organisation's analyzer reports in the administrator's.
fn owner_of(fields: &Fields, resource: Option<&RawResource>) -> Option<String> {
    let arn = resource.and_then(|resource| resource.id.as_deref());
    let stated = ["resourceOwnerAccount", "ResourceOwnerAccount"];
    let stated = stated.iter().find_map(|name| fields.product(name));
    arn.and_then(access_analyzer::account_of).or(stated).map(str::to_owned)
}

/// Access Analyzer's own id of a finding: stated for unused access, and for external access at the end of the link to it.
fn own_id(fields: &Fields, url: Option<&str>) -> Option<String> {
    let linked = || {
        let (_, id) = url?.split_once("#/findings/details/")?;
        Some(id.split(['?', '&']).next().unwrap_or(id))
    };
    let id = fields.product("findingId").or_else(linked)?;
    access_analyzer::is_own_id(id).then(|| id.to_owned())
}

/// The id as Access Analyzer's events have it: Security Hub puts the resource in its place.
fn original_id(own_id: Option<&str>, id: &str) -> Option<FindingId> {
    let (analyzer, _) = access_analyzer::split_analyzer(id).filter(|(_, rest)| rest.starts_with("arn:"))?;
    Some(access_analyzer::finding_id(Some(&analyzer), own_id?))
}

/// `ProductFields`, by their path below `aws/guardduty/service/`.
struct Fields(BTreeMap<String, lenient::Scalar>);

impl Fields {
    const PREFIX: &str = "aws/guardduty/service/";

    fn get(&self, path: &str) -> Option<&str> {
        self.product(&format!("{}{path}", Self::PREFIX))
    }

    /// By the full name.
    fn product(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .and_then(|value| value.0.as_deref())
            .filter(|v| !v.is_empty())
    }

    fn sample(&self) -> bool {
        self.get("additionalInfo/sample") == Some("true")
            || self.get("additionalInfo/value").is_some_and(says_sample)
            || self.get("additionalInfo").is_some_and(says_sample)
    }

    /// Every remote address below one action. Lists are numbered somewhere in the path, hence no exact match.
    fn remotes(&self, action: &str, at: &str) -> Result<Vec<IpAddr>, FindingError> {
        let prefix = format!("{}action/{action}/", Self::PREFIX);
        let mut remotes = Vec::new();
        for (path, value) in self
            .0
            .range(prefix.clone()..)
            .take_while(|(path, _)| path.starts_with(&prefix))
        {
            let is_remote =
                path.contains("remoteIpDetails") && (path.ends_with("ipAddressV4") || path.ends_with("ipAddressV6"));
            if let (true, Some(text)) = (is_remote, &value.0) {
                remotes.extend(parse_address(text, &format!("{at}.ProductFields[{path:?}]"))?);
            }
        }
        Ok(remotes)
    }

    fn action(&self, block: Option<RawAction>, at: &str) -> Result<Action, FindingError> {
        let from_fields = match self.get("action/actionType") {
            Some("NETWORK_CONNECTION") => Action::NetworkConnection {
                direction: read_direction(self.get("action/networkConnectionAction/connectionDirection")),
                remotes: self.remotes("networkConnectionAction", at)?,
            },
            Some("PORT_PROBE") => Action::PortProbe {
                remotes: self.remotes("portProbeAction", at)?,
            },
            Some("AWS_API_CALL") => Action::AwsApiCall {
                remotes: self.remotes("awsApiCallAction", at)?,
                affiliated: self.get("action/awsApiCallAction/remoteAccountDetails/affiliated") == Some("true"),
            },
            Some("KUBERNETES_API_CALL") => Action::KubernetesApiCall {
                remotes: self.remotes("kubernetesApiCallAction", at)?,
            },
            Some("RDS_LOGIN_ATTEMPT") => Action::RdsLoginAttempt {
                remotes: self.remotes("rdsLoginAttemptAction", at)?,
            },
            Some(other) => Action::Other(other.to_owned()),
            None => Action::Other("none".to_owned()),
        };
        match (from_fields, block) {
            (Action::Other(_), Some(block)) => block.read(&format!("{at}.Action")),
            (action, _) => Ok(action),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const USER: &str = "arn:aws:iam::111122223333:user/deploy/checkout-deploy";

    /// A control finding as Security Hub imports it when consolidated control findings are on.
    fn control_finding() -> Value {
        json!({
            "SchemaVersion": "2018-10-08",
            "Id": "arn:aws:securityhub:us-east-1:111122223333:security-control/IAM.3/finding/0b1c2d3e-0000-4000-8000-000000000001",
            "ProductArn": "arn:aws:securityhub:us-east-1::product/aws/securityhub",
            "Region": "us-east-1",
            "GeneratorId": "security-control/IAM.3",
            "AwsAccountId": "111122223333",
            "Types": ["Software and Configuration Checks/Industry and Regulatory Standards"],
            "LastObservedAt": "2026-11-20T09:17:45.000Z",
            "UpdatedAt": "2026-11-20T09:20:31.412Z",
            "Severity": {"Label": "MEDIUM", "Normalized": 40, "Original": "MEDIUM"},
            "Title": "IAM users' access keys should be rotated every 90 days or less",
            "ProductFields": {"RelatedAWSResources:0/name": "securityhub-access-keys-rotated-3dd4f050"},
            "Resources": [{
                "Type": "AwsIamUser",
                "Id": USER,
                "Details": {"AwsIamUser": {"UserName": "checkout-deploy", "UserId": "AIDA2EXAMPLECHECKOUT0", "Path": "/deploy/"}}
            }],
            "Compliance": {"Status": "FAILED", "SecurityControlId": "IAM.3"},
            "Workflow": {"Status": "NEW"},
            "RecordState": "ACTIVE"
        })
    }

    fn read(finding: &Value) -> Finding {
        from_asff(&finding.to_string(), "detail.findings[0]", None).unwrap()
    }

    fn compliance_of(finding: &Value) -> Compliance {
        match read(finding).detail {
            Detail::Compliance(compliance) => compliance,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_control_finding() {
        let finding = read(&control_finding());
        assert_eq!(finding.evidence.kind, "IAM.3");
        assert_eq!(finding.evidence.severity, Severity::Medium);
        assert_eq!(
            finding.detail,
            Detail::Compliance(Compliance {
                rule: Rule::Control("IAM.3".to_owned()),
                verdict: Verdict::Failed,
                resources: vec![Resource {
                    kind: "AWS::IAM::User".to_owned(),
                    id: USER.to_owned(),
                    name: Some("checkout-deploy".to_owned()),
                    unique_id: Some("AIDA2EXAMPLECHECKOUT0".to_owned()),
                }],
            })
        );
    }

    #[test]
    fn a_legacy_control_finding_without_details() {
        let mut finding = control_finding();
        finding["GeneratorId"] = "pci-dss/v/3.2.1/PCI.IAM.7".into();
        finding["Compliance"] = json!({"Status": "FAILED"});
        finding["Resources"] =
            json!([{"Type": "AwsIamUser", "Id": "arn:aws:iam::111122223333:user/AIDA2EXAMPLECHECKOUT0"}]);
        let compliance = compliance_of(&finding);
        assert_eq!(compliance.rule, Rule::Control("IAM.8".to_owned()));
        assert_eq!(
            (&compliance.resources[0].name, &compliance.resources[0].unique_id),
            (&None, &None)
        );
    }

    #[test]
    fn only_failed_and_passed_are_certain() {
        let unknown = |text: &str| Verdict::Unknown(text.to_owned());
        for (compliance, expected) in [
            (json!({"Status": "PASSED"}), Verdict::Passed),
            (json!({"Status": "WARNING"}), unknown("WARNING")),
            (json!({"Status": "NOT_AVAILABLE"}), unknown("NOT_AVAILABLE")),
            (json!(null), unknown("no Compliance.Status")),
        ] {
            let mut finding = control_finding();
            finding["Compliance"] = compliance;
            assert_eq!(compliance_of(&finding).verdict, expected);
        }
    }

    #[test]
    fn an_ambiguous_control_is_none() {
        let mut finding = control_finding();
        finding["Compliance"] = json!({"Status": "FAILED"});
        finding["GeneratorId"] = "arn:aws:securityhub:::ruleset/cis-aws-foundations-benchmark/v/1.2.0/rule/1.1".into();
        assert!(matches!(read(&finding).detail, Detail::Other(_)));
    }

    #[test]
    fn a_bucket() {
        let mut finding = control_finding();
        finding["Compliance"]["SecurityControlId"] = "S3.17".into();
        finding["Resources"] = json!([{
            "Type": "AwsS3Bucket",
            "Id": "arn:aws:s3:::securecart-orders-111122223333",
            "Details": {"AwsS3Bucket": {"Name": "securecart-orders-111122223333", "OwnerAccountId": "111122223333"}}
        }]);
        let compliance = compliance_of(&finding);
        assert_eq!(compliance.resources[0].kind, "AWS::S3::Bucket");
        assert_eq!(
            compliance.resources[0].name.as_deref(),
            Some("securecart-orders-111122223333")
        );
    }

    fn unused_finding() -> Value {
        let mut finding = control_finding();
        finding["ProductArn"] = "arn:aws:securityhub:us-east-1::product/aws/access-analyzer".into();
        finding["GeneratorId"] = "aws/access-analyzer".into();
        finding["Id"] =
            format!("arn:aws:access-analyzer:us-east-1:111122223333:analyzer/unused/{USER}/UnusedIAMUserAccessKeys")
                .into();
        finding["Types"] =
            json!(["Software and Configuration Checks/AWS Security Best Practices/Unused IAM User Access Key"]);
        finding["ProductFields"] = json!({
            "findingId": "11112222-3333-4444-5555-666677778888",
            "findingType": "UnusedIAMUserAccessKey",
            "resourceOwnerAccount": "111122223333"
        });
        finding
    }

    #[test]
    fn unused_access_by_any_of_its_marks() {
        let mut finding = unused_finding();
        let read_all = read(&finding);
        assert_eq!(
            read_all.evidence.id.as_str(),
            "arn:aws:access-analyzer:us-east-1:111122223333:analyzer/unused/11112222-3333-4444-5555-666677778888"
        );
        assert_eq!(read_all.evidence.kind, "UnusedIAMUserAccessKey");
        for mark in ["ProductFields", "Types", "Id"] {
            let Detail::UnusedAccess(unused) = read(&finding).detail else {
                panic!("by {mark}")
            };
            assert_eq!(unused.kind, "UnusedIAMUserAccessKey");
            assert_eq!(unused.resource.id, USER);
            assert!(unused.active);
            finding.as_object_mut().unwrap().remove(mark).unwrap();
            finding["Id"] = unused_finding()["Id"].clone();
        }
    }

    fn unused_of(finding: &Value) -> UnusedAccess {
        match read(finding).detail {
            Detail::UnusedAccess(unused) => unused,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_kind_of_unused_access() {
        for (written, kind) in [
            ("Unused Permission", "UnusedPermission"),
            ("Unused IAM Role", "UnusedIAMRole"),
            ("Unused IAM User Password", "UnusedIAMUserPassword"),
            ("Unused IAM User Access Key", "UnusedIAMUserAccessKey"),
        ] {
            let mut finding = unused_finding();
            finding["Types"] = json!([format!(
                "Software and Configuration Checks/AWS Security Best Practices/{written}"
            )]);
            finding["ProductFields"]["findingType"] = Value::Null;
            let unused = unused_of(&finding);
            assert_eq!(unused.kind, kind);
            assert_eq!(
                unused.analyzer.as_deref(),
                Some("arn:aws:access-analyzer:us-east-1:111122223333:analyzer/unused")
            );
            assert_eq!(unused.finding, "11112222-3333-4444-5555-666677778888");
            finding["Types"] = json!([]);
            finding["Id"] = "unknown".into();
            finding["Title"] = format!("AwsIamRole/{USER}/ contains {}s", written.to_lowercase()).into();
            assert_eq!(unused_of(&finding).kind, kind);
        }
    }

    #[test]
    fn an_analyzer_without_the_id_of_the_finding_says_nothing() {
        let mut finding = unused_finding();
        finding["ProductFields"]["findingId"] = Value::Null;
        let unused = unused_of(&finding);
        assert_eq!(unused.analyzer, None);
        assert_eq!(finding["Id"], unused.finding);
        assert_eq!(finding["Id"], read(&finding).evidence.id.as_str());
        finding["ProductFields"]["findingId"] = "11112222".into();
        finding["Id"] = "of-somebody-else".into();
        assert_eq!(
            (unused_of(&finding).analyzer, unused_of(&finding).finding.as_str()),
            (None, "of-somebody-else")
        );
    }

    #[test]
    fn the_account_is_the_resource_s() {
        let mut finding = unused_finding();
        finding["AwsAccountId"] = "999900001111".into();
        assert_eq!(read(&finding).evidence.account.as_str(), "111122223333");
        finding["Resources"] = json!([{"Type": "AwsS3Bucket", "Id": "arn:aws:s3:::securecart-exports"}]);
        finding["ProductFields"] = json!({"ResourceOwnerAccount": "222200001111"});
        assert_eq!(read(&finding).evidence.account.as_str(), "222200001111");
        finding["ProductFields"] = json!({});
        assert_eq!(read(&finding).evidence.account.as_str(), "999900001111");
    }

    const EXTERNAL_ID: &str =
        "arn:aws:access-analyzer:us-east-1:111122223333:analyzer/x/arn:aws:iam::111122223333:role/UnusedIAMRole";

    fn external_finding(other: Value) -> Value {
        let mut finding = unused_finding();
        finding["ProductFields"] = json!({"ResourceOwnerAccount": "111122223333"});
        finding["Types"] =
            json!(["Software and Configuration Checks/AWS Security Best Practices/External Access Granted"]);
        finding["Id"] = EXTERNAL_ID.into();
        finding["Title"] =
            "AwsIamRole/arn:aws:iam::111122223333:role/UnusedIAMRole/ allows cross-account access".into();
        finding["SourceUrl"] = "https://console.aws.amazon.com/access-analyzer/home?region=us-east-1#/findings/details/dad90d5d-63b4-6575-b0fa-ef9c556ae798".into();
        finding["Resources"] = json!([{
            "Type": "AwsIamRole",
            "Id": "arn:aws:iam::111122223333:role/UnusedIAMRole",
            "Details": {"Other": other}
        }]);
        finding
    }

    fn external_of(finding: &Value) -> ExternalAccess {
        match read(finding).detail {
            Detail::ExternalAccess(access) => access,
            other => panic!("{other:?}"),
        }
    }

    fn by(principal: &str, kind: &str) -> Value {
        json!({
            "External Principal Type": kind,
            "Condition": "none",
            "Action Granted": "sts:AssumeRole,sts:TagSession",
            "External Principal": principal
        })
    }

    #[test]
    fn external_access_is_not_unused_whatever_the_resource_is_called() {
        let mut finding = external_finding(by("999988887777", "AWS"));
        let read_all = read(&finding);
        assert_eq!(read_all.evidence.kind, "ExternalAccess");
        assert_eq!(
            read_all.evidence.id.as_str(),
            "arn:aws:access-analyzer:us-east-1:111122223333:analyzer/x/dad90d5d-63b4-6575-b0fa-ef9c556ae798"
        );
        assert_eq!(
            read_all.detail,
            Detail::ExternalAccess(ExternalAccess {
                resource: Resource {
                    kind: "AWS::IAM::Role".to_owned(),
                    id: "arn:aws:iam::111122223333:role/UnusedIAMRole".to_owned(),
                    ..Resource::default()
                },
                grantees: vec![Grantee {
                    kind: "AWS".to_owned(),
                    id: "999988887777".to_owned()
                }],
                public: false,
                active: true,
                sources: vec![],
            })
        );
        finding["SourceUrl"] = "https://console.aws.amazon.com/access-analyzer/home#/findings".into();
        finding["RecordState"] = "ARCHIVED".into();
        finding["Types"] = json!([]);
        assert_eq!(read(&finding).evidence.id.as_str(), EXTERNAL_ID);
        assert!(!external_of(&finding).active);
    }

    #[test]
    fn principals_of_external_access() {
        let saml = "arn:aws:iam::111122223333:saml-provider/ExampleSSOProvider";
        for (other, expected) in [
            (by("*", "AWS"), Some(("AWS", "*"))),
            (
                by("arn:aws:iam::999988887777:root", "AWS"),
                Some(("AWS", "arn:aws:iam::999988887777:root")),
            ),
            (by(saml, "Federated"), Some(("Federated", saml))),
            (by("999988887777", ""), Some(("AWS", "999988887777"))),
            (by("accounts.google.com", ""), None),
            (by("", "AWS"), None),
            (by("999988887777", "Odd"), None),
            (json!({"External Principal": ["999988887777"]}), None),
            (Value::Null, None),
        ] {
            let access = external_of(&external_finding(other.clone()));
            let read: Vec<_> = access
                .grantees
                .iter()
                .map(|it| (it.kind.as_str(), it.id.as_str()))
                .collect();
            assert_eq!(read.first().copied(), expected, "{other}");
            assert!(read.len() < 2 && !access.public);
        }
    }

    #[test]
    fn public_by_its_type_or_its_title() {
        let mut finding = external_finding(by("*", "AWS"));
        finding["Types"] = json!(["Effects/Data Exposure/External Access Granted"]);
        assert!(external_of(&finding).public);
        finding["Types"] = json!([]);
        assert!(!external_of(&finding).public);
        finding["Title"] = "AwsS3Bucket/arn:aws:s3:::securecart-exports/ allows public access".into();
        assert!(external_of(&finding).public);
    }

    #[test]
    fn internal_access_and_missing_resources() {
        let mut finding = external_finding(by("999988887777", "AWS"));
        finding["ProductFields"]["findingType"] = "InternalAccess".into();
        assert!(matches!(read(&finding).detail, Detail::Other(_)));
        let mut nothing = external_finding(by("999988887777", "AWS"));
        nothing["Resources"] = json!([]);
        let error = from_asff(&nothing.to_string(), "detail.findings[0]", None).unwrap_err();
        assert_eq!(error.to_string(), "detail.findings[0].Resources is missing");
    }

    #[test]
    fn policies_and_groups() {
        let mut finding = control_finding();
        finding["Compliance"]["SecurityControlId"] = "IAM.1".into();
        finding["Resources"] = json!([{
            "Type": "AwsIamPolicy",
            "Id": "arn:aws:iam::111122223333:policy/securecart-legacy-admin",
            "Details": {"AwsIamPolicy": {
                "PolicyName": "securecart-legacy-admin",
                "PolicyId": "ANPA2EXAMPLELEGACY00",
                "PolicyVersionList": [{"VersionId": "v1", "IsDefaultVersion": true}],
                "AttachmentCount": 1
            }}
        }, {
            "Type": "AwsIamGroup",
            "Id": "arn:aws:iam::111122223333:group/operators",
            "Details": {"AwsIamGroup": {"GroupName": "operators", "GroupId": "AGPA2EXAMPLEOPERATOR"}}
        }]);
        let resources = compliance_of(&finding).resources;
        let read: Vec<_> = resources
            .iter()
            .map(|it| (it.name.as_deref(), it.unique_id.as_deref()))
            .collect();
        assert_eq!(
            read,
            [
                (Some("securecart-legacy-admin"), Some("ANPA2EXAMPLELEGACY00")),
                (Some("operators"), Some("AGPA2EXAMPLEOPERATOR"))
            ]
        );
    }

    #[test]
    fn credentials_of_a_threat() {
        let mut finding = control_finding();
        finding["ProductArn"] = "arn:aws:securityhub:us-east-1::product/aws/guardduty".into();
        finding["Types"] = json!(["TTPs/UnauthorizedAccess:IAMUser-MaliciousIPCaller"]);
        finding["Resources"] = json!([
            {"Type": "AwsIamAccessKey", "Id": "AWS::IAM::AccessKey:ASIAEXAMPLESESSION00", "Details": {"AwsIamAccessKey": {
                "PrincipalId": "AROA2EXAMPLEWEB000000:i-0a1b2c3d4e5f60718", "PrincipalType": "AssumedRole",
                "PrincipalName": "securecart-web"}}},
            {"Type": "AwsIamAccessKey", "Id": "AWS::IAM::AccessKey:null", "Details": {"AwsIamAccessKey": {"UserName": "analyst"}}},
            {"Type": "AwsIamAccessKey", "Id": "AWS::IAM::AccessKey:ASIAEXAMPLESESSION00"},
            {"Type": "AwsS3Bucket", "Id": "arn:aws:s3:::securecart-orders-111122223333"}
        ]);
        let Detail::Threat(threat) = read(&finding).detail else {
            panic!("no threat")
        };
        let session = Credential {
            key: Some("ASIAEXAMPLESESSION00".to_owned()),
            principal: Some("AROA2EXAMPLEWEB000000:i-0a1b2c3d4e5f60718".to_owned()),
            name: Some("securecart-web".to_owned()),
            kind: Some("AssumedRole".to_owned()),
        };
        let analyst = Credential {
            name: Some("analyst".to_owned()),
            ..Credential::default()
        };
        assert_eq!(threat.credentials, [session, analyst]);
    }

    /// A finding of GuardDuty whose fields below `service` are these.
    fn threat_finding(fields: &[(&str, &str)]) -> Finding {
        let mut finding = control_finding();
        finding["ProductArn"] = "arn:aws:securityhub:eu-west-1::product/aws/guardduty".into();
        finding["Types"] = json!(["TTPs/Initial Access/UnauthorizedAccess:EC2-SSHBruteForce"]);
        finding["Compliance"] = json!(null);
        finding["ProductFields"] = json!({});
        for (path, value) in fields {
            finding["ProductFields"][format!("aws/guardduty/service/{path}")] = (*value).into();
        }
        read(&finding)
    }

    fn action_of(finding: Finding) -> Action {
        match finding.detail {
            Detail::Threat(threat) => threat.action.unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_action_in_the_product_fields() {
        let remotes = ["198.51.100.23", "2001:db8::23"]
            .map(|text| text.parse().unwrap())
            .to_vec();
        let call = |action: &str| {
            [
                format!("action/{action}/remoteIpDetails/ipAddressV4"),
                format!("action/{action}/remoteIpDetails/ipAddressV6"),
                // Ours, and a name.
                format!("action/{action}/localIpDetails/ipAddressV4"),
                format!("action/{action}/remoteIpDetails/country"),
            ]
        };
        let values = ["198.51.100.23", "2001:db8::23", "10.0.0.7", "198.51.100.99"];
        for (kind, action, expected) in [
            (
                "PORT_PROBE",
                "portProbeAction",
                Action::PortProbe {
                    remotes: remotes.clone(),
                },
            ),
            (
                "KUBERNETES_API_CALL",
                "kubernetesApiCallAction",
                Action::KubernetesApiCall {
                    remotes: remotes.clone(),
                },
            ),
            (
                "RDS_LOGIN_ATTEMPT",
                "rdsLoginAttemptAction",
                Action::RdsLoginAttempt {
                    remotes: remotes.clone(),
                },
            ),
            (
                "AWS_API_CALL",
                "awsApiCallAction",
                Action::AwsApiCall {
                    remotes: remotes.clone(),
                    affiliated: false,
                },
            ),
        ] {
            let paths = call(action);
            let mut fields: Vec<_> = paths.iter().map(String::as_str).zip(values).collect();
            fields.push(("action/actionType", kind));
            fields.push(("action/anotherAction/remoteIpDetails/ipAddressV4", "198.51.100.98"));
            assert_eq!(action_of(threat_finding(&fields)), expected);
        }
        for (stated, affiliated) in [("true", true), ("false", false)] {
            let fields = [
                ("action/actionType", "AWS_API_CALL"),
                ("action/awsApiCallAction/remoteAccountDetails/affiliated", stated),
            ];
            let remotes = Vec::new();
            assert_eq!(
                action_of(threat_finding(&fields)),
                Action::AwsApiCall { remotes, affiliated }
            );
        }
    }

    #[test]
    fn a_sample_says_so_in_any_of_three_fields() {
        for (fields, expected) in [
            (&[][..], false),
            (&[("additionalInfo/sample", "true")], true),
            (&[("additionalInfo/sample", "false")], false),
            (&[("additionalInfo/value", r#"{"sample":true}"#)], true),
            (&[("additionalInfo", r#"{"sample":true}"#)], true),
        ] {
            assert_eq!(threat_finding(fields).sample, expected, "{fields:?}");
        }
    }

    #[test]
    fn put_away_by_the_record_or_by_guardduty() {
        assert!(threat_finding(&[("archived", "true")]).archived && !threat_finding(&[("archived", "false")]).archived);
        let mut finding = control_finding();
        finding["RecordState"] = "ARCHIVED".into();
        assert!(read(&finding).archived);
    }

    #[test]
    fn what_is_said_in_two_places_and_what_in_one() {
        let seen = threat_finding(&[("eventLastSeen", "2026-11-20T09:00:00Z")])
            .evidence
            .observed_at;
        assert_eq!(seen, read_time("2026-11-20T09:00:00Z").unwrap());
        let mut finding = control_finding();
        finding["Severity"] = json!({"Normalized": 50});
        finding["ProductArn"] = "arn:aws:securityhub:eu-west-1::product/aws/securityhub".into();
        finding.as_object_mut().unwrap().remove("Region");
        let evidence = read(&finding).evidence;
        assert_eq!(
            (evidence.severity, evidence.region.as_str()),
            (Severity::Medium, "eu-west-1")
        );
    }
}
