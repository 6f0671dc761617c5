//! What was done, decided and planned.

use std::process::ExitCode;

use chrono::TimeDelta;
use clap::{Args, Subcommand};
use remediation::{
    clock::{Clock, SystemClock},
    ids::RecordId,
    ledger::{
        Record, Status,
        chain::{Flaw, Head, Stored, verify},
    },
    settings::FUNCTIONS,
};
use serde_json::{Value, json};

use crate::{cloud::Cloud, error::Error, screen::Screen};

/// What to do with the ledger.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List records, oldest first.
    List(Which),
    /// Show one record whole: who, what, why, when.
    Show {
        /// The record.
        #[arg(value_parser = RecordId::parse)]
        record: RecordId,
    },
    /// Compare all records with the chain of hashes: whatever was changed, added or removed by anybody but the functions is named.
    Verify {
        /// Of this function only.
        #[arg(long, value_parser = FUNCTIONS)]
        function: Option<String>,
    },
}

/// Which records.
#[derive(Debug, Args)]
pub struct Which {
    /// Of this function only.
    #[arg(long, value_parser = FUNCTIONS)]
    pub function: Option<String>,
    /// Written last within so many days.
    #[arg(long, default_value_t = 7)]
    pub days: u16,
    /// With this outcome.
    #[arg(long, value_parser = STANDINGS)]
    pub outcome: Option<String>,
    /// About this finding, by its id.
    #[arg(long)]
    pub finding: Option<String>,
}

/// Runs it.
pub async fn run(command: Command, stack: &str, screen: Screen) -> Result<ExitCode, Error> {
    match command {
        Command::List(which) => list(&which, stack, screen).await,
        Command::Show { record } => show(&record, stack, screen).await,
        Command::Verify { function } => check(function.as_deref(), stack, screen).await,
    }
}

fn functions(only: Option<&str>) -> Vec<&'static str> {
    FUNCTIONS
        .into_iter()
        .filter(|name| only.is_none_or(|only| only == *name))
        .collect()
}

/// Where a record may stand: how it ended, or that it is under way.
const STANDINGS: [&str; 10] = [
    "Remediated",
    "AlreadyInPlace",
    "WouldRemediate",
    "AwaitingApproval",
    "Declined",
    "Escalated",
    "Failed",
    "Undone",
    "Intended",
    "Reverting",
];

/// The name of where a record stands.
pub fn standing(record: &Record) -> &'static str {
    match &record.status {
        Status::Intended => "Intended",
        Status::Reverting => "Reverting",
        Status::Settled(outcome) => outcome.name(),
    }
}

/// Why a record stands where it does.
pub fn why(record: &Record) -> String {
    match &record.status {
        Status::Settled(outcome) => outcome.why(),
        Status::Intended | Status::Reverting => "under way".to_owned(),
    }
}

/// The records that are meant.
pub async fn records(which: &Which, stack: &str) -> Result<Vec<Stored>, Error> {
    let ledger = Cloud::of(stack).await.ledger().await?;
    let now = SystemClock.now();
    let from = now - TimeDelta::days(which.days.into());
    let mut all = Vec::new();
    for function in functions(which.function.as_deref()) {
        all.extend(ledger.history(function, from, now).await?);
    }
    let is = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
    let is_meant = |Stored { record, .. }: &Stored| {
        is(&which.outcome, standing(record)) && is(&which.finding, record.evidence.id.as_str())
    };
    all.retain(is_meant);
    all.sort_by_key(|stored| stored.record.updated_at);
    Ok(all)
}

async fn list(which: &Which, stack: &str, screen: Screen) -> Result<ExitCode, Error> {
    let all = records(which, stack).await?;
    let values: Vec<&Record> = all.iter().map(|stored| &stored.record).collect();
    let lines = values.iter().map(|record| {
        let when = record.updated_at.format("%Y-%m-%d %H:%M");
        format!("{when}  {:<17} {}  {}", standing(record), record.id, why(record))
    });
    screen.show(&values, lines);
    Ok(ExitCode::SUCCESS)
}

