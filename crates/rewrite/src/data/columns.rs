//! The columns of a table as Arrow types, and the arrays of a file fitted to them (specification, "Column Projection" and
//! "Schema Evolution"; "Parquet" in appendix A).

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
    TimestampNanosecondType,
};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float32Array,
    Float64Array, Int32Array, Int64Array, ListArray, MapArray, PrimitiveArray, StringArray, StructArray,
    Time64MicrosecondArray, TimestampMicrosecondArray, TimestampNanosecondArray, new_null_array,
};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field as ArrowField, FieldRef, Fields, Schema as ArrowSchema, SchemaRef, TimeUnit};
use tidewater_core::document::{Field, Type};
use tidewater_core::scan::literal::{Converted, Literal, Scalar};
use tidewater_core::scan::value::{Value, ValueType};

/// The key of a field id in the metadata of an Arrow field, which the Parquet library reads and writes.
pub(crate) const FIELD_ID: &str = "PARQUET:field_id";

/// The key of an Arrow extension type. With `arrow.uuid`, the Parquet library writes the logical type.
const EXTENSION: &str = "ARROW:extension:name";

/// The time zone of an instant.
const UTC: &str = "+00:00";

/// A column of the table.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) id: i32,
    pub(crate) field: FieldRef,
    /// The value of rows in files without the column.
    default: Option<Value>,
    nested: Nested,
}

#[derive(Debug, Clone)]
enum Nested {
    None,
    Struct(Vec<Target>),
    List(Box<Target>),
    Map(Box<(Target, Target)>),
}

impl Target {
    /// Creates the column for a field of the table's schema.
    ///
    /// # Errors
    /// Says which type cannot be rewritten.
    pub(crate) fn new(field: &Field) -> Result<Self, String> {
        let default = match &field.initial_default {
            None => None,
            Some(json) => Some(
                default_value(&field.field_type, json)
                    .ok_or_else(|| format!("column '{}' has an initial default that is not understood", field.name))?,
            ),
        };
        Self::build(field.id, &field.name, field.required, &field.field_type, default)
    }

    /// Creates an optional column of type `long`.
    pub(crate) fn long(id: i32, name: &str) -> Self {
        let field = arrow_field(id, name, false, DataType::Int64, None);
        Self { id, field, default: None, nested: Nested::None }
    }

    fn build(id: i32, name: &str, required: bool, kind: &Type, default: Option<Value>) -> Result<Self, String> {
        let (data_type, nested) = match kind {
            Type::Struct(fields) => {
                let children = fields.fields.iter().map(Self::new).collect::<Result<Vec<_>, _>>()?;
                let fields: Fields = children.iter().map(|child| Arc::clone(&child.field)).collect();
                (DataType::Struct(fields), Nested::Struct(children))
            }
            Type::List(list) => {
                let element = Self::build(list.element_id, "element", list.element_required, &list.element, None)?;
                (DataType::List(Arc::clone(&element.field)), Nested::List(Box::new(element)))
            }
            Type::Map(map) => {
                let key = Self::build(map.key_id, "key", true, &map.key, None)?;
                let value = Self::build(map.value_id, "value", map.value_required, &map.value, None)?;
                let fields = Fields::from(vec![Arc::clone(&key.field), Arc::clone(&value.field)]);
                let entries = ArrowField::new("key_value", DataType::Struct(fields), false);
                (DataType::Map(Arc::new(entries), false), Nested::Map(Box::new((key, value))))
            }
            primitive => {
                let unknown = || format!("column '{name}' has the type {primitive}");
                let value_type = ValueType::from_type(primitive).ok_or_else(unknown)?;
                (arrow_type(value_type).ok_or_else(unknown)?, Nested::None)
            }
        };
        let extension = matches!(ValueType::from_type(kind), Some(ValueType::Uuid)).then_some("arrow.uuid");
        Ok(Self { id, field: arrow_field(id, name, required, data_type, extension), default, nested })
    }

