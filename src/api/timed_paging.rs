//! Paged lists with the newest item first.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use uuid::Uuid;

use super::error::ApiError;
use super::paging::MAX_PAGE_SIZE;
use crate::store::{Moment, TimedPage};

/// The parameters of a list with the newest item first. The list is always paged.
#[derive(Debug, Default, Deserialize)]
pub(super) struct TimedPaging {
    #[serde(rename = "page-token", alias = "pageToken")]
    token: Option<String>,
    #[serde(rename = "page-size", alias = "pageSize")]
    size: Option<String>,
}

impl TimedPaging {
    /// Returns the requested page.
    ///
    /// # Errors
    /// 400 for a token that is not the catalog's, and for a size that is not a positive number.
    pub(super) fn request(&self, default_size: u32) -> Result<TimedPage, ApiError> {
        let size = match self.size.as_deref().map(str::parse::<u32>) {
            None => default_size,
            Some(Ok(size)) if size > 0 => size,
            Some(_) => return Err(ApiError::bad_request("page-size must be a whole number above 0")),
        };
        let before = match self.token.as_deref() {
            None | Some("") => None,
            Some(token) => Some(read_token(token)?),
        };
        Ok(TimedPage { before, limit: Some(size.min(MAX_PAGE_SIZE)) })
    }
}

/// Returns the token of the page of items older than `last`.
pub(super) fn token_before(last: Moment) -> String {
    URL_SAFE_NO_PAD.encode(format!("{} {}", last.at_ms, last.id))
}

fn read_token(token: &str) -> Result<Moment, ApiError> {
    let read = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
        let (at_ms, id) = text.split_once(' ')?;
        Some(Moment { at_ms: at_ms.parse().ok()?, id: Uuid::parse_str(id).ok()? })
    };
    read().ok_or_else(|| ApiError::bad_request("this catalog did not issue page-token: start again with an empty one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_decodes_to_the_same_moment() {
        for at_ms in [i64::MIN, -1, 0, 1_790_000_000_000, i64::MAX] {
            let moment = Moment { at_ms, id: Uuid::from_u128(7) };
            assert_eq!(read_token(&token_before(moment)).unwrap(), moment);
        }
    }

    #[test]
    fn invalid_token_is_refused() {
        let encoded = |text: &str| URL_SAFE_NO_PAD.encode(text);
        for token in ["%".to_owned(), encoded("x"), encoded("1 x"), encoded("x 1"), encoded("1")] {
            assert!(read_token(&token).is_err(), "{token}");
        }
    }

    #[test]
    fn both_spellings_of_a_parameter_are_read() {
        for name in ["pageSize", "page-size"] {
            let paging: TimedPaging = serde_json::from_value(serde_json::json!({ name: "7" })).unwrap();
            assert_eq!(paging.request(100).unwrap().limit, Some(7), "{name}");
        }
        for name in ["pageToken", "page-token"] {
            let paging: TimedPaging = serde_json::from_value(serde_json::json!({ name: "%" })).unwrap();
            assert!(paging.request(100).is_err(), "{name}");
        }
    }

    #[test]
    fn list_without_a_size_has_the_default_page_size() {
        let request = |size: Option<&str>| TimedPaging { token: None, size: size.map(str::to_owned) }.request(100);
        assert_eq!(request(None).unwrap().limit, Some(100));
        assert_eq!(request(Some("7")).unwrap().limit, Some(7));
        assert_eq!(request(Some("4000000000")).unwrap().limit, Some(MAX_PAGE_SIZE));
        assert!(request(Some("0")).is_err() && request(Some("x")).is_err());
    }
}
