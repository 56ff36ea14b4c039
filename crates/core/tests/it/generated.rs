//! Generates sequences of commits. Each step has a few updates that fit, or nearly fit, the present table.

use proptest::prelude::*;
use serde_json::{Value, json};
use tidewater_core::document::TableMetadata;

use crate::support::{create, schema, set_ref};

/// The time of generated commits: in the past of every test machine, since the oracle reads the clock.
pub(crate) const THEN_MS: i64 = 1_600_000_000_000;

/// Columns by id. An id always has the same name and type, as in a table that evolves.
const COLUMNS: [(&str, &str); 6] =
    [("a", "long"), ("b", "string"), ("c", "timestamptz"), ("d", "decimal(9,2)"), ("e", "int"), ("f", "date")];

const TRANSFORMS: [&str; 5] = ["identity", "bucket[4]", "truncate[3]", "day", "year"];

const REFS: [&str; 3] = ["main", "audit", "v1"];

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Schema { columns: u8, documented: bool, current: i32 },
    Spec { fields: Vec<(usize, usize)>, default: i32 },
    Order { fields: Vec<(usize, bool)>, default: i32 },
    Snapshot { id: i64, with_parent: bool, behind: bool, refs: Vec<(usize, bool)> },
    Ref { name: usize, tag: bool, id: i64, keep: Option<i32> },
    RemoveRef { name: usize },
    RemoveSnapshots { ids: Vec<i64> },
    Properties { set: Vec<u8>, remove: Vec<u8> },
    Statistics { id: i64, remove: bool },
    RemoveSchemas { ids: Vec<i32> },
    RemoveSpecs { ids: Vec<i32> },
    Location { place: u8 },
    Upgrade { version: i32 },
    Set { schema: i32, spec: i32, order: i32 },
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let id = || 1_i64..9;
    let given = || prop_oneof![3 => Just(-1_i32), 1 => 0_i32..4];
    prop_oneof![
        3 => (1_u8..64, any::<bool>(), given())
            .prop_map(|(columns, documented, current)| Step::Schema { columns, documented, current }),
        3 => (prop::collection::vec((0..COLUMNS.len(), 0..TRANSFORMS.len()), 0..3), given())
            .prop_map(|(fields, default)| Step::Spec { fields, default }),
        2 => (prop::collection::vec((0..COLUMNS.len(), any::<bool>()), 0..3), given())
            .prop_map(|(fields, default)| Step::Order { fields, default }),
        6 => (id(), any::<bool>(), prop::bool::weighted(0.1), prop::collection::vec((0..3_usize, any::<bool>()), 0..3))
            .prop_map(|(id, with_parent, behind, refs)| Step::Snapshot { id, with_parent, behind, refs }),
        3 => (0..3_usize, any::<bool>(), id(), prop::option::of(0..4_i32))
            .prop_map(|(name, tag, id, keep)| Step::Ref { name, tag, id, keep }),
        1 => (0..3_usize).prop_map(|name| Step::RemoveRef { name }),
        2 => prop::collection::vec(id(), 0..3).prop_map(|ids| Step::RemoveSnapshots { ids }),
        2 => (prop::collection::vec(0..5_u8, 0..3), prop::collection::vec(0..5_u8, 0..2))
            .prop_map(|(set, remove)| Step::Properties { set, remove }),
        2 => (id(), any::<bool>()).prop_map(|(id, remove)| Step::Statistics { id, remove }),
        1 => prop::collection::vec(0..4_i32, 0..2).prop_map(|ids| Step::RemoveSchemas { ids }),
        1 => prop::collection::vec(0..4_i32, 0..2).prop_map(|ids| Step::RemoveSpecs { ids }),
        1 => (0..3_u8).prop_map(|place| Step::Location { place }),
        1 => (1..4_i32).prop_map(|version| Step::Upgrade { version }),
        1 => (0..4_i32, 0..4_i32, 0..4_i32).prop_map(|(schema, spec, order)| Step::Set { schema, spec, order }),
    ]
}

/// Returns a table with all columns, created at the time of generated commits.
pub(crate) fn start(format_version: u8) -> TableMetadata {
    let columns: Vec<Value> = (0..COLUMNS.len()).map(|position| column(position, false)).collect();
    let made = create(&json!({"name": "t", "schema": schema(&columns),
        "properties": {"format-version": format_version.to_string()}}));
    let mut value: Value = serde_json::from_slice(&made.to_json()).unwrap();
    value["last-updated-ms"] = THEN_MS.into();
    TableMetadata::parse(value.to_string().as_bytes()).unwrap()
}

fn column(position: usize, documented: bool) -> Value {
    let (name, kind) = COLUMNS[position];
    let mut column = json!({"id": position + 1, "name": name, "required": false, "type": kind});
    if documented {
        column["doc"] = "text".into();
    }
    column
}

