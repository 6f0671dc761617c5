//! The one way that every event goes, whatever the remediation.
//!
//! ```text
//! intake -> claim -> resolve -> guardrails -> group by scope
//!        -> [ observe -> decide -> record -> take turn -> apply ] until the observed state needs nothing more
//!        -> report
//! ```
//!
//! There is no verification step of its own: a change counts as made when a fresh look decides that nothing is left to
//! do. A lock conflict, another instance's turn and a lost response all lead to the same fresh look.

mod case;
mod policy;
mod round;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, stream};
use serde::Serialize;

use case::{Case, Kind, to_json};
pub use policy::{AlwaysOn, Policy, Switch};
use round::within;

use crate::{
    Claim, Remediation, Resolution,
    clock::{Clock, Deadline},
    failure::{Class, Failure},
    finding::{Asked, Channel, Evidence, Finding},
    ids::{FindingId, FindingVersion, RecordId, RoleArn},
    intake::{Intake, Message},
    ledger::{Ledger, Record, ScopeKey, Status, Turn, Word},
    outcome::{Outcome, Reason},
    report::{Gauges, Report, Reporter},
    settings::Mode,
};

/// A remediation with all that carries it out.
#[derive(Debug)]
pub struct Engine<R, L, P, C> {
    /// What is decided.
    pub remediation: R,
    /// Where it is recorded.
    pub ledger: L,
    /// Who is told.
    pub reporter: P,
    /// The time.
    pub clock: C,
    /// What is allowed.
    pub policy: Policy,
    /// Whether it still is.
    pub switch: Arc<dyn Switch>,
    /// The role that acts, in its account.
    pub actor: RoleArn,
}

/// What findings ask for, before anything is looked at.
struct Claimed<R: Remediation> {
    groups: BTreeMap<R::Scope, Vec<Case<R>>>,
    /// The inputs that have to come again, whatever becomes of the groups.
    redeliver: Vec<usize>,
    summary: Summary,
}

impl<R: Remediation> Default for Claimed<R> {
    fn default() -> Self {
        Self {
            groups: BTreeMap::new(),
            redeliver: Vec::new(),
            summary: Summary::default(),
        }
    }
}

impl<R: Remediation> Claimed<R> {
    /// A record is one case, whoever brings it: a word for an undo comes first, and goes before what began it.
    fn add(&mut self, scope: R::Scope, case: Case<R>) {
        let cases = self.groups.entry(scope).or_default();
        match cases.iter_mut().find(|known| known.id == case.id) {
            Some(known) => {
                known.messages.extend(case.messages);
                known.again.extend(case.again);
                known.channels.extend(case.channels);
            }
            None => cases.push(case),
        }
    }
}

/// A target in its own name, or the one that was claimed where it has none; with what stands against it.
struct Named<T> {
    target: T,
    refused: Option<Reason>,
    failure: Option<Failure>,
}

/// Scopes that are settled at once: services such as IAM take few calls a second.
const SETTLING: usize = 16;
/// Why nothing is approved or undone while the kill switch is set.
const STOPPED: &str = "everything is stopped: set stop to false in the settings first";
/// What a caller who is no queue hears when the change is made, and Security Hub or people could not be told of it.
const UNTOLD: &str = "not everybody was told";
/// The measure of how long it took from the activity to the fix.
pub const SECONDS_TO_FIX: &str = "SecondsToFix";
/// How often people are told that the budget is spent.
const HOUR: Duration = Duration::from_secs(3600);
/// Targets and findings that are looked up at once.
const RESOLVING: usize = 8;

/// One of the events of an invocation.
struct Input {
    origin: Origin,
    intake: Intake,
}

/// What brings a case.
#[derive(Clone)]
struct Origin {
    /// The input's.
    number: usize,
    /// The message's; nothing where it is none.
    id: String,
    /// It has been delivered before, or nobody knows whether it has.
    again: bool,
}

impl Origin {
    /// An event or an order by itself, which bears no sign of how often it was given.
    fn alone() -> Self {
        Self {
            number: 0,
            id: String::new(),
            again: true,
        }
    }

    /// The first that brings a case sees to it that others are told.
    fn bring<R: Remediation>(&self, case: &mut Case<R>) {
        if case.messages.is_empty() {
            case.teller.clone_from(&self.id);
        }
        case.messages.push(self.number);
        if self.again {
            case.again.insert(self.id.clone());
        }
    }
}

