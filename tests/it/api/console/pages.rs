//! Tests of the pages that show the catalog.

use serde_json::json;
use tidewater_console::link::encoded;
use tidewater_core::access::Role;

use super::{Browser, text, with_table};
use crate::support::{Catalog, create_table, create_view};

#[tokio::test]
async fn catalog_is_browsed_from_warehouse_to_table() {
    let (catalog, tenant) = with_table().await;
    catalog.post(&tenant.key, "/v1/namespaces/ns/views", &create_view("v", "SELECT 7 AS id")).await.ok(200);
    let mut browser = Browser::signed_in(&catalog, &tenant.key).await;
    let home = browser.page("home").await;
    assert!(home.contains("href=\"browse?w=main\"") && home.contains("file://"));
    assert!(browser.page("browse?w=main").await.contains("href=\"browse?w=main&#38;ns=ns\""));
    let namespace = browser.page("browse?w=main&ns=ns").await;
    assert!(
        namespace.contains("table?w=main&#38;ns=ns&#38;t=t") && namespace.contains("view?w=main&#38;ns=ns&#38;t=v")
    );
    let table = browser.page("table?w=main&ns=ns&t=t").await;
    for part in
        ["GET</b> /v1/main/namespaces/ns/tables/t", "tidewater table show ns.t --warehouse main", "long", "string"]
    {
        assert!(table.contains(part), "{part}: {table}");
    }
    for section in ["history", "properties", "credentials", "metadata"] {
        browser.page(&format!("table?w=main&ns=ns&t=t&show={section}")).await;
    }
    let view = browser.page("view?w=main&ns=ns&t=v").await;
    assert!(view.contains("SELECT 7 AS id") && view.contains("spark"));
    assert!(browser.page("tree?w=main&ns=ns").await.contains("table?w=main"));
}

#[tokio::test]
async fn search_finds_a_part_of_a_name_in_the_whole_warehouse() {
    let (catalog, tenant) = with_table().await;
    for name in ["orders", "orders_eu", "order", "ordes", "zebra", "Orders"] {
        catalog.post(&tenant.key, "/v1/namespaces/ns/tables", &create_table(name)).await.ok(200);
    }
    catalog.post(&tenant.key, "/v1/namespaces", &json!({ "namespace": ["ns", "orders_old"] })).await.ok(200);
    let mut browser = Browser::signed_in(&catalog, &tenant.key).await;
    let mut found = async |page: &str| {
        let html = browser.page(&format!("{page}&part=lists")).await;
        assert!(!html.contains("<html"), "only the lists");
        let links = html.split("</a>").filter(|part| part.contains("<a "));
        links.filter_map(|part| Some(part.rsplit_once("\">")?.1.to_owned())).collect::<Vec<_>>()
    };
    let mut orders = found("browse?w=main&ns=ns&q=RDERS").await;
    orders.sort();
    assert_eq!(orders, ["ns.Orders", "ns.orders", "ns.orders_eu", "ns.orders_old"]);
    let mut both = found("browse?w=main&q=ns.orders_").await;
    both.sort();
    assert_eq!(both, ["ns.orders_eu", "ns.orders_old"]);
    assert_eq!(found("browse?w=main&q=S").await[0], "ns", "namespaces come first");
    assert!(found("browse?w=main&ns=ns&q=nothing").await.is_empty());
    assert!(found("browse?w=main&q=missing.t").await.is_empty());
}

#[tokio::test]
async fn long_list_has_pages() {
    let (catalog, tenant) = with_table().await;
    for number in 0..101 {
        let body = json!({ "namespace": ["ns", format!("n{number:03}")] });
        catalog.post(&tenant.key, "/v1/namespaces", &body).await.ok(200);
    }
    let mut browser = Browser::signed_in(&catalog, &tenant.key).await;
    let first = browser.page("browse?w=main&ns=ns").await;
    assert!(first.contains("n099") && !first.contains("n100"));
    let (before, _) = first.split_once("\">Next page").unwrap();
    let next = before.rsplit_once("href=\"").unwrap().1.replace("&#38;", "&");
    let second = browser.page(&next).await;
    assert!(second.contains("n100") && !second.contains("n099") && !second.contains("Next page"));
}