/// Returns the updates of a step.
pub(crate) fn changes(step: &Step, base: &TableMetadata) -> Vec<Value> {
    match step {
        Step::Schema { columns, documented, current } => {
            let columns: Vec<Value> = (0..COLUMNS.len())
                .filter(|position| columns & (1 << position) != 0)
                .map(|position| column(position, *documented))
                .collect();
            let mut schema = schema(&columns);
            schema["schema-id"] = 0.into();
            vec![
                json!({"action": "add-schema", "schema": schema}),
                json!({"action": "set-current-schema", "schema-id": current}),
            ]
        }
        Step::Spec { fields, default } => {
            // One partition field per column: the oracle refuses two time transforms of one column.
            let once = |position: usize| fields[..position].iter().all(|(column, _)| *column != fields[position].0);
            let fields: Vec<Value> = (0..fields.len())
                .filter(|position| once(*position))
                .map(|position| {
                    let (column, transform) = &fields[position];
                    let transform = TRANSFORMS[*transform];
                    let name = format!("{}_{}", COLUMNS[*column].0, transform.split('[').next().unwrap());
                    json!({"name": name, "transform": transform, "source-id": column + 1})
                })
                .collect();
            vec![
                json!({"action": "add-spec", "spec": {"fields": fields}}),
                json!({"action": "set-default-spec", "spec-id": default}),
            ]
        }
        Step::Order { fields, default } => {
            let id = i32::from(!fields.is_empty());
            let fields: Vec<Value> = fields
                .iter()
                .map(|(column, down)| {
                    json!({"transform": "identity", "source-id": column + 1,
                        "direction": if *down { "desc" } else { "asc" }, "null-order": "nulls-first"})
                })
                .collect();
            vec![
                json!({"action": "add-sort-order", "sort-order": {"order-id": id, "fields": fields}}),
                json!({"action": "set-default-sort-order", "sort-order-id": default}),
            ]
        }
        Step::Snapshot { .. } | Step::Ref { .. } | Step::RemoveRef { .. } | Step::RemoveSnapshots { .. } => {
            snapshot_changes(step, base)
        }
        Step::Properties { set, remove } => {
            let set: serde_json::Map<String, Value> =
                set.iter().map(|key| (format!("key-{key}"), json!(format!("{}", set.len())))).collect();
            let remove: Vec<String> = remove.iter().map(|key| format!("key-{key}")).collect();
            vec![
                json!({"action": "set-properties", "updates": set}),
                json!({"action": "remove-properties", "removals": remove}),
            ]
        }
        Step::Statistics { id, remove: true } => vec![json!({"action": "remove-statistics", "snapshot-id": id})],
        Step::Statistics { id, remove: false } => vec![json!({"action": "set-statistics", "statistics": {
            "snapshot-id": id, "statistics-path": format!("s3://b/{}", base.snapshots().len()), "file-size-in-bytes": 1,
            "file-footer-size-in-bytes": 1, "blob-metadata": []}})],
        Step::RemoveSchemas { ids } => vec![json!({"action": "remove-schemas", "schema-ids": ids})],
        Step::RemoveSpecs { ids } => vec![json!({"action": "remove-partition-specs", "spec-ids": ids})],
        Step::Location { place } => vec![json!({"action": "set-location", "location": format!("s3://b/{place}")})],
        Step::Upgrade { version } => vec![json!({"action": "upgrade-format-version", "format-version": version})],
        Step::Set { schema, spec, order } => vec![
            json!({"action": "set-current-schema", "schema-id": schema}),
            json!({"action": "set-default-spec", "spec-id": spec}),
            json!({"action": "set-default-sort-order", "sort-order-id": order}),
        ],
    }
}

/// Returns an update of a ref. `main` is always a branch, and the only ref of v1, because of known faults of the oracle.
fn reference(base: &TableMetadata, name: usize, tag: bool, id: i64) -> Value {
    let name = if base.format_version() == 1 { 0 } else { name };
    set_ref(REFS[name], if tag && name > 0 { "tag" } else { "branch" }, id)
}

fn snapshot_changes(step: &Step, base: &TableMetadata) -> Vec<Value> {
    match step {
        Step::Snapshot { id, with_parent, behind, refs } => {
            let parent = base.snapshots().last().map(|last| last.id).filter(|_| *with_parent);
            let behind = *behind && parent.is_some();
            let next = base.last_sequence_number() + i64::from(!behind);
            let mut snapshot = json!({"snapshot-id": id, "timestamp-ms": THEN_MS, "schema-id": base.current_schema_id(),
                "sequence-number": if base.format_version() == 1 { 0 } else { next },
                "manifest-list": format!("s3://b/{id}.avro"), "summary": {"operation": "append"}});
            if let Some(parent) = parent {
                snapshot["parent-snapshot-id"] = parent.into();
            }
            if base.format_version() == 3 {
                snapshot["first-row-id"] = base.next_row_id().into();
                snapshot["added-rows"] = 10.into();
            }
            let refs = refs.iter().map(|(name, tag)| reference(base, *name, *tag, *id));
            std::iter::once(json!({"action": "add-snapshot", "snapshot": snapshot})).chain(refs).collect()
        }
        Step::Ref { name, tag, id, keep } => {
            let mut update = reference(base, *name, *tag, *id);
            // The oracle loses the retention of branches in v1.
            let is_branch = update["type"] == "branch" && base.format_version() > 1;
            if let (Some(keep), true) = (keep, is_branch) {
                update["min-snapshots-to-keep"] = (*keep).into();
            }
            vec![update]
        }
        Step::RemoveRef { name } => vec![json!({"action": "remove-snapshot-ref", "ref-name": REFS[*name]})],
        Step::RemoveSnapshots { ids } => vec![json!({"action": "remove-snapshots", "snapshot-ids": ids})],
        _ => Vec::new(),
    }
}
