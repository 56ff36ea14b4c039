//! Values of primitive types, as filters, partitions and bounds have them (specification, "Primitive Types").

use std::cmp::Ordering;
use std::fmt;

use super::calendar::{MICROS_PER_DAY, NANOS_PER_DAY};
use crate::document::{Primitive, Type};

/// A primitive type whose values a filter can compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueType {
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
    /// `decimal(precision,scale)`
    Decimal {
        /// The number of digits, at most 38.
        precision: u8,
        /// The number of digits after the decimal point.
        scale: u8,
    },
    /// `date`
    Date,
    /// `time`
    Time,
    /// `timestamp`, or `timestamptz` with `zoned`
    Timestamp {
        /// Whether it is a `timestamptz`.
        zoned: bool,
    },
    /// `timestamp_ns`, or `timestamptz_ns` with `zoned`
    TimestampNano {
        /// Whether it is a `timestamptz_ns`.
        zoned: bool,
    },
    /// `string`
    String,
    /// `uuid`
    Uuid,
    /// `fixed[length]`
    Fixed(u32),
    /// `binary`
    Binary,
}

/// A value that is not null.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A `boolean`.
    Boolean(bool),
    /// An `int`. Also the result of `bucket`, `year`, `month` and `hour`.
    Int(i32),
    /// A `long`.
    Long(i64),
    /// A `float`.
    Float(f32),
    /// A `double`.
    Double(f64),
    /// The unscaled value of a `decimal`. The scale is in the type.
    Decimal(i128),
    /// Days since 1970-01-01. Also the result of `day`.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
    /// Microseconds since 1970-01-01T00:00 (in UTC if the type is zoned).
    Timestamp(i64),
    /// Nanoseconds since 1970-01-01T00:00 (in UTC if the type is zoned).
    TimestampNano(i64),
    /// A `string`.
    String(Box<str>),
    /// A `uuid`, as a big-endian number.
    Uuid(u128),
    /// A `fixed` or `binary`.
    Binary(Box<[u8]>),
}

impl ValueType {
    /// Returns the type of a column's values. None for nested types, and for types whose values cannot be compared: `unknown`,
    /// `variant`, `geometry`, `geography`, and types outside the specification.
    #[must_use]
    pub fn from_type(column_type: &Type) -> Option<Self> {
        let Type::Primitive(primitive, _) = column_type else { return None };
        let zoned = column_type.is_zoned();
        Some(match primitive {
            Primitive::Boolean => Self::Boolean,
            Primitive::Int => Self::Int,
            Primitive::Long => Self::Long,
            Primitive::Float => Self::Float,
            Primitive::Double => Self::Double,
            Primitive::Date => Self::Date,
            Primitive::Time => Self::Time,
            Primitive::Timestamp => Self::Timestamp { zoned },
            Primitive::TimestampNano => Self::TimestampNano { zoned },
            Primitive::String => Self::String,
            Primitive::Uuid => Self::Uuid,
            Primitive::Binary => Self::Binary,
            Primitive::Fixed => Self::Fixed(column_type.fixed_length()?),
            Primitive::Decimal => {
                let (precision, scale) = column_type.decimal_digits()?;
                Self::Decimal { precision, scale }
            }
            Primitive::Unknown | Primitive::Variant | Primitive::Geometry | Primitive::Geography | Primitive::Other => {
                return None;
            }
        })
    }
}

/// Writes the type's name in a schema.
impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean => f.write_str("boolean"),
            Self::Int => f.write_str("int"),
            Self::Long => f.write_str("long"),
            Self::Float => f.write_str("float"),
            Self::Double => f.write_str("double"),
            Self::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            Self::Date => f.write_str("date"),
            Self::Time => f.write_str("time"),
            Self::Timestamp { zoned } => f.write_str(if *zoned { "timestamptz" } else { "timestamp" }),
            Self::TimestampNano { zoned } => f.write_str(if *zoned { "timestamptz_ns" } else { "timestamp_ns" }),
            Self::String => f.write_str("string"),
            Self::Uuid => f.write_str("uuid"),
            Self::Fixed(length) => write!(f, "fixed[{length}]"),
            Self::Binary => f.write_str("binary"),
        }
    }
}

