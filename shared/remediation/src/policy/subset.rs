//! Whether one policy grants no more than another.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::outcome::Reason;

use super::{
    document::{Document, Principal, Statement, texts},
    grant::normal,
    pattern::{includes, may_meet},
};

/// Why it is not certain that a policy grants no more than another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it cannot be shown that nothing more is granted: {0}")]
pub struct Unproven(pub String);

impl From<Unproven> for Reason {
    fn from(unproven: Unproven) -> Self {
        Self::new("unproven", unproven.to_string())
    }
}

/// A change of a policy that was shown to grant no more afterwards than before. There is no other way to make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Narrowed {
    before: Option<String>,
    after: Option<String>,
}

impl Narrowed {
    /// Proves it. `None`: no policy.
    ///
    /// # Errors
    /// When it cannot be proved, with the statement that stands in the way.
    pub fn prove(before: Option<&str>, after: Option<&str>) -> Result<Self, Unproven> {
        let read = |text: Option<&str>| text.map(Document::parse).transpose();
        let (wide, narrow) = (read(before), read(after));
        let unreadable = |error: super::Unreadable| Unproven(error.to_string());
        within(narrow.map_err(unreadable)?.as_ref(), wide.map_err(unreadable)?.as_ref())?;
        Ok(Self {
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        })
    }

    /// The text as it was.
    #[must_use]
    pub fn before(&self) -> Option<&str> {
        self.before.as_deref()
    }

    /// The text as it becomes.
    #[must_use]
    pub fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }
}

/// Shows that `narrow` grants no more than `wide`; `None` is no policy at all.
///
/// What a policy grants is what its `Allow` statements cover without what its `Deny` statements cover. So it is enough that
/// every part of an `Allow` of `narrow` lies within one `Allow` of `wide`, and every part of a `Deny` of `wide` within one
/// `Deny` of `narrow`.
///
/// # Errors
/// When that cannot be shown. It may be so nevertheless.
pub fn within(narrow: Option<&Document>, wide: Option<&Document>) -> Result<(), Unproven> {
    if let (Some(narrow), Some(wide)) = (narrow, wide) {
        let has_variables = |document: &Document| document.text().contains("${");
        if narrow.field("Version") != wide.field("Version") && (has_variables(narrow) || has_variables(wide)) {
            return Err(Unproven("variables mean something else in another Version".to_owned()));
        }
    }
    let statements = |document: Option<&Document>| -> Vec<Statement> {
        document.into_iter().flat_map(Document::statements).cloned().collect()
    };
    let (narrow, wide) = (statements(narrow), statements(wide));
    shown(&narrow, &wide, Statement::is_allow, "is not granted as it was")?;
    shown(&wide, &narrow, Statement::is_deny, "would not be denied any more")
}

/// Shows that whatever may have this effect in `inner` lies within what has it in `outer`.
fn shown(
    inner: &[Statement],
    outer: &[Statement],
    has_effect: fn(&Statement) -> bool,
    otherwise: &str,
) -> Result<(), Unproven> {
    let effective: Vec<_> = outer
        .iter()
        .filter(|other| has_effect(other) && other.is_understood())
        .collect();
    for (index, statement) in inner.iter().enumerate() {
        // What is not understood may have any effect.
        let is_understood = statement.is_understood();
        if is_understood && !has_effect(statement) {
            continue;
        }
        let stands = outer.iter().any(|other| statement.meaning().eq(other.meaning()));
        let is_shown = stands || is_understood && is_covered(statement, &effective);
        if !is_shown {
            return Err(Unproven(format!(
                "what the statement {} says {otherwise}",
                statement.name(index)
            )));
        }
    }
    Ok(())
}

