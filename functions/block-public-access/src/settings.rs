//! What the operator sets.

use remediation::{
    engine::Policy,
    settings::{BucketPattern, Document, InvalidSettings, Section},
};
use schemars::JsonSchema;
use serde::Deserialize;

/// What the operator sets for this function alone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(inline)]
pub struct Own {
    /// Buckets that are never touched, since everybody is meant to read them. A `*` at the end stands for the rest of the name.
    pub protected_buckets: Vec<BucketPattern>,
}

impl Section for Own {}

/// All that can be set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What is allowed.
    pub policy: Policy,
    /// Buckets that are never touched.
    pub protected: Vec<BucketPattern>,
}

impl Settings {
    /// Reads the operator's document.
    ///
    /// # Errors
    /// All settings of this function that are wrong, each by its path.
    pub fn read(document: &Document) -> Result<Self, InvalidSettings> {
        let (policy, own) = Policy::read::<Own>(document, "block-public-access")?;
        Ok(Self {
            policy,
            protected: own.protected_buckets,
        })
    }
}
