//! Applies the updates of a commit to a document.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::definitions::Definitions;
use super::keyed::KeyedEdits;
use super::snapshots::{SNAPSHOT_ID, correct_snapshot_log};
use super::{CommitError, Context, TableUpdate};
use crate::document::{
    DEFAULT_FORMAT_VERSION, EncryptionKey, List, MAX_FORMAT_VERSION, MetadataLogEntry, PartitionSpec,
    PartitionStatistics, Present, Snapshot, SortOrder, Statistics, TableMetadata, UNSORTED_ORDER_ID,
    strip_trailing_slash,
};
use crate::stop::Stop;

/// The property that sets the number of earlier documents in the metadata log, and its default.
const PREVIOUS_VERSIONS_MAX: (&str, usize) = ("write.metadata.previous-versions-max", 100);

/// The result of a commit.
#[derive(Debug)]
pub enum Outcome {
    /// No change: the commit succeeds and writes no new document.
    Unchanged,
    /// The new document.
    Changed(Box<TableMetadata>),
}

/// A document during the application of updates.
pub(super) struct Draft {
    pub(super) document: TableMetadata,
    pub(super) now_ms: i64,
    /// Whether the table is new, so that its id may be set.
    pub(super) creating: bool,
    /// Whether a new document is needed. Follows the reference implementation: setting a property to its present value
    /// counts, adding an existing schema does not.
    pub(super) changed: bool,
    /// Whether a schema, spec or order changed, or which one is current, so that they must be checked together.
    pub(super) columns_changed: bool,
    pub(super) last_added_schema: Option<i32>,
    pub(super) last_added_spec: Option<i32>,
    pub(super) last_added_order: Option<i32>,
    pub(super) snapshots: KeyedEdits<i64, Snapshot>,
    pub(super) statistics: KeyedEdits<i64, Statistics>,
    pub(super) partition_statistics: KeyedEdits<i64, PartitionStatistics>,
    pub(super) encryption_keys: KeyedEdits<Box<str>, EncryptionKey>,
    pub(super) definitions: Definitions,
    /// The number of branches and tags at each snapshot.
    pub(super) refs_at: HashMap<i64, usize>,
    pub(super) added_snapshots: HashSet<i64>,
    /// The added snapshots that `main` was set to.
    pub(super) main_was: HashSet<i64>,
    pub(super) main_changed: bool,
    pub(super) snapshots_removed: bool,
}

/// Applies `updates` to `base` and returns the result. `base` stays unchanged.
///
/// # Errors
/// [`CommitError::BadRequest`] if an update breaks a rule; [`CommitError::Conflict`] if a snapshot's sequence number or
/// first row id is behind the table's; [`CommitError::Stopped`].
pub fn apply_updates(
    base: &TableMetadata,
    updates: &[TableUpdate],
    context: &Context<'_>,
) -> Result<Outcome, CommitError> {
    // The clock may be behind the clock of the last writer. Time must not run backwards.
    let now_ms = context.now_ms.max(base.last_updated_ms);
    let mut draft = Draft::new(base.clone(), now_ms, false);
    for update in updates {
        context.stop.check()?;
        draft.apply(update)?;
    }
    if !draft.changed {
        return Ok(Outcome::Unchanged);
    }
    if draft.document.uuid.is_none() {
        draft.document.uuid = Some(context.table_uuid.to_string().into());
    }
    if let Some(location) = context.previous_metadata_location {
        draft.log_previous(base.last_updated_ms, location);
    }
    draft.finish(Some(base), context.stop).map(Box::new).map(Outcome::Changed)
}

/// Creates the first document of a table from updates alone: the commit of a staged create. Without a spec or an order,
/// the table is unpartitioned and unsorted (the reference implementation would fail).
///
/// # Errors
/// Same as [`apply_updates`], and if no update adds a schema.
pub fn create_from_updates(
    updates: &[TableUpdate],
    default_location: &str,
    context: &Context<'_>,
) -> Result<TableMetadata, CommitError> {
    let asked = updates.iter().find_map(|update| match update {
        TableUpdate::UpgradeFormatVersion(version) => Some(*version),
        _ => None,
    });
    let version = check_format_version(asked.unwrap_or(i32::from(DEFAULT_FORMAT_VERSION)))?;
    let mut draft = Draft::new(empty(version, default_location, context), context.now_ms, true);
    for update in updates {
        context.stop.check()?;
        draft.apply(update)?;
    }
    let document = &mut draft.document;
    if document.schemas.is_empty() {
        return Err(CommitError::bad("Cannot create table: no schema was added"));
    }
    if document.partition_specs.is_empty() {
        document.partition_specs.push(Arc::new(PartitionSpec::unpartitioned()?));
        document.last_partition_id = document.partition_specs[0].highest_field_id();
    }
    if document.sort_orders.is_empty() {
        document.sort_orders.push(Arc::new(SortOrder::unsorted()?));
    }
    draft.columns_changed = true;
    draft.finish(None, context.stop)
}

