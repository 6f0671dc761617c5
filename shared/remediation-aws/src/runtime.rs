//! The function as Lambda calls it.

use std::{fmt::Display, str::FromStr};

use futures_util::FutureExt;
use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use remediation::{
    Remediation,
    clock::{Clock, Deadline, SystemClock},
    engine::{Engine, Policy, Summary},
    failure::Failure,
    intake::{self, Command, Invocation},
    settings::SettingsReader,
};
use serde_json::{Value, json, value::RawValue};
use tracing_subscriber::filter::LevelFilter;

use crate::{Aws, AwsReporter, DynamoLedger};

type LambdaEngine<R> = Engine<R, DynamoLedger, AwsReporter, SystemClock>;

/// Runs a remediation as a Lambda function: sets up logging, clients and ledger once, then answers events.
///
/// # Errors
/// When a setting is missing or wrong, and when the runtime stops.
pub async fn run<R: Remediation + 'static>(
    build: impl FnOnce(&Aws) -> Result<(R, Policy), Error>,
) -> Result<(), Error> {
    init_logging();
    // Boxed, here and below: a future of the SDK's depth, spelled out as one type, is more than the compiler will lay out.
    let engine = match start(build).boxed_local().await {
        Ok(engine) => engine,
        Err(error) => {
            tracing::error!(error = %error, "the function cannot start");
            return Err(error);
        }
    };
    let engine = &engine;
    lambda_runtime::run(service_fn(|event: LambdaEvent<Box<RawValue>>| {
        answer(engine, event).boxed()
    }))
    .await
}

async fn start<R: Remediation>(
    build: impl FnOnce(&Aws) -> Result<(R, Policy), Error>,
) -> Result<LambdaEngine<R>, Error> {
    let mut reader = SettingsReader::from_environment();
    let table = reader.required("LEDGER_TABLE", String::from_str);
    let namespace = reader.or_default("METRICS_NAMESPACE", |text| Ok::<_, String>(Some(text.to_owned())));
    let (table, namespace) = reader.finish(table.zip(namespace))?;
    let aws = Aws::load().await;
    let (remediation, policy) = build(&aws)?;
    let config = aws.patient();
    Ok(Engine {
        remediation,
        ledger: DynamoLedger::new(aws_sdk_dynamodb::Client::new(&config), table),
        reporter: AwsReporter::new(aws_sdk_securityhub::Client::new(&config), namespace),
        clock: SystemClock,
        policy,
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

async fn answer<R: Remediation>(
    engine: &LambdaEngine<R>,
    event: LambdaEvent<Box<RawValue>>,
) -> Result<Value, Diagnostic> {
    let deadline = Deadline::from_context(event.context.deadline, engine.clock.now());
    let invocation = intake::read(event.payload.get()).map_err(|error| {
        tracing::error!(error = %error, "unreadable");
        diagnostic("UnreadableInput", &error)
    })?;
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
        Invocation::Command(Command::Undo(id)) => told(&engine.undo(&id, deadline).await.map_err(refused)?),
        Invocation::Command(Command::Approve(id)) => told(&engine.approve(&id, deadline).await.map_err(refused)?),
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
