//! Stale and stolen credentials, in IAM.

use anyhow::{Context, Result, ensure};
use chrono::{Duration, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::stage::{Scene, Stage, find};
use crate::screen;

const FUNCTION: &str = "disable-access-key";
const USERS: [&str; 3] = ["checkout-deploy", "reporting", "ci-runner"];
const ROLE: &str = "securecart-web";
const DENY: &str = "SecureCartRevokeOlderSessions";

const SCENES: &[Scene] = &[
    Scene {
        file: "securityhub-iam3",
        about: "IAM.3: two keys are old, one of them is still in use",
        expect: &[
            ("AKIAEXAMPLECHECKOUT0", &["Remediated"]),
            ("AKIAEXAMPLECHECKOUT1", &["Escalated"]),
        ],
    },
    Scene {
        file: "config-unused-credentials",
        about: "Config names a user by its id; the key was never used",
        expect: &[("AKIAEXAMPLEREPORTING", &["Remediated"])],
    },
    Scene {
        file: "health-exposed-key",
        about: "AWS Health: a key lies in a public repository",
        expect: &[("AKIAEXAMPLECIRUNNER0", &["Remediated"]), ("sessions", &["Remediated"])],
    },
    Scene {
        file: "guardduty-role-session",
        about: "GuardDuty: a role's session is used outside AWS",
        expect: &[("securecart-web", &["Remediated"])],
    },
    Scene {
        file: "guardduty-root",
        about: "GuardDuty: the root user was used",
        expect: &[("Root", &["Escalated"])],
    },
];

pub fn play(stage: &Stage) -> Result<()> {
    screen::heading("disable-access-key: IAM before");
    let before = look(stage)?;
    let records = stage.play(FUNCTION, SCENES)?;
    screen::heading("IAM after");
    let after = look(stage)?;
    let expected = [
        "checkout-deploy  AKIAEXAMPLECHECKOUT0 Inactive  AKIAEXAMPLECHECKOUT1 Active",
        "reporting        AKIAEXAMPLEREPORTING Inactive",
        "ci-runner        AKIAEXAMPLECIRUNNER0 Inactive  SecureCartRevokeOlderSessions",
        "securecart-web   SecureCartRevokeOlderSessions",
    ];
    ensure!(after == expected, "IAM is {after:#?} and has to be {expected:#?}");
    let escalated = find(&records, "AKIAEXAMPLECHECKOUT1", "Escalated")?;
    ensure!(
        escalated.why.contains("aws iam create-access-key"),
        "the operator is not told what to do: {}",
        escalated.why
    );

    for (target, outcome) in [
        ("AKIAEXAMPLECHECKOUT0", "Remediated"),
        ("AKIAEXAMPLEREPORTING", "Remediated"),
        ("AKIAEXAMPLECIRUNNER0", "Remediated"),
    ] {
        stage.undo(FUNCTION, find(&records, target, outcome)?)?;
    }
    let sessions = |record: &&super::stage::Record| record.target.starts_with("{\"sessions\"");
    for record in records.iter().filter(sessions) {
        stage.undo(FUNCTION, record)?;
    }
    screen::heading("IAM after the undo, as it was before");
    let undone = look(stage)?;
    ensure!(undone == before, "IAM is {undone:#?} and was {before:#?}");
    Ok(())
}

/// The users and the role that the sample events are about, with keys of some age.
pub fn seed(stage: &Stage) -> Result<()> {
    let trust = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Principal": { "Service": "ec2.amazonaws.com" }, "Action": "sts:AssumeRole" }
    ] });
    stage.read(&[
        (
            "iam",
            "create_user",
            json!({ "UserName": "checkout-deploy", "Path": "/deploy/" }),
        ),
        ("iam", "create_user", json!({ "UserName": "reporting" })),
        ("iam", "create_user", json!({ "UserName": "ci-runner" })),
        ("iam", "create_user", json!({ "UserName": "analyst" })),
        (
            "iam",
            "create_role",
            json!({ "RoleName": ROLE, "AssumeRolePolicyDocument": trust.to_string() }),
        ),
    ])?;
    let ago = |days| (Utc::now() - Duration::days(days)).to_rfc3339_opts(SecondsFormat::Secs, true);
    let key = |id: &str, age, used: Option<i64>| json!({ "id": id, "created": ago(age), "last_used": used.map(ago) });
    stage.cloud.set_identities(&json!({
        "users": [
            { "name": "checkout-deploy", "id": "AIDA2EXAMPLECHECKOUT0",
              "keys": [key("AKIAEXAMPLECHECKOUT0", 400, Some(100)), key("AKIAEXAMPLECHECKOUT1", 120, Some(1))] },
            { "name": "reporting", "id": "AIDA2EXAMPLEREPORTING", "keys": [key("AKIAEXAMPLEREPORTING", 200, None)] },
            { "name": "ci-runner", "id": "AIDA2EXAMPLECIRUNNER0", "keys": [key("AKIAEXAMPLECIRUNNER0", 30, Some(0))] },
            { "name": "analyst", "id": "AIDA2EXAMPLEANALYST00", "keys": [] },
        ],
        "roles": [{ "name": ROLE, "id": "AROA2EXAMPLEWEBROLE00" }],
    }))?;
    Ok(())
}

/// Keys with their status, and our policy where it is, as boto3 reads them.
fn look(stage: &Stage) -> Result<Vec<String>> {
    let mut calls = Vec::new();
    for user in USERS {
        calls.push(("iam", "list_access_keys", json!({ "UserName": user })));
        calls.push(("iam", "list_user_policies", json!({ "UserName": user })));
    }
    calls.push(("iam", "list_role_policies", json!({ "RoleName": ROLE })));
    let answers = stage.read(&calls)?;
    let texts = |value: &Value, field: &str| -> Vec<String> {
        let list = value.get(field).and_then(Value::as_array).into_iter().flatten();
        list.map(|entry| match entry.as_str() {
            Some(text) => text.to_owned(),
            None => format!("{} {}", text(entry, "AccessKeyId"), text(entry, "Status")),
        })
        .collect()
    };
    let mut lines = Vec::new();
    for (user, answers) in USERS.iter().zip(answers.chunks(2)) {
        let [keys, policies] = answers else { continue };
        let mut parts = texts(keys, "AccessKeyMetadata");
        parts.extend(texts(policies, "PolicyNames"));
        lines.push(format!("{user:<16} {}", parts.join("  ")));
    }
    let policies = texts(answers.last().context("an answer about the role")?, "PolicyNames");
    ensure!(
        policies.iter().all(|name| name == DENY),
        "{ROLE} has the policies {policies:?}"
    );
    lines.push(format!("{ROLE:<16} {}", policies.join("  ")));
    for line in &lines {
        screen::row(line);
    }
    Ok(lines)
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}
