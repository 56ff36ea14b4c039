//! Columns of manifests and manifest lists: how they are found, inherited values, and the types of partitions.

use apache_avro::types::Value as Avro;
use apache_avro::{Codec, Decimal};
use tidewater_core::scan::statistics::FileStatistics;
use tidewater_core::scan::value::{Value, ValueType};
use tidewater_manifests::{ManifestContent, ManifestError, ManifestFile, Status};

use crate::support::{FIXED_UUID, FIXED_WITH_LENGTH, Row, UNPARTITIONED, avro, manifest, optional, parse, parse_list};

fn list_file(sequence_number: i64, first_row_id: Option<i64>) -> ManifestFile {
    ManifestFile { sequence_number, added_snapshot_id: Some(77), first_row_id, ..ManifestFile::default() }
}

#[test]
fn entry_without_own_values_inherits_those_of_the_manifest() {
    let own = Row { snapshot_id: Some(5), sequence_number: Some(3), ..Row::added("a") };
    let rows = [Row::added("b"), own.clone(), Row { status: 0, ..own.clone() }, Row { status: 2, ..own }];
    let manifest = parse(&manifest("", UNPARTITIONED, &rows)).unwrap();
    let entries = manifest.entries(&list_file(9, None)).unwrap();
    let found: Vec<_> = entries
        .iter()
        .map(|entry| (entry.status(), entry.snapshot_id(), entry.sequence_number(), entry.file_sequence_number()))
        .collect();
    assert_eq!(
        found,
        [
            (Status::Added, Some(77), 9, Some(9)),
            (Status::Added, Some(5), 3, Some(3)),
            (Status::Existing, Some(5), 3, Some(3)),
            (Status::Deleted, Some(5), 3, Some(3)),
        ]
    );
    assert!(entries.get(4).is_none());
    assert_eq!(entries.get(0).unwrap().format(), "parquet");
}

#[test]
fn existing_entry_without_sequence_number_is_refused_unless_the_manifest_is_from_v1() {
    let manifest = parse(&manifest("", UNPARTITIONED, &[Row { status: 0, ..Row::added("a") }])).unwrap();
    assert!(matches!(manifest.entries(&list_file(9, None)), Err(ManifestError::Missing("sequence_number"))));
    let entries = manifest.entries(&list_file(0, None)).unwrap();
    assert_eq!(entries.get(0).unwrap().sequence_number(), 0);
}

#[test]
fn first_row_ids_count_the_rows_of_live_entries_without_their_own() {
    let row = |status, record_count, first_row_id| Row {
        status,
        record_count,
        first_row_id,
        sequence_number: Some(1),
        ..Row::added("a")
    };
    let rows = [row(1, 10, None), row(2, 100, None), row(0, 5, Some(3)), row(0, 7, None), row(1, 1, None)];
    let manifest = parse(&manifest("", UNPARTITIONED, &rows)).unwrap();
    let ids = |file: &ManifestFile| {
        let entries = manifest.entries(file).unwrap();
        entries.iter().map(|entry| entry.first_row_id()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&list_file(1, Some(1_000))), [Some(1_000), None, Some(3), Some(1_010), Some(1_017)]);
    assert_eq!(ids(&list_file(1, None)), [None; 5]);
}

