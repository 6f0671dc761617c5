//! A function as it is deployed, on the local cloud.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use local_cloud::{Call, CallError, Deployment, FUNCTIONS, LocalCloud, logical, workspace};
use serde_json::{Value, json};

/// The application with one function under test.
#[derive(Debug)]
pub struct Stack {
    pub cloud: LocalCloud,
    pub deployment: Deployment,
    name: &'static str,
    function: &'static str,
    logical: String,
    account: &'static str,
}

impl Stack {
    /// Deploys on a local cloud of its own, with the function in the mode `enforce` and these settings beside.
    pub fn deploy(function: &'static str, name: &'static str, settings: &Value) -> Self {
        Self::deploy_with(function, name, settings, &[])
    }

    /// The same with these parameters.
    pub fn deploy_with(
        function: &'static str,
        name: &'static str,
        settings: &Value,
        parameters: &[(&str, &str)],
    ) -> Self {
        let stack = Self::deploy_template(function, name, &today(), parameters);
        stack.set(settings);
        stack
    }

    /// From another template.
    pub fn deploy_template(
        function: &'static str,
        name: &'static str,
        template: &Path,
        parameters: &[(&str, &str)],
    ) -> Self {
        let binary = local_cloud::function(function).unwrap();
        Self::of(function, name, template, &stand_ins(&binary), parameters)
    }

    /// Deploys the stack again.
    pub fn deploy_again(&mut self, template: &Path, parameters: &[(&str, &str)]) {
        let binary = local_cloud::function(self.function).unwrap();
        self.deployment = deploy(&self.cloud, self.name, template, &stand_ins(&binary), parameters);
    }

    /// The whole application, in the mode `enforce`.
    pub fn deploy_all(name: &'static str) -> Self {
        Self::deploy_binaries(name, local_cloud::function)
    }

    /// The same with these parameters.
    pub fn deploy_all_with(name: &'static str, parameters: &[(&str, &str)]) -> Self {
        Self::enforcing(name, local_cloud::function, parameters)
    }

    /// The same with these binaries.
    pub fn deploy_binaries(name: &'static str, binary: impl Fn(&str) -> anyhow::Result<PathBuf>) -> Self {
        Self::enforcing(name, binary, &[])
    }

    fn enforcing(
        name: &'static str,
        binary: impl Fn(&str) -> anyhow::Result<PathBuf>,
        parameters: &[(&str, &str)],
    ) -> Self {
        let binaries = FUNCTIONS.map(|function| (function, binary(function).unwrap()));
        let binaries: Vec<_> = binaries
            .iter()
            .map(|(name, binary)| (*name, binary.as_path()))
            .collect();
        let stack = Self::of("block-ip", name, &today(), &binaries, parameters);
        let settings = json!({ "mode": "enforce" }).to_string();
        stack.cloud.set(&stack.deployment, &settings).unwrap();
        stack
    }

    fn of(
        function: &'static str,
        name: &'static str,
        template: &Path,
        binaries: &[(&str, &Path)],
        parameters: &[(&str, &str)],
    ) -> Self {
        let cloud = LocalCloud::start(&|_| {}).unwrap();
        let deployment = deploy(&cloud, name, template, binaries, parameters);
        Self {
            cloud,
            deployment,
            name,
            function,
            logical: logical(function),
            account: local_cloud::ACCOUNT,
        }
    }

    /// The roles for the functions of this stack in another account, as CloudFormation makes them there.
    pub fn join(&self, account: &str, external_id: &str) {
        let template = std::fs::read_to_string(workspace().unwrap().join("stacks/member-role.yaml")).unwrap();
        let parameter = |name, value| json!({ "ParameterKey": name, "ParameterValue": value });
        let parameters = [
            parameter("HomeAccount", local_cloud::ACCOUNT),
            parameter("HomeStack", self.name),
            parameter("ExternalId", external_id),
        ];
        let create = json!({
            "StackName": "securecart-member", "TemplateBody": template, "Capabilities": ["CAPABILITY_NAMED_IAM"], "Parameters": parameters,
        });
        let describe = json!({ "StackName": "securecart-member" });
        let calls = [
            ("cloudformation", "create_stack", create),
            ("cloudformation", "describe_stacks", describe),
        ];
        let mut answers = self.cloud.boto3_in(account, &calls).unwrap();
        let described = answers.remove(1).unwrap();
        assert_eq!(described["Stacks"][0]["StackStatus"], "CREATE_COMPLETE", "{described}");
    }

