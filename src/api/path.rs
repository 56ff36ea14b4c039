//! Reads names from a URL's raw path. A decoded path would be ambiguous: a separator inside a name looks like one between
//! names.

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

/// The object in a path: a namespace, table or view.
///
/// # Errors
/// 400 if it is not UTF-8, or not a valid name.
pub(super) struct Named<T>(pub(super) T);

impl Named<TableIdent> {
    /// Parses the two raw segments of a table's name.
    ///
    /// # Errors
    /// 400 when one is not UTF-8, or not a valid name.
    pub(super) fn from_segments(namespace: &str, table: &str) -> Result<Self, ApiError> {
        let name = decode(table)?;
        table_ident(namespace_ident(&decode(namespace)?)?, &name).map(Self)
    }
}

/// Parses a raw segment as a namespace.
///
/// # Errors
/// 400 if it is not UTF-8, or not a valid namespace.
pub(super) fn namespace_of(raw: &str) -> Result<NamespaceIdent, ApiError> {
    namespace_ident(&decode(raw)?)
}

/// Parses a raw segment as the name of a table or view.
///
/// # Errors
/// 400 if it is not UTF-8, or not a valid name.
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
        PathParameters::from_parts(parts).namespace().map(Self)
    }
}

impl FromRequestParts<Arc<Api>> for Named<TableIdent> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Api>) -> Result<Self, ApiError> {
        PathParameters::from_parts(parts).table_or_view().map(Self)
    }
}

/// The parameters of a path. They are decoded when they are read.
pub(super) struct PathParameters<'a> {
    template: &'a str,
    raw: &'a str,
}

impl<'a> PathParameters<'a> {
    pub(super) fn from_parts(parts: &'a Parts) -> Self {
        let template = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
        Self { template, raw: parts.uri.path() }
    }

    /// Returns a parameter's decoded value, if the route has the parameter.
    ///
    /// # Errors
    /// 400 if it is not UTF-8.
    pub(super) fn get(&self, name: &str) -> Result<Option<String>, ApiError> {
        self.raw(name).map(|raw| decode(raw).map(Cow::into_owned)).transpose()
    }

    /// Returns a parameter's raw segment, if the route has the parameter.
    pub(super) fn raw(&self, name: &str) -> Option<&'a str> {
        self.position(name).and_then(|position| self.raw.split('/').nth(position))
    }

    /// Returns the position of a parameter among the segments, if the route has the parameter.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        let is_it = |template: &[u8]| {
            let parameter = template.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}"));
            parameter.is_some_and(|found| found == name.as_bytes())
        };
        segments(self.template).position(is_it)
    }

    /// Returns the path's namespace.
    ///
    /// # Errors
    /// 400 if it is not UTF-8, or not a valid namespace.
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

/// Returns the parameters of a route's template, each with its raw segment in the path.
pub(super) fn parameters<'a>(template: &'a str, path: &'a str) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    segments(template).zip(segments(path)).filter_map(|(template, raw)| {
        let parameter = template.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}"))?;
        Some((parameter, raw))
    })
}

/// Returns the segments of a path, as bytes: this is faster, and every request takes this path.
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

/// Normalises a path for the base URIs that people configure: `https://host`, `https://host/v1` (clients then send
/// `/v1/v1/...`), `https://host/catalog`, and `https://host/api/catalog` (that of Apache Polaris).
///
/// Returns `None` if the path needs no change.
pub(super) fn normalised(uri: &Uri) -> Option<Uri> {
    let asked = uri.path_and_query()?.as_str();
    let catalog = asked.strip_prefix("/api").unwrap_or(asked).strip_prefix("/catalog");
    let below = catalog.filter(|rest| rest.starts_with("/v1/")).unwrap_or(asked);
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
    fn path_below_every_form_of_base_uri_is_normalised() {
        let served = |asked: &'static str| normalised(&Uri::from_static(asked)).map(|uri| uri.to_string());
        assert_eq!(served("/v1/config?warehouse=w"), None);
        assert_eq!(served("/v1/v1/config?warehouse=w").as_deref(), Some("/v1/config?warehouse=w"));
        assert_eq!(served("/catalog/v1/namespaces").as_deref(), Some("/v1/namespaces"));
        assert_eq!(served("/catalog/v1/v1/config").as_deref(), Some("/v1/config"));
        assert_eq!(served("/api/catalog/v1/namespaces?a=/catalog").as_deref(), Some("/v1/namespaces?a=/catalog"));
        assert_eq!(served("/api/catalog/v1/v1/config").as_deref(), Some("/v1/config"));
        for other in ["/catalog/other", "/api/v1/config", "/api/api/catalog/v1/config", "/api/catalog/polaris/v1/w/x"] {
            assert_eq!(served(other), None, "{other}");
        }
        assert_eq!(served("/v1/w/namespaces/v1/tables"), None);
    }

    #[test]
    fn segment_is_percent_decoded() {
        assert_eq!(decode("a+b%20c%2Bd%1Fe%2Ff").unwrap(), "a+b c+d\u{1F}e/f");
        assert!(decode("%ff").is_err());
    }

    proptest! {
        #[test]
        fn decoding_any_path_does_not_panic(raw in any::<String>()) {
            let _ = decode(&raw);
        }
    }
}
