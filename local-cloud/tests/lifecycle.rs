//! Nothing is left running, however the process that started the local cloud ends.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::processes;
use local_cloud::LocalCloud;

fn listens(endpoint: &str) -> bool {
    TcpStream::connect(endpoint.trim_start_matches("http://")).is_ok()
}

#[test]
fn nothing_is_left_after_drop() {
    let cloud = LocalCloud::start(&|_| ()).unwrap();
    let endpoints = [cloud.endpoint().to_owned(), cloud.waf_endpoint().to_owned()];
    let run = cloud.logs().to_owned();
    assert!(endpoints.iter().all(|endpoint| listens(endpoint)));
    assert!(
        !cfg!(target_os = "linux") || processes(&run).len() >= 3,
        "the check sees the supervisor and the emulators"
    );
    drop(cloud);
    assert!(!endpoints.iter().any(|endpoint| listens(endpoint)));
    assert_eq!(processes(&run), Vec::<PathBuf>::new());
}

#[test]
fn nothing_is_left_after_sigkill() {
    // The example's binary lies beside this test's.
    let folder = std::env::current_exe()
        .unwrap()
        .ancestors()
        .nth(2)
        .unwrap()
        .join("examples");
    let mut holder = Command::new(folder.join("hold"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(holder.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let lines: Vec<_> = lines.take_while(|line| line != "ready").collect();
    let endpoints: Vec<_> = lines
        .iter()
        .filter_map(|line| line.split_once("=http://"))
        .map(|pair| pair.1)
        .collect();
    assert!(
        endpoints.len() == 3 && endpoints.iter().all(|endpoint| listens(endpoint)),
        "{lines:?}"
    );
    holder.kill().unwrap();
    holder.wait().unwrap();
    let end = Instant::now() + Duration::from_secs(10);
    while endpoints.iter().any(|endpoint| listens(endpoint)) {
        assert!(Instant::now() < end, "still listening");
        sleep(Duration::from_millis(50));
    }
}
