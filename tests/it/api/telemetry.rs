//! The server's metrics of requests.

use axum::body::Body;
use axum::http::Request;

use crate::support::Catalog;

async fn metrics(catalog: &Catalog) -> String {
    let answer = catalog.send(Request::get("/metrics").body(Body::empty()).unwrap()).await;
    String::from_utf8(answer.bytes).unwrap()
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
