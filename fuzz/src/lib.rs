//! What holds of whatever comes in. Each function here takes what a target generates, and panics where something does not hold.
//!
//! The pure modules of two functions are compiled in by their path: their packages would bring the AWS SDK.

#[path = "../../functions/block-ip/src/claim.rs"]
mod claim;
#[path = "../../functions/block-ip/src/guard.rs"]
mod guard;
#[path = "../../functions/revoke-permissions/src/identity.rs"]
#[allow(dead_code, reason = "only a part of the function is here")]
mod identity;
#[path = "../../functions/revoke-permissions/src/trim.rs"]
#[allow(dead_code, reason = "only a part of the function is here")]
mod trim;

pub mod judge;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use chrono::Datelike;
pub use claim::Attacker;
use remediation::{
    Claim, Evidence,
    accounts::Accounts,
    engine::Policy,
    finding::{Detail, Finding, Grantee},
    ids::{AccountId, RecordId},
    intake::{self, Command, Intake, Invocation, Order},
    ledger::ScopeKey,
    notice::Notice,
    outcome::{Outcome, Reason},
    policy::{Document, Edit, Narrowed, includes, matches, may_meet, says_the_same, within},
    report::Report,
    settings::{self, Days, Hours, InvalidSettings, Net, Section},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// An event as EventBridge delivers it, around this detail.
#[must_use]
pub fn event(source: &str, detail_type: &str, detail: &str) -> String {
    format!(
        r#"{{"source":"{source}","detail-type":"{detail_type}","account":"111122223333","time":"2026-11-01T00:00:00Z","region":"us-east-1","resources":["arn:aws:access-analyzer:us-east-1:111122223333:analyzer/a"],"detail":{detail}}}"#
    )
}

/// A payload that a function is called with.
pub fn delivered(payload: &str) {
    match intake::read(payload) {
        Err(error) => shown(&error.to_string()),
        Ok(Invocation::Schedule) => {}
        Ok(Invocation::Event(intake) | Invocation::Command(Command::Explain(intake))) => taken_in(&intake),
        Ok(Invocation::Command(Command::Undo(order) | Command::Approve(order))) => given(&order),
        Ok(Invocation::Batch(messages)) => {
            let sent = serde_json::from_str::<Value>(payload).ok();
            if let Some(sent) = sent.as_ref().and_then(|sent| sent.get("Records")?.as_array()) {
                assert_eq!(sent.len(), messages.len(), "each record has one result");
            }
            let mut ids = BTreeMap::<String, usize>::new();
            let mut findings = 0;
            for message in &messages {
                match &message.intake {
                    Ok(intake) => taken_in(intake),
                    Err(error) => shown(&error.to_string()),
                }
                findings += count(&message.intake);
                *ids.entry(message.id.clone()).or_default() += 1;
            }
            let sorted = accounts().sort_messages(messages);
            let sorted: Vec<_> = sorted.into_values().flatten().collect();
            let kept: usize = sorted.iter().map(|message| count(&message.intake)).sum();
            assert_eq!(findings, kept, "none is lost");
            for (id, sent) in ids {
                assert!(
                    sorted.iter().filter(|message| message.id == id).count() >= sent,
                    "none is lost"
                );
            }
        }
    }
}

fn accounts() -> Accounts {
    Accounts {
        home: AccountId::new("111122223333"),
        members: BTreeSet::from([AccountId::new("444455556666")]),
    }
}

fn count<E>(intake: &Result<Intake, E>) -> usize {
    match intake {
        Ok(Intake::Findings(findings)) => findings.len(),
        Ok(Intake::Declined(_)) | Err(_) => 1,
    }
}

fn taken_in(intake: &Intake) {
    match intake {
        Intake::Declined(reason) => shown(&reason.to_string()),
        Intake::Findings(findings) => {
            assert!(!findings.is_empty(), "what is accepted has findings");
            findings.iter().for_each(found);
        }
    }
}

fn found(finding: &Finding) {
    let evidence = &finding.evidence;
    for text in [
        evidence.id.as_str(),
        evidence.version.as_str(),
        evidence.account.as_str(),
        evidence.region.as_str(),
        &evidence.kind,
    ] {
        shown(text);
    }
    assert!(!evidence.id.as_str().trim().is_empty() && !evidence.version.as_str().trim().is_empty());
    assert!(
        (1970..=9999).contains(&evidence.observed_at.year()),
        "{}",
        evidence.observed_at
    );
    let written = serde_json::to_string(evidence).expect("evidence is JSON");
    let read: Evidence = serde_json::from_str(&written).expect("and can be read again");
    assert_eq!(read, *evidence);

    noticed(evidence, &format!("{:?}", finding.detail));
    for word in words(&finding.detail) {
        noticed(evidence, word);
    }
    if let Detail::Threat(_) = finding.detail {
        match claim::attackers(finding) {
            Claim::Targets(attackers) => attackers.iter().for_each(blocked),
            Claim::Declined(reason) => shown(&reason.to_string()),
            Claim::Unreadable(error) => shown(&error.to_string()),
        }
    }
}

/// Texts that somebody else has chosen.
fn words(detail: &Detail) -> Vec<&str> {
    match detail {
        Detail::Compliance(compliance) => compliance
            .resources
            .iter()
            .map(|resource| resource.id.as_str())
            .collect(),
        Detail::UnusedAccess(unused) => vec![&unused.resource.id, &unused.finding],
        Detail::ExternalAccess(access) => access.grantees.iter().map(|grantee| grantee.id.as_str()).collect(),
        Detail::ExposedCredentials(named) => named.iter().map(String::as_str).collect(),
        Detail::BucketCreated(name) | Detail::Other(name) => vec![name],
        Detail::IngressAuthorized(opened) => vec![&opened.group],
        Detail::Threat(_) => Vec::new(),
    }
}

/// An address that is accepted is public, by the registries as the standard library and this list have them.
fn blocked(attacker: &Attacker) {
    if guard::Guard::new(Vec::new(), Vec::new()).refuse(attacker).is_some() {
        return;
    }
    let is_public = match attacker.0 {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let is_shared = a == 100 && (64..128).contains(&b);
            let is_benchmark = a == 198 && (18..20).contains(&b);
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_multicast()
                || is_shared
                || is_benchmark
                || a == 0
                || a >= 240)
        }
        IpAddr::V6(v6) => {
            let [first, second, ..] = v6.segments();
            let (is_6to4, is_special) = (first == 0x2002, first == 0x2001 && second < 0x200);
            (0x2000..0x4000).contains(&first) && !is_6to4 && !is_special
        }
    };
    assert!(is_public, "{attacker} was accepted");
    assert_eq!(attacker.0, attacker.0.to_canonical());
}

