//! Entries of manifests as they are written.

use tidewater_core::scan::statistics::FileStatistics;
use tidewater_core::scan::value::Value;
use tidewater_manifests::{Entry, FileContent, FilePath, Manifest, Status};

/// A data file or delete file, with everything that a manifest says about it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FileRecord {
    /// What it contains.
    pub(crate) content: FileContent,
    /// Its location.
    pub(crate) path: String,
    /// Its format in lower case.
    pub(crate) format: String,
    /// A value for each field of its spec.
    pub(crate) partition: Vec<Option<Value>>,
    /// The number of its rows, or of its deletes.
    pub(crate) record_count: i64,
    /// Its size in bytes.
    pub(crate) file_size_bytes: i64,
    /// Its statistics.
    pub(crate) metrics: Metrics,
    /// The key metadata of an encrypted file.
    pub(crate) key_metadata: Option<Vec<u8>>,
    /// Where it can be split, in bytes from its begin.
    pub(crate) split_offsets: Option<Vec<i64>>,
    /// The columns that equality deletes compare.
    pub(crate) equality_ids: Option<Vec<i32>>,
    /// The sort order of its rows.
    pub(crate) sort_order_id: Option<i32>,
    /// The row id of its first row (v3).
    pub(crate) first_row_id: Option<i64>,
    /// The only data file that the deletes apply to.
    pub(crate) referenced_data_file: Option<String>,
    /// Where the deletion vector begins in the file, in bytes.
    pub(crate) content_offset: Option<i64>,
    /// The length of the deletion vector in bytes.
    pub(crate) content_size_bytes: Option<i64>,
}

/// The statistics of a file's columns, by field id in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Metrics {
    /// Sizes in the file, in bytes.
    pub(crate) column_sizes: Vec<(i32, i64)>,
    /// Numbers of values, with nulls and NaN.
    pub(crate) value_counts: Vec<(i32, i64)>,
    /// Numbers of nulls.
    pub(crate) null_counts: Vec<(i32, i64)>,
    /// Numbers of NaN.
    pub(crate) nan_counts: Vec<(i32, i64)>,
    /// Lower bounds in the binary single-value form.
    pub(crate) lower_bounds: Vec<(i32, Vec<u8>)>,
    /// Upper bounds in the binary single-value form.
    pub(crate) upper_bounds: Vec<(i32, Vec<u8>)>,
}

/// An entry to write. A missing snapshot id or sequence number is inherited.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewEntry<'a> {
    /// Whether the file belongs to the table.
    pub(crate) status: Status,
    /// The snapshot that added the file, or that removed it.
    pub(crate) snapshot_id: Option<i64>,
    /// The data sequence number.
    pub(crate) sequence_number: Option<i64>,
    /// The sequence number of the commit that added the file.
    pub(crate) file_sequence_number: Option<i64>,
    /// The file.
    pub(crate) file: &'a FileRecord,
}

impl FileRecord {
    /// Copies the file of an entry of `manifest`.
    pub(crate) fn from_entry(manifest: &Manifest, entry: &Entry<'_>) -> Self {
        Self {
            content: entry.content(),
            path: text(entry.path()),
            format: entry.format().to_owned(),
            partition: entry.partition().to_vec(),
            record_count: entry.record_count(),
            file_size_bytes: entry.file_size_bytes(),
            metrics: Metrics::from_entry(manifest, entry),
            key_metadata: entry.key_metadata().map(<[u8]>::to_vec),
            split_offsets: entry.split_offsets().map(Iterator::collect),
            equality_ids: entry.equality_ids().map(Iterator::collect),
            sort_order_id: entry.sort_order_id(),
            first_row_id: entry.first_row_id(),
            referenced_data_file: entry.referenced_data_file().map(text),
            content_offset: entry.content_offset(),
            content_size_bytes: entry.content_size_bytes(),
        }
    }
}

impl Metrics {
    fn from_entry(manifest: &Manifest, entry: &Entry<'_>) -> Self {
        let ids = manifest.statistics_ids();
        let counts =
            |count: &dyn Fn(i32) -> Option<i64>| ids.iter().filter_map(|id| Some((*id, count(*id)?))).collect();
        let mut metrics = Self {
            column_sizes: counts(&|id| entry.column_size_bytes(id)),
            value_counts: counts(&|id| entry.value_count(id)),
            null_counts: counts(&|id| entry.null_value_count(id)),
            nan_counts: counts(&|id| entry.nan_value_count(id)),
            ..Self::default()
        };
        for id in ids {
            metrics.lower_bounds.extend(entry.lower_bound(*id).map(|bound| (*id, bound.to_vec())));
            metrics.upper_bounds.extend(entry.upper_bound(*id).map(|bound| (*id, bound.to_vec())));
        }
        metrics
    }
}

/// Returns the text of a path.
pub(crate) fn text(path: FilePath<'_>) -> String {
    path.parts().concat()
}
