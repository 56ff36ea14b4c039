//! Tests of the pages for operators, and of who committed a snapshot.

use axum::http::Method;
use serde_json::{Value, json};
use tidewater_core::access::Role;

use super::{Browser, text, with_table};
use crate::support::Catalog;

const PAGES: [&str; 4] = ["organisations", "organisation?name=acme", "server", "slow-requests"];

#[tokio::test]
async fn operator_signs_in_and_the_browser_never_has_the_key() {
    let catalog = Catalog::new().await;
    catalog.tenant("acme", "enterprise").await;
    let key = catalog.operator().await;
    let mut browser = Browser::new(&catalog);
    let answer = browser.post("sign-in", &[("key", &key)]).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "home"), "{}", text(&answer));
    assert!(!format!("{:?}", answer.headers).contains(&key));
    assert_eq!(browser.get("home").await.header("location"), "organisations");
    let page = browser.page("organisations").await;
    assert!(page.contains("Operator") && page.contains(">acme<") && page.contains("tidewater org create"), "{page}");
    for page in PAGES {
        let shown = browser.page(page).await;
        assert!(!shown.contains("--org ''"), "{page}: {shown}");
    }
    for page in ["browse?w=main", "keys", "connect", "table?w=main&ns=ns&t=t", "events"] {
        let answer = browser.get(page).await;
        assert!([403, 404].contains(&answer.status.as_u16()), "{page}: {}", answer.status);
    }
}

#[tokio::test]
async fn revoked_operator_is_signed_out_at_once() {
    let catalog = Catalog::new().await;
    let mut browser = Browser::new(&catalog);
    let key = catalog.operator().await;
    browser.post("sign-in", &[("key", &key)]).await;
    browser.page("organisations").await;
    catalog.machine(Method::DELETE, "/management/v1/operators/ops", &Value::Null).await.ok(204);
    let answer = browser.get("organisations").await;
    assert_eq!(answer.status, 303);
    assert!(answer.header("location").starts_with("sign-in?why=ended"), "{}", answer.header("location"));
    let again = browser.post("sign-in", &[("key", &key)]).await;
    assert!(again.status == 401 && text(&again).contains("revoked"), "{}", text(&again));
}

#[tokio::test]
async fn organisation_is_created_changed_deleted_and_restored_by_an_operator() {
    let catalog = Catalog::new().await;
    let mut browser = Browser::new(&catalog);
    let key = catalog.operator().await;
    browser.post("sign-in", &[("key", &key)]).await;
    browser.page("organisations").await;
    let page = browser.act(&[("do", "create-organisation"), ("name", "acorn"), ("tier", "tiny")]).await;
    assert!(page.contains("The organisation is created.") && page.contains("tiny"), "{page}");
    let name = ("name", "acorn");
    assert!(browser.act(&[("do", "set-tier"), name, ("tier", "enterprise")]).await.contains("The tier is changed."));
    assert!(browser.act(&[("do", "suspend-organisation"), name]).await.contains("suspended"));
    assert!(browser.act(&[("do", "resume-organisation"), name]).await.contains("served"));
    let page = browser.act(&[("do", "rename-organisation"), name, ("new-name", "oak")]).await;
    assert!(page.contains("The organisation is renamed.") && page.contains(">oak<"), "{page}");
    for wrong in ["", "acorn"] {
        let refused = browser.post("do", &[("do", "delete-organisation"), ("name", "oak"), ("confirm", wrong)]).await;
        assert!(refused.status == 400 && text(&refused).contains("Nothing was deleted"), "{}", text(&refused));
    }
    let deleted = browser.act(&[("do", "delete-organisation"), ("name", "oak"), ("confirm", "oak")]).await;
    assert!(deleted.contains("marked as deleted") && !deleted.contains("delete-organisation"), "{deleted}");
    assert!(browser.act(&[("do", "restore-organisation"), ("name", "oak")]).await.contains("is restored."));
    let search = browser.page("organisations?q=o").await;
    assert!(search.contains("href=\"organisation?name=oak\""), "{search}");
    assert!(!browser.page("organisations?q=ob").await.contains("organisation?name=oak"));
}

#[tokio::test]
async fn admins_of_organisations_see_no_page_of_operators() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.tenant("other", "enterprise").await;
    let mut browser = Browser::signed_in(&catalog, &tenant.key).await;
    assert!(!browser.page("home").await.contains("href=\"organisations\""));
    for page in ["organisations", "server", "slow-requests"] {
        assert_eq!(browser.get(page).await.status, 403, "{page}");
    }
    assert_eq!(browser.get("organisation?name=other").await.status, 404);
    for change in ["create-organisation", "set-tier", "suspend-organisation", "rename-organisation"] {
        let fields = [("do", change), ("name", "acme"), ("tier", "tiny"), ("new-name", "x")];
        assert_eq!(browser.post("do", &fields).await.status, 403, "{change}");
    }
    let delete = [("do", "delete-organisation"), ("name", "acme"), ("confirm", "acme")];
    assert_eq!(browser.post("do", &delete).await.status, 403);
}

#[tokio::test]
async fn history_names_the_key_that_committed_a_snapshot_to_admins_alone() {
    let (catalog, tenant) = with_table().await;
    let made = json!({ "name": "nightly-load", "role": "writer" });
    let made = catalog.post(&tenant.key, "/management/v1/organisations/acme/keys", &made).await.ok(200);
    let etl = made["api_key"].as_str().unwrap();
    let snapshot = json!({
        "snapshot-id": 77, "sequence-number": 1, "timestamp-ms": 1_785_585_600_000_i64, "schema-id": 0,
        "manifest-list": "file:///missing", "summary": { "operation": "append", "spark.app.id": "local-7" },
    });
    let commit = json!({ "requirements": [], "updates": [
        { "action": "add-snapshot", "snapshot": snapshot },
        { "action": "set-snapshot-ref", "ref-name": "main", "type": "branch", "snapshot-id": 77 },
    ] });
    catalog.post(etl, "/v1/main/namespaces/ns/tables/t", &commit).await.ok(200);
    let page = "table?w=main&ns=ns&t=t&show=history";
    let shown = Browser::signed_in(&catalog, &tenant.key).await.page(page).await;
    assert!(shown.contains("Committed by") && shown.contains("<strong>nightly-load</strong>"), "{shown}");
    assert!(shown.contains("title=\"local-7\"") && !shown.contains("no longer kept"), "{shown}");
    let reader = catalog.key(tenant.organisation, Role::Reader, None).await;
    let shown = Browser::signed_in(&catalog, &reader).await.page(page).await;
    assert!(shown.contains(">77<") && shown.contains(">spark<"), "{shown}");
    assert!(!shown.contains("Committed by") && !shown.contains("nightly-load"), "{shown}");
}
