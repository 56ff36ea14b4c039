//! Writes new Parquet data files.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::file::metadata::{KeyValue, ParquetMetaData};
use parquet::file::properties::WriterProperties;
use tidewater_core::document::{Properties, Schema};
use tidewater_core::scan::value::Value;
use tidewater_manifests::FileContent;

use super::columns::field_id;
use super::metrics::metrics;
use crate::error::{FilesError, RewriteError};
use crate::files::NewObject;
use crate::job::Job;
use crate::manifest::FileRecord;

/// The size of a row group unless the table's properties say another, in bytes. Java's default.
const ROW_GROUP_BYTES: u64 = 128 << 20;

/// How new files are written.
#[derive(Debug, Clone)]
pub(crate) struct Format {
    schema: SchemaRef,
    properties: WriterProperties,
    target_bytes: u64,
}

impl Format {
    /// Creates the format of a table's new files, by its properties (`write.parquet.*`). A row group takes at most
    /// `memory_bytes`.
    ///
    /// # Errors
    /// `Unsupported` for a compression that cannot be written.
    pub(crate) fn new(
        (table_schema, schema): (&Schema, SchemaRef),
        properties: &Properties,
        (target_bytes, memory_bytes): (u64, u64),
    ) -> Result<Self, RewriteError> {
        let bytes = |key: &str, default: u64| {
            let set = properties.get(key).and_then(|text| text.parse::<u64>().ok()).filter(|bytes| *bytes > 0);
            usize::try_from(set.unwrap_or(default).min(memory_bytes)).unwrap_or(usize::MAX)
        };
        let written = WriterProperties::builder()
            .set_compression(compression(properties)?)
            .set_max_row_group_bytes(Some(bytes("write.parquet.row-group-size-bytes", ROW_GROUP_BYTES)))
            .set_data_page_size_limit(bytes("write.parquet.page-size-bytes", 1 << 20))
            .set_dictionary_page_size_limit(bytes("write.parquet.dict-size-bytes", 2 << 20))
            .set_created_by(concat!("tidewater version ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_key_value_metadata(Some(vec![KeyValue::new(
                "iceberg.schema".to_owned(),
                table_schema.json().to_owned(),
            )]))
            .build();
        Ok(Self { schema, properties: written, target_bytes })
    }
}

fn compression(properties: &Properties) -> Result<Compression, RewriteError> {
    let codec = properties.get("write.parquet.compression-codec").map_or("zstd", String::as_str).to_ascii_lowercase();
    let level = properties.get("write.parquet.compression-level").and_then(|level| level.parse::<i32>().ok());
    let invalid = |error| RewriteError::unsupported(format!("write.parquet.compression-level: {error}"));
    Ok(match codec.as_str() {
        "uncompressed" | "none" => Compression::UNCOMPRESSED,
        "snappy" => Compression::SNAPPY,
        "gzip" => {
            let level = level.and_then(|level| u32::try_from(level).ok());
            Compression::GZIP(level.map_or(Ok(GzipLevel::default()), GzipLevel::try_new).map_err(invalid)?)
        }
        "zstd" => Compression::ZSTD(level.map_or(ZstdLevel::try_new(3), ZstdLevel::try_new).map_err(invalid)?),
        "lz4" | "lz4_raw" => Compression::LZ4_RAW,
        other => {
            let why = format!(
                "new files would have the compression '{other}' (write.parquet.compression-codec), which is not written here"
            );
            return Err(RewriteError::unsupported(why));
        }
    })
}

/// Writes the rows of one group of files into new files of the target size.
pub(crate) struct Output<'f> {
    format: &'f Format,
    folder: String,
    partition: Vec<Option<Value>>,
    open: Option<Open>,
    files: Vec<FileRecord>,
}

struct Open {
    path: String,
    sink: Sink,
    writer: ArrowWriter<Sink>,
    nans: HashMap<i32, i64>,
}

impl<'f> Output<'f> {
    /// Creates the output for files of one partition, in a folder.
    pub(crate) fn new(format: &'f Format, folder: String, partition: Vec<Option<Value>>) -> Self {
        Self { format, folder, partition, open: None, files: Vec::new() }
    }

    /// Appends rows.
    ///
    /// # Errors
    /// `Files`; `Unsupported` if the rows cannot be written.
    pub(crate) fn write(&mut self, job: &mut Job<'_>, rows: &RecordBatch) -> Result<(), RewriteError> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        if self.open.is_none() {
            self.open = Some(self.begin(job)?);
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        open.writer.write(rows).map_err(|error| open.sink.explain(&error))?;
        for (field, column) in self.format.schema.fields().iter().zip(rows.columns()) {
            if let (Some(id), Some(nans)) = (field_id(field), count_nans(column)) {
                *open.nans.entry(id).or_default() += nans;
            }
        }
        if (open.writer.bytes_written() + open.writer.in_progress_size()) as u64 >= self.format.target_bytes {
            self.end(job)?;
        }
        Ok(())
    }

