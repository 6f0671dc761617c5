//! The decision: what an IP set shall contain.
//!
//! An IP set is replaced as a whole, so the plan is always made for the whole set: *what is there and is not ours* and
//! *our blocks that stand*. Addresses that people added are therefore never dropped, and whatever another instance has
//! announced in the ledger is written along.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use ipnet::IpNet;
use remediation::{
    Ask, Evidence, Request,
    clock::Timestamp,
    finding::Severity,
    ledger::{Phase, Standing},
    outcome::Reason,
    plan::{Decision, Plan, Step, Upkeep},
};

use crate::{
    Attacker,
    block::{Block, Terms},
    ip_set::{CAPACITY, Contents, Replacement},
};

/// All that the decision rests on.
#[derive(Debug)]
pub struct Situation<'a> {
    /// The time.
    pub now: Timestamp,
    /// How long blocks stand.
    pub terms: &'a Terms,
    /// What WAF says.
    pub set: &'a Contents,
    /// What the ledger says.
    pub standing: &'a [Standing<Block>],
}

/// Decides on every request, and on the whole set.
#[must_use]
pub fn converge(situation: &Situation<'_>, requests: &[Request<'_, Attacker>]) -> Plan<Block, Replacement> {
    let mut draft = Draft::new(situation);
    let mut decisions: Vec<_> = requests
        .iter()
        .map(|request| match request.ask {
            Ask::Remediate(evidence) => draft.block(*request.target, evidence),
            Ask::Undo => draft.unblock(*request.target),
        })
        .collect();
    let evicted = draft.make_room();
    for (request, decision) in requests.iter().zip(&mut decisions) {
        if matches!(decision, Decision::Act(Step::Make(_), _) | Decision::InPlace(_))
            && evicted.contains(&request.target.to_string())
            && matches!(request.ask, Ask::Remediate(_))
        {
            *decision = Decision::Escalate(no_room());
        }
    }
    let spoken_for = requests
        .iter()
        .zip(&decisions)
        .filter(|(_, decision)| matches!(decision, Decision::Act(..) | Decision::InPlace(_)))
        .map(|(request, _)| request.target.to_string())
        .collect();
    draft.finish(decisions, &spoken_for, evicted.len())
}

/// The code of an operator's undo, also while it is under way.
const UNBLOCKED: &str = "unblocked";

fn no_room() -> Reason {
    let text = format!("the IP set is full: {CAPACITY} addresses, and every other block is worse or stands longer");
    Reason::new("no-room", text)
}

/// The plan in the making.
struct Draft<'a> {
    situation: &'a Situation<'a>,
    /// What is in the set and not ours.
    foreign: Coverage,
    /// What is in the set.
    present: Coverage,
    /// Blocks that shall stand, by target.
    live: BTreeMap<String, Block>,
    /// Every aggregate that may be in the set by our doing, also one that is to go.
    our_aggregates: HashSet<IpNet>,
    /// Aggregates that shall stand, by their network.
    aggregates: BTreeMap<IpNet, Block>,
    /// Blocks that shall go, by target, and why.
    ending: BTreeMap<String, (Block, Reason)>,
    /// Addresses that an operator unblocked, and until when that holds.
    held: BTreeMap<&'a str, Timestamp>,
    /// Holds that are over.
    outlived: Vec<&'a Standing<Block>>,
}

