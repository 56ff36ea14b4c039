//! `POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/plan`, `.../plan/{plan-id}` and `.../tasks`

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::body::Body;
use axum::http::{Method, Request};
use http_body_util::BodyExt;
use iceberg::spec::DataFile;
use serde_json::{Value, json};
use tidewater::base::clock::Clock;

use crate::support::snapshots::{Written, data_file, position_deletes};
use crate::support::{Answer, Catalog, Tenant};

const PLAN: &str = "/v1/namespaces/ns/tables/t/plan";
const TASKS: &str = "/v1/namespaces/ns/tables/t/tasks";

fn written<'a>(catalog: &'a Catalog, tenant: &'a Tenant) -> Written<'a> {
    Written { catalog, tenant, name: "t" }
}

/// Returns data files of a day. Each has 10 rows, and the ids of its number: 0 to 9, 10 to 19, and so on.
fn day(day: i32, numbers: std::ops::Range<i64>) -> Vec<DataFile> {
    let file = |number| data_file(&path(day, number), Some(day), 10, (number * 10, number * 10 + 9));
    numbers.map(file).collect()
}

fn path(day: i32, number: i64) -> String {
    format!("file:///data/{day}/{number}.parquet")
}

/// Creates a table with two snapshots and four files in three manifests. Returns the ids of the snapshots.
async fn table(catalog: &Catalog, tenant: &Tenant) -> (i64, i64) {
    let written = written(catalog, tenant);
    written.create().await;
    let first = written.append(vec![day(0, 0..1), day(1, 1..3)]).await;
    (first, written.append(vec![day(2, 3..4)]).await)
}

/// Returns the paths of the data files in an answer.
fn paths(answer: &Value) -> BTreeSet<String> {
    let tasks = answer["file-scan-tasks"].as_array().unwrap();
    let paths: BTreeSet<String> =
        tasks.iter().map(|task| task["data-file"]["file-path"].as_str().unwrap().to_owned()).collect();
    assert_eq!(paths.len(), tasks.len(), "a file is planned once");
    paths
}

fn all(files: &[(i32, i64)]) -> BTreeSet<String> {
    files.iter().map(|(day, number)| path(*day, *number)).collect()
}

fn residual(answer: &Value, file: &str) -> Value {
    let tasks = answer["file-scan-tasks"].as_array().unwrap();
    tasks.iter().find(|task| task["data-file"]["file-path"] == file).unwrap()["residual-filter"].clone()
}

fn test(operator: &str, column: &str, value: impl Into<Value>) -> Value {
    json!({ "type": operator, "term": column, "value": value.into() })
}

async fn plan(catalog: &Catalog, tenant: &Tenant, body: &Value) -> Value {
    let planned = catalog.post(&tenant.key, PLAN, body).await.ok(200);
    assert_eq!(planned["status"], "completed");
    assert!(uuid::Uuid::try_parse(planned["plan-id"].as_str().unwrap()).is_ok(), "{planned}");
    planned
}

#[tokio::test]
async fn table_without_a_snapshot_has_an_empty_plan() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    let planned = plan(&catalog, &tenant, &json!({})).await;
    assert_eq!((&planned["file-scan-tasks"], &planned["delete-files"]), (&json!([]), &json!([])));
    assert_eq!(planned.get("plan-tasks"), None);
    let body = json!({ "filter": test("eq", "id", 1), "select": ["id", "text"], "min-rows-requested": 5 });
    assert_eq!(paths(&plan(&catalog, &tenant, &body).await), BTreeSet::new());
}

