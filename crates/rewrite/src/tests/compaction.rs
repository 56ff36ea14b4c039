//! Compactions.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, Float32Array, Int32Array, Int64Array, RecordBatch, StringArray};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::json;
use tidewater_core::scan::value::Value;
use tidewater_manifests::ManifestContent;

use super::table::{Lake, id_and_name, ids_and_names};
use crate::{CompactionReport, CompactionRule, RewriteError, compact};

const RULE: CompactionRule = CompactionRule {
    target_bytes: 512 << 20,
    min_input_files: 2,
    delete_percent: 30,
    delete_files: 10,
    max_run_bytes: u64::MAX,
};

/// Compacts the table, and commits.
fn run(lake: &mut Lake) -> CompactionReport {
    let table = lake.table.clone();
    let mut job = lake.job_on(&table);
    let (compaction, report) = compact(&mut job, &RULE).unwrap();
    let proposal = compaction.expect("some files are worth it").propose(&mut job).unwrap();
    lake.commit(&proposal.body);
    report
}

#[test]
fn compacted_table_has_the_same_rows_in_one_file_in_all_formats() {
    for version in 1..=3 {
        let mut lake = Lake::plain(version);
        (0..5).for_each(|number| drop(lake.append(number * 100..number * 100 + 100)));
        let before = lake.rows();
        let report = run(&mut lake);
        assert_eq!((report.files_read, report.files_written, report.rows_written), (5, 1, 500));
        assert_eq!(lake.rows(), before, "format {version}");
        let (_, summary) = lake.manifests();
        let expected = json!({ "operation": "replace", "added-data-files": "1", "deleted-data-files": "5",
            "added-records": "500", "deleted-records": "500", "total-data-files": "96", "total-records": "1000",
            "changed-partition-count": "1" });
        for (key, value) in expected.as_object().unwrap() {
            assert_eq!(&summary[key], value, "{key}");
        }
        let listed = lake.listed(ManifestContent::Data);
        assert_eq!(listed.len(), 1);
        if version > 1 {
            assert_eq!((listed[0].sequence_number, listed[0].file_sequence_number), (Some(5), Some(6)));
        }
        assert!(compact(&mut lake.job(), &RULE).unwrap().0.is_none(), "nothing is left to do");
    }
}

#[test]
fn position_and_equality_deletes_are_applied_by_their_sequence_numbers_and_go() {
    let mut lake = Lake::plain(2);
    let first = lake.append(0..10);
    let doomed = ids_and_names(&lake.schema(), vec![1, 12]);
    lake.delete_equal(&[1], &doomed, Vec::new());
    let second = lake.append(10..20);
    lake.append(1..2);
    lake.delete_positions(&[(&first, 0), (&second, 9), (&second, 3)], Vec::new());
    let before = lake.rows();
    assert_eq!(
        before.len(),
        10 - 2 + 10 - 2 + 1,
        "the second file and the last row are newer than the equality delete"
    );
    let report = run(&mut lake);
    assert_eq!((report.rows_read, report.rows_written), (21, 17));
    assert_eq!(lake.rows(), before);
    assert_eq!(lake.listed(ManifestContent::Deletes), []);
    let (_, summary) = lake.manifests();
    assert_eq!(summary["removed-position-deletes"], "3");
    assert_eq!(summary["removed-equality-deletes"], "2");
    assert_eq!(summary["total-delete-files"], "98");
}

#[test]
fn equality_delete_that_applies_to_another_file_stays() {
    let spec = json!([{ "source-id": 2, "field-id": 1000, "transform": "identity", "name": "name" }]);
    let mut lake = Lake::new(2, id_and_name(), spec, json!({}));
    let partition = || vec![Some(Value::String("name 1".into()))];
    let append = |lake: &mut Lake, ids: Vec<i64>, encrypted: bool| {
        let mut file = lake.file(&ids_and_names(&lake.schema(), ids), partition());
        file.sort_order_id = encrypted.then_some(1);
        lake.add(&[file]);
    };
    append(&mut lake, vec![1], false);
    append(&mut lake, vec![15], false);
    // Left alone, since it says that it is sorted.
    append(&mut lake, vec![29], true);
    let doomed = ids_and_names(&lake.schema(), vec![15, 29]);
    lake.delete_equal(&[1], &doomed, partition());
    let before = lake.rows();
    let report = run(&mut lake);
    assert_eq!((report.files_read, report.rows_written), (2, 1));
    assert_eq!(report.left_alone[0].why, "the rows have sort order 1, which a compaction would lose");
    assert_eq!((report.left_alone.len(), report.left_alone[0].files), (1, 1));
    assert_eq!(lake.rows(), before);
    assert_eq!(lake.listed(ManifestContent::Deletes).len(), 1);
}

