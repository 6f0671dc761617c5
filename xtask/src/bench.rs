//! Release builds of the functions, measured side by side with what others do: see `tests/src/bin/bench`.

use std::{env, process::Command};

use anyhow::Result;
use local_cloud::{FUNCTIONS, LocalCloud};

use crate::tools::run;

/// `cargo xtask bench [--runs N] [--function NAME] [--share SHARE] [--write]`
pub fn command(arguments: &[&str]) -> Result<()> {
    let workspace = local_cloud::workspace()?;
    let cargo_lambda = LocalCloud::cargo_lambda(&|line| println!("{line}"))?;
    // It finds its linker beside itself.
    let mut folders = vec![cargo_lambda.parent().unwrap_or(&workspace).to_owned()];
    folders.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let path = env::join_paths(folders)?;
    let architecture = if cfg!(target_arch = "aarch64") {
        "--arm64"
    } else {
        "--x86-64"
    };
    // As it is measured, and as it is uploaded.
    for format in ["zip", "binary"] {
        let mut build = Command::new(&cargo_lambda);
        build.args([
            "lambda",
            "build",
            "--locked",
            "--release",
            architecture,
            "--output-format",
            format,
        ]);
        build.args(FUNCTIONS.iter().flat_map(|name| ["--package", name]));
        run(build.current_dir(&workspace).env("PATH", &path))?;
    }
    let mut measure = local_cloud::cargo();
    measure
        .args(["run", "--quiet", "--workspace", "--bin", "bench", "--"])
        .args(arguments);
    run(measure.current_dir(&workspace))
}
