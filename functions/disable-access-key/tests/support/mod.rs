//! `disable-access-key` on an IAM that behaves like the service, and breaks when told to.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::{SecondsFormat, TimeDelta};
use disable_access_key::{
    Account, DisableAccessKey, Environment, Iam, Key, Owner, Principal, Role, Settings, Use, Write,
};
use remediation::{
    Approved, Receipt,
    clock::{Clock, Deadline, Timestamp},
    engine::Summary,
    failure::{Class, Failure},
    ids::{KeyId, PrincipalName, UniqueId},
    ledger::MemoryLedger,
    settings::SettingsReader,
};
use serde_json::{Value, json};
use testkit::{ACCOUNT, Fault, Faults, TokioClock, events, locked};

/// A user of the double.
#[derive(Debug, Clone)]
pub struct Bearer {
    pub id: &'static str,
    pub path: &'static str,
    pub keys: Vec<Key>,
    pub password: Option<(Timestamp, Option<Timestamp>)>,
    pub policies: BTreeMap<String, String>,
}

#[derive(Debug, Default, Clone)]
struct Directory {
    users: BTreeMap<String, Bearer>,
    roles: BTreeMap<String, (&'static str, &'static str, BTreeMap<String, String>)>,
    root_keys: BTreeSet<String>,
}

/// IAM: what is written is seen by reads only after `lag`.
#[derive(Debug)]
pub struct IamDouble {
    now: Mutex<Directory>,
    on_its_way: Mutex<Vec<(Timestamp, Write)>>,
    clock: TokioClock,
    /// What becomes of the next writes.
    pub faults: Faults,
    denied: Mutex<BTreeSet<&'static str>>,
    lag: Mutex<Duration>,
    calls: Mutex<Vec<String>>,
}

impl IamDouble {
    fn new(clock: TokioClock) -> Self {
        Self {
            now: Mutex::default(),
            on_its_way: Mutex::default(),
            clock,
            faults: Faults::default(),
            denied: Mutex::default(),
            lag: Mutex::default(),
            calls: Mutex::default(),
        }
    }

    pub fn user(&self, name: &str, id: &'static str, keys: Vec<Key>) {
        let bearer = Bearer {
            id,
            path: "/",
            keys,
            password: None,
            policies: BTreeMap::new(),
        };
        locked(&self.now).users.insert(name.to_owned(), bearer);
    }

    pub fn change(&self, name: &str, change: impl FnOnce(&mut Bearer)) {
        change(locked(&self.now).users.get_mut(name).unwrap());
    }

    pub fn remove_user(&self, name: &str) {
        locked(&self.now).users.remove(name);
    }

    pub fn role(&self, name: &str, id: &'static str, path: &'static str) {
        locked(&self.now)
            .roles
            .insert(name.to_owned(), (id, path, BTreeMap::new()));
    }

    pub fn root_key(&self, key: &str) {
        locked(&self.now).root_keys.insert(key.to_owned());
    }

    pub fn deny(&self, operation: &'static str) {
        locked(&self.denied).insert(operation);
    }

    pub fn allow_all(&self) {
        locked(&self.denied).clear();
    }

    pub fn lag(&self, lag: Duration) {
        *locked(&self.lag) = lag;
    }

    /// `key:Active` or `key:Inactive`, in the order of the keys, and every inline policy.
    pub fn state(&self, user: &str) -> Vec<String> {
        self.arrive(None);
        let directory = locked(&self.now);
        let bearer = &directory.users[user];
        let keys = bearer
            .keys
            .iter()
            .map(|key| format!("{}:{}", key.id, if key.active { "Active" } else { "Inactive" }));
        keys.chain(bearer.policies.keys().cloned()).collect()
    }

    pub fn role_policies(&self, role: &str) -> BTreeMap<String, String> {
        self.arrive(None);
        locked(&self.now).roles[role].2.clone()
    }

    pub fn user_policies(&self, user: &str) -> BTreeMap<String, String> {
        self.arrive(None);
        locked(&self.now).users[user].policies.clone()
    }

    pub fn calls(&self) -> Vec<String> {
        std::mem::take(&mut locked(&self.calls))
    }

    pub fn writes(&self) -> usize {
        let is_write = |call: &&String| ["Update", "Put", "Delete"].iter().any(|verb| call.contains(verb));
        locked(&self.calls).iter().filter(is_write).count()
    }

    fn call(&self, operation: &'static str) -> Result<(), Failure> {
        locked(&self.calls).push(operation.to_owned());
        self.arrive(Some(self.clock.now()));
        if locked(&self.denied).contains(operation) {
            return Err(Fault::Denied.failure(operation).unwrap());
        }
        Ok(())
    }

