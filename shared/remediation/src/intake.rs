//! What a function is called with, told apart by its shape.
//!
//! An SQS batch of EventBridge events, one bare EventBridge event (`cargo lambda invoke`, a rule that targets the
//! function), a schedule event, or an operator's command. A record that cannot be read fails alone, naming what is wrong.

use aws_lambda_events::sqs::SqsEvent;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    finding::{
        Asked, Envelope, Finding, FindingError, from_asff, from_cloudtrail, from_config, from_external_access,
        from_guardduty, from_health, from_ocsf, from_unused_access,
    },
    ids::{InvalidRecordId, RecordId},
    outcome::Reason,
    text::{is_hidden, one_line},
};

/// One call of the function.
#[derive(Debug)]
pub enum Invocation {
    /// Messages of a queue, each to be answered for by its id.
    Batch(Vec<Message>),
    /// One event, answered with its outcomes.
    Event(Intake),
    /// Time to expire and reconcile.
    Schedule,
    /// An operator's word.
    Command(Command),
}

/// One message of a queue.
#[derive(Debug)]
pub struct Message {
    /// The id to report when it has to be delivered again.
    pub id: String,
    /// It has been delivered before: what was begun then may not have been ended, or told.
    pub again: bool,
    /// What it holds.
    pub intake: Result<Intake, IntakeError>,
}

/// What an operator may ask.
#[derive(Debug)]
pub enum Command {
    /// Take a recorded change back.
    Undo(Order),
    /// Carry out a recorded plan.
    Approve(Order),
    /// Say what would be done about this event, and why, without writing anything.
    Explain(Intake),
}

/// Which record is meant, and on whose word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The record.
    pub id: RecordId,
    /// Who gives the order, as they say of themselves.
    pub by: String,
}

/// A readable event: what it holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Intake {
    /// Findings; never empty.
    Findings(Vec<Finding>),
    /// Nothing that any function here acts on.
    Declined(Reason),
}

/// Why an event cannot be read. It goes to the dead-letter queue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    /// Not JSON, or not the form that was expected there.
    #[error("{what}: {problem}")]
    Malformed {
        /// What was being read.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// None of the four forms.
    #[error("neither an SQS batch, an EventBridge event, a schedule event nor a command: {0}")]
    UnknownShape(String),
    /// A queue message without a body.
    #[error("the message has no body")]
    NoBody,
    /// The finding cannot be read.
    #[error("{detail_type}: {error}")]
    Finding {
        /// The event's detail type.
        detail_type: String,
        /// What is wrong.
        error: FindingError,
    },
    /// The record id of a command is none.
    #[error(transparent)]
    RecordId(#[from] InvalidRecordId),
}

impl IntakeError {
    fn malformed(what: &'static str, error: &serde_json::Error) -> Self {
        Self::Malformed {
            what,
            problem: one_line(&error.to_string()),
        }
    }
}

/// The outermost keys; enough to tell the forms apart.
#[derive(Deserialize)]
struct Shape<'a> {
    #[serde(default, borrow, rename = "Records")]
    records: Option<&'a RawValue>,
    #[serde(default, borrow, rename = "detail-type")]
    detail_type: Option<&'a RawValue>,
    #[serde(default)]
    undo: Option<String>,
    #[serde(default)]
    approve: Option<String>,
    #[serde(default, borrow)]
    explain: Option<&'a RawValue>,
    #[serde(default)]
    by: Option<String>,
}

