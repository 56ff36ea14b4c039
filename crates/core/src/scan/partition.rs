//! Filters of partitions.

use super::apply::result_type;
use super::bound::Comparison;
use super::evaluate::{self, Range};
use super::statistics::{FieldSummary, Partition};
use super::value::{Value, ValueType};
use crate::document::{PartitionField, PartitionSpec, SchemaIndex, Transform};

/// Returns the type of each field of a partition spec, in order. It is `None` if the field's values have none that filters
/// compare: the column does not exist any more, the function is unknown or has several arguments, or the field is void.
#[must_use]
pub fn field_types(spec: &PartitionSpec, schema: &SchemaIndex<'_>) -> Vec<Option<ValueType>> {
    spec.fields().iter().map(|field| source_and_type(field, schema).map(|(_, kind)| kind)).collect()
}

/// Returns the type of each field of a partition spec as clients read its values, in order. As [`field_types`], but the values of `bucket` and of
/// the times keep their type if the column does not exist any more: it does not depend on that of the column.
#[must_use]
pub fn client_types(spec: &PartitionSpec, schema: &SchemaIndex<'_>) -> Vec<Option<ValueType>> {
    let fields = spec.fields().iter().zip(field_types(spec, schema));
    let typed = fields.map(|(field, known)| match (&field.transform, &field.source_ids[..]) {
        (Transform::Bucket(_) | Transform::Year | Transform::Month | Transform::Hour, [id]) if is_gone(*id, schema) => {
            Some(ValueType::Int)
        }
        (Transform::Day, [id]) if is_gone(*id, schema) => Some(ValueType::Date),
        _ => known,
    });
    typed.collect()
}

fn is_gone(id: i32, schema: &SchemaIndex<'_>) -> bool {
    schema.column(id).is_none()
}

/// Returns the types of a partition field's column and of its values.
pub(super) fn source_and_type(field: &PartitionField, schema: &SchemaIndex<'_>) -> Option<(ValueType, ValueType)> {
    let [source_id] = field.source_ids[..] else { return None };
    let source = ValueType::from_type(schema.column(source_id)?.column_type)?;
    Some((source, result_type(&field.transform, source)?))
}

/// A filter of partitions, made from a filter of rows by [`super::project`].
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionFilter {
    pub(super) root: Node,
    /// The result of a test whose result is not certain.
    pub(super) if_unsure: bool,
}

/// A part of a partition filter.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    True,
    False,
    And(Vec<Node>),
    Or(Vec<Node>),
    Test(FieldTest),
}

/// A test of the partition field at this position of its spec.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FieldTest {
    pub(super) position: usize,
    pub(super) kind: ValueType,
    pub(super) comparison: Comparison,
}

impl Node {
    /// Returns a node that is true if all are.
    pub(super) fn all(nodes: impl IntoIterator<Item = Self>) -> Self {
        let mut kept = Vec::new();
        for node in nodes {
            match node {
                Self::True => {}
                Self::False => return Self::False,
                node => kept.push(node),
            }
        }
        if kept.len() > 1 { Self::And(kept) } else { kept.pop().unwrap_or(Self::True) }
    }

    /// Returns a node that is true if one is.
    pub(super) fn any(nodes: impl IntoIterator<Item = Self>) -> Self {
        let mut kept = Vec::new();
        for node in nodes {
            match node {
                Self::False => {}
                Self::True => return Self::True,
                node => kept.push(node),
            }
        }
        if kept.len() > 1 { Self::Or(kept) } else { kept.pop().unwrap_or(Self::False) }
    }

    fn test(&self, test: &impl Fn(&FieldTest) -> bool) -> bool {
        match self {
            Self::True => true,
            Self::False => false,
            Self::And(nodes) => nodes.iter().all(|node| node.test(test)),
            Self::Or(nodes) => nodes.iter().any(|node| node.test(test)),
            Self::Test(field) => test(field),
        }
    }
}

impl PartitionFilter {
    /// Returns whether a partition of the filter's spec matches.
    #[must_use]
    pub fn matches(&self, partition: &Partition) -> bool {
        self.root.test(&|test| {
            let value = partition.get(test.position).map(Option::as_ref);
            value.and_then(|value| evaluate::test(&test.comparison, value)).unwrap_or(self.if_unsure)
        })
    }

    /// Returns false only if no partition in a manifest of the filter's spec matches. Without summaries returns true.
    #[must_use]
    pub fn may_match_summaries(&self, summaries: &[FieldSummary]) -> bool {
        self.root.test(&|test| summaries.get(test.position).is_none_or(|summary| test.may_match(summary)))
    }
}

impl FieldTest {
    fn may_match(&self, summary: &FieldSummary) -> bool {
        use Comparison as C;
        let is_float = matches!(self.kind, ValueType::Float | ValueType::Double);
        let may_have_nan = is_float && summary.contains_nan != Some(false);
        let has_nan = is_float && summary.contains_nan == Some(true);
        let no_bounds = summary.lower_bound.is_none() && summary.upper_bound.is_none();
        match &self.comparison {
            C::IsNull => summary.contains_null,
            C::NotNull => may_have_nan || !(summary.contains_null && no_bounds),
            C::IsNan => may_have_nan,
            C::NotNan => !(has_nan && no_bounds && !summary.contains_null),
            // A NaN is above all numbers for some engines.
            C::Greater(_) | C::GreaterOrEqual(_) if has_nan => true,
            C::NotEqual(_) | C::NotIn(_) | C::NotStartsWith(_) => {
                self.may_match_range(summary, !summary.contains_null && !may_have_nan)
            }
            // Without bounds, all values are null or NaN. A summary that has neither is not to be trusted.
            _ if no_bounds => !(summary.contains_null || has_nan),
            _ => self.may_match_range(summary, false),
        }
    }

    fn may_match_range(&self, summary: &FieldSummary, complete: bool) -> bool {
        let value = |bytes: &Option<Box<[u8]>>| bytes.as_deref().and_then(|bytes| Value::from_bytes(self.kind, bytes));
        let (lower, upper) = (value(&summary.lower_bound), value(&summary.upper_bound));
        Range { lower: lower.as_ref(), upper: upper.as_ref() }.may_match(&self.comparison, complete)
    }
}
