//! The keys of cache entries.

use std::hash::{Hash, Hasher};

use tidewater_core::name::{NamespaceIdent, TableIdent};

use crate::store::Place;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// The table or view with a name.
    Table,
    /// A namespace's properties.
    Namespace,
    /// The lists of tables and views in a namespace.
    Tables,
    /// The lists of namespaces below a namespace. The empty key has the lists at the top.
    Children,
}

/// The key of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    place: Place,
    subject: Subject,
    namespace: Box<str>,
    name: Box<str>,
}

/// A key that is only looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyRef<'a> {
    place: Place,
    subject: Subject,
    namespace: &'a str,
    name: &'a str,
}

/// Hashes in few writes, since every load does it. Keys that are equal have the same warehouse, subject and texts.
impl Hash for KeyRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(self.place.warehouse.0.as_u128());
        state.write(self.namespace.as_bytes());
        // No byte of UTF-8: where one text ends and the other begins is part of the hash.
        state.write_u8(0xf8 + self.subject as u8);
        state.write(self.name.as_bytes());
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.borrowed().hash(state);
    }
}

impl Key {
    pub(super) fn table(place: Place, namespace: &str, name: &str) -> Self {
        Self { place, subject: Subject::Table, namespace: namespace.into(), name: name.into() }
    }

    pub(super) fn of_namespace(place: Place, subject: Subject, namespace: &str) -> Self {
        Self { place, subject, namespace: namespace.into(), name: "".into() }
    }

    pub(super) fn borrowed(&self) -> KeyRef<'_> {
        KeyRef { place: self.place, subject: self.subject, namespace: &self.namespace, name: &self.name }
    }

    /// Returns the kind, the place, the namespace's key, and the name of a table or view.
    pub(super) fn parts(&self) -> (Subject, Place, &str, &str) {
        (self.subject, self.place, &self.namespace, &self.name)
    }
}

impl<'a> KeyRef<'a> {
    pub(super) fn table(place: Place, ident: &'a TableIdent) -> Self {
        Self { place, subject: Subject::Table, namespace: ident.namespace.as_key(), name: ident.name() }
    }

    pub(super) fn namespace(place: Place, namespace: &'a NamespaceIdent) -> Self {
        Self { place, subject: Subject::Namespace, namespace: namespace.as_key(), name: "" }
    }

    pub(super) fn tables(place: Place, namespace: &'a NamespaceIdent) -> Self {
        Self { place, subject: Subject::Tables, namespace: namespace.as_key(), name: "" }
    }

    pub(super) fn children(place: Place, parent: Option<&'a NamespaceIdent>) -> Self {
        let namespace = parent.map_or("", NamespaceIdent::as_key);
        Self { place, subject: Subject::Children, namespace, name: "" }
    }

    pub(super) fn to_key(self) -> Key {
        Key { place: self.place, subject: self.subject, namespace: self.namespace.into(), name: self.name.into() }
    }

    pub(super) fn text_bytes(self) -> usize {
        self.namespace.len() + self.name.len()
    }
}
