//! What becomes of the policy at one place.

use std::{collections::BTreeSet, sync::Arc};

use remediation::{
    Ask, Request,
    clock::Timestamp,
    finding::Evidence,
    ids::UniqueId,
    ledger::{Phase, Standing},
    outcome::Reason,
    plan::{Decision, Plan, Step},
    policy::{Document, Narrowed, difference, says_the_same},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    account::{Account, Holder, Loss, Policy, size},
    claim::CLOUD_SHELL,
    iam::{Write, keeps_administrator, makes_administrator},
    identity::{Demand, Kind, Place, Target},
    settings::Limits,
    trim::{Form, Trimmed, trim},
};

/// The inline policy that takes everything from a role that nobody uses.
pub const QUARANTINE: &str = "SecureCartQuarantine";

/// An operator who gives permissions back has a reason that outlasts the next findings.
pub(crate) const HOLD: chrono::TimeDelta = chrono::TimeDelta::days(30);

/// A policy that was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Where.
    pub place: Place,
    /// The text as it was, to the byte; none: there was no policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The text that was written; none: the policy was taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Of a managed policy: the version that was in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Of a managed policy: the version that made room, which IAM keeps no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub displaced: Option<Displaced>,
    /// Of a managed policy: the version that we made, once it is to go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ours: Option<String>,
    /// Everybody whom the policy reaches.
    pub reaches: Vec<String>,
}

/// A version of a managed policy that made room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Displaced {
    /// Its number, which is not used again.
    pub version: String,
    /// Its text.
    pub document: String,
}

/// What there is at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The account around it.
    pub account: Arc<Account>,
    /// The text; none: there is no policy. Of a managed policy on its bearer, the managed policy's, or once it is off, that of
    /// the inline policy in its place.
    pub text: Option<String>,
    /// Whether a managed policy is on its bearer.
    pub attached: bool,
    /// What the managed policy at [`Place::Attached`] says today, whether it is on its bearer or not.
    pub policy: Option<String>,
    /// Of the users that may be left as administrators, those who can sign in or have a key that works.
    pub active: BTreeSet<UniqueId>,
}

/// What the decision rests on.
pub(crate) struct Situation<'a> {
    pub now: Timestamp,
    pub limits: &'a Limits,
    /// The ARN of the account's root.
    pub root: &'a str,
    pub place: &'a Place,
    /// `None`: the bearer, the managed policy or the bucket is gone.
    pub found: Option<&'a Found>,
    pub standing: &'a [Standing<Revocation>],
}

/// The inline policy that takes the place of a managed one.
pub(crate) fn replacement(policy: &str) -> String {
    let name: String = format!("SecureCartTrimmed-{policy}").chars().take(128).collect();
    name
}

/// What takes everything from its bearer.
fn quarantine() -> String {
    json!({
        "Version": "2012-10-17",
        "Statement": [{ "Sid": QUARANTINE, "Effect": "Deny", "Action": "*", "Resource": "*" }]
    })
    .to_string()
}

/// What stands against a change.
#[derive(Debug, Clone)]
enum Against {
    InPlace(Reason),
    Decline(Reason),
    Escalate(Reason),
}

impl Against {
    fn decline(code: &str, text: impl Into<String>) -> Self {
        Self::Decline(Reason::new(code, text))
    }

    fn escalate(code: &str, text: impl Into<String>) -> Self {
        Self::Escalate(Reason::new(code, text))
    }
}

impl From<Against> for Decision<Revocation> {
    fn from(against: Against) -> Self {
        match against {
            Against::InPlace(reason) => Self::InPlace(reason),
            Against::Decline(reason) => Self::Decline(reason),
            Against::Escalate(reason) => Self::Escalate(reason),
        }
    }
}

/// The text that a place is to have, or what stands against it.
type Wanted = Result<Option<String>, Against>;

/// What one request comes to, before what it would do is weighed.
enum Verdict {
    Undo(Box<Decision<Revocation>>),
    Remediate(Wanted),
}

