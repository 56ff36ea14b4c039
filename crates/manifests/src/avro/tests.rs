use std::collections::HashMap;
use std::io::Write;

use apache_avro::types::{Record, Value as AvroValue};
use apache_avro::{Codec as AvroCodec, DeflateSettings, Schema as AvroSchema, Writer, ZstandardSettings};
use flate2::Compression;
use flate2::write::DeflateEncoder;

use super::file::{MAGIC, SYNC_BYTES};
use super::*;

const LIMIT: u64 = 1 << 20;

const SCHEMA: &str = r#"{"type": "record", "name": "a.entry", "fields": [
    {"name": "status", "type": "int"},
    {"name": "kind", "type": {"type": "enum", "name": "kind", "symbols": ["A", "B"]}},
    {"name": "data_file", "type": {"type": "record", "name": "r2", "fields": [
        {"name": "ratio", "type": ["null", "double"]},
        {"name": "sizes", "type": {"type": "array", "items": {"type": "record", "name": "k1_v2", "fields": [
            {"name": "key", "type": "int"}, {"name": "value", "type": "bytes"}]}}},
        {"name": "more", "type": ["null", {"type": "map", "values": "long"}]},
        {"name": "id", "type": {"type": "fixed", "name": "id", "size": 3}},
        {"name": "file_path", "type": {"type": "string", "logicalType": "x"}},
        {"name": "file_format", "type": "string"}]}}]}"#;

fn entry(schema: &AvroSchema, path: &str) -> AvroValue {
    let size =
        AvroValue::Record(vec![("key".into(), AvroValue::Int(7)), ("value".into(), AvroValue::Bytes(vec![0xff; 9]))]);
    let more = HashMap::from([("k".to_owned(), AvroValue::Long(-1))]);
    let file = AvroValue::Record(vec![
        ("ratio".into(), AvroValue::Union(1, Box::new(AvroValue::Double(0.5)))),
        ("sizes".into(), AvroValue::Array(vec![size.clone(), size])),
        ("more".into(), AvroValue::Union(1, Box::new(AvroValue::Map(more)))),
        ("id".into(), AvroValue::Fixed(3, vec![1, 2, 3])),
        ("file_path".into(), AvroValue::String(path.into())),
        ("file_format".into(), AvroValue::String("PARQUET".into())),
    ]);
    let mut record = Record::new(schema).unwrap();
    record.put("status", AvroValue::Int(1));
    record.put("kind", AvroValue::Enum(1, "B".into()));
    record.put("data_file", file);
    record.into()
}

fn file(codec: AvroCodec, paths: &[String]) -> Vec<u8> {
    let schema = AvroSchema::parse_str(SCHEMA).unwrap();
    let mut writer = Writer::with_codec(&schema, Vec::new(), codec);
    for path in paths {
        writer.append(entry(&schema, path)).unwrap();
    }
    writer.into_inner().unwrap()
}

fn codecs() -> [AvroCodec; 4] {
    let zstandard = AvroCodec::Zstandard(ZstandardSettings::default());
    [AvroCodec::Null, AvroCodec::Deflate(DeflateSettings::default()), AvroCodec::Snappy, zstandard]
}

fn paths_in(file: &[u8], limit_bytes: u64) -> Result<Vec<Option<String>>, AvroError> {
    read_texts(file, &["data_file", "file_path"], limit_bytes)
}

#[test]
fn text_of_each_record_is_read_with_every_codec() {
    let paths: Vec<String> = (0..500).map(|number| format!("s3://b/{number}/é.parquet")).collect();
    let expected: Vec<_> = paths.iter().cloned().map(Some).collect();
    for codec in codecs() {
        let file = file(codec, &paths);
        assert_eq!(paths_in(&file, LIMIT).unwrap(), expected, "{codec:?}");
        assert_eq!(read_texts(&file, &["status"], LIMIT).unwrap()[0], None, "no text");
        assert_eq!(read_texts(&file, &["missing"], LIMIT).unwrap()[0], None);
        for end in [3, 10, file.len() / 2, file.len() - 1] {
            assert!(paths_in(&file[..end], LIMIT).is_err(), "{codec:?} cut off at {end}");
        }
    }
}

#[test]
fn file_that_unpacks_to_more_than_the_limit_is_refused() {
    let paths = vec!["x".repeat(1_000); 2_000];
    for codec in codecs() {
        let file = file(codec, &paths);
        assert!(matches!(paths_in(&file, 1 << 20), Err(AvroError::TooLarge(_))), "{codec:?}");
        assert!(paths_in(&file, 4 << 20).is_ok(), "{codec:?}");
    }
}