/// What became of an invocation.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Summary {
    /// One per target and scope.
    pub outcomes: Vec<Report>,
    /// Findings and events that asked for nothing.
    pub declined: Vec<Reason>,
    /// Scopes that were left before they were as planned, and why.
    pub unsettled: Vec<String>,
}

impl Summary {
    /// Takes what became of the rest.
    pub fn absorb(&mut self, rest: Self) {
        self.outcomes.extend(rest.outcomes);
        self.declined.extend(rest.declined);
        self.unsettled.extend(rest.unsettled);
    }

    /// Whether something failed that a redelivery may mend.
    #[must_use]
    pub fn needs_redelivery(&self) -> bool {
        !self.unsettled.is_empty() || self.outcomes.iter().any(|report| report.outcome.needs_redelivery())
    }
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BatchSummary {
    /// The messages to deliver again.
    pub redeliver: Vec<String>,
    /// What became of the others, and of these so far.
    pub summary: Summary,
}

impl BatchSummary {
    /// Takes what became of the rest. A message is delivered again once, whatever of it failed.
    pub fn absorb(&mut self, rest: Self) {
        self.redeliver.extend(rest.redeliver);
        self.redeliver.sort_unstable();
        self.redeliver.dedup();
        self.summary.absorb(rest.summary);
    }
}

impl<R: Remediation, L: Ledger, P: Reporter, C: Clock> Engine<R, L, P, C> {
    /// Works through the messages of a queue together, so that a storm of findings becomes one write.
    pub async fn batch(&self, messages: Vec<Message>, deadline: Deadline) -> BatchSummary {
        let mut redeliver = Vec::new();
        let mut ids = Vec::with_capacity(messages.len());
        let mut intakes = Vec::with_capacity(messages.len());
        for (index, message) in messages.into_iter().enumerate() {
            match message.intake {
                Ok(intake) => intakes.push(Input {
                    origin: Origin {
                        number: index,
                        id: message.id.clone(),
                        again: message.again,
                    },
                    intake,
                }),
                Err(error) => {
                    tracing::error!(message_id = %message.id, error = %error, "unreadable record");
                    redeliver.push(message.id.clone());
                }
            }
            ids.push(message.id);
        }
        let (summary, failed) = self.run(intakes, deadline).await;
        redeliver.extend(failed.into_iter().filter_map(|index| ids.get(index).cloned()));
        BatchSummary { redeliver, summary }
    }

    /// Works through one event. Nothing says whether it has come before, so that it is taken as if it had.
    pub async fn event(&self, intake: Intake, deadline: Deadline) -> Summary {
        let input = Input {
            origin: Origin::alone(),
            intake,
        };
        let (mut summary, again) = self.run(vec![input], deadline).await;
        if !again.is_empty() && !summary.needs_redelivery() {
            summary.unsettled.push(UNTOLD.to_owned());
        }
        summary
    }

    /// Expires what is over and puts back what has gone missing, in every scope.
    pub async fn sweep(&self, deadline: Deadline) -> Summary {
        let groups = self
            .remediation
            .all_scopes()
            .into_iter()
            .map(|scope| (scope, Vec::new()))
            .collect();
        self.settle_all(groups, true, deadline).await.0
    }

    /// Takes a recorded change back. `by`: on whose word.
    ///
    /// # Errors
    /// When the ledger cannot be read, there is no such record of this function, or nothing of it can be taken back.
    pub async fn undo(&self, id: &RecordId, by: &str, deadline: Deadline) -> Result<Summary, Failure> {
        self.command(id, by, deadline, Kind::Undo, revertible).await
    }

    /// Carries out a recorded plan that waits for approval, if it still is what is to be done. `by`: on whose word.
    ///
    /// # Errors
    /// When the ledger cannot be read, there is no such record of this function, or it cannot be approved any more.
    pub async fn approve(&self, id: &RecordId, by: &str, deadline: Deadline) -> Result<Summary, Failure> {
        // Whatever was not achieved by the last word may be achieved by another one.
        let approved = Kind::Remediate { approved: true };
        self.command(id, by, deadline, approved, |record| self.approvable(record))
            .await
    }

    /// The ledger's name of a scope.
    fn key<'a>(&'a self, scope: &'a str) -> ScopeKey<'a> {
        ScopeKey {
            account: self.actor.account().as_str(),
            remediation: R::NAME,
            scope,
        }
    }

