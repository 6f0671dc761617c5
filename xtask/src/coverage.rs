//! Which lines the unit tests of the library and of the functions reach.

use std::{collections::BTreeMap, fs, process::Command};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::tools::{Tool, run};

const CARGO_LLVM_COV: Tool = Tool {
    name: "cargo-llvm-cov",
    version: "0.9.1",
};
/// How many of the least covered files of the library are named.
const LEAST: usize = 10;

#[derive(Deserialize)]
struct Coverage {
    data: Vec<Data>,
}

#[derive(Deserialize)]
struct Data {
    files: Vec<File>,
}

#[derive(Deserialize)]
struct File {
    filename: String,
    summary: Summary,
}

#[derive(Deserialize)]
struct Summary {
    lines: Lines,
}

#[derive(Deserialize, Clone, Copy, Default)]
struct Lines {
    count: u64,
    covered: u64,
}

impl Lines {
    #[expect(clippy::cast_precision_loss, reason = "counts of lines")]
    fn percent(self) -> f64 {
        100.0 * self.covered as f64 / self.count.max(1) as f64
    }
}

/// Measures these packages, or the library and the functions, and prints a table. The build is taken away afterwards: it is as large as
/// the development build.
pub fn command(packages: &[&str]) -> Result<()> {
    let workspace = local_cloud::workspace()?;
    let tool = CARGO_LLVM_COV.path(&workspace)?;
    // It reads what the tests wrote by LLVM's tools of this compiler.
    run(Command::new("rustup").args(["component", "add", "llvm-tools"]))?;
    let build = workspace.join("target/coverage");
    let report = workspace.join("target/coverage.json");
    let mut command = Command::new(tool);
    command
        .current_dir(&workspace)
        .args(["llvm-cov", "--locked", "--json", "--summary-only"]);
    command.arg("--output-path").arg(&report);
    let all: Vec<&str> = ["remediation"].into_iter().chain(local_cloud::FUNCTIONS).collect();
    let chosen = if packages.is_empty() { all.as_slice() } else { packages };
    for package in chosen {
        command.args(["--package", package]);
    }
    command
        .env("CARGO_TARGET_DIR", &build)
        .env("CARGO_INCREMENTAL", "0")
        .env("CARGO_PROFILE_DEV_DEBUG", "0");
    let measured = run(&mut command);
    if build.exists() {
        fs::remove_dir_all(&build)?;
    }
    measured?;

    let coverage: Coverage = serde_json::from_str(&fs::read_to_string(&report)?)?;
    let root = format!("{}/", workspace.display());
    let mut crates: BTreeMap<String, Lines> = BTreeMap::new();
    let mut files = Vec::new();
    for file in coverage.data.into_iter().flat_map(|data| data.files) {
        let path = file.filename.strip_prefix(&root).unwrap_or(&file.filename);
        let (package, _) = path.split_once("/src/").context("a file lies in a package")?;
        let lines = file.summary.lines;
        let sum = crates.entry(package.to_owned()).or_default();
        sum.count += lines.count;
        sum.covered += lines.covered;
        if package == "shared/remediation" {
            files.push((path.to_owned(), lines));
        }
    }
    println!("{:<44} {:>7} {:>8} {:>8}", "package", "lines", "covered", "percent");
    crates.iter().for_each(|(name, lines)| row(name, *lines));
    files.sort_by(|(_, one), (_, other)| one.percent().total_cmp(&other.percent()));
    println!("\nleast covered files of the library");
    files.iter().take(LEAST).for_each(|(name, lines)| row(name, *lines));
    Ok(())
}

fn row(name: &str, lines: Lines) {
    println!(
        "{name:<44} {:>7} {:>8} {:>7.1}%",
        lines.count,
        lines.covered,
        lines.percent()
    );
}
