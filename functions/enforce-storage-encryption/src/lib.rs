//! `enforce-storage-encryption`: switches EBS encryption by default on, and says how existing volumes and databases are encrypted.
//!
//! [`claim`] says what a finding is about. Only the default of a Region can be changed in place; what is there already goes to a person,
//! with the commands.

mod claim;
mod ec2;
mod sdk;
mod settings;
mod storage;

pub use claim::claim;
pub use ec2::{Regions, Switch};
pub use sdk::AwsRegions;
pub use settings::{Own, Protected, Settings};
pub use storage::{Database, Scope, Target};

use std::time::Duration;

use chrono::TimeDelta;
use remediation::{
    Approved, Ask, Claim, Receipt, Remediation, Request, View,
    clock::Timestamp,
    failure::Failure,
    finding::Finding,
    ids::Region,
    ledger::{Image, Phase},
    outcome::Reason,
    plan::{Decision, Plan, Step},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Encrypts in the Regions of `R`.
#[derive(Debug)]
pub struct EnforceStorageEncryption<R> {
    regions: R,
    protected: Vec<Region>,
}

impl<R> EnforceStorageEncryption<R> {
    /// `protected`: Regions whose default is never touched.
    #[must_use]
    pub fn new(regions: R, protected: Vec<Region>) -> Self {
        Self { regions, protected }
    }
}

/// The default that was switched on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchedOn {
    /// Where.
    pub region: Region,
}

/// What EC2 says of a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Whether new volumes are encrypted unasked.
    Default(bool),
    /// There is nothing to read.
    Existing,
}

/// An operator who switches the default off has a reason that outlasts the next findings about it.
const HOLD: TimeDelta = TimeDelta::days(30);

impl<R: Regions> Remediation for EnforceStorageEncryption<R> {
    const NAME: &'static str = "enforce-storage-encryption";
    const SETTLES_WITHIN: Duration = Duration::from_secs(10);

    type Target = Target;
    type Scope = Scope;
    type State = State;
    type Change = SwitchedOn;
    type Write = Switch;

    fn claim(&self, finding: &Finding) -> Claim<Target> {
        claim(finding)
    }

    fn guard(&self, target: &Target) -> Option<Reason> {
        let Target::Default(region) = target else { return None };
        let is_protected = self.protected.contains(region);
        is_protected.then(|| Reason::new("protected-region", format!("{region} is protected by a setting")))
    }

    fn resources(&self, target: &Target) -> Vec<String> {
        vec![target.name()]
    }

    fn scopes(&self, target: &Target) -> Vec<Scope> {
        vec![target.scope()]
    }

    async fn observe(&self, scope: &Scope, _: &[&Target]) -> Result<State, Failure> {
        match scope {
            Scope::Default(region) => self.regions.is_encrypted(region).await.map(State::Default),
            Scope::Existing(..) => Ok(State::Existing),
        }
    }

    fn decide(&self, view: &View<'_, Self>) -> Plan<SwitchedOn, Switch> {
        Plan::of(view.requests.iter().map(|request| decided(view, request)), |step| {
            let (Step::Make(SwitchedOn { region }) | Step::Revert(SwitchedOn { region })) = step;
            Some(Switch {
                region: region.clone(),
                on: matches!(step, Step::Make(_)),
            })
        })
    }

    /// It protects more than before.
    fn oversteps(&self, _: &SwitchedOn) -> Option<Reason> {
        None
    }

    async fn apply(&self, _: &Scope, write: &Approved<Switch>) -> Result<Receipt, Failure> {
        self.regions.write(write).await
    }

    fn image(&self, _: &Scope, SwitchedOn { region }: &SwitchedOn) -> Image {
        let is = |on: bool| json!({ "region": region, "ebsEncryptionByDefault": on });
        Image {
            before: is(false),
            after: is(true),
            inverse: is(false),
        }
    }

    fn hold_after_undo(&self, _: &SwitchedOn, now: Timestamp) -> Option<Timestamp> {
        Some(now + HOLD)
    }
}

fn decided<R: Regions>(
    view: &View<'_, EnforceStorageEncryption<R>>,
    request: &Request<'_, Target>,
) -> Decision<SwitchedOn> {
    let (region, on) = match (request.target, view.state) {
        (Target::Default(region), State::Default(on)) => (region, *on),
        (target, _) => {
            let text = target.runbook().unwrap_or_default();
            return Decision::escalate("not-in-place", format!("{target} cannot be encrypted in place: {text}"));
        }
    };
    let row = view.standing.first();
    match request.ask {
        Ask::Remediate(_) if on => {
            Decision::in_place("encrypted", format!("new volumes in {region} are encrypted unasked"))
        }
        Ask::Remediate(_) => match row.and_then(|row| row.phase.held_until(view.now, HOLD)) {
            Some(until) => {
                let text = format!(
                    "an operator switched it off in {region}; it stays so until {}",
                    until.date_naive()
                );
                Decision::decline(Reason::UNDONE, text)
            }
            None => {
                let change = SwitchedOn { region: region.clone() };
                let text = format!("new volumes in {region} are encrypted unasked");
                Decision::Act(Step::Make(change), Reason::new("encrypted", text))
            }
        },
        Ask::Undo => match (row, on) {
            (None, _) => Decision::decline(
                "not-standing",
                format!("nothing that this function switched is left in {region}"),
            ),
            (Some(row), _) if matches!(row.phase, Phase::Held(_)) && on => {
                let text = format!("that it is on in {region} is no change of ours that stands");
                Decision::decline("not-standing", text)
            }
            (Some(row), false) if matches!(row.phase, Phase::Held(_)) => Decision::InPlace(Reason::undone_before()),
            (Some(_), false) => Decision::in_place("restored", format!("it is off in {region}")),
            (Some(row), true) => {
                let text = format!("an operator switched it off in {region} again");
                Decision::Act(Step::Revert(row.change.clone()), Reason::new("restored", text))
            }
        },
    }
}
