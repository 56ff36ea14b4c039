//! Projections of filters of rows onto partitions (specification, "Scan Planning": inclusive projection).
//!
//! A test that has no projection is unsure: true in an inclusive projection, false in a strict one.

use std::cmp::Ordering;

use super::apply::apply;
use super::bound::{Bound, Comparison, Test};
use super::evaluate::certain_order;
use super::partition::{FieldTest, Node, PartitionFilter, source_and_type};
use super::value::{Value, ValueType};
use crate::document::{PartitionSpec, SchemaIndex, Transform};

/// Returns a filter that matches each partition in which a row matches. `schema` gives the types of the spec's columns.
#[must_use]
pub fn inclusive(bound: &Bound, spec: &PartitionSpec, schema: &SchemaIndex<'_>) -> PartitionFilter {
    PartitionFilter { root: project(bound, &fields(spec, schema), Kind::Inclusive), if_unsure: true }
}

/// Returns a filter that matches only partitions in which all rows match. `schema` gives the types of the spec's columns.
#[must_use]
pub fn strict(bound: &Bound, spec: &PartitionSpec, schema: &SchemaIndex<'_>) -> PartitionFilter {
    PartitionFilter { root: project(bound, &fields(spec, schema), Kind::Strict), if_unsure: false }
}

/// Returns the inclusive and the strict projection of one test.
pub(super) fn both(test: &Test, fields: &[Field]) -> (PartitionFilter, PartitionFilter) {
    let inclusive = PartitionFilter { root: project_test(test, fields, Kind::Inclusive), if_unsure: true };
    let strict = PartitionFilter { root: project_test(test, fields, Kind::Strict), if_unsure: false };
    (inclusive, strict)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Inclusive,
    Strict,
}

/// A partition field whose values are known to be a function of one column.
#[derive(Debug, Clone)]
pub(super) struct Field {
    position: usize,
    source_id: i32,
    source: ValueType,
    kind: ValueType,
    transform: Transform,
}

/// Returns the fields of a spec onto which tests can be projected.
pub(super) fn fields(spec: &PartitionSpec, schema: &SchemaIndex<'_>) -> Vec<Field> {
    let fields = spec.fields().iter().enumerate().filter_map(|(position, field)| {
        let (source, kind) = source_and_type(field, schema)?;
        if matches!(field.transform, Transform::Void | Transform::Unknown(_)) {
            return None;
        }
        Some(Field { position, source_id: field.source_ids[0], source, kind, transform: field.transform.clone() })
    });
    fields.collect()
}

fn project(bound: &Bound, fields: &[Field], kind: Kind) -> Node {
    match bound {
        Bound::True => Node::True,
        Bound::False => Node::False,
        Bound::And(parts) => Node::all(parts.iter().map(|part| project(part, fields, kind))),
        Bound::Or(parts) => Node::any(parts.iter().map(|part| project(part, fields, kind))),
        Bound::Test(test) => project_test(test, fields, kind),
    }
}

fn project_test(test: &Test, fields: &[Field], kind: Kind) -> Node {
    let nodes = fields.iter().filter_map(|field| {
        let comparison = field.project(test, kind)?;
        Some(Node::Test(FieldTest { position: field.position, kind: field.kind, comparison }))
    });
    // A row matches only if all inclusive projections do. It matches if one strict projection does.
    match kind {
        Kind::Inclusive => Node::all(nodes),
        Kind::Strict => Node::any(nodes),
    }
}

impl Field {
    /// Projects a test onto the field. Returns `None` if there is no projection.
    fn project(&self, test: &Test, kind: Kind) -> Option<Comparison> {
        use Comparison as C;
        let Test { term, comparison } = test;
        if term.field_id != self.source_id {
            return None;
        }
        if let C::IsNull | C::NotNull = comparison {
            // All known functions return null for null, and only for null.
            let is_known = !matches!(term.transform, Transform::Void | Transform::Unknown(_));
            return is_known.then(|| comparison.clone());
        }
        let source = term.source?;
        if source != self.source {
            let field = have_same_form(source, self.source).then(|| Self { source, ..self.clone() })?;
            return field.project(test, kind);
        }
        if self.transform == term.transform {
            return self.correct(comparison.clone(), kind);
        }
        if term.transform != Transform::Identity {
            return None;
        }
        let projected = match (&self.transform, kind) {
            (Transform::Bucket(_), _) => self.bucket(comparison, kind),
            (Transform::Truncate(width), _) if matches!(self.source, ValueType::String | ValueType::Binary) => {
                self.truncate_text(comparison, *width, kind)
            }
            (_, Kind::Inclusive) => self.steps_inclusive(comparison),
            (_, Kind::Strict) => self.steps_strict(comparison),
        };
        self.correct(projected?, kind)
    }

