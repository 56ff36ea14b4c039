//! Writes manifests and manifest lists by hand, without any check.

use apache_avro::types::Value;
use apache_avro::{Codec, Schema, Writer};
use tidewater_core::stop::Stop;
use tidewater_manifests::{Limits, Manifest, ManifestError, ManifestList};

/// The fields of a v2 entry before and behind the partition, as Java writes them.
const ENTRY: &str = r#"{"type":"record","name":"manifest_entry","fields":[
{"name":"status","type":"int","field-id":0},
{"name":"snapshot_id","type":["null","long"],"default":null,"field-id":1},
{"name":"sequence_number","type":["null","long"],"default":null,"field-id":3},
{"name":"file_sequence_number","type":["null","long"],"default":null,"field-id":4},
{"name":"data_file","field-id":2,"type":{"type":"record","name":"r2","fields":[
{"name":"content","type":"int","field-id":134},
{"name":"file_path","type":"string","field-id":100},
{"name":"file_format","type":"string","field-id":101},
{"name":"partition","field-id":102,"type":{"type":"record","name":"r102","fields":[PARTITION]}},
{"name":"record_count","type":"long","field-id":103},
{"name":"file_size_in_bytes","type":"long","field-id":104},
{"name":"value_counts","field-id":109,"type":["null",{"type":"array","logicalType":"map","items":{"type":"record",
 "name":"k119_v120","fields":[{"name":"key","type":"int","field-id":119},{"name":"value","type":"long","field-id":120}]}}]},
{"name":"lower_bounds","field-id":125,"type":["null",{"type":"array","logicalType":"map","items":{"type":"record",
 "name":"k126_v127","fields":[{"name":"key","type":"int","field-id":126},{"name":"value","type":"bytes","field-id":127}]}}]},
{"name":"split_offsets","type":["null",{"type":"array","items":"long","element-id":133}],"field-id":132},
{"name":"first_row_id","type":["null","long"],"field-id":142}]}}]}"#;

/// An entry to write.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) status: i32,
    pub(crate) snapshot_id: Option<i64>,
    pub(crate) sequence_number: Option<i64>,
    pub(crate) path: String,
    pub(crate) partition: Vec<(String, Value)>,
    pub(crate) record_count: i64,
    pub(crate) value_counts: Option<Vec<(i32, i64)>>,
    pub(crate) lower_bounds: Option<Vec<(i32, Vec<u8>)>>,
    pub(crate) split_offsets: Option<Vec<i64>>,
    pub(crate) first_row_id: Option<i64>,
}

impl Row {
    pub(crate) fn added(path: &str) -> Self {
        Self {
            status: 1,
            snapshot_id: None,
            sequence_number: None,
            path: path.to_owned(),
            partition: Vec::new(),
            record_count: 10,
            value_counts: None,
            lower_bounds: None,
            split_offsets: None,
            first_row_id: None,
        }
    }

    fn record(&self) -> Value {
        let file = Value::Record(vec![
            ("content".into(), Value::Int(0)),
            ("file_path".into(), Value::String(self.path.clone())),
            ("file_format".into(), Value::String("PARQUET".into())),
            ("partition".into(), Value::Record(self.partition.clone())),
            ("record_count".into(), Value::Long(self.record_count)),
            ("file_size_in_bytes".into(), Value::Long(1_000)),
            (
                "value_counts".into(),
                optional(self.value_counts.as_ref().map(|counts| pairs(counts, |n| Value::Long(*n)))),
            ),
            (
                "lower_bounds".into(),
                optional(self.lower_bounds.as_ref().map(|of| pairs(of, |n| Value::Bytes(n.clone())))),
            ),
            (
                "split_offsets".into(),
                optional(
                    self.split_offsets.as_ref().map(|of| Value::Array(of.iter().map(|n| Value::Long(*n)).collect())),
                ),
            ),
            ("first_row_id".into(), optional(self.first_row_id.map(Value::Long))),
        ]);
        Value::Record(vec![
            ("status".into(), Value::Int(self.status)),
            ("snapshot_id".into(), optional(self.snapshot_id.map(Value::Long))),
            ("sequence_number".into(), optional(self.sequence_number.map(Value::Long))),
            ("file_sequence_number".into(), optional(self.sequence_number.map(Value::Long))),
            ("data_file".into(), file),
        ])
    }
}

