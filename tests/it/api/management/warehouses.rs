//! `/management/v1/organisations/{organisation}/warehouses`

use axum::http::Method;
use serde_json::{Value, json};
use tidewater::base::secret::Secret;
use tidewater_core::access::Role;

use crate::support::{Catalog, Tenant, create_table, create_view, is_postgres};

const WAREHOUSES: &str = "/management/v1/organisations/acme/warehouses";
const MAIN: &str = "/management/v1/organisations/acme/warehouses/main";

async fn acme() -> (Catalog, Tenant, String) {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let operator = catalog.operator().await;
    (catalog, tenant, operator)
}

fn root(catalog: &Catalog, name: &str) -> String {
    format!("file://{}/roots/{name}", catalog.folder.path().display())
}

#[tokio::test]
async fn warehouse_is_checked_created_and_usable_at_once() {
    let (catalog, tenant, operator) = acme().await;
    catalog.get(&tenant.key, "/v1/config?warehouse=lake").await.error(404, "NoSuchWarehouseException");
    let body = json!({ "name": "lake", "root": root(&catalog, "lake") });
    let dry = json!({ "name": "lake", "root": root(&catalog, "lake"), "dry-run": true });
    catalog.post(&operator, WAREHOUSES, &dry).await.ok(200);
    let made = catalog.post(&operator, WAREHOUSES, &body).await.ok(200);
    assert_eq!(
        (&made["name"], &made["default"], &made["credentials"]),
        (&json!("lake"), &json!(false), &json!("none"))
    );
    assert_eq!((&made["storage"], &made["check"]["ok"]), (&json!({ "type": "file" }), &json!(true)));
    assert_eq!(made["check"]["steps"][0]["name"], "write an object");
    catalog.get(&tenant.key, "/v1/config?warehouse=lake").await.ok(200);
    let by_id = format!("{WAREHOUSES}/{}", made["id"].as_str().unwrap());
    assert_eq!(catalog.get(&tenant.key, &by_id).await.ok(200)["name"], "lake");
    assert_eq!(catalog.post(&tenant.key, &format!("{MAIN}/check"), &json!({})).await.ok(200)["ok"], true);
    let first = catalog.get(&tenant.key, &format!("{WAREHOUSES}?page-size=1")).await.ok(200);
    assert_eq!(first["warehouses"][0]["name"], "lake");
    assert!(first["next-page-token"].is_string(), "{first}");
    catalog.post(&operator, WAREHOUSES, &body).await.error(409, "AlreadyExistsException");
    let inside = json!({ "name": "other", "root": root(&catalog, "lake/inner") });
    let message = catalog.post(&operator, WAREHOUSES, &inside).await.error(409, "ConflictException");
    assert!(message.contains("overlaps"), "{message}");
}

#[tokio::test]
async fn credentials_without_a_configured_master_key_are_refused_with_advice_on_a_shared_database() {
    if !is_postgres() {
        return;
    }
    let catalog = Catalog::with(|config| config.storage.master_key = Secret::new(String::new())).await;
    catalog.tenant("acme", "enterprise").await;
    let operator = catalog.operator().await;
    let with_key = json!({ "name": "lake", "root": "s3://bucket/lake", "check": false, "storage": { "type": "s3",
        "region": "eu-west-1",
        "credentials": { "kind": "aws-key", "access-key-id": "AKIA", "secret-access-key": "hush" } } });
    let message = catalog.post(&operator, WAREHOUSES, &with_key).await.error(409, "ConflictException");
    assert!(message.contains("set `storage.master_key_file` or `storage.master_key`"), "{message}");
}

