//! Tests of the changes that the console makes.

use serde_json::{Value, json};
use tidewater_core::access::Role;

use super::{Browser, text, with_table};
use crate::support::{Catalog, Tenant};

/// Adds a snapshot to the branch `main` of `ns.t`, as an engine does.
async fn append(catalog: &Catalog, tenant: &Tenant, id: i64, parent: Option<i64>) {
    let loaded = catalog.get(&tenant.key, "/v1/namespaces/ns/tables/t").await.ok(200);
    let location = loaded["metadata"]["location"].as_str().unwrap().to_owned();
    let number = loaded["metadata"]["last-sequence-number"].as_i64().unwrap() + 1;
    let snapshot = json!({ "snapshot-id": id, "parent-snapshot-id": parent, "sequence-number": number, "timestamp-ms": now_ms(),
        "manifest-list": format!("{location}/metadata/{id}.avro"), "summary": { "operation": "append", "added-records": "5" }, "schema-id": 0 });
    let body = json!({ "requirements": [], "updates": [
        { "action": "add-snapshot", "snapshot": snapshot },
        { "action": "set-snapshot-ref", "ref-name": "main", "type": "branch", "snapshot-id": id, "min-snapshots-to-keep": 3 },
    ] });
    catalog.post(&tenant.key, "/v1/namespaces/ns/tables/t", &body).await.ok(200);
}

fn now_ms() -> i64 {
    tidewater::base::clock::Clock::System.now_ms()
}

async fn refs(catalog: &Catalog, tenant: &Tenant) -> Value {
    catalog.get(&tenant.key, "/v1/namespaces/ns/tables/t").await.ok(200)["metadata"]["refs"].clone()
}

#[tokio::test]
async fn namespace_is_created_and_dropped() {
    let (catalog, tenant) = with_table().await;
    let mut browser = Browser::signed_in(&catalog, &tenant.key).await;
    let page = browser.act(&[("do", "create-namespace"), ("w", "main"), ("ns", "ns"), ("name", "a.b")]).await;
    assert!(page.contains("The namespace is created.") && page.contains("a.b"));
    let again = browser.post("do", &[("do", "create-namespace"), ("w", "main"), ("ns", "ns"), ("name", "a.b")]).await;
    assert_eq!(again.status, 409);
    assert!(text(&again).contains("AlreadyExistsException"), "the API's error is shown: {}", text(&again));
    browser.act(&[("do", "drop-namespace"), ("w", "main"), ("ns", "ns\u{1f}a.b")]).await;
    let full = browser.post("do", &[("do", "drop-namespace"), ("w", "main"), ("ns", "ns")]).await;
    assert!(full.status == 409 && text(&full).contains("NamespaceNotEmptyException"));
}

