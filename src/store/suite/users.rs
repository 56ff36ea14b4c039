//! Users of identity providers, and the roles of their groups.

use std::sync::atomic::Ordering;

use tidewater_core::access::Role;
use tidewater_core::ids::{KeyId, OrganisationId, PrincipalId, PrincipalRoleId};

use super::fixture::{
    NOW_MS, Subject, assert_refused, change, change_at, ident, namespace, organisation, store_warehouse, stored_table,
};
use crate::base::clock::{fresh_ordered_uuid, fresh_uuid};
use crate::store::{
    Actor, Change, EventFilter, KeyUsage, Organisation, PageRequest, PrincipalRole, Resource, SignedInUser, StoreError,
    User, UserSignIn, UserUpdate,
};

const ISSUER: &str = "https://sso.example.com";

async fn acme(store: &Subject) -> Organisation {
    let acme = organisation("acme");
    store.organisation_create(&acme, &change()).await.unwrap();
    acme
}

/// A sign-in with a token of the time `issued_ms`.
fn sign_in(organisation: OrganisationId, subject: &str, issued_ms: i64, roles: &[&str]) -> UserSignIn {
    UserSignIn {
        organisation,
        issuer: ISSUER.to_owned(),
        subject: subject.to_owned(),
        new_id: PrincipalId(fresh_ordered_uuid()),
        name: subject.to_owned(),
        email: None,
        role: Role::None,
        principal_roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        create_roles: false,
        issued_ms,
    }
}

async fn signed_in(store: &Subject, sign_in: &UserSignIn) -> SignedInUser {
    store.user_sign_in(sign_in, &change()).await.unwrap()
}

async fn user(store: &Subject, organisation: OrganisationId, id: PrincipalId) -> User {
    store.user_get(organisation, id).await.unwrap().unwrap().0
}

async fn add_role(store: &Subject, organisation: OrganisationId, name: &str) -> PrincipalRoleId {
    let role = PrincipalRole { id: PrincipalRoleId(fresh_uuid()), name: name.to_owned(), created_ms: NOW_MS };
    store.principal_role_create(organisation, &role, &change()).await.unwrap();
    role.id
}

async fn members(store: &Subject, organisation: OrganisationId, role: PrincipalRoleId) -> Vec<PrincipalId> {
    let page = store.principal_role_members(organisation, role, &PageRequest::default()).await.unwrap();
    page.items.into_iter().map(|member| member.id).collect()
}

/// Returns the operations of all events by users, oldest first.
async fn operations(store: &Subject, organisation: OrganisationId) -> Vec<&'static str> {
    let filter = EventFilter { actor: Some("user".to_owned()), ..EventFilter::default() };
    let page = store.event_list(Some(organisation), &filter, None, 100).await.unwrap();
    page.events.iter().rev().map(|event| event.operation.as_str()).collect()
}

pub(in crate::store) async fn user_is_added_at_the_first_sign_in(store: Subject) {
    let acme = acme(&store).await;
    let first = UserSignIn {
        name: "Alice".to_owned(),
        email: Some("alice@example.com".to_owned()),
        role: Role::Reader,
        ..sign_in(acme.id, "u1", 5_000, &[])
    };
    let added = signed_in(&store, &first).await;
    assert_eq!((added.id, added.changed), (first.new_id, true));
    let expected = User {
        id: first.new_id,
        organisation: acme.id,
        issuer: ISSUER.to_owned(),
        subject: "u1".to_owned(),
        name: "Alice".to_owned(),
        email: Some("alice@example.com".to_owned()),
        role: Role::Reader,
        no_delete: false,
        created_ms: NOW_MS,
        last_seen_ms: Some(NOW_MS),
        disabled_ms: None,
        issued_ms: 5_000,
    };
    assert_eq!(store.user_get(acme.id, added.id).await.unwrap(), Some((expected.clone(), acme.clone())));
    let again = signed_in(&store, &sign_in(acme.id, "u1", 5_000, &[])).await;
    assert_eq!((again.id, again.changed), (added.id, false));
    let other_issuer = UserSignIn { issuer: "https://other".to_owned(), ..sign_in(acme.id, "u1", 1, &[]) };
    assert_ne!(signed_in(&store, &other_issuer).await.id, added.id);
    assert_eq!(operations(&store, acme.id).await, ["create-user", "create-user"]);
    let listed = store.principal_list(acme.id, &PageRequest::default()).await.unwrap().items;
    assert_eq!((listed[0].id, listed[0].role, listed[0].is_user), (added.id, Some(Role::Reader), true));
    let orphan = sign_in(OrganisationId(fresh_uuid()), "u1", 1, &[]);
    assert_refused!(store.user_sign_in(&orphan, &change()).await, StoreError::NotFound(Resource::Organisation));
}

