//! Why an Avro file cannot be read.

use std::io;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum AvroError {
    /// The file is not an Avro file, or is cut off.
    #[error("it is not a complete Avro file: {0}")]
    Malformed(&'static str),
    /// The schema cannot be parsed.
    #[error("its schema cannot be parsed: {0}")]
    Schema(String),
    /// The codec is not supported.
    #[error("its codec '{0}' is not supported")]
    Codec(String),
    /// A block cannot be unpacked.
    #[error("it cannot be unpacked: {0}")]
    Packed(#[from] io::Error),
    /// The blocks unpack to more than the limit.
    #[error(
        "it unpacks to more than {0} bytes, the most that is read: an administrator can raise the setting 'limits.document_bytes'"
    )]
    TooLarge(u64),
}