#[test]
fn statistics_are_found_by_field_id() {
    let row = |row: i32| Row {
        value_counts: Some(vec![(2, 10), (9, i64::from(row)), (5, -1)]),
        lower_bounds: (row % 2 == 0).then(|| vec![(9, row.to_le_bytes().to_vec())]),
        split_offsets: (row != 3).then(|| vec![4, i64::from(row) * 1_000_000_000]),
        ..Row::added(&format!("s3://b/{row}.parquet"))
    };
    let rows: Vec<_> = (0..100).map(row).collect();
    let manifest = parse(&manifest("", UNPARTITIONED, &rows)).unwrap();
    assert_eq!(manifest.statistics_ids(), [2, 9]);
    let entries = manifest.entries(&list_file(1, None)).unwrap();
    for (number, entry) in (0..100_i32).zip(entries.iter()) {
        assert_eq!(entry.path(), &*format!("s3://b/{number}.parquet"));
        assert_eq!(entry.value_count(2), Some(10));
        assert_eq!(entry.value_count(9), Some(i64::from(number)));
        assert_eq!(entry.value_count(5), None, "a negative count is unknown");
        assert_eq!(entry.value_count(i32::MIN), None);
        let bound = (number % 2 == 0).then(|| number.to_le_bytes());
        assert_eq!(entry.lower_bound(9), bound.as_ref().map(|bound| &bound[..]));
        assert_eq!(manifest.statistics(9).unwrap().lower_bound(entry.row()), entry.lower_bound(9));
        assert_eq!(entry.upper_bound(9), None);
        let offsets = (number != 3).then(|| vec![4, i64::from(number) * 1_000_000_000]);
        assert_eq!(entry.split_offsets().map(Iterator::collect::<Vec<_>>), offsets);
    }
}

/// A partition field: its Avro type, its transform, the type of its source column, a value in Avro, and the expected value.
type PartitionCase = (&'static str, &'static str, &'static str, Avro, Value, ValueType);

#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn partition_cases() -> Vec<PartitionCase> {
    let uuid = uuid::Uuid::from_u128(0x1234_5678_9abc_def0_1234_5678_9abc_def0);
    vec![
        ("\"boolean\"", "identity", "boolean", Avro::Boolean(true), Value::Boolean(true), ValueType::Boolean),
        ("\"int\"", "identity", "int", Avro::Int(-7), Value::Int(-7), ValueType::Int),
        ("\"int\"", "identity", "long", Avro::Int(7), Value::Int(7), ValueType::Int),
        ("\"long\"", "identity", "long", Avro::Long(1 << 40), Value::Long(1 << 40), ValueType::Long),
        ("\"float\"", "identity", "float", Avro::Float(1.5), Value::Float(1.5), ValueType::Float),
        ("\"double\"", "identity", "double", Avro::Double(-0.5), Value::Double(-0.5), ValueType::Double),
        ("\"string\"", "truncate[2]", "string", Avro::String("é".into()), Value::String("é".into()), ValueType::String),
        ("\"bytes\"", "identity", "binary", Avro::Bytes(vec![1]), Value::Binary([1].into()), ValueType::Binary),
        (
            r#"{"type":"int","logicalType":"date"}"#,
            "identity",
            "date",
            Avro::Date(19_000),
            Value::Date(19_000),
            ValueType::Date,
        ),
        ("\"int\"", "identity", "date", Avro::Int(19_000), Value::Date(19_000), ValueType::Date),
        ("\"int\"", "day", "timestamp", Avro::Int(19_000), Value::Date(19_000), ValueType::Date),
        ("\"int\"", "month", "timestamp", Avro::Int(300), Value::Int(300), ValueType::Int),
        ("\"int\"", "bucket[4]", "date", Avro::Int(3), Value::Int(3), ValueType::Int),
        (
            r#"{"type":"long","logicalType":"time-micros"}"#,
            "identity",
            "time",
            Avro::TimeMicros(5),
            Value::Time(5),
            ValueType::Time,
        ),
        (
            r#"{"type":"long","logicalType":"timestamp-micros","adjust-to-utc":true}"#,
            "identity",
            "timestamptz",
            Avro::TimestampMicros(6),
            Value::Timestamp(6),
            ValueType::Timestamp { zoned: true },
        ),
        (
            "\"long\"",
            "identity",
            "timestamp",
            Avro::Long(6),
            Value::Timestamp(6),
            ValueType::Timestamp { zoned: false },
        ),
        (
            r#"{"type":"long","logicalType":"timestamp-nanos"}"#,
            "identity",
            "timestamptz_ns",
            Avro::TimestampNanos(8),
            Value::TimestampNano(8),
            ValueType::TimestampNano { zoned: true },
        ),
        (
            FIXED_UUID,
            "identity",
            "uuid",
            Avro::Fixed(16, uuid.as_bytes().to_vec()),
            Value::Uuid(uuid.as_u128()),
            ValueType::Uuid,
        ),
        (
            r#"{"type":"string","logicalType":"uuid"}"#,
            "identity",
            "uuid",
            Avro::Uuid(uuid),
            Value::Uuid(uuid.as_u128()),
            ValueType::Uuid,
        ),
        (
            r#"{"type":"fixed","size":3,"name":"f"}"#,
            "identity",
            "fixed[3]",
            Avro::Fixed(3, vec![1, 2, 3]),
            Value::Binary([1, 2, 3].into()),
            ValueType::Fixed(3),
        ),
        (
            FIXED_WITH_LENGTH,
            "identity",
            "fixed[5]",
            Avro::Bytes(vec![1, 2, 3, 0, 0xff]),
            Value::Binary([1, 2, 3, 0, 0xff].into()),
            ValueType::Fixed(5),
        ),
        (
            r#"{"type":"fixed","size":4,"name":"d","logicalType":"decimal","precision":9,"scale":2}"#,
            "identity",
            "decimal(9,2)",
            Avro::Decimal(Decimal::from(vec![0xff, 0xff, 0xff, 0x85])),
            Value::Decimal(-123),
            ValueType::Decimal { precision: 9, scale: 2 },
        ),
    ]
}

