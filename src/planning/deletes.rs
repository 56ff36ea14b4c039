//! The deletes of a scan: which delete files apply to a data file.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use tidewater_core::document::TableMetadata;
use tidewater_core::scan::deletes::{DeleteFile, DeleteIndex, DeleteIndexBuilder, DeleteKind};
use tidewater_manifests::{Entries, Entry, FileContent, Manifest, ManifestError, ManifestFile, Status};

use super::departure::Watch;
use super::error::PlanError;
use super::prepared::{Prepared, SpecFilter, index_of};
use super::reader::TableReader;
use crate::config::PlanningConfig;
use crate::manifests::Held;

/// How many manifests are read at the same time for one request.
pub(super) const READS_AT_ONCE: usize = 8;

/// The delete files of a scan.
#[derive(Debug, Default)]
pub(super) struct Deletes {
    pub(super) index: DeleteIndex,
    manifests: Vec<DeleteManifest>,
    /// Where each delete file is, by its number in the index: the manifest, and the entry in it.
    places: Vec<(u32, u32)>,
}

/// A manifest of delete files, as its list names it.
#[derive(Debug)]
struct DeleteManifest {
    file: ManifestFile,
    manifest: Arc<Held<Manifest>>,
}

/// Delete manifests that were read.
pub(super) type ReadManifests = Vec<(ManifestFile, Arc<Held<Manifest>>)>;

impl Deletes {
    /// Reads delete manifests.
    ///
    /// # Errors
    /// `Unsupported` if they exceed the limits; those of reading.
    pub(super) async fn read(
        reader: &TableReader,
        files: Vec<ManifestFile>,
        limits: &PlanningConfig,
    ) -> Result<ReadManifests, PlanError> {
        let check = |bytes: u64| {
            let message = || {
                format!(
                    "The scan's delete manifests have {bytes} bytes, of {} allowed: an administrator can raise the limit with the setting 'planning.max_bytes'",
                    limits.max_bytes
                )
            };
            if bytes > limits.max_bytes { Err(PlanError::Unsupported(message())) } else { Ok(()) }
        };
        check(files.iter().map(length_bytes).fold(0, u64::saturating_add))?;
        let read = |file: ManifestFile| async move {
            let manifest = reader.manifest(&file.path).await?;
            Ok::<_, PlanError>((file, manifest))
        };
        let mut reads = stream::iter(files.into_iter().map(read)).buffered(READS_AT_ONCE);
        let (mut manifests, mut bytes) = (Vec::new(), 0);
        while let Some(one) = reads.try_next().await? {
            // The list may name another length.
            bytes += one.1.file_bytes();
            check(bytes)?;
            manifests.push(one);
        }
        Ok(manifests)
    }

    /// Makes the index of delete files. `schema_id` is the id of the schema that gives the types of compared columns.
    ///
    /// # Errors
    /// `Unsupported` if there are more delete files than `limits` allow, or they contradict each other; `Heavy` if the request ends.
    pub(super) fn new(
        manifests: ReadManifests,
        table: &TableMetadata,
        filter: &Prepared,
        limits: &PlanningConfig,
        watch: &Watch,
    ) -> Result<Self, PlanError> {
        if manifests.is_empty() {
            return Ok(Self::default());
        }
        let schema = index_of(table, table.current_schema_id())?;
        let mut builder = DeleteIndexBuilder::new(table.partition_specs(), &schema);
        let manifests: Vec<_> =
            manifests.into_iter().map(|(file, manifest)| DeleteManifest { file, manifest }).collect();
        let mut places = Vec::new();
        for (number, DeleteManifest { file, manifest }) in (0..).zip(&manifests) {
            let (entries, spec) = (entries_of(manifest, file)?, filter.spec(file.spec_id)?);
            for (row, entry) in (0..).zip(entries.iter()) {
                watch.check(row)?;
                if entry.status() == Status::Deleted || !spec.inclusive.matches(entry.partition()) {
                    continue;
                }
                add(&mut builder, &entry, spec)?;
                places.push((number, row));
                if places.len() as u64 > limits.max_delete_files {
                    let message = format!(
                        "The scan has more delete files than the {} that this server plans: an administrator can raise the limit with the setting 'planning.max_delete_files'",
                        limits.max_delete_files
                    );
                    return Err(PlanError::Unsupported(message));
                }
            }
        }
        Ok(Self { index: builder.build(), manifests, places })
    }

    /// Calls `with` with the entry of a delete file, and the id of its partition spec.
    ///
    /// # Errors
    /// Those of `with`.
    pub(super) fn entry<T>(
        &self,
        number: u32,
        with: impl FnOnce(&Entry<'_>, i32) -> Result<T, PlanError>,
    ) -> Result<Option<T>, PlanError> {
        let Some((manifest, row)) = self.places.get(number as usize) else { return Ok(None) };
        let DeleteManifest { file, manifest } = &self.manifests[*manifest as usize];
        let entries = entries_of(manifest, file)?;
        entries.get(*row as usize).map(|entry| with(&entry, file.spec_id)).transpose()
    }

    /// Returns how many delete files the filter admits.
    pub(super) fn len(&self) -> u64 {
        self.places.len() as u64
    }
}

/// Returns the entries of a manifest of deletes.
///
/// # Errors
/// `Unsupported` if they lack what they cannot inherit.
fn entries_of<'a>(manifest: &'a Manifest, file: &ManifestFile) -> Result<Entries<'a>, PlanError> {
    manifest.entries(file).map_err(|error| unreadable(file, &error))
}

/// Returns the error of a manifest that cannot be read.
pub(super) fn unreadable(file: &ManifestFile, error: &ManifestError) -> PlanError {
    PlanError::Unsupported(format!("Manifest {} cannot be read: {error}", file.path))
}

/// Returns the length of a manifest as its list says, in bytes.
pub(super) fn length_bytes(file: &ManifestFile) -> u64 {
    u64::try_from(file.length).unwrap_or_default()
}

fn add(builder: &mut DeleteIndexBuilder<'_>, entry: &Entry<'_>, spec: &SpecFilter) -> Result<(), PlanError> {
    let referenced = entry.referenced_data_file().map(|path| path.to_string());
    let ids: Vec<i32> = entry.equality_ids().into_iter().flatten().collect();
    let kind = match (entry.content(), referenced.as_deref()) {
        (FileContent::Data, _) => {
            return Err(PlanError::Unsupported(format!("A delete manifest names the data file {}", entry.path())));
        }
        (FileContent::EqualityDeletes, _) => DeleteKind::Equality(&ids),
        (FileContent::PositionDeletes, Some(path)) if entry.format() == "puffin" => DeleteKind::Vector(path),
        (FileContent::PositionDeletes, None) if entry.format() == "puffin" => {
            return Err(PlanError::Unsupported(format!("The deletion vector {} names no data file", entry.path())));
        }
        (FileContent::PositionDeletes, path) => DeleteKind::Positions(path),
    };
    let file = DeleteFile {
        kind,
        sequence_number: entry.sequence_number(),
        spec_id: spec.spec_id,
        partition: entry.partition(),
        statistics: entry,
    };
    builder.add(&file).map(drop).map_err(|error| PlanError::Unsupported(error.to_string()))
}
