//! What the sample events are about, on the local cloud.

use chrono::{Duration, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::stack::{Stack, sample};

/// What is changed: by which function, for which sample event.
pub const CHANGES: [(&str, &str, &str); 21] = [
    ("an address in the set", "block-ip", "ssh-brute-force"),
    ("several addresses", "block-ip", "port-probe-several"),
    (
        "a block where there was none",
        "block-public-access",
        "securityhub-s3-8",
    ),
    ("a block in part", "block-public-access", "config-public-write"),
    ("a rule of a security group", "close-open-ingress", "securityhub-ec2-13"),
    (
        "the default of a Region",
        "enforce-storage-encryption",
        "securityhub-ec2-7",
    ),
    ("a key, by a rule", "disable-access-key", "securityhub-iam3"),
    ("a key and its sessions", "disable-access-key", "health-exposed-key"),
    ("the sessions of a user", "disable-access-key", "guardduty-user-session"),
    ("the sessions of a role", "disable-access-key", "guardduty-role-session"),
    ("a default encryption", "enforce-s3-encryption", "securityhub-s3-17"),
    ("a statement in a policy", "enforce-s3-encryption", "securityhub-s3-5"),
    (
        "a policy where there was none",
        "enforce-s3-encryption",
        "config-ssl-requests-only",
    ),
    (
        "a version of a managed policy",
        "revoke-permissions",
        "securityhub-iam1",
    ),
    (
        "a recommended version",
        "revoke-permissions",
        "access-analyzer-unused-permission",
    ),
    (
        "an inline policy that is trimmed",
        "revoke-permissions",
        "securityhub-kms2",
    ),
    (
        "an inline policy that goes",
        "revoke-permissions",
        "config-inline-policy",
    ),
    (
        "a managed policy that is detached",
        "revoke-permissions",
        "config-blacklisted",
    ),
    ("a quarantine", "revoke-permissions", "access-analyzer-unused-role"),
    ("a trust policy", "revoke-permissions", "access-analyzer-external-role"),
    (
        "a bucket policy that goes",
        "revoke-permissions",
        "securityhub-external-bucket",
    ),
];

const GROUP: &str = "sg-0a1b2c3d4e5f60718";
const ORDERS: &str = "securecart-orders-111122223333";
const UPLOADS: &str = "securecart-uploads-111122223333";
const MEDIA: &str = "securecart-media-111122223333";
const WEBSITE: &str = "securecart-website-111122223333";

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
    stack.set_identities(&identities);
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
    stack.set_identities(&identities);
}

/// Buckets that are open to everybody, or could be opened: one on which only ACLs are blocked, and a website.
pub fn public_buckets(stack: &Stack) {
    let acls = json!({
        "BlockPublicAcls": true, "IgnorePublicAcls": true, "BlockPublicPolicy": false, "RestrictPublicBuckets": false,
    });
    let site = json!({ "IndexDocument": { "Suffix": "index.html" } });
    stack.boto3(&[
        ("s3", "create_bucket", json!({ "Bucket": MEDIA })),
        ("s3", "create_bucket", json!({ "Bucket": UPLOADS })),
        ("s3", "create_bucket", json!({ "Bucket": WEBSITE })),
        // S3 blocks all public access to new buckets.
        ("s3", "delete_public_access_block", json!({ "Bucket": MEDIA })),
        ("s3", "delete_public_access_block", json!({ "Bucket": WEBSITE })),
        (
            "s3",
            "put_public_access_block",
            json!({ "Bucket": UPLOADS, "PublicAccessBlockConfiguration": acls }),
        ),
        (
            "s3",
            "put_bucket_website",
            json!({ "Bucket": WEBSITE, "WebsiteConfiguration": site }),
        ),
    ]);
}

/// All that [`CHANGES`] are about.
pub fn everything(stack: &Stack) {
    credentials(stack);
    permissions(stack);
    public_buckets(stack);
    let read = json!([{ "Effect": "Allow", "Principal": { "AWS": "111122223333" }, "Action": "s3:GetObject", "Resource": format!("arn:aws:s3:::{ORDERS}/*") }]);
    stack.boto3(&[
        ("s3", "create_bucket", json!({ "Bucket": ORDERS })),
        (
            "s3",
            "put_bucket_policy",
            json!({ "Bucket": ORDERS, "Policy": policy(&read) }),
        ),
    ]);
    stack.cloud.name_security_groups(&[GROUP]).unwrap();
    let vpc = stack
        .boto3(&[("ec2", "create_vpc", json!({ "CidrBlock": "10.0.0.0/16" }))])
        .remove(0)["Vpc"]["VpcId"]
        .take();
    let rule = |port: u16, description: &str| {
        let range = json!([{ "CidrIp": "0.0.0.0/0", "Description": description }]);
        let permission = json!({ "IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": range });
        let call = json!({ "GroupId": GROUP, "IpPermissions": [permission] });
        ("ec2", "authorize_security_group_ingress", call)
    };
    let group = json!({ "GroupName": "bastion", "Description": "bastion", "VpcId": vpc });
    stack.boto3(&[
        ("ec2", "create_security_group", group),
        rule(443, "the shop"),
        rule(22, "a minute"),
    ]);
    let sample = sample("revoke-permissions", "access-analyzer-unused-permission");
    let less = policy(&json!([allow("dynamodb:GetItem", "arn:aws:dynamodb:*:*:table/orders")]));
    let finding = json!({
        "id": sample["detail"]["findingId"], "resource": sample["detail"]["resource"],
        "steps": [{
            "action": "CREATE_POLICY", "policy": arn("securecart-orders-access"), "document": less,
            "updated": Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true),
        }],
    });
    let findings = stack.here(&json!({ "findings": [finding] }));
    stack.cloud.set_recommendations(&findings).unwrap();
}
