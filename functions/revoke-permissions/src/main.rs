//! The Lambda binary of `revoke-permissions`.

use remediation::settings::SettingsReader;
use revoke_permissions::{Aws, RevokePermissions, Settings};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), remediation_aws::Error> {
    remediation_aws::run(|aws| {
        let settings = Settings::read(SettingsReader::from_environment())?;
        let policy = settings.policy.clone();
        let aws = Aws::new(aws, settings.account.clone());
        Ok((RevokePermissions::new(aws, settings), policy))
    })
    .await
}
