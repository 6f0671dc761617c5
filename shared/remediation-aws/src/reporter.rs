//! Telling Security Hub and the metrics what became of a finding.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use aws_sdk_securityhub::{
    Client,
    types::{AwsSecurityFindingIdentifier, NoteUpdate, WorkflowStatus, WorkflowUpdate},
};
use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, join},
    stream,
};
use remediation::{
    engine::SECONDS_TO_FIX,
    failure::Failure,
    finding::Channel,
    ids::RecordId,
    notice::Notice,
    outcome::{Outcome, Reason},
    report::{Gauges, Report, Reporter, Untold},
};
use serde_json::{Map, Value, json};

use crate::{Aws, errors::classify};

/// Security Hub for the findings that came from there, and CloudWatch's embedded metric format on standard output.
#[derive(Debug, Clone)]
pub struct AwsReporter {
    hub: Client,
    topic: Option<(aws_sdk_sns::Client, String)>,
    namespace: Option<String>,
}

/// Security Hub takes ten updates a second.
const PARALLEL: usize = 8;
/// Security Hub takes a note of 512 characters, and 100 findings in one update.
const NOTE: usize = 512;
const FINDINGS: usize = 100;
/// So many updates at once Security Hub takes in a burst. Of more findings, those with the same outcomes are told the same.
const SINGLY: usize = 30;

impl AwsReporter {
    /// `topic`: for notices, by its ARN. `namespace`: of the metrics. Without one there are none.
    #[must_use]
    pub fn new(aws: &Aws, topic: Option<String>, namespace: Option<String>) -> Self {
        let config = aws.patient();
        Self {
            hub: Client::new(&config),
            topic: topic.map(|topic| (aws_sdk_sns::Client::new(&config), topic)),
            namespace,
        }
    }

    /// Makes a call of each service as a [rehearsal](Aws::rehearsal).
    pub(crate) async fn rehearse(&self, rehearsal: &Aws) {
        let topic = self.topic.as_ref().map(|(_, topic)| topic.clone());
        let Self { hub, topic, .. } = Self::new(rehearsal, topic, None);
        let told = hub.batch_update_findings().send();
        match topic {
            Some((sns, topic)) => drop(join(told, sns.publish().topic_arn(topic).send()).await),
            None => drop(told.await),
        }
    }

    /// Sends a notice to whoever listens. One that cannot be sent is logged; says whether it was.
    pub(crate) async fn publish(&self, notice: &Notice) -> bool {
        let Some((sns, topic)) = &self.topic else { return true };
        let message = json!({ "default": notice.text, "https": notice.chat.to_string() }).to_string();
        let call = sns
            .publish()
            .topic_arn(topic)
            .subject(&notice.subject)
            .message_structure("json")
            .message(message);
        let sent = call.send().await;
        if let Err(error) = &sent {
            let failure = classify("sns:Publish", error);
            tracing::warn!(failure = %failure, subject = notice.subject, "nobody was told");
        }
        sent.is_ok()
    }

    /// Notes one measure.
    pub(crate) fn measure(&self, remediation: &'static str, name: &'static str, value: f64) {
        self.emit(&measure(remediation, &[], &Gauges(vec![(name, value)])));
    }

    /// Tells Security Hub the same of up to a hundred findings. Returns those that it did not take, with its reasons.
    async fn tell_hub(&self, remediation: &str, told: &Told<'_>) -> Result<Vec<String>, Failure> {
        if told.is_v2 {
            self.update_v2(&told.findings, &told.answer).await
        } else {
            self.update(remediation, &told.findings, &told.answer).await
        }
    }

