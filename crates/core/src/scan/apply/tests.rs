use iceberg::spec::{Datum, PrimitiveLiteral, PrimitiveType};
use iceberg::transform::create_transform_function;
use proptest::prelude::*;

use super::*;
use crate::document::Type;

const TIMESTAMP: ValueType = ValueType::Timestamp { zoned: false };
const NANO: ValueType = ValueType::TimestampNano { zoned: true };
const DECIMAL: ValueType = ValueType::Decimal { precision: 38, scale: 2 };

/// Returns the result of the `iceberg` crate. None if it refuses.
fn oracle(transform: &Transform, source: ValueType, value: &Value) -> Option<Value> {
    let their_type: PrimitiveType = serde_json::from_value(source.to_string().into()).unwrap();
    let datum = Datum::try_from_bytes(&value.to_bytes(), their_type).unwrap();
    let their_transform = transform.to_string().parse().unwrap();
    let result = create_transform_function(&their_transform).unwrap().transform_literal(&datum).ok()??;
    Some(match (result.literal().clone(), result_type(transform, source)?) {
        (PrimitiveLiteral::Int(days), ValueType::Date) => Value::Date(days),
        (PrimitiveLiteral::Int(number), _) => Value::Int(number),
        (PrimitiveLiteral::Long(number), _) => Value::Long(number),
        (PrimitiveLiteral::Int128(number), _) => Value::Decimal(number),
        (PrimitiveLiteral::String(text), _) => Value::String(text.into()),
        (PrimitiveLiteral::Binary(bytes), _) => Value::Binary(bytes.into()),
        (other, _) => panic!("unexpected result {other:?}"),
    })
}

fn bucket_of(source: ValueType, value: Value) -> i32 {
    match apply(&Transform::Bucket(i32::MAX as u32), source, &value) {
        Some(Value::Int(bucket)) => bucket,
        other => panic!("{value:?} has {other:?}"),
    }
}

#[test]
fn hashes_are_those_of_the_specification() {
    // Appendix B has the hashes; the sign bit is cleared here, and 2^31 - 1 buckets change no other value.
    let expect = |hash: i32| (hash & i32::MAX) % i32::MAX;
    let uuid = 0xf79c_3e09_677c_4bbd_a479_3f34_9cb7_85e7_u128;
    let instant = 1_510_871_468_000_000_i64;
    for (source, value, hash) in [
        (ValueType::Int, Value::Int(34), 2_017_239_379),
        (ValueType::Long, Value::Long(34), 2_017_239_379),
        (ValueType::Decimal { precision: 9, scale: 2 }, Value::Decimal(1420), -500_754_589),
        (ValueType::Date, Value::Date(17_486), -653_330_422),
        (ValueType::Time, Value::Time(81_068_000_000), -662_762_989),
        (TIMESTAMP, Value::Timestamp(instant), -2_047_944_441),
        (TIMESTAMP, Value::Timestamp(instant + 1), -1_207_196_810),
        (NANO, Value::TimestampNano(instant * 1_000), -2_047_944_441),
        (NANO, Value::TimestampNano(instant * 1_000 + 1_999), -1_207_196_810),
        (ValueType::String, Value::String("iceberg".into()), 1_210_000_089),
        (ValueType::Uuid, Value::Uuid(uuid), 1_488_055_340),
        (ValueType::Fixed(4), Value::Binary([0, 1, 2, 3].into()), -188_683_207),
        (ValueType::Binary, Value::Binary([0, 1, 2, 3].into()), -188_683_207),
    ] {
        assert_eq!(bucket_of(source, value.clone()), expect(hash), "{value:?}");
    }
}

