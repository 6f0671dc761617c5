//! What is measured, and what it is measured against.

use std::{
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
use serde_json::{Value, json};

/// One function at work on one sample event.
#[derive(Debug)]
pub struct Job {
    pub function: &'static str,
    pub sample: &'static str,
    /// The calls that make the change: one has to be seen.
    pub writes: &'static [&'static str],
    /// The policy that makes Cloud Custodian do the nearest that it can.
    pub custodian: Option<&'static str>,
}

pub const JOBS: [Job; 7] = [
    Job {
        function: "block-ip",
        sample: "ssh-brute-force",
        writes: &["UpdateIPSet"],
        custodian: None,
    },
    Job {
        function: "disable-access-key",
        // Of a user without a path: Cloud Custodian does not find the others by what Security Hub says.
        sample: "securityhub-iam8",
        writes: &["UpdateAccessKey"],
        custodian: Some("disable-access-key"),
    },
    Job {
        function: "revoke-permissions",
        sample: "securityhub-iam1",
        writes: &["CreatePolicyVersion"],
        custodian: None,
    },
    Job {
        function: "enforce-s3-encryption",
        sample: "securityhub-s3-17",
        writes: &["PutBucketEncryption"],
        custodian: None,
    },
    Job {
        function: "block-public-access",
        sample: "securityhub-s3-8",
        writes: &["PutPublicAccessBlock"],
        custodian: None,
    },
    Job {
        function: "close-open-ingress",
        sample: "securityhub-ec2-13",
        writes: &["RevokeSecurityGroupIngress"],
        custodian: None,
    },
    Job {
        function: "enforce-storage-encryption",
        sample: "securityhub-ec2-7",
        writes: &["EnableEbsEncryptionByDefault"],
        custodian: None,
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

    pub fn does(self, job: &Job) -> bool {
        self != Self::Custodian || job.custodian.is_some()
    }

    /// What it is called with.
    pub fn payload(self, job: &Job, delivery: usize) -> Value {
        let event = sample(job.function, job.sample);
        match self {
            Self::Ours | Self::Python => batch(&[event], delivery),
            Self::Custodian => event,
        }
    }
}

/// Where everything is that is measured.
pub struct Subjects {
    python: PathBuf,
    folder: PathBuf,
    /// Where Cloud Custodian's packages are: one folder a policy, as it deploys them.
    custodian: PathBuf,
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
        let custodian = workspace()?.join("target/bench/custodian");
        for job in &JOBS {
            let Some(policy) = job.custodian else { continue };
            let package = custodian.join(job.function);
            fs::create_dir_all(&package)?;
            let policies = fs::read_to_string(folder.join("custodian.json"))?;
            let policies: Value = serde_json::from_str(&policies)?;
            let policy = policies.get(policy).with_context(|| format!("no policy {policy}"))?;
            let config = json!({ "execution-options": { "account_id": local_cloud::ACCOUNT, "region": local_cloud::REGION, "output_dir": "/tmp" }, "policies": [policy] });
            fs::write(package.join("config.json"), config.to_string())?;
            fs::copy(folder.join("custodian_policy.py"), package.join("custodian_policy.py"))?;
        }
        Ok(Self {
            python,
            folder,
            custodian,
        })
    }

    /// Starts a new process of a subject.
    pub fn start(&self, laboratory: &Laboratory, subject: Subject, job: &Job, trust: &Path) -> Result<Instance> {
        let mut command = match subject {
            Subject::Ours => laboratory.command(job.function)?,
            Subject::Python => self.python(laboratory, job, &self.folder, &job.function.replace('-', "_"))?,
            Subject::Custodian => {
                let package = self.custodian.join(job.function);
                let mut command = self.python(laboratory, job, &package, "custodian_policy.run")?;
                command.env("HOME", "/tmp");
                command
            }
        };
        command
            .env("SSL_CERT_FILE", trust)
            .env("AWS_CA_BUNDLE", trust)
            .stdout(std::process::Stdio::null());
        if std::env::var_os("BENCH_LOG").is_none() {
            command.stderr(std::process::Stdio::null());
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
