//! Principal roles, catalog roles, assignments, grants and explanations.

use axum::http::Method;
use serde_json::{Value, json};
use tidewater_core::access::Role;

use crate::support::{Catalog, Tenant};

const ACME: &str = "/management/v1/organisations/acme";
const MAIN: &str = "/management/v1/organisations/acme/warehouses/main";
const TABLE: &str = "/v1/namespaces/ns/tables/t";

struct World {
    catalog: Catalog,
    acme: Tenant,
    /// A key without a built-in role.
    team: String,
}

impl World {
    async fn new() -> Self {
        let catalog = Catalog::new().await;
        let acme = catalog.tenant("acme", "enterprise").await;
        catalog.with_table(&acme).await;
        let made = catalog.post(&acme.key, &format!("{ACME}/keys"), &json!({ "name": "team", "role": "none" })).await;
        let team = made.ok(200)["api_key"].as_str().unwrap().to_owned();
        Self { catalog, acme, team }
    }

    async fn put(&self, key: &str, path: &str, body: &Value) -> crate::support::Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.catalog.bytes(key, Method::PUT, path, body).await
    }

    /// Creates a principal role and a catalog role, and assigns both to the team's key.
    async fn with_roles(self) -> Self {
        let (catalog, admin) = (&self.catalog, &self.acme.key);
        catalog.post(admin, &format!("{ACME}/principal-roles"), &json!({ "name": "analysts" })).await.ok(200);
        catalog.post(admin, &format!("{MAIN}/catalog-roles"), &json!({ "name": "readers" })).await.ok(200);
        for path in [
            format!("{ACME}/principal-roles/analysts/principals/team"),
            format!("{MAIN}/catalog-roles/readers/principal-roles/analysts"),
        ] {
            assert_eq!(self.put(admin, &path, &Value::Null).await.status, 204);
        }
        self
    }

    async fn grant(&self, grant: &Value) {
        let done = self.put(&self.acme.key, &format!("{MAIN}/catalog-roles/readers/grants"), grant).await;
        assert_eq!(done.status, 204, "{}", String::from_utf8_lossy(&done.bytes));
    }

    async fn explain(&self, question: &str) -> Value {
        self.catalog.get(&self.acme.key, &format!("{MAIN}/access?{question}")).await.ok(200)
    }
}

#[tokio::test]
async fn grant_and_revocation_apply_to_the_next_request() {
    let world = World::new().await.with_roles().await;
    let grant = json!({ "privilege": "SELECT", "type": "table", "namespace": ["ns"], "name": "t" });
    world.catalog.get(&world.team, TABLE).await.error(404, "NoSuchWarehouseException");
    world.grant(&grant).await;
    world.catalog.get(&world.team, TABLE).await.ok(200);
    let listed = world.catalog.get(&world.acme.key, &format!("{MAIN}/catalog-roles/readers/grants")).await.ok(200);
    assert_eq!(listed["grants"][0]["privilege"], "TABLE_READ_DATA");
    assert_eq!(listed["grants"][0]["name"], "t");
    let grants = format!("{MAIN}/catalog-roles/readers/grants");
    assert_eq!(world.catalog.post(&world.acme.key, &grants, &grant).await.status, 204);
    world.catalog.get(&world.team, TABLE).await.error(404, "NoSuchWarehouseException");
}

#[tokio::test]
async fn explanation_agrees_with_the_decision() {
    let world = World::new().await.with_roles().await;
    let question = "principal=team&action=load-table&namespace=ns&table=t";
    let denied = world.explain(question).await;
    assert_eq!(denied["access"][0]["allowed"], false);
    assert_eq!(denied["access"][0]["missing"], "TABLE_READ_PROPERTIES");
    world.grant(&json!({ "privilege": "TABLE_READ_DATA", "type": "namespace", "namespace": ["ns"] })).await;
    let allowed = world.explain(question).await;
    assert_eq!(
        allowed["access"][0]["by"],
        json!({ "type": "grant", "catalog-role": "readers", "principal-role": "analysts",
            "grant": { "privilege": "TABLE_READ_DATA", "type": "namespace", "namespace": ["ns"] } })
    );
    let refused = world.explain("principal=team&action=commit-table&namespace=ns&table=t").await;
    let message = world.catalog.post(&world.team, TABLE, &json!({ "requirements": [], "updates": [] })).await;
    assert_eq!(refused["access"][0]["message"], message.error(403, "ForbiddenException"));

    let who = world.explain("action=read-table-data&namespace=ns&table=t").await;
    let names: Vec<_> = who["access"].as_array().unwrap().iter().map(|one| &one["principal"]["name"]).collect();
    assert_eq!(names.len(), 2, "{who}");
    assert!(names.contains(&&json!("team")) && names.contains(&&json!("test")), "{who}");
    let who = world.explain("action=drop-table&namespace=ns&table=t").await;
    assert_eq!(who["access"].as_array().unwrap().len(), 1, "{who}");
    assert_eq!(who["access"][0]["by"]["type"], "role");
    world.catalog.get(&world.acme.key, &format!("{MAIN}/access?action=fly")).await.error(400, "BadRequestException");
}

