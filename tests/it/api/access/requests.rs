//! A valid request for each route, with existing objects.

use serde_json::{Value, json};

use super::callers::Proof;
use super::objects::Objects;
use super::polaris;
use crate::support::{create_table, create_view};

/// The id of a plan.
pub(super) const PLAN_ID: &str = "01980000-0000-7000-8000-000000000001";

/// The content of a request besides its path.
pub(super) enum Content {
    Nothing,
    Json(Value),
    Form(String),
    /// JSON, or nothing if it is null, with the header `Polaris-Realm`.
    InRealm(String, Value),
}

/// Returns the path and the content of a request. Bodies with a credential contain that of the caller.
///
/// Add a line here for a new route with a body or with required query parameters.
pub(super) fn request(route: &str, objects: &Objects, proof: Proof<'_>) -> (String, Content) {
    let (method, template) = route.split_once(' ').unwrap();
    let route = &*route.replacen("/{prefix}", "", 1);
    let path = path(template, route, objects);
    let content = match method {
        _ if polaris::is_managed(route) => polaris::content(route, objects),
        "POST" | "PATCH" if route == "POST /v1/oauth/tokens" => {
            Content::Form(format!("grant_type=client_credentials&client_id={}", proof.text()))
        }
        "POST" | "PATCH" if template.starts_with("/v1/") => Content::Json(catalog_body(route, objects)),
        "POST" | "PATCH" => Content::Json(management_body(route, objects)),
        "PUT"
            if route.ends_with("/grants")
                || route.contains("/restrictions/")
                || route.ends_with("/maintenance/policy")
                || route.ends_with("/labels") =>
        {
            Content::Json(management_body(route, objects))
        }
        _ => Content::Nothing,
    };
    (path, content)
}

fn path(template: &str, route: &str, objects: &Objects) -> String {
    let is_drop = route.starts_with("DELETE ");
    let path = template
        .replace("{prefix}", "lake")
        .replace("{warehouse}", if is_drop && route.ends_with("/{warehouse}") { "empty" } else { "lake" })
        .replace("{organisation}", &objects.organisation.name)
        .replace(
            "{namespace}",
            if is_drop && route.ends_with("/{namespace}") { &objects.empty } else { &objects.namespace },
        )
        .replace("{table}", "t")
        .replace("{view}", "v")
        .replace("{function}", "f")
        .replace("{plan-id}", PLAN_ID)
        .replace("{id}", &objects.dropped)
        .replace("{key}", &objects.spare)
        .replace("{user}", &objects.spare)
        .replace("{principal-role}", &objects.spare)
        .replace("{catalog-role}", &objects.spare)
        .replace("{principal}", &objects.spare)
        .replace("{operator}", &objects.spare)
        .replace("{subscription}", &objects.spare);
    assert!(!path.contains('{'), "a parameter without a value: {path}");
    match route {
        "GET /v1/config" => path + "?warehouse=lake",
        "GET /management/v1/organisations/{organisation}/warehouses/{warehouse}/tables" => {
            format!("{path}?namespace={}", objects.namespace)
        }
        "GET /management/v1/organisations/{organisation}/warehouses/{warehouse}/maintenance/health" => {
            format!("{path}?namespace={}&table=t", objects.namespace)
        }
        "GET /management/v1/organisations/{organisation}/warehouses/{warehouse}/access" => {
            format!("{path}?action=load-table&namespace={}&table=t", objects.namespace)
        }
        "GET /management/v1/organisations/{organisation}/warehouses/{warehouse}/labels" => path + "?key=owner",
        "GET /management/v1/organisations/{organisation}/warehouses/{warehouse}/search" => path + "?name=t",
        "DELETE /management/v1/signing-keys" => path + "?created-before-ms=1",
        _ => path,
    }
}

/// Returns a body for a route of the Iceberg API.
fn catalog_body(route: &str, objects: &Objects) -> Value {
    let ident = |name: &str| json!({ "namespace": [objects.namespace], "name": name });
    let rename = |from: &str, to: &str| json!({ "source": ident(from), "destination": ident(to) });
    let set = json!([{ "action": "set-properties", "updates": { "a": "b" } }]);
    match route {
        "POST /v1/namespaces" => json!({ "namespace": [objects.new_name] }),
        "POST /v1/namespaces/{namespace}/properties" => json!({ "updates": { "a": "b" } }),
        "POST /v1/namespaces/{namespace}/tables" => create_table("new"),
        "POST /v1/namespaces/{namespace}/tables/{table}" => json!({ "requirements": [], "updates": set }),
        "POST /v1/namespaces/{namespace}/tables/{table}/metrics" => {
            json!({ "report-type": "commit-report", "table-name": "t", "snapshot-id": 1, "sequence-number": 1,
                "operation": "append", "metrics": {} })
        }
        "POST /v1/namespaces/{namespace}/tables/{table}/plan" => json!({}),
        "POST /v1/namespaces/{namespace}/tables/{table}/tasks" => json!({ "plan-task": "x" }),
        "POST /v1/namespaces/{namespace}/tables/{table}/sign" => {
            json!({ "region": "a", "uri": "https://s3.example.com/b/t/a", "method": "GET", "headers": {} })
        }
        "POST /v1/namespaces/{namespace}/tables/{table}/unregister" => json!({}),
        "POST /v1/namespaces/{namespace}/register" => {
            json!({ "name": "back", "metadata-location": objects.table_metadata })
        }
        "POST /v1/tables/rename" => rename("t", "renamed"),
        "POST /v1/transactions/commit" => {
            json!({ "table-changes": [{ "identifier": ident("t"), "requirements": [], "updates": set }] })
        }
        "POST /v1/namespaces/{namespace}/views" => create_view("new", "select 1"),
        "POST /v1/namespaces/{namespace}/views/{view}" => json!({ "requirements": [], "updates": set }),
        "POST /v1/namespaces/{namespace}/register-view" => {
            json!({ "name": "back", "metadata-location": objects.view_metadata })
        }
        "POST /v1/events" => json!({}),
        "POST /v1/views/rename" => rename("v", "renamed"),
        other => panic!("a body for {other} is missing in requests.rs"),
    }
}

