//! Who may do what.

use std::fmt;
use std::str::FromStr;

/// What a key may do. Each role may do all that the one before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// List and load.
    Reader,
    /// And create, change, commit, rename and drop.
    Writer,
    /// And administer the organisation: keys, warehouses, usage.
    Admin,
}

/// What is about to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Look at something, or report that one did.
    Read,
    /// Change something in the catalog.
    Write,
    /// Change the organisation itself.
    Administer,
}

impl Role {
    /// Whether this role may do that.
    #[must_use]
    pub fn allows(self, action: Action) -> bool {
        match action {
            Action::Read => true,
            Action::Write => self >= Self::Writer,
            Action::Administer => self >= Self::Admin,
        }
    }

    /// The role's name, as the command line, tokens and the store write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Writer => "writer",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// There is no such role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a role: use reader, writer or admin")]
pub struct UnknownRole(String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "reader" => Ok(Self::Reader),
            "writer" => Ok(Self::Writer),
            "admin" => Ok(Self::Admin),
            other => Err(UnknownRole(other.chars().take(40).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_do_what_the_one_before_it_may() {
        let allowed = |role: Role| [Action::Read, Action::Write, Action::Administer].map(|action| role.allows(action));
        assert_eq!(allowed(Role::Reader), [true, false, false]);
        assert_eq!(allowed(Role::Writer), [true, true, false]);
        assert_eq!(allowed(Role::Admin), [true, true, true]);
    }

    #[test]
    fn a_role_survives_its_name() {
        for role in [Role::Reader, Role::Writer, Role::Admin] {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        assert!("root".parse::<Role>().is_err());
    }
}