    fn approvable(&self, record: &Record) -> Result<(), String> {
        match &record.status {
            Status::Settled(Outcome::AwaitingApproval(_)) => {
                let until = record.updated_at + self.policy.approval;
                if until <= self.clock.now() {
                    return Err(format!(
                        "its plan waited until {until} and has expired; a new event of the finding brings a new one"
                    ));
                }
                Ok(())
            }
            Status::Settled(Outcome::WouldRemediate(_) | Outcome::Failed(_) | Outcome::Escalated(_))
            | Status::Intended => Ok(()),
            Status::Settled(other) => Err(format!("it does not wait for approval: {}", other.name())),
            Status::Reverting => Err("it is being undone".to_owned()),
        }
    }

    async fn command(
        &self,
        id: &RecordId,
        by: &str,
        deadline: Deadline,
        kind: Kind,
        admits: impl FnOnce(&Record) -> Result<(), String>,
    ) -> Result<Summary, Failure> {
        let left = deadline.remaining(self.clock.now());
        let found = within(left, self.ledger.find(std::slice::from_ref(id))).await?;
        let record = found.into_iter().find(|record| record.remediation == R::NAME);
        let record = record.ok_or_else(|| refuse(id, "NoSuchRecord", format!("no such record of {}", R::NAME)))?;
        if record.account != *self.actor.account() {
            let why = format!(
                "it is of account {}, which is none that this deployment acts in",
                record.account
            );
            return Err(refuse(id, "OtherAccount", why));
        }
        if let Err(why) = admits(&record) {
            self.tell_again(record, deadline).await;
            return Err(refuse(id, "Refused", why));
        }
        if self.policy.stop {
            return Err(refuse(id, "Stopped", STOPPED.to_owned()));
        }
        let word = Word {
            by: by.to_owned(),
            at: self.clock.now(),
        };
        let part = kind != Kind::Undo && self.is_part(&record, deadline).await;
        let (scope, case) = self.recorded(record, kind, Some(word))?;
        let mut case = Case { part, ..case };
        Origin::alone().bring(&mut case);
        if kind != Kind::Undo {
            case.refused = self.reconsider(&case.target, &case.evidence.kind, deadline).await?;
        }
        let (mut summary, again) = self
            .settle_all(BTreeMap::from([(scope, vec![case])]), false, deadline)
            .await;
        if !again.is_empty() && !summary.needs_redelivery() {
            summary.unsettled.push(UNTOLD.to_owned());
        }
        Ok(summary)
    }

    /// Whoever gave this word got no answer to it, and others may not have got theirs. An order that is given again is the only
    /// sign of that.
    async fn tell_again(&self, record: Record, deadline: Deadline) {
        let origin = Origin::alone();
        let part = self.is_part(&record, deadline).await;
        if let Some((scope, case)) = self.untold(record, &origin) {
            let mut case = Case { part, ..case };
            origin.bring(&mut case);
            self.settle_all(BTreeMap::from([(scope, vec![case])]), false, deadline)
                .await;
        }
    }

    /// Whether another target of this version of its finding is not done; also where that is not known.
    async fn is_part(&self, record: &Record, deadline: Deadline) -> bool {
        let is_open = |other: &Record| {
            let is_done = matches!(&other.status, Status::Settled(outcome) if outcome.is_done());
            other.id != record.id && other.evidence.version == record.evidence.version && !is_done
        };
        match self.of_finding(&record.evidence, deadline).await {
            Ok(all) => all.iter().any(is_open),
            Err(failure) => {
                tracing::warn!(record = %record.id, failure = %failure, "whether that is all of the finding is not known");
                true
            }
        }
    }

    /// The case of a record that has ended, and of which not everybody may know since that in whose delivery it was written comes
    /// again: it is told, and nothing else is done.
    fn untold(&self, record: Record, origin: &Origin) -> Option<(R::Scope, Case<R>)> {
        let notice = record.untold;
        if !origin.again || record.teller != origin.id || !(notice || record.unanswered) {
            return None;
        }
        let Status::Settled(outcome) = record.status.clone() else {
            return None;
        };
        let (scope, case) = self.recorded(record, Kind::Undo, None).ok()?;
        let case = Case {
            replayed: true,
            notice,
            outcome: Some(outcome),
            ..case
        };
        Some((scope, case))
    }

    /// The case of a record that somebody's word, or a second delivery, brings up again.
    fn recorded(&self, record: Record, kind: Kind, word: Option<Word>) -> Result<(R::Scope, Case<R>), Failure> {
        let target: R::Target = serde_json::from_value(record.target.clone())
            .map_err(|error| refuse(&record.id, "UnreadableRecord", error.to_string()))?;
        let mut scopes = self.remediation.scopes(&target).into_iter();
        let scope = scopes.find(|scope| scope.to_string() == record.scope).ok_or_else(|| {
            let why = format!("{} is not configured any more", record.scope);
            refuse(&record.id, "NoSuchScope", why)
        })?;
        let case = Case {
            word,
            repeated: record.has_failed(),
            record: Some(record.clone()),
            ..Case::new(record.id, target, record.evidence, kind)
        };
        Ok((scope, case))
    }