/// Returns the format version if this catalog can write it.
pub(super) fn check_format_version(version: i32) -> Result<u8, CommitError> {
    u8::try_from(version).ok().filter(|version| (1..=MAX_FORMAT_VERSION).contains(version)).ok_or_else(|| {
        CommitError::bad(format!("Unsupported format version: v{version} (supported: v{MAX_FORMAT_VERSION})"))
    })
}

/// Returns an empty document, the start of a new table.
pub(super) fn empty(format_version: u8, location: &str, context: &Context<'_>) -> TableMetadata {
    TableMetadata {
        format_version,
        uuid: Some(context.table_uuid.to_string().into()),
        location: strip_trailing_slash(location).into(),
        last_sequence_number: 0,
        last_updated_ms: context.now_ms,
        last_column_id: 0,
        schemas: Vec::new(),
        current_schema_id: 0,
        partition_specs: Vec::new(),
        default_spec_id: 0,
        last_partition_id: 0,
        sort_orders: Vec::new(),
        default_sort_order_id: UNSORTED_ORDER_ID,
        properties: Arc::default(),
        current_snapshot_id: None,
        refs: Arc::new(BTreeMap::new()),
        snapshots: List::default(),
        snapshot_log: List::default(),
        metadata_log: List::default(),
        statistics: List::default(),
        partition_statistics: List::default(),
        encryption_keys: List::default(),
        next_row_id: 0,
        others: Arc::default(),
        legacy: Arc::default(),
        present: Present::committed(format_version),
        faults: Arc::default(),
        size_bytes: 0,
    }
}

impl Draft {
    pub(super) fn new(document: TableMetadata, now_ms: i64, creating: bool) -> Self {
        let mut refs_at = HashMap::new();
        for reference in document.refs.values() {
            *refs_at.entry(reference.snapshot_id).or_default() += 1;
        }
        Self {
            document,
            snapshots: KeyedEdits::new(SNAPSHOT_ID),
            statistics: KeyedEdits::new(|file| file.snapshot_id),
            partition_statistics: KeyedEdits::new(|file| file.snapshot_id),
            encryption_keys: KeyedEdits::new(|key| key.id.clone()),
            definitions: Definitions::default(),
            refs_at,
            now_ms,
            creating,
            changed: false,
            columns_changed: false,
            last_added_schema: None,
            last_added_spec: None,
            last_added_order: None,
            added_snapshots: HashSet::new(),
            main_was: HashSet::new(),
            main_changed: false,
            snapshots_removed: false,
        }
    }

    fn apply(&mut self, update: &TableUpdate) -> Result<(), CommitError> {
        match update {
            TableUpdate::AssignUuid(uuid) => self.assign_uuid(*uuid),
            TableUpdate::UpgradeFormatVersion(version) => self.upgrade_format_version(*version),
            TableUpdate::AddSchema(schema) => self.add_schema(schema),
            TableUpdate::SetCurrentSchema(id) => self.set_current_schema(*id),
            TableUpdate::RemoveSchemas(ids) => self.remove_schemas(ids),
            TableUpdate::AddSpec(spec) => self.add_spec(spec),
            TableUpdate::SetDefaultSpec(id) => self.set_default_spec(*id),
            TableUpdate::RemovePartitionSpecs(ids) => self.remove_specs(ids),
            TableUpdate::AddSortOrder(order) => self.add_sort_order(order),
            TableUpdate::SetDefaultSortOrder(id) => self.set_default_sort_order(*id),
            TableUpdate::AddSnapshot { snapshot, json } => self.add_snapshot(snapshot, json),
            TableUpdate::SetSnapshotRef { name, reference } => self.set_ref(name, reference),
            TableUpdate::RemoveSnapshots(ids) => {
                self.remove_snapshots(ids);
                Ok(())
            }
            TableUpdate::RemoveSnapshotRef(name) => {
                self.remove_ref(name);
                Ok(())
            }
            TableUpdate::SetLocation(location) => self.set_location(location),
            TableUpdate::SetProperties(updates) => {
                self.set_properties(updates);
                Ok(())
            }
            TableUpdate::RemoveProperties(removals) => {
                self.remove_properties(removals);
                Ok(())
            }
            _ => self.apply_to_files(update),
        }
    }

