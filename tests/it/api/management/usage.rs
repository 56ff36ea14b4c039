//! `GET /management/v1/organisations/{organisation}/usage`

use serde_json::json;
use tidewater_core::access::Role;

use crate::support::Catalog;

const USAGE: &str = "/management/v1/organisations/acme/usage";

#[tokio::test]
async fn usage_is_listed_by_day_and_key_and_survives_a_restart() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    for _ in 0..3 {
        catalog.get(&tenant.key, "/v1/namespaces").await.ok(200);
    }
    let operator = catalog.operator().await;
    let catalog = Catalog::reopen(catalog.stop().await, |_| ()).await;
    let told = catalog.get(&operator, USAGE).await.ok(200);
    assert_eq!((&told["limit"], &told["tables"], &told["tier"]), (&json!(null), &json!(0), &json!("enterprise")));
    assert_eq!(told["usage"].as_array().unwrap().len(), 1);
    assert_eq!(told["usage"][0]["requests"], 3, "an operator's requests are not counted: {told}");
    let by_key = catalog.get(&operator, &format!("{USAGE}?by=key")).await.ok(200);
    assert_eq!((&by_key["usage"][0]["key"], &by_key["usage"][0]["requests"]), (&json!("test"), &json!(3)));
    let earlier = catalog.get(&operator, &format!("{USAGE}?from=2026-01-01&to=2026-01-31")).await.ok(200);
    assert_eq!(earlier["usage"], json!([]));
    for query in [
        "?from=2026-02-30",
        "?by=hour",
        "?from=2026-02-02&to=2026-02-01",
        "?from=2020-01-01&to=2026-01-01",
        "?by=key&from=2026-01-01&to=2026-03-01",
    ] {
        catalog.get(&operator, &format!("{USAGE}{query}")).await.error(400, "BadRequestException");
    }
    catalog.get(&tenant.key, USAGE).await.ok(200);
    let other = catalog.tenant("other", "enterprise").await;
    catalog.get(&other.key, USAGE).await.error(404, "NotFoundException");
    let writer = catalog.key(tenant.organisation, Role::Writer, None).await;
    catalog.get(&writer, USAGE).await.error(403, "ForbiddenException");
}
