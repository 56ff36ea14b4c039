//! Lists in pages.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidewater_core::name::NamespaceIdent;

use super::fixture::{
    Subject, change, create, id_at, ident, namespace, properties, store_warehouse, stored_namespace, stored_table,
};
use crate::store::{Page, PageRequest, TableKind, WarehouseRef};

async fn page(
    store: &Subject,
    warehouse_ref: WarehouseRef,
    namespace: &NamespaceIdent,
    after: Option<&str>,
    limit: Option<u32>,
) -> Page<String> {
    let request = PageRequest { after: after.map(str::to_owned), limit };
    let page = store.table_list(warehouse_ref, namespace, TableKind::Table, &request).await.unwrap();
    Page { items: page.items.clone(), more: page.more }
}

/// Returns all names, read in pages of `limit`. Each page except the last must be full.
async fn in_pages(store: &Subject, warehouse_ref: WarehouseRef, namespace: &NamespaceIdent, limit: u32) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    loop {
        let page = page(store, warehouse_ref, namespace, names.last().map(String::as_str), Some(limit)).await;
        assert!(page.items.len() <= limit as usize);
        assert!(!page.more || page.items.len() == limit as usize, "only the last page may be short");
        names.extend(page.items);
        if !page.more {
            return names;
        }
    }
}

pub(in crate::store) async fn pages_list_every_name_once_and_in_order(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    let names = (0..20).map(|number| format!("table-{number:02}")).collect::<Vec<_>>();
    for name in names.iter().rev() {
        stored_table(&store, warehouse_ref, &ident(&sales, name)).await;
        create(&store, warehouse_ref, &ident(&sales, &format!("{name}-view")), TableKind::View, None).await.unwrap();
    }
    for limit in [1, 3, 10, 19, 20, 21, u32::MAX] {
        assert_eq!(in_pages(&store, warehouse_ref, &sales, limit).await, names, "in pages of {limit}");
    }
    assert_eq!(page(&store, warehouse_ref, &sales, None, None).await, Page { items: names, more: false });
}

pub(in crate::store) async fn page_can_start_after_a_missing_name(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    for name in ["b", "d", "f"] {
        stored_table(&store, warehouse_ref, &ident(&sales, name)).await;
    }
    assert_eq!(page(&store, warehouse_ref, &sales, Some("c"), None).await.items, ["d", "f"]);
    assert_eq!(page(&store, warehouse_ref, &sales, Some("d"), Some(1)).await.items, ["f"]);
    // A page after the last name is empty, unlike a page of a missing namespace.
    assert_eq!(page(&store, warehouse_ref, &sales, Some("z"), Some(1)).await, Page { items: vec![], more: false });
    // The last name of a page is dropped before the next page is read.
    let first = page(&store, warehouse_ref, &sales, None, Some(2)).await;
    store
        .table_drop(
            warehouse_ref,
            &ident(&sales, "d"),
            id_at(&store, warehouse_ref, &ident(&sales, "d")).await,
            TableKind::Table,
            None,
            &change(),
        )
        .await
        .unwrap();
    assert_eq!(page(&store, warehouse_ref, &sales, Some(&first.items[1]), Some(2)).await.items, ["f"]);
}

pub(in crate::store) async fn page_of_zero_items_says_whether_items_exist(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    assert_eq!(page(&store, warehouse_ref, &sales, None, Some(0)).await, Page { items: vec![], more: false });
    stored_table(&store, warehouse_ref, &ident(&sales, "t")).await;
    assert_eq!(page(&store, warehouse_ref, &sales, None, Some(0)).await, Page { items: vec![], more: true });
}

pub(in crate::store) async fn namespaces_come_in_pages_too(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let parent = stored_namespace(&store, warehouse_ref, "parent").await;
    let mut expected = Vec::new();
    for number in 0..7 {
        let child = namespace(&["parent", &format!("child-{number}")]);
        store.namespace_create(warehouse_ref, &child, &properties(&[]), &change()).await.unwrap();
        // Grandchildren sort between the children by key, and must not be listed.
        let grandchild = namespace(&["parent", &format!("child-{number}"), "x"]);
        store.namespace_create(warehouse_ref, &grandchild, &properties(&[]), &change()).await.unwrap();
        stored_namespace(&store, warehouse_ref, &format!("top-{number}")).await;
        expected.push(child);
    }
    for (parent, expected_count) in [(Some(&parent), 7), (None, 8)] {
        let mut found: Vec<NamespaceIdent> = Vec::new();
        loop {
            let after = found.last().map(|last| last.as_key().to_owned());
            let page =
                store.namespace_list(warehouse_ref, parent, &PageRequest { after, limit: Some(3) }).await.unwrap();
            found.extend(page.items.iter().cloned());
            if !page.more {
                break;
            }
        }
        assert!(found.is_sorted());
        assert_eq!(found.len(), expected_count);
        if parent.is_some() {
            assert_eq!(found, expected);
        }
    }
}

pub(in crate::store) async fn pages_stay_complete_while_others_write(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    let stable = (0..60).map(|number| format!("{number:02}-stable")).collect::<BTreeSet<_>>();
    for name in &stable {
        stored_table(&store, warehouse_ref, &ident(&sales, name)).await;
    }
    let writer = tokio::spawn({
        let (store, sales) = (Arc::clone(&store), sales.clone());
        async move {
            for number in 0..60 {
                let passing = ident(&sales, &format!("{:02}-passing", (number * 37) % 60));
                stored_table(&store, warehouse_ref, &passing).await;
                if number % 2 == 0 {
                    store
                        .table_drop(
                            warehouse_ref,
                            &passing,
                            id_at(&store, warehouse_ref, &passing).await,
                            TableKind::Table,
                            None,
                            &change(),
                        )
                        .await
                        .unwrap();
                }
            }
        }
    });
    let mut done = false;
    while !done {
        done = writer.is_finished();
        let names = in_pages(&store, warehouse_ref, &sales, 7).await;
        let unique = names.iter().cloned().collect::<BTreeSet<_>>();
        assert_eq!(unique.len(), names.len(), "a name came twice");
        assert!(names.is_sorted());
        assert!(unique.is_superset(&stable), "a name that existed all the time is missing");
    }
    writer.await.unwrap();
    assert_eq!(in_pages(&store, warehouse_ref, &sales, 7).await.len(), 60 + 30);
}

pub(in crate::store) async fn names_are_ordered_by_their_bytes(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let sales = stored_namespace(&store, warehouse_ref, "sales").await;
    let mut names = ["b", "a", "B", "_", "é", "e\u{301}", "z", "日本", "\u{FFFD}", "\u{1F9CA}", "a b", "a-b", "aa"];
    for name in names {
        stored_table(&store, warehouse_ref, &ident(&sales, name)).await;
        stored_namespace(&store, warehouse_ref, name).await;
    }
    names.sort_unstable();
    assert_eq!(page(&store, warehouse_ref, &sales, None, None).await.items, names);
    assert_eq!(in_pages(&store, warehouse_ref, &sales, 1).await, names);
    let top = store.namespace_list(warehouse_ref, None, &PageRequest::default()).await.unwrap();
    let top = top.items.iter().map(NamespaceIdent::as_key).filter(|key| *key != "sales").collect::<Vec<_>>();
    assert_eq!(top, names);
}