/// Builds a file of a header and one block, without any check.
fn by_hand(schema: &str, codec: &str, count: i64, block: &[u8]) -> Vec<u8> {
    fn long(number: i64) -> Vec<u8> {
        let mut left = ((number << 1) ^ (number >> 63)).cast_unsigned();
        let mut bytes = Vec::new();
        while left >= 0x80 {
            bytes.push((left & 0x7f) as u8 | 0x80);
            left >>= 7;
        }
        bytes.push(left as u8);
        bytes
    }
    let text = |text: &str| [long(text.len() as i64), text.as_bytes().to_vec()].concat();
    let sync = [9; SYNC_BYTES];
    [
        MAGIC.to_vec(),
        long(2),
        text("avro.schema"),
        text(schema),
        text("avro.codec"),
        text(codec),
        long(0),
        sync.to_vec(),
        long(count),
        long(block.len() as i64),
        block.to_vec(),
        sync.to_vec(),
    ]
    .concat()
}

#[test]
fn decompression_bomb_is_refused_without_being_unpacked() {
    let zeros = vec![0; 1 << 20];
    let mut deflated = DeflateEncoder::new(Vec::new(), Compression::best());
    (0..64).for_each(|_| deflated.write_all(&zeros).unwrap());
    let mut packed = zstd::Encoder::new(Vec::new(), 1).unwrap();
    (0..256).for_each(|_| packed.write_all(&zeros).unwrap());
    // The Snappy block only states its unpacked size: 4 GiB.
    let said = [&[0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0; 100]].concat();
    let schema = r#"{"type":"record","name":"a","fields":[{"name":"data_file","type":"string"}]}"#;
    for (codec, block) in
        [("deflate", deflated.finish().unwrap()), ("zstandard", packed.finish().unwrap()), ("snappy", said)]
    {
        let refused = paths_in(&by_hand(schema, codec, 1, &block), LIMIT);
        assert!(matches!(refused, Err(AvroError::TooLarge(LIMIT))), "{codec}: {refused:?}");
    }
}

#[test]
fn fixed_values_are_read_with_lengths_if_they_fit_and_without_them_otherwise() {
    let schema = r#"{"type":"record","name":"a","fields":[
        {"name":"f","type":{"type":"fixed","name":"f","size":2}},{"name":"x","type":"string"}]}"#;
    let read = |block: &[u8]| read_texts(&by_hand(schema, "null", 2, block), &["x"], LIMIT);
    let expected = [Some("ab".to_owned()), Some(String::new())];
    assert_eq!(read(&[7, 8, 4, b'a', b'b', 9, 9, 0]).unwrap(), expected, "without lengths");
    assert_eq!(read(&[4, 0xff, 0xfe, 4, b'a', b'b', 4, 0xff, 0xff, 0]).unwrap(), expected, "with lengths");
    // Without lengths: [4, 7], "ab\u{4}"; [9, 9], "".
    let fits_both = [4, 7, 8, 4, b'a', b'b', 4, 9, 9, 0];
    assert_eq!(read(&fits_both).unwrap(), expected, "with lengths");
    let other_length = read(&[4, 0xff, 0xfe, 4, b'a', b'b', 2, 0xff, 0]);
    assert!(matches!(other_length, Err(AvroError::Malformed(_))), "{other_length:?}");
}

#[test]
fn false_counts_and_lengths_are_refused() {
    let nothing = r#"{"type":"record","name":"a","fields":[{"name":"x","type":{"type":"array","items":"null"}}]}"#;
    let endless = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f];
    let text = r#"{"type":"record","name":"a","fields":[{"name":"x","type":"string"}]}"#;
    let itself = r#"{"type":"record","name":"a","fields":[{"name":"x","type":"a"}]}"#;
    let laughs: Vec<String> = (0..20)
        .map(|depth| {
            let below = if depth == 19 { r#""null""#.to_owned() } else { format!(r#""a{}""#, depth + 1) };
            let fields = format!(r#"{{"name":"l","type":{below}}},{{"name":"r","type":{below}}}"#);
            format!(r#"{{"name":"f{depth}","type":{{"type":"record","name":"a{depth}","fields":[{fields}]}}}}"#)
        })
        .rev()
        .collect();
    let laughs = format!(r#"{{"type":"record","name":"a","fields":[{}]}}"#, laughs.join(","));
    let empty = r#"{"type":"record","name":"a","fields":[]}"#;
    for (schema, count, block) in [
        (&*laughs, 1, &[0, 0][..]),
        (nothing, 1, &endless[..]),
        (text, 1, &endless[..]),
        (itself, 1, &[0][..]),
        (empty, i64::MAX, &[][..]),
        (text, 2, &[0][..]),
    ] {
        let refused = read_texts(&by_hand(schema, "null", count, block), &["x"], LIMIT);
        assert!(matches!(refused, Err(AvroError::Malformed(_))), "{schema}: {refused:?}");
    }
    let deep = format!("{}\"int\"{}", "[".repeat(100), "]".repeat(100));
    assert!(matches!(read_texts(&by_hand(&deep, "null", 1, &[0]), &["x"], LIMIT), Err(AvroError::Schema(_))));
    assert!(matches!(read_texts(&by_hand(text, "lzma", 1, &[0]), &["x"], LIMIT), Err(AvroError::Codec(_))));
}
