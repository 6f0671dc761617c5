//! One look at a scope, and what follows from it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    Engine,
    case::{Case, Kind, to_json},
};
use crate::{
    Approved, Ask, Remediation, Request, View,
    clock::{Clock, Deadline, Timestamp},
    failure::{Class, Failure},
    finding::{Channel, Evidence},
    ids::{FindingId, FindingVersion, RecordId},
    ledger::{Entry, Ledger, Phase, Record, Revision, ScopeKey, Standing, StandingWrite, Status, Written},
    outcome::{Outcome, Reason},
    plan::{Decision, Plan, Step, Upkeep},
    report::Reporter,
    settings::Mode,
};

/// What a scope's loop remembers from look to look.
#[derive(Default)]
struct Progress {
    looks: u32,
    /// Consecutive looks that ended in a failure of the same kind.
    failures: u32,
    /// Writes that AWS accepted.
    applied: u32,
    /// When the last one was that AWS accepted or may have, and how often it was looked for since.
    written: Option<(Timestamp, u32)>,
    requests: Vec<String>,
    last: Option<Failure>,
    /// The highest that was seen of each.
    gauges: BTreeMap<&'static str, f64>,
    /// Records whose standing change had gone missing and was put back.
    restored: BTreeSet<RecordId>,
}

impl Progress {
    fn measure(&mut self, gauges: &[(&'static str, f64)]) {
        for (name, value) in gauges {
            let highest = self.gauges.entry(name).or_insert(*value);
            *highest = highest.max(*value);
        }
    }
}

/// What a scope's loop leaves behind, beside the outcomes of its cases.
pub(super) struct Settled {
    pub(super) gauges: BTreeMap<&'static str, f64>,
    /// Why the scope was left before it was as planned.
    pub(super) failure: Option<Failure>,
}

enum Next {
    Done,
    LookAgain(Duration),
}

/// Writes that were accepted and yet not seen; more would not help.
const MAX_APPLIED: u32 = 8;
/// A bound that no honest run meets; it turns a plan that never comes to rest into a failure.
const MAX_LOOKS: u32 = 400;

/// What is to be written to the ledger for a case: which case, the outcome that it then has, the entry.
struct Pending<C> {
    case: Option<usize>,
    outcome: Option<Outcome>,
    entry: Entry<C>,
}

impl<R: Remediation, L: Ledger, P: Reporter, C: Clock> Engine<R, L, P, C> {
    /// Brings every case of a scope to its outcome, or to failure at the deadline.
    pub(super) async fn settle(
        &self,
        scope: &R::Scope,
        cases: &mut [Case<R>],
        is_sweep: bool,
        deadline: Deadline,
    ) -> Settled {
        let mut progress = Progress::default();
        if !is_sweep && cases.iter().all(|case| !case.is_open()) {
            return Settled {
                gauges: progress.gauges,
                failure: None,
            };
        }
        let failure = loop {
            let left = deadline.remaining(self.clock.now());
            progress.looks += 1;
            if left.is_zero() || progress.looks > MAX_LOOKS {
                let failure = progress.last.take().unwrap_or_else(out_of_time);
                break Some(failure);
            }
            let pause = match tokio::time::timeout(left, self.look(scope, cases, &mut progress)).await {
                Ok(Ok(Next::Done)) => break None,
                Ok(Ok(Next::LookAgain(pause))) => {
                    progress.failures = 0;
                    pause
                }
                Ok(Err(failure)) if failure.class.is_retryable() => {
                    progress.failures += 1;
                    match failure.class {
                        Class::Conflict => *progress.gauges.entry("Conflicts").or_default() += 1.0,
                        Class::Throttled => *progress.gauges.entry("Throttles").or_default() += 1.0,
                        _ => {}
                    }
                    let pause = failure.class.pause(progress.failures, self.jitter());
                    tracing::warn!(scope = %scope, failure = %failure, attempt = progress.failures, "looking again");
                    progress.last = Some(failure);
                    pause
                }
                Ok(Err(failure)) => break Some(failure),
                Err(_) => continue,
            };
            if !pause.is_zero() {
                self.clock.sleep(pause.min(left)).await;
            }
        };
        if let Some(failure) = &failure {
            self.fail(scope, cases, failure, deadline).await;
        } else if is_sweep
            && let left = deadline.remaining_to_record(self.clock.now())
            && let Err(failure) = within(left, self.note_restored(scope, &progress.restored)).await
        {
            tracing::warn!(scope = %scope, failure = %failure, "restored, but not noted");
        }
        Settled {
            gauges: progress.gauges,
            failure,
        }
    }

    pub(super) fn jitter(&self) -> u8 {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the lowest bits are the ones that differ"
        )]
        let low = (self.clock.now().timestamp_subsec_nanos() / 977) as u8;
        low
    }

