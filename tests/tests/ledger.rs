//! The stored ledger and its twin in memory behave alike: the same script, on both.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use std::time::Duration;

use local_cloud::{LocalCloud, Service};
use remediation::{
    Evidence,
    clock::Timestamp,
    finding::{Channel, Severity},
    ids::{AccountId, FindingId, FindingVersion, RecordId, Region},
    ledger::{
        Budget, Entry, Ledger, MemoryLedger, Phase, Record, Revision, ScopeKey, Standing, StandingWrite, Status, Turn,
        Written, chain::verify,
    },
    outcome::{Outcome, Reason},
};
use remediation_aws::{Aws, DynamoLedger};
use securecart_tests::{make_ledger_table, sdk_config};
use serde_json::json;

const SCOPE: ScopeKey<'_> = ScopeKey {
    account: "111122223333",
    remediation: "block-ip",
    scope: "REGIONAL/IPV4/blocked",
};

fn now() -> Timestamp {
    Timestamp::from_timestamp(1_790_000_000, 0).unwrap()
}

fn record(target: &str) -> Record {
    let evidence = Evidence {
        id: FindingId::new("finding"),
        version: FindingVersion::new("1"),
        channel: Channel::Direct,
        kind: "UnauthorizedAccess:EC2/SSHBruteForce".to_owned(),
        severity: Severity::Low,
        account: AccountId::new("111122223333"),
        region: Region::new("us-east-1"),
        observed_at: now(),
    };
    Record {
        id: RecordId::derive(SCOPE, target, &evidence.id, &evidence.version),
        revision: Revision::ABSENT,
        remediation: SCOPE.remediation.to_owned(),
        account: AccountId::new(SCOPE.account),
        scope: SCOPE.scope.to_owned(),
        target: json!(target),
        evidence,
        status: Status::Intended,
        change: Some(json!({ "cidr": target })),
        image: None,
        released: None,
        requests: vec![],
        actor: "role".to_owned(),
        approved: None,
        reverted: None,
        noticed: false,
        teller: String::new(),
        untold: false,
        unanswered: false,
        created_at: now(),
        updated_at: now(),
    }
}

fn budget() -> Budget {
    Budget {
        key: "block-ip#111122223333#1".to_owned(),
        limit: 5,
    }
}

fn standing(target: &str, revision: Revision) -> Standing<String> {
    Standing {
        target: target.to_owned(),
        revision,
        phase: Phase::Active,
        record: record(target).id,
        change: format!("change of {target}"),
    }
}

fn entry(target: &str) -> Entry<String> {
    Entry {
        record: Some(record(target)),
        standing: Some(StandingWrite::Put(standing(target, Revision::ABSENT))),
    }
}

async fn held(ledger: &impl Ledger) -> Vec<String> {
    let mut targets: Vec<_> = ledger
        .standing::<String>(SCOPE)
        .await
        .unwrap()
        .into_iter()
        .map(|held| held.target)
        .collect();
    targets.sort();
    targets
}

async fn revision_of(ledger: &impl Ledger, target: &str) -> Revision {
    let standing = ledger.standing::<String>(SCOPE).await.unwrap();
    standing
        .into_iter()
        .find(|held| held.target == target)
        .unwrap()
        .revision
}

