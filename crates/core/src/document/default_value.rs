//! Default values of fields: JSON single values (specification, appendix D, "JSON single-value serialization").

use serde_json::Value;

use super::json::{excerpt, integer};
use super::type_name;
use super::types::{Primitive, Type};

/// The most digits after the decimal point of a second, for microseconds and nanoseconds.
const MICROS: usize = 6;
const NANOS: usize = 9;

/// Returns a default in the specification's spelling. A `float` or `double` gets a decimal point or an exponent, since the
/// reference implementation requires it. A `uuid` becomes lower case. Any other text stays.
pub(super) fn spelled(kind: &Type, json: &str) -> String {
    match kind {
        Type::Primitive(Primitive::Float | Primitive::Double, _) if json.parse::<i64>().is_ok() => format!("{json}.0"),
        Type::Primitive(Primitive::Uuid, _) => json.to_ascii_lowercase(),
        _ => json.to_owned(),
    }
}

/// Returns why `json` cannot be the default of a field of this type, or `None` if it can.
pub(super) fn problem(kind: &Type, json: &str) -> Option<String> {
    use Primitive as P;
    let expected = |what: &str| Some(format!("the default {} is not {what}", excerpt(json)));
    let (primitive, name) = match kind {
        Type::Primitive(primitive, name) => (*primitive, name.as_str()),
        // The specification also allows {} for a struct, but the reference implementation cannot read it.
        Type::Struct(_) | Type::List(_) | Type::Map(_) | Type::Opaque(_) => {
            return expected("null, the only default of such a type that all readers know");
        }
    };
    let Ok(value) = serde_json::from_str::<Value>(json) else { return expected("JSON") };
    let text = value.as_str();
    let is_text = |valid: fn(&str) -> bool| text.is_some_and(valid);
    let (valid, what) = match primitive {
        P::Boolean => (value.is_boolean(), "true or false"),
        P::Int => (integer::<i32>(json).is_some(), "a 32-bit integer"),
        P::Long => (integer::<i64>(json).is_some(), "a 64-bit integer"),
        P::Float => (json.parse::<f32>().is_ok_and(f32::is_finite) && value.is_number(), "a number"),
        P::Double => (json.parse::<f64>().is_ok_and(f64::is_finite) && value.is_number(), "a number"),
        P::Decimal => (
            text.zip(type_name::decimal_digits(name)).is_some_and(|(text, digits)| is_decimal(text, digits)),
            "a string with a decimal of the type's scale and precision",
        ),
        P::Date => (is_text(is_date), "a string like 2026-01-31"),
        P::Time => (text.is_some_and(|text| is_time(text, MICROS)), "a string like 22:31:08.000000"),
        P::Timestamp | P::TimestampNano => {
            let digits = if primitive == P::Timestamp { MICROS } else { NANOS };
            if name.starts_with("timestamptz") {
                let valid = text.is_some_and(|text| is_utc_timestamp(text, digits));
                (valid, "a string like 2026-01-31T22:31:08.000000+00:00")
            } else {
                (text.is_some_and(|text| is_timestamp(text, digits)), "a string like 2026-01-31T22:31:08.000000")
            }
        }
        P::String => (text.is_some(), "a string"),
        P::Uuid => (is_text(|text| text.len() == 36 && uuid::Uuid::parse_str(text).is_ok()), "a string with a UUID"),
        P::Fixed => (
            text.zip(type_name::fixed_length(name))
                .is_some_and(|(text, length)| is_hex(text) && text.len() == length * 2),
            "a string of hexadecimal digits, two for each byte",
        ),
        P::Binary => (is_text(is_hex), "a string of hexadecimal digits, two for each byte"),
        P::Unknown | P::Variant | P::Geometry | P::Geography => (false, "null, the only default of such a type"),
        // Another check refuses the type itself.
        P::Other => (true, ""),
    };
    if valid { None } else { expected(what) }
}

/// Returns whether a text is a decimal with at most `all` digits, `behind` of them after the decimal point.
fn is_decimal(text: &str, (all, behind): (usize, usize)) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let has_point = digits.contains('.');
    !whole.is_empty()
        && has_point == (behind > 0)
        && is_digits(whole)
        && is_digits(fraction)
        && fraction.len() == behind
        && whole.trim_start_matches('0').len() + behind <= all
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_hex(text: &str) -> bool {
    text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Returns whether a text is `YYYY-MM-DD` with a valid day.
fn is_date(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let mut number = |length: usize| {
        let part = parts.next().filter(|part| part.len() == length && is_digits(part))?;
        part.parse::<u32>().ok()
    };
    let (Some(year), Some(month), Some(day)) = (number(4), number(2), number(2)) else { return false };
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return false,
    };
    (1..=days).contains(&day)
}

