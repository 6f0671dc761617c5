//! The workflows take nothing that is not pinned, hold no more rights than they need, and release one version. No emulator is needed for it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod common;

use std::{collections::BTreeSet, fs, process::Command};

use serde_json::Value;

fn read(path: &str) -> String {
    fs::read_to_string(common::root().join(path)).unwrap()
}

/// The workflows, by their files' names.
fn workflows() -> Vec<(String, Value)> {
    let folder = fs::read_dir(common::root().join(".github/workflows")).unwrap();
    let mut names: Vec<_> = folder
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let workflow = |name: String| {
        let workflow = common::yaml(&format!(".github/workflows/{name}"));
        (name, workflow)
    };
    names.into_iter().map(workflow).collect()
}

/// Each job with its name.
fn jobs(workflow: &Value) -> Vec<(String, Value)> {
    workflow["jobs"].as_object().unwrap().clone().into_iter().collect()
}

fn steps(job: &Value) -> Vec<Value> {
    job["steps"].as_array().unwrap().clone()
}

/// What a job may do: its own permissions, or the workflow's.
fn permissions(workflow: &Value, job: &Value) -> BTreeSet<String> {
    let given = job.get("permissions").unwrap_or(&workflow["permissions"]);
    let given = given.as_object().unwrap().iter();
    given
        .map(|(what, how)| format!("{what}: {}", how.as_str().unwrap()))
        .collect()
}

fn takes_credentials(job: &Value) -> bool {
    steps(job).iter().any(|step| {
        step["uses"]
            .as_str()
            .is_some_and(|uses| uses.starts_with("aws-actions/"))
    })
}

#[test]
fn the_workflows_are_there_and_every_job_can_run() {
    let workflows = workflows();
    let names: Vec<_> = workflows.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["ci.yml", "release.yml"]);
    for (name, workflow) in &workflows {
        assert!(workflow["on"].is_object(), "{name}");
        let jobs = jobs(workflow);
        let known: BTreeSet<_> = jobs.iter().map(|(name, _)| name.as_str()).collect();
        for (id, job) in &jobs {
            assert!(
                job["runs-on"].is_string() && job["timeout-minutes"].is_u64(),
                "{name}: {id}"
            );
            for step in steps(job) {
                assert_ne!(
                    step.get("run").is_some(),
                    step.get("uses").is_some(),
                    "{name}: {id}: {step}"
                );
            }
            for need in job["needs"].as_array().into_iter().flatten() {
                assert!(known.contains(need.as_str().unwrap()), "{name}: {id} needs {need}");
            }
        }
    }
}

/// By the full hash of a commit, with the version for people, and by the same one everywhere.
#[test]
fn every_action_is_pinned() {
    let mut pinned = BTreeSet::new();
    for (name, workflow) in workflows() {
        let text = read(&format!(".github/workflows/{name}"));
        let lines: Vec<_> = text.lines().filter(|line| line.contains("uses:")).collect();
        let used = jobs(&workflow)
            .iter()
            .flat_map(|(_, job)| steps(job))
            .filter(|step| step.get("uses").is_some())
            .count();
        assert_eq!(lines.len(), used, "{name}: each uses stands on a line of its own");
        for line in lines {
            let (_, action) = line.split_once("uses:").unwrap();
            let (action, version) = action
                .split_once('#')
                .unwrap_or_else(|| panic!("{name}: no version: {line}"));
            let (action, commit) = action.trim().split_once('@').unwrap();
            let is_hash = commit.len() == 40 && commit.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            assert!(is_hash, "{name}: {line}");
            assert!(version.trim().starts_with('v'), "{name}: {line}");
            pinned.insert((action.to_owned(), commit.to_owned()));
        }
    }
    let actions: BTreeSet<_> = pinned.iter().map(|(action, _)| action).collect();
    assert_eq!(actions.len(), pinned.len(), "one action by two commits: {pinned:?}");
}

/// A token for AWS only where credentials are taken, which is behind an environment; writing to the repository only to publish.
#[test]
fn permissions_are_the_least() {
    let set = |rights: &[&str]| rights.iter().map(|right| (*right).to_owned()).collect::<BTreeSet<_>>();
    for (name, workflow) in workflows() {
        let whole = workflow["permissions"].as_object().unwrap();
        assert!(whole.values().all(|how| how == "read"), "{name}: {whole:?}");
        for (id, job) in jobs(&workflow) {
            let expected = if takes_credentials(&job) {
                assert_eq!(job["environment"], Value::from(id.as_str()), "{name}: {id}");
                set(&["contents: read", "id-token: write"])
            } else if id == "publish" {
                set(&["contents: write"])
            } else {
                set(&["contents: read"])
            };
            assert_eq!(permissions(&workflow, &job), expected, "{name}: {id}");
        }
    }
}

