//! The promises of `block-ip`, one by one, on doubles with the services' semantics.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod support;

use std::time::Duration;

use remediation::{clock::Clock, failure::Class, ids::RecordId, ledger::Status, outcome::Outcome};
use serde_json::json;
use support::{V4, V6, World, attack, deliver, outcomes, texts};
use testkit::Fault;

fn names(summary: &remediation::engine::Summary) -> Vec<&'static str> {
    summary.outcomes.iter().map(|report| report.outcome.name()).collect()
}

#[tokio::test(start_paused = true)]
async fn s10_an_attacker_is_blocked_and_a_redelivery_adds_no_write() {
    let world = World::new();
    let instance = world.instance();
    let finding = attack("f1", world.clock.now(), "198.51.100.7", 2.0);
    let first = deliver(&instance, &world, std::slice::from_ref(&finding)).await;
    assert_eq!(names(&first.summary), ["Remediated"]);
    assert!(first.redeliver.is_empty());
    assert_eq!(world.v4(), ["198.51.100.7/32"]);

    let (updates, writes) = (world.waf.0.updates(), world.ledger.writes());
    let second = deliver(&instance, &world, &[finding]).await;
    assert_eq!(
        names(&second.summary),
        ["Remediated"],
        "the recorded outcome is told again"
    );
    assert_eq!((world.waf.0.updates(), world.ledger.writes()), (updates, writes));
}

#[tokio::test(start_paused = true)]
async fn s4_a_batch_is_one_write_per_set() {
    let world = World::new();
    let now = world.clock.now();
    let mut bodies: Vec<_> = (0..200)
        .map(|n| attack(&format!("f{n}"), now, &format!("192.0.2.{n}"), 5.0))
        .collect();
    bodies.extend((0..50).map(|n| attack(&format!("g{n}"), now, &format!("2001:db8::{n:x}"), 5.0)));
    let done = deliver(&world.instance(), &world, &bodies).await;
    assert_eq!(done.summary.outcomes.len(), 250);
    assert!(
        names(&done.summary).iter().all(|name| *name == "Remediated"),
        "{:?}",
        outcomes(&done.summary)
    );
    assert_eq!(world.waf.0.updates(), 2);
    assert_eq!(world.waf.0.contents(V6).addresses.len(), 50);
}

