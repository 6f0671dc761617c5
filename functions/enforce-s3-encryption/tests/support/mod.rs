//! `enforce-s3-encryption` on buckets that behave like S3's, and break when told to.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use enforce_s3_encryption::{Buckets, Encryption, EnforceS3Encryption, Key, Settings, Write};
use remediation::{
    Approved, Receipt,
    clock::{Clock, Deadline},
    engine::Summary,
    failure::{Class, Failure},
    ids::{BucketName, RoleArn},
    ledger::MemoryLedger,
};
use serde_json::{Value, json};
use testkit::{ACCOUNT, Fault, Faults, TokioClock, events, locked, samples};

pub const REGION: &str = "us-east-1";

/// A bucket of the double.
#[derive(Debug, Clone, PartialEq)]
pub struct Bucket {
    pub region: &'static str,
    pub encryption: Option<Encryption>,
    pub policy: Option<String>,
    pub grantees: Vec<String>,
    pub website: bool,
}

impl Default for Bucket {
    /// As S3 makes one today.
    fn default() -> Self {
        Self {
            region: REGION,
            encryption: Some(sse_s3()),
            policy: None,
            grantees: Vec::new(),
            website: false,
        }
    }
}

pub fn sse_s3() -> Encryption {
    Encryption {
        algorithm: "AES256".to_owned(),
        key: None,
        bucket_key: false,
        blocked: Vec::new(),
    }
}

pub fn kms(key: Option<&str>) -> Encryption {
    Encryption {
        algorithm: "aws:kms".to_owned(),
        key: key.map(str::to_owned),
        bucket_key: true,
        blocked: Vec::new(),
    }
}

/// S3 and KMS. A bucket answers only in its own Region.
#[derive(Debug, Default)]
pub struct S3Double {
    buckets: Mutex<BTreeMap<String, Bucket>>,
    keys: Mutex<BTreeMap<String, Key>>,
    /// What becomes of the next writes.
    pub faults: Faults,
    denied: Mutex<BTreeSet<&'static str>>,
    calls: Mutex<Vec<String>>,
    /// Somebody changes a bucket between our last look and our write.
    meddler: Mutex<Option<(String, Bucket)>>,
}

impl S3Double {
    pub fn put(&self, name: &str, bucket: Bucket) {
        locked(&self.buckets).insert(name.to_owned(), bucket);
    }

    pub fn remove(&self, name: &str) {
        locked(&self.buckets).remove(name);
    }

    pub fn get(&self, name: &str) -> Bucket {
        locked(&self.buckets)[name].clone()
    }

    pub fn key(&self, arn: &str, unusable: Option<&str>, policy: &str) {
        let key = Key {
            unusable: unusable.map(str::to_owned),
            policy: policy.to_owned(),
        };
        locked(&self.keys).insert(arn.to_owned(), key);
    }

    pub fn deny(&self, operation: &'static str) {
        locked(&self.denied).insert(operation);
    }

    pub fn allow_all(&self) {
        locked(&self.denied).clear();
    }

    pub fn meddle(&self, name: &str, bucket: Bucket) {
        *locked(&self.meddler) = Some((name.to_owned(), bucket));
    }

    pub fn calls(&self) -> Vec<String> {
        std::mem::take(&mut locked(&self.calls))
    }

    pub fn writes(&self) -> usize {
        let is_write = |call: &&String| call.contains(":Put") || call.contains(":Delete");
        locked(&self.calls).iter().filter(is_write).count()
    }

    fn call(&self, operation: &'static str) -> Result<(), Failure> {
        locked(&self.calls).push(operation.to_owned());
        if locked(&self.denied).contains(operation) {
            return Err(Fault::Denied.failure(operation).unwrap());
        }
        Ok(())
    }

    fn in_region(&self, operation: &'static str, bucket: &BucketName, region: &str) -> Result<Bucket, Failure> {
        self.call(operation)?;
        let refused = |code: &str| Failure::new(Class::Permanent, operation, code, bucket.to_string());
        let found = locked(&self.buckets)
            .get(bucket.as_str())
            .cloned()
            .ok_or_else(|| refused("NoSuchBucket"))?;
        if found.region == region {
            Ok(found)
        } else {
            Err(refused("PermanentRedirect"))
        }
    }
}

/// Shared by all instances of a test, as AWS is.
#[derive(Debug, Clone)]
pub struct SharedS3(pub Arc<S3Double>);

impl Buckets for SharedS3 {
    async fn region(&self, bucket: &BucketName) -> Result<Option<String>, Failure> {
        self.0.call("s3:HeadBucket")?;
        Ok(locked(&self.0.buckets)
            .get(bucket.as_str())
            .map(|bucket| bucket.region.to_owned()))
    }

    async fn encryption(&self, bucket: &BucketName, region: &str) -> Result<Option<Encryption>, Failure> {
        Ok(self.0.in_region("s3:GetBucketEncryption", bucket, region)?.encryption)
    }

    async fn policy(&self, bucket: &BucketName, region: &str) -> Result<Option<String>, Failure> {
        Ok(self.0.in_region("s3:GetBucketPolicy", bucket, region)?.policy)
    }

    async fn is_website(&self, bucket: &BucketName, region: &str) -> Result<bool, Failure> {
        Ok(self.0.in_region("s3:GetBucketWebsite", bucket, region)?.website)
    }

    async fn grantees(&self, bucket: &BucketName, region: &str) -> Result<Vec<String>, Failure> {
        Ok(self.0.in_region("s3:GetBucketAcl", bucket, region)?.grantees)
    }

