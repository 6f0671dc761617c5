//! A function as it is deployed, on the local cloud.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]
#![allow(dead_code, reason = "each test file uses a part")]

use local_cloud::{Call, CallError, Deployment, FUNCTIONS, LocalCloud, logical, workspace};
use serde_json::Value;

/// The application with one function under test.
pub struct Stack {
    pub cloud: LocalCloud,
    pub deployment: Deployment,
    function: &'static str,
    name: &'static str,
    logical: String,
}

impl Stack {
    /// Deploys on a local cloud of its own, with the function in the mode `enforce`.
    pub fn deploy(name: &'static str, stack: &'static str, parameters: &[(&str, &str)]) -> Self {
        let cloud = LocalCloud::start(&|_| {}).unwrap();
        Self::on(cloud, name, stack, parameters)
    }

    /// Deploys the same stack with other parameters.
    pub fn again(self, parameters: &[(&str, &str)]) -> Self {
        Self::on(self.cloud, self.function, self.name, parameters)
    }

    fn on(cloud: LocalCloud, function: &'static str, name: &'static str, parameters: &[(&str, &str)]) -> Self {
        let logical = logical(function);
        // The other functions are deployed, too, and never run: any binary stands for theirs.
        let binary = local_cloud::function(function).unwrap();
        let binaries = FUNCTIONS.map(|name| (name, binary.as_path()));
        let mode = format!("{logical}Mode");
        let mut all = vec![(mode.as_str(), "enforce"), ("LedgerDeletionProtection", "false")];
        all.extend(parameters);
        let template = workspace().unwrap().join("template.yaml");
        let deployment = cloud.deploy(&template, name, &binaries, &all).unwrap();
        Self {
            cloud,
            deployment,
            function,
            name,
            logical,
        }
    }

    /// A sample event of the function.
    pub fn sample(&self, name: &str) -> Value {
        let file = workspace()
            .unwrap()
            .join("events")
            .join(self.function)
            .join(format!("{name}.json"));
        serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
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
        let answers = self.cloud.boto3(calls).unwrap();
        answers.into_iter().map(Result::unwrap).collect()
    }
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
