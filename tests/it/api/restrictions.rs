//! Read restrictions: what trusted engines get, what other callers get, and what they cannot learn.

use axum::body::Body;
use axum::http::{Method, Request};
use iceberg::spec::{DataContentType, DataFile, DataFileBuilder, DataFileFormat, Datum, Literal, Struct};
use serde_json::{Value, json};

use crate::support::snapshots::{Written, data_file};
use crate::support::{Answer, Catalog, Tenant, create_table};

const ACME: &str = "/management/v1/organisations/acme";
const LAKE: &str = "/management/v1/organisations/acme/warehouses/main";
const TABLE: &str = "/v1/namespaces/ns/tables/t";

/// An organisation with tables, and a writer whose role is restricted.
struct World<'a> {
    catalog: &'a Catalog,
    tenant: &'a Tenant,
    /// The key of a writer with the principal role `restricted`.
    writer: String,
}

impl<'a> World<'a> {
    async fn new(catalog: &'a Catalog, tenant: &'a Tenant) -> Self {
        let mut world = Self { catalog, tenant, writer: String::new() };
        world.writer = world.key("writer", "writer").await;
        world.machine(Method::POST, "/principal-roles", &json!({ "name": "restricted" }), 200).await;
        world.machine(Method::PUT, "/principal-roles/restricted/principals/writer", &Value::Null, 204).await;
        world
    }

    async fn machine(&self, method: Method, path: &str, body: &Value, status: u16) -> Value {
        self.catalog.machine(method, &format!("{ACME}{path}"), body).await.ok(status)
    }

    async fn key(&self, name: &str, role: &str) -> String {
        let made = self.machine(Method::POST, "/keys", &json!({ "name": name, "role": role }), 200).await;
        made["api_key"].as_str().unwrap().to_owned()
    }

