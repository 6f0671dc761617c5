//! Which buckets a setting means.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{ids::BucketName, outcome::Reason};

/// A bucket by its name, or several by how their names begin.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(inline, extend("pattern" = r"^[A-Za-z0-9._-]+\*?$"))]
pub struct BucketPattern(String);

impl BucketPattern {
    /// Whether this one is meant.
    #[must_use]
    pub fn covers(&self, bucket: &BucketName) -> bool {
        match self.0.strip_suffix('*') {
            Some(beginning) => bucket.as_str().starts_with(beginning),
            None => bucket.as_str() == self.0,
        }
    }

    /// Why a bucket is not touched, if it is one of the protected.
    #[must_use]
    pub fn protect(protected: &[Self], bucket: &BucketName) -> Option<Reason> {
        let is_protected = protected.iter().any(|protected| protected.covers(bucket));
        is_protected.then(|| Reason::new("protected-bucket", format!("{bucket} is protected by a setting")))
    }
}

impl TryFrom<String> for BucketPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let name = text.strip_suffix('*').unwrap_or(&text);
        let is_valid = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) && !name.is_empty();
        if is_valid {
            Ok(Self(text))
        } else {
            Err(format!(
                "expected the name of a bucket, or how names begin with * after it, not {text:?}"
            ))
        }
    }
}
