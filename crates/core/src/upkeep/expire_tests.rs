//! Tests of the rule, and a comparison with a naive model of the reference implementation.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::commit::{Context, Outcome, apply_updates};
use crate::stop::Stop;

const NOW_MS: i64 = 1_000_000;

/// A snapshot in short: id, parent, age in milliseconds.
type Short = (i64, Option<i64>, i64);

fn table(snapshots: &[Short], refs: &Value) -> TableMetadata {
    let snapshot = |(id, parent, age_ms): &Short| {
        let mut snapshot = json!({
            "snapshot-id": id, "timestamp-ms": NOW_MS - age_ms, "sequence-number": id, "schema-id": 0,
            "summary": { "operation": "append" }, "manifest-list": format!("s3://b/t/metadata/{id}.avro"),
        });
        if let Some(parent) = parent {
            snapshot["parent-snapshot-id"] = json!(parent);
        }
        snapshot
    };
    let document = json!({
        "format-version": 2, "table-uuid": "0198c9c2-6f5e-7d3e-9a5e-5a0f6f1b2c3d", "location": "s3://b/t",
        "last-sequence-number": 1_000, "last-updated-ms": NOW_MS, "last-column-id": 1, "current-schema-id": 0,
        "schemas": [{ "type": "struct", "schema-id": 0, "fields": [
            { "id": 1, "name": "x", "required": false, "type": "long" }] }],
        "default-spec-id": 0, "partition-specs": [{ "spec-id": 0, "fields": [] }], "last-partition-id": 999,
        "default-sort-order-id": 0, "sort-orders": [{ "order-id": 0, "fields": [] }],
        "current-snapshot-id": refs["main"]["snapshot-id"].as_i64().unwrap_or(-1), "refs": refs,
        "snapshots": snapshots.iter().map(snapshot).collect::<Vec<_>>(),
    });
    TableMetadata::parse(document.to_string().as_bytes()).unwrap()
}

fn rules(max_snapshot_age_ms: i64, min_snapshots_to_keep: u32, max_ref_age_ms: Option<i64>) -> ExpireRules {
    ExpireRules { max_snapshot_age_ms, min_snapshots_to_keep, max_ref_age_ms }
}

fn ids(expired: &Expired) -> Vec<i64> {
    expired.snapshots.iter().map(|snapshot| snapshot.id).collect()
}

fn names(expired: &Expired) -> Vec<&str> {
    expired.refs.iter().map(|one| one.name.as_str()).collect()
}

/// Five snapshots, one after the other: the oldest has the age 50, the newest the age 10.
const LINE: [Short; 5] = [(1, None, 50), (2, Some(1), 40), (3, Some(2), 30), (4, Some(3), 20), (5, Some(4), 10)];

fn main_at(id: i64) -> Value {
    json!({ "main": { "snapshot-id": id, "type": "branch" } })
}

#[test]
fn snapshots_expire_by_age_and_the_newest_stay() {
    let table = table(&LINE, &main_at(5));
    let at = |age_ms, count| ids(&expire(&table, &rules(age_ms, count, None), NOW_MS));
    assert_eq!(at(30, 1), [1, 2]);
    assert_eq!(at(0, 1), [1, 2, 3, 4]);
    assert_eq!(at(0, 0), [1, 2, 3, 4], "the current snapshot never expires");
    assert_eq!(at(0, 3), [1, 2]);
    assert_eq!(at(0, 9), [0_i64; 0]);
    assert_eq!(at(i64::MAX, 1), [0_i64; 0]);
}

#[test]
fn tag_and_branch_keep_their_own_snapshots() {
    let refs = json!({
        "main": { "snapshot-id": 5, "type": "branch" },
        "release": { "snapshot-id": 2, "type": "tag" },
        "audit": { "snapshot-id": 4, "type": "branch", "min-snapshots-to-keep": 2, "max-snapshot-age-ms": 5 },
    });
    let expired = expire(&table(&LINE, &refs), &rules(0, 1, None), NOW_MS);
    assert_eq!((ids(&expired), names(&expired)), (vec![1], vec![]));
    assert_eq!(expired.snapshots[0].reason, SnapshotReason::TooOld);
}

#[test]
fn ref_expires_by_its_own_age_or_by_the_default_but_main_never() {
    let refs = json!({
        "main": { "snapshot-id": 1, "type": "branch", "max-ref-age-ms": 1 },
        "old": { "snapshot-id": 2, "type": "tag" },
        "kept": { "snapshot-id": 3, "type": "tag", "max-ref-age-ms": 100 },
        "gone": { "snapshot-id": 5, "type": "branch", "max-ref-age-ms": 9 },
    });
    let expired = expire(&table(&LINE, &refs), &rules(0, 1, Some(35)), NOW_MS);
    assert_eq!((ids(&expired), names(&expired)), (vec![2, 4, 5], vec!["gone", "old"]));
    assert!(expired.snapshots.iter().all(|one| one.reason == SnapshotReason::Unreferenced));
    let never = expire(&table(&LINE, &refs), &rules(0, 1, None), NOW_MS);
    assert_eq!(names(&never), ["gone"]);
}

#[test]
fn snapshot_that_nothing_leads_to_stays_until_it_is_too_old() {
    let staged = [(1, None, 50), (2, Some(1), 40), (7, Some(1), 45), (8, Some(1), 5)];
    let table = table(&staged, &main_at(2));
    assert_eq!(ids(&expire(&table, &rules(40, 1, None), NOW_MS)), [1, 7]);
}

