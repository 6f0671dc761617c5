//! The Lambda binary of `enforce-s3-encryption`.

use enforce_s3_encryption::{AwsBuckets, EnforceS3Encryption, Settings};
use remediation::clock::Timestamp;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), remediation_aws::Error> {
    remediation_aws::run(
        |aws, role, _| {
            let (role, buckets) = (role.clone(), AwsBuckets::new(aws, role.account().clone()));
            Ok(move |document: &_, _: Timestamp| {
                let settings = Settings::read(&role, document)?;
                let policy = settings.policy.clone();
                Ok((EnforceS3Encryption::new(buckets.clone(), settings), policy))
            })
            // Each bucket has a host of its own, of which nothing is known before the event.
        },
        async |_: &_| (),
    )
    .await
}
