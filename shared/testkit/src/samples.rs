//! The sample events of a function: what it answers to each, as text for a snapshot.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "for tests: one that cannot go on has failed"
)]

use std::{
    collections::BTreeSet,
    fmt::{Debug, Write},
    fs,
    path::{Path, PathBuf},
};

use remediation::{
    Remediation,
    clock::{Clock, Deadline, Timestamp},
    engine::{Engine, Summary},
    finding::{Detail, Finding},
    intake::{self, Command, Intake, IntakeError, Invocation},
    ledger::Ledger,
    report::Reporter,
};

/// The folder with the samples of all functions.
fn events() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events")
}

/// Each sample of a function: its name, without the extension, and its text.
///
/// # Panics
/// When the folder cannot be read.
#[must_use]
pub fn of(function: &str) -> Vec<(String, String)> {
    let files = files(&events().join(function), "json");
    let read = |path: PathBuf| (stem(&path), fs::read_to_string(path).expect("a readable sample"));
    files.into_iter().map(read).collect()
}

/// The text of one sample of a function.
///
/// # Panics
/// When there is none of this name.
#[must_use]
pub fn named(function: &str, name: &str) -> String {
    let file = events().join(function).join(format!("{name}.json"));
    fs::read_to_string(file).expect("a sample of this name")
}

/// A minute after the samples were sent.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::from_timestamp(1_795_166_580, 0).unwrap()
}

/// Asserts that what a function answers to each of its samples is what the snapshot of that name says, each in a world of
/// its own. Takes the function's name, `fn() -> World` and `async fn(&World, &str) -> String`; within an `async fn`.
#[macro_export]
macro_rules! assert_answers {
    ($function:expr, $world:expr, $answer:expr) => {
        for (name, payload) in $crate::samples::of($function) {
            let answer = $answer(&$world(), &payload).await;
            let description = format!("events/{}/{name}.json in the mode enforce", $function);
            $crate::insta::with_settings!({ description => description, omit_expression => true }, {
                $crate::insta::assert_snapshot!(name, answer);
            });
        }
    };
}

/// Each sample of a function that comes again to the same world leaves all that `count` counts as it is.
///
/// # Panics
/// When that does not hold.
pub async fn change_nothing_again<W, N: PartialEq + Debug>(
    function: &str,
    world: impl Fn() -> W,
    answer: impl AsyncFn(&W, &str) -> String,
    count: impl Fn(&W) -> N,
) {
    for (name, payload) in of(function) {
        let world = world();
        answer(&world, &payload).await;
        let counted = count(&world);
        answer(&world, &payload).await;
        assert_eq!(count(&world), counted, "{name}");
    }
}

/// The names of a function's samples.
#[must_use]
fn names(function: &str) -> BTreeSet<String> {
    of(function).into_iter().map(|(name, _)| name).collect()
}

/// The samples that `events/README.md` describes in the section of a function.
///
/// # Panics
/// When the page cannot be read.
#[must_use]
fn described(function: &str) -> BTreeSet<String> {
    let readme = fs::read_to_string(events().join("README.md")).expect("events/README.md");
    let section = readme
        .split("\n## ")
        .find(|section| section.starts_with(&format!("{function}\n")));
    let rows = section.unwrap_or_default().lines();
    rows.filter_map(|line| Some(line.strip_prefix("| `")?.split_once(".json`")?.0.to_owned()))
        .collect()
}

/// The samples that the snapshots in this folder, which are named `samples__<sample>`, belong to.
///
/// # Panics
/// When the folder cannot be read.
#[must_use]
fn snapshots(folder: &Path) -> BTreeSet<String> {
    let files = files(folder, "snap");
    files
        .iter()
        .filter_map(|path| stem(path).strip_prefix("samples__").map(str::to_owned))
        .collect()
}

