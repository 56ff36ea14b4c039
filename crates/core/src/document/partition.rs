//! Partition specs.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hash;
use std::sync::Arc;

use super::json::{Edits, Object, array, join, join_if_changed};
use super::schema::SchemaIndex;
use super::transform::Transform;
use super::types::Type;
use super::{DocumentError, FreshIds};

/// The first id of a partition field (table specification, "Partition Specs"). The manifests' own fields have lower ids.
pub(crate) const FIRST_PARTITION_FIELD_ID: i32 = 1000;

/// A partition spec, with its JSON text.
#[derive(Debug, Clone)]
pub struct PartitionSpec {
    id: i32,
    fields: Vec<PartitionField>,
    ids_missing: bool,
    json: Arc<str>,
}

/// One field of a partition spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionField {
    /// The source columns: one, or several for a transform with several arguments (v3).
    pub source_ids: Vec<i32>,
    /// Its own id.
    pub field_id: i32,
    /// Its name.
    pub name: String,
    /// The function of the source columns.
    pub transform: Transform,
    /// Its `source-id`, which some documents have besides `source-ids`.
    named_source: Option<i32>,
    others: Vec<(String, String)>,
}

impl PartitionField {
    /// Returns whether both are the same function of the same columns.
    #[must_use]
    pub fn same_value(&self, other: &Self) -> bool {
        self.value() == other.value()
    }

    /// Returns the source columns and the transform.
    pub(crate) fn value(&self) -> (&[i32], &Transform) {
        (&self.source_ids, &self.transform)
    }
}

impl PartitionSpec {
    /// Parses a spec: an object with `fields`, and `spec-id` unless it is new. Keeps its JSON in the specification's spelling:
    /// known transforms in lower case, `source-id` for a single source, no optional field that is null.
    ///
    /// # Errors
    /// Fails if a field lacks a name, transform or source, or only some fields have ids.
    pub fn parse(text: &str) -> Result<Self, DocumentError> {
        let object = Object::parse("partition spec", text)?;
        let id = object.optional_i32("spec-id")?.unwrap_or(0);
        let mut edits = Edits::default();
        if object.get("spec-id").is_none() {
            edits.set("spec-id", id.to_string());
        }
        let (fields, ids_missing) = parse_fields(&object.array("fields")?, &mut edits)?;
        Ok(Self { id, fields, ids_missing, json: edits.apply(&object, text).into() })
    }

