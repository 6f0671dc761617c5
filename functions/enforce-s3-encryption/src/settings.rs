//! The function's settings: what the deployment sets in the environment, and what the operator does in the document.

use std::{borrow::Cow, collections::BTreeMap};

use remediation::{
    engine::Policy,
    ids::{AccountId, RoleArn},
    settings::{BucketPattern, Document, InvalidSettings, Section},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

/// What a bucket without SSE-KMS gets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum DefaultEncryption {
    /// SSE-KMS with the key `aws/s3`, which AWS manages and no other account can use.
    #[default]
    AwsManaged,
    /// SSE-S3.
    Aes256,
    /// SSE-KMS with these keys, by account and Region: S3 takes only keys of the bucket's Region, and the policy of another
    /// account's key cannot be read.
    Keys(BTreeMap<(AccountId, String), String>),
}

impl DefaultEncryption {
    /// The ARN of the key for the buckets of an account and Region, if it is one of several.
    #[must_use]
    pub fn key(&self, account: &AccountId, region: &str) -> Option<&str> {
        match self {
            Self::Keys(keys) => keys.get(&(account.clone(), region.to_owned())).map(String::as_str),
            Self::AwsManaged | Self::Aes256 => None,
        }
    }
}

/// What the operator sets for this function alone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(inline)]
pub struct Own {
    /// What buckets without SSE-KMS get: `aws/s3` is the key that AWS manages, which no other account can use; `AES256` is
    /// SSE-S3; else the ARNs of your KMS keys, one for each account and Region.
    pub default_encryption: DefaultEncryption,
    /// Buckets that are never touched, such as a website. A `*` at the end stands for the rest of the name.
    pub protected_buckets: Vec<BucketPattern>,
}

impl Section for Own {}

/// All that can be set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What is allowed.
    pub policy: Policy,
    /// As whom the function acts; of the account that owns the buckets.
    pub role: RoleArn,
    /// What buckets are encrypted with.
    pub encryption: DefaultEncryption,
    /// Buckets that are never touched.
    pub protected: Vec<BucketPattern>,
}

impl Settings {
    /// Reads the operator's document. `role`: as whom the function acts.
    ///
    /// # Errors
    /// All settings of this function that are wrong, each by its path.
    pub fn read(role: &RoleArn, document: &Document) -> Result<Self, InvalidSettings> {
        let (policy, own) = Policy::read::<Own>(document, "enforce-s3-encryption")?;
        Ok(Self {
            policy,
            role: role.clone(),
            encryption: own.default_encryption,
            protected: own.protected_buckets,
        })
    }
}

impl<'de> Deserialize<'de> for DefaultEncryption {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let arns: Vec<&str> = match &value {
            Value::String(text) if text == "aws/s3" => return Ok(Self::AwsManaged),
            Value::String(text) if text == "AES256" => return Ok(Self::Aes256),
            Value::String(text) => vec![text],
            Value::Array(list) if !list.is_empty() => {
                let texts: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
                texts.ok_or_else(|| D::Error::custom(NO_ENCRYPTION))?
            }
            _ => return Err(D::Error::custom(NO_ENCRYPTION)),
        };
        let mut keys = BTreeMap::new();
        for arn in arns {
            let place = place(arn).map_err(D::Error::custom)?;
            if let Some(first) = keys.insert(place, arn.to_owned()) {
                let text = format_args!("{first} and {arn} are of the same account and Region");
                return Err(D::Error::custom(text));
            }
        }
        Ok(Self::Keys(keys))
    }
}

impl JsonSchema for DefaultEncryption {
    fn schema_name() -> Cow<'static, str> {
        "DefaultEncryption".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let key = "^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$";
        json_schema!({ "anyOf": [
            { "enum": ["aws/s3", "AES256"] },
            { "type": "string", "pattern": key },
            { "type": "array", "items": { "type": "string", "pattern": key }, "minItems": 1 },
        ] })
    }
}

/// Only whole ARNs: an alias or a bare id means the key of whoever uploads.
const NO_ENCRYPTION: &str = "expected aws/s3, AES256, or the ARNs of KMS keys, arn:aws:kms:REGION:ACCOUNT:key/ID; an alias or a \
                             bare id means the key of whoever uploads";

/// Account and Region of a key.
fn place(text: &str) -> Result<(AccountId, String), &'static str> {
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        ["arn", _, "kms", region, account, key]
            if !region.is_empty() && key.strip_prefix("key/").is_some_and(|id| !id.is_empty()) =>
        {
            let account = AccountId::parse(account).map_err(|_| NO_ENCRYPTION)?;
            Ok((account, (*region).to_owned()))
        }
        _ => Err(NO_ENCRYPTION),
    }
}

#[cfg(test)]
mod tests {
    use remediation::ids::BucketName;

    use super::*;

    fn read(own: &str) -> Result<Settings, InvalidSettings> {
        let role = RoleArn::parse("arn:aws:iam::111122223333:role/own").unwrap();
        let document = format!(r#"{{"functions": {{"enforce-s3-encryption": {own}}}}}"#);
        Settings::read(&role, &Document::parse(&document).unwrap())
    }

    fn names(wrong: InvalidSettings) -> Vec<String> {
        wrong.0.into_iter().map(|wrong| wrong.name).collect()
    }

    #[test]
    fn what_is_set_is_read() {
        let settings = read(
            r#"{"defaultEncryption": ["arn:aws:kms:eu-west-1:111122223333:key/a", "arn:aws:kms:us-east-1:111122223333:key/mrk-b", "arn:aws:kms:us-east-1:444455556666:key/c"],
                "protectedBuckets": ["website", "legacy-*"]}"#,
        )
        .unwrap();
        let key = |account, region| settings.encryption.key(&AccountId::new(account), region);
        assert!(key("111122223333", "us-east-1").unwrap().ends_with("mrk-b"));
        assert!(key("444455556666", "us-east-1").unwrap().ends_with("key/c"));
        assert_eq!(key("444455556666", "eu-west-1"), None);
        let covers = |name: &str| {
            let mut protected = settings.protected.iter();
            protected.any(|protected| protected.covers(&BucketName::parse(name).unwrap()))
        };
        assert!(covers("website") && covers("legacy-logs") && !covers("website-2") && !covers("legacy"));
        let least = read("{}").unwrap();
        assert_eq!(least.encryption, DefaultEncryption::AwsManaged);
        assert_eq!(
            read(r#"{"defaultEncryption": "AES256"}"#).unwrap().encryption,
            DefaultEncryption::Aes256
        );
    }

    #[test]
    fn everything_wrong_is_named() {
        let wrong = read(r#"{"defaultEncryption": "alias/securecart", "protectedBuckets": ["a", "*"]}"#).unwrap_err();
        let at = "functions.enforce-s3-encryption";
        assert_eq!(
            names(wrong),
            [format!("{at}.defaultEncryption"), format!("{at}.protectedBuckets[1]")]
        );
        for keys in [
            r#"["arn:aws:kms:eu-west-1:111122223333:key/a", "arn:aws:kms:eu-west-1:111122223333:key/b"]"#,
            r#""arn:aws:kms:eu-west-1:111122223333:alias/a""#,
            "[]",
            "7",
        ] {
            let wrong = read(&format!(r#"{{"defaultEncryption": {keys}}}"#)).unwrap_err();
            assert_eq!(names(wrong), [format!("{at}.defaultEncryption")], "{keys}");
        }
    }
}
