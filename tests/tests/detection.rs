//! What the environment detects is what the functions answer to, and the other way round: a detection that nobody answers to is noise, a
//! trigger that nothing detects never fires.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod common;

use std::{collections::BTreeSet, fmt::Display};

use remediation::{
    Claim,
    finding::Finding,
    intake::{self, Intake, Invocation},
    policy::matches,
};
use serde_json::{Value, json};

/// Controls that a function claims and that none of the standards which the stack switches on has, with what detects the same.
const IN_OTHER_STANDARDS: [(&str, &str); 4] = [
    (
        "EC2.13",
        "in CIS 1.2, PCI DSS and NIST; AWS Config's restricted-ssh, EC2.53 and EC2.54",
    ),
    ("EC2.14", "in CIS 1.2 and PCI DSS; EC2.53 and EC2.54"),
    ("S3.4", "retired; AWS Config's s3-bucket-server-side-encryption-enabled"),
    ("S3.17", "in NIST and PCI DSS; AWS Config's s3-default-encryption-kms"),
];

/// Of the controls in the functions' fields those that the user guide of Security Hub lists for the AWS Foundational Security Best
/// Practices 1.0.0 and for CIS 3.0.0.
const FOUNDATIONAL: [&str; 17] = [
    "EC2.3", "EC2.7", "EC2.18", "EC2.19", "IAM.1", "IAM.2", "IAM.3", "IAM.8", "IAM.21", "KMS.1", "KMS.2", "RDS.3",
    "S3.1", "S3.2", "S3.3", "S3.5", "S3.8",
];
const CIS_3_0: [&str; 12] = [
    "EC2.7", "EC2.53", "EC2.54", "IAM.2", "IAM.3", "IAM.22", "IAM.27", "IAM.28", "RDS.3", "S3.1", "S3.5", "S3.8",
];

fn resources(template: &Value, kind: &str) -> Vec<Value> {
    let all = template["Resources"].as_object().unwrap().values();
    all.filter(|resource| resource["Type"] == kind).cloned().collect()
}

/// The event patterns of the application.
fn patterns() -> Vec<Value> {
    let rules = resources(&common::template(), "AWS::Events::Rule").into_iter();
    rules
        .map(|rule| rule["Properties"]["EventPattern"].clone())
        .filter(|pattern| !pattern.is_null())
        .collect()
}

fn texts(value: &Value) -> Vec<String> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// The functions that have something to say to a rule or a control, whatever the resource.
fn claimants(event: &Value) -> Vec<&'static str> {
    let Ok(Invocation::Event(Intake::Findings(findings))) = intake::read(&event.to_string()) else {
        panic!("{event}")
    };
    let finding = &findings[0];
    let all: [(&str, bool); 7] = [
        ("block-ip", is_claimed(block_ip::attackers(finding))),
        ("block-public-access", is_claimed(block_public_access::claim(finding))),
        ("close-open-ingress", is_claimed(close_open_ingress::claim(finding))),
        ("disable-access-key", is_claimed(disable_access_key::claim(finding))),
        (
            "enforce-s3-encryption",
            is_claimed(enforce_s3_encryption::claim(finding)),
        ),
        (
            "enforce-storage-encryption",
            is_claimed(enforce_storage_encryption::claim(finding)),
        ),
        ("revoke-permissions", is_claimed(revoked(finding))),
    ];
    all.into_iter()
        .filter(|(_, is_claimed)| *is_claimed)
        .map(|(name, _)| name)
        .collect()
}

fn revoked(finding: &Finding) -> Claim<impl Display> {
    revoke_permissions::claim(finding, &[])
}

/// A refusal for the resource's sake is an answer to the rule.
fn is_claimed<T>(claim: Claim<T>) -> bool {
    match claim {
        Claim::Targets(_) | Claim::Unreadable(_) => true,
        Claim::Declined(reason) => !matches!(reason.code.as_str(), "unclaimed-rule" | "not-a-threat"),
    }
}

fn config(rule: &str) -> Value {
    json!({
        "version": "0", "id": "e", "detail-type": "Config Rules Compliance Change", "source": "aws.config", "account": "111122223333",
        "time": "2026-11-20T09:19:00Z", "region": "us-east-1", "resources": [], "detail": {
            "resourceId": "x", "resourceType": "AWS::S3::Bucket", "awsRegion": "us-east-1", "awsAccountId": "111122223333",
            "configRuleName": rule, "newEvaluationResult": { "complianceType": "NON_COMPLIANT", "resultRecordedTime": "2026-11-20T09:18:59.143Z" }
        }
    })
}

fn control(control: &str) -> Value {
    let finding = json!({
        "SchemaVersion": "2018-10-08", "Id": "f", "ProductArn": "arn:aws:securityhub:us-east-1::product/aws/securityhub",
        "GeneratorId": format!("security-control/{control}"), "AwsAccountId": "111122223333", "Region": "us-east-1",
        "CreatedAt": "2026-11-19T00:00:00.000Z", "UpdatedAt": "2026-11-20T00:00:00.000Z", "Severity": { "Label": "HIGH" }, "Title": "t",
        "Compliance": { "Status": "FAILED", "SecurityControlId": control }, "RecordState": "ACTIVE", "Workflow": { "Status": "NEW" },
        "Resources": [{ "Type": "Other", "Id": "x" }]
    });
    json!({
        "version": "0", "id": "e", "detail-type": "Security Hub Findings - Imported", "source": "aws.securityhub", "account": "111122223333",
        "time": "2026-11-20T00:00:00Z", "region": "us-east-1", "resources": [], "detail": { "findings": [finding] }
    })
}

