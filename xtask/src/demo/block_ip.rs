//! Attackers' addresses, in AWS WAF.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use local_cloud::Service;
use serde_json::{Value, json};

use super::stage::{PATIENCE, Scene, Stage, find, sample};
use crate::screen;

const FUNCTION: &str = "block-ip";
const DONE: &[&str] = &["Remediated"];
const DONE_OR_TWIN: &[&str] = &["Remediated", "AlreadyInPlace"];
const DECLINED: &[&str] = &["Declined"];

const SCENES: &[Scene] = &[
    Scene {
        file: "ssh-brute-force",
        about: "brute force over SSH",
        expect: &[("198.51.100.23", DONE)],
    },
    Scene {
        file: "ssh-brute-force",
        about: "the same event, delivered twice",
        expect: &[("198.51.100.23", DONE)],
    },
    Scene {
        file: "security-hub-imported-ssh-brute-force",
        about: "the same attacker through Security Hub",
        expect: &[("198.51.100.23", DONE_OR_TWIN)],
    },
    Scene {
        file: "port-probe-several",
        about: "a port probe from several addresses",
        expect: &[("192.0.2.140", DONE), ("198.51.100.61", DONE), ("203.0.113.205", DONE)],
    },
    Scene {
        file: "aws-api-call-tor",
        about: "AWS API calls over Tor, IPv6",
        expect: &[("2001:db8:41d0::5f", DONE)],
    },
    Scene {
        file: "private-address",
        about: "an attacker inside the VPC",
        expect: &[("10.20.7.31", DECLINED)],
    },
    Scene {
        file: "rdp-brute-force",
        about: "an address on the allow-list",
        expect: &[("203.0.113.77", DECLINED)],
    },
    Scene {
        file: "sample-finding",
        about: "a GuardDuty sample finding",
        expect: &[("198.51.100.0", DECLINED)],
    },
    Scene {
        file: "outbound-c2",
        about: "our own instance calling out: nothing to block, and no record",
        expect: &[],
    },
    Scene {
        file: "malformed-detail",
        about: "a malformed record, for the dead-letter queue",
        expect: &[],
    },
];

pub const ALLOW_LIST: &str = "203.0.113.64/26";
/// An address that a person has put into the set by hand.
const BY_HAND: &str = "192.0.2.250/32";
const UNDONE: &str = "198.51.100.23";

pub fn play(stage: &Stage) -> Result<()> {
    let act = Act { stage };
    act.attack()?;
    act.undo()
}

struct Act<'a> {
    stage: &'a Stage,
}

