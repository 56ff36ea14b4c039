//! `POST /v1/namespaces/{namespace}/register` and `POST .../tables/{table}/unregister`

use serde_json::{Value, json};

use crate::support::{Catalog, Tenant, create_table, create_view};

const NAMESPACE: &str = "/v1/namespaces/ns";

fn register(name: &str, created: &Value) -> Value {
    json!({ "name": name, "metadata-location": created["metadata-location"] })
}

async fn with_dropped_table() -> (Catalog, Tenant, Value) {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let created = catalog.with_table(&tenant).await;
    catalog.delete(&tenant.key, &format!("{NAMESPACE}/tables/t")).await.ok(204);
    (catalog, tenant, created)
}

#[tokio::test]
async fn dropped_table_is_registered_under_any_name_with_its_metadata() {
    let (catalog, tenant, created) = with_dropped_table().await;
    let back = catalog.post(&tenant.key, &format!("{NAMESPACE}/register"), &register("back", &created)).await;
    let tag = back.header("etag").to_owned();
    assert_eq!(back.ok(200), created);
    let loaded = catalog.get(&tenant.key, &format!("{NAMESPACE}/tables/back")).await;
    assert_eq!(loaded.header("etag"), tag);
    assert_eq!(loaded.ok(200), created);
    let set = json!({ "requirements": [], "updates": [{ "action": "set-properties", "updates": { "a": "b" } }] });
    let changed = catalog.post(&tenant.key, &format!("{NAMESPACE}/tables/back"), &set).await.ok(200);
    assert_eq!(changed["metadata"]["metadata-log"][0]["metadata-file"], created["metadata-location"]);
}

#[tokio::test]
async fn existing_name_is_refused_without_overwrite() {
    let (catalog, tenant, first) = with_dropped_table().await;
    let path = format!("{NAMESPACE}/register");
    let second = catalog.post(&tenant.key, &format!("{NAMESPACE}/tables"), &create_table("t")).await.ok(200);
    catalog.post(&tenant.key, &format!("{NAMESPACE}/views"), &create_view("v", "select 1")).await.ok(200);
    let mut body = register("t", &first);
    for overwrite in [None, Some(false)] {
        body["overwrite"] = json!(overwrite);
        let refused = catalog.post(&tenant.key, &path, &body).await;
        assert_eq!(refused.error(409, "AlreadyExistsException"), "Table already exists: ns.t");
        assert_eq!(catalog.get(&tenant.key, &format!("{NAMESPACE}/tables/t")).await.ok(200), second);
    }
    body["overwrite"] = json!(true);
    assert_eq!(catalog.post(&tenant.key, &path, &body).await.ok(200), first);
    assert_eq!(catalog.get(&tenant.key, &format!("{NAMESPACE}/tables/t")).await.ok(200), first);
    assert_eq!(catalog.post(&tenant.key, &path, &body).await.ok(200), first, "the same file again");

    let mut onto_view = register("v", &second);
    onto_view["overwrite"] = json!(true);
    let refused = catalog.post(&tenant.key, &path, &onto_view).await;
    assert_eq!(refused.error(409, "AlreadyExistsException"), "View with same name already exists: ns.v");
    let mut fresh = register("fresh", &second);
    fresh["overwrite"] = json!(true);
    assert_eq!(catalog.post(&tenant.key, &path, &fresh).await.ok(200), second, "overwrite also works for a new name");
}

#[tokio::test]
async fn register_of_another_tables_files_is_refused() {
    let (catalog, tenant, created) = with_dropped_table().await;
    let path = format!("{NAMESPACE}/register");
    catalog.post(&tenant.key, &path, &register("one", &created)).await.ok(200);
    let twice = catalog.post(&tenant.key, &path, &register("two", &created)).await;
    assert!(twice.error(400, "BadRequestException").contains("overlaps"));
}

