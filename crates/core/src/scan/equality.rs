//! Whether an equality delete file can have deletes for rows of a data file, by the statistics of both.

use std::cmp::Ordering;

use super::evaluate::certain_test;
use super::facts::{Bounds, Share, nans, nulls};
use super::statistics::FileStatistics;
use super::value::ValueType;

/// The values of a column in a file.
#[derive(Debug)]
pub(super) struct ColumnValues {
    nulls: Share,
    may_have_nan: bool,
    /// Unknown for a `uuid`, which writers order in different ways.
    bounds: Bounds,
}

impl ColumnValues {
    /// Reads the statistics of a column.
    pub(super) fn read(file: &dyn FileStatistics, field_id: i32, kind: ValueType) -> Self {
        let is_float = matches!(kind, ValueType::Float | ValueType::Double);
        Self {
            nulls: nulls(file, field_id),
            may_have_nan: is_float && nans(file, field_id) != Share::None,
            bounds: if kind == ValueType::Uuid { Bounds::default() } else { Bounds::read(file, field_id, kind) },
        }
    }

    /// Estimates the used memory, in bytes.
    pub(super) fn size_bytes(&self) -> usize {
        size_of_val(self) + self.bounds.heap_bytes()
    }

    /// Returns false only if no value is in both files.
    pub(super) fn may_share(&self, other: &Self) -> bool {
        if self.nulls != Share::None && other.nulls != Share::None {
            return true;
        }
        if self.nulls == Share::All || other.nulls == Share::All {
            return false;
        }
        // Bounds do not include NaN.
        (self.may_have_nan && other.may_have_nan) || self.may_overlap(other)
    }

    fn may_overlap(&self, other: &Self) -> bool {
        let (one, two) = (self.bounds.range(), other.bounds.range());
        let is_above = |lower: Option<_>, upper: Option<_>| {
            lower.zip(upper).and_then(|(lower, upper)| certain_test(lower, upper, Ordering::is_gt)) == Some(true)
        };
        !is_above(one.lower, two.upper) && !is_above(two.lower, one.upper)
    }
}
