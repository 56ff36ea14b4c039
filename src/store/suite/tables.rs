//! Tables and views.

use tidewater_core::ids::TableId;

use super::fixture::{
    Subject, assert_refused, at, change, create, document, id_at, ident, namespace, pointer, properties,
    store_warehouse, store_warehouse_of, stored_namespace, stored_table, swap,
};
use crate::base::clock::fresh_uuid;
use crate::store::{
    DropTerms, DroppedFilter, EventDetails, NewTable, Origin, PageRequest, Past, Resource, StoreError, Swap, TableKind,
    TableRecord, TimedPage,
};

pub(in crate::store) async fn table_is_found_as_created(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    for (name, kind) in [("orders", TableKind::Table), ("totals", TableKind::View)] {
        let id = create(&store, warehouse_ref, &ident(&sales, name), kind, None).await.unwrap();
        let record = TableRecord { id, kind, metadata_location: document(0), owner: None, labels: None };
        assert_eq!(store.table_get(warehouse_ref, &ident(&sales, name)).await.unwrap(), Some(record));
    }
    assert_eq!(store.table_get(warehouse_ref, &ident(&sales, "Orders")).await.unwrap(), None);
    assert_eq!(store.table_get(warehouse_ref, &ident(&namespace(&["nope"]), "orders")).await.unwrap(), None);
}

pub(in crate::store) async fn bulk_read_of_tables_keeps_the_requested_order(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    let mut expected = Vec::new();
    let mut names = Vec::new();
    for number in 0..40 {
        let name = ident(&sales, &format!("t{number}"));
        if number % 3 == 0 {
            create(&store, warehouse_ref, &name, TableKind::Table, None).await.unwrap();
        }
        expected.push(store.table_get(warehouse_ref, &name).await.unwrap());
        names.push(name);
    }
    assert_eq!(store.table_get_all(warehouse_ref, &names).await.unwrap(), expected);
    assert_eq!(store.table_get_all(warehouse_ref, &names[..4]).await.unwrap(), expected[..4]);
    assert_eq!(store.table_get_all(warehouse_ref, &[]).await.unwrap(), []);
}

pub(in crate::store) async fn table_in_a_missing_namespace_is_refused(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    stored_namespace(&store, warehouse_ref, "a").await;
    for levels in [&["b"][..], &["a", "b"]] {
        let orphan = create(&store, warehouse_ref, &ident(&namespace(levels), "t"), TableKind::Table, None).await;
        assert_refused!(orphan, StoreError::NotFound(Resource::Namespace));
    }
    assert_eq!(store.table_count(warehouse_ref.organisation).await.unwrap(), 0);
}

pub(in crate::store) async fn table_and_view_cannot_have_the_same_name(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    create(&store, warehouse_ref, &ident(&sales, "t"), TableKind::Table, None).await.unwrap();
    create(&store, warehouse_ref, &ident(&sales, "v"), TableKind::View, None).await.unwrap();
    for kind in [TableKind::Table, TableKind::View] {
        let table = create(&store, warehouse_ref, &ident(&sales, "t"), kind, None).await;
        assert_refused!(table, StoreError::AlreadyExists(Resource::Table));
        let view = create(&store, warehouse_ref, &ident(&sales, "v"), kind, None).await;
        assert_refused!(view, StoreError::AlreadyExists(Resource::View));
    }
    assert_eq!(store.table_count(warehouse_ref.organisation).await.unwrap(), 2);
}

pub(in crate::store) async fn second_table_with_an_id_is_refused(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    let id = stored_table(&store, warehouse_ref, &ident(&sales, "first")).await;
    let second = ident(&sales, "second");
    let new = NewTable {
        id,
        ident: &second,
        kind: TableKind::Table,
        metadata_location: &document(1),
        locations: &at("s3://bucket/lake/second/"),
        origin: Origin::Catalog,
        details: &EventDetails::new(),
    };
    assert_refused!(
        store.table_create(warehouse_ref, &new, None, &change()).await,
        StoreError::AlreadyExists(Resource::Table)
    );
    assert_eq!(store.table_get(warehouse_ref, &second).await.unwrap(), None);
}

