//! `disable-access-key`: disables stale and compromised IAM access keys, and cuts off the sessions of compromised
//! identities.
//!
//! [`claim`] says what a finding asks for, `resolve` which user, role or key of today that is. `credentials` decides on
//! keys, `sessions` on temporary credentials; both from what IAM says, not from the finding's word. `sdk` carries it
//! out. Keys are disabled, never deleted.

mod claim;
mod credentials;
mod iam;
mod identity;
mod resolve;
mod sdk;
mod sessions;
mod settings;

pub use claim::claim;
pub use credentials::{Credentials, DisabledKey, Limits, Password};
pub use iam::{Account, Iam, Key, Owner, Use, Write};
pub use identity::{Principal, Role, Rule, Scope, Target, User};
pub use sdk::AwsIam;
pub use sessions::{Cut, POLICY};
pub use settings::{Environment, Named, Own, Settings, UsedKeys};

use std::{collections::BTreeSet, time::Duration};

use chrono::TimeDelta;
use futures_util::future::{try_join, try_join_all};
use remediation::{
    Approved, Claim, Receipt, Remediation, Resolution, View,
    clock::Timestamp,
    failure::Failure,
    finding::Finding,
    ids::{KeyId, PrincipalName},
    ledger::Image,
    outcome::Reason,
    plan::{Decision, Plan},
    policy::Narrowed,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Contains credentials in `I`.
#[derive(Debug)]
pub struct DisableAccessKey<I> {
    iam: I,
    protected: BTreeSet<String>,
    limits: Limits,
}

impl<I> DisableAccessKey<I> {
    /// By these rules.
    #[must_use]
    pub fn new(iam: I, settings: Settings) -> Self {
        Self {
            iam,
            protected: settings.protected,
            limits: settings.limits,
        }
    }
}

/// What this function does to an identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// A key was made inactive.
    Key(DisabledKey),
    /// Sessions were cut off.
    Sessions(Cut),
}

/// What IAM says of a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Of a user's keys and password.
    Credentials(Credentials),
    /// Of a principal's sessions: the text of our policy, if there is one.
    Sessions(Option<String>),
    /// There is nothing to read.
    Beyond,
}

/// An operator who re-activates a key has a reason that outlasts the next findings about it.
const HOLD_BY_RULE: TimeDelta = TimeDelta::days(30);
/// GuardDuty repeats a finding for as long as it sees the activity.
const HOLD_COMPROMISED: TimeDelta = TimeDelta::days(7);

impl<I: Iam> Remediation for DisableAccessKey<I> {
    const NAME: &'static str = "disable-access-key";
    const SETTLES_WITHIN: Duration = Duration::from_secs(10);

    type Target = Target;
    type Scope = Scope;
    type State = State;
    type Change = Change;
    type Write = Write;

    fn claim(&self, finding: &Finding) -> Claim<Target> {
        claim(finding)
    }

    async fn resolve(&self, target: Target) -> Result<Resolution<Target>, Failure> {
        resolve::resolve(&self.iam, target).await
    }

    fn guard(&self, target: &Target) -> Option<Reason> {
        // IAM tells names apart by their letters, not by their case.
        let is_protected = |principal: &String| self.protected.iter().any(|name| name.eq_ignore_ascii_case(principal));
        let principal = target.principal().filter(is_protected)?;
        Some(Reason::new(
            "protected-principal",
            format!("{principal} is protected by a setting"),
        ))
    }

    fn resources(&self, target: &Target) -> Vec<String> {
        target.resources()
    }

    fn is_same_plan(&self, shown: &Change, now: &Change) -> bool {
        match (shown, now) {
            (Change::Key(shown), Change::Key(now)) => (&shown.user, &shown.key) == (&now.user, &now.key),
            // Of the same principal; whatever was issued until now is meant.
            (Change::Sessions(_), Change::Sessions(_)) => true,
            _ => false,
        }
    }

    fn scopes(&self, target: &Target) -> Vec<Scope> {
        vec![target.scope()]
    }

    async fn observe(&self, scope: &Scope, targets: &[&Target]) -> Result<State, Failure> {
        match scope {
            Scope::Credentials(user) => match user.name() {
                Some(name) => Ok(State::Credentials(self.credentials(name, targets).await?)),
                None => Ok(State::Credentials(Credentials::default())),
            },
            Scope::Sessions(principal) => Ok(State::Sessions(self.iam.inline_policy(principal, POLICY).await?)),
            Scope::Beyond(_) => Ok(State::Beyond),
        }
    }