async fn show(id: &RecordId, stack: &str, screen: Screen) -> Result<ExitCode, Error> {
    let ledger = Cloud::of(stack).await.ledger().await?;
    let found = ledger.stored(std::slice::from_ref(id)).await?.into_iter().next();
    let record = found.ok_or_else(|| Error::input(id, "there is no such record"))?.record;
    screen.show(&record, told(&record));
    Ok(ExitCode::SUCCESS)
}

fn told(record: &Record) -> Vec<String> {
    let evidence = &record.evidence;
    let mut lines = vec![
        format!("record    {}", record.id),
        format!("outcome   {}: {}", standing(record), why(record)),
        format!("scope     {}", record.scope),
        format!(
            "finding   {} ({}), seen {}",
            evidence.kind, evidence.severity, evidence.observed_at
        ),
        format!(
            "          {} of account {}, {}",
            evidence.id, evidence.account, evidence.region
        ),
        format!(
            "written   {} to {}, by {}",
            record.created_at, record.updated_at, record.actor
        ),
    ];
    if !record.target.is_null() {
        lines.push(format!("target    {}", plain(&record.target)));
    }
    let word = |what: &str, word: &Option<remediation::ledger::Word>| {
        word.as_ref()
            .map(|word| format!("{what:<9} {} by {}", word.at, word.by))
    };
    lines.extend(word("approved", &record.approved));
    lines.extend(word("undone", &record.reverted));
    if let Some(image) = &record.image {
        for (what, value) in [
            ("before", &image.before),
            ("after", &image.after),
            ("inverse", &image.inverse),
        ] {
            lines.push(format!("{what:<9} {}", plain(value)));
        }
    }
    if !record.requests.is_empty() {
        lines.push(format!("requests  {}", record.requests.join(", ")));
    }
    lines
}

/// A text as it is, everything else as JSON.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

async fn check(only: Option<&str>, stack: &str, screen: Screen) -> Result<ExitCode, Error> {
    let ledger = Cloud::of(stack).await.ledger().await?;
    let now = SystemClock.now();
    let mut results = Vec::new();
    for function in functions(only) {
        let (links, stored) = ledger.whole(function).await?;
        let flaws: Vec<Flaw> = verify(&links, &stored, now);
        let head = links.last().map_or_else(Head::none, Head::of);
        results.push((function, stored.len(), head, flaws));
    }
    let values: Vec<_> = results
        .iter()
        .map(|(function, records, head, flaws)| {
            json!({ "function": function, "records": records, "links": head.number, "head": head.hash, "flaws": flaws })
        })
        .collect();
    let lines = results.iter().flat_map(|(function, records, head, flaws)| {
        let what = if flaws.is_empty() {
            "as written"
        } else {
            "NOT as written"
        };
        let first = format!(
            "{function:<26} {records} records, {} links, {what}; head {}",
            head.number, head.hash
        );
        std::iter::once(first).chain(flaws.iter().map(|flaw| format!("  {flaw}")))
    });
    screen.show(&values, lines);
    Ok(ExitCode::from(u8::from(
        results.iter().any(|(.., flaws)| !flaws.is_empty()),
    )))
}

#[cfg(test)]
mod tests {
    use remediation::{
        failure::{Class, Failure},
        outcome::{Outcome, Reason},
    };

    use super::*;

    /// Whoever asks for an outcome that there is not, is not told that there are no records of it.
    #[test]
    fn every_outcome_can_be_asked_for_and_nothing_else() {
        let reason = || Reason::new("code", "text");
        let ends = [
            Outcome::Remediated(reason()),
            Outcome::AlreadyInPlace(reason()),
            Outcome::WouldRemediate(reason()),
            Outcome::AwaitingApproval(reason()),
            Outcome::Declined(reason()),
            Outcome::Escalated(reason()),
            Outcome::Failed(Failure::new(Class::Permanent, "operation", "Code", "text")),
            Outcome::Undone(reason()),
        ];
        let names: Vec<_> = ends
            .iter()
            .map(Outcome::name)
            .chain(["Intended", "Reverting"])
            .collect();
        assert_eq!(names, STANDINGS);
    }
}
