//! Compacts small data files: writes the rows of several files, without those that deletes remove, into few new files.

mod plan;
mod propose;
mod rows;

use std::collections::{HashMap, HashSet};

use crate::data::{CompactionRule, Deletes, FileDeletes, Format, Output, ParquetFile};
use crate::error::RewriteError;
use crate::job::Job;
use crate::manifest::{FileRecord, current_schema};
use crate::state::{DeleteFiles, Reasons, State, delete_name};
use plan::{Group, Planned};
use rows::Columns;

/// New data files that replace others, before their commit.
#[derive(Debug)]
pub struct Compaction {
    /// The sequence number of the snapshot whose files were read. The new files get it, so that newer deletes apply to them.
    sequence_number: i64,
    /// The replaced data files by their location, with the names of the delete files that were applied to each.
    replaced: HashMap<String, HashSet<String>>,
    /// The new files, with their partition specs.
    added: Vec<(i32, FileRecord)>,
}

/// What a compaction did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompactionReport {
    /// The number of data files that were replaced.
    pub files_read: u64,
    /// Their size in bytes.
    pub bytes_read: u64,
    /// The number of their rows.
    pub rows_read: u64,
    /// The number of new data files.
    pub files_written: u64,
    /// Their size in bytes.
    pub bytes_written: u64,
    /// The number of their rows: without the deleted ones.
    pub rows_written: u64,
    /// The number of groups of files that are worth a rewrite, and wait for another run, since this one has its limit.
    pub waiting_groups: u64,
    /// What was left alone, and why.
    pub left_alone: Vec<String>,
}

/// Returns which files [`compact`] would read. Counts of new files are 0.
///
/// # Errors
/// Those of reading manifests; `Unsupported` if the table is left alone as a whole.
pub fn preview_compaction(job: &Job<'_>, rule: &CompactionRule) -> Result<CompactionReport, RewriteError> {
    let mut report = CompactionReport::default();
    let Some(state) = State::read(job)? else { return Ok(report) };
    let entries = state.entries()?;
    let schema = current_schema(job.table())?;
    let mut deletes = DeleteFiles::new(job.table(), schema, state.files(), &entries)?;
    Columns::new(job.table())?;
    let mut reasons = Reasons::default();
    let groups = plan::groups(job, rule, &state, &entries, &mut deletes, &mut reasons)?;
    report.waiting_groups = groups.waiting;
    for file in groups.groups.iter().flat_map(|group| &group.files) {
        report.count_read(file);
    }
    report.left_alone = reasons.into_texts();
    Ok(report)
}

impl CompactionReport {
    fn count_read(&mut self, file: &Planned) {
        self.files_read += 1;
        self.bytes_read += file.size_bytes;
        self.rows_read += file.rows;
    }
}

/// Writes new files for groups of small files, or of files with many deletes. Returns nothing if no group is worth it. Groups
/// that cannot be rewritten without loss are left alone.
///
/// # Errors
/// `Files`, `Manifest`, `Stopped`; `Unsupported` if the table is left alone as a whole.
pub fn compact(
    job: &mut Job<'_>,
    rule: &CompactionRule,
) -> Result<(Option<Compaction>, CompactionReport), RewriteError> {
    let mut report = CompactionReport::default();
    let Some(state) = State::read(job)? else { return Ok((None, report)) };
    let entries = state.entries()?;
    let table = job.table();
    let schema = current_schema(table)?;
    let mut delete_files = DeleteFiles::new(table, schema, state.files(), &entries)?;
    let columns = Columns::new(table)?;
    let memory = (rule.target_bytes, job.limits().memory_bytes / 8);
    let format = Format::new((schema, columns.schema()), table.properties(), memory)?;
    let mut reasons = Reasons::default();
    let planned = plan::groups(job, rule, &state, &entries, &mut delete_files, &mut reasons)?;
    report.waiting_groups = planned.waiting;
    let mut compaction =
        Compaction { sequence_number: state.base.sequence_number, replaced: HashMap::new(), added: Vec::new() };
    for group in &planned.groups {
        let written_before = job.written().len();
        let work = Work { state: &state, entries: &entries, deletes: &delete_files, columns: &columns, format: &format };
        match work.rewrite(job, group) {
            Ok(rewritten) => {
                for file in &group.files {
                    report.count_read(file);
                }
                for file in &rewritten.added {
                    report.files_written += 1;
                    report.bytes_written += u64::try_from(file.file_size_bytes).unwrap_or(0);
                    report.rows_written += u64::try_from(file.record_count).unwrap_or(0);
                }
                compaction.replaced.extend(rewritten.replaced);
                compaction.added.extend(rewritten.added.into_iter().map(|file| (group.spec_id, file)));
            }
            Err(RewriteError::Unsupported(why)) => {
                job.discard_after(written_before);
                reasons.add(why, group.files.len() as u64);
            }
            Err(error) => return Err(error),
        }
    }
    report.left_alone = reasons.into_texts();
    Ok(((!compaction.replaced.is_empty()).then_some(compaction), report))
}

