//! What an event says of its account, its Region and its source, and what else lies in a queue, takes no function beyond what it is for.

use std::collections::BTreeSet;

use local_cloud::{Answer, FUNCTIONS, Fault, REGION, logical};
use securecart_tests::{
    laboratory::{Laboratory, batch},
    seeds::{self, CHANGES},
    stack::sample,
};
use serde_json::{Value, json};

use crate::{HOME, exercises::DEADLINE, laboratory};

/// It has the same resources, and roles that would let our functions in, and is no member.
const STRANGER: &str = "888899990000";
const ELSEWHERE: &str = "eu-west-1";
/// Where findings come from.
const SOURCES: [&str; 7] = [
    "aws.access-analyzer",
    "aws.config",
    "aws.ec2",
    "aws.guardduty",
    "aws.health",
    "aws.s3",
    "aws.securityhub",
];

/// What came of an event.
struct After {
    answer: Answer,
    /// The lines of the account's state, and of every other account's, that are there only before or only after.
    changed: BTreeSet<String>,
    /// The Regions that were called.
    regions: BTreeSet<String>,
    /// The actions that the role refused.
    refused: BTreeSet<String>,
}

impl After {
    fn was_remediated(&self) -> bool {
        matches!(&self.answer, Answer::Response(answer) if answer.to_string().contains("\"Remediated\""))
    }
}

/// What comes of an event in the accounts as they were. No call is made as anybody but the function, and its role refuses what is the
/// stranger's, and that alone.
fn after(laboratory: &Laboratory, before: &BTreeSet<String>, function: &str, event: &Value) -> After {
    let cloud = &laboratory.stack.cloud;
    cloud.restore().unwrap();
    laboratory.proxy.plan(|_| Fault::None);
    cloud.reset_authorizations().unwrap();
    let answer = laboratory.instance(function).unwrap().invoke(event, DEADLINE);
    let mut refused = BTreeSet::new();
    for judged in cloud.authorizations().unwrap() {
        let is_refused = judged.decision == "Deny";
        assert_eq!(
            (judged.account.as_str(), is_refused),
            (HOME, judged.resource.contains(STRANGER)),
            "{function}: {event}\n{judged:?}"
        );
        if is_refused {
            refused.insert(judged.action);
        }
    }
    let now = cloud.state().unwrap();
    After {
        answer,
        changed: before.symmetric_difference(&now).cloned().collect(),
        regions: laboratory.proxy.calls().into_iter().map(|call| call.region).collect(),
        refused,
    }
}

/// With every text made another one.
fn said(value: &Value, say: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => json!(say(text)),
        Value::Array(list) => list.iter().map(|one| said(one, say)).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, one)| (name.clone(), said(one, say)))
            .collect(),
        other => other.clone(),
    }
}

#[test]
fn s102_what_an_event_claims_takes_no_function_beyond_its_account_region_and_resources() {
    let mut laboratory = laboratory("claims");
    laboratory.stack.join(STRANGER, crate::EXTERNAL_ID);
    for account in [STRANGER, HOME] {
        laboratory.stack.look_after(account);
        seeds::everything(&laboratory.stack);
    }
    laboratory.stack.cloud.save().unwrap();
    let before = laboratory.stack.cloud.state().unwrap();
    for (what, function, name) in CHANGES {
        let event = sample(function, name);
        let honest = after(&laboratory, &before, function, &event);
        assert!(
            honest.was_remediated() && !honest.changed.is_empty(),
            "{what}: {:?}",
            honest.answer
        );

        another_account(&laboratory, &before, function, &event);
        another_region(&laboratory, &before, function, &event);
        another_source(&laboratory, &before, function, &event);
    }
}

/// Nothing is changed there, and for what is said to be there nothing at home; but an attacker is blocked at home, whomever it attacked. A
/// finding of ours that names what is the stranger's leads to nothing there: not even the role would let it.
fn another_account(laboratory: &Laboratory, before: &BTreeSet<String>, function: &str, event: &Value) {
    let wholly = said(event, &|text| text.replace(HOME, STRANGER));
    let alone = said(event, &|text| (if text == HOME { STRANGER } else { text }).to_owned());
    for event in [wholly, alone] {
        let after = after(laboratory, before, function, &event);
        assert_eq!(after.refused, BTreeSet::new(), "{event}");
        if function != "block-ip" {
            assert!(!after.was_remediated(), "{:?}", after.answer);
            assert_eq!(after.changed, BTreeSet::new(), "{event}");
        }
    }
    let ours = format!(":{HOME}:");
    let in_arns = said(event, &|text| text.replace(&ours, &format!(":{STRANGER}:")));
    let after = after(laboratory, before, function, &in_arns);
    let is_there = |line: &&String| line.contains(STRANGER);
    assert_eq!(after.changed.iter().find(is_there), None, "{in_arns}");
    let reads = BTreeSet::from(["access-analyzer:GetFindingRecommendation".to_owned()]);
    assert!(after.refused.is_subset(&reads), "{:?}", after.refused);
}

