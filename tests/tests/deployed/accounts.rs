//! Several accounts: the real binary at home, its role in each member account, trust and permissions enforced by the local cloud.

use std::collections::BTreeMap;

use chrono::{Duration, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::stack::{Stack, outcomes};

const HOME: &str = local_cloud::ACCOUNT;
const MEMBER: &str = "222233334444";
/// Named as a member, without a role there.
const WITHOUT_ROLE: &str = "555566667777";
/// It has the roles, and is no member.
const STRANGER: &str = "888899990000";
const ACCOUNTS: [&str; 4] = [HOME, MEMBER, WITHOUT_ROLE, STRANGER];
const STACK: &str = "central";
const EXTERNAL_ID: &str = "securecart-0001";

struct Organisation {
    stack: Stack,
}

impl Organisation {
    fn ask(&self, account: &str, operation: &'static str, parameters: Value) -> Value {
        let answers = self.stack.cloud.boto3_in(account, &[("iam", operation, parameters)]);
        answers.unwrap().remove(0).unwrap()
    }

    /// A user of the same name in every account, with one stale key of its own.
    fn seed(&self, account: &str) {
        self.ask(
            account,
            "create_user",
            json!({ "UserName": "checkout-deploy", "Path": "/deploy/" }),
        );
        let ago = |days| (Utc::now() - Duration::days(days)).to_rfc3339_opts(SecondsFormat::Secs, true);
        let key = json!({ "id": key(account), "created": ago(400), "last_used": ago(100) });
        let user = json!({ "name": "checkout-deploy", "id": format!("AIDA2EX{account}A"), "keys": [key] });
        self.stack
            .cloud
            .set_identities(&json!({ "account": account, "users": [user] }))
            .unwrap();
    }

    /// All that IAM has in every account.
    fn accounts(&self) -> BTreeMap<&'static str, Value> {
        let calls = [
            ("iam", "get_account_authorization_details", json!({})),
            ("iam", "list_access_keys", json!({ "UserName": "checkout-deploy" })),
        ];
        let state = |account: &'static str| {
            let answers = self.stack.cloud.boto3_in(account, &calls).unwrap();
            (account, answers.into_iter().map(Result::unwrap).collect())
        };
        ACCOUNTS.into_iter().map(state).collect()
    }

    fn is_active(&self, account: &str) -> bool {
        let keys = self.ask(account, "list_access_keys", json!({ "UserName": "checkout-deploy" }));
        assert_eq!(keys["AccessKeyMetadata"].as_array().unwrap().len(), 1);
        keys["AccessKeyMetadata"][0]["Status"] == "Active"
    }

    /// IAM.3 about the user of an account, as the administrator's Security Hub sends it.
    fn finding(&self, account: &str) -> Value {
        let mut event = self.stack.sample("securityhub-iam3");
        let finding = event["detail"]["findings"][0].to_string().replace(HOME, account);
        let finding = finding.replace("AIDA2EXAMPLECHECKOUT0", &format!("AIDA2EX{account}A"));
        event["detail"]["findings"][0] = serde_json::from_str(&finding).unwrap();
        event
    }
}

fn key(account: &str) -> String {
    format!("AKIA2EX{account}A")
}

/// The accounts whose state is another one.
fn changed(before: &BTreeMap<&'static str, Value>, after: &BTreeMap<&'static str, Value>) -> Vec<&'static str> {
    let differs = |(account, state): (&&'static str, &Value)| (after[*account] != *state).then_some(*account);
    before.iter().filter_map(differs).collect()
}

/// One test, in order: the stacks are deployed once.
#[test]
fn s15_the_finding_s_account_is_acted_in_and_no_other() {
    let members = format!("{MEMBER},{WITHOUT_ROLE}");
    let parameters = [("MemberAccounts", members.as_str()), ("MemberExternalId", EXTERNAL_ID)];
    let organisation = Organisation {
        stack: Stack::deploy_with("disable-access-key", STACK, &json!({}), &parameters),
    };
    organisation.stack.join(MEMBER, EXTERNAL_ID);
    organisation.stack.join(STRANGER, EXTERNAL_ID);
    for account in ACCOUNTS {
        organisation.seed(account);
    }

    another_external_id_opens_nothing(&organisation);
    let record = a_member_s_key_is_disabled_there_alone(&organisation);
    an_account_that_is_no_member_is_declined(&organisation);
    a_member_without_the_role_keeps_nobody_else_waiting(&organisation);
    where_we_act_no_more_nothing_is_undone_or_approved(&organisation, &record);
    it_is_undone_there(&organisation, &record);
    one_event_about_several_accounts_is_dealt_with_in_each(&organisation);
}

fn a_member_s_key_is_disabled_there_alone(organisation: &Organisation) -> String {
    let before = organisation.accounts();
    let explained = organisation
        .stack
        .call(&json!({ "explain": organisation.finding(MEMBER) }))
        .unwrap();
    assert_eq!(outcomes(&explained)[0].0, "WouldRemediate", "{explained}");
    assert_eq!(changed(&before, &organisation.accounts()), Vec::<&str>::new());

    let answer = organisation.stack.call(&organisation.finding(MEMBER)).unwrap();
    let (outcome, record) = outcomes(&answer).remove(0);
    assert_eq!(outcome, "Remediated", "{answer}");
    assert_eq!(changed(&before, &organisation.accounts()), [MEMBER]);
    assert!(!organisation.is_active(MEMBER));

    let key = json!({ "pk": { "S": format!("record#{record}") }, "sk": { "S": "record" } });
    let get = json!({ "TableName": organisation.stack.deployment.outputs["LedgerTableName"], "Key": key });
    let item = organisation.stack.boto3(&[("dynamodb", "get_item", get)]).remove(0);
    let stored: Value = serde_json::from_str(item["Item"]["body"]["S"].as_str().unwrap()).unwrap();
    let role = format!("arn:aws:iam::{MEMBER}:role/securecart-remediation/securecart-disable-access-key");
    assert_eq!((&stored["account"], &stored["actor"]), (&json!(MEMBER), &json!(role)));
    record
}

