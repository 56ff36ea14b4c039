//! Polaris' management API, and the catalog below Polaris' base.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};

use crate::support::{Answer, Catalog, Tenant, create_table};

const API: &str = "/api/management/v1";

struct World {
    catalog: Catalog,
    acme: Tenant,
}

impl World {
    async fn new() -> Self {
        let catalog = Catalog::new().await;
        let acme = catalog.tenant("acme", "enterprise").await;
        catalog.with_table(&acme).await;
        Self { catalog, acme }
    }

    /// Sends a request as the admin.
    async fn send(&self, method: Method, path: &str, body: &Value) -> Answer {
        self.send_as(&self.acme.key, method, path, body).await
    }

    async fn send_as(&self, key: &str, method: Method, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.catalog.bytes(key, method, &format!("{API}{path}"), body).await
    }

    async fn get(&self, path: &str) -> Value {
        self.send(Method::GET, path, &Value::Null).await.ok(200)
    }

    /// Creates a principal with the roles `analysts` and `readers`. Returns its credentials.
    async fn team(&self) -> Value {
        let made = self.send(Method::POST, "/principals", &json!({ "principal": { "name": "etl" } })).await.ok(201);
        let named = |field: &str, name: &str| json!({ field: { "name": name } });
        for (method, path, body) in [
            (Method::POST, "/principal-roles", named("principalRole", "analysts")),
            (Method::POST, "/catalogs/main/catalog-roles", named("catalogRole", "readers")),
            (Method::PUT, "/principals/etl/principal-roles", named("principalRole", "analysts")),
            (Method::PUT, "/principal-roles/analysts/catalog-roles/main", named("catalogRole", "readers")),
        ] {
            self.send(method, path, &body).await.ok(201);
        }
        made["credentials"].clone()
    }

    async fn grant(&self, method: Method, path: &str, grant: &Value) -> Answer {
        let path = format!("/catalogs/main/catalog-roles/readers/grants{path}");
        self.send(method, &path, &json!({ "grant": grant })).await
    }

    async fn grants(&self) -> Vec<Value> {
        self.get("/catalogs/main/catalog-roles/readers/grants").await["grants"].as_array().unwrap().clone()
    }
}

fn on_table() -> Value {
    json!({ "type": "table", "namespace": ["ns"], "tableName": "t", "privilege": "TABLE_READ_DATA" })
}

#[tokio::test]
async fn roles_and_grants_of_polaris_are_those_of_the_management_api() {
    let world = World::new().await;
    let (key, load) = (world.team().await["clientSecret"].clone(), "/api/catalog/v1/main/namespaces/ns/tables/t");
    let key = key.as_str().unwrap();
    world.catalog.get(key, load).await.error(404, "NoSuchWarehouseException");
    assert_eq!(world.grant(Method::PUT, "", &on_table()).await.status, 201);
    world.catalog.get(key, load).await.ok(200);
    assert_eq!(world.grants().await, [on_table()]);
    let own = "/management/v1/organisations/acme/warehouses/main/catalog-roles/readers/grants";
    let listed = world.catalog.get(&world.acme.key, own).await.ok(200);
    assert_eq!(listed["grants"][0]["name"], "t");
    assert_eq!(world.get("/principals/etl/principal-roles").await["roles"][0]["name"], "analysts");
    assert_eq!(world.get("/principal-roles/analysts/principals").await["principals"][0]["name"], "etl");
    assert_eq!(world.get("/principal-roles/analysts/catalog-roles/main").await["roles"][0]["name"], "readers");
    let members = world.get("/catalogs/main/catalog-roles/readers/principal-roles").await;
    assert_eq!(members["roles"][0]["name"], "analysts");

    assert_eq!(world.grant(Method::POST, "", &on_table()).await.status, 201);
    world.catalog.get(key, load).await.error(404, "NoSuchWarehouseException");
    world.send(Method::DELETE, "/principals/etl", &Value::Null).await.ok(204);
    world.catalog.get(key, load).await.error(401, "NotAuthorizedException");
    world.send(Method::GET, "/principals/etl", &Value::Null).await.error(404, "NotFoundException");
}

