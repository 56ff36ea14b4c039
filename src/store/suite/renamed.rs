//! Moves of the pointer of a table that was renamed since it was found by its name.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tidewater_core::ids::{PrincipalId, TableId};
use tidewater_core::name::TableIdent;
use tidewater_core::reserved_locations::Locations;
use uuid::Uuid;

use super::concurrency::at_once;
use super::fixture::{
    NOW_MS, Subject, assert_refused, at, change, create, document, ident, keyed, location, pointer, store_warehouse,
    stored_namespace, stored_table,
};
use crate::base::clock::fresh_uuid;
use crate::store::{
    Change, DropTerms, EventDetails, EventFilter, NewTable, Operation, Origin, Past, Receipt, RequestDigest, Resource,
    Restore, Result, StoreError, Swap, TableChange, TableKind, WarehouseRef,
};

/// A warehouse with a table or view, and the names that it can have.
struct Site {
    store: Subject,
    warehouse_ref: WarehouseRef,
    id: TableId,
    kind: TableKind,
    /// Its first name, one in the same namespace, and its first name in another namespace.
    names: [TableIdent; 3],
}

impl Site {
    async fn new(store: &Subject, kind: TableKind) -> Self {
        let warehouse_ref = store_warehouse(store).await;
        let sales = stored_namespace(store, warehouse_ref, "sales").await;
        let archive = stored_namespace(store, warehouse_ref, "archive").await;
        let names = [ident(&sales, "orders"), ident(&sales, "former"), ident(&archive, "orders")];
        let id = create(store, warehouse_ref, &names[0], kind, None).await.unwrap();
        Self { store: Arc::clone(store), warehouse_ref, id, kind, names }
    }

    async fn rename(&self, from: usize, to: usize) {
        let Self { store, warehouse_ref, id, kind, names } = self;
        store.table_rename(*warehouse_ref, &names[from], *id, &names[to], *kind, &change()).await.unwrap();
    }

    /// Moves the pointer of the table under a name.
    async fn swap(&self, named: usize, (from, to): (usize, usize), locations: &Locations, how: &Change) -> Result<()> {
        self.swap_from(named, (from, to), locations, Origin::Catalog, how).await
    }

    async fn swap_from(
        &self,
        named: usize,
        (from, to): (usize, usize),
        locations: &Locations,
        origin: Origin,
        how: &Change,
    ) -> Result<()> {
        let (expected, new) = (&document(from), &document(to));
        let (id, ident, past, details) = (self.id, Some(&self.names[named]), &Past::Kept, &EventDetails::new());
        let swap = Swap { id, ident, expected, new, locations, origin, past, details };
        self.store.table_swap(self.warehouse_ref, &swap, how).await
    }

    fn own(&self) -> Locations {
        at(&location(self.id))
    }

    /// Returns a part of a transaction that moves the table's pointer under a name.
    fn part(&self, named: usize, from: usize, locations: Locations) -> TableChange {
        TableChange::Swap {
            id: self.id,
            ident: Some(self.names[named].clone()),
            expected: document(from),
            new: document(from + 1),
            locations,
            past: Past::Kept,
            details: EventDetails::new(),
        }
    }

    async fn transact(&self, changes: Vec<TableChange>, how: &Change) -> Result<()> {
        self.store.table_transact(self.warehouse_ref, changes, None, how).await
    }

