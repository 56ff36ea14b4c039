use super::super::mask::Mask;
use super::super::restriction::{ColumnReference, Others, Restriction};
use super::super::testing::{FIELDS, table};
use super::*;

const GERMAN: &str = r#"{"type":"eq","term":"country","value":"DE"}"#;

fn combined(filter: Option<&str>, masks: &[(i32, Mask)]) -> Combined {
    let at = table(&[FIELDS], "");
    let masks: Vec<_> = masks.iter().map(|(id, mask)| (ColumnReference::Id(*id), *mask)).collect();
    let restriction = Restriction::new(filter, &masks, Others::Plan, &at.schema(0).unwrap().index().unwrap()).unwrap();
    Combined::new([&restriction]).unwrap()
}

fn checked(filter: &str, masks: &[(i32, Mask)]) -> Result<(), NotPlanned> {
    let at = table(&[FIELDS], "");
    let index = at.schema(0).unwrap().index().unwrap();
    let bound = bind(&Expression::parse(filter).unwrap(), &index, true).unwrap();
    ScanRestriction::new(&combined(None, masks), &at)?.check_filter(&bound, &index)
}

#[test]
fn filter_on_a_masked_column_is_refused_however_it_is_named() {
    let masks = [(3, Mask::ShowLast4), (5, Mask::ReplaceWithNull)];
    for filter in [
        r#"{"type":"starts-with","term":"ssn","value":"1"}"#,
        r#"{"type":"eq","term":{"type":"reference","id":3},"value":"1"}"#,
        r#"{"type":"or","left":{"type":"eq","term":"id","value":1},"right":{"type":"not","child":{"type":"eq","term":"ssn","value":"1"}}}"#,
        r#"{"type":"is-null","term":"place"}"#,
        r#"{"type":"eq","term":"place.town","value":"x"}"#,
        r#"{"type":"eq","term":{"type":"transform","transform":"truncate[1]","term":"ssn"},"value":"1"}"#,
    ] {
        assert!(matches!(checked(filter, &masks), Err(NotPlanned::MaskedColumn(_))), "{filter}");
    }
    assert_eq!(checked(r#"{"type":"eq","term":"id","value":1}"#, &masks), Ok(()));
}

#[test]
fn table_that_is_partitioned_by_a_masked_column_is_not_planned() {
    let masked = combined(None, &[(4, Mask::TruncateToYear), (5, Mask::ReplaceWithNull)]);
    let spec = |source: i32, transform: &str| {
        let field = format!(r#"{{"source-id": {source}, "field-id": 1000, "name": "p", "transform": "{transform}"}}"#);
        ScanRestriction::new(&masked, &table(&[FIELDS], &field))
    };
    assert_eq!(spec(4, "month"), Err(NotPlanned::PartitionedByMasked("born".to_owned())));
    assert_eq!(spec(6, "identity"), Err(NotPlanned::PartitionedByMasked("place.town".to_owned())));
    assert!(spec(4, "void").is_ok() && spec(2, "identity").is_ok());
}

#[test]
fn restriction_whose_filter_tests_a_masked_column_is_not_planned() {
    let masked = combined(Some(GERMAN), &[(2, Mask::ReplaceWithNull)]);
    let error = ScanRestriction::new(&masked, &table(&[FIELDS], "")).unwrap_err();
    assert_eq!(error, NotPlanned::FilterOnMasked("country".to_owned()));
}

#[test]
fn filter_that_does_not_fit_the_schema_of_a_scan_shows_no_rows() {
    let without = r#"{"id": 1, "name": "country", "required": false, "type": "string"}"#;
    let at = table(&[without, FIELDS], "");
    let scan = ScanRestriction::new(&combined(Some(GERMAN), &[]), &at).unwrap();
    assert_eq!(scan.visible(&at.schema(0).unwrap().index().unwrap()), Bound::False);
    assert!(matches!(scan.visible(&at.schema(1).unwrap().index().unwrap()), Bound::Test(_)));
    let all = ScanRestriction::new(&combined(None, &[(3, Mask::ShowLast4)]), &at).unwrap();
    assert_eq!(all.visible(&at.schema(0).unwrap().index().unwrap()), Bound::True);
}
