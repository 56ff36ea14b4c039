//! `POST /v1/namespaces/{namespace}/tables/{table}`

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::{Catalog, create_table};

const TABLE: &str = "/v1/namespaces/ns/tables/t";

fn set(key: &str, value: &str) -> Value {
    json!({ "action": "set-properties", "updates": { key: value } })
}

fn metadata_files(location: &str) -> usize {
    let file = std::path::Path::new(location.strip_prefix("file://").unwrap());
    std::fs::read_dir(file.parent().unwrap()).unwrap().count()
}

#[tokio::test]
async fn commit_writes_the_next_document_and_moves_the_pointer() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let created = catalog.with_table(&tenant).await;
    let commit = json!({
        "requirements": [{ "type": "assert-table-uuid", "uuid": created["metadata"]["table-uuid"] },
            { "type": "assert-current-schema-id", "current-schema-id": 0 }],
        "updates": [
            { "action": "add-schema", "last-column-id": 3, "schema": { "type": "struct", "fields": [
                { "id": 1, "name": "id", "required": true, "type": "long" },
                { "id": 3, "name": "added", "required": false, "type": "date" }] } },
            { "action": "set-current-schema", "schema-id": -1 }, set("owner", "ann")] });
    let committed = catalog.post(&tenant.key, TABLE, &commit).await.ok(200);
    assert_eq!(committed.as_object().unwrap().keys().collect::<Vec<_>>(), ["metadata-location", "metadata"]);
    assert_eq!(committed["metadata"]["current-schema-id"], 1);
    assert_eq!(committed["metadata"]["properties"]["owner"], "ann");
    assert_eq!(committed["metadata"]["metadata-log"][0]["metadata-file"], created["metadata-location"]);
    let loaded = catalog.get(&tenant.key, TABLE).await.ok(200);
    assert_eq!(loaded["metadata"], committed["metadata"]);
    assert_eq!(loaded["metadata-location"], committed["metadata-location"]);
}

#[tokio::test]
async fn added_snapshot_becomes_current() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let created = catalog.with_table(&tenant).await;
    let snapshot = json!({ "snapshot-id": 7, "sequence-number": 1, "schema-id": 0,
        "timestamp-ms": created["metadata"]["last-updated-ms"], "summary": { "operation": "append" },
        "manifest-list": format!("{}/metadata/snap-7.avro", created["metadata"]["location"].as_str().unwrap()) });
    let commit = json!({
        "requirements": [{ "type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": null }],
        "updates": [{ "action": "add-snapshot", "snapshot": snapshot },
            { "action": "set-snapshot-ref", "ref-name": "main", "type": "branch", "snapshot-id": 7 }] });
    let committed = catalog.post(&tenant.key, TABLE, &commit).await.ok(200);
    assert_eq!(committed["metadata"]["current-snapshot-id"], 7);
    assert_eq!(committed["metadata"]["snapshots"], json!([snapshot]));
    let again = catalog.post(&tenant.key, TABLE, &commit).await;
    again.error(409, "CommitFailedException");
}

#[tokio::test]
async fn commit_with_a_failed_requirement_changes_nothing() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let created = catalog.with_table(&tenant).await;
    let files = metadata_files(created["metadata-location"].as_str().unwrap());
    for (requirement, message) in [
        (json!({ "type": "assert-table-uuid", "uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1" }), "UUID does not match"),
        (json!({ "type": "assert-current-schema-id", "current-schema-id": 5 }), "current schema changed"),
        (
            json!({ "type": "assert-last-assigned-field-id", "last-assigned-field-id": 9 }),
            "last assigned field id changed",
        ),
        (json!({ "type": "assert-create" }), "table already exists"),
    ] {
        let commit = json!({ "requirements": [requirement], "updates": [set("a", "b")] });
        let refused = catalog.post(&tenant.key, TABLE, &commit).await.error(409, "CommitFailedException");
        assert!(refused.contains(message), "{refused}");
    }
    assert_eq!(catalog.get(&tenant.key, TABLE).await.ok(200), created);
    assert_eq!(metadata_files(created["metadata-location"].as_str().unwrap()), files);
}

#[tokio::test]
async fn commit_without_a_change_writes_no_document() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let created = catalog.with_table(&tenant).await;
    let committed = catalog.post(&tenant.key, TABLE, &json!({ "requirements": [], "updates": [] })).await.ok(200);
    assert_eq!(committed["metadata-location"], created["metadata-location"]);
}

#[tokio::test]
async fn commit_to_a_missing_table_gets_404() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    let commit = json!({ "requirements": [], "updates": [set("a", "b")] });
    let answer = catalog.post(&tenant.key, "/v1/namespaces/ns/tables/none", &commit).await;
    assert_eq!(answer.error(404, "NoSuchTableException"), "Table does not exist: ns.none");
}