#[tokio::test(start_paused = true)]
async fn s5_intent_is_durable_before_waf_is_written() {
    let world = World::new();
    world.waf.0.faults.plan([Fault::None, Fault::Denied]);
    let finding = attack("f1", world.clock.now(), "198.51.100.7", 2.0);
    let failed = deliver(&world.instance(), &world, std::slice::from_ref(&finding)).await;
    assert_eq!(failed.redeliver, ["message-f1"]);
    assert!(matches!(&failed.summary.outcomes[0].outcome, Outcome::Failed(f) if f.class == Class::Denied));
    assert_eq!(world.v4(), Vec::<String>::new());
    let record = &world.ledger.records()[0];
    assert!(matches!(&record.status, Status::Settled(Outcome::Failed(_))));
    assert_eq!(record.image.as_ref().unwrap().inverse["remove"], "198.51.100.7/32");

    // The schedule of another instance completes what was intended, and the record then says so.
    let swept = world.instance().sweep(world.deadline()).await;
    assert!(swept.unsettled.is_empty(), "{swept:?}");
    assert_eq!(world.v4(), ["198.51.100.7/32"]);
    assert!(matches!(
        &world.ledger.records()[0].status,
        Status::Settled(Outcome::Remediated(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn s42_what_people_added_stays() {
    let world = World::new();
    world
        .waf
        .0
        .edit(V4, |set| set.push("203.0.113.200/32".parse().unwrap()));
    let finding = attack("f1", world.clock.now(), "198.51.100.7", 2.0);
    deliver(&world.instance(), &world, &[finding]).await;
    assert_eq!(world.v4(), ["198.51.100.7/32", "203.0.113.200/32"]);
    // Blocked by a person already: nothing of ours to expire or to undo.
    let theirs = attack("f2", world.clock.now(), "203.0.113.200", 2.0);
    let done = deliver(&world.instance(), &world, &[theirs]).await;
    assert_eq!(names(&done.summary), ["AlreadyInPlace"]);
    tokio::time::sleep(Duration::from_secs(40 * 24 * 3600)).await;
    world.instance().sweep(world.deadline()).await;
    assert_eq!(world.v4(), ["203.0.113.200/32"]);
}

#[tokio::test(start_paused = true)]
async fn s42_a_wider_network_of_a_person_covers() {
    let world = World::new();
    world.waf.0.edit(V4, |set| set.push("198.51.100.0/24".parse().unwrap()));
    let done = deliver(
        &world.instance(),
        &world,
        &[attack("f1", world.clock.now(), "198.51.100.7", 2.0)],
    )
    .await;
    assert_eq!(names(&done.summary), ["AlreadyInPlace"]);
    assert_eq!(world.waf.0.updates(), 0);
}

#[tokio::test(start_paused = true)]
async fn s7_a_lost_answer_is_found_out_by_looking() {
    let world = World::new();
    world.waf.0.faults.plan([Fault::None, Fault::After]);
    let done = deliver(
        &world.instance(),
        &world,
        &[attack("f1", world.clock.now(), "198.51.100.7", 2.0)],
    )
    .await;
    assert_eq!(names(&done.summary), ["Remediated"]);
    assert_eq!(world.waf.0.updates(), 1, "it had been carried out");
}

#[tokio::test(start_paused = true)]
async fn s17_dry_run_writes_nothing_and_enforce_then_acts_on_the_same_finding() {
    let world = World::new();
    let finding = [attack("f1", world.clock.now(), "198.51.100.7", 2.0)];
    let dry = world.instance_with(&json!({ "mode": "dry-run" }));
    let shown = deliver(&dry, &world, &finding).await;
    assert_eq!(names(&shown.summary), ["WouldRemediate"]);
    assert_eq!((world.waf.0.updates(), world.v4().len()), (0, 0));
    assert!(world.ledger.records()[0].image.is_some(), "the plan is on record");
    let done = deliver(&world.instance(), &world, &finding).await;
    assert_eq!(names(&done.summary), ["Remediated"]);
}

#[tokio::test(start_paused = true)]
async fn s17_a_dry_run_leaves_expired_blocks_and_undo_alone() {
    let world = World::new();
    deliver(
        &world.instance(),
        &world,
        &[attack("f1", world.clock.now(), "198.51.100.7", 2.0)],
    )
    .await;
    let record = world.ledger.records()[0].id.clone();
    let dry = world.instance_with(&json!({ "mode": "dry-run" }));
    let undo = dry.undo(&record, "an operator", world.deadline()).await.unwrap();
    assert_eq!(names(&undo), ["WouldRemediate"]);
    tokio::time::sleep(Duration::from_secs(40 * 24 * 3600)).await;
    dry.sweep(world.deadline()).await;
    assert_eq!((world.v4().len(), world.waf.0.updates()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn s18_plans_wait_for_approval_and_are_then_carried_out() {
    let world = World::new();
    let instance = world.instance_with(&json!({ "mode": "approve" }));
    let finding = [attack("f1", world.clock.now(), "198.51.100.7", 2.0)];
    assert_eq!(
        names(&deliver(&instance, &world, &finding).await.summary),
        ["AwaitingApproval"]
    );
    assert_eq!(world.v4().len(), 0);
    let record = world.ledger.records()[0].id.clone();
    assert_eq!(
        names(
            &instance
                .approve(&record, "an operator", world.deadline())
                .await
                .unwrap()
        ),
        ["Remediated"]
    );
    assert_eq!(world.v4(), ["198.51.100.7/32"]);
    let twice = instance
        .approve(&record, "an operator", world.deadline())
        .await
        .unwrap_err();
    assert!(twice.to_string().contains("does not wait for approval"), "{twice}");
}

#[tokio::test(start_paused = true)]
async fn s48_undo_unblocks_and_sticks() {
    let world = World::new();
    let instance = world.instance();
    let finding = attack("f1", world.clock.now(), "198.51.100.7", 2.0);
    deliver(&instance, &world, std::slice::from_ref(&finding)).await;
    let record = world.ledger.records()[0].id.clone();
    assert_eq!(
        names(&instance.undo(&record, "an operator", world.deadline()).await.unwrap()),
        ["Undone"]
    );
    assert_eq!(world.v4().len(), 0);

    // A redelivery, and a later word on the same attacker: neither blocks again.
    assert_eq!(names(&deliver(&instance, &world, &[finding]).await.summary), ["Undone"]);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let again = deliver(
        &instance,
        &world,
        &[attack("f2", world.clock.now(), "198.51.100.7", 8.0)],
    )
    .await;
    assert_eq!(names(&again.summary), ["Declined"]);
    assert_eq!(world.v4().len(), 0);
    let twice = instance
        .undo(&record, "an operator", world.deadline())
        .await
        .unwrap_err();
    assert!(twice.to_string().contains("undone already"), "{twice}");

    // The hold ends with the time that the block would have stood.
    tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
    instance.sweep(world.deadline()).await;
    let later = deliver(
        &instance,
        &world,
        &[attack("f3", world.clock.now(), "198.51.100.7", 2.0)],
    )
    .await;
    assert_eq!(names(&later.summary), ["Remediated"]);
}

#[tokio::test(start_paused = true)]
async fn undo_of_what_is_not_there_is_refused_by_name() {
    let world = World::new();
    let unknown = RecordId::parse("block-ip-0123456789abcdef01234567").unwrap();
    let refused = world
        .instance()
        .undo(&unknown, "an operator", world.deadline())
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("no such record"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn s45_blocks_expire_and_offences_extend_them() {
    let world = World::new();
    let instance = world.instance();
    deliver(
        &instance,
        &world,
        &[attack("f1", world.clock.now(), "198.51.100.7", 2.0)],
    )
    .await;
    tokio::time::sleep(Duration::from_secs(20 * 3600)).await;
    // The same finding by another way says nothing new; a later activity does.
    let twin = attack(
        "twin",
        world.clock.now() - Duration::from_secs(20 * 3600),
        "198.51.100.7",
        2.0,
    );
    assert_eq!(
        names(&deliver(&instance, &world, &[twin]).await.summary),
        ["AlreadyInPlace"]
    );
    let again = deliver(
        &instance,
        &world,
        &[attack("f2", world.clock.now(), "198.51.100.7", 2.0)],
    )
    .await;
    assert!(
        outcomes(&again.summary)[0].contains("Remediated"),
        "{:?}",
        outcomes(&again.summary)
    );
    assert_eq!(world.waf.0.updates(), 1, "only the ledger had to change");
    tokio::time::sleep(Duration::from_secs(47 * 3600)).await;
    instance.sweep(world.deadline()).await;
    assert_eq!(world.v4().len(), 1);
    tokio::time::sleep(Duration::from_secs(2 * 3600)).await;
    instance.sweep(world.deadline()).await;
    assert_eq!(world.v4().len(), 0);
    let newest = world
        .ledger
        .records()
        .into_iter()
        .filter(|record| record.released.is_some())
        .count();
    assert_eq!(newest, 1);
}

#[tokio::test(start_paused = true)]
async fn s41_protected_addresses_are_declined_and_recorded() {
    let world = World::new();
    let now = world.clock.now();
    let bodies = [
        attack("private", now, "10.0.0.8", 8.0),
        attack("mapped", now, "::ffff:10.0.0.8", 8.0),
        attack("listed", now, "203.0.113.5", 8.0),
    ];
    let done = deliver(&world.instance(), &world, &bodies).await;
    assert_eq!(names(&done.summary), ["Declined"; 3]);
    assert_eq!((world.waf.0.updates(), world.ledger.records().len()), (0, 3));
}

#[tokio::test(start_paused = true)]
async fn s46_a_full_set_aggregates_exactly_then_lets_the_least_give_way() {
    let world = World::new();
    let instance = world.instance();
    let now = world.clock.now();
    // 9,990 addresses of people leave room for ten.
    world.waf.0.edit(V4, |set| {
        set.extend(
            (0..9_990_u32).map(|n| ipnet::IpNet::from(std::net::IpAddr::from((0x0100_0000 + 2 * n).to_be_bytes()))),
        );
    });
    let block = |id: &str, address: &str, severity| attack(id, now, address, severity);
    // Sixteen neighbours fit as one network; four strangers beside them.
    let mut bodies: Vec<_> = (0..16)
        .map(|n| block(&format!("n{n}"), &format!("192.0.2.{n}"), 5.0))
        .collect();
    bodies.extend((0..4).map(|n| block(&format!("s{n}"), &format!("198.51.100.{}", 2 * n + 1), 2.0)));
    let done = deliver(&instance, &world, &bodies).await;
    assert!(
        names(&done.summary).iter().all(|name| *name == "Remediated"),
        "{:?}",
        outcomes(&done.summary)
    );
    let set = world.waf.0.contents(V4).addresses;
    assert_eq!(set.len(), 9_995);
    assert!(texts(&set).contains(&"192.0.2.0/28".to_owned()));

    // Eight worse strangers: five places are free, so three of the four least have to go.
    let worse: Vec<_> = (0..8)
        .map(|n| block(&format!("w{n}"), &format!("203.0.113.{}", 32 + 2 * n), 9.5))
        .collect();
    let done = deliver(&instance, &world, &worse).await;
    assert_eq!(names(&done.summary), ["Remediated"; 8], "{:?}", outcomes(&done.summary));
    let set = texts(&world.waf.0.contents(V4).addresses);
    assert_eq!(set.len(), 10_000);
    assert_eq!(set.iter().filter(|net| net.starts_with("198.51.100.")).count(), 1);

    // And one that is no worse than what is there finds no room, and is told so.
    let last = deliver(&instance, &world, &[block("last", "203.0.113.99", 2.0)]).await;
    let least_stays = texts(&world.waf.0.contents(V4).addresses).len() == 10_000;
    assert!(
        least_stays && last.summary.outcomes[0].outcome.name() != "Failed",
        "{:?}",
        outcomes(&last.summary)
    );

    // Once all of ours have expired, nothing of ours is left, aggregates included.
    tokio::time::sleep(Duration::from_secs(60 * 24 * 3600)).await;
    instance.sweep(world.deadline()).await;
    assert_eq!(world.waf.0.contents(V4).addresses.len(), 9_990);
}

#[tokio::test(start_paused = true)]
async fn s46_an_aggregate_makes_way_for_its_members_when_one_is_undone() {
    let world = World::new();
    let instance = world.instance();
    world.waf.0.edit(V4, |set| {
        set.extend(
            (0..9_999_u32).map(|n| ipnet::IpNet::from(std::net::IpAddr::from((0x0100_0000 + 2 * n).to_be_bytes()))),
        );
    });
    let now = world.clock.now();
    let bodies = [attack("a", now, "192.0.2.2", 5.0), attack("b", now, "192.0.2.3", 5.0)];
    deliver(&instance, &world, &bodies).await;
    assert!(world.v4().contains(&"192.0.2.2/31".to_owned()));
    let undone = world
        .ledger
        .records()
        .into_iter()
        .find(|r| r.target == "192.0.2.2")
        .unwrap()
        .id;
    assert_eq!(
        names(&instance.undo(&undone, "an operator", world.deadline()).await.unwrap()),
        ["Undone"]
    );
    let set = world.v4();
    assert!(set.contains(&"192.0.2.3/32".to_owned()) && !set.contains(&"192.0.2.2/31".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn s44_an_offence_while_the_block_is_being_released_cannot_lose_it() {
    // The release has been announced and its write is on the way, planned from the present state of the set.
    let world = World::new();
    let instance = world.instance();
    deliver(
        &instance,
        &world,
        &[attack("f1", world.clock.now(), "198.51.100.7", 2.0)],
    )
    .await;
    tokio::time::sleep(Duration::from_secs(25 * 3600)).await;
    let stale = world.waf.0.contents(V4);
    world.waf.0.faults.plan([Fault::None, Fault::Denied]);
    let one_set = world.instance_in(&[("BLOCK_IPV6_SETS", "")]);
    let interrupted = one_set.sweep(world.deadline()).await;
    assert_eq!((interrupted.unsettled.len(), world.v4().len()), (1, 1));

    let done = deliver(
        &world.instance(),
        &world,
        &[attack("f2", world.clock.now(), "198.51.100.7", 2.0)],
    )
    .await;
    assert_eq!(names(&done.summary), ["Remediated"]);
    // The late write of the release now bounces: its token is stale.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let late = world.waf.0.update(V4, &[], &stale.lock_token).unwrap_err();
    assert_eq!(late.class, Class::Conflict);
    assert_eq!(world.v4(), ["198.51.100.7/32"]);
}

#[tokio::test(start_paused = true)]
async fn s9_a_throttled_hour_ends_at_the_deadline_with_the_message_kept() {
    let world = World::new();
    world.waf.0.faults.plan(std::iter::repeat_n(Fault::Throttled, 1_000));
    let started = world.clock.now();
    let failed = deliver(&world.instance(), &world, &[attack("f1", started, "198.51.100.7", 2.0)]).await;
    assert_eq!(failed.redeliver, ["message-f1"]);
    assert!(matches!(&failed.summary.outcomes[0].outcome, Outcome::Failed(f) if f.class == Class::Throttled));
    assert!((world.clock.now() - started).num_seconds() <= 58);
}

#[tokio::test(start_paused = true)]
async fn s13_samples_and_archived_findings_are_declined_unless_allowed() {
    let world = World::new();
    let (id, mut sample) = attack("f1", world.clock.now(), "198.51.100.7", 2.0);
    sample["detail"]["service"]["additionalInfo"] =
        serde_json::json!({"type": "default", "value": "{\"sample\":true}"});
    let done = deliver(&world.instance(), &world, &[(id.clone(), sample.clone())]).await;
    assert_eq!(names(&done.summary), ["Declined"]);
    let allowing = world.instance_with(&json!({ "sampleFindings": true }));
    assert_eq!(
        names(&deliver(&allowing, &world, &[(id, sample)]).await.summary),
        ["Remediated"]
    );

    let (id, mut archived) = attack("f2", world.clock.now(), "198.51.100.8", 2.0);
    archived["detail"]["service"]["archived"] = "true".into();
    assert_eq!(
        names(&deliver(&allowing, &world, &[(id, archived)]).await.summary),
        ["Declined"]
    );
}

#[tokio::test(start_paused = true)]
async fn s25_explain_answers_in_any_mode_and_writes_nothing() {
    let world = World::new();
    let instance = world.instance();
    let (_, event) = attack("f1", world.clock.now(), "198.51.100.7", 2.0);
    let payload = serde_json::json!({ "explain": event }).to_string();
    let Ok(remediation::intake::Invocation::Command(remediation::intake::Command::Explain(intake))) =
        remediation::intake::read(&payload)
    else {
        panic!("not a command")
    };
    let explained = instance.explain(intake, world.deadline()).await.unwrap();
    assert_eq!(names(&explained), ["WouldRemediate"]);
    assert_eq!((world.waf.0.updates(), world.ledger.writes()), (0, 0));
}
