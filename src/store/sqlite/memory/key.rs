//! The keys of cache entries.

use std::hash::{Hash, Hasher};

use tidewater_core::name::{NamespaceIdent, TableIdent};

use crate::store::WarehouseRef;

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
    warehouse_ref: WarehouseRef,
    subject: Subject,
    namespace: Box<str>,
    name: Box<str>,
}

/// A key that is only looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyRef<'a> {
    warehouse_ref: WarehouseRef,
    subject: Subject,
    namespace: &'a str,
    name: &'a str,
}

/// Hashes in few writes, since every load does it. Keys that are equal have the same warehouse, subject and texts.
impl Hash for KeyRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(self.warehouse_ref.warehouse.0.as_u128());
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
    pub(super) fn table(warehouse_ref: WarehouseRef, namespace: &str, name: &str) -> Self {
        Self { warehouse_ref, subject: Subject::Table, namespace: namespace.into(), name: name.into() }
    }

    pub(super) fn of_namespace(warehouse_ref: WarehouseRef, subject: Subject, namespace: &str) -> Self {
        Self { warehouse_ref, subject, namespace: namespace.into(), name: "".into() }
    }

    pub(super) fn borrowed(&self) -> KeyRef<'_> {
        KeyRef {
            warehouse_ref: self.warehouse_ref,
            subject: self.subject,
            namespace: &self.namespace,
            name: &self.name,
        }
    }

    /// Returns the kind, the warehouse, the namespace's key, and the name of a table or view.
    pub(super) fn parts(&self) -> (Subject, WarehouseRef, &str, &str) {
        (self.subject, self.warehouse_ref, &self.namespace, &self.name)
    }
}

impl<'a> KeyRef<'a> {
    pub(super) fn table(warehouse_ref: WarehouseRef, ident: &'a TableIdent) -> Self {
        Self { warehouse_ref, subject: Subject::Table, namespace: ident.namespace.as_key(), name: ident.name() }
    }

    pub(super) fn namespace(warehouse_ref: WarehouseRef, namespace: &'a NamespaceIdent) -> Self {
        Self { warehouse_ref, subject: Subject::Namespace, namespace: namespace.as_key(), name: "" }
    }

    pub(super) fn tables(warehouse_ref: WarehouseRef, namespace: &'a NamespaceIdent) -> Self {
        Self { warehouse_ref, subject: Subject::Tables, namespace: namespace.as_key(), name: "" }
    }

    pub(super) fn children(warehouse_ref: WarehouseRef, parent: Option<&'a NamespaceIdent>) -> Self {
        let namespace = parent.map_or("", NamespaceIdent::as_key);
        Self { warehouse_ref, subject: Subject::Children, namespace, name: "" }
    }

    pub(super) fn to_key(self) -> Key {
        Key {
            warehouse_ref: self.warehouse_ref,
            subject: self.subject,
            namespace: self.namespace.into(),
            name: self.name.into(),
        }
    }

    pub(super) fn text_bytes(self) -> usize {
        self.namespace.len() + self.name.len()
    }
}
