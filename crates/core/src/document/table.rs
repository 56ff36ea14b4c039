//! The metadata of a table.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{
    EncryptionKey, List, MAIN_BRANCH, MetadataLogEntry, PartitionSpec, PartitionStatistics, Schema, Snapshot,
    SnapshotLogEntry, SnapshotRef, SortOrder, Statistics,
};

/// A table's properties.
pub type Properties = BTreeMap<String, String>;

/// A table metadata document. Clones share their large parts, and a commit's document shares all unchanged parts with its
/// base.
#[derive(Debug, Clone)]
pub struct TableMetadata {
    pub(crate) format_version: u8,
    pub(crate) uuid: Option<Arc<str>>,
    pub(crate) location: Arc<str>,
    pub(crate) last_sequence_number: i64,
    pub(crate) last_updated_ms: i64,
    pub(crate) last_column_id: i32,
    pub(crate) schemas: Vec<Arc<Schema>>,
    pub(crate) current_schema_id: i32,
    pub(crate) partition_specs: Vec<Arc<PartitionSpec>>,
    pub(crate) default_spec_id: i32,
    pub(crate) last_partition_id: i32,
    pub(crate) sort_orders: Vec<Arc<SortOrder>>,
    pub(crate) default_sort_order_id: i32,
    pub(crate) properties: Arc<Properties>,
    pub(crate) current_snapshot_id: Option<i64>,
    pub(crate) refs: Arc<BTreeMap<String, SnapshotRef>>,
    pub(crate) snapshots: List<Snapshot>,
    pub(crate) snapshot_log: List<SnapshotLogEntry>,
    pub(crate) metadata_log: List<MetadataLogEntry>,
    pub(crate) statistics: List<Statistics>,
    pub(crate) partition_statistics: List<PartitionStatistics>,
    pub(crate) encryption_keys: List<EncryptionKey>,
    pub(crate) next_row_id: i64,
    /// Unknown fields, unchanged.
    pub(crate) others: Arc<Vec<(String, Box<str>)>>,
    /// Fields that this format version does not use, or that repeat others, unchanged. A commit rewrites them.
    pub(crate) legacy: Arc<Vec<(&'static str, Box<str>)>>,
    pub(crate) present: Present,
    /// Faults of the text that parsing removed.
    pub(crate) faults: Arc<[String]>,
    /// The result of [`TableMetadata::size_bytes`], measured once when the document is made, since that reads all of it.
    pub(crate) size_bytes: usize,
}

/// Which optional fields the JSON has, so that an unchanged document is written as it was read. A commit writes all of
/// them, as the reference implementation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Present {
    pub(crate) schemas: bool,
    pub(crate) partition_specs: bool,
    pub(crate) last_partition_id: bool,
    pub(crate) sort_orders: bool,
    pub(crate) properties: bool,
    pub(crate) current_snapshot_id: NoSnapshot,
    pub(crate) refs: bool,
    pub(crate) snapshots: bool,
    pub(crate) snapshot_log: bool,
    pub(crate) metadata_log: bool,
    pub(crate) statistics: bool,
    pub(crate) partition_statistics: bool,
    pub(crate) encryption_keys: bool,
}

/// The value of `current-snapshot-id` without a current snapshot. The specification allows each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoSnapshot {
    Absent,
    Null,
    MinusOne,
}

impl Present {
    /// Returns the form of a document after a commit.
    pub(crate) fn committed(format_version: u8) -> Self {
        Self {
            schemas: true,
            partition_specs: true,
            last_partition_id: true,
            sort_orders: true,
            properties: true,
            current_snapshot_id: if format_version >= 3 { NoSnapshot::Null } else { NoSnapshot::MinusOne },
            refs: true,
            snapshots: true,
            snapshot_log: true,
            metadata_log: true,
            statistics: true,
            partition_statistics: true,
            encryption_keys: false,
        }
    }
}

/// Removes trailing slashes from `location`, unless the scheme is followed only by slashes.
pub(crate) fn strip_trailing_slash(location: &str) -> &str {
    let mut rest = location;
    while let Some(shorter) = rest.strip_suffix('/') {
        if rest.ends_with("://") {
            break;
        }
        rest = shorter;
    }
    rest
}

impl TableMetadata {
    /// Returns the format version: 1, 2 or 3.
    #[must_use]
    pub fn format_version(&self) -> u8 {
        self.format_version
    }

    /// Returns the table's UUID. Old v1 documents have none.
    #[must_use]
    pub fn uuid(&self) -> Option<&str> {
        self.uuid.as_deref()
    }

    /// Returns the location of the table's files, without a trailing slash.
    #[must_use]
    pub fn location(&self) -> &str {
        strip_trailing_slash(&self.location)
    }

    /// Returns the highest sequence number of all snapshots, including removed ones.
    #[must_use]
    pub fn last_sequence_number(&self) -> i64 {
        self.last_sequence_number
    }

    /// Returns the time of the document, in milliseconds since 1970.
    #[must_use]
    pub fn last_updated_ms(&self) -> i64 {
        self.last_updated_ms
    }

    /// Returns the highest id of all columns, including removed ones.
    #[must_use]
    pub fn last_column_id(&self) -> i32 {
        self.last_column_id
    }

    /// Returns all schemas.
    pub fn schemas(&self) -> impl ExactSizeIterator<Item = &Schema> {
        self.schemas.iter().map(AsRef::as_ref)
    }

    /// Returns the id of the current schema.
    #[must_use]
    pub fn current_schema_id(&self) -> i32 {
        self.current_schema_id
    }

