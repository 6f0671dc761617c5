//! `template.yaml` and the code say the same thing. No emulator is needed for it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use remediation::settings::{Mode, SettingsReader};
use serde_json::Value;

/// The settings that the function and its runtime read.
const SETTINGS: [&str; 10] = [
    "ALLOW_LIST",
    "ALLOW_SAMPLE_FINDINGS",
    "BLOCK_HOURS",
    "BLOCK_HOURS_CAP",
    "BLOCK_IPV4_SETS",
    "BLOCK_IPV6_SETS",
    "LEDGER_TABLE",
    "METRICS_NAMESPACE",
    "MODE",
    "PROTECTED_RANGES",
];

/// Read by the TLS library: the certificates of Lambda's image.
const FOR_TLS: &str = "SSL_CERT_FILE";

/// Every action that the role allows, and what needs it.
const ALLOWED: [(&str, &str); 15] = [
    ("wafv2:GetIPSet", "block-ip looks at a set before and after"),
    ("wafv2:UpdateIPSet", "block-ip's one write"),
    ("dynamodb:BatchGetItem", "the ledger finds records"),
    ("dynamodb:Query", "the ledger reads what stands in a scope"),
    ("dynamodb:PutItem", "a put in the ledger's transactions"),
    ("dynamodb:DeleteItem", "a delete in the ledger's transactions"),
    ("dynamodb:UpdateItem", "the ledger takes a turn"),
    (
        "securityhub:BatchUpdateFindings",
        "the reporter answers, in both forms of Security Hub",
    ),
    ("sqs:ReceiveMessage", "Lambda polls the queue with the function's role"),
    (
        "sqs:DeleteMessage",
        "Lambda deletes what the function did not return as failed",
    ),
    ("sqs:GetQueueAttributes", "Lambda scales by the length of the queue"),
    ("logs:CreateLogStream", "Lambda writes the log with the function's role"),
    ("logs:PutLogEvents", "Lambda writes the log with the function's role"),
    ("xray:PutTraceSegments", "Lambda's tracing"),
    ("xray:PutTelemetryRecords", "Lambda's tracing"),
];

fn properties(resource: &str) -> Value {
    common::template()["Resources"][resource]["Properties"].clone()
}

/// The default of a parameter, as the text that CloudFormation makes of it.
fn default(parameter: &str) -> String {
    text(&common::template()["Parameters"][parameter]["Default"])
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The function's environment in a stack with default parameters.
fn environment() -> BTreeMap<String, String> {
    let environment = properties("BlockIpFunction")["Environment"]["Variables"].clone();
    let parameters = common::template()["Parameters"].clone();
    let resolve = |value: &Value| {
        // CloudFront is not protected by default: the second branch holds.
        let value = value.get("Fn::If").map_or(value, |branches| &branches[2]);
        match value.get("Ref").and_then(Value::as_str) {
            Some(name) if parameters.get(name).is_some() => default(name),
            // What CloudFormation gives for an IP set.
            Some(name) if name.ends_with("Set") => format!("{name}|00000000-0000-0000-0000-000000000000|REGIONAL"),
            Some(name) => name.to_owned(),
            None => text(value),
        }
    };
    environment
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.clone(), resolve(value)))
        .collect()
}

#[test]
fn the_environment_is_what_the_code_reads() {
    let set: BTreeSet<_> = environment().into_keys().collect();
    let read: BTreeSet<_> = SETTINGS.into_iter().chain([FOR_TLS]).map(str::to_owned).collect();
    assert_eq!(set, read);
}

/// The list above is not a wish: each name stands in the code that reads settings, and no other does.
#[test]
fn the_settings_are_those_in_the_code() {
    let sources = [
        "functions/block-ip/src/settings.rs",
        "shared/remediation-aws/src/runtime.rs",
    ];
    let code: String = sources
        .map(|path| std::fs::read_to_string(common::root().join(path)).unwrap())
        .concat();
    let calls = ["reader.required(\"", "reader.or_default(\"", ".or_default(\""];
    let read: BTreeSet<_> = calls
        .iter()
        .flat_map(|call| code.split(call).skip(1).filter_map(|rest| rest.split('"').next()))
        .filter(|name| {
            name.chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
        })
        .collect();
    assert_eq!(read, BTreeSet::from(SETTINGS));
}

