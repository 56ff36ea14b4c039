//! Rows, and what a filter says about one of them: the truth that the rules are compared with.

use std::cmp::Ordering;
use std::collections::HashMap;

use tidewater_core::document::{PartitionSpec, Schema, Transform};
use tidewater_core::scan::apply::apply;
use tidewater_core::scan::bound::{Bound, Comparison, Test};
use tidewater_core::scan::statistics::FileStatistics;
use tidewater_core::scan::value::{Value, ValueType};

/// The columns of the test's table: their types, by field id from 1.
pub(super) const COLUMNS: [(&str, &str, ValueType); 11] = [
    ("i", "int", ValueType::Int),
    ("l", "long", ValueType::Long),
    ("d", "double", ValueType::Double),
    ("s", "string", ValueType::String),
    ("dt", "date", ValueType::Date),
    ("ts", "timestamp", ValueType::Timestamp { zoned: false }),
    ("tn", "timestamptz_ns", ValueType::TimestampNano { zoned: true }),
    ("dec", "decimal(9,2)", ValueType::Decimal { precision: 9, scale: 2 }),
    ("bin", "binary", ValueType::Binary),
    ("u", "uuid", ValueType::Uuid),
    ("f", "float", ValueType::Float),
];

pub(super) type Row = Vec<Option<Value>>;

