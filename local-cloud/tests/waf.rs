//! AWS WAF on the local cloud: moto's lock tokens, and what our extension adds. Tests that update have a Region each, since the limit
//! of one update a second is an account's in a Region.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::LazyLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use local_cloud::{CallError, LocalCloud, Service};
use serde_json::{Value, json};

static CLOUD: LazyLock<LocalCloud> = LazyLock::new(|| LocalCloud::start(&|_| ()).unwrap());

fn waf(region: &str, operation: &str, body: &Value) -> Result<Value, CallError> {
    CLOUD.call_in(region, Service::Wafv2, operation, body)
}

/// Creates a set and returns its name, scope and id.
fn set(region: &str, version: &str, addresses: &Value) -> Value {
    let place = json!({"Name": format!("attackers-{version}"), "Scope": "REGIONAL"});
    let body = with(&place, &json!({"IPAddressVersion": version, "Addresses": addresses}));
    let created = waf(region, "CreateIPSet", &body).unwrap();
    with(&place, &json!({"Id": created["Summary"]["Id"]}))
}

fn with(body: &Value, more: &Value) -> Value {
    let mut body = body.clone();
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn get(region: &str, set: &Value) -> (Value, String) {
    let answer = waf(region, "GetIPSet", set).unwrap();
    (
        answer["IPSet"]["Addresses"].clone(),
        answer["LockToken"].as_str().unwrap().to_owned(),
    )
}

fn update(region: &str, set: &Value, addresses: &Value, token: &str) -> Result<Value, CallError> {
    waf(
        region,
        "UpdateIPSet",
        &with(set, &json!({"Addresses": addresses, "LockToken": token})),
    )
}

fn code(result: Result<Value, CallError>) -> String {
    result.unwrap_err().code().unwrap().to_owned()
}

#[test]
fn stale_lock_token_is_refused() {
    let region = "eu-west-1";
    let set = set(region, "IPV4", &json!([]));
    let (_, token) = get(region, &set);
    let next = update(region, &set, &json!(["192.0.2.1/32"]), &token).unwrap();
    sleep(Duration::from_millis(1050));
    assert_eq!(
        code(update(region, &set, &json!(["192.0.2.2/32"]), &token)),
        "WAFOptimisticLockException"
    );
    assert_eq!(
        get(region, &set),
        (
            json!(["192.0.2.1/32"]),
            next["NextLockToken"].as_str().unwrap().to_owned()
        )
    );
}

#[test]
fn one_update_a_second() {
    let region = "eu-west-2";
    let set = set(region, "IPV4", &json!([]));
    let mut token = get(region, &set).1;
    let start = Instant::now();
    let mut done = 0;
    let mut throttled = 0;
    while done < 3 {
        match update(region, &set, &json!([format!("192.0.2.{done}/32")]), &token) {
            Ok(answer) => {
                done += 1;
                token = answer["NextLockToken"].as_str().unwrap().to_owned();
            }
            Err(error) => {
                assert_eq!(error.code(), Some("ThrottlingException"));
                throttled += 1;
                sleep(Duration::from_millis(100));
            }
        }
    }
    assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
    let calls = CLOUD.extension().calls().unwrap();
    let calls: Vec<_> = calls
        .iter()
        .filter(|call| call.region == region && call.operation == "UpdateIPSet")
        .collect();
    assert_eq!(calls.len(), done + throttled);
    assert!(
        calls
            .iter()
            .all(|call| call.status == if call.error.is_none() { 200 } else { 400 })
    );
    let served: Vec<_> = calls.iter().filter(|call| call.error.is_none()).collect();
    assert!(served.windows(2).all(|pair| pair[1].time - pair[0].time > 0.99));
}

#[test]
fn addresses_are_networks_of_the_sets_family() {
    let region = "eu-west-3";
    let create = |version: &str, address: &str| {
        let body = json!({"Name": "refused", "Scope": "REGIONAL", "IPAddressVersion": version, "Addresses": [address]});
        waf(region, "CreateIPSet", &body)
    };
    for address in [
        "nonsense",
        "192.0.2.1",
        "192.0.2.1/24",
        "192.0.2.0/33",
        "0.0.0.0/0",
        "2001:db8::/32",
        "192.0.2.0/255.255.255.0",
    ] {
        assert_eq!(
            code(create("IPV4", address)),
            "WAFInvalidParameterException",
            "{address}"
        );
    }
    for address in [
        "2001:db8::1",
        "2001:db8::1/64",
        "::/0",
        "192.0.2.0/24",
        "fe80::1%eth0/128",
    ] {
        assert_eq!(
            code(create("IPV6", address)),
            "WAFInvalidParameterException",
            "{address}"
        );
    }
    let set = set(region, "IPV6", &json!(["2001:db8::/32"]));
    assert_eq!(
        get(region, &set).0,
        json!(["2001:0db8:0000:0000:0000:0000:0000:0000/32"]),
        "AWS WAF expands IPv6"
    );
    let (_, token) = get(region, &set);
    assert_eq!(
        code(update(region, &set, &json!(["192.0.2.1/32"]), &token)),
        "WAFInvalidParameterException"
    );
}

#[test]
fn a_set_holds_ten_thousand() {
    let region = "eu-north-1";
    let addresses = |count: u32| -> Value {
        (0..count)
            .map(|n| format!("10.{}.{}.{}/32", n >> 16, n >> 8 & 255, n & 255))
            .collect::<Vec<_>>()
            .into()
    };
    let set = set(region, "IPV4", &addresses(10_000));
    let (_, token) = get(region, &set);
    assert_eq!(
        code(update(region, &set, &addresses(10_001), &token)),
        "WAFLimitsExceededException"
    );
    assert_eq!(get(region, &set).0.as_array().unwrap().len(), 10_000);
}

#[test]
fn names_scopes_and_the_model() {
    let set = set("us-east-1", "IPV4", &json!([]));
    let body = json!({"Name": set["Name"], "Scope": "REGIONAL", "IPAddressVersion": "IPV4", "Addresses": []});
    assert_eq!(
        code(waf("us-east-1", "CreateIPSet", &body)),
        "WAFDuplicateItemException"
    );
    let global = with(&body, &json!({"Scope": "CLOUDFRONT"}));
    assert_eq!(
        code(waf("eu-central-1", "CreateIPSet", &global)),
        "WAFInvalidParameterException"
    );
    assert!(
        waf("us-east-1", "CreateIPSet", &global).is_ok(),
        "the same name in another scope"
    );
    for wrong in [
        json!({"Scope": "GLOBAL"}),
        json!({"Name": "no spaces"}),
        json!({"Addresses": "192.0.2.1/32"}),
    ] {
        assert_eq!(
            code(waf("us-east-1", "CreateIPSet", &with(&body, &wrong))),
            "ValidationException",
            "{wrong}"
        );
    }
    assert_eq!(
        code(waf("us-east-1", "GetIPSet", &json!({"Name": "x"}))),
        "ValidationException"
    );
    let error = waf("us-east-1", "CheckCapacity", &json!({"Scope": "REGIONAL", "Rules": []})).unwrap_err();
    assert!(
        matches!(error, CallError::Service { status: 501, .. }),
        "what moto lacks is no passing fault: {error}"
    );
}