pub(in crate::store) async fn tables_beyond_the_limit_are_refused(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let spare = store_warehouse_of(&store, warehouse_ref.organisation, "spare").await;
    let here = stored_namespace(&store, warehouse_ref, "here").await;
    let there = stored_namespace(&store, spare, "there").await;
    let limit = Some(2);
    let none = create(&store, warehouse_ref, &ident(&here, "t0"), TableKind::Table, Some(0)).await;
    assert_refused!(none, StoreError::LimitReached { limit: 0 });
    create(&store, warehouse_ref, &ident(&here, "t1"), TableKind::Table, limit).await.unwrap();
    create(&store, spare, &ident(&there, "t2"), TableKind::View, limit).await.unwrap();

    let third = create(&store, warehouse_ref, &ident(&here, "t3"), TableKind::Table, limit).await;
    assert_refused!(third, StoreError::LimitReached { limit: 2 });
    assert_eq!(store.table_get(warehouse_ref, &ident(&here, "t3")).await.unwrap(), None);
    // Other errors are reported before the limit, since a higher limit would not help.
    let taken = create(&store, warehouse_ref, &ident(&here, "t1"), TableKind::Table, limit).await;
    assert_refused!(taken, StoreError::AlreadyExists(Resource::Table));
    let orphan = create(&store, warehouse_ref, &ident(&namespace(&["nope"]), "t"), TableKind::Table, limit).await;
    assert_refused!(orphan, StoreError::NotFound(Resource::Namespace));

    store
        .table_drop(
            spare,
            &ident(&there, "t2"),
            id_at(&store, spare, &ident(&there, "t2")).await,
            TableKind::View,
            None,
            &change(),
        )
        .await
        .unwrap();
    create(&store, warehouse_ref, &ident(&here, "t3"), TableKind::Table, limit).await.unwrap();
    create(&store, warehouse_ref, &ident(&here, "t4"), TableKind::Table, None).await.unwrap();
}

pub(in crate::store) async fn swap_moves_the_pointer(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    let (moved, other) = (ident(&sales, "moved"), ident(&sales, "other"));
    let id = stored_table(&store, warehouse_ref, &moved).await;
    stored_table(&store, warehouse_ref, &other).await;
    for number in 0..5 {
        swap(&store, warehouse_ref, id, number, number + 1).await.unwrap();
        assert_eq!(pointer(&store, warehouse_ref, &moved).await, document(number + 1));
    }
    assert_eq!(pointer(&store, warehouse_ref, &other).await, document(0), "it had the same pointer, and keeps it");

    let view = ident(&sales, "view");
    let id = create(&store, warehouse_ref, &view, TableKind::View, None).await.unwrap();
    swap(&store, warehouse_ref, id, 0, 1).await.unwrap();
    assert_eq!(pointer(&store, warehouse_ref, &view).await, document(1));
}

pub(in crate::store) async fn swap_from_another_pointer_is_refused(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    let orders = ident(&sales, "orders");
    let id = stored_table(&store, warehouse_ref, &orders).await;
    swap(&store, warehouse_ref, id, 0, 1).await.unwrap();
    assert_refused!(swap(&store, warehouse_ref, id, 0, 2).await, StoreError::PointerMoved);
    // A repeated swap whose answer was lost must not look as if it had happened now.
    assert_refused!(swap(&store, warehouse_ref, id, 0, 1).await, StoreError::PointerMoved);
    assert_eq!(pointer(&store, warehouse_ref, &orders).await, document(1));
}

pub(in crate::store) async fn swap_of_a_missing_table_is_not_found(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    let never = swap(&store, warehouse_ref, TableId(fresh_uuid()), 0, 1).await;
    assert_refused!(never, StoreError::NotFound(Resource::Table));

    let orders = ident(&sales, "orders");
    let old = stored_table(&store, warehouse_ref, &orders).await;
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
    stored_table(&store, warehouse_ref, &orders).await;
    // Another table has the name and even the same pointer, but another id.
    assert_refused!(swap(&store, warehouse_ref, old, 0, 1).await, StoreError::NotFound(Resource::Table));
    assert_eq!(pointer(&store, warehouse_ref, &orders).await, document(0));
}

pub(in crate::store) async fn dropped_table_is_gone_and_its_name_free(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    let orders = ident(&sales, "orders");
    let id = stored_table(&store, warehouse_ref, &orders).await;
    swap(&store, warehouse_ref, id, 0, 1).await.unwrap();
    let dropped = store
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
    assert_eq!(
        dropped,
        TableRecord { id, kind: TableKind::Table, metadata_location: document(1), owner: None, labels: None }
    );
    assert_eq!(store.table_get(warehouse_ref, &orders).await.unwrap(), None);
    let again = store
        .table_drop(
            warehouse_ref,
            &orders,
            id_at(&store, warehouse_ref, &orders).await,
            TableKind::Table,
            None,
            &change(),
        )
        .await;
    assert_refused!(again, StoreError::NotFound(Resource::Table));
    create(&store, warehouse_ref, &orders, TableKind::View, None).await.unwrap();
}