    /// The cases of what was done about a finding that somebody wants undone; and of what the same message has undone, if it comes
    /// again and not everybody may know.
    async fn undoing(
        &self,
        origin: &Origin,
        finding: &Finding,
        claimed: &mut Claimed<R>,
        deadline: Deadline,
    ) -> Result<(), Failure> {
        let records = self.of_finding(&finding.evidence, deadline).await?;
        let own = |record: &Record| record.account == *self.actor.account();
        let mut is_idle = true;
        for record in records.into_iter().filter(own) {
            let (scope, mut case) = if revertible(&record).is_ok() {
                let word = Word {
                    by: Asked::Undo.by().to_owned(),
                    at: self.clock.now(),
                };
                self.recorded(record, Kind::Undo, Some(word))?
            } else if matches!(record.status, Status::Settled(Outcome::Undone(_)))
                && let Some(untold) = self.untold(record, origin)
            {
                untold
            } else {
                continue;
            };
            origin.bring(&mut case);
            case.channels.insert(finding.evidence.channel.clone());
            claimed.add(scope, case);
            is_idle = false;
        }
        if is_idle {
            let text = format!("{} has changed nothing for this finding that could be undone", R::NAME);
            decline(
                &mut claimed.summary,
                Some(finding),
                Reason::new("nothing-to-undo", text),
            );
        }
        Ok(())
    }

    /// Says what would be done about an event, and why. Writes nothing, whatever the mode.
    ///
    /// # Errors
    /// When AWS or the ledger cannot be read.
    pub async fn explain(&self, intake: Intake, deadline: Deadline) -> Result<Summary, Failure> {
        let input = Input {
            origin: Origin {
                again: false,
                ..Origin::alone()
            },
            intake,
        };
        let claimed = self.claim(vec![input], true, deadline).await;
        let mut summary = claimed.summary;
        for (scope, mut cases) in claimed.groups {
            let left = deadline.remaining(self.clock.now());
            within(left, self.preview(&scope, &mut cases)).await?;
            summary.outcomes.extend(
                cases
                    .into_iter()
                    .filter_map(|case| case.into_report(&scope.to_string())),
            );
        }
        Ok(summary)
    }

    /// Returns the summary, and the indexes of the inputs that must come again.
    async fn run(&self, inputs: Vec<Input>, deadline: Deadline) -> (Summary, Vec<usize>) {
        let claimed = self.claim(inputs, false, deadline).await;
        let mut summary = claimed.summary;
        let (settled, mut redeliver) = self.settle_all(claimed.groups, false, deadline).await;
        redeliver.extend(claimed.redeliver);
        redeliver.sort_unstable();
        redeliver.dedup();
        summary.absorb(settled);
        (summary, redeliver)
    }

