//! Filters that are bound to the columns of a schema.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::FilterError;
use super::apply::result_type;
use super::columns::ColumnNames;
use super::expression::{Expression, Operation, Predicate, Reference};
use super::literal::{Converted, Literal};
use super::value::{Value, ValueType};
use crate::document::json::excerpt;
use crate::document::{Column, SchemaIndex, Transform, Type};

/// A filter whose terms are columns of one schema. It has no `not`: binding negates the tests below it.
#[derive(Debug, Clone, PartialEq)]
pub enum Bound {
    /// Every row matches.
    True,
    /// No row matches.
    False,
    /// All of them match. Has at least two.
    And(Vec<Bound>),
    /// One of them matches. Has at least two.
    Or(Vec<Bound>),
    /// A test of one term.
    Test(Test),
}

/// A test of one term.
#[derive(Debug, Clone, PartialEq)]
pub struct Test {
    /// What is tested.
    pub term: Term,
    /// How it is compared.
    pub comparison: Comparison,
}

/// A column, or a function of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// The column's field id.
    pub field_id: i32,
    /// Its name, as the caller wrote it. Residuals repeat it.
    pub name: Box<str>,
    /// The column's type. None if its values cannot be compared, so that only null tests can be bound to it.
    pub source: Option<ValueType>,
    /// Whether the column, and each struct that it is nested in, is never null.
    pub required: bool,
    /// The function; `Identity` for the column itself.
    pub transform: Transform,
}

/// A comparison of a term. Except for the null tests and `not-*`, a null matches none of them. Literals have the term's type.
#[derive(Debug, Clone, PartialEq)]
pub enum Comparison {
    /// `is-null`
    IsNull,
    /// `not-null`
    NotNull,
    /// `is-nan`
    IsNan,
    /// `not-nan`. Matches null.
    NotNan,
    /// `lt`
    Less(Value),
    /// `lt-eq`
    LessOrEqual(Value),
    /// `gt`
    Greater(Value),
    /// `gt-eq`
    GreaterOrEqual(Value),
    /// `eq`
    Equal(Value),
    /// `not-eq`. Matches null, as in the reference implementation.
    NotEqual(Value),
    /// `in`. Sorted, without duplicates, at least two.
    In(Vec<Value>),
    /// `not-in`. Sorted, without duplicates, at least two. Matches null.
    NotIn(Vec<Value>),
    /// `starts-with`. A `String` or `Binary`.
    StartsWith(Value),
    /// `not-starts-with`. Matches null.
    NotStartsWith(Value),
}

impl Bound {
    /// Returns a filter that matches if all of them match. Flattens, and folds constants.
    #[must_use]
    pub fn and(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Vec::new();
        for part in parts {
            match part {
                Self::True => {}
                Self::False => return Self::False,
                Self::And(parts) => all.extend(parts),
                part => all.push(part),
            }
        }
        if all.len() > 1 { Self::And(all) } else { all.pop().unwrap_or(Self::True) }
    }

    /// Returns a filter that matches if one of them matches. Flattens, and folds constants.
    #[must_use]
    pub fn or(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut any = Vec::new();
        for part in parts {
            match part {
                Self::False => {}
                Self::True => return Self::True,
                Self::Or(parts) => any.extend(parts),
                part => any.push(part),
            }
        }
        if any.len() > 1 { Self::Or(any) } else { any.pop().unwrap_or(Self::False) }
    }

