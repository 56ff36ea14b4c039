//! Opens Parquet files, and reads their rows in batches of bounded size.

use std::sync::Arc;

use arrow_array::{RecordBatch, StructArray};
use arrow_schema::DataType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::basic::Type as PhysicalType;

use super::columns::field_id;
use super::ranges::RangeReader;
use super::structures::is_footer;
use crate::error::RewriteError;
use crate::job::Job;
use crate::manifest::FileRecord;

/// The most rows of a batch.
const BATCH_ROWS: u64 = 8192;

/// The end of a Parquet file: the length of the footer, and four letters.
const TAIL_BYTES: u64 = 8;

/// An open Parquet file.
pub(crate) struct ParquetFile {
    path: String,
    reader: RangeReader,
    metadata: ArrowReaderMetadata,
    memory_bytes: u64,
}

/// Rows of a file, with the position of the first one in the file.
pub(crate) struct Rows {
    pub(crate) first: u64,
    pub(crate) columns: StructArray,
}

impl ParquetFile {
    /// Opens a file, and reads its footer.
    ///
    /// # Errors
    /// `Files`; `Unsupported` if it is not a Parquet file that can be rewritten without loss.
    pub(crate) fn open(job: &Job<'_>, file: &FileRecord, memory_bytes: u64) -> Result<Self, RewriteError> {
        job.stop().check()?;
        let refuse = |why: &str| RewriteError::unsupported(format!("{}: {why}", file.path));
        if file.format != "parquet" {
            return Err(refuse(&format!("its format is {}", file.format)));
        }
        if !job.files().owns(&file.path) {
            return Err(refuse("it is outside of the table's locations"));
        }
        if file.key_metadata.is_some() {
            return Err(refuse("it is encrypted"));
        }
        let size = u64::try_from(file.file_size_bytes).unwrap_or(0);
        let tail_begin = size.checked_sub(TAIL_BYTES).ok_or_else(|| refuse("it is too short for a Parquet file"))?;
        let reader = RangeReader::for_footer(Arc::clone(job.files()), &file.path, size, memory_bytes);
        let tail = reader.bytes(tail_begin, TAIL_BYTES).map_err(|error| reader.explain(&error))?;
        let [a, b, c, d, b'P', b'A', b'R', b'1'] = tail[..] else {
            return Err(refuse("it is not a plain Parquet file"));
        };
        // A parsed footer takes several times its length.
        let footer_bytes = u64::from(u32::from_le_bytes([a, b, c, d]));
        if footer_bytes > memory_bytes / 8 {
            return Err(refuse("its footer is larger than the memory for it"));
        }
        let footer_begin = tail_begin.checked_sub(footer_bytes).ok_or_else(|| refuse("its footer is cut"))?;
        let footer = reader.bytes(footer_begin, footer_bytes).map_err(|error| reader.explain(&error))?;
        // The Parquet reader allocates the lengths of lists that a footer claims.
        if !is_footer(&footer) {
            return Err(refuse("its footer is damaged, or claims more than it has"));
        }
        // Without the Arrow schema that some writers add: it can ask for types that Iceberg does not have.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = ArrowReaderMetadata::load(&reader, options).map_err(|error| reader.explain(&error))?;
        if metadata.schema().fields().iter().all(|field| field_id(field).is_none()) {
            return Err(refuse("its columns have no field ids"));
        }
        let columns = metadata.metadata().file_metadata().schema_descr();
        if columns.columns().iter().any(|column| column.physical_type() == PhysicalType::INT96) {
            return Err(refuse("it has timestamps of the deprecated type INT96"));
        }
        let reader = RangeReader::new(Arc::clone(job.files()), &file.path, size, (columns.num_columns(), memory_bytes));
        Ok(Self { path: file.path.clone(), reader, metadata, memory_bytes })
    }

    /// Returns no rows of the columns with these ids, as [`Self::read`] returns them.
    pub(crate) fn empty(&self, ids: &[i32]) -> StructArray {
        let wanted = |field: &&Arc<arrow_schema::Field>| field_id(field).is_some_and(|id| ids.contains(&id));
        let fields = self.metadata.schema().fields().iter().filter(wanted).cloned().collect::<Vec<_>>();
        let empty = arrow_array::new_empty_array(&DataType::Struct(fields.into()));
        empty.as_any().downcast_ref::<StructArray>().cloned().unwrap_or_else(|| StructArray::new_empty_fields(0, None))
    }

    /// Returns the number of rows.
    pub(crate) fn rows(&self) -> u64 {
        u64::try_from(self.metadata.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    /// Calls `each` with all rows in order, with the top-level columns that have these ids.
    ///
    /// # Errors
    /// `Files`, `Stopped`; `Unsupported` if the file cannot be read; those of `each`.
    pub(crate) fn read(
        &self,
        job: &mut Job<'_>,
        ids: &[i32],
        mut each: impl FnMut(&mut Job<'_>, Rows) -> Result<(), RewriteError>,
    ) -> Result<(), RewriteError> {
        let fields = self.metadata.schema().fields();
        let roots = (0..fields.len()).filter(|root| field_id(&fields[*root]).is_some_and(|id| ids.contains(&id)));
        let mask = ProjectionMask::roots(self.metadata.parquet_schema(), roots);
        let groups = self.metadata.metadata().row_groups();
        let mut first = 0;
        for (position, group) in groups.iter().enumerate() {
            let rows = u64::try_from(group.num_rows()).unwrap_or(0);
            let bytes_a_row = u64::try_from(group.total_byte_size()).unwrap_or(0) / rows.max(1) + 1;
            let batch_rows = (self.memory_bytes / 4 / bytes_a_row).clamp(1, BATCH_ROWS);
            let builder =
                ParquetRecordBatchReaderBuilder::new_with_metadata(self.reader.share(), self.metadata.clone())
                    .with_projection(mask.clone())
                    .with_row_groups(vec![position])
                    .with_batch_size(usize::try_from(batch_rows).unwrap_or(1));
            let batches = builder.build().map_err(|error| self.reader.explain(&error))?;
            for batch in batches {
                job.stop().check()?;
                let batch: RecordBatch = batch.map_err(|error| self.reader.explain(&error))?;
                let count = batch.num_rows() as u64;
                each(job, Rows { first, columns: batch.into() })?;
                first += count;
            }
        }
        if first == self.rows() {
            return Ok(());
        }
        Err(RewriteError::unsupported(format!(
            "{}: it has {first} rows, and its footer says {}",
            self.path,
            self.rows()
        )))
    }
}