pub(in crate::store) async fn drop_and_rename_of_a_name_that_another_has_by_now_are_refused(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    for kind in [TableKind::Table, TableKind::View] {
        let [orders, other] = ["orders", "other"].map(|name| ident(&sales, name));
        let before = create(&store, warehouse_ref, &orders, kind, None).await.unwrap();
        store.table_drop(warehouse_ref, &orders, before, kind, None, &change()).await.unwrap();
        let now = create(&store, warehouse_ref, &orders, kind, None).await.unwrap();
        let terms = DropTerms { restorable_until_ms: i64::MAX, purge: false };
        for terms in [None, Some(&terms)] {
            let dropped = store.table_drop(warehouse_ref, &orders, before, kind, terms, &change()).await;
            assert!(matches!(dropped, Err(StoreError::NotFound(_))), "{dropped:?}");
        }
        let renamed = store.table_rename(warehouse_ref, &orders, before, &other, kind, &change()).await;
        assert!(matches!(renamed, Err(StoreError::NotFound(_))), "{renamed:?}");
        assert_eq!(store.table_get(warehouse_ref, &orders).await.unwrap().map(|record| record.id), Some(now));
        let kept = store.dropped_list(warehouse_ref, &DroppedFilter::default(), &TimedPage::default()).await.unwrap();
        assert_eq!(kept.items, [], "a refused drop keeps nothing");
        store.table_drop(warehouse_ref, &orders, now, kind, None, &change()).await.unwrap();
    }
}

pub(in crate::store) async fn drop_with_the_wrong_kind_is_not_found(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    let (table, view) = (ident(&sales, "t"), ident(&sales, "v"));
    create(&store, warehouse_ref, &table, TableKind::Table, None).await.unwrap();
    create(&store, warehouse_ref, &view, TableKind::View, None).await.unwrap();
    let as_view = store
        .table_drop(warehouse_ref, &table, id_at(&store, warehouse_ref, &table).await, TableKind::View, None, &change())
        .await;
    assert_refused!(as_view, StoreError::NotFound(Resource::View));
    let as_table = store
        .table_drop(warehouse_ref, &view, id_at(&store, warehouse_ref, &view).await, TableKind::Table, None, &change())
        .await;
    assert_refused!(as_table, StoreError::NotFound(Resource::Table));
    assert_eq!(store.table_count(warehouse_ref.organisation).await.unwrap(), 2);
}

pub(in crate::store) async fn renamed_table_keeps_id_and_pointer(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    let archive = namespace(&["sales", "archive"]);
    store.namespace_create(warehouse_ref, &archive, &properties(&[]), &change()).await.unwrap();
    let names = [ident(&sales, "orders"), ident(&sales, "Orders"), ident(&archive, "orders 2026 ✓")];
    let id = stored_table(&store, warehouse_ref, &names[0]).await;
    swap(&store, warehouse_ref, id, 0, 1).await.unwrap();
    for step in names.windows(2) {
        store
            .table_rename(
                warehouse_ref,
                &step[0],
                id_at(&store, warehouse_ref, &step[0]).await,
                &step[1],
                TableKind::Table,
                &change(),
            )
            .await
            .unwrap();
        assert_eq!(store.table_get(warehouse_ref, &step[0]).await.unwrap(), None);
        let record =
            TableRecord { id, kind: TableKind::Table, metadata_location: document(1), owner: None, labels: None };
        assert_eq!(store.table_get(warehouse_ref, &step[1]).await.unwrap(), Some(record));
    }
    swap(&store, warehouse_ref, id, 1, 2).await.unwrap();
    assert_refused!(
        store.namespace_drop(warehouse_ref, &archive, &change()).await,
        StoreError::NotEmpty(Resource::Namespace)
    );
    stored_table(&store, warehouse_ref, &names[0]).await;
}