/// Decides on the policy at one place. What several requests ask of it becomes one change.
pub(crate) fn decide(situation: &Situation<'_>, requests: &[Request<'_, Target>]) -> Plan<Revocation, Write> {
    let mut text = situation.found.and_then(|found| found.text.clone());
    let mut verdicts = Vec::with_capacity(requests.len());
    let mut is_changed = false;
    for request in requests {
        let verdict = match (request.ask, request.target) {
            (Ask::Undo, target) => Verdict::Undo(Box::new(situation.undo(target))),
            (Ask::Remediate(evidence), Target::At(_, demand)) => {
                Verdict::Remediate(situation.demanded(request.target, demand, text.as_deref(), evidence))
            }
            (Ask::Remediate(_), other) => {
                let text = format!("{other}: it is not known where this is");
                Verdict::Remediate(Err(Against::escalate("unresolved", text)))
            }
        };
        if let Verdict::Remediate(Ok(wanted)) = &verdict {
            text.clone_from(wanted);
            is_changed = true;
        }
        verdicts.push((request.target, verdict));
    }
    let weighed = is_changed.then(|| situation.weigh(text));
    let decisions = verdicts.into_iter().map(|(target, verdict)| match (verdict, &weighed) {
        (Verdict::Undo(decision), _) => *decision,
        (Verdict::Remediate(Err(against)), _) => against.into(),
        (Verdict::Remediate(Ok(_)), Some(Ok(change))) => {
            Decision::Act(Step::Make(change.clone()), revoked(target, change))
        }
        (Verdict::Remediate(Ok(_)), Some(Err(against))) => against.clone().into(),
        (Verdict::Remediate(Ok(_)), None) => Decision::escalate("undecided", format!("{target}: nothing was weighed")),
    });
    Plan::of(decisions, |step| match step {
        Step::Make(change) => situation.write(change),
        Step::Revert(change) => situation.write_back(change),
    })
}

/// What was revoked, and whom it reaches.
fn revoked(target: &Target, change: &Revocation) -> Reason {
    let place = &change.place;
    let text = match (target, place) {
        (Target::At(_, Demand::TheWhole), Place::Attached(bearer, arn)) => format!("{arn} is off {bearer}"),
        (Target::At(_, Demand::Unused(_)), Place::Attached(bearer, arn)) => match &change.after {
            Some(_) => format!(
                "{arn} is off {bearer}, which has what it uses of it inline, as {}",
                replacement(arn.name())
            ),
            None => format!("{arn}, of which {bearer} uses nothing, is off it"),
        },
        (Target::At(_, Demand::UnusedRole), Place::Inline(bearer, _)) => {
            format!("{bearer}, which nobody uses, is denied everything by {QUARANTINE}")
        }
        (Target::At(_, demand @ Demand::Outsiders(_)), _) => format!("{place} does not let {demand} in any more"),
        (Target::At(_, Demand::Unused(_)), _) => format!("what nobody uses is out of {place}"),
        (Target::At(_, demand), _) => match &change.after {
            Some(_) => format!("{place} grants no {demand} any more"),
            None => format!("{place}, which granted {demand}, is deleted"),
        },
        (other, _) => format!("{other} revoked"),
    };
    Reason::new("revoked", format!("{text}{}", told(change)))
}

/// Whom a change reaches, for the reader: those who have the policy, and the members of groups among them.
fn told(change: &Revocation) -> String {
    let bearer = change.place.bearer().map(ToString::to_string);
    match change.reaches.as_slice() {
        [] => String::new(),
        [one] if Some(one) == bearer.as_ref() => String::new(),
        [one] => format!("; it reaches {one}"),
        more => format!("; it reaches {}: {}", more.len(), more.join(", ")),
    }
}

/// What of the administration of the account may be lost, if anything.
pub(crate) fn loss<'a>(
    place: &'a Place,
    account: &Account,
    before: Option<&str>,
    after: Option<&str>,
) -> Option<Loss<'a>> {
    let loss = match (place, before) {
        (Place::Trust(bearer), _) | (Place::Inline(bearer, _), None) => Loss::Bearer(bearer),
        (Place::Managed(_) | Place::Inline(..) | Place::Attached(..), Some(before))
            if makes_administrator(before) && !after.is_some_and(keeps_administrator) =>
        {
            Loss::Policy(place)
        }
        _ => return None,
    };
    let reached = account.reached(place);
    reached
        .iter()
        .any(|holder| account.may_administer(holder))
        .then_some(loss)
}

