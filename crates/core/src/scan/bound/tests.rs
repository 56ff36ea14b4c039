use proptest::prelude::*;

use super::*;
use crate::document::Schema;

const SCHEMA: &str = r#"{"type": "struct", "fields": [
    {"id": 1, "name": "id", "required": true, "type": "long"},
    {"id": 2, "name": "n", "required": false, "type": "int"},
    {"id": 3, "name": "s", "required": false, "type": "string"},
    {"id": 4, "name": "f", "required": false, "type": "double"},
    {"id": 5, "name": "ts", "required": false, "type": "timestamptz"},
    {"id": 6, "name": "d", "required": false, "type": "decimal(9,2)"},
    {"id": 7, "name": "v", "required": false, "type": "variant"},
    {"id": 8, "name": "place", "required": false, "type": {"type": "struct", "fields": [
        {"id": 9, "name": "town", "required": true, "type": "string"}]}},
    {"id": 10, "name": "tags", "required": true, "type": {"type": "list", "element-id": 11, "element-required": true,
        "element": "string"}},
    {"id": 12, "name": "home", "required": true, "type": {"type": "struct", "fields": [
        {"id": 13, "name": "town", "required": true, "type": "string"}]}},
    {"id": 14, "name": "b", "required": false, "type": "binary"},
    {"id": 15, "name": "day", "required": false, "type": "date"}]}"#;

fn bound(text: &str, case_sensitive: bool) -> Result<Bound, FilterError> {
    let schema = Schema::parse(SCHEMA).unwrap();
    bind(&Expression::parse(text)?, &schema.index().unwrap(), case_sensitive)
}

