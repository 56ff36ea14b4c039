//! Updates to the table's own values: its id, format version, location and properties.

use std::sync::Arc;

use uuid::Uuid;

use super::CommitError;
use super::apply::{Draft, check_format_version};
use crate::document::{Properties, Snapshot, strip_trailing_slash};

impl Draft {
    /// Sets the id of a new table, or of a table without one. Refuses to replace an id: the specification calls that unsafe,
    /// since every client that has loaded the table would see another table. (The reference implementation allows it.)
    pub(super) fn assign_uuid(&mut self, uuid: Uuid) -> Result<(), CommitError> {
        let text = uuid.to_string();
        match self.document.uuid() {
            Some(current) if current.eq_ignore_ascii_case(&text) => return Ok(()),
            Some(current) if !self.creating => {
                return Err(CommitError::bad(format!("Cannot reassign table UUID: {current} to {text}")));
            }
            _ => {}
        }
        self.document.uuid = Some(text.into());
        self.changed = true;
        Ok(())
    }

    pub(super) fn upgrade_format_version(&mut self, version: i32) -> Result<(), CommitError> {
        let current = self.document.format_version;
        let version = check_format_version(version)?;
        if version < current {
            return Err(CommitError::bad(format!("Cannot downgrade v{current} table to v{version}")));
        }
        if version == current {
            return Ok(());
        }
        if current == 1 {
            self.apply_snapshots();
            let upgraded = self.document.snapshots.rewrite(Snapshot::upgraded);
            upgraded.map_err(|error| CommitError::bad(format!("Cannot upgrade to v{version}: {error}")))?;
        }
        self.document.format_version = version;
        self.changed = true;
        Ok(())
    }

    pub(super) fn set_location(&mut self, location: &str) -> Result<(), CommitError> {
        let location = strip_trailing_slash(location);
        if location.is_empty() {
            return Err(CommitError::bad("Table location must not be empty"));
        }
        if self.document.location() != location {
            self.document.location = location.into();
            self.changed = true;
        }
        Ok(())
    }

    pub(super) fn set_properties(&mut self, updates: &Properties) {
        if updates.is_empty() {
            return;
        }
        let updates = updates.iter().map(|(key, value)| (key.clone(), value.clone()));
        Arc::make_mut(&mut self.document.properties).extend(updates);
        self.changed = true;
    }

    pub(super) fn remove_properties(&mut self, removals: &[String]) {
        if removals.is_empty() {
            return;
        }
        let properties = Arc::make_mut(&mut self.document.properties);
        for key in removals {
            properties.remove(key);
        }
        self.changed = true;
    }
}
