//! Every sample event, and every event of a corpus, through intake, each function's claim, and for `block-ip` the engine.
//!
//! `EVENT_CORPUS` names a folder of events that were met in the world (relative to the workspace). The promises hold for any folder. The
//! decision on each event is compared with `snapshots/corpus.snap`, which knows every sample, and of a corpus events by path and
//! content. `UPDATE_CORPUS=1` writes anew what it says of the samples and, where one is named, of the corpus:
//!
//! ```text
//! UPDATE_CORPUS=1 EVENT_CORPUS=FOLDER cargo test --workspace --test corpus
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

#[path = "../../functions/block-ip/tests/support/mod.rs"]
mod support;

mod common;

use std::{
    collections::BTreeMap,
    fmt::Display,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
};

use common::Event;
use remediation::{
    Claim,
    engine::Summary,
    finding::Finding,
    intake::{self, Command, Intake, Invocation},
    outcome::{Outcome, Reason},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use support::{Instance, World};

fn snapshot() -> PathBuf {
    common::root().join("tests/tests/snapshots/corpus.snap")
}

type Decisions = BTreeMap<(String, String), String>;

/// What the snapshot says: the decision by path and content.
fn known() -> Decisions {
    let snapshot = fs::read_to_string(snapshot()).unwrap();
    let line = |line: &str| {
        let (path, rest) = line.split_once('\t').unwrap();
        let (hash, decision) = rest.split_once('\t').unwrap();
        ((path.to_owned(), hash.to_owned()), decision.to_owned())
    };
    snapshot.lines().map(line).collect()
}

fn is_sample(path: &str) -> bool {
    path.starts_with("events/")
}

#[test]
fn s1_every_event_is_decided_with_a_reason_and_as_the_snapshot_says() {
    let mut decisions = Decisions::new();
    let mut broken = Vec::new();
    for event in common::events() {
        // One bad event must not hide the others.
        match catch_unwind(AssertUnwindSafe(|| decision(&event))) {
            Ok(decision) => _ = decisions.insert(key(&event), decision),
            Err(_) => broken.push(event.path),
        }
    }
    assert!(broken.is_empty(), "the promises do not hold for {broken:#?}");

    let known = known();
    if std::env::var_os("UPDATE_CORPUS").is_some() {
        if common::corpus().is_none() {
            decisions.extend(known.into_iter().filter(|((path, _), _)| !is_sample(path)));
        }
        let lines: String = decisions
            .iter()
            .map(|((path, hash), decision)| format!("{path}\t{hash}\t{decision}\n"))
            .collect();
        fs::write(snapshot(), lines).unwrap();
        return;
    }
    let changed: Vec<_> = decisions
        .iter()
        .filter_map(|(key, decision)| match known.get(key) {
            None if !is_sample(&key.0) => None,
            None => Some(format!("{}\n  is not in the snapshot as it is", key.0)),
            Some(expected) if expected == decision => None,
            Some(expected) => Some(format!("{}\n  expected {expected}\n  is       {decision}", key.0)),
        })
        .collect();
    assert!(
        changed.is_empty(),
        "UPDATE_CORPUS=1 writes the snapshot anew\n{}",
        changed.join("\n")
    );
}

/// Real senders spell types differently, and leave fields out. Nothing of that may end in a panic, or in silence.
#[test]
fn s1_an_event_with_any_field_of_another_type_is_decided_or_refused() {
    let odd = [
        json!(null),
        json!(true),
        json!(-7.5),
        json!(""),
        json!("💥"),
        json!([0]),
        json!({}),
    ];
    // Each place gets one of them, in turn: over all events every field meets each, and the test stays within seconds.
    let mut odd = odd.iter().cycle();
    for event in common::events() {
        let Ok(mut json) = serde_json::from_str::<Value>(&event.text) else {
            continue;
        };
        if json.get("detail-type").is_none() || event.text.len() > 16_384 {
            continue;
        }
        for path in paths(&json) {
            let odd = odd.next().unwrap();
            let original = std::mem::replace(json.pointer_mut(&path).unwrap(), odd.clone());
            let outcome = catch_unwind(AssertUnwindSafe(|| claims(&json.to_string())));
            assert!(outcome.is_ok(), "{} with {path} as {odd}", event.path);
            *json.pointer_mut(&path).unwrap() = original;
        }
    }
}

/// Every place in a document, as JSON pointers.
fn paths(json: &Value) -> Vec<String> {
    let under = |key: String, value: &Value| -> Vec<String> {
        let key = key.replace('~', "~0").replace('/', "~1");
        let below = paths(value).into_iter().map(|path| format!("/{key}{path}"));
        std::iter::once(format!("/{key}")).chain(below).collect()
    };
    match json {
        Value::Object(entries) => entries
            .iter()
            .flat_map(|(key, value)| under(key.clone(), value))
            .collect(),
        Value::Array(entries) => entries
            .iter()
            .enumerate()
            .flat_map(|(index, value)| under(index.to_string(), value))
            .collect(),
        _ => Vec::new(),
    }
}

fn key(event: &Event) -> (String, String) {
    let hash = Sha256::digest(event.text.as_bytes());
    (
        event.path.clone(),
        hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect(),
    )
}

/// What the findings of an event ask for, or why it cannot be read. Asserts that neither is said without a reason.
fn claims(payload: &str) -> Result<Vec<IpAddr>, String> {
    let intakes = match intake::read(payload) {
        Err(error) => return Err(reasoned(&error.to_string())),
        Ok(Invocation::Batch(messages)) => messages.into_iter().map(|message| message.intake).collect(),
        Ok(Invocation::Event(intake) | Invocation::Command(Command::Explain(intake))) => vec![Ok(intake)],
        Ok(Invocation::Schedule | Invocation::Command(_)) => Vec::new(),
    };
    let mut claimed = Vec::new();
    for intake in intakes {
        match intake {
            Err(error) => _ = reasoned(&error.to_string()),
            Ok(Intake::Declined(reason)) => explained(&reason),
            Ok(Intake::Findings(findings)) => {
                claimed.extend(findings.iter().flat_map(claimed_by));
                findings.iter().for_each(|finding| _ = others(finding));
            }
        }
    }
    Ok(claimed)
}

fn claimed_by(finding: &Finding) -> Vec<IpAddr> {
    match block_ip::attackers(finding) {
        Claim::Targets(targets) => {
            assert!(!targets.is_empty(), "a claim of nothing is a silent refusal");
            targets.into_iter().map(|attacker| attacker.0).collect()
        }
        Claim::Declined(reason) => {
            explained(&reason);
            Vec::new()
        }
        Claim::Unreadable(error) => {
            reasoned(&error.to_string());
            Vec::new()
        }
    }
}

/// What the other functions make of a finding.
fn others(finding: &Finding) -> Vec<String> {
    vec![
        told("block-public-access", block_public_access::claim(finding)),
        told("close-open-ingress", close_open_ingress::claim(finding)),
        told("disable-access-key", disable_access_key::claim(finding)),
        told("enforce-s3-encryption", enforce_s3_encryption::claim(finding)),
        told("enforce-storage-encryption", enforce_storage_encryption::claim(finding)),
        told("revoke-permissions", revoke_permissions::claim(finding, &[])),
    ]
}

fn told<T: Display>(function: &str, claim: Claim<T>) -> String {
    match claim {
        Claim::Targets(targets) => {
            assert!(!targets.is_empty(), "a claim of nothing is a silent refusal");
            let targets: Vec<_> = targets.iter().map(ToString::to_string).collect();
            format!("{function}: {}", targets.join(", "))
        }
        Claim::Declined(reason) => {
            explained(&reason);
            format!("{function}: {}", reason.code)
        }
        Claim::Unreadable(error) => format!("{function}: {}", reasoned(&error.to_string())),
    }
}

fn explained(reason: &Reason) {
    reasoned(&reason.code);
    reasoned(&reason.text);
}

fn reasoned(text: &str) -> String {
    assert!(!text.trim().is_empty(), "a refusal without a reason");
    text.to_owned()
}

/// What becomes of an event. A finding without its envelope is refused, so it is tried once more inside of one.
fn decision(event: &Event) -> String {
    let json: Value = serde_json::from_str(&event.text).unwrap_or_default();
    let decision = decision_on(&event.text);
    match (json.get("detail-type").and_then(Value::as_str), enveloped(&json)) {
        (Some(form), _) => format!("{form}\t{decision}"),
        (None, Some(enveloped)) => format!(
            "bare\t{decision}; in an envelope: {}",
            decision_on(&enveloped.to_string())
        ),
        (None, None) => format!("bare\t{decision}"),
    }
}

/// A bare finding of GuardDuty or Security Hub as EventBridge would deliver it.
fn enveloped(finding: &Value) -> Option<Value> {
    let has = |key| finding.get(key).is_some();
    let (source, form, detail) = if has("ProductArn") {
        (
            "aws.securityhub",
            "Security Hub Findings - Imported",
            json!({ "findings": [finding] }),
        )
    } else if has("finding_info") {
        (
            "aws.securityhub",
            "Findings Imported V2",
            json!({ "findings": [finding] }),
        )
    } else if has("service") || has("Service") {
        ("aws.guardduty", "GuardDuty Finding", finding.clone())
    } else {
        return None;
    };
    Some(json!({
        "version": "0", "id": "00000000-0000-0000-0000-000000000000", "source": source, "detail-type": form,
        "account": "111122223333", "time": "2026-11-20T09:21:07Z", "region": "us-east-1", "resources": [], "detail": detail,
    }))
}

/// Kinds of findings, outcomes and refusals of a payload, after the promises have been checked on it.
fn decision_on(payload: &str) -> String {
    let claimed = match claims(payload) {
        Err(refusal) => return format!("refused: {refusal}"),
        Ok(claimed) => claimed,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let world = World::new();
        let instance = world.instance();
        let summary = run(&instance, &world, payload).await;
        let done = (world.waf.0.updates(), world.ledger.records().len());
        run(&instance, &world, payload).await;
        assert_eq!(
            (world.waf.0.updates(), world.ledger.records().len()),
            done,
            "the second delivery changed something"
        );

        let mut parts: Vec<_> = summary
            .unsettled
            .iter()
            .map(|text| format!("unreadable: {text}"))
            .collect();
        for report in &summary.outcomes {
            let address = report.target.parse().unwrap();
            assert!(claimed.contains(&address), "{address} was not claimed");
            let code = match &report.outcome {
                Outcome::Remediated(reason) | Outcome::AlreadyInPlace(reason) | Outcome::WouldRemediate(reason) => {
                    assert!(is_public(address), "{address} is not public");
                    reason.code.as_str()
                }
                Outcome::Declined(reason) => {
                    explained(reason);
                    reason.code.as_str()
                }
                other => panic!("{other}"),
            };
            parts.push(format!(
                "{} {} {}({code})",
                report.evidence.kind,
                report.target,
                report.outcome.name()
            ));
        }
        parts.sort();
        let mut declined: Vec<_> = summary
            .declined
            .iter()
            .map(|reason| format!("declined: {reason}"))
            .collect();
        declined.dedup();
        parts.append(&mut declined);
        assert!(!parts.is_empty() || claimed.is_empty(), "neither done nor declined");
        parts.extend(findings(payload).iter().flat_map(others));
        parts.dedup();
        parts.join("; ")
    })
}

