//! `/management/v1/warehouses/{warehouse}/dropped` and below, and `purgeRequested`

use std::path::Path;

use axum::http::Method;
use serde_json::{Value, json};
use tidewater_core::access::Role;

use crate::support::{Catalog, Tenant, create_table, create_view};

const DROPPED: &str = "/management/v1/warehouses/main/dropped";

async fn dropped(catalog: &Catalog, tenant: &Tenant) -> Vec<Value> {
    catalog.get(&tenant.key, DROPPED).await.ok(200)["dropped"].as_array().unwrap().clone()
}

fn at(dropped: &Value, rest: &str) -> String {
    format!("{DROPPED}/{}{rest}", dropped["id"].as_str().unwrap())
}

fn path_of(location: &Value) -> &Path {
    Path::new(location.as_str().unwrap().strip_prefix("file://").unwrap())
}

#[tokio::test]
async fn dropped_table_and_view_are_listed_and_restored() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let table = catalog.with_table(&tenant).await;
    let view = catalog.post(&tenant.key, "/v1/namespaces/ns/views", &create_view("v", "select 1")).await.ok(200);
    assert_eq!(dropped(&catalog, &tenant).await, [] as [Value; 0]);
    catalog.delete(&tenant.key, "/v1/namespaces/ns/tables/t").await.ok(204);
    catalog.delete(&tenant.key, "/v1/namespaces/ns/views/v").await.ok(204);
    let all = dropped(&catalog, &tenant).await;
    let told: Vec<_> = all.iter().map(|one| (&one["identifier"], &one["type"], &one["state"])).collect();
    let name = |name: &str| json!({ "namespace": ["ns"], "name": name });
    let (kept, is) = (json!("kept"), |kind: &str| json!(kind));
    assert_eq!(told, [(&name("v"), &is("view"), &kept), (&name("t"), &is("table"), &kept)]);
    let entry = &all[1];
    assert_eq!(catalog.get(&tenant.key, &at(entry, "")).await.ok(200), *entry);
    assert_eq!((&entry["metadata-location"], &entry["restorable"]), (&table["metadata-location"], &json!(true)));
    let kept_ms = entry["restorable-until-ms"].as_i64().unwrap() - entry["dropped-ms"].as_i64().unwrap();
    assert_eq!((kept_ms, &entry["purge-requested"]), (7 * 86_400_000, &json!(false)));

    catalog.post(&tenant.key, &at(&all[0], "/restore"), &json!({})).await.ok(204);
    catalog.bytes(&tenant.key, Method::POST, &at(entry, "/restore"), "").await.ok(204);
    assert_eq!(catalog.get(&tenant.key, "/v1/namespaces/ns/tables/t").await.ok(200), table);
    assert_eq!(catalog.get(&tenant.key, "/v1/namespaces/ns/views/v").await.ok(200), view);
    let again = catalog.post(&tenant.key, &at(entry, "/restore"), &json!({})).await;
    assert!(again.error(404, "NoSuchTableException").contains("list the dropped tables and views"));
}

#[tokio::test]
async fn restore_that_is_blocked_says_what_to_do() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    catalog.delete(&tenant.key, "/v1/namespaces/ns/tables/t").await.ok(204);
    let [entry] = dropped(&catalog, &tenant).await.try_into().unwrap();
    let restore = async |body: Value| catalog.post(&tenant.key, &at(&entry, "/restore"), &body).await;

    catalog.post(&tenant.key, "/v1/namespaces/ns/tables", &create_table("t")).await.ok(200);
    let taken = restore(json!({})).await;
    assert!(taken.error(409, "AlreadyExistsException").contains("under another name"));
    catalog.delete(&tenant.key, "/v1/namespaces/ns/tables/t").await.ok(204);
    catalog.delete(&tenant.key, "/v1/namespaces/ns").await.ok(204);
    let nowhere = restore(json!({})).await;
    assert!(nowhere.error(404, "NoSuchNamespaceException").contains("Create it, or restore under a name in another"));
    for bad in [json!({ "identifier": 1 }), json!({ "identifier": { "namespace": [], "name": "t" } }), json!([])] {
        restore(bad).await.error(400, "BadRequestException");
    }
    let id = format!("{DROPPED}/x");
    catalog.get(&tenant.key, &id).await.error(400, "BadRequestException");
    let never = format!("{DROPPED}/00000000-0000-0000-0000-000000000000");
    catalog.get(&tenant.key, &never).await.error(404, "NoSuchTableException");

    catalog.post(&tenant.key, "/v1/namespaces", &json!({ "namespace": ["new"] })).await.ok(200);
    restore(json!({ "identifier": { "namespace": ["new"], "name": "again" } })).await.ok(204);
    catalog.get(&tenant.key, "/v1/namespaces/new/tables/again").await.ok(200);
}

