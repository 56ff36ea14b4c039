//! Receipts of requests with an idempotency key.

use std::sync::Arc;

use tidewater_core::ids::{OrganisationId, PrincipalId, TableId};
use tidewater_core::request_limits::RequestLimits;
use uuid::Uuid;

use super::concurrency::at_once;
use super::fixture::{
    NOW_MS, Subject, assert_refused, at, document, id_at, ident, keyed, location, namespace, pointer, properties,
    store_warehouse, stored_namespace, stored_table,
};
use crate::base::clock::fresh_uuid;
use crate::store::{
    Answer, Change, EventDetails, KeptAnswer, NewTable, Origin, Past, PropertyChanges, Receipt, RequestDigest,
    Resource, Result, StoreError, Swap, TableChange, TableKind, Undo, WarehouseRef,
};

const LIFETIME_MS: i64 = 1_000;

fn receipt() -> Receipt {
    let request = RequestDigest([9; 32]);
    Receipt { principal: PrincipalId(Uuid::from_u128(7)), key: fresh_uuid(), request, expires_ms: NOW_MS + LIFETIME_MS }
}

async fn kept(store: &Subject, warehouse_ref: WarehouseRef, receipt: &Receipt) -> Option<Answer> {
    let kept = store.receipt_get(warehouse_ref.organisation, receipt.principal, receipt.key, NOW_MS).await.unwrap();
    kept.map(|KeptAnswer { request, answer }| {
        assert_eq!(request, receipt.request);
        answer
    })
}

async fn keyed_swap(
    store: &Subject,
    warehouse_ref: WarehouseRef,
    id: TableId,
    to: usize,
    receipt: &Receipt,
) -> Result<()> {
    swap_at(store, warehouse_ref, id, to, &keyed(receipt)).await
}

async fn swap_at(store: &Subject, warehouse_ref: WarehouseRef, id: TableId, to: usize, change: &Change) -> Result<()> {
    let (expected, new) = (document(to - 1), document(to));
    let swap = Swap {
        id,
        ident: None,
        expected: &expected,
        new: &new,
        locations: &at(&location(id)),
        origin: Origin::Catalog,
        past: &Past::Kept,
        details: &EventDetails::new(),
    };
    store.table_swap(warehouse_ref, &swap, change).await
}

pub(in crate::store) async fn receipt_is_stored_with_its_change(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = namespace(&["sales"]);
    let receipts: Vec<Receipt> = (0..8).map(|_| receipt()).collect();
    let key = |number: usize| keyed(&receipts[number]);
    store.namespace_create(warehouse_ref, &sales, &properties(&[("a", "1")]), &key(0)).await.unwrap();
    let removals = ["a".to_owned(), "b".to_owned()];
    let updates = properties(&[("c", "3")]);
    let changes = store
        .namespace_update_properties(warehouse_ref, &sales, &updates, &removals, &RequestLimits::default(), &key(1))
        .await
        .unwrap();
    let (orders, renamed) = (ident(&sales, "orders"), ident(&sales, "renamed"));
    let id = TableId(fresh_uuid());
    let (first, locations) = (document(0), at(&location(id)));
    let kind = TableKind::Table;
    let new = NewTable {
        id,
        ident: &orders,
        kind,
        metadata_location: &first,
        locations: &locations,
        origin: Origin::Catalog,
        details: &EventDetails::new(),
    };
    store.table_create(warehouse_ref, &new, None, &key(2)).await.unwrap();
    keyed_swap(&store, warehouse_ref, id, 1, &receipts[3]).await.unwrap();
    let keep = TableChange::Keep { id, ident: None, expected: document(1) };
    store.table_transact(warehouse_ref, vec![keep], None, &key(4)).await.unwrap();
    store
        .table_rename(warehouse_ref, &orders, id_at(&store, warehouse_ref, &orders).await, &renamed, kind, &key(5))
        .await
        .unwrap();
    store
        .table_drop(warehouse_ref, &renamed, id_at(&store, warehouse_ref, &renamed).await, kind, None, &key(6))
        .await
        .unwrap();
    store.namespace_drop(warehouse_ref, &sales, &key(7)).await.unwrap();

    let answers = [
        Answer::Done,
        Answer::Properties(changes),
        Answer::document(document(0), id),
        Answer::document(document(1), id),
        Answer::Done,
        Answer::Done,
        Answer::document(document(1), id),
        Answer::Done,
    ];
    for (receipt, answer) in receipts.iter().zip(answers) {
        assert_eq!(kept(&store, warehouse_ref, receipt).await, Some(answer));
    }
}

