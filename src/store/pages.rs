//! Parts of lists.

use uuid::Uuid;

/// Which part of a list is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// Only what comes after this name (a namespace's key, a table's name).
    pub after: Option<String>,
    /// At most so many; none means all.
    pub limit: Option<u32>,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// In the list's order: of their names, by bytes, unless it is by time.
    pub items: Vec<T>,
    /// Whether more come after these.
    pub more: bool,
}

/// A position in a list that is ordered by time, then by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// In milliseconds since 1970.
    pub at_ms: i64,
    /// Of what stands there.
    pub id: Uuid,
}

/// Which part of a list that begins with the newest is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimedPage {
    /// Only what is older than this.
    pub before: Option<Moment>,
    /// At most so many; none means all.
    pub limit: Option<u32>,
}
