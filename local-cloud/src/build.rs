//! The functions' binaries, as the local cloud runs them.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use anyhow::{Context, Result, anyhow, ensure};

/// The functions, as their binaries and their folders of sample events are named.
pub const FUNCTIONS: [&str; 7] = [
    "block-ip",
    "block-public-access",
    "close-open-ingress",
    "disable-access-key",
    "enforce-s3-encryption",
    "enforce-storage-encryption",
    "revoke-permissions",
];

/// The folder of the workspace.
///
/// # Errors
/// Never, in a checkout.
pub fn workspace() -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    Ok(folder.context("this crate lies in the workspace")?.to_owned())
}

/// Builds the functions and `securecart` as development builds, once in a process, and returns the binary of this name. Built with the whole
/// workspace's features, as the tests are, they need no second build of the SDK.
///
/// # Errors
/// When they do not build.
pub fn function(name: &str) -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let folder = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    Ok(folder.as_ref().map_err(|error| anyhow!("{error}"))?.join(name))
}

/// The release build of a function, as `cargo lambda build --release` leaves it.
///
/// # Errors
/// When it has not been built.
pub fn shipped(name: &str) -> Result<PathBuf> {
    let binary = workspace()?.join("target/lambda").join(name).join("bootstrap");
    ensure!(
        binary.is_file(),
        "{} is not there: cargo lambda build --release",
        binary.display()
    );
    Ok(binary)
}

/// A cargo that is not told what the cargo that runs us says of our package: build scripts watch these variables, `ring`'s among them, and
/// with it all of TLS would be built again by whoever comes next.
#[must_use]
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let of_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(of_package) {
            cargo.env_remove(name);
        }
    }
    cargo
}

fn build() -> Result<PathBuf> {
    let workspace = workspace()?;
    let names = FUNCTIONS.iter().chain(&["securecart"]);
    let built = cargo()
        .args(["build", "--workspace"])
        .args(names.flat_map(|name| ["--bin", name]))
        .current_dir(&workspace)
        .status()
        .context("cargo cannot be started")?;
    ensure!(built.success(), "the functions do not build");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    Ok(target.join("debug"))
}

/// A function's name as the template's logical ids and outputs begin: `BlockIp` for `block-ip`.
pub fn logical(function: &str) -> String {
    let capital = |word: &str| {
        let (first, rest) = word.split_at_checked(1).unwrap_or_default();
        format!("{}{rest}", first.to_uppercase())
    };
    function.split('-').map(capital).collect()
}
