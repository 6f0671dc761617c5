//! `block-public-access` on buckets that behave like S3's, and break when told to.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use block_public_access::{Block, BlockPublicAccess, Buckets, Found, Settings, Write};
use remediation::{
    Approved, Receipt,
    clock::{Clock, Deadline},
    engine::Summary,
    failure::{Class, Failure},
    ids::BucketName,
    ledger::MemoryLedger,
};
use serde_json::{Value, json};
use testkit::{ACCOUNT, Faults, TokioClock, events, locked, samples};

const REGION: &str = "us-east-1";

/// A bucket that nothing is known of, without a block.
pub fn open() -> Found {
    with(None)
}

pub fn website() -> Found {
    Found {
        website: true,
        ..open()
    }
}

pub fn with(block: Option<Block>) -> Found {
    Found {
        region: REGION.to_owned(),
        block,
        website: false,
    }
}

/// S3, as far as blocks go.
#[derive(Debug, Default)]
pub struct S3Double {
    buckets: Mutex<BTreeMap<String, Found>>,
    /// What becomes of the next looks.
    pub looks: Faults,
    /// What becomes of the next writes.
    pub faults: Faults,
    writes: Mutex<usize>,
    /// Somebody changes a bucket between our last look and our write.
    meddler: Mutex<Option<(String, Found)>>,
}

impl S3Double {
    pub fn put(&self, name: &str, bucket: Found) {
        locked(&self.buckets).insert(name.to_owned(), bucket);
    }

    pub fn remove(&self, name: &str) {
        locked(&self.buckets).remove(name);
    }

    pub fn block(&self, name: &str) -> Option<Block> {
        locked(&self.buckets).get(name).unwrap().block
    }

    pub fn meddle(&self, name: &str, bucket: Found) {
        *locked(&self.meddler) = Some((name.to_owned(), bucket));
    }

    pub fn writes(&self) -> usize {
        *locked(&self.writes)
    }

    fn store(&self, write: &Write) -> Result<(), Failure> {
        let conflict = |code| {
            Failure::new(
                Class::Conflict,
                "s3:PutPublicAccessBlock",
                code,
                write.bucket.to_string(),
            )
        };
        let mut buckets = locked(&self.buckets);
        let bucket = buckets
            .get_mut(write.bucket.as_str())
            .ok_or_else(|| conflict("NoSuchBucket"))?;
        assert_eq!(bucket.region, write.region, "a bucket answers in its own Region only");
        if bucket.block != write.found {
            return Err(conflict("ChangedMeanwhile"));
        }
        bucket.block = write.wanted;
        *locked(&self.writes) += 1;
        Ok(())
    }
}

/// Shared by all instances of a test, as AWS is.
#[derive(Debug, Clone)]
pub struct SharedS3(pub Arc<S3Double>);

impl Buckets for SharedS3 {
    async fn look(&self, bucket: &BucketName) -> Result<Option<Found>, Failure> {
        match self.0.looks.next().failure("s3:GetPublicAccessBlock") {
            Some(failure) => Err(failure),
            None => Ok(locked(&self.0.buckets).get(bucket.as_str()).cloned()),
        }
    }

    async fn write(&self, write: &Approved<Write>) -> Result<Receipt, Failure> {
        if let Some((name, bucket)) = locked(&self.0.meddler).take() {
            self.0.put(&name, bucket);
        }
        let store = || self.0.store(write.write());
        self.0.faults.around("s3:PutPublicAccessBlock", store)?;
        Ok(Receipt::default())
    }
}

pub type Instance = testkit::Instance<BlockPublicAccess<SharedS3>>;

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
    pub fn with(name: &str, bucket: Found) -> Self {
        let world = Self::new();
        world.s3.put(name, bucket);
        world
    }

    pub fn instance(&self) -> Instance {
        self.instance_with(&json!({}))
    }

    /// Settings beside, or instead of, the defaults.
    pub fn instance_with(&self, settings: &Value) -> Instance {
        let document = testkit::settings::document("block-public-access", &[&json!({ "mode": "enforce" }), settings]);
        let settings = Settings::read(&document).unwrap();
        let function = BlockPublicAccess::new(SharedS3(Arc::clone(&self.s3)), settings.protected);
        testkit::instance(settings.policy, function, &self.ledger, self.clock)
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

/// A control finding of Security Hub about a bucket.
pub fn control(control: &str, id: &str, bucket: &str) -> Value {
    events::control(control, id, ("AwsS3Bucket", &format!("arn:aws:s3:::{bucket}")), SEEN)
}

/// The same by AWS Config.
pub fn config(rule: &str, bucket: &str) -> Value {
    events::config(rule, ("AWS::S3::Bucket", bucket), SEEN)
}

/// What IAM Access Analyzer finds of everybody, or of somebody.
pub fn access(resource: (&str, &str), is_public: bool, status: &str) -> Value {
    let principal = if is_public { "*" } else { "999988887777" };
    let detail = json!({
        "version": "1.0", "id": "8f1e2d3c-4b5a-4968-8776-000000000001", "status": status, "resourceType": resource.0, "resource": resource.1,
        "updatedAt": SEEN, "accountId": ACCOUNT, "region": REGION, "principal": { "AWS": principal }, "isDeleted": false,
        "isPublic": is_public, "sources": [{ "type": "BUCKET_ACL" }]
    });
    events::envelope("aws.access-analyzer", "Access Analyzer Finding", SEEN, detail)
}
