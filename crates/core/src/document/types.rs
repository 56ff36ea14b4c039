//! Column types. A type outside the specification can be read and kept, but not added.

use std::borrow::Cow;

use super::json::{Edits, Object, compact, excerpt, join_if_changed, quote};
use super::{DocumentError, default_value, type_name};

/// The maximum nesting of types: more than any real table has, few enough not to exhaust the stack.
const MAX_DEPTH: usize = 64;

/// A column's type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// A type written as a string, in its canonical spelling such as `decimal(9,2)`.
    Primitive(Primitive, String),
    /// Fields with names.
    Struct(StructType),
    /// A list.
    List(Box<ListType>),
    /// A map.
    Map(Box<MapType>),
    /// Any other object: its compact JSON.
    Opaque(String),
}

/// The kind of a primitive type, as far as rules distinguish kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Primitive {
    /// `boolean`
    Boolean,
    /// `int`
    Int,
    /// `long`
    Long,
    /// `float`
    Float,
    /// `double`
    Double,
    /// `date`
    Date,
    /// `time`
    Time,
    /// `timestamp` and `timestamptz`
    Timestamp,
    /// `timestamp_ns` and `timestamptz_ns` (v3)
    TimestampNano,
    /// `string`
    String,
    /// `uuid`
    Uuid,
    /// `binary`
    Binary,
    /// `fixed[n]`
    Fixed,
    /// `decimal(p,s)`
    Decimal,
    /// `unknown` (v3): always null
    Unknown,
    /// `variant` (v3)
    Variant,
    /// `geometry` (v3)
    Geometry,
    /// `geography` (v3)
    Geography,
    /// A name outside the specification.
    Other,
}

/// A struct. A schema is one, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StructType {
    /// Its fields in order.
    pub fields: Vec<Field>,
    others: Vec<(String, String)>,
}

/// A column, or a field of a struct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its id, unique in the schema.
    pub id: i32,
    /// Its name, unique in its struct.
    pub name: String,
    /// Whether it is never null.
    pub required: bool,
    /// Its type.
    pub field_type: Type,
    /// Its comment.
    pub doc: Option<String>,
    /// The value of rows written before the field existed (v3), as compact JSON.
    pub initial_default: Option<String>,
    /// The value that writers use if none is given (v3), as compact JSON.
    pub write_default: Option<String>,
    others: Vec<(String, String)>,
}

/// A list type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListType {
    /// The element's field id.
    pub element_id: i32,
    /// Whether elements are never null.
    pub element_required: bool,
    /// The element's type.
    pub element: Type,
    others: Vec<(String, String)>,
}

/// A map type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapType {
    /// The key's field id.
    pub key_id: i32,
    /// The key's type.
    pub key: Type,
    /// The value's field id.
    pub value_id: i32,
    /// Whether values are never null.
    pub value_required: bool,
    /// The value's type.
    pub value: Type,
    others: Vec<(String, String)>,
}

impl Type {
    /// Parses a type. Also returns its text in the specification's spelling.
    fn parse(text: &str, depth: usize) -> Result<(Self, Cow<'_, str>), DocumentError> {
        if depth > MAX_DEPTH {
            return Err(DocumentError::invalid(format!("Invalid schema: types are nested deeper than {MAX_DEPTH}")));
        }
        if text.starts_with('"') {
            let name: String = serde_json::from_str(text).map_err(|error| super::json::syntax("type", &error))?;
            let (primitive, spelling) = type_name::parse(&name);
            let known = primitive != Primitive::Other && !type_name::is_spelled_alike(&name, &spelling);
            let json = if known { Cow::Owned(quote(&spelling)) } else { Cow::Borrowed(text) };
            return Ok((Self::Primitive(primitive, spelling), json));
        }
        if !text.starts_with('{') {
            return Err(DocumentError::invalid(format!("Cannot parse type from json: {}", excerpt(text))));
        }
        let object = Object::parse("type", text)?;
        match object.string("type")?.as_str() {
            "struct" => {
                let mut edits = Edits::default();
                let fields = StructType::parse(&object, &["type", "fields"], depth, &mut edits)?;
                Ok((Self::Struct(fields), edits.apply(&object, text)))
            }
            "list" => ListType::parse(&object, text, depth),
            "map" => MapType::parse(&object, text, depth),
            _ => Ok((Self::Opaque(compact(text)), Cow::Borrowed(text))),
        }
    }

