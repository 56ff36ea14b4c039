//! Warehouses.

use tidewater_core::ids::OrganisationId;
use tidewater_core::purge::PurgeTime;
use tidewater_core::scan::mode::PlanningMode;

use super::fixture::{
    Subject, assert_refused, change, key, namespace, organisation, properties, store_warehouse, store_warehouse_of,
    warehouse,
};
use crate::base::clock::fresh_uuid;
use crate::store::{
    ApiKey, Resource, StoreError, Warehouse, WarehouseOptions, WarehouseOptionsUpdate, WarehouseRef, WarehouseStorage,
};

pub(in crate::store) async fn first_warehouse_is_the_default(store: Subject) {
    let acme = organisation("acme");
    store.organisation_create(&acme, &change()).await.unwrap();
    let (first, second) = (warehouse(acme.id, "b"), warehouse(acme.id, "a"));
    store.warehouse_create(&first, &change()).await.unwrap();
    store.warehouse_create(&second, &change()).await.unwrap();
    let first = Warehouse { is_default: true, ..first };
    assert_eq!(store.warehouse_list(acme.id).await.unwrap(), [second, first]);
    let orphan = store.warehouse_create(&warehouse(OrganisationId(fresh_uuid()), "lake"), &change()).await;
    assert_refused!(orphan, StoreError::NotFound(Resource::Organisation));
}

pub(in crate::store) async fn warehouse_can_become_the_default_on_creation(store: Subject) {
    let acme = organisation("acme");
    store.organisation_create(&acme, &change()).await.unwrap();
    store.warehouse_create(&warehouse(acme.id, "a"), &change()).await.unwrap();
    let as_default = |name| Warehouse { is_default: true, ..warehouse(acme.id, name) };
    store.warehouse_create(&as_default("b"), &change()).await.unwrap();
    assert_eq!(defaults(&store, acme.id).await, ["b"]);
    let taken = store.warehouse_create(&as_default("a"), &change()).await;
    assert_refused!(taken, StoreError::AlreadyExists(Resource::Warehouse));
    assert_eq!(defaults(&store, acme.id).await, ["b"], "a refused creation changes nothing");
}

pub(in crate::store) async fn second_warehouse_of_a_name_in_an_organisation_is_refused(store: Subject) {
    let (acme, other) = (organisation("acme"), organisation("other"));
    store.organisation_create(&acme, &change()).await.unwrap();
    store.organisation_create(&other, &change()).await.unwrap();
    store.warehouse_create(&warehouse(acme.id, "lake"), &change()).await.unwrap();
    let again = store.warehouse_create(&warehouse(acme.id, "lake"), &change()).await;
    assert_refused!(again, StoreError::AlreadyExists(Resource::Warehouse));
    store.warehouse_create(&warehouse(other.id, "lake"), &change()).await.unwrap();
}

async fn defaults(store: &Subject, organisation: OrganisationId) -> Vec<String> {
    let warehouses = store.warehouse_list(organisation).await.unwrap();
    warehouses.into_iter().filter(|warehouse| warehouse.is_default).map(|warehouse| warehouse.name).collect()
}

pub(in crate::store) async fn set_default_leaves_exactly_one_default(store: Subject) {
    let acme = organisation("acme");
    store.organisation_create(&acme, &change()).await.unwrap();
    for name in ["a", "b", "c"] {
        store.warehouse_create(&warehouse(acme.id, name), &change()).await.unwrap();
    }
    assert_eq!(defaults(&store, acme.id).await, ["a"]);
    store.warehouse_set_default(acme.id, "c", &change()).await.unwrap();
    store.warehouse_set_default(acme.id, "c", &change()).await.unwrap();
    assert_eq!(defaults(&store, acme.id).await, ["c"]);
}

pub(in crate::store) async fn set_default_of_a_missing_warehouse_is_refused(store: Subject) {
    let acme = organisation("acme");
    store.organisation_create(&acme, &change()).await.unwrap();
    store.warehouse_create(&warehouse(acme.id, "a"), &change()).await.unwrap();
    let missing = store.warehouse_set_default(acme.id, "b", &change()).await;
    assert_refused!(missing, StoreError::NotFound(Resource::Warehouse));
    assert_eq!(defaults(&store, acme.id).await, ["a"]);
}