#[tokio::test]
async fn restored_table_counts_towards_the_limit_and_dropped_one_does_not() {
    let catalog = Catalog::with(|config| {
        let tiny = config.tiers.get_mut("tiny").unwrap();
        tiny.requests_per_day = None;
    })
    .await;
    let tenant = catalog.tenant("acme", "tiny").await;
    catalog.with_table(&tenant).await;
    catalog.delete(&tenant.key, "/v1/namespaces/ns/tables/t").await.ok(204);
    for name in ["a", "b"] {
        catalog.post(&tenant.key, "/v1/namespaces/ns/tables", &create_table(name)).await.ok(200);
    }
    let [entry] = dropped(&catalog, &tenant).await.try_into().unwrap();
    let full = catalog.post(&tenant.key, &at(&entry, "/restore"), &json!({})).await;
    assert!(full.error(403, "ForbiddenException").contains("Your tier includes 2 tables"));
}

#[tokio::test]
async fn table_created_at_a_dropped_tables_location_takes_it_over() {
    let catalog = Catalog::new().await;
    for (name, purge) in [("a", "false"), ("b", "true")] {
        let tenant = catalog.tenant(name, "enterprise").await;
        let writer = catalog.key(tenant.organisation, Role::Writer, None).await;
        let old = catalog.with_table(&tenant).await;
        let location = old["metadata"]["location"].clone();
        catalog.delete(&writer, &format!("/v1/namespaces/ns/tables/t?purgeRequested={purge}")).await.ok(204);
        let mut request = create_table(name);
        request["location"] = location.clone();
        let new = catalog.post(&writer, "/v1/namespaces/ns/tables", &request).await.ok(200);
        assert_eq!(new["metadata"]["location"], location);

        let [entry] = dropped(&catalog, &tenant).await.try_into().unwrap();
        let told = json!(format!("Its location was given to table ns.{name}"));
        assert_eq!(
            (&entry["state"], &entry["restorable"], &entry["message"]),
            (&json!("replaced"), &json!(false), &told)
        );
        let refused = catalog.post(&writer, &at(&entry, "/restore"), &json!({})).await;
        let why = refused.error(409, "NotRestorableException");
        assert!(why.contains(&format!("given to table ns.{name}")), "{why}");
        // A purge does not remove the files of the new table, either.
        catalog.delete(&tenant.key, &at(&entry, "?purge-requested=true")).await.ok(204);
        catalog.app.maintenance().sweep().await;
        for document in [&old, &new] {
            assert!(path_of(&document["metadata-location"]).exists(), "{purge}");
        }
        assert_eq!(dropped(&catalog, &tenant).await, [] as [Value; 0]);
        catalog
            .post(
                &writer,
                &format!("/v1/namespaces/ns/tables/{name}"),
                &json!({ "updates": [
            { "action": "set-properties", "updates": { "k": "v" } }], "requirements": [] }),
            )
            .await
            .ok(200);
    }
}

#[tokio::test]
async fn staged_table_takes_over_a_dropped_tables_location_with_its_first_commit() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let old = catalog.with_table(&tenant).await;
    catalog.delete(&tenant.key, "/v1/namespaces/ns/tables/t?purgeRequested=true").await.ok(204);
    let mut request = create_table("t");
    request["location"] = old["metadata"]["location"].clone();
    request["stage-create"] = json!(true);
    let staged = catalog.post(&tenant.key, "/v1/namespaces/ns/tables", &request).await.ok(200);
    let [entry] = dropped(&catalog, &tenant).await.try_into().unwrap();
    assert_eq!(entry["restorable"], true, "a staged create takes over no location");
    let metadata = &staged["metadata"];
    let updates = json!([
        { "action": "assign-uuid", "uuid": metadata["table-uuid"] },
        { "action": "upgrade-format-version", "format-version": 2 },
        { "action": "set-location", "location": metadata["location"] },
        { "action": "add-schema", "schema": metadata["schemas"][0] }, { "action": "set-current-schema", "schema-id": -1 },
        { "action": "add-spec", "spec": metadata["partition-specs"][0] }, { "action": "set-default-spec", "spec-id": -1 },
        { "action": "add-sort-order", "sort-order": metadata["sort-orders"][0] },
        { "action": "set-default-sort-order", "sort-order-id": -1 }
    ]);
    let commit = json!({ "requirements": [{ "type": "assert-create" }], "updates": updates });
    catalog.post(&tenant.key, "/v1/namespaces/ns/tables/t", &commit).await.ok(200);
    let [entry] = dropped(&catalog, &tenant).await.try_into().unwrap();
    assert_eq!(entry["state"], "replaced");
}

