//! Sort orders.

use std::borrow::Cow;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hash;
use std::sync::Arc;

use super::json::{Edits, Object, excerpt, join, join_if_changed};
use super::partition::{rewrite_sources, source_ids, sources_problem, transform};
use super::schema::SchemaIndex;
use super::transform::Transform;
use super::{DocumentError, FreshIds};

/// The id of the order that does not sort. No other order may have it.
pub const UNSORTED_ORDER_ID: i32 = 0;

/// A sort order, with its JSON text.
#[derive(Debug, Clone)]
pub struct SortOrder {
    id: i32,
    fields: Vec<SortField>,
    json: Arc<str>,
}

/// One field of a sort order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortField {
    /// The source columns: one, or several for a transform with several arguments (v3).
    pub source_ids: Vec<i32>,
    /// The function of the source columns.
    pub transform: Transform,
    /// The direction of sorting.
    pub direction: Direction,
    /// The position of nulls.
    pub null_order: NullOrder,
    /// Its `source-id`, which some documents have besides `source-ids`.
    named_source: Option<i32>,
    others: Vec<(String, String)>,
}

/// The direction of sorting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// `asc`
    Ascending,
    /// `desc`
    Descending,
}

/// The position of nulls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NullOrder {
    /// `nulls-first`
    First,
    /// `nulls-last`
    Last,
}

impl SortOrder {
    /// Parses a sort order: an object with `fields`, and `order-id` unless it is new. Keeps its JSON in the specification's
    /// spelling.
    ///
    /// # Errors
    /// Fails if a field lacks a value, or the id is 0 for an order that sorts, or not 0 for one that does not.
    pub fn parse(text: &str) -> Result<Self, DocumentError> {
        let object = Object::parse("sort order", text)?;
        let texts = object.array("fields")?;
        let mut edits = Edits::default();
        let mut fields = Vec::with_capacity(texts.len());
        let mut spelled = Vec::with_capacity(texts.len());
        for text in texts {
            let (field, json) = SortField::parse(text)?;
            fields.push(field);
            spelled.push(json);
        }
        if let Some(fields) = join_if_changed(&spelled) {
            edits.set("fields", fields);
        }
        let id = object.optional_i32("order-id")?.unwrap_or(i32::from(!fields.is_empty()));
        if object.get("order-id").is_none() {
            edits.set("order-id", id.to_string());
        }
        if fields.is_empty() && id != UNSORTED_ORDER_ID {
            return Err(DocumentError::invalid("Unsorted order ID must be 0"));
        }
        if !fields.is_empty() && id == UNSORTED_ORDER_ID {
            return Err(DocumentError::invalid("Sort order ID 0 is reserved for unsorted order"));
        }
        Ok(Self { id, fields, json: edits.apply(&object, text).into() })
    }

    /// Returns the order that does not sort.
    pub(crate) fn unsorted() -> Result<Self, DocumentError> {
        Self::parse(r#"{"order-id":0,"fields":[]}"#)
    }

    /// Returns its id.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.id
    }

    /// Returns its fields.
    #[must_use]
    pub fn fields(&self) -> &[SortField] {
        &self.fields
    }

    /// Returns its JSON.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }

    /// Returns whether both sort alike.
    #[must_use]
    pub fn same_order(&self, other: &Self) -> bool {
        self.fields.len() == other.fields.len()
            && self.fields.iter().zip(&other.fields).all(|(one, two)| {
                one.source_ids == two.source_ids
                    && one.transform == two.transform
                    && (one.direction, one.null_order) == (two.direction, two.null_order)
                    && one.others == two.others
            })
    }

    /// Hashes the values that [`SortOrder::same_order`] compares, except directions.
    pub(crate) fn hash_fields(&self, hasher: &mut DefaultHasher) {
        for field in &self.fields {
            (&field.source_ids, &field.transform, &field.others).hash(hasher);
        }
    }

    /// Checks whether the order may be added to a table of this format version with this current schema.
    ///
    /// # Errors
    /// Same as [`SortOrder::check_fields`] and [`SortOrder::check_sources`].
    pub fn check_new(&self, schema: &SchemaIndex<'_>, format_version: u8) -> Result<(), DocumentError> {
        self.check_fields(format_version)?;
        self.check_sources(schema)
    }