/// What is said about a text from outside, in every way that people are told.
fn noticed(evidence: &Evidence, text: &str) {
    let scope = ScopeKey {
        account: "111122223333",
        remediation: "block-ip",
        scope: "s",
    };
    for outcome in [Outcome::Escalated, Outcome::Remediated] {
        let report = Report {
            record: RecordId::derive(scope, text, &evidence.id, &evidence.version),
            scope: "s".to_owned(),
            target: text.to_owned(),
            evidence: evidence.clone(),
            channels: BTreeSet::new(),
            notice: true,
            repeated: false,
            part: false,
            image: None,
            outcome: outcome(Reason::new("code", text)),
        };
        shown(&report.outcome.to_string());
        let notice = Notice::of("block-ip", &report);
        assert!(
            notice.subject.is_ascii() && notice.subject.len() <= 100,
            "{:?}",
            notice.subject
        );
        shown(&notice.subject);
        notice.text.lines().for_each(shown);
        leaves(&notice.chat);
    }
}

fn leaves(value: &Value) {
    match value {
        Value::String(text) => text.split('\n').for_each(shown),
        Value::Array(list) => list.iter().for_each(leaves),
        Value::Object(fields) => fields.values().for_each(leaves),
        _ => {}
    }
}

/// Nothing that a terminal, a mail or a log would take for more than a character to be seen.
pub fn shown(text: &str) {
    let is_hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    assert!(!text.chars().any(is_hidden), "{text:?}");
}

