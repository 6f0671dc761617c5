//! Bucket and key policies, read as far as is needed to know who else depends on them. What cannot be told for certain is
//! taken for the worse.

use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

/// A policy that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the policy cannot be read: {0}")]
pub struct Unreadable(pub String);

/// The statements of a policy, as they are written.
pub(crate) struct Document(Vec<Map<String, Value>>);

/// Who a statement is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Principal {
    /// Everybody.
    Anyone,
    /// An account, or a principal in it: the account and the text.
    Aws { account: Option<String>, text: String },
    /// An AWS service, such as `delivery.logs.amazonaws.com`.
    Service(String),
    /// A federated or canonical user.
    Other(String),
}

impl Principal {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Anyone => "*",
            Self::Aws { text, .. } | Self::Service(text) | Self::Other(text) => text,
        }
    }
}

impl Document {
    pub(crate) fn parse(text: &str) -> Result<Self, Unreadable> {
        let unreadable = |problem: &str| Unreadable(problem.to_owned());
        let mut policy: Map<String, Value> =
            serde_json::from_str(text).map_err(|error| Unreadable(error.to_string()))?;
        let statements = match policy.remove("Statement") {
            Some(Value::Array(statements)) => statements,
            Some(statement @ Value::Object(_)) => vec![statement],
            _ => return Err(unreadable("it has no statements")),
        };
        let each = statements.into_iter().map(|statement| match statement {
            Value::Object(statement) => Ok(statement),
            _ => Err(unreadable("a statement is no object")),
        });
        each.collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn statements(&self) -> impl Iterator<Item = Statement<'_>> {
        self.0.iter().map(Statement)
    }
}

/// One statement.
#[derive(Clone, Copy)]
pub(crate) struct Statement<'a>(&'a Map<String, Value>);

impl<'a> Statement<'a> {
    pub(crate) fn sid(&self) -> Option<&'a str> {
        self.0.get("Sid").and_then(Value::as_str)
    }

    pub(crate) fn is_allow(&self) -> bool {
        self.0.get("Effect").and_then(Value::as_str) == Some("Allow")
    }

    pub(crate) fn is_deny(&self) -> bool {
        self.0.get("Effect").and_then(Value::as_str) == Some("Deny")
    }

    /// The principals; for `NotPrincipal`, anyone.
    pub(crate) fn principals(&self) -> Vec<Principal> {
        match self.0.get("Principal") {
            Some(Value::String(text)) if text == "*" => vec![Principal::Anyone],
            Some(Value::Object(kinds)) => kinds.iter().flat_map(|(kind, named)| of_kind(kind, named)).collect(),
            _ => vec![Principal::Anyone],
        }
    }

    /// The principals that `NotPrincipal` lists, if it is there.
    pub(crate) fn excepted(&self) -> Option<Vec<Principal>> {
        match self.0.get("NotPrincipal")? {
            Value::Object(kinds) => Some(kinds.iter().flat_map(|(kind, named)| of_kind(kind, named)).collect()),
            _ => Some(vec![Principal::Anyone]),
        }
    }

    /// Whether the statement may be about this action. `NotAction` is about all that it does not list.
    pub(crate) fn covers(&self, action: &str) -> bool {
        let action = action.to_ascii_lowercase();
        let is_listed = |listed| {
            let mut patterns = texts(listed).into_iter();
            patterns.any(|pattern| matches(&pattern.to_ascii_lowercase(), &action))
        };
        match (self.0.get("Action"), self.0.get("NotAction")) {
            (Some(listed), _) => is_listed(listed),
            (None, Some(listed)) => !is_listed(listed),
            (None, None) => true,
        }
    }

    /// Whether the statement may be about this resource, whose case counts. `NotResource` may be about any.
    pub(crate) fn reaches(&self, arn: &str) -> bool {
        let listed = self.0.get("Resource");
        listed.is_none_or(|listed| texts(listed).iter().any(|pattern| matches(pattern, arn)))
    }

    pub(crate) fn condition(&self) -> Option<&'a Map<String, Value>> {
        self.0
            .get("Condition")
            .and_then(Value::as_object)
            .filter(|condition| !condition.is_empty())
    }

    pub(crate) fn has_only(&self, fields: &[&str]) -> bool {
        self.0.keys().all(|key| fields.contains(&key.as_str()))
    }

    /// The statement in one spelling, to be compared.
    pub(crate) fn text(&self) -> String {
        Value::Object(self.0.clone()).to_string()
    }

    pub(crate) fn field(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name)
    }

    /// Whether the conditions keep it to principals of this account, for certain.
    fn is_kept_to(&self, account: &str) -> bool {
        let keeps = |key: &str, value: &Value| {
            let values = texts(value);
            let is_own = |value: &&str| match key.to_ascii_lowercase().as_str() {
                // The source's account would not do: it says on whose behalf a service comes.
                "aws:principalaccount" => *value == account,
                "aws:principalarn" => {
                    // A wildcard reaches over colons: one before the account lets other accounts in.
                    let is_open = value.split(':').take(5).any(|part| part.contains(['*', '?']));
                    !is_open && account_of(value) == Some(account)
                }
                _ => false,
            };
            !values.is_empty() && values.iter().all(is_own)
        };
        let Some(condition) = self.condition() else {
            return false;
        };
        condition.iter().any(|(operator, keys)| {
            let is_certain = matches!(
                operator.as_str(),
                "StringEquals" | "StringLike" | "ArnEquals" | "ArnLike"
            );
            is_certain
                && keys
                    .as_object()
                    .is_some_and(|keys| keys.iter().any(|(key, value)| keeps(key, value)))
        })
    }
}

