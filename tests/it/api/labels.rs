//! Labels: what loads have, who may set them, and what they follow.

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Catalog, Tenant, create_table, create_view};

const LAKE: &str = "/management/v1/organisations/acme/warehouses/main";
const TABLE: &str = "/v1/namespaces/ns/tables/t";
const VIEW: &str = "/v1/namespaces/ns/views/v";

/// An organisation with the table `t` and the view `v` in the namespace `ns`.
struct World {
    catalog: Catalog,
    tenant: Tenant,
}

impl World {
    async fn new() -> Self {
        let catalog = Catalog::new().await;
        let tenant = catalog.tenant("acme", "enterprise").await;
        let world = Self { catalog, tenant };
        for namespace in [json!(["ns"]), json!(["ns", "below"])] {
            world.post("/v1/namespaces", &json!({ "namespace": namespace })).await.ok(200);
        }
        world.post("/v1/namespaces/ns/tables", &create_table("t")).await.ok(200);
        world.post("/v1/namespaces/ns/views", &create_view("v", "select 1")).await.ok(200);
        world
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.catalog.post(&self.tenant.key, path, body).await
    }

    /// Sends a change of labels as an administrator. `on` is the path of the object in its warehouse.
    async fn change(&self, method: Method, on: &str, body: &Value) -> Answer {
        self.change_as(&self.tenant.key, method, on, body).await
    }

    async fn change_as(&self, key: &str, method: Method, on: &str, body: &Value) -> Answer {
        self.catalog.bytes(key, method, &format!("{LAKE}/namespaces/{on}/labels"), body.to_string()).await
    }

    async fn shown(&self, on: &str) -> Value {
        self.catalog.get(&self.tenant.key, &format!("{LAKE}/namespaces/{on}/labels")).await.ok(200)
    }

    async fn load(&self, path: &str) -> Value {
        self.catalog.get(&self.tenant.key, path).await.ok(200)
    }

    async fn labels(&self, path: &str) -> Value {
        self.load(path).await.get("labels").cloned().unwrap_or(Value::Null)
    }

    async fn load_unless(&self, tag: &str) -> Answer {
        self.catalog.with_headers(&self.tenant.key, Method::GET, TABLE, &[("if-none-match", tag)]).await
    }

