//! Attacks as requests: names that belonged to another object, names that look alike, and names in bodies.

use axum::http::{Method, Request};
use serde_json::{Value, json};
use tidewater_core::access::{Privilege, Role, Securable};

use super::team::{NAMESPACE, TABLE, Team, VIEW, namespace};
use crate::support::{Answer, Catalog, create_table, create_view};

const ACME: &str = "/management/v1/organisations/acme";
const LAKE: &str = "/management/v1/organisations/acme/warehouses/lake";
const TABLES: &str = "/v1/namespaces/a%1Fb/tables";

async fn acme(catalog: &Catalog) -> Team<'_> {
    let organisation = catalog.organisation("acme", "enterprise").await;
    catalog.warehouse(organisation, "lake").await;
    Team::of(catalog, organisation).await
}

async fn put(catalog: &Catalog, key: &str, path: &str, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    catalog.bytes(key, Method::PUT, path, body).await
}

/// Creates a key over the API, with a principal role and a catalog role of its own name. Returns the key.
async fn member(team: &Team<'_>, name: &str) -> String {
    let (catalog, admin) = (team.catalog, &team.admin);
    let made = catalog.post(admin, &format!("{ACME}/keys"), &json!({ "name": name, "role": "none" })).await.ok(200);
    catalog.post(admin, &format!("{ACME}/principal-roles"), &json!({ "name": name })).await.ok(200);
    catalog.post(admin, &format!("{LAKE}/catalog-roles"), &json!({ "name": name })).await.ok(200);
    put(catalog, admin, &format!("{ACME}/principal-roles/{name}/principals/{name}"), &Value::Null).await.ok(204);
    put(catalog, admin, &format!("{LAKE}/catalog-roles/{name}/principal-roles/{name}"), &Value::Null).await.ok(204);
    let grant = json!({ "privilege": "TABLE_READ_DATA", "type": "namespace", "namespace": ["a", "b"] });
    put(catalog, admin, &format!("{LAKE}/catalog-roles/{name}/grants"), &grant).await.ok(204);
    let key = made["api_key"].as_str().unwrap().to_owned();
    catalog.get(&key, TABLE).await.ok(200);
    key
}

#[tokio::test]
async fn recreated_table_or_view_of_the_same_name_is_hidden() {
    let catalog = Catalog::new().await;
    let team = Team::new(&catalog).await;
    let b = namespace(&["a", "b"]);
    team.grant(Securable::Table(team.table(&b, "t").await, None), Privilege::TableWriteData).await;
    team.grant(Securable::View(team.table(&b, "v").await, None), Privilege::ViewWriteProperties).await;
    for (path, list, body, kind) in [
        (TABLE, TABLES, create_table("t"), "NoSuchTableException"),
        (VIEW, "/v1/namespaces/a%1Fb/views", create_view("v", "select 2"), "NoSuchViewException"),
    ] {
        team.get(path).await.ok(200);
        team.catalog.delete(&team.admin, path).await.ok(204);
        team.catalog.post(&team.admin, list, &body).await.ok(200);
        team.get(path).await.error(404, kind);
        let commit =
            json!({ "requirements": [], "updates": [{ "action": "set-properties", "updates": { "k": "v" } }] });
        team.ask(Method::POST, path, &commit).await.error(404, kind);
        let listed = team.get(list).await.json();
        assert!(!listed.to_string().contains("\"name\""), "{listed}");
    }
}

#[tokio::test]
async fn recreated_namespace_of_the_same_name_has_no_grants_and_another_owner() {
    let catalog = Catalog::new().await;
    let team = Team::new(&catalog).await;
    const EMPTY: &str = "/v1/namespaces/a%1Fb%1Fempty";
    team.grant_on(&["a", "b", "empty"], Privilege::CatalogManageContent).await;
    team.get(EMPTY).await.ok(200);
    let again = json!({ "namespace": ["a", "b", "empty"] });
    team.catalog.delete(&team.admin, EMPTY).await.ok(204);
    team.catalog.post(&team.admin, "/v1/namespaces", &again).await.ok(200);
    team.get(EMPTY).await.error(404, "NoSuchWarehouseException");

    // A namespace of its own, dropped by an admin and created again by another.
    team.grant_on(&["a", "b"], Privilege::NamespaceCreate).await;
    let own = json!({ "namespace": ["a", "b", "own"] });
    team.ask(Method::POST, "/v1/namespaces", &own).await.ok(200);
    team.revoke_all().await;
    const OWN: &str = "/v1/namespaces/a%1Fb%1Fown";
    team.get(OWN).await.ok(200);
    team.catalog.delete(&team.admin, OWN).await.ok(204);
    team.get(OWN).await.error(404, "NoSuchWarehouseException");
    team.catalog.post(&team.admin, "/v1/namespaces", &own).await.ok(200);
    team.get(OWN).await.error(404, "NoSuchWarehouseException");
}

