//! The files of a table: by size, by kind and by partition, and its statistics files.

use std::collections::BTreeMap;

use askama::Template;
use serde_json::Value;

use crate::browse::Location;
use crate::format;
use crate::frame::Frame;
use crate::table::{Fact, Tab};
use crate::texts::{self as t, care as c};

/// The size of the histogram in pixels: the height of its bars, and the room for the texts below and above them.
const STEP_PX: usize = 72;
const BAR_PX: usize = 46;
const HEIGHT_PX: usize = 150;
const ABOVE_PX: usize = 20;
const BELOW_PX: usize = 24;

/// The width of a whole bar beside a partition or a kind of files, in pixels.
const WIDE_PX: u64 = 160;

/// The most classes, partitions, statistics files and fields that are shown.
const MAX_CLASSES: usize = 16;
const MAX_ROWS: usize = 100;
const MAX_FIELDS: usize = 20;

/// The data files of a class of sizes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizeBar {
    /// The class in words.
    pub label: String,
    /// The class below its bar.
    pub short: String,
    /// The number of files.
    pub files: String,
    /// Their size.
    pub bytes: String,
    /// The place of the bar: left, top, width, height in pixels.
    pub at: [usize; 4],
}

impl SizeBar {
    /// Returns the middle of the bar in pixels from the left.
    #[must_use]
    pub const fn middle(&self) -> usize {
        self.at[0] + self.at[2] / 2
    }

    /// Returns the height of the number above the bar, in pixels from the top.
    #[must_use]
    pub const fn number_at(&self) -> usize {
        self.at[1].saturating_sub(6)
    }
}

/// Files of a kind or a partition, with a bar.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilesRow {
    /// The kind, or the values of the partition.
    pub name: String,
    /// The length of the bar in pixels.
    pub bar: u64,
    /// The number of data files, or of files.
    pub files: String,
    /// The size of data.
    pub bytes: String,
    /// Their rows.
    pub rows: String,
    /// The number of delete files.
    pub deletes: String,
}

/// The partitions of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Partitions {
    /// Which ones are shown.
    pub hint: String,
    /// The largest ones.
    pub rows: Vec<FilesRow>,
}

/// A statistics file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatisticsRow {
    /// The snapshot of which it is.
    pub snapshot: String,
    /// What it has: kinds of sketches with their number, or `partitions`.
    pub contents: String,
    /// Its size.
    pub bytes: String,
    /// Its location.
    pub location: String,
}

/// What the API says about the files of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilesView {
    /// Figures.
    pub facts: Vec<Fact>,
    /// Which part of the table the figures are of, unless of all.
    pub covered: Option<String>,
    /// The histogram of sizes; empty without data files.
    pub sizes: Vec<SizeBar>,
    /// Data files against delete files.
    pub kinds: Vec<FilesRow>,
    /// The partitions, if the caller may see them.
    pub partitions: Option<Partitions>,
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

fn count(value: u64) -> String {
    format::count(i64::try_from(value).unwrap_or(i64::MAX))
}

fn size(value: u64) -> String {
    format::bytes(i64::try_from(value).unwrap_or(i64::MAX))
}

/// Returns a size that is a bound, without a decimal place.
fn bound(value: u64) -> String {
    size(value).replace(".0 ", " ")
}

/// Returns the part of a length that a value is of the largest one. A value above 0 is seen.
fn scaled(value: u64, largest: u64, length: u64) -> u64 {
    let pixels = u128::from(value) * u128::from(length) / u128::from(largest.max(1));
    u64::try_from(pixels).unwrap_or(length).min(length).max(u64::from(value > 0))
}

impl FilesView {
    /// Reads the API's answer about the health of a table.
    #[must_use]
    pub fn parse(health: &Value) -> Self {
        let [data, by_position, by_value] =
            ["data-files", "position-delete-files", "equality-delete-files"].map(|name| number(&health[name]));
        let is_partial = health["partial"].as_bool().unwrap_or_default();
        let manifests = number(&health["manifests"]);
        Self {
            facts: vec![
                (t::DATA_FILES, count(data)),
                (c::BYTES_OF_DATA, size(number(&health["data-bytes"]))),
                (c::SMALL_FILES, count(number(&health["small-files"]))),
                (t::ROWS, count(number(&health["data-records"]))),
                (t::DELETE_FILES, count(by_position.saturating_add(by_value))),
                (c::DELETE_RECORDS, count(number(&health["delete-records"]))),
                (c::MANIFESTS, count(manifests)),
            ],
            covered: is_partial.then(|| c::partly(&count(number(&health["manifests-read"])), &count(manifests))),
            sizes: if data == 0 { Vec::new() } else { histogram(&health["sizes"]) },
            kinds: kinds([
                (t::DATA_FILES, data),
                (c::DELETES_BY_POSITION, by_position),
                (c::DELETES_BY_VALUE, by_value),
            ]),
            partitions: health["partitions"].is_object().then(|| partitions(&health["partitions"])),
        }
    }

