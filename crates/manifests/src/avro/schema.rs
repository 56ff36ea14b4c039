//! Avro schemas, in the detail that manifests need (Avro specification 1.12, "Schema Declaration"; Iceberg specification,
//! "Avro"): types, logical types and field ids.

use std::collections::HashMap;

use serde_json::Value;

use super::error::AvroError;
use super::input::Input;

/// The largest text of a schema. Those of manifests have a few kilobytes, and a parsed one takes many times its text.
const MAX_SCHEMA_BYTES: usize = 1 << 20;

/// The position of a type in a [`Schema`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NodeId(usize);

/// The type of a file's records, with all types below it.
#[derive(Debug)]
pub(crate) struct Schema {
    nodes: Vec<Node>,
    root: NodeId,
    depth: usize,
    /// Whether a length precedes the values of fixed types without a logical type.
    fixed_has_length: bool,
}

/// A type.
#[derive(Debug)]
pub(crate) struct Node {
    /// How values are encoded.
    pub(crate) kind: Kind,
    /// What they mean, if that differs.
    pub(crate) logical: Option<Logical>,
}

/// The encoding of a type.
#[derive(Debug)]
pub(crate) enum Kind {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Enum,
    Fixed(usize),
    Array(NodeId),
    Map(NodeId),
    Union(Vec<NodeId>),
    Record(Vec<RecordField>),
}

/// A logical type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Logical {
    Date,
    TimeMicros,
    TimestampMicros { zoned: Option<bool> },
    TimestampNanos { zoned: Option<bool> },
    Decimal { precision: u64, scale: u64 },
    Uuid,
    Other(String),
}

/// A field of a record.
#[derive(Debug)]
pub(crate) struct RecordField {
    pub(crate) name: String,
    /// Its `field-id`, if it has one.
    pub(crate) id: Option<i32>,
    pub(crate) node: NodeId,
}

/// A type that may be null: a type alone, or a union of it and null.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    /// The type without null.
    pub(crate) node: NodeId,
    branch: Branch,
}

/// The branches of a [`Slot`].
#[derive(Debug, Clone, Copy)]
enum Branch {
    /// It is no union.
    Alone,
    /// A union, with the position of the value. Every other position is null.
    Union { value: usize, branches: usize },
}

impl Slot {
    /// Reads whether a value follows. False for null.
    #[inline]
    pub(crate) fn is_present(self, input: &mut Input<'_>) -> Result<bool, AvroError> {
        match self.branch {
            Branch::Alone => Ok(true),
            Branch::Union { value, branches } => match input.length()? {
                branch if branch >= branches => Err(AvroError::Malformed("a union's branch does not exist")),
                branch => Ok(branch == value),
            },
        }
    }
}

impl Schema {
    /// Parses a schema whose types are nested at most `depth` deep.
    pub(super) fn parse(text: &[u8], depth: usize) -> Result<Self, AvroError> {
        if text.len() > MAX_SCHEMA_BYTES {
            return Err(AvroError::Schema(format!("it has more than {MAX_SCHEMA_BYTES} bytes")));
        }
        let json: Value = serde_json::from_slice(text).map_err(|error| AvroError::Schema(error.to_string()))?;
        let mut parser = Parser { nodes: Vec::new(), named: HashMap::new() };
        let root = parser.read(&json, depth)?;
        Ok(Self { nodes: parser.nodes, root, depth, fixed_has_length: false })
    }

    /// Returns the type of the file's records.
    pub(crate) const fn root(&self) -> NodeId {
        self.root
    }

    /// Returns whether it has a fixed type whose values some writers precede by their length.
    pub(super) fn has_plain_fixed(&self) -> bool {
        self.nodes.iter().any(|node| matches!(node.kind, Kind::Fixed(_)) && node.logical.is_none())
    }

    /// Sets whether a length precedes the values of fixed types without a logical type.
    pub(super) const fn set_length_of_fixed(&mut self, has_length: bool) {
        self.fixed_has_length = has_length;
    }

