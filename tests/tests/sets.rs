//! Every IP set that takes an address gets it: IPv4 and IPv6, for load balancers and for CloudFront.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use local_cloud::LocalCloud;
use remediation::{
    clock::{Clock, Deadline, SystemClock},
    ledger::{Ledger, ScopeKey},
};
use securecart_tests::{make_ip_set, make_ledger_table, read_ip_set};
use std::time::Duration;

#[path = "common/instance.rs"]
mod instance;

use instance::{brute_force, deliver, instance};

#[tokio::test]
async fn s47_every_set_of_a_family_is_written_and_undone_by_itself() {
    let cloud = LocalCloud::start(&|_| {}).unwrap();
    make_ledger_table(&cloud, "sets").unwrap();
    let make = |name, scope, family| make_ip_set(&cloud, name, scope, family, &[]).unwrap();
    let regional = [
        make("regional-v4", "REGIONAL", "IPV4"),
        make("regional-v6", "REGIONAL", "IPV6"),
    ];
    let cloudfront = [
        make("edge-v4", "CLOUDFRONT", "IPV4"),
        make("edge-v6", "CLOUDFRONT", "IPV6"),
    ];
    let both = |n: usize| [regional[n].as_str(), cloudfront[n].as_str()].join(",");
    let instance = instance(&cloud, "sets", &both(0), &both(1)).await;

    deliver(
        &instance,
        vec![brute_force("a", "198.51.100.7"), brute_force("b", "2001:db8::7")],
    )
    .await;
    for sets in [&regional, &cloudfront] {
        assert_eq!(read_ip_set(&cloud, &sets[0]).unwrap().0, ["198.51.100.7/32"]);
        let v6 = read_ip_set(&cloud, &sets[1]).unwrap().0;
        assert_eq!(v6.len(), 1);
        let v6: ipnet::Ipv6Net = v6[0].parse().unwrap();
        assert_eq!(v6.to_string(), "2001:db8::7/128");
    }

    // Each set has a record of its own, and is undone by itself.
    let scope = ScopeKey {
        account: local_cloud::ACCOUNT,
        remediation: "block-ip",
        scope: "CLOUDFRONT/IPV4/edge-v4",
    };
    let standing = instance.ledger.standing::<block_ip::Block>(scope).await.unwrap();
    let deadline = Deadline::after(Duration::from_secs(30), SystemClock.now());
    instance
        .undo(&standing[0].record, "an operator", deadline)
        .await
        .unwrap();
    assert!(read_ip_set(&cloud, &cloudfront[0]).unwrap().0.is_empty());
    assert_eq!(read_ip_set(&cloud, &regional[0]).unwrap().0.len(), 1);
}
