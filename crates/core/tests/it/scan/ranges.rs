//! Which snapshots and which schema a scan reads.

use tidewater_core::document::TableMetadata;
use tidewater_core::scan::range::{RangeError, SourceSnapshots, resolve};
use tidewater_core::scan::request::SnapshotRange;

/// Returns a table whose snapshots have these ids, parents and operations.
fn table(snapshots: &[(i64, Option<i64>, &str)]) -> TableMetadata {
    let snapshots: Vec<String> = snapshots
        .iter()
        .map(|(id, parent, operation)| {
            let parent = parent.map_or(String::new(), |id| format!(r#""parent-snapshot-id":{id},"#));
            format!(
                r#"{{"snapshot-id":{id},{parent}"sequence-number":{id},"timestamp-ms":1602638573590,"manifest-list":"m{id}",
                "schema-id":{},"summary":{{"operation":"{operation}"}}}}"#,
                id % 2
            )
        })
        .collect();
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/documents/v2-minimal.json")).unwrap();
    let text = text
        .replace(
            r#""schemas": ["#,
            r#""schemas": [{"type":"struct","schema-id":1,"fields":[{"id":1,"name":"y","required":true,"type":"long"}]},"#,
        )
        .replace(r#""last-sequence-number": 0"#, r#""last-sequence-number": 100"#)
        .replace(
            r#""current-snapshot-id": null"#,
            &format!(r#""current-snapshot-id": 5, "snapshots": [{}]"#, snapshots.join(",")),
        );
    TableMetadata::parse(text.as_bytes()).unwrap()
}

fn line() -> TableMetadata {
    table(&[
        (1, None, "append"),
        (2, Some(1), "append"),
        (3, Some(2), "overwrite"),
        (4, Some(3), "append"),
        (5, Some(4), "append"),
        (9, Some(2), "append"),
    ])
}

fn appended(table: &TableMetadata, after: i64, until: i64) -> Result<Vec<i64>, RangeError> {
    let source = resolve(SnapshotRange::Appended { after, until }, false, table)?;
    match source.snapshots {
        SourceSnapshots::Appended(snapshots) => Ok(snapshots.iter().map(|snapshot| snapshot.id).collect()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn incremental_scan_reads_the_appends_after_its_start() {
    let table = line();
    assert_eq!(appended(&table, 1, 5), Ok(vec![5, 4, 2]));
    assert_eq!(appended(&table, 2, 3), Ok(vec![]));
    assert_eq!(appended(&table, 1, 9), Ok(vec![9, 2]));
}

#[test]
fn start_of_an_incremental_scan_may_have_expired() {
    let table = table(&[(4, Some(3), "append"), (5, Some(4), "append")]);
    assert_eq!(appended(&table, 3, 5), Ok(vec![5, 4]));
}

#[test]
fn start_that_is_not_an_ancestor_is_refused() {
    let table = line();
    for (after, until) in [(5, 5), (5, 1), (9, 5), (77, 5)] {
        assert_eq!(appended(&table, after, until), Err(RangeError::NotAnAncestor { after, until }));
    }
    assert_eq!(appended(&table, 1, 77), Err(RangeError::UnknownSnapshot(77)));
}

#[test]
fn circle_of_parents_ends() {
    let table = table(&[(4, Some(5), "append"), (5, Some(4), "append")]);
    assert_eq!(appended(&table, 1, 5), Err(RangeError::NotAnAncestor { after: 1, until: 5 }));
}

#[test]
fn scan_of_a_snapshot_reads_its_schema_only_if_asked() {
    let table = line();
    let read = |range, use_snapshot_schema| {
        let source = resolve(range, use_snapshot_schema, &table).unwrap();
        let id = match source.snapshots {
            SourceSnapshots::At(snapshot) => snapshot.id,
            other => panic!("{other:?}"),
        };
        (id, source.schema.id())
    };
    assert_eq!(read(SnapshotRange::Current, false), (5, 0));
    assert_eq!(read(SnapshotRange::At(3), false), (3, 0));
    assert_eq!(read(SnapshotRange::At(3), true), (3, 1));
    let unknown = resolve(SnapshotRange::At(6), false, &table).unwrap_err();
    assert_eq!(unknown, RangeError::UnknownSnapshot(6));
}

#[test]
fn table_without_snapshot_has_an_empty_scan() {
    let text = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/documents/v2-minimal.json")).unwrap();
    let table = TableMetadata::parse(&text).unwrap();
    let source = resolve(SnapshotRange::Current, true, &table).unwrap();
    assert!(matches!(source.snapshots, SourceSnapshots::Empty));
}
