//! Dropped tables and views.

use tidewater_core::ids::TableId;
use tidewater_core::name::{NamespaceIdent, TableIdent};

use super::fixture::{
    NOW_MS, Subject, assert_refused, at, change, change_at, create, document, id_at, ident, keyed, location, namespace,
    organisation, pointer, store_warehouse, store_warehouse_of, stored_namespace, stored_table, swap,
};
use crate::base::clock::{fresh_ordered_uuid, fresh_uuid};
use crate::store::{
    Answer, DropTerms, DroppedFilter, DroppedState, EventDetails, Moment, NewTable, Origin, Past, Progress, Receipt,
    RequestDigest, Resource, Restore, Result, StoreError, Swap, TableChange, TableKind, TableRecord, TimedPage,
    WarehouseRef,
};

const HOUR_MS: i64 = 3_600_000;

/// Returns the terms of a drop at [`NOW_MS`] that can be restored for an hour.
fn terms(purge: bool) -> DropTerms {
    DropTerms { restorable_until_ms: NOW_MS + HOUR_MS, purge }
}

async fn dropped(store: &Subject, warehouse_ref: WarehouseRef, ident: &TableIdent, purge: bool) -> TableRecord {
    store
        .table_drop(
            warehouse_ref,
            ident,
            id_at(store, warehouse_ref, ident).await,
            TableKind::Table,
            Some(&terms(purge)),
            &change(),
        )
        .await
        .unwrap()
}

async fn restore(store: &Subject, warehouse_ref: WarehouseRef, id: TableId, ident: &TableIdent) -> Result<()> {
    restore_at(store, warehouse_ref, (id, ident), NOW_MS + 1, None).await
}

async fn restore_at(
    store: &Subject,
    warehouse_ref: WarehouseRef,
    (id, ident): (TableId, &TableIdent),
    now_ms: i64,
    max_tables: Option<u64>,
) -> Result<()> {
    store.dropped_restore(warehouse_ref, &Restore { id, ident, locations: None }, max_tables, &change_at(now_ms)).await
}

/// Creates a namespace `sales` in a new warehouse. Returns both with the name of a table in it.
async fn sales(store: &Subject) -> (WarehouseRef, NamespaceIdent, TableIdent) {
    let warehouse_ref = store_warehouse(store).await;
    let sales = stored_namespace(store, warehouse_ref, "sales").await;
    let orders = ident(&sales, "orders");
    (warehouse_ref, sales, orders)
}

async fn listed(store: &Subject, warehouse_ref: WarehouseRef) -> Vec<TableId> {
    let all = store.dropped_list(warehouse_ref, &DroppedFilter::default(), &TimedPage::default()).await.unwrap();
    all.items.into_iter().map(|dropped| dropped.id).collect()
}

async fn create_at(store: &Subject, warehouse_ref: WarehouseRef, ident: &TableIdent, location: &str) -> Result<()> {
    let id = TableId(fresh_uuid());
    let metadata_location = &document(0);
    let kind = TableKind::Table;
    let locations = &at(location);
    let new = NewTable {
        id,
        ident,
        kind,
        metadata_location,
        locations,
        origin: Origin::Catalog,
        details: &EventDetails::new(),
    };
    store.table_create(warehouse_ref, &new, None, &change()).await
}

