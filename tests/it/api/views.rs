//! `/v1/namespaces/{namespace}/views`, `.../views/{view}`, `.../register-view` and `/v1/views/rename`

use std::sync::Arc;

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Catalog, Tenant, create_table, create_view};

const VIEWS: &str = "/v1/namespaces/ns/views";
const VIEW: &str = "/v1/namespaces/ns/views/v";

fn version(sql: &str) -> Value {
    create_view("v", sql)["view-version"].clone()
}

fn replace(sql: &str) -> Value {
    json!({ "requirements": [], "updates": [{ "action": "add-view-version", "view-version": version(sql) },
        { "action": "set-current-view-version", "view-version-id": -1 }] })
}

fn set(key: &str, value: &str) -> Value {
    json!({ "requirements": [], "updates": [{ "action": "set-properties", "updates": { key: value } }] })
}

fn path(location: &Value) -> &std::path::Path {
    std::path::Path::new(location.as_str().unwrap().strip_prefix("file://").unwrap())
}

fn names(list: &Value) -> Vec<&str> {
    list["identifiers"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect()
}

/// Creates a catalog with a tenant and the namespace `ns`.
async fn start() -> (Catalog, Tenant) {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.post(&tenant.key, "/v1/namespaces", &json!({ "namespace": ["ns"] })).await.ok(200);
    (catalog, tenant)
}

async fn rename(catalog: &Catalog, key: &str, kind: &str, from: &str, to: (&str, &str)) -> Answer {
    let body = json!({ "source": { "namespace": ["ns"], "name": from },
        "destination": { "namespace": [to.0], "name": to.1 } });
    catalog.post(key, &format!("/v1/{kind}/rename"), &body).await
}

#[tokio::test]
async fn view_is_created_loaded_and_dropped() {
    let (catalog, tenant) = start().await;
    let key = &tenant.key;
    let created = catalog.post(key, VIEWS, &create_view("v", "select 1")).await.ok(200);
    assert_eq!(created.as_object().unwrap().keys().collect::<Vec<_>>(), ["metadata-location", "metadata", "config"]);
    assert_eq!(created["config"], json!({}));
    let metadata = &created["metadata"];
    assert_eq!((&metadata["format-version"], &metadata["current-version-id"]), (&json!(1), &json!(1)));
    assert_eq!(metadata["versions"][0]["representations"][0]["sql"], "select 1");
    let location = &created["metadata-location"];
    assert!(location.as_str().unwrap().contains("/metadata/00000-"), "{location}");
    assert!(location.as_str().unwrap().starts_with(metadata["location"].as_str().unwrap()), "{location}");
    assert_eq!(serde_json::from_slice::<Value>(&std::fs::read(path(location)).unwrap()).unwrap(), *metadata);

    assert_eq!(catalog.get(key, VIEW).await.ok(200), created);
    assert_eq!(catalog.get(key, &VIEW.replace("/v1", "/v1/main")).await.ok(200), created);
    assert_eq!(catalog.bytes(key, Method::HEAD, VIEW, "").await.status, 204);
    let listed = catalog.get(key, VIEWS).await.ok(200);
    assert_eq!(listed, json!({ "next-page-token": null, "identifiers": [{ "namespace": ["ns"], "name": "v" }] }));
    let again = catalog.post(key, VIEWS, &create_view("v", "select 2")).await;
    assert_eq!(again.error(409, "AlreadyExistsException"), "View already exists: ns.v");
    let full = catalog.delete(key, "/v1/namespaces/ns").await;
    full.error(409, "NamespaceNotEmptyException");

    catalog.delete(key, VIEW).await.ok(204);
    assert_eq!(catalog.get(key, VIEW).await.error(404, "NoSuchViewException"), "View does not exist: ns.v");
    assert_eq!(catalog.bytes(key, Method::HEAD, VIEW, "").await.status, 404);
    catalog.delete(key, VIEW).await.error(404, "NoSuchViewException");
    let gone = catalog.post(key, VIEW, &replace("select 2")).await;
    assert_eq!(gone.error(404, "NoSuchViewException"), "View does not exist: ns.v");
    let nowhere = catalog.get(key, "/v1/namespaces/none/views/v").await;
    assert_eq!(nowhere.error(404, "NoSuchViewException"), "View does not exist: none.v");
    catalog.get(key, "/v1/namespaces/none/views").await.error(404, "NoSuchNamespaceException");
    let nowhere = catalog.post(key, "/v1/namespaces/none/views", &create_view("v", "select 1")).await;
    assert_eq!(nowhere.error(404, "NoSuchNamespaceException"), "Namespace does not exist: none");
}

#[tokio::test]
async fn view_cannot_have_the_name_of_a_table_and_the_reverse() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let key = &tenant.key;
    catalog.with_table(&tenant).await;
    catalog.post(key, VIEWS, &create_view("v", "select 1")).await.ok(200);
    let refused = async |path: &str, body: Value, says: &str| {
        assert_eq!(catalog.post(key, path, &body).await.error(409, "AlreadyExistsException"), says);
    };
    refused(VIEWS, create_view("t", "select 1"), "Table with same name already exists: ns.t").await;
    refused("/v1/namespaces/ns/tables", create_table("v"), "View with same name already exists: ns.v").await;
    let create = json!({ "requirements": [{ "type": "assert-create" }], "updates": [
        { "action": "add-schema", "schema": create_table("v")["schema"] },
        { "action": "set-current-schema", "schema-id": -1 }] });
    // The last step of a staged create, with `assert-create`.
    let by_commit = catalog.post(key, "/v1/namespaces/ns/tables/v", &create).await;
    assert_eq!(by_commit.error(409, "CommitFailedException"), "View with same name already exists: ns.v");

    let no_view = catalog.get(key, "/v1/namespaces/ns/views/t").await;
    assert_eq!(no_view.error(404, "NoSuchViewException"), "View does not exist: ns.t");
    let no_table = catalog.get(key, "/v1/namespaces/ns/tables/v").await;
    assert_eq!(no_table.error(404, "NoSuchTableException"), "Table does not exist: ns.v");
    catalog.delete(key, "/v1/namespaces/ns/views/t").await.error(404, "NoSuchViewException");
    catalog.delete(key, "/v1/namespaces/ns/tables/v").await.error(404, "NoSuchTableException");
    catalog.post(key, "/v1/namespaces/ns/views/t", &replace("select 1")).await.error(404, "NoSuchViewException");
    assert_eq!(names(&catalog.get(key, VIEWS).await.ok(200)), ["v"]);
    assert_eq!(names(&catalog.get(key, "/v1/namespaces/ns/tables").await.ok(200)), ["t"]);
}