pub(in crate::store) async fn each_kind_of_answer_is_stored_whole(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let changes =
        PropertyChanges { updated: list(&["a\"]", "ü ✓"]), removed: list(&["", "x"]), missing: Vec::new() };
    let refusal = |status, body: &str| Answer::Refusal { status, body: body.to_owned() };
    for answer in [
        Answer::Done,
        Answer::document(format!("s3://bucket/{}", "ü".repeat(2_000)), TableId(fresh_uuid())),
        Answer::Properties(changes),
        Answer::Properties(PropertyChanges::default()),
        refusal(409, "{\"error\":{}}"),
        refusal(599, ""),
    ] {
        let receipt = receipt();
        store.receipt_add(warehouse_ref.organisation, &receipt, &answer, NOW_MS).await.unwrap();
        assert_eq!(kept(&store, warehouse_ref, &receipt).await, Some(answer));
    }
    let nobody = OrganisationId(fresh_uuid());
    let orphan = store.receipt_add(nobody, &receipt(), &Answer::Done, NOW_MS).await;
    assert_refused!(orphan, StoreError::NotFound(Resource::Organisation));
}

pub(in crate::store) async fn repeated_key_changes_nothing(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    let orders = ident(&sales, "orders");
    let id = stored_table(&store, warehouse_ref, &orders).await;
    let receipt = receipt();
    keyed_swap(&store, warehouse_ref, id, 1, &receipt).await.unwrap();
    // A repeated request is reported as repeated, not as overtaken by its own first attempt.
    assert_refused!(keyed_swap(&store, warehouse_ref, id, 1, &receipt).await, StoreError::Repeated);
    assert_refused!(keyed_swap(&store, warehouse_ref, id, 2, &receipt).await, StoreError::Repeated);
    let key = &keyed(&receipt);
    let other = namespace(&["other"]);
    let none = properties(&[]);
    assert_refused!(store.namespace_create(warehouse_ref, &other, &none, key).await, StoreError::Repeated);
    let set = store
        .namespace_update_properties(
            warehouse_ref,
            &sales,
            &properties(&[("a", "1")]),
            &[],
            &RequestLimits::default(),
            key,
        )
        .await;
    assert_refused!(set, StoreError::Repeated);
    assert_refused!(store.namespace_drop(warehouse_ref, &sales, key).await, StoreError::Repeated);
    assert_refused!(
        store
            .table_rename(
                warehouse_ref,
                &orders,
                id_at(&store, warehouse_ref, &orders).await,
                &ident(&sales, "b"),
                TableKind::Table,
                key
            )
            .await,
        StoreError::Repeated
    );
    assert_refused!(
        store
            .table_drop(
                warehouse_ref,
                &orders,
                id_at(&store, warehouse_ref, &orders).await,
                TableKind::Table,
                None,
                key
            )
            .await,
        StoreError::Repeated
    );
    let swap = TableChange::Swap {
        id,
        ident: None,
        expected: document(1),
        new: document(2),
        locations: at(&location(id)),
        past: Past::Kept,
        details: EventDetails::new(),
    };
    assert_refused!(store.table_transact(warehouse_ref, vec![swap], None, key).await, StoreError::Repeated);
    assert_refused!(
        store.receipt_add(warehouse_ref.organisation, &receipt, &Answer::Done, NOW_MS).await,
        StoreError::Repeated
    );

    assert_eq!(pointer(&store, warehouse_ref, &orders).await, document(1));
    assert_eq!(store.namespace_get(warehouse_ref, &other).await.unwrap(), None);
    assert_eq!(store.namespace_get(warehouse_ref, &sales).await.unwrap(), Some(properties(&[])));
    assert_eq!(
        kept(&store, warehouse_ref, &receipt).await,
        Some(Answer::document(document(1), id)),
        "the first answer stays"
    );
}

