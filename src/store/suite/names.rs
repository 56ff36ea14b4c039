//! Names that only one object may have: of keys, organisations, operators, warehouses, roles and subscriptions, and the subject of a user.

use std::sync::Arc;

use tidewater_core::access::Role;
use tidewater_core::ids::{CatalogRoleId, OrganisationId, PrincipalId, PrincipalRoleId};

use super::administration::operator;
use super::concurrency::{at_once, winners};
use super::fixture::{
    NOW_MS, Subject, assert_refused, change, change_at, key, organisation, store_warehouse, warehouse,
};
use super::subscriptions::{renamed as renamed_subscription, subscription};
use crate::base::clock::{fresh_ordered_uuid, fresh_uuid};
use crate::store::{
    ApiKey, CatalogRole, FeedScope, KeyUpdate, Operation, OrganisationUpdate, PageRequest, PrincipalRole, Resource,
    StoreError, UserSignIn,
};

/// The number of concurrent callers.
const CALLERS: usize = 16;

fn renamed(name: &str) -> KeyUpdate {
    KeyUpdate { name: Some(name.to_owned()), ..KeyUpdate::default() }
}

fn is_taken(error: &StoreError) -> bool {
    matches!(error, StoreError::AlreadyExists(_))
}

async fn stored_organisation(store: &Subject) -> OrganisationId {
    let acme = organisation("acme");
    store.organisation_create(&acme, &change()).await.unwrap();
    acme.id
}

/// Returns how many keys of the name are neither revoked nor expired at [`NOW_MS`].
async fn usable(store: &Subject, organisation: OrganisationId, name: &str) -> usize {
    let is_usable = |key: &&ApiKey| {
        key.name == name && key.revoked_ms.is_none() && key.expires_ms.is_none_or(|expires_ms| expires_ms > NOW_MS)
    };
    store.key_list(organisation).await.unwrap().iter().filter(is_usable).count()
}

pub(in crate::store) async fn name_of_a_usable_key_is_refused_to_another_key(store: Subject) {
    let acme = stored_organisation(&store).await;
    let (first, other) = (key(acme, "ci"), key(acme, "other"));
    store.key_create(&first, &change()).await.unwrap();
    store.key_create(&other, &change()).await.unwrap();
    assert_refused!(store.key_create(&key(acme, "ci"), &change()).await, StoreError::AlreadyExists(Resource::Key));
    let taken = store.key_update(acme, other.id, &renamed("ci"), &change()).await;
    assert_refused!(taken, StoreError::AlreadyExists(Resource::Key));
    assert_eq!(store.key_by_id(other.id).await.unwrap().unwrap().0, other, "a refused change has no effect");
    store.key_update(acme, first.id, &renamed("ci"), &change()).await.unwrap();

    // Revoked and expired keys leave their names, and another organisation has its own.
    let globex = organisation("globex");
    store.organisation_create(&globex, &change()).await.unwrap();
    store.key_create(&key(globex.id, "ci"), &change()).await.unwrap();
    let expires = KeyUpdate { expires_ms: Some(Some(NOW_MS + 5)), ..KeyUpdate::default() };
    store.key_update(acme, first.id, &expires, &change()).await.unwrap();
    let at_its_end = store.key_update(acme, other.id, &renamed("ci"), &change_at(NOW_MS + 4)).await;
    assert_refused!(at_its_end, StoreError::AlreadyExists(Resource::Key));
    store.key_update(acme, other.id, &renamed("ci"), &change_at(NOW_MS + 5)).await.unwrap();
    store.key_revoke(acme, other.id, &change()).await.unwrap();
    store.key_create(&key(acme, "ci"), &change_at(NOW_MS + 5)).await.unwrap();
}

pub(in crate::store) async fn expired_key_whose_name_was_taken_stays_expired(store: Subject) {
    let acme = stored_organisation(&store).await;
    let expired = ApiKey { expires_ms: Some(NOW_MS - 1), ..key(acme, "ci") };
    store.key_create(&expired, &change_at(NOW_MS - 2)).await.unwrap();
    store.key_create(&key(acme, "ci"), &change()).await.unwrap();
    let never = KeyUpdate { expires_ms: Some(None), ..KeyUpdate::default() };
    let refused = store.key_update(acme, expired.id, &never, &change()).await;
    assert_refused!(refused, StoreError::AlreadyExists(Resource::Key));
    let as_reader = KeyUpdate { role: Some(Role::Reader), ..KeyUpdate::default() };
    let changed = store.key_update(acme, expired.id, &as_reader, &change()).await.unwrap();
    assert_eq!((changed.role, changed.expires_ms), (Role::Reader, expired.expires_ms), "it takes no name");
}

