//! Signed calls to the emulators: AWS's JSON protocol and its REST APIs.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use serde_json::Value;

/// A service that speaks AWS's JSON protocol, where a header names the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Amazon DynamoDB.
    DynamoDb,
    /// Amazon EventBridge.
    EventBridge,
    /// Amazon SQS.
    Sqs,
    /// AWS WAF.
    Wafv2,
}

impl Service {
    /// What the operation's name follows in `X-Amz-Target`.
    pub fn target_prefix(self) -> &'static str {
        match self {
            Self::DynamoDb => "DynamoDB_20120810",
            Self::EventBridge => "AWSEvents",
            Self::Sqs => "AmazonSQS",
            Self::Wafv2 => "AWSWAF_20190729",
        }
    }

    fn signing_name(self) -> &'static str {
        match self {
            Self::DynamoDb => "dynamodb",
            Self::EventBridge => "events",
            Self::Sqs => "sqs",
            Self::Wafv2 => "wafv2",
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::DynamoDb | Self::Sqs => "application/x-amz-json-1.0",
            _ => "application/x-amz-json-1.1",
        }
    }
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The service refused.
    #[error("{code} (HTTP {status}): {message}")]
    Service {
        /// The error's name, such as `WAFOptimisticLockException`.
        code: String,
        /// What the service says about it.
        message: String,
        /// The HTTP status.
        status: u16,
    },
    /// The function was run and failed.
    #[error("the function failed: {error_type}: {message}")]
    Function {
        /// Such as `Runtime.ExitError`, or the name that the function gives.
        error_type: String,
        /// What the function says about it.
        message: String,
    },
    /// The request did not arrive, or the answer was not JSON.
    #[error("no answer from the local cloud: {0}")]
    Transport(String),
}

impl CallError {
    /// The name of the service's error, if it was the service that refused.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Service { code, .. } => Some(code),
            _ => None,
        }
    }
}

/// A request before it is signed.
struct Call<'a> {
    region: &'a str,
    signing_name: &'a str,
    method: &'a str,
    url: String,
    headers: Vec<(&'a str, String)>,
    body: Vec<u8>,
}

/// An HTTP answer, whatever its status.
struct Answer {
    status: u16,
    error_type: Option<String>,
    function_error: bool,
    body: Value,
}

#[derive(Debug)]
pub(crate) struct Client {
    http: ureq::Agent,
}

impl Client {
    pub(crate) fn new() -> Self {
        // A function may run for fifteen minutes. No proxy: everything is on loopback.
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(900)))
            .proxy(None)
            .build();
        Self {
            http: config.new_agent(),
        }
    }

    pub(crate) fn call(
        &self,
        endpoint: &str,
        region: &str,
        service: Service,
        operation: &str,
        body: &Value,
    ) -> Result<Value, CallError> {
        self.signed(Call {
            region,
            signing_name: service.signing_name(),
            method: "POST",
            url: format!("{endpoint}/"),
            headers: vec![
                ("content-type", service.content_type().to_owned()),
                ("x-amz-target", format!("{}.{operation}", service.target_prefix())),
            ],
            body: body.to_string().into_bytes(),
        })
    }

    pub(crate) fn rest(
        &self,
        endpoint: &str,
        region: &str,
        signing_name: &str,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, CallError> {
        self.signed(Call {
            region,
            signing_name,
            method,
            url: format!("{endpoint}{path}"),
            headers: vec![("content-type", "application/json".to_owned())],
            body: body.map(|body| body.to_string().into_bytes()).unwrap_or_default(),
        })
    }

    /// One unsigned call, for the emulators' own controls.
    pub(crate) fn control(&self, method: &str, url: &str, body: Option<&Value>) -> Result<Value, CallError> {
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        result(self.send(method, url, &[], body)?)
    }

    /// The status of a GET that nobody signed.
    pub(crate) fn anonymous(&self, url: &str) -> Result<u16, CallError> {
        let answer = self.http.get(url).call();
        let answer = answer.map_err(|error| CallError::Transport(error.to_string()))?;
        Ok(answer.status().as_u16())
    }

    fn signed(&self, call: Call<'_>) -> Result<Value, CallError> {
        let headers = signature(&call).map_err(|error| CallError::Transport(error.to_string()))?;
        let headers: Vec<_> = call
            .headers
            .iter()
            .map(|(name, value)| (*name, value.clone()))
            .chain(headers)
            .collect();
        result(self.send(call.method, &call.url, &headers, call.body)?)
    }

    fn send(&self, method: &str, url: &str, headers: &[(&str, String)], body: Vec<u8>) -> Result<Answer, CallError> {
        let transport = |error: &dyn std::fmt::Display| CallError::Transport(error.to_string());
        let mut request = ureq::http::Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request.body(body).map_err(|error| transport(&error))?;
        let mut response = self.http.run(request).map_err(|error| transport(&error))?;
        let header = |name| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
        let (error_type, function_error) = (header("x-amzn-errortype"), header("x-amz-function-error").is_some());
        let text = response
            .body_mut()
            .with_config()
            .limit(64 << 20)
            .read_to_string()
            .map_err(|error| transport(&error))?;
        let status = response.status().as_u16();
        let body = if text.is_empty() {
            Ok(Value::Null)
        } else {
            serde_json::from_str(&text)
        };
        match body {
            Ok(body) => Ok(Answer {
                status,
                error_type,
                function_error,
                body,
            }),
            Err(_) => Err(CallError::Transport(format!("HTTP {status} without JSON"))),
        }
    }
}

/// The headers that sign the call as the emulators' root user.
fn signature(call: &Call<'_>) -> Result<Vec<(&'static str, String)>, Box<dyn std::error::Error + Send + Sync>> {
    let identity = Credentials::new("test", "test", None, None, "local cloud").into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(call.region)
        .name(call.signing_name)
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()?
        .into();
    let headers = call.headers.iter().map(|(name, value)| (*name, value.as_str()));
    let request = SignableRequest::new(call.method, &call.url, headers, SignableBody::Bytes(&call.body))?;
    let (instructions, _) = sign(request, &parameters)?.into_parts();
    let (headers, _) = instructions.into_parts();
    Ok(headers
        .into_iter()
        .map(|header| (header.name(), header.value().to_owned()))
        .collect())
}

fn result(answer: Answer) -> Result<Value, CallError> {
    let text = |names: &[&str]| {
        names
            .iter()
            .find_map(|name| answer.body.get(name)?.as_str())
            .map(str::to_owned)
    };
    if answer.function_error {
        return Err(CallError::Function {
            error_type: text(&["errorType"]).unwrap_or_default(),
            message: text(&["errorMessage"]).unwrap_or_else(|| answer.body.to_string()),
        });
    }
    if answer.status < 300 {
        return Ok(answer.body);
    }
    // `com.amazonaws.sqs#QueueDoesNotExist`, or `Name:http://…` in the header.
    let code = text(&["__type", "Code", "code"])
        .or_else(|| answer.error_type.clone())
        .unwrap_or_default();
    let code = code
        .rsplit('#')
        .next()
        .and_then(|code| code.split(':').next())
        .unwrap_or_default()
        .to_owned();
    let message = text(&["message", "Message"]).unwrap_or_else(|| answer.body.to_string());
    Err(CallError::Service {
        code,
        message,
        status: answer.status,
    })
}
