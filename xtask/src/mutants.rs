//! The library with one thing wrong at a time: do its tests see it?

use std::{fs, process::Command};

use anyhow::{Result, bail};

use crate::tools::Tool;

const CARGO_MUTANTS: Tool = Tool {
    name: "cargo-mutants",
    version: "27.1.0",
};

/// Tries the mutants of these files of `shared/remediation/src`, or of all, in a copy of the tree. Prints those that nobody saw.
pub fn command(files: &[&str]) -> Result<()> {
    let workspace = local_cloud::workspace()?;
    let out = workspace.join("target/mutants");
    let mut command = Command::new(CARGO_MUTANTS.path(&workspace)?);
    command
        .current_dir(&workspace)
        .args(["mutants", "--package", "remediation", "--colors", "never"]);
    command
        .args(["--timeout", "60", "--build-timeout", "300", "--output"])
        .arg(&out);
    for file in files {
        command.args(["--file", &format!("shared/remediation/src/{file}")]);
    }
    // The unit tests and those of the engine: what comes from outside without end is for the fuzz targets.
    for argument in ["--lib", "--test=engine", "--test=oversteps"] {
        command.args(["--cargo-arg", argument]);
    }
    command.env("CARGO_PROFILE_DEV_DEBUG", "0");
    let status = command.status()?;
    for (what, file) in [
        ("caught", "caught"),
        ("missed", "missed"),
        ("timed out", "timeout"),
        ("not built", "unviable"),
    ] {
        let told = fs::read_to_string(out.join(format!("mutants.out/{file}.txt"))).unwrap_or_default();
        println!("{what:<10} {:>5}", told.lines().count());
    }
    match status.code() {
        // 2: some were missed, 3: some timed out. Not each of them is a fault of the tests.
        Some(0 | 2 | 3) => Ok(()),
        _ => bail!("cargo mutants failed: {status}"),
    }
}