    /// Returns the primitive type with this name, in any accepted spelling. [`Type::is_unknown`] if there is none.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        let (primitive, spelling) = type_name::parse(name);
        Self::Primitive(primitive, spelling)
    }

    /// Returns precision and scale of a decimal with valid parameters.
    #[must_use]
    pub fn decimal_digits(&self) -> Option<(u8, u8)> {
        let Self::Primitive(Primitive::Decimal, name) = self else { return None };
        let (precision, scale) = type_name::decimal_digits(name).filter(|_| !self.is_malformed())?;
        Some((u8::try_from(precision).ok()?, u8::try_from(scale).ok()?))
    }

    /// Returns the length of a fixed with valid parameters, in bytes.
    #[must_use]
    pub fn fixed_length(&self) -> Option<u32> {
        let Self::Primitive(Primitive::Fixed, name) = self else { return None };
        u32::try_from(type_name::fixed_length(name).filter(|_| !self.is_malformed())?).ok()
    }

    /// Returns whether it is a timestamp that is an instant: `timestamptz` or `timestamptz_ns`.
    #[must_use]
    pub fn is_zoned(&self) -> bool {
        matches!(self, Self::Primitive(Primitive::Timestamp | Primitive::TimestampNano, name) if name.starts_with("timestamptz"))
    }

    /// Returns the first format version with the type.
    #[must_use]
    pub fn min_format_version(&self) -> u8 {
        use Primitive as P;
        match self {
            Self::Primitive(P::TimestampNano | P::Unknown | P::Variant | P::Geometry | P::Geography, _) => 3,
            Self::Primitive(..) | Self::Struct(_) | Self::List(_) | Self::Map(_) | Self::Opaque(_) => 1,
        }
    }

    /// Returns whether the specification has no such type: a typing error, or a type from after format version 3. Readers
    /// refuse the whole table for it.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Primitive(Primitive::Other, _) | Self::Opaque(_))
    }

    /// Returns whether it is a known type with invalid parameters (specification, "Primitive types"), such as `decimal(40,2)`,
    /// `fixed[]` or `geography(OGC:CRS84, foo)`.
    #[must_use]
    pub fn is_malformed(&self) -> bool {
        match self {
            Self::Primitive(primitive, name) => !type_name::has_valid_parameters(*primitive, name),
            _ => false,
        }
    }

    /// Returns whether it is a primitive type, as the source of a partition or sort field must be. A variant is not.
    #[must_use]
    pub fn is_primitive(&self) -> bool {
        matches!(self, Self::Primitive(primitive, _) if *primitive != Primitive::Variant)
    }
}

impl std::fmt::Display for Type {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Primitive(_, name) => f.write_str(name),
            Self::Struct(_) => f.write_str("struct"),
            Self::List(_) => f.write_str("list"),
            Self::Map(_) => f.write_str("map"),
            Self::Opaque(json) => f.write_str(&excerpt(json)),
        }
    }
}

impl ListType {
    fn parse<'t>(object: &Object<'_>, text: &'t str, depth: usize) -> Result<(Type, Cow<'t, str>), DocumentError> {
        let (element, element_json) = Type::parse(object.required("element")?, depth + 1)?;
        let mut edits = Edits::default();
        edits.correct(object, "element", element_json);
        let list = Self {
            element_id: object.i32("element-id")?,
            element_required: object.read("element-required", "true or false")?,
            element,
            others: object.others(&["type", "element-id", "element-required", "element"]),
        };
        Ok((Type::List(Box::new(list)), edits.apply(object, text)))
    }
}

impl MapType {
    fn parse<'t>(object: &Object<'_>, text: &'t str, depth: usize) -> Result<(Type, Cow<'t, str>), DocumentError> {
        let (key, key_json) = Type::parse(object.required("key")?, depth + 1)?;
        let (value, value_json) = Type::parse(object.required("value")?, depth + 1)?;
        let mut edits = Edits::default();
        edits.correct(object, "key", key_json);
        edits.correct(object, "value", value_json);
        let map = Self {
            key_id: object.i32("key-id")?,
            key,
            value_id: object.i32("value-id")?,
            value_required: object.read("value-required", "true or false")?,
            value,
            others: object.others(&["type", "key-id", "key", "value-id", "value-required", "value"]),
        };
        Ok((Type::Map(Box::new(map)), edits.apply(object, text)))
    }
}

impl StructType {
    /// Parses a struct. The keys in `known` belong to the struct; others are kept for comparison. Adds corrections of the
    /// spelling to `edits`.
    pub(super) fn parse(
        object: &Object<'_>,
        known: &[&str],
        depth: usize,
        edits: &mut Edits<'_>,
    ) -> Result<Self, DocumentError> {
        let texts = object.array("fields")?;
        let mut fields = Vec::with_capacity(texts.len());
        let mut spelled = Vec::with_capacity(texts.len());
        for text in texts {
            let (field, json) = Field::parse(text, depth + 1)?;
            fields.push(field);
            spelled.push(json);
        }
        if let Some(fields) = join_if_changed(&spelled) {
            edits.set("fields", fields);
        }
        Ok(Self { fields, others: object.others(known) })
    }
}

impl Field {
    fn parse(text: &str, depth: usize) -> Result<(Self, Cow<'_, str>), DocumentError> {
        let object = Object::parse("struct field", text)?;
        let (field_type, type_json) = Type::parse(object.required("type")?, depth)?;
        let mut edits = Edits::default();
        edits.correct(&object, "type", type_json);
        edits.drop_nulls(&object, &["doc", "initial-default", "write-default"]);
        let mut default = |key: &'static str| {
            let json = object.get(key).map(compact)?;
            let spelled = default_value::spelled(&field_type, &json);
            if spelled != json {
                edits.set(key, spelled.clone());
            }
            Some(spelled)
        };
        let (initial_default, write_default) = (default("initial-default"), default("write-default"));
        let field = Self {
            id: object.i32("id")?,
            name: object.string("name")?,
            required: object.read("required", "true or false")?,
            field_type,
            doc: object.optional_string("doc")?,
            initial_default,
            write_default,
            others: object.others(&["id", "name", "required", "type", "doc", "initial-default", "write-default"]),
        };
        Ok((field, edits.apply(&object, text)))
    }
}
