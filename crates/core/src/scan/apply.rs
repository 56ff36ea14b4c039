//! Transforms of values (specification, "Partition Transforms" and appendix B, "32-bit Hash Requirements").

use super::calendar::{Date, MICROS_PER_DAY, NANOS_PER_DAY};
use super::value::{Value, ValueType, decimal_to_bytes};
use crate::document::Transform;

/// The microseconds and nanoseconds of an hour.
const MICROS_PER_HOUR: i64 = 3_600_000_000;
const NANOS_PER_HOUR: i64 = 3_600_000_000_000;

/// Returns the type of a transform's results. None if the transform does not accept the source, or is unknown.
#[must_use]
pub fn result_type(transform: &Transform, source: ValueType) -> Option<ValueType> {
    use ValueType as T;
    let (accepted, result) = match transform {
        Transform::Identity | Transform::Void => (true, source),
        Transform::Bucket(_) => (!matches!(source, T::Boolean | T::Float | T::Double), T::Int),
        Transform::Truncate(_) => {
            (matches!(source, T::Int | T::Long | T::Decimal { .. } | T::String | T::Binary), source)
        }
        Transform::Year | Transform::Month => (is_date_or_timestamp(source), T::Int),
        Transform::Day => (is_date_or_timestamp(source), T::Date),
        Transform::Hour => (is_date_or_timestamp(source) && source != T::Date, T::Int),
        Transform::Unknown(_) => return None,
    };
    accepted.then_some(result)
}

fn is_date_or_timestamp(source: ValueType) -> bool {
    matches!(source, ValueType::Date | ValueType::Timestamp { .. } | ValueType::TimestampNano { .. })
}

/// Applies a transform to a value of the source type.
///
/// Returns None if the result is null (`void`), the transform does not accept the source, the value has another type, or the
/// result is outside the range of its type.
#[must_use]
pub fn apply(transform: &Transform, source: ValueType, value: &Value) -> Option<Value> {
    if !value.has_type(source) || result_type(transform, source).is_none() {
        return None;
    }
    match transform {
        Transform::Identity => Some(value.clone()),
        Transform::Bucket(buckets) => bucket(*buckets, value).map(Value::Int),
        Transform::Truncate(width) => truncate(*width, value),
        Transform::Year => Some(Value::Int(i32::try_from(date(value)?.year - 1970).ok()?)),
        Transform::Month => {
            let date = date(value)?;
            Some(Value::Int(i32::try_from((date.year - 1970) * 12 + date.month - 1).ok()?))
        }
        Transform::Day => Some(Value::Date(i32::try_from(days(value)?).ok()?)),
        Transform::Hour => Some(Value::Int(i32::try_from(hours(value)?).ok()?)),
        Transform::Void | Transform::Unknown(_) => None,
    }
}

fn date(value: &Value) -> Option<Date> {
    days(value).map(Date::from_days)
}

/// Returns the days since 1970-01-01, rounded down.
fn days(value: &Value) -> Option<i64> {
    match value {
        Value::Date(days) => Some(i64::from(*days)),
        Value::Timestamp(micros) => Some(micros.div_euclid(MICROS_PER_DAY)),
        Value::TimestampNano(nanos) => Some(nanos.div_euclid(NANOS_PER_DAY)),
        _ => None,
    }
}

/// Returns the hours since 1970-01-01T00:00, rounded down.
fn hours(value: &Value) -> Option<i64> {
    match value {
        Value::Timestamp(micros) => Some(micros.div_euclid(MICROS_PER_HOUR)),
        Value::TimestampNano(nanos) => Some(nanos.div_euclid(NANOS_PER_HOUR)),
        _ => None,
    }
}

/// Truncates numbers towards negative infinity to a multiple of the width, text to code points, and binary to bytes.
fn truncate(width: u32, value: &Value) -> Option<Value> {
    let wide = i64::from(width);
    if width == 0 {
        return None;
    }
    match value {
        Value::Int(number) => {
            let truncated = i64::from(*number) - i64::from(*number).rem_euclid(wide);
            Some(Value::Int(i32::try_from(truncated).ok()?))
        }
        Value::Long(number) => Some(Value::Long(number.checked_sub(number.rem_euclid(wide))?)),
        Value::Decimal(unscaled) => Some(Value::Decimal(unscaled.checked_sub(unscaled.rem_euclid(i128::from(width)))?)),
        Value::String(text) => {
            let end = text.char_indices().nth(width as usize).map_or(text.len(), |(at, _)| at);
            Some(Value::String(text[..end].into()))
        }
        Value::Binary(bytes) => Some(Value::Binary(bytes[..bytes.len().min(width as usize)].into())),
        _ => None,
    }
}

/// Returns the bucket of a value. Nanoseconds are hashed as microseconds, so that equal times share a bucket.
fn bucket(buckets: u32, value: &Value) -> Option<i32> {
    let long = |number: i64| murmur3(&number.to_le_bytes());
    let hash = match value {
        Value::Int(number) | Value::Date(number) => long(i64::from(*number)),
        Value::Long(number) | Value::Time(number) | Value::Timestamp(number) => long(*number),
        Value::TimestampNano(nanos) => long(nanos.div_euclid(1_000)),
        Value::Decimal(unscaled) => murmur3(&decimal_to_bytes(*unscaled)),
        Value::String(text) => murmur3(text.as_bytes()),
        Value::Uuid(value) => murmur3(&value.to_be_bytes()),
        Value::Binary(bytes) => murmur3(bytes),
        Value::Boolean(_) | Value::Float(_) | Value::Double(_) => return None,
    };
    i32::try_from((hash & 0x7fff_ffff).checked_rem(buckets)?).ok()
}

/// Returns the 32-bit Murmur3 hash for x86 with seed 0.
fn murmur3(bytes: &[u8]) -> u32 {
    let mix = |block: u32| block.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let (blocks, tail) = bytes.as_chunks::<4>();
    let mut hash = 0_u32;
    for block in blocks {
        hash ^= mix(u32::from_le_bytes(*block));
        hash = hash.rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    if !tail.is_empty() {
        let mut last = [0; 4];
        last[..tail.len()].copy_from_slice(tail);
        hash ^= mix(u32::from_le_bytes(last));
    }
    // The algorithm takes the length modulo 2^32.
    let length = bytes.len() as u32;
    hash ^= length;
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests;
