//! `block-ip`: blocks the addresses of attackers in AWS WAF, for a while.
//!
//! `claim` says which addresses of a finding are attackers, `guard` which addresses are never blocked, [`converge`]
//! what an IP set shall contain. `waf` carries it out.

mod block;
mod claim;
mod converge;
mod guard;
mod ip_set;
mod settings;
mod waf;

pub use block::{Block, Terms};
pub use claim::{Attacker, attackers};
pub use converge::{Situation, converge};
pub use guard::Guard;
pub use ip_set::{CAPACITY, Contents, Family, IpSet, IpSetRef, IpSets, Replacement, WafScope};
pub use settings::{BlockHours, Environment, Own, Settings};
pub use waf::Waf;

use std::time::Duration;

use remediation::{
    Approved, Claim, Pace, Receipt, Remediation, View,
    clock::Timestamp,
    failure::Failure,
    finding::{Detail, Finding},
    ledger::Image,
    outcome::Reason,
    plan::Plan,
};
use serde_json::json;

/// Blocks attackers in the IP sets of `W`.
#[derive(Debug)]
pub struct BlockIp<W> {
    waf: W,
    sets: Vec<IpSet>,
    guard: Guard,
    terms: Terms,
}

impl<W> BlockIp<W> {
    /// Blocks in these sets, by these rules.
    #[must_use]
    pub fn new(waf: W, settings: Settings) -> Self {
        Self {
            waf,
            sets: settings.sets,
            guard: settings.guard,
            terms: settings.terms,
        }
    }
}

/// AWS WAF takes one `UpdateIPSet` a second per account and Region, from all callers together. The margin is for clocks
/// that differ.
const UPDATE_EVERY: Duration = Duration::from_millis(1_100);

impl<W: IpSets> Remediation for BlockIp<W> {
    const NAME: &'static str = "block-ip";
    /// An attacker of one account is blocked for all that share this web ACL.
    const SERVES_ALL_ACCOUNTS: bool = true;

    type Target = Attacker;
    type Scope = IpSet;
    type State = Contents;
    type Change = Block;
    type Write = Replacement;

    fn claim(&self, finding: &Finding) -> Claim<Attacker> {
        attackers(finding)
    }

    /// Where credentials were used, they are the cause, and `disable-access-key` answers for it.
    fn answers(&self, finding: &Finding) -> bool {
        !matches!(&finding.detail, Detail::Threat(threat) if !threat.credentials.is_empty())
    }

    fn guard(&self, attacker: &Attacker) -> Option<Reason> {
        self.guard.refuse(attacker)
    }

    fn resources(&self, Attacker(address): &Attacker) -> Vec<String> {
        vec![address.to_string()]
    }

    fn is_same_plan(&self, _: &Block, _: &Block) -> bool {
        // Of the same address; how long it would stand has moved on.
        true
    }

    fn scopes(&self, Attacker(address): &Attacker) -> Vec<IpSet> {
        self.sets
            .iter()
            .filter(|set| set.family == Family::of(address))
            .cloned()
            .collect()
    }

    fn all_scopes(&self) -> Vec<IpSet> {
        self.sets.clone()
    }

    /// One budget for all sets: CloudFront's are written in us-east-1, where the regional ones may be as well.
    fn pace(&self, _: &IpSet, _: &Replacement) -> Option<Pace> {
        Some(Pace {
            key: "wafv2:UpdateIPSet".to_owned(),
            every: UPDATE_EVERY,
            // A lock token makes an older look harmless.
            look_within: Duration::MAX,
        })
    }

    /// A block takes the place of no other protection.
    fn oversteps(&self, _: &Block) -> Option<Reason> {
        None
    }

    async fn observe(&self, set: &IpSet, _: &[&Attacker]) -> Result<Contents, Failure> {
        self.waf.get(set).await
    }

    fn decide(&self, view: &View<'_, Self>) -> Plan<Block, Replacement> {
        let situation = Situation {
            now: view.now,
            terms: &self.terms,
            set: view.state,
            standing: view.standing,
        };
        converge(&situation, view.requests)
    }

    async fn apply(&self, set: &IpSet, write: &Approved<Replacement>) -> Result<Receipt, Failure> {
        self.waf.update(set, write).await
    }

    fn image(&self, set: &IpSet, block: &Block) -> Image {
        Image {
            before: json!({ "set": set.to_string(), "contains": false }),
            after: json!({ "set": set.to_string(), "contains": block.cidr, "until": block.until }),
            inverse: json!({ "remove": block.cidr, "from": set.to_string() }),
        }
    }

    fn hold_after_undo(&self, block: &Block, now: Timestamp) -> Option<Timestamp> {
        Some(Terms::hold(block, now))
    }
}
