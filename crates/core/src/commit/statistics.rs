//! Updates to statistics files and encryption keys.

use super::CommitError;
use super::apply::Draft;
use crate::document::{EncryptionKey, PartitionStatistics, Statistics};

impl Draft {
    /// Sets the statistics of a snapshot, and removes its earlier ones.
    pub(super) fn set_statistics(&mut self, statistics: Statistics, json: &str) -> Result<(), CommitError> {
        if let Some(problem) = Statistics::problem(json) {
            return Err(CommitError::bad(problem));
        }
        self.remove_statistics(statistics.snapshot_id);
        self.statistics.add(statistics, json);
        self.changed = true;
        Ok(())
    }

    pub(super) fn remove_statistics(&mut self, snapshot_id: i64) {
        self.changed |= self.statistics.remove(&self.document.statistics, &snapshot_id);
    }

    /// Sets the partition statistics of a snapshot, and removes its earlier ones.
    pub(super) fn set_partition_statistics(&mut self, statistics: PartitionStatistics, json: &str) {
        self.remove_partition_statistics(statistics.snapshot_id);
        self.partition_statistics.add(statistics, json);
        self.changed = true;
    }

    pub(super) fn remove_partition_statistics(&mut self, snapshot_id: i64) {
        self.changed |= self.partition_statistics.remove(&self.document.partition_statistics, &snapshot_id);
    }

    /// Adds a key, unless its id exists. Keys need v3. (The reference implementation leaves this check to its clients.)
    pub(super) fn add_encryption_key(&mut self, key: &EncryptionKey, json: &str) -> Result<(), CommitError> {
        let version = self.document.format_version;
        if version < 3 {
            return Err(CommitError::bad(format!(
                "Cannot add encryption key: not supported in v{version}, but from v3"
            )));
        }
        if let Some(problem) = EncryptionKey::problem(json) {
            return Err(CommitError::bad(problem));
        }
        if self.encryption_keys.get(&self.document.encryption_keys, &key.id).is_none() {
            self.encryption_keys.add(key.clone(), json);
            self.changed = true;
        }
        Ok(())
    }

    pub(super) fn remove_encryption_key(&mut self, id: &str) {
        self.changed |= self.encryption_keys.remove(&self.document.encryption_keys, &id.into());
    }
}
