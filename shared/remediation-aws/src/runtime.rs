//! The function as Lambda calls it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::TimeDelta;
use futures_util::{FutureExt, StreamExt, stream};
use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use remediation::{
    Remediation,
    accounts::Accounts,
    clock::{Clock, Deadline, SystemClock, Timestamp},
    engine::{BatchSummary, Engine, Policy, Summary, Switch},
    failure::Failure,
    ids::{AccountId, RoleArn},
    intake::{self, Command, Invocation, Message, Order},
    ledger::{Ledger, Turn},
    notice::Notice,
    settings::{Document, Exemption, InvalidSettings, SettingsReader, list},
};
use serde_json::{Value, json, value::RawValue};
use tracing_subscriber::filter::LevelFilter;

use crate::{
    Aws, AwsReporter, DynamoLedger,
    settings::{SettingsStore, invalid},
};

type LambdaEngine<R> = Engine<R, DynamoLedger, AwsReporter, SystemClock>;

/// What makes the remediation of a settings document, in one account.
type Built<B> = Arc<Connected<B>>;

/// The clients of an account, in `build`, and as whom they act.
struct Connected<B> {
    role: RoleArn,
    build: B,
}

/// What stays from one invocation to the next.
struct Function<B, C> {
    aws: Aws,
    connect: C,
    home: Built<B>,
    members: Members,
    /// The clients of member accounts, and until when their credentials are good.
    connected: Mutex<BTreeMap<AccountId, (Timestamp, Built<B>)>>,
    accounts: Accounts,
    settings: Arc<SettingsStore>,
    ledger: DynamoLedger,
    reporter: AwsReporter,
    /// Exemptions of whose end people have been told.
    ending: Mutex<BTreeSet<String>>,
}

/// How to act in other accounts.
#[derive(Default)]
struct Members {
    accounts: BTreeSet<AccountId>,
    /// The name of the role there, with its path.
    role: String,
    external_id: String,
}

impl Members {
    fn read(reader: &mut SettingsReader) -> Option<Self> {
        let accounts = reader.or_default("MEMBER_ACCOUNTS", |text| list(text, AccountId::parse))?;
        if accounts.is_empty() {
            return Some(Self::default());
        }
        let role = reader.required("MEMBER_ROLE", String::from_str);
        let external_id = reader.required("MEMBER_EXTERNAL_ID", String::from_str);
        Some(Self {
            accounts: accounts.into_iter().collect(),
            role: role?,
            external_id: external_id?,
        })
    }
}

/// Credentials of another account are renewed so long before they end: longer than an invocation lasts.
const RENEWED_BEFORE: TimeDelta = TimeDelta::minutes(16);
/// Accounts that are dealt with at once.
const ACCOUNTS_AT_ONCE: usize = 8;
/// A start must not last longer than Lambda's ten seconds, whoever does not answer.
const WARM_UP: Duration = Duration::from_secs(3);
/// Exemptions that end within this time are told of.
const ENDS_SOON: TimeDelta = TimeDelta::days(14);
/// How often.
const TOLD_EVERY: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Runs a remediation as a Lambda function: sets up logging, clients and ledger once, then answers events, each by the
/// settings of its time. `connect` is called once for each account that is acted in, with its clients, as whom they act, and
/// the environment; it returns what makes the remediation of a settings document. `rehearse` makes the calls that every change takes as a
/// rehearsal, before the first event.
///
/// # Errors
/// When the environment is wrong, and when the runtime stops.
pub async fn run<R, B>(
    connect: impl Fn(&Aws, &RoleArn, SettingsReader) -> Result<B, InvalidSettings>,
    rehearse: impl AsyncFn(&Aws),
) -> Result<(), Error>
where
    R: Remediation + 'static,
    B: Fn(&Document, Timestamp) -> Result<(R, Policy), InvalidSettings>,
{
    init_logging();
    // Boxed, here and below: a future of the SDK's depth, spelled out as one type, is more than the compiler will lay out.
    let function = match start(connect).boxed_local().await {
        Ok(function) => function,
        Err(error) => {
            tracing::error!(error = %error, "the function cannot start");
            return Err(error);
        }
    };
    function.warm_up::<R>(rehearse).await;
    let function = &function;
    lambda_runtime::run(service_fn(|event: LambdaEvent<Box<RawValue>>| {
        function.answer(event).boxed_local()
    }))
    .await
}