/// Whether each action of it on each resource by each principal lies within one of the others.
fn is_covered(statement: &Statement, others: &[&Statement]) -> bool {
    let others: Vec<_> = others
        .iter()
        .filter(|other| implies(statement.condition(), other.condition()))
        .collect();
    let actions = parts(statement, "Action", "NotAction");
    let resources = parts(statement, "Resource", "NotResource");
    let principals = who(statement);
    if actions.is_empty() || resources.is_empty() || principals.is_empty() {
        return false;
    }
    // Which of the others each part lies within. A policy may list a thousand actions and a thousand resources: not all their pairs
    // are looked at, but those of the few rows that differ.
    let rows = |lies_within: &dyn Fn(&Statement) -> bool| -> Vec<bool> {
        others.iter().map(|other| lies_within(other)).collect()
    };
    let by_action = |action| rows(&|other| is_part_of(action, &set(other, "Action", "NotAction"), true));
    let by_resource = |resource| rows(&|other| is_part_of(resource, &set(other, "Resource", "NotResource"), false));
    let by_principal = |principal| rows(&|other| is_among(principal, &who(other)));
    let actions: BTreeSet<_> = actions.iter().map(by_action).collect();
    let resources: BTreeSet<_> = resources.iter().map(by_resource).collect();
    let principals: BTreeSet<_> = principals.iter().map(by_principal).collect();
    actions.iter().all(|action| {
        resources.iter().all(|resource| {
            principals.iter().all(|principal| {
                let mut all = action.iter().zip(resource).zip(principal);
                all.any(|((action, resource), principal)| *action && *resource && *principal)
            })
        })
    })
}

/// A set of actions, or of resources.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Set<'a> {
    /// What matches one of these.
    Of(Vec<&'a str>),
    /// What matches none of these.
    Not(Vec<&'a str>),
    /// It is not said: the policy's own resource.
    Unstated,
}

fn set<'a>(statement: &'a Statement, field: &str, not: &str) -> Set<'a> {
    match (statement.field(field), statement.field(not)) {
        (Some(listed), _) => Set::Of(texts(listed)),
        (None, Some(listed)) => Set::Not(texts(listed)),
        (None, None) => Set::Unstated,
    }
}

/// The set in pieces, each of which may lie within another statement.
fn parts<'a>(statement: &'a Statement, field: &str, not: &str) -> Vec<Set<'a>> {
    match set(statement, field, not) {
        Set::Of(patterns) => patterns.into_iter().map(|pattern| Set::Of(vec![pattern])).collect(),
        other => vec![other],
    }
}

fn is_part_of(narrow: &Set<'_>, wide: &Set<'_>, are_actions: bool) -> bool {
    let spelt = |pattern: &str| {
        if are_actions {
            normal(pattern)
        } else {
            pattern.to_owned()
        }
    };
    let all = if are_actions { "*:*" } else { "*" };
    match (narrow, wide) {
        (Set::Of(narrow), Set::Of(wide)) => {
            let is_in = |narrow: &str| wide.iter().any(|wide| includes(&spelt(wide), narrow));
            narrow.iter().all(|narrow| is_in(&spelt(narrow)))
        }
        (Set::Of(narrow), Set::Not(excluded)) => {
            let is_clear = |narrow: &str| !excluded.iter().any(|excluded| may_meet(&spelt(excluded), narrow));
            narrow.iter().all(|narrow| is_clear(&spelt(narrow)))
        }
        (Set::Not(_), Set::Of(wide)) => wide.iter().any(|wide| includes(&spelt(wide), all)),
        (Set::Not(narrow), Set::Not(wide)) => {
            let is_excluded = |pattern: &str| narrow.iter().any(|narrow| includes(&spelt(narrow), pattern));
            wide.iter().all(|wide| is_excluded(&spelt(wide)))
        }
        (Set::Unstated, Set::Unstated) => true,
        _ => false,
    }
}

/// Who a statement is about.
#[derive(Debug, Clone, PartialEq)]
enum Who<'a> {
    /// Whoever the policy belongs to.
    Bearer,
    One(Principal),
    /// All but these, or something that is not read.
    Value(&'a Value),
}

