//! `POST /v1/{prefix}/events`

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::{Catalog, Tenant, create_table, create_view};

const EVENTS: &str = "/v1/events";
const TABLE: &str = "/v1/namespaces/ns/tables/t";

/// Gives the events of a database without an order their positions, as the server's background work does.
async fn settle(catalog: &Catalog) {
    while catalog.app.store().feed_sequence(1_000).await.unwrap() > 0 {}
}

async fn page(catalog: &Catalog, key: &str, query: &Value) -> Value {
    settle(catalog).await;
    catalog.post(key, EVENTS, query).await.ok(200)
}

/// Returns all events that match, read in pages of this size.
async fn all(catalog: &Catalog, key: &str, query: Value, size: usize) -> Vec<Value> {
    let (mut query, mut found) = (query, Vec::new());
    query["page-size"] = size.into();
    loop {
        let page = page(catalog, key, &query).await;
        let events = page["events"].as_array().unwrap();
        assert!(events.len() <= size, "{page}");
        found.extend(events.iter().cloned());
        if page["continuation-token"] == query["continuation-token"] {
            return found;
        }
        query["continuation-token"] = page["continuation-token"].clone();
    }
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["operation"]["operation-type"].as_str().unwrap()).collect()
}

/// Creates a table and a view, changes them, renames the table and drops it.
async fn with_history(catalog: &Catalog) -> (Tenant, Value) {
    let tenant = catalog.tenant("acme", "enterprise").await;
    let table = catalog.with_table(&tenant).await;
    let set = json!({ "requirements": [], "updates": [{ "action": "set-properties", "updates": { "a": "b" } }] });
    catalog.post(&tenant.key, TABLE, &set).await.ok(200);
    catalog.post(&tenant.key, "/v1/namespaces/ns/views", &create_view("v", "select 1")).await.ok(200);
    let properties = json!({ "updates": { "k": "v" }, "removals": ["gone"] });
    catalog.post(&tenant.key, "/v1/namespaces/ns/properties", &properties).await.ok(200);
    let ident = |name| json!({ "namespace": ["ns"], "name": name });
    let rename = json!({ "source": ident("t"), "destination": ident("u") });
    catalog.post(&tenant.key, "/v1/tables/rename", &rename).await.ok(204);
    catalog.delete(&tenant.key, "/v1/namespaces/ns/tables/u").await.ok(204);
    (tenant, table)
}

#[tokio::test]
async fn events_have_the_shape_of_the_proposal_in_the_order_of_the_changes() {
    let catalog = Catalog::new().await;
    let (tenant, table) = with_history(&catalog).await;
    let events = all(&catalog, &tenant.key, json!({}), 100).await;
    assert_eq!(
        types(&events),
        [
            "create-namespace",
            "create-table",
            "update-table",
            "create-view",
            "update-namespace-properties",
            "rename-table",
            "drop-table"
        ]
    );
    let uuid = &table["metadata"]["table-uuid"];
    let ident = |name| json!({ "namespace": ["ns"], "name": name });
    let operation = |index: usize| &events[index]["operation"];
    assert_eq!(operation(0)["namespace"], json!(["ns"]));
    assert_eq!((&operation(1)["identifier"], &operation(1)["table-uuid"]), (&ident("t"), uuid));
    assert_eq!(operation(1)["updates"], json!([]));
    assert_eq!(operation(2)["x-details"]["updates"], json!({ "set-properties": 1 }));
    assert!(operation(3)["view-uuid"].is_string() && operation(3).get("table-uuid").is_none());
    assert_eq!((&operation(4)["updated"], &operation(4)["removed"]), (&json!(["k"]), &json!([])));
    assert_eq!((&operation(5)["source"], &operation(5)["destination"]), (&ident("t"), &ident("u")));
    assert_eq!((&operation(6)["identifier"], &operation(6)["purge"]), (&ident("u"), &json!(false)));
    assert!([1, 2, 5, 6].into_iter().all(|index| operation(index)["table-uuid"] == *uuid));
    for event in &events {
        assert_eq!(event["actor"]["type"], "key", "{event}");
        assert_eq!(event["request-event-count"], 1, "{event}");
        assert!(event["request-id"].is_string() && event["event-id"].is_string() && event["timestamp-ms"].is_i64());
    }
    for size in 1..=3 {
        assert_eq!(all(&catalog, &tenant.key, json!({}), size).await, events, "pages of {size}");
    }
}

