//! Properties and versions of entities.

use std::collections::BTreeMap;

use tidewater_core::ids::{CatalogRoleId, PrincipalRoleId};
use tidewater_core::purge::PurgeTime;

use super::fixture::{NOW_MS, Subject, assert_refused, change, key, store_warehouse};
use crate::base::clock::fresh_uuid;
use crate::store::{
    CatalogRole, Entity, EntityDetails, EventFilter, KeyUpdate, Operation, PrincipalRole, Resource, StoreError,
    WarehouseOptions, WarehouseRef,
};

fn properties(value: &str) -> BTreeMap<String, String> {
    [("a".to_owned(), value.to_owned())].into()
}

/// Returns an entity of each kind.
async fn entities(store: &Subject) -> (WarehouseRef, [Entity; 4]) {
    let warehouse_ref = store_warehouse(store).await;
    let key = key(warehouse_ref.organisation, "etl");
    store.key_create(&key, &change()).await.unwrap();
    let (name, created_ms) = ("role".to_owned(), NOW_MS);
    let principal_role = PrincipalRole { id: PrincipalRoleId(fresh_uuid()), name: name.clone(), created_ms };
    let catalog_role = CatalogRole { id: CatalogRoleId(fresh_uuid()), name, created_ms };
    store.principal_role_create(warehouse_ref.organisation, &principal_role, &change()).await.unwrap();
    store.catalog_role_create(warehouse_ref, &catalog_role, &change()).await.unwrap();
    let all = [
        Entity::Warehouse(warehouse_ref.warehouse),
        Entity::Principal(key.principal),
        Entity::PrincipalRole(principal_role.id),
        Entity::CatalogRole(warehouse_ref.warehouse, catalog_role.id),
    ];
    (warehouse_ref, all)
}

pub(in crate::store) async fn properties_are_replaced_only_at_the_expected_version(store: Subject) {
    let (warehouse_ref, all) = entities(&store).await;
    let organisation = warehouse_ref.organisation;
    let set = async |entity, expected, value: &str| {
        store.entity_set_properties(organisation, entity, expected, &properties(value), &change()).await
    };
    for entity in all {
        let expected = EntityDetails { properties: properties("b"), version: 2, updated_ms: Some(NOW_MS) };
        assert_eq!(set(entity, Some(1), "b").await.unwrap(), Some(expected.clone()), "{entity:?}");
        assert_eq!(set(entity, Some(1), "c").await.unwrap(), None, "{entity:?}");
        assert_eq!(set(entity, None, "b").await.unwrap(), Some(expected), "equal properties change nothing");
    }
    let versions: Vec<u64> =
        store.entity_get(organisation, &all).await.unwrap().into_iter().map(|details| details.version).collect();
    assert_eq!(versions, [2; 4]);
    let filter = EventFilter { operation: Some(Operation::SetProperties), ..EventFilter::default() };
    assert_eq!(store.event_list(Some(organisation), &filter, None, 10).await.unwrap().events.len(), 4);
    let missing = Entity::PrincipalRole(PrincipalRoleId(fresh_uuid()));
    assert_refused!(set(missing, None, "b").await, StoreError::NotFound(Resource::PrincipalRole));
}

pub(in crate::store) async fn change_of_a_warehouse_or_key_raises_its_version(store: Subject) {
    let (warehouse_ref, [warehouse, principal, ..]) = entities(&store).await;
    let organisation = warehouse_ref.organisation;
    let name = store.warehouse_list(organisation).await.unwrap()[0].name.clone();
    let options = WarehouseOptions { purge: PurgeTime::AtOnce, ..WarehouseOptions::default() };
    store.warehouse_set_options(organisation, &name, &options.into(), &change()).await.unwrap();
    store.warehouse_set_options(organisation, &name, &options.into(), &change()).await.unwrap();
    let key = store.key_list(organisation).await.unwrap().into_iter().find(|key| key.name == "etl").unwrap();
    let update = KeyUpdate { name: Some("loader".to_owned()), ..KeyUpdate::default() };
    store.key_update(organisation, key.id, &update, &change()).await.unwrap();
    let details = store.entity_get(organisation, &[warehouse, principal]).await.unwrap();
    assert_eq!(details.iter().map(|details| details.version).collect::<Vec<_>>(), [2, 2]);
}

pub(in crate::store) async fn removed_entity_has_no_properties(store: Subject) {
    let (warehouse_ref, all) = entities(&store).await;
    let organisation = warehouse_ref.organisation;
    for entity in all {
        store.entity_set_properties(organisation, entity, None, &properties("b"), &change()).await.unwrap();
    }
    let [warehouse, _, Entity::PrincipalRole(role), catalog_role] = all else { panic!("{all:?}") };
    store.principal_role_delete(organisation, role, &change()).await.unwrap();
    let name = store.warehouse_list(organisation).await.unwrap()[0].name.clone();
    store.warehouse_drop(organisation, &name, &change()).await.unwrap();
    let removed = [warehouse, Entity::PrincipalRole(role), catalog_role];
    assert_eq!(store.entity_get(organisation, &removed).await.unwrap(), vec![EntityDetails::default(); 3]);
}
