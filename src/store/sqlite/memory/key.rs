//! The keys of cache entries.

use tidewater_core::name::{NamespaceIdent, TableIdent};

use crate::store::Place;

/// The kind of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    place: Place,
    subject: Subject,
    namespace: Box<str>,
    name: Box<str>,
}

/// A borrowed [`Key`], for lookups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct KeyRef<'a> {
    place: Place,
    subject: Subject,
    namespace: &'a str,
    name: &'a str,
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
