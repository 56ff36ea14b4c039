//! Tracks which entries of the cache a transaction changes.
//!
//! Triggers on the writer's connection report every changed row, whichever statement changes it. They are `TEMP` triggers, so they
//! belong to the connection and not to the database, and call a function of this process. SQLite also fires them for foreign
//! keys' actions. It would not fire them for rows that `REPLACE` removes, but no statement of the store replaces rows.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::{Connection, OptionalExtension, params};
use tidewater_core::ids::{OrganisationId, WarehouseId};
use uuid::Uuid;

use super::Memory;
use super::key::{Key, Subject};
use super::value::Value;
use crate::store::WarehouseRef;
use crate::store::sqlite::convert::properties;
use crate::store::sqlite::generations::AccessChanges;
use crate::store::sqlite::table_rows::{GET, record_at};

/// The most changed entries of a transaction. With more, it drops the whole cache.
const MOST_CHANGED: usize = 10_000;

/// The most changed entries whose new values a transaction reads. With more, it drops the entries.
const MOST_READ: usize = 1_000;

const TRIGGERS: &str = "
    CREATE TEMP TRIGGER tabular_inserted AFTER INSERT ON main.tabular BEGIN
        SELECT tabular_changed(new.organisation, new.warehouse, new.namespace, new.name, 1);
    END;
    CREATE TEMP TRIGGER tabular_deleted AFTER DELETE ON main.tabular BEGIN
        SELECT tabular_changed(old.organisation, old.warehouse, old.namespace, old.name, 1);
    END;
    CREATE TEMP TRIGGER tabular_updated AFTER UPDATE ON main.tabular BEGIN
        SELECT tabular_changed(new.organisation, new.warehouse, new.namespace, new.name, 0);
    END;
    CREATE TEMP TRIGGER tabular_renamed AFTER UPDATE OF organisation, warehouse, namespace, name, kind ON main.tabular BEGIN
        SELECT tabular_changed(old.organisation, old.warehouse, old.namespace, old.name, 1),
               tabular_changed(new.organisation, new.warehouse, new.namespace, new.name, 1);
    END;
    CREATE TEMP TRIGGER namespace_inserted AFTER INSERT ON main.namespace BEGIN
        SELECT namespace_changed(new.organisation, new.warehouse, new.key, coalesce(new.parent, ''), 1);
    END;
    CREATE TEMP TRIGGER namespace_deleted AFTER DELETE ON main.namespace BEGIN
        SELECT namespace_changed(old.organisation, old.warehouse, old.key, coalesce(old.parent, ''), 1);
    END;
    CREATE TEMP TRIGGER namespace_updated AFTER UPDATE ON main.namespace BEGIN
        SELECT namespace_changed(new.organisation, new.warehouse, new.key, coalesce(new.parent, ''), 0);
    END;
    CREATE TEMP TRIGGER namespace_renamed AFTER UPDATE OF organisation, warehouse, key, parent ON main.namespace BEGIN
        SELECT namespace_changed(old.organisation, old.warehouse, old.key, coalesce(old.parent, ''), 1),
               namespace_changed(new.organisation, new.warehouse, new.key, coalesce(new.parent, ''), 1);
    END;";

/// Follows the transactions of the writer. Does nothing without a cache.
pub(in crate::store::sqlite) struct Changes {
    kept: Option<Kept>,
    access: AccessChanges,
}

struct Kept {
    memory: Arc<Memory>,
    /// The entries that the open transaction has changed, including changes that were undone since.
    changed: Arc<Mutex<HashSet<Key>>>,
    /// The entries that transactions with an unknown outcome changed. They stay marked until a later transaction is committed:
    /// then the database has the outcome.
    unsettled: Vec<Key>,
    /// Whether all entries are unsettled.
    is_all_unsettled: bool,
    data_version: i64,
}

/// The changed entries of a transaction that is about to be committed.
pub(in crate::store::sqlite) struct Leaves(Left);

