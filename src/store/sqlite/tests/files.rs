//! The database file: reopening, permissions, versions, and use by several processes.

use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;
use tidewater_core::ids::{TableId, WarehouseId};
use tidewater_core::location::Location;
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::reserved_locations::Locations;

use super::{names, opened, organisation, stranger};
use crate::base::clock::fresh_uuid;
use crate::base::secret::Secret;
use crate::store::sqlite::{
    OpenError, SqliteStore, location_rows, namespaces, pointers, receipts, search, table_rows, tables,
};
use crate::store::{
    Change, EventDetails, NamespaceStore, NewTable, OrganisationStore, Origin, Past, Properties, Resource, SigningKey,
    SigningKeyStore, StoreError, Swap, TableKind, TableStore, Warehouse, WarehouseOptions, WarehouseRef,
    WarehouseStorage, WarehouseStore,
};

/// Adds an organisation with a warehouse, a namespace and a table.
async fn furnish(store: &SqliteStore) -> (WarehouseRef, TableIdent, TableId) {
    let acme = organisation("acme");
    store.organisation_create(&acme, &Change::by_catalog(0)).await.unwrap();
    let warehouse_ref = WarehouseRef { organisation: acme.id, warehouse: WarehouseId(fresh_uuid()) };
    let lake = Warehouse {
        id: warehouse_ref.warehouse,
        organisation: acme.id,
        name: "lake".to_owned(),
        root: "file:///lake/".to_owned(),
        storage: WarehouseStorage::local(),
        options: WarehouseOptions::default(),
        is_default: false,
        created_ms: 0,
    };
    store.warehouse_create(&lake, &Change::by_catalog(0)).await.unwrap();
    let sales = NamespaceIdent::new(&["sales"]).unwrap();
    store.namespace_create(warehouse_ref, &sales, &Properties::new(), &Change::by_catalog(0)).await.unwrap();
    let orders = TableIdent::new(sales, "orders").unwrap();
    let id = TableId(fresh_uuid());
    let new = NewTable {
        id,
        ident: &orders,
        kind: TableKind::Table,
        metadata_location: "d0",
        locations: &own_location(),
        origin: Origin::Catalog,
        details: &EventDetails::new(),
    };
    store.table_create(warehouse_ref, &new, None, &Change::by_catalog(0)).await.unwrap();
    (warehouse_ref, orders, id)
}

fn own_location() -> Locations {
    Locations::new(Location::parse("file:///lake/t/").unwrap(), [])
}

async fn swap(store: &SqliteStore, warehouse_ref: WarehouseRef, id: TableId, expected: &str, new: &str) {
    let swap = Swap {
        id,
        ident: None,
        expected,
        new,
        locations: &own_location(),
        origin: Origin::Catalog,
        past: &Past::Kept,
        details: &EventDetails::new(),
    };
    store.table_swap(warehouse_ref, &swap, &Change::by_catalog(0)).await.unwrap();
}

fn file_len(folder: &TempDir, name: &str) -> Option<u64> {
    std::fs::metadata(folder.path().join(name)).ok().map(|found| found.len())
}

#[tokio::test]
async fn reopened_database_has_all_data_and_is_not_migrated() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened(&folder);
    let (warehouse_ref, orders, id) = furnish(&store).await;
    swap(&store, warehouse_ref, id, "d0", "d1").await;
    let key = SigningKey { id: "k".to_owned(), secret: Secret::new([9; 32]), created_ms: 1 };
    store.signing_key_add(&key, true, &Change::by_catalog(0)).await.unwrap();
    store.close().await;
    assert_eq!(file_len(&folder, "catalog.db-wal"), None, "the log is checkpointed and removed");

    let history = |connection: &rusqlite::Connection| -> (i64, String) {
        let sql = "SELECT count(*), max(applied_on) FROM refinery_schema_history";
        connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    };
    let before = history(&stranger(folder.path()));
    let store = opened(&folder);
    assert_eq!(history(&stranger(folder.path())), before);
    assert_eq!(store.table_get(warehouse_ref, &orders).await.unwrap().unwrap().metadata_location, "d1");
    assert_eq!(store.signing_key_list().await.unwrap()[0].secret.expose(), &[9; 32]);
}

#[tokio::test]
async fn acknowledged_changes_survive_an_unclean_stop() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened(&folder);
    let (warehouse_ref, orders, id) = furnish(&store).await;
    swap(&store, warehouse_ref, id, "d0", "d1").await;
    // A copy of the files as after a power cut, with a log that is not checkpointed.
    let copy = tempfile::tempdir().unwrap();
    for name in ["catalog.db", "catalog.db-wal"] {
        std::fs::copy(folder.path().join(name), copy.path().join(name)).unwrap();
    }
    let found = opened(&copy).table_get(warehouse_ref, &orders).await.unwrap().unwrap();
    assert_eq!(found.metadata_location, "d1");
}

