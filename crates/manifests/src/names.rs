//! Reads the paths in manifest lists and manifests (Iceberg specification, "Manifests" and "Manifest Lists"). Other columns,
//! types and fields are skipped, so files of later versions of the format can be read too.

use crate::avro::{AvroError, read_texts};

/// Why the paths of a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableError {
    /// The Avro file cannot be read.
    #[error(transparent)]
    Avro(#[from] AvroError),
    /// A record has no field of this name, or no text in it.
    #[error("a record has no text in the field {0}")]
    Field(&'static str),
}

/// Returns the manifests in a manifest list. `limit_bytes` bounds the unpacked size.
pub fn manifests_of_list(bytes: &[u8], limit_bytes: u64) -> Result<Vec<String>, UnreadableError> {
    read_paths(bytes, &["manifest_path"], limit_bytes)
}

/// Returns the data and delete files in a manifest, including entries marked as deleted, whose files belonged to the table.
/// `limit_bytes` bounds the unpacked size.
pub fn files_of_manifest(bytes: &[u8], limit_bytes: u64) -> Result<Vec<String>, UnreadableError> {
    read_paths(bytes, &["data_file", "file_path"], limit_bytes)
}

/// Returns the text at the end of the path `fields` in every record. Fails for the whole file if one record has none.
fn read_paths(bytes: &[u8], fields: &[&'static str], limit_bytes: u64) -> Result<Vec<String>, UnreadableError> {
    let last = fields.last().copied().unwrap_or_default();
    read_texts(bytes, fields, limit_bytes)?.into_iter().map(|text| text.ok_or(UnreadableError::Field(last))).collect()
}
