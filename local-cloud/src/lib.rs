//! The local cloud: AWS emulators on loopback, for `cargo demo`, the tests and the benchmarks.
//!
//! Two emulators run side by side, since neither has everything: *ministack* has SQS, DynamoDB, EventBridge, IAM with enforcement,
//! CloudFormation with the SAM transform, and a Lambda that runs real binaries without Docker; *moto* has AWS WAF with working
//! lock tokens, and Security Hub. What moto lacks of these two is added by `python/aws_extensions.py`, which is ours and
//! not AWS's, and checks every request and answer against the service model.
//!
//! Nothing is needed but Python 3.10 with its `venv` module and a package registry: [`LocalCloud::start`] makes a virtual environment
//! under `target/local-cloud` from hash-pinned requirements. Everything listens on 127.0.0.1 only, and ends with this process,
//! however it ends.

mod aws;
mod boto3;
mod build;
mod emulators;
mod extension;
mod instance;
mod loopback;
mod proxy;
mod python;
mod stack;
mod stacks;
mod tls;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::{Value, json};

pub use aws::{CallError, Service};
pub use boto3::Call;
pub use build::{FUNCTIONS, cargo, function, logical, shipped, workspace};
pub use extension::{Authorization, Extension, RecordedCall};
pub use instance::{Answer, Instance, Kill};
pub use proxy::{AwsCall, Fault, Proxy, Refusal};
pub use python::environment;
pub use stack::{Deployment, Resource};
pub use stacks::{Accounted, Accounting, Stack, Stacks};

/// The Region of everything that does not say another.
pub const REGION: &str = "us-east-1";
/// The account that both emulators are.
pub const ACCOUNT: &str = "111122223333";

/// The running emulators. They end when it is dropped, and also when the process ends without dropping it.
#[derive(Debug)]
pub struct LocalCloud {
    emulators: emulators::Emulators,
    client: aws::Client,
}

impl LocalCloud {
    /// Starts the emulators on free ports and returns when both answer.
    ///
    /// The first start on a machine downloads them, which takes a minute or two; later ones take about a second. `progress` is told what is
    /// being waited for. Fails with what to install where Python is missing, and with the last lines of its log where an
    /// emulator ends.
    pub fn start(progress: &dyn Fn(&str)) -> Result<Self> {
        let python = python::emulators(progress)?;
        progress("starting the local cloud");
        let client = aws::Client::new();
        let emulators = emulators::Emulators::start(&python, &client)?;
        Ok(Self { emulators, client })
    }

    /// Where every service but AWS WAF and Security Hub is: ministack.
    pub fn endpoint(&self) -> &str {
        &self.emulators.endpoint
    }

    /// Where AWS WAF and Security Hub are: moto with our extension.
    pub fn waf_endpoint(&self) -> &str {
        &self.emulators.waf_endpoint
    }

    /// The Python that has the emulators, moto's data among them.
    pub fn python(&self) -> &Path {
        &self.emulators.python
    }

    /// Where the emulators' logs are.
    pub fn logs(&self) -> &Path {
        &self.emulators.run
    }

    /// The environment that makes an AWS SDK use the local cloud, as its root user.
    pub fn environment(&self) -> Vec<(String, String)> {
        let fixed = [
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", REGION),
        ];
        let fixed = fixed.map(|(name, value)| (name.to_owned(), value.to_owned()));
        self.endpoints().into_iter().chain(fixed).collect()
    }

    /// The endpoints alone, which is what a deployed function needs: it has its role's own credentials.
    fn endpoints(&self) -> [(String, String); 3] {
        [
            ("AWS_ENDPOINT_URL".to_owned(), self.endpoint().to_owned()),
            ("AWS_ENDPOINT_URL_WAFV2".to_owned(), self.waf_endpoint().to_owned()),
            (
                "AWS_ENDPOINT_URL_SECURITYHUB".to_owned(),
                self.waf_endpoint().to_owned(),
            ),
        ]
    }

    /// Makes one signed call in [`REGION`], such as `call(Service::Sqs, "SendMessage", &json!({…}))`.
    pub fn call(&self, service: Service, operation: &str, body: &Value) -> Result<Value, CallError> {
        self.call_in(REGION, service, operation, body)
    }

    /// Makes one signed call in another Region.
    pub fn call_in(&self, region: &str, service: Service, operation: &str, body: &Value) -> Result<Value, CallError> {
        let endpoint = if service == Service::Wafv2 {
            self.waf_endpoint()
        } else {
            self.endpoint()
        };
        self.client.call(endpoint, region, service, operation, body)
    }