#[tokio::test]
async fn writes_are_durable_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened(&folder);
    let settings = store
        .writer
        .write(|connection| {
            let of = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
            let journal: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
            Ok((journal, of("synchronous")?, of("foreign_keys")?))
        })
        .await
        .unwrap();
    assert_eq!(settings, ("wal".to_owned(), 2, 1), "2 is FULL: the log is synchronised by every commit");
}

#[test]
fn stores_that_create_one_file_concurrently_agree() {
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        let openings = (0..8).map(|_| scope.spawn(|| opened(&folder))).collect::<Vec<_>>();
        for opening in openings {
            opening.join().unwrap();
        }
    });
    let (migrations, versions): (i64, i64) = stranger(folder.path())
        .query_row("SELECT count(*), count(DISTINCT version) FROM refinery_schema_history", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!(migrations, versions, "each migration ran once");
}

fn error_of(path: &Path) -> OpenError {
    match SqliteStore::open(path) {
        Ok(_) => panic!("it was opened"),
        Err(error) => error,
    }
}

#[test]
fn database_of_another_program_is_refused_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    stranger(folder.path()).execute_batch("CREATE TABLE foo (a)").unwrap();
    let error = error_of(&folder.path().join("catalog.db"));
    assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
    let tables: i64 =
        stranger(folder.path()).query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    assert_eq!(tables, 1);
}

#[test]
fn database_of_a_newer_version_is_refused_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    drop(opened(&folder));
    let newer = "INSERT INTO refinery_schema_history VALUES (999, 'future', '2030-01-01T00:00:00Z', '1')";
    stranger(folder.path()).execute_batch(newer).unwrap();
    let error = error_of(&folder.path().join("catalog.db"));
    assert!(matches!(error, OpenError::Newer { found: 999, .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("catalog.db") && text.contains("newer version") && text.contains("999"), "{text}");
}

#[test]
fn database_of_a_development_version_is_refused_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    stranger(folder.path()).execute_batch(include_str!("development.sql")).unwrap();
    let path = folder.path().join("catalog.db");
    let before = std::fs::read(&path).unwrap();
    for _ in 0..2 {
        let error = error_of(&path);
        assert!(matches!(error, OpenError::Development { found: 11, .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("catalog.db") && text.contains("--data-dir"), "{text}");
        assert!(text.contains("a development version from before this one can still read it"), "{text}");
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(file_len(&folder, "catalog.db-wal"), None);
}

#[test]
fn file_that_is_no_database_is_refused_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    let text = "not a database, but somebody's notes\n".repeat(100);
    std::fs::write(&path, &text).unwrap();
    assert!(matches!(error_of(&path), OpenError::Database { .. }));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    assert!(matches!(error_of(&folder.path().join("missing/catalog.db")), OpenError::File { .. }));
}

#[cfg(unix)]
#[tokio::test]
async fn database_files_are_readable_by_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let modes = || {
        ["catalog.db", "catalog.db-wal", "catalog.db-shm"].map(|name| {
            let found = std::fs::metadata(folder.path().join(name));
            found.map_or(0, |found| found.permissions().mode() & 0o777)
        })
    };
    let store = opened(&folder);
    store.organisation_create(&organisation("acme"), &Change::by_catalog(0)).await.unwrap();
    assert_eq!(modes(), [0o600; 3]);
    store.close().await;

    // Opening restricts a file with wider permissions, such as a restored backup.
    let path = folder.path().join("catalog.db");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let store = opened(&folder);
    store.organisation_create(&organisation("other"), &Change::by_catalog(0)).await.unwrap();
    assert_eq!(modes(), [0o600; 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_writes_of_two_processes_succeed() {
    let folder = tempfile::tempdir().unwrap();
    let (server, command) = (Arc::new(opened(&folder)), opened(&folder));
    let serving = tokio::spawn({
        let server = Arc::clone(&server);
        async move {
            for number in 0..100 {
                server
                    .organisation_create(&organisation(&format!("server-{number}")), &Change::by_catalog(0))
                    .await
                    .unwrap();
            }
        }
    });
    for number in 0..100 {
        let new = organisation(&format!("command-{number}"));
        command.organisation_create(&new, &Change::by_catalog(0)).await.unwrap();
        assert_eq!(
            server.organisation_by_name(&new.name).await.unwrap(),
            Some(new),
            "the other process's write is visible at once"
        );
    }
    serving.await.unwrap();
    command.close().await;
    assert_eq!(names(&server).await.len(), 200);
    server.organisation_create(&organisation("last"), &Change::by_catalog(0)).await.unwrap();
}

#[tokio::test]
async fn write_waits_for_the_transaction_of_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened(&folder);
    let other = stranger(folder.path());
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let insert = "INSERT INTO organisation (id, name, tier, created_ms) VALUES (randomblob(16), 'acme', 'free', 0)";
    other.execute_batch(insert).unwrap();
    let new = organisation("acme");
    let change = Change::by_catalog(0);
    let mut waiting = store.organisation_create(&new, &change);
    assert!(futures_util::future::poll_immediate(&mut waiting).await.is_none());
    assert_eq!(store.organisation_by_name("acme").await.unwrap(), None, "reads do not wait");
    other.execute_batch("COMMIT").unwrap();
    let taken = waiting.await;
    assert!(matches!(taken, Err(StoreError::AlreadyExists(Resource::Organisation))), "{taken:?}");
}

/// Returns a pointer of `len_bytes` that differs from the one before in every byte, since SQLite writes only changed pages.
fn large(number: usize, len_bytes: usize) -> String {
    if number.is_multiple_of(2) { "x" } else { "y" }.repeat(len_bytes)
}

#[tokio::test]
async fn long_reader_blocks_no_writer_and_the_log_shrinks_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened(&folder);
    let (warehouse_ref, _, id) = furnish(&store).await;
    let reader = stranger(folder.path());
    reader.execute_batch("BEGIN; SELECT count(*) FROM tabular").unwrap();
    let mut at = "d0".to_owned();
    let write = async |at: &mut String, count: usize| {
        for number in 0..count {
            let next = large(number, 1 << 20);
            swap(&store, warehouse_ref, id, at, &next).await;
            *at = next;
        }
    };
    write(&mut at, 100).await;
    let grown = file_len(&folder, "catalog.db-wal").unwrap();
    assert!(grown > 80 << 20, "the open read transaction keeps the log: {grown}");
    reader.execute_batch("COMMIT").unwrap();
    write(&mut at, 60).await;
    let shrunk = file_len(&folder, "catalog.db-wal").unwrap();
    assert!(shrunk <= 64 << 20, "{shrunk}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_stays_small_under_constant_reads() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(opened(&folder));
    let (warehouse_ref, orders, id) = furnish(&store).await;
    let reading = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            loop {
                store.table_get(warehouse_ref, &orders).await.unwrap();
                tokio::task::yield_now().await;
            }
        }
    });
    let mut at = "d0".to_owned();
    for number in 0..400 {
        let next = large(number, 256 << 10);
        swap(&store, warehouse_ref, id, &at, &next).await;
        at = next;
    }
    reading.abort();
    let log = file_len(&folder, "catalog.db-wal").unwrap();
    assert!(log < 64 << 20, "100 MiB were written: {log}");
}