    /// Returns the width of the histogram in pixels.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.sizes.len() * STEP_PX
    }

    /// Returns its height in pixels.
    #[must_use]
    pub const fn height(&self) -> usize {
        ABOVE_PX + HEIGHT_PX + BELOW_PX
    }

    /// Returns the height of the texts below the bars, in pixels from the top.
    #[must_use]
    pub const fn labels_at(&self) -> usize {
        ABOVE_PX + HEIGHT_PX + 16
    }
}

fn histogram(classes: &Value) -> Vec<SizeBar> {
    let classes = classes.as_array().map(Vec::as_slice).unwrap_or_default();
    let classes = &classes[..classes.len().min(MAX_CLASSES)];
    let most = classes.iter().map(|class| number(&class["files"])).max().unwrap_or_default();
    let mut lower = 0;
    let mut bars = Vec::new();
    for (at, class) in classes.iter().enumerate() {
        let files = number(&class["files"]);
        let height = usize::try_from(scaled(files, most, HEIGHT_PX as u64)).unwrap_or(HEIGHT_PX);
        let upper = class["below-bytes"].as_u64();
        let (label, short) = match upper {
            Some(upper) if lower == 0 => (c::below(&bound(upper)), format!("< {}", bound(upper))),
            Some(upper) => (format!("{} – {}", bound(lower), bound(upper)), format!("< {}", bound(upper))),
            None => (c::from_size(&bound(lower)), format!("≥ {}", bound(lower))),
        };
        lower = upper.unwrap_or(lower);
        let left = at * STEP_PX + (STEP_PX - BAR_PX) / 2;
        bars.push(SizeBar {
            label,
            short,
            files: count(files),
            bytes: size(number(&class["bytes"])),
            at: [left, ABOVE_PX + HEIGHT_PX - height, BAR_PX, height],
        });
    }
    bars
}

fn kinds(kinds: [(&str, u64); 3]) -> Vec<FilesRow> {
    let most = kinds.iter().map(|(_, files)| *files).max().unwrap_or_default();
    let row = |(name, files): (&str, u64)| FilesRow {
        name: name.to_owned(),
        bar: scaled(files, most, WIDE_PX),
        files: count(files),
        ..FilesRow::default()
    };
    kinds.map(row).to_vec()
}

fn partitions(found: &Value) -> Partitions {
    let largest = found["largest"].as_array().map(Vec::as_slice).unwrap_or_default();
    let largest = &largest[..largest.len().min(MAX_ROWS)];
    let most = largest.iter().map(|one| number(&one["data-bytes"])).max().unwrap_or_default();
    let row = |one: &Value| FilesRow {
        name: partition_name(&one["values"]),
        bar: scaled(number(&one["data-bytes"]), most, WIDE_PX),
        files: count(number(&one["data-files"])),
        bytes: size(number(&one["data-bytes"])),
        rows: count(number(&one["data-records"])),
        deletes: count(number(&one["delete-files"])),
    };
    let is_partial = found["partial"].as_bool().unwrap_or_default();
    let hint = c::of_partitions(largest.len(), &count(number(&found["counted"])), is_partial);
    Partitions { hint, rows: largest.iter().map(row).collect() }
}

/// Returns the values of a partition, as engines name its folder.
fn partition_name(values: &Value) -> String {
    let values = values.as_array().map(Vec::as_slice).unwrap_or_default();
    if values.is_empty() {
        return t::NOT_PARTITIONED.to_owned();
    }
    let shown = values.iter().take(MAX_FIELDS).map(|one| {
        let name = one["name"].as_str().unwrap_or_default();
        format!("{name}={}", one["value"].as_str().unwrap_or(c::NULL))
    });
    shown.collect::<Vec<_>>().join(" / ")
}

/// Reads the statistics files of a table from its metadata, the newest first.
#[must_use]
pub fn statistics_files(metadata: &Value) -> Vec<StatisticsRow> {
    let rows = |list: &str, of_partitions: bool| {
        let files = metadata[list].as_array().map(Vec::as_slice).unwrap_or_default();
        let row = move |one: &Value| StatisticsRow {
            snapshot: one["snapshot-id"].as_i64().unwrap_or_default().to_string(),
            contents: if of_partitions { t::PARTITIONS.to_owned() } else { blobs(&one["blob-metadata"]) },
            bytes: size(number(&one["file-size-in-bytes"])),
            location: format::cut(one["statistics-path"].as_str().unwrap_or_default(), 300),
        };
        files.iter().rev().take(MAX_ROWS).map(row).collect::<Vec<_>>()
    };
    [rows("statistics", false), rows("partition-statistics", true)].concat()
}

