//! The chain that shows whether the ledger was tampered with.
//!
//! Each writing of records adds a link: what was written, by its digest, and the hash of the link before. Whoever changes,
//! removes or adds a record, or a link, without a link for it, is found out, up to the head: that one is to be kept elsewhere
//! by whoever wants to know that no links were cut off at the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{RETENTION, Record, Revision};
use crate::{
    clock::Timestamp,
    ids::{RecordId, hex},
};

/// A SHA-256, in hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    /// Of a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(hex(Sha256::digest(text.as_bytes()).as_slice()))
    }

    /// Before the first link.
    #[must_use]
    pub fn none() -> Self {
        Self("0".repeat(64))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A record as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// The record.
    pub id: RecordId,
    /// Which writing of it.
    pub revision: Revision,
    /// Of its text as it is stored.
    pub digest: Digest,
}

/// What was written together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Counted from 1.
    pub number: u64,
    /// The hash of the link before.
    pub previous: Digest,
    /// When.
    pub at: Timestamp,
    /// What.
    pub records: Vec<Sealed>,
}

impl Link {
    /// What the next link refers to.
    #[must_use]
    pub fn hash(&self) -> Digest {
        let mut hasher = Sha256::new();
        // Every part ends with what none of them contains.
        for part in [self.number.to_string(), self.previous.to_string(), self.at.to_rfc3339()] {
            hasher.update(part.as_bytes());
            hasher.update(b"\n");
        }
        for sealed in &self.records {
            hasher.update(format!("{} {} {}\n", sealed.id, sealed.revision, sealed.digest).as_bytes());
        }
        Digest(hex(hasher.finalize().as_slice()))
    }
}

/// The end of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// How many links there are.
    pub number: u64,
    /// The hash of the last.
    pub hash: Digest,
}

impl Head {
    /// Of a chain without links.
    #[must_use]
    pub fn none() -> Self {
        Self {
            number: 0,
            hash: Digest::none(),
        }
    }

    /// With this link at its end.
    #[must_use]
    pub fn of(link: &Link) -> Self {
        Self {
            number: link.number,
            hash: link.hash(),
        }
    }

    /// The link that comes next.
    #[must_use]
    pub fn next(&self, records: Vec<Sealed>, at: Timestamp) -> Link {
        Link {
            number: self.number + 1,
            previous: self.hash.clone(),
            at,
            records,
        }
    }
}

/// Something that cannot be by the functions' own writing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "flaw", rename_all = "kebab-case")]
pub enum Flaw {
    /// Links are gone.
    #[error("links {from} to {to} are missing")]
    MissingLinks {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
    /// A link was changed, or the one before it.
    #[error("link {number} does not follow the one before it")]
    BrokenLink {
        /// Which.
        number: u64,
    },
    /// The record is not as it was written last.
    #[error("record {id} is not as it was written in link {number}")]
    ChangedRecord {
        /// Which.
        id: RecordId,
        /// Where it was written last.
        number: u64,
    },
    /// The record is gone.
    #[error("record {id}, written in link {number}, is missing")]
    MissingRecord {
        /// Which.
        id: RecordId,
        /// Where it was written last.
        number: u64,
    },
    /// Nobody wrote it.
    #[error("record {id} is in no link")]
    ForeignRecord {
        /// Which.
        id: RecordId,
    },
}

/// A record as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The record.
    pub record: Record,
    /// Its text.
    pub text: String,
}

