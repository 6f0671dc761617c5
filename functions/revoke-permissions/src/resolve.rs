//! Which policies a finding means. A name that meanwhile belongs to somebody else means nobody.

use remediation::{Resolution, failure::Failure, outcome::Reason};

use crate::{
    account::{self, Account, Holder},
    decide::QUARANTINE,
    iam::{Advice, Policies, Recommendation},
    identity::{Analysis, Demand, Named, Place, PolicyArn, Recommended, Target},
};

/// The claimed target in IAM's own terms.
pub(crate) async fn resolve<P: Policies>(policies: &P, claimed: Target) -> Result<Resolution<Target>, Failure> {
    if matches!(claimed, Target::At(Place::Bucket(_), _) | Target::Beyond { .. }) {
        return Ok(Resolution::Targets(vec![claimed]));
    }
    let account = policies.account().await?;
    Ok(match claimed {
        Target::Policy(arn, demand) => policy(&account, &arn, demand),
        Target::PolicyId(id, demand) => match account.policies.iter().find(|policy| policy.id == id) {
            Some(policy) => at(Place::Managed(policy.arn.clone()), demand),
            None => declined(
                "no-such-policy",
                format!("no customer-managed policy has the id {id} any more"),
            ),
        },
        Target::InlineOf(named, demand) => known(&account, &named, |holder| inline(holder, &demand)),
        Target::AttachedTo(named, listed) => known(&account, &named, |holder| attached(holder, &listed)),
        Target::UnusedRole(named) => known(&account, &named, |holder| {
            at(
                Place::Inline(holder.bearer.clone(), QUARANTINE.to_owned()),
                Demand::UnusedRole,
            )
        }),
        Target::TrustOf(named, demand) => known(&account, &named, |holder| {
            at(Place::Trust(holder.bearer.clone()), demand.clone())
        }),
        Target::PoliciesOf(named) => known(&account, &named, on_user),
        Target::UnusedPermissions(named, analysis) => {
            // Nobody is to be analysed who is not there.
            let holder = match find(&account, &named) {
                Ok(holder) => holder,
                Err(reason) => return Ok(Resolution::Declined(reason)),
            };
            unused(&account, holder, &analysis, policies.recommendation(&analysis).await?)
        }
        Target::At(place, demand) => still(&account, place, demand),
        Target::Beyond { .. } => Resolution::Targets(vec![claimed]),
    })
}

fn declined(code: &str, text: impl Into<String>) -> Resolution<Target> {
    Resolution::Declined(Reason::new(code, text))
}

fn at(place: Place, demand: Demand) -> Resolution<Target> {
    Resolution::Targets(vec![Target::At(place, demand)])
}

fn beyond(subject: String, code: &str, advice: String) -> Target {
    Target::Beyond {
        subject,
        code: code.to_owned(),
        advice,
    }
}

fn find<'a>(account: &'a Account, named: &Named) -> Result<&'a Holder, Reason> {
    match account.find(named) {
        account::Found::Holder(holder) => Ok(holder),
        account::Found::Another(holder) => {
            let text = format!(
                "{named} was deleted, and another one has its name: {}",
                holder.bearer.id
            );
            Err(Reason::new("another-bearer", text))
        }
        account::Found::Nobody => Err(Reason::new(
            "no-such-principal",
            format!("there is no {named} any more"),
        )),
    }
}

fn known(account: &Account, named: &Named, then: impl FnOnce(&Holder) -> Resolution<Target>) -> Resolution<Target> {
    find(account, named).map_or_else(Resolution::Declined, then)
}

fn policy(account: &Account, arn: &PolicyArn, demand: Demand) -> Resolution<Target> {
    // AWS's own are escalated, with what to do instead.
    if arn.is_aws_managed() || account.policy(arn).is_some() {
        return at(Place::Managed(arn.clone()), demand);
    }
    declined("no-such-policy", format!("there is no {arn} any more"))
}

/// Stands for an inline policy that is not there: none can have this name.
const ANY: &str = "*";

/// Our own inline policies only deny.
fn inline(holder: &Holder, demand: &Demand) -> Resolution<Target> {
    let bearer = &holder.bearer;
    let names = holder
        .inline
        .keys()
        .filter(|name| !name.starts_with("SecureCartRevoke") && *name != QUARANTINE);
    let target = |name: &String| Target::At(Place::Inline(bearer.clone(), name.clone()), demand.clone());
    let targets: Vec<_> = names.map(target).collect();
    if targets.is_empty() {
        // So that it is said to be in order: it may be so because this finding came before.
        return at(Place::Inline(bearer.clone(), ANY.to_owned()), demand.clone());
    }
    Resolution::Targets(targets)
}

fn attached(holder: &Holder, listed: &[PolicyArn]) -> Resolution<Target> {
    let target = |arn: &PolicyArn| Target::At(Place::Attached(holder.bearer.clone(), arn.clone()), Demand::TheWhole);
    let has: Vec<_> = listed
        .iter()
        .filter(|arn| holder.attached.contains(arn))
        .map(target)
        .collect();
    if has.is_empty() {
        // So that each is said to be in order.
        return Resolution::Targets(listed.iter().map(target).collect());
    }
    Resolution::Targets(has)
}

