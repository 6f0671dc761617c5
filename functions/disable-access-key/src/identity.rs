//! Who and what is acted on: users, roles, keys, by names that cannot be mixed up.

use std::fmt;

use remediation::ids::{KeyId, PrincipalName, UniqueId};
use serde::{Deserialize, Serialize};

/// A user as a finding names it, or as IAM does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum User {
    /// As IAM knows it: name and id belong together.
    Known {
        /// Its name.
        name: PrincipalName,
        /// Its unique id.
        id: UniqueId,
        /// Its path, from slash to slash.
        #[serde(default = "root_path", skip_serializing_if = "is_root_path")]
        path: String,
    },
    /// By a name, and maybe an id that the name must still have.
    Named(PrincipalName, Option<UniqueId>),
    /// By its unique id alone.
    Id(UniqueId),
    /// As the owner of a key.
    OwnerOf(KeyId),
}

/// The path of those that were given none.
pub(crate) fn root_path() -> String {
    "/".to_owned()
}

fn is_root_path(path: &str) -> bool {
    path == "/"
}

impl User {
    /// The name, once it is known.
    #[must_use]
    pub fn name(&self) -> Option<&PrincipalName> {
        match self {
            Self::Known { name, .. } | Self::Named(name, _) => Some(name),
            Self::Id(_) | Self::OwnerOf(_) => None,
        }
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known { name, .. } | Self::Named(name, None) => write!(f, "user/{name}"),
            Self::Named(name, Some(id)) => write!(f, "user/{name} ({id})"),
            Self::Id(id) => write!(f, "user/{id}"),
            Self::OwnerOf(key) => write!(f, "owner of {key}"),
        }
    }
}

/// A role, by its name, and by the id that the name must still have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Role {
    /// Its name.
    pub name: PrincipalName,
    /// Its unique id; always there once IAM was asked.
    pub id: Option<UniqueId>,
    /// Its path, from slash to slash, as IAM has it.
    #[serde(default = "root_path", skip_serializing_if = "is_root_path")]
    pub path: String,
}

/// Whose sessions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Principal {
    /// A user's: from `GetSessionToken`, `GetFederationToken` or the console.
    User(User),
    /// A role's.
    Role(Role),
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => user.fmt(f),
            Self::Role(role) => write!(f, "role/{}", role.name),
        }
    }
}

/// Why a key is to be disabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// It is older than it may be: IAM.3, `access-keys-rotated`.
    Rotation,
    /// It was not used for longer than is allowed: IAM.8, `iam-user-unused-credentials-check`, IAM Access Analyzer.
    Unused,
    /// The same after the 45 days of IAM.22.
    #[serde(rename = "unused-45")]
    Unused45,
}

impl Rule {
    /// Whether the rule is about passwords as well.
    #[must_use]
    pub fn covers_passwords(self) -> bool {
        matches!(self, Self::Unused | Self::Unused45)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rotation => "rotation",
            Self::Unused => "unused",
            Self::Unused45 => "unused-45",
        })
    }
}

/// What is acted on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// Whatever of a user's credentials violates a rule. IAM says which keys there are: one [`Self::Key`] each.
    Credentials(User, Rule),
    /// A key that may violate a rule.
    Key(User, KeyId, Rule),
    /// A password that may violate a rule.
    Password(User, Rule),
    /// A key in an attacker's hands.
    CompromisedKey(User, KeyId),
    /// Temporary credentials in an attacker's hands.
    Sessions(Principal),
    /// What no function can, or should, deal with: who, a word for it, and what a person has to do.
    Beyond {
        /// Who or what.
        subject: String,
        /// A stable word.
        code: String,
        /// What there is to do, and why by a person.
        advice: String,
    },
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Credentials(user, rule) => write!(f, "{user} ({rule})"),
            Self::Key(user, key, rule) => write!(f, "{user} {key} ({rule})"),
            Self::Password(user, rule) => write!(f, "{user} password ({rule})"),
            Self::CompromisedKey(user, key) => write!(f, "{user} {key} (compromised)"),
            Self::Sessions(principal) => write!(f, "{principal} sessions"),
            Self::Beyond { subject, code, .. } => write!(f, "{subject} ({code})"),
        }
    }
}

/// What one look, and one write, covers. Steps that must not stop each other are scopes of their own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// A user's keys and password.
    Credentials(User),
    /// A principal's temporary credentials.
    Sessions(Principal),
    /// Nothing in IAM: a person has to look.
    Beyond(String),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with_id = |f: &mut fmt::Formatter<'_>, id: Option<&UniqueId>| id.map_or(Ok(()), |id| write!(f, "/{id}"));
        let user = |f: &mut fmt::Formatter<'_>, user: &User| {
            user.fmt(f)?;
            with_id(
                f,
                if let User::Known { id, .. } = user {
                    Some(id)
                } else {
                    None
                },
            )
        };
        match self {
            Self::Credentials(who) => {
                f.write_str("credentials/")?;
                user(f, who)
            }
            Self::Sessions(Principal::User(who)) => {
                f.write_str("sessions/")?;
                user(f, who)
            }
            Self::Sessions(Principal::Role(role)) => {
                write!(f, "sessions/role/{}", role.name)?;
                with_id(f, role.id.as_ref())
            }
            Self::Beyond(subject) => write!(f, "beyond/{subject}"),
        }
    }
}

impl Target {
    /// Where it is dealt with.
    #[must_use]
    pub fn scope(&self) -> Scope {
        match self {
            Self::Credentials(user, _)
            | Self::Key(user, ..)
            | Self::Password(user, _)
            | Self::CompromisedKey(user, _) => Scope::Credentials(user.clone()),
            Self::Sessions(principal) => Scope::Sessions(principal.clone()),
            Self::Beyond { subject, .. } => Scope::Beyond(subject.clone()),
        }
    }

    /// The user or role that it is about, as settings name it: `user/NAME` or `role/NAME`.
    #[must_use]
    pub fn principal(&self) -> Option<String> {
        match self {
            Self::Credentials(user, _)
            | Self::Key(user, ..)
            | Self::Password(user, _)
            | Self::CompromisedKey(user, _)
            | Self::Sessions(Principal::User(user)) => user.name().map(|name| format!("user/{name}")),
            Self::Sessions(Principal::Role(role)) => Some(format!("role/{}", role.name)),
            Self::Beyond { .. } => None,
        }
    }

    /// What exemptions may call it: the user or role with its path, and without.
    pub(crate) fn resources(&self) -> Vec<String> {
        let with_path = match self {
            Self::Credentials(user, _)
            | Self::Key(user, ..)
            | Self::Password(user, _)
            | Self::CompromisedKey(user, _)
            | Self::Sessions(Principal::User(user)) => match user {
                User::Known { name, path, .. } => Some(format!("user{path}{name}")),
                _ => None,
            },
            Self::Sessions(Principal::Role(Role { name, path, .. })) => Some(format!("role{path}{name}")),
            Self::Beyond { .. } => None,
        };
        with_path.into_iter().chain(self.principal()).collect()
    }
}
