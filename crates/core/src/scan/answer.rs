//! The JSON of file scan tasks and delete files (REST specification, `FileScanTask`, `ContentFile`), written straight into a
//! buffer. Absent values are omitted, since some clients fail on null.

use super::single_value::{self, NotWritable, put, write_hex, write_text};
use super::statistics::{FileStatistics, Partition};
use super::value::ValueType;

/// The content of a file (specification, "Data File Fields", `content`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Rows.
    Data,
    /// Positions of deleted rows, or a deletion vector.
    PositionDeletes,
    /// Values of deleted rows.
    EqualityDeletes,
}

/// A file as a manifest lists it.
#[derive(Clone, Copy)]
pub struct ContentFile<'a> {
    /// Its content.
    pub content: Content,
    /// Its location.
    pub path: &'a str,
    /// Its format, in any case.
    pub format: &'a str,
    /// The id of its partition spec.
    pub spec_id: i32,
    /// Its partition.
    pub partition: &'a Partition,
    /// The number of its rows.
    pub record_count: i64,
    /// Its size, in bytes.
    pub file_size_bytes: i64,
    /// The metadata of its encryption key.
    pub key_metadata: Option<&'a [u8]>,
    /// Where it can be split.
    pub split_offsets: Option<&'a [i64]>,
    /// The id of its sort order.
    pub sort_order_id: Option<i32>,
    /// The id of its first row, its own or inherited (v3).
    pub first_row_id: Option<i64>,
    /// The position of a deletion vector, in bytes.
    pub content_offset: Option<i64>,
    /// The length of a deletion vector, in bytes.
    pub content_size_bytes: Option<i64>,
    /// The location of the only data file that it has deletes for.
    pub referenced_data_file: Option<&'a str>,
    /// The ids of the columns that its rows are compared by, if it has equality deletes.
    pub equality_ids: &'a [i32],
    /// Its statistics.
    pub statistics: &'a dyn FileStatistics,
}

/// Writes the task of reading a data file. `types` are the types of its partition fields, `statistics` the ids of the columns
/// whose statistics the client asked for, `deletes` the positions of its delete files in the answer's list, and `residual` the
/// JSON of its residual filter.
///
/// # Errors
/// Fails if its partition cannot be written. Nothing is written then.
pub fn write_task(
    file: &ContentFile<'_>,
    types: &[Option<ValueType>],
    statistics: &[i32],
    deletes: &[u32],
    residual: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), NotWritable> {
    whole(out, |out| {
        out.extend_from_slice(b"{\"data-file\":{");
        write_common(file, types, out)?;
        if let Some(id) = file.first_row_id {
            put(out, format_args!(",\"first-row-id\":{id}"));
        }
        write_statistics(file.statistics, statistics, out);
        out.push(b'}');
        if !deletes.is_empty() {
            out.extend_from_slice(b",\"delete-file-references\":");
            write_numbers(deletes, out);
        }
        out.extend_from_slice(b",\"residual-filter\":");
        out.extend_from_slice(residual);
        out.push(b'}');
        Ok(())
    })
}

/// Writes a delete file. `types` are the types of its partition fields.
///
/// # Errors
/// Fails if its partition cannot be written. Nothing is written then.
pub fn write_delete_file(
    file: &ContentFile<'_>,
    types: &[Option<ValueType>],
    out: &mut Vec<u8>,
) -> Result<(), NotWritable> {
    whole(out, |out| {
        out.push(b'{');
        write_common(file, types, out)?;
        if let (Some(offset), Some(size)) = (file.content_offset, file.content_size_bytes) {
            put(out, format_args!(",\"content-offset\":{offset},\"content-size-in-bytes\":{size}"));
        }
        // The specification does not have it, but clients read it.
        if let Some(path) = file.referenced_data_file {
            out.extend_from_slice(b",\"referenced-data-file\":");
            write_text(path, out);
        }
        if file.content == Content::EqualityDeletes {
            out.extend_from_slice(b",\"equality-ids\":");
            write_numbers(file.equality_ids, out);
        }
        out.push(b'}');
        Ok(())
    })
}

/// Writes all of an object, or nothing.
fn whole(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Result<(), NotWritable>) -> Result<(), NotWritable> {
    let start = out.len();
    write(out).inspect_err(|_| out.truncate(start))
}