#[tokio::test]
async fn admin_may_not_use_the_servers_disk_or_identity() {
    let (catalog, tenant, operator) = acme().await;
    let local = json!({ "name": "lake", "root": root(&catalog, "lake") });
    let message = catalog.post(&tenant.key, WAREHOUSES, &local).await.error(403, "ForbiddenException");
    assert!(message.contains("only an operator"), "{message}");
    let ambient =
        json!({ "name": "lake", "root": "s3://bucket/lake", "storage": { "type": "s3", "region": "eu-west-1" } });
    let message = catalog.post(&tenant.key, WAREHOUSES, &ambient).await.error(403, "ForbiddenException");
    assert!(message.contains("the server's own identity"), "{message}");
    let with_key = json!({ "name": "lake", "root": "s3://bucket/lake", "check": false, "storage": { "type": "s3",
        "region": "eu-west-1",
        "credentials": { "kind": "aws-key", "access-key-id": "AKIA", "secret-access-key": "hush" } } });
    let made = catalog.post(&operator, WAREHOUSES, &with_key).await.ok(200);
    assert_eq!((&made["credentials"], &made["check"]), (&json!("sealed"), &Value::Null));
    assert!(!made.to_string().contains("hush"), "{made}");
    let path = format!("{WAREHOUSES}/lake");
    let ambient = json!({ "storage": { "type": "s3", "region": "eu-west-1" }, "check": false });
    catalog.patch(&tenant.key, &path, &ambient).await.error(403, "ForbiddenException");
    let stored = catalog.get(&tenant.key, &path).await.ok(200);
    assert_eq!(stored["credentials"], "sealed");
}

#[tokio::test]
async fn admin_may_not_set_an_endpoint() {
    let (catalog, tenant, _) = acme().await;
    let aws = json!({ "kind": "aws-key", "access-key-id": "a", "secret-access-key": "b" });
    let azure = json!({ "kind": "azure-service-principal", "tenant-id": "t", "client-id": "c", "client-secret": "s",
        "authority-host": "http://127.0.0.1:9" });
    let key = json!({ "client_email": "a@b", "private_key": "k", "token_uri": "http://127.0.0.1:9" });
    let google = json!({ "kind": "gcs-service-account", "key": key.to_string() });
    for (root, storage) in [
        ("s3://b/x", json!({ "type": "s3", "region": "r", "endpoint": "http://127.0.0.1:9", "credentials": aws })),
        ("s3://b/x", json!({ "type": "s3", "region": "r", "sts-endpoint": "http://127.0.0.1:9", "credentials": aws })),
        ("abfss://c@a.dfs.core.windows.net/x", json!({ "type": "adls", "credentials": azure })),
        ("gs://b/x", json!({ "type": "gcs", "credentials": google })),
    ] {
        let body = json!({ "name": "inner", "root": root, "storage": storage, "check": false });
        let message = catalog.post(&tenant.key, WAREHOUSES, &body).await.error(403, "ForbiddenException");
        assert!(message.contains("names an address"), "{message}");
        let change = catalog.patch(&tenant.key, MAIN, &json!({ "storage": body["storage"] })).await;
        assert_ne!(change.status, 200, "{body}");
    }
}

#[tokio::test]
async fn options_and_default_change_and_absent_fields_stay() {
    let (catalog, tenant, operator) = acme().await;
    catalog.post(&operator, WAREHOUSES, &json!({ "name": "b", "root": root(&catalog, "b") })).await.ok(200);
    let changed = catalog.patch(&tenant.key, MAIN, &json!({ "options": { "purge": "at-once" } })).await.ok(200);
    assert_eq!((&changed["options"]["purge"], &changed["default"]), (&json!("at-once"), &json!(true)));
    catalog.patch(&tenant.key, &format!("{WAREHOUSES}/b"), &json!({ "default": true })).await.ok(200);
    let main = catalog.get(&tenant.key, MAIN).await.ok(200);
    assert_eq!((&main["options"]["purge"], &main["default"]), (&json!("at-once"), &json!(false)));
    let told = catalog.get(&tenant.key, "/v1/config").await.ok(200);
    assert_eq!(told["overrides"]["prefix"], "b", "the new default takes effect at once");
    for (key, body) in [
        (&tenant.key, json!({ "options": { "no-delete": true } })),
        (&tenant.key, json!({ "options": { "purge": "later" } })),
        (&tenant.key, json!({ "option": {} })),
        (&operator, json!({ "storage": { "type": "s4" } })),
    ] {
        catalog.patch(key, MAIN, &body).await.error(400, "BadRequestException");
    }
}

