//! Parses a table metadata document, and checks that it is consistent.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::json::{Object, array};
use super::table::NoSnapshot;
use super::{
    DocumentError, EncryptionKey, List, MAIN_BRANCH, MAX_FORMAT_VERSION, MetadataLogEntry, NO_SNAPSHOT_ID,
    PartitionSpec, PartitionStatistics, Present, Schema, Snapshot, SnapshotLogEntry, SnapshotRef, SortOrder,
    Statistics, TableMetadata, UNSORTED_ORDER_ID,
};

/// How far the clocks of writers may differ, in milliseconds: increasing times may fall by this much.
const CLOCK_TOLERANCE_MS: i64 = 60_000;

const KNOWN: [&str; 25] = [
    "format-version",
    "table-uuid",
    "location",
    "last-sequence-number",
    "last-updated-ms",
    "last-column-id",
    "schema",
    "schemas",
    "current-schema-id",
    "partition-spec",
    "partition-specs",
    "default-spec-id",
    "last-partition-id",
    "default-sort-order-id",
    "sort-orders",
    "properties",
    "current-snapshot-id",
    "next-row-id",
    "refs",
    "encryption-keys",
    "snapshots",
    "statistics",
    "partition-statistics",
    "snapshot-log",
    "metadata-log",
];

impl TableMetadata {
    /// Parses a document of format v1, v2 or v3.
    ///
    /// # Errors
    /// Fails if it is not JSON in UTF-8, is of another version, lacks a field that its version requires, or contradicts itself: an
    /// id without an object, or used twice, or a branch or log that does not fit the snapshots. [`TableMetadata::problems`]
    /// reports all other problems, so that existing tables stay readable.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| DocumentError::Syntax(format!("table metadata is not UTF-8: {error}")))?;
        let object = Object::parse("table metadata", text)?;
        let version = object.i32("format-version")?;
        let format_version = u8::try_from(version)
            .ok()
            .filter(|version| (1..=MAX_FORMAT_VERSION).contains(version))
            .ok_or(DocumentError::UnsupportedVersion(version))?;
        let reader = Reader { object, format_version };
        let mut document = reader.read()?;
        document.let_go_of_missing_snapshots()?;
        document.check()?;
        Ok(document.measured())
    }

    /// Ignores branches and tags whose snapshot is missing. If only one of the current snapshot and the `main` branch is
    /// missing, takes the other for it. Catalogs that did not check wrote such documents, among them early versions of this
    /// one, and they must stay readable. [`TableMetadata::problems`] reports them.
    fn let_go_of_missing_snapshots(&mut self) -> Result<(), DocumentError> {
        let ids: HashSet<i64> = self.snapshots.iter().map(|snapshot| snapshot.id).collect();
        let current = self.current_snapshot_id.filter(|id| !ids.contains(id));
        let missing = self.refs.iter().filter(|(_, one)| !ids.contains(&one.snapshot_id));
        let missing: Vec<(String, i64)> = missing.map(|(name, one)| (name.clone(), one.snapshot_id)).collect();
        if current.is_none() && missing.is_empty() {
            return Ok(());
        }
        let mut faults: Vec<String> =
            current.iter().map(|id| format!("current-snapshot-id {id} is not among the snapshots")).collect();
        let refs = Arc::make_mut(&mut self.refs);
        for (name, snapshot_id) in missing {
            refs.remove(&name);
            // The document may omit a `main` branch at the current snapshot.
            if name != MAIN_BRANCH || current != Some(snapshot_id) {
                faults.push(format!("Snapshot for reference {name} is not among the snapshots: {snapshot_id}"));
            }
        }
        if current.is_some() {
            self.current_snapshot_id = refs.get(MAIN_BRANCH).map(|main| main.snapshot_id);
        } else if let (Some(id), false) = (self.current_snapshot_id, refs.contains_key(MAIN_BRANCH)) {
            refs.insert(MAIN_BRANCH.to_owned(), SnapshotRef::branch(id)?);
        }
        self.faults = faults.into();
        Ok(())
    }

    /// Checks the rules between the parts of a document that it needs to be read again.
    pub(crate) fn check(&self) -> Result<(), DocumentError> {
        let mut ids = HashSet::with_capacity(self.snapshots.len());
        for snapshot in self.snapshots.iter() {
            if snapshot.sequence_number > self.last_sequence_number {
                return Err(DocumentError::invalid(format!(
                    "Invalid snapshot with sequence number {} greater than last sequence number {}",
                    snapshot.sequence_number, self.last_sequence_number
                )));
            }
            if !ids.insert(snapshot.id) {
                return Err(DocumentError::invalid(format!("Snapshot {} appears twice", snapshot.id)));
            }
        }
        for (name, one) in self.refs.iter() {
            if !ids.contains(&one.snapshot_id) {
                return Err(DocumentError::invalid(format!(
                    "Snapshot for reference {name} does not exist in the existing snapshots list: {}",
                    one.snapshot_id
                )));
            }
        }
        match (self.current_snapshot_id, self.main_branch()) {
            (Some(current), _) if !ids.contains(&current) => {
                return Err(DocumentError::invalid("Invalid table metadata: Cannot find current version"));
            }
            (Some(current), Some(main)) if main.snapshot_id != current => {
                return Err(DocumentError::invalid(format!(
                    "Current snapshot ID does not match main branch ({current} != {})",
                    main.snapshot_id
                )));
            }
            (None, Some(_)) => {
                return Err(DocumentError::invalid("Current snapshot is not set, but main branch exists"));
            }
            _ => {}
        }
        let snapshots = self.snapshot_log.iter().map(|entry| entry.timestamp_ms);
        check_times("snapshot log", snapshots, self.last_updated_ms)?;
        let documents = self.metadata_log.iter().map(|entry| entry.timestamp_ms);
        check_times("metadata log", documents, self.last_updated_ms)
    }
}

