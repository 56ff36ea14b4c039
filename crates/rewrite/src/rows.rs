//! The rows of an old file as those of a new one: the present columns, without deleted rows, with the row lineage of v3
//! (specification, "Row Lineage").

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions, StructArray};
use arrow_schema::SchemaRef;
use arrow_select::filter::filter_record_batch;
use tidewater_core::document::{Field, TableMetadata, Transform};
use tidewater_core::scan::value::Value;

use crate::data::{Target, field_id, fit_struct, target_schema};
use crate::error::RewriteError;
use crate::manifest::{FileRecord, current_schema};

/// The field ids of the columns of row lineage (specification, "Reserved Field IDs").
const ROW_ID: i32 = 2_147_483_540;
const LAST_UPDATED_ID: i32 = 2_147_483_539;

/// The columns of new files.
#[derive(Debug)]
pub(crate) struct Columns {
    targets: Vec<Target>,
    has_lineage: bool,
    schema: SchemaRef,
    /// The columns that are the partition itself, by the id of the spec and its field: `(spec, position, column)`.
    identities: Vec<(i32, usize, i32)>,
}

impl Columns {
    /// Creates the columns of a table's present schema, and for v3 those of row lineage.
    ///
    /// # Errors
    /// `Unsupported` if a column has a type that cannot be rewritten.
    pub(crate) fn new(table: &TableMetadata) -> Result<Self, RewriteError> {
        let schema = current_schema(table)?;
        let targets = schema.fields().iter().map(Target::new).collect::<Result<Vec<_>, String>>();
        let targets = targets.map_err(RewriteError::unsupported)?;
        let has_lineage = table.format_version() >= 3;
        let mut written = targets.clone();
        if has_lineage {
            written.push(Target::long(ROW_ID, "_row_id"));
            written.push(Target::long(LAST_UPDATED_ID, "_last_updated_sequence_number"));
        }
        Ok(Self { targets, has_lineage, schema: target_schema(&written), identities: identities(table) })
    }

    /// Creates the first columns of a table's present schema whose types can be read, without row lineage: at most `most`. Returns
    /// the names of the others, too.
    ///
    /// # Errors
    /// `Unsupported` if the table has no current schema.
    pub(crate) fn readable(table: &TableMetadata, most: usize) -> Result<(Self, Vec<String>), RewriteError> {
        let (mut targets, mut left_out) = (Vec::new(), Vec::new());
        for field in current_schema(table)?.fields() {
            match Target::new(field) {
                Ok(target) if targets.len() < most => targets.push(target),
                _ => left_out.push(field.name.clone()),
            }
        }
        let schema = target_schema(&targets);
        Ok((Self { targets, has_lineage: false, schema, identities: identities(table) }, left_out))
    }

    /// Returns the fields of a schema that are columns here, in order.
    pub(crate) fn fields<'f>(&self, fields: &'f [Field]) -> Vec<&'f Field> {
        fields.iter().filter(|field| self.targets.iter().any(|target| target.id == field.id)).collect()
    }

    /// Returns the same columns without those of row lineage.
    pub(crate) fn without_lineage(self) -> Self {
        Self { schema: target_schema(&self.targets), has_lineage: false, ..self }
    }

    /// Returns the columns as an Arrow schema.
    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Returns the ids of the columns to read.
    pub(crate) fn ids(&self) -> Vec<i32> {
        let mut ids: Vec<i32> = self.targets.iter().map(|target| target.id).collect();
        if self.has_lineage {
            ids.extend([ROW_ID, LAST_UPDATED_ID]);
        }
        ids
    }
}

/// Returns the columns that are the partition itself.
fn identities(table: &TableMetadata) -> Vec<(i32, usize, i32)> {
    let mut identities = Vec::new();
    for spec in table.partition_specs() {
        for (position, field) in spec.fields().iter().enumerate() {
            if let (Transform::Identity, [source]) = (&field.transform, &field.source_ids[..]) {
                identities.push((spec.id(), position, *source));
            }
        }
    }
    identities
}

/// An old file.
pub(crate) struct Source<'s> {
    columns: &'s Columns,
    constants: HashMap<i32, Option<Value>>,
    first_row_id: Option<i64>,
    sequence_number: i64,
}

impl<'s> Source<'s> {
    /// Creates the source for a file of a partition spec.
    pub(crate) fn new(columns: &'s Columns, (file, spec_id): (&FileRecord, i32), sequence_number: i64) -> Self {
        let of_spec = columns.identities.iter().filter(|(spec, ..)| *spec == spec_id);
        let constants =
            of_spec.filter_map(|(_, position, id)| Some((*id, file.partition.get(*position)?.clone()))).collect();
        Self { columns, constants, first_row_id: file.first_row_id, sequence_number }
    }

    /// Returns the rows of a new file. `first` is the position of the first row in the old one; `keep` says which stay.
    ///
    /// # Errors
    /// Says why values would be lost.
    pub(crate) fn convert(
        &self,
        first: u64,
        rows: &StructArray,
        keep: Option<Vec<bool>>,
    ) -> Result<RecordBatch, String> {
        let mut columns = fit_struct(rows, &self.columns.targets, &self.constants)?.columns().to_vec();
        if self.columns.has_lineage {
            let first_row_id = self.first_row_id.map(|id| id.saturating_add_unsigned(first));
            let number = self.first_row_id.map(|_| self.sequence_number);
            columns.push(lineage(rows, ROW_ID, |row| first_row_id.map(|id| id.saturating_add_unsigned(row)))?);
            columns.push(lineage(rows, LAST_UPDATED_ID, |_| number)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let batch = RecordBatch::try_new_with_options(self.columns.schema(), columns, &options);
        let batch = batch.map_err(|error| error.to_string())?;
        match keep {
            None => Ok(batch),
            Some(keep) => filter_record_batch(&batch, &BooleanArray::from(keep)).map_err(|error| error.to_string()),
        }
    }
}

/// Returns a column of row lineage: what the old file says, or for a row without it, what the row inherits.
fn lineage(rows: &StructArray, id: i32, inherited: impl Fn(u64) -> Option<i64>) -> Result<ArrayRef, String> {
    let position = rows.fields().iter().position(|field| field_id(field) == Some(id));
    let written = match position.map(|position| rows.column(position)) {
        None => None,
        Some(column) => Some(column.as_primitive_opt::<Int64Type>().ok_or("a column of row lineage is not a long")?),
    };
    let value = |row: usize| {
        let own = written.filter(|written| written.is_valid(row)).map(|written| written.value(row));
        own.or_else(|| inherited(row as u64))
    };
    Ok(Arc::new((0..rows.len()).map(value).collect::<Int64Array>()))
}
