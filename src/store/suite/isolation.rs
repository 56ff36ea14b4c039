//! Isolation of organisations and warehouses.

use tidewater_core::ids::OrganisationId;
use tidewater_core::name::{NamespaceIdent, TableIdent};
use tidewater_core::request_limits::RequestLimits;

use super::fixture::{
    Subject, assert_refused, change, create, document, id_at, ident, key, namespace, organisation, pointer, properties,
    store_warehouse, store_warehouse_of, stored_namespace, stored_table, swap,
};
use crate::store::{PageRequest, Resource, StoreError, TableKind, WarehouseRef};

/// Another organisation calls every method with the names and ids of the owner's objects.
pub(in crate::store) async fn calls_with_another_organisation_reach_nothing(store: Subject) {
    let owner = store_warehouse(&store).await;
    let sales = namespace(&["sales"]);
    store.namespace_create(owner, &sales, &properties(&[("secret", "1")]), &change()).await.unwrap();
    store.namespace_create(owner, &namespace(&["empty"]), &properties(&[]), &change()).await.unwrap();
    let orders = ident(&sales, "orders");
    let id = stored_table(&store, owner, &orders).await;
    let owners_key = key(owner.organisation, "etl");
    store.key_create(&owners_key, &change()).await.unwrap();
    store.usage_take(owner.organisation, 1, 5, None).await.unwrap();

    let stranger = organisation("stranger");
    store.organisation_create(&stranger, &change()).await.unwrap();
    // The other organisation has guessed the warehouse's id.
    let guessed = WarehouseRef { organisation: stranger.id, warehouse: owner.warehouse };

    reads_nothing(&store, guessed, &sales, &orders).await;
    let swapped = swap(&store, guessed, id, 0, 1).await;
    assert_refused!(swapped, StoreError::NotFound(Resource::Table));
    changes_nothing(&store, guessed, &sales, &orders).await;
    let revoked = store.key_revoke(stranger.id, owners_key.id, &change()).await;
    assert_refused!(revoked, StoreError::NotFound(Resource::Key));
    assert_refused!(
        store.warehouse_set_default(stranger.id, "lake", &change()).await,
        StoreError::NotFound(Resource::Warehouse)
    );
    assert_refused!(
        store.warehouse_drop(stranger.id, "lake", &change()).await,
        StoreError::NotFound(Resource::Warehouse)
    );
    store.organisation_set_tier(stranger.id, "free", &change()).await.unwrap();
    store.usage_take(stranger.id, 1, 3, None).await.unwrap();
    store.usage_give_back(stranger.id, 1, 100).await.unwrap();

    // The owner's objects are unchanged.
    assert_eq!(store.namespace_get(owner, &sales).await.unwrap(), Some(properties(&[("secret", "1")])));
    assert_eq!(pointer(&store, owner, &orders).await, document(0));
    let (found, its_owner) = store.key_by_id(owners_key.id).await.unwrap().unwrap();
    assert_eq!((found, its_owner.id), (owners_key, owner.organisation));
    assert_eq!(its_owner.tier, "professional");
    assert_eq!(store.usage_get(owner.organisation, 1).await.unwrap(), 5);
    assert!(store.warehouse_list(owner.organisation).await.unwrap()[0].is_default);
    assert_eq!(store.table_count(owner.organisation).await.unwrap(), 1);
}

async fn reads_nothing(store: &Subject, guessed: WarehouseRef, sales: &NamespaceIdent, orders: &TableIdent) {
    let all = PageRequest::default();
    let stranger: OrganisationId = guessed.organisation;
    assert_eq!(store.key_list(stranger).await.unwrap(), []);
    assert_eq!(store.warehouse_list(stranger).await.unwrap(), []);
    assert_eq!(store.namespace_get(guessed, sales).await.unwrap(), None);
    assert_eq!(store.namespace_list(guessed, None, &all).await.unwrap().items, []);
    assert_refused!(store.namespace_list(guessed, Some(sales), &all).await, StoreError::NotFound(Resource::Namespace));
    assert_eq!(store.table_get(guessed, orders).await.unwrap(), None);
    for kind in [TableKind::Table, TableKind::View] {
        let listed = store.table_list(guessed, sales, kind, &all).await;
        assert_refused!(listed, StoreError::NotFound(Resource::Namespace));
    }
    assert_eq!(store.table_count(stranger).await.unwrap(), 0);
    assert_eq!(store.usage_get(stranger, 1).await.unwrap(), 0);
}

