//! EC2, through its Query protocol.

use ipnet::IpNet;
use remediation::{
    Approved, Receipt,
    failure::{Class, Failure},
};
use remediation_aws::{Aws, Ec2, SecurityGroupRule};

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

/// `None`: for outgoing traffic, or not from a range of addresses.
fn read(rule: SecurityGroupRule) -> Option<Rule> {
    let source: IpNet = rule.cidr.filter(|_| !rule.is_egress)?.parse().ok()?;
    Some(Rule {
        id: rule.id,
        opening: Opening {
            protocol: rule.protocol,
            from: rule.from.unwrap_or(-1),
            to: rule.to.unwrap_or(-1),
            source,
        },
        description: rule.description,
        tags: rule.tags,
    })
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
        let found = self.ec2(group)?.security_group(&group.id).await?;
        Ok(found.map(|found| Group {
            name: found.name,
            rules: found.rules.into_iter().filter_map(read).collect(),
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
