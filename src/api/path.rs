//! What stands in a URL's path, read from its raw form: once decoded, a separator inside a name can no longer be told from one
//! between names.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::Uri;
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use percent_encoding::percent_decode;
use tidewater_core::name::{NamespaceIdent, TableIdent};

use super::Api;
use super::error::ApiError;

/// What a path names: a namespace, or a table or view in one.
///
/// # Errors
/// 400 when it is not UTF-8, or not a valid name.
pub(super) struct Named<T>(pub(super) T);

impl Named<TableIdent> {
    /// From the two segments of a path that name a table.
    ///
    /// # Errors
    /// 400 when one is not UTF-8, or not a valid name.
    pub(super) fn of(namespace: &str, table: &str) -> Result<Self, ApiError> {
        let name = decode(table)?;
        table_ident(namespace_ident(&decode(namespace)?)?, &name).map(Self)
    }
}

/// The namespace of a raw segment.
///
/// # Errors
/// 400 when it is not UTF-8, or not a valid namespace.
pub(super) fn namespace_of(raw: &str) -> Result<NamespaceIdent, ApiError> {
    namespace_ident(&decode(raw)?)
}

/// The table or view of a raw segment.
///
/// # Errors
/// 400 when it is not UTF-8, or not a valid name.
pub(super) fn table_of(namespace: NamespaceIdent, raw: &str) -> Result<TableIdent, ApiError> {
    table_ident(namespace, &decode(raw)?)
}

fn namespace_ident(key: &str) -> Result<NamespaceIdent, ApiError> {
    NamespaceIdent::from_key(key).map_err(|error| ApiError::bad_request(error.to_string()))
}

fn table_ident(namespace: NamespaceIdent, name: &str) -> Result<TableIdent, ApiError> {
    TableIdent::new(namespace, name).map_err(|error| ApiError::bad_request(error.to_string()))
}

impl FromRequestParts<Arc<Api>> for Named<NamespaceIdent> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Api>) -> Result<Self, ApiError> {
        PathParameters::of(parts).namespace().map(Self)
    }
}

impl FromRequestParts<Arc<Api>> for Named<TableIdent> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Api>) -> Result<Self, ApiError> {
        PathParameters::of(parts).table_or_view().map(Self)
    }
}

/// The parameters of a path, decoded when they are asked for.
pub(super) struct PathParameters<'a> {
    template: &'a str,
    raw: &'a str,
}

impl<'a> PathParameters<'a> {
    pub(super) fn of(parts: &'a Parts) -> Self {
        let template = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
        Self { template, raw: parts.uri.path() }
    }

    /// The parameter of that name, if the route has it.
    ///
    /// # Errors
    /// 400 when it is not UTF-8.
    pub(super) fn get(&self, name: &str) -> Result<Option<String>, ApiError> {
        self.raw(name).map(|raw| decode(raw).map(Cow::into_owned)).transpose()
    }

    /// The raw segment of the parameter of that name, if the route has it.
    pub(super) fn raw(&self, name: &str) -> Option<&'a str> {
        self.position(name).and_then(|position| self.raw.split('/').nth(position))
    }

    /// Which segment of the path the parameter of that name is, if the route has it.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        let is_it = |template: &[u8]| {
            let parameter = template.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}"));
            parameter.is_some_and(|found| found == name.as_bytes())
        };
        segments(self.template).position(is_it)
    }

    /// The namespace that the path names.
    ///
    /// # Errors
    /// 400 when it is not UTF-8, or not a valid namespace.
    pub(super) fn namespace(&self) -> Result<NamespaceIdent, ApiError> {
        namespace_ident(&self.get("namespace")?.unwrap_or_default())
    }

    fn table_or_view(&self) -> Result<TableIdent, ApiError> {
        let name = match self.get("table")? {
            Some(table) => table,
            None => self.get("view")?.unwrap_or_default(),
        };
        table_ident(self.namespace()?, &name)
    }
}

/// The parameters of a route's template, each with what a path has in its place.
pub(super) fn parameters<'a>(template: &'a str, path: &'a str) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    segments(template).zip(segments(path)).filter_map(|(template, raw)| {
        let parameter = template.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}"))?;
        Some((parameter, raw))
    })
}

/// What stands between the slashes of a path. They are short, and this is on the way of every request: bytes are compared.
fn segments(path: &str) -> impl Iterator<Item = &[u8]> {
    path.as_bytes().split(|byte| *byte == b'/')
}

/// Decodes one segment (RFC 3986). A `+` is a plus; that some clients mean a space by it is for `plus.rs`.
pub(super) fn decode(raw: &str) -> Result<Cow<'_, str>, ApiError> {
    // Most are plain, and this is on the way of every request.
    if !raw.as_bytes().contains(&b'%') {
        return Ok(Cow::Borrowed(raw));
    }
    percent_decode(raw.as_bytes()).decode_utf8().map(|text| Cow::Owned(text.into_owned())).map_err(|_| {
        ApiError::bad_request(
            "The path contains bytes that are not UTF-8: encode names as UTF-8, then percent-encode them",
        )
    })
}

/// The forms of a base URI that people configure, all served: `https://host`, `https://host/v1` (clients then ask for
/// `/v1/v1/...`) and `https://host/catalog`.
///
/// Gives the path to serve, if it is not the one that was asked for.
pub(super) fn normalised(uri: &Uri) -> Option<Uri> {
    let asked = uri.path_and_query()?.as_str();
    let below = asked.strip_prefix("/catalog").filter(|rest| rest.starts_with("/v1/")).unwrap_or(asked);
    let once = if below.starts_with("/v1/v1/") { &below["/v1".len()..] } else { below };
    if once.len() == asked.len() {
        return None;
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(once).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_of_a_base_uri_is_served() {
        let served = |asked: &'static str| normalised(&Uri::from_static(asked)).map(|uri| uri.to_string());
        assert_eq!(served("/v1/config?warehouse=w"), None);
        assert_eq!(served("/v1/v1/config?warehouse=w").as_deref(), Some("/v1/config?warehouse=w"));
        assert_eq!(served("/catalog/v1/namespaces").as_deref(), Some("/v1/namespaces"));
        assert_eq!(served("/catalog/v1/v1/config").as_deref(), Some("/v1/config"));
        assert_eq!(served("/catalog/other"), None);
        assert_eq!(served("/v1/w/namespaces/v1/tables"), None);
    }

    #[test]
    fn segment_is_percent_decoded() {
        assert_eq!(decode("a+b%20c%2Bd%1Fe%2Ff").unwrap(), "a+b c+d\u{1F}e/f");
        assert!(decode("%ff").is_err());
    }

    proptest! {
        #[test]
        fn no_path_makes_the_decoder_panic(raw in any::<String>()) {
            let _ = decode(&raw);
        }
    }
}
