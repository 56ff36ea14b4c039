//! The Avro schemas of manifests and manifest lists, by format version (specification, "Manifest Entry Fields", "Manifest
//! Lists" and "Avro").

use serde_json::{Value, json};
use tidewater_core::scan::value::ValueType;

/// A field of a partition: its id, name and type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartitionType {
    /// The field id.
    pub(crate) field_id: i32,
    /// The name in the spec.
    pub(crate) name: String,
    /// The type of the values.
    pub(crate) value_type: ValueType,
}

fn field(name: &str, id: i32, kind: Value) -> Value {
    json!({ "name": name, "type": kind, "field-id": id })
}

fn optional(name: &str, id: i32, kind: Value) -> Value {
    json!({ "name": name, "type": ["null", kind], "default": null, "field-id": id })
}

fn map(name: &str, id: i32, (key_id, value_id): (i32, i32), value: &str) -> Value {
    let record = json!({
        "type": "record", "name": format!("k{key_id}_v{value_id}"),
        "fields": [field("key", key_id, json!("int")), field("value", value_id, json!(value))],
    });
    optional(name, id, json!({ "type": "array", "items": record, "logicalType": "map" }))
}

fn list(name: &str, id: i32, element_id: i32, element: &str) -> Value {
    optional(name, id, json!({ "type": "array", "items": element, "element-id": element_id }))
}

/// Returns the schema of a manifest's entries.
pub(super) fn manifest(format_version: u8, partition: &[PartitionType]) -> String {
    let mut entry = vec![field("status", 0, json!("int")), optional("snapshot_id", 1, json!("long"))];
    if format_version >= 2 {
        entry.push(optional("sequence_number", 3, json!("long")));
        entry.push(optional("file_sequence_number", 4, json!("long")));
    }
    let file = json!({ "type": "record", "name": "r2", "fields": data_file(format_version, partition) });
    entry.push(field("data_file", 2, file));
    json!({ "type": "record", "name": "manifest_entry", "fields": entry }).to_string()
}

fn data_file(format_version: u8, partition: &[PartitionType]) -> Vec<Value> {
    let partition: Vec<Value> = partition.iter().map(partition_field).collect();
    let mut fields = Vec::new();
    if format_version >= 2 {
        fields.push(field("content", 134, json!("int")));
    }
    fields.extend([
        field("file_path", 100, json!("string")),
        field("file_format", 101, json!("string")),
        field("partition", 102, json!({ "type": "record", "name": "r102", "fields": partition })),
        field("record_count", 103, json!("long")),
        field("file_size_in_bytes", 104, json!("long")),
    ]);
    if format_version == 1 {
        fields.push(field("block_size_in_bytes", 105, json!("long")));
    }
    fields.extend([
        map("column_sizes", 108, (117, 118), "long"),
        map("value_counts", 109, (119, 120), "long"),
        map("null_value_counts", 110, (121, 122), "long"),
        map("nan_value_counts", 137, (138, 139), "long"),
        map("lower_bounds", 125, (126, 127), "bytes"),
        map("upper_bounds", 128, (129, 130), "bytes"),
        optional("key_metadata", 131, json!("bytes")),
        list("split_offsets", 132, 133, "long"),
    ]);
    if format_version >= 2 {
        fields.push(list("equality_ids", 135, 136, "int"));
    }
    fields.push(optional("sort_order_id", 140, json!("int")));
    if format_version >= 3 {
        fields.push(optional("first_row_id", 142, json!("long")));
    }
    if format_version >= 2 {
        fields.push(optional("referenced_data_file", 143, json!("string")));
    }
    if format_version >= 3 {
        fields.push(optional("content_offset", 144, json!("long")));
        fields.push(optional("content_size_in_bytes", 145, json!("long")));
    }
    fields
}

