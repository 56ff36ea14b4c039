//! The sample's files in the repository. The generator in the tests writes them, so that a build needs neither a Parquet
//! writer nor a library of sketches.

/// A month of readings: one snapshot, one manifest, and a data file for each station.
pub(super) struct Month {
    /// The month as in `2026-01`.
    pub(super) name: &'static str,
    pub(super) days: usize,
    /// The manifest, with placeholders for paths and the snapshot id.
    pub(super) manifest: &'static [u8],
    /// The Parquet file of each station, in the manifest's order.
    pub(super) data: [Asset; STATIONS],
}

/// A file with the name of its station.
pub(super) type Asset = (&'static str, &'static [u8]);

/// The number of stations.
pub(super) const STATIONS: usize = 6;

macro_rules! data_file {
    ($month:literal, $station:literal) => {
        ($station, include_bytes!(concat!("assets/", $month, "/", $station, ".parquet")))
    };
}

macro_rules! month {
    ($month:literal, $days:literal) => {
        Month {
            name: $month,
            days: $days,
            manifest: include_bytes!(concat!("assets/", $month, "/manifest.avro")),
            data: [
                data_file!($month, "Ilulissat"),
                data_file!($month, "Juneau"),
                data_file!($month, "Longyearbyen"),
                data_file!($month, "Tasiilaq"),
                data_file!($month, "Ushuaia"),
                data_file!($month, "Valdez"),
            ],
        }
    };
}

/// The months, in the order of their snapshots.
pub(super) const MONTHS: [Month; 4] =
    [month!("2026-01", 31), month!("2026-02", 28), month!("2026-03", 31), month!("2026-04", 30)];

/// The manifest list of the snapshot with all months, newest first, with placeholders for paths, lengths and ids.
pub(super) const MANIFEST_LIST: &[u8] = include_bytes!("assets/manifest-list.avro");

/// The statistics file up to its footer: the magic and the sketches.
pub(super) const SKETCHES: &[u8] = include_bytes!("assets/sketches.bin");

/// Where each sketch is in [`SKETCHES`], as JSON.
pub(super) const SKETCH_INDEX: &str = include_str!("assets/sketches.json");
