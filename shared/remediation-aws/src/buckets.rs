//! Buckets, and their policies. S3 answers for a bucket only in its own Region, and the SDK does not follow it there: a client is kept for
//! each Region that was met.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use aws_sdk_s3::{Client, operation::RequestId};
use remediation::{
    failure::{Class, Failure},
    ids::{AccountId, BucketName},
    policy::says_the_same,
};

use crate::{Aws, changed_meanwhile, classify, found, unexpected};

/// The buckets of one account.
#[derive(Debug, Clone)]
pub struct BucketPolicies {
    aws: Aws,
    owner: AccountId,
    here: Client,
    regions: Arc<Mutex<BTreeMap<String, Client>>>,
    /// In which Region a bucket is, and when S3 said so.
    homes: Arc<Mutex<BTreeMap<BucketName, (String, Instant)>>>,
}

/// A bucket stays in its Region. Were it deleted and made again in another within this time, S3 would refuse what is asked of it in the
/// first, and the message would come again later than that.
const HOME: Duration = Duration::from_secs(60);

impl BucketPolicies {
    /// `owner`: S3 refuses a bucket of anybody else.
    #[must_use]
    pub fn new(aws: &Aws, owner: AccountId) -> Self {
        Self {
            here: Client::new(&aws.paced()),
            aws: aws.clone(),
            owner,
            regions: Arc::default(),
            homes: Arc::default(),
        }
    }

    /// Whose buckets these are.
    #[must_use]
    pub fn owner(&self) -> &AccountId {
        &self.owner
    }

    /// S3 in this Region.
    pub fn client(&self, region: &str) -> Client {
        if self.here.config().region().is_some_and(|here| here.as_ref() == region) {
            return self.here.clone();
        }
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        let client = || Client::new(&self.aws.paced_in(region.to_owned()));
        regions.entry(region.to_owned()).or_insert_with(client).clone()
    }

    /// The bucket's Region; `None`: there is no such bucket. S3 is asked once a minute: a bucket that was deleted meanwhile is missed by
    /// what is asked of it next.
    ///
    /// # Errors
    /// When S3 does not tell.
    pub async fn region(&self, bucket: &BucketName) -> Result<Option<String>, Failure> {
        let known = || {
            let mut homes = self.homes.lock().unwrap_or_else(PoisonError::into_inner);
            homes.retain(|_, (_, since)| since.elapsed() < HOME);
            homes.get(bucket).map(|(region, _)| region.clone())
        };
        if let Some(region) = known() {
            return Ok(Some(region));
        }
        let asked = Instant::now();
        let region = self.ask_region(bucket).await?;
        if let Some(region) = &region {
            let mut homes = self.homes.lock().unwrap_or_else(PoisonError::into_inner);
            homes.insert(bucket.clone(), (region.clone(), asked));
        }
        Ok(region)
    }

    async fn ask_region(&self, bucket: &BucketName) -> Result<Option<String>, Failure> {
        const OPERATION: &str = "s3:HeadBucket";
        const HEADER: &str = "x-amz-bucket-region";
        let call = self.here.head_bucket().bucket(bucket.as_str());
        let error = match call.expected_bucket_owner(self.owner.as_str()).send().await {
            Ok(answer) => {
                let here = self.here.config().region().map(ToString::to_string);
                let region = answer.bucket_region().map(str::to_owned).or(here);
                return region.map(Some).ok_or_else(|| unexpected(OPERATION, "no Region"));
            }
            Err(error) => error,
        };
        let answer = error.raw_response();
        let status = answer.map_or(0, |answer| answer.status().as_u16());
        let elsewhere = answer
            .and_then(|answer| answer.headers().get(HEADER))
            .map(str::to_owned);
        match (status, elsewhere) {
            (404, _) => Ok(None),
            // In another Region S3 says where, and nothing more; so it does to who may not list the bucket. What we may
            // do with it, the calls there tell.
            (301 | 400 | 403, Some(region)) => Ok(Some(region)),
            _ => Err(classify(OPERATION, &error)),
        }
    }

