//! What the function needs of EC2.

use remediation::{Approved, Receipt, failure::Failure, ids::Region};

/// The default of each Region.
pub trait Regions: Send + Sync {
    /// Whether new volumes are encrypted unasked.
    fn is_encrypted(&self, region: &Region) -> impl Future<Output = Result<bool, Failure>> + Send;

    /// Switches it.
    fn write(&self, write: &Approved<Switch>) -> impl Future<Output = Result<Receipt, Failure>> + Send;
}

/// The default of a Region, on or off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch {
    /// Where.
    pub region: Region,
    /// On.
    pub on: bool,
}