    /// Parses the only spec of a v1 document without a list of specs, from its array of fields.
    pub(super) fn from_fields(fields: &str) -> Result<Self, DocumentError> {
        Self::parse(&format!(r#"{{"spec-id":0,"fields":{fields}}}"#))
    }

    /// Returns the spec of an unpartitioned table.
    pub(crate) fn unpartitioned() -> Result<Self, DocumentError> {
        Self::from_fields("[]")
    }

    /// Returns its id.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.id
    }

    /// Returns its fields. Fields without ids in the JSON count from 1000.
    #[must_use]
    pub fn fields(&self) -> &[PartitionField] {
        &self.fields
    }

    /// Returns whether the JSON has no ids for its fields.
    #[must_use]
    pub fn ids_missing(&self) -> bool {
        self.ids_missing && !self.fields.is_empty()
    }

    /// Returns its JSON.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }

    /// Returns the JSON of its fields alone, as v1 has it in `partition-spec`.
    pub(super) fn fields_json(&self) -> Result<String, DocumentError> {
        Object::parse("partition spec", &self.json)?.required("fields").map(str::to_owned)
    }

    /// Returns the highest id of its fields; 999 if it has none.
    #[must_use]
    pub fn highest_field_id(&self) -> i32 {
        self.fields.iter().map(|field| field.field_id).max().unwrap_or(0).max(FIRST_PARTITION_FIELD_ID - 1)
    }

    /// Returns whether both have the same partitioning. Compares names, but not ids.
    #[must_use]
    pub fn compatible_with(&self, other: &Self) -> bool {
        self.fields.len() == other.fields.len()
            && self
                .fields
                .iter()
                .zip(&other.fields)
                .all(|(one, two)| one.same_value(two) && one.name == two.name && one.others == two.others)
    }

    /// Hashes the values that [`PartitionSpec::compatible_with`] compares.
    pub(crate) fn hash_fields(&self, hasher: &mut DefaultHasher) {
        for field in &self.fields {
            (field.value(), &field.name, &field.others).hash(hasher);
        }
    }

    /// Returns whether the field ids are 1000, 1001 and so on. v1 requires that, since its manifests have no field ids.
    #[must_use]
    pub fn has_sequential_ids(&self) -> bool {
        self.fields.iter().zip(FIRST_PARTITION_FIELD_ID..).all(|(field, id)| field.field_id == id)
    }

    /// Checks whether the spec may be added to a table of this format version with this current schema.
    ///
    /// # Errors
    /// Same as [`PartitionSpec::check_fields`], [`PartitionSpec::check_names`] and [`PartitionSpec::check_sources`].
    pub fn check_new(&self, schema: &SchemaIndex<'_>, format_version: u8) -> Result<(), DocumentError> {
        self.check_names(schema)?;
        self.check_fields(format_version)?;
        self.check_sources(schema)
    }

    /// Checks whether a table of this format version may have the spec, whatever its schema.
    ///
    /// # Errors
    /// Fails if its fields have no ids from v2 on, or an id is used twice; if a transform is malformed, or takes several columns
    /// before v3.
    pub fn check_fields(&self, format_version: u8) -> Result<(), DocumentError> {
        if format_version > 1 && self.ids_missing() {
            return Err(DocumentError::invalid("Partition fields need a field-id from v2 on"));
        }
        let mut ids = HashSet::new();
        for field in &self.fields {
            if !ids.insert(field.field_id) {
                return Err(DocumentError::invalid(format!(
                    "Cannot use partition field id more than once: {}",
                    field.field_id
                )));
            }
            if field.transform.is_malformed() {
                return Err(DocumentError::invalid(format!("Invalid transform: {}", field.transform)));
            }
            if let Some(why) = sources_problem(&field.source_ids, field.named_source, format_version) {
                return Err(DocumentError::invalid(format!("Invalid partition field {}: {why}", field.name)));
            }
        }
        Ok(())
    }

    /// Checks that readers can bind the names of the spec's fields to this current schema. When it reads a table, the
    /// reference implementation checks them for all specs, not only for the default one.
    ///
    /// # Errors
    /// Fails if a name is empty, used twice, or the name of another column while the field's own source exists.
    pub fn check_names(&self, schema: &SchemaIndex<'_>) -> Result<(), DocumentError> {
        let mut names = HashSet::new();
        for field in &self.fields {
            let name = &field.name;
            let source = field.source_ids.first().copied();
            if let (Some(_), Some(id)) = (source.and_then(|id| schema.column(id)), schema.id_of(name))
                && source != Some(id)
            {
                return Err(DocumentError::invalid(format!(
                    "Cannot create identity partition sourced from different field in schema: {name}"
                )));
            }
            if name.is_empty() {
                return Err(DocumentError::invalid("Cannot use empty partition name"));
            }
            if !names.insert(name) {
                return Err(DocumentError::invalid(format!("Cannot use partition name more than once: {name}")));
            }
        }
        Ok(())
    }

    /// Checks that each field's source exists, and has a type that its transform accepts. A dropped (`void`) field needs no
    /// source.
    ///
    /// # Errors
    /// Fails if a source is missing; otherwise same as [`PartitionSpec::check_types`].
    pub fn check_sources(&self, schema: &SchemaIndex<'_>) -> Result<(), DocumentError> {
        for field in self.fields.iter().filter(|field| field.transform != Transform::Void) {
            if let Some(id) = field.source_ids.iter().find(|id| schema.column(**id).is_none()) {
                return Err(DocumentError::invalid(format!(
                    "Cannot find source column for partition field: {}: {}({id})",
                    field.name, field.transform
                )));
            }
        }
        self.check_types(schema)
    }

    /// Checks that the sources that the schema has are of types that the transforms accept. Readers bind older specs, too, as
    /// far as their columns exist.
    ///
    /// # Errors
    /// Fails if a source is a struct, list or map, is nested in a list or map, or has another type.
    pub fn check_types(&self, schema: &SchemaIndex<'_>) -> Result<(), DocumentError> {
        for field in self.fields.iter().filter(|field| field.transform != Transform::Void) {
            for source in field.source_ids.iter().filter_map(|id| schema.column(*id)) {
                let kind = source.column_type;
                if !kind.is_primitive() {
                    return Err(DocumentError::invalid(format!(
                        "Cannot partition by non-primitive source field: {kind}"
                    )));
                }
                if !field.transform.applies_to(kind) {
                    return Err(DocumentError::invalid(format!(
                        "Invalid source type {kind} for transform: {}",
                        field.transform
                    )));
                }
                let mut parent = source.parent;
                while let Some(above) = parent.and_then(|id| schema.column(id)) {
                    if !matches!(above.column_type, Type::Struct(_)) {
                        let kind = above.column_type;
                        return Err(DocumentError::invalid(format!("Invalid partition field parent: {kind}")));
                    }
                    parent = above.parent;
                }
            }
        }
        Ok(())
    }

    /// Returns the spec with the ids of its fields in its JSON.
    pub(crate) fn with_ids_written(&self) -> Result<Self, DocumentError> {
        let ids: Vec<i32> = self.fields.iter().map(|field| field.field_id).collect();
        self.with_ids(self.id, &ids)
    }

    /// Returns the spec with another id and these field ids.
    pub(crate) fn with_ids(&self, id: i32, field_ids: &[i32]) -> Result<Self, DocumentError> {
        self.rewritten(id, |position| field_ids.get(position).copied(), Some)
    }

    /// Returns the spec for a new table: id 0, field ids from 1000, sources with the ids of the new schema.
    pub(crate) fn with_fresh_ids(&self, ids: &FreshIds) -> Result<Self, DocumentError> {
        let field_id = |position: usize| {
            i32::try_from(position).ok().and_then(|position| FIRST_PARTITION_FIELD_ID.checked_add(position))
        };
        self.rewritten(0, field_id, |source| ids.new_id(source))
    }

    fn rewritten(
        &self,
        id: i32,
        field_id: impl Fn(usize) -> Option<i32>,
        source_id: impl Fn(i32) -> Option<i32>,
    ) -> Result<Self, DocumentError> {
        let object = Object::parse("partition spec", &self.json)?;
        let mut texts = Vec::with_capacity(self.fields.len());
        for (position, (text, field)) in object.array("fields")?.into_iter().zip(&self.fields).enumerate() {
            let new_id = field_id(position).ok_or_else(|| DocumentError::invalid("Too many partition fields"))?;
            let object = Object::parse("partition field", text)?;
            let sources = rewrite_sources(&object, "partition", &field.name, &source_id)?;
            let new_id = new_id.to_string();
            let mut changes = vec![("field-id", Some(new_id.as_str()))];
            changes.extend(sources.iter().map(|(key, value)| (*key, Some(value.as_str()))));
            texts.push(object.rewrite(&changes));
        }
        Self::parse(&object.rewrite(&[("spec-id", Some(&id.to_string())), ("fields", Some(&join(&texts)))]))
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.json.len() * 3 + size_of::<Self>()
    }
}

fn parse_fields(texts: &[&str], edits: &mut Edits<'_>) -> Result<(Vec<PartitionField>, bool), DocumentError> {
    let mut fields = Vec::with_capacity(texts.len());
    let mut spelled = Vec::with_capacity(texts.len());
    let mut missing = 0;
    for (text, counted_id) in texts.iter().zip(FIRST_PARTITION_FIELD_ID..) {
        let object = Object::parse("partition field", text)?;
        let mut edits = Edits::default();
        edits.drop_nulls(&object, &["field-id"]);
        let field_id = object.optional_i32("field-id")?;
        missing += usize::from(field_id.is_none());
        fields.push(PartitionField {
            source_ids: source_ids(&object, &mut edits)?,
            named_source: object.optional_i32("source-id")?,
            field_id: field_id.unwrap_or(counted_id),
            name: object.string("name")?,
            transform: transform(&object, &mut edits)?,
            others: object.others(&["source-id", "source-ids", "field-id", "name", "transform"]),
        });
        spelled.push(edits.apply(&object, text));
    }
    if let Some(fields) = join_if_changed(&spelled) {
        edits.set("fields", fields);
    }
    if missing != 0 && missing != fields.len() {
        let all = fields.len();
        return Err(DocumentError::invalid(format!(
            "Cannot parse spec with missing field IDs: {missing} missing of {all} fields."
        )));
    }
    Ok((fields, missing != 0))
}

/// Reads the transform of a partition or sort field. Adds its spelling to `edits` if it is known.
pub(super) fn transform(object: &Object<'_>, edits: &mut Edits<'_>) -> Result<Transform, DocumentError> {
    let written = object.string("transform")?;
    let transform = Transform::parse(&written);
    edits.correct_string("transform", &written, &transform.to_string());
    Ok(transform)
}

/// Reads the sources of a partition or sort field: `source-ids` for several arguments (v3), else `source-id`. Adds
/// `source-id` to `edits` for a single source.
pub(super) fn source_ids(object: &Object<'_>, edits: &mut Edits<'_>) -> Result<Vec<i32>, DocumentError> {
    edits.drop_nulls(object, &["source-id", "source-ids"]);
    let Some(ids) = object.optional_read::<Vec<i32>>("source-ids", "an array of field ids")? else {
        return Ok(vec![object.i32("source-id")?]);
    };
    match (object.optional_i32("source-id")?, &ids[..]) {
        (None, []) => Ok(vec![object.i32("source-id")?]),
        (Some(first), []) => {
            edits.remove("source-ids");
            Ok(vec![first])
        }
        (Some(first), [one]) if first == *one => {
            edits.remove("source-ids");
            Ok(ids)
        }
        (None, [one]) => {
            edits.remove("source-ids");
            edits.set("source-id", one.to_string());
            Ok(ids)
        }
        _ => Ok(ids),
    }
}

/// Returns why a table of this format version cannot have a partition or sort field with these sources. `named` is its
/// `source-id`.
pub(super) fn sources_problem(source_ids: &[i32], named: Option<i32>, format_version: u8) -> Option<String> {
    match (source_ids, named) {
        ([first, ..], Some(named)) if *first != named => {
            Some(format!("its source-id {named} is not the first of its source-ids {source_ids:?}"))
        }
        ([_, _, ..], _) if format_version < 3 => {
            Some(format!("a transform of {} columns is not supported until v3", source_ids.len()))
        }
        _ => None,
    }
}

/// Returns the changes of `source-id` and `source-ids` of a partition or sort field when columns get new ids.
pub(super) fn rewrite_sources(
    object: &Object<'_>,
    kind: &str,
    name: &str,
    source_id: impl Fn(i32) -> Option<i32>,
) -> Result<Vec<(&'static str, String)>, DocumentError> {
    let new = |id: i32| {
        source_id(id).ok_or_else(|| {
            DocumentError::invalid(format!("Cannot find source column for {kind} field: {name} (source id {id})"))
        })
    };
    let mut changes = Vec::new();
    if let Some(id) = object.optional_i32("source-id")? {
        changes.push(("source-id", new(id)?.to_string()));
    }
    if let Some(texts) = object.get("source-ids").map(array).transpose()? {
        let ids = texts.iter().map(|text| {
            let id = text.parse().map_err(|_| DocumentError::invalid("source-ids must be field ids"))?;
            new(id).map(|id| id.to_string())
        });
        changes.push(("source-ids", join(&ids.collect::<Result<Vec<_>, _>>()?)));
    }
    Ok(changes)
}
