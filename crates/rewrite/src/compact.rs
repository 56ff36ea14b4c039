//! Compacts small data files: writes the rows of several files, without those that deletes remove, into few new files.

mod plan;
mod propose;

use std::collections::{HashMap, HashSet};

use crate::data::{CompactionRule, Format, Output};
use crate::error::RewriteError;
use crate::job::Job;
use crate::manifest::{FileRecord, current_schema};
use crate::reading::{InputFile, Reading};
use crate::rows::Columns;
use crate::state::{DeleteFiles, LeftAlone, Reasons, State};
use plan::{Group, Planned};

/// New data files that replace others, before their commit.
#[derive(Debug)]
pub struct Compaction {
    /// The format version of the table for which the files were written: later ones need row lineage in them.
    format_version: u8,
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
    pub left_alone: Vec<LeftAlone>,
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
    report.left_alone = reasons.into_list();
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
    let mut compaction = Compaction {
        format_version: table.format_version(),
        sequence_number: state.base.sequence_number,
        replaced: HashMap::new(),
        added: Vec::new(),
    };
    let reading = Reading { state: &state, entries: &entries, delete_files: &delete_files, columns: &columns };
    for group in &planned.groups {
        let written_before = job.written().len();
        match rewrite(job, &reading, &format, group) {
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
    report.left_alone = reasons.into_list();
    Ok(((!compaction.replaced.is_empty()).then_some(compaction), report))
}

/// The rewrite of a group.
struct Rewritten {
    replaced: Vec<(String, HashSet<String>)>,
    added: Vec<FileRecord>,
}

fn rewrite(
    job: &mut Job<'_>,
    reading: &Reading<'_>,
    format: &Format,
    group: &Group,
) -> Result<Rewritten, RewriteError> {
    let files = group.files.iter().filter_map(|planned| reading.input(planned.place, planned.deletes.clone()));
    let files: Vec<InputFile> = files.collect();
    let (deletes, names) = reading.read_deletes(job, &files)?;
    let Some(first) = files.first() else { return Ok(Rewritten { replaced: Vec::new(), added: Vec::new() }) };
    let mut output = Output::new(format, job.data_folder(&first.record.path), first.record.partition.clone());
    let mut replaced = Vec::with_capacity(files.len());
    for file in &files {
        reading.read_rows(job, file, &deletes, |job, rows| output.write(job, rows))?;
        let applied = file.deletes.iter().filter_map(|number| names.get(number).cloned()).collect();
        replaced.push((file.record.path.clone(), applied));
    }
    Ok(Rewritten { replaced, added: output.finish(job)? })
}