impl Value {
    /// Returns whether it is a value of this type. Does not check precision and length.
    #[must_use]
    pub fn has_type(&self, value_type: ValueType) -> bool {
        matches!(
            (self, value_type),
            (Self::Boolean(_), ValueType::Boolean)
                | (Self::Int(_), ValueType::Int)
                | (Self::Long(_), ValueType::Long)
                | (Self::Float(_), ValueType::Float)
                | (Self::Double(_), ValueType::Double)
                | (Self::Decimal(_), ValueType::Decimal { .. })
                | (Self::Date(_), ValueType::Date)
                | (Self::Time(_), ValueType::Time)
                | (Self::Timestamp(_), ValueType::Timestamp { .. })
                | (Self::TimestampNano(_), ValueType::TimestampNano { .. })
                | (Self::String(_), ValueType::String)
                | (Self::Uuid(_), ValueType::Uuid)
                | (Self::Binary(_), ValueType::Fixed(_) | ValueType::Binary)
        )
    }

    /// Reads the binary single-value form (specification, appendix D). Also reads what was written before the column's type
    /// was promoted: an `int` for a `long`, a `float` for a `double`, a `date` for a `timestamp` or `timestamp_ns`.
    /// A `fixed` may be shorter than its type, since bounds are truncated.
    ///
    /// Returns None if the bytes are not such a value.
    #[must_use]
    pub fn from_bytes(value_type: ValueType, bytes: &[u8]) -> Option<Self> {
        let i32 = || Some(i32::from_le_bytes(bytes.try_into().ok()?));
        let i64 = || Some(i64::from_le_bytes(bytes.try_into().ok()?));
        let f32 = || Some(f32::from_le_bytes(bytes.try_into().ok()?));
        let f64 = || Some(f64::from_le_bytes(bytes.try_into().ok()?));
        match value_type {
            ValueType::Boolean => <[u8; 1]>::try_from(bytes).ok().map(|[byte]| Self::Boolean(byte != 0)),
            ValueType::Int => i32().map(Self::Int),
            ValueType::Long => i64().or_else(|| i32().map(i64::from)).map(Self::Long),
            ValueType::Float => f32().map(Self::Float),
            ValueType::Double => f64().or_else(|| f32().map(f64::from)).map(Self::Double),
            ValueType::Decimal { .. } => decimal_from_bytes(bytes).map(Self::Decimal),
            ValueType::Date => i32().map(Self::Date),
            ValueType::Time => i64().map(Self::Time),
            ValueType::Timestamp { zoned } => {
                let promoted = || i32().filter(|_| !zoned).map(|days| i64::from(days) * MICROS_PER_DAY);
                i64().or_else(promoted).map(Self::Timestamp)
            }
            ValueType::TimestampNano { zoned } => {
                let promoted = || i64::from(i32().filter(|_| !zoned)?).checked_mul(NANOS_PER_DAY);
                i64().or_else(promoted).map(Self::TimestampNano)
            }
            ValueType::String => std::str::from_utf8(bytes).ok().map(|text| Self::String(text.into())),
            ValueType::Uuid => bytes.try_into().ok().map(|bytes| Self::Uuid(u128::from_be_bytes(bytes))),
            ValueType::Fixed(length) => (bytes.len() <= length as usize).then(|| Self::Binary(bytes.into())),
            ValueType::Binary => Some(Self::Binary(bytes.into())),
        }
    }

