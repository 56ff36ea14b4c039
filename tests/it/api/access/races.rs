//! Changes of grants while requests run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use axum::http::Method;
use serde_json::json;

use super::team::{TABLE, Team};
use crate::support::Catalog;

/// How often the grant changes.
const CHANGES: u64 = 120;
/// How many tasks send requests meanwhile.
const READERS: usize = 16;
/// How many requests see the acknowledged state of each change, at least.
const SEEN: u64 = 4;

/// The acknowledged state of the grant, and the requests that saw it.
#[derive(Default)]
struct Watch {
    /// Four times the number of the change. One more once a grant is acknowledged, three more once a revocation is.
    state: AtomicU64,
    seen: AtomicU64,
    ended: AtomicBool,
}

/// Sends loads until the changes end. Checks each answer that belongs to one acknowledged state.
async fn read(catalog: Arc<Catalog>, key: String, watch: Arc<Watch>) {
    while !watch.ended.load(Ordering::SeqCst) {
        let before = watch.state.load(Ordering::SeqCst);
        let status = catalog.get(&key, TABLE).await.status.as_u16();
        if watch.state.load(Ordering::SeqCst) != before || before.is_multiple_of(2) {
            continue;
        }
        let (expected, change) = (if before % 4 == 1 { 200 } else { 404 }, before / 4);
        assert_eq!(status, expected, "after change {change} was acknowledged");
        watch.seen.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 16)]
async fn no_request_after_an_acknowledged_change_is_decided_by_the_old_grants() {
    let catalog = Arc::new(Catalog::new().await);
    let organisation = catalog.organisation("acme", "enterprise").await;
    catalog.warehouse(organisation, "lake").await;
    let (admin, key) = {
        let team = Team::of(&catalog, organisation).await;
        (team.admin.clone(), team.key.clone())
    };
    let watch = Arc::new(Watch::default());
    let readers = (0..READERS).map(|_| tokio::spawn(read(Arc::clone(&catalog), key.clone(), Arc::clone(&watch))));
    let readers: Vec<_> = readers.collect();
    let path = "/management/v1/organisations/acme/warehouses/lake/catalog-roles/team/grants";
    let grant = json!({ "privilege": "TABLE_READ_DATA", "type": "table", "namespace": ["a", "b"], "name": "t" });
    for change in 1..=CHANGES {
        let is_grant = change % 2 == 1;
        watch.state.store(change * 4, Ordering::SeqCst);
        let method = if is_grant { Method::PUT } else { Method::POST };
        assert_eq!(catalog.bytes(&admin, method, path, grant.to_string()).await.status, 204);
        let before = watch.seen.load(Ordering::SeqCst);
        watch.state.store(change * 4 + if is_grant { 1 } else { 3 }, Ordering::SeqCst);
        while watch.seen.load(Ordering::SeqCst) < before + SEEN && !readers.iter().any(|reader| reader.is_finished()) {
            tokio::task::yield_now().await;
        }
    }
    watch.ended.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.await.unwrap();
    }
    assert!(watch.seen.load(Ordering::SeqCst) >= CHANGES * SEEN);
}

/// Sends a commit of which the body waits. Its principal loses the grant meanwhile. Nothing says which happens first, but no
/// later request may have the grant, and the outcome must be whole.
#[tokio::test]
async fn request_that_waits_while_its_grant_is_revoked_leaves_a_whole_outcome() {
    use axum::body::Body;
    use axum::http::Request;
    use tidewater_core::access::Privilege;

    let catalog = Catalog::new().await;
    let team = Team::new(&catalog).await;
    team.grant_on(&["a", "b"], Privilege::TableWriteProperties).await;
    let commit =
        json!({ "requirements": [], "updates": [{ "action": "set-properties", "updates": { "late": "yes" } }] });
    let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
    let body = futures_util::stream::once(async move {
        receiver.await.unwrap();
        Ok::<_, std::convert::Infallible>(commit.to_string())
    });
    let request = Request::post(TABLE)
        .header("authorization", format!("Bearer {}", team.key))
        .header("content-type", "application/json")
        .body(Body::from_stream(body))
        .unwrap();
    let service = catalog.app.service().clone();
    let waiting = tokio::spawn(async move { service.handle(request).await.status().as_u16() });
    tokio::task::yield_now().await;
    team.revoke_all().await;
    team.get(TABLE).await.error(404, "NoSuchWarehouseException");
    sender.send(()).unwrap();
    let status = waiting.await.unwrap();
    let loaded = catalog.get(&team.admin, TABLE).await.ok(200);
    let is_made = loaded["metadata"]["properties"]["late"] == "yes";
    assert!((status == 200) == is_made && [200, 403, 404].contains(&status), "{status}, made: {is_made}");
    team.get(TABLE).await.error(404, "NoSuchWarehouseException");
}
