//! A table's metadata.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{
    EncryptionKey, List, MAIN_BRANCH, MetadataLogEntry, PartitionSpec, PartitionStatistics, Schema, Snapshot,
    SnapshotLogEntry, SnapshotRef, SortOrder, Statistics,
};

/// A table's properties.
pub type Properties = BTreeMap<String, String>;

/// One table metadata document. Cloning shares what is large; a document derived by a commit shares with its base all that
/// the commit did not touch.
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
    /// Fields that are not known, as they came.
    pub(crate) others: Arc<Vec<(String, Box<str>)>>,
    /// Fields that this format version does not use, or that repeat others, as they came; a commit writes them anew.
    pub(crate) legacy: Arc<Vec<(&'static str, Box<str>)>>,
    pub(crate) present: Present,
    /// What was wrong with the document as it was read, and is not part of it any more.
    pub(crate) faults: Arc<[String]>,
    /// What [`TableMetadata::size_bytes`] gives: measured once, where the document is made, since that looks at all of it.
    pub(crate) size_bytes: usize,
}

/// Which optional fields stand in the JSON, so that a document that was read is written as it came. A commit writes them
/// all, as the reference implementation does.
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

/// How `current-snapshot-id` says that there is none. The specification allows each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoSnapshot {
    Absent,
    Null,
    MinusOne,
}

impl Present {
    /// The form of a document that a commit makes.
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

/// `location` without slashes at its end, unless they are all of it that follows the scheme.
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
    /// The format version: 1, 2 or 3.
    #[must_use]
    pub fn format_version(&self) -> u8 {
        self.format_version
    }

    /// The table's own id; old v1 documents have none.
    #[must_use]
    pub fn uuid(&self) -> Option<&str> {
        self.uuid.as_deref()
    }

    /// Where the table's files are put, without a slash at its end.
    #[must_use]
    pub fn location(&self) -> &str {
        strip_trailing_slash(&self.location)
    }

    /// The highest sequence number of any snapshot there ever was.
    #[must_use]
    pub fn last_sequence_number(&self) -> i64 {
        self.last_sequence_number
    }

    /// When the document was made, in milliseconds since 1970.
    #[must_use]
    pub fn last_updated_ms(&self) -> i64 {
        self.last_updated_ms
    }

    /// The highest id that any column ever had.
    #[must_use]
    pub fn last_column_id(&self) -> i32 {
        self.last_column_id
    }

    /// All schemas.
    pub fn schemas(&self) -> impl ExactSizeIterator<Item = &Schema> {
        self.schemas.iter().map(AsRef::as_ref)
    }

    /// The id of the current schema.
    #[must_use]
    pub fn current_schema_id(&self) -> i32 {
        self.current_schema_id
    }

    /// The schema with this id.
    #[must_use]
    pub fn schema(&self, id: i32) -> Option<&Schema> {
        self.schemas().find(|schema| schema.id() == id)
    }

    /// All partition specs.
    pub fn partition_specs(&self) -> impl ExactSizeIterator<Item = &PartitionSpec> {
        self.partition_specs.iter().map(AsRef::as_ref)
    }

    /// The id of the spec that writers use.
    #[must_use]
    pub fn default_spec_id(&self) -> i32 {
        self.default_spec_id
    }

    /// The partition spec with this id.
    #[must_use]
    pub fn partition_spec(&self, id: i32) -> Option<&PartitionSpec> {
        self.partition_specs().find(|spec| spec.id() == id)
    }

    /// The highest id that any partition field ever had; 999 when there was none.
    #[must_use]
    pub fn last_partition_id(&self) -> i32 {
        self.last_partition_id
    }

    /// All sort orders.
    pub fn sort_orders(&self) -> impl ExactSizeIterator<Item = &SortOrder> {
        self.sort_orders.iter().map(AsRef::as_ref)
    }

    /// The id of the order that writers use.
    #[must_use]
    pub fn default_sort_order_id(&self) -> i32 {
        self.default_sort_order_id
    }

    /// The sort order with this id.
    #[must_use]
    pub fn sort_order(&self, id: i32) -> Option<&SortOrder> {
        self.sort_orders().find(|order| order.id() == id)
    }

    /// The table's properties.
    #[must_use]
    pub fn properties(&self) -> &Properties {
        &self.properties
    }

    /// The current snapshot's id.
    #[must_use]
    pub fn current_snapshot_id(&self) -> Option<i64> {
        self.current_snapshot_id
    }

    /// The current snapshot: its view and its JSON.
    #[must_use]
    pub fn current_snapshot(&self) -> Option<super::Element<'_, Snapshot>> {
        self.current_snapshot_id.and_then(|id| self.snapshot(id))
    }

    /// The snapshots, in the order in which they were added.
    #[must_use]
    pub fn snapshots(&self) -> &List<Snapshot> {
        &self.snapshots
    }

    /// The snapshot with this id. Nothing is parsed; ids are compared.
    #[must_use]
    pub fn snapshot(&self, id: i64) -> Option<super::Element<'_, Snapshot>> {
        // The newest are asked for most.
        self.snapshots.iter().rev().find(|snapshot| snapshot.id == id)
    }

    /// Branches and tags by name.
    #[must_use]
    pub fn refs(&self) -> &BTreeMap<String, SnapshotRef> {
        &self.refs
    }

    /// The `main` branch.
    #[must_use]
    pub fn main_branch(&self) -> Option<&SnapshotRef> {
        self.refs.get(MAIN_BRANCH)
    }

    /// Which snapshot was current when, oldest first.
    #[must_use]
    pub fn snapshot_log(&self) -> &List<SnapshotLogEntry> {
        &self.snapshot_log
    }

    /// The documents before this one, oldest first.
    #[must_use]
    pub fn metadata_log(&self) -> &List<MetadataLogEntry> {
        &self.metadata_log
    }

    /// Statistics files.
    #[must_use]
    pub fn statistics(&self) -> &List<Statistics> {
        &self.statistics
    }

    /// Partition statistics files.
    #[must_use]
    pub fn partition_statistics(&self) -> &List<PartitionStatistics> {
        &self.partition_statistics
    }

    /// Encryption keys (v3).
    #[must_use]
    pub fn encryption_keys(&self) -> &List<EncryptionKey> {
        &self.encryption_keys
    }

    /// The row id that the next snapshot starts from (v3; 0 before).
    #[must_use]
    pub fn next_row_id(&self) -> i64 {
        self.next_row_id
    }

    /// An estimate of the memory that the document takes, in bytes, as if it shared nothing with others.
    #[must_use]
    pub const fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// The document with its size.
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
