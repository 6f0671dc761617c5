//! What the acts share: the deployed stack, the queues, the ledger.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use local_cloud::{Call, Deployment, FUNCTIONS, LocalCloud, Service, logical};
use serde_json::{Value, json};

use crate::screen;

pub const PATIENCE: Duration = Duration::from_secs(120);

/// The stack's name.
pub const STACK: &str = "securecart";

/// One event, and what has to become of its targets.
pub struct Scene {
    /// The sample event.
    pub file: &'static str,
    pub about: &'static str,
    /// What the target's text holds, with the outcomes that it may end in.
    pub expect: &'static [(&'static str, &'static [&'static str])],
}

/// The deployed application on the local cloud.
pub struct Stage {
    pub cloud: LocalCloud,
    pub stack: Deployment,
}

impl Stage {
    /// Builds the functions, starts the local cloud, and deploys, with these settings.
    pub fn set(settings: &Value) -> Result<Self> {
        screen::progress("building the functions");
        let binaries = FUNCTIONS.map(|name| (name, local_cloud::function(name)));
        let mut built = Vec::new();
        for (name, binary) in binaries {
            built.push((name, binary?));
        }
        let binaries: Vec<_> = built.iter().map(|(name, binary)| (*name, binary.as_path())).collect();
        let cloud = LocalCloud::start(&screen::progress)?;
        screen::progress("deploying template.yaml");
        let template = local_cloud::workspace()?.join("template.yaml");
        let parameters = [("LedgerDeletionProtection", "false")];
        let stack = cloud.deploy(&template, STACK, &binaries, &parameters)?;
        cloud.set(&stack, &settings.to_string())?;
        screen::row(&format!("{} resources deployed, each read back", stack.resources.len()));
        Ok(Self { cloud, stack })
    }

    /// An output of the stack.
    pub fn output(&self, name: &str) -> Result<&str> {
        let output = self.stack.outputs.get(name).map(String::as_str);
        output.with_context(|| format!("the stack has no output {name}"))
    }

    /// An output of a function, such as `QueueUrl`.
    pub fn output_of(&self, function: &str, name: &str) -> Result<&str> {
        self.output(&format!("{}{name}", logical(function)))
    }

    /// Reads with boto3, a client that knows nothing of ours.
    pub fn read(&self, calls: &[Call<'_>]) -> Result<Vec<Value>> {
        let answers = self.cloud.boto3(calls)?;
        answers.into_iter().map(|answer| Ok(answer?)).collect()
    }

    /// Puts the scenes' events into the function's queue, and waits until the ledger tells of every target that they expect.
    pub fn play(&self, function: &str, scenes: &[Scene]) -> Result<Vec<Record>> {
        screen::heading("Events into the queue, as EventBridge delivers them");
        for scene in scenes {
            let queue = self.output_of(function, "QueueUrl")?;
            let message = json!({ "QueueUrl": queue, "MessageBody": sample(function, scene.file)?.to_string() });
            self.cloud.call(Service::Sqs, "SendMessage", &message)?;
            screen::row(&format!("{:<40} {}", scene.file, scene.about));
        }
        screen::progress("the function works");
        let records = self.wait_for_records(function, scenes)?;
        screen::heading("Outcomes, from the ledger");
        for record in &records {
            screen::row(&format!("{} {}", screen::outcome(&record.outcome), record.why));
            screen::row(&format!("{:<14} {}", "", record.id));
        }
        Ok(records)
    }

    /// An operator takes a change back, by the id of its record.
    pub fn undo(&self, function: &str, record: &Record) -> Result<()> {
        screen::heading(&format!("An operator invokes {{\"undo\": \"{}\"}}", record.id));
        let name = self.output_of(function, "FunctionName")?;
        let answer = self.cloud.invoke(name, &json!({ "undo": record.id }))?;
        let outcome = answer.pointer("/outcomes/0/outcome").and_then(Value::as_object);
        let outcome = outcome.and_then(|outcome| outcome.keys().next());
        let outcome = outcome.with_context(|| format!("no outcome in {answer}"))?;
        let why = answer.pointer(&format!("/outcomes/0/outcome/{outcome}/text"));
        let why = why.and_then(Value::as_str).unwrap_or_default();
        screen::row(&format!("{} {why}", screen::outcome(outcome)));
        ensure!(outcome == "Undone", "the undo answered {answer}");
        Ok(())
    }

    /// The records of a function, by outcome and target.
    pub fn records(&self, function: &str) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        let mut start: Option<Value> = None;
        loop {
            let mut scan = json!({ "TableName": self.output("LedgerTableName")?, "ConsistentRead": true });
            if let (Some(fields), Some(key)) = (scan.as_object_mut(), start.take()) {
                fields.insert("ExclusiveStartKey".to_owned(), key);
            }
            let page = self.cloud.call(Service::DynamoDb, "Scan", &scan)?;
            let items = page.get("Items").and_then(Value::as_array).into_iter().flatten();
            records.extend(
                items
                    .filter_map(Record::read)
                    .filter(|record| record.function == function),
            );
            match page.get("LastEvaluatedKey") {
                Some(key) if key.is_object() => start = Some(key.clone()),
                _ => break,
            }
        }
        records.sort_by(|a, b| (&a.outcome, &a.target).cmp(&(&b.outcome, &b.target)).reverse());
        Ok(records)
    }

