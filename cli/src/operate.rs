//! Orders to a function: undo, approve, explain.

use std::{fs, path::Path, process::ExitCode};

use clap::Args;
use remediation::ids::RecordId;
use serde_json::{Value, json};

use crate::{cloud::Cloud, error::Error, function_of, screen::Screen};

/// Which record is meant.
#[derive(Debug, Args)]
pub struct Order {
    /// The record, as notices and the ledger name it.
    #[arg(value_parser = RecordId::parse)]
    record: RecordId,
    /// On whose word; the ARN of the caller, if nothing is said.
    #[arg(long)]
    by: Option<String>,
}

/// Gives an order.
pub async fn order(verb: &str, order: &Order, stack: &str, screen: Screen) -> Result<ExitCode, Error> {
    let function = function_of(&order.record)?;
    let cloud = Cloud::of(stack).await;
    let by = match &order.by {
        Some(by) => by.clone(),
        None => cloud.caller().await?,
    };
    let answer = cloud.invoke(function, &json!({ verb: order.record, "by": by })).await?;
    Ok(show(&answer, screen))
}

/// Asks what would be done.
pub async fn explain(function: &str, event: &Path, stack: &str, screen: Screen) -> Result<ExitCode, Error> {
    let text = fs::read_to_string(event).map_err(|error| Error::input(event.display(), error))?;
    let event: Value = serde_json::from_str(&text).map_err(|error| Error::input(event.display(), error))?;
    let answer = Cloud::of(stack)
        .await
        .invoke(function, &json!({ "explain": event }))
        .await?;
    show(&answer, screen);
    Ok(ExitCode::SUCCESS)
}

/// Shows a function's answer. An order that was not carried out is a failure.
fn show(answer: &Value, screen: Screen) -> ExitCode {
    let outcomes = answer
        .get("outcomes")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let mut is_done = true;
    let mut lines = Vec::new();
    for report in &outcomes {
        let text = |field: &str| report.get(field).and_then(Value::as_str).unwrap_or_default();
        let outcome = report
            .get("outcome")
            .and_then(Value::as_object)
            .and_then(|outcome| outcome.iter().next());
        let (name, why) = outcome.map_or(("nothing", ""), |(name, why)| {
            (
                name.as_str(),
                why.get("text").and_then(Value::as_str).unwrap_or_default(),
            )
        });
        is_done &= matches!(name, "Remediated" | "Undone" | "AlreadyInPlace");
        lines.push(format!("{name:<17} {}: {why}", text("target")));
        lines.push(format!("{:<17} {}", "", text("record")));
    }
    let declined = answer.get("declined").and_then(Value::as_array).into_iter().flatten();
    lines.extend(declined.map(|reason| {
        let text = reason.get("text").and_then(Value::as_str).unwrap_or_default();
        format!("{:<17} {text}", "Declined")
    }));
    screen.show(answer, lines);
    ExitCode::from(u8::from(!is_done))
}
