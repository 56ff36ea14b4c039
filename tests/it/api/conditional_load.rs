//! `GET .../tables/{table}` with `If-None-Match` and `snapshots`

use axum::http::Method;
use serde_json::{Value, json};
use tidewater::base::clock::Clock;

use crate::support::{Answer, Catalog, Tenant};

const TABLE: &str = "/v1/namespaces/ns/tables/t";

fn snapshot(number: i64, parent: Option<i64>) -> Value {
    let mut snapshot = json!({
        "snapshot-id": number, "sequence-number": number, "timestamp-ms": Clock::System.now_ms(),
        "manifest-list": format!("file:///none/{number}.avro"), "summary": { "operation": "append" }, "schema-id": 0,
    });
    if let Some(parent) = parent {
        snapshot["parent-snapshot-id"] = json!(parent);
    }
    json!({ "requirements": [], "updates": [
        { "action": "add-snapshot", "snapshot": snapshot },
        { "action": "set-snapshot-ref", "ref-name": "main", "type": "branch", "snapshot-id": number },
    ] })
}

async fn load_unless(catalog: &Catalog, tenant: &Tenant, path: &str, known: &str) -> Answer {
    catalog.with_headers(&tenant.key, Method::GET, path, &[("if-none-match", known)]).await
}

#[tokio::test]
async fn load_with_the_current_etag_gets_304() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    let loaded = catalog.get(&tenant.key, TABLE).await;
    let tag = loaded.header("etag").to_owned();
    for known in [tag.clone(), format!("\"x\", {tag}"), "*".to_owned()] {
        let same = load_unless(&catalog, &tenant, TABLE, &known).await;
        assert_eq!((same.status.as_u16(), same.bytes.len(), same.header("etag")), (304, 0, tag.as_str()));
    }
    let committed = catalog.post(&tenant.key, TABLE, &snapshot(1, None)).await;
    let new_tag = committed.header("etag").to_owned();
    assert_ne!(new_tag, tag);
    let changed = load_unless(&catalog, &tenant, TABLE, &tag).await;
    assert_eq!((changed.status.as_u16(), changed.header("etag")), (200, new_tag.as_str()));
    assert_eq!(load_unless(&catalog, &tenant, TABLE, &new_tag).await.status, 304);
}

#[tokio::test]
async fn load_with_snapshots_refs_returns_only_referenced_snapshots() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    catalog.post(&tenant.key, TABLE, &snapshot(1, None)).await.ok(200);
    catalog.post(&tenant.key, TABLE, &snapshot(2, Some(1))).await.ok(200);
    let ids = |answer: &Value| {
        let snapshots = answer["metadata"]["snapshots"].as_array().unwrap();
        snapshots.iter().map(|snapshot| snapshot["snapshot-id"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    let all = catalog.get(&tenant.key, &format!("{TABLE}?snapshots=all")).await;
    let refs = catalog.get(&tenant.key, &format!("{TABLE}?snapshots=refs")).await;
    assert_ne!(all.header("etag"), refs.header("etag"));
    let both = load_unless(&catalog, &tenant, TABLE, refs.header("etag")).await;
    assert_eq!(both.status, 200, "the ETag of one form does not match the other form");
    let named = load_unless(&catalog, &tenant, &format!("{TABLE}?snapshots=refs"), refs.header("etag")).await;
    assert_eq!(named.status, 304);

    let (mut all, refs) = (all.ok(200), refs.ok(200));
    assert_eq!((ids(&all), ids(&refs)), (vec![1, 2], vec![2]));
    all["metadata"]["snapshots"].as_array_mut().unwrap().remove(0);
    assert_eq!(all, refs, "everything else is equal, including the snapshot log");
    let wrong = catalog.get(&tenant.key, &format!("{TABLE}?snapshots=some")).await;
    assert!(wrong.error(400, "BadRequestException").contains("'all' or 'refs'"));
}
