//! The engine with a remediation that puts out lamps: what it does in which order, what it writes down and whom it tells.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chrono::TimeDelta;
use futures_util::{
    FutureExt,
    future::{self, BoxFuture},
};
use remediation::{
    Approved, Ask, Claim, Pace, Receipt, Remediation, Resolution, View,
    clock::{Clock, Deadline, Timestamp},
    engine::{BatchSummary, Engine, Policy, SECONDS_TO_FIX, Summary, Switch},
    failure::{Class, Failure},
    finding::{Channel, Detail, Finding, FindingError},
    ids::{FindingId, RecordId},
    intake::{self, Invocation},
    ledger::{Budget, Entry, Image, Ledger, MemoryLedger, Phase, Record, ScopeKey, Standing, Status, Turn, Written},
    outcome::{Outcome, Reason},
    plan::{Decision, Plan, Step, Upkeep},
    report::{Gauges, Report, Reporter, Untold},
    settings::{Document, Section},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use testkit::{Fault, Faults, FaultyLedger, Recorder, TokioClock, events};

const ACCOUNT: &str = "111122223333";
const HOLD: TimeDelta = TimeDelta::hours(24);

/// The lamps, and what goes wrong with them.
#[derive(Debug, Default)]
struct House {
    lamps: Mutex<Lamps>,
    names: Faults,
    looks: Faults,
    writes: Faults,
}

#[derive(Debug, Default)]
struct Lamps {
    seen: Seen,
    /// What is written is not seen.
    jammed: bool,
    /// Nobody lives there any more.
    closed: bool,
    /// So many writes meet somebody else's.
    contested: u32,
    /// What colour they have once a write has failed.
    fading: Option<String>,
    written: Vec<BTreeMap<String, bool>>,
    looked_for: Vec<Vec<String>>,
    renamed: BTreeMap<String, Vec<String>>,
    pace: Option<Pace>,
}

#[derive(Debug, Clone, Default)]
struct Seen {
    lit: BTreeSet<String>,
    colour: String,
    /// The brief ones are over.
    is_dawn: bool,
}

#[derive(Debug, Clone, Default)]
struct Darken(Arc<House>);

impl Darken {
    fn lamps<T>(&self, with: impl FnOnce(&mut Lamps) -> T) -> T {
        with(&mut self.0.lamps.lock().unwrap())
    }

    /// The name of the request.
    fn switch(&self, write: &BTreeMap<String, bool>) -> String {
        self.lamps(|lamps| {
            lamps.written.push(write.clone());
            for (lamp, is_lit) in write.iter().filter(|_| !lamps.jammed) {
                if *is_lit {
                    lamps.seen.lit.insert(lamp.clone());
                } else {
                    lamps.seen.lit.remove(lamp);
                }
            }
            format!("r{}", lamps.written.len())
        })
    }
}

async fn fails(faults: &Faults, operation: &str) -> (Fault, Option<Failure>) {
    tokio::task::yield_now().await;
    let fault = faults.next();
    (fault, fault.failure(operation))
}

impl Remediation for Darken {
    const NAME: &'static str = "darken";
    const SETTLES_WITHIN: Duration = Duration::from_secs(5);

    type Target = String;
    type Scope = String;
    type State = Seen;
    /// The colour that it had.
    type Change = String;
    type Write = BTreeMap<String, bool>;

    /// Somebody may count how often a switch was used.
    fn is_repeatable(&self, _: &BTreeMap<String, bool>) -> bool {
        false
    }

    fn claim(&self, finding: &Finding) -> Claim<String> {
        let Detail::Compliance(compliance) = &finding.detail else {
            return Claim::declined("other", "no lamp");
        };
        let lamps: Vec<_> = compliance.resources.iter().map(|lamp| lamp.id.clone()).collect();
        if lamps.iter().any(|lamp| lamp == "torn") {
            return Claim::Unreadable(FindingError::Missing("its lamp".to_owned()));
        }
        match compliance.is_no_violation("lamps") {
            Some(reason) => Claim::Declined(reason),
            None => Claim::Targets(lamps),
        }
    }

    fn answers(&self, finding: &Finding) -> bool {
        finding.evidence.kind != "S3.5"
    }

    async fn resolve(&self, lamp: String) -> Result<Resolution<String>, Failure> {
        if let (_, Some(failure)) = fails(&self.0.names, "house:Name").await {
            return Err(failure);
        }
        if lamp.starts_with("gone") {
            return Ok(Resolution::Declined(Reason::new("gone", "there is no such lamp")));
        }
        let names = self.lamps(|lamps| lamps.renamed.get(&lamp).cloned());
        Ok(Resolution::Targets(names.unwrap_or_else(|| vec![lamp])))
    }

    fn guard(&self, lamp: &String) -> Option<Reason> {
        lamp.starts_with("guarded")
            .then(|| Reason::new("protected", "an emergency lamp"))
    }

    fn resources(&self, lamp: &String) -> Vec<String> {
        vec![format!("lamp/{lamp}")]
    }

    fn scopes(&self, lamp: &String) -> Vec<String> {
        if self.lamps(|lamps| lamps.closed) {
            return Vec::new();
        }
        let rooms = ["attic", "cell"];
        let own = rooms.into_iter().find(|room| lamp.starts_with(room));
        match own {
            Some("cell") => vec![lamp.clone()],
            own => vec![own.unwrap_or("hall").to_owned()],
        }
    }

    fn all_scopes(&self) -> Vec<String> {
        vec!["hall".to_owned()]
    }

    fn pace(&self, _: &String, _: &BTreeMap<String, bool>) -> Option<Pace> {
        self.lamps(|lamps| lamps.pace.clone())
    }

    async fn observe(&self, _: &String, lamps: &[&String]) -> Result<Seen, Failure> {
        let names = lamps.iter().map(|lamp| (*lamp).clone()).collect();
        self.lamps(|lamps| lamps.looked_for.push(names));
        match fails(&self.0.looks, "house:Look").await {
            (Fault::Late, _) => {
                tokio::time::sleep(Duration::from_secs(3)).await;
                Ok(self.lamps(|lamps| lamps.seen.clone()))
            }
            (_, Some(failure)) => Err(failure),
            (_, None) => Ok(self.lamps(|lamps| lamps.seen.clone())),
        }
    }

    fn decide(&self, view: &View<'_, Self>) -> Plan<String, BTreeMap<String, bool>> {
        let mut write = BTreeMap::new();
        let mut decisions = Vec::new();
        for request in view.requests {
            let lamp = request.target;
            let row = view.standing.iter().find(|row| row.target == *lamp);
            let is_lit = view.state.lit.contains(lamp);
            let is_releasing = row.is_some_and(|row| matches!(row.phase, Phase::Releasing(_)));
            let is_held = row.is_some_and(|row| row.phase.held_until(view.now, HOLD).is_some());
            decisions.push(match (request.ask, row) {
                (Ask::Undo, Some(_)) if lamp.starts_with("broken") => Decision::escalate("broken", "it does not light"),
                (Ask::Undo, Some(_)) if lamp.starts_with("taken") => Decision::decline("taken", "somebody has it"),
                (Ask::Undo, Some(_)) if is_lit && is_releasing => Decision::in_place("lit", "it is lit again"),
                (Ask::Undo, Some(row)) if is_releasing || !is_held => {
                    write.insert(lamp.clone(), true);
                    Decision::Act(Step::Revert(row.change.clone()), Reason::new("light", "it comes back"))
                }
                (Ask::Undo, _) => Decision::InPlace(Reason::undone_before()),
                (Ask::Remediate(_), _) if is_held => Decision::decline(Reason::UNDONE, "somebody wants it"),
                (Ask::Remediate(_), _) if lamp.starts_with("odd") => Decision::escalate("odd", "look at it"),
                (Ask::Remediate(_), _) if lamp.starts_with("left") => Decision::decline("left", "by rule"),
                (Ask::Remediate(_), _) if !is_lit => Decision::in_place("out", "it is out"),
                (Ask::Remediate(_), row) if lamp.starts_with("restless") => {
                    let change = format!("{}.", row.map_or("", |row| &row.change));
                    Decision::Act(Step::Make(change), Reason::new("restless", "it never comes to rest"))
                }
                (Ask::Remediate(evidence), _) => {
                    if !lamp.starts_with("idle") {
                        write.insert(lamp.clone(), false);
                    }
                    assert!(evidence.is_sorted_by_key(|evidence| evidence.observed_at));
                    let reason = Reason::new("put-out", format!("{} ask for it", evidence.len()));
                    Decision::Act(Step::Make(view.state.colour.clone()), reason)
                }
            });
        }
        let mut upkeep = Vec::new();
        for row in view.standing {
            let lamp = &row.target;
            if view.requests.iter().any(|request| request.target == lamp) {
                continue;
            }
            let is_lit = view.state.lit.contains(lamp);
            let is_over = view.state.is_dawn && lamp.starts_with("brief");
            let step = match row.phase {
                Phase::Held(_) => continue,
                Phase::Active if !is_over && is_lit => Step::Make(view.state.colour.clone()),
                Phase::Active if !is_over => continue,
                Phase::Active | Phase::Releasing(_) => Step::Revert(row.change.clone()),
            };
            let in_place = is_lit == matches!(step, Step::Revert(_));
            if !in_place {
                write.insert(lamp.clone(), !is_lit);
            }
            upkeep.push(Upkeep {
                target: lamp.clone(),
                step,
                reason: Reason::new("dawn", "its time is over"),
                in_place,
            });
        }
        #[expect(clippy::cast_precision_loss, reason = "a few lamps")]
        let lit = view.state.lit.len() as f64;
        Plan {
            decisions,
            upkeep,
            write: (!write.is_empty()).then_some(write),
            gauges: vec![("Lit", lit)],
        }
    }

    fn oversteps(&self, change: &String) -> Option<Reason> {
        (change == "ultraviolet").then(|| Reason::new("unproven", "nobody can see that"))
    }

    async fn apply(&self, _: &String, write: &Approved<BTreeMap<String, bool>>) -> Result<Receipt, Failure> {
        let (fault, failure) = fails(&self.0.writes, "house:Switch").await;
        if let (Some(failure), false) = (&failure, matches!(fault, Fault::After | Fault::Late)) {
            self.lamps(|lamps| {
                if let Some(colour) = lamps.fading.take() {
                    lamps.seen.colour = colour;
                }
            });
            return Err(failure.clone());
        }
        let is_contested = self.lamps(|lamps| {
            let is_contested = lamps.contested > 0;
            lamps.contested = lamps.contested.saturating_sub(1);
            is_contested
        });
        if is_contested {
            return Err(Failure::new(
                Class::Conflict,
                "house:Switch",
                "Contested",
                "somebody was first",
            ));
        }
        if fault == Fault::Late {
            let (house, write) = (self.clone(), write.write().clone());
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(3)).await;
                house.switch(&write);
            });
            return failure.map_or_else(|| Ok(Receipt::default()), Err);
        }
        let request = self.switch(write.write());
        failure.map_or_else(
            || {
                Ok(Receipt {
                    request_id: Some(request),
                })
            },
            Err,
        )
    }

    fn image(&self, room: &String, colour: &String) -> Image {
        Image {
            before: json!(colour),
            after: json!("out"),
            inverse: json!(room),
        }
    }

    fn hold_after_undo(&self, colour: &String, now: Timestamp) -> Option<Timestamp> {
        (colour != "white").then(|| now + HOLD)
    }
}