#[test]
fn numbers_are_truncated_towards_negative_infinity() {
    let truncate = |source, value| apply(&Transform::Truncate(10), source, &value);
    assert_eq!(truncate(ValueType::Int, Value::Int(1)), Some(Value::Int(0)));
    assert_eq!(truncate(ValueType::Int, Value::Int(-1)), Some(Value::Int(-10)));
    assert_eq!(truncate(ValueType::Long, Value::Long(-10)), Some(Value::Long(-10)));
    assert_eq!(truncate(DECIMAL, Value::Decimal(-1065)), Some(Value::Decimal(-1070)));
    assert_eq!(truncate(ValueType::Int, Value::Int(i32::MIN)), None, "the result is outside the range");
    assert_eq!(truncate(ValueType::Long, Value::Long(i64::MIN)), None, "the result is outside the range");
}

#[test]
fn text_is_truncated_to_code_points_and_binary_to_bytes() {
    let text = |text: &str| Value::String(text.into());
    assert_eq!(apply(&Transform::Truncate(2), ValueType::String, &text("é𝄞x")), Some(text("é𝄞")));
    assert_eq!(apply(&Transform::Truncate(9), ValueType::String, &text("é")), Some(text("é")));
    let bytes = Value::Binary([1, 2, 3].into());
    assert_eq!(apply(&Transform::Truncate(2), ValueType::Binary, &bytes), Some(Value::Binary([1, 2].into())));
}

#[test]
fn times_before_1970_belong_to_negative_periods() {
    for (value, source, year, month, day, hour) in [
        (Value::Timestamp(-1), TIMESTAMP, -1, -1, -1, Some(-1)),
        (Value::Timestamp(0), TIMESTAMP, 0, 0, 0, Some(0)),
        (Value::Timestamp(-86_400_000_000), TIMESTAMP, -1, -1, -1, Some(-24)),
        (Value::Timestamp(-86_400_000_001), TIMESTAMP, -1, -1, -2, Some(-25)),
        (Value::TimestampNano(-1), NANO, -1, -1, -1, Some(-1)),
        (Value::Date(-365), ValueType::Date, -1, -12, -365, None),
        (Value::Date(-366), ValueType::Date, -2, -13, -366, None),
        (Value::Date(i32::MIN), ValueType::Date, -5_879_611, -70_555_327, i32::MIN, None),
    ] {
        let result = |transform| apply(&transform, source, &value);
        assert_eq!(result(Transform::Year), Some(Value::Int(year)), "{value:?}");
        assert_eq!(result(Transform::Month), Some(Value::Int(month)), "{value:?}");
        assert_eq!(result(Transform::Day), Some(Value::Date(day)), "{value:?}");
        assert_eq!(result(Transform::Hour), hour.map(Value::Int), "{value:?}");
    }
}

#[test]
fn result_outside_its_type_is_none() {
    assert_eq!(apply(&Transform::Hour, TIMESTAMP, &Value::Timestamp(i64::MAX)), None);
    assert_eq!(apply(&Transform::Void, ValueType::Int, &Value::Int(1)), None);
    assert_eq!(apply(&Transform::Unknown("zorder".to_owned()), ValueType::Int, &Value::Int(1)), None);
    assert_eq!(apply(&Transform::Identity, ValueType::Long, &Value::Int(1)), None, "the value is of another type");
    assert_eq!(apply(&Transform::Bucket(0), ValueType::Int, &Value::Int(1)), None);
    assert_eq!(apply(&Transform::Truncate(0), ValueType::Int, &Value::Int(1)), None);
}

#[test]
fn accepted_types_are_those_of_the_document_rules() {
    use ValueType as T;
    let fixed = [T::Boolean, T::Int, T::Long, T::Float, T::Double, T::Date, T::Time, T::String, T::Uuid, T::Binary];
    for source in fixed.into_iter().chain([DECIMAL, TIMESTAMP, NANO, T::Fixed(3)]) {
        for text in ["identity", "bucket[7]", "truncate[3]", "year", "month", "day", "hour", "void"] {
            let transform = Transform::parse(text);
            let accepts = transform.applies_to(&Type::from_name(&source.to_string()));
            assert_eq!(result_type(&transform, source).is_some(), accepts, "{text} of {source}");
        }
    }
}

