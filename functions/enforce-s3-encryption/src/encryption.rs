//! A bucket's default encryption: what it is to become, and when it is better left as it is.

use std::fmt;

use remediation::{
    Ask, Request,
    clock::Timestamp,
    ids::{AccountId, BucketName},
    ledger::{Phase, Standing},
    outcome::Reason,
    plan::{Decision, Plan, Step},
    policy::Principal,
};
use serde::{Deserialize, Serialize};

use crate::{
    Change, Write,
    bucket::{Target, Want},
    held_until,
    outsiders::{Outsider, key_admits, outsiders},
    settings::DefaultEncryption,
};

/// A default encryption, whole: `PutBucketEncryption` replaces all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encryption {
    /// `AES256`, `aws:kms` or `aws:kms:dsse`.
    pub algorithm: String,
    /// The KMS key; none stands for the AWS-managed `aws/s3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Whether S3 bucket keys are on.
    pub bucket_key: bool,
    /// Kinds of encryption that uploads may not ask for, such as `SSE-C`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocked: Vec<String>,
}

/// SSE-S3.
pub(crate) const AES256: &str = "AES256";
const KMS: &str = "aws:kms";

impl Encryption {
    fn is_kms(&self) -> bool {
        self.algorithm.starts_with(KMS)
    }

    /// Whether it protects at least as well: DSSE above KMS above SSE-S3, with what was blocked still blocked.
    fn is_as_strong_as(&self, other: &Self) -> bool {
        let rank = |one: &Self| match one.algorithm.as_str() {
            "aws:kms:dsse" => 2,
            KMS => 1,
            _ => 0,
        };
        rank(self) >= rank(other) && other.blocked.iter().all(|kind| self.blocked.contains(kind))
    }
}

impl fmt::Display for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.algorithm)?;
        if self.is_kms() {
            write!(f, " with {}", self.key.as_deref().unwrap_or("aws/s3"))?;
        }
        if self.bucket_key {
            f.write_str(", bucket key on")?;
        }
        if !self.blocked.is_empty() {
            write!(f, ", {} blocked", self.blocked.join(" and "))?;
        }
        Ok(())
    }
}

/// A bucket's encryption, with what a change of it would touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encrypted {
    /// The bucket's Region.
    pub region: String,
    /// The default encryption; none on buckets from before 2023 that were never touched.
    pub current: Option<Encryption>,
    /// Who uses the bucket; read only where a change is possible.
    pub surroundings: Option<Surroundings>,
}

/// Who and what depends on the bucket's encryption.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Surroundings {
    /// The text of the bucket policy.
    pub policy: Option<String>,
    /// Whom the bucket's ACL lets in, beside the owner.
    pub grantees: Vec<String>,
    /// Whether it is a website.
    pub website: bool,
    /// The key that the settings choose for the Region, as KMS describes it.
    pub key: Option<Key>,
}

/// A KMS key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Why it cannot encrypt for S3; `None`: it can.
    pub unusable: Option<String>,
    /// The text of its policy.
    pub policy: String,
}

/// S3's own group for server access logs.
const LOG_DELIVERY: &str = "http://acs.amazonaws.com/groups/s3/LogDelivery";

/// What the decision rests on.
pub(crate) struct Situation<'a> {
    pub now: Timestamp,
    pub account: &'a AccountId,
    pub chosen: &'a DefaultEncryption,
    pub bucket: &'a BucketName,
    /// `None`: the bucket is gone.
    pub state: Option<&'a Encrypted>,
    pub standing: &'a [Standing<Change>],
}

/// Decides on the default encryption of one bucket.
pub(crate) fn decide(situation: &Situation<'_>, requests: &[Request<'_, Target>]) -> Plan<Change, Write> {
    let decisions = requests.iter().map(|request| match (request.ask, request.target) {
        (Ask::Undo, target) => situation.undo(target),
        (Ask::Remediate(_), Target::Encryption(_, want)) => situation.encrypt(*want),
        (Ask::Remediate(_), Target::TlsOnly(_)) => {
            Decision::decline("not-about-encryption", "this is about the policy".to_owned())
        }
    });
    Plan::of(decisions, |step| match step {
        Step::Make(Change::Encryption(changed)) => {
            Some(changed.write(changed.before.clone(), Some(changed.after.clone())))
        }
        Step::Revert(Change::Encryption(changed)) => {
            Some(changed.write(Some(changed.after.clone()), changed.before.clone()))
        }
        Step::Make(Change::Policy(_)) | Step::Revert(Change::Policy(_)) => None,
    })
}

