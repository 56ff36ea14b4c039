//! Figures about a table, and what they mean.

use futures_util::stream::{self, StreamExt, TryStreamExt};
use tidewater_core::scan::statistics::FileStatistics;
use tidewater_core::upkeep::{FileFigures, Finding, HealthFigures, findings, target_file_bytes};
use tidewater_manifests::{FileContent, ManifestFile, Status};

use super::Upkeep;
use super::reading::{READS_AT_ONCE, named_manifest, open_list, open_manifest};
use crate::access::action::ShowMaintenance;
use crate::access::{Permit, Table};
use crate::manifests::ManifestError;
use crate::metadata::{Document, MetadataError};

/// The most manifests that are read for one answer. The figures of larger tables are of the first ones.
const MANIFESTS: usize = 500;

/// The health of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableHealth {
    /// The figures.
    pub figures: HealthFigures,
    /// What is worth a look.
    pub findings: Vec<Finding>,
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
    /// Returns the health of a table. Reads its document, its current manifest list and some of its manifests.
    ///
    /// # Errors
    /// `Metadata`; `Manifest`.
    pub async fn health(&self, table: &Permit<ShowMaintenance, Table>) -> Result<TableHealth, HealthError> {
        let document = self.parts.documents.get(&table.warehouse.storage, &table.record.metadata_location).await?;
        let metadata = &document.metadata;
        let manifests = self.current_manifests(table, &document).await?;
        let figures = HealthFigures {
            snapshots: metadata.snapshots().len() as u64,
            oldest_snapshot_ms: metadata.snapshots().iter().map(|snapshot| snapshot.timestamp_ms).min(),
            refs: metadata.refs().len() as u64,
            metadata_bytes: document.json.len() as u64,
            last_commit_ms: metadata.last_updated_ms(),
            manifests: manifests.len() as u64,
            manifest_bytes: manifests.iter().map(|file| u64::try_from(file.length).unwrap_or(0)).sum(),
            files: self.file_figures(table, &document, &manifests).await?,
        };
        Ok(TableHealth { findings: findings(&figures), figures })
    }

    async fn current_manifests(&self, table: &Table, document: &Document) -> Result<Vec<ManifestFile>, HealthError> {
        let Some(current) = document.metadata.current_snapshot_id() else { return Ok(Vec::new()) };
        let ids = std::collections::HashSet::from([current]);
        let Ok(named) = tidewater_core::purge::NamedFiles::of_snapshots(&document.metadata, &ids) else {
            return Ok(Vec::new());
        };
        let mut manifests: Vec<_> = named.manifests.iter().map(|path| named_manifest(path)).collect();
        for list in &named.manifest_lists {
            let found = open_list(&self.parts, &table.warehouse.storage, list).await;
            manifests.extend(found.map_err(|error| HealthError::of_file(list, &error))?);
        }
        Ok(manifests)
    }

    async fn file_figures(
        &self,
        table: &Table,
        document: &Document,
        manifests: &[ManifestFile],
    ) -> Result<FileFigures, HealthError> {
        let target_bytes = target_file_bytes(document.metadata.properties());
        let mut figures = FileFigures { is_partial: manifests.len() > MANIFESTS, ..FileFigures::default() };
        let read = |file: ManifestFile| async move {
            let found = open_manifest(&self.parts, &table.warehouse.storage, &file).await;
            found.map_err(|error| HealthError::of_file(&file.path, &error))
        };
        let some: Vec<ManifestFile> = manifests.iter().take(MANIFESTS).cloned().collect();
        let mut reads = std::pin::pin!(stream::iter(some).map(read).buffer_unordered(READS_AT_ONCE));
        while let Some(manifest) = reads.try_next().await? {
            let Ok(entries) = manifest.entries() else { continue };
            for entry in entries.iter().filter(|entry| entry.status() != Status::Deleted) {
                let bytes = u64::try_from(entry.file_size_bytes()).unwrap_or(0);
                let records = u64::try_from(entry.record_count()).unwrap_or(0);
                match entry.content() {
                    FileContent::Data => figures.add_data_file(bytes, records, target_bytes),
                    content => figures.add_delete_file(content == FileContent::EqualityDeletes, bytes, records),
                }
            }
        }
        Ok(figures)
    }
}
