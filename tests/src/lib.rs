//! What the end-to-end tests share: clients, IP sets and tables on the local cloud, the deployed application and what the sample events are
//! about.

pub mod laboratory;
pub mod network;
#[allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]
pub mod seeds;
#[allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]
pub mod stack;

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use local_cloud::{LocalCloud, REGION, Service};
use serde_json::{Value, json};

/// The configuration of an SDK client for one of the local cloud's endpoints.
pub async fn sdk_config(endpoint: &str) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .http_client(remediation_aws::https_client())
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new("test", "test", None, None, "local cloud"))
        .load()
        .await
}

/// Makes an IP set and returns its reference, `name|id|SCOPE`.
///
/// # Errors
/// When WAF refuses.
pub fn make_ip_set(cloud: &LocalCloud, name: &str, scope: &str, family: &str, addresses: &[String]) -> Result<String> {
    let request = json!({ "Name": name, "Scope": scope, "IPAddressVersion": family, "Addresses": addresses });
    let made = cloud.call(Service::Wafv2, "CreateIPSet", &request)?;
    let id = made
        .pointer("/Summary/Id")
        .and_then(Value::as_str)
        .context("a new IP set has an id")?;
    Ok(format!("{name}|{id}|{scope}"))
}

/// The addresses of an IP set and its lock token.
///
/// # Errors
/// When WAF refuses.
pub fn read_ip_set(cloud: &LocalCloud, reference: &str) -> Result<(Vec<String>, String)> {
    let parts: Vec<&str> = reference.split('|').collect();
    let [name, id, scope] = parts.as_slice() else {
        anyhow::bail!("{reference} is not name|id|SCOPE")
    };
    let found = cloud.call(
        Service::Wafv2,
        "GetIPSet",
        &json!({ "Name": name, "Id": id, "Scope": scope }),
    )?;
    let addresses = found
        .pointer("/IPSet/Addresses")
        .and_then(Value::as_array)
        .context("addresses")?;
    let token = found
        .pointer("/LockToken")
        .and_then(Value::as_str)
        .context("a lock token")?;
    let mut addresses: Vec<String> = addresses.iter().filter_map(|a| Some(a.as_str()?.to_owned())).collect();
    addresses.sort();
    Ok((addresses, token.to_owned()))
}

/// Makes a table with the ledger's keys.
///
/// # Errors
/// When DynamoDB refuses.
pub fn make_ledger_table(cloud: &LocalCloud, name: &str) -> Result<()> {
    let key = |name: &str, kind: &str| json!({ "AttributeName": name, "KeyType": kind });
    let attribute = |name: &str| json!({ "AttributeName": name, "AttributeType": "S" });
    let attributes = ["pk", "sk", "finding", "remediation", "updated_at"].map(attribute);
    let index = |name: &str, hash: &str, range: &str| {
        json!({
            "IndexName": name, "KeySchema": [key(hash, "HASH"), key(range, "RANGE")],
            "Projection": { "ProjectionType": "KEYS_ONLY" }
        })
    };
    let request = json!({
        "TableName": name, "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [key("pk", "HASH"), key("sk", "RANGE")],
        "AttributeDefinitions": attributes,
        "GlobalSecondaryIndexes": [index("by-finding", "finding", "remediation"), index("by-time", "remediation", "updated_at")],
    });
    cloud.call(Service::DynamoDb, "CreateTable", &request)?;
    Ok(())
}
