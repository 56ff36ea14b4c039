//! What manifests say about files: the input of the tests of files.

use super::value::Value;

/// The statistics of one data file (specification, "Manifest Entry Fields"). Columns are named by field id.
pub trait FileStatistics {
    /// Returns the number of rows.
    fn record_count(&self) -> i64;
    /// Returns the number of values of a column, nulls and NaN included.
    fn value_count(&self, field_id: i32) -> Option<i64>;
    /// Returns the number of nulls of a column.
    fn null_value_count(&self, field_id: i32) -> Option<i64>;
    /// Returns the number of NaN values of a column.
    fn nan_value_count(&self, field_id: i32) -> Option<i64>;
    /// Returns the size of a column in the file, in bytes.
    fn column_size_bytes(&self, field_id: i32) -> Option<i64>;
    /// Returns the lower bound of a column, in the binary single-value form.
    fn lower_bound(&self, field_id: i32) -> Option<&[u8]>;
    /// Returns the upper bound of a column, in the binary single-value form.
    fn upper_bound(&self, field_id: i32) -> Option<&[u8]>;
}

/// The partition of a file: a value for each field of its spec, in the order of the spec. None is null.
pub type Partition = [Option<Value>];

/// What a manifest list says about one partition field in all files of a manifest (specification, "field_summary").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldSummary {
    /// Whether a file has a null partition value.
    pub contains_null: bool,
    /// Whether a file has a NaN partition value. None if unknown.
    pub contains_nan: Option<bool>,
    /// The lower bound of the values that are neither null nor NaN, in the binary single-value form.
    pub lower_bound: Option<Box<[u8]>>,
    /// The upper bound, likewise.
    pub upper_bound: Option<Box<[u8]>>,
}

/// The statistics of a file about which nothing is known.
#[derive(Debug, Clone, Copy)]
pub struct Unknown;

impl FileStatistics for Unknown {
    fn record_count(&self) -> i64 {
        -1
    }

    fn value_count(&self, _: i32) -> Option<i64> {
        None
    }

    fn null_value_count(&self, _: i32) -> Option<i64> {
        None
    }

    fn nan_value_count(&self, _: i32) -> Option<i64> {
        None
    }

    fn column_size_bytes(&self, _: i32) -> Option<i64> {
        None
    }

    fn lower_bound(&self, _: i32) -> Option<&[u8]> {
        None
    }

    fn upper_bound(&self, _: i32) -> Option<&[u8]> {
        None
    }
}