pub(in crate::store) async fn concurrent_keys_of_one_name_have_one_winner(store: Subject) {
    let acme = stored_organisation(&store).await;
    let created = at_once(CALLERS, |_| {
        let store = Arc::clone(&store);
        async move { store.key_create(&key(acme, "created"), &change()).await }
    })
    .await;
    assert_eq!(winners(&created, is_taken), 1);
    assert_eq!(usable(&store, acme, "created").await, 1);

    let mut others = Vec::new();
    for number in 0..CALLERS {
        let other = key(acme, &format!("k{number}"));
        store.key_create(&other, &change()).await.unwrap();
        others.push(other.id);
    }
    let changed = at_once(CALLERS, |number| {
        let (store, id) = (Arc::clone(&store), others[number]);
        // Some give the name to a new key, the others to their own.
        async move {
            if number % 4 == 0 {
                store.key_create(&key(acme, "wanted"), &change()).await
            } else {
                store.key_update(acme, id, &renamed("wanted"), &change()).await.map(drop)
            }
        }
    })
    .await;
    assert_eq!(winners(&changed, is_taken), 1);
    assert_eq!(usable(&store, acme, "wanted").await, 1);
}

pub(in crate::store) async fn concurrent_changes_to_one_name_of_administration_have_one_winner(store: Subject) {
    let mut organisations = Vec::new();
    for number in 0..CALLERS {
        let one = organisation(&format!("o{number}"));
        store.organisation_create(&one, &change()).await.unwrap();
        organisations.push(one.id);
    }
    let named = at_once(CALLERS, |number| {
        let (store, id) = (Arc::clone(&store), organisations[number]);
        let update = OrganisationUpdate { name: Some("wanted".to_owned()), ..OrganisationUpdate::default() };
        async move {
            if number % 4 == 0 {
                store.organisation_create(&organisation("wanted"), &change()).await
            } else {
                store.organisation_update(id, &update, &change()).await.map(drop)
            }
        }
    })
    .await;
    assert_eq!(winners(&named, is_taken), 1);

    let operators = at_once(CALLERS, |_| {
        let store = Arc::clone(&store);
        async move { store.operator_create(&operator("ops"), &change()).await }
    })
    .await;
    assert_eq!(winners(&operators, is_taken), 1);
    assert_eq!(store.operator_list().await.unwrap().len(), 1);

    let owner = organisations[0];
    let warehouses = at_once(CALLERS, |_| {
        let store = Arc::clone(&store);
        async move { store.warehouse_create(&warehouse(owner, "lake"), &change()).await }
    })
    .await;
    assert_eq!(winners(&warehouses, is_taken), 1);
    assert_eq!(store.warehouse_list(owner).await.unwrap().len(), 1);
}

pub(in crate::store) async fn concurrent_roles_and_subscriptions_of_one_name_have_one_winner(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let owner = warehouse_ref.organisation;
    let roles = at_once(CALLERS, |number| {
        let store = Arc::clone(&store);
        let name = "readers".to_owned();
        async move {
            if number % 2 == 0 {
                let role = PrincipalRole { id: PrincipalRoleId(fresh_uuid()), name, created_ms: NOW_MS };
                store.principal_role_create(owner, &role, &change()).await.map(|()| Resource::PrincipalRole)
            } else {
                let role = CatalogRole { id: CatalogRoleId(fresh_uuid()), name, created_ms: NOW_MS };
                store.catalog_role_create(warehouse_ref, &role, &change()).await.map(|()| Resource::CatalogRole)
            }
        }
    })
    .await;
    assert_eq!(winners(&roles, is_taken), 2, "one role of each kind: {roles:?}");
    let counts = store.access_counts(owner).await.unwrap();
    assert_eq!((counts.principal_roles, counts.catalog_roles), (1, 1));

    let own = FeedScope::Organisation(owner);
    let others: Vec<_> = (0..CALLERS).map(|number| subscription(own, &format!("s{number}"))).collect();
    for other in &others {
        store.subscription_create(other, 100, &change()).await.unwrap();
    }
    let subscriptions = at_once(CALLERS, |number| {
        let (store, id) = (Arc::clone(&store), others[number].id);
        async move {
            if number % 4 == 0 {
                store.subscription_create(&subscription(own, "wanted"), 100, &change()).await
            } else {
                let (update, operation) = (renamed_subscription("wanted"), Operation::UpdateSubscription);
                store.subscription_update(own, id, &update, operation, &change()).await.map(drop)
            }
        }
    })
    .await;
    assert_eq!(winners(&subscriptions, is_taken), 1);
    let listed = store.subscription_list(own).await.unwrap();
    assert_eq!(listed.iter().filter(|one| one.name == "wanted").count(), 1);
}

pub(in crate::store) async fn concurrent_first_sign_ins_add_one_user_and_one_role_of_a_group(store: Subject) {
    let acme = stored_organisation(&store).await;
    let users = at_once(CALLERS, |_| {
        let store = Arc::clone(&store);
        let sign_in = UserSignIn {
            organisation: acme,
            issuer: "https://sso.example.com".to_owned(),
            subject: "ada".to_owned(),
            new_id: PrincipalId(fresh_ordered_uuid()),
            name: "Ada".to_owned(),
            email: None,
            role: Role::None,
            principal_roles: vec!["analysts".to_owned()],
            create_roles: true,
            issued_ms: NOW_MS,
        };
        async move { store.user_sign_in(&sign_in, &change()).await.unwrap().id }
    })
    .await;
    assert!(users.iter().all(|id| *id == users[0]), "all callers get the same user: {users:?}");
    let all = PageRequest::default();
    assert_eq!(store.user_list(acme, &all).await.unwrap().items.len(), 1);
    assert_eq!(store.principal_role_list(acme, &all).await.unwrap().items.len(), 1);
}