    /// Lets arrive what is due; all of it, without a time.
    fn arrive(&self, by: Option<Timestamp>) {
        let mut on_its_way = locked(&self.on_its_way);
        let (due, later) = on_its_way.drain(..).partition(|(at, _)| by.is_none_or(|by| *at <= by));
        *on_its_way = later;
        let due: Vec<(Timestamp, Write)> = due;
        for (_, write) in due {
            locked(&self.now).apply(&write);
        }
    }

    fn store(&self, write: &Write) -> Result<(), Failure> {
        locked(&self.now).check(write)?;
        let at = self.clock.now() + *locked(&self.lag);
        locked(&self.on_its_way).push((at, write.clone()));
        self.arrive(Some(self.clock.now()));
        Ok(())
    }
}

fn no_such(operation: &str, what: &str) -> Failure {
    Failure::new(
        Class::Permanent,
        operation,
        "NoSuchEntity",
        format!("{what} cannot be found"),
    )
}

impl Directory {
    fn policies(&mut self, principal: &Principal) -> Option<&mut BTreeMap<String, String>> {
        match principal {
            Principal::User(user) => Some(&mut self.users.get_mut(user.name()?.as_str())?.policies),
            Principal::Role(role) => Some(&mut self.roles.get_mut(role.name.as_str())?.2),
        }
    }

    fn check(&mut self, write: &Write) -> Result<(), Failure> {
        match write {
            Write::Keys { user, active } => {
                let user = self
                    .users
                    .get(user.as_str())
                    .ok_or_else(|| no_such("iam:UpdateAccessKey", "the user"))?;
                let has = |id: &KeyId| user.keys.iter().any(|key| key.id == *id);
                match active.iter().find(|(id, _)| !has(id)) {
                    Some((id, _)) => Err(no_such("iam:UpdateAccessKey", id.as_str())),
                    None => Ok(()),
                }
            }
            Write::PutPolicy { principal, .. } => self
                .policies(principal)
                .map(|_| ())
                .ok_or_else(|| no_such("iam:PutPolicy", "the principal")),
            // What is gone already is as it is to be.
            Write::DeletePolicy { .. } => Ok(()),
        }
    }

    fn apply(&mut self, write: &Write) {
        match write {
            Write::Keys { user, active } => {
                let Some(user) = self.users.get_mut(user.as_str()) else {
                    return;
                };
                for key in &mut user.keys {
                    if let Some((_, status)) = active.iter().find(|(id, _)| *id == key.id) {
                        key.active = *status;
                    }
                }
            }
            Write::PutPolicy {
                principal,
                name,
                document,
            } => {
                if let Some(policies) = self.policies(principal) {
                    policies.insert((*name).to_owned(), document.clone());
                }
            }
            Write::DeletePolicy { principal, name } => {
                if let Some(policies) = self.policies(principal) {
                    policies.remove(*name);
                }
            }
        }
    }
}

/// Shared by all instances of a test, as AWS is.
#[derive(Debug, Clone)]
pub struct SharedIam(pub Arc<IamDouble>);

fn account(name: &str, bearer: &Bearer) -> Account {
    Account {
        name: PrincipalName::parse(name).unwrap(),
        id: UniqueId::parse(bearer.id).unwrap(),
        path: bearer.path.to_owned(),
        password_last_used: bearer.password.and_then(|(_, used)| used),
    }
}

impl Iam for SharedIam {
    async fn user(&self, name: &PrincipalName) -> Result<Option<Account>, Failure> {
        self.0.call("iam:GetUser")?;
        let directory = locked(&self.0.now);
        Ok(directory
            .users
            .get(name.as_str())
            .map(|bearer| account(name.as_str(), bearer)))
    }

    async fn user_with_id(&self, id: &UniqueId) -> Result<Option<Account>, Failure> {
        self.0.call("iam:ListUsers")?;
        let directory = locked(&self.0.now);
        let found = directory.users.iter().find(|(_, bearer)| bearer.id == id.as_str());
        Ok(found.map(|(name, bearer)| account(name, bearer)))
    }

    async fn owner(&self, key: &KeyId) -> Result<Owner, Failure> {
        self.0.call("iam:GetAccessKeyLastUsed")?;
        let directory = locked(&self.0.now);
        if directory.root_keys.contains(key.as_str()) {
            return Ok(Owner::Root);
        }
        let owner = directory
            .users
            .iter()
            .find(|(_, bearer)| bearer.keys.iter().any(|other| other.id == *key));
        Ok(owner.map_or(Owner::Nobody, |(name, _)| {
            Owner::User(PrincipalName::parse(name).unwrap())
        }))
    }

