//! The local cloud by itself.

use std::{fs, io::Read, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use local_cloud::LocalCloud;

use crate::screen;

const STACK: &str = "securecart";

/// Keeps the local cloud running until standard input ends or Ctrl-C, and writes what `cargo lambda watch` needs.
pub fn hold() -> Result<()> {
    let workspace = local_cloud::workspace()?;
    let file = workspace.join("target/local-cloud.env");
    if file.exists() {
        fs::remove_file(&file).with_context(|| format!("{} is of an earlier run and stays", file.display()))?;
    }
    let binary = local_cloud::function("block-ip")?;
    let cloud = LocalCloud::start(&screen::progress)?;
    let parameters = [("Mode", "enforce"), ("LedgerDeletionProtection", "false")];
    let stack = cloud.deploy(
        &workspace.join("template.yaml"),
        STACK,
        &[("block-ip", &binary)],
        &parameters,
    )?;
    let output = |name: &str| {
        stack
            .outputs
            .get(name)
            .with_context(|| format!("the stack has no output {name}"))
    };
    let mut lines: Vec<String> = cloud
        .environment()
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    lines.push("MODE=enforce".to_owned());
    lines.push("ALLOW_SAMPLE_FINDINGS=false".to_owned());
    lines.push(format!("LEDGER_TABLE={}", output("LedgerTableName")?));
    lines.push(format!("BLOCK_IPV4_SETS={}", output("RegionalIPv4SetRef")?));
    lines.push(format!("BLOCK_IPV6_SETS={}", output("RegionalIPv6SetRef")?));
    fs::write(&file, lines.join("\n") + "\n").with_context(|| format!("{} cannot be written", file.display()))?;

    screen::heading("The local cloud is running.");
    screen::row("In another terminal:");
    screen::row("cargo lambda watch -A 127.0.0.1 --ignore-changes --env-file target/local-cloud.env");
    screen::row("and in a third:");
    screen::row("cargo lambda invoke -A 127.0.0.1 block-ip --data-file events/block-ip/ssh-brute-force.json");
    screen::row("Ctrl-C, or the end of standard input, stops it.");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Deploys what `sam build` has built, with `sam deploy`.
pub fn sam_deploy(template: &str, architecture: &str) -> Result<()> {
    let cloud = LocalCloud::start(&screen::progress)?;
    let template = Path::new(template);
    let built = template.parent().context("the template lies in the build folder")?;
    let binary = built.join("BlockIpFunction/bootstrap");
    ensure!(
        binary.exists(),
        "{} is not there: run sam build first",
        binary.display()
    );
    let prepared = built.join("local.yaml");
    let parameters = [("Architecture", architecture), ("LedgerDeletionProtection", "false")];
    cloud.prepare(template, STACK, &[("block-ip", &binary)], &parameters, &prepared)?;
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
    let function = format!("{STACK}-block-ip");
    let functions = cloud.lambda("GET", "/2015-03-31/functions/", None)?;
    let names: Vec<&str> = functions
        .get("Functions")
        .and_then(|list| list.as_array())
        .into_iter()
        .flatten()
        .filter_map(|function| function.get("FunctionName")?.as_str())
        .collect();
    let name = names.iter().find(|name| **name == function);
    let name = name.with_context(|| format!("{function} is not among the functions {names:?}"))?;
    let schedule = serde_json::json!({ "source": "aws.events", "detail-type": "Scheduled Event", "detail": {} });
    let answer = cloud.invoke(name, &schedule)?;
    screen::row(&format!("{name} answers the schedule: {answer}"));
    Ok(())
}
