//! What a statement grants, in the terms of the rules that look for too much.

use super::{
    document::{Document, Statement},
    pattern::{includes, may_meet},
};

/// An action that must not be granted on every resource of its kind, such as `kms:Decrypt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocked(pub &'static str);

/// Whether a pattern of actions is all of them: `*`, `*:*`.
#[must_use]
pub fn is_everything(action: &str) -> bool {
    includes(&normal(action), "*:*")
}

/// Whether a resource pattern is all KMS keys of some account and Region, or more.
#[must_use]
pub fn is_all_keys(resource: &str) -> bool {
    let mut parts = resource.splitn(6, ':');
    let service = parts.by_ref().nth(2);
    match (service, parts.nth(2)) {
        (Some(service), Some(resource)) => may_meet(service, "kms") && includes(resource, "key/*"),
        // With fewer parts only a star at the end can stand for the rest.
        _ => may_meet(resource, "arn:aws:kms:us-east-1:111122223333:key/1") && resource.ends_with('*'),
    }
}

/// Actions in one spelling: their case does not count, and each has exactly one colon.
pub(super) fn normal(action: &str) -> String {
    if !action.is_empty() && action.bytes().all(|byte| byte == b'*') {
        return "*:*".to_owned();
    }
    action.to_ascii_lowercase()
}

impl Statement {
    /// Whether it allows every action on every resource, whatever its conditions: what IAM.1 looks for.
    #[must_use]
    pub fn grants_administration(&self) -> bool {
        self.is_allow() && self.is_on_everything() && self.list("Action").into_iter().any(is_everything)
    }

    /// Whether it allows every action of IAM on every resource, whatever its conditions: whoever has that can have everything.
    #[must_use]
    pub fn grants_iam(&self) -> bool {
        let is_iam = |action: &&str| includes(&normal(action), "iam:*");
        self.is_allow() && self.is_on_everything() && self.list("Action").iter().any(is_iam)
    }

    /// Whether it may allow as much: also all but some actions, and on all but some resources. What is excepted may be what counts.
    #[must_use]
    pub fn may_grant_iam(&self) -> bool {
        let is_iam = |action: &&str| includes(&normal(action), "iam:*");
        let is_on_iam = match self.field("NotAction") {
            Some(_) => !self.list("NotAction").iter().any(is_iam),
            None => self.list("Action").iter().any(is_iam),
        };
        self.is_allow() && is_on_iam && (self.is_on_everything() || self.field("NotResource").is_some())
    }

    /// The patterns among its actions that are all actions of a service: what IAM.21 looks for, on any resource.
    #[must_use]
    pub fn full_access(&self) -> Vec<&str> {
        let is_full = |action: &&str| {
            let action = normal(action);
            match action.split_once(':') {
                Some((_, name)) => includes(name, "*"),
                None => action.ends_with('*'),
            }
        };
        if self.is_allow() {
            self.list("Action").into_iter().filter(is_full).collect()
        } else {
            Vec::new()
        }
    }

    /// The patterns among its actions that may be one of these.
    #[must_use]
    pub fn blocked(&self, blocked: &[Blocked]) -> Vec<&str> {
        let is_blocked = |action: &&str| {
            let action = normal(action);
            blocked
                .iter()
                .any(|blocked| may_meet(&action, &blocked.0.to_ascii_lowercase()))
        };
        if self.is_allow() {
            self.list("Action").into_iter().filter(is_blocked).collect()
        } else {
            Vec::new()
        }
    }
}

