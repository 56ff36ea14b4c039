use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;

fn map(pairs: &[(&str, &str)]) -> LabelMap {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn namespace(levels: &[&str]) -> NamespaceIdent {
    NamespaceIdent::new(levels).unwrap()
}

fn on(levels: &[&str], pairs: &[(&str, &str)]) -> (NamespaceIdent, Labels) {
    (namespace(levels), Labels::new(map(pairs), BTreeMap::new()).unwrap())
}

#[test]
fn json_has_the_specifications_names() {
    let labels = Labels::new(map(&[("owner", "sales")]), [(3, map(&[("class", "pii")]))].into()).unwrap();
    let expected = r#"{"fields":[{"field-id":3,"labels":{"class":"pii"}}],"object-labels":{"owner":"sales"}}"#;
    let as_value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(as_value(&labels.to_json()), as_value(expected));
    assert_eq!(Labels::default().to_json(), "{}");
    assert_eq!(Labels::parse("{}").unwrap(), Labels::default());
    assert!(Labels::parse(r#"{"objects":{}}"#).is_err());
}

#[test]
fn filter_finds_labels_of_the_object_and_of_its_columns() {
    let fields = [(3, map(&[("class", "pii")])), (4, map(&[("class", "open")])), (5, map(&[("owner", "pii")]))];
    let labels = Labels::new(map(&[("owner", "sales"), ("class", "pii")]), fields.into()).unwrap();
    let find = |name: &str, value: Option<&str>| {
        LabelFilter { name: name.to_owned(), value: value.map(str::to_owned) }.find(Some(&labels), None)
    };
    let found = |object: Option<&str>, fields: &[(i32, &str)]| {
        let fields = fields.iter().map(|(id, value)| (*id, (*value).to_owned())).collect();
        let object = object.map(|value| FoundValue { value: value.to_owned(), inherited_from: None });
        Some(FoundLabel { object, fields })
    };
    assert_eq!(find("class", None), found(Some("pii"), &[(3, "pii"), (4, "open")]));
    assert_eq!(find("class", Some("open")), found(None, &[(4, "open")]));
    assert_eq!(find("owner", Some("sales")), found(Some("sales"), &[]));
    assert_eq!((find("owner", Some("")), find("Class", None)), (None, None));
}

#[test]
fn labels_out_of_bounds_are_refused() {
    let of = |name: &str, value: &str| Labels::new(map(&[(name, value)]), BTreeMap::new());
    for (name, value) in [("a", ""), ("Kosten stelle", "ä\u{10FFFF}"), (&"é".repeat(128), &"é".repeat(1_024))] {
        assert!(of(name, value).is_ok(), "{name}");
    }
    for name in ["", " a", "a ", "a\nb", "\0", &"é".repeat(129)] {
        assert!(matches!(of(name, ""), Err(InvalidLabels::Name(_))), "{name:?}");
    }
    for value in ["a\0", "a\tb", &"é".repeat(1_025)] {
        assert_eq!(of("a", value), Err(InvalidLabels::Value("a".to_owned())));
    }
    let many = |count: usize| (0..count).map(|number| (number.to_string(), String::new())).collect::<LabelMap>();
    assert!(Labels::new(many(64), BTreeMap::new()).is_ok());
    assert_eq!(Labels::new(many(65), BTreeMap::new()), Err(InvalidLabels::TooMany));
    assert_eq!(Labels::new(LabelMap::new(), [(1, many(65))].into()), Err(InvalidLabels::TooMany));
    assert_eq!(Labels::new(LabelMap::new(), [(0, many(1))].into()), Err(InvalidLabels::FieldId(0)));
    let long = (0..20).map(|number| (number.to_string(), "x".repeat(1_000))).collect();
    assert!(matches!(Labels::new(long, BTreeMap::new()), Err(InvalidLabels::TooLong(_))));
    let columns = (1..=1_001).map(|id| (id, many(1))).collect();
    assert_eq!(Labels::new(LabelMap::new(), columns), Err(InvalidLabels::TooManyFields));
}

#[test]
fn nearest_namespace_wins_and_the_object_wins_over_all() {
    let labels: NamespaceLabels = [
        on(&["a"], &[("owner", "a"), ("domain", "a")]),
        on(&["a", "b"], &[("owner", "b")]),
        on(&["a", "b", "c"], &[("owner", "c")]),
        on(&["ab"], &[("owner", "other")]),
    ]
    .into_iter()
    .collect();
    assert_eq!(labels.inherited(&namespace(&["a", "b"])), map(&[("owner", "b"), ("domain", "a")]));
    assert_eq!(labels.inherited(&namespace(&["a", "x", "c"])), map(&[("owner", "a"), ("domain", "a")]));
    assert_eq!(labels.inherited(&namespace(&["abc"])), LabelMap::new());
    let own = Labels::new(map(&[("owner", "me")]), BTreeMap::new()).unwrap();
    let effective = effective(labels.inherited(&namespace(&["a", "b"])), Some(&own));
    assert_eq!(effective, map(&[("owner", "me"), ("domain", "a")]));
}

#[test]
fn edit_keeps_other_labels_and_a_column_without_labels_is_left_out() {
    let before = Labels::new(map(&[("a", "1"), ("b", "2")]), [(1, map(&[("x", "1")])), (2, map(&[("y", "2")]))].into());
    let remove = |name: &str| LabelEdit { set: LabelMap::new(), remove: vec![name.to_owned()] };
    let edit = LabelUpdate::Edit {
        object: LabelEdit { set: map(&[("c", "3")]), remove: vec!["a".to_owned(), "none".to_owned()] },
        fields: [(1, remove("x")), (3, LabelEdit { set: map(&[("z", "3")]), remove: vec![] })].into(),
    };
    assert_eq!(edit.labelled_ids().collect::<Vec<_>>(), [3]);
    let after = edit.apply(&before.unwrap()).unwrap();
    assert_eq!(after.object(), &map(&[("b", "2"), ("c", "3")]));
    assert_eq!(after.fields(), &[(2, map(&[("y", "2")])), (3, map(&[("z", "3")]))].into());
}

#[test]
fn nothing_is_sent_without_labels_or_for_former_columns() {
    assert_eq!(sent(LabelMap::new(), None, |_| true), None);
    let own = Labels::new(LabelMap::new(), [(7, map(&[("a", "b")]))].into()).unwrap();
    assert_eq!(sent(LabelMap::new(), Some(&own), |id| id != 7), None);
    assert_eq!(sent(LabelMap::new(), Some(&own), |id| id == 7), Some(own.to_json()));
}

#[test]
fn own_label_overrides_the_inherited_one_and_columns_inherit_none() {
    let (sales, filter) =
        (namespace(&["sales"]), LabelFilter { name: "class".to_owned(), value: Some("pii".to_owned()) });
    let inherited = Some(FoundLabel::new("pii", Some(sales.clone())));
    assert_eq!(filter.find(None, Some((&sales, "pii"))), inherited);
    assert_eq!(filter.find(None, Some((&sales, "open"))), None);
    let own = |value: &str, of_column: &str| {
        Labels::new(map(&[("class", value)]), [(3, map(&[("class", of_column)]))].into()).unwrap()
    };
    assert_eq!(filter.find(Some(&own("open", "open")), Some((&sales, "pii"))), None);
    assert_eq!(filter.find(Some(&own("pii", "open")), Some((&sales, "open"))), Some(FoundLabel::new("pii", None)));
    let found = filter.find(Some(&own("open", "pii")), Some((&sales, "pii"))).unwrap();
    assert_eq!((found.object, found.fields), (None, [(3, "pii".to_owned())].into()));
}

fn any_map() -> impl Strategy<Value = LabelMap> {
    btree_map("[a-e]{1,2}", "[a-z\"\\\\é]{0,4}", 0..4)
}

fn any_labels() -> impl Strategy<Value = Labels> {
    (any_map(), btree_map(1..6, any_map(), 0..4)).prop_map(|(object, fields)| Labels::new(object, fields).unwrap())
}

fn any_edit() -> impl Strategy<Value = LabelEdit> {
    (any_map(), vec("[a-e]{1,2}", 0..3)).prop_map(|(set, remove)| LabelEdit { set, remove })
}

proptest! {
    #[test]
    fn labels_parsed_from_their_json_are_the_same(labels in any_labels()) {
        prop_assert_eq!(Labels::parse(&labels.to_json()).unwrap(), labels);
    }

    #[test]
    fn repeated_update_changes_nothing(before in any_labels(), object in any_edit(), fields in btree_map(1..6, any_edit(), 0..3)) {
        let update = LabelUpdate::Edit { object, fields };
        let once = update.apply(&before).unwrap();
        prop_assert_eq!(update.apply(&once).unwrap(), once.clone());
        prop_assert_eq!(LabelUpdate::Replace(once.clone()).apply(&before).unwrap(), once);
    }

    #[test]
    fn inherited_label_is_that_of_the_nearest_namespace_with_its_name(
        labels in vec((vec("[ab]", 1..4), any_map()), 0..8),
        of in vec("[ab]", 1..5),
        name in "[a-e]{1,2}",
    ) {
        let by_levels: BTreeMap<Vec<String>, LabelMap> = labels.into_iter().collect();
        let compiled: NamespaceLabels = by_levels
            .iter()
            .map(|(levels, labels)| (NamespaceIdent::new(levels).unwrap(), Labels::new(labels.clone(), BTreeMap::new()).unwrap()))
            .collect();
        let nearest = (1..=of.len()).rev().find_map(|depth| by_levels.get(&of[..depth])?.get(&name));
        let inherited = compiled.inherited(&NamespaceIdent::new(&of).unwrap());
        prop_assert_eq!(inherited.get(&name), nearest);
        let of = NamespaceIdent::new(&of).unwrap();
        prop_assert_eq!(compiled.nearest(&of, &name).map(|(_, value)| value), nearest.map(String::as_str));
        if let Some((root, value)) = compiled.nearest(&of, &name) {
            prop_assert!(compiled.has(&root, &name) && (root == of || !compiled.has(&of, &name)));
            let labelled = compiled.labelled(&LabelFilter { name, value: Some(value.to_owned()) });
            prop_assert!(labelled.contains(&root), "{labelled:?}");
            prop_assert!(labelled.is_sorted_by_key(NamespaceIdent::as_key));
        }
    }

    #[test]
    fn sent_labels_have_only_current_columns(own in any_labels(), inherited in any_map(), current in 1..6) {
        let text = sent(inherited.clone(), Some(&own), |id| id == current);
        let labels = text.map_or_else(Labels::default, |text| Labels::parse(&text).unwrap());
        prop_assert!(labels.fields().keys().all(|id| *id == current));
        prop_assert_eq!(labels.fields().get(&current), own.fields().get(&current));
        for (name, value) in own.object() {
            prop_assert_eq!(labels.object().get(name), Some(value));
        }
        for (name, value) in labels.object() {
            prop_assert_eq!(own.object().get(name).or(inherited.get(name)), Some(value));
        }
    }
}
