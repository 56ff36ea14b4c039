//! Organisations, keys, signing keys and warehouses.

use tidewater_core::access::Role;
use tidewater_core::ids::{KeyId, OrganisationId};
use tidewater_core::purge::PurgeTime;

use super::fixture::{
    NOW_MS, Subject, assert_refused, change, change_at, digest, key, namespace, organisation, place, place_of,
    properties, signing_key, warehouse,
};
use crate::base::clock::fresh_uuid;
use crate::store::{ApiKey, Organisation, Resource, StoreError, Warehouse, WarehouseOptions, WarehouseStorage};

pub(in crate::store) async fn a_fresh_store_answers_and_is_empty(store: Subject) {
    store.ping().await.unwrap();
    let unknown = OrganisationId(fresh_uuid());
    assert_eq!(store.organisation_list().await.unwrap(), []);
    assert_eq!(store.organisation_by_name("acme").await.unwrap(), None);
    assert_eq!(store.key_list(unknown).await.unwrap(), []);
    assert_eq!(store.key_by_digest(&digest(1)).await.unwrap(), None);
    assert_eq!(store.key_by_id(KeyId(fresh_uuid())).await.unwrap(), None);
    assert!(store.signing_key_list().await.unwrap().is_empty());
    assert_eq!(store.warehouse_list(unknown).await.unwrap(), []);
    assert_eq!(store.table_count(unknown).await.unwrap(), 0);
    assert_eq!(store.usage_get(unknown, 20_000).await.unwrap(), 0);
}

pub(in crate::store) async fn an_organisation_is_found_as_it_was_made(store: Subject) {
    let (globex, acme) = (organisation("globex"), organisation("Ácme 株式会社"));
    store.organisation_create(&globex, &change()).await.unwrap();
    store.organisation_create(&acme, &change()).await.unwrap();
    assert_eq!(store.organisation_by_name("globex").await.unwrap(), Some(globex.clone()));
    assert_eq!(store.organisation_by_name("Globex").await.unwrap(), None, "names are compared byte by byte");
    assert_eq!(store.organisation_list().await.unwrap(), [globex, acme], "by name, by bytes");
}

pub(in crate::store) async fn an_organisation_name_is_taken_once(store: Subject) {
    let first = organisation("acme");
    store.organisation_create(&first, &change()).await.unwrap();
    let second = store.organisation_create(&organisation("acme"), &change()).await;
    assert_refused!(second, StoreError::AlreadyExists(Resource::Organisation));
    assert_eq!(store.organisation_list().await.unwrap(), [first]);
}

pub(in crate::store) async fn a_tier_changes_and_nothing_else(store: Subject) {
    let (acme, other) = (organisation("acme"), organisation("other"));
    store.organisation_create(&acme, &change()).await.unwrap();
    store.organisation_create(&other, &change()).await.unwrap();
    store.organisation_set_tier(acme.id, "enterprise", &change()).await.unwrap();
    let moved = Organisation { tier: "enterprise".to_owned(), ..acme };
    assert_eq!(store.organisation_list().await.unwrap(), [moved, other]);
    let missing = store.organisation_set_tier(OrganisationId(fresh_uuid()), "free", &change()).await;
    assert_refused!(missing, StoreError::NotFound(Resource::Organisation));
}

pub(in crate::store) async fn a_key_is_found_by_its_id_and_its_digest(store: Subject) {
    let acme = organisation("acme");
    store.organisation_create(&acme, &change()).await.unwrap();
    for (name, role) in [("läser 🔑", Role::Reader), ("etl", Role::Writer), ("boss", Role::Admin)] {
        let mut key = key(acme.id, name);
        key.role = role;
        key.expires_ms = (role == Role::Writer).then_some(NOW_MS + 1);
        key.last_used_ms = (role == Role::Admin).then_some(NOW_MS);
        store.key_create(&key, &change()).await.unwrap();
        let found = Some((key.clone(), acme.clone()));
        assert_eq!(store.key_by_id(key.id).await.unwrap(), found);
        assert_eq!(store.key_by_digest(&key.digest).await.unwrap(), found);
    }
    assert_eq!(store.key_by_digest(&digest(0)).await.unwrap(), None);
}

pub(in crate::store) async fn a_key_needs_its_organisation(store: Subject) {
    let orphan = key(OrganisationId(fresh_uuid()), "orphan");
    assert_refused!(store.key_create(&orphan, &change()).await, StoreError::NotFound(Resource::Organisation));
    assert_eq!(store.key_by_id(orphan.id).await.unwrap(), None);

    let acme = organisation("acme");
    store.organisation_create(&acme, &change()).await.unwrap();
    let first = key(acme.id, "first");
    store.key_create(&first, &change()).await.unwrap();
    let mut same_digest = key(acme.id, "second");
    same_digest.digest = first.digest;
    assert_refused!(store.key_create(&same_digest, &change()).await, StoreError::AlreadyExists(Resource::Key));
    assert_eq!(store.key_list(acme.id).await.unwrap(), [first]);
}

