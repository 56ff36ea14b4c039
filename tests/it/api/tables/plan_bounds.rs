//! Bounds of `POST .../tables/{table}/plan`: tables and requests that would take much memory or time.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::support::Catalog;
use crate::support::snapshots::{Written, data_file, position_deletes};

const TABLE: &str = "/v1/namespaces/ns/tables/t";
const PLAN: &str = "/v1/namespaces/ns/tables/t/plan";
const TASKS: &str = "/v1/namespaces/ns/tables/t/tasks";

#[tokio::test]
async fn file_with_more_deletes_than_the_first_answer_has_is_in_a_task() {
    const DELETES: usize = 25_000;
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let written = Written { catalog: &catalog, tenant: &tenant, name: "t" };
    written.create().await;
    let files = vec![
        data_file("file:///data/1.parquet", Some(1), 10, (0, 9)),
        data_file("file:///data/2.parquet", Some(2), 10, (0, 9)),
    ];
    written.append(vec![files]).await;
    let delete =
        |number| position_deletes(&format!("file:///deletes/{number}.parquet"), 2, Some("file:///data/2.parquet"));
    written.commit("delete", Vec::new(), (0..DELETES).map(delete).collect()).await;

    let planned = catalog.post(&tenant.key, PLAN, &json!({})).await.ok(200);
    let tasks = |answer: &Value| answer["file-scan-tasks"].as_array().unwrap().clone();
    assert_eq!(tasks(&planned).len(), 1, "the file without deletes");
    assert_eq!(planned["delete-files"], json!([]));
    let [token] = planned["plan-tasks"].as_array().unwrap().as_slice() else { panic!("one task") };
    let fetched = catalog.post(&tenant.key, TASKS, &json!({ "plan-task": token })).await.ok(200);
    let [task]: [Value; 1] = tasks(&fetched).try_into().unwrap();
    assert_eq!(task["data-file"]["file-path"], "file:///data/2.parquet");
    let references: BTreeSet<u64> =
        task["delete-file-references"].as_array().unwrap().iter().map(|number| number.as_u64().unwrap()).collect();
    assert_eq!((references.len(), fetched["delete-files"].as_array().unwrap().len()), (DELETES, DELETES));
}

#[tokio::test]
async fn deletes_whose_text_is_too_long_for_the_first_answer_are_in_tasks() {
    const DELETES: usize = 2_200;
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let written = Written { catalog: &catalog, tenant: &tenant, name: "t" };
    written.create().await;
    let files = vec![
        data_file("file:///data/1.parquet", Some(1), 10, (0, 9)),
        data_file("file:///data/2.parquet", Some(2), 10, (0, 9)),
    ];
    written.append(vec![files]).await;
    let long = "x".repeat(8_000);
    let delete = |number| {
        position_deletes(&format!("file:///deletes/{long}/{number}.parquet"), 2, Some("file:///data/2.parquet"))
    };
    written.commit("delete", Vec::new(), (0..DELETES).map(delete).collect()).await;
    let planned = catalog.post(&tenant.key, PLAN, &json!({})).await.ok(200);
    assert_eq!((&planned["file-scan-tasks"], &planned["delete-files"]), (&json!([]), &json!([])));
    let [token] = planned["plan-tasks"].as_array().unwrap().as_slice() else { panic!("one task") };
    let fetched = catalog.post(&tenant.key, TASKS, &json!({ "plan-task": token })).await.ok(200);
    let paths: BTreeSet<&str> =
        fetched["delete-files"].as_array().unwrap().iter().map(|file| file["file-path"].as_str().unwrap()).collect();
    assert_eq!((fetched["file-scan-tasks"].as_array().unwrap().len(), paths.len()), (2, DELETES));
    // A filter that excludes the deletes needs no task.
    let other_day = json!({ "filter": { "type": "eq", "term": "day", "value": 1 } });
    let planned = catalog.post(&tenant.key, PLAN, &other_day).await.ok(200);
    assert_eq!((planned["file-scan-tasks"].as_array().unwrap().len(), planned.get("plan-tasks")), (1, None));
}