impl Act<'_> {
    fn attack(&self) -> Result<()> {
        self.add_by_hand(BY_HAND)?;
        self.import_into_security_hub()?;
        self.hasten_dead_letters()?;
        screen::heading("block-ip: the IP sets before (one address was put there by a person)");
        self.print_sets()?;

        self.stage.play(FUNCTION, SCENES)?;
        screen::heading("The IP sets after");
        self.print_sets()?;
        self.check_sets(&[
            "192.0.2.140/32",
            "192.0.2.250/32",
            "198.51.100.23/32",
            "198.51.100.61/32",
            "203.0.113.205/32",
        ])?;
        ensure!(
            self.set("RegionalIPv6SetRef")? == ["2001:db8:41d0::5f/128"],
            "the IPv6 attacker is not blocked"
        );
        self.check_security_hub()?;
        self.check_dead_letters()
    }

    /// An operator takes one block back, by the id of its record.
    fn undo(&self) -> Result<()> {
        let records = self.stage.records(FUNCTION)?;
        self.stage.undo(FUNCTION, find(&records, UNDONE, "Remediated")?)?;
        screen::heading("The IP sets after the undo");
        self.print_sets()?;
        self.check_sets(&[
            "192.0.2.140/32",
            "192.0.2.250/32",
            "198.51.100.61/32",
            "203.0.113.205/32",
        ])?;

        screen::heading("The first event once more: the undo holds");
        let function = self.stage.output_of(FUNCTION, "FunctionName")?;
        let refused = self
            .stage
            .cloud
            .invoke(function, &sample(FUNCTION, "ssh-brute-force")?)?;
        let why = refused
            .pointer("/outcomes/0/outcome/Undone/text")
            .and_then(Value::as_str)
            .with_context(|| format!("the undo does not hold: {refused}"))?;
        screen::row(&format!("{} {why}", screen::outcome("Undone")));
        self.check_sets(&[
            "192.0.2.140/32",
            "192.0.2.250/32",
            "198.51.100.61/32",
            "203.0.113.205/32",
        ])
    }

    fn get_set(&self, output: &str) -> Result<(Value, Value)> {
        let reference: Vec<&str> = self.stage.output(output)?.split('|').collect();
        let [name, id, scope] = reference.as_slice() else {
            bail!("{output} is not name|id|SCOPE")
        };
        let address = json!({ "Name": name, "Id": id, "Scope": scope });
        let found = self.stage.cloud.call(Service::Wafv2, "GetIPSet", &address)?;
        Ok((address, found))
    }

    /// The addresses of a set, in order, IPv6 in its short spelling.
    fn set(&self, output: &str) -> Result<Vec<String>> {
        let (_, found) = self.get_set(output)?;
        let addresses = found
            .pointer("/IPSet/Addresses")
            .and_then(Value::as_array)
            .context("an IP set without addresses")?;
        let mut addresses: Vec<String> = addresses.iter().filter_map(Value::as_str).map(short).collect();
        addresses.sort();
        Ok(addresses)
    }

    fn print_sets(&self) -> Result<()> {
        for (family, output) in [("IPv4", "RegionalIPv4SetRef"), ("IPv6", "RegionalIPv6SetRef")] {
            let addresses = self.set(output)?;
            screen::row(&format!(
                "{family}  {}",
                if addresses.is_empty() {
                    "(empty)".to_owned()
                } else {
                    addresses.join("  ")
                }
            ));
        }
        Ok(())
    }

    fn check_sets(&self, expected: &[&str]) -> Result<()> {
        let found = self.set("RegionalIPv4SetRef")?;
        ensure!(
            found == expected,
            "the IPv4 set holds {found:?} and has to hold {expected:?}"
        );
        Ok(())
    }

    fn add_by_hand(&self, cidr: &str) -> Result<()> {
        let (mut address, found) = self.get_set("RegionalIPv4SetRef")?;
        let fields = address.as_object_mut().context("an object")?;
        fields.insert("Addresses".to_owned(), json!([cidr]));
        fields.insert(
            "LockToken".to_owned(),
            found.get("LockToken").cloned().unwrap_or_default(),
        );
        if let Some(description) = found.pointer("/IPSet/Description") {
            fields.insert("Description".to_owned(), description.clone());
        }
        self.stage.cloud.call(Service::Wafv2, "UpdateIPSet", &address)?;
        Ok(())
    }

    /// The finding has to be in Security Hub before anything can be noted on it there.
    fn import_into_security_hub(&self) -> Result<()> {
        let event = sample(FUNCTION, "security-hub-imported-ssh-brute-force")?;
        let findings = event.pointer("/detail/findings").context("the event holds findings")?;
        self.stage
            .cloud
            .security_hub("POST", "/findings/import", Some(&json!({ "Findings": findings })))?;
        Ok(())
    }

    /// A record that cannot be read is delivered five times, eleven minutes apart; the demo does not wait that long.
    fn hasten_dead_letters(&self) -> Result<()> {
        let attributes = json!({ "QueueUrl": self.stage.output_of(FUNCTION, "QueueUrl")?, "Attributes": { "VisibilityTimeout": "4" } });
        self.stage.cloud.call(Service::Sqs, "SetQueueAttributes", &attributes)?;
        Ok(())
    }

    fn check_security_hub(&self) -> Result<()> {
        let begin = Instant::now();
        loop {
            let found = self.stage.cloud.security_hub("POST", "/findings", Some(&json!({})))?;
            let finding = found
                .pointer("/Findings/0")
                .context("the finding is not in Security Hub")?;
            if finding.pointer("/Workflow/Status").and_then(Value::as_str) == Some("RESOLVED") {
                screen::heading("Security Hub");
                let note = finding
                    .pointer("/Note/Text")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                screen::row(&format!("RESOLVED, with the note: {note}"));
                return Ok(());
            }
            ensure!(
                begin.elapsed() < PATIENCE,
                "the finding in Security Hub was not resolved: {finding}"
            );
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    fn check_dead_letters(&self) -> Result<()> {
        screen::progress("the malformed record is delivered five times, then put aside");
        let receive = json!({ "QueueUrl": self.stage.output_of(FUNCTION, "DeadLetterQueueUrl")?, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1 });
        let begin = Instant::now();
        loop {
            let answer = self.stage.cloud.call(Service::Sqs, "ReceiveMessage", &receive)?;
            let bodies: Vec<&str> = answer
                .get("Messages")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|message| message.get("Body")?.as_str())
                .collect();
            if let [body] = bodies.as_slice() {
                ensure!(
                    serde_json::from_str::<Value>(body)? == sample(FUNCTION, "malformed-detail")?,
                    "another record was put aside: {body}"
                );
                screen::heading("The dead-letter queue");
                screen::row("malformed-detail: 198.51.100.256 is no address; nothing else is there");
                return Ok(());
            }
            ensure!(bodies.is_empty(), "{} records were put aside", bodies.len());
            ensure!(
                begin.elapsed() < PATIENCE,
                "the malformed record did not reach the dead-letter queue"
            );
        }
    }
}

/// WAF spells IPv6 addresses out.
fn short(cidr: &str) -> String {
    match cidr
        .split_once('/')
        .map(|(address, prefix)| (address.parse::<std::net::Ipv6Addr>(), prefix))
    {
        Some((Ok(address), prefix)) => format!("{address}/{prefix}"),
        _ => cidr.to_owned(),
    }
}
