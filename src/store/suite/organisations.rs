//! Organisations.

use tidewater_core::ids::{KeyId, OrganisationId};

use super::fixture::{Subject, assert_refused, change, digest, organisation};
use crate::base::clock::fresh_uuid;
use crate::store::{Organisation, Resource, StoreError};

pub(in crate::store) async fn fresh_store_answers_and_is_empty(store: Subject) {
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

pub(in crate::store) async fn organisation_is_found_by_name_as_created(store: Subject) {
    let (globex, acme) = (organisation("globex"), organisation("Ácme 株式会社"));
    store.organisation_create(&globex, &change()).await.unwrap();
    store.organisation_create(&acme, &change()).await.unwrap();
    assert_eq!(store.organisation_by_name("globex").await.unwrap(), Some(globex.clone()));
    assert_eq!(store.organisation_by_name("Globex").await.unwrap(), None, "names are compared byte by byte");
    assert_eq!(store.organisation_list().await.unwrap(), [globex, acme], "by name, by bytes");
}

pub(in crate::store) async fn second_organisation_of_a_name_is_refused(store: Subject) {
    let first = organisation("acme");
    store.organisation_create(&first, &change()).await.unwrap();
    let second = store.organisation_create(&organisation("acme"), &change()).await;
    assert_refused!(second, StoreError::AlreadyExists(Resource::Organisation));
    assert_eq!(store.organisation_list().await.unwrap(), [first]);
}

pub(in crate::store) async fn set_tier_changes_only_the_tier(store: Subject) {
    let (acme, other) = (organisation("acme"), organisation("other"));
    store.organisation_create(&acme, &change()).await.unwrap();
    store.organisation_create(&other, &change()).await.unwrap();
    store.organisation_set_tier(acme.id, "enterprise", &change()).await.unwrap();
    let moved = Organisation { tier: "enterprise".to_owned(), ..acme };
    assert_eq!(store.organisation_list().await.unwrap(), [moved, other]);
    let missing = store.organisation_set_tier(OrganisationId(fresh_uuid()), "free", &change()).await;
    assert_refused!(missing, StoreError::NotFound(Resource::Organisation));
}
