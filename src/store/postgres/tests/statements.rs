//! The number of statements that a method sends, counted between the store and the database.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidewater_core::ids::{OrganisationId, TableId, WarehouseId};
use tidewater_core::labels::{LabelUpdate, Labels};
use tidewater_core::location::Location;
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::reserved_locations::Locations;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::server::TestDatabase;
use super::{PostgresStore, settings};
use crate::base::clock::fresh_uuid;
use crate::store::{
    Change, DropTerms, DroppedStore, EventDetails, LabelStore, LabelledObject, NamespaceStore, NewTable, Organisation,
    OrganisationStore, Origin, Past, Properties, Receipt, RequestDigest, Restore, Swap, TableChange, TableKind,
    TableStore, Warehouse, WarehouseOptions, WarehouseRef, WarehouseStorage, WarehouseStore,
};

/// The first number of a connection's first message, for protocol 3.0.
const PROTOCOL: [u8; 4] = [0, 3, 0, 0];

/// Forwards connections to a server, and counts the statements that are executed: prepared ones, and simple ones such as `COMMIT`.
pub(super) struct Proxy {
    address: String,
    statements: Arc<AtomicU64>,
}

impl Proxy {
    async fn start(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let statements = Arc::<AtomicU64>::default();
        let counter = Arc::clone(&statements);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                let counter = Arc::clone(&counter);
                tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
                tokio::spawn(async move {
                    let mut messages = Messages::default();
                    let mut buffer = vec![0; 1 << 16];
                    while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
                        // Counted before the server gets them, so before the store has its answer.
                        counter.fetch_add(messages.executed(&buffer[..length]), Ordering::AcqRel);
                        to_server.write_all(&buffer[..length]).await.unwrap();
                    }
                });
            }
        });
        Self { address, statements }
    }

    /// Returns how many statements were sent.
    pub(super) fn sent(&self) -> u64 {
        self.statements.load(Ordering::Acquire)
    }

    /// Returns how many statements `work` sends.
    async fn count<T>(&self, work: impl Future<Output = T>) -> (u64, T) {
        let before = self.sent();
        let done = work.await;
        (self.sent() - before, done)
    }
}

/// The messages of a client.
#[derive(Default)]
struct Messages {
    pending: Vec<u8>,
    has_begun: bool,
}

impl Messages {
    /// Returns how many of the messages that end in these bytes execute a statement.
    fn executed(&mut self, bytes: &[u8]) -> u64 {
        self.pending.extend_from_slice(bytes);
        let mut executed = 0;
        loop {
            // Messages before the protocol begins have no kind.
            let kind = usize::from(self.has_begun);
            let Some(length) = self.pending.get(kind..kind + 4) else { return executed };
            let end = kind + u32::from_be_bytes(length.try_into().unwrap()) as usize;
            if self.pending.len() < end {
                return executed;
            }
            let message: Vec<u8> = self.pending.drain(..end).collect();
            if self.has_begun {
                executed += u64::from(matches!(message[0], b'E' | b'Q'));
            } else {
                self.has_begun = message.get(4..8) == Some(&PROTOCOL[..]);
            }
        }
    }
}

pub(super) fn change() -> Change {
    Change::by_catalog(1)
}

pub(super) fn at(name: &str) -> Locations {
    Locations::new(Location::parse(&format!("s3://b/lake/{name}")).unwrap(), [])
}

/// A catalog with a namespace, behind the proxy.
pub(super) struct Catalog {
    pub(super) proxy: Proxy,
    pub(super) store: PostgresStore,
    pub(super) warehouse_ref: WarehouseRef,
    namespace: NamespaceIdent,
    pub(super) database: TestDatabase,
}

