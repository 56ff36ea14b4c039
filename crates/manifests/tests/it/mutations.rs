//! Damaged files: reading them never panics, and never takes much more memory than the limits.

use apache_avro::{Codec, DeflateSettings};
use proptest::prelude::*;
use tidewater_core::scan::statistics::FileStatistics;
use tidewater_core::stop::Stop;
use tidewater_manifests::{Limits, Manifest, ManifestFile, ManifestList};

use crate::support::{Row, manifest_with_codec, optional};

/// A limit that some mutations exceed.
const LIMITS: Limits = Limits { unpacked_bytes: 64 << 10, entries: 1_000, columns: 100, depth: 20 };

/// The most memory that a manifest within the limits takes: a number of 8 bytes, its row and its share of a column for each
/// two bytes of the file.
const MAX_MEMORY: usize = 20 * (64 << 10) + 100 * 1_000;

fn sample(codec: Codec) -> Vec<u8> {
    let spec = r#"[{"name":"day","transform":"day","source-id":1,"field-id":1000},{"name":"s","transform":"identity","source-id":2,"field-id":1001}]"#;
    let fields = r#"{"name":"day","type":["null",{"type":"int","logicalType":"date"}],"field-id":1000},
        {"name":"s","type":["null","string"],"field-id":1001}"#;
    let row = |row: i32| Row {
        partition: vec![
            ("day".into(), optional(Some(apache_avro::types::Value::Date(row / 5)))),
            ("s".into(), optional((row % 3 == 0).then(|| apache_avro::types::Value::String(format!("s{row}"))))),
        ],
        snapshot_id: Some(1 << 40),
        value_counts: Some(vec![(1, 10), (2, i64::from(row))]),
        lower_bounds: (row % 4 != 0).then(|| vec![(1, row.to_le_bytes().to_vec()), (2, vec![b'a'; row as usize % 7])]),
        split_offsets: Some(vec![4, 100]),
        ..Row::added(&format!("s3://b/t/data/{row}.parquet"))
    };
    let rows: Vec<_> = (0..40).map(row).collect();
    let metadata = [("partition-spec", spec), ("partition-spec-id", "0"), ("format-version", "2"), ("content", "data")];
    manifest_with_codec(codec, fields, &metadata, &rows)
}

/// A change of a file.
#[derive(Debug, Clone)]
enum Change {
    Set(usize, u8),
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
    Repeat(usize, usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (any::<usize>(), prop::collection::vec(any::<u8>(), 1..12)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (any::<usize>(), 1_usize..40).prop_map(|(at, count)| Change::Remove(at, count)),
        (any::<usize>(), 1_usize..200).prop_map(|(at, count)| Change::Repeat(at, count)),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change, from: usize) {
    let place = |at: usize| from + at % (bytes.len() - from).max(1);
    match change {
        Change::Set(at, byte) => {
            let at = place(*at).min(bytes.len() - 1);
            bytes[at] = *byte;
        }
        Change::Insert(at, more) => {
            let at = place(*at);
            bytes.splice(at..at, more.iter().copied());
        }
        Change::Remove(at, count) => {
            let at = place(*at);
            bytes.drain(at..(at + count).min(bytes.len()));
        }
        Change::Repeat(at, count) => {
            let at = place(*at);
            let part = bytes[at..(at + count).min(bytes.len())].to_vec();
            bytes.splice(at..at, part);
        }
    }
}

/// Reads a file as both kinds, and everything in it.
fn read_all(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(list) = ManifestList::parse(bytes, &LIMITS, Stop::NEVER) {
        prop_assert!(list.size_bytes() <= 4 * MAX_MEMORY);
    }
    let Ok(manifest) = Manifest::parse(bytes, &LIMITS, Stop::NEVER) else { return Ok(()) };
    prop_assert!(manifest.size_bytes() <= MAX_MEMORY, "{} bytes", manifest.size_bytes());
    let Ok(entries) = manifest.entries(&ManifestFile { first_row_id: Some(1), ..ManifestFile::default() }) else {
        return Ok(());
    };
    for entry in entries.iter() {
        prop_assert_eq!(entry.partition().len(), manifest.partition_columns().len());
        let _ = (entry.status(), entry.path().to_string(), entry.format(), entry.first_row_id(), entry.content());
        prop_assert!(entry.split_offsets().is_none_or(|offsets| offsets.count() <= bytes.len() * 1_000));
        for id in manifest.statistics_ids() {
            let _ = (entry.value_count(*id), entry.lower_bound(*id), entry.column_size_bytes(*id));
        }
    }
    Ok(())
}

#[test]
fn sample_itself_is_read() {
    for codec in [Codec::Null, Codec::Deflate(DeflateSettings::default())] {
        let manifest = Manifest::parse(&sample(codec), &LIMITS, Stop::NEVER).unwrap();
        assert_eq!((manifest.len(), manifest.partition_count()), (40, 22));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn damaged_manifest_never_panics(changes in prop::collection::vec(change(), 1..6), whole: bool, deflated: bool) {
        let codec = if deflated { Codec::Deflate(DeflateSettings::default()) } else { Codec::Null };
        let mut bytes = sample(codec);
        // Most changes of the header make the file unreadable, so half of the cases change only the records.
        let from = if whole { 0 } else { bytes.len() - bytes.len().min(1_500) };
        for change in &changes {
            apply(&mut bytes, change, from);
        }
        read_all(&bytes)?;
    }

    #[test]
    fn arbitrary_records_never_panic(block in prop::collection::vec(any::<u8>(), 0..3_000), count in 0_i64..200) {
        let mut bytes = sample(Codec::Null);
        let sync = bytes[bytes.len() - 16..].to_vec();
        let begin = bytes.windows(16).position(|window| window == sync).unwrap_or_default() + 16;
        bytes.truncate(begin);
        crate::support::long(&mut bytes, count);
        crate::support::long(&mut bytes, block.len() as i64);
        bytes.extend_from_slice(&block);
        bytes.extend_from_slice(&sync);
        read_all(&bytes)?;
    }
}
