//! Previews of rows.

use std::sync::Arc;

use arrow_array::builder::{Int64Builder, ListBuilder, MapBuilder, StringBuilder};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float32Array,
    Float64Array, Int32Array, Int64Array, RecordBatch, StructArray, Time64MicrosecondArray, TimestampMicrosecondArray,
    TimestampNanosecondArray,
};
use arrow_schema::DataType;
use serde_json::json;

use super::table::{Lake, ids_and_names};
use crate::{PreviewLimits, RewriteError, preview};

const LIMITS: PreviewLimits = PreviewLimits { rows: 50, columns: 20, value_bytes: 100 };

fn ids(rows: &[Vec<Option<String>>]) -> Vec<i64> {
    rows.iter().map(|row| row[0].as_ref().unwrap().parse().unwrap()).collect()
}

#[test]
fn deleted_rows_are_not_shown() {
    let mut lake = Lake::plain(2);
    let first = lake.append(0..10);
    lake.append(10..20);
    lake.delete_positions(&[(&first, 0), (&first, 3)], Vec::new());
    let doomed = ids_and_names(&lake.schema(), vec![15]);
    lake.delete_equal(&[1], &doomed, Vec::new());
    let shown = preview(&mut lake.job(), LIMITS).unwrap();
    let mut found = ids(&shown.rows);
    found.sort_unstable();
    assert_eq!(found, (0..20).filter(|id| ![0, 3, 15].contains(id)).collect::<Vec<_>>());
    assert!(shown.has_deletes && !shown.is_partial);
    let columns: Vec<(&str, &str)> =
        shown.columns.iter().map(|column| (column.name.as_str(), column.kind.as_str())).collect();
    assert_eq!(columns, [("id", "long"), ("name", "string")]);
}

#[test]
fn deletion_vector_is_applied() {
    let mut lake = Lake::plain(3);
    let file = lake.append(0..5);
    lake.delete_by_vector(&file, &[1, 4]);
    let shown = preview(&mut lake.job(), LIMITS).unwrap();
    assert_eq!((ids(&shown.rows), shown.has_deletes), (vec![0, 2, 3], true));
}

#[test]
fn rows_and_columns_and_values_have_limits() {
    let mut lake = Lake::plain(2);
    for begin in 0..5 {
        lake.append(begin * 1_000..begin * 1_000 + 1_000);
    }
    let shown = preview(&mut lake.job(), PreviewLimits { rows: 7, columns: 1, value_bytes: 2 }).unwrap();
    assert_eq!((shown.rows.len(), shown.columns.len(), shown.is_partial), (7, 1, true));
    assert_eq!(shown.left_out, ["name"]);
    assert!(shown.rows.iter().flatten().flatten().all(|text| text.chars().count() <= 3));
    let none = preview(&mut Lake::plain(2).job(), LIMITS).unwrap();
    assert_eq!((none.rows.len(), none.columns.len(), none.is_partial), (0, 2, false), "a table without a snapshot");
}

