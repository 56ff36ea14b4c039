//! Metadata documents that left a table's log and are to be removed.

use tidewater_core::ids::TableId;
use tidewater_core::location::Location;
use tidewater_core::name::TableIdent;

use super::fixture::{
    NOW_MS, Subject, assert_refused, at, change, document, id_at, ident, location, store_warehouse, store_warehouse_of,
    stored_namespace, stored_table, swap,
};
use crate::base::clock::fresh_uuid;
use crate::store::{
    DropTerms, EndedDocument, EventDetails, NewTable, OldDocument, Origin, Past, Result, StoreError, Swap, TableChange,
    TableKind, WarehouseRef,
};

const LATER_MS: i64 = NOW_MS + 1_000;
const UNTIL_MS: i64 = LATER_MS + 1_000;

fn old(number: usize) -> Location {
    Location::parse(&document(number)).unwrap()
}

fn removed(numbers: &[usize]) -> Past {
    Past::Removed { documents: numbers.iter().map(|number| old(*number)).collect(), due_ms: LATER_MS }
}

/// Moves a table's pointer from one document to the next.
async fn commit(store: &Subject, warehouse_ref: WarehouseRef, id: TableId, from: usize, past: &Past) -> Result<()> {
    move_pointer(store, warehouse_ref, (id, &location(id)), from, (Origin::Catalog, past)).await
}

/// Points a table to the next document, which is registered.
async fn register_over(store: &Subject, warehouse_ref: WarehouseRef, id: TableId, from: usize) -> Result<()> {
    move_pointer(store, warehouse_ref, (id, &location(id)), from, (Origin::Foreign, &Past::Kept)).await
}

async fn move_pointer(
    store: &Subject,
    warehouse_ref: WarehouseRef,
    (id, location): (TableId, &str),
    from: usize,
    (origin, past): (Origin, &Past),
) -> Result<()> {
    let (expected, new) = (document(from), document(from + 1));
    let (expected, new, locations, details) = (&expected, &new, &at(location), &EventDetails::new());
    store
        .table_swap(
            warehouse_ref,
            &Swap { id, ident: None, expected, new, locations, origin, past, details },
            &change(),
        )
        .await
}

async fn claim(store: &Subject, now_ms: i64) -> Vec<OldDocument> {
    store.old_document_claim(now_ms, now_ms + 1_000, 9, 9).await.unwrap()
}

async fn claimed(store: &Subject, now_ms: i64) -> Vec<Location> {
    claim(store, now_ms).await.into_iter().map(|one| one.document).collect()
}

async fn table(store: &Subject) -> (WarehouseRef, TableIdent, TableId) {
    let warehouse_ref = store_warehouse(store).await;
    let ident = ident(&stored_namespace(store, warehouse_ref, "ns").await, "t");
    let id = stored_table(store, warehouse_ref, &ident).await;
    (warehouse_ref, ident, id)
}

async fn register(store: &Subject, warehouse_ref: WarehouseRef, ident: &TableIdent, number: usize) -> Result<TableId> {
    let id = TableId(fresh_uuid());
    let (kind, locations, metadata_location) = (TableKind::Table, at(&location(id)), document(number));
    let new = NewTable {
        id,
        ident,
        kind,
        metadata_location: &metadata_location,
        locations: &locations,
        origin: Origin::Foreign,
        details: &EventDetails::new(),
    };
    store.table_create(warehouse_ref, &new, None, &change()).await.map(|()| id)
}

pub(in crate::store) async fn due_old_documents_are_claimed_by_one_server_at_a_time(store: Subject) {
    let (warehouse_ref, _, id) = table(&store).await;
    commit(&store, warehouse_ref, id, 0, &removed(&[7, 8])).await.unwrap();
    assert_eq!(claim(&store, LATER_MS - 1).await, []);
    let first = claim(&store, LATER_MS).await;
    assert_eq!(first.iter().map(|one| one.document.clone()).collect::<Vec<_>>(), [old(7), old(8)]);
    assert_eq!((first[0].warehouse_ref, first[0].table, first[0].attempts), (warehouse_ref, id, 1));
    assert_eq!(first[0].locations, [Location::parse(&location(id)).unwrap()]);
    assert_eq!(claim(&store, UNTIL_MS - 1).await, [], "another server has the lease");
    // That server has died.
    let second = claim(&store, UNTIL_MS).await;
    assert_eq!(second.iter().map(|one| one.attempts).collect::<Vec<_>>(), [2, 2]);
    let ended = |document: &OldDocument, retry_at_ms| EndedDocument { document: document.clone(), retry_at_ms };
    store.old_document_end(&[ended(&first[0], None), ended(&first[1], None)]).await.unwrap();
    let again_ms = UNTIL_MS + 5_000;
    store.old_document_end(&[ended(&second[0], None), ended(&second[1], Some(again_ms))]).await.unwrap();
    assert_eq!(claim(&store, again_ms - 1).await, []);
    assert_eq!(claimed(&store, again_ms).await, [old(8)]);
}

