//! Requests to Polaris' management API.

use serde_json::{Value, json};

use super::objects::Objects;
use super::requests::Content;

/// Returns whether a route belongs to Polaris' management API.
pub(super) fn is_managed(route: &str) -> bool {
    route.contains(" /api/management/")
}

/// Returns a route with parameters for the roles that its body names.
pub(super) fn with_roles_of_body(route: &str) -> String {
    match route {
        "PUT /api/management/v1/principals/{principal}/principal-roles" => format!("{route}/{{principal-role}}"),
        "PUT /api/management/v1/principal-roles/{principal-role}/catalog-roles/{warehouse}" => {
            format!("{route}/{{catalog-role}}")
        }
        route => route.to_owned(),
    }
}

/// Returns the content of a request in the realm of the objects' organisation.
pub(super) fn content(route: &str, objects: &Objects) -> Content {
    Content::InRealm(objects.organisation.name.clone(), body(route, objects))
}

fn body(route: &str, objects: &Objects) -> Value {
    let (method, path) = route.split_once(" /api/management/v1").unwrap();
    let named = |field: &str, name: &str| json!({ field: { "name": name } });
    match (method, path) {
        ("GET" | "DELETE", _) | ("POST", "/principals/{principal}/rotate" | "/principals/{principal}/reset") => {
            Value::Null
        }
        ("POST", "/catalogs") => {
            let root = format!("file://{}", objects.new_file.display());
            json!({ "catalog": { "type": "INTERNAL", "name": objects.new_name,
                "properties": { "default-base-location": root }, "storageConfigInfo": { "storageType": "FILE" } } })
        }
        (_, path) if path.ends_with("/grants") => {
            let (privilege, namespace) = ("TABLE_READ_DATA", &objects.namespace);
            json!({ "grant": { "type": "table", "namespace": [namespace], "tableName": "t", "privilege": privilege } })
        }
        ("POST", "/catalogs/{warehouse}/catalog-roles") => named("catalogRole", &objects.new_name),
        ("POST", "/principals") => named("principal", &objects.new_name),
        ("POST", "/principal-roles") => named("principalRole", &objects.new_name),
        ("PUT", "/principals/{principal}/principal-roles") => named("principalRole", &objects.spare),
        ("PUT", "/principal-roles/{principal-role}/catalog-roles/{warehouse}") => named("catalogRole", &objects.spare),
        ("PUT", _) => json!({ "currentEntityVersion": 1, "properties": { "a": "b" } }),
        other => panic!("a body for {other:?} is missing in polaris.rs"),
    }
}
