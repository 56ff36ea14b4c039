//! Figures about a table, and what they mean.

use std::collections::HashMap;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use tidewater_core::document::TableMetadata;
use tidewater_core::scan::partition::field_types;
use tidewater_core::scan::statistics::{FileStatistics, Partition};
use tidewater_core::scan::value::ValueType;
use tidewater_core::upkeep::{
    FileFigures, Finding, HealthFigures, MaintenancePolicy, PartitionCounts, PartitionFigures, PartitionSummary,
    SizeClass, SizeHistogram, findings, partition_texts, small_bytes, target_file_bytes,
};
use tidewater_manifests::{Entries, Entry, FileContent, ManifestFile, Status};

use super::Upkeep;
use super::parts::Parts;
use super::reading::{READS_AT_ONCE, named_manifest, open_list, open_manifest};
use crate::access::action::ShowMaintenance;
use crate::access::{Permit, Table};
use crate::manifests::ManifestError;
use crate::metadata::{Document, MetadataError};
use crate::store::StoreError;

/// The most manifests that are read for one answer. The figures of larger tables are of the first ones.
const MANIFESTS: usize = 500;

/// The health of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableHealth {
    /// The figures.
    pub figures: HealthFigures,
    /// How many manifests were read for the figures of files.
    pub manifests_read: u64,
    /// The data files by size, the smallest first.
    pub sizes: Vec<SizeClass>,
    /// The files by partition, if they were asked for.
    pub partitions: Option<PartitionsHealth>,
    /// What is worth a look.
    pub findings: Vec<Finding>,
}

/// The files of a table by partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionsHealth {
    /// How many partitions were told apart.
    pub counted: u64,
    /// Whether there are more, whose files were not counted here.
    pub is_partial: bool,
    /// Those with the most bytes of data, the largest first, with the names of their fields.
    pub largest: Vec<(PartitionSummary, Vec<String>)>,
}

/// Why the health of a table cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// The table's document.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// A manifest or manifest list cannot be read now.
    #[error("{0}")]
    Unavailable(String),
    /// A manifest or manifest list is missing, or is not one.
    #[error("{0}")]
    Unreadable(String),
    /// The store does not answer, or not with policies.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl HealthError {
    fn of_file(file: &str, error: &ManifestError) -> Self {
        let shown: String = file.chars().take(300).collect();
        match error {
            ManifestError::Unavailable(_) => Self::Unavailable(format!("{shown} cannot be read now: {error}")),
            error => Self::Unreadable(format!("{shown} {error}, so the health of the table is not known")),
        }
    }
}

impl Upkeep {
    /// Returns the health of a table. Reads its document, its current manifest list and some of its manifests. `with_partitions` counts
    /// files by partition too. The values of partitions are data of the table.
    ///
    /// # Errors
    /// `Metadata`; `Unavailable` or `Unreadable` for a manifest or manifest list; `Store` for its policy.
    pub async fn health(
        &self,
        table: &Permit<ShowMaintenance, Table>,
        with_partitions: bool,
    ) -> Result<TableHealth, HealthError> {
        let document = self.parts.documents.get(&table.warehouse.storage, &table.record.metadata_location).await?;
        let policy = self.policy_of(table, &document.metadata).await?;
        read_health(&self.parts, table, &document, &policy, with_partitions).await
    }

    /// Returns the policy of a table. Properties that are not a policy count as none: a run says what is wrong with them.
    async fn policy_of(&self, table: &Table, metadata: &TableMetadata) -> Result<MaintenancePolicy, HealthError> {
        let place = table.warehouse.warehouse_ref;
        let policies = self.policies(place.organisation).await?;
        let policy = policies.of_table(place.warehouse, &table.ident, table.record.id);
        let properties = MaintenancePolicy::from_properties(metadata.properties()).unwrap_or_default();
        Ok(policy.own.within(&properties).within(&policy.outer))
    }
}

/// Reads the health of a table with this document and policy.
pub(super) async fn read_health(
    parts: &Parts,
    table: &Table,
    document: &Document,
    policy: &MaintenancePolicy,
    with_partitions: bool,
) -> Result<TableHealth, HealthError> {
    let metadata = &document.metadata;
    let manifests = current_manifests(parts, table, document).await?;
    let mut counts = FileCounts::new(metadata);
    counts.files.is_partial = manifests.len() > MANIFESTS;
    count_files(parts, table, &manifests, &mut counts).await?;
    let min_input_files = policy.min_input_files();
    counts.files.compactable_files = counts.partitions.compactable_files(counts.target_bytes, min_input_files);
    let figures = HealthFigures {
        snapshots: metadata.snapshots().len() as u64,
        oldest_snapshot_ms: metadata.snapshots().iter().map(|snapshot| snapshot.timestamp_ms).min(),
        refs: metadata.refs().len() as u64,
        metadata_bytes: document.json.len() as u64,
        last_commit_ms: metadata.last_updated_ms(),
        manifests: manifests.len() as u64,
        manifest_bytes: manifests.iter().map(|file| u64::try_from(file.length).unwrap_or(0)).sum(),
        files: counts.files,
    };
    Ok(TableHealth {
        findings: findings(&figures),
        figures,
        manifests_read: manifests.len().min(MANIFESTS) as u64,
        sizes: counts.sizes.classes(),
        partitions: with_partitions.then(|| partitions_health(metadata, &counts.partitions)),
    })
}

