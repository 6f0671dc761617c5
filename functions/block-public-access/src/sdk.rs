//! S3, through its SDK.

use aws_sdk_s3::{operation::RequestId, types::PublicAccessBlockConfiguration};
use futures_util::future::try_join;
use remediation::{
    Approved, Receipt,
    failure::Failure,
    ids::{AccountId, BucketName},
};
use remediation_aws::{Aws, BucketPolicies, changed_meanwhile, classify, found, gone, meanwhile};

use crate::{
    block::{Block, Found},
    buckets::{Buckets, Write},
};

/// S3 with the function's own credentials, or those of its role in a member account, for the buckets of one account.
#[derive(Debug, Clone)]
pub struct AwsBuckets(BucketPolicies);

impl AwsBuckets {
    /// `owner`: S3 refuses a bucket of anybody else.
    #[must_use]
    pub fn new(aws: &Aws, owner: AccountId) -> Self {
        Self(BucketPolicies::new(aws, owner))
    }

    async fn block(&self, bucket: &BucketName, region: &str) -> Result<Option<Block>, Failure> {
        let call = self.0.client(region).get_public_access_block().bucket(bucket.as_str());
        let answer = call.expected_bucket_owner(self.0.owner().as_str()).send().await;
        let answer = found(
            "s3:GetPublicAccessBlock",
            "NoSuchPublicAccessBlockConfiguration",
            answer,
        )?;
        let configuration = answer.and_then(|answer| answer.public_access_block_configuration);
        Ok(configuration.as_ref().map(read))
    }

    async fn put(&self, write: &Write, wanted: Block) -> Result<Option<String>, Failure> {
        let call = self.0.client(&write.region).put_public_access_block();
        let call = call
            .bucket(write.bucket.as_str())
            .expected_bucket_owner(self.0.owner().as_str());
        let answer = call
            .public_access_block_configuration(configuration(wanted))
            .send()
            .await;
        let answer = answer.map_err(|error| classify("s3:PutPublicAccessBlock", &error))?;
        Ok(answer.request_id().map(str::to_owned))
    }

    async fn delete(&self, write: &Write) -> Result<Option<String>, Failure> {
        let call = self.0.client(&write.region).delete_public_access_block();
        let call = call
            .bucket(write.bucket.as_str())
            .expected_bucket_owner(self.0.owner().as_str());
        let answer = call.send().await;
        let answer = answer.map_err(|error| classify("s3:DeletePublicAccessBlock", &error))?;
        Ok(answer.request_id().map(str::to_owned))
    }

    /// S3 has no version to be conditional on: whoever writes between the read and the write in here is overwritten.
    async fn write_if_unchanged(&self, write: &Write) -> Result<Option<String>, Failure> {
        if self.block(&write.bucket, &write.region).await? != write.found {
            return Err(changed_meanwhile("s3:PutPublicAccessBlock"));
        }
        match write.wanted {
            Some(wanted) => self.put(write, wanted).await,
            None => self.delete(write).await,
        }
    }
}

fn configuration(block: Block) -> PublicAccessBlockConfiguration {
    PublicAccessBlockConfiguration::builder()
        .block_public_acls(block.block_public_acls)
        .ignore_public_acls(block.ignore_public_acls)
        .block_public_policy(block.block_public_policy)
        .restrict_public_buckets(block.restrict_public_buckets)
        .build()
}

/// What is not said is off.
fn read(configuration: &PublicAccessBlockConfiguration) -> Block {
    Block {
        block_public_acls: configuration.block_public_acls().unwrap_or(false),
        ignore_public_acls: configuration.ignore_public_acls().unwrap_or(false),
        block_public_policy: configuration.block_public_policy().unwrap_or(false),
        restrict_public_buckets: configuration.restrict_public_buckets().unwrap_or(false),
    }
}

impl Buckets for AwsBuckets {
    async fn look(&self, bucket: &BucketName) -> Result<Option<Found>, Failure> {
        let Some(region) = self.0.region(bucket).await? else {
            return Ok(None);
        };
        let read = try_join(self.block(bucket, &region), self.0.is_website(bucket, &region)).await;
        gone(read.map(|(block, website)| Found { region, block, website }))
    }

    async fn write(&self, write: &Approved<Write>) -> Result<Receipt, Failure> {
        let request_id = self.write_if_unchanged(write.write()).await.map_err(meanwhile)?;
        Ok(Receipt { request_id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        for number in 0..16_u8 {
            let bit = |place: u8| number & (1 << place) != 0;
            let block = Block {
                block_public_acls: bit(0),
                ignore_public_acls: bit(1),
                block_public_policy: bit(2),
                restrict_public_buckets: bit(3),
            };
            assert_eq!(read(&configuration(block)), block);
        }
        let unsaid = PublicAccessBlockConfiguration::builder()
            .ignore_public_acls(true)
            .build();
        let only = Block {
            ignore_public_acls: true,
            ..Block::default()
        };
        assert_eq!(read(&unsaid), only);
    }
}
