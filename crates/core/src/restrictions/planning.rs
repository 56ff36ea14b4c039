//! Restrictions in plans: what the catalog may tell a caller about a table's files.
//!
//! A caller that is not a trusted engine has no credentials. It sees file names, sizes and partition values of files that may have a visible row. Nothing in a plan
//! may depend on the values of masked columns, or on the values of hidden rows, beyond what the filter's own columns and the partition
//! values show.

use std::collections::BTreeSet;

use super::combined::Combined;
use super::mask::ancestor_ids;
use crate::document::{DocumentError, SchemaIndex, TableMetadata, Transform};
use crate::scan::bound::{Bound, bind};
use crate::scan::expression::Expression;

/// Why the catalog does not plan scans within a restriction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotPlanned {
    /// The partition values of files show a masked column.
    #[error("The table is partitioned by the masked column '{0}', so its files cannot be shown")]
    PartitionedByMasked(String),
    /// The residual filters of files show a masked column.
    #[error("The restriction's filter tests the masked column '{0}', so the filter of a scan would show its values")]
    FilterOnMasked(String),
    /// The caller's filter tests a masked column.
    #[error("The column '{0}' is masked for you, so a filter cannot test it")]
    MaskedColumn(String),
    /// The schema cannot be used.
    #[error("The table's schema cannot be used: {0}")]
    Schema(#[from] DocumentError),
}

/// A restriction that the catalog can plan scans within.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanRestriction {
    filter: Option<Expression>,
    /// The ids of masked columns, and of those inside them.
    masked: BTreeSet<i32>,
    hides: bool,
}

impl ScanRestriction {
    /// Checks that scans can be planned within a restriction.
    ///
    /// # Errors
    /// Fails if the table is partitioned by a masked column, or the restriction's filter tests one.
    pub fn new(combined: &Combined, table: &TableMetadata) -> Result<Self, NotPlanned> {
        let masked = masked_ids(combined, table)?;
        let name = |id: i32| {
            let named = table.schemas().filter_map(|schema| schema.index().ok().map(|index| index.full_name(id)));
            named.filter(|name| !name.is_empty()).last().unwrap_or_else(|| id.to_string())
        };
        for field in table.partition_specs().flat_map(|spec| spec.fields()) {
            if field.transform == Transform::Void {
                continue;
            }
            if let Some(id) = field.source_ids.iter().find(|id| masked.contains(id)) {
                return Err(NotPlanned::PartitionedByMasked(name(*id)));
            }
        }
        if let Some(id) = combined.filtered_ids().into_iter().find(|id| masked.contains(id)) {
            return Err(NotPlanned::FilterOnMasked(name(id)));
        }
        Ok(Self { filter: combined.filter.clone(), masked, hides: true })
    }

    /// Returns the restriction for a trusted engine: only the filter counts, since the engine masks columns itself.
    #[must_use]
    pub fn of_trusted_engine(combined: &Combined) -> Self {
        Self { filter: combined.filter.clone(), masked: BTreeSet::new(), hides: false }
    }

    /// Returns whether a plan must not depend on the statistics of hidden rows and masked columns.
    #[must_use]
    pub const fn hides(&self) -> bool {
        self.hides
    }

    /// Returns the filter of visible rows, bound to the schema of a scan. One that does not fit the schema matches no row.
    #[must_use]
    pub fn visible(&self, index: &SchemaIndex<'_>) -> Bound {
        self.filter.as_ref().map_or(Bound::True, |filter| bind(filter, index, true).unwrap_or(Bound::False))
    }

    /// Checks that a caller's filter tests no masked column.
    ///
    /// # Errors
    /// `MaskedColumn`.
    pub fn check_filter(&self, filter: &Bound, index: &SchemaIndex<'_>) -> Result<(), NotPlanned> {
        match filter.field_ids().iter().find(|id| self.masked.contains(id)) {
            Some(id) => Err(NotPlanned::MaskedColumn(index.full_name(*id))),
            None => Ok(()),
        }
    }
}

/// Returns the ids of masked columns, and of the columns inside them in any schema of the table.
fn masked_ids(combined: &Combined, table: &TableMetadata) -> Result<BTreeSet<i32>, DocumentError> {
    let mut masked: BTreeSet<i32> = combined.masks.keys().copied().collect();
    if masked.is_empty() {
        return Ok(masked);
    }
    for schema in table.schemas() {
        let index = schema.index()?;
        let is_inside = |id: &i32| ancestor_ids(&index, *id).any(|above| combined.masks.contains_key(&above));
        masked.extend(index.full_names().map(|(_, id)| id).filter(is_inside));
    }
    Ok(masked)
}

#[cfg(test)]
mod tests;
