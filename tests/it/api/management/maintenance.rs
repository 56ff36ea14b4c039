//! `/management/v1/organisations/{organisation}/warehouses/{warehouse}/maintenance`

use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::{Catalog, Tenant};

const AT: &str = "/management/v1/organisations/acme/warehouses/main/maintenance";

async fn set(catalog: &Catalog, tenant: &Tenant, on: &str, policy: &Value) -> Value {
    let path = format!("{AT}/policy{on}");
    catalog.bytes(&tenant.key, Method::PUT, &path, policy.to_string()).await.ok(200)
}

/// Waits until a run has ended, and returns it.
async fn ended(catalog: &Catalog, tenant: &Tenant, id: &Value) -> Value {
    let path = format!("{AT}/runs?run-id={}", id.as_str().unwrap());
    loop {
        let runs = catalog.get(&tenant.key, &path).await.ok(200);
        if runs["runs"][0]["outcome"] != "running" {
            return runs["runs"][0].clone();
        }
        // The run has no other sign of its end.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn policy_is_inherited_field_by_field_and_removed_when_it_has_no_fields() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    let nothing = catalog.get(&tenant.key, &format!("{AT}/policy")).await.ok(200);
    assert_eq!(nothing, json!({ "own": null, "effective": {} }));
    let warehouse = json!({ "expire-snapshots": { "enabled": true, "max-snapshot-age-ms": 1_000 } });
    set(&catalog, &tenant, "", &warehouse).await;
    set(&catalog, &tenant, "?namespace=ns", &json!({ "expire-snapshots": { "min-snapshots-to-keep": 3 } })).await;
    let own = json!({ "expire-snapshots": { "enabled": false } });
    let of_table = set(&catalog, &tenant, "?namespace=ns&table=t", &own).await;
    let effective = json!({ "enabled": false, "max-snapshot-age-ms": 1_000, "min-snapshots-to-keep": 3 });
    assert_eq!(of_table, json!({ "own": own, "effective": { "expire-snapshots": effective } }));
    let removed = set(&catalog, &tenant, "?namespace=ns&table=t", &json!({})).await;
    assert_eq!((&removed["own"], &removed["effective"]["expire-snapshots"]["enabled"]), (&Value::Null, &json!(true)));
    let events = catalog.get(&tenant.key, "/management/v1/organisations/acme/events?pageSize=4").await.ok(200);
    let told: Vec<_> = events["events"].as_array().unwrap().iter().map(|one| one["operation"].clone()).collect();
    let [set, gone] = ["set-maintenance-policy", "remove-maintenance-policy"];
    assert_eq!(told, [gone, set, set, set]);
}

#[tokio::test]
async fn wrong_policies_and_objects_are_refused_with_the_reason() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    let put = async |on: &str, body: Value| {
        catalog.bytes(&tenant.key, Method::PUT, &format!("{AT}/policy{on}"), body.to_string()).await
    };
    let young = put("", json!({ "remove-orphan-files": { "min-age-ms": 3_600_000 } })).await;
    assert!(
        young.error(400, "BadRequestException").contains("`remove-orphan-files.min-age-ms` must be between 86400000")
    );
    let unknown = put("", json!({ "expire-snapshots": { "max-age": 1 } })).await;
    assert!(unknown.error(400, "BadRequestException").contains("max-age"));
    put("?namespace=nowhere", json!({})).await.error(404, "NoSuchNamespaceException");
    put("?namespace=ns&table=nowhere", json!({})).await.error(404, "NoSuchTableException");
    put("?table=t", json!({})).await.error(400, "BadRequestException");
    let body = json!({ "identifier": { "namespace": ["ns"], "name": "t" }, "operation": "vacuum" });
    let refused = catalog.post(&tenant.key, &format!("{AT}/runs"), &body).await;
    assert!(refused.error(400, "BadRequestException").contains("use one of compact-files"));
    catalog.get(&tenant.key, &format!("{AT}/health?namespace=ns")).await.error(400, "BadRequestException");
    catalog.get(&tenant.key, &format!("{AT}/health?namespace=ns&table=u")).await.error(404, "NoSuchTableException");
}

#[tokio::test]
async fn started_run_is_recorded_and_the_health_of_an_empty_table_is_shown() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    let mut ids = Vec::new();
    for operation in ["expire-snapshots", "remove-orphan-files"] {
        let identifier = json!({ "namespace": ["ns"], "name": "t" });
        let body =
            json!({ "identifier": identifier, "operation": operation, "dry-run": operation == "expire-snapshots" });
        let started = catalog.post(&tenant.key, &format!("{AT}/runs"), &body).await.ok(200);
        let run = ended(&catalog, &tenant, &started["run-id"]).await;
        assert_eq!(
            (&run["outcome"], &run["table"], &run["files"]),
            (&json!("succeeded"), &json!("ns.t"), &json!(0)),
            "{run}"
        );
        assert_eq!(run["operation"], operation);
        ids.push(started["run-id"].clone());
    }
    let listed = catalog.get(&tenant.key, &format!("{AT}/runs?namespace=ns&table=t&page-size=1")).await.ok(200);
    assert_eq!((listed["runs"].as_array().unwrap().len(), &listed["runs"][0]["id"]), (1, &ids[1]));
    let token = listed["next-page-token"].as_str().unwrap();
    let rest = catalog.get(&tenant.key, &format!("{AT}/runs?page-token={token}")).await.ok(200);
    assert_eq!((&rest["runs"][0]["id"], &rest["runs"][0]["dry-run"]), (&ids[0], &json!(true)));
    let health = catalog.get(&tenant.key, &format!("{AT}/health?namespace=ns&table=t")).await.ok(200);
    assert_eq!((&health["snapshots"], &health["data-files"], &health["findings"]), (&json!(0), &json!(0), &json!([])));
    assert!(health["metadata-bytes"].as_u64().unwrap() > 0);
}
