//! Instances of the deployed functions that run here, under our eyes: with the environment and the credentials that Lambda would give them,
//! and the proxy between them and the emulators.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use local_cloud::{Answer, AwsCall, FUNCTIONS, Instance, Proxy, Service, logical};
use serde_json::{Value, json};

use crate::stack::Stack;

/// A function's binary, and what Lambda puts into its environment.
#[derive(Debug)]
struct Function {
    binary: PathBuf,
    environment: Vec<(String, String)>,
}

/// The deployed application, its binaries, and the proxy.
#[derive(Debug)]
pub struct Laboratory {
    /// What is deployed.
    pub stack: Stack,
    /// What all instances speak through.
    pub proxy: Proxy,
    functions: BTreeMap<&'static str, Function>,
}

impl Laboratory {
    /// With the application as it is deployed, in its development build.
    ///
    /// # Errors
    /// When a function does not build, or is not deployed.
    pub fn of(stack: Stack) -> Result<Self> {
        let proxy = Proxy::start(&stack.cloud)?;
        Self::with(stack, proxy, local_cloud::function)
    }

    /// With these binaries, behind this proxy.
    ///
    /// # Errors
    /// When a function has no binary, or is not deployed.
    pub fn with(stack: Stack, proxy: Proxy, binary: impl Fn(&str) -> Result<PathBuf>) -> Result<Self> {
        let mut functions = BTreeMap::new();
        for name in FUNCTIONS {
            let output = format!("{}FunctionName", logical(name));
            let deployed = stack.deployment.outputs.get(&output).context(output)?;
            let mut environment = stack.cloud.function_environment(deployed)?;
            environment.retain(|(name, _)| !name.starts_with("AWS_ENDPOINT_URL"));
            environment.extend(proxy.environment());
            let binary = binary(name)?;
            functions.insert(name, Function { binary, environment });
        }
        Ok(Self {
            stack,
            proxy,
            functions,
        })
    }

    /// The command that Lambda would start for this function.
    ///
    /// # Errors
    /// When there is no such function.
    pub fn command(&self, function: &str) -> Result<Command> {
        let binary = &self.functions.get(function).context("no such function")?.binary;
        self.command_of(function, binary)
    }

    /// Another program in the place of this function.
    ///
    /// # Errors
    /// When there is no such function.
    pub fn command_of(&self, function: &str, program: &Path) -> Result<Command> {
        let environment = &self.functions.get(function).context("no such function")?.environment;
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }

    /// The credentials of this function's role, as STS writes them.
    ///
    /// # Errors
    /// When there is no such function.
    pub fn credentials(&self, function: &str) -> Result<Value> {
        let environment = &self.functions.get(function).context("no such function")?.environment;
        let of = |wanted: &str| {
            let found = environment.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.as_str())
        };
        Ok(json!({
            "AccessKeyId": of("AWS_ACCESS_KEY_ID"), "SecretAccessKey": of("AWS_SECRET_ACCESS_KEY"), "SessionToken": of("AWS_SESSION_TOKEN"),
        }))
    }

    /// A new instance of this function, quiet.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn instance(&self, function: &str) -> Result<Instance> {
        let mut command = self.command(function)?;
        command
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        Instance::start(&mut command)
    }

    /// Every item of the ledger, as DynamoDB has it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn ledger(&self) -> Result<Vec<Value>> {
        let table = self
            .stack
            .deployment
            .outputs
            .get("LedgerTableName")
            .context("the ledger")?;
        let mut items = Vec::new();
        let mut start = Value::Null;
        loop {
            let mut scan = json!({ "TableName": table, "ConsistentRead": true });
            if let (Some(scan), false) = (scan.as_object_mut(), start.is_null()) {
                scan.insert("ExclusiveStartKey".to_owned(), start);
            }
            let mut page = self.stack.cloud.call(Service::DynamoDb, "Scan", &scan)?;
            if let Some(more) = page.get_mut("Items").and_then(Value::as_array_mut) {
                items.append(more);
            }
            match page.get_mut("LastEvaluatedKey").map(Value::take) {
                Some(key) if !key.is_null() => start = key,
                _ => return Ok(items),
            }
        }
    }

    /// The records of the ledger: id, and where each stands, such as `Remediated` or `Intended`.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn records(&self) -> Result<BTreeMap<String, String>> {
        let text = |item: &Value, name: &str| {
            item.pointer(&format!("/{name}/S"))
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let mut records = BTreeMap::new();
        for item in self.ledger()? {
            let Some(id) = text(&item, "pk").and_then(|pk| Some(pk.strip_prefix("record#")?.to_owned())) else {
                continue;
            };
            let body: Value = serde_json::from_str(&text(&item, "body").context("a record has a body")?)?;
            let status = match body.get("status").context("a record has a status")? {
                Value::String(name) => name.clone(),
                settled => {
                    let outcome = settled.get("Settled").and_then(Value::as_object);
                    outcome
                        .and_then(|outcome| outcome.keys().next())
                        .context("a known status")?
                        .clone()
                }
            };
            records.insert(id, status);
        }
        Ok(records)
    }
}

/// The messages of a queue, as Lambda gives them to a function: each event with an id of its own, counted from 0. `delivery`: how often
/// they have been delivered, with this one.
pub fn batch(events: &[Value], delivery: usize) -> Value {
    let ids = (0..events.len()).map(|number| number.to_string());
    messages(ids.zip(events), delivery)
}

/// The same with these ids, which a message keeps however often it is delivered.
pub fn messages<'a>(events: impl IntoIterator<Item = (String, &'a Value)>, delivery: usize) -> Value {
    let record = |(id, event): (String, &Value)| {
        json!({
            "messageId": id, "receiptHandle": id, "body": event.to_string(),
            "attributes": { "ApproximateReceiveCount": delivery.to_string() }, "messageAttributes": {}, "md5OfBody": "",
            "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:us-east-1:111122223333:queue", "awsRegion": "us-east-1",
        })
    };
    json!({ "Records": events.into_iter().map(record).collect::<Vec<_>>() })
}

/// Whether the message with this id has to come again: all have to, where the function did not answer.
pub fn comes_again(id: &str, answer: &Answer) -> bool {
    let Answer::Response(response) = answer else {
        return true;
    };
    let failures = response.get("batchItemFailures").and_then(Value::as_array);
    failures.is_none_or(|failures| {
        failures
            .iter()
            .any(|failure| failure.get("itemIdentifier").is_some_and(|of| of == id))
    })
}

/// The subjects of the notices that people got, sorted.
pub fn notices(calls: &[AwsCall]) -> Vec<String> {
    let told = calls.iter().filter(|call| call.operation == "Publish" && call.applied);
    let mut subjects: Vec<_> = told.filter_map(|call| call.parameter("Subject")).collect();
    subjects.sort();
    subjects
}

/// Of a [state](local_cloud::LocalCloud::state), the resources: without Security Hub's notes.
pub fn resources(state: &BTreeSet<String>) -> BTreeSet<&String> {
    state.iter().filter(|line| !line.starts_with("securityhub")).collect()
}