proptest! {
    #[test]
    fn buckets_agree_with_the_oracle(
        buckets in 1_u32..5_000, int: i32, long: i64, nanos: i64, decimal in -10_i128.pow(37)..10_i128.pow(37),
        text: String, uuid: u128, bytes: Vec<u8>,
    ) {
        let transform = Transform::Bucket(buckets);
        for (source, value) in [
            (ValueType::Int, Value::Int(int)),
            (ValueType::Date, Value::Date(int)),
            (ValueType::Long, Value::Long(long)),
            (ValueType::Time, Value::Time(long.rem_euclid(MICROS_PER_DAY))),
            (TIMESTAMP, Value::Timestamp(long)),
            (DECIMAL, Value::Decimal(decimal)),
            (DECIMAL, Value::Decimal(decimal % 70_000)),
            (ValueType::String, Value::String(text.into())),
            (ValueType::Uuid, Value::Uuid(uuid)),
            (ValueType::Fixed(u32::try_from(bytes.len()).unwrap()), Value::Binary(bytes.clone().into())),
            (ValueType::Binary, Value::Binary(bytes.into())),
            (NANO, Value::TimestampNano(nanos - nanos.rem_euclid(1_000))),
        ] {
            prop_assert_eq!(apply(&transform, source, &value), oracle(&transform, source, &value), "{:?}", value);
        }
    }

    #[test]
    fn truncation_agrees_with_the_oracle(
        width in 1_u32..1_000, int in -2_000_000_000_i32..2_000_000_000, long in -(1_i64 << 62)..1 << 62,
        decimal in -10_i128.pow(36)..10_i128.pow(36), text: String,
    ) {
        let transform = Transform::Truncate(width);
        for (source, value) in [
            (ValueType::Int, Value::Int(int)),
            (ValueType::Long, Value::Long(long)),
            (DECIMAL, Value::Decimal(decimal)),
            (ValueType::String, Value::String(text.into())),
        ] {
            prop_assert_eq!(apply(&transform, source, &value), oracle(&transform, source, &value), "{:?}", value);
        }
    }

    #[test]
    fn periods_agree_with_the_oracle(days in -50_000_000_i32..50_000_000, micros in -(1_i64 << 61)..1 << 61, nanos: i64) {
        for transform in [Transform::Year, Transform::Month, Transform::Day, Transform::Hour] {
            for (source, value) in [
                (ValueType::Date, Value::Date(days)),
                (TIMESTAMP, Value::Timestamp(micros)),
                (ValueType::TimestampNano { zoned: false }, Value::TimestampNano(nanos)),
            ] {
                if source != ValueType::Date || transform != Transform::Hour {
                    prop_assert_eq!(apply(&transform, source, &value), oracle(&transform, source, &value), "{:?}", value);
                }
            }
        }
    }

    #[test]
    fn monotonic_transforms_keep_the_order(a: i64, b: i64, width in 1_u32..100_000) {
        let (low, high) = (a.min(b), a.max(b));
        for (transform, source, low, high) in [
            (Transform::Truncate(width), ValueType::Long, Value::Long(low), Value::Long(high)),
            (Transform::Hour, NANO, Value::TimestampNano(low), Value::TimestampNano(high)),
            (Transform::Year, TIMESTAMP, Value::Timestamp(low), Value::Timestamp(high)),
            (Transform::Month, TIMESTAMP, Value::Timestamp(low), Value::Timestamp(high)),
            (Transform::Day, TIMESTAMP, Value::Timestamp(low), Value::Timestamp(high)),
        ] {
            if let (Some(low), Some(high)) = (apply(&transform, source, &low), apply(&transform, source, &high)) {
                prop_assert!(low.compare(&high).is_some_and(std::cmp::Ordering::is_le));
            }
        }
    }
}
