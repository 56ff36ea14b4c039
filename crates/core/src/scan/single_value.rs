//! Values in JSON (specification, appendix D, "JSON single-value serialization"), as the clients of scan planning read them.

use std::io::Write;

use uuid::Uuid;

use super::calendar;
use super::value::{Value, ValueType};

/// Why a value has no JSON form. A scan with such a value cannot be planned for a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotWritable {
    /// JSON has no NaN, and clients accept no other form.
    #[error("A NaN cannot be written in JSON. Plan this scan in the client.")]
    Nan,
    /// The value is of another type than its column.
    #[error("A value does not have the type of its column")]
    Mismatch,
}

/// Writes a value of the given type as JSON:
/// - `float` and `double` with a decimal point or an exponent, which some readers require; an infinity as `1e999`, which they
///   read as one;
/// - `decimal` as a string with all digits of its scale;
/// - dates and times as ISO 8601 strings, with 6 digits of a second, or 9 for nanoseconds, and `+00:00` if zoned;
/// - `fixed` and `binary` as a string of upper-case hexadecimal digits.
///
/// # Errors
/// Fails for a NaN, and if the value is not of the type. Nothing is written then.
pub fn write(value: &Value, kind: ValueType, out: &mut Vec<u8>) -> Result<(), NotWritable> {
    match (value, kind) {
        (Value::Boolean(value), ValueType::Boolean) => put(out, format_args!("{value}")),
        (Value::Int(value), ValueType::Int | ValueType::Long) => put(out, format_args!("{value}")),
        (Value::Long(value), ValueType::Long) => put(out, format_args!("{value}")),
        // The exact value: a reader may take the number for a double first.
        (Value::Float(value), ValueType::Float | ValueType::Double) => return write_float(f64::from(*value), out),
        (Value::Double(value), ValueType::Double) => return write_float(*value, out),
        (Value::Decimal(unscaled), ValueType::Decimal { scale, .. }) => write_decimal(*unscaled, scale, out),
        (Value::Date(days) | Value::Int(days), ValueType::Date) => {
            put(out, format_args!("\"{}\"", calendar::format_date(*days)));
        }
        (Value::Time(micros), ValueType::Time) => put(out, format_args!("\"{}\"", calendar::format_time(*micros))),
        (Value::Timestamp(micros), ValueType::Timestamp { zoned }) => {
            put(out, format_args!("\"{}\"", calendar::format_timestamp(*micros, zoned)));
        }
        (Value::TimestampNano(nanos), ValueType::TimestampNano { zoned }) => {
            put(out, format_args!("\"{}\"", calendar::format_timestamp_nano(*nanos, zoned)));
        }
        (Value::String(text), ValueType::String) => write_text(text, out),
        (Value::Uuid(number), ValueType::Uuid) => {
            put(out, format_args!("\"{}\"", Uuid::from_u128(*number).hyphenated()))
        }
        (Value::Binary(bytes), ValueType::Fixed(_) | ValueType::Binary) => {
            out.push(b'"');
            write_hex(bytes, out);
            out.push(b'"');
        }
        _ => return Err(NotWritable::Mismatch),
    }
    Ok(())
}

/// Writes a text as a JSON string.
pub(super) fn write_text(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut written = 0;
    for (position, byte) in bytes.iter().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..0x20 => &[b'\\', b'u', b'0', b'0', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]],
            _ => continue,
        };
        out.extend_from_slice(&bytes[written..position]);
        out.extend_from_slice(escape);
        written = position + 1;
    }
    out.extend_from_slice(&bytes[written..]);
    out.push(b'"');
}

/// Writes bytes as upper-case hexadecimal digits, without quotes.
pub(super) fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.reserve(bytes.len() * 2);
    for byte in bytes {
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(HEX[usize::from(byte & 15)]);
    }
}

/// Appends formatted text. Writing to a vector cannot fail.
pub(super) fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

fn write_float(value: f64, out: &mut Vec<u8>) -> Result<(), NotWritable> {
    if value.is_nan() {
        return Err(NotWritable::Nan);
    }
    if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"1e999" } else { b"-1e999" });
    } else {
        // The debug form always has a decimal point or an exponent.
        put(out, format_args!("{value:?}"));
    }
    Ok(())
}

