//! The operator's command on what was played.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use super::stage::{STACK, Stage};
use crate::screen;

/// Below the workspace.
const REPORT: &str = "target/securecart-report.html";

/// Compares the ledger with its chain, and writes the report.
pub fn play(stage: &Stage) -> Result<()> {
    let program = local_cloud::function("securecart")?;
    let run = |arguments: &[&str]| -> Result<String> {
        let mut command = Command::new(&program);
        command
            .args(["--stack", STACK])
            .args(arguments)
            .envs(stage.cloud.environment());
        let output = command.output().context("securecart cannot be started")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "securecart {}: {said}{complaint}",
            arguments.join(" ")
        );
        Ok(said)
    };
    screen::heading("securecart ledger verify: every record is as the functions wrote it");
    for line in run(&["ledger", "verify"])?.lines() {
        screen::row(line);
    }
    screen::heading("securecart report");
    let file = local_cloud::workspace()?.join(REPORT);
    let file: &Path = &file;
    let file = file.to_str().context("a path that is text")?;
    run(&["report", "--days", "1", "--out", file])?;
    screen::row(&format!("{REPORT} shows all of it; open it in a browser"));
    Ok(())
}
