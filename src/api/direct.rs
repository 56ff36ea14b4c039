//! A fast path past the router for loads of tables and the configuration.
//!
//! Most requests are loads that are answered from memory. Routing, boxed middleware and repeated parsing of the path would
//! take as many instructions as the load itself. This module parses the path once. All other requests go through
//! `router.rs`, which has the same handlers.

use std::ops::Range;
use std::sync::Arc;

use axum::extract::State;
use axum::http::Method;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use tidewater_core::name::TableIdent;

use super::Api;
use super::admission::{self, Admitted};
use super::body::Parameters;
use super::delegation::Delegated;
use super::entity_tag::KnownTags;
use super::error::ApiError;
use super::idempotency::IdempotencyState;
use super::path::{Named, decode};
use super::permission::{Allowed, Scope};
use super::request_log::RequestFacts;
use super::{config, tables};
use crate::access::action;
use crate::auth::{Caller, LastCredential};

/// A request that needs no router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Direct {
    /// `GET /v1/config`.
    Config,
    /// A load of a table.
    Load(Load),
}

impl Direct {
    /// Returns the request if it is a load or asks for the configuration.
    pub(super) fn recognise(method: &Method, path: &str) -> Option<Self> {
        if method != Method::GET {
            return None;
        }
        if path == CONFIG { Some(Self::Config) } else { Load::recognise(path).map(Self::Load) }
    }

    /// Returns the request's route in the router.
    pub(super) const fn route(&self) -> &'static str {
        match self {
            Self::Config => CONFIG,
            Self::Load(load) => load.route(),
        }
    }
}

const CONFIG: &str = "/v1/config";

/// A load of a table: the byte ranges of the names in its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Load {
    prefix: Option<Range<usize>>,
    namespace: Range<usize>,
    table: Range<usize>,
}

/// Answers a request as the router would.
pub(super) async fn answer(
    api: &Arc<Api>,
    direct: &Direct,
    request: &Parts,
    learned: &RequestFacts,
    last: Option<&LastCredential>,
) -> Response {
    match admission::admit(api, &request.headers, Some(learned), last, api.clock.now_ms()).await {
        Ok(Admitted { caller, left }) => {
            let caller = learned.caller(caller);
            left.add_to(handled(api, direct, caller, request).await.into_response())
        }
        Err(refusal) => *refusal,
    }
}

/// Runs the request's handler. Checks the request in the same order as the router's extractors.
async fn handled(
    api: &Arc<Api>,
    direct: &Direct,
    caller: &Arc<Caller>,
    Parts { uri, headers, .. }: &Parts,
) -> Result<Response, ApiError> {
    let load = match direct {
        Direct::Config => {
            let allowed = Allowed::<action::ReadConfig>::of(Arc::clone(caller))?;
            return config::get(State(Arc::clone(api)), allowed, Parameters::of(uri)?).await;
        }
        Direct::Load(load) => load,
    };
    let allowed = Allowed::<action::LoadTable>::of(Arc::clone(caller))?;
    let path = uri.path().as_bytes();
    let prefix = load.prefix.clone().map(|prefix| decode(&path[prefix])).transpose()?;
    let scope = Scope::of(api, allowed, prefix.as_deref(), IdempotencyState::Unkeyed).await?;
    let ident = Named::<TableIdent>::of(&path[load.namespace.clone()], &path[load.table.clone()])?;
    let (known, delegated) = (KnownTags::of(headers), Delegated::of(headers));
    tables::load(State(Arc::clone(api)), scope, ident, known, delegated, Parameters::of(uri)?).await
}

impl Load {
    /// Recognises the path `/v1/namespaces/{namespace}/tables/{table}`, with or without a prefix. Compares bytes: segments
    /// are short, and the setup of a text search takes longer.
    fn recognise(path: &str) -> Option<Self> {
        let path = path.as_bytes();
        let mut from = path.starts_with(b"/v1/").then_some(4)?;
        let mut next = || {
            let rest = path.get(from..)?;
            let len = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
            let segment = from..from + len;
            from = segment.end + 1;
            (len > 0).then_some(segment)
        };
        let first = next()?;
        let prefix = if &path[first.clone()] == b"namespaces" { None } else { Some(first) };
        if prefix.is_some() && &path[next()?] != b"namespaces" {
            return None;
        }
        let namespace = next()?;
        if &path[next()?] != b"tables" {
            return None;
        }
        let table = next()?;
        // The router resolves the meaning of a plus (`plus.rs`).
        let has_plus = path[namespace.start..table.end].contains(&b'+');
        (table.end == path.len() && !has_plus).then_some(Self { prefix, namespace, table })
    }

    /// Returns a load's route in the router.
    const fn route(&self) -> &'static str {
        match self.prefix {
            None => "/v1/namespaces/{namespace}/tables/{table}",
            Some(_) => "/v1/{prefix}/namespaces/{namespace}/tables/{table}",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_loads_are_recognised() {
        let recognised = |path: &'static str| Load::recognise(path);
        let names = |path: &'static str| {
            let load = recognised(path)?;
            let text = |range: Range<usize>| &path.as_bytes()[range];
            Some((load.prefix.map(text), text(load.namespace), text(load.table)))
        };
        assert_eq!(Direct::recognise(&Method::HEAD, "/v1/namespaces/n/tables/t"), None);
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
            assert_eq!(recognised(other), None, "{other}");
        }
    }
}
