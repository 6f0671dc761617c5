//! The fuzz targets under `fuzz/`, run for a while each, and what was seen of each.

mod seeds;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use crate::tools::{Tool, run};

const CARGO_FUZZ: Tool = Tool {
    name: "cargo-fuzz",
    version: "0.13.2",
};
/// On the stable compiler a sanitizer is not to be had; without `unsafe` of our own there is little for one to see.
const BUILD: [&str; 2] = ["--sanitizer", "none"];
/// How long each target runs if nothing is said, in seconds.
const SECONDS: &str = "10";
/// One input may take so long, in seconds, and so much memory, in megabytes.
const LIMITS: [&str; 3] = ["-timeout=5", "-rss_limit_mb=1024", "-max_len=16384"];

/// `cargo xtask fuzz [--seconds N] [TARGET]`, and `cargo xtask fuzz seeds`.
pub fn command(arguments: &[&str]) -> Result<()> {
    let workspace = local_cloud::workspace()?;
    let (seconds, target) = match arguments {
        ["seeds"] => return seeds::write(&workspace),
        [] => (SECONDS, None),
        [target] => (SECONDS, Some(*target)),
        ["--seconds", seconds] => (*seconds, None),
        ["--seconds", seconds, target] => (*seconds, Some(*target)),
        _ => bail!("usage: cargo xtask fuzz [--seconds N] [TARGET], or: cargo xtask fuzz seeds"),
    };
    let seconds: u64 = seconds.parse().context("--seconds wants a whole number")?;
    let targets = targets(&workspace)?;
    let chosen: Vec<_> = targets
        .iter()
        .filter(|name| target.is_none_or(|target| target == *name))
        .collect();
    ensure!(
        !chosen.is_empty(),
        "there is no such target, only {}",
        targets.join(", ")
    );

    let fuzz = Fuzz {
        tool: CARGO_FUZZ.path(&workspace)?,
        workspace,
    };
    run(fuzz.cargo("build").args(target))?;
    println!(
        "{:<16} {:>7} {:>12} {:>8} {:>9} {:>7} {:>8}",
        "target", "seconds", "executions", "edges", "features", "corpus", "crashes"
    );
    let mut crashed = Vec::new();
    for name in chosen {
        let seen = fuzz.run(name, seconds)?;
        println!(
            "{name:<16} {seconds:>7} {:>12} {:>8} {:>9} {:>7} {:>8}",
            seen.executions,
            seen.edges,
            seen.features,
            seen.corpus,
            seen.crashes.len()
        );
        if !seen.is_sound {
            eprintln!("{}", seen.end);
            crashed.push(name.as_str());
        }
    }
    ensure!(
        crashed.is_empty(),
        "these targets did not hold: {}; what broke them is below target/fuzz/crashes",
        crashed.join(", ")
    );
    Ok(())
}

fn targets(workspace: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(workspace.join("fuzz/fuzz_targets"))? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|stem| stem.to_str());
        names.push(name.context("a target's name is text")?.to_owned());
    }
    names.sort();
    Ok(names)
}

struct Fuzz {
    tool: PathBuf,
    workspace: PathBuf,
}

/// What libFuzzer said at the end.
struct Seen {
    executions: u64,
    edges: u64,
    features: u64,
    corpus: u64,
    crashes: Vec<PathBuf>,
    is_sound: bool,
    /// The last lines.
    end: String,
}

impl Fuzz {
    fn cargo(&self, what: &str) -> Command {
        let mut command = Command::new(&self.tool);
        command.current_dir(&self.workspace).args(["fuzz", what]).args(BUILD);
        command.args(["--target-dir", "target/fuzz"]);
        command
    }

    /// Runs a target from the seeds, and from what earlier runs have found.
    fn run(&self, target: &str, seconds: u64) -> Result<Seen> {
        let below = |what: &str| self.workspace.join("target/fuzz").join(what).join(target);
        let (corpus, crashes) = (below("corpus"), below("crashes"));
        for folder in [&corpus, &crashes] {
            fs::create_dir_all(folder)?;
        }
        let known = files(&crashes)?;
        let mut command = self.cargo("run");
        command.arg(target).arg(&corpus);
        command.arg(self.workspace.join("fuzz/seeds").join(target)).arg("--");
        command.args(LIMITS).arg("-print_final_stats=1");
        command.arg(format!("-max_total_time={seconds}"));
        command.arg(format!("-artifact_prefix={}/", crashes.display()));
        command.arg(format!("-dict={}", self.workspace.join("fuzz/fields.dict").display()));
        let said = command.stdout(Stdio::null()).output()?;
        let told = String::from_utf8_lossy(&said.stderr);
        let mut crashes = files(&crashes)?;
        crashes.retain(|path| !known.contains(path));
        let lines: Vec<_> = told.lines().collect();
        let end = lines.get(lines.len().saturating_sub(40)..).unwrap_or_default();
        Ok(Seen {
            executions: number(&told, "stat::number_of_executed_units:").unwrap_or(0),
            edges: number(&told, " cov:").unwrap_or(0),
            features: number(&told, " ft:").unwrap_or(0),
            corpus: number(&told, " corp:").unwrap_or(0),
            is_sound: said.status.success() && crashes.is_empty(),
            crashes,
            end: end.join("\n"),
        })
    }
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?;
    let mut paths: Vec<_> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.sort();
    Ok(paths)
}

/// The number that stands behind a word for the last time.
fn number(text: &str, word: &str) -> Option<u64> {
    let (_, after) = text.rsplit_once(word)?;
    let after = after.trim_start();
    let digits = after.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}
