//! `POST /v1/namespaces/{namespace}/tables/{table}/metrics`

use serde_json::json;

use crate::support::Catalog;

#[tokio::test]
async fn a_report_on_a_table_is_accepted_even_from_a_reader() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    let reader = catalog.key(tenant.organisation, tidewater_core::access::Role::Reader, None).await;
    let report = json!({ "report-type": "scan-report", "table-name": "ns.t", "snapshot-id": 1, "filter": true,
        "schema-id": 0, "projected-field-ids": [1], "projected-field-names": ["id"], "metrics": {} });
    for key in [&tenant.key, &reader] {
        let answer = catalog.post(key, "/v1/namespaces/ns/tables/t/metrics", &report).await;
        assert_eq!(answer.ok(204), serde_json::Value::Null);
    }
    let nowhere = catalog.post(&tenant.key, "/v1/namespaces/ns/tables/other/metrics", &report).await;
    nowhere.error(404, "NoSuchTableException");
    let text = catalog.post(&tenant.key, "/v1/namespaces/ns/tables/t/metrics", &json!("text")).await;
    text.error(400, "BadRequestException");
}
