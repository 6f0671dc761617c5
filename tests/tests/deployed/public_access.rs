//! `block-public-access` deployed on the local cloud: the real binary under its own enforced role, and a stranger who asks for an object.

use serde_json::{Value, json};

use crate::stack::{Stack, outcomes};

const MEDIA: &str = "securecart-media-111122223333";
const UPLOADS: &str = "securecart-uploads-111122223333";
const WEBSITE: &str = "securecart-website-111122223333";

/// The bucket's block, as boto3 reads it.
fn block(stack: &Stack, bucket: &str) -> Option<Value> {
    let read = ("s3", "get_public_access_block", json!({ "Bucket": bucket }));
    match stack.cloud.boto3(&[read]).unwrap().remove(0) {
        Ok(mut answer) => Some(answer["PublicAccessBlockConfiguration"].take()),
        Err(error) => {
            assert_eq!(error.code(), Some("NoSuchPublicAccessBlockConfiguration"));
            None
        }
    }
}

fn whole() -> Option<Value> {
    Some(json!({
        "BlockPublicAcls": true, "IgnorePublicAcls": true, "BlockPublicPolicy": true, "RestrictPublicBuckets": true,
    }))
}

/// The first outcome of an answer, with its record.
fn outcome(answer: &Value) -> (String, String) {
    outcomes(answer).remove(0)
}

/// One test, in order: the stack is deployed once.
#[test]
fn s99_s100_a_stranger_is_shut_out_and_let_in_again_and_a_website_stays() {
    let stack = Stack::deploy("block-public-access", "public", &json!({}));
    crate::seeds::public_buckets(&stack);
    for bucket in [MEDIA, WEBSITE] {
        let policy = json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": format!("arn:aws:s3:::{bucket}/*")
        }] });
        let (policy, object) = (
            policy.to_string(),
            json!({ "Bucket": bucket, "Key": "logo", "Body": "x" }),
        );
        stack.boto3(&[
            ("s3", "put_bucket_policy", json!({ "Bucket": bucket, "Policy": policy })),
            ("s3", "put_object", object),
        ]);
        assert_eq!(stack.cloud.anonymous(bucket, "logo").unwrap(), 200);
    }

    let (done, record) = outcome(&stack.invoke("securityhub-s3-8").unwrap());
    assert_eq!((done.as_str(), block(&stack, MEDIA)), ("Remediated", whole()));
    assert_eq!(stack.cloud.anonymous(MEDIA, "logo").unwrap(), 403);
    let again = stack.invoke("config-public-read").unwrap();
    assert_eq!(outcome(&again).0, "AlreadyInPlace");
    assert_eq!(outcome(&stack.call(&json!({ "undo": record })).unwrap()).0, "Undone");
    assert_eq!(block(&stack, MEDIA), None);
    assert_eq!(stack.cloud.anonymous(MEDIA, "logo").unwrap(), 200);
    let held = stack.invoke("access-analyzer-public-bucket").unwrap();
    assert_eq!(outcome(&held).0, "Declined");

    let before = block(&stack, UPLOADS);
    let (done, record) = outcome(&stack.invoke("config-public-write").unwrap());
    assert_eq!((done.as_str(), block(&stack, UPLOADS)), ("Remediated", whole()));
    assert_eq!(outcome(&stack.call(&json!({ "undo": record })).unwrap()).0, "Undone");
    assert_eq!(block(&stack, UPLOADS), before, "as it was");

    let answer = stack.invoke("securityhub-s3-8-website").unwrap();
    assert_eq!(outcome(&answer).0, "Escalated", "{answer}");
    assert_eq!(stack.cloud.anonymous(WEBSITE, "logo").unwrap(), 200);
    assert_eq!(outcome(&stack.invoke("securityhub-s3-1").unwrap()).0, "Escalated");
    what_is_refused_or_gone(&stack);
}

/// The function's role loses a permission, as an organisation's policy might take it: nothing is done, and it says so.
fn what_is_refused_or_gone(stack: &Stack) {
    stack.boto3(&[
        ("s3", "create_bucket", json!({ "Bucket": "refused" })),
        ("s3", "delete_public_access_block", json!({ "Bucket": "refused" })),
    ]);
    let mut event = stack.sample("config-level-public-access");
    event["detail"]["resourceId"] = json!("refused");
    for (action, operation) in [
        ("s3:GetBucketWebsite", "s3:GetBucketWebsite"),
        ("s3:PutBucketPublicAccessBlock", "s3:PutPublicAccessBlock"),
    ] {
        let deny =
            json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Deny", "Action": action, "Resource": "*" }] });
        let named = json!({ "RoleName": stack.role(), "PolicyName": "deny" });
        let mut put = named.clone();
        put["PolicyDocument"] = json!(deny.to_string());
        stack.boto3(&[("iam", "put_role_policy", put)]);
        let refused = stack.call(&event).unwrap_err().to_string();
        assert!(refused.contains("Failed") && refused.contains(operation), "{refused}");
        assert_eq!(block(stack, "refused"), None);
        stack.boto3(&[("iam", "delete_role_policy", named)]);
    }
    assert_eq!(outcome(&stack.call(&event).unwrap()).0, "Remediated");
    // The function knows the bucket's Region by now, and does not ask S3 for it again.
    stack.boto3(&[("s3", "delete_bucket", json!({ "Bucket": "refused" }))]);
    event["detail"]["newEvaluationResult"]["resultRecordedTime"] = json!("2026-11-20T10:18:59.143Z");
    let deleted = stack.call(&event).unwrap();
    assert_eq!(outcome(&deleted).0, "Declined", "{deleted}");
    event["detail"]["resourceId"] = json!("deleted-long-ago");
    assert_eq!(outcome(&stack.call(&event).unwrap()).0, "Declined");
}
