//! Lists, which Polaris' management API does not page.

use crate::api::error::ApiError;
use crate::store::{Page, PageRequest};

/// The most entries of a list.
const MAX_LISTED: u32 = 10_000;

/// Returns the page with all entries.
pub(super) const fn whole() -> PageRequest {
    PageRequest { after: None, limit: Some(MAX_LISTED) }
}

/// Returns the entries of a page that must be the only one.
///
/// # Errors
/// 400 if more entries follow.
pub(super) fn all<T>(page: Page<T>) -> Result<Vec<T>, ApiError> {
    if page.more {
        return Err(ApiError::bad_request(format!(
            "The list has more than {MAX_LISTED} entries: use /management/v1, whose lists have pages"
        )));
    }
    Ok(page.items)
}