#[tokio::test]
async fn who_am_i_shows_the_key_and_its_roles() {
    let world = World::new().await.with_roles().await;
    let me = world.catalog.get(&world.team, "/management/v1/who-am-i").await.ok(200);
    assert_eq!((&me["role"], &me["key"]["name"]), (&json!("none"), &json!("team")));
    assert_eq!(me["roles"][0]["principal-role"], "analysts");
    assert_eq!(me["warehouses"], json!([]), "its role has no grants yet");
    world.catalog.warehouse(world.acme.organisation, "hidden").await;
    world.grant(&json!({ "privilege": "TABLE_READ_DATA", "type": "namespace", "namespace": ["ns"] })).await;
    let me = world.catalog.get(&world.team, "/management/v1/who-am-i").await.ok(200);
    assert_eq!(me["warehouses"], json!(["main"]));
    let admin = world.catalog.get(&world.acme.key, "/management/v1/who-am-i").await.ok(200);
    assert_eq!(admin["warehouses"], json!(["hidden", "main"]));
}

#[tokio::test]
async fn manager_of_access_to_a_namespace_can_grant_only_there() {
    let world = World::new().await.with_roles().await;
    let (catalog, admin) = (&world.catalog, &world.acme.key);
    catalog.post(admin, "/v1/namespaces", &json!({ "namespace": ["other"] })).await.ok(200);
    let grants = format!("{MAIN}/catalog-roles/readers/grants");
    let on = |namespace: &str| json!({ "privilege": "TABLE_CREATE", "type": "namespace", "namespace": [namespace] });
    world.put(&world.team, &grants, &on("ns")).await.error(404, "NoSuchWarehouseException");
    world.grant(&json!({ "privilege": "CATALOG_MANAGE_ACCESS", "type": "namespace", "namespace": ["ns"] })).await;
    assert_eq!(world.put(&world.team, &grants, &on("ns")).await.status, 204);
    world.put(&world.team, &grants, &on("other")).await.error(404, "NoSuchNamespaceException");
    let all = json!({ "privilege": "CATALOG_MANAGE_CONTENT", "type": "catalog" });
    world.put(&world.team, &grants, &all).await.error(403, "ForbiddenException");
    catalog
        .post(&world.team, &format!("{MAIN}/catalog-roles"), &json!({ "name": "mine" }))
        .await
        .error(403, "ForbiddenException");
    catalog
        .post(&world.team, &format!("{ACME}/principal-roles"), &json!({ "name": "mine" }))
        .await
        .error(403, "ForbiddenException");
}

#[tokio::test]
async fn grant_of_an_impossible_privilege_names_the_possible_ones() {
    let world = World::new().await.with_roles().await;
    let grants = format!("{MAIN}/catalog-roles/readers/grants");
    let refused = async |grant: Value, status: u16, kind: &str| {
        world.put(&world.acme.key, &grants, &grant).await.error(status, kind)
    };
    let bad = "BadRequestException";
    let unknown = refused(json!({ "privilege": "TABLE_ADD_SNAPSHOT", "type": "catalog" }), 400, bad).await;
    assert!(unknown.contains("TABLE_WRITE_DATA"), "{unknown}");
    let table = json!({ "privilege": "VIEW_LIST", "type": "table", "namespace": ["ns"], "name": "t" });
    assert!(refused(table, 400, bad).await.contains("catalog or namespace or view"));
    let missing = json!({ "privilege": "TABLE_LIST", "type": "namespace", "namespace": ["none"] });
    refused(missing, 404, "NotFoundException").await;
    let missing = json!({ "privilege": "TABLE_LIST", "type": "table", "namespace": ["ns"], "name": "none" });
    refused(missing, 404, "NoSuchTableException").await;
    let reserved = json!({ "name": "admin" });
    world.catalog.post(&world.acme.key, &format!("{ACME}/principal-roles"), &reserved).await.error(400, bad);
    let again = json!({ "name": "analysts" });
    world
        .catalog
        .post(&world.acme.key, &format!("{ACME}/principal-roles"), &again)
        .await
        .error(409, "AlreadyExistsException");
}

#[tokio::test]
async fn rotated_key_keeps_its_grants_until_its_role_is_deleted() {
    let world = World::new().await.with_roles().await;
    world.grant(&json!({ "privilege": "TABLE_READ_DATA", "type": "catalog" })).await;
    let rotated = world.catalog.post(&world.acme.key, &format!("{ACME}/keys/team/rotate"), &json!({})).await.ok(200);
    let team = rotated["api_key"].as_str().unwrap();
    world.catalog.get(team, TABLE).await.ok(200);
    assert_eq!(world.catalog.delete(&world.acme.key, &format!("{ACME}/principal-roles/analysts")).await.status, 204);
    world.catalog.get(team, TABLE).await.error(404, "NoSuchWarehouseException");
    let stranger = world.catalog.key(world.acme.organisation, Role::None, None).await;
    world.catalog.get(&stranger, TABLE).await.error(404, "NoSuchWarehouseException");
}
