use std::cmp::Ordering::{Equal, Greater, Less};

use proptest::prelude::*;

use super::*;

fn timestamp(zoned: bool) -> ValueType {
    ValueType::Timestamp { zoned }
}

fn text(text: &str) -> Value {
    Value::String(text.into())
}

#[test]
fn types_of_columns_are_found() {
    for (name, expected) in [
        ("boolean", Some(ValueType::Boolean)),
        ("Decimal( 9 , 2 )", Some(ValueType::Decimal { precision: 9, scale: 2 })),
        ("fixed[16]", Some(ValueType::Fixed(16))),
        ("timestamp", Some(timestamp(false))),
        ("timestamptz", Some(timestamp(true))),
        ("timestamp_ns", Some(ValueType::TimestampNano { zoned: false })),
        ("timestamptz_ns", Some(ValueType::TimestampNano { zoned: true })),
        ("binary", Some(ValueType::Binary)),
        ("unknown", None),
        ("variant", None),
        ("geometry", None),
        ("geography", None),
        ("decimal(40,2)", None),
        ("fixed[]", None),
        ("varchar(10)", None),
    ] {
        assert_eq!(ValueType::from_type(&Type::from_name(name)), expected, "{name}");
    }
}

#[test]
fn value_types_are_displayed_as_in_a_schema() {
    for name in [
        "boolean",
        "int",
        "long",
        "float",
        "double",
        "decimal(9,2)",
        "date",
        "time",
        "timestamp",
        "timestamptz",
        "timestamp_ns",
        "timestamptz_ns",
        "string",
        "uuid",
        "fixed[3]",
        "binary",
    ] {
        assert_eq!(ValueType::from_type(&Type::from_name(name)).unwrap().to_string(), name);
    }
}

#[test]
fn bytes_from_before_a_promotion_are_read() {
    let decimal = ValueType::Decimal { precision: 38, scale: 2 };
    for (value_type, bytes, expected) in [
        (ValueType::Long, &[0xfe, 0xff, 0xff, 0xff][..], Some(Value::Long(-2))),
        (ValueType::Double, &1.5_f32.to_le_bytes(), Some(Value::Double(1.5))),
        (decimal, &[0xff], Some(Value::Decimal(-1))),
        (decimal, &[0x00, 0x80], Some(Value::Decimal(128))),
        (timestamp(false), &[1, 0, 0, 0], Some(Value::Timestamp(MICROS_PER_DAY))),
        (timestamp(true), &[1, 0, 0, 0], None),
        (ValueType::TimestampNano { zoned: false }, &[1, 0, 0, 0], Some(Value::TimestampNano(NANOS_PER_DAY))),
        (ValueType::TimestampNano { zoned: false }, &i32::MAX.to_le_bytes(), None),
        (ValueType::Fixed(3), &[1, 2], Some(Value::Binary([1, 2].into()))),
    ] {
        assert_eq!(Value::from_bytes(value_type, bytes), expected, "{value_type}");
    }
}

#[test]
fn bytes_of_another_length_are_no_value() {
    let decimal = ValueType::Decimal { precision: 38, scale: 2 };
    for (value_type, bytes) in [
        (ValueType::Boolean, &[][..]),
        (ValueType::Int, &[0; 8]),
        (ValueType::Long, &[0; 5]),
        (ValueType::Float, &[0; 8]),
        (ValueType::Date, &[0; 8]),
        (ValueType::Uuid, &[0; 15]),
        (decimal, &[]),
        (decimal, &[1; 17]),
        (ValueType::Fixed(1), &[0; 2]),
        (ValueType::String, &[0xff]),
    ] {
        assert_eq!(Value::from_bytes(value_type, bytes), None, "{value_type}");
    }
}

#[test]
fn decimal_may_have_redundant_sign_bytes_but_not_more_digits() {
    let decimal = ValueType::Decimal { precision: 38, scale: 0 };
    let mut bytes = vec![0xff; 20];
    assert_eq!(Value::from_bytes(decimal, &bytes), Some(Value::Decimal(-1)));
    bytes[4] = 0x7f;
    assert_eq!(Value::from_bytes(decimal, &bytes), None);
}

