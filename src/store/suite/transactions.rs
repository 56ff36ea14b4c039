//! Changes of several tables as one.

use std::sync::Arc;

use tidewater_core::ids::TableId;
use tidewater_core::name::{NamespaceIdent, TableIdent};

use super::concurrency::at_once;
use super::fixture::{
    Subject, assert_refused, at, change, create, document, ident, location, namespace, pointer, store_warehouse,
    store_warehouse_of, stored_namespace, stored_table, swap,
};
use crate::base::clock::fresh_uuid;
use crate::store::{EventDetails, Past, Resource, Result, StoreError, TableChange, TableKind, WarehouseRef};

fn creation(ident: &TableIdent) -> TableChange {
    let id = TableId(fresh_uuid());
    creation_at(ident, id, &location(id))
}

fn creation_at(ident: &TableIdent, id: TableId, location: &str) -> TableChange {
    TableChange::Create {
        id,
        ident: ident.clone(),
        metadata_location: document(0),
        locations: at(location),
        details: EventDetails::new(),
    }
}

fn step(id: TableId, from: usize, to: usize) -> TableChange {
    move_to(id, from, to, &location(id))
}

fn move_to(id: TableId, from: usize, to: usize, location: &str) -> TableChange {
    let (expected, new) = (document(from), document(to));
    TableChange::Swap {
        id,
        ident: None,
        expected,
        new,
        locations: at(location),
        past: Past::Kept,
        details: EventDetails::new(),
    }
}

async fn transact(store: &Subject, warehouse_ref: WarehouseRef, changes: Vec<TableChange>) -> Result<()> {
    store.table_transact(warehouse_ref, changes, None, &change()).await
}

async fn two_tables(store: &Subject, warehouse_ref: WarehouseRef) -> (NamespaceIdent, [TableIdent; 2], [TableId; 2]) {
    let sales = stored_namespace(store, warehouse_ref, "sales").await;
    let names = [ident(&sales, "a"), ident(&sales, "b")];
    let ids =
        [stored_table(store, warehouse_ref, &names[0]).await, stored_table(store, warehouse_ref, &names[1]).await];
    (sales, names, ids)
}

pub(in crate::store) async fn transaction_moves_all_pointers_and_creates_tables(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let (sales, [a, b], ids) = two_tables(&store, warehouse_ref).await;
    let (c, d) = (ident(&sales, "c"), ident(&sales, "d"));
    let kept = stored_table(&store, warehouse_ref, &c).await;
    let keep = TableChange::Keep { id: kept, ident: None, expected: document(0) };
    transact(&store, warehouse_ref, vec![step(ids[0], 0, 1), creation(&d), keep, step(ids[1], 0, 2)]).await.unwrap();
    for (table, number) in [(&a, 1), (&b, 2), (&c, 0), (&d, 0)] {
        assert_eq!(pointer(&store, warehouse_ref, table).await, document(number), "{table}");
    }
    assert_eq!(store.table_get(warehouse_ref, &d).await.unwrap().unwrap().kind, TableKind::Table);
}

pub(in crate::store) async fn transaction_with_one_refused_change_does_nothing(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let (sales, [a, b], ids) = two_tables(&store, warehouse_ref).await;
    let new = ident(&sales, "new");
    swap(&store, warehouse_ref, ids[1], 0, 1).await.unwrap();
    let forbidding = [
        step(ids[1], 0, 2),
        TableChange::Keep { id: ids[1], ident: None, expected: document(0) },
        TableChange::Keep { id: TableId(fresh_uuid()), ident: None, expected: document(0) },
        step(TableId(fresh_uuid()), 0, 1),
        creation(&a),
        creation(&ident(&namespace(&["nope"]), "t")),
    ];
    for change in forbidding {
        // Whether it comes last or first.
        for changes in [
            vec![step(ids[0], 0, 1), creation(&new), change.clone()],
            vec![change.clone(), step(ids[0], 0, 1), creation(&new)],
        ] {
            let refused = transact(&store, warehouse_ref, changes).await;
            assert!(matches!(refused, Err(StoreError::InTransaction { .. })), "{change:?}: {refused:?}");
            assert_eq!(pointer(&store, warehouse_ref, &a).await, document(0));
            assert_eq!(pointer(&store, warehouse_ref, &b).await, document(1));
            assert_eq!(store.table_get(warehouse_ref, &new).await.unwrap(), None);
        }
    }
}

pub(in crate::store) async fn refused_transaction_names_the_refused_change(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let (sales, _, ids) = two_tables(&store, warehouse_ref).await;
    let view = ident(&sales, "v");
    create(&store, warehouse_ref, &view, TableKind::View, None).await.unwrap();
    let behind = async |change| match transact(&store, warehouse_ref, vec![step(ids[0], 0, 1), change]).await {
        Err(StoreError::InTransaction { at: 1, error }) => *error,
        other => panic!("{other:?}"),
    };
    assert!(matches!(behind(step(ids[1], 7, 8)).await, StoreError::PointerMoved));
    assert!(matches!(behind(creation(&view)).await, StoreError::AlreadyExists(Resource::View)));
    assert!(matches!(behind(step(TableId(fresh_uuid()), 0, 1)).await, StoreError::NotFound(Resource::Table)));
    let orphan = creation(&ident(&namespace(&["nope"]), "t"));
    assert!(matches!(behind(orphan).await, StoreError::NotFound(Resource::Namespace)));
    let inside = format!("{}/inside", location(ids[0]));
    assert!(matches!(behind(move_to(ids[1], 0, 1, &inside)).await, StoreError::LocationTaken(_)));
}