#[tokio::test]
async fn files_are_those_that_may_have_matching_rows() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let (first, _) = table(&catalog, &tenant).await;
    let everything = all(&[(0, 0), (1, 1), (1, 2), (2, 3)]);
    let planned = plan(&catalog, &tenant, &json!({})).await;
    assert_eq!(paths(&planned), everything);
    assert_eq!(
        planned["file-scan-tasks"][0],
        json!({ "data-file": { "content": "data", "file-path": path(2, 3), "file-format": "parquet", "spec-id": 0,
            "partition": ["1970-01-03"], "file-size-in-bytes": 1_000, "record-count": 10 }, "residual-filter": true })
    );
    let expect = async |body: Value, expected: &[(i32, i64)]| {
        let planned = plan(&catalog, &tenant, &body).await;
        assert_eq!(paths(&planned), all(expected), "{body}");
        planned
    };
    expect(json!({ "snapshot-id": first }), &[(0, 0), (1, 1), (1, 2)]).await;
    // By statistics, and nothing is proved about the rows.
    let by_id = test("gt", "id", 22);
    let planned = expect(json!({ "filter": by_id }), &[(1, 2), (2, 3)]).await;
    assert_eq!(residual(&planned, &path(1, 2)), by_id);
    // By partition, which proves the filter.
    let by_day = test("eq", "day", "1970-01-02");
    let planned = expect(json!({ "filter": by_day }), &[(1, 1), (1, 2)]).await;
    assert_eq!(residual(&planned, &path(1, 1)), json!(true));
    let days = test("eq", "day", 1);
    expect(json!({ "filter": days }), &[(1, 1), (1, 2)]).await;
    let both = json!({ "type": "and", "left": by_day, "right": test("lt", "id", 15) });
    let planned = expect(json!({ "filter": both }), &[(1, 1)]).await;
    assert_eq!(residual(&planned, &path(1, 1)), test("lt", "id", 15));
    expect(json!({ "filter": false }), &[]).await;
    expect(json!({ "filter": { "type": "is-null", "term": "day" } }), &[]).await;
    expect(json!({ "filter": test("gt", "ID", 22), "case-sensitive": false }), &[(1, 2), (2, 3)]).await;
}

#[tokio::test]
async fn statistics_are_those_of_the_wanted_columns() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    table(&catalog, &tenant).await;
    let body = json!({ "filter": test("eq", "day", 2), "stats-fields": ["id"] });
    let planned = plan(&catalog, &tenant, &body).await;
    let file = &planned["file-scan-tasks"][0]["data-file"];
    assert_eq!(file["value-counts"], json!({ "keys": [1], "values": [10] }));
    assert_eq!(file["lower-bounds"], json!({ "keys": [1], "values": ["1E00000000000000"] }));
    assert_eq!(file.get("nan-value-counts"), None);
}

#[tokio::test]
async fn deletes_are_referenced_by_the_files_that_they_apply_to() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let written = written(&catalog, &tenant);
    table(&catalog, &tenant).await;
    let deletes = vec![
        position_deletes("file:///data/d1.parquet", 1, None),
        position_deletes("file:///data/d2.parquet", 1, Some(&path(1, 2))),
        position_deletes("file:///data/d3.parquet", 0, None),
    ];
    written.commit("overwrite", vec![day(1, 7..8)], deletes).await;
    let planned = plan(&catalog, &tenant, &json!({ "filter": test("gt-eq", "day", 1) })).await;
    let deletes_of = |file: &str| -> Vec<&str> {
        let tasks = planned["file-scan-tasks"].as_array().unwrap();
        let task = tasks.iter().find(|task| task["data-file"]["file-path"] == file).unwrap();
        let references = task["delete-file-references"].as_array();
        let position = |one: &Value| one.as_u64().unwrap() as usize;
        let mut paths: Vec<_> = references
            .into_iter()
            .flatten()
            .map(|one| planned["delete-files"][position(one)]["file-path"].as_str().unwrap())
            .collect();
        paths.sort_unstable();
        paths
    };
    let (d1, d2) = ("file:///data/d1.parquet", "file:///data/d2.parquet");
    assert_eq!(deletes_of(&path(1, 1)), [d1]);
    assert_eq!(deletes_of(&path(1, 2)), [d1, d2]);
    // Its snapshot is that of the deletes: positions apply to rows of the same commit.
    assert_eq!(deletes_of(&path(1, 7)), [d1]);
    assert_eq!(deletes_of(&path(2, 3)), Vec::<&str>::new());
    assert_eq!(planned["delete-files"].as_array().unwrap().len(), 2, "only those that are referenced");
}

