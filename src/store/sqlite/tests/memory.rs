//! The cache of pointers, namespaces and lists, compared with the database.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use proptest::prelude::*;
use tempfile::TempDir;
use tidewater_core::ids::{OrganisationId, TableId, WarehouseId};
use tidewater_core::location::Location;
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::request_limits::RequestLimits;
use tidewater_core::reserved_locations::Locations;
use uuid::Uuid;

use super::{opened, opened_alone, organisation, stranger};
use crate::store::faulty::{Fault, FaultyStore};
use crate::store::sqlite::SqliteStore;
use crate::store::{
    Change, DropTerms, DroppedStore, EventDetails, NamespaceStore, NewTable, OrganisationStore, Origin, PageRequest,
    Past, Restore, Result, Store, StoreError, Swap, TableChange, TableKind, TableRecord, TableStore, Undo, Warehouse,
    WarehouseOptions, WarehouseRef, WarehouseStorage, WarehouseStore,
};

const NAMESPACES: [&[&str]; 3] = [&["a"], &["a", "b"], &["c"]];
const NAMES: [&str; 3] = ["t", "u", "v"];
const KINDS: [TableKind; 2] = [TableKind::Table, TableKind::View];

fn change() -> Change {
    Change::by_catalog(1_000)
}

fn warehouse_ref() -> WarehouseRef {
    WarehouseRef { organisation: OrganisationId(Uuid::from_u128(1)), warehouse: WarehouseId(Uuid::from_u128(2)) }
}

fn namespace(number: usize) -> NamespaceIdent {
    NamespaceIdent::new(NAMESPACES[number % NAMESPACES.len()]).unwrap()
}

fn ident(number: usize) -> TableIdent {
    TableIdent::new(namespace(number), NAMES[number / NAMESPACES.len() % NAMES.len()]).unwrap()
}

fn locations(id: TableId) -> Locations {
    Locations::new(Location::parse(&format!("s3://bucket/{id}")).unwrap(), [])
}

async fn prepare(store: &SqliteStore) {
    let organisation = crate::store::Organisation { id: warehouse_ref().organisation, ..organisation("org") };
    store.organisation_create(&organisation, &change()).await.unwrap();
    let warehouse = Warehouse {
        id: warehouse_ref().warehouse,
        organisation: warehouse_ref().organisation,
        name: "lake".to_owned(),
        root: "s3://bucket".to_owned(),
        storage: WarehouseStorage::local(),
        options: WarehouseOptions::default(),
        is_default: true,
        created_ms: 0,
    };
    store.warehouse_create(&warehouse, &change()).await.unwrap();
}

async fn create(store: &dyn Store, id: TableId, ident: &TableIdent, kind: TableKind) -> Result<()> {
    let (locations, details) = (locations(id), EventDetails::new());
    let metadata_location = &format!("{id}/0");
    let new = NewTable {
        id,
        ident,
        kind,
        metadata_location,
        locations: &locations,
        origin: Origin::Catalog,
        details: &details,
    };
    store.table_create(warehouse_ref(), &new, None, &change()).await
}

async fn swap(store: &dyn Store, record: &TableRecord, new: &str) -> Result<()> {
    let (locations, details) = (locations(record.id), EventDetails::new());
    let expected = &record.metadata_location;
    let swap = Swap {
        id: record.id,
        ident: None,
        expected,
        new,
        locations: &locations,
        origin: Origin::Catalog,
        past: &Past::Kept,
        details: &details,
    };
    store.table_swap(warehouse_ref(), &swap, &change()).await
}

/// One call of the store. Numbers choose names and kinds.
#[derive(Debug, Clone)]
enum Step {
    CreateNamespace(usize),
    DropNamespace(usize),
    SetProperty(usize, u8),
    Create(usize, bool),
    Swap(usize),
    UndoCreate(usize),
    Transact(usize, usize),
    FailedTransact(usize, usize),
    Drop(usize, bool, bool),
    Rename(usize, usize, bool),
    Restore(usize, usize),
    RemoveDropped(usize),
    ForgetDropped,
    ForeignKeyAction(usize),
    Read(usize),
    List(usize, bool, Option<u32>),
    ListNamespaces(usize, Option<u32>),
}

