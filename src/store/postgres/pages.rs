//! Pages of lists: the limits of a statement, and the page made from its rows.

use uuid::Uuid;

use crate::store::{Page, PageRequest};

/// Returns the number of rows to read for a page: one more than its size, to see whether another page follows. `None` means no
/// limit.
pub(super) fn one_more(page: &PageRequest) -> Option<i64> {
    page.limit.map(|limit| i64::from(limit) + 1)
}

/// Returns the name after which a page begins. No name is empty.
///
/// No column can hold U+0000. Among names without it, those after `a` are those after `a`, U+0000 and any text.
pub(super) fn after_name(page: &PageRequest) -> &str {
    page.after.as_deref().unwrap_or_default().split('\0').next().unwrap_or_default()
}

/// Returns whether an object can have the name. No column can hold U+0000.
pub(super) fn is_storable(name: &str) -> bool {
    !name.contains('\0')
}

/// Returns the id after which a page begins. No id is nil.
pub(super) fn after_id(page: &PageRequest) -> Uuid {
    page.after.as_deref().and_then(|after| Uuid::parse_str(after).ok()).unwrap_or_default()
}

/// Returns the page from the rows of a statement with the limit [`one_more`].
pub(super) fn page_of<T>(mut items: Vec<T>, page: &PageRequest) -> Page<T> {
    let limit = page.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let more = items.len() > limit;
    items.truncate(limit);
    Page { items, more }
}
