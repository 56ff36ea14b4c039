//! What the statistics of a file say about one column, as far as they can be trusted.

use super::evaluate::Range;
use super::statistics::FileStatistics;
use super::value::{Value, ValueType};

/// How many values of a column have some property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    /// None of them.
    None,
    /// Some, but not all.
    Some,
    /// All of them.
    All,
    /// Not known.
    Unknown,
}

impl Share {
    fn new(count: Option<i64>, all: i64) -> Self {
        match count {
            Some(0) => Self::None,
            Some(count) if count == all => Self::All,
            Some(count) if count > 0 && count < all => Self::Some,
            _ => Self::Unknown,
        }
    }
}

/// Returns how many rows have a null in a column. Unknown if the column does not have one value for each row: it is nested in a
/// list or map, or the writer counts otherwise.
pub(super) fn nulls(file: &dyn FileStatistics, field_id: i32) -> Share {
    share(file, field_id, file.null_value_count(field_id))
}

/// Returns how many rows have a NaN in a column. Unknown likewise.
pub(super) fn nans(file: &dyn FileStatistics, field_id: i32) -> Share {
    share(file, field_id, file.nan_value_count(field_id))
}

fn share(file: &dyn FileStatistics, field_id: i32, count: Option<i64>) -> Share {
    let rows = file.record_count();
    if rows > 0 && file.value_count(field_id) == Some(rows) { Share::new(count, rows) } else { Share::Unknown }
}

/// The bounds of a column's values.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    lower: Option<Value>,
    upper: Option<Value>,
}

impl Bounds {
    /// Reads the bounds of a column of the given type. A bound in another form is unknown.
    pub(super) fn read(file: &dyn FileStatistics, field_id: i32, kind: ValueType) -> Self {
        let value = |bytes: Option<&[u8]>| bytes.and_then(|bytes| Value::from_bytes(kind, bytes));
        Self { lower: value(file.lower_bound(field_id)), upper: value(file.upper_bound(field_id)) }
    }

    /// Returns the bounds of the results of a function that keeps the order.
    pub(super) fn map(self, function: impl Fn(&Value) -> Option<Value>) -> Self {
        Self { lower: self.lower.as_ref().and_then(&function), upper: self.upper.as_ref().and_then(&function) }
    }

    /// Estimates the memory behind it, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        let bytes = |value: &Value| match value {
            Value::String(text) => text.len(),
            Value::Binary(bytes) => bytes.len(),
            _ => 0,
        };
        [&self.lower, &self.upper].into_iter().flatten().map(bytes).sum()
    }

    pub(super) fn range(&self) -> Range<'_> {
        Range { lower: self.lower.as_ref(), upper: self.upper.as_ref() }
    }
}