#[test]
fn null_and_nan_keys_of_equality_deletes_match() {
    let fields = json!([
        { "id": 1, "name": "a", "required": false, "type": "float" },
        { "id": 2, "name": "b", "required": false, "type": "string" },
    ]);
    let mut lake = Lake::new(2, fields, json!([]), json!({}));
    let schema = lake.schema();
    let batch = |a: Vec<Option<f32>>, b: Vec<Option<&str>>| {
        RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(Float32Array::from(a)), Arc::new(StringArray::from(b))])
            .unwrap()
    };
    let rows = batch(
        vec![Some(f32::NAN), Some(-0.0), Some(0.0), None, None],
        vec![Some("x"), Some("x"), Some("x"), None, Some("x")],
    );
    for _ in 0..2 {
        let file = lake.file(&rows, Vec::new());
        lake.add(&[file]);
    }
    let nan = -f32::NAN;
    lake.delete_equal(&[1, 2], &batch(vec![Some(nan), Some(0.0), None], vec![Some("x"), Some("x"), None]), Vec::new());
    let report = run(&mut lake);
    assert_eq!(report.rows_written, 4, "-0.0 and null with x stay, in two files each");
}

/// Returns the row ids and last sequence numbers in a table's only data file, by the column `id`.
fn lineage(lake: &Lake) -> HashMap<i64, (Option<i64>, Option<i64>)> {
    let listed = lake.listed(ManifestContent::Data);
    assert_eq!(listed.len(), 1);
    let file = std::fs::File::open(listed[0].path.strip_prefix("file://").unwrap()).unwrap();
    let mut found = HashMap::new();
    for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
        let batch = batch.unwrap();
        let column = |name: &str| batch[name].as_primitive::<Int64Type>().clone();
        let (ids, rows, numbers) = (column("id"), column("_row_id"), column("_last_updated_sequence_number"));
        for row in 0..batch.num_rows() {
            let of = |column: &Int64Array| column.is_valid(row).then(|| column.value(row));
            found.insert(ids.value(row), (of(&rows), of(&numbers)));
        }
    }
    found
}

#[test]
fn deletion_vectors_are_applied_and_rows_keep_their_lineage() {
    let mut lake = Lake::plain(3);
    let first = lake.append(100..110);
    lake.append(200..210);
    lake.delete_by_vector(&first, &[0, 1, 9]);
    let report = run(&mut lake);
    assert_eq!((report.rows_read, report.rows_written), (20, 17));
    assert_eq!(lake.listed(ManifestContent::Deletes), []);
    assert_eq!(lake.manifests().1["removed-dvs"], "1");
    let found = lineage(&lake);
    let expected: HashMap<_, _> = (102..109)
        .map(|id| (id, (Some(id - 100), Some(1))))
        .chain((200..210).map(|id| (id, (Some(id - 200 + 10), Some(2)))))
        .collect();
    assert_eq!(found, expected);
    assert_eq!(lake.table.next_row_id(), 20 + 17, "new files take new ids, as in the reference implementation");
    // Once more, with rows that have their lineage in the file.
    lake.append(300..303);
    run(&mut lake);
    let found = lineage(&lake);
    assert_eq!(found[&105], (Some(5), Some(1)));
    assert_eq!(found[&301], (Some(38), Some(5)));
}