    /// Returns the binary single-value form (specification, appendix D).
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Boolean(value) => vec![u8::from(*value)],
            Self::Int(value) | Self::Date(value) => value.to_le_bytes().to_vec(),
            Self::Long(value) | Self::Time(value) | Self::Timestamp(value) | Self::TimestampNano(value) => {
                value.to_le_bytes().to_vec()
            }
            Self::Float(value) => value.to_le_bytes().to_vec(),
            Self::Double(value) => value.to_le_bytes().to_vec(),
            Self::Decimal(unscaled) => decimal_to_bytes(*unscaled),
            Self::String(text) => text.as_bytes().to_vec(),
            Self::Uuid(value) => value.to_be_bytes().to_vec(),
            Self::Binary(bytes) => bytes.to_vec(),
        }
    }

    /// Compares two values of the same type. Returns None for values of different types.
    ///
    /// Floating-point numbers are in the specification's order: `-0.0` is less than `0.0`. NaN equals NaN, and is greater than
    /// all others, as in Java. Bounds and literals are never NaN, so callers test [`Value::is_nan`] first. Strings are in the
    /// order of their UTF-8 bytes, which is that of code points. Binary and `uuid` are unsigned.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        Some(match (self, other) {
            (Self::Boolean(a), Self::Boolean(b)) => a.cmp(b),
            (Self::Int(a), Self::Int(b)) | (Self::Date(a), Self::Date(b)) => a.cmp(b),
            (Self::Long(a), Self::Long(b))
            | (Self::Time(a), Self::Time(b))
            | (Self::Timestamp(a), Self::Timestamp(b))
            | (Self::TimestampNano(a), Self::TimestampNano(b)) => a.cmp(b),
            (Self::Float(a), Self::Float(b)) => compare_floats(f64::from(*a), f64::from(*b)),
            (Self::Double(a), Self::Double(b)) => compare_floats(*a, *b),
            (Self::Decimal(a), Self::Decimal(b)) => a.cmp(b),
            (Self::String(a), Self::String(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Self::Uuid(a), Self::Uuid(b)) => a.cmp(b),
            (Self::Binary(a), Self::Binary(b)) => a.cmp(b),
            _ => return None,
        })
    }

    /// Compares two values in the order of the reference implementation, which takes the halves of a `uuid` as signed numbers.
    /// It writes bounds of partitions in this order. So a test of bounds that come from a file may refuse the file only if both
    /// orders refuse it.
    #[must_use]
    pub fn compare_with_signed_uuids(&self, other: &Self) -> Option<Ordering> {
        // Flips the sign of both halves: the unsigned order of the results is the signed order.
        const SIGNS: u128 = 1 << 127 | 1 << 63;
        match (self, other) {
            (Self::Uuid(a), Self::Uuid(b)) => Some((a ^ SIGNS).cmp(&(b ^ SIGNS))),
            _ => self.compare(other),
        }
    }

    /// Returns whether no value of its type is less. False for types without a least value in memory.
    #[must_use]
    pub const fn is_least(&self) -> bool {
        match self {
            Self::Int(number) | Self::Date(number) => *number == i32::MIN,
            Self::Long(number) | Self::Timestamp(number) | Self::TimestampNano(number) => *number == i64::MIN,
            _ => false,
        }
    }

    /// Returns whether no value of its type is greater. False for types without a greatest value in memory.
    #[must_use]
    pub const fn is_greatest(&self) -> bool {
        match self {
            Self::Int(number) | Self::Date(number) => *number == i32::MAX,
            Self::Long(number) | Self::Timestamp(number) | Self::TimestampNano(number) => *number == i64::MAX,
            _ => false,
        }
    }

    /// Returns whether it is a floating-point NaN.
    #[must_use]
    pub fn is_nan(&self) -> bool {
        match self {
            Self::Float(value) => value.is_nan(),
            Self::Double(value) => value.is_nan(),
            _ => false,
        }
    }
}

fn compare_floats(a: f64, b: f64) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (false, false) => a.total_cmp(&b),
        (a, b) => a.cmp(&b),
    }
}

/// Reads a big-endian number in two's complement of at most 16 significant bytes.
fn decimal_from_bytes(bytes: &[u8]) -> Option<i128> {
    let sign = if bytes.first()? & 0x80 == 0 { 0 } else { 0xff };
    let mut number = [sign; 16];
    let (extension, significant) = bytes.split_at(bytes.len().saturating_sub(16));
    let negative = significant.first()? & 0x80 != 0;
    if extension.iter().any(|byte| *byte != sign) || negative != (sign != 0) {
        return None;
    }
    number[16 - significant.len()..].copy_from_slice(significant);
    Some(i128::from_be_bytes(number))
}

/// Returns a number as the fewest big-endian bytes in two's complement. Also the hashed form of a decimal.
pub(super) fn decimal_to_bytes(unscaled: i128) -> Vec<u8> {
    let bytes = unscaled.to_be_bytes();
    let redundant = |pair: &&[u8]| match pair {
        [0, next] => next & 0x80 == 0,
        [0xff, next] => next & 0x80 != 0,
        _ => false,
    };
    let start = bytes.windows(2).take_while(redundant).count();
    bytes[start..].to_vec()
}

#[cfg(test)]
mod tests;
