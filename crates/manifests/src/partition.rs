//! The distinct partitions of a manifest's files.

use std::collections::HashMap;

use tidewater_core::scan::statistics::Partition;
use tidewater_core::scan::value::{Value, ValueType};

use crate::avro::{AvroError, AvroFile, Input, Kind, NodeId, Schema};
use crate::error::{Budget, ManifestError};
use crate::partition_type::{FieldPlan, PartitionColumn, partition_columns};

/// Distinct partitions: a value for each field of the spec.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Partitions {
    columns: Box<[PartitionColumn]>,
    values: Box<[Option<Value>]>,
    count: usize,
}

impl Partitions {
    /// Returns the fields of the spec.
    pub(crate) fn columns(&self) -> &[PartitionColumn] {
        &self.columns
    }

    /// Returns the number of distinct partitions.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// Returns a partition. Empty behind the last.
    pub(crate) fn get(&self, index: usize) -> &Partition {
        let width = self.columns.len();
        self.values.get(index * width..(index + 1) * width).unwrap_or_default()
    }

    /// Returns the memory behind it, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        let columns: usize = self.columns.iter().map(|column| size_of_val(column) + column.name.len()).sum();
        columns + self.values.iter().map(value_bytes).sum::<usize>()
    }
}

fn value_bytes(value: &Option<Value>) -> usize {
    size_of_val(value)
        + match value {
            Some(Value::String(text)) => text.len(),
            Some(Value::Binary(bytes)) => bytes.len(),
            _ => 0,
        }
}

/// Collects the distinct partitions of a manifest.
pub(crate) struct PartitionsBuilder {
    plans: Vec<FieldPlan>,
    columns: Vec<PartitionColumn>,
    values: Vec<Option<Value>>,
    /// The index of each partition, by its encoding.
    known: HashMap<Box<[u8]>, u32>,
    last: (Vec<u8>, u32),
    budget: Budget,
}

impl PartitionsBuilder {
    /// Creates a builder for a manifest whose partition records have the type `record`. Partitions may take `limit_bytes`.
    pub(crate) fn new(file: &AvroFile<'_>, record: Option<NodeId>, limit_bytes: u64) -> Result<Self, ManifestError> {
        let (columns, plans) = partition_columns(file, record)?;
        if record.is_none() && !columns.is_empty() {
            return Err(ManifestError::Missing("data_file.partition"));
        }
        let budget = Budget::new("distinct partitions", limit_bytes);
        let known = HashMap::new();
        Ok(Self { plans, columns, values: Vec::new(), known, last: (Vec::new(), u32::MAX), budget })
    }

    /// Reads the partition of an entry. Returns its index in the distinct ones.
    pub(crate) fn read(&mut self, schema: &Schema, input: &mut Input<'_>) -> Result<u32, ManifestError> {
        let before = input.rest();
        self.skip(schema, input)?;
        let encoded = &before[..before.len() - input.rest().len()];
        if self.last.1 != u32::MAX && self.last.0 == encoded {
            return Ok(self.last.1);
        }
        let index = match self.known.get(encoded) {
            Some(index) => *index,
            None => self.add(schema, encoded)?,
        };
        self.last.0.clear();
        self.last.0.extend_from_slice(encoded);
        self.last.1 = index;
        Ok(index)
    }

    /// Returns whether the spec has no fields.
    pub(crate) fn is_unpartitioned(&self) -> bool {
        self.columns.is_empty()
    }

    /// Finishes the partitions.
    pub(crate) fn finish(self) -> Partitions {
        Partitions { columns: self.columns.into(), values: self.values.into(), count: self.known.len().max(1) }
    }

