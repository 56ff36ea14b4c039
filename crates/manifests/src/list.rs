//! Manifest lists (specification, "Manifest Lists").

use tidewater_core::scan::statistics::FieldSummary;
use tidewater_core::stop::Stop;

use crate::avro::{AvroFile, Input, Kind, NodeId, Schema, Slot};
use crate::columns::{Known, field_slot, find};
use crate::error::{Budget, Limits, ManifestError, check_plain};

/// What kind of files a manifest names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ManifestContent {
    /// Data files.
    #[default]
    Data,
    /// Files with deletes.
    Deletes,
}

/// The manifests of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestList {
    files: Box<[ManifestFile]>,
    size_bytes: usize,
}

/// A manifest, as a manifest list names it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ManifestFile {
    /// Its location.
    pub path: Box<str>,
    /// Its length in bytes.
    pub length: i64,
    /// The partition spec of its files.
    pub spec_id: i32,
    /// What kind of files it names. Data in v1.
    pub content: ManifestContent,
    /// The sequence number of the commit that added it. 0 in v1.
    pub sequence_number: i64,
    /// The smallest data sequence number of its live files. 0 in v1.
    pub min_sequence_number: i64,
    /// The snapshot that added it. None if a v1 list does not say it.
    pub added_snapshot_id: Option<i64>,
    /// The number of entries with the status added.
    pub added_files_count: Option<i32>,
    /// The number of entries with the status existing.
    pub existing_files_count: Option<i32>,
    /// The number of entries with the status deleted.
    pub deleted_files_count: Option<i32>,
    /// The number of rows in added files.
    pub added_rows_count: Option<i64>,
    /// The number of rows in existing files.
    pub existing_rows_count: Option<i64>,
    /// The number of rows in deleted files.
    pub deleted_rows_count: Option<i64>,
    /// The summary of each partition field, in the order of the spec. Empty if unknown, or if the spec has no fields.
    pub partitions: Vec<FieldSummary>,
    /// The key metadata of an encrypted manifest.
    pub key_metadata: Option<Box<[u8]>>,
    /// The first row id of its added files (v3).
    pub first_row_id: Option<i64>,
}

impl ManifestList {
    /// Reads a manifest list.
    ///
    /// # Errors
    /// All of [`ManifestError`] except for those of entries and partitions.
    pub fn parse(bytes: &[u8], limits: &Limits, stop: Stop<'_>) -> Result<Self, ManifestError> {
        check_plain(bytes)?;
        let file = AvroFile::open(bytes, limits.depth)?;
        let schema = file.schema();
        let plan = Plan::new(schema)?;
        let mut budget = Budget::new("manifests", limits.unpacked_bytes);
        let mut files = Vec::new();
        file.read_records(limits.unpacked_bytes, |record| {
            if files.len() % 1024 == 0 {
                stop.check()?;
            }
            budget.take(size_of::<ManifestFile>())?;
            files.push(plan.read(schema, record, &mut budget)?);
            Ok::<_, ManifestError>(())
        })?;
        let size_bytes = files.iter().map(ManifestFile::size_bytes).sum::<usize>() + size_of::<Self>();
        Ok(Self { files: files.into(), size_bytes })
    }

    /// Returns the manifests, in the order of the list.
    #[must_use]
    pub fn files(&self) -> &[ManifestFile] {
        &self.files
    }

    /// Returns the memory that it takes, in bytes.
    #[must_use]
    pub const fn size_bytes(&self) -> usize {
        self.size_bytes
    }
}

impl ManifestFile {
    fn size_bytes(&self) -> usize {
        let bounds = |summary: &FieldSummary| {
            summary.lower_bound.as_ref().map_or(0, |bound| bound.len())
                + summary.upper_bound.as_ref().map_or(0, |bound| bound.len())
        };
        size_of::<Self>()
            + self.path.len()
            + self.partitions.iter().map(|summary| size_of::<FieldSummary>() + bounds(summary)).sum::<usize>()
            + self.key_metadata.as_ref().map_or(0, |key| key.len())
    }
}

/// The columns of a manifest list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Path,
    Length,
    SpecId,
    Content,
    SequenceNumber,
    MinSequenceNumber,
    AddedSnapshotId,
    AddedFiles,
    ExistingFiles,
    DeletedFiles,
    AddedRows,
    ExistingRows,
    DeletedRows,
    Partitions,
    KeyMetadata,
    FirstRowId,
}