fn who(statement: &Statement) -> Vec<Who<'_>> {
    match (statement.field("Principal"), statement.field("NotPrincipal")) {
        (None, None) => vec![Who::Bearer],
        (None, Some(value)) => vec![Who::Value(value)],
        (Some(Value::String(text)), _) if text == "*" => vec![Who::One(Principal::Anyone)],
        (Some(Value::Object(_)), _) => statement.principals().into_iter().map(Who::One).collect(),
        (Some(other), _) => vec![Who::Value(other)],
    }
}

fn is_among(one: &Who<'_>, others: &[Who<'_>]) -> bool {
    others.iter().any(|other| match (one, other) {
        (Who::One(Principal::Aws { .. }), Who::One(Principal::Anyone)) => true,
        (
            Who::One(Principal::Aws {
                account: Some(one),
                text,
            }),
            Who::One(Principal::Aws {
                account: Some(other),
                text: whole,
            }),
        ) => one == other && (text == whole || is_root(text) && is_root(whole)),
        _ => one == other,
    })
}

/// Both ways to write an account.
fn is_root(text: &str) -> bool {
    text.len() == 12 || text.ends_with(":root")
}

/// Whether the one holds only where the other does.
fn implies(one: Option<&Map<String, Value>>, other: Option<&Map<String, Value>>) -> bool {
    let Some(other) = other else { return true };
    let Some(one) = one else { return false };
    other.iter().all(|(operator, keys)| {
        let (Some(theirs), Some(ours)) = (keys.as_object(), one.get(operator).and_then(Value::as_object)) else {
            return false;
        };
        theirs.iter().all(|(key, values)| {
            let mut same_key = ours.iter().filter(|(ours, _)| ours.eq_ignore_ascii_case(key));
            same_key.any(|(_, narrower)| is_narrower(operator, &words(narrower), &words(values)))
        })
    })
}

fn words(value: &Value) -> Vec<String> {
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match value {
        Value::Array(list) => list.iter().map(word).collect(),
        other => vec![word(other)],
    }
}

