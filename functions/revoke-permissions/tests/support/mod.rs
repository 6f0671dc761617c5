//! `revoke-permissions` on an account that behaves like IAM's, and breaks when told to.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::TimeDelta;
use remediation::{
    Approved, Receipt,
    clock::{Clock, Deadline, Timestamp},
    engine::Summary,
    failure::{Class, Failure},
    ids::{BucketName, PrincipalName, UniqueId},
    ledger::MemoryLedger,
    policy::says_the_same,
    settings::{Document, SettingsReader},
};
use revoke_permissions::{
    Account, Analysis, Bearer, Environment, Holder, Kind, Place, Policies, Policy, PolicyArn, Recommendation,
    RevokePermissions, Settings, Version, Write,
};
use serde_json::{Value, json};
pub use testkit::ACCOUNT;
use testkit::{Faults, TokioClock, events, locked};

pub const ADMIN: &str = "arn:aws:iam::aws:policy/AdministratorAccess";

/// All that the double holds.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Directory {
    pub account: Account,
    pub aws_managed: BTreeMap<String, String>,
    pub buckets: BTreeMap<String, Option<String>>,
    pub recommendations: BTreeMap<String, Recommendation>,
    /// Users that have neither a password nor a key.
    pub inactive: BTreeSet<String>,
}

/// IAM, IAM Access Analyzer and S3: what is written is seen by reads only after `lag`.
#[derive(Debug)]
pub struct Double {
    now: Mutex<Directory>,
    on_its_way: Mutex<Vec<(Timestamp, Write)>>,
    clock: TokioClock,
    /// What becomes of the next writes.
    pub faults: Faults,
    lag: Mutex<Duration>,
    /// How long it takes to read the account.
    pub reading: Mutex<Duration>,
    writes: Mutex<Vec<String>>,
    /// How often a recommendation is still being made.
    pub in_progress: Mutex<u32>,
}

fn refused(operation: &str, code: &str) -> Failure {
    Failure::new(Class::Permanent, operation, code, "refused by the double")
}

pub fn arn(text: &str) -> PolicyArn {
    PolicyArn::parse(text).unwrap()
}

pub fn own(name: &str) -> PolicyArn {
    arn(&format!("arn:aws:iam::{ACCOUNT}:policy/{name}"))
}

pub fn bearer(kind: Kind, name: &str) -> Bearer {
    let prefix = match kind {
        Kind::User => "AIDA",
        Kind::Role => "AROA",
        Kind::Group => "AGPA",
    };
    Bearer {
        kind,
        name: PrincipalName::parse(name).unwrap(),
        id: unique_id(prefix, name),
    }
}

/// The id of what has this name.
fn unique_id(prefix: &str, name: &str) -> UniqueId {
    let letters: String = name
        .bytes()
        .filter(u8::is_ascii_alphanumeric)
        .map(|b| char::from(b.to_ascii_uppercase()))
        .collect();
    UniqueId::parse(&format!("{prefix}{letters:0<12}")).unwrap()
}

impl Double {
    fn new(clock: TokioClock) -> Self {
        let mut directory = Directory::default();
        directory.aws_managed.insert(ADMIN.to_owned(), admin());
        directory.account.id = ACCOUNT.to_owned();
        Self {
            now: Mutex::new(directory),
            on_its_way: Mutex::default(),
            clock,
            faults: Faults::default(),
            lag: Mutex::default(),
            reading: Mutex::default(),
            writes: Mutex::default(),
            in_progress: Mutex::default(),
        }
    }

    pub fn lag(&self, lag: Duration) {
        *locked(&self.lag) = lag;
    }

    /// Changes whatever there is.
    pub fn change(&self, change: impl FnOnce(&mut Directory)) {
        self.arrive(None);
        change(&mut locked(&self.now));
    }

    pub fn state(&self) -> Directory {
        self.arrive(None);
        locked(&self.now).clone()
    }

