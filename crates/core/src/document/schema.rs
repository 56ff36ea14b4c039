//! Schemas: the columns of a table, and the checks of a schema.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hash;
use std::sync::Arc;

use super::json::{Edits, Object, excerpt, join};
use super::types::{Field, Primitive, StructType, Type};
use super::{DocumentError, FreshIds, default_value};

/// The highest id of a column. Higher ids belong to metadata columns (specification, "Reserved Field IDs").
const MAX_FIELD_ID: i32 = 2_147_483_447;

/// The maximum total length of the full names of a schema's columns, in bytes. Nested fields repeat the names above them,
/// so the total needs a limit.
const MAX_NAMES_BYTES: usize = 32 << 20;

/// A schema, with its JSON text.
#[derive(Debug, Clone)]
pub struct Schema {
    id: i32,
    fields: StructType,
    identifier_field_ids: Vec<i32>,
    highest_field_id: i32,
    json: Arc<str>,
}

/// A column or nested field of a schema, by its id.
#[derive(Debug, Clone, Copy)]
pub struct Column<'a> {
    /// Its own name.
    pub name: &'a str,
    /// Whether it is never null.
    pub required: bool,
    /// Its type.
    pub column_type: &'a Type,
    /// The id of the field that it is nested in.
    pub parent: Option<i32>,
}

/// The columns and nested fields of a schema by id and by name.
#[derive(Debug, Default)]
pub struct SchemaIndex<'a> {
    columns: HashMap<i32, Column<'a>>,
    ids: HashMap<String, i32>,
    short_ids: HashMap<String, i32>,
    names_bytes: usize,
}

impl Schema {
    /// Parses a schema. Without `schema-id`, its id is 0. Keeps its JSON in the specification's spelling: types in lower case,
    /// no optional fields that are null.
    ///
    /// # Errors
    /// Fails if it is not a struct, two fields share an id or a name, or an identifier field is not a required primitive column.
    pub fn parse(text: &str) -> Result<Self, DocumentError> {
        let object = Object::parse("schema", text)?;
        let kind = object.string("type")?;
        if kind != "struct" {
            return Err(DocumentError::invalid(format!("Cannot create schema, not a struct type: {kind}")));
        }
        let mut edits = Edits::default();
        edits.drop_nulls(&object, &["identifier-field-ids"]);
        let id = object.optional_i32("schema-id")?.unwrap_or(0);
        if object.get("schema-id").is_none() {
            edits.set("schema-id", id.to_string());
        }
        let fields =
            StructType::parse(&object, &["type", "schema-id", "identifier-field-ids", "fields"], 0, &mut edits)?;
        let mut identifiers: Vec<i32> =
            object.optional_read("identifier-field-ids", "an array of field ids")?.unwrap_or_default();
        let given = identifiers.len();
        identifiers.sort_unstable();
        identifiers.dedup();
        if identifiers.len() < given {
            edits.set("identifier-field-ids", join(&strings(&identifiers)));
        }
        let index = SchemaIndex::new(&fields)?;
        for id in &identifiers {
            index.check_identifier(*id)?;
        }
        let highest_field_id = index.columns.keys().copied().max().unwrap_or(0);
        let json = edits.apply(&object, text).into();
        Ok(Self { id, fields, identifier_field_ids: identifiers, highest_field_id, json })
    }

