//! Writes manifest lists (specification, "Manifest Lists").

use tidewater_core::scan::statistics::FieldSummary;
use tidewater_manifests::{ManifestContent, ManifestFile};
use uuid::Uuid;

use super::avro::{AvroWriter, Encoder};
use super::schema;
use crate::error::RewriteError;

/// A snapshot whose manifest list is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListOf {
    /// The table's format version.
    pub(crate) format_version: u8,
    /// The snapshot's id.
    pub(crate) snapshot_id: i64,
    /// The id of the snapshot before it.
    pub(crate) parent_id: Option<i64>,
    /// Its sequence number.
    pub(crate) sequence_number: i64,
    /// The table's next row id (v3).
    pub(crate) next_row_id: i64,
}

/// Returns the content of a manifest list, and the number of row ids that it assigns (v3): each data manifest without a first
/// row id gets one, and takes as many ids as it has live rows, as in the reference implementation.
///
/// # Errors
/// `Unsupported` if a manifest of an old list lacks its counts, which the format version requires.
pub(crate) fn write_list(of: &ListOf, files: &[ManifestFile], marker: Uuid) -> Result<(Vec<u8>, i64), RewriteError> {
    let mut header = vec![
        ("snapshot-id", of.snapshot_id.to_string()),
        ("parent-snapshot-id", of.parent_id.map_or("null".to_owned(), |id| id.to_string())),
        ("format-version", of.format_version.to_string()),
    ];
    if of.format_version >= 2 {
        header.push(("sequence-number", of.sequence_number.to_string()));
    }
    if of.format_version >= 3 {
        header.push(("first-row-id", of.next_row_id.to_string()));
    }
    let mut out = AvroWriter::new(&schema::manifest_list(of.format_version), &header, marker);
    let mut next_row_id = of.next_row_id;
    for file in files {
        let counts = Counts::new(file);
        if of.format_version >= 2 && counts.is_none() {
            let path = &file.path;
            return Err(RewriteError::unsupported(format!("the manifest list has no counts of files for {path}")));
        }
        let mut first_row_id = file.first_row_id;
        if of.format_version >= 3 && file.content == ManifestContent::Data && first_row_id.is_none() {
            first_row_id = Some(next_row_id);
            let rows = counts.map_or(0, |counts| counts.rows[0].saturating_add(counts.rows[1]));
            next_row_id = next_row_id.saturating_add(rows);
        }
        out.record(|out| write_file(out, of, file, counts, first_row_id));
    }
    Ok((out.finish(), next_row_id - of.next_row_id))
}

/// The files and rows that were added, exist and were deleted.
#[derive(Debug, Clone, Copy)]
struct Counts {
    files: [i32; 3],
    rows: [i64; 3],
}

impl Counts {
    fn new(file: &ManifestFile) -> Option<Self> {
        Some(Self {
            files: [file.added_files_count?, file.existing_files_count?, file.deleted_files_count?],
            rows: [file.added_rows_count?, file.existing_rows_count?, file.deleted_rows_count?],
        })
    }
}

fn write_file(out: &mut Encoder, of: &ListOf, file: &ManifestFile, counts: Option<Counts>, first_row_id: Option<i64>) {
    out.bytes(file.path.as_bytes());
    out.long(file.length);
    out.long(i64::from(file.spec_id));
    if of.format_version == 1 {
        out.optional(file.added_snapshot_id, Encoder::long);
        for count in [file.added_files_count, file.existing_files_count, file.deleted_files_count] {
            out.optional(count, |out, count| out.long(i64::from(count)));
        }
        for count in [file.added_rows_count, file.existing_rows_count, file.deleted_rows_count] {
            out.optional(count, Encoder::long);
        }
    } else {
        out.long(i64::from(file.content == ManifestContent::Deletes));
        out.long(file.sequence_number);
        out.long(file.min_sequence_number);
        // An old list may not say it. 0 is what readers take then.
        out.long(file.added_snapshot_id.unwrap_or_default());
        if let Some(counts) = counts {
            counts.files.iter().for_each(|count| out.long(i64::from(*count)));
            counts.rows.iter().for_each(|count| out.long(*count));
        }
    }
    let partitions = (!file.partitions.is_empty()).then_some(file.partitions.as_slice());
    out.optional(partitions, |out, summaries| out.array(summaries, write_summary));
    out.optional(file.key_metadata.as_deref(), Encoder::bytes);
    if of.format_version >= 3 {
        out.optional(first_row_id, Encoder::long);
    }
}

fn write_summary(out: &mut Encoder, summary: &FieldSummary) {
    out.boolean(summary.contains_null);
    out.optional(summary.contains_nan, Encoder::boolean);
    out.optional(summary.lower_bound.as_deref(), Encoder::bytes);
    out.optional(summary.upper_bound.as_deref(), Encoder::bytes);
}
