//! Deploying a template of one resource of each kind, with a function that runs under its own role.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::processes;
use local_cloud::{CallError, Deployment, LocalCloud, Service};
use serde_json::{Value, json};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");

/// The probe as one executable file, which runs with the emulators' Python.
fn probe(folder: &Path) -> PathBuf {
    let python = Path::new(FOLDER)
        .ancestors()
        .nth(2)
        .unwrap()
        .join("target/local-cloud/venv/bin/python");
    let program = std::fs::read_to_string(Path::new(FOLDER).join("probe.py")).unwrap();
    let file = folder.join("probe");
    std::fs::write(
        &file,
        format!("#!/bin/sh\nexec '{}' - <<'PROBE'\n{program}PROBE\n", python.display()),
    )
    .unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
    file
}

struct Stack {
    cloud: LocalCloud,
    probe: PathBuf,
    sample: PathBuf,
}

impl Stack {
    fn deploy(&self, parameters: &[(&str, &str)]) -> Deployment {
        self.cloud
            .deploy(&self.sample, "sample", &[("probe", &self.probe)], parameters)
            .unwrap()
    }

    fn ask(&self, event: &Value) -> Value {
        self.cloud.invoke("sample-probe", event).unwrap()
    }

    fn item(&self, table: &str, key: &str) -> Value {
        let body = json!({"TableName": table, "Key": {"pk": {"S": key}}});
        self.cloud.call(Service::DynamoDb, "GetItem", &body).unwrap()["Item"].clone()
    }
}

#[test]
fn a_template_of_every_kind() {
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack {
        cloud: LocalCloud::start(&|_| ()).unwrap(),
        probe: probe(folder.path()),
        sample: Path::new(FOLDER).join("sample.yaml"),
    };
    let deployed = stack.deploy(&[]);
    everything_is_there(&stack, &deployed);
    the_function_has_its_roles_rights_only(&stack, &deployed);
    an_event_reaches_the_table(&stack, &deployed);
    deploying_again_keeps_the_sets(&stack);
    what_cannot_be_created_fails_loudly(&stack, folder.path());
    the_prepared_template_has_no_waf(&stack, folder.path());
    the_functions_end_too(stack);
}

fn everything_is_there(stack: &Stack, deployed: &Deployment) {
    assert!(deployed.resources.values().all(|resource| resource.read_back));
    let dropped: Vec<_> = deployed
        .resources
        .iter()
        .filter(|(_, resource)| !resource.not_honoured.is_empty())
        .collect();
    assert!(dropped.is_empty(), "{dropped:?}");
    let set = &deployed.resources["V4"];
    assert_eq!(
        (set.kind.as_str(), set.created_by.as_str()),
        ("AWS::WAFv2::IPSet", "api")
    );
    assert_eq!(deployed.outputs["V4"], set.physical_id);
    assert!(set.physical_id.starts_with("sample-v4|") && set.physical_id.ends_with("|REGIONAL"));
    assert!(deployed.outputs["RuleGroupArn"].contains(":regional/rulegroup/sample-rules/"));
    assert!(!deployed.outputs.contains_key("GlobalSet") && !deployed.resources.contains_key("GlobalSet"));
    for kind in [
        "AWS::Lambda::EventSourceMapping",
        "AWS::IAM::Role",
        "AWS::SQS::QueuePolicy",
        "AWS::WAFv2::RuleGroup",
    ] {
        assert!(
            deployed.resources.values().any(|resource| resource.kind == kind),
            "{kind}"
        );
    }
    let environment =
        json!({"environment": ["SETS", "V6", "SSL_CERT_FILE", "GREETING", "AWS_ENDPOINT_URL_SECURITYHUB"]});
    let expected = json!({
        "SETS": set.physical_id, "V6": deployed.resources["V6"].physical_id, "SSL_CERT_FILE": null, "GREETING": "hello",
        "AWS_ENDPOINT_URL_SECURITYHUB": stack.cloud.waf_endpoint(),
    });
    assert_eq!(stack.ask(&environment), expected);
}