pub(in crate::store) async fn keys_are_listed_oldest_first_with_the_revoked(store: Subject) {
    let acme = organisation("acme");
    store.organisation_create(&acme, &change()).await.unwrap();
    let mut keys = Vec::new();
    for (name, created_ms) in [("third", 3), ("first", 1), ("second", 2)] {
        let mut key = key(acme.id, name);
        key.created_ms = created_ms;
        store.key_create(&key, &change()).await.unwrap();
        keys.push(key);
    }
    store.key_revoke(acme.id, keys[1].id, &change()).await.unwrap();
    let listed = store.key_list(acme.id).await.unwrap();
    assert_eq!(listed.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["first", "second", "third"]);
    assert_eq!(listed[0].revoked_ms, Some(NOW_MS));
    assert_eq!(listed[1].revoked_ms, None);
}

pub(in crate::store) async fn a_revoked_key_keeps_its_first_time(store: Subject) {
    let acme = organisation("acme");
    store.organisation_create(&acme, &change()).await.unwrap();
    let key = key(acme.id, "etl");
    store.key_create(&key, &change()).await.unwrap();
    store.key_revoke(acme.id, key.id, &change()).await.unwrap();
    store.key_revoke(acme.id, key.id, &change_at(NOW_MS + 5)).await.unwrap();
    let (by_id, _) = store.key_by_id(key.id).await.unwrap().unwrap();
    let (by_digest, _) = store.key_by_digest(&key.digest).await.unwrap().unwrap();
    assert_eq!(by_id.revoked_ms, Some(NOW_MS));
    assert_eq!(by_digest, by_id, "a revoked key is still found, so that its holder can be told");
    let missing = store.key_revoke(acme.id, KeyId(fresh_uuid()), &change()).await;
    assert_refused!(missing, StoreError::NotFound(Resource::Key));
}

pub(in crate::store) async fn the_last_use_of_a_key_never_goes_back(store: Subject) {
    let acme = organisation("acme");
    store.organisation_create(&acme, &change()).await.unwrap();
    let (used, unused) = (key(acme.id, "used"), key(acme.id, "unused"));
    store.key_create(&used, &change()).await.unwrap();
    store.key_create(&unused, &change()).await.unwrap();
    store.key_touch(&[]).await.unwrap();
    store.key_touch(&[(KeyId(fresh_uuid()), 1), (used.id, NOW_MS + 60_000)]).await.unwrap();
    store.key_touch(&[(used.id, NOW_MS)]).await.unwrap();
    let last_used = async |id| store.key_by_id(id).await.unwrap().unwrap().0.last_used_ms;
    assert_eq!(last_used(used.id).await, Some(NOW_MS + 60_000));
    assert_eq!(last_used(unused.id).await, None);
}

pub(in crate::store) async fn signing_keys_are_listed_newest_first(store: Subject) {
    for created_ms in [2, 3, 1] {
        store.signing_key_add(&signing_key(&format!("k{created_ms}"), created_ms), false, &change()).await.unwrap();
    }
    let keys = store.signing_key_list().await.unwrap();
    assert_eq!(keys.iter().map(|key| key.id.as_str()).collect::<Vec<_>>(), ["k3", "k2", "k1"]);
    assert_eq!(keys[0].secret.expose(), &[3; 32]);
    let again = store.signing_key_add(&signing_key("k3", 9), false, &change()).await;
    assert_refused!(again, StoreError::AlreadyExists(Resource::Key));
}

pub(in crate::store) async fn a_signing_key_is_added_only_if_none_when_asked(store: Subject) {
    let first = store.signing_key_add(&signing_key("first", 1), true, &change()).await.unwrap();
    assert_eq!(first.len(), 1);
    let second = store.signing_key_add(&signing_key("second", 2), true, &change()).await.unwrap();
    assert_eq!(second.iter().map(|key| key.id.as_str()).collect::<Vec<_>>(), ["first"]);
    let rotated = store.signing_key_add(&signing_key("third", 3), false, &change()).await.unwrap();
    assert_eq!(rotated.iter().map(|key| key.id.as_str()).collect::<Vec<_>>(), ["third", "first"]);
}

pub(in crate::store) async fn old_signing_keys_go_but_never_the_newest(store: Subject) {
    assert_eq!(store.signing_key_remove_before(NOW_MS, &change()).await.unwrap(), 0);
    for created_ms in [1, 2, 3] {
        store.signing_key_add(&signing_key(&format!("k{created_ms}"), created_ms), false, &change()).await.unwrap();
    }
    assert_eq!(
        store.signing_key_remove_before(2, &change()).await.unwrap(),
        1,
        "what was made at the time itself stays"
    );
    assert_eq!(store.signing_key_remove_before(NOW_MS, &change()).await.unwrap(), 1);
    let left = store.signing_key_list().await.unwrap();
    assert_eq!(left.iter().map(|key| key.id.as_str()).collect::<Vec<_>>(), ["k3"]);
}

