//! The Lambda binary of `enforce-storage-encryption`.

use enforce_storage_encryption::{AwsRegions, EnforceStorageEncryption, Settings};
use remediation::clock::Timestamp;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), remediation_aws::Error> {
    remediation_aws::run(
        |aws, _, _| {
            let regions = AwsRegions::new(aws);
            Ok(move |document: &_, _: Timestamp| {
                let settings = Settings::read(document)?;
                Ok((
                    EnforceStorageEncryption::new(regions.clone(), settings.protected),
                    settings.policy,
                ))
            })
        },
        remediation_aws::Ec2::rehearse,
    )
    .await
}
