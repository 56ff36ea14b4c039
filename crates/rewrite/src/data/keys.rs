//! Keys of rows: values of columns in a form that can be hashed, equal exactly if all values are equal (specification, "Equality
//! Delete Files").

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, Time64MicrosecondType,
    TimestampMicrosecondType, TimestampNanosecondType,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit};

/// Replaces `key` by the key of a row. Null equals null, all NaN are equal, and -0.0 is not 0.0. Returns false if a column has
/// a type without equality.
pub(crate) fn write_key(columns: &[&ArrayRef], row: usize, key: &mut Vec<u8>) -> bool {
    key.clear();
    columns.iter().all(|column| write_value(column, row, key))
}

/// Appends a value of a primitive type. Returns false for a nested type.
pub(crate) fn write_value(column: &ArrayRef, row: usize, key: &mut Vec<u8>) -> bool {
    if column.is_null(row) {
        key.push(0);
        return true;
    }
    key.push(1);
    let mut bytes = |value: &[u8]| {
        key.extend_from_slice(&(value.len() as u64).to_le_bytes());
        key.extend_from_slice(value);
    };
    match column.data_type() {
        DataType::Boolean => key.push(u8::from(column.as_boolean().value(row))),
        DataType::Int32 => key.extend(column.as_primitive::<Int32Type>().value(row).to_le_bytes()),
        DataType::Int64 => key.extend(column.as_primitive::<Int64Type>().value(row).to_le_bytes()),
        DataType::Float32 => {
            let value = column.as_primitive::<Float32Type>().value(row);
            key.extend(if value.is_nan() { f32::NAN } else { value }.to_le_bytes());
        }
        DataType::Float64 => {
            let value = column.as_primitive::<Float64Type>().value(row);
            key.extend(if value.is_nan() { f64::NAN } else { value }.to_le_bytes());
        }
        DataType::Decimal128(..) => key.extend(column.as_primitive::<Decimal128Type>().value(row).to_le_bytes()),
        DataType::Date32 => key.extend(column.as_primitive::<Date32Type>().value(row).to_le_bytes()),
        DataType::Time64(TimeUnit::Microsecond) => {
            key.extend(column.as_primitive::<Time64MicrosecondType>().value(row).to_le_bytes());
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            key.extend(column.as_primitive::<TimestampMicrosecondType>().value(row).to_le_bytes());
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            key.extend(column.as_primitive::<TimestampNanosecondType>().value(row).to_le_bytes());
        }
        DataType::Utf8 => bytes(column.as_string::<i32>().value(row).as_bytes()),
        DataType::Binary => bytes(column.as_binary::<i32>().value(row)),
        DataType::FixedSizeBinary(_) => bytes(column.as_fixed_size_binary().value(row)),
        _ => return false,
    }
    true
}