    async fn update(
        &self,
        remediation: &str,
        findings: &[&Channel],
        answer: &HubAnswer,
    ) -> Result<Vec<String>, Failure> {
        const OPERATION: &str = "securityhub:BatchUpdateFindings";
        let identifiers = findings.iter().filter_map(|channel| match channel {
            Channel::SecurityHub { finding, product_arn } => Some(
                AwsSecurityFindingIdentifier::builder()
                    .id(finding)
                    .product_arn(product_arn)
                    .build(),
            ),
            _ => None,
        });
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
            .set_finding_identifiers(Some(identifiers.collect()))
            .note(note)
            .workflow(WorkflowUpdate::builder().status(status).build())
            .send()
            .await
            .map_err(|error| classify(OPERATION, &error))?;
        let refused = told.unprocessed_findings().iter().map(|refused| {
            let finding = refused
                .finding_identifier()
                .and_then(|finding| finding.id())
                .unwrap_or_default();
            let (code, why) = (refused.error_code(), refused.error_message());
            format!(
                "{finding}: {} {}",
                code.unwrap_or("Unprocessed"),
                why.unwrap_or_default()
            )
        });
        Ok(refused.collect())
    }

    async fn update_v2(&self, findings: &[&Channel], answer: &HubAnswer) -> Result<Vec<String>, Failure> {
        const OPERATION: &str = "securityhub:BatchUpdateFindingsV2";
        let uids = findings.iter().filter_map(|channel| match channel {
            Channel::SecurityHubV2 { metadata_uid } => Some(metadata_uid.clone()),
            _ => None,
        });
        // OCSF: 2 in progress, 4 resolved.
        let told = self
            .hub
            .batch_update_findings_v2()
            .set_metadata_uids(Some(uids.collect()))
            .comment(&answer.note)
            .status_id(if answer.is_resolved { 4 } else { 2 })
            .send()
            .await
            .map_err(|error| classify(OPERATION, &error))?;
        let refused = told.unprocessed_findings().iter().map(|refused| {
            let code = refused.error_code().map_or("Unprocessed", |code| code.as_str());
            format!(
                "{}: {code} {}",
                refused.metadata_uid().unwrap_or_default(),
                refused.error_message().unwrap_or_default()
            )
        });
        Ok(refused.collect())
    }

    fn tell<'a>(&'a self, remediation: &'a str, update: &'a Told<'a>, known: &'a Mutex<Known>) -> BoxFuture<'a, ()> {
        async move {
            match self.tell_hub(remediation, update).await {
                Ok(refused) => {
                    for refused in &refused {
                        tracing::warn!(refused, "Security Hub did not take an answer");
                    }
                    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
                    known.findings.extend(update.findings.iter().copied().cloned());
                    known.taken += update.findings.len().saturating_sub(refused.len());
                }
                Err(failure) => tracing::warn!(failure = %failure, "Security Hub was not told"),
            }
        }
        .boxed()
    }

    fn notify<'a>(&'a self, remediation: &'a str, report: &'a Report, known: &'a Mutex<Known>) -> BoxFuture<'a, ()> {
        async move {
            if self.publish(&Notice::of(remediation, report)).await {
                let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
                known.notices.insert(report.record.clone());
            }
        }
        .boxed()
    }

    fn emit(&self, metrics: &Metrics) {
        let Some(namespace) = &self.namespace else { return };
        // CloudWatch reads a metric only from a line that is nothing but the JSON; the log's formatter would wrap it.
        if let Err(error) = writeln!(std::io::stdout().lock(), "{}", metrics.in_embedded_format(namespace)) {
            tracing::warn!(error = %error, "metrics not written");
        }
    }
}

/// What is known where it is to be.
#[derive(Default)]
struct Known {
    /// Findings about which Security Hub has answered, whether it took what it was told or not: it would answer the same again.
    findings: BTreeSet<Channel>,
    /// How many of them it took.
    taken: usize,
    notices: BTreeSet<RecordId>,
}

