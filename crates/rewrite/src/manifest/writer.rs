//! Writes manifests (specification, "Manifests").

use std::cmp::Ordering;

use serde_json::Value as Json;
use tidewater_core::document::{PartitionSpec, Schema, TableMetadata};
use tidewater_core::scan::partition::field_types;
use tidewater_core::scan::statistics::FieldSummary;
use tidewater_core::scan::value::{Value, ValueType};
use tidewater_manifests::{FileContent, ManifestContent, ManifestFile, Status};
use uuid::Uuid;

use super::avro::{AvroWriter, Encoder};
use super::record::{FileRecord, NewEntry};
use super::schema::{self, PartitionType, decimal_bytes};
use crate::error::RewriteError;

/// The block size that v1 requires and no reader uses, in bytes. Java writes the same.
const BLOCK_SIZE: i64 = 64 << 20;

/// What the manifests of one partition spec and content have in common.
#[derive(Debug)]
pub(crate) struct Layout {
    format_version: u8,
    content: ManifestContent,
    spec_id: i32,
    partition: Vec<PartitionType>,
    schema: String,
    header: Vec<(&'static str, String)>,
}

impl Layout {
    /// Creates the layout of manifests of `content` for a partition spec of a table.
    ///
    /// # Errors
    /// `Unsupported` if the table has no such spec, or the type of a field's values is not known: its column was dropped, or
    /// its transform is not in the specification.
    pub(crate) fn new(table: &TableMetadata, spec_id: i32, content: ManifestContent) -> Result<Self, RewriteError> {
        let spec = table
            .partition_spec(spec_id)
            .ok_or_else(|| RewriteError::unsupported(format!("partition spec {spec_id} is not in the metadata")))?;
        let schema = current_schema(table)?;
        let partition = partition_types(spec, schema)?;
        let format_version = table.format_version();
        let fields = serde_json::from_str::<Json>(spec.json()).ok().and_then(|spec| spec.get("fields").cloned());
        let mut header = vec![
            ("schema", schema.json().to_owned()),
            ("schema-id", schema.id().to_string()),
            ("partition-spec", fields.unwrap_or_else(|| Json::Array(Vec::new())).to_string()),
            ("partition-spec-id", spec_id.to_string()),
            ("format-version", format_version.to_string()),
        ];
        if format_version >= 2 {
            let content = if content == ManifestContent::Data { "data" } else { "deletes" };
            header.push(("content", content.to_owned()));
        }
        let schema = schema::manifest(format_version, &partition);
        Ok(Self { format_version, content, spec_id, partition, schema, header })
    }
}

/// Returns the table's current schema.
pub(crate) fn current_schema(table: &TableMetadata) -> Result<&Schema, RewriteError> {
    let id = table.current_schema_id();
    table.schema(id).ok_or_else(|| RewriteError::unsupported(format!("schema {id} is not in the metadata")))
}

fn partition_types(spec: &PartitionSpec, schema: &Schema) -> Result<Vec<PartitionType>, RewriteError> {
    let index = schema.index().map_err(|error| RewriteError::unsupported(error.to_string()))?;
    let types = field_types(spec, &index);
    let fields = spec.fields().iter().zip(types);
    let typed = fields.map(|(field, value_type)| {
        let unknown = || {
            RewriteError::unsupported(format!(
                "the values of partition field '{}' have no known type: its column was dropped, or its transform is void or unknown",
                field.name
            ))
        };
        let value_type = value_type.ok_or_else(unknown)?;
        Ok(PartitionType { field_id: field.field_id, name: field.name.clone(), value_type })
    });
    typed.collect()
}

/// Writes one manifest in memory.
#[derive(Debug)]
pub(crate) struct ManifestWriter<'a> {
    layout: &'a Layout,
    out: AvroWriter,
    summaries: Vec<Summary>,
    file: ManifestFile,
    min_sequence_number: Option<i64>,
}

impl<'a> ManifestWriter<'a> {
    /// Begins a manifest. `marker` is unique for the file.
    pub(crate) fn new(layout: &'a Layout, marker: Uuid) -> Self {
        let file = ManifestFile {
            spec_id: layout.spec_id,
            content: layout.content,
            added_files_count: Some(0),
            existing_files_count: Some(0),
            deleted_files_count: Some(0),
            added_rows_count: Some(0),
            existing_rows_count: Some(0),
            deleted_rows_count: Some(0),
            ..ManifestFile::default()
        };
        Self {
            layout,
            out: AvroWriter::new(&layout.schema, &layout.header, marker),
            summaries: vec![Summary::default(); layout.partition.len()],
            file,
            min_sequence_number: None,
        }
    }

