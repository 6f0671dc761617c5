//! What a function's permissions are for: every sample and its undo, and beside them what no sample is about.

use std::time::Duration;

use local_cloud::{Answer, logical, workspace};
use securecart_tests::{
    laboratory::Laboratory,
    seeds::{ADMIN, allow, policy},
    stack::{Stack, sample},
};
use serde_json::{Value, json};

pub const DEADLINE: Duration = Duration::from_secs(20);

const GROUP: &str = "sg-0a1b2c3d4e5f60718";

/// The names of the sample events of a function.
fn samples(function: &str) -> Vec<String> {
    let folder = workspace().unwrap().join("events").join(function);
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<_> = names
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .filter(|name| !name.starts_with("command"))
        .collect();
    names.sort();
    names
}

/// Each in the account as it was. Returns what was not done that had to be.
pub fn run(laboratory: &Laboratory, function: &str) -> Vec<String> {
    for name in samples(function) {
        laboratory.stack.cloud.restore().unwrap();
        there_and_back(laboratory, function, &name, &sample(function, &name));
    }
    laboratory.stack.cloud.restore().unwrap();
    let stack = &laboratory.stack;
    let mut undone = Vec::new();
    let mut changed = |name: &str, event: &Value| {
        let (answer, changes) = there_and_back(laboratory, function, name, event);
        if changes == 0 {
            undone.push(format!("{function} {name}: {answer:?}"));
        }
    };
    match function {
        "block-ip" => expiry(laboratory),
        "disable-access-key" => compromised_after_a_rule(laboratory),
        "close-open-ingress" => {
            tagged_rule(stack);
            changed("a rule with tags", &sample(function, "securityhub-ec2-13"));
        }
        "enforce-s3-encryption" => {
            key_of_the_customer_s(stack);
            changed("a key of the customer's", &sample(function, "securityhub-s3-17"));
        }
        "revoke-permissions" => {
            for (name, event) in groups_and_users(stack) {
                changed(name, &event);
            }
        }
        _ => {}
    }
    undone
}

/// Deals with an event about the account that is looked after, and undoes what was changed; says how much that was.
fn there_and_back(laboratory: &Laboratory, function: &str, name: &str, event: &Value) -> (Answer, usize) {
    let mut instance = laboratory.instance(function).unwrap();
    let before = laboratory.records().unwrap();
    let answer = instance.invoke(&laboratory.stack.here(event), DEADLINE);
    assert!(
        matches!(answer, Answer::Response(_) | Answer::Error(_)),
        "{function} {name}: {answer:?}"
    );
    let mut changes = 0;
    for (record, status) in laboratory.records().unwrap() {
        if status == "Remediated" && !before.contains_key(&record) {
            let undone = instance.invoke(&json!({ "undo": record }), DEADLINE);
            assert!(matches!(undone, Answer::Response(_)), "{function} {name}: {undone:?}");
            changes += 1;
        }
    }
    (answer, changes)
}

/// What holds a key by a rule leaves the ledger when the key turns out to be compromised.
fn compromised_after_a_rule(laboratory: &Laboratory) {
    let function = "disable-access-key";
    let mut instance = laboratory.instance(function).unwrap();
    for (name, by_rule) in [("securityhub-iam3", 1), ("guardduty-key-compromised", 0)] {
        let answer = instance.invoke(&laboratory.stack.here(&sample(function, name)), DEADLINE);
        assert!(matches!(answer, Answer::Response(_)), "{answer:?}");
        let items = laboratory.ledger().unwrap().into_iter();
        let targets = items.filter_map(|item| item["sk"]["S"].as_str().map(str::to_owned));
        assert_eq!(
            targets.filter(|target| target.ends_with("(rotation)")).count(),
            by_rule,
            "{name}"
        );
    }
}

/// A block whose time is up leaves the IP set with one sweep, and the ledger with the next.
fn expiry(laboratory: &Laboratory) {
    let mut instance = laboratory.instance("block-ip").unwrap();
    let mut answered = |payload: &Value| {
        let answer = instance.invoke(payload, DEADLINE);
        assert!(matches!(answer, Answer::Response(_)), "{answer:?}");
    };
    answered(&sample("block-ip", "ssh-brute-force"));
    let blocks = |laboratory: &Laboratory| {
        let items = laboratory.ledger().unwrap().into_iter();
        items
            .filter(|item| {
                item["pk"]["S"].as_str().unwrap().starts_with("standing#") && item.to_string().contains("cidr")
            })
            .collect::<Vec<_>>()
    };
    let standing = blocks(laboratory);
    assert!(!standing.is_empty());
    for mut item in standing {
        let mut body: Value = serde_json::from_str(item["body"]["S"].as_str().unwrap()).unwrap();
        body["change"]["until"] = body["change"]["since"].clone();
        item["body"]["S"] = json!(body.to_string());
        let put = json!({ "TableName": laboratory.stack.deployment.outputs["LedgerTableName"], "Item": item });
        laboratory.stack.boto3(&[("dynamodb", "put_item", put)]);
    }
    answered(&sample("block-ip", "schedule"));
    answered(&sample("block-ip", "schedule"));
    assert_eq!(blocks(laboratory), Vec::<Value>::new());
}

