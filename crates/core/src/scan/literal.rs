//! Literals of filters, and their conversion to values of a column's type (specification, appendix D, "JSON single-value
//! serialization", and the forms that shipped clients send).

use super::calendar::{MICROS_PER_DAY, NANOS_PER_DAY, parse_date, parse_time, parse_timestamp};
use super::value::{Value, ValueType};
use crate::hex::hex;

/// A literal, before its column is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal {
    /// Its JSON value.
    pub scalar: Scalar,
    /// Its type, in the form with a `data-type`.
    pub data_type: Option<ValueType>,
}

/// A JSON value that can be a literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scalar {
    /// `true` or `false`.
    Boolean(bool),
    /// The text of a number. Keeps all of its digits.
    Number(Box<str>),
    /// A string.
    Text(Box<str>),
}

/// A literal in terms of a column's type.
#[derive(Debug, Clone, PartialEq)]
pub enum Converted {
    /// A value of the type.
    Value(Value),
    /// More than this value, and less than the next one: the literal has more digits than the type.
    JustAbove(Value),
    /// More than all values of the type.
    AboveMax,
    /// Less than all values of the type.
    BelowMin,
}

impl std::fmt::Display for Scalar {
    /// Writes it for a message, shortened.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use crate::document::json::excerpt;
        match self {
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Number(text) => f.write_str(&excerpt(text)),
            Self::Text(text) => write!(f, "\"{}\"", excerpt(text)),
        }
    }
}

impl Literal {
    /// Converts it to a type. Never rounds, except a number for a `float` or `double`, as the reference implementation does.
    ///
    /// Accepts dates as text or days, times and timestamps as text or microseconds (also for types of nanoseconds, as Java sends
    /// them), decimals as text or numbers, and binary as hexadecimal digits in either case.
    ///
    /// # Errors
    /// Fails if it is not a value of the type. The error says what to send.
    pub fn convert(&self, value_type: ValueType) -> Result<Converted, String> {
        let Some(data_type) = self.data_type else { return self.scalar.convert(value_type) };
        let stated = self.scalar.convert(data_type)?;
        if !matches!(stated, Converted::Value(_)) {
            return Err(format!("it is outside the range of its data-type {data_type}"));
        }
        let is_nano = |kind| matches!(kind, ValueType::TimestampNano { .. });
        if matches!(self.scalar, Scalar::Number(_)) && is_nano(data_type) {
            return Err(format!("a {data_type} must be text like 2026-01-31T22:31:08.123456789"));
        }
        match (data_type, value_type, stated) {
            (ValueType::Double, ValueType::Float, Converted::Value(Value::Double(value))) => {
                exact_float(value).map(Converted::Value)
            }
            (ValueType::Date, ValueType::Timestamp { zoned: false }, Converted::Value(Value::Date(days))) => {
                Ok(Converted::Value(Value::Timestamp(i64::from(days) * MICROS_PER_DAY)))
            }
            (ValueType::Date, ValueType::TimestampNano { zoned: false }, Converted::Value(Value::Date(days))) => {
                Ok(in_i64(i128::from(days) * i128::from(NANOS_PER_DAY), Value::TimestampNano))
            }
            (from, to, stated) if from == to => Ok(stated),
            (from, to, _) if is_comparable(from, to) => self.scalar.convert(to),
            (from, ..) => Err(format!("a {from} cannot be compared with it")),
        }
    }
}

/// Returns whether the same JSON value is a literal of both types, with the same meaning.
fn is_comparable(from: ValueType, to: ValueType) -> bool {
    use ValueType as T;
    match (from, to) {
        (T::Int | T::Long, T::Int | T::Long)
        | (T::Float, T::Double)
        | (T::Decimal { .. }, T::Decimal { .. })
        | (T::Fixed(_) | T::Binary, T::Fixed(_) | T::Binary) => true,
        (
            T::Timestamp { zoned: a } | T::TimestampNano { zoned: a },
            T::Timestamp { zoned: b } | T::TimestampNano { zoned: b },
        ) => a == b,
        _ => false,
    }
}

impl Scalar {
    fn convert(&self, value_type: ValueType) -> Result<Converted, String> {
        let (converted, expected) = match (self, value_type) {
            (Self::Boolean(value), ValueType::Boolean) => (Some(Converted::Value(Value::Boolean(*value))), ""),
            (Self::Number(text), _) => number(text, value_type)?,
            (Self::Text(text), _) => from_text(text, value_type)?,
            (Self::Boolean(_), _) => (None, "true and false are values of a boolean only"),
        };
        converted.ok_or_else(|| expected.to_owned())
    }
}

