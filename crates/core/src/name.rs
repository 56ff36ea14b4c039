//! The rules for names of namespaces, tables and warehouses.

use std::fmt;

/// Separates the levels of a namespace in the store and, unless a client asks for another separator, in URLs (REST
/// specification, path parameter `namespace`). No name may contain it.
pub const LEVEL_SEPARATOR: char = '\u{1F}';

/// The maximum length of a name, or of one level of a namespace, in bytes of UTF-8.
pub const MAX_NAME_BYTES: usize = 255;

/// The maximum number of levels of a namespace.
pub const MAX_NAMESPACE_LEVELS: usize = 16;

/// Warehouse names that are refused because the API's own paths use them.
pub const RESERVED_WAREHOUSE_NAMES: [&str; 10] =
    ["admin", "catalog", "config", "health", "namespaces", "oauth", "tables", "transactions", "v1", "views"];

/// Why a name is refused. The text says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The name has no characters.
    #[error("{what} must not be empty")]
    Empty {
        /// The kind of the name, for the message.
        what: &'static str,
    },
    /// The name is longer than [`MAX_NAME_BYTES`].
    #[error("{what} is too long: {len_bytes} bytes, of {MAX_NAME_BYTES} allowed")]
    TooLong {
        /// The kind of the name, for the message.
        what: &'static str,
        /// The length of the name.
        len_bytes: usize,
    },
    /// The name contains a control character.
    #[error("{what} must not contain control characters")]
    ControlCharacter {
        /// The kind of the name, for the message.
        what: &'static str,
    },
    /// The name is `.` or `..`. URL libraries remove these from a path, so no client could reach the object.
    #[error("{what} must not be '.' or '..'")]
    Dots {
        /// The kind of the name, for the message.
        what: &'static str,
    },
    /// The namespace has more than [`MAX_NAMESPACE_LEVELS`] levels.
    #[error("Namespace has too many levels: {levels}, of {MAX_NAMESPACE_LEVELS} allowed")]
    TooManyLevels {
        /// The number of levels.
        levels: usize,
    },
    /// The warehouse name is not valid in a URL, or the API's own paths use it.
    #[error("Invalid warehouse name '{name}': use 1 to 64 of a-z, A-Z, 0-9, '-', '_' and '.', starting with a letter or digit, and none of the API's own words ({})", RESERVED_WAREHOUSE_NAMES.join(", "))]
    Warehouse {
        /// The name, shortened to 80 characters.
        name: String,
    },
}

fn checked(what: &'static str, name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty { what });
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(NameError::TooLong { what, len_bytes: name.len() });
    }
    if name.chars().any(char::is_control) {
        return Err(NameError::ControlCharacter { what });
    }
    if name == "." || name == ".." {
        return Err(NameError::Dots { what });
    }
    Ok(())
}

/// A namespace: one or more levels, each a valid name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamespaceIdent {
    /// The levels joined by [`LEVEL_SEPARATOR`]; unambiguous, because no level contains it.
    key: String,
}

impl NamespaceIdent {
    /// Creates a namespace from its levels, outermost first.
    ///
    /// # Errors
    /// Fails if there is no level, there are too many, or a level is not a valid name.
    pub fn new<S: AsRef<str>>(levels: &[S]) -> Result<Self, NameError> {
        if levels.is_empty() {
            return Err(NameError::Empty { what: "Namespace" });
        }
        if levels.len() > MAX_NAMESPACE_LEVELS {
            return Err(NameError::TooManyLevels { levels: levels.len() });
        }
        let mut key = String::new();
        for level in levels {
            checked("Namespace level", level.as_ref())?;
            if !key.is_empty() {
                key.push(LEVEL_SEPARATOR);
            }
            key.push_str(level.as_ref());
        }
        Ok(Self { key })
    }

    /// Parses the form that [`NamespaceIdent::as_key`] returns. Decoded URLs have this form too.
    ///
    /// # Errors
    /// Same as [`NamespaceIdent::new`].
    pub fn from_key(key: &str) -> Result<Self, NameError> {
        if key.is_empty() {
            return Err(NameError::Empty { what: "Namespace" });
        }
        let levels = key.split(LEVEL_SEPARATOR).count();
        if levels > MAX_NAMESPACE_LEVELS {
            return Err(NameError::TooManyLevels { levels });
        }
        for level in key.split(LEVEL_SEPARATOR) {
            checked("Namespace level", level)?;
        }
        Ok(Self { key: key.to_owned() })
    }

