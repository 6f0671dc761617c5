//! The ledger in DynamoDB: one table, keys `pk` and `sk`, time to live in `expires`.
//!
//! | what | `pk` | `sk` |
//! |---|---|---|
//! | record | `record#<id>` | `record` |
//! | standing entry | `standing#<remediation>#<scope>` | the target |
//! | turn | `turn#<key>` | `turn` |
//!
//! Records and standing entries carry their revision in `rev` and the whole of themselves as JSON in `body`; the other
//! attributes are for the reader. Every write is a transaction that the SDK gives an idempotency token, so that a lost
//! answer and a second try store once.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use aws_sdk_dynamodb::{
    Client,
    error::SdkError,
    operation::transact_write_items::TransactWriteItemsError,
    types::{
        AttributeValue, CancellationReason, Delete, KeysAndAttributes, Put, ReturnValuesOnConditionCheckFailure,
        TransactWriteItem,
    },
};
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use remediation::{
    clock::{Clock, SystemClock, Timestamp},
    failure::{Class, Failure},
    ids::RecordId,
    ledger::{Entry, Ledger, RETENTION, Record, Revision, ScopeKey, Standing, StandingWrite, Status, Turn, Written},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::errors::classify;

type Item = HashMap<String, AttributeValue>;

/// The ledger in a DynamoDB table.
#[derive(Debug, Clone)]
pub struct DynamoLedger {
    client: Client,
    table: String,
}

/// DynamoDB takes 100 keys in a `BatchGetItem`, and 100 items in a `TransactWriteItems`, of which an entry may need two.
const KEYS: usize = 100;
const ENTRIES: usize = 50;
/// Transactions under way at once.
const PARALLEL: usize = 8;

impl DynamoLedger {
    /// In this table.
    #[must_use]
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    async fn get(&self, ids: &[RecordId]) -> Result<Vec<Record>, Failure> {
        const OPERATION: &str = "dynamodb:BatchGetItem";
        let keys = ids.iter().map(|id| key(&record_pk(id), "record")).collect();
        let keys = KeysAndAttributes::builder()
            .set_keys(Some(keys))
            .consistent_read(true)
            .build();
        let mut wanted = HashMap::from([(
            self.table.clone(),
            keys.map_err(|error| unbuildable(OPERATION, &error))?,
        )]);
        let mut records = Vec::with_capacity(ids.len());
        while !wanted.is_empty() {
            let call = self.client.batch_get_item().set_request_items(Some(wanted));
            let answer = call.send().await.map_err(|error| classify(OPERATION, &error))?;
            for item in answer.responses.unwrap_or_default().into_values().flatten() {
                let record: Record = body(&item, OPERATION)?;
                records.push(Record {
                    revision: revision(&item),
                    ..record
                });
            }
            wanted = answer.unprocessed_keys.unwrap_or_default();
        }
        Ok(records)
    }

    async fn transact<C: Serialize>(&self, scope: ScopeKey<'_>, entries: &[Entry<C>]) -> Result<Vec<Written>, Failure> {
        const OPERATION: &str = "dynamodb:TransactWriteItems";
        let mut written = vec![Written::Stored; entries.len()];
        loop {
            let mut items = Vec::new();
            let mut owners = Vec::new();
            for (index, entry) in entries.iter().enumerate() {
                if written.get(index) == Some(&Written::Stored) {
                    let of_entry = self.items(scope, entry)?;
                    owners.extend(std::iter::repeat_n(index, of_entry.len()));
                    items.extend(of_entry);
                }
            }
            if items.is_empty() {
                return Ok(written);
            }
            let error = match self
                .client
                .transact_write_items()
                .set_transact_items(Some(items))
                .send()
                .await
            {
                Ok(_) => return Ok(written),
                Err(error) => error,
            };
            // One entry that is behind cancels the whole transaction: the others go again without it.
            let reasons = cancellations(&error);
            let behind: Vec<_> = owners
                .into_iter()
                .zip(reasons)
                .filter(|(_, reason)| reason.code() == Some("ConditionalCheckFailed"))
                .map(|(index, _)| index)
                .collect();
            if behind.is_empty() {
                return Err(if reasons.is_empty() {
                    classify(OPERATION, &error)
                } else {
                    cancelled(OPERATION, reasons)
                });
            }
            for index in behind {
                if let Some(written) = written.get_mut(index) {
                    *written = Written::Behind;
                }
            }
        }
    }

    fn items<C: Serialize>(&self, scope: ScopeKey<'_>, entry: &Entry<C>) -> Result<Vec<TransactWriteItem>, Failure> {
        let mut items = Vec::with_capacity(2);
        if let Some(record) = &entry.record {
            items.push(self.put(record_item(record)?, record.revision, record.revision.next())?);
        }
        match &entry.standing {
            None => {}
            Some(StandingWrite::Put(held)) => {
                let next = match held.revision {
                    Revision::ABSENT => never_used(),
                    revision => revision.next(),
                };
                items.push(self.put(standing_item(scope, held)?, held.revision, next)?);
            }
            Some(StandingWrite::Remove { target, revision }) => items.push(self.delete(scope, target, *revision)?),
        }
        Ok(items)
    }

    fn put(&self, mut item: Item, revision: Revision, next: Revision) -> Result<TransactWriteItem, Failure> {
        item.insert("rev".to_owned(), number(next.0));
        let put = Put::builder().table_name(&self.table).set_item(Some(item));
        let put = match revision {
            Revision::ABSENT => put.condition_expression("attribute_not_exists(pk)"),
            _ => put
                .condition_expression("rev = :rev")
                .expression_attribute_values(":rev", number(revision.0)),
        };
        let put = put.build().map_err(|error| unbuildable("dynamodb:PutItem", &error))?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    fn delete(&self, scope: ScopeKey<'_>, target: &str, revision: Revision) -> Result<TransactWriteItem, Failure> {
        let delete = Delete::builder()
            .table_name(&self.table)
            .set_key(Some(key(&standing_pk(scope), target)))
            .condition_expression("rev = :rev")
            .expression_attribute_values(":rev", number(revision.0))
            .build()
            .map_err(|error| unbuildable("dynamodb:DeleteItem", &error))?;
        Ok(TransactWriteItem::builder().delete(delete).build())
    }
}

impl Ledger for DynamoLedger {
    async fn find(&self, ids: &[RecordId]) -> Result<Vec<Record>, Failure> {
        // DynamoDB refuses a batch that names a key twice.
        let ids: Vec<RecordId> = ids.iter().collect::<BTreeSet<_>>().into_iter().cloned().collect();
        let chunks: Vec<_> = ids.chunks(KEYS).map(|chunk| self.get(chunk).boxed()).collect();
        let found: Vec<Vec<Record>> = stream::iter(chunks).buffered(PARALLEL).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn standing<C: DeserializeOwned + Send>(&self, scope: ScopeKey<'_>) -> Result<Vec<Standing<C>>, Failure> {
        const OPERATION: &str = "dynamodb:Query";
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(standing_pk(scope)))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        let mut standing = Vec::new();
        while let Some(item) = pages.next().await {
            let item = item.map_err(|error| classify(OPERATION, &error))?;
            let held: Standing<C> = body(&item, OPERATION)?;
            standing.push(Standing {
                revision: revision(&item),
                ..held
            });
        }
        Ok(standing)
    }

    async fn write<C: Serialize + Send + Sync>(
        &self,
        scope: ScopeKey<'_>,
        entries: &[Entry<C>],
    ) -> Result<Vec<Written>, Failure> {
        let chunks: Vec<_> = entries
            .chunks(ENTRIES)
            .map(|chunk| self.transact(scope, chunk).boxed())
            .collect();
        let written: Vec<Vec<Written>> = stream::iter(chunks).buffered(PARALLEL).try_collect().await?;
        Ok(written.into_iter().flatten().collect())
    }

    async fn turn(&self, turn: &str, every: Duration, now: Timestamp) -> Result<Turn, Failure> {
        let now_ms = now.timestamp_millis();
        let free_ms = (now + every).timestamp_millis();
        let taken = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(&format!("turn#{turn}"), "turn")))
            .update_expression("SET free_at = :free")
            .condition_expression("attribute_not_exists(free_at) OR free_at <= :now OR free_at > :free")
            .expression_attribute_values(":free", number(free_ms))
            .expression_attribute_values(":now", number(now_ms))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match taken {
            Ok(_) => Ok(Turn::Ours),
            Err(error) => match error.as_service_error() {
                Some(aws_sdk_dynamodb::operation::update_item::UpdateItemError::ConditionalCheckFailedException(
                    old,
                )) => {
                    let free = old.item().and_then(|item| item.get("free_at")).and_then(as_number);
                    // A turn far in the future was taken by a clock that is wrong; it must not stop everybody.
                    let free = free.filter(|free| *free <= free_ms).unwrap_or(free_ms);
                    Ok(Turn::At(Timestamp::from_timestamp_millis(free).unwrap_or(now + every)))
                }
                _ => Err(classify("dynamodb:UpdateItem", &error)),
            },
        }
    }
}