    /// A user, role or group. Roles can be assumed by users of the account.
    pub fn holder(&self, kind: Kind, name: &str, change: impl FnOnce(&mut Holder)) -> Bearer {
        let bearer = bearer(kind, name);
        let mut holder = Holder {
            bearer: bearer.clone(),
            path: "/".to_owned(),
            tags: BTreeMap::new(),
            created: Some(self.clock.now() - TimeDelta::days(500)),
            attached: Vec::new(),
            inline: BTreeMap::new(),
            boundary: None,
            groups: Vec::new(),
            trust: (kind == Kind::Role).then(|| trusting(&json!({ "AWS": ACCOUNT }))),
            last_used: None,
        };
        change(&mut holder);
        locked(&self.now).account.holders.push(holder);
        bearer
    }

    pub fn edit(&self, bearer: &Bearer, change: impl FnOnce(&mut Holder)) {
        self.arrive(None);
        change(holder_mut(&mut locked(&self.now), bearer).unwrap());
    }

    pub fn get(&self, bearer: &Bearer) -> Holder {
        let state = self.state();
        let found = state
            .account
            .holders
            .into_iter()
            .find(|holder| holder.bearer == *bearer);
        found.unwrap()
    }

    /// A customer-managed policy in its first version.
    pub fn policy(&self, name: &str, text: &str) -> PolicyArn {
        let policy = Policy {
            arn: own(name),
            id: unique_id("ANPA", name),
            updated: Some(self.clock.now() - TimeDelta::days(100)),
            versions: vec![version("v1", true, text)],
        };
        locked(&self.now).account.policies.push(policy);
        own(name)
    }

    pub fn versions(&self, policy: &PolicyArn) -> Vec<Version> {
        self.state().account.policy(policy).unwrap().versions.clone()
    }

    pub fn text(&self, policy: &PolicyArn) -> String {
        self.state()
            .account
            .policy(policy)
            .unwrap()
            .default_version()
            .unwrap()
            .document
            .clone()
    }

    pub fn writes(&self) -> Vec<String> {
        locked(&self.writes).clone()
    }

    /// Lets arrive what is due; all of it, without a time.
    fn arrive(&self, by: Option<Timestamp>) {
        let mut on_its_way = locked(&self.on_its_way);
        let (due, later) = on_its_way.drain(..).partition(|(at, _)| by.is_none_or(|by| *at <= by));
        *on_its_way = later;
        let due: Vec<(Timestamp, Write)> = due;
        for (_, write) in due {
            locked(&self.now).apply(&write, self.clock.now()).unwrap();
        }
    }

    fn store(&self, write: &Write) -> Result<(), Failure> {
        let mut trial = locked(&self.now).clone();
        // Reads are late, what is stored is not.
        for (_, earlier) in locked(&self.on_its_way).iter() {
            trial.apply(earlier, self.clock.now())?;
        }
        trial.apply(write, self.clock.now())?;
        let at = self.clock.now() + *locked(&self.lag);
        locked(&self.on_its_way).push((at, write.clone()));
        self.arrive(Some(self.clock.now()));
        Ok(())
    }
}

pub fn version(id: &str, is_default: bool, text: &str) -> Version {
    Version {
        id: id.to_owned(),
        is_default,
        document: text.to_owned(),
    }
}

fn holder_mut<'a>(directory: &'a mut Directory, bearer: &Bearer) -> Option<&'a mut Holder> {
    directory
        .account
        .holders
        .iter_mut()
        .find(|holder| holder.bearer == *bearer)
}

impl Directory {
    fn text_at(&self, place: &Place) -> Option<String> {
        match place {
            Place::Managed(arn) => Some(self.account.policy(arn)?.default_version()?.document.clone()),
            Place::Inline(bearer, name) => self.account.holder(bearer)?.inline.get(name).cloned(),
            Place::Trust(bearer) => self.account.holder(bearer)?.trust.clone(),
            Place::Bucket(bucket) => self.buckets.get(bucket.as_str())?.clone(),
            Place::Attached(..) => None,
        }
    }

    fn policy_mut(&mut self, arn: &PolicyArn) -> Result<&mut Policy, Failure> {
        let found = self.account.policies.iter_mut().find(|policy| policy.arn == *arn);
        found.ok_or_else(|| refused("iam:policy", "NoSuchEntity"))
    }

