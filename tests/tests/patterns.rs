//! The rules of `template.yaml` let through what `block-ip` acts on, as EventBridge's own matching is emulated.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod common;

use std::collections::BTreeMap;

use common::Event;
use local_cloud::{LocalCloud, Service};
use remediation::{
    Claim,
    finding::Detail,
    intake::{self, Intake, Invocation},
};
use serde_json::{Value, json};

/// The event patterns by the logical ids of their rules, in a stack with default parameters.
fn patterns() -> BTreeMap<String, Value> {
    let template = common::template();
    let rules = template["Resources"].as_object().unwrap().iter();
    let patterns = rules.filter_map(|(name, resource)| {
        let pattern = resource["Properties"].get("EventPattern")?;
        Some((name.clone(), without_conditions(pattern)))
    });
    patterns.collect()
}

/// A condition in a pattern adds a filter on a parameter, which is empty by default.
fn without_conditions(pattern: &Value) -> Value {
    let mut pattern = pattern.clone();
    pattern.as_object_mut().unwrap().retain(|_, value| {
        value.get("Fn::If").is_none_or(|branches| {
            assert_eq!(branches[2], json!({ "Ref": "AWS::NoValue" }));
            false
        })
    });
    pattern
}

/// The samples, and the corpus where there is one.
fn events() -> Vec<Event> {
    let mut events = common::events(&common::root().join("events/block-ip"));
    events.extend(common::corpus().unwrap_or_default());
    events
}

/// What the function would do with an event that reached it.
#[derive(Debug, PartialEq)]
enum Wish {
    /// It names an attacker that is not put away.
    Act,
    /// Nothing in it concerns the function.
    Ignore,
    /// It is declined for what it says.
    Decline,
}

fn wish(payload: &str) -> Option<Wish> {
    let Ok(Invocation::Event(intake)) = intake::read(payload) else {
        return None;
    };
    let Intake::Findings(findings) = intake else {
        return Some(Wish::Ignore);
    };
    let acts = findings.iter().any(|finding| {
        !finding.archived && !finding.suppressed && matches!(block_ip::attackers(finding), Claim::Targets(_))
    });
    let foreign = findings
        .iter()
        .all(|finding| matches!(finding.detail, Detail::Other(_)));
    Some(if acts {
        Wish::Act
    } else if foreign {
        Wish::Ignore
    } else {
        Wish::Decline
    })
}

/// The rules that let an event through.
fn passes(cloud: &LocalCloud, patterns: &BTreeMap<String, Value>, payload: &str) -> Vec<String> {
    let mut event: Value = serde_json::from_str(payload).unwrap();
    // EventBridge sets these on every event; some files leave them out.
    let always = [
        ("id", json!("00000000-0000-0000-0000-000000000000")),
        ("account", json!("111122223333")),
        ("time", json!("2026-11-20T09:21:07Z")),
        ("region", json!("us-east-1")),
        ("resources", json!([])),
    ];
    for (key, value) in always {
        event.as_object_mut().unwrap().entry(key).or_insert(value);
    }
    let lets_through = |pattern: &Value| {
        let question = json!({ "EventPattern": pattern.to_string(), "Event": event.to_string() });
        let answer = cloud.call(Service::EventBridge, "TestEventPattern", &question).unwrap();
        answer["Result"].as_bool().unwrap()
    };
    patterns
        .iter()
        .filter(|(_, pattern)| lets_through(pattern))
        .map(|(name, _)| name.clone())
        .collect()
}

#[test]
fn what_is_acted_on_passes_a_rule_and_what_is_not_ours_passes_none() {
    let cloud = LocalCloud::start(&|_| {}).unwrap();
    let patterns = patterns();
    assert_eq!(patterns.len(), 4, "{:?}", patterns.keys());
    let mut acted_on = 0;
    for event in events() {
        let Some(wish) = wish(&event.text) else { continue };
        let passed = passes(&cloud, &patterns, &event.text);
        match wish {
            Wish::Act => {
                acted_on += 1;
                assert_eq!(passed.len(), 1, "{} passes {passed:?}", event.path);
            }
            Wish::Ignore => assert!(passed.is_empty(), "{} passes {passed:?}", event.path),
            Wish::Decline => {}
        }
    }
    assert!(acted_on >= 11, "the samples alone are more than {acted_on}");

    let sample = |name: &str| std::fs::read_to_string(common::root().join("events/block-ip").join(name)).unwrap();
    for name in ["outbound-c2.json", "dns-request.json"] {
        let passed = passes(&cloud, &patterns, &sample(name));
        assert!(passed.is_empty(), "{name} passes {passed:?}");
    }
    workflow_states(&cloud, &patterns, &sample);
}

/// Only what a person has suppressed is kept out: a finding that we resolved comes again with another attacker.
fn workflow_states(cloud: &LocalCloud, patterns: &BTreeMap<String, Value>, sample: &dyn Fn(&str) -> String) {
    let passes_with = |name: &str, place: &str, value: Option<Value>| {
        let mut event: Value = serde_json::from_str(&sample(name)).unwrap();
        let (parent, key) = place.rsplit_once('/').unwrap();
        let parent = event.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match &value {
            Some(value) => _ = parent.insert(key.to_owned(), value.clone()),
            None => _ = parent.remove(key),
        }
        !passes(cloud, patterns, &event.to_string()).is_empty()
    };
    let asff = |value| {
        passes_with(
            "security-hub-imported-ssh-brute-force.json",
            "/detail/findings/0/Workflow/Status",
            value,
        )
    };
    for open in [
        None,
        Some(json!("NEW")),
        Some(json!("NOTIFIED")),
        Some(json!("RESOLVED")),
    ] {
        assert!(asff(open.clone()), "{open:?}");
    }
    assert!(!asff(Some(json!("SUPPRESSED"))));

    let ocsf = |value| {
        passes_with(
            "security-hub-v2-ssh-brute-force.json",
            "/detail/findings/0/status_id",
            value,
        )
    };
    for open in [None, Some(json!(1)), Some(json!("1")), Some(json!(2)), Some(json!(4))] {
        assert!(ocsf(open.clone()), "{open:?}");
    }
    assert!(!ocsf(Some(json!(3))));
}