    /// Claims, resolves, applies the guardrails, and groups by scope. The same matter from two messages is one case.
    /// `only_asking`: nothing will be written, and a function that is switched off or stopped says as well what it would do.
    async fn claim(&self, inputs: Vec<Input>, only_asking: bool, deadline: Deadline) -> Claimed<R> {
        let mut claimed = Claimed::default();
        let mut requests = Vec::new();
        // Whatever cannot be looked up or resolved must not keep the others from being settled.
        let half = deadline.half(self.clock.now());
        for Input { origin, intake } in inputs {
            let findings = match intake {
                Intake::Findings(findings) => findings,
                Intake::Declined(reason) => {
                    decline(&mut claimed.summary, None, reason);
                    continue;
                }
            };
            for finding in findings {
                if finding.asked == Some(Asked::Undo) {
                    if self.policy.stop && !only_asking {
                        decline(&mut claimed.summary, Some(&finding), Reason::new("stopped", STOPPED));
                    } else if let Err(failure) = self.undoing(&origin, &finding, &mut claimed, half).await {
                        tracing::error!(finding = finding.evidence.id.as_str(), failure = %failure, "not undone");
                        claimed.summary.unsettled.push(failure.to_string());
                        claimed.redeliver.push(origin.number);
                    }
                    continue;
                }
                let refused = self.refuse_finding(&finding, only_asking);
                match refused.map_or_else(|| self.remediation.claim(&finding), Claim::Declined) {
                    Claim::Targets(targets) => {
                        let mut finding = finding;
                        if !self.remediation.answers(&finding) {
                            finding.evidence.channel = Channel::Direct;
                        }
                        requests.push((origin.clone(), finding, targets));
                    }
                    Claim::Declined(reason) => decline(&mut claimed.summary, Some(&finding), reason),
                    Claim::Unreadable(error) => {
                        let (id, kind) = (finding.evidence.id.as_str(), finding.evidence.kind.as_str());
                        tracing::error!(finding = id, kind, error = %error, "unreadable finding");
                        claimed.summary.unsettled.push(format!("{kind}: {error}"));
                        claimed.redeliver.push(origin.number);
                    }
                }
            }
        }

        // By all that a target says of itself: two may be shown alike, and mean two resources.
        let named = |target: &R::Target| to_json(target).map(|json| json.to_string()).unwrap_or_default();
        let asked: BTreeMap<String, R::Target> = requests
            .iter()
            .filter(|(_, finding, _)| self.refuse_evidence(finding).is_none())
            .flat_map(|(_, _, targets)| targets.iter().map(|target| (named(target), target.clone())))
            .collect();
        let resolved: BTreeMap<String, Result<Resolution<R::Target>, Failure>> = stream::iter(
            asked
                .into_iter()
                .map(|(name, target)| async move { (name, self.resolve(target, half).await) }.boxed()),
        )
        .buffer_unordered(RESOLVING)
        .collect()
        .await;

        let mut cases: BTreeMap<R::Scope, BTreeMap<RecordId, Case<R>>> = BTreeMap::new();
        let mut begun = Vec::new();
        for (origin, finding, targets) in requests {
            for meant in targets {
                let named_as = |target, refused, failure| Named {
                    target,
                    refused,
                    failure,
                };
                let targets: Vec<_> = match (self.refuse_evidence(&finding), resolved.get(&named(&meant))) {
                    (None, Some(Ok(Resolution::Targets(targets)))) => targets
                        .iter()
                        .map(|target| {
                            named_as(target.clone(), self.refuse_target(target, &finding.evidence.kind), None)
                        })
                        .collect(),
                    (None, Some(Ok(Resolution::Declined(reason)))) => {
                        vec![named_as(meant, Some(reason.clone()), None)]
                    }
                    (None, Some(Err(failure))) => vec![named_as(meant, None, Some(failure.clone()))],
                    (refused, _) => vec![named_as(meant, refused, None)],
                };
                for Named {
                    target,
                    refused,
                    failure,
                } in targets
                {
                    for scope in self.remediation.scopes(&target) {
                        let evidence = &finding.evidence;
                        let (scope_name, target_name) = (scope.to_string(), target.to_string());
                        let id = RecordId::derive(self.key(&scope_name), &target_name, &evidence.id, &evidence.version);
                        let kind = Kind::Remediate {
                            approved: finding.asked == Some(Asked::Remediate),
                        };
                        let word = finding.asked.map(|asked| Word {
                            by: asked.by().to_owned(),
                            at: self.clock.now(),
                        });
                        let new = || Case {
                            word: word.clone(),
                            refused: refused.clone(),
                            answered: finding.answered,
                            repeated: failure.is_some(),
                            outcome: failure.clone().map(Outcome::Failed),
                            ..Case::new(id.clone(), target.clone(), evidence.clone(), kind)
                        };
                        let case = cases.entry(scope).or_default().entry(id.clone()).or_insert_with(new);
                        // A word counts also where the finding itself comes in the same batch, and first.
                        if finding.asked == Some(Asked::Remediate) {
                            (case.kind, case.word) = (kind, word.clone());
                        }
                        case.answered &= finding.answered;
                        case.channels.insert(evidence.channel.clone());
                        origin.bring(case);
                    }
                }
            }
            if origin.again {
                begun.push((origin, finding.evidence));
            }
        }
        for (scope, cases) in cases {
            for case in cases.into_values() {
                claimed.add(scope.clone(), case);
            }
        }
        let half = deadline.half(self.clock.now());
        let begun = begun.into_iter().map(|(origin, evidence)| {
            async move {
                let records = self.of_finding(&evidence, half).await;
                (origin, evidence, records)
            }
            .boxed()
        });
        let begun: Vec<_> = stream::iter(begun).buffered(RESOLVING).collect().await;
        for (origin, evidence, records) in begun {
            let resumed = records.and_then(|records| self.resume(&origin, &evidence, records, &mut claimed));
            if let Err(failure) = resumed {
                tracing::error!(finding = evidence.id.as_str(), failure = %failure, "what was begun is not known");
                claimed.summary.unsettled.push(failure.to_string());
                claimed.redeliver.push(origin.number);
            }
        }
        claimed
    }