    fn new_version(&mut self, arn: &PolicyArn, text: &str, now: Timestamp) -> Result<(), Failure> {
        let policy = self.policy_mut(arn)?;
        if policy.versions.len() >= 5 {
            return Err(refused("iam:CreatePolicyVersion", "LimitExceeded"));
        }
        let number = |version: &Version| version.id.trim_start_matches('v').parse::<u32>().unwrap();
        let next = policy.versions.iter().map(number).max().unwrap_or(0) + 1;
        for version in &mut policy.versions {
            version.is_default = false;
        }
        policy.versions.push(version(&format!("v{next}"), true, text));
        policy.updated = Some(now);
        Ok(())
    }

    fn delete_version(&mut self, arn: &PolicyArn, id: &str) -> Result<(), Failure> {
        let policy = self.policy_mut(arn)?;
        if policy
            .versions
            .iter()
            .any(|version| version.id == id && version.is_default)
        {
            return Err(refused("iam:DeletePolicyVersion", "DeleteConflict"));
        }
        policy.versions.retain(|version| version.id != id);
        Ok(())
    }

    fn put(&mut self, place: &Place, before: Option<&str>, text: Option<&str>, now: Timestamp) -> Result<(), Failure> {
        if !says_the_same(self.text_at(place).as_deref(), before) {
            return Err(Failure::new(
                Class::Conflict,
                "iam:write",
                "ChangedMeanwhile",
                "changed",
            ));
        }
        let gone = || refused("iam:write", "NoSuchEntity");
        match place {
            Place::Managed(arn) => self.new_version(arn, text.unwrap(), now)?,
            Place::Inline(bearer, name) => {
                let holder = holder_mut(self, bearer).ok_or_else(gone)?;
                match text {
                    Some(text) => drop(holder.inline.insert(name.clone(), text.to_owned())),
                    None => drop(holder.inline.remove(name).ok_or_else(gone)?),
                }
            }
            Place::Trust(bearer) => {
                holder_mut(self, bearer).ok_or_else(gone)?.trust = Some(text.unwrap().to_owned());
            }
            Place::Bucket(bucket) => {
                *self.buckets.get_mut(bucket.as_str()).ok_or_else(gone)? = text.map(str::to_owned);
            }
            Place::Attached(..) => panic!("no text at {place}"),
        }
        Ok(())
    }

    fn apply(&mut self, write: &Write, now: Timestamp) -> Result<(), Failure> {
        let gone = || refused("iam:write", "NoSuchEntity");
        match write {
            Write::Version {
                policy,
                from,
                displaced,
                change,
                ..
            } => {
                let default = self.policy_mut(policy)?.default_version().unwrap().clone();
                if default.id != *from || Some(default.document.as_str()) != change.before() {
                    return Err(Failure::new(
                        Class::Conflict,
                        "iam:write",
                        "ChangedMeanwhile",
                        "changed",
                    ));
                }
                if let Some(version) = displaced {
                    self.delete_version(policy, version)?;
                }
                self.new_version(policy, change.after().unwrap(), now)
            }
            Write::VersionBack { policy, to, ours } => {
                let default = self.policy_mut(policy)?.default_version().unwrap().id.clone();
                if default == *ours {
                    for version in &mut self.policy_mut(policy)?.versions {
                        version.is_default = version.id == *to;
                    }
                    return Ok(());
                }
                if default != *to {
                    return Err(Failure::new(
                        Class::Conflict,
                        "iam:write",
                        "ChangedMeanwhile",
                        "changed",
                    ));
                }
                self.delete_version(policy, ours)
            }
            Write::Text { place, change, .. } => self.put(place, change.before(), change.after(), now),
            Write::TextBack { place, found, wanted } => self.put(place, found.as_deref(), wanted.as_deref(), now),
            Write::Detach {
                bearer,
                policy,
                replacement,
                change,
                ..
            } => {
                let holder = holder_mut(self, bearer).ok_or_else(gone)?;
                if !holder.attached.contains(policy) {
                    return Err(Failure::new(
                        Class::Conflict,
                        "iam:write",
                        "ChangedMeanwhile",
                        "detached",
                    ));
                }
                if let Some(text) = change.after() {
                    holder.inline.insert(replacement.clone(), text.to_owned());
                }
                holder.attached.retain(|arn| arn != policy);
                Ok(())
            }
            Write::Attach {
                bearer,
                policy,
                replacement,
            } => {
                let holder = holder_mut(self, bearer).ok_or_else(gone)?;
                if !holder.attached.contains(policy) {
                    holder.attached.push(policy.clone());
                }
                if let Some(name) = replacement {
                    holder.inline.remove(name);
                }
                Ok(())
            }
        }
    }
}

