//! Tests of tokens that are narrowed to some principal roles.

use tidewater_core::access::{Privilege, Role, Securable};
use tidewater_core::ids::{CatalogRoleId, PrincipalRoleId};

use super::sign_in::{EXCHANGE, TOKEN_TYPE, basic, refusal, sign_in};
use crate::auth::testing::{World, bearer, warehouse};
use crate::auth::token::MAX_SELECTED_ROLES;
use crate::auth::{Authenticator, Caller, CredentialSource, OAuthErrorKind};
use crate::base::clock::fresh_uuid;
use crate::store::{ApiKey, CatalogRole, Change, Grant, GrantStore, PrincipalRole, WarehouseRef, WarehouseStore};

fn change() -> Change {
    Change::by_catalog(0)
}

/// An organisation with a warehouse and principal roles that each have one grant on it.
struct Roles {
    world: World,
    warehouse_ref: WarehouseRef,
}

impl Roles {
    async fn new() -> Self {
        let world = World::new("premium", &[]).await;
        let new = warehouse(world.organisation.id);
        world.store.warehouse_create(&new, &change()).await.unwrap();
        let warehouse_ref = WarehouseRef { organisation: new.organisation, warehouse: new.id };
        Self { world, warehouse_ref }
    }

    /// Creates a principal role with a grant on the warehouse, and assigns it to the key's principal.
    async fn give(&self, key: &ApiKey, name: &str, privilege: Privilege) -> PrincipalRoleId {
        let id = self.create(name, privilege).await;
        self.assign(key, id, true).await;
        id
    }

    async fn create(&self, name: &str, privilege: Privilege) -> PrincipalRoleId {
        let (store, organisation) = (&self.world.store, self.warehouse_ref.organisation);
        let role = PrincipalRole { id: PrincipalRoleId(fresh_uuid()), name: name.to_owned(), created_ms: 0 };
        let catalog_role = CatalogRole { id: CatalogRoleId(fresh_uuid()), name: name.to_owned(), created_ms: 0 };
        store.principal_role_create(organisation, &role, &change()).await.unwrap();
        store.catalog_role_create(self.warehouse_ref, &catalog_role, &change()).await.unwrap();
        store.catalog_role_assign(self.warehouse_ref, catalog_role.id, role.id, true, &change()).await.unwrap();
        let grant = Grant { on: Securable::Warehouse, privilege };
        store.grant_add(self.warehouse_ref, catalog_role.id, &grant, 10, &change()).await.unwrap();
        role.id
    }

    async fn assign(&self, key: &ApiKey, role: PrincipalRoleId, assigned: bool) {
        let store = &self.world.store;
        store
            .principal_role_assign(self.warehouse_ref.organisation, role, key.principal, assigned, &change())
            .await
            .unwrap();
    }
}

async fn caller(server: &Authenticator, token: &str) -> std::sync::Arc<Caller> {
    server.authenticate(Some(bearer(token).as_bytes()), CredentialSource::default()).await.unwrap()
}

/// Returns whether the token sees the warehouse, and whether it may change anything.
async fn rights(server: &Authenticator, roles: &Roles, token: &str) -> (bool, bool) {
    let principal = crate::access::Principal::from(caller(server, token).await);
    (principal.sees_warehouse(roles.warehouse_ref.warehouse), principal.may_change())
}

/// Returns the token and scope that a key gets.
async fn narrowed(server: &Authenticator, key: &str, scope: &str) -> (String, String) {
    let body = format!("grant_type=client_credentials&client_secret={key}&scope={scope}");
    let answer = sign_in(server, &body, None).await.unwrap();
    (answer.access_token.expose().clone(), answer.scope)
}

#[tokio::test]
async fn narrowed_token_has_the_grants_of_its_roles_alone() {
    let roles = Roles::new().await;
    let (key, text) = roles.world.key(Role::Admin, None).await;
    roles.give(&key, "readers", Privilege::TableReadData).await;
    roles.give(&key, "Data team", Privilege::TableWriteData).await;
    roles.create("others", Privilege::TableDrop).await;
    let server = roles.world.server();

    let (token, scope) = narrowed(&server, &text, "catalog+PRINCIPAL_ROLE:readers").await;
    assert_eq!(scope, "PRINCIPAL_ROLE:readers");
    assert_eq!(rights(&server, &roles, &token).await, (true, false));
    assert_eq!(caller(&server, &token).await.role(), Role::None, "the built-in role does not apply");
    assert_eq!(caller(&server, &token).await.owner(), None, "nor does ownership");
    let (token, scope) = narrowed(&server, &text, "PRINCIPAL_ROLE:Data%2520team").await;
    assert_eq!(scope, "PRINCIPAL_ROLE:Data%20team");
    assert_eq!(rights(&server, &roles, &token).await, (true, true));
    for all in ["PRINCIPAL_ROLE:ALL", "catalog"] {
        let (token, scope) = narrowed(&server, &text, all).await;
        assert_eq!(scope, all);
        assert_eq!(caller(&server, &token).await.role(), Role::Admin);
    }
    for foreign in ["PRINCIPAL_ROLE:others", "PRINCIPAL_ROLE:readers+PRINCIPAL_ROLE:others", "PRINCIPAL_ROLE:missing"] {
        let body = format!("grant_type=client_credentials&client_secret={text}&scope={foreign}");
        assert_eq!(refusal(&server, &body, None).await, OAuthErrorKind::InvalidScope, "{foreign}");
    }
}