#[test]
fn commit_of_an_expiry_leaves_a_valid_table() {
    let table = table(
        &LINE,
        &json!({
        "main": { "snapshot-id": 5, "type": "branch" }, "old": { "snapshot-id": 1, "type": "tag", "max-ref-age-ms": 1 } }),
    );
    let expired = expire(&table, &rules(0, 1, None), NOW_MS);
    let context =
        Context { now_ms: NOW_MS, table_uuid: uuid::Uuid::nil(), previous_metadata_location: None, stop: Stop::NEVER };
    let Outcome::Changed(after) = apply_updates(&table, &expired.updates(), &context).unwrap() else {
        panic!("it changes the table")
    };
    assert_eq!(after.snapshots().iter().map(|one| one.id).collect::<Vec<_>>(), [5]);
    assert_eq!(after.refs().keys().collect::<Vec<_>>(), ["main"]);
    assert!(expire(&after, &rules(0, 1, None), NOW_MS).is_empty());
}

/// Returns what expires, step by step as the reference implementation does it.
fn naive(
    snapshots: &[Short],
    refs: &BTreeMap<String, Value>,
    rules: &ExpireRules,
) -> (BTreeSet<String>, BTreeSet<i64>) {
    let find = |id: i64| snapshots.iter().find(|one| one.0 == id);
    let ancestors = |id: i64| {
        let (mut found, mut at) = (Vec::new(), Some(id));
        while let Some(one) = at.and_then(find) {
            found.push(*one);
            at = one.1;
        }
        found
    };
    let number = |one: &Value, key: &str| one[key].as_i64();
    let mut kept_refs = BTreeMap::new();
    for (name, one) in refs {
        let age = find(number(one, "snapshot-id").unwrap()).map(|found| found.2);
        let limit = number(one, "max-ref-age-ms").or(rules.max_ref_age_ms).unwrap_or(i64::MAX);
        if name == "main" || age.is_some_and(|age| age <= limit) {
            kept_refs.insert(name.clone(), one.clone());
        }
    }
    let (mut kept, mut referenced) = (BTreeSet::new(), BTreeSet::new());
    for one in kept_refs.values() {
        let id = number(one, "snapshot-id").unwrap();
        kept.insert(id);
        referenced.insert(id);
        if one["type"] == "branch" {
            let age = number(one, "max-snapshot-age-ms").unwrap_or(rules.max_snapshot_age_ms);
            let least = number(one, "min-snapshots-to-keep").unwrap_or(i64::from(rules.min_snapshots_to_keep));
            let mut own = 0;
            for ancestor in ancestors(id) {
                if own < least || ancestor.2 <= age {
                    own += 1;
                    kept.insert(ancestor.0);
                } else {
                    break;
                }
            }
            referenced.extend(ancestors(id).iter().map(|one| one.0));
        }
    }
    let old =
        |one: &&Short| !kept.contains(&one.0) && (referenced.contains(&one.0) || one.2 > rules.max_snapshot_age_ms);
    let gone = snapshots.iter().filter(old).map(|one| one.0).collect();
    (refs.keys().filter(|name| !kept_refs.contains_key(*name)).cloned().collect(), gone)
}

fn some_ref() -> impl Strategy<Value = (bool, Option<i64>, Option<i64>, Option<i64>)> {
    let age = || prop::option::of(1_i64..120);
    (any::<bool>(), age(), age(), prop::option::of(1_i64..6))
}

proptest! {
    #[test]
    fn expiry_is_that_of_the_naive_model(
        // Parents may be missing, and clocks of writers differ: a child can be older than its parent.
        parents in prop::collection::vec((0_usize..14, 0_i64..100), 1..12),
        refs in prop::collection::btree_map("[a-d]|main", (some_ref(), 0_usize..12), 0..5),
        age_ms in 0_i64..110, count in 1_u32..5, ref_age_ms in prop::option::of(0_i64..110),
    ) {
        let id = |at: usize| i64::try_from(at).unwrap() + 1;
        let snapshots: Vec<Short> = parents.iter().enumerate().map(|(at, (parent, age))| {
            let parent = if *parent < at { Some(id(*parent)) } else if *parent == 13 { Some(999) } else { None };
            (id(at), parent, *age)
        }).collect();
        let refs: BTreeMap<String, Value> = refs.into_iter().map(|(name, ((is_tag, ref_age, age, least), at))| {
            let is_tag = is_tag && name != "main";
            let mut one = json!({ "snapshot-id": id(at % snapshots.len()), "type": if is_tag { "tag" } else { "branch" } });
            let own = [("max-ref-age-ms", ref_age), ("max-snapshot-age-ms", age), ("min-snapshots-to-keep", least)];
            for (key, value) in own.into_iter().filter(|(key, _)| !is_tag || *key == "max-ref-age-ms") {
                if let Some(value) = value {
                    one[key] = json!(value);
                }
            }
            (name, one)
        }).collect();
        let table = table(&snapshots, &json!(refs));
        let rules = rules(age_ms, count, ref_age_ms);
        let expired = expire(&table, &rules, NOW_MS);
        let (gone_refs, gone) = naive(&snapshots, &refs, &rules);
        prop_assert_eq!(expired.refs.iter().map(|one| one.name.clone()).collect::<BTreeSet<_>>(), gone_refs);
        prop_assert_eq!(ids(&expired).into_iter().collect::<BTreeSet<_>>(), gone);
    }
}
