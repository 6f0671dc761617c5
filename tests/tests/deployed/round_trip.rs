//! Apply, undo, and the whole account is as it was: every kind of change, by the deployed functions.

use std::collections::BTreeSet;

use local_cloud::Call;
use securecart_tests::read_ip_set;
use serde_json::{Value, json};

use crate::{
    seeds::CHANGES,
    stack::{Stack, outcomes, sample},
};

/// All that any of the functions could have changed: IAM as a whole with every key, every bucket, every IP set, every rule of a security
/// group, the default of EBS.
fn account(stack: &Stack) -> BTreeSet<String> {
    let mut calls: Vec<Call<'_>> = vec![
        ("iam", "get_account_authorization_details", json!({})),
        ("iam", "list_users", json!({})),
        ("s3", "list_buckets", json!({})),
        ("ec2", "get_ebs_encryption_by_default", json!({})),
        ("ec2", "describe_security_group_rules", json!({})),
    ];
    let mut answers = stack.boto3(&calls);
    let names = |list: &Value, name: &str| -> Vec<Value> {
        list.as_array().unwrap().iter().map(|one| one[name].clone()).collect()
    };
    let (users, buckets) = (
        names(&answers[1]["Users"], "UserName"),
        names(&answers[2]["Buckets"], "Name"),
    );
    assert!(users.len() > 4 && buckets.len() > 2, "{users:?} {buckets:?}");
    calls = users
        .iter()
        .map(|user| ("iam", "list_access_keys", json!({ "UserName": user })))
        .collect();
    for bucket in &buckets {
        let of = json!({ "Bucket": bucket });
        calls.push(("s3", "get_bucket_encryption", of.clone()));
        calls.push(("s3", "get_bucket_policy", of.clone()));
        calls.push(("s3", "get_public_access_block", of));
    }
    let told = |answer: Result<Value, local_cloud::CallError>| answer.unwrap_or_else(|error| json!(error.code()));
    let rest: Vec<Value> = stack.cloud.boto3(&calls).unwrap().into_iter().map(told).collect();
    let sets: Vec<_> = ["RegionalIPv4SetRef", "RegionalIPv6SetRef"]
        .map(|set| read_ip_set(&stack.cloud, &stack.deployment.outputs[set]).unwrap().0)
        .into();
    let (ebs, rules) = (answers[3].take(), answers[4].take());
    let state = json!({ "iam": answers[0].take(), "rest": rest, "sets": sets, "ebs": ebs, "rules": ingress(&rules) });
    let mut all = BTreeSet::new();
    lines("", &state, &mut all);
    all
}

/// The rules of security groups without the ids that EC2 gives them, in the order of what they say.
fn ingress(answer: &Value) -> Value {
    let mut rules = answer["SecurityGroupRules"].as_array().unwrap().clone();
    for rule in &mut rules {
        let rule = rule.as_object_mut().unwrap();
        rule.remove("SecurityGroupRuleId");
        rule.remove("SecurityGroupRuleArn");
    }
    rules.sort_by_key(Value::to_string);
    rules.into()
}

/// As lines of path and value, which can be compared. IAM notes when a policy was touched last, and does not forget it; what is
/// attached has no order.
fn lines(path: &str, value: &Value, lines: &mut BTreeSet<String>) {
    match value {
        Value::Object(entries) => {
            for (name, value) in entries.iter().filter(|(name, _)| *name != "UpdateDate") {
                self::lines(&format!("{path}.{name}"), value, lines);
            }
        }
        Value::Array(entries) => {
            for (index, value) in entries.iter().enumerate() {
                let name = [
                    &value["Arn"],
                    &value["RoleName"],
                    &value["PolicyArn"],
                    &value["PolicyName"],
                ]
                .iter()
                .find_map(|name| name.as_str())
                .map_or_else(|| index.to_string(), str::to_owned);
                self::lines(&format!("{path}[{name}]"), value, lines);
            }
        }
        value => drop(lines.insert(format!("{path}: {value}"))),
    }
}

#[test]
fn s27_what_was_applied_and_undone_leaves_no_trace_in_the_account() {
    let mut stack = Stack::deploy_all("round-trip");
    crate::seeds::everything(&stack);
    let before = account(&stack);
    for (kind, function, name) in CHANGES {
        stack = stack.about(function);
        let answer = stack.call(&sample(function, name)).unwrap();
        let made = outcomes(&answer)
            .into_iter()
            .filter(|(outcome, _)| outcome == "Remediated");
        let made: Vec<String> = made.map(|(_, record)| record).collect();
        assert!(!made.is_empty(), "{kind}: {answer}");
        let after = account(&stack);
        assert!(after != before, "{kind}");
        for record in made {
            let undone = stack.call(&json!({ "undo": record })).unwrap();
            assert_eq!(outcomes(&undone)[0].0, "Undone", "{kind}: {undone}");
        }
        let restored = account(&stack);
        let differences: Vec<_> = restored.symmetric_difference(&before).collect();
        assert!(differences.is_empty(), "{kind}: {differences:#?}");
    }
}