#[tokio::test]
async fn long_filter_for_many_partition_specs_gets_406() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    Written { catalog: &catalog, tenant: &tenant, name: "t" }.create().await;
    let values: Vec<i64> = (10_000_000..10_090_000).collect();
    let request = json!({ "filter": { "type": "in", "term": "id", "values": values } });
    catalog.post(&tenant.key, PLAN, &request).await.ok(200);
    let specs = (1..11).map(|id| {
        let (name, transform) = (format!("b{id}"), format!("bucket[{}]", id + 1));
        let fields = [json!({ "source-id": 1, "field-id": 1_000 + id, "name": name, "transform": transform })];
        json!({ "action": "add-spec", "spec": { "spec-id": id, "fields": fields } })
    });
    let commit = json!({ "requirements": [], "updates": specs.collect::<Vec<_>>() });
    catalog.post(&tenant.key, TABLE, &commit).await.ok(200);
    let refused = catalog.post(&tenant.key, PLAN, &request).await;
    let message = refused.error(406, "UnsupportedOperationException");
    assert!(message.contains("too long for a table with 11 partition specs"), "{message}");
    catalog
        .post(&tenant.key, PLAN, &json!({ "filter": { "type": "in", "term": "id", "values": [1, 2] } }))
        .await
        .ok(200);
}

#[tokio::test]
async fn manifest_longer_than_its_list_says_counts_with_its_own_length() {
    let catalog = Catalog::with(|config| config.planning.max_bytes = 10_000).await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let written = Written { catalog: &catalog, tenant: &tenant, name: "t" };
    let created = written.create().await;
    let file = |number: i64| data_file(&format!("file:///data/{number}.parquet"), Some(1), 10, (number, number + 9));
    let first = written.append(vec![vec![file(0)]]).await;
    let at = json!({ "snapshot-id": first });
    let second = written.append(vec![(0..2_000).map(file).collect()]).await;
    let folder = created["metadata"]["location"].as_str().unwrap().strip_prefix("file://").unwrap();
    let manifest = |snapshot: i64| format!("{folder}/metadata/{snapshot}-m0.avro");
    let long = std::fs::read(manifest(second)).unwrap();
    assert!(long.len() > 10_000);
    std::fs::write(manifest(first), long).unwrap();
    let refused = catalog.post(&tenant.key, PLAN, &at).await;
    assert!(refused.error(406, "UnsupportedOperationException").contains("planning.max_bytes"), "{refused:?}");
}

#[tokio::test]
async fn tasks_of_a_plan_and_other_plans_share_the_index_of_its_deletes() {
    const INDEXED: &str = "tidewater_scan_planning_considered_delete_files_total ";
    let catalog = Catalog::with(|config| {
        (config.planning.inline_files, config.planning.task_files) = (1, 1);
        config.telemetry.public = true;
    })
    .await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let written = Written { catalog: &catalog, tenant: &tenant, name: "t" };
    written.create().await;
    let file = |number: i64| data_file(&format!("file:///data/{number}.parquet"), Some(2), 10, (number, number + 9));
    written.append((0..4).map(|number| vec![file(number)]).collect()).await;
    let delete = |number| {
        position_deletes(
            &format!("file:///deletes/{number}.parquet"),
            2,
            Some(&format!("file:///data/{number}.parquet")),
        )
    };
    written.commit("delete", Vec::new(), (0..4).map(delete).collect()).await;
    let indexed = async || {
        let answer = catalog.send(Request::get("/metrics").body(Body::empty()).unwrap()).await;
        let text = String::from_utf8(answer.bytes).unwrap();
        text.lines().find_map(|line| line.strip_prefix(INDEXED)).unwrap().parse::<u64>().unwrap()
    };
    for request in [json!({}), json!({ "filter": { "type": "gt", "term": "id", "value": -5 } })] {
        let planned = catalog.post(&tenant.key, PLAN, &request).await.ok(200);
        let tokens = planned["plan-tasks"].as_array().unwrap();
        assert!(tokens.len() >= 2, "{planned}");
        for token in tokens {
            let fetched = catalog.post(&tenant.key, TASKS, &json!({ "plan-task": token })).await.ok(200);
            assert_eq!(fetched["delete-files"].as_array().unwrap().len(), 1, "{fetched}");
        }
        assert_eq!(indexed().await, 4, "they were indexed once");
    }
    // Another snapshot has other deletes.
    written.commit("delete", Vec::new(), vec![delete(0)]).await;
    catalog.post(&tenant.key, PLAN, &json!({})).await.ok(200);
    assert_eq!(indexed().await, 4 + 5);
}
