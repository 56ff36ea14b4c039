//! The statistics file: for each column a theta sketch of its distinct values, in a Puffin file.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use datasketches::hash::value::raw_bytes;
use datasketches::theta::{ThetaSketch, ThetaSketchBuilder};
use iceberg::arrow::{arrow_primitive_to_literal, schema_to_arrow_schema};
use iceberg::io::FileIO;
use iceberg::puffin::{APACHE_DATASKETCHES_THETA_V1, Blob, CREATED_BY_PROPERTY, CompressionCodec, PuffinWriter};
use iceberg::spec::{BlobMetadata, Literal, PrimitiveLiteral, StatisticsFile, TableMetadata};

use super::{BATCHES, tides};

/// The bytes of a Puffin footer besides its JSON: a magic before it; its length, flags and a magic after it.
const FOOTER_FRAME: usize = 4 + FOOTER_TAIL;
const FOOTER_TAIL: usize = 12;

/// Writes the statistics of the snapshot that holds all batches, and says what a catalog keeps of them.
pub(super) async fn write(io: &FileIO, metadata: &TableMetadata, snapshot_id: i64) -> Result<StatisticsFile> {
    let sequence_number = metadata.last_sequence_number();
    let location = format!("{}/metadata/{snapshot_id}.stats", metadata.location());
    let properties = HashMap::from([(CREATED_BY_PROPERTY.to_owned(), created_by())]);
    let mut puffin = PuffinWriter::new(&io.new_output(&location)?, properties, false).await?;
    let mut blob_metadata = Vec::new();
    for (field_id, sketch) in sketches(metadata)? {
        let sketch = sketch.compact(true);
        let fields = vec![field_id];
        let properties = HashMap::from([("ndv".to_owned(), format!("{:.0}", sketch.estimate()))]);
        let blob = Blob::builder()
            .r#type(APACHE_DATASKETCHES_THETA_V1.to_owned())
            .fields(fields.clone())
            .snapshot_id(snapshot_id)
            .sequence_number(sequence_number)
            .data(sketch.serialize())
            .properties(properties.clone())
            .build();
        puffin.add(blob, CompressionCodec::zstd_default()).await?;
        let r#type = APACHE_DATASKETCHES_THETA_V1.to_owned();
        blob_metadata.push(BlobMetadata { r#type, snapshot_id, sequence_number, fields, properties });
    }
    puffin.close().await?;

    let file = io.new_input(&location)?.read().await?;
    Ok(StatisticsFile {
        snapshot_id,
        statistics_path: location,
        file_size_in_bytes: i64::try_from(file.len())?,
        file_footer_size_in_bytes: i64::try_from(footer_size_bytes(&file)?)?,
        key_metadata: None,
        blob_metadata,
    })
}

fn created_by() -> String {
    concat!("Tidewater ", env!("CARGO_PKG_VERSION")).to_owned()
}

/// A sketch for each column of a primitive type, with the column's field id, over the rows of all batches.
fn sketches(metadata: &TableMetadata) -> Result<Vec<(i32, ThetaSketch)>> {
    let schema = metadata.current_schema();
    let arrow_schema = Arc::new(schema_to_arrow_schema(schema)?);
    let mut batches = Vec::new();
    for batch in 0..BATCHES {
        for station in 0..tides::STATIONS.len() {
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

/// The binary single-value serialization of the table spec (appendix D), which the Puffin spec feeds to the sketch.
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

/// Two's complement in as few bytes as keep the sign, as decimals are written.
fn shortest_big_endian(value: i128) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let sign = if value < 0 { 0xff } else { 0 };
    let keep_sign = |i: usize| (bytes[i + 1] ^ sign) & 0x80 == 0;
    let skip = (0..bytes.len() - 1).take_while(|&i| bytes[i] == sign && keep_sign(i)).count();
    bytes[skip..].to_vec()
}

/// How many bytes at the end of a Puffin file are its footer.
fn footer_size_bytes(file: &[u8]) -> Result<usize> {
    let tail = file.last_chunk::<FOOTER_TAIL>().context("a Puffin file is longer than its footer")?;
    let [a, b, c, d, ..] = *tail;
    Ok(usize::try_from(u32::from_le_bytes([a, b, c, d]))? + FOOTER_FRAME)
}
