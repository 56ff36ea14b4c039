//! The conformance tests with the SQLite store, and tests of this store alone.

mod cost;
mod faults;
mod files;
mod grouping;
mod lists;
mod logs;
mod memory;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::convert::{id, kind};
use super::{SqliteStore, location_rows};
use crate::base::clock::fresh_uuid;
use crate::store::{Organisation, OrganisationStore, Result, Store, WarehouseRef};
use tidewater_core::ids::{OrganisationId, TableId, WarehouseId};

mod conforms {
    use super::{Arc, Store, TempDir, opened};
    use crate::store::suite::conformance;

    async fn fresh() -> (Arc<dyn Store>, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (Arc::new(opened(&folder)), folder)
    }

    conformance!(fresh);
}

mod conforms_with_memory {
    use super::{Arc, Store, TempDir, opened_alone};
    use crate::store::suite::conformance;

    async fn fresh() -> (Arc<dyn Store>, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (Arc::new(opened_alone(&folder)), folder)
    }

    conformance!(fresh);
}

/// Opens the store in a folder, with a cache.
fn opened_alone(folder: &TempDir) -> SqliteStore {
    SqliteStore::open_alone(&folder.path().join("catalog.db"), 1 << 20).unwrap()
}

/// Opens the store in a folder, without a cache.
fn opened(folder: &TempDir) -> SqliteStore {
    SqliteStore::open(&folder.path().join("catalog.db")).unwrap()
}

impl SqliteStore {
    /// Removes the locations of all tables, so that others can be created there.
    pub(crate) async fn remove_locations(&self) {
        self.write(|connection| Ok(connection.execute_batch("DELETE FROM location")?)).await.unwrap();
    }

    /// Adds the locations of all tables again, whether or not they overlap.
    pub(crate) async fn restore_locations(&self) {
        let add = |connection: &rusqlite::Connection| {
            for table in ["tabular", "dropped"] {
                let sql = format!("SELECT organisation, warehouse, id, kind, location, others FROM {table}");
                let mut statement = connection.prepare(&sql)?;
                let mut rows = statement.query([])?;
                while let Some(row) = rows.next()? {
                    let warehouse_ref = WarehouseRef {
                        organisation: id(OrganisationId, row.get(0)?),
                        warehouse: id(WarehouseId, row.get(1)?),
                    };
                    let [own, others] = [row.get::<_, String>(4)?, row.get(5)?];
                    let reserved = location_rows::reserved(kind(&row.get::<_, String>(3)?)?, &own, &others)?;
                    location_rows::reserve_locations(connection, warehouse_ref, id(TableId, row.get(2)?), &reserved)?;
                }
            }
            Ok(())
        };
        self.write(add).await.unwrap();
    }
}

/// Opens a separate connection to the database in a folder, as another process does.
fn stranger(folder: &Path) -> rusqlite::Connection {
    let connection = rusqlite::Connection::open(folder.join("catalog.db")).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    connection.pragma_update(None, "foreign_keys", true).unwrap();
    connection
}

/// Returns a new organisation, not yet stored.
fn organisation(name: &str) -> Organisation {
    Organisation::new(OrganisationId(fresh_uuid()), name.to_owned(), "professional".to_owned(), 0)
}

/// Returns the names of the stored organisations.
async fn names(store: &SqliteStore) -> Vec<String> {
    store.organisation_list().await.unwrap().into_iter().map(|organisation| organisation.name).collect()
}

/// Keeps the writer busy until the returned sender is dropped. Requests meanwhile wait and share the next transaction.
fn held(store: &SqliteStore) -> (Sender<()>, JoinHandle<Result<()>>) {
    let (release, gate) = channel::<()>();
    let (began, beginning) = channel();
    let gate = Mutex::new(gate);
    let waiting = store.writer.write(move |_| {
        let _ = began.send(());
        let _ = gate.lock().recv();
        Ok(())
    });
    beginning.recv().unwrap();
    (release, tokio::spawn(waiting))
}

/// Returns the answers to queued requests, in their order.
async fn answers<T>(waiting: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut answers = Vec::with_capacity(waiting.len());
    for request in waiting {
        answers.push(request.await);
    }
    answers
}
