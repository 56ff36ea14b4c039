//! Requests with one idempotency key, and commits to one table, at the same time on two servers.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request};
use futures_util::future::{join, join_all};
use serde_json::{Value, json};
use tidewater_core::access::Role;

use super::world::{Server, World};
use crate::base::clock::fresh_ordered_uuid;
use crate::store::faulty::Mode;

const TABLE: &str = "/v1/namespaces/ns/tables/t";

fn set(property: &str) -> Value {
    json!({ "requirements": [], "updates": [{ "action": "set-properties", "updates": { property: "v" } }] })
}

async fn send(server: &Server, credential: &str, key: &str, path: &str, body: &Value) -> (u16, Value) {
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header("authorization", format!("Bearer {credential}"))
        .header("content-type", "application/json")
        .header("idempotency-key", key);
    server.send(request.body(Body::from(body.to_string())).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_that_get_one_key_at_once_make_the_change_once_and_answer_the_same() {
    for world in World::both().await {
        let admin = world.key(Role::Admin).await.1;
        for round in 0..20 {
            let field = json!({ "id": 1, "name": "id", "required": true, "type": "long" });
            let create = json!({ "name": format!("t{round}"), "schema": { "type": "struct", "fields": [field] } });
            let namespace = json!({ "namespace": [format!("n{round}")] });
            for (path, body) in [
                (TABLE, set(&format!("p{round}"))),
                ("/v1/namespaces/ns/tables", create),
                ("/v1/namespaces", namespace),
            ] {
                let key = fresh_ordered_uuid().to_string();
                let (one, other) =
                    join(send(&world.a, &admin, &key, path, &body), send(&world.b, &admin, &key, path, &body)).await;
                assert_eq!(one.0, 200, "{path}: {}", one.1);
                assert_eq!(one, other, "{path}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn request_with_a_key_whose_first_read_got_no_answer_changed_nothing_and_can_be_sent_again() {
    for world in World::both().await {
        let admin = world.key(Role::Admin).await.1;
        let key = fresh_ordered_uuid().to_string();
        // The first request warms the checks of the caller, so that the read of the receipt is the first.
        assert_eq!(send(&world.a, &admin, &fresh_ordered_uuid().to_string(), TABLE, &set("first")).await.0, 200);
        let before = world.a.store.call_count("receipt_get");
        world.a.store.set(Mode::Down);
        let (status, body) = send(&world.a, &admin, &key, TABLE, &set("second")).await;
        world.a.store.set(Mode::Up);
        assert_eq!(world.a.store.call_count("receipt_get"), before + 1);
        assert_eq!(status, 503, "{body}");
        let text = body["error"]["message"].as_str().unwrap_or_default();
        assert!(text.contains("nothing was changed"), "{body}");
        assert_eq!(send(&world.a, &admin, &key, TABLE, &set("second")).await.0, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_of_many_clients_on_two_servers_to_one_table_all_succeed() {
    const CLIENTS: usize = 16;
    const COMMITS: usize = 4;
    for world in World::both().await {
        let world = Arc::new(world);
        let admin = world.key(Role::Admin).await.1;
        let clients = (0..2 * CLIENTS).map(|client| {
            let (world, admin) = (Arc::clone(&world), admin.clone());
            tokio::spawn(async move {
                let server = if client % 2 == 0 { &world.a } else { &world.b };
                for commit in 0..COMMITS {
                    let (status, answer) =
                        server.ask(&admin, Method::POST, TABLE, &set(&format!("p{client}-{commit}"))).await;
                    assert_eq!(status, 200, "{answer}");
                }
            })
        });
        for client in join_all(clients).await {
            client.unwrap();
        }
        let loaded = world.b.ask(&admin, Method::GET, TABLE, &Value::Null).await.1;
        let properties = loaded["metadata"]["properties"].as_object().unwrap();
        let found: BTreeSet<_> = properties.keys().filter(|name| name.starts_with('p')).collect();
        assert_eq!(found.len(), 2 * CLIENTS * COMMITS);
    }
}
