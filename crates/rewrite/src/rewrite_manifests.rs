//! Rewrites small manifests into larger ones, with the entries of a partition together.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use tidewater_core::document::Properties;
use tidewater_core::scan::statistics::Partition;
use tidewater_manifests::{Manifest, ManifestContent, ManifestFile, Status};

use crate::error::RewriteError;
use crate::job::{Job, unreadable};
use crate::manifest::{FileRecord, Layout, ManifestWriter, NewEntry};
use crate::snapshot::{Base, Changes, Proposal, next_sequence_number, propose};
use crate::state::LeftAlone;

/// The size of a manifest unless the table's properties say another, in bytes. Java's default.
const DEFAULT_TARGET_BYTES: u64 = 8 << 20;

/// The largest size of a manifest, in bytes: it is written in memory.
const MAX_TARGET_BYTES: u64 = 64 << 20;

/// Which manifests are rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManifestRule {
    /// The size of a new manifest, in bytes.
    pub target_bytes: u64,
    /// The fewest small manifests of one partition spec that are worth a rewrite. At least 2.
    pub min_manifests: usize,
}

/// What a rewrite of manifests did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ManifestsReport {
    /// The number of manifests that were replaced.
    pub replaced: u64,
    /// Their size in bytes.
    pub replaced_bytes: u64,
    /// The number of new manifests.
    pub created: u64,
    /// Their size in bytes.
    pub created_bytes: u64,
    /// The number of manifests that stay.
    pub kept: u64,
    /// The number of entries in new manifests.
    pub entries: u64,
    /// What was left alone, and why.
    pub left_alone: Vec<LeftAlone>,
}

impl ManifestRule {
    /// Creates the rule for a table with these properties (`commit.manifest.target-size-bytes`).
    #[must_use]
    pub fn new(properties: &Properties, min_manifests: usize) -> Self {
        let target = properties.get("commit.manifest.target-size-bytes").and_then(|size| size.parse().ok());
        let target_bytes = target.filter(|size| *size > 0).unwrap_or(DEFAULT_TARGET_BYTES).min(MAX_TARGET_BYTES);
        Self { target_bytes, min_manifests: min_manifests.max(2) }
    }

    /// Returns the positions of the manifests to rewrite, for each partition spec and content: those that are smaller than three
    /// quarters of the target, if there are enough of them and fewer can have their entries.
    #[must_use]
    pub fn select(&self, files: &[ManifestFile]) -> Vec<Vec<usize>> {
        let mut groups: BTreeMap<(i32, bool), Vec<usize>> = BTreeMap::new();
        for (position, file) in files.iter().enumerate() {
            let size = u64::try_from(file.length).unwrap_or(u64::MAX);
            if size < self.target_bytes / 4 * 3 && file.key_metadata.is_none() {
                groups.entry((file.spec_id, file.content == ManifestContent::Deletes)).or_default().push(position);
            }
        }
        let is_worth_it = |group: &Vec<usize>| {
            let size: u64 = group.iter().map(|position| u64::try_from(files[*position].length).unwrap_or(0)).sum();
            group.len() >= self.min_manifests && (group.len() as u64) > size.div_ceil(self.target_bytes)
        };
        groups.into_values().filter(is_worth_it).collect()
    }
}

/// Returns what [`rewrite_manifests`] would replace. Counts of new manifests are 0.
///
/// # Errors
/// Those of reading the manifest list.
pub fn preview_manifests(job: &Job<'_>, rule: &ManifestRule) -> Result<ManifestsReport, RewriteError> {
    let mut report = ManifestsReport::default();
    let Some(base) = Base::current(job.table())? else { return Ok(report) };
    let list = job.read_list(&base.manifest_list)?;
    for position in rule.select(list.files()).into_iter().flatten() {
        report.replaced += 1;
        report.replaced_bytes += u64::try_from(list.files()[position].length).unwrap_or(0);
    }
    report.kept = list.files().len() as u64 - report.replaced;
    Ok(report)
}

/// Rewrites the small manifests of the current snapshot. Files keep their snapshot, sequence numbers and row ids. Entries of
/// removed files are dropped. Returns no commit if there is nothing to do.
///
/// # Errors
/// `Files`, `Manifest`, `Stopped`; `Unsupported` if the manifest list cannot be written in the table's format.
pub fn rewrite_manifests(
    job: &mut Job<'_>,
    rule: &ManifestRule,
) -> Result<(Option<Proposal>, ManifestsReport), RewriteError> {
    let mut report = ManifestsReport::default();
    let Some(base) = Base::current(job.table())? else { return Ok((None, report)) };
    let list = job.read_list(&base.manifest_list)?;
    let mut created = Vec::new();
    let mut replaced = vec![false; list.files().len()];
    for group in rule.select(list.files()) {
        let files: Vec<&ManifestFile> = group.iter().map(|position| &list.files()[*position]).collect();
        let first = files[0];
        let layout = match Layout::new(job.table(), first.spec_id, first.content) {
            Err(RewriteError::Unsupported(why)) => {
                report.left_alone.push(LeftAlone { files: files.len() as u64, why });
                continue;
            }
            layout => layout?,
        };
        for batch in batches(job, &files)? {
            created.extend(rewrite(job, rule, &layout, &batch, &mut report)?);
        }
        group.iter().for_each(|position| replaced[*position] = true);
        report.replaced += files.len() as u64;
        report.replaced_bytes += files.iter().map(|file| u64::try_from(file.length).unwrap_or(0)).sum::<u64>();
    }
    if report.replaced == 0 {
        return Ok((None, report));
    }
    let kept = list.files().iter().zip(&replaced).filter(|(_, replaced)| !**replaced).map(|(file, _)| file.clone());
    let kept: Vec<ManifestFile> = kept.collect();
    report.created = created.len() as u64;
    report.created_bytes = created.iter().map(|file| u64::try_from(file.length).unwrap_or(0)).sum();
    report.kept = kept.len() as u64;
    let mut changes = Changes::default();
    changes.set("manifests-created", report.created);
    changes.set("manifests-kept", report.kept);
    changes.set("manifests-replaced", report.replaced);
    changes.set("entries-processed", report.entries);
    changes.set("changed-partition-count", 0);
    created.extend(kept);
    let proposal = propose(job, &base, &created, changes)?;
    Ok((Some(proposal), report))
}