#[tokio::test]
async fn each_filter_selects_its_events() {
    let catalog = Catalog::new().await;
    let (tenant, table) = with_history(&catalog).await;
    catalog.post(&tenant.key, "/v1/namespaces", &json!({ "namespace": ["ns2"] })).await.ok(200);
    catalog.post(&tenant.key, "/v1/namespaces", &json!({ "namespace": ["ns", "in"] })).await.ok(200);
    let all_of_them = all(&catalog, &tenant.key, json!({}), 100).await;
    let last = &all_of_them.last().unwrap()["timestamp-ms"];
    for (filter, expected) in [
        (json!({ "operation-types": ["drop-table", "create-view", "x-none"] }), vec!["create-view", "drop-table"]),
        (json!({ "object-types": ["view"] }), vec!["create-view"]),
        (json!({ "catalog-objects-by-name": [["ns", "t"]] }), vec!["create-table", "update-table", "rename-table"]),
        (json!({ "catalog-objects-by-name": [["ns", "u"]] }), vec!["rename-table", "drop-table"]),
        (json!({ "catalog-objects-by-name": [["ns2"], ["ns", "in"]] }), vec!["create-namespace", "create-namespace"]),
        (json!({ "catalog-objects-by-name": [{ "namespace": ["ns"], "name": "v" }] }), vec!["create-view"]),
        (
            json!({ "catalog-objects-by-uuid": [table["metadata"]["table-uuid"]] }),
            vec!["create-table", "update-table", "rename-table", "drop-table"],
        ),
        (json!({ "object-types": ["table"], "operation-types": ["create-namespace"] }), vec![]),
        (json!({ "since-timestamp-ms": last.as_i64().unwrap() + 1 }), vec![]),
        (json!({ "custom-filters": {}, "object-types": ["view"] }), vec!["create-view"]),
    ] {
        assert_eq!(types(&all(&catalog, &tenant.key, filter.clone(), 2).await), expected, "{filter}");
    }
    let since = all(&catalog, &tenant.key, json!({ "since-timestamp-ms": last }), 100).await;
    assert_eq!(since.last(), all_of_them.last());
}

#[tokio::test]
async fn invalid_request_is_refused() {
    let catalog = Catalog::new().await;
    let (tenant, other) = (catalog.tenant("acme", "enterprise").await, catalog.tenant("other", "enterprise").await);
    let token = page(&catalog, &other.key, &json!({})).await["continuation-token"].clone();
    for (query, says) in [
        (json!({ "custom-filters": { "tag": "x" } }), "Unknown filter 'tag'"),
        (json!({ "page-size": 0 }), "page-size"),
        (json!({ "page-size": -1 }), "page-size"),
        (json!({ "operation-types": ["explode"] }), "Invalid operation-types: 'explode'"),
        (json!({ "object-types": ["function"] }), "Invalid object-types: 'function'"),
        (json!({ "catalog-objects-by-uuid": ["7"] }), "Invalid catalog-objects-by-uuid: '7'"),
        (json!({ "catalog-objects-by-uuid": vec!["7"; 1_001] }), "1000 allowed"),
        (json!({ "continuation-token": "abc" }), "did not issue continuation-token"),
        (json!({ "continuation-token": token }), "belongs to another warehouse"),
        (json!([]), "must be a JSON object"),
        (json!({ "page-size": "many" }), "`page-size`: "),
        (json!({ "catalog-objects-by-uuid": ["7", 7] }), "`catalog-objects-by-uuid[1]`: "),
    ] {
        let message = catalog.post(&tenant.key, EVENTS, &query).await.error(400, "BadRequestException");
        assert!(message.contains(says), "{query}: {message}");
    }
}

#[tokio::test]
async fn token_whose_events_were_removed_gets_410_and_a_new_start_works() {
    let catalog = Catalog::new().await;
    let (tenant, _) = with_history(&catalog).await;
    let first = page(&catalog, &tenant.key, &json!({ "page-size": 2 })).await;
    let last = page(&catalog, &tenant.key, &json!({})).await;
    let again = |page: &Value| json!({ "continuation-token": page["continuation-token"] });
    catalog.app.store().event_remove_before(i64::MAX, 1_000).await.unwrap();
    catalog.post(&tenant.key, EVENTS, &again(&first)).await.error(410, "EventsRemovedException");
    assert_eq!(page(&catalog, &tenant.key, &again(&last)).await["events"], json!([]), "it had read them all");
    catalog.post(&tenant.key, "/v1/namespaces", &json!({ "namespace": ["later"] })).await.ok(200);
    for query in [json!({}), again(&last)] {
        let found = page(&catalog, &tenant.key, &query).await;
        assert_eq!(types(found["events"].as_array().unwrap()), ["create-namespace"]);
    }
}