    /// What was begun for a finding and not ended, or ended and not told, is taken up by its own record: once its change is made, the
    /// finding may lead to another target, or to none.
    fn resume(
        &self,
        origin: &Origin,
        evidence: &Evidence,
        records: Vec<Record>,
        claimed: &mut Claimed<R>,
    ) -> Result<(), Failure> {
        let own = records
            .into_iter()
            .filter(|record| record.account == *self.actor.account() && record.evidence.version == evidence.version);
        for record in own {
            let mut known = claimed.groups.values().flatten();
            if known.any(|case| case.id == record.id) {
                continue;
            }
            let (scope, mut case) = if matches!(record.status, Status::Intended | Status::Settled(Outcome::Failed(_))) {
                let kind = Kind::Remediate {
                    approved: record.approved.is_some(),
                };
                let (scope, case) = self.recorded(record, kind, None)?;
                let refused = self.refuse_target(&case.target, &case.evidence.kind);
                (scope, Case { refused, ..case })
            } else if let Some(untold) = self.untold(record, origin) {
                untold
            } else {
                continue;
            };
            origin.bring(&mut case);
            claimed.add(scope, case);
        }
        Ok(())
    }

    /// What is recorded of a finding, if the ledger says it in time.
    async fn of_finding(&self, evidence: &Evidence, deadline: Deadline) -> Result<Vec<Record>, Failure> {
        let left = deadline.remaining(self.clock.now());
        within(left, self.ledger.of_finding(R::NAME, &evidence.id)).await
    }

    /// Why a plan that waited must not be carried out: its target may be another one by now, or protected.
    async fn reconsider(&self, target: &R::Target, kind: &str, deadline: Deadline) -> Result<Option<Reason>, Failure> {
        let name = target.to_string();
        Ok(match self.resolve(target.clone(), deadline).await? {
            Resolution::Declined(reason) => Some(reason),
            Resolution::Targets(targets) if targets.iter().any(|resolved| resolved.to_string() == name) => {
                self.refuse_target(target, kind)
            }
            Resolution::Targets(_) => Some(Reason::new("another-target", format!("{name} is not what it was"))),
        })
    }

    /// Tries until it is certain which resource is meant, or until the deadline.
    async fn resolve(&self, target: R::Target, deadline: Deadline) -> Result<Resolution<R::Target>, Failure> {
        let mut last = None;
        for attempt in 1.. {
            let left = deadline.remaining(self.clock.now());
            if left.is_zero() {
                break;
            }
            match tokio::time::timeout(left, self.remediation.resolve(target.clone())).await {
                Ok(Err(failure)) if failure.class.is_retryable() => {
                    let pause = failure.class.pause(attempt, self.jitter());
                    tracing::warn!(target = %target, failure = %failure, attempt, "resolving again");
                    last = Some(failure);
                    self.clock.sleep(pause.min(left)).await;
                }
                Ok(resolved) => return resolved,
                Err(_) => break,
            }
        }
        Err(last.unwrap_or_else(round::out_of_time))
    }

    /// Guardrails on the finding as a whole. These leave a line in the log, and no record. `only_asking`: as for [`Self::claim`].
    fn refuse_finding(&self, finding: &Finding, only_asking: bool) -> Option<Reason> {
        if finding.asked == Some(Asked::Other) {
            return Some(Reason::new(
                "other-action",
                "a custom action that none of the functions answers to",
            ));
        }
        if !only_asking && self.policy.mode_of(&finding.evidence.kind) == Mode::Off {
            let text = format!("{} is switched off for {}", R::NAME, finding.evidence.kind);
            return Some(Reason::new("off", text));
        }
        finding
            .suppressed
            .then(|| Reason::new("suppressed", "the finding is suppressed in Security Hub"))
    }

    /// Guardrails on the finding, whatever it is about. These are recorded.
    fn refuse_evidence(&self, finding: &Finding) -> Option<Reason> {
        if finding.archived {
            return Some(Reason::new("archived", "the finding is archived"));
        }
        if finding.sample && !self.policy.allow_samples {
            return Some(Reason::new(
                "sample",
                "the finding is a GuardDuty sample; nothing happened",
            ));
        }
        let (account, own) = (&finding.evidence.account, self.actor.account());
        (!R::SERVES_ALL_ACCOUNTS && account != own).then(|| {
            let text = format!("the finding is about account {account}, which is none that this deployment acts in");
            Reason::new("other-account", text)
        })
    }