#[tokio::test]
async fn view_moved_out_of_a_granted_namespace_is_hidden() {
    let catalog = Catalog::new().await;
    let team = Team::new(&catalog).await;
    team.grant_on(&["a", "b"], Privilege::ViewWriteProperties).await;
    team.get(VIEW).await.ok(200);
    let rename = json!({ "source": { "namespace": ["a", "b"], "name": "v" },
                         "destination": { "namespace": ["a", "bc"], "name": "moved" } });
    team.ask(Method::POST, "/v1/views/rename", &rename).await.error(403, "ForbiddenException");
    team.catalog.post(&team.admin, "/v1/views/rename", &rename).await.ok(204);
    team.get(VIEW).await.error(404, "NoSuchViewException");
    team.get("/v1/namespaces/a%1Fbc/views/moved").await.error(404, "NoSuchViewException");
    team.get("/v1/namespaces/a%1Fbc/views").await.error(404, "NoSuchNamespaceException");
}

#[tokio::test]
async fn recreated_role_of_the_same_name_has_no_members_and_no_grants() {
    let catalog = Catalog::new().await;
    let team = acme(&catalog).await;
    let key = member(&team, "etl").await;
    for role in [format!("{LAKE}/catalog-roles"), format!("{ACME}/principal-roles")] {
        catalog.get(&key, TABLE).await.ok(200);
        catalog.delete(&team.admin, &format!("{role}/etl")).await.ok(204);
        catalog.get(&key, TABLE).await.error(404, "NoSuchWarehouseException");
        catalog.post(&team.admin, &role, &json!({ "name": "etl" })).await.ok(200);
        catalog.get(&key, TABLE).await.error(404, "NoSuchWarehouseException");
        // Completes the new role, for the next turn.
        let grant = json!({ "privilege": "TABLE_READ_DATA", "type": "namespace", "namespace": ["a", "b"] });
        put(&catalog, &team.admin, &format!("{LAKE}/catalog-roles/etl/grants"), &grant).await.ok(204);
        put(&catalog, &team.admin, &format!("{LAKE}/catalog-roles/etl/principal-roles/etl"), &Value::Null)
            .await
            .ok(204);
        put(&catalog, &team.admin, &format!("{ACME}/principal-roles/etl/principals/etl"), &Value::Null).await.ok(204);
    }
    catalog.get(&key, TABLE).await.ok(200);
}

#[tokio::test]
async fn recreated_warehouse_of_the_same_name_has_no_grants() {
    let catalog = Catalog::new().await;
    let team = acme(&catalog).await;
    let other = format!("{ACME}/warehouses/other");
    let body = json!({ "name": "other", "root": format!("file://{}/other", catalog.folder.path().display()) });
    let create = async || catalog.machine(Method::POST, &format!("{ACME}/warehouses"), &body).await.ok(200);
    create().await;
    let key = member(&team, "etl").await;
    let roles = format!("{other}/catalog-roles");
    let grant = json!({ "privilege": "CATALOG_MANAGE_CONTENT", "type": "catalog" });
    catalog.post(&team.admin, &roles, &json!({ "name": "all" })).await.ok(200);
    put(&catalog, &team.admin, &format!("{roles}/all/grants"), &grant).await.ok(204);
    put(&catalog, &team.admin, &format!("{roles}/all/principal-roles/etl"), &Value::Null).await.ok(204);
    catalog.get(&key, "/v1/other/namespaces").await.ok(200);
    catalog.delete(&team.admin, &other).await.ok(204);
    catalog.get(&key, "/v1/other/namespaces").await.error(404, "NoSuchWarehouseException");
    create().await;
    catalog.get(&key, "/v1/other/namespaces").await.error(404, "NoSuchWarehouseException");
    assert_eq!(catalog.get(&team.admin, &roles).await.ok(200)["roles"], json!([]));
    catalog.get(&key, TABLE).await.ok(200);
}

