//! What the operator sets.

use std::{collections::BTreeSet, fmt};

use ipnet::IpNet;
use remediation::{
    engine::Policy,
    policy::matches,
    settings::{Document, InvalidSettings, Net, Section},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::group::{GroupRef, Opening};

/// What the operator sets for this function alone.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(inline)]
pub struct Own {
    /// TCP ports that a new rule must not open to the world: the rule is closed as soon as CloudTrail tells of it.
    pub watched_ports: Vec<Port>,
    /// TCP ports that may be open to the world. Keep them as in EC2.18 and `vpc-sg-open-only-to-authorized-ports`.
    pub authorized_tcp_ports: Vec<Port>,
    /// UDP ports that may be.
    pub authorized_udp_ports: Vec<Port>,
    /// Rules that are declared, and left alone.
    pub baseline: Vec<Baseline>,
    /// Security groups that are never touched, by id or name; a `*` stands for any text.
    pub protected_groups: Vec<Pattern>,
}

/// A port from 1 to 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "i64")]
#[schemars(inline, extend("minimum" = 1, "maximum" = u16::MAX))]
pub struct Port(u16);

impl TryFrom<i64> for Port {
    type Error = String;

    fn try_from(port: i64) -> Result<Self, String> {
        match u16::try_from(port) {
            Ok(port) if port > 0 => Ok(Self(port)),
            _ => Err(format!("expected a port from 1 to 65535, not {port}")),
        }
    }
}

/// Security groups, by id or name; a `*` stands for any text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(inline, extend("minLength" = 1))]
pub struct Pattern(String);

impl TryFrom<String> for Pattern {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        if text.trim().is_empty() {
            Err("is empty: expected the id or the name of a security group")
        } else {
            Ok(Self(text))
        }
    }
}

impl Pattern {
    /// By its id, or its name where that is known.
    fn means(&self, group: &GroupRef, name: Option<&str>) -> bool {
        matches(&self.0, &group.id) || name.is_some_and(|name| matches(&self.0, name))
    }
}

/// A declared rule: all that it covers is left alone.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(inline)]
pub struct Baseline {
    /// The security group, by id or name; a `*` stands for any text.
    pub group: Pattern,
    /// Its first TCP port.
    pub from_port: Port,
    /// Its last TCP port; the first, if none is given.
    #[serde(default)]
    pub to_port: Option<Port>,
    /// From where; from anywhere, if nothing is given.
    #[serde(default)]
    pub source: Option<Net>,
}

impl Baseline {
    fn last(&self) -> Port {
        self.to_port.unwrap_or(self.from_port)
    }

    fn covers(&self, group: &GroupRef, name: &str, opening: &Opening) -> bool {
        let within = |source: &IpNet| self.source.as_ref().is_none_or(|Net(net)| net.contains(source));
        self.group.means(group, Some(name))
            && opening.is_tcp()
            && opening.from >= i32::from(self.from_port.0)
            && opening.to <= i32::from(self.last().0)
            && within(&opening.source)
    }
}

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tcp {}", self.group.0, self.from_port.0)?;
        self.to_port.map_or(Ok(()), |last| write!(f, "-{}", last.0))
    }
}

impl Default for Own {
    fn default() -> Self {
        let ports = |ports: &[u16]| ports.iter().copied().map(Port).collect();
        Self {
            watched_ports: ports(&[22, 3389, 5432, 8080]),
            authorized_tcp_ports: ports(&[80, 443]),
            authorized_udp_ports: Vec::new(),
            baseline: Vec::new(),
            protected_groups: Vec::new(),
        }
    }
}

impl Section for Own {
    fn contradictions(&self) -> Vec<(String, String)> {
        let both = self
            .watched_ports
            .iter()
            .find(|port| self.authorized_tcp_ports.contains(port));
        let both = both.map(|Port(port)| ("watchedPorts".to_owned(), format!("{port} is authorised as well")));
        let is_empty = |(_, rule): &(usize, &Baseline)| rule.last().0 < rule.from_port.0;
        let empty = self.baseline.iter().enumerate().filter(is_empty).map(|(index, rule)| {
            let (from, to) = (rule.from_port.0, rule.last().0);
            (
                format!("baseline[{index}].toPort"),
                format!("{to} is before fromPort {from}"),
            )
        });
        both.into_iter().chain(empty).collect()
    }
}

/// What is closed, and what is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// TCP ports that a new rule must not open.
    pub watched: BTreeSet<u16>,
    /// TCP ports that may be open.
    pub authorized_tcp: BTreeSet<u16>,
    /// UDP ports that may be open.
    pub authorized_udp: BTreeSet<u16>,
    baseline: Vec<Baseline>,
    protected: Vec<Pattern>,
}

impl Limits {
    /// Whether the group is never touched, as far as its id says, and its name where that is known.
    #[must_use]
    pub fn protects(&self, group: &GroupRef, name: Option<&str>) -> bool {
        self.protected.iter().any(|pattern| pattern.means(group, name))
    }

    /// The declared rule that a rule is, if it is one.
    #[must_use]
    pub fn declared(&self, group: &GroupRef, name: &str, opening: &Opening) -> Option<&Baseline> {
        self.baseline
            .iter()
            .find(|baseline| baseline.covers(group, name, opening))
    }
}

/// All that can be set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What is allowed.
    pub policy: Policy,
    /// What is closed, and what is left alone.
    pub limits: Limits,
}

impl Settings {
    /// Reads the operator's document.
    ///
    /// # Errors
    /// All settings of this function that are wrong, each by its path.
    pub fn read(document: &Document) -> Result<Self, InvalidSettings> {
        let (policy, own) = Policy::read::<Own>(document, "close-open-ingress")?;
        let ports = |ports: Vec<Port>| ports.into_iter().map(|Port(port)| port).collect();
        Ok(Self {
            policy,
            limits: Limits {
                watched: ports(own.watched_ports),
                authorized_tcp: ports(own.authorized_tcp_ports),
                authorized_udp: ports(own.authorized_udp_ports),
                baseline: own.baseline,
                protected: own.protected_groups,
            },
        })
    }
}
