//! Measures the reading of a manifest: entries per second, bytes per entry in memory, and the time of a test of all entries.
//!
//! `cargo run --release -p tidewater-manifests --example speed -- [ENTRIES] [COLUMNS] [CODEC]`
//!
//! The manifest is like one of a table with integer columns: bounds, counts and sizes for each, paths of 100 bytes, and a
//! partition for each thousandth of the entries. CODEC is `null`, `deflate` (as Java writes) or `zstandard`.

#![allow(clippy::print_stdout, reason = "its output are its figures")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, Instant};

use tidewater_core::scan::statistics::FileStatistics;
use tidewater_core::stop::Stop;
use tidewater_manifests::{Limits, Manifest, ManifestFile, Status};

/// How often each measurement runs. The fastest counts.
const RUNS: usize = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let entries: u32 = arguments.next().map_or(Ok(200_000), |text| text.parse())?;
    let columns: i32 = arguments.next().map_or(Ok(10), |text| text.parse())?;
    let codec = arguments.next().unwrap_or_else(|| "deflate".to_owned());
    let bytes = write_manifest(entries, columns, &codec)?;
    let limits = Limits { unpacked_bytes: 4 << 30, ..Limits::default() };
    let mut manifest = Manifest::parse(&bytes, &limits, Stop::NEVER)?;
    let parse = fastest(|| -> Result<(), Box<dyn std::error::Error>> {
        manifest = Manifest::parse(&bytes, &limits, Stop::NEVER)?;
        Ok(())
    })?;
    println!(
        "{entries} entries, {columns} columns, {codec}: a file of {} bytes an entry",
        bytes.len() / entries as usize
    );
    println!("parse: {parse:?}, {:.0} entries/s", f64::from(entries) / parse.as_secs_f64());
    println!("memory: {:.1} bytes an entry", manifest.size_bytes() as f64 / f64::from(entries));
    println!("partitions: {}", manifest.partition_count());
    let file = ManifestFile { sequence_number: 1, ..ManifestFile::default() };
    let mut kept = 0;
    let test = fastest(|| -> Result<(), Box<dyn std::error::Error>> {
        kept = count_matching(&manifest, &file)?;
        Ok(())
    })?;
    println!("test of two columns: {test:?}, {kept} entries kept");
    Ok(())
}

fn fastest<E>(mut run: impl FnMut() -> Result<(), E>) -> Result<Duration, E> {
    let mut fastest = Duration::MAX;
    for _ in 0..RUNS {
        let begin = Instant::now();
        run()?;
        fastest = fastest.min(begin.elapsed());
    }
    Ok(fastest)
}

/// Counts the live entries that may have a row with both `c1 = 500000` and `c2 > 10`.
fn count_matching(manifest: &Manifest, file: &ManifestFile) -> Result<usize, Box<dyn std::error::Error>> {
    let entries = manifest.entries(file)?;
    let int = |bound: Option<&[u8]>| bound.and_then(|bound| bound.try_into().ok()).map(i32::from_le_bytes);
    let may_match = |entry: &tidewater_manifests::Entry<'_>| {
        entry.status() != Status::Deleted
            && int(entry.lower_bound(1)).is_none_or(|lower| lower <= 500_000)
            && int(entry.upper_bound(1)).is_none_or(|upper| upper >= 500_000)
            && int(entry.upper_bound(2)).is_none_or(|upper| upper > 10)
            && entry.null_value_count(2).is_none_or(|nulls| nulls < entry.record_count())
    };
    Ok(entries.iter().filter(may_match).count())
}

const SCHEMA: &str = r#"{"type":"record","name":"manifest_entry","fields":[
{"name":"status","type":"int","field-id":0},
{"name":"snapshot_id","type":["null","long"],"field-id":1},
{"name":"sequence_number","type":["null","long"],"field-id":3},
{"name":"file_sequence_number","type":["null","long"],"field-id":4},
{"name":"data_file","field-id":2,"type":{"type":"record","name":"r2","fields":[
{"name":"content","type":"int","field-id":134},
{"name":"file_path","type":"string","field-id":100},
{"name":"file_format","type":"string","field-id":101},
{"name":"partition","field-id":102,"type":{"type":"record","name":"r102","fields":[
 {"name":"day","type":["null",{"type":"int","logicalType":"date"}],"field-id":1000}]}},
{"name":"record_count","type":"long","field-id":103},
{"name":"file_size_in_bytes","type":"long","field-id":104},
COUNTS(column_sizes,108) COUNTS(value_counts,109) COUNTS(null_value_counts,110) COUNTS(nan_value_counts,137)
BOUNDS(lower_bounds,125) BOUNDS(upper_bounds,128)
{"name":"key_metadata","type":["null","bytes"],"field-id":131},
{"name":"split_offsets","type":["null",{"type":"array","items":"long","element-id":133}],"field-id":132},
{"name":"equality_ids","type":["null",{"type":"array","items":"int","element-id":136}],"field-id":135},
{"name":"sort_order_id","type":["null","int"],"field-id":140}]}}]}"#;