async fn behaves(ledger: impl Ledger) {
    // What is not there is not found, and creating it twice works once.
    assert!(ledger.find(&[record("a").id]).await.unwrap().is_empty());
    assert_eq!(
        ledger.write(SCOPE, &[entry("a")], &budget()).await.unwrap(),
        [Written::Stored]
    );
    assert_eq!(
        ledger.write(SCOPE, &[entry("a")], &budget()).await.unwrap(),
        [Written::Behind]
    );
    let found = ledger
        .find(&[record("a").id, record("a").id, record("b").id])
        .await
        .unwrap();
    assert!(found.iter().all(|found| found.id == record("a").id), "{found:?}");
    assert_eq!(
        found[0],
        Record {
            revision: Revision(1),
            ..record("a")
        }
    );

    // One entry that is behind does not hold up the others, and is not stored in part.
    let half_behind = Entry {
        record: Some(record("c")),
        standing: Some(StandingWrite::Put(standing("a", Revision(7)))),
    };
    let answers = ledger
        .write(SCOPE, &[entry("b"), half_behind, entry("d")], &budget())
        .await
        .unwrap();
    assert_eq!(answers, [Written::Stored, Written::Behind, Written::Stored]);
    assert!(
        ledger.find(&[record("c").id]).await.unwrap().is_empty(),
        "stored in part"
    );
    assert_eq!(held(&ledger).await, ["a", "b", "d"]);

    // Writing on top of what was read works; the record keeps what it says.
    let first = revision_of(&ledger, "a").await;
    let settled = Status::Settled(Outcome::Remediated(Reason::new("blocked", "blocked")));
    let update = Record {
        status: settled.clone(),
        ..found[0].clone()
    };
    let update = Entry::<String> {
        record: Some(update),
        standing: Some(StandingWrite::Remove {
            target: "a".to_owned(),
            revision: first,
        }),
    };
    assert_eq!(
        ledger
            .write(SCOPE, std::slice::from_ref(&update), &budget())
            .await
            .unwrap(),
        [Written::Stored]
    );
    assert_eq!(
        ledger.write(SCOPE, &[update], &budget()).await.unwrap(),
        [Written::Behind]
    );
    let found = ledger.find(&[record("a").id]).await.unwrap();
    assert_eq!((found[0].revision, &found[0].status), (Revision(2), &settled));
    assert_eq!(held(&ledger).await, ["b", "d"]);

    // Removing what has changed since is refused.
    let stale = Entry::<String> {
        record: None,
        standing: Some(StandingWrite::Remove {
            target: "b".to_owned(),
            revision: Revision(9),
        }),
    };
    assert_eq!(
        ledger.write(SCOPE, &[stale], &budget()).await.unwrap(),
        [Written::Behind]
    );

    // What is put again after it was removed is not what it was: a write that lingered meets nothing of its own.
    let again = Entry::<String> {
        record: None,
        standing: Some(StandingWrite::Put(standing("a", Revision::ABSENT))),
    };
    assert_eq!(
        ledger.write(SCOPE, &[again], &budget()).await.unwrap(),
        [Written::Stored]
    );
    let second = revision_of(&ledger, "a").await;
    assert!(second > first, "{second} follows {first}");
    let remove = |revision| Entry::<String> {
        record: None,
        standing: Some(StandingWrite::Remove {
            target: "a".to_owned(),
            revision,
        }),
    };
    assert_eq!(
        ledger.write(SCOPE, &[remove(first)], &budget()).await.unwrap(),
        [Written::Behind]
    );
    assert_eq!(
        ledger.write(SCOPE, &[remove(second)], &budget()).await.unwrap(),
        [Written::Stored]
    );

    // Scopes are apart.
    let elsewhere = ScopeKey {
        scope: "REGIONAL/IPV6/blocked",
        ..SCOPE
    };
    assert!(ledger.standing::<String>(elsewhere).await.unwrap().is_empty());
    let in_another_account = ScopeKey {
        account: "444455556666",
        ..SCOPE
    };
    assert!(ledger.standing::<String>(in_another_account).await.unwrap().is_empty());

    // More than fits one call of DynamoDB.
    let many: Vec<_> = (0..230).map(|n| entry(&format!("many-{n}"))).collect();
    assert!(
        ledger
            .write(SCOPE, &many, &budget())
            .await
            .unwrap()
            .iter()
            .all(|answer| *answer == Written::Stored)
    );
    let ids: Vec<_> = (0..230).map(|n| record(&format!("many-{n}")).id).collect();
    assert_eq!(ledger.find(&ids).await.unwrap().len(), 230);
    assert_eq!(held(&ledger).await.len(), 232);

    // One turn in its time, whoever asks.
    let every = Duration::from_millis(1_100);
    assert_eq!(ledger.turn("waf", every, now()).await.unwrap(), Turn::Ours);
    assert_eq!(
        ledger.turn("waf", every, now() + every / 2).await.unwrap(),
        Turn::At(now() + every)
    );
    assert_eq!(ledger.turn("other", every, now()).await.unwrap(), Turn::Ours);
    assert_eq!(ledger.turn("waf", every, now() + every).await.unwrap(), Turn::Ours);

    // Taken for no time it is given back.
    let free = ledger.turn("other", Duration::ZERO, now()).await.unwrap();
    assert_eq!(free, Turn::Ours);
    assert_eq!(ledger.turn("other", every, now()).await.unwrap(), Turn::Ours);
}

