//! Single projections, statistics and texts whose results the specification or the clients fix.

use tidewater_core::document::{PartitionSpec, Transform};
use tidewater_core::scan::answer::{Content, ContentFile, write_delete_file, write_task};
use tidewater_core::scan::bound::{Bound, bind};
use tidewater_core::scan::expression::Expression;
use tidewater_core::scan::partition::{PartitionFilter, client_types, field_types};
use tidewater_core::scan::residual::{Residuals, write_json};
use tidewater_core::scan::single_value::NotWritable;
use tidewater_core::scan::value::{Value, ValueType};
use tidewater_core::scan::{metrics, project};

use super::rows::{ColumnStatistics, Statistics, schema, spec};

fn parse(json: &str) -> Bound {
    bind(&Expression::parse(json).unwrap(), &schema().index().unwrap(), true).unwrap()
}

fn test(kind: &str, column: &str, value: &str) -> Bound {
    parse(&format!(r#"{{"type":"{kind}","term":"{column}","value":{value}}}"#))
}

fn projections(filter: &Bound, spec: &PartitionSpec) -> (PartitionFilter, PartitionFilter) {
    let schema = schema();
    let schema = schema.index().unwrap();
    (project::inclusive(filter, spec, &schema), project::strict(filter, spec, &schema))
}

/// Returns whether the inclusive and the strict projection match a partition with this value.
fn matches(filter: &Bound, column: i32, transform: Transform, value: Option<Value>) -> (bool, bool) {
    let (inclusive, strict) = projections(filter, &spec(&[(column, transform)]));
    (inclusive.matches(std::slice::from_ref(&value)), strict.matches(&[value]))
}

const KEEP: (bool, bool) = (true, false);
const DROP: (bool, bool) = (false, false);
const ALL: (bool, bool) = (true, true);

#[test]
fn day_before_1970_may_be_stored_one_higher() {
    // 1969-12-31T10:00 is day -1. Old writers stored 0.
    let filter = test("eq", "ts", r#""1969-12-31T10:00:00""#);
    for (day, expected) in [(-2, DROP), (-1, KEEP), (0, KEEP), (1, DROP)] {
        assert_eq!(matches(&filter, 6, Transform::Day, Some(Value::Date(day))), expected, "{day}");
    }
    let filter = test("gt", "ts", r#""1969-12-30T00:00:00""#);
    for (day, expected) in [(-3, DROP), (-2, KEEP), (-1, KEEP), (0, ALL)] {
        assert_eq!(matches(&filter, 6, Transform::Day, Some(Value::Date(day))), expected, "{day}");
    }
    let term = r#"{"type":"lt","term":{"type":"transform","transform":"year","term":"ts"},"value":0}"#;
    for (year, expected) in [(-1, ALL), (0, KEEP), (1, DROP)] {
        assert_eq!(matches(&parse(term), 6, Transform::Year, Some(Value::Int(year))), expected, "{year}");
    }
    // Days of dates were right.
    let filter = test("eq", "dt", r#""1969-12-31""#);
    for (day, expected) in [(-1, KEEP), (0, DROP)] {
        assert_eq!(matches(&filter, 5, Transform::Day, Some(Value::Date(day))), expected, "{day}");
    }
}

#[test]
fn literal_at_the_limit_of_its_type_has_no_next_value() {
    let filter = test("lt-eq", "l", &i64::MAX.to_string());
    assert_eq!(matches(&filter, 2, Transform::Truncate(10), Some(Value::Long(0))), KEEP);
}

#[test]
fn negative_zero_is_excluded_only_where_both_orders_of_zeros_exclude_it() {
    let zero = |value: f64| Some(Value::Double(value));
    for (kind, literal, partition, expected) in [
        ("gt", "0.0", -0.0, DROP),
        ("gt-eq", "0.0", -0.0, KEEP),
        ("lt", "0.0", -0.0, KEEP),
        ("lt-eq", "0.0", -0.0, ALL),
        ("eq", "0.0", -0.0, KEEP),
        ("not-eq", "0.0", -0.0, KEEP),
        ("lt", "-0.0", 0.0, DROP),
        ("gt", "-0.0", 0.0, KEEP),
        ("gt-eq", "-0.0", 0.0, ALL),
    ] {
        let filter = test(kind, "d", literal);
        assert_eq!(
            matches(&filter, 3, Transform::Identity, zero(partition)),
            expected,
            "{partition:?} {kind} {literal}"
        );
    }
    let bounds = |low: f64, high: f64| Statistics {
        rows: 1,
        columns: [(
            3,
            ColumnStatistics {
                lower: Some(low.to_le_bytes().into()),
                upper: Some(high.to_le_bytes().into()),
                ..Default::default()
            },
        )]
        .into(),
    };
    assert!(!metrics::may_match(&test("gt", "d", "0.0"), &bounds(-1.0, -0.0)));
    assert!(metrics::may_match(&test("gt-eq", "d", "0.0"), &bounds(-1.0, -0.0)));
    assert!(metrics::may_match(&test("eq", "d", "0.0"), &bounds(-0.0, -0.0)));
    assert!(!metrics::may_match(&test("lt", "d", "-0.0"), &bounds(0.0, 1.0)));
}

#[test]
fn uuid_is_excluded_only_if_it_is_outside_of_the_bounds_in_both_orders() {
    const HIGH: u128 = 1 << 127;
    let bounds = |low: u128, high: u128| {
        let uuids = ColumnStatistics {
            lower: Some(low.to_be_bytes().into()),
            upper: Some(high.to_be_bytes().into()),
            ..Default::default()
        };
        Statistics { rows: 1, columns: [(10, uuids)].into() }
    };
    let equal = |value: u128| test("eq", "u", &format!("\"{}\"", uuid::Uuid::from_u128(value)));
    // Below the bounds in one order, and above them in the other.
    assert!(!metrics::may_match(&equal(5), &bounds(HIGH, HIGH)));
    assert!(metrics::may_match(&equal(HIGH), &bounds(HIGH, HIGH)));
    // Between the bounds in one of the orders.
    assert!(metrics::may_match(&equal(HIGH), &bounds(5, HIGH | 5)));
    assert!(metrics::may_match(&equal(HIGH | 7), &bounds(HIGH | 5, 5)));
    assert!(!metrics::may_match(&equal(4), &bounds(5, 6)));
}

#[test]
fn term_with_the_function_of_a_partition_field_is_decided_by_it() {
    let filter = parse(r#"{"type":"eq","term":{"type":"transform","transform":"bucket[16]","term":"i"},"value":3}"#);
    assert_eq!(matches(&filter, 1, Transform::Bucket(16), Some(Value::Int(3))), ALL);
    assert_eq!(matches(&filter, 1, Transform::Bucket(16), Some(Value::Int(4))), DROP);
    assert_eq!(matches(&filter, 1, Transform::Bucket(8), Some(Value::Int(4))), KEEP);
    assert_eq!(matches(&filter, 1, Transform::Identity, Some(Value::Int(4))), KEEP);
}

#[test]
fn prefix_is_compared_with_truncated_text_of_its_length_in_characters() {
    for (prefix, partition, expected) in [
        ("é", "éa", ALL),
        ("é", "aé", DROP),
        ("éa", "éa", ALL),
        ("éa", "é", DROP),
        ("éab", "éa", KEEP),
        ("éab", "éb", DROP),
    ] {
        let filter = test("starts-with", "s", &format!("\"{prefix}\""));
        let partition = Some(Value::String(partition.into()));
        assert_eq!(matches(&filter, 4, Transform::Truncate(2), partition), expected, "{prefix}");
    }
}

#[test]
fn null_partition_leaves_a_negated_test_to_the_client() {
    let filter = test("not-eq", "i", "5");
    assert_eq!(matches(&filter, 1, Transform::Identity, None), KEEP);
    assert_eq!(matches(&test("eq", "i", "5"), 1, Transform::Identity, None), DROP);
}

#[test]
fn partition_field_that_cannot_be_evaluated_excludes_nothing() {
    let filter = test("eq", "i", "5");
    let multiple =
        r#"{"spec-id":1,"fields":[{"source-ids":[1,2],"field-id":1000,"name":"p","transform":"bucket[4]"}]}"#;
    for spec in [
        spec(&[(1, Transform::Void)]),
        spec(&[(1, Transform::Unknown("zorder".to_owned()))]),
        spec(&[(99, Transform::Identity)]),
        PartitionSpec::parse(multiple).unwrap(),
    ] {
        let (inclusive, strict) = projections(&filter, &spec);
        for value in [None, Some(Value::Int(1))] {
            assert!(inclusive.matches(std::slice::from_ref(&value)) && !strict.matches(&[value]), "{}", spec.json());
        }
        assert!(inclusive.may_match_summaries(&[]));
    }
}

fn statistics(rows: i64, column: ColumnStatistics) -> Statistics {
    Statistics { rows, columns: [(1, column)].into() }
}

#[test]
fn value_count_other_than_the_rows_leaves_null_tests_undecided() {
    // As of a column in a list, or of a writer that does not count nulls.
    let nulls = |values, nulls| ColumnStatistics { values: Some(values), nulls: Some(nulls), ..Default::default() };
    let (is_null, not_null) = (parse(r#"{"type":"is-null","term":"i"}"#), parse(r#"{"type":"not-null","term":"i"}"#));
    for (column, null, value) in [
        (nulls(10, 0), false, true),
        (nulls(10, 10), true, false),
        (nulls(10, 4), true, true),
        (nulls(5, 5), true, true),
        (nulls(20, 0), true, true),
        (ColumnStatistics::default(), true, true),
    ] {
        let file = statistics(10, column.clone());
        assert_eq!(metrics::may_match(&is_null, &file), null, "{column:?}");
        assert_eq!(metrics::may_match(&not_null, &file), value, "{column:?}");
    }
}

#[test]
fn empty_file_is_excluded_and_unknown_row_count_is_not() {
    assert!(!metrics::may_match(&Bound::True, &statistics(0, ColumnStatistics::default())));
    assert!(metrics::may_match(&Bound::True, &statistics(-1, ColumnStatistics::default())));
    assert!(!metrics::may_match(&Bound::False, &statistics(1, ColumnStatistics::default())));
}

#[test]
fn bounds_exclude_values_outside_also_of_long_lists() {
    let bounds = |low: i32, high: i32| ColumnStatistics {
        lower: Some(low.to_le_bytes().into()),
        upper: Some(high.to_le_bytes().into()),
        ..Default::default()
    };
    let file = statistics(10, bounds(1000, 2000));
    let list = |range: std::ops::Range<i32>| {
        let values: Vec<String> = range.map(|n| n.to_string()).collect();
        parse(&format!(r#"{{"type":"in","term":"i","values":[{}]}}"#, values.join(",")))
    };
    assert!(!metrics::may_match(&list(0..150), &file));
    assert!(!metrics::may_match(&list(0..999), &file));
    assert!(metrics::may_match(&list(0..1001), &file));
    assert!(!metrics::may_match(&test("lt", "i", "1000"), &file));
    assert!(metrics::may_match(&test("lt-eq", "i", "1000"), &file));
    assert!(!metrics::may_match(&test("gt", "i", "2000"), &file));
    assert!(metrics::may_match(&test("not-eq", "i", "1000"), &statistics(10, bounds(1000, 1000))));
    let known = ColumnStatistics { values: Some(10), nulls: Some(0), ..bounds(1000, 1000) };
    assert!(!metrics::may_match(&test("not-eq", "i", "1000"), &statistics(10, known)));
}

fn json(bound: &Bound) -> String {
    let mut out = Vec::new();
    write_json(bound, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn residual_json_has_the_older_form_and_the_callers_names() {
    for (text, expected) in [
        ("true", "true"),
        (r#"{"type":"is-null","term":"i"}"#, r#"{"type":"is-null","term":"i"}"#),
        (r#"{"type":"eq","term":"dt","value":1}"#, r#"{"type":"eq","term":"dt","value":"1970-01-02"}"#),
        (r#"{"type":"lt","term":"d","value":3}"#, r#"{"type":"lt","term":"d","value":3.0}"#),
        (r#"{"type":"gt","term":"dec","value":"1.50"}"#, r#"{"type":"gt","term":"dec","value":"1.50"}"#),
        (r#"{"type":"eq","term":"bin","value":"0a"}"#, r#"{"type":"eq","term":"bin","value":"0A"}"#),
        (r#"{"type":"in","term":"i","values":[2,1]}"#, r#"{"type":"in","term":"i","values":[1,2]}"#),
        (
            r#"{"type":"eq","term":{"type":"transform","transform":"day","term":"ts"},"value":"1970-01-02"}"#,
            r#"{"type":"eq","term":{"type":"transform","transform":"day","term":"ts"},"value":"1970-01-02"}"#,
        ),
        (
            r#"{"type":"not","child":{"type":"or","left":{"type":"lt","term":"i","value":1},"right":
                {"type":"starts-with","term":"s","value":"a"}}}"#,
            r#"{"type":"and","left":{"type":"gt-eq","term":"i","value":1},"right":{"type":"not-starts-with","term":"s","value":"a"}}"#,
        ),
    ] {
        assert_eq!(json(&parse(text)), expected);
    }
    let schema = schema();
    let insensitive = Expression::parse(r#"{"type":"is-null","term":"DT"}"#).unwrap();
    assert_eq!(
        json(&bind(&insensitive, &schema.index().unwrap(), false).unwrap()),
        r#"{"type":"is-null","term":"DT"}"#
    );
}

#[test]
fn long_residual_is_nested_by_the_logarithm_of_its_length_only() {
    let parts = (0..1000).map(|n| test("not-eq", "i", &n.to_string()));
    let text = json(&Bound::and(parts));
    let depth = text.bytes().scan(0, |depth, byte| {
        *depth += i32::from(byte == b'{') - i32::from(byte == b'}');
        Some(*depth)
    });
    assert_eq!(depth.max(), Some(11));
    assert_eq!(parse(&text), parse(&json(&parse(&text))));
}

#[test]
fn residual_drops_the_tests_that_the_partition_decides() {
    let schema = schema();
    let schema = schema.index().unwrap();
    let filter = Bound::and([test("gt-eq", "dt", r#""2026-01-01""#), test("eq", "i", "1")]);
    let residuals = Residuals::new(&filter, &spec(&[(5, Transform::Month)]), &schema);
    let of = |month| json(&residuals.of(&[Some(Value::Int(month))]));
    assert_eq!(of(671), "false");
    assert_eq!(of(672), json(&test("eq", "i", "1")).as_str());
    assert_eq!(residuals.of(&[None]), Bound::False);
}

struct File {
    partition: Vec<Option<Value>>,
    statistics: Statistics,
}

impl File {
    fn content(&self, content: Content) -> ContentFile<'_> {
        ContentFile {
            content,
            path: "s3://b/\"a\".parquet",
            format: "PARQUET",
            spec_id: 1,
            partition: &self.partition,
            record_count: 10,
            file_size_bytes: 1000,
            key_metadata: None,
            split_offsets: None,
            sort_order_id: None,
            first_row_id: None,
            content_offset: None,
            content_size_bytes: None,
            referenced_data_file: None,
            equality_ids: &[],
            statistics: &self.statistics,
        }
    }
}

fn written(write: impl FnOnce(&mut Vec<u8>) -> Result<(), NotWritable>) -> String {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    serde_json::from_str::<serde_json::Value>(&text).unwrap();
    text
}

#[test]
fn partition_of_a_dropped_column_keeps_the_type_that_does_not_depend_on_the_column() {
    const GONE: i32 = 999;
    let of_gone = [
        (GONE, Transform::Bucket(3)),
        (GONE, Transform::Year),
        (GONE, Transform::Month),
        (GONE, Transform::Day),
        (GONE, Transform::Hour),
        (GONE, Transform::Identity),
        (GONE, Transform::Truncate(3)),
        (GONE, Transform::Void),
        (5, Transform::Identity),
    ];
    let (schema, spec) = (schema(), spec(&of_gone));
    let int = Some(ValueType::Int);
    let date = Some(ValueType::Date);
    let expected = [int, int, int, date, int, None, None, None, date];
    assert_eq!(client_types(&spec, &schema.index().unwrap()), expected);
    assert_eq!(field_types(&spec, &schema.index().unwrap())[..8], [None; 8]);
}

#[test]
fn task_has_the_form_that_clients_read() {
    let column = ColumnStatistics {
        size: Some(7),
        values: Some(10),
        nulls: Some(0),
        nans: None,
        lower: Some(vec![0x0a, 0xff]),
        upper: None,
    };
    let file = File { partition: vec![Some(Value::Date(1)), None], statistics: statistics(10, column) };
    let types = field_types(&spec(&[(5, Transform::Identity), (1, Transform::Void)]), &schema().index().unwrap());
    let plain = file.content(Content::Data);
    let common = r#""content":"data","file-path":"s3://b/\"a\".parquet","file-format":"parquet","spec-id":1,"partition":["1970-01-02",null],"file-size-in-bytes":1000,"record-count":10"#;
    assert_eq!(
        written(|out| write_task(&plain, &types, &[], &[], b"true", out)),
        format!(r#"{{"data-file":{{{common}}},"residual-filter":true}}"#)
    );
    let full = ContentFile {
        key_metadata: Some(&[0xab]),
        split_offsets: Some(&[4, 100]),
        sort_order_id: Some(2),
        first_row_id: Some(50),
        ..plain
    };
    let rest = r#","key-metadata":"AB","split-offsets":[4,100],"sort-order-id":2,"first-row-id":50,"column-sizes":{"keys":[1],"values":[7]},"value-counts":{"keys":[1],"values":[10]},"null-value-counts":{"keys":[1],"values":[0]},"lower-bounds":{"keys":[1],"values":["0AFF"]}"#;
    assert_eq!(
        written(|out| write_task(&full, &types, &[9, 1], &[0, 3], b"false", out)),
        format!(r#"{{"data-file":{{{common}{rest}}},"delete-file-references":[0,3],"residual-filter":false}}"#)
    );
}

#[test]
fn delete_files_have_the_form_that_clients_read() {
    let file = File { partition: Vec::new(), statistics: Statistics::default() };
    let common = |content| {
        format!(
            r#"{{"content":"{content}","file-path":"s3://b/\"a\".parquet","file-format":"parquet","spec-id":1,"partition":[],"file-size-in-bytes":1000,"record-count":10"#
        )
    };
    let vector = ContentFile {
        content_offset: Some(4),
        content_size_bytes: Some(40),
        referenced_data_file: Some("d"),
        ..file.content(Content::PositionDeletes)
    };
    let expected = r#","content-offset":4,"content-size-in-bytes":40,"referenced-data-file":"d"}"#;
    let text = written(|out| write_delete_file(&vector, &[], out));
    assert_eq!(text, common("position-deletes") + expected);
    let equality = ContentFile { equality_ids: &[1, 2], ..file.content(Content::EqualityDeletes) };
    let text = written(|out| write_delete_file(&equality, &[], out));
    assert_eq!(text, common("equality-deletes") + r#","equality-ids":[1,2]}"#);
}

#[test]
fn file_whose_partition_cannot_be_written_leaves_no_text() {
    let file = File { partition: vec![Some(Value::Double(f64::NAN))], statistics: Statistics::default() };
    let mut out = b"before".to_vec();
    let task = file.content(Content::Data);
    let result = write_task(&task, &[Some(ValueType::Double)], &[], &[], b"true", &mut out);
    assert_eq!((result, out.as_slice()), (Err(NotWritable::Nan), b"before".as_slice()));
    assert_eq!(write_delete_file(&task, &[], &mut out), Err(NotWritable::Mismatch));
    assert_eq!(out, b"before");
}
