//! The types of partition values: from the manifest's Avro schema, its partition spec and its table schema.

use tidewater_core::document::{
    PartitionField, PartitionSpec, Primitive, Schema as TableSchema, SchemaIndex, Transform, Type,
};
use tidewater_core::scan::value::ValueType;

use crate::avro::{AvroFile, Kind, Logical, Node, NodeId, Schema, Slot};
use crate::error::ManifestError;

/// The largest text of a table schema or partition spec. A column takes about 100 bytes.
const MAX_TEXT_BYTES: usize = 16 << 20;

/// The most fields of a partition spec.
const MAX_FIELDS: usize = 1_000;

/// A field of a manifest's partition spec.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionColumn {
    /// Its field id.
    pub field_id: i32,
    /// Its name.
    pub name: Box<str>,
    /// Its function of the source column.
    pub transform: Transform,
    /// The type of its values in this manifest. None if all are null. The table may have promoted the type since: `int` to `long`,
    /// `float` to `double`, or a decimal to one with more digits.
    pub value_type: Option<ValueType>,
}

/// How to read the field of a partition record.
#[derive(Debug, Clone, Copy)]
pub(crate) enum FieldPlan {
    /// It is not in the spec, or always null.
    Skip(NodeId),
    /// It is the value at a position of the partition.
    Value { position: usize, slot: Slot, value_type: ValueType },
}

/// Returns the partition columns of a manifest, and the plan for each field of the partition record. `record` is the type of the
/// record, none if the manifest has no such column.
pub(crate) fn partition_columns(
    file: &AvroFile<'_>,
    record: Option<NodeId>,
) -> Result<(Vec<PartitionColumn>, Vec<FieldPlan>), ManifestError> {
    let schema = file.schema();
    let fields = match record {
        Some(record) => {
            schema.fields(record).ok_or_else(|| ManifestError::ColumnType("data_file.partition".to_owned()))?
        }
        None => &[],
    };
    let Some(spec) = partition_spec(file)? else {
        return Err(ManifestError::Missing("partition-spec"));
    };
    if spec.fields().len() > MAX_FIELDS {
        return Err(ManifestError::PartitionSpec(format!("it has more than {MAX_FIELDS} fields")));
    }
    let table_schema = table_schema(file)?;
    let index = table_schema.as_ref().and_then(|schema| schema.index().ok());
    let mut plans: Vec<FieldPlan> = fields.iter().map(|field| FieldPlan::Skip(field.node)).collect();
    let mut columns = Vec::with_capacity(spec.fields().len());
    for (position, spec_field) in spec.fields().iter().enumerate() {
        let by_id = fields.iter().position(|field| field.id == Some(spec_field.field_id));
        let by_name = || fields.iter().position(|field| field.id.is_none() && field.name == spec_field.name);
        let value_type = match by_id.or_else(by_name) {
            _ if spec_field.transform == Transform::Void => None,
            None => return Err(ManifestError::PartitionSpec(format!("no values for '{}'", spec_field.name))),
            Some(found) => {
                let source = index.as_ref().and_then(|index| source_type(index, spec_field));
                let (plan, value_type) = plan(schema, fields[found].node, position, spec_field, source)?;
                plans[found] = plan;
                value_type
            }
        };
        columns.push(PartitionColumn {
            field_id: spec_field.field_id,
            name: spec_field.name.as_str().into(),
            transform: spec_field.transform.clone(),
            value_type,
        });
    }
    Ok((columns, plans))
}

fn plan(
    schema: &Schema,
    node: NodeId,
    position: usize,
    field: &PartitionField,
    source: Option<&Type>,
) -> Result<(FieldPlan, Option<ValueType>), ManifestError> {
    let unsupported = |type_name: String| ManifestError::PartitionType { field: field.name.clone(), type_name };
    let slot = schema.slot(node).ok_or_else(|| unsupported("union".to_owned()))?;
    let of = schema.node(slot.node);
    if is_null(of) {
        return Ok((FieldPlan::Skip(node), None));
    }
    let value_type = avro_type(of, source).ok_or_else(|| unsupported(type_name(of)))?;
    let value_type = refine(value_type, of.logical.as_ref(), &field.transform, source);
    Ok((FieldPlan::Value { position, slot, value_type }, Some(value_type)))
}

fn is_null(node: &Node) -> bool {
    // A slot whose type is a union has no other branch than null.
    matches!(node.kind, Kind::Null | Kind::Union(_))
}

fn type_name(node: &Node) -> String {
    let kind = match node.kind {
        Kind::Record(_) => "record",
        Kind::Array(_) => "array",
        Kind::Map(_) => "map",
        Kind::Enum => "enum",
        _ => "primitive",
    };
    match &node.logical {
        Some(Logical::Other(name)) => format!("{kind} with the logical type '{}'", excerpt(name)),
        Some(logical) => format!("{kind} with the logical type {logical:?}"),
        None => kind.to_owned(),
    }
}

fn excerpt(text: &str) -> &str {
    &text[..text.floor_char_boundary(40)]
}

