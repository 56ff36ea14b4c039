//! The header `Idempotency-Key`, on every endpoint that changes something.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};
use tidewater::base::clock::fresh_ordered_uuid;
use tidewater_core::access::Role;
use tidewater_core::limits::Tier;

use crate::support::{Answer, Catalog, Tenant, create_table, create_view};
use tidewater::store::Change;

const TABLES: &str = "/v1/namespaces/ns/tables";
const TABLE: &str = "/v1/namespaces/ns/tables/t";

fn fresh_key() -> String {
    fresh_ordered_uuid().to_string()
}

fn request(api_key: &str, key: &str, method: &Method, path: &str, body: &Value) -> Request<Body> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {api_key}"))
        .header("content-type", "application/json")
        .header("Idempotency-Key", key);
    let body = if body.is_null() { String::new() } else { body.to_string() };
    request.body(Body::from(body)).unwrap()
}

async fn keyed(catalog: &Catalog, tenant: &Tenant, key: &str, path: &str, body: &Value) -> Answer {
    catalog.send(request(&tenant.key, key, &Method::POST, path, body)).await
}

fn set(property: &str) -> Value {
    json!({ "requirements": [], "updates": [{ "action": "set-properties", "updates": { property: "v" } }] })
}

fn add_column(requires_last_id: i32) -> Value {
    json!({ "requirements": [
            { "type": "assert-last-assigned-field-id", "last-assigned-field-id": requires_last_id }],
        "updates": [{ "action": "add-schema", "schema": { "type": "struct", "fields": [
            { "id": requires_last_id + 1, "name": "c", "required": false, "type": "int" }] } }] })
}

fn names(namespace: &str, from: &str, to: &str) -> Value {
    json!({ "source": { "namespace": [namespace], "name": from },
        "destination": { "namespace": [namespace], "name": to } })
}

async fn start() -> (Catalog, Tenant) {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    (catalog, tenant)
}

fn files(catalog: &Catalog, tenant: &Tenant) -> usize {
    fn count(folder: &Path) -> usize {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| if path.is_dir() { count(&path) } else { 1 }).sum()
    }
    count(&catalog.folder.path().join(tenant.organisation.to_string()))
}

#[tokio::test]
async fn config_has_the_lifetime_of_idempotency_keys() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    assert_eq!(catalog.get(&tenant.key, "/v1/config").await.ok(200)["idempotency-key-lifetime"], "PT30M");
    let catalog = Catalog::with(|config| config.api.idempotency_key_lifetime_s = 86_400).await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    assert_eq!(catalog.get(&tenant.key, "/v1/config").await.ok(200)["idempotency-key-lifetime"], "PT24H");
}

/// Returns one request for every endpoint that changes something, in an order in which each succeeds. A repetition without
/// the key would fail or get another response.
fn changes(files: &[Value; 2]) -> Vec<(&'static str, String, Value)> {
    let [table_file, view_file] = files;
    let view = json!({ "requirements": [], "updates": [
        { "action": "add-view-version", "view-version": create_view("v", "select 2")["view-version"] },
        { "action": "set-current-view-version", "view-version-id": -1 }] });
    let transaction = json!({ "table-changes": [{ "identifier": { "namespace": ["x"], "name": "new" },
        "requirements": [{ "type": "assert-create" }],
        "updates": [{ "action": "add-schema", "schema": create_table("new")["schema"] },
            { "action": "set-current-schema", "schema-id": -1 }] }] });
    let base = "/v1/{prefix}";
    let namespace = "/v1/{prefix}/namespaces/{namespace}";
    let post = |path: &str| ("POST", path.to_owned());
    let delete = |path: &str| ("DELETE", path.to_owned());
    [
        (post(&format!("{base}/namespaces")), json!({ "namespace": ["x"], "properties": { "a": "1" } })),
        (post(&format!("{namespace}/properties")), json!({ "updates": { "b": "2" }, "removals": ["a", "z"] })),
        (post(&format!("{namespace}/tables")), create_table("t")),
        (post(&format!("{namespace}/tables/{{table}}")), add_column(2)),
        (post(&format!("{base}/tables/rename")), names("x", "t", "u")),
        (post(&format!("{namespace}/register")), json!({ "name": "t", "metadata-location": table_file })),
        (post(&format!("{namespace}/tables/{{table}}/unregister")), Value::Null),
        (post(&format!("{base}/transactions/commit")), transaction),
        (post(&format!("{namespace}/views")), create_view("v", "select 1")),
        (post(&format!("{namespace}/views/{{view}}")), view),
        (post(&format!("{base}/views/rename")), names("x", "v", "w")),
        (post(&format!("{namespace}/register-view")), json!({ "name": "v", "metadata-location": view_file })),
        (delete(&format!("{namespace}/views/{{view}}")), Value::Null),
        (delete(&format!("{namespace}/tables/{{table}}")), Value::Null),
        (delete(namespace), Value::Null),
    ]
    .into_iter()
    .map(|((method, path), body)| (method, path, body))
    .collect()
}

