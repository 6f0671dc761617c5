//! The Lambda binary of `close-open-ingress`.

use close_open_ingress::{AwsGroups, CloseOpenIngress, Settings};
use remediation::clock::Timestamp;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), remediation_aws::Error> {
    remediation_aws::run(
        |aws, _, _| {
            let groups = AwsGroups::new(aws);
            Ok(move |document: &_, _: Timestamp| {
                let settings = Settings::read(document)?;
                let policy = settings.policy.clone();
                Ok((CloseOpenIngress::new(groups.clone(), settings.limits), policy))
            })
        },
        remediation_aws::Ec2::rehearse,
    )
    .await
}