const COLUMNS: &[Known<Column>] = &[
    (Column::Path, 500, &["manifest_path"]),
    (Column::Length, 501, &["manifest_length"]),
    (Column::SpecId, 502, &["partition_spec_id"]),
    (Column::Content, 517, &["content"]),
    (Column::SequenceNumber, 515, &["sequence_number"]),
    (Column::MinSequenceNumber, 516, &["min_sequence_number"]),
    (Column::AddedSnapshotId, 503, &["added_snapshot_id"]),
    (Column::AddedFiles, 504, &["added_files_count", "added_data_files_count"]),
    (Column::ExistingFiles, 505, &["existing_files_count", "existing_data_files_count"]),
    (Column::DeletedFiles, 506, &["deleted_files_count", "deleted_data_files_count"]),
    (Column::AddedRows, 512, &["added_rows_count"]),
    (Column::ExistingRows, 513, &["existing_rows_count"]),
    (Column::DeletedRows, 514, &["deleted_rows_count"]),
    (Column::Partitions, 507, &["partitions"]),
    (Column::KeyMetadata, 519, &["key_metadata"]),
    (Column::FirstRowId, 520, &["first_row_id"]),
];

/// The columns of a partition summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SummaryColumn {
    ContainsNull,
    ContainsNan,
    LowerBound,
    UpperBound,
}

const SUMMARY_COLUMNS: &[Known<SummaryColumn>] = &[
    (SummaryColumn::ContainsNull, 509, &["contains_null"]),
    (SummaryColumn::ContainsNan, 518, &["contains_nan"]),
    (SummaryColumn::LowerBound, 510, &["lower_bound"]),
    (SummaryColumn::UpperBound, 511, &["upper_bound"]),
];

/// How to read the fields of a record: a known column, or a type to skip.
type Steps<C> = Vec<Result<(C, Slot), NodeId>>;

struct Plan {
    steps: Steps<Column>,
    summary: Steps<SummaryColumn>,
}

impl Plan {
    fn new(schema: &Schema) -> Result<Self, ManifestError> {
        let mut summary = Vec::new();
        let steps = steps(schema, schema.root(), COLUMNS, |column, kind| match (column, kind) {
            (Column::Partitions, Kind::Array(item)) => {
                summary = steps(schema, *item, SUMMARY_COLUMNS, |column, kind| match column {
                    SummaryColumn::ContainsNull | SummaryColumn::ContainsNan => Ok(matches!(kind, Kind::Boolean)),
                    SummaryColumn::LowerBound | SummaryColumn::UpperBound => Ok(matches!(kind, Kind::Bytes)),
                })?;
                Ok(true)
            }
            (Column::Partitions, _) => Ok(false),
            (Column::Path, kind) => Ok(matches!(kind, Kind::String)),
            (Column::KeyMetadata, kind) => Ok(matches!(kind, Kind::Bytes)),
            (_, kind) => Ok(matches!(kind, Kind::Int | Kind::Long)),
        })?;
        for (column, name) in [
            (Column::Path, "manifest_path"),
            (Column::Length, "manifest_length"),
            (Column::SpecId, "partition_spec_id"),
        ] {
            if !steps.iter().any(|step| matches!(step, Ok((found, _)) if *found == column)) {
                return Err(ManifestError::Missing(name));
            }
        }
        Ok(Self { steps, summary })
    }