    /// Makes calls with boto3, one after the other, at ministack: as its root user, by a client that knows nothing of ours.
    pub fn boto3(&self, calls: &[Call<'_>]) -> Result<Vec<Result<Value, CallError>>, CallError> {
        boto3::call(&self.emulators, self.endpoint(), None, calls)
    }

    /// The same with a role's credentials, as `AssumeRole` gave them out: `AccessKeyId`, `SecretAccessKey` and `SessionToken`.
    pub fn boto3_as(
        &self,
        credentials: &Value,
        calls: &[Call<'_>],
    ) -> Result<Vec<Result<Value, CallError>>, CallError> {
        let identity = Some(boto3::Identity::Role(credentials));
        boto3::call(&self.emulators, self.endpoint(), identity, calls)
    }

    /// The same at moto, for AWS WAF, Shield, GuardDuty and Security Hub.
    pub fn boto3_at_moto(&self, calls: &[Call<'_>]) -> Result<Vec<Result<Value, CallError>>, CallError> {
        boto3::call(&self.emulators, self.waf_endpoint(), None, calls)
    }

    /// The same as the root user of another account.
    pub fn boto3_in(&self, account: &str, calls: &[Call<'_>]) -> Result<Vec<Result<Value, CallError>>, CallError> {
        boto3::call(
            &self.emulators,
            self.endpoint(),
            Some(boto3::Identity::RootOf(account)),
            calls,
        )
    }

    /// Puts the settings of a deployed application, as an operator does.
    ///
    /// # Errors
    /// When the stack has no parameter for them, or it cannot be written.
    pub fn set(&self, deployment: &Deployment, settings: &str) -> Result<()> {
        let name = deployment.outputs.get("SettingsParameter");
        let name = name.context("the stack has no output SettingsParameter")?;
        let put = json!({ "Name": name, "Value": settings, "Type": "String", "Overwrite": true });
        for answer in self.boto3(&[("ssm", "put_parameter", put)])? {
            answer?;
        }
        Ok(())
    }

    /// Tells IAM Access Analyzer which findings there are, and what it recommends for each: see `python/ministack_extensions.py`.
    pub fn set_recommendations(&self, findings: &Value) -> Result<(), CallError> {
        let url = format!("{}/securecart-extension/access-analyzer", self.endpoint());
        self.client.control("POST", &url, Some(findings)).map(drop)
    }

    /// Gives users, roles, groups and policies that exist their unique ids and dates, and users their access keys: see
    /// `python/ministack_extensions.py`.
    pub fn set_identities(&self, identities: &Value) -> Result<(), CallError> {
        let url = format!("{}/securecart-extension/iam", self.endpoint());
        self.client.control("POST", &url, Some(identities)).map(drop)
    }

    /// So many users, roles, groups and policies IAM gives at once from now on. At first it gives fewer than AWS would, so that whoever reads
    /// them is seen to turn pages.
    pub fn details_per_page(&self, details: u32) -> Result<(), CallError> {
        let url = format!("{}/securecart-extension/iam/pages", self.endpoint());
        self.client
            .control("POST", &url, Some(&json!({ "details": details })))
            .map(drop)
    }

    /// Gives the next security groups that are created these ids: see `python/ministack_extensions.py`.
    pub fn name_security_groups(&self, ids: &[&str]) -> Result<(), CallError> {
        let url = format!("{}/securecart-extension/ec2", self.endpoint());
        self.client
            .control("POST", &url, Some(&json!({ "groups": ids })))
            .map(drop)
    }

    /// The whole state of the account, as lines that can be compared: see `python/ministack_state.py` and `python/aws_extensions.py`.
    pub fn state(&self) -> Result<BTreeSet<String>, CallError> {
        let mut lines = BTreeSet::new();
        for answer in self.control_both("GET", "state")? {
            let state = answer.get("state").and_then(Value::as_array);
            lines.extend(
                state
                    .into_iter()
                    .flatten()
                    .filter_map(|line| Some(line.as_str()?.to_owned())),
            );
        }
        Ok(lines)
    }

    /// Remembers the state of the account, with what tables and queues hold.
    pub fn save(&self) -> Result<(), CallError> {
        self.control_both("POST", "state/save").map(drop)
    }

    /// Makes the account what it was when it was saved. Sessions stay, and so do functions.
    pub fn restore(&self) -> Result<(), CallError> {
        self.control_both("POST", "state/restore").map(drop)
    }

    fn control_both(&self, method: &str, path: &str) -> Result<[Value; 2], CallError> {
        let at = |endpoint: &str| {
            self.client
                .control(method, &format!("{endpoint}/securecart-extension/{path}"), None)
        };
        Ok([at(self.endpoint())?, at(self.waf_endpoint())?])
    }

    /// Which calls ministack judged by the permissions of their caller, in their order.
    pub fn authorizations(&self) -> Result<Vec<Authorization>, CallError> {
        let url = format!("{}/securecart-extension/authorizations", self.endpoint());
        let mut answer = self.client.control("GET", &url, None)?;
        let list = answer.get_mut("authorizations").map(Value::take).unwrap_or_default();
        serde_json::from_value(list).map_err(|error| CallError::Transport(error.to_string()))
    }

    /// Forgets them.
    pub fn reset_authorizations(&self) -> Result<(), CallError> {
        let url = format!("{}/securecart-extension/authorizations/reset", self.endpoint());
        self.client.control("POST", &url, None).map(drop)
    }

    /// Invokes a function and waits for its answer. An error of the function itself is [`CallError::Function`].
    pub fn invoke(&self, function: &str, payload: &Value) -> Result<Value, CallError> {
        let path = format!("/2015-03-31/functions/{function}/invocations");
        self.client
            .rest(self.endpoint(), REGION, "lambda", "POST", &path, Some(payload))
    }

    /// What Lambda puts into the environment of a deployed function's instance: its own variables, and the credentials of its role.
    ///
    /// # Errors
    /// When there is no such function.
    pub fn function_environment(&self, function: &str) -> Result<Vec<(String, String)>, CallError> {
        let path = format!("/2015-03-31/functions/{function}/configuration");
        let configuration = self.lambda("GET", &path, None)?;
        let url = format!("{}/securecart-extension/session", self.endpoint());
        let credentials = self.client.control("POST", &url, Some(&configuration))?;
        let own = configuration.pointer("/Environment/Variables").unwrap_or(&Value::Null);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let pairs = [own, &credentials]
            .map(Value::as_object)
            .into_iter()
            .flatten()
            .flatten();
        let mut variables: Vec<_> = pairs.map(|(name, value)| (name.clone(), text(value))).collect();
        variables.push(("AWS_REGION".to_owned(), REGION.to_owned()));
        Ok(variables)
    }

    /// What a stranger gets of S3: the HTTP status of a GET without credentials, such as `anonymous("bucket", "key")`.
    pub fn anonymous(&self, bucket: &str, key: &str) -> Result<u16, CallError> {
        self.client.anonymous(&format!("{}/{bucket}/{key}", self.endpoint()))
    }

    /// Makes one signed call of Lambda's REST API, such as `lambda("GET", "/2015-03-31/functions/", None)`.
    pub fn lambda(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, CallError> {
        self.client.rest(self.endpoint(), REGION, "lambda", method, path, body)
    }

    /// Makes one signed call of Security Hub's REST API, such as `security_hub("PATCH", "/findings/batchupdate", Some(&body))`.
    pub fn security_hub(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, CallError> {
        self.client
            .rest(self.waf_endpoint(), REGION, "securityhub", method, path, body)
    }

    /// The controls of our extension: AWS WAF's limit, and the calls that AWS WAF and Security Hub got.
    pub fn extension(&self) -> Extension<'_> {
        Extension {
            client: &self.client,
            endpoint: self.waf_endpoint(),
        }
    }

    /// Deploys a SAM template, or deploys it again with other parameters, and reads every resource back.
    ///
    /// `binaries` gives each function's binary by the name that the template knows: `BuildProperties.Binary`, the last part
    /// of `CodeUri`, or the logical id. They run under the function's own role, whose permissions are enforced.
    ///
    /// AWS WAF's resources are created at moto from the template's properties, and stay as they are when the stack is deployed again.
    /// Fails for a type that the emulators cannot create and for a resource that cannot be read back.
    pub fn deploy(
        &self,
        template: &Path,
        stack: &str,
        binaries: &[(&str, &Path)],
        parameters: &[(&str, &str)],
    ) -> Result<Deployment> {
        stack::deploy(self, template, stack, binaries, parameters, None)
    }

    /// Writes the template so that a real `sam deploy` can deploy it to [`endpoint`](Self::endpoint): with AWS WAF's resources created and
    /// replaced by what CloudFormation would give for them, and with the functions' code uploaded. Returns only those resources.
    pub fn prepare(
        &self,
        template: &Path,
        stack: &str,
        binaries: &[(&str, &Path)],
        parameters: &[(&str, &str)],
        prepared: &Path,
    ) -> Result<Deployment> {
        stack::deploy(self, template, stack, binaries, parameters, Some(prepared))
    }

    /// Deploys the stacks of the reference environment that a root template names, and accounts for every resource of theirs: see
    /// `python/stacks.py`. `binaries` are those of a SAM template among them, as for [`deploy`](Self::deploy).
    ///
    /// # Errors
    /// For a resource whose type is neither created nor checked, that is not created, cannot be read back, or is not of its schema.
    pub fn deploy_stacks(
        &self,
        root: &Path,
        stack: &str,
        binaries: &[(&str, &Path)],
        parameters: &[(&str, &str)],
    ) -> Result<Stacks> {
        stacks::deploy(self, root, stack, binaries, parameters)
    }

    /// The path of `cargo-lambda`, which is installed beside the emulators when it is first asked for (500 MB, most of it the Zig linker).
    ///
    /// Its folder must come first in `PATH` when it builds, so that it finds Zig.
    pub fn cargo_lambda(progress: &dyn Fn(&str)) -> Result<PathBuf> {
        python::cargo_lambda(progress)
    }
}
