//! Files beyond a limit, and files that break the specification.

use tidewater_core::stop::Stop;
use tidewater_manifests::{AvroError, Limits, Manifest, ManifestError, ManifestList};

use crate::support::{Row, UNPARTITIONED, manifest, parse, parse_list};

fn many(count: i32) -> Vec<Row> {
    (0..count)
        .map(|row| Row { value_counts: Some(vec![(row, 1)]), ..Row::added(&format!("s3://b/{row}.parquet")) })
        .collect()
}

fn with_limits(bytes: &[u8], limits: Limits) -> ManifestError {
    Manifest::parse(bytes, &limits, Stop::NEVER).unwrap_err()
}

#[test]
fn manifest_beyond_each_limit_is_refused_with_the_limit() {
    let bytes = manifest("", UNPARTITIONED, &many(50));
    assert!(parse(&bytes).is_ok());
    let all = Limits::default();
    let refused = with_limits(&bytes, Limits { entries: 49, ..all });
    assert!(matches!(refused, ManifestError::TooManyEntries(49)) && refused.to_string().contains("49"), "{refused}");
    let refused = with_limits(&bytes, Limits { columns: 49, ..all });
    assert!(matches!(refused, ManifestError::TooManyColumns(49)), "{refused}");
    let refused = with_limits(&bytes, Limits { unpacked_bytes: 500, ..all });
    assert!(matches!(refused, ManifestError::Avro(AvroError::TooLarge(500))), "{refused}");
    let refused = with_limits(&bytes, Limits { depth: 3, ..all });
    assert!(matches!(refused, ManifestError::Avro(AvroError::Schema(_))), "{refused}");
    assert!(Manifest::parse(&bytes, &Limits { entries: 50, columns: 50, ..all }, Stop::NEVER).is_ok());
}

#[test]
fn partitions_and_lists_that_take_much_more_memory_than_their_bytes_are_refused() {
    let names: Vec<String> = (0..500).map(|number| format!("p{number}")).collect();
    let fields: Vec<_> = names.iter().map(|name| format!(r#"{{"name":"{name}","type":["null","int"]}}"#)).collect();
    let spec: Vec<_> =
        names.iter().map(|name| format!(r#"{{"name":"{name}","transform":"identity","source-id":1}}"#)).collect();
    let row = |row: usize| {
        let value = |position| crate::support::optional((position == row).then_some(apache_avro::types::Value::Int(1)));
        let partition = names.iter().enumerate().map(|(position, name)| (name.clone(), value(position))).collect();
        Row { partition, ..Row::added("a") }
    };
    let rows: Vec<_> = (0..200).map(row).collect();
    let spec = format!("[{}]", spec.join(","));
    let bytes = manifest(&fields.join(","), &[("partition-spec", &*spec)], &rows);
    assert!(parse(&bytes).is_ok());
    let refused = with_limits(&bytes, Limits { unpacked_bytes: 1 << 20, ..Limits::default() });
    assert!(matches!(refused, ManifestError::TooMuchMemory { limit_bytes: 1_048_576, .. }), "{refused}");
}

#[test]
fn partition_spec_with_more_fields_than_a_table_has_is_refused() {
    let spec = |fields: usize| {
        let field = |n: usize| format!(r#"{{"name":"p{n}","transform":"void","source-id":1,"field-id":{}}}"#, 1000 + n);
        format!("[{}]", (0..fields).map(field).collect::<Vec<_>>().join(","))
    };
    let read = |fields| parse(&manifest("", &[("partition-spec", &*spec(fields))], &[]));
    assert_eq!(read(1_000).unwrap().partition_columns().len(), 1_000);
    let refused = read(1_001).unwrap_err();
    assert!(matches!(&refused, ManifestError::PartitionSpec(why) if why.contains("1000")), "{refused}");
}

#[test]
fn stopped_work_ends_with_an_error() {
    let bytes = manifest("", UNPARTITIONED, &many(2));
    let stopped = Manifest::parse(&bytes, &Limits::default(), Stop::when(&|| true));
    assert!(matches!(stopped, Err(ManifestError::Stopped(_))));
    assert!(matches!(parse_list(&bytes), Err(ManifestError::Missing("manifest_path"))), "a manifest is no list");
}

#[test]
fn encrypted_file_is_refused() {
    for refused in [parse(b"AGS1\0\0\x10\0more").err(), parse_list(b"AGS1\0\0\x10\0more").err()] {
        assert!(matches!(refused, Some(ManifestError::Encrypted)), "{refused:?}");
    }
    assert!(matches!(
        ManifestList::parse(b"", &Limits::default(), Stop::NEVER),
        Err(ManifestError::Avro(AvroError::Malformed(_)))
    ));
}

#[test]
fn values_outside_the_specification_are_refused() {
    let refused = |row: Row| parse(&manifest("", UNPARTITIONED, &[row])).unwrap_err();
    assert!(matches!(refused(Row { status: 3, ..Row::added("a") }), ManifestError::Value { field: "status", .. }));
    let negative = refused(Row { record_count: -1, ..Row::added("a") });
    assert!(matches!(negative, ManifestError::Value { field: "record_count", .. }));
    let no_spec = parse(&manifest("", &[], &[])).unwrap_err();
    assert!(matches!(no_spec, ManifestError::Missing("partition-spec")));
    let v4 = parse(&manifest("", &[("partition-spec", "[]"), ("format-version", "4")], &[])).unwrap_err();
    assert!(matches!(v4, ManifestError::Value { field: "format-version", .. }));
}
