//! Keys, grants, organisations, warehouses and signing keys that change through one server.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};
use tidewater_core::access::{Privilege, Role};
use tidewater_core::ids::WarehouseId;

use super::world::{World, change};
use crate::auth::OlderKeys;
use crate::base::clock::fresh_uuid;
use crate::store::OrganisationUpdate;

const TABLE: &str = "/v1/namespaces/ns/tables/t";

fn commit() -> Value {
    json!({ "requirements": [], "updates": [{ "action": "set-properties", "updates": { "k": "v" } }] })
}

fn transaction() -> Value {
    let mut change = commit();
    change["identifier"] = json!({ "namespace": ["ns"], "name": "t" });
    json!({ "table-changes": [change] })
}

/// A request of each kind of route.
fn requests() -> Vec<(Method, &'static str, Value)> {
    vec![
        (Method::GET, TABLE, Value::Null),
        (Method::HEAD, TABLE, Value::Null),
        (Method::POST, TABLE, commit()),
        (Method::GET, "/v1/namespaces/ns/tables/t/credentials", Value::Null),
        (Method::POST, "/v1/transactions/commit", transaction()),
        (Method::GET, "/v1/namespaces/ns/tables", Value::Null),
        (Method::GET, "/v1/namespaces", Value::Null),
        (Method::GET, "/v1/namespaces/ns", Value::Null),
        (Method::POST, "/v1/namespaces/ns/properties", json!({ "updates": { "k": "v" } })),
        (Method::GET, "/v1/config", Value::Null),
        (Method::GET, "/management/v1/organisations/acme/keys", Value::Null),
        (Method::GET, "/management/v1/warehouses/lake/dropped", Value::Null),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn revoked_key_is_refused_by_the_next_request_to_another_server() {
    for world in World::both().await {
        for (method, path, body) in requests() {
            let (key, text) = world.key(Role::Admin).await;
            let before = world.b.status(&text, &method, path, &body).await;
            assert!(before < 300, "{method} {path}: {before}");
            world.revoke(&key).await;
            assert_eq!(world.b.status(&text, &method, path, &body).await, 401, "{method} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn grant_and_its_revocation_hold_for_the_next_request_to_another_server() {
    for world in World::both().await {
        let privilege = Privilege::TableFullMetadata;
        for (method, path, body) in requests().into_iter().take(6) {
            let (key, text) = world.key(Role::None).await;
            let denied = world.b.status(&text, &method, path, &body).await;
            assert!(matches!(denied, 403 | 404), "{method} {path}: {denied}");
            let (role, grant) = world.grant(&key, privilege).await;
            let granted = world.b.status(&text, &method, path, &body).await;
            assert!(granted < 300 || path.ends_with("credentials"), "{method} {path}: {granted}");
            world.a.store.grant_revoke(world.warehouse, role, &grant, &change()).await.unwrap();
            let denied = world.b.status(&text, &method, path, &body).await;
            assert!(matches!(denied, 403 | 404), "{method} {path}: {denied}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn suspended_organisation_is_refused_until_it_is_resumed_on_every_server() {
    for world in World::both().await {
        let (_, text) = world.key(Role::Admin).await;
        for (method, path, body) in requests() {
            for (suspended, wanted) in [(true, [403, 403]), (false, [200, 204])] {
                let update = OrganisationUpdate { suspended: Some(suspended), ..OrganisationUpdate::default() };
                world.a.store.organisation_update(world.warehouse.organisation, &update, &change()).await.unwrap();
                let status = world.b.status(&text, &method, path, &body).await;
                assert!(wanted.contains(&status), "{method} {path}, suspended {suspended}: {status}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_default_and_removed_warehouses_hold_for_the_next_request_to_another_server() {
    for world in World::both().await {
        let (organisation, (_, text)) = (world.warehouse.organisation, world.key(Role::Admin).await);
        let load = async |path: &str| world.b.status(&text, &Method::GET, path, &Value::Null).await;
        assert_eq!(load("/v1/pond/namespaces/ns/tables/t").await, 404);
        world.create_warehouse("pond", WarehouseId(fresh_uuid()), false).await;
        assert_eq!(load("/v1/pond/namespaces").await, 200, "found at once");
        assert_eq!(load(TABLE).await, 200);
        world.a.store.warehouse_set_default(organisation, "pond", &change()).await.unwrap();
        assert_eq!(load(TABLE).await, 404, "the new default has no such table");
        world.a.store.warehouse_set_default(organisation, "lake", &change()).await.unwrap();
        assert_eq!(world.b.status(&text, &Method::POST, TABLE, &commit()).await, 200, "the old default has it");
        world.a.store.warehouse_set_default(organisation, "pond", &change()).await.unwrap();
        let refused = world.b.status(&text, &Method::POST, "/v1/transactions/commit", &transaction()).await;
        assert!(matches!(refused, 404 | 409), "not to the old default: {refused}");
        let refused = world.b.status(&text, &Method::POST, "/v1/transactions/commit", &transaction()).await;
        assert_eq!(refused, 404, "the new default has no such table");
        assert_eq!(load("/v1/pond/namespaces").await, 200);
        world.a.store.warehouse_drop(organisation, "pond", &change()).await.unwrap();
        assert_eq!(load("/v1/pond/namespaces/ns/tables/t").await, 404);
        assert_eq!(load("/v1/lake/namespaces/ns/tables/t").await, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn token_of_a_removed_signing_key_is_refused_by_the_next_request_to_another_server() {
    for world in World::both().await {
        for (method, path, body) in requests() {
            let (_, text) = world.key(Role::Admin).await;
            let sign_in = async || {
                let form = format!("grant_type=client_credentials&client_secret={text}");
                let request = Request::builder().method(Method::POST).uri("/v1/oauth/tokens");
                let request = request.header("content-type", "application/x-www-form-urlencoded");
                let (status, answer) = world.a.send(request.body(Body::from(form)).unwrap()).await;
                assert_eq!(status, 200, "{answer}");
                answer["access_token"].as_str().unwrap().to_owned()
            };
            let token = sign_in().await;
            let before = world.b.status(&token, &method, path, &body).await;
            assert!(before < 300, "{method} {path}: {before}");
            let signing = &world.a.app.api.authenticator;
            signing.rotate_signing_key(OlderKeys::Remove, &change()).await.unwrap();
            assert_eq!(world.b.status(&token, &method, path, &body).await, 401, "{method} {path}");
            let after = world.b.status(&sign_in().await, &method, path, &body).await;
            assert!(after < 300, "a new token on {method} {path}: {after}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn revoked_operator_is_refused_by_the_next_request_to_another_server() {
    for world in World::both().await {
        let machine = crate::api::Machine { user: "root".into() };
        let mut request = Request::builder()
            .method(Method::POST)
            .uri("/management/v1/operators")
            .header("content-type", "application/json")
            .body(Body::from(json!({ "name": "ops" }).to_string()))
            .unwrap();
        request.extensions_mut().insert(machine);
        let (status, made) = world.a.send(request).await;
        assert_eq!(status, 200, "{made}");
        let text = made["api_key"].as_str().unwrap();
        let list = async || world.b.status(text, &Method::GET, "/management/v1/organisations", &Value::Null).await;
        assert_eq!(list().await, 200);
        let operators = world.a.store.operator_list().await.unwrap();
        world.a.store.operator_revoke(operators[0].id, &change()).await.unwrap();
        assert_eq!(list().await, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commit_whose_key_is_revoked_before_the_swap_is_refused_and_changes_nothing() {
    for world in World::both().await {
        let world = Arc::new(world);
        let admin = world.key(Role::Admin).await.1;
        let pointer =
            async || world.b.ask(&admin, Method::GET, TABLE, &Value::Null).await.1["metadata-location"].clone();
        for (path, body) in [(TABLE, commit()), ("/v1/transactions/commit", transaction())] {
            let (key, text) = world.key(Role::Admin).await;
            let before = pointer().await;
            let (revoking, server) = (Arc::clone(&world), Arc::clone(&world.b.store));
            // After the commit has read its table, and was allowed to change it.
            world.b.store.after_next_table_get(async move {
                server.key_revoke(revoking.warehouse.organisation, key.id, &change()).await.unwrap();
            });
            let (status, answer) = world.b.ask(&text, Method::POST, path, &body).await;
            assert_eq!(status, 401, "{path}: {answer}");
            assert_eq!(pointer().await, before, "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_labels_are_in_the_next_load_from_another_server_which_reads_no_more_than_before() {
    const LABELS: &str = "/management/v1/organisations/acme/warehouses/lake/namespaces/ns";
    for world in World::both().await {
        let (_, admin) = world.key(Role::Admin).await;
        let view = json!({ "name": "v", "properties": {}, "schema": { "type": "struct", "fields": [] },
            "view-version": { "version-id": 1, "timestamp-ms": 1, "schema-id": 0, "summary": {},
                "default-namespace": ["ns"], "representations": [{ "type": "sql", "sql": "select 1", "dialect": "spark" }] } });
        assert_eq!(world.a.ask(&admin, Method::POST, "/v1/namespaces/ns/views", &view).await.0, 200);
        let loaded = async |path: &str| {
            let (status, body) = world.b.ask(&admin, Method::GET, path, &Value::Null).await;
            assert_eq!(status, 200, "{body}");
            body["labels"]["object-labels"].clone()
        };
        for path in [TABLE, "/v1/namespaces/ns/views/v"] {
            for (number, object) in
                [LABELS, LABELS, &LABELS.replace("/namespaces/ns", path.strip_prefix("/v1").unwrap())]
                    .iter()
                    .enumerate()
            {
                loaded(path).await;
                let body = json!({ "object-labels": { "owner": format!("{path} {number}") } });
                let set = world.a.ask(&admin, Method::PUT, &format!("{object}/labels"), &body).await;
                assert_eq!(set.0, 200, "{}", set.1);
                assert_eq!(loaded(path).await["owner"], body["object-labels"]["owner"], "{path} {number}");
            }
        }
        let before = world.b.store.total_call_count();
        loaded(TABLE).await;
        assert_eq!(world.b.store.total_call_count() - before, 1, "a warm load reads the pointer alone");
        for empty in [LABELS, &format!("{LABELS}/tables/t")] {
            let set = world.a.ask(&admin, Method::PUT, &format!("{empty}/labels"), &json!({})).await;
            assert_eq!(set.0, 200, "{}", set.1);
        }
        assert_eq!(loaded(TABLE).await, Value::Null);
    }
}
