//! Finds an equal schema, spec or sort order among those of a table.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;
use std::sync::Arc;

use super::CommitError;
use crate::document::{PartitionSpec, Schema, SortOrder};

/// The most schemas, partition specs and sort orders that one commit may add. Engines add one of each. Each is compared
/// with the schema, so without a limit many of them on many columns would take minutes.
pub const MAX_ADDED_DEFINITIONS: usize = 1_000;

/// Indexes of the schemas, specs and orders of a document, built when a commit first needs them.
#[derive(Debug, Default)]
pub(super) struct Definitions {
    schemas: Index,
    specs: Index,
    orders: Index,
    added: usize,
}

impl Definitions {
    /// Counts a definition that a commit adds.
    ///
    /// # Errors
    /// Fails if there are more than [`MAX_ADDED_DEFINITIONS`].
    pub(super) fn count_one(&mut self) -> Result<(), CommitError> {
        self.added += 1;
        if self.added <= MAX_ADDED_DEFINITIONS {
            return Ok(());
        }
        Err(CommitError::bad(format!(
            "A commit can add at most {MAX_ADDED_DEFINITIONS} schemas, partition specs and sort orders: use several commits"
        )))
    }

    /// Returns the id of the schema with the same columns, whatever its own id.
    pub(super) fn find_schema(&mut self, known: &[Arc<Schema>], wanted: &Schema) -> Option<i32> {
        let position = self.schemas.find(known, wanted, Schema::hash_columns, Schema::same_columns)?;
        Some(known[position].id())
    }

    /// Returns the id of the spec with the same partitioning.
    pub(super) fn find_spec(&mut self, known: &[Arc<PartitionSpec>], wanted: &PartitionSpec) -> Option<i32> {
        let position = self.specs.find(known, wanted, PartitionSpec::hash_fields, PartitionSpec::compatible_with)?;
        Some(known[position].id())
    }

    /// Returns the id of the order with the same sorting.
    pub(super) fn find_order(&mut self, known: &[Arc<SortOrder>], wanted: &SortOrder) -> Option<i32> {
        let position = self.orders.find(known, wanted, SortOrder::hash_fields, SortOrder::same_order)?;
        Some(known[position].id())
    }

    /// Clears the indexes after a removal, since positions have changed.
    pub(super) fn forget(&mut self) {
        *self = Self { added: self.added, ..Self::default() };
    }
}

/// The positions of elements, by a hash of their contents.
#[derive(Debug, Default)]
struct Index {
    by_hash: HashMap<u64, Vec<usize>>,
    indexed: usize,
}

impl Index {
    fn find<T>(
        &mut self,
        known: &[Arc<T>],
        wanted: &T,
        hash: fn(&T, &mut DefaultHasher),
        same: fn(&T, &T) -> bool,
    ) -> Option<usize> {
        let hash_of = |one: &T| {
            let mut hasher = DefaultHasher::new();
            hash(one, &mut hasher);
            hasher.finish()
        };
        for (position, one) in known.iter().enumerate().skip(self.indexed) {
            self.by_hash.entry(hash_of(one)).or_default().push(position);
        }
        self.indexed = known.len();
        let candidates = self.by_hash.get(&hash_of(wanted))?;
        candidates.iter().copied().find(|position| same(&known[*position], wanted))
    }
}