    fn apply(&self, value: &Value) -> Option<Value> {
        apply(&self.transform, self.source, value)
    }

    fn apply_all(&self, values: &[Value]) -> Option<Vec<Value>> {
        values.iter().map(|value| self.apply(value)).collect()
    }

    fn bucket(&self, comparison: &Comparison, kind: Kind) -> Option<Comparison> {
        use Comparison as C;
        match (comparison, kind) {
            (C::Equal(value), Kind::Inclusive) => self.apply(value).map(C::Equal),
            (C::In(values), Kind::Inclusive) => self.apply_all(values).map(one_of),
            (C::NotEqual(value), Kind::Strict) => self.apply(value).map(C::NotEqual),
            (C::NotIn(values), Kind::Strict) => self.apply_all(values).map(none_of),
            _ => None,
        }
    }

    /// Projects onto a function that keeps the order and maps adjacent values to one: numbers truncated, and times.
    fn steps_inclusive(&self, comparison: &Comparison) -> Option<Comparison> {
        use Comparison as C;
        match comparison {
            C::Less(value) => self.apply(&step(value, -1)?).map(C::LessOrEqual),
            C::LessOrEqual(value) => self.apply(value).map(C::LessOrEqual),
            C::Greater(value) => self.apply(&step(value, 1)?).map(C::GreaterOrEqual),
            C::GreaterOrEqual(value) => self.apply(value).map(C::GreaterOrEqual),
            C::Equal(value) => self.apply(value).map(C::Equal),
            C::In(values) => self.apply_all(values).map(one_of),
            _ => None,
        }
    }

    fn steps_strict(&self, comparison: &Comparison) -> Option<Comparison> {
        use Comparison as C;
        match comparison {
            C::Less(value) => self.apply(value).map(C::Less),
            C::LessOrEqual(value) => self.apply(&step(value, 1)?).map(C::Less),
            C::Greater(value) => self.apply(value).map(C::Greater),
            C::GreaterOrEqual(value) => self.apply(&step(value, -1)?).map(C::Greater),
            C::NotEqual(value) => self.apply(value).map(C::NotEqual),
            C::NotIn(values) => self.apply_all(values).map(none_of),
            _ => None,
        }
    }

    fn truncate_text(&self, comparison: &Comparison, width: u32, kind: Kind) -> Option<Comparison> {
        use Comparison as C;
        match (comparison, kind) {
            (C::StartsWith(prefix), _) => match length(prefix)?.cmp(&(width as usize)) {
                Ordering::Less => Some(C::StartsWith(prefix.clone())),
                Ordering::Equal => Some(C::Equal(prefix.clone())),
                Ordering::Greater if kind == Kind::Inclusive => self.apply(prefix).map(C::Equal),
                Ordering::Greater => None,
            },
            (C::NotStartsWith(prefix), _) => match length(prefix)?.cmp(&(width as usize)) {
                Ordering::Less => Some(C::NotStartsWith(prefix.clone())),
                Ordering::Equal => Some(C::NotEqual(prefix.clone())),
                Ordering::Greater if kind == Kind::Strict => self.apply(prefix).map(C::NotEqual),
                Ordering::Greater => None,
            },
            (C::Less(value) | C::LessOrEqual(value), Kind::Inclusive) => self.apply(value).map(C::LessOrEqual),
            (C::Greater(value) | C::GreaterOrEqual(value), Kind::Inclusive) => self.apply(value).map(C::GreaterOrEqual),
            (C::Equal(value), Kind::Inclusive) => self.apply(value).map(C::Equal),
            (C::In(values), Kind::Inclusive) => self.apply_all(values).map(one_of),
            (C::Less(value) | C::LessOrEqual(value), Kind::Strict) => self.apply(value).map(C::Less),
            (C::Greater(value) | C::GreaterOrEqual(value), Kind::Strict) => self.apply(value).map(C::Greater),
            (C::NotEqual(value), Kind::Strict) => self.apply(value).map(C::NotEqual),
            (C::NotIn(values), Kind::Strict) => self.apply_all(values).map(none_of),
            _ => None,
        }
    }