fn given(order: &Order) {
    let again = RecordId::parse(order.id.as_str()).expect("a record's id reads back");
    assert_eq!(again, order.id);
    assert!(!order.by.trim().is_empty() && order.by.chars().count() <= 256);
    shown(&order.by);
}

/// An operator's command: the record, and by whom; or the event to be explained.
pub fn ordered(id: &str, rest: &str) {
    let is_id = RecordId::parse(id).is_ok();
    for word in ["undo", "approve"] {
        let payload = json!({ word: id, "by": rest }).to_string();
        match intake::read(&payload) {
            Ok(Invocation::Command(Command::Undo(order) | Command::Approve(order))) => {
                assert!(is_id && order.id.as_str() == id);
                given(&order);
            }
            Ok(other) => panic!("{other:?}"),
            Err(error) => {
                assert!(!is_id, "{error}");
                shown(&error.to_string());
            }
        }
    }
    delivered(&format!(r#"{{"explain":{rest}}}"#));
}

/// Two patterns and a text: the relations between patterns say nothing that a text refutes.
pub fn patterns(one: &str, other: &str, text: &str) {
    assert!(includes(one, one), "{one} includes itself");
    assert_eq!(may_meet(one, other), may_meet(other, one));
    if one.contains("${") || other.contains("${") {
        return;
    }
    if includes(one, other) && matches(other, text) {
        assert!(matches(one, text), "{one} includes {other}, and has not {text}");
    }
    if matches(one, text) && matches(other, text) {
        assert!(may_meet(one, other), "{one} and {other} meet in {text}");
    }
    // A text without wildcards is a pattern that matches itself alone.
    if !text.contains(['*', '?', '$']) {
        assert!(matches(text, text));
        assert_eq!(may_meet(one, text), matches(one, text), "{one} and {text}");
    }
}

/// The text of a policy.
pub fn policy_text(text: &str) {
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(error) => return shown(&error.to_string()),
    };
    assert_eq!(document.text(), text);
    assert!(
        within(Some(&document), Some(&document)).is_ok(),
        "a policy grants no more than itself"
    );
    assert!(says_the_same(Some(text), Some(text)));
    let spelt = |document: &Document| -> Vec<String> { document.statements().map(|one| one.spelt()).collect() };
    let before = spelt(&document);
    let unchanged = document.edit(&BTreeMap::new()).expect("an edit of nothing");
    assert_eq!(unchanged.as_deref(), (!before.is_empty()).then_some(text));

    for (index, statement) in document.statements().enumerate().take(4) {
        let dropped = document
            .edit(&BTreeMap::from([(index, Edit::Drop)]))
            .expect("a statement goes");
        let mut rest = before.clone();
        rest.remove(index);
        match dropped {
            None => assert!(rest.is_empty()),
            Some(after) => {
                let after = Document::parse(&after).expect("the rest is a policy");
                assert_eq!(spelt(&after), rest, "the other statements stay");
                if statement.is_understood() && statement.is_allow() {
                    assert!(
                        within(Some(&after), Some(&document)).is_ok(),
                        "without an Allow less is granted"
                    );
                }
            }
        }
        if statement.field("Effect").is_some() {
            let denied = BTreeMap::from([(index, Edit::Set("Effect", json!("Deny")))]);
            let after = document.edit(&denied).expect("it has the field").expect("nothing went");
            let after = Document::parse(&after).expect("it still is a policy");
            assert!(after.statements().nth(index).expect("it is there").is_deny());
            assert_eq!(after.statements().count(), before.len());
        }
    }

    let more = json!({"Sid": "Own", "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"});
    let with = document.with(&more).expect("one more");
    let with = Document::parse(&with).expect("it is a policy with one more");
    let mut expected = before;
    expected.push(more.to_string());
    assert_eq!(spelt(&with), expected);
    assert!(
        within(Some(&with), Some(&document)).is_ok(),
        "with one more Deny less is granted"
    );

    trimmed(text);
}

fn trimmed(text: &str) {
    use identity::Demand;
    use trim::{Form, FullAccess, Trimmed, trim};
    let outsider = Grantee {
        kind: "AWS".to_owned(),
        id: "999988887777".to_owned(),
    };
    let own = "arn:aws:iam::111122223333:root";
    for demand in [
        Demand::Administration,
        Demand::FullAccess,
        Demand::BlockedActions,
        Demand::Outsiders(vec![outsider]),
    ] {
        for form in [Form::Removable, Form::Versioned, Form::Trust, Form::Resource] {
            for full in [FullAccess::ReadOnly, FullAccess::Remove, FullAccess::Escalate] {
                match trim(text, &demand, form, full, own) {
                    Err(error) => shown(&error.to_string()),
                    Ok(Trimmed::Clean | Trimmed::To(None)) => {}
                    Ok(Trimmed::ByHand(code, why)) => shown(&Reason::new(code, why).to_string()),
                    Ok(Trimmed::To(Some(after))) => {
                        Document::parse(&after).expect("what is trimmed is a policy");
                        if let Err(error) = Narrowed::prove(Some(text), Some(&after)) {
                            shown(&Reason::from(error).to_string());
                        }
                        // What is made to grant nothing still names whom it named, and no identity's policy names anybody.
                        let names_nobody = form == Form::Versioned && matches!(demand, Demand::Outsiders(_));
                        if !names_nobody {
                            let again = trim(&after, &demand, form, full, own);
                            assert_eq!(again, Ok(Trimmed::Clean), "trimmed once, it is trimmed");
                        }
                    }
                }
            }
        }
    }
}

/// A function's settings, of each kind of value that there is.
#[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Own {
    allow_list: Vec<Net>,
    protected_ranges: Vec<Net>,
    max_key_age_days: Option<Days>,
    block_hours: BTreeMap<String, Hours>,
}

