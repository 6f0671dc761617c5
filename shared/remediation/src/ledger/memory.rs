//! The ledger in memory, with the semantics of the stored one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Budget, Entry, Ledger, Record, Revision, ScopeKey, Standing, StandingWrite, Turn, Written};
use crate::{
    clock::Timestamp,
    failure::{Class, Failure},
    ids::{FindingId, RecordId},
};

/// The ledger for tests and for `explain`, which must not write anywhere.
#[derive(Debug, Default)]
pub struct MemoryLedger(Mutex<Tables>);

/// Account, remediation and scope.
type Place = (String, String, String);

fn place(scope: ScopeKey<'_>) -> Place {
    (
        scope.account.to_owned(),
        scope.remediation.to_owned(),
        scope.scope.to_owned(),
    )
}

#[derive(Debug, Default)]
struct Tables {
    records: BTreeMap<RecordId, Record>,
    standing: BTreeMap<Place, BTreeMap<String, Standing<Value>>>,
    turns: BTreeMap<String, Timestamp>,
    spent: BTreeMap<String, u32>,
    writes: u64,
}

impl MemoryLedger {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every record, in the order of the ids.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.tables().records.values().cloned().collect()
    }

    /// How many entries were stored.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.tables().writes
    }
}

fn not_json(error: &serde_json::Error) -> Failure {
    Failure::new(Class::Permanent, "ledger", "NotJson", error.to_string())
}

impl Tables {
    fn revision(&self, scope: &Place, target: &str) -> Revision {
        self.standing
            .get(scope)
            .and_then(|entries| entries.get(target))
            .map_or(Revision::ABSENT, |held| held.revision)
    }

    fn is_current(&self, scope: &Place, entry: &Entry<Value>) -> bool {
        let record = entry.record.as_ref().is_none_or(|record| {
            self.records
                .get(&record.id)
                .map_or(Revision::ABSENT, |stored| stored.revision)
                == record.revision
        });
        let standing = match &entry.standing {
            None => true,
            Some(StandingWrite::Put(held) | StandingWrite::Spend(held)) => {
                self.revision(scope, &held.target) == held.revision
            }
            Some(StandingWrite::Remove { target, revision }) => self.revision(scope, target) == *revision,
        };
        record && standing
    }

    fn store(&mut self, scope: &Place, entry: Entry<Value>) {
        self.writes += 1;
        if let Some(mut record) = entry.record {
            record.revision = record.revision.next();
            self.records.insert(record.id.clone(), record);
        }
        let entries = self.standing.entry(scope.clone()).or_default();
        match entry.standing {
            Some(StandingWrite::Put(mut held) | StandingWrite::Spend(mut held)) => {
                held.revision = match held.revision {
                    Revision::ABSENT => Revision(self.writes),
                    revision => revision.next(),
                };
                entries.insert(held.target.clone(), held);
            }
            Some(StandingWrite::Remove { target, .. }) => {
                entries.remove(&target);
            }
            None => {}
        }
    }
}

/// What DynamoDB takes once in a transaction, and is there twice.
fn twice(entries: &[Entry<Value>]) -> Option<String> {
    let mut seen = BTreeSet::new();
    let records = entries
        .iter()
        .filter_map(|entry| entry.record.as_ref().map(|record| record.id.to_string()));
    let rows = entries.iter().filter_map(|entry| match entry.standing.as_ref()? {
        StandingWrite::Put(held) | StandingWrite::Spend(held) => Some(format!("standing {}", held.target)),
        StandingWrite::Remove { target, .. } => Some(format!("standing {target}")),
    });
    records.chain(rows).find(|key| !seen.insert(key.clone()))
}

fn erase<C: Serialize>(entry: &Entry<C>) -> Result<Entry<Value>, Failure> {
    let erased = |held: &Standing<C>| {
        Ok::<_, Failure>(Standing {
            target: held.target.clone(),
            revision: held.revision,
            phase: held.phase.clone(),
            record: held.record.clone(),
            change: serde_json::to_value(&held.change).map_err(|error| not_json(&error))?,
        })
    };
    let standing = match &entry.standing {
        None => None,
        Some(StandingWrite::Remove { target, revision }) => Some(StandingWrite::Remove {
            target: target.clone(),
            revision: *revision,
        }),
        Some(StandingWrite::Put(held)) => Some(StandingWrite::Put(erased(held)?)),
        Some(StandingWrite::Spend(held)) => Some(StandingWrite::Spend(erased(held)?)),
    };
    Ok(Entry {
        record: entry.record.clone(),
        standing,
    })
}

impl Ledger for MemoryLedger {
    async fn find(&self, ids: &[RecordId]) -> Result<Vec<Record>, Failure> {
        let tables = self.tables();
        Ok(ids.iter().filter_map(|id| tables.records.get(id).cloned()).collect())
    }

    async fn of_finding(&self, remediation: &str, finding: &FindingId) -> Result<Vec<Record>, Failure> {
        let is_meant = |record: &&Record| record.remediation == remediation && record.evidence.id == *finding;
        Ok(self.tables().records.values().filter(is_meant).cloned().collect())
    }

