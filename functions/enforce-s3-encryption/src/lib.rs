//! `enforce-s3-encryption`: sets the default encryption of buckets, and merges the TLS-only statement into their policies.
//!
//! [`claim`] says which bucket a finding is about, `encryption` and `tls` what is to become of it; `outsiders` reads
//! policies, to know who depends on the bucket. `sdk` carries it out. Nothing is ever weakened: KMS stays KMS, with its
//! key, and other statements keep their text.

mod bucket;
mod buckets;
mod claim;
mod encryption;
mod outsiders;
mod sdk;
mod settings;
mod tls;

pub use bucket::{Scope, Target, Want};
pub use buckets::{Buckets, Write};
pub use claim::claim;
pub use encryption::{Encrypted, Encrypting, Encryption, Key, Surroundings};
pub use sdk::AwsBuckets;
pub use settings::{DefaultEncryption, Own, Settings};
pub use tls::{Governed, Merged, Merging, merge};

use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::{try_join, try_join4};
use remediation::{
    Approved, Claim, Receipt, Remediation, View,
    clock::Timestamp,
    failure::Failure,
    finding::Finding,
    ids::BucketName,
    ledger::{Image, Standing},
    outcome::Reason,
    plan::Plan,
    policy::Narrowed,
    settings::BucketPattern,
};
use remediation_aws::gone;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Encrypts the buckets of `B`.
#[derive(Debug)]
pub struct EnforceS3Encryption<B> {
    buckets: B,
    settings: Settings,
}

impl<B> EnforceS3Encryption<B> {
    /// By these rules.
    #[must_use]
    pub fn new(buckets: B, settings: Settings) -> Self {
        Self { buckets, settings }
    }
}

/// What this function does to a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Its default encryption was set.
    Encryption(Encrypting),
    /// A statement was merged into its policy.
    Policy(Merging),
}

/// What S3 says of a scope. `None`: the bucket is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Of a bucket's encryption.
    Encryption(Option<Encrypted>),
    /// Of a bucket's policy.
    Policy(Option<Governed>),
}

/// An operator who restores a bucket has a reason that outlasts the next findings about it.
const HOLD: TimeDelta = TimeDelta::days(30);

impl<B: Buckets> Remediation for EnforceS3Encryption<B> {
    const NAME: &'static str = "enforce-s3-encryption";
    const SETTLES_WITHIN: Duration = Duration::from_secs(10);

    type Target = Target;
    type Scope = Scope;
    type State = State;
    type Change = Change;
    type Write = Write;

    fn claim(&self, finding: &Finding) -> Claim<Target> {
        claim(finding)
    }

    fn guard(&self, target: &Target) -> Option<Reason> {
        BucketPattern::protect(&self.settings.protected, target.bucket())
    }

    fn resources(&self, target: &Target) -> Vec<String> {
        vec![format!("bucket/{}", target.bucket())]
    }

    fn scopes(&self, target: &Target) -> Vec<Scope> {
        vec![target.scope()]
    }

    async fn observe(&self, scope: &Scope, _: &[&Target]) -> Result<State, Failure> {
        match scope {
            Scope::Encryption(bucket) => {
                gone(self.encryption(bucket).await).map(|found| State::Encryption(found.flatten()))
            }
            Scope::Policy(bucket) => {
                let Some(region) = self.buckets.region(bucket).await? else {
                    return Ok(State::Policy(None));
                };
                let read = try_join(
                    self.buckets.policy(bucket, &region),
                    self.buckets.is_website(bucket, &region),
                );
                gone(read.await.map(|(policy, website)| Governed { policy, website })).map(State::Policy)
            }
        }
    }

    fn decide(&self, view: &View<'_, Self>) -> Plan<Change, Write> {
        match (view.scope, view.state) {
            (Scope::Policy(bucket), State::Policy(policy)) => {
                let situation = tls::Situation {
                    now: view.now,
                    role: &self.settings.role,
                    bucket,
                    state: policy.as_ref(),
                    standing: view.standing,
                };
                tls::decide(&situation, view.requests)
            }
            (Scope::Encryption(bucket) | Scope::Policy(bucket), state) => {
                let state = match state {
                    State::Encryption(state) => state.as_ref(),
                    State::Policy(_) => None,
                };
                let situation = encryption::Situation {
                    now: view.now,
                    account: self.settings.role.account(),
                    chosen: &self.settings.encryption,
                    bucket,
                    state,
                    standing: view.standing,
                };
                encryption::decide(&situation, view.requests)
            }
        }
    }

    fn oversteps(&self, change: &Change) -> Option<Reason> {
        match change {
            Change::Encryption(changed) => changed.weakens(),
            Change::Policy(merged) => Narrowed::prove(merged.before.as_deref(), Some(&merged.after))
                .err()
                .map(Reason::from),
        }
    }

    async fn apply(&self, _: &Scope, write: &Approved<Write>) -> Result<Receipt, Failure> {
        self.buckets.write(write).await
    }

    fn image(&self, _: &Scope, change: &Change) -> Image {
        let (bucket, part, before, after): (_, _, Value, Value) = match change {
            Change::Encryption(changed) => (
                &changed.bucket,
                "encryption",
                json!(changed.before),
                json!(changed.after),
            ),
            Change::Policy(merged) => (&merged.bucket, "policy", json!(merged.before), json!(merged.after)),
        };
        let is = |value: &Value| json!({ "bucket": bucket, part: value });
        Image {
            before: is(&before),
            after: is(&after),
            inverse: is(&before),
        }
    }

    fn hold_after_undo(&self, _: &Change, now: Timestamp) -> Option<Timestamp> {
        Some(now + HOLD)
    }
}

impl<B: Buckets> EnforceS3Encryption<B> {
    /// Who uses the bucket is read only where a change is possible.
    async fn encryption(&self, bucket: &BucketName) -> Result<Option<Encrypted>, Failure> {
        let Some(region) = self.buckets.region(bucket).await? else {
            return Ok(None);
        };
        let current = self.buckets.encryption(bucket, &region).await?;
        if current
            .as_ref()
            .is_some_and(|current| current.algorithm != encryption::AES256)
        {
            return Ok(Some(Encrypted {
                region,
                current,
                surroundings: None,
            }));
        }
        let key = async {
            match self.settings.encryption.key(self.settings.role.account(), &region) {
                Some(arn) => self.buckets.key(arn, &region).await,
                None => Ok(None),
            }
        };
        let (policy, grantees, website, key) = try_join4(
            self.buckets.policy(bucket, &region),
            self.buckets.grantees(bucket, &region),
            self.buckets.is_website(bucket, &region),
            key,
        )
        .await?;
        let surroundings = Some(Surroundings {
            policy,
            grantees,
            website,
            key,
        });
        Ok(Some(Encrypted {
            region,
            current,
            surroundings,
        }))
    }
}

/// Until when an operator's undo holds, if one does.
fn held_until(standing: &[Standing<Change>], now: Timestamp) -> Option<Timestamp> {
    standing.iter().filter_map(|row| row.phase.held_until(now, HOLD)).max()
}
