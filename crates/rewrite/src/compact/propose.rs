//! The commit of a compaction, on whatever the table is by then.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use tidewater_manifests::{Entries, FileContent, ManifestContent, ManifestFile, Status};

use super::Compaction;
use crate::error::RewriteError;
use crate::job::Job;
use crate::manifest::{FileRecord, Layout, ManifestWriter, NewEntry, current_schema, text};
use crate::rewrite_manifests::write_manifest;
use crate::snapshot::{Changes, Proposal, propose};
use crate::state::{DeleteFiles, Place, State, delete_name, live};

impl Compaction {
    /// Returns the commit that replaces the old files by the new ones, based on the current snapshot of the job's table, which
    /// may be newer than the one that was read. Delete files that apply to nothing any more go, too.
    ///
    /// # Errors
    /// `Conflict` if a replaced file is gone, or another commit deleted rows of it in a way that does not apply to the new
    /// files; `Files`, `Manifest`, `Stopped`.
    pub fn propose(&self, job: &mut Job<'_>) -> Result<Proposal, RewriteError> {
        let gone = || RewriteError::Conflict("the table has no snapshot any more".to_owned());
        let state = State::read(job)?.ok_or_else(gone)?;
        let entries = state.entries()?;
        let table = job.table();
        if table.format_version() != self.format_version {
            return Err(RewriteError::Conflict("the table was moved to another format version".to_owned()));
        }
        let mut deletes = DeleteFiles::new(table, current_schema(table)?, state.files(), &entries)?;
        let mut applied = HashSet::new();
        let replaced = self.find_replaced(&state, &entries, &mut deletes, &mut applied)?;
        let dangling = self.find_dangling(job, &state, &entries, &mut deletes, (&replaced, applied))?;

        let mut changes = Changes::default();
        let mut manifests = self.write_added(job, &mut changes)?;
        let mut partitions = BTreeSet::new();
        for (position, file) in state.files().iter().enumerate() {
            let removed: HashSet<usize> = replaced
                .range((position, 0)..(position + 1, 0))
                .chain(dangling.range((position, 0)..(position + 1, 0)))
                .map(|(_, row)| *row)
                .collect();
            if !removed.is_empty() {
                let filter = Filter { state: &state, entries: &entries[position], position, removed: &removed };
                manifests.push(filter.write(job, file, &mut changes, &mut partitions)?);
            } else if !has_no_live_files(file) {
                manifests.push(file.clone());
            }
        }
        changes.set("changed-partition-count", partitions.len());
        propose(job, &state.base, &manifests, changes)
    }