#[tokio::test]
async fn renamed_view_keeps_its_metadata_and_existing_names_are_refused() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let key = &tenant.key;
    catalog.with_table(&tenant).await;
    catalog.post(key, "/v1/namespaces", &json!({ "namespace": ["other"] })).await.ok(200);
    let one = catalog.post(key, VIEWS, &create_view("viewOne", "select 1")).await.ok(200);
    catalog.post(key, VIEWS, &create_view("viewTwo", "select 2")).await.ok(200);
    for (kind, from, to, says) in [
        ("views", "viewOne", "viewTwo", "Cannot rename ns.viewOne to ns.viewTwo. View already exists"),
        ("views", "viewOne", "viewOne", "Cannot rename ns.viewOne to ns.viewOne. View already exists"),
        ("views", "viewOne", "t", "Cannot rename ns.viewOne to ns.t. Table already exists"),
        ("tables", "t", "viewOne", "Cannot rename ns.t to ns.viewOne. View already exists"),
    ] {
        let refused = rename(&catalog, key, kind, from, ("ns", to)).await;
        assert_eq!(refused.error(409, "AlreadyExistsException"), says);
    }
    let nowhere = rename(&catalog, key, "views", "viewOne", ("none", "v")).await;
    assert_eq!(nowhere.error(404, "NoSuchNamespaceException"), "Namespace does not exist: none");
    for missing in ["none", "t"] {
        let message = rename(&catalog, key, "views", missing, ("ns", "x")).await.error(404, "NoSuchViewException");
        assert_eq!(message, format!("View does not exist: ns.{missing}"));
    }
    rename(&catalog, key, "views", "viewOne", ("other", "moved")).await.ok(204);
    assert_eq!(catalog.get(key, "/v1/namespaces/other/views/moved").await.ok(200), one);
    let fresh = catalog.post(key, VIEWS, &create_view("viewOne", "select 1")).await.ok(200);
    assert_ne!(fresh["metadata"]["location"], one["metadata"]["location"]);
}

