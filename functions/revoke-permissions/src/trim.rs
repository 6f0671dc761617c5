//! The smallest change of a policy that ends a violation.

use std::collections::BTreeMap;

use remediation::{
    finding::Grantee,
    policy::{Blocked, Document, Edit, Principal, Statement, Unreadable, includes, is_all_keys, is_everything},
};
use serde_json::{Map, Value, json};

use crate::identity::Demand;

/// What Config and Security Hub do not want granted on every key.
const BLOCKED: [Blocked; 2] = [Blocked("kms:Decrypt"), Blocked("kms:ReEncryptFrom")];

/// All that KMS has beside, by the first words of its actions, so that what is not blocked can be kept (Service Authorization
/// Reference, AWS Key Management Service).
const KMS: [&str; 28] = [
    "kms:Cancel*",
    "kms:Connect*",
    "kms:Create*",
    "kms:Delete*",
    "kms:Derive*",
    "kms:Describe*",
    "kms:Disable*",
    "kms:Disconnect*",
    "kms:Enable*",
    "kms:Encrypt",
    "kms:Generate*",
    "kms:Get*",
    "kms:Import*",
    "kms:List*",
    "kms:Put*",
    "kms:ReEncryptTo",
    "kms:Replicate*",
    "kms:Retire*",
    "kms:Revoke*",
    "kms:Rotate*",
    "kms:Schedule*",
    "kms:Sign",
    "kms:Synchronize*",
    "kms:Tag*",
    "kms:Untag*",
    "kms:Update*",
    "kms:Verify",
    "kms:VerifyMac",
];

/// What reading a service comes to, by the words that its actions begin with.
const READING: [&str; 4] = ["BatchGet*", "Describe*", "Get*", "List*"];

/// What everybody may do anyway: IAM asks for no permission (STS API reference, `GetCallerIdentity`).
const NOTHING: &str = "sts:GetCallerIdentity";

/// What full access to a service is trimmed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum FullAccess {
    /// To reading it.
    #[default]
    ReadOnly,
    /// To nothing.
    Remove,
    /// A person has to say what is needed.
    Escalate,
}

/// Which kind of policy it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Of an identity, and it can be taken away whole.
    Removable,
    /// Of an identity, and something has to stand in it.
    Versioned,
    /// A role's trust: something has to stand in it, and AWS does not take every form.
    Trust,
    /// A resource's.
    Resource,
}

/// What trimming comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trimmed {
    /// There is nothing to trim.
    Clean,
    /// The new text; `None`: no policy.
    To(Option<String>),
    /// A person has to: a word, and why.
    ByHand(&'static str, String),
}

/// Trims this policy. `own`: the ARN of the root of the account that it belongs to.
///
/// # Errors
/// When it is no policy.
pub fn trim(text: &str, demand: &Demand, form: Form, full: FullAccess, own: &str) -> Result<Trimmed, Unreadable> {
    let document = Document::parse(text)?;
    let mut edits = Edits::default();
    for (index, statement) in document.statements().enumerate() {
        let kept = match demand {
            Demand::Administration => administration(statement),
            Demand::FullAccess => full_access(statement, full),
            Demand::BlockedActions => blocked_actions(statement),
            Demand::Outsiders(outsiders) => without(statement, outsiders, own),
            // These are not about single statements.
            Demand::TheWhole | Demand::Unused(_) | Demand::UnusedRole => Kept::All,
        };
        edits.note(
            index,
            if statement.is_understood() {
                kept
            } else {
                kept.by_hand()
            },
        );
    }
    if let Some((index, code, why)) = edits.stuck {
        let name = document
            .statements()
            .nth(index)
            .map(|one| one.name(index))
            .unwrap_or_default();
        return Ok(Trimmed::ByHand(code, format!("the statement {name} {why}")));
    }
    if edits.statements.is_empty() {
        return Ok(Trimmed::Clean);
    }
    match (document.edit(&edits.statements)?, form) {
        (None, Form::Versioned | Form::Trust) => hollow(&document, form).map(|text| match text {
            Some(text) => Trimmed::To(Some(text)),
            None => Trimmed::ByHand(
                "nothing-left",
                "nothing of the policy would be left, and it has no statement that could be made to grant nothing"
                    .to_owned(),
            ),
        }),
        (text, _) => Ok(Trimmed::To(text)),
    }
}

