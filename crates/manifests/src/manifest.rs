//! Manifests (specification, "Manifests"): the entries of files, column by column.

use tidewater_core::scan::statistics::Partition;
use tidewater_core::stop::Stop;

use crate::avro::AvroFile;
use crate::build::Columns;
use crate::entry::{Entries, RowIds};
use crate::error::{Limits, ManifestError, check_plain};
use crate::list::{ManifestContent, ManifestFile};
use crate::partition_type::PartitionColumn;
use crate::statistics::ColumnStatistics;

/// A manifest. It depends only on the bytes of its file: what entries inherit from the manifest list is added by
/// [`Manifest::entries`].
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    content: ManifestContent,
    format_version: u8,
    spec_id: Option<i32>,
    schema_id: Option<i32>,
    columns: Columns,
}

impl Manifest {
    /// Reads a manifest. `stop` is asked every thousand entries.
    ///
    /// # Errors
    /// All of [`ManifestError`].
    pub fn parse(bytes: &[u8], limits: &Limits, stop: Stop<'_>) -> Result<Self, ManifestError> {
        check_plain(bytes)?;
        let mut file = AvroFile::open(bytes, limits.depth)?;
        let content = match file.metadata("content") {
            None | Some(b"data") => ManifestContent::Data,
            Some(b"deletes") => ManifestContent::Deletes,
            Some(other) => return Err(invalid("content", other)),
        };
        let format_version = match number(&file, "format-version")?.unwrap_or(1) {
            version @ 1..=3 => u8::try_from(version).unwrap_or_default(),
            other => return Err(invalid("format-version", other.to_string().as_bytes())),
        };
        Ok(Self {
            content,
            format_version,
            spec_id: number(&file, "partition-spec-id")?,
            schema_id: number(&file, "schema-id")?,
            columns: file.read_either_form(|file| Columns::read(file, limits, stop))?,
        })
    }

    /// Returns what kind of files it names.
    #[must_use]
    pub const fn content(&self) -> ManifestContent {
        self.content
    }

    /// Returns the format version that it was written for, 1 to 3.
    #[must_use]
    pub const fn format_version(&self) -> u8 {
        self.format_version
    }

    /// Returns the id of its partition spec. None if the file does not say it: the manifest list does.
    #[must_use]
    pub const fn spec_id(&self) -> Option<i32> {
        self.spec_id
    }

    /// Returns the id of the table's schema when it was written. None if the file does not say it.
    #[must_use]
    pub const fn schema_id(&self) -> Option<i32> {
        self.schema_id
    }

    /// Returns the number of entries.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.columns.rows
    }

    /// Returns whether it has no entries.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the fields of its partition spec.
    #[must_use]
    pub fn partition_columns(&self) -> &[PartitionColumn] {
        self.columns.partitions.columns()
    }

    /// Returns the number of distinct partitions; 1 for an unpartitioned table.
    #[must_use]
    pub const fn partition_count(&self) -> usize {
        self.columns.partitions.count()
    }

    /// Returns a distinct partition, by the index that entries have. Empty for an unpartitioned table.
    #[must_use]
    pub fn partition(&self, index: u32) -> &Partition {
        self.columns.partitions.get(index as usize)
    }

    /// Returns the ids of the columns with statistics, in order.
    #[must_use]
    pub fn statistics_ids(&self) -> &[i32] {
        self.columns.statistics.field_ids()
    }

    /// Returns the statistics of a column in all files, so that a test of many files looks the column up once.
    #[must_use]
    pub fn statistics(&self, field_id: i32) -> Option<&ColumnStatistics> {
        self.columns.statistics.column(field_id)
    }

    /// Returns the entries, with what they inherit from the manifest list that names the manifest as `file`.
    ///
    /// # Errors
    /// `Missing` if an existing entry has no sequence number and cannot inherit one.
    pub fn entries(&self, file: &ManifestFile) -> Result<Entries<'_>, ManifestError> {
        self.entries_with(file, self.row_ids(file))
    }

    /// Returns the first row ids that the entries inherit from the manifest list. Looks at all entries.
    #[must_use]
    pub fn row_ids(&self, file: &ManifestFile) -> RowIds {
        RowIds::new(&self.columns, self.content, file)
    }

    /// Returns the entries as [`Manifest::entries`] does, with their first row ids from [`Manifest::row_ids`].
    ///
    /// # Errors
    /// Same as [`Manifest::entries`].
    pub fn entries_with(&self, file: &ManifestFile, row_ids: RowIds) -> Result<Entries<'_>, ManifestError> {
        if self.columns.lacks_sequence_number && file.sequence_number != 0 {
            return Err(ManifestError::Missing("sequence_number"));
        }
        Ok(Entries::new(&self.columns, file, row_ids))
    }

    /// Returns the memory that it takes, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        size_of::<Self>() + self.columns.heap_bytes()
    }
}

fn number(file: &AvroFile<'_>, key: &'static str) -> Result<Option<i32>, ManifestError> {
    let Some(bytes) = file.metadata(key) else { return Ok(None) };
    let number = std::str::from_utf8(bytes).ok().and_then(|text| text.trim().trim_matches('"').parse().ok());
    number.map(Some).ok_or_else(|| invalid(key, bytes))
}

fn invalid(field: &'static str, value: &[u8]) -> ManifestError {
    ManifestError::Value { field, value: String::from_utf8_lossy(value).chars().take(40).collect() }
}
