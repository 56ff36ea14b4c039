//! Reads the sample with the `iceberg` crate. Its metadata builder plays the catalog, its scan the reader.

mod assets;
mod generator;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use datasketches::theta::CompactThetaSketch;
use futures_util::TryStreamExt;
use iceberg::expr::Reference;
use iceberg::io::FileIO;
use iceberg::puffin::PuffinReader;
use iceberg::scan::FileScanTask;
use iceberg::spec::{DataFile, Datum, FormatVersion, ManifestList, TableMetadata, TableMetadataBuilder};
use iceberg::table::{StaticTable, Table as Reader};
use iceberg::{TableCreation, TableIdent, TableRequirement, TableUpdate};
use serde::Deserialize;

use super::*;

/// Six stations, 120 days, 24 hours.
const EXPECTED_ROWS: usize = 17_280;

/// Applies the sample's requests as a catalog does.
struct Catalog(TableMetadata);

impl Catalog {
    fn create(folder: &Path) -> Self {
        let request = create_request();
        // A catalog takes the format version out of the properties.
        let mut properties = HashMap::<String, String>::deserialize(&request["properties"]).unwrap();
        assert_eq!(properties.remove("format-version").unwrap(), "2");
        let creation = TableCreation::builder()
            .name(request["name"].as_str().unwrap().to_owned())
            .location(format!("file://{}", folder.join("demo/tides").display()))
            .schema(serde_json::from_value(request["schema"].clone()).unwrap())
            .partition_spec_opt(serde_json::from_value(request["partition-spec"].clone()).unwrap())
            .properties(properties)
            .format_version(FormatVersion::V2)
            .build();
        Self(TableMetadataBuilder::from_table_creation(creation).unwrap().build().unwrap().metadata)
    }

    async fn filled(folder: &Path) -> Self {
        let mut catalog = Self::create(folder);
        for batch in 0..BATCHES {
            let body = append(&catalog.document(), batch, catalog.now_ms()).await.unwrap();
            catalog.commit(&body);
        }
        let body = finish(&catalog.document()).await.unwrap();
        catalog.commit(&body);
        catalog
    }

    /// Returns the time of the last update: the metadata builder reads the real clock.
    fn now_ms(&self) -> i64 {
        self.0.last_updated_ms()
    }

    fn document(&self) -> Vec<u8> {
        serde_json::to_vec(&self.0).unwrap()
    }

    fn commit(&mut self, body: &[u8]) {
        #[derive(Deserialize)]
        struct Body {
            requirements: Vec<TableRequirement>,
            updates: Vec<TableUpdate>,
        }
        let body: Body = serde_json::from_slice(body).unwrap();
        for requirement in body.requirements {
            requirement.check(Some(&self.0)).unwrap();
        }
        let builder = self.0.clone().into_builder(None);
        let builder = body.updates.into_iter().fold(builder, |builder, update| update.apply(builder).unwrap());
        self.0 = builder.build().unwrap().metadata;
    }

    async fn table(&self) -> Reader {
        let ident = TableIdent::from_strs([NAMESPACE, TABLE]).unwrap();
        let table = StaticTable::from_metadata(self.0.clone(), ident, FileIO::new_with_fs()).await.unwrap();
        table.into_table()
    }

    async fn data_files(&self) -> Vec<DataFile> {
        let io = FileIO::new_with_fs();
        let list = io.new_input(self.0.current_snapshot().unwrap().manifest_list()).unwrap().read().await.unwrap();
        let mut files = Vec::new();
        for manifest in ManifestList::parse_with_version(&list, FormatVersion::V2).unwrap().entries() {
            let manifest = manifest.load_manifest(&io).await.unwrap();
            files.extend(manifest.entries().iter().map(|entry| entry.data_file().clone()));
        }
        files
    }
}

async fn rows(table: &Reader, snapshot: i64) -> Vec<RecordBatch> {
    let scan = table.scan().snapshot_id(snapshot).build().unwrap();
    scan.to_arrow().await.unwrap().try_collect().await.unwrap()
}

