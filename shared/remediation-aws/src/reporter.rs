//! Telling Security Hub and the metrics what became of a finding.

use std::{
    collections::BTreeMap,
    io::Write,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, SystemTime},
};

use aws_sdk_securityhub::{
    Client,
    types::{AwsSecurityFindingIdentifier, NoteUpdate, WorkflowStatus, WorkflowUpdate},
};
use futures_util::{FutureExt, StreamExt, stream};
use remediation::{
    failure::{Class, Failure},
    finding::Channel,
    outcome::Outcome,
    report::{Gauges, Report, Reporter},
};
use serde_json::{Map, Value, json};

use crate::errors::classify;

/// Security Hub for the findings that came from there, and CloudWatch's embedded metric format on standard output.
#[derive(Debug, Clone)]
pub struct AwsReporter {
    hub: Client,
    namespace: Option<String>,
}

/// Security Hub takes ten updates a second.
const PARALLEL: usize = 8;
/// Security Hub takes a note of 512 characters.
const NOTE: usize = 512;

impl AwsReporter {
    /// `namespace`: of the metrics; without one there are none.
    #[must_use]
    pub fn new(hub: Client, namespace: Option<String>) -> Self {
        Self { hub, namespace }
    }

    async fn tell_hub(&self, remediation: &str, channel: &Channel, answer: &HubAnswer) -> Result<(), Failure> {
        match channel {
            Channel::Direct => Ok(()),
            Channel::SecurityHub { finding, product_arn } => {
                self.update(remediation, finding, product_arn, answer).await
            }
            Channel::SecurityHubV2 { metadata_uid } => self.update_v2(metadata_uid, answer).await,
        }
    }

    async fn update(
        &self,
        remediation: &str,
        finding: &str,
        product_arn: &str,
        answer: &HubAnswer,
    ) -> Result<(), Failure> {
        const OPERATION: &str = "securityhub:BatchUpdateFindings";
        let identifier = AwsSecurityFindingIdentifier::builder()
            .id(finding)
            .product_arn(product_arn)
            .build();
        let note = NoteUpdate::builder()
            .text(&answer.note)
            .updated_by(format!("securecart/{remediation}"))
            .build();
        let status = if answer.is_resolved {
            WorkflowStatus::Resolved
        } else {
            WorkflowStatus::Notified
        };
        let told = self
            .hub
            .batch_update_findings()
            .finding_identifiers(identifier)
            .note(note)
            .workflow(WorkflowUpdate::builder().status(status).build())
            .send()
            .await
            .map_err(|error| classify(OPERATION, &error))?;
        match told.unprocessed_findings().first() {
            None => Ok(()),
            Some(refused) => Err(Failure::new(
                Class::Permanent,
                OPERATION,
                refused.error_code().unwrap_or("Unprocessed"),
                refused.error_message().unwrap_or("the finding was not updated"),
            )),
        }
    }

    async fn update_v2(&self, metadata_uid: &str, answer: &HubAnswer) -> Result<(), Failure> {
        const OPERATION: &str = "securityhub:BatchUpdateFindingsV2";
        // OCSF: 2 in progress, 4 resolved.
        let told = self
            .hub
            .batch_update_findings_v2()
            .metadata_uids(metadata_uid)
            .comment(&answer.note)
            .status_id(if answer.is_resolved { 4 } else { 2 })
            .send()
            .await
            .map_err(|error| classify(OPERATION, &error))?;
        match told.unprocessed_findings().first() {
            None => Ok(()),
            Some(refused) => Err(Failure::new(
                Class::Permanent,
                OPERATION,
                refused.error_code().map_or("Unprocessed", |code| code.as_str()),
                refused.error_message().unwrap_or("the finding was not updated"),
            )),
        }
    }

    fn emit(&self, metrics: &Metrics) {
        let Some(namespace) = &self.namespace else { return };
        // CloudWatch reads a metric only from a line that is nothing but the JSON; the log's formatter would wrap it.
        if let Err(error) = writeln!(std::io::stdout().lock(), "{}", metrics.in_embedded_format(namespace)) {
            tracing::warn!(error = %error, "metrics not written");
        }
    }
}

