//! `/v1/namespaces/{namespace}/tables`, `/v1/namespaces/{namespace}/tables/{table}` and `/v1/tables/rename`

mod plan;
mod plan_bounds;
mod plan_mode;

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::{Catalog, create_table, create_view};

#[tokio::test]
async fn table_is_created_loaded_and_dropped() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let created = catalog.with_table(&tenant).await;
    assert_eq!(created["metadata"]["format-version"], 2);
    assert_eq!(created["metadata"]["schemas"][0]["fields"][1]["name"], "text");
    assert_eq!(created["config"], json!({}));
    let location = created["metadata-location"].as_str().unwrap();
    let file = std::fs::read(location.strip_prefix("file://").unwrap()).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&file).unwrap(), created["metadata"]);
    assert!(location.contains("/metadata/00000-") && location.ends_with(".metadata.json"), "{location}");

    assert_eq!(catalog.get(&tenant.key, "/v1/namespaces/ns/tables/t").await.ok(200), created);
    assert_eq!(catalog.bytes(&tenant.key, Method::HEAD, "/v1/namespaces/ns/tables/t", "").await.status, 204);
    let listed = catalog.get(&tenant.key, "/v1/namespaces/ns/tables").await.ok(200);
    assert_eq!(listed["identifiers"], json!([{ "namespace": ["ns"], "name": "t" }]));
    let again = catalog.post(&tenant.key, "/v1/namespaces/ns/tables", &create_table("t")).await;
    assert_eq!(again.error(409, "AlreadyExistsException"), "Table already exists: ns.t");

    catalog.delete(&tenant.key, "/v1/namespaces/ns/tables/t?purgeRequested=False").await.ok(204);
    let gone = catalog.get(&tenant.key, "/v1/namespaces/ns/tables/t").await;
    assert_eq!(gone.error(404, "NoSuchTableException"), "Table does not exist: ns.t");
    catalog.delete(&tenant.key, "/v1/namespaces/ns/tables/t").await.error(404, "NoSuchTableException");
    catalog.get(&tenant.key, "/v1/namespaces/none/tables").await.error(404, "NoSuchNamespaceException");
    let nowhere = catalog.post(&tenant.key, "/v1/namespaces/none/tables", &create_table("t")).await;
    nowhere.error(404, "NoSuchNamespaceException");
}

#[tokio::test]
async fn renamed_table_keeps_its_metadata_and_frees_its_name() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let created = catalog.with_table(&tenant).await;
    catalog.post(&tenant.key, "/v1/namespaces", &json!({ "namespace": ["other"] })).await.ok(200);
    let rename = |from: Value, to: Value| {
        let body = json!({ "source": { "namespace": from[0], "name": from[1] },
            "destination": { "namespace": to[0], "name": to[1] } });
        let (catalog, key) = (&catalog, &tenant.key);
        async move { catalog.post(key, "/v1/tables/rename", &body).await }
    };
    rename(json!([["ns"], "t"]), json!([["other"], "u"])).await.ok(204);
    assert_eq!(catalog.get(&tenant.key, "/v1/namespaces/other/tables/u").await.ok(200), created);
    catalog.get(&tenant.key, "/v1/namespaces/ns/tables/t").await.error(404, "NoSuchTableException");

    let fresh = catalog.post(&tenant.key, "/v1/namespaces/ns/tables", &create_table("t")).await.ok(200);
    assert_ne!(
        fresh["metadata"]["location"], created["metadata"]["location"],
        "the files at the old location belong to the renamed table"
    );
    let onto = rename(json!([["ns"], "t"]), json!([["other"], "u"])).await;
    assert_eq!(onto.error(409, "AlreadyExistsException"), "Cannot rename ns.t to other.u. Table already exists");
    rename(json!([["ns"], "x"]), json!([["ns"], "y"])).await.error(404, "NoSuchTableException");
    rename(json!([["ns"], "t"]), json!([["none"], "t"])).await.error(404, "NoSuchNamespaceException");
}

#[tokio::test]
async fn location_with_a_name_too_long_for_the_disk_gets_400() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    let root = format!("file://{}/{}/main", catalog.folder.path().display(), tenant.organisation);
    let long = format!("{root}/{}", "n".repeat(256));
    let mut request = create_table("nowhere");
    request["location"] = json!(long);
    let refused = catalog.post(&tenant.key, "/v1/namespaces/ns/tables", &request).await;
    assert!(refused.error(400, "BadRequestException").contains("Choose another location"));
    let body = json!({ "name": "again", "metadata-location": format!("{long}/x.metadata.json") });
    let missing = catalog.post(&tenant.key, "/v1/namespaces/ns/register", &body).await;
    missing.error(404, "NotFoundException");
}