pub(in crate::store) async fn dropped_table_is_restored_unchanged(store: Subject) {
    let (warehouse_ref, sales, orders) = sales(&store).await;
    for (kind, name) in [(TableKind::Table, "t"), (TableKind::View, "v")] {
        let old = ident(&sales, name);
        let id = create(&store, warehouse_ref, &old, kind, None).await.unwrap();
        swap(&store, warehouse_ref, id, 0, 1).await.unwrap();
        let record = store
            .table_drop(
                warehouse_ref,
                &old,
                id_at(&store, warehouse_ref, &old).await,
                kind,
                Some(&terms(false)),
                &change(),
            )
            .await
            .unwrap();
        assert_eq!(record, TableRecord { id, kind, metadata_location: document(1), owner: None, labels: None });
        assert_eq!(store.table_get(warehouse_ref, &old).await.unwrap(), None);
        assert_refused!(swap(&store, warehouse_ref, id, 1, 2).await, StoreError::NotFound(_));

        let kept = store.dropped_get(warehouse_ref, id).await.unwrap().unwrap();
        assert_eq!((&kept.ident, kept.kind, kept.warehouse_ref), (&old, kind, warehouse_ref));
        assert_eq!((kept.metadata_location, kept.location), (document(1), location(id)));
        assert_eq!((kept.dropped_ms, kept.restorable_until_ms, kept.purge), (NOW_MS, NOW_MS + HOUR_MS, false));
        assert_eq!((kept.state, kept.attempts, kept.message), (DroppedState::Kept, 0, None));

        // The name is free for another table. When that is gone, the dropped table can be restored to it.
        stored_table(&store, warehouse_ref, &old).await;
        restore(&store, warehouse_ref, id, &orders).await.unwrap();
        assert_eq!(store.table_get(warehouse_ref, &orders).await.unwrap().unwrap(), record);
        assert_eq!(store.dropped_get(warehouse_ref, id).await.unwrap(), None);
        swap(&store, warehouse_ref, id, 1, 2).await.unwrap();
        store
            .table_drop(
                warehouse_ref,
                &orders,
                id_at(&store, warehouse_ref, &orders).await,
                kind,
                Some(&terms(false)),
                &change(),
            )
            .await
            .unwrap();
        store
            .table_drop(
                warehouse_ref,
                &old,
                id_at(&store, warehouse_ref, &old).await,
                TableKind::Table,
                None,
                &change(),
            )
            .await
            .unwrap();
        restore(&store, warehouse_ref, id, &old).await.unwrap();
        assert_eq!(pointer(&store, warehouse_ref, &old).await, document(2));
    }
}

pub(in crate::store) async fn drop_without_terms_leaves_no_row(store: Subject) {
    let (warehouse_ref, _, orders) = sales(&store).await;
    let id = stored_table(&store, warehouse_ref, &orders).await;
    store
        .table_drop(
            warehouse_ref,
            &orders,
            id_at(&store, warehouse_ref, &orders).await,
            TableKind::Table,
            None,
            &change(),
        )
        .await
        .unwrap();
    assert_eq!(store.dropped_get(warehouse_ref, id).await.unwrap(), None);
    assert_eq!(listed(&store, warehouse_ref).await, []);
    create_at(&store, warehouse_ref, &orders, &location(id)).await.unwrap();
    let missing = ident(&orders.namespace, "no");
    let missing = store
        .table_drop(
            warehouse_ref,
            &missing,
            id_at(&store, warehouse_ref, &missing).await,
            TableKind::Table,
            Some(&terms(true)),
            &change(),
        )
        .await;
    assert_refused!(missing, StoreError::NotFound(Resource::Table));
    assert_eq!(listed(&store, warehouse_ref).await, []);
}

pub(in crate::store) async fn refused_restore_reports_the_reason(store: Subject) {
    let (warehouse_ref, sales, orders) = sales(&store).await;
    let id = stored_table(&store, warehouse_ref, &orders).await;
    dropped(&store, warehouse_ref, &orders, false).await;
    assert_refused!(
        restore(&store, warehouse_ref, TableId(fresh_uuid()), &orders).await,
        StoreError::NotFound(Resource::Table)
    );
    let nowhere = ident(&namespace(&["none"]), "t");
    assert_refused!(restore(&store, warehouse_ref, id, &nowhere).await, StoreError::NotFound(Resource::Namespace));
    create(&store, warehouse_ref, &orders, TableKind::View, None).await.unwrap();
    assert_refused!(restore(&store, warehouse_ref, id, &orders).await, StoreError::AlreadyExists(Resource::View));
    let full = restore_at(&store, warehouse_ref, (id, &ident(&sales, "new")), NOW_MS, Some(1)).await;
    assert_refused!(full, StoreError::LimitReached { limit: 1 });
    // The refused restores changed nothing.
    assert_eq!(listed(&store, warehouse_ref).await, [id]);
    assert_eq!(store.table_get(warehouse_ref, &ident(&sales, "new")).await.unwrap(), None);
    restore_at(&store, warehouse_ref, (id, &ident(&sales, "new")), NOW_MS, Some(2)).await.unwrap();
}

