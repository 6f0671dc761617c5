//! What `block-ip` answers to each file of `events/block-ip`, as a snapshot per file.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod support;

use std::{
    collections::BTreeSet,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use remediation::{
    clock::Timestamp,
    engine::Summary,
    finding::{Detail, Finding},
    intake::{self, Command, Intake, IntakeError, Invocation},
};
use support::{Instance, V4, V6, World, texts};
use testkit::TokioClock;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Each sample by its name, without the extension.
fn samples() -> Vec<(String, String)> {
    let files = files(&root().join("../../events/block-ip"), "json");
    files
        .into_iter()
        .map(|path| (stem(&path), fs::read_to_string(path).unwrap()))
        .collect()
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|ext| ext == extension))
        .collect();
    files.sort();
    files
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_str().unwrap().to_owned()
}

/// A minute after the samples were sent.
fn world() -> World {
    let now = Timestamp::from_timestamp(1_795_166_580, 0).unwrap();
    World {
        clock: TokioClock::starting_at(now),
        ..World::new()
    }
}

#[tokio::test(start_paused = true)]
async fn every_sample_is_answered_as_its_snapshot_says() {
    for (name, payload) in samples() {
        let world = world();
        let answer = answer(&world.instance(), &world, &payload).await;
        insta::with_settings!({ description => format!("events/block-ip/{name}.json in the mode enforce"), omit_expression => true }, {
            insta::assert_snapshot!(name, answer);
        });
    }
}

#[test]
fn every_snapshot_belongs_to_a_sample() {
    let snapshots = files(&root().join("tests/snapshots"), "snap");
    let snapshots: BTreeSet<_> = snapshots
        .iter()
        .filter_map(|path| stem(path).strip_prefix("samples__").map(str::to_owned))
        .collect();
    let samples: BTreeSet<_> = samples().into_iter().map(|(name, _)| name).collect();
    assert_eq!(snapshots, samples);
}

#[test]
fn the_readme_describes_every_sample_and_no_other() {
    let readme = fs::read_to_string(root().join("../../events/README.md")).unwrap();
    let described: BTreeSet<_> = readme
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| `")?.split_once(".json`")?.0.to_owned()))
        .collect();
    let samples: BTreeSet<_> = samples().into_iter().map(|(name, _)| name).collect();
    assert_eq!(described, samples);
}

#[tokio::test(start_paused = true)]
async fn a_sample_that_comes_again_changes_nothing() {
    for (name, payload) in samples() {
        let world = world();
        answer(&world.instance(), &world, &payload).await;
        let (updates, records) = (world.waf.0.updates(), world.ledger.records().len());
        answer(&world.instance(), &world, &payload).await;
        assert_eq!(
            (world.waf.0.updates(), world.ledger.records().len()),
            (updates, records),
            "{name}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_finding_that_comes_by_three_ways_is_one_finding() {
    let world = world();
    let samples = samples();
    let ways = [
        "ssh-brute-force",
        "security-hub-imported-ssh-brute-force",
        "security-hub-v2-ssh-brute-force",
    ];
    for way in ways {
        let (_, payload) = samples.iter().find(|(name, _)| name == way).unwrap();
        answer(&world.instance(), &world, payload).await;
    }
    assert_eq!(world.waf.0.updates(), 1);
    let findings: BTreeSet<_> = world
        .ledger
        .records()
        .into_iter()
        .map(|record| record.evidence.id.to_string())
        .collect();
    assert_eq!(findings.len(), 1, "{findings:?}");
}

/// What intake makes of a payload, what becomes of it, and what the sets then hold.
async fn answer(instance: &Instance, world: &World, payload: &str) -> String {
    let mut text = String::new();
    let deadline = world.deadline();
    match intake::read(payload) {
        Err(error) => writeln!(text, "refused: {error}").unwrap(),
        Ok(Invocation::Batch(messages)) => {
            for message in &messages {
                tell_intake(&mut text, &format!("message {}", message.id), message.intake.as_ref());
            }
            let batch = instance.batch(messages, deadline).await;
            tell_summary(&mut text, &batch.summary);
            writeln!(text, "to be delivered again: {}", batch.redeliver.join(", ")).unwrap();
        }
        Ok(Invocation::Event(intake)) => {
            tell_intake(&mut text, "event", Ok(&intake));
            tell_summary(&mut text, &instance.event(intake, deadline).await);
        }
        Ok(Invocation::Schedule) => {
            text.push_str("schedule\n");
            tell_summary(&mut text, &instance.sweep(deadline).await);
        }
        Ok(Invocation::Command(Command::Explain(intake))) => {
            tell_intake(&mut text, "command explain", Ok(&intake));
            tell_summary(&mut text, &instance.explain(intake).await.unwrap());
        }
        Ok(Invocation::Command(Command::Undo(id))) => {
            writeln!(text, "command undo {id}").unwrap();
            match instance.undo(&id, deadline).await {
                Ok(summary) => tell_summary(&mut text, &summary),
                Err(failure) => writeln!(text, "error: {failure}").unwrap(),
            }
        }
        Ok(Invocation::Command(Command::Approve(id))) => {
            writeln!(text, "command approve {id}").unwrap();
            match instance.approve(&id, deadline).await {
                Ok(summary) => tell_summary(&mut text, &summary),
                Err(failure) => writeln!(text, "error: {failure}").unwrap(),
            }
        }
    }
    for set in [V4, V6] {
        let held = texts(&world.waf.0.contents(set).addresses);
        writeln!(
            text,
            "{set}: {}",
            if held.is_empty() {
                "empty".to_owned()
            } else {
                held.join(", ")
            }
        )
        .unwrap();
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
    writeln!(
        text,
        "  {} ({}), seen {}",
        evidence.kind, evidence.severity, evidence.observed_at
    )
    .unwrap();
    writeln!(text, "  {} of {}", evidence.version.as_str(), evidence.id).unwrap();
    match &finding.detail {
        Detail::Threat(threat) => writeln!(text, "  our side: {:?}, {:?}", threat.role, threat.action).unwrap(),
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