    /// Returns its id.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.id
    }

    /// Returns its columns.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields.fields
    }

    /// Returns the ids of the columns that identify a row, sorted.
    #[must_use]
    pub fn identifier_field_ids(&self) -> &[i32] {
        &self.identifier_field_ids
    }

    /// Returns the highest id of a column or nested field; 0 if there is none.
    #[must_use]
    pub fn highest_field_id(&self) -> i32 {
        self.highest_field_id
    }

    /// Returns its JSON.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }

    /// Returns whether both have the same columns. Ignores the schemas' own ids.
    #[must_use]
    pub fn same_columns(&self, other: &Self) -> bool {
        self.fields == other.fields && self.identifier_field_ids == other.identifier_field_ids
    }

    /// Hashes a part of the values that [`Schema::same_columns`] compares: the columns' ids and names.
    pub(crate) fn hash_columns(&self, hasher: &mut DefaultHasher) {
        self.highest_field_id.hash(hasher);
        for field in &self.fields.fields {
            (field.id, &field.name, &field.doc).hash(hasher);
        }
    }

    /// Returns its columns and nested fields by id and by name.
    ///
    /// # Errors
    /// Never for a parsed schema, whose names were checked.
    pub fn index(&self) -> Result<SchemaIndex<'_>, DocumentError> {
        SchemaIndex::new(&self.fields)
    }

    /// Returns the schema with another id.
    pub(crate) fn with_id(&self, id: i32) -> Result<Self, DocumentError> {
        let json = Object::parse("schema", &self.json)?.rewrite(&[("schema-id", Some(&id.to_string()))]);
        Ok(Self { id, json: json.into(), ..self.clone() })
    }

    /// Returns the schema with id 0 and new field ids, in the order of the reference implementation.
    pub(crate) fn with_fresh_ids(&self, ids: &mut FreshIds) -> Result<Self, DocumentError> {
        let object = Object::parse("schema", &self.json)?;
        let fields = ids.rewrite_fields(&object, &self.fields)?;
        let identifiers = self.identifier_field_ids.iter().map(|id| ids.new_id(*id)).collect::<Option<Vec<i32>>>();
        let identifiers = identifiers.ok_or_else(|| DocumentError::invalid("Identifier field does not exist"))?;
        let identifiers = (!identifiers.is_empty()).then(|| join(&strings(&identifiers)));
        let json = object.rewrite(&[
            ("schema-id", Some("0")),
            ("identifier-field-ids", identifiers.as_deref()),
            ("fields", Some(&fields)),
        ]);
        Self::parse(&json)
    }

    /// Checks whether a table of this format version may have the schema.
    ///
    /// # Errors
    /// Fails if there are [`Schema::problems`]; the message lists them.
    pub fn check_format_version(&self, format_version: u8) -> Result<(), DocumentError> {
        let problems = self.problems(format_version)?;
        if problems.is_empty() {
            return Ok(());
        }
        Err(DocumentError::invalid(format!("Invalid schema for v{format_version}:\n- {}", problems.join("\n- "))))
    }

    /// Returns why readers of this format version would refuse the schema, a sentence for each column: an unknown, malformed
    /// or too new type, a default that does not fit the type, a reserved id.
    ///
    /// # Errors
    /// Same as [`Schema::index`].
    pub fn problems(&self, format_version: u8) -> Result<Vec<String>, DocumentError> {
        let index = self.index()?;
        let mut problems = std::collections::BTreeMap::new();
        for (id, column) in &index.columns {
            if let Some(why) = column.problem(*id, format_version) {
                problems.insert(*id, format!("Invalid type for {}: {why}", index.full_name(*id)));
            }
        }
        each_field(&self.fields, &mut |field| {
            if let Some((which, why)) = default_problem(field, format_version) {
                let name = index.full_name(field.id);
                problems.entry(field.id).or_insert_with(|| format!("Invalid {which} default for {name}: {why}"));
            }
        });
        Ok(problems.into_values().collect())
    }

    pub(crate) fn size_bytes(&self) -> usize {
        // Measured: the typed view takes one to three times the length of the text.
        self.json.len() * 3 + size_of::<Self>()
    }
}

fn strings(ids: &[i32]) -> Vec<String> {
    ids.iter().map(i32::to_string).collect()
}

/// Returns which default of a field a table of this format version cannot have, and why.
fn default_problem(field: &Field, format_version: u8) -> Option<(&'static str, String)> {
    if let (Some(value), true) = (&field.initial_default, format_version < 3) {
        return Some(("initial", format!("non-null default ({}) is not supported until v3", excerpt(value))));
    }
    [("initial", &field.initial_default), ("write", &field.write_default)].into_iter().find_map(|(which, value)| {
        let why = default_value::problem(&field.field_type, value.as_deref()?)?;
        Some((which, format!("{why} ({})", field.field_type)))
    })
}

/// Calls `see` for each field of the struct and of all nested structs.
fn each_field(fields: &StructType, see: &mut impl FnMut(&Field)) {
    for field in &fields.fields {
        see(field);
        each_field_within(&field.field_type, see);
    }
}

fn each_field_within(within: &Type, see: &mut impl FnMut(&Field)) {
    match within {
        Type::Struct(fields) => each_field(fields, see),
        Type::List(list) => each_field_within(&list.element, see),
        Type::Map(map) => {
            each_field_within(&map.key, see);
            each_field_within(&map.value, see);
        }
        Type::Primitive(..) | Type::Opaque(_) => {}
    }
}

impl Column<'_> {
    /// Returns why a table of this format version cannot have the column with this id.
    fn problem(&self, id: i32, format_version: u8) -> Option<String> {
        let kind = self.column_type;
        let needed = kind.min_format_version();
        if kind.is_unknown() {
            Some(format!("the specification has no type {kind}"))
        } else if kind.is_malformed() {
            Some(format!("{kind} has wrong parameters"))
        } else if format_version < needed {
            Some(format!("{kind} is not supported until v{needed}"))
        } else if self.required && matches!(kind, Type::Primitive(Primitive::Unknown, _)) {
            Some("Cannot create required field with unknown type".to_owned())
        } else if self.name.is_empty() {
            Some("its name is empty".to_owned())
        } else if id > MAX_FIELD_ID {
            Some(format!("its id {id} is reserved, as all above {MAX_FIELD_ID}"))
        } else {
            None
        }
    }
}

impl<'a> SchemaIndex<'a> {
    fn new(fields: &'a StructType) -> Result<Self, DocumentError> {
        let mut index = Self::default();
        index.add_struct(fields, None, "", "")?;
        Ok(index)
    }

