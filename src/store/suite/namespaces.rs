//! Namespaces and their properties.

use std::collections::BTreeMap;

use tidewater_core::ids::WarehouseId;
use tidewater_core::name::NamespaceIdent;
use tidewater_core::request_limits::RequestLimits;

use super::fixture::{
    Subject, assert_refused, change, create, id_at, ident, namespace, properties, store_warehouse, stored_namespace,
};
use crate::base::clock::fresh_uuid;
use crate::store::{PageRequest, PropertyChanges, Resource, StoreError, TableKind, WarehouseRef};

async fn listed(store: &Subject, warehouse_ref: WarehouseRef, parent: Option<&NamespaceIdent>) -> Vec<NamespaceIdent> {
    let page = store.namespace_list(warehouse_ref, parent, &PageRequest::default()).await.unwrap();
    assert!(!page.more);
    page.items.clone()
}

pub(in crate::store) async fn namespace_keeps_its_properties(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let given = properties(&[("owner", "Zoë"), ("empty", ""), ("quotes", "a\"b\\c'd\u{0}\n"), ("emoji", "🧊")]);
    store.namespace_create(warehouse_ref, &namespace(&["sales"]), &given, &change()).await.unwrap();
    store.namespace_create(warehouse_ref, &namespace(&["plain"]), &properties(&[]), &change()).await.unwrap();
    assert_eq!(store.namespace_get(warehouse_ref, &namespace(&["sales"])).await.unwrap(), Some(given));
    assert_eq!(store.namespace_get(warehouse_ref, &namespace(&["plain"])).await.unwrap(), Some(BTreeMap::new()));
    assert_eq!(store.namespace_get(warehouse_ref, &namespace(&["other"])).await.unwrap(), None);
}

pub(in crate::store) async fn second_namespace_of_a_name_is_refused(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = namespace(&["sales"]);
    store.namespace_create(warehouse_ref, &sales, &properties(&[("a", "1")]), &change()).await.unwrap();
    let again = store.namespace_create(warehouse_ref, &sales, &properties(&[("a", "2")]), &change()).await;
    assert_refused!(again, StoreError::AlreadyExists(Resource::Namespace));
    assert_eq!(store.namespace_get(warehouse_ref, &sales).await.unwrap(), Some(properties(&[("a", "1")])));
}

pub(in crate::store) async fn namespace_without_parent_or_warehouse_is_refused(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let orphan = store.namespace_create(warehouse_ref, &namespace(&["a", "b"]), &properties(&[]), &change()).await;
    assert_refused!(orphan, StoreError::NotFound(Resource::Namespace));
    assert_eq!(listed(&store, warehouse_ref, None).await, []);

    let nowhere = WarehouseRef { warehouse: WarehouseId(fresh_uuid()), ..warehouse_ref };
    for levels in [&["a"][..], &["a", "b"]] {
        let lost = store.namespace_create(nowhere, &namespace(levels), &properties(&[]), &change()).await;
        assert_refused!(lost, StoreError::NotFound(Resource::Warehouse));
    }
}

pub(in crate::store) async fn similar_unicode_names_are_different(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    // Composed and decomposed, cases, a dot and levels, wildcards, quotes, a space at the end: all different names.
    let names = [
        "é", "e\u{301}", "sales", "Sales", "a.b", "a%", "a_", "ab", "a'b", "a\"b", "a;--", "a ", "a", "销售", "🧊",
        "...",
    ];
    let long = "長".repeat(85);
    for name in names.into_iter().chain([long.as_str()]) {
        let levels = namespace(&[name]);
        store.namespace_create(warehouse_ref, &levels, &properties(&[("name", name)]), &change()).await.unwrap();
        create(&store, warehouse_ref, &ident(&levels, name), TableKind::Table, None).await.unwrap();
    }
    let nested = namespace(&["a", "b"]);
    store.namespace_create(warehouse_ref, &nested, &properties(&[("name", "nested")]), &change()).await.unwrap();
    for name in names.into_iter().chain([long.as_str()]) {
        let found = store.namespace_get(warehouse_ref, &namespace(&[name])).await.unwrap();
        assert_eq!(found, Some(properties(&[("name", name)])), "{name}");
        assert!(store.table_get(warehouse_ref, &ident(&namespace(&[name]), name)).await.unwrap().is_some(), "{name}");
        assert_eq!(store.table_get(warehouse_ref, &ident(&nested, name)).await.unwrap(), None, "{name}");
    }
    assert_eq!(listed(&store, warehouse_ref, None).await.len(), names.len() + 1);
    assert_eq!(listed(&store, warehouse_ref, Some(&namespace(&["a"]))).await, [nested]);
}

