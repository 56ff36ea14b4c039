//! Decides whether a caller may do an action to an object, from facts about all three.

mod action;
mod decision;
mod explain;
mod grants;
mod privilege;
mod restricted;

use std::fmt;
use std::str::FromStr;

pub use action::{Action, Required};
pub use decision::{
    Denial, Engine, Facts, Hidden, Object, Rule, Tabular, Target, Visibility, decide, decide_early, decide_through,
    may_change, may_within, restriction_of, sees_warehouse, visibility, visibility_alone,
};
pub use explain::{Explanation, Reason, explain};
pub use grants::{Granted, Grants, Securable};
pub use privilege::{Privilege, PrivilegeSet, SecurableKind, UnknownPrivilege};
pub use restricted::{Restricted, Restrictions, Withheld};

/// The built-in role of a key. It applies to all warehouses of the organisation, in addition to grants. Each role allows
/// everything that the role before it allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Allows nothing without grants.
    None,
    /// Allows listing and loading.
    Reader,
    /// Also allows creating, changing, committing, renaming and dropping.
    Writer,
    /// Also allows administering the organisation: keys, warehouses, usage.
    Admin,
}

impl Role {
    /// All roles, from the lowest to the highest.
    pub const ALL: [Self; 4] = [Self::None, Self::Reader, Self::Writer, Self::Admin];

    /// Returns the role's privileges on every warehouse of the organisation.
    #[must_use]
    pub const fn privileges(self) -> PrivilegeSet {
        const READER: PrivilegeSet = Privilege::CatalogReadProperties
            .implied()
            .with(Privilege::NamespaceReadProperties.implied())
            .with(Privilege::TableReadData.implied())
            .with(Privilege::ViewReadProperties.implied());
        match self {
            Self::None => PrivilegeSet::EMPTY,
            Self::Reader => READER,
            Self::Writer => Privilege::CatalogManageContent.implied(),
            Self::Admin => Privilege::CatalogManageContent.implied().with(Privilege::CatalogManageAccess.implied()),
        }
    }

    /// Returns the role's name, as the command line, tokens and the store write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
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

/// The error for a text that is no role's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a role: use none, reader, writer or admin")]
pub struct UnknownRole(String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self::None),
            "reader" => Ok(Self::Reader),
            "writer" => Ok(Self::Writer),
            "admin" => Ok(Self::Admin),
            other => Err(UnknownRole(other.chars().take(40).collect())),
        }
    }
}

/// The longest name of an organisation or a key, in characters.
pub const MAX_LABEL_CHARS: usize = 64;

/// Why a name is refused for an organisation or a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// The name is not valid for an organisation. People type these names on command lines.
    #[error(
        "'{0}' cannot be an organisation's name: use 1 to {MAX_LABEL_CHARS} of a-z, A-Z, 0-9, '-', '_' and '.', starting with a letter or digit"
    )]
    Organisation(String),
    /// The name is not valid for a key.
    #[error(
        "{0:?} cannot be a key's name: use 1 to {MAX_LABEL_CHARS} characters without control characters, and without spaces at the ends"
    )]
    Key(String),
}

/// Checks an organisation's name.
///
/// # Errors
/// [`LabelError::Organisation`], which says what is allowed.
pub fn check_organisation_name(name: &str) -> Result<(), LabelError> {
    let starts_well = name.starts_with(|first: char| first.is_ascii_alphanumeric());
    let reads_well = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    if starts_well && reads_well && name.len() <= MAX_LABEL_CHARS {
        return Ok(());
    }
    Err(LabelError::Organisation(shortened(name)))
}

/// Checks a key's name.
///
/// # Errors
/// [`LabelError::Key`], which says what is allowed.
pub fn check_key_name(name: &str) -> Result<(), LabelError> {
    let fits = !name.is_empty() && name.chars().count() <= MAX_LABEL_CHARS;
    if fits && name.trim() == name && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(LabelError::Key(shortened(name)))
}

/// The longest name of a principal role or catalog role, in characters.
pub const MAX_ROLE_NAME_CHARS: usize = 128;

/// Why a name is refused for a role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoleNameError {
    /// The name is empty or too long, or has a control character, or a space at its ends.
    #[error(
        "{0:?} cannot be a role's name: use 1 to {MAX_ROLE_NAME_CHARS} characters without control characters, and without spaces at the ends"
    )]
    Unreadable(String),
    /// A built-in role has the name.
    #[error("'{0}' is a built-in role: choose another name")]
    BuiltIn(Role),
}

/// Checks the name of a principal role or catalog role.
///
/// # Errors
/// [`RoleNameError`], which says what is allowed.
pub fn check_role_name(name: &str) -> Result<(), RoleNameError> {
    if let Ok(role) = name.to_ascii_lowercase().parse::<Role>() {
        return Err(RoleNameError::BuiltIn(role));
    }
    let fits = !name.is_empty() && name.chars().count() <= MAX_ROLE_NAME_CHARS;
    if fits && name.trim() == name && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(RoleNameError::Unreadable(shortened(name)))
}

fn shortened(name: &str) -> String {
    name.chars().take(MAX_LABEL_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_parsed_from_its_name_is_the_same_role() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        assert!("root".parse::<Role>().is_err());
    }

    #[test]
    fn role_name_that_is_not_one_line_or_is_built_in_is_refused() {
        for good in ["analysts", "Data Engineers", "eu/finance", &"é".repeat(128)] {
            assert_eq!(check_role_name(good), Ok(()));
        }
        for bad in ["", " a", "a\tb", &"é".repeat(129)] {
            assert!(matches!(check_role_name(bad), Err(RoleNameError::Unreadable(_))), "{bad:?}");
        }
        assert_eq!(check_role_name("Admin"), Err(RoleNameError::BuiltIn(Role::Admin)));
    }

    #[test]
    fn organisation_name_outside_plain_ascii_is_refused() {
        for good in ["acme", "Acme-2.eu_west", "7", &"a".repeat(64)] {
            assert_eq!(check_organisation_name(good), Ok(()));
        }
        for bad in ["", "-acme", "a b", "a/b", "é", "a\n", "a:b", &"a".repeat(65)] {
            assert!(check_organisation_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn key_name_that_is_not_one_readable_line_is_refused() {
        for good in ["ci", "Spark on Kubernetes", "Zoë's laptop", &"é".repeat(64)] {
            assert_eq!(check_key_name(good), Ok(()));
        }
        for bad in ["", " ", " ci", "a\nb", "\u{7}", &"é".repeat(65)] {
            assert!(check_key_name(bad).is_err(), "{bad:?}");
        }
    }
}
