//! The deployed application on the local cloud: real binary, real queue, the function's own enforced role.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed"
)]

use std::{
    collections::BTreeSet,
    path::Path,
    sync::LazyLock,
    time::{Duration, Instant},
};

use local_cloud::{CallError, Deployment, FUNCTIONS, LocalCloud, Service, function, workspace};
use remediation::clock::{Clock, SystemClock};
use securecart_tests::read_ip_set;
use serde_json::{Value, json};

static CLOUD: LazyLock<LocalCloud> = LazyLock::new(|| LocalCloud::start(&|_| {}).unwrap());

fn deploy(stack: &str, mode: &str) -> Deployment {
    static BINARY: LazyLock<std::path::PathBuf> = LazyLock::new(|| function("block-ip").unwrap());
    let template = workspace().unwrap().join("template.yaml");
    let parameters = [("LedgerDeletionProtection", "false")];
    let binary: &Path = &BINARY;
    // The other functions are deployed, too, and never run: any binary stands for theirs.
    let binaries = FUNCTIONS.map(|name| (name, binary));
    let deployment = CLOUD.deploy(&template, stack, &binaries, &parameters).unwrap();
    let own = json!({ "mode": mode, "allowList": ["203.0.113.0/28"] });
    let document = json!({ "functions": { "block-ip": own } });
    CLOUD.set(&deployment, &document.to_string()).unwrap();
    deployment
}

