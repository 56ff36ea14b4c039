//! The columns that a request names: its filter, `select` and `stats-fields`.

use std::collections::{BTreeSet, HashMap};

use super::FilterError;
use crate::document::json::excerpt;
use crate::document::{SchemaIndex, Type};

/// The columns that an error lists. A wide table has thousands.
const MAX_LISTED: usize = 30;

/// The metadata columns that a query can select (specification, "Reserved Field IDs"). Readers make their values.
const METADATA_COLUMNS: [&str; 10] = [
    "_file",
    "_pos",
    "_deleted",
    "_spec_id",
    "_partition",
    "_change_type",
    "_change_ordinal",
    "_commit_snapshot_id",
    "_row_id",
    "_last_updated_sequence_number",
];

/// Returns whether a name is that of a metadata column, or of a field of one. No schema has it.
#[must_use]
pub fn is_metadata_column(name: &str) -> bool {
    let first = name.split_once('.').map_or(name, |(first, _)| first);
    METADATA_COLUMNS.iter().any(|one| first.eq_ignore_ascii_case(one))
}

/// The names of a schema's columns, for many lookups.
#[derive(Debug)]
pub struct ColumnNames<'i> {
    index: &'i SchemaIndex<'i>,
    /// The ids of each full and each short name in lower case. None if names are case-sensitive.
    lower: Option<(IdsByName, IdsByName)>,
}

type IdsByName = HashMap<String, BTreeSet<i32>>;

impl<'i> ColumnNames<'i> {
    /// Returns the names of a schema's columns.
    #[must_use]
    pub fn new(index: &'i SchemaIndex<'i>, case_sensitive: bool) -> Self {
        let lower = (!case_sensitive).then(|| (by_lower_case(index.full_names()), by_lower_case(index.short_names())));
        Self { index, lower }
    }

    /// Returns the id of the column or nested field with this full or short name.
    ///
    /// # Errors
    /// Fails if there is none, or if several differ only in case and names are not case-sensitive.
    pub fn id(&self, name: &str) -> Result<i32, FilterError> {
        let Some((full, short)) = &self.lower else {
            return self.index.id_of(name).ok_or_else(|| self.unknown(name));
        };
        let name_in_lower_case = name.to_lowercase();
        let ids = full.get(&name_in_lower_case).or_else(|| short.get(&name_in_lower_case));
        let ids = ids.ok_or_else(|| self.unknown(name))?;
        match ids.first() {
            Some(id) if ids.len() == 1 => Ok(*id),
            _ => Err(FilterError::AmbiguousColumn {
                name: excerpt(name),
                candidates: ids.iter().take(MAX_LISTED).map(|id| self.index.full_name(*id)).collect(),
            }),
        }
    }

    /// Returns the error for a column that does not exist. Lists the top-level columns as the reference implementation does.
    pub(super) fn unknown(&self, name: &str) -> FilterError {
        let mut top: Vec<(i32, &str)> = self.index.full_names().map(|(name, id)| (id, name)).collect();
        top.retain(|(id, _)| self.index.column(*id).is_some_and(|column| column.parent.is_none()));
        top.sort_unstable();
        let listed = top.iter().take(MAX_LISTED).filter_map(|(id, name)| {
            let column = self.index.column(*id)?;
            let requiredness = if column.required { "required" } else { "optional" };
            let column_type: &Type = column.column_type;
            Some(format!("{id}: {}: {requiredness} {column_type}", excerpt(name)))
        });
        let mut listed: Vec<String> = listed.collect();
        if top.len() > MAX_LISTED {
            listed.push("...".to_owned());
        }
        FilterError::UnknownColumn { name: excerpt(name), columns: format!("struct<{}>", listed.join(", ")) }
    }
}

/// Returns the id of a column by its full name (`a.b`, `list.element`, `map.value.c`) or short name (`list.c`).
///
/// # Errors
/// Same as [`ColumnNames::id`], which is faster for many names.
pub fn column_id(index: &SchemaIndex<'_>, name: &str, case_sensitive: bool) -> Result<i32, FilterError> {
    ColumnNames::new(index, case_sensitive).id(name)
}

fn by_lower_case<'n>(names: impl Iterator<Item = (&'n str, i32)>) -> IdsByName {
    let mut ids = IdsByName::new();
    for (name, id) in names {
        ids.entry(name.to_lowercase()).or_default().insert(id);
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Schema;

    fn schema() -> Schema {
        Schema::parse(
            r#"{"type": "struct", "fields": [
                {"id": 1, "name": "id", "required": true, "type": "long"},
                {"id": 2, "name": "Id", "required": false, "type": "long"},
                {"id": 3, "name": "Place", "required": false, "type": {"type": "struct", "fields": [
                    {"id": 4, "name": "Town", "required": false, "type": "string"}]}},
                {"id": 5, "name": "tags", "required": false, "type": {"type": "list", "element-id": 6,
                    "element-required": true, "element": {"type": "struct", "fields": [
                        {"id": 7, "name": "x", "required": false, "type": "int"}]}}},
                {"id": 8, "name": "m", "required": false, "type": {"type": "map", "key-id": 9, "key": "string",
                    "value-id": 10, "value-required": false, "value": "int"}}]}"#,
        )
        .unwrap()
    }

    #[test]
    fn full_and_short_names_are_found() {
        let schema = schema();
        let index = schema.index().unwrap();
        for (name, id) in [
            ("id", 1),
            ("Id", 2),
            ("Place.Town", 4),
            ("tags.element", 6),
            ("tags.element.x", 7),
            ("tags.x", 7),
            ("m.key", 9),
            ("m.value", 10),
        ] {
            assert_eq!(column_id(&index, name, true), Ok(id), "{name}");
        }
        for name in ["ID", "place.town", "Town", "", "m.values"] {
            assert!(matches!(column_id(&index, name, true), Err(FilterError::UnknownColumn { .. })), "{name}");
        }
    }

    #[test]
    fn names_without_case_are_found_unless_they_are_ambiguous() {
        let schema = schema();
        let index = schema.index().unwrap();
        assert_eq!(column_id(&index, "PLACE.TOWN", false), Ok(4));
        assert_eq!(column_id(&index, "TAGS.X", false), Ok(7));
        let error = column_id(&index, "id", false).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Column name 'id' is ambiguous without case: it can be id or Id. Set case-sensitive to true."
        );
    }

    #[test]
    fn unknown_column_error_lists_the_columns_as_java_does() {
        let schema = schema();
        let error = column_id(&schema.index().unwrap(), "nope", true).unwrap_err().to_string();
        assert_eq!(
            error,
            "Cannot find field 'nope' in struct: struct<1: id: required long, 2: Id: optional long, \
             3: Place: optional struct, 5: tags: optional list, 8: m: optional map>"
        );
    }
}
