//! A catalog in this process, and helpers that send requests to it.

mod callsites;
pub(crate) mod snapshots;
mod store;

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tidewater::api::Machine;
use tidewater::app::App;
use tidewater::auth::key::{NewKey, entropy, issue_key};
use tidewater::base::clock::{Clock, fresh_uuid};
use tidewater::base::secret::Secret;
use tidewater::config::Config;
use tidewater::store::{Change, Organisation, Warehouse, WarehouseOptions, WarehouseStorage};
use tidewater_core::access::Role;
use tidewater_core::ids::{OrganisationId, WarehouseId};
use tidewater_core::limits::Tier;

pub(crate) use store::is_postgres;

/// A catalog with its own folder. It has no port: tests pass requests as values.
pub(crate) struct Catalog {
    pub(crate) app: App,
    pub(crate) folder: Arc<tempfile::TempDir>,
}

/// An organisation with a key.
#[derive(Clone)]
pub(crate) struct Tenant {
    pub(crate) organisation: OrganisationId,
    pub(crate) key: String,
}

/// A complete response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    /// Returns the body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.bytes)))
    }

    /// Asserts success with that status, and returns the body (null if there is none).
    #[track_caller]
    pub(crate) fn ok(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.bytes));
        if self.bytes.is_empty() { Value::Null } else { self.json() }
    }

    /// Asserts an error of that status and type in the specification's shape. Returns its message.
    #[track_caller]
    pub(crate) fn error(&self, status: u16, kind: &str) -> String {
        let body = self.json();
        assert_eq!((self.status.as_u16(), &body["error"]["type"]), (status, &json!(kind)), "{body}");
        assert_eq!(body["error"]["code"], status, "{body}");
        assert_eq!(body.as_object().map(serde_json::Map::len), Some(1), "nothing but the error: {body}");
        body["error"]["message"].as_str().expect("a message").to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.headers)).to_str().expect("text")
    }
}

impl Catalog {
    pub(crate) async fn new() -> Self {
        Self::with(|_| ()).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::reopen(Arc::new(tempfile::tempdir().expect("a folder")), change).await
    }

    /// Opens a catalog over an existing folder.
    pub(crate) async fn reopen(folder: Arc<tempfile::TempDir>, change: impl FnOnce(&mut Config)) -> Self {
        callsites::keep_interested();
        let config = config_in(&folder, change);
        store::prepare(&config).await;
        Self { app: App::start(config).await.expect("a catalog"), folder }
    }

    /// Creates a catalog with another clock.
    pub(crate) async fn with_clock(clock: Clock, change: impl FnOnce(&mut Config)) -> Self {
        let folder = Arc::new(tempfile::tempdir().expect("a folder"));
        let config = config_in(&folder, change);
        let store = store::open(&config).await;
        let app = App::over_with_clock(&config, store, clock).await.expect("a catalog");
        Self { app, folder }
    }

    /// Starts a second server over the same database, as another process would.
    pub(crate) async fn second_server(&self) -> Self {
        let config = config_in(&self.folder, |_| ());
        let store = store::open(&config).await;
        let app = App::over(&config, store).await.expect("a catalog");
        Self { app, folder: Arc::clone(&self.folder) }
    }

    /// Stops the server as a signal would: it writes its memory to the database.
    pub(crate) async fn stop(self) -> Arc<tempfile::TempDir> {
        self.app.run_until(async {}).await.expect("an orderly end");
        self.folder
    }

    /// Creates an organisation with a default warehouse `main` and an admin's key.
    pub(crate) async fn tenant(&self, name: &str, tier: &str) -> Tenant {
        let organisation = self.organisation(name, tier).await;
        self.warehouse(organisation, "main").await;
        Tenant { organisation, key: self.key(organisation, Role::Admin, None).await }
    }

    /// Creates an organisation without a warehouse or a key.
    pub(crate) async fn organisation(&self, name: &str, tier: &str) -> OrganisationId {
        let organisation = Organisation::new(OrganisationId(fresh_uuid()), name, tier, Clock::System.now_ms());
        self.app.store().organisation_create(&organisation, &Change::by_catalog(0)).await.expect("an organisation");
        organisation.id
    }

    pub(crate) async fn warehouse(&self, organisation: OrganisationId, name: &str) {
        let warehouse = Warehouse {
            id: WarehouseId(fresh_uuid()),
            organisation,
            name: name.to_owned(),
            root: format!("file://{}/{organisation}/{name}", self.folder.path().display()),
            storage: WarehouseStorage::local(),
            options: WarehouseOptions::default(),
            is_default: false,
            created_ms: Clock::System.now_ms(),
        };
        self.app.store().warehouse_create(&warehouse, &Change::by_catalog(0)).await.expect("a warehouse");
    }

