//! Deploying a SAM template, by `python/deploy.py`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::{LocalCloud, python};

/// A deployed stack.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Deployment {
    /// The template's outputs.
    pub outputs: BTreeMap<String, String>,
    /// The resources by their logical ids.
    pub resources: BTreeMap<String, Resource>,
}

/// A resource that exists: it was read back through its own service.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Resource {
    /// Such as `AWS::SQS::Queue`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What `Ref` gives: a name, URL, ARN, or `name|id|scope`.
    pub physical_id: String,
    /// `stack`, or `api` for AWS WAF's, which ministack cannot create.
    pub created_by: String,
    /// Always true: a resource that cannot be read back fails the deployment.
    pub read_back: bool,
    /// The properties that the read-back shows otherwise than the template, which the emulator dropped or spells in another way.
    pub not_honoured: Vec<String>,
}

pub(crate) fn deploy(
    cloud: &LocalCloud,
    template: &Path,
    stack: &str,
    binaries: &[(&str, &Path)],
    parameters: &[(&str, &str)],
    prepared: Option<&Path>,
) -> Result<Deployment> {
    let mut command = Command::new(&cloud.emulators.python);
    command
        .arg(python::folder().join("python/deploy.py"))
        .arg("--template")
        .arg(template)
        .args(["--stack", stack]);
    command.args(["--endpoint", cloud.endpoint(), "--waf-endpoint", cloud.waf_endpoint()]);
    for (name, value) in cloud.endpoints() {
        command.args(["--env", &format!("{name}={value}")]);
    }
    for (name, value) in parameters {
        command.args(["--parameter", &format!("{name}={value}")]);
    }
    for (name, binary) in binaries {
        let mut pair = OsString::from(format!("{name}="));
        pair.push(binary);
        command.arg("--binary").arg(pair);
    }
    if let Some(prepared) = prepared {
        command.arg("--prepare-only").arg(prepared);
    }
    python::without_foreign_aws(&mut command);
    let output = command.stdin(Stdio::null()).output().context("cannot run deploy.py")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_slice(&output.stdout).context("deploy.py did not print a deployment")
}
