//! Events as EventBridge delivers them, for streams of findings that no sample file could hold.

use chrono::SecondsFormat;
use remediation::clock::Timestamp;
use serde_json::{Value, json};

/// An inbound attack that GuardDuty saw.
#[derive(Debug, Clone, PartialEq)]
pub struct Attack<'a> {
    /// The last part of the finding's ARN.
    pub id: &'a str,
    /// When it was last seen; also the finding's version.
    pub seen: Timestamp,
    /// From where.
    pub address: &'a str,
    /// GuardDuty's number.
    pub severity: f64,
}

/// A `GuardDuty Finding` event about brute force over SSH.
#[must_use]
pub fn brute_force(attack: &Attack<'_>) -> Value {
    let seen = attack.seen.to_rfc3339_opts(SecondsFormat::Millis, true);
    let field = if attack.address.contains(':') {
        "ipAddressV6"
    } else {
        "ipAddressV4"
    };
    let id = attack.id;
    json!({
        "version": "0", "id": "00000000-0000-0000-0000-000000000000", "detail-type": "GuardDuty Finding",
        "source": "aws.guardduty", "account": "111122223333", "time": seen, "region": "us-east-1", "resources": [],
        "detail": {
            "schemaVersion": "2.0", "accountId": "111122223333", "region": "us-east-1", "partition": "aws", "id": id,
            "arn": format!("arn:aws:guardduty:us-east-1:111122223333:detector/d/finding/{id}"),
            "type": "UnauthorizedAccess:EC2/SSHBruteForce", "severity": attack.severity,
            "createdAt": seen, "updatedAt": seen, "title": "SSH brute force", "description": "SSH brute force",
            "resource": { "resourceType": "Instance" },
            "service": {
                "serviceName": "guardduty", "archived": false, "count": 1, "resourceRole": "TARGET",
                "eventFirstSeen": seen, "eventLastSeen": seen,
                "action": { "actionType": "NETWORK_CONNECTION", "networkConnectionAction": {
                    "connectionDirection": "INBOUND", "blocked": false, "protocol": "TCP",
                    "remoteIpDetails": { field: attack.address }
                } }
            }
        }
    })
}

/// The SQS batch that Lambda receives, from pairs of message id and body.
#[must_use]
pub fn sqs_batch<'a>(messages: impl IntoIterator<Item = (&'a str, String)>) -> Value {
    let records: Vec<_> = messages
        .into_iter()
        .map(|(id, body)| {
            json!({ "messageId": id, "receiptHandle": "r", "body": body, "attributes": {}, "messageAttributes": {},
                "eventSource": "aws:sqs", "awsRegion": "us-east-1" })
        })
        .collect();
    json!({ "Records": records })
}