    /// Returns the size so far, in bytes.
    pub(crate) fn size_bytes(&self) -> usize {
        self.out.size_bytes()
    }

    /// Returns whether it has no entries yet.
    pub(crate) fn is_empty(&self) -> bool {
        let file = &self.file;
        [file.added_files_count, file.existing_files_count, file.deleted_files_count]
            .iter()
            .all(|count| *count == Some(0))
    }

    /// Appends an entry.
    ///
    /// # Errors
    /// `Unsupported` if its partition does not fit the spec.
    pub(crate) fn add(&mut self, entry: &NewEntry<'_>) -> Result<(), RewriteError> {
        let partition = self.partition(entry.file)?;
        let (version, types) = (self.layout.format_version, &self.layout.partition);
        self.out.record(|out| write_entry(out, version, entry, &partition, types));
        for (summary, value) in self.summaries.iter_mut().zip(&partition) {
            summary.add(value.as_ref());
        }
        let rows = entry.file.record_count;
        let (files, counted) = match entry.status {
            Status::Added => (&mut self.file.added_files_count, &mut self.file.added_rows_count),
            Status::Existing => (&mut self.file.existing_files_count, &mut self.file.existing_rows_count),
            Status::Deleted => (&mut self.file.deleted_files_count, &mut self.file.deleted_rows_count),
        };
        *files = files.map(|count| count.saturating_add(1));
        *counted = counted.map(|count| count.saturating_add(rows));
        if let (Some(number), false) = (entry.sequence_number, entry.status == Status::Deleted) {
            self.min_sequence_number = Some(self.min_sequence_number.map_or(number, |least| least.min(number)));
        }
        Ok(())
    }

    /// Returns the partition of a file as values of the spec's present types: a column may have been promoted since.
    fn partition(&self, file: &FileRecord) -> Result<Vec<Option<Value>>, RewriteError> {
        let types = &self.layout.partition;
        let misfit = || RewriteError::unsupported(format!("the partition of {} does not fit its spec", file.path));
        if file.partition.len() != types.len() {
            return Err(misfit());
        }
        let fit = file.partition.iter().zip(types).map(|(value, part)| match value {
            None => Ok(None),
            Some(value) => promote(value, part.value_type).map(Some).ok_or_else(misfit),
        });
        fit.collect()
    }

    /// Returns the file's content, and its record in a manifest list of the snapshot with this id and sequence number. The
    /// record lacks the path.
    pub(crate) fn finish(self, snapshot_id: i64, sequence_number: i64) -> (Vec<u8>, ManifestFile) {
        let content = self.out.finish();
        let is_v1 = self.layout.format_version == 1;
        let file = ManifestFile {
            length: i64::try_from(content.len()).unwrap_or(i64::MAX),
            sequence_number: if is_v1 { 0 } else { sequence_number },
            min_sequence_number: if is_v1 { 0 } else { self.min_sequence_number.unwrap_or(sequence_number) },
            added_snapshot_id: Some(snapshot_id),
            partitions: self.summaries.into_iter().map(Summary::finish).collect(),
            ..self.file
        };
        (content, file)
    }
}

/// Returns a value of a column as a value of the type to which the column was promoted.
fn promote(value: &Value, value_type: ValueType) -> Option<Value> {
    Some(match (value, value_type) {
        (Value::Int(number), ValueType::Long) => Value::Long(i64::from(*number)),
        (Value::Float(number), ValueType::Double) => Value::Double(f64::from(*number)),
        (Value::Int(days), ValueType::Date) => Value::Date(*days),
        (Value::Binary(bytes), ValueType::Fixed(length)) if bytes.len() != length as usize => return None,
        (value, value_type) if value.has_type(value_type) => value.clone(),
        _ => return None,
    })
}

/// What a manifest list says about one partition field.
#[derive(Debug, Clone, Default)]
struct Summary {
    contains_null: bool,
    contains_nan: bool,
    lower: Option<Value>,
    upper: Option<Value>,
}

impl Summary {
    fn add(&mut self, value: Option<&Value>) {
        let Some(value) = value else {
            self.contains_null = true;
            return;
        };
        if value.is_nan() {
            self.contains_nan = true;
            return;
        }
        let is = |bound: &Option<Value>, order| {
            bound.as_ref().is_none_or(|bound| value.compare_with_signed_uuids(bound) == Some(order))
        };
        if is(&self.lower, Ordering::Less) {
            self.lower = Some(value.clone());
        }
        if is(&self.upper, Ordering::Greater) {
            self.upper = Some(value.clone());
        }
    }