/// Returns the kinds of a file's blobs, with their number.
fn blobs(blobs: &Value) -> String {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for blob in blobs.as_array().into_iter().flatten() {
        *kinds.entry(blob["type"].as_str().unwrap_or_default()).or_default() += 1;
    }
    let shown: Vec<String> = kinds
        .into_iter()
        .take(MAX_FIELDS)
        .map(|(kind, number)| format!("{number} × {}", format::cut(kind, 60)))
        .collect();
    shown.join(", ")
}

/// The page of a table's files.
#[derive(Debug, Template)]
#[template(path = "files.html")]
pub struct FilesPage {
    /// The frame.
    pub frame: Frame,
    /// The namespace.
    pub place: Location,
    /// The table's name.
    pub name: String,
    /// The links to the sections of the table.
    pub tabs: Vec<Tab>,
    /// The files.
    pub files: FilesView,
    /// The statistics files.
    pub statistics: Vec<StatisticsRow>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn health() -> Value {
        json!({
            "data-files": 3, "data-bytes": 5_000_000, "data-records": 1_234, "position-delete-files": 1, "equality-delete-files": 0,
            "manifests": 900, "manifests-read": 500, "partial": true,
            "sizes": [{ "below-bytes": 65_536, "files": 2, "bytes": 10 }, { "below-bytes": 262_144, "files": 0, "bytes": 0 },
                      { "below-bytes": null, "files": 1, "bytes": 4_999_990 }],
            "partitions": { "counted": 2, "partial": false, "largest": [
                { "values": [{ "name": "day", "value": "2026-01-31" }, { "name": "region" }], "data-bytes": 4_999_990, "data-files": 1 },
                { "values": [], "data-bytes": 10, "data-files": 2, "delete-files": 1 }] },
        })
    }

    #[test]
    fn histogram_is_scaled_to_the_class_with_the_most_files() {
        let view = FilesView::parse(&health());
        let heights: Vec<usize> = view.sizes.iter().map(|bar| bar.at[3]).collect();
        assert_eq!(heights, [150, 0, 75]);
        let labels: Vec<&str> = view.sizes.iter().map(|bar| bar.label.as_str()).collect();
        assert_eq!(labels, ["below 64 KiB", "64 KiB – 256 KiB", "256 KiB and more"]);
        assert!(view.covered.is_some_and(|text| text.contains("first 500 of 900 manifests")));
        assert!(FilesView::parse(&json!({ "sizes": health()["sizes"] })).sizes.is_empty(), "a table without files");
    }

    #[test]
    fn partitions_are_named_as_their_folders() {
        let partitions = FilesView::parse(&health()).partitions.unwrap();
        let names: Vec<&str> = partitions.rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["day=2026-01-31 / region=null", "Not partitioned."]);
        assert_eq!((partitions.rows[0].bar, partitions.rows[1].bar), (160, 1));
        assert_eq!(FilesView::parse(&json!({ "partitions": null })).partitions, None);
    }

    #[test]
    fn long_lists_are_cut() {
        let many = json!({ "data-files": 1, "sizes": vec![json!({ "files": u64::MAX }); 100],
                           "partitions": { "largest": vec![json!({ "data-bytes": u64::MAX }); 1_000] } });
        let view = FilesView::parse(&many);
        assert_eq!((view.sizes.len(), view.partitions.unwrap().rows.len()), (MAX_CLASSES, MAX_ROWS));
    }

    #[test]
    fn statistics_files_are_listed_with_their_contents() {
        let blob = |kind: &str| json!({ "type": kind });
        let metadata = json!({
            "statistics": [{ "snapshot-id": 7, "statistics-path": "s3://b/t/7.stats", "file-size-in-bytes": 2048,
                             "blob-metadata": [blob("theta"), blob("other"), blob("theta")] }],
            "partition-statistics": [{ "snapshot-id": 7, "statistics-path": "s3://b/t/p.parquet" }],
        });
        let rows = statistics_files(&metadata);
        assert_eq!((rows[0].contents.as_str(), rows[0].bytes.as_str()), ("1 × other, 2 × theta", "2.0 KiB"));
        assert_eq!((rows.len(), rows[1].contents.as_str()), (2, t::PARTITIONS));
        assert!(statistics_files(&json!(null)).is_empty());
    }
}