#[tokio::test]
async fn custom_location_is_accepted_only_inside_the_warehouse() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    let root = format!("file://{}/{}/main", catalog.folder.path().display(), tenant.organisation);
    let mut request = create_table("custom");
    request["location"] = json!(format!("{root}/my/own/place/"));
    let created = catalog.post(&tenant.key, "/v1/namespaces/ns/tables", &request).await.ok(200);
    assert_eq!(created["metadata"]["location"], format!("{root}/my/own/place"));
    for outside in ["file:///etc", "s3://bucket/t", &format!("{root}2/t"), &format!("{root}/../x"), &root, "../x"] {
        let mut request = create_table("outside");
        request["location"] = json!(outside);
        let refused = catalog.post(&tenant.key, "/v1/namespaces/ns/tables", &request).await;
        refused.error(400, "BadRequestException");
        for property in ["write.data.path", "write.metadata.path"] {
            let mut request = create_table("outside");
            request["properties"] = json!({ property: outside });
            if outside != root {
                let refused = catalog.post(&tenant.key, "/v1/namespaces/ns/tables", &request).await;
                refused.error(400, "BadRequestException");
            }
        }
    }
    catalog.get(&tenant.key, "/v1/namespaces/ns/tables/outside").await.error(404, "NoSuchTableException");
}

#[tokio::test]
async fn relative_location_is_resolved_below_the_namespace_or_the_warehouse() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    let root = format!("file://{}/{}/main", catalog.folder.path().display(), tenant.organisation);
    let located = json!({ "namespace": ["located"], "properties": { "location": format!("{root}/own/") } });
    catalog.post(&tenant.key, "/v1/namespaces", &located).await.ok(200);
    let create = async |namespace: &str, name: &str, location: &str, staged: bool| {
        let mut request = create_table(name);
        request["location"] = json!(location);
        request["stage-create"] = json!(staged);
        catalog.post(&tenant.key, &format!("/v1/namespaces/{namespace}/tables"), &request).await
    };
    for staged in [true, false] {
        let created = create("ns", "u", "spark-warehouse/u-1/", staged).await.ok(200);
        assert_eq!(created["metadata"]["location"], format!("{root}/spark-warehouse/u-1"));
        let created = create("located", "u", "u", staged).await.ok(200);
        assert_eq!(created["metadata"]["location"], format!("{root}/own/u"));
    }
    let mut view = create_view("v", "select 1");
    view["location"] = json!("views/v");
    let created = catalog.post(&tenant.key, "/v1/namespaces/ns/views", &view).await.ok(200);
    assert_eq!(created["metadata"]["location"], format!("{root}/views/v"));

    let taken = create("ns", "again", "spark-warehouse/u-1", false).await.error(400, "BadRequestException");
    assert!(taken.contains("overlaps"), "{taken}");
    for unclear in ["..", "../other/t", "a/../../t", "%2e%2e/t", "a//t", ".", "a\\..\\b", "", "x:t", "a?b"] {
        create("ns", "unclear", unclear, false).await.error(400, "BadRequestException");
    }
    catalog.get(&tenant.key, "/v1/namespaces/ns/tables/unclear").await.error(404, "NoSuchTableException");
}

#[tokio::test]
async fn staged_create_creates_nothing_before_its_commit() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    let mut request = create_table("staged");
    request["stage-create"] = json!(true);
    let staged = catalog.post(&tenant.key, "/v1/namespaces/ns/tables", &request).await.ok(200);
    assert_eq!(staged["metadata-location"], json!(null));
    catalog.get(&tenant.key, "/v1/namespaces/ns/tables/staged").await.error(404, "NoSuchTableException");

    let metadata = &staged["metadata"];
    let commit = json!({ "requirements": [{ "type": "assert-create" }], "updates": [
        { "action": "assign-uuid", "uuid": metadata["table-uuid"] },
        { "action": "upgrade-format-version", "format-version": 2 },
        { "action": "add-schema", "schema": metadata["schemas"][0], "last-column-id": 2 },
        { "action": "set-current-schema", "schema-id": -1 },
        { "action": "add-spec", "spec": metadata["partition-specs"][0] },
        { "action": "set-default-spec", "spec-id": -1 },
        { "action": "add-sort-order", "sort-order": metadata["sort-orders"][0] },
        { "action": "set-default-sort-order", "sort-order-id": -1 },
        { "action": "set-location", "location": metadata["location"] },
    ] });
    let committed = catalog.post(&tenant.key, "/v1/namespaces/ns/tables/staged", &commit).await.ok(200);
    assert_eq!(committed["metadata"]["table-uuid"], metadata["table-uuid"]);
    assert_eq!(committed["metadata"]["location"], metadata["location"]);
    assert_eq!(committed["metadata"]["metadata-log"], json!([]));
    let again = catalog.post(&tenant.key, "/v1/namespaces/ns/tables/staged", &commit).await;
    assert_eq!(again.error(409, "CommitFailedException"), "Requirement failed: table already exists");
}