pub(super) fn schema() -> Schema {
    let fields: Vec<String> = COLUMNS
        .iter()
        .zip(1..)
        .map(|((name, kind, _), id)| format!(r#"{{"id":{id},"name":"{name}","required":false,"type":"{kind}"}}"#))
        .collect();
    Schema::parse(&format!(r#"{{"type":"struct","fields":[{}]}}"#, fields.join(","))).unwrap()
}

/// Returns the spec with these functions of these columns.
pub(super) fn spec(fields: &[(i32, Transform)]) -> PartitionSpec {
    let fields: Vec<String> = fields
        .iter()
        .enumerate()
        .map(|(n, (source, transform))| {
            format!(r#"{{"source-id":{source},"field-id":{},"name":"p{n}","transform":"{transform}"}}"#, 1000 + n)
        })
        .collect();
    PartitionSpec::parse(&format!(r#"{{"spec-id":1,"fields":[{}]}}"#, fields.join(","))).unwrap()
}

/// What readers disagree on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader {
    pub(super) nan_is_highest: bool,
    zeros_differ: bool,
    null_differs: bool,
    signed_uuids: bool,
}

/// Returns all kinds of readers.
pub(super) fn readers() -> impl Iterator<Item = Reader> {
    (0..16).map(|bits| Reader {
        nan_is_highest: bits & 1 != 0,
        zeros_differ: bits & 2 != 0,
        null_differs: bits & 4 != 0,
        signed_uuids: bits & 8 != 0,
    })
}

impl Reader {
    fn compare(self, one: &Value, other: &Value) -> Option<Ordering> {
        match (one, other) {
            (Value::Float(a), Value::Float(b)) => self.compare_floats(f64::from(*a), f64::from(*b)),
            (Value::Double(a), Value::Double(b)) => self.compare_floats(*a, *b),
            (Value::Uuid(a), Value::Uuid(b)) if self.signed_uuids => Some(signed(*a).cmp(&signed(*b))),
            _ => Some(one.compare(other).unwrap()),
        }
    }

    fn compare_floats(self, one: f64, other: f64) -> Option<Ordering> {
        match (one.is_nan(), other.is_nan()) {
            (false, false) if self.zeros_differ => Some(one.total_cmp(&other)),
            (false, false) => one.partial_cmp(&other),
            (a, b) => self.nan_is_highest.then(|| a.cmp(&b)),
        }
    }

    /// Returns whether a row matches a filter.
    pub(super) fn matches(self, bound: &Bound, row: &Row) -> bool {
        match bound {
            Bound::True => true,
            Bound::False => false,
            Bound::And(parts) => parts.iter().all(|part| self.matches(part, row)),
            Bound::Or(parts) => parts.iter().any(|part| self.matches(part, row)),
            Bound::Test(test) => self.passes(test, row),
        }
    }

    fn passes(self, Test { term, comparison }: &Test, row: &Row) -> bool {
        use Comparison as C;
        let value = row[usize::try_from(term.field_id).unwrap() - 1].as_ref();
        let value = value.and_then(|value| apply(&term.transform, term.source.unwrap(), value));
        let Some(value) = value else {
            return match comparison {
                C::IsNull => true,
                C::NotNan | C::NotEqual(_) | C::NotIn(_) | C::NotStartsWith(_) => self.null_differs,
                _ => false,
            };
        };
        let order = |literal| self.compare(&value, literal);
        let equal = |literal| order(literal) == Some(Ordering::Equal);
        let starts = |prefix: &Value| match (&value, prefix) {
            (Value::String(text), Value::String(prefix)) => text.starts_with(&**prefix),
            (Value::Binary(bytes), Value::Binary(prefix)) => bytes.starts_with(prefix),
            other => panic!("{other:?}"),
        };
        match comparison {
            C::IsNull => false,
            C::NotNull => true,
            C::IsNan => value.is_nan(),
            C::NotNan => !value.is_nan(),
            C::Less(literal) => order(literal).is_some_and(Ordering::is_lt),
            C::LessOrEqual(literal) => order(literal).is_some_and(Ordering::is_le),
            C::Greater(literal) => order(literal).is_some_and(Ordering::is_gt),
            C::GreaterOrEqual(literal) => order(literal).is_some_and(Ordering::is_ge),
            C::Equal(literal) => equal(literal),
            C::NotEqual(literal) => !equal(literal),
            C::In(literals) => literals.iter().any(equal),
            C::NotIn(literals) => !literals.iter().any(equal),
            C::StartsWith(prefix) => starts(prefix),
            C::NotStartsWith(prefix) => !starts(prefix),
        }
    }
}

/// Returns the halves of a UUID as signed numbers, by which some writers order them.
pub(super) fn signed(uuid: u128) -> (i64, i64) {
    let half = |bits: u128| i64::from_ne_bytes(u64::try_from(bits & u128::from(u64::MAX)).unwrap().to_ne_bytes());
    (half(uuid >> 64), half(uuid))
}

/// Statistics of a file.
#[derive(Debug, Default, Clone)]
pub(super) struct Statistics {
    pub(super) rows: i64,
    pub(super) columns: HashMap<i32, ColumnStatistics>,
}

#[derive(Debug, Default, Clone)]
pub(super) struct ColumnStatistics {
    pub(super) size: Option<i64>,
    pub(super) values: Option<i64>,
    pub(super) nulls: Option<i64>,
    pub(super) nans: Option<i64>,
    pub(super) lower: Option<Vec<u8>>,
    pub(super) upper: Option<Vec<u8>>,
}

impl FileStatistics for Statistics {
    fn record_count(&self) -> i64 {
        self.rows
    }
    fn value_count(&self, field_id: i32) -> Option<i64> {
        self.columns.get(&field_id)?.values
    }
    fn null_value_count(&self, field_id: i32) -> Option<i64> {
        self.columns.get(&field_id)?.nulls
    }
    fn nan_value_count(&self, field_id: i32) -> Option<i64> {
        self.columns.get(&field_id)?.nans
    }
    fn column_size_bytes(&self, field_id: i32) -> Option<i64> {
        self.columns.get(&field_id)?.size
    }
    fn lower_bound(&self, field_id: i32) -> Option<&[u8]> {
        self.columns.get(&field_id)?.lower.as_deref()
    }
    fn upper_bound(&self, field_id: i32) -> Option<&[u8]> {
        self.columns.get(&field_id)?.upper.as_deref()
    }
}