pub(in crate::store) async fn refused_commit_adds_no_old_document(store: Subject) {
    let (warehouse_ref, ident, id) = table(&store).await;
    assert_refused!(commit(&store, warehouse_ref, id, 3, &removed(&[7])).await, StoreError::PointerMoved);
    let part = |from: usize, past| TableChange::Swap {
        id,
        ident: None,
        expected: document(from),
        new: document(from + 1),
        locations: at(&location(id)),
        past,
        details: EventDetails::new(),
    };
    let other = stored_table(&store, warehouse_ref, &super::fixture::ident(&ident.namespace, "u")).await;
    let keep = TableChange::Keep { id: other, ident: None, expected: document(9) };
    let refused = store.table_transact(warehouse_ref, vec![part(0, removed(&[7])), keep], None, &change()).await;
    assert_refused!(refused, StoreError::InTransaction { at: 1, .. });
    assert_eq!(claim(&store, LATER_MS).await, []);
    store.table_transact(warehouse_ref, vec![part(0, removed(&[7]))], None, &change()).await.unwrap();
    assert_eq!(claimed(&store, LATER_MS).await, [old(7)]);
}

pub(in crate::store) async fn table_that_moves_keeps_its_old_documents(store: Subject) {
    let (warehouse_ref, _, id) = table(&store).await;
    assert_eq!(store.table_origin(warehouse_ref, id).await.unwrap(), None);
    let moved = (id, "s3://bucket/lake/elsewhere");
    move_pointer(&store, warehouse_ref, moved, 0, (Origin::Catalog, &removed(&[7]))).await.unwrap();
    assert_eq!(store.table_origin(warehouse_ref, id).await.unwrap(), Some(document(0)));
    assert_eq!(claim(&store, LATER_MS).await, []);
    swap(&store, warehouse_ref, id, 1, 2).await.unwrap();
    assert_eq!(store.table_origin(warehouse_ref, id).await.unwrap(), Some(document(1)));
}

pub(in crate::store) async fn old_documents_of_a_dropped_table_are_not_claimed(store: Subject) {
    let (warehouse_ref, ident, id) = table(&store).await;
    commit(&store, warehouse_ref, id, 0, &removed(&[7])).await.unwrap();
    let terms = DropTerms { restorable_until_ms: UNTIL_MS, purge: false };
    store
        .table_drop(
            warehouse_ref,
            &ident,
            id_at(&store, warehouse_ref, &ident).await,
            TableKind::Table,
            Some(&terms),
            &change(),
        )
        .await
        .unwrap();
    assert_eq!(claim(&store, LATER_MS).await, []);
    let restore = crate::store::Restore { id, ident: &ident, locations: None };
    store.dropped_restore(warehouse_ref, &restore, None, &change()).await.unwrap();
    assert_eq!(claim(&store, LATER_MS).await, [], "nothing waits any more");
}

pub(in crate::store) async fn registered_document_is_the_origin_also_after_drop_and_restore(store: Subject) {
    let (warehouse_ref, ident, _) = table(&store).await;
    let other = super::fixture::ident(&ident.namespace, "registered");
    let id = register(&store, warehouse_ref, &other, 5).await.unwrap();
    assert_eq!(store.table_origin(warehouse_ref, id).await.unwrap(), Some(document(5)));
    let terms = DropTerms { restorable_until_ms: UNTIL_MS, purge: false };
    store
        .table_drop(
            warehouse_ref,
            &other,
            id_at(&store, warehouse_ref, &other).await,
            TableKind::Table,
            Some(&terms),
            &change(),
        )
        .await
        .unwrap();
    let restore = crate::store::Restore { id, ident: &other, locations: None };
    store.dropped_restore(warehouse_ref, &restore, None, &change()).await.unwrap();
    assert_eq!(store.table_origin(warehouse_ref, id).await.unwrap(), Some(document(5)));
    register_over(&store, warehouse_ref, id, 5).await.unwrap();
    assert_eq!(store.table_origin(warehouse_ref, id).await.unwrap(), Some(document(6)));
}