/// What the rewrites of all groups share.
struct Work<'w> {
    state: &'w State,
    entries: &'w [tidewater_manifests::Entries<'w>],
    deletes: &'w DeleteFiles,
    columns: &'w Columns,
    format: &'w Format,
}

/// The rewrite of a group.
struct Rewritten {
    replaced: Vec<(String, HashSet<String>)>,
    added: Vec<FileRecord>,
}

impl Work<'_> {
    fn rewrite(&self, job: &mut Job<'_>, group: &Group) -> Result<Rewritten, RewriteError> {
        let mut files = Vec::with_capacity(group.files.len());
        for planned in &group.files {
            let (manifest, row) = planned.place;
            if let Some(entry) = self.entries[manifest].get(row) {
                files.push((planned, self.state.record(manifest, &entry), entry.sequence_number()));
            }
        }
        let (deletes, names) = self.read_deletes(job, &files)?;
        let Some((_, first, _)) = files.first() else { return Ok(Rewritten { replaced: Vec::new(), added: Vec::new() }) };
        let mut output = Output::new(self.format, job.data_folder(&first.path), first.partition.clone());
        let mut replaced = Vec::with_capacity(files.len());
        for (planned, file, sequence_number) in &files {
            self.copy_rows(job, &mut output, (file, group.spec_id, *sequence_number), &deletes.of(&file.path, &planned.deletes))?;
            let applied = planned.deletes.iter().filter_map(|number| names.get(number).cloned()).collect();
            replaced.push((file.path.clone(), applied));
        }
        Ok(Rewritten { replaced, added: output.finish(job)? })
    }

    /// Reads the delete files that apply to the files of a group. Returns their names by number, too.
    fn read_deletes(
        &self,
        job: &mut Job<'_>,
        files: &[(&Planned, FileRecord, i64)],
    ) -> Result<(Deletes, HashMap<u32, String>), RewriteError> {
        let mut applies: HashMap<u32, HashSet<&str>> = HashMap::new();
        for (planned, file, _) in files {
            for number in &planned.deletes {
                applies.entry(*number).or_default().insert(&file.path);
            }
        }
        let mut numbers: Vec<u32> = applies.keys().copied().collect();
        numbers.sort_unstable();
        let (mut deletes, mut names) = (Deletes::default(), HashMap::new());
        for number in numbers {
            let Some((manifest, row)) = self.deletes.place(number) else { continue };
            let Some(entry) = self.entries[manifest].get(row) else { continue };
            let record = self.state.record(manifest, &entry);
            let memory_bytes = job.limits().memory_bytes / 8;
            deletes.read(job, (number, &record), &applies[&number], memory_bytes)?;
            names.insert(number, delete_name(&entry));
        }
        Ok((deletes, names))
    }

    fn copy_rows(
        &self,
        job: &mut Job<'_>,
        output: &mut Output<'_>,
        (file, spec_id, sequence_number): (&FileRecord, i32, i64),
        deletes: &FileDeletes<'_>,
    ) -> Result<(), RewriteError> {
        let opened = ParquetFile::open(job, file, job.limits().memory_bytes / 8)?;
        let refuse = |why: String| RewriteError::unsupported(format!("{}: {why}", file.path));
        if i64::try_from(opened.rows()) != Ok(file.record_count) {
            return Err(refuse("its footer and its manifest have different numbers of rows".to_owned()));
        }
        let mut ids = self.columns.ids();
        ids.extend(deletes.column_ids());
        let source = rows::Source::new(self.columns, (file, spec_id), sequence_number);
        // Refuses a file whose columns do not fit before any of its rows is read.
        source.convert(0, &opened.empty(&ids), None).map_err(refuse)?;
        opened.read(job, &ids, |job, rows| {
            let keep = deletes.keep(rows.first, &rows.columns).map_err(refuse)?;
            let batch = source.convert(rows.first, &rows.columns, keep).map_err(refuse)?;
            output.write(job, &batch)
        })
    }
}
