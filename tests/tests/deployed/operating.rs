//! The operator's command on the deployed application: the real `securecart`, the real function, on the local cloud.
#![allow(clippy::print_stdout, reason = "what was left out is said")]

use std::{
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use local_cloud::{Service, workspace};
use securecart_tests::read_ip_set;
use serde_json::{Value, json};

use crate::stack::{Stack, outcomes};

const STACK: &str = "operated";

/// What a command printed, and its exit code.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{} {}", self.out, self.err);
        serde_json::from_str(&self.out).unwrap()
    }
}

struct Operator<'a> {
    stack: &'a Stack,
    program: PathBuf,
}

impl Operator<'_> {
    fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(&self.program);
        command.args(["--stack", STACK]).args(arguments);
        command.envs(self.stack.cloud.environment());
        let output = command.output().unwrap();
        Ran {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn put(&self, settings: &Value) -> Ran {
        let file = std::env::temp_dir().join(format!("settings-{}.json", std::process::id()));
        std::fs::write(&file, settings.to_string()).unwrap();
        let ran = self.run(&["settings", "put", file.to_str().unwrap()]);
        std::fs::remove_file(file).unwrap();
        ran
    }

    fn addresses(&self) -> Vec<String> {
        let set = &self.stack.deployment.outputs["RegionalIPv4SetRef"];
        read_ip_set(&self.stack.cloud, set).unwrap().0
    }
}

/// One test, in order: the stack is deployed once.
#[test]
fn s88_an_operator_looks_stops_undoes_and_verifies() {
    let stack = Stack::deploy("block-ip", STACK, &json!({}));
    let operator = Operator {
        program: local_cloud::function("securecart").unwrap(),
        stack: &stack,
    };
    let queue = listen(&stack);

    let blocked = stack.invoke("ssh-brute-force").unwrap();
    let (outcome, record) = outcomes(&blocked).remove(0);
    assert_eq!(outcome, "Remediated", "{blocked}");
    let notice = heard(&stack, &queue);
    assert!(
        notice.contains(&format!("Take it back: securecart undo {record}")),
        "{notice}"
    );

    let listed = operator.run(&["ledger", "list", "--json"]).json();
    assert!(
        listed
            .as_array()
            .unwrap()
            .iter()
            .any(|listed| listed["id"] == record.as_str()),
        "{listed}"
    );
    let shown = operator.run(&["ledger", "show", &record]).out;
    for line in ["target    ", "inverse   "] {
        assert!(shown.contains(line), "{line} in {shown}");
    }
    assert_eq!(operator.run(&["ledger", "verify"]).code, 0);

    the_report_is_read_in_a_browser(&operator, &record);

    let before = operator.addresses();
    assert!(!before.is_empty());
    let events = workspace().unwrap().join("events/block-ip");
    let replayed = operator.run(&["replay", events.to_str().unwrap(), "--json"]).json();
    assert!(replayed["events"].as_u64().unwrap() > 10, "{replayed}");
    let would = replayed["outcomes"].as_array().unwrap().iter();
    assert!(
        would.clone().any(|row| row["outcome"] == "WouldRemediate"),
        "{replayed}"
    );
    assert_eq!(operator.addresses(), before, "a replay writes nothing");

    let undone = operator.run(&["undo", &record]);
    assert_eq!(undone.code, 0, "{}", undone.err);
    assert!(operator.addresses().is_empty());
    let shown = operator.run(&["ledger", "show", &record, "--json"]).json();
    assert!(
        shown["reverted"]["by"].as_str().unwrap().starts_with("arn:aws:"),
        "{shown}"
    );
    assert!(shown["actor"].as_str().unwrap().contains(":role/"), "{shown}");
    let twice = operator.run(&["undo", &record]);
    assert_eq!(twice.code, 1);
    assert!(twice.err.contains("it has been undone already"), "{}", twice.err);
    let unknown = operator.run(&["undo", "block-ip-000000000000000000000000"]);
    assert!(
        unknown.code == 1 && unknown.err.contains("no such record"),
        "{}",
        unknown.err
    );

    the_kill_switch_holds_within_a_minute(&stack, &operator);
    wrong_settings_stop_everything(&stack, &operator);
    the_records_of_a_finding_are_found(&operator, &record);
    what_was_tampered_with_is_found(&stack, &operator, &record);
}

/// Chromium renders the page, as far as this machine has one.
fn the_report_is_read_in_a_browser(operator: &Operator<'_>, record: &str) {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("report.html");
    assert_eq!(operator.run(&["report", "--out", page.to_str().unwrap()]).code, 0);
    let undo = format!("securecart undo {record}");
    assert!(std::fs::read_to_string(&page).unwrap().contains(&undo));
    let browse = |arguments: &[&str]| {
        let mut command = Command::new("chromium");
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--window-size=1100,1400",
        ]);
        command.args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ]);
        command.arg(format!("--user-data-dir={}", folder.path().join("profile").display()));
        command
            .args(arguments)
            .arg(format!("file://{}", page.display()))
            .output()
    };
    let shown = match browse(&["--dump-dom"]) {
        Ok(output) => String::from_utf8(output.stdout).unwrap(),
        Err(error) => return println!("the report was not looked at in a browser: chromium: {error}"),
    };
    // As the browser has understood it: every element is closed, and the diagram is one.
    for part in [
        "<code>".to_owned() + &undo + "</code>",
        "</details>".to_owned(),
        "</rect>".to_owned(),
        "</table>".to_owned(),
    ] {
        assert!(shown.contains(&part), "{part} in {shown}");
    }
    let picture = folder.path().join("report.png");
    browse(&[&format!("--screenshot={}", picture.display())]).unwrap();
    // A blank page of this size has some 6 kB.
    let size = std::fs::metadata(&picture).unwrap().len();
    assert!(size > 20_000, "a picture of {size} bytes");
}

