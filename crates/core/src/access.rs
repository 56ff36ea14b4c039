//! Decides whether a caller may do an action to an object, from facts about all three.

mod action;
mod decision;

use std::fmt;
use std::str::FromStr;

pub use action::Action;
pub use decision::{
    Denial, Facts, Object, Rule, Target, Visibility, decide, decide_early, decide_through, may_change, visibility,
};

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

impl Role {
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

fn shortened(name: &str) -> String {
    name.chars().take(MAX_LABEL_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_survives_its_name() {
        for role in [Role::Reader, Role::Writer, Role::Admin] {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        assert!("root".parse::<Role>().is_err());
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
