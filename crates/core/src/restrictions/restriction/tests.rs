use proptest::prelude::*;

use super::super::testing::{FIELDS, schema_json};
use super::*;
use crate::document::Schema;

fn made(filter: Option<&str>, masks: &[(&str, Mask)]) -> Result<Restriction, RestrictionError> {
    let schema = Schema::parse(&schema_json(0, FIELDS)).unwrap();
    let masks: Vec<_> = masks.iter().map(|(name, mask)| (ColumnReference::Name((*name).to_owned()), *mask)).collect();
    Restriction::new(filter, &masks, Others::Refuse, &schema.index().unwrap())
}

fn refused(filter: Option<&str>, masks: &[(&str, Mask)]) -> String {
    made(filter, masks).expect_err("refused").to_string()
}

#[test]
fn columns_are_kept_by_id() {
    let restriction = made(
        Some(
            r#"{"type":"and","left":{"type":"eq","term":"country","value":"DE"},"right":{"type":"not-null","term":"place.town"}}"#,
        ),
        &[("ssn", Mask::ShowLast4), ("place", Mask::ReplaceWithNull)],
    );
    let expected = concat!(
        r#"{"filter":{"type":"and","left":{"type":"eq","left":{"type":"reference","id":2},"right":{"type":"literal","value":"DE"}},"#,
        r#""right":{"type":"not-null","child":{"type":"reference","id":6}}},"#,
        r#""masks":{"3":"show-last-4","5":"replace-with-null"},"others":"refuse"}"#
    );
    assert_eq!(restriction.unwrap().to_json(), expected);
    let parsed = Restriction::parse(expected).unwrap();
    assert_eq!(parsed.to_json(), expected);
}

