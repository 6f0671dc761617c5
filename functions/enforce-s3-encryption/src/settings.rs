//! The function's settings, from the environment that `template.yaml` sets.

use std::{collections::BTreeMap, str::FromStr};

use remediation::{
    engine::Policy,
    ids::{AccountId, BucketName},
    settings::{InvalidSettings, Mode, SettingsReader, list},
};

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
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// All that can be set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How far to go, and in which account.
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
    /// Reads them.
    ///
    /// # Errors
    /// All settings that are missing or wrong, each by its name.
    pub fn read(mut reader: SettingsReader) -> Result<Self, InvalidSettings> {
        let mode = reader.required("MODE", Mode::from_str);
        let account = reader.required("ACCOUNT_ID", AccountId::parse);
        let partition = reader.or_default("PARTITION", |text| partition(text).map(Some));
        let encryption = reader.or_default("DEFAULT_ENCRYPTION", encryption);
        let protected = reader.or_default("PROTECTED_BUCKETS", |text| list(text, protected));
        let own_role = reader.or_default("OWN_ROLE_ARN", |text| role(text).map(Some));
        if let (Some(DefaultEncryption::Keys(keys)), Some(account)) = (&encryption, &account)
            && let Some(foreign) = keys
                .values()
                .find(|arn| arn.split(':').nth(4) != Some(account.as_str()))
        {
            let problem = format!("{foreign} belongs to another account, whose key policy cannot be read from here");
            reader.reject("DEFAULT_ENCRYPTION", &problem);
        }
        let settings = (|| {
            let account = account?;
            Some(Self {
                policy: Policy {
                    mode: mode?,
                    allow_samples: false,
                    account: Some(account.clone()),
                },
                account,
                partition: partition?.unwrap_or_else(|| "aws".to_owned()),
                encryption: encryption?,
                protected: protected?,
                own_role: own_role?,
            })
        })();
        reader.finish(settings)
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

fn protected(text: &str) -> Result<Protected, &'static str> {
    let name = text.strip_suffix('*').unwrap_or(text);
    let is_valid = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) && !name.is_empty();
    is_valid
        .then(|| Protected(text.to_owned()))
        .ok_or("expected the name of a bucket, or how names begin with * after it")
}

fn encryption(text: &str) -> Result<DefaultEncryption, String> {
    match text {
        "aws/s3" => return Ok(DefaultEncryption::AwsManaged),
        "AES256" => return Ok(DefaultEncryption::Aes256),
        _ => {}
    }
    let mut keys = BTreeMap::new();
    for (region, arn) in list(text, key)? {
        if let Some(first) = keys.insert(region.clone(), arn.clone()) {
            return Err(format!("{first} and {arn} are both in {region}"));
        }
    }
    Ok(DefaultEncryption::Keys(keys))
}

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
        _ => Err(
            "expected aws/s3, AES256 or the ARN of a KMS key, arn:aws:kms:REGION:ACCOUNT:key/ID; an alias or a bare id \
             means the key of whoever uploads",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[(&str, &str)]) -> Result<Settings, InvalidSettings> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Settings::read(SettingsReader::new(values.iter().map(own)))
    }

    #[test]
    fn as_the_template_sets_them() {
        let settings = read(&[
            ("MODE", "enforce"),
            ("ACCOUNT_ID", "111122223333"),
            ("PARTITION", "aws-us-gov"),
            (
                "DEFAULT_ENCRYPTION",
                "arn:aws:kms:eu-west-1:111122223333:key/a, arn:aws:kms:us-east-1:111122223333:key/mrk-b",
            ),
            ("PROTECTED_BUCKETS", "website,legacy-*"),
            ("OWN_ROLE_ARN", "arn:aws:iam::111122223333:role/x"),
        ])
        .unwrap();
        let DefaultEncryption::Keys(keys) = &settings.encryption else {
            panic!("{settings:?}")
        };
        assert_eq!(keys.keys().collect::<Vec<_>>(), ["eu-west-1", "us-east-1"]);
        let covers = |name: &str| {
            settings
                .protected
                .iter()
                .any(|p| p.covers(&BucketName::parse(name).unwrap()))
        };
        assert!(covers("website") && covers("legacy-logs") && !covers("website-2") && !covers("legacy"));
        let least = read(&[("MODE", "dry-run"), ("ACCOUNT_ID", "111122223333")]).unwrap();
        assert_eq!(
            (least.encryption, least.partition.as_str()),
            (DefaultEncryption::AwsManaged, "aws")
        );
    }

    #[test]
    fn everything_wrong_is_named() {
        let wrong = read(&[
            ("PARTITION", "azure"),
            ("DEFAULT_ENCRYPTION", "alias/securecart"),
            ("PROTECTED_BUCKETS", "*"),
            ("OWN_ROLE_ARN", "role/x"),
        ])
        .unwrap_err();
        let names: Vec<_> = wrong.0.iter().map(|wrong| wrong.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "MODE",
                "ACCOUNT_ID",
                "PARTITION",
                "DEFAULT_ENCRYPTION",
                "PROTECTED_BUCKETS",
                "OWN_ROLE_ARN"
            ]
        );
        let foreign = "arn:aws:kms:eu-west-1:444455556666:key/a";
        let wrong = read(&[
            ("MODE", "off"),
            ("ACCOUNT_ID", "111122223333"),
            ("DEFAULT_ENCRYPTION", foreign),
        ])
        .unwrap_err();
        assert!(wrong.to_string().contains("another account"), "{wrong}");
        let twice = "arn:aws:kms:eu-west-1:111122223333:key/a,arn:aws:kms:eu-west-1:111122223333:key/b";
        let wrong = read(&[
            ("MODE", "off"),
            ("ACCOUNT_ID", "111122223333"),
            ("DEFAULT_ENCRYPTION", twice),
        ])
        .unwrap_err();
        assert!(wrong.to_string().contains("both in eu-west-1"), "{wrong}");
    }
}