/// What a conversion gives: the value, and what to send if there is none.
type Outcome = (Option<Converted>, &'static str);

/// Converts a JSON number.
fn number(text: &str, value_type: ValueType) -> Result<Outcome, String> {
    let integer = || Integer::parse(text);
    Ok(match value_type {
        ValueType::Int => (integer().map(|number| number.in_i32(Value::Int)), "send an integer"),
        ValueType::Long => (integer().map(|number| number.scaled(1, Value::Long)), "send an integer"),
        ValueType::Float => (float(text)?, "send a finite number"),
        ValueType::Double => (double(text).map(|value| Converted::Value(Value::Double(value))), "send a finite number"),
        ValueType::Decimal { precision, scale } => (decimal(text, precision, scale), "send a decimal number"),
        ValueType::Date => {
            (integer().map(|number| number.in_i32(Value::Date)), "send text like 2026-01-31, or days since 1970")
        }
        ValueType::Time => (integer().map(Integer::time), "send text like 22:31:08.123456, or microseconds"),
        ValueType::Timestamp { .. } => {
            let value = integer().map(|number| number.scaled(1, Value::Timestamp));
            (value, "send text like 2026-01-31T22:31:08.123456, or microseconds since 1970")
        }
        // Java sends microseconds for these types, too.
        ValueType::TimestampNano { .. } => {
            let value = integer().map(|number| number.scaled(1_000, Value::TimestampNano));
            (value, "send text like 2026-01-31T22:31:08.123456789, or microseconds since 1970")
        }
        ValueType::Boolean => (None, "send true or false"),
        ValueType::String => (None, "send a string"),
        ValueType::Uuid => (None, "send a string with a UUID"),
        ValueType::Fixed(_) | ValueType::Binary => (None, "send a string of hexadecimal digits"),
    })
}

/// Converts a JSON string.
fn from_text(text: &str, value_type: ValueType) -> Result<Outcome, String> {
    Ok(match value_type {
        ValueType::String => (Some(Converted::Value(Value::String(text.into()))), ""),
        ValueType::Uuid => {
            let uuid = uuid::Uuid::try_parse(text).ok().filter(|_| text.len() == 36);
            (uuid.map(|uuid| Converted::Value(Value::Uuid(uuid.as_u128()))), "send a UUID with its hyphens")
        }
        ValueType::Decimal { precision, scale } => (decimal(text, precision, scale), "send a decimal number"),
        ValueType::Date => (parse_date(text).map(|days| in_i32(days, Value::Date)), "send a date like 2026-01-31"),
        ValueType::Time => {
            (parse_time(text).map(|nanos| micros(nanos.into(), Value::Time)), "send text like 22:31:08.123456")
        }
        ValueType::Timestamp { zoned } => {
            let value = parse_timestamp(text, zoned).map(|nanos| micros(nanos, Value::Timestamp));
            (value, timestamp_form(zoned))
        }
        ValueType::TimestampNano { zoned } => {
            let value = parse_timestamp(text, zoned).map(|nanos| in_i64(nanos, Value::TimestampNano));
            (value, timestamp_form(zoned))
        }
        ValueType::Fixed(length) => match bytes(text) {
            Some(bytes) if bytes.len() != length as usize => {
                return Err(format!("it has {} bytes instead of {length}", bytes.len()));
            }
            bytes => {
                (bytes.map(|bytes| Converted::Value(Value::Binary(bytes))), "send two hexadecimal digits for each byte")
            }
        },
        ValueType::Binary => (
            bytes(text).map(|bytes| Converted::Value(Value::Binary(bytes))),
            "send two hexadecimal digits for each byte",
        ),
        // JSON has no infinities: Java writes them as strings. PyIceberg sends the number of a filter in text as a string.
        ValueType::Float => match infinity(text) {
            Some(sign) => (Some(Converted::Value(Value::Float(f32::INFINITY * sign))), NUMBER),
            None => (float(text)?, NUMBER),
        },
        ValueType::Double => {
            let infinite = infinity(text).map(|sign| f64::INFINITY * f64::from(sign));
            (infinite.or_else(|| double(text)).map(|value| Converted::Value(Value::Double(value))), NUMBER)
        }
        ValueType::Boolean => (None, "send true or false, without quotes"),
        ValueType::Int | ValueType::Long => (None, "send an integer, without quotes"),
    })
}

const NUMBER: &str = "send a number without quotes, or use is-nan for NaN";

fn timestamp_form(zoned: bool) -> &'static str {
    if zoned {
        "send text like 2026-01-31T22:31:08.123456+00:00"
    } else {
        "send text like 2026-01-31T22:31:08.123456, without an offset"
    }
}

/// An integer of any size.
#[derive(Clone, Copy)]
struct Integer(i128);