fn bind_text(text: &str) -> Bound {
    bound(text, true).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn refused(text: &str) -> String {
    bound(text, true).expect_err(text).to_string()
}

/// Binds a legacy predicate, and returns its comparison.
fn comparison(kind: &str, term: &str, value: &str) -> Comparison {
    match bind_text(&predicate(kind, term, value)) {
        Bound::Test(test) => test.comparison,
        other => panic!("{kind} {term} {value} is {other:?}"),
    }
}

fn predicate(kind: &str, term: &str, value: &str) -> String {
    match kind {
        "in" | "not-in" => format!(r#"{{"type":"{kind}","term":{term},"values":{value}}}"#),
        _ if value.is_empty() => format!(r#"{{"type":"{kind}","term":{term}}}"#),
        _ => format!(r#"{{"type":"{kind}","term":{term},"value":{value}}}"#),
    }
}

fn not(child: &str) -> String {
    format!(r#"{{"type":"not","child":{child}}}"#)
}

#[test]
fn term_has_the_column_and_the_name_of_the_caller() {
    let Bound::Test(test) = bound(&predicate("eq", r#""PLACE.Town""#, r#""x""#), false).unwrap() else { panic!() };
    let expected = Term {
        field_id: 9,
        name: "PLACE.Town".into(),
        source: Some(ValueType::String),
        required: false,
        transform: Transform::Identity,
    };
    assert_eq!(test, Test { term: expected, comparison: Comparison::Equal(Value::String("x".into())) });
    let Bound::Test(test) = bind_text(&predicate("eq", r#"{"type":"reference","id":9}"#, r#""x""#)) else { panic!() };
    assert_eq!((test.term.field_id, &*test.term.name), (9, "place.town"));
}

#[test]
fn null_tests_of_required_columns_are_constants() {
    for (term, required) in [
        (r#""id""#, true),
        (r#""home.town""#, true),
        (r#""tags""#, true),
        (r#""place.town""#, false),
        (r#""n""#, false),
    ] {
        assert_eq!(bind_text(&predicate("is-null", term, "")) == Bound::False, required, "{term}");
        assert_eq!(bind_text(&predicate("not-null", term, "")) == Bound::True, required, "{term}");
    }
}

#[test]
fn sets_are_sorted_without_duplicates_and_small_ones_become_comparisons() {
    let (one, two, three) = (Value::Int(1), Value::Int(2), Value::Int(3));
    assert_eq!(comparison("in", r#""n""#, "[3,1,2,3,1]"), Comparison::In(vec![one.clone(), two.clone(), three]));
    assert_eq!(comparison("in", r#""n""#, "[1,1]"), Comparison::Equal(one.clone()));
    assert_eq!(comparison("not-in", r#""n""#, "[1]"), Comparison::NotEqual(one.clone()));
    assert_eq!(comparison("not-in", r#""n""#, "[2,1,3000000000]"), Comparison::NotIn(vec![one, two]));
    assert_eq!(bind_text(&predicate("in", r#""n""#, "[]")), Bound::False);
    assert_eq!(bind_text(&predicate("not-in", r#""n""#, "[]")), Bound::True);
    assert_eq!(bind_text(&predicate("in", r#""n""#, "[3000000000]")), Bound::False);
}

#[test]
fn literals_outside_the_range_decide_the_comparison() {
    for (kind, above, below) in [
        ("lt", true, false),
        ("lt-eq", true, false),
        ("gt", false, true),
        ("gt-eq", false, true),
        ("eq", false, false),
        ("not-eq", true, true),
    ] {
        assert_eq!(bind_text(&predicate(kind, r#""n""#, "3000000000")), constant(above), "{kind}");
        assert_eq!(bind_text(&predicate(kind, r#""n""#, "-3000000000")), constant(below), "{kind}");
        assert_eq!(bind_text(&not(&predicate(kind, r#""n""#, "3000000000"))), constant(!above), "not {kind}");
    }
}

#[test]
fn no_value_is_beyond_the_limits_of_its_type() {
    for (kind, literal, expected) in [
        ("gt", i32::MAX, Some(false)),
        ("lt", i32::MIN, Some(false)),
        ("gt-eq", i32::MAX, None),
        ("lt-eq", i32::MIN, None),
        ("gt", i32::MIN, None),
        ("lt", i32::MAX, None),
    ] {
        let bound = bind_text(&predicate(kind, r#""n""#, &literal.to_string()));
        let found = if matches!(bound, Bound::Test(_)) { None } else { Some(bound == Bound::True) };
        assert_eq!(found, expected, "{kind} {literal}");
    }
    let year = r#"{"type":"transform","transform":"year","term":"ts"}"#;
    assert_eq!(bind_text(&predicate("gt", year, "2147483647")), Bound::False);
}

#[test]
fn literals_between_two_values_are_compared_exactly() {
    let value = Value::Decimal(1420);
    for kind in ["lt", "lt-eq"] {
        assert_eq!(comparison(kind, r#""d""#, r#""14.205""#), Comparison::LessOrEqual(value.clone()));
    }
    for kind in ["gt", "gt-eq"] {
        assert_eq!(comparison(kind, r#""d""#, "14.205"), Comparison::Greater(value.clone()));
    }
    assert_eq!(bind_text(&predicate("eq", r#""d""#, "14.205")), Bound::False);
    assert_eq!(bind_text(&predicate("not-eq", r#""d""#, "14.205")), Bound::True);
    assert_eq!(comparison("in", r#""d""#, r#"["14.205", "14.2"]"#), Comparison::Equal(value));
}

#[test]
fn prefixes_are_for_strings_and_binary() {
    assert_eq!(comparison("starts-with", r#""s""#, r#""x""#), Comparison::StartsWith(Value::String("x".into())));
    assert_eq!(comparison("starts-with", r#""b""#, r#""0A""#), Comparison::StartsWith(Value::Binary([10].into())));
    assert_eq!(comparison("not-starts-with", r#""s""#, r#""""#), Comparison::IsNull);
    assert_eq!(bind_text(&predicate("starts-with", r#""home.town""#, r#""""#)), Bound::True);
    assert!(refused(&predicate("starts-with", r#""n""#, "1")).contains("only string and binary"));
}

#[test]
fn functions_have_literals_of_their_result() {
    let day = r#"{"type":"transform","transform":"day","term":"ts"}"#;
    assert_eq!(comparison("eq", day, r#""1970-01-02""#), Comparison::Equal(Value::Date(1)));
    assert_eq!(comparison("eq", day, "1"), Comparison::Equal(Value::Date(1)));
    let year = r#"{"type":"transform","transform":"year","term":"ts"}"#;
    assert_eq!(comparison("gt", year, "50"), Comparison::Greater(Value::Int(50)));
    let truncate = r#"{"type":"transform","transform":"truncate[2]","term":"s"}"#;
    assert_eq!(comparison("eq", truncate, r#""ab""#), Comparison::Equal(Value::String("ab".into())));
    let bucket = r#"{"type":"transform","transform":"bucket[4]","term":"f"}"#;
    assert_eq!(
        refused(&predicate("eq", bucket, "1")),
        "Cannot bind eq to column 'f' of type double: bucket[4] cannot transform its values"
    );
    let void = r#"{"type":"transform","transform":"void","term":"s"}"#;
    assert!(refused(&predicate("is-null", void, "")).contains("void cannot transform"));
}

#[test]
fn columns_without_an_order_allow_only_null_tests() {
    for term in [r#""v""#, r#""place""#, r#""tags""#] {
        bind_text(&predicate("is-null", term, ""));
        assert!(refused(&predicate("eq", term, "1")).contains("allow is-null and not-null only"), "{term}");
        assert!(refused(&predicate("in", term, "[]")).contains("allow is-null and not-null only"), "{term}");
    }
    assert!(refused(&predicate("is-null", r#""tags.element""#, "")).contains("inside a list or map"));
    assert!(
        refused(&predicate("is-nan", r#""n""#, "")).contains("IsNaN cannot be used with a non-floating-point column")
    );
    assert_eq!(comparison("is-nan", r#""f""#, ""), Comparison::IsNan);
}

#[test]
fn error_of_a_literal_names_column_type_and_literal() {
    assert_eq!(
        refused(&predicate("eq", r#""day""#, r#""x""#)),
        "Invalid value for conversion to type date: \"x\" (column 'day'): send a date like 2026-01-31"
    );
    assert!(
        refused(&predicate("eq", r#""Day""#, "1")).starts_with("Cannot find field 'Day' in struct: struct<1: id: ")
    );
    assert!(refused(&predicate("eq", r#"{"type":"reference","id":99}"#, "1")).starts_with("Cannot find field '99'"));
}

#[test]
fn errors_below_constants_are_reported() {
    let text = format!(r#"{{"type":"or","left":true,"right":{}}}"#, predicate("eq", r#""nope""#, "1"));
    assert!(refused(&text).starts_with("Cannot find field 'nope'"));
}

#[test]
fn field_ids_are_those_of_the_remaining_tests() {
    let text = format!(
        r#"{{"type":"and","left":{},"right":{{"type":"or","left":{},"right":{}}}}}"#,
        predicate("eq", r#""n""#, "1"),
        predicate("is-null", r#""id""#, ""),
        predicate("lt", r#""s""#, r#""x""#),
    );
    assert_eq!(bind_text(&text).field_ids(), BTreeSet::from([2, 3]));
}

/// A filter over one nullable column, as JSON.
fn filter() -> impl Strategy<Value = String> {
    let kinds = vec!["lt", "lt-eq", "gt", "gt-eq", "eq", "not-eq", "in", "not-in", "is-null", "not-null"];
    let leaf = (prop::sample::select(kinds), -3_i64..3, any::<bool>()).prop_map(|(kind, value, far)| {
        let value = if far { value * 3_000_000_000 } else { value };
        match kind {
            "in" | "not-in" => predicate(kind, r#""n""#, &format!("[{value},1]")),
            "is-null" | "not-null" => predicate(kind, r#""n""#, ""),
            _ => predicate(kind, r#""n""#, &value.to_string()),
        }
    });
    prop_oneof![9 => leaf, 1 => Just("true".to_owned()), 1 => Just("false".to_owned())].prop_recursive(
        4,
        24,
        2,
        |inner| {
            prop_oneof![
                inner.clone().prop_map(|child| not(&child)),
                (inner.clone(), inner, any::<bool>()).prop_map(|(left, right, and)| {
                    format!(r#"{{"type":"{}","left":{left},"right":{right}}}"#, if and { "and" } else { "or" })
                }),
            ]
        },
    )
}

/// Returns whether a value that is not null matches.
fn matches(bound: &Bound, value: i32) -> bool {
    let is = |other: &Value, test: fn(Ordering) -> bool| Value::Int(value).compare(other).is_some_and(test);
    let within = |values: &[Value]| values.contains(&Value::Int(value));
    match bound {
        Bound::True => true,
        Bound::False => false,
        Bound::And(parts) => parts.len() > 1 && parts.iter().all(|part| matches(part, value)),
        Bound::Or(parts) => parts.len() < 2 || parts.iter().any(|part| matches(part, value)),
        Bound::Test(test) => match &test.comparison {
            Comparison::IsNull => false,
            Comparison::NotNull => true,
            Comparison::Less(other) => is(other, Ordering::is_lt),
            Comparison::LessOrEqual(other) => is(other, Ordering::is_le),
            Comparison::Greater(other) => is(other, Ordering::is_gt),
            Comparison::GreaterOrEqual(other) => is(other, Ordering::is_ge),
            Comparison::Equal(other) => is(other, Ordering::is_eq),
            Comparison::NotEqual(other) => is(other, Ordering::is_ne),
            Comparison::In(values) => within(values),
            Comparison::NotIn(values) => !within(values),
            other => panic!("unexpected {other:?}"),
        },
    }
}

proptest! {
    #[test]
    fn negated_filter_matches_the_other_values(text in filter(), value in -4_i32..4) {
        let expected = !matches(&bind_text(&text), value);
        prop_assert_eq!(matches(&bind_text(&not(&text)), value), expected);
        prop_assert_eq!(matches(&bind_text(&text).negate(), value), expected);
    }

    #[test]
    fn negation_before_and_after_binding_agree(text in filter()) {
        prop_assert_eq!(bind_text(&not(&text)), bind_text(&text).negate());
        prop_assert_eq!(bind_text(&text).negate().negate(), bind_text(&text));
    }

    #[test]
    fn combined_filters_match_what_both_or_one_match(a in filter(), b in filter(), value in -4_i32..4) {
        let (left, right) = (bind_text(&a), bind_text(&b));
        let both = matches(&left, value) && matches(&right, value);
        let one = matches(&left, value) || matches(&right, value);
        prop_assert_eq!(matches(&Bound::and([left.clone(), right.clone()]), value), both);
        prop_assert_eq!(matches(&Bound::or([left, right]), value), one);
    }
}