    async fn look(&self, scope: &R::Scope, cases: &mut [Case<R>], progress: &mut Progress) -> Result<Next, Failure> {
        let name = scope.to_string();
        let key = self.key(&name);

        let refusals = refusals(cases, key, self.clock.now())?;
        if !self.store(key, cases, refusals).await? {
            return Ok(Next::LookAgain(Duration::ZERO));
        }
        let has_open = cases.iter().any(Case::is_open);
        if !has_open && !cases.is_empty() {
            return Ok(Next::Done);
        }

        let looked = self.clock.now();
        // In this order: an entry leaves the ledger only after its effect has left AWS. Read the other way round, what
        // another instance is just taking away would look like somebody else's.
        let standing = self.ledger.standing::<R::Change>(key).await?;
        let state = self.observe(scope, cases).await?;
        let now = self.clock.now();
        let plan = self.plan(scope, cases, &standing, &state, now);
        // A write that rests on an older word of the ledger than its lock token could bring back what was released since. Where nothing
        // is written, each entry of the ledger is conditional by itself.
        let is_writing = plan.write.is_some() && self.policy.may_write();
        if is_writing && self.ledger.standing::<R::Change>(key).await? != standing {
            return Ok(Next::LookAgain(Class::Conflict.pause(1, self.jitter())));
        }
        progress.measure(&plan.gauges);

        let held: BTreeMap<&str, &Standing<R::Change>> = standing.iter().map(|s| (s.target.as_str(), s)).collect();
        let writes_allowed = self.policy.may_write();
        let Sorted {
            mut pending,
            following,
            gated,
        } = self.sort(scope, cases, &plan, &held, progress, now)?;
        if writes_allowed && !gated {
            pending.extend(self.upkeep(&plan.upkeep, &held, progress, now).await?);
        }
        let recorded = !pending.is_empty() || !following.is_empty();
        if !self.store(key, cases, pending).await? {
            return Ok(Next::LookAgain(Class::Conflict.pause(1, self.jitter())));
        }

        let is_settled = cases.iter().all(|case| !case.is_open());
        if !writes_allowed {
            return Ok(if is_settled {
                Next::Done
            } else {
                Next::LookAgain(Duration::ZERO)
            });
        }
        if gated {
            // The plan counted on changes that now wait for somebody: it must be made again without them.
            return Ok(Next::LookAgain(Duration::ZERO));
        }
        if !self.store(key, cases, following).await? {
            return Ok(Next::LookAgain(Class::Conflict.pause(1, self.jitter())));
        }
        let Some(write) = plan.write else {
            return match (is_settled, recorded) {
                (true, _) => Ok(Next::Done),
                (false, true) => Ok(Next::LookAgain(Duration::ZERO)),
                (false, false) => Err(Failure::new(
                    Class::Permanent,
                    R::NAME,
                    "NoProgress",
                    "the plan leads nowhere",
                )),
            };
        };
        if let Some((at, looks)) = progress.written
            && now < at + R::SETTLES_WITHIN
        {
            progress.written = Some((at, looks + 1));
            return Ok(Next::LookAgain(Class::Transient.pause(looks + 1, self.jitter())));
        }
        if let Some(pace) = self.remediation.pace(scope, &write) {
            let age = (self.clock.now() - looked).to_std().unwrap_or_default();
            if age > pace.look_within {
                let text = format!(
                    "a look takes {} s, and must not take longer than {} s",
                    age.as_secs(),
                    pace.look_within.as_secs()
                );
                return Err(Failure::new(Class::Transient, R::NAME, "LookTooSlow", text));
            }
            let turn = format!("{}#{}", pace.key, self.actor.account());
            if let crate::ledger::Turn::At(free) = self.ledger.turn(&turn, pace.every, self.clock.now()).await? {
                // By then another instance may have written what we want: look again rather than write blindly.
                let wait = (free - now).to_std().unwrap_or_default();
                return Ok(Next::LookAgain(wait + Class::Conflict.pause(1, self.jitter())));
            }
        }
        if !self.switch.allows_writes().await? {
            return Err(stopped::<R>());
        }
        if progress.applied >= MAX_APPLIED {
            return Err(not_verified(progress.applied));
        }
        let is_repeatable = self.remediation.is_repeatable(&write);
        let answer = self.remediation.apply(scope, &Approved::new(write)).await;
        // Where nobody knows what became of it, it may be on its way.
        let may_be_written = match &answer {
            Ok(_) => true,
            Err(failure) => failure.class == Class::Transient && !is_repeatable,
        };
        if may_be_written {
            progress.written = Some((self.clock.now(), 0));
        }
        let receipt = answer?;
        progress.applied += 1;
        progress.last = Some(not_verified(progress.applied));
        progress.requests.extend(receipt.request_id);
        Ok(Next::LookAgain(Duration::ZERO))
    }