    pub(crate) async fn key(&self, organisation: OrganisationId, role: Role, expires_ms: Option<i64>) -> String {
        let store = self.app.store();
        let now_ms = expires_ms.map_or_else(|| Clock::System.now_ms(), |expires_ms| expires_ms - 1);
        let random = entropy().expect("random bytes");
        let issue = async |name: &str| {
            let new = NewKey { name, role, no_delete: false, expires_ms };
            issue_key(store.as_ref(), organisation, &new, &Change::by_catalog(now_ms), &random).await
        };
        // The organisation's first key. Names of keys are unique.
        if let Ok(issued) = issue("test").await {
            return issued.1.expose().clone();
        }
        issue(&format!("test-{}", fresh_uuid())).await.expect("a key").1.expose().clone()
    }

    /// Sends a request as a local user, over the control socket.
    pub(crate) async fn machine(&self, method: Method, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let mut request = Request::builder().method(method).uri(path).body(body).expect("a request");
        request.extensions_mut().insert(Machine { user: "root".into() });
        self.send(request).await
    }

    /// Creates an operator and returns its key.
    pub(crate) async fn operator(&self) -> String {
        let made = self.machine(Method::POST, "/management/v1/operators", &json!({ "name": "ops" })).await.ok(200);
        made["api_key"].as_str().expect("a key").to_owned()
    }

    /// Sends any request.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.app.service().handle(request).await;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, bytes }
    }

    /// Sends a signed-in request without a body and with more headers.
    pub(crate) async fn with_headers(&self, key: &str, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {key}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::empty()).expect("a request")).await
    }

    /// Sends a signed-in request with these bytes as its body.
    pub(crate) async fn bytes(&self, key: &str, method: Method, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/json");
        self.send(request.body(Body::from(body.into())).expect("a request")).await
    }

    pub(crate) async fn get(&self, key: &str, path: &str) -> Answer {
        self.bytes(key, Method::GET, path, "").await
    }

    pub(crate) async fn delete(&self, key: &str, path: &str) -> Answer {
        self.bytes(key, Method::DELETE, path, "").await
    }

    pub(crate) async fn post(&self, key: &str, path: &str, body: &Value) -> Answer {
        self.bytes(key, Method::POST, path, body.to_string()).await
    }

    pub(crate) async fn patch(&self, key: &str, path: &str, body: &Value) -> Answer {
        self.bytes(key, Method::PATCH, path, body.to_string()).await
    }

    /// Creates a namespace `ns` with a table `t` of two columns. Returns the response to its creation.
    pub(crate) async fn with_table(&self, tenant: &Tenant) -> Value {
        self.post(&tenant.key, "/v1/namespaces", &json!({ "namespace": ["ns"] })).await.ok(200);
        self.post(&tenant.key, "/v1/namespaces/ns/tables", &create_table("t")).await.ok(200)
    }
}

/// Returns the settings of a catalog in a folder, on any port, with a tier of small limits.
fn config_in(folder: &tempfile::TempDir, change: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config {
        listen: "127.0.0.1:0".parse().expect("an address"),
        data_dir: folder.path().join("data"),
        store: store::settings(folder),
        ..Config::default()
    };
    if is_postgres() {
        // Servers that share a database create no master key.
        config.storage.master_key = Secret::new("MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=".to_owned());
    }
    config.tiers.insert("tiny".to_owned(), Tier { requests_per_day: Some(5), max_tables: Some(2), ..Tier::default() });
    config.events.pull = true;
    change(&mut config);
    config
}

/// Returns a request for a table of two columns.
pub(crate) fn create_table(name: &str) -> Value {
    json!({ "name": name, "schema": { "type": "struct", "fields": [
        { "id": 1, "name": "id", "required": true, "type": "long" },
        { "id": 2, "name": "text", "required": false, "type": "string" },
    ] } })
}

/// Returns a request for a view of one column, with one query in Spark's dialect.
pub(crate) fn create_view(name: &str, sql: &str) -> Value {
    json!({ "name": name, "properties": {},
        "schema": { "type": "struct", "fields": [{ "id": 1, "name": "id", "required": false, "type": "int" }] },
        "view-version": { "version-id": 1, "timestamp-ms": 1_700_000_000_000_i64, "schema-id": 0, "summary": {},
            "default-namespace": ["ns"], "representations": [{ "type": "sql", "sql": sql, "dialect": "spark" }] } })
}
