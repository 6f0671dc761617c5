//! `enforce-s3-encryption` deployed on the local cloud: the real binary under its own enforced role, and boto3 to look at what it did.

use serde_json::{Value, json};

use crate::stack::{Stack, outcomes};

const FUNCTION: &str = "enforce-s3-encryption";
const ORDERS: &str = "securecart-orders-111122223333";
const UPLOADS: &str = "securecart-uploads-111122223333";

fn encryption(stack: &Stack, bucket: &str) -> Value {
    let mut answer = stack
        .boto3(&[("s3", "get_bucket_encryption", json!({ "Bucket": bucket }))])
        .remove(0);
    answer["ServerSideEncryptionConfiguration"]["Rules"][0].take()
}

fn policy(stack: &Stack, bucket: &str) -> Option<String> {
    let read = ("s3", "get_bucket_policy", json!({ "Bucket": bucket }));
    match stack.cloud.boto3(&[read]).unwrap().remove(0) {
        Ok(answer) => Some(answer["Policy"].as_str().unwrap().to_owned()),
        Err(error) => {
            assert_eq!(error.code(), Some("NoSuchBucketPolicy"));
            None
        }
    }
}

/// The first outcome of an answer, with its record.
fn outcome(answer: &Value) -> (String, String) {
    outcomes(answer).remove(0)
}

/// One test, in order: the stack is deployed once, with a key of the account's own.
#[test]
fn the_deployed_function() {
    let stack = Stack::deploy(FUNCTION, "aws", &json!({}));
    for bucket in [ORDERS, UPLOADS] {
        stack.boto3(&[("s3", "create_bucket", json!({ "Bucket": bucket }))]);
    }
    sse_s3_becomes_sse_kms_and_undo_restores_it(&stack);
    a_kms_bucket_stays_as_it_is(&stack);
    the_statement_is_merged_once_and_undone_to_the_byte(&stack);
    a_refused_write_is_a_failure(&stack);
    what_is_gone_is_declined(&stack);
    an_own_key_is_looked_at_first();
}

fn sse_s3_becomes_sse_kms_and_undo_restores_it(stack: &Stack) {
    let before = encryption(stack, ORDERS);
    assert_eq!(before["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"], "AES256");
    let (done, record) = outcome(&stack.invoke("securityhub-s3-17").unwrap());
    assert_eq!(done, "Remediated");
    let after = encryption(stack, ORDERS);
    assert_eq!(after["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"], "aws:kms");
    assert_eq!(after["BucketKeyEnabled"], true);
    // What is uploaded now is encrypted so.
    let answers = stack.boto3(&[
        (
            "s3",
            "put_object",
            json!({ "Bucket": ORDERS, "Key": "order", "Body": "x" }),
        ),
        ("s3", "head_object", json!({ "Bucket": ORDERS, "Key": "order" })),
    ]);
    assert_eq!(answers[1]["ServerSideEncryption"], "aws:kms");

    assert_eq!(outcome(&stack.call(&json!({ "undo": record })).unwrap()).0, "Undone");
    assert_eq!(encryption(stack, ORDERS), before);
    let held = stack.invoke("config-default-encryption-kms").unwrap();
    assert_eq!(outcome(&held).0, "Declined");
}

fn a_kms_bucket_stays_as_it_is(stack: &Stack) {
    let theirs = json!({ "Rules": [{
        "ApplyServerSideEncryptionByDefault": {
            "SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "arn:aws:kms:us-east-1:111122223333:key/theirs"
        },
        "BucketKeyEnabled": false
    }] });
    let put = json!({ "Bucket": UPLOADS, "ServerSideEncryptionConfiguration": theirs });
    stack.boto3(&[("s3", "put_bucket_encryption", put)]);
    let before = encryption(stack, UPLOADS);
    for sample in [
        "securityhub-s3-4-legacy",
        "config-server-side-encryption",
        "cloudtrail-create-bucket",
    ] {
        assert_eq!(outcome(&stack.invoke(sample).unwrap()).0, "AlreadyInPlace", "{sample}");
    }
    assert_eq!(encryption(stack, UPLOADS), before);
}

