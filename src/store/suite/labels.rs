//! Labels of namespaces, tables and views.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use tidewater_core::ids::TableId;
use tidewater_core::labels::{InvalidLabels, LabelEdit, LabelFilter, LabelMap, LabelUpdate, Labels};
use tidewater_core::name::TableIdent;

use super::fixture::{
    NOW_MS, Subject, assert_refused, change, create, ident, namespace, store_warehouse, store_warehouse_of,
    stored_namespace, stored_table, swap,
};
use crate::base::clock::fresh_uuid;
use crate::store::{
    DropTerms, EventFilter, LabelledObject, LabelledPage, LabelledTabular, Operation, Page, Resource, Restore,
    StoreError, TableKind, WarehouseRef,
};

const MANY: u64 = 1 << 20;

fn map(pairs: &[(&str, &str)]) -> LabelMap {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::new(map(pairs), [(3, map(&[("class", "pii")]))].into()).unwrap()
}

fn of_namespace(pairs: &[(&str, &str)]) -> Labels {
    Labels::new(map(pairs), BTreeMap::new()).unwrap()
}

async fn replace(
    store: &Subject,
    warehouse_ref: WarehouseRef,
    on: &LabelledObject,
    labels: &Labels,
) -> crate::store::Result<Labels> {
    store.labels_update(warehouse_ref, on, &LabelUpdate::Replace(labels.clone()), MANY, &change()).await
}

/// Stores labels of tables, views and their namespaces.
pub(super) async fn fill_labels(
    store: &Subject,
    warehouse_ref: WarehouseRef,
    tables: &[(TableIdent, TableId, TableKind)],
) {
    for (ident, id, kind) in tables {
        let own = labels(&[("owner", "é \u{1f30a}"), ("empty", "")]);
        replace(store, warehouse_ref, &LabelledObject::Tabular(*kind, *id), &own).await.unwrap();
        let on = LabelledObject::Namespace(ident.namespace.clone());
        replace(store, warehouse_ref, &on, &of_namespace(&[("domain", "ß")])).await.unwrap();
    }
}

async fn operations(store: &Subject, warehouse_ref: WarehouseRef) -> Vec<Operation> {
    let organisation = Some(warehouse_ref.organisation);
    let events = store.event_list(organisation, &EventFilter::default(), None, 100).await.unwrap().events;
    events.into_iter().map(|event| event.operation).collect()
}

pub(in crate::store) async fn labels_stay_with_their_table_through_commit_rename_drop_and_restore(store: Subject) {
    let place = store_warehouse(&store).await;
    let sales = stored_namespace(&store, place, "sales").await;
    for (kind, name) in [(TableKind::Table, "t"), (TableKind::View, "v")] {
        let (old, new) = (ident(&sales, name), ident(&sales, &format!("{name}2")));
        let id = create(&store, place, &old, kind, None).await.unwrap();
        let expected = labels(&[("owner", "sales")]);
        let updated = replace(&store, place, &LabelledObject::Tabular(kind, id), &expected).await.unwrap();
        assert_eq!(updated, expected);
        let stored = async |ident| store.table_get(place, ident).await.unwrap().unwrap().labels.as_deref().cloned();
        assert_eq!(stored(&old).await, Some(expected.clone()));
        swap(&store, place, id, 0, 1).await.unwrap();
        store.table_rename(place, &old, id, &new, kind, &change()).await.unwrap();
        assert_eq!(stored(&new).await, Some(expected.clone()));
        let by_id = store.table_by_id(place, id).await.unwrap().unwrap();
        let all = store.table_get_all(place, std::slice::from_ref(&new)).await.unwrap();
        assert_eq!([by_id.labels.as_deref(), all[0].as_ref().unwrap().labels.as_deref()], [Some(&expected); 2]);

        let terms = DropTerms { restorable_until_ms: NOW_MS + 1_000, purge: false };
        store.table_drop(place, &new, id, kind, Some(&terms), &change()).await.unwrap();
        let gone = replace(&store, place, &LabelledObject::Tabular(kind, id), &Labels::default()).await;
        assert_refused!(gone, StoreError::NotFound(_));
        let restore = Restore { id, ident: &old, locations: None };
        store.dropped_restore(place, &restore, None, &change()).await.unwrap();
        assert_eq!(stored(&old).await, Some(expected));

        let none = replace(&store, place, &LabelledObject::Tabular(kind, id), &Labels::default()).await.unwrap();
        assert_eq!((none, stored(&old).await), (Labels::default(), None));
    }
}

