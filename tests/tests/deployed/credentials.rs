//! `disable-access-key` deployed on the local cloud: the real binary under its own enforced role, and boto3 to look at what it did.

use serde_json::{Value, json};

use crate::stack::{Stack, outcomes};

const FUNCTION: &str = "disable-access-key";

fn keys(stack: &Stack, user: &str) -> Vec<String> {
    let answer = stack
        .boto3(&[("iam", "list_access_keys", json!({ "UserName": user }))])
        .remove(0);
    let keys = answer["AccessKeyMetadata"].as_array().unwrap().clone();
    let text = |key: &Value| {
        format!(
            "{} {}",
            key["AccessKeyId"].as_str().unwrap(),
            key["Status"].as_str().unwrap()
        )
    };
    keys.iter().map(text).collect()
}

fn policies(stack: &Stack, user: &str) -> Value {
    stack
        .boto3(&[("iam", "list_user_policies", json!({ "UserName": user }))])
        .remove(0)["PolicyNames"]
        .take()
}

/// One test, in order: the stack is deployed once.
#[test]
fn the_deployed_function() {
    let stack = Stack::deploy(FUNCTION, "keys", &json!({}));
    crate::seeds::credentials(&stack);
    a_rule_disables_the_violating_key_and_undo_restores_it(&stack);
    a_user_is_found_by_its_id(&stack);
    a_refused_key_is_a_failure_and_its_sessions_are_cut_all_the_same(&stack);
    a_role_is_cut_off_and_given_back(&stack);
    the_role_cannot_touch_its_own_stack(&stack);
}

fn a_rule_disables_the_violating_key_and_undo_restores_it(stack: &Stack) {
    let answer = stack.invoke("securityhub-iam3").unwrap();
    let records = outcomes(&answer);
    assert_eq!(records.len(), 2, "{answer}");
    assert_eq!(
        keys(stack, "checkout-deploy"),
        ["AKIAEXAMPLECHECKOUT0 Inactive", "AKIAEXAMPLECHECKOUT1 Active"]
    );
    let (_, record) = records.iter().find(|(outcome, _)| outcome == "Remediated").unwrap();
    let undone = stack.call(&json!({ "undo": record })).unwrap();
    assert_eq!(outcomes(&undone)[0].0, "Undone");
    assert_eq!(
        keys(stack, "checkout-deploy"),
        ["AKIAEXAMPLECHECKOUT0 Active", "AKIAEXAMPLECHECKOUT1 Active"]
    );
    let held = stack.invoke("securityhub-iam3-legacy").unwrap();
    assert!(
        outcomes(&held).iter().all(|(outcome, _)| outcome != "Remediated"),
        "{held}"
    );
}

fn a_user_is_found_by_its_id(stack: &Stack) {
    let answer = stack.invoke("config-unused-credentials").unwrap();
    assert!(
        outcomes(&answer).iter().any(|(outcome, _)| outcome == "Remediated"),
        "{answer}"
    );
    assert_eq!(keys(stack, "reporting"), ["AKIAEXAMPLEREPORTING Inactive"]);
    let again = stack.invoke("securityhub-iam8").unwrap();
    assert!(
        outcomes(&again).iter().all(|(outcome, _)| outcome == "AlreadyInPlace"),
        "{again}"
    );
}

/// The function's role loses the permission, as an organisation's policy might take it.
fn a_refused_key_is_a_failure_and_its_sessions_are_cut_all_the_same(stack: &Stack) {
    let role = stack.role();
    let deny = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Deny", "Action": "iam:UpdateAccessKey", "Resource": "*" }
    ] });
    let put = json!({ "RoleName": role, "PolicyName": "deny", "PolicyDocument": deny.to_string() });
    stack.boto3(&[("iam", "put_role_policy", put)]);
    let refused = stack.invoke("health-exposed-key").unwrap_err().to_string();
    assert!(
        refused.contains("Failed") && refused.contains("iam:UpdateAccessKey"),
        "{refused}"
    );
    assert_eq!(keys(stack, "ci-runner"), ["AKIAEXAMPLECIRUNNER0 Active"]);
    assert_eq!(policies(stack, "ci-runner"), json!(["SecureCartRevokeOlderSessions"]));

    stack.boto3(&[(
        "iam",
        "delete_role_policy",
        json!({ "RoleName": role, "PolicyName": "deny" }),
    )]);
    let answer = stack.invoke("health-exposed-key").unwrap();
    assert!(
        outcomes(&answer).iter().all(|(outcome, _)| outcome == "Remediated"),
        "{answer}"
    );
    assert_eq!(keys(stack, "ci-runner"), ["AKIAEXAMPLECIRUNNER0 Inactive"]);
}

fn a_role_is_cut_off_and_given_back(stack: &Stack) {
    let read = |stack: &Stack| {
        let get = json!({ "RoleName": "securecart-web", "PolicyName": "SecureCartRevokeOlderSessions" });
        stack.cloud.boto3(&[("iam", "get_role_policy", get)]).unwrap().remove(0)
    };
    let answer = stack.invoke("guardduty-role-session").unwrap();
    let (outcome, record) = outcomes(&answer).remove(0);
    assert_eq!(outcome, "Remediated");
    let policy = read(stack).unwrap();
    assert_eq!(policy["PolicyDocument"]["Statement"][0]["Effect"], "Deny");
    assert!(
        policy["PolicyDocument"]["Statement"][0]["Condition"]["DateLessThan"]["aws:TokenIssueTime"].is_string(),
        "{policy}"
    );
    let undone = stack.call(&json!({ "undo": record })).unwrap();
    assert_eq!(outcomes(&undone)[0].0, "Undone");
    assert_eq!(read(stack).unwrap_err().code(), Some("NoSuchEntity"));
}

/// A function that may put policies on roles could give itself any right: its own stack's roles are closed to it.
fn the_role_cannot_touch_its_own_stack(stack: &Stack) {
    let role = stack.role();
    let id = stack
        .boto3(&[("iam", "get_role", json!({ "RoleName": role }))])
        .remove(0)["Role"]["RoleId"]
        .take();
    let mut event = stack.sample("guardduty-role-session");
    event["detail"]["arn"] = json!("arn:aws:guardduty:us-east-1:111122223333:detector/d/finding/own");
    event["detail"]["resource"]["accessKeyDetails"]["userName"] = json!(role);
    event["detail"]["resource"]["accessKeyDetails"]["principalId"] = json!(format!("{}:x", id.as_str().unwrap()));
    let answer = stack.call(&event).unwrap();
    assert_eq!(outcomes(&answer)[0].0, "Declined", "{answer}");
}
