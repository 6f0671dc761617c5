//! The ledger in DynamoDB: one table, keys `pk` and `sk`, time to live in `expires`.
//!
//! | what | `pk` | `sk` |
//! |---|---|---|
//! | record | `record#<id>` | `record` |
//! | standing entry | `standing#<account>#<remediation>#<scope>` | the target |
//! | turn | `turn#<key>` | `turn` |
//! | budget | `budget#<remediation>#<account>#<hour>` | `budget` |
//! | link of the chain | `chain#<remediation>` | its number |
//!
//! Two indexes find records: `by-finding` (`finding`, `remediation`) and `by-time` (`remediation`, `updated_at`).
//!
//! Records and standing entries carry their revision in `rev` and the whole of themselves as JSON in `body`; the other
//! attributes are for the reader. All but turns are written in transactions that the SDK gives an idempotency token, so that a
//! lost answer and a second try store once. A turn whose answer is lost reads as somebody else's.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use aws_sdk_dynamodb::{
    Client,
    error::SdkError,
    operation::{query::builders::QueryFluentBuilder, transact_write_items::TransactWriteItemsError},
    types::{
        AttributeValue, CancellationReason, Delete, KeysAndAttributes, Put, ReturnValuesOnConditionCheckFailure,
        TransactWriteItem, Update,
    },
};
use chrono::SecondsFormat;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use remediation::{
    clock::{Clock, SystemClock, Timestamp},
    failure::{Class, Failure},
    ids::{FindingId, RecordId},
    ledger::{
        Budget, Entry, Ledger, RETENTION, Record, Revision, ScopeKey, Standing, StandingWrite, Status, Turn, Written,
        chain::{Digest, Head, Link, Sealed, Stored},
    },
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::Mutex;

use crate::{Aws, errors::classify};

type Item = HashMap<String, AttributeValue>;

/// The ledger in a DynamoDB table.
#[derive(Debug, Clone)]
pub struct DynamoLedger {
    client: Client,
    table: String,
    /// The end of the chain as this process last wrote it.
    end: Arc<Mutex<Option<Head>>>,
}

/// The last second whose text sorts as times do. No clock of a function is that far ahead.
const END_OF_TIME: Timestamp = match Timestamp::from_timestamp(253_402_300_799, 0) {
    Some(time) => time,
    None => Timestamp::MAX_UTC,
};
const BY_FINDING: &str = "by-finding";
const BY_TIME: &str = "by-time";

/// DynamoDB takes 100 keys in a `BatchGetItem`, and 100 items in a `TransactWriteItems`, of which an entry may need two; the
/// budget and the chain need one each.
const KEYS: usize = 100;
const ENTRIES: usize = 49;
/// How often a batch is read on where DynamoDB leaves keys out: for their size, 16 MB at once, or since it is asked too much.
const READS: u32 = 8;
/// Reads under way at once.
const PARALLEL: usize = 8;
/// How often a transaction is tried against other writers of the chain.
const ATTEMPTS: u32 = 60;

impl DynamoLedger {
    /// In this table.
    #[must_use]
    pub fn new(client: Client, table: String) -> Self {
        Self {
            client,
            table,
            end: Arc::default(),
        }
    }

    async fn get(&self, ids: &[RecordId]) -> Result<Vec<Stored>, Failure> {
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
        for attempt in 0..READS {
            if attempt > 0 {
                SystemClock.sleep(Class::Throttled.pause(attempt, jitter())).await;
            }
            let call = self.client.batch_get_item().set_request_items(Some(wanted));
            let answer = call.send().await.map_err(|error| classify(OPERATION, &error))?;
            for item in answer.responses.unwrap_or_default().into_values().flatten() {
                let record: Record = body(&item, OPERATION)?;
                records.push(Stored {
                    record: Record {
                        revision: revision(&item),
                        ..record
                    },
                    text: body_text(&item, OPERATION)?.to_owned(),
                });
            }
            wanted = answer.unprocessed_keys.unwrap_or_default();
            if wanted.is_empty() {
                return Ok(records);
            }
        }
        let text = format!("{} of {} records were read in {READS} calls", records.len(), ids.len());
        Err(Failure::new(Class::Throttled, OPERATION, "UnprocessedKeys", text))
    }

    /// These records, as they are stored.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn stored(&self, ids: &[RecordId]) -> Result<Vec<Stored>, Failure> {
        // DynamoDB refuses a batch that names a key twice.
        let ids: Vec<RecordId> = ids.iter().collect::<BTreeSet<_>>().into_iter().cloned().collect();
        let chunks: Vec<_> = ids.chunks(KEYS).map(|chunk| self.get(chunk).boxed()).collect();
        let found: Vec<Vec<Stored>> = stream::iter(chunks).buffered(PARALLEL).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// The records of a function that were written last in this time, oldest first.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn history(&self, remediation: &str, from: Timestamp, to: Timestamp) -> Result<Vec<Stored>, Failure> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(BY_TIME)
            .key_condition_expression("remediation = :remediation AND updated_at BETWEEN :from AND :to")
            .expression_attribute_values(":remediation", text(remediation))
            .expression_attribute_values(":from", text(sortable(from)))
            .expression_attribute_values(":to", text(sortable(to)));
        let ids = self.ids(query).await?;
        let mut stored = self.stored(&ids).await?;
        stored.sort_by(|one, other| {
            let by = |stored: &Stored| (stored.record.updated_at, stored.record.id.clone());
            by(one).cmp(&by(other))
        });
        Ok(stored)
    }

    /// The links of a function's chain, in order.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn links(&self, remediation: &str) -> Result<Vec<Link>, Failure> {
        const OPERATION: &str = "dynamodb:Query";
        let mut pages = self.chain(remediation).into_paginator().items().send();
        let mut links = Vec::new();
        while let Some(item) = pages.next().await {
            let item = item.map_err(|error| classify(OPERATION, &error))?;
            links.push(body(&item, OPERATION)?);
        }
        Ok(links)
    }

    /// The links of a function's chain with all records that there are, as of one moment: while somebody writes, it is read again.
    /// The records that links name are read by their ids, for an index shows what was written a little later.
    ///
    /// # Errors
    /// When the table cannot be read, and when it does not come to rest.
    pub async fn whole(&self, remediation: &str) -> Result<(Vec<Link>, Vec<Stored>), Failure> {
        const TRIES: u32 = 10;
        for _ in 0..TRIES {
            let links = self.links(remediation).await?;
            let named = links
                .iter()
                .flat_map(|link| link.records.iter().map(|sealed| &sealed.id));
            let named: BTreeSet<RecordId> = named.cloned().collect();
            let mut stored = self.stored(&named.iter().cloned().collect::<Vec<_>>()).await?;
            let indexed = self.history(remediation, Timestamp::UNIX_EPOCH, END_OF_TIME).await?;
            stored.extend(indexed.into_iter().filter(|stored| !named.contains(&stored.record.id)));
            if self.head(remediation).await? == links.last().map_or_else(Head::none, Head::of) {
                return Ok((links, stored));
            }
        }
        let text = format!("{remediation} wrote all the while, {TRIES} times");
        Err(Failure::new(Class::Conflict, "dynamodb:Query", "NotAtRest", text))
    }

    fn chain(&self, remediation: &str) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(chain_pk(remediation)))
            .consistent_read(true)
    }

    /// Reads where the chain of a function ends, which its first write has to know.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub(crate) async fn catch_up(&self, remediation: &str) -> Result<(), Failure> {
        let mut end = self.end.lock().await;
        *end = Some(self.head(remediation).await?);
        Ok(())
    }

    /// Makes the calls that an event makes besides, as a [rehearsal](Aws::rehearsal).
    pub(crate) async fn rehearse(&self, rehearsal: &Aws) {
        let client = Client::new(&rehearsal.paced());
        drop(client.batch_get_item().send().await);
        drop(client.transact_write_items().send().await);
    }

    async fn head(&self, remediation: &str) -> Result<Head, Failure> {
        const OPERATION: &str = "dynamodb:Query";
        let call = self.chain(remediation).scan_index_forward(false).limit(1).send();
        let answer = call.await.map_err(|error| classify(OPERATION, &error))?;
        match answer.items().first() {
            Some(item) => Ok(Head::of(&body(item, OPERATION)?)),
            None => Ok(Head::none()),
        }
    }

    /// The ids of the records that an index finds.
    async fn ids(&self, query: QueryFluentBuilder) -> Result<Vec<RecordId>, Failure> {
        const OPERATION: &str = "dynamodb:Query";
        let mut pages = query.into_paginator().items().send();
        let mut ids = Vec::new();
        while let Some(item) = pages.next().await {
            let item = item.map_err(|error| classify(OPERATION, &error))?;
            let pk = item.get("pk").and_then(|pk| pk.as_s().ok());
            let id = pk.and_then(|pk| pk.strip_prefix("record#"));
            ids.extend(id.and_then(|id| RecordId::parse(id).ok()));
        }
        Ok(ids)
    }

    /// Writes entries, what they spend and the link of the chain together. One writer of this process at a time: the chain has
    /// one end.
    async fn transact<C: Serialize>(
        &self,
        scope: ScopeKey<'_>,
        entries: &[Entry<C>],
        budget: &Budget,
    ) -> Result<Vec<Written>, Failure> {
        const OPERATION: &str = "dynamodb:TransactWriteItems";
        let mut written = vec![Written::Stored; entries.len()];
        let mut end = self.end.lock().await;
        for attempt in 1..=ATTEMPTS {
            let head = match end.take() {
                Some(head) => head,
                None => self.head(scope.remediation).await?,
            };
            let Transaction { items, owners, link } = self.transaction(scope, entries, &written, budget, &head)?;
            if items.is_empty() {
                *end = Some(head);
                return Ok(written);
            }
            let call = self.client.transact_write_items().set_transact_items(Some(items));
            let error = match call.send().await {
                Ok(_) => {
                    *end = Some(link.map_or(head, |link| Head::of(&link)));
                    return Ok(written);
                }
                Err(error) => error,
            };
            let reasons = cancellations(&error);
            if reasons.is_empty() {
                return Err(classify(OPERATION, &error));
            }
            let mut is_known = false;
            for (owner, reason) in owners.into_iter().zip(reasons) {
                match (owner, reason.code()) {
                    (_, None | Some("None")) => {}
                    (Owner::Entry(index), Some(CHECK)) => {
                        // One entry that is behind cancels the whole transaction: the others go again without it.
                        is_known = true;
                        mark(&mut written, index, Written::Behind);
                    }
                    (Owner::Budget, Some(CHECK)) => {
                        is_known = true;
                        let spent = reason.item().and_then(|item| item.get("spent")).and_then(as_number);
                        let spending = (0..entries.len()).filter(|index| is_spending(entries, &written, *index));
                        // An hour in which nothing was spent has no item yet, and more is asked than it gives.
                        let left = spent.map_or(i64::from(budget.limit), |spent| i64::from(budget.limit) - spent);
                        let over: Vec<_> = spending.skip(usize::try_from(left).unwrap_or(0)).collect();
                        for index in over {
                            mark(&mut written, index, Written::OverBudget);
                        }
                    }
                    // Another instance was quicker, with its link or its spending.
                    (Owner::Link, Some(CHECK)) | (Owner::Link | Owner::Budget, Some("TransactionConflict")) => {
                        is_known = true
                    }
                    _ => return Err(cancelled(OPERATION, reasons)),
                }
            }
            if !is_known {
                return Err(cancelled(OPERATION, reasons));
            }
            SystemClock
                .sleep(Duration::from_millis(u64::from(attempt % 8) * 7))
                .await;
        }
        let text = format!("other writers were quicker {ATTEMPTS} times");
        Err(Failure::new(Class::Conflict, OPERATION, "ChainContended", text))
    }

    /// What is still to be written.
    fn transaction<C: Serialize>(
        &self,
        scope: ScopeKey<'_>,
        entries: &[Entry<C>],
        written: &[Written],
        budget: &Budget,
        head: &Head,
    ) -> Result<Transaction, Failure> {
        let (mut items, mut owners, mut sealed) = (Vec::new(), Vec::new(), Vec::new());
        for (index, entry) in entries.iter().enumerate() {
            if written.get(index) == Some(&Written::Stored) {
                let of_entry = self.items(scope, entry, &mut sealed)?;
                owners.extend(std::iter::repeat_n(Owner::Entry(index), of_entry.len()));
                items.extend(of_entry);
            }
        }
        let spending = (0..entries.len())
            .filter(|index| is_spending(entries, written, *index))
            .count();
        if spending > 0 {
            items.push(self.spend(budget, spending)?);
            owners.push(Owner::Budget);
        }
        let link = (!sealed.is_empty()).then(|| head.next(sealed, SystemClock.now()));
        if let Some(link) = &link {
            let mut item = key(&chain_pk(scope.remediation), &format!("{:012}", link.number));
            item.insert("body".to_owned(), to_body(link)?);
            let expires = link.at + RETENTION + Duration::from_secs(30 * 24 * 60 * 60);
            item.insert("expires".to_owned(), number(expires.timestamp()));
            items.push(self.put(item, Revision::ABSENT, Revision(link.number))?);
            owners.push(Owner::Link);
        }
        Ok(Transaction { items, owners, link })
    }

    fn spend(&self, budget: &Budget, changes: usize) -> Result<TransactWriteItem, Failure> {
        let changes = i64::try_from(changes).unwrap_or(i64::MAX);
        let limit = i64::from(budget.limit);
        // More at once than there ever is: nothing is spent, and the reason says how much is left.
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key(&format!("budget#{}", budget.key), "budget")))
            .update_expression("SET spent = if_not_exists(spent, :none) + :changes, expires = :expires")
            .condition_expression("(attribute_not_exists(spent) AND :changes <= :limit) OR spent <= :most")
            .expression_attribute_values(":none", number(0))
            .expression_attribute_values(":changes", number(changes))
            .expression_attribute_values(":limit", number(limit))
            .expression_attribute_values(":most", number(limit - changes))
            .expression_attribute_values(":expires", number(SystemClock.now().timestamp() + 2 * 24 * 60 * 60))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .map_err(|error| unbuildable("dynamodb:UpdateItem", &error))?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    fn items<C: Serialize>(
        &self,
        scope: ScopeKey<'_>,
        entry: &Entry<C>,
        sealed: &mut Vec<Sealed>,
    ) -> Result<Vec<TransactWriteItem>, Failure> {
        let mut items = Vec::with_capacity(2);
        if let Some(record) = &entry.record {
            let (item, revision) = (record_item(record)?, record.revision.next());
            sealed.push(Sealed {
                id: record.id.clone(),
                revision,
                digest: Digest::of(body_text(&item, "dynamodb:PutItem")?),
            });
            items.push(self.put(item, record.revision, revision)?);
        }
        match &entry.standing {
            None => {}
            Some(StandingWrite::Put(held) | StandingWrite::Spend(held)) => {
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
            .set_key(Some(standing_key(scope, target)))
            .condition_expression("rev = :rev")
            .expression_attribute_values(":rev", number(revision.0))
            .build()
            .map_err(|error| unbuildable("dynamodb:DeleteItem", &error))?;
        Ok(TransactWriteItem::builder().delete(delete).build())
    }
}

impl Ledger for DynamoLedger {
    async fn find(&self, ids: &[RecordId]) -> Result<Vec<Record>, Failure> {
        let stored = self.stored(ids).await?;
        Ok(stored.into_iter().map(|stored| stored.record).collect())
    }

    async fn of_finding(&self, remediation: &str, finding: &FindingId) -> Result<Vec<Record>, Failure> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(BY_FINDING)
            .key_condition_expression("finding = :finding AND remediation = :remediation")
            .expression_attribute_values(":finding", text(finding.as_str()))
            .expression_attribute_values(":remediation", text(remediation));
        let ids = self.ids(query).await?;
        self.find(&ids).await
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
        budget: &Budget,
    ) -> Result<Vec<Written>, Failure> {
        let mut written = Vec::with_capacity(entries.len());
        for chunk in entries.chunks(ENTRIES) {
            written.extend(self.transact(scope, chunk, budget).boxed().await?);
        }
        Ok(written)
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

/// What is written together.
struct Transaction {
    items: Vec<TransactWriteItem>,
    /// Whose each item is.
    owners: Vec<Owner>,
    /// The link of the chain, if records are written.
    link: Option<Link>,
}

/// Whose an item of a transaction is.
#[derive(Clone, Copy)]
enum Owner {
    Entry(usize),
    Budget,
    Link,
}

/// What DynamoDB says of an item that is not as it was read.
const CHECK: &str = "ConditionalCheckFailed";

fn mark(written: &mut [Written], index: usize, as_what: Written) {
    if let Some(written) = written.get_mut(index) {
        *written = as_what;
    }
}

fn is_spending<C>(entries: &[Entry<C>], written: &[Written], index: usize) -> bool {
    let is_open = written.get(index) == Some(&Written::Stored);
    is_open && entries.get(index).is_some_and(Entry::spends)
}

/// What keeps the processes apart that wait at the same time.
fn jitter() -> u8 {
    let micros = SystemClock.now().timestamp_subsec_micros();
    u8::try_from(micros % 256).unwrap_or(u8::MAX)
}

/// A time as text that sorts as times do.
fn sortable(time: Timestamp) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Microseconds since 1970: nothing is written a million times a second.
fn never_used() -> Revision {
    Revision(u64::try_from(SystemClock.now().timestamp_micros()).unwrap_or(1))
}

fn record_pk(id: &RecordId) -> String {
    format!("record#{id}")
}

fn chain_pk(remediation: &str) -> String {
    format!("chain#{remediation}")
}

/// DynamoDB takes partition keys of up to 2048 bytes, and sort keys of up to 1024.
const LONGEST_PK: usize = 2048;
const LONGEST_SK: usize = 1024;

fn standing_pk(scope: ScopeKey<'_>) -> String {
    let pk = format!("standing#{}#{}#{}", scope.account, scope.remediation, scope.scope);
    within(LONGEST_PK, pk)
}

fn standing_key(scope: ScopeKey<'_>, target: &str) -> Item {
    key(&standing_pk(scope), &within(LONGEST_SK, target.to_owned()))
}

/// What is longer than a key may be is told apart by its digest; the body has the whole.
fn within(longest: usize, text: String) -> String {
    if text.len() <= longest {
        return text;
    }
    let digest = format!("#{}", Digest::of(&text));
    let end = text.floor_char_boundary(longest.saturating_sub(digest.len()));
    text.get(..end).unwrap_or_default().to_owned() + &digest
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
    let read = serde_json::from_str(body_text(item, operation)?);
    read.map_err(|error| Failure::new(Class::Permanent, operation, "UnreadableItem", error.to_string()))
}

fn body_text<'a>(item: &'a Item, operation: &str) -> Result<&'a str, Failure> {
    let body = item.get("body").and_then(|body| body.as_s().ok());
    let body = body.map(String::as_str);
    body.ok_or_else(|| Failure::new(Class::Permanent, operation, "UnreadableItem", "no body"))
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
    item.insert("account".to_owned(), text(record.account.as_str()));
    item.insert("scope".to_owned(), text(&record.scope));
    // DynamoDB takes keys of an index of 1 to 2048 bytes.
    let finding = record.evidence.id.as_str();
    if (1..=2048).contains(&finding.len()) {
        item.insert("finding".to_owned(), text(finding));
    }
    item.insert("updated_at".to_owned(), text(sortable(record.updated_at)));
    item.insert("body".to_owned(), to_body(record)?);
    Ok(item)
}

