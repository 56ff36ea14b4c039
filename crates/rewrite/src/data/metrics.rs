//! The statistics of a new data file, from its footer (specification, "Manifest Entry Fields").

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use parquet::data_type::AsBytes;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;
use tidewater_core::document::{Properties, SchemaIndex};
use tidewater_core::scan::value::{Value, ValueType};

use crate::manifest::Metrics;

/// The length of bounds unless the table's properties say another: characters of a text, or bytes.
const DEFAULT_LENGTH: usize = 16;

/// Which statistics a column has (table properties `write.metadata.metrics.*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    None,
    Counts,
    /// All, with bounds of at most this length.
    Bounds(usize),
}

impl Mode {
    fn parse(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "none" => Some(Self::None),
            "counts" => Some(Self::Counts),
            "full" => Some(Self::Bounds(usize::MAX)),
            text => {
                let length = text.strip_prefix("truncate(")?.strip_suffix(')')?.trim().parse().ok();
                length.filter(|length| *length > 0).map(Self::Bounds)
            }
        }
    }

    fn new(properties: &Properties, column: &str) -> Self {
        let of = |key: &str| properties.get(key).and_then(|mode| Self::parse(mode));
        of(&format!("write.metadata.metrics.column.{column}"))
            .or_else(|| of("write.metadata.metrics.default"))
            .unwrap_or(Self::Bounds(DEFAULT_LENGTH))
    }
}

/// The statistics of one column while they are collected from row groups.
#[derive(Debug, Default)]
struct Collected {
    size: i64,
    values: i64,
    nulls: Option<i64>,
    bounds: Option<(Value, Value)>,
    /// Whether a row group has values and no bounds, other than NaN.
    is_unbounded: bool,
    is_repeated: bool,
}

/// Returns the statistics of a file. `nans` has the number of NaN of each column that was counted.
pub(crate) fn metrics(
    footer: &ParquetMetaData,
    schema: &SchemaIndex<'_>,
    properties: &Properties,
    nans: &HashMap<i32, i64>,
) -> Metrics {
    let mut columns: BTreeMap<i32, Collected> = BTreeMap::new();
    for group in footer.row_groups() {
        for column in group.columns() {
            let described = column.column_descr();
            let info = described.self_type().get_basic_info();
            if !info.has_id() || schema.column(info.id()).is_none() {
                continue;
            }
            let is_first = !columns.contains_key(&info.id());
            let collected = columns.entry(info.id()).or_default();
            collected.size += column.compressed_size();
            collected.values += column.num_values();
            collected.is_repeated = described.max_rep_level() > 0;
            let nulls =
                column.statistics().and_then(Statistics::null_count_opt).and_then(|nulls| i64::try_from(nulls).ok());
            let before = if is_first { Some(0) } else { collected.nulls };
            collected.nulls = before.zip(nulls).map(|(before, nulls)| before + nulls);
            let kind = schema.column(info.id()).and_then(|column| ValueType::from_type(column.column_type));
            match (kind, column.statistics()) {
                (Some(kind), Some(statistics)) => collected.add_bounds(kind, statistics, column.num_values(), nulls),
                _ => collected.is_unbounded = true,
            }
        }
    }
    let mut metrics = Metrics::default();
    for (id, collected) in columns {
        collected.write(id, Mode::new(properties, &schema.full_name(id)), nans.get(&id).copied(), &mut metrics);
    }
    metrics
}

impl Collected {
    fn add_bounds(&mut self, kind: ValueType, statistics: &Statistics, values: i64, nulls: Option<i64>) {
        let bounds =
            value(kind, statistics, Statistics::min_bytes_opt).zip(value(kind, statistics, Statistics::max_bytes_opt));
        let Some((lower, upper)) = bounds else {
            let is_float = matches!(kind, ValueType::Float | ValueType::Double);
            self.is_unbounded |= nulls != Some(values) && !is_float;
            return;
        };
        self.bounds = Some(match self.bounds.take() {
            None => (lower, upper),
            Some((least, most)) => (
                if lower.compare(&least) == Some(Ordering::Less) { lower } else { least },
                if upper.compare(&most) == Some(Ordering::Greater) { upper } else { most },
            ),
        });
    }