    fn written(&self, name: &'static str) -> Written<'a> {
        Written { catalog: self.catalog, tenant: self.tenant, name }
    }

    /// Creates the table `t` with the columns `id`, `text` and `day`, and two files.
    async fn table(&self) -> i64 {
        let written = self.written("t");
        written.create().await;
        let files = [0, 1].map(|day| data_file(&format!("file:///data/{day}.parquet"), Some(day), 10, (0, 9)));
        written.append(vec![files.to_vec()]).await
    }

    async fn restrict(&self, table: &str, restriction: &Value) -> Answer {
        let path = format!("{LAKE}/namespaces/ns/tables/{table}/restrictions/restricted");
        self.catalog.machine(Method::PUT, &path, restriction).await
    }

    async fn trust(&self, trusted: bool) {
        let method = if trusted { Method::PUT } else { Method::DELETE };
        self.machine(method, "/trusted-engines/writer", &Value::Null, 204).await;
    }

    async fn plan(&self, key: &str, table: &str, body: &Value) -> Answer {
        self.catalog.post(key, &format!("/v1/namespaces/ns/tables/{table}/plan"), body).await
    }

    async fn operations(&self) -> Vec<String> {
        let events = self.machine(Method::GET, "/events?page-size=50", &Value::Null, 200).await;
        let events = events["events"].as_array().unwrap().iter().map(|event| event["operation"].as_str().unwrap());
        let about = ["set-restriction", "remove-restriction", "trust-engine", "distrust-engine"];
        events.filter(|operation| about.contains(operation)).map(str::to_owned).collect()
    }
}

fn test(operator: &str, column: &str, value: impl Into<Value>) -> Value {
    json!({ "type": operator, "term": column, "value": value.into() })
}

/// Runs a test in a new organisation.
macro_rules! world {
    ($world:ident) => {
        let catalog = Catalog::new().await;
        let tenant = catalog.tenant("acme", "enterprise").await;
        let $world = World::new(&catalog, &tenant).await;
    };
}

#[tokio::test]
async fn trusted_engine_gets_the_restrictions_and_others_are_refused() {
    world!(world);
    world.table().await;
    let filter = test("eq", "text", "DE");
    let body = json!({ "filter": filter, "masks": [{ "column": "id", "action": "sha-256-global" }] });
    world.restrict("t", &body).await.ok(204);
    let refused = world.catalog.get(&world.writer, TABLE).await.error(403, "ForbiddenException");
    assert!(refused.contains("'ns.t' is restricted for you") && refused.contains("trusted"), "{refused}");

    world.trust(true).await;
    let loaded = world.catalog.get(&world.writer, TABLE).await;
    let tag = loaded.header("etag").to_owned();
    assert_eq!(loaded.header("cache-control"), "no-store");
    let expected = json!({
        "required-row-filter": { "type": "eq", "left": { "type": "reference", "id": 2 },
            "right": { "type": "literal", "value": "DE" } },
        "required-column-projections": [{ "field-id": 1, "action": "sha-256-global" }],
    });
    assert_eq!(loaded.ok(200)["read-restrictions"], expected);
    let refs = world.catalog.get(&world.writer, &format!("{TABLE}?snapshots=refs")).await.ok(200);
    assert_eq!(refs["read-restrictions"], expected);
    let free = world.catalog.get(&world.tenant.key, TABLE).await;
    assert_ne!(free.header("etag"), tag);
    assert_eq!(free.ok(200).get("read-restrictions"), None);

    // Another restriction has another tag, so that no client keeps the former answer.
    let known = [("if-none-match", tag.as_str())];
    let load = async || world.catalog.with_headers(&world.writer, Method::GET, TABLE, &known).await;
    assert_eq!(load().await.status.as_u16(), 304);
    world.restrict("t", &json!({ "filter": filter })).await.ok(204);
    assert_eq!(load().await.ok(200)["read-restrictions"].get("required-column-projections"), None);
    // The plan of a trusted engine obeys the filter too.
    let planned = world.plan(&world.writer, "t", &json!({})).await.ok(200);
    assert_eq!(planned["file-scan-tasks"][0]["residual-filter"], test("eq", "text", "DE"));

    world.trust(false).await;
    world.catalog.get(&world.writer, TABLE).await.error(403, "ForbiddenException");
    let operations = world.operations().await;
    assert_eq!(operations, ["distrust-engine", "set-restriction", "trust-engine", "set-restriction"]);
}

#[tokio::test]
async fn every_door_to_a_restricted_table_is_closed_for_other_callers() {
    world!(world);
    world.table().await;
    let before = world.catalog.get(&world.tenant.key, TABLE).await.ok(200);
    let location = before["metadata-location"].clone();
    let set = json!([{ "action": "set-properties", "updates": { "a": "b" } }]);
    let change = json!({ "identifier": { "namespace": ["ns"], "name": "t" }, "requirements": [], "updates": set });
    let sign = json!({ "region": "a", "uri": "https://s3.example.com/b/t/a", "method": "GET", "headers": {} });
    let register = json!({ "name": "t", "metadata-location": location, "overwrite": true });
    let nothing = json!({});
    let doors = [
        (Method::GET, TABLE.to_owned(), &nothing, false),
        (Method::GET, format!("{TABLE}?snapshots=refs"), &nothing, false),
        (Method::GET, format!("{TABLE}?referenced-by=ns%1Fv"), &nothing, false),
        (Method::GET, format!("{TABLE}/credentials"), &nothing, true),
        (Method::POST, format!("{TABLE}/sign"), &sign, true),
        (Method::POST, format!("{TABLE}/plan"), &nothing, false),
        (Method::POST, TABLE.to_owned(), &change, true),
        (Method::POST, "/v1/transactions/commit".to_owned(), &json!({ "table-changes": [change] }), true),
        (Method::POST, "/v1/namespaces/ns/register".to_owned(), &register, true),
        (Method::POST, format!("{TABLE}/unregister"), &nothing, true),
        (Method::DELETE, TABLE.to_owned(), &nothing, true),
        (Method::DELETE, format!("{TABLE}?purgeRequested=true"), &nothing, true),
    ];
    let mut wrong = Vec::new();
    for others in ["refuse", "plan"] {
        world.restrict("t", &json!({ "filter": test("eq", "text", "DE"), "others": others })).await.ok(204);
        for (method, path, body, always) in &doors {
            let body = if *method == Method::POST { body.to_string() } else { String::new() };
            let answer = world.catalog.bytes(&world.writer, method.clone(), path, body).await;
            let is_refused = answer.status.as_u16() == 403;
            if is_refused != (*always || others == "refuse") {
                wrong.push(format!("{others}: {method} {path}: {}", String::from_utf8_lossy(&answer.bytes)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The names of restricted tables are no secret, and a rename changes nothing about a restriction.
    world.catalog.with_headers(&world.writer, Method::HEAD, TABLE, &[]).await.ok(204);
    let ident = |name: &str| json!({ "namespace": ["ns"], "name": name });
    let rename = json!({ "source": ident("t"), "destination": ident("u") });
    world.catalog.post(&world.writer, "/v1/tables/rename", &rename).await.ok(204);
    world.catalog.get(&world.writer, "/v1/namespaces/ns/tables/u/credentials").await.error(403, "ForbiddenException");
    let after = world.catalog.get(&world.tenant.key, "/v1/namespaces/ns/tables/u").await.ok(200);
    assert_eq!(after["metadata-location"], location, "nothing was changed");
}

#[tokio::test]
async fn planned_reader_gets_the_metadata_and_plans_within_the_filter() {
    world!(world);
    world.table().await;
    world.restrict("t", &json!({ "filter": test("eq", "day", "1970-01-02"), "others": "plan" })).await.ok(204);
    let loaded = world.catalog.get(&world.writer, TABLE).await;
    assert_ne!(loaded.header("etag"), world.catalog.get(&world.tenant.key, TABLE).await.header("etag"));
    let loaded = loaded.ok(200);
    assert_eq!(loaded["config"]["scan-planning-mode"], "server");
    assert_eq!((loaded.get("read-restrictions"), loaded.get("storage-credentials")), (None, None));
    let planned = world.plan(&world.writer, "t", &json!({ "filter": test("gt", "id", 3) })).await.ok(200);
    let tasks = planned["file-scan-tasks"].as_array().unwrap();
    assert_eq!(tasks.len(), 1, "{planned}");
    assert_eq!(tasks[0]["data-file"]["file-path"], "file:///data/1.parquet");
    assert_eq!(tasks[0]["residual-filter"], test("gt", "id", 3));
    // All rows of the partition are visible, so statistics prune.
    let none = world.plan(&world.writer, "t", &json!({ "filter": test("gt", "id", 99) })).await.ok(200);
    assert_eq!(none["file-scan-tasks"], json!([]));
}

#[tokio::test]
async fn masked_column_is_neither_tested_nor_shown() {
    world!(world);
    let snapshot = world.table().await;
    let renamed = json!({ "requirements": [], "updates": [
        { "action": "add-schema", "schema": { "type": "struct", "schema-id": 1, "fields": [
            { "id": 1, "name": "number", "required": true, "type": "long" },
            { "id": 2, "name": "text", "required": false, "type": "string" },
            { "id": 3, "name": "day", "required": false, "type": "date" }] } },
        { "action": "set-current-schema", "schema-id": -1 }] });
    world.catalog.post(&world.tenant.key, TABLE, &renamed).await.ok(200);
    let masks = json!({ "masks": [{ "field-id": 1, "action": "mask-to-fixed-value" }], "others": "plan" });
    world.restrict("t", &masks).await.ok(204);
    for body in [
        json!({ "filter": test("gt", "number", 3) }),
        json!({ "filter": test("gt", "NUMBER", 3), "case-sensitive": false }),
        json!({ "filter": test("gt", "id", 3), "snapshot-id": snapshot, "use-snapshot-schema": true }),
        json!({ "filter": { "type": "not", "child": test("eq", "number", 3) }, "min-rows-requested": 1 }),
        json!({ "filter": { "type": "eq", "left": { "type": "reference", "id": 1 },
            "right": { "type": "literal", "value": 3 } } }),
    ] {
        let refused = world.plan(&world.writer, "t", &body).await.error(403, "ForbiddenException");
        assert!(refused.contains("is masked for you"), "{refused}");
    }
    let planned = world.plan(&world.writer, "t", &json!({ "stats-fields": ["number", "text"] })).await.ok(200);
    let text = planned.to_string();
    assert!(planned["file-scan-tasks"].as_array().unwrap().len() == 2 && !text.contains("bounds"), "{text}");
    // A partition would show the masked column, and so would the restriction's own filter.
    world
        .restrict("t", &json!({ "masks": [{ "column": "day", "action": "replace-with-null" }], "others": "plan" }))
        .await;
    let refused = world.catalog.get(&world.writer, TABLE).await.error(403, "ForbiddenException");
    assert!(refused.contains("partitioned by the masked column 'day'"), "{refused}");
    world.plan(&world.writer, "t", &json!({})).await.error(403, "ForbiddenException");
    let both = json!({ "filter": test("eq", "text", "a"), "others": "plan",
        "masks": [{ "column": "text", "action": "mask-alphanum" }] });
    world.restrict("t", &both).await.ok(204);
    let refused = world.plan(&world.writer, "t", &json!({})).await.error(403, "ForbiddenException");
    assert!(refused.contains("filter tests the masked column 'text'"), "{refused}");
}

/// Returns a delete file whose rows have these ids.
fn equality_deletes(path: &str, day: i32, (lower, upper): (i64, i64)) -> DataFile {
    DataFileBuilder::default()
        .content(DataContentType::EqualityDeletes)
        .file_path(path.to_owned())
        .file_format(DataFileFormat::Parquet)
        .partition(Struct::from_iter([Some(Literal::int(day))]))
        .partition_spec_id(0)
        .record_count(1)
        .file_size_in_bytes(100)
        .equality_ids(Some(vec![1]))
        .value_counts([(1, 1)].into())
        .null_value_counts([(1, 0)].into())
        .lower_bounds([(1, Datum::long(lower))].into())
        .upper_bounds([(1, Datum::long(upper))].into())
        .build()
        .unwrap()
}

/// Writes a table whose files have visible and hidden rows. Only the ids of hidden rows differ between two tables.
async fn hidden(world: &World<'_>, name: &'static str, highest: i64) -> Vec<i64> {
    let written = world.written(name);
    written.create().await;
    let files = [0, 1, 2].map(|day| data_file(&format!("file:///data/{day}.parquet"), Some(day), 10, (0, highest)));
    let first = written.append(vec![files[..2].to_vec()]).await;
    let second = written.append(vec![files[2..].to_vec()]).await;
    let deletes = vec![equality_deletes("file:///data/deletes.parquet", 1, (400, 400))];
    vec![first, second, written.commit("delete", Vec::new(), deletes).await]
}

/// Returns a plan with all its tasks, without what is different in each answer.
async fn whole_plan(world: &World<'_>, key: &str, table: &str, body: &Value) -> Value {
    let answer = world.plan(key, table, body).await;
    let status = answer.status.as_u16();
    let mut planned = answer.json();
    if let Some(planned) = planned.as_object_mut() {
        planned.remove("plan-id");
    }
    let mut parts = Vec::new();
    for task in planned["plan-tasks"].take().as_array().into_iter().flatten() {
        let path = format!("/v1/namespaces/ns/tables/{table}/tasks");
        parts.push(world.catalog.post(key, &path, &json!({ "plan-task": task })).await.ok(200));
    }
    json!([status, planned, parts])
}

#[tokio::test]
async fn probes_learn_nothing_about_the_values_of_hidden_rows() {
    let catalog = Catalog::with(|config| config.planning.inline_files = 1).await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let world = World::new(&catalog, &tenant).await;
    let snapshots = hidden(&world, "low", 9).await;
    assert_eq!(hidden(&world, "high", 500).await, snapshots);
    let restriction = json!({ "filter": test("eq", "text", "a"), "others": "plan" });
    for table in ["low", "high"] {
        world.restrict(table, &restriction).await.ok(204);
    }
    let filters = [
        json!(true),
        test("gt", "id", 9),
        test("gt", "id", 100),
        test("lt", "id", 0),
        test("eq", "id", 400),
        json!({ "type": "in", "term": "id", "values": [1, 400, 9_000] }),
        json!({ "type": "not", "child": test("lt-eq", "id", 9) }),
        json!({ "type": "and", "left": test("gt", "id", 100), "right": test("eq", "day", "1970-01-02") }),
        json!({ "type": "or", "left": test("gt", "id", 100), "right": test("eq", "text", "b") }),
        json!({ "type": "eq", "term": { "type": "transform", "transform": "bucket[4]", "term": "id" }, "value": 1 }),
        test("eq", "day", "1970-01-02"),
    ];
    let scopes = [
        json!({}),
        json!({ "min-rows-requested": 1 }),
        json!({ "min-rows-requested": 25, "stats-fields": ["id", "text", "day"] }),
        json!({ "snapshot-id": snapshots[0], "use-snapshot-schema": true }),
        json!({ "start-snapshot-id": snapshots[0], "end-snapshot-id": snapshots[1] }),
        json!({ "case-sensitive": false, "select": ["ID"] }),
    ];
    let mut differences_for_admin = 0;
    for filter in &filters {
        for scope in &scopes {
            let mut body = scope.clone();
            body["filter"] = filter.clone();
            let of = async |key: &str| {
                [whole_plan(&world, key, "low", &body).await, whole_plan(&world, key, "high", &body).await]
            };
            let [low, high] = of(&world.writer).await;
            assert_eq!(low, high, "{body}");
            assert!(!low.to_string().contains("bounds") && !low.to_string().contains("value-counts"), "{low}");
            let [low, high] = of(&world.tenant.key).await;
            differences_for_admin += usize::from(low != high);
        }
    }
    assert!(differences_for_admin > 20, "the probes do find the values without a restriction: {differences_for_admin}");
    // Each residual has the restriction's filter, so that a client that applies it shows visible rows only.
    let all = whole_plan(&world, &world.writer, "low", &json!({ "filter": test("gt", "id", 100) })).await;
    let tasks = all[1]["file-scan-tasks"].as_array().unwrap().iter();
    let parts = all[2].as_array().unwrap().iter().flat_map(|part| part["file-scan-tasks"].as_array().unwrap());
    let residuals: Vec<&Value> = tasks.chain(parts).map(|task| &task["residual-filter"]).collect();
    assert_eq!(residuals.len(), 3, "{all}");
    assert!(residuals.iter().all(|residual| residual.to_string().contains(r#""term":"text""#)), "{residuals:?}");
}

#[tokio::test]
async fn plan_task_works_only_within_the_restriction_of_its_plan() {
    let catalog = Catalog::with(|config| config.planning.inline_files = 1).await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let world = World::new(&catalog, &tenant).await;
    world.table().await;
    let task = async || world.plan(&world.writer, "t", &json!({})).await.ok(200)["plan-tasks"][0].clone();
    let fetch = async |task: &Value| {
        world.catalog.post(&world.writer, &format!("{TABLE}/tasks"), &json!({ "plan-task": task })).await
    };
    let free = task().await;
    fetch(&free).await.ok(200);
    world.restrict("t", &json!({ "filter": test("eq", "text", "a"), "others": "plan" })).await.ok(204);
    fetch(&free).await.error(404, "NoSuchPlanTaskException");
    let planned = task().await;
    fetch(&planned).await.ok(200);
    world.restrict("t", &json!({ "filter": test("eq", "text", "b"), "others": "plan" })).await.ok(204);
    fetch(&planned).await.error(404, "NoSuchPlanTaskException");
    world.restrict("t", &json!({ "filter": test("eq", "text", "a") })).await.ok(204);
    fetch(&planned).await.error(403, "ForbiddenException");
}

#[tokio::test]
async fn restriction_is_set_shown_listed_and_removed() {
    world!(world);
    world.catalog.post(&world.tenant.key, "/v1/namespaces", &json!({ "namespace": ["ns"] })).await.ok(200);
    world.catalog.post(&world.tenant.key, "/v1/namespaces/ns/tables", &create_table("t")).await.ok(200);
    let all = format!("{LAKE}/namespaces/ns/tables/t/restrictions");
    let one = format!("{all}/restricted");
    let get = async |path: &str| world.catalog.machine(Method::GET, path, &Value::Null).await;
    get(&one).await.error(404, "NotFoundException");
    assert_eq!(get(&all).await.ok(200), json!({ "next-page-token": null, "restrictions": [] }));
    let body = json!({ "masks": [{ "column": "text", "action": "show-first-4" }], "filter": test("lt", "id", 5) });
    for _ in 0..2 {
        world.restrict("t", &body).await.ok(204);
    }
    let shown = get(&one).await.ok(200);
    assert_eq!(shown["masks"], json!([{ "field-id": 2, "column": "text", "action": "show-first-4" }]));
    assert_eq!((&shown["others"], &shown["principal-role"]), (&json!("refuse"), &json!("restricted")));
    assert_eq!(shown["filter"]["left"], json!({ "type": "reference", "id": 1 }));
    assert_eq!(get(&all).await.ok(200)["restrictions"], json!([shown]));
    // The same restriction of another role is on a page of its own.
    world.machine(Method::POST, "/principal-roles", &json!({ "name": "another" }), 200).await;
    world.catalog.machine(Method::PUT, &format!("{all}/another"), &body).await.ok(204);
    let first = get(&format!("{all}?page-size=1")).await.ok(200);
    assert_eq!(first["restrictions"][0]["principal-role"], "another");
    let token = first["next-page-token"].as_str().unwrap();
    let second = get(&format!("{all}?page-size=1&page-token={token}")).await.ok(200);
    assert_eq!(second, json!({ "next-page-token": null, "restrictions": [shown] }));
    world.catalog.machine(Method::DELETE, &format!("{all}/another"), &Value::Null).await.ok(204);
    for (wrong, why) in [
        (json!({}), "Give a filter or a mask"),
        (json!({ "masks": [{ "column": "nothing", "action": "show-first-4" }] }), "does not exist"),
        (json!({ "masks": [{ "column": "id", "action": "replace-with-null" }] }), "is required"),
        (json!({ "masks": [{ "column": "id", "action": "reverse" }] }), "The action must be"),
        (json!({ "masks": [{ "action": "show-first-4" }] }), "Give `column` or `field-id`"),
        (json!({ "filter": test("eq", "nothing", 1) }), "Cannot find field"),
        (json!({ "filter": true, "others": "allow" }), "others must be"),
    ] {
        let refused = world.restrict("t", &wrong).await;
        let message = refused.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(refused.status.as_u16() == 400 && message.contains(why), "{wrong}: {message}");
    }
    for _ in 0..2 {
        world.catalog.machine(Method::DELETE, &one, &Value::Null).await.ok(204);
    }
    world.catalog.get(&world.writer, TABLE).await.ok(200);
    let operations = ["remove-restriction", "remove-restriction", "set-restriction", "set-restriction"];
    assert_eq!(world.operations().await, operations, "repeated changes leave no event");
}

#[tokio::test]
async fn narrowed_token_and_engine_lift_no_restriction_and_the_explanation_names_it() {
    world!(world);
    world.table().await;
    world.machine(Method::POST, "/principal-roles", &json!({ "name": "free" }), 200).await;
    world.machine(Method::PUT, "/principal-roles/free/principals/writer", &Value::Null, 204).await;
    let restriction = json!({ "masks": [{ "column": "text", "action": "replace-with-null" }] });
    world.restrict("t", &restriction).await.ok(204);
    world.machine(Method::POST, "/warehouses/main/catalog-roles", &json!({ "name": "readers" }), 200).await;
    let assign = "/warehouses/main/catalog-roles/readers/principal-roles/free";
    world.machine(Method::PUT, assign, &Value::Null, 204).await;
    let grant = json!({ "privilege": "TABLE_READ_DATA", "type": "namespace", "namespace": ["ns"] });
    world.machine(Method::PUT, "/warehouses/main/catalog-roles/readers/grants", &grant, 204).await;
    let form = format!("grant_type=client_credentials&client_secret={}&scope=PRINCIPAL_ROLE:free", world.writer);
    let request = Request::post("/v1/oauth/tokens").header("content-type", "application/x-www-form-urlencoded");
    let token = world.catalog.send(request.body(Body::from(form)).unwrap()).await.ok(200);
    let narrowed = token["access_token"].as_str().unwrap();
    let refused = world.catalog.get(narrowed, TABLE).await.error(403, "ForbiddenException");
    assert!(refused.contains("is restricted for you"), "{refused}");

    let explain = "/warehouses/main/access?principal=writer&action=load-table&namespace=ns&table=t";
    let denied = world.machine(Method::GET, explain, &Value::Null, 200).await["access"][0].clone();
    assert_eq!((&denied["allowed"], &denied["restricted-by"]), (&json!(false), &json!(["restricted"])));
    assert!(denied["message"].as_str().unwrap().contains("is restricted for you"), "{denied}");
    world.trust(true).await;
    let allowed = world.machine(Method::GET, explain, &Value::Null, 200).await["access"][0].clone();
    assert_eq!((&allowed["allowed"], &allowed["restricted-by"]), (&json!(true), &json!(["restricted"])));
    let listed = world.machine(Method::GET, "/trusted-engines", &Value::Null, 200).await;
    assert_eq!(listed["principals"][0]["name"], "writer");
}