#[tokio::test]
async fn log_stays_small_with_two_servers_on_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let stores = [opened(&folder), opened(&folder)];
    let (warehouse_ref, _, id) = furnish(&stores[0]).await;
    let mut at = "d0".to_owned();
    for number in 0..200 {
        let next = large(number, 1 << 20);
        swap(&stores[number % 2], warehouse_ref, id, &at, &next).await;
        at = next;
    }
    let log = file_len(&folder, "catalog.db-wal").unwrap();
    assert!(log < 100 << 20, "200 MiB were written: {log}");
}

#[test]
fn hot_reads_use_a_single_index_search() {
    let folder = tempfile::tempdir().unwrap();
    drop(opened(&folder));
    let connection = stranger(folder.path());
    let plan_of = |sql: &str| {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let unbound = vec![rusqlite::types::Null; statement.parameter_count()];
        let steps = statement.query_map(rusqlite::params_from_iter(unbound), |row| row.get::<_, String>(3)).unwrap();
        steps.collect::<rusqlite::Result<Vec<_>>>().unwrap().join("; ")
    };
    for (sql, expected) in [
        (pointers::COUNT, "SEARCH tabular_count USING PRIMARY KEY (organisation=?)"),
        (receipts::GET, "SEARCH receipt USING PRIMARY KEY (organisation=? AND principal=? AND key=?)"),
        (
            table_rows::GET,
            "SEARCH tabular USING PRIMARY KEY (organisation=? AND warehouse=? AND namespace=? AND name=?)",
        ),
        (
            tables::LIST,
            "SEARCH tabular USING COVERING INDEX tabular_listed \
             (organisation=? AND warehouse=? AND namespace=? AND kind=? AND name>?)",
        ),
        (
            search::TABULARS,
            "SEARCH tabular USING COVERING INDEX tabular_searched (organisation=? AND warehouse=? AND id>?)",
        ),
        (pointers::SWAP_IN_PLACE, "SEARCH tabular USING INDEX sqlite_autoindex_tabular_2 (organisation=? AND id=?)"),
        (
            location_rows::OVERLAPPING,
            "COMPOUND QUERY; LEFT-MOST SUBQUERY; SCAN holder VIRTUAL TABLE INDEX 1:; \
             SEARCH location USING PRIMARY KEY (organisation=? AND warehouse=? AND location=?); UNION ALL; \
             SEARCH location USING PRIMARY KEY (organisation=? AND warehouse=? AND location>? AND location<?)",
        ),
        (
            namespaces::LIST,
            "SEARCH namespace USING COVERING INDEX namespace_child \
             (organisation=? AND warehouse=? AND parent=? AND key>?)",
        ),
    ] {
        assert_eq!(plan_of(sql), expected);
    }
}