fn is_narrower(operator: &str, narrow: &[String], wide: &[String]) -> bool {
    let within = |one: &[String], other: &[String]| !one.is_empty() && one.iter().all(|word| other.contains(word));
    match operator {
        "StringEquals"
        | "StringEqualsIgnoreCase"
        | "StringLike"
        | "ArnEquals"
        | "ArnLike"
        | "IpAddress"
        | "NumericEquals"
        | "DateEquals"
        | "Bool" => within(narrow, wide),
        "StringNotEquals"
        | "StringNotEqualsIgnoreCase"
        | "StringNotLike"
        | "ArnNotEquals"
        | "ArnNotLike"
        | "NotIpAddress"
        | "NumericNotEquals"
        | "DateNotEquals" => within(wide, narrow),
        _ => within(narrow, wide) && within(wide, narrow),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy(statements: &Value) -> String {
        json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
    }

    fn is_shown(narrow: &Value, wide: &Value) -> bool {
        Narrowed::prove(Some(&policy(wide)), Some(&policy(narrow))).is_ok()
    }

    fn allow(action: &str, resource: &str) -> Value {
        json!({"Effect": "Allow", "Action": action, "Resource": resource})
    }

    fn deny(action: &str, resource: &str) -> Value {
        json!({"Effect": "Deny", "Action": action, "Resource": resource})
    }

    #[test]
    fn actions_and_resources() {
        for (narrow, wide, expected) in [
            (allow("S3:getObject", "arn:aws:s3:::a/*"), allow("s3:Get*", "*"), true),
            (allow("s3:*", "arn:aws:s3:::a/*"), allow("s3:Get*", "*"), false),
            (allow("s3:Get*", "*"), allow("s3:Get*", "arn:aws:s3:::a/*"), false),
            (allow("*", "*"), allow("*:*", "*"), true),
            (allow("*:*", "*"), allow("**", "*"), true),
            (
                allow("s3:Get*", "*"),
                json!({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}),
                true,
            ),
            (
                allow("*", "*"),
                json!({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}),
                false,
            ),
            (
                json!({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}),
                allow("*", "*"),
                true,
            ),
            (
                json!({"Effect": "Allow", "NotAction": ["iam:*", "s3:*"], "Resource": "*"}),
                json!({"Effect": "Allow", "NotAction": ["iam:Pass*"], "Resource": "*"}),
                true,
            ),
            (
                json!({"Effect": "Allow", "NotAction": ["iam:Pass*"], "Resource": "*"}),
                json!({"Effect": "Allow", "NotAction": ["iam:*"], "Resource": "*"}),
                false,
            ),
            (
                json!({"Effect": "Allow", "Action": "s3:Get*", "NotResource": "arn:aws:s3:::a/*"}),
                allow("s3:*", "*"),
                true,
            ),
            (
                allow("s3:Get*", "arn:aws:s3:::a/x"),
                json!({"Effect": "Allow", "Action": "s3:Get*", "NotResource": "arn:aws:s3:::a/*"}),
                false,
            ),
            (
                json!({"Effect": "Allow", "Action": "s3:Get*"}),
                allow("s3:Get*", "*"),
                false,
            ),
        ] {
            assert_eq!(is_shown(&narrow, &wide), expected, "{narrow} in {wide}");
        }
    }

    #[test]
    fn several_statements_may_cover_one() {
        let wide = json!([allow("s3:Get*", "*"), allow("s3:Put*", "*")]);
        let narrow = json!({"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": ["a", "b"]});
        assert!(is_shown(&narrow, &wide));
        assert!(is_shown(&json!([]), &wide));
        assert!(!is_shown(&wide, &narrow));
    }

    #[test]
    fn a_deny_must_stay() {
        let (all, no_delete) = (allow("s3:*", "*"), deny("s3:Delete*", "*"));
        assert!(is_shown(&json!([all, no_delete]), &all));
        assert!(!is_shown(&all, &json!([all, no_delete])));
        assert!(is_shown(&json!([all, deny("s3:*", "*")]), &json!([all, no_delete])));
        let before = policy(&json!([no_delete]));
        assert!(Narrowed::prove(Some(&before), None).is_err());
        assert!(Narrowed::prove(Some(&policy(&all)), None).is_ok());
        assert!(Narrowed::prove(None, Some(&before)).is_ok());
        assert!(Narrowed::prove(None, Some(&policy(&all))).is_err());
        assert!(Narrowed::prove(None, None).is_ok());
    }

    #[test]
    fn conditions() {
        let with =
            |condition: Value| json!({"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": condition});
        let open = allow("s3:*", "*");
        let vpc = |values: Value| with(json!({"StringEquals": {"aws:SourceVpc": values}}));
        assert!(is_shown(&vpc(json!("a")), &open));
        assert!(!is_shown(&open, &vpc(json!("a"))));
        assert!(is_shown(&vpc(json!("a")), &vpc(json!(["a", "b"]))));
        assert!(!is_shown(&vpc(json!(["a", "b"])), &vpc(json!("a"))));
        let not = |values: Value| with(json!({"StringNotEquals": {"AWS:sourceVpc": values}}));
        assert!(is_shown(&not(json!(["a", "b"])), &not(json!("a"))));
        assert!(!is_shown(&not(json!("a")), &not(json!(["a", "b"]))));
        let any = |values: Value| with(json!({"ForAnyValue:StringEquals": {"x": values}}));
        assert!(!is_shown(&any(json!("a")), &any(json!(["a", "b"]))));
        assert!(is_shown(&any(json!(["b", "a"])), &any(json!(["a", "b"]))));
        let more = with(json!({"StringEquals": {"aws:SourceVpc": "a"}, "Bool": {"aws:SecureTransport": true}}));
        assert!(is_shown(&more, &vpc(json!(["a"]))));
        assert!(is_shown(&with(json!({})), &open));
    }

    #[test]
    fn principals() {
        let by = |principal: Value| json!({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"});
        let (one, two) = (
            json!({"AWS": "111122223333"}),
            json!({"AWS": ["arn:aws:iam::111122223333:root", "444455556666"]}),
        );
        assert!(is_shown(&by(one.clone()), &by(two.clone())));
        assert!(!is_shown(&by(two), &by(one.clone())));
        assert!(is_shown(&by(one.clone()), &by(json!("*"))));
        assert!(!is_shown(&by(json!("*")), &by(one)));
        assert!(!is_shown(&by(json!({"Service": "ec2.amazonaws.com"})), &by(json!("*"))));
        assert!(!is_shown(
            &by(json!({"AWS": "arn:aws:iam::111122223333:role/x"})),
            &by(json!({"AWS": "arn:aws:iam::111122223333:root"}))
        ));
        let not = json!({"Effect": "Deny", "NotPrincipal": {"AWS": "111122223333"}, "Action": "sts:*"});
        assert!(is_shown(&not, &not));
    }

    #[test]
    fn what_is_not_understood_counts_only_as_it_stands() {
        let odd = json!({"Effect": "Allow", "Action": "s3:Get*", "Resource": "*", "Until": "2030"});
        assert!(is_shown(&json!([odd]), &json!([odd, allow("sqs:*", "*")])));
        assert!(!is_shown(&odd, &allow("s3:Get*", "*")));
        assert!(!is_shown(&allow("s3:Get*", "*"), &odd));
        assert!(!is_shown(
            &json!([]),
            &json!([{"Effect": "deny", "Action": "*", "Resource": "*"}])
        ));
    }

    #[test]
    fn the_version_decides_what_a_variable_is() {
        let own = |version: &str| {
            json!({"Version": version, "Statement": allow("s3:*", "arn:aws:s3:::${aws:username}/*")}).to_string()
        };
        assert!(Narrowed::prove(Some(&own("2012-10-17")), Some(&own("2012-10-17"))).is_ok());
        assert!(Narrowed::prove(Some(&own("2012-10-17")), Some(&own("2008-10-17"))).is_err());
    }

    #[test]
    fn variables_in_one_of_the_two_are_enough_to_doubt_another_version() {
        let of = |version: &str, resource: &str| {
            json!({"Version": version, "Statement": allow("s3:*", resource)}).to_string()
        };
        let (own, all) = ("arn:aws:s3:::${aws:username}/*", "*");
        assert!(Narrowed::prove(Some(&of("2012-10-17", all)), Some(&of("2008-10-17", own))).is_err());
        assert!(Narrowed::prove(Some(&of("2012-10-17", all)), Some(&of("2008-10-17", "a"))).is_ok());
    }

    #[test]
    fn a_list_of_nothing_is_not_shown_to_be_part_of_anything() {
        let all = json!({"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"});
        for (field, nothing) in [("Action", json!([])), ("Resource", json!([])), ("Principal", json!({}))] {
            let mut empty = all.clone();
            empty[field] = nothing;
            assert!(!is_shown(&empty, &all), "{field}");
        }
    }

    #[test]
    fn what_was_proved_is_kept() {
        let (before, after) = (policy(&allow("s3:*", "*")), policy(&allow("s3:Get*", "*")));
        let narrowed = Narrowed::prove(Some(&before), Some(&after)).unwrap();
        assert_eq!(
            (narrowed.before(), narrowed.after()),
            (Some(before.as_str()), Some(after.as_str()))
        );
    }

    #[test]
    fn a_principal_that_is_not_read_is_among_nobody_else() {
        let by = |principal: Value| json!({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"});
        let (text, all) = (json!("111122223333"), json!("*"));
        assert!(is_shown(&by(text.clone()), &by(text.clone())));
        assert!(!is_shown(&by(text), &by(all)));
        let role = |name: &str| by(json!({"AWS": format!("arn:aws:iam::111122223333:role/{name}")}));
        assert!(is_shown(&role("a"), &role("a")) && !is_shown(&role("a"), &role("b")));
        let foreign = |account: &str| by(json!({"AWS": format!("arn:aws:iam::{account}:root")}));
        assert!(!is_shown(&foreign("111122223333"), &foreign("444455556666")));
    }
}