    /// From now on boto3 calls in this account, and the seeds lie there.
    pub fn look_after(&mut self, account: &'static str) {
        self.account = account;
    }

    /// What is said of the home account, said of the one that is looked after.
    pub fn here(&self, said: &Value) -> Value {
        let said = said.to_string().replace(local_cloud::ACCOUNT, self.account);
        serde_json::from_str(&said).unwrap()
    }

    /// Gives users, roles, groups and policies their ids and dates.
    pub fn set_identities(&self, identities: &Value) {
        let mut identities = identities.clone();
        identities["account"] = json!(self.account);
        self.cloud.set_identities(&identities).unwrap();
    }

    /// The same stack, to speak with another of its functions.
    pub fn about(self, function: &'static str) -> Self {
        Self {
            function,
            logical: logical(function),
            ..self
        }
    }

    /// Sets the function's settings, in the mode `enforce` if they say nothing else. One that runs takes them within a minute.
    pub fn set(&self, settings: &Value) {
        let mut own = json!({ "mode": "enforce" });
        own.as_object_mut()
            .unwrap()
            .extend(settings.as_object().unwrap().clone());
        let document = json!({ "functions": { self.function: own } });
        self.cloud.set(&self.deployment, &document.to_string()).unwrap();
    }

    /// Waits until a function that runs has read the settings again.
    pub fn wait_for_settings(&self) {
        std::thread::sleep(Duration::from_secs(51));
    }

    /// A sample event of the function.
    pub fn sample(&self, name: &str) -> Value {
        sample(self.function, name)
    }

    /// Invokes the function with a sample event.
    pub fn invoke(&self, sample: &str) -> Result<Value, CallError> {
        self.call(&self.sample(sample))
    }

    /// Invokes the function with a payload.
    pub fn call(&self, payload: &Value) -> Result<Value, CallError> {
        let name = &self.deployment.outputs[&format!("{}FunctionName", self.logical)];
        self.cloud.invoke(name, payload)
    }

    /// The name of the function's role.
    pub fn role(&self) -> String {
        self.deployment.resources[&format!("{}Role", self.logical)]
            .physical_id
            .clone()
    }

    /// Calls by boto3 that have to succeed.
    pub fn boto3(&self, calls: &[Call<'_>]) -> Vec<Value> {
        let calls: Vec<Call<'_>> = calls
            .iter()
            .map(|(service, operation, parameters)| (*service, *operation, self.here(parameters)))
            .collect();
        let answers = self.cloud.boto3_in(self.account, &calls).unwrap();
        answers.into_iter().map(Result::unwrap).collect()
    }
}

/// The template as it is now.
fn today() -> PathBuf {
    workspace().unwrap().join("template.yaml")
}

/// The other functions are deployed, too, and never run: any binary stands for theirs.
fn stand_ins(binary: &Path) -> [(&'static str, &Path); FUNCTIONS.len()] {
    FUNCTIONS.map(|name| (name, binary))
}

fn deploy(
    cloud: &LocalCloud,
    name: &str,
    template: &Path,
    binaries: &[(&str, &Path)],
    parameters: &[(&str, &str)],
) -> Deployment {
    let parameters = [&[("LedgerDeletionProtection", "false")], parameters].concat();
    cloud.deploy(template, name, binaries, &parameters).unwrap()
}

/// Outcome and record of each target, from a function's answer.
pub fn outcomes(answer: &Value) -> Vec<(String, String)> {
    let outcomes = answer["outcomes"].as_array().unwrap();
    let each = |report: &Value| {
        let outcome = report["outcome"].as_object().unwrap().keys().next().unwrap().clone();
        (outcome, report["record"].as_str().unwrap().to_owned())
    };
    outcomes.iter().map(each).collect()
}

/// A sample event of a function.
pub fn sample(function: &str, name: &str) -> Value {
    let file = workspace().unwrap().join(format!("events/{function}/{name}.json"));
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}