fn count(rows: &[RecordBatch]) -> usize {
    rows.iter().map(RecordBatch::num_rows).sum()
}

#[tokio::test]
async fn scan_of_each_snapshot_returns_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Catalog::filled(folder.path()).await;
    let table = catalog.table().await;

    let mut counts = Vec::new();
    for entry in catalog.0.history() {
        counts.push(count(&rows(&table, entry.snapshot_id).await));
    }
    assert_eq!(counts, [4464, 8496, 12_960, EXPECTED_ROWS]);

    let all = rows(&table, catalog.0.current_snapshot_id().unwrap()).await;
    let ids: BTreeSet<i64> =
        all.iter().flat_map(|b| b["reading_id"].as_primitive::<Int64Type>().values().to_vec()).collect();
    assert_eq!(ids, (1..=EXPECTED_ROWS as i64).collect());
    let totals = &catalog.0.current_snapshot().unwrap().summary().additional_properties;
    assert_eq!(totals["total-records"], EXPECTED_ROWS.to_string());
    assert_eq!(totals["total-data-files"], "24");
}

#[tokio::test]
async fn readings_have_plausible_tides_surges_and_failures() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Catalog::filled(folder.path()).await;
    let all = rows(&catalog.table().await, catalog.0.current_snapshot_id().unwrap()).await;

    let (mut high_waters, mut surges, mut failures) = (0, 0, 0);
    for batch in &all {
        let level_mm = batch["level_m"].as_primitive::<Decimal128Type>();
        let tide_m = batch["tide_m"].as_primitive::<Float64Type>();
        for row in 0..batch.num_rows() {
            let surge_m = level_mm.value(row) as f64 / 1000.0 - tide_m.value(row);
            assert!((-0.2..1.5).contains(&surge_m), "a surge of {surge_m} m");
            let alerts = batch["alerts"].as_list::<i32>().value(row);
            surges += usize::from(alerts.as_string::<i32>().iter().any(|alert| alert == Some("surge")));
        }
        high_waters += batch["high_water"].as_boolean().true_count();
        failures += batch["water_c"].null_count();
    }
    // High water comes every 12.42 hours: 232 times in 120 days, at each of six stations. Diurnal tides take a few.
    assert!((1300..=1400).contains(&high_waters), "{high_waters} high waters");
    assert!((50..1000).contains(&surges), "{surges} hours of surge");
    assert!((100..300).contains(&failures), "{failures} failures of the thermometer");
}

#[tokio::test]
async fn filter_reads_only_matching_partitions_and_files() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Catalog::filled(folder.path()).await;
    let table = catalog.table().await;
    let plan = async |filter| {
        let scan = table.scan().with_filter(filter).build().unwrap();
        let tasks: Vec<FileScanTask> = scan.plan_files().await.unwrap().try_collect().await.unwrap();
        tasks.into_iter().map(|task| task.data_file_path).collect::<Vec<_>>()
    };

    let juneau = Reference::new("station").equal_to(Datum::string("Juneau"));
    let april =
        Reference::new("observed_at").greater_than_or_equal_to(Datum::timestamptz_micros(1_775_001_600_000_000));
    assert_eq!(plan(juneau.clone()).await.len(), 4);
    assert_eq!(plan(april.clone()).await.len(), 6);
    let both = plan(juneau.and(april)).await;
    assert_eq!(both.len(), 1);
    assert!(both[0].contains("/data/observed_at_month=2026-04/station=Juneau/"), "{both:?}");
    // No partition has this column: the bounds in the manifests select the files.
    assert_eq!(plan(Reference::new("reading_id").less_than(Datum::long(7))).await.len(), 6);
}

#[tokio::test]
async fn manifests_have_counts_and_bounds_of_every_column() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Catalog::filled(folder.path()).await;
    let location = catalog.0.location();
    let files = catalog.data_files().await;

    assert_eq!(files.len(), 24);
    for file in &files {
        assert!(file.file_path().starts_with(&format!("{location}/data/")), "{}", file.file_path());
        let size = std::fs::metadata(file.file_path().strip_prefix("file://").unwrap()).unwrap().len();
        assert_eq!(file.file_size_in_bytes(), size);
        for id in 1..=9 {
            assert_eq!(file.value_counts()[&id], file.record_count());
            assert!(file.column_sizes()[&id] > 0 && file.null_value_counts().contains_key(&id), "column {id}");
            assert!(file.lower_bounds()[&id].to_string() <= file.upper_bounds()[&id].to_string() || id != 2);
        }
    }
}