pub(in crate::store) async fn failed_change_leaves_its_key_free(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    let id = stored_table(&store, warehouse_ref, &ident(&sales, "orders")).await;
    let receipt = receipt();
    assert_refused!(keyed_swap(&store, warehouse_ref, id, 2, &receipt).await, StoreError::PointerMoved);
    let keep = TableChange::Keep { id, ident: None, expected: document(5) };
    let refused = store.table_transact(warehouse_ref, vec![keep], None, &keyed(&receipt)).await;
    assert_refused!(refused, StoreError::InTransaction { .. });
    assert_eq!(kept(&store, warehouse_ref, &receipt).await, None);
    keyed_swap(&store, warehouse_ref, id, 1, &receipt).await.unwrap();
}

pub(in crate::store) async fn undone_registration_leaves_no_table_location_or_receipt(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    let (id, orders, receipt) = (TableId(fresh_uuid()), ident(&sales, "orders"), receipt());
    let (first, locations) = (document(0), at("s3://b/w/one"));
    let (kind, key) = (TableKind::Table, &keyed(&receipt));
    let new = NewTable {
        id,
        ident: &orders,
        kind,
        metadata_location: &first,
        locations: &locations,
        origin: Origin::Foreign,
        details: &EventDetails::new(),
    };
    let undo = Undo { id, made: &first, before: None };
    store.table_create(warehouse_ref, &new, None, key).await.unwrap();
    assert_eq!(
        store.table_by_id(warehouse_ref, id).await.unwrap(),
        store.table_get(warehouse_ref, &orders).await.unwrap()
    );
    store.table_undo(warehouse_ref, &undo, key).await.unwrap();
    assert_eq!(store.table_get(warehouse_ref, &orders).await.unwrap(), None);
    assert_eq!(store.table_by_id(warehouse_ref, id).await.unwrap(), None);
    assert_eq!(kept(&store, warehouse_ref, &receipt).await, None);
    assert_refused!(store.table_undo(warehouse_ref, &undo, key).await, StoreError::NotFound(Resource::Table));
    // The location and the key are free again, even for the same id.
    store.table_create(warehouse_ref, &new, None, key).await.unwrap();
    store.table_undo(warehouse_ref, &undo, key).await.unwrap();

    let table = stored_table(&store, warehouse_ref, &orders).await;
    let (before, after, elsewhere) = (document(0), document(1), at("s3://b/w/elsewhere"));
    let former = at(&location(table));
    let (origin, past, details) = (Origin::Foreign, &Past::Kept, &EventDetails::new());
    let swap =
        Swap { id: table, ident: None, expected: &before, new: &after, locations: &elsewhere, origin, past, details };
    store.table_swap(warehouse_ref, &swap, key).await.unwrap();
    let undo = Undo { id: table, made: &after, before: Some((before.as_str(), &former)) };
    store.table_undo(warehouse_ref, &undo, key).await.unwrap();
    assert_eq!(pointer(&store, warehouse_ref, &orders).await, before);
    assert_eq!(kept(&store, warehouse_ref, &receipt).await, None);
    store.location_check(warehouse_ref, TableId(fresh_uuid()), &elsewhere).await.unwrap();
    assert_refused!(
        store.location_check(warehouse_ref, TableId(fresh_uuid()), &former).await,
        StoreError::LocationTaken(_)
    );
}

pub(in crate::store) async fn registration_with_a_later_commit_is_not_undone(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    let (orders, receipt) = (ident(&sales, "orders"), receipt());
    let id = stored_table(&store, warehouse_ref, &orders).await;
    keyed_swap(&store, warehouse_ref, id, 1, &receipt).await.unwrap();
    let (first, made, locations) = (document(0), document(1), at(&location(id)));
    keyed_swap(&store, warehouse_ref, id, 2, &self::receipt()).await.unwrap();
    for before in [None, Some((first.as_str(), &locations))] {
        let undo = Undo { id, made: &made, before };
        assert_refused!(store.table_undo(warehouse_ref, &undo, &keyed(&receipt)).await, StoreError::PointerMoved);
    }
    assert_eq!(pointer(&store, warehouse_ref, &orders).await, document(2));
    assert_eq!(kept(&store, warehouse_ref, &receipt).await, Some(Answer::document(made, id)));
}

