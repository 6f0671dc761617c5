//! A security group that opens more than it should, in EC2.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::stage::{Scene, Stage};
use crate::screen;

const FUNCTION: &str = "close-open-ingress";
const GROUP: &str = "sg-0a1b2c3d4e5f60718";

const SCENES: &[Scene] = &[
    Scene {
        file: "securityhub-ec2-13",
        about: "EC2.13: SSH is open to the world",
        expect: &[(GROUP, &["Remediated"])],
    },
    Scene {
        file: "securityhub-ec2-54",
        about: "EC2.54: remote desktops are open to all of IPv6",
        expect: &[(GROUP, &["Remediated"])],
    },
];

pub fn play(stage: &Stage) -> Result<()> {
    screen::heading("close-open-ingress: the security group before");
    let before = look(stage)?;
    stage.play(FUNCTION, SCENES)?;
    screen::heading("The security group after");
    let after = look(stage)?;
    let closed: Vec<_> = before.iter().filter(|rule| !after.contains(rule)).collect();
    ensure!(
        matches!(closed.as_slice(), [ssh, rdp] if ssh.contains(" 22 ") && rdp.contains(" 3389 ")),
        "closed were {closed:?}"
    );
    for record in stage
        .records(FUNCTION)?
        .iter()
        .filter(|record| record.outcome == "Remediated")
    {
        stage.undo(FUNCTION, record)?;
    }
    screen::heading("The security group after the undo");
    let undone = look(stage)?;
    ensure!(undone == before, "the group is {undone:#?} and was {before:#?}");
    Ok(())
}

/// The group that the sample events are about.
pub fn seed(stage: &Stage) -> Result<()> {
    let vpc = stage.read(&[("ec2", "create_vpc", json!({ "CidrBlock": "10.0.0.0/16" }))])?;
    let vpc = vpc
        .first()
        .and_then(|answer| answer.pointer("/Vpc/VpcId"))
        .context("no VPC")?;
    stage.cloud.name_security_groups(&[GROUP])?;
    let rule = |port: u16, family: &str, range: Value| {
        let permission = json!({ "IpProtocol": "tcp", "FromPort": port, "ToPort": port, family: [range] });
        let call = json!({ "GroupId": GROUP, "IpPermissions": [permission] });
        ("ec2", "authorize_security_group_ingress", call)
    };
    let group = json!({ "GroupName": "securecart-bastion", "Description": "SecureCart", "VpcId": vpc });
    stage.read(&[
        ("ec2", "create_security_group", group),
        rule(
            443,
            "IpRanges",
            json!({ "CidrIp": "0.0.0.0/0", "Description": "the shop" }),
        ),
        rule(
            22,
            "IpRanges",
            json!({ "CidrIp": "203.0.113.0/24", "Description": "the office" }),
        ),
        rule(
            22,
            "IpRanges",
            json!({ "CidrIp": "0.0.0.0/0", "Description": "only for a minute" }),
        ),
        rule(3389, "Ipv6Ranges", json!({ "CidrIpv6": "::/0" })),
    ])?;
    Ok(())
}

/// What the group lets in, as boto3 reads it.
fn look(stage: &Stage) -> Result<Vec<String>> {
    let filter = json!({ "Filters": [{ "Name": "group-id", "Values": [GROUP] }] });
    let answer = stage.read(&[("ec2", "describe_security_group_rules", filter)])?;
    let rules = answer
        .first()
        .and_then(|answer| answer.get("SecurityGroupRules"))
        .and_then(Value::as_array);
    let text = |rule: &Value| {
        let part = |name: &str| match rule.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        };
        let source = part("CidrIpv4") + &part("CidrIpv6");
        format!(
            "{} {:<5} from {source:<16} {}",
            part("IpProtocol"),
            part("FromPort"),
            part("Description")
        )
    };
    let incoming = rules
        .context("no rules")?
        .iter()
        .filter(|rule| rule.get("IsEgress") == Some(&Value::Bool(false)));
    let mut rules: Vec<_> = incoming.map(text).collect();
    rules.sort();
    for rule in &rules {
        screen::row(rule);
    }
    Ok(rules)
}