    /// Reads a value of a fixed type with so many bytes.
    pub(crate) fn fixed<'a>(&self, node: &Node, size: usize, input: &mut Input<'a>) -> Result<&'a [u8], AvroError> {
        if self.fixed_has_length && node.logical.is_none() && input.length()? != size {
            return Err(AvroError::Malformed("a fixed value has another length than its type"));
        }
        input.take(size)
    }

    /// Returns the deepest nesting of values.
    pub(super) const fn depth(&self) -> usize {
        self.depth
    }

    /// Returns a type.
    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// Returns the fields of a record.
    pub(crate) fn fields(&self, id: NodeId) -> Option<&[RecordField]> {
        match &self.node(id).kind {
            Kind::Record(fields) => Some(fields),
            _ => None,
        }
    }

    /// Returns a type as one that may be null. None for a union of several other types.
    pub(crate) fn slot(&self, id: NodeId) -> Option<Slot> {
        let Kind::Union(branches) = &self.node(id).kind else { return Some(Slot { node: id, branch: Branch::Alone }) };
        let is_null = |id: &NodeId| matches!(self.node(*id).kind, Kind::Null);
        let mut values = branches.iter().enumerate().filter(|(_, id)| !is_null(id));
        match (values.next(), values.next()) {
            (Some((value, node)), None) if !matches!(self.node(*node).kind, Kind::Union(_)) => {
                Some(Slot { node: *node, branch: Branch::Union { value, branches: branches.len() } })
            }
            // Only null.
            (None, _) => Some(Slot { node: id, branch: Branch::Alone }),
            _ => None,
        }
    }

    /// Skips a value.
    pub(crate) fn skip(&self, id: NodeId, input: &mut Input<'_>) -> Result<(), AvroError> {
        self.skip_below(id, input, self.depth)
    }

    pub(super) fn skip_below(&self, id: NodeId, input: &mut Input<'_>, depth: usize) -> Result<(), AvroError> {
        let depth = depth.checked_sub(1).ok_or(AvroError::Malformed("it is nested too deeply"))?;
        input.count_value()?;
        let node = self.node(id);
        match &node.kind {
            Kind::Null => {}
            Kind::Int | Kind::Long | Kind::Enum => drop(input.long()?),
            Kind::Boolean => drop(input.take(1)?),
            Kind::Float => drop(input.take(4)?),
            Kind::Double => drop(input.take(8)?),
            Kind::Fixed(size) => drop(self.fixed(node, *size, input)?),
            Kind::Bytes | Kind::String => drop(input.bytes()?),
            Kind::Array(items) => self.skip_blocks(*items, false, input, depth)?,
            Kind::Map(values) => self.skip_blocks(*values, true, input, depth)?,
            Kind::Union(branches) => {
                let branch =
                    branches.get(input.length()?).ok_or(AvroError::Malformed("a union's branch does not exist"))?;
                self.skip_below(*branch, input, depth)?;
            }
            Kind::Record(fields) => {
                for field in fields {
                    self.skip_below(field.node, input, depth)?;
                }
            }
        }
        Ok(())
    }

    fn skip_blocks(&self, items: NodeId, keyed: bool, input: &mut Input<'_>, depth: usize) -> Result<(), AvroError> {
        loop {
            let count = input.block_count()?;
            if count == 0 {
                return Ok(());
            }
            for _ in 0..count {
                if keyed {
                    input.bytes()?;
                }
                self.skip_below(items, input, depth)?;
            }
        }
    }
}

/// Parses the types of a schema.
struct Parser {
    nodes: Vec<Node>,
    named: HashMap<String, NodeId>,
}

impl Parser {
    fn add(&mut self, kind: Kind, logical: Option<Logical>) -> NodeId {
        self.nodes.push(Node { kind, logical });
        NodeId(self.nodes.len() - 1)
    }