    fn write(self, id: i32, mode: Mode, nans: Option<i64>, metrics: &mut Metrics) {
        metrics.column_sizes.push((id, self.size));
        // Readers take the counts of a column as those of its rows, which a list's or map's are not.
        if mode == Mode::None || self.is_repeated {
            return;
        }
        metrics.value_counts.push((id, self.values));
        metrics.null_counts.extend(self.nulls.map(|nulls| (id, nulls)));
        metrics.nan_counts.extend(nans.map(|nans| (id, nans)));
        let (Mode::Bounds(length), false, Some((lower, upper))) = (mode, self.is_unbounded, self.bounds) else {
            return;
        };
        metrics.lower_bounds.push((id, truncate_lower(&lower, length).to_bytes()));
        metrics.upper_bounds.extend(truncate_upper(&upper, length).map(|upper| (id, upper.to_bytes())));
    }
}

/// Returns a bound of a row group as a value of the column's type. None if there is none, and for a `uuid`, which readers
/// compare in different orders.
fn value<'s>(
    kind: ValueType,
    statistics: &'s Statistics,
    bytes: impl FnOnce(&'s Statistics) -> Option<&'s [u8]>,
) -> Option<Value> {
    let bytes = bytes(statistics)?;
    match (kind, statistics) {
        (ValueType::Uuid, _) => None,
        (ValueType::Boolean, _) => bytes.first().map(|byte| Value::Boolean(*byte != 0)),
        (ValueType::Decimal { .. }, Statistics::Int32(_)) => {
            Some(Value::Decimal(i128::from(i32::from_le_bytes(bytes.try_into().ok()?))))
        }
        (ValueType::Decimal { .. }, Statistics::Int64(_)) => {
            Some(Value::Decimal(i128::from(i64::from_le_bytes(bytes.try_into().ok()?))))
        }
        (kind, _) => Value::from_bytes(kind, bytes.as_bytes()),
    }
}

fn truncate_lower(value: &Value, length: usize) -> Value {
    match value {
        Value::String(text) => Value::String(text.chars().take(length).collect::<String>().into()),
        Value::Binary(bytes) => Value::Binary(bytes[..bytes.len().min(length)].into()),
        other => other.clone(),
    }
}

/// Returns the least value of at most so many characters or bytes that is not less. None if there is none.
fn truncate_upper(value: &Value, length: usize) -> Option<Value> {
    match value {
        Value::String(text) if text.chars().nth(length).is_some() => {
            let mut kept: Vec<char> = text.chars().take(length).collect();
            while let Some(last) = kept.pop() {
                if let Some(next) = next_char(last) {
                    kept.push(next);
                    return Some(Value::String(kept.into_iter().collect::<String>().into()));
                }
            }
            None
        }
        Value::Binary(bytes) if bytes.len() > length => {
            let mut kept = bytes[..length].to_vec();
            while let Some(last) = kept.pop() {
                if let Some(next) = last.checked_add(1) {
                    kept.push(next);
                    return Some(Value::Binary(kept.into()));
                }
            }
            None
        }
        other => Some(other.clone()),
    }
}

fn next_char(character: char) -> Option<char> {
    // Surrogates are no characters.
    let next = if character == '\u{d7ff}' { 0xe000 } else { u32::from(character) + 1 };
    char::from_u32(next)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn modes_are_those_of_the_table_properties() {
        let properties = Properties::from([
            ("write.metadata.metrics.default".to_owned(), "counts".to_owned()),
            ("write.metadata.metrics.column.a.b".to_owned(), "truncate(3)".to_owned()),
            ("write.metadata.metrics.column.c".to_owned(), "Full".to_owned()),
        ]);
        assert_eq!(Mode::new(&properties, "x"), Mode::Counts);
        assert_eq!(Mode::new(&properties, "a.b"), Mode::Bounds(3));
        assert_eq!(Mode::new(&properties, "c"), Mode::Bounds(usize::MAX));
        assert_eq!(Mode::new(&Properties::new(), "x"), Mode::Bounds(16));
    }

    proptest! {
        #[test]
        fn truncated_bounds_contain_the_value(text in any::<String>(), bytes: Vec<u8>, length in 1_usize..6) {
            for value in [Value::String(text.clone().into()), Value::Binary(bytes.clone().into())] {
                let lower = truncate_lower(&value, length);
                prop_assert!(lower.compare(&value) != Some(Ordering::Greater));
                if let Some(upper) = truncate_upper(&value, length) {
                    prop_assert!(upper.compare(&value) != Some(Ordering::Less));
                    let size = match &upper {
                        Value::String(text) => text.chars().count(),
                        other => other.to_bytes().len(),
                    };
                    prop_assert!(size <= length);
                }
            }
        }
    }
}
