//! Tests of the pages about the files and the maintenance of tables.

use serde_json::json;
use tidewater_core::access::Role;

use super::{Browser, text, with_table};
use crate::support::Catalog;

const TABLE: [(&str, &str); 3] = [("w", "main"), ("ns", "ns"), ("t", "t")];

#[tokio::test]
async fn files_of_an_empty_table_are_shown_with_the_requests_and_commands() {
    let (catalog, tenant) = with_table().await;
    let mut browser = Browser::signed_in(&catalog, &tenant.key).await;
    let page = browser.page("files?w=main&ns=ns&t=t").await;
    for shown in [
        "The table has no data files yet.",
        "maintenance/health?namespace=ns&#38;table=t",
        "tidewater maintenance health ns.t",
    ] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    assert_eq!(browser.get("files?w=main&ns=ns&t=missing").await.status, 404);
}

#[tokio::test]
async fn rows_are_offered_unless_they_are_turned_off() {
    let (catalog, tenant) = with_table().await;
    let key = catalog.key(tenant.organisation, Role::Reader, None).await;
    let mut browser = Browser::signed_in(&catalog, &key).await;
    let page = browser.page("rows?w=main&ns=ns&t=t").await;
    assert!(page.contains("The table has no rows.") && page.contains("/tables/t/preview"), "{page}");
    let off = Catalog::with(|config| config.console.preview_rows = 0).await;
    let tenant = off.tenant("acme", "enterprise").await;
    off.with_table(&tenant).await;
    let mut browser = Browser::signed_in(&off, &tenant.key).await;
    assert!(!browser.page("table?w=main&ns=ns&t=t").await.contains("rows?"));
    let refused = browser.get("rows?w=main&ns=ns&t=t").await;
    assert!(refused.status == 403 && text(&refused).contains("console.preview_rows"));
}

#[tokio::test]
async fn policy_is_set_and_cleared_and_names_where_it_comes_from() {
    let (catalog, tenant) = with_table().await;
    let mut browser = Browser::signed_in(&catalog, &tenant.key).await;
    let warehouse = [("do", "set-policy"), ("w", "main"), ("expire-snapshots.enabled", "on")];
    assert!(browser.act(&warehouse).await.contains("The policy is set."));
    let own = [("do", "set-policy"), ("expire-snapshots.max-snapshot-age-ms", "2d")];
    let page = browser.act(&[&TABLE[..], &own].concat()).await;
    assert!(page.contains("warehouse main") && page.contains("this table"), "{page}");
    let of_api = "/management/v1/organisations/acme/warehouses/main/maintenance/policy?namespace=ns&table=t";
    let policy = catalog.get(&tenant.key, of_api).await.ok(200);
    assert_eq!(policy["effective"]["expire-snapshots"], json!({ "enabled": true, "max-snapshot-age-ms": 172_800_000 }));
    let refused = browser
        .post("do", &[&TABLE[..], &[("do", "set-policy"), ("compact-files.interval-ms", "soon")]].concat())
        .await;
    assert!(refused.status == 400 && text(&refused).contains("a whole number with a unit"));
    let refused =
        browser.post("do", &[&TABLE[..], &[("do", "set-policy"), ("compact-files.interval-ms", "1s")]].concat()).await;
    assert!(refused.status == 400 && text(&refused).contains("compact-files.interval-ms"), "the API's message");
    let cleared = browser.act(&[&TABLE[..], &[("do", "clear-policy")]].concat()).await;
    assert!(cleared.contains("The policy is cleared.") && !cleared.contains("<td>this table</td>"));
    assert_eq!(catalog.get(&tenant.key, of_api).await.ok(200)["own"], json!(null));
    assert!(browser.page("maintenance?w=main&ns=ns").await.contains("warehouse main"), "a namespace inherits");
}

#[tokio::test]
async fn dry_run_is_started_and_its_record_shown() {
    let (catalog, tenant) = with_table().await;
    let mut browser = Browser::signed_in(&catalog, &tenant.key).await;
    let start = [("do", "start-maintenance"), ("operation", "expire-snapshots"), ("dry", "yes")];
    let answer = browser.post("do", &[&TABLE[..], &start].concat()).await;
    assert_eq!(answer.status, 303, "{}", text(&answer));
    let run = answer.header("location").to_owned();
    loop {
        let page = browser.page(&run).await;
        assert!(page.contains("Dry run") && page.contains("tidewater maintenance show"), "{page}");
        if page.contains("There is nothing to do.") {
            break;
        }
        assert!(page.contains("The run is not at its end."), "{page}");
    }
    let page = browser.page("maintenance?w=main&ns=ns&t=t").await;
    assert!(page.contains("Nothing is wrong with this table.") && page.contains("succeeded"), "{page}");
    assert!(browser.page("maintenance?w=main").await.contains("ns.t"), "the runs of the warehouse");
    let wrong = [("do", "start-maintenance"), ("operation", "vacuum")];
    let refused = browser.post("do", &[&TABLE[..], &wrong].concat()).await;
    assert!(refused.status == 400 && text(&refused).contains("use one of compact-files"));
    assert_eq!(browser.get("run?w=main&id=00000000-0000-0000-0000-000000000001").await.status, 404);
}

#[tokio::test]
async fn reader_sees_no_links_to_maintenance_and_gets_the_apis_refusal() {
    let (catalog, tenant) = with_table().await;
    let key = catalog.key(tenant.organisation, Role::Reader, None).await;
    let mut browser = Browser::signed_in(&catalog, &key).await;
    let table = browser.page("table?w=main&ns=ns&t=t").await;
    assert!(!table.contains("maintenance?") && !table.contains("files?"), "{table}");
    for page in ["files?w=main&ns=ns&t=t", "maintenance?w=main&ns=ns&t=t", "run?w=main&id=x"] {
        let answer = browser.get(page).await;
        assert_eq!(answer.status, 403, "{page}");
        assert!(text(&answer).contains("ForbiddenException"), "{page}");
    }
    for action in ["set-policy", "clear-policy", "start-maintenance"] {
        let answer = browser.post("do", &[&TABLE[..], &[("do", action)]].concat()).await;
        assert_eq!(answer.status, 403, "{action}");
    }
}
