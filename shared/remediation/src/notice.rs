//! What people are told: as text to read, and in the form that chat clients render.

use serde::Serialize;
use serde_json::{Value, json};

use crate::{outcome::Outcome, report::Report, settings::Exemption, text::one_line};

/// One notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// In a line of at most 100 ASCII characters, as SNS takes it for the subject of a mail.
    pub subject: String,
    /// For a mail.
    pub text: String,
    /// For chat: a custom notification of Amazon Q Developer in chat applications (formerly AWS Chatbot), version 1.0.
    pub chat: Value,
}

/// SNS takes subjects of up to 100 characters.
const SUBJECT: usize = 100;
/// Chat clients cut longer descriptions.
const DESCRIPTION: usize = 3_000;

impl Notice {
    /// Of what became of a target.
    #[must_use]
    pub fn of(remediation: &str, report: &Report) -> Self {
        let outcome = &report.outcome;
        let title = format!("{remediation}: {} {}", outcome.name(), report.target);
        let steps = next_steps(report);
        let evidence = &report.evidence;
        let about = [
            ("finding", evidence.kind.as_str()),
            ("severity", &evidence.severity.to_string()),
            ("account", evidence.account.as_str()),
            ("Region", evidence.region.as_str()),
            ("record", report.record.as_str()),
        ]
        .map(|(name, value)| (name, plain(value)));
        Self::new(
            &title,
            &outcome.why(),
            &about,
            &steps,
            outcome.name(),
            report.record.as_str(),
        )
    }

    /// That exemptions end soon.
    #[must_use]
    pub fn of_expiry(exemption: &Exemption) -> Self {
        let title = format!("Exemption of {} ends on {}", exemption.resource, exemption.expires);
        let why = format!(
            "After that day its findings are acted on again. It was made because: {}",
            exemption.reason
        );
        let about = [
            ("owner", plain(&exemption.owner)),
            ("control", plain(&exemption.control)),
            ("account", plain(exemption.place())),
        ];
        let steps = ["Let it end, or set another day in the settings: securecart settings put FILE".to_owned()];
        Self::new(&title, &why, &about, &steps, "ExemptionEnds", &exemption.resource)
    }

    fn new(title: &str, why: &str, about: &[(&str, String)], steps: &[String], kind: &str, thread: &str) -> Self {
        let (title, why) = (plain(title), plain(why));
        let lines: Vec<_> = about.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let listed: Vec<_> = steps.iter().map(|step| format!("- {step}")).collect();
        let text = format!(
            "{title}\n\n{why}\n\n{}\n\nNext:\n{}\n",
            lines.join("\n"),
            listed.join("\n")
        );
        let description: String = format!("{why}\n{}", lines.join("\n"))
            .chars()
            .take(DESCRIPTION)
            .collect();
        let context: serde_json::Map<_, _> = about
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Value::from(value.clone())))
            .collect();
        let chat = json!({
            "version": "1.0",
            "source": "custom",
            "content": { "textType": "client-markdown", "title": title, "description": description, "nextSteps": steps },
            "metadata": { "threadId": plain(thread), "summary": title, "eventType": kind, "additionalContext": context },
        });
        let subject = title.chars().map(|char| if char.is_ascii() { char } else { '?' });
        Self {
            subject: subject.take(SUBJECT).collect(),
            text,
            chat,
        }
    }
}

/// Names and reasons come from outside: what could end a line, or call people, does not.
fn plain(text: &str) -> String {
    one_line(text).replace("<!", "< !").replace('@', "(at)")
}

/// What is to be done by whoever reads it.
fn next_steps(report: &Report) -> Vec<String> {
    let record = &report.record;
    match &report.outcome {
        Outcome::AwaitingApproval(_) => vec![
            format!("Look at the plan: securecart ledger show {record}"),
            format!("Carry it out: securecart approve {record}"),
        ],
        Outcome::Remediated(_) => vec![
            format!("See what was changed: securecart ledger show {record}"),
            format!("Take it back: securecart undo {record}"),
        ],
        Outcome::Escalated(_) => vec![
            "Do by hand what is said above; nothing was changed.".to_owned(),
            format!("Have it looked at again afterwards: securecart approve {record}"),
        ],
        _ => vec![format!("See the record: securecart ledger show {record}")],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        clock::Timestamp,
        finding::{Channel, Evidence, Severity},
        ids::{AccountId, FindingId, FindingVersion, RecordId, Region},
        ledger::ScopeKey,
        outcome::Reason,
    };

    fn report(outcome: Outcome) -> Report {
        let (id, version) = (FindingId::new("finding"), FindingVersion::new("1"));
        let scope = ScopeKey {
            account: "111122223333",
            remediation: "block-ip",
            scope: "set",
        };
        Report {
            record: RecordId::derive(scope, "target", &id, &version),
            scope: "set".to_owned(),
            target: "198.51.100.7\nSubject: x é".to_owned(),
            evidence: Evidence {
                id,
                version,
                channel: Channel::Direct,
                kind: "Recon:EC2/Portscan".to_owned(),
                severity: Severity::High,
                account: AccountId::new("111122223333"),
                region: Region::new("eu-west-1"),
                observed_at: Timestamp::UNIX_EPOCH,
            },
            channels: BTreeSet::new(),
            notice: true,
            repeated: false,
            part: false,
            image: None,
            outcome,
        }
    }

    #[test]
    fn s33_a_notice_says_what_why_and_what_next() {
        let reason = Reason::new("code", "because of @channel <!here>");
        let notice = Notice::of("block-ip", &report(Outcome::AwaitingApproval(reason)));
        assert_eq!(notice.subject, "block-ip: AwaitingApproval 198.51.100.7 Subject: x ?");
        for part in [
            "because of (at)channel < !here> (code)",
            "account: 111122223333",
            "securecart approve block-ip-",
        ] {
            assert!(notice.text.contains(part), "{part} in {}", notice.text);
        }
        let content = |path: &str| notice.chat.pointer(path).cloned().unwrap_or_default();
        assert_eq!(
            (content("/version"), content("/source")),
            ("1.0".into(), "custom".into())
        );
        assert_eq!(content("/content/nextSteps").as_array().map(Vec::len), Some(2));
        assert!(
            content("/content/title")
                .as_str()
                .is_some_and(|title| !title.contains('\n'))
        );
    }

    #[test]
    fn s33_an_escalation_carries_the_step_that_its_reason_names() {
        let reason = Reason::new(
            "password-unused",
            "so a person has to: aws iam delete-login-profile --user-name x",
        );
        let notice = Notice::of("disable-access-key", &report(Outcome::Escalated(reason)));
        assert!(
            notice.text.contains("aws iam delete-login-profile --user-name x"),
            "{}",
            notice.text
        );
    }

    #[test]
    fn each_outcome_has_its_next_step() {
        let steps =
            |outcome: fn(Reason) -> Outcome| next_steps(&report(outcome(Reason::new("code", "text")))).join("\n");
        assert!(steps(Outcome::Remediated).contains("securecart undo block-ip-"));
        assert!(steps(Outcome::Escalated).contains("Do by hand"));
        assert!(steps(Outcome::Declined).contains("securecart ledger show block-ip-"));
        assert!(!steps(Outcome::Declined).contains("undo"));
    }
}
