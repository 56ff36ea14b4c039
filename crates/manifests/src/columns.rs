//! Finds the columns of the specification in an Avro record: by field id, or by name where a writer left the ids out.

use crate::avro::{Kind, RecordField, Schema, Slot};
use crate::error::ManifestError;

/// A column of the specification: its field id and its names.
pub(crate) type Known<C> = (C, i32, &'static [&'static str]);

/// Returns which column of the specification a field is.
pub(crate) fn find<C: Copy>(known: &[Known<C>], field: &RecordField) -> Option<C> {
    let is_this = |(_, id, names): &&Known<C>| match field.id {
        Some(field_id) => field_id == *id,
        None => names.contains(&field.name.as_str()),
    };
    known.iter().find(is_this).map(|(column, ..)| *column)
}

/// Returns the type of a field without null. None if it is always null.
///
/// # Errors
/// `ColumnType` for a union of several types.
pub(crate) fn field_slot(schema: &Schema, field: &RecordField) -> Result<Option<Slot>, ManifestError> {
    let slot = schema.slot(field.node).ok_or_else(|| ManifestError::ColumnType(field.name.clone()))?;
    // A slot whose type is a union has no other branch than null.
    Ok((!matches!(schema.node(slot.node).kind, Kind::Null | Kind::Union(_))).then_some(slot))
}
