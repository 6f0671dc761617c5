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

/// What came of an event.
struct After {
    answer: Answer,
    /// The lines of the account's state, and of every other account's, that are there only before or only after.
    changed: BTreeSet<String>,
    /// The Regions that were called, those of calls that nobody judged among them.
    regions: BTreeSet<String>,
}

impl After {
    fn was_remediated(&self) -> bool {
        matches!(&self.answer, Answer::Response(answer) if answer.to_string().contains("\"Remediated\""))
    }
}

/// The account as it was, the event, and what is held to always: no call that the function's role does not allow, none as anybody else, and
/// none about the stranger's.
fn after(laboratory: &Laboratory, before: &BTreeSet<String>, function: &str, event: &Value) -> After {
    let cloud = &laboratory.stack.cloud;
    cloud.restore().unwrap();
    laboratory.proxy.plan(|_| Fault::None);
    cloud.reset_authorizations().unwrap();
    let answer = laboratory.instance(function).unwrap().invoke(event, DEADLINE);
    for judged in cloud.authorizations().unwrap() {
        let is_ours = judged.account == HOME && !judged.resource.contains(STRANGER);
        assert!(is_ours && judged.decision == "Allow", "{function}: {event}\n{judged:?}");
    }
    let now = cloud.state().unwrap();
    After {
        answer,
        changed: before.symmetric_difference(&now).cloned().collect(),
        regions: laboratory.proxy.calls().into_iter().map(|call| call.region).collect(),
    }
}

/// With every text made another one.
fn said(value: &Value, say: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => json!(say(text)),
        Value::Array(list) => list.iter().map(|one| said(one, say)).collect(),
        Value::Object(fields) => fields.iter().map(|(name, one)| (name.clone(), said(one, say))).collect(),
        other => other.clone(),
    }
}

#[test]
fn s110_what_an_event_claims_takes_no_function_beyond_its_account_region_and_resources() {
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
        assert!(honest.was_remediated() && !honest.changed.is_empty(), "{what}: {:?}", honest.answer);

        another_account(&laboratory, &before, function, &event);
        another_region(&laboratory, &before, function, &event);
        another_source(&laboratory, &before, function, &event);
    }
}

/// Nothing is changed there, and for what is said to be there nothing at home; but an attacker is blocked at home, whomever it attacked.
fn another_account(laboratory: &Laboratory, before: &BTreeSet<String>, function: &str, event: &Value) {
    let wholly = said(event, &|text| text.replace(HOME, STRANGER));
    let alone = said(event, &|text| (if text == HOME { STRANGER } else { text }).to_owned());
    for event in [wholly, alone] {
        let after = after(laboratory, before, function, &event);
        println!("{function} another account: {} {:?}", after.changed.len(), after.answer);
        if function != "block-ip" {
            assert!(!after.was_remediated(), "{:?}", after.answer);
            assert_eq!(after.changed, BTreeSet::new(), "{event}");
        }
    }
    let in_arns = said(event, &|text| text.replace(&format!(":{HOME}:"), &format!(":{STRANGER}:")));
    let after = after(laboratory, before, function, &in_arns);
    println!("{function} another in ARNs: {} {:?}", after.changed.len(), after.answer);
    assert!(!after.changed.iter().any(|line| line.contains(STRANGER)), "{:#?}", after.changed);
}

/// What lies in a Region is left alone in every other one, and no address is made of what is no Region.
fn another_region(laboratory: &Laboratory, before: &BTreeSet<String>, function: &str, event: &Value) {
    let elsewhere = said(event, &|text| text.replace(REGION, ELSEWHERE));
    let after = self::after(laboratory, before, function, &elsewhere);
    println!("{function} elsewhere: {:?} {:#?} {:?}", after.regions, after.changed, after.answer);
    assert!(after.regions.iter().all(|region| [REGION, ELSEWHERE].contains(&region.as_str())), "{:?}", after.regions);
    let nowhere = said(event, &|text| text.replace(REGION, "us-east-1.example.com"));
    let after = self::after(laboratory, before, function, &nowhere);
    println!("{function} nowhere: {:?} {:#?} {:?}", after.regions, after.changed, after.answer);
    assert!(after.regions.iter().all(|region| region == REGION), "{:?}", after.regions);
}

/// An event is what its source says, and of a source that sends no findings it is nothing.
fn another_source(laboratory: &Laboratory, before: &BTreeSet<String>, function: &str, event: &Value) {
    for source in ["securecart.checkout", "aws.partner/example.com", "aws.s3", "aws.health", "AWS.SECURITYHUB", ""] {
        let mut forged = event.clone();
        forged["source"] = json!(source);
        if forged["source"] == event["source"] {
            continue;
        }
        let after = after(laboratory, before, function, &forged);
        println!("{function} {source}: {} {:?}", after.changed.len(), after.answer);
        assert!(!after.was_remediated(), "{:?}", after.answer);
        assert_eq!(after.changed, BTreeSet::new(), "{forged}");
    }
}

#[test]
fn s111_a_queue_takes_findings_from_its_rules_alone_and_gives_a_function_no_orders() {
    let laboratory = laboratory("queues");
    seeds::everything(&laboratory.stack);
    laboratory.stack.cloud.save().unwrap();
    let stack = &laboratory.stack;
    for function in FUNCTIONS {
        let (_, _, name) = CHANGES.iter().find(|(_, of, _)| *of == function).unwrap();
        stack.cloud.restore().unwrap();
        let event = sample(function, name);
        let mut instance = laboratory.instance(function).unwrap();
        let done = instance.invoke(&event, DEADLINE);
        let records = laboratory.records().unwrap();
        let (record, _) = records.iter().find(|(_, status)| *status == "Remediated").unwrap_or_else(|| panic!("{done:?}"));
        let before = stack.cloud.state().unwrap();
        let orders = [
            json!({ "undo": record, "by": "somebody" }),
            json!({ "approve": record, "by": "somebody" }),
            json!({ "explain": event }),
            batch(&[event.clone()], 1),
        ];
        let answer = instance.invoke(&batch(&orders, 1), DEADLINE);
        println!("{function}: {answer:?}");
        let answer = instance.invoke(&batch(&[sample("block-ip", "schedule")], 1), DEADLINE);
        println!("{function}: {answer:?}");
        assert_eq!(stack.cloud.state().unwrap(), before, "{function}");
        assert_eq!(laboratory.records().unwrap(), records);
    }

    let send = |function: &str| {
        let queue = &stack.deployment.outputs[&format!("{}QueueUrl", logical(function))];
        ("sqs", "send_message", json!({ "QueueUrl": queue, "MessageBody": "{}" }))
    };
    let queues = FUNCTIONS.map(send);
    for function in FUNCTIONS {
        let credentials = laboratory.credentials(function).unwrap();
        for answer in stack.cloud.boto3_as(&credentials, &queues).unwrap() {
            println!("{function} sends {answer:?}");
        }
    }
    for answer in stack.cloud.boto3_in(STRANGER, &queues).unwrap() {
        println!("stranger sends {answer:?}");
    }
    let entry = json!({ "Source": "aws.securityhub", "DetailType": "Security Hub Findings - Imported", "Detail": "{}" });
    println!("{:?}", stack.cloud.boto3(&[("events", "put_events", json!({ "Entries": [entry] }))]));
}
