//! A policy document: its text, and what the text says.

use std::{collections::BTreeMap, fmt, ops::Range};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};
use serde_json::{Map, Value, value::RawValue};

use super::pattern::{includes, matches};
use crate::{ids::UniqueId, text::one_line};

/// A policy that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the policy cannot be read: {}", one_line(.0))]
pub struct Unreadable(pub String);

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        Self(error.to_string())
    }
}

/// A policy of any kind: of an identity, of a role's trust, of a resource.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    text: String,
    /// All fields but the statements.
    fields: Map<String, Value>,
    statements: Vec<Statement>,
    /// Where the value of `Statement` stands in the text.
    place: Range<usize>,
}

/// One statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    fields: Map<String, Value>,
    /// Where it stands in the text of the document.
    place: Range<usize>,
    /// Where the value of each field stands.
    values: BTreeMap<String, Range<usize>>,
}

/// What is to become of a statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    /// It goes.
    Drop,
    /// Its field, which it has, gets this value.
    Set(&'static str, Value),
}

/// Who a statement is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Principal {
    /// Everybody.
    Anyone,
    /// An account, or a principal in it.
    Aws {
        /// The account, if the text names one.
        account: Option<String>,
        /// As it is written.
        text: String,
    },
    /// An AWS service, such as `delivery.logs.amazonaws.com`.
    Service(String),
    /// A federated or canonical user, or something newer: the kind and the text.
    Other(String, String),
}

impl Principal {
    /// The text.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Anyone => "*",
            Self::Aws { text, .. } | Self::Service(text) | Self::Other(_, text) => text,
        }
    }

    /// From an entry of a `Principal` map.
    #[must_use]
    pub fn new(kind: &str, text: &str) -> Self {
        match kind {
            "AWS" if text == "*" => Self::Anyone,
            "AWS" => Self::Aws {
                account: account_of(text).map(str::to_owned),
                text: text.to_owned(),
            },
            "Service" => Self::Service(text.to_owned()),
            _ => Self::Other(kind.to_owned(), text.to_owned()),
        }
    }
}

impl Document {
    /// Reads a policy. The text is kept as it is.
    ///
    /// # Errors
    /// When it is not JSON, repeats a key, or has no statements that can be told apart.
    pub fn parse(text: &str) -> Result<Self, Unreadable> {
        let unreadable = |problem: &str| Unreadable(problem.to_owned());
        let entries: Entries<'_> = serde_json::from_str(text)?;
        let mut fields = Map::new();
        let mut found = None;
        for (name, raw) in entries.0 {
            if name == "Statement" {
                found = Some(raw);
            } else {
                fields.insert(name, value(raw.get())?);
            }
        }
        let raw = found.ok_or_else(|| unreadable("it has no statements"))?;
        let place = place(text, raw.get())?;
        let each: Vec<&RawValue> = if raw.get().starts_with('[') {
            serde_json::from_str(raw.get())?
        } else {
            vec![raw]
        };
        let statements = each.into_iter().map(|raw| Statement::parse(text, raw.get()));
        Ok(Self {
            fields,
            statements: statements.collect::<Result<_, _>>()?,
            place,
            text: text.to_owned(),
        })
    }

    /// The text, to the byte.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The statements, in their order.
    pub fn statements(&self) -> impl Iterator<Item = &Statement> {
        self.statements.iter()
    }

    /// A principal that was deleted, if the policy names one: AWS shows it by its unique id, and takes no policy back in which there is one.
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html>
    #[must_use]
    pub fn deleted_principal(&self) -> Option<String> {
        let of = |one: &Statement| one.excepted().unwrap_or_else(|| one.principals());
        let mut named = self.statements().flat_map(of);
        named.find_map(|principal| UniqueId::parse(principal.name()).map(|id| id.to_string()))
    }

