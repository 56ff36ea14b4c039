//! What manifest lists and manifests name. Nothing but paths is read, so that no column, type or field of a later version
//! of the format is in the way (Iceberg specification, "Manifests" and "Manifest Lists").

use apache_avro::Reader;
use apache_avro::types::Value;

/// Why a file does not tell what it names.
#[derive(Debug, thiserror::Error)]
pub(super) enum UnreadableError {
    /// It is not a file of Avro records, or is cut off.
    #[error(transparent)]
    Avro(#[from] Box<apache_avro::Error>),
    /// A record has no such field, or no text in it.
    #[error("a record has no text in the field {0}")]
    Field(&'static str),
}

/// The manifests that a manifest list names.
pub(super) fn manifests_of_list(bytes: &[u8]) -> Result<Vec<String>, UnreadableError> {
    texts(bytes, &["manifest_path"])
}

/// The data and delete files that a manifest names, those that it says are deleted included: they too were the table's.
pub(super) fn files_of_manifest(bytes: &[u8]) -> Result<Vec<String>, UnreadableError> {
    texts(bytes, &["data_file", "file_path"])
}

/// The text at the end of `fields` in every record. It is read whole before any of it counts.
fn texts(bytes: &[u8], fields: &[&'static str]) -> Result<Vec<String>, UnreadableError> {
    let reader = Reader::new(bytes).map_err(Box::new)?;
    reader.map(|record| text_in(record.map_err(Box::new)?, fields)).collect()
}

fn text_in(mut value: Value, fields: &[&'static str]) -> Result<String, UnreadableError> {
    let last = fields.last().copied().unwrap_or_default();
    for field in fields {
        let Value::Record(members) = without_union(value) else { return Err(UnreadableError::Field(last)) };
        let found = members.into_iter().find(|(name, _)| name == field);
        value = found.ok_or(UnreadableError::Field(last))?.1;
    }
    match without_union(value) {
        Value::String(text) => Ok(text),
        _ => Err(UnreadableError::Field(last)),
    }
}

fn without_union(value: Value) -> Value {
    match value {
        Value::Union(_, inner) => *inner,
        other => other,
    }
}
