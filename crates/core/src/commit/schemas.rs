//! Updates to schemas.

use std::collections::HashSet;
use std::sync::Arc;

use super::CommitError;
use super::apply::Draft;
use crate::document::Schema;

/// Stands for the schema, spec or order added last, in place of an id.
pub(super) const LAST_ADDED: i32 = -1;

impl Draft {
    /// Adds a schema under the next id, unless a schema with the same columns exists.
    ///
    /// Both count as the last added schema. (The reference implementation counts only a new schema, and refuses -1 otherwise;
    /// its clients never send that.)
    pub(super) fn add_schema(&mut self, schema: &Schema) -> Result<(), CommitError> {
        self.definitions.count_one()?;
        schema.check_format_version(self.document.format_version)?;
        let document = &mut self.document;
        if schema.highest_field_id() > document.last_column_id {
            document.last_column_id = schema.highest_field_id();
            self.changed = true;
        }
        if let Some(known) = self.definitions.find_schema(&document.schemas, schema) {
            self.last_added_schema = Some(known);
            return Ok(());
        }
        let highest = document.schemas.iter().map(|schema| schema.id()).max();
        let id = next_id(highest, 0, "schema")?;
        document.schemas.push(Arc::new(schema.with_id(id)?));
        self.last_added_schema = Some(id);
        self.changed = true;
        self.columns_changed = true;
        Ok(())
    }

    pub(super) fn set_current_schema(&mut self, id: i32) -> Result<(), CommitError> {
        let id = resolve(id, self.last_added_schema, "schema")?;
        if self.document.current_schema_id == id {
            return Ok(());
        }
        if self.document.schema(id).is_none() {
            return Err(CommitError::bad(format!("Cannot set current schema to unknown schema: {id}")));
        }
        self.document.current_schema_id = id;
        self.changed = true;
        self.columns_changed = true;
        Ok(())
    }

    pub(super) fn remove_schemas(&mut self, ids: &[i32]) -> Result<(), CommitError> {
        if ids.contains(&self.document.current_schema_id) {
            return Err(CommitError::bad("Cannot remove the current schema"));
        }
        if !ids.is_empty() {
            let ids: HashSet<i32> = ids.iter().copied().collect();
            self.definitions.forget();
            self.document.schemas.retain(|schema| !ids.contains(&schema.id()));
            self.last_added_schema = self.last_added_schema.filter(|id| !ids.contains(id));
            self.changed = true;
        }
        Ok(())
    }
}

/// Returns the id after the highest, but at least `first`.
pub(super) fn next_id(highest: Option<i32>, first: i32, what: &str) -> Result<i32, CommitError> {
    match highest {
        None => Ok(first),
        Some(highest) => highest
            .checked_add(1)
            .map(|next| next.max(first))
            .ok_or_else(|| CommitError::bad(format!("Cannot add {what}: no id is left"))),
    }
}

/// Returns the id that an update refers to.
pub(super) fn resolve(id: i32, last_added: Option<i32>, what: &str) -> Result<i32, CommitError> {
    if id != LAST_ADDED {
        return Ok(id);
    }
    last_added.ok_or_else(|| CommitError::bad(format!("Cannot set last added {what}: no {what} has been added")))
}
