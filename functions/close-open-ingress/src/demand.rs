//! What must not be open to the world.

use std::{collections::BTreeSet, fmt};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{group::Rule, settings::Limits};

/// What must not be open to the world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Demand {
    /// These TCP ports, from addresses of this family.
    Ports(BTreeSet<u16>, Family),
    /// Whatever is not authorised by the settings: EC2.18, `vpc-sg-open-only-to-authorized-ports`.
    Unauthorized,
    /// The watched ports, in the rules of these ids, which somebody has just added; none: in all rules.
    Added(Vec<String>),
}

/// Which addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// All.
    Any,
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Demand {
    /// These ports, whatever the family.
    pub fn ports(ports: impl IntoIterator<Item = u16>) -> Self {
        Self::Ports(ports.into_iter().collect(), Family::Any)
    }

    /// Whether a rule is against it.
    #[must_use]
    pub fn forbids(&self, rule: &Rule, limits: &Limits) -> bool {
        let opening = &rule.opening;
        let opens = |ports: &BTreeSet<u16>| {
            opening.is_everything() || (opening.is_tcp() && ports.iter().any(|port| opening.covers(*port)))
        };
        opening.is_to_the_world()
            && match self {
                Self::Ports(ports, family) => opens(ports) && family.has(&opening.source),
                Self::Unauthorized if opening.is_tcp() => {
                    !limits.authorized_tcp.iter().any(|port| is_alone(rule, *port))
                }
                Self::Unauthorized if opening.is_udp() => {
                    !limits.authorized_udp.iter().any(|port| is_alone(rule, *port))
                }
                Self::Unauthorized => opening.is_everything(),
                Self::Added(ids) => opens(&limits.watched) && (ids.is_empty() || ids.contains(&rule.id)),
            }
    }
}

impl Family {
    fn has(self, source: &IpNet) -> bool {
        match self {
            Self::Any => true,
            Self::V4 => matches!(source, IpNet::V4(_)),
            Self::V6 => matches!(source, IpNet::V6(_)),
        }
    }
}

fn is_alone(rule: &Rule, port: u16) -> bool {
    (rule.opening.from, rule.opening.to) == (i32::from(port), i32::from(port))
}

impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ports(ports, family) => {
                let ports: Vec<_> = ports.iter().map(ToString::to_string).collect();
                let family = match family {
                    Family::Any => "",
                    Family::V4 => ", IPv4",
                    Family::V6 => ", IPv6",
                };
                write!(f, "port {}{family}", ports.join(" "))
            }
            Self::Unauthorized => f.write_str("ports that are not authorised"),
            Self::Added(rules) if rules.is_empty() => f.write_str("watched ports"),
            Self::Added(rules) => write!(f, "watched ports in {}", rules.join(" ")),
        }
    }
}
