//! One block: how long it stands, and how it grows when the attacker comes back.

use chrono::TimeDelta;
use ipnet::IpNet;
use remediation::{clock::Timestamp, finding::Severity};
use serde::{Deserialize, Serialize};

/// A block of one address, as the ledger holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// What is blocked.
    pub cidr: IpNet,
    /// The worst that was seen of it.
    pub severity: Severity,
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// The latest activity that has been counted. Only later activity is a new offence: the same finding by another way,
    /// or delivered again, is not.
    pub last_seen: Timestamp,
    /// How often it came back, counting the first time.
    pub offences: u32,
    /// Stands for adjacent blocks in a full set; covers exactly the same addresses.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub aggregate: bool,
    /// The lock token of the state in which the ledger's word on this block changed. The change is settled only in a
    /// later state: a write that was planned before it can then no longer succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub barrier: Option<String>,
}

impl Block {
    /// Takes effect, or loses it, only with a write after the state that this token names.
    #[must_use]
    pub fn behind(self, lock_token: &str) -> Self {
        Self {
            barrier: Some(lock_token.to_owned()),
            ..self
        }
    }

    /// Whether no write has come since the ledger's word changed.
    #[must_use]
    pub fn waits_for_write(&self, lock_token: &str) -> bool {
        self.barrier.as_deref() == Some(lock_token)
    }
}

/// How long blocks stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Of the first block, by severity.
    pub low: TimeDelta,
    /// Of the first block, by severity.
    pub medium: TimeDelta,
    /// Of the first block, by severity.
    pub high: TimeDelta,
    /// Of the first block, by severity.
    pub critical: TimeDelta,
    /// The longest, however often the attacker comes back.
    pub cap: TimeDelta,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            low: TimeDelta::hours(24),
            medium: TimeDelta::hours(72),
            high: TimeDelta::hours(168),
            critical: TimeDelta::hours(336),
            cap: TimeDelta::hours(720),
        }
    }
}

impl Terms {
    /// An operator's undo holds at least this long, so that findings on their way do not bring the block back.
    const SHORTEST_HOLD: TimeDelta = TimeDelta::hours(24);

    /// The first block doubles with each further offence, up to the cap.
    fn duration(&self, severity: Severity, offences: u32) -> TimeDelta {
        let first = match severity {
            Severity::Low => self.low,
            Severity::Medium => self.medium,
            Severity::High => self.high,
            Severity::Critical => self.critical,
        };
        let factor = 1_i32 << offences.saturating_sub(1).min(16);
        first.checked_mul(factor).unwrap_or(self.cap).min(self.cap)
    }

    /// The first block of an address.
    #[must_use]
    pub fn first(&self, cidr: IpNet, severity: Severity, last_seen: Timestamp, now: Timestamp) -> Block {
        let until = now + self.duration(severity, 1);
        Block {
            cidr,
            severity,
            since: now,
            until,
            last_seen,
            offences: 1,
            aggregate: false,
            barrier: None,
        }
    }

    /// The block after one more offence; never shorter than it was.
    #[must_use]
    pub fn again(&self, block: &Block, severity: Severity, last_seen: Timestamp, now: Timestamp) -> Block {
        let severity = block.severity.max(severity);
        let offences = block.offences.saturating_add(1);
        Block {
            severity,
            offences,
            until: block.until.max(now + self.duration(severity, offences)),
            last_seen: block.last_seen.max(last_seen),
            ..block.clone()
        }
    }

    /// Until when an address that an operator unblocked stays unblocked.
    #[must_use]
    pub fn hold(block: &Block, now: Timestamp) -> Timestamp {
        block.until.max(now + Self::SHORTEST_HOLD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s45_blocks_double_up_to_the_cap_and_never_shrink() {
        let terms = Terms::default();
        let now = Timestamp::UNIX_EPOCH;
        let mut block = terms.first("192.0.2.1/32".parse().unwrap(), Severity::Low, now, now);
        let mut hours = vec![];
        for _ in 0..8 {
            hours.push((block.until - now).num_hours());
            block = terms.again(&block, Severity::Low, now, now);
        }
        assert_eq!(hours, [24, 48, 96, 192, 384, 720, 720, 720]);
        let many = Block {
            offences: u32::MAX,
            ..block.clone()
        };
        assert_eq!(
            (terms.again(&many, Severity::Critical, now, now).until - now).num_hours(),
            720
        );
        let later = terms.again(
            &Block {
                until: now + TimeDelta::days(90),
                ..block
            },
            Severity::Low,
            now,
            now,
        );
        assert_eq!((later.until - now).num_days(), 90);
    }
}
