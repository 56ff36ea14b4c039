//! Events that clients read: each caller gets those about objects that it may load.

use axum::http::Method;
use serde_json::{Value, json};
use tidewater_core::access::{Privilege, Securable};

use super::team::{Team, namespace};
use crate::support::{Catalog, create_table};

/// Returns the events that the team's principal gets, as `operation name`.
async fn seen(team: &Team<'_>) -> Vec<String> {
    while team.catalog.app.store().feed_sequence(1_000).await.unwrap() > 0 {}
    let page = team.ask(Method::POST, "/v1/events", &json!({ "page-size": 1000 })).await.ok(200);
    let joined = |levels: &Value| {
        levels.as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect::<Vec<_>>().join("/")
    };
    let events = page["events"].as_array().unwrap().iter().map(|event| &event["operation"]);
    let shown = events.map(|operation| {
        let ident = operation.get("identifier").or(operation.get("source"));
        let name = match ident {
            Some(ident) => format!("{}/{}", joined(&ident["namespace"]), ident["name"].as_str().unwrap()),
            None => joined(&operation["namespace"]),
        };
        format!("{} {name}", operation["operation-type"].as_str().unwrap())
    });
    shown.collect()
}

#[tokio::test]
async fn caller_gets_the_events_of_objects_that_it_may_load() {
    let catalog = Catalog::new().await;
    let team = Team::new(&catalog).await;
    team.ask(Method::POST, "/v1/events", &json!({})).await.error(404, "NoSuchWarehouseException");
    team.grant_on(&["a", "b"], Privilege::TableReadProperties).await;
    assert_eq!(seen(&team).await, ["create-table a/b/t"]);
    team.grant_on(&["a", "b"], Privilege::ViewReadProperties).await;
    team.grant_on(&["a"], Privilege::NamespaceReadProperties).await;
    assert_eq!(
        seen(&team).await,
        [
            "create-namespace a",
            "create-namespace a/b",
            "create-namespace a/bc",
            "create-namespace a/b/empty",
            "create-table a/b/t",
            "create-view a/b/v"
        ]
    );
    team.revoke_all().await;
    team.grant_on(&["a", "b"], Privilege::TableList).await;
    assert_eq!(seen(&team).await, [""; 0], "a table that the caller may list and not load");
    team.revoke_all().await;
    let id = team.table(&namespace(&["a", "bc"]), "t").await;
    team.grant(Securable::Table(id, None), Privilege::TableReadProperties).await;
    assert_eq!(seen(&team).await, ["create-table a/bc/t"]);
}

#[tokio::test]
async fn rename_out_of_sight_is_not_seen_and_a_dot_in_a_level_is_no_level() {
    let catalog = Catalog::new().await;
    let team = Team::new(&catalog).await;
    let ident = |levels: &[&str], name| json!({ "namespace": levels, "name": name });
    let rename = |to| json!({ "source": ident(&["a", "b"], "t"), "destination": to });
    catalog.post(&team.admin, "/v1/tables/rename", &rename(ident(&["a", "bc"], "moved"))).await.ok(204);
    catalog.post(&team.admin, "/v1/namespaces", &json!({ "namespace": ["a.b"] })).await.ok(200);
    catalog.post(&team.admin, "/v1/namespaces/a.b/tables", &create_table("t")).await.ok(200);
    let set = json!({ "requirements": [], "updates": [{ "action": "set-properties", "updates": { "a": "b" } }] });
    catalog.post(&team.admin, "/v1/namespaces/a.b/tables/t", &set).await.ok(200);
    let there = json!({ "source": ident(&["a.b"], "t"), "destination": ident(&["a.b"], "u") });
    catalog.post(&team.admin, "/v1/tables/rename", &there).await.ok(204);
    catalog.delete(&team.admin, "/v1/namespaces/a.b/tables/u").await.ok(204);

    team.grant_on(&["a", "b"], Privilege::CatalogManageContent).await;
    let own = ["create-namespace a/b", "create-namespace a/b/empty", "create-table a/b/t", "create-view a/b/v"];
    assert_eq!(seen(&team).await, own);
    team.grant_on(&["a", "bc"], Privilege::TableReadProperties).await;
    let moved = ["create-table a/bc/t", "rename-table a/b/t"];
    let all = seen(&team).await;
    assert!(
        moved.iter().all(|event| all.iter().any(|one| one == event)) && all.len() == own.len() + moved.len(),
        "{all:?}"
    );
    team.revoke_all().await;
    team.grant_on(&["a.b"], Privilege::CatalogManageContent).await;
    assert_eq!(
        seen(&team).await,
        ["create-namespace a.b", "create-table a.b/t", "update-table a.b/t", "rename-table a.b/t", "drop-table a.b/u"]
    );
}

#[tokio::test]
async fn creator_of_a_table_gets_its_events() {
    let catalog = Catalog::new().await;
    let team = Team::new(&catalog).await;
    team.grant_on(&["a", "b"], Privilege::TableCreate).await;
    team.ask(Method::POST, "/v1/namespaces/a%1Fb/tables", &create_table("own")).await.ok(200);
    assert_eq!(seen(&team).await, ["create-table a/b/own"]);
}
