//! A principal without a built-in role and its grants, in an organisation with objects.

use axum::http::Method;
use serde_json::{Value, json};
use tidewater::auth::key::digest;
use tidewater::base::clock::fresh_uuid;
use tidewater::store::{CatalogRole, Change, Grant, PageRequest, PrincipalRole, WarehouseRef};
use tidewater_core::access::{Privilege, Role, Securable};
use tidewater_core::ids::{CatalogRoleId, OrganisationId, PrincipalId, PrincipalRoleId, TableId};
use tidewater_core::name::{NamespaceIdent, TableIdent};

use crate::support::{Answer, Catalog, create_table, create_view};

/// A namespace `a.b` with a table `t`, a view `v` and an empty namespace `empty`, and a sibling `a.bc` with a table and a view of the
/// same names, all made by an admin; and a principal that has one catalog role.
pub(super) struct Team<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) organisation: OrganisationId,
    pub(super) admin: String,
    /// The key of the principal.
    pub(super) key: String,
    place: WarehouseRef,
    role: CatalogRoleId,
}

pub(super) const NAMESPACE: &str = "/v1/namespaces/a%1Fb";
pub(super) const TABLE: &str = "/v1/namespaces/a%1Fb/tables/t";
pub(super) const VIEW: &str = "/v1/namespaces/a%1Fb/views/v";

pub(super) fn namespace(levels: &[&str]) -> NamespaceIdent {
    NamespaceIdent::new(levels).unwrap()
}

fn change() -> Change {
    Change::by_catalog(0)
}

impl<'a> Team<'a> {
    pub(super) async fn new(catalog: &'a Catalog) -> Self {
        let organisation = catalog.organisation(&format!("org-{}", fresh_uuid()), "enterprise").await;
        catalog.warehouse(organisation, "lake").await;
        Self::of(catalog, organisation).await
    }

    /// Creates the principals and the objects in the only warehouse of an organisation.
    pub(super) async fn of(catalog: &'a Catalog, organisation: OrganisationId) -> Self {
        let (admin, key) =
            (catalog.key(organisation, Role::Admin, None).await, catalog.key(organisation, Role::None, None).await);
        let warehouse = catalog.app.store().warehouse_list(organisation).await.unwrap().pop().unwrap().id;
        let place = WarehouseRef { organisation, warehouse };
        let role = CatalogRole { id: CatalogRoleId(fresh_uuid()), name: "team".to_owned(), created_ms: 0 };
        catalog.app.store().catalog_role_create(place, &role, &change()).await.unwrap();
        let team = Self { catalog, organisation, admin, key, place, role: role.id };
        team.join(&team.key).await;
        team.make_objects().await;
        team
    }

    async fn make_objects(&self) {
        let (catalog, admin) = (self.catalog, &self.admin);
        for levels in [&["a"][..], &["a", "b"], &["a", "bc"], &["a", "b", "empty"]] {
            catalog.post(admin, "/v1/namespaces", &json!({ "namespace": levels })).await.ok(200);
        }
        for sibling in ["a%1Fb", "a%1Fbc"] {
            let at = format!("/v1/namespaces/{sibling}");
            catalog.post(admin, &format!("{at}/tables"), &create_table("t")).await.ok(200);
            catalog.post(admin, &format!("{at}/views"), &create_view("v", "select 1")).await.ok(200);
        }
    }

    /// Assigns the catalog role to the principal of a key.
    pub(super) async fn join(&self, key: &str) {
        let store = self.catalog.app.store();
        let role = PrincipalRole { id: PrincipalRoleId(fresh_uuid()), name: fresh_uuid().to_string(), created_ms: 0 };
        store.principal_role_create(self.organisation, &role, &change()).await.unwrap();
        store
            .principal_role_assign(self.organisation, role.id, self.principal(key).await, true, &change())
            .await
            .unwrap();
        store.catalog_role_assign(self.place, self.role, role.id, true, &change()).await.unwrap();
    }

    pub(super) async fn principal(&self, key: &str) -> PrincipalId {
        let found = self.catalog.app.store().key_by_digest(&digest(key.as_bytes())).await.unwrap();
        found.unwrap().0.principal
    }

    pub(super) async fn table(&self, namespace: &NamespaceIdent, name: &str) -> TableId {
        let ident = TableIdent::new(namespace.clone(), name).unwrap();
        self.catalog.app.store().table_get(self.place, &ident).await.unwrap().unwrap().id
    }

    pub(super) async fn grant(&self, on: Securable, privilege: Privilege) {
        let grant = Grant { on, privilege };
        self.catalog.app.store().grant_add(self.place, self.role, &grant, 10_000, &change()).await.unwrap();
    }

    pub(super) async fn grant_on(&self, levels: &[&str], privilege: Privilege) {
        self.grant(Securable::Namespace(namespace(levels)), privilege).await;
    }

    pub(super) async fn revoke_all(&self) {
        let store = self.catalog.app.store();
        for grant in store.grant_list(self.place, self.role).await.unwrap() {
            store.grant_revoke(self.place, self.role, &grant, &change()).await.unwrap();
        }
    }

    pub(super) async fn ask(&self, method: Method, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.catalog.bytes(&self.key, method, path, body).await
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.catalog.get(&self.key, path).await
    }

    /// Returns the tables in a namespace that the principal owns, from the store.
    pub(super) async fn owned(&self, levels: &[&str]) -> Vec<String> {
        let store = self.catalog.app.store();
        let (page, owner) = (PageRequest::default(), self.principal(&self.key).await);
        let kind = tidewater::store::TableKind::Table;
        store.table_list_owned(self.place, &namespace(levels), kind, owner, &page).await.unwrap().items
    }
}
