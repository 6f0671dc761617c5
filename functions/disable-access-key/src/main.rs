//! The Lambda binary of `disable-access-key`.

use disable_access_key::{AwsIam, DisableAccessKey, Settings};
use remediation::settings::SettingsReader;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), remediation_aws::Error> {
    remediation_aws::run(|aws| {
        let settings = Settings::read(SettingsReader::from_environment())?;
        let policy = settings.policy.clone();
        Ok((DisableAccessKey::new(AwsIam::new(aws), settings), policy))
    })
    .await
}
