//! What each function calls is what its role allows: every call of every sample and undo is made under the role's own credentials, and no
//! permission is left over but those that are named here with their use.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed, and what was called is shown"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use local_cloud::{Answer, FUNCTIONS, Fault, workspace};
use securecart_tests::{
    laboratory::Laboratory,
    seeds,
    stack::{Stack, sample},
};
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_secs(20);

/// What Lambda calls for a function: it takes the messages of the queue, writes the log and sends traces.
const OF_LAMBDA: [&str; 7] = [
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:ReceiveMessage",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
];

/// What no sample leads to: an entry that is removed from the ledger when a block expires, a ledger or topic under a key of the customer's, and
/// member accounts, which `deployed accounts` is about.
const SELDOM: [&str; 4] = [
    "dynamodb:DeleteItem",
    "kms:Decrypt",
    "kms:GenerateDataKey",
    "sts:AssumeRole",
];
/// The same of single functions: tags of a rule that had some, a key that is set for buckets, what a group or a user has instead of a role.
const SELDOM_OF: [(&str, &str); 12] = [
    ("close-open-ingress", "ec2:CreateTags"),
    ("enforce-s3-encryption", "kms:DescribeKey"),
    ("enforce-s3-encryption", "kms:GetKeyPolicy"),
    ("revoke-permissions", "iam:AttachGroupPolicy"),
    ("revoke-permissions", "iam:AttachUserPolicy"),
    ("revoke-permissions", "iam:DeleteGroupPolicy"),
    ("revoke-permissions", "iam:DetachGroupPolicy"),
    ("revoke-permissions", "iam:DetachUserPolicy"),
    ("revoke-permissions", "iam:GetGroupPolicy"),
    ("revoke-permissions", "iam:ListAttachedGroupPolicies"),
    ("revoke-permissions", "iam:ListAttachedUserPolicies"),
    ("revoke-permissions", "iam:PutGroupPolicy"),
];

/// The names of the sample events of a function.
fn samples(function: &str) -> Vec<String> {
    let folder = workspace().unwrap().join("events").join(function);
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<_> = names
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// Every sample as it is, each in the account as it was; then whatever it changed is undone.
fn exercise(laboratory: &Laboratory, function: &str) {
    for name in samples(function).iter().filter(|name| !name.starts_with("command")) {
        laboratory.stack.cloud.restore().unwrap();
        let mut instance = laboratory.instance(function).unwrap();
        let answer = instance.invoke(&sample(function, name), DEADLINE);
        assert!(
            matches!(answer, Answer::Response(_) | Answer::Error(_)),
            "{function} {name}: {answer:?}"
        );
        for (record, status) in laboratory.records().unwrap() {
            if status == "Remediated" {
                let undone = instance.invoke(&json!({ "undo": record }), DEADLINE);
                assert!(matches!(undone, Answer::Response(_)), "{function} {name}: {undone:?}");
            }
        }
    }
}

/// The statements of a role that allow something: each action with its resources.
fn allowed(stack: &Stack, role: &str) -> BTreeMap<String, Vec<String>> {
    let listed = stack
        .boto3(&[("iam", "list_role_policies", json!({ "RoleName": role }))])
        .remove(0);
    let attached = stack
        .boto3(&[("iam", "list_attached_role_policies", json!({ "RoleName": role }))])
        .remove(0);
    let mut documents = Vec::new();
    for name in listed["PolicyNames"].as_array().unwrap() {
        let get = json!({ "RoleName": role, "PolicyName": name });
        documents.push(stack.boto3(&[("iam", "get_role_policy", get)]).remove(0)["PolicyDocument"].take());
    }
    for policy in attached["AttachedPolicies"].as_array().unwrap() {
        let arn = &policy["PolicyArn"];
        let known = stack
            .boto3(&[("iam", "get_policy", json!({ "PolicyArn": arn }))])
            .remove(0);
        let version = &known["Policy"]["DefaultVersionId"];
        let get = json!({ "PolicyArn": arn, "VersionId": version });
        documents
            .push(stack.boto3(&[("iam", "get_policy_version", get)]).remove(0)["PolicyVersion"]["Document"].take());
    }
    let list = |value: &Value| match value {
        Value::Array(all) => all.iter().map(|one| one.as_str().unwrap().to_owned()).collect(),
        one => vec![one.as_str().unwrap().to_owned()],
    };
    let mut allowed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for document in documents {
        for statement in document["Statement"].as_array().unwrap() {
            if statement["Effect"] == "Allow" {
                for action in list(&statement["Action"]) {
                    allowed.entry(action).or_default().extend(list(&statement["Resource"]));
                }
            }
        }
    }
    allowed
}

/// What moto does not judge is judged here: the action, and the ARN of what is called.
fn at_moto(laboratory: &Laboratory) -> BTreeMap<String, BTreeSet<String>> {
    let mut called: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for call in laboratory.proxy.calls() {
        let body: Value = serde_json::from_slice(&call.body).unwrap_or_default();
        let resource = match call.service.as_str() {
            "wafv2" => {
                let scope = if body["Scope"] == "CLOUDFRONT" {
                    "global"
                } else {
                    "regional"
                };
                let (name, id) = (body["Name"].as_str().unwrap(), body["Id"].as_str().unwrap());
                format!("arn:aws:wafv2:{}:111122223333:{scope}/ipset/{name}/{id}", call.region)
            }
            "securityhub" => "arn:aws:securityhub:us-east-1:111122223333:hub/default".to_owned(),
            _ => continue,
        };
        // The newer form of the operation has the permission of the older one.
        let operation = call.operation.trim_end_matches("V2");
        called
            .entry(format!("{}:{operation}", call.service))
            .or_default()
            .insert(resource);
    }
    called
}

fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|behind| {
            rest.is_empty()
                || (0..=behind.len()).any(|at| behind.is_char_boundary(at) && matches(rest, behind.split_at(at).1))
        }),
    }
}

