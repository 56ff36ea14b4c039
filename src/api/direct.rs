//! A fast path past the router for loads of tables, lists of tables and namespaces, and the configuration.
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
use super::admission::{self, Admitted, Check};
use super::body::Parameters;
use super::delegation::Delegated;
use super::entity_tag::KnownTags;
use super::error::ApiError;
use super::idempotency::IdempotencyState;
use super::path::{Named, decode, namespace_of};
use super::permission::{Allowed, Scope, is_outdated};
use super::request_log::RequestFacts;
use super::{config, namespaces, tables};
use crate::access::action::{self, Action};
use crate::auth::{Caller, CredentialSource};

/// A request that needs no router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Direct {
    /// `GET /v1/config`.
    Config,
    /// A request about a table, or about the tables or namespaces in the path.
    Object(Object),
}

/// The object of a request, with the byte ranges of its names in the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    prefix: Option<Range<usize>>,
    kind: Kind,
}

/// The kind of a request's object.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// The list of namespaces.
    Namespaces,
    /// The list of tables in a namespace.
    Tables(Range<usize>),
    /// A table in a namespace.
    Table(Range<usize>, Range<usize>),
}

const CONFIG: &str = "/v1/config";

impl Direct {
    /// Returns the request if this module can answer it.
    pub(super) fn recognise(method: &Method, path: &str) -> Option<Self> {
        if method != Method::GET {
            return None;
        }
        if path == CONFIG { Some(Self::Config) } else { Object::recognise(path).map(Self::Object) }
    }

    /// Returns whether the request loads a table.
    const fn is_load(&self) -> bool {
        matches!(self, Self::Object(Object { kind: Kind::Table(..), .. }))
    }

    /// Returns the request's route in the router.
    pub(super) const fn route(&self) -> &'static str {
        match self {
            Self::Config => CONFIG,
            Self::Object(object) => object.route(),
        }
    }
}

/// Answers a request as the router would.
pub(super) async fn answer(
    api: &Arc<Api>,
    direct: &Direct,
    request: &Parts,
    learned: &RequestFacts,
    source: CredentialSource<'_>,
) -> Response {
    let check = if direct.is_load() { Check::Cached } else { Check::Confirmed };
    match admission::admit(api, &request.headers, Some(learned), (source, check), api.clock.now_ms()).await {
        Ok(Admitted { caller, left }) => {
            let caller = learned.caller(caller);
            let answered = handled(api, direct, caller, request).await;
            let is_outdated = match &answered {
                Err(error) if error.may_be_outdated() && caller.is_current() => {
                    Box::pin(is_outdated(api, caller)).await.unwrap_or(false)
                }
                _ => !caller.is_current(),
            };
            let answered =
                if is_outdated { Box::pin(answer_again(api, direct, request, source)).await } else { answered };
            left.add_to(answered.into_response())
        }
        Err(refusal) => *refusal,
    }
}

/// Answers a request again, because the caller's standing, its grants or the warehouses changed meanwhile, or the read of the table found
/// a change that another server had made.
async fn answer_again(
    api: &Arc<Api>,
    direct: &Direct,
    request: &Parts,
    source: CredentialSource<'_>,
) -> Result<Response, ApiError> {
    let authorization = admission::authorization(&request.headers)?;
    let caller = api.authenticator.authenticate_again(authorization, source, api.clock.now_ms()).await?;
    handled(api, direct, &caller, request).await
}

/// Calls the request's handler.
async fn handled(api: &Arc<Api>, direct: &Direct, caller: &Arc<Caller>, request: &Parts) -> Result<Response, ApiError> {
    let Direct::Object(Object { prefix, kind }) = direct else {
        let allowed = Allowed::<action::ReadConfig>::check(Arc::clone(caller))?;
        return config::get(State(Arc::clone(api)), allowed, Parameters::from_uri(&request.uri)?).await;
    };
    let prefix = prefix.clone();
    match kind {
        Kind::Table(namespace, table) => load(api, caller, request, prefix, (namespace, table)).await,
        // Boxed, so that they do not enlarge the future of a load.
        Kind::Namespaces => Box::pin(namespace_list(api, caller, request, prefix)).await,
        Kind::Tables(namespace) => Box::pin(table_list(api, caller, request, prefix, namespace)).await,
    }
}