#[test]
fn restriction_that_does_not_fit_the_schema_is_refused() {
    assert!(refused(Some(r#"{"type":"eq","term":"nation","value":"DE"}"#), &[]).contains("Cannot find field 'nation'"));
    assert!(refused(Some(r#"{"type":"eq","term":"born","value":"x"}"#), &[]).contains("Invalid value"));
    assert!(refused(Some(r#"{"type":"eq","term":"tags.element","value":"x"}"#), &[]).contains("inside a list or map"));
    let transformed = r#"{"type":"eq","term":{"type":"transform","transform":"year","term":"born"},"value":1}"#;
    assert!(refused(Some(transformed), &[]).contains("not year of a column"));
    assert!(
        refused(None, &[("nation", Mask::ReplaceWithNull)]).contains("'nation' cannot be masked: the column does not")
    );
    assert!(refused(None, &[("ssn", Mask::ReplaceWithNull)]).contains("the column is required"));
    assert!(refused(None, &[("born", Mask::ShowFirst4)]).contains("show-first-4 cannot mask the type date"));
    assert!(refused(None, &[("scores.key", Mask::MaskAlphanum)]).contains("keys of a map"));
    let twice = [("country", Mask::MaskAlphanum), ("country", Mask::ShowFirst4)];
    assert!(refused(None, &twice).contains("more than one mask"));
    let around = [("place", Mask::ReplaceWithNull), ("place.town", Mask::MaskAlphanum)];
    assert!(refused(None, &around).contains("inside another masked column"));
    assert!(refused(None, &[]).contains("Give a filter or a mask"));
    let long = format!(r#"{{"type":"eq","term":"country","value":"{}"}}"#, "x".repeat(MAX_BYTES));
    assert!(refused(Some(&long), &[]).contains("too large"));
}

#[test]
fn every_mask_fits_only_the_types_of_the_specification() {
    let schema = Schema::parse(&schema_json(0, FIELDS)).unwrap();
    let index = schema.index().unwrap();
    let fitting = |id: i32| {
        Mask::ALL
            .into_iter()
            .filter(|mask| mask.check(&index, id).is_ok())
            .map(Mask::as_str)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(fitting(1), "mask-to-fixed-value sha-256-global sha-256-query-local");
    assert_eq!(
        fitting(2),
        "mask-alphanum mask-to-fixed-value replace-with-null show-first-4 show-last-4 sha-256-global sha-256-query-local"
    );
    assert_eq!(fitting(4), "mask-to-fixed-value replace-with-null truncate-to-year truncate-to-month");
    assert_eq!(fitting(5), "replace-with-null");
    assert_eq!(fitting(7), "mask-to-fixed-value replace-with-null");
    assert_eq!(fitting(10), "");
    assert_eq!(fitting(99), "");
}

#[test]
fn stored_text_that_is_not_a_restriction_is_unreadable() {
    for text in [
        "",
        "{}",
        r#"{"masks":{},"others":"refuse","more":1}"#,
        r#"{"masks":{"a":"show-last-4"},"others":"refuse"}"#,
        r#"{"masks":{"1":"reverse"},"others":"refuse"}"#,
        r#"{"masks":{},"others":"allow"}"#,
        r#"{"filter":{"type":"x"},"masks":{},"others":"refuse"}"#,
    ] {
        assert!(Restriction::parse(text).is_err(), "{text}");
    }
}

fn any_predicate() -> impl Strategy<Value = String> {
    let unary = prop::sample::select(vec!["is-null", "not-null"]);
    let binary = prop::sample::select(vec!["lt", "lt-eq", "gt", "gt-eq", "eq", "not-eq"]);
    let set = prop::sample::select(vec!["in", "not-in"]);
    prop_oneof![
        unary.prop_map(|kind| format!(r#"{{"type":"{kind}","term":"born"}}"#)),
        (binary, any::<i32>())
            .prop_map(|(kind, value)| format!(r#"{{"type":"{kind}","term":"salary","value":{value}}}"#)),
        ("[a-z\"\\\\]{0,5}").prop_map(|text| {
            format!(r#"{{"type":"starts-with","term":"country","value":{}}}"#, serde_json::Value::from(text))
        }),
        (set, prop::collection::vec(any::<i64>(), 0..4))
            .prop_map(|(kind, values)| format!(r#"{{"type":"{kind}","term":"id","values":{values:?}}}"#)),
        any::<bool>().prop_map(|value| value.to_string()),
    ]
}

fn any_filter() -> impl Strategy<Value = String> {
    any_predicate().prop_recursive(4, 16, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|child| format!(r#"{{"type":"not","child":{child}}}"#)),
            (prop::sample::select(vec!["and", "or"]), inner.clone(), inner)
                .prop_map(|(kind, left, right)| format!(r#"{{"type":"{kind}","left":{left},"right":{right}}}"#)),
        ]
    })
}

proptest! {
    #[test]
    fn filter_by_id_means_the_same_after_it_was_stored(filter in any_filter()) {
        let schema = Schema::parse(&schema_json(0, FIELDS)).unwrap();
        let index = schema.index().unwrap();
        let restriction = made(Some(&filter), &[("ssn", Mask::Sha256Global)]).unwrap();
        let stored = Restriction::parse(&restriction.to_json()).unwrap();
        prop_assert_eq!(stored.to_json(), restriction.to_json());
        let before = bind(&Expression::parse(&filter).unwrap(), &index, true).unwrap();
        prop_assert_eq!(bind(stored.filter().unwrap(), &index, true).unwrap(), before);
    }
}

#[test]
fn every_operation_is_written_as_it_is_parsed() {
    for (term, value) in [("country", "\"a\""), ("salary", "1.0"), ("salary", "123456789012345678901234567890.5")] {
        for kind in ["eq", "not-eq", "lt", "gt-eq"] {
            let text = format!(r#"{{"type":"{kind}","term":"{term}","value":{value}}}"#);
            let parsed = Expression::parse(&text).unwrap();
            assert_eq!(Expression::parse(&to_json(&parsed)).unwrap(), parsed, "{text}");
        }
    }
    let typed = r#"{"type":"in","child":{"type":"reference","name":"born"},"values":{"type":"literals","data-type":"date","values":["2020-01-01"]}}"#;
    let parsed = Expression::parse(typed).unwrap();
    assert_eq!(Expression::parse(&to_json(&parsed)).unwrap(), parsed);
}
