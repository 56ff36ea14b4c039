//! `POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/sign` without an S3 server; `tests/engines` tests it with one.

use serde_json::json;

use crate::support::Catalog;

const PATH: &str = "/v1/namespaces/ns/tables/t/sign";

fn request() -> serde_json::Value {
    json!({ "region": "us-east-1", "uri": "https://s3.example.com/b/t/a", "method": "GET", "headers": {} })
}

#[tokio::test]
async fn sign_request_for_a_warehouse_on_disk_gets_400() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    let refused = catalog.post(&tenant.key, PATH, &request()).await;
    assert!(refused.error(400, "BadRequestException").contains("are not signed"));
    let nowhere = catalog.post(&tenant.key, "/v1/namespaces/ns/tables/other/sign", &request()).await;
    nowhere.error(404, "NoSuchTableException");
    let staged = catalog.post(&tenant.key, "/v1/namespaces/ns/tables/other/sign?pass=AAAA", &request()).await;
    staged.error(404, "NoSuchTableException");
}

#[tokio::test]
async fn sign_request_does_not_count_against_the_daily_limit() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "tiny").await;
    catalog.with_table(&tenant).await;
    let mut last = 0;
    while last != 429 {
        for _ in 0..3 {
            let answer = catalog.post(&tenant.key, PATH, &request()).await;
            assert_eq!(answer.status, 400, "{answer:?}");
            assert!(!answer.headers.contains_key("ratelimit"), "{:?}", answer.headers);
        }
        last = catalog.get(&tenant.key, "/v1/config").await.status.as_u16();
    }
    // A running scan continues after the daily limit is reached.
    assert_eq!(catalog.post(&tenant.key, PATH, &request()).await.status, 400);
}

#[tokio::test]
async fn sign_request_without_access_to_the_catalog_is_refused() {
    let catalog = Catalog::new().await;
    let free = catalog.tenant("acme", "free").await;
    catalog.post(&free.key, PATH, &request()).await.error(403, "ForbiddenException");
    catalog.post("flx_unknown", PATH, &request()).await.error(401, "NotAuthorizedException");
}

#[tokio::test]
async fn sign_requests_over_the_rate_get_retry_after_and_other_keys_do_not() {
    let catalog = Catalog::with(|config| config.api.signatures_per_second = 1).await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let other = catalog.tenant("umbra", "enterprise").await;
    catalog.with_table(&tenant).await;
    let body = request();
    let ask = || catalog.post(&tenant.key, PATH, &body);
    // One request passes at once and two wait a second each. The others would wait too long.
    let answers = futures_util::future::join_all((0..8).map(|_| ask())).await;
    let (late, served): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 429);
    assert!(served.iter().all(|answer| answer.status == 400), "{served:?}");
    assert!(!late.is_empty() && !served.is_empty());
    for answer in late {
        assert!(answer.error(429, "TooManyRequestsException").contains("api.signatures_per_second"));
        assert_eq!(answer.headers["retry-after"], "1");
    }
    catalog.post(&other.key, PATH, &body).await.error(404, "NoSuchTableException");
    catalog.get(&tenant.key, "/v1/config").await.ok(200);
}