    /// Why a target must not be touched for this kind of finding.
    fn refuse_target(&self, target: &R::Target, kind: &str) -> Option<Reason> {
        let exempt = || {
            let resources = self.remediation.resources(target);
            self.policy
                .exempts(self.actor.account(), kind, &resources, self.clock.now())
        };
        self.remediation.guard(target).or_else(exempt)
    }

    async fn settle_all(
        &self,
        mut groups: BTreeMap<R::Scope, Vec<Case<R>>>,
        is_sweep: bool,
        deadline: Deadline,
    ) -> (Summary, Vec<usize>) {
        let left = deadline.remaining(self.clock.now());
        if let Err(failure) = within(left, self.recall(&mut groups)).await {
            for case in groups.values_mut().flatten() {
                case.outcome = Some(Outcome::Failed(failure.clone()));
                case.repeated = true;
            }
        }
        let owed = groups.values().flatten().filter(|case| case.notice);
        let owed: BTreeSet<RecordId> = owed.map(|case| case.id.clone()).collect();
        let settling = groups.into_iter().map(|(scope, mut cases)| {
            async move {
                let settled = self.settle(&scope, &mut cases, is_sweep, deadline).await;
                (scope.to_string(), cases, settled)
            }
            .boxed()
        });
        let settled: Vec<_> = stream::iter(settling).buffered(SETTLING).collect().await;

        let mut summary = Summary::default();
        let mut redeliver = Vec::new();
        let mut news = Vec::new();
        let mut untold = Vec::new();
        let mut gauges = Gauges::default();
        for (scope, cases, settled) in settled {
            gauges.0.extend(settled.gauges);
            if let Some(failure) = settled.failure {
                tracing::error!(scope, failure = %failure, "scope left unsettled");
                summary.unsettled.push(format!("{scope}: {failure}"));
            }
            for case in cases {
                let (replayed, is_news) = (case.replayed, case.is_news());
                let (messages, record) = (case.messages.clone(), case.record.clone());
                let teller = case.teller.clone();
                let again = record.as_ref().is_some_and(|record| case.comes_again(record));
                let Some(report) = case.into_report(&scope) else {
                    continue;
                };
                log(R::NAME, &report, replayed);
                if report.outcome.needs_redelivery() {
                    redeliver.extend(&messages);
                } else if let Some(record) = record.filter(|record| is_news && (record.untold || record.unanswered)) {
                    untold.push((scope.clone(), record, teller, messages, again));
                }
                if let (Outcome::Remediated(_), false) = (&report.outcome, replayed) {
                    let since = self.clock.now() - report.evidence.observed_at;
                    #[expect(clippy::cast_precision_loss, reason = "seconds")]
                    gauges.0.push((SECONDS_TO_FIX, since.num_seconds().max(0) as f64));
                }
                if is_news {
                    news.push(report.clone());
                }
                summary.outcomes.push(report);
            }
        }
        // Some of its targets may have ended in an earlier delivery, and be no news.
        let open: BTreeSet<_> = summary
            .outcomes
            .iter()
            .filter(|report| !report.outcome.is_done())
            .map(of_version)
            .collect();
        for report in &mut news {
            report.part |= open.contains(&of_version(report));
        }
        self.quieten(&mut news, &owed, deadline).await;
        let left = deadline.remaining_to_report(self.clock.now());
        let unknown = self.reporter.report(R::NAME, &news, &gauges, left).await;
        let mut known = Vec::new();
        for (scope, record, teller, messages, again) in untold {
            let (people, source) = (
                unknown.people.contains(&record.id),
                unknown.sources.contains(&record.id),
            );
            if people || source {
                redeliver.extend(&messages);
            }
            let now = Record {
                // What another delivery owes to people it still owes.
                untold: people || (record.untold && record.teller != teller),
                unanswered: source,
                ..record.clone()
            };
            if now != record {
                known.push((scope, now, messages, again));
            }
        }
        redeliver.sort_unstable();
        redeliver.dedup();
        // Only who comes again asks; for all others this is a call less.
        let mut told: BTreeMap<String, Vec<Record>> = BTreeMap::new();
        for (scope, record, messages, again) in known {
            if again || messages.iter().any(|message| redeliver.contains(message)) {
                told.entry(scope).or_default().push(record);
            }
        }
        for (scope, records) in told {
            let left = deadline.remaining_to_note(self.clock.now());
            if let Err(failure) = within(left, self.note_told(&scope, records)).await {
                tracing::warn!(scope, failure = %failure, "told, but not noted");
            }
        }
        (summary, redeliver)
    }

