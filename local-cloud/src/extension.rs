//! The controls of `python/aws_extensions.py`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::aws::{CallError, Client};

/// The controls of our extension of moto.
#[derive(Debug)]
pub struct Extension<'a> {
    pub(crate) client: &'a Client,
    pub(crate) endpoint: &'a str,
}

/// A call that AWS WAF or Security Hub got, whether it was served or refused.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct RecordedCall {
    /// `wafv2` or `securityhub`.
    pub service: String,
    /// Such as `UpdateIPSet`.
    pub operation: String,
    /// When it arrived, in seconds since 1970.
    pub time: f64,
    /// The caller's account.
    pub account: String,
    /// The Region that it was signed for.
    pub region: String,
    /// The caller's access key; a function's begins with `ASIA`.
    pub access_key: String,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The name of the error, if it was refused.
    pub error: Option<String>,
}

/// A call that ministack judged.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Authorization {
    /// The caller's ARN: of a session, for a function.
    pub principal: String,
    /// The caller's account.
    pub account: String,
    /// As IAM names it: `iam:UpdateAccessKey`.
    pub action: String,
    /// The resource's ARN, or `*`.
    pub resource: String,
    /// The Region of the call.
    pub region: String,
    /// What the service told of the call for conditions, such as `kms:viaservice`. What IAM knows of every call is not here.
    pub conditions: BTreeMap<String, Value>,
    /// `Allow` or `Deny`.
    pub decision: String,
}

impl Extension<'_> {
    /// The calls so far, in the order of their answers.
    pub fn calls(&self) -> Result<Vec<RecordedCall>, CallError> {
        let mut answer = self.control("GET", "calls", None)?;
        let calls = answer.get_mut("calls").map(Value::take).unwrap_or_default();
        serde_json::from_value(calls).map_err(|error| CallError::Transport(error.to_string()))
    }

    /// Forgets the calls so far.
    pub fn reset_calls(&self) -> Result<(), CallError> {
        self.control("POST", "calls/reset", None).map(drop)
    }

    /// Puts findings in OCSF into Security Hub, as its own sources do: there is no public call for it.
    pub fn import_ocsf_findings(&self, findings: &[Value]) -> Result<(), CallError> {
        self.control("POST", "findings-v2", Some(&json!({ "findings": findings })))
            .map(drop)
    }

    fn control(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, CallError> {
        self.client
            .control(method, &format!("{}/securecart-extension/{path}", self.endpoint), body)
    }
}