impl Catalog {
    pub(super) async fn create() -> Self {
        let database = TestDatabase::create().await;
        let url = database.url();
        let server = url.split(['@', '/']).nth(3).unwrap().to_owned();
        let proxy = Proxy::start(server.clone()).await;
        let store = PostgresStore::open(&settings(url.replace(&server, &proxy.address))).await.unwrap();
        let organisation = OrganisationId(fresh_uuid());
        let new = Organisation::new(organisation, "acme".to_owned(), "free".to_owned(), 1);
        store.organisation_create(&new, &change()).await.unwrap();
        let warehouse = Warehouse {
            id: WarehouseId(fresh_uuid()),
            organisation,
            name: "lake".to_owned(),
            root: "s3://b/lake".to_owned(),
            storage: WarehouseStorage::local(),
            options: WarehouseOptions::default(),
            is_default: true,
            created_ms: 1,
        };
        store.warehouse_create(&warehouse, &change()).await.unwrap();
        let warehouse_ref = WarehouseRef { organisation, warehouse: warehouse.id };
        let namespace = NamespaceIdent::new(&["sales"]).unwrap();
        store.namespace_create(warehouse_ref, &namespace, &Properties::new(), &change()).await.unwrap();
        Self { proxy, store, warehouse_ref, namespace, database }
    }

    pub(super) fn ident(&self, name: &str) -> TableIdent {
        TableIdent::new(self.namespace.clone(), name).unwrap()
    }

    pub(super) async fn table(&self, name: &str) -> (u64, TableId) {
        let id = TableId(fresh_uuid());
        let (ident, locations, details) = (self.ident(name), at(name), EventDetails::new());
        let new = NewTable {
            id,
            ident: &ident,
            kind: TableKind::Table,
            metadata_location: "s3://b/m0",
            locations: &locations,
            origin: Origin::Catalog,
            details: &details,
        };
        let (statements, created) =
            self.proxy.count(self.store.table_create(self.warehouse_ref, &new, None, &change())).await;
        created.unwrap();
        (statements, id)
    }

    /// Moves the pointer of a table under its name. Returns the number of statements.
    pub(super) async fn swap(
        &self,
        (id, name): (TableId, &str),
        (expected, new): (&str, &str),
        locations: &Locations,
        change: &Change,
    ) -> u64 {
        let documents = vec![Location::parse("s3://b/lake/old").unwrap()];
        let past = &Past::Removed { documents, due_ms: 1 };
        let (origin, details, ident) = (Origin::Catalog, &EventDetails::new(), Some(&self.ident(name)));
        let swap = Swap { id, ident, expected, new, locations, origin, past, details };
        let (statements, swapped) = self.proxy.count(self.store.table_swap(self.warehouse_ref, &swap, change)).await;
        swapped.unwrap();
        statements
    }

    /// Moves the pointers of several tables. Returns the number of statements.
    async fn transact(&self, ids: &[(TableId, &str)], (expected, new): (&str, &str), change: &Change) -> u64 {
        let changes = ids.iter().map(|(id, name)| TableChange::Swap {
            id: *id,
            ident: Some(self.ident(name)),
            expected: expected.to_owned(),
            new: new.to_owned(),
            locations: at(name),
            past: Past::Kept,
            details: EventDetails::new(),
        });
        let (statements, made) =
            self.proxy.count(self.store.table_transact(self.warehouse_ref, changes.collect(), None, change)).await;
        made.unwrap();
        statements
    }
}

/// Returns a change with a receipt.
fn keyed() -> Change {
    let (principal, key) = (tidewater_core::ids::PrincipalId(fresh_uuid()), fresh_uuid());
    let receipt = Receipt { principal, key, request: RequestDigest([7; 32]), expires_ms: 1_000 };
    Change { receipt: Some(Arc::new(receipt)), ..change() }
}

#[tokio::test]
async fn load_of_a_table_with_labels_takes_one_statement() {
    let catalog = Catalog::create().await;
    let Catalog { proxy, store, warehouse_ref, .. } = &catalog;
    let (_, id) = catalog.table("one").await;
    let ident = catalog.ident("one");
    let labels = Labels::new([("owner".to_owned(), "sales".to_owned())].into(), BTreeMap::new()).unwrap();
    let (on, update) = (LabelledObject::Tabular(TableKind::Table, id), LabelUpdate::Replace(labels.clone()));
    store.labels_update(*warehouse_ref, &on, &update, 0, &change()).await.unwrap();
    // The first use of a connection opens it.
    for _ in 0..2 {
        assert!(store.table_get(*warehouse_ref, &ident).await.unwrap().is_some());
    }
    let (load, found) = proxy.count(store.table_get(*warehouse_ref, &ident)).await;
    assert_eq!((load, found.unwrap().unwrap().labels.as_deref()), (1, Some(&labels)));
}

