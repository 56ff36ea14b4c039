//! Two servers with one database: concurrent changes leave the same rows as some order of them one after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidewater_core::ids::{TableId, WarehouseId};
use tidewater_core::location::Location;
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::reserved_locations::Locations;
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};

use super::server::TestDatabase;
use super::{PostgresStore, opened};
use crate::base::clock::fresh_uuid;
use crate::store::{
    Change, DropTerms, DroppedFilter, DroppedStore, EventDetails, NamespaceStore, NewTable, OldDocumentStore,
    Organisation, OrganisationStore, Origin, PageRequest, Past, Properties, Restore, Result, StoreError, Swap,
    TableChange, TableKind, TableStore, Warehouse, WarehouseOptions, WarehouseRef, WarehouseStorage, WarehouseStore,
};
use tidewater_core::ids::OrganisationId;

const NOW_MS: i64 = 1_790_000_000_000;

fn change() -> Change {
    Change::by_catalog(NOW_MS)
}

/// Two stores on one database, each with connections of its own, and a connection for the test.
struct Servers {
    stores: [Arc<PostgresStore>; 2],
    client: Client,
    warehouse_ref: WarehouseRef,
    _database: TestDatabase,
}

impl Servers {
    async fn start() -> Self {
        let database = TestDatabase::create().await;
        let stores = [Arc::new(opened(&database).await), Arc::new(opened(&database).await)];
        let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        let organisation = OrganisationId(fresh_uuid());
        let new = Organisation::new(organisation, "acme".to_owned(), "free".to_owned(), NOW_MS);
        stores[0].organisation_create(&new, &change()).await.unwrap();
        let warehouse = Warehouse {
            id: WarehouseId(fresh_uuid()),
            organisation,
            name: "lake".to_owned(),
            root: "s3://b/lake".to_owned(),
            storage: WarehouseStorage::local(),
            options: WarehouseOptions::default(),
            is_default: true,
            created_ms: NOW_MS,
        };
        stores[0].warehouse_create(&warehouse, &change()).await.unwrap();
        let warehouse_ref = WarehouseRef { organisation, warehouse: warehouse.id };
        Self { stores, client, warehouse_ref, _database: database }
    }

    async fn namespace(&self, name: &str) -> NamespaceIdent {
        let namespace = NamespaceIdent::new(&[name]).unwrap();
        self.stores[0].namespace_create(self.warehouse_ref, &namespace, &Properties::new(), &change()).await.unwrap();
        namespace
    }

