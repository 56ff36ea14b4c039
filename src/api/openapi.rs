//! `GET /openapi.json`: the OpenAPI 3.1 document of this server.
//!
//! The document is written by hand, a file for each resource in the folder `openapi`. This module adds the parts that every
//! operation has, from `every_operation.json`. Tests compare the document with the router and with real answers.

use std::sync::LazyLock;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::entity_tag::{EntityTag, KnownTags};
use super::error::ApiError;

/// The parts of the document. The first is its frame; the others are added to it.
const PARTS: [&str; 21] = [
    include_str!("openapi/document.json"),
    include_str!("openapi/configuration.json"),
    include_str!("openapi/namespaces.json"),
    include_str!("openapi/tables.json"),
    include_str!("openapi/planning.json"),
    include_str!("openapi/commits.json"),
    include_str!("openapi/metadata.json"),
    include_str!("openapi/views.json"),
    include_str!("openapi/events.json"),
    include_str!("openapi/management.json"),
    include_str!("openapi/administration.json"),
    include_str!("openapi/maintenance.json"),
    include_str!("openapi/preview.json"),
    include_str!("openapi/access.json"),
    include_str!("openapi/restrictions.json"),
    include_str!("openapi/search.json"),
    include_str!("openapi/labels.json"),
    include_str!("openapi/audit.json"),
    include_str!("openapi/users.json"),
    include_str!("openapi/subscriptions.json"),
    include_str!("openapi/polaris.json"),
];

const EVERY_OPERATION: &str = include_str!("openapi/every_operation.json");

/// The members of a path that are operations.
const METHODS: [&str; 6] = ["get", "head", "post", "put", "patch", "delete"];

/// The document's bytes, and the fingerprint for its entity tag. Both are computed once.
static DOCUMENT: LazyLock<Result<(Bytes, String), String>> = LazyLock::new(|| {
    let bytes = Bytes::from(document()?.to_string());
    let digest = Sha256::digest(&bytes);
    let fingerprint = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    Ok((bytes, fingerprint))
});

/// Returns the document. It needs no sign-in: it reveals nothing about the catalog's content.
pub(super) async fn get(known: KnownTags) -> Result<Response, ApiError> {
    let (document, fingerprint) = DOCUMENT.as_ref().map_err(|error| ApiError::internal(error))?;
    let tag = EntityTag::from_fingerprint(fingerprint);
    let mut response = if known.contain(&tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = Response::new(Body::from(document.clone()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    Ok(tag.put(response))
}

/// Merges the parts into the document.
///
/// # Errors
/// Fails if a part is not JSON, or two parts define the same member.
pub(super) fn document() -> Result<Value, String> {
    let [document, parts @ ..] = PARTS;
    let mut document = read(document)?;
    for part in parts {
        add(&mut document, read(part)?)?;
    }
    let every = read(EVERY_OPERATION)?;
    for response in members(&mut document["components"]["responses"]) {
        add_missing(&mut response["headers"], &every["headers"]);
        add_missing(&mut response["headers"], &every["counted"]["headers"]);
    }
    for path in members(&mut document["paths"]) {
        for method in METHODS {
            // An operation with its own `security` needs no sign-in, and lists all its answers itself.
            if let Some(operation) = path.get_mut(method).filter(|found| found.get("security").is_none()) {
                complete(method, operation, &every);
            }
        }
    }
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    Ok(document)
}

/// An internal mark of an operation that counts against no limit and ignores `Idempotency-Key`.
const UNCOUNTED: &str = "x-uncounted";

/// An internal mark of an operation that ignores `Idempotency-Key`.
const UNKEYED: &str = "x-unkeyed";

/// Adds the common parts of operations that need a sign-in.
fn complete(method: &str, operation: &mut Value, every: &Value) {
    let mut has_not = |mark| operation.as_object_mut().and_then(|members| members.remove(mark)).is_none();
    let (counted, keyed) = (has_not(UNCOUNTED), has_not(UNKEYED));
    if counted && keyed && matches!(method, "post" | "delete") {
        add_missing(&mut operation["responses"], &every["changes"]["responses"]);
        let more = every["changes"]["parameters"].as_array().into_iter().flatten().cloned();
        let mut parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        parameters.extend(more);
        operation["parameters"] = parameters.into();
    }
    let has_body = operation.get("requestBody").is_some();
    let responses = &mut operation["responses"];
    for response in members(responses).filter(|response| response.get("$ref").is_none()) {
        add_missing(&mut response["headers"], &every["headers"]);
        if counted {
            add_missing(&mut response["headers"], &every["counted"]["headers"]);
        }
    }
    add_missing(responses, &every["responses"]);
    if counted {
        add_missing(responses, &every["counted"]["responses"]);
    }
    if has_body {
        add_missing(responses, &every["responsesToBodies"]);
    }
}

fn read(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("a part of the OpenAPI document cannot be read: {error}"))
}

fn members(object: &mut Value) -> impl Iterator<Item = &mut Value> {
    object.as_object_mut().into_iter().flat_map(Map::values_mut)
}

/// Merges the members of one object into another, recursively. Fails if both have the same member and it is not an object.
fn add(to: &mut Value, from: Value) -> Result<(), String> {
    let (Value::Object(to), Value::Object(from)) = (to, from) else {
        return Err("two parts of the OpenAPI document define the same member".to_owned());
    };
    for (key, value) in from {
        match to.get_mut(&key) {
            Some(found) => add(found, value).map_err(|error| format!("{error}: {key}"))?,
            None => {
                to.insert(key, value);
            }
        }
    }
    Ok(())
}

fn add_missing(to: &mut Value, from: &Value) {
    if to.is_null() {
        *to = Value::Object(Map::new());
    }
    if let (Value::Object(to), Value::Object(from)) = (to, from) {
        for (key, value) in from {
            to.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
}
