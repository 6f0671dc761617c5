//! Thirty-two instances write to one IP set at the same time, under the limit of one update a second that AWS WAF has,
//! while a person edits the set as well. Nothing may be lost.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed"
)]

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use local_cloud::{LocalCloud, Service};
use securecart_tests::{make_ip_set, make_ledger_table, read_ip_set};
use serde_json::json;

#[path = "common/instance.rs"]
mod instance;

use instance::{brute_force, deliver, instance};

const WRITERS: usize = 32;
const OWN: usize = 10;
const COMMON: usize = 8;
const FOREIGN: usize = 20;
const EDITS: usize = 4;

/// A person adds an address through the console: reads, adds, writes, and tries again when refused.
fn edit(cloud: &LocalCloud, set: &str, address: &str) {
    let parts: Vec<&str> = set.split('|').collect();
    for _ in 0..200 {
        let (mut addresses, token) = read_ip_set(cloud, set).unwrap();
        addresses.push(address.to_owned());
        let request =
            json!({ "Name": parts[0], "Id": parts[1], "Scope": parts[2], "Addresses": addresses, "LockToken": token });
        match cloud.call(Service::Wafv2, "UpdateIPSet", &request) {
            Ok(_) => return,
            Err(refused) => assert!(
                matches!(
                    refused.code(),
                    Some("WAFOptimisticLockException" | "ThrottlingException")
                ),
                "{refused}"
            ),
        }
        std::thread::sleep(Duration::from_millis(150));
    }
    panic!("a person could not add {address}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s43_thirty_two_writers_and_a_person_lose_nothing() {
    let cloud = LocalCloud::start(&|_| {}).unwrap();
    let foreign: BTreeSet<String> = (0..FOREIGN).map(|n| format!("203.0.113.{n}/32")).collect();
    let set = make_ip_set(
        &cloud,
        "writers",
        "REGIONAL",
        "IPV4",
        &foreign.iter().cloned().collect::<Vec<_>>(),
    )
    .unwrap();
    make_ledger_table(&cloud, "writers").unwrap();

    let common: Vec<String> = (0..COMMON).map(|n| format!("192.0.2.{n}")).collect();
    let mut expected = foreign;
    expected.extend(common.iter().map(|address| format!("{address}/32")));
    let mut work = Vec::new();
    for writer in 0..WRITERS {
        let own: Vec<String> = (0..OWN).map(|n| format!("198.{}.100.{n}", 100 + writer)).collect();
        expected.extend(own.iter().map(|address| format!("{address}/32")));
        let bodies = own
            .iter()
            .chain(&common)
            .map(|address| brute_force(&writer.to_string(), address))
            .collect();
        work.push((instance(&cloud, "writers", &set, "").await, bodies));
    }
    cloud.extension().reset_calls().unwrap();

    let begin = Instant::now();
    let writers = futures_util::future::join_all(
        work.into_iter()
            .map(|(instance, bodies)| tokio::spawn(async move { deliver(&instance, bodies).await })),
    );
    let (deliveries, added) = std::thread::scope(|scope| {
        let person = scope.spawn(|| {
            let added: Vec<String> = (0..EDITS).map(|n| format!("203.0.113.{}/32", 200 + n)).collect();
            added.iter().for_each(|address| edit(&cloud, &set, address));
            added
        });
        let deliveries = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(writers));
        (deliveries, person.join().unwrap())
    });
    let took = begin.elapsed();
    expected.extend(added);

    let found: BTreeSet<String> = read_ip_set(&cloud, &set).unwrap().0.into_iter().collect();
    let lost: Vec<_> = expected.difference(&found).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    assert_eq!(found, expected, "something is blocked that nobody asked for");

    let calls = cloud.extension().calls().unwrap();
    let updates: Vec<_> = calls.iter().filter(|call| call.operation == "UpdateIPSet").collect();
    let accepted: Vec<f64> = updates
        .iter()
        .filter(|call| call.status == 200)
        .map(|call| call.time)
        .collect();
    assert!(
        accepted.windows(2).all(|pair| pair[1] - pair[0] >= 0.99),
        "two updates within a second: {accepted:?}"
    );
    println!(
        "{WRITERS} writers, {} blocks of {} findings, {FOREIGN} + {EDITS} addresses of people: 0 lost in {:.1} s; {} updates accepted, \
         {} refused, at most {} deliveries",
        WRITERS * OWN + COMMON,
        WRITERS * (OWN + COMMON),
        took.as_secs_f64(),
        accepted.len(),
        updates.len() - accepted.len(),
        deliveries.into_iter().map(Result::unwrap).max().unwrap(),
    );
}