impl Integer {
    /// Parses an integer of JSON. Larger numbers than `i128` become its limits, which are outside all types.
    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let limit = if text.starts_with('-') { i128::MIN } else { i128::MAX };
        Some(Self(text.parse().unwrap_or(limit)))
    }

    fn in_i32(self, value: fn(i32) -> Value) -> Converted {
        match i32::try_from(self.0) {
            Ok(number) => Converted::Value(value(number)),
            Err(_) => outside(self.0),
        }
    }

    fn scaled(self, factor: i128, value: fn(i64) -> Value) -> Converted {
        self.0.checked_mul(factor).map_or_else(|| outside(self.0), |number| in_i64(number, value))
    }

    fn time(self) -> Converted {
        if (0..i128::from(MICROS_PER_DAY)).contains(&self.0) { self.scaled(1, Value::Time) } else { outside(self.0) }
    }
}

fn outside(number: i128) -> Converted {
    if number < 0 { Converted::BelowMin } else { Converted::AboveMax }
}

fn in_i32(number: i64, value: fn(i32) -> Value) -> Converted {
    Integer(number.into()).in_i32(value)
}

fn in_i64(number: i128, value: fn(i64) -> Value) -> Converted {
    i64::try_from(number).map_or_else(|_| outside(number), |number| Converted::Value(value(number)))
}

/// Converts nanoseconds to microseconds.
fn micros(nanos: i128, value: fn(i64) -> Value) -> Converted {
    match in_i64(nanos.div_euclid(1_000), value) {
        Converted::Value(value) if nanos.rem_euclid(1_000) > 0 => Converted::JustAbove(value),
        converted => converted,
    }
}

fn double(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

/// Rounds to the nearest `float`, as the reference implementation does.
fn float(text: &str) -> Result<Option<Converted>, String> {
    let Some(value) = double(text) else { return Ok(None) };
    if value > f64::from(f32::MAX) {
        return Ok(Some(Converted::AboveMax));
    }
    if value < f64::from(f32::MIN) {
        return Ok(Some(Converted::BelowMin));
    }
    // The range is checked above.
    let rounded = value as f32;
    Ok(Some(Converted::Value(Value::Float(rounded))))
}

/// Converts a literal that is stated to be a `double`: it must be a `float` exactly.
fn exact_float(value: f64) -> Result<Value, String> {
    let rounded = value as f32;
    let exact = f64::from(rounded).to_bits() == value.to_bits();
    exact.then_some(Value::Float(rounded)).ok_or_else(|| "this double is not exactly a float".to_owned())
}

fn infinity(text: &str) -> Option<f32> {
    match text {
        "Infinity" | "+Infinity" => Some(1.0),
        "-Infinity" => Some(-1.0),
        _ => None,
    }
}

fn bytes(text: &str) -> Option<Box<[u8]>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(hex(*high)? << 4 | hex(*low)?)).collect()
}

/// Converts a decimal number, such as `-14.20` or `1e3`, without rounding.
fn decimal(text: &str, precision: u8, scale: u8) -> Option<Converted> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
        None => (text, 0),
    };
    let negative = mantissa.starts_with('-');
    let unsigned = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Some(Converted::Value(Value::Decimal(0)));
    }
    // The unscaled value is the digits, followed by this many zeros; or without this many digits.
    let shift = exponent.saturating_add(i64::from(scale)).saturating_sub(i64::try_from(fraction.len()).ok()?);
    let kept = i64::try_from(digits.len()).ok()?.saturating_add(shift.min(0)).max(0);
    let (kept, lost) = digits.split_at(usize::try_from(kept).ok()?);
    let magnitude = if kept.is_empty() { Some(0) } else { scaled_up(kept, shift.max(0)) };
    let inexact = lost.bytes().any(|byte| byte != b'0');
    let outside = if negative { Converted::BelowMin } else { Converted::AboveMax };
    let Some(magnitude) = magnitude else { return Some(outside) };
    let floor = if negative { -magnitude - i128::from(inexact) } else { magnitude };
    let limit = 10_u128.checked_pow(u32::from(precision)).unwrap_or(u128::MAX);
    if floor.unsigned_abs() >= limit {
        return Some(outside);
    }
    let value = Value::Decimal(floor);
    Some(if inexact { Converted::JustAbove(value) } else { Converted::Value(value) })
}

/// Returns the digits followed by zeros, or None if the number is larger than any decimal's.
fn scaled_up(digits: &str, zeros: i64) -> Option<i128> {
    let zeros = u32::try_from(zeros).ok()?;
    digits.parse::<i128>().ok()?.checked_mul(10_i128.checked_pow(zeros)?)
}

/// Parses an exponent. One that is too large becomes the limit.
fn parse_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // A quarter of the range, so that sums do not overflow.
    let limit = i64::MAX / 4;
    let magnitude = digits.parse().map_or(limit, |exponent: i64| exponent.min(limit));
    Some(if text.starts_with('-') { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests;
