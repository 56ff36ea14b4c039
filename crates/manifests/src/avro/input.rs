//! A cursor over Avro's binary encoding (Avro specification 1.12, "Binary Encoding"). Every count and length has a bound.

use super::error::AvroError;

/// The most values in a block, for each of its bytes. Most values take at least a byte. Records and nulls take none.
const VALUES_PER_BYTE: usize = 32;

/// A cursor over encoded values.
pub(crate) struct Input<'a> {
    pub(super) bytes: &'a [u8],
    /// How many more values may be skipped. Through records without fields and nulls, a schema can describe endlessly many
    /// values that take no bytes.
    values_left: usize,
}

impl<'a> Input<'a> {
    /// Creates a cursor at the begin of `bytes`.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, values_left: bytes.len().saturating_mul(VALUES_PER_BYTE) }
    }

    /// Returns the bytes that are not read yet.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// Reads `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], AvroError> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(AvroError::Malformed("it is cut off"))?;
        self.bytes = rest;
        Ok(taken)
    }

    /// Reads as many bytes as the array has.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], AvroError> {
        let (taken, rest) = self.bytes.split_first_chunk().ok_or(AvroError::Malformed("it is cut off"))?;
        self.bytes = rest;
        Ok(*taken)
    }

    pub(super) fn count_value(&mut self) -> Result<(), AvroError> {
        self.values_left = self.values_left.checked_sub(1).ok_or(AvroError::Malformed("it has values without end"))?;
        Ok(())
    }

    /// Reads a zig-zag encoded `int` or `long`.
    #[inline]
    pub(crate) fn long(&mut self) -> Result<i64, AvroError> {
        // Most numbers in manifests take a byte or two.
        match *self.bytes {
            [first, ref rest @ ..] if first < 0x80 => {
                self.bytes = rest;
                Ok(decode_zigzag(u64::from(first)))
            }
            [first, second, ref rest @ ..] if second < 0x80 => {
                self.bytes = rest;
                Ok(decode_zigzag(u64::from(first & 0x7f) | u64::from(second) << 7))
            }
            _ => self.longer(),
        }
    }

    fn longer(&mut self) -> Result<i64, AvroError> {
        let mut number = 0_u64;
        for (position, byte) in self.bytes.iter().take(10).enumerate() {
            number |= u64::from(byte & 0x7f) << (7 * position);
            if byte & 0x80 == 0 {
                self.bytes = &self.bytes[position + 1..];
                return Ok(decode_zigzag(number));
            }
        }
        Err(AvroError::Malformed(if self.bytes.len() < 10 { "it is cut off" } else { "a number is too long" }))
    }

    /// Reads an `int`.
    #[inline]
    pub(crate) fn int(&mut self) -> Result<i32, AvroError> {
        i32::try_from(self.long()?).map_err(|_| AvroError::Malformed("a number does not fit its type"))
    }

    /// Reads a `boolean`.
    pub(crate) fn boolean(&mut self) -> Result<bool, AvroError> {
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(AvroError::Malformed("a boolean is neither 0 nor 1")),
        }
    }

    /// Reads a length or the position of a union's branch.
    #[inline]
    pub(crate) fn length(&mut self) -> Result<usize, AvroError> {
        usize::try_from(self.long()?).map_err(|_| AvroError::Malformed("a length is negative"))
    }

    /// Reads `bytes` or a `string`.
    #[inline]
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], AvroError> {
        let length = self.length()?;
        self.take(length)
    }

    /// Reads a `string`.
    pub(crate) fn text(&mut self) -> Result<&'a str, AvroError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| AvroError::Malformed("a text is not UTF-8"))
    }

    /// Reads how many items the next block of an array or map has. 0 is the end.
    #[inline]
    pub(crate) fn block_count(&mut self) -> Result<u64, AvroError> {
        let count = self.long()?;
        if count < 0 {
            // A negative count is followed by the block's size in bytes.
            self.long()?;
        }
        let count = count.unsigned_abs();
        // Items that take no bytes would allow endless loops. Manifests have none.
        if count > self.bytes.len() as u64 {
            return Err(AvroError::Malformed("a list is longer than the file"));
        }
        Ok(count)
    }
}

#[inline]
const fn decode_zigzag(number: u64) -> i64 {
    let magnitude = (number >> 1).cast_signed();
    if number & 1 == 0 { magnitude } else { !magnitude }
}
