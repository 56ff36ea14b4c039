//! Writes Avro files (Avro specification 1.12, "Object Container Files" and "Binary Encoding").

use std::io::Write;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use uuid::Uuid;

/// The unpacked size of a block, in bytes. Java's default.
const BLOCK_BYTES: usize = 64_000;

/// Appends values in their encoding.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    /// Appends an `int` or `long`, or the position of a union's branch.
    pub(super) fn long(&mut self, value: i64) {
        let mut left = ((value << 1) ^ (value >> 63)).cast_unsigned();
        while left >= 0x80 {
            self.bytes.push((left & 0x7f) as u8 | 0x80);
            left >>= 7;
        }
        self.bytes.push(left as u8);
    }

    /// Appends the length of a list or text.
    pub(super) fn length(&mut self, length: usize) {
        self.long(i64::try_from(length).unwrap_or(i64::MAX));
    }

    /// Appends bytes as they are, as a `fixed` has them.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends `bytes` or a `string`.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.raw(bytes);
    }

    /// Appends a `boolean`.
    pub(super) fn boolean(&mut self, value: bool) {
        self.bytes.push(u8::from(value));
    }

    /// Appends a union of null and another type. `write` appends the value.
    pub(super) fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.long(i64::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    /// Appends an array. `write` appends an item.
    pub(super) fn array<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        if !items.is_empty() {
            self.length(items.len());
            items.iter().for_each(|item| write(self, item));
        }
        self.long(0);
    }
}

/// Writes an Avro file in memory. Blocks are compressed with `deflate`, the default of Iceberg's writers.
#[derive(Debug)]
pub(super) struct AvroWriter {
    out: Vec<u8>,
    sync: [u8; 16],
    block: Encoder,
    records: i64,
}

impl AvroWriter {
    /// Begins a file. `sync` is the marker between its blocks: unique, so that no value has it by accident.
    pub(super) fn new(schema: &str, metadata: &[(&str, String)], sync: Uuid) -> Self {
        let mut header = Encoder::default();
        header.raw(b"Obj\x01");
        header.length(metadata.len() + 2);
        let fixed = [("avro.schema", schema), ("avro.codec", "deflate")];
        for (key, value) in fixed.into_iter().chain(metadata.iter().map(|(key, value)| (*key, value.as_str()))) {
            header.bytes(key.as_bytes());
            header.bytes(value.as_bytes());
        }
        header.long(0);
        let sync = sync.into_bytes();
        header.raw(&sync);
        Self { out: header.bytes, sync, block: Encoder::default(), records: 0 }
    }

    /// Appends a record, which `write` encodes.
    pub(super) fn record(&mut self, write: impl FnOnce(&mut Encoder)) {
        write(&mut self.block);
        self.records += 1;
        if self.block.bytes.len() >= BLOCK_BYTES {
            self.end_block();
        }
    }

    /// Returns the size of the file so far, in bytes. The current block counts unpacked.
    pub(super) fn size_bytes(&self) -> usize {
        self.out.len() + self.block.bytes.len()
    }

    fn end_block(&mut self) {
        if self.records == 0 {
            return;
        }
        let mut packer = DeflateEncoder::new(Vec::new(), Compression::default());
        // Writing into memory does not fail.
        let packed = packer.write_all(&self.block.bytes).and_then(|()| packer.finish()).unwrap_or_default();
        let mut block = Encoder { bytes: std::mem::take(&mut self.out) };
        block.long(self.records);
        block.bytes(&packed);
        block.raw(&self.sync);
        self.out = block.bytes;
        self.block.bytes.clear();
        self.records = 0;
    }

    /// Returns the file.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.end_block();
        self.out
    }
}