#[tokio::test]
async fn rotated_key_keeps_its_grants_and_a_new_key_of_the_same_name_has_none() {
    let catalog = Catalog::new().await;
    let team = acme(&catalog).await;
    let first = member(&team, "etl").await;
    let keys = format!("{ACME}/keys");
    let rotated = catalog.post(&team.admin, &format!("{keys}/etl/rotate"), &json!({ "overlap-s": 0 })).await.ok(200);
    let rotated = rotated["api_key"].as_str().unwrap().to_owned();
    catalog.get(&rotated, TABLE).await.ok(200);
    catalog.get(&first, TABLE).await.error(401, "NotAuthorizedException");
    let token = token_of(&catalog, &rotated).await;
    catalog.get(&token, TABLE).await.ok(200);

    catalog.delete(&team.admin, &format!("{keys}/etl")).await.ok(204);
    catalog.get(&rotated, TABLE).await.error(401, "NotAuthorizedException");
    catalog.get(&token, TABLE).await.error(401, "NotAuthorizedException");
    let new = catalog.post(&team.admin, &keys, &json!({ "name": "etl", "role": "none" })).await.ok(200);
    let new = new["api_key"].as_str().unwrap().to_owned();
    catalog.get(&new, TABLE).await.error(404, "NoSuchWarehouseException");
    // An assignment by name is for the principal of the key that has the name now.
    put(&catalog, &team.admin, &format!("{ACME}/principal-roles/etl/principals/etl"), &Value::Null).await.ok(204);
    catalog.get(&new, TABLE).await.ok(200);
    catalog.get(&rotated, TABLE).await.error(401, "NotAuthorizedException");
}

async fn token_of(catalog: &Catalog, key: &str) -> String {
    let form = format!("grant_type=client_credentials&client_id=x&client_secret={key}");
    let request = Request::post("/v1/oauth/tokens")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form.into())
        .unwrap();
    catalog.send(request).await.ok(200)["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn names_that_look_like_a_granted_one_are_other_objects() {
    let catalog = Catalog::new().await;
    let team = Team::new(&catalog).await;
    let others: [&[&str]; 6] = [&["a.b"], &["A"], &["A", "b"], &["a", "B"], &["a", "b "], &["a", "\u{e9}"]];
    for levels in others {
        catalog.post(&team.admin, "/v1/namespaces", &json!({ "namespace": levels })).await.ok(200);
    }
    catalog.post(&team.admin, "/v1/namespaces", &json!({ "namespace": ["a", "e\u{301}"] })).await.ok(200);
    for path in ["a.b", "A", "A%1Fb", "a%1FB", "a%1Fb%20", "a%1F%C3%A9", "a%1Fe%CC%81"] {
        catalog.post(&team.admin, &format!("/v1/namespaces/{path}/tables"), &create_table("t")).await.ok(200);
    }
    team.grant_on(&["a", "b"], Privilege::CatalogManageContent).await;
    team.grant_on(&["a", "\u{e9}"], Privilege::TableReadData).await;
    team.get("/v1/namespaces/a%1F%C3%A9/tables/t").await.ok(200);
    for path in ["a.b", "A", "A%1Fb", "a%1FB", "a%1Fb%20", "a%1Fe%CC%81", "a%1Fbc", "a"] {
        let table = team.get(&format!("/v1/namespaces/{path}/tables/t")).await;
        table.error(404, "NoSuchTableException");
    }
    // One object in several spellings of the path, and names that a lax reader would take for it.
    for path in
        ["/v1/namespaces/a%1fb/tables/t", "/v1/namespaces/%61%1F%62/tables/%74", "/v1/lake/namespaces/a%1Fb/tables/t"]
    {
        team.get(path).await.ok(200);
    }
    for name in ["..%2Fbc%2Ftables%2Ft", "t%2F", "t%00", "%2E%2E", "t%1F", "T", "t%20", "t;x=1"] {
        let status = team.get(&format!("{TABLES}/{name}")).await.status.as_u16();
        assert!([400, 404].contains(&status), "{name}: {status}");
    }
    for namespace in ["a%1Fb%1F", "%1Fa%1Fb", "a%1F%1Fb", "a%251Fb", "a%2Fb", "a%1F..%1Fa%1Fb", "a%2Eb"] {
        let status = team.get(&format!("/v1/namespaces/{namespace}/tables/t")).await.status.as_u16();
        assert!([400, 404].contains(&status), "{namespace}: {status}");
    }
    let status = team.get("/v1/namespaces/a%1Fb/../a%1Fbc/tables/t").await.status.as_u16();
    assert!([400, 404].contains(&status), "{status}");
}

