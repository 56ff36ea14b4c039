//! A form of partitions that can be hashed and compared.

use super::statistics::Partition;
use super::value::Value;

/// Writes a key into `out` that two partitions share if and only if they are the same: of one spec, with equal values. Types
/// to which a column can be promoted have the same form. All NaN are the same, and -0.0 is not 0.0 (specification, "Scan
/// Planning", note 3).
pub(super) fn write(spec_id: i32, partition: &Partition, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&spec_id.to_le_bytes());
    for value in partition {
        match value {
            None => out.push(0),
            Some(value) => write_value(value, out),
        }
    }
}

fn write_value(value: &Value, out: &mut Vec<u8>) {
    let mut put = |tag: u8, bytes: &[u8]| {
        out.push(tag);
        out.extend_from_slice(bytes);
    };
    let integer = |number: i64| number.to_le_bytes();
    let float = |number: f64| if number.is_nan() { f64::NAN } else { number }.to_bits().to_le_bytes();
    match value {
        Value::Boolean(value) => put(1, &[u8::from(*value)]),
        Value::Int(number) | Value::Date(number) => put(2, &integer(i64::from(*number))),
        Value::Long(number) => put(2, &integer(*number)),
        Value::Float(number) => put(3, &float(f64::from(*number))),
        Value::Double(number) => put(3, &float(*number)),
        Value::Decimal(unscaled) => put(4, &unscaled.to_le_bytes()),
        Value::Time(micros) => put(5, &integer(*micros)),
        Value::Timestamp(micros) => put(6, &integer(*micros)),
        Value::TimestampNano(nanos) => put(7, &integer(*nanos)),
        Value::Uuid(number) => put(8, &number.to_le_bytes()),
        Value::String(text) => {
            put(9, &text.len().to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        }
        Value::Binary(bytes) => {
            put(10, &bytes.len().to_le_bytes());
            out.extend_from_slice(bytes);
        }
    }
}
