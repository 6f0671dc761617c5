//! What each function is made of, in CycloneDX.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::tools::{Tool, run};

const CARGO_CYCLONEDX: Tool = Tool {
    name: "cargo-cyclonedx",
    version: "0.5.9",
};
/// Where the functions run unless the deployment says otherwise.
const TARGET: &str = "aarch64-unknown-linux-gnu";
/// Written beside every package's manifest.
const FILE: &str = "sbom.cdx";

#[derive(Deserialize)]
struct Bom {
    #[serde(rename = "bomFormat")]
    format: String,
    components: Vec<Component>,
}

#[derive(Deserialize)]
struct Component {
    name: String,
    version: String,
}

/// Writes one for each function below `target/sbom`, and checks that none of its packages is missing.
pub fn command() -> Result<()> {
    let workspace = local_cloud::workspace()?;
    let tool = CARGO_CYCLONEDX.path(&workspace)?;
    let mut command = Command::new(tool);
    command
        .current_dir(&workspace)
        .args(["cyclonedx", "--quiet", "--format", "json", "--no-build-deps"]);
    command.args(["--target", TARGET, "--spec-version", "1.5", "--override-filename", FILE]);
    let made = run(&mut command);
    let folder = workspace.join("target/sbom");
    fs::create_dir_all(&folder)?;
    let moved = gather(&workspace, &folder);
    made.and(moved)?;
    for function in local_cloud::FUNCTIONS {
        let path = folder.join(format!("{function}.cdx.json"));
        let text = fs::read_to_string(&path).with_context(|| format!("{} was not written", path.display()))?;
        let bom: Bom = serde_json::from_str(&text)?;
        ensure!(
            bom.format == "CycloneDX",
            "{} is of the format {}",
            path.display(),
            bom.format
        );
        let listed: BTreeSet<_> = bom.components.into_iter().map(|one| (one.name, one.version)).collect();
        let needed = needed(&workspace, function)?;
        let missing: Vec<_> = needed.difference(&listed).collect();
        ensure!(missing.is_empty(), "{} lacks {missing:?}", path.display());
        println!(
            "{:<28} {:>4} packages  target/sbom/{function}.cdx.json",
            function,
            needed.len()
        );
    }
    Ok(())
}

/// Takes the files from beside the manifests; those of the functions are kept.
fn gather(workspace: &Path, folder: &Path) -> Result<()> {
    for place in ["functions", "shared", "."] {
        for entry in fs::read_dir(workspace.join(place))? {
            let written: PathBuf = entry?.path().join(format!("{FILE}.json"));
            if !written.exists() {
                continue;
            }
            let package = written
                .parent()
                .and_then(Path::file_name)
                .context("it lies in a package")?;
            if place == "functions" {
                let name = format!("{}.cdx.json", package.to_string_lossy());
                fs::copy(&written, folder.join(name))?;
            }
            fs::remove_file(&written)?;
        }
    }
    Ok(())
}

/// The packages that a function is linked with, or made by, by Cargo.lock.
fn needed(workspace: &Path, function: &str) -> Result<BTreeSet<(String, String)>> {
    let mut command = local_cloud::cargo();
    command
        .current_dir(workspace)
        .args(["tree", "--locked", "--package", function]);
    command.args([
        "--edges", "normal", "--target", TARGET, "--prefix", "none", "--format", "{p}",
    ]);
    let said = command.output()?;
    ensure!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let told = String::from_utf8(said.stdout)?;
    let mut packages = BTreeSet::new();
    // The first is the function itself.
    for line in told.lines().skip(1) {
        let mut words = line.split(' ');
        if let (Some(name), Some(version)) = (words.next(), words.next().and_then(|word| word.strip_prefix('v'))) {
            packages.insert((name.to_owned(), version.to_owned()));
        }
    }
    packages.remove(&(function.to_owned(), env!("CARGO_PKG_VERSION").to_owned()));
    Ok(packages)
}