#[tokio::test]
async fn repeated_change_gets_the_same_response_and_happens_once() {
    let (catalog, tenant) = start().await;
    let key = &tenant.key;
    // Metadata documents to register, of a dropped table and view.
    let table = catalog.post(key, TABLES, &create_table("old")).await.ok(200)["metadata-location"].clone();
    catalog.delete(key, "/v1/namespaces/ns/tables/old").await.ok(204);
    let views = "/v1/namespaces/ns/views";
    let view = catalog.post(key, views, &create_view("old", "select 1")).await.ok(200)["metadata-location"].clone();
    catalog.delete(key, "/v1/namespaces/ns/views/old").await.ok(204);

    let mut tried = BTreeSet::new();
    for (method, template, body) in changes(&[table, view]) {
        tried.insert(format!("{method} {template}"));
        let mut path = template.replace("{prefix}", "main").replace("{namespace}", "x");
        path = path.replace("{table}", "t").replace("{view}", "v");
        if path.ends_with("/namespaces/x") {
            // The last request. Removes the objects that block it.
            for rest in ["tables/u", "tables/new", "views/w"] {
                catalog.delete(key, &format!("/v1/namespaces/x/{rest}")).await.ok(204);
            }
        } else if method == "DELETE" && path.ends_with("/tables/t") {
            catalog.post(key, "/v1/namespaces/x/tables", &create_table("t")).await.ok(200);
        }
        let method = Method::try_from(method).unwrap();
        let once = fresh_key();
        let first = catalog.send(request(key, &once, &method, &path, &body)).await;
        assert!(first.status.is_success(), "{method} {path}: {first:?}");
        let files_after = files(&catalog, &tenant);
        let again = catalog.send(request(key, &once, &method, &path, &body)).await;
        let shown = |answer: &Answer| (answer.status, String::from_utf8_lossy(&answer.bytes).into_owned());
        assert_eq!(shown(&again), shown(&first), "{method} {path}");
        assert_eq!(again.headers.get("etag"), first.headers.get("etag"), "{method} {path}");
        assert_eq!(files(&catalog, &tenant), files_after, "{method} {path}");
        if !path.ends_with("/properties") && !path.ends_with("/views/v") {
            let with_another_key = catalog.send(request(key, &fresh_key(), &method, &path, &body)).await;
            assert!(
                with_another_key.status.is_client_error(),
                "{method} {path} can be done again: {with_another_key:?}"
            );
        }
    }
    // Requests without a lasting change take no key.
    for path in ["metrics", "sign", "plan", "tasks"] {
        tried.insert(format!("POST /v1/{{prefix}}/namespaces/{{namespace}}/tables/{{table}}/{path}"));
    }
    tried.insert("DELETE /v1/{prefix}/namespaces/{namespace}/tables/{table}/plan/{plan-id}".to_owned());
    tried.insert("POST /v1/{prefix}/events".to_owned());
    let config = catalog.get(key, "/v1/config").await.ok(200);
    let advertised =
        config["endpoints"].as_array().unwrap().iter().map(|endpoint| endpoint.as_str().unwrap().to_owned());
    let changing = advertised.filter(|endpoint| endpoint.starts_with("POST") || endpoint.starts_with("DELETE"));
    assert_eq!(tried, changing.collect(), "an endpoint is missing here");
}

#[tokio::test]
async fn repeated_commit_gets_its_own_document_after_later_commits() {
    let (catalog, tenant) = start().await;
    let key = fresh_key();
    let first = keyed(&catalog, &tenant, &key, TABLE, &set("a")).await.ok(200);
    let later = catalog.post(&tenant.key, TABLE, &set("b")).await.ok(200);
    assert_eq!(keyed(&catalog, &tenant, &key, TABLE, &set("a")).await.ok(200), first);
    assert_eq!(catalog.get(&tenant.key, TABLE).await.ok(200)["metadata-location"], later["metadata-location"]);
}

