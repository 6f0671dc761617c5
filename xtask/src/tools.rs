//! The developer's tools, installed below `target/tools` when they are missing.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

/// A tool of cargo's, in the version that the commands are written for.
pub struct Tool {
    /// The package, and its executable.
    pub name: &'static str,
    /// The version.
    pub version: &'static str,
}

impl Tool {
    /// Where it is. It is installed first if it is not there in this version.
    pub fn path(&self, workspace: &Path) -> Result<PathBuf> {
        let root = workspace.join("target/tools");
        let path = root.join("bin").join(self.name);
        if !self.is_there(&path) {
            println!("installing {} {}", self.name, self.version);
            let mut install = local_cloud::cargo();
            install.args(["install", "--quiet", "--locked", "--force", "--root"]);
            install.arg(&root).args([self.name, "--version", self.version]);
            // In a build folder of its own, so that what several tools share is built once.
            run(install.env("CARGO_TARGET_DIR", root.join("build")))?;
        }
        Ok(path)
    }

    fn is_there(&self, path: &Path) -> bool {
        // A subcommand of cargo's wants its name first; some print their version on any other line.
        let subcommand = self.name.trim_start_matches("cargo-");
        let mut asked = Command::new(path);
        let said = asked.args([subcommand, "--version"]).stderr(Stdio::null()).output();
        said.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).contains(self.version))
    }
}

/// Runs a command to its end, and fails with it.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{command:?} cannot be run"))?;
    ensure!(status.success(), "{command:?} failed: {status}");
    Ok(())
}