fn an_account_that_is_no_member_is_declined(organisation: &Organisation) {
    let before = organisation.accounts();
    let answer = organisation.stack.call(&organisation.finding(STRANGER)).unwrap();
    assert_eq!(outcomes(&answer)[0].0, "Declined", "{answer}");
    assert!(
        answer.to_string().contains("none that this deployment acts in"),
        "{answer}"
    );
    assert_eq!(changed(&before, &organisation.accounts()), Vec::<&str>::new());
}

fn a_member_without_the_role_keeps_nobody_else_waiting(organisation: &Organisation) {
    let before = organisation.accounts();
    let message = |account| json!({ "messageId": account, "body": organisation.finding(account).to_string() });
    let batch = json!({ "Records": [message(WITHOUT_ROLE), message(HOME), message(STRANGER)] });
    let answer = organisation.stack.call(&batch).unwrap();
    assert_eq!(answer["batchItemFailures"], json!([{ "itemIdentifier": WITHOUT_ROLE }]));
    assert_eq!(changed(&before, &organisation.accounts()), [HOME]);
    let refused = organisation
        .stack
        .call(&organisation.finding(WITHOUT_ROLE))
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("sts:AssumeRole") && refused.contains(WITHOUT_ROLE),
        "{refused}"
    );
}

/// A record of an account that has left, or has never been a member.
fn where_we_act_no_more_nothing_is_undone_or_approved(organisation: &Organisation, record: &str) {
    let before = organisation.accounts();
    let table = &organisation.stack.deployment.outputs["LedgerTableName"];
    let key = json!({ "pk": { "S": format!("record#{record}") }, "sk": { "S": "record" } });
    let get = json!({ "TableName": table, "Key": key });
    let item = organisation.stack.boto3(&[("dynamodb", "get_item", get)]).remove(0)["Item"].take();
    let put = |item: &Value| {
        let put = json!({ "TableName": table, "Item": item });
        organisation.stack.boto3(&[("dynamodb", "put_item", put)]);
    };
    let mut body: Value = serde_json::from_str(item["body"]["S"].as_str().unwrap()).unwrap();
    assert_eq!(body["account"], MEMBER);
    body["account"] = json!(STRANGER);
    let mut of_a_stranger = item.clone();
    of_a_stranger["body"]["S"] = json!(body.to_string());
    put(&of_a_stranger);
    for order in ["undo", "approve"] {
        let refused = organisation
            .stack
            .call(&json!({ order: record, "by": "ann" }))
            .unwrap_err();
        let refused = refused.to_string();
        assert!(
            refused.contains(&format!(
                "account {STRANGER}, which is none that this deployment acts in"
            )),
            "{order}: {refused}"
        );
    }
    put(&item);
    assert_eq!(changed(&before, &organisation.accounts()), Vec::<&str>::new());
}

fn it_is_undone_there(organisation: &Organisation, record: &str) {
    let before = organisation.accounts();
    let undone = organisation
        .stack
        .call(&json!({ "undo": record, "by": "ann" }))
        .unwrap();
    assert_eq!(outcomes(&undone)[0].0, "Undone", "{undone}");
    assert_eq!(changed(&before, &organisation.accounts()), [MEMBER]);
    assert!(organisation.is_active(MEMBER));
}

fn one_event_about_several_accounts_is_dealt_with_in_each(organisation: &Organisation) {
    let before = organisation.accounts();
    let mut event = organisation.finding(MEMBER);
    let others = [HOME, STRANGER].map(|account| organisation.finding(account)["detail"]["findings"][0].take());
    event["detail"]["findings"].as_array_mut().unwrap().extend(others);
    event["detail-type"] = json!("Security Hub Findings - Custom Action");
    event["detail"]["actionName"] = json!("Undo remediation");
    let answer = organisation.stack.call(&event).unwrap();
    assert_eq!(
        outcomes(&answer)
            .iter()
            .filter(|(outcome, _)| outcome == "Undone")
            .count(),
        1,
        "{answer}"
    );
    // What was done at home is undone; what was done in the member's had been before.
    assert_eq!(changed(&before, &organisation.accounts()), [HOME]);
    assert!(organisation.is_active(HOME));
}

/// A role that asks for another word than ours is not assumed.
fn another_external_id_opens_nothing(organisation: &Organisation) {
    let before = organisation.accounts();
    let role = "securecart-disable-access-key";
    let trust =
        organisation.ask(MEMBER, "get_role", json!({ "RoleName": role }))["Role"]["AssumeRolePolicyDocument"].take();
    let set = |trust: &str| {
        let update = json!({ "RoleName": role, "PolicyDocument": trust });
        organisation.ask(MEMBER, "update_assume_role_policy", update);
    };
    set(&trust.to_string().replace(EXTERNAL_ID, "another-word-than-ours"));
    let refused = organisation
        .stack
        .call(&organisation.finding(MEMBER))
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("sts:AssumeRole") && refused.contains("AccessDenied"),
        "{refused}"
    );
    set(&trust.to_string());
    assert_eq!(changed(&before, &organisation.accounts()), Vec::<&str>::new());
}
