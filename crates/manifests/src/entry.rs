//! Entries of a manifest, with what they inherit from its manifest list (specification, "Sequence Number Inheritance" and "First
//! Row ID Inheritance").

use std::sync::Arc;

use tidewater_core::scan::statistics::{FileStatistics, Partition};

use crate::build::Columns;
use crate::list::{ManifestContent, ManifestFile};
use crate::lists::NumberList;
use crate::paths::FilePath;
use crate::plan::{ListColumn, NumberColumn};
use crate::statistics::CountKind;

/// Whether a file belongs to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// An earlier snapshot added it.
    Existing,
    /// The snapshot of the manifest added it.
    Added,
    /// The snapshot of the manifest removed it. Scans skip it.
    Deleted,
}

/// What a file contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileContent {
    /// Rows.
    Data,
    /// Positions of deleted rows. In format `puffin`, a deletion vector.
    PositionDeletes,
    /// Values of deleted rows.
    EqualityDeletes,
}

/// The entries of a manifest.
#[derive(Debug)]
pub struct Entries<'a> {
    columns: &'a Columns,
    snapshot_id: Option<i64>,
    sequence_number: i64,
    row_ids: RowIds,
}

/// The first row id that each entry of a manifest inherits. Without them, no entry has one.
///
/// Making them takes a look at all entries. Work that looks at the entries in slices makes them once, and clones them.
#[derive(Debug, Clone, Default)]
pub struct RowIds(Option<Arc<[i64]>>);

/// An entry.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    entries: &'a Entries<'a>,
    row: usize,
}

impl<'a> Entries<'a> {
    pub(crate) fn new(columns: &'a Columns, file: &ManifestFile, row_ids: RowIds) -> Self {
        Self { columns, snapshot_id: file.added_snapshot_id, sequence_number: file.sequence_number, row_ids }
    }

    /// Returns the number of entries.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.columns.rows
    }

    /// Returns whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns an entry by its position. None behind the last.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<Entry<'_>> {
        (row < self.len()).then_some(Entry { entries: self, row })
    }

    /// Returns all entries in order, deleted ones too.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Entry<'_>> + Clone {
        (0..self.len()).map(|row| Entry { entries: self, row })
    }
}

impl RowIds {
    pub(crate) fn new(columns: &Columns, content: ManifestContent, file: &ManifestFile) -> Self {
        match (content, file.content, file.first_row_id) {
            (ManifestContent::Data, ManifestContent::Data, Some(first)) => {
                Self(Some(inherited_row_ids(columns, first)))
            }
            // As in the reference implementation, entries have none either if the manifest has none.
            _ => Self(None),
        }
    }
}

/// Returns the first row id of each entry without its own: that of the manifest, plus the rows of the live files before it
/// without their own.
fn inherited_row_ids(columns: &Columns, first: i64) -> Arc<[i64]> {
    let mut next = first;
    let rows = 0..columns.rows;
    rows.map(|row| {
        let inherited = next;
        let is_deleted = number(columns, NumberColumn::Status, row) == Some(2);
        if !is_deleted && number(columns, NumberColumn::FirstRowId, row).is_none() {
            next = next.saturating_add(number(columns, NumberColumn::RecordCount, row).unwrap_or_default());
        }
        inherited
    })
    .collect()
}

#[inline]
fn number(columns: &Columns, column: NumberColumn, row: usize) -> Option<i64> {
    columns.numbers[column as usize].as_ref()?.get(row)
}

impl<'a> Entry<'a> {
    #[inline]
    fn number(&self, column: NumberColumn) -> Option<i64> {
        number(self.entries.columns, column, self.row)
    }

    fn small_number(&self, column: NumberColumn) -> Option<i32> {
        self.number(column).and_then(|number| i32::try_from(number).ok())
    }

