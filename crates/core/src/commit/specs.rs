//! Updates to partition specs.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::CommitError;
use super::apply::Draft;
use super::schemas::{next_id, resolve};
use crate::document::{FIRST_PARTITION_FIELD_ID, PartitionSpec, Transform};

impl Draft {
    /// Adds a spec under the next id, unless a spec with the same partitioning exists. Both count as the last added spec.
    pub(super) fn add_spec(&mut self, spec: &PartitionSpec) -> Result<(), CommitError> {
        self.definitions.count_one()?;
        let document = &self.document;
        let Some(schema) = document.schema(document.current_schema_id) else {
            return Err(CommitError::bad("Attempting to add a partition spec before a schema is added"));
        };
        if let Some(known) = self.definitions.find_spec(&document.partition_specs, spec) {
            self.last_added_spec = Some(known);
            return Ok(());
        }
        let highest = document.partition_specs.iter().map(|spec| spec.id()).max();
        let id = next_id(highest, 0, "partition spec")?;
        let field_ids = self.field_ids(spec)?;
        let spec = spec.with_ids(id, &field_ids)?;
        spec.check_new(&schema.index()?, document.format_version)?;
        if document.format_version == 1 && !spec.has_sequential_ids() {
            return Err(CommitError::bad("Spec does not use sequential IDs that are required in v1"));
        }
        let document = &mut self.document;
        document.last_partition_id = document.last_partition_id.max(spec.highest_field_id());
        document.partition_specs.push(Arc::new(spec));
        self.last_added_spec = Some(id);
        self.changed = true;
        self.columns_changed = true;
        Ok(())
    }

    /// Returns the ids of a new spec's fields. The client's ids stay. Fields without ids count from 1000 in v1; from v2 on
    /// they get the ids of equal fields of older specs, or new ids.
    fn field_ids(&self, spec: &PartitionSpec) -> Result<Vec<i32>, CommitError> {
        if !spec.ids_missing() || self.document.format_version == 1 {
            return Ok(spec.fields().iter().map(|field| field.field_id).collect());
        }
        let mut last = self.document.last_partition_id.max(FIRST_PARTITION_FIELD_ID - 1);
        let known = self.known_field_ids();
        let mut given = HashSet::new();
        let mut ids = Vec::with_capacity(spec.fields().len());
        for field in spec.fields() {
            let id = match known.get(&field.value()).copied().filter(|id| !given.contains(id)) {
                Some(id) => id,
                None => {
                    last = next_id(Some(last), FIRST_PARTITION_FIELD_ID, "partition field")?;
                    last
                }
            };
            given.insert(id);
            ids.push(id);
        }
        Ok(ids)
    }

    /// Returns the highest field id in any spec, for each pair of source columns and transform.
    fn known_field_ids(&self) -> HashMap<(&[i32], &Transform), i32> {
        let mut ids = HashMap::new();
        for field in self.document.partition_specs.iter().flat_map(|spec| spec.fields()) {
            let id = ids.entry(field.value()).or_insert(field.field_id);
            *id = field.field_id.max(*id);
        }
        ids
    }

    pub(super) fn set_default_spec(&mut self, id: i32) -> Result<(), CommitError> {
        let id = resolve(id, self.last_added_spec, "spec")?;
        if self.document.default_spec_id == id {
            return Ok(());
        }
        if self.document.partition_spec(id).is_none() {
            return Err(CommitError::bad(format!("Cannot set default partition spec to unknown spec: {id}")));
        }
        self.document.default_spec_id = id;
        self.changed = true;
        self.columns_changed = true;
        Ok(())
    }

    pub(super) fn remove_specs(&mut self, ids: &[i32]) -> Result<(), CommitError> {
        if ids.contains(&self.document.default_spec_id) {
            return Err(CommitError::bad("Cannot remove the default partition spec"));
        }
        if !ids.is_empty() {
            let ids: HashSet<i32> = ids.iter().copied().collect();
            self.definitions.forget();
            self.document.partition_specs.retain(|spec| !ids.contains(&spec.id()));
            self.last_added_spec = self.last_added_spec.filter(|id| !ids.contains(id));
            self.changed = true;
        }
        Ok(())
    }
}
