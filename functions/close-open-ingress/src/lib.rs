//! `close-open-ingress`: closes the rules of security groups that open administration and database ports to the world.
//!
//! [`claim`] says which group a finding is about, `demand` which of its rules are against it, `decide` what becomes of each.
//! `sdk` carries it out. Only such a rule goes; what the baseline declares stays.

mod claim;
mod decide;
mod demand;
mod ec2;
mod group;
mod sdk;
mod settings;

pub use claim::claim;
pub use decide::{Closed, Spared};
pub use demand::{Demand, Family};
pub use ec2::{Groups, Write};
pub use group::{Group, GroupRef, Opening, Rule, Scope, Target};
pub use sdk::AwsGroups;
pub use settings::{Baseline, Limits, Own, Pattern, Port, Settings};

use std::time::Duration;

use chrono::TimeDelta;
use remediation::{
    Approved, Claim, Receipt, Remediation, View, clock::Timestamp, failure::Failure, finding::Finding, ledger::Image,
    outcome::Reason, plan::Plan,
};
use serde_json::json;

/// Closes rules in the groups of `G`.
#[derive(Debug)]
pub struct CloseOpenIngress<G> {
    groups: G,
    limits: Limits,
}

impl<G> CloseOpenIngress<G> {
    /// By these rules.
    #[must_use]
    pub fn new(groups: G, limits: Limits) -> Self {
        Self { groups, limits }
    }
}

/// An operator who opens a rule again has a reason that outlasts the next findings about it.
pub(crate) const HOLD: TimeDelta = TimeDelta::days(30);

impl<G: Groups> Remediation for CloseOpenIngress<G> {
    const NAME: &'static str = "close-open-ingress";
    const SETTLES_WITHIN: Duration = Duration::from_secs(10);

    type Target = Target;
    type Scope = Scope;
    type State = Option<Group>;
    type Change = Closed;
    type Write = Write;

    fn claim(&self, finding: &Finding) -> Claim<Target> {
        claim(finding)
    }

    fn guard(&self, target: &Target) -> Option<Reason> {
        let group = &target.group;
        let text = || format!("{} is protected by a setting", group.id);
        self.limits
            .protects(group, None)
            .then(|| Reason::new("protected-group", text()))
    }

    fn resources(&self, target: &Target) -> Vec<String> {
        vec![format!("security-group/{}", target.group.id)]
    }

    fn scopes(&self, target: &Target) -> Vec<Scope> {
        vec![Scope(target.group.clone())]
    }

    async fn observe(&self, Scope(group): &Scope, _: &[&Target]) -> Result<Option<Group>, Failure> {
        self.groups.group(group).await
    }

    fn decide(&self, view: &View<'_, Self>) -> Plan<Closed, Write> {
        let Scope(group) = view.scope;
        let situation = decide::Situation {
            now: view.now,
            limits: &self.limits,
            group,
            state: view.state.as_ref(),
            standing: view.standing,
        };
        decide::decide(&situation, view.requests)
    }

    /// It takes access away, and gives none.
    fn oversteps(&self, _: &Closed) -> Option<Reason> {
        None
    }

    /// Whatever was said of a rule meanwhile, it is the same rule.
    fn is_same_plan(&self, shown: &Closed, now: &Closed) -> bool {
        (&shown.group, shown.openings()) == (&now.group, now.openings())
    }

    async fn apply(&self, _: &Scope, write: &Approved<Write>) -> Result<Receipt, Failure> {
        self.groups.write(write).await
    }

    fn image(&self, _: &Scope, closed: &Closed) -> Image {
        let group = &closed.group.id;
        Image {
            before: json!({ "group": group, "rules": closed.rules }),
            after: json!({ "group": group, "rules": [] }),
            inverse: json!({ "authorize": closed.openings(), "in": group }),
        }
    }

    fn hold_after_undo(&self, _: &Closed, now: Timestamp) -> Option<Timestamp> {
        Some(now + HOLD)
    }
}
