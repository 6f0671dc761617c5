//! `revoke-permissions`: trims what policies grant too much, and never grants more.
//!
//! [`claim`] says what a finding asks for, `resolve` which policies of today that is. [`trim`] finds the smallest change
//! of a policy that ends the violation, `decide` whether it may be made: whom it reaches, who would be left to put things
//! right, and that it is shown to grant no more. `sdk` carries it out.

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
pub use settings::{Environment, Limits, Own, Protected, Settings};
pub use trim::{Form, FullAccess, Trimmed, trim};

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use remediation::{
    Approved, Claim, Pace, Receipt, Remediation, Resolution, View,
    clock::Timestamp,
    failure::{Class, Failure},
    finding::Finding,
    ids::UniqueId,
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
/// across all instances, and each rests on a look that is so young that it has seen the write of the turn before: that was
/// made, and shown by IAM, within the eighteen seconds between.
const ONE_ADMINISTRATOR_EVERY: Duration = Duration::from_secs(30);
const LOOK_WITHIN: Duration = Duration::from_secs(12);

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

    /// Whom a policy reaches is known only once the account was read: `decide` refuses what is exempt.
    fn guard(&self, _: &Target) -> Option<Reason> {
        None
    }

    fn resources(&self, target: &Target) -> Vec<String> {
        target.resources()
    }

    fn scopes(&self, target: &Target) -> Vec<Scope> {
        vec![target.scope()]
    }

    fn pace(&self, _: &Scope, write: &Write) -> Option<Pace> {
        write.is_alone().then(|| Pace {
            key: "iam:administration".to_owned(),
            every: ONE_ADMINISTRATOR_EVERY,
            look_within: LOOK_WITHIN,
        })
    }

    /// A version that is made twice is two versions, of five that there may be.
    fn is_repeatable(&self, write: &Write) -> bool {
        !matches!(write, Write::Version { .. })
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
            root: &self.settings.root(),
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
        let alone = |account, text| Found {
            account,
            text,
            attached: false,
            policy: None,
            active: BTreeSet::new(),
        };
        if let Place::Bucket(bucket) = place {
            let text = self.policies.bucket(bucket).await?;
            return Ok(text.map(|text| alone(Arc::default(), text)));
        }
        let account = self.policies.account().await?;
        let found = match place {
            Place::Managed(arn) if arn.is_aws_managed() => {
                let text = self.policies.aws_managed(arn).await?;
                Some(alone(Arc::clone(&account), text))
            }
            Place::Managed(arn) => account.policy(arn).map(|policy| {
                let text = policy.default_version().map(|version| version.document.clone());
                alone(Arc::clone(&account), text)
            }),
            Place::Inline(bearer, name) => account
                .holder(bearer)
                .map(|holder| alone(Arc::clone(&account), holder.inline.get(name).cloned())),
            Place::Trust(bearer) => account
                .holder(bearer)
                .map(|holder| alone(Arc::clone(&account), holder.trust.clone())),
            Place::Attached(bearer, arn) => match account.holder(bearer) {
                Some(holder) => {
                    let policy = self.text_of(&account, arn).await?;
                    let attached = holder.attached.contains(arn);
                    if attached && policy.is_none() {
                        // One that is attached and not there is just going: it is looked at again.
                        let text = format!("{arn} is not there");
                        return Err(Failure::new(Class::Conflict, "iam:GetPolicy", "NoSuchEntity", text));
                    }
                    let replacement = holder.inline.get(&decide::replacement(arn.name()));
                    let text = if attached { policy.clone() } else { replacement.cloned() };
                    Some(Found {
                        attached,
                        policy,
                        ..alone(Arc::clone(&account), text)
                    })
                }
                None => None,
            },
            Place::Bucket(_) => None,
        };
        let Some(found) = found else { return Ok(None) };
        let active = self.active(place, &found).await?;
        Ok(Some(Found { active, ..found }))
    }

    /// Where the place may take an administrator's rights away: a user who would be left, and can act.
    async fn active(&self, place: &Place, found: &Found) -> Result<BTreeSet<UniqueId>, Failure> {
        /// Each costs two calls.
        const ASKED: usize = 10;
        let mut active = BTreeSet::new();
        let Some(loss) = decide::loss(place, &found.account, found.text.as_deref(), None) else {
            return Ok(active);
        };
        let left = found.account.administrators_after(&loss);
        for holder in left.filter(|holder| holder.bearer.kind == Kind::User).take(ASKED) {
            if self.policies.is_active(&holder.bearer.name).await? {
                active.insert(holder.bearer.id.clone());
                break;
            }
        }
        Ok(active)
    }

    /// What a managed policy says.
    async fn text_of(&self, account: &Account, arn: &PolicyArn) -> Result<Option<String>, Failure> {
        match account.policy(arn).and_then(Policy::default_version) {
            Some(version) => Ok(Some(version.document.clone())),
            None if arn.is_aws_managed() => self.policies.aws_managed(arn).await,
            None => Ok(None),
        }
    }
}

/// Nothing here can be done by a function: each request goes to a person, with what there is to do.
fn beyond<P: Policies>(view: &View<'_, RevokePermissions<P>>) -> Plan<Revocation, Write> {
    let decision = |target: &Target| match target {
        Target::Beyond { code, advice, .. } => Decision::escalate(code.as_str(), advice.as_str()),
        other => Decision::escalate("unresolved", format!("{other}: it is not known where this is")),
    };
    Plan::of(view.requests.iter().map(|request| decision(request.target)), |_| None)
}
