//! An account's users, roles, groups and policies at one moment, and what follows from them.

use std::collections::{BTreeMap, BTreeSet};

use remediation::{
    clock::Timestamp,
    ids::{PrincipalName, UniqueId},
    policy::{Document, Principal, Statement},
};

use crate::identity::{Bearer, Kind, Named, Place, PolicyArn};

/// All that `GetAccountAuthorizationDetails` tells.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    /// Its twelve digits.
    pub id: String,
    /// Users, roles and groups.
    pub holders: Vec<Holder>,
    /// Customer-managed policies.
    pub policies: Vec<Policy>,
}

/// A user, role or group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Which.
    pub bearer: Bearer,
    /// Its path, from slash to slash.
    pub path: String,
    /// Its tags; groups have none.
    pub tags: BTreeMap<String, String>,
    /// Since when it exists.
    pub created: Option<Timestamp>,
    /// The managed policies that it has.
    pub attached: Vec<PolicyArn>,
    /// The inline policies that it has: name and text.
    pub inline: BTreeMap<String, String>,
    /// The managed policy that bounds what its policies grant.
    pub boundary: Option<PolicyArn>,
    /// A user's groups.
    pub groups: Vec<PrincipalName>,
    /// A role's trust policy.
    pub trust: Option<String>,
    /// When a role was last used, within the 400 days that IAM keeps account of.
    pub last_used: Option<Timestamp>,
}

/// A customer-managed policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its ARN.
    pub arn: PolicyArn,
    /// Its unique id.
    pub id: UniqueId,
    /// When a version was last made.
    pub updated: Option<Timestamp>,
    /// At most five, one of them the default.
    pub versions: Vec<Version>,
}

/// One version of a managed policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// `v1` and on; a number is not used again.
    pub id: String,
    /// Whether it is in force.
    pub is_default: bool,
    /// Its text.
    pub document: String,
}

impl Version {
    fn number(&self) -> u32 {
        self.id.trim_start_matches('v').parse().unwrap_or(u32::MAX)
    }
}

/// What IAM takes of managed policies: with one more a version has to go.
const MOST_VERSIONS: usize = 5;

impl Policy {
    /// The version in force.
    #[must_use]
    pub fn default_version(&self) -> Option<&Version> {
        self.versions.iter().find(|version| version.is_default)
    }

    /// The version that has to go to make room for another; `None`: there is room.
    #[must_use]
    pub fn in_the_way(&self) -> Option<&Version> {
        let others = self.versions.iter().filter(|version| !version.is_default);
        others
            .min_by_key(|version| version.number())
            .filter(|_| self.versions.len() >= MOST_VERSIONS)
    }
}