#[tokio::test]
async fn incremental_scan_has_the_files_of_appends_after_its_start() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let written = written(&catalog, &tenant);
    let (first, second) = table(&catalog, &tenant).await;
    let third = written.append(vec![day(0, 4..5), day(3, 5..6)]).await;
    let between = |start: i64, end: i64| json!({ "start-snapshot-id": start, "end-snapshot-id": end });
    assert_eq!(paths(&plan(&catalog, &tenant, &between(first, second)).await), all(&[(2, 3)]));
    let mut both = between(first, third);
    assert_eq!(paths(&plan(&catalog, &tenant, &both).await), all(&[(2, 3), (0, 4), (3, 5)]));
    both["filter"] = test("lt", "day", 3);
    assert_eq!(paths(&plan(&catalog, &tenant, &both).await), all(&[(2, 3), (0, 4)]));
    for wrong in [between(third, first), between(first, 9), json!({ "start-snapshot-id": first })] {
        catalog.post(&tenant.key, PLAN, &wrong).await.error(400, "BadRequestException");
    }
}

#[tokio::test]
async fn request_that_names_nothing_of_the_table_gets_400() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    table(&catalog, &tenant).await;
    for (body, part) in [
        (json!({ "filter": test("eq", "nothing", 1) }), "nothing"),
        (json!({ "filter": test("eq", "ID", 1) }), "ID"),
        (json!({ "filter": test("eq", "id", "x") }), "id"),
        (json!({ "filter": { "type": "sounds-like", "term": "id", "value": 1 } }), "sounds-like"),
        (json!({ "filter": null }), "filter"),
        (json!({ "select": ["id", "nothing"] }), "nothing"),
        (json!({ "stats-fields": ["nothing"] }), "nothing"),
        (json!({ "snapshot-id": 77 }), "77"),
        (json!({ "min-rows-requested": -1 }), "min-rows-requested"),
        (json!({ "snapshot-id": 1, "end-snapshot-id": 1 }), "snapshot-id"),
    ] {
        let message = catalog.post(&tenant.key, PLAN, &body).await.error(400, "BadRequestException");
        assert!(message.contains(part), "{body}: {message}");
    }
    let not_json = catalog.bytes(&tenant.key, Method::POST, PLAN, "{").await;
    not_json.error(400, "BadRequestException");
    let large = json!({ "other": "x".repeat(2 << 20) });
    catalog.post(&tenant.key, PLAN, &large).await.error(413, "PayloadTooLargeException");
}

/// Fetches all tasks of a plan. Returns the paths in the plan and in all tasks.
async fn everything(catalog: &Catalog, tenant: &Tenant, planned: &Value) -> BTreeSet<String> {
    let mut found = paths(planned);
    for token in planned["plan-tasks"].as_array().into_iter().flatten() {
        let tasks = catalog.post(&tenant.key, TASKS, &json!({ "plan-task": token })).await.ok(200);
        assert_eq!(tasks.get("plan-tasks"), None, "flat: {tasks}");
        for path in paths(&tasks) {
            assert!(found.insert(path.clone()), "{path} is in two tasks");
        }
    }
    found
}

fn small(config: &mut tidewater::config::Config) {
    config.planning.inline_files = 2;
    config.planning.task_files = 3;
}