/// A default encryption that was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encrypting {
    /// Whose.
    pub bucket: BucketName,
    /// What it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Encryption>,
    /// What it became.
    pub after: Encryption,
}

impl Encrypting {
    /// Why it must not be made, if it would protect less.
    pub(crate) fn weakens(&self) -> Option<Reason> {
        let before = self
            .before
            .as_ref()
            .filter(|before| !self.after.is_as_strong_as(before))?;
        let text = format!("{} would be weaker than {before}", self.after);
        Some(Reason::new("weaker", text))
    }

    fn write(&self, found: Option<Encryption>, wanted: Option<Encryption>) -> Write {
        Write::Encryption {
            bucket: self.bucket.clone(),
            found,
            wanted,
        }
    }
}

impl Situation<'_> {
    fn encrypt(&self, want: Want) -> Decision<Change> {
        let Some(state) = self.state else {
            return Decision::decline("no-such-bucket", format!("there is no bucket {} any more", self.bucket));
        };
        let current = state.current.as_ref();
        if let Some(current) = current
            && (current.is_kms()
                || want == Want::Any
                || (want == Want::Chosen && (*self.chosen == DefaultEncryption::Aes256 || self.is_ours(current))))
        {
            return Decision::InPlace(Reason::new(
                "encrypted",
                format!("{} is encrypted by default: {current}", self.bucket),
            ));
        }
        if let Some(until) = held_until(self.standing, self.now) {
            let text = format!(
                "an operator gave {} back its encryption; it stays so until {}",
                self.bucket,
                until.date_naive()
            );
            return Decision::decline(Reason::UNDONE, text);
        }
        match self.choose(state, want) {
            Ok(after) => {
                let text = format!("{} is encrypted by default: {after}", self.bucket);
                let change = Encrypting {
                    bucket: self.bucket.clone(),
                    before: current.cloned(),
                    after,
                };
                Decision::Act(Step::Make(Change::Encryption(change)), Reason::new("encrypted", text))
            }
            Err(Obstacle::Rule(reason)) => Decision::Decline(reason),
            Err(Obstacle::Doubt(reason)) => Decision::Escalate(reason),
        }
    }

    /// The encryption that can be set without breaking anybody, or why there is none.
    fn choose(&self, state: &Encrypted, want: Want) -> Result<Encryption, Obstacle> {
        let bucket = self.bucket;
        let blocked = state
            .current
            .as_ref()
            .map(|current| current.blocked.clone())
            .unwrap_or_default();
        let sse_s3 = Encryption {
            algorithm: AES256.to_owned(),
            key: None,
            bucket_key: false,
            blocked: blocked.clone(),
        };
        let Some(surroundings) = &state.surroundings else {
            return Err(for_a_person(
                "unknown-readers",
                format!("it is not known who uses {bucket}"),
            ));
        };
        let outsiders = match surroundings
            .policy
            .as_deref()
            .map(|policy| outsiders(policy, self.account.as_str()))
        {
            None => Vec::new(),
            Some(Ok(outsiders)) => outsiders,
            Some(Err(error)) => return Err(for_a_person("unreadable-policy", format!("{bucket}: {error}"))),
        };
        if let Some(by) = log_delivery(&outsiders, surroundings) {
            // No answer to a finding that asks for KMS: the next look would decline what was written for it.
            return if state.current.is_none() && want != Want::Kms {
                Ok(sse_s3)
            } else {
                Err(by_rule(
                    "log-delivery-target",
                    format!(
                        "{by} delivers logs to {bucket}, which does not work with SSE-KMS: it keeps SSE-S3. Exempt it from the control"
                    ),
                ))
            };
        }
        let key = match self.chosen {
            DefaultEncryption::Aes256 if want == Want::Kms => {
                return Err(by_rule(
                    "sse-s3-by-setting",
                    format!("{bucket} has SSE-S3, which the settings say is enough"),
                ));
            }
            DefaultEncryption::Aes256 => return Ok(sse_s3),
            DefaultEncryption::AwsManaged => None,
            keys @ DefaultEncryption::Keys(_) => match keys.key(self.account, &state.region) {
                Some(arn) => Some(arn),
                None => {
                    let text = format!(
                        "{bucket} is in {}, for which the settings give no key of account {}; S3 takes only keys of the same Region",
                        state.region, self.account
                    );
                    return Err(for_a_person("no-key-for-region", text));
                }
            },
        };
        if let Some(arn) = key {
            match &surroundings.key {
                Some(Key { unusable: None, .. }) => {}
                Some(Key {
                    unusable: Some(why), ..
                }) => {
                    let text = format!(
                        "the key {arn} cannot be used for {bucket}: {why}. S3 would take it, and every upload would fail"
                    );
                    return Err(for_a_person("kms-key-unusable", text));
                }
                None => return Err(for_a_person("kms-key-unusable", format!("the key {arn} was not found"))),
            }
        }
        let key_policy = surroundings
            .key
            .as_ref()
            .map(|key| key.policy.as_str())
            .filter(|_| key.is_some());
        let mut locked_out: Vec<&str> = outsiders
            .iter()
            .filter(|outsider| !key_policy.is_some_and(|policy| key_admits(policy, outsider)))
            .map(|outsider| outsider.who.name())
            .collect();
        locked_out.extend(surroundings.grantees.iter().map(String::as_str));
        if !locked_out.is_empty() {
            let with = key.map_or("aws/s3, which cannot be shared".to_owned(), |arn| {
                format!("{arn}, whose policy does not let them in for certain")
            });
            let text = format!(
                "{bucket} is used from outside by {}: with {with}, they would be locked out",
                locked_out.join(", ")
            );
            return Err(for_a_person("outside-readers", text));
        }
        if surroundings.website {
            let text = format!(
                "{bucket} is a website: whoever reads it without credentials, by the ACL of an object, could not read what is encrypted with \
                 KMS. Put CloudFront with an origin access control before it, or exempt it from the control"
            );
            return Err(for_a_person("website", text));
        }
        Ok(Encryption {
            algorithm: KMS.to_owned(),
            key: key.map(str::to_owned),
            bucket_key: true,
            blocked,
        })
    }

    fn undo(&self, target: &Target) -> Decision<Change> {
        let name = target.to_string();
        let row = self.standing.iter().find(|row| row.target == name);
        let Some((row, Change::Encryption(changed))) = row.map(|row| (row, &row.change)) else {
            return Decision::decline("not-standing", "nothing that this function set is left here".to_owned());
        };
        let Some(state) = self.state else {
            return Decision::decline("no-such-bucket", format!("there is no bucket {} any more", self.bucket));
        };
        let was = changed.before.as_ref().map_or("none".to_owned(), ToString::to_string);
        let reason = Reason::new(
            "restored",
            format!("an operator gave {} back its default encryption: {was}", self.bucket),
        );
        // A bucket from before 2023 has none; once it was deleted S3 shows its own default instead.
        let is_before = state.current == changed.before
            || (changed.before.is_none()
                && state
                    .current
                    .as_ref()
                    .is_some_and(|current| current.algorithm == AES256));
        if let Phase::Held(_) = row.phase {
            return if is_before {
                Decision::InPlace(Reason::undone_before())
            } else {
                Decision::decline(
                    "not-standing",
                    format!("the encryption of {} is no change of ours that stands", self.bucket),
                )
            };
        }
        // Before all else: SSE-S3 that was set where there was nothing looks as after its deletion.
        if is_before {
            Decision::InPlace(reason)
        } else if state.current.as_ref() == Some(&changed.after) {
            Decision::Act(Step::Revert(Change::Encryption(changed.clone())), reason)
        } else {
            let is = state.current.as_ref().map_or("none".to_owned(), ToString::to_string);
            let text = format!(
                "the encryption of {} was set to {}, and is {is} by now",
                self.bucket, changed.after
            );
            Decision::decline("changed-since", text)
        }
    }

    /// Whether this is what was chosen, and written, before.
    fn is_ours(&self, current: &Encryption) -> bool {
        let is_it = |change: &Change| matches!(change, Change::Encryption(changed) if changed.after == *current);
        self.standing
            .iter()
            .any(|row| row.phase == Phase::Active && is_it(&row.change))
    }
}

/// Who delivers logs to the bucket, if anybody does.
fn log_delivery<'a>(outsiders: &'a [Outsider], surroundings: &'a Surroundings) -> Option<&'a str> {
    let service = outsiders.iter().find_map(|outsider| match &outsider.who {
        Principal::Service(service) if outsider.writes => Some(service.as_str()),
        _ => None,
    });
    service.or_else(|| {
        surroundings
            .grantees
            .iter()
            .any(|grantee| grantee == LOG_DELIVERY)
            .then_some("S3 server access logging")
    })
}

/// Why no encryption can be chosen.
enum Obstacle {
    /// By rule it is better as it is.
    Rule(Reason),
    /// A person has to look.
    Doubt(Reason),
}

fn by_rule(code: &str, text: String) -> Obstacle {
    Obstacle::Rule(Reason::new(code, text))
}

fn for_a_person(code: &str, text: String) -> Obstacle {
    Obstacle::Doubt(Reason::new(code, text))
}
