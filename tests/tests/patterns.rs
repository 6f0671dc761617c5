//! The rules of `template.yaml` let through what the functions act on, as EventBridge's own matching is emulated.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod common;

use std::collections::BTreeMap;

use local_cloud::{LocalCloud, Service, logical};
use remediation::{
    Claim,
    finding::{Detail, Finding},
    intake::{self, Intake, Invocation},
};
use serde_json::{Value, json};

/// The event patterns by the logical ids of their rules, in a stack with default parameters.
fn patterns() -> BTreeMap<String, Value> {
    let template = common::template();
    let rules = template["Resources"].as_object().unwrap().iter();
    let patterns = rules.filter_map(|(name, resource)| {
        let pattern = resource["Properties"].get("EventPattern")?;
        if resource.get("Condition").is_some() {
            return None;
        }
        Some((name.clone(), without_conditions(pattern)))
    });
    patterns.collect()
}

/// A condition in a pattern adds a filter on a parameter, which is empty by default.
fn without_conditions(pattern: &Value) -> Value {
    let mut pattern = pattern.clone();
    pattern.as_object_mut().unwrap().retain(|_, value| {
        value.get("Fn::If").is_none_or(|branches| {
            assert_eq!(branches[2], json!({ "Ref": "AWS::NoValue" }));
            false
        })
    });
    pattern
}

/// What a function would do with an event that reached it.
#[derive(Debug, PartialEq)]
enum Wish {
    /// It names a target, and is not put away.
    Act,
    /// Nothing in it concerns any function.
    Ignore,
    /// It is declined for what it says.
    Decline,
}

type Claims = fn(&Finding) -> bool;

/// The functions, as their rules begin, each with what it claims and how many of the samples that are at least.
const FUNCTIONS: [(&str, Claims, usize); local_cloud::FUNCTIONS.len()] = [
    (
        "BlockIp",
        |finding| matches!(block_ip::attackers(finding), Claim::Targets(_)),
        11,
    ),
    (
        "BlockPublicAccess",
        |finding| matches!(block_public_access::claim(finding), Claim::Targets(_)),
        13,
    ),
    (
        "CloseOpenIngress",
        |finding| matches!(close_open_ingress::claim(finding), Claim::Targets(_)),
        10,
    ),
    (
        "DisableAccessKey",
        |finding| matches!(disable_access_key::claim(finding), Claim::Targets(_)),
        18,
    ),
    (
        "EnforceS3Encryption",
        |finding| matches!(enforce_s3_encryption::claim(finding), Claim::Targets(_)),
        10,
    ),
    (
        "EnforceStorageEncryption",
        |finding| matches!(enforce_storage_encryption::claim(finding), Claim::Targets(_)),
        8,
    ),
    (
        "RevokePermissions",
        |finding| matches!(revoke_permissions::claim(finding, &[]), Claim::Targets(_)),
        22,
    ),
];

fn wish(payload: &str, claims: Claims) -> Option<Wish> {
    let Ok(Invocation::Event(intake)) = intake::read(payload) else {
        return None;
    };
    let Intake::Findings(findings) = intake else {
        return Some(Wish::Ignore);
    };
    let acts = findings
        .iter()
        .any(|finding| !finding.archived && !finding.suppressed && claims(finding));
    let foreign = findings
        .iter()
        .all(|finding| matches!(finding.detail, Detail::Other(_)));
    Some(if acts {
        Wish::Act
    } else if foreign {
        Wish::Ignore
    } else {
        Wish::Decline
    })
}

/// The rules that let an event through.
fn passes(cloud: &LocalCloud, patterns: &BTreeMap<String, Value>, payload: &str) -> Vec<String> {
    let mut event: Value = serde_json::from_str(payload).unwrap();
    // EventBridge sets these on every event; some files leave them out.
    let always = [
        ("id", json!("00000000-0000-0000-0000-000000000000")),
        ("account", json!("111122223333")),
        ("time", json!("2026-11-20T09:21:07Z")),
        ("region", json!("us-east-1")),
        ("resources", json!([])),
    ];
    for (key, value) in always {
        event.as_object_mut().unwrap().entry(key).or_insert(value);
    }
    let lets_through = |pattern: &Value| {
        let question = json!({ "EventPattern": pattern.to_string(), "Event": event.to_string() });
        let answer = cloud.call(Service::EventBridge, "TestEventPattern", &question).unwrap();
        answer["Result"].as_bool().unwrap()
    };
    patterns
        .iter()
        .filter(|(_, pattern)| lets_through(pattern))
        .map(|(name, _)| name.clone())
        .collect()
}