pub(in crate::store) async fn newer_token_changes_a_user_and_an_older_one_does_not(store: Subject) {
    let acme = acme(&store).await;
    let id = signed_in(&store, &sign_in(acme.id, "u1", 5_000, &[])).await.id;
    let older = UserSignIn { role: Role::Admin, ..sign_in(acme.id, "u1", 4_999, &[]) };
    assert!(!signed_in(&store, &older).await.changed);
    assert_eq!(user(&store, acme.id, id).await.role, Role::None);
    let unchanged = signed_in(&store, &sign_in(acme.id, "u1", 6_000, &[])).await;
    assert!(!unchanged.changed, "only the time of the token differs");
    assert!(!signed_in(&store, &UserSignIn { role: Role::Admin, ..sign_in(acme.id, "u1", 5_500, &[]) }).await.changed);
    let counter = store.access_generation(acme.id, id);
    let before = counter.load(Ordering::SeqCst);
    let newer = UserSignIn { role: Role::Writer, name: "Alice".to_owned(), ..sign_in(acme.id, "u1", 7_000, &[]) };
    assert!(signed_in(&store, &newer).await.changed);
    let user = user(&store, acme.id, id).await;
    assert_eq!((user.role, user.name.as_str(), user.issued_ms), (Role::Writer, "Alice", 7_000));
    assert!(counter.load(Ordering::SeqCst) > before, "a change of the role is a change of access");
    assert_eq!(operations(&store, acme.id).await, ["create-user", "update-user"]);
}

pub(in crate::store) async fn roles_of_groups_are_kept_beside_assigned_ones(store: Subject) {
    let acme = acme(&store).await;
    let (one, two) = (add_role(&store, acme.id, "one").await, add_role(&store, acme.id, "two").await);
    let first = signed_in(&store, &sign_in(acme.id, "u1", 1, &["one", "absent"])).await;
    assert_eq!(first.missing_roles, ["absent"]);
    let id = first.id;
    assert_eq!(members(&store, acme.id, one).await, [id]);
    // The same role also by an administrator: it stays when the group is gone.
    store.principal_role_assign(acme.id, one, id, true, &change()).await.unwrap();
    assert_eq!(members(&store, acme.id, one).await, [id], "listed once");
    let counter = store.access_generation(acme.id, id);
    let before = counter.load(Ordering::SeqCst);
    assert!(signed_in(&store, &sign_in(acme.id, "u1", 2, &["two"])).await.changed);
    assert!(counter.load(Ordering::SeqCst) > before);
    assert_eq!((members(&store, acme.id, one).await, members(&store, acme.id, two).await), (vec![id], vec![id]));
    store.principal_role_assign(acme.id, one, id, false, &change()).await.unwrap();
    store.principal_role_assign(acme.id, two, id, false, &change()).await.unwrap();
    assert_eq!(members(&store, acme.id, one).await, []);
    assert_eq!(members(&store, acme.id, two).await, [id], "a role of a group is not an administrator's to revoke");
    let created = UserSignIn { create_roles: true, ..sign_in(acme.id, "u1", 3, &["absent"]) };
    assert_eq!(signed_in(&store, &created).await.missing_roles, [""; 0]);
    let absent = store.principal_role_get(acme.id, "absent").await.unwrap().unwrap();
    assert_eq!((members(&store, acme.id, absent.id).await, members(&store, acme.id, two).await), (vec![id], vec![]));
    let by_user = operations(&store, acme.id).await;
    let (assigned, revoked) = ("assign-principal-role", "revoke-principal-role");
    let expected = ["create-user", assigned, assigned, revoked, "create-principal-role", assigned, revoked];
    assert_eq!(by_user, expected);
}

