//! Which users, roles and keys a finding means. A name that meanwhile belongs to somebody else means nobody.

use remediation::{
    Resolution,
    failure::Failure,
    ids::{PrincipalName, UniqueId},
    outcome::Reason,
};

use crate::{
    claim::sso,
    iam::{Account, Iam, Owner},
    identity::{Principal, Role, Rule, Target, User},
};

/// The claimed target in IAM's own terms.
pub(crate) async fn resolve<I: Iam>(iam: &I, claimed: Target) -> Result<Resolution<Target>, Failure> {
    let user = match &claimed {
        Target::Sessions(Principal::Role(role)) => return sessions_of(iam, role).await,
        Target::Beyond { .. } => return Ok(Resolution::Targets(vec![claimed])),
        Target::Credentials(user, _)
        | Target::Key(user, ..)
        | Target::Password(user, _)
        | Target::CompromisedKey(user, _)
        | Target::Sessions(Principal::User(user)) => user.clone(),
    };
    let user = match find(iam, user).await? {
        Found::User(user) => user,
        Found::Root => return Ok(Resolution::Targets(vec![root()])),
        Found::Nobody(reason) => return Ok(Resolution::Declined(reason)),
    };
    match claimed {
        Target::Credentials(_, rule) => credentials(iam, user, rule).await,
        Target::Key(_, key, rule) => Ok(Resolution::Targets(vec![Target::Key(user, key, rule)])),
        Target::Password(_, rule) => Ok(Resolution::Targets(vec![Target::Password(user, rule)])),
        Target::CompromisedKey(_, key) => Ok(Resolution::Targets(vec![Target::CompromisedKey(user, key)])),
        _ => Ok(Resolution::Targets(vec![Target::Sessions(Principal::User(user))])),
    }
}

enum Found {
    User(User),
    Root,
    Nobody(Reason),
}

async fn find<I: Iam>(iam: &I, user: User) -> Result<Found, Failure> {
    Ok(match user {
        // A plan may have waited for approval while its user was deleted and another took the name.
        User::Known { name, id, .. } => of_name(iam.user(&name).await?, &name, Some(&id)),
        User::Named(name, id) => of_name(iam.user(&name).await?, &name, id.as_ref()),
        User::Id(id) => match iam.user_with_id(&id).await? {
            Some(account) => Found::User(account.into()),
            None => Found::Nobody(Reason::new("no-such-user", format!("no user has the id {id} any more"))),
        },
        User::OwnerOf(key) => match iam.owner(&key).await? {
            Owner::User(name) => of_name(iam.user(&name).await?, &name, None),
            Owner::Root => Found::Root,
            Owner::Nobody => Found::Nobody(Reason::new(
                "no-such-key",
                format!("the key {key} does not exist any more"),
            )),
        },
    })
}

fn of_name(account: Option<Account>, name: &PrincipalName, id: Option<&UniqueId>) -> Found {
    match account {
        None => Found::Nobody(Reason::new("no-such-user", format!("there is no user {name} any more"))),
        Some(account) => match id {
            Some(id) if *id != account.id => Found::Nobody(reused("user", name, id, &account.id)),
            _ => Found::User(account.into()),
        },
    }
}

fn reused(what: &str, name: &PrincipalName, stated: &UniqueId, now: &UniqueId) -> Reason {
    let text =
        format!("the finding is about the {what} {name} with the id {stated}; the one of that name today is {now}");
    Reason::new("name-reused", text)
}

fn root() -> Target {
    Target::Beyond {
        subject: "Root/root".to_owned(),
        code: "root".to_owned(),
        advice: "the key belongs to the account's root user: sign in as root, delete the key, change the password, check MFA"
            .to_owned(),
    }
}

/// One target a key, so that each is decided, recorded and undone by itself.
async fn credentials<I: Iam>(iam: &I, user: User, rule: Rule) -> Result<Resolution<Target>, Failure> {
    let Some(name) = user.name() else {
        return Ok(Resolution::Targets(vec![Target::Credentials(user, rule)]));
    };
    let keys = iam.keys(name).await?.unwrap_or_default();
    let mut targets: Vec<_> = keys
        .into_iter()
        .map(|key| Target::Key(user.clone(), key.id, rule))
        .collect();
    if rule.covers_passwords() {
        targets.push(Target::Password(user, rule));
    } else if targets.is_empty() {
        targets.push(Target::Credentials(user, rule));
    }
    Ok(Resolution::Targets(targets))
}

async fn sessions_of<I: Iam>(iam: &I, role: &Role) -> Result<Resolution<Target>, Failure> {
    let Some(found) = iam.role(&role.name).await? else {
        let text = format!("there is no role {} any more", role.name);
        return Ok(Resolution::Declined(Reason::new("no-such-role", text)));
    };
    if let (Some(stated), Some(now)) = (&role.id, &found.id)
        && stated != now
    {
        return Ok(Resolution::Declined(reused("role", &role.name, stated, now)));
    }
    if found.path.starts_with("/aws-service-role/") {
        return Ok(Resolution::Targets(vec![Target::Beyond {
            subject: format!("role/{}", role.name),
            code: "service-linked-role".to_owned(),
            advice: "the sessions of a service-linked role cannot be revoked: contain the resource that the service runs for you"
                .to_owned(),
        }]));
    }
    if found.path.starts_with("/aws-reserved/sso.amazonaws.com/") {
        return Ok(Resolution::Targets(sso("compromised", &role.name)));
    }
    Ok(Resolution::Targets(vec![Target::Sessions(Principal::Role(found))]))
}
