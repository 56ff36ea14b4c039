//! A valid request for each row of `privileges.txt`.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};

use super::super::requests::{PLAN_ID, labels, restriction};
use super::expected::Row;
use crate::support::{create_table, create_view};

/// The names and ids in requests.
#[derive(Debug, Clone)]
pub(in super::super) struct Names {
    pub(in super::super) warehouse: String,
    pub(in super::super) namespace: Vec<String>,
    pub(in super::super) table: String,
    pub(in super::super) view: String,
    pub(in super::super) dropped: String,
    pub(in super::super) dropped_view: String,
    /// The metadata locations of an unregistered table and of a dropped view.
    pub(in super::super) table_metadata: Value,
    pub(in super::super) view_metadata: Value,
}

/// A namespace below that of the requests, without objects.
pub(super) const EMPTY: &str = "empty";
/// The name of what requests create.
pub(super) const NEW: &str = "new";
/// A principal role, a catalog role and a key without grants.
pub(super) const SPARE: &str = "spare";

/// Returns the request of a row as the holder of a key. With `prefix`, the path names the warehouse.
pub(in super::super) fn request(row: &Row, names: &Names, key: &str, prefix: bool) -> Request<Body> {
    let (method, template) = row.route.split_once(' ').unwrap();
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let path = path(row, template, names, prefix);
    let request = Request::builder().method(&method).uri(path).header("authorization", format!("Bearer {key}"));
    if row.route == "POST /v1/oauth/tokens" {
        let form = format!("grant_type=client_credentials&client_id=x&client_secret={key}");
        return request.header("content-type", "application/x-www-form-urlencoded").body(Body::from(form)).unwrap();
    }
    let body = match method {
        Method::GET | Method::HEAD | Method::DELETE => Body::empty(),
        _ => Body::from(body(row, names).to_string()),
    };
    request.header("content-type", "application/json").body(body).unwrap()
}

fn path(row: &Row, template: &str, names: &Names, prefix: bool) -> String {
    let mut levels = names.namespace.clone();
    if row.variant == EMPTY {
        levels.push(EMPTY.to_owned());
    }
    let dropped = if row.variant == "view" { &names.dropped_view } else { &names.dropped };
    let template = match prefix {
        true => template.replacen("/v1/", "/v1/{warehouse}/", 1),
        false => template.to_owned(),
    };
    let path = template
        .replace("{warehouse}", &names.warehouse)
        .replace("{organisation}", "acme")
        .replace("{namespace}", &levels.join("%1F"))
        .replace("{table}", &names.table)
        .replace("{view}", &names.view)
        .replace("{function}", "f")
        .replace("{plan-id}", PLAN_ID)
        .replace("{id}", dropped)
        .replace("{key}", SPARE)
        .replace("{principal-role}", SPARE)
        .replace("{catalog-role}", SPARE)
        .replace("{principal}", SPARE)
        .replace("{user}", SPARE)
        .replace("{operator}", SPARE)
        .replace("{subscription}", SPARE);
    assert!(!path.contains('{'), "a parameter without a value: {path}");
    match (row.route, row.variant) {
        ("GET /v1/config", _) => format!("{path}?warehouse={}", names.warehouse),
        ("GET /v1/namespaces", "parent") => format!("{path}?parent={}", levels.join("%1F")),
        (route, _) if route.ends_with("{warehouse}/labels") => path + "?key=owner",
        (route, _) if route.ends_with("{warehouse}/search") => path + "?name=t",
        (_, "purge") => path + "?purgeRequested=true",
        (route, _) if route.ends_with("/access") => {
            format!("{path}?action=load-table&namespace={}&table={}", levels.join("%1F"), names.table)
        }
        _ => path,
    }
}

