use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Expression {
    Expression::parse(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn refused(text: &str) -> String {
    Expression::parse(text).expect_err(text).to_string()
}

fn number(text: &str) -> Literal {
    Literal { scalar: Scalar::Number(text.into()), data_type: None }
}

fn predicate(operation: Operation, name: &str, literals: Vec<Literal>) -> Expression {
    let reference = Reference::Name(name.into());
    Expression::Predicate(Predicate { operation, reference, transform: Transform::Identity, literals })
}

fn equal(name: &str, value: &str) -> Expression {
    predicate(Operation::Equal, name, vec![number(value)])
}

#[test]
fn constants_are_parsed() {
    for text in
        ["true", r#"{"type": "true"}"#, r#"{"type": "literal", "value": true}"#, r#"{"type":"not","child":false}"#]
    {
        assert_eq!(parse(text), Expression::True, "{text}");
    }
    for text in ["false", r#"{"type": "FALSE"}"#, r#"{"type": "literal", "value": false}"#] {
        assert_eq!(parse(text), Expression::False, "{text}");
    }
}

#[test]
fn legacy_predicates_are_parsed() {
    for (text, expected) in [
        (r#"{"type": "is-null", "term": "a"}"#, predicate(Operation::IsNull, "a", vec![])),
        (r#"{"type": "NOT_NAN", "term": "a"}"#, predicate(Operation::NotNan, "a", vec![])),
        (r#"{"type": "eq", "term": "a.b", "value": 1}"#, equal("a.b", "1")),
        (r#"{"value": 1, "term": {"term": "a", "type": "reference"}, "type": "eq"}"#, equal("a", "1")),
        (
            r#"{"type": "eq", "term": {"type": "reference", "name": "a"}, "value": {"type": "literal", "value": 1}}"#,
            equal("a", "1"),
        ),
        (
            r#"{"type": "in", "term": "a", "values": [1, 2.50]}"#,
            predicate(Operation::In, "a", vec![number("1"), number("2.50")]),
        ),
        (r#"{"type": "not-in", "term": "a", "values": []}"#, predicate(Operation::NotIn, "a", vec![])),
        (
            r#"{"type": "starts-with", "term": "a", "value": "x\ty"}"#,
            predicate(
                Operation::StartsWith,
                "a",
                vec![Literal { scalar: Scalar::Text("x\ty".into()), data_type: None }],
            ),
        ),
    ] {
        assert_eq!(parse(text), expected, "{text}");
    }
}

#[test]
fn transform_terms_are_parsed() {
    let expected = Expression::Predicate(Predicate {
        operation: Operation::Equal,
        reference: Reference::Name("a".into()),
        transform: Transform::Bucket(16),
        literals: vec![number("3")],
    });
    for text in [
        r#"{"type":"eq","term":{"type":"transform","transform":"bucket[16]","term":"a"},"value":3}"#,
        r#"{"type":"eq","term":{"type":"transform","transform":"bucket[16]","term":{"type":"reference","term":"a"}},"value":3}"#,
        r#"{"type":"eq","right":3,"left":{"type":"apply","function":{"catalog":"iceberg_functions","identifier":["bucket"]},
            "arguments":[16,{"type":"reference","name":"a"}]}}"#,
        r#"{"type":"eq","right":3,"left":{"type":"apply","function":{"catalog":"iceberg_functions","identifier":["bucket"]},
            "arguments":[{"type":"literal","value":16,"data-type":"int"},{"type":"reference","name":"a"}]}}"#,
    ] {
        assert_eq!(parse(text), expected, "{text}");
    }
}

#[test]
fn new_form_predicates_are_parsed() {
    let typed = |text: &str, data_type| Literal { data_type: Some(data_type), ..number(text) };
    for (text, expected) in [
        (r#"{"type":"is-null","child":{"type":"reference","name":"a"}}"#, predicate(Operation::IsNull, "a", vec![])),
        (r#"{"type":"eq","left":{"type":"reference","name":"a"},"right":1}"#, equal("a", "1")),
        (
            r#"{"type":"lt","left":{"type":"literal","value":1,"data-type":"int"},"right":{"type":"reference","name":"a"}}"#,
            predicate(Operation::Greater, "a", vec![typed("1", ValueType::Int)]),
        ),
        (
            r#"{"type":"in","child":{"type":"reference","name":"a"},"values":{"type":"literals","values":[1,2],"data-type":"long"}}"#,
            predicate(Operation::In, "a", vec![typed("1", ValueType::Long), typed("2", ValueType::Long)]),
        ),
        (
            r#"{"type":"eq","left":{"type":"reference","id":7},"right":1}"#,
            Expression::Predicate(Predicate {
                operation: Operation::Equal,
                reference: Reference::Id(7),
                transform: Transform::Identity,
                literals: vec![number("1")],
            }),
        ),
    ] {
        assert_eq!(parse(text), expected, "{text}");
    }
}

#[test]
fn chains_are_flattened_in_order() {
    let leaf = |name: &str| format!(r#"{{"type":"eq","term":"{name}","value":1}}"#);
    let join = |kind: &str, left: &str, right: &str| format!(r#"{{"type":"{kind}","left":{left},"right":{right}}}"#);
    let left_deep = join("or", &join("OR", &leaf("a"), &leaf("b")), &leaf("c"));
    let right_deep = join("or", &leaf("a"), &join("or", &leaf("b"), &leaf("c")));
    let expected = Expression::Or(vec![equal("a", "1"), equal("b", "1"), equal("c", "1")]);
    assert_eq!(parse(&left_deep), expected);
    assert_eq!(parse(&right_deep), expected);
    let mixed = parse(&join("and", &left_deep, &leaf("d")));
    assert_eq!(mixed, Expression::And(vec![expected, equal("d", "1")]));
}

#[test]
fn pairs_of_not_are_removed() {
    let not = |child: &str| format!(r#"{{"type":"not","child":{child}}}"#);
    let leaf = r#"{"type":"eq","term":"a","value":1}"#;
    assert_eq!(parse(&not(&not(leaf))), equal("a", "1"));
    assert_eq!(parse(&not(&not(&not(leaf)))), Expression::Not(Box::new(equal("a", "1"))));
}

/// Returns a left-deep chain with this many operators.
fn chain(operators: &[&str]) -> String {
    let leaf = r#"{"type":"eq","term":"a","value":1}"#;
    let open: String = operators.iter().rev().map(|kind| format!(r#"{{"type":"{kind}","left":"#)).collect();
    let close = format!(r#","right":{leaf}}}"#).repeat(operators.len());
    format!("{open}{leaf}{close}")
}

#[test]
fn chain_of_thousands_is_parsed() {
    let Expression::Or(operands) = parse(&chain(&["or"; 4_990])) else { panic!("not a chain") };
    assert_eq!(operands.len(), 4_991);
    let nots = format!(r#"{}true{}"#, r#"{"type":"not","child":"#.repeat(9_000), "}".repeat(9_000));
    assert_eq!(parse(&nots), Expression::True);
}

#[test]
fn filters_above_the_limits_are_refused() {
    assert_eq!(
        refused(&chain(&["or"; 5_001])),
        "Filter is too large: it has more than 10000 operators and comparisons. Use `in` for many values of a column."
    );
    let alternating: Vec<&str> = ["and", "or"].into_iter().cycle().take(MAX_DEPTH - 1).collect();
    parse(&chain(&alternating));
    let alternating: Vec<&str> = ["and", "or"].into_iter().cycle().take(MAX_DEPTH).collect();
    assert!(refused(&chain(&alternating)).contains("nested deeper than 64"));
    let many = format!(r#"{{"type":"in","term":"a","values":[1{}]}}"#, ",1".repeat(MAX_LITERALS));
    assert!(refused(&many).contains("more than 100000 literals"));
    let values = format!("[1{}]", ",1".repeat(500_000));
    assert!(refused(&values).contains("JSON values"));
    let deep = format!("{}{}", "[".repeat(400_000), "]".repeat(400_000));
    assert!(refused(&deep).contains("non-object"));
}

#[test]
fn malformed_filters_are_refused_with_the_reason() {
    for (text, reason) in [
        ("", "EOF"),
        ("null", "cannot parse expression from non-object: null"),
        ("1", "non-object: 1"),
        ("{}", "missing field 'type'"),
        (r#"{"type":1}"#, "must be a string"),
        (r#"{"type":"like","term":"a","value":"x"}"#, "unknown operation 'like'"),
        (r#"{"type":"eq","value":1}"#, "missing field 'term' of eq"),
        (r#"{"type":"eq","term":"a"}"#, "missing field 'value' of eq"),
        (r#"{"type":"eq","term":"a","value":null}"#, "use is-null"),
        (r#"{"type":"eq","term":"a","value":[1]}"#, "cannot convert JSON to literal"),
        (r#"{"type":"eq","term":"a","value":1,"values":[1]}"#, "must not have the field 'values'"),
        (r#"{"type":"in","term":"a","values":1}"#, "cannot parse literals from non-array"),
        (r#"{"type":"in","term":"a","value":1}"#, "must not have the field 'value'"),
        (r#"{"type":"is-null","term":"a","value":1}"#, "must not have the field 'value'"),
        (r#"{"type":"is-null","child":"a"}"#, "its child must be a column"),
        (r#"{"type":"eq","term":1,"value":1}"#, "cannot parse reference from non-object"),
        (r#"{"type":"eq","term":{"type":"x"},"value":1}"#, "cannot parse type as a reference: x"),
        (r#"{"type":"eq","term":{"type":"reference","id":"1"},"value":1}"#, "32-bit integer"),
        (
            r#"{"type":"eq","term":{"type":"transform","transform":"zorder","term":"a"},"value":1}"#,
            "unknown transform 'zorder'",
        ),
        (r#"{"type":"eq","left":1,"right":2}"#, "must compare a column with a literal"),
        (
            r#"{"type":"eq","left":{"type":"reference","name":"a"},"right":{"type":"reference","name":"b"}}"#,
            "must compare a column",
        ),
        (
            r#"{"type":"starts-with","left":"a","right":{"type":"reference","name":"b"}}"#,
            "the left side of starts-with",
        ),
        (
            r#"{"type":"eq","left":{"type":"reference","name":"a"},"right":{"type":"literal","value":1,"data-type":"variant"}}"#,
            "has no literals",
        ),
        (
            r#"{"type":"eq","right":1,"left":{"type":"apply","function":"f","arguments":[]}}"#,
            "catalog iceberg_functions",
        ),
        (r#"{"type":"and","left":true}"#, "missing field 'right' of and"),
        (r#"{"type":"not"}"#, "missing field 'child' of not"),
        (r#"{"type":"eq","type":"lt","term":"a","value":1}"#, "field 'type' appears twice"),
        (r#"{"type":"eq","term":"\ud800","value":1}"#, "hex escape"),
        (r#"{"type":"eq","term":"a","value":01}"#, "invalid number"),
        ("true false", "trailing"),
    ] {
        let message = refused(text);
        assert!(message.contains(reason), "{text}: {message}");
    }
}

#[test]
fn opposite_of_the_opposite_is_the_operation() {
    for (operation, name, _) in OPERATIONS {
        assert_eq!(operation.negate().negate(), operation);
        assert_ne!(operation.negate(), operation);
        assert_eq!(operation.name(), name);
    }
}

/// JSON that resembles filters: all their field names, types and operators in random places.
fn filter_like() -> impl Strategy<Value = serde_json::Value> {
    let word = prop::sample::select(vec![
        "and",
        "or",
        "not",
        "eq",
        "in",
        "is-null",
        "starts-with",
        "literal",
        "literals",
        "reference",
        "transform",
        "apply",
        "bucket[4]",
        "true",
        "a",
        "int",
        "iceberg_functions",
        "bucket",
    ]);
    let key = prop::sample::select(vec![
        "type",
        "term",
        "value",
        "values",
        "left",
        "right",
        "child",
        "transform",
        "name",
        "id",
        "data-type",
        "function",
        "arguments",
        "catalog",
        "identifier",
    ]);
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        word.prop_map(Into::into),
    ];
    leaf.prop_recursive(6, 60, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::Array),
            prop::collection::vec((key.clone(), inner), 0..5).prop_map(|fields| {
                serde_json::Value::Object(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
            }),
        ]
    })
}

proptest! {
    #[test]
    fn arbitrary_json_never_panics(json in filter_like()) {
        let _ = Expression::parse(&json.to_string());
    }

    #[test]
    fn arbitrary_text_never_panics(text: String, soup in "[\\[\\]{}\",:\\\\ua-f0-9 tre\n-]{0,60}") {
        let _ = Expression::parse(&text);
        let _ = Expression::parse(&soup);
    }

    #[test]
    fn cut_filter_is_refused(cut in 1_usize..100) {
        let text = r#"{"type":"or","left":{"type":"eq","term":"a","value":"x"},"right":{"type":"in","term":"b","values":[1,2.5,"\u00e9"]}}"#;
        prop_assert!(Expression::parse(text).is_ok());
        prop_assert!(Expression::parse(&text[..text.len() - cut]).is_err());
    }
}
