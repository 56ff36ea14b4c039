//! The distinct values of each column, as theta sketches.

use std::sync::Arc;

use anyhow::{Result, bail};
use datasketches::hash::value::raw_bytes;
use datasketches::theta::{ThetaSketch, ThetaSketchBuilder};
use iceberg::arrow::{arrow_primitive_to_literal, schema_to_arrow_schema};
use iceberg::spec::{Literal, PrimitiveLiteral, TableMetadata};

use super::tides;
use crate::sample::BATCHES;
use crate::sample::assets::STATIONS;

/// Returns a sketch of each column of a primitive type over the rows of all batches, with the column's field id.
pub(in crate::sample::tests) fn sketches(metadata: &TableMetadata) -> Result<Vec<(i32, ThetaSketch)>> {
    let schema = metadata.current_schema();
    let arrow_schema = Arc::new(schema_to_arrow_schema(schema)?);
    let mut batches = Vec::new();
    for batch in 0..BATCHES {
        for station in 0..STATIONS {
            batches.push(tides::month(batch, station, &arrow_schema)?);
        }
    }
    let mut sketches = Vec::new();
    for (index, field) in schema.as_struct().fields().iter().enumerate() {
        if !field.field_type.is_primitive() {
            continue;
        }
        let mut sketch = ThetaSketchBuilder::default().build()?;
        for rows in &batches {
            for value in arrow_primitive_to_literal(rows.column(index), &field.field_type)?.into_iter().flatten() {
                sketch.update(raw_bytes::from_vec(single_value(&value)?));
            }
        }
        sketches.push((field.id, sketch));
    }
    Ok(sketches)
}

/// Returns the binary single-value serialization of the table spec (appendix D). The Puffin spec feeds it to the sketch.
fn single_value(value: &Literal) -> Result<Vec<u8>> {
    let Literal::Primitive(value) = value else { bail!("only primitive values have distinct counts") };
    Ok(match value {
        PrimitiveLiteral::Boolean(v) => vec![u8::from(*v)],
        PrimitiveLiteral::Int(v) => v.to_le_bytes().to_vec(),
        PrimitiveLiteral::Long(v) => v.to_le_bytes().to_vec(),
        PrimitiveLiteral::Float(v) => v.to_le_bytes().to_vec(),
        PrimitiveLiteral::Double(v) => v.to_le_bytes().to_vec(),
        PrimitiveLiteral::String(v) => v.clone().into_bytes(),
        PrimitiveLiteral::Int128(v) => shortest_big_endian(*v),
        other => bail!("the sample has no values such as {other:?}"),
    })
}

/// Returns the shortest two's complement, big-endian, as the spec writes decimals.
fn shortest_big_endian(value: i128) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let sign = if value < 0 { 0xff } else { 0 };
    let keep_sign = |i: usize| (bytes[i + 1] ^ sign) & 0x80 == 0;
    let skip = (0..bytes.len() - 1).take_while(|&i| bytes[i] == sign && keep_sign(i)).count();
    bytes[skip..].to_vec()
}