/// Compares the links, in order, with the records that there are. What is older than records are kept may be gone.
#[must_use]
pub fn verify(links: &[Link], stored: &[Stored], now: Timestamp) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    // A record's time may have been tampered with: nothing is added to it.
    let is_over = |at: Timestamp| (now - at).to_std().is_ok_and(|age| age >= RETENTION);
    let mut before: Option<&Link> = None;
    let mut last: BTreeMap<&RecordId, (&Sealed, &Link)> = BTreeMap::new();
    for link in links {
        let expected = before.map_or(1, |before| before.number + 1);
        // The beginning may have expired: then the first that is left is as old as what it follows.
        let is_cut = link.number != expected && !(before.is_none() && is_over(link.at));
        if is_cut {
            flaws.push(Flaw::MissingLinks {
                from: expected,
                to: link.number.saturating_sub(1),
            });
        }
        let follows = match before {
            Some(before) if link.number == before.number + 1 => link.previous == before.hash(),
            Some(_) => true,
            None => link.number != 1 || link.previous == Digest::none(),
        };
        if !follows {
            flaws.push(Flaw::BrokenLink { number: link.number });
        }
        for sealed in &link.records {
            last.insert(&sealed.id, (sealed, link));
        }
        before = Some(link);
    }
    let there: BTreeMap<&RecordId, &Stored> = stored.iter().map(|stored| (&stored.record.id, stored)).collect();
    for (id, (sealed, link)) in &last {
        let (id, number) = ((*id).clone(), link.number);
        match there.get(&id) {
            Some(stored) if Digest::of(&stored.text) == sealed.digest => {}
            Some(_) => flaws.push(Flaw::ChangedRecord { id, number }),
            None if is_over(link.at) => {}
            None => flaws.push(Flaw::MissingRecord { id, number }),
        }
    }
    let known: BTreeSet<&RecordId> = last.keys().copied().collect();
    let foreign = there.values().filter(|stored| !known.contains(&stored.record.id));
    let foreign = foreign.filter(|stored| !is_over(stored.record.updated_at));
    flaws.extend(foreign.map(|stored| Flaw::ForeignRecord {
        id: stored.record.id.clone(),
    }));
    flaws
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::Value;

    use super::*;
    use crate::{
        finding::{Channel, Evidence, Severity},
        ids::{AccountId, FindingId, FindingVersion, Region},
        ledger::Status,
    };

    const SCOPE: crate::ledger::ScopeKey<'_> = crate::ledger::ScopeKey {
        account: "111122223333",
        remediation: "block-ip",
        scope: "set",
    };

    fn at(days: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + TimeDelta::days(days)
    }

    fn stored(name: &str, text: &str) -> Stored {
        let (finding, version) = (FindingId::new(name), FindingVersion::new("1"));
        let record = Record {
            id: RecordId::derive(SCOPE, name, &finding, &version),
            revision: Revision(1),
            remediation: "block-ip".to_owned(),
            account: AccountId::new(SCOPE.account),
            scope: "set".to_owned(),
            target: Value::Null,
            evidence: Evidence {
                id: finding,
                version,
                channel: Channel::Direct,
                kind: "kind".to_owned(),
                severity: Severity::Low,
                account: AccountId::new("111122223333"),
                region: Region::new("us-east-1"),
                observed_at: at(0),
            },
            status: Status::Intended,
            change: None,
            image: None,
            released: None,
            requests: Vec::new(),
            actor: String::new(),
            approved: None,
            reverted: None,
            noticed: false,
            teller: String::new(),
            untold: false,
            unanswered: false,
            created_at: at(1),
            updated_at: at(1),
        };
        Stored {
            record,
            text: text.to_owned(),
        }
    }

    fn sealed(stored: &Stored) -> Sealed {
        Sealed {
            id: stored.record.id.clone(),
            revision: stored.record.revision,
            digest: Digest::of(&stored.text),
        }
    }

    /// Three links: a and b, then c, then b again.
    fn chain() -> (Vec<Link>, Vec<Stored>) {
        let (a, b, c, again) = (
            stored("a", "a1"),
            stored("b", "b1"),
            stored("c", "c1"),
            stored("b", "b2"),
        );
        let mut links: Vec<Link> = Vec::new();
        for records in [vec![sealed(&a), sealed(&b)], vec![sealed(&c)], vec![sealed(&again)]] {
            let head = links.last().map_or_else(Head::none, Head::of);
            links.push(head.next(records, at(1)));
        }
        (links, vec![a, again, c])
    }

    #[test]
    fn s30_what_nobody_touched_has_no_flaw() {
        let (links, stored) = chain();
        assert_eq!(verify(&links, &stored, at(2)), []);
        assert_eq!(verify(&[], &[], at(2)), []);
    }

    #[test]
    fn s30_every_tampering_is_named() {
        let (links, good) = chain();
        let flaws = |links: &[Link], stored: &[Stored]| -> Vec<String> {
            verify(links, stored, at(2)).iter().map(ToString::to_string).collect()
        };
        let id = |name: &str| stored(name, "").record.id;

        let mut changed = good.clone();
        changed[1].text = "b1".to_owned();
        assert_eq!(
            flaws(&links, &changed),
            [format!("record {} is not as it was written in link 3", id("b"))]
        );
        assert_eq!(
            flaws(&links, &good[1..]),
            [format!("record {}, written in link 1, is missing", id("a"))]
        );
        let foreign = [good.clone(), vec![stored("d", "d1")]].concat();
        assert_eq!(flaws(&links, &foreign), [format!("record {} is in no link", id("d"))]);

        let without = [links[0].clone(), links[2].clone()];
        let told = flaws(&without, &good);
        assert_eq!(told[0], "links 2 to 2 are missing");
        assert_eq!(flaws(&links[1..], &good)[0], "links 1 to 1 are missing");
        let mut rewritten = links.clone();
        rewritten[0].records[0].digest = Digest::of("a2");
        let told = flaws(&rewritten, &good);
        assert_eq!(told[0], "link 2 does not follow the one before it");
        let mut begun = links;
        begun[0].previous = Digest::of("x");
        assert_eq!(flaws(&begun, &good)[0], "link 1 does not follow the one before it");
    }

    #[test]
    fn s30_what_is_over_may_be_gone() {
        let (links, _) = chain();
        assert_eq!(verify(&links[1..], &[], at(500)), []);
    }

    #[test]
    fn what_comes_after_a_gap_is_not_called_broken() {
        let (links, good) = chain();
        let flaws = verify(&[links[0].clone(), links[2].clone()], &good, at(2));
        assert!(
            flaws.iter().all(|flaw| !matches!(flaw, Flaw::BrokenLink { .. })),
            "{flaws:?}"
        );
    }
}