    /// Returns the levels joined by [`LEVEL_SEPARATOR`], which is the store's key of the namespace.
    #[must_use]
    pub fn as_key(&self) -> &str {
        &self.key
    }

    /// Returns the levels, outermost first.
    pub fn levels(&self) -> impl Iterator<Item = &str> {
        self.key.split(LEVEL_SEPARATOR)
    }

    /// Returns the namespace one level up, or `None` for a top-level namespace.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.key.rsplit_once(LEVEL_SEPARATOR).map(|(parent, _)| Self { key: parent.to_owned() })
    }
}

impl fmt::Display for NamespaceIdent {
    /// Writes the levels joined by dots, for messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, level) in self.levels().enumerate() {
            if position > 0 {
                f.write_str(".")?;
            }
            f.write_str(level)?;
        }
        Ok(())
    }
}

impl fmt::Debug for NamespaceIdent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.levels()).finish()
    }
}

/// A table or view: a namespace and a name in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableIdent {
    /// The namespace that holds it.
    pub namespace: NamespaceIdent,
    /// The name in the namespace; valid by construction.
    name: String,
}

impl TableIdent {
    /// Creates the identifier of a table or view.
    ///
    /// # Errors
    /// Fails if `name` is empty, `.` or `..`, too long, or contains control characters.
    pub fn new(namespace: NamespaceIdent, name: &str) -> Result<Self, NameError> {
        checked("Table name", name)?;
        Ok(Self { namespace, name: name.to_owned() })
    }

    /// Returns the name inside the namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for TableIdent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.namespace, self.name)
    }
}

/// Checks a warehouse name. URLs contain it unescaped as the `prefix`.
///
/// # Errors
/// [`NameError::Warehouse`], which says what is allowed.
pub fn check_warehouse_name(name: &str) -> Result<(), NameError> {
    let starts_well = name.chars().next().is_some_and(|first| first.is_ascii_alphanumeric());
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if starts_well && plain && name.len() <= 64 && !RESERVED_WAREHOUSE_NAMES.contains(&name) {
        Ok(())
    } else {
        Err(NameError::Warehouse { name: name.chars().take(80).collect() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn namespace_parsed_from_its_key_is_the_same(levels in prop::collection::vec("[^\\p{Cc}]{1,20}", 1..5)) {
            prop_assume!(levels.iter().all(|level| level != "." && level != ".."));
            let namespace = NamespaceIdent::new(&levels).unwrap();
            prop_assert_eq!(NamespaceIdent::from_key(namespace.as_key()).unwrap(), namespace.clone());
            prop_assert_eq!(namespace.levels().collect::<Vec<_>>(), levels);
        }

        #[test]
        fn arbitrary_text_does_not_panic(text in any::<String>()) {
            let _ = NamespaceIdent::from_key(&text);
            let _ = check_warehouse_name(&text);
        }
    }

    #[test]
    fn ambiguous_or_too_long_name_is_refused() {
        assert_eq!(NamespaceIdent::from_key("a\u{1F}"), Err(NameError::Empty { what: "Namespace level" }));
        assert!(NamespaceIdent::new(&["a\u{1F}b"]).is_err());
        assert!(NamespaceIdent::new(&["x".repeat(256)]).is_err());
        assert!(NamespaceIdent::new::<&str>(&[]).is_err());
        assert_eq!(NamespaceIdent::new(&["a", ".."]), Err(NameError::Dots { what: "Namespace level" }));
        assert!(TableIdent::new(NamespaceIdent::new(&["a"]).unwrap(), ".").is_err());
        assert!(TableIdent::new(NamespaceIdent::new(&["a"]).unwrap(), "").is_err());
    }

    #[test]
    fn parent_is_one_level_up() {
        let nested = NamespaceIdent::new(&["a", "b.c", "d"]).unwrap();
        assert_eq!(nested.parent().unwrap().levels().collect::<Vec<_>>(), ["a", "b.c"]);
        assert_eq!(NamespaceIdent::new(&["a"]).unwrap().parent(), None);
        assert_eq!(nested.to_string(), "a.b.c.d");
    }

    #[test]
    fn warehouse_name_that_the_api_uses_or_a_url_escapes_is_refused() {
        assert!(check_warehouse_name("sales-2026").is_ok());
        for name in ["", "v1", "namespaces", "a/b", "a b", ".hidden", &"x".repeat(65)] {
            assert!(check_warehouse_name(name).is_err(), "{name}");
        }
    }
}