pub(in crate::store) async fn the_first_warehouse_is_the_default(store: Subject) {
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

pub(in crate::store) async fn a_warehouse_can_be_made_the_default_as_it_is_made(store: Subject) {
    let acme = organisation("acme");
    store.organisation_create(&acme, &change()).await.unwrap();
    store.warehouse_create(&warehouse(acme.id, "a"), &change()).await.unwrap();
    let as_default = |name| Warehouse { is_default: true, ..warehouse(acme.id, name) };
    store.warehouse_create(&as_default("b"), &change()).await.unwrap();
    assert_eq!(defaults(&store, acme.id).await, ["b"]);
    let taken = store.warehouse_create(&as_default("a"), &change()).await;
    assert_refused!(taken, StoreError::AlreadyExists(Resource::Warehouse));
    assert_eq!(defaults(&store, acme.id).await, ["b"], "what is refused changes nothing");
}

pub(in crate::store) async fn a_warehouse_name_is_taken_once_in_an_organisation(store: Subject) {
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

pub(in crate::store) async fn the_default_moves_and_is_only_one(store: Subject) {
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

pub(in crate::store) async fn a_missing_warehouse_cannot_be_the_default(store: Subject) {
    let acme = organisation("acme");
    store.organisation_create(&acme, &change()).await.unwrap();
    store.warehouse_create(&warehouse(acme.id, "a"), &change()).await.unwrap();
    let missing = store.warehouse_set_default(acme.id, "b", &change()).await;
    assert_refused!(missing, StoreError::NotFound(Resource::Warehouse));
    assert_eq!(defaults(&store, acme.id).await, ["a"]);
}

pub(in crate::store) async fn a_place_belongs_to_one_warehouse(store: Subject) {
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
    assert_eq!(store.warehouse_list(acme.id).await.unwrap().len(), 1, "what is refused changes nothing");

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

pub(in crate::store) async fn a_warehouse_keeps_how_its_storage_is_reached(store: Subject) {
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

pub(in crate::store) async fn a_warehouse_goes_only_when_it_is_empty(store: Subject) {
    let place = place(&store).await;
    let spare = place_of(&store, place.organisation, "spare").await;
    store.namespace_create(place, &namespace(&["sales"]), &properties(&[]), &change()).await.unwrap();
    let full = store.warehouse_drop(place.organisation, "lake", &change()).await;
    assert_refused!(full, StoreError::NotEmpty(Resource::Warehouse));

    store.namespace_drop(place, &namespace(&["sales"]), &change()).await.unwrap();
    store.warehouse_drop(place.organisation, "lake", &change()).await.unwrap();
    assert_eq!(defaults(&store, place.organisation).await, [""; 0], "no other becomes the default by itself");
    let gone = store.warehouse_drop(place.organisation, "lake", &change()).await;
    assert_refused!(gone, StoreError::NotFound(Resource::Warehouse));

    let into_the_gone = store.namespace_create(place, &namespace(&["sales"]), &properties(&[]), &change()).await;
    assert_refused!(into_the_gone, StoreError::NotFound(Resource::Warehouse));
    store.namespace_create(spare, &namespace(&["sales"]), &properties(&[]), &change()).await.unwrap();
}

pub(in crate::store) async fn options_of_a_warehouse_and_a_key_are_kept(store: Subject) {
    let acme = organisation("acme");
    store.organisation_create(&acme, &change()).await.unwrap();
    let options = WarehouseOptions { purge: PurgeTime::AtOnce, no_delete: true };
    let lake = Warehouse { options, is_default: true, ..warehouse(acme.id, "lake") };
    store.warehouse_create(&lake, &change()).await.unwrap();
    store.warehouse_create(&warehouse(acme.id, "other"), &change()).await.unwrap();
    assert_eq!(store.warehouse_list(acme.id).await.unwrap()[0], lake);
    store.warehouse_set_options(acme.id, "lake", &WarehouseOptions::default(), &change()).await.unwrap();
    let changed = Warehouse { options: WarehouseOptions::default(), ..lake };
    assert_eq!(store.warehouse_list(acme.id).await.unwrap()[0], changed);
    let missing = store.warehouse_set_options(acme.id, "none", &options, &change()).await;
    assert_refused!(missing, StoreError::NotFound(Resource::Warehouse));

    let keeper = ApiKey { no_delete: true, ..key(acme.id, "keeper") };
    store.key_create(&keeper, &change()).await.unwrap();
    assert_eq!(store.key_by_id(keeper.id).await.unwrap().map(|(key, _)| key), Some(keeper.clone()));
    assert_eq!(store.key_list(acme.id).await.unwrap(), [keeper]);
}
