//! The Security Hub finding format (ASFF). For GuardDuty's findings `ProductFields` repeats the original as
//! `aws/guardduty/service/…` paths; the `Action` block has the same, for fewer kinds and IPv4 only.

use std::{collections::BTreeMap, net::IpAddr};

use serde::Deserialize;

use super::{
    Action, Channel, Detail, Evidence, Finding, FindingError, Severity, Threat, canonical_kind,
    guardduty::{RawAction, read_direction, read_role, says_sample},
    lenient, parse_address, parse_time, read_time, required,
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
    #[serde(default)]
    product_fields: Option<BTreeMap<String, lenient::Scalar>>,
    #[serde(default)]
    workflow: Option<Workflow>,
    #[serde(default, deserialize_with = "lenient::text")]
    record_state: Option<String>,
    #[serde(default)]
    action: Option<RawAction>,
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

/// Reads one entry of `detail.findings`. `by_operator`: sent by a custom action, whatever its workflow says.
pub(crate) fn from_asff(finding: &str, at: &str, by_operator: bool) -> Result<Finding, FindingError> {
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
    let detail = if product.eq_ignore_ascii_case("aws/guardduty") {
        Detail::Threat(Threat {
            role: fields.get("resourceRole").and_then(read_role),
            action: fields.action(raw.action, at)?,
        })
    } else {
        Detail::Other(format!("Security Hub product {product}"))
    };
    let workflow = raw.workflow.as_ref().and_then(|workflow| workflow.status.as_deref());
    Ok(Finding {
        archived: raw.record_state.as_deref() == Some("ARCHIVED") || fields.get("archived") == Some("true"),
        sample: raw.title.is_some_and(|title| title.starts_with("[SAMPLE]")) || fields.sample(),
        answered: !by_operator && matches!(workflow, Some("NOTIFIED" | "RESOLVED")),
        suppressed: !by_operator && workflow == Some("SUPPRESSED"),
        evidence: Evidence {
            id: FindingId::new(&id),
            version: FindingVersion::new(updated_at),
            kind: raw
                .types
                .iter()
                .find_map(|kind| kind.0.as_deref())
                .map(canonical_kind)
                .unwrap_or_default(),
            severity: label.or(normalized).unwrap_or(Severity::Low),
            account: AccountId::new(required(raw.aws_account_id, &format!("{at}.AwsAccountId"))?),
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

/// `ProductFields`, by their path below `aws/guardduty/service/`.
struct Fields(BTreeMap<String, lenient::Scalar>);

impl Fields {
    const PREFIX: &str = "aws/guardduty/service/";

    fn get(&self, path: &str) -> Option<&str> {
        self.0
            .get(&format!("{}{path}", Self::PREFIX))
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
