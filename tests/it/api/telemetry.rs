//! The server's metrics of requests.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use tokio::time::timeout;

use crate::support::Catalog;

async fn metrics(catalog: &Catalog) -> String {
    let answer = catalog.send(Request::get("/metrics").body(Body::empty()).unwrap()).await;
    String::from_utf8(answer.bytes).unwrap()
}

#[tokio::test]
async fn load_whose_client_disconnects_is_counted_with_status_499() {
    let catalog = Catalog::with(|config| {
        config.telemetry.public = true;
        config.telemetry.organisations = 1;
        // Each load reads its document from the disk, so the first poll does not end it.
        config.cache.metadata_bytes = 0;
    })
    .await;
    let tenant = catalog.tenant("acme", "professional").await;
    catalog.with_table(&tenant).await;
    let service = catalog.app.service();
    let request = || {
        let request =
            Request::get("/v1/namespaces/ns/tables/t").header("authorization", format!("Bearer {}", tenant.key));
        request.body(Body::empty()).unwrap()
    };
    let line = "http_server_request_duration_seconds_count{method=\"GET\",route=\"/v1/namespaces/{namespace}/tables/{table}\",\
                status=\"499\"} 1\n";
    assert!(!metrics(&catalog).await.contains("status=\"499\""));
    timeout(Duration::ZERO, service.handle(request())).await.unwrap_err();
    let text = metrics(&catalog).await;
    assert!(text.contains(line), "{text}");
    assert!(text.contains("tidewater_organisation_requests_total{organisation=\"acme\"}"), "{text}");
    assert_eq!(service.handle(request()).await.status(), 200);
    assert_eq!(metrics(&catalog).await.matches("status=\"499\"} 1\n").count(), 1, "an answered load is not counted so");
}

#[tokio::test]
async fn background_tasks_waiting_work_and_misses_have_figures() {
    let catalog = Catalog::with(|config| config.telemetry.public = true).await;
    let tenant = catalog.tenant("acme", "professional").await;
    catalog.with_table(&tenant).await;
    let text = metrics(&catalog).await;
    for name in
        ["tidewater_store_waiting 0", "tidewater_metrics_reports_waiting 0", "tidewater_document_cache_misses_total "]
    {
        assert!(text.contains(&format!("\n{name}")), "{name}{text}");
    }
}
