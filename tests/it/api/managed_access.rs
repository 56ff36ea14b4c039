//! Tests of the management of access below a warehouse, and of the limits on roles and grants.

use axum::http::Method;
use serde_json::{Value, json};

use super::engines::Company;
use crate::support::Catalog;

fn grant(privilege: &str, namespace: &str) -> String {
    json!({ "privilege": privilege, "type": "namespace", "namespace": [namespace] }).to_string()
}

#[tokio::test]
async fn manager_of_a_namespace_sees_the_roles_and_grants_that_it_needs_and_explains_there() {
    let catalog = Catalog::new().await;
    let company = Company::new(&catalog).await;
    company.objects(&["a", "b"], &["t"]).await;
    let steward = company.key("steward", "none").await;
    company.role("steward", "stewards").await;
    company.key("ana", "none").await;
    company.role("ana", "analysts").await;
    company.grant("stewards", "CATALOG_MANAGE_ACCESS", &["a"], None).await;
    company.grant("analysts", "TABLE_READ_DATA", &["b"], None).await;
    let lake = &company.lake;
    let roles = catalog.get(&steward, &format!("{lake}/catalog-roles")).await.ok(200);
    let names: Vec<&Value> = roles["roles"].as_array().unwrap().iter().map(|role| &role["name"]).collect();
    assert_eq!(names, ["analysts", "stewards"]);
    let grants = format!("{lake}/catalog-roles/analysts/grants");
    assert_eq!(catalog.get(&steward, &grants).await.ok(200)["grants"], json!([]), "the grant on b is not its own");
    catalog.bytes(&steward, Method::PUT, &grants, grant("TABLE_READ_DATA", "a")).await.ok(204);
    assert_eq!(catalog.get(&steward, &grants).await.ok(200)["grants"].as_array().unwrap().len(), 1);
    assert_eq!(catalog.get(&company.admin, &grants).await.ok(200)["grants"].as_array().unwrap().len(), 2);
    let members = format!("{lake}/catalog-roles/analysts/principal-roles");
    assert_eq!(catalog.get(&steward, &members).await.ok(200)["roles"][0]["name"], "analysts");

    let explain = |object: &str| format!("{lake}/access?action=load-table&{object}");
    let found = catalog.get(&steward, &explain("namespace=a&table=t")).await.ok(200);
    let principals = found["access"].as_array().unwrap().iter().map(|one| one["principal"]["name"].as_str().unwrap());
    assert!(principals.into_iter().any(|name| name == "ana"), "{found}");
    assert_eq!(catalog.get(&steward, &explain("namespace=b&table=t")).await.status.as_u16(), 404);
    assert_eq!(catalog.get(&steward, &format!("{lake}/access?action=load-namespace")).await.status.as_u16(), 403);
    // It cannot create roles or assign them.
    catalog
        .post(&steward, &format!("{lake}/catalog-roles"), &json!({ "name": "new" }))
        .await
        .error(403, "ForbiddenException");
    let assign = format!("{lake}/catalog-roles/analysts/principal-roles/stewards");
    catalog.bytes(&steward, Method::PUT, &assign, "").await.error(403, "ForbiddenException");
}

/// As in Polaris, CATALOG_MANAGE_ACCESS is enough to grant any privilege on the object, also to a role that one has.
#[tokio::test]
async fn manager_of_a_namespace_grants_itself_any_privilege_there_and_none_elsewhere() {
    let catalog = Catalog::new().await;
    let company = Company::new(&catalog).await;
    company.objects(&["a", "b"], &["t"]).await;
    let steward = company.key("steward", "none").await;
    company.role("steward", "stewards").await;
    company.grant("stewards", "CATALOG_MANAGE_ACCESS", &["a"], None).await;
    let grants = format!("{}/catalog-roles/stewards/grants", company.lake);
    catalog.get(&steward, "/v1/namespaces/a/tables/t").await.error(403, "ForbiddenException");
    catalog.bytes(&steward, Method::PUT, &grants, grant("TABLE_READ_DATA", "a")).await.ok(204);
    catalog.get(&steward, "/v1/namespaces/a/tables/t").await.ok(200);
    catalog
        .bytes(&steward, Method::PUT, &grants, grant("TABLE_READ_DATA", "b"))
        .await
        .error(404, "NoSuchNamespaceException");
    let on_warehouse = json!({ "privilege": "TABLE_READ_DATA", "type": "catalog" }).to_string();
    catalog.bytes(&steward, Method::PUT, &grants, on_warehouse).await.error(403, "ForbiddenException");
}

#[tokio::test]
async fn role_assignment_or_grant_beyond_the_limit_is_refused_until_one_is_removed() {
    let catalog = Catalog::with(|config| {
        config.access.principal_roles = 2;
        config.access.catalog_roles = 2;
        config.access.assignments = 4;
        config.access.grants = 2;
    })
    .await;
    let company = Company::new(&catalog).await;
    company.objects(&["a"], &["t"]).await;
    company.key("ana", "none").await;
    for role in ["one", "two"] {
        company.role("ana", role).await;
        company.grant(role, "TABLE_READ_DATA", &["a"], None).await;
    }
    let (admin, lake, organisation) = (&company.admin, &company.lake, &company.organisation);
    let new = json!({ "name": "three" });
    let (roles, catalog_roles) = (format!("{organisation}/principal-roles"), format!("{lake}/catalog-roles"));
    for (list, setting) in [(&roles, "access.principal_roles"), (&catalog_roles, "access.catalog_roles")] {
        let refused = catalog.post(admin, list, &new).await;
        assert_eq!(refused.status.as_u16(), 403);
        assert!(refused.json()["error"]["message"].as_str().unwrap().contains(setting));
    }
    let assign = format!("{lake}/catalog-roles/one/principal-roles/two");
    assert_eq!(catalog.bytes(admin, Method::PUT, &assign, "").await.status.as_u16(), 403);
    let grants = format!("{lake}/catalog-roles/one/grants");
    assert_eq!(catalog.bytes(admin, Method::PUT, &grants, grant("TABLE_DROP", "a")).await.status.as_u16(), 403);
    // A role takes its assignments and grants along.
    catalog.delete(admin, &format!("{catalog_roles}/two")).await.ok(204);
    catalog.bytes(admin, Method::PUT, &grants, grant("TABLE_DROP", "a")).await.ok(204);
    catalog.bytes(admin, Method::PUT, &assign, "").await.ok(204);
    catalog.delete(admin, &format!("{roles}/two")).await.ok(204);
    catalog.post(admin, &roles, &new).await.ok(200);
}