/// Microseconds since 1970: nothing is written a million times a second.
fn never_used() -> Revision {
    Revision(u64::try_from(SystemClock.now().timestamp_micros()).unwrap_or(1))
}

fn record_pk(id: &RecordId) -> String {
    format!("record#{id}")
}

fn standing_pk(scope: ScopeKey<'_>) -> String {
    format!("standing#{}#{}", scope.remediation, scope.scope)
}

fn key(pk: &str, sk: &str) -> Item {
    HashMap::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))])
}

fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn as_number(value: &AttributeValue) -> Option<i64> {
    value.as_n().ok()?.parse().ok()
}

fn revision(item: &Item) -> Revision {
    let stored = item
        .get("rev")
        .and_then(as_number)
        .and_then(|rev| u64::try_from(rev).ok());
    stored.map_or(Revision::ABSENT, Revision)
}

fn body<T: DeserializeOwned>(item: &Item, operation: &str) -> Result<T, Failure> {
    let unreadable = |problem: String| Failure::new(Class::Permanent, operation, "UnreadableItem", problem);
    let body = item
        .get("body")
        .and_then(|body| body.as_s().ok())
        .ok_or_else(|| unreadable("no body".to_owned()))?;
    serde_json::from_str(body).map_err(|error| unreadable(error.to_string()))
}

