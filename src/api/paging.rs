//! Paged lists (REST specification, `pageToken` and `pageSize`). Without a token, the answer has the whole list. An empty
//! token starts a paged list.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::error::ApiError;
use crate::store::PageRequest;

/// The largest page. A larger `pageSize` is reduced to this.
pub(super) const MAX_PAGE_SIZE: u32 = 10_000;

/// The parameters of a list.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Paging {
    #[serde(rename = "pageToken")]
    token: Option<String>,
    #[serde(rename = "pageSize")]
    size: Option<String>,
}

impl Paging {
    /// Returns the requested page.
    ///
    /// # Errors
    /// 400 for a token that is not the catalog's, and for a size that is not a positive number.
    pub(super) fn request(&self, default_size: u32) -> Result<PageRequest, ApiError> {
        let size = match self.size.as_deref().map(str::parse::<u32>) {
            None => default_size,
            Some(Ok(size)) if size > 0 => size.min(MAX_PAGE_SIZE),
            Some(_) => return Err(ApiError::bad_request("pageSize must be a whole number above 0")),
        };
        let after = match self.token.as_deref() {
            None => return Ok(PageRequest::default()),
            Some("") => None,
            Some(token) => Some(read_token(token)?),
        };
        Ok(PageRequest { after, limit: Some(size) })
    }
}

/// Returns the token of the page after the item `last`.
pub(super) fn token_after(last: &str) -> String {
    URL_SAFE_NO_PAD.encode(last)
}

pub(super) fn read_token(token: &str) -> Result<String, ApiError> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| ApiError::bad_request("this catalog did not issue pageToken: start again with an empty one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(token: Option<&str>, size: Option<&str>) -> Result<PageRequest, ApiError> {
        Paging { token: token.map(str::to_owned), size: size.map(str::to_owned) }.request(100)
    }

    #[test]
    fn list_without_a_token_is_not_paged() {
        assert_eq!(request(None, None).unwrap(), PageRequest { after: None, limit: None });
        assert_eq!(request(None, Some("5")).unwrap(), PageRequest { after: None, limit: None });
        assert_eq!(request(Some(""), None).unwrap(), PageRequest { after: None, limit: Some(100) });
        assert_eq!(request(Some(""), Some("5")).unwrap(), PageRequest { after: None, limit: Some(5) });
    }

    #[test]
    fn token_decodes_to_the_same_item() {
        let after = "a\u{1F}ü+/";
        assert_eq!(request(Some(&token_after(after)), None).unwrap().after.as_deref(), Some(after));
    }

    #[test]
    fn invalid_token_or_size_is_refused() {
        for (token, size) in
            [(Some("%"), None), (Some("_w"), None), (None, Some("0")), (None, Some("-1")), (None, Some("x"))]
        {
            assert!(request(token, size).is_err(), "{token:?} {size:?}");
        }
    }
}