pub(in crate::store) async fn restore_after_the_restore_time_is_refused(store: Subject) {
    let (warehouse_ref, _, orders) = sales(&store).await;
    let id = stored_table(&store, warehouse_ref, &orders).await;
    dropped(&store, warehouse_ref, &orders, true).await;
    let late = restore_at(&store, warehouse_ref, (id, &orders), NOW_MS + HOUR_MS, None).await;
    assert_refused!(late, StoreError::NotRestorable(_));
    restore_at(&store, warehouse_ref, (id, &orders), NOW_MS + HOUR_MS - 1, None).await.unwrap();
    let at_once = DropTerms { restorable_until_ms: NOW_MS, purge: true };
    store
        .table_drop(
            warehouse_ref,
            &orders,
            id_at(&store, warehouse_ref, &orders).await,
            TableKind::Table,
            Some(&at_once),
            &change(),
        )
        .await
        .unwrap();
    let never = restore_at(&store, warehouse_ref, (id, &orders), NOW_MS, None).await;
    assert_refused!(never, StoreError::NotRestorable(_));
}

pub(in crate::store) async fn dropped_tables_do_not_count_towards_the_limit(store: Subject) {
    let (warehouse_ref, sales, orders) = sales(&store).await;
    create(&store, warehouse_ref, &orders, TableKind::Table, Some(1)).await.unwrap();
    dropped(&store, warehouse_ref, &orders, false).await;
    assert_eq!(store.table_count(warehouse_ref.organisation).await.unwrap(), 0);
    create(&store, warehouse_ref, &ident(&sales, "more"), TableKind::Table, Some(1)).await.unwrap();
}

pub(in crate::store) async fn location_of_a_dropped_table_stays_reserved(store: Subject) {
    let (warehouse_ref, sales, orders) = sales(&store).await;
    let id = stored_table(&store, warehouse_ref, &orders).await;
    let mover = stored_table(&store, warehouse_ref, &ident(&sales, "mover")).await;
    dropped(&store, warehouse_ref, &orders, false).await;
    let held = location(id);
    let new = ident(&sales, "new");
    for overlapping in [&format!("{held}/inside/it"), "s3://bucket/lake"] {
        assert_refused!(
            create_at(&store, warehouse_ref, &new, overlapping).await,
            StoreError::LocationHeld(_) | StoreError::LocationTaken(_)
        );
        let to = Swap {
            id: mover,
            ident: None,
            expected: &document(0),
            new: &document(1),
            locations: &at(overlapping),
            origin: Origin::Catalog,
            past: &Past::Kept,
            details: &EventDetails::new(),
        };
        assert_refused!(
            store.table_swap(warehouse_ref, &to, &change()).await,
            StoreError::LocationHeld(_) | StoreError::LocationTaken(_)
        );
    }
    let create = TableChange::Create {
        id: TableId(fresh_uuid()),
        ident: new.clone(),
        metadata_location: document(0),
        locations: at(&format!("{held}/inside")),
        details: EventDetails::new(),
    };
    let transacted = store.table_transact(warehouse_ref, vec![create], None, &change()).await;
    assert_refused!(transacted, StoreError::InTransaction { at: 0, .. });
    create_at(&store, warehouse_ref, &ident(&sales, "beside"), &format!("{held}2")).await.unwrap();

    assert!(store.dropped_remove(warehouse_ref, id, None, &change()).await.unwrap());
    create_at(&store, warehouse_ref, &new, &held).await.unwrap();
}