/// What is about to be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss<'a> {
    /// What the policy at this place grants.
    Policy(&'a Place),
    /// This user, or role, altogether.
    Bearer(&'a Bearer),
}

/// What a name, or an id, turns out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'a> {
    /// This one.
    Holder(&'a Holder),
    /// Somebody else has the name by now.
    Another(&'a Holder),
    /// Nobody.
    Nobody,
}

/// The AWS-managed policy that makes administrators.
const ADMINISTRATOR: &str = "AdministratorAccess";

impl Holder {
    /// How settings name it: `role/path/NAME`.
    #[must_use]
    pub fn with_path(&self) -> String {
        format!("{}{}{}", self.bearer.kind, self.path, self.bearer.name)
    }

    /// Made by AWS for a service, or by Identity Center for a permission set: nobody else may change it.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.path.starts_with("/aws-service-role/") || self.path.starts_with("/aws-reserved/")
    }

    /// How many characters its inline policies count, without white space as IAM does, leaving one out.
    #[must_use]
    pub fn inline_size(&self, except: &str) -> usize {
        let others = self.inline.iter().filter(|(name, _)| *name != except);
        others.map(|(_, text)| size(text)).sum()
    }

    /// Whether somebody may be this user or role who is not an AWS service.
    fn may_be_a_person(&self) -> bool {
        let Some(trust) = &self.trust else {
            return self.bearer.kind == Kind::User;
        };
        let Ok(trust) = Document::parse(trust) else {
            return true;
        };
        let is_person = |principal: &Principal| !matches!(principal, Principal::Service(_));
        let mut statements = trust.statements().filter(|one| one.is_allow());
        statements.any(|one| one.principals().iter().any(is_person))
    }

    /// Whether somebody certainly can be this user or role who needs no right of this account for it: who comes from another
    /// account, unconditionally, or by a SAML provider. The account's own principals need `sts:AssumeRole`, which they may be
    /// about to lose.
    fn is_for_people(&self, own: &str) -> bool {
        let Some(trust) = self.trust.as_deref().map(Document::parse) else {
            return self.bearer.kind == Kind::User;
        };
        let is_certain = |one: &Statement, principal: &Principal| match principal {
            Principal::Aws {
                account: Some(account), ..
            } => one.condition().is_none() && account != own,
            Principal::Other(kind, name) => kind == "Federated" && name.contains(":saml-provider/"),
            _ => false,
        };
        trust.is_ok_and(|trust| {
            let denies = trust.statements().any(|one| !one.is_understood() || one.is_deny());
            let mut allowing = trust.statements().filter(|one| one.is_allow());
            !denies && allowing.any(|one| one.principals().iter().any(|principal| is_certain(one, principal)))
        })
    }
}

/// The size of a policy as IAM counts it: characters, without white space.
#[must_use]
pub fn size(text: &str) -> usize {
    text.chars().filter(|c| !c.is_whitespace()).count()
}

impl Account {
    /// Who this is.
    #[must_use]
    pub fn find(&self, named: &Named) -> Found<'_> {
        let of_kind = |holder: &&Holder| holder.bearer.kind == named.kind;
        let found = self
            .holders
            .iter()
            .filter(of_kind)
            .find(|holder| match (&named.name, &named.id) {
                // IAM tells names apart by their letters, not by their case.
                (Some(name), _) => name.as_str().eq_ignore_ascii_case(holder.bearer.name.as_str()),
                (None, Some(id)) => *id == holder.bearer.id,
                (None, None) => false,
            });
        match (found, &named.id) {
            (None, _) => Found::Nobody,
            (Some(holder), Some(id)) if *id != holder.bearer.id => Found::Another(holder),
            (Some(holder), _) => Found::Holder(holder),
        }
    }

    /// The holder of this name and id.
    #[must_use]
    pub fn holder(&self, bearer: &Bearer) -> Option<&Holder> {
        self.holders
            .iter()
            .find(|holder| holder.bearer.kind == bearer.kind && holder.bearer.id == bearer.id)
    }

    /// The customer-managed policy with this ARN.
    #[must_use]
    pub fn policy(&self, arn: &PolicyArn) -> Option<&Policy> {
        self.policies.iter().find(|policy| policy.arn == *arn)
    }

    /// Who has this managed policy.
    pub fn holders_of(&self, arn: &PolicyArn) -> impl Iterator<Item = &Holder> {
        self.holders.iter().filter(move |holder| holder.attached.contains(arn))
    }

    /// Who is bounded by this managed policy.
    pub fn bounded_by(&self, arn: &PolicyArn) -> impl Iterator<Item = &Holder> {
        self.holders
            .iter()
            .filter(move |holder| holder.boundary.as_ref() == Some(arn))
    }

    /// The users of a group; of anybody else, none.
    pub fn members(&self, group: &Bearer) -> impl Iterator<Item = &Holder> {
        self.holders
            .iter()
            .filter(move |holder| group.kind == Kind::Group && holder.groups.contains(&group.name))
    }

    /// Everybody whom a policy at this place reaches: those who have it, and the members of groups among them.
    #[must_use]
    pub fn reached(&self, place: &Place) -> Vec<&Holder> {
        let direct: Vec<&Holder> = match place {
            Place::Managed(arn) => self.holders_of(arn).collect(),
            Place::Bucket(_) => Vec::new(),
            Place::Inline(bearer, _) | Place::Attached(bearer, _) | Place::Trust(bearer) => {
                self.holder(bearer).into_iter().collect()
            }
        };
        let mut reached = direct.clone();
        for holder in direct {
            reached.extend(self.members(&holder.bearer));
        }
        let mut seen = BTreeSet::new();
        reached.retain(|holder| seen.insert(&holder.bearer));
        reached
    }

    /// Who would certainly still be an administrator afterwards: users, and roles that people can be, with everything allowed,
    /// nothing denied, and no boundary below that. Not the root user.
    pub fn administrators_after<'a>(&'a self, loss: &'a Loss<'a>) -> impl Iterator<Item = &'a Holder> {
        self.holders.iter().filter(move |holder| {
            let (is_spared, without) = match loss {
                Loss::Policy(place) => (true, Some(*place)),
                Loss::Bearer(bearer) => (holder.bearer != **bearer, None),
            };
            is_spared
                && holder.bearer.kind != Kind::Group
                && holder.is_for_people(&self.id)
                && self.is_administrator(holder, without)
        })
    }

    /// Whether somebody may administer the account as this user or role, under whatever conditions.
    #[must_use]
    pub fn may_administer(&self, holder: &Holder) -> bool {
        let allows = crate::iam::makes_administrator;
        let is_administration = |arn: &PolicyArn| match self.policy(arn).and_then(Policy::default_version) {
            Some(version) => allows(&version.document),
            None => [ADMINISTRATOR, "IAMFullAccess"].contains(&arn.name()),
        };
        holder.may_be_a_person()
            && self.sources(holder).any(|source| {
                source.attached.iter().any(is_administration) || source.inline.values().any(|text| allows(text))
            })
    }

    /// The holder itself, and its groups.
    fn sources<'a>(&'a self, holder: &'a Holder) -> impl Iterator<Item = &'a Holder> {
        let is_group = |group: &&Holder| group.bearer.kind == Kind::Group && holder.groups.contains(&group.bearer.name);
        std::iter::once(holder).chain(self.holders.iter().filter(is_group))
    }

    fn is_administrator(&self, holder: &Holder, without: Option<&Place>) -> bool {
        let is_unbounded = match &holder.boundary {
            None => true,
            Some(arn) if arn.is_aws_managed() => arn.name() == ADMINISTRATOR,
            Some(arn) => without != Some(&Place::Managed(arn.clone())) && self.makes_administrator(arn) == Some(true),
        };
        let mut verdicts = Vec::new();
        // A policy whose text is not known may deny something.
        for source in self.sources(holder) {
            for arn in &source.attached {
                let is_meant = match without {
                    Some(Place::Managed(cut)) => cut == arn,
                    Some(Place::Attached(bearer, cut)) => *bearer == source.bearer && cut == arn,
                    _ => false,
                };
                if !is_meant {
                    verdicts.push(self.makes_administrator(arn));
                }
            }
            for (name, text) in &source.inline {
                let is_meant =
                    matches!(without, Some(Place::Inline(bearer, cut)) if *bearer == source.bearer && cut == name);
                if !is_meant {
                    verdicts.push(says_administrator(text));
                }
            }
        }
        is_unbounded && verdicts.contains(&Some(true)) && !verdicts.contains(&None)
    }

    /// Whether a managed policy makes administrators; `None`: it may deny something.
    fn makes_administrator(&self, arn: &PolicyArn) -> Option<bool> {
        if arn.is_aws_managed() {
            let denies = arn.name().contains("Deny") || arn.name().contains("Quarantine");
            return (!denies).then(|| arn.name() == ADMINISTRATOR);
        }
        says_administrator(&self.policy(arn)?.default_version()?.document)
    }
}

fn says_administrator(text: &str) -> Option<bool> {
    let document = Document::parse(text).ok()?;
    let is_clear = document.statements().all(|one| one.is_understood() && one.is_allow());
    is_clear.then(|| document.makes_administrator())
}