impl Reporter for AwsReporter {
    async fn report(&self, remediation: &'static str, reports: &[Report], gauges: &Gauges, within: Duration) -> Untold {
        self.emit(&measure(remediation, reports, gauges));
        let known = Mutex::<Known>::default();
        let answers = answers(remediation, reports);
        let asked: BTreeSet<&Channel> = answers.iter().map(|(channel, _)| *channel).collect();
        let updates = together(answers);
        // Spelled out: a closure that returns them is more than the compiler proves to be sendable.
        let mut calls: Vec<BoxFuture<'_, ()>> = Vec::new();
        for update in &updates {
            calls.push(self.tell(remediation, update, &known));
        }
        for report in reports.iter().filter(|report| report.notice) {
            calls.push(self.notify(remediation, report, &known));
        }
        let mut calling = stream::iter(calls).buffer_unordered(PARALLEL);
        // A storm of findings must not hold up the answer to the queue: what is done is done.
        let _ = tokio::time::timeout(within, async { while calling.next().await.is_some() {} }).await;
        drop(calling);
        let known = known.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (total, untold) = (asked.len(), asked.len().saturating_sub(known.taken));
        if untold > 0 {
            tracing::warn!(untold, total, "Security Hub was not told of every finding");
            #[expect(clippy::cast_precision_loss, reason = "a count of findings in one batch")]
            self.emit(&measure(
                remediation,
                &[],
                &Gauges(vec![("SecurityHubUntold", untold as f64)]),
            ));
        }
        let is_unanswered = |report: &&Report| {
            let mut findings = report.channels.iter().filter(|channel| asked.contains(channel));
            findings.any(|channel| !known.findings.contains(channel))
        };
        let is_untold = |report: &&Report| report.notice && !known.notices.contains(&report.record);
        let named = |report: &Report| report.record.clone();
        Untold {
            people: reports.iter().filter(is_untold).map(named).collect(),
            sources: reports.iter().filter(is_unanswered).map(named).collect(),
        }
    }
}

/// What Security Hub is told of one finding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct HubAnswer {
    /// With the records and what may be ordered.
    note: String,
    /// The same of all findings with these outcomes.
    brief: String,
    is_resolved: bool,
}

/// Findings of which the same is told.
struct Told<'a> {
    is_v2: bool,
    answer: HubAnswer,
    findings: Vec<&'a Channel>,
}

/// Puts together what is told the same, as many as one update takes.
fn together(mut answers: Vec<(&Channel, HubAnswer)>) -> Vec<Told<'_>> {
    if answers.len() > SINGLY {
        for (_, answer) in &mut answers {
            answer.note.clone_from(&answer.brief);
        }
    }
    let mut same: BTreeMap<(bool, HubAnswer), Vec<&Channel>> = BTreeMap::new();
    for (channel, answer) in answers {
        let is_v2 = matches!(channel, Channel::SecurityHubV2 { .. });
        same.entry((is_v2, answer)).or_default().push(channel);
    }
    let chunked = same.into_iter().flat_map(|((is_v2, answer), findings)| {
        let chunks: Vec<_> = findings.chunks(FINDINGS).map(<[_]>::to_vec).collect();
        chunks.into_iter().map(move |findings| Told {
            is_v2,
            answer: answer.clone(),
            findings,
        })
    });
    chunked.collect()
}

/// One answer per finding. A finding is resolved only if every one of its targets is; a dry run, a refusal and a failure that is not the
/// first say nothing there: an update is sent back to us as an event, which would then go round for ever.
fn answers<'a>(remediation: &str, reports: &'a [Report]) -> Vec<(&'a Channel, HubAnswer)> {
    let mut findings: BTreeMap<&Channel, Vec<&Report>> = BTreeMap::new();
    for report in reports {
        for channel in report.channels.iter().filter(|channel| **channel != Channel::Direct) {
            findings.entry(channel).or_default().push(report);
        }
    }
    let is_news = |report: &&&Report| match report.outcome {
        Outcome::WouldRemediate(_) | Outcome::Declined(_) => false,
        Outcome::Failed(_) => !report.repeated,
        _ => true,
    };
    findings
        .into_iter()
        .filter_map(|(channel, reports)| {
            let news: Vec<_> = reports.iter().filter(is_news).collect();
            if news.is_empty() {
                return None;
            }
            let is_done = |report: &Report| report.outcome.is_done() && !report.part;
            // The commands first: what does not fit is cut off.
            let commands: Vec<_> = news.iter().map(command).collect();
            let outcomes: Vec<_> = news.iter().map(|report| report.outcome.to_string()).collect();
            let note: String = format!("{remediation}: {}. {}", commands.join("; "), outcomes.join("; "))
                .chars()
                .take(NOTE)
                .collect();
            let names: BTreeSet<_> = news.iter().map(|report| report.outcome.name()).collect();
            let names: Vec<_> = names.into_iter().collect();
            let brief = format!(
                "{remediation}: {}. One of many findings at once. Its record: securecart ledger list --finding, with this finding's id. \
                 To undo, the custom action \"Undo remediation\"; to approve, \"Remediate\".",
                names.join(", ")
            );
            let is_resolved = reports.iter().all(|report| is_done(report));
            let answer = HubAnswer {
                note,
                brief,
                is_resolved,
            };
            Some((channel, answer))
        })
        .collect()
}

