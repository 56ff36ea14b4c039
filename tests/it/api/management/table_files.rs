//! The files of a table in the answer about its health, and the preview of its rows.

use axum::http::Method;
use serde_json::{Value, json};
use tidewater_core::access::Role;

use crate::support::snapshots::{Written, data_file, position_deletes};
use crate::support::{Catalog, Tenant};

const HEALTH: &str = "/management/v1/organisations/acme/warehouses/main/maintenance/health?namespace=ns&table=t";
const PREVIEW: &str = "/management/v1/warehouses/main/namespaces/ns/tables/t/preview";

/// Appends two partitions with files, and a delete file in one of them.
async fn with_files(catalog: &Catalog, tenant: &Tenant) {
    let table = Written { catalog, tenant, name: "t" };
    table.create().await;
    let file = |path: &str, day| data_file(&format!("file:///data/{path}.parquet"), day, 10, (0, 9));
    let groups = vec![vec![file("a", Some(20_484)), file("b", Some(20_484))], vec![file("c", None)]];
    table.commit("append", groups, vec![position_deletes("file:///data/d.parquet", 20_484, None)]).await;
}

#[tokio::test]
async fn health_has_the_files_by_size_and_by_partition() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    with_files(&catalog, &tenant).await;
    let health = catalog.get(&tenant.key, HEALTH).await.ok(200);
    assert_eq!((&health["manifests-read"], &health["partial"]), (&json!(3), &json!(false)));
    assert_eq!(health["sizes"][0], json!({ "below-bytes": 65_536, "files": 3, "bytes": 3_000 }));
    assert_eq!(health["sizes"][9], json!({ "below-bytes": null, "files": 0, "bytes": 0 }));
    let partition = |value: Value, files: u64, deletes: u64| {
        json!({ "spec-id": 0, "values": [{ "name": "day", "value": value }], "data-files": files, "data-bytes": files * 1_000,
            "data-records": files * 10, "delete-files": deletes })
    };
    let largest = [partition(json!("2026-01-31"), 2, 1), partition(Value::Null, 1, 0)];
    assert_eq!(health["partitions"], json!({ "counted": 2, "partial": false, "largest": largest }));
}

#[tokio::test]
async fn values_of_partitions_are_hidden_from_operators() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    with_files(&catalog, &tenant).await;
    let operator = catalog.operator().await;
    for health in
        [catalog.get(&operator, HEALTH).await.ok(200), catalog.machine(Method::GET, HEALTH, &Value::Null).await.ok(200)]
    {
        assert_eq!((&health["partitions"], &health["data-files"]), (&Value::Null, &json!(3)));
    }
}

#[tokio::test]
async fn preview_of_a_table_without_rows_has_its_columns_and_leaves_a_record() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    Written { catalog: &catalog, tenant: &tenant, name: "t" }.create().await;
    let reader = catalog.key(tenant.organisation, Role::Reader, None).await;
    let answer = catalog.get(&reader, PREVIEW).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    let column = |name: &str, kind: &str| json!({ "name": name, "type": kind });
    let columns = [column("id", "long"), column("text", "string"), column("day", "date")];
    let expected =
        json!({ "columns": columns, "left-out": [], "rows": [], "deletes-applied": false, "partial": false });
    assert_eq!(answer.ok(200), expected);
    catalog.app.audit().write().await.unwrap();
    let path = "/management/v1/organisations/acme/audit?operation=preview-table";
    let records = catalog.get(&tenant.key, path).await.ok(200);
    assert_eq!(records["records"][0]["object"], "ns.t", "{records}");
}

#[tokio::test]
async fn files_outside_of_the_table_are_not_previewed() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    with_files(&catalog, &tenant).await;
    let message = catalog.get(&tenant.key, PREVIEW).await.error(406, "UnsupportedOperationException");
    assert!(message.contains("outside of the table's locations"), "{message}");
}

#[tokio::test]
async fn preview_is_refused_without_the_privilege_with_a_restriction_and_if_it_is_off() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    Written { catalog: &catalog, tenant: &tenant, name: "t" }.create().await;
    let none = catalog.key(tenant.organisation, Role::None, None).await;
    catalog.get(&none, PREVIEW).await.error(404, "NoSuchWarehouseException");
    let acme = "/management/v1/organisations/acme";
    let set = async |method: Method, path: &str, body: Value| {
        let answer = catalog.machine(method, &format!("{acme}{path}"), &body).await;
        assert!(answer.status.is_success(), "{path}: {answer:?}");
        answer
    };
    let made = set(Method::POST, "/keys", json!({ "name": "writer", "role": "writer" })).await.json();
    let writer = made["api_key"].as_str().unwrap().to_owned();
    set(Method::POST, "/principal-roles", json!({ "name": "restricted" })).await;
    set(Method::PUT, "/principal-roles/restricted/principals/writer", Value::Null).await;
    catalog.get(&writer, PREVIEW).await.ok(200);
    let mask = json!({ "masks": [{ "column": "text", "action": "replace-with-null" }] });
    let path = "/warehouses/main/namespaces/ns/tables/t/restrictions/restricted";
    set(Method::PUT, path, mask).await;
    catalog.get(&writer, PREVIEW).await.error(403, "ForbiddenException");
    set(Method::PUT, "/trusted-engines/writer", Value::Null).await;
    let message = catalog.get(&writer, PREVIEW).await.error(403, "ForbiddenException");
    assert!(message.contains("restricted"), "also through a trusted engine: {message}");

    let off = Catalog::with(|config| config.console.preview_rows = 0).await;
    let tenant = off.tenant("acme", "enterprise").await;
    Written { catalog: &off, tenant: &tenant, name: "t" }.create().await;
    let message = off.get(&tenant.key, PREVIEW).await.error(403, "ForbiddenException");
    assert!(message.contains("console.preview_rows"), "{message}");
}