#[tokio::test]
async fn events_of_a_transaction_know_their_number_also_in_different_pages() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    for name in ["u", "v", "w"] {
        catalog.post(&tenant.key, "/v1/namespaces/ns/tables", &create_table(name)).await.ok(200);
    }
    let change = |name| {
        json!({ "identifier": { "namespace": ["ns"], "name": name }, "requirements": [],
                "updates": [{ "action": "set-properties", "updates": { "a": "b" } }] })
    };
    let changes = ["t", "u", "v", "w"].map(change);
    let transaction = json!({ "table-changes": changes });
    catalog.post(&tenant.key, "/v1/transactions/commit", &transaction).await.ok(204);
    for size in [1, 3, 100] {
        let events = all(&catalog, &tenant.key, json!({ "operation-types": ["update-table"] }), size).await;
        assert_eq!(events.len(), 4);
        for event in &events {
            assert_eq!((&event["request-event-count"], &event["request-id"]), (&json!(4), &events[0]["request-id"]));
        }
    }
}

#[tokio::test]
async fn warehouse_has_only_its_own_events() {
    let catalog = Catalog::new().await;
    let (tenant, other) = (catalog.tenant("acme", "enterprise").await, catalog.tenant("other", "enterprise").await);
    catalog.warehouse(tenant.organisation, "second").await;
    catalog.with_table(&tenant).await;
    catalog.post(&tenant.key, "/v1/second/namespaces", &json!({ "namespace": ["there"] })).await.ok(200);
    assert_eq!(all(&catalog, &tenant.key, json!({}), 10).await.len(), 2);
    assert_eq!(all(&catalog, &other.key, json!({}), 10).await, [json!(null); 0]);
    let second = catalog.post(&tenant.key, "/v1/second/events", &json!({})).await.ok(200);
    assert_eq!(second["events"][0]["operation"]["namespace"], json!(["there"]));
    assert_eq!(second["events"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn without_the_setting_there_is_no_such_route_and_no_endpoint() {
    let catalog = Catalog::with(|config| config.events.pull = false).await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let message = catalog.post(&tenant.key, EVENTS, &json!({})).await.error(404, "NotFoundException");
    assert_eq!(message, "No such route: POST /v1/events");
    let config = catalog.get(&tenant.key, "/v1/config").await.ok(200);
    assert!(!config["endpoints"].as_array().unwrap().contains(&json!("POST /v1/{prefix}/events")));
    let with = Catalog::new().await;
    let tenant = with.tenant("acme", "enterprise").await;
    let config = with.get(&tenant.key, "/v1/config").await.ok(200);
    assert!(config["endpoints"].as_array().unwrap().contains(&json!("POST /v1/{prefix}/events")));
    assert_eq!(with.bytes(&tenant.key, Method::GET, EVENTS, "").await.status, 405);
}

#[tokio::test]
async fn restrictions_of_a_table_are_told_only_to_those_who_manage_access_to_it() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    let (path, lake) = ("/management/v1/organisations/acme", "/management/v1/organisations/acme/warehouses/main");
    let machine = async |method: Method, path: String, body: Value, status: u16| {
        catalog.machine(method, &path, &body).await.ok(status)
    };
    let made = machine(Method::POST, format!("{path}/keys"), json!({ "name": "r", "role": "reader" }), 200).await;
    let reader = made["api_key"].as_str().unwrap();
    machine(Method::POST, format!("{path}/principal-roles"), json!({ "name": "others" }), 200).await;
    machine(Method::POST, format!("{path}/principal-roles"), json!({ "name": "germany" }), 200).await;
    machine(Method::PUT, format!("{path}/principal-roles/germany/principals/r"), Value::Null, 204).await;
    // With more digits than a part of an id or a time that could be alike.
    let secret = |end: u64| 815_471_100_815_471_000 + end;
    for (role, value) in [("others", secret(1)), ("germany", secret(2))] {
        let filter = json!({ "type": "eq", "term": "id", "value": value });
        let restriction = json!({ "filter": filter, "others": "plan" });
        let on = format!("{lake}/namespaces/ns/tables/t/restrictions/{role}");
        machine(Method::PUT, on.clone(), restriction, 204).await;
        if role == "others" {
            machine(Method::DELETE, on, Value::Null, 204).await;
        }
    }
    let of_admin = all(&catalog, &tenant.key, json!({}), 100).await;
    assert!(json!(of_admin).to_string().contains(&secret(1).to_string()), "{of_admin:?}");
    let of_reader = all(&catalog, reader, json!({}), 100).await;
    assert!(types(&of_reader).contains(&"create-table"), "it may load the table");
    let text = json!(of_reader).to_string();
    assert!(!text.contains("restriction") && !text.contains("815471100815471"), "{text}");
}