pub(in crate::store) async fn dropped_table_blocks_the_drop_of_its_warehouse_but_not_its_namespace(store: Subject) {
    let (warehouse_ref, sales, orders) = sales(&store).await;
    let id = stored_table(&store, warehouse_ref, &orders).await;
    dropped(&store, warehouse_ref, &orders, false).await;
    store.namespace_drop(warehouse_ref, &sales, &change()).await.unwrap();
    assert_refused!(restore(&store, warehouse_ref, id, &orders).await, StoreError::NotFound(Resource::Namespace));
    let refused = store.warehouse_drop(warehouse_ref.organisation, "lake", &change()).await;
    assert_refused!(refused, StoreError::NotEmpty(Resource::Warehouse));
    stored_namespace(&store, warehouse_ref, "sales").await;
    restore(&store, warehouse_ref, id, &orders).await.unwrap();

    dropped(&store, warehouse_ref, &orders, false).await;
    store.namespace_drop(warehouse_ref, &sales, &change()).await.unwrap();
    store.dropped_remove(warehouse_ref, id, None, &change()).await.unwrap();
    store.warehouse_drop(warehouse_ref.organisation, "lake", &change()).await.unwrap();
}

pub(in crate::store) async fn drops_are_listed_newest_first_in_pages(store: Subject) {
    let (warehouse_ref, sales, _) = sales(&store).await;
    let other = stored_namespace(&store, warehouse_ref, "other").await;
    let mut expected = Vec::new();
    for number in 0..7 {
        let name = ident(if number == 3 { &other } else { &sales }, &format!("t{number}"));
        let kind = if number == 5 { TableKind::View } else { TableKind::Table };
        let id = create(&store, warehouse_ref, &name, kind, None).await.unwrap();
        // Two drops at each time.
        let at_ms = NOW_MS + number / 2;
        store
            .table_drop(
                warehouse_ref,
                &name,
                id_at(&store, warehouse_ref, &name).await,
                kind,
                Some(&terms(false)),
                &change_at(at_ms),
            )
            .await
            .unwrap();
        expected.push((at_ms, id));
    }
    expected.sort_unstable();
    expected.reverse();
    let ids: Vec<_> = expected.iter().map(|(_, id)| *id).collect();
    assert_eq!(listed(&store, warehouse_ref).await, ids);
    let (mut before, mut paged) = (None, Vec::new());
    loop {
        let page = TimedPage { before, limit: Some(2) };
        let page = store.dropped_list(warehouse_ref, &DroppedFilter::default(), &page).await.unwrap();
        assert!(page.items.len() == 2 || !page.more);
        before = page.items.last().map(|last| Moment { at_ms: last.dropped_ms, id: last.id.0 });
        paged.extend(page.items.into_iter().map(|dropped| dropped.id));
        if !page.more {
            break;
        }
    }
    assert_eq!(paged, ids);
    let count = async |filter: DroppedFilter| {
        store.dropped_list(warehouse_ref, &filter, &TimedPage::default()).await.unwrap().items.len()
    };
    assert_eq!(count(DroppedFilter { namespace: Some(other), ..DroppedFilter::default() }).await, 1);
    assert_eq!(count(DroppedFilter { kind: Some(TableKind::View), ..DroppedFilter::default() }).await, 1);
    let named = DroppedFilter { namespace: Some(sales), name: Some("t4".into()), kind: Some(TableKind::Table) };
    assert_eq!(count(named).await, 1);
}

pub(in crate::store) async fn dropped_table_without_purge_is_forgotten_when_due(store: Subject) {
    let (warehouse_ref, sales, orders) = sales(&store).await;
    for number in 0..5 {
        let name = ident(&sales, &format!("t{number}"));
        stored_table(&store, warehouse_ref, &name).await;
        dropped(&store, warehouse_ref, &name, false).await;
    }
    let purged = stored_table(&store, warehouse_ref, &orders).await;
    dropped(&store, warehouse_ref, &orders, true).await;
    assert_eq!(store.dropped_forget_due(9, &change_at(NOW_MS + HOUR_MS - 1)).await.unwrap(), 0);
    assert_eq!(store.dropped_forget_due(3, &change_at(NOW_MS + HOUR_MS)).await.unwrap(), 3);
    assert_eq!(store.dropped_forget_due(3, &change_at(NOW_MS + HOUR_MS)).await.unwrap(), 2);
    assert_eq!(listed(&store, warehouse_ref).await, [purged], "a table with a purge is left to the purge");
}

