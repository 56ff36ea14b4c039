//! Reads one text field of each record in an Avro file (Avro specification 1.12, "Object Container Files" and "Binary
//! Encoding"). It skips other fields without storing them, and unpacks nothing beyond a limit, since tenants write these files.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, Read};

use flate2::read::DeflateDecoder;
use serde_json::Value;

const MAGIC: &[u8] = b"Obj\x01";

/// The length of the marker between blocks, in bytes.
const SYNC_BYTES: usize = 16;

/// The deepest nesting of a schema or value. Deeper ones are refused.
const MAX_DEPTH: usize = 64;

/// The most values in a block, for each of its bytes. Most values take at least a byte. Records and nulls take none.
const VALUES_PER_BYTE: usize = 32;

/// The length of the checksum after a block of the codec `snappy`, in bytes.
const CHECKSUM_BYTES: usize = 4;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AvroError {
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

/// Returns the text at the end of `path`, field by field, in each record. None for a record without text there.
///
/// # Errors
/// All of [`AvroError`]; `TooLarge` when all blocks together unpack to more than `limit_bytes`.
pub(super) fn read_texts(file: &[u8], path: &[&str], limit_bytes: u64) -> Result<Vec<Option<String>>, AvroError> {
    let mut input =
        Input::new(file.strip_prefix(MAGIC).ok_or(AvroError::Malformed("its first bytes are not those of one"))?);
    let header = Header::read(&mut input)?;
    let mut left = limit_bytes;
    let mut found = Vec::new();
    while !input.bytes.is_empty() {
        let (count, size) = (input.length()?, input.length()?);
        let block = header.codec.unpack(input.take(size)?, left)?.ok_or(AvroError::TooLarge(limit_bytes))?;
        left -= block.len() as u64;
        if input.take(SYNC_BYTES)? != header.sync {
            return Err(AvroError::Malformed("a block has another length than announced"));
        }
        let mut records = Input::new(&block);
        for _ in 0..count {
            if records.bytes.is_empty() {
                return Err(AvroError::Malformed("a block has fewer records than its count"));
            }
            found.push(header.schema.read_text(&header.schema.root, &mut records, path, MAX_DEPTH)?);
        }
    }
    Ok(found)
}

/// The part of a file before its first block.
struct Header<'a> {
    schema: Schema,
    codec: Codec,
    sync: &'a [u8],
}

impl<'a> Header<'a> {
    fn read(input: &mut Input<'a>) -> Result<Self, AvroError> {
        let mut metadata = HashMap::new();
        loop {
            let count = input.block_count()?;
            if count == 0 {
                break;
            }
            for _ in 0..count {
                let (key, value) = (input.bytes()?, input.bytes()?);
                metadata.insert(key, value);
            }
        }
        let schema: Value = serde_json::from_slice(metadata.get(&b"avro.schema"[..]).copied().unwrap_or_default())
            .map_err(|error| AvroError::Schema(error.to_string()))?;
        let codec = Codec::parse(metadata.get(&b"avro.codec"[..]).copied().unwrap_or(b"null"))?;
        Ok(Self { schema: Schema::new(&schema)?, codec, sync: input.take(SYNC_BYTES)? })
    }
}

/// The compression of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Codec {
    Null,
    Deflate,
    Snappy,
    Zstandard,
}

impl Codec {
    fn parse(name: &[u8]) -> Result<Self, AvroError> {
        match name {
            b"null" => Ok(Self::Null),
            b"deflate" => Ok(Self::Deflate),
            b"snappy" => Ok(Self::Snappy),
            b"zstandard" => Ok(Self::Zstandard),
            other => Err(AvroError::Codec(String::from_utf8_lossy(other).chars().take(40).collect())),
        }
    }