    /// That the budget is spent is told once an hour, and not with each plan that waits for it. Whoever may have had the turn and could not
    /// tell, which is `owed`, or cannot know whose turn it is, tells: once more rather than never.
    async fn quieten(&self, news: &mut [Report], owed: &BTreeSet<RecordId>, deadline: Deadline) {
        let waits = |report: &&mut Report| {
            report.notice
                && matches!(&report.outcome, Outcome::AwaitingApproval(reason) if reason.code == Reason::BUDGET)
        };
        let mut waiting: Vec<_> = news.iter_mut().filter(waits).collect();
        let is_owed = waiting.iter().any(|report| owed.contains(&report.record));
        let Some((first, others)) = waiting.split_first_mut() else {
            return;
        };
        for report in others {
            report.notice = false;
        }
        let key = format!(
            "notice#{}",
            self.policy.budget(R::NAME, self.actor.account(), self.clock.now()).key
        );
        let now = self.clock.now();
        // The other half is for telling.
        let left = deadline.remaining_to_report(now) / 2;
        let turn = within(left, self.ledger.turn(&key, HOUR, now)).await;
        if let Err(failure) = &turn {
            tracing::warn!(key, failure = %failure, "whose turn it is to tell of the budget is not known");
        }
        first.notice = is_owed || !matches!(turn, Ok(Turn::At(_)));
    }

    /// Looks up what the ledger knows of the cases; what has ended before is not done again.
    async fn recall(&self, groups: &mut BTreeMap<R::Scope, Vec<Case<R>>>) -> Result<(), Failure> {
        let ids: Vec<_> = groups
            .values()
            .flatten()
            .filter(|case| case.record.is_none())
            .map(|case| case.id.clone())
            .collect();
        if ids.is_empty() {
            return Ok(());
        }
        let mut known: BTreeMap<_, _> = self
            .ledger
            .find(&ids)
            .await?
            .into_iter()
            .map(|record| (record.id.clone(), record))
            .collect();
        for case in groups.values_mut().flatten() {
            if let Some(record) = known.remove(&case.id) {
                case.recall(record);
            }
        }
        Ok(())
    }
}

fn refuse(id: &RecordId, code: &str, why: String) -> Failure {
    Failure::new(Class::Permanent, "command", code, format!("{id}: {why}"))
}

/// Why nothing of a record can be taken back, if so.
fn revertible(record: &Record) -> Result<(), String> {
    match (&record.status, &record.released) {
        (Status::Settled(Outcome::Undone(_)), _) => Err("it has been undone already".to_owned()),
        (_, Some(reason)) => Err(format!("the change has ended without it: {reason}")),
        (Status::Settled(Outcome::Remediated(_)) | Status::Intended | Status::Reverting, None) => Ok(()),
        // What was announced may have been made, whatever came of it since.
        (Status::Settled(Outcome::Failed(_) | Outcome::Escalated(_) | Outcome::Declined(_)), None)
            if record.change.is_some() =>
        {
            Ok(())
        }
        (Status::Settled(other), None) => Err(format!("nothing was changed: {}", other.name())),
    }
}

fn decline(summary: &mut Summary, finding: Option<&Finding>, reason: Reason) {
    let (id, kind) = finding.map_or(("", ""), |f| (f.evidence.id.as_str(), f.evidence.kind.as_str()));
    tracing::info!(finding = id, kind, code = reason.code, why = reason.text, "declined");
    summary.declined.push(reason);
}

/// The version of a finding that a report is about.
fn of_version(report: &Report) -> (FindingId, FindingVersion) {
    (report.evidence.id.clone(), report.evidence.version.clone())
}

fn log(remediation: &str, report: &Report, replayed: bool) {
    let (outcome, why) = (report.outcome.name(), report.outcome.why());
    let (finding, kind) = (report.evidence.id.as_str(), report.evidence.kind.as_str());
    let (record, scope, target) = (report.record.as_str(), report.scope.as_str(), report.target.as_str());
    if report.outcome.needs_redelivery() {
        tracing::error!(
            remediation,
            outcome,
            why,
            record,
            scope,
            target,
            finding,
            kind,
            replayed,
            "settled"
        );
    } else {
        tracing::info!(
            remediation,
            outcome,
            why,
            record,
            scope,
            target,
            finding,
            kind,
            replayed,
            "settled"
        );
    }
}
