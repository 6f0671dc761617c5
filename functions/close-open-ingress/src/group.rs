//! Which security group, and which of its rules.

use std::{collections::BTreeMap, fmt, net::Ipv6Addr};

use ipnet::{IpNet, Ipv6Net};
use remediation::ids::Region;
use serde::{Deserialize, Serialize};

use crate::demand::Demand;

/// A security group, by its id in its Region.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GroupRef {
    /// Its Region.
    pub region: Region,
    /// `sg-…`.
    pub id: String,
}

impl GroupRef {
    /// Takes the text if it is the id of a security group, or an ARN that ends in one.
    #[must_use]
    pub fn parse(region: &Region, text: &str) -> Option<Self> {
        let id = text.rsplit('/').next().unwrap_or(text);
        let digits = id.strip_prefix("sg-")?;
        let is_id = (8..=17).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
        is_id.then(|| Self {
            region: region.clone(),
            id: id.to_owned(),
        })
    }
}

impl fmt::Display for GroupRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.region, self.id)
    }
}

/// What a rule lets in: all that makes it the rule that it is. No group has two of the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// `tcp`, `udp`, `icmp`, `icmpv6`, a protocol's number, or `-1` for all.
    pub protocol: String,
    /// The first port, or the ICMP type; -1: all.
    pub from: i32,
    /// The last port, or the ICMP code; -1: all.
    pub to: i32,
    /// From where.
    pub source: IpNet,
}

/// Ranges as large as this are the world, in whatever pieces somebody opens it: of IPv4 all down to a hundred-and-twenty-eighth, of IPv6
/// what is larger than any registry holds.
const WORLD_V4: u8 = 7;
const WORLD_V6: u8 = 15;
/// No router of the Internet carries these: unique local addresses, and those of a link.
const LOCAL_V6: [Ipv6Net; 2] = [
    Ipv6Net::new_assert(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
    Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
];

impl Opening {
    /// Whether it is open to the world.
    #[must_use]
    pub fn is_to_the_world(&self) -> bool {
        match self.source {
            IpNet::V4(net) => net.prefix_len() <= WORLD_V4,
            IpNet::V6(net) => net.prefix_len() <= WORLD_V6 && !LOCAL_V6.iter().any(|local| local.contains(&net)),
        }
    }

    /// All protocols, and so all ports.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.protocol == "-1"
    }

    /// Whether it is about TCP.
    #[must_use]
    pub fn is_tcp(&self) -> bool {
        matches!(self.protocol.as_str(), "tcp" | "6")
    }

    /// Whether it is about UDP.
    #[must_use]
    pub fn is_udp(&self) -> bool {
        matches!(self.protocol.as_str(), "udp" | "17")
    }

    /// Its ports, where it has any.
    #[must_use]
    pub fn covers(&self, port: u16) -> bool {
        self.from == -1 || (self.from..=self.to).contains(&i32::from(port))
    }
}

impl fmt::Display for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.protocol.as_str() {
            "-1" => f.write_str("everything")?,
            protocol => f.write_str(protocol)?,
        }
        match (self.is_everything(), self.from, self.to) {
            (true, ..) | (_, -1, _) => {}
            (_, from, to) if from == to => write!(f, " {from}")?,
            (_, from, to) => write!(f, " {from}-{to}")?,
        }
        write!(f, " from {}", self.source)
    }
}

/// A rule for incoming traffic from a range of addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// `sgr-…`. A rule that is put back gets another.
    pub id: String,
    /// What it lets in.
    pub opening: Opening,
    /// What somebody said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

/// What EC2 says of a security group: its rules for incoming traffic from ranges of addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// The rules.
    pub rules: Vec<Rule>,
}

impl Group {
    /// The rule that lets exactly this in.
    #[must_use]
    pub fn rule(&self, opening: &Opening) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.opening == *opening)
    }
}

/// What is acted on: whatever in the group is against the demand. The rules themselves would be no names for it: once they are closed,
/// a redelivery could not find them again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Whose.
    pub group: GroupRef,
    /// What must not be open.
    pub demand: Demand,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.group.id, self.demand)
    }
}

/// One look, and one write, covers one group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope(pub GroupRef);

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "security-group/{}", self.0)
    }
}
