//! Two servers over one database, SQLite or PostgreSQL.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tidewater_core::access::{Privilege, Role, Securable};
use tidewater_core::ids::{CatalogRoleId, OrganisationId, PrincipalRoleId, WarehouseId};
use tidewater_core::name::NamespaceIdent;

use crate::app::App;
use crate::auth::{NewKey, entropy, issue_key};
use crate::base::clock::fresh_uuid;
use crate::config::Config;
use crate::store::faulty::FaultyStore;
use crate::store::{
    self, ApiKey, CatalogRole, Change, Grant, Organisation, PrincipalRole, Store, TestSchema, Warehouse,
    WarehouseOptions, WarehouseRef, WarehouseStorage,
};

/// Two servers, `a` and `b`, over one database, with an organisation, a warehouse and the table `ns.t`.
pub(super) struct World {
    pub(super) a: Server,
    pub(super) b: Server,
    pub(super) warehouse: WarehouseRef,
    folder: TempDir,
    /// Removed after the servers.
    _schema: Option<TestSchema>,
}

/// A server with its store.
pub(super) struct Server {
    pub(super) app: App,
    pub(super) store: Arc<FaultyStore>,
}

impl Server {
    async fn start(folder: &TempDir, store: Arc<dyn Store>) -> Self {
        let (listen, data_dir) = ("127.0.0.1:0".parse().unwrap(), folder.path().join("data"));
        let config = Config { listen, data_dir, ..Config::default() };
        std::fs::create_dir_all(&config.data_dir).unwrap();
        let store = Arc::new(FaultyStore::new(store));
        let app = App::over(&config, Arc::clone(&store) as Arc<dyn Store>).await.unwrap();
        Self { app, store }
    }

    /// Sends a request, and returns the status and the body.
    pub(super) async fn ask(&self, credential: &str, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {credential}"))
            .header("content-type", "application/json");
        self.send(request.body(body).unwrap()).await
    }

    pub(super) async fn send(&self, request: Request<Body>) -> (u16, Value) {
        let response = self.app.service().handle(request).await;
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    pub(super) async fn status(&self, credential: &str, method: &Method, path: &str, body: &Value) -> u16 {
        self.ask(credential, method.clone(), path, body).await.0
    }
}

pub(super) fn change() -> Change {
    Change::by_catalog(0)
}

impl World {
    /// Creates one world on SQLite, whose servers share the store, and one on PostgreSQL, where each has its own.
    pub(super) async fn both() -> [Self; 2] {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = store::open(&folder.path().join("t.db")).unwrap();
        let schema = TestSchema::create().await;
        let (one, other): (Arc<dyn Store>, Arc<dyn Store>) = (schema.open().await, schema.open().await);
        [
            Self::over(folder, [Arc::clone(&sqlite), sqlite], None).await,
            Self::over(tempfile::tempdir().unwrap(), [one, other], Some(schema)).await,
        ]
    }

    async fn over(folder: TempDir, [a, b]: [Arc<dyn Store>; 2], schema: Option<TestSchema>) -> Self {
        let organisation = Organisation::new(OrganisationId(fresh_uuid()), "acme", "enterprise", 1);
        a.organisation_create(&organisation, &change()).await.unwrap();
        let (a, b) = (Server::start(&folder, a).await, Server::start(&folder, b).await);
        let warehouse = WarehouseRef { organisation: organisation.id, warehouse: WarehouseId(fresh_uuid()) };
        let world = Self { a, b, warehouse, folder, _schema: schema };
        world.create_warehouse("lake", warehouse.warehouse, true).await;
        let admin = world.key(Role::Admin).await.1;
        let made = world.a.ask(&admin, Method::POST, "/v1/namespaces", &json!({ "namespace": ["ns"] })).await;
        assert_eq!(made.0, 200, "{}", made.1);
        world.create_table(&admin, "t").await;
        world
    }

    pub(super) async fn create_table(&self, admin: &str, name: &str) {
        let field = json!({ "id": 1, "name": "id", "required": true, "type": "long" });
        let table = json!({ "name": name, "schema": { "type": "struct", "fields": [field] } });
        let made = self.a.ask(admin, Method::POST, "/v1/namespaces/ns/tables", &table).await;
        assert_eq!(made.0, 200, "{}", made.1);
    }

    pub(super) async fn create_warehouse(&self, name: &str, id: WarehouseId, is_default: bool) {
        let warehouse = Warehouse {
            id,
            organisation: self.warehouse.organisation,
            name: name.to_owned(),
            root: format!("file://{}/{name}", self.folder.path().display()),
            storage: WarehouseStorage::local(),
            options: WarehouseOptions::default(),
            is_default,
            created_ms: 1,
        };
        self.a.store.warehouse_create(&warehouse, &change()).await.unwrap();
    }

    /// Creates a key through server `a`. Returns it with its text.
    pub(super) async fn key(&self, role: Role) -> (ApiKey, String) {
        let name = format!("key {}", fresh_uuid());
        let new = NewKey { name: &name, role, no_delete: false, expires_ms: None };
        let random = entropy().unwrap();
        let issued = issue_key(&*self.a.store, self.warehouse.organisation, &new, &change(), &random).await.unwrap();
        (issued.0, issued.1.expose().clone())
    }

    pub(super) async fn revoke(&self, key: &ApiKey) {
        self.a.store.key_revoke(self.warehouse.organisation, key.id, &change()).await.unwrap();
    }

    /// Gives a key's principal a catalog role with a grant on the namespace. Returns the role and the grant.
    pub(super) async fn grant(&self, key: &ApiKey, privilege: Privilege) -> (CatalogRoleId, Grant) {
        let (store, organisation) = (&self.a.store, self.warehouse.organisation);
        let (id, name) = (PrincipalRoleId(fresh_uuid()), fresh_uuid().to_string());
        let principal_role = PrincipalRole { id, name, created_ms: 1 };
        let role = CatalogRole { id: CatalogRoleId(fresh_uuid()), name: principal_role.name.clone(), created_ms: 1 };
        store.principal_role_create(organisation, &principal_role, &change()).await.unwrap();
        store.catalog_role_create(self.warehouse, &role, &change()).await.unwrap();
        store.principal_role_assign(organisation, id, key.principal, true, &change()).await.unwrap();
        store.catalog_role_assign(self.warehouse, role.id, id, true, &change()).await.unwrap();
        let grant = Grant { on: Securable::Namespace(NamespaceIdent::new(&["ns"]).unwrap()), privilege };
        store.grant_add(self.warehouse, role.id, &grant, u64::MAX, &change()).await.unwrap();
        (role.id, grant)
    }
}
