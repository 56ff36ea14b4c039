//! Dropped tables that another table or view replaces. They cannot be restored, and their files are never removed.

use std::sync::Arc;

use tidewater_core::ids::TableId;
use tidewater_core::location::Location;
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::reserved_locations::Locations;

use super::fixture::{
    NOW_MS, Subject, assert_refused, at, change, change_at, document, id_at, ident, spread, store_warehouse,
    stored_namespace,
};
use crate::base::clock::fresh_uuid;
use crate::store::{
    DropTerms, Dropped, DroppedState, EventDetails, NewTable, Origin, Past, Progress, Restore, Result, StoreError,
    Swap, TableChange, TableKind, WarehouseRef,
};

const HOUR_MS: i64 = 3_600_000;
const PLACE: &str = "s3://b/w/t";

struct Site {
    store: Subject,
    warehouse_ref: WarehouseRef,
    namespace: NamespaceIdent,
}

impl Site {
    async fn new(store: &Subject) -> Self {
        let warehouse_ref = store_warehouse(store).await;
        let namespace = stored_namespace(store, warehouse_ref, "sales").await;
        Self { store: Arc::clone(store), warehouse_ref, namespace }
    }

    fn ident(&self, name: &str) -> TableIdent {
        ident(&self.namespace, name)
    }

    async fn add(&self, name: &str, kind: TableKind, locations: &Locations, now_ms: i64) -> Result<TableId> {
        let (id, ident) = (TableId(fresh_uuid()), self.ident(name));
        let metadata_location = &document(0);
        let new = NewTable {
            id,
            ident: &ident,
            kind,
            metadata_location,
            locations,
            origin: Origin::Catalog,
            details: &EventDetails::new(),
        };
        self.store.table_create(self.warehouse_ref, &new, None, &change_at(now_ms)).await.map(|()| id)
    }

    async fn create(&self, name: &str, location: &str) -> Result<TableId> {
        self.add(name, TableKind::Table, &at(location), NOW_MS).await
    }

    async fn view(&self, name: &str, location: &str) -> Result<TableId> {
        self.add(name, TableKind::View, &view_at(location), NOW_MS).await
    }

    async fn drop(&self, name: &str, kind: TableKind, purge: bool) {
        let terms = DropTerms { restorable_until_ms: NOW_MS + HOUR_MS, purge };
        self.store
            .table_drop(
                self.warehouse_ref,
                &self.ident(name),
                id_at(&self.store, self.warehouse_ref, &self.ident(name)).await,
                kind,
                Some(&terms),
                &change(),
            )
            .await
            .unwrap();
    }

    /// Creates and drops a table at [`PLACE`].
    async fn dropped(&self, purge: bool) -> TableId {
        let id = self.create("old", PLACE).await.unwrap();
        self.drop("old", TableKind::Table, purge).await;
        id
    }

    async fn claim(&self) -> Vec<Dropped> {
        self.store.dropped_claim(NOW_MS + HOUR_MS, NOW_MS + 2 * HOUR_MS, 9).await.unwrap()
    }

    async fn restore(&self, id: TableId) -> Result<()> {
        let ident = self.ident("restored");
        let restore = Restore { id, ident: &ident, locations: None };
        self.store.dropped_restore(self.warehouse_ref, &restore, None, &change_at(NOW_MS + 1)).await
    }

    async fn get(&self, id: TableId) -> Option<Dropped> {
        self.store.dropped_get(self.warehouse_ref, id).await.unwrap()
    }

    async fn remove(&self, id: TableId, purge: bool, now_ms: i64) -> bool {
        self.store.dropped_remove(self.warehouse_ref, id, Some(purge), &change_at(now_ms)).await.unwrap()
    }

    async fn progress(&self, job: &Dropped, progress: &Progress) -> bool {
        self.store
            .dropped_progress(self.warehouse_ref.organisation, job.id, job.attempts, progress, &change())
            .await
            .unwrap()
    }
}

fn view_at(location: &str) -> Locations {
    Locations::for_view(Location::parse(location).unwrap(), None)
}

pub(in crate::store) async fn table_created_at_a_dropped_tables_location_replaces_it(store: Subject) {
    for (way, purge) in ["create", "transact", "move"].into_iter().flat_map(|way| [(way, false), (way, true)]) {
        let site = Site::new(&store).await;
        let old = site.add("old", TableKind::Table, &spread(PLACE, &["s3://b/w/data"]), NOW_MS).await.unwrap();
        site.drop("old", TableKind::Table, purge).await;
        let id = TableId(fresh_uuid());
        let (locations, metadata_location) = (at(PLACE), document(0));
        match way {
            "create" => drop(site.create("new", PLACE).await.unwrap()),
            "transact" => {
                let create = TableChange::Create {
                    id,
                    ident: site.ident("new"),
                    metadata_location,
                    locations,
                    details: EventDetails::new(),
                };
                store.table_transact(site.warehouse_ref, vec![create], None, &change()).await.unwrap();
            }
            _ => {
                let id = site.create("new", "s3://b/w/elsewhere").await.unwrap();
                let (expected, new) = (&document(0), &document(1));
                let swap = Swap {
                    id,
                    ident: None,
                    expected,
                    new,
                    locations: &locations,
                    origin: Origin::Catalog,
                    past: &Past::Kept,
                    details: &EventDetails::new(),
                };
                store.table_swap(site.warehouse_ref, &swap, &change()).await.unwrap();
            }
        }
        let kept = site.get(old).await.unwrap();
        assert_eq!((kept.state, kept.purge), (DroppedState::Replaced, false), "{way}");
        assert_eq!(kept.message.as_deref(), Some("Its location was given to table sales.new"), "{way}");
        let refused = site.restore(old).await;
        assert!(matches!(&refused, Err(StoreError::NotRestorable(why)) if why.contains("sales.new")), "{refused:?}");
        // The new table has the location, and the second location of the old table is free.
        assert_refused!(site.create("third", PLACE).await, StoreError::LocationTaken(_));
        site.create("third", "s3://b/w/data").await.unwrap();
    }
}