    /// Reads the scope, for the cases that are open.
    async fn observe(&self, scope: &R::Scope, cases: &[Case<R>]) -> Result<R::State, Failure> {
        let targets: Vec<_> = cases
            .iter()
            .filter(|case| case.is_open() && case.refused.is_none())
            .map(|case| &case.target)
            .collect();
        self.remediation.observe(scope, &targets).await
    }

    /// Decides on the open cases as they are. Those about one target make one request.
    fn plan(
        &self,
        scope: &R::Scope,
        cases: &[Case<R>],
        standing: &[Standing<R::Change>],
        state: &R::State,
        now: Timestamp,
    ) -> Plan<R::Change, R::Write> {
        let groups = by_target(cases);
        let evidence: Vec<Vec<&Evidence>> = groups
            .iter()
            .map(|(_, members)| {
                let mut evidence: Vec<_> = members.iter().map(|(_, case)| &case.evidence).collect();
                evidence.sort_by_key(|evidence| evidence.observed_at);
                evidence
            })
            .collect();
        let requests: Vec<_> = groups
            .iter()
            .zip(&evidence)
            .filter_map(|((_, members), evidence)| {
                let (_, first) = members.first()?;
                let ask = if first.kind == Kind::Undo {
                    Ask::Undo
                } else {
                    Ask::Remediate(evidence)
                };
                Some(Request {
                    target: &first.target,
                    ask,
                })
            })
            .collect();
        let mut plan = self.remediation.decide(&View {
            now,
            scope,
            requests: &requests,
            state,
            standing,
        });
        // Whatever the decision was: a change that cannot be shown to be safe goes to a person, and so does the write that
        // would have made it. The next look plans without it.
        for decision in &mut plan.decisions {
            if let Decision::Act(Step::Make(change), _) = decision
                && let Some(reason) = self.remediation.oversteps(change)
            {
                tracing::error!(scope = %scope, why = %reason, "a planned change oversteps");
                *decision = Decision::Escalate(reason);
                plan.write = None;
            }
        }
        plan
    }

