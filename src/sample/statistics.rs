//! The statistics file: for each column a theta sketch of its distinct values, in a Puffin file. The sketches come from the
//! repository. The footer names this table's snapshot (Puffin specification, "Footer").

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::assets::{SKETCH_INDEX, SKETCHES};

const MAGIC: &[u8] = b"PFA1";

/// The footer's flags: it is not compressed.
const FLAGS: [u8; 4] = [0; 4];

/// The position of a sketch in the file, in bytes.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Sketch {
    pub(super) field_id: i32,
    /// The estimated number of distinct values, as in the blob's properties.
    pub(super) ndv: String,
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// A statistics file, and its entry in the table metadata.
pub(super) struct Statistics {
    pub(super) content: Vec<u8>,
    pub(super) footer_size_bytes: usize,
    pub(super) blob_metadata: Vec<Value>,
}

/// Returns the statistics file of the snapshot that holds all batches.
pub(super) fn statistics(snapshot_id: i64, sequence_number: i64) -> Result<Statistics> {
    let sketches: Vec<Sketch> = serde_json::from_str(SKETCH_INDEX)?;
    let metadata = |sketch: &Sketch| {
        json!({
            "type": "apache-datasketches-theta-v1",
            "snapshot-id": snapshot_id,
            "sequence-number": sequence_number,
            "fields": [sketch.field_id],
            "properties": {"ndv": sketch.ndv},
        })
    };
    let blob = |sketch: &Sketch| {
        let mut blob = metadata(sketch);
        blob["offset"] = json!(sketch.offset);
        blob["length"] = json!(sketch.length);
        blob["compression-codec"] = json!("zstd");
        blob
    };
    let payload = serde_json::to_vec(&json!({
        "blobs": sketches.iter().map(blob).collect::<Vec<_>>(),
        "properties": {"created-by": concat!("Tidewater ", env!("CARGO_PKG_VERSION"))},
    }))?;
    let footer = [MAGIC, &payload, &u32::try_from(payload.len())?.to_le_bytes(), &FLAGS, MAGIC].concat();
    Ok(Statistics {
        content: [SKETCHES, &footer].concat(),
        footer_size_bytes: footer.len(),
        blob_metadata: sketches.iter().map(metadata).collect(),
    })
}
