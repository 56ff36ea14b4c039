//! The index of a scan's delete files. It depends on the filter only by the partitions that the filter admits.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use tidewater_core::document::{Schema, TableMetadata, Transform};
use tidewater_core::scan::deletes::{DeleteFile, DeleteIndex, DeleteIndexBuilder, DeleteKind};
use tidewater_manifests::{Entries, Entry, FileContent, Manifest, ManifestError, ManifestFile, Status};
use uuid::Uuid;

use super::departure::Watch;
use super::error::PlanError;
use super::prepared::{Prepared, index_of};
use crate::config::PlanningConfig;
use crate::manifests::Held;

/// A manifest of delete files, as its list names it.
#[derive(Debug)]
pub(super) struct DeleteManifest {
    pub(super) file: ManifestFile,
    pub(super) manifest: Arc<Held<Manifest>>,
}

/// The same for equal sets of delete files, whatever the filter was that chose them. An index also depends on the types of columns, and on
/// the partition specs.
pub(super) type IndexKey = [u8; 32];

/// The delete files of a scan, before they are indexed.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) manifests: Arc<[DeleteManifest]>,
    /// For each manifest, whether the filter admits its partitions, by their indexes.
    admitted: Vec<Box<[bool]>>,
    pub(super) key: IndexKey,
}

/// The index of a scan's delete files.
#[derive(Debug)]
pub(super) struct Indexed {
    pub(super) index: DeleteIndex,
    /// Where each delete file is, by its number in the index: the manifest, and the entry in it.
    pub(super) places: Box<[(u32, u32)]>,
}

impl Chosen {
    /// Compares the partitions of delete manifests with a filter.
    ///
    /// # Errors
    /// `Unsupported` if a manifest has an unknown partition spec; `Heavy` if the request ends.
    pub(super) fn new(
        manifests: Vec<DeleteManifest>,
        (table_id, table): (Uuid, &TableMetadata),
        filter: &Prepared,
        watch: &Watch,
    ) -> Result<Self, PlanError> {
        let mut digest = Sha256::new();
        let mut add = |bytes: &[u8]| {
            digest.update((bytes.len() as u64).to_le_bytes());
            digest.update(bytes);
        };
        add(table_id.as_bytes());
        add(table.schema(table.current_schema_id()).map_or("", Schema::json).as_bytes());
        for spec in table.partition_specs() {
            let is_unpartitioned = spec.fields().iter().all(|field| field.transform == Transform::Void);
            add(format!("{}|{is_unpartitioned}", spec.id()).as_bytes());
        }
        let mut admitted = Vec::with_capacity(manifests.len());
        for DeleteManifest { file, manifest } in &manifests {
            let inclusive = &filter.spec(file.spec_id)?.inclusive;
            let mut admits = Vec::with_capacity(manifest.partition_count());
            for index in 0..u32::try_from(manifest.partition_count()).unwrap_or(u32::MAX) {
                watch.check(index)?;
                admits.push(inclusive.matches(manifest.partition(index)));
            }
            add(file.path.as_bytes());
            // Entries inherit these.
            add(format!("{}|{}|{:?}", file.spec_id, file.sequence_number, file.added_snapshot_id).as_bytes());
            add(&admits.iter().map(|admits| u8::from(*admits)).collect::<Vec<u8>>());
            admitted.push(admits.into());
        }
        Ok(Self { manifests: manifests.into(), admitted, key: digest.finalize().into() })
    }

    /// Returns how many entries the manifests have.
    pub(super) fn entries(&self) -> u64 {
        self.manifests.iter().map(|one| one.manifest.len() as u64).sum()
    }

    /// Makes the index.
    ///
    /// # Errors
    /// `Unsupported` if there are more delete files than `limits` allow, or they contradict each other; `Heavy` if the request ends.
    pub(super) fn index(
        &self,
        table: &TableMetadata,
        limits: &PlanningConfig,
        watch: &Watch,
    ) -> Result<Indexed, PlanError> {
        let schema = index_of(table, table.current_schema_id())?;
        let mut builder = DeleteIndexBuilder::new(table.partition_specs(), &schema);
        let mut places = Vec::new();
        for (number, (DeleteManifest { file, manifest }, admitted)) in
            (0..).zip(self.manifests.iter().zip(&self.admitted))
        {
            for (row, entry) in (0..).zip(entries_of(manifest, file)?.iter()) {
                watch.check(row)?;
                let is_admitted = admitted.get(entry.partition_index() as usize).copied().unwrap_or(true);
                if entry.status() == Status::Deleted || !is_admitted {
                    continue;
                }
                add(&mut builder, &entry, file.spec_id)?;
                places.push((number, row));
                check_number(places.len(), limits)?;
            }
        }
        Ok(Indexed { index: builder.build(), places: places.into() })
    }
}

impl Indexed {
    /// Estimates the used memory, in bytes.
    pub(super) fn size_bytes(&self) -> usize {
        self.index.size_bytes() + size_of_val(&*self.places)
    }
}

/// Fails if a scan has more delete files than a server plans.
///
/// # Errors
/// `Unsupported`.
pub(super) fn check_number(delete_files: usize, limits: &PlanningConfig) -> Result<(), PlanError> {
    if delete_files as u64 <= limits.max_delete_files {
        return Ok(());
    }
    Err(PlanError::Unsupported(format!(
        "The scan has more delete files than the {} that this server plans: an administrator can raise the limit with the setting 'planning.max_delete_files'",
        limits.max_delete_files
    )))
}

/// Returns the entries of a manifest of deletes.
///
/// # Errors
/// `Unsupported` if they lack what they cannot inherit.
pub(super) fn entries_of<'a>(manifest: &'a Manifest, file: &ManifestFile) -> Result<Entries<'a>, PlanError> {
    manifest.entries(file).map_err(|error| unreadable(file, &error))
}

/// Returns the error of a manifest that cannot be read.
pub(super) fn unreadable(file: &ManifestFile, error: &ManifestError) -> PlanError {
    PlanError::Unsupported(format!("Manifest {} cannot be read: {error}", file.path))
}

fn add(builder: &mut DeleteIndexBuilder<'_>, entry: &Entry<'_>, spec_id: i32) -> Result<(), PlanError> {
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
        spec_id,
        partition: entry.partition(),
        statistics: entry,
    };
    builder.add(&file).map(drop).map_err(|error| PlanError::Unsupported(error.to_string()))
}
