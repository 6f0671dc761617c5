//! Permissions that nobody needs, in IAM and in a bucket policy.

use anyhow::{Context, Result, ensure};
use chrono::{Duration, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::stage::{Scene, Stage, find, sample};
use crate::screen;

const FUNCTION: &str = "revoke-permissions";
const BUCKET: &str = "securecart-exports-111122223333";
const ADMIN: &str = "arn:aws:iam::aws:policy/AdministratorAccess";

const SCENES: &[Scene] = &[
    Scene {
        file: "securityhub-iam1",
        about: "IAM.1: a policy has an administrator's statement beside one that is needed",
        expect: &[("securecart-legacy-admin", &["Remediated"])],
    },
    Scene {
        file: "access-analyzer-unused-permission",
        about: "IAM Access Analyzer: a role does not use what its policy grants",
        expect: &[("securecart-orders-access", &["Remediated"])],
    },
    Scene {
        file: "config-kms-inline",
        about: "Config: an inline policy decrypts with every key",
        expect: &[("decrypt-reports", &["Remediated"])],
    },
    Scene {
        file: "access-analyzer-external-role",
        about: "IAM Access Analyzer: another account may assume a role",
        expect: &[("securecart-partner", &["Remediated"])],
    },
    Scene {
        file: "access-analyzer-external-bucket",
        about: "IAM Access Analyzer: another account may read a bucket",
        expect: &[("securecart-exports", &["Remediated"])],
    },
    Scene {
        file: "access-analyzer-unused-role",
        about: "IAM Access Analyzer: nobody uses a role",
        expect: &[("securecart-migration", &["Remediated"])],
    },
    Scene {
        file: "securityhub-iam2",
        about: "IAM.2: a user has policies of its own",
        expect: &[("contractor", &["Escalated"])],
    },
];

pub fn play(stage: &Stage) -> Result<()> {
    screen::heading("revoke-permissions: IAM and S3 before");
    let before = look(stage)?;
    let records = stage.play(FUNCTION, SCENES)?;
    screen::heading("IAM and S3 after");
    let after = look(stage)?;
    let says = |what: &str, text: &str| after.iter().any(|line| line.starts_with(what) && line.contains(text));
    for (what, text) in [
        ("policy/securecart-legacy-admin", r#"["sqs:SendMessage"]"#),
        ("policy/securecart-orders-access", "dynamodb:GetItem"),
        ("role/securecart-reports", "s3:GetObject"),
        ("role/securecart-partner", r#""Effect":"Deny""#),
        ("role/securecart-migration", "SecureCartQuarantine"),
        ("bucket/securecart-exports", "no policy"),
    ] {
        ensure!(says(what, text), "{what} has to say {text}: {after:#?}");
    }
    ensure!(
        !after
            .iter()
            .any(|line| line.contains("kms:Decrypt") || line.contains(r#""Action":"*","Effect":"Allow""#)),
        "something is still granted: {after:#?}"
    );
    let escalated = find(&records, "contractor", "Escalated")?;
    ensure!(
        escalated
            .why
            .contains("aws iam detach-user-policy --user-name contractor"),
        "the operator is not told what to do: {}",
        escalated.why
    );
    for record in records.iter().filter(|record| record.outcome == "Remediated") {
        stage.undo(FUNCTION, record)?;
    }
    screen::heading("IAM and S3 after the undo, as they were before");
    let undone = look(stage)?;
    ensure!(undone == before, "they are {undone:#?} and were {before:#?}");
    Ok(())
}

fn policy(statements: &Value) -> String {
    json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
}

fn allow(action: &str, resource: &str) -> Value {
    json!({ "Effect": "Allow", "Action": action, "Resource": resource })
}

/// What the sample events are about, and an administrator who stays.
pub fn seed(stage: &Stage) -> Result<()> {
    const TABLE: &str = "arn:aws:dynamodb:*:*:table/orders";
    let arn = |name: &str| format!("arn:aws:iam::{}:policy/{name}", local_cloud::ACCOUNT);
    let trust = |principal: &str| {
        policy(&json!([{ "Effect": "Allow", "Principal": { "AWS": principal }, "Action": "sts:AssumeRole" }]))
    };
    let role = |name: &str, principal: &str| {
        (
            "iam",
            "create_role",
            json!({ "RoleName": name, "AssumeRolePolicyDocument": trust(principal) }),
        )
    };
    let managed = |name: &str, statements: &Value| {
        (
            "iam",
            "create_policy",
            json!({ "PolicyName": name, "PolicyDocument": policy(statements) }),
        )
    };
    let attach = |role: &str, policy: &str| {
        (
            "iam",
            "attach_role_policy",
            json!({ "RoleName": role, "PolicyArn": arn(policy) }),
        )
    };
    let (inside, outside) = ("arn:aws:iam::111122223333:root", "arn:aws:iam::999988887777:root");
    let queues = json!({ "Sid": "Queues", "Effect": "Allow", "Action": ["sqs:SendMessage"], "Resource": "*" });
    let exports = json!([{
        "Effect": "Allow", "Principal": { "AWS": outside }, "Action": ["s3:GetObject", "s3:ListBucket"],
        "Resource": [format!("arn:aws:s3:::{BUCKET}"), format!("arn:aws:s3:::{BUCKET}/*")]
    }]);
    stage.read(&[
        ("iam", "create_user", json!({ "UserName": "administrator" })),
        ("iam", "create_access_key", json!({ "UserName": "administrator" })),
        (
            "iam",
            "attach_user_policy",
            json!({ "UserName": "administrator", "PolicyArn": ADMIN }),
        ),
        ("iam", "create_user", json!({ "UserName": "contractor" })),
        (
            "iam",
            "attach_user_policy",
            json!({ "UserName": "contractor", "PolicyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess" }),
        ),
        managed("securecart-legacy-admin", &json!([allow("*", "*"), queues])),
        managed("securecart-orders-access", &json!([allow("dynamodb:*", TABLE)])),
        role("securecart-batch", inside),
        role("securecart-orders-api", inside),
        role("securecart-reports", inside),
        role("securecart-migration", inside),
        role("securecart-partner", outside),
        attach("securecart-batch", "securecart-legacy-admin"),
        attach("securecart-orders-api", "securecart-orders-access"),
        (
            "iam",
            "put_role_policy",
            json!({ "RoleName": "securecart-reports", "PolicyName": "decrypt-reports",
                "PolicyDocument": policy(&json!([allow("kms:Decrypt", "*"), allow("s3:GetObject", "*")])) }),
        ),
        ("s3", "create_bucket", json!({ "Bucket": BUCKET })),
        (
            "s3",
            "put_bucket_policy",
            json!({ "Bucket": BUCKET, "Policy": policy(&exports) }),
        ),
    ])?;
    let ago = |days| (Utc::now() - Duration::days(days)).to_rfc3339_opts(SecondsFormat::Secs, true);
    stage.cloud.set_identities(&json!({
        "users": [{ "name": "contractor", "id": "AIDA2EXAMPLECONTRACT" }],
        "roles": [
            { "name": "securecart-reports", "id": "AROA2EXAMPLEREPORTS0" },
            { "name": "securecart-migration", "id": "AROA2EXAMPLEMIGRATE0", "created": ago(500), "last_used": ago(200) },
        ],
    }))?;
    let finding = sample(FUNCTION, "access-analyzer-unused-permission")?;
    let about = |field: &str| finding.pointer(&format!("/detail/{field}")).cloned();
    stage.cloud.set_recommendations(&json!({ "findings": [{
        "id": about("findingId"), "resource": about("resource"),
        "steps": [{ "action": "CREATE_POLICY", "policy": arn("securecart-orders-access"),
            "updated": ago(0), "document": policy(&json!([allow("dynamodb:GetItem", TABLE)])) }]
    }] }))?;
    Ok(())
}

/// What each policy says, as boto3 reads it.
fn look(stage: &Stage) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for name in ["securecart-legacy-admin", "securecart-orders-access"] {
        let arn = format!("arn:aws:iam::{}:policy/{name}", local_cloud::ACCOUNT);
        let policy = one(stage, "iam", "get_policy", &json!({ "PolicyArn": arn }))?;
        let version = policy
            .pointer("/Policy/DefaultVersionId")
            .and_then(Value::as_str)
            .context("a version")?;
        let get = json!({ "PolicyArn": arn, "VersionId": version });
        let document = one(stage, "iam", "get_policy_version", &get)?;
        lines.push(format!(
            "policy/{name:<26} {version} {}",
            at(&document, "/PolicyVersion/Document/Statement")
        ));
    }
    let inline = json!({ "RoleName": "securecart-reports", "PolicyName": "decrypt-reports" });
    let document = one(stage, "iam", "get_role_policy", &inline)?;
    lines.push(format!(
        "role/{:<28} {}",
        "securecart-reports",
        at(&document, "/PolicyDocument/Statement")
    ));
    let role = one(stage, "iam", "get_role", &json!({ "RoleName": "securecart-partner" }))?;
    lines.push(format!(
        "role/{:<28} {}",
        "securecart-partner",
        at(&role, "/Role/AssumeRolePolicyDocument/Statement")
    ));
    let names = one(
        stage,
        "iam",
        "list_role_policies",
        &json!({ "RoleName": "securecart-migration" }),
    )?;
    lines.push(format!(
        "role/{:<28} inline policies {}",
        "securecart-migration",
        at(&names, "/PolicyNames")
    ));
    let answer = stage
        .cloud
        .boto3(&[("s3", "get_bucket_policy", json!({ "Bucket": BUCKET }))])?
        .remove(0);
    let policy = match answer {
        Ok(answer) => at(&answer, "/Policy"),
        Err(error) if error.code() == Some("NoSuchBucketPolicy") => "no policy".to_owned(),
        Err(error) => return Err(error.into()),
    };
    lines.push(format!("bucket/{BUCKET} {policy}"));
    for line in &lines {
        screen::row(line);
    }
    Ok(lines)
}

fn one(stage: &Stage, service: &'static str, operation: &'static str, parameters: &Value) -> Result<Value> {
    let answers = stage.read(&[(service, operation, parameters.clone())])?;
    answers.into_iter().next().context("an answer")
}

fn at(answer: &Value, place: &str) -> String {
    match answer.pointer(place) {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => "nothing".to_owned(),
    }
}
