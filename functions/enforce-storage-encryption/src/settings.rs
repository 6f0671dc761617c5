//! What the operator sets.

use remediation::{
    engine::Policy,
    ids::{InvalidRegion, Region},
    settings::{Document, InvalidSettings, Section},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the operator sets for this function alone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(inline)]
pub struct Own {
    /// Regions whose default is never touched, such as one with instances whose type takes no encrypted volumes.
    pub protected_regions: Vec<Protected>,
}

/// The name of a Region, such as `eu-central-1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(inline, with = "String", extend("pattern" = "^[a-z]+(-[a-z]+)+-[0-9]+$"))]
pub struct Protected(Region);

impl TryFrom<String> for Protected {
    type Error = InvalidRegion;

    fn try_from(text: String) -> Result<Self, InvalidRegion> {
        Region::parse(&text).map(Self)
    }
}

impl Section for Own {}

/// All that can be set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What is allowed.
    pub policy: Policy,
    /// Regions whose default is never touched.
    pub protected: Vec<Region>,
}

impl Settings {
    /// Reads the operator's document.
    ///
    /// # Errors
    /// All settings of this function that are wrong, each by its path.
    pub fn read(document: &Document) -> Result<Self, InvalidSettings> {
        let (policy, own) = Policy::read::<Own>(document, "enforce-storage-encryption")?;
        Ok(Self {
            policy,
            protected: own
                .protected_regions
                .into_iter()
                .map(|Protected(region)| region)
                .collect(),
        })
    }
}
