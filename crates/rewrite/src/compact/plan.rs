//! Finds the groups of data files that are worth a rewrite.

use std::collections::BTreeMap;

use tidewater_core::scan::statistics::{FileStatistics, Partition};
use tidewater_manifests::{Entries, Entry, ManifestContent};

use crate::data::{Candidate, CompactionRule};
use crate::error::RewriteError;
use crate::job::Job;
use crate::manifest::{Layout, text};
use crate::state::{DeleteFiles, Place, Reasons, State, is_of_one_file, live};

/// A data file to rewrite.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    pub(super) place: Place,
    pub(super) size_bytes: u64,
    pub(super) rows: u64,
    /// The numbers of the delete files that apply to it.
    pub(super) deletes: Vec<u32>,
    sequence_number: i64,
    candidate: Candidate,
}

/// Data files of one partition that are rewritten together.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) spec_id: i32,
    pub(super) files: Vec<Planned>,
}

/// The groups of a run.
#[derive(Debug, Default)]
pub(super) struct Groups {
    pub(super) groups: Vec<Group>,
    /// The number of groups that this run has no room for.
    pub(super) waiting: u64,
}

/// Returns the groups that a run rewrites.
///
/// # Errors
/// `Stopped`.
pub(super) fn groups(
    job: &Job<'_>,
    rule: &CompactionRule,
    state: &State,
    entries: &[Entries<'_>],
    deletes: &mut DeleteFiles,
    reasons: &mut Reasons,
) -> Result<Groups, RewriteError> {
    let mut partitions: BTreeMap<(i32, Vec<u8>), Vec<Planned>> = BTreeMap::new();
    for (count, (manifest, entry)) in live(state.files(), entries, ManifestContent::Data).enumerate() {
        if count.is_multiple_of(1024) {
            job.stop().check()?;
        }
        let spec_id = state.files()[manifest].spec_id;
        let planned = planned(entries, (manifest, spec_id), &entry, deletes);
        match obstacle(job, &entry) {
            None => partitions.entry((spec_id, key(entry.partition()))).or_default().push(planned),
            Some(why) if planned.size_bytes < rule.target_bytes / 4 * 3 => reasons.add(why, 1),
            Some(_) => {}
        }
    }
    let mut found = Groups::default();
    let mut left_bytes = rule.max_run_bytes;
    for ((spec_id, _), mut files) in partitions {
        files.sort_by_key(|file| (file.sequence_number, file.place));
        let candidates: Vec<Candidate> = files.iter().map(|file| file.candidate).collect();
        let groups = rule.groups(&candidates);
        if groups.is_empty() {
            continue;
        }
        if let Err(RewriteError::Unsupported(why)) = Layout::new(job.table(), spec_id, ManifestContent::Data) {
            reasons.add(why, groups.iter().map(|group| group.len() as u64).sum());
            continue;
        }
        for group in groups {
            let files: Vec<Planned> = group.into_iter().map(|position| files[position].clone()).collect();
            let bytes: u64 = files.iter().map(|file| file.size_bytes).sum();
            // A run makes progress, whatever its limit.
            if bytes <= left_bytes || found.groups.is_empty() {
                left_bytes = left_bytes.saturating_sub(bytes);
                found.groups.push(Group { spec_id, files });
            } else {
                found.waiting += 1;
            }
        }
    }
    Ok(found)
}

fn planned(
    entries: &[Entries<'_>],
    (manifest, spec_id): (usize, i32),
    entry: &Entry<'_>,
    deletes: &mut DeleteFiles,
) -> Planned {
    let mut found = Vec::new();
    deletes.find(spec_id, entry, &mut found);
    let of_this_file = found.iter().filter_map(|number| {
        let (manifest, row) = deletes.place(*number)?;
        let delete = entries[manifest].get(row)?;
        is_of_one_file(&delete).then(|| u64::try_from(delete.record_count()).unwrap_or(0))
    });
    let size_bytes = u64::try_from(entry.file_size_bytes()).unwrap_or(0);
    let rows = u64::try_from(entry.record_count()).unwrap_or(0);
    let candidate = Candidate { size_bytes, rows, deleted_rows: of_this_file.sum(), delete_files: found.len() };
    let place = (manifest, entry.row());
    Planned { place, size_bytes, rows, deletes: found, sequence_number: entry.sequence_number(), candidate }
}

/// Returns why a file is left alone, as far as its manifest says it.
fn obstacle(job: &Job<'_>, entry: &Entry<'_>) -> Option<String> {
    if entry.format() != "parquet" {
        return Some(format!("the format is {}", entry.format()));
    }
    if entry.key_metadata().is_some() {
        return Some("the files are encrypted".to_owned());
    }
    if !job.files().owns(&text(entry.path())) {
        return Some("the files are outside of the table's locations".to_owned());
    }
    match entry.sort_order_id() {
        None | Some(0) => None,
        Some(id) => Some(format!("the rows have sort order {id}, which a compaction would lose")),
    }
}

/// Returns a key that two partitions of one spec share if and only if they have the same values.
fn key(partition: &Partition) -> Vec<u8> {
    let mut key = Vec::new();
    for value in partition {
        match value {
            None => key.push(0),
            Some(value) => {
                let bytes = value.to_bytes();
                key.push(1);
                key.extend((bytes.len() as u64).to_be_bytes());
                key.extend(bytes);
            }
        }
    }
    key
}