    /// What the decisions mean for the ledger. `gated`: some of them were not allowed to go on.
    fn sort(
        &self,
        scope: &R::Scope,
        cases: &[Case<R>],
        plan: &Plan<R::Change, R::Write>,
        held: &BTreeMap<&str, &Standing<R::Change>>,
        progress: &Progress,
        now: Timestamp,
    ) -> Result<Sorted<R::Change>, Failure> {
        let name = scope.to_string();
        let mut pending = Vec::new();
        let mut following = Vec::new();
        let mut gated = false;
        let groups = by_target(cases);
        for ((target, members), decision) in groups.iter().zip(&plan.decisions) {
            let row = held.get(target.as_str()).copied();
            let mut is_first = true;
            for (index, case) in members {
                let index = Some(*index);
                let settle = |outcome: Outcome, standing| -> Result<Pending<R::Change>, Failure> {
                    let mut record = case.record(self.key(&name), Status::Settled(outcome.clone()), now)?;
                    if matches!(outcome, Outcome::Remediated(_) | Outcome::Undone(_)) {
                        record.requests.extend(progress.requests.iter().cloned());
                    }
                    Ok(Pending {
                        case: index,
                        outcome: Some(outcome),
                        entry: Entry {
                            record: Some(record),
                            standing,
                        },
                    })
                };
                let only_say = |outcome| Pending {
                    case: index,
                    outcome: Some(outcome),
                    entry: Entry {
                        record: None,
                        standing: None,
                    },
                };
                match (decision, case.kind) {
                    (Decision::InPlace(reason), Kind::Undo) => {
                        // Two records of one target have one row, which a transaction takes once.
                        let standing = row.filter(|_| is_first).map(|row| self.after_undo(row, now));
                        pending.push(settle(Outcome::Undone(reason.clone()), standing)?);
                    }
                    (Decision::InPlace(reason), Kind::Remediate { .. }) if case.is_intended() => {
                        pending.push(settle(Outcome::Remediated(reason.clone()), None)?);
                    }
                    (Decision::InPlace(reason), Kind::Remediate { .. }) => {
                        pending.push(settle(Outcome::AlreadyInPlace(reason.clone()), None)?);
                    }
                    (Decision::Decline(reason), Kind::Undo) => {
                        pending.push(only_say(Outcome::Declined(reason.clone())))
                    }
                    (Decision::Escalate(reason), Kind::Undo) => {
                        pending.push(only_say(Outcome::Escalated(reason.clone())))
                    }
                    (Decision::Decline(reason), Kind::Remediate { .. }) => {
                        pending.push(settle(Outcome::Declined(reason.clone()), None)?);
                    }
                    (Decision::Escalate(reason), Kind::Remediate { .. }) => {
                        pending.push(settle(Outcome::Escalated(reason.clone()), None)?);
                    }
                    (Decision::Act(step, reason), kind) => match self.gate(case, step, reason) {
                        Some(outcome) => {
                            gated = true;
                            if self.policy.stop && case.is_intended() {
                                // It may be half made: it comes again until it can be finished.
                                pending.push(only_say(Outcome::Failed(stopped::<R>())));
                            } else if kind == Kind::Undo || is_under_way(case, row) {
                                pending.push(only_say(outcome));
                            } else {
                                let (Step::Make(change) | Step::Revert(change)) = step;
                                let image = self.remediation.image(scope, change);
                                let record = case.record_with(
                                    self.key(&name),
                                    Status::Settled(outcome.clone()),
                                    change,
                                    image,
                                    now,
                                )?;
                                let entry = Entry {
                                    record: Some(record),
                                    standing: None,
                                };
                                pending.push(Pending {
                                    case: index,
                                    outcome: Some(outcome),
                                    entry,
                                });
                            }
                        }
                        None => {
                            if let Some(entry) = self.intent(scope, case, step, reason, row, is_first, now)? {
                                let of = if is_first { &mut pending } else { &mut following };
                                of.push(Pending {
                                    case: index,
                                    outcome: None,
                                    entry,
                                });
                            }
                        }
                    },
                }
                is_first = false;
            }
        }
        Ok(Sorted {
            pending,
            following,
            gated,
        })
    }

    /// Why a step may not be taken now.
    fn gate(&self, case: &Case<R>, step: &Step<R::Change>, reason: &Reason) -> Option<Outcome> {
        let own = self.policy.mode_of(&case.evidence.kind);
        let mode = match case.kind {
            // What was done by either of the two modes can be taken back.
            Kind::Undo => own.max(self.policy.mode),
            Kind::Remediate { .. } => own,
        };
        let waits = |code: &str, why: &str| {
            let text = format!("{}; {why}", reason.text);
            Some(Outcome::AwaitingApproval(Reason::new(code, text)))
        };
        match (mode, case.kind) {
            (Mode::DryRun | Mode::Off, _) => Some(Outcome::WouldRemediate(reason.clone())),
            _ if self.policy.stop => waits("stopped", "everything is stopped by the settings"),
            (_, Kind::Undo) => None,
            (_, Kind::Remediate { approved: true }) => {
                let is_stale = self.is_stale(case, step);
                is_stale
                    .then(|| {
                        waits(
                            "stale-plan",
                            "this is another plan than the one that was shown: look, and approve again",
                        )
                    })
                    .flatten()
            }
            (Mode::Approve, Kind::Remediate { approved: false }) => Some(Outcome::AwaitingApproval(reason.clone())),
            (Mode::Enforce, Kind::Remediate { approved: false }) if case.over_budget => {
                let limit = self.policy.changes_per_hour;
                waits(Reason::BUDGET, &format!("this hour's budget of {limit} is spent"))
            }
            (Mode::Enforce, Kind::Remediate { approved: false }) => None,
        }
    }