#[tokio::test]
async fn view_is_dropped_and_created_again_at_its_location() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    let create = async || {
        let mut request = create_view("v", "select 1");
        let table = catalog.get(&tenant.key, "/v1/namespaces/ns/tables/t").await.ok(200);
        let folder = table["metadata"]["location"].as_str().unwrap().rsplit_once('/').unwrap().0.to_owned();
        // The location contains a table. That is allowed, since a view has no data files.
        request["location"] = json!(folder);
        catalog.post(&tenant.key, "/v1/namespaces/ns/views", &request).await
    };
    let root = create().await;
    assert!(
        root.error(400, "BadRequestException").contains("outside of its warehouse"),
        "no view may be at the warehouse's root"
    );
    for _ in 0..2 {
        let mut request = create_view("v", "select 1");
        request["location"] = json!("views");
        catalog.post(&tenant.key, "/v1/namespaces/ns/views", &request).await.ok(200);
        let mut inside = create_table("inside");
        inside["location"] = json!("views/of-a-table");
        catalog.post(&tenant.key, "/v1/namespaces/ns/tables", &inside).await.ok(200);
        catalog.delete(&tenant.key, "/v1/namespaces/ns/tables/inside").await.ok(204);
        catalog.delete(&tenant.key, "/v1/namespaces/ns/views/v").await.ok(204);
    }
}

#[tokio::test]
async fn location_inside_a_restorable_table_is_refused() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let table = catalog.with_table(&tenant).await;
    catalog.delete(&tenant.key, "/v1/namespaces/ns/tables/t").await.ok(204);
    let location = table["metadata"]["location"].as_str().unwrap();
    let mut request = create_table("over");
    request["location"] = json!(format!("{location}/inside"));
    let refused = catalog.post(&tenant.key, "/v1/namespaces/ns/tables", &request).await;
    assert!(refused.error(400, "BadRequestException").contains("overlaps that of a dropped table"));
    let register = json!({ "name": "back", "metadata-location": table["metadata-location"] });
    catalog.post(&tenant.key, "/v1/namespaces/ns/register", &register).await.ok(200);
    assert_eq!(dropped(&catalog, &tenant).await[0]["state"], "replaced");
    assert_eq!(catalog.get(&tenant.key, "/v1/namespaces/ns/tables/back").await.ok(200), table);
}

#[tokio::test]
async fn unregistered_table_is_not_listed_as_dropped() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let table = catalog.with_table(&tenant).await;
    catalog.post(&tenant.key, "/v1/namespaces/ns/tables/t/unregister", &json!(null)).await.ok(200);
    assert_eq!(dropped(&catalog, &tenant).await, [] as [Value; 0]);
    assert!(path_of(&table["metadata-location"]).exists());
}

#[tokio::test]
async fn purge_requested_accepts_true_and_false_in_any_case_only() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.post(&tenant.key, "/v1/namespaces", &json!({ "namespace": ["ns"] })).await.ok(200);
    for (query, purge) in [
        ("", false),
        ("?purgeRequested=false", false),
        ("?purgeRequested=False", false),
        ("?purgeRequested=true", true),
        ("?purgeRequested=True", true),
        ("?purgeRequested=TRUE", true),
    ] {
        catalog.post(&tenant.key, "/v1/namespaces/ns/tables", &create_table("t")).await.ok(200);
        catalog.delete(&tenant.key, &format!("/v1/namespaces/ns/tables/t{query}")).await.ok(204);
        assert_eq!(dropped(&catalog, &tenant).await[0]["purge-requested"], purge, "{query}");
    }
    catalog.post(&tenant.key, "/v1/namespaces/ns/tables", &create_table("t")).await.ok(200);
    for wrong in ["yes", "1", "", "truee"] {
        let refused = catalog.delete(&tenant.key, &format!("/v1/namespaces/ns/tables/t?purgeRequested={wrong}")).await;
        assert!(refused.error(400, "BadRequestException").contains("true or false"), "{wrong}");
    }
    catalog.get(&tenant.key, "/v1/namespaces/ns/tables/t").await.ok(200);
}

