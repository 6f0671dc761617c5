//! `revoke-permissions` deployed on the local cloud: the real binary under its own enforced role, and boto3 to look at what it did.

use chrono::{SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::{
    seeds::{ADMIN, BUCKET, allow, arn, policy},
    stack::{Stack, outcomes},
};

const FUNCTION: &str = "revoke-permissions";

/// The version in force, with its document.
fn in_force(stack: &Stack, name: &str) -> (String, Value) {
    let arn = arn(name);
    let policy = stack
        .boto3(&[("iam", "get_policy", json!({ "PolicyArn": arn }))])
        .remove(0);
    let id = policy["Policy"]["DefaultVersionId"].as_str().unwrap().to_owned();
    let get = json!({ "PolicyArn": arn, "VersionId": id });
    let version = stack.boto3(&[("iam", "get_policy_version", get)]).remove(0);
    (id, version["PolicyVersion"]["Document"].clone())
}

fn inline(stack: &Stack, role: &str) -> Value {
    stack
        .boto3(&[("iam", "list_role_policies", json!({ "RoleName": role }))])
        .remove(0)["PolicyNames"]
        .take()
}

fn remediated(answer: &Value) -> String {
    let (outcome, record) = outcomes(answer).remove(0);
    assert_eq!(outcome, "Remediated", "{answer}");
    record
}

fn undone(stack: &Stack, record: &str) {
    let answer = stack.call(&json!({ "undo": record })).unwrap();
    assert_eq!(outcomes(&answer)[0].0, "Undone", "{answer}");
}

/// One test, in order: the stack is deployed once.
#[test]
fn the_deployed_function() {
    let stack = Stack::deploy(FUNCTION, "permissions", &json!({}));
    crate::seeds::permissions(&stack);
    a_managed_policy_gets_a_new_version_and_undo_the_old_one(&stack);
    five_versions_make_room(&stack);
    inline_policies_are_rewritten_and_deleted(&stack);
    a_blocked_policy_is_detached_and_attached_again(&stack);
    what_the_analyzer_recommends_is_applied(&stack);
    an_unused_role_is_quarantined(&stack);
    an_outsider_leaves_trust_and_bucket(&stack);
    a_refused_write_is_a_failure(&stack);
    the_role_cannot_touch_its_own_stack(&stack);
    the_last_administrator_stays(&stack);
}

fn a_managed_policy_gets_a_new_version_and_undo_the_old_one(stack: &Stack) {
    let before = in_force(stack, "securecart-legacy-admin");
    let record = remediated(&stack.invoke("securityhub-iam1").unwrap());
    let (version, document) = in_force(stack, "securecart-legacy-admin");
    assert_eq!(version, "v2");
    assert_eq!(
        document["Statement"],
        json!([{ "Sid": "Queues", "Effect": "Allow", "Action": ["sqs:SendMessage"], "Resource": "*" }])
    );
    let again = stack.invoke("config-admin-access").unwrap();
    assert_eq!(outcomes(&again)[0].0, "AlreadyInPlace", "{again}");
    undone(stack, &record);
    assert_eq!(in_force(stack, "securecart-legacy-admin"), before);
    let versions = json!({ "PolicyArn": arn("securecart-legacy-admin") });
    let versions = stack.boto3(&[("iam", "list_policy_versions", versions)]).remove(0);
    assert_eq!(
        versions["Versions"].as_array().unwrap().len(),
        1,
        "ours is gone: {versions}"
    );

    remediated(&stack.invoke("securityhub-iam21").unwrap());
    let (_, document) = in_force(stack, "securecart-orders-access");
    let reading = json!([
        "dynamodb:BatchGet*",
        "dynamodb:Describe*",
        "dynamodb:Get*",
        "dynamodb:List*"
    ]);
    assert_eq!(document["Statement"][0]["Action"], reading);
}

fn five_versions_make_room(stack: &Stack) {
    let arn = arn("securecart-kms-access");
    let text = policy(&json!([allow("kms:*", "*")]));
    let version = json!({ "PolicyArn": arn, "PolicyDocument": text, "SetAsDefault": true });
    let calls = vec![("iam", "create_policy_version", version); 4];
    stack.boto3(&calls);
    let record = remediated(&stack.invoke("config-kms-customer").unwrap());
    let (version, document) = in_force(stack, "securecart-kms-access");
    assert_eq!(version, "v6");
    let actions = document["Statement"][0]["Action"].to_string();
    assert!(
        actions.contains("kms:Encrypt") && !actions.contains("kms:Decrypt"),
        "{actions}"
    );
    undone(stack, &record);
    assert_eq!(in_force(stack, "securecart-kms-access").0, "v5");
}

fn inline_policies_are_rewritten_and_deleted(stack: &Stack) {
    let record = remediated(&stack.invoke("securityhub-kms2").unwrap());
    let get = json!({ "RoleName": "securecart-reports", "PolicyName": "decrypt-reports" });
    let read = || stack.boto3(&[("iam", "get_role_policy", get.clone())]).remove(0)["PolicyDocument"].take();
    assert_eq!(read()["Statement"], json!([allow("s3:GetObject", "*")]));
    undone(stack, &record);
    assert_eq!(
        read()["Statement"],
        json!([allow("kms:Decrypt", "*"), allow("s3:GetObject", "*")])
    );

    let record = remediated(&stack.invoke("config-inline-policy").unwrap());
    let list = json!({ "UserName": "contractor" });
    let names = || stack.boto3(&[("iam", "list_user_policies", list.clone())]).remove(0)["PolicyNames"].take();
    assert_eq!(names(), json!([]));
    undone(stack, &record);
    assert_eq!(names(), json!(["deploy-anything"]));
    let report = stack.invoke("securityhub-iam2").unwrap();
    assert!(
        report
            .to_string()
            .contains("aws iam delete-user-policy --user-name contractor"),
        "{report}"
    );
}

fn a_blocked_policy_is_detached_and_attached_again(stack: &Stack) {
    let attached = || {
        let list = json!({ "RoleName": "securecart-batch" });
        let answer = stack.boto3(&[("iam", "list_attached_role_policies", list)]).remove(0);
        answer["AttachedPolicies"].to_string().contains("AdministratorAccess")
    };
    let record = remediated(&stack.invoke("config-blacklisted").unwrap());
    assert!(!attached());
    undone(stack, &record);
    assert!(attached());
}

fn what_the_analyzer_recommends_is_applied(stack: &Stack) {
    let sample = stack.sample("access-analyzer-unused-permission");
    let less = policy(&json!([allow("dynamodb:GetItem", "arn:aws:dynamodb:*:*:table/orders")]));
    let now = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
    let finding = json!({
        "id": sample["detail"]["findingId"], "resource": sample["detail"]["resource"],
        "steps": [{ "action": "CREATE_POLICY", "policy": arn("securecart-orders-access"), "document": less, "updated": now }]
    });
    stack
        .cloud
        .set_recommendations(&json!({ "findings": [finding] }))
        .unwrap();
    remediated(&stack.invoke("access-analyzer-unused-permission").unwrap());
    let (_, document) = in_force(stack, "securecart-orders-access");
    assert_eq!(document["Statement"][0]["Action"], "dynamodb:GetItem");
}

fn an_unused_role_is_quarantined(stack: &Stack) {
    let record = remediated(&stack.invoke("access-analyzer-unused-role").unwrap());
    assert_eq!(inline(stack, "securecart-migration"), json!(["SecureCartQuarantine"]));
    undone(stack, &record);
    assert_eq!(inline(stack, "securecart-migration"), json!([]));
}

fn an_outsider_leaves_trust_and_bucket(stack: &Stack) {
    let trust = || {
        let role = json!({ "RoleName": "securecart-partner" });
        stack.boto3(&[("iam", "get_role", role)]).remove(0)["Role"]["AssumeRolePolicyDocument"].take()
    };
    let before = trust();
    let record = remediated(&stack.invoke("access-analyzer-external-role").unwrap());
    assert_eq!(trust()["Statement"][0]["Effect"], "Deny");
    undone(stack, &record);
    assert_eq!(trust(), before);

    let bucket = || {
        let bucket = json!({ "Bucket": BUCKET });
        stack
            .cloud
            .boto3(&[("s3", "get_bucket_policy", bucket)])
            .unwrap()
            .remove(0)
    };
    let before = bucket().unwrap();
    let record = remediated(&stack.invoke("securityhub-external-bucket").unwrap());
    assert_eq!(bucket().unwrap_err().code(), Some("NoSuchBucketPolicy"));
    undone(stack, &record);
    assert_eq!(bucket().unwrap()["Policy"], before["Policy"]);
}

/// The function's role loses the permission, as an organisation's policy might take it.
fn a_refused_write_is_a_failure(stack: &Stack) {
    let role = stack.role();
    let deny = policy(
        &json!([{ "Effect": "Deny", "Action": ["iam:CreatePolicyVersion", "access-analyzer:*"], "Resource": "*" }]),
    );
    let put = json!({ "RoleName": role, "PolicyName": "deny", "PolicyDocument": deny });
    stack.boto3(&[("iam", "put_role_policy", put)]);
    let mut event = stack.sample("securityhub-kms1");
    event["detail"]["findings"][0]["UpdatedAt"] = json!("2026-11-21T09:20:31.412Z");
    // An operator has given it back: another policy is to be trimmed.
    event["detail"]["findings"][0]["Resources"][0]["Id"] = json!(arn("securecart-legacy-admin"));
    event["detail"]["findings"][0]["Compliance"]["SecurityControlId"] = json!("IAM.1");
    let refused = stack.call(&event).unwrap();
    assert_eq!(outcomes(&refused)[0].0, "Declined", "an undo holds: {refused}");
    let full = json!({ "PolicyName": "other", "PolicyDocument": policy(&json!([allow("*", "*")])) });
    stack.boto3(&[("iam", "create_policy", full)]);
    event["detail"]["findings"][0]["Resources"][0]["Id"] = json!(arn("other"));
    let refused = stack.call(&event).unwrap_err().to_string();
    assert!(
        refused.contains("Failed") && refused.contains("iam:CreatePolicyVersion"),
        "{refused}"
    );
    let refused = stack.invoke("securityhub-unused-permission").unwrap_err().to_string();
    assert!(
        refused.contains("access-analyzer:GetFindingRecommendation"),
        "{refused}"
    );
    stack.boto3(&[(
        "iam",
        "delete_role_policy",
        json!({ "RoleName": role, "PolicyName": "deny" }),
    )]);
    remediated(&stack.call(&event).unwrap());
    assert_eq!(
        in_force(stack, "other").1["Statement"][0]["Action"],
        "sts:GetCallerIdentity"
    );
}

/// A function that may write policies could give itself any right: its own stack's roles are closed to it.
fn the_role_cannot_touch_its_own_stack(stack: &Stack) {
    let role = stack.role();
    let mut event = stack.sample("securityhub-kms2");
    event["detail"]["findings"][0]["Id"] = json!("own");
    event["detail"]["findings"][0]["Resources"][0] =
        json!({ "Type": "AwsIamRole", "Id": format!("arn:aws:iam::111122223333:role/permissions/{role}") });
    // What the exemption of the stack's own roles would refuse is refused by the role's own policy, too.
    let leaky = policy(&json!([allow("kms:Decrypt", "*")]));
    let put = json!({ "RoleName": role, "PolicyName": "leaky", "PolicyDocument": leaky });
    stack.boto3(&[("iam", "put_role_policy", put)]);
    let answer = stack.call(&event).unwrap();
    let told = outcomes(&answer);
    assert!(told.iter().any(|(outcome, _)| outcome == "Declined"), "{answer}");
    assert!(told.iter().all(|(outcome, _)| outcome != "Remediated"), "{answer}");
    stack.boto3(&[(
        "iam",
        "delete_role_policy",
        json!({ "RoleName": role, "PolicyName": "leaky" }),
    )]);
}

fn the_last_administrator_stays(stack: &Stack) {
    stack.boto3(&[
        (
            "iam",
            "detach_role_policy",
            json!({ "RoleName": "securecart-batch", "PolicyArn": ADMIN }),
        ),
        (
            "iam",
            "detach_role_policy",
            json!({ "RoleName": "securecart-batch", "PolicyArn": arn("securecart-legacy-admin") }),
        ),
        (
            "iam",
            "delete_user_policy",
            json!({ "UserName": "contractor", "PolicyName": "deploy-anything" }),
        ),
    ]);
    let mut event = stack.sample("config-blacklisted");
    event["detail"]["newEvaluationResult"]["resultRecordedTime"] = json!("2026-11-22T09:18:59.143Z");
    event["detail"]["resourceType"] = json!("AWS::IAM::User");
    let user = stack
        .boto3(&[("iam", "get_user", json!({ "UserName": "administrator" }))])
        .remove(0);
    event["detail"]["resourceId"] = user["User"]["UserId"].clone();
    let answer = stack.call(&event).unwrap();
    assert_eq!(outcomes(&answer)[0].0, "Escalated", "{answer}");
    assert!(answer.to_string().contains("last-administrator"), "{answer}");
}