pub(in crate::store) async fn begun_purge_of_a_clock_that_was_ahead_is_brought_forward(store: Subject) {
    let (warehouse_ref, sales, orders) = sales(&store).await;
    let id = stored_table(&store, warehouse_ref, &orders).await;
    dropped(&store, warehouse_ref, &orders, true).await;
    let days_ahead_ms = NOW_MS + 100 * HOUR_MS;
    assert_eq!(store.dropped_claim(days_ahead_ms, days_ahead_ms + 100, 9).await.unwrap().len(), 1);
    let waiting = ident(&sales, "waiting");
    stored_table(&store, warehouse_ref, &waiting).await;
    dropped(&store, warehouse_ref, &waiting, true).await;
    assert_eq!(store.dropped_bring_forward(NOW_MS, days_ahead_ms + 100).await.unwrap(), 0, "nobody waits longer");
    assert_eq!(store.dropped_claim(NOW_MS, NOW_MS + 100, 9).await.unwrap(), []);
    assert_eq!(
        store.dropped_bring_forward(NOW_MS, NOW_MS + 99).await.unwrap(),
        1,
        "the restore time of the other table stays"
    );
    let [again] = store.dropped_claim(NOW_MS, NOW_MS + 100, 9).await.unwrap().try_into().unwrap();
    assert_eq!((again.id, again.attempts), (id, 2));
}

pub(in crate::store) async fn purge_is_leased_to_one_server_at_a_time(store: Subject) {
    let (warehouse_ref, sales, orders) = sales(&store).await;
    let id = stored_table(&store, warehouse_ref, &orders).await;
    dropped(&store, warehouse_ref, &orders, true).await;
    stored_table(&store, warehouse_ref, &ident(&sales, "kept")).await;
    dropped(&store, warehouse_ref, &ident(&sales, "kept"), false).await;
    let due = NOW_MS + HOUR_MS;
    assert_eq!(store.dropped_claim(due - 1, due + 100, 9).await.unwrap(), []);
    let [job] = store.dropped_claim(due, due + 100, 9).await.unwrap().try_into().unwrap();
    assert_eq!((job.id, job.state, job.attempts, job.warehouse_ref), (id, DroppedState::Removing, 1, warehouse_ref));
    assert_eq!(store.dropped_claim(due + 99, due + 200, 9).await.unwrap(), []);
    assert_refused!(restore(&store, warehouse_ref, id, &orders).await, StoreError::NotRestorable(_));

    // The lease is renewed, then it expires.
    let until = |until_ms| Progress::Continue { until_ms, finishing: false };
    let organisation = warehouse_ref.organisation;
    assert!(store.dropped_progress(organisation, id, 1, &until(due + 300), &change()).await.unwrap());
    assert_eq!(store.dropped_claim(due + 299, due + 500, 9).await.unwrap(), []);
    let [again] = store.dropped_claim(due + 300, due + 500, 9).await.unwrap().try_into().unwrap();
    assert_eq!(again.attempts, 2);
    for late in [until(due + 900), Progress::Gone, Progress::Blocked { message: "x".into() }] {
        assert!(!store.dropped_progress(organisation, id, 1, &late, &change()).await.unwrap());
    }
    assert_eq!(store.dropped_get(warehouse_ref, id).await.unwrap().unwrap(), again);
    assert!(store.dropped_progress(organisation, id, 2, &Progress::Gone, &change()).await.unwrap());
    assert!(!store.dropped_progress(organisation, id, 2, &Progress::Gone, &change()).await.unwrap());
    assert_eq!(store.dropped_get(warehouse_ref, id).await.unwrap(), None);
    create_at(&store, warehouse_ref, &orders, &location(id)).await.unwrap();
}

