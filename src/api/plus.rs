//! Resolves a bare `+` in the path of a namespace, table or view, which has two meanings.
//!
//! Iceberg's Java client up to 1.11 encodes a space as `+`. All other clients, Java from 1.12 on included, follow RFC 3986,
//! where `+` is a plus. Java sends its version. For other clients, the existing object decides; if both exist, it is a plus.
//! The `+` in the path is then replaced by `%2B` or `%20`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Api;
use super::client_version::ClientVersion;
use super::error::ApiError;
use super::path::{self, PathParameters};
use crate::access::Principal;
use crate::auth::Caller;

/// The meaning of a `+`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    Plus,
    Space,
}

impl Reading {
    /// Replaces each `+` in a path segment by the escaped character that it stands for.
    fn spell_out(self, segment: &str) -> String {
        segment.replace(
            '+',
            match self {
                Self::Plus => "%2B",
                Self::Space => "%20",
            },
        )
    }
}

/// Replaces each `+` in the path by its unambiguous form, before a handler reads the path.
pub(super) async fn resolve(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    if !request.uri().path().contains('+') {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let uri = {
        let caller = parts.extensions.get::<Arc<Caller>>().cloned();
        let named = PathParameters::from_parts(&parts);
        read(&api, caller, &named, &parts.method, &parts.headers, &parts.uri).await
    };
    match uri {
        Ok(uri) => {
            parts.uri = uri;
            next.run(Request::from_parts(parts, body)).await
        }
        Err(refusal) => refusal.into_response(),
    }
}

async fn read(
    api: &Api,
    caller: Option<Arc<Caller>>,
    named: &PathParameters<'_>,
    method: &Method,
    headers: &HeaderMap,
    uri: &Uri,
) -> Result<Uri, ApiError> {
    if ClientVersion::from_headers(headers) == ClientVersion::OldJava {
        return rewritten(uri, |_, segment| Reading::Space.spell_out(segment));
    }
    let caller = caller.ok_or_else(|| ApiError::internal(&"a route is not behind authentication"))?;
    let (catalog, principal, prefix) = (&api.catalog, Principal::from(caller), named.get("prefix")?);
    let warehouse = catalog.warehouse(principal.organisation(), prefix.as_deref()).await?;
    let is_change = !matches!(*method, Method::GET | Method::HEAD);
    let mut namespace_reading = Reading::Plus;
    let mut name_reading = Reading::Plus;
    let namespace = match named.raw("namespace") {
        None => return rewritten(uri, |_, segment| Reading::Plus.spell_out(segment)),
        Some(raw) => {
            let read = |reading: Reading| path::namespace_of(&reading.spell_out(raw));
            if raw.contains('+') {
                let exist = (
                    catalog.namespace_exists(&principal, &warehouse, read(Reading::Plus)?).await?,
                    catalog.namespace_exists(&principal, &warehouse, read(Reading::Space)?).await?,
                );
                namespace_reading = choose(exist, is_change, raw)?;
            }
            read(namespace_reading)?
        }
    };
    if let Some(raw) = named.raw("table").or_else(|| named.raw("view")).filter(|raw| raw.contains('+')) {
        let read = |reading: Reading| path::table_of(namespace.clone(), &reading.spell_out(raw));
        let exist = (
            catalog.name_exists(&principal, &warehouse, read(Reading::Plus)?).await?,
            catalog.name_exists(&principal, &warehouse, read(Reading::Space)?).await?,
        );
        name_reading = choose(exist, is_change, raw)?;
    }
    let namespace_position = named.position("namespace");
    rewritten(uri, |position, segment| {
        let reading = if Some(position) == namespace_position { namespace_reading } else { name_reading };
        reading.spell_out(segment)
    })
}

/// Chooses a meaning. `plus` and `space` are whether an object of that name exists.
///
/// # Errors
/// 400 if both exist and the request is a change.
fn choose((plus, space): (bool, bool), is_change: bool, segment: &str) -> Result<Reading, ApiError> {
    match (plus, space) {
        (true, true) if is_change => Err(ApiError::bad_request(format!(
            "'{segment}' in the path can mean a name with a plus or one with a space, and both exist: write a plus as %2B \
             and a space as %20"
        ))),
        (false, true) => Ok(Reading::Space),
        _ => Ok(Reading::Plus),
    }
}

/// Returns the address with each segment of its path replaced by the result of `segment`.
fn rewritten(uri: &Uri, segment: impl Fn(usize, &str) -> String) -> Result<Uri, ApiError> {
    let path: Vec<String> = uri.path().split('/').enumerate().map(|(position, raw)| segment(position, raw)).collect();
    let mut text = path.join("/");
    if let Some(query) = uri.query() {
        text.push('?');
        text.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(text).map_err(|error| ApiError::internal(&error))?);
    Uri::from_parts(parts).map_err(|error| ApiError::internal(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn existing_name_decides_and_an_ambiguous_change_is_refused() {
        assert_eq!(choose((true, false), true, "a+b").unwrap(), Reading::Plus);
        assert_eq!(choose((false, true), true, "a+b").unwrap(), Reading::Space);
        assert_eq!(choose((false, false), true, "a+b").unwrap(), Reading::Plus);
        assert_eq!(choose((true, true), false, "a+b").unwrap(), Reading::Plus);
        assert!(choose((true, true), true, "a+b").is_err());
    }

    #[test]
    fn rewriting_keeps_the_query_and_other_escapes() {
        let uri = Uri::from_static("/v1/w/namespaces/a+b/tables/c+d%2F?x=1+2");
        let position = |position: usize, raw: &str| {
            if position == 4 { Reading::Space.spell_out(raw) } else { Reading::Plus.spell_out(raw) }
        };
        assert_eq!(rewritten(&uri, position).unwrap(), "/v1/w/namespaces/a%20b/tables/c%2Bd%2F?x=1+2");
    }
}
