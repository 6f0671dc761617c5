//! The local cloud by itself.

use std::{fs, io::Read, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use local_cloud::{FUNCTIONS, LocalCloud, logical};

use crate::{
    demo::{
        self,
        stage::{STACK, Stage},
    },
    screen,
};

/// Keeps the local cloud running until standard input ends or Ctrl-C, and writes what `cargo lambda watch` and `securecart` need.
pub fn hold() -> Result<()> {
    let workspace = local_cloud::workspace()?;
    let file = workspace.join("target/local-cloud.env");
    if file.exists() {
        fs::remove_file(&file).with_context(|| format!("{} is of an earlier run and stays", file.display()))?;
    }
    let stage = Stage::set(&demo::settings())?;
    demo::seed(&stage)?;
    let mut lines: Vec<String> = stage
        .cloud
        .environment()
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    lines.push(format!("SETTINGS_PARAMETER={}", stage.output("SettingsParameter")?));
    lines.push(format!("OWN_ROLE_ARN=arn:aws:iam::{}:role/local", local_cloud::ACCOUNT));
    lines.push(format!("LEDGER_TABLE={}", stage.output("LedgerTableName")?));
    lines.push(format!("BLOCK_IPV4_SETS={}", stage.output("RegionalIPv4SetRef")?));
    lines.push(format!("BLOCK_IPV6_SETS={}", stage.output("RegionalIPv6SetRef")?));
    // What the operator's command and the AWS CLI ask for beside.
    lines.push(format!("SECURECART_STACK={STACK}"));
    lines.push(format!("AWS_DEFAULT_REGION={}", local_cloud::REGION));
    fs::write(&file, lines.join("\n") + "\n").with_context(|| format!("{} cannot be written", file.display()))?;

    screen::heading("The local cloud is running.");
    screen::row("In another terminal:");
    screen::row("cargo lambda watch -A 127.0.0.1 --ignore-changes --env-file target/local-cloud.env");
    screen::row("and in a third:");
    screen::row("cargo lambda invoke -A 127.0.0.1 block-ip --data-file events/block-ip/ssh-brute-force.json");
    screen::row("or, as an operator:");
    screen::row("export $(cat target/local-cloud.env); cargo run -q --bin securecart -- ledger list");
    screen::row("Ctrl-C, or the end of standard input, stops it.");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Deploys what `sam build` has built, with `sam deploy`. A function that it was not told to build runs as a development build.
pub fn sam_deploy(template: &str, architecture: &str) -> Result<()> {
    let cloud = LocalCloud::start(&screen::progress)?;
    let template = Path::new(template);
    let built = template.parent().context("the template lies in the build folder")?;
    let mut binaries = Vec::new();
    for name in FUNCTIONS {
        let binary = built.join(format!("{}Function/bootstrap", logical(name)));
        let is_built = binary.exists();
        binaries.push((
            name,
            is_built,
            if is_built { binary } else { local_cloud::function(name)? },
        ));
    }
    ensure!(
        binaries.iter().any(|(_, is_built, _)| *is_built),
        "nothing is built in {}: run sam build first",
        built.display()
    );
    let binaries: Vec<_> = binaries
        .iter()
        .map(|(name, _, binary)| (*name, binary.as_path()))
        .collect();
    let prepared = built.join("local.yaml");
    let parameters = [("Architecture", architecture), ("LedgerDeletionProtection", "false")];
    cloud.prepare(template, STACK, &binaries, &parameters, &prepared)?;
    screen::progress("sam deploy");
    let overrides = parameters.map(|(name, value)| format!("{name}={value}"));
    let deployed = Command::new("sam")
        .args([
            "deploy",
            "--stack-name",
            STACK,
            "--resolve-s3",
            "--no-confirm-changeset",
            "--no-progressbar",
        ])
        .args(["--capabilities", "CAPABILITY_IAM", "--region", local_cloud::REGION])
        .arg("--template-file")
        .arg(&prepared)
        .arg("--parameter-overrides")
        .args(overrides)
        .envs(cloud.environment())
        .status()
        .context("sam cannot be started")?;
    ensure!(deployed.success(), "sam deploy failed");
    let deployed = cloud.lambda("GET", "/2015-03-31/functions/", None)?;
    let deployed = deployed
        .get("Functions")
        .and_then(|list| list.as_array())
        .into_iter()
        .flatten();
    let names: Vec<&str> = deployed
        .filter_map(|function| function.get("FunctionName")?.as_str())
        .collect();
    let schedule = serde_json::json!({ "source": "aws.events", "detail-type": "Scheduled Event", "detail": {} });
    for function in FUNCTIONS {
        let name = format!("{STACK}-{function}");
        ensure!(
            names.contains(&name.as_str()),
            "{name} is not among the functions {names:?}"
        );
        let answer = cloud.invoke(&name, &schedule)?;
        screen::row(&format!("{name} answers the schedule: {answer}"));
    }
    Ok(())
}
