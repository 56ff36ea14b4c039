//! What every store promises, and what only the embedded one has to show.

mod cost;
mod faults;
mod files;
mod grouping;
mod logs;
mod memory;
mod older;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::SqliteStore;
use crate::clock::fresh_uuid;
use crate::store::{Organisation, Result, Store};
use tidewater_core::ids::OrganisationId;

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

/// The store in a folder, with a memory.
fn opened_alone(folder: &TempDir) -> SqliteStore {
    SqliteStore::open_alone(&folder.path().join("catalog.db"), 1 << 20).unwrap()
}

/// The store in a folder.
fn opened(folder: &TempDir) -> SqliteStore {
    SqliteStore::open(&folder.path().join("catalog.db")).unwrap()
}

/// A connection of its own to the database of a folder, as another process would have it.
fn stranger(folder: &Path) -> rusqlite::Connection {
    let connection = rusqlite::Connection::open(folder.join("catalog.db")).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    connection.pragma_update(None, "foreign_keys", true).unwrap();
    connection
}

/// An organisation of that name, not yet stored.
fn organisation(name: &str) -> Organisation {
    Organisation {
        id: OrganisationId(fresh_uuid()),
        name: name.to_owned(),
        tier: "professional".to_owned(),
        created_ms: 0,
    }
}

/// The names of the organisations, by which the tests tell what was kept.
async fn names(store: &SqliteStore) -> Vec<String> {
    store.organisation_list().await.unwrap().into_iter().map(|organisation| organisation.name).collect()
}

/// Keeps the writer in a transaction of its own until the sender that it gives is dropped: all that is asked for meanwhile
/// waits, and goes into the next one together.
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

/// The answers to requests that have been handed over, in their order.
async fn answers<T>(waiting: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut answers = Vec::with_capacity(waiting.len());
    for request in waiting {
        answers.push(request.await);
    }
    answers
}
