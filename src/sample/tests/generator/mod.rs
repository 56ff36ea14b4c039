//! Writes the sample's files with the `iceberg` crate, for [`assets`](crate::sample::assets).

mod statistics;
mod tides;

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use bytes::Bytes;
use datasketches::theta::CompactThetaSketch;
use iceberg::arrow::{RecordBatchPartitionSplitter, schema_to_arrow_schema};
use iceberg::io::FileIO;
use iceberg::puffin::{APACHE_DATASKETCHES_THETA_V1, Blob, CompressionCodec, PuffinReader, PuffinWriter};
use iceberg::spec::{
    DataFile, DataFileFormat, ManifestFile, ManifestListWriter, ManifestWriterBuilder, PartitionKey, TableMetadata,
};
use iceberg::writer::base_writer::data_file_writer::DataFileWriterBuilder;
use iceberg::writer::file_writer::ParquetWriterBuilder;
use iceberg::writer::file_writer::location_generator::{DefaultFileNameGenerator, LocationGenerator};
use iceberg::writer::file_writer::rolling_writer::RollingFileWriterBuilder;
use iceberg::writer::{IcebergWriter, IcebergWriterBuilder};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::sample::BATCHES;
use crate::sample::assets::{MONTHS, STATIONS};
use crate::sample::manifests::sequence_number;
use crate::sample::statistics::Sketch;

/// The sequence number of an entry that inherits it from the snapshot.
const INHERITED: i64 = -1;

/// Files with their paths below `assets`.
pub(super) type Files = Vec<(String, Bytes)>;

/// Returns the readings of a station in a month.
pub(super) fn rows(metadata: &TableMetadata, batch: usize, station: usize) -> RecordBatch {
    let schema = schema_to_arrow_schema(metadata.current_schema()).unwrap();
    tides::month(batch, station, &Arc::new(schema)).unwrap()
}

/// Returns a sketch of each column's distinct values, with the column's field id.
pub(super) fn sketches(metadata: &TableMetadata) -> Vec<(i32, CompactThetaSketch)> {
    let sketches = statistics::sketches(metadata).unwrap();
    sketches.into_iter().map(|(field_id, sketch)| (field_id, sketch.compact(true))).collect()
}

/// Returns all assets for a table with this metadata.
pub(super) async fn generate(metadata: &TableMetadata) -> Files {
    let io = FileIO::new_with_memory();
    let mut files = Files::new();
    let mut manifests = Vec::new();
    for (batch, month) in MONTHS.iter().enumerate() {
        let data_files = write_data(&io, metadata, batch).await;
        for (station, file) in data_files.iter().enumerate() {
            let name = tides::STATIONS[station].name;
            files.push((format!("{}/{name}.parquet", month.name), read(&io, file.file_path()).await));
        }
        let manifest = write_manifest(&io, metadata, batch, data_files).await;
        files.push((format!("{}/manifest.avro", month.name), read(&io, &manifest.manifest_path).await));
        manifests.insert(0, manifest);
    }
    files.push(("manifest-list.avro".to_owned(), manifest_list(&io, manifests).await));
    files.extend(statistics_file(&io, metadata).await);
    files
}

async fn read(io: &FileIO, location: &str) -> Bytes {
    io.new_input(location).unwrap().read().await.unwrap()
}

fn snapshot_id(batch: usize) -> i64 {
    batch as i64 + 1
}

/// The folder of one partition. The crate's own generator would name the month by its number since 1970.
#[derive(Clone)]
struct Folder(String);

impl LocationGenerator for Folder {
    fn generate_location(&self, _: Option<&PartitionKey>, file_name: &str) -> String {
        format!("{}/{file_name}", self.0)
    }
}