    /// Corrects a projection for the values of old writers: they rounded times before 1970 up, so that a partition value `p`
    /// up to 0 holds rows of `p` and of `p - 1`. Days of dates were right.
    fn correct(&self, projected: Comparison, kind: Kind) -> Option<Comparison> {
        let rounded = match self.transform {
            Transform::Year | Transform::Month | Transform::Hour => true,
            Transform::Day => self.source != ValueType::Date,
            _ => false,
        };
        match kind {
            _ if !rounded => Some(projected),
            Kind::Inclusive => correct_inclusive(projected),
            Kind::Strict => correct_strict(projected),
        }
    }
}

fn correct_inclusive(projected: Comparison) -> Option<Comparison> {
    use Comparison as C;
    let above = |value: &Value| if number(value)? < 0 { step(value, 1) } else { Some(value.clone()) };
    let with_above = |values: &[Value]| {
        let mut all = values.to_vec();
        for value in values {
            all.push(above(value)?);
        }
        Some(one_of(all))
    };
    let exact = |value: &Value| number(value).is_some_and(|number| number > 0);
    match &projected {
        // Of a term with the field's function: results below 0 can be stored as 0.
        C::Less(value) if !exact(value) => step(value, 1).map(C::Less),
        C::LessOrEqual(value) => above(value).map(C::LessOrEqual),
        C::Equal(value) => with_above(std::slice::from_ref(value)),
        C::In(values) => with_above(values),
        C::NotEqual(value) if !exact(value) => None,
        C::NotIn(values) if !values.iter().all(exact) => None,
        _ => Some(projected),
    }
}

fn correct_strict(projected: Comparison) -> Option<Comparison> {
    use Comparison as C;
    let above = |value: &Value| if number(value)? <= 0 { step(value, 1) } else { Some(value.clone()) };
    let with_above = |values: &[Value]| {
        let mut all = values.to_vec();
        for value in values {
            all.push(above(value)?);
        }
        Some(none_of(all))
    };
    let exact = |value: &Value| number(value).is_some_and(|number| number > 0);
    match &projected {
        C::Greater(value) => above(value).map(C::Greater),
        C::GreaterOrEqual(value) => above(value).map(C::GreaterOrEqual),
        C::Equal(value) if !exact(value) => None,
        C::In(values) if !values.iter().all(exact) => None,
        C::NotEqual(value) => with_above(std::slice::from_ref(value)),
        C::NotIn(values) => with_above(values),
        _ => Some(projected),
    }
}

/// Returns whether the functions of partitions treat values of both types alike: a column's type may have been promoted.
fn have_same_form(one: ValueType, other: ValueType) -> bool {
    use ValueType as T;
    match (one, other) {
        (T::Int | T::Long, T::Int | T::Long) | (T::Float | T::Double, T::Float | T::Double) => true,
        (T::Decimal { scale: one, .. }, T::Decimal { scale: other, .. }) => one == other,
        _ => one == other,
    }
}

fn number(value: &Value) -> Option<i32> {
    match value {
        Value::Int(number) | Value::Date(number) => Some(*number),
        _ => None,
    }
}

/// Returns the value `by` steps further, if there is one.
fn step(value: &Value, by: i8) -> Option<Value> {
    Some(match value {
        Value::Int(number) => Value::Int(number.checked_add(by.into())?),
        Value::Long(number) => Value::Long(number.checked_add(by.into())?),
        Value::Decimal(number) => Value::Decimal(number.checked_add(by.into())?),
        Value::Date(number) => Value::Date(number.checked_add(by.into())?),
        Value::Timestamp(number) => Value::Timestamp(number.checked_add(by.into())?),
        Value::TimestampNano(number) => Value::TimestampNano(number.checked_add(by.into())?),
        _ => return None,
    })
}

/// Returns the length that `truncate` counts: characters, or bytes.
fn length(value: &Value) -> Option<usize> {
    match value {
        Value::String(text) => Some(text.chars().count()),
        Value::Binary(bytes) => Some(bytes.len()),
        _ => None,
    }
}

/// Sorts the results of a function, which all have an order.
fn without_duplicates(mut values: Vec<Value>) -> Vec<Value> {
    values.sort_by(|one, other| certain_order(one, other).unwrap_or(Ordering::Equal));
    values.dedup();
    values
}

fn one_of(values: Vec<Value>) -> Comparison {
    let mut values = without_duplicates(values);
    match values.pop() {
        Some(value) if values.is_empty() => Comparison::Equal(value),
        last => {
            values.extend(last);
            Comparison::In(values)
        }
    }
}

fn none_of(values: Vec<Value>) -> Comparison {
    let mut values = without_duplicates(values);
    match values.pop() {
        Some(value) if values.is_empty() => Comparison::NotEqual(value),
        last => {
            values.extend(last);
            Comparison::NotIn(values)
        }
    }
}