/// Remembers the measures as well.
#[derive(Debug, Clone, Default)]
struct Told(Recorder, Arc<Mutex<Vec<(&'static str, f64)>>>, Arc<Mutex<Deaf>>);

/// Who alone cannot be told.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
enum Deaf {
    #[default]
    Nobody,
    People,
    Sources,
}

impl Reporter for Told {
    async fn report(&self, name: &'static str, reports: &[Report], gauges: &Gauges, within: Duration) -> Untold {
        self.1.lock().unwrap().extend(&gauges.0);
        let mut untold = self.0.report(name, reports, gauges, within).await;
        let all = || reports.iter().map(|report| report.record.clone());
        let deaf = *self.2.lock().unwrap();
        match deaf {
            Deaf::Nobody => {}
            Deaf::People => untold.people.extend(all()),
            Deaf::Sources => untold.sources.extend(all()),
        }
        untold
    }
}

/// Allows so many writes.
#[derive(Debug, Clone)]
struct Allowance(Arc<AtomicUsize>);

impl Switch for Allowance {
    fn allows_writes(&self) -> BoxFuture<'_, Result<bool, Failure>> {
        let left = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        async move { Ok(left.is_ok()) }.boxed()
    }
}

/// No settings of its own.
#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Nothing {}

impl Section for Nothing {}

type Instance<L = FaultyLedger<Arc<MemoryLedger>>> = Engine<Darken, L, Told, TokioClock>;

/// A ledger whose calls take their time, and whose writes wait for each other as those to one chain do.
struct Slow {
    inner: Arc<MemoryLedger>,
    chain: Mutex<Option<Timestamp>>,
    clock: TokioClock,
    takes: fn(&str) -> Duration,
}

impl Slow {
    async fn pass(&self, call: &str) {
        tokio::time::sleep((self.takes)(call)).await;
    }
}

impl Ledger for Slow {
    async fn find(&self, ids: &[RecordId]) -> Result<Vec<Record>, Failure> {
        self.pass("find").await;
        self.inner.find(ids).await
    }

    async fn of_finding(&self, remediation: &str, finding: &FindingId) -> Result<Vec<Record>, Failure> {
        self.pass("of_finding").await;
        self.inner.of_finding(remediation, finding).await
    }

    async fn standing<C: DeserializeOwned + Send>(&self, scope: ScopeKey<'_>) -> Result<Vec<Standing<C>>, Failure> {
        self.pass("standing").await;
        self.inner.standing(scope).await
    }

    async fn write<C: Serialize + Send + Sync>(
        &self,
        scope: ScopeKey<'_>,
        entries: &[Entry<C>],
        budget: &Budget,
    ) -> Result<Vec<Written>, Failure> {
        let now = self.clock.now();
        let end = {
            let mut chain = self.chain.lock().unwrap();
            let end = chain.unwrap_or(now).max(now) + (self.takes)("write");
            *chain = Some(end);
            end
        };
        tokio::time::sleep((end - now).to_std().unwrap()).await;
        self.inner.write(scope, entries, budget).await
    }

    async fn turn(&self, key: &str, every: Duration, now: Timestamp) -> Result<Turn, Failure> {
        self.pass("turn").await;
        self.inner.turn(key, every, now).await
    }
}

struct World {
    house: Darken,
    ledger: Arc<MemoryLedger>,
    clock: TokioClock,
    told: Told,
    allowance: Allowance,
}

impl World {
    /// With these lamps lit, all of them white.
    fn lit<const N: usize>(lamps: [&str; N]) -> Self {
        let house = Darken::default();
        house.lamps(|all| {
            all.seen.lit = lamps.into_iter().map(str::to_owned).collect();
            "white".clone_into(&mut all.seen.colour);
        });
        Self {
            house,
            ledger: Arc::default(),
            clock: TokioClock::starting_at(SEEN.parse().unwrap()),
            told: Told::default(),
            allowance: Allowance(Arc::new(AtomicUsize::new(usize::MAX))),
        }
    }

    fn engine(&self) -> Instance {
        self.engine_with(&json!({}), Faults::default())
    }

    /// With these settings beside the mode `enforce`.
    fn engine_with(&self, settings: &Value, faults: Faults) -> Instance {
        let mut document = json!({ "mode": "enforce" });
        let own = settings.as_object().cloned().unwrap_or_default();
        document.as_object_mut().unwrap().extend(own);
        let document = Document::parse(&document.to_string()).unwrap();
        Engine {
            remediation: self.house.clone(),
            ledger: FaultyLedger::new(Arc::clone(&self.ledger), faults),
            reporter: self.told.clone(),
            clock: self.clock,
            policy: Policy::read::<Nothing>(&document, "block-ip").unwrap().0,
            switch: Arc::new(self.allowance.clone()),
            actor: testkit::role(ACCOUNT),
        }
    }

    /// With these settings, and a ledger whose calls take so long.
    fn slow_engine(&self, settings: &Value, takes: fn(&str) -> Duration) -> Instance<Slow> {
        let Engine {
            remediation,
            reporter,
            clock,
            policy,
            switch,
            actor,
            ..
        } = self.engine_with(settings, Faults::default());
        let ledger = Slow {
            inner: Arc::clone(&self.ledger),
            chain: Mutex::default(),
            clock,
            takes,
        };
        Engine {
            remediation,
            ledger,
            reporter,
            clock,
            policy,
            switch,
            actor,
        }
    }

    fn deadline(&self) -> Deadline {
        Deadline::after(Duration::from_secs(60), self.clock.now())
    }

    /// What comes of one event.
    async fn deliver(&self, engine: &Instance, event: &Value) -> Vec<String> {
        told(&testkit::deliver(engine, self.deadline(), event).await)
    }

    /// Messages of a queue, each with the number of the delivery.
    async fn batch<L: Ledger>(&self, engine: &Instance<L>, messages: &[(&str, u32, &Value)]) -> BatchSummary {
        let records = messages.iter().map(|(id, times, event)| {
            json!({ "messageId": id, "body": event.to_string(), "attributes": { "ApproximateReceiveCount": times.to_string() } })
        });
        let records: Vec<_> = records.collect();
        match intake::read(&json!({ "Records": records }).to_string()) {
            Ok(Invocation::Batch(messages)) => engine.batch(messages, self.deadline()).await,
            other => panic!("{other:?}"),
        }
    }

    /// What would come of one event.
    async fn explain<L: Ledger>(&self, engine: &Instance<L>, event: &Value) -> Result<Vec<String>, String> {
        let Ok(Invocation::Event(intake)) = intake::read(&event.to_string()) else {
            panic!("{event}")
        };
        let summary = engine.explain(intake, self.deadline()).await;
        summary.map(|summary| told(&summary)).map_err(|failure| failure.code)
    }

    async fn undo<L: Ledger>(&self, engine: &Instance<L>, lamp: &str) -> Result<Vec<String>, String> {
        let summary = engine.undo(&self.record(lamp).id, "ann", self.deadline()).await;
        summary.map(|summary| told(&summary)).map_err(|failure| failure.code)
    }

    async fn approve<L: Ledger>(&self, engine: &Instance<L>, lamp: &str) -> Result<Vec<String>, String> {
        let summary = engine.approve(&self.record(lamp).id, "ben", self.deadline()).await;
        summary.map(|summary| told(&summary)).map_err(|failure| failure.code)
    }

    /// The last record of a lamp.
    fn record(&self, lamp: &str) -> Record {
        let records = self.ledger.records().into_iter();
        let of = records.filter(|record| record.target == json!(lamp));
        of.max_by_key(|record| record.evidence.version.clone()).unwrap()
    }

    async fn standing(&self, lamp: &str) -> Option<Standing<String>> {
        let key = ScopeKey {
            account: ACCOUNT,
            remediation: Darken::NAME,
            scope: "hall",
        };
        let rows = self.ledger.standing::<String>(key).await.unwrap();
        rows.into_iter().find(|row| row.target == lamp)
    }

    fn written(&self) -> Vec<BTreeMap<String, bool>> {
        self.house.lamps(|lamps| lamps.written.clone())
    }

    fn gauge(&self, name: &str) -> Vec<f64> {
        let gauges = self.told.1.lock().unwrap();
        gauges
            .iter()
            .filter(|(known, _)| *known == name)
            .map(|(_, value)| *value)
            .collect()
    }
}

const SEEN: &str = "2026-11-20T09:12:00Z";

/// A rule of Config: there is nobody to answer to.
fn config(lamp: &str) -> Value {
    config_at(lamp, SEEN)
}

fn config_at(lamp: &str, seen: &str) -> Value {
    events::config("lamps", ("AWS::House::Lamp", lamp), seen)
}

/// A control of Security Hub.
fn control(name: &str, lamp: &str) -> Value {
    events::control(name, lamp, ("AwsHouseLamp", lamp), SEEN)
}

fn told(summary: &Summary) -> Vec<String> {
    let mut told = testkit::told(summary, |report, code| {
        format!("{} {} {code}", report.target, report.outcome.name())
    });
    told.sort();
    told
}

#[tokio::test(start_paused = true)]
async fn what_is_found_is_announced_made_read_back_and_told() {
    let world = World::lit(["a"]);
    let engine = world.engine();
    tokio::time::advance(Duration::from_secs(90)).await;
    let summary = testkit::deliver(&engine, world.deadline(), &config("a")).await;
    assert_eq!(
        (told(&summary), summary.unsettled.len()),
        (vec!["a Remediated out".to_owned()], 0)
    );
    assert_eq!(world.written(), [BTreeMap::from([("a".to_owned(), false)])]);
    let record = world.record("a");
    assert_eq!(record.requests, ["r1"]);
    assert_eq!(record.change, Some(json!("white")));
    assert_eq!(record.actor, testkit::role(ACCOUNT).to_string());
    assert_eq!((record.account.as_str(), record.scope.as_str()), (ACCOUNT, "hall"));
    assert!(record.noticed && !record.untold && !record.unanswered);
    let standing = world.standing("a").await.unwrap();
    assert_eq!((standing.phase, standing.record), (Phase::Active, record.id));
    assert_eq!(world.told.0.notices(), ["Remediated a"]);
    assert_eq!(world.gauge(SECONDS_TO_FIX), [90.0]);
    assert_eq!(world.gauge("Lit"), [1.0]);

    let writes = world.ledger.writes();
    assert_eq!(world.deliver(&engine, &config("a")).await, ["a Remediated out"]);
    assert_eq!(
        (world.ledger.writes(), world.told.0.reports().len()),
        (writes, 1),
        "it is no news"
    );
    assert_eq!(world.written().len(), 1);
    assert_eq!(world.gauge(SECONDS_TO_FIX).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_as_it_should_be_is_recorded_without_a_change() {
    let world = World::lit([]);
    let engine = world.engine();
    assert_eq!(world.deliver(&engine, &config("a")).await, ["a AlreadyInPlace out"]);
    assert_eq!(world.deliver(&engine, &config("left")).await, ["left Declined left"]);
    assert_eq!(world.deliver(&engine, &config("odd")).await, ["odd Escalated odd"]);
    assert!(world.written().is_empty());
    let records = world.ledger.records();
    assert!(
        records
            .iter()
            .all(|record| record.change.is_none() && record.requests.is_empty())
    );
    assert_eq!(records.len(), 3);
    assert_eq!(world.told.0.notices(), ["Escalated odd"]);
}

#[tokio::test(start_paused = true)]
async fn findings_about_one_lamp_are_one_request_and_the_oldest_comes_first() {
    let world = World::lit(["a", "b"]);
    let engine = world.engine();
    let (later, other) = (config_at("a", "2026-11-20T09:11:00Z"), config("b"));
    let earlier = config_at("a", "2026-11-20T09:10:00Z");
    let batch = [("1", 1, &later), ("2", 1, &earlier), ("3", 1, &other), ("4", 1, &other)];
    let done = world.batch(&engine, &batch).await;
    assert_eq!(done.redeliver, [""; 0]);
    assert_eq!(done.summary.outcomes.len(), 3, "the same matter twice is one");
    assert_eq!(world.written().len(), 1);
    assert_eq!(world.ledger.records().len(), 3);
    let records = world.ledger.records();
    assert!(
        records
            .iter()
            .all(|record| matches!(record.status, Status::Settled(Outcome::Remediated(_))))
    );
    assert!(
        records.iter().all(|record| !record.unanswered),
        "there is nobody to answer to"
    );
    let last = world.house.lamps(|lamps| lamps.looked_for.clone());
    assert_eq!(last.iter().map(Vec::len).max(), Some(3));

    // What has ended is not looked for again.
    world.house.lamps(|lamps| lamps.seen.lit.insert("c".to_owned()));
    let new = config("c");
    world.batch(&engine, &[("5", 1, &other), ("6", 1, &new)]).await;
    let since = world.house.lamps(|lamps| lamps.looked_for.split_off(last.len()));
    assert!(since.iter().flatten().all(|lamp| lamp == "c"), "{since:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_found_out_by_looking() {
    let world = World::lit(["a"]);
    world.house.0.writes.plan([Fault::After]);
    let engine = world.engine();
    assert_eq!(world.deliver(&engine, &config("a")).await, ["a Remediated out"]);
    assert_eq!(world.written().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn s7_a_write_whose_answer_is_lost_is_not_repeated_before_it_can_be_seen() {
    let world = World::lit(["a"]);
    world.house.0.writes.plan([Fault::Late]);
    assert_eq!(world.deliver(&world.engine(), &config("a")).await, ["a Remediated out"]);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.written().len(), 1);

    // What did not come to anything is made once that is certain, and after a refusal at once.
    for (fault, seconds) in [(Fault::Before, 5..8), (Fault::Throttled, 0..1)] {
        let world = World::lit(["a"]);
        world.house.0.writes.plan([fault]);
        let begun = world.clock.now();
        assert_eq!(world.deliver(&world.engine(), &config("a")).await, ["a Remediated out"]);
        let took = (world.clock.now() - begun).num_seconds();
        assert!(seconds.contains(&took), "{fault:?}: {took}");
        assert_eq!(world.written().len(), 1);
    }

    // Whoever gives up says what is known.
    let world = World::lit(["a"]);
    world.house.0.writes.plan([Fault::Before]);
    let deadline = Deadline::after(Duration::from_secs(4), world.clock.now());
    let summary = testkit::deliver(&world.engine(), deadline, &config("a")).await;
    let why = summary.outcomes[0].outcome.why();
    assert!(why.starts_with("house:Switch: InternalServerError"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_fails_comes_again_and_is_then_made() {
    let world = World::lit(["a"]);
    world.house.0.writes.plan([Fault::Denied]);
    let engine = world.engine();
    let event = config("a");
    let done = world.batch(&engine, &[("m", 1, &event)]).await;
    assert_eq!(done.redeliver, ["m"]);
    assert_eq!(told(&done.summary), ["a Failed denied"]);
    assert_eq!(done.summary.unsettled.len(), 1);
    assert!(done.summary.needs_redelivery());
    let record = world.record("a");
    assert_eq!(record.change, Some(json!("white")), "it may have been made");
    assert!(matches!(record.status, Status::Settled(Outcome::Failed(_))));
    assert_eq!(world.told.0.notices(), [""; 0]);

    let done = world.batch(&engine, &[("m", 2, &event)]).await;
    assert_eq!(
        (done.redeliver.len(), told(&done.summary)),
        (0, vec!["a Remediated out".to_owned()])
    );
    assert!(!done.summary.needs_redelivery());
}

/// What is said to Security Hub comes back as an event, which would go round for ever.
#[tokio::test(start_paused = true)]
async fn only_the_first_failure_is_one_to_answer_with() {
    let is_repeated = |world: &World| -> Vec<_> {
        let reports = world.told.0.reports();
        reports.iter().map(|report| report.repeated).collect()
    };
    let event = control("S3.17", "a");
    let world = World::lit(["a"]);
    let engine = world.engine();
    world
        .deliver(
            &world.engine_with(&json!({ "mode": "dry-run" }), Faults::default()),
            &event,
        )
        .await;
    world.house.0.writes.plan([Fault::Denied]);
    world.deliver(&engine, &event).await;
    assert_eq!(is_repeated(&world), [false, false], "to be shown a plan is no failure");

    // Each place where it may fail: of what the ledger does not know it is not certain that it was the first time.
    let world = World::lit(["a"]);
    let engine = world.engine();
    for _ in 0..3 {
        world.house.0.writes.plan([Fault::Denied]);
        assert_eq!(world.deliver(&engine, &event).await, ["a Failed denied"]);
    }
    world.house.0.writes.plan([Fault::Denied]);
    assert_eq!(
        world.deliver(&engine, &chosen("Remediate", "a")).await,
        ["a Failed denied"]
    );
    assert_eq!(world.deliver(&engine, &event).await, ["a Remediated out"]);
    assert_eq!(is_repeated(&world), [false, true, true, false, false]);

    let world = World::lit(["a"]);
    let engine = world.engine();
    for _ in 0..2 {
        world.house.0.looks.plan([Fault::Denied]);
        world.deliver(&engine, &event).await;
    }
    assert_eq!(is_repeated(&world), [false, true]);

    let world = World::lit(["a"]);
    world.house.0.names.plan([Fault::Denied]);
    world.deliver(&world.engine(), &event).await;
    assert_eq!(is_repeated(&world), [true]);

    let world = World::lit(["a"]);
    let faults = Faults::new([Fault::Denied; 100]);
    world.deliver(&world.engine_with(&json!({}), faults), &event).await;
    assert_eq!(is_repeated(&world), [true]);

    let world = World::lit(["a"]);
    world.house.0.looks.plan([Fault::Denied]);
    // What was found, what was begun, what stands; then the failure.
    let faults = Faults::new([Fault::None, Fault::None, Fault::None, Fault::Denied]);
    world.deliver(&world.engine_with(&json!({}), faults), &event).await;
    assert_eq!(is_repeated(&world), [true]);
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_tried_again_until_the_deadline() {
    let world = World::lit(["a"]);
    world.house.0.looks.plan([Fault::Throttled, Fault::Before]);
    let engine = world.engine();
    assert_eq!(world.deliver(&engine, &config("a")).await, ["a Remediated out"]);
    assert_eq!(world.gauge("Throttles"), [1.0]);

    let world = World::lit(["a"]);
    world.house.0.looks.plan([Fault::Throttled; 1_000]);
    let (engine, begun) = (world.engine(), world.clock.now());
    assert_eq!(world.deliver(&engine, &config("a")).await, ["a Failed throttled"]);
    let took = (world.clock.now() - begun).num_seconds();
    assert!((55..=60).contains(&took), "{took}");
    let looks = world.house.lamps(|lamps| lamps.looked_for.len());
    assert!((10..30).contains(&looks), "the pauses grow: {looks}");
}

#[tokio::test(start_paused = true)]
async fn a_look_that_hangs_ends_with_the_deadline() {
    let world = World::lit(["a"]);
    world.house.0.looks.plan([Fault::Late; 1_000]);
    let engine = world.engine();
    let event = config("a");
    let Ok(Invocation::Event(intake)) = intake::read(&event.to_string()) else {
        panic!("{event}")
    };
    let deadline = Deadline::after(Duration::from_secs(2), world.clock.now());
    let summary = engine.event(intake, deadline).await;
    assert_eq!(
        summary.outcomes[0].outcome.why(),
        "engine: OutOfTime: the invocation's deadline came before the work was done (transient)"
    );
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_not_seen_is_repeated_slowly_and_never_called_done() {
    let world = World::lit(["a"]);
    world.house.lamps(|lamps| lamps.jammed = true);
    let engine = world.engine();
    let begun = world.clock.now();
    let summary = testkit::deliver(&engine, world.deadline(), &config("a")).await;
    let why = summary.outcomes[0].outcome.why();
    assert!(why.contains("NotVerified: written 8 times and not read back"), "{why}");
    assert_eq!(world.written().len(), 8);
    let took = (world.clock.now() - begun).num_seconds();
    assert!((8 * 5..8 * 7).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_leads_nowhere_is_a_failure() {
    let world = World::lit(["idle"]);
    let engine = world.engine();
    let summary = testkit::deliver(&engine, world.deadline(), &config("idle")).await;
    let why = summary.outcomes[0].outcome.why();
    assert!(why.contains("NoProgress"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_says_what_it_would_do_and_leaves_everything() {
    let world = World::lit(["a"]);
    let engine = world.engine_with(&json!({ "mode": "dry-run" }), Faults::default());
    assert_eq!(
        world.deliver(&engine, &control("S3.17", "a")).await,
        ["a WouldRemediate put-out"]
    );
    assert!(world.written().is_empty() && world.standing("a").await.is_none());
    let record = world.record("a");
    assert_eq!(
        (record.change, record.image.unwrap().before),
        (Some(json!("white")), json!("white"))
    );
    assert!(!record.untold && !record.unanswered && !record.noticed);
    assert_eq!(world.undo(&engine, "a").await, Err("Refused".to_owned()));

    let enforcing = world.engine();
    assert_eq!(
        world.deliver(&enforcing, &control("S3.17", "a")).await,
        ["a Remediated out"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_plan_waits_for_a_word_and_is_carried_out_as_it_was_shown() {
    let world = World::lit(["a", "b", "c"]);
    let engine = world.engine_with(&json!({ "mode": "approve", "approvalHours": 2 }), Faults::default());
    for lamp in ["a", "b", "c"] {
        let waits = [format!("{lamp} AwaitingApproval put-out")];
        assert_eq!(world.deliver(&engine, &config(lamp)).await, waits);
    }
    assert_eq!(world.told.0.notices().len(), 3);
    assert!(world.written().is_empty());
    assert_eq!(world.approve(&engine, "a").await.unwrap(), ["a Remediated out"]);
    let word = world.record("a").approved.unwrap();
    assert_eq!((word.by.as_str(), word.at), ("ben", world.clock.now()));
    assert_eq!(
        world.approve(&engine, "a").await,
        Err("Refused".to_owned()),
        "it waits no more"
    );

    world.house.lamps(|lamps| "red".clone_into(&mut lamps.seen.colour));
    assert_eq!(
        world.approve(&engine, "b").await.unwrap(),
        ["b AwaitingApproval stale-plan"]
    );
    assert!(world.record("b").approved.is_none());
    assert_eq!(
        world.approve(&engine, "b").await.unwrap(),
        ["b Remediated out"],
        "the plan that was shown last"
    );

    tokio::time::advance(Duration::from_secs(2 * 3600)).await;
    assert_eq!(
        world.approve(&engine, "c").await,
        Err("Refused".to_owned()),
        "it has expired"
    );
    assert_eq!(world.written().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_meant_is_looked_up_again_before_a_plan_is_carried_out() {
    let world = World::lit(["a", "gone", "guarded"]);
    let engine = world.engine_with(&json!({ "mode": "approve" }), Faults::default());
    world.deliver(&engine, &config("a")).await;
    world
        .house
        .lamps(|lamps| lamps.renamed.insert("a".to_owned(), vec!["b".to_owned()]));
    assert_eq!(
        world.approve(&engine, "a").await.unwrap(),
        ["a Declined another-target"]
    );
    world.house.lamps(|lamps| {
        lamps
            .renamed
            .insert("a".to_owned(), vec!["b".to_owned(), "a".to_owned()])
    });
    world.deliver(&engine, &config_at("a", "2026-11-20T09:13:00Z")).await;
    world.house.0.names.plan([Fault::Denied]);
    assert_eq!(
        world.approve(&engine, "a").await,
        Err("AccessDeniedException".to_owned())
    );
    assert_eq!(world.approve(&engine, "a").await.unwrap(), ["a Remediated out"]);
}

#[tokio::test(start_paused = true)]
async fn over_the_budget_plans_wait_and_people_are_told_once() {
    let world = World::lit(["a", "b", "c", "d"]);
    let engine = world.engine_with(&json!({ "changesPerHour": 1 }), Faults::default());
    let events = ["a", "b", "c"].map(config);
    let messages: Vec<_> = ["1", "2", "3"]
        .into_iter()
        .zip(&events)
        .map(|(id, event)| (id, 1, event))
        .collect();
    let done = world.batch(&engine, &messages).await;
    assert_eq!(
        told(&done.summary),
        [
            "a Remediated out",
            "b AwaitingApproval budget",
            "c AwaitingApproval budget"
        ]
    );
    let notices = world.told.0.notices();
    assert_eq!(
        notices
            .iter()
            .filter(|notice| notice.starts_with("AwaitingApproval"))
            .count(),
        1,
        "{notices:?}"
    );
    assert_eq!(
        world.approve(&engine, "b").await.unwrap(),
        ["b Remediated out"],
        "a word is not counted"
    );
    let notices = world.told.0.notices().len();
    assert_eq!(
        world.deliver(&engine, &config("d")).await,
        ["d AwaitingApproval budget"]
    );
    assert_eq!(world.told.0.notices().len(), notices, "once an hour");
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert_eq!(world.deliver(&engine, &config("d")).await, ["d Remediated out"]);
}

/// How the records of a lamp stand.
fn standings(world: &World, lamp: &str) -> Vec<&'static str> {
    let records = world.ledger.records();
    let of = records.iter().filter(|record| record.target == json!(lamp));
    of.map(|record| match &record.status {
        Status::Intended => "Intended",
        Status::Reverting => "Reverting",
        Status::Settled(outcome) => outcome.name(),
    })
    .collect()
}

#[tokio::test(start_paused = true)]
async fn s24_findings_about_one_lamp_wait_together_for_the_budget() {
    let world = World::lit(["a", "b"]);
    let engine = world.engine_with(&json!({ "changesPerHour": 1 }), Faults::default());
    world.deliver(&engine, &config("b")).await;
    let (one, other) = (config("a"), config_at("a", "2026-11-20T09:13:00Z"));
    for times in 1..3 {
        let done = world.batch(&engine, &[("1", times, &one), ("2", times, &other)]).await;
        assert_eq!(told(&done.summary), ["a AwaitingApproval budget"; 2]);
        assert_eq!(standings(&world, "a"), ["AwaitingApproval"; 2]);
    }
    for event in [&one, &other] {
        assert_eq!(world.deliver(&engine, event).await, ["a AwaitingApproval budget"]);
    }
    // Of the change; of the budget, and by the message that came again once more: it may be that nobody was told.
    assert_eq!(world.told.0.notices().len(), 3);
    assert_eq!(world.written().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn s24_a_change_is_paid_for_whatever_another_finding_about_it_waits_for() {
    // Which of the two findings comes first is up to the names of their records.
    for lamp in ["a", "b", "c", "d", "e", "f"] {
        let world = World::lit([lamp, "x", "y"]);
        let controls = json!({ "block-ip": { "controls": { "S3.17": "approve" } } });
        let settings = json!({ "changesPerHour": 1, "functions": controls });
        let engine = world.engine_with(&settings, Faults::default());
        let (waits, acts) = (control("S3.17", lamp), config(lamp));
        let done = world.batch(&engine, &[("1", 1, &waits), ("2", 1, &acts)]).await;
        let expected = [
            format!("{lamp} AwaitingApproval put-out"),
            format!("{lamp} Remediated out"),
        ];
        assert_eq!(told(&done.summary), expected);
        assert_eq!(
            world.deliver(&engine, &config("x")).await,
            ["x AwaitingApproval budget"]
        );

        let world = World::lit([lamp, "x"]);
        let engine = world.engine_with(&settings, Faults::default());
        world.deliver(&engine, &config("x")).await;
        let done = world.batch(&engine, &[("1", 1, &waits), ("2", 1, &acts)]).await;
        let expected = ["budget", "put-out"].map(|code| format!("{lamp} AwaitingApproval {code}"));
        assert_eq!(told(&done.summary), expected);
        assert_eq!(standings(&world, lamp), ["AwaitingApproval"; 2]);
    }
}

#[tokio::test(start_paused = true)]
async fn s24_what_does_not_stand_any_more_is_paid_for_again() {
    let world = World::lit(["a"]);
    let engine = world.engine_with(&json!({ "changesPerHour": 1 }), Faults::default());
    let (one, other) = (config("a"), config_at("a", "2026-11-20T09:13:00Z"));
    world.house.0.writes.plan([Fault::Denied]);
    world.batch(&engine, &[("1", 1, &one), ("2", 1, &other)]).await;
    assert_eq!(world.undo(&engine, "a").await.unwrap(), ["a Undone lit"]);
    assert_eq!(world.deliver(&engine, &one).await, ["a AwaitingApproval budget"]);
    assert!(standings(&world, "a").contains(&"AwaitingApproval"));
    assert!(world.house.lamps(|lamps| lamps.seen.lit.contains("a")));
}

#[tokio::test(start_paused = true)]
async fn while_everything_is_stopped_everything_waits() {
    let world = World::lit(["a", "b", "c"]);
    let (engine, stopped) = (
        world.engine(),
        world.engine_with(&json!({ "stop": true }), Faults::default()),
    );
    world.deliver(&engine, &config("a")).await;
    world.house.0.writes.plan([Fault::Denied]);
    world.deliver(&engine, &config("b")).await;
    let written = world.written().len();

    // A function that may not write has nothing to wait for an approval with.
    assert_eq!(
        world.deliver(&stopped, &config("c")).await,
        ["c AwaitingApproval stopped"]
    );
    assert_eq!(
        world.deliver(&stopped, &config("b")).await,
        ["b Failed permanent"],
        "it may be half made"
    );
    assert_eq!(world.undo(&stopped, "a").await, Err("Stopped".to_owned()));
    assert_eq!(world.approve(&stopped, "c").await, Err("Stopped".to_owned()));
    assert_eq!(
        world.deliver(&stopped, &chosen("Undo remediation", "a")).await,
        ["declined stopped"]
    );
    assert_eq!(world.written().len(), written);

    let world = World::lit(["a"]);
    world.allowance.0.store(0, Ordering::SeqCst);
    let summary = testkit::deliver(&world.engine(), world.deadline(), &config("a")).await;
    let why = summary.outcomes[0].outcome.why();
    assert!(why.contains("Stopped: the settings have come to forbid it"), "{why}");
    assert!(world.written().is_empty());
}

/// A control on which somebody chose a custom action.
fn chosen(action: &str, lamp: &str) -> Value {
    let mut event = control("S3.17", lamp);
    event["detail-type"] = json!("Security Hub Findings - Custom Action");
    event["detail"]["actionName"] = json!(action);
    event
}

#[tokio::test(start_paused = true)]
async fn a_custom_action_is_a_word() {
    let world = World::lit(["a", "b"]);
    let engine = world.engine_with(&json!({ "mode": "approve" }), Faults::default());
    assert_eq!(
        world.deliver(&engine, &chosen("Something", "a")).await,
        ["declined other-action"]
    );
    assert_eq!(
        world.deliver(&engine, &chosen("Undo remediation", "a")).await,
        ["declined nothing-to-undo"]
    );
    assert_eq!(
        world.deliver(&engine, &chosen("Remediate", "a")).await,
        ["a Remediated out"]
    );
    assert!(world.record("a").approved.unwrap().by.contains("Remediate"));
    assert_eq!(
        world.deliver(&engine, &chosen("Undo remediation", "a")).await,
        ["a Undone lit"]
    );
    assert!(world.record("a").reverted.unwrap().by.contains("Undo"));
    assert_eq!(
        world.deliver(&engine, &chosen("Undo remediation", "a")).await,
        ["declined nothing-to-undo"]
    );
}

#[tokio::test(start_paused = true)]
async fn s34_a_finding_beside_an_undo_is_decided_on_when_the_undo_is_done() {
    let world = World::lit(["a"]);
    world.house.lamps(|lamps| "red".clone_into(&mut lamps.seen.colour));
    let engine = world.engine();
    world.deliver(&engine, &control("S3.17", "a")).await;
    let (undo, finding) = (chosen("Undo remediation", "a"), config_at("a", "2026-11-20T10:00:00Z"));
    let batch = [("1", 1, &finding), ("2", 1, &undo)];

    let dry = world.engine_with(&json!({ "mode": "dry-run" }), Faults::default());
    let done = world.batch(&dry, &batch).await;
    assert_eq!(told(&done.summary), ["a AlreadyInPlace out", "a WouldRemediate light"]);

    let finding = config_at("a", "2026-11-20T11:00:00Z");
    let done = world.batch(&engine, &[("1", 1, &finding), ("2", 1, &undo)]).await;
    assert_eq!(told(&done.summary), ["a Declined undone", "a Undone lit"]);
    assert!(world.house.lamps(|lamps| lamps.seen.lit.contains("a")));
    assert_eq!(world.told.0.notices(), ["Remediated a"]);
}

#[tokio::test(start_paused = true)]
async fn an_undo_restores_holds_and_is_done_once() {
    let world = World::lit(["a"]);
    world.house.lamps(|lamps| "red".clone_into(&mut lamps.seen.colour));
    let engine = world.engine();
    world.deliver(&engine, &config("a")).await;
    assert_eq!(world.undo(&engine, "a").await.unwrap(), ["a Undone lit"]);
    let record = world.record("a");
    assert_eq!(
        (record.reverted.unwrap().by.as_str(), record.requests),
        ("ann", vec!["r1".to_owned(), "r2".to_owned()])
    );
    assert_eq!(
        world.standing("a").await.unwrap().phase,
        Phase::Held(world.clock.now() + HOLD)
    );
    assert_eq!(world.undo(&engine, "a").await, Err("Refused".to_owned()));
    assert_eq!(
        world.deliver(&engine, &config("a")).await,
        ["a Undone lit"],
        "of this version"
    );
    let later = config_at("a", "2026-11-20T10:00:00Z");
    assert_eq!(world.deliver(&engine, &later).await, ["a Declined undone"]);
    tokio::time::advance(Duration::from_secs(24 * 3600)).await;
    let newer = config_at("a", "2026-11-21T10:00:00Z");
    assert_eq!(world.deliver(&engine, &newer).await, ["a Remediated out"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_held_may_come_again_at_once() {
    let world = World::lit(["a"]);
    let engine = world.engine();
    world.deliver(&engine, &config("a")).await;
    assert_eq!(world.undo(&engine, "a").await.unwrap(), ["a Undone lit"]);
    assert!(world.standing("a").await.is_none());
    let later = config_at("a", "2026-11-20T10:00:00Z");
    assert_eq!(world.deliver(&engine, &later).await, ["a Remediated out"]);
    assert_eq!(world.undo(&engine, "a").await.unwrap(), ["a Undone lit"]);
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_must_not_be_made_leaves_the_record_as_it_is() {
    let world = World::lit(["broken", "taken"]);
    let engine = world.engine();
    for (lamp, expected) in [("broken", "broken Escalated broken"), ("taken", "taken Declined taken")] {
        world.deliver(&engine, &config(lamp)).await;
        let before = world.record(lamp);
        assert_eq!(world.undo(&engine, lamp).await.unwrap(), [expected]);
        assert_eq!(world.record(lamp), before);
    }
}

#[tokio::test(start_paused = true)]
async fn an_order_about_no_record_of_this_function_is_refused() {
    let world = World::lit(["a"]);
    let engine = world.engine();
    world.deliver(&engine, &config("a")).await;
    let refused = |summary: Result<Summary, Failure>| summary.unwrap_err().to_string();
    let none = RecordId::parse("darken-0123456789abcdef01234567").unwrap();
    assert!(refused(engine.undo(&none, "ann", world.deadline()).await).contains("NoSuchRecord"));
    let abroad = Engine {
        actor: testkit::role("444455556666"),
        ..world.engine()
    };
    let of = world.record("a").id;
    assert!(refused(abroad.undo(&of, "ann", world.deadline()).await).contains("OtherAccount"));
    world.house.lamps(|lamps| lamps.closed = true);
    assert!(refused(engine.undo(&of, "ann", world.deadline()).await).contains("NoSuchScope"));
    assert_eq!(world.written().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_schedule_ends_what_is_over_and_puts_back_what_is_missing() {
    let world = World::lit(["a", "brief"]);
    let engine = world.engine();
    world.deliver(&engine, &config("a")).await;
    world.deliver(&engine, &config("brief")).await;
    let quiet = world.ledger.writes();
    assert_eq!(engine.sweep(world.deadline()).await, Summary::default());
    assert_eq!(
        (world.ledger.writes(), world.written().len()),
        (quiet, 2),
        "nothing is due"
    );

    world.house.lamps(|lamps| {
        lamps.seen.is_dawn = true;
        lamps.seen.lit.insert("a".to_owned());
    });
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(engine.sweep(world.deadline()).await, Summary::default());
    let lit = world.house.lamps(|lamps| lamps.seen.lit.clone());
    assert_eq!(lit, BTreeSet::from(["brief".to_owned()]));
    assert!(world.standing("brief").await.is_none() && world.standing("a").await.is_some());
    let ended = world.record("brief");
    assert_eq!(ended.updated_at, world.clock.now());
    assert_eq!(ended.released.unwrap().code, "dawn");
    assert!(matches!(ended.status, Status::Settled(Outcome::Remediated(_))));
    assert_eq!(
        world.undo(&engine, "brief").await,
        Err("Refused".to_owned()),
        "it has ended by itself"
    );
}

#[tokio::test(start_paused = true)]
async fn the_schedule_ends_what_was_begun() {
    let world = World::lit(["a", "b"]);
    let engine = world.engine();
    world.house.0.writes.plan([Fault::Denied]);
    assert_eq!(world.deliver(&engine, &config("a")).await, ["a Failed denied"]);
    tokio::time::advance(Duration::from_secs(60)).await;
    engine.sweep(world.deadline()).await;
    let record = world.record("a");
    let Status::Settled(Outcome::Remediated(reason)) = record.status else {
        panic!("{record:?}")
    };
    assert_eq!(
        (reason.code.as_str(), record.updated_at),
        ("reconciled", world.clock.now())
    );

    world.deliver(&engine, &config("b")).await;
    world.house.0.writes.plan([Fault::Denied]);
    assert_eq!(world.undo(&engine, "b").await.unwrap(), ["b Failed denied"]);
    assert_eq!(world.record("b").status, Status::Reverting);
    let later = config_at("b", "2026-11-20T10:00:00Z");
    assert_eq!(
        world.deliver(&engine, &later).await,
        ["b Declined undone"],
        "it is being taken back"
    );
    tokio::time::advance(Duration::from_secs(60)).await;
    engine.sweep(world.deadline()).await;
    let undone = world
        .ledger
        .records()
        .into_iter()
        .find(|record| record.reverted.is_some())
        .unwrap();
    assert_eq!(undone.updated_at, world.clock.now());
    assert!(matches!(undone.status, Status::Settled(Outcome::Undone(_))));
    assert!(world.standing("b").await.is_none());
}

#[tokio::test(start_paused = true)]
async fn s33_what_the_schedule_has_put_in_place_is_told_when_the_message_comes_again() {
    let world = World::lit(["a"]);
    let engine = world.engine();
    let event = config("a");
    world.house.0.writes.plan([Fault::Denied]);
    assert_eq!(world.batch(&engine, &[("m", 1, &event)]).await.redeliver, ["m"]);
    engine.sweep(world.deadline()).await;
    for times in 2..4 {
        let done = world.batch(&engine, &[("m", times, &event)]).await;
        assert_eq!(told(&done.summary), ["a Remediated reconciled"]);
        assert_eq!(world.told.0.notices(), ["Remediated a"]);
    }
}

#[tokio::test(start_paused = true)]
async fn s33_whichever_answer_of_the_ledger_is_lost_people_are_told_once() {
    for calls in 0..12 {
        let world = World::lit(["a"]);
        let lost = (0..calls).map(|_| Fault::None).chain([Fault::After]);
        let engine = world.engine_with(&json!({}), Faults::new(lost));
        let event = config("a");
        let mut times = 1;
        while !world.batch(&engine, &[("m", times, &event)]).await.redeliver.is_empty() {
            times += 1;
        }
        assert_eq!(world.told.0.notices(), ["Remediated a"], "{calls}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_leaves_the_schedules_work() {
    let world = World::lit(["brief"]);
    world.deliver(&world.engine(), &config("brief")).await;
    world.house.lamps(|lamps| lamps.seen.is_dawn = true);
    let dry = world.engine_with(&json!({ "mode": "dry-run" }), Faults::default());
    dry.sweep(world.deadline()).await;
    assert_eq!(world.standing("brief").await.unwrap().phase, Phase::Active);
    let before = world.record("brief");
    assert_eq!(world.undo(&dry, "brief").await.unwrap(), ["brief WouldRemediate light"]);
    assert_eq!(world.record("brief"), before);
    assert_eq!(world.written().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_fails_says_which_scope() {
    let world = World::lit([]);
    world.house.0.looks.plan([Fault::Denied]);
    let summary = world.engine().sweep(world.deadline()).await;
    assert_eq!(summary.unsettled.len(), 1);
    assert!(
        summary.unsettled[0].starts_with("hall: house:Look: AccessDeniedException"),
        "{summary:?}"
    );
    assert!(summary.needs_redelivery());
}

#[tokio::test(start_paused = true)]
async fn guardrails_are_recorded_and_nothing_is_looked_at() {
    let world = World::lit(["guarded", "exempt", "gone", "a"]);
    let exemption =
        json!([{"resource": "lamp/exempt", "owner": "ops", "reason": "night shift", "expires": "2026-12-01"}]);
    let engine = world.engine_with(&json!({ "exemptions": exemption }), Faults::default());
    for (lamp, code) in [("guarded", "protected"), ("exempt", "exempt"), ("gone", "gone")] {
        assert_eq!(
            world.deliver(&engine, &config(lamp)).await,
            [format!("{lamp} Declined {code}")]
        );
        assert!(matches!(
            world.record(lamp).status,
            Status::Settled(Outcome::Declined(_))
        ));
    }
    let mut archived = control("S3.17", "a");
    archived["detail"]["findings"][0]["RecordState"] = json!("ARCHIVED");
    assert_eq!(world.deliver(&engine, &archived).await, ["a Declined archived"]);
    let mut abroad = control("S3.17", "a");
    abroad["detail"]["findings"][0]["AwsAccountId"] = json!("444455556666");
    abroad["detail"]["findings"][0]["Id"] = json!("elsewhere");
    assert_eq!(world.deliver(&engine, &abroad).await, ["a Declined other-account"]);
    assert!(
        world
            .house
            .lamps(|lamps| lamps.looked_for.is_empty() && lamps.written.is_empty())
    );
    assert_eq!(world.told.0.notices(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_asks_for_nothing_leaves_no_record() {
    let world = World::lit(["a"]);
    let off = world.engine_with(&json!({ "mode": "off" }), Faults::default());
    assert_eq!(world.deliver(&off, &config("a")).await, ["declined off"]);
    let mut suppressed = control("S3.17", "a");
    suppressed["detail"]["findings"][0]["Workflow"]["Status"] = json!("SUPPRESSED");
    let engine = world.engine();
    assert_eq!(world.deliver(&engine, &suppressed).await, ["declined suppressed"]);
    let schedule = json!({"source": "custom", "detail-type": "x", "detail": {}});
    assert_eq!(world.deliver(&engine, &schedule).await, ["declined other-event"]);
    assert!(world.ledger.records().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_comes_again_alone() {
    let world = World::lit(["a"]);
    let engine = world.engine();
    let (good, torn, bad) = (config("a"), config("torn"), json!("x"));
    let done = world
        .batch(&engine, &[("good", 1, &good), ("torn", 1, &torn), ("bad", 1, &bad)])
        .await;
    let mut again = done.redeliver;
    again.sort();
    assert_eq!(again, ["bad", "torn"]);
    assert_eq!(told(&done.summary), ["a Remediated out"]);
    assert_eq!(done.summary.unsettled, ["lamps: its lamp is missing"]);
}

#[tokio::test(start_paused = true)]
async fn a_name_is_resolved_until_it_is_certain() {
    let world = World::lit(["a", "b"]);
    world.house.lamps(|lamps| {
        lamps
            .renamed
            .insert("both".to_owned(), vec!["a".to_owned(), "b".to_owned()])
    });
    world.house.0.names.plan([Fault::Throttled]);
    let engine = world.engine();
    assert_eq!(
        world.deliver(&engine, &config("both")).await,
        ["a Remediated out", "b Remediated out"]
    );

    let world = World::lit(["a", "b"]);
    world.house.0.names.plan([Fault::Denied]);
    let engine = world.engine();
    let (a, b) = (config("a"), config("b"));
    let done = world.batch(&engine, &[("1", 1, &a), ("2", 1, &b)]).await;
    let of = |told: Vec<String>, what: &str| told.iter().filter(|line| line.contains(what)).count();
    let lines = told(&done.summary);
    assert_eq!(
        (
            done.redeliver.len(),
            of(lines.clone(), "Failed denied"),
            of(lines, "Remediated")
        ),
        (1, 1, 1)
    );

    // Whatever cannot be resolved leaves half of the time to the others.
    let world = World::lit(["a"]);
    world.house.0.names.plan([Fault::Throttled; 1_000]);
    let (engine, begun) = (world.engine(), world.clock.now());
    assert_eq!(world.deliver(&engine, &config("a")).await, ["a Failed throttled"]);
    let took = (world.clock.now() - begun).num_seconds();
    assert!((25..=30).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn what_was_begun_is_ended_even_if_the_finding_means_another_by_now() {
    let world = World::lit(["a", "b"]);
    world.house.0.writes.plan([Fault::Denied]);
    let engine = world.engine();
    let event = config("a");
    world.batch(&engine, &[("m", 1, &event)]).await;
    world
        .house
        .lamps(|lamps| lamps.renamed.insert("a".to_owned(), vec!["b".to_owned()]));
    world.house.0.writes.plan([Fault::Denied]);
    let done = world.batch(&engine, &[("m", 2, &event)]).await;
    assert_eq!(told(&done.summary), ["a Failed denied", "b Failed denied"]);
    let reports = world.told.0.reports();
    let again = reports.iter().skip(1).find(|report| report.target == "a").unwrap();
    assert!(again.repeated);
    let done = world.batch(&engine, &[("m", 3, &event)]).await;
    assert_eq!(told(&done.summary), ["a Remediated out", "b Remediated out"]);
    assert_eq!(world.record("a").teller, "m");

    // Nothing was begun for another version.
    let world = World::lit(["a"]);
    world.house.0.writes.plan([Fault::Denied]);
    let engine = world.engine();
    world.batch(&engine, &[("m", 1, &event)]).await;
    world
        .house
        .lamps(|lamps| lamps.renamed.insert("a".to_owned(), vec!["b".to_owned()]));
    let later = config_at("a", "2026-11-20T10:00:00Z");
    let done = world.batch(&engine, &[("n", 2, &later)]).await;
    assert_eq!(told(&done.summary), ["b AlreadyInPlace out"]);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_told_is_told_when_the_message_comes_again() {
    let world = World::lit(["a"]);
    let engine = world.engine();
    let event = control("S3.17", "a");
    world.told.0.is_out_of_reach(true);
    let done = world.batch(&engine, &[("m", 1, &event)]).await;
    assert_eq!(done.redeliver, ["m"]);
    let record = world.record("a");
    assert!(record.untold && record.unanswered && record.noticed);
    let done = world.batch(&engine, &[("m", 2, &event)]).await;
    assert_eq!(done.redeliver, ["m"], "still nobody");
    world.told.0.is_out_of_reach(false);
    let twin = world.batch(&engine, &[("other", 1, &event)]).await;
    assert_eq!(twin.redeliver, [""; 0]);
    assert_eq!(world.told.0.notices(), [""; 0], "another message does not tell for it");
    let done = world.batch(&engine, &[("m", 3, &event)]).await;
    assert_eq!(done.redeliver, [""; 0]);
    assert_eq!(world.told.0.notices(), ["Remediated a"]);
    let record = world.record("a");
    assert!(!record.untold && !record.unanswered);
    assert_eq!(world.written().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn s33_what_could_not_be_told_is_told_even_if_the_finding_means_another_by_now() {
    let world = World::lit(["a"]);
    let engine = world.engine();
    let event = control("S3.17", "a");
    world.told.0.is_out_of_reach(true);
    let done = world.batch(&engine, &[("m", 1, &event)]).await;
    assert_eq!(done.redeliver, ["m"]);
    world.told.0.is_out_of_reach(false);
    world
        .house
        .lamps(|lamps| lamps.renamed.insert("a".to_owned(), vec!["b".to_owned()]));
    world.batch(&engine, &[("other", 2, &event)]).await;
    assert_eq!(world.told.0.notices(), [""; 0], "another message does not tell for it");
    for times in 2..4 {
        let done = world.batch(&engine, &[("m", times, &event)]).await;
        assert_eq!(done.redeliver, [""; 0]);
        assert_eq!(world.told.0.notices(), ["Remediated a"]);
    }
    let record = world.record("a");
    assert!(!record.untold && !record.unanswered);
}

#[tokio::test(start_paused = true)]
async fn s33_people_who_were_not_told_of_a_plan_are_told_of_the_change_whatever_failed_in_between() {
    let world = World::lit(["a"]);
    let waiting = world.engine_with(&json!({ "mode": "approve" }), Faults::default());
    let engine = world.engine();
    let event = config("a");
    *world.told.2.lock().unwrap() = Deaf::People;
    assert_eq!(world.batch(&waiting, &[("m", 1, &event)]).await.redeliver, ["m"]);
    *world.told.2.lock().unwrap() = Deaf::Nobody;
    let heard = world.told.0.notices().len();
    world.house.0.writes.plan([Fault::Denied]);
    let done = world.batch(&engine, &[("m", 2, &event)]).await;
    assert_eq!(told(&done.summary), ["a Failed denied"]);
    for times in 3..5 {
        let done = world.batch(&engine, &[("m", times, &event)]).await;
        assert_eq!(told(&done.summary), ["a Remediated out"]);
    }
    assert_eq!(world.told.0.notices()[heard..], ["Remediated a"]);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_nobody_was_told_of_is_not_settled() {
    let world = World::lit(["a"]);
    world.told.0.is_out_of_reach(true);
    let summary = testkit::deliver(&world.engine(), world.deadline(), &config("a")).await;
    assert_eq!(summary.unsettled, ["not everybody was told"]);
}

#[tokio::test(start_paused = true)]
async fn s91_an_order_that_nobody_was_told_of_says_so_and_tells_when_it_is_given_again() {
    let world = World::lit(["a"]);
    let engine = world.engine();
    world.deliver(&engine, &control("S3.17", "a")).await;
    world.told.0.is_out_of_reach(true);
    let summary = engine
        .undo(&world.record("a").id, "ann", world.deadline())
        .await
        .unwrap();
    assert_eq!(told(&summary), ["a Undone lit"]);
    assert_eq!(summary.unsettled, ["not everybody was told"]);
    world.told.0.is_out_of_reach(false);
    let told = || -> Vec<_> {
        world
            .told
            .0
            .reports()
            .iter()
            .map(|report| report.outcome.name())
            .collect()
    };
    for _ in 0..2 {
        assert_eq!(world.undo(&engine, "a").await, Err("Refused".to_owned()));
        assert_eq!(told(), ["Remediated", "Undone"], "once");
    }
    assert_eq!(world.written().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn s91_an_undo_by_a_custom_action_is_told_when_its_message_comes_again() {
    let world = World::lit(["a"]);
    let engine = world.engine();
    let (event, undo) = (control("S3.17", "a"), chosen("Undo remediation", "a"));
    world.batch(&engine, &[("m", 1, &event)]).await;
    world.told.0.is_out_of_reach(true);
    for times in 1..=2 {
        let done = world.batch(&engine, &[("u", times, &undo)]).await;
        assert_eq!(
            (told(&done.summary), done.redeliver),
            (vec!["a Undone lit".to_owned()], vec!["u".to_owned()])
        );
    }
    world.told.0.is_out_of_reach(false);
    let outcomes = || -> Vec<_> {
        let reports = world.told.0.reports().into_iter();
        reports.map(|report| report.outcome.name()).collect()
    };
    let other = world.batch(&engine, &[("other", 2, &undo)]).await;
    assert_eq!(told(&other.summary), ["declined nothing-to-undo"]);
    assert_eq!(outcomes(), ["Remediated"], "another message does not tell for it");
    let done = world.batch(&engine, &[("u", 3, &undo)]).await;
    assert_eq!((done.redeliver.len(), outcomes()), (0, vec!["Remediated", "Undone"]));
    let done = world.batch(&engine, &[("u", 4, &undo)]).await;
    assert_eq!(told(&done.summary), ["declined nothing-to-undo"]);
    assert_eq!(outcomes().len(), 2, "once");
    assert_eq!(world.written().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_is_asked_for_twice_at_once_is_one() {
    let world = World::lit(["a"]);
    let engine = world.engine();
    world.batch(&engine, &[("m", 1, &control("S3.17", "a"))]).await;
    let undo = chosen("Undo remediation", "a");
    world.house.0.writes.plan([Fault::Denied]);
    let done = world.batch(&engine, &[("u", 1, &undo), ("v", 1, &undo)]).await;
    assert_eq!(
        (told(&done.summary), done.redeliver),
        (vec!["a Failed denied".to_owned()], vec!["u".to_owned(), "v".to_owned()])
    );
    let done = world.batch(&engine, &[("u", 2, &undo), ("v", 2, &undo)]).await;
    assert_eq!(
        (told(&done.summary), done.redeliver),
        (vec!["a Undone lit".to_owned()], Vec::new())
    );
}

/// Two versions of one finding have one row in the ledger, which a transaction takes once.
#[tokio::test(start_paused = true)]
async fn an_undo_takes_back_all_that_was_recorded_of_one_target_at_once() {
    let world = World::lit(["a"]);
    let engine = world.engine();
    let (event, mut later) = (control("S3.17", "a"), control("S3.17", "a"));
    later["detail"]["findings"][0]["UpdatedAt"] = json!("2026-11-20T09:13:00Z");
    let done = world.batch(&engine, &[("m", 1, &event), ("n", 1, &later)]).await;
    assert_eq!(told(&done.summary), ["a Remediated out", "a Remediated out"]);
    let done = world
        .batch(&engine, &[("u", 1, &chosen("Undo remediation", "a"))])
        .await;
    assert_eq!(
        (told(&done.summary), done.redeliver),
        (vec!["a Undone lit".to_owned(), "a Undone lit".to_owned()], vec![])
    );
    assert!(world.house.lamps(|lamps| lamps.seen.lit.contains("a")));
    assert!(world.standing("a").await.is_none());
}

#[tokio::test(start_paused = true)]
async fn s31_an_order_for_one_target_does_not_answer_for_the_finding() {
    let world = World::lit(["a", "b"]);
    let engine = world.engine_with(&json!({ "mode": "approve" }), Faults::default());
    let mut event = control("S3.17", "a");
    let resources = &mut event["detail"]["findings"][0]["Resources"];
    let mut other = resources[0].clone();
    other["Id"] = json!("b");
    resources.as_array_mut().unwrap().push(other);
    world.deliver(&engine, &event).await;
    for (lamp, part) in [("a", true), ("b", false)] {
        let done = world.approve(&engine, lamp).await.unwrap();
        assert_eq!(done, [format!("{lamp} Remediated out")]);
        assert_eq!(world.told.0.reports().last().unwrap().part, part, "{lamp}");
    }
}

/// What ended in the first delivery is no news in the second, and counts all the same.
#[tokio::test(start_paused = true)]
async fn s31_what_was_declined_before_a_redelivery_counts_too() {
    let world = World::lit(["a"]);
    let engine = world.engine();
    let mut event = control("S3.17", "a");
    let resources = &mut event["detail"]["findings"][0]["Resources"];
    let mut other = resources[0].clone();
    other["Id"] = json!("left");
    resources.as_array_mut().unwrap().push(other);
    world.house.lamps(|lamps| lamps.seen.lit.insert("left".to_owned()));
    world.house.0.writes.plan([Fault::Denied]);
    for (times, what) in [(1, "a Failed denied"), (2, "a Remediated out")] {
        let done = world.batch(&engine, &[("m", times, &event)]).await;
        assert_eq!(told(&done.summary), [what, "left Declined left"]);
    }
    let reports = world.told.0.reports();
    let last = reports.iter().rfind(|report| report.target == "a").unwrap();
    assert!(last.part, "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn s19_a_word_on_a_plan_does_not_outlive_it_because_a_try_failed() {
    let world = World::lit(["a"]);
    let engine = world.engine_with(&json!({ "mode": "approve" }), Faults::default());
    world.batch(&engine, &[("m", 1, &control("S3.17", "a"))]).await;
    world.house.lamps(|lamps| "red".clone_into(&mut lamps.seen.colour));
    world.house.0.looks.plan([Fault::Denied]);
    let word = chosen("Remediate", "a");
    for (times, what, again) in [(1, "a Failed denied", 1), (2, "a AwaitingApproval stale-plan", 0)] {
        let done = world.batch(&engine, &[("r", times, &word)]).await;
        assert_eq!(
            (told(&done.summary), done.redeliver.len()),
            (vec![what.to_owned()], again)
        );
    }
    assert!(world.written().is_empty() && world.record("a").approved.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_word_counts_in_one_batch_with_its_finding() {
    let world = World::lit(["a"]);
    let engine = world.engine_with(&json!({ "mode": "approve" }), Faults::default());
    let (event, word) = (control("S3.17", "a"), chosen("Remediate", "a"));
    let done = world.batch(&engine, &[("m", 1, &event), ("r", 1, &word)]).await;
    assert_eq!(
        (told(&done.summary), done.redeliver),
        (vec!["a Remediated out".to_owned()], vec![])
    );
    assert!(world.record("a").approved.is_some());
}

/// The same finding by another way, which changes nothing about what waits.
#[tokio::test(start_paused = true)]
async fn s33_a_plan_that_nobody_was_told_of_is_told_although_its_twin_came_in_between() {
    let world = World::lit(["a"]);
    let engine = world.engine_with(&json!({ "mode": "approve" }), Faults::default());
    let event = control("S3.17", "a");
    world.told.0.is_out_of_reach(true);
    let done = world.batch(&engine, &[("m", 1, &event)]).await;
    assert_eq!(done.redeliver, ["m"]);
    world.house.lamps(|lamps| "red".clone_into(&mut lamps.seen.colour));
    // Security Hub is not reached the first time.
    for (times, out, again) in [(1, true, 1), (2, false, 0)] {
        world.told.0.is_out_of_reach(out);
        let done = world.batch(&engine, &[("twin", times, &event)]).await;
        assert_eq!(
            (told(&done.summary), done.redeliver.len()),
            (vec!["a AwaitingApproval put-out".to_owned()], again)
        );
    }
    assert!(world.told.0.notices().is_empty(), "it is the first one's to tell");
    for times in 2..4 {
        world.batch(&engine, &[("m", times, &event)]).await;
        assert_eq!(world.told.0.notices().len(), 1, "once");
    }
}

/// A storm is written by the piece.
#[tokio::test(start_paused = true)]
async fn what_was_stored_before_the_rest_was_throttled_is_told() {
    let world = World::lit(["a"]);
    // Known, standing, standing, the intent, standing; and the outcome, which is stored.
    let before = [Fault::None; 5];
    let faults = Faults::new(before.into_iter().chain([Fault::Partly]));
    let engine = world.engine_with(&json!({}), faults);
    let done = world.batch(&engine, &[("m", 1, &config("a"))]).await;
    assert_eq!(
        (told(&done.summary), done.redeliver),
        (vec!["a Remediated out".to_owned()], vec![])
    );
    assert_eq!(world.told.0.notices().len(), 1, "{:?}", world.told.0.reports());
}

#[tokio::test(start_paused = true)]
async fn a_word_for_an_undo_goes_before_findings_that_come_with_it() {
    // The same finding, whose change could not be made; and another one about the same lamp.
    let (event, undo) = (control("S3.17", "a"), chosen("Undo remediation", "a"));
    let world = World::lit(["a"]);
    world.house.lamps(|lamps| "red".clone_into(&mut lamps.seen.colour));
    let engine = world.engine();
    world.house.0.writes.plan([Fault::Denied]);
    world.batch(&engine, &[("m", 1, &event)]).await;
    let done = world.batch(&engine, &[("m", 2, &event), ("u", 1, &undo)]).await;
    assert_eq!(
        (told(&done.summary), done.redeliver),
        (vec!["a Undone lit".to_owned()], vec![])
    );
    assert!(world.record("a").reverted.is_some());

    let world = World::lit(["a"]);
    world.house.lamps(|lamps| "red".clone_into(&mut lamps.seen.colour));
    let engine = world.engine();
    world.batch(&engine, &[("m", 1, &event)]).await;
    let other = config("a");
    let dry = world.engine_with(&json!({ "mode": "dry-run" }), Faults::default());
    let shown = world.batch(&dry, &[("n", 1, &other), ("u", 1, &undo)]).await;
    assert_eq!(told(&shown.summary), ["a AlreadyInPlace out", "a WouldRemediate light"]);
    let other = config_at("a", "2026-11-20T09:13:00Z");
    let done = world.batch(&engine, &[("n", 1, &other), ("u", 1, &undo)]).await;
    assert_eq!(
        (told(&done.summary), done.redeliver),
        (vec!["a Declined undone".to_owned(), "a Undone lit".to_owned()], vec![])
    );
    assert!(world.house.lamps(|lamps| lamps.seen.lit.contains("a")));
}

#[tokio::test(start_paused = true)]
async fn s33_an_order_that_is_refused_tells_of_no_other_delivery() {
    let world = World::lit(["a", "b"]);
    let careful = world.engine_with(&json!({ "mode": "approve" }), Faults::default());
    world.batch(&careful, &[("m", 1, &control("S3.17", "a"))]).await;
    assert_eq!(world.undo(&careful, "a").await, Err("Refused".to_owned()));
    world.batch(&world.engine(), &[("n", 1, &control("S3.17", "b"))]).await;
    assert_eq!(world.approve(&careful, "b").await, Err("Refused".to_owned()));
    assert_eq!(world.told.0.notices(), ["AwaitingApproval a", "Remediated b"]);
    assert_eq!(world.told.0.reports().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn s24_the_notice_of_a_spent_budget_is_sent_once_an_hour_and_not_lost() {
    let world = World::lit(["a", "b", "c", "d", "e"]);
    let settings = json!({ "changesPerHour": 1 });
    let engine = world.engine_with(&settings, Faults::default());
    let waiting = || -> usize {
        let notices = world.told.0.notices().into_iter();
        notices.filter(|notice| notice.starts_with("AwaitingApproval")).count()
    };
    let [a, b, c, d, e] = ["a", "b", "c", "d", "e"].map(config);
    world.batch(&engine, &[("a", 1, &a)]).await;
    world.told.0.is_out_of_reach(true);
    for times in 1..=2 {
        let done = world.batch(&engine, &[("b", times, &b), ("c", times, &c)]).await;
        assert!(!done.redeliver.is_empty());
    }
    world.told.0.is_out_of_reach(false);
    world.batch(&engine, &[("d", 1, &d)]).await;
    assert_eq!(waiting(), 0, "it is the matter of those that come again");
    world.batch(&engine, &[("b", 3, &b), ("c", 3, &c)]).await;
    assert_eq!(waiting(), 1);
    world.batch(&engine, &[("b", 4, &b), ("c", 4, &c), ("e", 1, &e)]).await;
    assert_eq!(waiting(), 1, "once an hour");

    // Whoever cannot know whether it was sent sends it.
    let world = World::lit(["a", "b"]);
    let no_turn = |call: &str| Duration::from_secs(if call == "turn" { 3600 } else { 0 });
    let engine = world.slow_engine(&settings, no_turn);
    let begun = world.clock.now();
    world.batch(&engine, &[("a", 1, &a), ("b", 1, &b)]).await;
    let mut notices = world.told.0.notices();
    notices.sort();
    assert_eq!(notices, ["AwaitingApproval b", "Remediated a"]);
    assert!((world.clock.now() - begun).num_seconds() <= 62);
}

#[tokio::test(start_paused = true)]
async fn s9_a_ledger_that_hangs_holds_nobody_beyond_the_deadline() {
    let hangs = |_: &str| Duration::from_secs(3600);
    let world = World::lit(["a"]);
    let event = control("S3.17", "a");
    world.deliver(&world.engine(), &event).await;
    let engine = world.slow_engine(&json!({}), hangs);
    let (undo, new) = (chosen("Undo remediation", "a"), config("b"));
    let begun = world.clock.now();
    let messages = [("m", 2, &event), ("u", 2, &undo), ("n", 1, &new)];
    let mut done = world.batch(&engine, &messages).await;
    done.redeliver.sort();
    assert_eq!(done.redeliver, ["m", "n", "u"]);
    let took = world.clock.now() - begun;
    assert!(took <= TimeDelta::seconds(62), "{took}");

    let out_of_time = Err("OutOfTime".to_owned());
    assert_eq!(world.explain(&engine, &event).await, out_of_time);
    assert_eq!(world.undo(&engine, "a").await, out_of_time);
    assert_eq!(world.approve(&engine, "a").await, out_of_time);
    let took = world.clock.now() - begun;
    assert!(took <= TimeDelta::seconds(4 * 62), "{took}");

    // What was told and cannot be noted is no reason to be stopped in the middle.
    let world = World::lit(["a"]);
    let event = control("S3.17", "a");
    world.told.0.is_out_of_reach(true);
    world.batch(&world.engine(), &[("m", 1, &event)]).await;
    world.told.0.is_out_of_reach(false);
    let begun = world.clock.now();
    let unwritten = |call: &str| Duration::from_secs(if call == "write" { 3600 } else { 0 });
    let engine = world.slow_engine(&json!({}), unwritten);
    assert_eq!(world.batch(&engine, &[("m", 2, &event)]).await.redeliver, [""; 0]);
    let took = world.clock.now() - begun;
    assert!(took < TimeDelta::seconds(63), "{took}");
}

#[tokio::test(start_paused = true)]
async fn s9_a_storm_that_fails_at_the_deadline_is_over_within_the_reserve() {
    let world = World::lit([]);
    world.house.0.looks.plan([Fault::Throttled; 10_000]);
    let tenth = |call: &str| Duration::from_millis(if call == "write" { 100 } else { 0 });
    let engine = world.slow_engine(&json!({}), tenth);
    let ids: Vec<_> = (0..100).map(|index| format!("cell-{index:03}")).collect();
    let events: Vec<_> = ids.iter().map(|id| config(id)).collect();
    let messages: Vec<_> = ids
        .iter()
        .zip(&events)
        .map(|(id, event)| (id.as_str(), 1, event))
        .collect();
    let begun = world.clock.now();
    let mut done = world.batch(&engine, &messages).await;
    let took = world.clock.now() - begun;
    assert!(took <= TimeDelta::seconds(62), "{took}");
    done.redeliver.sort();
    assert_eq!(done.redeliver, ids);
    let recorded = world.ledger.records().len();
    assert!((1..100).contains(&recorded), "{recorded}");
    let repeated = world.told.0.reports().iter().filter(|report| report.repeated).count();
    assert_eq!(
        recorded + repeated,
        100,
        "what is not recorded is not known to be the first time"
    );
}

#[tokio::test(start_paused = true)]
async fn what_comes_again_is_looked_up_together() {
    let world = World::lit([]);
    let second = |call: &str| Duration::from_secs((call == "of_finding").into());
    let engine = world.slow_engine(&json!({}), second);
    let ids: Vec<_> = (0..40).map(|index| format!("lamp-{index:03}")).collect();
    let events: Vec<_> = ids.iter().map(|id| config(id)).collect();
    let messages: Vec<_> = ids
        .iter()
        .zip(&events)
        .map(|(id, event)| (id.as_str(), 2, event))
        .collect();
    let begun = world.clock.now();
    assert_eq!(world.batch(&engine, &messages).await.redeliver, [""; 0]);
    let took = world.clock.now() - begun;
    assert!(took <= TimeDelta::seconds(5), "{took}");
}

#[tokio::test(start_paused = true)]
async fn security_hub_is_answered_where_this_is_the_answer() {
    let world = World::lit(["a", "b"]);
    let engine = world.engine();
    world.deliver(&engine, &control("S3.17", "a")).await;
    world.deliver(&engine, &control("S3.5", "b")).await;
    let reports = world.told.0.reports();
    let is_direct = |report: &Report| report.channels == BTreeSet::from([Channel::Direct]);
    assert_eq!([is_direct(&reports[0]), is_direct(&reports[1])], [false, true]);
}

#[tokio::test(start_paused = true)]
async fn our_own_answer_that_comes_back_is_not_answered() {
    let world = World::lit(["a"]);
    let engine = world.engine();
    let event = control("S3.17", "a");
    world.deliver(&engine, &event).await;
    let mut answered = event.clone();
    answered["detail"]["findings"][0]["Workflow"]["Status"] = json!("RESOLVED");
    assert_eq!(world.deliver(&engine, &answered).await, ["a Declined answered"]);
    assert_eq!(world.told.0.reports().len(), 1);
    // A twin that still counts as new there is answered.
    assert_eq!(world.deliver(&engine, &event).await, ["a Remediated out"]);
    assert_eq!(world.told.0.reports().len(), 2);
    assert_eq!(world.told.0.notices().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_explanation_writes_nothing_in_any_mode() {
    let world = World::lit(["a", "odd", "left", "guarded"]);
    let engine = world.engine_with(&json!({ "mode": "off" }), Faults::default());
    for (lamp, expected) in [
        ("a", "a WouldRemediate put-out"),
        ("b", "b AlreadyInPlace out"),
        ("odd", "odd Escalated odd"),
        ("left", "left Declined left"),
        ("guarded", "guarded Declined protected"),
        ("gone", "gone Declined gone"),
    ] {
        assert_eq!(world.explain(&engine, &config(lamp)).await.unwrap(), [expected]);
    }
    assert_eq!((world.ledger.writes(), world.written().len()), (0, 0));
    assert!(world.told.0.reports().is_empty());
}

#[tokio::test(start_paused = true)]
async fn s25_an_explanation_passes_over_the_mode_and_over_no_guardrail() {
    let world = World::lit(["a"]);
    let engine = world.engine();
    let mut suppressed = control("S3.17", "a");
    suppressed["detail"]["findings"][0]["Workflow"]["Status"] = json!("SUPPRESSED");
    let undo = chosen("Undo remediation", "a");
    for settings in [json!({ "mode": "off" }), json!({}), json!({ "stop": true })] {
        let explaining = world.engine_with(&settings, Faults::default());
        for (event, expected) in [
            (&suppressed, "declined suppressed"),
            (&chosen("Something", "a"), "declined other-action"),
            (&chosen("Remediate", "a"), "a WouldRemediate put-out"),
            (&undo, "declined nothing-to-undo"),
        ] {
            assert_eq!(
                world.explain(&explaining, event).await.unwrap(),
                [expected],
                "{settings}"
            );
        }
    }

    // An undo is explained as one.
    world.deliver(&engine, &control("S3.17", "a")).await;
    let before = (world.record("a"), world.ledger.writes());
    for settings in [json!({ "mode": "off" }), json!({}), json!({ "stop": true })] {
        let explaining = world.engine_with(&settings, Faults::default());
        assert_eq!(
            world.explain(&explaining, &undo).await.unwrap(),
            ["a WouldRemediate light"]
        );
    }
    assert_eq!((world.record("a"), world.ledger.writes()), before);
    assert_eq!(world.written().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_wrote_first_is_heard() {
    // Two instances with the same finding: the one that comes late adopts what the other has done.
    let world = World::lit(["a"]);
    let (one, other) = (world.engine(), world.engine());
    let event = config("a");
    let (first, second) = future::join(world.deliver(&one, &event), world.deliver(&other, &event)).await;
    assert_eq!(
        (first, second),
        (vec!["a Remediated out".to_owned()], vec!["a Remediated out".to_owned()])
    );
    assert_eq!(world.ledger.records().len(), 1);
    assert_eq!(world.told.0.notices(), ["Remediated a"]);
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_fails_keeps_the_message() {
    let world = World::lit(["a"]);
    let engine = world.engine_with(&json!({}), Faults::new([Fault::Denied; 100]));
    let event = config("a");
    let done = world.batch(&engine, &[("m", 1, &event)]).await;
    assert_eq!(
        (done.redeliver, told(&done.summary)),
        (vec!["m".to_owned()], vec!["a Failed denied".to_owned()])
    );
    assert!(world.written().is_empty());
    let done = world.batch(&engine, &[("m", 2, &event)]).await;
    assert_eq!(done.redeliver, ["m"]);
    assert!(world.written().is_empty(), "nothing is written that is not recorded");
}

#[tokio::test(start_paused = true)]
async fn instances_take_turns() {
    let world = World::lit(["a", "b"]);
    let every = Duration::from_secs(2);
    world.house.lamps(|lamps| {
        lamps.pace = Some(Pace {
            key: "switch".to_owned(),
            every,
            look_within: Duration::from_secs(1),
        });
    });
    let engine = world.engine();
    let begun = world.clock.now();
    world.deliver(&engine, &config("a")).await;
    assert!(world.clock.now() - begun < TimeDelta::seconds(1));
    world.deliver(&engine, &config("b")).await;
    let took = (world.clock.now() - begun).to_std().unwrap();
    assert!((every..2 * every).contains(&took), "{took:?}");

    // What was seen too long ago does not lead to a write.
    let world = World::lit(["a"]);
    world.house.lamps(|lamps| {
        lamps.pace = Some(Pace {
            key: "switch".to_owned(),
            every,
            look_within: Duration::from_secs(1),
        });
    });
    world
        .house
        .0
        .looks
        .plan([Fault::Late, Fault::Late, Fault::None, Fault::None]);
    assert_eq!(world.deliver(&world.engine(), &config("a")).await, ["a Remediated out"]);
    assert_eq!(world.house.lamps(|lamps| lamps.looked_for.len()), 4);
}

#[tokio::test(start_paused = true)]
async fn an_expiry_is_recorded_before_it_is_made_and_once() {
    let world = World::lit(["brief"]);
    let engine = world.engine();
    world.deliver(&engine, &config("brief")).await;
    world.house.lamps(|lamps| lamps.seen.is_dawn = true);
    world.house.0.writes.plan([Fault::Denied, Fault::Denied]);
    engine.sweep(world.deadline()).await;
    let phase = world.standing("brief").await.unwrap().phase;
    assert!(
        matches!(&phase, Phase::Releasing(reason) if reason.code == "dawn"),
        "{phase:?}"
    );
    let writes = world.ledger.writes();
    engine.sweep(world.deadline()).await;
    assert_eq!((world.ledger.writes(), world.written().len()), (writes, 1));
    engine.sweep(world.deadline()).await;
    assert!(world.standing("brief").await.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_ended_by_itself_and_is_made_again_has_not_ended() {
    let world = World::lit(["brief"]);
    let engine = world.engine();
    world.house.0.writes.plan([Fault::Denied]);
    world.deliver(&engine, &config("brief")).await;
    world.house.lamps(|lamps| lamps.seen.is_dawn = true);
    engine.sweep(world.deadline()).await;
    assert!(world.record("brief").released.is_some());
    world.house.lamps(|lamps| lamps.seen.is_dawn = false);
    assert_eq!(world.deliver(&engine, &config("brief")).await, ["brief Remediated out"]);
    assert_eq!(world.record("brief").released, None);
}

#[tokio::test(start_paused = true)]
async fn the_schedule_notes_what_a_change_has_become() {
    let world = World::lit(["a"]);
    let engine = world.engine();
    world.deliver(&engine, &config("a")).await;
    world.house.lamps(|lamps| {
        "red".clone_into(&mut lamps.seen.colour);
        lamps.seen.lit.insert("a".to_owned());
    });
    engine.sweep(world.deadline()).await;
    assert_eq!(world.standing("a").await.unwrap().change, "red");
    assert_eq!(world.written().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_has_changed_is_recorded_anew_and_spends_once() {
    let world = World::lit(["a"]);
    world.house.lamps(|lamps| lamps.fading = Some("red".to_owned()));
    world.house.0.writes.plan([Fault::Before]);
    let engine = world.engine_with(&json!({ "changesPerHour": 1 }), Faults::default());
    assert_eq!(world.deliver(&engine, &config("a")).await, ["a Remediated out"]);
    assert_eq!(world.record("a").change, Some(json!("red")));
    assert_eq!(world.standing("a").await.unwrap().change, "red");
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_never_comes_to_rest_is_a_failure() {
    let world = World::lit(["restless"]);
    let engine = world.engine();
    assert_eq!(
        world.deliver(&engine, &config("restless")).await,
        ["restless Failed transient"]
    );
    assert_eq!(world.house.lamps(|lamps| lamps.looked_for.len()), 400);
}

#[tokio::test(start_paused = true)]
async fn a_conflict_leads_to_another_look_and_is_counted() {
    let world = World::lit(["a"]);
    world.house.lamps(|lamps| lamps.contested = 2);
    assert_eq!(world.deliver(&world.engine(), &config("a")).await, ["a Remediated out"]);
    assert_eq!(world.gauge("Conflicts"), [2.0]);
    assert_eq!(world.written().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_came_to_nothing_is_nothing_to_undo() {
    let world = World::lit(["a", "b"]);
    let dry = world.engine_with(&json!({ "mode": "dry-run" }), Faults::default());
    let engine = world.engine();
    world.deliver(&dry, &config("a")).await;
    world.house.lamps(|lamps| lamps.seen.lit.remove("a"));
    assert_eq!(world.deliver(&engine, &config("a")).await, ["a AlreadyInPlace out"]);
    assert_eq!((world.record("a").change, world.record("a").image), (None, None));
    world.deliver(&engine, &config("left")).await;
    for lamp in ["a", "left"] {
        assert_eq!(world.undo(&engine, lamp).await, Err("Refused".to_owned()), "{lamp}");
    }
    // What was announced may have been made: a dry run leaves its record, and it can be taken back.
    world.house.0.writes.plan([Fault::Denied]);
    world.deliver(&engine, &config("b")).await;
    let before = world.record("b");
    assert_eq!(world.deliver(&dry, &config("b")).await, ["b WouldRemediate put-out"]);
    assert_eq!(world.record("b"), before);
    assert_eq!(world.undo(&engine, "b").await.unwrap(), ["b Undone lit"]);
}

#[tokio::test(start_paused = true)]
async fn a_sample_is_acted_on_only_if_a_setting_says_so() {
    let world = World::lit(["a"]);
    let mut sample = control("S3.17", "a");
    sample["detail"]["findings"][0]["Title"] = json!("[SAMPLE] a control");
    assert_eq!(world.deliver(&world.engine(), &sample).await, ["a Declined sample"]);
    let settings = json!({ "functions": { "block-ip": { "sampleFindings": true } } });
    let engine = world.engine_with(&settings, Faults::default());
    assert_eq!(world.deliver(&engine, &sample).await, ["a Remediated out"]);
}

#[tokio::test(start_paused = true)]
async fn a_finding_that_still_counts_as_new_is_answered_whatever_its_twin_says() {
    let world = World::lit(["a"]);
    let engine = world.engine();
    let event = control("S3.17", "a");
    world.deliver(&engine, &event).await;
    let mut answered = event.clone();
    answered["detail"]["findings"][0]["Workflow"]["Status"] = json!("NOTIFIED");
    for batch in [
        [("1", 1, &answered), ("2", 1, &event)],
        [("3", 1, &event), ("4", 1, &answered)],
    ] {
        assert_eq!(told(&world.batch(&engine, &batch).await.summary), ["a Remediated out"]);
    }
}

#[tokio::test(start_paused = true)]
async fn people_and_sources_are_told_each_for_themselves() {
    for (deaf, untold, unanswered) in [(Deaf::People, true, false), (Deaf::Sources, false, true)] {
        let world = World::lit(["a"]);
        let engine = world.engine();
        let event = control("S3.17", "a");
        *world.told.2.lock().unwrap() = deaf;
        assert_eq!(
            world.batch(&engine, &[("m", 1, &event)]).await.redeliver,
            ["m"],
            "{deaf:?}"
        );
        let record = world.record("a");
        assert_eq!((record.untold, record.unanswered), (untold, unanswered), "{deaf:?}");
        let told = world.told.0.reports().len();
        *world.told.2.lock().unwrap() = Deaf::Nobody;
        assert_eq!(world.batch(&engine, &[("m", 2, &event)]).await.redeliver, [""; 0]);
        assert_eq!(world.told.0.reports().len(), told + 1, "{deaf:?}");
        assert_eq!(world.told.0.reports()[told].notice, untold, "{deaf:?}");
        let record = world.record("a");
        assert!(!record.untold && !record.unanswered, "{deaf:?}");
    }
    // Nobody but people is to be told of what Config found.
    let world = World::lit(["a"]);
    let engine = world.engine();
    *world.told.2.lock().unwrap() = Deaf::People;
    let event = config("a");
    world.batch(&engine, &[("m", 1, &event)]).await;
    *world.told.2.lock().unwrap() = Deaf::Nobody;
    world.batch(&engine, &[("m", 2, &event)]).await;
    assert!(!world.record("a").untold);
    assert_eq!(world.told.0.reports().len(), 2);

    // An undo whose source alone does not know of it.
    *world.told.2.lock().unwrap() = Deaf::Sources;
    let world = World {
        told: world.told.clone(),
        ..World::lit(["a"])
    };
    let engine = world.engine();
    world.deliver(&engine, &control("S3.17", "a")).await;
    world.undo(&engine, "a").await.unwrap();
    *world.told.2.lock().unwrap() = Deaf::Nobody;
    let told = world.told.0.reports().len();
    assert_eq!(world.undo(&engine, "a").await, Err("Refused".to_owned()));
    assert_eq!(world.told.0.reports().len(), told + 1);
}

#[tokio::test(start_paused = true)]
async fn who_was_told_once_of_an_escalation_is_not_told_again() {
    let world = World::lit(["odd"]);
    let engine = world.engine();
    let event = config("odd");
    world.deliver(&engine, &event).await;
    world.batch(&engine, &[("m", 1, &event)]).await;
    assert!(!world.record("odd").untold);
    world.batch(&engine, &[("m", 2, &event)]).await;
    assert_eq!(world.told.0.notices(), ["Escalated odd"]);
}

#[tokio::test(start_paused = true)]
async fn another_message_that_comes_again_does_not_tell_for_it() {
    let world = World::lit(["a", "attic"]);
    let engine = world.engine();
    let event = control("S3.17", "a");
    world.told.0.is_out_of_reach(true);
    world.batch(&engine, &[("m", 1, &event)]).await;
    world.told.0.is_out_of_reach(false);
    let mut both = event.clone();
    both["detail"]["findings"][0]["Workflow"]["Status"] = json!("NOTIFIED");
    let resources = both["detail"]["findings"][0]["Resources"].as_array_mut().unwrap();
    let mut attic = resources[0].clone();
    attic["Id"] = json!("attic");
    resources.push(attic);
    world.house.0.writes.plan([Fault::Denied]);
    assert_eq!(world.batch(&engine, &[("other", 1, &both)]).await.redeliver, ["other"]);
    assert!(world.record("a").untold);
    assert!(world.standing("attic").await.is_none(), "each room has its own");
}

#[test]
fn what_became_of_two_parts_of_a_batch_is_one() {
    let of = |id: &str| BatchSummary {
        redeliver: vec![id.to_owned(), "both".to_owned()],
        summary: Summary {
            unsettled: vec![id.to_owned()],
            declined: vec![Reason::new(id, "")],
            ..Summary::default()
        },
    };
    let mut all = of("b");
    all.absorb(of("a"));
    assert_eq!(all.redeliver, ["a", "b", "both"]);
    assert_eq!(all.summary.unsettled, ["b", "a"]);
    assert_eq!(all.summary.declined.len(), 2);
}