    /// Checks whether a table of this format version may have the order, whatever its schema.
    ///
    /// # Errors
    /// Fails if a transform is malformed, or takes several columns before v3.
    pub fn check_fields(&self, format_version: u8) -> Result<(), DocumentError> {
        for field in &self.fields {
            if field.transform.is_malformed() {
                return Err(DocumentError::invalid(format!("Invalid transform: {}", field.transform)));
            }
            if let Some(why) = sources_problem(&field.source_ids, field.named_source, format_version) {
                return Err(DocumentError::invalid(format!("Invalid sort field {}: {why}", field.transform)));
            }
        }
        Ok(())
    }

    /// Checks that each field's source exists, and has a type that its transform accepts.
    ///
    /// # Errors
    /// Fails if a source is missing, is a struct, list or map, or has another type.
    pub fn check_sources(&self, schema: &SchemaIndex<'_>) -> Result<(), DocumentError> {
        for field in &self.fields {
            let transform = &field.transform;
            for id in &field.source_ids {
                let Some(source) = schema.column(*id) else {
                    return Err(DocumentError::invalid(format!(
                        "Cannot find source column for sort field: {transform}({id})"
                    )));
                };
                let kind = source.column_type;
                if !kind.is_primitive() {
                    return Err(DocumentError::invalid(format!("Cannot sort by non-primitive source field: {kind}")));
                }
                if !transform.applies_to(kind) {
                    return Err(DocumentError::invalid(format!(
                        "Invalid source type {kind} for transform: {transform}"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Returns the order with another id.
    pub(crate) fn with_id(&self, id: i32) -> Result<Self, DocumentError> {
        Self::parse(&Object::parse("sort order", &self.json)?.rewrite(&[("order-id", Some(&id.to_string()))]))
    }

    /// Returns the order for a new table: id 1 (0 if it does not sort), sources with the ids of the new schema.
    pub(crate) fn with_fresh_ids(&self, ids: &FreshIds) -> Result<Self, DocumentError> {
        if self.fields.is_empty() {
            return Self::unsorted();
        }
        let object = Object::parse("sort order", &self.json)?;
        let mut texts = Vec::with_capacity(self.fields.len());
        for (text, field) in object.array("fields")?.into_iter().zip(&self.fields) {
            let object = Object::parse("sort field", text)?;
            let sources = rewrite_sources(&object, "sort", &field.transform.to_string(), |id| ids.new_id(id))?;
            let changes: Vec<_> = sources.iter().map(|(key, value)| (*key, Some(value.as_str()))).collect();
            texts.push(object.rewrite(&changes));
        }
        Self::parse(&object.rewrite(&[("order-id", Some("1")), ("fields", Some(&join(&texts)))]))
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.json.len() * 3 + size_of::<Self>()
    }
}

impl SortField {
    fn parse(text: &str) -> Result<(Self, Cow<'_, str>), DocumentError> {
        let object = Object::parse("sort field", text)?;
        let written = (object.string("direction")?, object.string("null-order")?);
        let (direction, direction_name) = match written.0.trim().to_ascii_lowercase().as_str() {
            "asc" => (Direction::Ascending, "asc"),
            "desc" => (Direction::Descending, "desc"),
            _ => return Err(DocumentError::invalid(format!("Invalid sort direction: {}", excerpt(&written.0)))),
        };
        let (null_order, null_order_name) = match written.1.trim().to_ascii_lowercase().as_str() {
            "nulls-first" => (NullOrder::First, "nulls-first"),
            "nulls-last" => (NullOrder::Last, "nulls-last"),
            _ => return Err(DocumentError::invalid(format!("Unexpected null order: {}", excerpt(&written.1)))),
        };
        let mut edits = Edits::default();
        edits.correct_string("direction", &written.0, direction_name);
        edits.correct_string("null-order", &written.1, null_order_name);
        let field = Self {
            source_ids: source_ids(&object, &mut edits)?,
            named_source: object.optional_i32("source-id")?,
            transform: transform(&object, &mut edits)?,
            direction,
            null_order,
            others: object.others(&["source-id", "source-ids", "transform", "direction", "null-order"]),
        };
        Ok((field, edits.apply(&object, text)))
    }
}