/// What lies in a Region is left alone in every other one, and no address is made of what is no Region.
fn another_region(laboratory: &Laboratory, before: &BTreeSet<String>, function: &str, event: &Value) {
    let is_of_a_region = ["close-open-ingress", "enforce-storage-encryption"].contains(&function);
    let regions = [REGION, ELSEWHERE].map(str::to_owned);
    let elsewhere = said(event, &|text| text.replace(REGION, ELSEWHERE));
    let after = self::after(laboratory, before, function, &elsewhere);
    assert!(after.regions.is_subset(&regions.clone().into()), "{:?}", after.regions);
    let is_here = |line: &&String| is_of_a_region && line.contains(REGION);
    assert_eq!(after.changed.iter().find(is_here), None, "{elsewhere}");

    let nowhere = said(event, &|text| text.replace(REGION, "us-east-1.example.com"));
    let after = self::after(laboratory, before, function, &nowhere);
    let [home, _] = regions;
    assert_eq!(after.regions, [home].into(), "{nowhere}");
    assert!(!is_of_a_region || after.changed.is_empty(), "{:#?}", after.changed);
}

/// An event is what its source says, and of a source that sends no such findings it is nothing.
fn another_source(laboratory: &Laboratory, before: &BTreeSet<String>, function: &str, event: &Value) {
    let others = ["", "AWS.SECURITYHUB", "aws.partner/example.com", "securecart.checkout"];
    for source in others
        .into_iter()
        .chain(SOURCES)
        .filter(|source| event["source"] != *source)
    {
        let mut forged = event.clone();
        forged["source"] = json!(source);
        let after = after(laboratory, before, function, &forged);
        assert!(!after.was_remediated(), "{:?}", after.answer);
        assert_eq!(
            (after.changed, after.refused),
            (BTreeSet::new(), BTreeSet::new()),
            "{forged}"
        );
    }
}

#[test]
fn s103_a_queue_takes_findings_from_its_rules_alone_and_gives_a_function_no_orders() {
    let laboratory = laboratory("queues");
    seeds::everything(&laboratory.stack);
    laboratory.stack.cloud.save().unwrap();
    for function in FUNCTIONS {
        orders_from_a_queue_are_not_obeyed(&laboratory, function);
    }
    nobody_else_sends_to_the_queues(&laboratory);
    no_source_of_aws_is_forged(&laboratory);
}

/// Each comes again until it lies with the dead letters, but for the word of the schedule, which is no finding.
fn orders_from_a_queue_are_not_obeyed(laboratory: &Laboratory, function: &str) {
    let cloud = &laboratory.stack.cloud;
    cloud.restore().unwrap();
    let (_, _, name) = CHANGES.iter().find(|(_, of, _)| *of == function).unwrap();
    let event = sample(function, name);
    let mut instance = laboratory.instance(function).unwrap();
    let done = instance.invoke(&event, DEADLINE);
    let records = laboratory.records().unwrap();
    let record = records.iter().find(|(_, status)| *status == "Remediated");
    let (record, _) = record.unwrap_or_else(|| panic!("{function}: {done:?}"));
    let before = cloud.state().unwrap();
    let orders = [
        json!({ "undo": record, "by": "somebody" }),
        json!({ "approve": record, "by": "somebody" }),
        json!({ "explain": event }),
        batch(std::slice::from_ref(&event), 1),
        sample("block-ip", "schedule"),
    ];
    let refused = ["0", "1", "2", "3"].map(|id| json!({ "itemIdentifier": id }));
    let answer = instance.invoke(&batch(&orders, 1), DEADLINE);
    assert_eq!(
        answer,
        Answer::Response(json!({ "batchItemFailures": refused })),
        "{function}"
    );
    assert_eq!(cloud.state().unwrap(), before, "{function}");
    assert_eq!(laboratory.records().unwrap(), records, "{function}");
}

/// Not the functions themselves, and not another account.
fn nobody_else_sends_to_the_queues(laboratory: &Laboratory) {
    let stack = &laboratory.stack;
    let sent = FUNCTIONS.map(|function| {
        let queue = &stack.deployment.outputs[&format!("{}QueueUrl", logical(function))];
        ("sqs", "send_message", json!({ "QueueUrl": queue, "MessageBody": "{}" }))
    });
    let mut answers = stack.cloud.boto3_in(STRANGER, &sent).unwrap();
    for function in FUNCTIONS {
        let credentials = laboratory.credentials(function).unwrap();
        answers.extend(stack.cloud.boto3_as(&credentials, &sent).unwrap());
    }
    for answer in answers {
        assert_eq!(answer.unwrap_err().code(), Some("AccessDenied"));
    }
}

/// EventBridge takes events of these sources from AWS alone.
fn no_source_of_aws_is_forged(laboratory: &Laboratory) {
    let entries = SOURCES.map(|source| json!({ "Source": source, "DetailType": "GuardDuty Finding", "Detail": "{}" }));
    let put = ("events", "put_events", json!({ "Entries": entries }));
    let answer = laboratory.stack.boto3(&[put]).remove(0);
    assert_eq!(answer["FailedEntryCount"], SOURCES.len(), "{answer}");
}
