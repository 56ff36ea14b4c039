//! All restrictions of a caller on a table.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::filter::{field_ids, to_json};
use super::mask::Mask;
use super::restriction::{Others, Restriction};
use crate::scan::expression::Expression;

/// The restrictions of all roles of a caller on a table, as one. A row must match all filters, all masks apply, and the strictest `others`
/// counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Combined {
    pub(super) filter: Option<Expression>,
    /// The masks by field id. `None` where roles have different masks.
    pub(super) masks: BTreeMap<i32, Option<Mask>>,
    others: Others,
}

impl Combined {
    /// Combines restrictions. Returns `None` if there are none.
    #[must_use]
    pub fn new<'r>(restrictions: impl IntoIterator<Item = &'r Restriction>) -> Option<Self> {
        let (mut filters, mut masks) = (Vec::new(), BTreeMap::new());
        let mut strictest = None;
        for restriction in restrictions {
            match restriction.filter() {
                Some(Expression::And(parts)) => filters.extend(parts.iter().cloned()),
                Some(filter) => filters.push(filter.clone()),
                None => {}
            }
            for (id, mask) in restriction.masks() {
                match masks.entry(*id) {
                    Entry::Vacant(free) => {
                        free.insert(Some(*mask));
                    }
                    Entry::Occupied(mut other) if *other.get() != Some(*mask) => {
                        other.insert(None);
                    }
                    Entry::Occupied(_) => {}
                }
            }
            strictest = strictest.max(Some(restriction.others()));
        }
        let filter = match filters.len() {
            0 => None,
            1 => filters.pop(),
            _ => Some(Expression::And(filters)),
        };
        Some(Self { filter, masks, others: strictest? })
    }

    /// Returns what callers get that are not trusted engines.
    #[must_use]
    pub const fn others(&self) -> Others {
        self.others
    }

    /// Returns a text that is the same for equal restrictions, and different for others.
    #[must_use]
    pub fn identity(&self) -> String {
        let masks = self.masks.iter().map(|(id, mask)| format!("{id}:{}", mask.map_or("conflict", Mask::as_str)));
        let filter = self.filter.as_ref().map(to_json).unwrap_or_default();
        format!("{}|{}|{filter}", self.others.as_str(), masks.collect::<Vec<_>>().join(","))
    }

    /// Returns the ids of the columns that the filter tests.
    pub(super) fn filtered_ids(&self) -> Vec<i32> {
        let mut ids = Vec::new();
        if let Some(filter) = &self.filter {
            field_ids(filter, &mut ids);
        }
        ids
    }
}
