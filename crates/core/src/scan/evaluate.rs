//! Tests of single values and of ranges of values, with an answer only where all readers agree.

use std::cmp::Ordering;

use super::bound::Comparison;
use super::value::Value;

/// The most literals of an `in` that are compared with a range one by one. The reference implementation has the same limit.
const MAX_COMPARED_LITERALS: usize = 200;

/// Returns the order of two values for two kinds of readers and writers. They disagree about some values:
/// - -0.0 is equal to 0.0 for the first (IEEE 754), and less for the second (as in the reference implementation);
/// - a UUID is an unsigned number for the first, and two signed numbers for the second.
///
/// Returns `None` if the values have different types, or one is a NaN.
fn orders(one: &Value, other: &Value) -> Option<[Ordering; 2]> {
    use Value as V;
    match (one, other) {
        (V::Float(_) | V::Double(_), V::Float(_) | V::Double(_)) => {
            let (one, other) = (as_float(one)?, as_float(other)?);
            Some([one.partial_cmp(&other)?, one.total_cmp(&other)])
        }
        (V::Uuid(_), V::Uuid(_)) => Some([one.compare(other)?, one.compare_with_signed_uuids(other)?]),
        _ => agreed_order(one, other).map(|order| [order; 2]),
    }
}

/// Compares two values of a type about whose order all readers and writers agree.
fn agreed_order(one: &Value, other: &Value) -> Option<Ordering> {
    use Value as V;
    match (one, other) {
        (V::Boolean(a), V::Boolean(b)) => Some(a.cmp(b)),
        (V::Decimal(a), V::Decimal(b)) => Some(a.cmp(b)),
        (V::Time(a), V::Time(b)) | (V::Timestamp(a), V::Timestamp(b)) | (V::TimestampNano(a), V::TimestampNano(b)) => {
            Some(a.cmp(b))
        }
        (V::String(a), V::String(b)) => Some(a.cmp(b)),
        (V::Binary(a), V::Binary(b)) => Some(a.cmp(b)),
        _ => Some(as_integer(one)?.cmp(&as_integer(other)?)),
    }
}

/// Compares two values. Returns `None` if they have no order, or readers disagree about it.
pub(super) fn certain_order(one: &Value, other: &Value) -> Option<Ordering> {
    let [one, other] = orders(one, other)?;
    (one == other).then_some(one)
}

/// Tests the order of two values. Returns `None` if they have no order, or readers disagree about the result of the test: -0.0 is
/// not greater than 0.0 for any of them, but less for some.
pub(super) fn certain_test(one: &Value, other: &Value, test: fn(Ordering) -> bool) -> Option<bool> {
    let [one, other] = orders(one, other)?.map(test);
    (one == other).then_some(one)
}

/// Returns whether two values are equal, or `None` if they have different types, or readers disagree: on two NaN, and on -0.0
/// and 0.0.
pub(super) fn certain_equality(one: &Value, other: &Value) -> Option<bool> {
    if let (Value::Uuid(a), Value::Uuid(b)) = (one, other) {
        return Some(a == b);
    }
    if one.is_nan() != other.is_nan() {
        return Some(false);
    }
    certain_order(one, other).map(|order| order == Ordering::Equal)
}

/// Returns the bytes whose beginning `starts-with` compares.
fn bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::String(text) => Some(text.as_bytes()),
        Value::Binary(bytes) => Some(bytes),
        _ => None,
    }
}

fn as_float(value: &Value) -> Option<f64> {
    match value {
        Value::Float(number) => Some(f64::from(*number)),
        Value::Double(number) => Some(*number),
        _ => None,
    }
}

/// Returns the number of an `int` or `long`, which a column can be promoted to, or of a `date`, which partitions have as an
/// `int`.
fn as_integer(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) | Value::Date(number) => Some(i64::from(*number)),
        Value::Long(number) => Some(*number),
        _ => None,
    }
}

/// Returns whether a value (None is null) passes a comparison, or `None` if readers disagree. They do for a null and the negated
/// comparisons: the reference implementation matches it, SQL does not.
pub(super) fn test(comparison: &Comparison, value: Option<&Value>) -> Option<bool> {
    use Comparison as C;
    let Some(value) = value else {
        return match comparison {
            C::IsNull => Some(true),
            C::NotNan | C::NotEqual(_) | C::NotIn(_) | C::NotStartsWith(_) => None,
            _ => Some(false),
        };
    };
    let order = |literal, test| certain_test(value, literal, test);
    match comparison {
        C::IsNull => Some(false),
        C::NotNull => Some(true),
        C::IsNan => Some(value.is_nan()),
        C::NotNan => Some(!value.is_nan()),
        C::Less(literal) => order(literal, Ordering::is_lt),
        C::LessOrEqual(literal) => order(literal, Ordering::is_le),
        C::Greater(literal) => order(literal, Ordering::is_gt),
        C::GreaterOrEqual(literal) => order(literal, Ordering::is_ge),
        C::Equal(literal) => certain_equality(value, literal),
        C::NotEqual(literal) => certain_equality(value, literal).map(|equal| !equal),
        C::In(literals) => is_in(value, literals),
        C::NotIn(literals) => is_in(value, literals).map(|found| !found),
        C::StartsWith(prefix) => starts_with(value, prefix),
        C::NotStartsWith(prefix) => starts_with(value, prefix).map(|starts| !starts),
    }
}

