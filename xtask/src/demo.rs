//! The demo: the deployed application meets attackers.
//!
//! Events go into the queue in the form in which EventBridge delivers them; from there everything is the deployed
//! function's own doing. What is printed is read back from WAF, the ledger, Security Hub and the dead-letter queue, and
//! compared with what has to be.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use local_cloud::{Deployment, LocalCloud, Service};
use serde_json::{Value, json};

use crate::screen;

/// One event, and what has to become of each address in it.
struct Scene {
    file: &'static str,
    about: &'static str,
    expect: &'static [(&'static str, &'static [&'static str])],
}

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
        about: "our own instance calling out: nothing to block",
        expect: &[],
    },
    Scene {
        file: "malformed-detail",
        about: "a malformed record, for the dead-letter queue",
        expect: &[],
    },
];

const ALLOW_LIST: &str = "203.0.113.64/26";
/// An address that a person has put into the set by hand.
const BY_HAND: &str = "192.0.2.250/32";
const UNDONE: &str = "198.51.100.23";
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs the demo; an error says what was not as it has to be.
pub fn run() -> Result<()> {
    let begin = Instant::now();
    screen::heading("SecureCart Remediation: a GuardDuty finding blocks an attacker in AWS WAF");
    screen::progress("building the function");
    let binary = local_cloud::function("block-ip")?;
    let cloud = LocalCloud::start(&screen::progress)?;
    screen::progress("deploying template.yaml");
    let parameters = [
        ("Mode", "enforce"),
        ("AllowList", ALLOW_LIST),
        ("LedgerDeletionProtection", "false"),
    ];
    let template = local_cloud::workspace()?.join("template.yaml");
    let stack = cloud.deploy(&template, "securecart", &[("block-ip", &binary)], &parameters)?;
    screen::row(&format!("{} resources deployed, each read back", stack.resources.len()));

    let demo = Demo { cloud, stack };
    demo.attack()?;
    demo.undo()?;
    screen::heading(&format!(
        "Everything was as it has to be, in {} s. The local cloud stops now.",
        begin.elapsed().as_secs()
    ));
    Ok(())
}

struct Demo {
    cloud: LocalCloud,
    stack: Deployment,
}

impl Demo {
    fn attack(&self) -> Result<()> {
        self.add_by_hand(BY_HAND)?;
        self.import_into_security_hub()?;
        self.hasten_dead_letters()?;
        screen::heading("The IP sets before (one address was put there by a person)");
        self.print_sets()?;

        screen::heading("Events into the queue, as EventBridge delivers them");
        for scene in SCENES {
            let event = sample(scene.file)?;
            self.send(&event)?;
            screen::row(&format!("{:<40} {}", scene.file, scene.about));
        }
        screen::progress("the function works");
        let records = self.wait_for_records()?;

        screen::heading("Outcomes, from the ledger");
        for record in &records {
            screen::row(&format!("{} {}", screen::outcome(&record.outcome), record.why));
            screen::row(&format!("{:<14} {}", "", record.id));
        }
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
        let records = self.records()?;
        let record = records
            .iter()
            .find(|record| record.target == UNDONE && record.outcome == "Remediated")
            .context("no record of the block to undo")?;
        screen::heading(&format!("An operator invokes {{\"undo\": \"{}\"}}", record.id));
        let answer = self
            .cloud
            .invoke(self.output("FunctionName")?, &json!({ "undo": record.id }))?;
        let outcome = answer
            .pointer("/outcomes/0/outcome")
            .and_then(Value::as_object)
            .and_then(|o| o.keys().next());
        let outcome = outcome.with_context(|| format!("no outcome in {answer}"))?;
        let why = answer
            .pointer(&format!("/outcomes/0/outcome/{outcome}/text"))
            .and_then(Value::as_str)
            .unwrap_or_default();
        screen::row(&format!("{} {why}", screen::outcome(outcome)));
        ensure!(outcome == "Undone", "the undo answered {answer}");
        screen::heading("The IP sets after the undo");
        self.print_sets()?;
        self.check_sets(&[
            "192.0.2.140/32",
            "192.0.2.250/32",
            "198.51.100.61/32",
            "203.0.113.205/32",
        ])?;

        screen::heading("The first event once more: the undo holds");
        let refused = self
            .cloud
            .invoke(self.output("FunctionName")?, &sample("ssh-brute-force")?)?;
        screen::row(
            refused
                .pointer("/outcomes/0/outcome/Undone/text")
                .and_then(Value::as_str)
                .unwrap_or("?"),
        );
        self.check_sets(&[
            "192.0.2.140/32",
            "192.0.2.250/32",
            "198.51.100.61/32",
            "203.0.113.205/32",
        ])
    }

    fn output(&self, name: &str) -> Result<&str> {
        self.stack
            .outputs
            .get(name)
            .map(String::as_str)
            .with_context(|| format!("the stack has no output {name}"))
    }

    fn get_set(&self, output: &str) -> Result<(Value, Value)> {
        let reference: Vec<&str> = self.output(output)?.split('|').collect();
        let [name, id, scope] = reference.as_slice() else {
            bail!("{output} is not name|id|SCOPE")
        };
        let address = json!({ "Name": name, "Id": id, "Scope": scope });
        let found = self.cloud.call(Service::Wafv2, "GetIPSet", &address)?;
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
        self.cloud.call(Service::Wafv2, "UpdateIPSet", &address)?;
        Ok(())
    }

