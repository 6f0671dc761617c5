//! The functions that call EC2, deployed on the local cloud: the real binaries, and boto3 to look at what they did.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::stack::{Stack, outcomes};

/// EC2 as boto3 sees it.
fn ec2(stack: &Stack, operation: &'static str, parameters: Value) -> Value {
    stack.boto3(&[("ec2", operation, parameters)]).remove(0)
}

/// All that makes the rules for incoming traffic what they are, but the ids that EC2 gives them.
fn rules(stack: &Stack, group: &str) -> BTreeSet<String> {
    let filter = json!({ "Filters": [{ "Name": "group-id", "Values": [group] }] });
    let answer = ec2(stack, "describe_security_group_rules", filter);
    let rules = answer["SecurityGroupRules"].as_array().unwrap().iter();
    let text = |rule: &Value| {
        let part = |name: &str| rule[name].to_string();
        let parts = [
            "IpProtocol",
            "FromPort",
            "ToPort",
            "CidrIpv4",
            "CidrIpv6",
            "Description",
            "Tags",
        ];
        parts.map(part).join(" ")
    };
    rules.filter(|rule| rule["IsEgress"] == false).map(text).collect()
}

/// One test, in order: the application is deployed once.
#[test]
fn s50_the_deployed_functions() {
    let stack = Stack::deploy_all("ec2");
    let stack = a_new_rule_is_closed_and_opened_again(stack.about("close-open-ingress"));
    the_default_is_switched_on_and_off(stack.about("enforce-storage-encryption"));
}

fn a_new_rule_is_closed_and_opened_again(stack: Stack) -> Stack {
    let vpc = ec2(&stack, "create_vpc", json!({ "CidrBlock": "10.0.0.0/16" }))["Vpc"]["VpcId"].take();
    let group = json!({ "GroupName": "securecart-bastion", "Description": "a test's", "VpcId": vpc });
    let group = ec2(&stack, "create_security_group", group)["GroupId"].take();
    let group = group.as_str().unwrap();
    let open = |port: u16, range: Value, tags: Value| {
        let permission = json!({ "IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": range });
        let mut call = json!({ "GroupId": group, "IpPermissions": [permission] });
        if tags != json!([]) {
            call["TagSpecifications"] = json!([{ "ResourceType": "security-group-rule", "Tags": tags }]);
        }
        let answer = ec2(&stack, "authorize_security_group_ingress", call);
        answer["SecurityGroupRules"][0]["SecurityGroupRuleId"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    open(443, json!([{ "CidrIp": "0.0.0.0/0" }]), json!([]));
    open(22, json!([{ "CidrIp": "203.0.113.0/24" }]), json!([]));
    let intended = rules(&stack, group);
    let ssh = json!([{ "CidrIp": "0.0.0.0/0", "Description": "until Friday, says Zoe & co" }]);
    let added = open(22, ssh, json!([{ "Key": "owner", "Value": "zoe" }]));
    let opened = rules(&stack, group);
    assert_eq!(opened.len(), 3);

    let mut event = stack.sample("cloudtrail-authorize-ingress");
    event["detail"]["requestParameters"]["groupId"] = json!(group);
    let item = &mut event["detail"]["responseElements"]["securityGroupRuleSet"]["items"][0];
    item["groupId"] = json!(group);
    item["securityGroupRuleId"] = json!(added);

    // The role is what lets it: without the right to revoke, it fails, and says so.
    let denied = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Deny", "Action": "ec2:RevokeSecurityGroupIngress", "Resource": "*" }
    ] });
    let named = json!({ "RoleName": stack.role(), "PolicyName": "a-test-s" });
    let mut put = named.clone();
    put["PolicyDocument"] = json!(denied.to_string());
    stack.boto3(&[("iam", "put_role_policy", put)]);
    let failed = stack.call(&event).unwrap_err().to_string();
    assert!(
        failed.contains("Failed") && failed.contains("ec2:RevokeSecurityGroupIngress"),
        "{failed}"
    );
    assert_eq!(rules(&stack, group), opened);
    stack.boto3(&[("iam", "delete_role_policy", named)]);

    let answer = stack.call(&event).unwrap();
    let (outcome, record) = outcomes(&answer).remove(0);
    assert_eq!(outcome, "Remediated", "{answer}");
    assert_eq!(rules(&stack, group), intended, "only that rule is gone");

    let again = stack.call(&event).unwrap();
    assert_eq!(outcomes(&again), [("Remediated".to_owned(), record.clone())]);
    let undone = stack.call(&json!({ "undo": record })).unwrap();
    assert_eq!(outcomes(&undone)[0].0, "Undone", "{undone}");
    assert_eq!(rules(&stack, group), opened);

    // A control that fails for it afterwards meets the operator's word.
    let mut control = stack.sample("securityhub-ec2-13");
    control["detail"]["findings"][0]["Resources"][0]["Id"] =
        json!(format!("arn:aws:ec2:us-east-1:111122223333:security-group/{group}"));
    let held = stack.call(&control).unwrap();
    assert_eq!(outcomes(&held)[0].0, "Declined", "{held}");
    let gone = stack.invoke("config-restricted-ssh").unwrap();
    assert!(gone.to_string().contains("no-such-group"), "{gone}");
    stack
}

fn the_default_is_switched_on_and_off(stack: Stack) {
    let is_on = || ec2(&stack, "get_ebs_encryption_by_default", json!({}))["EbsEncryptionByDefault"] == true;
    assert!(!is_on());
    let answer = stack.invoke("securityhub-ec2-7").unwrap();
    let (outcome, record) = outcomes(&answer).remove(0);
    assert_eq!(outcome, "Remediated", "{answer}");
    assert!(is_on());
    let undone = stack.call(&json!({ "undo": record })).unwrap();
    assert_eq!(outcomes(&undone)[0].0, "Undone", "{undone}");
    assert!(!is_on());
    let escalated = stack.invoke("securityhub-rds-3").unwrap();
    assert!(
        escalated.to_string().contains("aws rds copy-db-snapshot"),
        "{escalated}"
    );
}