enum Left {
    Nothing,
    Entries(Vec<(Key, Option<Value>)>),
    All,
}

impl Changes {
    /// Follows the transactions of `connection` for `memory`, which must be empty.
    pub(in crate::store::sqlite) fn follow(
        connection: &Connection,
        memory: Option<Arc<Memory>>,
        access: AccessChanges,
    ) -> rusqlite::Result<Self> {
        let Some(memory) = memory else { return Ok(Self { kept: None, access }) };
        let changed = Arc::new(Mutex::new(HashSet::new()));
        for (name, note) in [("tabular_changed", note_tabular as Note), ("namespace_changed", note_namespace)] {
            let changed = Arc::clone(&changed);
            connection.create_scalar_function(name, 5, FunctionFlags::SQLITE_UTF8, move |context| {
                note(context, &mut changed.lock())
            })?;
        }
        connection.pragma_update(None, "temp_store", "memory")?;
        connection.execute_batch(TRIGGERS)?;
        let data_version = data_version(connection)?;
        let (unsettled, is_all_unsettled) = (Vec::new(), false);
        Ok(Self { kept: Some(Kept { memory, changed, unsettled, is_all_unsettled, data_version }), access })
    }

    /// Returns whether there is a cache.
    pub(in crate::store::sqlite) const fn has_memory(&self) -> bool {
        self.kept.is_some()
    }

    /// Checks, in a transaction that has just begun, that no other process has written since the last one.
    ///
    /// The lock of the data folder excludes other processes. If one has written nevertheless, this drops the whole cache, since its
    /// values may be old.
    pub(in crate::store::sqlite) fn begin(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.access.begin();
        let Some(kept) = &mut self.kept else { return Ok(()) };
        kept.changed.lock().clear();
        let found = data_version(connection)?;
        if found != kept.data_version {
            kept.data_version = found;
            tracing::error!(
                "Another process wrote to the database while this server runs, so answers may have been out of date. Stop that \
                 process: commands must go through the server."
            );
            kept.memory.begin_change_of_all();
            if !kept.is_all_unsettled {
                kept.memory.end_change_of_all();
            }
            // The marks were dropped too: set them again.
            kept.unsettled.iter().for_each(|key| kept.memory.begin_change(key));
        }
        Ok(())
    }

    /// Marks the entries that the transaction has changed, right before its commit. Returns them with their new values, for
    /// [`Self::committed`].
    pub(in crate::store::sqlite) fn prepare(&mut self, connection: &Connection) -> Leaves {
        let Some(kept) = &mut self.kept else { return Leaves(Left::Nothing) };
        let changed = std::mem::take(&mut *kept.changed.lock());
        if changed.len() > MOST_CHANGED {
            kept.memory.begin_change_of_all();
            return Leaves(Left::All);
        }
        let reads = changed.len() <= MOST_READ;
        let read = |key: Key| {
            kept.memory.begin_change(&key);
            let value = if reads { read(connection, &key) } else { None };
            (key, value)
        };
        Leaves(Left::Entries(changed.into_iter().map(read).collect()))
    }

    /// Replaces the marked entries by their new values after a commit.
    pub(in crate::store::sqlite) fn committed(&mut self, leaves: Leaves) {
        self.access.ended();
        let Some(kept) = &mut self.kept else { return };
        kept.unsettled.drain(..).for_each(|key| kept.memory.end_change(&key, None));
        match leaves.0 {
            Left::Nothing => {}
            Left::Entries(entries) => {
                entries.into_iter().for_each(|(key, value)| kept.memory.end_change(&key, value));
            }
            Left::All => kept.is_all_unsettled = true,
        }
        if std::mem::take(&mut kept.is_all_unsettled) {
            kept.memory.end_change_of_all();
        }
    }

