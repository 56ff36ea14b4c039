//! Names of namespaces, tables and warehouses: what is allowed, and how they are written.

use std::fmt;

/// What separates the levels of a namespace in a URL unless a client was told otherwise (REST specification, `namespace`
/// path parameter), and what joins them in the store. No name may contain it.
pub const LEVEL_SEPARATOR: char = '\u{1F}';

/// The longest name, or level of a namespace, in bytes of UTF-8.
pub const MAX_NAME_BYTES: usize = 255;

/// The most levels a namespace can have.
pub const MAX_NAMESPACE_LEVELS: usize = 16;

/// Warehouse names that would be read as a part of the API's own paths.
pub const RESERVED_WAREHOUSE_NAMES: [&str; 10] =
    ["admin", "catalog", "config", "health", "namespaces", "oauth", "tables", "transactions", "v1", "views"];

/// Why a name is refused. The text says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The name has no characters.
    #[error("{what} must not be empty")]
    Empty {
        /// What was being named.
        what: &'static str,
    },
    /// The name is longer than [`MAX_NAME_BYTES`].
    #[error("{what} is too long: {len_bytes} bytes, of {MAX_NAME_BYTES} allowed")]
    TooLong {
        /// What was being named.
        what: &'static str,
        /// Its length.
        len_bytes: usize,
    },
    /// The name holds a control character.
    #[error("{what} must not contain control characters")]
    ControlCharacter {
        /// What was being named.
        what: &'static str,
    },
    /// The name is `.` or `..`, which URL libraries take out of a path: no client could reach what bears it.
    #[error("{what} must not be '.' or '..'")]
    Dots {
        /// What was being named.
        what: &'static str,
    },
    /// A namespace with more than [`MAX_NAMESPACE_LEVELS`] levels.
    #[error("Namespace has too many levels: {levels}, of {MAX_NAMESPACE_LEVELS} allowed")]
    TooManyLevels {
        /// How many it has.
        levels: usize,
    },
    /// A warehouse name that cannot stand in a URL, or that the API's own paths use.
    #[error("Invalid warehouse name '{name}': use 1 to 64 of a-z, A-Z, 0-9, '-', '_' and '.', starting with a letter or digit, and none of the API's own words ({})", RESERVED_WAREHOUSE_NAMES.join(", "))]
    Warehouse {
        /// The name.
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
    /// A namespace from its levels, outermost first.
    ///
    /// # Errors
    /// When there is no level, there are too many, or one is not a valid name.
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

    /// A namespace from the form that [`NamespaceIdent::as_key`] gives, and that stands in URLs once decoded.
    ///
    /// # Errors
    /// As for [`NamespaceIdent::new`].
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

    /// The levels joined by [`LEVEL_SEPARATOR`]: the key under which a store keeps it.
    #[must_use]
    pub fn as_key(&self) -> &str {
        &self.key
    }

    /// The levels, outermost first.
    pub fn levels(&self) -> impl Iterator<Item = &str> {
        self.key.split(LEVEL_SEPARATOR)
    }

    /// The namespace that holds this one, if it is not at the top.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.key.rsplit_once(LEVEL_SEPARATOR).map(|(parent, _)| Self { key: parent.to_owned() })
    }
}

impl fmt::Display for NamespaceIdent {
    /// The levels joined by dots, as messages show them.
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
    /// Where it is.
    pub namespace: NamespaceIdent,
    /// Its name there; valid by construction.
    name: String,
}

impl TableIdent {
    /// A table's identifier.
    ///
    /// # Errors
    /// When `name` is empty, too long or holds control characters.
    pub fn new(namespace: NamespaceIdent, name: &str) -> Result<Self, NameError> {
        checked("Table name", name)?;
        Ok(Self { namespace, name: name.to_owned() })
    }

    /// Its name inside the namespace.
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

/// Whether `name` may name a warehouse: it stands unescaped in URLs as the `prefix`.
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
        fn a_namespace_survives_its_key(levels in prop::collection::vec("[^\\p{Cc}]{1,20}", 1..5)) {
            prop_assume!(levels.iter().all(|level| level != "." && level != ".."));
            let namespace = NamespaceIdent::new(&levels).unwrap();
            prop_assert_eq!(NamespaceIdent::from_key(namespace.as_key()).unwrap(), namespace.clone());
            prop_assert_eq!(namespace.levels().collect::<Vec<_>>(), levels);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in any::<String>()) {
            let _ = NamespaceIdent::from_key(&text);
            let _ = check_warehouse_name(&text);
        }
    }

    #[test]
    fn names_that_would_be_ambiguous_or_unbounded_are_refused() {
        assert_eq!(NamespaceIdent::from_key("a\u{1F}"), Err(NameError::Empty { what: "Namespace level" }));
        assert!(NamespaceIdent::new(&["a\u{1F}b"]).is_err());
        assert!(NamespaceIdent::new(&["x".repeat(256)]).is_err());
        assert!(NamespaceIdent::new::<&str>(&[]).is_err());
        assert_eq!(NamespaceIdent::new(&["a", ".."]), Err(NameError::Dots { what: "Namespace level" }));
        assert!(TableIdent::new(NamespaceIdent::new(&["a"]).unwrap(), ".").is_err());
        assert!(TableIdent::new(NamespaceIdent::new(&["a"]).unwrap(), "").is_err());
    }

    #[test]
    fn the_parent_is_one_level_up() {
        let nested = NamespaceIdent::new(&["a", "b.c", "d"]).unwrap();
        assert_eq!(nested.parent().unwrap().levels().collect::<Vec<_>>(), ["a", "b.c"]);
        assert_eq!(NamespaceIdent::new(&["a"]).unwrap().parent(), None);
        assert_eq!(nested.to_string(), "a.b.c.d");
    }

    #[test]
    fn a_warehouse_may_not_be_named_like_a_path_of_the_api() {
        assert!(check_warehouse_name("sales-2026").is_ok());
        for name in ["", "v1", "namespaces", "a/b", "a b", ".hidden", &"x".repeat(65)] {
            assert!(check_warehouse_name(name).is_err(), "{name}");
        }
    }
}
