//! Statistics of a table: for each column a theta sketch of its distinct values, in a Puffin file (Puffin specification,
//! "apache-datasketches-theta-v1"), as Spark and Trino write and read them.

use arrow_array::{Array, RecordBatch};
use datasketches::hash::value::raw_bytes;
use datasketches::theta::{ThetaSketch, ThetaSketchBuilder};
use serde_json::{Value as Json, json};
use tidewater_core::document::TableMetadata;
use tidewater_manifests::ManifestContent;

use crate::data::{field_ids, single_value};
use crate::error::RewriteError;
use crate::job::Job;
use crate::manifest::current_schema;
use crate::reading::{InputFile, Reading};
use crate::rows::Columns;
use crate::snapshot::Proposal;
use crate::state::{DeleteFiles, State, live};

const MAGIC: &[u8] = b"PFA1";

/// The footer's flags: it is not compressed.
const FLAGS: [u8; 4] = [0; 4];

/// The most memory of a sketch with the default precision, in bytes.
const SKETCH_BYTES: u64 = 128 << 10;

/// How many data files share one read of their delete files.
const FILES_AT_ONCE: usize = 64;

/// What a computation of statistics did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatisticsReport {
    /// The number of data files that were read.
    pub files_read: u64,
    /// Their size in bytes.
    pub bytes_read: u64,
    /// The number of their rows, without deleted ones.
    pub rows: u64,
    /// The number of statistics files that were written: 0 or 1.
    pub files_written: u64,
    /// The size of the statistics file in bytes.
    pub bytes_written: u64,
}

/// Returns whether the current snapshot has a statistics file.
fn has_statistics(table: &TableMetadata) -> bool {
    let current = table.current_snapshot_id();
    current.is_some() && table.statistics().iter().any(|statistics| Some(statistics.snapshot_id) == current)
}

/// Returns what [`compute_statistics`] would read. Sizes of new files are 0.
///
/// # Errors
/// Those of reading manifests.
pub fn preview_statistics(job: &Job<'_>) -> Result<StatisticsReport, RewriteError> {
    let mut report = StatisticsReport::default();
    if has_statistics(job.table()) {
        return Ok(report);
    }
    let Some(state) = State::read(job)? else { return Ok(report) };
    let entries = state.entries()?;
    for (_, entry) in live(state.files(), &entries, ManifestContent::Data) {
        report.files_read += 1;
        report.bytes_read += u64::try_from(entry.file_size_bytes()).unwrap_or(0);
    }
    report.files_written = 1;
    Ok(report)
}

/// Counts the distinct values of all columns of primitive types in the current snapshot, and returns the commit that adds the
/// statistics file. Returns none if the table has no snapshot, or its snapshot has statistics. Reads all data files, if they
/// have at most `max_bytes` together.
///
/// # Errors
/// `Files`, `Manifest`, `Stopped`; `Unsupported` if a file cannot be read, or there is too much.
pub fn compute_statistics(
    job: &mut Job<'_>,
    max_bytes: u64,
) -> Result<(Option<Proposal>, StatisticsReport), RewriteError> {
    let mut report = StatisticsReport::default();
    if has_statistics(job.table()) {
        return Ok((None, report));
    }
    let Some(state) = State::read(job)? else { return Ok((None, report)) };
    let entries = state.entries()?;
    let table = job.table();
    let schema = current_schema(table)?;
    let mut delete_files = DeleteFiles::new(table, schema, state.files(), &entries)?;
    let columns = Columns::new(table)?.without_lineage();
    let mut sketches = Sketches::new(&columns, job.limits().memory_bytes / 4)?;
    let mut files = Vec::new();
    for (manifest, entry) in live(state.files(), &entries, ManifestContent::Data) {
        let mut deletes = Vec::new();
        delete_files.find(state.files()[manifest].spec_id, &entry, &mut deletes);
        report.files_read += 1;
        report.bytes_read += u64::try_from(entry.file_size_bytes()).unwrap_or(0);
        files.push(((manifest, entry.row()), deletes));
    }
    if report.bytes_read > max_bytes {
        let bytes = report.bytes_read;
        return Err(RewriteError::unsupported(format!("the data files have {bytes} bytes, more than {max_bytes}")));
    }
    let reading = Reading { state: &state, entries: &entries, delete_files: &delete_files, columns: &columns };
    for files in files.chunks(FILES_AT_ONCE) {
        let inputs: Vec<InputFile> =
            files.iter().filter_map(|(place, deletes)| reading.input(*place, deletes.clone())).collect();
        let (deletes, _) = reading.read_deletes(job, &inputs)?;
        for file in &inputs {
            reading.read_rows(job, file, &deletes, |_, rows| {
                report.rows += rows.num_rows() as u64;
                sketches.add(rows);
                Ok(())
            })?;
        }
    }
    let of = (state.base.id, state.base.sequence_number);
    let proposal = sketches.write(job, of, &mut report)?;
    Ok((Some(proposal), report))
}

