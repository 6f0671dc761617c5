//! The Lambda binary of `block-ip`.

use block_ip::{BlockIp, Settings, Waf};
use remediation::settings::SettingsReader;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), remediation_aws::Error> {
    remediation_aws::run(|aws| {
        let settings = Settings::read(SettingsReader::from_environment())?;
        let policy = settings.policy.clone();
        Ok((BlockIp::new(Waf::new(aws), settings), policy))
    })
    .await
}
