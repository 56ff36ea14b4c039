//! Paging of the management API, whose lists are always paged. `pageToken` and `pageSize`, the Iceberg API's names, are
//! accepted too.

use std::str::FromStr;

use serde::Deserialize;

use crate::api::error::ApiError;
use crate::api::paging::{MAX_PAGE_SIZE, read_token, token_after};
use crate::store::PageRequest;

/// The parameters of a list.
#[derive(Debug, Default, Deserialize)]
pub(in crate::api) struct ListPaging {
    #[serde(rename = "page-token", alias = "pageToken")]
    token: Option<String>,
    #[serde(rename = "page-size", alias = "pageSize")]
    size: Option<String>,
}

impl ListPaging {
    /// Returns the requested page.
    ///
    /// # Errors
    /// 400 for a token that is not the catalog's, and for a size that is not a positive number.
    pub(in crate::api) fn request(&self, default_size: u32) -> Result<PageRequest, ApiError> {
        let after = self.given_token().map(read_token).transpose()?;
        Ok(PageRequest { after, limit: Some(self.size(default_size)?) })
    }

    /// Returns the most items of the requested page.
    ///
    /// # Errors
    /// 400 for a size that is not a positive number.
    pub(in crate::api) fn size(&self, default_size: u32) -> Result<u32, ApiError> {
        match self.size.as_deref().map(str::parse::<u32>) {
            None => Ok(default_size),
            Some(Ok(size)) if size > 0 => Ok(size.min(MAX_PAGE_SIZE)),
            Some(_) => Err(ApiError::bad_request("page-size must be a whole number above 0")),
        }
    }

    /// Returns where the page begins, in a list whose tokens are the text of a value.
    ///
    /// # Errors
    /// 400 for a token that is not the catalog's.
    pub(in crate::api) fn token<T: FromStr>(&self) -> Result<Option<T>, ApiError> {
        let not_ours = "this catalog did not issue page-token: start again with an empty one";
        self.given_token().map(|token| token.parse().map_err(|_| ApiError::bad_request(not_ours))).transpose()
    }

    fn given_token(&self) -> Option<&str> {
        self.token.as_deref().filter(|token| !token.is_empty())
    }

    /// Returns the requested page of a whole list and the token of the next page. `name` must be unique among the items.
    ///
    /// # Errors
    /// Those of [`Self::request`].
    pub(in crate::api) fn part<T>(
        &self,
        default_size: u32,
        items: Vec<T>,
        name: impl Fn(&T) -> String,
    ) -> Result<(Vec<T>, Option<String>), ApiError> {
        let page = self.request(default_size)?;
        let start = match &page.after {
            None => 0,
            Some(after) => {
                items.iter().position(|item| name(item) == *after).map(|found| found + 1).ok_or_else(|| {
                    ApiError::bad_request(
                        "page-token refers to an object that no longer exists: start again without it",
                    )
                })?
            }
        };
        let limit = usize::try_from(page.limit.unwrap_or(default_size)).unwrap_or(usize::MAX);
        let more = items.len() - start > limit;
        let part: Vec<T> = items.into_iter().skip(start).take(limit).collect();
        let next = part.last().filter(|_| more).map(|last| token_after(&name(last)));
        Ok((part, next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_is_positive_and_bounded_and_a_token_has_the_form_of_its_list() {
        let paging =
            |token: &str, size: &str| ListPaging { token: Some(token.to_owned()), size: Some(size.to_owned()) };
        assert_eq!(ListPaging::default().size(7).unwrap(), 7);
        assert_eq!(paging("", "9999999").size(7).unwrap(), MAX_PAGE_SIZE);
        assert!(paging("", "0").size(7).is_err() && paging("", "-1").size(7).is_err());
        assert_eq!(paging("", "1").token::<i64>().unwrap(), None);
        assert_eq!(paging("42", "1").token::<i64>().unwrap(), Some(42));
        assert!(paging("4x", "1").token::<i64>().is_err());
    }

    #[test]
    fn pages_contain_every_item_once() {
        let part = |token: Option<String>, size: &str| {
            let paging = ListPaging { token, size: Some(size.to_owned()) };
            paging.part(100, vec!["a", "b", "c"], |item| (*item).to_owned())
        };
        let (first, token) = part(None, "2").unwrap();
        assert_eq!(first, ["a", "b"]);
        assert_eq!(part(token, "2").unwrap(), (vec!["c"], None));
        assert_eq!(part(None, "3").unwrap(), (vec!["a", "b", "c"], None));
        assert!(part(Some(token_after("x")), "2").is_err() && part(None, "0").is_err());
    }
}
