//! Pages of lists: the limits of a statement, and the page made from its rows.

use rusqlite::types::ValueRef;
use rusqlite::{Row, Statement};

use crate::store::{Page, PageRequest, TimedPage};

/// Returns the number of rows to read for a page: one more than its size, to see whether another page follows. Negative means
/// no limit.
pub(super) fn one_more(page: &PageRequest) -> i64 {
    page.limit.map_or(-1, |limit| i64::from(limit) + 1)
}

/// Returns the page from the rows of a statement with the limit [`one_more`].
pub(super) fn page_of<T>(mut items: Vec<T>, page: &PageRequest) -> Page<T> {
    let limit = page.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let more = items.len() > limit;
    items.truncate(limit);
    Page { items, more }
}

/// Returns the position before which a page's rows are. Without a position in the request, returns one after all rows.
pub(super) fn before(page: &TimedPage) -> (i64, [u8; 16]) {
    page.before.map_or((i64::MAX, [0xFF; 16]), |moment| (moment.at_ms, moment.id.into_bytes()))
}

/// Returns the number of rows to read for a page: one more than its size. Negative means no limit.
pub(super) fn one_more_before(page: &TimedPage) -> i64 {
    page.limit.map_or(-1, |limit| i64::from(limit) + 1)
}

/// Returns the size of a row's values in bytes.
pub(super) fn row_bytes(row: &Row<'_>) -> usize {
    let statement: &Statement<'_> = row.as_ref();
    let values = (0..statement.column_count()).filter_map(|column| row.get_ref(column).ok());
    let sizes = values.map(|value| match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len(),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => 8,
    });
    sizes.sum()
}