/// Returns a body for a route of the management API.
fn management_body(route: &str, objects: &Objects) -> Value {
    const ORGANISATION: &str = "/management/v1/organisations/{organisation}";
    let (method, path) = route.split_once(' ').unwrap();
    match (method, path.strip_prefix(ORGANISATION)) {
        (_, None) => server_body(route, objects),
        ("PATCH", Some("")) => json!({ "tier": "premium" }),
        ("POST", Some("/restore")) => json!({}),
        ("POST", Some("/keys")) => json!({ "name": "new", "role": "admin" }),
        ("PATCH", Some("/keys/{key}")) => json!({ "role": "admin" }),
        ("POST", Some("/keys/{key}/rotate")) => json!({}),
        ("POST", Some("/subscriptions")) => subscription(&objects.new_name),
        ("PATCH", Some("/subscriptions/{subscription}")) => json!({ "disabled": true }),
        ("POST", Some(path)) if path.starts_with("/subscriptions/") => json!({}),
        ("PATCH", Some("/users/{user}")) => json!({ "disabled": true }),
        ("POST", Some("/principal-roles" | "/warehouses/{warehouse}/catalog-roles")) => {
            json!({ "name": objects.new_name })
        }
        (_, Some("/warehouses/{warehouse}/catalog-roles/{catalog-role}/grants")) => {
            json!({ "privilege": "TABLE_READ_DATA", "type": "table", "namespace": [objects.namespace], "name": "t" })
        }
        ("PUT", Some(path)) if path.ends_with("/restrictions/{principal-role}") => restriction(),
        ("PUT" | "PATCH", Some(path)) if path.ends_with("/labels") => labels(method),
        ("POST", Some("/warehouses")) => {
            json!({ "name": "new", "root": format!("s3://{}/new", objects.new_name), "check": false,
                "storage": { "type": "s3", "region": "eu-west-1", "credentials":
                    { "kind": "aws-key", "access-key-id": "AKIA", "secret-access-key": "secret" } } })
        }
        ("PATCH", Some("/warehouses/{warehouse}")) => json!({ "options": { "purge": "at-once" } }),
        ("POST", Some("/warehouses/{warehouse}/check" | "/warehouses/{warehouse}/tables/check")) => json!({}),
        ("POST", Some("/warehouses/{warehouse}/dropped/{id}/restore")) => json!({}),
        ("PUT", Some("/warehouses/{warehouse}/maintenance/policy")) => {
            // Another number each time, so that each request is a change.
            let number =
                objects.new_name.bytes().fold(7_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
            json!({ "expire-snapshots": { "min-snapshots-to-keep": 1 + number % 1_000_000 } })
        }
        ("POST", Some("/warehouses/{warehouse}/maintenance/runs")) => {
            json!({ "identifier": { "namespace": [objects.namespace], "name": "t" }, "operation": "expire-snapshots",
                "dry-run": true })
        }
        _ => panic!("a body for {route} is missing in requests.rs"),
    }
}

/// Returns a body for a route of the management API about the server or about all organisations.
fn server_body(route: &str, objects: &Objects) -> Value {
    match route {
        "POST /management/v1/operators" | "POST /management/v1/organisations" => json!({ "name": objects.new_name }),
        "POST /management/v1/signing-keys" | "POST /management/v1/reload" | "POST /management/v1/reseal" => json!({}),
        "POST /management/v1/subscriptions" => subscription(&objects.new_name),
        "PATCH /management/v1/subscriptions/{subscription}" => json!({ "disabled": true }),
        path if path.starts_with("POST /management/v1/subscriptions/") => json!({}),
        "POST /management/v1/backup" => json!({ "file": objects.new_file }),
        "POST /management/v1/warehouses/{warehouse}/dropped/{id}/restore" => json!({}),
        other => panic!("a body for {other} is missing in requests.rs"),
    }
}

/// Returns the body that sets a restriction.
pub(super) fn restriction() -> Value {
    json!({ "masks": [{ "column": "text", "action": "replace-with-null" }] })
}

/// Returns the body that replaces or changes labels.
pub(super) fn labels(method: &str) -> Value {
    let member = if method == "PUT" { "object-labels" } else { "set" };
    json!({ member: { "owner": "sales" } })
}

/// Returns the body that creates a subscription. Nobody answers at its address.
pub(super) fn subscription(name: &str) -> Value {
    json!({ "name": name, "url": "https://receiver.invalid/hook" })
}
