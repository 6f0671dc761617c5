//! Which addresses of a finding are attackers.
//!
//! By finding type and shape, never by severity: a brute-force attack is a *Low* finding in GuardDuty, an infected
//! instance that calls its command server a *High* one, and only the first has an attacker at the remote end.

use std::{fmt, net::IpAddr};

use remediation::{
    Claim,
    finding::{Action, Detail, Direction, Finding, Role},
};
use serde::{Deserialize, Serialize};

/// An attacker's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attacker(pub IpAddr);

impl fmt::Display for Attacker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The attackers that a finding names.
#[must_use]
pub fn attackers(finding: &Finding) -> Claim<Attacker> {
    let kind = finding.evidence.kind.as_str();
    let threat = match &finding.detail {
        Detail::Threat(threat) => threat,
        Detail::Other(what) => return Claim::declined("not-a-threat", format!("{what} names no attacker")),
        _ => return Claim::declined("not-a-threat", format!("{kind} names no attacker")),
    };
    let family = Family::of(kind);
    let action = match &threat.action {
        Ok(action) => action,
        Err(error) => return Claim::Unreadable(error.clone()),
    };
    let remotes = match action {
        Action::NetworkConnection { direction, remotes } => match (direction, threat.role, family) {
            (Direction::Outbound, ..) | (_, Some(Role::Actor), _) => {
                return Claim::declined(
                    "outbound",
                    format!("{kind}: our side is the actor, the remote side no attacker of ours"),
                );
            }
            (Direction::Inbound, Some(Role::Target), Family::Attack | Family::KnownBad) => remotes,
            (Direction::Inbound, Some(Role::Target), _) => {
                return Claim::declined("unclaimed-type", format!("{kind} is not known to name an attacker"));
            }
            _ => {
                return Claim::declined(
                    "direction-unknown",
                    format!("{kind}: not certain that the remote side attacked"),
                );
            }
        },
        Action::PortProbe { remotes } if threat.role != Some(Role::Actor) => remotes,
        Action::PortProbe { .. } => return Claim::declined("outbound", format!("{kind}: our side is the actor")),
        // Stolen credentials of a member account used from a listed address are an attack all the same.
        Action::AwsApiCall { affiliated: true, .. } if family == Family::Attack => {
            return Claim::declined(
                "affiliated",
                format!("{kind}: the caller belongs to the same organisation"),
            );
        }
        Action::AwsApiCall { remotes, .. }
        | Action::KubernetesApiCall { remotes }
        | Action::RdsLoginAttempt { remotes } => match family {
            Family::Attack | Family::KnownBad => remotes,
            Family::Unusual => {
                return Claim::declined(
                    "may-be-legitimate",
                    format!("{kind} may be a legitimate user doing something unusual"),
                );
            }
            Family::Other => {
                return Claim::declined("unclaimed-type", format!("{kind} is not known to name an attacker"));
            }
        },
        Action::AttackSequence { remotes } => remotes,
        Action::Other(action) if matches!(action.as_str(), "" | "none" | "DNS_REQUEST") => {
            return Claim::declined("no-address", format!("{kind} names no remote address"));
        }
        Action::Other(action) => {
            return Claim::declined("unknown-action", format!("{kind}: the action {action:?} is not known"));
        }
    };
    let mut attackers: Vec<_> = remotes.iter().copied().map(Attacker).collect();
    attackers.sort_unstable();
    attackers.dedup();
    if attackers.is_empty() {
        return Claim::declined("no-address", format!("{kind} names no remote address"));
    }
    Claim::Targets(attackers)
}

/// What a finding type says of the remote side. The last part of a type, up to its first dot, is its family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    /// It attacked.
    Attack,
    /// It is on a list of malicious addresses, or a Tor exit.
    KnownBad,
    /// It behaved unlike before, as a legitimate user may.
    Unusual,
    /// Nothing that would justify a block.
    Other,
}

impl Family {
    fn of(kind: &str) -> Self {
        let name = kind.rsplit('/').next().unwrap_or_default();
        match name.split('.').next().unwrap_or_default() {
            "SSHBruteForce" | "RDPBruteForce" | "WinRMBruteForce" => Self::Attack,
            "MaliciousIPCaller" | "TorIPCaller" => Self::KnownBad,
            "AnomalousBehavior" if name == "AnomalousBehavior.SuccessfulBruteForce" => Self::Attack,
            "AnomalousBehavior" => Self::Unusual,
            // Credentials of an instance used inside AWS may be the owner's other account.
            "InstanceCredentialExfiltration" | "ResourceCredentialExfiltration" if !name.ends_with(".InsideAWS") => {
                Self::Attack
            }
            _ => Self::Other,
        }
    }
}