/// Returns a value of a union with null.
pub(crate) fn optional(value: Option<Value>) -> Value {
    value.map_or_else(|| Value::Union(0, Box::new(Value::Null)), |value| Value::Union(1, Box::new(value)))
}

fn pairs<T>(pairs: &[(i32, T)], value: impl Fn(&T) -> Value) -> Value {
    let pair = |(id, of): &(i32, T)| Value::Record(vec![("key".into(), Value::Int(*id)), ("value".into(), value(of))]);
    Value::Array(pairs.iter().map(pair).collect())
}

/// Writes a manifest whose partition records have these fields.
pub(crate) fn manifest(partition: &str, metadata: &[(&str, &str)], rows: &[Row]) -> Vec<u8> {
    manifest_with_codec(Codec::Null, partition, metadata, rows)
}

pub(crate) fn manifest_with_codec(codec: Codec, partition: &str, metadata: &[(&str, &str)], rows: &[Row]) -> Vec<u8> {
    let records = rows.iter().map(Row::record);
    avro(codec, &ENTRY.replace("PARTITION", partition), metadata, records)
}

/// The type of a UUID, as Java writes it.
pub(crate) const FIXED_UUID: &str = r#"{"type":"fixed","size":16,"name":"uuid_fixed","logicalType":"uuid"}"#;

/// A fixed type whose values this module writes with their length before them, as Java does.
pub(crate) const FIXED_WITH_LENGTH: &str = r#"{"type":"fixed","size":5,"name":"with_length"}"#;

/// Writes an Avro file. The schema in the header is the text as it is, with attributes that the writer would leave out.
pub(crate) fn avro(
    codec: Codec,
    schema: &str,
    metadata: &[(&str, &str)],
    records: impl Iterator<Item = Value>,
) -> Vec<u8> {
    // The writer would write a fixed UUID as text.
    let as_written = schema
        .replace(FIXED_UUID, &FIXED_UUID.replace(r#","logicalType":"uuid""#, ""))
        .replace(FIXED_WITH_LENGTH, "\"bytes\"");
    let parsed = Schema::parse_str(&as_written).unwrap();
    let mut blocks = Writer::with_codec(&parsed, Vec::new(), codec);
    for record in records {
        blocks.append(record).unwrap();
    }
    let written = blocks.into_inner().unwrap();
    // The header ends with the marker that the file ends with.
    let sync = &written[written.len() - 16..];
    let end = written.windows(16).position(|window| window == sync).unwrap() + 16;
    let header = [("avro.schema", schema), ("avro.codec", codec.into())];
    let metadata: Vec<_> = header.iter().chain(metadata).collect();
    let mut file = b"Obj\x01".to_vec();
    long(&mut file, metadata.len() as i64);
    for (key, value) in metadata {
        for text in [key, value] {
            long(&mut file, text.len() as i64);
            file.extend_from_slice(text.as_bytes());
        }
    }
    long(&mut file, 0);
    file.extend_from_slice(sync);
    file.extend_from_slice(&written[end..]);
    file
}

/// Appends an Avro `long`.
pub(crate) fn long(to: &mut Vec<u8>, number: i64) {
    let mut left = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while left >= 0x80 {
        to.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    to.push(left as u8);
}

/// The metadata of a manifest of an unpartitioned table.
pub(crate) const UNPARTITIONED: &[(&str, &str)] =
    &[("partition-spec", "[]"), ("partition-spec-id", "0"), ("format-version", "2"), ("content", "data")];

pub(crate) fn parse(bytes: &[u8]) -> Result<Manifest, ManifestError> {
    Manifest::parse(bytes, &Limits::default(), Stop::NEVER)
}

pub(crate) fn parse_list(bytes: &[u8]) -> Result<ManifestList, ManifestError> {
    ManifestList::parse(bytes, &Limits::default(), Stop::NEVER)
}