#[tokio::test]
async fn load_and_commit_take_one_statement_each() {
    let catalog = Catalog::create().await;
    let Catalog { proxy, store, warehouse_ref, namespace, .. } = &catalog;
    let warehouse_ref = *warehouse_ref;
    let (_, one) = catalog.table("one").await;
    let (created, two) = catalog.table("two").await;
    let (ident, all) = (catalog.ident("one"), [catalog.ident("one"), catalog.ident("two")]);
    let page = Default::default();
    // The first use of a connection opens it.
    for _ in 0..2 {
        assert!(store.table_get(warehouse_ref, &ident).await.unwrap().is_some());
        assert_eq!(store.table_get_all(warehouse_ref, &all).await.unwrap().len(), 2);
    }

    let (load, found) = proxy.count(store.table_get(warehouse_ref, &ident)).await;
    assert!(found.unwrap().is_some());
    let (load_by_id, found) = proxy.count(store.table_by_id(warehouse_ref, one)).await;
    assert!(found.unwrap().is_some());
    let (load_all, found) = proxy.count(store.table_get_all(warehouse_ref, &all)).await;
    assert_eq!(found.unwrap().len(), 2);
    let (list, found) = proxy.count(store.table_list(warehouse_ref, namespace, TableKind::Table, &page)).await;
    assert_eq!(found.unwrap().items.len(), 2);
    let (read_namespace, found) = proxy.count(store.namespace_get(warehouse_ref, namespace)).await;
    assert!(found.unwrap().is_some());
    let (list_namespaces, found) = proxy.count(store.namespace_list(warehouse_ref, None, &page)).await;
    assert_eq!(found.unwrap().items.len(), 1);

    let tables = [(one, "one"), (two, "two")];
    let commit = catalog.swap((one, "one"), ("s3://b/m0", "s3://b/m1"), &at("one"), &change()).await;
    let keyed_commit = catalog.swap((two, "two"), ("s3://b/m0", "s3://b/m1"), &at("two"), &keyed()).await;
    let transaction = catalog.transact(&tables, ("s3://b/m1", "s3://b/m2"), &change()).await;
    let keyed_transaction = catalog.transact(&tables, ("s3://b/m2", "s3://b/m3"), &keyed()).await;
    let moved = catalog.swap((one, "one"), ("s3://b/m3", "s3://b/m4"), &at("elsewhere"), &change()).await;

    let renamed = catalog.ident("renamed");
    let (rename, done) =
        proxy.count(store.table_rename(warehouse_ref, &ident, one, &renamed, TableKind::Table, &change())).await;
    done.unwrap();
    let terms = DropTerms { restorable_until_ms: 1_000, purge: true };
    let (drop, done) =
        proxy.count(store.table_drop(warehouse_ref, &renamed, one, TableKind::Table, Some(&terms), &change())).await;
    done.unwrap();
    let restored = Restore { id: one, ident: &ident, locations: None };
    let (restore, done) = proxy.count(store.dropped_restore(warehouse_ref, &restored, None, &change())).await;
    done.unwrap();
    let (claim, claimed) = proxy.count(store.dropped_claim(5_000, 6_000, 10)).await;
    assert!(claimed.unwrap().is_empty());

    for (method, statements) in [
        ("table_create", created),
        ("table_swap with other locations", moved),
        ("table_rename", rename),
        ("table_drop", drop),
        ("dropped_restore", restore),
        ("dropped_claim", claim),
    ] {
        println!("{method}: {statements} statements with BEGIN and COMMIT");
    }
    for (method, statements) in [
        ("table_get", load),
        ("table_by_id", load_by_id),
        ("table_get_all", load_all),
        ("table_list", list),
        ("namespace_get", read_namespace),
        ("namespace_list", list_namespaces),
        ("table_swap", commit),
        ("table_swap with a receipt", keyed_commit),
        ("table_transact", transaction),
        ("table_transact with a receipt", keyed_transaction),
    ] {
        assert_eq!(statements, 1, "{method}");
    }
}
