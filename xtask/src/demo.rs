//! The demo: the deployed application meets attackers, open buckets and ports, stale credentials, storage without encryption and
//! permissions that nobody needs.
//!
//! Events go into the queues in the form in which EventBridge delivers them; from there everything is the deployed
//! functions' own doing. What is printed is read back from AWS's own APIs, the ledger, Security Hub and the dead-letter
//! queue, and compared with what has to be.

mod block_ip;
mod block_public_access;
mod close_open_ingress;
mod disable_access_key;
mod enforce_s3_encryption;
mod enforce_storage_encryption;
mod operator;
mod revoke_permissions;
pub mod stage;

use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::screen;
use stage::Stage;

/// Every function acts.
pub fn settings() -> Value {
    json!({ "mode": "enforce", "functions": { "block-ip": { "allowList": [block_ip::ALLOW_LIST] } } })
}

/// Puts onto the stage what the sample events are about.
pub fn seed(stage: &Stage) -> Result<()> {
    block_public_access::seed(stage)?;
    close_open_ingress::seed(stage)?;
    disable_access_key::seed(stage)?;
    enforce_s3_encryption::seed(stage)?;
    revoke_permissions::seed(stage)
}

/// Runs the demo; an error says what was not as it has to be. `picture`: where to draw the begin of what it printed.
pub fn run(picture: Option<&str>) -> Result<()> {
    let begin = Instant::now();
    screen::heading("SecureCart Remediation: findings become fixes, each of them explained, recorded and undone");
    let stage = Stage::set(&settings())?;
    seed(&stage)?;
    block_ip::play(&stage)?;
    block_public_access::play(&stage)?;
    close_open_ingress::play(&stage)?;
    disable_access_key::play(&stage)?;
    enforce_s3_encryption::play(&stage)?;
    enforce_storage_encryption::play(&stage)?;
    revoke_permissions::play(&stage)?;
    operator::play(&stage)?;
    screen::heading(&format!(
        "Everything was as it has to be, in {} s. The local cloud stops now.",
        begin.elapsed().as_secs()
    ));
    if let Some(path) = picture {
        std::fs::write(path, screen::picture(132, 64)).with_context(|| format!("cannot write {path}"))?;
    }
    Ok(())
}
