use super::super::restriction::{ColumnReference, Others, Restriction};
use super::super::testing::{FIELDS, table};
use super::*;

fn restriction(filter: Option<&str>, masks: &[(i32, Mask)], others: Others) -> Restriction {
    let at = table(&[FIELDS], "");
    let schema = at.schema(0).unwrap();
    let masks: Vec<_> = masks.iter().map(|(id, mask)| (ColumnReference::Id(*id), *mask)).collect();
    Restriction::new(filter, &masks, others, &schema.index().unwrap()).unwrap()
}

const GERMAN: &str = r#"{"type":"eq","term":"country","value":"DE"}"#;
const RICH: &str = r#"{"type":"gt","term":"salary","value":9}"#;

fn sent(restrictions: &[Restriction], table: &TableMetadata) -> Result<String, Unreadable> {
    read_restrictions(&Combined::new(restrictions).unwrap(), table)
}

#[test]
fn engine_gets_the_filter_and_the_masks_by_field_id() {
    let one = restriction(Some(GERMAN), &[(3, Mask::ShowLast4), (4, Mask::TruncateToYear)], Others::Refuse);
    let expected = concat!(
        r#"{"required-column-projections":[{"field-id":3,"action":"show-last-4"},{"field-id":4,"action":"truncate-to-year"}],"#,
        r#""required-row-filter":{"type":"eq","left":{"type":"reference","id":2},"right":{"type":"literal","value":"DE"}}}"#
    );
    assert_eq!(sent(&[one], &table(&[FIELDS], "")).unwrap(), expected);
}

#[test]
fn restrictions_of_several_roles_only_take_away() {
    let (one, other) = (
        restriction(Some(GERMAN), &[(2, Mask::ShowLast4), (3, Mask::MaskAlphanum)], Others::Plan),
        restriction(
            Some(RICH),
            &[(2, Mask::ShowFirst4), (3, Mask::Sha256Global), (4, Mask::TruncateToYear)],
            Others::Refuse,
        ),
    );
    let text = sent(&[one.clone(), other.clone()], &table(&[FIELDS], "")).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["required-row-filter"]["type"], "and");
    let masks = value["required-column-projections"].to_string();
    // Different masks: null, or the fixed value for a required column.
    assert_eq!(
        masks,
        concat!(
            r#"[{"field-id":2,"action":"replace-with-null"},{"field-id":3,"action":"mask-to-fixed-value"},"#,
            r#"{"field-id":4,"action":"truncate-to-year"}]"#
        )
    );
    assert_eq!(Combined::new([&one, &other]).unwrap().others(), Others::Refuse);
    assert_eq!(Combined::new([&one]).unwrap().others(), Others::Plan);
    assert!(Combined::new([]).is_none());
    assert_ne!(Combined::new([&one]).unwrap().identity(), Combined::new([&other]).unwrap().identity());
}

#[test]
fn mask_inside_another_roles_masked_struct_is_covered_by_it() {
    let one = restriction(None, &[(5, Mask::ReplaceWithNull)], Others::Refuse);
    let other = restriction(None, &[(6, Mask::MaskAlphanum)], Others::Refuse);
    let text = sent(&[one, other], &table(&[FIELDS], "")).unwrap();
    assert_eq!(text, r#"{"required-column-projections":[{"field-id":5,"action":"replace-with-null"}]}"#);
}

#[test]
fn filter_that_no_longer_fits_hides_all_rows() {
    let one = restriction(Some(GERMAN), &[], Others::Refuse);
    for fields in [
        r#"{"id": 1, "name": "country", "required": false, "type": "string"}"#,
        r#"{"id": 2, "name": "country", "required": false, "type": "date"}"#,
    ] {
        let text = sent(std::slice::from_ref(&one), &table(&[FIELDS, fields], "")).unwrap();
        assert_eq!(text, r#"{"required-row-filter":false}"#);
    }
    let renamed = FIELDS.replace("country", "nation");
    assert!(sent(&[one], &table(&[FIELDS, &renamed], "")).unwrap().contains("\"id\":2"));
}

#[test]
fn mask_stays_while_a_schema_has_its_column() {
    let one = restriction(None, &[(3, Mask::ShowLast4)], Others::Refuse);
    let without = r#"{"id": 1, "name": "id", "required": true, "type": "long"}"#;
    assert!(sent(std::slice::from_ref(&one), &table(&[FIELDS, without], "")).unwrap().contains("show-last-4"));
    assert_eq!(sent(&[one], &table(&[without], "")).unwrap(), "{}");
}

#[test]
fn mask_that_no_longer_fits_refuses_the_table() {
    let one = restriction(None, &[(2, Mask::ReplaceWithNull)], Others::Refuse);
    let required = FIELDS.replace(r#""country", "required": false"#, r#""country", "required": true"#);
    let error = sent(&[one], &table(&[FIELDS, &required], "")).unwrap_err();
    assert!(
        error.to_string().contains("'country' is masked with 'replace-with-null', which no longer fits"),
        "{error}"
    );
}