impl<'a> Draft<'a> {
    fn new(situation: &'a Situation<'a>) -> Self {
        let ours: HashSet<IpNet> = situation
            .standing
            .iter()
            .filter(|held| !matches!(held.phase, Phase::Held(_)))
            .map(|held| held.change.cidr)
            .collect();
        let mut draft = Self {
            situation,
            foreign: situation
                .set
                .addresses
                .iter()
                .filter(|net| !ours.contains(net))
                .copied()
                .collect(),
            present: situation.set.addresses.iter().copied().collect(),
            our_aggregates: situation
                .standing
                .iter()
                .map(|held| &held.change)
                .filter(|b| b.aggregate)
                .map(|b| b.cidr)
                .collect(),
            live: BTreeMap::new(),
            aggregates: BTreeMap::new(),
            ending: BTreeMap::new(),
            held: BTreeMap::new(),
            outlived: Vec::new(),
        };
        for held in situation.standing {
            let block = held.change.clone();
            match &held.phase {
                Phase::Active if block.aggregate => {
                    draft.aggregates.insert(block.cidr, block);
                }
                Phase::Active if block.until > situation.now => {
                    draft.live.insert(held.target.clone(), block);
                }
                Phase::Active => {
                    let reason = Reason::new(
                        "expired",
                        format!("the block of {} stood until {}", block.cidr, block.until),
                    );
                    draft.end(held.target.clone(), block, reason);
                }
                Phase::Releasing(reason) => {
                    draft.ending.insert(held.target.clone(), (block, reason.clone()));
                }
                Phase::Held(until) if *until > situation.now => {
                    draft.held.insert(&held.target, *until);
                }
                Phase::Held(_) => draft.outlived.push(held),
            }
        }
        draft
    }

