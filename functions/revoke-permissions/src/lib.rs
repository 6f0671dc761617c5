//! `revoke-permissions`: trims what policies grant too much, and never grants more.
//!
//! [`claim`] says what a finding asks for, [`resolve`] which policies of today that is. [`trim`] finds the smallest change
//! of a policy that ends the violation, [`decide`] whether it may be made: whom it reaches, who would be left to put things
//! right, and that it is shown to grant no more. [`sdk`] carries it out.

mod account;
mod claim;
mod decide;
mod iam;
mod identity;
mod resolve;
mod sdk;
mod settings;
mod trim;

pub use account::{Account, Holder, Policy, Version, size};
pub use claim::claim;
pub use decide::{Displaced, Found, QUARANTINE, Revocation};
pub use iam::{Advice, Policies, Recommendation, Write};
pub use identity::{Analysis, Bearer, Demand, Kind, Named, Place, PolicyArn, Recommended, Scope, Target};
pub use sdk::Aws;
pub use settings::{Exemption, Limits, Settings};
pub use trim::{Form, FullAccess, Trimmed, trim};

use std::{sync::Arc, time::Duration};

use remediation::{
    Approved, Claim, Pace, Receipt, Remediation, Resolution, View,
    clock::Timestamp,
    failure::{Class, Failure},
    finding::Finding,
    ledger::Image,
    outcome::Reason,
    plan::{Decision, Plan},
    policy::Narrowed,
};
use serde_json::json;

/// Revokes permissions in `P`.
#[derive(Debug)]
pub struct RevokePermissions<P> {
    policies: P,
    settings: Settings,
}

impl<P> RevokePermissions<P> {
    /// By these rules.
    #[must_use]
    pub fn new(policies: P, settings: Settings) -> Self {
        Self { policies, settings }
    }
}

/// What IAM or S3 says of a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Of a policy; `None`: whatever it belonged to is gone.
    Place(Option<Found>),
    /// There is nothing to read.
    Beyond,
}

/// Two that lose their administration at once could each count on the other to stay. So such writes are made one at a time,
/// across all instances, and each rests on a look that is younger than the turn before it is old.
const ONE_ADMINISTRATOR_EVERY: Duration = Duration::from_secs(8);
const LOOK_WITHIN: Duration = Duration::from_secs(3);

impl<P: Policies> Remediation for RevokePermissions<P> {
    const NAME: &'static str = "revoke-permissions";
    const SETTLES_WITHIN: Duration = Duration::from_secs(10);

    type Target = Target;
    type Scope = Scope;
    type State = State;
    type Change = Revocation;
    type Write = Write;

    fn claim(&self, finding: &Finding) -> Claim<Target> {
        claim(finding, &self.settings.blocked)
    }

    async fn resolve(&self, target: Target) -> Result<Resolution<Target>, Failure> {
        resolve::resolve(&self.policies, target).await
    }

    /// Whom a policy reaches is known only once the account was read: [`decide`] refuses what is exempt.
    fn guard(&self, _: &Target) -> Option<Reason> {
        None
    }

    fn scopes(&self, target: &Target) -> Vec<Scope> {
        vec![target.scope()]
    }

    fn pace(&self, _: &Scope, write: &Write) -> Option<Pace> {
        write.cuts_administration().then(|| Pace {
            key: "iam:administration".to_owned(),
            every: ONE_ADMINISTRATOR_EVERY,
            look_within: LOOK_WITHIN,
        })
    }

    async fn observe(&self, scope: &Scope, _: &[&Target]) -> Result<State, Failure> {
        match scope {
            Scope::Place(place) => self.look(place).await.map(State::Place),
            Scope::Beyond(_) => Ok(State::Beyond),
        }
    }

    fn decide(&self, view: &View<'_, Self>) -> Plan<Revocation, Write> {
        let (Scope::Place(place), State::Place(found)) = (view.scope, view.state) else {
            return beyond(view);
        };
        let situation = decide::Situation {
            now: view.now,
            limits: &self.settings.limits,
            account_id: self.settings.account.as_str(),
            place,
            found: found.as_ref(),
            standing: view.standing,
        };
        decide::decide(&situation, view.requests)
    }

    /// Whatever was decided: nothing is written that cannot be shown to grant no more than before.
    fn oversteps(&self, change: &Revocation) -> Option<Reason> {
        Narrowed::prove(change.before.as_deref(), change.after.as_deref())
            .err()
            .map(Reason::from)
    }

    async fn apply(&self, _: &Scope, write: &Approved<Write>) -> Result<Receipt, Failure> {
        self.policies.write(write).await
    }

    fn image(&self, _: &Scope, change: &Revocation) -> Image {
        let policy = |text: &Option<String>| json!({ "policy": change.place.to_string(), "document": text });
        Image {
            before: policy(&change.before),
            after: policy(&change.after),
            inverse: policy(&change.before),
        }
    }

    fn hold_after_undo(&self, _: &Revocation, now: Timestamp) -> Option<Timestamp> {
        Some(now + decide::HOLD)
    }
}

impl<P: Policies> RevokePermissions<P> {
    async fn look(&self, place: &Place) -> Result<Option<Found>, Failure> {
        if let Place::Bucket(bucket) = place {
            let text = self.policies.bucket(bucket).await?;
            return Ok(text.map(|text| Found {
                account: Arc::default(),
                text,
                attached: false,
            }));
        }
        let account = self.policies.account().await?;
        let (text, attached) = match place {
            Place::Managed(arn) if arn.is_aws_managed() => (self.policies.aws_managed(arn).await?, false),
            Place::Managed(arn) => match account.policy(arn) {
                Some(policy) => (policy.default_version().map(|version| version.document.clone()), false),
                None => return Ok(None),
            },
            Place::Inline(bearer, name) => match account.holder(bearer) {
                Some(holder) => (holder.inline.get(name).cloned(), false),
                None => return Ok(None),
            },
            Place::Trust(bearer) => match account.holder(bearer) {
                Some(holder) => (holder.trust.clone(), false),
                None => return Ok(None),
            },
            Place::Attached(bearer, arn) => match account.holder(bearer) {
                Some(holder) if holder.attached.contains(arn) => (Some(self.text_of(&account, arn).await?), true),
                Some(holder) => (holder.inline.get(&decide::replacement(arn.name())).cloned(), false),
                None => return Ok(None),
            },
            Place::Bucket(_) => return Ok(None),
        };
        Ok(Some(Found {
            account,
            text,
            attached,
        }))
    }

    /// What an attached policy says. One that is attached and not there is just going: it is looked at again.
    async fn text_of(&self, account: &Account, arn: &PolicyArn) -> Result<String, Failure> {
        if let Some(version) = account.policy(arn).and_then(Policy::default_version) {
            return Ok(version.document.clone());
        }
        let gone = || {
            Failure::new(
                Class::Conflict,
                "iam:GetPolicy",
                "NoSuchEntity",
                format!("{arn} is not there"),
            )
        };
        self.policies.aws_managed(arn).await?.ok_or_else(gone)
    }
}

/// Nothing here can be done by a function: each request goes to a person, with what there is to do.
fn beyond<P: Policies>(view: &View<'_, RevokePermissions<P>>) -> Plan<Revocation, Write> {
    let decision = |target: &Target| match target {
        Target::Beyond { code, advice, .. } => Decision::escalate(code.as_str(), advice.as_str()),
        other => Decision::escalate("unresolved", format!("{other}: it is not known where this is")),
    };
    Plan {
        decisions: view.requests.iter().map(|request| decision(request.target)).collect(),
        upkeep: Vec::new(),
        write: None,
        gauges: Vec::new(),
    }
}