pub(in crate::store) async fn purge_progress_is_stored(store: Subject) {
    let (warehouse_ref, _, orders) = sales(&store).await;
    let (organisation, id) = (warehouse_ref.organisation, stored_table(&store, warehouse_ref, &orders).await);
    dropped(&store, warehouse_ref, &orders, true).await;
    let due = NOW_MS + HOUR_MS;
    store.dropped_claim(due, due + 10, 9).await.unwrap();
    let told = async || {
        let dropped = store.dropped_get(warehouse_ref, id).await.unwrap().unwrap();
        (dropped.state, dropped.due_ms, dropped.message)
    };
    let finishing = Progress::Continue { until_ms: due + 20, finishing: true };
    assert!(store.dropped_progress(organisation, id, 1, &finishing, &change()).await.unwrap());
    assert_eq!(told().await, (DroppedState::Finishing, Some(due + 20), None));
    let retry = Progress::Retry { at_ms: due + 50, message: Some("no answer".into()) };
    assert!(store.dropped_progress(organisation, id, 1, &retry, &change()).await.unwrap());
    assert_eq!(told().await, (DroppedState::Finishing, Some(due + 50), Some("no answer".into())));
    let [again] = store.dropped_claim(due + 50, due + 60, 9).await.unwrap().try_into().unwrap();
    assert_eq!((again.state, again.attempts), (DroppedState::Finishing, 2));
    let blocked = Progress::Blocked { message: "unreadable".into() };
    assert!(store.dropped_progress(organisation, id, 2, &blocked, &change()).await.unwrap());
    assert_eq!(told().await, (DroppedState::Blocked, None, Some("unreadable".into())));
    assert_eq!(store.dropped_claim(i64::MAX, i64::MAX, 9).await.unwrap(), []);
    // Until an administrator requests it.
    assert!(!store.dropped_remove(warehouse_ref, id, None, &change_at(due + 100)).await.unwrap());
    assert_eq!(store.dropped_claim(due + 100, due + 200, 9).await.unwrap()[0].attempts, 3);
}

pub(in crate::store) async fn dropped_table_is_removed_on_request(store: Subject) {
    let (warehouse_ref, sales, _) = sales(&store).await;
    let stored = async |name: &str, kind, purge| {
        let name = ident(&sales, name);
        let id = create(&store, warehouse_ref, &name, kind, None).await.unwrap();
        store
            .table_drop(
                warehouse_ref,
                &name,
                id_at(&store, warehouse_ref, &name).await,
                kind,
                Some(&terms(purge)),
                &change(),
            )
            .await
            .unwrap();
        id
    };
    let remove = async |id, purge| store.dropped_remove(warehouse_ref, id, purge, &change_at(NOW_MS + 5)).await;
    assert!(remove(stored("a", TableKind::Table, false).await, None).await.unwrap());
    assert!(remove(stored("b", TableKind::Table, true).await, Some(false)).await.unwrap());
    assert!(
        remove(stored("c", TableKind::View, true).await, Some(true)).await.unwrap(),
        "a view has no files to purge"
    );
    let asked = [stored("d", TableKind::Table, true).await, stored("e", TableKind::Table, false).await];
    assert!(!remove(asked[0], None).await.unwrap());
    assert!(!remove(asked[1], Some(true)).await.unwrap());
    assert_refused!(restore(&store, warehouse_ref, asked[1], &ident(&sales, "e")).await, StoreError::NotRestorable(_));
    let claimed = store.dropped_claim(NOW_MS + 5, NOW_MS + 99, 9).await.unwrap();
    assert_eq!(claimed.len(), 2);
    // A running purge does not start again.
    assert!(!remove(asked[0], None).await.unwrap());
    assert_eq!(store.dropped_claim(NOW_MS + 98, NOW_MS + 200, 9).await.unwrap(), []);
    let removed = stored("f", TableKind::Table, true).await;
    assert!(remove(removed, Some(false)).await.unwrap());
    assert_refused!(remove(removed, None).await, StoreError::NotFound(Resource::Table));
}