/// Writes a month of every station: one file per partition, with column statistics.
async fn write_data(io: &FileIO, metadata: &TableMetadata, batch: usize) -> Vec<DataFile> {
    let schema = metadata.current_schema();
    let splitter = RecordBatchPartitionSplitter::try_new_with_computed_values(
        schema.clone(),
        metadata.default_partition_spec().clone(),
    )
    .unwrap();
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
    let files = ParquetWriterBuilder::new(properties, schema.clone());
    let names = DefaultFileNameGenerator::new(snapshot_id(batch).to_string(), None, DataFileFormat::Parquet);
    let mut data_files = Vec::new();
    for station in 0..STATIONS {
        let folder = Folder(format!("memory:///tides/{}/{station}", MONTHS[batch].name));
        let files =
            RollingFileWriterBuilder::new_with_default_file_size(files.clone(), io.clone(), folder, names.clone());
        for (partition, rows) in splitter.split(&rows(metadata, batch, station)).unwrap() {
            let mut writer = DataFileWriterBuilder::new(files.clone()).build(Some(partition)).await.unwrap();
            writer.write(rows).await.unwrap();
            data_files.extend(writer.close().await.unwrap());
        }
    }
    assert_eq!(data_files.len(), STATIONS);
    data_files
}

async fn write_manifest(
    io: &FileIO,
    metadata: &TableMetadata,
    batch: usize,
    data_files: Vec<DataFile>,
) -> ManifestFile {
    let location = format!("memory:///tides/{}/manifest.avro", MONTHS[batch].name);
    let mut manifest = ManifestWriterBuilder::new(
        io.new_output(location).unwrap(),
        Some(snapshot_id(batch)),
        metadata.current_schema().clone(),
        metadata.default_partition_spec().as_ref().clone(),
    )
    .build_v2_data();
    for file in data_files {
        manifest.add_file(file, INHERITED).unwrap();
    }
    let mut manifest = manifest.write_manifest_file().await.unwrap();
    manifest.sequence_number = sequence_number(batch);
    manifest.min_sequence_number = sequence_number(batch);
    manifest
}

async fn manifest_list(io: &FileIO, manifests: Vec<ManifestFile>) -> Bytes {
    let location = "memory:///tides/manifest-list.avro";
    let writer = io.new_output(location).unwrap().writer().await.unwrap();
    let last = BATCHES - 1;
    let mut list =
        ManifestListWriter::v2(writer, snapshot_id(last), Some(snapshot_id(last - 1)), sequence_number(last));
    list.add_manifests(manifests.into_iter()).unwrap();
    list.close().await.unwrap();
    read(io, location).await
}

/// Returns the beginning of a Puffin file with the sketches, and an index of their positions.
async fn statistics_file(io: &FileIO, metadata: &TableMetadata) -> Files {
    let location = "memory:///tides/sketches.bin";
    let mut puffin = PuffinWriter::new(&io.new_output(location).unwrap(), HashMap::new(), false).await.unwrap();
    for (field_id, sketch) in sketches(metadata) {
        let blob = Blob::builder()
            .r#type(APACHE_DATASKETCHES_THETA_V1.to_owned())
            .fields(vec![field_id])
            .snapshot_id(snapshot_id(BATCHES - 1))
            .sequence_number(sequence_number(BATCHES - 1))
            .data(sketch.serialize())
            .properties(HashMap::from([("ndv".to_owned(), format!("{:.0}", sketch.estimate()))]))
            .build();
        puffin.add(blob, CompressionCodec::zstd_default()).await.unwrap();
    }
    puffin.close().await.unwrap();

    let reader = PuffinReader::new(io.new_input(location).unwrap());
    let index: Vec<Sketch> = reader
        .file_metadata()
        .await
        .unwrap()
        .blobs()
        .iter()
        .map(|blob| Sketch {
            field_id: blob.fields()[0],
            ndv: blob.properties()["ndv"].clone(),
            offset: blob.offset(),
            length: blob.length(),
        })
        .collect();
    let end = index.last().map_or(0, |sketch| sketch.offset + sketch.length);
    let content = read(io, location).await.slice(..usize::try_from(end).unwrap());
    let index = serde_json::to_string_pretty(&index).unwrap() + "\n";
    vec![("sketches.bin".to_owned(), content), ("sketches.json".to_owned(), index.into())]
}