#[tokio::test]
async fn commit_with_a_location_outside_the_warehouse_is_refused() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let created = catalog.with_table(&tenant).await;
    let elsewhere = format!("file://{}/elsewhere", catalog.folder.path().display());
    for update in [
        json!({ "action": "set-location", "location": elsewhere }),
        set("write.metadata.path", &elsewhere),
        set("write.data.path", &elsewhere),
        set("write.object-storage.path", &elsewhere),
    ] {
        let commit = json!({ "requirements": [], "updates": [update] });
        catalog.post(&tenant.key, TABLE, &commit).await.error(400, "BadRequestException");
    }
    assert_eq!(catalog.get(&tenant.key, TABLE).await.ok(200), created);
    assert!(!catalog.folder.path().join("elsewhere").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_commits_without_a_conflict_all_succeed() {
    let catalog = Arc::new(Catalog::new().await);
    let tenant = catalog.tenant("acme", "enterprise").await;
    let created = catalog.with_table(&tenant).await;
    let commits = (0..40).map(|n| {
        let (catalog, key) = (Arc::clone(&catalog), tenant.key.clone());
        let commit = json!({ "updates": [set(&format!("k{n}"), "v")], "requirements": [
            { "type": "assert-table-uuid", "uuid": created["metadata"]["table-uuid"] }] });
        tokio::spawn(async move { catalog.post(&key, TABLE, &commit).await.ok(200) })
    });
    for commit in commits.collect::<Vec<_>>() {
        commit.await.unwrap();
    }
    let loaded = catalog.get(&tenant.key, TABLE).await.ok(200);
    let properties = loaded["metadata"]["properties"].as_object().unwrap();
    assert_eq!(properties.keys().filter(|key| key.starts_with('k')).count(), 40);
    assert!(loaded["metadata-location"].as_str().unwrap().contains("/00040-"), "each commit wrote one document");
    assert_eq!(metadata_files(loaded["metadata-location"].as_str().unwrap()), 41);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_concurrent_conflicting_commits_succeeds() {
    let catalog = Arc::new(Catalog::new().await);
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    let commits = (0..10).map(|n| {
        let (catalog, key) = (Arc::clone(&catalog), tenant.key.clone());
        let commit = json!({
            "requirements": [{ "type": "assert-last-assigned-field-id", "last-assigned-field-id": 2 }],
            "updates": [{ "action": "add-schema", "last-column-id": 3, "schema": { "type": "struct", "fields": [
                { "id": 3, "name": format!("c{n}"), "required": false, "type": "int" }] } }] });
        tokio::spawn(async move { catalog.post(&key, TABLE, &commit).await.status.as_u16() })
    });
    let mut statuses = Vec::new();
    for commit in commits.collect::<Vec<_>>() {
        statuses.push(commit.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [[200].as_slice(), &[409; 9]].concat());
}

#[tokio::test]
async fn snapshot_based_on_an_older_table_is_a_conflict() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.post(&tenant.key, "/v1/namespaces", &json!({ "namespace": ["ns"] })).await.ok(200);
    let mut create = create_table("t");
    create["properties"] = json!({ "format-version": "3" });
    catalog.post(&tenant.key, "/v1/namespaces/ns/tables", &create).await.ok(200);
    let add = |id: i64, sequence_number: i64, first_row_id: i64| {
        let mut snapshot = json!({ "snapshot-id": id, "sequence-number": sequence_number, "schema-id": 0,
            "timestamp-ms": 9_000_000_000_000_i64, "summary": { "operation": "append" }, "first-row-id": first_row_id,
            "added-rows": 10, "manifest-list": "file:///snap.avro" });
        if id > 1 {
            snapshot["parent-snapshot-id"] = json!(1);
        }
        json!({ "requirements": [], "updates": [{ "action": "add-snapshot", "snapshot": snapshot }] })
    };
    catalog.post(&tenant.key, TABLE, &add(1, 1, 0)).await.ok(200);
    for (stale, says) in [(add(2, 1, 10), "sequence number"), (add(2, 2, 9), "first-row-id")] {
        let refused = catalog.post(&tenant.key, TABLE, &stale).await.error(409, "CommitFailedException");
        assert!(refused.contains(says), "{refused}");
    }
    catalog.post(&tenant.key, TABLE, &add(2, 2, 10)).await.ok(200);
}

#[tokio::test]
async fn absent_or_null_requirements_and_updates_mean_empty_lists() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let created = catalog.with_table(&tenant).await;
    for nothing in [json!({}), json!({ "requirements": [] }), json!({ "updates": null })] {
        let answer = catalog.post(&tenant.key, TABLE, &nothing).await.ok(200);
        assert_eq!(answer["metadata-location"], created["metadata-location"], "{nothing} changes nothing");
    }
    for change in [json!({ "updates": [set("a", "b")] }), json!({ "requirements": null, "updates": [set("c", "d")] })] {
        catalog.post(&tenant.key, TABLE, &change).await.ok(200);
    }
}

#[tokio::test]
async fn body_with_fifty_thousand_removals_is_accepted() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    let ids: Vec<i64> = (0..50_000).map(|n| 4_000_000_000_000_000_000 + n).collect();
    let commit = json!({ "requirements": [], "updates": [{ "action": "remove-snapshots", "snapshot-ids": ids }] });
    catalog.post(&tenant.key, TABLE, &commit).await.ok(200);
}
