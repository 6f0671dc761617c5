//! Random policies, findings, undos, people and faults: nothing is ever granted that was not granted before, what is undone is
//! as it was to the byte, and what a person wrote is never lost. The judge is an evaluator that tries every request.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod support;

use proptest::{collection::vec, prelude::*};
use remediation::{ids::RecordId, ledger::Record, outcome::Outcome};
use revoke_permissions::{Bearer, Kind, PolicyArn};
use serde_json::{Value, json};
use support::{Instance, World, about, arn, config, control, deliver, external};
use testkit::{
    Fault, any_fault,
    policies::{identity_policy, policy, widened},
};

#[derive(Debug, Clone)]
enum Step {
    /// A rule is violated by the managed policy.
    Managed(&'static str),
    /// A rule is violated by the inline policy.
    Inline(&'static str),
    /// The bucket is open to this one.
    Bucket(&'static str),
    /// An operator undoes one of the records so far.
    Undo(prop::sample::Index),
    /// A person writes another policy.
    Person { place: usize, text: Value, spaced: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let place = (0..3_usize).prop_flat_map(|place| {
        let text = if place == 2 {
            policy().boxed()
        } else {
            identity_policy().boxed()
        };
        (Just(place), text, any::<bool>())
    });
    prop_oneof![
        4 => prop::sample::select(&["IAM.1", "IAM.21", "KMS.1"][..]).prop_map(Step::Managed),
        3 => prop::sample::select(&["KMS.2", "iam-no-inline-policy-check"][..]).prop_map(Step::Inline),
        2 => prop::sample::select(&["444455556666", "*"][..]).prop_map(Step::Bucket),
        3 => any::<prop::sample::Index>().prop_map(Step::Undo),
        2 => place.prop_map(|(place, text, spaced)| Step::Person { place, text, spaced }),
    ]
}

struct Scene {
    world: World,
    managed: PolicyArn,
    role: Bearer,
}

impl Scene {
    fn new() -> Self {
        let world = World::new();
        let managed = world.aws.policy("managed", &support::admin());
        let role = world.aws.holder(Kind::Role, "role", |role| {
            role.attached = vec![managed.clone(), arn("arn:aws:iam::aws:policy/ReadOnlyAccess")];
            role.inline.insert("inline".to_owned(), support::admin());
        });
        let open = json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*" }
        ] });
        world
            .aws
            .change(|aws| drop(aws.buckets.insert("bucket".to_owned(), Some(open.to_string()))));
        Self { world, managed, role }
    }

    fn texts(&self) -> [Option<String>; 3] {
        [
            Some(self.world.aws.text(&self.managed)),
            self.world.aws.get(&self.role).inline.get("inline").cloned(),
            self.world.aws.state().buckets["bucket"].clone(),
        ]
    }

    fn write(&self, place: usize, text: String) {
        match place {
            0 => self.world.aws.change(|aws| {
                let policy = &mut aws.account.policies[0];
                policy
                    .versions
                    .iter_mut()
                    .find(|version| version.is_default)
                    .unwrap()
                    .document = text;
            }),
            1 => self
                .world
                .aws
                .edit(&self.role, |role| drop(role.inline.insert("inline".to_owned(), text))),
            _ => self
                .world
                .aws
                .change(|aws| drop(aws.buckets.insert("bucket".to_owned(), Some(text)))),
        }
    }

    fn record(&self, id: &RecordId) -> Record {
        self.world
            .ledger
            .records()
            .into_iter()
            .find(|record| record.id == *id)
            .unwrap()
    }
}

/// A finding of its own for each step.
fn event(step: &Step, scene: &Scene, number: usize) -> Option<Value> {
    let id = number.to_string();
    Some(match step {
        Step::Managed(rule) => about(rule, &id, &scene.managed),
        Step::Inline("KMS.2") => control("KMS.2", &id, "AwsIamRole", "arn:aws:iam::111122223333:role/role"),
        Step::Inline(rule) => {
            let mut event = config(rule, "AWS::IAM::Role", scene.role.id.as_str());
            event["detail"]["newEvaluationResult"]["resultRecordedTime"] =
                format!("2026-09-21T00:{:02}:{:02}.000Z", number / 60, number % 60).into();
            event
        }
        Step::Bucket(who) => external(
            &id,
            "AWS::S3::Bucket",
            "arn:aws:s3:::bucket",
            &json!({ "AWS": who }),
            *who == "*",
        ),
        Step::Undo(_) | Step::Person { .. } => return None,
    })
}

async fn play(steps: Vec<Step>, faults: Vec<Fault>) {
    let scene = Scene::new();
    let instance: Instance = scene.world.instance();
    scene.world.aws.faults.plan(faults);
    let parsed = |text: &Option<String>| text.as_ref().map(|text| serde_json::from_str::<Value>(text).unwrap());
    for (number, step) in steps.iter().enumerate() {
        let before = scene.texts();
        if let Step::Person { place, text, spaced } = step {
            let text = if *spaced {
                serde_json::to_string_pretty(text).unwrap()
            } else {
                text.to_string()
            };
            scene.write(*place, text);
            continue;
        }
        if let Step::Undo(index) = step {
            let records = scene.world.ledger.records();
            if records.is_empty() {
                continue;
            }
            let record = index.get(&records).clone();
            let undone = instance.undo(&record.id, "an operator", scene.world.deadline()).await;
            let after = scene.texts();
            let is_undone = undone.is_ok_and(|summary| matches!(summary.outcomes[0].outcome, Outcome::Undone(_)));
            let changed: Vec<_> = (0..3).filter(|place| before[*place] != after[*place]).collect();
            if is_undone {
                // What stands on the target is taken back, whichever of its records names it.
                let of_target = records
                    .iter()
                    .filter(|other| other.scope == record.scope && other.target == record.target);
                let befores: Vec<_> = of_target
                    .filter_map(|other| other.change.as_ref())
                    .map(|change| change.get("before").and_then(Value::as_str).map(str::to_owned))
                    .collect();
                assert!(changed.len() <= 1, "an undo is about one policy");
                assert!(
                    changed.iter().all(|place| befores.contains(&after[*place])),
                    "as it was, to the byte"
                );
            } else if changed.is_empty() {
                // Refused, or failed before it did anything.
            } else {
                assert_eq!(
                    scene.record(&record.id).status,
                    remediation::ledger::Status::Reverting,
                    "{number}: {step:?}"
                );
            }
            continue;
        }
        let event = event(step, &scene, number).unwrap();
        let (told, summary) = deliver(&instance, &scene.world, &event).await;
        let after = scene.texts();
        for place in 0..3 {
            if before[place] == after[place] {
                continue;
            }
            let old = parsed(&before[place]).unwrap();
            assert_eq!(
                widened(parsed(&after[place]).as_ref(), &old),
                None,
                "{number}: {step:?}: {told:?}"
            );
        }
        let acted = summary.outcomes.iter().any(|report| {
            matches!(report.outcome, Outcome::Remediated(_)) || matches!(report.outcome, Outcome::Failed(_))
        });
        assert!(acted || before == after, "{number}: {step:?} said {told:?} and wrote");
        // A failure may have been one of the answer alone: it is settled by the redelivery.
        if summary.needs_redelivery() {
            deliver(&instance, &scene.world, &event).await;
        }
    }
}

proptest! {
    #[test]
    fn s76_nothing_is_ever_granted_that_was_not(steps in vec(step(), 1..12), faults in vec(any_fault(), 0..8)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(play(steps, faults));
    }
}