    /// Returns an array of a file as one of the column. `array` may have an older form of the type: narrower numbers, or a struct
    /// with other fields.
    ///
    /// # Errors
    /// Says why values would be lost.
    pub(crate) fn fit(&self, array: &ArrayRef) -> Result<ArrayRef, String> {
        let misfit = || {
            let name = self.field.name();
            format!("column '{name}' has the type {} in the file, not {}", array.data_type(), self.field.data_type())
        };
        match &self.nested {
            Nested::None => fit_primitive(array, self.field.data_type()).ok_or_else(misfit),
            Nested::Struct(children) => {
                let array = array.as_any().downcast_ref::<StructArray>().ok_or_else(misfit)?;
                fit_struct(array, children, &HashMap::new()).map(|array| Arc::new(array) as ArrayRef)
            }
            Nested::List(element) => {
                let array = array.as_any().downcast_ref::<ListArray>().ok_or_else(misfit)?;
                let values = element.fit(array.values())?;
                let (offsets, nulls) = (array.offsets().clone(), array.nulls().cloned());
                let list = ListArray::try_new(Arc::clone(&element.field), offsets, values, nulls);
                list.map(|list| Arc::new(list) as ArrayRef).map_err(|error| error.to_string())
            }
            Nested::Map(both) => {
                let array = array.as_any().downcast_ref::<MapArray>().ok_or_else(misfit)?;
                let (keys, values) = (both.0.fit(array.keys())?, both.1.fit(array.values())?);
                let DataType::Map(entries_field, sorted) = self.field.data_type() else { return Err(misfit()) };
                let DataType::Struct(fields) = entries_field.data_type() else { return Err(misfit()) };
                let entries = StructArray::try_new(fields.clone(), vec![keys, values], None);
                let entries = entries.map_err(|error| error.to_string())?;
                let (offsets, nulls) = (array.offsets().clone(), array.nulls().cloned());
                let map = MapArray::try_new(Arc::clone(entries_field), offsets, entries, nulls, *sorted);
                map.map(|map| Arc::new(map) as ArrayRef).map_err(|error| error.to_string())
            }
        }
    }

    /// Returns the values of rows in a file without the column.
    fn missing(&self, rows: usize, constant: Option<&Option<Value>>) -> Result<ArrayRef, String> {
        let name = self.field.name();
        match constant.cloned().unwrap_or_else(|| self.default.clone()) {
            Some(value) => repeat(&value, self.field.data_type(), rows)
                .ok_or_else(|| format!("the default of '{name}' does not fit")),
            None if self.field.is_nullable() => Ok(new_null_array(self.field.data_type(), rows)),
            None => Err(format!("the file lacks the required column '{name}'")),
        }
    }
}

/// Returns columns as an Arrow schema.
pub(crate) fn target_schema(targets: &[Target]) -> SchemaRef {
    Arc::new(ArrowSchema::new(targets.iter().map(|target| Arc::clone(&target.field)).collect::<Fields>()))
}

fn arrow_field(id: i32, name: &str, required: bool, kind: DataType, extension: Option<&str>) -> FieldRef {
    let mut metadata = HashMap::from([(FIELD_ID.to_owned(), id.to_string())]);
    metadata.extend(extension.map(|extension| (EXTENSION.to_owned(), extension.to_owned())));
    Arc::new(ArrowField::new(name, kind, !required).with_metadata(metadata))
}

/// Returns the id of a field of a file.
pub(crate) fn field_id(field: &ArrowField) -> Option<i32> {
    field.metadata().get(FIELD_ID)?.parse().ok()
}

/// Returns the ids of the columns of new files.
pub(crate) fn field_ids(schema: &ArrowSchema) -> Vec<i32> {
    schema.fields().iter().filter_map(|field| field_id(field)).collect()
}