#[test]
fn old_files_get_the_present_columns() {
    let fields = json!([
        { "id": 1, "name": "id", "required": true, "type": "int" },
        { "id": 2, "name": "gone", "required": false, "type": "string" },
        { "id": 3, "name": "old", "required": false, "type": "float" },
    ]);
    let mut lake = Lake::new(3, fields, json!([]), json!({}));
    let batch = RecordBatch::try_new(
        lake.schema(),
        vec![
            Arc::new(Int32Array::from(vec![1, -2])),
            Arc::new(StringArray::from(vec!["x", "y"])),
            Arc::new(Float32Array::from(vec![Some(0.5), None])),
        ],
    )
    .unwrap();
    for _ in 0..2 {
        let file = lake.file(&batch, Vec::new());
        lake.add(&[file]);
    }
    let evolved = json!({ "type": "struct", "schema-id": 1, "fields": [
        { "id": 3, "name": "renamed", "required": false, "type": "double" },
        { "id": 1, "name": "id", "required": true, "type": "long" },
        { "id": 4, "name": "added", "required": true, "type": "string", "initial-default": "d", "write-default": "d" },
        { "id": 5, "name": "empty", "required": false, "type": "date" },
    ] });
    lake.commit(&json!({ "requirements": [], "updates": [
        { "action": "add-schema", "schema": evolved }, { "action": "set-current-schema", "schema-id": -1 },
    ] }));
    run(&mut lake);
    let listed = lake.listed(ManifestContent::Data);
    let file = std::fs::File::open(listed[0].path.strip_prefix("file://").unwrap()).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let batches: Vec<_> = reader.map(Result::unwrap).collect();
    let all = arrow_select::concat::concat_batches(&batches[0].schema(), &batches).unwrap();
    assert_eq!(all["id"].as_primitive::<Int64Type>().values().to_vec(), [1, -2, 1, -2]);
    assert_eq!(all["renamed"].as_primitive::<arrow_array::types::Float64Type>().value(0), 0.5);
    assert!(all["renamed"].is_null(1) && all["empty"].is_null(0));
    assert!(all["added"].as_string::<i32>().iter().all(|value| value == Some("d")));
    assert!(all.column_by_name("gone").is_none());
}

#[test]
fn lists_on_many_pages_are_read_to_their_end() {
    let fields = json!([
        { "id": 1, "name": "id", "required": true, "type": "long" },
        { "id": 2, "name": "tags", "required": false, "type":
            { "type": "list", "element-id": 3, "element": "string", "element-required": false } },
    ]);
    let mut lake = Lake::new(2, fields, json!([]), json!({}));
    let schema = lake.schema();
    let arrow_schema::DataType::List(element) = schema.field(1).data_type() else { unreachable!() };
    // 4 MiB that no dictionary shortens, and a page has at most 1 MiB.
    let values = (0..4_096).map(|number| format!("{number:01000}"));
    let tags = arrow_array::ListArray::new(
        Arc::clone(element),
        arrow_buffer::OffsetBuffer::from_lengths([2; 2_048]),
        Arc::new(StringArray::from_iter_values(values)),
        None,
    );
    let ids = Arc::new(Int64Array::from_iter_values(0..2_048));
    let batch = RecordBatch::try_new(schema, vec![ids, Arc::new(tags)]).unwrap();
    for _ in 0..2 {
        let file = lake.file(&batch, Vec::new());
        lake.add(&[file]);
    }
    let before = lake.rows();
    run(&mut lake);
    assert_eq!(lake.rows(), before);
}

#[test]
fn nested_columns_keep_their_values() {
    let fields = json!([
        { "id": 1, "name": "id", "required": true, "type": "long" },
        { "id": 2, "name": "tags", "required": false, "type":
            { "type": "list", "element-id": 4, "element": "string", "element-required": false } },
        { "id": 3, "name": "place", "required": false, "type": { "type": "struct", "fields": [
            { "id": 5, "name": "x", "required": false, "type": "double" },
            { "id": 6, "name": "more", "required": false, "type":
                { "type": "map", "key-id": 7, "key": "string", "value-id": 8, "value": "int", "value-required": false } },
        ] } },
    ]);
    let mut lake = Lake::new(2, fields, json!([]), json!({}));
    let schema = lake.schema();
    let arrays: Vec<_> =
        schema.fields().iter().map(|field| arrow_array::new_null_array(field.data_type(), 3)).collect();
    let tags = arrow_array::ListArray::new(
        match schema.field(1).data_type() {
            arrow_schema::DataType::List(field) => Arc::clone(field),
            _ => unreachable!(),
        },
        arrow_buffer::OffsetBuffer::from_lengths([2, 0, 1]),
        Arc::new(StringArray::from(vec![Some("a"), None, Some("c")])),
        Some(vec![true, false, true].into()),
    );
    let batch = RecordBatch::try_new(
        schema,
        vec![Arc::new(Int64Array::from(vec![1, 2, 3])), Arc::new(tags), Arc::clone(&arrays[2])],
    )
    .unwrap();
    for _ in 0..2 {
        let file = lake.file(&batch, Vec::new());
        lake.add(&[file]);
    }
    let before = lake.rows();
    run(&mut lake);
    assert_eq!(lake.rows(), before);
}

