//! Calls by boto3, through `python/client.py`: a client that knows nothing of ours, so that what it reads confirms from outside.

use std::io::Write;
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::aws::CallError;
use crate::emulators::Emulators;
use crate::python;

/// A call: the service, the operation in Python's spelling such as `get_bucket_policy`, and its parameters.
pub type Call<'a> = (&'a str, &'a str, Value);

/// Who calls.
#[derive(Clone, Copy)]
pub(crate) enum Identity<'a> {
    /// An account's root user.
    RootOf(&'a str),
    /// What STS gave out: `AccessKeyId`, `SecretAccessKey` and `SessionToken`.
    Role(&'a Value),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Told {
    Answer { answer: Value },
    Refused { code: String, message: String, status: u16 },
}

pub(crate) fn call(
    emulators: &Emulators,
    endpoint: &str,
    identity: Option<Identity<'_>>,
    calls: &[Call<'_>],
) -> Result<Vec<Result<Value, CallError>>, CallError> {
    let failed = |error: &dyn std::fmt::Display| CallError::Transport(format!("boto3: {error}"));
    let wanted: Vec<_> = calls
        .iter()
        .map(|(service, operation, parameters)| {
            let mut call = json!({ "service": service, "operation": operation, "parameters": parameters });
            if let (Some(identity), Some(call)) = (identity, call.as_object_mut()) {
                let (name, value) = match identity {
                    Identity::RootOf(account) => ("account", account.into()),
                    Identity::Role(credentials) => ("credentials", credentials.clone()),
                };
                call.insert(name.to_owned(), value);
            }
            call
        })
        .collect();
    let mut command = Command::new(&emulators.python);
    command.arg(python::folder().join("python/client.py")).arg(endpoint);
    python::without_foreign_aws(&mut command);
    let mut client = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(&error))?;
    if let Some(mut stdin) = client.stdin.take() {
        let written = stdin.write_all(Value::Array(wanted).to_string().as_bytes());
        written.map_err(|error| failed(&error))?;
    }
    let output = client.wait_with_output().map_err(|error| failed(&error))?;
    if !output.status.success() {
        return Err(failed(&String::from_utf8_lossy(&output.stderr).trim()));
    }
    let told: Vec<Told> = serde_json::from_slice(&output.stdout).map_err(|error| failed(&error))?;
    let result = |told| match told {
        Told::Answer { answer } => Ok(answer),
        Told::Refused { code, message, status } => Err(CallError::Service { code, message, status }),
    };
    Ok(told.into_iter().map(result).collect())
}
