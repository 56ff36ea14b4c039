//! The tables that a copy reads and writes, with their columns. Both databases have them under the same names.
//!
//! Not here are tables that follow from others (counts, sums) and those about the database itself (its schema's history). Tests of both
//! databases compare this list with their schemas.

use self::CopyKind::{Bytes, Flag, Id, IdOrNil, Number, Text};
use super::row::{CopyRow, CopyValue};

/// How the databases store a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyKind {
    /// An id: the 16 bytes of a UUID, or `uuid`.
    Id,
    /// An id where SQLite has NULL for the nil UUID, which PostgreSQL has.
    IdOrNil,
    /// A number: `INTEGER`, or `bigint`.
    Number,
    /// Yes or no: 0 or 1, or `boolean`.
    Flag,
    /// A text: `TEXT`, or `text`.
    Text,
    /// Bytes: `BLOB`, or `bytea`.
    Bytes,
}

/// A column of a table.
#[derive(Debug)]
pub struct CopyColumn {
    /// Its name.
    pub name: &'static str,
    /// How it is stored.
    pub kind: CopyKind,
}

/// A table that is copied.
#[derive(Debug)]
pub struct CopyTable {
    /// Its name.
    pub name: &'static str,
    /// Its columns.
    pub columns: &'static [CopyColumn],
    /// The names of the columns that give rows their order. No two rows have the same values there.
    pub key: &'static [&'static str],
}

impl CopyTable {
    /// Returns the positions of the key's columns.
    pub fn key_columns(&self) -> impl Iterator<Item = usize> + '_ {
        self.key.iter().filter_map(|name| self.position(name))
    }

    /// Returns the position of a column.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// Returns the key of a row.
    #[must_use]
    pub fn key_of(&self, row: &CopyRow) -> Vec<CopyValue> {
        self.key_columns().map(|position| row[position].clone()).collect()
    }
}

macro_rules! tables {
    ($($table:ident [$($key:ident),+] { $($column:ident: $kind:ident),+ $(,)? })+) => {
        /// Every table that is copied: each after those that its rows refer to.
        pub const COPY_TABLES: &[CopyTable] = &[$(
            CopyTable {
                name: stringify!($table),
                columns: &[$(CopyColumn { name: stringify!($column), kind: $kind }),+],
                key: &[$(stringify!($key)),+],
            }
        ),+];
    };
}