    /// Returns a key with a built-in role.
    async fn key(&self, role: &str) -> String {
        let path = "/management/v1/organisations/acme/keys";
        let made = self.post(path, &json!({ "name": role, "role": role })).await.ok(200);
        made["api_key"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn load_has_the_labels_of_the_object_and_its_columns_and_inherited_ones() {
    let world = World::new().await;
    let before = world.catalog.get(&world.tenant.key, TABLE).await;
    assert_eq!(before.ok(200).get("labels"), None);
    let of_namespace = json!({ "object-labels": { "owner": "sales", "domain": "retail" } });
    let shown = world.change(Method::PUT, "ns", &of_namespace).await.ok(200);
    assert_eq!(
        shown,
        json!({ "object-labels": of_namespace["object-labels"], "effective-labels": of_namespace["object-labels"] })
    );
    assert_eq!(world.labels(TABLE).await, of_namespace);
    assert_eq!(world.labels(VIEW).await, of_namespace);

    let own =
        json!({ "object-labels": { "owner": "orders" }, "fields": [{ "column": "id", "labels": { "class": "key" } }] });
    for (on, path) in [("ns/tables/t", TABLE), ("ns/views/v", VIEW)] {
        world.change(Method::PUT, on, &own).await.ok(200);
        let expected = json!({ "object-labels": { "owner": "orders", "domain": "retail" },
            "fields": [{ "field-id": 1, "labels": { "class": "key" } }] });
        assert_eq!(world.labels(path).await, expected, "{path}");
        let shown = world.shown(on).await;
        assert_eq!(shown["object-labels"], own["object-labels"]);
        assert_eq!(shown["effective-labels"], expected["object-labels"]);
        assert_eq!(shown["fields"], json!([{ "field-id": 1, "column": "id", "labels": { "class": "key" } }]));
    }
    let refs = world.load(&format!("{TABLE}?snapshots=refs")).await;
    assert_eq!(refs["labels"], world.labels(TABLE).await);
    let loaded = world.load(TABLE).await;
    assert_eq!(loaded["config"], json!({}));
    assert!(!loaded["metadata"].to_string().contains("retail"), "labels are no metadata");

    world.change(Method::PUT, "ns%1Fbelow", &json!({ "object-labels": { "domain": "below" } })).await.ok(200);
    let below = world.shown("ns%1Fbelow").await;
    assert_eq!(below["effective-labels"], json!({ "owner": "sales", "domain": "below" }));
    for on in ["ns", "ns/tables/t", "ns/views/v"] {
        world.change(Method::PUT, on, &json!({})).await.ok(200);
    }
    assert_eq!([world.labels(TABLE).await, world.labels(VIEW).await], [Value::Null, Value::Null]);
}

#[tokio::test]
async fn changed_labels_change_the_tag_and_equal_ones_do_not() {
    let world = World::new().await;
    let tag = |answer: &Answer| answer.header("etag").to_owned();
    let plain = tag(&world.catalog.get(&world.tenant.key, TABLE).await);
    let mut known = vec![plain.clone()];
    for (on, body) in [
        ("ns", json!({ "set": { "owner": "sales" } })),
        ("ns/tables/t", json!({ "set": { "owner": "orders" } })),
        ("ns/tables/t", json!({ "fields": [{ "field-id": 1, "set": { "class": "key" } }] })),
        ("ns/tables/t", json!({ "set": { "owner": "others" } })),
    ] {
        world.change(Method::PATCH, on, &body).await.ok(200);
        let loaded = world.load_unless(known.last().unwrap()).await;
        assert_eq!(loaded.status, 200, "{body}");
        let new = tag(&loaded);
        assert!(!known.contains(&new), "{body}");
        assert_eq!(world.load_unless(&new).await.status, 304, "{body}");
        known.push(new);
    }
    // The commit's tag is that of an answer without labels.
    let update = json!({ "requirements": [], "updates": [{ "action": "set-properties", "updates": { "a": "b" } }] });
    let committed = tag(&world.post(TABLE, &update).await);
    assert_eq!(world.load_unless(&committed).await.status, 200);
    // A label of the namespace that the table has itself changes nothing.
    let current = tag(&world.load_unless("x").await);
    world.change(Method::PATCH, "ns", &json!({ "set": { "owner": "hidden" } })).await.ok(200);
    assert_eq!(world.load_unless(&current).await.status, 304);
}

#[tokio::test]
async fn labels_follow_a_rename_a_drop_and_a_restore_and_only_current_columns_are_sent() {
    let world = World::new().await;
    let own = json!({ "object-labels": { "a": "b" }, "fields": [{ "field-id": 1, "labels": { "class": "key" } }] });
    world.change(Method::PUT, "ns/tables/t", &own).await.ok(200);
    world.change(Method::PUT, "ns%1Fbelow", &json!({ "object-labels": { "domain": "below" } })).await.ok(200);
    let ident = |levels: &[&str], name: &str| json!({ "namespace": levels, "name": name });
    let rename = json!({ "source": ident(&["ns"], "t"), "destination": ident(&["ns", "below"], "u") });
    world.post("/v1/tables/rename", &rename).await.ok(204);
    let moved = "/v1/namespaces/ns%1Fbelow/tables/u";
    assert_eq!(world.labels(moved).await["object-labels"], json!({ "a": "b", "domain": "below" }));
    world.catalog.delete(&world.tenant.key, moved).await.ok(204);
    let dropped = world.catalog.get(&world.tenant.key, "/management/v1/warehouses/main/dropped").await.ok(200);
    let id = dropped["dropped"][0]["id"].as_str().unwrap().to_owned();
    world.post(&format!("/management/v1/warehouses/main/dropped/{id}/restore"), &json!({})).await.ok(204);
    assert_eq!(world.labels(moved).await["fields"], own["fields"]);

    // A new schema without the column.
    let schema =
        json!({ "type": "struct", "fields": [{ "id": 9, "name": "other", "required": false, "type": "int" }] });
    let update = json!({ "requirements": [], "updates": [
        { "action": "add-schema", "schema": schema, "last-column-id": 9 }, { "action": "set-current-schema", "schema-id": -1 }] });
    world.post(moved, &update).await.ok(200);
    assert_eq!(world.labels(moved).await.get("fields"), None);
    let shown = world.shown("ns%1Fbelow/tables/u").await;
    assert_eq!(shown["fields"], json!([{ "field-id": 1, "labels": { "class": "key" } }]));
    // What is shown can be set again, and removed by its id.
    world.change(Method::PUT, "ns%1Fbelow/tables/u", &own).await.ok(200);
    let remove = json!({ "fields": [{ "field-id": 1, "remove": ["class"] }] });
    let shown = world.change(Method::PATCH, "ns%1Fbelow/tables/u", &remove).await.ok(200);
    assert_eq!(shown["fields"], json!([]));
    let again = world.change(Method::PUT, "ns%1Fbelow/tables/u", &own).await.error(400, "BadRequestException");
    assert!(again.contains("no column with the field id 1"), "{again}");
}

#[tokio::test]
async fn labels_that_are_not_allowed_are_refused_with_400() {
    let world = World::new().await;
    let long = "x".repeat(1_025);
    for (on, body, message) in [
        ("ns", json!({ "object-labels": { "": "x" } }), "cannot be a label's name"),
        ("ns", json!({ "object-labels": { "a": long } }), "is not allowed"),
        ("ns", json!({ "fields": [{ "field-id": 1, "labels": {} }] }), "A namespace has no columns"),
        ("ns", json!({ "labels": {} }), "labels"),
        ("ns/tables/t", json!({ "fields": [{ "column": "none", "labels": { "a": "b" } }] }), "no column 'none'"),
        ("ns/tables/t", json!({ "fields": [{ "field-id": 77, "labels": { "a": "b" } }] }), "field id 77"),
        ("ns/tables/t", json!({ "fields": [{ "labels": { "a": "b" } }] }), "Give `column` or `field-id`"),
        (
            "ns/tables/t",
            json!({ "fields": [{ "field-id": 1, "labels": {} }, { "column": "id", "labels": {} }] }),
            "more than once",
        ),
    ] {
        let refused = world.change(Method::PUT, on, &body).await.error(400, "BadRequestException");
        assert!(refused.contains(message), "{body}: {refused}");
    }
    world.change(Method::PUT, "none", &json!({})).await.error(404, "NoSuchNamespaceException");
    world.change(Method::PUT, "ns/tables/none", &json!({})).await.error(404, "NoSuchTableException");
    world.change(Method::PUT, "ns/views/t", &json!({})).await.error(404, "NoSuchViewException");
    assert_eq!(world.labels(TABLE).await, Value::Null);
}

#[tokio::test]
async fn who_may_change_properties_may_change_labels_and_another_organisation_sees_nothing() {
    let world = World::new().await;
    let labels = json!({ "object-labels": { "owner": "sales" } });
    let (reader, writer) = (world.key("reader").await, world.key("writer").await);
    let other = world.catalog.tenant("other", "enterprise").await;
    for on in ["ns", "ns/tables/t", "ns/views/v"] {
        world.change_as(&reader, Method::PUT, on, &labels).await.error(403, "ForbiddenException");
        world.change_as(&writer, Method::PUT, on, &labels).await.ok(200);
        let shown = world.catalog.get(&reader, &format!("{LAKE}/namespaces/{on}/labels")).await.ok(200);
        assert_eq!(shown["effective-labels"], labels["object-labels"]);
        world.change_as(&other.key, Method::PUT, on, &json!({})).await.error(404, "NotFoundException");
        world.catalog.get(&other.key, &format!("{LAKE}/namespaces/{on}/labels")).await.error(404, "NotFoundException");
    }
    // Objects of the same names have labels of their own.
    world.catalog.post(&other.key, "/v1/namespaces", &json!({ "namespace": ["ns"] })).await.ok(200);
    let made = world.catalog.post(&other.key, "/v1/namespaces/ns/tables", &create_table("t")).await.ok(200);
    assert_eq!(made.get("labels"), None);
    assert_eq!(world.catalog.get(&other.key, TABLE).await.ok(200).get("labels"), None);
    assert_eq!(world.labels(TABLE).await, labels);
}

#[tokio::test]
async fn restricted_callers_get_labels_if_they_may_load_and_may_not_change_them() {
    let world = World::new().await;
    let writer = world.key("writer").await;
    let acme = "/management/v1/organisations/acme";
    world.post(&format!("{acme}/principal-roles"), &json!({ "name": "restricted" })).await.ok(200);
    let assign = format!("{acme}/principal-roles/restricted/principals/writer");
    world.catalog.bytes(&world.tenant.key, Method::PUT, &assign, String::new()).await.ok(204);
    let labels = json!({ "object-labels": { "owner": "sales" } });
    world.change(Method::PUT, "ns/tables/t", &labels).await.ok(200);
    let restriction = format!("{LAKE}/namespaces/ns/tables/t/restrictions/restricted");
    for (others, status) in [("plan", 200), ("refuse", 403)] {
        let filter = json!({ "type": "not-null", "term": "id" });
        let body = json!({ "filter": filter, "others": others }).to_string();
        world.catalog.bytes(&world.tenant.key, Method::PUT, &restriction, body).await.ok(204);
        let loaded = world.catalog.get(&writer, TABLE).await;
        assert_eq!(loaded.status, status, "{others}");
        if status == 200 {
            assert_eq!(loaded.header("cache-control"), "no-store");
            assert!(loaded.header("etag").contains("-planned-labels-"), "{}", loaded.header("etag"));
            assert_eq!(loaded.ok(200)["labels"], labels);
        }
        let shown = world.catalog.get(&writer, &format!("{LAKE}/namespaces/ns/tables/t/labels")).await;
        assert_eq!(shown.status, status, "{others}");
        world.change_as(&writer, Method::PUT, "ns/tables/t", &json!({})).await.error(403, "ForbiddenException");
    }
    assert_eq!(world.labels(TABLE).await, labels);
}

#[tokio::test]
async fn search_finds_what_its_caller_may_load_in_pages() {
    let world = World::new().await;
    let (own, column) =
        (json!({ "object-labels": { "class": "pii" } }), json!([{ "column": "id", "labels": { "class": "pii" } }]));
    for on in ["ns", "ns%1Fbelow", "ns/views/v"] {
        world.change(Method::PUT, on, &own).await.ok(200);
    }
    world
        .change(Method::PUT, "ns/tables/t", &json!({ "object-labels": { "owner": "x" }, "fields": column }))
        .await
        .ok(200);
    let find = async |key: &str, query: &str| {
        let (mut found, mut token) = (Vec::new(), String::new());
        loop {
            let page =
                world.catalog.get(key, &format!("{LAKE}/labels?{query}&page-size=1&page-token={token}")).await.ok(200);
            assert!(page["objects"].as_array().unwrap().len() <= 1, "{page}");
            found.extend(page["objects"].as_array().unwrap().clone());
            match page["next-page-token"].as_str() {
                Some(next) => token = next.to_owned(),
                None => return found,
            }
        }
    };
    let namespace = |levels: Value| json!({ "type": "namespace", "namespace": levels, "value": "pii", "fields": [] });
    let own_table =
        json!({ "type": "table", "namespace": ["ns"], "name": "t", "fields": [{ "field-id": 1, "value": "pii" }] });
    let mut table = own_table.clone();
    (table["value"], table["inherited-from"]) = (json!("pii"), json!(["ns"]));
    let view = json!({ "type": "view", "namespace": ["ns"], "name": "v", "value": "pii", "fields": [] });
    let admin = &world.tenant.key;
    let all = [namespace(json!(["ns"])), table.clone(), view.clone(), namespace(json!(["ns", "below"]))];
    for query in ["key=class", "key=class&value=pii", "key=class&inherited=TRUE"] {
        assert_eq!(find(admin, query).await, all);
    }
    let own = [namespace(json!(["ns"])), namespace(json!(["ns", "below"])), own_table, view.clone()];
    assert_eq!(find(admin, "key=class&inherited=false").await, own);
    for query in ["key=class&value=other", "key=none", "key=object-labels"] {
        assert!(find(admin, query).await.is_empty(), "{query}");
    }
    assert_eq!(find(admin, "key=owner").await[0]["value"], "x");
    for query in ["", "?key=a&inherited=no", "?key=a&page-token=x"] {
        world.catalog.get(admin, &format!("{LAKE}/labels{query}")).await.error(400, "BadRequestException");
    }

    // A key without a role sees what it was granted.
    let path = "/management/v1/organisations/acme";
    let made = world.post(&format!("{path}/keys"), &json!({ "name": "one", "role": "none" })).await.ok(200);
    let key = made["api_key"].as_str().unwrap();
    world.catalog.get(key, &format!("{LAKE}/labels?key=class")).await.error(404, "NoSuchWarehouseException");
    let machine = async |method: Method, path: String, body: Value, status: u16| {
        world.catalog.machine(method, &path, &body).await.ok(status);
    };
    machine(Method::POST, format!("{path}/principal-roles"), json!({ "name": "role" }), 200).await;
    machine(Method::PUT, format!("{path}/principal-roles/role/principals/one"), Value::Null, 204).await;
    machine(Method::POST, format!("{LAKE}/catalog-roles"), json!({ "name": "readers" }), 200).await;
    machine(Method::PUT, format!("{LAKE}/catalog-roles/readers/principal-roles/role"), Value::Null, 204).await;
    let grant = json!({ "privilege": "TABLE_READ_PROPERTIES", "type": "table", "namespace": ["ns"], "name": "t" });
    machine(Method::PUT, format!("{LAKE}/catalog-roles/readers/grants"), grant, 204).await;
    assert_eq!(find(key, "key=class").await, [table]);
    // Tokens are sealed, since the search stops at objects that the key does not see: each is another.
    let page = format!("{LAKE}/labels?key=class&page-size=1");
    let tokens = [(); 2].map(|()| world.catalog.get(key, &page));
    let [one, other] = tokens;
    assert_ne!(one.await.ok(200)["next-page-token"], other.await.ok(200)["next-page-token"]);
    // A table that is restricted for the caller is not loaded, so it is not found.
    let restriction = json!({ "masks": [{ "column": "id", "action": "sha-256-global" }] });
    machine(Method::PUT, format!("{LAKE}/namespaces/ns/tables/t/restrictions/role"), restriction, 204).await;
    assert!(find(key, "key=class").await.is_empty());
}

#[tokio::test]
async fn search_finds_what_inherits_a_label_until_another_value_overrides_it() {
    let world = World::new().await;
    let levels = |path: &str| path.split('.').map(str::to_owned).collect::<Vec<_>>();
    for path in ["ns.below.deep", "ns.other", "ns.other.deep", "ns.z", "open"] {
        world.post("/v1/namespaces", &json!({ "namespace": levels(path) })).await.ok(200);
        let tables = format!("/v1/namespaces/{}/tables", path.replace('.', "%1F"));
        world.post(&tables, &create_table("u")).await.ok(200);
    }
    world.post("/v1/namespaces/open/tables", &create_table("own")).await.ok(200);
    world.post("/v1/namespaces/ns/tables", &create_table("public")).await.ok(200);
    let pii = json!({ "object-labels": { "class": "pii" } });
    let open = json!({ "object-labels": { "class": "open" } });
    for (on, labels) in [
        ("ns", &pii),
        ("ns/tables/public", &open),
        ("ns%1Fother", &open),
        ("ns%1Fother%1Fdeep", &pii),
        ("open/tables/own", &pii),
    ] {
        world.change(Method::PUT, on, labels).await.ok(200);
    }
    let find = async |query: &str, size: usize| {
        let (mut found, mut token) = (Vec::new(), String::new());
        loop {
            let path = format!("{LAKE}/labels?{query}&page-size={size}&page-token={token}");
            let page = world.catalog.get(&world.tenant.key, &path).await.ok(200);
            let objects = page["objects"].as_array().unwrap();
            assert!(objects.len() <= size, "{page}");
            found.extend(objects.iter().map(|one| {
                let dotted = |levels: &Value| -> String {
                    levels.as_array().unwrap().iter().map(|level| level.as_str().unwrap()).collect::<Vec<_>>().join(".")
                };
                let name = one["name"].as_str().map(|name| format!("/{name}")).unwrap_or_default();
                let from = one.get("inherited-from").map(|from| format!(" from {}", dotted(from))).unwrap_or_default();
                format!("{}{name} {}{from}", dotted(&one["namespace"]), one["value"].as_str().unwrap())
            }));
            match page["next-page-token"].as_str() {
                Some(next) => token = next.to_owned(),
                None => return found,
            }
        }
    };
    let inherited = [
        "ns pii",
        "ns/t pii from ns",
        "ns/v pii from ns",
        "ns.below pii from ns",
        "ns.below.deep pii from ns",
        "ns.below.deep/u pii from ns",
        "ns.z pii from ns",
        "ns.z/u pii from ns",
        "ns.other.deep pii",
        "ns.other.deep/u pii from ns.other.deep",
        "open/own pii",
    ];
    for size in [1, 2, 3, 100] {
        assert_eq!(find("key=class&value=pii", size).await, inherited, "in pages of {size}");
    }
    let opened = ["ns.other open", "ns.other/u open from ns.other", "ns/public open"];
    assert_eq!(find("key=class&value=open", 2).await, opened);
    assert_eq!(find("key=class&value=pii&inherited=false", 2).await, ["ns pii", "ns.other.deep pii", "open/own pii"]);
    // Any value: each object has the nearest one.
    let all = find("key=class", 4).await;
    assert_eq!(all.len(), inherited.len() + opened.len());
    assert!(all.contains(&"ns.other/u open from ns.other".to_owned()), "{all:?}");
    assert!(all.contains(&"ns/public open".to_owned()), "{all:?}");
}

#[tokio::test]
async fn search_ends_a_page_after_some_reads_and_goes_on_where_it_ended() {
    let world = World::new().await;
    world.change(Method::PUT, "ns", &json!({ "object-labels": { "class": "pii" } })).await.ok(200);
    for number in 100..180 {
        world.post("/v1/namespaces", &json!({ "namespace": ["ns", number.to_string()] })).await.ok(200);
    }
    let (mut pages, mut found, mut token) = (0, Vec::new(), String::new());
    loop {
        let path = format!("{LAKE}/labels?key=class&page-size=1000&page-token={token}");
        let page = world.catalog.get(&world.tenant.key, &path).await.ok(200);
        pages += 1;
        found.extend(page["objects"].as_array().unwrap().clone());
        match page["next-page-token"].as_str() {
            Some(next) => token = next.to_owned(),
            None => break,
        }
    }
    found.sort_by_key(ToString::to_string);
    found.dedup();
    // The namespace, its table and view, the namespace below it, and the others.
    assert_eq!(found.len(), 4 + 80);
    assert!((2..10).contains(&pages), "{pages} pages: each namespace takes three reads");
}
