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