    /// Whether somebody approved another plan than this. One that is being carried out is looked at no more.
    fn is_stale(&self, case: &Case<R>, step: &Step<R::Change>) -> bool {
        let Step::Make(change) = step else { return false };
        let shown = case.record.as_ref().filter(|_| !case.is_intended());
        let shown = shown.and_then(|record| record.change.clone());
        shown.is_some_and(|shown| {
            let shown: Option<R::Change> = serde_json::from_value(shown).ok();
            !shown.is_some_and(|shown| self.remediation.is_same_plan(&shown, change))
        })
    }

    /// The record of what is about to be done; `None` when it is recorded already.
    #[expect(
        clippy::too_many_arguments,
        reason = "one call site; a struct would only rename them"
    )]
    fn intent(
        &self,
        scope: &R::Scope,
        case: &Case<R>,
        step: &Step<R::Change>,
        reason: &Reason,
        row: Option<&Standing<R::Change>>,
        carries_standing: bool,
        now: Timestamp,
    ) -> Result<Option<Entry<R::Change>>, Failure> {
        let (change, status, phase) = match step {
            Step::Make(change) => (change, Status::Intended, Phase::Active),
            Step::Revert(change) => (change, Status::Reverting, Phase::Releasing(reason.clone())),
        };
        let same_phase = |held: &Phase| {
            matches!(
                (held, &phase),
                (Phase::Active, Phase::Active) | (Phase::Releasing(_), Phase::Releasing(_))
            )
        };
        let is_held = row.is_some_and(|row| same_phase(&row.phase) && row.change == *change);
        let is_recorded = case.record.as_ref().is_some_and(|record| {
            record.status == status && (status == Status::Reverting || to_json(change).ok() == record.change)
        });
        let record = if is_recorded {
            None
        } else if status == Status::Reverting {
            Some(case.record(self.key(&scope.to_string()), status, now)?)
        } else {
            Some(case.record_with(
                self.key(&scope.to_string()),
                status,
                change,
                self.remediation.image(scope, change),
                now,
            )?)
        };
        let spends = matches!(step, Step::Make(_))
            && !is_under_way(case, row)
            && case.kind == Kind::Remediate { approved: false };
        let standing = (carries_standing && !is_held).then(|| {
            let put = if spends {
                StandingWrite::Spend
            } else {
                StandingWrite::Put
            };
            put(Standing {
                target: case.key.clone(),
                revision: row.map_or(Revision::ABSENT, |row| row.revision),
                phase,
                record: case.id.clone(),
                change: change.clone(),
            })
        });
        Ok((record.is_some() || standing.is_some()).then_some(Entry { record, standing }))
    }

    fn after_undo(&self, row: &Standing<R::Change>, now: Timestamp) -> StandingWrite<R::Change> {
        match self.remediation.hold_after_undo(&row.change, now) {
            Some(until) => StandingWrite::Put(Standing {
                phase: Phase::Held(until),
                ..row.clone()
            }),
            None => StandingWrite::Remove {
                target: row.target.clone(),
                revision: row.revision,
            },
        }
    }

    /// What the ledger must say before, or after, the scope is brought up to date.
    async fn upkeep(
        &self,
        upkeep: &[Upkeep<R::Change>],
        held: &BTreeMap<&str, &Standing<R::Change>>,
        progress: &mut Progress,
        now: Timestamp,
    ) -> Result<Vec<Pending<R::Change>>, Failure> {
        let ended: Vec<_> = upkeep
            .iter()
            .filter(|due| due.in_place && matches!(due.step, Step::Revert(_)))
            .filter_map(|due| held.get(due.target.as_str()).map(|row| row.record.clone()))
            .collect();
        let records = if ended.is_empty() {
            Vec::new()
        } else {
            self.ledger.find(&ended).await?
        };
        let records: BTreeMap<_, _> = records.into_iter().map(|record| (record.id.clone(), record)).collect();

        let mut pending = Vec::new();
        for due in upkeep {
            let row = held.get(due.target.as_str()).copied();
            let entry = match (&due.step, row) {
                (Step::Make(change), Some(row)) if row.phase == Phase::Active && row.change == *change => {
                    progress.restored.insert(row.record.clone());
                    continue;
                }
                (Step::Make(change), row) => Entry {
                    record: None,
                    standing: Some(StandingWrite::Put(Standing {
                        target: due.target.clone(),
                        revision: row.map_or(Revision::ABSENT, |row| row.revision),
                        phase: Phase::Active,
                        record: row.map_or_else(|| self.unasked(&due.target), |row| row.record.clone()),
                        change: change.clone(),
                    })),
                },
                (Step::Revert(_), None) => continue,
                (Step::Revert(_), Some(row)) if due.in_place => {
                    self.ended(row, records.get(&row.record), &due.reason, now)
                }
                (Step::Revert(_), Some(row)) if matches!(row.phase, Phase::Releasing(_)) => continue,
                (Step::Revert(change), Some(row)) => Entry {
                    record: None,
                    standing: Some(StandingWrite::Put(Standing {
                        phase: Phase::Releasing(due.reason.clone()),
                        change: change.clone(),
                        ..row.clone()
                    })),
                },
            };
            pending.push(Pending {
                case: None,
                outcome: None,
                entry,
            });
        }
        Ok(pending)
    }

    /// The standing change is gone. If an operator's undo had been interrupted, this is its end.
    fn ended(
        &self,
        row: &Standing<R::Change>,
        record: Option<&Record>,
        reason: &Reason,
        now: Timestamp,
    ) -> Entry<R::Change> {
        match record {
            Some(record) if record.status == Status::Reverting => Entry {
                record: Some(Record {
                    status: Status::Settled(Outcome::Undone(reason.clone())),
                    updated_at: now,
                    ..record.clone()
                }),
                standing: Some(self.after_undo(row, now)),
            },
            record => Entry {
                record: record.map(|record| Record {
                    released: Some(reason.clone()),
                    updated_at: now,
                    ..record.clone()
                }),
                standing: Some(StandingWrite::Remove {
                    target: row.target.clone(),
                    revision: row.revision,
                }),
            },
        }
    }

    /// The record id of a standing change that no finding asked for.
    fn unasked(&self, target: &str) -> RecordId {
        RecordId::derive(
            self.key("upkeep"),
            target,
            &FindingId::new(""),
            &FindingVersion::new(""),
        )
    }

    async fn write(&self, key: ScopeKey<'_>, entries: &[Entry<R::Change>]) -> Result<Vec<Written>, Failure> {
        let budget = self.policy.budget(R::NAME, self.actor.account(), self.clock.now());
        self.ledger.write(key, entries, &budget).await
    }

    /// The entry with who writes it; and whether people are to be told, which is decided together with what they are told
    /// of, so that it is done once at most.
    fn stamped(&self, mut entry: Entry<R::Change>) -> (Entry<R::Change>, bool) {
        let Some(record) = &mut entry.record else {
            return (entry, false);
        };
        record.actor = self.actor.to_string();
        let notice = !record.noticed && matches!(&record.status, Status::Settled(outcome) if outcome.is_notable());
        record.noticed |= notice;
        // It stays until they are told, whatever fails in between.
        record.untold |= notice;
        if let Status::Settled(outcome) = &record.status {
            record.unanswered = record.evidence.channel != Channel::Direct
                && !matches!(outcome, Outcome::Declined(_) | Outcome::WouldRemediate(_));
        }
        (entry, notice)
    }

    /// Writes to the ledger and carries the result over to the cases. False: somebody wrote meanwhile; what they wrote
    /// has been read, and the plan must be made again.
    async fn store(
        &self,
        key: ScopeKey<'_>,
        cases: &mut [Case<R>],
        pending: Vec<Pending<R::Change>>,
    ) -> Result<bool, Failure> {
        if pending.is_empty() {
            return Ok(true);
        }
        let (entries, targets): (Vec<_>, Vec<_>) = pending
            .into_iter()
            .map(|pending| (pending.entry, (pending.case, pending.outcome)))
            .unzip();
        let (entries, notices): (Vec<_>, Vec<_>) = entries.into_iter().map(|entry| self.stamped(entry)).unzip();
        let written = self.write(key, &entries).await;
        if written.is_err() {
            // What was stored all the same, or before the rest failed, is read as what an earlier delivery has written and maybe not told of.
            for case in cases.iter_mut() {
                case.again.insert(case.teller.clone());
            }
        }
        let written = written?;
        let mut behind = Vec::new();
        let mut over_budget = BTreeSet::new();
        let mut is_current = true;
        let answered = entries.into_iter().zip(notices).zip(targets).zip(written);
        for (((entry, notice), (index, outcome)), written) in answered {
            let case = index.and_then(|index| cases.get_mut(index));
            if written != Written::Stored {
                is_current = false;
                match written {
                    Written::OverBudget => over_budget.extend(case.map(|case| case.key.clone())),
                    _ => behind.extend(case.map(|case| case.id.clone())),
                }
                continue;
            }
            let Some(case) = case else { continue };
            case.notice |= notice;
            if let Some(record) = entry.record {
                case.record = Some(Record {
                    revision: record.revision.next(),
                    ..record
                });
            }
            case.outcome = outcome;
        }
        for case in cases.iter_mut().filter(|case| over_budget.contains(&case.key)) {
            case.over_budget = true;
        }
        if !behind.is_empty() {
            let mut known: BTreeMap<_, _> = self
                .ledger
                .find(&behind)
                .await?
                .into_iter()
                .map(|record| (record.id.clone(), record))
                .collect();
            for case in cases.iter_mut() {
                if let Some(record) = known.remove(&case.id) {
                    case.recall(record);
                }
            }
        }
        Ok(is_current)
    }

    /// Ends what is open as failed. The record says so if the ledger can still be written in time; the message comes again
    /// either way.
    async fn fail(&self, scope: &R::Scope, cases: &mut [Case<R>], failure: &Failure, deadline: Deadline) {
        let name = scope.to_string();
        let now = self.clock.now();
        let outcome = Outcome::Failed(failure.clone());
        let entries: Vec<Entry<R::Change>> = cases
            .iter()
            .filter(|case| case.is_open() && case.kind != Kind::Undo && !case.is_shown())
            .filter_map(|case| case.record(self.key(&name), Status::Settled(outcome.clone()), now).ok())
            .map(|record| Entry {
                record: Some(record),
                standing: None,
            })
            .collect();
        for case in cases.iter_mut().filter(|case| case.is_open()) {
            case.repeated |= case.is_shown();
            case.outcome = Some(outcome.clone());
        }
        let key = self.key(&name);
        let (entries, _): (Vec<_>, Vec<_>) = entries.into_iter().map(|entry| self.stamped(entry)).unzip();
        if !entries.is_empty()
            && let Err(failure) = within(
                deadline.remaining_to_record(self.clock.now()),
                self.write(key, &entries),
            )
            .await
        {
            tracing::error!(scope = %scope, failure = %failure, "failure not recorded");
            for case in cases {
                case.repeated = true;
            }
        }
    }

    /// Notes of records who was told, and who was not.
    pub(super) async fn note_told(&self, scope: &str, records: Vec<Record>) -> Result<(), Failure> {
        let entry = |record| Entry {
            record: Some(record),
            standing: None,
        };
        let entries: Vec<Entry<R::Change>> = records.into_iter().map(entry).collect();
        self.write(self.key(scope), &entries).await.map(drop)
    }

    /// A block whose own invocation failed, and that the schedule has put in place since, is in place. The message of that
    /// invocation comes again, and tells.
    async fn note_restored(&self, scope: &R::Scope, restored: &BTreeSet<RecordId>) -> Result<(), Failure> {
        let ids: Vec<_> = restored.iter().cloned().collect();
        if ids.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let open = |record: &Record| matches!(record.status, Status::Intended | Status::Settled(Outcome::Failed(_)));
        let entries: Vec<Entry<R::Change>> = self
            .ledger
            .find(&ids)
            .await?
            .into_iter()
            .filter(open)
            .map(|record| {
                let reason = Reason::new("reconciled", "put in place by the schedule");
                let status = Status::Settled(Outcome::Remediated(reason));
                let entry = Entry {
                    record: Some(Record {
                        status,
                        updated_at: now,
                        ..record
                    }),
                    standing: None,
                };
                self.stamped(entry).0
            })
            .collect();
        if !entries.is_empty() {
            let name = scope.to_string();
            let key = self.key(&name);
            self.write(key, &entries).await?;
        }
        Ok(())
    }

    /// Decides on the cases without recording or writing anything.
    pub(super) async fn preview(&self, scope: &R::Scope, cases: &mut [Case<R>]) -> Result<(), Failure> {
        let name = scope.to_string();
        for case in cases.iter_mut().filter(|case| case.is_open()) {
            case.outcome = case.refused.take().map(Outcome::Declined);
        }
        let key = self.key(&name);
        let standing = self.ledger.standing::<R::Change>(key).await?;
        let state = self.observe(scope, cases).await?;
        let plan = self.plan(scope, cases, &standing, &state, self.clock.now());
        let answers: BTreeMap<_, _> = by_target(cases)
            .into_iter()
            .zip(plan.decisions)
            .map(|((target, _), decision)| {
                let outcome = match decision {
                    Decision::Act(_, reason) => Outcome::WouldRemediate(reason),
                    Decision::InPlace(reason) => Outcome::AlreadyInPlace(reason),
                    Decision::Decline(reason) => Outcome::Declined(reason),
                    Decision::Escalate(reason) => Outcome::Escalated(reason),
                };
                (target, outcome)
            })
            .collect();
        for case in cases.iter_mut().filter(|case| case.is_open()) {
            case.outcome = answers.get(&case.key).cloned();
        }
        Ok(())
    }
}