    fn token(&self) -> &'a str {
        &self.situation.set.lock_token
    }

    /// A block that has stood until now shall go.
    fn end(&mut self, target: String, block: Block, reason: Reason) {
        self.ending.insert(target, (block.behind(self.token()), reason));
    }

    /// Whether the block takes effect: in the set, in a state after the ledger's word on it.
    fn is_in_place(&self, block: &Block) -> bool {
        self.present.covering(&block.cidr).is_some() && !block.waits_for_write(self.token())
    }

    /// Whether the block has lost its effect.
    fn is_gone(&self, block: &Block) -> bool {
        let covered_by_us = || {
            self.present
                .covering(&block.cidr)
                .is_some_and(|net| self.our_aggregates.contains(&net))
        };
        !self.present.contains(&block.cidr)
            && !block.waits_for_write(self.token())
            && (block.aggregate || !covered_by_us())
    }

    fn block(&mut self, attacker: Attacker, evidence: &[&Evidence]) -> Decision<Block> {
        let Attacker(address) = attacker;
        let target = attacker.to_string();
        let (now, terms) = (self.situation.now, self.situation.terms);
        let severity = evidence.iter().map(|e| e.severity).max().unwrap_or(Severity::Low);
        let last_seen = evidence.iter().map(|e| e.observed_at).max().unwrap_or(now);
        let kind = evidence.last().map_or("", |e| e.kind.as_str());

        if let Some(until) = self.held.get(target.as_str()) {
            return Decision::Decline(Reason::new(
                Reason::UNDONE,
                format!("an operator unblocked {address}; that holds until {}", minute(*until)),
            ));
        }
        if let Some(block) = self.live.get(&target).cloned() {
            if last_seen > block.last_seen {
                let longer = terms.again(&block, severity, last_seen, now);
                let reason = Reason::new(
                    "blocked-again",
                    format!(
                        "{kind}, {severity}, offence {}: {address} blocked until {}",
                        longer.offences,
                        minute(longer.until)
                    ),
                );
                self.live.insert(target, longer.clone());
                return Decision::Act(Step::Make(longer), reason);
            }
            let reason = Reason::new(
                "blocked",
                format!("{kind}, {severity}: {address} blocked until {}", minute(block.until)),
            );
            return if self.is_in_place(&block) {
                Decision::InPlace(reason)
            } else {
                Decision::Act(Step::Make(block), reason)
            };
        }
        if self
            .ending
            .get(&target)
            .is_some_and(|(_, reason)| reason.code == UNBLOCKED)
        {
            return Decision::Decline(Reason::new(
                Reason::UNDONE,
                format!("an operator is unblocking {address}"),
            ));
        }
        let block = match self.ending.remove(&target) {
            // A write that takes it away may be under way: only a later one makes it stand.
            Some((block, _)) => terms.again(&block, severity, last_seen, now).behind(self.token()),
            None => {
                let cidr = IpNet::from(address);
                if let Some(net) = self.foreign.covering(&cidr) {
                    return Decision::InPlace(Reason::new(
                        "blocked-by-others",
                        format!("{address} is blocked by {net}, which is not ours"),
                    ));
                }
                terms.first(cidr, severity, last_seen, now)
            }
        };
        let reason = Reason::new(
            "blocked",
            format!("{kind}, {severity}: {address} blocked until {}", minute(block.until)),
        );
        self.live.insert(target, block.clone());
        Decision::Act(Step::Make(block), reason)
    }

    fn unblock(&mut self, attacker: Attacker) -> Decision<Block> {
        let target = attacker.to_string();
        let reason = Reason::new(UNBLOCKED, format!("an operator unblocked {target}"));
        if let Some(block) = self.live.remove(&target) {
            self.end(target.clone(), block, reason.clone());
        }
        match self.ending.get(&target) {
            Some((block, _)) if self.is_gone(block) => Decision::InPlace(reason),
            Some((block, _)) => Decision::Act(Step::Revert(block.clone()), reason),
            None if self.held.contains_key(target.as_str()) => Decision::InPlace(Reason::new(
                "undone-before",
                format!("{target} was unblocked by another record of the same block"),
            )),
            None => Decision::Decline(Reason::new(
                "not-standing",
                format!("no block of {target} stands any more"),
            )),
        }
    }

    /// The networks by which the live blocks are written: themselves while they fit, aggregated when they do not.
    fn placement(&self, room: usize) -> BTreeSet<IpNet> {
        let single: BTreeSet<IpNet> = self
            .live
            .values()
            .map(|block| block.cidr)
            .filter(|net| !self.foreign.contains(net))
            .collect();
        if single.len() <= room {
            return single;
        }
        IpNet::aggregate(&single.into_iter().collect())
            .into_iter()
            .filter(|net| !self.foreign.contains(net))
            .collect()
    }

    fn room(&self) -> usize {
        CAPACITY.saturating_sub(self.foreign.len())
    }

    /// Lets the least severe blocks that end soonest give way until the rest fits.
    fn make_room(&mut self) -> BTreeSet<String> {
        let stands: HashSet<&str> = self
            .situation
            .standing
            .iter()
            .filter(|held| !matches!(held.phase, Phase::Held(_)))
            .map(|held| held.target.as_str())
            .collect();
        let mut evicted = BTreeSet::new();
        loop {
            let excess = self.placement(self.room()).len().saturating_sub(self.room());
            if excess == 0 {
                return evicted;
            }
            let mut ranking: Vec<_> = self
                .live
                .iter()
                .map(|(target, block)| (block.severity, block.until, target.clone()))
                .collect();
            ranking.sort_unstable();
            for (_, _, target) in ranking.into_iter().take(excess) {
                if let Some(block) = self.live.remove(&target)
                    && stands.contains(target.as_str())
                {
                    self.end(
                        target.clone(),
                        block,
                        Reason::new("evicted", "the IP set is full and other blocks are worse"),
                    );
                }
                evicted.insert(target);
            }
        }
    }

    fn finish(
        mut self,
        decisions: Vec<Decision<Block>>,
        spoken_for: &BTreeSet<String>,
        evicted: usize,
    ) -> Plan<Block, Replacement> {
        let placement = self.placement(self.room());
        let mut upkeep = self.aggregate(&placement);
        let known: HashSet<&str> = self
            .situation
            .standing
            .iter()
            .map(|held| held.target.as_str())
            .collect();

        for (target, block) in &self.live {
            if !spoken_for.contains(target) && !self.is_in_place(block) {
                upkeep.push(Upkeep {
                    target: target.clone(),
                    step: Step::Make(block.clone()),
                    reason: Reason::new(
                        "restored",
                        format!("the block of {} stands in the ledger and not in the set", block.cidr),
                    ),
                    in_place: false,
                });
            }
        }
        for (target, (block, reason)) in &self.ending {
            if !spoken_for.contains(target) && known.contains(target.as_str()) {
                upkeep.push(Upkeep {
                    target: target.clone(),
                    step: Step::Revert(block.clone()),
                    reason: reason.clone(),
                    in_place: self.is_gone(block),
                });
            }
        }
        for held in &self.outlived {
            if !spoken_for.contains(&held.target) {
                upkeep.push(Upkeep {
                    target: held.target.clone(),
                    step: Step::Revert(held.change.clone()),
                    reason: Reason::new("hold-over", "the operator's undo has lost its hold"),
                    in_place: true,
                });
            }
        }

        let wanted: BTreeSet<IpNet> = self.foreign.iter().copied().chain(placement).collect();
        let is_there = wanted.len() == self.present.len() && wanted.iter().all(|net| self.present.contains(net));
        let waiting = self
            .live
            .values()
            .chain(self.aggregates.values())
            .chain(self.ending.values().map(|(block, _)| block));
        let must_write = !is_there || waiting.into_iter().any(|block| block.waits_for_write(self.token()));
        #[expect(clippy::cast_precision_loss, reason = "at most 10,000 addresses")]
        let gauges = vec![
            ("SetOccupancyPercent", wanted.len() as f64 * 100.0 / CAPACITY as f64),
            ("BlocksEvicted", evicted as f64),
        ];
        let write = must_write.then(|| Replacement {
            addresses: wanted.into_iter().collect(),
            lock_token: self.token().to_owned(),
            description: self.situation.set.description.clone(),
        });
        Plan {
            decisions,
            upkeep,
            write,
            gauges,
        }
    }

    /// Notes which aggregates the placement needs, and lets go of those that it does not.
    fn aggregate(&mut self, placement: &BTreeSet<IpNet>) -> Vec<Upkeep<Block>> {
        let single: HashSet<IpNet> = self.live.values().map(|block| block.cidr).collect();
        let wanted: BTreeSet<IpNet> = placement.iter().filter(|net| !single.contains(net)).copied().collect();
        let mut upkeep = Vec::new();
        for net in &wanted {
            if self.aggregates.contains_key(net) {
                continue;
            }
            let now = self.situation.now;
            let new = Block {
                cidr: *net,
                severity: Severity::Low,
                since: now,
                until: now,
                last_seen: now,
                offences: 0,
                aggregate: true,
                barrier: None,
            };
            let block = match self.ending.remove(&net.to_string()) {
                Some(_) => new.behind(self.token()),
                None => new,
            };
            upkeep.push(Upkeep {
                target: net.to_string(),
                step: Step::Make(block.clone()),
                reason: Reason::new(
                    "aggregated",
                    "adjacent blocks are written as one network, the IP set being full",
                ),
                in_place: false,
            });
            self.aggregates.insert(*net, block);
        }
        let unwanted: Vec<_> = self
            .aggregates
            .keys()
            .filter(|net| !wanted.contains(net))
            .copied()
            .collect();
        for net in unwanted {
            if let Some(block) = self.aggregates.remove(&net) {
                self.end(
                    net.to_string(),
                    block,
                    Reason::new("not-aggregated", "the blocks fit one by one again"),
                );
            }
        }
        upkeep
    }
}