#[tokio::test]
async fn commit_without_a_change_is_recorded() {
    let (catalog, tenant) = start().await;
    let (key, nothing) = (fresh_key(), json!({ "requirements": [], "updates": [] }));
    let first = keyed(&catalog, &tenant, &key, TABLE, &nothing).await.ok(200);
    catalog.post(&tenant.key, TABLE, &set("a")).await.ok(200);
    assert_eq!(keyed(&catalog, &tenant, &key, TABLE, &nothing).await.ok(200), first);
    keyed(&catalog, &tenant, &key, TABLE, &set("b")).await.error(422, "UnprocessableEntityException");
}

#[tokio::test]
async fn staged_create_records_no_key() {
    let (catalog, tenant) = start().await;
    let mut staged = create_table("staged");
    staged["stage-create"] = json!(true);
    let key = fresh_key();
    for _ in 0..2 {
        keyed(&catalog, &tenant, &key, TABLES, &staged).await.ok(200);
    }
}

#[tokio::test]
async fn invalid_key_gets_400_and_changes_nothing() {
    let (catalog, tenant) = start().await;
    for bad in ["", "none", "550e8400-e29b-41d4-a716-446655440000", "017f22e279b07cc398c4dc0c0c07398f", "\u{e4}"] {
        let refused = keyed(&catalog, &tenant, bad, TABLE, &set("a")).await;
        assert!(refused.error(400, "BadRequestException").contains("UUID of version 7"), "{bad}");
    }
    let mut twice = request(&tenant.key, &fresh_key(), &Method::POST, TABLE, &set("a"));
    twice.headers_mut().append("idempotency-key", fresh_key().parse().unwrap());
    catalog.send(twice).await.error(400, "BadRequestException");
    let loaded = catalog.send(request(&tenant.key, "none", &Method::GET, TABLE, &Value::Null)).await.ok(200);
    assert_eq!(loaded["metadata"]["properties"]["a"], Value::Null);
}

#[tokio::test]
async fn key_used_for_another_request_gets_422() {
    let (catalog, tenant) = start().await;
    let key = fresh_key();
    keyed(&catalog, &tenant, &key, TABLE, &set("a")).await.ok(200);
    let before = catalog.get(&tenant.key, TABLE).await.ok(200);
    for (method, path, body) in [
        (Method::POST, TABLE, set("b")),
        (Method::POST, TABLES, create_table("u")),
        (Method::DELETE, TABLE, Value::Null),
        (Method::POST, "/v1/main/namespaces/ns/tables/t", set("a")),
    ] {
        let refused = catalog.send(request(&tenant.key, &key, &method, path, &body)).await;
        assert!(refused.error(422, "UnprocessableEntityException").contains("used for another request"));
    }
    assert_eq!(catalog.get(&tenant.key, TABLE).await.ok(200), before);
    // Each organisation has its own keys.
    let other = catalog.tenant("other", "enterprise").await;
    keyed(&catalog, &other, &key, "/v1/namespaces", &json!({ "namespace": ["own"] })).await.ok(200);
}

#[tokio::test]
async fn repeated_request_gets_the_same_refusal_after_its_cause_is_gone() {
    let (catalog, tenant) = start().await;
    let (conflict, missing, malformed) = (fresh_key(), fresh_key(), fresh_key());
    let stale = add_column(3);
    let refused = keyed(&catalog, &tenant, &conflict, TABLE, &stale).await;
    let said = refused.error(409, "CommitFailedException");
    let nowhere = "/v1/namespaces/later/tables";
    keyed(&catalog, &tenant, &missing, nowhere, &create_table("t")).await.error(404, "NoSuchNamespaceException");
    keyed(&catalog, &tenant, &malformed, TABLE, &json!({ "updates": 1 })).await.error(400, "BadRequestException");

    catalog.post(&tenant.key, TABLE, &add_column(2)).await.ok(200);
    catalog.post(&tenant.key, "/v1/namespaces", &json!({ "namespace": ["later"] })).await.ok(200);
    let again = keyed(&catalog, &tenant, &conflict, TABLE, &stale).await;
    assert_eq!(again.error(409, "CommitFailedException"), said);
    assert_eq!(again.header("content-type"), refused.header("content-type"));
    keyed(&catalog, &tenant, &missing, nowhere, &create_table("t")).await.error(404, "NoSuchNamespaceException");
    keyed(&catalog, &tenant, &malformed, TABLE, &json!({ "updates": 1 })).await.error(400, "BadRequestException");
    keyed(&catalog, &tenant, &malformed, TABLE, &set("a")).await.error(422, "UnprocessableEntityException");
    // A new attempt has a new key, as in the Java client.
    keyed(&catalog, &tenant, &fresh_key(), TABLE, &stale).await.ok(200);
    keyed(&catalog, &tenant, &fresh_key(), nowhere, &create_table("t")).await.ok(200);
}

