//! `scan-planning-mode` of tables and warehouses, in `GET .../tables/{table}` and `GET /v1/config`

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::Catalog;

const TABLE: &str = "/v1/namespaces/ns/tables/t";

#[tokio::test]
async fn planning_mode_of_a_table_is_in_its_configuration() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    let at = TABLE;
    for (set, expected) in [("server", json!("server")), ("Client", json!("client")), ("other", Value::Null)] {
        let updates = json!([{ "action": "set-properties", "updates": { "scan-planning-mode": set } }]);
        catalog.post(&tenant.key, at, &json!({ "requirements": [], "updates": updates })).await.ok(200);
        for query in ["", "?snapshots=refs"] {
            let loaded = catalog.get(&tenant.key, &format!("{at}{query}")).await.ok(200);
            assert_eq!(loaded["config"]["scan-planning-mode"], expected);
        }
    }
}

#[tokio::test]
async fn planning_mode_of_a_warehouse_is_for_its_clients_unless_a_table_sets_another() {
    const MAIN: &str = "/management/v1/organisations/acme/warehouses/main";
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    let mode_of = async |path: &str| {
        let config = &catalog.get(&tenant.key, path).await.ok(200);
        [&config["config"], &config["defaults"]].map(|part| part["scan-planning-mode"].clone())
    };
    let tag = catalog.get(&tenant.key, TABLE).await.header("etag").to_owned();
    assert_eq!(mode_of("/v1/config").await, [Value::Null, Value::Null]);

    let options = json!({ "options": { "scan-planning-mode": "server" } });
    let changed = catalog.patch(&tenant.key, MAIN, &options).await.ok(200);
    assert_eq!(changed["options"]["scan-planning-mode"], "server");
    assert_eq!(mode_of("/v1/config").await[1], "server");
    let again = catalog.with_headers(&tenant.key, Method::GET, TABLE, &[("if-none-match", &tag)]).await;
    assert_eq!(again.status, 200, "the client does not know the mode yet");
    for query in ["", "?snapshots=refs"] {
        assert_eq!(mode_of(&format!("{TABLE}{query}")).await[0], "server");
    }
    for (set, expected) in [("client", "client"), ("other", "server")] {
        let updates = json!([{ "action": "set-properties", "updates": { "scan-planning-mode": set } }]);
        catalog.post(&tenant.key, TABLE, &json!({ "requirements": [], "updates": updates })).await.ok(200);
        assert_eq!(mode_of(TABLE).await[0], expected);
    }
    catalog.patch(&tenant.key, MAIN, &json!({ "options": { "scan-planning-mode": "unset" } })).await.ok(200);
    assert_eq!((mode_of("/v1/config").await[1].clone(), mode_of(TABLE).await[0].clone()), (Value::Null, Value::Null));
    let unknown = json!({ "options": { "scan-planning-mode": "both" } });
    catalog.patch(&tenant.key, MAIN, &unknown).await.error(400, "BadRequestException");
}
