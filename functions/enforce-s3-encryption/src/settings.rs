//! The function's settings: what the deployment sets in the environment, and what the operator does in the document.

use std::{borrow::Cow, collections::BTreeMap};

use remediation::{
    engine::Policy,
    ids::{AccountId, BucketName},
    settings::{Document, InvalidSetting, InvalidSettings, Section, SettingsReader},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

/// What the deployment sets.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The account that owns the buckets.
    pub account: AccountId,
    /// The partition of ARNs.
    pub partition: String,
    /// The function's own role.
    pub own_role: Option<String>,
}

impl Environment {
    /// Reads it.
    ///
    /// # Errors
    /// All that is missing or wrong, each by its name.
    pub fn read(mut reader: SettingsReader) -> Result<Self, InvalidSettings> {
        let account = reader.required("ACCOUNT_ID", AccountId::parse);
        let partition = reader.or_default("PARTITION", |text| partition(text).map(Some));
        let own_role = reader.or_default("OWN_ROLE_ARN", |text| role(text).map(Some));
        let environment = (|| {
            Some(Self {
                account: account?,
                partition: partition?.unwrap_or_else(|| "aws".to_owned()),
                own_role: own_role?,
            })
        })();
        reader.finish(environment)
    }
}

/// What a bucket without SSE-KMS gets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum DefaultEncryption {
    /// SSE-KMS with the key `aws/s3`, which AWS manages and no other account can use.
    #[default]
    AwsManaged,
    /// SSE-S3.
    Aes256,
    /// SSE-KMS with these keys, by their Region: S3 takes only keys of the bucket's.
    Keys(BTreeMap<String, String>),
}

/// Buckets that are never touched: a name, or how names begin.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(inline, extend("pattern" = r"^[A-Za-z0-9._-]+\*?$"))]
pub struct Protected(String);

impl Protected {
    /// Whether this one is meant.
    #[must_use]
    pub fn covers(&self, bucket: &BucketName) -> bool {
        match self.0.strip_suffix('*') {
            Some(beginning) => bucket.as_str().starts_with(beginning),
            None => bucket.as_str() == self.0,
        }
    }
}

/// What the operator sets for this function alone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(inline)]
pub struct Own {
    /// What buckets without SSE-KMS get: `aws/s3` is the key that AWS manages, which no other account can use; `AES256` is
    /// SSE-S3; else the ARNs of your KMS keys, one for each Region.
    pub default_encryption: DefaultEncryption,
    /// Buckets that are never touched, such as a website. A `*` at the end stands for the rest of the name.
    pub protected_buckets: Vec<Protected>,
}

impl Section for Own {}

/// All that can be set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What is allowed.
    pub policy: Policy,
    /// The account that owns the buckets.
    pub account: AccountId,
    /// The partition of ARNs.
    pub partition: String,
    /// What buckets are encrypted with.
    pub encryption: DefaultEncryption,
    /// Buckets that are never touched.
    pub protected: Vec<Protected>,
    /// The function's own role.
    pub own_role: Option<String>,
}

impl Settings {
    /// Reads the operator's document.
    ///
    /// # Errors
    /// All settings of this function that are wrong, each by its path.
    pub fn read(environment: &Environment, document: &Document) -> Result<Self, InvalidSettings> {
        let account = environment.account.clone();
        let (policy, own) = Policy::read::<Own>(document, "enforce-s3-encryption", account.clone())?;
        if let DefaultEncryption::Keys(keys) = &own.default_encryption
            && let Some(foreign) = keys
                .values()
                .find(|arn| arn.split(':').nth(4) != Some(account.as_str()))
        {
            return Err(InvalidSettings(vec![InvalidSetting {
                name: "functions.enforce-s3-encryption.defaultEncryption".to_owned(),
                problem: format!("{foreign} belongs to another account, whose key policy cannot be read from here"),
            }]));
        }
        Ok(Self {
            policy,
            account,
            partition: environment.partition.clone(),
            encryption: own.default_encryption,
            protected: own.protected_buckets,
            own_role: environment.own_role.clone(),
        })
    }
}