/// Returns whether a text is `HH:MM:SS`, with an optional fraction of at most `most_digits` digits.
fn is_time(text: &str, most_digits: usize) -> bool {
    let (clock, fraction) = match text.split_once('.') {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (text, None),
    };
    let parts: Vec<&str> = clock.split(':').collect();
    let within =
        |part: &str, most: u32| part.len() == 2 && is_digits(part) && part.parse::<u32>().is_ok_and(|n| n <= most);
    matches!(parts[..], [hours, minutes, seconds] if within(hours, 23) && within(minutes, 59) && within(seconds, 59))
        && fraction.is_none_or(|fraction| (1..=most_digits).contains(&fraction.len()) && is_digits(fraction))
}

fn is_timestamp(text: &str, most_digits: usize) -> bool {
    text.split_once('T').is_some_and(|(date, time)| is_date(date) && is_time(time, most_digits))
}

fn is_utc_timestamp(text: &str, most_digits: usize) -> bool {
    let local = text.strip_suffix("+00:00").or_else(|| text.strip_suffix('Z'));
    local.is_some_and(|local| is_timestamp(local, most_digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str) -> Type {
        let (primitive, spelling) = type_name::parse(name);
        Type::Primitive(primitive, spelling)
    }

    #[test]
    fn default_of_the_field_type_is_accepted() {
        for (name, json) in [
            ("boolean", "true"),
            ("int", "-34"),
            ("long", "9223372036854775807"),
            ("float", "1.5"),
            ("double", "1e10"),
            ("decimal(9,2)", r#""14.20""#),
            ("decimal(4,0)", r#""-1420""#),
            ("decimal(2,2)", r#""0.14""#),
            ("date", r#""2024-02-29""#),
            ("time", r#""22:31:08.123456""#),
            ("timestamp", r#""2017-11-16T22:31:08""#),
            ("timestamptz", r#""2017-11-16T22:31:08.123456+00:00""#),
            ("timestamptz_ns", r#""2017-11-16T22:31:08.123456789Z""#),
            ("string", r#""""#),
            ("uuid", r#""f79c3e09-677c-4bbd-a479-3f349cb785e7""#),
            ("fixed[4]", r#""000102ff""#),
            ("binary", r#""""#),
        ] {
            assert_eq!(problem(&kind(name), json), None, "{name} {json}");
        }
    }

    #[test]
    fn default_of_another_type_is_refused() {
        for (name, json) in [
            ("boolean", r#""true""#),
            ("int", "2147483648"),
            ("int", "1.0"),
            ("int", "-0"),
            ("long", r#""1""#),
            ("float", "1e39"),
            ("double", r#""NaN""#),
            ("decimal(9,2)", "14.2"),
            ("decimal(9,2)", r#""14.2""#),
            ("decimal(3,2)", r#""14.20""#),
            ("decimal(4,0)", r#""1.""#),
            ("date", r#""2023-02-29""#),
            ("date", "19000"),
            ("time", r#""24:00:00""#),
            ("timestamp", r#""2017-11-16""#),
            ("timestamp", r#""2017-11-16T22:31:08+00:00""#),
            ("timestamp", r#""2017-11-16T22:31:08.123456789""#),
            ("timestamptz", r#""2017-11-16T22:31:08+01:00""#),
            ("string", "1"),
            ("uuid", r#""f79c3e09677c4bbda4793f349cb785e7""#),
            ("fixed[4]", r#""0001""#),
            ("binary", r#""0g""#),
            ("binary", r#""000""#),
            ("unknown", "1"),
            ("variant", "{}"),
            ("geometry", r#""POINT (1 1)""#),
        ] {
            assert!(problem(&kind(name), json).is_some(), "{name} {json}");
        }
    }

    #[test]
    fn whole_number_default_of_a_double_gets_a_decimal_point() {
        assert_eq!(spelled(&kind("double"), "3"), "3.0");
        assert_eq!(spelled(&kind("double"), "3.5"), "3.5");
        assert_eq!(spelled(&kind("long"), "3"), "3");
        assert_eq!(spelled(&kind("uuid"), r#""F79C""#), r#""f79c""#);
    }
}