#[tokio::test]
async fn large_plan_has_tasks_with_the_other_files() {
    let catalog = Catalog::with(small).await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let written = written(&catalog, &tenant);
    written.create().await;
    written.append(vec![day(0, 0..1), day(1, 1..9), day(2, 9..11)]).await;
    written.append(vec![day(0, 11..12)]).await;
    let planned = plan(&catalog, &tenant, &json!({})).await;
    assert_eq!(paths(&planned).len(), 2);
    assert!(planned["plan-tasks"].as_array().unwrap().len() >= 3, "{planned}");
    assert_eq!(everything(&catalog, &tenant, &planned).await.len(), 12);
    // A task has the filter, its residuals, and the snapshot of the plan.
    let filter = json!({ "type": "and", "left": test("lt", "day", 2), "right": test("gt", "id", 22) });
    let planned = plan(&catalog, &tenant, &json!({ "filter": filter, "stats-fields": ["id"] })).await;
    written.append(vec![day(1, 30..40)]).await;
    let expected: Vec<_> = (2..9).map(|number| (1, number)).chain([(0, 11)]).collect();
    assert_eq!(everything(&catalog, &tenant, &planned).await, all(&expected));
    let token = &planned["plan-tasks"][0];
    let tasks = catalog.post(&tenant.key, TASKS, &json!({ "plan-task": token })).await.ok(200);
    let first = &tasks["file-scan-tasks"][0];
    assert_eq!(first["residual-filter"], test("gt", "id", 22));
    assert!(first["data-file"]["lower-bounds"].is_object(), "{first}");
}

#[tokio::test]
async fn enough_rows_end_a_plan_without_tasks() {
    let catalog = Catalog::with(small).await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let written = written(&catalog, &tenant);
    written.create().await;
    written.append(vec![day(1, 0..9)]).await;
    let planned = plan(&catalog, &tenant, &json!({ "min-rows-requested": 15 })).await;
    assert_eq!((paths(&planned).len(), planned.get("plan-tasks")), (2, None));
    // Rows of a file whose filter is not proved may not match.
    let unsure = json!({ "min-rows-requested": 15, "filter": test("gt", "id", 1) });
    let planned = plan(&catalog, &tenant, &unsure).await;
    assert!(planned["plan-tasks"].is_array(), "{planned}");
    assert_eq!(everything(&catalog, &tenant, &planned).await.len(), 9);
}

async fn refused(catalog: &Catalog, key: &str, path: &str, token: &str) {
    let answer = catalog.post(key, path, &json!({ "plan-task": token })).await;
    answer.error(404, "NoSuchPlanTaskException");
}

#[tokio::test]
async fn changed_foreign_or_outdated_plan_task_gets_404() {
    let catalog = Catalog::with(small).await;
    let (tenant, other) = (catalog.tenant("acme", "enterprise").await, catalog.tenant("umbra", "enterprise").await);
    for tenant in [&tenant, &other] {
        let written = written(&catalog, tenant);
        written.create().await;
        written.append(vec![day(1, 0..9)]).await;
    }
    let same = Written { catalog: &catalog, tenant: &tenant, name: "u" };
    same.create().await;
    same.append(vec![day(1, 0..9)]).await;
    let planned = plan(&catalog, &tenant, &json!({})).await;
    let token = planned["plan-tasks"][0].as_str().unwrap();
    catalog.post(&tenant.key, TASKS, &json!({ "plan-task": token })).await.ok(200);

    refused(&catalog, &other.key, TASKS, token).await;
    refused(&catalog, &tenant.key, "/v1/namespaces/ns/tables/u/tasks", token).await;
    let second = catalog.key(tenant.organisation, tidewater_core::access::Role::Admin, None).await;
    refused(&catalog, &second, TASKS, token).await;
    for changed in [
        "",
        "x",
        &token[..token.len() - 1],
        &token.replace(&token[20..24], "AAAA"),
        planned["plan-id"].as_str().unwrap(),
    ] {
        refused(&catalog, &tenant.key, TASKS, changed).await;
    }
    catalog.post(&tenant.key, TASKS, &json!({})).await.error(400, "BadRequestException");

    let snapshot = catalog.get(&tenant.key, "/v1/namespaces/ns/tables/t").await.ok(200);
    let id = &snapshot["metadata"]["current-snapshot-id"];
    written(&catalog, &tenant).append(vec![day(1, 20..21)]).await;
    let remove = json!({ "requirements": [], "updates": [{ "action": "remove-snapshots", "snapshot-ids": [id] }] });
    catalog.post(&tenant.key, "/v1/namespaces/ns/tables/t", &remove).await.ok(200);
    refused(&catalog, &tenant.key, TASKS, token).await;
}