    /// A field beside the statements.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Value> {
        self.fields.get(name)
    }

    /// The text with these statements changed, by their index. All other text stays, to the byte. `None`: no statement
    /// would be left.
    ///
    /// # Errors
    /// When a statement has not the field that is to be set.
    pub fn edit(&self, edits: &BTreeMap<usize, Edit>) -> Result<Option<String>, Unreadable> {
        let lost = || Unreadable("a place was not found in the text".to_owned());
        let get = |range: Range<usize>| self.text.get(range).ok_or_else(lost);
        let Some((first, last)) = self.statements.first().zip(self.statements.last()) else {
            return Ok(None);
        };
        let mut new = String::with_capacity(self.text.len());
        new.push_str(get(0..first.place.start)?);
        let mut previous: Option<usize> = None;
        let mut is_first = true;
        for (index, statement) in self.statements.iter().enumerate() {
            let before = previous.replace(statement.place.end);
            let edit = edits.get(&index);
            if edit == Some(&Edit::Drop) {
                continue;
            }
            if let Some(end) = before.filter(|_| !is_first) {
                // The comma and the space before it.
                new.push_str(get(end..statement.place.start)?);
            }
            is_first = false;
            match edit {
                Some(Edit::Set(field, value)) => {
                    let range = statement.values.get(*field).ok_or_else(lost)?;
                    new.push_str(get(statement.place.start..range.start)?);
                    new.push_str(&value.to_string());
                    new.push_str(get(range.end..statement.place.end)?);
                }
                _ => new.push_str(get(statement.place.clone())?),
            }
        }
        new.push_str(get(last.place.end..self.text.len())?);
        Ok((!is_first).then_some(new))
    }

    /// The text with one more statement at the end. All other text stays, to the byte.
    ///
    /// # Errors
    /// When the statements cannot be found in the text.
    pub fn with(&self, statement: &Value) -> Result<String, Unreadable> {
        let around = (self.text.get(..self.place.start))
            .zip(self.text.get(self.place.clone()))
            .zip(self.text.get(self.place.end..));
        let ((before, old), after) =
            around.ok_or_else(|| Unreadable("its statements were not found in the text".to_owned()))?;
        let new = match old.strip_suffix(']') {
            Some(list) if list.trim_end() == "[" => format!("{list}{statement}]"),
            Some(list) => {
                // What stands before the bracket, such as a line break, stays there.
                let (statements, space) = list.split_at_checked(list.trim_end().len()).unwrap_or((list, ""));
                format!("{statements},{statement}{space}]")
            }
            None => format!("[{old},{statement}]"),
        };
        Ok(format!("{before}{new}{after}"))
    }
}

impl Statement {
    /// The fields of IAM's policy grammar. A statement with others may say more than is read here.
    const KNOWN: [&'static str; 9] = [
        "Sid",
        "Effect",
        "Principal",
        "NotPrincipal",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
    ];

    fn parse(document: &str, text: &str) -> Result<Self, Unreadable> {
        let entries: Entries<'_> =
            serde_json::from_str(text).map_err(|error| Unreadable(format!("a statement is no object: {error}")))?;
        let mut fields = Map::new();
        let mut values = BTreeMap::new();
        for (name, raw) in entries.0 {
            fields.insert(name.clone(), value(raw.get())?);
            values.insert(name, place(document, raw.get())?);
        }
        Ok(Self {
            fields,
            values,
            place: place(document, text)?,
        })
    }

    /// Its id, if it has one.
    #[must_use]
    pub fn sid(&self) -> Option<&str> {
        self.fields.get("Sid").and_then(Value::as_str)
    }

    /// The id, or the number that a person would count.
    #[must_use]
    pub fn name(&self, index: usize) -> String {
        self.sid()
            .filter(|sid| !sid.is_empty())
            .map_or_else(|| format!("number {}", index + 1), str::to_owned)
    }

    /// Whether it allows.
    #[must_use]
    pub fn is_allow(&self) -> bool {
        self.fields.get("Effect").and_then(Value::as_str) == Some("Allow")
    }

    /// Whether it denies.
    #[must_use]
    pub fn is_deny(&self) -> bool {
        self.fields.get("Effect").and_then(Value::as_str) == Some("Deny")
    }