fn body(row: &Row, names: &Names) -> Value {
    let ident = |name: &str| json!({ "namespace": names.namespace, "name": name });
    let rename = |from: &str| json!({ "source": ident(from), "destination": ident("renamed") });
    let set = json!([{ "action": "set-properties", "updates": { "a": "b" } }]);
    let requirements = if row.variant == "creating" { json!([{ "type": "assert-create" }]) } else { json!([]) };
    let commit = |name: &str| json!({ "identifier": ident(name), "requirements": requirements, "updates": set });
    match row.route {
        "POST /v1/namespaces" if row.variant == "top" => json!({ "namespace": [NEW] }),
        "POST /v1/namespaces" => {
            let levels = [&names.namespace[..], &[NEW.to_owned()]].concat();
            json!({ "namespace": levels })
        }
        "POST /v1/namespaces/{namespace}/properties" => json!({ "updates": { "a": "b" } }),
        "POST /v1/namespaces/{namespace}/tables" => {
            let mut body = create_table(NEW);
            body["stage-create"] = json!(row.variant == "staged");
            body
        }
        "POST /v1/namespaces/{namespace}/register" => {
            json!({ "name": NEW, "metadata-location": names.table_metadata })
        }
        "POST /v1/namespaces/{namespace}/tables/{table}" => json!({ "requirements": requirements, "updates": set }),
        "POST /v1/namespaces/{namespace}/tables/{table}/metrics" => {
            json!({ "report-type": "commit-report", "table-name": "t", "snapshot-id": 1, "sequence-number": 1,
                "operation": "append", "metrics": {} })
        }
        "POST /v1/namespaces/{namespace}/tables/{table}/plan" => json!({}),
        "POST /v1/namespaces/{namespace}/tables/{table}/tasks" => json!({ "plan-task": "x" }),
        "POST /v1/namespaces/{namespace}/tables/{table}/sign" => {
            json!({ "region": "a", "uri": "https://s3.example.com/b/t/a", "method": "GET", "headers": {} })
        }
        "POST /v1/tables/rename" => rename(&names.table),
        "POST /v1/transactions/commit" if row.variant == "two" => {
            json!({ "table-changes": [commit(&names.table), commit("sibling")] })
        }
        "POST /v1/transactions/commit" => json!({ "table-changes": [commit(&names.table)] }),
        "POST /v1/namespaces/{namespace}/views" => create_view(NEW, "select 1"),
        "POST /v1/namespaces/{namespace}/register-view" => {
            json!({ "name": NEW, "metadata-location": names.view_metadata })
        }
        "POST /v1/namespaces/{namespace}/views/{view}" => json!({ "requirements": [], "updates": set }),
        "POST /v1/events" => json!({}),
        "POST /v1/views/rename" => rename(&names.view),
        "POST /api/management/v1/catalogs/{warehouse}/catalog-roles" => json!({ "catalogRole": { "name": NEW } }),
        route if route.starts_with("PUT /api/") && route.contains("{principal-role}/catalog-roles/") => {
            json!({ "catalogRole": { "name": SPARE } })
        }
        route if route.starts_with("PUT /api/") && route.ends_with("/{catalog-role}") => {
            json!({ "currentEntityVersion": 1, "properties": {} })
        }
        route if route.contains(" /api/") && route.ends_with("/grants") => json!({ "grant": polaris_grant(names) }),
        route if route.ends_with("/catalog-roles") => json!({ "name": NEW }),
        route if route.ends_with("/grants") => grant(row.variant, names),
        route if route.starts_with("PUT ") && route.ends_with("/restrictions/{principal-role}") => restriction(),
        route if route.ends_with("/labels") => labels(route.split_once(' ').unwrap().0),
        _ => json!({}),
    }
}

fn grant(variant: &str, names: &Names) -> Value {
    let namespace = &names.namespace;
    match variant {
        "view" => json!({ "privilege": "VIEW_LIST", "type": "view", "namespace": namespace, "name": names.view }),
        "namespace" => json!({ "privilege": "TABLE_LIST", "type": "namespace", "namespace": namespace }),
        "warehouse" => json!({ "privilege": "TABLE_LIST", "type": "catalog" }),
        _ => json!({ "privilege": "TABLE_LIST", "type": "table", "namespace": namespace, "name": names.table }),
    }
}

fn polaris_grant(names: &Names) -> Value {
    json!({ "type": "table", "namespace": names.namespace, "tableName": names.table, "privilege": "TABLE_LIST" })
}