pub(in crate::store) async fn root_that_overlaps_another_warehouse_is_refused(store: Subject) {
    let (acme, other) = (organisation("acme"), organisation("other"));
    store.organisation_create(&acme, &change()).await.unwrap();
    store.organisation_create(&other, &change()).await.unwrap();
    let at = |organisation, name: &str, root: &str| Warehouse { root: root.into(), ..warehouse(organisation, name) };
    store.warehouse_create(&at(acme.id, "lake", "file:///srv/lake"), &change()).await.unwrap();
    for root in ["file:///srv/lake", "file:///srv/lake/inner", "file:///srv"] {
        for organisation in [acme.id, other.id] {
            let taken = store.warehouse_create(&at(organisation, "second", root), &change()).await;
            assert_refused!(taken, StoreError::LocationTaken(_));
        }
    }
    store.warehouse_create(&at(other.id, "lake", "file:///srv/lake2"), &change()).await.unwrap();
    assert_eq!(store.warehouse_list(acme.id).await.unwrap().len(), 1, "a refused creation changes nothing");

    let storage = |endpoint: &str| WarehouseStorage {
        profile: serde_json::from_str(&format!(r#"{{"type":"s3","region":"a","endpoint":"{endpoint}"}}"#)).unwrap(),
        sealed_credentials: None,
    };
    let on_s3 = |organisation, endpoint| Warehouse {
        storage: storage(endpoint),
        ..at(organisation, "bucket", "s3://bucket/lake")
    };
    store.warehouse_create(&on_s3(acme.id, "https://one"), &change()).await.unwrap();
    store.warehouse_create(&on_s3(other.id, "https://two"), &change()).await.unwrap();
    let moved = store.warehouse_set_storage(other.id, "bucket", &storage("https://one/"), &change()).await;
    assert_refused!(moved, StoreError::LocationTaken(_));
    store.warehouse_set_storage(other.id, "bucket", &storage("https://two"), &change()).await.unwrap();
}

pub(in crate::store) async fn warehouse_keeps_its_storage_settings(store: Subject) {
    let (acme, other) = (organisation("acme"), organisation("other"));
    store.organisation_create(&acme, &change()).await.unwrap();
    store.organisation_create(&other, &change()).await.unwrap();
    let profile = r#"{"type":"s3","region":"eu-west-1","session-tags":{"a":"b"},"path-style":true}"#;
    let on_s3 = WarehouseStorage {
        profile: serde_json::from_str(profile).unwrap(),
        sealed_credentials: Some((0..=255).collect()),
    };
    let lake = Warehouse { storage: on_s3.clone(), ..warehouse(acme.id, "lake") };
    store.warehouse_create(&lake, &change()).await.unwrap();
    store.warehouse_create(&warehouse(other.id, "lake"), &change()).await.unwrap();
    let lake = Warehouse { is_default: true, ..lake };
    assert_eq!(store.warehouse_list(acme.id).await.unwrap(), std::slice::from_ref(&lake));

    store.warehouse_set_storage(other.id, "lake", &on_s3, &change()).await.unwrap();
    store.warehouse_set_storage(acme.id, "lake", &WarehouseStorage::local(), &change()).await.unwrap();
    let changed = Warehouse { storage: WarehouseStorage::local(), ..lake };
    assert_eq!(store.warehouse_list(acme.id).await.unwrap(), [changed], "nothing else of it changes");
    assert_eq!(store.warehouse_list(other.id).await.unwrap()[0].storage, on_s3);
    let missing = store.warehouse_set_storage(acme.id, "none", &on_s3, &change()).await;
    assert_refused!(missing, StoreError::NotFound(Resource::Warehouse));
}

pub(in crate::store) async fn only_an_empty_warehouse_can_be_dropped(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let spare = store_warehouse_of(&store, warehouse_ref.organisation, "spare").await;
    store.namespace_create(warehouse_ref, &namespace(&["sales"]), &properties(&[]), &change()).await.unwrap();
    let full = store.warehouse_drop(warehouse_ref.organisation, "lake", &change()).await;
    assert_refused!(full, StoreError::NotEmpty(Resource::Warehouse));

    store.namespace_drop(warehouse_ref, &namespace(&["sales"]), &change()).await.unwrap();
    store.warehouse_drop(warehouse_ref.organisation, "lake", &change()).await.unwrap();
    assert_eq!(defaults(&store, warehouse_ref.organisation).await, [""; 0], "no other becomes the default by itself");
    let gone = store.warehouse_drop(warehouse_ref.organisation, "lake", &change()).await;
    assert_refused!(gone, StoreError::NotFound(Resource::Warehouse));

    let into_the_gone =
        store.namespace_create(warehouse_ref, &namespace(&["sales"]), &properties(&[]), &change()).await;
    assert_refused!(into_the_gone, StoreError::NotFound(Resource::Warehouse));
    store.namespace_create(spare, &namespace(&["sales"]), &properties(&[]), &change()).await.unwrap();
}

pub(in crate::store) async fn concurrent_changes_of_a_warehouse_all_stay(store: Subject) {
    let acme = organisation("acme");
    store.organisation_create(&acme, &change()).await.unwrap();
    let sealed = WarehouseStorage { sealed_credentials: Some(vec![1]), ..WarehouseStorage::local() };
    let lake = Warehouse { storage: sealed, ..warehouse(acme.id, "lake") };
    store.warehouse_create(&lake, &change()).await.unwrap();
    let none = WarehouseOptionsUpdate::default();
    let purge = WarehouseOptionsUpdate { purge: Some(PurgeTime::AtOnce), ..none };
    let no_delete = WarehouseOptionsUpdate { no_delete: Some(true), ..none };
    let scan_planning = WarehouseOptionsUpdate { scan_planning: Some(PlanningMode::Server), ..none };
    let change = change();
    let set = |options| store.warehouse_set_options(acme.id, "lake", options, &change);
    let (one, two, three) = tokio::join!(set(&purge), set(&no_delete), set(&scan_planning));
    let _ = [one, two, three].map(Result::unwrap);
    let found = || async { store.warehouse_list(acme.id).await.unwrap().remove(0) };
    let options = WarehouseOptions { purge: PurgeTime::AtOnce, no_delete: true, scan_planning: PlanningMode::Server };
    assert_eq!(found().await.options, options);

    let lake_ref = WarehouseRef { organisation: acme.id, warehouse: lake.id };
    assert!(
        !store.warehouse_reseal(lake_ref, &[7], &[8], &change).await.unwrap(),
        "other credentials were set meanwhile"
    );
    assert_eq!(found().await.storage, lake.storage);
    assert!(store.warehouse_reseal(lake_ref, &[1], &[2], &change).await.unwrap());
    assert_eq!(found().await.storage.sealed_credentials, Some(vec![2]));
}

pub(in crate::store) async fn options_of_warehouses_and_keys_are_stored(store: Subject) {
    let acme = organisation("acme");
    store.organisation_create(&acme, &change()).await.unwrap();
    let options = WarehouseOptions { purge: PurgeTime::AtOnce, no_delete: true, scan_planning: PlanningMode::Client };
    let lake = Warehouse { options, is_default: true, ..warehouse(acme.id, "lake") };
    store.warehouse_create(&lake, &change()).await.unwrap();
    store.warehouse_create(&warehouse(acme.id, "other"), &change()).await.unwrap();
    assert_eq!(store.warehouse_list(acme.id).await.unwrap()[0], lake);
    store.warehouse_set_options(acme.id, "lake", &WarehouseOptions::default().into(), &change()).await.unwrap();
    let changed = Warehouse { options: WarehouseOptions::default(), ..lake };
    assert_eq!(store.warehouse_list(acme.id).await.unwrap()[0], changed);
    let missing = store.warehouse_set_options(acme.id, "none", &options.into(), &change()).await;
    assert_refused!(missing, StoreError::NotFound(Resource::Warehouse));

    let keeper = ApiKey { no_delete: true, ..key(acme.id, "keeper") };
    store.key_create(&keeper, &change()).await.unwrap();
    assert_eq!(store.key_by_id(keeper.id).await.unwrap().map(|(key, _)| key), Some(keeper.clone()));
    assert_eq!(store.key_list(acme.id).await.unwrap(), [keeper]);
}
