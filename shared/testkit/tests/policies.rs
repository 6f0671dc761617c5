//! The subset proof against an evaluator that tries every request of a small world, and edits against what they promise.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use remediation::policy::{Document, Edit, Narrowed};
use serde_json::{Value, json};
use testkit::policies::{policy, widened};

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

fn is_proved(wide: &Value, narrow: &Value) -> bool {
    Narrowed::prove(Some(&wide.to_string()), Some(&narrow.to_string())).is_ok()
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: 100_000, ..ProptestConfig::default() })]

    /// "Yes" only when certain: whatever a policy that was shown to be narrower allows, the one before allowed.
    #[test]
    fn s74_a_proof_holds_for_every_request((wide, narrow) in related()) {
        prop_assume!(is_proved(&wide, &narrow));
        prop_assert_eq!(widened(Some(&narrow), &wide), None);
    }

    /// What the functions do most is always shown: a policy as it is, and one with an `Allow` less. A `Deny` may go only
    /// where nothing is granted by it.
    #[test]
    fn s74_an_allow_may_go_and_a_deny_may_not(policy in policy(), index in any::<prop::sample::Index>()) {
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
    fn s75_an_edit_leaves_the_others_as_they_are(policy in policy(), spaced in any::<bool>(), index in any::<prop::sample::Index>()) {
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