/// Loads a table. Checks the request in the same order as the router's extractors.
async fn load(
    api: &Arc<Api>,
    caller: &Arc<Caller>,
    Parts { uri, headers, .. }: &Parts,
    prefix: Option<Range<usize>>,
    (namespace, table): (&Range<usize>, &Range<usize>),
) -> Result<Response, ApiError> {
    let path = uri.path();
    let scope = scope::<action::LoadTable>(api, caller, path, prefix).await?;
    let ident = Named::<TableIdent>::from_segments(&path[namespace.clone()], &path[table.clone()])?;
    let known = KnownTags::from_headers(headers);
    // A warehouse without a vendor ignores the header.
    let delegated =
        if scope.warehouse.vendor.is_none() { Delegated::default() } else { Delegated::from_headers(headers) };
    let wanted = if uri.query().is_none() { Parameters(tables::Wanted::default()) } else { Parameters::from_uri(uri)? };
    tables::load(State(Arc::clone(api)), scope, ident, known, delegated, wanted).await
}

async fn namespace_list(
    api: &Arc<Api>,
    caller: &Arc<Caller>,
    Parts { uri, .. }: &Parts,
    prefix: Option<Range<usize>>,
) -> Result<Response, ApiError> {
    let scope = scope::<action::ListNamespaces>(api, caller, uri.path(), prefix).await?;
    let (parameters, paging) = (Parameters::from_uri(uri)?, Parameters::from_uri(uri)?);
    Ok(namespaces::list(State(Arc::clone(api)), scope, parameters, paging).await?.into_response())
}

async fn table_list(
    api: &Arc<Api>,
    caller: &Arc<Caller>,
    Parts { uri, .. }: &Parts,
    prefix: Option<Range<usize>>,
    namespace: &Range<usize>,
) -> Result<Response, ApiError> {
    let scope = scope::<action::ListTables>(api, caller, uri.path(), prefix).await?;
    let namespace = Named(namespace_of(&uri.path()[namespace.clone()])?);
    Ok(tables::list(State(Arc::clone(api)), scope, namespace, Parameters::from_uri(uri)?).await?.into_response())
}

/// Opens the warehouse in the path, or the default one, for a caller that may perform `A` on some object.
async fn scope<A: Action>(
    api: &Arc<Api>,
    caller: &Arc<Caller>,
    path: &str,
    prefix: Option<Range<usize>>,
) -> Result<Scope<A>, ApiError> {
    let allowed = Allowed::<A>::check(Arc::clone(caller))?;
    let prefix = prefix.map(|prefix| decode(&path[prefix])).transpose()?;
    Scope::open(api, allowed, prefix.as_deref(), IdempotencyState::Unkeyed).await
}

impl Object {
    /// Recognises `/v1/namespaces`, `/v1/namespaces/{namespace}/tables` and
    /// `/v1/namespaces/{namespace}/tables/{table}`, with or without a prefix. Compares bytes: segments are short, and
    /// the setup of a text search takes longer.
    fn recognise(path: &str) -> Option<Self> {
        let path = path.as_bytes();
        // The router resolves the meaning of a plus (`plus.rs`).
        let mut from = (path.starts_with(b"/v1/") && !path.contains(&b'+')).then_some(4)?;
        let mut next = || {
            let rest = path.get(from..)?;
            let len = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
            let segment = from..from + len;
            from = segment.end + 1;
            (len > 0).then_some(segment)
        };
        let is_last = |segment: &Range<usize>| segment.end == path.len();
        let first = next()?;
        let (prefix, namespaces) = match &path[first.clone()] {
            b"namespaces" => (None, first),
            _ => (Some(first), next()?),
        };
        if &path[namespaces.clone()] != b"namespaces" {
            return None;
        }
        if is_last(&namespaces) {
            return Some(Self { prefix, kind: Kind::Namespaces });
        }
        let (namespace, tables) = (next()?, next()?);
        if &path[tables.clone()] != b"tables" {
            return None;
        }
        if is_last(&tables) {
            return Some(Self { prefix, kind: Kind::Tables(namespace) });
        }
        let table = next()?;
        is_last(&table).then_some(Self { prefix, kind: Kind::Table(namespace, table) })
    }