    async fn role(&self, name: &PrincipalName) -> Result<Option<Role>, Failure> {
        self.0.call("iam:GetRole")?;
        let directory = locked(&self.0.now);
        Ok(directory.roles.get(name.as_str()).map(|(id, path, _)| Role {
            name: name.clone(),
            id: UniqueId::parse(id),
            path: (*path).to_owned(),
        }))
    }

    async fn keys(&self, user: &PrincipalName) -> Result<Option<Vec<Key>>, Failure> {
        self.0.call("iam:ListAccessKeys")?;
        let directory = locked(&self.0.now);
        let unread = |key: &Key| Key {
            used: Use::NotRead,
            ..key.clone()
        };
        Ok(directory
            .users
            .get(user.as_str())
            .map(|bearer| bearer.keys.iter().map(unread).collect()))
    }

    async fn last_used(&self, key: &KeyId) -> Result<Option<Timestamp>, Failure> {
        self.0.call("iam:GetAccessKeyLastUsed")?;
        let directory = locked(&self.0.now);
        let key = directory
            .users
            .values()
            .flat_map(|bearer| &bearer.keys)
            .find(|other| other.id == *key);
        Ok(key.and_then(|key| match key.used {
            Use::At(used) => Some(used),
            Use::Never | Use::NotRead => None,
        }))
    }

    async fn password_since(&self, user: &PrincipalName) -> Result<Option<Timestamp>, Failure> {
        self.0.call("iam:GetLoginProfile")?;
        let directory = locked(&self.0.now);
        Ok(directory
            .users
            .get(user.as_str())
            .and_then(|bearer| bearer.password)
            .map(|(since, _)| since))
    }

    async fn inline_policy(&self, principal: &Principal, name: &str) -> Result<Option<String>, Failure> {
        self.0.call(match principal {
            Principal::User(_) => "iam:GetUserPolicy",
            Principal::Role(_) => "iam:GetRolePolicy",
        })?;
        Ok(locked(&self.0.now)
            .policies(principal)
            .and_then(|policies| policies.get(name).cloned()))
    }

    async fn write(&self, write: &Approved<Write>) -> Result<Receipt, Failure> {
        let write = write.write();
        let operation = match write {
            Write::Keys { .. } => "iam:UpdateAccessKey",
            Write::PutPolicy {
                principal: Principal::User(_),
                ..
            } => "iam:PutUserPolicy",
            Write::PutPolicy { .. } => "iam:PutRolePolicy",
            Write::DeletePolicy {
                principal: Principal::User(_),
                ..
            } => "iam:DeleteUserPolicy",
            Write::DeletePolicy { .. } => "iam:DeleteRolePolicy",
        };
        self.0.call(operation)?;
        self.0.faults.around(operation, || self.0.store(write))?;
        Ok(Receipt {
            request_id: Some("request".to_owned()),
        })
    }
}

pub type Instance = testkit::Instance<DisableAccessKey<SharedIam>>;

/// AWS and the ledger, before which any number of instances stand.
#[derive(Debug)]
pub struct World {
    pub iam: Arc<IamDouble>,
    pub ledger: Arc<MemoryLedger>,
    pub clock: TokioClock,
}

impl World {
    pub fn new() -> Self {
        Self::at(Timestamp::from_timestamp(1_790_000_000, 0).unwrap())
    }

    pub fn at(now: Timestamp) -> Self {
        let clock = TokioClock::starting_at(now);
        Self {
            iam: Arc::new(IamDouble::new(clock)),
            ledger: Arc::default(),
            clock,
        }
    }

    pub fn instance(&self) -> Instance {
        self.instance_with(&json!({}))
    }

    /// Settings beside, or instead of, the defaults.
    pub fn instance_with(&self, settings: &Value) -> Instance {
        let environment = Environment::read(SettingsReader::new([])).unwrap();
        let document = testkit::settings::document("disable-access-key", &[&json!({ "mode": "enforce" }), settings]);
        let settings = Settings::read(&environment, &document).unwrap();
        let policy = settings.policy.clone();
        let function = DisableAccessKey::new(SharedIam(Arc::clone(&self.iam)), settings);
        testkit::instance(policy, function, &self.ledger, self.clock)
    }

    pub fn deadline(&self) -> Deadline {
        Deadline::after(Duration::from_secs(57), self.clock.now())
    }