/// A manifest with its record in the manifest list.
type Read<'f> = (&'f ManifestFile, Manifest);

/// Reads manifests in batches that each fit into the memory.
fn batches<'f>(job: &Job<'_>, files: &[&'f ManifestFile]) -> Result<Vec<Vec<&'f ManifestFile>>, RewriteError> {
    // Parsed columns and the order of the entries take a few times the packed size.
    let most = job.limits().memory_bytes / 16;
    let (mut batches, mut batch, mut bytes) = (Vec::new(), Vec::new(), 0);
    for file in files {
        job.stop().check()?;
        let size = u64::try_from(file.length).unwrap_or(u64::MAX);
        if !batch.is_empty() && bytes + size > most {
            batches.push(std::mem::take(&mut batch));
            bytes = 0;
        }
        bytes += size;
        batch.push(*file);
    }
    batches.push(batch);
    Ok(batches)
}

/// Writes the live entries of manifests into new ones, in the order of their partitions.
fn rewrite(
    job: &mut Job<'_>,
    rule: &ManifestRule,
    layout: &Layout,
    files: &[&ManifestFile],
    report: &mut ManifestsReport,
) -> Result<Vec<ManifestFile>, RewriteError> {
    let read = files
        .iter()
        .map(|file| Ok((*file, job.read_manifest(file)?)))
        .collect::<Result<Vec<Read<'_>>, RewriteError>>()?;
    let entries =
        read.iter().map(|(file, manifest)| manifest.entries(file).map_err(|error| unreadable(&file.path, error)));
    let entries = entries.collect::<Result<Vec<_>, RewriteError>>()?;
    let mut order: Vec<(usize, usize)> = Vec::new();
    for (manifest, entries) in entries.iter().enumerate() {
        order.extend(entries.iter().filter(|one| one.status() != Status::Deleted).map(|entry| (manifest, entry.row())));
    }
    let partition = |(manifest, row): (usize, usize)| entries[manifest].get(row).map(|entry| entry.partition());
    order.sort_by(|one, other| match (partition(*one), partition(*other)) {
        (Some(one), Some(other)) => compare(one, other),
        _ => Ordering::Equal,
    });
    let mut created = Vec::new();
    let mut writer = ManifestWriter::new(layout, job.next_marker());
    for (count, (manifest, row)) in order.into_iter().enumerate() {
        if count.is_multiple_of(1024) {
            job.stop().check()?;
        }
        let Some(entry) = entries[manifest].get(row) else { continue };
        let file = FileRecord::from_entry(&read[manifest].1, &entry);
        writer.add(&NewEntry {
            status: Status::Existing,
            snapshot_id: entry.snapshot_id(),
            sequence_number: Some(entry.sequence_number()),
            file_sequence_number: entry.file_sequence_number(),
            file: &file,
        })?;
        report.entries += 1;
        if writer.size_bytes() as u64 >= rule.target_bytes {
            let next = ManifestWriter::new(layout, job.next_marker());
            created.push(write_manifest(job, std::mem::replace(&mut writer, next))?);
        }
    }
    if !writer.is_empty() {
        created.push(write_manifest(job, writer)?);
    }
    Ok(created)
}

/// Writes a manifest, and returns its record in a manifest list.
pub(crate) fn write_manifest(job: &mut Job<'_>, writer: ManifestWriter<'_>) -> Result<ManifestFile, RewriteError> {
    let (content, file) = writer.finish(job.snapshot_id(), next_sequence_number(job.table()));
    let number = job.next_marker().as_u64_pair().0 ^ job.id().as_u64_pair().0;
    let location = job.metadata_location(&format!("{}-m{number}.avro", job.id()));
    job.write(&location, content)?;
    Ok(ManifestFile { path: location.into(), ..file })
}

/// Compares two partitions of one spec, field by field. Nulls come first.
fn compare(one: &Partition, other: &Partition) -> Ordering {
    let fields = one.iter().zip(other).map(|pair| match pair {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Less,
        (Some(_), None) => Ordering::Greater,
        (Some(one), Some(other)) => one.compare(other).unwrap_or(Ordering::Equal),
    });
    fields.fold(Ordering::Equal, Ordering::then)
}