fn step() -> impl Strategy<Value = Step> {
    let name = || 0..9_usize;
    let limit = || prop::option::of(1..3_u32);
    prop_oneof![
        3 => name().prop_map(Step::CreateNamespace),
        1 => name().prop_map(Step::DropNamespace),
        1 => (name(), any::<u8>()).prop_map(|(at, value)| Step::SetProperty(at, value)),
        4 => (name(), any::<bool>()).prop_map(|(at, view)| Step::Create(at, view)),
        3 => name().prop_map(Step::Swap),
        1 => name().prop_map(Step::UndoCreate),
        2 => (name(), name()).prop_map(|(swapped, new)| Step::Transact(swapped, new)),
        1 => (name(), name()).prop_map(|(swapped, new)| Step::FailedTransact(swapped, new)),
        2 => (name(), any::<bool>(), any::<bool>()).prop_map(|(at, view, kept)| Step::Drop(at, view, kept)),
        2 => (name(), name(), any::<bool>()).prop_map(|(from, to, view)| Step::Rename(from, to, view)),
        1 => (name(), name()).prop_map(|(which, to)| Step::Restore(which, to)),
        1 => name().prop_map(Step::RemoveDropped),
        1 => Just(Step::ForgetDropped),
        1 => name().prop_map(Step::ForeignKeyAction),
        5 => name().prop_map(Step::Read),
        4 => (name(), any::<bool>(), limit()).prop_map(|(at, view, limit)| Step::List(at, view, limit)),
        3 => (name(), limit()).prop_map(|(at, limit)| Step::ListNamespaces(at, limit)),
    ]
}

fn kind(is_view: bool) -> TableKind {
    KINDS[usize::from(is_view)]
}

/// Moves the pointer of one table, if there is one, and adds another, in one transaction with other changes.
async fn transact(
    store: &SqliteStore,
    (id, document): (TableId, String),
    swapped: usize,
    new: usize,
    others: Vec<TableChange>,
) -> String {
    let mut changes = Vec::new();
    if let Some(record) = store.table_get(warehouse_ref(), &ident(swapped)).await.unwrap() {
        changes.push(TableChange::Swap {
            id: record.id,
            ident: None,
            expected: record.metadata_location,
            new: document.clone(),
            locations: locations(record.id),
            past: Past::Kept,
            details: EventDetails::new(),
        });
    }
    changes.push(TableChange::Create {
        id,
        ident: ident(new),
        metadata_location: document,
        locations: locations(id),
        details: EventDetails::new(),
    });
    changes.extend(others);
    format!("{:?}", store.table_transact(warehouse_ref(), changes, None, &change()).await)
}

/// Renames a namespace there and back. A foreign key renames it in the rows of its tables too.
async fn rename_namespace(store: &SqliteStore, at: usize) -> String {
    let (from, to) = (namespace(at).as_key().to_owned(), format!("{}x", namespace(at + 1).as_key()));
    let renamed = store.writer.write(move |connection| {
        for (from, to) in [(&from, &to), (&to, &from)] {
            connection.execute("UPDATE namespace SET key = ?2 WHERE key = ?1", [from, to]).unwrap();
        }
        connection.execute("UPDATE tabular SET metadata_location = metadata_location || '+'", []).unwrap();
        Ok(())
    });
    format!("{:?}", renamed.await)
}