    /// Returns the opposite, as the reference implementation rewrites `not`: a null that matches neither `lt` nor `gt-eq`
    /// matches neither `lt` nor its opposite.
    #[must_use]
    pub fn negate(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::And(parts) => Self::or(parts.into_iter().map(Self::negate)),
            Self::Or(parts) => Self::and(parts.into_iter().map(Self::negate)),
            Self::Test(test) => Self::Test(Test { term: test.term, comparison: test.comparison.negate() }),
        }
    }

    /// Returns the ids of the columns that it tests. A test that the schema alone decides is not part of it.
    #[must_use]
    pub fn field_ids(&self) -> BTreeSet<i32> {
        let mut ids = BTreeSet::new();
        self.add_field_ids(&mut ids);
        ids
    }

    fn add_field_ids(&self, ids: &mut BTreeSet<i32>) {
        match self {
            Self::True | Self::False => {}
            Self::And(parts) | Self::Or(parts) => parts.iter().for_each(|part| part.add_field_ids(ids)),
            Self::Test(test) => {
                ids.insert(test.term.field_id);
            }
        }
    }
}

impl Term {
    /// Returns the type of its values: of the column, or of the function's results. None if they cannot be compared.
    #[must_use]
    pub fn value_type(&self) -> Option<ValueType> {
        result_type(&self.transform, self.source?)
    }
}

impl Comparison {
    /// Returns the comparison of the negated test. See [`Bound::negate`].
    #[must_use]
    pub fn negate(self) -> Self {
        match self {
            Self::IsNull => Self::NotNull,
            Self::NotNull => Self::IsNull,
            Self::IsNan => Self::NotNan,
            Self::NotNan => Self::IsNan,
            Self::Less(value) => Self::GreaterOrEqual(value),
            Self::LessOrEqual(value) => Self::Greater(value),
            Self::Greater(value) => Self::LessOrEqual(value),
            Self::GreaterOrEqual(value) => Self::Less(value),
            Self::Equal(value) => Self::NotEqual(value),
            Self::NotEqual(value) => Self::Equal(value),
            Self::In(values) => Self::NotIn(values),
            Self::NotIn(values) => Self::In(values),
            Self::StartsWith(value) => Self::NotStartsWith(value),
            Self::NotStartsWith(value) => Self::StartsWith(value),
        }
    }
}

/// Binds a filter to the columns of a schema. Negates tests below `not`, folds constants, and simplifies tests as the reference
/// implementation does.
///
/// # Errors
/// Fails if a column does not exist or is inside a list or map, its type does not allow the test, or a literal is not of its
/// type.
pub fn bind(expression: &Expression, index: &SchemaIndex<'_>, case_sensitive: bool) -> Result<Bound, FilterError> {
    Binder { index, names: ColumnNames::new(index, case_sensitive) }.bind(expression, false)
}

struct Binder<'i> {
    index: &'i SchemaIndex<'i>,
    names: ColumnNames<'i>,
}

