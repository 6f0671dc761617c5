//! What the sample events are about, on the local cloud.

use chrono::{Duration, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::stack::Stack;

pub const BUCKET: &str = "securecart-exports-111122223333";
pub const ADMIN: &str = "arn:aws:iam::aws:policy/AdministratorAccess";
/// What an author's own layout looks like; the order of the keys and every space is to come back.
const LEGACY: &str = "{\n  \"Version\" : \"2012-10-17\",\n  \"Statement\" : [\n    { \"Sid\":\"All\", \"Effect\":\"Allow\",\"Resource\":\"*\", \"Action\":\"*\" },\n    { \"Sid\":\"Queues\", \"Effect\":\"Allow\", \"Action\":[ \"sqs:SendMessage\" ], \"Resource\":\"*\" }\n  ]\n}";

pub fn arn(policy: &str) -> String {
    format!("arn:aws:iam::111122223333:policy/{policy}")
}

pub fn policy(statements: &Value) -> String {
    json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
}

pub fn allow(action: &str, resource: &str) -> Value {
    json!({ "Effect": "Allow", "Action": action, "Resource": resource })
}

/// Users, roles, groups, policies and a bucket that grant too much.
pub fn permissions(stack: &Stack) {
    let outside = json!({ "AWS": "arn:aws:iam::999988887777:root" });
    let trust =
        |principal: &Value| policy(&json!([{ "Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole" }]));
    let inside = trust(&json!({ "AWS": "arn:aws:iam::111122223333:root" }));
    let role = |name: &str, trust: &str| {
        (
            "iam",
            "create_role",
            json!({ "RoleName": name, "AssumeRolePolicyDocument": trust }),
        )
    };
    let managed = |name: &str, text: &str| {
        (
            "iam",
            "create_policy",
            json!({ "PolicyName": name, "PolicyDocument": text }),
        )
    };
    let attach = |role: &str, arn: &str| {
        (
            "iam",
            "attach_role_policy",
            json!({ "RoleName": role, "PolicyArn": arn }),
        )
    };
    let exports = policy(&json!([{
        "Effect": "Allow", "Principal": outside, "Action": ["s3:GetObject", "s3:ListBucket"],
        "Resource": [format!("arn:aws:s3:::{BUCKET}"), format!("arn:aws:s3:::{BUCKET}/*")]
    }]));
    let reports = policy(&json!([allow("kms:Decrypt", "*"), allow("s3:GetObject", "*")]));
    stack.boto3(&[
        ("iam", "create_user", json!({ "UserName": "administrator" })),
        ("iam", "create_access_key", json!({ "UserName": "administrator" })),
        ("iam", "attach_user_policy", json!({ "UserName": "administrator", "PolicyArn": ADMIN })),
        ("iam", "create_user", json!({ "UserName": "contractor" })),
        managed("securecart-legacy-admin", LEGACY),
        managed("securecart-orders-access", &policy(&json!([allow("dynamodb:*", "arn:aws:dynamodb:*:*:table/orders")]))),
        managed("securecart-kms-access", &policy(&json!([allow("kms:*", "*")]))),
        role("securecart-batch", &inside),
        role("securecart-reports", &inside),
        role("securecart-orders-api", &inside),
        role("securecart-migration", &inside),
        role("securecart-partner", &trust(&outside)),
        attach("securecart-batch", ADMIN),
        attach("securecart-batch", &arn("securecart-legacy-admin")),
        attach("securecart-reports", &arn("securecart-kms-access")),
        attach("securecart-orders-api", &arn("securecart-orders-access")),
        (
            "iam",
            "put_role_policy",
            json!({ "RoleName": "securecart-reports", "PolicyName": "decrypt-reports", "PolicyDocument": reports }),
        ),
        (
            "iam",
            "put_user_policy",
            json!({ "UserName": "contractor", "PolicyName": "deploy-anything", "PolicyDocument": policy(&json!([allow("*", "*")])) }),
        ),
        ("s3", "create_bucket", json!({ "Bucket": BUCKET })),
        ("s3", "put_bucket_policy", json!({ "Bucket": BUCKET, "Policy": exports })),
    ]);
    let ago = |days| (Utc::now() - Duration::days(days)).to_rfc3339_opts(SecondsFormat::Secs, true);
    let identities = json!({
        "users": [{ "name": "contractor", "id": "AIDA2EXAMPLECONTRACT" }],
        "roles": [
            { "name": "securecart-batch", "id": "AROA2EXAMPLEBATCH000" },
            { "name": "securecart-reports", "id": "AROA2EXAMPLEREPORTS0" },
            { "name": "securecart-migration", "id": "AROA2EXAMPLEMIGRATE0", "created": ago(500), "last_used": ago(200) },
        ],
        "policies": [
            { "name": "securecart-legacy-admin", "id": "ANPA2EXAMPLELEGACY00" },
            { "name": "securecart-orders-access", "id": "ANPA2EXAMPLEORDERS00" },
            { "name": "securecart-kms-access", "id": "ANPA2EXAMPLEKMSACC00" },
        ],
    });
    stack.cloud.set_identities(&identities).unwrap();
}

/// Users and a role, with keys of some age.
pub fn credentials(stack: &Stack) {
    let trust = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Principal": { "Service": "ec2.amazonaws.com" }, "Action": "sts:AssumeRole" }
    ] });
    stack.boto3(&[
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
            json!({ "RoleName": "securecart-web", "AssumeRolePolicyDocument": trust.to_string() }),
        ),
    ]);
    let ago = |days| (Utc::now() - Duration::days(days)).to_rfc3339_opts(SecondsFormat::Secs, true);
    let key = |id: &str, age, used: Option<i64>| json!({ "id": id, "created": ago(age), "last_used": used.map(ago) });
    let identities = json!({
        "users": [
            { "name": "checkout-deploy", "id": "AIDA2EXAMPLECHECKOUT0",
              "keys": [key("AKIAEXAMPLECHECKOUT0", 400, Some(100)), key("AKIAEXAMPLECHECKOUT1", 20, Some(1))] },
            { "name": "reporting", "id": "AIDA2EXAMPLEREPORTING", "keys": [key("AKIAEXAMPLEREPORTING", 200, None)] },
            { "name": "analyst", "id": "AIDA2EXAMPLEANALYST00", "keys": [] },
            { "name": "ci-runner", "id": "AIDA2EXAMPLECIRUNNER0", "keys": [key("AKIAEXAMPLECIRUNNER0", 30, Some(0))] },
        ],
        "roles": [{ "name": "securecart-web", "id": "AROA2EXAMPLEWEBROLE00" }],
    });
    stack.cloud.set_identities(&identities).unwrap();
}
