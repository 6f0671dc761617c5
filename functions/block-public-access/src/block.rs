//! A bucket's block: what it is to become, and when it is better left as it is.

use std::fmt;

use chrono::TimeDelta;
use remediation::{
    Ask,
    clock::Timestamp,
    ids::{AccountId, BucketName},
    ledger::{Phase, Standing},
    outcome::Reason,
    plan::{Decision, Step},
};
use serde::{Deserialize, Serialize};

/// The four settings of S3 Block Public Access. Of a bucket that has none, all are off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Block {
    /// No ACL that lets everybody in is taken any more.
    pub block_public_acls: bool,
    /// Those that there are let nobody in.
    pub ignore_public_acls: bool,
    /// No policy that lets everybody in is taken any more.
    pub block_public_policy: bool,
    /// With such a policy, only the account itself and AWS's services get in.
    pub restrict_public_buckets: bool,
}

impl Block {
    /// All on.
    pub const WHOLE: Self = Self {
        block_public_acls: true,
        ignore_public_acls: true,
        block_public_policy: true,
        restrict_public_buckets: true,
    };

    /// Whether it lets nobody in whom the other keeps out.
    fn is_as_strong_as(self, other: Self) -> bool {
        let Self {
            block_public_acls,
            ignore_public_acls,
            block_public_policy,
            restrict_public_buckets,
        } = other;
        self.block_public_acls >= block_public_acls
            && self.ignore_public_acls >= ignore_public_acls
            && self.block_public_policy >= block_public_policy
            && self.restrict_public_buckets >= restrict_public_buckets
    }
}

/// As the command line of AWS takes it.
impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "BlockPublicAcls={},IgnorePublicAcls={},BlockPublicPolicy={},RestrictPublicBuckets={}",
            self.block_public_acls, self.ignore_public_acls, self.block_public_policy, self.restrict_public_buckets
        )
    }
}

/// How a bucket stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The bucket's Region.
    pub region: String,
    /// Its block, if it has one.
    pub block: Option<Block>,
    /// Whether it is a website.
    pub website: bool,
}

/// A block that was put on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocking {
    /// Whose.
    pub bucket: BucketName,
    /// What was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Block>,
    /// What is there now.
    pub after: Block,
}

impl Blocking {
    /// Why it must not be made, if it would keep fewer out.
    pub(crate) fn weakens(&self) -> Option<Reason> {
        let before = self.before.unwrap_or_default();
        let text = || format!("{} would be weaker than {before}", self.after);
        (!self.after.is_as_strong_as(before)).then(|| Reason::new("weaker", text()))
    }
}

/// An operator who opens a bucket again has a reason that outlasts the next findings about it.
pub(crate) const HOLD: TimeDelta = TimeDelta::days(30);

/// What is to be done about one bucket. `found`: `None` if it is gone; `standing`: what we hold there.
pub(crate) fn decide(
    ask: Ask<'_>,
    bucket: &BucketName,
    found: Option<&Found>,
    standing: Option<&Standing<Blocking>>,
    now: Timestamp,
) -> Decision<Blocking> {
    let Some(found) = found else {
        return Decision::decline("no-such-bucket", format!("there is no bucket {bucket} any more"));
    };
    match ask {
        Ask::Remediate(_) => block(bucket, found, standing, now),
        Ask::Undo => undo(bucket, found, standing),
    }
}

fn block(
    bucket: &BucketName,
    found: &Found,
    standing: Option<&Standing<Blocking>>,
    now: Timestamp,
) -> Decision<Blocking> {
    if found.block == Some(Block::WHOLE) {
        return Decision::in_place("blocked", format!("{bucket} blocks all public access"));
    }
    if let Some(until) = standing.and_then(|row| row.phase.held_until(now, HOLD)) {
        let text = format!(
            "an operator opened {bucket} again; it stays so until {}",
            until.date_naive()
        );
        return Decision::decline(Reason::UNDONE, text);
    }
    if found.website {
        let text = format!(
            "{bucket} is a website, which everybody is meant to read: a block would take it offline. Put CloudFront with an origin access \
             control before it, and then: aws s3api put-public-access-block --region {} --bucket {bucket} \
             --public-access-block-configuration {}; or exempt it",
            found.region,
            Block::WHOLE
        );
        return Decision::escalate("website", text);
    }
    let change = Blocking {
        bucket: bucket.clone(),
        before: found.block,
        after: Block::WHOLE,
    };
    let reason = Reason::new("blocked", format!("{bucket} blocks all public access"));
    Decision::Act(Step::Make(change), reason)
}

fn undo(bucket: &BucketName, found: &Found, standing: Option<&Standing<Blocking>>) -> Decision<Blocking> {
    let Some(row) = standing else {
        return Decision::decline(
            "not-standing",
            format!("nothing that this function put on {bucket} is left"),
        );
    };
    let Blocking { before, after, .. } = &row.change;
    let is_before = found.block == *before;
    if matches!(row.phase, Phase::Held(_)) {
        return if is_before {
            Decision::InPlace(Reason::undone_before())
        } else {
            Decision::decline(
                "not-standing",
                format!("the block of {bucket} is no change of ours that stands"),
            )
        };
    }
    let named = |block: &Option<Block>| block.map_or("none".to_owned(), |block| block.to_string());
    let reason = Reason::new(
        "restored",
        format!(
            "an operator gave {bucket} back the block that it had: {}",
            named(before)
        ),
    );
    if found.block == Some(*after) {
        Decision::Act(Step::Revert(row.change.clone()), reason)
    } else if is_before {
        Decision::InPlace(reason)
    } else {
        let is = named(&found.block);
        Decision::decline(
            "changed-since",
            format!("the block of {bucket} was set to {after}, and is {is} by now"),
        )
    }
}

/// What a person has to weigh before an account blocks, and how it is done.
pub(crate) fn of_account(account: &AccountId) -> Decision<Blocking> {
    let text = format!(
        "the block of the account {account} is above those of all its buckets, in every Region: it takes websites and whatever is exempt offline \
         too. Where none of them has to stay open: aws s3control put-public-access-block --account-id {account} \
         --public-access-block-configuration {}",
        Block::WHOLE
    );
    Decision::escalate("whole-account", text)
}
