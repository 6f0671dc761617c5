//! `block-public-access`: puts S3 Block Public Access on buckets that are open to everybody, or could be opened.
//!
//! [`claim`] says which bucket a finding is about, `block` what is to become of it. What is on stays on. A website, and the
//! block of a whole account, go to a person with the command.

mod block;
mod buckets;
mod claim;
mod sdk;
mod settings;
mod target;

pub use block::{Block, Blocking, Found};
pub use buckets::{Buckets, Write};
pub use claim::claim;
pub use sdk::AwsBuckets;
pub use settings::{Own, Settings};
pub use target::{Scope, Target};

use std::time::Duration;

use remediation::{
    Approved, Claim, Receipt, Remediation, View,
    clock::Timestamp,
    failure::Failure,
    finding::{Detail, Finding},
    ledger::Image,
    outcome::Reason,
    plan::{Plan, Step},
    settings::BucketPattern,
};
use serde_json::json;

/// Blocks the buckets of `B`.
#[derive(Debug)]
pub struct BlockPublicAccess<B> {
    buckets: B,
    protected: Vec<BucketPattern>,
}

impl<B> BlockPublicAccess<B> {
    /// `protected`: buckets that are never touched.
    #[must_use]
    pub fn new(buckets: B, protected: Vec<BucketPattern>) -> Self {
        Self { buckets, protected }
    }
}

/// What S3 says of a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Of a bucket; `None`: it is gone.
    Bucket(Option<Found>),
    /// Of an account nothing is read.
    Account,
}

impl<B: Buckets> Remediation for BlockPublicAccess<B> {
    const NAME: &'static str = "block-public-access";
    const SETTLES_WITHIN: Duration = Duration::from_secs(10);

    type Target = Target;
    type Scope = Scope;
    type State = State;
    type Change = Blocking;
    type Write = Write;

    fn claim(&self, finding: &Finding) -> Claim<Target> {
        claim(finding)
    }

    /// What IAM Access Analyzer finds is granted by a policy or an ACL, which stays: `revoke-permissions` answers for it.
    fn answers(&self, finding: &Finding) -> bool {
        !matches!(finding.detail, Detail::ExternalAccess(_))
    }

    fn guard(&self, target: &Target) -> Option<Reason> {
        match target {
            Target::Bucket(bucket) => BucketPattern::protect(&self.protected, bucket),
            Target::Account(_) => None,
        }
    }

    fn resources(&self, target: &Target) -> Vec<String> {
        vec![target.name()]
    }

    fn scopes(&self, target: &Target) -> Vec<Scope> {
        vec![target.into()]
    }

    async fn observe(&self, scope: &Scope, _: &[&Target]) -> Result<State, Failure> {
        match scope {
            Scope::Bucket(bucket) => self.buckets.look(bucket).await.map(State::Bucket),
            Scope::Account(_) => Ok(State::Account),
        }
    }

    fn decide(&self, view: &View<'_, Self>) -> Plan<Blocking, Write> {
        let found = match view.state {
            State::Bucket(found) => found.as_ref(),
            State::Account => None,
        };
        let decided = |request: &remediation::Request<'_, Target>| match request.target {
            Target::Bucket(bucket) => block::decide(request.ask, bucket, found, view.standing.first(), view.now),
            Target::Account(account) => block::of_account(account),
        };
        Plan::of(view.requests.iter().map(decided), |step| {
            let (change, wanted) = match step {
                Step::Make(change) => (change, Some(change.after)),
                Step::Revert(change) => (change, change.before),
            };
            found.map(|found| Write {
                bucket: change.bucket.clone(),
                region: found.region.clone(),
                found: found.block,
                wanted,
            })
        })
    }

    fn oversteps(&self, change: &Blocking) -> Option<Reason> {
        change.weakens()
    }

    async fn apply(&self, _: &Scope, write: &Approved<Write>) -> Result<Receipt, Failure> {
        self.buckets.write(write).await
    }

    fn image(&self, _: &Scope, change: &Blocking) -> Image {
        let is = |block: Option<Block>| json!({ "bucket": change.bucket, "publicAccessBlock": block });
        Image {
            before: is(change.before),
            after: is(Some(change.after)),
            inverse: is(change.before),
        }
    }

    fn hold_after_undo(&self, _: &Blocking, now: Timestamp) -> Option<Timestamp> {
        Some(now + block::HOLD)
    }
}