#[tokio::test]
async fn table_is_dropped_and_restored() {
    let (catalog, tenant) = with_table().await;
    let mut browser = Browser::signed_in(&catalog, &tenant.key).await;
    let done = browser.act(&[("do", "drop-table"), ("w", "main"), ("ns", "ns"), ("t", "t")]).await;
    assert!(done.contains("name=\"do\" value=\"restore\""), "the message restores it: {done}");
    assert_eq!(browser.get("table?w=main&ns=ns&t=t").await.status, 404);
    let bin = browser.page("bin?w=main").await;
    let id = bin.split("name=\"id\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let page = browser.act(&[("do", "restore"), ("w", "main"), ("id", &id), ("back", "bin?w=main")]).await;
    assert!(page.contains("Restored."));
    browser.page("table?w=main&ns=ns&t=t").await;
}

#[tokio::test]
async fn branches_and_tags_are_created_and_removed() {
    let (catalog, tenant) = with_table().await;
    append(&catalog, &tenant, 1, None).await;
    let mut browser = Browser::signed_in(&catalog, &tenant.key).await;
    let of_table = [("w", "main"), ("ns", "ns"), ("t", "t"), ("back", "table?w=main&ns=ns&t=t&show=history")];
    let create = |name, kind| {
        [&of_table[..], &[("do", "create-reference"), ("name", name), ("kind", kind), ("snapshot", "1")]].concat()
    };
    let page = browser.act(&create("audit", "branch")).await;
    assert!(page.contains("The branch or tag is created.") && page.contains(">audit<") && page.contains("<circle"));
    browser.act(&create("v1", "tag")).await;
    assert_eq!(refs(&catalog, &tenant).await["v1"]["type"], "tag");
    let taken = browser.post("do", &create("v1", "tag")).await;
    assert_eq!(taken.status, 409, "an existing tag is not moved");
    browser.act(&[&of_table[..], &[("do", "remove-reference"), ("name", "v1"), ("snapshot", "1")]].concat()).await;
    assert!(refs(&catalog, &tenant).await["v1"].is_null());
}

#[tokio::test]
async fn roll_back_is_previewed_and_keeps_the_branchs_retention() {
    let (catalog, tenant) = with_table().await;
    append(&catalog, &tenant, 1, None).await;
    append(&catalog, &tenant, 2, Some(1)).await;
    append(&catalog, &tenant, 3, Some(2)).await;
    let mut browser = Browser::signed_in(&catalog, &tenant.key).await;
    let preview = browser.page("roll-back?w=main&ns=ns&t=t&to=1").await;
    assert!(preview.contains(">3<") && preview.contains(">2<") && preview.contains("+5"), "{preview}");
    assert_eq!(browser.get("roll-back?w=main&ns=ns&t=t&to=9").await.status, 409);
    let fields = [("do", "roll-back"), ("w", "main"), ("ns", "ns"), ("t", "t"), ("name", "main"), ("snapshot", "1")];
    let stale = browser.post("do", &[&fields[..], &[("head", "2")]].concat()).await;
    assert_eq!(stale.status, 409, "another commit came between");
    let done = browser.act(&[&fields[..], &[("head", "3")]].concat()).await;
    assert!(done.contains("href=\"roll-back?w=main&#38;ns=ns&#38;t=t&#38;to=3\">Undo</a>"), "{done}");
    let main = refs(&catalog, &tenant).await["main"].clone();
    assert_eq!((&main["snapshot-id"], &main["min-snapshots-to-keep"]), (&json!(1), &json!(3)));
}

#[tokio::test]
async fn key_is_shown_once_and_can_be_revoked() {
    let (catalog, tenant) = with_table().await;
    let mut browser = Browser::signed_in(&catalog, &tenant.key).await;
    let made = browser.post("do", &[("do", "create-key"), ("name", "etl"), ("role", "reader"), ("days", "7")]).await;
    assert_eq!((made.status.as_u16(), made.header("cache-control")), (200, "no-store"));
    let html = text(&made);
    let key = html.split("id=\"new-key\" tabindex=\"0\">").nth(1).unwrap().split('<').next().unwrap().to_owned();
    catalog.get(&key, "/v1/namespaces").await.ok(200);
    let list = browser.page("keys").await;
    assert!(list.contains("etl") && !list.contains(&key));
    let row = list.split(">etl<").nth(1).unwrap();
    let id = row.split("name=\"id\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    browser.act(&[("do", "revoke-key"), ("id", id), ("back", "keys")]).await;
    catalog.get(&key, "/v1/namespaces").await.error(401, "NotAuthorizedException");
    let refused =
        browser.post("do", &[("do", "create-key"), ("name", "x"), ("role", "reader"), ("days", "many")]).await;
    assert_eq!(refused.status, 400);
}

#[tokio::test]
async fn readers_changes_are_refused_with_the_apis_message() {
    let (catalog, tenant) = with_table().await;
    let key = catalog.key(tenant.organisation, Role::Reader, None).await;
    let mut browser = Browser::signed_in(&catalog, &key).await;
    let of_table = [
        ("w", "main"),
        ("ns", "ns"),
        ("t", "t"),
        ("name", "x"),
        ("snapshot", "1"),
        ("id", "00000000-0000-0000-0000-000000000001"),
    ];
    for action in [
        "create-namespace",
        "drop-namespace",
        "drop-table",
        "create-reference",
        "remove-reference",
        "create-key",
        "revoke-key",
        "restore",
    ] {
        let answer = browser.post("do", &[&of_table[..], &[("do", action), ("role", "reader")]].concat()).await;
        assert_eq!(answer.status, 403, "{action}: {}", text(&answer));
        assert!(text(&answer).contains("ForbiddenException"), "{action}: {}", text(&answer));
    }
    let unknown = browser.post("do", &[("do", "format-disk")]).await;
    assert_eq!(unknown.status, 400);
}