    fn list(&self, column: ListColumn) -> Option<NumberList<'a>> {
        self.entries.columns.lists[column as usize].as_ref()?.get(self.row).map(NumberList::new)
    }

    /// Returns its position in the manifest. Statistics of columns take it.
    #[must_use]
    pub const fn row(&self) -> usize {
        self.row
    }

    /// Returns whether the file belongs to the table.
    #[must_use]
    #[inline]
    pub fn status(&self) -> Status {
        match self.number(NumberColumn::Status) {
            Some(0) => Status::Existing,
            Some(1) => Status::Added,
            _ => Status::Deleted,
        }
    }

    /// Returns the snapshot that added the file, or that removed it. None if neither the entry nor the manifest list says it.
    #[must_use]
    pub fn snapshot_id(&self) -> Option<i64> {
        self.number(NumberColumn::SnapshotId).or(self.entries.snapshot_id)
    }

    /// Returns the data sequence number: which deletes apply depends on it.
    #[must_use]
    #[inline]
    pub fn sequence_number(&self) -> i64 {
        self.number(NumberColumn::SequenceNumber).unwrap_or(self.entries.sequence_number)
    }

    /// Returns the sequence number of the commit that added the file. None if an existing entry does not say it.
    #[must_use]
    pub fn file_sequence_number(&self) -> Option<i64> {
        let inherited = match self.status() {
            Status::Added => Some(self.entries.sequence_number),
            _ => Some(0).filter(|_| self.entries.sequence_number == 0),
        };
        self.number(NumberColumn::FileSequenceNumber).or(inherited)
    }

    /// Returns what the file contains.
    #[must_use]
    #[inline]
    pub fn content(&self) -> FileContent {
        match self.number(NumberColumn::Content) {
            None | Some(0) => FileContent::Data,
            Some(1) => FileContent::PositionDeletes,
            _ => FileContent::EqualityDeletes,
        }
    }

    /// Returns the file's location.
    #[must_use]
    pub fn path(&self) -> FilePath<'a> {
        self.entries.columns.paths.as_ref().and_then(|paths| paths.get(self.row)).unwrap_or_default()
    }

    /// Returns the file's format in lower case, such as `parquet`.
    #[must_use]
    pub fn format(&self) -> &'a str {
        let columns = self.entries.columns;
        let position = columns.formats.as_ref().and_then(|formats| formats.get(self.row)).unwrap_or_default();
        usize::try_from(position).ok().and_then(|position| columns.format_names.get(position)).map_or("", |name| name)
    }

    /// Returns the index of its partition in the manifest's distinct ones.
    #[must_use]
    #[inline]
    pub fn partition_index(&self) -> u32 {
        let index = self.entries.columns.partition_indexes.as_ref().and_then(|indexes| indexes.get(self.row));
        index.and_then(|index| u32::try_from(index).ok()).unwrap_or_default()
    }

    /// Returns its partition: a value for each field of the spec.
    #[must_use]
    pub fn partition(&self) -> &'a Partition {
        self.entries.columns.partitions.get(self.partition_index() as usize)
    }

    /// Returns the file's size in bytes.
    #[must_use]
    pub fn file_size_bytes(&self) -> i64 {
        self.number(NumberColumn::FileSize).unwrap_or_default()
    }

    /// Returns the id of the file's sort order.
    #[must_use]
    pub fn sort_order_id(&self) -> Option<i32> {
        self.small_number(NumberColumn::SortOrderId)
    }

    /// Returns where the file can be split, in bytes from its begin.
    #[must_use]
    pub fn split_offsets(&self) -> Option<NumberList<'a>> {
        self.list(ListColumn::SplitOffsets)
    }

    /// Returns the field ids of the columns that equality deletes compare.
    #[must_use]
    pub fn equality_ids(&self) -> Option<impl Iterator<Item = i32> + Clone + 'a> {
        self.list(ListColumn::EqualityIds).map(|ids| ids.filter_map(|id| i32::try_from(id).ok()))
    }

    /// Returns the row id of the file's first row (v3).
    #[must_use]
    pub fn first_row_id(&self) -> Option<i64> {
        let RowIds(Some(inherited)) = &self.entries.row_ids else { return None };
        let inherited = || inherited.get(self.row).copied().filter(|_| self.status() != Status::Deleted);
        self.number(NumberColumn::FirstRowId).or_else(inherited)
    }

    /// Returns the only data file that the deletes apply to.
    #[must_use]
    pub fn referenced_data_file(&self) -> Option<FilePath<'a>> {
        self.entries.columns.referenced_files.as_ref()?.get(self.row)
    }

    /// Returns where the deletion vector begins in the file, in bytes.
    #[must_use]
    pub fn content_offset(&self) -> Option<i64> {
        self.number(NumberColumn::ContentOffset)
    }

    /// Returns the length of the deletion vector in bytes.
    #[must_use]
    pub fn content_size_bytes(&self) -> Option<i64> {
        self.number(NumberColumn::ContentSize)
    }

    /// Returns the key metadata of an encrypted file.
    #[must_use]
    pub fn key_metadata(&self) -> Option<&'a [u8]> {
        self.entries.columns.key_metadata.as_ref()?.get(self.row)
    }

    fn count(&self, kind: CountKind, field_id: i32) -> Option<i64> {
        self.entries.columns.statistics.column(field_id)?.count(kind, self.row, self.record_count())
    }
}

impl FileStatistics for Entry<'_> {
    #[inline]
    fn record_count(&self) -> i64 {
        self.number(NumberColumn::RecordCount).unwrap_or_default()
    }

    fn value_count(&self, field_id: i32) -> Option<i64> {
        self.count(CountKind::Value, field_id)
    }

    fn null_value_count(&self, field_id: i32) -> Option<i64> {
        self.count(CountKind::Null, field_id)
    }

    fn nan_value_count(&self, field_id: i32) -> Option<i64> {
        self.count(CountKind::Nan, field_id)
    }

    fn column_size_bytes(&self, field_id: i32) -> Option<i64> {
        self.count(CountKind::Size, field_id)
    }

    fn lower_bound(&self, field_id: i32) -> Option<&[u8]> {
        self.entries.columns.statistics.column(field_id)?.lower_bound(self.row)
    }

    fn upper_bound(&self, field_id: i32) -> Option<&[u8]> {
        self.entries.columns.statistics.column(field_id)?.upper_bound(self.row)
    }
}
