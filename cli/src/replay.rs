//! Past events, through the functions' own decisions, on the account as it is now. Nothing is written anywhere.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::Args;
use remediation::{
    Remediation,
    clock::{Clock, Deadline, SystemClock},
    engine::{AlwaysOn, Engine, Policy},
    ids::RoleArn,
    intake::{self, Intake, Invocation},
    ledger::MemoryLedger,
    report::Silent,
    settings::{Document, FUNCTIONS, SettingsReader},
};
use serde::Serialize;

use crate::{cloud::Cloud, error::Error, screen::Screen};

/// Which events, by which settings.
#[derive(Debug, Args)]
pub struct Replay {
    /// A folder of events as EventBridge delivers them, or of SQS batches of them: every file in it that ends in .json.
    folder: PathBuf,
    /// Settings to try, in place of those in force.
    #[arg(long)]
    settings: Option<PathBuf>,
}

/// What would become of how many.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Kind {
    function: &'static str,
    control: String,
    account: String,
    outcome: &'static str,
}

/// What would become of all.
#[derive(Debug, Default)]
struct Tally {
    events: usize,
    unreadable: Vec<String>,
    failed: Vec<String>,
    outcomes: BTreeMap<Kind, usize>,
}

/// One event should not take longer to look at.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs it.
pub async fn run(replay: &Replay, stack: &str, screen: Screen) -> Result<ExitCode, Error> {
    let cloud = Cloud::of(stack).await;
    let document = match &replay.settings {
        None => cloud.document().await?,
        Some(file) => {
            let text = fs::read_to_string(file).map_err(|error| Error::input(file.display(), error))?;
            crate::settings::check(&text)?;
            Document::parse(&text)?
        }
    };
    let mut tally = Tally::default();
    let mut intakes = Vec::new();
    for file in files(&replay.folder)? {
        let name = file.display().to_string();
        let text = fs::read_to_string(&file).map_err(|error| Error::input(&name, error))?;
        match intake::read(&text) {
            Ok(Invocation::Event(intake)) => intakes.push((name, intake)),
            Ok(Invocation::Batch(messages)) => {
                for message in messages {
                    match message.intake {
                        Ok(intake) => intakes.push((name.clone(), intake)),
                        Err(error) => tally.unreadable.push(format!("{name}: {error}")),
                    }
                }
            }
            Ok(Invocation::Schedule | Invocation::Command(_)) => {}
            Err(error) => tally.unreadable.push(format!("{name}: {error}")),
        }
    }
    tally.events = intakes.len();
    for function in FUNCTIONS {
        let environment = cloud.environment(function).await?;
        let role = environment.get("OWN_ROLE_ARN").map(String::as_str).unwrap_or_default();
        let role = RoleArn::parse(role).map_err(|wrong| Error::input(format!("OWN_ROLE_ARN of {function}"), wrong))?;
        let reader = SettingsReader::new(environment);
        match function {
            "block-ip" => {
                let environment = block_ip::Environment::read(reader)?;
                let settings = block_ip::Settings::read(&environment, &document)?;
                let policy = settings.policy.clone();
                let waf = block_ip::Waf::new(&cloud.aws);
                through(
                    block_ip::BlockIp::new(waf, settings),
                    policy,
                    role,
                    &intakes,
                    &mut tally,
                )
                .await;
            }
            "block-public-access" => {
                let settings = block_public_access::Settings::read(&document)?;
                let buckets = block_public_access::AwsBuckets::new(&cloud.aws, role.account().clone());
                let function = block_public_access::BlockPublicAccess::new(buckets, settings.protected);
                through(function, settings.policy, role, &intakes, &mut tally).await;
            }
            "close-open-ingress" => {
                let settings = close_open_ingress::Settings::read(&document)?;
                let groups = close_open_ingress::AwsGroups::new(&cloud.aws);
                let function = close_open_ingress::CloseOpenIngress::new(groups, settings.limits);
                through(function, settings.policy, role, &intakes, &mut tally).await;
            }
            "enforce-storage-encryption" => {
                let settings = enforce_storage_encryption::Settings::read(&document)?;
                let regions = enforce_storage_encryption::AwsRegions::new(&cloud.aws);
                let function = enforce_storage_encryption::EnforceStorageEncryption::new(regions, settings.protected);
                through(function, settings.policy, role, &intakes, &mut tally).await;
            }
            "disable-access-key" => {
                let environment = disable_access_key::Environment::read(reader)?;
                let settings = disable_access_key::Settings::read(&environment, &document)?;
                let policy = settings.policy.clone();
                let iam = disable_access_key::AwsIam::new(&cloud.aws);
                let function = disable_access_key::DisableAccessKey::new(iam, settings);
                through(function, policy, role, &intakes, &mut tally).await;
            }
            "enforce-s3-encryption" => {
                let settings = enforce_s3_encryption::Settings::read(&role, &document)?;
                let policy = settings.policy.clone();
                let buckets = enforce_s3_encryption::AwsBuckets::new(&cloud.aws, role.account().clone());
                let function = enforce_s3_encryption::EnforceS3Encryption::new(buckets, settings);
                through(function, policy, role, &intakes, &mut tally).await;
            }
            "revoke-permissions" => {
                let environment = revoke_permissions::Environment::read(reader, role.clone())?;
                let settings = revoke_permissions::Settings::read(&environment, &document, SystemClock.now())?;
                let policy = settings.policy.clone();
                let aws = revoke_permissions::Aws::new(&cloud.aws, role.account().clone());
                let function = revoke_permissions::RevokePermissions::new(aws, settings);
                through(function, policy, role, &intakes, &mut tally).await;
            }
            unknown => return Err(Error::input(unknown, "is no function that can be replayed")),
        }
    }
    Ok(show(&tally, screen))
}

