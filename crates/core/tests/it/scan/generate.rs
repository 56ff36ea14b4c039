//! Random values, rows, files, filters and specs, from a seed. The values are few and near the limits of the rules, so that
//! rows, literals and bounds often are equal or next to each other.

use tidewater_core::document::Transform;
use tidewater_core::scan::apply::{apply, result_type};
use tidewater_core::scan::bound::{Bound, Comparison, Term, Test};
use tidewater_core::scan::statistics::FieldSummary;
use tidewater_core::scan::value::{Value, ValueType};

use super::rows::{COLUMNS, ColumnStatistics, Row, Statistics, signed};

/// A generator of random choices (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators").
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    /// Returns true in one of `n` cases.
    pub(super) fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(super) fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }

    pub(super) fn number(&mut self, low: i64, high: i64) -> i64 {
        low + i64::try_from(self.next() % u64::try_from(high - low + 1).unwrap()).unwrap()
    }

    pub(super) fn value(&mut self, kind: ValueType) -> Value {
        let small = |random: &mut Self| i32::try_from(random.number(-6, 6)).unwrap();
        match kind {
            ValueType::Boolean => Value::Boolean(self.once_in(2)),
            ValueType::Int if self.once_in(20) => Value::Int(self.pick(&[i32::MIN, i32::MAX])),
            ValueType::Int => Value::Int(small(self)),
            ValueType::Long if self.once_in(20) => Value::Long(self.pick(&[i64::MIN, i64::MAX])),
            ValueType::Long => Value::Long(self.number(-6, 6)),
            ValueType::Float => {
                Value::Float(self.pick(&[-1.5, -0.0, 0.0, 0.5, 1.5, f32::INFINITY, f32::NAN, f32::NEG_INFINITY]))
            }
            ValueType::Double => {
                Value::Double(self.pick(&[-1.5, -0.0, 0.0, 0.5, 1.5, f64::INFINITY, f64::NAN, f64::NEG_INFINITY]))
            }
            ValueType::Decimal { .. } => Value::Decimal(i128::from(self.number(-12, 12))),
            ValueType::Date if self.once_in(2) => Value::Date(small(self)),
            ValueType::Date => Value::Date(i32::try_from(self.number(-800, 800)).unwrap()),
            ValueType::Time => Value::Time(self.number(0, 5)),
            ValueType::Timestamp { .. } => Value::Timestamp(self.time(1)),
            ValueType::TimestampNano { .. } => Value::TimestampNano(self.time(1000)),
            ValueType::String => {
                let length = self.below(5);
                Value::String(
                    (0..length).map(|_| self.pick(&['a', 'b', 'é', '\u{ffff}', '𝄞'])).collect::<String>().into(),
                )
            }
            ValueType::Uuid => {
                let half = |random: &mut Self| u128::from(random.pick(&[0, 1, u64::MAX, 1 << 63, (1 << 63) - 1]));
                Value::Uuid(half(self) << 64 | half(self))
            }
            ValueType::Fixed(_) | ValueType::Binary => {
                let length = self.below(4);
                Value::Binary((0..length).map(|_| self.pick(&[0, 1, 0xff])).collect())
            }
        }
    }

    /// Returns a time near a boundary of an hour, day, month or year.
    fn time(&mut self, units_per_micro: i64) -> i64 {
        const HOUR: i64 = 3_600_000_000;
        let hours = self.pick(&[1, 24, 24 * 31, 24 * 365]) * self.number(-3, 3);
        (hours * HOUR + self.pick(&[-HOUR, -1, 0, 0, 1, HOUR])) * units_per_micro + self.number(-1, 1)
    }

    fn literal(&mut self, kind: ValueType) -> Value {
        loop {
            let value = self.value(kind);
            if !value.is_nan() {
                return value;
            }
        }
    }

    fn literals(&mut self, kind: ValueType) -> Vec<Value> {
        let many = if self.once_in(8) { 300 } else { 4 };
        let mut literals: Vec<Value> = (0..self.below(many) + 2).map(|_| self.literal(kind)).collect();
        literals.sort_by(|one, other| one.compare(other).unwrap());
        literals.dedup_by(|one, other| one.compare(other).unwrap().is_eq());
        literals
    }

    fn comparison(&mut self, kind: ValueType) -> Comparison {
        use Comparison as C;
        let is_float = matches!(kind, ValueType::Float | ValueType::Double);
        let is_text = matches!(kind, ValueType::String | ValueType::Binary);
        match self.below(14) {
            0 => C::IsNull,
            1 => C::NotNull,
            2 if is_float => C::IsNan,
            3 if is_float => C::NotNan,
            4 => C::Less(self.literal(kind)),
            5 => C::LessOrEqual(self.literal(kind)),
            6 => C::Greater(self.literal(kind)),
            7 => C::GreaterOrEqual(self.literal(kind)),
            8 => C::NotEqual(self.literal(kind)),
            9 => match self.literals(kind) {
                literals if literals.len() > 1 => C::In(literals),
                mut literals => C::Equal(literals.remove(0)),
            },
            10 => match self.literals(kind) {
                literals if literals.len() > 1 => C::NotIn(literals),
                mut literals => C::NotEqual(literals.remove(0)),
            },
            11 if is_text => C::StartsWith(self.literal(kind)),
            12 if is_text => C::NotStartsWith(self.literal(kind)),
            _ => C::Equal(self.literal(kind)),
        }
    }

    fn transform(&mut self, source: ValueType) -> Transform {
        let all = [
            Transform::Identity,
            Transform::Bucket(3),
            Transform::Truncate(1),
            Transform::Truncate(2),
            Transform::Truncate(5),
            Transform::Year,
            Transform::Month,
            Transform::Day,
            Transform::Hour,
            Transform::Void,
        ];
        loop {
            let transform = self.pick(&all);
            if result_type(&transform, source).is_some() {
                return transform;
            }
        }
    }

    /// Returns one of a few columns, so that filters and specs often have the same.
    fn column(&mut self, columns: &[i32]) -> i32 {
        self.pick(columns)
    }

    pub(super) fn columns(&mut self) -> Vec<i32> {
        (0..self.below(2) + 1).map(|_| i32::try_from(self.below(COLUMNS.len()) + 1).unwrap()).collect()
    }

    pub(super) fn spec(&mut self, columns: &[i32]) -> Vec<(i32, Transform)> {
        let fields = (0..self.below(3)).map(|_| {
            let id = self.column(columns);
            (id, self.transform(source(id)))
        });
        fields.collect()
    }

    /// Returns a filter of the columns. Some of its terms are the functions of `spec`.
    pub(super) fn filter(&mut self, columns: &[i32], spec: &[(i32, Transform)], depth: usize) -> Bound {
        if depth > 0 && self.once_in(2) {
            let parts = (0..self.below(2) + 2).map(|_| self.filter(columns, spec, depth - 1)).collect();
            return if self.once_in(2) { Bound::And(parts) } else { Bound::Or(parts) };
        }
        if self.once_in(40) {
            return self.pick(&[Bound::True, Bound::False]);
        }
        let (field_id, transform) = match self.below(4) {
            0 if !spec.is_empty() => self.pick(spec),
            1 => {
                let id = self.column(columns);
                (id, self.transform(source(id)))
            }
            _ => (self.column(columns), Transform::Identity),
        };
        let transform = if transform == Transform::Void { Transform::Identity } else { transform };
        let source = source(field_id);
        let comparison = self.comparison(result_type(&transform, source).unwrap());
        let name = COLUMNS[usize::try_from(field_id).unwrap() - 1].0.into();
        Bound::Test(Test {
            term: Term { field_id, name, source: Some(source), required: false, transform },
            comparison,
        })
    }

    pub(super) fn row(&mut self) -> Row {
        COLUMNS.iter().map(|(_, _, kind)| (!self.once_in(6)).then(|| self.value(*kind))).collect()
    }

    /// Returns rows that differ in few columns.
    pub(super) fn rows(&mut self, columns: &[i32]) -> Vec<Row> {
        let first = self.row();
        let mut rows = vec![first.clone()];
        for _ in 0..self.below(5) {
            let mut row = first.clone();
            let changed = usize::try_from(self.column(columns)).unwrap() - 1;
            row[changed] = (!self.once_in(6)).then(|| self.value(COLUMNS[changed].2));
            rows.push(row);
        }
        rows
    }

    /// Returns true and sound statistics of the rows, with gaps.
    pub(super) fn statistics(&mut self, rows: &[Row]) -> Statistics {
        let columns = COLUMNS.iter().zip(1..).filter(|_| !self.once_in(8)).collect::<Vec<_>>();
        let columns = columns.into_iter().map(|((_, _, kind), id)| {
            let values: Vec<Option<Value>> =
                rows.iter().map(|row| row[usize::try_from(id).unwrap() - 1].clone()).collect();
            (id, self.column_statistics(&values, *kind))
        });
        let columns = columns.collect();
        Statistics { rows: count(rows.iter()), columns }
    }

    fn column_statistics(&mut self, values: &[Option<Value>], kind: ValueType) -> ColumnStatistics {
        let (lower, upper) = self.bounds(values, kind);
        let gap = |random: &mut Self, count| (!random.once_in(8)).then_some(count);
        ColumnStatistics {
            size: None,
            values: gap(self, count(values.iter())),
            nulls: gap(self, count(values.iter().filter(|value| value.is_none()))),
            nans: gap(self, count(values.iter().flatten().filter(|value| value.is_nan()))),
            lower: lower.filter(|_| !self.once_in(8)),
            upper: upper.filter(|_| !self.once_in(8)),
        }
    }

    fn bounds(&mut self, values: &[Option<Value>], kind: ValueType) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
        let mut values: Vec<&Value> = values.iter().flatten().filter(|value| !value.is_nan()).collect();
        values.sort_by(|one, other| one.compare(other).unwrap());
        if kind == ValueType::Uuid && self.once_in(2) {
            values.sort_by_key(|value| match value {
                Value::Uuid(uuid) => signed(*uuid),
                other => panic!("{other:?}"),
            });
        }
        let (Some(lowest), Some(highest)) = (values.first(), values.last()) else { return (None, None) };
        let (mut lower, mut upper) = (lowest.to_bytes(), highest.to_bytes());
        match (lowest, highest) {
            (Value::String(lowest), Value::String(highest)) if self.once_in(2) => {
                lower = lowest.chars().take(1).collect::<String>().into_bytes();
                upper = highest.chars().take(1).chain(['\u{10ffff}'; 5]).collect::<String>().into_bytes();
            }
            (Value::Binary(_), Value::Binary(_)) if self.once_in(2) => {
                lower.truncate(1);
                upper.truncate(1);
                upper.extend([0xff; 5]);
            }
            // Written before the column became a `long`.
            (Value::Long(lowest), Value::Long(highest)) if self.once_in(4) => {
                if let (Ok(lowest), Ok(highest)) = (i32::try_from(*lowest), i32::try_from(*highest)) {
                    (lower, upper) = (lowest.to_le_bytes().to_vec(), highest.to_le_bytes().to_vec());
                }
            }
            _ => {}
        }
        (Some(lower), Some(upper))
    }

    /// Returns the summary of a partition field's values in a manifest.
    pub(super) fn summary(&mut self, values: &[Option<Value>], kind: Option<ValueType>) -> FieldSummary {
        let (lower, upper) = kind.map_or((None, None), |kind| self.bounds(values, kind));
        FieldSummary {
            contains_null: values.iter().any(Option::is_none),
            contains_nan: (!self.once_in(3)).then(|| values.iter().flatten().any(Value::is_nan)),
            lower_bound: lower.map(Into::into),
            upper_bound: upper.map(Into::into),
        }
    }
}

