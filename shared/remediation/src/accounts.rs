//! Which account a finding is dealt with in.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    ids::AccountId,
    intake::{Intake, Message},
};

/// The accounts that a deployment acts in: its own, and others that let it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accounts {
    /// Its own.
    pub home: AccountId,
    /// The others.
    pub members: BTreeSet<AccountId>,
}

impl Accounts {
    /// Where a finding about an account is dealt with: there, if that one may be acted in; else at home, where the engine
    /// declines what is about another account.
    #[must_use]
    pub fn of(&self, about: &AccountId) -> &AccountId {
        self.members.get(about).unwrap_or(&self.home)
    }

    /// An intake by the accounts that its findings are dealt with in.
    #[must_use]
    pub fn sort(&self, intake: Intake) -> BTreeMap<AccountId, Intake> {
        let findings = match intake {
            Intake::Findings(findings) => findings,
            declined @ Intake::Declined(_) => return BTreeMap::from([(self.home.clone(), declined)]),
        };
        let mut sorted = BTreeMap::<AccountId, Vec<_>>::new();
        for finding in findings {
            let account = self.of(&finding.evidence.account).clone();
            sorted.entry(account).or_default().push(finding);
        }
        let intake = |(account, findings)| (account, Intake::Findings(findings));
        sorted.into_iter().map(intake).collect()
    }

    /// Messages by the accounts that their findings are dealt with in. One with findings of several accounts is in each of
    /// them, under its id; one that cannot be read is at home.
    #[must_use]
    pub fn sort_messages(&self, messages: Vec<Message>) -> BTreeMap<AccountId, Vec<Message>> {
        let mut sorted = BTreeMap::<AccountId, Vec<Message>>::new();
        for Message { id, again, intake } in messages {
            let parts: BTreeMap<_, _> = match intake {
                Ok(intake) => self
                    .sort(intake)
                    .into_iter()
                    .map(|(account, part)| (account, Ok(part)))
                    .collect(),
                Err(error) => BTreeMap::from([(self.home.clone(), Err(error))]),
            };
            for (account, intake) in parts {
                sorted.entry(account).or_default().push(Message {
                    id: id.clone(),
                    again,
                    intake,
                });
            }
        }
        sorted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        intake::{Invocation, read},
        outcome::Reason,
    };

    fn batch() -> Vec<Message> {
        let finding = |account: &str| {
            serde_json::json!({
                "SchemaVersion": "2018-10-08", "Id": format!("finding-{account}"), "ProductArn": "arn:aws:securityhub:us-east-1::product/a/b",
                "AwsAccountId": account, "Region": "us-east-1", "GeneratorId": "g", "Types": ["Software and Configuration Checks"],
                "CreatedAt": "2026-11-01T00:00:00Z", "UpdatedAt": "2026-11-01T00:00:00Z", "Severity": { "Label": "LOW" }, "Title": "t",
                "Compliance": { "Status": "FAILED", "SecurityControlId": "IAM.3" }, "RecordState": "ACTIVE", "Workflow": { "Status": "NEW" },
                "Resources": [{ "Type": "AwsIamUser", "Id": format!("arn:aws:iam::{account}:user/a") }],
            })
        };
        let event = |accounts: &[&str]| {
            serde_json::json!({
                "source": "aws.securityhub", "detail-type": "Security Hub Findings - Custom Action", "account": "111111111111",
                "detail": { "actionName": "Remediate", "findings": accounts.iter().map(|account| finding(account)).collect::<Vec<_>>() },
            })
            .to_string()
        };
        let records = serde_json::json!({ "Records": [
            { "messageId": "several", "body": event(&["111111111111", "222222222222", "333333333333", "222222222222"]) },
            { "messageId": "member", "body": event(&["222222222222"]) },
            { "messageId": "unreadable", "body": "{" },
        ] });
        match read(&records.to_string()) {
            Ok(Invocation::Batch(messages)) => messages,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn s15_each_account_gets_its_own_findings_and_home_whatever_is_nobody_s() {
        let account = AccountId::new;
        let accounts = Accounts {
            home: account("111111111111"),
            members: BTreeSet::from([account("222222222222")]),
        };
        let sorted = accounts.sort_messages(batch());
        let told: Vec<_> = sorted
            .iter()
            .flat_map(|(account, messages)| messages.iter().map(move |message| (account, message)))
            .map(|(account, message)| {
                let about: Vec<_> = match &message.intake {
                    Ok(Intake::Findings(findings)) => {
                        findings.iter().map(|one| one.evidence.account.as_str()).collect()
                    }
                    _ => Vec::new(),
                };
                (account.as_str(), message.id.as_str(), about)
            })
            .collect();
        assert_eq!(
            told,
            [
                ("111111111111", "several", vec!["111111111111", "333333333333"]),
                ("111111111111", "unreadable", vec![]),
                ("222222222222", "several", vec!["222222222222", "222222222222"]),
                ("222222222222", "member", vec!["222222222222"]),
            ]
        );
        let declined = Intake::Declined(Reason::new("other-event", "none"));
        assert_eq!(
            accounts.sort(declined).into_keys().collect::<Vec<_>>(),
            [account("111111111111")]
        );
    }
}
