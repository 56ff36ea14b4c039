//! The sample table's metadata, and the names of its files.

use anyhow::{Context, Result, ensure};
use tidewater_core::document::TableMetadata;
use tidewater_core::location::Location;
use uuid::Uuid;

use super::assets::MONTHS;

/// A sample table on the local disk.
pub(super) struct Table {
    pub(super) metadata: TableMetadata,
    pub(super) uuid: Uuid,
    location: Location,
}

impl Table {
    /// Reads the table's metadata document.
    ///
    /// # Errors
    /// Fails if it is not the metadata of a table of format version 2 on local disk.
    pub(super) fn parse(metadata_json: &[u8]) -> Result<Self> {
        let metadata = TableMetadata::parse(metadata_json).context("the sample table's metadata")?;
        ensure!(metadata.format_version() == 2, "the sample table has format version 2");
        let uuid = metadata.uuid().context("the sample table has no UUID")?.parse()?;
        let location = Location::parse(metadata.location())?;
        ensure!(location.scheme() == "file", "the sample table is written to local disk only");
        Ok(Self { metadata, uuid, location })
    }

    /// Returns the id of a batch's snapshot: positive, and different for each batch of a table.
    pub(super) fn snapshot_id(&self, batch: usize) -> i64 {
        let (high, low) = self.uuid.as_u64_pair();
        ((high ^ low).wrapping_add(batch as u64) & i64::MAX as u64) as i64
    }

    /// Returns the location of a station's data file. `station` is its index in [`MONTHS`].
    pub(super) fn data_file(&self, batch: usize, station: usize) -> String {
        let month = &MONTHS[batch];
        let (name, _) = month.data[station];
        let folder = format!("data/observed_at_month={}/station={name}", month.name);
        self.file(&format!("{folder}/{}-{station:05}.parquet", self.snapshot_id(batch)))
    }

    pub(super) fn manifest(&self, batch: usize) -> String {
        self.file(&format!("metadata/{}-m0.avro", self.snapshot_id(batch)))
    }

    pub(super) fn manifest_list(&self, batch: usize) -> String {
        self.file(&format!("metadata/snap-{}.avro", self.snapshot_id(batch)))
    }

    pub(super) fn statistics(&self) -> String {
        self.file(&format!("metadata/{}.stats", self.snapshot_id(MONTHS.len() - 1)))
    }

    fn file(&self, path: &str) -> String {
        format!("{}/{path}", self.location.as_str())
    }
}

/// Writes a file on local disk. Replaces an existing file.
///
/// # Errors
/// Fails if the location is not on local disk, or the file cannot be written.
pub(super) async fn write(location: &str, content: &[u8]) -> Result<()> {
    let location = Location::parse(location)?;
    let path = std::path::Path::new(location.path());
    if let Some(folder) = path.parent() {
        tokio::fs::create_dir_all(folder)
            .await
            .with_context(|| format!("cannot create folder {}", folder.display()))?;
    }
    tokio::fs::write(path, content).await.with_context(|| format!("cannot write {}", path.display()))
}