pub(in crate::store) async fn keyed_drops_and_restores_happen_once(store: Subject) {
    let (warehouse_ref, _, orders) = sales(&store).await;
    let id = stored_table(&store, warehouse_ref, &orders).await;
    let receipt = || Receipt {
        principal: tidewater_core::ids::PrincipalId(uuid::Uuid::from_u128(7)),
        key: fresh_ordered_uuid(),
        request: RequestDigest([1; 32]),
        expires_ms: NOW_MS + HOUR_MS,
    };
    let (drop_once, restore_once, remove_once) = (receipt(), receipt(), receipt());
    let (kind, terms) = (TableKind::Table, terms(false));
    store
        .table_drop(
            warehouse_ref,
            &orders,
            id_at(&store, warehouse_ref, &orders).await,
            kind,
            Some(&terms),
            &keyed(&drop_once),
        )
        .await
        .unwrap();
    assert_refused!(
        store
            .table_drop(
                warehouse_ref,
                &orders,
                id_at(&store, warehouse_ref, &orders).await,
                kind,
                Some(&terms),
                &keyed(&drop_once)
            )
            .await,
        StoreError::Repeated
    );
    let kept = store
        .receipt_get(warehouse_ref.organisation, drop_once.principal, drop_once.key, NOW_MS)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(kept.answer, Answer::document(document(0), id));
    let back = Restore { id, ident: &orders, locations: None };
    let restore = async || store.dropped_restore(warehouse_ref, &back, None, &keyed(&restore_once)).await;
    restore().await.unwrap();
    assert_refused!(restore().await, StoreError::Repeated);
    store
        .table_drop(warehouse_ref, &orders, id_at(&store, warehouse_ref, &orders).await, kind, Some(&terms), &change())
        .await
        .unwrap();
    let remove = async || store.dropped_remove(warehouse_ref, id, None, &keyed(&remove_once)).await;
    remove().await.unwrap();
    assert_refused!(remove().await, StoreError::Repeated);
}

pub(in crate::store) async fn dropped_tables_are_invisible_to_other_tenants(store: Subject) {
    let (warehouse_ref, _, orders) = sales(&store).await;
    let id = stored_table(&store, warehouse_ref, &orders).await;
    dropped(&store, warehouse_ref, &orders, true).await;
    let spare = store_warehouse_of(&store, warehouse_ref.organisation, "spare").await;
    let stranger = organisation("stranger");
    store.organisation_create(&stranger, &change()).await.unwrap();
    let guessed = WarehouseRef { organisation: stranger.id, warehouse: warehouse_ref.warehouse };
    for other in [spare, guessed] {
        assert_eq!(listed(&store, other).await, []);
        assert_eq!(store.dropped_get(other, id).await.unwrap(), None);
        assert_refused!(restore(&store, other, id, &orders).await, StoreError::NotFound(Resource::Table));
        let removed = store.dropped_remove(other, id, Some(false), &change()).await;
        assert_refused!(removed, StoreError::NotFound(Resource::Table));
    }
    let due = NOW_MS + HOUR_MS;
    store.dropped_claim(due, due + 10, 9).await.unwrap();
    assert!(!store.dropped_progress(stranger.id, id, 1, &Progress::Gone, &change()).await.unwrap());
    // Other organisations may use the same location.
    stored_namespace(&store, spare, "sales").await;
    create_at(&store, spare, &orders, &location(id)).await.unwrap();
    assert_eq!(listed(&store, warehouse_ref).await, [id]);
}

pub(in crate::store) async fn concurrent_restore_and_purge_cannot_both_succeed(store: Subject) {
    let (warehouse_ref, sales, _) = sales(&store).await;
    for number in 0..40 {
        let name = ident(&sales, &format!("t{number}"));
        let id = stored_table(&store, warehouse_ref, &name).await;
        dropped(&store, warehouse_ref, &name, true).await;
        // As with two clocks that differ by an hour.
        let claim = store.dropped_claim(NOW_MS + HOUR_MS, NOW_MS + 2 * HOUR_MS, 9);
        let (restored, claimed) = tokio::join!(restore(&store, warehouse_ref, id, &name), claim);
        assert_ne!(restored.is_ok(), claimed.unwrap().iter().any(|job| job.id == id), "{restored:?}");
    }
}
