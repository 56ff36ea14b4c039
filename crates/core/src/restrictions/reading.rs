//! Restrictions for trusted engines: the JSON of `read-restrictions` in the answer to a load.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::combined::Combined;
use super::filter::to_json;
use super::mask::{Mask, Misfit, ancestor_ids};
use crate::document::{DocumentError, Schema, SchemaIndex, TableMetadata};
use crate::scan::bound::bind;

/// Why a table cannot be read with its restrictions, not even by a trusted engine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// A mask no longer fits its column.
    #[error(
        "The column '{column}' is masked with '{mask}', which no longer fits it: {misfit}. An administrator must set the restriction again"
    )]
    Misfit {
        /// The column's name.
        column: String,
        /// The mask.
        mask: Mask,
        /// What does not fit.
        misfit: Misfit,
    },
    /// Roles mask the column differently, and nothing hides its values.
    #[error("Your roles mask the column '{0}' in different ways. An administrator must give them the same mask")]
    Conflict(String),
    /// The schema cannot be used.
    #[error("The table's schema cannot be used: {0}")]
    Schema(#[from] DocumentError),
}

/// Returns the JSON of `ReadRestrictions` for the present state of a table.
///
/// - A filter that does not fit the current schema is false: no row may be read.
/// - A mask whose column is in none of the table's schemas is left out. One whose column is only in older schemas stays: an engine can
///   read older snapshots.
/// - If roles mask a column differently, it is null, or the fixed value of its type if it is required.
///
/// # Errors
/// Fails if a mask does not fit its column.
pub fn read_restrictions(combined: &Combined, table: &TableMetadata) -> Result<String, Unreadable> {
    let schemas = Schemas::new(table)?;
    let mut members = Vec::new();
    let masks: BTreeMap<i32, Mask> = combined
        .masks
        .iter()
        .filter_map(|(id, mask)| schemas.with(*id).map(|index| Ok((*id, effective(index, *id, *mask)?))))
        .collect::<Result<_, Unreadable>>()?;
    let is_covered =
        |id: i32| schemas.with(id).is_some_and(|index| ancestor_ids(index, id).any(|above| masks.contains_key(&above)));
    let projections: Vec<String> = masks
        .iter()
        .filter(|(id, _)| !is_covered(**id))
        .map(|(id, mask)| format!("{{\"field-id\":{id},\"action\":\"{mask}\"}}"))
        .collect();
    if !projections.is_empty() {
        members.push(format!("\"required-column-projections\":[{}]", projections.join(",")));
    }
    if let Some(filter) = &combined.filter {
        let fits = schemas.current().is_some_and(|current| bind(filter, current, true).is_ok());
        members.push(format!("\"required-row-filter\":{}", if fits { to_json(filter) } else { "false".to_owned() }));
    }
    Ok(format!("{{{}}}", members.join(",")))
}

/// The schemas of a table: the current one, then the others, the newest first.
struct Schemas<'a>(Vec<SchemaIndex<'a>>);

impl<'a> Schemas<'a> {
    fn new(table: &'a TableMetadata) -> Result<Self, DocumentError> {
        let mut schemas: Vec<&Schema> = table.schemas().collect();
        schemas.sort_by_key(|schema| (schema.id() != table.current_schema_id(), Reverse(schema.id())));
        Ok(Self(schemas.into_iter().map(Schema::index).collect::<Result<_, _>>()?))
    }

    fn current(&self) -> Option<&SchemaIndex<'a>> {
        self.0.first()
    }

    /// Returns the first schema that has a column.
    fn with(&self, id: i32) -> Option<&SchemaIndex<'a>> {
        self.0.iter().find(|index| index.column(id).is_some())
    }
}

/// Returns the mask for a column of a schema, after roles' different masks are resolved.
fn effective(index: &SchemaIndex<'_>, id: i32, mask: Option<Mask>) -> Result<Mask, Unreadable> {
    let column = || index.full_name(id);
    match mask {
        Some(mask) => match mask.check(index, id) {
            Ok(()) => Ok(mask),
            Err(misfit) => Err(Unreadable::Misfit { column: column(), mask, misfit }),
        },
        None => {
            let hides = [Mask::ReplaceWithNull, Mask::MaskToFixedValue].into_iter();
            hides.into_iter().find(|mask| mask.check(index, id).is_ok()).ok_or_else(|| Unreadable::Conflict(column()))
        }
    }
}

#[cfg(test)]
mod tests;