pub(in crate::store) async fn disabled_user_has_no_role_and_is_not_changed(store: Subject) {
    let acme = acme(&store).await;
    let first = UserSignIn { role: Role::Writer, ..sign_in(acme.id, "u1", 1, &[]) };
    let id = signed_in(&store, &first).await.id;
    let set = |disabled| UserUpdate { disabled: Some(disabled), no_delete: Some(true) };
    let disabled = store.user_update(acme.id, id, set(true), &change_at(NOW_MS + 1)).await.unwrap();
    assert_eq!((disabled.disabled_ms, disabled.no_delete), (Some(NOW_MS + 1), true));
    let again = store.user_update(acme.id, id, set(true), &change_at(NOW_MS + 2)).await.unwrap();
    assert_eq!(again.disabled_ms, Some(NOW_MS + 1), "the first time stays");
    let listed = store.principal_list(acme.id, &PageRequest::default()).await.unwrap().items;
    assert_eq!(listed[0].role, None);
    let newer = UserSignIn { role: Role::Admin, ..sign_in(acme.id, "u1", 2, &[]) };
    assert!(!signed_in(&store, &newer).await.changed);
    assert_eq!(user(&store, acme.id, id).await, again);
    let enabled = store.user_update(acme.id, id, set(false), &change()).await.unwrap();
    assert_eq!((enabled.disabled_ms, enabled.role), (None, Role::Writer));
    let nobody = PrincipalId(fresh_uuid());
    let refused = store.user_update(acme.id, nobody, set(true), &change()).await;
    assert_refused!(refused, StoreError::NotFound(Resource::Principal));
}

pub(in crate::store) async fn users_are_found_by_id_subject_email_and_name(store: Subject) {
    let acme = acme(&store).await;
    let email = Some("Alice@Example.com".to_owned());
    let alice = UserSignIn { name: "Alice".to_owned(), email, ..sign_in(acme.id, "u1", 1, &[]) };
    let id = signed_in(&store, &alice).await.id;
    let namesake = signed_in(&store, &UserSignIn { name: "Alice".to_owned(), ..sign_in(acme.id, "u2", 1, &[]) }).await;
    let found = async |named: &str| -> Vec<PrincipalId> {
        store.user_find(acme.id, named).await.unwrap().into_iter().map(|user| user.id).collect()
    };
    for named in ["u1", "alice@example.com", &id.to_string()] {
        assert_eq!(found(named).await, [id], "{named}");
    }
    assert_eq!(found("Alice").await, [id, namesake.id]);
    assert_eq!(found("alice").await, []);
    let page = |after: Option<PrincipalId>| PageRequest { after: after.map(|id| id.to_string()), limit: Some(1) };
    let first = store.user_list(acme.id, &page(None)).await.unwrap();
    assert_eq!((first.items[0].id, first.more), (id, true));
    let second = store.user_list(acme.id, &page(Some(id))).await.unwrap();
    assert_eq!((second.items[0].id, second.more), (namesake.id, false));
}

