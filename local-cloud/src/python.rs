//! The virtual environments with the pinned emulators and tools, made when they are first needed.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

const MISSING: &str = "the local cloud needs Python 3.10 or newer with its venv module. Install it with:\n  \
    Debian, Ubuntu:  apt install python3 python3-venv\n  \
    Fedora, Amazon Linux:  dnf install python3.12\n  \
    Alpine:  apk add python3\n  \
    macOS:  brew install python3";

/// This crate's folder, with the Python programs and the requirements.
pub(crate) fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `target/local-cloud`, where everything is kept that can be made again.
pub(crate) fn target() -> PathBuf {
    folder().parent().unwrap_or(folder()).join("target/local-cloud")
}

/// The Python that has the emulators.
pub(crate) fn emulators(progress: &dyn Fn(&str)) -> Result<PathBuf> {
    Ok(environment(
        "venv",
        &folder().join("requirements.txt"),
        "installing the AWS emulators, once",
        progress,
    )?
    .join("bin/python"))
}

/// The path of cargo-lambda.
pub(crate) fn cargo_lambda(progress: &dyn Fn(&str)) -> Result<PathBuf> {
    let environment = environment(
        "cargo-lambda",
        &folder().join("cargo-lambda.txt"),
        "installing cargo-lambda, once",
        progress,
    )?;
    Ok(environment.join("bin/cargo-lambda"))
}

/// A virtual environment with exactly these requirements, below `target/local-cloud`. Processes that want it at the same time
/// wait for the first.
///
/// # Errors
/// When Python is missing, or the requirements cannot be installed.
pub fn environment(name: &str, requirements: &Path, what: &str, progress: &dyn Fn(&str)) -> Result<PathBuf> {
    let environment = target().join(name);
    let wanted = fs::read(requirements).with_context(|| format!("cannot read {}", requirements.display()))?;
    fs::create_dir_all(target())?;
    let lock = File::create(target().join(format!("{name}.lock")))?;
    lock.lock()?;
    // The requirements are copied in last, so an environment that has them is complete.
    let marker = environment.join("requirements.txt");
    let python = environment.join("bin/python");
    if fs::read(&marker).is_ok_and(|installed| installed == wanted) && python.exists() {
        return Ok(environment);
    }
    progress(what);
    if environment.exists() {
        fs::remove_dir_all(&environment)?;
    }
    let system = system_python()?;
    run(&system, ["-m".as_ref(), "venv".as_ref(), environment.as_os_str()]).context(MISSING)?;
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
        "--require-hashes",
    ];
    let pip = pip
        .into_iter()
        .chain(["--only-binary", ":all:", "--requirement"])
        .map(OsStr::new);
    run(&python, pip.chain([requirements.as_os_str()]))?;
    fs::write(marker, wanted)?;
    Ok(environment)
}

fn system_python() -> Result<PathBuf> {
    let suitable = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))";
    let found = ["python3", "python"]
        .into_iter()
        .map(PathBuf::from)
        .find(|python| run(python, ["-c", suitable]).is_ok());
    found.context(MISSING)
}

fn run<Argument: AsRef<OsStr>>(program: &Path, arguments: impl IntoIterator<Item = Argument>) -> Result<()> {
    let mut command = Command::new(program);
    // What is set for another Python would lead this one astray.
    command
        .args(arguments)
        .env_remove("PYTHONPATH")
        .env_remove("PYTHONHOME")
        .env_remove("PIP_REQUIRE_VIRTUALENV");
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", program.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<_> = said.lines().collect();
        let last = lines
            .get(lines.len().saturating_sub(15)..)
            .unwrap_or_default()
            .join("\n");
        bail!("{} failed ({}):\n{last}", program.display(), output.status);
    }
    Ok(())
}

/// A Python program must not find the developer's own AWS settings, nor a proxy on the way to loopback.
pub(crate) fn without_foreign_aws(command: &mut Command) {
    let foreign = std::env::vars_os()
        .map(|(name, _)| name)
        .filter(|name| name.to_string_lossy().starts_with("AWS_"));
    for name in foreign {
        command.env_remove(name);
    }
    command
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("NO_PROXY", "*");
}
