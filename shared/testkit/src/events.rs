//! Events as EventBridge delivers them, for streams of findings that no sample file could hold.

use chrono::SecondsFormat;
use remediation::clock::Timestamp;
use serde_json::{Value, json};

use crate::ACCOUNT;

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
    let detail = json!({
        "schemaVersion": "2.0", "accountId": ACCOUNT, "region": "us-east-1", "partition": "aws", "id": id,
        "arn": format!("arn:aws:guardduty:us-east-1:{ACCOUNT}:detector/d/finding/{id}"),
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
    });
    envelope("aws.guardduty", "GuardDuty Finding", &seen, detail)
}

/// An event of the account of the tests in us-east-1, sent at this time.
#[must_use]
pub fn envelope(source: &str, detail_type: &str, sent: &str, detail: Value) -> Value {
    json!({
        "version": "0", "id": "00000000-0000-0000-0000-000000000000", "detail-type": detail_type, "source": source,
        "account": ACCOUNT, "time": sent, "region": "us-east-1", "resources": [], "detail": detail
    })
}

/// A control of Security Hub that fails for a resource, by its ASFF type and id. `id`: the last part of the finding's ARN.
#[must_use]
pub fn control(control: &str, id: &str, (kind, resource): (&str, &str), seen: &str) -> Value {
    let finding = json!({
        "SchemaVersion": "2018-10-08",
        "Id": format!("arn:aws:securityhub:us-east-1:{ACCOUNT}:security-control/{control}/finding/{id}"),
        "ProductArn": "arn:aws:securityhub:us-east-1::product/aws/securityhub", "GeneratorId": format!("security-control/{control}"),
        "AwsAccountId": ACCOUNT, "Region": "us-east-1", "CreatedAt": seen, "UpdatedAt": seen,
        "Severity": { "Label": "MEDIUM" }, "Title": "a control", "Compliance": { "Status": "FAILED", "SecurityControlId": control },
        "Resources": [{ "Type": kind, "Id": resource, "Partition": "aws", "Region": "us-east-1" }],
        "Workflow": { "Status": "NEW" }, "RecordState": "ACTIVE"
    });
    let detail = json!({ "findings": [finding] });
    envelope("aws.securityhub", "Security Hub Findings - Imported", seen, detail)
}

/// A Config rule that a resource does not comply with, by its type and id.
#[must_use]
pub fn config(rule: &str, (kind, resource): (&str, &str), seen: &str) -> Value {
    let detail = json!({
        "resourceId": resource, "resourceType": kind, "awsRegion": "us-east-1", "awsAccountId": ACCOUNT,
        "configRuleName": rule, "configRuleARN": format!("arn:aws:config:us-east-1:{ACCOUNT}:config-rule/config-rule-abcdef"),
        "recordVersion": "1.0", "messageType": "ComplianceChangeNotification", "notificationCreationTime": seen,
        "newEvaluationResult": {
            "evaluationResultIdentifier": {
                "evaluationResultQualifier": { "configRuleName": rule, "resourceType": kind, "resourceId": resource },
                "orderingTimestamp": seen
            },
            "complianceType": "NON_COMPLIANT", "resultRecordedTime": seen, "configRuleInvokedTime": seen
        }
    });
    envelope("aws.config", "Config Rules Compliance Change", seen, detail)
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
