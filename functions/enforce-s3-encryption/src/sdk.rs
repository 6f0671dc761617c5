//! S3 and KMS, through their SDKs.

use aws_sdk_kms::types::{KeySpec, KeyState, KeyUsageType};
use aws_sdk_s3::{
    operation::RequestId,
    types::{
        BlockedEncryptionTypes, EncryptionType, ServerSideEncryption, ServerSideEncryptionByDefault,
        ServerSideEncryptionConfiguration, ServerSideEncryptionRule,
    },
};
use futures_util::future::try_join;
use remediation::{
    Approved, Receipt,
    failure::{Class, Failure},
    ids::{AccountId, BucketName},
};
use remediation_aws::{Aws, BucketPolicies, changed_meanwhile, classify, found, meanwhile, unexpected};

use crate::{
    buckets::{Buckets, Write},
    encryption::{AES256, Encryption, Key},
};

/// S3 and KMS with the function's own credentials, or those of its role in a member account, for the buckets of one account.
#[derive(Debug, Clone)]
pub struct AwsBuckets {
    aws: Aws,
    buckets: BucketPolicies,
}

impl AwsBuckets {
    /// `owner`: S3 refuses a bucket of anybody else.
    #[must_use]
    pub fn new(aws: &Aws, owner: AccountId) -> Self {
        Self {
            aws: aws.clone(),
            buckets: BucketPolicies::new(aws, owner),
        }
    }

    fn s3(&self, region: &str) -> aws_sdk_s3::Client {
        self.buckets.client(region)
    }

    fn owner(&self) -> &str {
        self.buckets.owner().as_str()
    }

    async fn put_encryption(
        &self,
        bucket: &BucketName,
        region: &str,
        wanted: &Encryption,
    ) -> Result<Option<String>, Failure> {
        const OPERATION: &str = "s3:PutBucketEncryption";
        let call = self.s3(region).put_bucket_encryption().bucket(bucket.as_str());
        let call = call.expected_bucket_owner(self.owner());
        let call = call.server_side_encryption_configuration(configuration(OPERATION, wanted)?);
        let answer = call.send().await.map_err(|error| classify(OPERATION, &error))?;
        Ok(answer.request_id().map(str::to_owned))
    }

    async fn delete_encryption(&self, bucket: &BucketName, region: &str) -> Result<Option<String>, Failure> {
        let call = self.s3(region).delete_bucket_encryption().bucket(bucket.as_str());
        let answer = call.expected_bucket_owner(self.owner()).send().await;
        let answer = answer.map_err(|error| classify("s3:DeleteBucketEncryption", &error))?;
        Ok(answer.request_id().map(str::to_owned))
    }
}

fn configuration(operation: &str, wanted: &Encryption) -> Result<ServerSideEncryptionConfiguration, Failure> {
    let unbuildable =
        |error: &dyn std::error::Error| Failure::new(Class::Permanent, operation, "InvalidRequest", error.to_string());
    let by_default = ServerSideEncryptionByDefault::builder()
        .sse_algorithm(ServerSideEncryption::from(wanted.algorithm.as_str()))
        .set_kms_master_key_id(wanted.key.clone())
        .build()
        .map_err(|error| unbuildable(&error))?;
    let blocked = wanted
        .blocked
        .iter()
        .map(|kind| EncryptionType::from(kind.as_str()))
        .collect();
    let blocked = BlockedEncryptionTypes::builder()
        .set_encryption_type(Some(blocked))
        .build();
    let rule = ServerSideEncryptionRule::builder()
        .apply_server_side_encryption_by_default(by_default)
        .bucket_key_enabled(wanted.bucket_key)
        .set_blocked_encryption_types(Some(blocked).filter(|_| !wanted.blocked.is_empty()))
        .build();
    ServerSideEncryptionConfiguration::builder()
        .rules(rule)
        .build()
        .map_err(|error| unbuildable(&error))
}

/// A rule that names no encryption leaves S3's own, which is SSE-S3.
fn read(rule: &ServerSideEncryptionRule) -> Encryption {
    let by_default = rule.apply_server_side_encryption_by_default();
    let blocked = rule
        .blocked_encryption_types()
        .map(BlockedEncryptionTypes::encryption_type)
        .unwrap_or_default();
    Encryption {
        algorithm: by_default
            .map_or(AES256, |default| default.sse_algorithm().as_str())
            .to_owned(),
        key: by_default
            .and_then(|default| default.kms_master_key_id())
            .filter(|key| !key.is_empty())
            .map(str::to_owned),
        bucket_key: rule.bucket_key_enabled().unwrap_or(false),
        blocked: blocked.iter().map(|kind| kind.as_str().to_owned()).collect(),
    }
}

impl Buckets for AwsBuckets {
    async fn region(&self, bucket: &BucketName) -> Result<Option<String>, Failure> {
        self.buckets.region(bucket).await
    }

    async fn encryption(&self, bucket: &BucketName, region: &str) -> Result<Option<Encryption>, Failure> {
        const OPERATION: &str = "s3:GetBucketEncryption";
        let call = self.s3(region).get_bucket_encryption().bucket(bucket.as_str());
        let answer = call.expected_bucket_owner(self.owner()).send().await;
        let answer = found(OPERATION, "ServerSideEncryptionConfigurationNotFoundError", answer)?;
        let rules = answer.and_then(|answer| answer.server_side_encryption_configuration);
        match rules.as_ref().map(ServerSideEncryptionConfiguration::rules) {
            None | Some([]) => Ok(None),
            Some([rule]) => Ok(Some(read(rule))),
            Some(more) => Err(unexpected(OPERATION, format!("{} rules", more.len()))),
        }
    }