#[tokio::test]
async fn plan_task_expires() {
    let now_ms = Arc::new(AtomicI64::new(1_800_000_000_000));
    let catalog = Catalog::with_clock(Clock::Manual(Arc::clone(&now_ms)), |config| {
        small(config);
        config.planning.task_lifetime_s = 60;
    })
    .await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let written = written(&catalog, &tenant);
    written.create().await;
    written.append(vec![day(1, 0..9)]).await;
    let planned = plan(&catalog, &tenant, &json!({})).await;
    let token = planned["plan-tasks"][0].as_str().unwrap();
    now_ms.fetch_add(59_999, Ordering::SeqCst);
    catalog.post(&tenant.key, TASKS, &json!({ "plan-task": token })).await.ok(200);
    now_ms.fetch_add(1, Ordering::SeqCst);
    refused(&catalog, &tenant.key, TASKS, token).await;
}

#[tokio::test]
async fn plans_are_not_kept_and_their_ids_are_accepted() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    table(&catalog, &tenant).await;
    let planned = plan(&catalog, &tenant, &json!({})).await;
    let id = planned["plan-id"].as_str().unwrap();
    let at = format!("{PLAN}/{id}");
    assert!(catalog.get(&tenant.key, &at).await.error(404, "NoSuchPlanIdException").contains(id));
    assert_eq!(catalog.delete(&tenant.key, &at).await.status, 204);
    catalog.delete(&tenant.key, &format!("{PLAN}/x")).await.error(404, "NoSuchPlanIdException");
    catalog.get(&tenant.key, "/v1/namespaces/ns/tables/no/plan/x").await.error(404, "NoSuchPlanIdException");
    let missing = format!("/v1/namespaces/ns/tables/no/plan/{id}");
    catalog.delete(&tenant.key, &missing).await.error(404, "NoSuchTableException");
    catalog.get(&tenant.key, &format!("/v1/namespaces/ns/tables/t/credentials?planId={id}")).await.ok(200);
}

#[tokio::test]
async fn idempotency_key_of_any_version_is_ignored() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    table(&catalog, &tenant).await;
    let send = async |body: Value| -> Answer {
        let request = Request::post(PLAN)
            .header("authorization", format!("Bearer {}", tenant.key))
            .header("idempotency-key", "7d0e9c3a-5f0b-4c1e-9a51-0123456789ab");
        catalog.send(request.body(Body::from(body.to_string())).unwrap()).await
    };
    assert_eq!(paths(&send(json!({})).await.ok(200)).len(), 4);
    assert_eq!(paths(&send(json!({ "filter": false })).await.ok(200)).len(), 0, "another request with the same key");
}

#[tokio::test]
async fn snapshot_over_a_limit_gets_406() {
    let catalog = Catalog::with(|config| config.planning.max_manifests = 2).await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    table(&catalog, &tenant).await;
    let refused = catalog.post(&tenant.key, PLAN, &json!({})).await;
    let message = refused.error(406, "UnsupportedOperationException");
    assert!(message.contains("planning.max_manifests") && message.contains("client"), "{message}");
}

