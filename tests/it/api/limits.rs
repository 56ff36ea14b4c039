//! Tests of a tier's limits: requests per day, tables, and access to the API.

use serde_json::json;
use tidewater::config::LimitHeaders;

use crate::support::{Catalog, create_table};

#[tokio::test]
async fn requests_over_the_daily_limit_get_429_until_midnight() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "tiny").await;
    for remaining in (0..5).rev() {
        let answer = catalog.get(&tenant.key, "/v1/namespaces").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("ratelimit-policy"), "\"day\";q=5;w=86400");
        assert!(answer.header("ratelimit").starts_with(&format!("\"day\";r={remaining};t=")));
    }
    let refused = catalog.get(&tenant.key, "/v1/namespaces").await;
    refused.error(429, "TooManyRequestsException");
    let retry_after_s: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=86_400).contains(&retry_after_s), "{retry_after_s}");
    assert!(refused.header("ratelimit").starts_with("\"day\";r=0;t="), "{refused:?}");

    let other = catalog.tenant("other", "tiny").await;
    catalog.get(&other.key, "/v1/namespaces").await.ok(200);
}

#[tokio::test]
async fn request_count_survives_a_restart_and_includes_all_keys() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "tiny").await;
    for _ in 0..3 {
        catalog.get(&tenant.key, "/v1/config").await.ok(200);
    }
    let catalog = Catalog::reopen(catalog.stop().await, |_| ()).await;
    let second = catalog.key(tenant.organisation, tidewater_core::access::Role::Reader, None).await;
    catalog.get(&second, "/v1/config").await.ok(200);
    catalog.get(&tenant.key, "/v1/config").await.ok(200);
    catalog.get(&second, "/v1/config").await.error(429, "TooManyRequestsException");
}

#[tokio::test]
async fn tier_without_the_catalog_gets_403() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "free").await;
    let refused = catalog.get(&tenant.key, "/v1/namespaces").await;
    assert!(refused.error(403, "ForbiddenException").contains("tier"));
}

#[tokio::test]
async fn unlimited_tier_gets_no_limit_headers() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let answer = catalog.get(&tenant.key, "/v1/namespaces").await;
    assert!(!answer.headers.contains_key("ratelimit"), "{:?}", answer.headers);
}

#[tokio::test]
async fn limit_headers_follow_the_setting() {
    for (form, has_structured, has_separate) in [
        (LimitHeaders::Structured, true, false),
        (LimitHeaders::Separate, false, true),
        (LimitHeaders::Both, true, true),
    ] {
        let catalog = Catalog::with(|config| config.api.limit_headers = form).await;
        let tenant = catalog.tenant("acme", "tiny").await;
        let headers = catalog.get(&tenant.key, "/v1/namespaces").await.headers;
        let has = |names: &[&str]| names.iter().map(|name| headers.contains_key(*name)).collect::<Vec<_>>();
        assert_eq!(has(&["ratelimit", "ratelimit-policy"]), [has_structured; 2], "{form:?}");
        let separate = ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"];
        assert_eq!(has(&separate), [has_separate; 3], "{form:?}");
    }
}

#[tokio::test]
async fn tables_are_counted_over_all_warehouses() {
    let tables = |config: &mut tidewater::config::Config| {
        config.tiers.get_mut("tiny").unwrap().requests_per_day = None;
    };
    let catalog = Catalog::with(tables).await;
    let tenant = catalog.tenant("acme", "tiny").await;
    catalog.warehouse(tenant.organisation, "second").await;
    catalog.with_table(&tenant).await;
    catalog.post(&tenant.key, "/v1/second/namespaces", &json!({ "namespace": ["ns"] })).await.ok(200);
    catalog.post(&tenant.key, "/v1/second/namespaces/ns/tables", &create_table("t")).await.ok(200);
    let third = catalog.post(&tenant.key, "/v1/namespaces/ns/tables", &create_table("u")).await;
    assert!(third.error(403, "ForbiddenException").contains("includes 2 tables"));
    catalog.delete(&tenant.key, "/v1/namespaces/ns/tables/t").await.ok(204);
    catalog.post(&tenant.key, "/v1/namespaces/ns/tables", &create_table("u")).await.ok(200);
}