/// All findings of a payload that can be read.
fn findings(payload: &str) -> Vec<Finding> {
    let intakes = match intake::read(payload) {
        Ok(Invocation::Batch(messages)) => messages.into_iter().filter_map(|message| message.intake.ok()).collect(),
        Ok(Invocation::Event(intake) | Invocation::Command(Command::Explain(intake))) => vec![intake],
        _ => Vec::new(),
    };
    let of = |intake| match intake {
        Intake::Findings(findings) => findings,
        Intake::Declined(_) => Vec::new(),
    };
    intakes.into_iter().flat_map(of).collect()
}

async fn run(instance: &Instance, world: &World, payload: &str) -> Summary {
    let deadline = world.deadline();
    match intake::read(payload).unwrap() {
        Invocation::Batch(messages) => instance.batch(messages, deadline).await.summary,
        Invocation::Event(intake) => instance.event(intake, deadline).await,
        Invocation::Command(Command::Explain(intake)) => instance.explain(intake, deadline).await.unwrap(),
        Invocation::Schedule | Invocation::Command(_) => Summary::default(),
    }
}

/// Written apart from the guard on purpose. The documentation ranges count as public.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            let reserved = v4.octets()[0] == 0 || v4.octets()[0] >= 240;
            !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast() || shared || reserved)
                && v4 != Ipv4Addr::UNSPECIFIED
        }
        IpAddr::V6(v6) => v6.segments()[0] & 0xe000 == 0x2000 && v6 != Ipv6Addr::UNSPECIFIED,
    }
}