fn to_body<T: Serialize>(value: &T) -> Result<AttributeValue, Failure> {
    let json = serde_json::to_string(value);
    json.map(text)
        .map_err(|error| Failure::new(Class::Permanent, "dynamodb:PutItem", "NotJson", error.to_string()))
}

fn record_item(record: &Record) -> Result<Item, Failure> {
    let mut item = key(&record_pk(&record.id), "record");
    let status = match &record.status {
        Status::Intended => "Intended",
        Status::Reverting => "Reverting",
        Status::Settled(outcome) => outcome.name(),
    };
    if let Status::Settled(_) = &record.status {
        item.insert(
            "expires".to_owned(),
            number((record.updated_at + RETENTION).timestamp()),
        );
    }
    item.insert("status".to_owned(), text(status));
    item.insert("remediation".to_owned(), text(&record.remediation));
    item.insert("scope".to_owned(), text(&record.scope));
    item.insert("updated_at".to_owned(), text(record.updated_at.to_rfc3339()));
    item.insert("body".to_owned(), to_body(record)?);
    Ok(item)
}

fn standing_item<C: Serialize>(scope: ScopeKey<'_>, held: &Standing<C>) -> Result<Item, Failure> {
    let mut item = key(&standing_pk(scope), &held.target);
    item.insert("body".to_owned(), to_body(held)?);
    Ok(item)
}

fn cancellations<R>(error: &SdkError<TransactWriteItemsError, R>) -> &[CancellationReason] {
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => cancelled.cancellation_reasons(),
        _ => &[],
    }
}

/// The failure of a transaction that was cancelled for other reasons than a revision.
fn cancelled(operation: &str, reasons: &[CancellationReason]) -> Failure {
    let codes: BTreeSet<&str> = reasons
        .iter()
        .filter_map(CancellationReason::code)
        .filter(|code| *code != "None")
        .collect();
    let class = if codes.contains("TransactionConflict") {
        Class::Conflict
    } else if codes
        .iter()
        .any(|code| matches!(*code, "ThrottlingError" | "ProvisionedThroughputExceeded"))
    {
        Class::Throttled
    } else {
        Class::Permanent
    };
    let codes: Vec<_> = codes.into_iter().collect();
    Failure::new(class, operation, "TransactionCanceledException", codes.join(", "))
}

fn unbuildable(operation: &str, error: &dyn std::error::Error) -> Failure {
    Failure::new(Class::Permanent, operation, "InvalidRequest", error.to_string())
}