impl Document {
    /// Whether it certainly makes whoever has it an administrator: everything allowed, without a condition, and nothing
    /// denied.
    #[must_use]
    pub fn makes_administrator(&self) -> bool {
        self.statements()
            .any(|one| one.grants_administration() && one.condition().is_none())
            && self.statements().all(|one| one.is_understood() && one.is_allow())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(statement: &Value) -> Statement {
        let document = Document::parse(&json!({ "Statement": statement }).to_string()).unwrap();
        let statement = document.statements().next().cloned();
        statement.unwrap()
    }

    #[test]
    fn administration() {
        for (action, resource, expected) in [
            (json!("*"), json!("*"), true),
            (json!(["s3:Get*", "*:*"]), json!(["arn:aws:s3:::x", "*"]), true),
            (json!("**"), json!("**"), true),
            (json!("*"), json!("arn:aws:s3:::*"), false),
            (json!("iam:*"), json!("*"), false),
            (json!("*:Get*"), json!("*"), false),
        ] {
            let statement = of(&json!({"Effect": "Allow", "Action": action, "Resource": resource}));
            assert_eq!(statement.grants_administration(), expected, "{}", statement.spelt());
        }
        assert!(!of(&json!({"Effect": "Deny", "Action": "*", "Resource": "*"})).grants_administration());
        assert!(!of(&json!({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"})).grants_administration());
    }

    #[test]
    fn full_access_to_a_service() {
        let statement = of(
            &json!({"Effect": "Allow", "Action": ["s3:*", "ec2:Describe*", "SQS:**", "sns*", "*", "kms:?*"], "Resource": "x"}),
        );
        assert_eq!(statement.full_access(), ["s3:*", "SQS:**", "sns*", "*"]);
    }

    #[test]
    fn blocked_actions() {
        let blocked = [Blocked("kms:Decrypt"), Blocked("kms:ReEncryptFrom")];
        let actions = [
            "KMS:decrypt",
            "kms:ReEncrypt*",
            "kms:D?crypt",
            "kms:Describe*",
            "*",
            "k*",
            "s3:*",
        ];
        let statement = of(&json!({"Effect": "Allow", "Action": actions, "Resource": "*"}));
        assert_eq!(
            statement.blocked(&blocked),
            ["KMS:decrypt", "kms:ReEncrypt*", "kms:D?crypt", "*", "k*"]
        );
    }

    #[test]
    fn all_keys() {
        for (resource, expected) in [
            ("*", true),
            ("arn:aws:kms:*:111122223333:key/*", true),
            ("arn:aws:kms:us-east-1:111122223333:key/*", true),
            ("arn:aws:kms:*:*:*", true),
            ("arn:aws:kms:*", true),
            ("arn:aws:*", true),
            ("arn:aws:s3:::*", false),
            ("arn:aws:s3*", false),
            ("arn:aws:kms:us-east-1:111122223333:key/1234", false),
            ("arn:aws:kms:us-east-1:111122223333:alias/*", false),
            ("arn:aws:kms:us-east-1:111122223333:key/${aws:PrincipalTag/key}", false),
        ] {
            assert_eq!(is_all_keys(resource), expected, "{resource}");
        }
    }

    fn document(statements: Value) -> Document {
        Document::parse(&json!({ "Statement": statements }).to_string()).unwrap()
    }

    #[test]
    fn keys_of_one_account_and_region_are_all_keys_there() {
        assert!(is_all_keys("arn:aws:kms:eu-west-1:999988887777:key/*"));
        assert!(!is_all_keys("arn:aws:kms:us-east-1:111122223333:key/1*"));
        assert!(!is_all_keys("arn:aws:s3:us-east-1:111122223333:key/*"));
    }

    #[test]
    fn whoever_has_all_of_iam_can_have_everything() {
        for (effect, action, resource, expected) in [
            ("Allow", "iam:*", "*", true),
            ("Allow", "*", "*", true),
            ("Deny", "iam:*", "*", false),
            ("Allow", "iam:Get*", "*", false),
            ("Allow", "iam:*", "arn:aws:iam::111122223333:user/a", false),
        ] {
            let one = document(json!([{"Effect": effect, "Action": action, "Resource": resource}]));
            assert!(
                one.statements()
                    .all(|one| one.grants_iam() == expected && one.may_grant_iam() == expected),
                "{action} on {resource}"
            );
        }
        for (actions, resources, expected) in [
            (("NotAction", json!("billing:*")), ("Resource", "*"), true),
            (
                ("NotAction", json!(["billing:*", "iam:Create*"])),
                ("Resource", "*"),
                true,
            ),
            (("NotAction", json!("IAM:*")), ("Resource", "*"), false),
            (("NotAction", json!("*")), ("Resource", "*"), false),
            (("NotAction", json!("billing:*")), ("Resource", "arn:aws:s3:::a"), false),
            (("Action", json!("iam:*")), ("NotResource", "arn:aws:s3:::a"), true),
        ] {
            let one = document(json!([{"Effect": "Allow", actions.0: actions.1, resources.0: resources.1}]));
            assert!(
                one.statements()
                    .all(|one| one.may_grant_iam() == expected && !one.grants_iam()),
                "{actions:?} on {resources:?}"
            );
        }
    }

    #[test]
    fn an_administrator_is_certain_only_without_conditions_and_refusals() {
        let all = json!({"Effect": "Allow", "Action": "*", "Resource": "*"});
        let read = json!({"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"});
        let mut bound = all.clone();
        bound["Condition"] = json!({"Bool": {"aws:MultiFactorAuthPresent": "true"}});
        let mut odd = read.clone();
        odd["Until"] = json!("2030");
        let deny = json!({"Effect": "Deny", "Action": "s3:*", "Resource": "*"});
        for (statements, expected) in [
            (json!([all]), true),
            (json!([read, all]), true),
            (json!([read]), false),
            (json!([bound]), false),
            (json!([all, deny]), false),
            (json!([all, odd]), false),
        ] {
            assert_eq!(
                document(statements.clone()).makes_administrator(),
                expected,
                "{statements}"
            );
        }
    }
}