/// Reads what the function was called with.
///
/// # Errors
/// When the payload as a whole has none of the known forms. Bad records of a batch are errors of their own, inside.
pub fn read(payload: &str) -> Result<Invocation, IntakeError> {
    // Nearly all that comes is a batch, as Lambda writes it, or an event; a look at all keys beforehand would read it twice.
    if payload.starts_with(r#"{"Records":"#)
        && let Ok(batch) = serde_json::from_str(payload)
    {
        return Ok(batched(batch));
    }
    if let Ok(event) = envelope(payload) {
        return invoked(&event);
    }
    let shape: Shape<'_> = serde_json::from_str(payload).map_err(|error| IntakeError::malformed("payload", &error))?;
    match shape {
        Shape { records: Some(_), .. } => serde_json::from_str(payload)
            .map(batched)
            .map_err(|error| IntakeError::malformed("SQS batch", &error)),
        Shape {
            detail_type: Some(_), ..
        } => invoked(&envelope(payload)?),
        Shape {
            undo: Some(id),
            approve: None,
            explain: None,
            by,
            ..
        } => Ok(Invocation::Command(Command::Undo(order(&id, by)?))),
        Shape {
            undo: None,
            approve: Some(id),
            explain: None,
            by,
            ..
        } => Ok(Invocation::Command(Command::Approve(order(&id, by)?))),
        Shape {
            undo: None,
            approve: None,
            explain: Some(event),
            ..
        } => Ok(Invocation::Command(Command::Explain(read_intake(event.get())?))),
        _ => Err(IntakeError::UnknownShape(
            "expected the key Records, detail-type, or exactly one of undo, approve and explain".to_owned(),
        )),
    }
}

fn order(id: &str, by: Option<String>) -> Result<Order, InvalidRecordId> {
    let by = by.map(|by| {
        by.chars()
            .filter(|char| !is_hidden(*char))
            .take(256)
            .collect::<String>()
    });
    Ok(Order {
        id: RecordId::parse(id)?,
        by: by
            .filter(|by| !by.trim().is_empty())
            .unwrap_or_else(|| "somebody who did not say".to_owned()),
    })
}

fn batched(batch: SqsEvent) -> Invocation {
    let message = |record: aws_lambda_events::sqs::SqsMessage| {
        let intake = record.body.as_deref().ok_or(IntakeError::NoBody).and_then(read_intake);
        let received = record.attributes.get("ApproximateReceiveCount");
        Message {
            id: record.message_id.unwrap_or_default(),
            again: received.is_some_and(|times| times.parse::<u64>().is_ok_and(|times| times > 1)),
            intake,
        }
    };
    Invocation::Batch(batch.records.into_iter().map(message).collect())
}

fn invoked(event: &Envelope) -> Result<Invocation, IntakeError> {
    if is_schedule(event) {
        Ok(Invocation::Schedule)
    } else {
        findings(event).map(Invocation::Event)
    }
}

/// Reads one EventBridge event that is expected to carry findings.
fn read_intake(payload: &str) -> Result<Intake, IntakeError> {
    findings(&envelope(payload)?)
}

fn envelope(payload: &str) -> Result<Envelope, IntakeError> {
    serde_json::from_str(payload).map_err(|error| IntakeError::malformed("EventBridge event", &error))
}

fn is_schedule(event: &Envelope) -> bool {
    event.source == "aws.events" && event.detail_type == "Scheduled Event"
}

#[derive(Deserialize)]
struct SecurityHubDetail<'a> {
    #[serde(default, rename = "actionName")]
    action: Option<serde_json::Value>,
    #[serde(default, borrow)]
    findings: Option<Vec<&'a RawValue>>,
}

fn findings(event: &Envelope) -> Result<Intake, IntakeError> {
    let detail = event.detail.get();
    let named = |error| IntakeError::Finding {
        detail_type: event.detail_type.clone(),
        error,
    };
    let list = |read: &dyn Fn(&str, &str, Asked) -> Result<Finding, FindingError>| {
        let parsed: SecurityHubDetail<'_> =
            serde_json::from_str(detail).map_err(|error| IntakeError::malformed("detail", &error))?;
        let entries = parsed.findings.filter(|entries| !entries.is_empty());
        let entries = entries.ok_or_else(|| named(FindingError::Missing("detail.findings".to_owned())))?;
        let action = parsed.action.as_ref().and_then(serde_json::Value::as_str);
        let asked = Asked::named(action.unwrap_or_default());
        let each = entries.iter().enumerate();
        let read = |(index, entry): (usize, &&RawValue)| {
            let at = format!("detail.findings[{index}]");
            let finding = read(entry.get(), &at, asked).and_then(|finding| finding.checked(&at));
            finding.map_err(named)
        };
        each.map(read).collect::<Result<Vec<_>, _>>().map(Intake::Findings)
    };
    let one = |finding: Result<Finding, FindingError>| {
        let finding = finding.and_then(|finding| finding.checked("detail"));
        finding.map(|it| Intake::Findings(vec![it])).map_err(named)
    };
    match (event.source.as_str(), event.detail_type.as_str()) {
        ("aws.guardduty", "GuardDuty Finding") => one(from_guardduty(detail)),
        ("aws.securityhub", "Security Hub Findings - Imported") => list(&|entry, at, _| from_asff(entry, at, None)),
        ("aws.securityhub", "Security Hub Findings - Custom Action") => {
            list(&|entry, at, asked| from_asff(entry, at, Some(asked)))
        }
        ("aws.securityhub", "Findings Imported V2") => list(&|entry, at, _| from_ocsf(entry, at)),
        ("aws.config", "Config Rules Compliance Change") => one(from_config(event)),
        ("aws.access-analyzer", "Unused Access Finding for IAM entities") => one(from_unused_access(event)),
        ("aws.access-analyzer", "Access Analyzer Finding" | "Internal Access Finding") => {
            one(from_external_access(event))
        }
        ("aws.health", "AWS Health Event" | "AWS Health Abuse Event") => one(from_health(event)),
        ("aws.s3" | "aws.ec2", "AWS API Call via CloudTrail") => match from_cloudtrail(event).map_err(named)? {
            Some(finding) => one(Ok(finding)),
            None => Ok(other_event(event)),
        },
        _ => Ok(other_event(event)),
    }
}