#[tokio::test]
async fn warehouse_is_dropped_only_when_empty() {
    let (catalog, tenant, _) = acme().await;
    catalog.with_table(&tenant).await;
    let message = catalog.delete(&tenant.key, MAIN).await.error(409, "ConflictException");
    assert!(message.contains("still has namespaces"), "{message}");
    catalog.delete(&tenant.key, "/v1/namespaces/ns/tables/t").await.ok(204);
    let dropped = catalog.get(&tenant.key, &format!("{MAIN}/dropped")).await.ok(200);
    let id = dropped["dropped"][0]["id"].as_str().unwrap().to_owned();
    catalog.delete(&tenant.key, &format!("{MAIN}/dropped/{id}")).await.ok(204);
    catalog.delete(&tenant.key, "/v1/namespaces/ns").await.ok(204);
    catalog.delete(&tenant.key, MAIN).await.ok(204);
    catalog.delete(&tenant.key, MAIN).await.ok(204);
    catalog.get(&tenant.key, MAIN).await.error(404, "NoSuchWarehouseException");
    catalog.delete(&tenant.key, &format!("{WAREHOUSES}/none")).await.error(404, "NoSuchWarehouseException");
}

#[tokio::test]
async fn warehouses_are_managed_only_by_administrators_of_their_organisation() {
    let (catalog, tenant, _) = acme().await;
    let other = catalog.tenant("other", "enterprise").await;
    for role in [Role::Reader, Role::Writer] {
        let key = catalog.key(tenant.organisation, role, None).await;
        catalog.get(&key, WAREHOUSES).await.error(403, "ForbiddenException");
        catalog.patch(&key, MAIN, &json!({})).await.error(403, "ForbiddenException");
        catalog.get(&key, &format!("{MAIN}/dropped")).await.error(403, "ForbiddenException");
    }
    for path in
        [WAREHOUSES, MAIN, &format!("{MAIN}/dropped"), &format!("{MAIN}/metrics"), &format!("{MAIN}/namespaces")]
    {
        catalog.get(&other.key, path).await.error(404, "NotFoundException");
    }
}

#[tokio::test]
async fn contents_are_shown_to_local_user_and_admin_but_not_to_an_operator() {
    let (catalog, tenant, operator) = acme().await;
    let table = catalog.with_table(&tenant).await;
    catalog.post(&tenant.key, "/v1/namespaces/ns/views", &create_view("v", "select 1")).await.ok(200);
    let (namespaces, tables) = (format!("{MAIN}/namespaces"), format!("{MAIN}/tables?namespace=ns"));
    let listed = catalog.get(&tenant.key, &namespaces).await.ok(200);
    assert_eq!(listed["namespaces"], json!([["ns"]]));
    let shown = catalog.get(&tenant.key, &format!("{namespaces}/ns")).await.ok(200);
    assert_eq!((&shown["tables"], &shown["views"]), (&json!(["t"]), &json!(["v"])));
    let listed = catalog.machine(Method::GET, &tables, &Value::Null).await.ok(200);
    assert_eq!(listed["tables"][0]["metadata-location"], table["metadata-location"]);
    let one = catalog.get(&tenant.key, &format!("{tables}&name=t")).await.ok(200);
    assert_eq!(one["tables"][0]["metadata"], table["metadata"]);
    let views = catalog.get(&tenant.key, &format!("{tables}&kind=view")).await.ok(200);
    assert_eq!(views["tables"][0]["name"], "v");
    catalog.get(&tenant.key, &format!("{tables}&name=none")).await.error(404, "NoSuchTableException");
    catalog.get(&tenant.key, &format!("{MAIN}/tables?namespace=none")).await.error(404, "NoSuchNamespaceException");
    let checked = catalog.post(&tenant.key, &format!("{MAIN}/tables/check"), &json!({})).await.ok(200);
    assert_eq!(checked, json!({ "checked": 1, "next-page-token": null, "findings": [] }));
    let mut pages = Vec::new();
    let mut next = Some(String::new());
    catalog.post(&tenant.key, "/v1/namespaces/ns/tables", &create_table("t2")).await.ok(200);
    while let Some(token) = next {
        let path = format!("{MAIN}/tables/check?page-size=1&page-token={token}");
        let checked = catalog.post(&tenant.key, &path, &json!({})).await.ok(200);
        pages.push(checked["checked"].as_u64().unwrap());
        next = checked["next-page-token"].as_str().map(str::to_owned);
    }
    assert!(pages.iter().all(|checked| *checked <= 1) && pages.iter().sum::<u64>() == 2, "{pages:?}");
    catalog.delete(&tenant.key, "/v1/namespaces/ns/tables/t2").await.ok(204);
    for path in [&namespaces, &tables] {
        let message = catalog.get(&operator, path).await.error(403, "ForbiddenException");
        assert!(message.contains("belongs to an operator"), "{message}");
    }
    catalog.delete(&tenant.key, "/v1/namespaces/ns/tables/t").await.ok(204);
    let dropped = catalog.get(&operator, &format!("{MAIN}/dropped")).await.ok(200);
    let one = format!("{MAIN}/dropped/{}", dropped["dropped"][0]["id"].as_str().unwrap());
    catalog.get(&operator, &one).await.ok(200);
    for refused in [
        catalog.post(&operator, &format!("{one}/restore"), &json!({})).await,
        catalog.delete(&operator, &one).await,
        catalog.delete(&operator, &format!("{one}?purgeRequested=true")).await,
    ] {
        let message = refused.error(403, "ForbiddenException");
        assert!(message.contains("can only list dropped tables and views"), "{message}");
    }
    catalog.machine(Method::POST, &format!("{one}/restore"), &json!({})).await.ok(204);
    catalog.get(&tenant.key, "/v1/namespaces/ns/tables/t").await.ok(200);
}