    /// Returns where the replaced files are, and adds the delete files that were applied to them to `applied`.
    fn find_replaced(
        &self,
        state: &State,
        entries: &[Entries<'_>],
        deletes: &mut DeleteFiles,
        applied: &mut HashSet<u32>,
    ) -> Result<BTreeSet<Place>, RewriteError> {
        let mut places = BTreeSet::new();
        let mut found = Vec::new();
        for (manifest, entry) in live(state.files(), entries, ManifestContent::Data) {
            let path = text(entry.path());
            let Some(known) = self.replaced.get(&path) else { continue };
            places.insert((manifest, entry.row()));
            deletes.find(state.files()[manifest].spec_id, &entry, &mut found);
            for number in &found {
                let Some((manifest, row)) = deletes.place(*number) else { continue };
                let Some(delete) = entries[manifest].get(row) else { continue };
                if known.contains(&delete_name(&delete)) {
                    applied.insert(*number);
                    continue;
                }
                // Newer equality deletes apply to the new files too, since these have the old sequence number.
                let applies_to_new =
                    delete.content() == FileContent::EqualityDeletes && delete.sequence_number() > self.sequence_number;
                if !applies_to_new {
                    return Err(RewriteError::Conflict(format!("{} deletes rows of {path}", delete_name(&delete))));
                }
            }
        }
        if places.len() == self.replaced.len() {
            return Ok(places);
        }
        let missing = self.replaced.len().abs_diff(places.len());
        Err(RewriteError::Conflict(format!("{missing} of the files that were rewritten are not in the table any more")))
    }

    /// Returns those of the applied delete files that apply to no other file of the table.
    fn find_dangling(
        &self,
        job: &Job<'_>,
        state: &State,
        entries: &[Entries<'_>],
        deletes: &mut DeleteFiles,
        (replaced, mut unused): (&BTreeSet<Place>, HashSet<u32>),
    ) -> Result<BTreeSet<Place>, RewriteError> {
        let mut found = Vec::new();
        for (spec_id, file) in &self.added {
            deletes.find_for_new(*spec_id, file, self.sequence_number, &mut found);
            for number in &found {
                let delete = deletes.place(*number).and_then(|(manifest, row)| entries[manifest].get(row));
                // An older file with positions does not name a new file.
                if delete.is_some_and(|delete| delete.content() == FileContent::EqualityDeletes) {
                    unused.remove(number);
                }
            }
        }
        for (count, (manifest, entry)) in live(state.files(), entries, ManifestContent::Data).enumerate() {
            if unused.is_empty() {
                break;
            }
            if count.is_multiple_of(1024) {
                job.stop().check()?;
            }
            if !replaced.contains(&(manifest, entry.row())) {
                deletes.find(state.files()[manifest].spec_id, &entry, &mut found);
                found.iter().for_each(|number| {
                    unused.remove(number);
                });
            }
        }
        Ok(unused.into_iter().filter_map(|number| deletes.place(number)).collect())
    }

    /// Writes the manifests of the new files.
    fn write_added(&self, job: &mut Job<'_>, changes: &mut Changes) -> Result<Vec<ManifestFile>, RewriteError> {
        let mut by_spec: BTreeMap<i32, Vec<&FileRecord>> = BTreeMap::new();
        for (spec_id, file) in &self.added {
            by_spec.entry(*spec_id).or_default().push(file);
        }
        let mut manifests = Vec::new();
        for (spec_id, files) in by_spec {
            let layout = Layout::new(job.table(), spec_id, ManifestContent::Data)?;
            let mut writer = ManifestWriter::new(&layout, job.next_marker());
            for file in files {
                writer.add(&NewEntry {
                    status: Status::Added,
                    snapshot_id: Some(job.snapshot_id()),
                    sequence_number: Some(self.sequence_number),
                    file_sequence_number: None,
                    file,
                })?;
                changes.added_data(file);
            }
            manifests.push(write_manifest(job, writer)?);
        }
        Ok(manifests)
    }
}

fn has_no_live_files(file: &ManifestFile) -> bool {
    file.added_files_count == Some(0) && file.existing_files_count == Some(0)
}

/// A manifest some of whose files are removed.
struct Filter<'f> {
    state: &'f State,
    entries: &'f Entries<'f>,
    position: usize,
    removed: &'f HashSet<usize>,
}

impl Filter<'_> {
    /// Writes the manifest that takes its place: with the other files, and with the removed ones marked.
    fn write(
        &self,
        job: &mut Job<'_>,
        file: &ManifestFile,
        changes: &mut Changes,
        partitions: &mut BTreeSet<(i32, Vec<Vec<u8>>)>,
    ) -> Result<ManifestFile, RewriteError> {
        let layout = Layout::new(job.table(), file.spec_id, file.content)?;
        let mut writer = ManifestWriter::new(&layout, job.next_marker());
        for entry in self.entries.iter().filter(|entry| entry.status() != Status::Deleted) {
            let record = self.state.record(self.position, &entry);
            let is_removed = self.removed.contains(&entry.row());
            if is_removed {
                match record.content {
                    FileContent::Data => changes.removed_data(&record),
                    _ => changes.removed_deletes(&record),
                }
                let values =
                    record.partition.iter().map(|value| value.as_ref().map_or(Vec::new(), |value| value.to_bytes()));
                partitions.insert((file.spec_id, values.collect()));
            }
            writer.add(&NewEntry {
                status: if is_removed { Status::Deleted } else { Status::Existing },
                snapshot_id: if is_removed { Some(job.snapshot_id()) } else { entry.snapshot_id() },
                sequence_number: Some(entry.sequence_number()),
                file_sequence_number: entry.file_sequence_number(),
                file: &record,
            })?;
        }
        write_manifest(job, writer)
    }
}