fn minute(time: Timestamp) -> String {
    time.format("%Y-%m-%d %H:%MZ").to_string()
}

/// Networks, with a quick answer to what covers an address: one look per prefix length that occurs.
#[derive(Debug, Clone, Default)]
struct Coverage {
    nets: HashSet<IpNet>,
    prefixes: BTreeSet<u8>,
}

impl Coverage {
    fn contains(&self, net: &IpNet) -> bool {
        self.nets.contains(net)
    }

    fn len(&self) -> usize {
        self.nets.len()
    }

    fn iter(&self) -> impl Iterator<Item = &IpNet> {
        self.nets.iter()
    }

    /// The narrowest network that holds all of this one.
    fn covering(&self, net: &IpNet) -> Option<IpNet> {
        self.prefixes
            .range(..=net.prefix_len())
            .rev()
            .filter_map(|prefix| IpNet::new(net.addr(), *prefix).ok())
            .map(|wider| wider.trunc())
            .find(|wider| self.nets.contains(wider))
    }
}

impl FromIterator<IpNet> for Coverage {
    fn from_iter<I: IntoIterator<Item = IpNet>>(nets: I) -> Self {
        let nets: HashSet<IpNet> = nets.into_iter().collect();
        let prefixes = nets.iter().map(IpNet::prefix_len).collect();
        Self { nets, prefixes }
    }
}