pub(in crate::store) async fn replaced_table_is_forgotten_when_due_and_never_purged(store: Subject) {
    let site = Site::new(&store).await;
    let old = site.dropped(true).await;
    site.create("new", PLACE).await.unwrap();
    assert_eq!(site.claim().await, []);
    // Not even on request: the files may belong to the new table.
    let again = site.create("again", "s3://b/w/again").await.unwrap();
    site.drop("again", TableKind::Table, false).await;
    site.create("again", "s3://b/w/again").await.unwrap();
    assert!(site.remove(again, true, NOW_MS).await, "the row is removed, and the files stay");
    assert_eq!(site.claim().await, []);
    assert_eq!(store.dropped_forget_due(9, &change_at(NOW_MS + HOUR_MS - 1)).await.unwrap(), 0);
    assert_eq!(store.dropped_forget_due(9, &change_at(NOW_MS + HOUR_MS)).await.unwrap(), 1);
    assert!(site.get(old).await.is_none());
    assert_refused!(site.create("third", PLACE).await, StoreError::LocationTaken(_));
}

pub(in crate::store) async fn location_under_purge_stays_reserved(store: Subject) {
    let site = Site::new(&store).await;
    let old = site.dropped(true).await;
    // The purge is due, and no server has begun it.
    let due = site.add("new", TableKind::Table, &at(PLACE), NOW_MS + HOUR_MS).await;
    assert_refused!(due, StoreError::LocationHeld(_));
    let [job] = site.claim().await.try_into().unwrap();
    assert_refused!(site.create("new", PLACE).await, StoreError::LocationHeld(_));
    let retry = Progress::Retry { at_ms: NOW_MS + 9 * HOUR_MS, message: Some("no answer".into()) };
    assert!(site.progress(&job, &retry).await);
    assert_refused!(site.create("new", PLACE).await, StoreError::LocationHeld(_));
    assert_eq!(site.get(old).await.unwrap().state, DroppedState::Removing, "nothing was changed");
}

pub(in crate::store) async fn table_created_at_a_blocked_purges_location_replaces_it(store: Subject) {
    let site = Site::new(&store).await;
    let old = site.dropped(true).await;
    let [job] = site.claim().await.try_into().unwrap();
    assert!(site.progress(&job, &Progress::Blocked { message: "unreadable".into() }).await);
    site.create("new", PLACE).await.unwrap();
    assert_eq!(site.get(old).await.unwrap().state, DroppedState::Replaced);
    assert_eq!(store.dropped_claim(i64::MAX, i64::MAX, 9).await.unwrap(), []);
}

pub(in crate::store) async fn view_and_dropped_table_can_replace_each_other(store: Subject) {
    let site = Site::new(&store).await;
    let table = site.dropped(true).await;
    let view = site.view("v", PLACE).await.unwrap();
    assert_eq!(site.get(table).await.unwrap().message.as_deref(), Some("Its location was given to view sales.v"));
    site.drop("v", TableKind::View, false).await;
    site.create("new", PLACE).await.unwrap();
    assert_eq!(site.get(view).await.unwrap().state, DroppedState::Replaced);
    assert_eq!(site.claim().await, []);
}

pub(in crate::store) async fn view_reserves_its_documents_and_no_subtree(store: Subject) {
    let site = Site::new(&store).await;
    let view = site.view("v", "s3://b/w/ns").await.unwrap();
    for free in ["s3://b/w/ns/t", "s3://b/w/ns/metadata2", "s3://b/w/ns/u/metadata"] {
        site.create(free.rsplit("ns/").next().unwrap(), free).await.unwrap();
    }
    // Credentials for a table reach all files below it, so a view's documents must not be there.
    for taken in ["s3://b/w/ns", "s3://b/w", "s3://b/w/ns/metadata", "s3://b/w/ns/metadata/x"] {
        assert_refused!(site.create("new", taken).await, StoreError::LocationTaken(_));
    }
    assert_refused!(site.view("inside a table", "s3://b/w/ns/t/x").await, StoreError::LocationTaken(_));
    // A move frees the former location. A commit without a move keeps the location.
    let moved = Locations::for_view(Location::parse("s3://b/w/ns").unwrap(), Location::parse("s3://b/w/docs").ok());
    for (from, to) in [(0, 1), (1, 2)] {
        let (expected, new) = (&document(from), &document(to));
        let swap = Swap {
            id: view,
            ident: None,
            expected,
            new,
            locations: &moved,
            origin: Origin::Catalog,
            past: &Past::Kept,
            details: &EventDetails::new(),
        };
        store.table_swap(site.warehouse_ref, &swap, &change()).await.unwrap();
    }
    site.create("m", "s3://b/w/ns/metadata").await.unwrap();
    assert_refused!(site.create("d", "s3://b/w/docs/x").await, StoreError::LocationTaken(_));
}

