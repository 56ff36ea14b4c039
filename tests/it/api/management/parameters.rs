//! Query parameters and names of fields in all of `/management/v1`.

use std::collections::BTreeSet;

use axum::http::Method;
use serde_json::{Value, json};

use crate::api::openapi::{document, operations};
use crate::support::Catalog;

/// Fields of the contract for scripts, and of the sample's connection, that are spelled otherwise.
const OTHER_SPELLINGS: [&str; 1] = ["api_key"];

#[tokio::test]
async fn unknown_query_parameter_is_refused_by_every_operation() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let operator = catalog.operator().await;
    let mut asked = 0;
    for operation in operations(&document(&catalog).await) {
        let (method, path) = operation.split_once(' ').unwrap();
        let Some(rest) = path.strip_prefix("/management/v1/") else { continue };
        // Each kind of key reaches the parameters of the paths that are its own.
        let is_for_keys = rest.starts_with("warehouses/") || rest == "who-am-i";
        let key = if is_for_keys { &tenant.key } else { &operator };
        let path = path.replace("{organisation}", "acme").replace("{warehouse}", "main").replace(['{', '}'], "");
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let answer = catalog.bytes(key, method, &format!("{path}?page-sise=1"), "{}").await;
        let text = String::from_utf8_lossy(&answer.bytes);
        assert!(answer.status == 400 && text.contains("Unknown query parameter `page-sise`"), "{operation}: {text}");
        asked += 1;
    }
    assert!(asked > 40, "{asked}");
}

#[tokio::test]
async fn refusal_of_an_unknown_query_parameter_names_the_known_ones() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    let usage = "/management/v1/organisations/acme/usage";
    let message = catalog.get(&tenant.key, &format!("{usage}?form=2026-08-01")).await.error(400, "BadRequestException");
    assert_eq!(message, "Unknown query parameter `form`: this request has `by`, `from`, `to`");
    let message = catalog.get("", &format!("{usage}?form=1")).await.error(401, "NotAuthorizedException");
    assert!(!message.contains("form"), "{message}");
}

#[tokio::test]
async fn malformed_query_parameter_is_refused_with_the_right_form() {
    let catalog = Catalog::new().await;
    catalog.tenant("acme", "enterprise").await;
    let operator = catalog.operator().await;
    for (path, expected) in [
        ("organisations/acme?grace-s=1d", "grace-s must be a whole number of seconds"),
        ("organisations/acme?purge=yes", "purge must be true or false"),
        ("signing-keys?created-before-ms=x", "created-before-ms must be a time in milliseconds since 1970"),
        ("signing-keys", "Invalid query parameters: missing field `created-before-ms`"),
    ] {
        let refused = catalog.delete(&operator, &format!("/management/v1/{path}")).await;
        assert_eq!(refused.error(400, "BadRequestException"), expected, "{path}");
    }
}

#[tokio::test]
async fn iceberg_spellings_of_parameters_are_accepted() {
    let catalog = Catalog::new().await;
    let tenant = catalog.tenant("acme", "enterprise").await;
    for list in ["organisations/acme/keys", "organisations/acme/events", "warehouses/main/dropped"] {
        for query in ["page-size=1&page-token=", "pageSize=1&pageToken="] {
            catalog.get(&tenant.key, &format!("/management/v1/{list}?{query}")).await.ok(200);
        }
    }
}

#[tokio::test]
async fn names_of_parameters_and_fields_are_in_kebab_case() {
    let whole = document(&Catalog::new().await).await;
    let mut names = BTreeSet::new();
    for (path, members) in whole["paths"].as_object().unwrap() {
        if path.starts_with("/management/") {
            collect_names(&whole, members, &mut names);
        }
    }
    assert!(names.contains("page-token") && names.contains("requests-per-day"), "{names:?}");
    let is_kebab = |name: &str| name.chars().all(|one| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '-');
    let other: Vec<&String> = names.iter().filter(|name| !is_kebab(name)).collect();
    assert_eq!(other, OTHER_SPELLINGS);
}

/// Collects the names of query parameters and of JSON fields below a part of the document.
fn collect_names(whole: &Value, part: &Value, names: &mut BTreeSet<String>) {
    match part {
        Value::Object(members) => {
            if let Some(target) = members.get("$ref").and_then(Value::as_str) {
                let target = whole.pointer(target.trim_start_matches('#')).unwrap();
                return collect_names(whole, target, names);
            }
            if members.get("in") == Some(&json!("query")) {
                names.insert(members["name"].as_str().unwrap().to_owned());
            }
            for (keyword, member) in members {
                // The members of `properties` are fields. They may be called as keywords are.
                if let (Value::Object(fields), "properties") = (member, keyword.as_str()) {
                    names.extend(fields.keys().cloned());
                    fields.values().for_each(|field| collect_names(whole, field, names));
                } else {
                    collect_names(whole, member, names);
                }
            }
        }
        Value::Array(parts) => parts.iter().for_each(|one| collect_names(whole, one, names)),
        _ => {}
    }
}