fn partition_field(part: &PartitionType) -> Value {
    let fixed = |size: u32, logical: Value| {
        let mut fixed = json!({ "type": "fixed", "name": format!("fixed_{}", part.field_id), "size": size });
        if let (Some(fixed), Value::Object(logical)) = (fixed.as_object_mut(), logical) {
            fixed.extend(logical);
        }
        fixed
    };
    let kind = match part.value_type {
        ValueType::Boolean => json!("boolean"),
        ValueType::Int => json!("int"),
        ValueType::Long => json!("long"),
        ValueType::Float => json!("float"),
        ValueType::Double => json!("double"),
        ValueType::Date => json!({ "type": "int", "logicalType": "date" }),
        ValueType::Time => json!({ "type": "long", "logicalType": "time-micros" }),
        ValueType::Timestamp { zoned } => {
            json!({ "type": "long", "logicalType": "timestamp-micros", "adjust-to-utc": zoned })
        }
        ValueType::TimestampNano { zoned } => {
            json!({ "type": "long", "logicalType": "timestamp-nanos", "adjust-to-utc": zoned })
        }
        ValueType::String => json!("string"),
        ValueType::Uuid => fixed(16, json!({ "logicalType": "uuid" })),
        ValueType::Fixed(size) => fixed(size, Value::Null),
        ValueType::Binary => json!("bytes"),
        ValueType::Decimal { precision, scale } => {
            let logical = json!({ "logicalType": "decimal", "precision": precision, "scale": scale });
            fixed(decimal_bytes(precision), logical)
        }
    };
    let mut field = optional(&avro_name(&part.name), part.field_id, kind);
    if avro_name(&part.name) != part.name {
        field["iceberg-field-name"] = json!(part.name);
    }
    field
}

/// Returns the bytes of a decimal with so many digits (specification, "Parquet": the fewest that fit).
pub(super) fn decimal_bytes(precision: u8) -> u32 {
    let largest = 10_u128.pow(u32::from(precision.min(38)));
    // One bit for the sign.
    (largest.ilog2() + 2).div_ceil(8)
}

/// Returns a name that Avro allows: other characters become `_x` and their code, as in the reference implementation.
fn avro_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for (position, character) in name.chars().enumerate() {
        match character {
            'a'..='z' | 'A'..='Z' | '_' => out.push(character),
            '0'..='9' if position > 0 => out.push(character),
            '0'..='9' => out.extend(['_', character]),
            other => out.push_str(&format!("_x{:X}", u32::from(other))),
        }
    }
    if out.is_empty() { "_".to_owned() } else { out }
}

/// Returns the schema of a manifest list.
pub(super) fn manifest_list(format_version: u8) -> String {
    let summary = json!({
        "type": "record", "name": "r508",
        "fields": [
            field("contains_null", 509, json!("boolean")),
            optional("contains_nan", 518, json!("boolean")),
            optional("lower_bound", 510, json!("bytes")),
            optional("upper_bound", 511, json!("bytes")),
        ],
    });
    let partitions = optional("partitions", 507, json!({ "type": "array", "items": summary, "element-id": 508 }));
    let mut fields = vec![
        field("manifest_path", 500, json!("string")),
        field("manifest_length", 501, json!("long")),
        field("partition_spec_id", 502, json!("int")),
    ];
    let counts = [
        ("added_files_count", 504, "int"),
        ("existing_files_count", 505, "int"),
        ("deleted_files_count", 506, "int"),
        ("added_rows_count", 512, "long"),
        ("existing_rows_count", 513, "long"),
        ("deleted_rows_count", 514, "long"),
    ];
    if format_version == 1 {
        fields.push(optional("added_snapshot_id", 503, json!("long")));
        fields.extend(counts.map(|(name, id, kind)| optional(&v1_name(name), id, json!(kind))));
        fields.push(partitions);
        fields.push(optional("key_metadata", 519, json!("bytes")));
    } else {
        fields.push(field("content", 517, json!("int")));
        fields.push(field("sequence_number", 515, json!("long")));
        fields.push(field("min_sequence_number", 516, json!("long")));
        fields.push(field("added_snapshot_id", 503, json!("long")));
        fields.extend(counts.map(|(name, id, kind)| field(name, id, json!(kind))));
        fields.push(partitions);
        fields.push(optional("key_metadata", 519, json!("bytes")));
        if format_version >= 3 {
            fields.push(optional("first_row_id", 520, json!("long")));
        }
    }
    json!({ "type": "record", "name": "manifest_file", "fields": fields }).to_string()
}

/// Returns the name that the first format version has for a count of files.
fn v1_name(name: &str) -> String {
    name.replace("_files_count", "_data_files_count")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_take_the_fewest_bytes() {
        let bytes = [1, 2, 3, 4, 6, 7, 9, 10, 18, 19, 38].map(decimal_bytes);
        assert_eq!(bytes, [1, 1, 2, 2, 3, 4, 4, 5, 8, 9, 16]);
    }

    #[test]
    fn names_that_avro_refuses_are_escaped() {
        assert_eq!(avro_name("ok_1"), "ok_1");
        assert_eq!(avro_name("1st day"), "_1st_x20day");
        assert_eq!(avro_name("größe"), "gr_xF6_xDFe");
    }
}