fn write_common(file: &ContentFile<'_>, types: &[Option<ValueType>], out: &mut Vec<u8>) -> Result<(), NotWritable> {
    let content = match file.content {
        Content::Data => "data",
        Content::PositionDeletes => "position-deletes",
        Content::EqualityDeletes => "equality-deletes",
    };
    put(out, format_args!("\"content\":\"{content}\",\"file-path\":"));
    write_text(file.path, out);
    out.extend_from_slice(b",\"file-format\":");
    let format = out.len();
    write_text(file.format, out);
    out[format..].make_ascii_lowercase();
    put(out, format_args!(",\"spec-id\":{},\"partition\":", file.spec_id));
    write_partition(file.partition, types, out)?;
    put(out, format_args!(",\"file-size-in-bytes\":{},\"record-count\":{}", file.file_size_bytes, file.record_count));
    if let Some(metadata) = file.key_metadata {
        out.extend_from_slice(b",\"key-metadata\":\"");
        write_hex(metadata, out);
        out.push(b'"');
    }
    if let Some(offsets) = file.split_offsets {
        out.extend_from_slice(b",\"split-offsets\":");
        write_numbers(offsets, out);
    }
    if let Some(id) = file.sort_order_id {
        put(out, format_args!(",\"sort-order-id\":{id}"));
    }
    Ok(())
}

/// Writes a partition as an array with a value for each field of its spec. A field without a type is null: its column does not
/// exist any more, or it is void. The reference implementation reads only null there.
fn write_partition(partition: &Partition, types: &[Option<ValueType>], out: &mut Vec<u8>) -> Result<(), NotWritable> {
    if partition.len() != types.len() {
        return Err(NotWritable::Mismatch);
    }
    out.push(b'[');
    for (position, (value, kind)) in partition.iter().zip(types).enumerate() {
        if position > 0 {
            out.push(b',');
        }
        match (value, kind) {
            (Some(value), Some(kind)) => single_value::write(value, *kind, out)?,
            _ => out.extend_from_slice(b"null"),
        }
    }
    out.push(b']');
    Ok(())
}

fn write_statistics(file: &dyn FileStatistics, ids: &[i32], out: &mut Vec<u8>) {
    let number = |value: i64, out: &mut Vec<u8>| put(out, format_args!("{value}"));
    // The specification has typed values for bounds, but clients read the binary form in hexadecimal digits.
    let bound = |value: &[u8], out: &mut Vec<u8>| {
        out.push(b'"');
        write_hex(value, out);
        out.push(b'"');
    };
    write_map("column-sizes", ids, |id| file.column_size_bytes(id), number, out);
    write_map("value-counts", ids, |id| file.value_count(id), number, out);
    write_map("null-value-counts", ids, |id| file.null_value_count(id), number, out);
    write_map("nan-value-counts", ids, |id| file.nan_value_count(id), number, out);
    write_map("lower-bounds", ids, |id| file.lower_bound(id), bound, out);
    write_map("upper-bounds", ids, |id| file.upper_bound(id), bound, out);
}

/// Writes a map of columns as two arrays, unless it is empty.
fn write_map<T>(
    name: &str,
    ids: &[i32],
    value: impl Fn(i32) -> Option<T>,
    write: impl Fn(T, &mut Vec<u8>),
    out: &mut Vec<u8>,
) {
    let start = out.len();
    put(out, format_args!(",\"{name}\":{{\"keys\":["));
    let first = out.len();
    for id in ids.iter().filter(|id| value(**id).is_some()) {
        put(out, format_args!("{id},"));
    }
    if out.len() == first {
        out.truncate(start);
        return;
    }
    out.pop();
    out.extend_from_slice(b"],\"values\":[");
    for value in ids.iter().filter_map(|id| value(*id)) {
        write(value, out);
        out.push(b',');
    }
    out.pop();
    out.extend_from_slice(b"]}");
}

fn write_numbers<T: std::fmt::Display>(numbers: &[T], out: &mut Vec<u8>) {
    out.push(b'[');
    for (position, number) in numbers.iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        put(out, format_args!("{number}"));
    }
    out.push(b']');
}
