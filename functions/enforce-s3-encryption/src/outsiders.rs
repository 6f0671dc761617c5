//! Bucket and key policies, read as far as is needed to know who else depends on them. What cannot be told for certain is
//! taken for the worse.

use remediation::policy::{Document, Principal, Unreadable, texts};

/// Somebody outside the account, or an AWS service, that a bucket policy lets in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Outsider {
    pub(crate) who: Principal,
    pub(crate) reads: bool,
    pub(crate) writes: bool,
}

/// Who is let in to read or write objects, beside the account itself.
pub(crate) fn outsiders(policy: &str, account: &str) -> Result<Vec<Outsider>, Unreadable> {
    let document = Document::parse(policy)?;
    let mut outsiders: Vec<Outsider> = Vec::new();
    for statement in document.statements().filter(|one| one.is_allow()) {
        let reads = statement.covers("s3:GetObject") || statement.covers("s3:GetObjectVersion");
        let writes = statement.covers("s3:PutObject") || statement.covers("s3:ReplicateObject");
        if !reads && !writes {
            continue;
        }
        for who in statement.principals() {
            let is_inside = match &who {
                Principal::Aws { account: Some(of), .. } => of == account,
                Principal::Service(_) => false,
                Principal::Anyone | Principal::Aws { .. } | Principal::Other(..) => statement.is_kept_to(account),
            };
            if !is_inside {
                outsiders.push(Outsider { who, reads, writes });
            }
        }
    }
    outsiders.sort();
    outsiders.dedup();
    Ok(outsiders)
}

/// Whether a key policy certainly lets this outsider do what it does with the bucket. Who uploads in parts needs
/// `kms:Decrypt`, too. A principal of another account needs its own account's word as well, which nobody can see from here.
pub(crate) fn key_admits(key_policy: &str, outsider: &Outsider) -> bool {
    let (Ok(document), Principal::Service(_)) = (Document::parse(key_policy), &outsider.who) else {
        return false;
    };
    let may = |action: &str| {
        let allows = document.statements().any(|statement| {
            statement.is_allow()
                && statement.condition().is_none()
                && statement.field("NotPrincipal").is_none()
                && statement
                    .field("Resource")
                    .map(texts)
                    .unwrap_or_default()
                    .contains(&"*")
                && statement.covers(action)
                && statement.principals().contains(&outsider.who)
        });
        allows
            && !document
                .statements()
                .any(|statement| statement.is_deny() && statement.covers(action))
    };
    may("kms:Decrypt") && (!outsider.writes || may("kms:GenerateDataKey"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(policy: &str) -> Vec<String> {
        let found = outsiders(policy, "111122223333").unwrap();
        found
            .iter()
            .map(|outsider| {
                format!(
                    "{} {}{}",
                    outsider.who.name(),
                    u8::from(outsider.reads),
                    u8::from(outsider.writes)
                )
            })
            .collect()
    }

    fn allow(principal: &str, action: &str, condition: &str) -> String {
        format!(
            r#"{{"Statement":{{"Effect":"Allow","Principal":{principal},"Action":{action},"Resource":"*","Condition":{condition}}}}}"#
        )
    }

    #[test]
    fn who_comes_from_outside() {
        let read = r#""s3:GetObject""#;
        let none: Vec<String> = Vec::new();
        assert_eq!(
            who(&allow(r#"{"AWS":"arn:aws:iam::111122223333:role/x"}"#, read, "{}")),
            none
        );
        assert_eq!(who(&allow(r#"{"AWS":"111122223333"}"#, read, "{}")), none);
        assert_eq!(
            who(&allow(r#"{"AWS":["444455556666"]}"#, read, "{}")),
            ["444455556666 10"]
        );
        assert_eq!(who(&allow(r#""*""#, r#"["s3:*"]"#, "{}")), ["* 11"]);
        assert_eq!(
            who(&allow(
                r#""*""#,
                read,
                r#"{"StringEquals":{"aws:PrincipalAccount":"111122223333"}}"#
            )),
            none
        );
        assert_eq!(
            who(&allow(
                r#""*""#,
                read,
                r#"{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}"#
            )),
            ["* 10"]
        );
        assert_eq!(
            who(&allow(
                r#""*""#,
                read,
                r#"{"StringEqualsIfExists":{"aws:PrincipalAccount":"111122223333"}}"#
            )),
            ["* 10"]
        );
        assert_eq!(
            who(&allow(
                r#""*""#,
                r#""S3:getobject""#,
                r#"{"StringLike":{"aws:PrincipalArn":"arn:aws:iam::111122223333:*"}}"#
            )),
            none
        );
        assert_eq!(
            who(&allow(
                r#""*""#,
                r#""S3:getobject""#,
                r#"{"StringLike":{"aws:PrincipalArn":"arn:*:iam::111122223333:*"}}"#
            )),
            ["* 10"]
        );
        assert_eq!(
            who(&allow(
                r#"{"Service":"delivery.logs.amazonaws.com"}"#,
                r#""s3:PutObject""#,
                r#"{"StringEquals":{"aws:SourceAccount":"111122223333"}}"#
            )),
            ["delivery.logs.amazonaws.com 01"]
        );
        assert_eq!(who(&allow(r#"{"AWS":"AIDADELETED"}"#, read, "{}")), ["AIDADELETED 10"]);
        assert_eq!(
            who(&allow(r#"{"AWS":"444455556666"}"#, r#""s3:ListBucket""#, "{}")),
            none
        );
    }

    #[test]
    fn a_key_admits_only_for_certain() {
        let cloudfront = r#"{"Service":"cloudfront.amazonaws.com"}"#;
        let reader = Outsider {
            who: Principal::Service("cloudfront.amazonaws.com".to_owned()),
            reads: true,
            writes: false,
        };
        let writer = Outsider {
            reads: false,
            writes: true,
            ..reader.clone()
        };
        let both = r#"["kms:Decrypt","kms:GenerateDataKey*"]"#;
        assert!(key_admits(&allow(cloudfront, r#""kms:Decrypt""#, "{}"), &reader));
        assert!(!key_admits(&allow(cloudfront, r#""kms:Decrypt""#, "{}"), &writer));
        assert!(key_admits(&allow(cloudfront, both, "{}"), &writer));
        let at_times = r#"{"StringEquals":{"aws:SourceArn":"x"}}"#;
        assert!(!key_admits(&allow(cloudfront, both, at_times), &reader));
        let elsewhere = allow(cloudfront, both, "{}").replace(r#""Resource":"*""#, r#""Resource":"arn:x""#);
        assert!(!key_admits(&elsewhere, &reader));
        assert!(!key_admits("not a policy", &reader));
        let person = Outsider {
            who: Principal::Aws {
                account: Some("444455556666".to_owned()),
                text: "444455556666".to_owned(),
            },
            ..reader
        };
        assert!(!key_admits(
            &allow(r#"{"AWS":"444455556666"}"#, r#""kms:*""#, "{}"),
            &person
        ));
    }
}
