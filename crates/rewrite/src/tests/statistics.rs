//! Statistics files, with the `iceberg` and `datasketches` crates as readers.

use datasketches::theta::CompactThetaSketch;
use iceberg::io::FileIO;
use iceberg::puffin::PuffinReader;
use serde_json::json;
use tidewater_core::document::TableMetadata;

use super::table::{Lake, ids_and_names};
use crate::{RewriteError, compute_statistics, preview_statistics};

#[test]
fn statistics_have_the_distinct_values_of_the_rows_that_are_not_deleted() {
    let mut lake = Lake::plain(2);
    let first = lake.append(0..1_000);
    lake.append(500..1_500);
    lake.delete_positions(&[(&first, 0), (&first, 1)], Vec::new());
    let doomed = ids_and_names(&lake.schema(), vec![1_499]);
    lake.delete_equal(&[1], &doomed, Vec::new());
    assert_eq!(preview_statistics(&lake.job()).unwrap().files_read, 2);
    let table = lake.table.clone();
    let mut job = lake.job_on(&table);
    let (proposal, report) = compute_statistics(&mut job, u64::MAX).unwrap();
    assert_eq!((report.files_read, report.rows), (2, 1_997));
    lake.commit(&proposal.unwrap().body);
    assert_eq!(preview_statistics(&lake.job()).unwrap().files_read, 0);
    assert!(compute_statistics(&mut lake.job(), u64::MAX).unwrap().0.is_none(), "nothing is left to do");

    let found = sketches(&lake.table);
    let ids: Vec<_> = found.iter().map(|(id, ..)| *id).collect();
    assert_eq!(ids, [1, 2]);
    for ((_, ndv, estimate), expected) in found.iter().zip([1_497.0, 7.0]) {
        assert_eq!(ndv, &format!("{expected}"));
        assert!((estimate - expected).abs() < 0.01, "{estimate}");
    }
}

/// Returns the field id, the property `ndv` and the estimate of each sketch in the only statistics file.
fn sketches(table: &TableMetadata) -> Vec<(i32, String, f64)> {
    let statistics: serde_json::Value = serde_json::from_str(table.statistics().last().unwrap().json).unwrap();
    let path = statistics["statistics-path"].as_str().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let reader = PuffinReader::new(FileIO::new_with_fs().new_input(path).unwrap());
        let mut found = Vec::new();
        for (position, blob) in reader.file_metadata().await.unwrap().blobs().iter().enumerate() {
            assert_eq!(blob.blob_type(), "apache-datasketches-theta-v1");
            assert_eq!(statistics["blob-metadata"][position]["fields"], json!(blob.fields()));
            assert_eq!(blob.snapshot_id(), table.current_snapshot_id().unwrap());
            let sketch = CompactThetaSketch::deserialize(reader.blob(blob).await.unwrap().data()).unwrap();
            found.push((blob.fields()[0], blob.properties()["ndv"].clone(), sketch.estimate()));
        }
        found
    })
}

#[test]
fn table_with_more_data_than_the_limit_is_left_alone() {
    let mut lake = Lake::plain(1);
    lake.append(0..10);
    assert!(matches!(compute_statistics(&mut lake.job(), 100), Err(RewriteError::Unsupported(_))));
}