tables! {
    organisation [id] {
        id: Id, name: Text, tier: Text, created_ms: Number, suspended_ms: Number, delete_after_ms: Number,
        delete_purge: Flag,
    }
    principal [organisation, id] {
        organisation: Id, id: Id, name: Text, created_ms: Number, issuer: Text, subject: Text, email: Text, role: Text,
        no_delete: Flag, last_seen_ms: Number, disabled_ms: Number, issued_ms: Number,
    }
    api_key [organisation, id] {
        organisation: Id, id: Id, name: Text, role: Text, digest: Bytes, created_ms: Number, expires_ms: Number,
        last_used_ms: Number, revoked_ms: Number, no_delete: Flag, successor: Id, principal: Id, acts_for_users: Flag,
    }
    operator [id] {
        id: Id, name: Text, digest: Bytes, created_ms: Number, last_used_ms: Number, revoked_ms: Number,
    }
    signing_key [id] {
        id: Text, secret: Bytes, created_ms: Number,
    }
    master_key [only_one] {
        only_one: Flag, fingerprint: Bytes,
    }
    warehouse [organisation, id] {
        organisation: Id, id: Id, name: Text, root: Text, is_default: Flag, created_ms: Number, profile: Text,
        sealed_credentials: Bytes, purge: Text, no_delete: Flag, scan_planning: Text,
    }
    namespace [organisation, warehouse, key] {
        organisation: Id, warehouse: Id, key: Text, parent: Text, properties: Text, owner: Id,
        labels: Text,
    }
    tabular [organisation, warehouse, namespace, name] {
        organisation: Id, warehouse: Id, namespace: Text, name: Text, id: Id, kind: Text, metadata_location: Text,
        location: Text, created_ms: Number, updated_ms: Number, others: Text, origin: Text, owner: Id, labels: Text,
    }
    location [organisation, warehouse, location, tabular] {
        organisation: Id, warehouse: Id, location: Bytes, tabular: Id,
    }
    dropped [organisation, id] {
        organisation: Id, warehouse: Id, id: Id, namespace: Text, name: Text, kind: Text, metadata_location: Text,
        location: Text, created_ms: Number, updated_ms: Number, dropped_ms: Number, restorable_until_ms: Number,
        purge: Flag, state: Text, attempts: Number, due_ms: Number, message: Text, others: Text, origin: Text, owner: Id,
        labels: Text,
    }
    old_document [organisation, location] {
        organisation: Id, warehouse: Id, location: Bytes, document: Text, tabular: Id, due_ms: Number, leased: Flag,
        attempts: Number,
    }
    principal_role [organisation, id] {
        organisation: Id, id: Id, name: Text, created_ms: Number,
    }
    catalog_role [organisation, id] {
        organisation: Id, warehouse: Id, id: Id, name: Text, created_ms: Number,
    }
    principal_role_member [organisation, principal, role, source] {
        organisation: Id, principal: Id, role: Id, source: Text,
    }
    catalog_role_member [organisation, principal_role, role] {
        organisation: Id, principal_role: Id, role: Id,
    }
    access_grant [organisation, role, kind, securable, privilege] {
        organisation: Id, role: Id, kind: Text, securable: Bytes, privilege: Text, warehouse: Id, namespace: Text,
    }
    read_restriction [organisation, tabular, principal_role] {
        organisation: Id, tabular: Id, principal_role: Id, warehouse: Id, restriction: Text, updated_ms: Number,
    }
    trusted_engine [organisation, principal] {
        organisation: Id, principal: Id,
    }
    entity [organisation, id] {
        organisation: Id, id: Id, properties: Text, version: Number, updated_ms: Number,
    }
    receipt [organisation, principal, key] {
        organisation: Id, principal: Id, key: Id, request: Bytes, kind: Text, status: Number, text: Text,
        expires_ms: Number,
    }
    usage [organisation, day] {
        organisation: Id, day: Number, taken: Number, granted: Number,
    }
    key_usage [organisation, day, key] {
        organisation: Id, day: Number, key: Id, requests: Number,
    }
    report [organisation, id] {
        organisation: Id, warehouse: Id, table_id: Id, id: Id, kind: Text, at_ms: Number, body: Text,
    }
    maintenance_policy [organisation, object] {
        organisation: Id, warehouse: Id, object: Id, kind: Text, namespace: Text, policy: Text, updated_ms: Number,
    }
    maintenance_state [organisation, table_id] {
        organisation: Id, warehouse: Id, table_id: Id, until_ms: Number, attempts: Number, state: Text,
    }
    maintenance_run [organisation, id] {
        organisation: Id, warehouse: Id, table_id: Id, id: Id, operation: Text, dry_run: Flag, started_ms: Number,
        ended_ms: Number, outcome: Text, details: Text, held_until_ms: Number,
    }
    subscription [organisation, id] {
        organisation: Id, id: Id, name: Text, url: Text, filter: Text, sealed_secret: Bytes, previous_secret: Bytes,
        previous_until_ms: Number, created_ms: Number, disabled_ms: Number, delivered_ms: Number,
        failing_since_ms: Number, last_error: Text,
    }
    dead_letter [organisation, subscription, event] {
        organisation: Id, subscription: Id, event: Text, body: Text, reason: Text, at_ms: Number, replay: Flag,
    }
    event [id, organisation] {
        organisation: IdOrNil, id: Number, warehouse: Id, at_ms: Number, actor_kind: Text, actor_id: Id,
        actor_name: Text, engine_id: Id, engine_name: Text, operation: Text, object_kind: Text, object_id: Id,
        object_name: Text, new_name: Text, request_id: Text, client: Text, agent: Text, role: Text, details: Text,
    }
    audit [id, organisation] {
        organisation: Id, id: Number, at_ms: Number, entry: Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_of_every_table_names_its_columns() {
        for table in COPY_TABLES {
            assert_eq!(table.key_columns().count(), table.key.len(), "{}", table.name);
        }
    }
}
