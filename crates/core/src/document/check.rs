//! The rules of the specification for a whole document, beyond those that parsing needs.
//!
//! Parsing is lenient, so that existing tables stay readable. Documents that enter the catalog are checked strictly.
//! [`TableMetadata::problems`] checks a registered document. The same functions check each part that a commit adds, and
//! [`TableMetadata::column_problems`] and `check` check how the parts fit together before the document is written.

use uuid::Uuid;

use super::schema::SchemaIndex;
use super::spelling::{self, corrections};
use super::{
    DocumentError, EncryptionKey, MAIN_BRANCH, PartitionSpec, RefKind, Schema, Snapshot, Statistics, TableMetadata,
};

impl TableMetadata {
    /// Returns why readers refuse the document in `text`, or may refuse it: a sentence for each broken rule of the
    /// specification. Empty for every document that this catalog wrote.
    #[must_use]
    pub fn problems_of_text(&self, text: &[u8]) -> Vec<String> {
        let mut problems = self.problems();
        problems.extend(corrections(text, &self.to_json()));
        problems
    }

    /// Returns the problems of the document's values, whatever its spelling.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = self.known_problems();
        let version = self.format_version;
        problems.extend(self.snapshots.iter().filter_map(|one| Snapshot::problem(one.json, version, false)));
        problems.extend(self.statistics.iter().filter_map(|one| Statistics::problem(one.json)));
        problems.extend(self.encryption_keys.iter().filter_map(|one| EncryptionKey::problem(one.json)));
        problems
    }

    /// Returns the broken rules that do not keep a document out, since the reference clients accept them: a sentence for each.
    #[must_use]
    pub fn tolerated(&self) -> Vec<String> {
        self.snapshots.iter().filter_map(|one| Snapshot::tolerated(one.json)).collect()
    }

    /// Returns the problems that are known without parsing snapshots, statistics and keys again.
    #[must_use]
    pub fn known_problems(&self) -> Vec<String> {
        let mut problems: Vec<String> = self.faults.to_vec();
        problems.extend(self.value_problems());
        problems.extend(self.legacy_problems());
        problems.extend(self.schema_problems());
        problems.extend(self.column_problems());
        problems
    }

    /// Returns the problems of the document's own fields.
    fn value_problems(&self) -> impl Iterator<Item = String> {
        let uuid = self.uuid.as_deref().filter(|uuid| Uuid::parse_str(uuid).is_err());
        let negative = [("last-sequence-number", self.last_sequence_number), ("next-row-id", self.next_row_id)];
        let main_is_tag = self.refs.get(MAIN_BRANCH).is_some_and(|main| main.kind == RefKind::Tag);
        [
            uuid.map(|uuid| format!("table-uuid is not a UUID: {}", super::json::excerpt(uuid))),
            self.location.is_empty().then(|| "location is empty".to_owned()),
            main_is_tag.then(|| format!("{MAIN_BRANCH} is a tag, and must be a branch")),
        ]
        .into_iter()
        .flatten()
        .chain(
            negative
                .into_iter()
                .filter(|(_, value)| *value < 0)
                .map(|(key, value)| format!("{key} is negative: {value}")),
        )
    }

    /// Returns the problems of fields that a commit rewrites: the current schema and the default spec in their v1 fields, which
    /// some readers use alone, and nulls for absent fields.
    fn legacy_problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (key, text) in self.legacy.iter() {
            if &**text == "null" && !spelling::MAY_BE_NULL.contains(key) {
                problems.push(format!("{key} is null: leave it out"));
                continue;
            }
            let version = self.format_version;
            let checked = match *key {
                "schema" => Schema::parse(text).and_then(|schema| {
                    schema
                        .check_format_version(version)
                        .map(|()| corrections(text.as_bytes(), schema.json().as_bytes()))
                }),
                "partition-spec" => PartitionSpec::from_fields(text).and_then(|spec| {
                    spec.check_fields(version)?;
                    Ok(corrections(text.as_bytes(), spec.fields_json()?.as_bytes()))
                }),
                _ => continue,
            };
            // A single schema needs no id.
            let corrections = checked.iter().flatten().filter(|correction| *correction != "/schema-id is missing");
            problems.extend(corrections.map(|correction| format!("{key}: {correction}")));
            problems.extend(checked.err().map(|error| format!("{key}: {error}")));
        }
        problems
    }

    /// Returns the problems of each schema by itself.
    fn schema_problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for schema in self.schemas() {
            match schema.problems(self.format_version) {
                Ok(found) => problems.extend(found.into_iter().map(|why| format!("Schema {}: {why}", schema.id()))),
                Err(error) => problems.push(error.to_string()),
            }
        }
        problems
    }

    /// Returns the problems of specs and sort orders, and of how they fit the current schema.
    ///
    /// Only the default spec and order need their columns. Older ones are history, but readers bind the names of all specs to
    /// the current schema.
    pub(crate) fn column_problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if let Err(error) = self.check_current() {
            problems.push(error.to_string());
        }
        match self.schema(self.current_schema_id).map(Schema::index) {
            Some(Ok(current)) => self.extend_with_problems_of(&current, &mut problems),
            Some(Err(error)) => problems.push(error.to_string()),
            // `check_current` reports it.
            None => {}
        }
        problems
    }

    /// Checks that the current schema, the default spec and the default sort order exist.
    fn check_current(&self) -> Result<(), DocumentError> {
        let missing = |what: &str, id: i32| DocumentError::invalid(format!("Cannot find {what} with id {id}"));
        let (schema, spec, order) = (self.current_schema_id, self.default_spec_id, self.default_sort_order_id);
        self.schema(schema).ok_or_else(|| missing("current schema", schema))?;
        self.partition_spec(spec).ok_or_else(|| missing("default partition spec", spec))?;
        self.sort_order(order).ok_or_else(|| missing("default sort order", order))?;
        Ok(())
    }

    fn extend_with_problems_of(&self, current: &SchemaIndex<'_>, problems: &mut Vec<String>) {
        let version = self.format_version;
        for spec in self.partition_specs() {
            let is_default = spec.id() == self.default_spec_id;
            let checked =
                if is_default { spec.check_new(current, version) } else { check_old_spec(spec, current, version) };
            problems.extend(checked.err().map(|error| format!("Partition spec {}: {error}", spec.id())));
        }
        for order in self.sort_orders() {
            let is_default = order.id() == self.default_sort_order_id;
            let checked = if is_default { order.check_new(current, version) } else { order.check_fields(version) };
            problems.extend(checked.err().map(|error: DocumentError| format!("Sort order {}: {error}", order.id())));
        }
    }
}

fn check_old_spec(spec: &PartitionSpec, current: &SchemaIndex<'_>, format_version: u8) -> Result<(), DocumentError> {
    spec.check_fields(format_version)?;
    spec.check_names(current)?;
    spec.check_types(current)
}