    /// Whether it says nothing beyond the grammar that is read here.
    #[must_use]
    pub fn is_understood(&self) -> bool {
        let is_text = |field: &str| {
            let value = self.fields.get(field);
            value.is_none_or(|value| match value {
                Value::Array(list) => list.iter().all(Value::is_string),
                other => other.is_string(),
            })
        };
        let both = |one: &str, other: &str| self.fields.contains_key(one) && self.fields.contains_key(other);
        (self.is_allow() || self.is_deny())
            && self.has_only(&Self::KNOWN)
            && ["Action", "NotAction", "Resource", "NotResource"]
                .into_iter()
                .all(is_text)
            && !both("Action", "NotAction")
            && !both("Resource", "NotResource")
            && !both("Principal", "NotPrincipal")
    }

    /// The principals; for `NotPrincipal` and what is not read, anyone.
    #[must_use]
    pub fn principals(&self) -> Vec<Principal> {
        match self.fields.get("Principal") {
            Some(Value::Object(kinds)) => listed(kinds),
            _ => vec![Principal::Anyone],
        }
    }

    /// The principals that `NotPrincipal` lists, if it is there.
    #[must_use]
    pub fn excepted(&self) -> Option<Vec<Principal>> {
        match self.fields.get("NotPrincipal")? {
            Value::Object(kinds) => Some(listed(kinds)),
            _ => Some(vec![Principal::Anyone]),
        }
    }

    /// Whether the statement may be about this action. `NotAction` is about all that it does not list.
    #[must_use]
    pub fn covers(&self, action: &str) -> bool {
        let action = action.to_ascii_lowercase();
        let is_listed = |listed| {
            let mut patterns = texts(listed).into_iter();
            patterns.any(|pattern| matches(&pattern.to_ascii_lowercase(), &action))
        };
        match (self.fields.get("Action"), self.fields.get("NotAction")) {
            (Some(listed), _) => is_listed(listed),
            (None, Some(listed)) => !is_listed(listed),
            (None, None) => true,
        }
    }

    /// Whether the statement may be about this resource, whose case counts. `NotResource` may be about any.
    #[must_use]
    pub fn reaches(&self, arn: &str) -> bool {
        let listed = self.fields.get("Resource");
        listed.is_none_or(|listed| texts(listed).iter().any(|pattern| matches(pattern, arn)))
    }

    /// The conditions, unless there are none.
    #[must_use]
    pub fn condition(&self) -> Option<&Map<String, Value>> {
        self.fields
            .get("Condition")
            .and_then(Value::as_object)
            .filter(|condition| !condition.is_empty())
    }

    /// Whether it has no other fields than these.
    #[must_use]
    pub fn has_only(&self, fields: &[&str]) -> bool {
        self.fields.keys().all(|key| fields.contains(&key.as_str()))
    }

    /// The statement in one spelling, to be compared.
    #[must_use]
    pub fn spelt(&self) -> String {
        Value::Object(self.fields.clone()).to_string()
    }

    /// A field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Value> {
        self.fields.get(name)
    }

    /// The texts of a field, which may be a string or a list.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<&str> {
        self.fields.get(name).map(texts).unwrap_or_default()
    }

    /// All fields but its id.
    pub(super) fn meaning(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.fields.iter().filter(|(name, _)| *name != "Sid")
    }

    /// Whether the conditions keep it to principals of this account, for certain.
    #[must_use]
    pub fn is_kept_to(&self, account: &str) -> bool {
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

    /// Whether it certainly is about all resources.
    pub(super) fn is_on_everything(&self) -> bool {
        self.list("Resource").iter().any(|resource| includes(resource, "*"))
    }
}

fn listed(kinds: &Map<String, Value>) -> Vec<Principal> {
    let of_kind = |(kind, named): (&String, &Value)| -> Vec<Principal> {
        texts(named)
            .into_iter()
            .map(|text| Principal::new(kind, text))
            .collect()
    };
    kinds.iter().flat_map(of_kind).collect()
}

/// Whether two policies say the same. A service may answer with another text than it was given: S3 and IAM write an account as
/// the ARN of its root, and lists in another order.
#[must_use]
pub fn says_the_same(one: Option<&str>, other: Option<&str>) -> bool {
    let parsed = |text: &str| value(text).ok().map(normal);
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => one == other || parsed(one).is_some_and(|value| Some(value) == parsed(other)),
        _ => false,
    }
}

