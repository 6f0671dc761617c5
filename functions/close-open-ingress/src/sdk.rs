//! EC2, through its Query protocol.

use ipnet::IpNet;
use remediation::{
    Approved, Receipt,
    failure::{Class, Failure},
};
use remediation_aws::{Aws, Ec2, SecurityGroupRule, unexpected};

use crate::{
    ec2::{Groups, Write},
    group::{Group, GroupRef, Opening, Rule},
};

/// EC2 with the function's own credentials, or those of its role in a member account.
#[derive(Debug, Clone)]
pub struct AwsGroups(Aws);

impl AwsGroups {
    /// With these credentials.
    #[must_use]
    pub fn new(aws: &Aws) -> Self {
        Self(aws.clone())
    }

    fn ec2(&self, group: &GroupRef) -> Result<Ec2, Failure> {
        Ec2::new(&self.0, group.region.as_str())
    }
}

/// `None`: for outgoing traffic, or not from a range of addresses. A range that cannot be read is none that may be passed over: it may
/// be what the finding is about.
fn read(rule: SecurityGroupRule) -> Result<Option<Rule>, Failure> {
    let Some(cidr) = rule.cidr.filter(|_| !rule.is_egress) else {
        return Ok(None);
    };
    let unreadable = |_| {
        let problem = format!("{} is from {cidr:?}, which is no range of addresses", rule.id);
        unexpected("ec2:DescribeSecurityGroupRules", problem)
    };
    let source: IpNet = cidr.parse().map_err(unreadable)?;
    Ok(Some(Rule {
        id: rule.id,
        opening: Opening {
            protocol: rule.protocol,
            from: rule.from.unwrap_or(-1),
            to: rule.to.unwrap_or(-1),
            source,
        },
        description: rule.description,
        tags: rule.tags,
    }))
}

fn written(opening: &Opening) -> SecurityGroupRule {
    SecurityGroupRule {
        protocol: opening.protocol.clone(),
        from: Some(opening.from),
        to: Some(opening.to),
        cidr: Some(opening.source.to_string()),
        ..SecurityGroupRule::default()
    }
}

/// Somebody was faster: it is looked at again.
fn meanwhile(failure: Failure) -> Failure {
    match failure.code.as_str() {
        "InvalidPermission.NotFound" | "InvalidPermission.Duplicate" => Failure {
            class: Class::Conflict,
            ..failure
        },
        _ => failure,
    }
}

impl Groups for AwsGroups {
    async fn group(&self, group: &GroupRef) -> Result<Option<Group>, Failure> {
        let Some(found) = self.ec2(group)?.security_group(&group.id).await? else {
            return Ok(None);
        };
        let rules = found.rules.into_iter().filter_map(|rule| read(rule).transpose());
        Ok(Some(Group {
            name: found.name,
            rules: rules.collect::<Result<_, _>>()?,
        }))
    }

    async fn write(&self, write: &Approved<Write>) -> Result<Receipt, Failure> {
        let request_id = match write.write() {
            Write::Revoke(group, openings) => {
                let rules: Vec<_> = openings.iter().map(written).collect();
                self.ec2(group)?.revoke_ingress(&group.id, &rules).await
            }
            Write::Authorize(group, rule) => {
                let rule = SecurityGroupRule {
                    description: rule.description.clone(),
                    tags: rule.tags.clone(),
                    ..written(&rule.opening)
                };
                self.ec2(group)?.authorize_ingress(&group.id, &rule).await
            }
        };
        request_id.map(|request_id| Receipt { request_id }).map_err(meanwhile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(cidr: Option<&str>, is_egress: bool) -> SecurityGroupRule {
        SecurityGroupRule {
            id: "sgr-1".to_owned(),
            is_egress,
            protocol: "tcp".to_owned(),
            from: Some(22),
            to: Some(22),
            cidr: cidr.map(str::to_owned),
            ..SecurityGroupRule::default()
        }
    }

    #[test]
    fn a_range_that_cannot_be_read_is_a_failure() {
        assert_eq!(
            read(rule(Some("::/0"), false)).unwrap().unwrap().opening.to_string(),
            "tcp 22 from ::/0"
        );
        assert_eq!(read(rule(None, false)).unwrap(), None);
        assert_eq!(read(rule(Some("0.0.0.0/0"), true)).unwrap(), None);
        for cidr in ["", "0.0.0.0", "0.0.0.0/33", "anywhere"] {
            let failure = read(rule(Some(cidr), false)).unwrap_err();
            assert_eq!(
                (failure.class, failure.code.as_str()),
                (Class::Permanent, "UnexpectedAnswer")
            );
            assert!(
                failure.message.contains("sgr-1") && failure.message.contains(cidr),
                "{failure}"
            );
        }
    }
}
