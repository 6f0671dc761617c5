//! The function as Lambda calls it.

use std::{
    collections::BTreeSet,
    fmt::Display,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::TimeDelta;
use futures_util::FutureExt;
use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use remediation::{
    Remediation,
    clock::{Clock, Deadline, SystemClock, Timestamp},
    engine::{Engine, Policy, Summary, Switch},
    failure::Failure,
    intake::{self, Command, Invocation},
    ledger::{Ledger, Turn},
    notice::Notice,
    settings::{Document, InvalidSettings, SettingsReader},
};
use serde_json::{Value, json, value::RawValue};
use tracing_subscriber::filter::LevelFilter;

use crate::{
    Aws, AwsReporter, DynamoLedger,
    settings::{SettingsStore, invalid},
};

type LambdaEngine<R> = Engine<R, DynamoLedger, AwsReporter, SystemClock>;

/// What stays from one invocation to the next.
struct Function<B> {
    aws: Aws,
    build: B,
    settings: Arc<SettingsStore>,
    ledger: DynamoLedger,
    reporter: AwsReporter,
    actor: String,
    /// Exemptions whose end was looked after.
    ending: Mutex<BTreeSet<String>>,
}

/// Exemptions that end within this time are told of.
const ENDS_SOON: TimeDelta = TimeDelta::days(14);
/// How often.
const TOLD_EVERY: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Runs a remediation as a Lambda function: sets up logging, clients and ledger once, then answers events, each by the
/// settings of its time. `connect` is called once with the clients and the environment, and returns what makes the
/// remediation of a settings document.
///
/// # Errors
/// When the environment is wrong, and when the runtime stops.
pub async fn run<R, B>(connect: impl FnOnce(&Aws, SettingsReader) -> Result<B, InvalidSettings>) -> Result<(), Error>
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
    let function = &function;
    lambda_runtime::run(service_fn(|event: LambdaEvent<Box<RawValue>>| {
        function.answer(event).boxed_local()
    }))
    .await
}

async fn start<B>(
    connect: impl FnOnce(&Aws, SettingsReader) -> Result<B, InvalidSettings>,
) -> Result<Function<B>, Error> {
    let mut reader = SettingsReader::from_environment();
    let table = reader.required("LEDGER_TABLE", String::from_str);
    let parameter = reader.required("SETTINGS_PARAMETER", String::from_str);
    let actor = reader.required("OWN_ROLE_ARN", String::from_str);
    let topic = reader.or_default("NOTICE_TOPIC", |text| Ok::<_, String>(Some(text.to_owned())));
    let namespace = reader.or_default("METRICS_NAMESPACE", |text| Ok::<_, String>(Some(text.to_owned())));
    let all = (|| Some((table?, parameter?, actor?, topic?, namespace?)))();
    let (table, parameter, actor, topic, namespace) = reader.finish(all)?;
    let aws = Aws::load().await;
    let build = connect(&aws, SettingsReader::from_environment())?;
    let config = aws.patient();
    let topic = topic.map(|topic| (aws_sdk_sns::Client::new(&config), topic));
    Ok(Function {
        aws,
        build,
        settings: Arc::new(SettingsStore::new(aws_sdk_ssm::Client::new(&config), parameter)),
        ledger: DynamoLedger::new(aws_sdk_dynamodb::Client::new(&config), table),
        reporter: AwsReporter::new(aws_sdk_securityhub::Client::new(&config), topic, namespace),
        actor,
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

impl<B> Function<B> {
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
        let engine = self.engine().await.map_err(|failure| {
            tracing::error!(failure = %failure, "no action without settings");
            self.reporter.measure(R::NAME, "SettingsInvalid", 1.0);
            diagnostic("SettingsInvalid", &failure)
        })?;
        self.tell_of_ends(R::NAME, &engine.policy).await;
        let answer = respond(&engine, invocation, deadline).await;
        #[expect(clippy::cast_precision_loss, reason = "the calls of one run")]
        self.reporter
            .measure(R::NAME, "AwsCalls", self.aws.calls().saturating_sub(before) as f64);
        answer
    }

    /// The engine, by the settings as they are now.
    async fn engine<R>(&self) -> Result<LambdaEngine<R>, Failure>
    where
        R: Remediation,
        B: Fn(&Document, Timestamp) -> Result<(R, Policy), InvalidSettings>,
    {
        let document = self.settings.current().await?;
        let (remediation, policy) = match (self.build)(&document, SystemClock.now()) {
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
            actor: self.actor.clone(),
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
                "notice#exemption#{}#{}#{}",
                exemption.resource, exemption.control, exemption.expires
            );
            let is_new = self
                .ending
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(key.clone());
            if !is_new {
                continue;
            }
            match self.ledger.turn(&key, TOLD_EVERY, now).await {
                Ok(Turn::Ours) => self.reporter.publish(&Notice::of_expiry(exemption)).await,
                Ok(Turn::At(_)) => {}
                Err(failure) => tracing::warn!(failure = %failure, "nobody was told of an exemption that ends"),
            }
        }
        if count > 0.0 {
            self.reporter.measure(remediation, "ExemptionsEnding", count);
        }
    }
}

async fn respond<R: Remediation>(
    engine: &LambdaEngine<R>,
    invocation: Invocation,
    deadline: Deadline,
) -> Result<Value, Diagnostic> {
    let refused = |failure: Failure| diagnostic("CommandRefused", &failure);
    match invocation {
        Invocation::Batch(messages) => {
            let failed = engine.batch(messages, deadline).await.redeliver;
            if failed.iter().any(String::is_empty) {
                let why = "a record failed that has no message id; the whole batch has to come again";
                return Err(diagnostic("NotDone", &why));
            }
            let failed: Vec<_> = failed.into_iter().map(|id| json!({ "itemIdentifier": id })).collect();
            Ok(json!({ "batchItemFailures": failed }))
        }
        Invocation::Event(intake) => told(&engine.event(intake, deadline).await),
        Invocation::Schedule => told(&engine.sweep(deadline).await),
        Invocation::Command(Command::Undo(order)) => {
            told(&engine.undo(&order.id, &order.by, deadline).await.map_err(refused)?)
        }
        Invocation::Command(Command::Approve(order)) => {
            told(&engine.approve(&order.id, &order.by, deadline).await.map_err(refused)?)
        }
        Invocation::Command(Command::Explain(intake)) => {
            told(&engine.explain(intake, deadline).await.map_err(refused)?)
        }
    }
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