/// IAM.2 wants policies on groups. Which group fits, no function can know.
fn on_user(holder: &Holder) -> Resolution<Target> {
    let user = &holder.bearer.name;
    let detach = |arn: &PolicyArn| {
        format!(
            "aws iam detach-user-policy --user-name {user} --policy-arn {}",
            arn.as_str()
        )
    };
    let delete = |name: &String| format!("aws iam delete-user-policy --user-name {user} --policy-name {name}");
    let commands: Vec<_> = holder
        .attached
        .iter()
        .map(detach)
        .chain(holder.inline.keys().map(delete))
        .collect();
    if commands.is_empty() {
        return declined(
            "no-policies",
            format!("{} has no policy of its own any more", holder.bearer),
        );
    }
    let advice = format!(
        "{} has {} of its own. Put the user into a group that has what it needs (aws iam add-user-to-group --user-name {user} \
         --group-name GROUP), then: {}",
        holder.bearer,
        if commands.len() == 1 {
            "a policy".to_owned()
        } else {
            format!("{} policies", commands.len())
        },
        commands.join("; ")
    );
    Resolution::Targets(vec![beyond(holder.bearer.to_string(), "policies-on-user", advice)])
}

/// Where each recommended policy goes. One that others have as well stays as it is: this bearer gets the recommended one inline
/// in its place.
fn unused(
    account: &Account,
    holder: &Holder,
    analysis: &Analysis,
    recommendation: Recommendation,
) -> Resolution<Target> {
    let steps = match recommendation {
        Recommendation::Steps(steps) => steps,
        Recommendation::None(why) => {
            let advice = format!(
                "IAM Access Analyzer has no recommendation for what {} does not use: {why}. Look at the finding {}",
                holder.bearer, analysis.finding
            );
            return Resolution::Targets(vec![beyond(holder.bearer.to_string(), "no-recommendation", advice)]);
        }
    };
    let targets: Vec<_> = one_each(&steps)
        .into_iter()
        .map(|advice| match advice {
            Ok(advice) => advised(account, holder, advice),
            Err(policy) => beyond(
                holder.bearer.to_string(),
                "several-policies",
                format!(
                    "IAM Access Analyzer recommends several policies in the place of {policy}: look at the finding {}",
                    analysis.finding
                ),
            ),
        })
        .collect();
    if targets.is_empty() {
        return declined(
            "nothing-unused",
            format!("nothing is recommended for {} any more", holder.bearer),
        );
    }
    Resolution::Targets(targets)
}

/// What is recommended for each policy. Its replacement may come together with the step that detaches it, which then is part of
/// the replacement; two replacements of one policy are more than this function can weigh.
fn one_each(steps: &[Advice]) -> Vec<Result<&Advice, &str>> {
    let mut policies: Vec<&str> = steps.iter().map(|advice| advice.policy.as_str()).collect();
    policies.sort_unstable();
    policies.dedup();
    let of_policy = |policy: &str| -> Vec<&Advice> { steps.iter().filter(|advice| advice.policy == policy).collect() };
    let chosen = policies.into_iter().filter_map(|policy| {
        let all = of_policy(policy);
        let mut replacing = all.iter().filter(|advice| advice.document.is_some());
        match (replacing.next(), replacing.next()) {
            (Some(_), Some(_)) => Some(Err(policy)),
            (Some(advice), None) => Some(Ok(*advice)),
            (None, _) => all.first().map(|advice| Ok(*advice)),
        }
    });
    chosen.collect()
}

fn advised(account: &Account, holder: &Holder, advice: &Advice) -> Target {
    let bearer = &holder.bearer;
    let demand = Demand::Unused(Recommended {
        document: advice.document.clone(),
        updated: advice.updated,
    });
    let name = advice.policy.as_str();
    let is_meant = |arn: &&PolicyArn| {
        let id = account.policy(arn).map(|policy| policy.id.as_str());
        arn.as_str() == name || id == Some(name)
    };
    let by_name = |arn: &&PolicyArn| arn.name() == name;
    let known = holder.attached.iter().find(is_meant).cloned();
    let inline = holder.inline.contains_key(name);
    let named = known.or_else(|| holder.attached.iter().find(by_name).filter(|_| !inline).cloned());
    // One that is not there any more is in order: it may be so because this finding came before.
    let gone = || {
        PolicyArn::parse(name).or_else(|| {
            account
                .policies
                .iter()
                .find(|policy| policy.id.as_str() == name)
                .map(|policy| policy.arn.clone())
        })
    };
    let Some(arn) = &named.or_else(gone) else {
        return Target::At(Place::Inline(bearer.clone(), name.to_owned()), demand);
    };
    let is_its_own = account.policy(arn).is_some() && account.reached(&Place::Managed(arn.clone())).len() == 1;
    if is_its_own && advice.document.is_some() {
        Target::At(Place::Managed(arn.clone()), demand)
    } else {
        Target::At(Place::Attached(bearer.clone(), arn.clone()), demand)
    }
}

/// A plan may have waited for approval while its bearer was deleted and another took the name.
fn still(account: &Account, place: Place, demand: Demand) -> Resolution<Target> {
    if let Some(bearer) = place.bearer() {
        let named = Named {
            kind: bearer.kind,
            name: Some(bearer.name.clone()),
            id: Some(bearer.id.clone()),
        };
        if let Err(reason) = find(account, &named) {
            return Resolution::Declined(reason);
        }
    }
    at(place, demand)
}