    /// Returns the schema with this id.
    #[must_use]
    pub fn schema(&self, id: i32) -> Option<&Schema> {
        self.schemas().find(|schema| schema.id() == id)
    }

    /// Returns all partition specs.
    pub fn partition_specs(&self) -> impl ExactSizeIterator<Item = &PartitionSpec> {
        self.partition_specs.iter().map(AsRef::as_ref)
    }

    /// Returns the id of the default spec, which writers use.
    #[must_use]
    pub fn default_spec_id(&self) -> i32 {
        self.default_spec_id
    }

    /// Returns the partition spec with this id.
    #[must_use]
    pub fn partition_spec(&self, id: i32) -> Option<&PartitionSpec> {
        self.partition_specs().find(|spec| spec.id() == id)
    }

    /// Returns the highest id of all partition fields, including removed ones; 999 if there was none.
    #[must_use]
    pub fn last_partition_id(&self) -> i32 {
        self.last_partition_id
    }

    /// Returns all sort orders.
    pub fn sort_orders(&self) -> impl ExactSizeIterator<Item = &SortOrder> {
        self.sort_orders.iter().map(AsRef::as_ref)
    }

    /// Returns the id of the default order, which writers use.
    #[must_use]
    pub fn default_sort_order_id(&self) -> i32 {
        self.default_sort_order_id
    }

    /// Returns the sort order with this id.
    #[must_use]
    pub fn sort_order(&self, id: i32) -> Option<&SortOrder> {
        self.sort_orders().find(|order| order.id() == id)
    }

    /// Returns the table's properties.
    #[must_use]
    pub fn properties(&self) -> &Properties {
        &self.properties
    }

    /// Returns the current snapshot's id.
    #[must_use]
    pub fn current_snapshot_id(&self) -> Option<i64> {
        self.current_snapshot_id
    }

    /// Returns the current snapshot: its view and its JSON.
    #[must_use]
    pub fn current_snapshot(&self) -> Option<super::Element<'_, Snapshot>> {
        self.current_snapshot_id.and_then(|id| self.snapshot(id))
    }

    /// Returns the snapshots, in the order in which they were added.
    #[must_use]
    pub fn snapshots(&self) -> &List<Snapshot> {
        &self.snapshots
    }

    /// Returns the snapshot with this id. Compares ids only, and parses nothing.
    #[must_use]
    pub fn snapshot(&self, id: i64) -> Option<super::Element<'_, Snapshot>> {
        // Lookups mostly ask for the newest snapshots.
        self.snapshots.iter().rev().find(|snapshot| snapshot.id == id)
    }

    /// Returns branches and tags by name.
    #[must_use]
    pub fn refs(&self) -> &BTreeMap<String, SnapshotRef> {
        &self.refs
    }

    /// Returns the `main` branch.
    #[must_use]
    pub fn main_branch(&self) -> Option<&SnapshotRef> {
        self.refs.get(MAIN_BRANCH)
    }

    /// Returns the log of current snapshots, oldest first.
    #[must_use]
    pub fn snapshot_log(&self) -> &List<SnapshotLogEntry> {
        &self.snapshot_log
    }

    /// Returns the log of earlier documents, oldest first.
    #[must_use]
    pub fn metadata_log(&self) -> &List<MetadataLogEntry> {
        &self.metadata_log
    }

    /// Returns the statistics files.
    #[must_use]
    pub fn statistics(&self) -> &List<Statistics> {
        &self.statistics
    }

    /// Returns the partition statistics files.
    #[must_use]
    pub fn partition_statistics(&self) -> &List<PartitionStatistics> {
        &self.partition_statistics
    }

    /// Returns the encryption keys (v3).
    #[must_use]
    pub fn encryption_keys(&self) -> &List<EncryptionKey> {
        &self.encryption_keys
    }

    /// Returns the first row id of the next snapshot (v3; 0 before).
    #[must_use]
    pub fn next_row_id(&self) -> i64 {
        self.next_row_id
    }

    /// Returns an estimate of the document's memory, in bytes, as if it shared nothing.
    #[must_use]
    pub const fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// Returns the document with its measured size.
    pub(crate) fn measured(mut self) -> Self {
        self.size_bytes = self.measure();
        self
    }

    fn measure(&self) -> usize {
        const MAP_ENTRY: usize = 64;
        let schemas: usize = self.schemas().map(Schema::size_bytes).sum();
        let specs: usize = self.partition_specs().map(PartitionSpec::size_bytes).sum();
        let orders: usize = self.sort_orders().map(SortOrder::size_bytes).sum();
        let properties: usize = self.properties.iter().map(|(key, value)| key.len() + value.len() + MAP_ENTRY).sum();
        let refs: usize = self.refs.iter().map(|(name, one)| name.len() + one.size_bytes() + MAP_ENTRY).sum();
        let lists = self.snapshots.size_bytes()
            + self.snapshot_log.size_bytes()
            + self.metadata_log.size_bytes()
            + self.metadata_log.iter().map(|entry| entry.metadata_file.len()).sum::<usize>()
            + self.statistics.size_bytes()
            + self.partition_statistics.size_bytes()
            + self.encryption_keys.size_bytes();
        let others: usize = self.others.iter().map(|(key, value)| key.len() + value.len() + MAP_ENTRY).sum();
        let legacy: usize = self.legacy.iter().map(|(_, value)| value.len() + MAP_ENTRY).sum();
        size_of::<Self>() + self.location.len() + schemas + specs + orders + properties + refs + lists + others + legacy
    }
}