/// Each sample of a function has a snapshot and a description, and there are no others. `package`: where the function's tests are.
///
/// # Panics
/// When that does not hold.
#[track_caller]
pub fn all_have_snapshots_and_descriptions(function: &str, package: &str) {
    let folder = Path::new(package).join("tests/snapshots");
    assert_eq!(snapshots(&folder), names(function));
    assert_eq!(described(function), names(function));
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path());
    let has_extension = |path: &PathBuf| path.extension().is_some_and(|other| other == extension);
    let mut files: Vec<_> = entries.filter(has_extension).collect();
    files.sort();
    files
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// What intake makes of a payload, and what becomes of it.
pub async fn answer<R: Remediation, L: Ledger, P: Reporter, C: Clock>(
    engine: &Engine<R, L, P, C>,
    deadline: Deadline,
    payload: &str,
) -> String {
    let mut text = String::new();
    match intake::read(payload) {
        Err(error) => writeln!(text, "refused: {error}").unwrap(),
        Ok(Invocation::Batch(messages)) => {
            for message in &messages {
                tell_intake(&mut text, &format!("message {}", message.id), message.intake.as_ref());
            }
            let batch = engine.batch(messages, deadline).await;
            tell_summary(&mut text, &batch.summary);
            writeln!(text, "to be delivered again: {}", batch.redeliver.join(", ")).unwrap();
        }
        Ok(Invocation::Event(intake)) => {
            tell_intake(&mut text, "event", Ok(&intake));
            tell_summary(&mut text, &engine.event(intake, deadline).await);
        }
        Ok(Invocation::Schedule) => {
            text.push_str("schedule\n");
            tell_summary(&mut text, &engine.sweep(deadline).await);
        }
        Ok(Invocation::Command(Command::Explain(intake))) => {
            tell_intake(&mut text, "command explain", Ok(&intake));
            tell_summary(
                &mut text,
                &engine.explain(intake, deadline).await.expect("an explanation"),
            );
        }
        Ok(Invocation::Command(Command::Undo(order))) => {
            writeln!(text, "command undo {} by {}", order.id, order.by).unwrap();
            match engine.undo(&order.id, &order.by, deadline).await {
                Ok(summary) => tell_summary(&mut text, &summary),
                Err(failure) => writeln!(text, "error: {failure}").unwrap(),
            }
        }
        Ok(Invocation::Command(Command::Approve(order))) => {
            writeln!(text, "command approve {} by {}", order.id, order.by).unwrap();
            match engine.approve(&order.id, &order.by, deadline).await {
                Ok(summary) => tell_summary(&mut text, &summary),
                Err(failure) => writeln!(text, "error: {failure}").unwrap(),
            }
        }
    }
    text
}

fn tell_intake(text: &mut String, what: &str, intake: Result<&Intake, &IntakeError>) {
    match intake {
        Err(error) => writeln!(text, "{what}: unreadable: {error}").unwrap(),
        Ok(Intake::Declined(reason)) => writeln!(text, "{what}: declined: {reason}").unwrap(),
        Ok(Intake::Findings(findings)) => {
            writeln!(text, "{what}:").unwrap();
            for finding in findings {
                tell_finding(text, finding);
            }
        }
    }
}

fn tell_finding(text: &mut String, finding: &Finding) {
    let evidence = &finding.evidence;
    let (kind, severity, seen) = (&evidence.kind, evidence.severity, evidence.observed_at);
    writeln!(text, "  {kind} ({severity}), seen {seen}").unwrap();
    writeln!(text, "  {} of {}", evidence.version.as_str(), evidence.id).unwrap();
    match &finding.detail {
        Detail::Threat(threat) => {
            match &threat.action {
                Ok(action) => writeln!(text, "  our side: {:?}, {action:?}", threat.role).unwrap(),
                Err(error) => writeln!(text, "  our side: {:?}, unreadable: {error}", threat.role).unwrap(),
            }
            for credential in &threat.credentials {
                let parts = [
                    &credential.kind,
                    &credential.name,
                    &credential.principal,
                    &credential.key,
                ];
                let parts: Vec<_> = parts.into_iter().map(|part| part.as_deref().unwrap_or("-")).collect();
                writeln!(text, "  credentials: {}", parts.join(" ")).unwrap();
            }
        }
        Detail::Compliance(check) => {
            writeln!(text, "  {:?}: {:?}", check.rule, check.verdict).unwrap();
            for resource in &check.resources {
                let id = resource.unique_id.as_deref().unwrap_or("-");
                let name = resource.name.as_deref().unwrap_or("-");
                writeln!(text, "  {} {}, name {name}, unique id {id}", resource.kind, resource.id).unwrap();
            }
        }
        Detail::UnusedAccess(unused) => writeln!(text, "  {unused:?}").unwrap(),
        Detail::ExternalAccess(access) => writeln!(text, "  {access:?}").unwrap(),
        Detail::ExposedCredentials(named) => writeln!(text, "  exposed: {}", named.join(", ")).unwrap(),
        Detail::BucketCreated(name) => writeln!(text, "  created: {name}").unwrap(),
        Detail::IngressAuthorized(added) => {
            writeln!(text, "  opened: {} {}", added.group, added.rules.join(", ")).unwrap()
        }
        Detail::Other(what) => writeln!(text, "  {what}").unwrap(),
    }
    let flags = [
        ("archived", finding.archived),
        ("sample", finding.sample),
        ("answered", finding.answered),
        ("suppressed", finding.suppressed),
    ];
    for (flag, _) in flags.iter().filter(|(_, is_set)| *is_set) {
        writeln!(text, "  {flag}").unwrap();
    }
}

fn tell_summary(text: &mut String, summary: &Summary) {
    for report in &summary.outcomes {
        writeln!(text, "{} in {}: {}", report.target, report.scope, report.outcome).unwrap();
    }
    for reason in &summary.declined {
        writeln!(text, "declined: {reason}").unwrap();
    }
    for scope in &summary.unsettled {
        writeln!(text, "unsettled: {scope}").unwrap();
    }
}