/// A queue that hears all notices.
fn listen(stack: &Stack) -> String {
    let queue = stack
        .boto3(&[("sqs", "create_queue", json!({ "QueueName": "notices" }))])
        .remove(0)["QueueUrl"]
        .take();
    let attributes = json!({ "QueueUrl": queue, "AttributeNames": ["QueueArn"] });
    let arn = stack.boto3(&[("sqs", "get_queue_attributes", attributes)]).remove(0)["Attributes"]["QueueArn"].take();
    let topic = &stack.deployment.outputs["NoticeTopicArn"];
    let policy = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": { "Service": "sns.amazonaws.com" }, "Action": "sqs:SendMessage", "Resource": arn,
        "Condition": { "ArnEquals": { "aws:SourceArn": topic } }
    }] });
    let attributes = json!({ "QueueUrl": queue, "Attributes": { "Policy": policy.to_string() } });
    stack.boto3(&[("sqs", "set_queue_attributes", attributes)]);
    let subscription = json!({ "TopicArn": topic, "Protocol": "sqs", "Endpoint": arn, "Attributes": { "RawMessageDelivery": "true" } });
    stack.boto3(&[("sns", "subscribe", subscription)]);
    queue.as_str().unwrap().to_owned()
}

fn heard(stack: &Stack, queue: &str) -> String {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(20) {
        let receive = json!({ "QueueUrl": queue, "WaitTimeSeconds": 2 });
        let answer = stack.boto3(&[("sqs", "receive_message", receive)]).remove(0);
        if let Some(body) = answer["Messages"][0]["Body"].as_str() {
            return body.to_owned();
        }
    }
    panic!("no notice was heard")
}

fn the_kill_switch_holds_within_a_minute(stack: &Stack, operator: &Operator<'_>) {
    assert_eq!(operator.run(&["settings", "stop"]).code, 0);
    stack.wait_for_settings();
    let waits = stack.invoke("rdp-brute-force").unwrap();
    let told = outcomes(&waits);
    assert!(told.iter().all(|(outcome, _)| outcome == "AwaitingApproval"), "{waits}");
    assert!(waits.to_string().contains("stopped"), "{waits}");
    let refused = operator.run(&["approve", &told[0].1]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("set stop to false"), "{}", refused.err);
    assert!(operator.addresses().is_empty());
    assert_eq!(operator.run(&["settings", "resume"]).code, 0);
}

fn wrong_settings_stop_everything(stack: &Stack, operator: &Operator<'_>) {
    let wrong = json!({ "mode": "enforced", "functions": { "block-ip": { "allowList": ["10.0.0.5/24"] }, "revoke-permissions": { "x": 1 } } });
    let refused = operator.put(&wrong);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("mode"), "{}", refused.err);
    let wrong =
        json!({ "functions": { "block-ip": { "allowList": ["10.0.0.5/24"] }, "revoke-permissions": { "x": 1 } } });
    let refused = operator.put(&wrong).err;
    for path in ["functions.block-ip.allowList[0]", "functions.revoke-permissions.x"] {
        assert!(refused.contains(path), "{refused}");
    }
    // Around the command.
    stack.cloud.set(&stack.deployment, &wrong.to_string()).unwrap();
    stack.wait_for_settings();
    let refused = stack.invoke("ssh-brute-force").unwrap_err().to_string();
    assert!(refused.contains("functions.block-ip.allowList[0]"), "{refused}");
    let valid = json!({ "functions": { "block-ip": { "mode": "enforce" } } });
    assert_eq!(operator.put(&valid).code, 0);
    stack.invoke("ssh-brute-force").unwrap();
}

fn the_records_of_a_finding_are_found(operator: &Operator<'_>, record: &str) {
    let finding = operator.run(&["ledger", "show", record, "--json"]).json()["evidence"]["id"].take();
    let list = |arguments: &[&str]| {
        let listed = operator
            .run(&[&["ledger", "list", "--json"], arguments].concat())
            .json();
        listed.as_array().unwrap().clone()
    };
    let listed = list(&["--finding", finding.as_str().unwrap()]);
    assert!(listed.iter().any(|listed| listed["id"] == record), "{listed:?}");
    let of_it = |listed: &Value| listed["evidence"]["id"] == finding;
    assert!(listed.iter().all(of_it), "{listed:?}");
    let all = list(&[]);
    assert_eq!(all.iter().filter(|listed| of_it(listed)).count(), listed.len());
    assert!(all.len() > listed.len(), "those of other findings are not among them");
    assert_eq!(list(&["--finding", "another"]), Vec::<Value>::new());
}

fn what_was_tampered_with_is_found(stack: &Stack, operator: &Operator<'_>, record: &str) {
    assert_eq!(operator.run(&["ledger", "verify"]).code, 0);
    let table = &stack.deployment.outputs["LedgerTableName"];
    let key = json!({ "pk": { "S": format!("record#{record}") }, "sk": { "S": "record" } });
    let delete = json!({ "TableName": table, "Key": key });
    stack.cloud.call(Service::DynamoDb, "DeleteItem", &delete).unwrap();
    let found = operator.run(&["ledger", "verify"]);
    assert_eq!(found.code, 1);
    assert!(
        found.out.contains(&format!("record {record}, written in link")),
        "{}",
        found.out
    );
}
