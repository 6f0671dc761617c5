//! The build script of every function: what the linker leaves out of a release build.
#![allow(clippy::print_stdout, reason = "cargo listens")]

use std::{env, fs, io};

fn main() -> io::Result<()> {
    // A build script runs in the folder of its package, `functions/NAME`.
    let script = fs::canonicalize("../../tools/link/without-unwinding.ld")?;
    println!("cargo::rerun-if-changed={}", script.display());
    let is = |variable: &str, value: &str| env::var(variable).is_ok_and(|found| found == value);
    if is("PROFILE", "release") && is("CARGO_CFG_TARGET_OS", "linux") {
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{}", script.display());
    }
    Ok(())
}
