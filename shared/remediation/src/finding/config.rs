//! The `Config Rules Compliance Change` event: one rule's new verdict on one resource.

use serde::Deserialize;

use super::{
    Channel, Compliance, Detail, Envelope, Evidence, Finding, FindingError, Resource, Rule, Severity, Verdict, lenient,
    read_time, required,
};
use crate::ids::{AccountId, FindingId, FindingVersion, Region};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(default, deserialize_with = "lenient::text")]
    resource_id: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    resource_type: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    aws_account_id: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    aws_region: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    config_rule_name: Option<String>,
    #[serde(default, rename = "configRuleARN", deserialize_with = "lenient::text")]
    config_rule_arn: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    notification_creation_time: Option<String>,
    #[serde(default)]
    new_evaluation_result: Option<Evaluation>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Evaluation {
    #[serde(deserialize_with = "lenient::text")]
    compliance_type: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    result_recorded_time: Option<String>,
}

/// Reads a `Config Rules Compliance Change` event.
pub(crate) fn from_config(event: &Envelope) -> Result<Finding, FindingError> {
    let raw: Raw =
        serde_json::from_str(event.detail.get()).map_err(|error| FindingError::malformed("detail", &error))?;
    let at = "detail.newEvaluationResult.complianceType";
    let result = raw.new_evaluation_result.unwrap_or_default();
    let compliance = required(result.compliance_type, at)?;
    let name = required(raw.config_rule_name, "detail.configRuleName")?;
    let kind = required(raw.resource_type, "detail.resourceType")?;
    let id = required(raw.resource_id, "detail.resourceId")?;
    let at = "detail.newEvaluationResult.resultRecordedTime";
    let recorded = required(result.result_recorded_time.or(raw.notification_creation_time), at)?;
    let rule_id = raw.config_rule_arn.filter(|arn| !arn.is_empty());
    let rule_id = rule_id.unwrap_or_else(|| name.clone());
    let rule = undecorated(&name).to_owned();
    Ok(Finding {
        evidence: Evidence {
            id: FindingId::new(format!("{rule_id}/{kind}/{id}")),
            observed_at: event.observed(read_time(&recorded), &recorded, at)?,
            version: FindingVersion::new(recorded),
            channel: Channel::Direct,
            kind: rule.clone(),
            severity: Severity::Medium,
            account: AccountId::new(required(raw.aws_account_id, "detail.awsAccountId")?),
            region: Region::new(required(raw.aws_region, "detail.awsRegion")?),
        },
        archived: false,
        sample: false,
        answered: false,
        asked: None,
        suppressed: false,
        detail: Detail::Compliance(Compliance {
            rule: Rule::Config(rule),
            verdict: match compliance.as_str() {
                "NON_COMPLIANT" => Verdict::Failed,
                "COMPLIANT" => Verdict::Passed,
                _ => Verdict::Unknown(compliance),
            },
            resources: vec![Resource {
                kind,
                id,
                ..Resource::default()
            }],
        }),
    })
}