#[tokio::test]
async fn cascading_revocation_reaches_all_objects_in_the_object() {
    let world = World::new().await;
    world.team().await;
    let privilege = "TABLE_LIST";
    let on_catalog = json!({ "type": "catalog", "privilege": privilege });
    let on_namespace = json!({ "type": "namespace", "namespace": ["ns"], "privilege": privilege });
    let on_table = json!({ "type": "table", "namespace": ["ns"], "tableName": "t", "privilege": privilege });
    let other = json!({ "type": "namespace", "namespace": ["ns"], "privilege": "VIEW_LIST" });
    for grant in [&on_catalog, &on_namespace, &on_table, &other] {
        world.grant(Method::PUT, "", grant).await.ok(201);
    }
    world.grant(Method::POST, "?cascade=false", &on_catalog).await.ok(201);
    assert_eq!(world.grants().await.len(), 3);
    world.grant(Method::POST, "?cascade=true", &on_catalog).await.ok(201);
    assert_eq!(world.grants().await, [other]);
}

#[tokio::test]
async fn privilege_that_is_not_enforced_is_refused_with_the_known_ones() {
    let world = World::new().await;
    world.team().await;
    for privilege in ["TABLE_ADD_SNAPSHOT", "CATALOG_ATTACH_POLICY", "TABLE_MANAGE_STRUCTURE"] {
        let grant = json!({ "type": "catalog", "privilege": privilege });
        let message = world.grant(Method::PUT, "", &grant).await.error(400, "BadRequestException");
        assert!(message.contains(privilege) && message.contains("TABLE_WRITE_DATA"), "{message}");
    }
    let policy =
        json!({ "type": "policy", "namespace": ["ns"], "policyName": "p", "privilege": "CATALOG_MANAGE_ACCESS" });
    let message = world.grant(Method::PUT, "", &policy).await.error(400, "BadRequestException");
    assert!(message.contains("no policies"), "{message}");
    let both = json!({ "type": "table", "namespace": ["ns"], "viewName": "t", "privilege": "TABLE_LIST" });
    world.grant(Method::PUT, "", &both).await.error(400, "BadRequestException");
    assert!(world.grants().await.is_empty());
}

