//! Limits of reading, and why a file cannot be read.

use tidewater_core::stop::Stopped;

use crate::avro::AvroError;

/// The limits of reading one manifest list or manifest. Tenants write these files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes that the file may unpack to. Its partitions, or the rows of a manifest list, may take as many again.
    /// At most 4 GiB count.
    pub unpacked_bytes: u64,
    /// The most entries of a manifest.
    pub entries: u32,
    /// The most columns with statistics in a manifest.
    pub columns: u32,
    /// The deepest nesting of Avro types and values.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { unpacked_bytes: 256 << 20, entries: 5_000_000, columns: 100_000, depth: 64 }
    }
}

/// Why a manifest list or a manifest cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The Avro file cannot be read.
    #[error(transparent)]
    Avro(#[from] AvroError),
    /// The file is encrypted (specification, "Encryption").
    #[error("it is encrypted, and encrypted manifests are not supported: plan the scan in the client")]
    Encrypted,
    /// A column that the specification requires is missing or null.
    #[error("it has no value for '{0}'")]
    Missing(&'static str),
    /// A column has another type than in the specification.
    #[error("its column '{0}' has an unexpected type")]
    ColumnType(String),
    /// A value breaks the specification.
    #[error("its value of '{field}' is invalid: {value}")]
    Value {
        /// The column.
        field: &'static str,
        /// The value.
        value: String,
    },
    /// A partition field has values of a type that cannot be read.
    #[error(
        "its partition field '{field}' has values of the unsupported type {type_name}: plan the scan in the client"
    )]
    PartitionType {
        /// The name of the field.
        field: String,
        /// The Avro type.
        type_name: String,
    },
    /// Its partition spec cannot be parsed.
    #[error("its partition spec cannot be parsed: {0}")]
    PartitionSpec(String),
    /// It has more entries than the limit.
    #[error("it has more than {0} entries, the most that are read: rewrite the table's manifests into smaller ones")]
    TooManyEntries(u32),
    /// It has statistics of more columns than the limit.
    #[error("it has statistics of more than {0} columns, the most that are read: reduce the columns with metrics")]
    TooManyColumns(u32),
    /// Its partitions, or the rows of a manifest list, take more memory than the limit.
    #[error(
        "its {what} take more than {limit_bytes} bytes of memory, the most that is used: rewrite the table's manifests into smaller ones, or let an administrator raise the setting 'limits.document_bytes'"
    )]
    TooMuchMemory {
        /// What takes the memory.
        what: &'static str,
        /// The limit in bytes.
        limit_bytes: u64,
    },
    /// The work was stopped, because its time is over.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// The first bytes of an encrypted file (specification, "AES GCM Stream file format").
const ENCRYPTED_MAGIC: &[u8] = b"AGS1";

/// Fails if a file is encrypted.
pub(crate) fn check_plain(bytes: &[u8]) -> Result<(), ManifestError> {
    if bytes.starts_with(ENCRYPTED_MAGIC) { Err(ManifestError::Encrypted) } else { Ok(()) }
}

/// The memory that a part of a file may still take.
pub(crate) struct Budget {
    what: &'static str,
    limit_bytes: u64,
    left: u64,
}

impl Budget {
    pub(crate) const fn new(what: &'static str, limit_bytes: u64) -> Self {
        Self { what, limit_bytes, left: limit_bytes }
    }

    /// Takes memory from the budget.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), ManifestError> {
        let left = self.left.checked_sub(bytes as u64);
        self.left = left.ok_or(ManifestError::TooMuchMemory { what: self.what, limit_bytes: self.limit_bytes })?;
        Ok(())
    }
}
