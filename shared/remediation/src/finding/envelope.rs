//! The envelope that EventBridge puts around every event.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{FindingError, lenient, read_time, shortened};
use crate::clock::Timestamp;

/// Of the envelope only what is read: a drifted type elsewhere in it is no reason to lose a finding.
#[derive(Deserialize)]
pub(crate) struct Envelope {
    pub(crate) source: String,
    #[serde(rename = "detail-type")]
    pub(crate) detail_type: String,
    /// The account of the bus; the finding may be about another.
    #[serde(default, deserialize_with = "lenient::text")]
    pub(super) account: Option<String>,
    /// The Region of the bus; the finding may be about another.
    #[serde(default, deserialize_with = "lenient::text")]
    pub(super) region: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    time: Option<String>,
    #[serde(default, deserialize_with = "lenient::parts")]
    pub(super) resources: Vec<String>,
    pub(crate) detail: Box<RawValue>,
}

impl Envelope {
    /// When it happened: the finding's own time, or else the event's.
    pub(super) fn observed(&self, own: Option<Timestamp>, text: &str, at: &str) -> Result<Timestamp, FindingError> {
        let bad = || FindingError::BadTime {
            at: at.to_owned(),
            text: shortened(text),
        };
        own.or_else(|| read_time(self.time.as_deref()?)).ok_or_else(bad)
    }

    #[cfg(test)]
    pub(super) fn sample(source: &str, detail_type: &str, resources: &[&str], detail: &serde_json::Value) -> Self {
        let event = serde_json::json!({
            "version": "0",
            "id": "6a7e8feb-b491-4cf7-a9f1-000000000001",
            "detail-type": detail_type,
            "source": source,
            "account": "111122223333",
            "time": "2026-11-20T09:21:07Z",
            "region": "us-east-1",
            "resources": resources,
            "detail": detail,
        });
        serde_json::from_str(&event.to_string()).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_source_type_and_detail_must_be_right() {
        let drifted = r#"{"source":"aws.config","detail-type":"x","account":111122223333,"region":null,"time":{},
            "resources":[7,"arn:a"],"detail":{}}"#;
        let envelope: Envelope = serde_json::from_str(drifted).unwrap();
        assert_eq!(envelope.account.as_deref(), Some("111122223333"));
        assert_eq!((envelope.region, envelope.time), (None, None));
        assert_eq!(envelope.resources, ["arn:a"]);
        assert!(
            serde_json::from_str::<Envelope>(r#"{"source":"a","detail-type":"b","resources":7,"detail":{}}"#).is_ok()
        );
    }
}
