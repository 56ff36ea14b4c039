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
use super::admission::{self, Admitted};
use super::body::Parameters;
use super::delegation::Delegated;
use super::entity_tag::KnownTags;
use super::error::ApiError;
use super::idempotency::Once;
use super::path::{Named, decode};
use super::permission::{Allowed, Scope};
use super::request_log::Learned;
use super::tables;
use crate::access::action;
use crate::auth::Caller;

/// Whether it is a load of a table.
pub(super) fn is_load(method: &Method, uri: &Uri) -> bool {
    method == Method::GET && Names::of(uri.path()).is_some()
}

/// Answers a load of a table as its route would.
pub(super) async fn load(api: &Arc<Api>, request: &Parts, learned: &Learned) -> Response {
    match admission::admit(api, &request.headers, Some(learned)).await {
        Ok(Admitted { caller, left }) => {
            let caller = learned.caller(caller);
            left.tell(handled(api, caller, request).await.into_response())
        }
        Err(refusal) => *refusal,
    }
}

/// What is looked at, in the order of the route's handler.
async fn handled(
    api: &Arc<Api>,
    caller: &Arc<Caller>,
    Parts { uri, headers, .. }: &Parts,
) -> Result<Response, ApiError> {
    let names = Names::of(uri.path()).ok_or_else(|| ApiError::internal(&"a request that is no load came to be one"))?;
    let allowed = Allowed::<action::LoadTable>::of(Arc::clone(caller))?;
    let prefix = names.prefix.map(decode).transpose()?;
    let scope = Scope::of(api, allowed, prefix.as_deref(), Once::Unkeyed).await?;
    let ident = Named::<TableIdent>::of(names.namespace, names.table)?;
    let (known, delegated) = (KnownTags::of(headers), Delegated::of(headers));
    tables::load(State(Arc::clone(api)), scope, ident, known, delegated, Parameters::of(uri)?).await
}

/// The route that a load would take.
pub(super) fn route_of(uri: &Uri) -> Option<&'static str> {
    Names::of(uri.path()).map(|names| match names.prefix {
        None => "/v1/namespaces/{namespace}/tables/{table}",
        Some(_) => "/v1/{prefix}/namespaces/{namespace}/tables/{table}",
    })
}

/// What a load names, as it stands in the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Names<'a> {
    prefix: Option<&'a [u8]>,
    namespace: &'a [u8],
    table: &'a [u8],
}

impl<'a> Names<'a> {
    /// Reads `/v1/namespaces/{namespace}/tables/{table}`, with or without a prefix. Bytes are compared, since segments are
    /// short and a search made ready for texts takes longer than to look at all of them.
    fn of(path: &'a str) -> Option<Self> {
        let mut segments = path.as_bytes().strip_prefix(b"/v1/")?.split(|byte| *byte == b'/');
        let mut next = || segments.next().filter(|segment| !segment.is_empty());
        let first = next()?;
        let prefix = if first == b"namespaces" { None } else { Some(first) };
        if prefix.is_some() && next()? != b"namespaces" {
            return None;
        }
        let namespace = next()?;
        if next()? != b"tables" {
            return None;
        }
        let table = next()?;
        // What a plus stands for is found out on the way of all others.
        let has_plus = namespace.contains(&b'+') || table.contains(&b'+');
        (segments.next().is_none() && !has_plus).then_some(Self { prefix, namespace, table })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_known_by_its_path() {
        let names = |path| Names::of(path).map(|names| (names.prefix, names.namespace, names.table));
        assert_eq!(names("/v1/namespaces/n/tables/t"), Some((None, &b"n"[..], &b"t"[..])));
        assert_eq!(names("/v1/w/namespaces/n%1Fm/tables/t%2B"), Some((Some(&b"w"[..]), &b"n%1Fm"[..], &b"t%2B"[..])));
        assert_eq!(names("/v1/namespaces/namespaces/tables/tables"), Some((None, &b"namespaces"[..], &b"tables"[..])));
        for other in [
            "/v1/w/namespaces/n/views/t",
            "/v1/w/namespaces/n/tables",
            "/v1/w/namespaces/n/tables/",
            "/v1/w/namespaces//tables/t",
            "/v1//namespaces/n/tables/t",
            "/v1/w/namespaces/n/tables/t/",
            "/v1/w/namespaces/n/tables/t+1",
            "/v1/w/namespaces/n/tables/t/credentials",
            "/v1/namespaces/n/tables/t/credentials",
            "/v1/w/x/n/tables/t",
            "/v2/namespaces/n/tables/t",
            "/v1/namespaces",
            "/",
        ] {
            assert_eq!(names(other), None, "{other}");
        }
    }
}