pub(in crate::store) async fn transaction_that_creates_overlapping_tables_is_refused(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    let placed = |name: &str, location: &str| creation_at(&ident(&sales, name), TableId(fresh_uuid()), location);
    for overlapping in ["s3://bucket/lake/one", "s3://bucket/lake/one/inner", "s3://bucket/lake"] {
        let both = vec![placed("a", "s3://bucket/lake/one"), placed("b", overlapping)];
        let refused = transact(&store, warehouse_ref, both).await;
        let Err(StoreError::InTransaction { error, .. }) = refused else { panic!("{overlapping}: {refused:?}") };
        assert!(matches!(*error, StoreError::LocationTaken(_)), "{error:?}");
    }
    let apart = vec![placed("a", "s3://bucket/lake/one"), placed("b", "s3://bucket/lake/one2")];
    transact(&store, warehouse_ref, apart).await.unwrap();
}

pub(in crate::store) async fn transaction_can_pass_a_location_to_another_table(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let (_, [a, b], ids) = two_tables(&store, warehouse_ref).await;
    // In any order within the transaction.
    let first = vec![move_to(ids[0], 0, 1, &location(ids[1])), move_to(ids[1], 0, 1, "s3://bucket/lake/elsewhere")];
    transact(&store, warehouse_ref, first).await.unwrap();
    let swapped = vec![move_to(ids[1], 1, 2, &location(ids[1])), move_to(ids[0], 1, 2, &location(ids[0]))];
    transact(&store, warehouse_ref, swapped).await.unwrap();
    assert_eq!(
        (pointer(&store, warehouse_ref, &a).await, pointer(&store, warehouse_ref, &b).await),
        (document(2), document(2))
    );
}

pub(in crate::store) async fn creates_of_a_transaction_count_towards_the_limit(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let (sales, [a, _], ids) = two_tables(&store, warehouse_ref).await;
    let new = |name: &str| creation(&ident(&sales, name));
    let limited = async |changes| store.table_transact(warehouse_ref, changes, Some(3), &change()).await;
    assert_refused!(limited(vec![new("c"), step(ids[0], 0, 1), new("d")]).await, StoreError::LimitReached { limit: 3 });
    assert_eq!(pointer(&store, warehouse_ref, &a).await, document(0));
    limited(vec![new("c"), step(ids[0], 0, 1)]).await.unwrap();
    // An organisation above a lowered limit can still commit to existing tables.
    let over = store.table_transact(warehouse_ref, vec![step(ids[0], 1, 2)], Some(1), &change()).await;
    over.unwrap();
}

pub(in crate::store) async fn transaction_cannot_change_another_organisations_tables(store: Subject) {
    let (mine, theirs) = (store_warehouse(&store).await, store_warehouse(&store).await);
    let (_, [a, _], ids) = two_tables(&store, theirs).await;
    let other_warehouse = store_warehouse_of(&store, theirs.organisation, "second").await;
    for stranger in [mine, other_warehouse] {
        for change in [step(ids[0], 0, 1), TableChange::Keep { id: ids[0], ident: None, expected: document(0) }] {
            let refused = transact(&store, stranger, vec![change]).await;
            let Err(StoreError::InTransaction { at: 0, error }) = refused else { panic!("{refused:?}") };
            assert!(matches!(*error, StoreError::NotFound(Resource::Table)), "{error:?}");
        }
    }
    assert_eq!(pointer(&store, theirs, &a).await, document(0));
}

pub(in crate::store) async fn concurrent_transactions_are_atomic(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let (_, names, ids) = two_tables(&store, warehouse_ref).await;
    // Each caller moves both tables by one step, ten times, from their present step. Both tables always have the same step.
    at_once(8, |_| {
        let (store, names) = (Arc::clone(&store), names.clone());
        async move {
            let step_of = |pointer: String| (0..=80).find(|number| document(*number) == pointer).unwrap();
            for _ in 0..10 {
                loop {
                    let from = step_of(pointer(&store, warehouse_ref, &names[0]).await);
                    let both = vec![step(ids[0], from, from + 1), step(ids[1], from, from + 1)];
                    match transact(&store, warehouse_ref, both).await {
                        Ok(()) => break,
                        Err(StoreError::InTransaction { at: 0, error }) => {
                            assert!(matches!(*error, StoreError::PointerMoved), "{error:?}");
                        }
                        // The first pointer has not moved, so the second cannot have moved either.
                        Err(other) => panic!("{other:?}"),
                    }
                }
            }
        }
    })
    .await;
    for name in &names {
        assert_eq!(pointer(&store, warehouse_ref, name).await, document(80));
    }
}
