//! The credentials that a finding names.

use super::{Credential, FindingError, lenient::Object};

/// More than any service names in a finding: each is compared with all others.
const MOST: usize = 1_000;

/// Reads one block, by the names of its fields in GuardDuty, ASFF and OCSF.
pub(super) fn read(fields: &Object) -> Credential {
    Credential {
        key: fields.get(&["accesskeyid", "credentialuid"]),
        principal: fields.get(&["principalid", "uid"]),
        name: fields.get(&["username", "principalname", "name"]),
        kind: fields.get(&["usertype", "principaltype", "type"]),
    }
}

/// Adds the key that stands beside the block: alone, at the end of an ARN, or after `AWS::IAM::AccessKey:`.
pub(super) fn with_key(found: Credential, id: Option<&str>) -> Credential {
    let key = || {
        let key = id?.rsplit([':', '/']).next()?;
        (key.starts_with("AKIA") || key.starts_with("ASIA")).then(|| key.to_owned())
    };
    Credential {
        key: found.key.clone().or_else(key),
        ..found
    }
}

/// Each once. A finding names the same credentials in several places, with more or fewer particulars.
pub(super) fn distinct(all: impl IntoIterator<Item = Credential>, at: &str) -> Result<Vec<Credential>, FindingError> {
    let mut distinct: Vec<Credential> = Vec::new();
    for found in all {
        if found.key.is_none() && found.principal.is_none() && found.name.is_none() {
            continue;
        }
        let is_full = distinct.len() == MOST;
        match distinct.iter_mut().find(|known| are_same(known, &found)) {
            Some(known) => {
                known.key = known.key.take().or(found.key);
                known.principal = known.principal.take().or(found.principal);
                known.name = known.name.take().or(found.name);
                known.kind = known.kind.take().or(found.kind);
            }
            None if is_full => {
                return Err(FindingError::Malformed {
                    at: at.to_owned(),
                    problem: format!("it names more than {MOST} credentials"),
                });
            }
            None => distinct.push(found),
        }
    }
    Ok(distinct)
}

/// Whatever both state agrees, and something that identifies is among it.
fn are_same(one: &Credential, other: &Credential) -> bool {
    let pairs = [
        (&one.key, &other.key),
        (&one.principal, &other.principal),
        (&one.name, &other.name),
        (&one.kind, &other.kind),
    ];
    let agree = pairs.iter().all(|(a, b)| a.is_none() || b.is_none() || a == b);
    agree && pairs.iter().take(3).any(|(a, b)| a.is_some() && a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(key: &str, principal: &str, name: &str) -> Credential {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Credential {
            key: text(key),
            principal: text(principal),
            name: text(name),
            kind: None,
        }
    }

    #[test]
    fn a_vague_mention_joins_a_precise_one_and_two_keys_stay_two() {
        let all = [
            credential("AKIA1", "", "ci-runner"),
            credential("", "AIDA1", "ci-runner"),
            credential("AKIA2", "AIDA1", "ci-runner"),
            credential("", "", ""),
            credential("AKIA2", "", ""),
        ];
        assert_eq!(
            distinct(all, "x").unwrap(),
            [
                credential("AKIA1", "AIDA1", "ci-runner"),
                credential("AKIA2", "AIDA1", "ci-runner")
            ]
        );
    }

    #[test]
    fn a_key_beside_the_block() {
        for (id, key) in [
            ("AKIAEXAMPLE", Some("AKIAEXAMPLE")),
            ("AWS::IAM::AccessKey:ASIAEXAMPLE", Some("ASIAEXAMPLE")),
            ("AWS::IAM::AccessKey:null", None),
            ("arn:aws:iam::111122223333:access-key/AKIAEXAMPLE", Some("AKIAEXAMPLE")),
            ("arn:aws:iam::111122223333:user/analyst", None),
            ("", None),
        ] {
            assert_eq!(with_key(Credential::default(), Some(id)).key.as_deref(), key, "{id}");
        }
    }

    #[test]
    fn what_agrees_in_nothing_but_its_kind_is_not_the_same() {
        let of_kind = |kind: &str, name: &str| Credential {
            kind: Some(kind.to_owned()),
            ..credential("", "", name)
        };
        assert!(are_same(&of_kind("IAMUser", "a"), &of_kind("IAMUser", "a")));
        assert!(!are_same(&of_kind("IAMUser", "a"), &of_kind("Role", "a")));
        assert!(!are_same(&of_kind("IAMUser", ""), &of_kind("IAMUser", "a")));
    }

    #[test]
    fn more_than_can_be_dealt_with_are_refused() {
        let keys = |count: usize| (0..count).map(|n| credential(&format!("AKIA{n}"), "", ""));
        assert_eq!(distinct(keys(MOST), "x").map(|all| all.len()), Ok(MOST));
        assert!(distinct(keys(MOST + 1), "x").is_err());
        assert_eq!(
            distinct(keys(MOST).chain(keys(MOST)), "x").map(|all| all.len()),
            Ok(MOST)
        );
    }
}
