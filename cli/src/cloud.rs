//! The deployed application, found by the name of its stack.

use std::collections::BTreeMap;

use aws_sdk_lambda::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    primitives::Blob,
};
use remediation::{
    failure::{Class, Failure},
    settings::Document,
};
use remediation_aws::{Aws, DynamoLedger, classify, found};
use serde_json::Value;

use crate::error::Error;

const INVOKE: &str = "lambda:Invoke";

/// A stack in the account and Region of the caller's credentials.
pub struct Cloud {
    /// The clients' configuration.
    pub aws: Aws,
    lambda: aws_sdk_lambda::Client,
    ssm: aws_sdk_ssm::Client,
    stack: String,
}

impl Cloud {
    /// The stack of this name.
    pub async fn of(stack: &str) -> Self {
        let aws = Aws::of_person().await;
        let config = aws.patient();
        Self {
            lambda: aws_sdk_lambda::Client::new(&config),
            ssm: aws_sdk_ssm::Client::new(&config),
            aws,
            stack: stack.to_owned(),
        }
    }

    /// Who calls.
    pub async fn caller(&self) -> Result<String, Error> {
        let sts = aws_sdk_sts::Client::new(&self.aws.patient());
        let call = sts.get_caller_identity().send().await;
        let answer = call.map_err(|error| classify("sts:GetCallerIdentity", &error))?;
        Ok(answer.arn().unwrap_or("somebody without an ARN").to_owned())
    }

    fn name(&self, function: &str) -> String {
        format!("{}-{function}", self.stack)
    }

    /// Calls a function, and returns what it answers.
    pub async fn invoke(&self, function: &str, payload: &Value) -> Result<Value, Error> {
        let call = self.lambda.invoke().function_name(self.name(function));
        let call = call.payload(Blob::new(payload.to_string())).send().await;
        let answer = call.map_err(|error| self.unanswered(INVOKE, function, &error))?;
        let text = answer
            .payload()
            .map(|payload| String::from_utf8_lossy(payload.as_ref()).into_owned());
        let text = text.unwrap_or_default();
        if answer.function_error().is_some() {
            return Err(failed(function, &text));
        }
        serde_json::from_str(&text).map_err(|error| unreadable(function, &error.to_string()))
    }

    /// A function that did not answer, or that there is not.
    fn unanswered<E: ProvideErrorMetadata>(
        &self,
        operation: &str,
        function: &str,
        error: &SdkError<E, HttpResponse>,
    ) -> Error {
        match error.code() {
            Some("ResourceNotFoundException") => Error::input(
                self.name(function),
                "there is no such function; is --stack the name of the stack?",
            ),
            _ => Error::Aws(classify(operation, error)),
        }
    }

    /// What the deployment sets for a function.
    pub async fn environment(&self, function: &str) -> Result<BTreeMap<String, String>, Error> {
        const OPERATION: &str = "lambda:GetFunctionConfiguration";
        let call = self.lambda.get_function_configuration();
        let call = call.function_name(self.name(function)).send().await;
        let answer = call.map_err(|error| self.unanswered(OPERATION, function, &error))?;
        let variables = answer.environment().and_then(|environment| environment.variables());
        Ok(variables.cloned().unwrap_or_default().into_iter().collect())
    }

    /// The ledger of all functions.
    pub async fn ledger(&self) -> Result<DynamoLedger, Error> {
        let environment = self.environment("block-ip").await?;
        let table = environment.get("LEDGER_TABLE").cloned();
        let table = table.ok_or_else(|| Error::input(&self.stack, "its functions have no ledger"))?;
        Ok(DynamoLedger::new(
            aws_sdk_dynamodb::Client::new(&self.aws.patient()),
            table,
        ))
    }

    fn parameter(&self) -> String {
        format!("/securecart/{}/settings", self.stack)
    }

    /// The text of the settings.
    pub async fn settings(&self) -> Result<String, Error> {
        const OPERATION: &str = "ssm:GetParameter";
        let name = self.parameter();
        let call = self.ssm.get_parameter().name(&name).send().await;
        let answer = found(OPERATION, "ParameterNotFound", call)?;
        let answer = answer
            .ok_or_else(|| Error::input(&name, "there is no such parameter; is --stack the name of the stack?"))?;
        let text = answer
            .parameter()
            .and_then(|parameter| parameter.value())
            .map(str::to_owned);
        text.ok_or_else(|| Failure::new(Class::Permanent, OPERATION, "NoValue", "the parameter has no value").into())
    }

    /// The settings.
    pub async fn document(&self) -> Result<Document, Error> {
        Ok(Document::parse(&self.settings().await?)?)
    }

    /// Puts the settings. The version that Parameter Store gives them.
    pub async fn put_settings(&self, text: &str) -> Result<i64, Error> {
        let call = self
            .ssm
            .put_parameter()
            .name(self.parameter())
            .r#type(aws_sdk_ssm::types::ParameterType::String)
            .tier(aws_sdk_ssm::types::ParameterTier::IntelligentTiering)
            .overwrite(true)
            .value(text);
        let answer = call
            .send()
            .await
            .map_err(|error| classify("ssm:PutParameter", &error))?;
        Ok(answer.version())
    }
}

/// An invocation that failed: refused by the function, with its reason, or ended by Lambda. Lambda's own types of errors have a dot, such
/// as `Sandbox.Timedout`, or there is none; a function's have no dot.
fn failed(function: &str, text: &str) -> Error {
    let error: Value = serde_json::from_str(text).unwrap_or_default();
    let said = |field: &str| error.get(field).and_then(Value::as_str);
    let why = said("errorMessage").unwrap_or(text);
    match said("errorType") {
        Some(kind) if !kind.contains('.') => Error::Refused {
            function: function.to_owned(),
            why: why.to_owned(),
        },
        kind => {
            let kind = kind.unwrap_or("FunctionError");
            Failure::new(Class::Transient, INVOKE, kind, format!("{function}: {why}")).into()
        }
    }
}

fn unreadable(function: &str, problem: &str) -> Error {
    let problem = format!("the answer of {function}: {problem}");
    Failure::new(Class::Permanent, INVOKE, "UnreadableAnswer", problem).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_the_function_is_told_from_what_ended_it() {
        let refused = r#"{"errorType": "CommandRefused", "errorMessage": "ledger: no such record"}"#;
        let error = failed("block-ip", refused);
        assert!(
            matches!(&error, Error::Refused { why, .. } if why == "ledger: no such record"),
            "{error}"
        );
        for ended in [
            r#"{"errorType": "Sandbox.Timedout", "errorMessage": "Task timed out after 60.00 seconds"}"#,
            r#"{"errorMessage": "Task timed out after 60.00 seconds"}"#,
            r#"{"errorType": "Runtime.ExitError", "errorMessage": "exit status 1"}"#,
            "",
        ] {
            let error = failed("block-ip", ended);
            assert!(matches!(error, Error::Aws(_)), "{ended}: {error}");
        }
    }
}