pub(in crate::store) async fn dropped_view_reserves_nothing(store: Subject) {
    let site = Site::new(&store).await;
    let view = site.view("v", "s3://b/w/ns/v").await.unwrap();
    site.drop("v", TableKind::View, false).await;
    site.create("t", "s3://b/w/ns").await.unwrap();
    // It can be restored only if no other table's credentials reach its documents.
    assert_refused!(site.restore(view).await, StoreError::LocationTaken(_));
    store
        .table_drop(
            site.warehouse_ref,
            &site.ident("t"),
            id_at(&store, site.warehouse_ref, &site.ident("t")).await,
            TableKind::Table,
            None,
            &change(),
        )
        .await
        .unwrap();
    site.restore(view).await.unwrap();
    assert_refused!(site.create("t", "s3://b/w/ns").await, StoreError::LocationTaken(_));
}

pub(in crate::store) async fn concurrent_create_and_purge_cannot_both_succeed(store: Subject) {
    for _ in 0..40 {
        let site = Site::new(&store).await;
        let old = site.dropped(true).await;
        // As with two clocks that differ by an hour.
        let (created, claimed) = tokio::join!(site.create("new", PLACE), site.claim());
        let is_claimed = claimed.iter().any(|job| job.id == old);
        assert_ne!(created.is_ok(), is_claimed, "{created:?}");
        if !is_claimed {
            assert_eq!(site.claim().await, [], "it is never claimed after that");
        }
    }
}

pub(in crate::store) async fn purge_that_is_stopped_is_forgotten_after_it_ends(store: Subject) {
    let during = NOW_MS + HOUR_MS + 1;
    for end in [Progress::Stopped, Progress::Gone, Progress::Retry { at_ms: during, message: None }] {
        let site = Site::new(&store).await;
        let old = site.dropped(true).await;
        let [job] = site.claim().await.try_into().unwrap();
        assert!(!site.remove(old, false, during).await, "a server is removing its files");
        assert!(!site.get(old).await.unwrap().purge, "that server sees the request");
        assert_refused!(site.create("new", PLACE).await, StoreError::LocationHeld(_));
        let renewal = Progress::Continue { until_ms: during + HOUR_MS, finishing: true };
        assert!(!site.progress(&job, &renewal).await);
        assert!(site.progress(&job, &end).await);
        assert!(site.get(old).await.is_none());
        site.create("new", PLACE).await.unwrap();
    }
}

pub(in crate::store) async fn stopped_purge_of_a_dead_server_is_forgotten_after_its_lease(store: Subject) {
    let site = Site::new(&store).await;
    let old = site.dropped(true).await;
    assert_eq!(site.claim().await.len(), 1);
    assert!(!site.remove(old, false, NOW_MS + HOUR_MS).await);
    assert_eq!(store.dropped_forget_due(9, &change_at(NOW_MS + 2 * HOUR_MS - 1)).await.unwrap(), 0);
    assert_eq!(store.dropped_claim(NOW_MS + 2 * HOUR_MS, NOW_MS + 3 * HOUR_MS, 9).await.unwrap(), []);
    assert_eq!(store.dropped_forget_due(9, &change_at(NOW_MS + 2 * HOUR_MS)).await.unwrap(), 1);
    // A lease that is over holds nobody up.
    let silent = site.dropped(true).await;
    assert_eq!(site.claim().await.len(), 1);
    assert!(site.remove(silent, false, NOW_MS + 2 * HOUR_MS).await);
}

pub(in crate::store) async fn stopped_purge_can_be_requested_again(store: Subject) {
    let site = Site::new(&store).await;
    let (old, during) = (site.dropped(true).await, NOW_MS + HOUR_MS + 1);
    let [job] = site.claim().await.try_into().unwrap();
    assert!(!site.remove(old, false, during).await);
    assert!(!site.remove(old, true, during).await);
    assert!(!site.progress(&job, &Progress::Stopped).await, "it is not to stop any more");
    let [again] = store.dropped_claim(during, during + HOUR_MS, 9).await.unwrap().try_into().unwrap();
    assert_eq!((again.id, again.attempts), (old, 2));
    assert!(!site.progress(&job, &Progress::Gone).await, "another has the lease");
    assert!(site.progress(&again, &Progress::Gone).await);
    assert!(site.get(old).await.is_none());
}
