//! Pages of lists.

use uuid::Uuid;

/// Selects a page of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// Only items after this name (a namespace's key, a table's name).
    pub after: Option<String>,
    /// The most items; none means all.
    pub limit: Option<u32>,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items in the list's order: by the bytes of their names, or by time.
    pub items: Vec<T>,
    /// Whether more items follow.
    pub more: bool,
}

/// A position in a list that is ordered by time, then by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// The item's time, in milliseconds since 1970.
    pub at_ms: i64,
    /// The item's id.
    pub id: Uuid,
}

/// Selects a page of a list whose newest items come first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimedPage {
    /// Only items older than this.
    pub before: Option<Moment>,
    /// The most items; none means all.
    pub limit: Option<u32>,
}

/// The most rows that are read for one page of a filtered list, so that a filter with few matches ends soon.
const MOST_ROWS: usize = 5_000;

/// The most rows that are read for one page of a search by name. Only names are read, so a page can have more.
const MOST_NAMES: usize = 20_000;

/// The most bytes of these rows.
const MOST_READ_BYTES: usize = 8 << 20;

/// The bytes at which a page is full, whatever its number of items.
const FULL_PAGE_BYTES: usize = 1 << 20;

/// The most items of a page whose items may be large. It bounds what a database sends for one page.
pub(super) const MOST_LARGE_ITEMS: u32 = 250;

/// Measures what was read for one page of a filtered list, and what the page has.
#[derive(Debug)]
pub(super) struct PageFill {
    limit: usize,
    most_rows: usize,
    items: usize,
    item_bytes: usize,
    rows: usize,
    row_bytes: usize,
}

impl PageFill {
    /// Begins a page of at most `limit` items.
    pub(super) fn new(limit: u32) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Self { limit, most_rows: MOST_ROWS, items: 0, item_bytes: 0, rows: 0, row_bytes: 0 }
    }

    /// Begins a page of at most `limit` names.
    pub(super) fn of_names(limit: u32) -> Self {
        Self { most_rows: MOST_NAMES, ..Self::new(limit) }
    }

    /// Begins a page of items that may be large: at most `limit`, and at most [`MOST_LARGE_ITEMS`].
    pub(super) fn of_large_items(limit: Option<u32>) -> Self {
        Self::new(limit.map_or(MOST_LARGE_ITEMS, |limit| limit.min(MOST_LARGE_ITEMS)))
    }

    /// Returns whether the page ends here. Another row then means that another page follows.
    pub(super) fn is_full(&self) -> bool {
        self.items >= self.limit
            || self.item_bytes >= FULL_PAGE_BYTES
            || self.rows >= self.most_rows
            || self.row_bytes >= MOST_READ_BYTES
    }

    /// Counts a row that was read.
    pub(super) fn count_row(&mut self, bytes: usize, is_item: bool) {
        self.rows += 1;
        self.row_bytes = self.row_bytes.saturating_add(bytes);
        if is_item {
            self.items += 1;
            self.item_bytes = self.item_bytes.saturating_add(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts rows until the page is full, and returns their number.
    fn rows(limit: u32, bytes: usize, is_item: bool) -> usize {
        let (mut fill, mut rows) = (PageFill::new(limit), 0);
        while !fill.is_full() {
            fill.count_row(bytes, is_item);
            rows += 1;
        }
        rows
    }

    #[test]
    fn page_ends_at_its_items_its_bytes_and_the_rows_that_were_read() {
        assert_eq!(rows(10, 1, true), 10);
        assert_eq!(rows(10_000, FULL_PAGE_BYTES / 4, true), 4);
        assert_eq!(rows(10, 1, false), MOST_ROWS);
        assert_eq!(rows(10, MOST_READ_BYTES / 16, false), 16);
        assert_eq!(rows(10, usize::MAX, true), 1, "a page has one item at least");
    }
}
