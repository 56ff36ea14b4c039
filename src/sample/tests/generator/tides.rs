//! The readings: a harmonic tide for each harbour, storms that push water up the fjord, and icebergs.

use std::f64::consts::TAU;
use std::sync::Arc;

use anyhow::Result;
use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int32Array, Int64Array,
    RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, SchemaRef};

use crate::sample::assets;

/// 2026-01-01 in days since the epoch.
const FIRST_DAY: usize = 20_454;

/// The speeds of the constituents M2, S2, N2, K1 and O1, in degrees an hour.
const SPEEDS: [f64; 5] = [28.984_104_2, 30.0, 28.439_729_5, 15.041_068_6, 13.943_035_6];

/// A harbour and its tides. The sizes are near those of the real place, but not from a tide table.
pub(super) struct Station {
    pub(super) name: &'static str,
    /// Amplitudes of the constituents, in metres, in the order of [`SPEEDS`].
    amplitudes: [f64; 5],
    /// Phase lag of the semidiurnal tide, in degrees.
    lag: f64,
    /// Mean water temperature over the months, in degrees Celsius.
    water_c: f64,
    /// The usual number of icebergs in sight.
    icebergs: f64,
}

pub(super) const STATIONS: [Station; assets::STATIONS] = [
    Station {
        name: "Ilulissat",
        amplitudes: [0.67, 0.27, 0.13, 0.31, 0.16],
        lag: 130.0,
        water_c: -0.6,
        icebergs: 42.0,
    },
    Station { name: "Juneau", amplitudes: [2.01, 0.68, 0.41, 0.50, 0.31], lag: 12.0, water_c: 4.6, icebergs: 1.6 },
    Station {
        name: "Longyearbyen",
        amplitudes: [0.52, 0.20, 0.10, 0.06, 0.02],
        lag: 355.0,
        water_c: -0.4,
        icebergs: 4.0,
    },
    Station { name: "Tasiilaq", amplitudes: [1.10, 0.43, 0.21, 0.11, 0.08], lag: 160.0, water_c: -0.2, icebergs: 17.0 },
    Station { name: "Ushuaia", amplitudes: [0.58, 0.13, 0.12, 0.22, 0.18], lag: 55.0, water_c: 8.3, icebergs: 0.3 },
    Station { name: "Valdez", amplitudes: [1.42, 0.49, 0.29, 0.52, 0.31], lag: 290.0, water_c: 4.1, icebergs: 6.0 },
];