    /// The bucket's Region. A bucket that is gone by now is a conflict: it is looked at again.
    ///
    /// # Errors
    /// When S3 does not tell, or there is no such bucket.
    pub async fn region_of(&self, bucket: &BucketName) -> Result<String, Failure> {
        let gone = || {
            Failure::new(
                Class::Conflict,
                "s3:HeadBucket",
                "NoSuchBucket",
                format!("{bucket} is gone"),
            )
        };
        self.region(bucket).await?.ok_or_else(gone)
    }

    /// The text of the bucket policy; `None`: there is none.
    ///
    /// # Errors
    /// When S3 does not answer, or there is no such bucket.
    pub async fn policy(&self, bucket: &BucketName, region: &str) -> Result<Option<String>, Failure> {
        let call = self.client(region).get_bucket_policy().bucket(bucket.as_str());
        let answer = call.expected_bucket_owner(self.owner.as_str()).send().await;
        let answer = found("s3:GetBucketPolicy", "NoSuchBucketPolicy", answer)?;
        Ok(answer.and_then(|answer| answer.policy))
    }

    /// Whether the bucket is a website.
    ///
    /// # Errors
    /// When S3 does not answer, or there is no such bucket.
    pub async fn is_website(&self, bucket: &BucketName, region: &str) -> Result<bool, Failure> {
        let call = self.client(region).get_bucket_website().bucket(bucket.as_str());
        let answer = call.expected_bucket_owner(self.owner.as_str()).send().await;
        let answer = found("s3:GetBucketWebsite", "NoSuchWebsiteConfiguration", answer)?;
        Ok(answer.is_some())
    }

    /// Puts `wanted` in the place of `before`, and returns the request's id. S3 has no version to be conditional on: whoever
    /// writes between the read and the write in here is overwritten.
    ///
    /// # Errors
    /// A conflict, if something else is there by now; or when S3 refuses.
    pub async fn replace(
        &self,
        bucket: &BucketName,
        before: Option<&str>,
        wanted: Option<&str>,
    ) -> Result<Option<String>, Failure> {
        let region = self.region_of(bucket).await?;
        let there = self.policy(bucket, &region).await.map_err(meanwhile)?;
        if !says_the_same(there.as_deref(), before) {
            return Err(changed_meanwhile("s3:PutBucketPolicy"));
        }
        let written = match wanted {
            Some(wanted) => self.put(bucket, &region, wanted).await,
            None => self.delete(bucket, &region).await,
        };
        written.map_err(meanwhile)
    }

    async fn put(&self, bucket: &BucketName, region: &str, wanted: &str) -> Result<Option<String>, Failure> {
        // Without ConfirmRemoveSelfBucketAccess S3 refuses a policy by which the caller could not write it again.
        let call = self.client(region).put_bucket_policy().bucket(bucket.as_str());
        let call = call.policy(wanted).expected_bucket_owner(self.owner.as_str());
        let answer = call
            .send()
            .await
            .map_err(|error| classify("s3:PutBucketPolicy", &error))?;
        Ok(answer.request_id().map(str::to_owned))
    }

    async fn delete(&self, bucket: &BucketName, region: &str) -> Result<Option<String>, Failure> {
        let call = self.client(region).delete_bucket_policy().bucket(bucket.as_str());
        let answer = call.expected_bucket_owner(self.owner.as_str()).send().await;
        let answer = answer.map_err(|error| classify("s3:DeleteBucketPolicy", &error))?;
        Ok(answer.request_id().map(str::to_owned))
    }
}

/// A bucket that disappears between two reads is gone.
///
/// # Errors
/// Whatever else was wrong.
pub fn gone<T>(read: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(failure) if failure.class == Class::Permanent && failure.code == "NoSuchBucket" => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// A bucket that is gone by the time of a write is looked at again.
#[must_use]
pub fn meanwhile(failure: Failure) -> Failure {
    match failure.code.as_str() {
        "NoSuchBucket" => Failure {
            class: Class::Conflict,
            ..failure
        },
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_under_a_write_is_looked_at_again() {
        for (code, class) in [("NoSuchBucket", Class::Conflict), ("MalformedPolicy", Class::Permanent)] {
            let failure = Failure::new(Class::Permanent, "s3:PutBucketPolicy", code, "");
            assert_eq!(meanwhile(failure).class, class, "{code}");
        }
    }
}