fn arrow_type(value_type: ValueType) -> Option<DataType> {
    let zone = |zoned: bool| zoned.then(|| UTC.into());
    Some(match value_type {
        ValueType::Boolean => DataType::Boolean,
        ValueType::Int => DataType::Int32,
        ValueType::Long => DataType::Int64,
        ValueType::Float => DataType::Float32,
        ValueType::Double => DataType::Float64,
        ValueType::Decimal { precision, scale } => DataType::Decimal128(precision, i8::try_from(scale).ok()?),
        ValueType::Date => DataType::Date32,
        ValueType::Time => DataType::Time64(TimeUnit::Microsecond),
        ValueType::Timestamp { zoned } => DataType::Timestamp(TimeUnit::Microsecond, zone(zoned)),
        ValueType::TimestampNano { zoned } => DataType::Timestamp(TimeUnit::Nanosecond, zone(zoned)),
        ValueType::String => DataType::Utf8,
        ValueType::Uuid => DataType::FixedSizeBinary(16),
        ValueType::Fixed(length) => DataType::FixedSizeBinary(i32::try_from(length).ok()?),
        ValueType::Binary => DataType::Binary,
    })
}

/// Returns the rows of a struct, or of a whole file, as those of `targets`. `constants` has the values of columns that the file
/// may lack because its partition has them.
pub(crate) fn fit_struct(
    array: &StructArray,
    targets: &[Target],
    constants: &HashMap<i32, Option<Value>>,
) -> Result<StructArray, String> {
    let positions: HashMap<i32, usize> =
        (0..).zip(array.fields()).filter_map(|(position, field)| Some((field_id(field)?, position))).collect();
    let columns = targets.iter().map(|target| match positions.get(&target.id) {
        Some(position) => target.fit(array.column(*position)),
        None => target.missing(array.len(), constants.get(&target.id)),
    });
    let columns = columns.collect::<Result<Vec<_>, String>>()?;
    let fields: Fields = targets.iter().map(|target| Arc::clone(&target.field)).collect();
    let nulls: Option<NullBuffer> = array.nulls().cloned();
    StructArray::try_new_with_length(fields, columns, nulls, array.len()).map_err(|error| error.to_string())
}

/// Converts values to the type to which their column was promoted. None if it cannot be promoted to this type.
fn fit_primitive(array: &ArrayRef, to: &DataType) -> Option<ArrayRef> {
    fn cast<A: arrow_array::ArrowPrimitiveType>(array: &ArrayRef) -> Option<&PrimitiveArray<A>> {
        array.as_any().downcast_ref()
    }
    Some(match (array.data_type(), to) {
        (from, to) if from == to => Arc::clone(array),
        (DataType::Timestamp(from, Some(_)), DataType::Timestamp(unit, Some(zone))) if from == unit => match unit {
            TimeUnit::Microsecond => {
                Arc::new(cast::<TimestampMicrosecondType>(array)?.clone().with_timezone(Arc::clone(zone)))
            }
            _ => Arc::new(cast::<TimestampNanosecondType>(array)?.clone().with_timezone(Arc::clone(zone))),
        },
        (DataType::Int32, DataType::Int64) => Arc::new(cast::<Int32Type>(array)?.unary::<_, Int64Type>(i64::from)),
        (DataType::Float32, DataType::Float64) => {
            Arc::new(cast::<Float32Type>(array)?.unary::<_, Float64Type>(f64::from))
        }
        (DataType::Decimal128(from, one), DataType::Decimal128(precision, two)) if one == two && from <= precision => {
            let widened = cast::<Decimal128Type>(array)?.clone().with_precision_and_scale(*precision, *two);
            Arc::new(widened.ok()?)
        }
        (DataType::Date32, DataType::Timestamp(TimeUnit::Microsecond, None)) => {
            const DAY: i64 = 86_400_000_000;
            Arc::new(cast::<Date32Type>(array)?.unary::<_, TimestampMicrosecondType>(|days| i64::from(days) * DAY))
        }
        (DataType::Date32, DataType::Timestamp(TimeUnit::Nanosecond, None)) => {
            const DAY: i64 = 86_400_000_000_000;
            let nanos = cast::<Date32Type>(array)?.try_unary::<_, TimestampNanosecondType, _>(|days| {
                i64::from(days).checked_mul(DAY).ok_or_else(|| arrow_schema::ArrowError::ComputeError(String::new()))
            });
            Arc::new(nanos.ok()?)
        }
        _ => return None,
    })
}