pub(in crate::store) async fn refused_rename_reports_the_reason(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    let (table, view, free) = (ident(&sales, "t"), ident(&sales, "v"), ident(&sales, "free"));
    create(&store, warehouse_ref, &table, TableKind::Table, None).await.unwrap();
    create(&store, warehouse_ref, &view, TableKind::View, None).await.unwrap();

    let onto_view = store
        .table_rename(
            warehouse_ref,
            &table,
            id_at(&store, warehouse_ref, &table).await,
            &view,
            TableKind::Table,
            &change(),
        )
        .await;
    assert_refused!(onto_view, StoreError::AlreadyExists(Resource::View));
    let onto_table = store
        .table_rename(
            warehouse_ref,
            &view,
            id_at(&store, warehouse_ref, &view).await,
            &table,
            TableKind::View,
            &change(),
        )
        .await;
    assert_refused!(onto_table, StoreError::AlreadyExists(Resource::Table));
    let onto_itself = store
        .table_rename(
            warehouse_ref,
            &table,
            id_at(&store, warehouse_ref, &table).await,
            &table,
            TableKind::Table,
            &change(),
        )
        .await;
    assert_refused!(onto_itself, StoreError::AlreadyExists(Resource::Table));
    let into_nothing = store
        .table_rename(
            warehouse_ref,
            &table,
            id_at(&store, warehouse_ref, &table).await,
            &ident(&namespace(&["nope"]), "t"),
            TableKind::Table,
            &change(),
        )
        .await;
    assert_refused!(into_nothing, StoreError::NotFound(Resource::Namespace));
    for (from, kind, missing) in [
        (&free, TableKind::Table, Resource::Table),
        (&free, TableKind::View, Resource::View),
        (&table, TableKind::View, Resource::View),
        (&view, TableKind::Table, Resource::Table),
    ] {
        let result = store
            .table_rename(
                warehouse_ref,
                from,
                id_at(&store, warehouse_ref, from).await,
                &ident(&sales, "to"),
                kind,
                &change(),
            )
            .await;
        assert!(matches!(result, Err(StoreError::NotFound(found)) if found == missing), "{result:?}");
    }
    for ident in [&table, &view] {
        assert_eq!(pointer(&store, warehouse_ref, ident).await, document(0));
    }
}

pub(in crate::store) async fn views_and_tables_have_separate_lists(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    let other = stored_namespace(&store, warehouse_ref, "sales2").await;
    for (name, kind) in
        [("d", TableKind::Table), ("c", TableKind::View), ("b", TableKind::Table), ("a", TableKind::View)]
    {
        create(&store, warehouse_ref, &ident(&sales, name), kind, None).await.unwrap();
    }
    let list = async |namespace, kind| {
        store.table_list(warehouse_ref, namespace, kind, &PageRequest::default()).await.unwrap().items.clone()
    };
    assert_eq!(list(&sales, TableKind::Table).await, ["b", "d"]);
    assert_eq!(list(&sales, TableKind::View).await, ["a", "c"]);
    assert_eq!(list(&other, TableKind::Table).await, [""; 0]);
}

pub(in crate::store) async fn tables_are_counted_over_all_warehouses(store: Subject) {
    let here = store_warehouse(&store).await;
    let there = store_warehouse_of(&store, here.organisation, "there").await;
    let elsewhere = store_warehouse(&store).await;
    for warehouse_ref in [here, there, elsewhere] {
        let sales = stored_namespace(&store, warehouse_ref, "sales").await;
        create(&store, warehouse_ref, &ident(&sales, "t"), TableKind::Table, None).await.unwrap();
        create(&store, warehouse_ref, &ident(&sales, "v"), TableKind::View, None).await.unwrap();
    }
    assert_eq!(store.table_count(here.organisation).await.unwrap(), 4);
    assert_eq!(store.table_count(elsewhere.organisation).await.unwrap(), 2);
}

pub(in crate::store) async fn long_locations_are_stored_whole(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    let orders = ident(&sales, "orders");
    let id = stored_table(&store, warehouse_ref, &orders).await;
    // Longer than a page of any database; a swap may also move where the files are.
    let deep = format!("s3://bucket/{}t", "vägen/".repeat(3_000));
    let new = format!("{deep}/metadata/00001.metadata.json");
    let there = Swap {
        id,
        ident: None,
        expected: &document(0),
        new: &new,
        locations: &at(&deep),
        origin: Origin::Catalog,
        past: &Past::Kept,
        details: &EventDetails::new(),
    };
    store.table_swap(warehouse_ref, &there, &change()).await.unwrap();
    assert_eq!(pointer(&store, warehouse_ref, &orders).await, new);
    let back = Swap {
        id,
        ident: None,
        expected: &new,
        new: &document(2),
        locations: &at("s3://bucket/t/"),
        origin: Origin::Catalog,
        past: &Past::Kept,
        details: &EventDetails::new(),
    };
    store.table_swap(warehouse_ref, &back, &change()).await.unwrap();
    assert_eq!(pointer(&store, warehouse_ref, &orders).await, document(2));
}