async fn start<B, C>(connect: C) -> Result<Function<B, C>, Error>
where
    C: Fn(&Aws, &RoleArn, SettingsReader) -> Result<B, InvalidSettings>,
{
    let mut reader = SettingsReader::from_environment();
    let table = reader.required("LEDGER_TABLE", String::from_str);
    let parameter = reader.required("SETTINGS_PARAMETER", String::from_str);
    let role = reader.required("OWN_ROLE_ARN", RoleArn::parse);
    let members = Members::read(&mut reader);
    let topic = reader.or_default("NOTICE_TOPIC", |text| Ok::<_, String>(Some(text.to_owned())));
    let namespace = reader.or_default("METRICS_NAMESPACE", |text| Ok::<_, String>(Some(text.to_owned())));
    let all = (|| Some((table?, parameter?, role?, members?, topic?, namespace?)))();
    let (table, parameter, role, members, topic, namespace) = reader.finish(all)?;
    let aws = Aws::from_environment();
    let build = connect(&aws, &role, SettingsReader::from_environment())?;
    let config = aws.patient();
    let reporter = AwsReporter::new(&aws, topic, namespace);
    Ok(Function {
        accounts: Accounts {
            home: role.account().clone(),
            members: members.accounts.clone(),
        },
        aws,
        connect,
        home: Arc::new(Connected { role, build }),
        members,
        connected: Mutex::default(),
        settings: Arc::new(SettingsStore::new(aws_sdk_ssm::Client::new(&config), parameter)),
        ledger: DynamoLedger::new(aws_sdk_dynamodb::Client::new(&config), table),
        reporter,
        ending: Mutex::default(),
    })
}

/// Lambda's log filter wants a level and an RFC 3339 timestamp at the top of each JSON line, or it takes the line for INFO.
fn init_logging() {
    let named = std::env::var("AWS_LAMBDA_LOG_LEVEL")
        .or_else(|_| std::env::var("RUST_LOG"))
        .ok();
    let level = named
        .and_then(|level| level.parse::<LevelFilter>().ok())
        .unwrap_or(LevelFilter::INFO);
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_target(false)
        .with_max_level(level)
        .init();
}