/// The events of a folder, in the order of their names.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let unreadable = |error: std::io::Error| Error::input(folder.display(), error);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

async fn through<R: Remediation>(
    remediation: R,
    policy: Policy,
    actor: RoleArn,
    intakes: &[(String, Intake)],
    tally: &mut Tally,
) {
    let engine = Engine {
        remediation,
        ledger: MemoryLedger::default(),
        reporter: Silent,
        clock: SystemClock,
        policy,
        switch: Arc::new(AlwaysOn),
        actor,
    };
    for (name, intake) in intakes {
        let deadline = Deadline::after(PATIENCE, SystemClock.now());
        match Box::pin(engine.explain(intake.clone(), deadline)).await {
            Ok(summary) => {
                for report in summary.outcomes {
                    let kind = Kind {
                        function: R::NAME,
                        control: report.evidence.kind.clone(),
                        account: report.evidence.account.to_string(),
                        outcome: report.outcome.name(),
                    };
                    *tally.outcomes.entry(kind).or_default() += 1;
                }
            }
            Err(failure) => tally.failed.push(format!("{name}: {}: {failure}", R::NAME)),
        }
    }
}

fn show(tally: &Tally, screen: Screen) -> ExitCode {
    #[derive(Serialize)]
    struct Row<'a> {
        #[serde(flatten)]
        kind: &'a Kind,
        targets: usize,
    }
    #[derive(Serialize)]
    struct Shown<'a> {
        events: usize,
        outcomes: Vec<Row<'a>>,
        unreadable: &'a [String],
        failed: &'a [String],
    }
    let rows: Vec<Row<'_>> = tally
        .outcomes
        .iter()
        .map(|(kind, targets)| Row {
            kind,
            targets: *targets,
        })
        .collect();
    let mut lines = vec![format!("{} events", tally.events)];
    lines.extend(rows.iter().map(|row| {
        let Kind {
            function,
            control,
            account,
            outcome,
        } = row.kind;
        format!("{:>6}  {outcome:<17} {function:<26} {account}  {control}", row.targets)
    }));
    lines.extend(tally.unreadable.iter().map(|line| format!("unreadable: {line}")));
    lines.extend(tally.failed.iter().map(|line| format!("not looked at: {line}")));
    let shown = Shown {
        events: tally.events,
        outcomes: rows,
        unreadable: &tally.unreadable,
        failed: &tally.failed,
    };
    screen.show(&shown, lines);
    ExitCode::from(u8::from(!tally.failed.is_empty()))
}