fn of_kind(kind: &str, named: &Value) -> Vec<Principal> {
    let each = |text: &str| match kind {
        "AWS" if text == "*" => Principal::Anyone,
        "AWS" => Principal::Aws {
            account: account_of(text).map(str::to_owned),
            text: text.to_owned(),
        },
        "Service" => Principal::Service(text.to_owned()),
        _ => Principal::Other(text.to_owned()),
    };
    texts(named).into_iter().map(each).collect()
}

/// The account of an ARN, or of a bare account id.
fn account_of(text: &str) -> Option<&str> {
    let is_account = |text: &&str| text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
    Some(text)
        .filter(is_account)
        .or_else(|| text.split(':').nth(4).filter(is_account))
}

/// A string, or a list of strings.
pub(crate) fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// IAM's patterns: `*` is any text, `?` any character.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    // One row per character of the pattern: which prefixes of the text it matches so far.
    let text: Vec<char> = text.chars().collect();
    let mut reached: Vec<bool> = (0..=text.len()).map(|length| length == 0).collect();
    for expected in pattern.chars() {
        let mut next = vec![false; text.len() + 1];
        let mut seen = false;
        for (length, slot) in next.iter_mut().enumerate() {
            let before = length
                .checked_sub(1)
                .and_then(|before| Some((*reached.get(before)?, *text.get(before)?)));
            seen |= reached.get(length).copied().unwrap_or(false);
            *slot = match expected {
                '*' => seen,
                '?' => before.is_some_and(|(matched, _)| matched),
                _ => before.is_some_and(|(matched, found)| matched && found == expected),
            };
        }
        reached = next;
    }
    reached.last().copied().unwrap_or(false)
}

/// Somebody outside the account, or an AWS service, that a bucket policy lets in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Outsider {
    pub(crate) who: Principal,
    pub(crate) reads: bool,
    pub(crate) writes: bool,
}

/// Who is let in to read or write objects, beside the account itself.
pub(crate) fn outsiders(policy: &str, account: &str) -> Result<Vec<Outsider>, Unreadable> {
    let document = Document::parse(policy)?;
    let mut outsiders: Vec<Outsider> = Vec::new();
    for statement in document.statements().filter(Statement::is_allow) {
        let reads = statement.covers("s3:GetObject") || statement.covers("s3:GetObjectVersion");
        let writes = statement.covers("s3:PutObject") || statement.covers("s3:ReplicateObject");
        if !reads && !writes {
            continue;
        }
        for who in statement.principals() {
            let is_inside = match &who {
                Principal::Aws { account: Some(of), .. } => of == account,
                Principal::Service(_) => false,
                Principal::Anyone | Principal::Aws { .. } | Principal::Other(_) => statement.is_kept_to(account),
            };
            if !is_inside {
                outsiders.push(Outsider { who, reads, writes });
            }
        }
    }
    outsiders.sort();
    outsiders.dedup();
    Ok(outsiders)
}

/// Whether a key policy certainly lets this outsider do what it does with the bucket. Who uploads in parts needs
/// `kms:Decrypt`, too. A principal of another account needs its own account's word as well, which nobody can see from here.
pub(crate) fn key_admits(key_policy: &str, outsider: &Outsider) -> bool {
    let (Ok(document), Principal::Service(_)) = (Document::parse(key_policy), &outsider.who) else {
        return false;
    };
    let may = |action: &str| {
        let allows = document.statements().any(|statement| {
            statement.is_allow()
                && statement.condition().is_none()
                && statement.field("NotPrincipal").is_none()
                && statement
                    .field("Resource")
                    .map(texts)
                    .unwrap_or_default()
                    .contains(&"*")
                && statement.covers(action)
                && statement.principals().contains(&outsider.who)
        });
        allows
            && !document
                .statements()
                .any(|statement| statement.is_deny() && statement.covers(action))
    };
    may("kms:Decrypt") && (!outsider.writes || may("kms:GenerateDataKey"))
}