/// Does a step and returns its result as text. `number` determines its ids and documents.
async fn perform(store: &SqliteStore, number: usize, step: &Step) -> String {
    let (warehouse_ref, id, document) =
        (warehouse_ref(), TableId(Uuid::from_u128(100 + number as u128)), format!("document {number}"));
    match *step {
        Step::CreateNamespace(at) => {
            format!("{:?}", store.namespace_create(warehouse_ref, &namespace(at), &BTreeMap::new(), &change()).await)
        }
        Step::DropNamespace(at) => {
            format!("{:?}", store.namespace_drop(warehouse_ref, &namespace(at), &change()).await)
        }
        Step::SetProperty(at, value) => {
            let updates = BTreeMap::from([("key".to_owned(), value.to_string())]);
            let limits = RequestLimits::default();
            let namespace = namespace(at);
            let change = change();
            let set = store.namespace_update_properties(warehouse_ref, &namespace, &updates, &[], &limits, &change);
            format!("{:?}", set.await)
        }
        Step::Create(at, view) => format!("{:?}", create(store, id, &ident(at), kind(view)).await),
        Step::Swap(at) => match store.table_get(warehouse_ref, &ident(at)).await.unwrap() {
            Some(record) => format!("{:?}", swap(store, &record, &document).await),
            None => "none".to_owned(),
        },
        Step::UndoCreate(at) => {
            let made = create(store, id, &ident(at), TableKind::Table).await;
            let pointer = format!("{id}/0");
            let undo = Undo { id, made: &pointer, before: None };
            format!("{made:?} {:?}", store.table_undo(warehouse_ref, &undo, &change()).await)
        }
        Step::Transact(swapped, new) => transact(store, (id, document), swapped, new, Vec::new()).await,
        Step::FailedTransact(swapped, new) => {
            let missing = TableChange::Keep { id: TableId(Uuid::nil()), ident: None, expected: String::new() };
            transact(store, (id, document), swapped, new, vec![missing]).await
        }
        Step::Drop(at, view, kept) => {
            let terms = DropTerms { restorable_until_ms: 2_000, purge: false };
            let id = id_at(store, &ident(at)).await;
            let dropped =
                store.table_drop(warehouse_ref, &ident(at), id, kind(view), kept.then_some(&terms), &change()).await;
            format!("{dropped:?}")
        }
        Step::Rename(from, to, view) => {
            let id = id_at(store, &ident(from)).await;
            format!(
                "{:?}",
                store.table_rename(warehouse_ref, &ident(from), id, &ident(to), kind(view), &change()).await
            )
        }
        Step::Restore(which, to) => match one_dropped(store, which).await {
            Some(id) => {
                let restore = Restore { id, ident: &ident(to), locations: None };
                format!("{:?}", store.dropped_restore(warehouse_ref, &restore, None, &change()).await)
            }
            None => "none".to_owned(),
        },
        Step::RemoveDropped(which) => match one_dropped(store, which).await {
            Some(id) => format!("{:?}", store.dropped_remove(warehouse_ref, id, Some(false), &change()).await),
            None => "none".to_owned(),
        },
        Step::ForgetDropped => format!("{:?}", store.dropped_forget_due(1, &Change::by_catalog(3_000)).await),
        // A statement that no method of the store runs.
        Step::ForeignKeyAction(at) => rename_namespace(store, at).await,
        Step::Read(at) => format!(
            "{:?} {:?} {:?}",
            store.table_get(warehouse_ref, &ident(at)).await,
            store.namespace_get(warehouse_ref, &namespace(at)).await,
            store.table_get_all(warehouse_ref, &[ident(at), ident(at + 1)]).await,
        ),
        Step::List(at, view, limit) => {
            let request = PageRequest { after: limit.map(|_| "t".to_owned()), limit };
            let found = store.table_list(warehouse_ref, &namespace(at), kind(view), &request).await;
            format!("{:?}", found.map(|page| (page.items.clone(), page.more)))
        }
        Step::ListNamespaces(at, limit) => {
            let request = PageRequest { after: None, limit };
            let parent = (at > 2).then(|| namespace(at));
            let found = store.namespace_list(warehouse_ref, parent.as_ref(), &request).await;
            format!("{:?}", found.map(|page| (page.items.clone(), page.more)))
        }
    }
}

async fn one_dropped(store: &SqliteStore, which: usize) -> Option<TableId> {
    let all = store.dropped_list(warehouse_ref(), &Default::default(), &Default::default()).await.unwrap().items;
    (!all.is_empty()).then(|| all[which % all.len()].id)
}