#[tokio::test]
async fn register_of_a_file_that_is_no_table_metadata_in_the_warehouse_is_refused() {
    let (catalog, tenant, created) = with_dropped_table().await;
    let path = format!("{NAMESPACE}/register");
    let other = catalog.tenant("other", "enterprise").await;
    let others = catalog.with_table(&other).await;
    let view = catalog.post(&tenant.key, &format!("{NAMESPACE}/views"), &create_view("v", "select 1")).await.ok(200);
    let location = created["metadata-location"].as_str().unwrap();
    for refused in [
        json!({ "name": "x", "metadata-location": others["metadata-location"] }),
        json!({ "name": "x", "metadata-location": "file:///etc/passwd" }),
        json!({ "name": "x", "metadata-location": format!("{}/../../../../etc/passwd", location) }),
        json!({ "name": "x", "metadata-location": view["metadata-location"] }),
        json!({ "name": "x", "metadata-location": "s3://bucket/x" }),
        json!({ "name": "x" }),
        json!({ "metadata-location": location }),
        json!({ "name": "x", "metadata-location": location, "overwrite": "yes" }),
    ] {
        catalog.post(&tenant.key, &path, &refused).await.error(400, "BadRequestException");
    }
    let missing = json!({ "name": "x", "metadata-location": location.replace("00000-", "00009-") });
    let missing = catalog.post(&tenant.key, &path, &missing).await.error(404, "NotFoundException");
    assert!(missing.starts_with("Failed to open input stream for file: "), "{missing}");
    let nowhere = catalog.post(&tenant.key, "/v1/namespaces/none/register", &register("x", &created)).await;
    nowhere.error(404, "NoSuchNamespaceException");
}

#[tokio::test]
async fn unregistered_table_keeps_its_files() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let created = catalog.with_table(&tenant).await;
    let path = format!("{NAMESPACE}/tables/t/unregister");
    let let_go = catalog.post(&tenant.key, &path, &json!({})).await.ok(200);
    assert_eq!(let_go["metadata-location"], created["metadata-location"]);
    assert_eq!(let_go["metadata"], created["metadata"]);
    catalog.get(&tenant.key, &format!("{NAMESPACE}/tables/t")).await.error(404, "NoSuchTableException");
    catalog.post(&tenant.key, &path, &json!({})).await.error(404, "NoSuchTableException");
    let back = catalog.post(&tenant.key, &format!("{NAMESPACE}/register"), &register("t", &created)).await;
    assert_eq!(back.ok(200), created);
}

/// Writes a changed copy of a table's metadata next to it, and returns its location.
fn changed_copy(created: &Value, name: &str, change: impl FnOnce(&mut Value)) -> (String, std::path::PathBuf) {
    let location = created["metadata-location"].as_str().unwrap();
    let (folder, _) = location.rsplit_once('/').unwrap();
    let mut metadata = created["metadata"].clone();
    change(&mut metadata);
    let copy = format!("{folder}/{name}.metadata.json");
    let path = std::path::PathBuf::from(copy.strip_prefix("file://").unwrap());
    std::fs::write(&path, metadata.to_string()).unwrap();
    (copy, path)
}

/// A change to a valid document.
type Change = fn(&mut Value);

#[tokio::test]
async fn register_of_an_invalid_document_is_refused_and_keeps_the_file() {
    let (catalog, tenant, created) = with_dropped_table().await;
    let cases: [(&str, Change, &str); 5] = [
        ("type", |m| m["schemas"][0]["fields"][0]["type"] = json!("lng"), "the specification has no type lng"),
        (
            "source",
            |m| {
                m["partition-specs"][0]["fields"] =
                    json!([{ "source-id": 9, "field-id": 1000, "name": "p", "transform": "identity" }]);
            },
            "Cannot find source column for partition field: p",
        ),
        ("null", |m| m["refs"] = json!(null), "refs is null: leave it out"),
        ("case", |m| m["schemas"][0]["fields"][0]["type"] = json!("LONG"), "which the specification writes \"long\""),
        ("version", |m| m["format-version"] = json!(4), "Cannot read unsupported version 4"),
    ];
    for (name, change, expected) in cases {
        let (location, path) = changed_copy(&created, name, change);
        let body = json!({ "name": name, "metadata-location": location });
        let refused = catalog.post(&tenant.key, &format!("{NAMESPACE}/register"), &body).await;
        let message = refused.error(400, "BadRequestException");
        assert!(message.contains(expected), "expected '{expected}', got '{message}'");
        assert!(path.exists(), "the file stays");
    }
    let (location, _) = changed_copy(&created, "good", |metadata| metadata["future"] = json!({ "kept": null }));
    let body = json!({ "name": "good", "metadata-location": location });
    let registered = catalog.post(&tenant.key, &format!("{NAMESPACE}/register"), &body).await.ok(200);
    assert_eq!(registered["metadata"]["future"], json!({ "kept": null }), "unknown fields stay");
}

