//! The files of a snapshot, with the delete files that apply to each.

use std::collections::HashMap;

use tidewater_core::document::{Schema, TableMetadata};
use tidewater_core::scan::deletes::{DataFile, DeleteFile, DeleteIndex, DeleteIndexBuilder, DeleteKind, Scratch};
use tidewater_core::scan::statistics::FileStatistics;
use tidewater_manifests::{Entries, Entry, FileContent, Manifest, ManifestContent, ManifestFile, Status};

use crate::error::RewriteError;
use crate::job::{Job, unreadable};
use crate::manifest::{FileRecord, Metrics, text};
use crate::snapshot::Base;

/// The manifests of a snapshot, read into memory.
pub(crate) struct State {
    pub(crate) base: Base,
    files: Vec<ManifestFile>,
    manifests: Vec<Manifest>,
}

/// The position of an entry: its manifest in the list, and its row there.
pub(crate) type Place = (usize, usize);

impl State {
    /// Reads the current snapshot. None if the table has none.
    ///
    /// # Errors
    /// `Files`, `Manifest`, `Stopped`; `Unsupported` if the manifests take more than half of the memory.
    pub(crate) fn read(job: &Job<'_>) -> Result<Option<Self>, RewriteError> {
        let Some(base) = Base::current(job.table())? else { return Ok(None) };
        let files = job.read_list(&base.manifest_list)?.files().to_vec();
        Self::of(job, base, files).map(Some)
    }

    /// Reads the first manifests with data of the current snapshot, and all with deletes. Returns whether it read all. None if the
    /// table has no snapshot.
    ///
    /// # Errors
    /// `Files`, `Manifest`, `Stopped`; `Unsupported` if there are more manifests with deletes than `most_deletes`, or the manifests
    /// take more than half of the memory.
    pub(crate) fn begin(
        job: &Job<'_>,
        most_data: usize,
        most_deletes: usize,
    ) -> Result<Option<(Self, bool)>, RewriteError> {
        let Some(base) = Base::current(job.table())? else { return Ok(None) };
        let list = job.read_list(&base.manifest_list)?;
        let is_of = |content| move |file: &&ManifestFile| file.content == content;
        let deletes = list.files().iter().filter(is_of(ManifestContent::Deletes)).filter(|file| may_have_files(file));
        let data = list.files().iter().filter(is_of(ManifestContent::Data)).filter(|file| may_have_files(file));
        if deletes.clone().count() > most_deletes {
            let why = format!("the table has more than {most_deletes} manifests of delete files: compact it first");
            return Err(RewriteError::unsupported(why));
        }
        let is_whole = data.clone().count() <= most_data;
        let files = data.take(most_data).chain(deletes).cloned().collect();
        Ok(Some((Self::of(job, base, files)?, is_whole)))
    }

    fn of(job: &Job<'_>, base: Base, files: Vec<ManifestFile>) -> Result<Self, RewriteError> {
        let limit = job.limits().memory_bytes / 2;
        let (mut manifests, mut bytes) = (Vec::with_capacity(files.len()), 0);
        for file in &files {
            let manifest = job.read_manifest(file)?;
            bytes += manifest.size_bytes() as u64;
            if bytes > limit {
                return Err(RewriteError::unsupported(format!(
                    "the table's manifests take more than {limit} bytes of memory"
                )));
            }
            manifests.push(manifest);
        }
        Ok(Self { base, files, manifests })
    }

    /// Returns the manifests, as the list names them.
    pub(crate) fn files(&self) -> &[ManifestFile] {
        &self.files
    }

    /// Returns the entries of all manifests, in the order of the list.
    pub(crate) fn entries(&self) -> Result<Vec<Entries<'_>>, RewriteError> {
        let both = self.manifests.iter().zip(&self.files);
        both.map(|(manifest, file)| manifest.entries(file).map_err(|error| unreadable(&file.path, error))).collect()
    }

    /// Copies the file of an entry.
    pub(crate) fn record(&self, manifest: usize, entry: &Entry<'_>) -> FileRecord {
        FileRecord::from_entry(&self.manifests[manifest], entry)
    }
}

/// Returns whether a manifest may have live files, as far as the manifest list says it.
fn may_have_files(file: &ManifestFile) -> bool {
    file.added_files_count != Some(0) || file.existing_files_count != Some(0)
}

/// Returns the live entries of data files, or of delete files.
pub(crate) fn live<'e>(
    files: &'e [ManifestFile],
    entries: &'e [Entries<'e>],
    content: ManifestContent,
) -> impl Iterator<Item = (usize, Entry<'e>)> {
    let manifests = files.iter().zip(entries).enumerate().filter(move |(_, (file, _))| file.content == content);
    manifests
        .flat_map(|(position, (_, entries))| entries.iter().map(move |entry| (position, entry)))
        .filter(|(_, entry)| entry.status() != Status::Deleted)
}

/// The delete files of a snapshot.
pub(crate) struct DeleteFiles {
    index: DeleteIndex,
    places: Vec<Place>,
    scratch: Scratch,
}