    /// Returns the column or nested field with this id.
    #[must_use]
    pub fn column(&self, id: i32) -> Option<Column<'a>> {
        self.columns.get(&id).copied()
    }

    /// Returns the id of the field with this full name (`a.b`, `list.element.c`) or short name (`list.c`).
    #[must_use]
    pub fn id_of(&self, name: &str) -> Option<i32> {
        self.ids.get(name).or_else(|| self.short_ids.get(name)).copied()
    }

    /// Returns the full names of all columns and nested fields, with their ids, in no order.
    pub fn full_names(&self) -> impl Iterator<Item = (&str, i32)> {
        self.ids.iter().map(|(name, id)| (name.as_str(), *id))
    }

    /// Returns the short names (`list.c` for `list.element.c`), with their ids, in no order. Some are full names, too.
    pub fn short_names(&self) -> impl Iterator<Item = (&str, i32)> {
        self.short_ids.iter().map(|(name, id)| (name.as_str(), *id))
    }

    /// Returns the names from the top level down, joined by dots. Empty if there is no field with this id.
    #[must_use]
    pub fn full_name(&self, id: i32) -> String {
        let mut names = Vec::new();
        let mut next = Some(id);
        while let Some(column) = next.and_then(|id| self.columns.get(&id)) {
            names.push(column.name);
            next = column.parent;
        }
        names.reverse();
        names.join(".")
    }

    fn add_struct(
        &mut self,
        fields: &'a StructType,
        parent: Option<i32>,
        prefix: &str,
        short_prefix: &str,
    ) -> Result<(), DocumentError> {
        for field in &fields.fields {
            let column = Column { name: &field.name, required: field.required, column_type: &field.field_type, parent };
            self.add(field.id, column, prefix, short_prefix, &field.name)?;
        }
        Ok(())
    }

    /// Adds a column and its nested fields. Short names omit `element` and `value` above a struct.
    fn add(
        &mut self,
        id: i32,
        column: Column<'a>,
        prefix: &str,
        short_prefix: &str,
        short_name: &str,
    ) -> Result<(), DocumentError> {
        if self.columns.insert(id, column).is_some() {
            return Err(DocumentError::invalid(format!("Invalid schema: multiple fields for id {id}")));
        }
        let name = joined(prefix, column.name);
        let short = if short_name.is_empty() { short_prefix.to_owned() } else { joined(short_prefix, short_name) };
        self.names_bytes += name.len() + short.len();
        if self.names_bytes > MAX_NAMES_BYTES {
            return Err(DocumentError::invalid("Invalid schema: the names of its columns are too long"));
        }
        match column.column_type {
            Type::Struct(fields) => self.add_struct(fields, Some(id), &name, &short)?,
            Type::List(list) => {
                let element = Column {
                    name: "element",
                    required: list.element_required,
                    column_type: &list.element,
                    parent: Some(id),
                };
                let short_name = if matches!(list.element, Type::Struct(_)) { "" } else { "element" };
                self.add(list.element_id, element, &name, &short, short_name)?;
            }
            Type::Map(map) => {
                let key = Column { name: "key", required: true, column_type: &map.key, parent: Some(id) };
                self.add(map.key_id, key, &name, &short, "key")?;
                let value =
                    Column { name: "value", required: map.value_required, column_type: &map.value, parent: Some(id) };
                let short_name = if matches!(map.value, Type::Struct(_)) { "" } else { "value" };
                self.add(map.value_id, value, &name, &short, short_name)?;
            }
            Type::Primitive(..) | Type::Opaque(_) => {}
        }
        self.short_ids.entry(short).or_insert(id);
        if let Some(other) = self.ids.insert(name, id) {
            let name = excerpt(&self.full_name(id));
            return Err(DocumentError::invalid(format!(
                "Invalid schema: multiple fields for name {name}: {other} and {id}"
            )));
        }
        Ok(())
    }

    fn check_identifier(&self, id: i32) -> Result<(), DocumentError> {
        let refuse = |why: String| Err(DocumentError::invalid(format!("Cannot add {why}")));
        let Some(column) = self.column(id) else {
            return refuse(format!("fieldId {id} as an identifier field: field does not exist"));
        };
        let name = column.name;
        let (Type::Primitive(primitive, _), true) = (column.column_type, column.column_type.is_primitive()) else {
            return refuse(format!("field {name} as an identifier field: not a primitive type field"));
        };
        if !column.required {
            return refuse(format!("field {name} as an identifier field: not a required field"));
        }
        if matches!(primitive, Primitive::Float | Primitive::Double) {
            return refuse(format!("field {name} as an identifier field: must not be float or double field"));
        }
        let mut parent = column.parent;
        while let Some(above) = parent.and_then(|id| self.column(id)) {
            if !matches!(above.column_type, Type::Struct(_)) {
                return refuse(format!(
                    "field {name} as an identifier field: must not be nested in {} {}",
                    above.column_type, above.name
                ));
            }
            if !above.required {
                return refuse(format!(
                    "field {name} as an identifier field: must not be nested in an optional field {}",
                    above.name
                ));
            }
            parent = above.parent;
        }
        Ok(())
    }
}

fn joined(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}