pub(in crate::store) async fn users_of_other_organisations_are_not_found(store: Subject) {
    let acme = acme(&store).await;
    let globex = organisation("globex");
    store.organisation_create(&globex, &change()).await.unwrap();
    let id = signed_in(&store, &sign_in(acme.id, "u1", 1, &[])).await.id;
    let other = signed_in(&store, &sign_in(globex.id, "u1", 1, &[])).await.id;
    assert_ne!(id, other, "the same person is another user in another organisation");
    assert_eq!(store.user_get(globex.id, id).await.unwrap(), None);
    assert_eq!(store.user_find(globex.id, &id.to_string()).await.unwrap(), []);
    assert_eq!(store.user_list(globex.id, &PageRequest::default()).await.unwrap().items.len(), 1);
    let update = UserUpdate { disabled: Some(true), no_delete: None };
    let refused = store.user_update(globex.id, id, update, &change()).await;
    assert_refused!(refused, StoreError::NotFound(Resource::Principal));
    assert_refused!(store.user_delete(globex.id, id, &change()).await, StoreError::NotFound(Resource::Principal));
}

pub(in crate::store) async fn user_owns_what_it_creates(store: Subject) {
    let warehouse_ref = store_warehouse(&store).await;
    let id = signed_in(&store, &sign_in(warehouse_ref.organisation, "u1", 1, &[])).await.id;
    let by_user = Change::by(Actor::User { id, name: "u1".into() }, NOW_MS);
    let sales = namespace(&["sales"]);
    store.namespace_create(warehouse_ref, &sales, &Default::default(), &by_user).await.unwrap();
    let access = store.principal_access(warehouse_ref.organisation, id, None).await.unwrap();
    assert_eq!(access.granted.len(), 1, "the namespace");
    let orders = ident(&sales, "orders");
    stored_table(&store, warehouse_ref, &orders).await;
    let filter = EventFilter { actor: Some(id.to_string()), ..EventFilter::default() };
    let events = store.event_list(Some(warehouse_ref.organisation), &filter, None, 10).await.unwrap().events;
    assert_eq!(events[0].actor, Actor::User { id, name: "u1".into() });
}

pub(in crate::store) async fn deleted_user_loses_its_roles_and_returns_as_another(store: Subject) {
    let acme = acme(&store).await;
    let (one, two) = (add_role(&store, acme.id, "one").await, add_role(&store, acme.id, "two").await);
    let id = signed_in(&store, &sign_in(acme.id, "u1", 5, &["one"])).await.id;
    store.principal_role_assign(acme.id, two, id, true, &change()).await.unwrap();
    store.user_delete(acme.id, id, &change()).await.unwrap();
    assert_eq!(store.user_get(acme.id, id).await.unwrap(), None);
    assert_eq!((members(&store, acme.id, one).await, members(&store, acme.id, two).await), (vec![], vec![]));
    let new = signed_in(&store, &sign_in(acme.id, "u1", 1, &["one"])).await.id;
    assert_ne!(new, id);
    assert_eq!((members(&store, acme.id, one).await, members(&store, acme.id, two).await), (vec![new], vec![]));
}

pub(in crate::store) async fn requests_and_last_use_of_users_are_recorded(store: Subject) {
    let acme = acme(&store).await;
    let id = signed_in(&store, &sign_in(acme.id, "u1", 1, &[])).await.id;
    let unknown = PrincipalId(fresh_uuid());
    let seen = |seen_ms| [(acme.id, id, seen_ms), (acme.id, unknown, seen_ms)];
    store.user_touch(&seen(NOW_MS + 2)).await.unwrap();
    store.user_touch(&seen(NOW_MS + 1)).await.unwrap();
    assert_eq!(user(&store, acme.id, id).await.last_seen_ms, Some(NOW_MS + 2));
    let usage = |id: PrincipalId| KeyUsage { organisation: acme.id, day: 7, key: KeyId(id.0), requests: 3 };
    store.key_usage_add(&[usage(id), usage(unknown)]).await.unwrap();
    assert_eq!(store.key_usage_list(acme.id, 7, 7).await.unwrap(), [usage(id)]);
}