impl Binder<'_> {
    fn bind(&self, expression: &Expression, negated: bool) -> Result<Bound, FilterError> {
        match expression {
            Expression::True | Expression::False => Ok(constant((*expression == Expression::True) != negated)),
            Expression::Not(child) => self.bind(child, !negated),
            Expression::Predicate(predicate) => self.predicate(predicate, negated),
            Expression::And(parts) | Expression::Or(parts) => {
                let bound = parts.iter().map(|part| self.bind(part, negated)).collect::<Result<Vec<_>, _>>()?;
                let is_and = matches!(expression, Expression::And(_)) != negated;
                Ok(if is_and { Bound::and(bound) } else { Bound::or(bound) })
            }
        }
    }

    fn predicate(&self, predicate: &Predicate, negated: bool) -> Result<Bound, FilterError> {
        let operation = if negated { predicate.operation.negate() } else { predicate.operation };
        let (term, column) = self.term(predicate)?;
        let bound = match operation {
            Operation::IsNull if term.required => return Ok(Bound::False),
            Operation::NotNull if term.required => return Ok(Bound::True),
            Operation::IsNull => Comparison::IsNull,
            Operation::NotNull => Comparison::NotNull,
            _ => {
                let Some(value_type) = term.value_type() else {
                    return Err(invalid(predicate, column, "columns of this type allow is-null and not-null only"));
                };
                let binder = LiteralBinder { predicate, column, value_type };
                match binder.comparison(operation)? {
                    Folded::Constant(value) => return Ok(constant(value)),
                    Folded::Comparison(Comparison::NotNull) if term.required => return Ok(Bound::True),
                    Folded::Comparison(Comparison::IsNull) if term.required => return Ok(Bound::False),
                    Folded::Comparison(comparison) => comparison,
                }
            }
        };
        Ok(Bound::Test(Test { term, comparison: bound }))
    }

    /// Finds the column of a predicate, and checks its function.
    fn term(&self, predicate: &Predicate) -> Result<(Term, &Type), FilterError> {
        let (field_id, name) = match &predicate.reference {
            Reference::Name(name) => (self.names.id(name)?, name.clone()),
            Reference::Id(id) => (*id, self.index.full_name(*id).into()),
        };
        let unknown = || self.names.unknown(&predicate.reference.to_string());
        let column = self.index.column(field_id).ok_or_else(unknown)?;
        let required = self.is_required(column).ok_or_else(|| {
            invalid(predicate, column.column_type, "it is inside a list or map, so it has no single value in a row")
        })?;
        let source = ValueType::from_type(column.column_type);
        let term = Term { field_id, name, source, required, transform: predicate.transform.clone() };
        if term.transform != Transform::Identity && (term.transform == Transform::Void || term.value_type().is_none()) {
            let why = format!("{} cannot transform its values", term.transform);
            return Err(invalid(predicate, column.column_type, &why));
        }
        Ok((term, column.column_type))
    }

    /// Returns whether a column and all structs around it are required. None if it is inside a list or map.
    fn is_required(&self, column: Column<'_>) -> Option<bool> {
        let mut required = column.required;
        let mut parent = column.parent;
        while let Some(above) = parent.and_then(|id| self.index.column(id)) {
            if !matches!(above.column_type, Type::Struct(_)) {
                return None;
            }
            required &= above.required;
            parent = above.parent;
        }
        Some(required)
    }
}

/// A comparison after its literals are known.
enum Folded {
    Constant(bool),
    Comparison(Comparison),
}

/// Converts the literals of a predicate to the type of its term.
struct LiteralBinder<'p> {
    predicate: &'p Predicate,
    column: &'p Type,
    value_type: ValueType,
}