#[tokio::test]
async fn replacement_writes_the_next_document() {
    let (catalog, tenant) = start().await;
    let created = catalog.post(&tenant.key, VIEWS, &create_view("v", "select 1")).await.ok(200);
    let mut commit = replace("select 2");
    commit["requirements"] = json!([{ "type": "assert-view-uuid", "uuid": created["metadata"]["view-uuid"] }]);
    let replaced = catalog.post(&tenant.key, VIEW, &commit).await.ok(200);
    assert_eq!(replaced["metadata"]["current-version-id"], 2);
    assert!(replaced["metadata-location"].as_str().unwrap().contains("/metadata/00001-"), "{replaced}");
    assert!(path(&created["metadata-location"]).exists(), "the earlier document stays");
    assert_eq!(catalog.get(&tenant.key, VIEW).await.ok(200), replaced);
    let again = catalog.post(&tenant.key, VIEW, &commit).await.ok(200);
    assert_eq!(again, replaced, "a commit without a change writes no document");

    let catalog = Catalog::reopen(catalog.stop().await, |_| ()).await;
    assert_eq!(catalog.get(&tenant.key, VIEW).await.ok(200), replaced);
}

#[tokio::test]
async fn commit_that_breaks_a_requirement_or_rule_changes_nothing() {
    let (catalog, tenant) = start().await;
    let created = catalog.post(&tenant.key, VIEWS, &create_view("v", "select 1")).await.ok(200);
    let files = || std::fs::read_dir(path(&created["metadata-location"]).parent().unwrap()).unwrap().count();
    let mut other = replace("select 2");
    other["requirements"] = json!([{ "type": "assert-view-uuid", "uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1" }]);
    let conflict = catalog.post(&tenant.key, VIEW, &other).await.error(409, "CommitFailedException");
    assert!(conflict.starts_with("Requirement failed: view UUID does not match"), "{conflict}");
    let mut twice = version("select 2");
    let representation = twice["representations"][0].clone();
    twice["representations"].as_array_mut().unwrap().push(representation);
    let mut trino = version("select 2");
    trino["representations"][0]["dialect"] = json!("trino");
    let commit = |version: Value| {
        json!({ "requirements": [], "updates": [{ "action": "add-view-version", "view-version": version },
            { "action": "set-current-view-version", "view-version-id": -1 }] })
    };
    for (commit, says) in [
        (commit(twice.clone()), "Invalid view version: Cannot add multiple queries for dialect spark"),
        (commit(trino), "no query for spark"),
        (set("version.history.num-entries", "0"), "must be a positive number"),
    ] {
        let refused = catalog.post(&tenant.key, VIEW, &commit).await.error(400, "IllegalArgumentException");
        assert!(refused.contains(says), "{refused}");
    }
    let mut request = create_view("w", "select 1");
    request["view-version"] = twice;
    let refused = catalog.post(&tenant.key, VIEWS, &request).await.error(400, "IllegalArgumentException");
    assert_eq!(refused, "Invalid view version: Cannot add multiple queries for dialect spark");
    for wrong in [json!({ "type": "assert-create" }), json!({ "type": "assert-luck" })] {
        let commit = json!({ "requirements": [wrong], "updates": [] });
        catalog.post(&tenant.key, VIEW, &commit).await.error(400, "BadRequestException");
    }
    assert_eq!((catalog.get(&tenant.key, VIEW).await.ok(200), files()), (created.clone(), 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_replacements_all_succeed() {
    let (catalog, tenant) = start().await;
    let catalog = Arc::new(catalog);
    let mut request = create_view("v", "select 0");
    request["properties"] = json!({ "version.history.num-entries": "100" });
    let created = catalog.post(&tenant.key, VIEWS, &request).await.ok(200);
    let commits = (1..=20).map(|n| {
        let (catalog, key) = (Arc::clone(&catalog), tenant.key.clone());
        let mut commit = replace(&format!("select {n}"));
        commit["updates"][0]["view-version"]["version-id"] = json!(2);
        commit["requirements"] = json!([{ "type": "assert-view-uuid", "uuid": created["metadata"]["view-uuid"] }]);
        tokio::spawn(async move { catalog.post(&key, VIEW, &commit).await.ok(200) })
    });
    for commit in commits.collect::<Vec<_>>() {
        commit.await.unwrap();
    }
    let loaded = catalog.get(&tenant.key, VIEW).await.ok(200);
    let versions = loaded["metadata"]["versions"].as_array().unwrap();
    let ids: Vec<i64> = versions.iter().map(|version| version["version-id"].as_i64().unwrap()).collect();
    assert_eq!(ids, (1..=21).collect::<Vec<_>>());
    assert_eq!(loaded["metadata"]["current-version-id"], 21);
    assert!(loaded["metadata-location"].as_str().unwrap().contains("/00020-"), "each commit wrote one document");
}

#[tokio::test]
async fn view_metadata_path_is_accepted_only_inside_the_warehouse() {
    let (catalog, tenant) = start().await;
    let key = &tenant.key;
    let root = format!("file://{}/{}/main", catalog.folder.path().display(), tenant.organisation);
    let mut request = create_view("v", "select 1");
    request["location"] = json!(format!("{root}/my/view"));
    request["properties"] = json!({ "write.metadata.path": format!("{root}/elsewhere"),
        "write.metadata.compression-codec": "gzip" });
    let created = catalog.post(key, VIEWS, &request).await.ok(200);
    assert_eq!(created["metadata"]["location"], format!("{root}/my/view"));
    let location = created["metadata-location"].as_str().unwrap();
    assert!(location.starts_with(&format!("{root}/elsewhere/00000-")), "{location}");
    assert!(location.ends_with(".gz.metadata.json"), "{location}");
    assert_eq!(std::fs::read(path(&created["metadata-location"])).unwrap()[..2], [0x1f, 0x8b]);

    // A view reserves the folder of its documents, and nothing below its location.
    let mut inside = create_view("w", "select 1");
    inside["location"] = json!(format!("{root}/elsewhere/w"));
    let overlap = catalog.post(key, VIEWS, &inside).await.error(400, "BadRequestException");
    assert!(overlap.contains("overlaps"), "{overlap}");
    let mut table = create_table("t");
    table["location"] = json!(format!("{root}/elsewhere"));
    catalog.post(key, "/v1/namespaces/ns/tables", &table).await.error(400, "BadRequestException");
    table["location"] = json!(format!("{root}/my/view/t"));
    catalog.post(key, "/v1/namespaces/ns/tables", &table).await.ok(200);
    for outside in ["file:///etc", "s3://bucket/v", &format!("{root}2/v"), &format!("{root}/../x"), &root, "relative"] {
        // A relative path is only allowed in a creation, where it is resolved below the warehouse's root.
        inside["location"] = json!(if outside == "relative" { "../relative" } else { outside });
        catalog.post(key, VIEWS, &inside).await.error(400, "BadRequestException");
        let moved = json!({ "updates": [{ "action": "set-location", "location": outside }] });
        catalog.post(key, VIEW, &moved).await.error(400, "BadRequestException");
        catalog.post(key, VIEW, &set("write.metadata.path", outside)).await.error(400, "BadRequestException");
    }
    catalog.post(key, VIEW, &set("write.metadata.compression-codec", "zip")).await.error(400, "BadRequestException");
    assert_eq!(catalog.get(key, VIEW).await.ok(200), created);
    let moved = json!({ "updates": [{ "action": "set-location", "location": format!("{root}/new/place") }] });
    let moved = catalog.post(key, VIEW, &moved).await.ok(200);
    assert_eq!(moved["metadata"]["location"], format!("{root}/new/place"));
}

#[tokio::test]
async fn dropped_view_is_registered_from_its_metadata() {
    let (catalog, tenant) = start().await;
    let key = &tenant.key;
    let created = catalog.post(key, VIEWS, &create_view("v", "select 1")).await.ok(200);
    let at = created["metadata-location"].clone();
    let register = async |name: &str, at: &Value| {
        let body = json!({ "name": name, "metadata-location": at });
        catalog.post(key, "/v1/namespaces/ns/register-view", &body).await
    };
    let taken = register("v", &at).await;
    assert_eq!(taken.error(409, "AlreadyExistsException"), "View already exists: ns.v");
    register("w", &at).await.error(400, "BadRequestException");
    catalog.delete(key, VIEW).await.ok(204);
    assert_eq!(register("w", &at).await.ok(200), created);
    assert_eq!(catalog.get(key, "/v1/namespaces/ns/views/w").await.ok(200), created);
    let replaced = catalog.post(key, "/v1/namespaces/ns/views/w", &replace("select 2")).await.ok(200);
    assert!(replaced["metadata-location"].as_str().unwrap().contains("/00001-"), "{replaced}");

    let table = catalog.post(key, "/v1/namespaces/ns/tables", &create_table("t")).await.ok(200);
    catalog.delete(key, "/v1/namespaces/ns/views/w").await.ok(204);
    let named = register("t", &at).await;
    assert_eq!(named.error(409, "AlreadyExistsException"), "Table with same name already exists: ns.t");
    let of_a_table = register("x", &table["metadata-location"]).await.error(400, "BadRequestException");
    assert!(of_a_table.contains("view metadata"), "{of_a_table}");
    let missing = json!(at.as_str().unwrap().replace("00000", "00009"));
    let message = register("x", &missing).await.error(404, "NotFoundException");
    assert_eq!(message, format!("Failed to open input stream for file: {}", missing.as_str().unwrap()));
    let folder = json!(path(&at).parent().unwrap().to_str().unwrap());
    register("x", &folder).await.error(404, "NotFoundException");
    let body = json!({ "name": "x", "metadata-location": at });
    let nowhere = catalog.post(key, "/v1/namespaces/none/register-view", &body).await;
    nowhere.error(404, "NoSuchNamespaceException");
}

#[tokio::test]
async fn register_of_view_metadata_outside_the_warehouse_is_refused() {
    let (catalog, tenant) = start().await;
    let other = catalog.tenant("other", "enterprise").await;
    catalog.post(&other.key, "/v1/namespaces", &json!({ "namespace": ["ns"] })).await.ok(200);
    let theirs = catalog.post(&other.key, VIEWS, &create_view("v", "select 1")).await.ok(200);
    let at = theirs["metadata-location"].as_str().unwrap();
    let root = format!("file://{}/{}/main", catalog.folder.path().display(), tenant.organisation);
    let around = format!("{root}/../../{}", at.split("/").skip(4).collect::<Vec<_>>().join("/"));
    for outside in [at, &around, "file:///etc/passwd", "s3://bucket/v.json", "relative", ""] {
        let body = json!({ "name": "stolen", "metadata-location": outside });
        let refused = catalog.post(&tenant.key, "/v1/namespaces/ns/register-view", &body).await;
        refused.error(400, "BadRequestException");
    }
    // The file is in the warehouse, but the view's location in it is not.
    let copy = format!("{root}/copy.metadata.json");
    std::fs::create_dir_all(path(&json!(root))).unwrap();
    std::fs::copy(path(&theirs["metadata-location"]), path(&json!(copy))).unwrap();
    let body = json!({ "name": "stolen", "metadata-location": copy });
    let refused = catalog.post(&tenant.key, "/v1/namespaces/ns/register-view", &body).await;
    assert!(refused.error(400, "BadRequestException").contains("outside of its warehouse"));
    catalog.get(&tenant.key, "/v1/namespaces/ns/views/stolen").await.error(404, "NoSuchViewException");
}

#[tokio::test]
async fn views_are_listed_in_pages() {
    let (catalog, tenant) = start().await;
    for n in 0..5 {
        catalog.post(&tenant.key, VIEWS, &create_view(&format!("v{n}"), "select 1")).await.ok(200);
    }
    catalog.post(&tenant.key, "/v1/namespaces/ns/tables", &create_table("v9")).await.ok(200);
    let (mut token, mut seen) = (String::new(), Vec::new());
    loop {
        let page = catalog.get(&tenant.key, &format!("{VIEWS}?pageToken={token}&pageSize=2")).await.ok(200);
        seen.extend(names(&page).into_iter().map(str::to_owned));
        match page["next-page-token"].as_str() {
            Some(next) => next.clone_into(&mut token),
            None => break,
        }
    }
    assert_eq!(seen, ["v0", "v1", "v2", "v3", "v4"]);
    catalog.get(&tenant.key, &format!("{VIEWS}?pageToken=!")).await.error(400, "BadRequestException");
}

#[tokio::test]
async fn views_count_towards_the_tiers_limit() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "tiny").await;
    catalog.post(&tenant.key, "/v1/namespaces", &json!({ "namespace": ["ns"] })).await.ok(200);
    for name in ["a", "b"] {
        catalog.post(&tenant.key, VIEWS, &create_view(name, "select 1")).await.ok(200);
    }
    let refused = catalog.post(&tenant.key, VIEWS, &create_view("c", "select 1")).await;
    assert!(refused.error(403, "ForbiddenException").contains("2 tables and views"));
}