#[test]
fn values_are_texts_and_nested_ones_json() {
    let fields = json!([
        { "id": 1, "name": "list", "required": false, "type": { "type": "list", "element-id": 11, "element": "long", "element-required": false } },
        { "id": 2, "name": "bytes", "required": false, "type": "binary" },
        { "id": 3, "name": "day", "required": false, "type": "date" },
        { "id": 4, "name": "number", "required": false, "type": "double" },
        { "id": 5, "name": "pair", "required": false, "type": { "type": "struct", "fields": [
            { "id": 51, "name": "a \"b\"", "required": false, "type": "double" }] } },
        { "id": 6, "name": "map", "required": false, "type": { "type": "map", "key-id": 61, "key": "string", "value-id": 62, "value": "long",
            "value-required": false } },
    ]);
    let mut lake = Lake::new(2, fields, json!([]), json!({}));
    let schema = lake.schema();
    let DataType::List(element) = schema.field(0).data_type() else { panic!("a list") };
    let mut list = ListBuilder::new(Int64Builder::new()).with_field(Arc::clone(element));
    list.append_value([Some(1), None]);
    list.append_null();
    let DataType::Struct(pair) = schema.field(4).data_type() else { panic!("a struct") };
    let pair = StructArray::new(pair.clone(), vec![Arc::new(Float64Array::from(vec![Some(1.5), None]))], None);
    let DataType::Map(entries, _) = schema.field(5).data_type() else { panic!("a map") };
    let DataType::Struct(both) = entries.data_type() else { panic!("a struct") };
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
    map.keys().append_value("k\"");
    map.values().append_value(7);
    map.append(true).unwrap();
    map.append(true).unwrap();
    let (_, offsets, values, nulls, _) = map.finish().into_parts();
    let values = StructArray::new(both.clone(), values.columns().to_vec(), None);
    let map = arrow_array::MapArray::new(Arc::clone(entries), offsets, values, nulls, false);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(list.finish()),
        Arc::new(BinaryArray::from_vec(vec![b"\x00\xff", b""])),
        Arc::new(Date32Array::from(vec![Some(0), None])),
        Arc::new(Float64Array::from(vec![f64::NAN, 0.5])),
        Arc::new(pair),
        Arc::new(map),
    ];
    assert_eq!(columns[0].len(), 2);
    let file = lake.file(&RecordBatch::try_new(schema, columns).unwrap(), Vec::new());
    lake.add(std::slice::from_ref(&file));
    let shown = preview(&mut lake.job(), LIMITS).unwrap();
    let rows: Vec<Vec<Option<&str>>> =
        shown.rows.iter().map(|row| row.iter().map(Option::as_deref).collect()).collect();
    let first = ["[1, null]", "00FF", "1970-01-01", "NaN", r#"{"a \"b\"": 1.5}"#, r#"[["k\"", 7]]"#];
    assert_eq!(rows[0], first.map(Some));
    assert_eq!(rows[1], [None, Some(""), None, Some("0.5"), Some(r#"{"a \"b\"": null}"#), Some("[]")]);
}

/// Returns two values of each primitive type, and of a structure with the fields of `pair`.
fn two_of_each_type(pair: &DataType) -> Vec<ArrayRef> {
    let noon_us = 12 * 3_600_000_000_i64;
    let uuid = 0xf79c_3e09_677c_4bbd_a479_3f34_9cb7_85e7_u128.to_be_bytes();
    let DataType::Struct(pair) = pair else { panic!("a struct") };
    let zoned = |values: Vec<i64>| TimestampMicrosecondArray::from(values).with_timezone("+00:00");
    let pair = StructArray::new(
        pair.clone(),
        vec![Arc::new(Float32Array::from(vec![0.1, -1.5])), Arc::new(zoned(vec![noon_us, -1]))],
        None,
    );
    vec![
        Arc::new(BooleanArray::from(vec![true, false])),
        Arc::new(Int32Array::from(vec![7, -7])),
        Arc::new(Float32Array::from(vec![0.1, f32::INFINITY])),
        Arc::new(Float64Array::from(vec![0.1, 1e300])),
        Arc::new(Decimal128Array::from(vec![1_420, -5]).with_precision_and_scale(9, 2).unwrap()),
        Arc::new(Time64MicrosecondArray::from(vec![noon_us, noon_us + 120_000])),
        Arc::new(TimestampMicrosecondArray::from(vec![noon_us, noon_us + 500_000])),
        Arc::new(zoned(vec![0, -1])),
        Arc::new(TimestampNanosecondArray::from(vec![0, 1])),
        Arc::new(TimestampNanosecondArray::from(vec![0, 1]).with_timezone("+00:00")),
        Arc::new(FixedSizeBinaryArray::try_from_iter([uuid, [0; 16]].into_iter()).unwrap()),
        Arc::new(FixedSizeBinaryArray::try_from_iter([[0, 255], [1, 2]].into_iter()).unwrap()),
        Arc::new(pair),
    ]
}

#[test]
fn values_of_all_primitive_types_are_shown_as_people_write_them() {
    let kinds = [
        "boolean",
        "int",
        "float",
        "double",
        "decimal(9,2)",
        "time",
        "timestamp",
        "timestamptz",
        "timestamp_ns",
        "timestamptz_ns",
        "uuid",
        "fixed[2]",
    ];
    let field = |(at, kind): (usize, &&str)| json!({ "id": at + 1, "name": kind, "required": false, "type": kind });
    let mut fields: Vec<_> = kinds.iter().enumerate().map(field).collect();
    fields.push(json!({ "id": 20, "name": "pair", "required": false, "type": { "type": "struct", "fields": [
        { "id": 21, "name": "x", "required": false, "type": "float" },
        { "id": 22, "name": "at", "required": false, "type": "timestamptz" }] } }));
    let mut lake = Lake::new(3, json!(fields), json!([]), json!({}));
    let schema = lake.schema();
    let columns = two_of_each_type(schema.field(12).data_type());
    for (column, field) in columns.iter().zip(schema.fields()) {
        assert_eq!(column.data_type(), field.data_type(), "{}", field.name());
    }
    let file = lake.file(&RecordBatch::try_new(schema, columns).unwrap(), Vec::new());
    lake.add(std::slice::from_ref(&file));
    let shown = preview(&mut lake.job(), LIMITS).unwrap();
    let rows: Vec<Vec<&str>> =
        shown.rows.iter().map(|row| row.iter().map(|text| text.as_deref().unwrap()).collect()).collect();
    assert_eq!(
        rows[0],
        [
            "true",
            "7",
            "0.1",
            "0.1",
            "14.20",
            "12:00:00",
            "1970-01-01 12:00:00",
            "1970-01-01 00:00:00 UTC",
            "1970-01-01 00:00:00",
            "1970-01-01 00:00:00 UTC",
            "f79c3e09-677c-4bbd-a479-3f349cb785e7",
            "00FF",
            r#"{"x": 0.1, "at": "1970-01-01 12:00:00 UTC"}"#,
        ]
    );
    assert_eq!(
        rows[1],
        [
            "false",
            "-7",
            "inf",
            "1e300",
            "-0.05",
            "12:00:00.12",
            "1970-01-01 12:00:00.5",
            "1969-12-31 23:59:59.999999 UTC",
            "1970-01-01 00:00:00.000000001",
            "1970-01-01 00:00:00.000000001 UTC",
            "00000000-0000-0000-0000-000000000000",
            "0102",
            r#"{"x": -1.5, "at": "1969-12-31 23:59:59.999999 UTC"}"#,
        ]
    );
}

#[test]
fn column_of_a_type_that_is_not_read_is_left_out() {
    let fields = json!([
        { "id": 1, "name": "id", "required": false, "type": "long" },
        { "id": 2, "name": "anything", "required": false, "type": "variant" },
    ]);
    let lake = Lake::new(3, fields, json!([]), json!({}));
    let shown = preview(&mut lake.job(), LIMITS).unwrap();
    assert_eq!((shown.columns.len(), shown.left_out), (1, vec!["anything".to_owned()]));
}

#[test]
fn file_outside_of_the_table_is_not_read() {
    let mut lake = Lake::plain(2);
    let batch = RecordBatch::try_new(
        lake.schema(),
        vec![Arc::new(Int64Array::from(vec![1])), arrow_array::new_null_array(&DataType::Utf8, 1)],
    );
    let mut file = lake.file(&batch.unwrap(), Vec::new());
    file.path = file.path.replace("/t/", "/elsewhere/");
    lake.add(&[file]);
    assert!(matches!(preview(&mut lake.job(), LIMITS), Err(RewriteError::Unsupported(_))));
}

#[test]
fn file_with_a_page_or_a_footer_that_claims_too_much_is_refused() {
    let mut lake = Lake::plain(2);
    // The job has 64 MiB, and a file an eighth of it.
    for (length_bytes, fits) in [(7 << 20, true), (9 << 20, false)] {
        let schema = lake.schema();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![1])),
            Arc::new(arrow_array::StringArray::from(vec!["x".repeat(length_bytes)])),
        ];
        let batch = RecordBatch::try_new(schema, columns).unwrap();
        let mut lake = Lake::plain(2);
        let file = lake.file(&batch, Vec::new());
        lake.add(std::slice::from_ref(&file));
        match preview(&mut lake.job(), LIMITS) {
            Ok(shown) => assert!(fits && shown.rows.len() == 1),
            Err(RewriteError::Unsupported(why)) => assert!(!fits && why.contains("memory"), "{why}"),
            Err(error) => panic!("{error}"),
        }
    }
    let file = lake.append(0..5);
    let path = file.path.strip_prefix("file://").unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    let tail = bytes.len() - 8;
    let footer_bytes = u32::from_le_bytes(bytes[tail..tail + 4].try_into().unwrap()) as usize;
    // Its first field is a list of 2 GiB structures.
    bytes[tail - footer_bytes..][..7].copy_from_slice(&[0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07]);
    std::fs::write(path, bytes).unwrap();
    let refused = preview(&mut lake.job(), LIMITS);
    assert!(matches!(&refused, Err(RewriteError::Unsupported(why)) if why.contains("footer")), "{refused:?}");
}