#[tokio::test]
async fn purged_table_is_restorable_until_its_retention_ends_or_an_admin_removes_it() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let table = catalog.with_table(&tenant).await;
    let file = path_of(&table["metadata-location"]);
    let purge = async || catalog.delete(&tenant.key, "/v1/namespaces/ns/tables/t?purgeRequested=true").await.ok(204);
    purge().await;
    catalog.app.maintenance().sweep().await;
    assert!(file.exists());
    let [entry] = dropped(&catalog, &tenant).await.try_into().unwrap();
    catalog.post(&tenant.key, &at(&entry, "/restore"), &json!({})).await.ok(204);
    assert_eq!(catalog.get(&tenant.key, "/v1/namespaces/ns/tables/t").await.ok(200), table);

    purge().await;
    catalog.delete(&tenant.key, &at(&entry, "")).await.ok(204);
    let late = catalog.post(&tenant.key, &at(&entry, "/restore"), &json!({})).await;
    assert!(late.error(409, "NotRestorableException").contains("can no longer be restored"));
    catalog.app.maintenance().sweep().await;
    assert!(!file.exists());
    catalog.delete(&tenant.key, &at(&entry, "")).await.error(404, "NoSuchTableException");

    // The admin's request overrides the request of the drop.
    let kept = catalog.post(&tenant.key, "/v1/namespaces/ns/tables", &create_table("t")).await.ok(200);
    purge().await;
    let [entry] = dropped(&catalog, &tenant).await.try_into().unwrap();
    catalog.delete(&tenant.key, &at(&entry, "?purge-requested=false")).await.ok(204);
    catalog.app.maintenance().sweep().await;
    assert!(path_of(&kept["metadata-location"]).exists());
    assert_eq!(dropped(&catalog, &tenant).await, [] as [Value; 0]);
}

#[tokio::test]
async fn drop_without_a_retention_is_final() {
    let catalog = Catalog::with(|config| config.drop.retention_s = 0).await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let table = catalog.with_table(&tenant).await;
    catalog.delete(&tenant.key, "/v1/namespaces/ns/tables/t").await.ok(204);
    assert_eq!(dropped(&catalog, &tenant).await, [] as [Value; 0]);
    assert!(path_of(&table["metadata-location"]).exists());
    let mut same = create_table("u");
    same["location"] = table["metadata"]["location"].clone();
    let same = catalog.post(&tenant.key, "/v1/namespaces/ns/tables", &same).await.ok(200);
    catalog.delete(&tenant.key, "/v1/namespaces/ns/tables/u?purgeRequested=true").await.ok(204);
    let [entry] = dropped(&catalog, &tenant).await.try_into().unwrap();
    assert_eq!(entry["restorable"], false);
    catalog.app.maintenance().sweep().await;
    assert!(!path_of(&same["metadata-location"]).exists());
    assert!(
        path_of(&table["metadata-location"]).exists(),
        "the other table's file at the same place is not this one's"
    );
}

#[tokio::test]
async fn dropped_objects_are_listed_in_pages_by_namespace_and_type() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    catalog.post(&tenant.key, "/v1/namespaces", &json!({ "namespace": ["ns", "below"] })).await.ok(200);
    for number in 0..5 {
        let namespace = if number == 2 { "ns%1Fbelow" } else { "ns" };
        let tables = format!("/v1/namespaces/{namespace}/tables");
        let name = format!("t{number}");
        catalog.post(&tenant.key, &tables, &create_table(&name)).await.ok(200);
        catalog.delete(&tenant.key, &format!("{tables}/{name}")).await.ok(204);
    }
    let (mut token, mut names) = (String::new(), Vec::new());
    loop {
        let page = catalog.get(&tenant.key, &format!("{DROPPED}?page-size=2&page-token={token}")).await.ok(200);
        let entries = page["dropped"].as_array().unwrap();
        names.extend(entries.iter().map(|entry| entry["identifier"]["name"].as_str().unwrap().to_owned()));
        let Some(next) = page["next-page-token"].as_str() else { break };
        assert_eq!(entries.len(), 2);
        token = next.to_owned();
    }
    names.sort();
    assert_eq!(names, ["t0", "t1", "t2", "t3", "t4"]);
    let count = async |query: &str| {
        let page = catalog.get(&tenant.key, &format!("{DROPPED}?{query}")).await.ok(200);
        page["dropped"].as_array().unwrap().len()
    };
    assert_eq!(count("namespace=ns").await, 4);
    assert_eq!(count("namespace=ns%1Fbelow").await, 1);
    assert_eq!((count("type=table").await, count("type=view").await), (5, 0));
    for wrong in ["type=x", "namespace=", "page-token=x", "page-size=0"] {
        catalog.get(&tenant.key, &format!("{DROPPED}?{wrong}")).await.error(400, "BadRequestException");
    }
}