    async fn policy(&self, bucket: &BucketName, region: &str) -> Result<Option<String>, Failure> {
        self.buckets.policy(bucket, region).await
    }

    async fn is_website(&self, bucket: &BucketName, region: &str) -> Result<bool, Failure> {
        self.buckets.is_website(bucket, region).await
    }

    async fn grantees(&self, bucket: &BucketName, region: &str) -> Result<Vec<String>, Failure> {
        const OPERATION: &str = "s3:GetBucketAcl";
        let call = self.s3(region).get_bucket_acl().bucket(bucket.as_str());
        let answer = call.expected_bucket_owner(self.owner()).send().await;
        let answer = answer.map_err(|error| classify(OPERATION, &error))?;
        let owner = answer.owner().and_then(|owner| owner.id());
        let each = answer.grants().iter().filter_map(|grant| grant.grantee());
        let others = each.filter(|grantee| owner.is_none() || grantee.id() != owner);
        let name = |grantee: &aws_sdk_s3::types::Grantee| {
            grantee
                .uri()
                .or(grantee.id())
                .unwrap_or("an unknown grantee")
                .to_owned()
        };
        Ok(others.map(name).collect())
    }

    async fn key(&self, arn: &str, region: &str) -> Result<Option<Key>, Failure> {
        const DESCRIBE: &str = "kms:DescribeKey";
        const POLICY: &str = "kms:GetKeyPolicy";
        let kms = aws_sdk_kms::Client::new(&self.aws.paced_in(region.to_owned()));
        let describe = async {
            found(
                DESCRIBE,
                "NotFoundException",
                kms.describe_key().key_id(arn).send().await,
            )
        };
        let policy = async {
            found(
                POLICY,
                "NotFoundException",
                kms.get_key_policy().key_id(arn).send().await,
            )
        };
        let (Some(described), Some(policy)) = try_join(describe, policy).await? else {
            return Ok(None);
        };
        let metadata = described
            .key_metadata
            .ok_or_else(|| unexpected(DESCRIBE, "no metadata"))?;
        let unusable = match (metadata.key_state(), metadata.key_usage(), metadata.key_spec()) {
            (Some(KeyState::Enabled), Some(KeyUsageType::EncryptDecrypt), Some(KeySpec::SymmetricDefault)) => None,
            (Some(KeyState::Enabled), usage, spec) => Some(format!(
                "it is a {} key for {}; S3 takes symmetric ones that encrypt",
                spec.map_or("unknown", KeySpec::as_str),
                usage.map_or("unknown use", KeyUsageType::as_str)
            )),
            (state, ..) => Some(format!("its state is {}", state.map_or("unknown", KeyState::as_str))),
        };
        Ok(Some(Key {
            unusable,
            policy: policy.policy.unwrap_or_default(),
        }))
    }

    async fn write(&self, write: &Approved<Write>) -> Result<Receipt, Failure> {
        let request_id = self.write_if_unchanged(write.write()).await.map_err(meanwhile)?;
        Ok(Receipt { request_id })
    }
}

impl AwsBuckets {
    /// S3 has no version to be conditional on: whoever writes between the read and the write in here is overwritten.
    async fn write_if_unchanged(&self, write: &Write) -> Result<Option<String>, Failure> {
        match write {
            Write::Encryption { bucket, found, wanted } => {
                let region = self.buckets.region_of(bucket).await?;
                if self.encryption(bucket, &region).await? != *found {
                    return Err(changed_meanwhile("s3:PutBucketEncryption"));
                }
                match wanted {
                    Some(wanted) => self.put_encryption(bucket, &region, wanted).await,
                    None => self.delete_encryption(bucket, &region).await,
                }
            }
            Write::Policy { bucket, found, wanted } => {
                self.buckets.replace(bucket, found.as_deref(), wanted.as_deref()).await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encryption(algorithm: &str, key: Option<&str>, blocked: &[&str]) -> Encryption {
        Encryption {
            algorithm: algorithm.to_owned(),
            key: key.map(str::to_owned),
            bucket_key: key.is_some(),
            blocked: blocked.iter().map(|kind| (*kind).to_owned()).collect(),
        }
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        for written in [
            encryption(AES256, None, &[]),
            encryption(AES256, None, &["SSE-C"]),
            encryption("aws:kms", None, &["NONE"]),
            encryption(
                "aws:kms:dsse",
                Some("arn:aws:kms:us-east-1:111122223333:key/a"),
                &["SSE-C", "of-tomorrow"],
            ),
        ] {
            let configuration = configuration("s3:PutBucketEncryption", &written).unwrap();
            let [rule] = configuration.rules() else {
                panic!("{configuration:?}")
            };
            assert_eq!(read(rule), written);
        }
    }

    #[test]
    fn a_rule_that_only_blocks_keeps_blocking() {
        let blocked = BlockedEncryptionTypes::builder()
            .encryption_type(EncryptionType::SseC)
            .build();
        let rule = ServerSideEncryptionRule::builder()
            .blocked_encryption_types(blocked)
            .build();
        assert_eq!(read(&rule), encryption(AES256, None, &["SSE-C"]));
    }
}
