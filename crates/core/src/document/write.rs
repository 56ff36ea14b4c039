//! Writes a table metadata document as JSON.

use std::collections::BTreeSet;

use super::json::quote;
use super::list::List;
use super::table::NoSnapshot;
use super::{NO_SNAPSHOT_ID, Properties, Snapshot, TableMetadata};

impl TableMetadata {
    /// Returns the document as JSON. Unchanged parts keep their text, except for whitespace and the order of the document's
    /// fields.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        self.write(&self.snapshots)
    }

    /// Returns the document with only the snapshots that branches and tags point to (REST specification, `loadTable`,
    /// `snapshots=refs`). `None` if these are all snapshots.
    #[must_use]
    pub fn to_json_of_refs(&self) -> Option<Vec<u8>> {
        let named: BTreeSet<i64> = self.refs.values().map(|one| one.snapshot_id).collect();
        let mut snapshots = self.snapshots.clone();
        snapshots.retain(|snapshot| named.contains(&snapshot.id)).then(|| self.write(&snapshots))
    }

    fn write(&self, snapshots: &List<Snapshot>) -> Vec<u8> {
        let mut out = Writer::object(self.json_len_estimate(snapshots));
        out.number("format-version", i64::from(self.format_version));
        if let Some(uuid) = &self.uuid {
            out.text("table-uuid", uuid);
        }
        out.text("location", &self.location);
        if self.format_version > 1 {
            out.number("last-sequence-number", self.last_sequence_number);
        }
        out.number("last-updated-ms", self.last_updated_ms);
        out.number("last-column-id", i64::from(self.last_column_id));
        self.write_schemas_and_specs(&mut out);
        if self.present.properties || !self.properties.is_empty() {
            out.strings("properties", &self.properties);
        }
        match (self.current_snapshot_id, self.present.current_snapshot_id) {
            (Some(id), _) => out.number("current-snapshot-id", id),
            (None, NoSnapshot::MinusOne) => out.number("current-snapshot-id", NO_SNAPSHOT_ID),
            (None, NoSnapshot::Null) => out.raw("current-snapshot-id", "null"),
            (None, NoSnapshot::Absent) => {}
        }
        if self.format_version >= 3 {
            out.number("next-row-id", self.next_row_id);
        }
        if self.present.refs {
            out.map("refs", self.refs.iter(), |out, one| out.extend_from_slice(one.json().as_bytes()));
        }
        out.list("encryption-keys", self.present.encryption_keys, &self.encryption_keys);
        out.list("snapshots", self.present.snapshots, snapshots);
        out.list("statistics", self.present.statistics, &self.statistics);
        out.list("partition-statistics", self.present.partition_statistics, &self.partition_statistics);
        out.list("snapshot-log", self.present.snapshot_log, &self.snapshot_log);
        out.list("metadata-log", self.present.metadata_log, &self.metadata_log);
        for (key, value) in self.legacy.iter().filter(|(key, _)| !["schema", "partition-spec"].contains(key)) {
            out.raw(key, value);
        }
        for (key, value) in self.others.iter() {
            out.raw(key, value);
        }
        out.finish()
    }

    fn write_schemas_and_specs(&self, out: &mut Writer) {
        // Readers that know only v1 read the current schema and the default spec from their old fields.
        let old_fields = |key: &str, current: Option<String>| {
            let kept = self.legacy.iter().find(|(name, _)| *name == key).map(|(_, value)| value.to_string());
            kept.or_else(|| current.filter(|_| self.format_version == 1))
        };
        if let Some(schema) =
            old_fields("schema", self.schema(self.current_schema_id).map(|schema| schema.json().to_owned()))
        {
            out.raw("schema", &schema);
        }
        if self.present.schemas {
            out.number("current-schema-id", i64::from(self.current_schema_id));
            out.array("schemas", self.schemas().map(super::Schema::json));
        }
        let fields = self.partition_spec(self.default_spec_id).and_then(|spec| spec.fields_json().ok());
        if let Some(fields) = old_fields("partition-spec", fields) {
            out.raw("partition-spec", &fields);
        }
        if self.present.partition_specs {
            out.number("default-spec-id", i64::from(self.default_spec_id));
            out.array("partition-specs", self.partition_specs().map(super::PartitionSpec::json));
        }
        if self.present.last_partition_id {
            out.number("last-partition-id", i64::from(self.last_partition_id));
        }
        if self.present.sort_orders {
            out.number("default-sort-order-id", i64::from(self.default_sort_order_id));
            out.array("sort-orders", self.sort_orders().map(super::SortOrder::json));
        }
    }

    fn json_len_estimate(&self, snapshots: &List<Snapshot>) -> usize {
        let nested = self.schemas().map(|schema| schema.json().len()).sum::<usize>() * 2
            + self.partition_specs().map(|spec| spec.json().len()).sum::<usize>() * 2
            + self.sort_orders().map(|order| order.json().len() + 1).sum::<usize>()
            + self.properties.iter().map(|(key, value)| key.len() + value.len() + 16).sum::<usize>()
            + self.refs.iter().map(|(name, one)| name.len() + one.json().len() + 8).sum::<usize>()
            + self.others.iter().map(|(key, value)| key.len() + value.len() + 8).sum::<usize>()
            + self.legacy.iter().map(|(key, value)| key.len() + value.len() + 8).sum::<usize>();
        let lists = snapshots.json_len()
            + self.snapshot_log.json_len()
            + self.metadata_log.json_len()
            + self.statistics.json_len()
            + self.partition_statistics.json_len()
            + self.encryption_keys.json_len();
        1024 + self.location.len() + nested + lists
    }
}