    /// Returns the request's route in the router.
    const fn route(&self) -> &'static str {
        match (&self.prefix, &self.kind) {
            (None, Kind::Namespaces) => "/v1/namespaces",
            (Some(_), Kind::Namespaces) => "/v1/{prefix}/namespaces",
            (None, Kind::Tables(_)) => "/v1/namespaces/{namespace}/tables",
            (Some(_), Kind::Tables(_)) => "/v1/{prefix}/namespaces/{namespace}/tables",
            (None, Kind::Table(..)) => "/v1/namespaces/{namespace}/tables/{table}",
            (Some(_), Kind::Table(..)) => "/v1/{prefix}/namespaces/{namespace}/tables/{table}",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the route of a path, and the names in it, if this module can answer it.
    fn recognised(path: &str) -> Option<(&'static str, Vec<&str>)> {
        let object = Object::recognise(path)?;
        let route = object.route();
        let names = match object.kind {
            Kind::Namespaces => vec![],
            Kind::Tables(namespace) => vec![namespace],
            Kind::Table(namespace, table) => vec![namespace, table],
        };
        Some((route, object.prefix.into_iter().chain(names).map(|name| &path[name]).collect()))
    }

    #[test]
    fn direct_requests_are_known_by_their_path() {
        let load = "/v1/namespaces/{namespace}/tables/{table}";
        let load_below = "/v1/{prefix}/namespaces/{namespace}/tables/{table}";
        for (path, route, names) in [
            ("/v1/namespaces/n/tables/t", load, &["n", "t"][..]),
            ("/v1/w/namespaces/n%1Fm/tables/t%2B", load_below, &["w", "n%1Fm", "t%2B"]),
            ("/v1/namespaces/namespaces/tables/tables", load, &["namespaces", "tables"]),
            ("/v1/namespaces", "/v1/namespaces", &[]),
            ("/v1/w%20x/namespaces", "/v1/{prefix}/namespaces", &["w%20x"]),
            ("/v1/namespaces/n/tables", "/v1/namespaces/{namespace}/tables", &["n"]),
            ("/v1/w/namespaces/n/tables", "/v1/{prefix}/namespaces/{namespace}/tables", &["w", "n"]),
        ] {
            assert_eq!(recognised(path), Some((route, names.to_vec())), "{path}");
        }
        assert_eq!(Direct::recognise(&Method::HEAD, "/v1/namespaces/n/tables/t"), None);
        assert_eq!(Direct::recognise(&Method::POST, "/v1/namespaces"), None);
    }

    #[test]
    fn other_requests_take_the_router() {
        for other in [
            "/v1/w/namespaces/n/views/t",
            "/v1/w/namespaces/n",
            "/v1/w/namespaces/",
            "/v1/namespaces/namespaces",
            "/v1/w/namespaces/n/tables/",
            "/v1/w/namespaces/n+m/tables",
            "/v1/w+x/namespaces/n/tables/t",
            "/v1/w/namespaces//tables/t",
            "/v1//namespaces/n/tables/t",
            "/v1//namespaces",
            "/v1/w/namespaces/n/tables/t/",
            "/v1/w/namespaces/n/tables/t+1",
            "/v1/w/namespaces/n/tables/t/credentials",
            "/v1/namespaces/n/tables/t/credentials",
            "/v1/w/x/n/tables/t",
            "/v1/w/x",
            "/v2/namespaces/n/tables/t",
            "/",
        ] {
            assert_eq!(recognised(other), None, "{other}");
        }
    }
}
