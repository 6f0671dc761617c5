//! The emulators' processes.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use crate::{aws, python};

/// Another process may take a port between its choice and its use.
const ATTEMPTS: usize = 3;
/// About a second on an idle machine.
const PATIENCE: Duration = Duration::from_secs(90);

#[derive(Debug)]
pub(crate) struct Emulators {
    pub(crate) python: PathBuf,
    pub(crate) endpoint: String,
    pub(crate) waf_endpoint: String,
    pub(crate) run: PathBuf,
    /// Ends, and with it the emulators, when the pipe to its standard input closes. Its end of the pipe is this process's alone.
    supervisor: Child,
}

impl Emulators {
    pub(crate) fn start(python: &Path, client: &aws::Client) -> Result<Self> {
        let mut attempt = 1;
        loop {
            match Self::spawn(python).and_then(|mut emulators| emulators.wait(client).map(|()| emulators)) {
                Err(_) if attempt < ATTEMPTS => attempt += 1,
                done => return done,
            }
        }
    }

    fn spawn(python: &Path) -> Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        let run = python::target().join(format!("runs/{now}-{}", std::process::id()));
        fs::create_dir_all(&run)?;
        let [ministack, moto] = free_ports()?;
        let supervisor = Command::new(python)
            .arg(python::folder().join("python/supervisor.py"))
            .arg(&run)
            .args([ministack.to_string(), moto.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(File::create(run.join("supervisor.log"))?)
            // Out of the reach of what kills this process's group, so that it can clean up after it.
            .process_group(0)
            .spawn()
            .context("cannot start the emulators' supervisor")?;
        Ok(Self {
            python: python.to_owned(),
            endpoint: format!("http://127.0.0.1:{ministack}"),
            waf_endpoint: format!("http://127.0.0.1:{moto}"),
            run,
            supervisor,
        })
    }

    fn wait(&mut self, client: &aws::Client) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let ready = [
            format!("{}/_ministack/ready", self.endpoint),
            format!("{}/securecart-extension/health", self.waf_endpoint),
        ];
        while !ready.iter().all(|url| client.control("GET", url, None).is_ok()) {
            if self.supervisor.try_wait()?.is_some() {
                bail!(
                    "the local cloud did not start: {}",
                    fs::read_to_string(self.run.join("supervisor.log"))?.trim()
                );
            }
            if Instant::now() > deadline {
                bail!(
                    "the local cloud did not answer in {PATIENCE:?}; its logs are in {}",
                    self.run.display()
                );
            }
            sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Emulators {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        let _ = self.supervisor.wait();
    }
}

/// Two ports that nothing listens on. Both are held until both are chosen.
fn free_ports() -> Result<[u16; 2]> {
    let listeners = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
    let [first, second] = &listeners;
    Ok([first.local_addr()?.port(), second.local_addr()?.port()])
}