#[test]
fn s3_what_is_acted_on_passes_a_rule_and_what_is_not_ours_passes_none() {
    assert_eq!(
        FUNCTIONS.map(|(function, ..)| function.to_owned()),
        local_cloud::FUNCTIONS.map(logical)
    );
    let cloud = LocalCloud::start(&|_| {}).unwrap();
    let patterns = patterns();
    let mut acted_on = BTreeMap::new();
    for event in common::events() {
        // Capital keys are what the API answers; EventBridge never delivers them.
        let is_delivered = |json: Value| json.pointer("/detail/Type").is_none();
        let is_delivered = serde_json::from_str(&event.text).is_ok_and(is_delivered);
        if !is_delivered || wish(&event.text, FUNCTIONS[0].1).is_none() {
            continue;
        }
        let passed = passes(&cloud, &patterns, &event.text);
        for (function, claims, _) in FUNCTIONS {
            let passed: Vec<_> = passed.iter().filter(|rule| rule.starts_with(function)).collect();
            match wish(&event.text, claims).unwrap() {
                Wish::Act => {
                    *acted_on.entry(function).or_insert(0) += 1;
                    assert!(!passed.is_empty(), "{} is kept from {function}", event.path);
                }
                Wish::Ignore => assert!(passed.is_empty(), "{} passes {passed:?}", event.path),
                Wish::Decline => {}
            }
        }
    }
    for (function, _, least) in FUNCTIONS {
        let acted_on = acted_on.get(function).copied().unwrap_or_default();
        assert!(acted_on >= least, "{function}: {acted_on}");
    }

    let sample = |name: &str| std::fs::read_to_string(common::root().join("events/block-ip").join(name)).unwrap();
    for name in ["outbound-c2.json", "dns-request.json"] {
        let passed = passes(&cloud, &patterns, &sample(name));
        assert!(passed.is_empty(), "{name} passes {passed:?}");
    }
    workflow_states(&cloud, &patterns, &sample);
    what_is_over_passes_no_rule(&cloud, &patterns);
}