/// Returns the schema with its maps written out.
fn schema() -> String {
    let mut schema = SCHEMA.to_owned();
    for (kind, value) in [("COUNTS", "long"), ("BOUNDS", "bytes")] {
        while let Some(begin) = schema.find(kind) {
            let end = begin + schema[begin..].find(')').unwrap_or_default();
            let (name, id) = schema[begin + kind.len() + 1..end].split_once(',').unwrap_or_default();
            let map = format!(
                r#"{{"name":"{name}","field-id":{id},"type":["null",{{"type":"array","logicalType":"map","items":
                {{"type":"record","name":"k{id}","fields":[{{"name":"key","type":"int"}},{{"name":"value","type":"{value}"}}]}}}}]}},"#
            );
            schema.replace_range(begin..=end, &map);
        }
    }
    schema
}

/// Appends an Avro `long`.
fn long(to: &mut Vec<u8>, number: i64) {
    let mut left = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while left >= 0x80 {
        to.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    to.push(left as u8);
}

/// Appends Avro `bytes`.
fn bytes(to: &mut Vec<u8>, value: &[u8]) {
    long(to, value.len() as i64);
    to.extend_from_slice(value);
}

/// Appends a present list of pairs.
fn pairs(to: &mut Vec<u8>, columns: i32, mut value: impl FnMut(&mut Vec<u8>, i32)) {
    long(to, 1);
    if columns > 0 {
        long(to, i64::from(columns));
        for id in 1..=columns {
            long(to, i64::from(id));
            value(to, id);
        }
    }
    long(to, 0);
}

/// Writes a manifest, with blocks of 64 KiB as Java's.
fn write_manifest(entries: u32, columns: i32, codec: &str) -> std::io::Result<Vec<u8>> {
    let mut file = b"Obj\x01".to_vec();
    let spec = r#"[{"name":"day","transform":"identity","source-id":1,"field-id":1000}]"#;
    let metadata = [
        ("avro.schema", schema()),
        ("avro.codec", codec.to_owned()),
        ("partition-spec", spec.to_owned()),
        ("partition-spec-id", "0".to_owned()),
        ("format-version", "2".to_owned()),
        ("content", "data".to_owned()),
    ];
    long(&mut file, metadata.len() as i64);
    for (key, value) in metadata {
        bytes(&mut file, key.as_bytes());
        bytes(&mut file, value.as_bytes());
    }
    long(&mut file, 0);
    file.extend_from_slice(&[7; 16]);
    let (mut block, mut count, mut random) = (Vec::new(), 0, Random(1));
    for row in 0..entries {
        write_entry(&mut block, row, entries, columns, &mut random);
        count += 1;
        if block.len() > 64 << 10 || row + 1 == entries {
            let packed = pack(&block, codec)?;
            long(&mut file, count);
            bytes(&mut file, &packed);
            file.extend_from_slice(&[7; 16]);
            block.clear();
            count = 0;
        }
    }
    Ok(file)
}

fn pack(block: &[u8], codec: &str) -> std::io::Result<Vec<u8>> {
    match codec {
        "deflate" => {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(block)?;
            encoder.finish()
        }
        "zstandard" => zstd::encode_all(block, 3),
        _ => Ok(block.to_vec()),
    }
}

fn write_entry(to: &mut Vec<u8>, row: u32, entries: u32, columns: i32, random: &mut Random) {
    long(to, 1);
    long(to, 1);
    long(to, 4_711_081_512);
    long(to, 0);
    long(to, 0);
    long(to, 0);
    let mut path = "s3://lake/warehouse/sales.db/orders/data/".to_owned();
    let id = [random.next(), random.next()];
    let _ = write!(path, "00{:03}-7-{:016x}{:016x}abcd-00001.parquet", row % 200, id[0], id[1]);
    bytes(to, path.as_bytes());
    bytes(to, b"PARQUET");
    long(to, 1);
    long(to, i64::from(row / (entries / 1_000).max(1)) + 19_000);
    let rows = 90_000 + random.below(20_000);
    long(to, rows);
    long(to, 100_000_000 + random.below(30_000_000));
    pairs(to, columns, |to, _| long(to, 1_000_000 + random.below(60_000)));
    pairs(to, columns, |to, _| long(to, rows));
    pairs(to, columns, |to, id| long(to, if id == 2 { random.below(200) } else { 0 }));
    pairs(to, 0, |_, _| {});
    let mut lower = Vec::new();
    pairs(to, columns, |to, _| {
        lower.push(random.below(1_000_000) as i32);
        bytes(to, &lower[lower.len() - 1].to_le_bytes());
    });
    pairs(to, columns, |to, id| {
        bytes(to, &(lower[id as usize - 1] + 1 + random.below(100_000) as i32).to_le_bytes());
    });
    long(to, 0);
    long(to, 1);
    long(to, 1);
    long(to, 4);
    long(to, 0);
    long(to, 0);
    long(to, 1);
    long(to, 0);
}

/// Numbers that look random (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u32) -> i64 {
        (self.next() % u64::from(limit)) as i64
    }
}