fn sample(name: &str) -> Value {
    let file = workspace().unwrap().join("events/block-ip").join(name);
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

fn attack(id: &str, address: &str) -> Value {
    testkit::events::brute_force(&testkit::events::Attack {
        id,
        seen: SystemClock.now(),
        address,
        severity: 2.0,
    })
}

fn invoke(stack: &Deployment, payload: &Value) -> Result<Value, CallError> {
    CLOUD.invoke(&stack.outputs["BlockIpFunctionName"], payload)
}

fn outcome(answer: &Value) -> String {
    answer["outcomes"][0]["outcome"]
        .as_object()
        .unwrap()
        .keys()
        .next()
        .unwrap()
        .clone()
}

fn set(stack: &Deployment) -> Vec<String> {
    read_ip_set(&CLOUD, &stack.outputs["RegionalIPv4SetRef"]).unwrap().0
}

fn wait_for(what: &str, patience: Duration, holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(
            begin.elapsed() < patience,
            "{what}: not within {patience:?}; logs in {}",
            CLOUD.logs().display()
        );
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// The calls to WAF that a function made, told from those of the test by the role's temporary credentials.
fn updates_by_functions() -> usize {
    let calls = CLOUD.extension().calls().unwrap();
    calls
        .iter()
        .filter(|call| call.operation == "UpdateIPSet" && call.access_key.starts_with("ASIA"))
        .count()
}

/// How often the function ran, for a batch of its queue or by its schedule.
fn runs(stack: &Deployment) -> usize {
    let group = format!("/aws/lambda/{}", stack.outputs["BlockIpFunctionName"]);
    let lines = json!({ "logGroupName": group, "filterPattern": "\"START RequestId\"" });
    let told = CLOUD.boto3(&[("logs", "filter_log_events", lines)]).unwrap().remove(0);
    told.unwrap()["events"].as_array().unwrap().len()
}

fn is_empty(queue: &str) -> bool {
    let names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"];
    let asked = json!({ "QueueUrl": queue, "AttributeNames": names });
    let told = CLOUD.call(Service::Sqs, "GetQueueAttributes", &asked).unwrap();
    names.iter().all(|name| told["Attributes"][name] == "0")
}

/// One test, in order: the stacks share the emulator's one second between updates, and its call log.
#[test]
fn the_deployed_function() {
    dry_run_shows_and_writes_nothing();
    let stack = deploy("live", "enforce");
    every_form_of_input_is_answered(&stack);
    a_storm_through_the_queue_is_few_writes(&stack);
    a_batch_answers_for_each_record(&stack);
}

fn dry_run_shows_and_writes_nothing() {
    let stack = deploy("dry", "dry-run");
    let answer = invoke(&stack, &sample("ssh-brute-force.json")).unwrap();
    assert_eq!(outcome(&answer), "WouldRemediate");
    invoke(&stack, &sample("schedule.json")).unwrap();
    assert!(set(&stack).is_empty());
    assert_eq!(updates_by_functions(), 0);
}

fn every_form_of_input_is_answered(stack: &Deployment) {
    let explained = invoke(stack, &json!({ "explain": sample("ssh-brute-force.json") })).unwrap();
    assert_eq!(outcome(&explained), "WouldRemediate");
    assert!(set(stack).is_empty(), "explain wrote");

    let blocked = invoke(stack, &sample("ssh-brute-force.json")).unwrap();
    assert_eq!(outcome(&blocked), "Remediated");
    assert_eq!(set(stack), ["198.51.100.23/32"]);
    let ocsf = invoke(stack, &sample("security-hub-v2-ssh-brute-force.json")).unwrap();
    assert_eq!(
        outcome(&ocsf),
        "Remediated",
        "the same finding by another way is the same matter"
    );
    assert_eq!(updates_by_functions(), 1);

    let record = blocked["outcomes"][0]["record"].as_str().unwrap();
    assert_eq!(outcome(&invoke(stack, &json!({ "undo": record })).unwrap()), "Undone");
    assert!(set(stack).is_empty());
    let refused = invoke(stack, &json!({ "undo": record })).unwrap_err().to_string();
    assert!(refused.contains("undone already"), "{refused}");
    let unknown = invoke(stack, &json!({ "undo": "block-ip-000000000000000000000000" }))
        .unwrap_err()
        .to_string();
    assert!(unknown.contains("no such record"), "{unknown}");
    let malformed = invoke(stack, &sample("malformed-detail.json")).unwrap_err().to_string();
    assert!(malformed.contains("198.51.100.256"), "{malformed}");
    let swept = invoke(stack, &sample("schedule.json")).unwrap();
    assert_eq!(swept["unsettled"], json!([]));
}

fn a_storm_through_the_queue_is_few_writes(stack: &Deployment) {
    const ATTACKERS: usize = 400;
    let queue = stack.outputs["BlockIpQueueUrl"].as_str();
    let before = (updates_by_functions(), runs(stack));
    let bodies: Vec<String> = (0..ATTACKERS)
        .map(|n| attack(&format!("storm-{n}"), &format!("192.0.{}.{}", 2 + n / 200, n % 200)).to_string())
        .collect();
    let begin = Instant::now();
    for (batch, bodies) in bodies.chunks(10).enumerate() {
        let entry = |(n, body): (usize, &String)| json!({ "Id": format!("{batch}-{n}"), "MessageBody": body });
        let entries: Vec<Value> = bodies.iter().enumerate().map(entry).collect();
        let request = json!({ "QueueUrl": queue, "Entries": entries });
        CLOUD.call(Service::Sqs, "SendMessageBatch", &request).unwrap();
    }
    wait_for("all attackers blocked", Duration::from_secs(180), || {
        set(stack).len() == ATTACKERS
    });
    // A run is in the log once it has ended.
    wait_for("all batches answered", Duration::from_secs(60), || is_empty(queue));
    let blocked: BTreeSet<String> = set(stack).into_iter().collect();
    let expected: BTreeSet<String> = (0..ATTACKERS)
        .map(|n| format!("192.0.{}.{}/32", 2 + n / 200, n % 200))
        .collect();
    assert_eq!(blocked, expected);
    let updates = updates_by_functions() - before.0;
    let runs = runs(stack) - before.1;
    println!(
        "{ATTACKERS} attackers through the queue in {:.1} s with {updates} UpdateIPSet calls in {runs} runs",
        begin.elapsed().as_secs_f64()
    );
    assert!(updates <= runs, "{updates} calls in {runs} runs");
}

fn a_batch_answers_for_each_record(stack: &Deployment) {
    let batch = sample("sqs-batch.json");
    let answer = invoke(stack, &batch).unwrap();
    let failed: Vec<&str> = answer["batchItemFailures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|failure| failure["itemIdentifier"].as_str().unwrap())
        .collect();
    assert_eq!(failed.len(), 1, "one of its three records cannot be read: {answer}");
    let bodies = batch["Records"].as_array().unwrap();
    let bad = bodies.iter().find(|record| record["messageId"] == failed[0]).unwrap();
    assert_eq!(bad["messageId"], "028a52e4-7f3c-4d1b-9c20-5be61f0a7721");
}