#[tokio::test]
async fn root_at_in_or_around_the_data_folder_is_refused() {
    let (catalog, _, operator) = acme().await;
    let folder = catalog.folder.path();
    std::os::unix::fs::symlink(folder.join("data"), folder.join("link")).unwrap();
    for path in ["data", "data/lake", "link/lake", ""] {
        let root = format!("file://{}", folder.join(path).display());
        let body = json!({ "name": "lake", "root": root.trim_end_matches('/'), "dry-run": true });
        let message = catalog.post(&operator, WAREHOUSES, &body).await.error(400, "BadRequestException");
        assert!(message.contains("the server's data folder"), "{path}: {message}");
    }
}

#[tokio::test]
async fn root_that_leads_to_another_warehouse_through_a_link_is_refused() {
    let (catalog, _, operator) = acme().await;
    let body = json!({ "name": "lake", "root": root(&catalog, "lake") });
    catalog.post(&operator, WAREHOUSES, &body).await.ok(200);
    let folder = catalog.folder.path().join("roots");
    std::os::unix::fs::symlink(folder.join("lake"), folder.join("link")).unwrap();
    let body = json!({ "name": "other", "root": root(&catalog, "link/inner") });
    let message = catalog.post(&operator, WAREHOUSES, &body).await.error(409, "ConflictException");
    assert!(message.contains("overlaps that of warehouse 'lake'"), "{message}");
    assert!(!folder.join("lake/inner").exists(), "nothing was written there");
}

#[tokio::test]
async fn admin_learns_of_no_root_of_others_before_the_credentials_are_proved() {
    let (catalog, tenant, operator) = acme().await;
    catalog.tenant("other", "enterprise").await;
    let storage = |credentials: Value| json!({ "type": "gcs", "credentials": credentials });
    let service_account = json!({ "kind": "gcs-service-account", "key": json!({ "client_email": "a@b" }).to_string() });
    let others = json!({ "name": "lake", "root": "gs://bucket", "check": false, "storage": { "type": "gcs" } });
    catalog.post(&operator, "/management/v1/organisations/other/warehouses", &others).await.ok(200);
    let mut body = json!({ "name": "lake", "root": "gs://bucket/lake", "storage": storage(service_account) });
    // The credentials are looked at first, and cannot be used.
    catalog.post(&tenant.key, WAREHOUSES, &body).await.error(400, "BadRequestException");
    body["check"] = json!(false);
    let message = catalog.post(&tenant.key, WAREHOUSES, &body).await.error(403, "ForbiddenException");
    assert!(message.contains("Only an operator can skip the test"), "{message}");
    let message = catalog.post(&operator, WAREHOUSES, &body).await.error(409, "ConflictException");
    assert!(message.contains("that of another warehouse") && !message.contains("other'"), "{message}");
}
