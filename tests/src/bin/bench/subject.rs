//! What is measured, and what it is measured against.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use local_cloud::{Instance, workspace};
use securecart_tests::{
    laboratory::{Laboratory, batch},
    stack::sample,
};
use serde::Deserialize;
use serde_json::{Value, json};

/// One function at work on one sample event.
#[derive(Debug)]
pub struct Job {
    pub function: &'static str,
    pub sample: &'static str,
    /// The calls that make the change: one has to be seen.
    pub writes: &'static [&'static str],
}

pub const JOBS: [Job; 7] = [
    Job {
        function: "block-ip",
        sample: "ssh-brute-force",
        writes: &["UpdateIPSet"],
    },
    Job {
        function: "disable-access-key",
        // Of a user without a path: Cloud Custodian does not find the others by what Security Hub says.
        sample: "securityhub-iam8",
        writes: &["UpdateAccessKey"],
    },
    Job {
        function: "revoke-permissions",
        sample: "securityhub-iam1",
        writes: &["CreatePolicyVersion"],
    },
    Job {
        function: "enforce-s3-encryption",
        sample: "securityhub-s3-17",
        writes: &["PutBucketEncryption"],
    },
    Job {
        function: "block-public-access",
        sample: "securityhub-s3-8",
        writes: &["PutPublicAccessBlock"],
    },
    Job {
        function: "close-open-ingress",
        sample: "securityhub-ec2-13",
        writes: &["RevokeSecurityGroupIngress"],
    },
    Job {
        function: "enforce-storage-encryption",
        sample: "securityhub-ec2-7",
        writes: &["EnableEbsEncryptionByDefault"],
    },
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    Ours,
    /// A handler with boto3 that makes the same calls, under AWS's own runtime interface client.
    Python,
    /// Cloud Custodian's own handler.
    Custodian,
}

impl Subject {
    pub const ALL: [Self; 3] = [Self::Ours, Self::Python, Self::Custodian];

    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "SecureCart",
            Self::Python => "Python, boto3",
            Self::Custodian => "Cloud Custodian",
        }
    }
}

/// What Cloud Custodian does that is nearest to a function, in `custodian.json`.
#[derive(Debug, Deserialize)]
struct Nearest {
    policy: Value,
    /// What it is called with, where it does not find the resource by the sample.
    event: Option<Value>,
}

/// Where everything is that is measured.
pub struct Subjects {
    python: PathBuf,
    folder: PathBuf,
    /// Where Cloud Custodian's packages are: one folder a policy, as it deploys them.
    packages: PathBuf,
    /// By function.
    custodian: BTreeMap<String, Nearest>,
}

impl Subjects {
    /// # Errors
    /// When Python's packages cannot be installed.
    pub fn prepare() -> Result<Self> {
        let folder = workspace()?.join("tests/bench");
        let python = local_cloud::environment(
            "bench",
            &folder.join("requirements.txt"),
            "installing what is measured against, once",
            &|line| eprintln!("{line}"),
        )?
        .join("bin/python");
        let packages = workspace()?.join("target/bench/custodian");
        let custodian: BTreeMap<String, Nearest> =
            serde_json::from_str(&fs::read_to_string(folder.join("custodian.json"))?).context("custodian.json")?;
        for (function, Nearest { policy, .. }) in &custodian {
            let package = packages.join(function);
            fs::create_dir_all(&package)?;
            let config = json!({ "execution-options": { "account_id": local_cloud::ACCOUNT, "region": local_cloud::REGION, "output_dir": "/tmp" }, "policies": [policy] });
            fs::write(package.join("config.json"), config.to_string())?;
            fs::copy(folder.join("custodian_policy.py"), package.join("custodian_policy.py"))?;
        }
        Ok(Self {
            python,
            folder,
            packages,
            custodian,
        })
    }

    /// Whether there is anything that this subject does for the job.
    pub fn has(&self, subject: Subject, job: &Job) -> bool {
        subject != Subject::Custodian || self.custodian.contains_key(job.function)
    }

    /// What a subject is called with.
    pub fn payload(&self, subject: Subject, job: &Job, delivery: usize) -> Value {
        let event = || sample(job.function, job.sample);
        match subject {
            Subject::Ours | Subject::Python => batch(&[event()], delivery),
            Subject::Custodian => {
                let nearest = self.custodian.get(job.function);
                nearest.and_then(|nearest| nearest.event.clone()).unwrap_or_else(event)
            }
        }
    }

    /// Starts a new process of a subject.
    pub fn start(&self, laboratory: &Laboratory, subject: Subject, job: &Job, trust: &Path) -> Result<Instance> {
        let mut command = match subject {
            Subject::Ours => laboratory.command(job.function)?,
            Subject::Python => self.python(laboratory, job, &self.folder, &job.function.replace('-', "_"))?,
            Subject::Custodian => {
                let package = self.packages.join(job.function);
                let mut command = self.python(laboratory, job, &package, "custodian_policy.run")?;
                command.env("HOME", "/tmp");
                // Its policies ask for more than the function's role may.
                command
                    .env("AWS_ACCESS_KEY_ID", "test")
                    .env("AWS_SECRET_ACCESS_KEY", "test")
                    .env_remove("AWS_SESSION_TOKEN");
                command
            }
        };
        command.env("SSL_CERT_FILE", trust).env("AWS_CA_BUNDLE", trust);
        // Python's runtime logs to the one, Rust's to the other.
        if std::env::var_os("BENCH_LOG").is_none() {
            command
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null());
        }
        Instance::start(&mut command)
    }

    fn python(&self, laboratory: &Laboratory, job: &Job, folder: &Path, handler: &str) -> Result<Command> {
        let handler = if handler.contains('.') {
            handler.to_owned()
        } else {
            format!("handlers.{handler}")
        };
        let mut command = laboratory.command_of(job.function, &self.python)?;
        command
            .args(["-m", "awslambdaric", &handler])
            .current_dir(folder)
            .env("LAMBDA_TASK_ROOT", folder)
            .env("_HANDLER", &handler)
            .env("AWS_DEFAULT_REGION", local_cloud::REGION)
            .env("PATH", "/usr/local/bin:/usr/bin:/bin");
        Ok(command)
    }
}