impl<B, C> Function<B, C>
where
    C: Fn(&Aws, &RoleArn, SettingsReader) -> Result<B, InvalidSettings>,
{
    /// Makes the first two calls of every event before there is one, and rehearses those of every change: Lambda gives a start a whole core,
    /// and an event of a small function a fourteenth of one, in which connections, handshakes and code that runs for the first time would be
    /// most of the first answer.
    async fn warm_up<R: Remediation>(&self, rehearse: impl AsyncFn(&Aws)) {
        let rehearsal = self.aws.rehearsal();
        let ledger = async {
            // What fails is tried again by the event, which says so.
            let _ = self.ledger.catch_up(R::NAME).await;
            self.ledger.rehearse(&rehearsal).await;
        };
        let calls = futures_util::future::join4(
            self.settings.current(),
            ledger,
            self.reporter.rehearse(&rehearsal),
            rehearse(&rehearsal),
        );
        if tokio::time::timeout(WARM_UP, calls.boxed_local()).await.is_err() {
            tracing::warn!("the first event begins without what was to be read before it");
        }
    }

    async fn answer<R>(&self, event: LambdaEvent<Box<RawValue>>) -> Result<Value, Diagnostic>
    where
        R: Remediation,
        B: Fn(&Document, Timestamp) -> Result<(R, Policy), InvalidSettings>,
    {
        let deadline = Deadline::from_context(event.context.deadline, SystemClock.now());
        let before = self.aws.calls();
        let invocation = intake::read(event.payload.get()).map_err(|error| {
            tracing::error!(error = %error, "unreadable");
            diagnostic("UnreadableInput", &error)
        })?;
        // The home account's engine first: whether the settings are right does not depend on the account.
        let home = self.engine(&self.home).await.map_err(|failure| {
            tracing::error!(failure = %failure, "no action without settings");
            self.reporter.measure(R::NAME, "SettingsInvalid", 1.0);
            diagnostic("SettingsInvalid", &failure)
        })?;
        let home = Arc::new(home);
        let answer = self.respond(&home, invocation, deadline).await;
        // Whoever cannot be told must hold up neither the findings nor the answer.
        let left = deadline.remaining(SystemClock.now());
        let telling = self.tell_of_ends(R::NAME, &home.policy).boxed_local();
        if tokio::time::timeout(left, telling).await.is_err() {
            tracing::warn!("there was no time to tell of exemptions that end");
        }
        #[expect(clippy::cast_precision_loss, reason = "the calls of one run")]
        self.reporter
            .measure(R::NAME, "AwsCalls", self.aws.calls().saturating_sub(before) as f64);
        answer
    }

    async fn respond<R>(
        &self,
        home: &Arc<LambdaEngine<R>>,
        invocation: Invocation,
        deadline: Deadline,
    ) -> Result<Value, Diagnostic>
    where
        R: Remediation,
        B: Fn(&Document, Timestamp) -> Result<(R, Policy), InvalidSettings>,
    {
        let refused = |failure: Failure| diagnostic("CommandRefused", &failure);
        match invocation {
            Invocation::Batch(messages) => {
                let failed = self.batch(home, messages, deadline).await.redeliver;
                if failed.iter().any(String::is_empty) {
                    let why = "a record failed that has no message id; the whole batch has to come again";
                    return Err(diagnostic("NotDone", &why));
                }
                let failed: Vec<_> = failed.into_iter().map(|id| json!({ "itemIdentifier": id })).collect();
                Ok(json!({ "batchItemFailures": failed }))
            }
            Invocation::Event(intake) => {
                let mut told = Summary::default();
                for (account, intake) in self.accounts.sort(intake) {
                    match self.engine_of(home, &account).await {
                        Ok(engine) => told.absorb(engine.event(intake, deadline).await),
                        Err(failure) => told.unsettled.push(unreached(&account, &failure)),
                    }
                }
                self::told(&told)
            }
            Invocation::Schedule => told(&home.sweep(deadline).await),
            Invocation::Command(Command::Undo(order)) => {
                let engine = self.engine_for(home, &order).await.map_err(refused)?;
                told(&engine.undo(&order.id, &order.by, deadline).await.map_err(refused)?)
            }
            Invocation::Command(Command::Approve(order)) => {
                let engine = self.engine_for(home, &order).await.map_err(refused)?;
                told(&engine.approve(&order.id, &order.by, deadline).await.map_err(refused)?)
            }
            Invocation::Command(Command::Explain(intake)) => {
                let mut told = Summary::default();
                for (account, intake) in self.accounts.sort(intake) {
                    let engine = self.engine_of(home, &account).await.map_err(refused)?;
                    told.absorb(engine.explain(intake, deadline).await.map_err(refused)?);
                }
                self::told(&told)
            }
        }
    }

    /// Each account's findings by its own engine. Where there is none, its messages come again, and the others are done.
    async fn batch<R>(&self, home: &Arc<LambdaEngine<R>>, messages: Vec<Message>, deadline: Deadline) -> BatchSummary
    where
        R: Remediation,
        B: Fn(&Document, Timestamp) -> Result<(R, Policy), InvalidSettings>,
    {
        let each = self
            .accounts
            .sort_messages(messages)
            .into_iter()
            .map(|(account, messages)| {
                async move {
                    match self.engine_of(home, &account).await {
                        Ok(engine) => engine.batch(messages, deadline).await,
                        Err(failure) => BatchSummary {
                            redeliver: messages.into_iter().map(|message| message.id).collect(),
                            summary: Summary {
                                unsettled: vec![unreached(&account, &failure)],
                                ..Summary::default()
                            },
                        },
                    }
                }
                .boxed_local()
            });
        let add = |mut all: BatchSummary, one| async move {
            all.absorb(one);
            all
        };
        stream::iter(each)
            .buffer_unordered(ACCOUNTS_AT_ONCE)
            .fold(BatchSummary::default(), add)
            .await
    }

    /// The engine of the account that a record is about.
    async fn engine_for<R>(&self, home: &Arc<LambdaEngine<R>>, order: &Order) -> Result<Arc<LambdaEngine<R>>, Failure>
    where
        R: Remediation,
        B: Fn(&Document, Timestamp) -> Result<(R, Policy), InvalidSettings>,
    {
        let record = self
            .ledger
            .find(std::slice::from_ref(&order.id))
            .await?
            .into_iter()
            .next();
        let account = record.map_or_else(|| self.accounts.home.clone(), |record| record.account);
        self.engine_of(home, self.accounts.of(&account)).await
    }

    /// The engine of an account that is acted in.
    async fn engine_of<R>(
        &self,
        home: &Arc<LambdaEngine<R>>,
        account: &AccountId,
    ) -> Result<Arc<LambdaEngine<R>>, Failure>
    where
        R: Remediation,
        B: Fn(&Document, Timestamp) -> Result<(R, Policy), InvalidSettings>,
    {
        if *account == self.accounts.home {
            return Ok(Arc::clone(home));
        }
        let connected = self.connected(account, R::NAME).await?;
        self.engine(&connected).await.map(Arc::new)
    }

    /// The clients of a member account: kept as long as their credentials are good.
    async fn connected(&self, account: &AccountId, session: &str) -> Result<Built<B>, Failure> {
        // Not held while STS is asked: an account that does not answer must not keep the others waiting.
        let known = self
            .connected
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(account)
            .cloned();
        if let Some((until, connected)) = known
            && SystemClock.now() + RENEWED_BEFORE < until
        {
            return Ok(connected);
        }
        let role = self.home.role.in_account(account, &self.members.role);
        let (aws, until) = self.aws.assume(&role, session, &self.members.external_id).await?;
        let build = (self.connect)(&aws, &role, SettingsReader::from_environment()).map_err(|wrong| invalid(&wrong))?;
        let connected = Arc::new(Connected { role, build });
        let mut known = self.connected.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(account.clone(), (until, Arc::clone(&connected)));
        Ok(connected)
    }

    /// An engine, by the settings as they are now.
    async fn engine<R>(&self, connected: &Connected<B>) -> Result<LambdaEngine<R>, Failure>
    where
        R: Remediation,
        B: Fn(&Document, Timestamp) -> Result<(R, Policy), InvalidSettings>,
    {
        let document = self.settings.current().await?;
        let (remediation, policy) = match (connected.build)(&document, SystemClock.now()) {
            Ok(built) => built,
            Err(wrong) => {
                self.settings.forget().await;
                return Err(invalid(&wrong));
            }
        };
        Ok(Engine {
            remediation,
            ledger: self.ledger.clone(),
            reporter: self.reporter.clone(),
            clock: SystemClock,
            policy,
            switch: Arc::clone(&self.settings) as Arc<dyn Switch>,
            actor: connected.role.clone(),
        })
    }

    /// People are told of exemptions before they end: once a week by one of all functions.
    async fn tell_of_ends(&self, remediation: &'static str, policy: &Policy) {
        let now = SystemClock.now();
        let ends_soon = |end: Timestamp| now < end && end < now + ENDS_SOON;
        let soon = policy.exemptions.iter().filter(|exemption| ends_soon(exemption.end()));
        let mut count = 0.0;
        for exemption in soon {
            count += 1.0;
            let key = format!(
                "notice#exemption#{}#{}#{}#{}",
                exemption.place(),
                exemption.resource,
                exemption.control,
                exemption.expires
            );
            if self.ending().contains(&key) {
                continue;
            }
            match self.tell_of_end(exemption, &key, now).await {
                Ok(true) => {
                    self.ending().insert(key);
                }
                // It has been logged; the next event tries again.
                Ok(false) => {}
                Err(failure) => tracing::warn!(failure = %failure, "nobody was told of an exemption that ends"),
            }
        }
        if count > 0.0 {
            self.reporter.measure(remediation, "ExemptionsEnding", count);
        }
    }

    /// Whether people have been told of an exemption's end, by this function or by another.
    async fn tell_of_end(&self, exemption: &Exemption, key: &str, now: Timestamp) -> Result<bool, Failure> {
        if self.ledger.turn(key, TOLD_EVERY, now).await? != Turn::Ours
            || self.reporter.publish(&Notice::of_expiry(exemption)).await
        {
            return Ok(true);
        }
        // For no time, which gives it back: whoever comes next tells.
        self.ledger.turn(key, Duration::ZERO, now).await?;
        Ok(false)
    }

    fn ending(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.ending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An account in which nothing can be done: it is said, and comes again.
fn unreached(account: &AccountId, failure: &Failure) -> String {
    tracing::error!(account = account.as_str(), failure = %failure, "the account is not reached");
    format!("account {account}: {failure}")
}

/// The summary; an error when something failed, so that whoever called tries again.
fn told(summary: &Summary) -> Result<Value, Diagnostic> {
    let json = serde_json::to_value(summary).map_err(|error| diagnostic("NotJson", &error))?;
    if summary.needs_redelivery() {
        Err(diagnostic("NotDone", &json))
    } else {
        Ok(json)
    }
}

fn diagnostic(error_type: &str, message: &dyn Display) -> Diagnostic {
    Diagnostic {
        error_type: error_type.to_owned(),
        error_message: message.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(values: &[(&str, &str)]) -> Result<Members, String> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut reader = SettingsReader::new(values.iter().map(own));
        let members = Members::read(&mut reader);
        reader.finish(members).map_err(|wrong| wrong.to_string())
    }

    #[test]
    fn member_accounts_need_a_role_and_a_word() {
        assert!(members(&[]).unwrap().accounts.is_empty());
        let accounts = ("MEMBER_ACCOUNTS", "222222222222,333333333333");
        let (role, word) = (("MEMBER_ROLE", "path/role"), ("MEMBER_EXTERNAL_ID", "a word"));
        let read = members(&[accounts, role, word]).unwrap();
        assert_eq!(
            (read.accounts.len(), read.role.as_str(), read.external_id.as_str()),
            (2, role.1, word.1)
        );
        for (given, missing) in [
            (vec![accounts, word], vec![role.0]),
            (vec![accounts, role], vec![word.0]),
            (vec![accounts], vec![role.0, word.0]),
        ] {
            let wrong = members(&given).err().unwrap();
            for name in [role.0, word.0] {
                assert_eq!(wrong.contains(name), missing.contains(&name), "{name} in {wrong}");
            }
        }
        let wrong = members(&[("MEMBER_ACCOUNTS", "22"), role, word]).err().unwrap();
        assert!(wrong.contains("MEMBER_ACCOUNTS"), "{wrong}");
    }
}