/// Returns an array with the same value in all rows. None if it is not of the type.
fn repeat(value: &Value, to: &DataType, rows: usize) -> Option<ArrayRef> {
    Some(match (value, to) {
        (Value::Boolean(value), DataType::Boolean) => Arc::new(BooleanArray::from(vec![*value; rows])),
        (Value::Int(value), DataType::Int32) => Arc::new(Int32Array::from_value(*value, rows)),
        (Value::Int(value), DataType::Int64) => Arc::new(Int64Array::from_value(i64::from(*value), rows)),
        (Value::Long(value), DataType::Int64) => Arc::new(Int64Array::from_value(*value, rows)),
        (Value::Float(value), DataType::Float32) => Arc::new(Float32Array::from_value(*value, rows)),
        (Value::Float(value), DataType::Float64) => Arc::new(Float64Array::from_value(f64::from(*value), rows)),
        (Value::Double(value), DataType::Float64) => Arc::new(Float64Array::from_value(*value, rows)),
        (Value::Decimal(value), DataType::Decimal128(precision, scale)) => {
            Arc::new(Decimal128Array::from_value(*value, rows).with_precision_and_scale(*precision, *scale).ok()?)
        }
        (Value::Date(value), DataType::Date32) => Arc::new(Date32Array::from_value(*value, rows)),
        (Value::Time(value), DataType::Time64(_)) => Arc::new(Time64MicrosecondArray::from_value(*value, rows)),
        (Value::Timestamp(value), DataType::Timestamp(TimeUnit::Microsecond, zone)) => {
            Arc::new(TimestampMicrosecondArray::from_value(*value, rows).with_timezone_opt(zone.clone()))
        }
        (Value::TimestampNano(value), DataType::Timestamp(TimeUnit::Nanosecond, zone)) => {
            Arc::new(TimestampNanosecondArray::from_value(*value, rows).with_timezone_opt(zone.clone()))
        }
        (Value::String(value), DataType::Utf8) => {
            Arc::new(StringArray::from_iter_values(std::iter::repeat_n(value, rows)))
        }
        (Value::Binary(value), DataType::Binary) => {
            Arc::new(BinaryArray::from_iter_values(std::iter::repeat_n(value, rows)))
        }
        (Value::Binary(value), DataType::FixedSizeBinary(length)) => repeat_fixed(value, *length, rows)?,
        (Value::Uuid(value), DataType::FixedSizeBinary(16)) => repeat_fixed(&value.to_be_bytes(), 16, rows)?,
        _ => return None,
    })
}

fn repeat_fixed(value: &[u8], length: i32, rows: usize) -> Option<ArrayRef> {
    let values = std::iter::repeat_n(Some(value), rows);
    Some(Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(values, length).ok()?))
}

/// Reads an initial default (specification, appendix D, "JSON single-value serialization").
fn default_value(kind: &Type, json: &str) -> Option<Value> {
    let scalar = match serde_json::from_str::<serde_json::Value>(json).ok()? {
        serde_json::Value::Bool(value) => Scalar::Boolean(value),
        serde_json::Value::Number(_) => Scalar::Number(json.trim().into()),
        serde_json::Value::String(text) => Scalar::Text(text.into()),
        _ => return None,
    };
    match (Literal { scalar, data_type: None }).convert(ValueType::from_type(kind)?) {
        Ok(Converted::Value(value)) => Some(value),
        _ => None,
    }
}