impl LiteralBinder<'_> {
    fn comparison(&self, operation: Operation) -> Result<Folded, FilterError> {
        match operation {
            Operation::IsNan | Operation::NotNan
                if !matches!(self.value_type, ValueType::Float | ValueType::Double) =>
            {
                let name = if operation == Operation::IsNan { "IsNaN" } else { "NotNaN" };
                let why = format!("{name} cannot be used with a non-floating-point column");
                Err(invalid(self.predicate, self.column, &why))
            }
            Operation::IsNan => Ok(Folded::Comparison(Comparison::IsNan)),
            Operation::NotNan => Ok(Folded::Comparison(Comparison::NotNan)),
            Operation::IsNull => Ok(Folded::Comparison(Comparison::IsNull)),
            Operation::NotNull => Ok(Folded::Comparison(Comparison::NotNull)),
            Operation::In | Operation::NotIn => self.set(operation == Operation::NotIn),
            Operation::StartsWith | Operation::NotStartsWith => self.prefix(operation == Operation::NotStartsWith),
            Operation::Less
            | Operation::LessOrEqual
            | Operation::Greater
            | Operation::GreaterOrEqual
            | Operation::Equal
            | Operation::NotEqual => Ok(compare(operation, self.converted()?)),
        }
    }

    /// Converts the literals of a set. Leaves out those that no value equals.
    fn set(&self, negated: bool) -> Result<Folded, FilterError> {
        let mut values = Vec::with_capacity(self.predicate.literals.len());
        for literal in &self.predicate.literals {
            if let Converted::Value(value) = self.convert(literal)? {
                values.push(value);
            }
        }
        values.sort_by(|a, b| a.compare(b).unwrap_or(Ordering::Equal));
        values.dedup_by(|a, b| a.compare(b) == Some(Ordering::Equal));
        Ok(match (values.len(), negated) {
            (0, _) => Folded::Constant(negated),
            (1, false) => Folded::Comparison(Comparison::Equal(values.remove(0))),
            (1, true) => Folded::Comparison(Comparison::NotEqual(values.remove(0))),
            (_, false) => Folded::Comparison(Comparison::In(values)),
            (_, true) => Folded::Comparison(Comparison::NotIn(values)),
        })
    }

    /// Converts the literal of `starts-with`. Every value that is not null starts with the empty prefix.
    fn prefix(&self, negated: bool) -> Result<Folded, FilterError> {
        if !matches!(self.value_type, ValueType::String | ValueType::Binary) {
            return Err(invalid(self.predicate, self.column, "only string and binary values have a prefix"));
        }
        let Converted::Value(value) = self.converted()? else { return Ok(Folded::Constant(negated)) };
        let empty = match &value {
            Value::String(text) => text.is_empty(),
            Value::Binary(bytes) => bytes.is_empty(),
            _ => false,
        };
        Ok(Folded::Comparison(match (empty, negated) {
            (true, false) => Comparison::NotNull,
            (true, true) => Comparison::IsNull,
            (false, false) => Comparison::StartsWith(value),
            (false, true) => Comparison::NotStartsWith(value),
        }))
    }

    /// Converts the only literal.
    fn converted(&self) -> Result<Converted, FilterError> {
        match self.predicate.literals.as_slice() {
            [literal] => self.convert(literal),
            literals => {
                let why = format!("it needs one literal, and has {}", literals.len());
                Err(invalid(self.predicate, self.column, &why))
            }
        }
    }

    fn convert(&self, literal: &Literal) -> Result<Converted, FilterError> {
        literal.convert(self.value_type).map_err(|reason| FilterError::InvalidLiteral {
            column: excerpt(&self.predicate.reference.to_string()),
            value_type: self.value_type.to_string(),
            literal: literal.scalar.to_string(),
            reason,
        })
    }
}

/// Compares with a literal. One outside the type's range decides the comparison, as in the reference implementation.
fn compare(operation: Operation, literal: Converted) -> Folded {
    let is_not_equal = operation == Operation::NotEqual;
    let is_less = matches!(operation, Operation::Less | Operation::LessOrEqual);
    let is_greater = matches!(operation, Operation::Greater | Operation::GreaterOrEqual);
    match literal {
        Converted::AboveMax => Folded::Constant(is_not_equal || is_less),
        Converted::BelowMin => Folded::Constant(is_not_equal || is_greater),
        Converted::JustAbove(value) if is_less => Folded::Comparison(Comparison::LessOrEqual(value)),
        Converted::JustAbove(value) if is_greater => Folded::Comparison(Comparison::Greater(value)),
        Converted::JustAbove(_) => Folded::Constant(is_not_equal),
        Converted::Value(value) if operation == Operation::Less && value.is_least() => Folded::Constant(false),
        Converted::Value(value) if operation == Operation::Greater && value.is_greatest() => Folded::Constant(false),
        Converted::Value(value) => Folded::Comparison(match operation {
            Operation::Less => Comparison::Less(value),
            Operation::LessOrEqual => Comparison::LessOrEqual(value),
            Operation::Greater => Comparison::Greater(value),
            Operation::GreaterOrEqual => Comparison::GreaterOrEqual(value),
            Operation::NotEqual => Comparison::NotEqual(value),
            _ => Comparison::Equal(value),
        }),
    }
}

fn constant(value: bool) -> Bound {
    if value { Bound::True } else { Bound::False }
}

fn invalid(predicate: &Predicate, column_type: &Type, reason: &str) -> FilterError {
    FilterError::InvalidComparison {
        comparison: predicate.operation.name().to_owned(),
        column: excerpt(&predicate.reference.to_string()),
        column_type: column_type.to_string(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests;
