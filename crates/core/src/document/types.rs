//! Column types. Those that rules need are understood; any other is kept as it came.

use super::DocumentError;
use super::json::{Object, compact, excerpt};

/// How deep types may be nested: deeper than any real table, shallow enough that no schema exhausts a stack.
const MAX_DEPTH: usize = 64;

/// A column's type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// A type written as a string, in lower case and without spaces (except the parameters of geometry types).
    Primitive(Primitive, String),
    /// Fields with names.
    Struct(StructType),
    /// A list.
    List(Box<ListType>),
    /// A map.
    Map(Box<MapType>),
    /// An object that is none of these: its compact JSON.
    Opaque(String),
}

/// What a primitive type is, as far as rules tell them apart.
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
    /// A name that this catalog does not know.
    Other,
}

/// A struct, which is also what a schema is.
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
    /// The value that writers put where none is given (v3), as compact JSON.
    pub write_default: Option<String>,
    others: Vec<(String, String)>,
}

/// A list and its element.
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

/// A map, its key and its value.
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
    fn parse(text: &str, depth: usize) -> Result<Self, DocumentError> {
        if depth > MAX_DEPTH {
            return Err(DocumentError::invalid(format!("Invalid schema: types are nested deeper than {MAX_DEPTH}")));
        }
        if text.starts_with('"') {
            let name: String = serde_json::from_str(text).map_err(|error| super::json::syntax("type", &error))?;
            return Ok(Self::named(&name));
        }
        if !text.starts_with('{') {
            return Err(DocumentError::invalid(format!("Cannot parse type from json: {}", excerpt(text))));
        }
        let object = Object::parse("type", text)?;
        match object.string("type")?.as_str() {
            "struct" => Ok(Self::Struct(StructType::parse(&object, &["type", "fields"], depth)?)),
            "list" => Ok(Self::List(Box::new(ListType {
                element_id: object.i32("element-id")?,
                element_required: object.read("element-required", "true or false")?,
                element: Self::parse(object.required("element")?, depth + 1)?,
                others: object.others(&["type", "element-id", "element-required", "element"]),
            }))),
            "map" => Ok(Self::Map(Box::new(MapType {
                key_id: object.i32("key-id")?,
                key: Self::parse(object.required("key")?, depth + 1)?,
                value_id: object.i32("value-id")?,
                value_required: object.read("value-required", "true or false")?,
                value: Self::parse(object.required("value")?, depth + 1)?,
                others: object.others(&["type", "key-id", "key", "value-id", "value-required", "value"]),
            }))),
            _ => Ok(Self::Opaque(compact(text))),
        }
    }

    fn named(name: &str) -> Self {
        let lower: String = name.to_lowercase().chars().filter(|c| !c.is_whitespace()).collect();
        let primitive = match lower.as_str() {
            "boolean" => Primitive::Boolean,
            "int" => Primitive::Int,
            "long" => Primitive::Long,
            "float" => Primitive::Float,
            "double" => Primitive::Double,
            "date" => Primitive::Date,
            "time" => Primitive::Time,
            "timestamp" | "timestamptz" => Primitive::Timestamp,
            "timestamp_ns" | "timestamptz_ns" => Primitive::TimestampNano,
            "string" => Primitive::String,
            "uuid" => Primitive::Uuid,
            "binary" => Primitive::Binary,
            "unknown" => Primitive::Unknown,
            "variant" => Primitive::Variant,
            _ if lower.starts_with("fixed[") && lower.ends_with(']') => Primitive::Fixed,
            _ if lower.starts_with("decimal(") && lower.ends_with(')') => Primitive::Decimal,
            _ if lower == "geometry" || lower.starts_with("geometry(") => Primitive::Geometry,
            _ if lower == "geography" || lower.starts_with("geography(") => Primitive::Geography,
            _ => Primitive::Other,
        };
        // The name of a coordinate system, and of what is unknown, may depend on case.
        let kept = matches!(primitive, Primitive::Geometry | Primitive::Geography | Primitive::Other);
        Self::Primitive(primitive, if kept { name.to_owned() } else { lower })
    }

    /// The first format version that knows the type. Unknown types may be of a newer revision of the newest version.
    #[must_use]
    pub fn min_format_version(&self) -> u8 {
        use Primitive as P;
        match self {
            Self::Primitive(P::TimestampNano | P::Unknown | P::Variant | P::Geometry | P::Geography | P::Other, _)
            | Self::Opaque(_) => 3,
            Self::Primitive(..) | Self::Struct(_) | Self::List(_) | Self::Map(_) => 1,
        }
    }

    /// Whether it is a known type whose parameters cannot be meant: `decimal(p,s)` has 1 to 38 digits, of which at most
    /// all are behind the point, and `fixed[n]` has a length (specification, "Primitive types"). A document that holds
    /// such a type is kept as it is; no schema with one is added.
    #[must_use]
    pub fn is_malformed(&self) -> bool {
        match self {
            Self::Primitive(Primitive::Decimal, text) => {
                let parameters = text.strip_prefix("decimal(").and_then(|rest| rest.strip_suffix(')'));
                let digits = parameters.and_then(|both| both.split_once(','));
                let digits =
                    digits.and_then(|(all, behind)| Some((all.parse::<u8>().ok()?, behind.parse::<u8>().ok()?)));
                !digits.is_some_and(|(all, behind)| (1..=38).contains(&all) && behind <= all)
            }
            Self::Primitive(Primitive::Fixed, text) => {
                let length = text.strip_prefix("fixed[").and_then(|rest| rest.strip_suffix(']'));
                length.and_then(|length| length.parse::<u32>().ok()).is_none()
            }
            _ => false,
        }
    }

    /// Whether it is a value without structure, as the source of a partition or sort field must be. A variant is none.
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

impl StructType {
    /// The struct that `object` describes; keys in `known` belong to the struct, any other is kept for comparison.
    pub(super) fn parse(object: &Object<'_>, known: &[&str], depth: usize) -> Result<Self, DocumentError> {
        let fields = object.array("fields")?;
        let fields = fields.iter().map(|field| Field::parse(field, depth + 1)).collect::<Result<_, _>>()?;
        Ok(Self { fields, others: object.others(known) })
    }
}

impl Field {
    fn parse(text: &str, depth: usize) -> Result<Self, DocumentError> {
        let object = Object::parse("struct field", text)?;
        Ok(Self {
            id: object.i32("id")?,
            name: object.string("name")?,
            required: object.read("required", "true or false")?,
            field_type: Type::parse(object.required("type")?, depth)?,
            doc: object.optional_string("doc")?,
            initial_default: object.get("initial-default").map(compact),
            write_default: object.get("write-default").map(compact),
            others: object.others(&["id", "name", "required", "type", "doc", "initial-default", "write-default"]),
        })
    }
}