#[tokio::test]
async fn caller_without_write_permission_gets_403_for_a_recorded_key() {
    let (catalog, tenant) = start().await;
    let reader = catalog.key(tenant.organisation, Role::Reader, None).await;
    let key = fresh_key();
    let ask = async |api_key: &str| catalog.send(request(api_key, &key, &Method::POST, TABLE, &set("a"))).await;
    ask(&reader).await.error(403, "ForbiddenException");
    ask("flx_none").await.error(401, "NotAuthorizedException");
    let done = ask(&tenant.key).await.ok(200);
    ask(&reader).await.error(403, "ForbiddenException");
    ask("flx_none").await.error(401, "NotAuthorizedException");
    assert_eq!(ask(&tenant.key).await.ok(200), done);
}

#[tokio::test]
async fn limit_is_checked_before_the_key_and_not_recorded() {
    let catalog = Catalog::with(|config| {
        config.auth.cache_s = 0;
        let none = Tier { max_tables: Some(0), ..Tier::default() };
        config.tiers.insert("no-tables".to_owned(), none);
    })
    .await;
    let tenant = catalog.tenant("acme", "no-tables").await;
    catalog.post(&tenant.key, "/v1/namespaces", &json!({ "namespace": ["ns"] })).await.ok(200);
    let key = fresh_key();
    let store = catalog.app.store();
    keyed(&catalog, &tenant, &key, TABLES, &create_table("t")).await.error(403, "ForbiddenException");
    store.organisation_set_tier(tenant.organisation, "enterprise", &Change::by_catalog(0)).await.unwrap();
    keyed(&catalog, &tenant, &key, TABLES, &create_table("t")).await.ok(200);

    let tiny = catalog.tenant("tiny", "tiny").await;
    let create = json!({ "namespace": ["ns"] });
    for _ in 0..5 {
        keyed(&catalog, &tiny, &key, "/v1/namespaces", &create).await.ok(200);
    }
    keyed(&catalog, &tiny, &key, "/v1/namespaces", &create).await.error(429, "TooManyRequestsException");
}

#[tokio::test]
async fn internal_error_does_not_use_up_the_key() {
    let (catalog, tenant) = start().await;
    let location = catalog.get(&tenant.key, TABLE).await.ok(200)["metadata-location"].as_str().unwrap().to_owned();
    let folder = Path::new(location.strip_prefix("file://").unwrap()).parent().unwrap().to_owned();
    let aside = folder.with_file_name("aside");
    // A file in place of the folder: no document can be written.
    std::fs::rename(&folder, &aside).unwrap();
    std::fs::write(&folder, "").unwrap();
    let key = fresh_key();
    let failed = keyed(&catalog, &tenant, &key, TABLE, &set("a")).await;
    assert!(failed.status.is_server_error(), "{failed:?}");
    std::fs::remove_file(&folder).unwrap();
    std::fs::rename(&aside, &folder).unwrap();
    let done = keyed(&catalog, &tenant, &key, TABLE, &set("a")).await.ok(200);
    assert_eq!(keyed(&catalog, &tenant, &key, TABLE, &set("a")).await.ok(200), done);
}