#[tokio::test]
async fn update_of_an_old_version_is_refused_for_each_kind_of_object() {
    let world = World::new().await;
    world.team().await;
    for path in
        ["/catalogs/main", "/principals/etl", "/principal-roles/analysts", "/catalogs/main/catalog-roles/readers"]
    {
        let before = world.get(path).await;
        assert_eq!(before["entityVersion"], 1, "{path}");
        let mut properties = before["properties"].clone();
        properties["a"] = "b".into();
        let update = json!({ "currentEntityVersion": 1, "properties": properties });
        let updated = world.send(Method::PUT, path, &update).await.ok(200);
        assert_eq!((&updated["entityVersion"], &updated["properties"]), (&json!(2), &properties), "{path}");
        let stale = json!({ "currentEntityVersion": 1, "properties": {} });
        let message = world.send(Method::PUT, path, &stale).await.error(409, "ConflictException");
        assert!(message.contains("version 2"), "{message}");
        assert_eq!(world.get(path).await, updated, "{path}");
        assert!(updated["lastUpdateTimestamp"].as_i64() >= updated["createTimestamp"].as_i64(), "{path}");
    }
    let events = "/management/v1/organisations/acme/events?operation=set-properties";
    let events = world.catalog.get(&world.acme.key, events).await.ok(200);
    assert_eq!(events["events"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn change_through_the_management_api_raises_the_version() {
    let world = World::new().await;
    world.team().await;
    let warehouse = "/management/v1/organisations/acme/warehouses/main";
    world.catalog.patch(&world.acme.key, warehouse, &json!({ "options": { "purge": "at-once" } })).await.ok(200);
    assert_eq!(world.get("/catalogs/main").await["entityVersion"], 2);
    let key = "/management/v1/organisations/acme/keys/etl";
    world.catalog.patch(&world.acme.key, key, &json!({ "name": "loader" })).await.ok(200);
    assert_eq!(world.get("/principals/loader").await["entityVersion"], 2);
}

#[tokio::test]
async fn new_object_with_an_old_name_has_no_old_properties() {
    let world = World::new().await;
    let create = |properties: Value| json!({ "principalRole": { "name": "r", "properties": properties } });
    world.send(Method::POST, "/principal-roles", &create(json!({ "a": "b" }))).await.ok(201);
    world.send(Method::POST, "/principal-roles", &create(json!({}))).await.error(409, "AlreadyExistsException");
    world.send(Method::DELETE, "/principal-roles/r", &Value::Null).await.ok(204);
    let made = world.send(Method::POST, "/principal-roles", &create(json!({}))).await.ok(201);
    assert_eq!((&made["properties"], &made["entityVersion"]), (&json!({}), &json!(1)));
    world.send(Method::DELETE, "/principal-roles/none", &Value::Null).await.error(404, "NotFoundException");
}

#[tokio::test]
async fn key_names_only_its_own_realm_and_an_operator_any() {
    let world = World::new().await;
    let (path, catalog) = (format!("{API}/principals"), &world.catalog);
    let in_realm =
        async |key: &str, realm: &str| catalog.with_headers(key, Method::GET, &path, &[("polaris-realm", realm)]).await;
    let id = world.acme.organisation.to_string();
    for own in ["acme", &*id] {
        in_realm(&world.acme.key, own).await.ok(200);
    }
    let operator = catalog.operator().await;
    catalog.get(&operator, &path).await.ok(200);
    catalog.tenant("other", "enterprise").await;
    in_realm(&world.acme.key, "other").await.error(404, "NotFoundException");
    in_realm(&world.acme.key, "POLARIS").await.error(404, "NotFoundException");
    in_realm(&operator, "other").await.ok(200);
    let message = catalog.get(&operator, &path).await.error(400, "BadRequestException");
    assert!(message.contains("Polaris-Realm"), "{message}");
    let twice = [("polaris-realm", "acme"), ("polaris-realm", "acme")];
    catalog.with_headers(&operator, Method::GET, &path, &twice).await.error(400, "BadRequestException");
}

#[tokio::test]
async fn manager_of_access_manages_catalog_roles_and_nothing_else() {
    let world = World::new().await;
    let key = world.team().await["clientSecret"].clone();
    let key = key.as_str().unwrap();
    let manage = json!({ "type": "catalog", "privilege": "CATALOG_MANAGE_ACCESS" });
    world
        .send_as(key, Method::GET, "/catalogs/main/catalog-roles", &Value::Null)
        .await
        .error(404, "NoSuchWarehouseException");
    world.grant(Method::PUT, "", &manage).await.ok(201);
    world.send_as(key, Method::GET, "/catalogs/main/catalog-roles", &Value::Null).await.ok(200);
    world
        .send_as(key, Method::PUT, "/catalogs/main/catalog-roles/readers/grants", &json!({ "grant": on_table() }))
        .await
        .ok(201);
    for path in ["/catalogs", "/catalogs/main", "/principals", "/principal-roles"] {
        world.send_as(key, Method::GET, path, &Value::Null).await.error(403, "ForbiddenException");
    }
}

#[tokio::test]
async fn properties_above_the_limit_and_unknown_fields_are_refused() {
    let world = World::new().await;
    let long = json!({ "principal": { "name": "p", "properties": { "a": "x".repeat(20_000) } } });
    world.send(Method::POST, "/principals", &long).await.error(400, "BadRequestException");
    let unknown = json!({ "principal": { "name": "q", "typo": 1 } });
    world.send(Method::POST, "/principals", &unknown).await.error(400, "BadRequestException");
    let rotation = json!({ "principal": { "name": "q" }, "credentialRotationRequired": true });
    world.send(Method::POST, "/principals", &rotation).await.error(400, "BadRequestException");
    world.send(Method::GET, "/principals?pageToken=x", &Value::Null).await.error(400, "BadRequestException");
    assert_eq!(world.get("/principals").await["principals"].as_array().unwrap().len(), 1, "only the admin's");
}

/// Method, path below the base, and headers.
type Attack = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// Requests that must be refused, or that could be read in two ways.
const ATTACKS: [Attack; 22] = [
    ("GET", "/config", &[]),
    ("GET", "/config", &[("authorization", "Bearer garbage")]),
    ("GET", "/config", &[("authorization", "Basic eDp5")]),
    ("GET", "/config?warehouse=other", &[]),
    ("GET", "/namespaces/ns/tables/t", &[("authorization", "Bearer flx_x")]),
    ("GET", "/other/namespaces/ns/tables/t", &[]),
    ("GET", "/../management/v1/organisations", &[]),
    ("GET", "/%2e%2e/%2e%2e/management/v1/organisations", &[]),
    ("GET", "/..%2f..%2fmanagement%2fv1%2forganisations", &[]),
    ("GET", "//namespaces", &[]),
    ("GET", "/main//namespaces", &[]),
    ("GET", "/namespaces/ns%2Ftables/t", &[]),
    ("GET", "/namespaces/ns/tables/t%00", &[]),
    ("GET", "/namespaces/%ff/tables/t", &[]),
    ("GET", "/namespaces/ns/tables/..", &[]),
    ("DELETE", "/namespaces/ns/tables/t", &[("x-http-method-override", "GET")]),
    ("GET", "/namespaces", &[("x-original-url", "/management/v1/organisations")]),
    ("GET", "/namespaces?pageToken=garbage", &[]),
    ("POST", "/namespaces", &[("content-length", "99999999999")]),
    ("PUT", "/namespaces", &[]),
    ("POST", "/oauth/tokens?client_secret=flx_x", &[]),
    ("GET", "/api/catalog/v1/config", &[]),
];

#[tokio::test]
async fn attack_gets_the_same_answer_on_both_bases() {
    let world = World::new().await;
    let other = world.catalog.tenant("other", "enterprise").await;
    let none = world.catalog.key(world.acme.organisation, tidewater_core::access::Role::None, None).await;
    let send = async |base: &str, key: Option<&str>, (method, path, headers): Attack| {
        let mut request = Request::builder().method(method).uri(format!("{base}{path}"));
        if let Some(key) = key.filter(|_| !headers.iter().any(|(name, _)| *name == "authorization")) {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = world.catalog.send(request.body(Body::empty()).unwrap()).await;
        (answer.status, String::from_utf8_lossy(&answer.bytes).replace("/api/catalog/v1", "/v1"))
    };
    for attack in ATTACKS {
        for key in [None, Some(&*none), Some(&*other.key)] {
            let expected = send("/v1", key, attack).await;
            let found = send("/api/catalog/v1", key, attack).await;
            assert_eq!(found, expected, "{attack:?}");
        }
    }
    world.catalog.get(&world.acme.key, "/v1/namespaces/ns/tables/t").await.ok(200);
}

#[tokio::test]
async fn catalog_is_served_below_the_base_of_polaris() {
    let world = World::new().await;
    let (catalog, key) = (&world.catalog, &world.acme.key);
    let load = async |base: &str| catalog.get(key, &format!("{base}/main/namespaces/ns/tables/t")).await.ok(200);
    assert_eq!(load("/api/catalog/v1").await, load("/v1").await);
    let config = catalog.get(key, "/api/catalog/v1/config?warehouse=main").await.ok(200);
    assert_eq!(config["overrides"]["prefix"], "main");
    catalog.post(key, "/api/catalog/v1/main/namespaces/ns/tables", &create_table("u")).await.ok(200);
    let form = format!("grant_type=client_credentials&client_id=x&client_secret={key}&scope=PRINCIPAL_ROLE:ALL");
    let request = Request::post("/api/catalog/v1/oauth/tokens")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("polaris-realm", "POLARIS");
    let token = catalog.send(request.body(Body::from(form)).unwrap()).await.ok(200)["access_token"].clone();
    catalog.get(token.as_str().unwrap(), "/api/management/v1/principals").await.ok(200);
    let policies = "/api/catalog/polaris/v1/main/applicable-policies?namespace=ns&policyType=x";
    assert_eq!(catalog.get(key, policies).await.ok(200)["applicable-policies"], json!([]));
    for list in ["policies", "generic-tables"] {
        let path = |namespace: &str| format!("/api/catalog/polaris/v1/main/namespaces/{namespace}/{list}");
        assert_eq!(catalog.get(key, &path("ns")).await.ok(200)["identifiers"], json!([]));
        catalog.get(key, &path("none")).await.error(404, "NoSuchNamespaceException");
    }
}