/// Shared by all instances of a test, as AWS is.
#[derive(Debug, Clone)]
pub struct Shared(pub Arc<Double>);

impl Policies for Shared {
    async fn account(&self) -> Result<Arc<Account>, Failure> {
        let reading = *locked(&self.0.reading);
        tokio::time::sleep(reading).await;
        self.0.arrive(Some(self.0.clock.now()));
        Ok(Arc::new(locked(&self.0.now).account.clone()))
    }

    async fn aws_managed(&self, arn: &PolicyArn) -> Result<Option<String>, Failure> {
        Ok(locked(&self.0.now).aws_managed.get(arn.as_str()).cloned())
    }

    async fn bucket(&self, bucket: &BucketName) -> Result<Option<Option<String>>, Failure> {
        self.0.arrive(Some(self.0.clock.now()));
        Ok(locked(&self.0.now).buckets.get(bucket.as_str()).cloned())
    }

    async fn is_active(&self, user: &PrincipalName) -> Result<bool, Failure> {
        Ok(!locked(&self.0.now).inactive.contains(user.as_str()))
    }

    async fn recommendation(&self, analysis: &Analysis) -> Result<Recommendation, Failure> {
        let mut left = locked(&self.0.in_progress);
        if *left > 0 {
            *left -= 1;
            return Err(Failure::new(
                Class::Transient,
                "access-analyzer",
                "InProgress",
                "being made",
            ));
        }
        let known = locked(&self.0.now).recommendations.get(&analysis.finding).cloned();
        Ok(known.unwrap_or_else(|| Recommendation::None("no such finding (ResourceNotFound)".to_owned())))
    }

    async fn write(&self, write: &Approved<Write>) -> Result<Receipt, Failure> {
        let write = write.write();
        let told = format!("{write:?}");
        locked(&self.0.writes).push(told.split([' ', '{']).next().unwrap_or_default().to_owned());
        self.0.arrive(Some(self.0.clock.now()));
        // Going back is two calls: the first makes the earlier version the default, the next one deletes ours.
        let calls = if matches!(write, Write::VersionBack { .. }) {
            2
        } else {
            1
        };
        for _ in 0..calls {
            self.0.faults.around("iam:write", || self.0.store(write))?;
        }
        Ok(Receipt {
            request_id: Some("request".to_owned()),
        })
    }
}

pub type Instance = testkit::Instance<RevokePermissions<Shared>>;

/// AWS and the ledger, before which any number of instances stand.
#[derive(Debug)]
pub struct World {
    pub aws: Arc<Double>,
    pub ledger: Arc<MemoryLedger>,
    pub clock: TokioClock,
}

impl World {
    /// With an administrator, so that somebody always is left.
    pub fn new() -> Self {
        let world = Self::empty(Timestamp::from_timestamp(1_790_000_000, 0).unwrap());
        world
            .aws
            .holder(Kind::User, "root-of-last-resort", |user| user.attached.push(arn(ADMIN)));
        world
    }

    pub fn empty(now: Timestamp) -> Self {
        let clock = TokioClock::starting_at(now);
        Self {
            aws: Arc::new(Double::new(clock)),
            ledger: Arc::default(),
            clock,
        }
    }

    pub fn instance(&self) -> Instance {
        self.instance_with(&json!({}))
    }

    /// Settings beside, or instead of, the defaults.
    pub fn instance_with(&self, settings: &Value) -> Instance {
        let defaults = json!({ "mode": "enforce", "blockedPolicies": [ADMIN], "protected": [] });
        let document = testkit::settings::document("revoke-permissions", &[&defaults, settings]);
        self.built(&document)
    }

    /// With a whole document.
    pub fn instance_of(&self, document: &Value) -> Instance {
        self.built(&Document::parse(&document.to_string()).unwrap())
    }