#[tokio::test]
async fn grant_with_a_name_that_looks_like_another_is_on_that_name_alone() {
    let catalog = Catalog::new().await;
    let team = acme(&catalog).await;
    let grants = format!("{LAKE}/catalog-roles/team/grants");
    let grant = |levels: &[&str]| json!({ "privilege": "TABLE_READ_DATA", "type": "namespace", "namespace": levels });
    let exist: [&[&str]; 2] = [&["a.b"], &["A"]];
    for levels in exist {
        catalog.post(&team.admin, "/v1/namespaces", &json!({ "namespace": levels })).await.ok(200);
        put(&catalog, &team.admin, &grants, &grant(levels)).await.ok(204);
    }
    team.get(TABLE).await.error(404, "NoSuchTableException");
    let refused: [&[&str]; 7] = [&["a\u{1F}b"], &["a/b"], &[""], &[], &["a", ""], &["a%1Fb"], &["\u{ff41}", "b"]];
    for levels in refused {
        let status = put(&catalog, &team.admin, &grants, &grant(levels)).await.status.as_u16();
        assert!([400, 404].contains(&status), "{levels:?}: {status}");
    }
    team.get(TABLE).await.error(404, "NoSuchTableException");
    let long = "x".repeat(5_000);
    let status = put(&catalog, &team.admin, &grants, &grant(&[&long])).await.status.as_u16();
    assert!([400, 404].contains(&status), "{status}");
    for body in [
        json!({ "privilege": long, "type": "catalog" }),
        json!({ "privilege": "TABLE_LIST", "type": long }),
        json!({ "privilege": "TABLE_LIST", "type": "catalog", "namespace": ["a"] }),
        json!({ "privilege": "TABLE_LIST", "type": "namespace", "namespace": ["a"], "name": "t" }),
        json!({ "privilege": "TABLE_LIST", "type": "table", "namespace": ["a"] }),
        json!({ "privilege": "TABLE_LIST", "type": "catalog", "role": "other" }),
        json!([]),
    ] {
        let refused = put(&catalog, &team.admin, &grants, &body).await;
        assert!(refused.status == 400 || refused.status == 422, "{body}: {}", refused.status);
        assert!(refused.bytes.len() < 8_192, "an answer of {} bytes", refused.bytes.len());
    }
}

#[tokio::test]
async fn repeated_query_parameter_is_refused_or_means_one_thing() {
    let catalog = Catalog::new().await;
    let team = acme(&catalog).await;
    team.grant_on(&["a", "bc"], Privilege::TableWriteData).await;
    for path in [
        "/v1/namespaces?parent=a%1Fbc&parent=a%1Fb",
        "/v1/namespaces?parent=a%1Fb&parent=a%1Fbc",
        "/v1/config?warehouse=lake&warehouse=absent",
        "/management/v1/warehouses/lake/dropped?namespace=a%1Fbc&namespace=a%1Fb",
    ] {
        let answer = team.get(path).await;
        assert_eq!(answer.status, 400, "{path}: {answer:?}");
    }
    let twice = format!("{TABLES}/t?purgeRequested=false&purgeRequested=true");
    assert!([400, 404].contains(&team.ask(Method::DELETE, &twice, &Value::Null).await.status.as_u16()));
    let admins = format!("{LAKE}/access?action=load-table&principal=x&principal=y");
    catalog.get(&team.admin, &admins).await.error(400, "BadRequestException");
    let admins = catalog.delete(&team.admin, &twice).await;
    assert_eq!(admins.status, 400, "{admins:?}");
}