#[test]
fn values_are_in_the_order_of_the_specification() {
    for (low, high) in [
        (Value::Boolean(false), Value::Boolean(true)),
        (Value::Float(-0.0), Value::Float(0.0)),
        (Value::Double(f64::NEG_INFINITY), Value::Double(-0.0)),
        (Value::Double(f64::INFINITY), Value::Double(f64::NAN)),
        (Value::Double(f64::INFINITY), Value::Double(-f64::NAN)),
        (text("a"), text("b")),
        (text(""), text("a")),
        // By code point, the last before the surrogates' range is less than the first after it. By UTF-16 it is not.
        (text("\u{ffff}"), text("\u{10000}")),
        (Value::Binary([0x7f].into()), Value::Binary([0x80].into())),
        (Value::Uuid(1), Value::Uuid(u128::MAX)),
        (Value::Decimal(-1), Value::Decimal(0)),
    ] {
        assert_eq!(low.compare(&high), Some(Less), "{low:?} {high:?}");
        assert_eq!(high.compare(&low), Some(Greater), "{low:?} {high:?}");
        assert_eq!(low.compare(&low), Some(Equal), "{low:?}");
        assert_eq!(high.compare(&high), Some(Equal), "{high:?}");
    }
}

#[test]
fn values_of_different_types_are_not_compared() {
    assert_eq!(Value::Int(1).compare(&Value::Long(1)), None);
    assert_eq!(Value::Date(1).compare(&Value::Int(1)), None);
}

#[test]
fn java_takes_the_halves_of_a_uuid_as_signed() {
    let java = |a, b| Value::Uuid(a).compare_with_signed_uuids(&Value::Uuid(b));
    assert_eq!(java(u128::MAX, 1), Some(Less));
    assert_eq!(java(1 << 63, 0), Some(Less));
    assert_eq!(java(1 << 64, 0), Some(Greater));
    assert_eq!(Value::Int(1).compare_with_signed_uuids(&Value::Int(2)), Some(Less));
}

fn typed_value() -> impl Strategy<Value = (ValueType, Value)> {
    prop_oneof![
        any::<bool>().prop_map(|value| (ValueType::Boolean, Value::Boolean(value))),
        any::<i32>().prop_map(|value| (ValueType::Int, Value::Int(value))),
        any::<i64>().prop_map(|value| (ValueType::Long, Value::Long(value))),
        any::<f32>().prop_map(|value| (ValueType::Float, Value::Float(value))),
        any::<f64>().prop_map(|value| (ValueType::Double, Value::Double(value))),
        any::<i128>().prop_map(|value| (ValueType::Decimal { precision: 38, scale: 3 }, Value::Decimal(value))),
        (-1000_i128..1000).prop_map(|value| (ValueType::Decimal { precision: 9, scale: 0 }, Value::Decimal(value))),
        any::<i32>().prop_map(|value| (ValueType::Date, Value::Date(value))),
        any::<i64>().prop_map(|value| (ValueType::Time, Value::Time(value))),
        any::<i64>().prop_map(|value| (timestamp(true), Value::Timestamp(value))),
        any::<i64>().prop_map(|value| (ValueType::TimestampNano { zoned: false }, Value::TimestampNano(value))),
        any::<String>().prop_map(|value| (ValueType::String, Value::String(value.into()))),
        any::<u128>().prop_map(|value| (ValueType::Uuid, Value::Uuid(value))),
        any::<[u8; 5]>().prop_map(|value| (ValueType::Fixed(5), Value::Binary(value.into()))),
        any::<Vec<u8>>().prop_map(|value| (ValueType::Binary, Value::Binary(value.into()))),
    ]
}

proptest! {
    #[test]
    fn value_is_read_back_from_its_bytes((value_type, value) in typed_value()) {
        prop_assert!(value.has_type(value_type));
        let read = Value::from_bytes(value_type, &value.to_bytes()).unwrap();
        prop_assert_eq!(read.compare(&value), Some(Equal));
        prop_assert_eq!(read.to_bytes(), value.to_bytes());
    }

    #[test]
    fn order_of_strings_is_that_of_code_points(a: String, b: String) {
        let expected = a.chars().cmp(b.chars());
        prop_assert_eq!(text(&a).compare(&text(&b)), Some(expected));
    }

    #[test]
    fn order_is_antisymmetric_and_only_within_a_type((_, a) in typed_value(), (_, b) in typed_value()) {
        prop_assert_eq!(a.compare(&b), b.compare(&a).map(Ordering::reverse));
        prop_assert_eq!(a.compare(&b).is_some(), std::mem::discriminant(&a) == std::mem::discriminant(&b));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>, (value_type, _) in typed_value()) {
        if let Some(value) = Value::from_bytes(value_type, &bytes) {
            prop_assert!(value.has_type(value_type));
        }
    }
}
