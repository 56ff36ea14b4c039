//! Lists: they wait for each other, and nothing else waits for them.

use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rusqlite::Connection;
use tidewater_core::ids::{OrganisationId, PrincipalId};
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tokio::sync::oneshot;

use super::super::SqliteStore;
use super::super::fair_readers::FairReaders;
use crate::base::clock::fresh_uuid;
use crate::base::deadline::{self, Deadline};
use crate::store::{
    Change, EventFilter, EventStore, GrantStore, NamespaceStore, Organisation, OrganisationStore, Result, StoreError,
    TableKind, TableStore, WarehouseRef, WarehouseStore,
};

/// Counts without an end.
fn endless(connection: &Connection) -> Result<i64> {
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    Ok(connection.query_row(sql, [], |row| row.get(0))?)
}

/// Creates a database, and readers of it.
fn readers() -> (tempfile::TempDir, SqliteStore, FairReaders) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let store = SqliteStore::open(&path).unwrap();
    (folder, store, FairReaders::new(path, 4))
}

fn organisation() -> OrganisationId {
    OrganisationId(fresh_uuid())
}

#[tokio::test]
async fn access_pointers_and_changes_do_not_wait_for_lists() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(&folder.path().join("t.db")).unwrap());
    let acme = Organisation::new(organisation(), "acme", "free", 0);
    store.organisation_create(&acme, &Change::by_catalog(0)).await.unwrap();
    let warehouse = crate::auth::testing::warehouse(acme.id);
    store.warehouse_create(&warehouse, &Change::by_catalog(0)).await.unwrap();
    let warehouse_ref = WarehouseRef { organisation: acme.id, warehouse: warehouse.id };
    let sales = NamespaceIdent::new(&["sales"]).unwrap();
    let held = store.lists.hold_all();
    assert_eq!(held.len(), 4);
    let list = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.event_list(Some(acme.id), &EventFilter::default(), None, 10).await }
    });
    while store.lists.waiting() == 0 {
        tokio::task::yield_now().await;
    }

    store.namespace_create(warehouse_ref, &sales, &Default::default(), &Change::by_catalog(1)).await.unwrap();
    store.principal_access(acme.id, PrincipalId(fresh_uuid()), None).await.unwrap();
    store.principal_roles(acme.id, PrincipalId(fresh_uuid())).await.unwrap();
    assert_eq!(store.warehouse_list(acme.id).await.unwrap().len(), 1);
    assert_eq!(store.table_count(acme.id).await.unwrap(), 0);
    let idents: Vec<_> = (0..200).map(|n| TableIdent::new(sales.clone(), &format!("t{n}")).unwrap()).collect();
    assert_eq!(store.table_get_all(warehouse_ref, &idents).await.unwrap().len(), 200);
    let updates = [("a".to_owned(), "b".to_owned())].into();
    let limits = tidewater_core::request_limits::RequestLimits::default();
    let change = Change::by_catalog(2);
    store.namespace_update_properties(warehouse_ref, &sales, &updates, &[], &limits, &change).await.unwrap();

    assert!(!list.is_finished(), "the list waits for a place");
    drop(held);
    assert!(!list.await.unwrap().unwrap().events.is_empty());
    assert!(store.table_list(warehouse_ref, &sales, TableKind::Table, &Default::default()).await.is_ok());
}

#[tokio::test]
async fn list_whose_caller_has_left_stops_and_gives_its_place_back() {
    let (_folder, _store, readers) = readers();
    let (begins, has_begun) = oneshot::channel();
    let list = readers.read(Some(organisation()), move |connection| {
        let _ = begins.send(());
        endless(connection)
    });
    tokio::select! {
        read = list => panic!("an endless list ended: {read:?}"),
        begun = has_begun => begun.unwrap(),
    }
    // Four reads that wait for each other need all places, also that of the list.
    let (a, b) = (organisation(), organisation());
    let barrier = Arc::new(Barrier::new(4));
    let together = [a, a, b, b].map(|owner| {
        let barrier = Arc::clone(&barrier);
        readers.read(Some(owner), move |_| {
            barrier.wait();
            Ok(())
        })
    });
    for read in join_all(together).await {
        read.unwrap();
    }
}

#[tokio::test]
async fn list_stops_when_the_time_of_its_request_is_over() {
    let (_folder, _store, readers) = readers();
    let soon = Deadline::ending_at(Instant::now() + Duration::from_millis(20));
    let list = deadline::scope(Some(soon), readers.read(Some(organisation()), endless)).await;
    assert!(matches!(list, Err(StoreError::Unavailable(_))), "{list:?}");
    let late = Deadline::ending_at(Instant::now());
    let list = readers.read(Some(organisation()), |_| -> Result<()> { panic!("it starts after its time") });
    assert!(matches!(deadline::scope(Some(late), list).await, Err(StoreError::Unavailable(_))));
    readers.read(Some(organisation()), |_| Ok(())).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn list_that_waits_too_long_is_refused() {
    let (_folder, _store, readers) = readers();
    let held = readers.hold_all();
    let list = readers.read(Some(organisation()), |_| Ok(())).await;
    assert!(matches!(list, Err(StoreError::TooManyReads)), "{list:?}");
    drop(held);
    readers.read(Some(organisation()), |_| Ok(())).await.unwrap();
}