#[tokio::test]
async fn writer_may_restore_but_only_an_admin_may_remove_dropped_tables() {
    let catalog = Catalog::new().await;
    let (ann, bob) = (catalog.tenant("ann", "enterprise").await, catalog.tenant("bob", "enterprise").await);
    catalog.warehouse(ann.organisation, "anns").await;
    catalog.with_table(&ann).await;
    catalog.delete(&ann.key, "/v1/namespaces/ns/tables/t").await.ok(204);
    let [entry] = dropped(&catalog, &ann).await.try_into().unwrap();
    let routes = [
        (Method::GET, DROPPED.to_owned()),
        (Method::GET, at(&entry, "")),
        (Method::POST, at(&entry, "/restore")),
        (Method::DELETE, at(&entry, "")),
        (Method::GET, "/management/v1/warehouses/main/metrics".to_owned()),
    ];
    for (role, refused_routes, enough) in [
        (Role::Reader, &routes[..3], "'writer' or 'admin'"),
        (Role::Reader, &routes[3..], "'admin'"),
        (Role::Writer, &routes[3..], "'admin'"),
    ] {
        let key = catalog.key(ann.organisation, role, None).await;
        for (method, path) in refused_routes {
            let refused = catalog.bytes(&key, method.clone(), path, "").await;
            let message = refused.error(403, "ForbiddenException");
            assert!(message.ends_with(&format!("use a key with the role {enough}")), "{path}: {message}");
        }
    }
    // A caller who may drop a table may restore it.
    let writer = catalog.key(ann.organisation, Role::Writer, None).await;
    catalog.get(&writer, DROPPED).await.ok(200);
    assert_eq!(catalog.get(&writer, &at(&entry, "")).await.ok(200), entry);
    catalog.bytes(&writer, Method::POST, &at(&entry, "/restore"), "").await.ok(204);
    catalog.delete(&writer, "/v1/namespaces/ns/tables/t").await.ok(204);
    let [entry] = dropped(&catalog, &ann).await.try_into().unwrap();
    // Objects of another organisation stay hidden, even in a warehouse of the same name.
    assert_eq!(dropped(&catalog, &bob).await, [] as [Value; 0]);
    for (method, path) in &routes[1..4] {
        catalog.bytes(&bob.key, method.clone(), path, "").await.error(404, "NoSuchTableException");
    }
    let foreign = catalog.get(&bob.key, "/management/v1/warehouses/anns/dropped").await;
    foreign.error(404, "NoSuchWarehouseException");
    assert_eq!(dropped(&catalog, &ann).await, [entry]);

    let config = catalog.get(&ann.key, "/v1/config").await.ok(200);
    assert!(!config.to_string().contains("management"), "{config}");
}

#[tokio::test]
async fn repeated_drops_and_restores_with_a_key_get_the_same_response() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    let keyed = async |number: u8, method: Method, path: &str| {
        let key = format!("017f22e2-79b0-7cc3-98c4-dc0c0c0739{number:02}");
        catalog.with_headers(&tenant.key, method, path, &[("idempotency-key", &key)]).await.ok(204)
    };
    let table = "/v1/namespaces/ns/tables/t?purgeRequested=true";
    keyed(1, Method::DELETE, table).await;
    catalog.post(&tenant.key, "/v1/namespaces/ns/tables", &create_table("t")).await.ok(200);
    keyed(1, Method::DELETE, table).await;
    catalog.get(&tenant.key, "/v1/namespaces/ns/tables/t").await.ok(200);
    catalog.delete(&tenant.key, "/v1/namespaces/ns/tables/t").await.ok(204);
    let first = &dropped(&catalog, &tenant).await[1];
    let restore = at(first, "/restore");
    keyed(2, Method::POST, &restore).await;
    catalog.delete(&tenant.key, table).await.ok(204);
    keyed(2, Method::POST, &restore).await;
    catalog.get(&tenant.key, "/v1/namespaces/ns/tables/t").await.error(404, "NoSuchTableException");
    keyed(3, Method::DELETE, &at(first, "?purgeRequested=false")).await;
    keyed(3, Method::DELETE, &at(first, "?purgeRequested=false")).await;
}