    fn read(&self, schema: &Schema, input: &mut Input<'_>, budget: &mut Budget) -> Result<ManifestFile, ManifestError> {
        let mut file = ManifestFile::default();
        for step in &self.steps {
            let (column, slot) = match step {
                Err(skipped) => {
                    schema.skip(*skipped, input)?;
                    continue;
                }
                Ok(step) => *step,
            };
            if !slot.is_present(input)? {
                match column {
                    Column::Path => return Err(ManifestError::Missing("manifest_path")),
                    Column::Length => return Err(ManifestError::Missing("manifest_length")),
                    Column::SpecId => return Err(ManifestError::Missing("partition_spec_id")),
                    _ => continue,
                }
            }
            match column {
                Column::Path => {
                    let path = input.text()?;
                    budget.take(path.len())?;
                    file.path = path.into();
                }
                Column::Length => file.length = input.long()?,
                Column::SpecId => file.spec_id = input.int()?,
                Column::Content => file.content = content(input.long()?)?,
                Column::SequenceNumber => file.sequence_number = input.long()?,
                Column::MinSequenceNumber => file.min_sequence_number = input.long()?,
                Column::AddedSnapshotId => file.added_snapshot_id = Some(input.long()?),
                Column::AddedFiles => file.added_files_count = Some(input.int()?),
                Column::ExistingFiles => file.existing_files_count = Some(input.int()?),
                Column::DeletedFiles => file.deleted_files_count = Some(input.int()?),
                Column::AddedRows => file.added_rows_count = Some(input.long()?),
                Column::ExistingRows => file.existing_rows_count = Some(input.long()?),
                Column::DeletedRows => file.deleted_rows_count = Some(input.long()?),
                Column::Partitions => file.partitions = self.summaries(schema, input, budget)?,
                Column::KeyMetadata => file.key_metadata = Some(read_bytes(input, budget)?),
                Column::FirstRowId => file.first_row_id = Some(input.long()?),
            }
        }
        Ok(file)
    }

    fn summaries(
        &self,
        schema: &Schema,
        input: &mut Input<'_>,
        budget: &mut Budget,
    ) -> Result<Vec<FieldSummary>, ManifestError> {
        let mut summaries = Vec::new();
        loop {
            let count = input.block_count()?;
            if count == 0 {
                summaries.shrink_to_fit();
                return Ok(summaries);
            }
            for _ in 0..count {
                budget.take(size_of::<FieldSummary>())?;
                summaries.push(self.summary(schema, input, budget)?);
            }
        }
    }

    fn summary(
        &self,
        schema: &Schema,
        input: &mut Input<'_>,
        budget: &mut Budget,
    ) -> Result<FieldSummary, ManifestError> {
        // A writer that does not say whether there are nulls may have some.
        let mut summary =
            FieldSummary { contains_null: true, contains_nan: None, lower_bound: None, upper_bound: None };
        for step in &self.summary {
            match step {
                Err(skipped) => schema.skip(*skipped, input)?,
                Ok((column, slot)) => {
                    if !slot.is_present(input)? {
                        continue;
                    }
                    match column {
                        SummaryColumn::ContainsNull => summary.contains_null = input.boolean()?,
                        SummaryColumn::ContainsNan => summary.contains_nan = Some(input.boolean()?),
                        SummaryColumn::LowerBound => summary.lower_bound = Some(read_bytes(input, budget)?),
                        SummaryColumn::UpperBound => summary.upper_bound = Some(read_bytes(input, budget)?),
                    }
                }
            }
        }
        Ok(summary)
    }
}

fn read_bytes(input: &mut Input<'_>, budget: &mut Budget) -> Result<Box<[u8]>, ManifestError> {
    let bytes = input.bytes()?;
    budget.take(bytes.len())?;
    Ok(bytes.into())
}

fn content(number: i64) -> Result<ManifestContent, ManifestError> {
    match number {
        0 => Ok(ManifestContent::Data),
        1 => Ok(ManifestContent::Deletes),
        other => Err(ManifestError::Value { field: "content", value: other.to_string() }),
    }
}

/// Plans the reading of a record. `fits` says whether a known column may have an encoding.
fn steps<C: Copy>(
    schema: &Schema,
    record: NodeId,
    known: &[Known<C>],
    mut fits: impl FnMut(C, &Kind) -> Result<bool, ManifestError>,
) -> Result<Steps<C>, ManifestError> {
    let fields = schema.fields(record).ok_or_else(|| ManifestError::ColumnType("record".to_owned()))?;
    let mut steps = Vec::with_capacity(fields.len());
    for field in fields {
        steps.push(match find(known, field) {
            None => Err(field.node),
            Some(column) => match field_slot(schema, field)? {
                None => Err(field.node),
                Some(slot) => {
                    if !fits(column, &schema.node(slot.node).kind)? {
                        return Err(ManifestError::ColumnType(field.name.clone()));
                    }
                    Ok((column, slot))
                }
            },
        });
    }
    Ok(steps)
}