    fn skip(&self, schema: &Schema, input: &mut Input<'_>) -> Result<(), ManifestError> {
        for plan in &self.plans {
            match plan {
                FieldPlan::Skip(node) => schema.skip(*node, input)?,
                FieldPlan::Value { slot, .. } => {
                    if slot.is_present(input)? {
                        schema.skip(slot.node, input)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, schema: &Schema, encoded: &[u8]) -> Result<u32, ManifestError> {
        let (width, start) = (self.columns.len(), self.values.len());
        self.budget.take(encoded.len() + size_of::<(Box<[u8]>, u32)>() + width * size_of::<Option<Value>>())?;
        self.values.resize(start + width, None);
        let mut input = Input::new(encoded);
        for plan in &self.plans {
            match *plan {
                FieldPlan::Skip(node) => schema.skip(node, &mut input)?,
                FieldPlan::Value { position, slot, value_type } => {
                    if slot.is_present(&mut input)? {
                        let value = read_value(schema, slot.node, value_type, &mut input)?;
                        self.values[start + position] = Some(value);
                    }
                }
            }
        }
        // Values take at most as much memory as their encoding, which is counted once more.
        self.budget.take(encoded.len())?;
        let index = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        self.known.insert(encoded.into(), index);
        Ok(index)
    }
}

fn read_value(
    schema: &Schema,
    node: NodeId,
    value_type: ValueType,
    input: &mut Input<'_>,
) -> Result<Value, ManifestError> {
    let node = schema.node(node);
    let kind = &node.kind;
    let bytes = |input: &mut Input<'_>| match kind {
        Kind::Fixed(size) => schema.fixed(node, *size, input).map(<[u8]>::to_vec),
        _ => input.bytes().map(<[u8]>::to_vec),
    };
    Ok(match value_type {
        ValueType::Boolean => Value::Boolean(input.boolean()?),
        ValueType::Int => Value::Int(input.int()?),
        ValueType::Date => Value::Date(input.int()?),
        ValueType::Long => Value::Long(input.long()?),
        ValueType::Time => Value::Time(input.long()?),
        ValueType::Timestamp { .. } => Value::Timestamp(input.long()?),
        ValueType::TimestampNano { .. } => Value::TimestampNano(input.long()?),
        ValueType::Float => Value::Float(f32::from_le_bytes(input.array()?)),
        ValueType::Double => Value::Double(f64::from_le_bytes(input.array()?)),
        ValueType::String => Value::String(input.text()?.into()),
        ValueType::Decimal { .. } => Value::Decimal(decimal(&bytes(input)?)?),
        ValueType::Uuid => Value::Uuid(match kind {
            Kind::Fixed(_) => {
                let bytes = bytes(input)?.try_into();
                u128::from_be_bytes(bytes.map_err(|_| AvroError::Malformed("a UUID has another length than 16"))?)
            }
            _ => uuid(input.text()?)?,
        }),
        ValueType::Fixed(_) | ValueType::Binary => Value::Binary(bytes(input)?.into()),
    })
}

/// Reads the unscaled value of a decimal: a signed big-endian number of any length.
fn decimal(bytes: &[u8]) -> Result<i128, ManifestError> {
    let sign = if bytes.first().is_some_and(|first| first & 0x80 != 0) { 0xff } else { 0 };
    let (extra, rest) = bytes.split_at(bytes.len().saturating_sub(16));
    let mut number = [sign; 16];
    number[16 - rest.len()..].copy_from_slice(rest);
    let number = i128::from_be_bytes(number);
    if extra.iter().any(|byte| *byte != sign) || (!extra.is_empty() && (number < 0) != (sign == 0xff)) {
        return Err(AvroError::Malformed("a decimal has more than 38 digits").into());
    }
    Ok(number)
}

/// Parses a UUID in its usual form.
fn uuid(text: &str) -> Result<u128, ManifestError> {
    let digits: String = text.split('-').collect();
    let is_plain = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let number = if is_plain { u128::from_str_radix(&digits, 16).ok() } else { None };
    number.ok_or_else(|| AvroError::Malformed("a text is not a UUID").into())
}