pub(in crate::store) async fn expired_key_is_free_again(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    let id = stored_table(&store, warehouse_ref, &ident(&sales, "orders")).await;
    let first = receipt();
    keyed_swap(&store, warehouse_ref, id, 1, &first).await.unwrap();
    let at =
        async |now_ms| store.receipt_get(warehouse_ref.organisation, first.principal, first.key, now_ms).await.unwrap();
    assert!(at(first.expires_ms - 1).await.is_some());
    assert_eq!(at(first.expires_ms).await, None);
    let early = keyed(&first).with_time(first.expires_ms - 1);
    assert_refused!(swap_at(&store, warehouse_ref, id, 2, &early).await, StoreError::Repeated);
    let request = RequestDigest([1; 32]);
    let expires_ms = first.expires_ms + LIFETIME_MS;
    let late = keyed(&Receipt { request, expires_ms, ..first.clone() }).with_time(first.expires_ms);
    swap_at(&store, warehouse_ref, id, 2, &late).await.unwrap();
    assert_eq!(at(first.expires_ms).await, Some(KeptAnswer { request, answer: Answer::document(document(2), id) }));
}

pub(in crate::store) async fn receipts_are_invisible_to_other_organisations(store: Subject) {
    let (mine, theirs) = (store_warehouse(&store).await, store_warehouse(&store).await);
    let receipt = receipt();
    let said = Answer::Refusal { status: 404, body: "theirs".to_owned() };
    store.receipt_add(theirs.organisation, &receipt, &said, NOW_MS).await.unwrap();
    assert_eq!(kept(&store, mine, &receipt).await, None);
    store.namespace_create(mine, &namespace(&["sales"]), &properties(&[]), &keyed(&receipt)).await.unwrap();
    assert_eq!(kept(&store, mine, &receipt).await, Some(Answer::Done));
    assert_eq!(kept(&store, theirs, &receipt).await, Some(said));
}

pub(in crate::store) async fn expired_receipts_are_removed_in_batches(store: Subject) {
    let (one, other) = (store_warehouse(&store).await, store_warehouse(&store).await);
    for number in 0..10_u8 {
        let warehouse_ref = if number % 2 == 0 { one } else { other };
        let expires_ms = NOW_MS + i64::from(number);
        let receipt = Receipt { key: Uuid::from_u128(u128::from(number)), expires_ms, ..receipt() };
        store.receipt_add(warehouse_ref.organisation, &receipt, &Answer::Done, NOW_MS).await.unwrap();
    }
    let expired_ms = NOW_MS + 6;
    let mut removed = Vec::new();
    for _ in 0..4 {
        removed.push(store.receipt_remove_expired(expired_ms, 3).await.unwrap());
    }
    assert_eq!(removed, [3, 3, 1, 0]);
    for number in 7..10_u8 {
        let warehouse_ref = if number % 2 == 0 { one } else { other };
        let key = Uuid::from_u128(u128::from(number));
        assert!(
            store
                .receipt_get(warehouse_ref.organisation, receipt().principal, key, expired_ms)
                .await
                .unwrap()
                .is_some(),
            "{number}"
        );
    }
}

pub(in crate::store) async fn concurrent_changes_with_one_key_happen_once(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    let receipt = receipt();
    let results = at_once(40, |number| {
        let (store, receipt, sales) = (Arc::clone(&store), receipt.clone(), sales.clone());
        async move {
            // Each creates another table, so that they conflict only in the key.
            let (id, ident) = (TableId(fresh_uuid()), ident(&sales, &format!("t{number}")));
            let (first, locations) = (document(number), at(&location(id)));
            let kind = TableKind::Table;
            let new = NewTable {
                id,
                ident: &ident,
                kind,
                metadata_location: &first,
                locations: &locations,
                origin: Origin::Catalog,
                details: &EventDetails::new(),
            };
            store.table_create(warehouse_ref, &new, None, &keyed(&receipt)).await.map(|()| id)
        }
    })
    .await;
    let winners: Vec<usize> = (0..40).filter(|number| results[*number].is_ok()).collect();
    let [winner] = winners[..] else { panic!("not exactly one has won: {results:?}") };
    let winners_id = *results[winner].as_ref().unwrap();
    for result in results.into_iter().filter(Result::is_err) {
        assert_refused!(result, StoreError::Repeated);
    }
    assert_eq!(store.table_count(warehouse_ref.organisation).await.unwrap(), 1);
    assert_eq!(kept(&store, warehouse_ref, &receipt).await, Some(Answer::document(document(winner), winners_id)));
}