    fn finish(self) -> FieldSummary {
        FieldSummary {
            contains_null: self.contains_null,
            contains_nan: Some(self.contains_nan),
            lower_bound: self.lower.map(|bound| bound.to_bytes().into()),
            upper_bound: self.upper.map(|bound| bound.to_bytes().into()),
        }
    }
}

fn write_entry(
    out: &mut Encoder,
    format_version: u8,
    entry: &NewEntry<'_>,
    partition: &[Option<Value>],
    types: &[PartitionType],
) {
    out.long(match entry.status {
        Status::Existing => 0,
        Status::Added => 1,
        Status::Deleted => 2,
    });
    out.optional(entry.snapshot_id, Encoder::long);
    if format_version >= 2 {
        out.optional(entry.sequence_number, Encoder::long);
        out.optional(entry.file_sequence_number, Encoder::long);
    }
    let file = entry.file;
    if format_version >= 2 {
        out.long(match file.content {
            FileContent::Data => 0,
            FileContent::PositionDeletes => 1,
            FileContent::EqualityDeletes => 2,
        });
    }
    out.bytes(file.path.as_bytes());
    out.bytes(file.format.to_ascii_uppercase().as_bytes());
    for (value, part) in partition.iter().zip(types) {
        out.optional(value.as_ref(), |out, value| write_value(out, value, part.value_type));
    }
    out.long(file.record_count);
    out.long(file.file_size_bytes);
    if format_version == 1 {
        out.long(BLOCK_SIZE);
    }
    write_metrics(out, file);
    out.optional(file.key_metadata.as_deref(), Encoder::bytes);
    out.optional(file.split_offsets.as_deref(), |out, offsets| out.array(offsets, |out, offset| out.long(*offset)));
    if format_version >= 2 {
        let ids = file.equality_ids.as_deref();
        out.optional(ids, |out, ids| out.array(ids, |out, id| out.long(i64::from(*id))));
    }
    out.optional(file.sort_order_id, |out, id| out.long(i64::from(id)));
    if format_version >= 3 {
        out.optional(file.first_row_id, Encoder::long);
    }
    if format_version >= 2 {
        out.optional(file.referenced_data_file.as_deref(), |out, path| out.bytes(path.as_bytes()));
    }
    if format_version >= 3 {
        out.optional(file.content_offset, Encoder::long);
        out.optional(file.content_size_bytes, Encoder::long);
    }
}

fn write_metrics(out: &mut Encoder, file: &FileRecord) {
    let metrics = &file.metrics;
    for counts in [&metrics.column_sizes, &metrics.value_counts, &metrics.null_counts, &metrics.nan_counts] {
        out.optional((!counts.is_empty()).then_some(counts), |out, counts| {
            out.array(counts, |out, (id, count)| {
                out.long(i64::from(*id));
                out.long(*count);
            });
        });
    }
    for bounds in [&metrics.lower_bounds, &metrics.upper_bounds] {
        out.optional((!bounds.is_empty()).then_some(bounds), |out, bounds| {
            out.array(bounds, |out, (id, bound)| {
                out.long(i64::from(*id));
                out.bytes(bound);
            });
        });
    }
}

/// Appends a value. It has the type.
fn write_value(out: &mut Encoder, value: &Value, value_type: ValueType) {
    match value {
        Value::Boolean(value) => out.boolean(*value),
        Value::Int(value) | Value::Date(value) => out.long(i64::from(*value)),
        Value::Long(value) | Value::Time(value) | Value::Timestamp(value) | Value::TimestampNano(value) => {
            out.long(*value);
        }
        Value::Float(value) => out.raw(&value.to_le_bytes()),
        Value::Double(value) => out.raw(&value.to_le_bytes()),
        Value::Decimal(unscaled) => {
            let precision = if let ValueType::Decimal { precision, .. } = value_type { precision } else { 38 };
            let bytes = unscaled.to_be_bytes();
            out.raw(&bytes[bytes.len() - decimal_bytes(precision) as usize..]);
        }
        Value::String(text) => out.bytes(text.as_bytes()),
        Value::Uuid(value) => out.raw(&value.to_be_bytes()),
        Value::Binary(bytes) if matches!(value_type, ValueType::Fixed(_)) => out.raw(bytes),
        Value::Binary(bytes) => out.bytes(bytes),
    }
}