pub(in crate::store) async fn change_of_labels_leaves_one_event_and_a_repeated_one_none(store: Subject) {
    let place = store_warehouse(&store).await;
    let sales = stored_namespace(&store, place, "sa.les").await;
    let table = stored_table(&store, place, &ident(&sales, "orders")).await;
    let before = operations(&store, place).await.len();
    let on = [LabelledObject::Tabular(TableKind::Table, table), LabelledObject::Namespace(sales.clone())];
    for on in &on {
        let set = LabelEdit { set: map(&[("owner", "é\"\\")]), remove: vec!["none".to_owned()] };
        let update = LabelUpdate::Edit { object: set, fields: BTreeMap::new() };
        for _ in 0..2 {
            let updated = store.labels_update(place, on, &update, MANY, &change()).await.unwrap();
            assert_eq!(updated.object(), &map(&[("owner", "é\"\\")]));
        }
    }
    let organisation = Some(place.organisation);
    let events = store.event_list(organisation, &EventFilter::default(), None, 100).await.unwrap().events;
    assert_eq!(events.len(), before + 2);
    let shown: Vec<_> = events[..2].iter().map(|event| (event.operation, event.object.name.as_str())).collect();
    assert_eq!(shown, [(Operation::SetLabels, "sa.les"), (Operation::SetLabels, "sa.les.orders")]);
    assert_eq!(events[0].details["labels"], r#"{"object-labels":{"owner":"é\"\\"}}"#);
    assert_eq!(events[1].object.id, Some(table.0));
}

pub(in crate::store) async fn labels_of_namespaces_are_listed_counted_and_end_with_them(store: Subject) {
    let place = store_warehouse(&store).await;
    let organisation = place.organisation;
    let (sales, other) =
        (stored_namespace(&store, place, "sales").await, stored_namespace(&store, place, "other").await);
    let generation = store.organisation_generation(organisation);
    let mut counted = generation.load(Ordering::Acquire);
    let mut has_counted = |what: &str| {
        let now = generation.load(Ordering::Acquire);
        assert!(now > counted, "{what} was not counted");
        counted = now;
    };
    let expected = of_namespace(&[("owner", "sales")]);
    replace(&store, place, &LabelledObject::Namespace(sales.clone()), &expected).await.unwrap();
    has_counted("a change of labels");
    let listed = store.labels_of_namespaces(organisation).await.unwrap();
    assert_eq!(listed, [(place.warehouse, sales.clone(), expected.clone())]);
    // 2 bytes short.
    let most = 2 * expected.to_json().len() as u64 - 2;
    let (on, update) = (LabelledObject::Namespace(other.clone()), LabelUpdate::Replace(expected.clone()));
    let beyond = store.labels_update(place, &on, &update, most, &change()).await;
    assert!(matches!(beyond, Err(StoreError::LimitReached { limit }) if limit == most), "{beyond:?}");
    assert_eq!(store.labels_of_namespaces(organisation).await.unwrap().len(), 1);
    store.labels_update(place, &on, &update, most + 2, &change()).await.unwrap();
    replace(&store, place, &on, &Labels::default()).await.unwrap();
    has_counted("a removal of labels");
    store.namespace_drop(place, &sales, &change()).await.unwrap();
    has_counted("a drop of a namespace with labels");
    let again = stored_namespace(&store, place, "sales").await;
    assert_eq!(store.labels_of_namespaces(organisation).await.unwrap(), [], "{again}");
}

pub(in crate::store) async fn labelled_tables_are_found_by_name_and_value_in_pages(store: Subject) {
    let place = store_warehouse(&store).await;
    let (sales, elsewhere) = (stored_namespace(&store, place, "sales").await, store_warehouse(&store).await);
    let mut expected = Vec::new();
    for (number, name) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
        let kind = if number == 1 { TableKind::View } else { TableKind::Table };
        let id = create(&store, place, &ident(&sales, name), kind, None).await.unwrap();
        let value = if number == 2 { "no" } else { "yes" };
        if number < 4 {
            replace(&store, place, &LabelledObject::Tabular(kind, id), &labels(&[("gdpr", value)])).await.unwrap();
            expected.push((id, ident(&sales, name), kind, value));
        }
    }
    expected.sort_unstable_by_key(|(id, ..)| *id);
    let all = async |name: &str, value: Option<&str>, limit: u32| {
        let filter = LabelFilter { name: name.to_owned(), value: value.map(str::to_owned) };
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = store.labelled_list(place, &filter, after, limit).await.unwrap();
            assert!(page.items.len() <= limit as usize, "{page:?}");
            found.extend(page.items.into_iter().map(|one| (one.record.id, one.ident, one.record.kind)));
            after = page.next;
            if after.is_none() {
                return found;
            }
        }
    };
    for limit in [1, 2, 100] {
        for wanted in [None, Some("yes"), Some("no"), Some("other")] {
            let matching = expected.iter().filter(|(.., value)| wanted.is_none_or(|wanted| wanted == *value));
            let matching: Vec<_> = matching.map(|(id, ident, kind, _)| (*id, ident.clone(), *kind)).collect();
            assert_eq!(all("gdpr", wanted, limit).await, matching, "{wanted:?} in pages of {limit}");
        }
        assert_eq!(all("class", Some("pii"), limit).await.len(), 4, "labels of columns count");
        assert!(all("object-labels", None, limit).await.is_empty() && all("none", None, limit).await.is_empty());
    }
    let filter = LabelFilter { name: "gdpr".to_owned(), value: None };
    assert_eq!(store.labelled_list(elsewhere, &filter, None, 10).await.unwrap(), LabelledPage::default());
}