fn the_function_has_its_roles_rights_only(stack: &Stack, deployed: &Deployment) {
    let table = &deployed.outputs["TableName"];
    let call = |operation: &str, arguments: &Value| stack.ask(&json!({"call": ["dynamodb", operation, arguments]}));
    assert_eq!(
        call("get_item", &json!({"TableName": table, "Key": {"pk": {"S": "x"}}})),
        "served"
    );
    assert_eq!(call("scan", &json!({"TableName": table})), "AccessDeniedException");
    assert_eq!(
        call("get_item", &json!({"TableName": "other", "Key": {"pk": {"S": "x"}}})),
        "AccessDeniedException"
    );
    let failed = stack
        .cloud
        .invoke("sample-probe", &json!({"fail": "on purpose"}))
        .unwrap_err();
    assert!(
        matches!(&failed, CallError::Function { message, .. } if message == "on purpose"),
        "{failed}"
    );
}

fn an_event_reaches_the_table(stack: &Stack, deployed: &Deployment) {
    let event = |name: &str, label: &str| {
        let detail = json!({"name": name, "findings": [{"Severity": {"Label": label}}]}).to_string();
        json!({"Source": "securecart.test", "DetailType": "test", "Detail": detail})
    };
    let entries = json!({"Entries": [event("low", "LOW"), event("high", "HIGH")]});
    stack.cloud.call(Service::EventBridge, "PutEvents", &entries).unwrap();
    let table = &deployed.outputs["TableName"];
    let end = Instant::now() + Duration::from_secs(20);
    while stack.item(table, "high").is_null() {
        assert!(
            Instant::now() < end,
            "the event did not arrive; logs: {}",
            stack.cloud.logs().display()
        );
        sleep(Duration::from_millis(100));
    }
    assert_eq!(stack.item(table, "high")["greeting"]["S"], "hello");
    assert!(stack.item(table, "low").is_null(), "the rule leaves it out");
}

fn deploying_again_keeps_the_sets(stack: &Stack) {
    let before = stack.deploy(&[]);
    let after = stack.deploy(&[("Greeting", "good day"), ("Global", "true")]);
    assert_eq!(before.outputs["V4"], after.outputs["V4"]);
    assert_eq!(stack.ask(&json!({"environment": ["GREETING"]}))["GREETING"], "good day");
    let sets = format!("{},{}", after.outputs["V4"], after.outputs["GlobalSet"]);
    assert_eq!(stack.ask(&json!({"environment": ["SETS"]}))["SETS"], sets);
}

fn what_cannot_be_created_fails_loudly(stack: &Stack, folder: &Path) {
    let template = folder.join("unsupported.yaml");
    let resource = json!({"Type": "AWS::GuardDuty::Detector", "Properties": {"Enable": true}});
    std::fs::write(&template, json!({"Resources": {"Detector": resource}}).to_string()).unwrap();
    let error = stack
        .cloud
        .deploy(&template, "unsupported", &[], &[])
        .unwrap_err()
        .to_string();
    assert!(error.contains("AWS::GuardDuty::Detector"), "{error}");
}

fn the_prepared_template_has_no_waf(stack: &Stack, folder: &Path) {
    let prepared = folder.join("prepared.yaml");
    let made = stack
        .cloud
        .prepare(&stack.sample, "prepared", &[("probe", &stack.probe)], &[], &prepared)
        .unwrap();
    assert_eq!(made.resources.keys().collect::<Vec<_>>(), ["Rules", "V4", "V6"]);
    let template = std::fs::read_to_string(prepared).unwrap();
    assert!(!template.contains("AWS::WAFv2") && template.contains(&made.resources["V6"].physical_id));
}

fn the_functions_end_too(stack: Stack) {
    let run = stack.cloud.logs().to_owned();
    assert!(
        !cfg!(target_os = "linux") || processes(&run).len() >= 4,
        "the function's process is still warm"
    );
    drop(stack);
    assert_eq!(processes(&run), Vec::<PathBuf>::new());
}