    pub fn ago(&self, days: i64) -> Timestamp {
        self.clock.now() - TimeDelta::days(days)
    }

    /// An active key that is so many days old, and was last used so many days ago, or never.
    pub fn key(&self, id: &str, age: i64, used: Option<i64>) -> Key {
        Key {
            id: KeyId::parse(id).unwrap(),
            active: true,
            created: self.ago(age),
            used: used.map_or(Use::Never, |days| Use::At(self.ago(days))),
        }
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
    told.sort();
    told
}

const SEEN: &str = "2026-09-21T00:00:00Z";

/// A control finding of Security Hub about a user, by this ARN.
pub fn control(control: &str, id: &str, user: &str) -> Value {
    events::control(control, id, ("AwsIamUser", user), SEEN)
}

/// The result of a Config rule about a user, by its unique id.
pub fn config(rule: &str, user_id: &str) -> Value {
    events::config(rule, ("AWS::IAM::User", user_id), SEEN)
}

/// Exposed keys that AWS Health names.
pub fn health(keys: &[&str]) -> Value {
    let entities: Vec<_> = keys.iter().map(|key| json!({ "entityValue": key })).collect();
    let detail = json!({
        "eventArn": "arn:aws:health:us-east-1::event/RISK/AWS_RISK_CREDENTIALS_EXPOSED/1", "service": "RISK",
        "eventTypeCode": "AWS_RISK_CREDENTIALS_EXPOSED", "eventTypeCategory": "issue", "eventScopeCode": "ACCOUNT_SPECIFIC",
        "communicationId": "c-1", "startTime": "Sun, 20 Sep 2026 00:00:00 GMT", "lastUpdatedTime": "Sun, 20 Sep 2026 00:00:00 GMT",
        "statusCode": "open", "eventRegion": "us-east-1", "eventDescription": [], "affectedAccount": ACCOUNT,
        "page": "1", "totalPages": "1", "affectedEntities": entities
    });
    events::envelope("aws.health", "AWS Health Event", SEEN, detail)
}

/// Credentials that GuardDuty saw used.
#[derive(Debug, Clone)]
pub struct Used<'a> {
    pub finding: &'a str,
    pub seen: Timestamp,
    pub kind: &'a str,
    pub key: &'a str,
    pub principal: &'a str,
    pub name: &'a str,
    pub user_type: &'a str,
}

impl<'a> Used<'a> {
    /// A long-term key of a user, from a malicious address.
    pub fn key(world: &World, key: &'a str, name: &'a str, principal: &'a str) -> Self {
        Self {
            finding: "f1",
            seen: world.clock.now(),
            kind: "UnauthorizedAccess:IAMUser/MaliciousIPCaller",
            key,
            principal,
            name,
            user_type: "IAMUser",
        }
    }

    /// A session of a role, outside AWS.
    pub fn role(world: &World, name: &'a str, principal: &'a str) -> Self {
        Self {
            finding: "f2",
            seen: world.clock.now(),
            kind: "UnauthorizedAccess:IAMUser/InstanceCredentialExfiltration.OutsideAWS",
            key: "ASIAEXAMPLE000000001",
            principal,
            name,
            user_type: "AssumedRole",
        }
    }

    pub fn event(&self) -> Value {
        let seen = self.seen.to_rfc3339_opts(SecondsFormat::Millis, true);
        let detail = json!({
            "schemaVersion": "2.0", "accountId": ACCOUNT, "region": "us-east-1", "partition": "aws", "id": self.finding,
            "arn": format!("arn:aws:guardduty:us-east-1:{ACCOUNT}:detector/d/finding/{}", self.finding), "type": self.kind,
            "severity": 8, "createdAt": seen, "updatedAt": seen, "title": "credentials", "description": "credentials",
            "resource": { "resourceType": "AccessKey", "accessKeyDetails": {
                "accessKeyId": self.key, "principalId": self.principal, "userName": self.name, "userType": self.user_type
            } },
            "service": {
                "serviceName": "guardduty", "archived": false, "count": 1, "resourceRole": "TARGET", "eventFirstSeen": seen,
                "eventLastSeen": seen, "action": { "actionType": "AWS_API_CALL", "awsApiCallAction": {
                    "api": "ListBuckets", "serviceName": "s3.amazonaws.com", "callerType": "Remote IP",
                    "remoteIpDetails": { "ipAddressV4": "198.51.100.23" }
                } }
            }
        });
        events::envelope("aws.guardduty", "GuardDuty Finding", SEEN, detail)
    }
}
