//! Counts the contents of a request body, in one pass over its text.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The counts of a body.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) parts: usize,
    pub(super) requirements: usize,
    pub(super) updates: usize,
    /// In all schemas, partition specs and sort orders together.
    pub(super) columns: usize,
    /// Set or removed, in all updates together.
    pub(super) properties: usize,
    /// The length of the longest property key.
    pub(super) key_bytes: usize,
    /// The length of the longest property value.
    pub(super) value_bytes: usize,
    /// The length of the longest name.
    pub(super) name_bytes: usize,
}

/// The meaning of a JSON value in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Transaction,
    Parts,
    Commit,
    Requirements,
    Requirement,
    Updates,
    Update,
    Create,
    /// A schema, or the type of a field: fields may be nested in it.
    Type,
    Fields,
    Field,
    Properties,
    Keys,
    PropertyKey,
    PropertyValue,
    Name,
    Ignored,
}

impl Role {
    /// Returns the meaning of the value of the field `key`.
    fn of_field(self, key: &str) -> Self {
        match (self, key) {
            (Self::Transaction, "table-changes") => Self::Parts,
            (Self::Commit, "requirements") => Self::Requirements,
            (Self::Commit, "updates") => Self::Updates,
            (Self::Requirement, "ref") | (Self::Update, "ref-name") | (Self::Field, "name") => Self::Name,
            (Self::Update | Self::Create, "schema") => Self::Type,
            (Self::Update, "updates" | "updated") | (Self::Create, "properties") => Self::Properties,
            (Self::Update, "removals" | "removed") => Self::Keys,
            (Self::Update, "spec" | "sort-order") | (Self::Create, "partition-spec" | "write-order") => Self::Type,
            (Self::Type, "fields") => Self::Fields,
            (Self::Type | Self::Field, "type" | "element" | "key" | "value") => Self::Type,
            (Self::Properties, _) => Self::PropertyValue,
            _ => Self::Ignored,
        }
    }

    /// Returns the meaning of the elements of an array.
    const fn of_element(self) -> Self {
        match self {
            Self::Parts => Self::Commit,
            Self::Requirements => Self::Requirement,
            Self::Updates => Self::Update,
            Self::Fields => Self::Field,
            Self::Keys => Self::PropertyKey,
            _ => Self::Ignored,
        }
    }
}

/// Counts the contents of a body. If it is not JSON, counts up to the syntax error.
pub(super) fn count(role: Role, body: &[u8]) -> Counts {
    let mut counts = Counts::default();
    // The parser of the body reports syntax errors.
    let _ = Shape { role, counts: &mut counts }.deserialize(&mut serde_json::Deserializer::from_slice(body));
    counts
}

/// One JSON value during the pass.
struct Shape<'c> {
    role: Role,
    counts: &'c mut Counts,
}

impl<'de> DeserializeSeed<'de> for Shape<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.role {
            Role::Ignored => deserializer.deserialize_ignored_any(IgnoredAny).map(drop),
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Shape<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(role) = map.next_key_seed(Key { role: self.role, counts: self.counts })? {
            map.next_value_seed(Shape { role, counts: self.counts })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let role = self.role.of_element();
        while elements.next_element_seed(Shape { role, counts: self.counts })?.is_some() {
            match self.role {
                Role::Parts => self.counts.parts += 1,
                Role::Requirements => self.counts.requirements += 1,
                Role::Updates => self.counts.updates += 1,
                Role::Fields => self.counts.columns += 1,
                Role::Keys => self.counts.properties += 1,
                _ => {}
            }
        }
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        let longest = match self.role {
            Role::Name => &mut self.counts.name_bytes,
            Role::PropertyKey => &mut self.counts.key_bytes,
            Role::PropertyValue => &mut self.counts.value_bytes,
            _ => return Ok(()),
        };
        *longest = text.len().max(*longest);
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// The key of a field, which decides the meaning of its value.
struct Key<'c> {
    role: Role,
    counts: &'c mut Counts,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Role;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Role, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Role;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Role, E> {
        if self.role == Role::Properties {
            self.counts.properties += 1;
            self.counts.key_bytes = key.len().max(self.counts.key_bytes);
        }
        Ok(self.role.of_field(key))
    }
}