/// What counts is stored as long as there is room, and not beyond, whoever writes.
async fn keeps_to_the_budget(ledger: &impl Ledger) {
    let counting = |target: String| Entry {
        record: Some(record(&target)),
        standing: Some(StandingWrite::Spend(standing(&target, Revision::ABSENT))),
    };
    let three: Vec<_> = (0..3).map(|n| counting(format!("first-{n}"))).collect();
    let free = entry("free");
    let three = [three, vec![free]].concat();
    assert_eq!(
        ledger.write(SCOPE, &three, &budget()).await.unwrap(),
        [Written::Stored; 4]
    );
    let more: Vec<_> = (0..4).map(|n| counting(format!("more-{n}"))).collect();
    let more = [more, vec![entry("free-too")]].concat();
    assert_eq!(
        ledger.write(SCOPE, &more, &budget()).await.unwrap(),
        [
            Written::Stored,
            Written::Stored,
            Written::OverBudget,
            Written::OverBudget,
            Written::Stored
        ]
    );
    assert!(ledger.find(&[record("more-3").id]).await.unwrap().is_empty());
    let small = Budget {
        key: "block-ip#111122223333#0".to_owned(),
        limit: 2,
    };
    let all: Vec<_> = (0..4).map(|n| counting(format!("at-once-{n}"))).collect();
    assert_eq!(
        ledger.write(SCOPE, &all, &small).await.unwrap(),
        [
            Written::Stored,
            Written::Stored,
            Written::OverBudget,
            Written::OverBudget
        ],
        "an hour in which nothing was spent gives what it has"
    );
    let next_hour = Budget {
        key: "block-ip#111122223333#2".to_owned(),
        limit: 5,
    };
    let writes = (0..8).map(|n| {
        let (budget, entry) = (next_hour.clone(), counting(format!("many-writers-{n}")));
        async move { ledger.write(SCOPE, &[entry], &budget).await }
    });
    let answers = futures_util::future::join_all(writes).await;
    let stored = answers
        .iter()
        .filter(|answer| matches!(answer.as_deref(), Ok([Written::Stored])))
        .count();
    assert_eq!(stored, 5, "{answers:?}");
}

/// A transaction takes each row once.
async fn takes_a_row_once(ledger: &impl Ledger) {
    let twice = ["one-record", "another-record"].map(|name| Entry {
        record: Some(record(name)),
        standing: Some(StandingWrite::Put(standing("one-target", Revision::ABSENT))),
    });
    let refused = ledger.write(SCOPE, &twice, &budget()).await.unwrap_err();
    assert_eq!(refused.code, "ValidationException", "{refused}");
}

/// Records are found by what they are about.
async fn finds_by_finding(ledger: &impl Ledger) {
    let found = ledger.of_finding("block-ip", &FindingId::new("finding")).await.unwrap();
    assert!(found.iter().any(|found| found.id == record("b").id), "{found:?}");
    assert!(
        ledger
            .of_finding("block-ip", &FindingId::new("another"))
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        ledger
            .of_finding("another", &FindingId::new("finding"))
            .await
            .unwrap()
            .is_empty()
    );
}