    async fn key(&self, arn: &str, region: &str) -> Result<Option<Key>, Failure> {
        self.0.call("kms:DescribeKey")?;
        assert!(arn.contains(&format!(":{region}:")), "{arn} is asked for in {region}");
        Ok(locked(&self.0.keys).get(arn).cloned())
    }

    async fn write(&self, write: &Approved<Write>) -> Result<Receipt, Failure> {
        if let Some((name, bucket)) = locked(&self.0.meddler).take() {
            self.0.put(&name, bucket);
        }
        let write = write.write();
        let (operation, bucket) = match write {
            Write::Encryption { bucket, wanted, .. } => match wanted {
                Some(_) => ("s3:PutBucketEncryption", bucket),
                None => ("s3:DeleteBucketEncryption", bucket),
            },
            Write::Policy { bucket, wanted, .. } => match wanted {
                Some(_) => ("s3:PutBucketPolicy", bucket),
                None => ("s3:DeleteBucketPolicy", bucket),
            },
        };
        self.0.call(operation)?;
        let changed = || Failure::new(Class::Conflict, operation, "ChangedMeanwhile", "somebody was first");
        let store = || {
            let mut buckets = locked(&self.0.buckets);
            let Some(stored) = buckets.get_mut(bucket.as_str()) else {
                return Err(Failure::new(
                    Class::Conflict,
                    operation,
                    "NoSuchBucket",
                    bucket.to_string(),
                ));
            };
            match write {
                Write::Encryption { found, wanted, .. } => {
                    if stored.encryption != *found {
                        return Err(changed());
                    }
                    // Where a default encryption was deleted, S3 shows its own.
                    stored.encryption = wanted.clone().or_else(|| Some(sse_s3()));
                }
                Write::Policy { found, wanted, .. } => {
                    // S3 may answer with another text than it was given.
                    let value =
                        |text: &Option<String>| text.as_deref().map(serde_json::from_str::<Value>).transpose().ok();
                    if value(&stored.policy) != value(found) {
                        return Err(changed());
                    }
                    stored.policy = wanted.clone();
                }
            }
            Ok(())
        };
        self.0.faults.around(operation, store)?;
        Ok(Receipt {
            request_id: Some("request".to_owned()),
        })
    }
}

pub type Instance = testkit::Instance<EnforceS3Encryption<SharedS3>>;

/// AWS and the ledger, before which any number of instances stand.
#[derive(Debug)]
pub struct World {
    pub s3: Arc<S3Double>,
    pub ledger: Arc<MemoryLedger>,
    pub clock: TokioClock,
}

impl World {
    pub fn new() -> Self {
        Self {
            s3: Arc::default(),
            ledger: Arc::default(),
            clock: TokioClock::starting_at(samples::now()),
        }
    }

    /// With one bucket.
    pub fn with(name: &str, bucket: Bucket) -> Self {
        let world = Self::new();
        world.s3.put(name, bucket);
        world
    }

    pub fn instance(&self) -> Instance {
        self.instance_with(&json!({}))
    }

    /// Settings beside, or instead of, the defaults.
    pub fn instance_with(&self, settings: &Value) -> Instance {
        self.built(settings, testkit::role(ACCOUNT))
    }

    /// As another role.
    pub fn instance_as(&self, role: &str) -> Instance {
        self.built(&json!({}), RoleArn::parse(role).unwrap())
    }

    fn built(&self, settings: &Value, role: RoleArn) -> Instance {
        let document = testkit::settings::document("enforce-s3-encryption", &[&json!({ "mode": "enforce" }), settings]);
        let settings = Settings::read(&role, &document).unwrap();
        let policy = settings.policy.clone();
        let function = EnforceS3Encryption::new(SharedS3(Arc::clone(&self.s3)), settings);
        Instance {
            actor: role,
            ..testkit::instance(policy, function, &self.ledger, self.clock)
        }
    }

    pub fn deadline(&self) -> Deadline {
        Deadline::after(Duration::from_secs(57), self.clock.now())
    }
}

/// One event, from intake to its outcomes, each as `outcome code`.
pub async fn deliver(instance: &Instance, world: &World, event: &Value) -> (Vec<String>, Summary) {
    let summary = testkit::deliver(instance, world.deadline(), event).await;
    (told(&summary), summary)
}

pub fn told(summary: &Summary) -> Vec<String> {
    testkit::told(summary, |report, code| format!("{} {code}", report.outcome.name()))
}

const SEEN: &str = "2026-11-20T00:00:00Z";

/// A control finding of Security Hub about a bucket, whose ARN has no account.
pub fn control(control: &str, id: &str, bucket: &str) -> Value {
    events::control(control, id, ("AwsS3Bucket", &format!("arn:aws:s3:::{bucket}")), SEEN)
}

/// A bucket that CloudTrail saw created.
pub fn created(bucket: &str) -> Value {
    let detail = json!({
        "eventVersion": "1.10", "eventID": format!("created-{bucket}"), "eventTime": "2026-11-20T00:00:00Z",
        "eventSource": "s3.amazonaws.com", "eventName": "CreateBucket", "awsRegion": REGION, "recipientAccountId": ACCOUNT,
        "userIdentity": { "type": "IAMUser", "accountId": ACCOUNT }, "requestParameters": { "bucketName": bucket }
    });
    events::envelope("aws.s3", "AWS API Call via CloudTrail", SEEN, detail)
}
