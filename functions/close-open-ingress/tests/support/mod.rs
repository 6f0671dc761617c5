//! `close-open-ingress` on security groups that behave like EC2's, and break when told to.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use close_open_ingress::{CloseOpenIngress, Group, GroupRef, Groups, Opening, Rule, Settings, Write};
use remediation::{
    Approved, Receipt,
    clock::{Clock, Deadline},
    engine::Summary,
    failure::{Class, Failure},
    ledger::MemoryLedger,
};
use serde_json::{Value, json};
use testkit::{ACCOUNT, Faults, TokioClock, events, locked, samples};

pub const GROUP: &str = "sg-0a1b2c3d4e5f60718";

/// EC2: rules are found by what they let in; one that is put back gets an id of its own.
#[derive(Debug, Default)]
pub struct Ec2Double {
    groups: Mutex<BTreeMap<String, Group>>,
    writes: Mutex<u64>,
    /// What becomes of the next writes.
    pub faults: Faults,
}

impl Ec2Double {
    pub fn put(&self, id: &str, group: Group) {
        locked(&self.groups).insert(id.to_owned(), group);
    }

    pub fn remove(&self, id: &str) {
        locked(&self.groups).remove(id);
    }

    /// What the group's rules let in.
    pub fn openings(&self, id: &str) -> Vec<String> {
        let groups = locked(&self.groups);
        groups[id].rules.iter().map(|rule| rule.opening.to_string()).collect()
    }

    pub fn rules(&self, id: &str) -> Vec<Rule> {
        locked(&self.groups)[id].rules.clone()
    }

    pub fn writes(&self) -> u64 {
        *locked(&self.writes)
    }

    fn carry_out(&self, write: &Write) -> Result<(), Failure> {
        let refused = |code: &str| Failure::new(Class::Conflict, "ec2:write", code, "");
        let mut groups = locked(&self.groups);
        let mut writes = locked(&self.writes);
        let (Write::Revoke(reference, _) | Write::Authorize(reference, _)) = write;
        let gone = || Failure::new(Class::Permanent, "ec2:write", "InvalidGroup.NotFound", "");
        let group = groups.get_mut(&reference.id).ok_or_else(gone)?;
        match write {
            Write::Revoke(_, openings) => {
                if openings.iter().any(|opening| group.rule(opening).is_none()) {
                    return Err(refused("InvalidPermission.NotFound"));
                }
                group.rules.retain(|rule| !openings.contains(&rule.opening));
            }
            Write::Authorize(_, rule) => {
                if group.rule(&rule.opening).is_some() {
                    return Err(refused("InvalidPermission.Duplicate"));
                }
                let id = format!("sgr-{:017}", *writes);
                group.rules.push(Rule { id, ..rule.clone() });
            }
        }
        *writes += 1;
        Ok(())
    }
}

#[derive(Debug, Clone)]
pub struct Shared(Arc<Ec2Double>);

impl Groups for Shared {
    async fn group(&self, group: &GroupRef) -> Result<Option<Group>, Failure> {
        Ok(locked(&self.0.groups).get(&group.id).cloned())
    }

    async fn write(&self, write: &Approved<Write>) -> Result<Receipt, Failure> {
        let carry_out = || self.0.carry_out(write.write());
        self.0.faults.around("ec2:write", carry_out)?;
        Ok(Receipt::default())
    }
}

pub type Instance = testkit::Instance<CloseOpenIngress<Shared>>;

pub struct World {
    pub ec2: Arc<Ec2Double>,
    pub ledger: Arc<MemoryLedger>,
    pub clock: TokioClock,
}

/// A rule, from `tcp 22 0.0.0.0/0`, `tcp 0-65535 ::/0` or `-1 * 0.0.0.0/0`.
pub fn rule(id: &str, text: &str) -> Rule {
    let mut parts = text.split(' ');
    let protocol = parts.next().unwrap().to_owned();
    let ports = parts.next().unwrap();
    let (from, to) = ports.split_once('-').unwrap_or((ports, ports));
    Rule {
        id: id.to_owned(),
        opening: Opening {
            protocol,
            from: from.parse().unwrap_or(-1),
            to: to.parse().unwrap_or(-1),
            source: parts.next().unwrap().parse().unwrap(),
        },
        description: Some(format!("for {text}")),
        tags: BTreeMap::from([("team".to_owned(), "platform".to_owned())]),
    }
}

impl World {
    /// With the group of the samples, which has these rules.
    pub fn with(rules: &[(&str, &str)]) -> Self {
        let world = Self {
            ec2: Arc::default(),
            ledger: Arc::default(),
            clock: TokioClock::starting_at(samples::now()),
        };
        let group = Group {
            name: "securecart-bastion".to_owned(),
            rules: rules.iter().map(|(id, text)| rule(id, text)).collect(),
        };
        world.ec2.put(GROUP, group);
        world
    }

    pub fn instance(&self) -> Instance {
        self.instance_with(&json!({}))
    }

    pub fn instance_with(&self, settings: &Value) -> Instance {
        let document = testkit::settings::document("close-open-ingress", &[&json!({ "mode": "enforce" }), settings]);
        let settings = Settings::read(&document).unwrap();
        let function = CloseOpenIngress::new(Shared(Arc::clone(&self.ec2)), settings.limits);
        testkit::instance(settings.policy, function, &self.ledger, self.clock)
    }

    pub fn deadline(&self) -> Deadline {
        Deadline::after(Duration::from_secs(57), self.clock.now())
    }

    pub fn openings(&self) -> Vec<String> {
        self.ec2.openings(GROUP)
    }
}

/// One event, from intake to its outcomes, each as `target outcome code`.
pub async fn deliver(instance: &Instance, world: &World, event: &Value) -> (Vec<String>, Summary) {
    let summary = testkit::deliver(instance, world.deadline(), event).await;
    (told(&summary), summary)
}

pub fn told(summary: &Summary) -> Vec<String> {
    let mut told = testkit::told(summary, |report, code| {
        let target = report.target.trim_start_matches(GROUP).trim();
        format!("{target}: {} {code}", report.outcome.name())
    });
    told.sort();
    told
}

const SEEN: &str = "2026-11-20T00:00:00Z";

/// A control of Security Hub about the group.
pub fn control(control: &str, id: &str) -> Value {
    let group = format!("arn:aws:ec2:us-east-1:{ACCOUNT}:security-group/{GROUP}");
    events::control(control, id, ("AwsEc2SecurityGroup", &group), SEEN)
}

/// What CloudTrail tells of rules that were added.
pub fn added(event: &str, rules: &[&str]) -> Value {
    let items: Vec<_> = rules
        .iter()
        .map(|id| json!({ "groupId": GROUP, "securityGroupRuleId": id }))
        .collect();
    let detail = json!({
        "eventID": event, "eventTime": SEEN, "eventSource": "ec2.amazonaws.com", "eventName": "AuthorizeSecurityGroupIngress",
        "awsRegion": "us-east-1", "recipientAccountId": ACCOUNT, "requestParameters": { "groupId": GROUP },
        "responseElements": { "securityGroupRuleSet": { "items": items } }
    });
    events::envelope("aws.ec2", "AWS API Call via CloudTrail", SEEN, detail)
}