/// Returns all readable data as text.
async fn everything(store: &SqliteStore) -> Vec<String> {
    let mut all = Vec::new();
    for at in 0..9 {
        all.push(perform(store, 0, &Step::Read(at)).await);
        all.push(perform(store, 0, &Step::ListNamespaces(at, None)).await);
        for view in [false, true] {
            all.push(perform(store, 0, &Step::List(at, view, None)).await);
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// The second cache is so small that it evicts entries all the time.
    #[test]
    fn store_with_cache_answers_like_one_without(steps in prop::collection::vec(step(), 10..50)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folders: Vec<TempDir> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
            let without = opened(&folders[0]);
            let small = SqliteStore::open_alone(&folders[2].path().join("catalog.db"), 20_000).unwrap();
            let with = [opened_alone(&folders[1]), small];
            prepare(&without).await;
            for store in &with {
                prepare(store).await;
            }
            for (number, step) in steps.iter().enumerate() {
                let expected = perform(&without, number, step).await;
                for store in &with {
                    assert_eq!(perform(store, number, step).await, expected, "step {number}: {step:?}");
                }
            }
            let expected = everything(&without).await;
            for store in &with {
                assert_eq!(everything(store).await, expected);
                // Read again: now most data is cached.
                assert_eq!(everything(store).await, expected);
            }
        });
    }
}

/// Returns the number at the end of a document's name.
fn version(record: &TableRecord) -> usize {
    record.metadata_location.rsplit('/').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_reads_never_see_older_pointers_than_acknowledged() {
    const TABLES: usize = 4;
    const COMMITS: usize = 60;
    let folder = tempfile::tempdir().unwrap();
    let sqlite = Arc::new(opened_alone(&folder));
    prepare(&sqlite).await;
    sqlite.namespace_create(warehouse_ref(), &namespace(0), &BTreeMap::new(), &change()).await.unwrap();
    let store = Arc::new(FaultyStore::new(sqlite));
    let acknowledged: Arc<Vec<AtomicUsize>> = Arc::new((0..TABLES).map(|_| AtomicUsize::new(0)).collect());
    let ident = |table: usize| TableIdent::new(namespace(0), &format!("t{table}")).unwrap();
    for table in 0..TABLES {
        create(&*store, TableId(Uuid::from_u128(table as u128 + 1)), &ident(table), TableKind::Table).await.unwrap();
    }
    let ended = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (store, acknowledged, ended) = (Arc::clone(&store), Arc::clone(&acknowledged), Arc::clone(&ended));
            tokio::spawn(async move {
                let mut seen = [0; TABLES];
                let mut reads = 0;
                while !ended.load(Ordering::SeqCst) {
                    let table = reads % TABLES;
                    let least = acknowledged[table].load(Ordering::SeqCst).max(seen[table]);
                    // Also by id, which the cache does not serve.
                    let id = TableId(Uuid::from_u128(table as u128 + 1));
                    let found = if reads % 3 == 0 {
                        store.table_by_id(warehouse_ref(), id).await
                    } else {
                        store.table_get(warehouse_ref(), &ident(table)).await
                    };
                    seen[table] = version(&found.unwrap().unwrap());
                    assert!(seen[table] >= least, "table {table}: read {}, after {least}", seen[table]);
                    reads += 1;
                }
                reads
            })
        })
        .collect();
    let writers: Vec<_> = (0..TABLES)
        .map(|table| {
            let (store, acknowledged) = (Arc::clone(&store), Arc::clone(&acknowledged));
            tokio::spawn(async move {
                for number in 1..=COMMITS {
                    // Now and then the answer is lost, whether the change happened or not.
                    if number % 7 == table {
                        store.fail_next(if number % 2 == 0 { Fault::DoneUnheard } else { Fault::NotDone });
                    }
                    loop {
                        let record = store.table_get(warehouse_ref(), &ident(table)).await.unwrap().unwrap();
                        if version(&record) == number {
                            break;
                        }
                        match swap(&*store, &record, &format!("{}/{number}", record.id)).await {
                            Ok(()) => break,
                            Err(StoreError::Unavailable(_)) => {}
                            Err(other) => panic!("{other:?}"),
                        }
                    }
                    acknowledged[table].store(number, Ordering::SeqCst);
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    ended.store(true, Ordering::SeqCst);
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
}

#[tokio::test]
async fn commit_that_fails_leaves_the_old_pointer() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened_alone(&folder);
    prepare(&store).await;
    store.namespace_create(warehouse_ref(), &namespace(0), &BTreeMap::new(), &change()).await.unwrap();
    let id = TableId(Uuid::from_u128(7));
    create(&store, id, &ident(0), TableKind::Table).await.unwrap();
    let before = store.table_get(warehouse_ref(), &ident(0)).await.unwrap().unwrap();
    // The constraint is checked by the COMMIT.
    let failed = store.writer.write(|connection| {
        connection.pragma_update(None, "defer_foreign_keys", true)?;
        connection.execute("UPDATE tabular SET metadata_location = 'moved', namespace = 'nowhere'", [])?;
        Ok(())
    });
    assert!(failed.await.is_err());
    assert_eq!(store.table_get(warehouse_ref(), &ident(0)).await.unwrap(), Some(before.clone()));
    swap(&store, &before, "next/1").await.unwrap();
    assert_eq!(store.table_get(warehouse_ref(), &ident(0)).await.unwrap().unwrap().metadata_location, "next/1");
}

#[tokio::test]
async fn change_of_many_rows_drops_the_whole_cache() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened_alone(&folder);
    prepare(&store).await;
    store.namespace_create(warehouse_ref(), &namespace(0), &BTreeMap::new(), &change()).await.unwrap();
    create(&store, TableId(Uuid::from_u128(7)), &ident(0), TableKind::Table).await.unwrap();
    assert!(store.table_get(warehouse_ref(), &ident(0)).await.unwrap().is_some());
    let copied = store.writer.write(|connection| {
        connection.execute(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 11000)
             INSERT INTO tabular (organisation, warehouse, namespace, name, id, kind, metadata_location, location, others,
                                  created_ms, updated_ms)
             SELECT organisation, warehouse, namespace, 'n' || n, randomblob(16), kind, 'document', 'location', '', 0, 0
             FROM tabular, n WHERE name = 't'",
            [],
        )?;
        connection.execute("UPDATE tabular SET metadata_location = 'moved'", [])?;
        Ok(())
    });
    copied.await.unwrap();
    assert_eq!(store.table_get(warehouse_ref(), &ident(0)).await.unwrap().unwrap().metadata_location, "moved");
    assert_eq!(store.table_get(warehouse_ref(), &ident(0)).await.unwrap().unwrap().metadata_location, "moved");
}

#[tokio::test]
async fn write_of_another_process_is_noticed_by_the_next_commit() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened_alone(&folder);
    prepare(&store).await;
    store.namespace_create(warehouse_ref(), &namespace(0), &BTreeMap::new(), &change()).await.unwrap();
    create(&store, TableId(Uuid::from_u128(7)), &ident(0), TableKind::Table).await.unwrap();
    assert!(store.table_get(warehouse_ref(), &ident(0)).await.unwrap().is_some());
    stranger(folder.path()).execute("UPDATE tabular SET metadata_location = 'theirs'", []).unwrap();
    store.organisation_set_tier(warehouse_ref().organisation, "free", &change()).await.unwrap();
    assert_eq!(store.table_get(warehouse_ref(), &ident(0)).await.unwrap().unwrap().metadata_location, "theirs");
}

