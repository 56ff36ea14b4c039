//! `/v1/namespaces` and `/v1/namespaces/{namespace}`

use axum::http::Method;
use serde_json::json;

use crate::support::Catalog;

#[tokio::test]
async fn namespace_is_created_loaded_and_dropped() {
    let catalog = Catalog::new().await;
    let key = catalog.tenant("acme", "enterprise").await.key;
    let body = json!({ "namespace": ["sales"], "properties": { "owner": "ann" } });
    assert_eq!(catalog.post(&key, "/v1/namespaces", &body).await.ok(200), body);
    let again = catalog.post(&key, "/v1/namespaces", &body).await;
    assert_eq!(again.error(409, "AlreadyExistsException"), "Namespace already exists: sales");
    assert_eq!(catalog.get(&key, "/v1/namespaces/sales").await.ok(200), body);
    assert_eq!(catalog.bytes(&key, Method::HEAD, "/v1/namespaces/sales", "").await.status, 204);
    assert_eq!(catalog.delete(&key, "/v1/namespaces/sales").await.status, 204);
    let gone = catalog.get(&key, "/v1/namespaces/sales").await;
    assert_eq!(gone.error(404, "NoSuchNamespaceException"), "Namespace does not exist: sales");
    catalog.delete(&key, "/v1/namespaces/sales").await.error(404, "NoSuchNamespaceException");
    assert_eq!(catalog.bytes(&key, Method::HEAD, "/v1/namespaces/sales", "").await.status, 404);
}

#[tokio::test]
async fn namespaces_nest_and_are_listed_level_by_level() {
    let catalog = Catalog::new().await;
    let key = catalog.tenant("acme", "enterprise").await.key;
    for namespace in [json!(["a"]), json!(["a", "b"]), json!(["a", "b", "c"]), json!(["z"])] {
        catalog.post(&key, "/v1/namespaces", &json!({ "namespace": namespace })).await.ok(200);
    }
    let orphan = catalog.post(&key, "/v1/namespaces", &json!({ "namespace": ["none", "b"] })).await;
    assert_eq!(orphan.error(404, "NoSuchNamespaceException"), "Namespace does not exist: none");
    let list =
        async |query: &str| catalog.get(&key, &format!("/v1/namespaces{query}")).await.ok(200)["namespaces"].clone();
    assert_eq!(list("").await, json!([["a"], ["z"]]));
    assert_eq!(list("?parent=").await, json!([["a"], ["z"]]));
    assert_eq!(list("?parent=a").await, json!([["a", "b"]]));
    assert_eq!(list("?parent=a%1Fb").await, json!([["a", "b", "c"]]));
    catalog.get(&key, "/v1/namespaces?parent=none").await.error(404, "NoSuchNamespaceException");
    assert_eq!(catalog.get(&key, "/v1/namespaces/a%1Fb").await.ok(200)["namespace"], json!(["a", "b"]));
    catalog.delete(&key, "/v1/namespaces/a").await.error(409, "NamespaceNotEmptyException");
}

#[tokio::test]
async fn property_changes_list_updated_removed_and_missing_keys() {
    let catalog = Catalog::new().await;
    let key = catalog.tenant("acme", "enterprise").await.key;
    let body = json!({ "namespace": ["n"], "properties": { "a": "1", "b": "2" } });
    catalog.post(&key, "/v1/namespaces", &body).await.ok(200);
    let change = json!({ "updates": { "b": "3", "c": "4" }, "removals": ["a", "x"] });
    let changed = catalog.post(&key, "/v1/namespaces/n/properties", &change).await.ok(200);
    assert_eq!(changed, json!({ "updated": ["b", "c"], "removed": ["a"], "missing": ["x"] }));
    assert_eq!(catalog.get(&key, "/v1/namespaces/n").await.ok(200)["properties"], json!({ "b": "3", "c": "4" }));
    let both = json!({ "updates": { "b": "3" }, "removals": ["b"] });
    catalog.post(&key, "/v1/namespaces/n/properties", &both).await.error(422, "UnprocessableEntityException");
    catalog.post(&key, "/v1/namespaces/none/properties", &change).await.error(404, "NoSuchNamespaceException");
}

#[tokio::test]
async fn drop_of_a_namespace_with_a_table_gets_409() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    let refused = catalog.delete(&tenant.key, "/v1/namespaces/ns").await;
    assert_eq!(refused.error(409, "NamespaceNotEmptyException"), "Namespace ns is not empty");
    catalog.delete(&tenant.key, "/v1/namespaces/ns/tables/t").await.ok(204);
    catalog.delete(&tenant.key, "/v1/namespaces/ns").await.ok(204);
}

#[tokio::test]
async fn list_is_paged_only_on_request() {
    let catalog = Catalog::new().await;
    let key = catalog.tenant("acme", "enterprise").await.key;
    for n in 0..7 {
        catalog.post(&key, "/v1/namespaces", &json!({ "namespace": [format!("n{n}")] })).await.ok(200);
    }
    let whole = catalog.get(&key, "/v1/namespaces").await.ok(200);
    assert_eq!((whole["namespaces"].as_array().unwrap().len(), &whole["next-page-token"]), (7, &json!(null)));
    let (mut token, mut pages, mut names) = (String::new(), 0, Vec::new());
    loop {
        let page = catalog.get(&key, &format!("/v1/namespaces?pageSize=3&pageToken={token}")).await.ok(200);
        names.extend(page["namespaces"].as_array().unwrap().iter().cloned());
        pages += 1;
        match page["next-page-token"].as_str() {
            Some(next) => token = next.to_owned(),
            None => break,
        }
    }
    assert_eq!((pages, &names), (3, whole["namespaces"].as_array().unwrap()));
    catalog.get(&key, "/v1/namespaces?pageToken=%25").await.error(400, "BadRequestException");
    catalog.get(&key, "/v1/namespaces?pageToken=&pageSize=0").await.error(400, "BadRequestException");
}

#[tokio::test]
async fn names_with_any_characters_work_in_urls() {
    let catalog = Catalog::new().await;
    let key = catalog.tenant("acme", "enterprise").await.key;
    for (name, in_url) in [("a b", "a%20b"), ("a+b", "a%2Bb"), ("ü/é", "%C3%BC%2F%C3%A9"), ("x.y'\"%", "x.y%27%22%25")]
    {
        catalog.post(&key, "/v1/namespaces", &json!({ "namespace": [name] })).await.ok(200);
        let found = catalog.get(&key, &format!("/v1/namespaces/{in_url}")).await.ok(200);
        assert_eq!(found["namespace"], json!([name]));
    }
}