impl Reporter for AwsReporter {
    async fn report(&self, remediation: &'static str, reports: &[Report], gauges: &Gauges, within: Duration) {
        self.emit(&measure(remediation, reports, gauges));
        let told = AtomicUsize::new(0);
        let answers = answers(remediation, reports);
        let total = answers.len();
        let telling = stream::iter(&answers).for_each_concurrent(PARALLEL, |(channel, answer)| {
            let told = &told;
            async move {
                match self.tell_hub(remediation, channel, answer).await {
                    Ok(()) => {
                        told.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(failure) => tracing::warn!(failure = %failure, "Security Hub was not told"),
                }
            }
            .boxed()
        });
        // A storm of findings must not hold up the answer to the queue: what is done is done.
        let _ = tokio::time::timeout(within, telling).await;
        let untold = total.saturating_sub(told.into_inner());
        if untold > 0 {
            tracing::warn!(untold, total, "Security Hub was not told of every finding");
            #[expect(clippy::cast_precision_loss, reason = "a count of findings in one batch")]
            self.emit(&measure(
                remediation,
                &[],
                &Gauges(vec![("SecurityHubUntold", untold as f64)]),
            ));
        }
    }
}

/// What Security Hub is told of one finding.
#[derive(Debug, PartialEq, Eq)]
struct HubAnswer {
    note: String,
    is_resolved: bool,
}

/// One answer per finding. A finding is resolved only if every one of its targets is; a dry run, a refusal and a failure say nothing
/// there: an update is sent back to us as an event, and a finding that stays NEW would then go round for ever.
fn answers<'a>(remediation: &str, reports: &'a [Report]) -> Vec<(&'a Channel, HubAnswer)> {
    let mut findings: BTreeMap<&Channel, Vec<&Report>> = BTreeMap::new();
    for report in reports {
        for channel in report.channels.iter().filter(|channel| **channel != Channel::Direct) {
            findings.entry(channel).or_default().push(report);
        }
    }
    let is_news = |report: &&&Report| {
        !matches!(
            report.outcome,
            Outcome::WouldRemediate(_) | Outcome::Declined(_) | Outcome::Failed(_)
        )
    };
    findings
        .into_iter()
        .filter_map(|(channel, reports)| {
            let news: Vec<_> = reports.iter().filter(is_news).collect();
            if news.is_empty() {
                return None;
            }
            let is_done =
                |report: &&&&Report| matches!(report.outcome, Outcome::Remediated(_) | Outcome::AlreadyInPlace(_));
            let lines: Vec<_> = news
                .iter()
                .map(|report| format!("{} [{}]", report.outcome, report.record))
                .collect();
            let note: String = format!("{remediation}: {}", lines.join("; "))
                .chars()
                .take(NOTE)
                .collect();
            let is_resolved = news.iter().filter(is_done).count() == reports.len();
            Some((channel, HubAnswer { note, is_resolved }))
        })
        .collect()
}

/// Measures of one run, by name.
struct Metrics {
    function: String,
    values: BTreeMap<&'static str, f64>,
}

/// Outcomes as counts, and of each gauge the highest value.
fn measure(remediation: &str, reports: &[Report], gauges: &Gauges) -> Metrics {
    let mut values: BTreeMap<&'static str, f64> = BTreeMap::new();
    for report in reports {
        *values.entry(report.outcome.name()).or_default() += 1.0;
    }
    for (name, value) in &gauges.0 {
        let highest = values.entry(name).or_insert(*value);
        *highest = highest.max(*value);
    }
    Metrics {
        function: remediation.to_owned(),
        values,
    }
}

impl Metrics {
    /// One line in CloudWatch's embedded metric format.
    fn in_embedded_format(&self, namespace: &str) -> Value {
        let unit = |name: &str| if name.ends_with("Percent") { "Percent" } else { "Count" };
        let metrics: Vec<_> = self
            .values
            .keys()
            .map(|name| json!({ "Name": name, "Unit": unit(name) }))
            .collect();
        let timestamp = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_millis());
        let mut line = Map::new();
        line.insert(
            "_aws".to_owned(),
            json!({
                "Timestamp": u64::try_from(timestamp).unwrap_or(u64::MAX),
                "CloudWatchMetrics": [{ "Namespace": namespace, "Dimensions": [["Function"]], "Metrics": metrics }],
            }),
        );
        line.insert("Function".to_owned(), json!(self.function));
        line.extend(
            self.values
                .iter()
                .map(|(name, value)| ((*name).to_owned(), json!(value))),
        );
        Value::Object(line)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use remediation::{
        Evidence,
        clock::Timestamp,
        finding::Severity,
        ids::{AccountId, FindingId, FindingVersion, RecordId, Region},
        outcome::Reason,
    };

