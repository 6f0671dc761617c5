//! The promises of `close-open-ingress`, one by one, on a double with EC2's semantics.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod support;

use std::time::Duration;

use close_open_ingress::Settings;
use remediation::{ids::RecordId, settings::Document};
use serde_json::json;
use support::{GROUP, Instance, World, added, control, deliver, rule, told};
use testkit::Fault;

const SSH: (&str, &str) = ("sgr-1", "tcp 22 0.0.0.0/0");
const WEB: (&str, &str) = ("sgr-2", "tcp 443 0.0.0.0/0");
const OFFICE: (&str, &str) = ("sgr-3", "tcp 22 203.0.113.0/24");

/// The record of the finding `a`.
fn record(world: &World) -> RecordId {
    let mut records = world.ledger.records().into_iter();
    let of_it = records.find(|record| record.evidence.id.as_str().ends_with("/a"));
    of_it.unwrap().id
}

async fn about(world: &World, name: &str) -> Vec<String> {
    deliver(&world.instance(), world, &control(name, "a")).await.0
}

async fn undo(instance: &Instance, world: &World) -> Vec<String> {
    told(&instance.undo(&record(world), "ann", world.deadline()).await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn s50_only_the_violating_rule_goes_and_undo_brings_it_back_with_all_that_was_said_of_it() {
    let world = World::with(&[SSH, WEB, OFFICE]);
    let instance = world.instance();
    let done = deliver(&instance, &world, &control("EC2.13", "a")).await.0;
    assert_eq!(done, ["(port 22): Remediated closed"]);
    assert_eq!(
        world.openings(),
        ["tcp 443 from 0.0.0.0/0", "tcp 22 from 203.0.113.0/24"]
    );
    let again = deliver(&instance, &world, &control("EC2.13", "b")).await.0;
    assert_eq!(again, ["(port 22): AlreadyInPlace closed"]);

    assert_eq!(undo(&instance, &world).await, ["(port 22): Undone opened"]);
    let back = world.ec2.rules(GROUP).pop().unwrap();
    let was = rule(&back.id, SSH.1);
    assert_eq!(back, was);
    // CloudTrail tells of the undo as of every other opening; and the next check of the control fails again.
    let told = deliver(&instance, &world, &added("by-undo", &[&back.id])).await.0;
    assert_eq!(told, [format!("(watched ports in {}): Declined undone", back.id)]);
    assert_eq!(
        deliver(&instance, &world, &control("EC2.13", "c")).await.0,
        ["(port 22): Declined undone"]
    );
    assert_eq!(world.openings().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn s51_each_control_is_about_its_own_ports_and_families() {
    let rules = [
        ("sgr-1", "tcp 22 0.0.0.0/0"),
        ("sgr-2", "tcp 22 ::/0"),
        ("sgr-3", "tcp 3389 0.0.0.0/0"),
        ("sgr-4", "tcp 3300-3400 ::/0"),
        ("sgr-5", "tcp 443 0.0.0.0/0"),
        ("sgr-6", "tcp 5432 0.0.0.0/0"),
        ("sgr-7", "udp 53 0.0.0.0/0"),
        ("sgr-8", "icmp 8--1 0.0.0.0/0"),
        ("sgr-9", "tcp 22 10.0.0.0/8"),
    ];
    for (name, left) in [
        ("EC2.13", vec![3, 4, 5, 6, 7, 8, 9]),
        ("EC2.14", vec![1, 2, 5, 6, 7, 8, 9]),
        ("EC2.18", vec![5, 8, 9]),
        ("EC2.19", vec![5, 7, 8, 9]),
        ("EC2.53", vec![2, 4, 5, 6, 7, 8, 9]),
        ("EC2.54", vec![1, 3, 5, 6, 7, 8, 9]),
    ] {
        let world = World::with(&rules);
        about(&world, name).await;
        let ids: Vec<String> = left.iter().map(|id| format!("sgr-{id}")).collect();
        let found: Vec<String> = world.ec2.rules(GROUP).into_iter().map(|rule| rule.id).collect();
        assert_eq!(found, ids, "{name}");
        assert_eq!(world.ec2.writes(), 1, "one call for all of them");
    }
}

#[tokio::test(start_paused = true)]
async fn s51_whatever_opens_the_port_counts_and_the_world_in_pieces_is_the_world() {
    for (text, is_closed) in [
        ("-1 * 0.0.0.0/0", true),
        ("tcp 0-65535 ::/0", true),
        ("6 22 0.0.0.0/0", true),
        ("tcp 22 128.0.0.0/1", true),
        ("tcp 22 2000::/3", true),
        ("tcp 22 8000::/1", true),
        ("tcp 22 fc00::/6", true),
        ("tcp 22 fc00::/7", false),
        ("tcp 22 fd00::/8", false),
        ("tcp 22 fe80::/10", false),
        ("tcp 22 2.0.0.0/7", true),
        ("udp 22 0.0.0.0/0", false),
        ("tcp 23-443 0.0.0.0/0", false),
        ("tcp 22 203.0.0.0/8", false),
    ] {
        let world = World::with(&[("sgr-1", text)]);
        about(&world, "EC2.13").await;
        assert_eq!(world.openings().is_empty(), is_closed, "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn s52_a_rule_that_was_just_added_is_closed_and_those_beside_it_are_not_its_matter() {
    let world = World::with(&[SSH, ("sgr-4", "tcp 5432 0.0.0.0/0"), ("sgr-5", "tcp 9999 0.0.0.0/0")]);
    let instance = world.instance();
    let told = deliver(&instance, &world, &added("one", &["sgr-4"])).await.0;
    assert_eq!(told, ["(watched ports in sgr-4): Remediated closed"]);
    let told = deliver(&instance, &world, &added("two", &["sgr-5"])).await.0;
    assert_eq!(told, ["(watched ports in sgr-5): AlreadyInPlace closed"]);
    assert_eq!(world.openings(), ["tcp 22 from 0.0.0.0/0", "tcp 9999 from 0.0.0.0/0"]);
    // Without the ids of the rules, all that are watched are meant.
    let told = deliver(&instance, &world, &added("three", &[])).await.0;
    assert_eq!(told, ["(watched ports): Remediated closed"]);
}

#[tokio::test(start_paused = true)]
async fn s53_what_is_declared_protected_or_exempt_stays() {
    for (settings, expected) in [
        (
            json!({ "baseline": [{ "group": "securecart-*", "fromPort": 22 }] }),
            "Declined baseline",
        ),
        (
            json!({ "baseline": [{ "group": GROUP, "fromPort": 20, "toPort": 30, "source": "0.0.0.0/0" }] }),
            "Declined baseline",
        ),
        (
            json!({ "baseline": [{ "group": GROUP, "fromPort": 23 }] }),
            "Remediated closed",
        ),
        (
            json!({ "baseline": [{ "group": GROUP, "fromPort": 22, "source": "203.0.113.0/24" }] }),
            "Remediated closed",
        ),
        (
            json!({ "protectedGroups": ["securecart-bastion"] }),
            "Declined protected-group",
        ),
        (json!({ "protectedGroups": ["sg-0a1b*"] }), "Declined protected-group"),
        (json!({ "mode": "dry-run" }), "WouldRemediate closed"),
        (json!({ "mode": "approve" }), "AwaitingApproval closed"),
    ] {
        let world = World::with(&[SSH]);
        let told = deliver(&world.instance_with(&settings), &world, &control("EC2.13", "a"))
            .await
            .0;
        assert_eq!(told, [format!("(port 22): {expected}")], "{settings}");
        assert_eq!(world.openings().is_empty(), expected.starts_with("Remediated"));
    }
}

#[tokio::test(start_paused = true)]
async fn s7_a_lost_answer_a_fault_and_somebody_faster_end_in_the_same_state() {
    for fault in [Fault::Before, Fault::After] {
        let world = World::with(&[SSH, WEB]);
        world.ec2.faults.plan([fault]);
        let told = about(&world, "EC2.13").await;
        assert_eq!(told, ["(port 22): Remediated closed"], "{fault:?}");
        assert_eq!(world.openings(), ["tcp 443 from 0.0.0.0/0"]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_or_changed_since_is_said() {
    let world = World::with(&[SSH]);
    let instance = world.instance();
    deliver(&instance, &world, &control("EC2.13", "a")).await;
    // Somebody opened it again by hand: there is nothing left to undo.
    world.ec2.put(
        GROUP,
        close_open_ingress::Group {
            name: "securecart-bastion".to_owned(),
            rules: vec![rule("sgr-9", SSH.1)],
        },
    );
    assert_eq!(undo(&instance, &world).await, ["(port 22): Undone opened"]);
    let twice = instance
        .undo(&record(&world), "ann", world.deadline())
        .await
        .unwrap_err();
    assert!(twice.to_string().contains("undone already"), "{twice}");

    let world = World::with(&[SSH]);
    let instance = world.instance();
    deliver(&instance, &world, &control("EC2.13", "a")).await;
    world.ec2.remove(GROUP);
    assert_eq!(undo(&instance, &world).await, ["(port 22): Declined no-such-group"]);
    assert_eq!(
        deliver(&instance, &world, &control("EC2.13", "b")).await.0,
        ["(port 22): Declined no-such-group"]
    );
    let mut other = control("EC2.13", "c");
    other["detail"]["findings"][0]["Resources"][0]["Id"] =
        json!("arn:aws:ec2:us-east-1:111122223333:security-group/sg-$(x)");
    assert_eq!(deliver(&instance, &world, &other).await.0, ["declined not-a-group"]);
    let long = format!("us-{}-1", "e".repeat(10_000));
    for region in [
        "us-east-1; reboot",
        "us-$(reboot)-1",
        "us-east-1 reboot",
        "us-east-1.example.com/",
        "",
        &long,
    ] {
        let mut finding = control("EC2.13", "d");
        finding["detail"]["findings"][0]["Region"] = json!(region);
        let mut opened = added("elsewhere", &[]);
        opened["detail"]["awsRegion"] = json!(region);
        // Without a Region, what CloudTrail tells is refused before.
        let events = [Some(finding), (!region.is_empty()).then_some(opened)];
        for event in events.into_iter().flatten() {
            let told = deliver(&instance, &world, &event).await.0;
            assert_eq!(told, ["declined not-a-region"], "{region:.40?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn s53_what_is_closed_one_after_the_other_is_undone_together_and_a_declared_rule_keeps_the_finding_open() {
    let world = World::with(&[SSH]);
    let instance = world.instance_with(&json!({ "baseline": [{ "group": GROUP, "fromPort": 22, "source": "::/0" }] }));
    deliver(&instance, &world, &control("EC2.13", "a")).await;
    let more = [rule("sgr-5", "-1 * 0.0.0.0/0"), rule("sgr-6", "tcp 22 ::/0")];
    let group = close_open_ingress::Group {
        name: "securecart-bastion".to_owned(),
        rules: more.into(),
    };
    world.ec2.put(GROUP, group);
    let (told, summary) = deliver(&instance, &world, &control("EC2.13", "b")).await;
    assert_eq!(told, ["(port 22): Declined baseline"], "what is left is declared");
    assert_eq!(world.openings(), ["tcp 22 from ::/0"]);
    instance
        .undo(&summary.outcomes[0].record, "ann", world.deadline())
        .await
        .unwrap();
    assert_eq!(
        world.openings(),
        ["tcp 22 from ::/0", "tcp 22 from 0.0.0.0/0", "everything from 0.0.0.0/0"]
    );
}

#[tokio::test(start_paused = true)]
async fn s54_an_operator_s_word_outlasts_the_next_change_for_the_same_reason_and_ends_in_its_time() {
    const ALL: (&str, &str) = ("sgr-5", "-1 * 0.0.0.0/0");
    let world = World::with(&[SSH]);
    let instance = world.instance();
    let closed = deliver(&instance, &world, &control("EC2.13", "a")).await.0;
    assert_eq!(closed, ["(port 22): Remediated closed"]);
    assert_eq!(undo(&instance, &world).await, ["(port 22): Undone opened"]);

    let opens = |rules: &[(&str, &str)]| {
        let group = close_open_ingress::Group {
            name: "securecart-bastion".to_owned(),
            rules: rules.iter().map(|(id, text)| rule(id, text)).collect(),
        };
        world.ec2.put(GROUP, group);
    };
    opens(&[SSH, ALL]);
    let day = Duration::from_secs(24 * 60 * 60);
    world.clock.advance(10 * day).await;
    let (told, second) = deliver(&instance, &world, &control("EC2.13", "b")).await;
    assert_eq!(
        told,
        ["(port 22): Declined undone"],
        "what is left is open on an operator's word"
    );
    assert_eq!(world.openings(), ["tcp 22 from 0.0.0.0/0"]);
    let told = deliver(&instance, &world, &control("EC2.13", "c")).await.0;
    assert_eq!(told, ["(port 22): Declined undone"]);
    let told = deliver(&instance, &world, &added("by-hand", &[SSH.0])).await.0;
    assert_eq!(told, ["(watched ports in sgr-1): Declined undone"]);
    assert_eq!(world.openings(), ["tcp 22 from 0.0.0.0/0"]);

    // The second change is undone, and holds longer than the first.
    instance
        .undo(&second.outcomes[0].record, "ann", world.deadline())
        .await
        .unwrap();
    assert_eq!(world.openings(), ["tcp 22 from 0.0.0.0/0", "everything from 0.0.0.0/0"]);
    deliver(&instance, &world, &control("EC2.13", "d")).await;
    assert_eq!(world.openings().len(), 2);
    world.clock.advance(21 * day).await;
    let told = deliver(&instance, &world, &control("EC2.13", "e")).await.0;
    assert_eq!(told, ["(port 22): Declined undone"]);
    assert_eq!(
        world.openings(),
        ["everything from 0.0.0.0/0"],
        "the first word has ended"
    );
    world.clock.advance(10 * day).await;
    let told = deliver(&instance, &world, &control("EC2.13", "f")).await.0;
    assert_eq!(told, ["(port 22): Remediated closed"]);
    assert_eq!(world.openings(), Vec::<String>::new());
}

#[test]
fn settings_name_everything_that_is_wrong() {
    let read = |own: &str| {
        let document = format!(r#"{{"functions": {{"close-open-ingress": {own}}}}}"#);
        Settings::read(&Document::parse(&document).unwrap())
    };
    let wrong = read(
        r#"{"watchedPorts": [22, 0, 70000], "baseline": [{"group": "a", "fromPort": "ssh"}, {"fromPort": 1}, {"group": "a", "fromPort": 1, "port": 2}]}"#,
    )
    .unwrap_err();
    let names: Vec<_> = wrong
        .0
        .iter()
        .map(|wrong| wrong.name.trim_start_matches("functions.close-open-ingress."))
        .collect();
    assert_eq!(
        names,
        [
            "baseline[0].fromPort",
            "baseline[0]",
            "baseline[1]",
            "baseline[2].port",
            "watchedPorts[1]",
            "watchedPorts[2]"
        ]
    );
    let empty = read(r#"{"protectedGroups": ["a", "", " "], "baseline": [{"group": "", "fromPort": 1}]}"#).unwrap_err();
    let names: Vec<_> = empty.0.iter().map(|wrong| wrong.name.as_str()).collect();
    let name = |name: &str| format!("functions.close-open-ingress.{name}");
    assert_eq!(
        names,
        [
            name("baseline[0].group"),
            name("baseline[0]"),
            name("protectedGroups[1]"),
            name("protectedGroups[2]")
        ]
    );
    let swapped = r#"{"baseline": [{"group": "a", "fromPort": 22}, {"group": "a", "fromPort": 5500, "toPort": 5400}]}"#;
    let swapped = read(swapped).unwrap_err().to_string();
    assert!(
        swapped.contains("baseline[1].toPort: 5400 is before fromPort 5500"),
        "{swapped}"
    );
    let both = read(r#"{"watchedPorts": [443]}"#).unwrap_err().to_string();
    assert!(both.contains("443 is authorised as well"), "{both}");
}