/// The chain covers all that was written, and shows whatever is changed behind its back.
async fn shows_tampering(cloud: &LocalCloud, ledger: &DynamoLedger) {
    let flaws = || async {
        let (links, stored) = ledger.whole("block-ip").await.unwrap();
        assert!(!links.is_empty());
        assert!(stored.len() > 230);
        let flaws = verify(&links, &stored, now());
        flaws.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(flaws().await, Vec::<String>::new());
    let id = record("b").id;
    let key = json!({ "pk": { "S": format!("record#{id}") }, "sk": { "S": "record" } });
    let get = json!({ "TableName": "ledger", "Key": key });
    let item = cloud.call(Service::DynamoDb, "GetItem", &get).unwrap()["Item"].clone();
    let mut forged = item.clone();
    forged["body"]["S"] = item["body"]["S"]
        .as_str()
        .unwrap()
        .replace("SSHBruteForce", "RDPBruteForce")
        .into();
    let put = |item: &serde_json::Value| {
        let put = json!({ "TableName": "ledger", "Item": item });
        cloud.call(Service::DynamoDb, "PutItem", &put).unwrap();
    };
    put(&forged);
    let told = flaws().await;
    assert!(
        told.len() == 1 && told[0].contains(&format!("record {id} is not as it was written")),
        "{told:?}"
    );
    put(&item);
    let delete = json!({ "TableName": "ledger", "Key": key });
    cloud.call(Service::DynamoDb, "DeleteItem", &delete).unwrap();
    let told = flaws().await;
    assert!(
        told.len() == 1 && told[0].contains(&format!("record {id}, written in link")),
        "{told:?}"
    );
    put(&item);
    let link = json!({ "pk": { "S": "chain#block-ip" }, "sk": { "S": "000000000002" } });
    let delete = json!({ "TableName": "ledger", "Key": link });
    cloud.call(Service::DynamoDb, "DeleteItem", &delete).unwrap();
    assert_eq!(flaws().await[0], "links 2 to 2 are missing");
}

/// Two processes extend one chain.
async fn share_a_chain(cloud: &LocalCloud, ledger: &DynamoLedger) {
    let config = Aws::from_config(sdk_config(cloud.endpoint()).await).patient();
    let other = DynamoLedger::new(aws_sdk_dynamodb::Client::new(&config), "ledger".to_owned());
    for round in 0..3 {
        let (one, two) = ([entry(&format!("one-{round}"))], [entry(&format!("two-{round}"))]);
        let budget = budget();
        let (one, two) = tokio::join!(ledger.write(SCOPE, &one, &budget), other.write(SCOPE, &two, &budget));
        assert_eq!(
            (one.unwrap(), two.unwrap()),
            (vec![Written::Stored], vec![Written::Stored])
        );
    }
}

/// Of many that write on the same revision one wins.
async fn has_one_winner(ledger: &impl Ledger) {
    let writes = (0..8).map(|_| async { ledger.write(SCOPE, &[entry("contested")], &budget()).await });
    let mut stored = 0;
    for answer in futures_util::future::join_all(writes).await {
        match answer {
            Ok(answers) => stored += usize::from(answers == [Written::Stored]),
            // DynamoDB may refuse both of two transactions that meet; the engine then looks again.
            Err(conflict) => assert!(conflict.class.is_retryable(), "{conflict}"),
        }
    }
    assert!(stored <= 1, "{stored} winners");
    assert!(stored == 1 || ledger.find(&[record("contested").id]).await.unwrap().is_empty());
}

#[tokio::test]
async fn s28_the_twin_in_memory_behaves() {
    let ledger = std::sync::Arc::new(MemoryLedger::default());
    behaves(std::sync::Arc::clone(&ledger)).await;
    has_one_winner(&MemoryLedger::default()).await;
    keeps_to_the_budget(&MemoryLedger::default()).await;
    takes_a_row_once(&ledger).await;
    finds_by_finding(&ledger).await;
}

#[tokio::test]
async fn s28_the_stored_ledger_behaves() {
    let cloud = LocalCloud::start(&|_| {}).unwrap();
    make_ledger_table(&cloud, "ledger").unwrap();
    let config = Aws::from_config(sdk_config(cloud.endpoint()).await).patient();
    let ledger = DynamoLedger::new(aws_sdk_dynamodb::Client::new(&config), "ledger".to_owned());
    behaves(ledger.clone()).await;
    has_one_winner(&ledger).await;
    keeps_to_the_budget(&ledger).await;
    takes_a_row_once(&ledger).await;
    finds_by_finding(&ledger).await;
    share_a_chain(&cloud, &ledger).await;
    shows_tampering(&cloud, &ledger).await;
}
