//! The stored ledger and its twin in memory behave alike: the same script, on both.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use std::time::Duration;

use local_cloud::LocalCloud;
use remediation::{
    Evidence,
    clock::Timestamp,
    finding::{Channel, Severity},
    ids::{AccountId, FindingId, FindingVersion, RecordId, Region},
    ledger::{
        Entry, Ledger, MemoryLedger, Phase, Record, Revision, ScopeKey, Standing, StandingWrite, Status, Turn, Written,
    },
    outcome::{Outcome, Reason},
};
use remediation_aws::{Aws, DynamoLedger};
use securecart_tests::{make_ledger_table, sdk_config};
use serde_json::json;

const SCOPE: ScopeKey<'_> = ScopeKey {
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
        id: RecordId::derive(SCOPE.remediation, SCOPE.scope, target, &evidence.id, &evidence.version),
        revision: Revision::ABSENT,
        remediation: SCOPE.remediation.to_owned(),
        scope: SCOPE.scope.to_owned(),
        target: json!(target),
        evidence,
        status: Status::Intended,
        change: Some(json!({ "cidr": target })),
        image: None,
        released: None,
        requests: vec![],
        created_at: now(),
        updated_at: now(),
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
    assert_eq!(ledger.write(SCOPE, &[entry("a")]).await.unwrap(), [Written::Stored]);
    assert_eq!(ledger.write(SCOPE, &[entry("a")]).await.unwrap(), [Written::Behind]);
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
        .write(SCOPE, &[entry("b"), half_behind, entry("d")])
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
        ledger.write(SCOPE, std::slice::from_ref(&update)).await.unwrap(),
        [Written::Stored]
    );
    assert_eq!(ledger.write(SCOPE, &[update]).await.unwrap(), [Written::Behind]);
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
    assert_eq!(ledger.write(SCOPE, &[stale]).await.unwrap(), [Written::Behind]);

    // What is put again after it was removed is not what it was: a write that lingered meets nothing of its own.
    let again = Entry::<String> {
        record: None,
        standing: Some(StandingWrite::Put(standing("a", Revision::ABSENT))),
    };
    assert_eq!(ledger.write(SCOPE, &[again]).await.unwrap(), [Written::Stored]);
    let second = revision_of(&ledger, "a").await;
    assert!(second > first, "{second} follows {first}");
    let remove = |revision| Entry::<String> {
        record: None,
        standing: Some(StandingWrite::Remove {
            target: "a".to_owned(),
            revision,
        }),
    };
    assert_eq!(ledger.write(SCOPE, &[remove(first)]).await.unwrap(), [Written::Behind]);
    assert_eq!(ledger.write(SCOPE, &[remove(second)]).await.unwrap(), [Written::Stored]);

    // Scopes are apart.
    let elsewhere = ScopeKey {
        scope: "REGIONAL/IPV6/blocked",
        ..SCOPE
    };
    assert!(ledger.standing::<String>(elsewhere).await.unwrap().is_empty());

    // More than fits one call of DynamoDB.
    let many: Vec<_> = (0..230).map(|n| entry(&format!("many-{n}"))).collect();
    assert!(
        ledger
            .write(SCOPE, &many)
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
}

/// Of many that write on the same revision one wins.
async fn has_one_winner(ledger: &impl Ledger) {
    let writes = (0..8).map(|_| async { ledger.write(SCOPE, &[entry("contested")]).await });
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
async fn the_twin_in_memory_behaves() {
    behaves(MemoryLedger::default()).await;
    has_one_winner(&MemoryLedger::default()).await;
}

#[tokio::test]
async fn the_stored_ledger_behaves() {
    let cloud = LocalCloud::start(&|_| {}).unwrap();
    make_ledger_table(&cloud, "ledger").unwrap();
    let config = Aws::from_config(sdk_config(cloud.endpoint()).await).patient();
    let ledger = DynamoLedger::new(aws_sdk_dynamodb::Client::new(&config), "ledger".to_owned());
    behaves(ledger.clone()).await;
    has_one_winner(&ledger).await;
}