/// Searches sorted literals. Looks at each of them only if some have no certain order.
fn is_in(value: &Value, literals: &[Value]) -> Option<bool> {
    let mut unsure = false;
    let found = literals.binary_search_by(|literal| {
        certain_order(literal, value).unwrap_or_else(|| {
            unsure = true;
            Ordering::Equal
        })
    });
    if !unsure {
        return Some(found.is_ok());
    }
    unsure = false;
    for literal in literals {
        match certain_equality(value, literal) {
            Some(true) => return Some(true),
            Some(false) => {}
            None => unsure = true,
        }
    }
    (!unsure).then_some(false)
}

fn starts_with(value: &Value, prefix: &Value) -> Option<bool> {
    Some(bytes(value)?.starts_with(bytes(prefix)?))
}

/// The bounds of the values in a file or manifest that are neither null nor NaN. A bound need not be one of the values.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Range<'a> {
    /// Not above any value. None if unknown.
    pub(super) lower: Option<&'a Value>,
    /// Not below any value. None if unknown.
    pub(super) upper: Option<&'a Value>,
}

impl Range<'_> {
    /// Returns whether a value in the range may pass a comparison with a literal. `complete` says that there are neither nulls
    /// nor NaN besides the values. Null and NaN tests always may pass.
    pub(super) fn may_match(&self, comparison: &Comparison, complete: bool) -> bool {
        use Comparison as C;
        match comparison {
            C::IsNull | C::NotNull | C::IsNan | C::NotNan => true,
            // The writer of the bounds may have another order than the reader of the rows.
            C::Less(Value::Uuid(_))
            | C::LessOrEqual(Value::Uuid(_))
            | C::Greater(Value::Uuid(_))
            | C::GreaterOrEqual(Value::Uuid(_)) => true,
            C::Less(literal) => !self.lower_is(literal, Ordering::is_ge),
            C::LessOrEqual(literal) => !self.lower_is(literal, Ordering::is_gt),
            C::Greater(literal) => !self.upper_is(literal, Ordering::is_le),
            C::GreaterOrEqual(literal) => !self.upper_is(literal, Ordering::is_lt),
            C::Equal(literal) => self.may_contain(literal),
            C::In(literals) => self.may_contain_any(literals),
            C::NotEqual(literal) => !(complete && self.is_only(literal)),
            C::NotIn(literals) => !(complete && literals.iter().any(|literal| self.is_only(literal))),
            C::StartsWith(prefix) => self.may_start_with(prefix),
            C::NotStartsWith(prefix) => !(complete && self.starts_with(prefix)),
        }
    }

    fn lower_is(&self, literal: &Value, test: fn(Ordering) -> bool) -> bool {
        self.lower.and_then(|lower| certain_test(lower, literal, test)) == Some(true)
    }

    fn upper_is(&self, literal: &Value, test: fn(Ordering) -> bool) -> bool {
        self.upper.and_then(|upper| certain_test(upper, literal, test)) == Some(true)
    }

    /// Returns whether the literal is between the bounds in one of the orders. The writer of both bounds had one of them.
    fn may_contain(&self, literal: &Value) -> bool {
        let below = self.lower.and_then(|lower| orders(lower, literal)).map(|orders| orders.map(Ordering::is_gt));
        let above = self.upper.and_then(|upper| orders(upper, literal)).map(|orders| orders.map(Ordering::is_lt));
        let (below, above) = (below.unwrap_or_default(), above.unwrap_or_default());
        below.iter().zip(above).any(|(below, above)| !below && !above)
    }

    fn may_contain_any(&self, literals: &[Value]) -> bool {
        if literals.len() <= MAX_COMPARED_LITERALS {
            return literals.iter().any(|literal| self.may_contain(literal));
        }
        let (Some(lowest), Some(highest)) = (literals.first(), literals.last()) else { return true };
        if matches!(lowest, Value::Uuid(_)) {
            return true;
        }
        !self.upper_is(lowest, Ordering::is_lt) && !self.lower_is(highest, Ordering::is_gt)
    }

    /// Returns whether all values equal the literal.
    fn is_only(&self, literal: &Value) -> bool {
        let equal = |bound: Option<&Value>| bound.and_then(|bound| certain_equality(bound, literal)) == Some(true);
        equal(self.lower) && equal(self.upper)
    }

    fn may_start_with(&self, prefix: &Value) -> bool {
        let Some(prefix) = bytes(prefix) else { return true };
        let cut = |bound: &'_ [u8]| bound[..bound.len().min(prefix.len())].cmp(prefix);
        let above = self.lower.and_then(bytes).is_some_and(|lower| cut(lower).is_gt());
        let below = self.upper.and_then(bytes).is_some_and(|upper| cut(upper).is_lt());
        !above && !below
    }

    /// Returns whether all values start with the prefix.
    fn starts_with(&self, prefix: &Value) -> bool {
        let starts = |bound: Option<&Value>| bound.and_then(|bound| starts_with(bound, prefix)) == Some(true);
        starts(self.lower) && starts(self.upper)
    }
}