async fn current_manifests(
    parts: &Parts,
    table: &Table,
    document: &Document,
) -> Result<Vec<ManifestFile>, HealthError> {
    let Some(current) = document.metadata.current_snapshot_id() else { return Ok(Vec::new()) };
    let ids = std::collections::HashSet::from([current]);
    let Ok(named) = tidewater_core::purge::NamedFiles::of_snapshots(&document.metadata, &ids) else {
        return Ok(Vec::new());
    };
    let mut manifests: Vec<_> = named.manifests.iter().map(|path| named_manifest(path)).collect();
    for list in &named.manifest_lists {
        let found = open_list(parts, &table.warehouse.storage, list).await;
        manifests.extend(found.map_err(|error| HealthError::of_file(list, &error))?);
    }
    Ok(manifests)
}

async fn count_files(
    parts: &Parts,
    table: &Table,
    manifests: &[ManifestFile],
    counts: &mut FileCounts<'_>,
) -> Result<(), HealthError> {
    let read = |file: ManifestFile| async move {
        let found = open_manifest(parts, &table.warehouse.storage, &file).await;
        let found = found.map_err(|error| HealthError::of_file(&file.path, &error))?;
        Ok::<_, HealthError>((file.spec_id, found))
    };
    let some: Vec<ManifestFile> = manifests.iter().take(MANIFESTS).cloned().collect();
    let mut reads = std::pin::pin!(stream::iter(some).map(read).buffer_unordered(READS_AT_ONCE));
    while let Some((spec_id, manifest)) = reads.try_next().await? {
        if let Ok(entries) = manifest.entries() {
            counts.add_manifest(&entries, spec_id);
        }
    }
    Ok(())
}

/// The files of the manifests that were read so far.
struct FileCounts<'m> {
    metadata: &'m TableMetadata,
    target_bytes: u64,
    files: FileFigures,
    sizes: SizeHistogram,
    partitions: PartitionCounts,
    /// The types of the fields of each partition spec.
    types: HashMap<i32, Vec<Option<ValueType>>>,
}

impl<'m> FileCounts<'m> {
    fn new(metadata: &'m TableMetadata) -> Self {
        Self {
            metadata,
            target_bytes: target_file_bytes(metadata.properties()),
            files: FileFigures::default(),
            sizes: SizeHistogram::default(),
            partitions: PartitionCounts::default(),
            types: HashMap::new(),
        }
    }

    fn add_manifest(&mut self, entries: &Entries<'_>, spec_id: i32) {
        let mut of_manifest: HashMap<u32, (PartitionFigures, &Partition)> = HashMap::new();
        for entry in entries.iter().filter(|entry| entry.status() != Status::Deleted) {
            let figures = self.add_file(&entry);
            let (sum, _) = of_manifest
                .entry(entry.partition_index())
                .or_insert_with(|| (PartitionFigures::default(), entry.partition()));
            sum.add(&figures);
        }
        for (figures, partition) in of_manifest.into_values() {
            self.add_partition(spec_id, partition, &figures);
        }
    }

    fn add_file(&mut self, entry: &Entry<'_>) -> PartitionFigures {
        let bytes = u64::try_from(entry.file_size_bytes()).unwrap_or(0);
        let records = u64::try_from(entry.record_count()).unwrap_or(0);
        match entry.content() {
            FileContent::Data => {
                self.files.add_data_file(bytes, records, self.target_bytes);
                self.sizes.add(bytes);
                let is_small = bytes < small_bytes(self.target_bytes);
                PartitionFigures {
                    data_files: 1,
                    data_bytes: bytes,
                    data_records: records,
                    small_files: u64::from(is_small),
                    small_bytes: if is_small { bytes } else { 0 },
                    ..PartitionFigures::default()
                }
            }
            content => {
                self.files.add_delete_file(content == FileContent::EqualityDeletes, bytes, records);
                PartitionFigures { delete_files: 1, ..PartitionFigures::default() }
            }
        }
    }

    fn add_partition(&mut self, spec_id: i32, partition: &Partition, figures: &PartitionFigures) {
        let metadata = self.metadata;
        let Some(spec) = metadata.partition_specs().find(|spec| spec.id() == spec_id) else { return };
        let types = self.types.entry(spec_id).or_insert_with(|| {
            let schema = metadata.schema(metadata.current_schema_id());
            let index = schema.and_then(|schema| schema.index().ok());
            index.map(|index| field_types(spec, &index)).unwrap_or_default()
        });
        self.partitions.add(spec_id, partition_texts(spec, types, partition), figures);
    }
}

/// Returns the largest partitions, with the names of their fields.
fn partitions_health(metadata: &TableMetadata, counts: &PartitionCounts) -> PartitionsHealth {
    let names = |spec_id: i32| {
        let spec = metadata.partition_specs().find(|spec| spec.id() == spec_id);
        spec.into_iter().flat_map(|spec| spec.fields().iter().map(|field| field.name.clone())).collect()
    };
    PartitionsHealth {
        counted: counts.len() as u64,
        is_partial: counts.is_partial(),
        largest: counts.largest().into_iter().map(|one| (one.clone(), names(one.spec_id))).collect(),
    }
}