/// A policy in one spelling: what is a set is a sorted list.
fn normal(mut policy: Value) -> Value {
    let sorted = |value: &Value, spelt: fn(&str) -> String| -> Value {
        let is_set =
            |value: &Value| value.is_string() || value.as_array().is_some_and(|list| list.iter().all(Value::is_string));
        if !is_set(value) {
            return value.clone();
        }
        let mut list: Vec<String> = texts(value).into_iter().map(spelt).collect();
        list.sort();
        list.into()
    };
    let as_root = |text: &str| match account_of(text) {
        Some(account) if account == text || text.ends_with(":root") => account.to_owned(),
        _ => text.to_owned(),
    };
    let statements = match policy.get_mut("Statement") {
        Some(Value::Array(list)) => list.iter_mut().collect(),
        Some(one) => vec![one],
        None => Vec::new(),
    };
    for statement in statements.into_iter().filter_map(Value::as_object_mut) {
        for (name, value) in statement.iter_mut() {
            match name.as_str() {
                "Action" | "NotAction" | "Resource" | "NotResource" => *value = sorted(value, str::to_owned),
                "Principal" | "NotPrincipal" => {
                    for named in value.as_object_mut().into_iter().flat_map(Map::values_mut) {
                        *named = sorted(named, as_root);
                    }
                }
                _ => {}
            }
        }
    }
    policy
}

/// Which statements are not as they were left, for a reader.
#[must_use]
pub fn difference(ours: &str, now: Option<&str>) -> String {
    let Some(now) = now else {
        return "there is none any more".to_owned();
    };
    let (Ok(ours), Ok(now)) = (Document::parse(ours), Document::parse(now)) else {
        return "it cannot be read".to_owned();
    };
    let named = |document: &Document| -> Vec<(String, String)> {
        let each = document.statements().enumerate();
        each.map(|(index, statement)| (statement.name(index), statement.spelt()))
            .collect()
    };
    let (ours, now) = (named(&ours), named(&now));
    let missing = ours
        .iter()
        .filter(|(_, text)| !now.iter().any(|(_, other)| other == text));
    let added = now
        .iter()
        .filter(|(_, text)| !ours.iter().any(|(_, other)| other == text));
    let told = missing
        .map(|(name, _)| format!("{name} is gone or changed"))
        .chain(added.map(|(name, _)| format!("{name} is new or changed")));
    let told: Vec<_> = told.collect();
    if told.is_empty() {
        "its order or its other fields".to_owned()
    } else {
        told.join(", ")
    }
}

/// The account of an ARN, or of a bare account id.
fn account_of(text: &str) -> Option<&str> {
    let is_account = |text: &&str| text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
    Some(text)
        .filter(is_account)
        .or_else(|| text.split(':').nth(4).filter(is_account))
}

/// A string, or a list of strings.
#[must_use]
pub fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Where a part, borrowed from the text, stands in it.
fn place(text: &str, part: &str) -> Result<Range<usize>, Unreadable> {
    let start = (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize);
    let range = start.map(|start| start..start + part.len());
    range
        .filter(|range| text.get(range.clone()) == Some(part))
        .ok_or_else(|| Unreadable("a part was not found in the text".to_owned()))
}