    fn read(&mut self, json: &Value, depth: usize) -> Result<NodeId, AvroError> {
        let depth = depth.checked_sub(1).ok_or_else(|| refuse("it is nested too deeply"))?;
        match json {
            Value::String(name) => match primitive(name) {
                Some(kind) => Ok(self.add(kind, None)),
                None => {
                    let known = self.named.get(short_name(name)).copied();
                    known.ok_or_else(|| AvroError::Schema(format!("no type is named {name}")))
                }
            },
            Value::Array(branches) => {
                let branches: Result<_, _> = branches.iter().map(|branch| self.read(branch, depth)).collect();
                Ok(self.add(Kind::Union(branches?), None))
            }
            Value::Object(object) => {
                let logical = logical(json);
                let nested = |key: &str| object.get(key).unwrap_or(&Value::Null);
                let kind = match object.get("type").and_then(Value::as_str) {
                    Some("array") => Kind::Array(self.read(nested("items"), depth)?),
                    Some("map") => Kind::Map(self.read(nested("values"), depth)?),
                    Some("enum") => return self.name(json, Kind::Enum, logical),
                    Some("fixed") => {
                        let size = object.get("size").and_then(Value::as_u64).and_then(|size| size.try_into().ok());
                        return self.name(
                            json,
                            Kind::Fixed(size.ok_or_else(|| refuse("a fixed type has no size"))?),
                            logical,
                        );
                    }
                    Some("record" | "error") => return self.record(json, depth),
                    Some(name) if primitive(name).is_some() => primitive(name).unwrap_or(Kind::Null),
                    _ => return self.read(nested("type"), depth),
                };
                Ok(self.add(kind, logical))
            }
            _ => Err(refuse("a type is neither a name, a list nor an object")),
        }
    }

    /// Adds a named type.
    fn name(&mut self, json: &Value, kind: Kind, logical: Option<Logical>) -> Result<NodeId, AvroError> {
        let name = json.get("name").and_then(Value::as_str).ok_or_else(|| refuse("a type has no name"))?;
        let id = self.add(kind, logical);
        self.named.insert(short_name(name).to_owned(), id);
        Ok(id)
    }

    fn record(&mut self, json: &Value, depth: usize) -> Result<NodeId, AvroError> {
        // Named before its fields are read: they may refer to it.
        let id = self.name(json, Kind::Null, None)?;
        let fields = json.get("fields").and_then(Value::as_array).ok_or_else(|| refuse("a record has no fields"))?;
        let fields: Result<_, AvroError> = fields
            .iter()
            .map(|field| {
                let name = field.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
                let field_id = field.get("field-id").and_then(Value::as_i64).and_then(|id| id.try_into().ok());
                let node = self.read(field.get("type").unwrap_or(&Value::Null), depth)?;
                Ok(RecordField { name, id: field_id, node })
            })
            .collect();
        self.nodes[id.0].kind = Kind::Record(fields?);
        Ok(id)
    }
}

fn refuse(why: &str) -> AvroError {
    AvroError::Schema(why.to_owned())
}

fn primitive(name: &str) -> Option<Kind> {
    Some(match name {
        "null" => Kind::Null,
        "boolean" => Kind::Boolean,
        "int" => Kind::Int,
        "long" => Kind::Long,
        "float" => Kind::Float,
        "double" => Kind::Double,
        "bytes" => Kind::Bytes,
        "string" => Kind::String,
        _ => return None,
    })
}

fn logical(json: &Value) -> Option<Logical> {
    let zoned = json.get("adjust-to-utc").and_then(Value::as_bool);
    let number = |key: &str| json.get(key).and_then(Value::as_u64);
    Some(match json.get("logicalType")?.as_str()? {
        "date" => Logical::Date,
        "time-micros" => Logical::TimeMicros,
        "timestamp-micros" => Logical::TimestampMicros { zoned },
        "local-timestamp-micros" => Logical::TimestampMicros { zoned: Some(false) },
        "timestamp-nanos" => Logical::TimestampNanos { zoned },
        "local-timestamp-nanos" => Logical::TimestampNanos { zoned: Some(false) },
        "decimal" => {
            Logical::Decimal { precision: number("precision").unwrap_or(0), scale: number("scale").unwrap_or(0) }
        }
        "uuid" => Logical::Uuid,
        other => Logical::Other(other.to_owned()),
    })
}

/// Returns a name without its namespace. Manifests have no two types that differ only in the namespace.
fn short_name(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}