    fn send(&self, event: &Value) -> Result<()> {
        let message = json!({ "QueueUrl": self.output("QueueUrl")?, "MessageBody": event.to_string() });
        self.cloud.call(Service::Sqs, "SendMessage", &message)?;
        Ok(())
    }

    /// The finding has to be in Security Hub before anything can be noted on it there.
    fn import_into_security_hub(&self) -> Result<()> {
        let event = sample("security-hub-imported-ssh-brute-force")?;
        let findings = event.pointer("/detail/findings").context("the event holds findings")?;
        self.cloud
            .security_hub("POST", "/findings/import", Some(&json!({ "Findings": findings })))?;
        Ok(())
    }

    /// A record that cannot be read is delivered five times, eleven minutes apart; the demo does not wait that long.
    fn hasten_dead_letters(&self) -> Result<()> {
        let attributes = json!({ "QueueUrl": self.output("QueueUrl")?, "Attributes": { "VisibilityTimeout": "4" } });
        self.cloud.call(Service::Sqs, "SetQueueAttributes", &attributes)?;
        Ok(())
    }

    fn records(&self) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        let mut start: Option<Value> = None;
        loop {
            let mut scan = json!({ "TableName": self.output("LedgerTableName")?, "ConsistentRead": true });
            if let (Some(fields), Some(key)) = (scan.as_object_mut(), start.take()) {
                fields.insert("ExclusiveStartKey".to_owned(), key);
            }
            let page = self.cloud.call(Service::DynamoDb, "Scan", &scan)?;
            let items = page.get("Items").and_then(Value::as_array).into_iter().flatten();
            records.extend(items.filter_map(Record::read));
            match page.get("LastEvaluatedKey") {
                Some(key) if key.is_object() => start = Some(key.clone()),
                _ => break,
            }
        }
        records.sort_by(|a, b| (&a.outcome, &a.target).cmp(&(&b.outcome, &b.target)).reverse());
        Ok(records)
    }

    /// Waits until the ledger tells of every address that the scenes expect.
    fn wait_for_records(&self) -> Result<Vec<Record>> {
        let begin = Instant::now();
        loop {
            let records = self.records()?;
            let known: BTreeMap<(&str, &str), &str> = records
                .iter()
                .map(|r| ((r.finding.as_str(), r.target.as_str()), r.outcome.as_str()))
                .collect();
            let mut wrong = Vec::new();
            for scene in SCENES {
                let finding = finding_id(&sample(scene.file)?);
                for (target, allowed) in scene.expect {
                    let outcome = known.get(&(finding.as_str(), *target)).copied().unwrap_or("nothing");
                    if !allowed.contains(&outcome) {
                        wrong.push(format!(
                            "{}: {target} ended as {outcome} instead of {}",
                            scene.file,
                            allowed.join(" or ")
                        ));
                    }
                }
            }
            if wrong.is_empty() {
                return Ok(records);
            }
            ensure!(
                begin.elapsed() < PATIENCE,
                "{}\nthe function's logs are below {}",
                wrong.join("\n"),
                self.cloud.logs().display()
            );
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    fn check_security_hub(&self) -> Result<()> {
        let begin = Instant::now();
        loop {
            let found = self.cloud.security_hub("POST", "/findings", Some(&json!({})))?;
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
        let receive =
            json!({ "QueueUrl": self.output("DeadLetterQueueUrl")?, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1 });
        let begin = Instant::now();
        loop {
            let answer = self.cloud.call(Service::Sqs, "ReceiveMessage", &receive)?;
            let bodies: Vec<&str> = answer
                .get("Messages")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|message| message.get("Body")?.as_str())
                .collect();
            if let [body] = bodies.as_slice() {
                ensure!(
                    serde_json::from_str::<Value>(body)? == sample("malformed-detail")?,
                    "another record was put aside: {body}"
                );
                screen::heading("The dead-letter queue");
                screen::row("malformed-detail: its address 198.51.100.256 is none; nothing else is there");
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

/// What the demo shows of a ledger record.
struct Record {
    id: String,
    target: String,
    finding: String,
    outcome: String,
    why: String,
}

impl Record {
    fn read(item: &Value) -> Option<Self> {
        if item.pointer("/sk/S")?.as_str()? != "record" {
            return None;
        }
        let body: Value = serde_json::from_str(item.pointer("/body/S")?.as_str()?).ok()?;
        let outcome = item.pointer("/status/S")?.as_str()?.to_owned();
        let why = body
            .pointer(&format!("/status/Settled/{outcome}/text"))
            .and_then(Value::as_str)
            .unwrap_or_default();
        Some(Self {
            id: body.get("id")?.as_str()?.to_owned(),
            target: body.get("target")?.as_str()?.to_owned(),
            finding: body.pointer("/evidence/id")?.as_str()?.to_owned(),
            why: why.to_owned(),
            outcome,
        })
    }
}

fn sample(name: &str) -> Result<Value> {
    let path = local_cloud::workspace()?
        .join("events/block-ip")
        .join(name)
        .with_extension("json");
    let text = fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

fn finding_id(event: &Value) -> String {
    let id = event
        .pointer("/detail/arn")
        .or_else(|| event.pointer("/detail/findings/0/Id"));
    id.and_then(Value::as_str).unwrap_or_default().to_owned()
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