fn write_decimal(unscaled: i128, scale: u8, out: &mut Vec<u8>) {
    let scale = usize::from(scale);
    let digits = format!("{:0width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if unscaled < 0 { "-" } else { "" };
    let point = if scale > 0 { "." } else { "" };
    put(out, format_args!("\"{sign}{whole}{point}{fraction}\""));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(value: &Value, kind: ValueType) -> String {
        let mut out = Vec::new();
        write(value, kind, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn float_has_a_point_or_exponent() {
        for (value, text) in [
            (3.0, "3.0"),
            (1e20, "1e20"),
            (1e-9, "1e-9"),
            (-0.0, "-0.0"),
            (f64::INFINITY, "1e999"),
            (f64::NEG_INFINITY, "-1e999"),
        ] {
            assert_eq!(json(&Value::Double(value), ValueType::Double), text);
        }
        assert_eq!(json(&Value::Float(0.1), ValueType::Float), "0.10000000149011612");
    }

    #[test]
    fn nan_is_refused_and_leaves_no_text() {
        let mut out = Vec::new();
        assert_eq!(write(&Value::Double(f64::NAN), ValueType::Double, &mut out), Err(NotWritable::Nan));
        assert_eq!(write(&Value::Float(f32::NAN), ValueType::Float, &mut out), Err(NotWritable::Nan));
        assert_eq!(write(&Value::Float(1.0), ValueType::String, &mut out), Err(NotWritable::Mismatch));
        assert!(out.is_empty());
    }

    #[test]
    fn decimal_has_all_digits_of_its_scale() {
        for (unscaled, scale, text) in
            [(1420, 2, "\"14.20\""), (-5, 2, "\"-0.05\""), (0, 3, "\"0.000\""), (7, 0, "\"7\""), (-70, 0, "\"-70\"")]
        {
            assert_eq!(json(&Value::Decimal(unscaled), ValueType::Decimal { precision: 9, scale }), text);
        }
    }

    #[test]
    fn dates_and_times_are_iso_8601() {
        for (days, text) in [
            (0, "\"1970-01-01\""),
            (-1, "\"1969-12-31\""),
            (19_782, "\"2024-02-29\""),
            (2_932_897, "\"+10000-01-01\""),
            (-719_529, "\"-0001-12-31\""),
        ] {
            assert_eq!(json(&Value::Date(days), ValueType::Date), text);
        }
        assert_eq!(json(&Value::Int(1), ValueType::Date), "\"1970-01-02\"");
        assert_eq!(json(&Value::Time(81_068_123_456), ValueType::Time), "\"22:31:08.123456\"");
        let timestamp = |zoned| json(&Value::Timestamp(-1), ValueType::Timestamp { zoned });
        assert_eq!(timestamp(false), "\"1969-12-31T23:59:59.999999\"");
        assert_eq!(timestamp(true), "\"1969-12-31T23:59:59.999999+00:00\"");
        let nanos = |zoned| json(&Value::TimestampNano(1_000_000_001), ValueType::TimestampNano { zoned });
        assert_eq!(nanos(false), "\"1970-01-01T00:00:01.000000001\"");
        assert_eq!(nanos(true), "\"1970-01-01T00:00:01.000000001+00:00\"");
    }

    #[test]
    fn texts_and_bytes_are_strings() {
        assert_eq!(json(&Value::String("a\"\\\n\u{1}ü".into()), ValueType::String), "\"a\\\"\\\\\\n\\u0001ü\"");
        assert_eq!(json(&Value::Binary([0, 0xab].into()), ValueType::Binary), "\"00AB\"");
        let uuid = Value::Uuid(0xf79c_3e09_677c_4bbd_a479_3f34_9cb7_85e7);
        assert_eq!(json(&uuid, ValueType::Uuid), "\"f79c3e09-677c-4bbd-a479-3f349cb785e7\"");
        assert_eq!(json(&Value::Boolean(true), ValueType::Boolean), "true");
        assert_eq!(json(&Value::Long(-5), ValueType::Long), "-5");
    }
}