#[tokio::test]
async fn table_with_an_old_invalid_document_is_loadable_and_a_commit_corrects_it() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let created = catalog.with_table(&tenant).await;
    let location = created["metadata-location"].as_str().unwrap();
    let mut old = created["metadata"].clone();
    old["schemas"][0]["fields"][0]["type"] = json!("LONG");
    old["current-snapshot-id"] = json!(7);
    old["statistics"] = json!(null);
    std::fs::write(location.strip_prefix("file://").unwrap(), old.to_string()).unwrap();

    // The first server has the document in memory. The second one reads the file.
    let catalog = catalog.second_server().await;
    let path = format!("{NAMESPACE}/tables/t");
    assert_eq!(catalog.get(&tenant.key, &path).await.ok(200)["metadata"], old, "a load returns the document unchanged");
    let set = json!({ "requirements": [], "updates": [{ "action": "set-properties", "updates": { "a": "b" } }] });
    let mended = catalog.post(&tenant.key, &path, &set).await.ok(200);
    assert_eq!(mended["metadata"]["schemas"][0]["fields"][0]["type"], "long");
    assert_eq!(mended["metadata"]["current-snapshot-id"], -1);
    assert_eq!(mended["metadata"]["statistics"], json!([]));
}

#[tokio::test]
async fn document_with_a_snapshot_without_operation_is_registered_unchanged() {
    let (catalog, tenant, created) = with_dropped_table().await;
    let snapshots = json!([{ "snapshot-id": 1, "sequence-number": 1, "timestamp-ms": created["metadata"]["last-updated-ms"],
        "manifest-list": "file:///none.avro", "summary": { "added-records": "1" }, "schema-id": 0 }]);
    let (location, path) = changed_copy(&created, "old", |metadata| {
        metadata["snapshots"] = snapshots.clone();
        metadata["current-snapshot-id"] = json!(1);
        metadata["last-sequence-number"] = json!(1);
        metadata["refs"] = json!({ "main": { "snapshot-id": 1, "type": "branch" } });
    });
    let before = std::fs::read(&path).unwrap();
    let body = json!({ "name": "old", "metadata-location": location });
    let registered = catalog.post(&tenant.key, &format!("{NAMESPACE}/register"), &body).await.ok(200);
    assert_eq!(registered["metadata"]["snapshots"], snapshots);
    assert_eq!(std::fs::read(&path).unwrap(), before);
    let mut new = snapshots[0].clone();
    new["snapshot-id"] = json!(2);
    new["sequence-number"] = json!(2);
    new["parent-snapshot-id"] = json!(1);
    let commit = json!({ "requirements": [], "updates": [{ "action": "add-snapshot", "snapshot": new }] });
    let refused = catalog.post(&tenant.key, &format!("{NAMESPACE}/tables/old"), &commit).await;
    assert!(refused.error(400, "BadRequestException").contains("has no operation"));
    let set = json!({ "requirements": [], "updates": [{ "action": "set-properties", "updates": { "a": "b" } }] });
    let changed = catalog.post(&tenant.key, &format!("{NAMESPACE}/tables/old"), &set).await.ok(200);
    assert_eq!(changed["metadata"]["snapshots"], snapshots);
}
