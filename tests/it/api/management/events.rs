//! `GET /management/v1/organisations/{organisation}/events`

use axum::http::Method;
use serde_json::{Value, json};
use tidewater_core::access::Role;

use crate::support::{Catalog, Tenant, create_view};

const EVENTS: &str = "/management/v1/organisations/acme/events";
const TABLE: &str = "/v1/namespaces/ns/tables/t";

async fn events(catalog: &Catalog, tenant: &Tenant, query: &str) -> Vec<Value> {
    catalog.get(&tenant.key, &format!("{EVENTS}{query}")).await.ok(200)["events"].as_array().unwrap().clone()
}

fn operations(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["operation"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn event_of_a_drop_has_the_actor_and_the_request() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let table = catalog.with_table(&tenant).await;
    let property = json!({ "requirements": [], "updates": [{ "action": "set-properties", "updates": { "a": "b" } }] });
    let committed = catalog.post(&tenant.key, TABLE, &property).await.ok(200);
    let headers = [("x-request-id", "the-drop")];
    let path = format!("{TABLE}?purgeRequested=true");
    catalog.with_headers(&tenant.key, Method::DELETE, &path, &headers).await.ok(204);

    let told = events(&catalog, &tenant, "?object=ns.t").await;
    assert_eq!(operations(&told), ["drop-table", "update-table", "create-table"]);
    let [drop, update, create] = &told[..] else { panic!("{told:?}") };
    assert_eq!((&drop["actor"], &drop["actor-type"]), (&json!("test"), &json!("key")));
    assert_eq!((&drop["request-id"], &drop["object"]), (&json!("the-drop"), &json!("ns.t")));
    assert_eq!(drop["details"]["purge"], true);
    assert_eq!(drop["details"]["pointer-before"], committed["metadata-location"]);
    assert_eq!(update["details"]["updates"], json!({ "set-properties": 1 }));
    assert_eq!(update["details"]["pointer-before"], table["metadata-location"]);
    assert_eq!(update["details"]["pointer-after"], committed["metadata-location"]);
    assert_eq!(create["details"]["pointer-after"], table["metadata-location"]);
    assert!(told.iter().all(|event| event["object-id"] == drop["object-id"] && event["at-ms"].is_i64()), "{told:?}");
}

#[tokio::test]
async fn every_change_leaves_an_event_and_a_refusal_leaves_none() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let table = catalog.with_table(&tenant).await;
    let (key, commit) = (
        &tenant.key,
        json!({ "requirements": [], "updates": [{ "action": "set-properties",
        "updates": { "a": "b" } }] }),
    );
    let mut part = commit.clone();
    part["identifier"] = json!({ "namespace": ["ns"], "name": "t" });
    catalog.post(key, "/v1/transactions/commit", &json!({ "table-changes": [part] })).await.ok(204);
    let name = |name: &str| json!({ "namespace": ["ns"], "name": name });
    let rename = json!({ "source": name("t"), "destination": name("u") });
    catalog.post(key, "/v1/tables/rename", &rename).await.ok(204);
    catalog.post(key, "/v1/tables/rename", &rename).await.error(404, "NoSuchTableException");
    let found = catalog.get(key, "/v1/namespaces/ns/tables/u").await.ok(200)["metadata-location"].clone();
    catalog.post(key, "/v1/namespaces/ns/tables/u/unregister", &json!({})).await.ok(200);
    let register = json!({ "name": "v", "metadata-location": found });
    catalog.post(key, "/v1/namespaces/ns/register", &register).await.ok(200);
    catalog.post(key, "/v1/namespaces/ns/views", &create_view("w", "select 1")).await.ok(200);
    catalog.delete(key, "/v1/namespaces/ns/views/w").await.ok(204);
    let properties = json!({ "updates": { "owner": "me" }, "removals": [] });
    catalog.post(key, "/v1/namespaces/ns/properties", &properties).await.ok(200);
    catalog.delete(key, "/v1/namespaces/ns").await.error(409, "NamespaceNotEmptyException");
    assert_ne!(table["metadata-location"], found);
    let told = events(&catalog, &tenant, "").await;
    assert_eq!(
        operations(&told),
        [
            "update-namespace-properties",
            "drop-view",
            "create-view",
            "register-table",
            "drop-table",
            "rename-table",
            "update-table",
            "create-table",
            "create-namespace",
            "create-key",
            "create-warehouse",
            "create-organisation",
        ]
    );
    assert_eq!((&told[5]["object"], &told[5]["new-name"]), (&json!("ns.t"), &json!("ns.u")));
}

