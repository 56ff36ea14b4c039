//! The load of a table, straight to its handler.
//!
//! Most requests are this one, and there is little else to it than a look into memory. To find its route among all, to box
//! what stands between, and to take its path apart again for each thing that is read from it takes as many instructions
//! as that. Here it is taken apart once. Whatever is not plainly such a request goes the way of all others
//! (`router.rs`), which has the same handler.

use std::sync::Arc;

use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{Method, Uri};
use axum::response::{IntoResponse, Response};
use tidewater_core::name::TableIdent;

use super::Api;
use super::body::Parameters;
use super::caller::{self, Admitted, Allowed, Read, Scope};
use super::delegation::Delegated;
use super::entity_tag::KnownTags;
use super::error::ApiError;
use super::idempotency::Once;
use super::path::{Named, decode};
use super::tables;

/// Whether it is a load of a table.
pub(super) fn is_load(method: &Method, uri: &Uri) -> bool {
    method == Method::GET && Names::of(uri.path()).is_some()
}

/// Answers a load of a table as its route would.
pub(super) async fn load(api: &Arc<Api>, request: &Parts) -> Response {
    match caller::admit(api, &request.headers).await {
        Ok(admitted) => admitted.answer(handled(api, &admitted, request).await.into_response()),
        Err(refusal) => *refusal,
    }
}

/// What is looked at, in the order of the route's handler.
async fn handled(
    api: &Arc<Api>,
    admitted: &Admitted,
    Parts { uri, headers, .. }: &Parts,
) -> Result<Response, ApiError> {
    let names = Names::of(uri.path()).ok_or_else(|| ApiError::internal(&"a request that is no load came to be one"))?;
    let allowed = Allowed::<Read>::of(Arc::clone(&admitted.caller))?;
    let prefix = names.prefix.map(|prefix| decode(prefix.as_bytes())).transpose()?;
    let scope = Scope::of(api, allowed, prefix.as_deref(), Once::Unkeyed).await?;
    let ident = Named::<TableIdent>::of(names.namespace, names.table)?;
    let (known, delegated) = (KnownTags::of(headers), Delegated::of(headers));
    tables::load(State(Arc::clone(api)), scope, ident, known, delegated, Parameters::of(uri)?).await
}

/// What a load names, as it stands in the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Names<'a> {
    prefix: Option<&'a str>,
    namespace: &'a str,
    table: &'a str,
}

impl<'a> Names<'a> {
    /// Reads `/v1/namespaces/{namespace}/tables/{table}`, with or without a prefix.
    fn of(path: &'a str) -> Option<Self> {
        const NAMESPACES: &str = "namespaces";
        let mut segments = path.strip_prefix("/v1/")?.split('/');
        let first = segments.next()?;
        let prefix = if first == NAMESPACES { None } else { Some(first) };
        if prefix.is_some() && segments.next()? != NAMESPACES {
            return None;
        }
        let namespace = segments.next()?;
        if segments.next()? != "tables" {
            return None;
        }
        let names = Self { prefix, namespace, table: segments.next()? };
        let is_whole = segments.next().is_none() && prefix != Some("") && !namespace.is_empty() && !names.table.is_empty();
        is_whole.then_some(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_known_by_its_path() {
        let names = |prefix, namespace, table| Some(Names { prefix, namespace, table });
        assert_eq!(Names::of("/v1/namespaces/n/tables/t"), names(None, "n", "t"));
        assert_eq!(Names::of("/v1/w/namespaces/n%1Fm/tables/t+1"), names(Some("w"), "n%1Fm", "t+1"));
        assert_eq!(Names::of("/v1/namespaces/namespaces/tables/tables"), names(None, "namespaces", "tables"));
        for other in [
            "/v1/w/namespaces/n/views/t",
            "/v1/w/namespaces/n/tables",
            "/v1/w/namespaces/n/tables/",
            "/v1/w/namespaces//tables/t",
            "/v1//namespaces/n/tables/t",
            "/v1/w/namespaces/n/tables/t/",
            "/v1/w/namespaces/n/tables/t/credentials",
            "/v1/namespaces/n/tables/t/credentials",
            "/v1/w/x/n/tables/t",
            "/v2/namespaces/n/tables/t",
            "/v1/namespaces",
            "/",
        ] {
            assert_eq!(Names::of(other), None, "{other}");
        }
    }
}
