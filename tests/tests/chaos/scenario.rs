//! What the functions are doing while something breaks.

use std::collections::BTreeSet;

use local_cloud::Service;
use securecart_tests::{
    seeds,
    stack::{Stack, sample},
};
use serde_json::{Value, json};

/// A function at work.
#[derive(Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub function: &'static str,
    /// The sample event.
    pub sample: &'static str,
    /// What is asked for after the event has been dealt with undisturbed; the event itself otherwise.
    pub then: Then,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The event itself is what is broken.
    Nothing,
    /// The change is undone.
    Undo,
    /// The schedule comes.
    Schedule,
    /// The same event comes again.
    Again,
    /// This sample event comes, too.
    Also(&'static str),
}

const fn of(name: &'static str, function: &'static str, sample: &'static str, then: Then) -> Scenario {
    Scenario {
        name,
        function,
        sample,
        then,
    }
}

pub const SCENARIOS: &[Scenario] = &[
    of("block an address", "block-ip", "ssh-brute-force", Then::Nothing),
    of(
        "block the addresses of a probe",
        "block-ip",
        "port-probe-several",
        Then::Nothing,
    ),
    of(
        "block, from Security Hub",
        "block-ip",
        "security-hub-imported-ssh-brute-force",
        Then::Nothing,
    ),
    of(
        "decline a private address",
        "block-ip",
        "private-address",
        Then::Nothing,
    ),
    of("unblock", "block-ip", "ssh-brute-force", Then::Undo),
    of("block again", "block-ip", "ssh-brute-force", Then::Again),
    of("reconcile the sets", "block-ip", "ssh-brute-force", Then::Schedule),
    of(
        "block a bucket",
        "block-public-access",
        "securityhub-s3-8",
        Then::Nothing,
    ),
    of(
        "open the bucket again",
        "block-public-access",
        "securityhub-s3-8",
        Then::Undo,
    ),
    of(
        "block what is blocked in part",
        "block-public-access",
        "config-public-write",
        Then::Nothing,
    ),
    of(
        "close a rule",
        "close-open-ingress",
        "securityhub-ec2-13",
        Then::Nothing,
    ),
    of("open it again", "close-open-ingress", "securityhub-ec2-13", Then::Undo),
    of(
        "encrypt a Region",
        "enforce-storage-encryption",
        "securityhub-ec2-7",
        Then::Nothing,
    ),
    of(
        "take that back",
        "enforce-storage-encryption",
        "securityhub-ec2-7",
        Then::Undo,
    ),
    of(
        "disable a key by a rule",
        "disable-access-key",
        "securityhub-iam3",
        Then::Nothing,
    ),
    of("enable it again", "disable-access-key", "securityhub-iam3", Then::Undo),
    of(
        "a key that is disabled is compromised",
        "disable-access-key",
        "securityhub-iam3",
        Then::Also("guardduty-key-compromised"),
    ),
    of(
        "disable an exposed key and its sessions",
        "disable-access-key",
        "health-exposed-key",
        Then::Nothing,
    ),
    of(
        "enable an exposed key",
        "disable-access-key",
        "health-exposed-key",
        Then::Undo,
    ),
    of(
        "cut the sessions of a user",
        "disable-access-key",
        "guardduty-user-session",
        Then::Nothing,
    ),
    of(
        "cut the sessions of a role",
        "disable-access-key",
        "guardduty-role-session",
        Then::Nothing,
    ),
    of(
        "set a default encryption",
        "enforce-s3-encryption",
        "securityhub-s3-17",
        Then::Nothing,
    ),
    of(
        "take the encryption back",
        "enforce-s3-encryption",
        "securityhub-s3-17",
        Then::Undo,
    ),
    of(
        "merge a statement",
        "enforce-s3-encryption",
        "securityhub-s3-5",
        Then::Nothing,
    ),
    of(
        "take the statement out",
        "enforce-s3-encryption",
        "securityhub-s3-5",
        Then::Undo,
    ),
    of(
        "a new bucket",
        "enforce-s3-encryption",
        "cloudtrail-create-bucket",
        Then::Nothing,
    ),
    of(
        "trim a managed policy",
        "revoke-permissions",
        "securityhub-iam1",
        Then::Nothing,
    ),
    of(
        "restore its version",
        "revoke-permissions",
        "securityhub-iam1",
        Then::Undo,
    ),
    of(
        "take what is recommended",
        "revoke-permissions",
        "access-analyzer-unused-permission",
        Then::Nothing,
    ),
    of(
        "trim an inline policy",
        "revoke-permissions",
        "securityhub-kms2",
        Then::Nothing,
    ),
    of(
        "an inline policy goes",
        "revoke-permissions",
        "config-inline-policy",
        Then::Nothing,
    ),
    of(
        "restore the inline policy",
        "revoke-permissions",
        "config-inline-policy",
        Then::Undo,
    ),
    of(
        "detach a managed policy",
        "revoke-permissions",
        "config-blacklisted",
        Then::Nothing,
    ),
    of(
        "attach it again",
        "revoke-permissions",
        "config-blacklisted",
        Then::Undo,
    ),
    of(
        "quarantine a role",
        "revoke-permissions",
        "access-analyzer-unused-role",
        Then::Nothing,
    ),
    of(
        "end the quarantine",
        "revoke-permissions",
        "access-analyzer-unused-role",
        Then::Undo,
    ),
    of(
        "tighten a trust policy",
        "revoke-permissions",
        "access-analyzer-external-role",
        Then::Nothing,
    ),
    of(
        "a bucket policy goes",
        "revoke-permissions",
        "securityhub-external-bucket",
        Then::Nothing,
    ),
    of(
        "restore the bucket policy",
        "revoke-permissions",
        "securityhub-external-bucket",
        Then::Undo,
    ),
];

impl Scenario {
    pub fn event(&self) -> Value {
        sample(self.function, self.sample)
    }
}

/// What the events are about, and the findings themselves where Security Hub has them. Saved.
pub fn seed(stack: &Stack) {
    seeds::everything(stack);
    stack.boto3(&[(
        "s3",
        "create_bucket",
        json!({ "Bucket": "securecart-invoices-111122223333" }),
    )]);
    let mut seen = BTreeSet::new();
    for scenario in SCENARIOS {
        let event = scenario.event();
        for finding in event["detail"]["findings"].as_array().into_iter().flatten() {
            if event["detail-type"] == "Security Hub Findings - Imported" && seen.insert(finding["Id"].to_string()) {
                let import = json!({ "Findings": [finding] });
                let answer = stack
                    .cloud
                    .security_hub("POST", "/findings/import", Some(&import))
                    .unwrap();
                assert_eq!(answer["SuccessCount"], 1, "{answer}");
            }
        }
    }
    // A stranger's own block, which nothing may touch.
    let reference = &stack.deployment.outputs["RegionalIPv4SetRef"];
    let (_, token) = securecart_tests::read_ip_set(&stack.cloud, reference).unwrap();
    let parts: Vec<_> = reference.split('|').collect();
    let update = json!({ "Name": parts[0], "Id": parts[1], "Scope": parts[2], "Addresses": ["203.0.113.250/32"], "LockToken": token });
    stack.cloud.call(Service::Wafv2, "UpdateIPSet", &update).unwrap();
    stack.cloud.save().unwrap();
}
