//! The Lambda binary of `enforce-s3-encryption`.

use enforce_s3_encryption::{AwsBuckets, EnforceS3Encryption, Settings};
use remediation::settings::SettingsReader;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), remediation_aws::Error> {
    remediation_aws::run(|aws| {
        let settings = Settings::read(SettingsReader::from_environment())?;
        let policy = settings.policy.clone();
        let buckets = AwsBuckets::new(aws, settings.account.clone());
        Ok((EnforceS3Encryption::new(buckets, settings), policy))
    })
    .await
}
