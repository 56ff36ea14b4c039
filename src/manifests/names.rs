//! Reads the paths in manifest lists and manifests (Iceberg specification, "Manifests" and "Manifest Lists"). It reads only
//! paths, so that columns, types and fields of later versions of the format do no harm.

use super::avro::{AvroError, texts};

/// Why the paths of a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnreadableError {
    /// It cannot be read.
    #[error(transparent)]
    Avro(#[from] AvroError),
    /// A record has no such field, or no text in it.
    #[error("a record has no text in the field {0}")]
    Field(&'static str),
}

/// Returns the manifests in a manifest list. `limit_bytes` bounds the unpacked size.
pub(crate) fn manifests_of_list(bytes: &[u8], limit_bytes: u64) -> Result<Vec<String>, UnreadableError> {
    all(bytes, &["manifest_path"], limit_bytes)
}

/// Returns the data and delete files in a manifest, including entries marked as deleted, which were the table's too.
pub(crate) fn files_of_manifest(bytes: &[u8], limit_bytes: u64) -> Result<Vec<String>, UnreadableError> {
    all(bytes, &["data_file", "file_path"], limit_bytes)
}

/// The text at the end of `fields` in every record. It is read whole before any of it counts.
fn all(bytes: &[u8], fields: &[&'static str], limit_bytes: u64) -> Result<Vec<String>, UnreadableError> {
    let last = fields.last().copied().unwrap_or_default();
    texts(bytes, fields, limit_bytes)?.into_iter().map(|text| text.ok_or(UnreadableError::Field(last))).collect()
}