struct Sorted<C> {
    pending: Vec<Pending<C>>,
    /// The intents of those who count on a change that another case of its target announces. Unless that one may, and is
    /// paid for, they are not to be written.
    following: Vec<Pending<C>>,
    gated: bool,
}

/// Whether the change has been announced and is held on to: it is paid for, and may be in place by our doing.
fn is_under_way<R: Remediation>(case: &Case<R>, row: Option<&Standing<R::Change>>) -> bool {
    case.is_intended() && row.is_some_and(|row| row.phase == Phase::Active)
}

/// Records what the guardrails refuse. A record of something that was done is never overwritten with a refusal.
fn refusals<R: Remediation>(
    cases: &[Case<R>],
    scope: ScopeKey<'_>,
    now: Timestamp,
) -> Result<Vec<Pending<R::Change>>, Failure> {
    let mut pending = Vec::new();
    for (index, case) in cases.iter().enumerate().filter(|(_, case)| case.is_open()) {
        let Some(reason) = &case.refused else { continue };
        let outcome = Outcome::Declined(reason.clone());
        let record = if case.is_intended() {
            None
        } else {
            Some(case.record(scope, Status::Settled(outcome.clone()), now)?)
        };
        pending.push(Pending {
            case: Some(index),
            outcome: Some(outcome),
            entry: Entry { record, standing: None },
        });
    }
    Ok(pending)
}

