//! Deploying the stacks of the reference environment, by `python/stacks.py`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use crate::{LocalCloud, python};

/// How a resource is accounted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accounting {
    /// CloudFormation created it, and its service shows it.
    Stack,
    /// Its service's API created it from the template's properties, and shows it.
    Api,
    /// A stack in a stack.
    Nested,
    /// No emulator has it: its properties fit the resource's schema and the model of its service's API.
    Schema,
}

/// A resource of a deployed stack.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Accounted {
    /// Such as `AWS::EC2::NetworkAcl`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What `Ref` gives.
    pub physical_id: String,
    /// How it is accounted for.
    pub accounted: Accounting,
    /// The template's properties without functions.
    pub properties: Value,
    /// What its service shows.
    pub found: Value,
    /// The properties that CloudFormation here drops, and that were set through the service's API.
    pub completed: Vec<String>,
    /// The properties that its service shows otherwise, or not at all.
    pub not_honoured: Vec<String>,
}

/// A deployed stack.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Stack {
    /// The template's outputs.
    pub outputs: BTreeMap<String, Value>,
    /// The resources by their logical ids.
    pub resources: BTreeMap<String, Accounted>,
}

/// The deployed stacks, by the names of their files.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Stacks {
    /// Such as `network`.
    pub stacks: BTreeMap<String, Stack>,
}

pub(crate) fn deploy(
    cloud: &LocalCloud,
    root: &Path,
    stack: &str,
    binaries: &[(&str, &Path)],
    parameters: &[(&str, &str)],
) -> Result<Stacks> {
    let mut command = Command::new(&cloud.emulators.python);
    command.arg(python::folder().join("python/stacks.py"));
    command.arg("--root").arg(root).args(["--stack", stack]);
    command.args(["--endpoint", cloud.endpoint(), "--waf-endpoint", cloud.waf_endpoint()]);
    for (name, value) in parameters {
        command.args(["--parameter", &format!("{name}={value}")]);
    }
    for (name, value) in cloud.endpoints() {
        command.args(["--env", &format!("{name}={value}")]);
    }
    for (name, binary) in binaries {
        let mut pair = OsString::from(format!("{name}="));
        pair.push(binary);
        command.arg("--binary").arg(pair);
    }
    python::without_foreign_aws(&mut command);
    let output = command.stdin(Stdio::null()).output().context("cannot run stacks.py")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_slice(&output.stdout).context("stacks.py did not print its stacks")
}