    async fn count(&self, sql: &str) -> i64 {
        self.client.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Fails if rows contradict each other.
    async fn check(&self) {
        for (what, sql) in [
            (
                "a count of tables differs from the tables",
                "SELECT count(*) FROM organisation_state AS state
                 WHERE tables <> (SELECT count(*) FROM tabular WHERE organisation = state.organisation)",
            ),
            (
                "locations of two tables overlap",
                "SELECT count(*) FROM location AS one JOIN location AS other
                 ON one.tabular <> other.tabular AND one.warehouse = other.warehouse
                    AND (one.location = other.location OR (other.location > one.location || '/'::bytea
                                                           AND other.location < one.location || '0'::bytea))",
            ),
            (
                "a location belongs to no table",
                "SELECT count(*) FROM location WHERE NOT EXISTS (SELECT 1 FROM tabular WHERE id = location.tabular)
                        AND NOT EXISTS (SELECT 1 FROM dropped WHERE id = location.tabular AND state <> 'replaced')",
            ),
            (
                "a table has no location",
                "SELECT count(*) FROM tabular
                 WHERE NOT EXISTS (SELECT 1 FROM location WHERE location.tabular = tabular.id)",
            ),
            (
                "a table is both live and dropped",
                "SELECT count(*) FROM tabular JOIN dropped ON dropped.id = tabular.id",
            ),
        ] {
            assert_eq!(self.count(sql).await, 0, "{what}");
        }
    }
}

fn own(location: &str) -> Locations {
    Locations::new(Location::parse(location).unwrap(), [])
}

async fn create(store: &PostgresStore, warehouse_ref: WarehouseRef, ident: &TableIdent, at: &str) -> Result<TableId> {
    let id = TableId(fresh_uuid());
    let new = NewTable {
        id,
        ident,
        kind: TableKind::Table,
        metadata_location: "s3://b/m0",
        locations: &own(at),
        origin: Origin::Catalog,
        details: &EventDetails::new(),
    };
    store.table_create(warehouse_ref, &new, None, &change()).await.map(|()| id)
}

async fn swap(
    store: &PostgresStore,
    warehouse_ref: WarehouseRef,
    id: TableId,
    (expected, new): (&str, &str),
    at: &str,
    past: &Past,
) -> Result<()> {
    let (locations, origin, details) = (&own(at), Origin::Catalog, &EventDetails::new());
    let swap = Swap { id, ident: None, expected, new, locations, origin, past, details };
    store.table_swap(warehouse_ref, &swap, &change()).await
}

/// Fails unless the error tells that another change came first.
fn assert_lost(error: &StoreError) {
    let is_lost = matches!(
        error,
        StoreError::NotFound(_)
            | StoreError::AlreadyExists(_)
            | StoreError::NotEmpty(_)
            | StoreError::PointerMoved
            | StoreError::LocationTaken(_)
            | StoreError::LocationHeld(_)
            | StoreError::NotRestorable(_)
            | StoreError::InTransaction { .. }
    );
    assert!(is_lost, "{error:?}");
}

const TERMS: DropTerms = DropTerms { restorable_until_ms: NOW_MS + 1_000_000, purge: false };

/// Makes a change to one of a few tables, which a number chooses.
async fn change_something(store: &PostgresStore, warehouse_ref: WarehouseRef, number: u64) -> Result<()> {
    let name = |number: u64| {
        let namespace = NamespaceIdent::new(&[["one", "two"][usize::try_from(number % 2).unwrap()]]).unwrap();
        TableIdent::new(namespace, &format!("t{}", number / 2 % 3)).unwrap()
    };
    let (ident, other) = (name(number), name(number / 7));
    let at =
        |number: u64| ["s3://b/lake/a", "s3://b/lake/a/b", "s3://b/lake/c", "s3://b/lake/d"][(number % 4) as usize];
    let place = at(number / 11);
    let record = store.table_get(warehouse_ref, &ident).await?;
    match (number / 5 % 8, record) {
        (0 | 1, _) => create(store, warehouse_ref, &ident, place).await.map(drop),
        (2, Some(found)) => {
            store.table_drop(warehouse_ref, &ident, found.id, TableKind::Table, Some(&TERMS), &change()).await.map(drop)
        }
        (3, Some(found)) => {
            store.table_drop(warehouse_ref, &ident, found.id, TableKind::Table, None, &change()).await.map(drop)
        }
        (4, Some(found)) => {
            store.table_rename(warehouse_ref, &ident, found.id, &other, TableKind::Table, &change()).await
        }
        (5, Some(found)) => {
            let new = format!("s3://b/m{number}");
            swap(store, warehouse_ref, found.id, (&found.metadata_location, &new), place, &Past::Kept).await
        }
        (6, _) => {
            let dropped = store.dropped_list(warehouse_ref, &Default::default(), &Default::default()).await?;
            let Some(first) = dropped.items.first() else { return Ok(()) };
            let restore = Restore { id: first.id, ident: &first.ident, locations: None };
            store.dropped_restore(warehouse_ref, &restore, None, &change()).await
        }
        (7, _) => {
            let namespace = NamespaceIdent::new(&["two"]).unwrap();
            match store.namespace_drop(warehouse_ref, &namespace, &change()).await {
                Ok(()) => store.namespace_create(warehouse_ref, &namespace, &Properties::new(), &change()).await,
                Err(error) => Err(error),
            }
        }
        _ => Ok(()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn random_changes_by_two_servers_leave_consistent_rows() {
    let servers = Servers::start().await;
    servers.namespace("one").await;
    servers.namespace("two").await;
    let mut tasks = JoinSet::new();
    let made = Arc::new(AtomicU64::new(0));
    for task in 0..6_u64 {
        let (store, made) = (Arc::clone(&servers.stores[usize::try_from(task % 2).unwrap()]), Arc::clone(&made));
        let warehouse_ref = servers.warehouse_ref;
        tasks.spawn(async move {
            let mut state = task + 1;
            for _ in 0..60 {
                // A linear congruential generator: the same changes in each run, in another interleaving.
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                match change_something(&store, warehouse_ref, state >> 33).await {
                    Ok(()) => drop(made.fetch_add(1, Ordering::Relaxed)),
                    Err(error) => assert_lost(&error),
                }
            }
        });
    }
    tasks.join_all().await;
    assert!(made.load(Ordering::Relaxed) > 20, "{made:?} changes were made");
    servers.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn drop_during_commits_keeps_the_last_acknowledged_pointer() {
    let servers = Servers::start().await;
    let namespace = servers.namespace("sales").await;
    let warehouse_ref = servers.warehouse_ref;
    for round in 0..20 {
        let ident = TableIdent::new(namespace.clone(), &format!("t{round}")).unwrap();
        let at = format!("s3://b/lake/t{round}");
        let id = create(&servers.stores[0], warehouse_ref, &ident, &at).await.unwrap();
        let committing = Arc::clone(&servers.stores[0]);
        let commits = tokio::spawn(async move {
            let mut last = "s3://b/m0".to_owned();
            for number in 1.. {
                let new = format!("s3://b/m{number}");
                match swap(&committing, warehouse_ref, id, (&last, &new), &at, &Past::Kept).await {
                    Ok(()) => last = new,
                    Err(StoreError::NotFound(_)) => break,
                    Err(error) => panic!("{error:?}"),
                }
            }
            last
        });
        let dropped = servers.stores[1]
            .table_drop(warehouse_ref, &ident, id, TableKind::Table, Some(&TERMS), &change())
            .await
            .unwrap();
        let last = commits.await.unwrap();
        let kept = servers.stores[0].dropped_get(warehouse_ref, id).await.unwrap().unwrap();
        assert_eq!((dropped.metadata_location, kept.metadata_location), (last.clone(), last));
    }
    servers.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn transactions_over_the_same_tables_in_opposite_order_do_not_deadlock() {
    let servers = Servers::start().await;
    let namespace = servers.namespace("sales").await;
    let warehouse_ref = servers.warehouse_ref;
    let mut ids = Vec::new();
    for number in 0..6 {
        let ident = TableIdent::new(namespace.clone(), &format!("t{number}")).unwrap();
        ids.push(create(&servers.stores[0], warehouse_ref, &ident, &format!("s3://b/lake/t{number}")).await.unwrap());
    }
    let before = servers.count("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").await;
    let mut tasks = JoinSet::new();
    for task in 0..6_usize {
        let (store, ids) = (Arc::clone(&servers.stores[task % 2]), ids.clone());
        tasks.spawn(async move {
            let mut made = 0_u64;
            while made < 10 {
                let mut changes = Vec::new();
                for (number, id) in ids.iter().enumerate() {
                    let record = store.table_by_id(warehouse_ref, *id).await.unwrap().unwrap();
                    let expected = record.metadata_location;
                    let count: u64 = expected.trim_start_matches("s3://b/m").parse().unwrap();
                    let locations = own(&format!("s3://b/lake/t{number}"));
                    let (past, details) = (Past::Kept, EventDetails::new());
                    let new = format!("s3://b/m{}", count + 1);
                    changes.push(TableChange::Swap { id: *id, ident: None, expected, new, locations, past, details });
                }
                if task % 2 == 1 {
                    changes.reverse();
                }
                match store.table_transact(warehouse_ref, changes, None, &change()).await {
                    Ok(()) => made += 1,
                    Err(StoreError::InTransaction { error, .. }) if matches!(*error, StoreError::PointerMoved) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        });
    }
    tasks.join_all().await;
    for id in ids {
        let record = servers.stores[1].table_by_id(warehouse_ref, id).await.unwrap().unwrap();
        assert_eq!(record.metadata_location, "s3://b/m60");
    }
    let after = servers.count("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").await;
    // Other tests use the same database, so this shows deadlocks of theirs too. They make none on purpose.
    assert_eq!(after, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn due_work_is_claimed_once_by_two_servers_at_once() {
    const TABLES: usize = 24;
    let servers = Servers::start().await;
    let namespace = servers.namespace("sales").await;
    let warehouse_ref = servers.warehouse_ref;
    let purge = DropTerms { restorable_until_ms: NOW_MS, purge: true };
    for number in 0..TABLES {
        let ident = TableIdent::new(namespace.clone(), &format!("t{number}")).unwrap();
        let at = format!("s3://b/lake/t{number}");
        let id = create(&servers.stores[0], warehouse_ref, &ident, &at).await.unwrap();
        let documents = vec![Location::parse(&format!("{at}/metadata/m0")).unwrap()];
        let past = Past::Removed { documents, due_ms: NOW_MS };
        swap(&servers.stores[0], warehouse_ref, id, ("s3://b/m0", "s3://b/m1"), &at, &past).await.unwrap();
        let ident = TableIdent::new(namespace.clone(), &format!("d{number}")).unwrap();
        let id = create(&servers.stores[0], warehouse_ref, &ident, &format!("{at}-d")).await.unwrap();
        let (kind, terms) = (TableKind::Table, Some(&purge));
        servers.stores[0].table_drop(warehouse_ref, &ident, id, kind, terms, &change()).await.unwrap();
    }
    let mut tasks = JoinSet::new();
    for task in 0..6_usize {
        let store = Arc::clone(&servers.stores[task % 2]);
        tasks.spawn(async move {
            let (mut dropped, mut documents) = (Vec::new(), Vec::new());
            loop {
                let tables = store.dropped_claim(NOW_MS, NOW_MS + 1_000, 3).await.unwrap();
                let old = store.old_document_claim(NOW_MS, NOW_MS + 1_000, 4, 3).await.unwrap();
                if tables.is_empty() && old.is_empty() {
                    return (dropped, documents);
                }
                dropped.extend(tables.into_iter().map(|table| (table.id, table.attempts)));
                documents.extend(old.into_iter().map(|document| (document.table, document.attempts)));
            }
        });
    }
    let (mut dropped, mut documents) = (Vec::new(), Vec::new());
    for (tables, old) in tasks.join_all().await {
        dropped.extend(tables);
        documents.extend(old);
    }
    for claimed in [dropped, documents] {
        let mut ids: Vec<_> = claimed.iter().map(|(id, _)| *id).collect();
        ids.sort_unstable_by_key(|id| id.0);
        ids.dedup();
        assert_eq!((claimed.len(), ids.len()), (TABLES, TABLES));
        assert!(claimed.iter().all(|(_, attempts)| *attempts == 1), "{claimed:?}");
    }
}

#[tokio::test]
async fn longest_names_and_long_locations_are_stored_and_found() {
    let servers = Servers::start().await;
    let (store, warehouse_ref) = (&servers.stores[0], servers.warehouse_ref);
    // Text that does not compress, so that the database cannot store it shorter.
    let mut state = 7_u64;
    let mut level = |length: usize| {
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'!' + u8::try_from(state >> 33 & 63).unwrap())
        };
        (0..length)
            .map(|_| next())
            .map(|c| if matches!(c, '#' | '%' | '?' | '/' | '\\') { 'x' } else { c })
            .collect::<String>()
    };
    let levels: Vec<String> = (0..16).map(|_| level(255)).collect();
    let location = format!("s3://b/lake/{}", level(6_000));
    for depth in 1..=levels.len() {
        let namespace = NamespaceIdent::new(&levels[..depth]).unwrap();
        store.namespace_create(warehouse_ref, &namespace, &Properties::new(), &change()).await.unwrap();
    }
    let namespace = NamespaceIdent::new(&levels).unwrap();
    let parent = namespace.parent().unwrap();
    let listed = store.namespace_list(warehouse_ref, Some(&parent), &Default::default()).await.unwrap();
    assert_eq!(listed.items, std::slice::from_ref(&namespace));
    let ident = TableIdent::new(namespace.clone(), &level(255)).unwrap();
    let id = create(store, warehouse_ref, &ident, &location).await.unwrap();
    assert_eq!(store.table_get(warehouse_ref, &ident).await.unwrap().map(|record| record.id), Some(id));
    let other = TableIdent::new(namespace.clone(), "other").unwrap();
    for overlapping in [location.clone(), format!("{location}/below")] {
        let created = create(store, warehouse_ref, &other, &overlapping).await;
        assert!(matches!(created, Err(StoreError::LocationTaken(_))), "{created:?}");
    }
    create(store, warehouse_ref, &other, &format!("{location}-beside")).await.unwrap();
    let documents = vec![Location::parse(&format!("{location}/m0")).unwrap()];
    let past = Past::Removed { documents, due_ms: NOW_MS };
    swap(store, warehouse_ref, id, ("s3://b/m0", "s3://b/m1"), &location, &past).await.unwrap();
    assert_eq!(store.old_document_claim(NOW_MS, NOW_MS + 1, 1, 9).await.unwrap().len(), 1);
    store.table_drop(warehouse_ref, &ident, id, TableKind::Table, Some(&TERMS), &change()).await.unwrap();
    let restore = Restore { id, ident: &ident, locations: None };
    store.dropped_restore(warehouse_ref, &restore, None, &change()).await.unwrap();
    servers.check().await;
}

#[tokio::test]
async fn null_character_is_stored_in_properties_and_matches_no_name() {
    let servers = Servers::start().await;
    let (store, warehouse_ref) = (&servers.stores[0], servers.warehouse_ref);
    let namespace = NamespaceIdent::new(&["sales"]).unwrap();
    let properties = Properties::from([("a\0b".to_owned(), "\0".to_owned())]);
    store.namespace_create(warehouse_ref, &namespace, &properties, &change()).await.unwrap();
    assert_eq!(store.namespace_get(warehouse_ref, &namespace).await.unwrap(), Some(properties));
    for name in ["a", "b"] {
        let ident = TableIdent::new(namespace.clone(), name).unwrap();
        create(store, warehouse_ref, &ident, &format!("s3://b/lake/{name}")).await.unwrap();
    }
    let page = PageRequest { after: Some("a\0z".to_owned()), limit: None };
    let tables = store.table_list(warehouse_ref, &namespace, TableKind::Table, &page).await.unwrap();
    assert_eq!(tables.items, ["b"]);
    let page = PageRequest { after: Some("r\0".to_owned()), limit: None };
    assert_eq!(store.namespace_list(warehouse_ref, None, &page).await.unwrap().items, [namespace]);
    let filter = DroppedFilter { name: Some("a\0".to_owned()), ..DroppedFilter::default() };
    let dropped = store.dropped_list(warehouse_ref, &filter, &Default::default()).await.unwrap();
    assert!(dropped.items.is_empty());
}