#[tokio::test]
async fn commit_to_one_table_that_names_another_in_its_body_changes_only_that_of_the_path() {
    let catalog = Catalog::new().await;
    let team = Team::new(&catalog).await;
    team.grant_on(&["a", "b"], Privilege::CatalogManageContent).await;
    let other = |name: &str| json!({ "namespace": ["a", "bc"], "name": name });
    let commit = |name: &str| {
        json!({ "identifier": other(name), "requirements": [],
            "updates": [{ "action": "set-properties", "updates": { "stolen": "yes" } }] })
    };
    for (path, name) in [(TABLE, "t"), (VIEW, "v")] {
        team.ask(Method::POST, path, &commit(name)).await.ok(200);
        let beside = catalog.get(&team.admin, &path.replace("a%1Fb/", "a%1Fbc/")).await.ok(200);
        assert!(!beside.to_string().contains("stolen"), "{beside}");
    }
    // All or nothing, also if only the last of many is hidden.
    let change = |namespace: &str| {
        json!({ "identifier": { "namespace": ["a", namespace], "name": "t" }, "requirements": [],
            "updates": [{ "action": "set-properties", "updates": { "all": "yes" } }] })
    };
    let all = json!({ "table-changes": [change("b"), change("b"), change("bc")] });
    team.ask(Method::POST, "/v1/transactions/commit", &all).await.error(404, "NoSuchTableException");
    let loaded = catalog.get(&team.admin, TABLE).await.ok(200);
    assert!(loaded["metadata"]["properties"].get("all").is_none());
}

#[tokio::test]
async fn registration_needs_the_privilege_to_commit_to_the_table_that_it_replaces() {
    let catalog = Catalog::new().await;
    let team = Team::new(&catalog).await;
    catalog.post(&team.admin, TABLES, &create_table("gone")).await.ok(200);
    let gone = catalog.post(&team.admin, &format!("{TABLES}/gone/unregister"), &json!({})).await.ok(200);
    team.grant_on(&["a", "b"], Privilege::TableCreate).await;
    const REGISTER: &str = "/v1/namespaces/a%1Fb/register";
    let over = json!({ "name": "t", "overwrite": true, "metadata-location": gone["metadata-location"] });
    let message = team.ask(Method::POST, REGISTER, &over).await.error(403, "ForbiddenException");
    assert!(message.contains("TABLE_WRITE_PROPERTIES on table 'a.b.t'"), "{message}");
    let hidden = team.ask(Method::POST, "/v1/namespaces/a%1Fbc/register", &over).await;
    hidden.error(404, "NoSuchNamespaceException");
    // The files of a table that the principal does not see cannot be registered under another name.
    let beside = catalog.get(&team.admin, "/v1/namespaces/a%1Fbc/tables/t").await.ok(200);
    let steal = json!({ "name": "stolen", "metadata-location": beside["metadata-location"] });
    let message = team.ask(Method::POST, REGISTER, &steal).await.error(400, "BadRequestException");
    assert!(!message.contains("a.bc"), "the message names the other table: {message}");
    team.grant_on(&["a", "b"], Privilege::TableWriteProperties).await;
    team.ask(Method::POST, REGISTER, &over).await.ok(200);
}

#[tokio::test]
async fn view_gives_no_access_to_the_table_behind_it() {
    let catalog = Catalog::new().await;
    let team = Team::new(&catalog).await;
    team.grant_on(&["a", "b"], Privilege::ViewFullMetadata).await;
    let hidden = "/v1/namespaces/a%1Fbc/tables/t";
    for views in ["a%251Fb%251Fv", "a%251Fb%251Fabsent", "a%251Fbc%251Fv"] {
        for below in ["", "/credentials"] {
            let through = team.get(&format!("{hidden}{below}?referenced-by={views}")).await;
            assert!([400, 404].contains(&through.status.as_u16()), "{views}: {through:?}");
        }
    }
    let all = team.get(&format!("{TABLE}?referenced-by=a%251Fb%251Fv")).await;
    assert!([400, 404].contains(&all.status.as_u16()), "{all:?}");
}