fn other_event(event: &Envelope) -> Intake {
    Intake::Declined(Reason::new(
        "other-event",
        format!(
            "{:?} of {:?} carries no finding to act on",
            event.detail_type, event.source
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{Detail, Verdict};

    const BODY: &str = r#"{"version":"0","id":"e","detail-type":"GuardDuty Finding","source":"aws.guardduty","account":"111122223333","time":"2026-11-01T00:00:00Z","region":"us-east-1","resources":[],"detail":{"id":"f","arn":"arn:f","type":"UnauthorizedAccess:EC2/SSHBruteForce","accountId":"111122223333","region":"us-east-1","updatedAt":"2026-11-01T00:00:00Z","severity":2}}"#;

    #[test]
    fn s2_one_bad_record_fails_alone() {
        let batch = serde_json::json!({"Records": [
            {"messageId": "good", "body": BODY},
            {"messageId": "no-json", "body": "{"},
            {"messageId": "no-body"},
            {"messageId": "no-type", "body": BODY.replace("\"type\"", "\"typo\"")},
        ]});
        let Ok(Invocation::Batch(messages)) = read(&batch.to_string()) else {
            panic!("not a batch")
        };
        let errors: Vec<_> = messages
            .iter()
            .map(|m| m.intake.as_ref().err().map(ToString::to_string))
            .collect();
        assert_eq!(errors[0], None);
        assert!(
            errors[1].as_ref().unwrap().starts_with("EventBridge event: "),
            "{errors:?}"
        );
        assert_eq!(errors[2].as_deref(), Some("the message has no body"));
        assert_eq!(errors[3].as_deref(), Some("GuardDuty Finding: detail.type is missing"));
    }

    #[test]
    fn forms_are_told_apart() {
        assert!(matches!(read(BODY), Ok(Invocation::Event(Intake::Findings(_)))));
        let schedule = r#"{"source":"aws.events","detail-type":"Scheduled Event","detail":{}}"#;
        assert!(matches!(read(schedule), Ok(Invocation::Schedule)));
        let undo = r#"{"undo":"block-ip-0123456789abcdef01234567"}"#;
        assert!(matches!(read(undo), Ok(Invocation::Command(Command::Undo(_)))));
        let explain = format!(r#"{{"explain":{BODY}}}"#);
        assert!(matches!(read(&explain), Ok(Invocation::Command(Command::Explain(_)))));
        let cloudtrail = r#"{"source":"aws.guardduty","detail-type":"AWS API Call via CloudTrail","detail":{}}"#;
        assert!(matches!(read(cloudtrail), Ok(Invocation::Event(Intake::Declined(_)))));
        let object =
            r#"{"source":"aws.s3","detail-type":"AWS API Call via CloudTrail","detail":{"eventName":"PutObject"}}"#;
        assert!(matches!(read(object), Ok(Invocation::Event(Intake::Declined(_)))));
    }

    #[test]
    fn every_reader_is_reached_and_its_errors_say_where() {
        for (source, detail_type, problem) in [
            (
                "aws.config",
                "Config Rules Compliance Change",
                "detail.newEvaluationResult.complianceType is missing",
            ),
            (
                "aws.access-analyzer",
                "Unused Access Finding for IAM entities",
                "detail.findingId is missing",
            ),
            ("aws.access-analyzer", "Access Analyzer Finding", "detail.id is missing"),
            ("aws.access-analyzer", "Internal Access Finding", "detail.id is missing"),
            ("aws.health", "AWS Health Event", "detail.eventTypeCode is missing"),
            (
                "aws.health",
                "AWS Health Abuse Event",
                "detail.eventTypeCode is missing",
            ),
            ("aws.securityhub", "Findings Imported V2", "detail.findings is missing"),
        ] {
            let event = serde_json::json!({"source": source, "detail-type": detail_type, "detail": {}});
            let error = read(&event.to_string()).unwrap_err().to_string();
            assert_eq!(error, format!("{detail_type}: {problem}"));
        }
    }

    #[test]
    fn what_has_no_known_form_is_refused_by_name() {
        for payload in [
            "",
            "[]",
            "null",
            "{}",
            "\"x\"",
            r#"{"undo":"x"}"#,
            r#"{"undo":"a","approve":"b"}"#,
            r#"{"Records":7}"#,
        ] {
            assert!(read(payload).is_err(), "{payload}");
        }
        assert!(read("{}").unwrap_err().to_string().contains("expected the key Records"));
    }

    /// The one finding of a sample of `revoke-permissions`.
    fn sample(name: &str) -> Finding {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../events/revoke-permissions");
        let payload = std::fs::read_to_string(format!("{folder}/{name}.json")).unwrap();
        match read(&payload).unwrap() {
            Invocation::Event(Intake::Findings(findings)) => match <[Finding; 1]>::try_from(findings) {
                Ok([finding]) => finding,
                Err(findings) => panic!("{name}: {findings:?}"),
            },
            other => panic!("{name}: {other:?}"),
        }
    }

    #[test]
    fn what_revokes_permissions_names_it() {
        let policy = |name: &str| format!("AWS::IAM::Policy arn:aws:iam::111122223333:policy/{name}");
        let role = |name: &str| format!("AWS::IAM::Role arn:aws:iam::111122223333:role/{name}");
        let id = |kind: &str, id: &str| format!("AWS::IAM::{kind} {id}");
        let bucket = || "AWS::S3::Bucket arn:aws:s3:::securecart-exports-111122223333".to_owned();
        for (name, kind, expected) in [
            ("securityhub-iam1", "IAM.1", policy("securecart-legacy-admin")),
            ("securityhub-iam1-legacy", "IAM.1", policy("securecart-legacy-admin")),
            ("securityhub-iam1-ocsf", "IAM.1", policy("securecart-legacy-admin")),
            (
                "config-admin-access",
                "iam-policy-no-statements-with-admin-access",
                id("Policy", "ANPA2EXAMPLELEGACY00"),
            ),
            ("securityhub-iam21", "IAM.21", policy("securecart-orders-access")),
            (
                "config-full-access",
                "iam-policy-no-statements-with-full-access",
                id("Policy", "ANPA2EXAMPLEORDERS00"),
            ),
            ("securityhub-iam27", "IAM.27", role("securecart-support")),
            (
                "config-blacklisted",
                "iam-policy-blacklisted-check",
                id("Role", "AROA2EXAMPLEBATCH000"),
            ),
            (
                "securityhub-iam2",
                "IAM.2",
                id("User", "arn:aws:iam::111122223333:user/contractor"),
            ),
            (
                "config-inline-policy",
                "iam-no-inline-policy-check",
                id("User", "AIDA2EXAMPLECONTRACT"),
            ),
            ("securityhub-kms1", "KMS.1", policy("securecart-kms-access")),
            (
                "config-kms-customer",
                "iam-customer-policy-blocked-kms-actions",
                id("Policy", "ANPA2EXAMPLEKMSACC00"),
            ),
            ("securityhub-kms2", "KMS.2", role("securecart-reports")),
            (
                "config-kms-inline",
                "iam-inline-policy-blocked-kms-actions",
                id("Role", "AROA2EXAMPLEREPORTS0"),
            ),
            (
                "access-analyzer-unused-permission",
                "UnusedPermission",
                role("securecart-orders-api"),
            ),
            (
                "securityhub-unused-permission",
                "UnusedPermission",
                role("securecart-orders-api"),
            ),
            (
                "ocsf-unused-permission",
                "UnusedPermission",
                role("securecart-orders-api"),
            ),
            (
                "access-analyzer-unused-role",
                "UnusedIAMRole",
                role("securecart-migration"),
            ),
            (
                "access-analyzer-external-role",
                "ExternalAccess",
                role("securecart-partner"),
            ),
            (
                "securityhub-external-role",
                "ExternalAccess",
                role("securecart-partner"),
            ),
            ("access-analyzer-external-bucket", "ExternalAccess", bucket()),
            ("securityhub-external-bucket", "ExternalAccess", bucket()),
        ] {
            let finding = sample(name);
            assert_eq!(finding.evidence.kind, kind, "{name}");
            assert_eq!(finding.evidence.account.as_str(), "111122223333");
            assert_eq!(finding.evidence.region.as_str(), "us-east-1");
            let resource = match finding.detail {
                Detail::Compliance(check) => {
                    assert_eq!(check.verdict, Verdict::Failed);
                    check.resources.into_iter().next().unwrap()
                }
                Detail::UnusedAccess(unused) => {
                    assert!(unused.active && unused.analyzer.unwrap().ends_with(":analyzer/securecart-unused"));
                    unused.resource
                }
                Detail::ExternalAccess(access) => {
                    assert!(access.active && !access.public);
                    let grantees: Vec<_> = access
                        .grantees
                        .iter()
                        .map(|it| (it.kind.as_str(), it.id.as_str()))
                        .collect();
                    assert_eq!(grantees, [("AWS", "999988887777")], "{name}");
                    access.resource
                }
                other => panic!("{name}: {other:?}"),
            };
            assert_eq!(format!("{} {}", resource.kind, resource.id), expected, "{name}");
        }
    }

    #[test]
    fn a_finding_of_the_analyzer_is_the_same_whichever_way_it_comes() {
        for (direct, others) in [
            (
                "access-analyzer-unused-permission",
                &["securityhub-unused-permission", "ocsf-unused-permission"][..],
            ),
            ("access-analyzer-external-role", &["securityhub-external-role"]),
            ("access-analyzer-external-bucket", &["securityhub-external-bucket"]),
        ] {
            for other in others {
                let (direct, other) = (sample(direct), sample(other));
                assert_eq!(direct.evidence.id, other.evidence.id);
                if let (Detail::UnusedAccess(one), Detail::UnusedAccess(two)) = (direct.detail, other.detail) {
                    assert_eq!((one.analyzer, one.finding), (two.analyzer, two.finding));
                }
            }
        }
    }

    #[test]
    fn an_order_names_a_record_and_who_gives_it() {
        let id = "block-ip-0123456789abcdef01234567";
        let by = |word: &str, by: serde_json::Value| match read(&serde_json::json!({ word: id, "by": by }).to_string())
        {
            Ok(Invocation::Command(Command::Undo(order))) if word == "undo" => order.by,
            Ok(Invocation::Command(Command::Approve(order))) if word == "approve" => order.by,
            other => panic!("{other:?}"),
        };
        for word in ["undo", "approve"] {
            assert_eq!(by(word, "ann\n\u{202e}".into()), "ann");
            assert_eq!(by(word, " \n".into()), "somebody who did not say");
            assert_eq!(by(word, serde_json::Value::Null), "somebody who did not say");
            assert_eq!(by(word, "x".repeat(300).into()).len(), 256);
        }
    }

    #[test]
    fn a_message_comes_again_from_its_second_delivery() {
        for (count, expected) in [("0", false), ("1", false), ("2", true), ("3", true), ("x", false)] {
            let batch = serde_json::json!({"Records": [
                {"messageId": "m", "body": BODY, "attributes": {"ApproximateReceiveCount": count}}
            ]});
            match read(&batch.to_string()) {
                Ok(Invocation::Batch(messages)) => assert_eq!(messages[0].again, expected, "{count}"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn only_the_rules_own_schedule_is_one() {
        for (source, detail_type) in [("aws.events", "Other"), ("custom", "Scheduled Event")] {
            let event = serde_json::json!({"source": source, "detail-type": detail_type, "detail": {}});
            assert!(matches!(
                read(&event.to_string()),
                Ok(Invocation::Event(Intake::Declined(_)))
            ));
        }
        let created = serde_json::json!({
            "eventID": "e", "eventSource": "s3.amazonaws.com", "eventName": "CreateBucket", "eventTime": "2026-11-01T00:00:00Z",
            "awsRegion": "us-east-1", "recipientAccountId": "111122223333", "requestParameters": {"bucketName": "orders"},
        });
        let event =
            serde_json::json!({"source": "aws.s3", "detail-type": "AWS API Call via CloudTrail", "detail": created});
        assert!(matches!(
            read(&event.to_string()),
            Ok(Invocation::Event(Intake::Findings(_)))
        ));
    }
}