/// What is no secret cannot leak.
#[test]
fn there_are_no_keys_and_nothing_from_outside_gets_into_a_script() {
    for (name, workflow) in workflows() {
        let text = read(&format!(".github/workflows/{name}"));
        for word in ["secrets.", "aws-access-key-id", "AWS_SECRET", "pull_request_target"] {
            assert!(!text.contains(word), "{name}: {word}");
        }
        for (id, job) in jobs(&workflow) {
            for step in steps(&job) {
                let script = step["run"].as_str().unwrap_or_default();
                assert!(!script.contains("${{"), "{name}: {id}: {script}");
                let checks_out = step["uses"]
                    .as_str()
                    .is_some_and(|uses| uses.starts_with("actions/checkout@"));
                assert!(
                    !checks_out || step["with"]["persist-credentials"] == false,
                    "{name}: {id}"
                );
            }
        }
    }
}

#[test]
fn ci_runs_the_one_script() {
    let ran = |job: &Value| steps(job).iter().any(|step| step["run"] == "bash .ci/run");
    for (name, workflow) in workflows() {
        assert!(jobs(&workflow).iter().any(|(_, job)| ran(job)), "{name}");
    }
}

/// Their database is on the network, which the script of every change does without; and it grows without any change here.
#[test]
fn advisories_are_looked_up_each_week() {
    let (_, ci) = workflows().into_iter().find(|(name, _)| name == "ci.yml").unwrap();
    assert!(ci["on"]["schedule"][0]["cron"].is_string());
    let is_asked = |step: &Value| step["run"] == "cargo deny --workspace check";
    assert!(steps(&ci["jobs"]["supply-chain"]).iter().any(is_asked));
}

/// Tests and the dry run come before, and a person's word between.
#[test]
fn nothing_reaches_enforce_past_the_tests_and_the_dry_run() {
    let (_, release) = workflows().into_iter().find(|(name, _)| name == "release.yml").unwrap();
    let needs = |job: &str| -> Vec<String> {
        let needs = release["jobs"][job]["needs"].as_array();
        needs
            .into_iter()
            .flatten()
            .map(|need| need.as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(needs("dry-run"), ["check", "build"]);
    assert_eq!(needs("enforce"), ["dry-run"]);
    assert_eq!(needs("publish"), ["enforce", "bill-of-materials"]);
    assert_eq!(
        release["jobs"]["build"]["strategy"]["matrix"]["architecture"],
        serde_json::json!(["arm64", "x86_64"])
    );
    let samconfig = read("samconfig.toml");
    for stage in ["dry-run", "enforce"] {
        let job = &release["jobs"][stage];
        assert!(samconfig.contains(&format!("[{stage}.deploy.parameters]")));
        let environment = format!("--config-env {stage} ");
        assert!(
            steps(job)
                .iter()
                .any(|step| step["run"].as_str().unwrap_or_default().contains(&environment))
        );
    }
    let stack = release["jobs"]["dry-run"]["env"]["STACK"].as_str().unwrap();
    assert!(samconfig.contains(&format!("[dry-run.global.parameters]\nstack_name = \"{stack}\"")));
}

/// `## [1.2.3] - 2026-01-31`
fn versions() -> Vec<String> {
    let text = read("CHANGELOG.md");
    let headings = text
        .lines()
        .filter_map(|line| line.strip_prefix("## [")?.split_once(']'));
    headings.map(|(version, _)| version.to_owned()).collect()
}

#[test]
fn there_is_one_version() {
    let version = env!("CARGO_PKG_VERSION");
    let about = common::template()["Metadata"]["AWS::ServerlessRepo::Application"].clone();
    assert_eq!(about["SemanticVersion"], version);
    for file in ["LicenseUrl", "ReadmeUrl"] {
        assert!(common::root().join(about[file].as_str().unwrap()).is_file(), "{file}");
    }
    // Bounds of the Serverless Application Repository.
    assert!(about["Description"].as_str().unwrap().len() <= 256);
    assert!(about["Labels"].as_array().unwrap().len() <= 10);
    let versions = versions();
    assert_eq!(versions[..2], ["Unreleased", version]);
}

#[test]
fn a_release_says_what_the_changelog_says() {
    let excerpt = |version: &str| {
        let script = common::root().join(".github/changelog-of");
        Command::new("bash").arg(script).arg(version).output().unwrap()
    };
    let said = excerpt(env!("CARGO_PKG_VERSION"));
    assert!(said.status.success());
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.starts_with("### Added") && !said.contains("## ["), "{said}");
    assert!(read("CHANGELOG.md").contains(said.trim_end()));
    assert!(!excerpt("9.9.9").status.success());
}