/// The rule's name without what Security Hub (`securityhub-<rule>-<hex>`), a conformance pack
/// (`<rule>-conformance-pack-<id>`) or an organisation (`OrgConfigRule-<rule>-<id>`) puts around it, in any case.
fn undecorated(name: &str) -> &str {
    let lower = name.to_ascii_lowercase();
    let is_hex = |text: &str| text.len() >= 6 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let around = |prefix: &str| {
        lower.strip_prefix(prefix)?;
        name.get(prefix.len()..)?.rsplit_once('-')
    };
    let rule = if let Some((rule, _)) = around("securityhub-").filter(|(_, id)| is_hex(id)) {
        Some(rule)
    } else if let Some((rule, _)) = around("orgconfigrule-") {
        Some(rule)
    } else {
        lower.rfind("-conformance-pack-").and_then(|end| name.get(..end))
    };
    rule.filter(|rule| !rule.is_empty()).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::clock::Timestamp;

    fn detail() -> Value {
        json!({
            "resourceId": "AIDA2EXAMPLECHECKOUT0",
            "awsRegion": "us-east-1",
            "awsAccountId": "111122223333",
            "configRuleName": "securityhub-access-keys-rotated-3dd4f050",
            "recordVersion": "1.0",
            "configRuleARN": "arn:aws:config:us-east-1:111122223333:config-rule/aws-service-rule/securityhub.amazonaws.com/config-rule-a1b2c3",
            "messageType": "ComplianceChangeNotification",
            "newEvaluationResult": {
                "evaluationResultIdentifier": {
                    "evaluationResultQualifier": {
                        "configRuleName": "securityhub-access-keys-rotated-3dd4f050",
                        "resourceType": "AWS::IAM::User",
                        "resourceId": "AIDA2EXAMPLECHECKOUT0"
                    },
                    "orderingTimestamp": "2026-11-20T09:18:44.902Z"
                },
                "complianceType": "NON_COMPLIANT",
                "resultRecordedTime": "2026-11-20T09:18:59.143Z",
                "configRuleInvokedTime": "2026-11-20T09:18:58.870Z",
                "annotation": null
            },
            "notificationCreationTime": "2026-11-20T09:18:59.735Z",
            "resourceType": "AWS::IAM::User"
        })
    }

    fn read(detail: &Value) -> Result<Finding, FindingError> {
        let event = Envelope::sample("aws.config", "Config Rules Compliance Change", &[], detail);
        from_config(&event)
    }

    #[test]
    fn a_violation() {
        let finding = read(&detail()).unwrap();
        assert_eq!(
            finding.evidence.id.as_str(),
            "arn:aws:config:us-east-1:111122223333:config-rule/aws-service-rule/securityhub.amazonaws.com/config-rule-a1b2c3/AWS::IAM::User/AIDA2EXAMPLECHECKOUT0"
        );
        assert_eq!(finding.evidence.version.as_str(), "2026-11-20T09:18:59.143Z");
        assert_eq!(
            finding.evidence.observed_at,
            "2026-11-20T09:18:59.143Z".parse::<Timestamp>().unwrap()
        );
        assert_eq!(finding.evidence.kind, "access-keys-rotated");
        assert_eq!(
            finding.detail,
            Detail::Compliance(Compliance {
                rule: Rule::Config("access-keys-rotated".to_owned()),
                verdict: Verdict::Failed,
                resources: vec![Resource {
                    kind: "AWS::IAM::User".to_owned(),
                    id: "AIDA2EXAMPLECHECKOUT0".to_owned(),
                    ..Resource::default()
                }],
            })
        );
    }

    #[test]
    fn other_verdicts_and_missing_fields() {
        for (status, expected) in [
            ("COMPLIANT", Verdict::Passed),
            ("NOT_APPLICABLE", Verdict::Unknown("NOT_APPLICABLE".to_owned())),
            ("INSUFFICIENT_DATA", Verdict::Unknown("INSUFFICIENT_DATA".to_owned())),
        ] {
            let mut detail = detail();
            detail["newEvaluationResult"]["complianceType"] = status.into();
            match read(&detail).unwrap().detail {
                Detail::Compliance(compliance) => assert_eq!(compliance.verdict, expected),
                other => panic!("{other:?}"),
            }
        }
        for field in [
            "resourceId",
            "resourceType",
            "awsAccountId",
            "awsRegion",
            "configRuleName",
        ] {
            let mut detail = detail();
            detail[field] = Value::Null;
            assert_eq!(
                read(&detail).unwrap_err().to_string(),
                format!("detail.{field} is missing")
            );
        }
        let mut no_arn = detail();
        no_arn["configRuleARN"] = Value::Null;
        assert!(
            read(&no_arn)
                .unwrap()
                .evidence
                .id
                .as_str()
                .starts_with("securityhub-access-keys-rotated-3dd4f050/")
        );
    }

    #[test]
    fn rule_names_without_decoration() {
        for (name, expected) in [
            ("access-keys-rotated", "access-keys-rotated"),
            ("securityhub-access-keys-rotated-3dd4f050", "access-keys-rotated"),
            (
                "SecurityHub-iam-user-unused-credentials-check-8EE5D61B",
                "iam-user-unused-credentials-check",
            ),
            ("securityhub-own-rule", "securityhub-own-rule"),
            (
                "s3-default-encryption-kms-conformance-pack-k1x2y3z4w",
                "s3-default-encryption-kms",
            ),
            (
                "OrgConfigRule-s3-bucket-ssl-requests-only-a1b2c3d4",
                "s3-bucket-ssl-requests-only",
            ),
            ("orgconfigrule-", "orgconfigrule-"),
            ("-conformance-pack-x", "-conformance-pack-x"),
            ("my-access-keys-rotated", "my-access-keys-rotated"),
            ("ключ-доступа", "ключ-доступа"),
        ] {
            assert_eq!(undecorated(name), expected);
        }
    }

    #[test]
    fn rules_about_permissions() {
        for rule in [
            "iam-policy-no-statements-with-admin-access",
            "iam-policy-no-statements-with-full-access",
            "iam-policy-blacklisted-check",
            "iam-no-inline-policy-check",
            "iam-user-no-policies-check",
            "iam-customer-policy-blocked-kms-actions",
            "iam-inline-policy-blocked-kms-actions",
        ] {
            for name in [
                rule.to_owned(),
                format!("securityhub-{rule}-1a2b3c4d"),
                format!("{rule}-conformance-pack-k1x2y3z4w"),
                format!("OrgConfigRule-{rule}-a1b2c3d4"),
            ] {
                let mut detail = detail();
                detail["configRuleName"] = name.into();
                detail["resourceType"] = "AWS::IAM::Policy".into();
                detail["resourceId"] = "ANPA2EXAMPLELEGACY00".into();
                match read(&detail).unwrap().detail {
                    Detail::Compliance(check) => assert_eq!(check.rule, Rule::Config(rule.to_owned())),
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    #[test]
    fn what_only_looks_like_an_ending_stays() {
        for name in [
            "securityhub-access-keys-rotated",
            "securityhub-a-12345",
            "-conformance-pack-x",
        ] {
            assert_eq!(undecorated(name), name);
        }
    }
}