    /// Unpacks a block. Returns none if the result has more than `most` bytes.
    fn unpack(self, packed: &[u8], most: u64) -> Result<Option<Cow<'_, [u8]>>, AvroError> {
        Ok(match self {
            Self::Null => (packed.len() as u64 <= most).then_some(Cow::Borrowed(packed)),
            Self::Deflate => read_at_most(DeflateDecoder::new(packed), most)?.map(Cow::Owned),
            Self::Zstandard => read_at_most(zstd::Decoder::new(packed)?, most)?.map(Cow::Owned),
            Self::Snappy => {
                let end = packed.len().checked_sub(CHECKSUM_BYTES).ok_or(AvroError::Malformed("a block is cut off"))?;
                let packed = &packed[..end];
                // The block states its unpacked size. Unpacking fails if the statement is wrong.
                if snap::raw::decompress_len(packed).map_err(io::Error::from)? as u64 > most {
                    return Ok(None);
                }
                Some(Cow::Owned(snap::raw::Decoder::new().decompress_vec(packed).map_err(io::Error::from)?))
            }
        })
    }
}

fn read_at_most(from: impl Read, most: u64) -> io::Result<Option<Vec<u8>>> {
    let mut unpacked = Vec::new();
    from.take(most.saturating_add(1)).read_to_end(&mut unpacked)?;
    Ok((unpacked.len() as u64 <= most).then_some(unpacked))
}

/// A cursor over encoded values.
struct Input<'a> {
    bytes: &'a [u8],
    /// How many more values may be read. Through records without fields and nulls, a schema can describe endlessly many values
    /// that take no bytes.
    values_left: usize,
}

