//! What several test files need.

use std::path::{Path, PathBuf};

/// Processes whose command line or environment names the run. The functions' processes are among them.
#[cfg(target_os = "linux")]
pub(crate) fn processes(run: &Path) -> Vec<PathBuf> {
    let run = run.to_str().unwrap();
    let names = |file: PathBuf| std::fs::read(file).is_ok_and(|text| String::from_utf8_lossy(&text).contains(run));
    let all = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    all.filter(|process| names(process.join("cmdline")) || names(process.join("environ")))
        .collect()
}

/// Elsewhere only the ports tell.
#[cfg(not(target_os = "linux"))]
pub(crate) fn processes(_: &Path) -> Vec<PathBuf> {
    Vec::new()
}
