use proptest::prelude::*;

use super::*;
use crate::document::Type;

fn kind(name: &str) -> ValueType {
    ValueType::from_type(&Type::from_name(name)).unwrap()
}

fn literal(json: &str) -> Literal {
    let scalar = match json.as_bytes()[0] {
        b'"' => Scalar::Text(serde_json::from_str::<String>(json).unwrap().into()),
        b't' | b'f' => Scalar::Boolean(json == "true"),
        _ => Scalar::Number(json.into()),
    };
    Literal { scalar, data_type: None }
}

fn typed(json: &str, data_type: &str) -> Literal {
    Literal { data_type: Some(kind(data_type)), ..literal(json) }
}

fn value(json: &str, name: &str) -> Value {
    match literal(json).convert(kind(name)) {
        Ok(Converted::Value(value)) => value,
        other => panic!("{json} as {name} is {other:?}"),
    }
}

const INSTANT: i64 = 1_510_871_468_123_456;
const UUID: u128 = 0xf79c_3e09_677c_4bbd_a479_3f34_9cb7_85e7;

#[test]
fn literals_of_java_are_converted() {
    for (json, name, expected) in [
        ("true", "boolean", Value::Boolean(true)),
        ("34", "int", Value::Int(34)),
        ("34", "long", Value::Long(34)),
        ("34", "double", Value::Double(34.0)),
        ("1.1", "float", Value::Float(1.1)),
        ("1.1", "double", Value::Double(1.1)),
        (r#""-Infinity""#, "double", Value::Double(f64::NEG_INFINITY)),
        (r#""14.20""#, "decimal(9,2)", Value::Decimal(1420)),
        ("17486", "date", Value::Date(17_486)),
        ("-1", "date", Value::Date(-1)),
        ("81068000000", "time", Value::Time(81_068_000_000)),
        ("1510871468123456", "timestamp", Value::Timestamp(INSTANT)),
        ("1510871468123456", "timestamptz", Value::Timestamp(INSTANT)),
        ("1510871468123456", "timestamp_ns", Value::TimestampNano(INSTANT * 1_000)),
        ("1510871468123456", "timestamptz_ns", Value::TimestampNano(INSTANT * 1_000)),
        (r#""iceberg""#, "string", Value::String("iceberg".into())),
        (r#""f79c3e09-677c-4bbd-a479-3f349cb785e7""#, "uuid", Value::Uuid(UUID)),
        (r#""00FF""#, "binary", Value::Binary([0, 255].into())),
        (r#""00FF""#, "fixed[2]", Value::Binary([0, 255].into())),
        (r#""""#, "binary", Value::Binary([].into())),
    ] {
        assert_eq!(value(json, name), expected, "{json} as {name}");
    }
}

#[test]
fn literals_of_pyiceberg_are_converted() {
    for (json, name, expected) in [
        (r#""2017-11-16""#, "date", Value::Date(17_486)),
        (r#""22:31:08""#, "time", Value::Time(81_068_000_000)),
        (r#""2017-11-16T22:31:08.123456""#, "timestamp", Value::Timestamp(INSTANT)),
        (r#""2017-11-16T22:31:08.123456+00:00""#, "timestamptz", Value::Timestamp(INSTANT)),
        (r#""2017-11-16T22:31:08.123456""#, "timestamptz", Value::Timestamp(INSTANT)),
        (r#""2017-11-16T23:31:08.123456+01:00""#, "timestamptz", Value::Timestamp(INSTANT)),
        (r#""2017-11-16T22:31:08.123456789""#, "timestamp_ns", Value::TimestampNano(INSTANT * 1_000 + 789)),
        (r#""00ff""#, "binary", Value::Binary([0, 255].into())),
        (r#""12.25""#, "float", Value::Float(12.25)),
        (r#""-3.5""#, "double", Value::Double(-3.5)),
        (r#""F79C3E09-677C-4BBD-A479-3F349CB785E7""#, "uuid", Value::Uuid(UUID)),
    ] {
        assert_eq!(value(json, name), expected, "{json} as {name}");
    }
}

#[test]
fn literals_of_duckdb_are_converted() {
    for (json, name, expected) in [
        ("14.2", "decimal(9,2)", Value::Decimal(1420)),
        ("-14", "decimal(9,2)", Value::Decimal(-1400)),
        ("1e2", "decimal(9,2)", Value::Decimal(10_000)),
        (r#""1969-12-31""#, "date", Value::Date(-1)),
    ] {
        assert_eq!(value(json, name), expected, "{json} as {name}");
    }
}

#[test]
fn mismatched_literals_are_refused() {
    for (json, name) in [
        ("1", "boolean"),
        (r#""true""#, "boolean"),
        ("true", "int"),
        ("1.0", "int"),
        ("1e3", "long"),
        (r#""1""#, "long"),
        (r#""1,5""#, "double"),
        (r#""NaN""#, "double"),
        ("1e400", "double"),
        (r#""1.2.3""#, "decimal(9,2)"),
        (r#""""#, "decimal(9,2)"),
        (r#"".""#, "decimal(9,2)"),
        (r#""1e""#, "decimal(9,2)"),
        ("1.5", "date"),
        (r#""2017-11-16T00:00:00""#, "date"),
        (r#""2017-11-16""#, "timestamp"),
        (r#""2017-11-16T22:31:08Z""#, "timestamp"),
        (r#""2017-11-16T22:31:08+00:00""#, "timestamp_ns"),
        ("1", "string"),
        ("1", "uuid"),
        (r#""f79c3e09677c4bbda4793f349cb785e7""#, "uuid"),
        (r#""0""#, "binary"),
        (r#""0g""#, "binary"),
        (r#""00""#, "fixed[2]"),
        ("1", "binary"),
    ] {
        assert!(literal(json).convert(kind(name)).is_err(), "{json} as {name}");
    }
}

#[test]
fn literals_outside_the_range_of_the_type_are_above_or_below_it() {
    for (json, name, above) in [
        ("2147483648", "int", true),
        ("-2147483649", "int", false),
        ("9223372036854775808", "long", true),
        ("-99999999999999999999999999999999999999999999", "long", false),
        ("2147483648", "date", true),
        (r#""-9999999-01-01""#, "date", false),
        ("86400000000", "time", true),
        ("-1", "time", false),
        ("9223372036854776", "timestamp_ns", true),
        (r#""1600-01-01T00:00:00""#, "timestamp_ns", false),
        ("1e39", "float", true),
        ("-1e39", "float", false),
        (r#""10000000.00""#, "decimal(9,2)", true),
        ("-1e999999999999999999999", "decimal(9,2)", false),
        (r#""-99999999.995""#, "decimal(9,2)", false),
    ] {
        let expected = if above { Converted::AboveMax } else { Converted::BelowMin };
        assert_eq!(literal(json).convert(kind(name)), Ok(expected), "{json} as {name}");
    }
}

#[test]
fn literals_with_more_digits_than_the_type_lie_above_the_value_below_them() {
    for (json, name, below) in [
        (r#""14.205""#, "decimal(9,2)", Value::Decimal(1420)),
        (r#""-14.205""#, "decimal(9,2)", Value::Decimal(-1421)),
        ("1e-999999999999999999999", "decimal(9,2)", Value::Decimal(0)),
        ("-0.001", "decimal(9,2)", Value::Decimal(-1)),
        (r#""1970-01-01T00:00:00.000001001""#, "timestamp", Value::Timestamp(1)),
        (r#""1969-12-31T23:59:59.999999999""#, "timestamp", Value::Timestamp(-1)),
        (r#""00:00:00.000000001""#, "time", Value::Time(0)),
    ] {
        assert_eq!(literal(json).convert(kind(name)), Ok(Converted::JustAbove(below)), "{json} as {name}");
    }
    assert_eq!(value(r#""14.200""#, "decimal(9,2)"), Value::Decimal(1420), "zeros do not matter");
    assert_eq!(value("0e99999999999999999999999", "decimal(9,2)"), Value::Decimal(0));
}

#[test]
fn typed_literals_are_promoted_exactly() {
    for (json, from, to, expected) in [
        ("1", "int", "int", Value::Int(1)),
        ("1", "int", "long", Value::Long(1)),
        ("1", "long", "int", Value::Int(1)),
        ("1.5", "float", "double", Value::Double(1.5)),
        ("1.5", "double", "float", Value::Float(1.5)),
        (r#""1.50""#, "decimal(9,2)", "decimal(11,3)", Value::Decimal(1500)),
        (r#""1970-01-02""#, "date", "timestamp", Value::Timestamp(MICROS_PER_DAY)),
        (r#""1970-01-02""#, "date", "timestamp_ns", Value::TimestampNano(NANOS_PER_DAY)),
        (r#""1970-01-01T00:00:00.000001""#, "timestamp", "timestamp_ns", Value::TimestampNano(1_000)),
        (r#""00""#, "fixed[1]", "binary", Value::Binary([0].into())),
    ] {
        let converted = typed(json, from).convert(kind(to));
        assert_eq!(converted, Ok(Converted::Value(expected)), "{json}: {from} as {to}");
    }
    assert_eq!(typed("2147483648", "long").convert(kind("int")), Ok(Converted::AboveMax));
}

#[test]
fn typed_literals_of_incompatible_types_are_refused() {
    for (json, from, to) in [
        ("1.1", "double", "float"),
        ("1", "int", "double"),
        ("1", "int", "date"),
        ("1", "long", "decimal(9,2)"),
        (r#""a""#, "string", "uuid"),
        (r#""1970-01-02""#, "date", "timestamptz"),
        (r#""1970-01-01T00:00:00""#, "timestamp", "timestamptz"),
        (r#""1970-01-01T00:00:00""#, "timestamp", "date"),
        ("1", "timestamp_ns", "timestamp_ns"),
        ("2147483648", "int", "long"),
        (r#""x""#, "int", "int"),
    ] {
        assert!(typed(json, from).convert(kind(to)).is_err(), "{json}: {from} as {to}");
    }
}

proptest! {
    #[test]
    fn numbers_are_converted_to_themselves(int: i32, long: i64, float: f32, double: f64, unscaled in -10_i128.pow(37)..10_i128.pow(37)) {
        prop_assert_eq!(value(&int.to_string(), "int"), Value::Int(int));
        prop_assert_eq!(value(&long.to_string(), "long"), Value::Long(long));
        if float.is_finite() {
            prop_assert_eq!(value(&format!("{float:?}"), "float"), Value::Float(float));
        }
        if double.is_finite() {
            prop_assert_eq!(value(&format!("{double:?}"), "double"), Value::Double(double));
        }
        let sign = if unscaled < 0 { "-" } else { "" };
        let text = format!("\"{sign}{}.{:03}\"", unscaled.abs() / 1000, unscaled.abs() % 1000);
        prop_assert_eq!(value(&text, "decimal(38,3)"), Value::Decimal(unscaled));
        prop_assert_eq!(value(&format!("{unscaled}e-3"), "decimal(38,3)"), Value::Decimal(unscaled));
    }

    #[test]
    fn decimals_are_rounded_down_and_never_up(unscaled in -1_000_000_i128..1_000_000, lost in 1_u32..1000) {
        let sign = if unscaled < 0 { "-" } else { "" };
        let text = format!("\"{sign}{}.{:02}{lost:03}\"", unscaled.abs() / 100, unscaled.abs() % 100);
        let floor = if unscaled < 0 { unscaled - 1 } else { unscaled };
        prop_assert_eq!(literal(&text).convert(kind("decimal(20,2)")), Ok(Converted::JustAbove(Value::Decimal(floor))));
    }

    #[test]
    fn conversion_never_panics(text: String, number in "-?[0-9]{1,60}(\\.[0-9]{0,60})?([eE][-+]?[0-9]{1,30})?") {
        let names = [
            "boolean", "int", "long", "float", "double", "decimal(38,10)", "date", "time", "timestamp", "timestamptz",
            "timestamp_ns", "timestamptz_ns", "string", "uuid", "fixed[3]", "binary",
        ];
        for name in names {
            let scalars = [Scalar::Text(text.as_str().into()), Scalar::Number(number.as_str().into()), Scalar::Text(number.as_str().into())];
            for scalar in scalars {
                if let Ok(Converted::Value(value) | Converted::JustAbove(value)) = scalar.convert(kind(name)) {
                    prop_assert!(value.has_type(kind(name)) && !value.is_nan());
                }
            }
        }
    }
}