impl<'a> Input<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, values_left: bytes.len().saturating_mul(VALUES_PER_BYTE) }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], AvroError> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(AvroError::Malformed("it is cut off"))?;
        self.bytes = rest;
        Ok(taken)
    }

    fn count_value(&mut self) -> Result<(), AvroError> {
        self.values_left = self.values_left.checked_sub(1).ok_or(AvroError::Malformed("it has values without end"))?;
        Ok(())
    }

    /// Reads a zig-zag encoded `int` or `long`.
    fn long(&mut self) -> Result<i64, AvroError> {
        let mut number = 0_u64;
        for position in 0..10 {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f) << (7 * position);
            if byte & 0x80 == 0 {
                let magnitude = (number >> 1).cast_signed();
                return Ok(if number & 1 == 0 { magnitude } else { !magnitude });
            }
        }
        Err(AvroError::Malformed("a number is too long"))
    }

    fn length(&mut self) -> Result<usize, AvroError> {
        usize::try_from(self.long()?).map_err(|_| AvroError::Malformed("a length is negative"))
    }

    fn bytes(&mut self) -> Result<&'a [u8], AvroError> {
        let length = self.length()?;
        self.take(length)
    }

    /// Reads how many items the next block of an array or map has.
    fn block_count(&mut self) -> Result<u64, AvroError> {
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

/// A type, in the detail that skipping its values needs.
#[derive(Debug)]
enum Type {
    Null,
    Number,
    Text,
    Fixed(usize),
    Array(Box<Type>),
    Map(Box<Type>),
    Union(Vec<Type>),
    Record(Vec<(String, Type)>),
    Named(String),
}

/// The type of a file's records, and all named types.
struct Schema {
    root: Type,
    named: HashMap<String, Type>,
}

impl Schema {
    fn new(json: &Value) -> Result<Self, AvroError> {
        let mut named = HashMap::new();
        let root = read_type(json, &mut named, MAX_DEPTH)?;
        Ok(Self { root, named })
    }

    /// Reads a value. Returns the text at the end of `path` in it. An empty path means the value itself.
    fn read_text(
        &self,
        of: &Type,
        input: &mut Input<'_>,
        path: &[&str],
        depth: usize,
    ) -> Result<Option<String>, AvroError> {
        let depth = depth.checked_sub(1).ok_or(AvroError::Malformed("it is nested too deeply"))?;
        input.count_value()?;
        let mut found = None;
        match of {
            Type::Null => {}
            Type::Number => drop(input.long()?),
            Type::Fixed(size) => drop(input.take(*size)?),
            Type::Text => {
                let text = input.bytes()?;
                if path.is_empty() {
                    let text = std::str::from_utf8(text).map_err(|_| AvroError::Malformed("a text is not UTF-8"))?;
                    found = Some(text.to_owned());
                }
            }
            Type::Array(items) => self.skip_blocks(items, false, input, depth)?,
            Type::Map(values) => self.skip_blocks(values, true, input, depth)?,
            Type::Union(branches) => {
                let branch =
                    branches.get(input.length()?).ok_or(AvroError::Malformed("a union's branch does not exist"))?;
                found = self.read_text(branch, input, path, depth)?;
            }
            Type::Record(fields) => {
                for (name, of) in fields {
                    let is_on_path = path.first() == Some(&name.as_str());
                    // Outside of the path no text is wanted: no field has an empty name.
                    let text = self.read_text(of, input, if is_on_path { &path[1..] } else { &[""] }, depth)?;
                    found = found.or(text.filter(|_| is_on_path));
                }
            }
            Type::Named(name) => {
                let of = self.named.get(name).ok_or_else(|| AvroError::Schema(format!("no type is named {name}")))?;
                found = self.read_text(of, input, path, depth)?;
            }
        }
        Ok(found)
    }

    fn skip_blocks(&self, items: &Type, keyed: bool, input: &mut Input<'_>, depth: usize) -> Result<(), AvroError> {
        loop {
            let count = input.block_count()?;
            if count == 0 {
                return Ok(());
            }
            for _ in 0..count {
                if keyed {
                    input.bytes()?;
                }
                self.read_text(items, input, &[""], depth)?;
            }
        }
    }
}

/// Parses a type. Adds named types to `named` and refers to them.
fn read_type(json: &Value, named: &mut HashMap<String, Type>, depth: usize) -> Result<Type, AvroError> {
    let refuse = |why: &str| AvroError::Schema(why.to_owned());
    let depth = depth.checked_sub(1).ok_or_else(|| refuse("it is nested too deeply"))?;
    match json {
        Value::String(name) => Ok(match name.as_str() {
            "null" => Type::Null,
            "int" | "long" => Type::Number,
            "boolean" => Type::Fixed(1),
            "float" => Type::Fixed(4),
            "double" => Type::Fixed(8),
            "bytes" | "string" => Type::Text,
            other => Type::Named(short_name(other).to_owned()),
        }),
        Value::Array(branches) => {
            let branches = branches.iter().map(|branch| read_type(branch, named, depth));
            Ok(Type::Union(branches.collect::<Result<_, _>>()?))
        }
        Value::Object(object) => {
            let nested = |key: &str, named: &mut HashMap<String, Type>| {
                read_type(object.get(key).unwrap_or(&Value::Null), named, depth)
            };
            let of = match object.get("type").and_then(Value::as_str) {
                Some("array") => return Ok(Type::Array(Box::new(nested("items", named)?))),
                Some("map") => return Ok(Type::Map(Box::new(nested("values", named)?))),
                Some("enum") => Type::Number,
                Some("fixed") => {
                    let size = object.get("size").and_then(Value::as_u64).and_then(|size| usize::try_from(size).ok());
                    Type::Fixed(size.ok_or_else(|| refuse("a fixed type has no size"))?)
                }
                Some("record" | "error") => {
                    let fields = object.get("fields").and_then(Value::as_array);
                    let fields = fields.ok_or_else(|| refuse("a record has no fields"))?.iter().map(|field| {
                        let name = field.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
                        Ok((name, read_type(field.get("type").unwrap_or(&Value::Null), named, depth)?))
                    });
                    Type::Record(fields.collect::<Result<_, AvroError>>()?)
                }
                _ => return nested("type", named),
            };
            let name = object.get("name").and_then(Value::as_str).ok_or_else(|| refuse("a type has no name"))?;
            let name = short_name(name).to_owned();
            named.insert(name.clone(), of);
            Ok(Type::Named(name))
        }
        _ => Err(refuse("a type is neither a name, a list nor an object")),
    }
}

/// Returns a name without its namespace. Manifests have no two types that differ only in the namespace.
fn short_name(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

#[cfg(test)]
mod tests;