    fn built(&self, document: &Document) -> Instance {
        let environment = Environment::read(SettingsReader::new([]), testkit::role(ACCOUNT)).unwrap();
        let settings = Settings::read(&environment, document, self.clock.now()).unwrap();
        let policy = settings.policy.clone();
        let function = RevokePermissions::new(Shared(Arc::clone(&self.aws)), settings);
        testkit::instance(policy, function, &self.ledger, self.clock)
    }

    pub fn deadline(&self) -> Deadline {
        Deadline::after(Duration::from_secs(110), self.clock.now())
    }
}

/// One event, from intake to its outcomes, each as `target outcome (code)`.
pub async fn deliver(instance: &Instance, world: &World, event: &Value) -> (Vec<String>, Summary) {
    let summary = testkit::deliver(instance, world.deadline(), event).await;
    (told(&summary), summary)
}

pub fn told(summary: &Summary) -> Vec<String> {
    let mut told = testkit::told(summary, |report, code| {
        format!("{} {} {code}", report.target, report.outcome.name())
    });
    told.extend(summary.unsettled.iter().map(|scope| format!("unsettled {scope}")));
    told.sort();
    told
}

/// What is said for the reader.
pub fn why(summary: &Summary) -> String {
    let reasons: Vec<_> = summary.outcomes.iter().map(|report| report.outcome.why()).collect();
    reasons.join("\n")
}

pub fn policy(statements: &Value) -> String {
    json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
}

pub fn allow(action: &str, resource: &str) -> Value {
    json!({ "Effect": "Allow", "Action": action, "Resource": resource })
}

pub fn admin() -> String {
    policy(&json!([allow("*", "*")]))
}

pub fn trusting(principal: &Value) -> String {
    policy(&json!([{ "Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole" }]))
}

const SEEN: &str = "2026-09-21T00:00:00Z";

/// A control finding of Security Hub about a resource.
pub fn control(control: &str, id: &str, kind: &str, resource: &str) -> Value {
    events::control(control, id, (kind, resource), SEEN)
}

/// A control finding about a managed policy.
pub fn about(name: &str, id: &str, policy: &PolicyArn) -> Value {
    control(name, id, "AwsIamPolicy", policy.as_str())
}

/// The result of a Config rule about a resource, by its unique id.
pub fn config(rule: &str, kind: &str, resource: &str) -> Value {
    events::config(rule, (kind, resource), SEEN)
}

const ANALYZER: &str = "arn:aws:access-analyzer:us-east-1:111122223333:analyzer/a";

fn analyzed(detail_type: &str, detail: Value) -> Value {
    let mut event = events::envelope("aws.access-analyzer", detail_type, SEEN, detail);
    event["resources"] = json!([ANALYZER]);
    event
}

/// Unused access of a role or user.
pub fn unused(kind: &str, finding: &str, resource_type: &str, resource: &str) -> Value {
    let detail = json!({
        "findingId": finding, "findingType": kind, "resource": resource, "resourceType": resource_type, "accountId": ACCOUNT,
        "analyzedAt": "2026-09-21T00:00:00Z", "createdAt": "2026-09-20T00:00:00Z", "updatedAt": "2026-09-21T00:00:00Z",
        "previousStatus": "", "status": "ACTIVE", "version": "v1", "isDeleted": false, "region": "us-east-1",
        "numberOfUnusedActions": 3, "numberOfUnusedServices": 1
    });
    analyzed("Unused Access Finding for IAM entities", detail)
}

/// Access from outside to a resource.
pub fn external(finding: &str, resource_type: &str, resource: &str, principal: &Value, is_public: bool) -> Value {
    let detail = json!({
        "version": "1.0", "id": finding, "status": "ACTIVE", "resourceType": resource_type, "resource": resource,
        "createdAt": "2026-09-20T00:00:00Z", "analyzedAt": "2026-09-21T00:00:00Z", "updatedAt": "2026-09-21T00:00:00Z",
        "accountId": ACCOUNT, "region": "us-east-1", "principal": principal, "action": ["sts:AssumeRole"], "condition": {},
        "isDeleted": false, "isPublic": is_public
    });
    analyzed("Access Analyzer Finding", detail)
}