    use super::*;

    fn hub() -> Channel {
        Channel::SecurityHub {
            finding: "finding".to_owned(),
            product_arn: "product".to_owned(),
        }
    }

    fn report(target: &str, channels: &[Channel], outcome: Outcome) -> Report {
        let (id, version) = (FindingId::new("finding"), FindingVersion::new("1"));
        Report {
            record: RecordId::derive("block-ip", "set", target, &id, &version),
            scope: "set".to_owned(),
            target: target.to_owned(),
            evidence: Evidence {
                id,
                version,
                channel: Channel::Direct,
                kind: "kind".to_owned(),
                severity: Severity::Low,
                account: AccountId::new("111122223333"),
                region: Region::new("us-east-1"),
                observed_at: Timestamp::UNIX_EPOCH,
            },
            channels: channels.iter().cloned().collect::<BTreeSet<_>>(),
            outcome,
        }
    }

    fn reason() -> Reason {
        Reason::new("code", "text")
    }

    #[test]
    fn a_finding_is_resolved_only_when_all_of_it_is() {
        let done = report("a", &[hub()], Outcome::Remediated(reason()));
        let there = report("b", &[hub()], Outcome::AlreadyInPlace(reason()));
        let declined = report("c", &[hub()], Outcome::Declined(reason()));
        let is_resolved = |reports: &[Report]| {
            answers("block-ip", reports)
                .iter()
                .map(|(_, a)| a.is_resolved)
                .collect::<Vec<_>>()
        };
        assert_eq!(is_resolved(&[done.clone(), there.clone()]), [true]);
        assert_eq!(is_resolved(&[done, declined]), [false]);
    }

    #[test]
    fn what_would_come_back_for_ever_is_not_told() {
        for outcome in [Outcome::WouldRemediate(reason()), Outcome::Declined(reason())] {
            assert!(answers("block-ip", &[report("a", &[hub()], outcome)]).is_empty());
        }
        let direct = report("a", &[Channel::Direct], Outcome::Remediated(reason()));
        assert!(answers("block-ip", &[direct]).is_empty());
    }

    #[test]
    fn notes_fit_and_name_the_record() {
        let long = Outcome::Escalated(Reason::new("code", "x".repeat(2_000)));
        let reports = [
            report("a", &[hub()], Outcome::Remediated(reason())),
            report("b", &[hub()], long),
        ];
        let answers = answers("block-ip", &reports);
        let note = &answers.first().unwrap().1.note;
        assert_eq!(note.chars().count(), NOTE);
        assert!(note.contains(reports.first().unwrap().record.as_str()), "{note}");
    }

    #[test]
    fn metrics_are_in_the_embedded_format() {
        let reports = [
            report("a", &[], Outcome::Remediated(reason())),
            report("b", &[], Outcome::Remediated(reason())),
            report("c", &[], Outcome::Declined(reason())),
        ];
        let gauges = Gauges(vec![("SetOccupancyPercent", 1.5), ("SetOccupancyPercent", 80.0)]);
        let line = measure("block-ip", &reports, &gauges).in_embedded_format("SecureCart/Remediation");
        let value = |name: &str| line.get(name).and_then(Value::as_f64);
        assert_eq!(
            (value("Remediated"), value("Declined"), value("SetOccupancyPercent")),
            (Some(2.0), Some(1.0), Some(80.0))
        );
        let directive = line.pointer("/_aws/CloudWatchMetrics/0").unwrap();
        assert_eq!(directive.get("Dimensions"), Some(&json!([["Function"]])));
        assert_eq!(
            directive.get("Metrics").and_then(Value::as_array).map(Vec::len),
            Some(3)
        );
    }
}