#[tokio::test]
async fn cached_reads_use_no_database() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened_alone(&folder);
    prepare(&store).await;
    store.namespace_create(warehouse_ref(), &namespace(0), &BTreeMap::new(), &change()).await.unwrap();
    create(&store, TableId(Uuid::from_u128(7)), &ident(0), TableKind::Table).await.unwrap();
    let read = async || {
        let all = PageRequest::default();
        (
            store.table_get(warehouse_ref(), &ident(0)).await.unwrap(),
            store.table_get(warehouse_ref(), &ident(3)).await.unwrap(),
            store.namespace_get(warehouse_ref(), &namespace(0)).await.unwrap(),
            store.table_list(warehouse_ref(), &namespace(0), TableKind::Table, &all).await.unwrap().items.clone(),
            store.namespace_list(warehouse_ref(), None, &all).await.unwrap().items.clone(),
        )
    };
    let before = read().await;
    store.point_readers.close();
    store.lists.close();
    assert_eq!(read().await, before);
    assert!(store.table_get(warehouse_ref(), &ident(6)).await.is_err(), "data outside of the cache needs the database");
    store.close().await;
    assert!(store.table_get(warehouse_ref(), &ident(0)).await.is_err(), "a closed store answers nothing");
}

async fn id_at(store: &SqliteStore, ident: &TableIdent) -> TableId {
    store.table_get(warehouse_ref(), ident).await.unwrap().map_or(TableId(Uuid::nil()), |record| record.id)
}