fn standing_item<C: Serialize>(scope: ScopeKey<'_>, held: &Standing<C>) -> Result<Item, Failure> {
    let mut item = standing_key(scope, &held.target);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(scope: &str, target: &str) -> (String, String) {
        let scope = ScopeKey {
            account: "111122223333",
            remediation: "close-open-ingress",
            scope,
        };
        let item = standing_key(scope, target);
        let of = |name: &str| item[name].as_s().unwrap().clone();
        (of("pk"), of("sk"))
    }

    #[test]
    fn what_is_longer_than_a_key_has_a_key_of_its_own() {
        // EC2 takes sixty rules in one call, and more where the quota was raised.
        let rules = |last: &str| {
            let ids: Vec<_> = (0..60).map(|number| format!("sgr-{number:017x}")).collect();
            format!("security-group/sg-1 (watched ports in {} {last})", ids.join(" "))
        };
        let (_, one) = keys("sg-1", &rules("sgr-a"));
        let (_, other) = keys("sg-1", &rules("sgr-b"));
        assert_eq!((one.len(), other.len()), (1024, 1024));
        assert_ne!(one, other);

        let (one, other) = ("ü".repeat(2000) + "a", "ü".repeat(2000) + "b");
        let of = |text: &str| keys(text, text);
        assert_ne!(of(&one).0, of(&other).0);
        assert_ne!(of(&one).1, of(&other).1);
        assert!(of(&one).0.len() <= 2048 && of(&one).1.len() <= 1024);

        let fits = "x".repeat(1024);
        let pk = "standing#111122223333#close-open-ingress#sg-1".to_owned();
        assert_eq!(keys("sg-1", &fits), (pk, fits));
    }
}