/// What may be done about it, with its record.
fn command(report: &&&Report) -> String {
    let record = &report.record;
    match &report.outcome {
        Outcome::Remediated(_) => format!("{{\"undo\": \"{record}\"}}"),
        Outcome::AwaitingApproval(_) | Outcome::Escalated(_) => format!("{{\"approve\": \"{record}\"}}"),
        _ => record.to_string(),
    }
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
        if matches!(&report.outcome, Outcome::AwaitingApproval(reason) if reason.code == Reason::BUDGET) {
            *values.entry("OverBudget").or_default() += 1.0;
        }
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
        let unit = |name: &str| match name {
            name if name.ends_with("Percent") => "Percent",
            SECONDS_TO_FIX => "Seconds",
            _ => "Count",
        };
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
                "CloudWatchMetrics": [{ "Namespace": namespace, "Dimensions": [["Function"], []], "Metrics": metrics }],
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
    use remediation::{
        Evidence,
        clock::Timestamp,
        finding::Severity,
        ids::{AccountId, FindingId, FindingVersion, RecordId, Region},
        ledger::ScopeKey,
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
        let scope = ScopeKey {
            account: "111122223333",
            remediation: "block-ip",
            scope: "set",
        };
        Report {
            record: RecordId::derive(scope, target, &id, &version),
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
            notice: false,
            repeated: false,
            part: false,
            image: None,
            outcome,
        }
    }

    fn reason() -> Reason {
        Reason::new("code", "text")
    }

    #[test]
    fn s31_a_finding_is_resolved_only_when_all_of_it_is() {
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
        let part = Report {
            part: true,
            ..done.clone()
        };
        assert_eq!(is_resolved(&[part]), [false]);
        assert_eq!(is_resolved(&[done, declined]), [false]);
    }

    #[test]
    fn a_storm_is_told_by_the_hundred() {
        let finding = |index: usize| Channel::SecurityHub {
            finding: format!("finding-{index}"),
            product_arn: "product".to_owned(),
        };
        let reports = |count: usize| -> Vec<Report> {
            let outcome = |index: usize| match index % 2 {
                0 => Outcome::Remediated(reason()),
                _ => Outcome::Escalated(reason()),
            };
            let one = |index| report(&format!("target-{index}"), &[finding(index)], outcome(index));
            (0..count).map(one).collect()
        };
        let sizes = |reports: &[Report]| -> Vec<(bool, usize)> {
            let told = together(answers("block-ip", reports));
            told.iter()
                .map(|told| (told.answer.is_resolved, told.findings.len()))
                .collect()
        };
        let few = reports(SINGLY);
        assert!(sizes(&few).iter().all(|(_, size)| *size == 1));
        let mut many = sizes(&reports(450));
        many.sort_unstable();
        assert_eq!(
            many,
            [
                (false, 25),
                (false, 100),
                (false, 100),
                (true, 25),
                (true, 100),
                (true, 100)
            ]
        );
    }

    #[test]
    fn s31_what_would_come_back_for_ever_is_not_told() {
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
        assert_eq!(directive.get("Dimensions"), Some(&json!([["Function"], []])));
        assert_eq!(
            directive.get("Metrics").and_then(Value::as_array).map(Vec::len),
            Some(3)
        );
    }
}