#[tokio::test]
async fn dropped_table_of_another_team_is_neither_shown_nor_restored() {
    let catalog = Catalog::new().await;
    let team = Team::new(&catalog).await;
    let hidden = team.table(&namespace(&["a", "bc"]), "t").await;
    catalog.delete(&team.admin, "/v1/namespaces/a%1Fbc/tables/t").await.ok(204);
    team.grant_on(&["a", "b"], Privilege::CatalogManageContent).await;
    let path = format!("/management/v1/warehouses/lake/dropped/{hidden}");
    team.get(&path).await.error(404, "NoSuchTableException");
    let here = json!({ "identifier": { "namespace": ["a", "b"], "name": "stolen" } });
    team.ask(Method::POST, &format!("{path}/restore"), &here).await.error(404, "NoSuchTableException");
    team.ask(Method::DELETE, &path, &Value::Null).await.error(403, "ForbiddenException");
    let listed = team.get("/management/v1/warehouses/lake/dropped").await.ok(200);
    assert_eq!((&listed["dropped"], &listed["next-page-token"]), (&json!([]), &Value::Null));
    // The own one goes back only where the principal may create.
    let own = team.table(&namespace(&["a", "b"]), "t").await;
    team.ask(Method::DELETE, TABLE, &Value::Null).await.ok(204);
    let there = json!({ "identifier": { "namespace": ["a", "bc"], "name": "t" } });
    let path = format!("/management/v1/warehouses/lake/dropped/{own}/restore");
    team.ask(Method::POST, &path, &there).await.error(404, "NoSuchNamespaceException");
    team.ask(Method::POST, &path, &json!({})).await.ok(204);
    team.get(NAMESPACE).await.ok(200);
}

#[tokio::test]
async fn manager_of_access_to_one_object_reaches_no_other() {
    let catalog = Catalog::new().await;
    let team = acme(&catalog).await;
    let b = namespace(&["a", "b"]);
    team.grant(Securable::Table(team.table(&b, "t").await, None), Privilege::CatalogManageAccess).await;
    let grants = format!("{LAKE}/catalog-roles/team/grants");
    let on = |kind: &str, levels: &[&str], name: Option<&str>| {
        let mut body = json!({ "privilege": "CATALOG_MANAGE_ACCESS", "type": kind, "namespace": levels });
        if let Some(name) = name {
            body["name"] = json!(name);
        }
        body
    };
    for (body, status) in [
        (on("table", &["a", "bc"], Some("t")), 404),
        (on("view", &["a", "b"], Some("v")), 404),
        (on("view", &["a", "b"], Some("t")), 404),
        (on("namespace", &["a", "b"], None), 403),
        (on("namespace", &["a", "bc"], None), 404),
        (json!({ "privilege": "CATALOG_MANAGE_ACCESS", "type": "catalog" }), 403),
    ] {
        for method in [Method::PUT, Method::POST] {
            let answer = team.ask(method.clone(), &grants, &body).await;
            assert_eq!(answer.status.as_u16(), status, "{method} {body}: {answer:?}");
        }
    }
    let own = json!({ "privilege": "TABLE_READ_DATA", "type": "table", "namespace": ["a", "b"], "name": "t" });
    team.ask(Method::PUT, &grants, &own).await.ok(204);
    team.get(TABLE).await.ok(200);
    let foreign = "/management/v1/organisations/other/warehouses/lake/catalog-roles/team/grants";
    catalog.organisation("other", "enterprise").await;
    let there = team.ask(Method::PUT, foreign, &own).await;
    let nowhere = team.ask(Method::PUT, &foreign.replace("other", "absent"), &own).await;
    assert_eq!((there.status.as_u16(), nowhere.status.as_u16()), (404, 404));
    assert_eq!(there.json().to_string().replace("other", "absent"), nowhere.json().to_string());
}

#[tokio::test]
async fn overlong_names_are_refused_before_they_are_looked_up() {
    let catalog = Catalog::new().await;
    let team = Team::new(&catalog).await;
    let nobody = catalog.key(team.organisation, Role::None, None).await;
    let long = "n".repeat(20_000);
    for path in [
        format!("/v1/namespaces/{long}"),
        format!("/v1/namespaces/a%1Fb/tables/{long}"),
        format!("/v1/namespaces?parent={long}"),
        format!("/v1/{long}/namespaces"),
        format!("/v1/config?warehouse={long}"),
        format!("/v1/namespaces/{}", "a%1F".repeat(5_000) + "a"),
        format!("/v1/namespaces/a%1Fb/tables?pageToken={long}"),
        format!("/management/v1/warehouses/{long}/dropped"),
    ] {
        for key in [&team.admin, &nobody] {
            let answer = catalog.get(key, &path).await;
            assert!([400, 404, 414].contains(&answer.status.as_u16()), "{}: {answer:?}", &path[..40]);
            assert!(answer.bytes.len() < 8_192, "{}: {} bytes", &path[..40], answer.bytes.len());
        }
    }
}