pub(in crate::store) async fn registered_old_document_stays_unless_a_server_removes_it(store: Subject) {
    let (warehouse_ref, ident, id) = table(&store).await;
    commit(&store, warehouse_ref, id, 0, &removed(&[7, 8])).await.unwrap();
    let name = |name: &str| super::fixture::ident(&ident.namespace, name);
    register(&store, warehouse_ref, &name("a"), 7).await.unwrap();
    assert_eq!(claimed(&store, LATER_MS).await, [old(8)]);
    assert_refused!(register(&store, warehouse_ref, &name("b"), 8).await, StoreError::BeingRemoved(_));
    assert_eq!(store.table_get(warehouse_ref, &name("b")).await.unwrap(), None);
    // The server with the lease dies. The next server claims the document, so the registration stays refused until that ends.
    let again = claim(&store, UNTIL_MS).await;
    assert_refused!(register(&store, warehouse_ref, &name("b"), 8).await, StoreError::BeingRemoved(_));
    let stays = EndedDocument { document: again[0].clone(), retry_at_ms: Some(UNTIL_MS) };
    store.old_document_end(&[stays]).await.unwrap();
    register(&store, warehouse_ref, &name("b"), 8).await.unwrap();
    assert_eq!(claim(&store, UNTIL_MS).await, []);
}

pub(in crate::store) async fn claimed_old_document_of_a_clock_that_was_ahead_is_brought_forward(store: Subject) {
    let (warehouse_ref, _, id) = table(&store).await;
    commit(&store, warehouse_ref, id, 0, &removed(&[7])).await.unwrap();
    assert_eq!(claimed(&store, UNTIL_MS * 2).await, [old(7)]);
    assert_eq!(claim(&store, LATER_MS).await, []);
    assert_eq!(store.old_document_bring_forward(LATER_MS, UNTIL_MS * 2 + 1_000).await.unwrap(), 0);
    assert_eq!(store.old_document_bring_forward(LATER_MS, UNTIL_MS).await.unwrap(), 1);
    assert_eq!(claimed(&store, LATER_MS).await, [old(7)]);
}

pub(in crate::store) async fn registration_over_a_table_keeps_its_old_documents(store: Subject) {
    let (warehouse_ref, _, id) = table(&store).await;
    commit(&store, warehouse_ref, id, 0, &removed(&[7])).await.unwrap();
    register_over(&store, warehouse_ref, id, 1).await.unwrap();
    assert_eq!(claim(&store, LATER_MS).await, []);
}

pub(in crate::store) async fn old_documents_of_organisations_take_turns(store: Subject) {
    let (busy, _, of_busy) = table(&store).await;
    let (quiet, _, of_quiet) = table(&store).await;
    let many: Vec<usize> = (100..120).collect();
    commit(&store, busy, of_busy, 0, &removed(&many)).await.unwrap();
    let last = Past::Removed { documents: vec![old(7)], due_ms: LATER_MS + 1 };
    commit(&store, quiet, of_quiet, 0, &last).await.unwrap();
    let claimed = store.old_document_claim(LATER_MS + 1, UNTIL_MS, 2, 5).await.unwrap();
    let count = |warehouse_ref: WarehouseRef| claimed.iter().filter(|one| one.warehouse_ref == warehouse_ref).count();
    assert_eq!((count(busy), count(quiet)), (5, 1));
    // A document of the same name in another organisation is another document.
    let other = store_warehouse_of(&store, quiet.organisation, "other").await;
    assert_eq!(store.table_origin(other, of_quiet).await.unwrap(), None);
    let one = store.old_document_claim(LATER_MS + 1, UNTIL_MS, 1, 99).await.unwrap();
    assert_eq!(one.len(), 15, "the other has nothing more");
}