fn the_statement_is_merged_once_and_undone_to_the_byte(stack: &Stack) {
    let theirs = format!(
        "{{ \"Version\":\"2012-10-17\",\n  \"Statement\" : {{\"Sid\":\"Read\", \"Effect\" : \"Allow\", \"Principal\":{{\"AWS\":\"111122223333\"}}, \
         \"Action\":\"s3:GetObject\",\"Resource\":\"arn:aws:s3:::{ORDERS}/*\"}} }}"
    );
    stack.boto3(&[("s3", "put_bucket_policy", json!({ "Bucket": ORDERS, "Policy": theirs }))]);
    let (done, record) = outcome(&stack.invoke("securityhub-s3-5").unwrap());
    assert_eq!(done, "Remediated");
    assert_eq!(
        outcome(&stack.invoke("securityhub-s3-5-ocsf").unwrap()).0,
        "AlreadyInPlace"
    );
    let merged: Value = serde_json::from_str(&policy(stack, ORDERS).unwrap()).unwrap();
    let statements = merged["Statement"].as_array().unwrap();
    assert_eq!(statements.len(), 2);
    assert_eq!(
        (&statements[0]["Sid"], &statements[1]["Effect"]),
        (&json!("Read"), &json!("Deny"))
    );
    assert_eq!(outcome(&stack.call(&json!({ "undo": record })).unwrap()).0, "Undone");
    assert_eq!(policy(stack, ORDERS), Some(theirs));

    // A bucket without a policy has none again.
    let (_, record) = outcome(&stack.invoke("config-ssl-requests-only").unwrap());
    assert!(policy(stack, UPLOADS).is_some());
    assert_eq!(outcome(&stack.call(&json!({ "undo": record })).unwrap()).0, "Undone");
    assert_eq!(policy(stack, UPLOADS), None);
}

/// The function's role loses the permission, as an organisation's policy might take it.
fn a_refused_write_is_a_failure(stack: &Stack) {
    let deny = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Deny", "Action": "s3:PutEncryptionConfiguration", "Resource": "*" }
    ] });
    let put = json!({ "RoleName": stack.role(), "PolicyName": "deny", "PolicyDocument": deny.to_string() });
    stack.boto3(&[
        ("iam", "put_role_policy", put),
        ("s3", "create_bucket", json!({ "Bucket": "payments" })),
    ]);
    let mut event = stack.sample("cloudtrail-create-bucket");
    event["detail"]["requestParameters"]["bucketName"] = json!("payments");
    let refused = stack.call(&event).unwrap_err().to_string();
    assert!(
        refused.contains("Failed") && refused.contains("s3:PutBucketEncryption"),
        "{refused}"
    );
    assert_eq!(
        encryption(stack, "payments")["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"],
        "AES256"
    );
    stack.boto3(&[(
        "iam",
        "delete_role_policy",
        json!({ "RoleName": stack.role(), "PolicyName": "deny" }),
    )]);
    assert_eq!(outcome(&stack.call(&event).unwrap()).0, "Remediated");
}

fn what_is_gone_is_declined(stack: &Stack) {
    let mut event = stack.sample("cloudtrail-create-bucket");
    event["detail"]["requestParameters"]["bucketName"] = json!("deleted-long-ago");
    assert_eq!(outcome(&stack.call(&event).unwrap()).0, "Declined");
}

fn an_own_key_is_looked_at_first() {
    let key = |stack: &Stack| -> String {
        let answer = stack.boto3(&[("kms", "create_key", json!({}))]).remove(0);
        answer["KeyMetadata"]["Arn"].as_str().unwrap().to_owned()
    };
    let arn = "arn:aws:kms:us-east-1:111122223333:key/00000000-0000-0000-0000-000000000000";
    let stack = Stack::deploy(FUNCTION, "own", &json!({ "defaultEncryption": arn }));
    stack.boto3(&[("s3", "create_bucket", json!({ "Bucket": ORDERS }))]);
    let answer = stack.invoke("securityhub-s3-17").unwrap();
    assert_eq!(outcome(&answer).0, "Escalated", "there is no such key: {answer}");

    let own = key(&stack);
    stack.set(&json!({ "defaultEncryption": own }));
    stack.wait_for_settings();
    stack.boto3(&[("kms", "disable_key", json!({ "KeyId": own }))]);
    let answer = stack.invoke("securityhub-s3-17").unwrap();
    assert_eq!(outcome(&answer).0, "Escalated", "{answer}");
    assert!(answer.to_string().contains("Disabled"), "{answer}");
    stack.boto3(&[("kms", "enable_key", json!({ "KeyId": own }))]);
    assert_eq!(outcome(&stack.invoke("securityhub-s3-17").unwrap()).0, "Remediated");
    assert_eq!(
        encryption(&stack, ORDERS)["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"],
        own.as_str()
    );
}
