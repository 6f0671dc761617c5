//! Volumes and databases without encryption, in EC2 and RDS.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::stage::{Scene, Stage};
use crate::screen;

const FUNCTION: &str = "enforce-storage-encryption";

const SCENES: &[Scene] = &[
    Scene {
        file: "securityhub-ec2-7",
        about: "EC2.7: new volumes are not encrypted unasked",
        expect: &[("default", &["Remediated"])],
    },
    Scene {
        file: "securityhub-rds-3",
        about: "RDS.3: a database that is there already",
        expect: &[("securecart-legacy", &["Escalated"])],
    },
];

pub fn play(stage: &Stage) -> Result<()> {
    screen::heading("enforce-storage-encryption: EC2 before");
    ensure!(!look(stage)?, "new volumes are encrypted unasked already");
    stage.play(FUNCTION, SCENES)?;
    screen::heading("EC2 after");
    ensure!(look(stage)?, "new volumes are not encrypted unasked");
    for record in stage
        .records(FUNCTION)?
        .iter()
        .filter(|record| record.outcome == "Remediated")
    {
        stage.undo(FUNCTION, record)?;
    }
    screen::heading("EC2 after the undo");
    ensure!(!look(stage)?, "new volumes are encrypted unasked");
    Ok(())
}

/// Whether new volumes are encrypted unasked, as boto3 reads it.
fn look(stage: &Stage) -> Result<bool> {
    let answer = stage.read(&[("ec2", "get_ebs_encryption_by_default", json!({}))])?;
    let on = answer.first().and_then(|answer| answer.get("EbsEncryptionByDefault")) == Some(&Value::Bool(true));
    screen::row(&format!("EBS encryption by default: {}", if on { "on" } else { "off" }));
    Ok(on)
}
