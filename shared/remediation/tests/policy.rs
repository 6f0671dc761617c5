//! The subset proof against an evaluator that tries every request of a small world, and edits against what they promise.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on has failed"
)]

use std::collections::BTreeMap;

use proptest::{prelude::*, sample::select};
use remediation::policy::{Document, Edit, Narrowed};
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
    let principal = match &statement["Principal"] {
        Value::String(_) => true,
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

fn statement() -> impl Strategy<Value = Value> {
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

fn policy() -> impl Strategy<Value = Value> {
    prop::collection::vec(statement(), 1..4)
        .prop_map(|statements| json!({ "Version": "2012-10-17", "Statement": statements }))
}

/// A policy, and one that has much in common with it.
fn related() -> impl Strategy<Value = (Value, Value)> {
    let shared = prop::collection::vec(any::<prop::sample::Index>(), 0..3);
    (policy(), policy(), shared, any::<bool>()).prop_map(|(wide, other, shared, mixed)| {
        let statements = wide["Statement"].as_array().unwrap();
        let mut narrow: Vec<Value> = shared.iter().map(|index| index.get(statements).clone()).collect();
        if mixed || narrow.is_empty() {
            narrow.extend(other["Statement"].as_array().unwrap().iter().cloned());
        }
        (wide, json!({ "Version": "2012-10-17", "Statement": narrow }))
    })
}

/// The first request that `narrow` allows and `wide` does not, however far a star reaches.
fn widened(narrow: Option<&Value>, wide: &Value) -> Option<String> {
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

fn is_proved(wide: &Value, narrow: &Value) -> bool {
    Narrowed::prove(Some(&wide.to_string()), Some(&narrow.to_string())).is_ok()
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: 100_000, ..ProptestConfig::default() })]

    /// "Yes" only when certain: whatever a policy that was shown to be narrower allows, the one before allowed.
    #[test]
    fn a_proof_holds_for_every_request((wide, narrow) in related()) {
        prop_assume!(is_proved(&wide, &narrow));
        prop_assert_eq!(widened(Some(&narrow), &wide), None);
    }

    /// What the functions do most is always shown: a policy as it is, and one with an `Allow` less. A `Deny` may go only
    /// where nothing is granted by it.
    #[test]
    fn an_allow_may_go_and_a_deny_may_not(policy in policy(), index in any::<prop::sample::Index>()) {
        let text = policy.to_string();
        prop_assert!(is_proved(&policy, &policy));
        let document = Document::parse(&text).unwrap();
        let index = index.index(document.statements().count());
        let after = document.edit(&BTreeMap::from([(index, Edit::Drop)])).unwrap();
        let is_shown = Narrowed::prove(Some(&text), after.as_deref()).is_ok();
        if document.statements().nth(index).unwrap().is_allow() {
            prop_assert!(is_shown);
        }
        if is_shown {
            let after: Option<Value> = after.map(|text| serde_json::from_str(&text).unwrap());
            prop_assert_eq!(widened(after.as_ref(), &policy), None);
        }
    }

    /// An edit takes out what it names, and gives every other statement back byte for byte, whatever the spacing.
    #[test]
    fn an_edit_leaves_the_others_as_they_are(policy in policy(), spaced in any::<bool>(), index in any::<prop::sample::Index>()) {
        let text = if spaced { serde_json::to_string_pretty(&policy).unwrap() } else { policy.to_string() };
        let document = Document::parse(&text).unwrap();
        let count = document.statements().count();
        let dropped = index.index(count);
        let Some(after) = document.edit(&BTreeMap::from([(dropped, Edit::Drop)])).unwrap() else {
            prop_assert_eq!(count, 1);
            return Ok(());
        };
        let mut expected = policy["Statement"].as_array().unwrap().clone();
        expected.remove(dropped);
        let read: Value = serde_json::from_str(&after).unwrap();
        prop_assert_eq!(&read["Statement"], &Value::Array(expected));
        // Taking bytes out is all that was done.
        let mut rest = text.chars();
        prop_assert!(after.len() < text.len() && after.chars().all(|c| rest.any(|other| other == c)));
    }
}

/// The property above says something only if proofs succeed for policies that differ.
#[test]
fn proofs_succeed_where_policies_differ() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let different = (0..2000)
        .map(|_| related().new_tree(&mut runner).unwrap().current())
        .filter(|(wide, narrow)| wide != narrow && is_proved(wide, narrow))
        .count();
    assert!(different > 100, "{different} of 2000");
}