#[test]
fn s95_what_is_called_is_what_is_allowed_and_nothing_is_allowed_besides() {
    let laboratory = Laboratory::of(Stack::deploy_all("privilege")).unwrap();
    seeds::everything(&laboratory.stack);
    laboratory.stack.cloud.save().unwrap();
    let mut wrong = Vec::new();
    for function in FUNCTIONS {
        laboratory.stack.cloud.reset_authorizations().unwrap();
        laboratory.proxy.plan(|_| Fault::None);
        exercise(&laboratory, function);
        let role =
            &laboratory.stack.deployment.resources[&format!("{}Role", local_cloud::logical(function))].physical_id;
        let session = format!(":assumed-role/{role}/");
        let judged = laboratory.stack.cloud.authorizations().unwrap();
        let own: Vec<_> = judged
            .into_iter()
            .filter(|judged| judged.principal.contains(&session))
            .collect();
        let mut called: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for call in &own {
            if call.decision == "Allow" {
                called
                    .entry(call.action.clone())
                    .or_default()
                    .insert(call.resource.clone());
            } else {
                wrong.push(format!("{function} is refused {} on {}", call.action, call.resource));
            }
        }
        let allowed = allowed(&laboratory.stack, role);
        for (action, resources) in at_moto(&laboratory) {
            for resource in &resources {
                let is_allowed = allowed
                    .get(&action)
                    .is_some_and(|of| of.iter().any(|pattern| matches(pattern, resource)));
                if !is_allowed {
                    wrong.push(format!("{function} is not allowed {action} on {resource}"));
                }
            }
            called.entry(action).or_default().extend(resources);
        }
        println!(
            "{function}: {} calls; {}",
            own.len(),
            called.keys().cloned().collect::<Vec<_>>().join(" ")
        );
        for action in allowed.keys().filter(|action| !OF_LAMBDA.contains(&action.as_str())) {
            let is_called = called.contains_key(action);
            let is_seldom = SELDOM_OF.contains(&(function, action));
            if is_called == is_seldom && !SELDOM.contains(&action.as_str()) {
                let how = if is_called { "calls after all" } else { "never calls" };
                wrong.push(format!("{function} is allowed {action}, which it {how}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