#[tokio::test]
async fn metadata_is_compressed_if_the_property_is_set_and_read_in_both_forms() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    let mut request = create_table("packed");
    request["properties"] = json!({ "write.metadata.compression-codec": "gzip" });
    let created = catalog.post(&tenant.key, "/v1/namespaces/ns/tables", &request).await.ok(200);
    let location = created["metadata-location"].as_str().unwrap().to_owned();
    assert!(location.ends_with(".gz.metadata.json"), "{location}");
    assert_eq!(std::fs::read(location.strip_prefix("file://").unwrap()).unwrap()[..2], [0x1f, 0x8b]);

    let catalog = Catalog::reopen(catalog.stop().await, |_| ()).await;
    assert_eq!(catalog.get(&tenant.key, "/v1/namespaces/ns/tables/packed").await.ok(200), created);
    let unpack = json!({ "requirements": [], "updates": [
        { "action": "remove-properties", "removals": ["write.metadata.compression-codec"] }] });
    let unpacked = catalog.post(&tenant.key, "/v1/namespaces/ns/tables/packed", &unpack).await.ok(200);
    assert!(unpacked["metadata-location"].as_str().unwrap().contains("/00001-"), "{unpacked}");
    assert!(!unpacked["metadata-location"].as_str().unwrap().contains(".gz."), "{unpacked}");
    request["name"] = json!("unknown");
    request["properties"] = json!({ "write.metadata.compression-codec": "zip" });
    let refused = catalog.post(&tenant.key, "/v1/namespaces/ns/tables", &request).await;
    refused.error(400, "BadRequestException");
}

#[tokio::test]
async fn load_without_the_metadata_file_names_the_missing_file() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let location = catalog.with_table(&tenant).await["metadata-location"].as_str().unwrap().to_owned();
    let catalog = Catalog::reopen(catalog.stop().await, |_| ()).await;
    std::fs::remove_file(location.strip_prefix("file://").unwrap()).unwrap();
    let missing = catalog.get(&tenant.key, "/v1/namespaces/ns/tables/t").await;
    let message = missing.error(404, "NotFoundException");
    assert_eq!(message, format!("Failed to open input stream for file: {location}"));
}

#[tokio::test]
async fn missing_file_of_a_busy_table_is_noticed_within_a_second() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let location = catalog.with_table(&tenant).await["metadata-location"].as_str().unwrap().to_owned();
    let load = async || catalog.get(&tenant.key, "/v1/namespaces/ns/tables/t").await;
    for _ in 0..100 {
        load().await.ok(200);
    }
    std::fs::remove_file(location.strip_prefix("file://").unwrap()).unwrap();
    let removed = std::time::Instant::now();
    while load().await.status == 200 {
        assert!(
            removed.elapsed() < std::time::Duration::from_secs(3),
            "the missing file is reported within a second, plus delays of a busy machine"
        );
    }
    load().await.error(404, "NotFoundException");
}

#[tokio::test]
async fn location_below_a_file_gets_400_for_a_new_table_and_503_under_an_existing_one() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let created = catalog.with_table(&tenant).await;
    let table = created["metadata"]["location"].as_str().unwrap().to_owned();
    let root = table.rsplit_once('/').unwrap().0.to_owned();
    std::fs::write(format!("{}/file", root.strip_prefix("file://").unwrap()), "").unwrap();
    for (name, stage) in [("u", false), ("v", true)] {
        let mut request = create_table(name);
        request["location"] = json!(format!("{root}/file/t"));
        request["stage-create"] = json!(stage);
        let refused = catalog.post(&tenant.key, "/v1/namespaces/ns/tables", &request).await;
        let message = refused.error(400, "BadRequestException");
        assert!(message.contains("/file is a file, not a folder. Choose another location"), "{message}");
    }
    let mut view = create_view("w", "select 1");
    view["location"] = json!(format!("{root}/file/w"));
    catalog.post(&tenant.key, "/v1/namespaces/ns/views", &view).await.error(400, "BadRequestException");
    // A file in place of an existing table's folder is a storage error, which may be temporary.
    let folder = std::path::PathBuf::from(table.strip_prefix("file://").unwrap());
    std::fs::rename(folder.join("metadata"), folder.join("moved")).unwrap();
    std::fs::write(folder.join("metadata"), "").unwrap();
    let change = json!({ "requirements": [], "updates": [{ "action": "set-properties", "updates": { "a": "b" } }] });
    catalog.post(&tenant.key, "/v1/namespaces/ns/tables/t", &change).await.error(503, "ServiceUnavailableException");
}