    /// Leaves the entries marked after a commit that failed or seems to have failed. So reads of them go to the database.
    pub(in crate::store::sqlite) fn not_committed(&mut self, leaves: Leaves) {
        self.access.ended();
        let Some(kept) = &mut self.kept else { return };
        match leaves.0 {
            Left::Nothing => {}
            Left::Entries(entries) => kept.unsettled.extend(entries.into_iter().map(|(key, _)| key)),
            Left::All => kept.is_all_unsettled = true,
        }
        if kept.unsettled.len() > MOST_CHANGED {
            kept.unsettled.clear();
            kept.is_all_unsettled = true;
            kept.memory.begin_change_of_all();
        }
    }
}

/// Reads the value of a key in the open transaction. None if the entry must be dropped.
fn read(connection: &Connection, key: &Key) -> Option<Value> {
    match key.parts() {
        (Subject::Table, warehouse_ref, namespace, name) => {
            let mut statement = connection.prepare_cached(GET).ok()?;
            let mut rows = statement
                .query(params![
                    warehouse_ref.organisation.0.as_bytes(),
                    warehouse_ref.warehouse.0.as_bytes(),
                    namespace,
                    name
                ])
                .ok()?;
            Some(Value::Table(rows.next().ok()?.map(record_at).transpose().ok()?))
        }
        (Subject::Namespace, warehouse_ref, namespace, _) => {
            let text: Option<String> = connection
                .prepare_cached(
                    "SELECT properties FROM namespace WHERE organisation = ?1 AND warehouse = ?2 AND key = ?3",
                )
                .ok()?
                .query_row(
                    params![warehouse_ref.organisation.0.as_bytes(), warehouse_ref.warehouse.0.as_bytes(), namespace],
                    |row| row.get(0),
                )
                .optional()
                .ok()?;
            Some(Value::Namespace(text.map(|text| properties(&text)).transpose().ok()?))
        }
        (Subject::Tables | Subject::Children, ..) => None,
    }
}

/// Returns a number that changes with each commit of another connection, and with none of this one (SQLite, `PRAGMA
/// data_version`).
fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}

type Note = fn(&Context<'_>, &mut HashSet<Key>) -> rusqlite::Result<bool>;

/// Adds the entries of a row of `tabular`. The arguments are the warehouse, the namespace, the name, and whether lists change.
fn note_tabular(row: &Context<'_>, changed: &mut HashSet<Key>) -> rusqlite::Result<bool> {
    let (warehouse_ref, namespace) = (warehouse_ref_at(row)?, text_at(row, 2)?);
    changed.insert(Key::table(warehouse_ref, namespace, text_at(row, 3)?));
    if row.get(4)? {
        changed.insert(Key::of_namespace(warehouse_ref, Subject::Tables, namespace));
    }
    Ok(true)
}

/// Adds the entries of a row of `namespace`. The arguments are the warehouse, the key, the parent's key, and whether lists change.
fn note_namespace(row: &Context<'_>, changed: &mut HashSet<Key>) -> rusqlite::Result<bool> {
    let (warehouse_ref, namespace) = (warehouse_ref_at(row)?, text_at(row, 2)?);
    changed.insert(Key::of_namespace(warehouse_ref, Subject::Namespace, namespace));
    if row.get(4)? {
        changed.insert(Key::of_namespace(warehouse_ref, Subject::Children, text_at(row, 3)?));
        // The empty lists of a new or dropped namespace change too.
        changed.insert(Key::of_namespace(warehouse_ref, Subject::Tables, namespace));
        changed.insert(Key::of_namespace(warehouse_ref, Subject::Children, namespace));
    }
    Ok(true)
}

fn warehouse_ref_at(row: &Context<'_>) -> rusqlite::Result<WarehouseRef> {
    let id = |column: usize| row.get::<[u8; 16]>(column).map(Uuid::from_bytes);
    Ok(WarehouseRef { organisation: OrganisationId(id(0)?), warehouse: WarehouseId(id(1)?) })
}

fn text_at<'a>(row: &'a Context<'_>, column: usize) -> rusqlite::Result<&'a str> {
    Ok(row.get_raw(column).as_str()?)
}