fn partition(text: &str) -> Result<String, &'static str> {
    let is_valid = text == "aws" || text.strip_prefix("aws-").is_some_and(|rest| !rest.is_empty());
    is_valid
        .then(|| text.to_owned())
        .ok_or("expected a partition, such as aws or aws-cn")
}

fn role(text: &str) -> Result<String, &'static str> {
    let is_valid = text.starts_with("arn:") && text.contains(":role/");
    is_valid.then(|| text.to_owned()).ok_or("expected the ARN of a role")
}

impl TryFrom<String> for Protected {
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
            let (region, arn) = key(arn).map_err(D::Error::custom)?;
            if let Some(first) = keys.insert(region.clone(), arn.clone()) {
                return Err(D::Error::custom(format_args!("{first} and {arn} are both in {region}")));
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

const NO_ENCRYPTION: &str = "expected aws/s3, AES256, or the ARNs of KMS keys, arn:aws:kms:REGION:ACCOUNT:key/ID; an alias or a \
                             bare id means the key of whoever uploads";

/// Only whole ARNs: an alias or a bare id means the key of whoever uploads.
fn key(text: &str) -> Result<(String, String), &'static str> {
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        ["arn", _, "kms", region, account, key]
            if !region.is_empty()
                && AccountId::parse(account).is_ok()
                && key.strip_prefix("key/").is_some_and(|id| !id.is_empty()) =>
        {
            Ok(((*region).to_owned(), text.to_owned()))
        }
        _ => Err(NO_ENCRYPTION),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(values: &[(&str, &str)]) -> Result<Environment, InvalidSettings> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Environment::read(SettingsReader::new(values.iter().map(own)))
    }

    fn read(own: &str) -> Result<Settings, InvalidSettings> {
        let environment = environment(&[("ACCOUNT_ID", "111122223333")]).unwrap();
        let document = format!(r#"{{"functions": {{"enforce-s3-encryption": {own}}}}}"#);
        Settings::read(&environment, &Document::parse(&document).unwrap())
    }

    fn names(wrong: InvalidSettings) -> Vec<String> {
        wrong.0.into_iter().map(|wrong| wrong.name).collect()
    }

    #[test]
    fn what_is_set_is_read() {
        let settings = read(
            r#"{"defaultEncryption": ["arn:aws:kms:eu-west-1:111122223333:key/a", "arn:aws:kms:us-east-1:111122223333:key/mrk-b"],
                "protectedBuckets": ["website", "legacy-*"]}"#,
        )
        .unwrap();
        let DefaultEncryption::Keys(keys) = &settings.encryption else {
            panic!("{settings:?}")
        };
        assert_eq!(keys.keys().collect::<Vec<_>>(), ["eu-west-1", "us-east-1"]);
        let covers = |name: &str| {
            let mut protected = settings.protected.iter();
            protected.any(|protected| protected.covers(&BucketName::parse(name).unwrap()))
        };
        assert!(covers("website") && covers("legacy-logs") && !covers("website-2") && !covers("legacy"));
        let least = read("{}").unwrap();
        assert_eq!(
            (least.encryption, least.partition.as_str()),
            (DefaultEncryption::AwsManaged, "aws")
        );
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
        let wrong = environment(&[("PARTITION", "azure"), ("OWN_ROLE_ARN", "role/x")]).unwrap_err();
        assert_eq!(names(wrong), ["ACCOUNT_ID", "PARTITION", "OWN_ROLE_ARN"]);
        for keys in [
            r#"["arn:aws:kms:eu-west-1:111122223333:key/a", "arn:aws:kms:eu-west-1:111122223333:key/b"]"#,
            r#""arn:aws:kms:eu-west-1:444455556666:key/a""#,
            r#""arn:aws:kms:eu-west-1:111122223333:alias/a""#,
            "[]",
            "7",
        ] {
            let wrong = read(&format!(r#"{{"defaultEncryption": {keys}}}"#)).unwrap_err();
            assert_eq!(names(wrong), [format!("{at}.defaultEncryption")], "{keys}");
        }
    }
}