#[test]
fn compaction_commits_on_top_of_concurrent_appends_and_equality_deletes() {
    let mut lake = Lake::plain(2);
    (0..3).for_each(|number| drop(lake.append(number * 10..number * 10 + 10)));
    let read = lake.table.clone();
    let mut job = lake.job_on(&read);
    let compaction = compact(&mut job, &RULE).unwrap().0.unwrap();
    let lost = compaction.propose(&mut job).unwrap();
    lake.append(30..40);
    let doomed = ids_and_names(&lake.schema(), vec![5, 35]);
    lake.delete_equal(&[1], &doomed, Vec::new());
    let before = lake.rows();
    assert_eq!(before.len(), 38);
    lake.try_commit(&lost.body).unwrap_err();
    let current = lake.table.clone();
    let mut job = lake.job_on(&current);
    lake.commit(&compaction.propose(&mut job).unwrap().body);
    assert_eq!(lake.rows(), before, "the equality delete still applies to the new file");
    assert_eq!(lake.listed(ManifestContent::Deletes).len(), 1);
}

#[test]
fn compaction_loses_to_new_position_deletes_and_to_another_rewrite() {
    let mut lake = Lake::plain(2);
    let first = lake.append(0..10);
    lake.append(10..20);
    let read = lake.table.clone();
    let mut job = lake.job_on(&read);
    let compaction = compact(&mut job, &RULE).unwrap().0.unwrap();
    lake.delete_positions(&[(&first, 2)], Vec::new());
    let current = lake.table.clone();
    let mut job = lake.job_on(&current);
    assert!(matches!(compaction.propose(&mut job), Err(RewriteError::Conflict(_))));
    run(&mut lake);
    let current = lake.table.clone();
    let mut job = lake.job_on(&current);
    assert!(matches!(compaction.propose(&mut job), Err(RewriteError::Conflict(_))));
}

#[test]
fn file_that_cannot_be_rewritten_is_named_and_its_group_stays() {
    let mut lake = Lake::plain(2);
    (0..2).for_each(|number| drop(lake.append(number..number + 1)));
    let listed = lake.listed(ManifestContent::Data);
    std::fs::write(listed[0].path.strip_prefix("file://").unwrap(), vec![7; 4_000]).unwrap();
    // The first file of the group, in the order of the commits, is whole.
    assert!(listed[0].path.ends_with("0002.parquet"));
    let mut job = lake.job();
    let (compaction, report) = compact(&mut job, &RULE).unwrap();
    assert!(compaction.is_none());
    assert_eq!(report.left_alone.len(), 1, "{report:?}");
    assert!(report.left_alone[0].why.contains(&listed[0].path), "{report:?}");
    let (written, discarded) = job.into_written();
    assert_eq!((written.len(), discarded.len()), (0, 1), "its new file belongs to nothing");
}

#[test]
fn file_outside_of_the_table_is_not_read() {
    let mut lake = Lake::plain(2);
    lake.append(0..1);
    lake.append(1..2);
    let mut file = lake.append(2..3);
    file.path = "file:///elsewhere/x.parquet".to_owned();
    lake.add(&[file]);
    let report = compact(&mut lake.job(), &RULE).unwrap().1;
    assert_eq!(report.files_read, 3);
    assert_eq!(report.left_alone[0].why, "the files are outside of the table's locations");
}

#[test]
fn new_entries_have_statistics_that_the_oracle_reads() {
    let mut lake = Lake::plain(2);
    (0..2).for_each(|number| drop(lake.append(number * 10 + 1..number * 10 + 11)));
    run(&mut lake);
    let listed = lake.listed(ManifestContent::Data);
    for part in ["value_counts: {", "lower_bounds: {", "nan_value_counts: {}", "sort_order_id: Some(0)"] {
        assert!(listed[0].file.contains(part), "{part} in {}", listed[0].file);
    }
    assert!(listed[0].file.contains("\"name 0\"") && listed[0].file.contains("\"name 6\""), "{}", listed[0].file);
}

#[test]
fn table_that_moves_to_another_format_meanwhile_is_a_conflict() {
    let mut lake = Lake::plain(2);
    (0..3).for_each(|number| drop(lake.append(number * 10..number * 10 + 10)));
    let table = lake.table.clone();
    let compaction = compact(&mut lake.job_on(&table), &RULE).unwrap().0.unwrap();
    lake.commit(
        &json!({ "requirements": [], "updates": [{ "action": "upgrade-format-version", "format-version": 3 }] }),
    );
    let refused = compaction.propose(&mut lake.job()).unwrap_err();
    assert!(matches!(refused, RewriteError::Conflict(_)), "the new files have no row ids: {refused}");
}