    fn decide(&self, view: &View<'_, Self>) -> Plan<Change, Write> {
        match (view.scope, view.state) {
            (Scope::Credentials(user), State::Credentials(state)) => {
                let Some(user) = user.name() else { return beyond(view) };
                let situation = credentials::Situation {
                    now: view.now,
                    limits: &self.limits,
                    user,
                    state,
                    standing: view.standing,
                };
                credentials::decide(&situation, view.requests)
            }
            (Scope::Sessions(principal), State::Sessions(policy)) => {
                let situation = sessions::Situation {
                    now: view.now,
                    principal,
                    policy: policy.as_deref(),
                    standing: view.standing,
                };
                sessions::decide(&situation, view.requests)
            }
            _ => beyond(view),
        }
    }

    /// A disabled key grants nothing; of the policy that cuts sessions off that is to be shown.
    fn oversteps(&self, change: &Change) -> Option<Reason> {
        let Change::Sessions(cut) = change else { return None };
        Narrowed::prove(None, Some(&cut.document())).err().map(Reason::from)
    }

    async fn apply(&self, _: &Scope, write: &Approved<Write>) -> Result<Receipt, Failure> {
        self.iam.write(write).await
    }

    fn image(&self, _: &Scope, change: &Change) -> Image {
        match change {
            Change::Key(DisabledKey { user, key, .. }) => {
                let status = |status: &str| json!({ "user": user, "key": key, "status": status });
                Image {
                    before: status("Active"),
                    after: status("Inactive"),
                    inverse: status("Active"),
                }
            }
            Change::Sessions(cut) => {
                let policy = |document: Option<String>| json!({ "principal": cut.principal.to_string(), "policy": POLICY, "document": document });
                Image {
                    before: policy(None),
                    after: policy(Some(cut.document())),
                    inverse: policy(None),
                }
            }
        }
    }

    fn hold_after_undo(&self, change: &Change, now: Timestamp) -> Option<Timestamp> {
        Some(match change {
            Change::Key(DisabledKey { rule: Some(_), .. }) => now + HOLD_BY_RULE,
            Change::Key(DisabledKey { rule: None, .. }) | Change::Sessions(_) => now + HOLD_COMPROMISED,
        })
    }
}

impl<I: Iam> DisableAccessKey<I> {
    /// The use of keys and the password are read only where a rule is about them: a compromised key waits for nothing.
    async fn credentials(&self, user: &PrincipalName, targets: &[&Target]) -> Result<Credentials, Failure> {
        let by_rule: BTreeSet<&KeyId> = targets
            .iter()
            .filter_map(|target| match target {
                Target::Key(_, key, _) => Some(key),
                _ => None,
            })
            .collect();
        let has_password = targets.iter().any(|target| matches!(target, Target::Password(..)));
        let keys = async {
            let Some(keys) = self.iam.keys(user).await? else {
                return Ok(None);
            };
            let read = keys.into_iter().map(|key| async {
                if !key.active || !by_rule.contains(&key.id) {
                    return Ok::<_, Failure>(key);
                }
                let used = self.iam.last_used(&key.id).await?.map_or(Use::Never, Use::At);
                Ok(Key { used, ..key })
            });
            try_join_all(read).await.map(Some)
        };
        let password = async {
            if !has_password {
                return Ok(None);
            }
            let (since, account) = try_join(self.iam.password_since(user), self.iam.user(user)).await?;
            let used = account.and_then(|account| account.password_last_used);
            Ok(since.map(|since| Password { since, used }))
        };
        let (keys, password) = try_join(keys, password).await?;
        Ok(Credentials { keys, password })
    }
}

/// Nothing here can be done by a function: each request goes to a person, with what there is to do.
fn beyond<I: Iam>(view: &View<'_, DisableAccessKey<I>>) -> Plan<Change, Write> {
    let decision = |target: &Target| match target {
        Target::Beyond { code, advice, .. } => Decision::Escalate(Reason::new(code, advice)),
        other => Decision::Escalate(Reason::new(
            "unresolved",
            format!("{other}: it is not known whose this is"),
        )),
    };
    Plan::of(view.requests.iter().map(|request| decision(request.target)), |_| None)
}
