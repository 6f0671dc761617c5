//! The promises of `disable-access-key`, one by one, on a double with IAM's semantics.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod support;

use std::time::Duration;

use chrono::TimeDelta;
use disable_access_key::POLICY;
use remediation::{clock::Clock, engine::Engine, ids::RecordId, ledger::Status, outcome::Outcome, settings::Document};
use serde_json::json;
use support::{Used, World, config, control, deliver, health, told};
use testkit::Fault;

const ALICE: &str = "AIDAALICE00000000001";
const OLD: &str = "AKIAOLD0000000000001";
const NEW: &str = "AKIANEW0000000000001";
const ARN: &str = "arn:aws:iam::111122223333:user/alice";

/// The record whose target's text holds this.
fn record(world: &World, part: &str) -> RecordId {
    let records = world.ledger.records();
    let found = records.iter().find(|record| record.target.to_string().contains(part));
    found.unwrap_or_else(|| panic!("no record about {part}")).id.clone()
}

#[tokio::test(start_paused = true)]
async fn s55_only_the_violating_key_of_a_user_with_two_is_disabled() {
    let world = World::new();
    world.iam.user(
        "alice",
        ALICE,
        vec![world.key(OLD, 400, Some(100)), world.key(NEW, 10, Some(0))],
    );
    let instance = world.instance();
    let (outcomes, _) = deliver(&instance, &world, &control("IAM.3", "a", ARN)).await;
    assert_eq!(
        outcomes,
        [
            format!("user/alice {NEW} (rotation) AlreadyInPlace compliant"),
            format!("user/alice {OLD} (rotation) Remediated disabled"),
        ]
    );
    assert_eq!(
        world.iam.state("alice"),
        [format!("{OLD}:Inactive"), format!("{NEW}:Active")]
    );

    let writes = world.iam.writes();
    let (again, _) = deliver(&instance, &world, &control("IAM.3", "a", ARN)).await;
    assert_eq!(again, outcomes, "a redelivery is told the same");
    assert_eq!(world.iam.writes(), writes, "and writes nothing");
}

