//! The Lambda binary of `block-public-access`.

use block_public_access::{AwsBuckets, BlockPublicAccess, Settings};
use remediation::clock::Timestamp;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), remediation_aws::Error> {
    remediation_aws::run(
        |aws, role, _| {
            let buckets = AwsBuckets::new(aws, role.account().clone());
            Ok(move |document: &_, _: Timestamp| {
                let settings = Settings::read(document)?;
                Ok((
                    BlockPublicAccess::new(buckets.clone(), settings.protected),
                    settings.policy,
                ))
            })
            // Each bucket has a host of its own, of which nothing is known before the event.
        },
        async |_: &_| (),
    )
    .await
}
