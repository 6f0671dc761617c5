//! The Lambda binary of `block-ip`.

use block_ip::{BlockIp, Environment, Settings, Waf};
use remediation::clock::Timestamp;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), remediation_aws::Error> {
    remediation_aws::run(
        |aws, _, reader| {
            let environment = Environment::read(reader)?;
            let waf = Waf::new(aws);
            Ok(move |document: &_, _: Timestamp| {
                let settings = Settings::read(&environment, document)?;
                let policy = settings.policy.clone();
                Ok((BlockIp::new(waf.clone(), settings), policy))
            })
        },
        Waf::rehearse,
    )
    .await
}