pub(in crate::store) async fn properties_are_set_and_removed(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = namespace(&["sales"]);
    store
        .namespace_create(warehouse_ref, &sales, &properties(&[("keep", "1"), ("change", "1"), ("go", "1")]), &change())
        .await
        .unwrap();
    let removals = ["go", "missing", "go", "missing"].map(str::to_owned);
    let changes = store
        .namespace_update_properties(
            warehouse_ref,
            &sales,
            &properties(&[("change", "2"), ("new", "3")]),
            &removals,
            &RequestLimits::default(),
            &change(),
        )
        .await
        .unwrap();
    let expected = PropertyChanges {
        updated: vec!["change".to_owned(), "new".to_owned()],
        removed: vec!["go".to_owned()],
        missing: vec!["missing".to_owned()],
    };
    assert_eq!(changes, expected);
    let left = properties(&[("keep", "1"), ("change", "2"), ("new", "3")]);
    assert_eq!(store.namespace_get(warehouse_ref, &sales).await.unwrap(), Some(left.clone()));

    let nothing = store
        .namespace_update_properties(warehouse_ref, &sales, &properties(&[]), &[], &RequestLimits::default(), &change())
        .await
        .unwrap();
    assert_eq!(nothing, PropertyChanges::default());
    assert_eq!(store.namespace_get(warehouse_ref, &sales).await.unwrap(), Some(left));
}

pub(in crate::store) async fn many_and_large_properties_are_stored(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = namespace(&["sales"]);
    let many = (0..2_000).map(|n| (format!("key-{n}"), "värde ".repeat(50))).collect::<BTreeMap<_, _>>();
    store.namespace_create(warehouse_ref, &sales, &many, &change()).await.unwrap();
    let mut more = BTreeMap::from([("huge".to_owned(), "x".repeat(2 << 20))]);
    let removals = many.keys().take(1_000).cloned().collect::<Vec<_>>();
    let changes = store
        .namespace_update_properties(warehouse_ref, &sales, &more, &removals, &RequestLimits::default(), &change())
        .await
        .unwrap();
    assert_eq!((changes.updated.len(), changes.removed.len(), changes.missing.len()), (1, 1_000, 0));
    more.extend(many.into_iter().filter(|(key, _)| !removals.contains(key)));
    assert_eq!(store.namespace_get(warehouse_ref, &sales).await.unwrap(), Some(more));
}

pub(in crate::store) async fn update_of_a_missing_namespaces_properties_is_refused(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let missing = store
        .namespace_update_properties(
            warehouse_ref,
            &namespace(&["nope"]),
            &properties(&[("a", "1")]),
            &[],
            &RequestLimits::default(),
            &change(),
        )
        .await;
    assert_refused!(missing, StoreError::NotFound(Resource::Namespace));
}

pub(in crate::store) async fn only_an_empty_namespace_can_be_dropped(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let parent = stored_namespace(&store, warehouse_ref, "a").await;
    let child = namespace(&["a", "b"]);
    store.namespace_create(warehouse_ref, &child, &properties(&[]), &change()).await.unwrap();
    assert_refused!(
        store.namespace_drop(warehouse_ref, &parent, &change()).await,
        StoreError::NotEmpty(Resource::Namespace)
    );

    for kind in [TableKind::Table, TableKind::View] {
        create(&store, warehouse_ref, &ident(&child, "t"), kind, None).await.unwrap();
        assert_refused!(
            store.namespace_drop(warehouse_ref, &child, &change()).await,
            StoreError::NotEmpty(Resource::Namespace)
        );
        store
            .table_drop(
                warehouse_ref,
                &ident(&child, "t"),
                id_at(&store, warehouse_ref, &ident(&child, "t")).await,
                kind,
                None,
                &change(),
            )
            .await
            .unwrap();
    }

    // A sibling whose name only begins with the same text is not a child.
    stored_namespace(&store, warehouse_ref, "a2").await;
    store.namespace_drop(warehouse_ref, &child, &change()).await.unwrap();
    store.namespace_drop(warehouse_ref, &parent, &change()).await.unwrap();
    assert_refused!(
        store.namespace_drop(warehouse_ref, &parent, &change()).await,
        StoreError::NotFound(Resource::Namespace)
    );
    assert_eq!(listed(&store, warehouse_ref, None).await, [namespace(&["a2"])]);
    store.namespace_create(warehouse_ref, &parent, &properties(&[]), &change()).await.unwrap();
}

pub(in crate::store) async fn only_direct_children_are_listed(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    for levels in [&["a"][..], &["a", "x"], &["a", "x", "deep"], &["a", "b"], &["a2"], &["a2", "y"], &["A"]] {
        store.namespace_create(warehouse_ref, &namespace(levels), &properties(&[]), &change()).await.unwrap();
    }
    assert_eq!(listed(&store, warehouse_ref, None).await, [namespace(&["A"]), namespace(&["a"]), namespace(&["a2"])]);
    let below = listed(&store, warehouse_ref, Some(&namespace(&["a"]))).await;
    assert_eq!(below, [namespace(&["a", "b"]), namespace(&["a", "x"])]);
    assert_eq!(listed(&store, warehouse_ref, Some(&namespace(&["a", "b"]))).await, []);
}

pub(in crate::store) async fn list_of_children_of_a_missing_namespace_is_refused(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    assert_eq!(listed(&store, warehouse_ref, None).await, [], "the top is always there");
    let missing = store.namespace_list(warehouse_ref, Some(&namespace(&["nope"])), &PageRequest::default()).await;
    assert_refused!(missing, StoreError::NotFound(Resource::Namespace));
    let missing =
        store.table_list(warehouse_ref, &namespace(&["nope"]), TableKind::Table, &PageRequest::default()).await;
    assert_refused!(missing, StoreError::NotFound(Resource::Namespace));
}