/// The place of `Statement` in the text of a policy.
#[derive(Deserialize)]
pub(crate) struct Raw<'a> {
    #[serde(borrow, rename = "Statement")]
    pub(crate) statement: &'a RawValue,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_as_iam_reads_them() {
        for (pattern, text, expected) in [
            ("s3:*", "s3:GetObject", true),
            ("S3:getobject", "s3:GetObject", false),
            ("s3:Get*", "s3:PutObject", false),
            ("*", "s3:PutObject", true),
            ("s3:?etObject", "s3:GetObject", true),
            ("s3:GetObject?", "s3:GetObject", false),
            ("s3:*Object*", "s3:GetObjectVersion", true),
            ("", "s3:GetObject", false),
            ("**", "", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    fn who(policy: &str) -> Vec<String> {
        let found = outsiders(policy, "111122223333").unwrap();
        found
            .iter()
            .map(|outsider| {
                format!(
                    "{} {}{}",
                    outsider.who.name(),
                    u8::from(outsider.reads),
                    u8::from(outsider.writes)
                )
            })
            .collect()
    }

    fn allow(principal: &str, action: &str, condition: &str) -> String {
        format!(
            r#"{{"Statement":{{"Effect":"Allow","Principal":{principal},"Action":{action},"Resource":"*","Condition":{condition}}}}}"#
        )
    }

    #[test]
    fn who_comes_from_outside() {
        let read = r#""s3:GetObject""#;
        let none: Vec<String> = Vec::new();
        assert_eq!(
            who(&allow(r#"{"AWS":"arn:aws:iam::111122223333:role/x"}"#, read, "{}")),
            none
        );
        assert_eq!(who(&allow(r#"{"AWS":"111122223333"}"#, read, "{}")), none);
        assert_eq!(
            who(&allow(r#"{"AWS":["444455556666"]}"#, read, "{}")),
            ["444455556666 10"]
        );
        assert_eq!(who(&allow(r#""*""#, r#"["s3:*"]"#, "{}")), ["* 11"]);
        assert_eq!(
            who(&allow(
                r#""*""#,
                read,
                r#"{"StringEquals":{"aws:PrincipalAccount":"111122223333"}}"#
            )),
            none
        );
        assert_eq!(
            who(&allow(
                r#""*""#,
                read,
                r#"{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}"#
            )),
            ["* 10"]
        );
        assert_eq!(
            who(&allow(
                r#""*""#,
                read,
                r#"{"StringEqualsIfExists":{"aws:PrincipalAccount":"111122223333"}}"#
            )),
            ["* 10"]
        );
        assert_eq!(
            who(&allow(
                r#""*""#,
                r#""S3:getobject""#,
                r#"{"StringLike":{"aws:PrincipalArn":"arn:aws:iam::111122223333:*"}}"#
            )),
            none
        );
        assert_eq!(
            who(&allow(
                r#""*""#,
                r#""S3:getobject""#,
                r#"{"StringLike":{"aws:PrincipalArn":"arn:*:iam::111122223333:*"}}"#
            )),
            ["* 10"]
        );
        assert_eq!(
            who(&allow(
                r#"{"Service":"delivery.logs.amazonaws.com"}"#,
                r#""s3:PutObject""#,
                r#"{"StringEquals":{"aws:SourceAccount":"111122223333"}}"#
            )),
            ["delivery.logs.amazonaws.com 01"]
        );
        assert_eq!(who(&allow(r#"{"AWS":"AIDADELETED"}"#, read, "{}")), ["AIDADELETED 10"]);
        assert_eq!(
            who(&allow(r#"{"AWS":"444455556666"}"#, r#""s3:ListBucket""#, "{}")),
            none
        );
    }

    #[test]
    fn a_key_admits_only_for_certain() {
        let cloudfront = r#"{"Service":"cloudfront.amazonaws.com"}"#;
        let reader = Outsider {
            who: Principal::Service("cloudfront.amazonaws.com".to_owned()),
            reads: true,
            writes: false,
        };
        let writer = Outsider {
            reads: false,
            writes: true,
            ..reader.clone()
        };
        let both = r#"["kms:Decrypt","kms:GenerateDataKey*"]"#;
        assert!(key_admits(&allow(cloudfront, r#""kms:Decrypt""#, "{}"), &reader));
        assert!(!key_admits(&allow(cloudfront, r#""kms:Decrypt""#, "{}"), &writer));
        assert!(key_admits(&allow(cloudfront, both, "{}"), &writer));
        let at_times = r#"{"StringEquals":{"aws:SourceArn":"x"}}"#;
        assert!(!key_admits(&allow(cloudfront, both, at_times), &reader));
        let elsewhere = allow(cloudfront, both, "{}").replace(r#""Resource":"*""#, r#""Resource":"arn:x""#);
        assert!(!key_admits(&elsewhere, &reader));
        assert!(!key_admits("not a policy", &reader));
        let person = Outsider {
            who: Principal::Aws {
                account: Some("444455556666".to_owned()),
                text: "444455556666".to_owned(),
            },
            ..reader
        };
        assert!(!key_admits(
            &allow(r#"{"AWS":"444455556666"}"#, r#""kms:*""#, "{}"),
            &person
        ));
    }
}
