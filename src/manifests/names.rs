//! What manifest lists and manifests name. Nothing but paths is read, so that no column, type or field of a later version
//! of the format is in the way (Iceberg specification, "Manifests" and "Manifest Lists").

use super::avro::{AvroError, texts};

/// Why a file does not tell what it names.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnreadableError {
    /// It cannot be read.
    #[error(transparent)]
    Avro(#[from] AvroError),
    /// A record has no such field, or no text in it.
    #[error("a record has no text in the field {0}")]
    Field(&'static str),
}

/// The manifests that a manifest list names. `limit_bytes` is the most that it may unpack to.
pub(crate) fn manifests_of_list(bytes: &[u8], limit_bytes: u64) -> Result<Vec<String>, UnreadableError> {
    all(bytes, &["manifest_path"], limit_bytes)
}

/// The data and delete files that a manifest names, those that it says are deleted included: they too were the table's.
pub(crate) fn files_of_manifest(bytes: &[u8], limit_bytes: u64) -> Result<Vec<String>, UnreadableError> {
    all(bytes, &["data_file", "file_path"], limit_bytes)
}

/// The text at the end of `fields` in every record. It is read whole before any of it counts.
fn all(bytes: &[u8], fields: &[&'static str], limit_bytes: u64) -> Result<Vec<String>, UnreadableError> {
    let last = fields.last().copied().unwrap_or_default();
    texts(bytes, fields, limit_bytes)?.into_iter().map(|text| text.ok_or(UnreadableError::Field(last))).collect()
}
