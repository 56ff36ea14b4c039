//! Entity tags of tables (RFC 9110, 8.8.3): a client that has the current metadata is told so in a few bytes.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::header::{ETAG, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use bytes::Bytes;

use super::error::ApiError;
use crate::metadata::Document;
use crate::vending::Access;

/// Which snapshots an answer holds (REST specification, `loadTable`, `snapshots`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Snapshots {
    /// All.
    All,
    /// Those that a branch or tag leads to.
    Refs,
}

impl Snapshots {
    /// Reads the parameter's value.
    ///
    /// # Errors
    /// 400 for another value.
    pub(super) fn parse(value: Option<&str>) -> Result<Self, ApiError> {
        match value {
            None | Some("" | "all") => Ok(Self::All),
            Some("refs") => Ok(Self::Refs),
            Some(_) => Err(ApiError::bad_request("The parameter 'snapshots' must be 'all' or 'refs'")),
        }
    }
}

/// The tag of a document, in one of its two forms. It is weak, since what stands around the document may differ from one
/// caller to the next.
pub(super) struct EntityTag(Bytes);

impl EntityTag {
    pub(super) fn of<M>(document: &Document<M>, snapshots: Snapshots) -> Self {
        match snapshots {
            Snapshots::All => Self(document.entity_tag.clone()),
            Snapshots::Refs => Self::of_fingerprint(&format!("{}-refs", document.fingerprint)),
        }
    }

    /// The tag of what has this fingerprint.
    pub(super) fn of_fingerprint(fingerprint: &str) -> Self {
        Self(["W/\"", fingerprint, "\""].concat().into())
    }

    /// The tag of an answer that gives credentials for that access: whoever may do more or less by now is answered anew.
    pub(super) fn with_access(self, access: Option<Access>) -> Self {
        let suffix = match access {
            Some(Access::ReadWrite | Access::ReadWriteNoDelete) => return self,
            Some(Access::Read) => "-read\"",
            None => "-none\"",
        };
        let tag = self.0.strip_suffix(b"\"").unwrap_or(&self.0);
        Self([tag, suffix.as_bytes()].concat().into())
    }

    /// Says it in an answer.
    pub(super) fn put(self, mut response: Response) -> Response {
        if let Ok(value) = HeaderValue::from_maybe_shared(self.0) {
            response.headers_mut().insert(ETAG, value);
        }
        response
    }
}

/// The values of `If-None-Match`: what the client says that it has.
pub(super) struct KnownTags(Vec<HeaderValue>);

impl KnownTags {
    /// Those of a request.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        Self(headers.get_all(IF_NONE_MATCH).iter().cloned().collect())
    }

    /// Whether the client has just this.
    pub(super) fn hold(&self, tag: &EntityTag) -> bool {
        let opaque = opaque(&tag.0);
        let known = self.0.iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        // The weak comparison: whether either is weak does not matter.
        known.map(<[u8]>::trim_ascii).any(|known| known == b"*" || self::opaque(known) == opaque)
    }
}

/// A tag without the mark of a weak one.
fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

impl<S: Sync> FromRequestParts<S> for KnownTags {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_known(values: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(IF_NONE_MATCH, HeaderValue::from_str(value).unwrap());
        }
        KnownTags::of(&headers).hold(&EntityTag(Bytes::from_static(b"W/\"a\"")))
    }

    #[test]
    fn tag_differs_by_what_the_caller_may_do_with_the_files() {
        let tag = |access| EntityTag(Bytes::from_static(b"W/\"a\"")).with_access(access).0;
        assert_eq!(&tag(Some(Access::ReadWrite))[..], b"W/\"a\"");
        assert_eq!(&tag(Some(Access::Read))[..], b"W/\"a-read\"");
        assert_eq!(&tag(None)[..], b"W/\"a-none\"");
    }

    #[test]
    fn a_tag_is_found_among_others_weak_or_not() {
        for known in [&["W/\"a\""][..], &["\"a\""], &["\"b\", W/\"a\""], &["\"b\"", "\"a\""], &["*"]] {
            assert!(is_known(known), "{known:?}");
        }
        for other in [&[][..], &["\"b\""], &["a"], &["\"a-refs\""], &[""]] {
            assert!(!is_known(other), "{other:?}");
        }
    }
}