fn partitioned(
    avro_type: &str,
    transform: &str,
    source: &str,
    value: Avro,
) -> Result<Vec<Option<Value>>, ManifestError> {
    let spec = format!(
        r#"[{{"name":"gone","transform":"void","source-id":8,"field-id":1001}},{{"name":"p","transform":"{transform}","source-id":4,"field-id":1000}}]"#
    );
    let schema = format!(
        r#"{{"type":"struct","schema-id":0,"fields":[{{"id":4,"name":"c","required":false,"type":"{source}"}}]}}"#
    );
    let metadata = [("partition-spec", &*spec), ("schema", &*schema), ("format-version", "2")];
    let fields = format!(
        r#"{{"name":"other","type":["null",{avro_type}],"field-id":1000}},{{"name":"gone","type":["null","int"],"field-id":1001}}"#
    );
    let row = |value: Option<Avro>| Row {
        partition: vec![("other".into(), optional(value)), ("gone".into(), optional(Some(Avro::Int(1))))],
        ..Row::added("a")
    };
    let rows = [row(None), row(Some(value.clone())), row(None), row(Some(value))];
    let manifest = parse(&manifest(&fields, &metadata, &rows))?;
    assert_eq!(manifest.partition_count(), 2);
    let entries = manifest.entries(&list_file(1, None))?;
    let indexes: Vec<_> = entries.iter().map(|entry| entry.partition_index()).collect();
    assert_eq!(indexes, [0, 1, 0, 1]);
    assert_eq!(manifest.partition(0), [None, None], "null, and the dropped field");
    Ok(manifest.partition(1).to_vec())
}

#[test]
fn partition_values_have_the_types_of_the_spec() {
    for (avro_type, transform, source, value, expected, _) in partition_cases() {
        let found = partitioned(avro_type, transform, source, value).unwrap();
        assert_eq!(found, [None, Some(expected)], "{avro_type} {transform} of {source}");
    }
}

