//! Policies, and an evaluator that answers every request of a small world by definition: the judge of every proof.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "for tests: one that cannot go on has failed"
)]

use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

/// How far a star reaches: IAM's user guide lets one over a colon for certain only at the end of an ARN's part.
#[derive(Clone, Copy)]
enum Star {
    OverColons,
    WithinParts,
}

/// A pattern by definition, not by tables: tries every text that a star could stand for.
fn matches(pattern: &str, text: &str, star: Star) -> bool {
    let Some(first) = pattern.chars().next() else {
        return text.is_empty();
    };
    let rest = &pattern[first.len_utf8()..];
    match first {
        '*' => {
            let crosses = matches!(star, Star::OverColons) || rest.is_empty() || rest.starts_with([':', '*']);
            (0..=text.len())
                .filter(|end| text.is_char_boundary(*end))
                .filter(|end| crosses || !text[..*end].contains(':'))
                .any(|end| matches(rest, &text[end..], star))
        }
        '?' => text
            .chars()
            .next()
            .is_some_and(|c| matches(rest, &text[c.len_utf8()..], star)),
        c => text.starts_with(c) && matches(rest, &text[c.len_utf8()..], star),
    }
}

struct Ask {
    action: &'static str,
    resource: &'static str,
    vpc: &'static str,
    principal: &'static str,
}

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn applies(statement: &Value, ask: &Ask, star: Star) -> bool {
    let listed = |field: &str, text: &str, fold: bool| {
        let spelt = |text: &str| {
            if fold {
                text.to_ascii_lowercase()
            } else {
                text.to_owned()
            }
        };
        statement.get(field).map(|listed| {
            texts(listed).into_iter().any(|pattern| {
                let pattern = spelt(pattern).replace("${aws:username}", ask.principal);
                matches(&pattern, &spelt(text), star)
            })
        })
    };
    let said = |field: &str, not: &str, text: &str, fold: bool| {
        listed(field, text, fold).unwrap_or_else(|| !listed(not, text, fold).unwrap())
    };
    let condition = statement.get("Condition").is_none_or(|condition| {
        condition.as_object().unwrap().iter().all(|(operator, keys)| {
            let is_named = texts(&keys["aws:SourceVpc"]).contains(&ask.vpc);
            if operator == "StringEquals" {
                is_named
            } else {
                !is_named
            }
        })
    });
    // An identity's policy is about whoever has it.
    let principal = match &statement["Principal"] {
        Value::String(_) | Value::Null => true,
        named => texts(&named["AWS"]).contains(&ask.principal),
    };
    said("Action", "NotAction", ask.action, true)
        && said("Resource", "NotResource", ask.resource, false)
        && condition
        && principal
}

fn is_allowed(policy: &Value, ask: &Ask, star: Star) -> bool {
    let statements = policy["Statement"].as_array().unwrap();
    let has = |effect: &str| {
        statements
            .iter()
            .any(|one| one["Effect"] == effect && applies(one, ask, star))
    };
    has("Allow") && !has("Deny")
}

const PRINCIPALS: &[&str] = &["111122223333", "444455556666"];

fn world() -> Vec<Ask> {
    let mut asks = Vec::new();
    for action in [
        "s3:GetObject",
        "s3:PutObject",
        "s3:GetBucketAcl",
        "kms:Decrypt",
        "iam:GetUser",
    ] {
        for resource in [
            "arn:aws:s3:::a",
            "arn:aws:s3:::a/x",
            "arn:aws:s3:::b/x",
            "arn:aws:s3:::a/111122223333",
            "arn:aws:logs:r:1:g:x",
            "x",
        ] {
            for vpc in ["p", "q"] {
                for principal in PRINCIPALS {
                    asks.push(Ask {
                        action,
                        resource,
                        vpc,
                        principal,
                    });
                }
            }
        }
    }
    asks
}

fn one_or_more(of: &'static [&'static str]) -> impl Strategy<Value = Value> {
    prop_oneof![
        select(of).prop_map(|one| json!(one)),
        prop::collection::vec(select(of), 1..3).prop_map(|list| json!(list)),
    ]
}

/// A statement that uses what IAM's grammar has.
pub fn statement() -> impl Strategy<Value = Value> {
    const ACTIONS: &[&str] = &[
        "*",
        "*:*",
        "s3:*",
        "s3:Get*",
        "S3:getobject",
        "s3:?etObject",
        "s3:*Object",
        "kms:Decrypt",
        "k*",
        "iam:*",
        "s*t",
    ];
    const RESOURCES: &[&str] = &[
        "*",
        "arn:aws:s3:::a",
        "arn:aws:s3:::a/*",
        "arn:aws:s3:::?/x",
        "arn:aws:s3:::*",
        "arn:aws:s3:::a/${aws:username}",
        "arn:aws:logs:*:g*x",
        "arn:aws:logs:*:*:g:x",
        "arn:*x",
    ];
    const ACTION_FIELDS: &[&str] = &["Action", "Action", "Action", "NotAction"];
    const RESOURCE_FIELDS: &[&str] = &["Resource", "Resource", "Resource", "NotResource"];
    const OPERATORS: &[&str] = &["StringEquals", "StringNotEquals"];
    let effect = prop_oneof![3 => Just("Allow"), 1 => Just("Deny")];
    let actions = (select(ACTION_FIELDS), one_or_more(ACTIONS));
    let resources = (select(RESOURCE_FIELDS), one_or_more(RESOURCES));
    let condition = prop_oneof![
        3 => Just(None),
        1 => (select(OPERATORS), one_or_more(&["p", "q"]))
            .prop_map(|(operator, values)| Some(json!({ operator: { "aws:SourceVpc": values } }))),
    ];
    let principal = prop_oneof![
        3 => Just(json!("*")),
        1 => one_or_more(PRINCIPALS).prop_map(|named| json!({ "AWS": named })),
    ];
    (effect, actions, resources, condition, principal).prop_map(|(effect, actions, resources, condition, principal)| {
        let mut statement = json!({ "Effect": effect, "Principal": principal });
        statement[actions.0] = actions.1;
        statement[resources.0] = resources.1;
        if let Some(condition) = condition {
            statement["Condition"] = condition;
        }
        statement
    })
}

/// The same, of an identity: it names no principal.
pub fn identity_policy() -> impl Strategy<Value = Value> {
    policy().prop_map(|mut policy| {
        for statement in policy["Statement"].as_array_mut().unwrap() {
            statement.as_object_mut().unwrap().remove("Principal");
        }
        policy
    })
}

/// A policy with up to three statements, of a resource.
pub fn policy() -> impl Strategy<Value = Value> {
    prop::collection::vec(statement(), 1..4)
        .prop_map(|statements| json!({ "Version": "2012-10-17", "Statement": statements }))
}

/// The first request that `narrow` allows and `wide` does not, however far a star reaches.
///
/// # Panics
/// When one of them is no policy.
#[must_use]
pub fn widened(narrow: Option<&Value>, wide: &Value) -> Option<String> {
    [Star::OverColons, Star::WithinParts].into_iter().find_map(|star| {
        let is_new =
            |ask: &Ask| narrow.is_some_and(|narrow| is_allowed(narrow, ask, star)) && !is_allowed(wide, ask, star);
        let found = world().into_iter().find(is_new);
        found.map(|ask| {
            format!(
                "{} on {} by {} from {}",
                ask.action, ask.resource, ask.principal, ask.vpc
            )
        })
    })
}