#[tokio::test(start_paused = true)]
async fn s55_a_key_that_was_never_used_is_idle_since_it_was_made() {
    let world = World::new();
    world
        .iam
        .user("alice", ALICE, vec![world.key(OLD, 91, None), world.key(NEW, 1, None)]);
    let (outcomes, _) = deliver(
        &world.instance(),
        &world,
        &config("iam-user-unused-credentials-check", ALICE),
    )
    .await;
    assert_eq!(
        outcomes,
        [
            format!("user/alice {NEW} (unused) AlreadyInPlace compliant"),
            format!("user/alice {OLD} (unused) Remediated disabled"),
            "user/alice password (unused) AlreadyInPlace no-password".to_owned(),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn s55_iam_22_counts_45_days_and_iam_8_the_setting() {
    for (name, id, disabled) in [("IAM.8", "a", false), ("IAM.22", "b", true)] {
        let world = World::new();
        world.iam.user("alice", ALICE, vec![world.key(OLD, 400, Some(60))]);
        deliver(&world.instance(), &world, &control(name, id, ARN)).await;
        let status = if disabled { "Inactive" } else { "Active" };
        assert_eq!(world.iam.state("alice"), [format!("{OLD}:{status}")], "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn s56_a_key_in_use_is_escalated_when_it_is_due_for_rotation_and_disabled_only_by_setting() {
    let world = World::new();
    world.iam.user("alice", ALICE, vec![world.key(OLD, 400, Some(2))]);
    let event = control("IAM.3", "a", ARN);
    let (outcomes, summary) = deliver(&world.instance(), &world, &event).await;
    assert_eq!(outcomes, [format!("user/alice {OLD} (rotation) Escalated key-in-use")]);
    let why = summary.outcomes[0].outcome.why();
    assert!(
        why.contains("400 days old") && why.contains("aws iam create-access-key --user-name alice"),
        "{why}"
    );
    assert_eq!(
        (world.iam.state("alice"), world.iam.writes()),
        (vec![format!("{OLD}:Active")], 0)
    );
    let undo = world
        .instance()
        .undo(&record(&world, OLD), "an operator", world.deadline())
        .await;
    assert!(undo.unwrap_err().message.contains("nothing was changed"));

    let strict = world.instance_with(&json!({ "rotationOfUsedKeys": "disable" }));
    let (outcomes, _) = deliver(&strict, &world, &event).await;
    assert_eq!(outcomes, [format!("user/alice {OLD} (rotation) Remediated disabled")]);
}

#[tokio::test(start_paused = true)]
async fn s56_a_stale_password_alone_is_escalated_with_the_exact_command() {
    let world = World::new();
    world.iam.user("alice", ALICE, vec![world.key(NEW, 10, Some(1))]);
    world.iam.change("alice", |alice| {
        alice.password = Some((world.ago(500), Some(world.ago(120))))
    });
    let (outcomes, summary) = deliver(&world.instance(), &world, &control("IAM.8", "a", ARN)).await;
    assert_eq!(
        outcomes,
        [
            format!("user/alice {NEW} (unused) AlreadyInPlace compliant"),
            "user/alice password (unused) Escalated password-unused".to_owned(),
        ]
    );
    let advice = summary
        .outcomes
        .iter()
        .map(|report| report.outcome.why())
        .collect::<String>();
    assert!(
        advice.contains("aws iam delete-login-profile --user-name alice"),
        "{advice}"
    );
    assert_eq!(world.iam.writes(), 0);
}

#[tokio::test(start_paused = true)]
async fn s57_users_are_found_by_every_name_that_findings_give_them() {
    for event in [
        config("securityhub-access-keys-rotated-3dd4f050", ALICE),
        control("IAM.3", "plain", ARN),
        control("IAM.3", "path", "arn:aws:iam::111122223333:user/teams/payments/alice"),
        control("IAM.3", "id", &format!("arn:aws:iam::111122223333:user/{ALICE}")),
        control("IAM.3", "china", "arn:aws-cn:iam::111122223333:user/alice"),
    ] {
        let world = World::new();
        world.iam.user("alice", ALICE, vec![world.key(OLD, 400, None)]);
        let (outcomes, _) = deliver(&world.instance(), &world, &event).await;
        assert_eq!(
            outcomes,
            [format!("user/alice {OLD} (rotation) Remediated disabled")],
            "{event}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn s57_a_name_that_belongs_to_somebody_else_now_is_declined() {
    let world = World::new();
    world
        .iam
        .user("alice", "AIDASOMEBODYELSE0001", vec![world.key(OLD, 400, None)]);
    let mut event = control("IAM.3", "a", ARN);
    event["detail"]["findings"][0]["Resources"][0]["Details"] =
        json!({ "AwsIamUser": { "UserName": "alice", "UserId": ALICE, "Path": "/" } });
    let (outcomes, _) = deliver(&world.instance(), &world, &event).await;
    assert_eq!(
        outcomes,
        [format!("user/alice ({ALICE}) (rotation) Declined name-reused")]
    );
    let (outcomes, _) = deliver(
        &world.instance(),
        &world,
        &Used::key(&world, OLD, "alice", ALICE).event(),
    )
    .await;
    assert!(
        outcomes.iter().all(|told| told.ends_with("Declined name-reused")),
        "{outcomes:?}"
    );
    assert_eq!(world.iam.state("alice"), [format!("{OLD}:Active")]);
}

#[tokio::test(start_paused = true)]
async fn s57_who_is_gone_is_declined() {
    let world = World::new();
    let (outcomes, _) = deliver(&world.instance(), &world, &config("access-keys-rotated", ALICE)).await;
    assert_eq!(outcomes, [format!("user/{ALICE} (rotation) Declined no-such-user")]);
    let (outcomes, _) = deliver(&world.instance(), &world, &health(&[OLD])).await;
    assert_eq!(
        outcomes,
        [
            format!("owner of {OLD} {OLD} (compromised) Declined no-such-key"),
            format!("owner of {OLD} sessions Declined no-such-key"),
        ]
    );
    let (outcomes, _) = deliver(
        &world.instance(),
        &world,
        &Used::role(&world, "gone", "AROAGONE000000000001:i-0").event(),
    )
    .await;
    assert_eq!(outcomes, ["role/gone sessions Declined no-such-role"]);
}

#[tokio::test(start_paused = true)]
async fn s58_a_compromised_key_is_disabled_at_once_and_its_sessions_are_cut() {
    let world = World::new();
    world.iam.user(
        "alice",
        ALICE,
        vec![world.key(OLD, 10, Some(0)), world.key(NEW, 400, None)],
    );
    let (outcomes, _) = deliver(
        &world.instance(),
        &world,
        &Used::key(&world, OLD, "alice", ALICE).event(),
    )
    .await;
    assert_eq!(
        outcomes,
        [
            format!("user/alice {OLD} (compromised) Remediated disabled"),
            "user/alice sessions Remediated cut".to_owned(),
        ]
    );
    assert_eq!(
        world.iam.state("alice"),
        [format!("{OLD}:Inactive"), format!("{NEW}:Active"), POLICY.to_owned()],
        "the other key violates a rule, but nobody asked about it"
    );
    let calls = world.iam.calls();
    assert!(
        !calls.iter().any(|call| call == "iam:GetAccessKeyLastUsed"),
        "{calls:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn s58_sessions_are_cut_even_if_the_key_cannot_be_disabled_and_each_is_told_truly() {
    let world = World::new();
    world.iam.user("alice", ALICE, vec![world.key(OLD, 10, Some(0))]);
    world.iam.deny("iam:UpdateAccessKey");
    let event = Used::key(&world, OLD, "alice", ALICE).event();
    let (outcomes, summary) = deliver(&world.instance(), &world, &event).await;
    assert_eq!(outcomes.len(), 2);
    assert!(
        outcomes[0].starts_with(&format!("user/alice {OLD} (compromised) Failed")),
        "{outcomes:?}"
    );
    assert_eq!(outcomes[1], "user/alice sessions Remediated cut");
    assert!(summary.needs_redelivery());
    assert_eq!(world.iam.state("alice"), [format!("{OLD}:Active"), POLICY.to_owned()]);

    world.iam.allow_all();
    let (outcomes, summary) = deliver(&world.instance(), &world, &event).await;
    assert_eq!(
        outcomes[0],
        format!("user/alice {OLD} (compromised) Remediated disabled")
    );
    assert!(!summary.needs_redelivery());
}

#[tokio::test(start_paused = true)]
async fn s59_temporary_credentials_are_cut_off_at_the_user_or_role() {
    let world = World::new();
    world.iam.user("alice", ALICE, vec![world.key(NEW, 10, Some(0))]);
    world.iam.role("orders-task", "AROAORDERS0000000001", "/");
    let user = Used {
        key: "ASIAEXAMPLE000000001",
        ..Used::key(&world, "", "alice", ALICE)
    };
    let (outcomes, _) = deliver(&world.instance(), &world, &user.event()).await;
    assert_eq!(outcomes, ["user/alice sessions Remediated cut"]);
    assert_eq!(world.iam.state("alice"), [format!("{NEW}:Active"), POLICY.to_owned()]);

    let seen = world.clock.now();
    let role = Used::role(&world, "orders-task", "AROAORDERS0000000001:i-0123");
    let (outcomes, _) = deliver(&world.instance(), &world, &role.event()).await;
    assert_eq!(outcomes, ["role/orders-task sessions Remediated cut"]);
    let policy: serde_json::Value = serde_json::from_str(&world.iam.role_policies("orders-task")[POLICY]).unwrap();
    let before = policy["Statement"][0]["Condition"]["DateLessThan"]["aws:TokenIssueTime"]
        .as_str()
        .unwrap();
    let before = chrono::DateTime::parse_from_rfc3339(before).unwrap().to_utc();
    assert_eq!(
        (before - seen).num_seconds(),
        30,
        "what was issued until the deny is known everywhere is cut off, too"
    );
    assert_eq!(policy["Statement"][0]["Effect"], "Deny");
}

#[tokio::test(start_paused = true)]
async fn s59_a_later_sighting_cuts_again_and_an_earlier_one_does_not() {
    let world = World::new();
    world.iam.role("orders-task", "AROAORDERS0000000001", "/");
    let first = Used::role(&world, "orders-task", "AROAORDERS0000000001:i-0");
    deliver(&world.instance(), &world, &first.event()).await;
    let policy = world.iam.role_policies("orders-task");

    world.clock.advance(Duration::from_secs(3600)).await;
    let earlier = Used {
        finding: "f3",
        seen: first.seen + TimeDelta::seconds(20),
        ..first.clone()
    };
    let (outcomes, _) = deliver(&world.instance(), &world, &earlier.event()).await;
    assert_eq!(outcomes, ["role/orders-task sessions AlreadyInPlace cut"]);
    assert_eq!(world.iam.role_policies("orders-task"), policy);

    let later = Used {
        seen: world.clock.now() - TimeDelta::seconds(60),
        ..first.clone()
    };
    let (outcomes, _) = deliver(&world.instance(), &world, &later.event()).await;
    assert_eq!(outcomes, ["role/orders-task sessions Remediated cut"]);
    assert_ne!(world.iam.role_policies("orders-task"), policy);

    let in_the_future = Used {
        seen: world.clock.now() + TimeDelta::days(365),
        ..first
    };
    let (outcomes, _) = deliver(&world.instance(), &world, &in_the_future.event()).await;
    assert_eq!(
        outcomes,
        ["role/orders-task sessions AlreadyInPlace cut"],
        "a wrong clock elsewhere does not run us in circles"
    );
}

#[tokio::test(start_paused = true)]
async fn s60_what_iam_cannot_contain_goes_to_a_person() {
    let world = World::new();
    world.iam.user("alice", ALICE, vec![world.key(OLD, 10, Some(0))]);
    world.iam.role(
        "AWSServiceRoleForSupport",
        "AROASUPPORT000000001",
        "/aws-service-role/support.amazonaws.com/",
    );
    world
        .iam
        .role("moved", "AROAMOVED00000000001", "/aws-reserved/sso.amazonaws.com/");
    world.iam.root_key("AKIAROOT000000000001");
    let base = Used::role(&world, "x", "AROAX000000000000001:s");
    let cases = [
        (
            Used {
                kind: "Policy:IAMUser/RootCredentialUsage",
                name: "root",
                user_type: "Root",
                ..base.clone()
            },
            "root",
        ),
        (
            Used {
                name: "AWSReservedSSO_Admin_0123456789abcdef",
                ..base.clone()
            },
            "sso-role",
        ),
        (
            Used {
                name: "moved",
                principal: "AROAMOVED00000000001:s",
                ..base.clone()
            },
            "sso-role",
        ),
        (
            Used {
                name: "AWSServiceRoleForSupport",
                principal: "AROASUPPORT000000001:s",
                ..base.clone()
            },
            "service-linked-role",
        ),
        (
            Used {
                user_type: "FederatedUser",
                ..base.clone()
            },
            "unknown-principal",
        ),
        (
            Used {
                name: "not a name!",
                ..base.clone()
            },
            "unknown-principal",
        ),
        (
            Used {
                kind: "CredentialAccess:IAMUser/AnomalousBehavior",
                ..Used::key(&world, OLD, "alice", ALICE)
            },
            "may-be-legitimate",
        ),
    ];
    for (used, code) in cases {
        let (outcomes, _) = deliver(&world.instance(), &world, &used.event()).await;
        assert_eq!(outcomes.len(), 1, "{outcomes:?}");
        assert!(outcomes[0].ends_with(&format!("Escalated {code}")), "{outcomes:?}");
    }
    let (outcomes, _) = deliver(
        &world.instance(),
        &world,
        &health(&["AKIAROOT000000000001", "ASIAEXAMPLE000000001"]),
    )
    .await;
    assert_eq!(
        outcomes,
        [
            "ASIAEXAMPLE000000001 (not-a-long-term-key) Escalated not-a-long-term-key",
            "Root/root (root) Escalated root"
        ]
    );
    assert_eq!(world.iam.writes(), 0);
}

#[tokio::test(start_paused = true)]
async fn s61_undo_reactivates_exactly_what_was_disabled_and_holds_against_every_rule() {
    let world = World::new();
    let mut by_hand = world.key(NEW, 400, None);
    by_hand.active = false;
    world
        .iam
        .user("alice", ALICE, vec![world.key(OLD, 400, Some(100)), by_hand]);
    let instance = world.instance();
    deliver(&instance, &world, &control("IAM.3", "a", ARN)).await;
    let id = record(&world, OLD);
    let summary = instance.undo(&id, "an operator", world.deadline()).await.unwrap();
    assert_eq!(
        told(&summary),
        [format!("user/alice {OLD} (rotation) Undone reactivated")]
    );
    assert_eq!(
        world.iam.state("alice"),
        [format!("{OLD}:Active"), format!("{NEW}:Inactive")]
    );
    assert!(
        instance
            .undo(&id, "an operator", world.deadline())
            .await
            .unwrap_err()
            .message
            .contains("undone already")
    );
    let other = record(&world, NEW);
    assert!(
        instance
            .undo(&other, "an operator", world.deadline())
            .await
            .unwrap_err()
            .message
            .contains("nothing was changed")
    );

    for event in [
        control("IAM.3", "later", ARN),
        control("IAM.8", "b", ARN),
        config("access-keys-rotated", ALICE),
    ] {
        let (outcomes, _) = deliver(&instance, &world, &event).await;
        assert!(
            outcomes
                .iter()
                .any(|told| told.contains(OLD) && told.ends_with("Declined undone")),
            "{outcomes:?}"
        );
    }
    assert_eq!(
        world.iam.state("alice"),
        [format!("{OLD}:Active"), format!("{NEW}:Inactive")]
    );

    // Being stolen is another matter.
    let (outcomes, _) = deliver(&instance, &world, &Used::key(&world, OLD, "alice", ALICE).event()).await;
    assert_eq!(
        outcomes[0],
        format!("user/alice {OLD} (compromised) Remediated disabled")
    );

    world.clock.advance(Duration::from_secs(31 * 24 * 3600)).await;
    world.iam.change("alice", |alice| alice.keys[0].active = true);
    let (outcomes, _) = deliver(&instance, &world, &control("IAM.3", "much later", ARN)).await;
    assert!(
        outcomes.contains(&format!("user/alice {OLD} (rotation) Remediated disabled")),
        "{outcomes:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn s61_undoing_a_rule_does_not_reactivate_a_key_that_is_compromised() {
    let world = World::new();
    world.iam.user("alice", ALICE, vec![world.key(OLD, 400, Some(100))]);
    let instance = world.instance();
    deliver(&instance, &world, &control("IAM.3", "a", ARN)).await;
    let by_rule = record(&world, "rotation");
    let (outcomes, _) = deliver(&instance, &world, &Used::key(&world, OLD, "alice", ALICE).event()).await;
    assert_eq!(
        outcomes[0],
        format!("user/alice {OLD} (compromised) AlreadyInPlace inactive")
    );
    let refused = instance
        .undo(&by_rule, "an operator", world.deadline())
        .await
        .unwrap_err();
    assert!(refused.message.contains("reported as compromised since"), "{refused}");
    assert!(world.iam.state("alice")[0].ends_with("Inactive"));

    // The same while the compromised key is still active, because it could not be disabled yet.
    let world = World::new();
    world.iam.user("alice", ALICE, vec![world.key(OLD, 400, Some(100))]);
    let instance = world.instance();
    deliver(&instance, &world, &control("IAM.3", "a", ARN)).await;
    let by_rule = record(&world, "rotation");
    world.iam.change("alice", |alice| alice.keys[0].active = true);
    world.iam.deny("iam:UpdateAccessKey");
    deliver(&instance, &world, &Used::key(&world, OLD, "alice", ALICE).event()).await;
    let summary = instance.undo(&by_rule, "an operator", world.deadline()).await.unwrap();
    assert_eq!(
        told(&summary),
        [format!("user/alice {OLD} (rotation) Declined compromised")]
    );
}

#[tokio::test(start_paused = true)]
async fn s61_undo_removes_only_our_deny_and_refuses_when_it_was_changed() {
    let world = World::new();
    world.iam.user("alice", ALICE, vec![world.key(OLD, 10, Some(0))]);
    world.iam.change("alice", |alice| {
        alice
            .policies
            .insert("AWSRevokeOlderSessions".to_owned(), "{}".to_owned());
    });
    let instance = world.instance();
    deliver(&instance, &world, &Used::key(&world, OLD, "alice", ALICE).event()).await;
    let id = record(&world, "sessions");
    let ours = world.iam.user_policies("alice")[POLICY].clone();
    world.iam.change("alice", |alice| {
        alice
            .policies
            .insert(POLICY.to_owned(), ours.replace("\"*\"", "\"s3:*\""));
    });
    let refused = instance.undo(&id, "an operator", world.deadline()).await.unwrap();
    assert_eq!(told(&refused), ["user/alice sessions Declined changed-since"]);

    world.iam.change("alice", |alice| {
        alice.policies.insert(POLICY.to_owned(), ours);
    });
    let undone = instance.undo(&id, "an operator", world.deadline()).await.unwrap();
    assert_eq!(told(&undone), ["user/alice sessions Undone restored"]);
    assert_eq!(
        world.iam.state("alice"),
        [format!("{OLD}:Inactive"), "AWSRevokeOlderSessions".to_owned()]
    );
    let again = Used {
        finding: "f9",
        ..Used::key(&world, OLD, "alice", ALICE)
    };
    let (outcomes, _) = deliver(&instance, &world, &again.event()).await;
    assert_eq!(outcomes[1], "user/alice sessions Declined undone");
}

#[tokio::test(start_paused = true)]
async fn s61_a_policy_of_our_name_that_is_not_ours_is_left_alone() {
    let world = World::new();
    world.iam.user("alice", ALICE, vec![world.key(OLD, 10, Some(0))]);
    world.iam.change("alice", |alice| {
        alice.policies.insert(
            POLICY.to_owned(),
            r#"{"Version":"2012-10-17","Statement":[]}"#.to_owned(),
        );
    });
    let (outcomes, _) = deliver(
        &world.instance(),
        &world,
        &Used::key(&world, OLD, "alice", ALICE).event(),
    )
    .await;
    assert_eq!(outcomes[1], "user/alice sessions Escalated foreign-policy");
    assert_eq!(
        world.iam.user_policies("alice")[POLICY],
        r#"{"Version":"2012-10-17","Statement":[]}"#
    );
}

#[tokio::test(start_paused = true)]
async fn s17_dry_run_protection_other_accounts_and_samples_touch_nothing() {
    let world = World::new();
    world.iam.user("alice", ALICE, vec![world.key(OLD, 400, None)]);
    let event = Used::key(&world, OLD, "alice", ALICE).event();
    let (outcomes, _) = deliver(&world.instance_with(&json!({ "mode": "dry-run" })), &world, &event).await;
    assert_eq!(
        outcomes.iter().filter(|told| told.contains("WouldRemediate")).count(),
        2,
        "{outcomes:?}"
    );

    let protecting = world.instance_with(&json!({ "protectedPrincipals": ["user/alice"] }));
    for event in [control("IAM.3", "a", ARN), event.clone(), health(&[OLD])] {
        let (outcomes, _) = deliver(&protecting, &world, &event).await;
        assert!(
            outcomes
                .iter()
                .all(|told| told.ends_with("Declined protected-principal")),
            "{outcomes:?}"
        );
    }

    world.iam.calls();
    let elsewhere = Engine {
        actor: testkit::role("444455556666"),
        ..world.instance()
    };
    let (outcomes, _) = deliver(&elsewhere, &world, &event).await;
    assert!(
        outcomes.iter().all(|told| told.ends_with("Declined other-account")),
        "{outcomes:?}"
    );
    let mut sample = event;
    sample["detail"]["title"] = json!("[SAMPLE] credentials");
    let (outcomes, _) = deliver(&world.instance(), &world, &sample).await;
    assert!(
        outcomes.iter().all(|told| told.ends_with("Declined sample")),
        "{outcomes:?}"
    );
    assert_eq!(world.iam.calls(), Vec::<String>::new(), "IAM is not even asked");
    assert_eq!(world.iam.state("alice"), [format!("{OLD}:Active")]);
}

#[tokio::test(start_paused = true)]
async fn s8_a_write_that_iam_does_not_show_yet_is_waited_for_not_repeated() {
    let world = World::new();
    world.iam.user("alice", ALICE, vec![world.key(OLD, 400, None)]);
    world.iam.lag(Duration::from_secs(4));
    let (outcomes, _) = deliver(&world.instance(), &world, &control("IAM.3", "a", ARN)).await;
    assert_eq!(outcomes, [format!("user/alice {OLD} (rotation) Remediated disabled")]);
    assert_eq!(world.iam.writes(), 1);
}

#[tokio::test(start_paused = true)]
async fn s8_a_write_that_iam_never_shows_is_a_failure() {
    let world = World::new();
    world.iam.user("alice", ALICE, vec![world.key(OLD, 400, None)]);
    world.iam.lag(Duration::from_secs(24 * 3600));
    let (outcomes, summary) = deliver(&world.instance(), &world, &control("IAM.3", "a", ARN)).await;
    assert!(outcomes[0].contains("Failed"), "{outcomes:?}");
    assert!(summary.outcomes[0].outcome.why().contains("NotVerified"), "{summary:?}");
}

#[tokio::test(start_paused = true)]
async fn s7_lost_answers_throttling_and_crashes_of_the_service_converge() {
    for fault in [Fault::After, Fault::Before, Fault::Throttled] {
        let world = World::new();
        world.iam.user("alice", ALICE, vec![world.key(OLD, 400, None)]);
        world.iam.faults.plan([fault]);
        let (outcomes, _) = deliver(&world.instance(), &world, &control("IAM.3", "a", ARN)).await;
        assert_eq!(
            outcomes,
            [format!("user/alice {OLD} (rotation) Remediated disabled")],
            "{fault:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn s9_what_cannot_be_resolved_fails_and_comes_again() {
    let world = World::new();
    world.iam.user("alice", ALICE, vec![world.key(OLD, 400, None)]);
    world.iam.deny("iam:ListUsers");
    let event = config("access-keys-rotated", ALICE);
    let (outcomes, summary) = deliver(&world.instance(), &world, &event).await;
    assert!(
        outcomes[0].contains("Failed") && summary.needs_redelivery(),
        "{outcomes:?}"
    );
    assert!(
        summary.outcomes[0].outcome.why().contains("iam:ListUsers"),
        "{summary:?}"
    );
    world.iam.allow_all();
    let (outcomes, _) = deliver(&world.instance(), &world, &event).await;
    assert_eq!(outcomes, [format!("user/alice {OLD} (rotation) Remediated disabled")]);
}

#[tokio::test(start_paused = true)]
async fn s18_approval_is_asked_for_once_more_after_a_failure_and_observes_afresh() {
    let world = World::new();
    world.iam.user("alice", ALICE, vec![world.key(OLD, 400, None)]);
    let instance = world.instance_with(&json!({ "mode": "approve" }));
    let (outcomes, _) = deliver(&instance, &world, &control("IAM.3", "a", ARN)).await;
    assert_eq!(
        outcomes,
        [format!("user/alice {OLD} (rotation) AwaitingApproval disabled")]
    );
    let id = record(&world, OLD);
    world.iam.deny("iam:UpdateAccessKey");
    let failed = instance.approve(&id, "an operator", world.deadline()).await.unwrap();
    assert!(told(&failed)[0].contains("Failed"), "{failed:?}");
    world.iam.allow_all();
    let done = instance.approve(&id, "an operator", world.deadline()).await.unwrap();
    assert_eq!(
        told(&done),
        [format!("user/alice {OLD} (rotation) Remediated disabled")]
    );
    assert!(matches!(
        world.ledger.records()[0].status,
        Status::Settled(Outcome::Remediated(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn a_user_without_keys_is_in_order() {
    let world = World::new();
    world.iam.user("alice", ALICE, vec![]);
    let (outcomes, _) = deliver(&world.instance(), &world, &control("IAM.3", "a", ARN)).await;
    assert_eq!(outcomes, ["user/alice (rotation) AlreadyInPlace no-key"]);
}

#[tokio::test(start_paused = true)]
async fn s11_the_same_key_reported_by_three_services_is_disabled_once() {
    let world = World::new();
    world.iam.user("alice", ALICE, vec![world.key(OLD, 10, Some(0))]);
    let instance = world.instance();
    deliver(&instance, &world, &Used::key(&world, OLD, "alice", ALICE).event()).await;
    let writes = world.iam.writes();
    let (outcomes, _) = deliver(&instance, &world, &health(&[OLD])).await;
    assert!(
        outcomes.iter().all(|told| told.contains("AlreadyInPlace")),
        "{outcomes:?}"
    );
    assert_eq!(world.iam.writes(), writes);
}

/// Security Hub sends our own answer back as an event, with the same version of the finding.
#[tokio::test(start_paused = true)]
async fn s14_an_echo_is_declined_and_a_failed_try_is_no_echo() {
    let world = World::new();
    world.iam.user("alice", ALICE, vec![world.key(OLD, 400, None)]);
    let instance = world.instance();
    let event = control("IAM.3", "a", ARN);
    let mut echo = event.clone();
    echo["detail"]["findings"][0]["Workflow"]["Status"] = json!("NOTIFIED");
    world.iam.deny("iam:UpdateAccessKey");
    let (outcomes, _) = deliver(&instance, &world, &event).await;
    assert!(outcomes[0].contains("Failed"), "{outcomes:?}");
    world.iam.allow_all();
    let (outcomes, _) = deliver(&instance, &world, &echo).await;
    assert_eq!(outcomes, [format!("user/alice {OLD} (rotation) Remediated disabled")]);
    let (outcomes, _) = deliver(&instance, &world, &echo).await;
    assert_eq!(outcomes, [format!("user/alice {OLD} (rotation) Declined answered")]);
}

#[tokio::test(start_paused = true)]
async fn s20_approving_does_not_go_past_the_guardrails() {
    let world = World::new();
    world.iam.user("alice", ALICE, vec![world.key(OLD, 400, None)]);
    let careful = world.instance_with(&json!({ "mode": "approve" }));
    let (_, summary) = deliver(&careful, &world, &control("IAM.3", "a", ARN)).await;
    let id = &summary.outcomes[0].record;
    let protecting = world.instance_with(&json!({ "mode": "approve", "protectedPrincipals": ["user/alice"] }));
    let refused = protecting.approve(id, "an operator", world.deadline()).await.unwrap();
    assert_eq!(
        told(&refused),
        [format!("user/alice {OLD} (rotation) Declined protected-principal")]
    );
    assert_eq!(world.iam.state("alice"), [format!("{OLD}:Active")]);
}

#[tokio::test(start_paused = true)]
async fn a_cut_that_iam_does_not_show_yet_is_recorded_as_it_was_written_and_can_be_undone() {
    let world = World::new();
    world.iam.role("orders-task", "AROAORDERS0000000001", "/");
    world.iam.lag(Duration::from_secs(4));
    let instance = world.instance();
    let event = Used::role(&world, "orders-task", "AROAORDERS0000000001:i-0").event();
    let (outcomes, summary) = deliver(&instance, &world, &event).await;
    assert_eq!(outcomes, ["role/orders-task sessions Remediated cut"]);
    assert_eq!(world.iam.writes(), 1);
    world.iam.lag(Duration::ZERO);
    let undone = instance
        .undo(&summary.outcomes[0].record, "an operator", world.deadline())
        .await
        .unwrap();
    assert_eq!(told(&undone), ["role/orders-task sessions Undone restored"]);
    assert!(world.iam.role_policies("orders-task").is_empty());
}

#[tokio::test(start_paused = true)]
async fn s62_what_the_settings_allow_and_the_control_does_not_is_declined_not_called_in_order() {
    let world = World::new();
    world.iam.user(
        "alice",
        ALICE,
        vec![world.key(OLD, 120, Some(100)), world.key(NEW, 10, Some(1))],
    );
    let lenient = world.instance_with(&json!({ "maxKeyAgeDays": 180, "maxUnusedDays": 180 }));
    for name in ["IAM.3", "IAM.8"] {
        let (outcomes, _) = deliver(&lenient, &world, &control(name, "a", ARN)).await;
        assert!(
            outcomes
                .iter()
                .any(|told| told.contains(OLD) && told.ends_with("Declined within-limit")),
            "{outcomes:?}"
        );
        assert!(
            outcomes
                .iter()
                .any(|told| told.contains(NEW) && told.ends_with("AlreadyInPlace compliant")),
            "{outcomes:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn s62_a_key_that_complies_before_it_could_be_disabled_is_not_called_remediated() {
    let world = World::new();
    world.iam.user("alice", ALICE, vec![world.key(OLD, 400, Some(100))]);
    let instance = world.instance();
    world.iam.deny("iam:UpdateAccessKey");
    deliver(&instance, &world, &control("IAM.8", "a", ARN)).await;
    world.iam.allow_all();
    let now = world.ago(0);
    world
        .iam
        .change("alice", |alice| alice.keys[0].used = disable_access_key::Use::At(now));
    let (outcomes, _) = deliver(&instance, &world, &control("IAM.8", "a", ARN)).await;
    assert!(
        outcomes.contains(&format!("user/alice {OLD} (unused) Declined compliant-since")),
        "{outcomes:?}"
    );
    assert_eq!(world.iam.state("alice"), [format!("{OLD}:Active")]);
}

#[tokio::test(start_paused = true)]
async fn two_roles_of_one_name_in_a_batch_are_told_apart() {
    let world = World::new();
    world.iam.role("admin", "AROANEW0000000000001", "/");
    let ours = Used::role(&world, "admin", "AROANEW0000000000001:s");
    let former = Used {
        finding: "f3",
        principal: "AROAOLD0000000000001:s",
        ..ours.clone()
    };
    for order in [[&ours, &former], [&former, &ours]] {
        let bodies = order.map(|used| (used.finding, used.event().to_string()));
        let batch = testkit::events::sqs_batch(bodies);
        let Ok(remediation::intake::Invocation::Batch(messages)) = remediation::intake::read(&batch.to_string()) else {
            panic!("not a batch")
        };
        let done = told(&world.instance().batch(messages, world.deadline()).await.summary);
        assert_eq!(done.len(), 2, "{done:?}");
        assert!(
            done.contains(&"role/admin sessions Declined name-reused".to_owned()),
            "{done:?}"
        );
        assert!(done.iter().any(|told| told.contains("Remediated cut")), "{done:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn s20_a_plan_that_waited_is_not_carried_out_on_whoever_took_the_name() {
    let world = World::new();
    world.iam.user("alice", ALICE, vec![world.key(OLD, 400, None)]);
    let careful = world.instance_with(&json!({ "mode": "approve" }));
    let used = Used::key(&world, "ASIAEXAMPLE000000001", "alice", ALICE);
    let (_, summary) = deliver(&careful, &world, &used.event()).await;
    world.iam.remove_user("alice");
    world.iam.user("alice", "AIDASOMEBODYELSE0001", vec![]);
    let refused = careful
        .approve(&summary.outcomes[0].record, "an operator", world.deadline())
        .await
        .unwrap();
    assert_eq!(told(&refused), ["user/alice sessions Declined name-reused"]);
    assert!(world.iam.user_policies("alice").is_empty());
}

#[tokio::test(start_paused = true)]
async fn protection_does_not_depend_on_the_case_of_a_name() {
    let world = World::new();
    world.iam.user("Break-Glass", ALICE, vec![world.key(OLD, 400, None)]);
    let protecting = world.instance_with(&json!({ "protectedPrincipals": ["user/break-glass"] }));
    let (outcomes, _) = deliver(&protecting, &world, &config("access-keys-rotated", ALICE)).await;
    assert!(outcomes[0].ends_with("Declined protected-principal"), "{outcomes:?}");
}

#[tokio::test(start_paused = true)]
async fn s26_an_exemption_names_users_and_roles_with_their_path_or_without() {
    for (user, role) in [
        ("user/team/ali*", "role/team/deploy-*"),
        ("user/alice", "role/deploy-shop"),
        ("*/alice", "*deploy*"),
    ] {
        let world = World::new();
        world.iam.user("alice", ALICE, vec![world.key(OLD, 400, None)]);
        world.iam.change("alice", |alice| alice.path = "/team/");
        world.iam.role("deploy-shop", "AROADEPLOY0000000001", "/team/");
        let exemption = |resource: &str| json!({ "resource": resource, "owner": "ann", "reason": "moving", "expires": "2026-12-31" });
        let document = json!({ "exemptions": [exemption(user), exemption(role)] }).to_string();
        let mut instance = world.instance();
        instance.policy.exemptions = Document::parse(&document).unwrap().exemptions;
        for event in [
            control("IAM.3", "a", ARN),
            config("access-keys-rotated", ALICE),
            Used::role(&world, "deploy-shop", "AROADEPLOY0000000001").event(),
        ] {
            let (outcomes, _) = deliver(&instance, &world, &event).await;
            assert!(outcomes[0].ends_with("Declined exempt"), "{user} {role}: {outcomes:?}");
        }
        assert_eq!(world.iam.writes(), 0);
    }
}