    /// Finds the table by a name and moves its pointer, again and again: with the same locations or others, alone or in a transaction. The
    /// id of each request is the number of the name. Returns how many swaps were made.
    async fn swap_often(&self, caller: usize, named: usize) -> usize {
        let mut made = 0;
        for round in 0..40 {
            let found = self.store.table_get(self.warehouse_ref, &self.names[named]).await.unwrap();
            let Some(record) = found else { continue };
            let how = &Change { request_id: Some(named.to_string().into()), ..change() };
            let (expected, new) = (record.metadata_location, document(1 + caller + 8 * round));
            let locations = if caller < 6 { self.own() } else { at(&format!("s3://b/w/{caller}-{round}")) };
            let (id, past, details) = (self.id, Past::Kept, EventDetails::new());
            let swapped = if caller < 4 {
                let ident = Some(self.names[named].clone());
                let part = TableChange::Swap { id, ident, expected, new, locations, past, details };
                self.transact(vec![part], how).await.map_err(|error| match error {
                    StoreError::InTransaction { error, .. } => *error,
                    error => error,
                })
            } else {
                let (ident, expected, new, origin) = (Some(&self.names[named]), &*expected, &*new, Origin::Catalog);
                let (locations, past, details) = (&locations, &past, &details);
                let swap = Swap { id, ident, expected, new, locations, origin, past, details };
                self.store.table_swap(self.warehouse_ref, &swap, how).await
            };
            match swapped {
                Ok(()) => made += 1,
                Err(StoreError::PointerMoved) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        made
    }
}

fn receipt() -> Receipt {
    Receipt {
        principal: PrincipalId(Uuid::from_u128(7)),
        key: fresh_uuid(),
        request: RequestDigest([9; 32]),
        expires_ms: NOW_MS + 1_000,
    }
}

pub(in crate::store) async fn swap_under_a_former_name_is_refused(store: Subject) {
    for (kind, to) in [(TableKind::Table, 1), (TableKind::Table, 2), (TableKind::View, 1), (TableKind::View, 2)] {
        let site = Site::new(&store, kind).await;
        site.rename(0, to).await;
        let (own, elsewhere, receipt) = (site.own(), at("s3://bucket/lake/elsewhere"), keyed(&receipt()));
        for (origin, locations, how) in [
            (Origin::Catalog, &own, &change()),
            (Origin::Catalog, &own, &receipt),
            (Origin::Catalog, &elsewhere, &change()),
            (Origin::Foreign, &own, &change()),
        ] {
            let refused = site.swap_from(0, (0, 1), locations, origin, how).await;
            assert_refused!(refused, StoreError::PointerMoved);
            assert_eq!(pointer(&store, site.warehouse_ref, &site.names[to]).await, document(0));
        }
        // Under its present name. The receipt's key is still free.
        site.swap(to, (0, 1), &own, &receipt).await.unwrap();
        site.swap(to, (1, 2), &elsewhere, &change()).await.unwrap();
        assert_eq!(pointer(&store, site.warehouse_ref, &site.names[to]).await, document(2));
        // Back under its first name, it is the same table.
        site.rename(to, 0).await;
        site.swap(0, (2, 3), &elsewhere, &change()).await.unwrap();
        assert_eq!(pointer(&store, site.warehouse_ref, &site.names[0]).await, document(3));
    }
}

pub(in crate::store) async fn transaction_with_a_table_under_a_former_name_does_nothing(store: Subject) {
    for to in [1, 2] {
        let site = Site::new(&store, TableKind::Table).await;
        let Site { id, warehouse_ref, names, .. } = &site;
        let (namespace, beside) = (&names[0].namespace, &ident(&names[0].namespace, "beside"));
        let other = stored_table(&store, *warehouse_ref, beside).await;
        site.rename(0, to).await;
        let step = TableChange::Swap {
            id: other,
            ident: Some(beside.clone()),
            expected: document(0),
            new: document(1),
            locations: at(&location(other)),
            past: Past::Kept,
            details: EventDetails::new(),
        };
        let create = |name: &str| {
            let (id, ident) = (TableId(fresh_uuid()), ident(namespace, name));
            let (metadata_location, locations) = (document(0), at(&location(id)));
            TableChange::Create { id, ident, metadata_location, locations, details: EventDetails::new() }
        };
        let keep =
            |named: usize| TableChange::Keep { id: *id, ident: Some(names[named].clone()), expected: document(0) };
        // In one statement and in several: locations move, or a table is created.
        for stale in [site.part(0, 0, site.own()), site.part(0, 0, at("s3://bucket/lake/elsewhere")), keep(0)] {
            for how in [change(), keyed(&receipt())] {
                let refused = site.transact(vec![step.clone(), stale.clone()], &how).await;
                let Err(StoreError::InTransaction { at: 1, error }) = refused else { panic!("{refused:?}") };
                assert!(matches!(*error, StoreError::PointerMoved), "{error:?}");
                let refused = site.transact(vec![create("new"), stale.clone()], &how).await;
                let Err(StoreError::InTransaction { at: 1, error }) = refused else { panic!("{refused:?}") };
                assert!(matches!(*error, StoreError::PointerMoved), "{error:?}");
            }
        }
        for ident in [beside, &names[to]] {
            assert_eq!(pointer(&store, *warehouse_ref, ident).await, document(0));
        }
        site.transact(vec![step, keep(to)], &change()).await.unwrap();
        site.transact(vec![create("new"), keep(to)], &change()).await.unwrap();
        site.transact(vec![site.part(to, 0, site.own())], &keyed(&receipt())).await.unwrap();
        assert_eq!(pointer(&store, *warehouse_ref, beside).await, document(1));
        assert_eq!(pointer(&store, *warehouse_ref, &names[to]).await, document(1));
    }
}

pub(in crate::store) async fn swap_after_the_name_was_given_to_another_table_changes_neither(store: Subject) {
    let site = Site::new(&store, TableKind::Table).await;
    let Site { id, warehouse_ref, names, .. } = &site;
    site.rename(0, 1).await;
    let (other, locations) = (TableId(fresh_uuid()), at("s3://bucket/lake/other"));
    let new = NewTable {
        id: other,
        ident: &names[0],
        kind: TableKind::Table,
        metadata_location: &document(0),
        locations: &locations,
        origin: Origin::Catalog,
        details: &EventDetails::new(),
    };
    store.table_create(*warehouse_ref, &new, None, &change()).await.unwrap();
    // Both tables have the expected pointer.
    assert_refused!(site.swap(0, (0, 1), &site.own(), &change()).await, StoreError::PointerMoved);
    for ident in [&names[0], &names[1]] {
        assert_eq!(pointer(&store, *warehouse_ref, ident).await, document(0));
    }
    // Dropped, and the name given to another table: the id is missing.
    store.table_drop(*warehouse_ref, &names[1], *id, TableKind::Table, None, &change()).await.unwrap();
    assert_refused!(site.swap(0, (0, 1), &site.own(), &change()).await, StoreError::NotFound(Resource::Table));
    assert_eq!(pointer(&store, *warehouse_ref, &names[0]).await, document(0));
}

pub(in crate::store) async fn swap_of_a_table_restored_under_another_name_is_refused(store: Subject) {
    for to in [0, 1] {
        let site = Site::new(&store, TableKind::Table).await;
        let Site { id, warehouse_ref, names, kind, .. } = &site;
        let terms = DropTerms { restorable_until_ms: i64::MAX, purge: false };
        store.table_drop(*warehouse_ref, &names[0], *id, *kind, Some(&terms), &change()).await.unwrap();
        let back = Restore { id: *id, ident: &names[to], locations: Some(&site.own()) };
        store.dropped_restore(*warehouse_ref, &back, None, &change()).await.unwrap();
        let swapped = site.swap(0, (0, 1), &site.own(), &change()).await;
        // Under its former name, it is as it was when it was read.
        assert_eq!(swapped.is_ok(), to == 0, "{swapped:?}");
        assert_eq!(pointer(&store, *warehouse_ref, &names[to]).await, document(1 - to));
    }
}

pub(in crate::store) async fn concurrent_swaps_and_renames_agree_on_the_name(store: Subject) {
    const RENAMERS: usize = 2;
    let site = Arc::new(Site::new(&store, TableKind::Table).await);
    let swapping = Arc::new(AtomicUsize::new(6));
    let made = at_once(RENAMERS + 6, |caller| {
        let (site, swapping) = (Arc::clone(&site), Arc::clone(&swapping));
        async move {
            let named = caller % 2;
            if caller >= RENAMERS {
                let made = site.swap_often(caller, named).await;
                swapping.fetch_sub(1, Ordering::SeqCst);
                return made;
            }
            let Site { store, warehouse_ref, id, kind, names } = &*site;
            while swapping.load(Ordering::SeqCst) > 0 {
                let (from, to) = (&names[named], &names[1 - named]);
                match store.table_rename(*warehouse_ref, from, *id, to, *kind, &change()).await {
                    Ok(()) | Err(StoreError::NotFound(_)) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
            0
        }
    })
    .await;
    let filter = EventFilter::default();
    let page = store.event_list(Some(site.warehouse_ref.organisation), &filter, None, 1_000_000).await.unwrap();
    let updates = page.events.into_iter().filter(|event| event.operation == Operation::UpdateTable);
    let mut count = 0;
    for event in updates {
        let named = event.request_id.as_deref().unwrap().parse::<usize>().unwrap();
        assert_eq!(event.object.name, site.names[named].to_string(), "the swap named another table");
        count += 1;
    }
    assert_eq!(count, made.iter().sum::<usize>());
}