/// The fields of an object in their order, each with its text. A repeated one is an error: which of the two counts is not
/// for us to say.
struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries: Vec<(String, &RawValue)> = Vec::new();
                while let Some((name, raw)) = map.next_entry::<String, &RawValue>()? {
                    if entries.iter().any(|(known, _)| *known == name) {
                        return Err(de::Error::custom(format!("{name} is there twice")));
                    }
                    entries.push((name, raw));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// A value in which no key is repeated.
fn value(text: &str) -> Result<Value, Unreadable> {
    Ok(crate::json::unambiguous(text)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn edited(text: &str, edits: &[(usize, Edit)]) -> Option<String> {
        let document = Document::parse(text).unwrap();
        assert_eq!(document.edit(&BTreeMap::new()).unwrap().as_deref(), Some(text));
        document.edit(&edits.iter().cloned().collect()).unwrap()
    }

    #[test]
    fn s75_what_is_not_meant_stays_to_the_byte() {
        let text = "{ \"Id\":\"x\", \"Statement\" : [\n {\"Sid\":\"A\",\"Effect\":\"Allow\" , \"Action\":[ \"s3:*\" ],\"Resource\":\"*\"} ,\n  \
                    {\"Sid\":\"é\", \"Effect\":\"Deny\"},\n\t{\"Sid\":\"C\",\"new\":1.0}\n] , \"Version\":\"2012-10-17\"}";
        let (a, b, c) = (
            "{\"Sid\":\"A\",\"Effect\":\"Allow\" , \"Action\":[ \"s3:*\" ],\"Resource\":\"*\"}",
            "{\"Sid\":\"é\", \"Effect\":\"Deny\"}",
            "{\"Sid\":\"C\",\"new\":1.0}",
        );
        let around =
            |inner: &str| format!("{{ \"Id\":\"x\", \"Statement\" : [\n {inner}\n] , \"Version\":\"2012-10-17\"}}");
        assert_eq!(edited(text, &[(0, Edit::Drop)]), Some(around(&format!("{b},\n\t{c}"))));
        assert_eq!(edited(text, &[(1, Edit::Drop)]), Some(around(&format!("{a},\n\t{c}"))));
        assert_eq!(edited(text, &[(2, Edit::Drop)]), Some(around(&format!("{a} ,\n  {b}"))));
        assert_eq!(edited(text, &[(0, Edit::Drop), (1, Edit::Drop)]), Some(around(c)));
        assert_eq!(edited(text, &[(0, Edit::Drop), (2, Edit::Drop)]), Some(around(b)));
        assert_eq!(edited(text, &[0, 1, 2].map(|index| (index, Edit::Drop))), None);
        let narrower = a.replace("[ \"s3:*\" ]", "[\"s3:Get*\"]");
        let edit = Edit::Set("Action", json!(["s3:Get*"]));
        assert_eq!(
            edited(text, &[(0, edit), (2, Edit::Drop)]),
            Some(around(&format!("{narrower} ,\n  {b}")))
        );
    }

    #[test]
    fn a_statement_may_stand_alone() {
        let text = r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
        assert_eq!(edited(text, &[(0, Edit::Drop)]), None);
        assert_eq!(
            edited(text, &[(0, Edit::Set("Action", "sts:GetCallerIdentity".into()))]).unwrap(),
            r#"{"Statement":{"Effect":"Allow","Action":"sts:GetCallerIdentity","Resource":"*"}}"#
        );
        let empty = Document::parse(r#"{"Statement":[]}"#).unwrap();
        assert_eq!(empty.edit(&BTreeMap::new()).unwrap(), None);
    }

    #[test]
    fn what_is_no_policy_is_refused() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"Statement":"x"}"#,
            r#"{"Statement":[1]}"#,
            r#"{"Statement":[],"Statement":[]}"#,
            r#"{"Statement":{"Effect":"Allow","Action":"a:b","Action":"*"}}"#,
            r#"{"Statement":{"Condition":{"Bool":{"a":"1"},"Bool":{"b":"2"}}}}"#,
            r#"{"Statement":[]} x"#,
        ] {
            assert!(Document::parse(text).is_err(), "{text}");
        }
        let error = Document::parse("[]").unwrap_err().to_string();
        assert!(error.contains("expected an object"), "{error}");
        let document = Document::parse(r#"{"Statement":{"Effect":"Allow"}}"#).unwrap();
        let edit = BTreeMap::from([(0, Edit::Set("Action", Value::Null))]);
        assert!(document.edit(&edit).is_err());
    }

    #[test]
    fn what_a_service_writes_in_another_way_is_the_same() {
        let one = r#"{"Statement":{"Effect":"Allow","Principal":{"AWS":["111122223333","444455556666"]},"Action":["a:b","c:d"]}}"#;
        let other = r#"{"Statement":{"Effect":"Allow","Principal":{"AWS":["444455556666","arn:aws:iam::111122223333:root"]},"Action":["c:d","a:b"]}}"#;
        assert!(says_the_same(Some(one), Some(other)));
        assert!(!says_the_same(Some(one), Some(&other.replace("c:d", "c:e"))));
        assert!(!says_the_same(Some(one), Some(&other.replace(":root", ":role/root"))));
        assert!(!says_the_same(Some(one), None) && says_the_same(None, None));
    }

    #[test]
    fn only_what_is_in_the_grammar_is_understood() {
        for (statement, expected) in [
            (json!({"Effect": "Allow", "Action": "*", "Resource": ["*"]}), true),
            (json!({"Effect": "allow", "Action": "*"}), false),
            (json!({"Effect": "Allow", "action": "*"}), false),
            (json!({"Effect": "Allow", "Action": {"a": 1}}), false),
            (json!({"Effect": "Allow", "Action": ["a:b", 1]}), false),
            (json!({"Effect": "Allow", "Action": "a:b", "NotAction": "c:d"}), false),
        ] {
            let document = Document::parse(&json!({ "Statement": statement }).to_string()).unwrap();
            assert!(
                document.statements().all(|one| one.is_understood() == expected),
                "{statement}"
            );
        }
    }

    fn statement(statement: &Value) -> Statement {
        let document = Document::parse(&json!({ "Statement": statement }).to_string()).unwrap();
        let first = document.statements().next().cloned();
        first.unwrap()
    }

    #[test]
    fn one_more_statement_stands_at_the_end() {
        let more = json!({"Sid": "Own"});
        for (text, expected) in [
            (r#"{"Statement":[]}"#, r#"{"Statement":[{"Sid":"Own"}]}"#),
            (
                r#"{"Statement": [ ] , "Id":1}"#,
                r#"{"Statement": [ {"Sid":"Own"}] , "Id":1}"#,
            ),
            (
                "{\"Statement\":[\n {\"Sid\":\"]\"}\n]}",
                "{\"Statement\":[\n {\"Sid\":\"]\"},{\"Sid\":\"Own\"}\n]}",
            ),
            (
                r#"{"Statement": {"Sid":"A"} }"#,
                r#"{"Statement": [{"Sid":"A"},{"Sid":"Own"}] }"#,
            ),
        ] {
            assert_eq!(Document::parse(text).unwrap().with(&more).unwrap(), expected);
        }
    }

    #[test]
    fn a_statement_is_called_by_its_id_or_its_number() {
        let named = |sid: Value| statement(&json!({ "Sid": sid })).name(2);
        assert_eq!(
            [named(json!("A")), named(json!("")), named(json!(7))],
            ["A", "number 3", "number 3"]
        );
    }

    #[test]
    fn whom_a_statement_is_about() {
        let of = |field: &str, value: Value| statement(&json!({ field: value }));
        let (account, root) = ("111122223333", "arn:aws:iam::111122223333:root");
        let aws = |text: &str| Principal::Aws {
            account: Some(account.to_owned()),
            text: text.to_owned(),
        };
        let listed = json!({"AWS": [account, root], "Service": "ec2.amazonaws.com", "Federated": "x"});
        let expected = [
            aws(account),
            aws(root),
            Principal::Other("Federated".to_owned(), "x".to_owned()),
            Principal::Service("ec2.amazonaws.com".to_owned()),
        ];
        assert_eq!(of("Principal", listed.clone()).principals(), expected);
        assert_eq!(of("NotPrincipal", listed).excepted().unwrap(), expected);
        assert_eq!(
            expected.each_ref().map(Principal::name),
            [account, root, "x", "ec2.amazonaws.com"]
        );
        // Whatever is not read may be anybody.
        for anyone in [json!("*"), json!("111122223333"), json!(["*"])] {
            assert_eq!(of("Principal", anyone.clone()).principals(), [Principal::Anyone]);
            assert_eq!(of("NotPrincipal", anyone).excepted().unwrap(), [Principal::Anyone]);
        }
        assert_eq!(of("Effect", json!("Allow")).principals(), [Principal::Anyone]);
        assert_eq!(of("Effect", json!("Allow")).excepted(), None);
        assert_eq!(Principal::Anyone.name(), "*");
    }

    #[test]
    fn what_a_statement_may_be_about() {
        let about = |field: &str, value: Value| statement(&json!({ field: value }));
        for (field, value, expected) in [
            ("Action", json!("S3:get*"), true),
            ("Action", json!(["sqs:*", "s3:Put*"]), false),
            ("NotAction", json!("s3:Get*"), false),
            ("NotAction", json!(["iam:*"]), true),
            ("Effect", json!("Allow"), true),
        ] {
            assert_eq!(about(field, value.clone()).covers("s3:GetObject"), expected, "{value}");
        }
        for (field, value, expected) in [
            ("Resource", json!("arn:aws:s3:::orders/*"), true),
            ("Resource", json!(["arn:aws:s3:::Orders/*"]), false),
            ("NotResource", json!("*"), true),
        ] {
            assert_eq!(
                about(field, value.clone()).reaches("arn:aws:s3:::orders/x"),
                expected,
                "{value}"
            );
        }
    }

    #[test]
    fn only_a_certain_condition_keeps_a_statement_to_an_account() {
        let (own, other) = ("111122223333", "444455556666");
        for (condition, expected) in [
            (json!({"StringEquals": {"aws:PrincipalAccount": own}}), true),
            (json!({"StringLike": {"AWS:principalaccount": [own]}}), true),
            (
                json!({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::111122223333:role/*"}}),
                true,
            ),
            (
                json!({"ArnEquals": {"aws:PrincipalArn": ["arn:aws:iam::111122223333:root"]}}),
                true,
            ),
            (
                json!({"Bool": {"aws:SecureTransport": "true"}, "StringEquals": {"a": "b", "aws:PrincipalAccount": own}}),
                true,
            ),
            (json!({"StringEquals": {"aws:PrincipalAccount": [own, other]}}), false),
            (json!({"StringEquals": {"aws:PrincipalAccount": []}}), false),
            (json!({"StringEquals": {"aws:SourceAccount": own}}), false),
            (json!({"StringEqualsIfExists": {"aws:PrincipalAccount": own}}), false),
            (
                json!({"ForAllValues:StringEquals": {"aws:PrincipalAccount": own}}),
                false,
            ),
            (json!({"StringNotEquals": {"aws:PrincipalAccount": own}}), false),
            (json!({"StringEquals": own}), false),
            (
                json!({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::444455556666:role/*"}}),
                false,
            ),
            (
                json!({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam:*:111122223333:role/x"}}),
                false,
            ),
            (
                json!({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::1111?222333*:role/x"}}),
                false,
            ),
            (json!({}), false),
        ] {
            let kept = statement(&json!({ "Condition": condition })).is_kept_to(own);
            assert_eq!(kept, expected, "{condition}");
        }
        assert!(!statement(&json!({"Effect": "Allow"})).is_kept_to(own));
    }

    #[test]
    fn what_was_changed_is_told_by_statement() {
        let of = |statements: Value| json!({ "Statement": statements }).to_string();
        let (a, b) = (json!({"Sid": "A", "Effect": "Allow"}), json!({"Effect": "Deny"}));
        let ours = of(json!([a, b]));
        for (now, expected) in [
            (Some(of(json!([b, a]))), "its order or its other fields"),
            (Some(of(json!([b]))), "A is gone or changed"),
            (Some(of(json!([a, b, {"Sid": "C"}]))), "C is new or changed"),
            (Some(of(json!([a]))), "number 2 is gone or changed"),
            (
                Some(of(json!([{"Sid": "A", "Effect": "Deny"}, b]))),
                "A is gone or changed, A is new or changed",
            ),
            (Some("{".to_owned()), "it cannot be read"),
            (None, "there is none any more"),
        ] {
            assert_eq!(difference(&ours, now.as_deref()), expected);
        }
    }

    #[test]
    fn an_account_has_twelve_digits() {
        for (text, expected) in [
            ("111122223333", Some("111122223333")),
            ("arn:aws:iam::111122223333:root", Some("111122223333")),
            ("11112222333a", None),
            ("1111222233334", None),
            ("arn:aws:s3:::orders", None),
        ] {
            assert_eq!(account_of(text), expected, "{text}");
        }
    }
}