impl DeleteFiles {
    /// Indexes the delete files.
    ///
    /// # Errors
    /// `Unsupported` if the metadata is damaged.
    pub(crate) fn new(
        table: &TableMetadata,
        schema: &Schema,
        files: &[ManifestFile],
        entries: &[Entries<'_>],
    ) -> Result<Self, RewriteError> {
        let index = schema.index().map_err(|error| RewriteError::unsupported(error.to_string()))?;
        let mut builder = DeleteIndexBuilder::new(table.partition_specs(), &index);
        let mut places = Vec::new();
        for (manifest, entry) in live(files, entries, ManifestContent::Deletes) {
            let referenced = entry.referenced_data_file().map(text);
            let ids: Vec<i32> = entry.equality_ids().map(Iterator::collect).unwrap_or_default();
            let kind = match entry.content() {
                FileContent::EqualityDeletes => DeleteKind::Equality(&ids),
                _ if entry.format() == "puffin" => DeleteKind::Vector(referenced.as_deref().unwrap_or_default()),
                _ => DeleteKind::Positions(referenced.as_deref()),
            };
            let added = builder.add(&DeleteFile {
                kind,
                sequence_number: entry.sequence_number(),
                spec_id: files[manifest].spec_id,
                partition: entry.partition(),
                statistics: &entry,
            });
            added.map_err(|error| RewriteError::unsupported(error.to_string()))?;
            places.push((manifest, entry.row()));
        }
        Ok(Self { index: builder.build(), places, scratch: Scratch::default() })
    }

    /// Returns where the delete file with this number is.
    pub(crate) fn place(&self, number: u32) -> Option<Place> {
        self.places.get(number as usize).copied()
    }

    /// Replaces `found` by the numbers of the delete files that apply to a data file.
    pub(crate) fn find(&mut self, spec_id: i32, entry: &Entry<'_>, found: &mut Vec<u32>) {
        let path = text(entry.path());
        let file = DataFile {
            path: &path,
            sequence_number: entry.sequence_number(),
            spec_id,
            partition: entry.partition(),
            statistics: entry,
        };
        self.index.find(&file, &mut self.scratch, found);
    }

    /// Replaces `found` by the numbers of the delete files that may apply to a new data file with this sequence number.
    pub(crate) fn find_for_new(&mut self, spec_id: i32, new: &FileRecord, sequence_number: i64, found: &mut Vec<u32>) {
        let statistics = Recorded(new);
        let file =
            DataFile { path: &new.path, sequence_number, spec_id, partition: &new.partition, statistics: &statistics };
        self.index.find(&file, &mut self.scratch, found);
    }
}

/// Returns a text that names a delete file: its location, and the place of a deletion vector in it.
pub(crate) fn delete_name(entry: &Entry<'_>) -> String {
    let path = text(entry.path());
    match entry.content_offset() {
        Some(offset) => format!("{path}#{offset}"),
        None => path,
    }
}

/// Returns the only data file whose rows a delete file removes, as far as its manifest says it.
pub(crate) fn is_of_one_file(entry: &Entry<'_>) -> bool {
    const FILE_PATH_ID: i32 = 2_147_483_546;
    let bounds = (entry.lower_bound(FILE_PATH_ID), entry.upper_bound(FILE_PATH_ID));
    entry.content() == FileContent::PositionDeletes
        && (entry.referenced_data_file().is_some() || matches!(bounds, (Some(lower), Some(upper)) if lower == upper))
}

/// The statistics of a new file.
struct Recorded<'r>(&'r FileRecord);

impl Recorded<'_> {
    fn count(of: &[(i32, i64)], id: i32) -> Option<i64> {
        of.binary_search_by_key(&id, |(id, _)| *id).ok().map(|position| of[position].1)
    }

    fn bound(of: &[(i32, Vec<u8>)], id: i32) -> Option<&[u8]> {
        of.binary_search_by_key(&id, |(id, _)| *id).ok().map(|position| of[position].1.as_slice())
    }

    const fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }
}

impl FileStatistics for Recorded<'_> {
    fn record_count(&self) -> i64 {
        self.0.record_count
    }

    fn value_count(&self, id: i32) -> Option<i64> {
        Self::count(&self.metrics().value_counts, id)
    }

    fn null_value_count(&self, id: i32) -> Option<i64> {
        Self::count(&self.metrics().null_counts, id)
    }

    fn nan_value_count(&self, id: i32) -> Option<i64> {
        Self::count(&self.metrics().nan_counts, id)
    }

    fn column_size_bytes(&self, id: i32) -> Option<i64> {
        Self::count(&self.metrics().column_sizes, id)
    }

    fn lower_bound(&self, id: i32) -> Option<&[u8]> {
        Self::bound(&self.metrics().lower_bounds, id)
    }

    fn upper_bound(&self, id: i32) -> Option<&[u8]> {
        Self::bound(&self.metrics().upper_bounds, id)
    }
}

/// Files that a rewrite left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftAlone {
    /// Their number.
    pub files: u64,
    /// Why.
    pub why: String,
}

/// Counts files by the reason for which they are left alone. Holds at most 100 different reasons.
#[derive(Debug, Default)]
pub(crate) struct Reasons(HashMap<String, u64>);

impl Reasons {
    pub(crate) fn add(&mut self, why: String, files: u64) {
        if self.0.len() < 100 || self.0.contains_key(&why) {
            *self.0.entry(why).or_default() += files;
        }
    }

    /// Returns the reasons, the most frequent first.
    pub(crate) fn into_list(self) -> Vec<LeftAlone> {
        let mut reasons: Vec<_> = self.0.into_iter().map(|(why, files)| LeftAlone { files, why }).collect();
        reasons.sort_by(|one, other| other.files.cmp(&one.files).then_with(|| one.why.cmp(&other.why)));
        reasons
    }
}
