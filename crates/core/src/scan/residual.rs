//! Residuals: what is left of a filter for the rows of one partition.

use super::bound::{Bound, Comparison, Term, Test};
use super::partition::PartitionFilter;
use super::project;
use super::single_value::{self, NotWritable, put, write_text};
use super::statistics::Partition;
use super::value::Value;
use crate::document::{PartitionSpec, SchemaIndex, Transform};

/// The residuals of a filter for the partitions of one spec.
#[derive(Debug, Clone)]
pub struct Residuals(Node);

#[derive(Debug, Clone)]
enum Node {
    True,
    False,
    And(Vec<Node>),
    Or(Vec<Node>),
    Test(Box<ProjectedTest>),
}

#[derive(Debug, Clone)]
struct ProjectedTest {
    test: Test,
    inclusive: PartitionFilter,
    strict: PartitionFilter,
}

impl Residuals {
    /// Prepares the residuals of a filter. `schema` gives the types of the spec's columns.
    #[must_use]
    pub fn new(bound: &Bound, spec: &PartitionSpec, schema: &SchemaIndex<'_>) -> Self {
        Self(Node::new(bound, &project::fields(spec, schema)))
    }

    /// Returns a filter that is equivalent to the whole one for the rows of a partition. A test is true if its strict projection
    /// matches the partition, false if its inclusive projection does not, and stays otherwise.
    #[must_use]
    pub fn of(&self, partition: &Partition) -> Bound {
        self.0.of(partition)
    }
}

impl Node {
    fn new(bound: &Bound, fields: &[project::Field]) -> Self {
        let all = |parts: &[Bound]| parts.iter().map(|part| Self::new(part, fields)).collect();
        match bound {
            Bound::True => Self::True,
            Bound::False => Self::False,
            Bound::And(parts) => Self::And(all(parts)),
            Bound::Or(parts) => Self::Or(all(parts)),
            Bound::Test(test) => {
                let (inclusive, strict) = project::both(test, fields);
                Self::Test(Box::new(ProjectedTest { test: test.clone(), inclusive, strict }))
            }
        }
    }

    fn of(&self, partition: &Partition) -> Bound {
        match self {
            Self::True => Bound::True,
            Self::False => Bound::False,
            Self::And(nodes) => Bound::and(nodes.iter().map(|node| node.of(partition))),
            Self::Or(nodes) => Bound::or(nodes.iter().map(|node| node.of(partition))),
            Self::Test(one) if one.strict.matches(partition) => Bound::True,
            Self::Test(one) if !one.inclusive.matches(partition) => Bound::False,
            Self::Test(one) => Bound::Test(one.test.clone()),
        }
    }
}

/// Writes a filter as JSON in the older of the two forms, which all clients read: `type`, `term`, `value` or `values`, and the
/// bare constants `true` and `false`. Names are those that the caller wrote.
///
/// # Errors
/// Fails if a literal cannot be written. Nothing is written then.
pub fn write_json(bound: &Bound, out: &mut Vec<u8>) -> Result<(), NotWritable> {
    let start = out.len();
    write_bound(bound, out).inspect_err(|_| out.truncate(start))
}

fn write_bound(bound: &Bound, out: &mut Vec<u8>) -> Result<(), NotWritable> {
    match bound {
        Bound::True => out.extend_from_slice(b"true"),
        Bound::False => out.extend_from_slice(b"false"),
        Bound::And(parts) => write_parts("and", parts, "true", out)?,
        Bound::Or(parts) => write_parts("or", parts, "false", out)?,
        Bound::Test(test) => write_test(test, out)?,
    }
    Ok(())
}

/// Writes a balanced tree of binary operators, since clients read it with recursive functions.
fn write_parts(operator: &str, parts: &[Bound], if_empty: &str, out: &mut Vec<u8>) -> Result<(), NotWritable> {
    match parts {
        [] => out.extend_from_slice(if_empty.as_bytes()),
        [part] => write_bound(part, out)?,
        _ => {
            let (left, right) = parts.split_at(parts.len() / 2);
            put(out, format_args!("{{\"type\":\"{operator}\",\"left\":"));
            write_parts(operator, left, if_empty, out)?;
            out.extend_from_slice(b",\"right\":");
            write_parts(operator, right, if_empty, out)?;
            out.push(b'}');
        }
    }
    Ok(())
}

fn write_test(test: &Test, out: &mut Vec<u8>) -> Result<(), NotWritable> {
    use Comparison as C;
    let (operator, value) = match &test.comparison {
        C::IsNull => ("is-null", None),
        C::NotNull => ("not-null", None),
        C::IsNan => ("is-nan", None),
        C::NotNan => ("not-nan", None),
        C::Less(value) => ("lt", Some(value)),
        C::LessOrEqual(value) => ("lt-eq", Some(value)),
        C::Greater(value) => ("gt", Some(value)),
        C::GreaterOrEqual(value) => ("gt-eq", Some(value)),
        C::Equal(value) => ("eq", Some(value)),
        C::NotEqual(value) => ("not-eq", Some(value)),
        C::StartsWith(value) => ("starts-with", Some(value)),
        C::NotStartsWith(value) => ("not-starts-with", Some(value)),
        C::In(values) => return write_set("in", &test.term, values, out),
        C::NotIn(values) => return write_set("not-in", &test.term, values, out),
    };
    write_head(operator, &test.term, out);
    if let Some(value) = value {
        out.extend_from_slice(b",\"value\":");
        single_value::write(value, test.term.value_type().ok_or(NotWritable::Mismatch)?, out)?;
    }
    out.push(b'}');
    Ok(())
}

fn write_set(operator: &str, term: &Term, values: &[Value], out: &mut Vec<u8>) -> Result<(), NotWritable> {
    write_head(operator, term, out);
    let kind = term.value_type().ok_or(NotWritable::Mismatch)?;
    out.extend_from_slice(b",\"values\":[");
    for (position, value) in values.iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        single_value::write(value, kind, out)?;
    }
    out.extend_from_slice(b"]}");
    Ok(())
}

fn write_head(operator: &str, term: &Term, out: &mut Vec<u8>) {
    put(out, format_args!("{{\"type\":\"{operator}\",\"term\":"));
    if term.transform == Transform::Identity {
        write_text(&term.name, out);
        return;
    }
    out.extend_from_slice(b"{\"type\":\"transform\",\"transform\":");
    write_text(&term.transform.to_string(), out);
    out.extend_from_slice(b",\"term\":");
    write_text(&term.name, out);
    out.push(b'}');
}
