//! How many AWS calls each change takes, and why: what `docs/PERFORMANCE.md` says is what the real binaries do.
//! What it makes of them before its first event changes nothing.
//! `CALLS=update cargo test --workspace --test calls` writes the table anew.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    time::Duration,
};

use local_cloud::{Answer, Fault, Instance, workspace};
use securecart_tests::{
    laboratory::{Laboratory, batch},
    seeds::{self, CHANGES},
    stack::{Stack, sample},
};
use serde_json::json;

const BEGIN: &str = "<!-- calls: begin -->\n";
const END: &str = "<!-- calls: end -->";

#[test]
fn s96_s104_a_change_takes_the_calls_that_are_written_down_and_a_start_makes_two_of_them() {
    let laboratory = Laboratory::of(Stack::deploy_all("calls")).unwrap();
    seeds::everything(&laboratory.stack);
    laboratory.stack.cloud.save().unwrap();
    let mut table = String::from("| function | sample | calls | which |\n|---|---|---|---|\n");
    let mut operations = BTreeSet::new();
    for (_, function, name) in CHANGES {
        laboratory.stack.cloud.restore().unwrap();
        laboratory.proxy.plan(|_| Fault::None);
        let mut instance = laboratory.instance(function).unwrap();
        starts_quietly(&laboratory, &instance, function);
        let answer = instance.invoke(&batch(&[sample(function, name)], 1), Duration::from_secs(60));
        assert_eq!(answer, Answer::Response(json!({ "batchItemFailures": [] })), "{name}");
        let mut calls: BTreeMap<String, usize> = BTreeMap::new();
        for call in laboratory.proxy.calls() {
            *calls.entry(call.to_string()).or_default() += 1;
        }
        let which: Vec<_> = calls
            .iter()
            .map(|(call, times)| {
                if *times == 1 {
                    call.clone()
                } else {
                    format!("{call} ×{times}")
                }
            })
            .collect();
        let sum: usize = calls.values().sum();
        writeln!(table, "| `{function}` | `{name}` | {sum} | {} |", which.join(", ")).unwrap();
        operations.extend(calls.into_keys());
    }
    let path = workspace().unwrap().join("docs/PERFORMANCE.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (written, after) = rest.split_once(END).unwrap();
    if std::env::var("CALLS").is_ok_and(|calls| calls == "update") {
        fs::write(path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
    } else {
        similar(written, &table);
    }
    for operation in operations {
        assert!(
            page.contains(&format!("| `{operation}` | ")),
            "no reason is given for {operation}"
        );
    }
}

/// Nothing is read of anybody before there is an event; what the event will call has been connected with.
fn starts_quietly(laboratory: &Laboratory, instance: &Instance, function: &str) {
    instance.ready().unwrap();
    let calls: BTreeSet<_> = laboratory.proxy.calls().iter().map(ToString::to_string).collect();
    let expected = ["dynamodb:Query", "ssm:GetParameter"].map(str::to_owned);
    assert_eq!(calls, BTreeSet::from(expected), "{function}");
    assert_eq!(laboratory.proxy.calls().len(), 2, "{function}");
    // Two of the ledger's; Security Hub, and people by SNS; and the service that is written to, where its host is known before the event.
    let hosts = if ["block-public-access", "enforce-s3-encryption"].contains(&function) {
        4
    } else {
        5
    };
    assert_eq!(laboratory.proxy.unsigned(), hosts, "{function}");
}

fn similar(written: &str, now: &str) {
    let lines: BTreeSet<&str> = written.lines().collect();
    let new: Vec<_> = now.lines().filter(|line| !lines.contains(line)).collect();
    assert!(new.is_empty(), "not what docs/PERFORMANCE.md says: {new:#?}");
    assert_eq!(written.lines().count(), now.lines().count());
}
