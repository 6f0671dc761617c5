//! What a finding asks for: which security group, and what must not be open in it.

use std::collections::BTreeSet;

use remediation::{
    Claim,
    finding::{Detail, Finding, Rule},
    ids::Region,
    outcome::Reason,
};

use crate::{
    demand::{Demand, Family},
    group::{GroupRef, Target},
};

const SSH: u16 = 22;
const RDP: u16 = 3389;
/// The high-risk ports of EC2.19.
const HIGH_RISK: [u16; 24] = [
    20, 21, 22, 23, 25, 110, 135, 143, 445, 1433, 1434, 3000, 3306, 3389, 4333, 5000, 5432, 5500, 5601, 8080, 8088,
    8888, 9200, 9300,
];

/// The targets of a finding.
#[must_use]
pub fn claim(finding: &Finding) -> Claim<Target> {
    let kind = finding.evidence.kind.as_str();
    let region = || {
        let region = Region::parse(finding.evidence.region.as_str());
        region.map_err(|wrong| Reason::new("not-a-region", wrong.to_string()))
    };
    let check = match &finding.detail {
        Detail::Compliance(check) => check,
        Detail::IngressAuthorized(added) => {
            let demand = Demand::Added(added.rules.clone());
            let region = match region() {
                Ok(region) => region,
                Err(reason) => return Claim::Declined(reason),
            };
            return match GroupRef::parse(&region, &added.group) {
                Some(group) => Claim::Targets(vec![Target { group, demand }]),
                None => Claim::declined(
                    "not-a-group",
                    format!("{:?} is not the id of a security group", added.group),
                ),
            };
        }
        Detail::Other(what) => {
            return Claim::declined("not-about-ingress", format!("{what} is not about a security group"));
        }
        _ => return Claim::declined("not-about-ingress", format!("{kind} is not about a security group")),
    };
    let only = |family| Demand::Ports(BTreeSet::from([SSH, RDP]), family);
    let demand = match &check.rule {
        Rule::Control(control) => match control.as_str() {
            "EC2.13" => Demand::ports([SSH]),
            "EC2.14" => Demand::ports([RDP]),
            "EC2.18" => Demand::Unauthorized,
            "EC2.19" => Demand::ports(HIGH_RISK),
            "EC2.53" => only(Family::V4),
            "EC2.54" => only(Family::V6),
            _ => return Claim::declined("unclaimed-rule", format!("{kind} is no control about open ports")),
        },
        Rule::Config(rule) => match rule.as_str() {
            "restricted-ssh" => Demand::ports([SSH]),
            "vpc-sg-open-only-to-authorized-ports" => Demand::Unauthorized,
            _ => return Claim::declined("unclaimed-rule", format!("{kind} is no rule about open ports")),
        },
    };
    if let Some(reason) = check.is_no_violation(kind) {
        return Claim::Declined(reason);
    }
    let region = match region() {
        Ok(region) => region,
        Err(reason) => return Claim::Declined(reason),
    };
    let mut groups = Vec::new();
    for resource in &check.resources {
        let group = GroupRef::parse(&region, &resource.id).filter(|_| resource.kind == "AWS::EC2::SecurityGroup");
        match group {
            Some(group) => groups.push(Target {
                group,
                demand: demand.clone(),
            }),
            None => {
                return Claim::declined(
                    "not-a-group",
                    format!("{} {} is not a security group", resource.kind, resource.id),
                );
            }
        }
    }
    if groups.is_empty() {
        return Claim::declined("no-group", format!("{kind} names no resource"));
    }
    Claim::Targets(groups)
}
