//! How to read the entries of a manifest: a step for each field of their Avro records.

use crate::avro::{Kind, NodeId, RecordField, Schema, Slot};
use crate::columns::{Known, field_slot, find};
use crate::error::ManifestError;
use crate::statistics::{BoundKind, CountKind};

/// The columns of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NumberColumn {
    Status,
    SnapshotId,
    SequenceNumber,
    FileSequenceNumber,
    Content,
    RecordCount,
    FileSize,
    SortOrderId,
    FirstRowId,
    ContentOffset,
    ContentSize,
}

/// The number of columns of numbers.
pub(crate) const NUMBER_COLUMNS: usize = 11;

/// The columns of lists of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListColumn {
    SplitOffsets,
    EqualityIds,
}

/// The number of columns of lists.
pub(crate) const LIST_COLUMNS: usize = 2;

/// How to read one field.
#[derive(Debug)]
pub(crate) enum Step {
    Skip(NodeId),
    Number(NumberColumn, Slot),
    Path(Slot),
    ReferencedFile(Slot),
    Format(Slot),
    Partition(Slot),
    KeyMetadata(Slot),
    /// A list, with its items.
    List(ListColumn, Slot, Slot),
    /// A list of pairs of field id and number, with the numbers.
    Counts(CountKind, Slot, Slot),
    /// A list of pairs of field id and bound, with the bounds.
    Bounds(BoundKind, Slot, Slot),
    /// A record in the entry.
    DataFile(Slot, Vec<Step>),
}

/// The steps for an entry.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    /// The type of the partition records.
    pub(crate) partition: Option<NodeId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Number(NumberColumn),
    Path,
    ReferencedFile,
    Format,
    Partition,
    KeyMetadata,
    List(ListColumn),
    Counts(CountKind),
    Bounds(BoundKind),
    DataFile,
}

const ENTRY: &[Known<Column>] = &[
    (Column::Number(NumberColumn::Status), 0, &["status"]),
    (Column::Number(NumberColumn::SnapshotId), 1, &["snapshot_id"]),
    (Column::Number(NumberColumn::SequenceNumber), 3, &["sequence_number"]),
    (Column::Number(NumberColumn::FileSequenceNumber), 4, &["file_sequence_number"]),
    (Column::DataFile, 2, &["data_file"]),
];

const DATA_FILE: &[Known<Column>] = &[
    (Column::Number(NumberColumn::Content), 134, &["content"]),
    (Column::Path, 100, &["file_path"]),
    (Column::Format, 101, &["file_format"]),
    (Column::Partition, 102, &["partition"]),
    (Column::Number(NumberColumn::RecordCount), 103, &["record_count"]),
    (Column::Number(NumberColumn::FileSize), 104, &["file_size_in_bytes"]),
    (Column::Counts(CountKind::Size), 108, &["column_sizes"]),
    (Column::Counts(CountKind::Value), 109, &["value_counts"]),
    (Column::Counts(CountKind::Null), 110, &["null_value_counts"]),
    (Column::Counts(CountKind::Nan), 137, &["nan_value_counts"]),
    (Column::Bounds(BoundKind::Lower), 125, &["lower_bounds"]),
    (Column::Bounds(BoundKind::Upper), 128, &["upper_bounds"]),
    (Column::KeyMetadata, 131, &["key_metadata"]),
    (Column::List(ListColumn::SplitOffsets), 132, &["split_offsets"]),
    (Column::List(ListColumn::EqualityIds), 135, &["equality_ids"]),
    (Column::Number(NumberColumn::SortOrderId), 140, &["sort_order_id"]),
    (Column::Number(NumberColumn::FirstRowId), 142, &["first_row_id"]),
    (Column::ReferencedFile, 143, &["referenced_data_file"]),
    (Column::Number(NumberColumn::ContentOffset), 144, &["content_offset"]),
    (Column::Number(NumberColumn::ContentSize), 145, &["content_size_in_bytes"]),
];

impl Plan {
    /// Plans the reading of entries.
    ///
    /// # Errors
    /// `ColumnType`.
    pub(crate) fn new(schema: &Schema) -> Result<Self, ManifestError> {
        let mut partition = None;
        let steps = steps(schema, schema.root(), ENTRY, &mut partition)?;
        Ok(Self { steps, partition })
    }
}

fn steps(
    schema: &Schema,
    record: NodeId,
    known: &[Known<Column>],
    partition: &mut Option<NodeId>,
) -> Result<Vec<Step>, ManifestError> {
    let fields = schema.fields(record).ok_or_else(|| ManifestError::ColumnType("manifest_entry".to_owned()))?;
    let mut seen = Vec::with_capacity(fields.len());
    let mut steps = Vec::with_capacity(fields.len());
    for field in fields {
        // Of two fields for one column, which no writer has, the first counts.
        let column = find(known, field).filter(|column| !seen.contains(column));
        seen.extend(column);
        steps.push(step(schema, field, column, partition)?);
    }
    Ok(steps)
}

fn step(
    schema: &Schema,
    field: &RecordField,
    column: Option<Column>,
    partition: &mut Option<NodeId>,
) -> Result<Step, ManifestError> {
    let Some(column) = column else { return Ok(Step::Skip(field.node)) };
    let Some(slot) = field_slot(schema, field)? else { return Ok(Step::Skip(field.node)) };
    let kind = &schema.node(slot.node).kind;
    let step = match column {
        Column::Number(column) => is_number(kind).then_some(Step::Number(column, slot)),
        Column::Path => matches!(kind, Kind::String).then_some(Step::Path(slot)),
        Column::ReferencedFile => matches!(kind, Kind::String).then_some(Step::ReferencedFile(slot)),
        Column::Format => matches!(kind, Kind::String).then_some(Step::Format(slot)),
        Column::KeyMetadata => matches!(kind, Kind::Bytes).then_some(Step::KeyMetadata(slot)),
        Column::Partition => {
            *partition = Some(slot.node);
            matches!(kind, Kind::Record(_)).then_some(Step::Partition(slot))
        }
        Column::List(column) => list_item(schema, kind).map(|item| Step::List(column, slot, item)),
        Column::Counts(kind_of_count) => {
            pair(schema, kind, is_number).map(|value| Step::Counts(kind_of_count, slot, value))
        }
        Column::Bounds(bound) => {
            pair(schema, kind, |kind| matches!(kind, Kind::Bytes)).map(|value| Step::Bounds(bound, slot, value))
        }
        Column::DataFile => {
            if !matches!(kind, Kind::Record(_)) {
                return Err(ManifestError::ColumnType(field.name.clone()));
            }
            Some(Step::DataFile(slot, steps(schema, slot.node, DATA_FILE, partition)?))
        }
    };
    step.ok_or_else(|| ManifestError::ColumnType(field.name.clone()))
}

const fn is_number(kind: &Kind) -> bool {
    matches!(kind, Kind::Int | Kind::Long)
}

fn list_item(schema: &Schema, kind: &Kind) -> Option<Slot> {
    let Kind::Array(item) = kind else { return None };
    let item = schema.slot(*item)?;
    is_number(&schema.node(item.node).kind).then_some(item)
}

/// Returns the value of a list of pairs: a map with field ids as keys (specification, "Avro"). Avro's maps have texts as keys.
fn pair(schema: &Schema, kind: &Kind, fits: impl FnOnce(&Kind) -> bool) -> Option<Slot> {
    let Kind::Array(item) = kind else { return None };
    let [key, value] = schema.fields(*item)? else { return None };
    let value = schema.slot(value.node)?;
    (is_number(&schema.node(key.node).kind) && fits(&schema.node(value.node).kind)).then_some(value)
}
