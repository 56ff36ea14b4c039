//! Unpacks the blocks of Avro files. No block unpacks to more than a limit.

use std::io::{self, Read};

use flate2::{Decompress, FlushDecompress, Status};

use super::error::AvroError;

/// The length of the checksum after a block of the codec `snappy`, in bytes.
const CHECKSUM_BYTES: usize = 4;

/// The least free space for the next step of unpacking a deflated block, in bytes.
const STEP_BYTES: usize = 16 << 10;

/// The compression of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Null,
    Deflate,
    Snappy,
    Zstandard,
}

impl Codec {
    pub(super) fn parse(name: &[u8]) -> Result<Self, AvroError> {
        match name {
            b"null" => Ok(Self::Null),
            b"deflate" => Ok(Self::Deflate),
            b"snappy" => Ok(Self::Snappy),
            b"zstandard" => Ok(Self::Zstandard),
            other => Err(AvroError::Codec(String::from_utf8_lossy(other).chars().take(40).collect())),
        }
    }
}

/// Unpacks the blocks of one file, one after the other.
pub(super) struct Unpacker {
    codec: Codec,
    inflater: Option<Decompress>,
    /// The last block. Its memory is used again for the next.
    unpacked: Vec<u8>,
}

impl Unpacker {
    pub(super) const fn new(codec: Codec) -> Self {
        Self { codec, inflater: None, unpacked: Vec::new() }
    }

    /// Unpacks a block. Returns none if the result has more than `most` bytes.
    pub(super) fn unpack<'a>(&'a mut self, packed: &'a [u8], most: u64) -> Result<Option<&'a [u8]>, AvroError> {
        let fits = match self.codec {
            Codec::Null => return Ok((packed.len() as u64 <= most).then_some(packed)),
            Codec::Deflate => self.inflate(packed, most)?,
            Codec::Zstandard => {
                self.unpacked.clear();
                zstd::Decoder::new(packed)?.take(most.saturating_add(1)).read_to_end(&mut self.unpacked)?;
                self.unpacked.len() as u64 <= most
            }
            Codec::Snappy => {
                let end = packed.len().checked_sub(CHECKSUM_BYTES).ok_or(AvroError::Malformed("a block is cut off"))?;
                let packed = &packed[..end];
                // The block states its unpacked size. Unpacking fails if the statement is wrong.
                let length = snap::raw::decompress_len(packed).map_err(io::Error::from)?;
                if length as u64 > most {
                    return Ok(None);
                }
                self.unpacked.clear();
                self.unpacked.resize(length, 0);
                snap::raw::Decoder::new().decompress(packed, &mut self.unpacked).map_err(io::Error::from)?;
                true
            }
        };
        Ok(fits.then_some(&self.unpacked))
    }

    /// Unpacks a deflated block. Returns false if it has more than `most` bytes.
    fn inflate(&mut self, packed: &[u8], most: u64) -> Result<bool, AvroError> {
        let inflater = self.inflater.get_or_insert_with(|| Decompress::new(false));
        inflater.reset(false);
        self.unpacked.clear();
        loop {
            if self.unpacked.capacity() - self.unpacked.len() < STEP_BYTES {
                self.unpacked.reserve(STEP_BYTES.max(self.unpacked.len()));
            }
            let before = (inflater.total_in(), inflater.total_out());
            let rest = &packed[usize::try_from(before.0).unwrap_or(usize::MAX).min(packed.len())..];
            let status = inflater.decompress_vec(rest, &mut self.unpacked, FlushDecompress::None);
            let status = status.map_err(io::Error::from)?;
            if inflater.total_out() > most {
                return Ok(false);
            }
            if status == Status::StreamEnd {
                return Ok(true);
            }
            if before == (inflater.total_in(), inflater.total_out()) {
                return Err(AvroError::Malformed("a block is cut off"));
            }
        }
    }
}