#[tokio::test]
async fn events_are_paged_and_filtered() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    let all = events(&catalog, &tenant, "").await;
    let (mut paged, mut token) = (Vec::new(), String::new());
    loop {
        let page = catalog.get(&tenant.key, &format!("{EVENTS}?page-size=2&page-token={token}")).await.ok(200);
        paged.extend(page["events"].as_array().unwrap().clone());
        match page["next-page-token"].as_str() {
            Some(next) => token = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(paged, all);
    assert_eq!(operations(&events(&catalog, &tenant, "?operation=create-table").await), ["create-table"]);
    assert_eq!(events(&catalog, &tenant, "?actor=test").await.len(), 2);
    assert_eq!(events(&catalog, &tenant, "?warehouse=main").await.len(), 3);
    let last_ms = all[0]["at-ms"].as_i64().unwrap();
    assert_eq!(events(&catalog, &tenant, &format!("?since={}", last_ms + 1)).await.len(), 0);
    assert_eq!(events(&catalog, &tenant, &format!("?until={}", last_ms + 1)).await, all);
    for bad in ["?operation=no", "?since=x", "?until=", "?page-size=0", "?page-token=x"] {
        catalog.get(&tenant.key, &format!("{EVENTS}{bad}")).await.error(400, "BadRequestException");
    }
    catalog.get(&tenant.key, &format!("{EVENTS}?warehouse=none")).await.error(404, "NoSuchWarehouseException");
}

#[tokio::test]
async fn events_are_visible_only_to_admins_of_the_organisation() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let other = catalog.tenant("other", "enterprise").await;
    for role in [Role::Reader, Role::Writer] {
        let key = catalog.key(tenant.organisation, role, None).await;
        catalog.get(&key, EVENTS).await.error(403, "ForbiddenException");
    }
    let refused = catalog.get(&other.key, EVENTS).await.error(404, "NotFoundException");
    let missing = catalog.get(&other.key, &EVENTS.replace("acme", "none")).await.error(404, "NotFoundException");
    assert_eq!(
        refused,
        missing.replace("none", "acme"),
        "an existing organisation gets the same error as a missing one"
    );
    let by_id = EVENTS.replace("acme", &tenant.organisation.to_string());
    let told = catalog.get(&tenant.key, &by_id).await.ok(200);
    assert!(told["events"].as_array().unwrap().iter().all(|event| event["object"] != "other"), "{told}");
}

#[tokio::test]
async fn operator_reads_the_events_of_all_organisations_and_of_the_server() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let operator = catalog.operator().await;
    let all = "/management/v1/events";
    let told = catalog.get(&operator, &format!("{all}?page-size=2")).await.ok(200);
    let events = told["events"].as_array().unwrap();
    assert_eq!(operations(events), ["create-operator", "create-key"]);
    assert_eq!((&events[0]["actor"], &events[0]["actor-type"]), (&json!("root"), &json!("command-line")));
    assert_eq!(events[1]["organisation-id"], tenant.organisation.to_string());
    catalog.get(&operator, &format!("{all}?warehouse=main")).await.error(400, "BadRequestException");
    catalog.get(&operator, EVENTS).await.ok(200);
    catalog.get(&tenant.key, all).await.error(403, "ForbiddenException");
}
