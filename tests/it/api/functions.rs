//! `/v1/namespaces/{namespace}/functions` and `.../tables/{table}/credentials`

use serde_json::json;

use crate::support::Catalog;

#[tokio::test]
async fn namespace_has_an_empty_list_of_functions() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    let listed = catalog.get(&tenant.key, "/v1/namespaces/ns/functions?pageToken=").await.ok(200);
    assert_eq!(listed, json!({ "identifiers": [], "next-page-token": null }));
    let none = catalog.get(&tenant.key, "/v1/namespaces/ns/functions/f").await;
    assert_eq!(none.error(404, "NoSuchFunctionException"), "Function does not exist: ns.f");
    for path in ["functions", "functions/f"] {
        let nowhere = catalog.get(&tenant.key, &format!("/v1/namespaces/none/{path}")).await;
        nowhere.error(404, "NoSuchNamespaceException");
    }
}

#[tokio::test]
async fn table_on_the_local_disk_has_no_credentials() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    catalog.with_table(&tenant).await;
    let given = catalog.get(&tenant.key, "/v1/namespaces/ns/tables/t/credentials").await.ok(200);
    assert_eq!(given, json!({ "storage-credentials": [] }));
    let none = catalog.get(&tenant.key, "/v1/namespaces/ns/tables/none/credentials").await;
    none.error(404, "NoSuchTableException");
}