    fn begin(&self, job: &mut Job<'_>) -> Result<Open, RewriteError> {
        job.next_marker();
        let path = format!("{}/{:05}-compacted-{}.parquet", self.folder, job.markers(), job.id());
        job.note_written(&path);
        let sink = Sink::new(job.files().create(&path)?);
        let options =
            ArrowWriterOptions::new().with_properties(self.format.properties.clone()).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(sink.clone(), Arc::clone(&self.format.schema), options);
        let writer = writer.map_err(|error| sink.explain(&error))?;
        Ok(Open { path, sink, writer, nans: HashMap::new() })
    }

    fn end(&mut self, job: &Job<'_>) -> Result<(), RewriteError> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let footer = open.writer.close().map_err(|error| open.sink.explain(&error))?;
        let size = open.sink.finish()?;
        self.files.push(record(job, open.path, size, &footer, &open.nans, self.partition.clone())?);
        Ok(())
    }

    /// Ends the last file, and returns all.
    ///
    /// # Errors
    /// `Files`; `Unsupported` if a file cannot be written.
    pub(crate) fn finish(mut self, job: &Job<'_>) -> Result<Vec<FileRecord>, RewriteError> {
        self.end(job)?;
        Ok(self.files)
    }
}

fn record(
    job: &Job<'_>,
    path: String,
    size: u64,
    footer: &ParquetMetaData,
    nans: &HashMap<i32, i64>,
    partition: Vec<Option<Value>>,
) -> Result<FileRecord, RewriteError> {
    let schema = crate::manifest::current_schema(job.table())?;
    let index = schema.index().map_err(|error| RewriteError::unsupported(error.to_string()))?;
    let begin = |group: &parquet::file::metadata::RowGroupMetaData| {
        group.columns().first().map(|column| {
            let (offset, _) = column.byte_range();
            i64::try_from(offset).unwrap_or_default()
        })
    };
    Ok(FileRecord {
        content: FileContent::Data,
        path,
        format: "parquet".to_owned(),
        partition,
        record_count: footer.file_metadata().num_rows(),
        file_size_bytes: i64::try_from(size).unwrap_or(i64::MAX),
        metrics: metrics(footer, &index, job.table().properties(), nans),
        key_metadata: None,
        split_offsets: Some(footer.row_groups().iter().filter_map(begin).collect()),
        equality_ids: None,
        sort_order_id: Some(0),
        first_row_id: None,
        referenced_data_file: None,
        content_offset: None,
        content_size_bytes: None,
    })
}

/// Returns the number of NaN in a column of floating-point numbers. None for other columns.
fn count_nans(column: &ArrayRef) -> Option<i64> {
    let count = match column.data_type() {
        DataType::Float32 => {
            column.as_primitive::<Float32Type>().iter().flatten().filter(|value| value.is_nan()).count()
        }
        DataType::Float64 => {
            column.as_primitive::<Float64Type>().iter().flatten().filter(|value| value.is_nan()).count()
        }
        _ => return None,
    };
    i64::try_from(count).ok()
}

/// The object behind a Parquet writer, which owns one of its clones.
#[derive(Clone)]
struct Sink(Arc<Mutex<SinkState>>);

struct SinkState {
    object: Option<Box<dyn NewObject>>,
    written_bytes: u64,
    error: Option<FilesError>,
}

impl Sink {
    fn new(object: Box<dyn NewObject>) -> Self {
        Self(Arc::new(Mutex::new(SinkState { object: Some(object), written_bytes: 0, error: None })))
    }

    /// Ends the object, and returns its size in bytes.
    fn finish(&self) -> Result<u64, RewriteError> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(object) = state.object.take() {
            object.finish()?;
        }
        Ok(state.written_bytes)
    }

    /// Returns the error behind a failure of the Parquet writer: storage's, or that of rows that it cannot write.
    fn explain(&self, error: &dyn std::fmt::Display) -> RewriteError {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &state.error {
            Some(storage) => RewriteError::Files(storage.clone()),
            None => RewriteError::unsupported(format!("the rows cannot be written: {error}")),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let object = state.object.as_mut().ok_or_else(|| io::Error::other("the object is finished"))?;
        match object.write(bytes) {
            Ok(written) => {
                state.written_bytes += written as u64;
                Ok(written)
            }
            Err(error) => {
                state.error = Some(FilesError(error.to_string()));
                Err(error)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
