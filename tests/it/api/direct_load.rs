//! Loads and configuration requests without a body take a direct path to their handlers. Their responses must equal those
//! of the routes.

use axum::body::Body;
use axum::http::{HeaderMap, Request};
use tidewater::config::LimitHeaders;
use tidewater_core::access::Role;

use crate::support::{Answer, Catalog};

/// Headers that differ between requests, or that the connection adds.
const OF_ONE_REQUEST: [&str; 5] =
    ["x-request-id", "ratelimit", "ratelimit-remaining", "ratelimit-reset", "content-length"];

async fn load(catalog: &Catalog, path: &str, headers: &[(&str, &str)], body: &'static str) -> Answer {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    catalog.send(request.body(Body::from(body)).unwrap()).await
}

fn compared(mut headers: HeaderMap) -> HeaderMap {
    for name in OF_ONE_REQUEST {
        headers.remove(name);
    }
    // Successful answers of the direct routes go without it (docs/decisions/0075).
    headers.remove("x-content-type-options");
    headers
}

#[tokio::test]
async fn direct_load_gets_the_same_response_as_its_route() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "professional").await;
    let other = catalog.tenant("other", "free").await;
    catalog.with_table(&tenant).await;
    let reader = catalog.key(tenant.organisation, Role::Reader, None).await;
    let hidden = catalog.key(tenant.organisation, Role::None, None).await;
    let [owner, reader, other, hidden] = [&tenant.key, &reader, &other.key, &hidden].map(|key| format!("Bearer {key}"));
    let table = "/v1/namespaces/ns/tables/t";
    let tag = load(&catalog, table, &[("authorization", &owner)], "").await.header("etag").to_owned();
    let paths = [
        table,
        "/v1/main/namespaces/ns/tables/t",
        "/catalog/v1/v1/main/namespaces/ns/tables/t",
        "/v1/main/namespaces/n%73/tables/%74?snapshots=refs",
        "/v1/main/namespaces/ns/tables/t?snapshots=some",
        "/v1/main/namespaces/ns/tables/t?snapshots=%ff",
        "/v1/main/namespaces/ns/tables/none",
        "/v1/main/namespaces/none/tables/t",
        "/v1/main/namespaces/ns/tables/%ff",
        "/v1/main/namespaces/ns/tables/%2e%2e",
        "/v1/main/namespaces/n%00s/tables/t",
        "/v1/none/namespaces/ns/tables/t",
        "/v1/%ff/namespaces/ns/tables/t",
        "/v1/namespaces",
        "/v1/main/namespaces?parent=ns",
        "/v1/main/namespaces/ns/tables",
        "/v1/main/namespaces/none/tables",
        "/v1/config",
        "/v1/config?warehouse=main",
        "/v1/config?warehouse=none",
        "/v1/config?warehouse=%ff",
        "/v1/config?warehouse=main&warehouse=none",
    ];
    for path in paths {
        for caller in [Some(&owner), Some(&reader), Some(&other), Some(&hidden), None] {
            for tag in [None, Some(&tag)] {
                let mut headers = vec![("x-iceberg-access-delegation", "vended-credentials")];
                headers.extend(caller.map(|caller| ("authorization", caller.as_str())));
                headers.extend(tag.map(|tag| ("if-none-match", tag.as_str())));
                let direct = load(&catalog, path, &headers, "").await;
                let routed = load(&catalog, path, &headers, "x").await;
                assert_eq!(direct.status, routed.status, "{path} {headers:?}");
                assert_eq!(compared(direct.headers), compared(routed.headers), "{path} {headers:?}");
                assert_eq!(direct.bytes, routed.bytes, "{path} {headers:?}");
            }
        }
    }
}

#[tokio::test]
async fn load_counts_as_one_request_on_both_paths() {
    let catalog = Catalog::with(|config| config.api.limit_headers = LimitHeaders::Separate).await;
    let tenant = catalog.tenant("acme", "professional").await;
    catalog.with_table(&tenant).await;
    let key = format!("Bearer {}", tenant.key);
    let mut left = Vec::new();
    for body in ["", "x", ""] {
        let answer = load(&catalog, "/v1/namespaces/ns/tables/t", &[("authorization", &key)], body).await;
        left.push(answer.header("ratelimit-remaining").parse::<u64>().unwrap());
    }
    assert_eq!((left[0] - left[1], left[1] - left[2]), (1, 1));
}