    async fn standing<C: DeserializeOwned + Send>(&self, scope: ScopeKey<'_>) -> Result<Vec<Standing<C>>, Failure> {
        let key = place(scope);
        let tables = self.tables();
        let held = tables.standing.get(&key).into_iter().flat_map(BTreeMap::values);
        held.map(|held| {
            Ok(Standing {
                target: held.target.clone(),
                revision: held.revision,
                phase: held.phase.clone(),
                record: held.record.clone(),
                change: C::deserialize(&held.change).map_err(|error| not_json(&error))?,
            })
        })
        .collect()
    }

    async fn write<C: Serialize + Send + Sync>(
        &self,
        scope: ScopeKey<'_>,
        entries: &[Entry<C>],
        budget: &Budget,
    ) -> Result<Vec<Written>, Failure> {
        let key = place(scope);
        let erased = entries.iter().map(erase).collect::<Result<Vec<_>, _>>()?;
        if let Some(twice) = twice(&erased) {
            let why = format!("{twice} is written twice in one transaction");
            return Err(Failure::new(Class::Permanent, "ledger", "ValidationException", why));
        }
        let mut tables = self.tables();
        let mut written = Vec::with_capacity(erased.len());
        for entry in erased {
            let spent = tables.spent.get(&budget.key).copied().unwrap_or(0);
            if !tables.is_current(&key, &entry) {
                written.push(Written::Behind);
            } else if entry.spends() && spent >= budget.limit {
                written.push(Written::OverBudget);
            } else {
                if entry.spends() {
                    tables.spent.insert(budget.key.clone(), spent + 1);
                }
                tables.store(&key, entry);
                written.push(Written::Stored);
            }
        }
        Ok(written)
    }

    async fn turn(&self, key: &str, every: Duration, now: Timestamp) -> Result<Turn, Failure> {
        let mut tables = self.tables();
        match tables.turns.get(key) {
            Some(free) if *free > now && *free <= now + every => Ok(Turn::At(*free)),
            _ => {
                tables.turns.insert(key.to_owned(), now + every);
                Ok(Turn::Ours)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_turn_is_free_again_when_its_time_is_over() {
        let ledger = MemoryLedger::default();
        let (now, every) = (Timestamp::UNIX_EPOCH, Duration::from_secs(2));
        assert_eq!(ledger.turn("a", every, now).await, Ok(Turn::Ours));
        assert_eq!(ledger.turn("b", every, now).await, Ok(Turn::Ours));
        let almost = now + Duration::from_secs(1);
        assert_eq!(ledger.turn("a", every, almost).await, Ok(Turn::At(now + every)));
        assert_eq!(ledger.turn("a", every, now + every).await, Ok(Turn::Ours));
        // Taken for no time it is given back.
        assert_eq!(
            ledger.turn("a", every, now + every).await,
            Ok(Turn::At(now + 2 * every))
        );
        assert_eq!(ledger.turn("a", Duration::ZERO, now + every).await, Ok(Turn::Ours));
        assert_eq!(ledger.turn("a", every, now + every).await, Ok(Turn::Ours));
        // A clock that was set back does not keep it for ever.
        assert_eq!(ledger.turn("a", every, now - every).await, Ok(Turn::Ours));
    }

    #[tokio::test]
    async fn no_revision_of_an_entry_comes_twice() {
        let ledger = MemoryLedger::default();
        let budget = Budget {
            key: "hour".to_owned(),
            limit: 1,
        };
        let scope = ScopeKey {
            account: "111122223333",
            remediation: "r",
            scope: "s",
        };
        let put = |revision| {
            StandingWrite::Put(Standing {
                target: "t".to_owned(),
                revision,
                phase: crate::ledger::Phase::Active,
                record: RecordId::parse("r-0123456789abcdef01234567").unwrap(),
                change: 1_u8,
            })
        };
        let write = async |standing| {
            let entry = Entry {
                record: None,
                standing: Some(standing),
            };
            ledger.write(scope, &[entry], &budget).await.unwrap().remove(0)
        };
        let revision = async || ledger.standing::<u8>(scope).await.unwrap().remove(0).revision;
        assert_eq!(write(put(Revision::ABSENT)).await, Written::Stored);
        let first = revision().await;
        assert_ne!(first, Revision::ABSENT);
        assert_eq!(write(put(Revision::ABSENT)).await, Written::Behind);
        let target = "t".to_owned();
        assert_eq!(
            write(StandingWrite::Remove {
                target,
                revision: first
            })
            .await,
            Written::Stored
        );
        assert_eq!(write(put(Revision::ABSENT)).await, Written::Stored);
        assert!(revision().await > first);
        assert_eq!(ledger.writes(), 3);
        let elsewhere = ScopeKey {
            scope: "other",
            ..scope
        };
        assert_eq!(ledger.standing::<u8>(elsewhere).await, Ok(Vec::new()));
    }
}