/// A sketch for each column.
struct Sketches(Vec<(usize, i32, ThetaSketch)>);

impl Sketches {
    fn new(columns: &Columns, memory_bytes: u64) -> Result<Self, RewriteError> {
        let schema = columns.schema();
        let ids = field_ids(&schema);
        if ids.len() as u64 * SKETCH_BYTES > memory_bytes {
            return Err(RewriteError::unsupported(format!("sketches of {} columns take too much memory", ids.len())));
        }
        let mut sketches = Vec::new();
        for (position, (field, id)) in schema.fields().iter().zip(ids).enumerate() {
            if !field.data_type().is_nested() {
                let sketch = ThetaSketchBuilder::default().build();
                sketches.push((position, id, sketch.map_err(|error| RewriteError::unsupported(error.to_string()))?));
            }
        }
        Ok(Self(sketches))
    }

    fn add(&mut self, rows: &RecordBatch) {
        let mut value = Vec::new();
        for (position, _, sketch) in &mut self.0 {
            let column = rows.column(*position);
            for row in 0..column.len() {
                value.clear();
                // Empty values count as none, as in the reference implementation.
                if single_value(column, row, &mut value) && !value.is_empty() {
                    sketch.update(raw_bytes::from_vec(value.clone()));
                }
            }
        }
    }

    fn write(
        &self,
        job: &mut Job<'_>,
        (snapshot_id, sequence_number): (i64, i64),
        report: &mut StatisticsReport,
    ) -> Result<Proposal, RewriteError> {
        let mut content = MAGIC.to_vec();
        let (mut blobs, mut listed) = (Vec::new(), Vec::new());
        for (_, id, sketch) in &self.0 {
            let sketch = sketch.compact(true);
            let packed = zstd::bulk::compress(&sketch.serialize(), 0);
            let packed =
                packed.map_err(|error| RewriteError::unsupported(format!("a sketch was not packed: {error}")))?;
            let mut blob = json!({
                "type": "apache-datasketches-theta-v1",
                "snapshot-id": snapshot_id,
                "sequence-number": sequence_number,
                "fields": [id],
                "properties": { "ndv": format!("{:.0}", sketch.estimate()) },
            });
            listed.push(blob.clone());
            blob["offset"] = content.len().into();
            blob["length"] = packed.len().into();
            blob["compression-codec"] = "zstd".into();
            blobs.push(blob);
            content.extend(packed);
        }
        let payload =
            json!({ "blobs": blobs, "properties": { "created-by": concat!("Tidewater ", env!("CARGO_PKG_VERSION")) } });
        let payload = payload.to_string().into_bytes();
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let footer = [MAGIC, &payload, &length.to_le_bytes(), &FLAGS, MAGIC].concat();
        content.extend_from_slice(&footer);
        report.files_written = 1;
        report.bytes_written = content.len() as u64;
        let location = job.metadata_location(&format!("{snapshot_id}-{}.stats", job.id()));
        let statistics = json!({
            "snapshot-id": snapshot_id,
            "statistics-path": location,
            "file-size-in-bytes": content.len(),
            "file-footer-size-in-bytes": footer.len(),
            "blob-metadata": listed,
        });
        job.write(&location, content)?;
        let requirements: Vec<Json> =
            job.table().uuid().map(|uuid| json!({ "type": "assert-table-uuid", "uuid": uuid })).into_iter().collect();
        let body = json!({
            "requirements": requirements,
            "updates": [{ "action": "set-statistics", "snapshot-id": snapshot_id, "statistics": statistics }],
        });
        Ok(Proposal { body, snapshot_id })
    }
}
