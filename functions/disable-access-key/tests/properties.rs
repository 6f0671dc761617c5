//! Random users, findings, undos, people and faults, against a reference that knows no engine.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::TimeDelta;
use disable_access_key::POLICY;
use proptest::{collection::vec, prelude::*};
use remediation::{clock::Clock, ids::RecordId, outcome::Outcome};
use serde_json::Value;
use support::{Used, World, control, deliver, health};
use testkit::{Fault, any_fault};

const USERS: [(&str, &str); 2] = [("alice", "AIDAALICE00000000001"), ("bob", "AIDABOB0000000000001")];
const KEYS: [[&str; 2]; 2] = [
    ["AKIAALICE00000000001", "AKIAALICE00000000002"],
    ["AKIABOB0000000000001", "AKIABOB0000000000002"],
];

#[derive(Debug, Clone)]
enum Step {
    /// A control fails for a user.
    Control(&'static str, usize),
    /// A key is seen in other hands, by GuardDuty or by AWS Health.
    Stolen { user: usize, key: usize, by_health: bool },
    /// An operator undoes one of the records so far.
    Undo(prop::sample::Index),
    /// A person sets a key's status.
    Person { user: usize, key: usize, active: bool },
    /// Time goes by.
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let control = prop_oneof![Just("IAM.3"), Just("IAM.8"), Just("IAM.22")];
    prop_oneof![
        4 => (control, 0..2_usize).prop_map(|(control, user)| Step::Control(control, user)),
        3 => (0..2_usize, 0..2_usize, any::<bool>())
            .prop_map(|(user, key, by_health)| Step::Stolen { user, key, by_health }),
        3 => any::<prop::sample::Index>().prop_map(Step::Undo),
        2 => (0..2_usize, 0..2_usize, any::<bool>()).prop_map(|(user, key, active)| Step::Person { user, key, active }),
        1 => (1..40_u64).prop_map(Step::Wait),
    ]
}

/// Age and last use of each key, in days.
fn ages() -> impl Strategy<Value = Vec<(i64, Option<i64>)>> {
    let key = (1..200_i64).prop_flat_map(|age| (Just(age), prop::option::of(0..=age)));
    vec(key, 4)
}

fn statuses(world: &World) -> BTreeMap<String, bool> {
    let states = USERS.iter().flat_map(|(name, _)| world.iam.state(name));
    let keys = states.filter_map(|state| {
        let (key, status) = state.split_once(':')?;
        Some((key.to_owned(), status == "Active"))
    });
    keys.collect()
}

/// Whether the control forbids a key of this age and idle time.
fn violates(control: &str, age: TimeDelta, idle: TimeDelta) -> bool {
    match control {
        "IAM.3" => age > TimeDelta::days(90) && idle >= TimeDelta::days(30),
        "IAM.8" => idle > TimeDelta::days(90),
        _ => idle > TimeDelta::days(45),
    }
}

async fn play(ages: Vec<(i64, Option<i64>)>, steps: Vec<Step>, faults: Vec<Fault>) {
    let world = World::new();
    let begin = world.clock.now();
    for (index, (name, id)) in USERS.into_iter().enumerate() {
        let key = |number: usize| {
            let (age, used) = ages[index * 2 + number];
            world.key(KEYS[index][number], age, used)
        };
        world.iam.user(name, id, vec![key(0), key(1)]);
    }
    world.iam.faults.plan(faults);
    let instance = world.instance();
    let mut records: Vec<RecordId> = Vec::new();

    for (number, step) in steps.into_iter().enumerate() {
        let before = statuses(&world);
        // A retry may carry a step past a limit.
        let passed = world.clock.now() - begin + TimeDelta::minutes(2);
        // The keys that this step may disable, and those that it may re-activate.
        let mut may_disable = BTreeSet::new();
        let mut may_activate = BTreeSet::new();
        let summary = match step {
            Step::Wait(days) => {
                world.clock.advance(Duration::from_secs(days * 24 * 3600)).await;
                continue;
            }
            Step::Person { user, key, active } => {
                world
                    .iam
                    .change(USERS[user].0, |bearer| bearer.keys[key].active = active);
                continue;
            }
            Step::Control(control_id, user) => {
                for key in 0..2 {
                    let (age, used) = ages[user * 2 + key];
                    if violates(
                        control_id,
                        TimeDelta::days(age) + passed,
                        TimeDelta::days(used.unwrap_or(age)) + passed,
                    ) {
                        may_disable.insert(KEYS[user][key]);
                    }
                }
                let arn = format!("arn:aws:iam::111122223333:user/{}", USERS[user].0);
                deliver(&instance, &world, &control(control_id, &number.to_string(), &arn))
                    .await
                    .1
            }
            Step::Stolen { user, key, by_health } => {
                may_disable.insert(KEYS[user][key]);
                let finding = number.to_string();
                let event: Value = if by_health {
                    let mut event = health(&[KEYS[user][key]]);
                    event["detail"]["communicationId"] = finding.into();
                    event
                } else {
                    Used {
                        finding: &finding,
                        ..Used::key(&world, KEYS[user][key], USERS[user].0, USERS[user].1)
                    }
                    .event()
                };
                deliver(&instance, &world, &event).await.1
            }
            Step::Undo(index) if !records.is_empty() => {
                let id = index.get(&records).clone();
                let target = world
                    .ledger
                    .records()
                    .into_iter()
                    .find(|record| record.id == id)
                    .unwrap()
                    .target
                    .to_string();
                may_activate.extend(KEYS.iter().flatten().copied().filter(|key| target.contains(key)));
                match instance.undo(&id, "an operator", world.deadline()).await {
                    Ok(summary) => summary,
                    Err(_) => continue,
                }
            }
            Step::Undo(_) => continue,
        };

        let after = statuses(&world);
        for (key, active) in &after {
            match (before[key], active) {
                (true, false) => assert!(may_disable.contains(key.as_str()), "{key} was disabled for nothing"),
                (false, true) => assert!(may_activate.contains(key.as_str()), "{key} was re-activated unasked"),
                _ => {}
            }
        }
        for report in &summary.outcomes {
            let key = KEYS.iter().flatten().find(|key| report.target.contains(*key));
            match (&report.outcome, key) {
                (Outcome::Remediated(_), Some(key)) => assert!(!after[*key], "{key} is active and said to be disabled"),
                (Outcome::Undone(_), Some(key)) => {
                    assert!(after[*key], "{key} is inactive and said to be re-activated")
                }
                (Outcome::Remediated(_), None) => {
                    let user = USERS.iter().find(|(name, _)| report.target.contains(name)).unwrap().0;
                    assert!(
                        world.iam.user_policies(user).contains_key(POLICY),
                        "{user}'s sessions are said to be cut"
                    );
                }
                _ => {}
            }
            if !records.contains(&report.record) && world.ledger.records().iter().any(|known| known.id == report.record)
            {
                records.push(report.record.clone());
            }
        }
        for (name, _) in USERS {
            assert!(world.iam.user_policies(name).keys().all(|policy| policy == POLICY));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn s63_only_what_may_be_touched_is_touched_and_what_is_said_is_so(
        ages in ages(),
        steps in vec(step(), 1..14),
        faults in vec(any_fault(), 0..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(play(ages, steps, faults));
    }
}