#[tokio::test]
async fn addresses_of_another_organisation_are_not_found() {
    let (catalog, acme) = with_table().await;
    catalog.warehouse(acme.organisation, "secret").await;
    catalog.post(&acme.key, "/v1/secret/namespaces", &json!({ "namespace": ["ns"] })).await.ok(200);
    let other = catalog.tenant("other", "enterprise").await;
    let mut browser = Browser::signed_in(&catalog, &other.key).await;
    for page in [
        "browse?w=secret",
        "browse?w=secret&ns=ns",
        "table?w=secret&ns=ns&t=t",
        "view?w=secret&ns=ns&t=t",
        "bin?w=secret",
        "tree?w=secret&ns=ns",
        "roll-back?w=secret&ns=ns&t=t&to=1",
        "rows?w=secret&ns=ns&t=t",
        "files?w=secret&ns=ns&t=t",
        "maintenance?w=secret&ns=ns&t=t",
        "run?w=secret&id=00000000-0000-0000-0000-000000000001",
    ] {
        let answer = browser.get(page).await;
        assert_eq!(answer.status, 404, "{page}");
        assert!(!text(&answer).contains("acme"));
    }
    assert!(!browser.page("home").await.contains("secret"));
    let created = browser.post("do", &[("do", "create-namespace"), ("w", "secret"), ("name", "mine")]).await;
    assert_eq!(created.status, 404);
}

#[tokio::test]
async fn hostile_names_are_shown_as_text() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let hostile = "<script>alert(1)</script>\"'&x";
    let body = json!({ "namespace": [hostile], "properties": { hostile: hostile } });
    catalog.post(&tenant.key, "/v1/namespaces", &body).await.ok(200);
    let path = format!("/v1/namespaces/{}/tables", encoded(hostile));
    let mut table = create_table("t..'<b>");
    table["schema"]["fields"][0]["name"] = hostile.into();
    table["schema"]["fields"][0]["doc"] = hostile.into();
    table["properties"] = json!({ hostile: hostile });
    catalog.post(&tenant.key, &path, &table).await.ok(200);
    let mut browser = Browser::signed_in(&catalog, &tenant.key).await;
    let (ns, t) = (encoded(hostile), encoded("t..'<b>"));
    let mut pages = vec!["browse?w=main".to_owned(), format!("browse?w=main&ns={ns}"), format!("browse?w=main&q={ns}")];
    pages.extend(
        ["schema", "history", "properties", "metadata"].map(|show| format!("table?w=main&ns={ns}&t={t}&show={show}")),
    );
    for page in pages {
        let html = browser.page(&page).await;
        assert!(!html.contains("<script>alert") && !html.contains("<b>'") && html.contains("alert(1)"), "{page}");
    }
}

#[tokio::test]
async fn reader_sees_its_warehouses_and_no_administration() {
    let (catalog, tenant) = with_table().await;
    let key = catalog.key(tenant.organisation, Role::Reader, None).await;
    let mut browser = Browser::signed_in(&catalog, &key).await;
    let home = browser.page("home").await;
    assert!(home.contains("browse?w=main") && !home.contains("href=\"keys\""));
    assert!(browser.page("connect?w=main").await.contains("ATTACH &#39;main&#39;"));
    for page in ["keys", "usage", "history"] {
        let answer = browser.get(page).await;
        assert_eq!(answer.status, 403, "{page}");
        assert!(text(&answer).contains("ForbiddenException"));
    }
}

#[tokio::test]
async fn doctor_explains_a_clients_error() {
    let (catalog, tenant) = with_table().await;
    let mut browser = Browser::signed_in(&catalog, &tenant.key).await;
    let answer =
        browser.post("doctor", &[("text", "401: unknown API key: it was never issued here"), ("w", "main")]).await;
    assert_eq!(answer.status, 200);
    assert!(text(&answer).contains("The catalog does not know the API key."));
}

#[tokio::test]
async fn access_is_explained() {
    let (catalog, tenant) = with_table().await;
    let mut browser = Browser::signed_in(&catalog, &tenant.key).await;
    let page = browser.page("access?w=main&action=drop-table&namespace=ns&table=t").await;
    assert!(page.contains("its built-in role is admin"), "{page}");
    let refused = browser.page("access?w=main&action=drop-table&namespace=none&table=t").await;
    assert!(refused.contains("role=\"alert\""), "{refused}");
}