/// Returns the value type of an Avro type. None if it is not supported.
fn avro_type(node: &Node, source: Option<&Type>) -> Option<ValueType> {
    let zoned = |zoned: Option<bool>| zoned.unwrap_or_else(|| is_zoned(source));
    Some(match (&node.kind, &node.logical) {
        (Kind::Boolean, None) => ValueType::Boolean,
        (Kind::Int, None) => ValueType::Int,
        (Kind::Int, Some(Logical::Date)) => ValueType::Date,
        (Kind::Long, None) => ValueType::Long,
        (Kind::Long, Some(Logical::TimeMicros)) => ValueType::Time,
        (Kind::Long, Some(Logical::TimestampMicros { zoned: known })) => ValueType::Timestamp { zoned: zoned(*known) },
        (Kind::Long, Some(Logical::TimestampNanos { zoned: known })) => {
            ValueType::TimestampNano { zoned: zoned(*known) }
        }
        (Kind::Float, None) => ValueType::Float,
        (Kind::Double, None) => ValueType::Double,
        (Kind::String, None) => ValueType::String,
        (Kind::Bytes, None) => ValueType::Binary,
        (Kind::String | Kind::Fixed(16), Some(Logical::Uuid)) => ValueType::Uuid,
        (Kind::Fixed(size), None) => ValueType::Fixed(u32::try_from(*size).ok()?),
        (Kind::Fixed(_) | Kind::Bytes, Some(Logical::Decimal { precision, scale })) => decimal(*precision, *scale)?,
        _ => return None,
    })
}

fn decimal(precision: u64, scale: u64) -> Option<ValueType> {
    let (precision, scale) = (u8::try_from(precision).ok()?, u8::try_from(scale).ok()?);
    ((1..=38).contains(&precision) && scale <= precision).then_some(ValueType::Decimal { precision, scale })
}

/// Corrects the type where a writer left out the logical type: the transform and the source column say what values mean.
fn refine(avro: ValueType, logical: Option<&Logical>, transform: &Transform, source: Option<&Type>) -> ValueType {
    match (avro, transform) {
        // The result of `day` is a date, or an int for older writers.
        (ValueType::Int, Transform::Day) => return ValueType::Date,
        (_, Transform::Identity | Transform::Truncate(_)) if logical.is_none() => {}
        _ => return avro,
    }
    let Some(Type::Primitive(source, name)) = source else { return avro };
    let zoned = name.contains("tz");
    match (avro, source) {
        (ValueType::Int, Primitive::Date) => ValueType::Date,
        (ValueType::Long, Primitive::Time) => ValueType::Time,
        (ValueType::Long, Primitive::Timestamp) => ValueType::Timestamp { zoned },
        (ValueType::Long, Primitive::TimestampNano) => ValueType::TimestampNano { zoned },
        (ValueType::Fixed(16), Primitive::Uuid) => ValueType::Uuid,
        (ValueType::Fixed(_) | ValueType::Binary, Primitive::Decimal) => decimal_of(name).unwrap_or(avro),
        _ => avro,
    }
}

/// Parses a type such as `decimal(9,2)`.
fn decimal_of(name: &str) -> Option<ValueType> {
    let (precision, scale) = name.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
    decimal(precision.trim().parse().ok()?, scale.trim().parse().ok()?)
}

fn is_zoned(source: Option<&Type>) -> bool {
    matches!(source, Some(Type::Primitive(_, name)) if name.contains("tz"))
}

fn source_type<'t>(index: &SchemaIndex<'t>, field: &PartitionField) -> Option<&'t Type> {
    let [source] = *field.source_ids else { return None };
    Some(index.column(source)?.column_type)
}

/// Returns the spec in the file's metadata: the array of its fields, or the whole object.
fn partition_spec(file: &AvroFile<'_>) -> Result<Option<PartitionSpec>, ManifestError> {
    let Some(text) = text(file, "partition-spec")? else { return Ok(None) };
    let spec = match text.trim_start().starts_with('[') {
        true => PartitionSpec::parse(&format!(r#"{{"spec-id":0,"fields":{text}}}"#)),
        false => PartitionSpec::parse(text),
    };
    spec.map(Some).map_err(|error| ManifestError::PartitionSpec(error.to_string()))
}

/// Returns the table's schema in the file's metadata. None if it cannot be parsed: then the Avro types alone count.
fn table_schema(file: &AvroFile<'_>) -> Result<Option<TableSchema>, ManifestError> {
    Ok(text(file, "schema")?.and_then(|text| TableSchema::parse(text).ok()))
}

fn text<'a>(file: &AvroFile<'a>, key: &'static str) -> Result<Option<&'a str>, ManifestError> {
    let invalid = |value: &str| ManifestError::Value { field: key, value: value.to_owned() };
    match file.metadata(key) {
        None => Ok(None),
        Some(bytes) if bytes.len() > MAX_TEXT_BYTES => Err(invalid("longer than 16 MiB")),
        Some(bytes) => std::str::from_utf8(bytes).map(Some).map_err(|_| invalid("not UTF-8")),
    }
}
