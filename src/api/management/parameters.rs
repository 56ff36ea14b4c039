//! Query parameters of the management API. A request with an unknown parameter is refused: a misspelled filter or limit that
//! was ignored would give another answer than the caller expects.
//!
//! The known parameters are those of the OpenAPI document, so that each is written in one place.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::sync::LazyLock;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use crate::api::error::ApiError;
use crate::api::openapi;

/// Parameters that are also accepted as the Iceberg API spells them, with the name in the management API.
const ICEBERG_SPELLINGS: [(&str, &str); 3] =
    [("pageToken", "page-token"), ("pageSize", "page-size"), ("purgeRequested", "purge-requested")];

/// How many characters of an unknown name a message contains.
const SHOWN_CHARACTERS: usize = 100;

/// The form of a time, for messages.
pub(super) const TIME: &str = "a time in milliseconds since 1970";

/// Parses the number in a query parameter. `form` is the right form, for the message.
///
/// # Errors
/// 400 with the parameter's name and the right form.
pub(super) fn number<T: FromStr>(parameter: &str, form: &str, text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|_| ApiError::bad_request(format!("{parameter} must be {form}")))
}

/// The names of query parameters by path and by method in lower case.
type Known = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

static KNOWN: LazyLock<Result<Known, String>> = LazyLock::new(|| openapi::document().map(|document| known(&document)));

/// Passes on a request whose query parameters are all known.
pub(in crate::api) async fn refuse_unknown(request: Request, next: Next) -> Response {
    match check(&request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

fn check(request: &Request) -> Result<(), ApiError> {
    let (Some(query), Some(path)) = (request.uri().query(), request.extensions().get::<MatchedPath>()) else {
        return Ok(());
    };
    let known = KNOWN.as_ref().map_err(|error| ApiError::internal(error))?;
    let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
    match known.get(path.as_str()).and_then(|methods| methods.get(&method.as_str().to_ascii_lowercase())) {
        Some(names) => check_names(query, names).map_err(ApiError::bad_request),
        // The router refuses the method.
        None => Ok(()),
    }
}

/// Fails if a query has a parameter that is not among `known`. The message has its name and the known names.
fn check_names(query: &str, known: &BTreeSet<String>) -> Result<(), String> {
    let is_known = |name: &str| {
        let name = ICEBERG_SPELLINGS.iter().find(|(iceberg, _)| *iceberg == name).map_or(name, |(_, own)| own);
        known.contains(name)
    };
    let Some((unknown, _)) = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| !is_known(name)) else {
        return Ok(());
    };
    let unknown: String = unknown.chars().take(SHOWN_CHARACTERS).collect();
    let names: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    Err(match names.is_empty() {
        true => format!("Unknown query parameter `{unknown}`: this request has no query parameters"),
        false => format!("Unknown query parameter `{unknown}`: this request has {}", names.join(", ")),
    })
}

/// Returns the query parameters of each operation of the management API in an OpenAPI document.
fn known(document: &Value) -> Known {
    let paths = document["paths"].as_object().into_iter().flatten();
    let managed = paths.filter(|(path, _)| path.starts_with("/management/") || path.starts_with("/api/management/"));
    managed
        .map(|(path, members)| {
            let common = names(document, &members["parameters"]);
            let operations = members.as_object().into_iter().flatten().filter(|(member, _)| *member != "parameters");
            let of_operation = |(method, operation): (&String, &Value)| {
                let own = names(document, &operation["parameters"]);
                (method.clone(), common.union(&own).cloned().collect())
            };
            (path.clone(), operations.map(of_operation).collect())
        })
        .collect()
}

/// Returns the names of the query parameters in a list of parameters and references to parameters.
fn names(document: &Value, parameters: &Value) -> BTreeSet<String> {
    let resolved = parameters.as_array().into_iter().flatten().map(|parameter| {
        let target = parameter["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
        target.and_then(|target| document.pointer(target)).unwrap_or(parameter)
    });
    let in_query = resolved.filter(|parameter| parameter["in"] == "query");
    in_query.filter_map(|parameter| parameter["name"].as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn unknown_parameter_is_refused_with_the_known_names() {
        let known = names(&["from", "page-size"]);
        assert_eq!(check_names("from=1&page-size=2&pageSize=3&", &known), Ok(()));
        let refused = check_names("from=1&form=2", &known).unwrap_err();
        assert_eq!(refused, "Unknown query parameter `form`: this request has `from`, `page-size`");
        let refused = check_names("a%20b", &names(&[])).unwrap_err();
        assert_eq!(refused, "Unknown query parameter `a b`: this request has no query parameters");
        assert!(check_names("pageSize=1", &names(&["from"])).is_err());
    }

    #[test]
    fn parameters_of_operations_and_references_are_known() {
        let known = KNOWN.as_ref().unwrap();
        let of = |path: &str, method: &str| known[path][method].clone();
        assert_eq!(of("/management/v1/organisations", "get"), names(&["page-size", "page-token"]));
        assert_eq!(of("/management/v1/organisations/{organisation}", "delete"), names(&["grace-s", "purge"]));
        assert_eq!(of("/management/v1/backup", "post"), names(&[]));
    }
}
