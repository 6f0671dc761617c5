//! The Lambda binary of `revoke-permissions`.

use remediation::clock::Timestamp;
use revoke_permissions::{Aws, Environment, RevokePermissions, Settings};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), remediation_aws::Error> {
    remediation_aws::run(
        |aws, role, reader| {
            let environment = Environment::read(reader, role.clone())?;
            let policies = Aws::new(aws, role.account().clone());
            Ok(move |document: &_, now: Timestamp| {
                let settings = Settings::read(&environment, document, now)?;
                let policy = settings.policy.clone();
                Ok((RevokePermissions::new(policies.clone(), settings), policy))
            })
        },
        Aws::rehearse,
    )
    .await
}