#[tokio::test]
async fn manifest_that_is_missing_unreadable_or_elsewhere_is_refused() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let (_, second) = table(&catalog, &tenant).await;
    let loaded = catalog.get(&tenant.key, "/v1/namespaces/ns/tables/t").await.ok(200);
    let location = loaded["metadata"]["location"].as_str().unwrap();
    // The manifest list of another table of the same warehouse.
    let other = Written { catalog: &catalog, tenant: &tenant, name: "u" };
    let foreign = other.create().await["metadata"]["location"].as_str().unwrap().to_owned();
    other.append(vec![day(1, 0..9)]).await;
    let list = format!("{foreign}/metadata/snap-1001.avro");
    written(&catalog, &tenant).add_snapshot("append", 5_000, 3, &list, Some(second)).await;
    let refused = catalog.post(&tenant.key, PLAN, &json!({})).await;
    assert!(refused.error(406, "UnsupportedOperationException").contains(&list), "{refused:?}");

    let at = json!({ "snapshot-id": second });
    let manifest = format!("{location}/metadata/{second}-m0.avro");
    let file = manifest.strip_prefix("file://").unwrap();
    std::fs::write(file, b"no manifest").unwrap();
    let refused = catalog.post(&tenant.key, PLAN, &at).await;
    assert!(refused.error(406, "UnsupportedOperationException").contains(&manifest), "{refused:?}");
    std::fs::remove_file(file).unwrap();
    let missing = catalog.post(&tenant.key, PLAN, &at).await;
    assert!(missing.error(404, "NotFoundException").contains(&manifest), "{missing:?}");
}

/// Creates a table whose plan has one task for many files, in an answer of several parts. Returns the task, and the manifest of the last files.
async fn with_large_task(catalog: &Catalog, tenant: &Tenant) -> (String, String) {
    let written = written(catalog, tenant);
    let created = written.create().await;
    let snapshot = written.append(vec![day(1, 0..4_000), day(2, 4_000..8_000)]).await;
    let planned = plan(catalog, tenant, &json!({})).await;
    let tokens = planned["plan-tasks"].as_array().unwrap();
    assert_eq!((tokens.len(), paths(&planned).len()), (1, 0));
    let location = created["metadata"]["location"].as_str().unwrap();
    (tokens[0].as_str().unwrap().to_owned(), format!("{location}/metadata/{snapshot}-m1.avro"))
}

fn in_one_task(config: &mut tidewater::config::Config) {
    (config.planning.inline_files, config.planning.cache_bytes) = (0, 0);
}

fn fetch(tenant: &Tenant, token: &str) -> Request<Body> {
    Request::post(TASKS)
        .header("authorization", format!("Bearer {}", tenant.key))
        .body(Body::from(json!({ "plan-task": token }).to_string()))
        .unwrap()
}

#[tokio::test]
async fn long_answer_to_a_task_arrives_whole_in_parts() {
    let catalog = Catalog::with(in_one_task).await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let (token, _) = with_large_task(&catalog, &tenant).await;
    let response = catalog.app.service().handle(fetch(&tenant, &token)).await;
    assert!(hyper::body::Body::size_hint(response.body()).exact().is_none(), "its length is not known in advance");
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(paths(&serde_json::from_slice(&bytes).unwrap()).len(), 8_000);
}

#[tokio::test]
async fn failure_in_a_long_answer_breaks_it() {
    let catalog = Catalog::with(in_one_task).await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let (token, last) = with_large_task(&catalog, &tenant).await;
    std::fs::write(last.strip_prefix("file://").unwrap(), b"no manifest").unwrap();
    let response = catalog.app.service().handle(fetch(&tenant, &token)).await;
    assert_eq!(response.status(), 200);
    let error = response.into_body().collect().await.expect_err("the answer breaks");
    assert!(error.to_string().contains("ended early"), "{error}");
}

#[tokio::test]
async fn departed_client_ends_the_work_on_its_answer() {
    let catalog = Catalog::with(in_one_task).await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let (token, _) = with_large_task(&catalog, &tenant).await;
    let response = catalog.app.service().handle(fetch(&tenant, &token)).await;
    assert_eq!(response.status(), 200);
    drop(response);
    let broken = || async {
        let operator = catalog.operator().await;
        let text = catalog.get(&operator, "/metrics").await;
        let text = String::from_utf8(text.bytes).unwrap();
        text.lines().any(|line| line == "tidewater_scan_planning_broken_answers_total 1")
    };
    while !broken().await {
        tokio::task::yield_now().await;
    }
}