impl Section for Own {}

/// The operator's settings.
pub fn settings_text(text: &str) {
    let refused = |InvalidSettings(wrong): InvalidSettings| {
        assert!(!wrong.is_empty(), "a refusal says what is wrong");
        for one in wrong {
            assert!(!one.name.is_empty());
            shown(&one.to_string());
        }
    };
    let document = match settings::Document::parse(text) {
        Ok(document) => document,
        Err(wrong) => return refused(wrong),
    };
    assert_ne!(document.changes_per_hour, Some(0));
    let hours = document.approval_hours.span().num_hours();
    assert!((1..=8760).contains(&hours), "{hours}");
    for exemption in &document.exemptions {
        for text in [
            &exemption.resource,
            &exemption.control,
            &exemption.owner,
            &exemption.reason,
        ] {
            assert!(!text.trim().is_empty());
        }
        let account = AccountId::new("111122223333");
        if exemption.expires.year() < 9999 {
            assert!(!exemption.holds(&account, exemption.end()), "it ends");
        }
        let notice = Notice::of_expiry(exemption);
        assert!(notice.subject.is_ascii() && notice.subject.len() <= 100);
        shown(&notice.subject);
        notice.text.lines().for_each(shown);
        leaves(&notice.chat);
    }
    for function in settings::FUNCTIONS {
        match Policy::read::<Own>(&document, function) {
            Err(wrong) => refused(wrong),
            Ok((policy, own)) => {
                assert!(policy.changes_per_hour > 0);
                assert!(
                    !document.stop || !policy.may_write(),
                    "while everything is stopped nothing is written"
                );
                for net in own.allow_list.iter().chain(&own.protected_ranges) {
                    assert_eq!(net.0.addr(), net.0.network());
                    assert_eq!(Net::parse(&net.0.to_string()), Ok(*net));
                }
            }
        }
    }
}