#[test]
fn s90_every_config_rule_is_answered_and_every_answer_has_its_rule() {
    let detection = common::yaml("stacks/detection.yaml");
    let rules = resources(&detection, "AWS::Config::ConfigRule").into_iter();
    let rules: BTreeSet<String> = rules
        .map(|rule| rule["Properties"]["ConfigRuleName"].as_str().unwrap().to_owned())
        .collect();
    assert!(rules.len() > 10);
    let listening: Vec<String> = patterns()
        .iter()
        .flat_map(|pattern| {
            pattern["detail"]["configRuleName"]
                .as_array()
                .cloned()
                .unwrap_or_default()
        })
        .map(|name| name["wildcard"].as_str().unwrap().to_owned())
        .collect();
    for rule in &rules {
        assert_eq!(
            claimants(&config(rule)).len(),
            1,
            "{rule} is answered by {:?}",
            claimants(&config(rule))
        );
        let heard = listening.iter().filter(|wildcard| matches(wildcard, rule));
        assert_eq!(heard.count(), 1, "{rule} is listened to once");
    }
    for wildcard in listening {
        assert!(
            rules.iter().any(|rule| matches(&wildcard, rule)),
            "no rule of the stack is meant by {wildcard}"
        );
    }
    assert!(claimants(&config("root-account-mfa-enabled")).is_empty());
}

#[test]
fn s90_every_control_that_is_answered_is_switched_on_or_said_not_to_be() {
    let detection = common::yaml("stacks/detection.yaml");
    let standards: Vec<String> = resources(&detection, "AWS::SecurityHub::Standard")
        .iter()
        .map(|standard| {
            standard["Properties"]["StandardsArn"]["Fn::Sub"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    for (standard, end) in [
        ("foundational", "best-practices/v/1.0.0"),
        ("CIS 3.0", "benchmark/v/3.0.0"),
    ] {
        assert!(
            standards.iter().any(|arn| arn.ends_with(end)),
            "{standard}: {standards:?}"
        );
    }
    let listened: BTreeSet<String> = patterns()
        .iter()
        .flat_map(|pattern| {
            pattern["detail"]["findings"]["GeneratorId"]
                .as_array()
                .cloned()
                .unwrap_or_default()
        })
        .filter_map(|id| id["suffix"]["equals-ignore-case"].as_str().map(str::to_owned))
        .filter_map(|suffix| suffix.strip_prefix('/').map(str::to_owned))
        .filter(|control| !control.starts_with("PCI.") && control.starts_with(|first: char| first.is_ascii_uppercase()))
        .collect();
    assert!(listened.len() > 15, "{listened:?}");
    for name in &listened {
        assert_eq!(
            claimants(&control(name)).len(),
            1,
            "{name} is answered by {:?}",
            claimants(&control(name))
        );
        let is_on = FOUNDATIONAL.contains(&name.as_str()) || CIS_3_0.contains(&name.as_str());
        let is_said = IN_OTHER_STANDARDS.iter().any(|(other, _)| other == name);
        assert!(is_on || is_said, "nothing detects {name}");
    }
    // The other way round: what these standards detect of the functions' own fields, and nobody answers to.
    // IAM.28 asks for an analyzer, which the stack has.
    let answered_by_a_person = ["IAM.28"];
    for name in FOUNDATIONAL
        .iter()
        .chain(&CIS_3_0)
        .filter(|name| !answered_by_a_person.contains(name))
    {
        assert!(listened.contains(*name), "nobody listens to {name}");
    }
}

#[test]
fn threats_analyzers_and_the_trail_feed_what_listens_to_them() {
    let detection = common::yaml("stacks/detection.yaml");
    let heard: BTreeSet<String> = patterns()
        .iter()
        .flat_map(|pattern| texts(&pattern["detail-type"]))
        .collect();
    let detects = [
        ("AWS::GuardDuty::Detector", vec!["GuardDuty Finding"]),
        (
            "AWS::AccessAnalyzer::Analyzer",
            vec!["Access Analyzer Finding", "Unused Access Finding for IAM entities"],
        ),
        ("AWS::CloudTrail::Trail", vec!["AWS API Call via CloudTrail"]),
        ("AWS::Config::ConfigRule", vec!["Config Rules Compliance Change"]),
        (
            "AWS::SecurityHub::Hub",
            vec![
                "Security Hub Findings - Imported",
                "Security Hub Findings - Custom Action",
                "Findings Imported V2",
            ],
        ),
    ];
    for (kind, events) in &detects {
        assert!(!resources(&detection, kind).is_empty(), "{kind}");
        for event in events {
            assert!(heard.contains(*event), "nobody listens to {event}");
        }
    }
    let told: BTreeSet<String> = detects
        .into_iter()
        .flat_map(|(_, events)| events)
        .map(str::to_owned)
        .collect();
    // AWS Health reports unasked.
    let unasked = ["AWS Health Event", "AWS Health Abuse Event"].map(str::to_owned);
    assert_eq!(heard, told.into_iter().chain(unasked).collect());

    let analyzers = resources(&detection, "AWS::AccessAnalyzer::Analyzer");
    let kinds: BTreeSet<_> = analyzers
        .iter()
        .map(|analyzer| analyzer["Properties"]["Type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, BTreeSet::from(["ACCOUNT", "ACCOUNT_UNUSED_ACCESS"]));
    let trail = &resources(&detection, "AWS::CloudTrail::Trail")[0]["Properties"];
    assert_eq!(trail["EventSelectors"][0]["IncludeManagementEvents"], true);
    assert_eq!(trail["IsMultiRegionTrail"], true);
    let actions = resources(&detection, "AWS::SecurityHub::ActionTarget");
    let names: BTreeSet<_> = actions
        .iter()
        .map(|action| action["Properties"]["Name"].as_str().unwrap())
        .collect();
    assert_eq!(names, BTreeSet::from(["Remediate", "Undo remediation"]));
}
