//! Compares the assets with the generator. After a change of the readings, write the assets again:
//! `cargo test --lib write_the_assets -- --ignored`.

use std::path::Path;

use bytes::Bytes;
use datasketches::theta::CompactThetaSketch;
use iceberg::io::FileIO;
use iceberg::puffin::PuffinReader;
use iceberg::spec::{DataFile, FormatVersion, Manifest, ManifestFile, ManifestList, TableMetadata};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::{Catalog, generator};
use crate::sample::assets::{MANIFEST_LIST, MONTHS};
use crate::sample::statistics::statistics;

fn metadata() -> TableMetadata {
    Catalog::create(Path::new("/")).0
}

fn data_files(manifest: &[u8]) -> Vec<DataFile> {
    let manifest = Manifest::parse_avro(manifest).unwrap();
    manifest.entries().iter().map(|entry| entry.data_file().clone()).collect()
}

/// Returns the entries of a manifest list without lengths, which depend on the encoding.
fn listed(list: &[u8]) -> Vec<ManifestFile> {
    let list = ManifestList::parse_with_version(list, FormatVersion::V2).unwrap();
    list.consume_entries().into_iter().map(|manifest| ManifestFile { manifest_length: 0, ..manifest }).collect()
}

#[tokio::test]
#[ignore = "writes the assets"]
async fn write_the_assets() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sample/assets");
    for (path, content) in generator::generate(&metadata()).await {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}

#[test]
fn data_files_have_the_computed_readings() {
    let metadata = metadata();
    for (batch, month) in MONTHS.iter().enumerate() {
        for (station, (name, content)) in month.data.iter().enumerate() {
            let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from_static(content)).unwrap();
            let found: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
            let computed = generator::rows(&metadata, batch, station);
            assert_eq!(found.len(), 1, "{} {name}", month.name);
            assert!(found[0].columns() == computed.columns(), "{} {name}: other rows", month.name);
        }
    }
}

#[tokio::test]
async fn manifests_have_the_values_that_the_iceberg_crate_computes() {
    let generated = generator::generate(&metadata()).await;
    let generated = |name: &str| &generated.iter().find(|(path, _)| path == name).unwrap().1;
    for month in &MONTHS {
        let computed = data_files(generated(&format!("{}/manifest.avro", month.name)));
        let found = data_files(month.manifest);
        assert_eq!(found.len(), computed.len());
        for ((found, computed), (_, content)) in found.iter().zip(&computed).zip(&month.data) {
            assert_eq!(found.partition(), computed.partition());
            assert_eq!(found.record_count(), computed.record_count());
            assert_eq!(found.value_counts(), computed.value_counts());
            assert_eq!(found.null_value_counts(), computed.null_value_counts());
            assert_eq!(found.nan_value_counts(), computed.nan_value_counts());
            assert_eq!(found.lower_bounds(), computed.lower_bounds());
            assert_eq!(found.upper_bounds(), computed.upper_bounds());

            let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from_static(content)).unwrap();
            let groups = reader.metadata().row_groups();
            let offsets: Vec<i64> = groups.iter().filter_map(|group| group.file_offset()).collect();
            assert_eq!(found.split_offsets().unwrap(), offsets);
            let compressed: i64 = groups.iter().map(|group| group.compressed_size()).sum();
            assert_eq!(found.column_sizes().values().sum::<u64>(), compressed as u64);
            assert_eq!(found.file_size_in_bytes(), content.len() as u64);
        }
    }
    assert_eq!(listed(MANIFEST_LIST), listed(generated("manifest-list.avro")));
}

#[tokio::test]
async fn sketches_equal_the_sketches_of_the_computed_readings() {
    let io = FileIO::new_with_memory();
    let location = "memory:///sketches.stats";
    let content = statistics(1, 1).unwrap().content;
    io.new_output(location).unwrap().write(content.into()).await.unwrap();
    let reader = PuffinReader::new(io.new_input(location).unwrap());
    let mut found = Vec::new();
    for blob in reader.file_metadata().await.unwrap().blobs() {
        let sketch = CompactThetaSketch::deserialize(reader.blob(blob).await.unwrap().data()).unwrap();
        found.push((blob.fields()[0], sketch.serialize()));
    }
    let computed = generator::sketches(&metadata());
    assert_eq!(found, computed.iter().map(|(id, sketch)| (*id, sketch.serialize())).collect::<Vec<_>>());
}
