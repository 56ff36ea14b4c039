//! Tests of the pages for access, keys, warehouses and events.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use tidewater_core::access::Role;

use super::{Browser, text, with_table};
use crate::support::{Catalog, Tenant};

const ORGANISATION: &str = "/management/v1/organisations/acme";

async fn managed(catalog: &Catalog, tenant: &Tenant, below: &str) -> Value {
    catalog.get(&tenant.key, &format!("{ORGANISATION}{below}")).await.ok(200)
}

/// Returns the secret that a page shows once.
fn secret_in(page: &str) -> String {
    let secret = page.split("id=\"new-secret\" tabindex=\"0\">").nth(1).unwrap_or_else(|| panic!("no secret: {page}"));
    secret.split('<').next().unwrap().to_owned()
}

/// Returns the value of a page's first hidden parameter of a name.
fn hidden(page: &str, name: &str) -> String {
    let value = page.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap_or_else(|| panic!("no {name}: {page}"));
    value.split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn roles_are_created_assigned_granted_and_taken_away() {
    let (catalog, tenant) = with_table().await;
    let new = json!({ "name": "etl", "role": "none" });
    let made = catalog.post(&tenant.key, &format!("{ORGANISATION}/keys"), &new).await.ok(200);
    let etl = made["api_key"].as_str().unwrap().to_owned();
    let mut browser = Browser::signed_in(&catalog, &tenant.key).await;
    browser.act(&[("do", "create-principal-role"), ("role", "analysts"), ("back", "principal-roles")]).await;
    browser
        .act(&[("do", "create-catalog-role"), ("w", "main"), ("role", "readers"), ("back", "catalog-roles?w=main")])
        .await;
    let role = [("role", "analysts"), ("back", "principal-role?name=analysts")];
    let page = browser.act(&[&role[..], &[("do", "assign-principal-role"), ("to", "etl")]].concat()).await;
    assert!(page.contains("The role is assigned.") && page.contains("etl"), "{page}");
    let etl_id = hidden(&page, "to");
    let of_catalog = [("w", "main"), ("role", "readers"), ("back", "catalog-role?w=main&name=readers")];
    browser.act(&[&of_catalog[..], &[("do", "assign-catalog-role"), ("to", "analysts")]].concat()).await;
    let grant = [("privilege", "TABLE_READ_DATA"), ("type", "table"), ("levels", "ns"), ("object", "t")];
    let page = browser.act(&[&of_catalog[..], &grant, &[("do", "grant")]].concat()).await;
    assert!(page.contains("The privilege is granted.") && page.contains("table ns.t"), "{page}");
    assert!(page.contains("tidewater grant add readers TABLE_READ_DATA --namespace sales --warehouse main --org acme"));
    catalog.get(&etl, "/v1/main/namespaces/ns/tables/t").await.ok(200);
    let revoke = [("privilege", "TABLE_READ_DATA"), ("type", "table"), ("key", "ns"), ("object", "t")];
    browser.act(&[&of_catalog[..], &revoke, &[("do", "revoke-grant")]].concat()).await;
    assert_ne!(catalog.get(&etl, "/v1/main/namespaces/ns/tables/t").await.status, 200);
    browser.act(&[&of_catalog[..], &[("do", "revoke-catalog-role"), ("to", "analysts")]].concat()).await;
    browser.act(&[&role[..], &[("do", "revoke-principal-role"), ("to", &etl_id)]].concat()).await;
    assert_eq!(managed(&catalog, &tenant, "/principal-roles/analysts/principals").await["principals"], json!([]));
    browser
        .act(&[("do", "delete-catalog-role"), ("w", "main"), ("role", "readers"), ("back", "catalog-roles?w=main")])
        .await;
    let page = browser.act(&[("do", "delete-principal-role"), ("role", "analysts"), ("back", "principal-roles")]).await;
    assert!(page.contains("Deleted.") && !page.contains(">analysts<"), "{page}");
}

#[tokio::test]
async fn access_pages_show_principals_and_refusals_of_the_api() {
    let (catalog, tenant) = with_table().await;
    let mut browser = Browser::signed_in(&catalog, &tenant.key).await;
    for (page, part) in [
        ("principals", "GET</b> /management/v1/organisations/acme/principals?page-size=100"),
        ("users", "tidewater user list --org acme"),
        ("principal-roles", "tidewater role list --org acme"),
        ("catalog-roles", "tidewater role list --catalog --warehouse main --org acme"),
    ] {
        let html = browser.page(page).await;
        assert!(html.contains(part), "{page}: {html}");
    }
    for page in ["principal-role?name=none", "catalog-role?w=main&name=none", "catalog-roles?w=none"] {
        assert_eq!(browser.get(page).await.status, 404, "{page}");
    }
    let role = [("do", "create-principal-role"), ("role", "admin"), ("back", "principal-roles")];
    let refused = browser.post("do", &role).await;
    assert!(refused.status == 400 && text(&refused).contains("built-in"), "{}", text(&refused));
    let reader = catalog.key(tenant.organisation, Role::Reader, None).await;
    let mut reader = Browser::signed_in(&catalog, &reader).await;
    for page in [
        "principals",
        "users",
        "principal-roles",
        "key?id=x",
        "warehouses",
        "warehouse?name=main",
        "events",
        "subscriptions",
    ] {
        assert_eq!(reader.get(page).await.status, 403, "{page}");
    }
    for change in [
        "create-principal-role",
        "assign-principal-role",
        "delete-principal-role",
        "rotate-key",
        "change-key",
        "create-warehouse",
        "set-options",
        "make-default",
        "delete-warehouse",
        "create-subscription",
        "replay",
        "disable-user",
        "delete-user",
    ] {
        let fields = [("do", change), ("role", "x"), ("to", "x"), ("id", "x"), ("name", "x"), ("warehouse", "main")];
        assert_eq!(reader.post("do", &fields).await.status, 403, "{change}");
    }
}

#[tokio::test]
async fn key_is_rotated_with_an_overlap_and_changed() {
    let (catalog, tenant) = with_table().await;
    let new = json!({ "name": "etl", "role": "writer" });
    let made = catalog.post(&tenant.key, &format!("{ORGANISATION}/keys"), &new).await.ok(200);
    let (old, id) = (made["api_key"].as_str().unwrap(), made["id"].as_str().unwrap());
    let mut browser = Browser::signed_in(&catalog, &tenant.key).await;
    let list = browser.page("keys").await;
    assert!(list.contains(&format!("href=\"key?id={id}\"")), "{list}");
    let rotated = browser.post("do", &[("do", "rotate-key"), ("id", id), ("hours", "2")]).await;
    assert_eq!((rotated.status.as_u16(), rotated.header("cache-control")), (200, "no-store"), "{}", text(&rotated));
    let key = secret_in(&text(&rotated));
    catalog.get(&key, "/v1/namespaces").await.ok(200);
    catalog.get(old, "/v1/namespaces").await.ok(200);
    let new_id = hidden(&text(&rotated), "id");
    let own = format!("key?id={new_id}");
    let change =
        [("do", "change-key"), ("id", new_id.as_str()), ("back", &own), ("name", "loader"), ("role", "reader")];
    let page = browser.act(&[&change[..], &[("days", "30")]].concat()).await;
    assert!(page.contains("The key is changed.") && page.contains("loader") && !page.contains(&key), "{page}");
    let changed = managed(&catalog, &tenant, "/keys/loader").await;
    assert!(changed["role"] == "reader" && changed["expires-ms"].is_i64(), "{changed}");
    browser.act(&change).await;
    assert!(managed(&catalog, &tenant, "/keys/loader").await["expires-ms"].is_i64(), "an empty field changes nothing");
    browser.act(&[&change[..], &[("days", "never")]].concat()).await;
    assert!(managed(&catalog, &tenant, "/keys/loader").await["expires-ms"].is_null());
    for (field, value) in [("hours", "x"), ("days", "soon")] {
        let form =
            [("do", if field == "hours" { "rotate-key" } else { "change-key" }), ("id", &new_id), (field, value)];
        assert_eq!(browser.post("do", &form).await.status, 400, "{field}");
    }
}

#[tokio::test]
async fn warehouse_is_tested_changed_and_deleted() {
    let (catalog, tenant) = with_table().await;
    catalog.warehouse(tenant.organisation, "second").await;
    let mut browser = Browser::signed_in(&catalog, &tenant.key).await;
    assert!(browser.page("warehouses").await.contains("href=\"warehouse?name=second\""));
    let of_second = [("warehouse", "second"), ("back", "warehouse?name=second")];
    let tested = browser.post("do", &[&of_second[..], &[("do", "check-warehouse")]].concat()).await;
    assert!(tested.status == 200 && text(&tested).contains("Result of the test"), "{}", text(&tested));
    let options = [("do", "set-options"), ("purge", "at-once"), ("planning", "server")];
    let page = browser.act(&[&of_second[..], &options].concat()).await;
    assert!(page.contains("The options are changed.") && page.contains("at-once"), "{page}");
    browser.act(&[&of_second[..], &[("do", "make-default")]].concat()).await;
    let second = managed(&catalog, &tenant, "/warehouses/second").await;
    assert!(second["default"] == true && second["options"]["scan-planning-mode"] == "server", "{second}");
    browser.act(&[("do", "make-default"), ("warehouse", "main"), ("back", "warehouses")]).await;
    browser.act(&[&of_second[..], &[("do", "delete-warehouse")]].concat()).await;
    assert_eq!(browser.get("warehouse?name=second").await.status, 404);
    let full = browser.post("do", &[("do", "delete-warehouse"), ("warehouse", "main")]).await;
    assert_eq!(full.status, 409, "{}", text(&full));
}

#[tokio::test]
async fn warehouse_is_not_created_on_the_servers_disk_or_with_malformed_settings() {
    let (catalog, tenant) = with_table().await;
    let mut browser = Browser::signed_in(&catalog, &tenant.key).await;
    let create = [("do", "create-warehouse"), ("name", "own"), ("root", "file:///srv/own")];
    let refused = browser.post("do", &create).await;
    assert!(refused.status == 403 && text(&refused).contains("operator"), "{}", text(&refused));
    for storage in ["{", "[]", "7"] {
        let refused = browser.post("do", &[&create[..], &[("storage", storage)]].concat()).await;
        assert!(refused.status == 400 && text(&refused).contains("not a JSON object"), "{}", text(&refused));
    }
    let empty = browser.post("do", &[("do", "set-storage"), ("warehouse", "main")]).await;
    assert_eq!(empty.status, 400);
    assert_eq!(browser.get("warehouse?name=own").await.status, 404);
}

#[tokio::test]
async fn events_are_searched_by_object_actor_operation_and_time() {
    let (catalog, tenant) = with_table().await;
    let mut browser = Browser::signed_in(&catalog, &tenant.key).await;
    let page = browser.page("events?operation=create-table&object=ns.t").await;
    assert!(
        page.contains("Created table ns.t")
            && page.contains("tidewater events --object ns.t --operation create-table --org acme")
    );
    assert!(!browser.page("events?operation=create-table&until=2020-01-01").await.contains("Created table ns.t"));
    assert!(browser.page("events?since=2020-01-01T00:00&warehouse=main").await.contains("Created table ns.t"));
    for wrong in ["events?since=yesterday", "events?operation=none"] {
        assert_eq!(browser.get(wrong).await.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn subscription_is_created_paused_rotated_and_deleted() {
    let (catalog, tenant) = with_table().await;
    let mut browser = Browser::signed_in(&catalog, &tenant.key).await;
    let fields = [
        ("name", "hook"),
        ("url", "https://example.com/hook"),
        ("objects", "ns.t, ns.u"),
        ("operations", "update-table"),
    ];
    let made = text(&browser.post("do", &[&[("do", "create-subscription")], &fields[..]].concat()).await);
    let (secret, id) = (secret_in(&made), hidden(&made, "id"));
    let found = managed(&catalog, &tenant, "/subscriptions/hook").await;
    assert_eq!((&found["objects"], &found["id"]), (&json!(["ns.t", "ns.u"]), &json!(id)));
    let own = format!("subscription?id={id}");
    let one = [("id", id.as_str()), ("back", &own)];
    let page = browser.act(&[&one[..], &[("do", "disable-subscription")]].concat()).await;
    assert!(page.contains("disabled") && !page.contains(&secret), "{page}");
    browser.act(&[&one[..], &[("do", "enable-subscription")]].concat()).await;
    let rotated = browser.post("do", &[&one[..], &[("do", "rotate-subscription"), ("hours", "1")]].concat()).await;
    assert_ne!(secret_in(&text(&rotated)), secret);
    let page = browser.act(&[&one[..], &[("do", "delete-subscription")]].concat()).await;
    assert!(page.contains("Deleted.") && !page.contains(">hook<"), "{page}");
}

#[tokio::test]
async fn pages_are_counted_by_name_and_a_limited_one_says_when_to_repeat_it() {
    let catalog = Catalog::with(|config| config.telemetry.public = true).await;
    let tenant = catalog.tenant("acme", "tiny").await;
    let mut browser = Browser::signed_in(&catalog, &tenant.key).await;
    assert!(!browser.get("no-such-page").await.header("x-request-id").is_empty());
    let mut last = browser.get("browse?w=main").await;
    for _ in 0..6 {
        last = browser.get("browse?w=main").await;
    }
    assert_eq!(last.status, 429, "the tier has five requests a day");
    assert!(last.header("retry-after").parse::<u64>().unwrap() > 0);
    let metrics = text(&catalog.send(Request::get("/metrics").body(Body::empty()).unwrap()).await);
    for series in [
        "{method=\"GET\",route=\"/console/browse\",status=\"429\"}",
        "{method=\"POST\",route=\"/console/sign-in\",status=\"303\"}",
        "{method=\"GET\",route=\"/console/{file}\",status=\"404\"}",
    ] {
        assert!(
            metrics.contains(&format!("http_server_request_duration_seconds_count{series}")),
            "{series}: {metrics}"
        );
    }
}
