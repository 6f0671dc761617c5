//! Merging the TLS-only statement, for policies of any form and spelling.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on has failed"
)]

use enforce_s3_encryption::{Merged, merge};
use proptest::{collection::vec, prelude::*};
use remediation::ids::BucketName;
use serde_json::Value;

/// A statement in the spelling of some tool, with what confuses a careless reader inside its strings.
fn statement() -> impl Strategy<Value = String> {
    let sid = prop_oneof![
        Just(String::new()),
        "[A-Za-z0-9]{1,8}".prop_map(|sid| format!("\"Sid\" : \"{sid}\", ")),
        Just("\"Sid\":\"SecureCartTlsOnly\",".to_owned()),
        Just("\"Sid\":\"] } , \\\" [\",".to_owned()),
    ];
    let principal = prop_oneof![
        Just("\"Principal\":\"*\""),
        Just("\"Principal\": {\"AWS\": [\"111122223333\", \"arn:aws:iam::444455556666:root\"]}"),
        Just("\"NotPrincipal\":{\"AWS\":\"arn:aws:iam::111122223333:role/é]\"}"),
        Just("\"Principal\":{ \"Service\" :\"logging.s3.amazonaws.com\" }"),
    ];
    let action = prop_oneof![
        Just("\"s3:GetObject\""),
        Just("[ \"s3:*\" ]"),
        Just("[]"),
        Just("\"S3:put*\"")
    ];
    let condition = prop_oneof![
        Just(""),
        Just(",\"Condition\":{\"Bool\":{\"aws:SecureTransport\":\"true\"}}"),
        Just(", \"Condition\" : {\"StringLike\":{\"aws:Referer\":[\"[\",\"]\"]}}"),
    ];
    (sid, prop_oneof![Just("Allow"), Just("Deny")], principal, action, condition).prop_map(
        |(sid, effect, principal, action, condition)| {
            format!("{{{sid}\"Effect\":\"{effect}\",{principal},\"Action\":{action},\"Resource\":\"arn:aws:s3:::orders/*\"{condition}}}")
        },
    )
}

/// The statements, and a policy that holds them.
fn policy() -> impl Strategy<Value = (Vec<String>, String)> {
    let space = prop_oneof![Just(""), Just(" "), Just("\n    ")];
    (vec(statement(), 0..5), any::<bool>(), any::<bool>(), space).prop_map(
        |(statements, single, version_last, space)| {
            let list = match statements.as_slice() {
                [only] if single => only.clone(),
                several => format!("[{space}{}{space}]", several.join(&format!(",{space}"))),
            };
            let text = if version_last {
                format!("{{{space}\"Id\":\"]\",\"Statement\":{space}{list},\"Version\":\"2012-10-17\"}}")
            } else {
                format!("{{\"Version\":\"2008-10-17\",{space}\"Statement\"{space}:{list}{space}}}")
            };
            (statements, text)
        },
    )
}

fn text(merged: Merged) -> String {
    match merged {
        Merged::Text(text) => text,
        Merged::Present => panic!("none of these refuses plain HTTP"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn s68_other_statements_keep_text_and_order_and_ours_comes_once((statements, before) in policy()) {
        let bucket = BucketName::parse("orders").unwrap();
        let after = text(merge(Some(&before), &bucket, "aws").unwrap());

        let value: Value = serde_json::from_str(&after).unwrap();
        let (old, list) = (serde_json::from_str::<Value>(&before).unwrap(), value["Statement"].as_array().unwrap());
        prop_assert_eq!(list.len(), statements.len() + 1);
        for (statement, kept) in statements.iter().zip(list) {
            prop_assert_eq!(&serde_json::from_str::<Value>(statement).unwrap(), kept);
        }
        let mut from = 0;
        for statement in &statements {
            let at = after[from..].find(statement.as_str());
            prop_assert!(at.is_some(), "{} lost its text", statement);
            from += at.unwrap() + statement.len();
        }
        for field in ["Version", "Id"] {
            prop_assert_eq!(&old[field], &value[field]);
        }
        let sids: Vec<_> = list.iter().filter_map(|statement| statement["Sid"].as_str()).collect();
        let ours = list.last().unwrap();
        prop_assert_eq!(sids.iter().filter(|sid| ours["Sid"] == **sid).count(), 1, "its Sid is its own");
        prop_assert_eq!(&ours["Condition"]["Bool"]["aws:SecureTransport"], "false");

        prop_assert_eq!(merge(Some(&after), &bucket, "aws").unwrap(), Merged::Present, "once is enough");
    }

    /// Whatever the text is, merging answers and does not panic.
    #[test]
    fn any_text_is_merged_or_refused(text in "[\\[\\]{}\",:a-zA-Z \\\\é]{0,60}") {
        let _ = merge(Some(&text), &BucketName::parse("orders").unwrap(), "aws");
    }
}