/// Cases about one target, each with its index.
type Members<'a, R> = Vec<(usize, &'a Case<R>)>;

/// The open cases by target, in the order of the targets, each with its index. Where a change is to be undone, the findings
/// about its target wait: they are decided on what the undo leaves.
fn by_target<R: Remediation>(cases: &[Case<R>]) -> Vec<(String, Members<'_, R>)> {
    let mut groups: BTreeMap<&str, Members<'_, R>> = BTreeMap::new();
    for (index, case) in cases
        .iter()
        .enumerate()
        .filter(|(_, case)| case.is_open() && case.refused.is_none())
    {
        groups.entry(&case.key).or_default().push((index, case));
    }
    groups
        .into_iter()
        .map(|(target, mut members)| {
            if members.iter().any(|(_, case)| case.kind == Kind::Undo) {
                members.retain(|(_, case)| case.kind == Kind::Undo);
            }
            (target.to_owned(), members)
        })
        .collect()
}

/// Of what was announced before the kill switch was set.
fn stopped<R: Remediation>() -> Failure {
    let text = "the settings have come to forbid it since it began";
    Failure::new(Class::Permanent, R::NAME, "Stopped", text)
}

fn not_verified(applied: u32) -> Failure {
    let message = format!("written {applied} times and not read back");
    Failure::new(Class::Permanent, "engine", "NotVerified", message)
}

/// What a call answers, if it does so within this time. Nothing that has no time left is begun.
pub(super) async fn within<T>(left: Duration, call: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    if left.is_zero() {
        return Err(out_of_time());
    }
    let answer = tokio::time::timeout(left, call).await;
    answer.unwrap_or_else(|_| Err(out_of_time()))
}

pub(super) fn out_of_time() -> Failure {
    Failure::new(
        Class::Transient,
        "engine",
        "OutOfTime",
        "the invocation's deadline came before the work was done",
    )
}