pub(in crate::store) async fn tables_and_views_of_a_namespace_are_listed_with_their_labels_in_pages(store: Subject) {
    let place = store_warehouse(&store).await;
    let sales = stored_namespace(&store, place, "sales").await;
    let beside = stored_namespace(&store, place, "sales2").await;
    create(&store, place, &ident(&beside, "a"), TableKind::Table, None).await.unwrap();
    let own = labels(&[("class", "pii")]);
    let mut expected = Vec::new();
    for (name, kind, is_labelled) in [
        ("a", TableKind::Table, true),
        ("b", TableKind::View, false),
        ("c", TableKind::View, true),
        ("é", TableKind::Table, false),
    ] {
        let id = create(&store, place, &ident(&sales, name), kind, None).await.unwrap();
        if is_labelled {
            replace(&store, place, &LabelledObject::Tabular(kind, id), &own).await.unwrap();
        }
        expected.push((ident(&sales, name), id, kind, is_labelled.then(|| own.clone())));
    }
    for limit in [1, 2, 4, 100] {
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let page = store.tabular_list(place, &sales, &after, limit).await.unwrap();
            assert!(page.items.len() <= limit as usize && (!page.more || !page.items.is_empty()), "{page:?}");
            for LabelledTabular { ident, record } in page.items {
                ident.name().clone_into(&mut after);
                found.push((ident, record.id, record.kind, record.labels.as_deref().cloned()));
            }
            if !page.more {
                break;
            }
        }
        assert_eq!(found, expected, "in pages of {limit}");
    }
    let none = Page { items: Vec::new(), more: false };
    for (place, of, after) in [
        (place, &sales, "é"),
        (place, &namespace(&["none"]), ""),
        (store_warehouse(&store).await, &sales, ""),
        (store_warehouse_of(&store, place.organisation, "beside").await, &sales, ""),
    ] {
        assert_eq!(store.tabular_list(place, of, after, 10).await.unwrap(), none);
    }
}

pub(in crate::store) async fn page_of_tables_with_long_labels_ends_early(store: Subject) {
    let place = store_warehouse(&store).await;
    let sales = stored_namespace(&store, place, "sales").await;
    let value = "x".repeat(1_000);
    let long = of_namespace(
        &["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o"].map(|name| (name, value.as_str())),
    );
    for number in 100..180 {
        let id = stored_table(&store, place, &ident(&sales, &number.to_string())).await;
        replace(&store, place, &LabelledObject::Tabular(TableKind::Table, id), &long).await.unwrap();
    }
    let page = store.tabular_list(place, &sales, "", 1_000).await.unwrap();
    assert!(page.more && (60..80).contains(&page.items.len()), "{} tables", page.items.len());
    let last = page.items.last().unwrap().ident.name().to_owned();
    let rest = store.tabular_list(place, &sales, &last, 1_000).await.unwrap();
    assert_eq!((page.items.len() + rest.items.len(), rest.more), (80, false));
}

pub(in crate::store) async fn labels_of_what_is_missing_or_another_organisations_are_refused(store: Subject) {
    let place = store_warehouse(&store).await;
    let sales = stored_namespace(&store, place, "sales").await;
    let table = stored_table(&store, place, &ident(&sales, "orders")).await;
    let of_table = LabelledObject::Tabular(TableKind::Table, table);
    let elsewhere = store_warehouse(&store).await;
    let beside = store_warehouse_of(&store, place.organisation, "beside").await;
    for (place, on, missing) in [
        (place, LabelledObject::Tabular(TableKind::View, table), Resource::View),
        (place, LabelledObject::Tabular(TableKind::Table, TableId(fresh_uuid())), Resource::Table),
        (place, LabelledObject::Namespace(namespace(&["sales", "eu"])), Resource::Namespace),
        (elsewhere, of_table.clone(), Resource::Table),
        (elsewhere, LabelledObject::Namespace(sales.clone()), Resource::Namespace),
        (beside, of_table.clone(), Resource::Table),
        (beside, LabelledObject::Namespace(sales.clone()), Resource::Namespace),
    ] {
        let refused = replace(&store, place, &on, &of_namespace(&[("a", "b")])).await;
        assert!(matches!(refused, Err(StoreError::NotFound(found)) if found == missing), "{on:?}: {refused:?}");
    }
    let too_many = (0..65).map(|number| (format!("{number}"), String::new())).collect();
    let update = LabelUpdate::Edit { object: LabelEdit { set: too_many, remove: vec![] }, fields: BTreeMap::new() };
    let refused = store.labels_update(place, &of_table, &update, MANY, &change()).await;
    assert_refused!(refused, StoreError::Labels(InvalidLabels::TooMany));
    assert_eq!(store.table_by_id(place, table).await.unwrap().unwrap().labels, None);
}