/// Writes a JSON object, field by field.
pub(crate) struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// Starts an object without fields; `capacity_bytes` is its approximate length.
    pub(crate) fn object(capacity_bytes: usize) -> Self {
        let mut out = Vec::with_capacity(capacity_bytes);
        out.push(b'{');
        Self { out }
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.out.push(b'}');
        self.out
    }

    fn key(&mut self, key: &str) {
        if self.out.len() > 1 {
            self.out.push(b',');
        }
        self.out.extend_from_slice(quote(key).as_bytes());
        self.out.push(b':');
    }

    pub(crate) fn raw(&mut self, key: &str, value: &str) {
        self.key(key);
        self.out.extend_from_slice(value.as_bytes());
    }

    pub(crate) fn number(&mut self, key: &str, value: i64) {
        self.raw(key, &value.to_string());
    }

    pub(crate) fn text(&mut self, key: &str, value: &str) {
        self.raw(key, &quote(value));
    }

    pub(crate) fn array<'a>(&mut self, key: &str, elements: impl Iterator<Item = &'a str>) {
        self.key(key);
        self.out.push(b'[');
        for (position, element) in elements.enumerate() {
            if position > 0 {
                self.out.push(b',');
            }
            self.out.extend_from_slice(element.as_bytes());
        }
        self.out.push(b']');
    }

    pub(crate) fn strings(&mut self, key: &str, strings: &Properties) {
        self.map(key, strings.iter(), |out, value| out.extend_from_slice(quote(value).as_bytes()));
    }

    fn map<'a, T: 'a>(
        &mut self,
        key: &str,
        entries: impl Iterator<Item = (&'a String, &'a T)>,
        write: impl Fn(&mut Vec<u8>, &T),
    ) {
        self.key(key);
        self.out.push(b'{');
        for (position, (name, value)) in entries.enumerate() {
            if position > 0 {
                self.out.push(b',');
            }
            self.out.extend_from_slice(quote(name).as_bytes());
            self.out.push(b':');
            write(&mut self.out, value);
        }
        self.out.push(b'}');
    }

    pub(crate) fn list<T>(&mut self, key: &str, present: bool, list: &List<T>) {
        if present || !list.is_empty() {
            self.key(key);
            list.write(&mut self.out);
        }
    }
}
