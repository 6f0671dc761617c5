//! How many instructions it takes to read an event, counted by callgrind: the same on a busy machine and on an idle one.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

use crate::tools::run;

/// What is counted, and what was counted when somebody last looked.
const EXPECTED: &str = "tests/bench/instructions.json";
/// So much more, of a hundred, is a regression.
const MARGIN: u64 = 10;
/// Counted twice as often the second time: the difference has no start in it.
const TIMES: u64 = 50;

/// `cargo xtask instructions [--update]`
pub fn command(arguments: &[&str]) -> Result<()> {
    let is_update = match arguments {
        [] => false,
        ["--update"] => true,
        _ => bail!("usage: cargo xtask instructions [--update]"),
    };
    let workspace = local_cloud::workspace()?;
    let expected = workspace.join(EXPECTED);
    let mut counts: BTreeMap<String, u64> = serde_json::from_slice(&fs::read(&expected)?)?;
    let mut build = local_cloud::cargo();
    build.args([
        "build",
        "--quiet",
        "--locked",
        "--profile",
        "bench",
        "--package",
        "remediation",
        "--example",
        "read",
    ]);
    run(build.current_dir(&workspace))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    let program = target.join("release/examples/read");
    let mut slower = Vec::new();
    for (sample, expected) in &mut counts {
        let event = workspace.join("events").join(format!("{sample}.json"));
        let count = |times| instructions(&program, &event, times);
        let each = count(2 * TIMES)?.saturating_sub(count(TIMES)?) / TIMES;
        println!("{sample}: {each} instructions, {expected} when last looked at");
        if is_update {
            *expected = each;
        } else if each * 100 > *expected * (100 + MARGIN) {
            slower.push(sample.clone());
        }
    }
    if is_update {
        fs::write(expected, serde_json::to_string_pretty(&counts)? + "\n")?;
    }
    ensure!(
        slower.is_empty(),
        "more than {MARGIN} % above what was counted: {}",
        slower.join(", ")
    );
    Ok(())
}

fn instructions(program: &Path, event: &Path, times: u64) -> Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .arg(event)
        .arg(times.to_string())
        .output()
        .context("valgrind cannot be started")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{said}");
    let counted = said.lines().find_map(|line| line.split_once("Collected :"));
    let (_, count) = counted.with_context(|| format!("no count in: {said}"))?;
    Ok(count.trim().parse()?)
}
