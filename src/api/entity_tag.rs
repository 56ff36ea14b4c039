//! Entity tags of tables (RFC 9110, 8.8.3): a client that has the current metadata gets a short answer without it.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::header::{ETAG, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tidewater_core::scan::mode::PlanningMode;

use super::error::ApiError;
use crate::metadata::Document;
use crate::vending::Access;

/// The snapshots in an answer (REST specification, `loadTable`, `snapshots`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Snapshots {
    /// All snapshots.
    All,
    /// The snapshots that branches and tags refer to.
    Refs,
}

impl Snapshots {
    /// Parses the parameter's value.
    ///
    /// # Errors
    /// 400 for an unknown value.
    pub(super) fn parse(value: Option<&str>) -> Result<Self, ApiError> {
        match value {
            None | Some("" | "all") => Ok(Self::All),
            Some("refs") => Ok(Self::Refs),
            Some(_) => Err(ApiError::bad_request("The parameter 'snapshots' must be 'all' or 'refs'")),
        }
    }
}

/// The tag of a document with all or some snapshots. It is weak, because the rest of the answer may differ between callers.
pub(super) struct EntityTag(Bytes);

impl EntityTag {
    pub(super) fn from_document<M>(document: &Document<M>, snapshots: Snapshots) -> Self {
        match snapshots {
            Snapshots::All => Self(document.entity_tag.clone()),
            Snapshots::Refs => Self::from_fingerprint(&format!("{}-refs", document.fingerprint)),
        }
    }

    /// Returns the tag of a document with this fingerprint.
    pub(super) fn from_fingerprint(fingerprint: &str) -> Self {
        Self(["W/\"", fingerprint, "\""].concat().into())
    }

    /// Returns the tag of an answer with credentials for `access`. A change of the caller's access changes the tag.
    pub(super) fn with_access(self, access: Option<Access>) -> Self {
        let suffix = match access {
            Some(Access::ReadWrite) => return self,
            Some(Access::ReadWriteNoDelete) => "-no-delete",
            Some(Access::Read) => "-read",
            None => "-none",
        };
        self.with_suffix(suffix)
    }

    /// Returns the tag of an answer with the planning mode of the table's warehouse. A change of the mode changes the tag.
    pub(super) fn with_planning_mode(self, mode: PlanningMode) -> Self {
        match mode {
            PlanningMode::Unset => self,
            PlanningMode::Client => self.with_suffix("-client"),
            PlanningMode::Server => self.with_suffix("-server"),
        }
    }

    /// Returns the tag with a suffix, for an answer that differs between callers.
    pub(super) fn with_suffix(self, suffix: &str) -> Self {
        let tag = self.0.strip_suffix(b"\"").unwrap_or(&self.0);
        Self([tag, suffix.as_bytes(), b"\""].concat().into())
    }

    /// Returns the tag of an answer that also has a text: with the name of the text, and its digest.
    pub(super) fn with_digest(self, name: &str, text: &str) -> Self {
        let digest = Sha256::digest(text);
        let suffix = digest[..16].iter().fold(name.to_owned(), |suffix, byte| format!("{suffix}{byte:02x}"));
        self.with_suffix(&suffix)
    }

    /// Adds the tag to an answer.
    pub(super) fn put(self, mut response: Response) -> Response {
        if let Ok(value) = HeaderValue::from_maybe_shared(self.0) {
            response.headers_mut().insert(ETAG, value);
        }
        response
    }
}

/// The values of `If-None-Match`: the tags of documents that the client has.
pub(super) struct KnownTags(Vec<HeaderValue>);

impl KnownTags {
    /// Reads the tags from a request's headers.
    pub(super) fn from_headers(headers: &HeaderMap) -> Self {
        Self(headers.get_all(IF_NONE_MATCH).iter().cloned().collect())
    }

    /// Returns whether the client has the document of this tag.
    pub(super) fn contain(&self, tag: &EntityTag) -> bool {
        let opaque = opaque(&tag.0);
        let known = self.0.iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        // Weak comparison (RFC 9110, 8.8.3.2): it ignores whether the tags are weak.
        known.map(<[u8]>::trim_ascii).any(|known| known == b"*" || self::opaque(known) == opaque)
    }
}

/// Returns a tag without the prefix of weak tags.
fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

impl<S: Sync> FromRequestParts<S> for KnownTags {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::from_headers(&parts.headers))
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
        KnownTags::from_headers(&headers).contain(&EntityTag(Bytes::from_static(b"W/\"a\"")))
    }

    #[test]
    fn tag_depends_on_the_callers_access_to_the_files() {
        let tag = |access| EntityTag(Bytes::from_static(b"W/\"a\"")).with_access(access).0;
        assert_eq!(&tag(Some(Access::ReadWrite))[..], b"W/\"a\"");
        assert_eq!(&tag(Some(Access::ReadWriteNoDelete))[..], b"W/\"a-no-delete\"");
        assert_eq!(&tag(Some(Access::Read))[..], b"W/\"a-read\"");
        assert_eq!(&tag(None)[..], b"W/\"a-none\"");
    }

    #[test]
    fn tag_depends_on_the_planning_mode_of_the_warehouse() {
        let tag = |mode| EntityTag(Bytes::from_static(b"W/\"a\"")).with_planning_mode(mode).0;
        assert_eq!(&tag(PlanningMode::Unset)[..], b"W/\"a\"");
        assert_eq!(&tag(PlanningMode::Client)[..], b"W/\"a-client\"");
        assert_eq!(&tag(PlanningMode::Server)[..], b"W/\"a-server\"");
    }

    #[test]
    fn known_tag_is_found_in_any_if_none_match_list() {
        for known in [&["W/\"a\""][..], &["\"a\""], &["\"b\", W/\"a\""], &["\"b\"", "\"a\""], &["*"]] {
            assert!(is_known(known), "{known:?}");
        }
        for other in [&[][..], &["\"b\""], &["a"], &["\"a-refs\""], &[""]] {
            assert!(!is_known(other), "{other:?}");
        }
    }
}
