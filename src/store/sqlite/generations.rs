//! Counts the changes of each organisation's access.
//!
//! Triggers on the writer's connection report every change, as for the cache (`memory/changes.rs`). The counters increase after
//! the commit and before its changes are answered.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use tidewater_core::ids::OrganisationId;
use uuid::Uuid;

/// The counters in use, by organisation.
#[derive(Default)]
pub(super) struct Generations(Mutex<HashMap<OrganisationId, Arc<AtomicU64>>>);

impl Generations {
    /// Returns an organisation's counter.
    pub(super) fn of(&self, organisation: OrganisationId) -> Arc<AtomicU64> {
        Arc::clone(self.0.lock().entry(organisation).or_default())
    }

    fn raise(&self, organisations: impl Iterator<Item = OrganisationId>) {
        let counters = self.0.lock();
        organisations.filter_map(|organisation| counters.get(&organisation)).for_each(|counter| {
            counter.fetch_add(1, Ordering::AcqRel);
        });
    }
}

/// Follows the transactions of the writer.
pub(super) struct AccessChanges {
    generations: Arc<Generations>,
    changed: Arc<Mutex<HashSet<OrganisationId>>>,
}

const TABLES: [&str; 5] =
    ["access_grant", "principal_role_member", "catalog_role_member", "principal_role", "catalog_role"];

/// The other triggers: for the names of tables and namespaces, for namespaces with owners, and for keys' roles.
const OTHERS: &str = "
    CREATE TEMP TRIGGER access_tabular_added AFTER INSERT ON main.tabular
    WHEN EXISTS (SELECT 1 FROM main.access_grant WHERE organisation = new.organisation AND securable = new.id) BEGIN
        SELECT access_changed(new.organisation);
    END;
    CREATE TEMP TRIGGER access_tabular_removed AFTER DELETE ON main.tabular
    WHEN EXISTS (SELECT 1 FROM main.access_grant WHERE organisation = old.organisation AND securable = old.id) BEGIN
        SELECT access_changed(old.organisation);
    END;
    CREATE TEMP TRIGGER access_tabular_renamed AFTER UPDATE OF namespace, name ON main.tabular BEGIN
        SELECT access_changed(new.organisation);
    END;
    CREATE TEMP TRIGGER access_namespace_added AFTER INSERT ON main.namespace WHEN new.owner IS NOT NULL BEGIN
        SELECT access_changed(new.organisation);
    END;
    CREATE TEMP TRIGGER access_namespace_removed AFTER DELETE ON main.namespace BEGIN
        SELECT access_changed(old.organisation);
    END;
    CREATE TEMP TRIGGER access_namespace_renamed AFTER UPDATE OF key ON main.namespace BEGIN
        SELECT access_changed(new.organisation);
    END;
    CREATE TEMP TRIGGER access_user_changed AFTER UPDATE OF role ON main.principal WHEN old.role IS NOT new.role BEGIN
        SELECT access_changed(new.organisation);
    END;
    CREATE TEMP TRIGGER access_key_changed AFTER UPDATE OF role ON main.api_key WHEN old.role <> new.role BEGIN
        SELECT access_changed(new.organisation);
    END;";

impl AccessChanges {
    /// Follows the transactions of `connection`.
    pub(super) fn follow(connection: &Connection, generations: Arc<Generations>) -> rusqlite::Result<Self> {
        let changed: Arc<Mutex<HashSet<OrganisationId>>> = Arc::default();
        let noted = Arc::clone(&changed);
        connection.create_scalar_function("access_changed", 1, FunctionFlags::SQLITE_UTF8, move |context| {
            let organisation = context.get::<[u8; 16]>(0)?;
            noted.lock().insert(OrganisationId(Uuid::from_bytes(organisation)));
            Ok(true)
        })?;
        connection.pragma_update(None, "temp_store", "memory")?;
        let mut triggers = OTHERS.to_owned();
        for table in TABLES {
            for (what, row) in [("INSERT", "new"), ("DELETE", "old")] {
                triggers.push_str(&format!(
                    "CREATE TEMP TRIGGER access_{table}_{row} AFTER {what} ON main.{table} BEGIN
                         SELECT access_changed({row}.organisation);
                     END;"
                ));
            }
        }
        connection.execute_batch(&triggers)?;
        Ok(Self { generations, changed })
    }

    /// Discards the changes of a transaction that was undone.
    pub(super) fn begin(&self) {
        self.changed.lock().clear();
    }

    /// Raises the counters of the organisations whose access the transaction changed. Called after failed commits too, since they
    /// may have been made.
    pub(super) fn ended(&self) {
        self.generations.raise(self.changed.lock().drain());
    }
}
