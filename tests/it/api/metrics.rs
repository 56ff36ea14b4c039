//! `POST /v1/namespaces/{namespace}/tables/{table}/metrics` and `GET /management/v1/warehouses/{warehouse}/metrics`

use serde_json::{Value, json};
use tidewater_core::access::Role;

use crate::support::{Catalog, Tenant};

const REPORT: &str = "/v1/namespaces/ns/tables/t/metrics";
const LIST: &str = "/management/v1/warehouses/main/metrics";

fn scan(snapshot: i64) -> Value {
    json!({ "report-type": "scan-report", "table-name": "ns.t", "snapshot-id": snapshot, "filter": true,
        "schema-id": 0, "projected-field-ids": [1], "projected-field-names": ["id"],
        "metrics": { "result-data-files": { "unit": "count", "value": 1 },
            "of-tomorrow": { "count": 1, "time-unit": "nanoseconds", "total-duration": 7 } }, "also-of-tomorrow": [1] })
}

fn commit(snapshot: i64) -> Value {
    json!({ "report-type": "commit-report", "table-name": "ns.t", "snapshot-id": snapshot, "sequence-number": 1,
        "operation": "append", "metrics": {}, "metadata": { "engine-name": "x" } })
}

async fn listed(catalog: &Catalog, tenant: &Tenant, query: &str) -> Vec<Value> {
    catalog.app.reports().write().await.unwrap();
    let page = catalog.get(&tenant.key, &format!("{LIST}{query}")).await.ok(200);
    page["reports"].as_array().unwrap().clone()
}

#[tokio::test]
async fn report_is_accepted_from_a_reader_and_listed_for_an_admin() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    let reader = catalog.key(tenant.organisation, Role::Reader, None).await;
    for (key, report) in [(&tenant.key, scan(1)), (&reader, commit(2))] {
        assert_eq!(catalog.post(key, REPORT, &report).await.ok(204), Value::Null);
    }
    let all = listed(&catalog, &tenant, "").await;
    assert_eq!(all.iter().map(|one| &one["report"]).collect::<Vec<_>>(), [&commit(2), &scan(1)]);
    assert_eq!(all[0]["identifier"], json!({ "namespace": ["ns"], "name": "t" }));
    let nowhere = catalog.post(&tenant.key, "/v1/namespaces/ns/tables/other/metrics", &scan(1)).await;
    nowhere.error(404, "NoSuchTableException");
}

#[tokio::test]
async fn malformed_report_is_refused_and_not_stored() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    let mut unknown = scan(1);
    unknown["report-type"] = json!("compaction-report");
    let mut incomplete = commit(1);
    incomplete.as_object_mut().unwrap().remove("operation");
    let mut metric = commit(1);
    metric["metrics"]["total-files"] = json!(7);
    for (wrong, told) in [
        (json!("text"), "must be a JSON object"),
        (json!([]), "must be a JSON object"),
        (json!({}), "no report-type"),
        (unknown, "Unknown report-type 'compaction-report'"),
        (incomplete, "operation"),
        (metric, "'total-files'"),
    ] {
        let refused = catalog.post(&tenant.key, REPORT, &wrong).await;
        assert!(refused.error(400, "BadRequestException").contains(told), "{wrong}");
    }
    let mut large = scan(1);
    large["table-name"] = json!("x".repeat(200_000));
    catalog.post(&tenant.key, REPORT, &large).await.error(413, "PayloadTooLargeException");
    assert_eq!(listed(&catalog, &tenant, "").await, [] as [Value; 0]);
}

#[tokio::test]
async fn reports_are_filtered_by_table_type_and_time_in_pages() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    for number in 0..3 {
        catalog.post(&tenant.key, REPORT, &scan(number)).await.ok(204);
        catalog.post(&tenant.key, REPORT, &commit(number)).await.ok(204);
    }
    let all = listed(&catalog, &tenant, "").await;
    assert_eq!(all.len(), 6);
    let rename =
        json!({ "source": { "namespace": ["ns"], "name": "t" }, "destination": { "namespace": ["ns"], "name": "u" } });
    catalog.post(&tenant.key, "/v1/tables/rename", &rename).await.ok(204);
    let id = all[0]["table-id"].as_str().unwrap();
    for (query, count) in [
        ("?namespace=ns&table=u".to_owned(), 6),
        (format!("?table-id={id}"), 6),
        (format!("?table-id={id}&report-type=commit-report"), 3),
        ("?report-type=scan-report".to_owned(), 3),
        ("?since=9000000000000".to_owned(), 0),
        (format!("?since={}", all[5]["received-ms"]), 6),
        ("?table-id=00000000-0000-0000-0000-000000000000".to_owned(), 0),
    ] {
        assert_eq!(listed(&catalog, &tenant, &query).await.len(), count, "{query}");
    }
    for wrong in ["?table=t", "?namespace=ns", "?table-id=x", "?report-type=x", "?since=yesterday", "?pageToken=x"] {
        catalog.get(&tenant.key, &format!("{LIST}{wrong}")).await.error(400, "BadRequestException");
    }
    catalog.get(&tenant.key, &format!("{LIST}?namespace=ns&table=t")).await.error(404, "NoSuchTableException");
    let (mut token, mut paged) = (String::new(), Vec::new());
    loop {
        let page = catalog.get(&tenant.key, &format!("{LIST}?pageSize=4&pageToken={token}")).await.ok(200);
        paged.extend(page["reports"].as_array().unwrap().iter().map(|one| one["id"].clone()));
        let Some(next) = page["next-page-token"].as_str() else { break };
        token = next.to_owned();
    }
    assert_eq!(paged, all.iter().map(|one| one["id"].clone()).collect::<Vec<_>>());
}

#[tokio::test]
async fn reports_survive_a_restart_and_a_drop_and_end_with_the_table() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    catalog.post(&tenant.key, REPORT, &scan(1)).await.ok(204);
    let catalog = Catalog::reopen(catalog.stop().await, |_| ()).await;
    catalog.delete(&tenant.key, "/v1/namespaces/ns/tables/t").await.ok(204);
    let [report] = listed(&catalog, &tenant, "").await.try_into().unwrap();
    assert_eq!(report["identifier"], Value::Null);
    let dropped = "/management/v1/warehouses/main/dropped";
    let id = catalog.get(&tenant.key, dropped).await.ok(200)["dropped"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(report["table-id"], id);
    catalog.delete(&tenant.key, &format!("{dropped}/{id}")).await.ok(204);
    assert_eq!(listed(&catalog, &tenant, "").await, [] as [Value; 0]);
}

#[tokio::test]
async fn organisation_sees_only_its_own_reports() {
    let catalog = Catalog::new().await;
    let (ann, bob) = (catalog.tenant("ann", "enterprise").await, catalog.tenant("bob", "enterprise").await);
    catalog.with_table(&ann).await;
    catalog.post(&ann.key, REPORT, &scan(1)).await.ok(204);
    let [report] = listed(&catalog, &ann, "").await.try_into().unwrap();
    assert_eq!(listed(&catalog, &bob, "").await, [] as [Value; 0]);
    let guessed = format!("?table-id={}", report["table-id"].as_str().unwrap());
    assert_eq!(listed(&catalog, &bob, &guessed).await, [] as [Value; 0]);
}
