//! The Lambda binary of `disable-access-key`.

use disable_access_key::{AwsIam, DisableAccessKey, Environment, Settings};
use remediation::clock::Timestamp;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), remediation_aws::Error> {
    remediation_aws::run(
        |aws, _, reader| {
            let environment = Environment::read(reader)?;
            let iam = AwsIam::new(aws);
            Ok(move |document: &_, _: Timestamp| {
                let settings = Settings::read(&environment, document)?;
                let policy = settings.policy.clone();
                Ok((DisableAccessKey::new(iam.clone(), settings), policy))
            })
        },
        AwsIam::rehearse,
    )
    .await
}