    fn apply_to_files(&mut self, update: &TableUpdate) -> Result<(), CommitError> {
        match update {
            TableUpdate::SetStatistics { statistics, json } => return self.set_statistics(*statistics, json),
            TableUpdate::RemoveStatistics(snapshot_id) => self.remove_statistics(*snapshot_id),
            TableUpdate::SetPartitionStatistics { statistics, json } => {
                self.set_partition_statistics(*statistics, json);
            }
            TableUpdate::RemovePartitionStatistics(snapshot_id) => self.remove_partition_statistics(*snapshot_id),
            TableUpdate::AddEncryptionKey { key, json } => return self.add_encryption_key(key, json),
            TableUpdate::RemoveEncryptionKey(id) => self.remove_encryption_key(id),
            _ => {}
        }
        Ok(())
    }

    /// Adds the replaced document to the metadata log. A property limits the length of the log.
    fn log_previous(&mut self, timestamp_ms: i64, location: &str) {
        let (property, default) = PREVIOUS_VERSIONS_MAX;
        // A value that is not a number must not block every commit, since one of them may correct it.
        let max = self.document.properties.get(property).and_then(|value| value.parse::<i64>().ok());
        let max = max.map_or(default, |max| usize::try_from(max.max(1)).unwrap_or(usize::MAX));
        let log = &mut self.document.metadata_log;
        let mut excess = (log.len() + 1).saturating_sub(max);
        log.retain(|_| {
            let keep = excess == 0;
            excess = excess.saturating_sub(1);
            keep
        });
        let entry = MetadataLogEntry { timestamp_ms, metadata_file: location.into() };
        let json = entry.json();
        log.push(entry, &json);
    }

    /// Checks the document as a whole, and writes the fields that every commit writes. `base` is the replaced document: its
    /// own problems do not fail the commit.
    pub(super) fn finish(mut self, base: Option<&TableMetadata>, stop: Stop<'_>) -> Result<TableMetadata, CommitError> {
        stop.check()?;
        // From v2 on, all readers need the ids of partition fields; some readers need them in v1.
        for spec in self.document.partition_specs.iter_mut().filter(|spec| spec.ids_missing()) {
            *spec = Arc::new(spec.with_ids_written()?);
        }
        if self.columns_changed {
            self.check_columns(base)?;
        }
        stop.check()?;
        self.apply_snapshots();
        let document = &mut self.document;
        self.statistics.apply(&mut document.statistics);
        self.partition_statistics.apply(&mut document.partition_statistics);
        self.encryption_keys.apply(&mut document.encryption_keys);
        correct_snapshot_log(document, &self.main_was, self.snapshots_removed)?;
        stop.check()?;
        let mut document = self.document;
        document.last_updated_ms = self.now_ms;
        document.legacy = Arc::default();
        document.faults = Arc::default();
        document.present = Present::committed(document.format_version);
        document.check()?;
        if document.location().is_empty() {
            return Err(CommitError::bad("Table location must not be empty"));
        }
        Ok(document.measured())
    }

    /// Checks that the current schema, the default spec and the default order exist and fit together, and that readers can
    /// read all others. Raises the last assigned ids to the highest id in use, so that no id is assigned twice.
    fn check_columns(&mut self, base: Option<&TableMetadata>) -> Result<(), CommitError> {
        let document = &mut self.document;
        let highest = document.schemas.iter().map(|schema| schema.highest_field_id()).max();
        document.last_column_id = document.last_column_id.max(highest.unwrap_or_default());
        let highest = document.partition_specs.iter().map(|spec| spec.highest_field_id()).max();
        document.last_partition_id = document.last_partition_id.max(highest.unwrap_or_default());
        let problems = document.column_problems();
        if problems.is_empty() {
            return Ok(());
        }
        let known = base.map(TableMetadata::column_problems).unwrap_or_default();
        match problems.into_iter().find(|problem| !known.contains(problem)) {
            Some(problem) => Err(CommitError::bad(problem)),
            None => Ok(()),
        }
    }
}