#[derive(Default)]
struct Edits {
    statements: BTreeMap<usize, Edit>,
    stuck: Option<(usize, &'static str, String)>,
}

/// What of a statement may stay.
enum Kept {
    All,
    Nothing,
    /// All, with another value in this field.
    With(&'static str, Value),
    /// A person has to say.
    Unclear(&'static str, String),
}

impl Kept {
    /// Of a statement that may say more than is read here, no change can be shown to grant less.
    fn by_hand(self) -> Self {
        match self {
            Self::All => Self::All,
            _ => Self::Unclear(
                "not-understood",
                "says more than is understood: change it by hand".to_owned(),
            ),
        }
    }
}

impl Edits {
    fn note(&mut self, index: usize, kept: Kept) {
        let edit = match kept {
            Kept::All => return,
            Kept::Nothing => Edit::Drop,
            Kept::With(field, value) => Edit::Set(field, value),
            Kept::Unclear(code, why) => {
                self.stuck.get_or_insert((index, code, why));
                return;
            }
        };
        self.statements.insert(index, edit);
    }
}

/// A policy in which something has to stand, and that grants nothing.
fn hollow(document: &Document, form: Form) -> Result<Option<String>, Unreadable> {
    let field = if form == Form::Trust { "Effect" } else { "Action" };
    let Some(index) = document.statements().position(|one| one.field(field).is_some()) else {
        return Ok(None);
    };
    // A trust policy must be about assuming the role: what it allowed becomes a refusal of the same. Elsewhere a refusal would
    // reach over what other policies grant.
    let value = if form == Form::Trust {
        json!("Deny")
    } else {
        json!(NOTHING)
    };
    let all = (0..document.statements().count()).map(|index| (index, Edit::Drop));
    let mut edits: BTreeMap<usize, Edit> = all.collect();
    edits.insert(index, Edit::Set(field, value));
    document.edit(&edits)
}

fn administration(statement: &Statement) -> Kept {
    if !statement.grants_administration() {
        return Kept::All;
    }
    let actions: Vec<_> = statement
        .list("Action")
        .into_iter()
        .filter(|action| !is_everything(action))
        .collect();
    let resources: Vec<_> = statement
        .list("Resource")
        .into_iter()
        .filter(|resource| !includes(resource, "*"))
        .collect();
    if !actions.is_empty() {
        Kept::With("Action", json!(actions))
    } else if !resources.is_empty() {
        Kept::With("Resource", json!(resources))
    } else {
        Kept::Nothing
    }
}

fn full_access(statement: &Statement, full: FullAccess) -> Kept {
    let whole = statement.full_access();
    let is_open = statement.is_allow() && statement.field("NotAction").is_some();
    if whole.is_empty() && !is_open {
        return Kept::All;
    }
    if full == FullAccess::Escalate {
        let what = if is_open {
            "allows all but a list".to_owned()
        } else {
            format!("allows {}", whole.join(", "))
        };
        return Kept::Unclear(
            "full-access",
            format!("{what}: put the actions in its place that are needed"),
        );
    }
    let reading = |action: &str| -> Vec<String> {
        match action.split_once(':') {
            Some((service, _)) if full == FullAccess::ReadOnly && !service.contains(['*', '?']) => {
                READING.iter().map(|verb| format!("{service}:{verb}")).collect()
            }
            _ => Vec::new(),
        }
    };
    let actions: Vec<String> = statement
        .list("Action")
        .into_iter()
        .flat_map(|action| {
            if whole.contains(&action) {
                reading(action)
            } else {
                vec![action.to_owned()]
            }
        })
        .collect();
    if actions.is_empty() {
        Kept::Nothing
    } else {
        Kept::With("Action", json!(actions))
    }
}

fn blocked_actions(statement: &Statement) -> Kept {
    let is_on_all_keys =
        statement.field("NotResource").is_some() || statement.list("Resource").into_iter().any(is_all_keys);
    if !statement.is_allow() || !is_on_all_keys {
        return Kept::All;
    }
    if statement.field("NotAction").is_some() {
        let open: Vec<_> = BLOCKED
            .iter()
            .filter(|action| statement.covers(action.0))
            .map(|action| action.0)
            .collect();
        if open.is_empty() {
            return Kept::All;
        }
        let mut excluded = statement.list("NotAction");
        excluded.extend(open);
        return Kept::With("NotAction", json!(excluded));
    }
    let blocked = statement.blocked(&BLOCKED);
    if blocked.is_empty() {
        return Kept::All;
    }
    if let Some(wide) = blocked
        .iter()
        .find(|action| !includes("kms:*", &action.to_ascii_lowercase()))
    {
        let why = format!("allows {wide}, which is more than KMS: trim that first (IAM.1, IAM.21)");
        return Kept::Unclear("more-than-kms", why);
    }
    let rest = |action: &str| -> Vec<String> {
        let is_in = |kept: &&&str| includes(&action.to_ascii_lowercase(), &kept.to_ascii_lowercase());
        KMS.iter().filter(is_in).map(|kept| (*kept).to_owned()).collect()
    };
    let actions: Vec<String> = statement
        .list("Action")
        .into_iter()
        .flat_map(|action| {
            if blocked.contains(&action) {
                rest(action)
            } else {
                vec![action.to_owned()]
            }
        })
        .collect();
    if actions.is_empty() {
        Kept::Nothing
    } else {
        Kept::With("Action", json!(actions))
    }
}

/// The statement without these principals. `own`: the ARN of the account's root, as services write the account.
fn without(statement: &Statement, outsiders: &[Grantee], own: &str) -> Kept {
    let account = own.split(':').nth(4).unwrap_or_default();
    if !statement.is_allow() {
        return Kept::All;
    }
    if statement.field("NotPrincipal").is_some() {
        return Kept::Unclear(
            "all-but-some",
            "allows everybody but a list: write down whom it is for".to_owned(),
        );
    }
    let is_public = outsiders.iter().any(|outsider| outsider.id == "*");
    let anyone = statement.principals().contains(&Principal::Anyone);
    if anyone && statement.is_kept_to(account) {
        return Kept::All;
    }
    if anyone && (!is_public || statement.condition().is_some()) {
        let why =
            "allows everybody, within conditions: take the outsider out of the conditions, or name whom it is for";
        return Kept::Unclear("open-by-condition", why.to_owned());
    }
    // Everybody becomes everybody of this account.
    let narrowed = |kind: &str, text: &str| -> Option<String> {
        let is_everybody = Principal::new(kind, text) == Principal::Anyone;
        if is_public && is_everybody {
            return Some(own.to_owned());
        }
        let is_meant = outsiders.iter().any(|outsider| is_same(outsider, kind, text));
        (!is_meant).then(|| text.to_owned())
    };
    match statement.field("Principal") {
        Some(Value::String(text)) if text == "*" => Kept::With("Principal", json!({ "AWS": own })),
        Some(Value::Object(kinds)) => {
            let mut left = Map::new();
            let mut changed = false;
            for (kind, named) in kinds {
                let listed = remediation::policy::texts(named);
                let kept: Vec<String> = listed.iter().filter_map(|text| narrowed(kind, text)).collect();
                if kept.iter().map(String::as_str).eq(listed.iter().copied()) {
                    left.insert(kind.clone(), named.clone());
                    continue;
                }
                changed = true;
                match kept.as_slice() {
                    [] => {}
                    [one] => drop(left.insert(kind.clone(), json!(one))),
                    more => drop(left.insert(kind.clone(), json!(more))),
                }
            }
            if !changed {
                Kept::All
            } else if left.is_empty() {
                Kept::Nothing
            } else {
                Kept::With("Principal", Value::Object(left))
            }
        }
        _ => Kept::All,
    }
}

/// Whether an entry of `Principal` is who the finding means. An account is written as its number or as the ARN of its root.
fn is_same(outsider: &Grantee, kind: &str, text: &str) -> bool {
    if outsider.id == text && outsider.kind == kind {
        return true;
    }
    let account = |text: &str| match Principal::new("AWS", text) {
        Principal::Aws {
            account: Some(account),
            text,
        } if text == account || text.ends_with(":root") => Some(account),
        _ => None,
    };
    outsider.kind == "AWS" && kind == "AWS" && account(text).is_some() && account(text) == account(&outsider.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "arn:aws:iam::111122223333:root";

    fn allow(actions: &Value, resources: &Value) -> Value {
        json!({"Effect": "Allow", "Action": actions, "Resource": resources})
    }

    /// The statements after trimming; `None`: nothing is to be trimmed.
    fn trimmed(demand: &Demand, form: Form, statements: &Value) -> Option<Value> {
        let policy = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
        match trim(&policy, demand, form, FullAccess::ReadOnly, OWN).unwrap() {
            Trimmed::Clean => None,
            Trimmed::To(text) => {
                remediation::policy::Narrowed::prove(Some(&policy), text.as_deref()).unwrap();
                Some(text.map_or(Value::Null, |text| {
                    serde_json::from_str::<Value>(&text).unwrap()["Statement"].clone()
                }))
            }
            Trimmed::ByHand(code, _) => Some(json!(code)),
        }
    }

    fn outsiders(list: &[(&str, &str)]) -> Demand {
        let each = list.iter().map(|(kind, id)| Grantee {
            kind: (*kind).to_owned(),
            id: (*id).to_owned(),
        });
        Demand::Outsiders(each.collect())
    }

    #[test]
    fn administration_goes_and_the_rest_stays() {
        let (all, read) = (json!("*"), allow(&json!("s3:Get*"), &json!("*")));
        let admin = allow(&all, &all);
        let demand = Demand::Administration;
        assert_eq!(
            trimmed(&demand, Form::Versioned, &json!([admin, read])),
            Some(json!([read]))
        );
        assert_eq!(trimmed(&demand, Form::Versioned, &json!([read])), None);
        assert_eq!(
            trimmed(&demand, Form::Versioned, &json!([admin, admin])),
            Some(json!([allow(&json!(NOTHING), &all)]))
        );
        assert_eq!(
            trimmed(&demand, Form::Versioned, &admin),
            Some(allow(&json!(NOTHING), &all))
        );
        assert_eq!(trimmed(&demand, Form::Removable, &json!([admin])), Some(Value::Null));
        assert_eq!(
            trimmed(&demand, Form::Removable, &allow(&json!(["*", "s3:Get*"]), &all)),
            Some(allow(&json!(["s3:Get*"]), &all))
        );
        assert_eq!(
            trimmed(&demand, Form::Removable, &allow(&all, &json!(["*", "arn:aws:s3:::a"]))),
            Some(allow(&all, &json!(["arn:aws:s3:::a"])))
        );
    }

    #[test]
    fn a_statement_that_is_not_understood_is_for_a_person() {
        let more = |statement: &Value, field: &str, value: &Value| {
            let mut statement = statement.clone();
            statement[field] = value.clone();
            json!([statement])
        };
        let (all, read) = (allow(&json!("*"), &json!("*")), allow(&json!("s3:Get*"), &json!("*")));
        let decrypt = allow(&json!(["kms:Decrypt", "s3:Get*"]), &json!("*"));
        for (demand, statements) in [
            (Demand::Administration, more(&all, "Until", &json!("2030"))),
            (Demand::FullAccess, more(&read, "NotAction", &json!("iam:*"))),
            // Each trimming would have made the list longer.
            (Demand::BlockedActions, more(&decrypt, "NotAction", &json!("iam:*"))),
        ] {
            let by_hand = Some(json!("not-understood"));
            assert_eq!(trimmed(&demand, Form::Versioned, &statements), by_hand, "{statements}");
        }
        let odd = more(&read, "Until", &json!("2030"));
        assert_eq!(trimmed(&Demand::FullAccess, Form::Versioned, &odd), None);
    }

    #[test]
    fn full_access_becomes_reading() {
        let some = json!("arn:aws:s3:::a/*");
        let demand = Demand::FullAccess;
        assert_eq!(
            trimmed(
                &demand,
                Form::Versioned,
                &allow(&json!(["sqs:SendMessage", "s3:*"]), &some)
            ),
            Some(allow(
                &json!(["sqs:SendMessage", "s3:BatchGet*", "s3:Describe*", "s3:Get*", "s3:List*"]),
                &some
            ))
        );
        assert_eq!(
            trimmed(&demand, Form::Versioned, &allow(&json!(["ec2:Describe*"]), &some)),
            None
        );
        assert_eq!(
            trimmed(
                &demand,
                Form::Versioned,
                &json!([allow(&json!("*"), &some), allow(&json!("sns:Publish"), &some)])
            ),
            Some(json!([allow(&json!("sns:Publish"), &some)]))
        );
        let but = json!({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"});
        assert_eq!(
            trimmed(&demand, Form::Versioned, &json!([but])),
            Some(json!("nothing-left"))
        );
        assert_eq!(
            trimmed(
                &demand,
                Form::Versioned,
                &json!([but, allow(&json!("sns:Publish"), &some)])
            ),
            Some(json!([allow(&json!("sns:Publish"), &some)]))
        );
    }

    #[test]
    fn s78_the_other_actions_of_kms_stay() {
        let (all, demand) = (json!("*"), Demand::BlockedActions);
        assert_eq!(
            trimmed(
                &demand,
                Form::Removable,
                &allow(&json!(["kms:Decrypt", "kms:Encrypt"]), &all)
            ),
            Some(allow(&json!(["kms:Encrypt"]), &all))
        );
        assert_eq!(
            trimmed(&demand, Form::Removable, &allow(&json!("kms:ReEncrypt*"), &all)),
            Some(allow(&json!(["kms:ReEncryptTo"]), &all))
        );
        assert_eq!(
            trimmed(&demand, Form::Removable, &allow(&json!("KMS:De*"), &all)),
            Some(allow(&json!(["kms:Delete*", "kms:Derive*", "kms:Describe*"]), &all))
        );
        let whole = trimmed(&demand, Form::Removable, &allow(&json!("kms:*"), &all)).unwrap();
        assert_eq!(whole["Action"], json!(KMS));
        assert_eq!(
            trimmed(
                &demand,
                Form::Removable,
                &allow(
                    &json!("kms:Decrypt"),
                    &json!("arn:aws:kms:eu-west-1:111122223333:key/1")
                )
            ),
            None
        );
        assert_eq!(
            trimmed(&demand, Form::Removable, &allow(&all, &all)),
            Some(json!("more-than-kms"))
        );
        let but = json!({"Effect": "Allow", "NotAction": ["iam:*"], "Resource": "*"});
        let more =
            json!({"Effect": "Allow", "NotAction": ["iam:*", "kms:Decrypt", "kms:ReEncryptFrom"], "Resource": "*"});
        assert_eq!(trimmed(&demand, Form::Removable, &but), Some(more.clone()));
        assert_eq!(trimmed(&demand, Form::Removable, &more), None);
        assert!(KMS.iter().all(|kept| {
            BLOCKED
                .iter()
                .all(|blocked| !remediation::policy::may_meet(kept, blocked.0))
        }));
    }

    #[test]
    fn an_outsider_goes_and_the_others_stay() {
        let trust =
            |principal: &Value| json!([{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}]);
        let partner = outsiders(&[("AWS", "999988887777")]);
        let cut = |before: &Value| trimmed(&partner, Form::Trust, &trust(before));
        assert_eq!(
            cut(&json!({"AWS": ["arn:aws:iam::999988887777:root", OWN], "Service": "ec2.amazonaws.com"})),
            Some(trust(&json!({"AWS": OWN, "Service": "ec2.amazonaws.com"})))
        );
        assert_eq!(
            cut(&json!({"AWS": "999988887777", "Service": "ec2.amazonaws.com"})),
            Some(trust(&json!({"Service": "ec2.amazonaws.com"})))
        );
        assert_eq!(cut(&json!({"AWS": "arn:aws:iam::999988887777:role/x"})), None);
        let refused = json!([{"Effect": "Deny", "Principal": {"AWS": "999988887777"}, "Action": "sts:AssumeRole"}]);
        assert_eq!(cut(&json!({"AWS": "999988887777"})), Some(refused.clone()));
        assert_eq!(trimmed(&partner, Form::Trust, &refused), None);
        assert_eq!(
            trimmed(&partner, Form::Resource, &trust(&json!({"AWS": "999988887777"}))),
            Some(Value::Null)
        );
        assert_eq!(cut(&json!("*")), Some(json!("open-by-condition")));
        let role = outsiders(&[("AWS", "arn:aws:iam::999988887777:role/x")]);
        assert_eq!(
            trimmed(&role, Form::Trust, &trust(&json!({"AWS": "999988887777"}))),
            None
        );
    }

    #[test]
    fn what_is_open_to_everybody_is_kept_to_the_account() {
        let read = |principal: &Value| json!([{"Effect": "Allow", "Principal": principal, "Action": "s3:GetObject", "Resource": "*"}]);
        let public = outsiders(&[("AWS", "*")]);
        let own = read(&json!({"AWS": OWN}));
        assert_eq!(trimmed(&public, Form::Resource, &read(&json!("*"))), Some(own.clone()));
        assert_eq!(
            trimmed(&public, Form::Resource, &read(&json!({"AWS": ["*"]}))),
            Some(own.clone())
        );
        assert_eq!(trimmed(&public, Form::Resource, &own), None);
        let mut kept = read(&json!("*"));
        kept[0]["Condition"] = json!({"StringEquals": {"aws:PrincipalAccount": "111122223333"}});
        assert_eq!(trimmed(&public, Form::Resource, &kept), None);
        kept[0]["Condition"] = json!({"StringEquals": {"aws:PrincipalOrgID": "o-1"}});
        assert_eq!(
            trimmed(&public, Form::Resource, &kept),
            Some(json!("open-by-condition"))
        );
        let but = json!([{"Effect": "Allow", "NotPrincipal": {"AWS": OWN}, "Action": "s3:GetObject", "Resource": "*"}]);
        assert_eq!(trimmed(&public, Form::Resource, &but), Some(json!("all-but-some")));
    }
}
