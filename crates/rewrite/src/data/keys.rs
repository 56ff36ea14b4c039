//! Keys of rows: values of columns in a form that can be hashed, equal exactly if all values are equal (specification, "Equality
//! Delete Files").

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, Time64MicrosecondType,
    TimestampMicrosecondType, TimestampNanosecondType,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit};
use tidewater_core::scan::value::Value;

/// Replaces `key` by the key of a row. Null equals null, all NaN are equal, and -0.0 is not 0.0. Returns false if a column has
/// a type without equality.
pub(crate) fn write_key(columns: &[&ArrayRef], row: usize, key: &mut Vec<u8>) -> bool {
    key.clear();
    columns.iter().all(|column| write_value(column, row, key))
}

/// Appends a value to a key. Returns false for a nested type.
fn write_value(column: &ArrayRef, row: usize, key: &mut Vec<u8>) -> bool {
    let begin = key.len();
    key.extend([0; 9]);
    if !single_value(column, row, key) {
        return column.is_null(row) && !column.data_type().is_nested();
    }
    // The length sets apart the values of several columns.
    let length = (key.len() - begin - 9) as u64;
    key[begin] = 1;
    key[begin + 1..begin + 9].copy_from_slice(&length.to_le_bytes());
    true
}

/// Appends a value in the binary single-value form (specification, appendix D), all NaN as one. Returns false, and appends
/// nothing, for null and for a nested type.
pub(crate) fn single_value(column: &ArrayRef, row: usize, out: &mut Vec<u8>) -> bool {
    if column.is_null(row) {
        return false;
    }
    match column.data_type() {
        DataType::Boolean => out.push(u8::from(column.as_boolean().value(row))),
        DataType::Int32 => out.extend(column.as_primitive::<Int32Type>().value(row).to_le_bytes()),
        DataType::Int64 => out.extend(column.as_primitive::<Int64Type>().value(row).to_le_bytes()),
        DataType::Float32 => {
            let value = column.as_primitive::<Float32Type>().value(row);
            out.extend(if value.is_nan() { f32::NAN } else { value }.to_le_bytes());
        }
        DataType::Float64 => {
            let value = column.as_primitive::<Float64Type>().value(row);
            out.extend(if value.is_nan() { f64::NAN } else { value }.to_le_bytes());
        }
        DataType::Decimal128(..) => {
            out.extend(Value::Decimal(column.as_primitive::<Decimal128Type>().value(row)).to_bytes());
        }
        DataType::Date32 => out.extend(column.as_primitive::<Date32Type>().value(row).to_le_bytes()),
        DataType::Time64(TimeUnit::Microsecond) => {
            out.extend(column.as_primitive::<Time64MicrosecondType>().value(row).to_le_bytes());
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            out.extend(column.as_primitive::<TimestampMicrosecondType>().value(row).to_le_bytes());
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            out.extend(column.as_primitive::<TimestampNanosecondType>().value(row).to_le_bytes());
        }
        DataType::Utf8 => out.extend_from_slice(column.as_string::<i32>().value(row).as_bytes()),
        DataType::Binary => out.extend_from_slice(column.as_binary::<i32>().value(row)),
        DataType::FixedSizeBinary(_) => out.extend_from_slice(column.as_fixed_size_binary().value(row)),
        _ => return false,
    }
    true
}