#[tokio::test]
async fn renewal_of_a_narrowed_token_never_widens_it() {
    let roles = Roles::new().await;
    let (key, text) = roles.world.key(Role::Writer, None).await;
    for name in ["a", "b"] {
        roles.give(&key, name, Privilege::TableReadData).await;
    }
    let server = roles.world.server();
    let (token, _) = narrowed(&server, &text, "PRINCIPAL_ROLE:a").await;
    let exchange = |scope: &str| format!("{EXCHANGE}&subject_token={token}&{TOKEN_TYPE}&scope={scope}");
    let with_key = basic("", &text);
    roles.world.advance(1_000);
    for (header, expired) in
        [(Some(bearer(&token)), false), (None, false), (Some(with_key.clone()), false), (Some(with_key), true)]
    {
        if expired {
            roles.world.advance(7_200_000);
        }
        for scope in ["catalog", "PRINCIPAL_ROLE:ALL", "PRINCIPAL_ROLE:a"] {
            let renewed = sign_in(&server, &exchange(scope), header.as_deref()).await.unwrap();
            assert_eq!(renewed.scope, "PRINCIPAL_ROLE:a", "{scope} {expired}");
            assert_eq!(
                rights(&server, &roles, renewed.access_token.expose()).await,
                (true, false),
                "{scope} {expired}"
            );
        }
        let other = refusal(&server, &exchange("PRINCIPAL_ROLE:b"), header.as_deref()).await;
        assert_eq!(other, OAuthErrorKind::InvalidScope, "{expired}");
    }
}

#[tokio::test]
async fn expired_token_of_another_principal_is_not_renewed() {
    let world = World::new("premium", &[]).await;
    let ((_, one), (_, other)) = (world.key(Role::Reader, None).await, world.key(Role::Admin, None).await);
    let server = world.server();
    let (token, _) = narrowed(&server, &one, "catalog").await;
    world.advance(7_200_000);
    let exchange = format!("{EXCHANGE}&subject_token={token}&{TOKEN_TYPE}");
    assert_eq!(refusal(&server, &exchange, Some(&basic("", &other))).await, OAuthErrorKind::InvalidGrant);
    assert!(sign_in(&server, &exchange, Some(&basic("", &one))).await.is_ok());
}

#[tokio::test]
async fn removed_assignment_narrows_existing_tokens_at_once() {
    let roles = Roles::new().await;
    let (key, text) = roles.world.key(Role::None, None).await;
    let role = roles.give(&key, "readers", Privilege::TableReadData).await;
    let server = roles.world.server();
    let (token, _) = narrowed(&server, &text, "PRINCIPAL_ROLE:readers").await;
    assert!(rights(&server, &roles, &token).await.0);
    roles.assign(&key, role, false).await;
    assert!(!rights(&server, &roles, &token).await.0);
    roles.assign(&key, role, true).await;
    assert!(rights(&server, &roles, &token).await.0);
}

#[tokio::test]
async fn token_with_the_most_roles_is_accepted_and_more_are_refused() {
    let roles = Roles::new().await;
    let (key, text) = roles.world.key(Role::None, None).await;
    let mut scope = Vec::new();
    for number in 0..=MAX_SELECTED_ROLES {
        let name = format!("role{number}");
        roles.give(&key, &name, Privilege::TableReadData).await;
        scope.push(format!("PRINCIPAL_ROLE:{name}"));
    }
    let server = roles.world.server();
    let (token, _) = narrowed(&server, &text, &scope[..MAX_SELECTED_ROLES].join("+")).await;
    assert_eq!(caller(&server, &token).await.selected_roles().unwrap().len(), MAX_SELECTED_ROLES);
    let body = format!("grant_type=client_credentials&client_secret={text}&scope={}", scope.join("+"));
    assert_eq!(refusal(&server, &body, None).await, OAuthErrorKind::InvalidScope);
}