impl Situation<'_> {
    fn demanded(&self, target: &Target, demand: &Demand, text: Option<&str>, evidence: &[&Evidence]) -> Wanted {
        let Some(found) = self.found else {
            return Err(Against::decline(
                "gone",
                format!("{} does not exist any more", self.place),
            ));
        };
        let in_place = |text: String| {
            Err(Against::InPlace(
                self.revoked(target).unwrap_or_else(|| Reason::new("in-order", text)),
            ))
        };
        let wanted = match demand {
            Demand::TheWhole => match self.place {
                Place::Attached(..) if found.attached => None,
                Place::Attached(_, arn) if arn.name() != CLOUD_SHELL && self.revoked(target).is_none() => {
                    let text = format!("{} is not attached: are BlockedPolicies those of the rule?", self.place);
                    return Err(Against::decline("not-attached", text));
                }
                _ => return in_place(format!("{} is not attached", self.place)),
            },
            Demand::Unused(_) if matches!(self.place, Place::Attached(..)) && !found.attached => {
                return in_place(format!("{} is not attached any more", self.place));
            }
            Demand::Unused(_) if text.is_none() => return in_place(format!("{}: there is no policy", self.place)),
            Demand::Unused(recommended) => {
                let wanted = recommended.document.clone();
                if says_the_same(text, wanted.as_deref()) {
                    return in_place(format!("{} is as recommended", self.place));
                }
                self.still_analysed(found, recommended.updated)?;
                wanted
            }
            Demand::UnusedRole => match self.unused_role(target, found, text, evidence) {
                Ok(()) => Some(quarantine()),
                Err(decision) => return Err(decision),
            },
            Demand::Outsiders(outsiders) if outsiders.iter().all(|outsider| self.trusts(&outsider.id)) => {
                return Err(Against::decline("trusted", format!("{demand} is trusted by a setting")));
            }
            Demand::Administration | Demand::FullAccess | Demand::BlockedActions | Demand::Outsiders(_) => {
                let Some(text) = text else {
                    return match demand {
                        Demand::Outsiders(_) if self.revoked(target).is_none() => {
                            let text = format!("{} does not exist: look at what else lets {demand} in", self.place);
                            Err(Against::escalate("not-in-policy", text))
                        }
                        _ => in_place(format!("{}: there is no policy", self.place)),
                    };
                };
                match trim(
                    text,
                    &self.kept(demand),
                    self.form(),
                    self.limits.full_access,
                    self.root,
                ) {
                    Ok(Trimmed::To(wanted)) => wanted,
                    // Whether a policy should be inline at all is another question.
                    Ok(Trimmed::Clean)
                        if matches!((self.place, demand), (Place::Inline(..), Demand::Administration)) =>
                    {
                        let text = format!(
                            "{} grants no administration: whether it should be inline is for a person",
                            self.place
                        );
                        return Err(self
                            .revoked(target)
                            .map_or_else(|| Against::decline("not-administration", text), Against::InPlace));
                    }
                    // An ACL, an access point or an id may let them in, or another form of their name.
                    Ok(Trimmed::Clean) if matches!(demand, Demand::Outsiders(_)) && self.revoked(target).is_none() => {
                        let text = format!("{} does not name {demand}: look at what else lets them in", self.place);
                        return Err(Against::escalate("not-in-policy", text));
                    }
                    Ok(Trimmed::Clean) => return in_place(format!("{target}: nothing of it is granted")),
                    Ok(Trimmed::ByHand(code, why)) => {
                        return Err(Against::escalate(code, format!("{}: {why}", self.place)));
                    }
                    Err(error) => {
                        return Err(Against::escalate(
                            "unreadable-policy",
                            format!("{}: {error}", self.place),
                        ));
                    }
                }
            }
        };
        // An operator gave the policy back, whatever rule it was trimmed for.
        let held = self
            .standing
            .iter()
            .filter_map(|row| row.phase.held_until(self.now, HOLD));
        if let Some(until) = held.max() {
            let text = format!(
                "an operator gave it back: {} stays as it is until {}",
                self.place,
                until.date_naive()
            );
            return Err(Against::decline(Reason::UNDONE, text));
        }
        Ok(wanted)
    }

    /// That what is there is what we wrote for this target, if it is.
    fn revoked(&self, target: &Target) -> Option<Reason> {
        let found = self.found.filter(|found| !found.attached)?;
        let row = self.row(target).filter(|row| row.phase == Phase::Active)?;
        says_the_same(found.text.as_deref(), row.change.after.as_deref()).then(|| revoked(target, &row.change))
    }

    /// Whether the policy is the one that was analysed. Inline policies have no date.
    fn still_analysed(&self, found: &Found, analysed: Option<Timestamp>) -> Result<(), Against> {
        let arn = match self.place {
            Place::Managed(arn) => {
                if found.account.reached(self.place).len() > 1 {
                    let text = format!("{arn} has come to be shared since its use was analysed");
                    return Err(Against::decline("shared-since", text));
                }
                arn
            }
            Place::Attached(_, arn) => arn,
            _ => return Ok(()),
        };
        let Some(updated) = found.account.policy(arn).and_then(|policy| policy.updated) else {
            return Ok(());
        };
        match analysed {
            Some(analysed) if updated <= analysed => Ok(()),
            analysed => {
                let then =
                    analysed.map_or_else(|| "nobody says when".to_owned(), |analysed| format!("as of {analysed}"));
                let text = format!(
                    "{arn} was changed at {updated}, and analysed {then}: look at the finding when it is analysed again"
                );
                Err(Against::escalate("changed-since-analysis", text))
            }
        }
    }

    /// Accounts that settings trust are no outsiders.
    fn kept(&self, demand: &Demand) -> Demand {
        match demand {
            Demand::Outsiders(outsiders) => {
                let left = outsiders.iter().filter(|outsider| !self.trusts(&outsider.id));
                Demand::Outsiders(left.cloned().collect())
            }
            other => other.clone(),
        }
    }

    /// Whether settings trust the account of this principal.
    fn trusts(&self, principal: &str) -> bool {
        let account = principal.split(':').nth(4).unwrap_or(principal);
        self.limits.trusted.iter().any(|trusted| trusted.as_str() == account)
    }

    fn form(&self) -> Form {
        match self.place {
            Place::Managed(_) => Form::Versioned,
            Place::Inline(..) | Place::Attached(..) => Form::Removable,
            Place::Trust(_) => Form::Trust,
            Place::Bucket(_) => Form::Resource,
        }
    }

    /// Whether IAM itself says that nobody uses the role.
    fn unused_role(
        &self,
        target: &Target,
        found: &Found,
        text: Option<&str>,
        evidence: &[&Evidence],
    ) -> Result<(), Against> {
        let place = self.place;
        if let Some(text) = text {
            return Err(if says_the_same(Some(text), Some(&quarantine())) {
                let text = format!("{place} takes everything from it");
                Against::InPlace(self.revoked(target).unwrap_or_else(|| Reason::new("quarantined", text)))
            } else {
                let text =
                    format!("{place} is not as this function writes it, so it is left alone: look at it by hand");
                Against::escalate("foreign-policy", text)
            });
        }
        let Some(holder) = place.bearer().and_then(|bearer| found.account.holder(bearer)) else {
            return Err(Against::decline("gone", format!("{place} does not exist any more")));
        };
        let seen = evidence.iter().map(|evidence| evidence.observed_at).max();
        let since = holder.last_used.or(holder.created);
        match since {
            Some(used) if holder.last_used.is_some() && seen.is_some_and(|seen| used > seen) => {
                let text = format!("{} was used at {used}, after it was found unused", holder.bearer);
                Err(Against::decline("used", text))
            }
            Some(since) if self.now - since < self.limits.unused => {
                let what = if holder.last_used.is_some() {
                    "was last used"
                } else {
                    "was made"
                };
                let days = self.limits.unused.num_days();
                let text = format!("{} {what} at {since}, less than {days} days ago", holder.bearer);
                Err(Against::decline("used", text))
            }
            Some(_) => Ok(()),
            None => Err(Against::escalate(
                "unknown-use",
                format!("IAM does not say when {} was used", holder.bearer),
            )),
        }
    }

    /// Whether the change may be made. Whatever stands against it goes to a person.
    fn weigh(&self, after: Option<String>) -> Result<Revocation, Against> {
        let gone = || Against::decline("gone", format!("{} does not exist any more", self.place));
        let found = self.found.ok_or_else(gone)?;
        let place = self.place;
        let account = &found.account;
        if let Place::Managed(arn) = place {
            self.may_be_edited(account, arn)?;
        }
        if let Place::Attached(_, arn) = place
            && self.limits.exempts_policy(arn)
        {
            return Err(Against::decline("exempt", format!("{arn} is exempt by its name")));
        }
        if let Place::Attached(_, arn) = place
            && (arn.name().contains("Quarantine") || arn.name() == "AWSDenyAll")
        {
            return Err(Against::decline("quarantine", format!("{arn} contains an incident")));
        }
        if let Place::Bucket(bucket) = place
            && self.limits.exempts_name(&format!("bucket/{bucket}"))
        {
            return Err(Against::decline("exempt", format!("{place} is exempt by its name")));
        }
        if let Place::Attached(bearer, arn) = place
            && let Some(foreign) = account
                .holder(bearer)
                .and_then(|holder| holder.inline.get(&replacement(arn.name())))
            && after.as_ref().is_some_and(|after| after != foreign)
        {
            let name = replacement(arn.name());
            let text = format!("{bearer} has an inline policy {name} that says something else: look at it by hand");
            return Err(Against::escalate("foreign-policy", text));
        }
        let reached = account.reached(place);
        self.may_be_reached(&reached)?;
        let before = found.text.clone();
        if let Err(unproven) = Narrowed::prove(before.as_deref(), after.as_deref()) {
            return Err(Against::Escalate(Reason::from(unproven)));
        }
        self.fits(account, after.as_deref())?;
        self.leaves_an_administrator(account, before.as_deref(), after.as_deref())?;
        let policy = match place {
            Place::Managed(arn) => account.policy(arn),
            _ => None,
        };
        let version = policy.and_then(|policy| policy.default_version());
        let in_the_way = policy.and_then(|policy| policy.in_the_way()).map(|version| Displaced {
            version: version.id.clone(),
            document: version.document.clone(),
        });
        // A version may have made room for a write that then failed.
        let announced = self.standing.iter().map(|row| &row.change);
        let mut announced = announced.filter(|change| change.before == before && change.after == after);
        let displaced = in_the_way.or_else(|| announced.find_map(|change| change.displaced.clone()));
        Ok(Revocation {
            place: place.clone(),
            before,
            after,
            version: version.map(|version| version.id.clone()),
            displaced,
            ours: None,
            reaches: reached.iter().map(|holder| holder.bearer.to_string()).collect(),
        })
    }

    fn may_be_edited(&self, account: &Account, arn: &crate::PolicyArn) -> Result<(), Against> {
        if arn.is_aws_managed() {
            let text = format!("{arn} is AWS's own, and only AWS can change it: detach it where it is not needed");
            return Err(Against::escalate("aws-managed", text));
        }
        if self.limits.exempts_policy(arn) {
            return Err(Against::decline("exempt", format!("{arn} is exempt by its name")));
        }
        let bounded: Vec<_> = account
            .bounded_by(arn)
            .map(|holder| holder.bearer.to_string())
            .collect();
        if !bounded.is_empty() {
            let text = format!(
                "{arn} is the permissions boundary of {}, which grants nothing by itself: change it by hand",
                bounded.join(", ")
            );
            return Err(Against::escalate("permissions-boundary", text));
        }
        Ok(())
    }

    fn may_be_reached(&self, reached: &[&Holder]) -> Result<(), Against> {
        let place = self.place;
        let is_shared = place.bearer().is_none() || reached.len() > 1;
        for holder in reached {
            if holder.is_reserved() {
                let text = format!(
                    "{place} reaches {}, which belongs to AWS or to IAM Identity Center: change the service's settings, or the \
                     permission set",
                    holder.with_path()
                );
                return Err(Against::escalate("reserved-role", text));
            }
            if let Some(why) = self.limits.exempts(holder) {
                return Err(if is_shared {
                    Against::escalate("reaches-exempt", format!("{place}: {why}, and would be reached"))
                } else {
                    Against::decline("exempt", why)
                });
            }
        }
        if reached.len() > self.limits.reach {
            let names: Vec<_> = reached.iter().map(|holder| holder.bearer.to_string()).collect();
            let text = format!(
                "{place} reaches {}, more than the {} that one change may: {}",
                names.len(),
                self.limits.reach,
                names.join(", ")
            );
            return Err(Against::escalate("reach", text));
        }
        Ok(())
    }

    /// What IAM and S3 take.
    fn fits(&self, account: &Account, after: Option<&str>) -> Result<(), Against> {
        const LARGEST_BUCKET_POLICY: usize = 20_480;
        let Some(text) = after else { return Ok(()) };
        if let Place::Trust(_) | Place::Bucket(_) = self.place
            && let Some(id) = Document::parse(text)
                .ok()
                .and_then(|document| document.deleted_principal())
        {
            let text = format!(
                "{} still names {id}, which is deleted, and AWS takes no such policy: take it out by hand",
                self.place
            );
            return Err(Against::escalate("deleted-principal", text));
        }
        let inline = |bearer: &crate::Bearer, name: &str| {
            let others = account.holder(bearer).map_or(0, |holder| holder.inline_size(name));
            let limit = match bearer.kind {
                Kind::User => 2_048,
                Kind::Role => 10_240,
                Kind::Group => 5_120,
            };
            (size(text) + others, limit)
        };
        let (length, limit) = match self.place {
            Place::Managed(_) => (size(text), 6_144),
            Place::Inline(bearer, name) => inline(bearer, name),
            Place::Attached(bearer, arn) => inline(bearer, &replacement(arn.name())),
            Place::Trust(_) => (size(text), 2_048),
            Place::Bucket(_) => (text.len(), LARGEST_BUCKET_POLICY),
        };
        // What was there before has been taken, by a quota that was raised.
        let before = self.found.and_then(|found| found.text.as_deref());
        let is_smaller = before.is_some_and(|before| size(text) <= size(before));
        if length > limit && !is_smaller {
            let text = format!(
                "{} would come to {length} characters; AWS takes {limit}: shorten it by hand",
                self.place
            );
            return Err(Against::escalate("policy-too-large", text));
        }
        Ok(())
    }

    /// Somebody has to be able to put things right.
    fn leaves_an_administrator(
        &self,
        account: &Account,
        before: Option<&str>,
        after: Option<&str>,
    ) -> Result<(), Against> {
        let Some(loss) = loss(self.place, account, before, after) else {
            return Ok(());
        };
        let is_certain = |holder: &Holder| match holder.bearer.kind {
            Kind::User => self.found.is_some_and(|found| found.active.contains(&holder.bearer.id)),
            Kind::Role | Kind::Group => true,
        };
        if !account.administrators_after(&loss).any(is_certain) {
            let text = format!(
                "no other user that can sign in, and no other role that somebody from outside or of a SAML provider can be, would \
                 certainly be an administrator of the account after {} is changed: make one, then approve this",
                self.place
            );
            return Err(Against::escalate("last-administrator", text));
        }
        Ok(())
    }

    fn write(&self, change: &Revocation) -> Option<Write> {
        let (before, after) = (change.before.as_deref(), change.after.as_deref());
        let proof = Narrowed::prove(before, after).ok()?;
        let account = &self.found?.account;
        let is_alone = loss(self.place, account, before, after).is_some();
        Some(match &change.place {
            Place::Managed(arn) => Write::Version {
                policy: arn.clone(),
                from: change.version.clone()?,
                displaced: change.displaced.as_ref().map(|displaced| displaced.version.clone()),
                change: proof,
                is_alone,
            },
            Place::Attached(bearer, arn) => Write::Detach {
                bearer: bearer.clone(),
                policy: arn.clone(),
                replacement: replacement(arn.name()),
                change: proof,
                is_alone,
            },
            place => Write::Text {
                place: place.clone(),
                change: proof,
                is_alone,
            },
        })
    }

    fn write_back(&self, change: &Revocation) -> Option<Write> {
        let found = self.found?;
        Some(match &change.place {
            Place::Managed(arn) => {
                let policy = found.account.policy(arn)?;
                let (default, ours) = (policy.default_version()?, change.ours.clone()?);
                let before = if default.id == ours {
                    policy.versions.iter().find(|version| {
                        Some(&version.id) == change.version.as_ref()
                            && Some(&version.document) == change.before.as_ref()
                    })
                } else {
                    // Half-way, the text is back already.
                    Some(default)
                };
                match before {
                    Some(version) => Write::VersionBack {
                        policy: arn.clone(),
                        to: version.id.clone(),
                        ours,
                    },
                    None => Write::TextBack {
                        place: change.place.clone(),
                        found: found.text.clone(),
                        wanted: change.before.clone(),
                    },
                }
            }
            Place::Attached(bearer, arn) => Write::Attach {
                bearer: bearer.clone(),
                policy: arn.clone(),
                replacement: change.after.as_ref().map(|_| replacement(arn.name())),
            },
            place => Write::TextBack {
                place: place.clone(),
                found: found.text.clone(),
                wanted: change.before.clone(),
            },
        })
    }

    fn undo(&self, target: &Target) -> Decision<Revocation> {
        let place = self.place;
        let Some(row) = self.row(target) else {
            return Decision::decline("not-standing", "nothing that this function wrote is left here");
        };
        let change = &row.change;
        let Some(found) = self.found else {
            return Decision::decline("gone", format!("{place} does not exist any more"));
        };
        let text = found.text.as_deref();
        let left_over = self.left_over(found, change);
        let is_back = match place {
            Place::Attached(..) => found.attached,
            _ => says_the_same(text, change.before.as_deref()),
        };
        let is_before = is_back && left_over.is_none();
        if let Phase::Held(_) = row.phase {
            return if is_before {
                Decision::InPlace(Reason::undone_before())
            } else {
                Decision::decline("not-standing", format!("{place} is no change of ours that stands"))
            };
        }
        let reason = Reason::new("restored", format!("an operator gave {place} back as it was"));
        // Attached again, a policy grants what it says today. AWS's own may have been updated.
        let is_what_it_was = match place {
            Place::Attached(_, arn) if !arn.is_aws_managed() => {
                says_the_same(found.policy.as_deref(), change.before.as_deref())
            }
            _ => true,
        };
        // Half-way, what took the policy's place is still there.
        let is_ours = if is_back {
            says_the_same(left_over, change.after.as_deref())
        } else {
            says_the_same(text, change.after.as_deref())
        };
        if is_before {
            Decision::InPlace(reason)
        } else if !is_what_it_was {
            let text = format!("{place} says something else today than when it was detached");
            Decision::decline("changed-since", text)
        } else if is_ours {
            // Once it is in force no more, only its number tells which version is ours.
            let ours = match place {
                Place::Managed(arn) if !is_back => {
                    let in_force = found.account.policy(arn).and_then(Policy::default_version);
                    in_force.map(|version| version.id.clone())
                }
                _ => change.ours.clone(),
            };
            let change = Revocation { ours, ..change.clone() };
            Decision::Act(Step::Revert(change), reason)
        } else {
            let what = match &change.after {
                Some(ours) => difference(ours, text),
                None => "there is a policy again".to_owned(),
            };
            Decision::decline("changed-since", format!("{place} has been changed since: {what}"))
        }
    }

    /// What took the place of an attached policy, or of a version, if it is still there beside what is back.
    fn left_over<'b>(&self, found: &'b Found, change: &Revocation) -> Option<&'b str> {
        change.after.as_ref()?;
        match self.place {
            Place::Attached(bearer, arn) => {
                let inline = &found.account.holder(bearer)?.inline;
                inline.get(&replacement(arn.name())).map(String::as_str)
            }
            Place::Managed(arn) => {
                let mut others = found.account.policy(arn)?.versions.iter().filter(|one| !one.is_default);
                let ours = others.find(|one| Some(&one.id) == change.ours.as_ref())?;
                Some(ours.document.as_str())
            }
            _ => None,
        }
    }

    fn row(&self, target: &Target) -> Option<&Standing<Revocation>> {
        let name = target.to_string();
        self.standing.iter().find(|row| row.target == name)
    }
}