#[test]
fn the_default_parameters_are_valid_settings_and_change_nothing() {
    let settings = block_ip::Settings::read(SettingsReader::new(environment())).unwrap();
    assert_eq!(settings.policy.mode, Mode::DryRun);
    assert!(!settings.policy.allow_samples);
    assert_eq!(settings.sets.len(), 2);
    let code = block_ip::Terms::default();
    assert_eq!(
        settings.terms, code,
        "the defaults of the template are the defaults of the code"
    );
}

#[test]
fn every_mode_that_the_template_offers_is_one() {
    let modes = common::template()["Parameters"]["Mode"]["AllowedValues"].clone();
    let modes: BTreeSet<_> = modes.as_array().unwrap().iter().map(text).collect();
    assert!(modes.iter().all(|mode| mode.parse::<Mode>().is_ok()), "{modes:?}");
    assert_eq!(modes.len(), 4);
}

#[test]
fn the_role_allows_what_the_code_calls_and_nothing_else() {
    let role = properties("BlockIpRole");
    assert!(role.get("ManagedPolicyArns").is_none(), "what AWS manages, AWS widens");
    let mut allowed = Vec::new();
    for policy in role["Policies"].as_array().unwrap() {
        for statement in policy["PolicyDocument"]["Statement"].as_array().unwrap() {
            assert!(
                statement.get("NotAction").is_none() && statement.get("NotResource").is_none(),
                "{statement}"
            );
            if statement["Effect"] == "Allow" {
                let actions = statement["Action"]
                    .as_array()
                    .cloned()
                    .unwrap_or_else(|| vec![statement["Action"].clone()]);
                allowed.extend(actions.iter().map(text));
                let is_trace = statement["Sid"] == "Trace";
                assert!(statement["Resource"] != "*" || is_trace, "{statement}");
            }
        }
    }
    allowed.sort();
    let mut needed: Vec<_> = ALLOWED.iter().map(|(action, _)| (*action).to_owned()).collect();
    needed.sort();
    assert_eq!(allowed, needed);
}

#[test]
fn one_bad_record_does_not_bring_its_batch_again() {
    let source = properties("BlockIpFunction")["Events"]["Findings"]["Properties"].clone();
    assert_eq!(
        source["FunctionResponseTypes"],
        serde_json::json!(["ReportBatchItemFailures"])
    );
}

/// AWS advises six times the timeout, so that Lambda can try a throttled batch again before its messages come back.
#[test]
fn a_message_stays_hidden_while_it_is_worked_on() {
    let template = common::template();
    let timeout = template["Globals"]["Function"]["Timeout"].as_u64().unwrap();
    assert!(properties("BlockIpFunction").get("Timeout").is_none());
    let window = template["Parameters"]["BatchingWindowSeconds"]["MaxValue"]
        .as_u64()
        .unwrap();
    let hidden = properties("BlockIpQueue")["VisibilityTimeout"].as_u64().unwrap();
    assert!(hidden >= 6 * timeout + window, "{hidden} < 6 * {timeout} + {window}");
}

/// EventBridge refuses such a pattern when it is deployed, and no check before that does.
#[test]
fn no_pattern_mixes_numbers_and_texts_within_anything_but() {
    fn check(value: &Value) {
        if let Some(excluded) = value.get("anything-but").and_then(Value::as_array) {
            assert!(
                excluded.iter().all(Value::is_string) || excluded.iter().all(Value::is_number),
                "{value}"
            );
        }
        match value {
            Value::Object(entries) => entries.values().for_each(check),
            Value::Array(entries) => entries.iter().for_each(check),
            _ => {}
        }
    }
    check(&common::template()["Resources"]);
}