    fn wait_for_records(&self, function: &str, scenes: &[Scene]) -> Result<Vec<Record>> {
        let begin = Instant::now();
        loop {
            let records = self.records(function)?;
            let mut wrong = Vec::new();
            for scene in scenes {
                let finding = finding_id(&sample(function, scene.file)?);
                for (target, allowed) in scene.expect {
                    let is_meant =
                        |record: &&Record| record.finding.contains(&finding) && record.target.contains(target);
                    let outcome = records
                        .iter()
                        .find(is_meant)
                        .map_or("nothing", |record| &record.outcome);
                    if !allowed.contains(&outcome) {
                        let allowed = allowed.join(" or ");
                        wrong.push(format!(
                            "{}: {target} ended as {outcome} instead of {allowed}",
                            scene.file
                        ));
                    }
                }
            }
            if wrong.is_empty() {
                return Ok(records);
            }
            ensure!(
                begin.elapsed() < PATIENCE,
                "{}\nthe functions' logs are below {}",
                wrong.join("\n"),
                self.cloud.logs().display()
            );
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

/// What the demo shows of a ledger record.
pub struct Record {
    pub id: String,
    pub function: String,
    pub target: String,
    pub finding: String,
    pub outcome: String,
    pub why: String,
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
        let target = body.get("target")?;
        Some(Self {
            id: body.get("id")?.as_str()?.to_owned(),
            function: body.get("remediation")?.as_str()?.to_owned(),
            target: target.as_str().map_or_else(|| target.to_string(), str::to_owned),
            finding: body.pointer("/evidence/id")?.as_str()?.to_owned(),
            why: why.to_owned(),
            outcome,
        })
    }
}

/// The record of a target, by what its text holds and its outcome.
pub fn find<'a>(records: &'a [Record], target: &str, outcome: &str) -> Result<&'a Record> {
    let found = records
        .iter()
        .find(|record| record.target.contains(target) && record.outcome == outcome);
    found.with_context(|| format!("no record of {target} that is {outcome}"))
}

/// A sample event of a function.
pub fn sample(function: &str, name: &str) -> Result<Value> {
    let path = local_cloud::workspace()?
        .join("events")
        .join(function)
        .join(name)
        .with_extension("json");
    let text = fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

/// What the id of the event's finding holds.
fn finding_id(event: &Value) -> String {
    let places = [
        "/detail/arn",
        "/detail/findings/0/Id",
        "/detail/findings/0/finding_info/uid",
        "/detail/configRuleARN",
        "/detail/findingId",
        "/detail/eventArn",
        "/detail/eventID",
    ];
    let id = places.iter().find_map(|place| event.pointer(place)?.as_str());
    id.unwrap_or_default().to_owned()
}
