//! The share of a core that Lambda gives a function once it has started.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// Lambda gives one core at 1,769 MB, and less in proportion.
pub const SMALLEST: f64 = 128.0 / 1769.0;

/// Over so many microseconds a process has its share.
const PERIOD: f64 = 20_000.0;

/// A control group that holds back whatever is put into it. Needs Linux and its superuser.
pub struct Throttle {
    folder: PathBuf,
}

impl Throttle {
    /// With this share of one core.
    ///
    /// # Errors
    /// When the system has no such groups, or does not let us make one.
    pub fn new(share: f64) -> Result<Self> {
        let name = format!("securecart-bench-{}", std::process::id());
        let quota = (PERIOD * share).max(1000.0);
        // The first is version 1 of the interface, the second is version 2.
        let (root, settings) = if Path::new("/sys/fs/cgroup/cpu").is_dir() {
            let settings = vec![
                ("cpu.cfs_period_us", format!("{PERIOD:.0}")),
                ("cpu.cfs_quota_us", format!("{quota:.0}")),
            ];
            (Path::new("/sys/fs/cgroup/cpu"), settings)
        } else {
            (
                Path::new("/sys/fs/cgroup"),
                vec![("cpu.max", format!("{quota:.0} {PERIOD:.0}"))],
            )
        };
        let folder = root.join(name);
        fs::create_dir(&folder).context("a share of the processor needs control groups and the superuser")?;
        let throttle = Self { folder };
        for (file, value) in settings {
            fs::write(throttle.folder.join(file), value).with_context(|| format!("cannot set {file}"))?;
        }
        Ok(throttle)
    }

    /// Holds this process back from now on, with all its threads.
    pub fn hold(&self, process: u32) -> Result<()> {
        fs::write(self.folder.join("cgroup.procs"), process.to_string()).context("cannot hold the process back")
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.folder);
    }
}
