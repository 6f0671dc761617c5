//! What a remediation is: the part that differs from function to function.

use std::{fmt::Display, time::Duration};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    clock::Timestamp,
    failure::Failure,
    finding::{Evidence, Finding, FindingError},
    ledger::{Image, Standing},
    outcome::Reason,
    plan::Plan,
};

/// What a finding asks of a remediation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim<T> {
    /// To act on these.
    Targets(Vec<T>),
    /// Nothing, and why.
    Declined(Reason),
    /// What it needs of the finding cannot be read. The finding goes to the dead-letter queue.
    Unreadable(FindingError),
}

impl<T> Claim<T> {
    /// Nothing, and why.
    pub fn declined(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self::Declined(Reason::new(code, text))
    }
}

/// Which resources a claimed target turns out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution<T> {
    /// These, each in its own name.
    Targets(Vec<T>),
    /// None that may be touched, and why.
    Declined(Reason),
}

/// One target of a scope, with what asks for it.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a, T> {
    /// The target.
    pub target: &'a T,
    /// What is asked.
    pub ask: Ask<'a>,
}

/// What is asked of a target.
#[derive(Debug, Clone, Copy)]
pub enum Ask<'a> {
    /// To remediate it, because of these, oldest first.
    Remediate(&'a [&'a Evidence]),
    /// To take back what stands.
    Undo,
}

/// All that a decision rests on. Nothing else may enter it.
#[derive(Debug)]
pub struct View<'a, R: Remediation> {
    /// The time.
    pub now: Timestamp,
    /// The scope.
    pub scope: &'a R::Scope,
    /// What is asked; no target twice.
    pub requests: &'a [Request<'a, R::Target>],
    /// What AWS says.
    pub state: &'a R::State,
    /// What the ledger says that we hold here.
    pub standing: &'a [Standing<R::Change>],
}

/// A limit that all instances share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pace {
    /// What is limited, in one account.
    pub key: String,
    /// One write in this time.
    pub every: Duration,
    /// How old a look may be that leads to a write in this turn. Where a write rests on what the turn before may have
    /// changed, a look that is younger than the rest of `every` has seen it.
    pub look_within: Duration,
}

/// What the engine has cleared for writing: recorded, in turn, and not a dry run. Only the engine can make one, and
/// without one no [`Remediation::apply`] can be called.
///
/// ```compile_fail
/// let forged = remediation::Approved::new("a write that nobody cleared");
/// ```
#[derive(Debug)]
pub struct Approved<W>(W);

impl<W> Approved<W> {
    pub(crate) fn new(write: W) -> Self {
        Self(write)
    }

    /// What is to be written.
    pub fn write(&self) -> &W {
        &self.0
    }
}

/// What AWS answered to a write.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Receipt {
    /// The request id, for CloudTrail.
    pub request_id: Option<String>,
}

/// One kind of remediation.
///
/// `claim`, `guard` and `decide` are pure: the same arguments give the same answer. `resolve` and `observe` read, `apply`
/// writes what `decide` planned, and none of them decides what is to be done.
pub trait Remediation: Send + Sync {
    /// The function's name, as in its folder, its records and its metrics.
    const NAME: &'static str;
    /// Whether findings about any account are dealt with in the deployment's own, because what is changed there protects all.
    const SERVES_ALL_ACCOUNTS: bool = false;
    /// How long a write may take until reads show it. A write that is not seen yet is not repeated before.
    const SETTLES_WITHIN: Duration = Duration::ZERO;

    /// What is acted on. Its text is its name within the scope.
    type Target: Display + Clone + Serialize + DeserializeOwned + Send + Sync;
    /// What one write covers. Its text names it in the ledger.
    type Scope: Display + Clone + Ord + Send + Sync;
    /// What AWS says of a scope, with what a conditional write needs.
    type State: Send + Sync;
    /// What is done to a target, with all that taking it back needs.
    type Change: Clone + PartialEq + Serialize + DeserializeOwned + Send + Sync;
    /// The one write that brings a scope to the planned state.
    type Write: Send + Sync;

    /// Which targets this finding asks to act on.
    fn claim(&self, finding: &Finding) -> Claim<Self::Target>;

    /// Whether what becomes of this finding here is the answer to it, to be told to Security Hub. A finding whose cause
    /// another remediation removes is not answered by one that only contains its effects.
    fn answers(&self, _: &Finding) -> bool {
        true
    }

    /// Which resources are meant, where findings name them in several ways, or only by what they belong to: afterwards the
    /// same resource is the same target, in the same scope. Reads only.
    fn resolve(&self, target: Self::Target) -> impl Future<Output = Result<Resolution<Self::Target>, Failure>> + Send {
        async { Ok(Resolution::Targets(vec![target])) }
    }

    /// Why this target must not be touched, whatever a finding says.
    fn guard(&self, target: &Self::Target) -> Option<Reason>;

    /// The names by which exemptions may mean a target, such as `user/alice` or `203.0.113.7/32`.
    fn resources(&self, target: &Self::Target) -> Vec<String>;

    /// The scopes in which a target is dealt with.
    fn scopes(&self, target: &Self::Target) -> Vec<Self::Scope>;

    /// The scopes that the schedule looks after. None, where nothing runs out and what a person changes back is not to be
    /// changed again unasked.
    fn all_scopes(&self) -> Vec<Self::Scope> {
        Vec::new()
    }

    /// The limit on this write.
    fn pace(&self, _: &Self::Scope, _: &Self::Write) -> Option<Pace> {
        None
    }

    /// Whether this write comes to the same if it is made twice. One that does not is not repeated after a lost answer before
    /// `SETTLES_WITHIN` is over.
    fn is_repeatable(&self, _: &Self::Write) -> bool {
        true
    }

    /// Reads the scope, as far as deciding on these targets needs it.
    fn observe(
        &self,
        scope: &Self::Scope,
        targets: &[&Self::Target],
    ) -> impl Future<Output = Result<Self::State, Failure>> + Send;

    /// Decides on every request, and on the scope as a whole.
    fn decide(&self, view: &View<'_, Self>) -> Plan<Self::Change, Self::Write>
    where
        Self: Sized;

    /// Why a change must not be made, whatever was decided: it would grant more, or protect less, than what is there. The
    /// engine asks before it records the change, and escalates it.
    fn oversteps(&self, change: &Self::Change) -> Option<Reason>;

    /// Whether a plan that was shown and the one that is made now are the same to whoever approved it.
    fn is_same_plan(&self, shown: &Self::Change, now: &Self::Change) -> bool {
        shown == now
    }

    /// Writes. Conditional on the state that the plan was made from: if it has changed, a conflict.
    fn apply(
        &self,
        scope: &Self::Scope,
        write: &Approved<Self::Write>,
    ) -> impl Future<Output = Result<Receipt, Failure>> + Send;

    /// The change for the reader.
    fn image(&self, scope: &Self::Scope, change: &Self::Change) -> Image;

    /// Until when a change that an operator took back must not come again; `None`: it may at once.
    fn hold_after_undo(&self, change: &Self::Change, now: Timestamp) -> Option<Timestamp>;
}