/// A storm: the hour of its peak, its surge in metres, and the stations that it reaches.
struct Storm(f64, f64, &'static [usize]);

const STORMS: [Storm; 6] = [
    Storm(307.0, 0.94, &[1, 5]),
    Storm(655.0, 0.71, &[0, 3]),
    Storm(988.0, 1.22, &[2, 3]),
    Storm(1390.0, 0.63, &[4]),
    Storm(1733.0, 0.88, &[0, 2]),
    Storm(2431.0, 1.05, &[1, 4, 5]),
];

/// The reading of one station in one hour.
struct Reading {
    surge_m: f64,
    tide_m: f64,
    high_water: bool,
    icebergs: i32,
    water_c: Option<f32>,
    alerts: Vec<&'static str>,
}

impl Reading {
    fn at(station: usize, hour: usize) -> Self {
        let place = &STATIONS[station];
        let h = hour as f64;
        let tide_m = tide(place, h);
        let chance = |what: u64| chance(what, station, hour);
        let surge_m = STORMS
            .iter()
            .filter(|storm| storm.2.contains(&station))
            .map(|storm| storm.1 * (-((h - storm.0) / 14.0).powi(2)).exp())
            .sum::<f64>()
            + 0.08 * (TAU * h / 97.0 + place.lag).sin()
            + 0.02 * (chance(1) - 0.5);
        // Glaciers calve most at spring tides, and rarely much at once.
        let calving = if chance(2) < 0.004 { 4.0 } else { 0.6 + 0.8 * chance(3) };
        let icebergs = place.icebergs * calving * (1.0 + 0.25 * (TAU * h / 354.4).cos()) + chance(4);
        let low = -0.9 * (place.amplitudes[0] + place.amplitudes[1]);
        let alerts =
            [("surge", surge_m > 0.5), ("ice", icebergs > 2.5 * place.icebergs + 2.0), ("low water", tide_m < low)];
        Self {
            surge_m,
            tide_m,
            high_water: tide_m > tide(place, h - 1.0) && tide_m >= tide(place, h + 1.0),
            icebergs: icebergs as i32,
            water_c: (chance(5) > 0.01).then(|| (water_c(place, h) * 10.0 + chance(6)).floor() as f32 / 10.0),
            alerts: alerts.iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect(),
        }
    }
}

/// Returns the predicted tide in metres, rounded to the millimetre: smaller digits could differ between machines.
fn tide(place: &Station, hour: f64) -> f64 {
    let sum: f64 = (0..SPEEDS.len())
        .map(|i| place.amplitudes[i] * ((SPEEDS[i] * hour - place.lag * SPEEDS[i] / SPEEDS[0]).to_radians()).cos())
        .sum();
    // Adding 0 turns -0 into 0. They are one value in SQL, but two in a sketch of distinct values.
    (sum * 1000.0).round() / 1000.0 + 0.0
}

/// Returns the water temperature in degrees Celsius: coldest at the end of February, in Ushuaia warmest.
fn water_c(place: &Station, hour: f64) -> f64 {
    let season = (TAU * (hour - 1400.0) / 8766.0).cos() * if place.name == "Ushuaia" { -1.0 } else { 1.0 };
    place.water_c - 0.9 * season + 0.3 * (TAU * hour / 24.0).sin()
}

/// Returns a reproducible pseudo-random number from 0 to 1: the mixing step of SplitMix64.
fn chance(what: u64, station: usize, hour: usize) -> f64 {
    let mut z = (what << 48 | (station as u64) << 32 | hour as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Returns one month of readings of one station, by time. `schema` is the table's Arrow schema.
pub(super) fn month(batch: usize, station: usize, schema: &SchemaRef) -> Result<RecordBatch> {
    let first = 24 * assets::MONTHS[..batch].iter().map(|month| month.days).sum::<usize>();
    let hours = first..first + 24 * assets::MONTHS[batch].days;
    let readings: Vec<Reading> = hours.clone().map(|hour| Reading::at(station, hour)).collect();
    let day = |hour: usize| FIRST_DAY + hour / 24;
    let micros = |hour: usize| ((FIRST_DAY * 24 + hour) * 3_600_000_000) as i64;
    let level_mm = |r: &Reading| ((r.tide_m + r.surge_m) * 1000.0).round() as i128;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(hours.clone().map(|hour| (hour * STATIONS.len() + station + 1) as i64))),
        Arc::new(StringArray::from_iter_values(hours.clone().map(|_| STATIONS[station].name))),
        Arc::new(TimestampMicrosecondArray::from_iter_values(hours.clone().map(micros)).with_timezone("+00:00")),
        Arc::new(Date32Array::from_iter_values(hours.map(|hour| day(hour) as i32))),
        Arc::new(Decimal128Array::from_iter_values(readings.iter().map(level_mm)).with_precision_and_scale(6, 3)?),
        Arc::new(Float64Array::from_iter_values(readings.iter().map(|r| r.tide_m))),
        Arc::new(readings.iter().map(|r| Some(r.high_water)).collect::<BooleanArray>()),
        Arc::new(Int32Array::from_iter_values(readings.iter().map(|r| r.icebergs))),
        Arc::new(readings.iter().map(|r| r.water_c).collect::<Float32Array>()),
        alerts(&readings, schema)?,
    ];
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

/// Returns the list column. Its element has the field id of the table's schema.
fn alerts(readings: &[Reading], schema: &SchemaRef) -> Result<ArrayRef> {
    let DataType::List(element) = schema.field_with_name("alerts")?.data_type() else {
        anyhow::bail!("the column alerts is not a list");
    };
    let mut lists = ListBuilder::new(StringBuilder::new()).with_field(element.clone());
    for reading in readings {
        lists.append_value(reading.alerts.iter().map(Some));
    }
    Ok(Arc::new(lists.finish()))
}