#[test]
fn partition_column_names_its_type() {
    for (avro_type, transform, source, _, _, expected) in partition_cases() {
        let spec = format!(r#"{{"spec-id":3,"fields":[{{"name":"p","transform":"{transform}","source-id":4}}]}}"#);
        let schema =
            format!(r#"{{"type":"struct","fields":[{{"id":4,"name":"c","required":false,"type":"{source}"}}]}}"#);
        // By name: neither the record nor the spec has field ids.
        let fields = format!(r#"{{"name":"p","type":["null",{avro_type}]}}"#);
        let metadata = [("partition-spec", &*spec), ("schema", &*schema)];
        let manifest = parse(&manifest(&fields, &metadata, &[])).unwrap();
        let [column] = manifest.partition_columns() else { panic!("one column") };
        assert_eq!((column.field_id, &*column.name, column.value_type), (1000, "p", Some(expected)), "{avro_type}");
        assert!(manifest.is_empty());
    }
}

#[test]
fn partition_of_an_unsupported_type_is_refused_by_name() {
    for avro_type in [
        r#"{"type":"long","logicalType":"timestamp-millis"}"#,
        r#"{"type":"array","items":"int"}"#,
        r#"{"type":"enum","name":"e","symbols":["A"]}"#,
        r#""int","string""#,
    ] {
        let fields = format!(r#"{{"name":"p","type":["null",{avro_type}],"field-id":1000}}"#);
        let spec = r#"[{"name":"p","transform":"identity","source-id":4,"field-id":1000}]"#;
        let refused = parse(&manifest(&fields, &[("partition-spec", spec)], &[])).unwrap_err();
        assert!(matches!(&refused, ManifestError::PartitionType { field, .. } if field == "p"), "{refused}");
    }
}

const V1_LIST: &str = r#"{"type":"record","name":"manifest_file","fields":[
{"name":"manifest_path","type":"string"},{"name":"manifest_length","type":"long"},{"name":"partition_spec_id","type":"int"},
{"name":"added_snapshot_id","type":["null","long"]},{"name":"added_data_files_count","type":["null","int"]},
{"name":"surprise","type":{"type":"map","values":"string"}}]}"#;

#[test]
fn v1_list_without_field_ids_is_read_by_name() {
    let record = Avro::Record(vec![
        ("manifest_path".into(), Avro::String("s3://b/m.avro".into())),
        ("manifest_length".into(), Avro::Long(5)),
        ("partition_spec_id".into(), Avro::Int(2)),
        ("added_snapshot_id".into(), optional(Some(Avro::Long(7)))),
        ("added_data_files_count".into(), optional(Some(Avro::Int(3)))),
        ("surprise".into(), Avro::Map([("k".to_owned(), Avro::String("v".into()))].into())),
    ]);
    let list = parse_list(&avro(Codec::Null, V1_LIST, &[], std::iter::once(record))).unwrap();
    let expected = ManifestFile {
        path: "s3://b/m.avro".into(),
        length: 5,
        spec_id: 2,
        content: ManifestContent::Data,
        added_snapshot_id: Some(7),
        added_files_count: Some(3),
        ..ManifestFile::default()
    };
    assert_eq!(list.files(), [expected]);
}

#[test]
fn list_columns_are_found_by_field_id_before_name() {
    let schema = r#"{"type":"record","name":"manifest_file","fields":[
        {"name":"a","type":"string","field-id":500},{"name":"manifest_path","type":"string","field-id":999},
        {"name":"b","type":"long","field-id":501},{"name":"c","type":"int","field-id":502},
        {"name":"d","type":"int","field-id":517}]}"#;
    let record = |content| {
        Avro::Record(vec![
            ("a".into(), Avro::String("right".into())),
            ("manifest_path".into(), Avro::String("wrong".into())),
            ("b".into(), Avro::Long(1)),
            ("c".into(), Avro::Int(0)),
            ("d".into(), Avro::Int(content)),
        ])
    };
    let list = parse_list(&avro(Codec::Null, schema, &[], [record(1)].into_iter())).unwrap();
    assert_eq!((&*list.files()[0].path, list.files()[0].content), ("right", ManifestContent::Deletes));
    let refused = parse_list(&avro(Codec::Null, schema, &[], [record(2)].into_iter()));
    assert!(matches!(refused, Err(ManifestError::Value { field: "content", .. })));
}
