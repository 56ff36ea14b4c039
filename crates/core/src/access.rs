//! Decides whether a caller may do an action to an object, from facts about all three.

mod action;
mod decision;
mod explain;
mod grants;
mod privilege;

use std::fmt;
use std::str::FromStr;

pub use action::{Action, Required};
pub use decision::{
    Denial, Facts, Hidden, Object, Rule, Tabular, Target, Visibility, decide, decide_early, may_change, sees_warehouse,
    visibility,
};
pub use explain::{Explanation, Reason, explain};
pub use grants::{Granted, Grants, Securable};
pub use privilege::{Privilege, PrivilegeSet, SecurableKind, UnknownPrivilege};

/// The built-in role of a key: what it may do in all warehouses of its organisation, whatever it was granted. Each role may
/// do all that the one before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Nothing but what was granted.
    None,
    /// List and load.
    Reader,
    /// And create, change, commit, rename and drop.
    Writer,
    /// And administer the organisation: keys, warehouses, usage.
    Admin,
}

impl Role {
    /// All roles, from the lowest.
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

    /// The role's name, as the command line, tokens and the store write it.
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

/// There is no such role.
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

/// A name for an organisation or a key that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// An organisation's name, which is typed on command lines.
    #[error(
        "'{0}' cannot be an organisation's name: use 1 to {MAX_LABEL_CHARS} of a-z, A-Z, 0-9, '-', '_' and '.', starting with a letter or digit"
    )]
    Organisation(String),
    /// A key's name, which is for people.
    #[error(
        "{0:?} cannot be a key's name: use 1 to {MAX_LABEL_CHARS} characters, none of them a control character, and no space at its ends"
    )]
    Key(String),
}

/// Whether an organisation can have that name.
///
/// # Errors
/// When it cannot; the text says what can.
pub fn check_organisation_name(name: &str) -> Result<(), LabelError> {
    let starts_well = name.starts_with(|first: char| first.is_ascii_alphanumeric());
    let reads_well = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    if starts_well && reads_well && name.len() <= MAX_LABEL_CHARS {
        return Ok(());
    }
    Err(LabelError::Organisation(shortened(name)))
}

/// Whether a key can have that name.
///
/// # Errors
/// When it cannot; the text says what can.
pub fn check_key_name(name: &str) -> Result<(), LabelError> {
    let fits = !name.is_empty() && name.chars().count() <= MAX_LABEL_CHARS;
    if fits && name.trim() == name && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(LabelError::Key(shortened(name)))
}

/// The longest name of a principal role or catalog role, in characters.
pub const MAX_ROLE_NAME_CHARS: usize = 128;

/// A name for a role that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoleNameError {
    /// It is empty, too long, has a control character, or a space at its ends.
    #[error(
        "{0:?} cannot be a role's name: use 1 to {MAX_ROLE_NAME_CHARS} characters, none of them a control character, and no space at its ends"
    )]
    Unreadable(String),
    /// It is that of a built-in role.
    #[error("'{0}' is a built-in role: choose another name")]
    BuiltIn(Role),
}

/// Checks whether a principal role or catalog role can have that name.
///
/// # Errors
/// When it cannot; the text says what can.
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
    fn a_role_survives_its_name() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        assert!("root".parse::<Role>().is_err());
    }

    #[test]
    fn role_name_is_one_line_and_not_built_in() {
        for good in ["analysts", "Data Engineers", "eu/finance", &"é".repeat(128)] {
            assert_eq!(check_role_name(good), Ok(()));
        }
        for bad in ["", " a", "a\tb", &"é".repeat(129)] {
            assert!(matches!(check_role_name(bad), Err(RoleNameError::Unreadable(_))), "{bad:?}");
        }
        assert_eq!(check_role_name("Admin"), Err(RoleNameError::BuiltIn(Role::Admin)));
    }

    #[test]
    fn an_organisations_name_can_be_typed_anywhere() {
        for good in ["acme", "Acme-2.eu_west", "7", &"a".repeat(64)] {
            assert_eq!(check_organisation_name(good), Ok(()));
        }
        for bad in ["", "-acme", "a b", "a/b", "é", "a\n", "a:b", &"a".repeat(65)] {
            assert!(check_organisation_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_keys_name_is_one_line_that_a_person_can_read() {
        for good in ["ci", "Spark on Kubernetes", "Zoë's laptop", &"é".repeat(64)] {
            assert_eq!(check_key_name(good), Ok(()));
        }
        for bad in ["", " ", " ci", "a\nb", "\u{7}", &"é".repeat(65)] {
            assert!(check_key_name(bad).is_err(), "{bad:?}");
        }
    }
}
