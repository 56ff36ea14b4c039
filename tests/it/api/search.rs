//! The search for namespaces, tables and views by a part of their names.

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::{Catalog, Tenant, create_table, create_view};

const ACME: &str = "/management/v1/organisations/acme";
const LAKE: &str = "/management/v1/organisations/acme/warehouses/main";

struct World {
    catalog: Catalog,
    tenant: Tenant,
}

impl World {
    /// Returns an organisation with objects that have `ord` in their names, and others.
    async fn new() -> Self {
        let catalog = Catalog::new().await;
        let tenant = catalog.tenant("acme", "enterprise").await;
        let world = Self { catalog, tenant };
        for namespace in [json!(["sales"]), json!(["sales", "Order.Desk"]), json!(["zoo"])] {
            world.post("/v1/namespaces", &json!({ "namespace": namespace })).await;
        }
        for (namespace, table) in [("sales", "Orders"), ("sales%1FOrder.Desk", "records"), ("zoo", "animals")] {
            world.post(&format!("/v1/namespaces/{namespace}/tables"), &create_table(table)).await;
        }
        world.post("/v1/namespaces/zoo/views", &create_view("word", "select 1")).await;
        world
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        self.catalog.post(&self.tenant.key, path, body).await.ok(200)
    }

    async fn machine(&self, method: Method, path: &str, body: Value) {
        let answer = self.catalog.machine(method, path, &body).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.status);
    }

    /// Returns the objects of all pages of a search.
    async fn find(&self, key: &str, name: &str, size: usize) -> Vec<Value> {
        let (mut found, mut token) = (Vec::new(), String::new());
        loop {
            let path = format!("{LAKE}/search?name={name}&page-size={size}&page-token={token}");
            let page = self.catalog.get(key, &path).await.ok(200);
            let objects = page["objects"].as_array().unwrap();
            assert!(objects.len() <= size, "{page}");
            found.extend(objects.clone());
            match page["next-page-token"].as_str() {
                Some(next) => token = next.to_owned(),
                None => return found,
            }
        }
    }
}

fn namespace(levels: &[&str]) -> Value {
    json!({ "type": "namespace", "namespace": levels })
}

fn object(kind: &str, levels: &[&str], name: &str) -> Value {
    json!({ "type": kind, "namespace": levels, "name": name })
}

#[tokio::test]
async fn search_finds_objects_of_all_levels_in_pages_of_any_size() {
    let world = World::new().await;
    let admin = &world.tenant.key;
    let all = [
        namespace(&["sales", "Order.Desk"]),
        object("table", &["sales"], "Orders"),
        object("table", &["sales", "Order.Desk"], "records"),
        object("view", &["zoo"], "word"),
    ];
    for size in [1, 2, 3, 4, 100] {
        assert_eq!(world.find(admin, "oRD", size).await, all, "pages of {size}");
    }
    assert_eq!(world.find(admin, "les.ord", 100).await, all[..3]);
    assert_eq!(world.find(admin, "sales.orders", 100).await, all[1..2]);
    assert!(world.find(admin, "none", 100).await.is_empty());
    for query in ["", "?name=", "?name=%20"] {
        world.catalog.get(admin, &format!("{LAKE}/search{query}")).await.error(400, "BadRequestException");
    }
    let other = format!("{LAKE}/search?name=o&page-token=eG91cnM");
    world.catalog.get(admin, &other).await.error(400, "BadRequestException");
}

#[tokio::test]
async fn search_finds_what_lists_show_to_its_caller() {
    let world = World::new().await;
    let made = world.post(&format!("{ACME}/keys"), &json!({ "name": "one", "role": "none" })).await;
    let key = made["api_key"].as_str().unwrap();
    let path = format!("{LAKE}/search?name=ord");
    world.catalog.get(key, &path).await.error(404, "NoSuchWarehouseException");
    world.machine(Method::POST, &format!("{ACME}/principal-roles"), json!({ "name": "role" })).await;
    world.machine(Method::PUT, &format!("{ACME}/principal-roles/role/principals/one"), Value::Null).await;
    world.machine(Method::POST, &format!("{LAKE}/catalog-roles"), json!({ "name": "readers" })).await;
    world.machine(Method::PUT, &format!("{LAKE}/catalog-roles/readers/principal-roles/role"), Value::Null).await;
    let grant =
        json!({ "privilege": "TABLE_LIST", "type": "table", "namespace": ["sales", "Order.Desk"], "name": "records" });
    world.machine(Method::PUT, &format!("{LAKE}/catalog-roles/readers/grants"), grant).await;
    let visible = [namespace(&["sales", "Order.Desk"]), object("table", &["sales", "Order.Desk"], "records")];
    for size in [1, 100] {
        assert_eq!(world.find(key, "ord", size).await, visible);
    }
    // A page that ends at a hidden object does not tell its name.
    let page = world.catalog.get(key, &format!("{path}&page-size=1")).await.ok(200);
    assert_eq!(page["objects"], json!([namespace(&["sales", "Order.Desk"])]));
    // Another organisation has no such warehouse.
    let other = world.catalog.tenant("other", "enterprise").await;
    world.catalog.get(&other.key, &path).await.ok(404);
}