/// Checks that the times of a log increase, and end before the document's own. Clocks may differ by a minute.
fn check_times(what: &str, times: impl Iterator<Item = i64>, last_updated_ms: i64) -> Result<(), DocumentError> {
    let mut last = None;
    for time in times {
        if last.is_some_and(|last: i64| is_before(time, last)) {
            return Err(DocumentError::invalid(format!("Expected sorted {what} entries")));
        }
        last = Some(time);
    }
    match last {
        Some(last) if is_before(last_updated_ms, last) => Err(DocumentError::invalid(format!(
            "Invalid update timestamp {last_updated_ms}: before last {what} entry at {last}"
        ))),
        _ => Ok(()),
    }
}

/// Returns whether a time lies before another by more than clocks may differ. Also true if the distance overflows, since
/// readers then compute a negative one.
fn is_before(time: i64, other: i64) -> bool {
    time.checked_sub(other).is_none_or(|distance| distance < -CLOCK_TOLERANCE_MS)
}

/// Parses an element of a list: returns its view, and the text to keep.
type ReadElement<T> = for<'t> fn(&'t str) -> Result<(T, Cow<'t, str>), DocumentError>;

struct Reader<'a> {
    object: Object<'a>,
    format_version: u8,
}

impl Reader<'_> {
    fn read(&self) -> Result<TableMetadata, DocumentError> {
        let object = &self.object;
        let uuid = object.optional_string("table-uuid")?;
        if self.format_version > 1 && uuid.is_none() {
            return Err(self.missing("table-uuid"));
        }
        let (schemas, current_schema_id) = self.schemas()?;
        let (partition_specs, default_spec_id) = self.partition_specs()?;
        let (sort_orders, default_sort_order_id) = self.sort_orders()?;
        let last_partition_id = match object.optional_i32("last-partition-id")? {
            Some(id) => id,
            None if self.format_version > 1 => return Err(self.missing("last-partition-id")),
            None => partition_specs.iter().map(|spec| spec.highest_field_id()).max().unwrap_or(0),
        };
        let current_snapshot_id = object.optional_i64("current-snapshot-id")?.filter(|id| *id != NO_SNAPSHOT_ID);
        Ok(TableMetadata {
            format_version: self.format_version,
            uuid: uuid.map(Into::into),
            location: object.string("location")?.into(),
            last_sequence_number: if self.format_version > 1 { object.i64("last-sequence-number")? } else { 0 },
            last_updated_ms: object.i64("last-updated-ms")?,
            last_column_id: object.i32("last-column-id")?,
            schemas,
            current_schema_id,
            partition_specs,
            default_spec_id,
            last_partition_id,
            sort_orders,
            default_sort_order_id,
            properties: Arc::new(object.optional_read("properties", "a map of strings")?.unwrap_or_default()),
            current_snapshot_id,
            refs: Arc::new(self.refs(current_snapshot_id)?),
            snapshots: self.list("snapshots", Snapshot::parse)?,
            snapshot_log: self.list("snapshot-log", SnapshotLogEntry::parse)?,
            metadata_log: self.list("metadata-log", MetadataLogEntry::parse)?,
            statistics: self.list("statistics", Statistics::parse)?,
            partition_statistics: self.list("partition-statistics", PartitionStatistics::parse)?,
            encryption_keys: self.list("encryption-keys", EncryptionKey::parse)?,
            next_row_id: if self.format_version >= 3 { object.i64("next-row-id")? } else { 0 },
            others: Arc::new(self.others()),
            legacy: Arc::new(self.legacy()),
            present: self.present(),
            faults: Arc::default(),
            size_bytes: 0,
        })
    }

    fn missing(&self, key: &str) -> DocumentError {
        DocumentError::invalid(format!("{key} must exist in format v{}", self.format_version))
    }

    fn schemas(&self) -> Result<(Vec<Arc<Schema>>, i32), DocumentError> {
        let Some(texts) = self.object.optional_array("schemas")? else {
            if self.format_version > 1 {
                return Err(self.missing("schemas"));
            }
            let schema = Schema::parse(self.object.required("schema")?)?;
            let id = schema.id();
            return Ok((vec![Arc::new(schema)], id));
        };
        let schemas = read_all(&texts, Schema::parse)?;
        let current = self.object.i32("current-schema-id")?;
        check_ids("schema", schemas.iter().map(|schema| schema.id()))?;
        if !schemas.iter().any(|schema| schema.id() == current) {
            return Err(DocumentError::invalid(format!(
                "Cannot find schema with current-schema-id={current} from schemas"
            )));
        }
        Ok((schemas, current))
    }

    fn partition_specs(&self) -> Result<(Vec<Arc<PartitionSpec>>, i32), DocumentError> {
        let Some(texts) = self.object.optional_array("partition-specs")? else {
            if self.format_version > 1 {
                return Err(self.missing("partition-specs"));
            }
            let spec = PartitionSpec::from_fields(self.object.required("partition-spec")?)?;
            return Ok((vec![Arc::new(spec)], 0));
        };
        let specs = read_all(&texts, PartitionSpec::parse)?;
        let default = self.object.i32("default-spec-id")?;
        check_ids("partition spec", specs.iter().map(|spec| spec.id()))?;
        if !specs.iter().any(|spec| spec.id() == default) {
            return Err(DocumentError::invalid(format!(
                "Cannot find partition spec with default-spec-id={default} from partition-specs"
            )));
        }
        Ok((specs, default))
    }

    fn sort_orders(&self) -> Result<(Vec<Arc<SortOrder>>, i32), DocumentError> {
        let Some(texts) = self.object.optional_array("sort-orders")? else {
            if self.format_version > 1 {
                return Err(self.missing("sort-orders"));
            }
            return Ok((vec![Arc::new(SortOrder::unsorted()?)], UNSORTED_ORDER_ID));
        };
        let orders = read_all(&texts, SortOrder::parse)?;
        let default = self.object.i32("default-sort-order-id")?;
        check_ids("sort order", orders.iter().map(|order| order.id()))?;
        if !orders.iter().any(|order| order.id() == default) {
            return Err(DocumentError::invalid(format!(
                "Cannot find sort order with default-sort-order-id={default} from sort-orders"
            )));
        }
        Ok((orders, default))
    }

    /// Returns branches and tags. The current snapshot is that of the `main` branch, even if the document does not list the
    /// branch (specification, "Snapshot References").
    fn refs(&self, current_snapshot_id: Option<i64>) -> Result<BTreeMap<String, SnapshotRef>, DocumentError> {
        let mut refs = BTreeMap::new();
        if let Some(text) = self.object.get("refs") {
            for (name, text) in Object::parse("refs", text)?.iter() {
                refs.insert(name.to_owned(), SnapshotRef::parse(text)?);
            }
        }
        if let (Some(id), false) = (current_snapshot_id, refs.contains_key(MAIN_BRANCH)) {
            refs.insert(MAIN_BRANCH.to_owned(), SnapshotRef::branch(id)?);
        }
        Ok(refs)
    }

    fn list<T: Clone>(&self, key: &str, read: ReadElement<T>) -> Result<List<T>, DocumentError> {
        List::parse(&self.object.get(key).map(array).transpose()?.unwrap_or_default(), read)
    }

    fn others(&self) -> Vec<(String, Box<str>)> {
        self.object
            .iter()
            .filter(|(key, _)| !KNOWN.contains(key))
            .map(|(key, value)| (key.to_owned(), value.into()))
            .collect()
    }

    fn legacy(&self) -> Vec<(&'static str, Box<str>)> {
        let unused = |key: &str| match key {
            "schema" | "partition-spec" => true,
            "last-sequence-number" => self.format_version == 1,
            "next-row-id" => self.format_version < 3,
            // `Present` keeps its null.
            "current-snapshot-id" => false,
            _ => self.object.raw(key) == Some("null"),
        };
        KNOWN
            .into_iter()
            .filter(|key| unused(key))
            .filter_map(|key| self.object.raw(key).map(|value| (key, value.into())))
            .collect()
    }

    fn present(&self) -> Present {
        let has = |key: &str| self.object.get(key).is_some();
        Present {
            schemas: has("schemas"),
            partition_specs: has("partition-specs"),
            last_partition_id: has("last-partition-id"),
            sort_orders: has("sort-orders"),
            properties: has("properties"),
            current_snapshot_id: match self.object.raw("current-snapshot-id") {
                None => NoSnapshot::Absent,
                Some("null") => NoSnapshot::Null,
                Some(_) => NoSnapshot::MinusOne,
            },
            refs: has("refs"),
            snapshots: has("snapshots"),
            snapshot_log: has("snapshot-log"),
            metadata_log: has("metadata-log"),
            statistics: has("statistics"),
            partition_statistics: has("partition-statistics"),
            encryption_keys: has("encryption-keys"),
        }
    }
}

fn read_all<T>(texts: &[&str], read: fn(&str) -> Result<T, DocumentError>) -> Result<Vec<Arc<T>>, DocumentError> {
    texts.iter().map(|text| read(text).map(Arc::new)).collect()
}

fn check_ids(what: &str, ids: impl Iterator<Item = i32>) -> Result<(), DocumentError> {
    let mut seen = HashSet::new();
    for id in ids {
        if !seen.insert(id) {
            return Err(DocumentError::invalid(format!("Multiple {what}s have id {id}")));
        }
    }
    Ok(())
}
