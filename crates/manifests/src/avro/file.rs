//! Avro files: the header, and the records in the blocks behind it (Avro specification 1.12, "Object Container Files").

use super::codec::{Codec, Unpacker};
use super::error::AvroError;
use super::input::Input;
use super::schema::Schema;

pub(super) const MAGIC: &[u8] = b"Obj\x01";

/// The length of the marker between blocks, in bytes.
pub(super) const SYNC_BYTES: usize = 16;

/// The keys of the metadata that are kept. Others are skipped, since a hostile file can have millions.
const KEYS: [&str; 8] = [
    "avro.codec",
    "avro.schema",
    "content",
    "format-version",
    "partition-spec",
    "partition-spec-id",
    "schema",
    "schema-id",
];

/// An Avro file whose header is read.
pub(crate) struct AvroFile<'a> {
    schema: Schema,
    metadata: [Option<&'a [u8]>; KEYS.len()],
    codec: Codec,
    sync: &'a [u8],
    blocks: &'a [u8],
}

impl<'a> AvroFile<'a> {
    /// Reads the header. The schema's types are nested at most `depth` deep.
    ///
    /// # Errors
    /// `Malformed`; `Schema`; `Codec`.
    pub(crate) fn open(file: &'a [u8], depth: usize) -> Result<Self, AvroError> {
        let rest = file.strip_prefix(MAGIC).ok_or(AvroError::Malformed("its first bytes are not those of one"))?;
        let mut input = Input::new(rest);
        let mut metadata = [None; KEYS.len()];
        loop {
            let count = input.block_count()?;
            if count == 0 {
                break;
            }
            for _ in 0..count {
                let (key, value) = (input.bytes()?, input.bytes()?);
                if let Some(position) = KEYS.iter().position(|known| known.as_bytes() == key) {
                    metadata[position] = Some(value);
                }
            }
        }
        let sync = input.take(SYNC_BYTES)?;
        let mut file =
            Self { schema: Schema::parse(b"\"null\"", 1)?, metadata, codec: Codec::Null, sync, blocks: input.rest() };
        file.schema = Schema::parse(file.metadata("avro.schema").unwrap_or_default(), depth)?;
        file.codec = Codec::parse(file.metadata("avro.codec").unwrap_or(b"null"))?;
        Ok(file)
    }

    /// Returns the type of the records.
    pub(crate) const fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Returns what `read` reads from the file. Iceberg's Java library writes a length before the values of fixed types, other
    /// writers follow the specification of Avro and do not. So `read` is called for both forms if the file has such a type.
    ///
    /// The form with lengths counts if it fits: then each value follows exactly its length, and the file ends where it must. The
    /// form without them can fit a file with lengths by accident, since the last byte of a value can be the first of a number.
    ///
    /// # Errors
    /// Those of `read` without lengths, if it fails in both forms.
    pub(crate) fn read_either_form<T, E>(&mut self, read: impl Fn(&Self) -> Result<T, E>) -> Result<T, E> {
        if self.schema.has_plain_fixed() {
            self.schema.set_length_of_fixed(true);
            if let Ok(found) = read(self) {
                return Ok(found);
            }
            self.schema.set_length_of_fixed(false);
        }
        read(self)
    }

    /// Returns a value of the header's metadata. Only those in [`KEYS`] are known.
    pub(crate) fn metadata(&self, key: &str) -> Option<&'a [u8]> {
        KEYS.iter().position(|known| *known == key).and_then(|position| self.metadata[position])
    }

    /// Calls `read` at the begin of each record. It must read the whole record.
    ///
    /// # Errors
    /// All of [`AvroError`], `TooLarge` when all blocks together unpack to more than `limit_bytes`; those of `read`.
    pub(crate) fn read_records<E: From<AvroError>>(
        &self,
        limit_bytes: u64,
        mut read: impl FnMut(&mut Input<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut input = Input::new(self.blocks);
        let mut unpacker = Unpacker::new(self.codec);
        let mut left = limit_bytes;
        while !input.rest().is_empty() {
            let (count, size) = (input.length()?, input.length()?);
            let block = unpacker.unpack(input.take(size)?, left)?.ok_or(AvroError::TooLarge(limit_bytes))?;
            left -= block.len() as u64;
            if input.take(SYNC_BYTES)? != self.sync {
                return Err(AvroError::Malformed("a block has another length than announced").into());
            }
            let mut records = Input::new(block);
            for _ in 0..count {
                if records.rest().is_empty() {
                    return Err(AvroError::Malformed("a block has fewer records than its count").into());
                }
                read(&mut records)?;
            }
            if !records.rest().is_empty() {
                return Err(AvroError::Malformed("a block has more bytes than its records").into());
            }
        }
        Ok(())
    }
}