fn count<T>(values: impl Iterator<Item = T>) -> i64 {
    i64::try_from(values.count()).unwrap()
}

/// Returns the type of a column.
pub(super) fn source(field_id: i32) -> ValueType {
    COLUMNS[usize::try_from(field_id).unwrap() - 1].2
}

/// Returns the partition of a row. Old writers rounded times before 1970 up. None if the result of a function is outside its
/// type, as when the lowest `int` is truncated.
pub(super) fn partition(row: &Row, spec: &[(i32, Transform)], old_writer: bool) -> Option<Vec<Option<Value>>> {
    let field = |(id, transform): &(i32, Transform)| {
        let source = source(*id);
        let Some(value) = row[usize::try_from(*id).unwrap() - 1].as_ref().filter(|_| *transform != Transform::Void)
        else {
            return Some(None);
        };
        let result = apply(transform, source, value)?;
        let is_time = matches!(transform, Transform::Year | Transform::Month | Transform::Day | Transform::Hour);
        let before = match value {
            Value::Date(days) if *transform != Transform::Day => Some(Value::Date(days - 1)),
            Value::Timestamp(micros) => Some(Value::Timestamp(micros - 1)),
            Value::TimestampNano(nanos) => Some(Value::TimestampNano(nanos - 1)),
            _ => None,
        };
        let rounded_down = before.is_some_and(|before| apply(transform, source, &before).as_ref() == Some(&result));
        Some(Some(match result {
            Value::Int(number) if old_writer && is_time && rounded_down && number < 0 => Value::Int(number + 1),
            Value::Date(number) if old_writer && is_time && rounded_down && number < 0 => Value::Date(number + 1),
            result => result,
        }))
    };
    spec.iter().map(field).collect()
}