fn tagged_rule(stack: &Stack) {
    let range = json!({ "IpProtocol": "tcp", "FromPort": 22, "ToPort": 23, "IpRanges": [{ "CidrIp": "0.0.0.0/0" }] });
    let tags = json!([{ "ResourceType": "security-group-rule", "Tags": [{ "Key": "owner", "Value": "zoe" }] }]);
    let open = json!({ "GroupId": GROUP, "IpPermissions": [range], "TagSpecifications": tags });
    stack.boto3(&[("ec2", "authorize_security_group_ingress", open)]);
}

fn key_of_the_customer_s(stack: &Stack) {
    let key = stack.boto3(&[("kms", "create_key", json!({}))]).remove(0)["KeyMetadata"]["Arn"].take();
    let own = json!({ "enforce-s3-encryption": { "defaultEncryption": key } });
    let settings = json!({ "mode": "enforce", "functions": own });
    stack.cloud.set(&stack.deployment, &settings.to_string()).unwrap();
}

/// What the samples say of roles and policies, said of a group and of a user.
fn groups_and_users(stack: &Stack) -> Vec<(&'static str, Value)> {
    let decrypt = policy(&json!([allow("kms:Decrypt", "*"), allow("s3:GetObject", "*")]));
    let put = |name: &str, text: &str| {
        let put = json!({ "GroupName": "operators", "PolicyName": name, "PolicyDocument": text });
        ("iam", "put_group_policy", put)
    };
    stack.boto3(&[
        ("iam", "create_group", json!({ "GroupName": "operators" })),
        ("iam", "create_group", json!({ "GroupName": "deployers" })),
        put("decrypt-reports", &decrypt),
        ("iam", "put_group_policy", json!({ "GroupName": "deployers", "PolicyName": "deploy-anything", "PolicyDocument": policy(&json!([allow("*", "*")])) })),
        ("iam", "attach_group_policy", json!({ "GroupName": "operators", "PolicyArn": ADMIN })),
        ("iam", "attach_user_policy", json!({ "UserName": "contractor", "PolicyArn": ADMIN })),
    ]);
    let groups = json!({ "groups": [
        { "name": "operators", "id": "AGPA2EXAMPLEOPERATOR" },
        { "name": "deployers", "id": "AGPA2EXAMPLEDEPLOYER" },
    ] });
    stack.set_identities(&groups);
    let said = |name: &str, words: &[(&str, &str)]| {
        let text = sample("revoke-permissions", name).to_string();
        let text = words
            .iter()
            .fold(text, |text, (word, instead)| text.replace(word, instead));
        serde_json::from_str(&text).unwrap()
    };
    let group = ("AWS::IAM::Role", "AWS::IAM::Group");
    vec![
        (
            "an inline policy of a group is trimmed",
            said(
                "securityhub-kms2",
                &[
                    ("AwsIamRole", "AwsIamGroup"),
                    (":role/", ":group/"),
                    ("RoleName", "GroupName"),
                    ("securecart-reports", "operators"),
                ],
            ),
        ),
        (
            "an inline policy of a group goes",
            said(
                "config-inline-policy",
                &[
                    ("AWS::IAM::User", "AWS::IAM::Group"),
                    ("AIDA2EXAMPLECONTRACT", "AGPA2EXAMPLEDEPLOYER"),
                ],
            ),
        ),
        (
            "a managed policy is detached from a group",
            said(
                "config-blacklisted",
                &[group, ("AROA2EXAMPLEBATCH000", "AGPA2EXAMPLEOPERATOR")],
            ),
        ),
        (
            "a managed policy is detached from a user",
            said(
                "config-blacklisted",
                &[
                    ("AWS::IAM::Role", "AWS::IAM::User"),
                    ("AROA2EXAMPLEBATCH000", "AIDA2EXAMPLECONTRACT"),
                ],
            ),
        ),
    ]
}

/// What Lambda does with the function's own credentials: it takes the messages of the queue, and writes the log. Each call is judged, whether
/// or not there is something to be taken.
pub fn as_lambda(laboratory: &Laboratory, function: &str) {
    let output = |name: &str| &laboratory.stack.deployment.outputs[&format!("{}{name}", logical(function))];
    let queue = |more: Value| {
        let mut parameters = json!({ "QueueUrl": output("QueueUrl") });
        parameters
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        parameters
    };
    let stream =
        json!({ "logGroupName": format!("/aws/lambda/{}", output("FunctionName")), "logStreamName": "a-stream" });
    let mut lines = stream.clone();
    lines["logEvents"] = json!([{ "timestamp": 1_700_000_000_000_u64, "message": "a line" }]);
    let calls = [
        (
            "sqs",
            "get_queue_attributes",
            queue(json!({ "AttributeNames": ["All"] })),
        ),
        ("sqs", "receive_message", queue(json!({}))),
        (
            "sqs",
            "delete_message",
            queue(json!({ "ReceiptHandle": "of no message" })),
        ),
        ("logs", "create_log_stream", stream),
        ("logs", "put_log_events", lines),
    ];
    let credentials = laboratory.credentials(function).unwrap();
    drop(laboratory.stack.cloud.boto3_as(&credentials, &calls).unwrap());
}
