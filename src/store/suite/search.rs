//! Searches for namespaces, tables and views by a part of their names.

use tidewater_core::name::TableIdent;
use tidewater_core::name_search::NameFilter;

use super::fixture::{
    Subject, change, create, ident, namespace, store_warehouse, store_warehouse_of, stored_namespace, stored_table,
};
use crate::store::{DropTerms, NamedPage, Properties, TableKind};

pub(in crate::store) async fn objects_are_found_by_a_part_of_their_name_in_pages(store: Subject) {
    let place = store_warehouse(&store).await;
    let (sales, other) =
        (stored_namespace(&store, place, "Sales").await, stored_namespace(&store, place, "other").await);
    let below = namespace(&["Sales", "eu.west"]);
    store.namespace_create(place, &below, &Properties::new(), &change()).await.unwrap();
    let beside = store_warehouse_of(&store, place.organisation, "beside").await;
    let elsewhere = stored_namespace(&store, beside, "Sales").await;
    stored_table(&store, beside, &ident(&elsewhere, "orders")).await;
    let mut all = Vec::new();
    for (at, kind, name) in [
        (&sales, TableKind::Table, "Orders"),
        (&other, TableKind::View, "old_ORDERS"),
        (&below, TableKind::Table, "orders"),
        (&below, TableKind::Table, "größe"),
        (&other, TableKind::Table, "x%_y"),
    ] {
        let id = create(&store, place, &ident(at, name), kind, None).await.unwrap();
        all.push((id, ident(at, name)));
    }
    all.sort_unstable_by_key(|(id, _)| *id);
    let found = async |text: &str, limit: u32| {
        let (filter, mut found, mut after) = (NameFilter::new(text).unwrap(), Vec::new(), None);
        loop {
            let page = store.tabulars_named(place, &filter, after, limit).await.unwrap();
            assert!(page.items.len() <= limit as usize, "{page:?}");
            found.extend(page.items);
            after = page.next;
            if after.is_none() {
                return found;
            }
        }
    };
    let matching = |expected: &[TableIdent]| -> Vec<TableIdent> {
        all.iter().map(|(_, ident)| ident.clone()).filter(|ident| expected.contains(ident)).collect()
    };
    let orders = [ident(&sales, "Orders"), ident(&other, "old_ORDERS"), ident(&below, "orders")];
    for limit in [1, 2, 100] {
        assert_eq!(found("RDER", limit).await, matching(&orders), "pages of {limit}");
        assert_eq!(found("WEST.ord", limit).await, [ident(&below, "orders")]);
        assert_eq!(found("GRÖSS", limit).await, [], "no letters are replaced");
        assert_eq!(found("RÖß", limit).await, [ident(&below, "größe")]);
        // Characters with a meaning in patterns of SQL have none here.
        assert_eq!(found("%_", limit).await, [ident(&other, "x%_y")]);
        assert_eq!(found("%", limit).await.len(), 1);
        assert_eq!(found("none", limit).await, []);
    }
    let namespaces = async |text: &str| {
        let mut found = store.namespaces_named(place, &NameFilter::new(text).unwrap()).await.unwrap();
        found.sort_unstable();
        found
    };
    assert_eq!(namespaces("sal").await, std::slice::from_ref(&sales));
    assert_eq!(namespaces("SALES.e").await, std::slice::from_ref(&below));
    assert_eq!(namespaces("e").await, [sales.clone(), below.clone(), other.clone()]);
    assert_eq!(namespaces("orders").await, []);

    let (id, orders) = all.iter().find(|(_, ident)| ident.name() == "Orders").unwrap();
    let terms = DropTerms { restorable_until_ms: i64::MAX, purge: false };
    store.table_drop(place, orders, *id, TableKind::Table, Some(&terms), &change()).await.unwrap();
    assert!(!found("orders", 10).await.contains(orders), "a dropped table is not found");
    let nowhere = store_warehouse(&store).await;
    let filter = NameFilter::new("orders").unwrap();
    assert_eq!(store.tabulars_named(nowhere, &filter, None, 10).await.unwrap(), NamedPage::default());
}