#[tokio::test]
async fn key_is_known_after_a_restart() {
    let (catalog, tenant) = start().await;
    let key = fresh_key();
    let done = keyed(&catalog, &tenant, &key, TABLE, &add_column(2)).await.ok(200);
    let catalog = Catalog::reopen(catalog.stop().await, |_| ()).await;
    assert_eq!(keyed(&catalog, &tenant, &key, TABLE, &add_column(2)).await.ok(200), done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_duplicates_change_once_in_one_process_and_in_two() {
    let (first, tenant) = start().await;
    let second = first.second_server().await;
    let processes = [Arc::new(first), Arc::new(second)];
    for _ in 0..10 {
        let (key, name) = (fresh_key(), format!("t{}", fresh_key()));
        let before = files(&processes[0], &tenant);
        let duplicates = (0..16).map(|n: usize| {
            let (catalog, tenant, key) = (Arc::clone(&processes[n % 2]), tenant.clone(), key.clone());
            let body = create_table(&name);
            tokio::spawn(async move { keyed(&catalog, &tenant, &key, TABLES, &body).await.ok(200) })
        });
        let mut answers = Vec::new();
        for duplicate in duplicates.collect::<Vec<_>>() {
            answers.push(duplicate.await.unwrap());
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]));
        assert_eq!(files(&processes[0], &tenant), before + 1, "the duplicates left no files");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn client_that_disconnected_gets_the_result_on_its_retry() {
    let (catalog, tenant) = start().await;
    for n in 0..20 {
        let (key, body) = (fresh_key(), add_column(2 + n));
        {
            let mut leaving = Box::pin(keyed(&catalog, &tenant, &key, TABLE, &body));
            tokio::select! {
                biased;
                _ = &mut leaving => {}
                () = std::future::ready(()) => {}
            }
        }
        // Not 409, which would mean that another commit came first.
        keyed(&catalog, &tenant, &key, TABLE, &body).await.ok(200);
    }
    let loaded = catalog.get(&tenant.key, TABLE).await.ok(200);
    assert_eq!(loaded["metadata"]["last-column-id"], 22);
    assert!(loaded["metadata-location"].as_str().unwrap().contains("/00020-"));
}

fn path_of(location: &Value) -> std::path::PathBuf {
    location.as_str().unwrap().strip_prefix("file://").unwrap().into()
}

#[tokio::test]
async fn repeated_commit_without_its_document_gets_the_current_table() {
    let (catalog, tenant) = start().await;
    let key = fresh_key();
    let first = keyed(&catalog, &tenant, &key, TABLE, &set("a")).await.ok(200);
    let later = catalog.post(&tenant.key, TABLE, &set("b")).await.ok(200);
    // As after the document has left the log.
    std::fs::remove_file(path_of(&first["metadata-location"])).unwrap();
    assert_eq!(keyed(&catalog, &tenant, &key, TABLE, &set("a")).await.ok(200), later);
    // The table has another name now.
    catalog.post(&tenant.key, "/v1/tables/rename", &names("ns", "t", "renamed")).await.ok(204);
    catalog.post(&tenant.key, TABLES, &create_table("t")).await.ok(200);
    assert_eq!(keyed(&catalog, &tenant, &key, TABLE, &set("a")).await.ok(200), later);
}

#[tokio::test]
async fn repeated_create_of_a_purged_table_says_that_it_was_created() {
    let (catalog, tenant) = start().await;
    let views = "/v1/namespaces/ns/views";
    let view = create_view("v", "select 1");
    for (path, body) in [(TABLES, create_table("made")), (views, view)] {
        let key = fresh_key();
        let made = keyed(&catalog, &tenant, &key, path, &body).await.ok(200);
        let name = body["name"].as_str().unwrap();
        catalog.delete(&tenant.key, &format!("{path}/{name}")).await.ok(204);
        let file = path_of(&made["metadata-location"]);
        // A dropped table still has its files, so the response can be repeated.
        assert_eq!(keyed(&catalog, &tenant, &key, path, &body).await.ok(200), made);
        std::fs::remove_file(file).unwrap();
        catalog.post(&tenant.key, path, &body).await.ok(200);
        let answer = keyed(&catalog, &tenant, &key, path, &body).await;
        let message = answer.error(410, "AnswerGoneException");
        assert!(message.contains("succeeded before"), "{message}");
    }
}

#[tokio::test]
async fn repeated_register_without_its_file_gets_the_current_table() {
    let (catalog, tenant) = start().await;
    let gone = catalog.post(&tenant.key, &format!("{TABLE}/unregister"), &json!({})).await.ok(200);
    let (key, path) = (fresh_key(), "/v1/namespaces/ns/register");
    let body = json!({ "name": "back", "metadata-location": gone["metadata-location"] });
    keyed(&catalog, &tenant, &key, path, &body).await.ok(200);
    let table = "/v1/namespaces/ns/tables/back";
    let later = catalog.post(&tenant.key, table, &set("b")).await.ok(200);
    std::fs::remove_file(path_of(&gone["metadata-location"])).unwrap();
    let again = keyed(&catalog, &tenant, &key, path, &body).await.ok(200);
    assert_eq!(again["metadata-location"], later["metadata-location"]);
    assert_eq!(again["metadata"], later["metadata"]);
}

#[tokio::test]
async fn key_of_another_principal_is_apart() {
    let (catalog, one) = start().await;
    let other = Tenant { key: catalog.key(one.organisation, Role::Writer, None).await, ..one.clone() };
    let key = fresh_key();
    keyed(&catalog, &one, &key, TABLES, &create_table("first")).await.ok(200);
    // Neither a refusal nor an answer says that somebody used the key.
    keyed(&catalog, &other, &key, TABLES, &create_table("second")).await.ok(200);
    for (tenant, name) in [(&one, "first"), (&other, "second")] {
        keyed(&catalog, tenant, &key, TABLES, &create_table(name)).await.ok(200);
    }
    keyed(&catalog, &other, &fresh_key(), TABLES, &create_table("first")).await.error(409, "AlreadyExistsException");
}