#[tokio::test]
async fn statistics_file_has_sketches_of_distinct_values() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Catalog::filled(folder.path()).await;
    let current = catalog.0.current_snapshot_id().unwrap();
    let statistics = catalog.0.statistics_for_snapshot(current).unwrap();

    let input = FileIO::new_with_fs().new_input(&statistics.statistics_path).unwrap();
    assert_eq!(input.metadata().await.unwrap().size, statistics.file_size_in_bytes as u64);
    let reader = PuffinReader::new(input);
    let blobs = reader.file_metadata().await.unwrap().blobs().to_vec();
    let last = blobs.last().unwrap();
    let footer = statistics.file_size_in_bytes as u64 - last.offset() - last.length();
    assert_eq!(statistics.file_footer_size_in_bytes as u64, footer);

    let mut distinct = HashMap::new();
    for blob in &blobs {
        let sketch = CompactThetaSketch::deserialize(reader.blob(blob).await.unwrap().data()).unwrap();
        assert_eq!(blob.properties()["ndv"], format!("{:.0}", sketch.estimate()));
        distinct.insert(blob.fields()[0], sketch.estimate());
    }
    assert_eq!(blobs.len(), 9, "one for each column but the list");
    assert_eq!((distinct[&2], distinct[&4], distinct[&7]), (6.0, 120.0, 2.0));
    assert_eq!(distinct[&3], 2880.0, "hours");
    assert!((distinct[&1] / EXPECTED_ROWS as f64 - 1.0).abs() < 0.05, "{} readings", distinct[&1]);
}

#[tokio::test]
async fn tag_is_on_the_third_snapshot_and_branch_on_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let metadata = Catalog::filled(folder.path()).await.0;

    let history: Vec<i64> = metadata.history().iter().map(|entry| entry.snapshot_id).collect();
    assert_eq!(metadata.snapshot_for_ref(TAG).unwrap().snapshot_id(), history[2]);
    assert_eq!(metadata.snapshot_for_ref(BRANCH).unwrap().snapshot_id(), history[3]);
    assert_eq!(history.len(), BATCHES);
    let times: Vec<i64> = metadata.history().iter().map(|entry| entry.timestamp_ms).collect();
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
}

#[tokio::test]
async fn repeated_step_writes_the_same_files() {
    let folder = tempfile::tempdir().unwrap();
    let mut catalog = Catalog::create(folder.path());
    let first = append(&catalog.document(), 0, catalog.now_ms()).await.unwrap();
    let again = append(&catalog.document(), 0, catalog.now_ms()).await.unwrap();
    let value = |body: &[u8]| serde_json::from_slice::<Value>(body).unwrap();
    assert_eq!(value(&first), value(&again));

    catalog.commit(&again);
    let named: BTreeSet<String> = catalog.data_files().await.iter().map(|f| f.file_path().to_owned()).collect();
    assert_eq!(parquet_files(folder.path()), named);
}

#[tokio::test]
async fn step_in_the_wrong_order_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut catalog = Catalog::create(folder.path());
    assert!(append(&catalog.document(), 1, catalog.now_ms()).await.is_err());
    assert!(append(&catalog.document(), BATCHES, catalog.now_ms()).await.is_err());
    assert!(finish(&catalog.document()).await.is_err());

    let body = append(&catalog.document(), 0, catalog.now_ms()).await.unwrap();
    catalog.commit(&body);
    assert!(append(&catalog.document(), 0, catalog.now_ms()).await.is_err());
    assert!(append(b"{}", 0, 0).await.is_err());
}

fn parquet_files(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(parquet_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            found.insert(format!("file://{}", path.display()));
        }
    }
    found
}
