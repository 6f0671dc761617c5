//! EC2, through its Query protocol.

use remediation::{Approved, Receipt, failure::Failure, ids::Region};
use remediation_aws::{Aws, Ec2};

use crate::ec2::{Regions, Switch};

/// EC2 with the function's own credentials, or those of its role in a member account.
#[derive(Debug, Clone)]
pub struct AwsRegions(Aws);

impl AwsRegions {
    /// With these credentials.
    #[must_use]
    pub fn new(aws: &Aws) -> Self {
        Self(aws.clone())
    }
}

impl Regions for AwsRegions {
    async fn is_encrypted(&self, region: &Region) -> Result<bool, Failure> {
        Ec2::new(&self.0, region.as_str())?.ebs_encryption_by_default().await
    }

    async fn write(&self, write: &Approved<Switch>) -> Result<Receipt, Failure> {
        let Switch { region, on } = write.write();
        let ec2 = Ec2::new(&self.0, region.as_str())?;
        let request_id = ec2.set_ebs_encryption_by_default(*on).await?;
        Ok(Receipt { request_id })
    }
}
