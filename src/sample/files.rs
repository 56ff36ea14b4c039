//! What a batch leaves on disk: Parquet files, one manifest, one manifest list.

use std::sync::Arc;

use anyhow::{Context, Result};
use iceberg::arrow::{RecordBatchPartitionSplitter, schema_to_arrow_schema};
use iceberg::io::FileIO;
use iceberg::spec::{
    DataFile, DataFileFormat, ManifestList, ManifestListWriter, ManifestWriterBuilder, PartitionKey, TableMetadata,
};
use iceberg::writer::base_writer::data_file_writer::DataFileWriterBuilder;
use iceberg::writer::file_writer::ParquetWriterBuilder;
use iceberg::writer::file_writer::location_generator::{DefaultFileNameGenerator, LocationGenerator};
use iceberg::writer::file_writer::rolling_writer::RollingFileWriterBuilder;
use iceberg::writer::{IcebergWriter, IcebergWriterBuilder};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::tides;

/// A sequence number that a manifest leaves open, for its readers to take from the snapshot.
const INHERITED: i64 = -1;

/// Where the files of one partition go. The generator that comes with the crate would name the month by its number
/// since 1970.
#[derive(Clone)]
struct Folder(String);

impl LocationGenerator for Folder {
    fn generate_location(&self, _: Option<&PartitionKey>, file_name: &str) -> String {
        format!("{}/{file_name}", self.0)
    }
}

/// Writes a month of every station, one file per partition, with the statistics of its columns.
pub(super) async fn write_data(
    io: &FileIO,
    metadata: &TableMetadata,
    snapshot_id: i64,
    batch: usize,
) -> Result<Vec<DataFile>> {
    let schema = metadata.current_schema();
    let arrow_schema = Arc::new(schema_to_arrow_schema(schema)?);
    let splitter = RecordBatchPartitionSplitter::try_new_with_computed_values(
        schema.clone(),
        metadata.default_partition_spec().clone(),
    )?;
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
    let files = ParquetWriterBuilder::new(properties, schema.clone());
    let names = DefaultFileNameGenerator::new(snapshot_id.to_string(), None, DataFileFormat::Parquet);
    let mut data_files = Vec::new();
    for (station, place) in tides::STATIONS.iter().enumerate() {
        let folder = Folder(format!(
            "{}/data/observed_at_month=2026-{:02}/station={}",
            metadata.location(),
            batch + 1,
            place.name
        ));
        let files =
            RollingFileWriterBuilder::new_with_default_file_size(files.clone(), io.clone(), folder, names.clone());
        let rows = tides::month(batch, station, &arrow_schema)?;
        for (partition, rows) in splitter.split(&rows)? {
            let mut writer = DataFileWriterBuilder::new(files.clone()).build(Some(partition)).await?;
            writer.write(rows).await?;
            data_files.extend(writer.close().await?);
        }
    }
    Ok(data_files)
}

/// Writes the manifest of the new files and the list of all manifests, and returns the list's location.
pub(super) async fn write_manifests(
    io: &FileIO,
    metadata: &TableMetadata,
    snapshot_id: i64,
    data_files: Vec<DataFile>,
) -> Result<String> {
    let folder = format!("{}/metadata", metadata.location());
    let mut manifest = ManifestWriterBuilder::new(
        io.new_output(format!("{folder}/{snapshot_id}-m0.avro"))?,
        Some(snapshot_id),
        metadata.current_schema().clone(),
        metadata.default_partition_spec().as_ref().clone(),
    )
    .build_v2_data();
    for file in data_files {
        manifest.add_file(file, INHERITED)?;
    }
    let manifest = manifest.write_manifest_file().await?;

    let parent = metadata.current_snapshot();
    let earlier = match parent {
        Some(parent) => {
            let bytes = io.new_input(parent.manifest_list())?.read().await?;
            ManifestList::parse_with_version(&bytes, metadata.format_version())
                .with_context(|| format!("manifest list {}", parent.manifest_list()))?
                .consume_entries()
                .into_iter()
                .collect()
        }
        None => Vec::new(),
    };
    let location = format!("{folder}/snap-{snapshot_id}.avro");
    let mut list = ManifestListWriter::v2(
        io.new_output(&location)?.writer().await?,
        snapshot_id,
        parent.map(|p| p.snapshot_id()),
        metadata.next_sequence_number(),
    );
    list.add_manifests(std::iter::once(manifest).chain(earlier))?;
    list.close().await?;
    Ok(location)
}