/// A resource that complies, a finding that was put away, a call that failed.
fn what_is_over_passes_no_rule(cloud: &LocalCloud, patterns: &BTreeMap<String, Value>) {
    let over = [
        (
            "disable-access-key/securityhub-iam3.json",
            "/detail/findings/0/Compliance/Status",
            json!("PASSED"),
        ),
        (
            "disable-access-key/securityhub-iam3.json",
            "/detail/findings/0/RecordState",
            json!("ARCHIVED"),
        ),
        (
            "disable-access-key/securityhub-iam3.json",
            "/detail/findings/0/Workflow/Status",
            json!("SUPPRESSED"),
        ),
        (
            "disable-access-key/securityhub-iam3.json",
            "/detail/findings/0/GeneratorId",
            json!("security-control/IAM.33"),
        ),
        (
            "disable-access-key/securityhub-iam3-ocsf.json",
            "/detail/findings/0/compliance/status_id",
            json!(1),
        ),
        (
            "disable-access-key/securityhub-iam3-ocsf.json",
            "/detail/findings/0/status_id",
            json!(3),
        ),
        (
            "disable-access-key/config-access-keys-rotated.json",
            "/detail/newEvaluationResult/complianceType",
            json!("COMPLIANT"),
        ),
        (
            "disable-access-key/access-analyzer-unused-key.json",
            "/detail/status",
            json!("RESOLVED"),
        ),
        (
            "disable-access-key/access-analyzer-unused-key.json",
            "/detail/isDeleted",
            json!(true),
        ),
        (
            "disable-access-key/access-analyzer-unused-key.json",
            "/detail/findingType",
            json!("UnusedIAMUserPassword"),
        ),
        (
            "disable-access-key/health-exposed-key.json",
            "/detail/eventTypeCode",
            json!("AWS_RISK_OTHER"),
        ),
        (
            "revoke-permissions/securityhub-iam1.json",
            "/detail/findings/0/GeneratorId",
            json!("security-control/IAM.11"),
        ),
        (
            "revoke-permissions/securityhub-kms1.json",
            "/detail/findings/0/GeneratorId",
            json!("pci-dss/v/3.2.1/PCI.KMS.1"),
        ),
        (
            "revoke-permissions/config-kms-inline.json",
            "/detail/newEvaluationResult/complianceType",
            json!("COMPLIANT"),
        ),
        (
            "revoke-permissions/access-analyzer-external-role.json",
            "/detail/isDeleted",
            json!(true),
        ),
        (
            "revoke-permissions/access-analyzer-external-role.json",
            "/detail/error",
            json!("ACCESS_DENIED"),
        ),
        (
            "revoke-permissions/access-analyzer-unused-role.json",
            "/detail/findingType",
            json!("UnusedIAMUserPassword"),
        ),
        (
            "block-public-access/securityhub-s3-8.json",
            "/detail/findings/0/GeneratorId",
            json!("security-control/S3.18"),
        ),
        (
            "block-public-access/securityhub-s3-3-pci-legacy.json",
            "/detail/findings/0/GeneratorId",
            json!("pci-dss/v/3.2.1/PCI.S3.3"),
        ),
        (
            "block-public-access/config-public-read.json",
            "/detail/newEvaluationResult/complianceType",
            json!("COMPLIANT"),
        ),
        (
            "block-public-access/access-analyzer-public-bucket.json",
            "/detail/status",
            json!("RESOLVED"),
        ),
        (
            "close-open-ingress/cloudtrail-authorize-ingress.json",
            "/detail/eventName",
            json!("RevokeSecurityGroupIngress"),
        ),
        (
            "close-open-ingress/cloudtrail-authorize-ingress.json",
            "/detail/errorCode",
            json!("InvalidPermission.Duplicate"),
        ),
        (
            "close-open-ingress/securityhub-ec2-13.json",
            "/detail/findings/0/GeneratorId",
            json!("security-control/EC2.21"),
        ),
        (
            "close-open-ingress/config-restricted-ssh.json",
            "/detail/newEvaluationResult/complianceType",
            json!("COMPLIANT"),
        ),
        (
            "enforce-storage-encryption/securityhub-ec2-7.json",
            "/detail/findings/0/Compliance/Status",
            json!("PASSED"),
        ),
        (
            "enforce-storage-encryption/securityhub-ec2-3.json",
            "/detail/findings/0/GeneratorId",
            json!("security-control/EC2.31"),
        ),
        (
            "enforce-s3-encryption/securityhub-s3-17.json",
            "/detail/findings/0/Compliance/Status",
            json!("PASSED"),
        ),
        (
            "enforce-s3-encryption/securityhub-s3-17.json",
            "/detail/findings/0/GeneratorId",
            json!("security-control/S3.7"),
        ),
        (
            "enforce-s3-encryption/config-ssl-requests-only.json",
            "/detail/newEvaluationResult/complianceType",
            json!("NOT_APPLICABLE"),
        ),
        (
            "enforce-s3-encryption/cloudtrail-create-bucket.json",
            "/detail/eventName",
            json!("DeleteBucket"),
        ),
        (
            "enforce-s3-encryption/cloudtrail-create-bucket.json",
            "/detail/errorCode",
            json!("BucketAlreadyExists"),
        ),
    ];
    for (file, place, value) in over {
        let text = std::fs::read_to_string(common::root().join("events").join(file)).unwrap();
        let mut event: Value = serde_json::from_str(&text).unwrap();
        let (parent, key) = place.rsplit_once('/').unwrap();
        let parent = event.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        parent.insert(key.to_owned(), value);
        let passed = passes(cloud, patterns, &event.to_string());
        assert!(passed.is_empty(), "{file} with another {place} passes {passed:?}");
    }
}

/// Only what a person has suppressed is kept out: a finding that we resolved comes again with another attacker.
fn workflow_states(cloud: &LocalCloud, patterns: &BTreeMap<String, Value>, sample: &dyn Fn(&str) -> String) {
    let passes_with = |name: &str, place: &str, value: Option<Value>| {
        let mut event: Value = serde_json::from_str(&sample(name)).unwrap();
        let (parent, key) = place.rsplit_once('/').unwrap();
        let parent = event.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match &value {
            Some(value) => _ = parent.insert(key.to_owned(), value.clone()),
            None => _ = parent.remove(key),
        }
        !passes(cloud, patterns, &event.to_string()).is_empty()
    };
    let asff = |value| {
        passes_with(
            "security-hub-imported-ssh-brute-force.json",
            "/detail/findings/0/Workflow/Status",
            value,
        )
    };
    for open in [
        None,
        Some(json!("NEW")),
        Some(json!("NOTIFIED")),
        Some(json!("RESOLVED")),
    ] {
        assert!(asff(open.clone()), "{open:?}");
    }
    assert!(!asff(Some(json!("SUPPRESSED"))));

    let ocsf = |value| {
        passes_with(
            "security-hub-v2-ssh-brute-force.json",
            "/detail/findings/0/status_id",
            value,
        )
    };
    for open in [None, Some(json!(1)), Some(json!("1")), Some(json!(2)), Some(json!(4))] {
        assert!(ocsf(open.clone()), "{open:?}");
    }
    assert!(!ocsf(Some(json!(3))));
}
