//! Reads the rows of data files without those that deletes remove.

use std::collections::{HashMap, HashSet};

use arrow_array::RecordBatch;
use tidewater_manifests::Entries;

use crate::data::{Deletes, ParquetFile};
use crate::error::RewriteError;
use crate::job::Job;
use crate::manifest::FileRecord;
use crate::rows::{Columns, Source};
use crate::state::{DeleteFiles, Place, State, delete_name};

/// A data file to read.
#[derive(Debug)]
pub(crate) struct InputFile {
    pub(crate) record: FileRecord,
    pub(crate) spec_id: i32,
    sequence_number: i64,
    /// The numbers of the delete files that apply to it.
    pub(crate) deletes: Vec<u32>,
}

/// What the reads of all files share.
pub(crate) struct Reading<'r> {
    pub(crate) state: &'r State,
    pub(crate) entries: &'r [Entries<'r>],
    pub(crate) delete_files: &'r DeleteFiles,
    pub(crate) columns: &'r Columns,
}

impl Reading<'_> {
    /// Returns a data file by the place of its entry, with the delete files that apply to it.
    pub(crate) fn input(&self, (manifest, row): Place, deletes: Vec<u32>) -> Option<InputFile> {
        let entry = self.entries.get(manifest)?.get(row)?;
        let record = self.state.record(manifest, &entry);
        let spec_id = self.state.files()[manifest].spec_id;
        Some(InputFile { record, spec_id, sequence_number: entry.sequence_number(), deletes })
    }

    /// Reads the delete files that apply to some files. Returns their names by number, too.
    ///
    /// # Errors
    /// `Files`, `Stopped`; `Unsupported` if they cannot be read, or take too much memory.
    pub(crate) fn read_deletes(
        &self,
        job: &mut Job<'_>,
        files: &[InputFile],
    ) -> Result<(Deletes, HashMap<u32, String>), RewriteError> {
        let mut applies: HashMap<u32, HashSet<&str>> = HashMap::new();
        for file in files {
            for number in &file.deletes {
                applies.entry(*number).or_default().insert(&file.record.path);
            }
        }
        let mut numbers: Vec<u32> = applies.keys().copied().collect();
        numbers.sort_unstable();
        let (mut deletes, mut names) = (Deletes::default(), HashMap::new());
        for number in numbers {
            let Some((manifest, row)) = self.delete_files.place(number) else { continue };
            let Some(entry) = self.entries[manifest].get(row) else { continue };
            let record = self.state.record(manifest, &entry);
            let memory_bytes = job.limits().memory_bytes / 8;
            deletes.read(job, (number, &record), &applies[&number], memory_bytes)?;
            names.insert(number, delete_name(&entry));
        }
        Ok((deletes, names))
    }

    /// Calls `each` with all rows of a file in order, as rows of the table's present columns.
    ///
    /// # Errors
    /// `Files`, `Stopped`; `Unsupported` if the file cannot be read without loss; those of `each`.
    pub(crate) fn read_rows(
        &self,
        job: &mut Job<'_>,
        file: &InputFile,
        deletes: &Deletes,
        mut each: impl FnMut(&mut Job<'_>, &RecordBatch) -> Result<(), RewriteError>,
    ) -> Result<(), RewriteError> {
        let record = &file.record;
        let opened = ParquetFile::open(job, record, job.limits().memory_bytes / 8)?;
        let refuse = |why: String| RewriteError::unsupported(format!("{}: {why}", record.path));
        if i64::try_from(opened.rows()) != Ok(record.record_count) {
            return Err(refuse("its footer and its manifest have different numbers of rows".to_owned()));
        }
        let deletes = deletes.of(&record.path, &file.deletes);
        let mut ids = self.columns.ids();
        ids.extend(deletes.column_ids());
        let source = Source::new(self.columns, (record, file.spec_id), file.sequence_number);
        // Refuses a file whose columns do not fit before any of its rows is read.
        source.convert(0, &opened.empty(&ids), None).map_err(refuse)?;
        opened.read(job, &ids, |job, rows| {
            let keep = deletes.keep(rows.first, &rows.columns).map_err(refuse)?;
            let batch = source.convert(rows.first, &rows.columns, keep).map_err(refuse)?;
            each(job, &batch)
        })
    }
}