async fn changes_nothing(store: &Subject, guessed: WarehouseRef, sales: &NamespaceIdent, orders: &TableIdent) {
    let added = store.namespace_create(guessed, &namespace(&["mine"]), &properties(&[]), &change()).await;
    assert_refused!(added, StoreError::NotFound(Resource::Warehouse));
    let below = store.namespace_create(guessed, &namespace(&["sales", "mine"]), &properties(&[]), &change()).await;
    assert_refused!(below, StoreError::NotFound(Resource::Warehouse));
    let updated = store
        .namespace_update_properties(
            guessed,
            sales,
            &properties(&[("secret", "2")]),
            &["secret".to_owned()],
            &RequestLimits::default(),
            &change(),
        )
        .await;
    assert_refused!(updated, StoreError::NotFound(Resource::Namespace));
    let dropped = store.namespace_drop(guessed, &namespace(&["empty"]), &change()).await;
    assert_refused!(dropped, StoreError::NotFound(Resource::Namespace));
    let created = create(store, guessed, &ident(sales, "mine"), TableKind::Table, None).await;
    assert_refused!(created, StoreError::NotFound(Resource::Namespace));
    let dropped =
        store.table_drop(guessed, orders, id_at(store, guessed, orders).await, TableKind::Table, None, &change()).await;
    assert_refused!(dropped, StoreError::NotFound(Resource::Table));
    let renamed = store
        .table_rename(
            guessed,
            orders,
            id_at(store, guessed, orders).await,
            &ident(sales, "mine"),
            TableKind::Table,
            &change(),
        )
        .await;
    assert_refused!(renamed, StoreError::NotFound(Resource::Table));
}

pub(in crate::store) async fn calls_with_another_warehouse_reach_nothing(store: Subject) {
    let here = store_warehouse(&store).await;
    let there = store_warehouse_of(&store, here.organisation, "there").await;
    let sales = stored_namespace(&store, here, "sales").await;
    let orders = ident(&sales, "orders");
    let id = stored_table(&store, here, &orders).await;

    reads_nothing_there(&store, there, &sales, &orders).await;
    assert_refused!(swap(&store, there, id, 0, 1).await, StoreError::NotFound(Resource::Table));
    stored_namespace(&store, there, "sales").await;
    let other_id = stored_table(&store, there, &orders).await;
    swap(&store, there, other_id, 0, 1).await.unwrap();
    assert_eq!(pointer(&store, here, &orders).await, document(0));
    assert_eq!(pointer(&store, there, &orders).await, document(1));
}

async fn reads_nothing_there(store: &Subject, there: WarehouseRef, sales: &NamespaceIdent, orders: &TableIdent) {
    assert_eq!(store.namespace_get(there, sales).await.unwrap(), None);
    assert_eq!(store.namespace_list(there, None, &PageRequest::default()).await.unwrap().items, []);
    assert_eq!(store.table_get(there, orders).await.unwrap(), None);
}

pub(in crate::store) async fn organisations_may_use_the_same_names(store: Subject) {
    let (one, two) = (store_warehouse(&store).await, store_warehouse(&store).await);
    for (warehouse_ref, document_number) in [(one, 1), (two, 2)] {
        let sales = stored_namespace(&store, warehouse_ref, "sales").await;
        let id = stored_table(&store, warehouse_ref, &ident(&sales, "orders")).await;
        swap(&store, warehouse_ref, id, 0, document_number).await.unwrap();
    }
    let orders = ident(&namespace(&["sales"]), "orders");
    store.table_drop(one, &orders, id_at(&store, one, &orders).await, TableKind::Table, None, &change()).await.unwrap();
    store.namespace_drop(one, &namespace(&["sales"]), &change()).await.unwrap();
    assert_eq!(pointer(&store, two, &orders).await, document(2));
}
