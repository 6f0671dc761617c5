//! One case: a scenario, a call of it, and what happens to that call.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use chrono::Utc;
use local_cloud::{Answer, AwsCall, Fault, Instance};
use remediation::ledger::chain::verify;
use remediation_aws::DynamoLedger;
use securecart_tests::{
    laboratory::{Laboratory, batch, comes_again, notices, resources},
    sdk_config,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::runtime::Runtime;

use crate::{
    fault::{Kind, Lasting},
    scenario::{Scenario, Then},
};

/// Three seconds of it are kept back for the report.
const DEADLINE: Duration = Duration::from_secs(9);
/// Times that an event is delivered before it would lie in the dead-letter queue.
const DELIVERIES: usize = 5;
/// A queue gives a message back after eleven minutes. Here it comes at once, and from the third time on so much later: by then whoever
/// took a turn to write and came no further has had it.
const LATER: Duration = Duration::from_secs(10);

pub struct Case {
    pub scenario: &'static Scenario,
    pub index: usize,
    pub kind: Kind,
    pub lasting: Lasting,
}

impl Case {
    /// Whether a fixed sample of one case in so many has it, spread over scenarios, calls and faults.
    pub fn is_sampled(&self, one_of: u16) -> bool {
        let digest = Sha256::digest(self.to_string());
        u16::from_be_bytes([digest[0], digest[1]]).is_multiple_of(one_of)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lasting = if self.lasting == Lasting::Once {
            "once"
        } else {
            "until redelivery"
        };
        write!(
            f,
            "{}, call {}, {}, {lasting}",
            self.scenario.name,
            self.index,
            self.kind.name()
        )
    }
}

/// What a function is called with.
enum Payload {
    /// The event as a message of its queue.
    Message(Value),
    /// As it is.
    Call(Value),
}

impl Payload {
    fn delivered(&self, times: usize) -> Value {
        match self {
            Self::Message(event) => batch(std::slice::from_ref(event), times),
            Self::Call(payload) => payload.clone(),
        }
    }
}

/// What a scenario comes to when nothing breaks.
pub struct Undisturbed {
    pub calls: Vec<String>,
    /// Before the call for the change.
    begin: BTreeSet<String>,
    /// In the end.
    end: BTreeSet<String>,
    records: BTreeMap<String, String>,
    notices: Vec<String>,
}

pub struct Bench {
    laboratory: Laboratory,
    /// To verify the chain of records.
    ledger: DynamoLedger,
    runtime: Runtime,
}

impl Bench {
    pub fn new(laboratory: Laboratory) -> Self {
        let runtime = Runtime::new().unwrap();
        let table = &laboratory.stack.deployment.outputs["LedgerTableName"];
        let config = runtime.block_on(sdk_config(laboratory.stack.cloud.endpoint()));
        let ledger = DynamoLedger::new(aws_sdk_dynamodb::Client::new(&config), table.clone());
        Self {
            laboratory,
            ledger,
            runtime,
        }
    }

    pub fn undisturbed(&self, scenario: &'static Scenario) -> Undisturbed {
        let payload = self.prepare(scenario);
        let begin = self.state();
        self.laboratory.proxy.plan(|_| Fault::None);
        let mut instance = self.laboratory.instance(scenario.function).unwrap();
        let answer = instance.invoke(&payload.delivered(1), DEADLINE);
        assert!(is_done(&answer), "{}: {answer:?}", scenario.name);
        let calls = self.laboratory.proxy.calls();
        let undisturbed = Undisturbed {
            begin,
            end: self.state(),
            records: self.laboratory.records().unwrap(),
            notices: notices(&calls),
            calls: calls.iter().map(ToString::to_string).collect(),
        };
        self.verify_chain(scenario).unwrap();
        undisturbed
    }

    /// The account as it was, and the scenario up to what is to be disturbed.
    fn prepare(&self, scenario: &'static Scenario) -> Payload {
        self.laboratory.stack.cloud.restore().unwrap();
        let event = scenario.event();
        if scenario.then == Then::Nothing {
            return Payload::Message(event);
        }
        self.laboratory.proxy.plan(|_| Fault::None);
        let mut instance = self.laboratory.instance(scenario.function).unwrap();
        let answer = instance.invoke(&Payload::Message(event.clone()).delivered(1), DEADLINE);
        assert!(is_done(&answer), "{}: {answer:?}", scenario.name);
        let records = self.laboratory.records().unwrap();
        let (made, _) = records.iter().find(|(_, status)| *status == "Remediated").unwrap();
        match scenario.then {
            Then::Nothing | Then::Again => Payload::Message(event),
            Then::Also(other) => Payload::Message(securecart_tests::stack::sample(scenario.function, other)),
            Then::Undo => Payload::Call(json!({ "undo": made, "by": "operator" })),
            Then::Schedule => Payload::Call(securecart_tests::stack::sample("block-ip", "schedule")),
        }
    }

    /// Runs the case, and says what is wrong with how it went.
    pub fn run(&self, case: &Case, undisturbed: &Undisturbed) -> Result<(), String> {
        let payload = self.prepare(case.scenario);
        let mut instance = self.laboratory.instance(case.scenario.function).unwrap();
        self.break_it(case, &instance);
        let mut said = Vec::new();
        for delivery in 0..DELIVERIES {
            let answer = instance.invoke(&payload.delivered(delivery + 1), DEADLINE);
            let calls = self.laboratory.proxy.calls();
            said.extend(notices(&calls));
            let state = self.state();
            self.is_true(case, undisturbed, &state, &calls, &answer)
                .map_err(|problem| format!("delivery {delivery}: {problem}"))?;
            if is_done(&answer) || is_refused_as_done(case, &answer) {
                return self.is_right(case, undisturbed, &state, &said);
            }
            if matches!(answer, Answer::Ended(_) | Answer::TimedOut) {
                drop(instance);
                instance = self.laboratory.instance(case.scenario.function).unwrap();
            }
            // It has passed.
            self.laboratory.proxy.plan(|_| Fault::None);
            if delivery + 1 == DELIVERIES {
                return Err(format!("it would lie in the dead-letter queue: {answer:?}"));
            }
            if delivery > 0 {
                std::thread::sleep(LATER);
            }
        }
        unreachable!("the last delivery returns")
    }

    fn break_it(&self, case: &Case, instance: &Instance) {
        let (kill, kind, lasting, index) = (instance.kill(), case.kind, case.lasting, case.index);
        let mut broken: Option<String> = None;
        self.laboratory.proxy.plan(move |call: &AwsCall| {
            let named = call.to_string();
            let lasts = lasting == Lasting::ThroughTheDelivery && broken.as_deref() == Some(named.as_str());
            if call.index == index {
                broken = Some(named);
            }
            if call.index == index || lasts {
                kind.fault(&kill)
            } else {
                Fault::None
            }
        });
    }

    /// After each delivery: what is reported as done is done, and nobody else's is touched.
    fn is_true(
        &self,
        case: &Case,
        undisturbed: &Undisturbed,
        state: &BTreeSet<String>,
        calls: &[AwsCall],
        answer: &Answer,
    ) -> Result<(), String> {
        let done = match case.scenario.then {
            Then::Undo => "Undone",
            _ => "Remediated",
        };
        let recorded = self.laboratory.records().map_err(|error| error.to_string())?;
        // Where there are several targets, one may be done before the other.
        let expected = undisturbed.records.values().filter(|status| *status == done).count();
        let is_recorded = recorded.values().filter(|status| *status == done).count() == expected;
        let tell = |call: &&AwsCall| matches!(call.operation.as_str(), "Publish" | "BatchUpdateFindings");
        let mut told = calls.iter().filter(tell);
        let is_told = expected == 1 && told.any(|call| String::from_utf8_lossy(&call.body).contains(done));
        let is_answered = matches!(answer, Answer::Response(response) if response.to_string().contains(done));
        let is_reported = expected > 0 && (is_recorded || is_told || is_answered);
        if is_reported && resources(state) != resources(&undisturbed.end) {
            return Err(format!(
                "reported as {done}, and it is not: {}",
                difference(state, &undisturbed.end)
            ));
        }
        // Whatever differs from the beginning and from the end is neither ours nor anybody's wish.
        let foreign: Vec<_> = undisturbed
            .begin
            .intersection(&undisturbed.end)
            .filter(|line| !state.contains(*line))
            .collect();
        if foreign.is_empty() {
            Ok(())
        } else {
            Err(format!("somebody else's was touched: {foreign:?}"))
        }
    }

    /// In the end: the state, the ledger, Security Hub and the notices are as if nothing had happened.
    fn is_right(
        &self,
        case: &Case,
        undisturbed: &Undisturbed,
        state: &BTreeSet<String>,
        said: &[String],
    ) -> Result<(), String> {
        if *state != undisturbed.end {
            return Err(format!("another end: {}", difference(state, &undisturbed.end)));
        }
        let records = self.laboratory.records().map_err(|error| error.to_string())?;
        let is_besides = |(id, status): (&String, &String)| match undisturbed.records.get(id) {
            Some(expected) => expected != status,
            None => status != "AlreadyInPlace",
        };
        let is_missing = undisturbed.records.keys().any(|id| !records.contains_key(id));
        // A finding that comes again may lead to what is in order by now, which is a matter of its own.
        if is_missing || records.iter().any(is_besides) {
            return Err(format!(
                "another ledger: {records:?}, and not {:?}",
                undisturbed.records
            ));
        }
        // An event that comes again is told of again rather than not at all; and so is one of several changes, where the ledger did not take
        // that it had been told.
        let is_write = undisturbed
            .calls
            .get(case.index)
            .is_some_and(|call| call == "dynamodb:TransactWriteItems");
        let is_unnoted = is_write && case.lasting == Lasting::ThroughTheDelivery && undisturbed.notices.len() > 1;
        let repeats = case.kind.may_repeat() || case.scenario.then == Then::Again || is_unnoted;
        for notice in &undisturbed.notices {
            let times = said.iter().filter(|said| *said == notice).count();
            if times == 0 || (times > 1 && !repeats) {
                return Err(format!("told {times} times: {notice}"));
            }
        }
        let is_other = |said: &&String| !undisturbed.notices.contains(said) && !repeats;
        if let Some(other) = said.iter().find(is_other) {
            return Err(format!("told besides: {other}"));
        }
        self.verify_chain(case.scenario)
    }

    fn verify_chain(&self, scenario: &Scenario) -> Result<(), String> {
        let whole = self.runtime.block_on(self.ledger.whole(scenario.function));
        let (links, stored) = whole.map_err(|failure| failure.to_string())?;
        let flaws = verify(&links, &stored, Utc::now());
        if flaws.is_empty() {
            Ok(())
        } else {
            Err(format!("the chain: {flaws:?}"))
        }
    }

    fn state(&self) -> BTreeSet<String> {
        self.laboratory.stack.cloud.state().unwrap()
    }
}

/// Whether nothing has to come again.
fn is_done(answer: &Answer) -> bool {
    match answer {
        Answer::Response(response) if response.get("batchItemFailures").is_some() => !comes_again("0", answer),
        Answer::Response(_) => true,
        _ => false,
    }
}

/// An order that was carried out although its answer was lost is refused when it is given again, which says so.
fn is_refused_as_done(case: &Case, answer: &Answer) -> bool {
    let Answer::Error(error) = answer else { return false };
    case.scenario.then == Then::Undo && error.to_string().contains("it has been undone already")
}

fn difference(found: &BTreeSet<String>, expected: &BTreeSet<String>) -> String {
    let more: Vec<_> = found.difference(expected).collect();
    let less: Vec<_> = expected.difference(found).collect();
    if let ([more], [less]) = (more.as_slice(), less.as_slice()) {
        // Of two versions of one long line, what is not the same.
        let start = more
            .bytes()
            .zip(less.bytes())
            .take_while(|(a, b)| a == b)
            .count()
            .saturating_sub(60);
        let part = |line: &str| {
            String::from_utf8_lossy(&line.as_bytes()[start..])
                .chars()
                .take(500)
                .collect::<String>()
        };
        return format!("there is …{} and not …{}", part(more), part(less));
    }
    format!("there is {more:#?}, and there is not {less:#?}")
}
