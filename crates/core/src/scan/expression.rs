//! Filters before they are bound to a schema (REST specification, `Expression`; expressions specification, appendix B).
//!
//! Reads both forms: `term` with `value` or `values`, which all shipped clients send, and `left`, `right` and `child` with
//! literals, references and functions.

use super::FilterError;
use super::json::{Json, Node};
use super::literal::{Literal, Scalar};
use super::value::ValueType;
use crate::document::json::excerpt;
use crate::document::{Transform, Type};

/// The maximum nesting of a filter. A chain of the same operator counts as one level.
pub const MAX_DEPTH: usize = 64;

/// The maximum number of operators and comparisons.
pub const MAX_NODES: usize = 10_000;

/// The maximum number of literals.
pub const MAX_LITERALS: usize = 100_000;

/// The reserved catalog of the functions that the expressions specification defines.
const ICEBERG_FUNCTIONS: &str = "iceberg_functions";

/// A filter that names columns of any schema. It is nested at most [`MAX_DEPTH`] deep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression {
    /// Every row matches.
    True,
    /// No row matches.
    False,
    /// All of them match. None of them is an `And`.
    And(Vec<Expression>),
    /// One of them matches. None of them is an `Or`.
    Or(Vec<Expression>),
    /// It does not match. Not another `Not`.
    Not(Box<Expression>),
    /// A test of a column.
    Predicate(Predicate),
}

/// A test of a column, or of a function of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Predicate {
    /// How it is tested.
    pub operation: Operation,
    /// The column.
    pub reference: Reference,
    /// The function. `Identity` for the column itself.
    pub transform: Transform,
    /// As many literals as the operation has: none, one, or any number.
    pub literals: Vec<Literal>,
}

/// A column of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// By its full name.
    Name(Box<str>),
    /// By its field id.
    Id(i32),
}

/// The tests of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `is-null`
    IsNull,
    /// `not-null`
    NotNull,
    /// `is-nan`
    IsNan,
    /// `not-nan`
    NotNan,
    /// `lt`
    Less,
    /// `lt-eq`
    LessOrEqual,
    /// `gt`
    Greater,
    /// `gt-eq`
    GreaterOrEqual,
    /// `eq`
    Equal,
    /// `not-eq`
    NotEqual,
    /// `in`
    In,
    /// `not-in`
    NotIn,
    /// `starts-with`
    StartsWith,
    /// `not-starts-with`
    NotStartsWith,
}

/// The operations with their names and their opposites. The opposite of `lt` is `gt-eq`, although a null matches neither.
const OPERATIONS: [(Operation, &str, Operation); 14] = [
    (Operation::IsNull, "is-null", Operation::NotNull),
    (Operation::NotNull, "not-null", Operation::IsNull),
    (Operation::IsNan, "is-nan", Operation::NotNan),
    (Operation::NotNan, "not-nan", Operation::IsNan),
    (Operation::Less, "lt", Operation::GreaterOrEqual),
    (Operation::LessOrEqual, "lt-eq", Operation::Greater),
    (Operation::Greater, "gt", Operation::LessOrEqual),
    (Operation::GreaterOrEqual, "gt-eq", Operation::Less),
    (Operation::Equal, "eq", Operation::NotEqual),
    (Operation::NotEqual, "not-eq", Operation::Equal),
    (Operation::In, "in", Operation::NotIn),
    (Operation::NotIn, "not-in", Operation::In),
    (Operation::StartsWith, "starts-with", Operation::NotStartsWith),
    (Operation::NotStartsWith, "not-starts-with", Operation::StartsWith),
];

impl Operation {
    /// Returns its name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        OPERATIONS.iter().find(|(operation, ..)| *operation == self).map_or("", |(_, name, _)| name)
    }

    /// Returns the operation of the negated predicate, as the reference implementation rewrites `not`.
    #[must_use]
    pub fn negate(self) -> Self {
        OPERATIONS.iter().find(|(operation, ..)| *operation == self).map_or(self, |(.., opposite)| *opposite)
    }

    fn is_unary(self) -> bool {
        matches!(self, Self::IsNull | Self::NotNull | Self::IsNan | Self::NotNan)
    }

    fn is_set(self) -> bool {
        matches!(self, Self::In | Self::NotIn)
    }

    /// Returns the operation after left and right change places. None if it has no such operation.
    fn flip(self) -> Option<Self> {
        Some(match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            Self::Equal | Self::NotEqual => self,
            _ => return None,
        })
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Id(id) => write!(f, "{id}"),
        }
    }
}

impl Expression {
    /// Parses the JSON text of a filter. Flattens chains of `and` and `or`, and removes pairs of `not`.
    ///
    /// # Errors
    /// Fails if it is not a filter, uses an operation or function that scan planning does not know, or is larger than
    /// [`MAX_DEPTH`], [`MAX_NODES`] or [`MAX_LITERALS`].
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let json = Json::parse(text)?;
        Parser { json: &json, nodes: 0, literals: 0 }.expression(json.root(), 0)
    }
}

/// A function of a column, or a literal.
enum Operand {
    Column(Reference, Transform),
    Literal(Literal),
}

struct Parser<'j> {
    json: &'j Json<'j>,
    nodes: usize,
    literals: usize,
}

impl<'j> Parser<'j> {
    fn expression(&mut self, at: usize, depth: usize) -> Result<Expression, FilterError> {
        if depth >= MAX_DEPTH {
            return Err(FilterError::TooLarge(format!(
                "it is nested deeper than {MAX_DEPTH}. Use `in` for many values of a column."
            )));
        }
        let (mut at, mut negated) = (at, false);
        loop {
            self.count_node()?;
            if let Node::Boolean(value) = self.json.node(at) {
                return Ok(constant(*value != negated));
            }
            let kind = self.kind(at, "expression")?;
            let expression = match kind.as_str() {
                "not" => {
                    at = self.required(at, "child", "not")?;
                    negated = !negated;
                    continue;
                }
                "true" => constant(true),
                "false" => constant(false),
                "literal" => self.constant_literal(at)?,
                "and" | "or" => self.chain(at, &kind, depth)?,
                _ => Expression::Predicate(self.predicate(at, &kind)?),
            };
            return Ok(match expression {
                expression if !negated => expression,
                Expression::True => Expression::False,
                Expression::False => Expression::True,
                expression => Expression::Not(Box::new(expression)),
            });
        }
    }

    /// Parses a tree of the same operator as one list, from left to right.
    fn chain(&mut self, at: usize, operator: &str, depth: usize) -> Result<Expression, FilterError> {
        let mut operands = Vec::new();
        let mut next = vec![self.required(at, "right", operator)?, self.required(at, "left", operator)?];
        while let Some(at) = next.pop() {
            if matches!(self.json.node(at), Node::Object(_)) && self.kind(at, "expression")? == operator {
                self.count_node()?;
                next.push(self.required(at, "right", operator)?);
                next.push(self.required(at, "left", operator)?);
            } else {
                operands.push(self.expression(at, depth + 1)?);
            }
        }
        Ok(if operator == "and" { Expression::And(operands) } else { Expression::Or(operands) })
    }

    /// Parses `{"type": "literal", "value": true}` where a predicate must be.
    fn constant_literal(&self, at: usize) -> Result<Expression, FilterError> {
        match self.json.field(at, "value").map(|value| self.json.node(value)) {
            Some(Node::Boolean(value)) => Ok(constant(*value)),
            _ => Err(malformed("a literal in place of a predicate must be true or false")),
        }
    }

    fn predicate(&mut self, at: usize, kind: &str) -> Result<Predicate, FilterError> {
        let Some((operation, ..)) = OPERATIONS.iter().find(|(_, name, _)| *name == kind) else {
            return Err(malformed(&format!("unknown operation '{}'", excerpt(kind))));
        };
        let operation = *operation;
        if self.json.field(at, "term").is_some() {
            return self.legacy_predicate(at, operation);
        }
        if operation.is_unary() || operation.is_set() {
            let child = self.json.field(at, "child").ok_or_else(|| missing(operation.name(), "term"))?;
            let Operand::Column(reference, transform) = self.operand(child)? else {
                return Err(malformed(&format!("{} of a literal: its child must be a column", operation.name())));
            };
            let literals = self.values(at, operation)?;
            return Ok(Predicate { operation, reference, transform, literals });
        }
        let left = self.json.field(at, "left").ok_or_else(|| missing(operation.name(), "term"))?;
        let right = self.required(at, "right", operation.name())?;
        match (self.operand(left)?, self.operand(right)?) {
            (Operand::Column(reference, transform), Operand::Literal(literal)) => {
                Ok(Predicate { operation, reference, transform, literals: vec![literal] })
            }
            (Operand::Literal(literal), Operand::Column(reference, transform)) => {
                let operation = operation
                    .flip()
                    .ok_or_else(|| malformed(&format!("the left side of {} must be a column", operation.name())))?;
                Ok(Predicate { operation, reference, transform, literals: vec![literal] })
            }
            _ => Err(malformed(&format!("{} must compare a column with a literal", operation.name()))),
        }
    }

    /// Parses a predicate with `term`.
    fn legacy_predicate(&mut self, at: usize, operation: Operation) -> Result<Predicate, FilterError> {
        let (reference, transform) = self.term(self.required(at, "term", operation.name())?)?;
        let literals = if operation.is_unary() || operation.is_set() {
            self.values(at, operation)?
        } else {
            self.refuse(at, operation, "values")?;
            let value = self.required(at, "value", operation.name())?;
            vec![self.literal(value)?]
        };
        Ok(Predicate { operation, reference, transform, literals })
    }

    /// Parses the `values` of a set operation. A unary operation has none.
    fn values(&mut self, at: usize, operation: Operation) -> Result<Vec<Literal>, FilterError> {
        self.refuse(at, operation, "value")?;
        if operation.is_unary() {
            self.refuse(at, operation, "values")?;
            return Ok(Vec::new());
        }
        let mut list = self.required(at, "values", operation.name())?;
        let mut data_type = None;
        if matches!(self.json.node(list), Node::Object(_)) {
            if self.kind(list, "values")? != "literals" {
                return Err(malformed(&format!("the values of {} must be an array or literals", operation.name())));
            }
            data_type = self.data_type(list)?;
            list = self.required(list, "values", "literals")?;
        }
        let Node::Array(elements) = self.json.node(list) else {
            return Err(malformed(&format!("cannot parse literals from non-array: {}", self.json.describe(list))));
        };
        let mut literals = Vec::with_capacity(elements.len().min(MAX_LITERALS));
        for element in elements {
            let mut literal = self.literal(*element)?;
            literal.data_type = literal.data_type.or(data_type);
            literals.push(literal);
        }
        Ok(literals)
    }

    /// Parses the term of a legacy predicate: a name, a reference, or a transform of one of them.
    fn term(&self, at: usize) -> Result<(Reference, Transform), FilterError> {
        if let Some(name) = self.json.string(at) {
            return Ok((Reference::Name(name.into()), Transform::Identity));
        }
        match self.kind(at, "reference")?.as_str() {
            "reference" => Ok((self.reference(at)?, Transform::Identity)),
            "transform" => {
                let name = self.json.string(self.required(at, "transform", "transform")?);
                let transform = Transform::parse(name.ok_or_else(|| malformed("the name of a transform is a string"))?);
                if let Transform::Unknown(name) = &transform {
                    return Err(malformed(&format!("unknown transform '{}'", excerpt(name))));
                }
                let term = self.required(at, "term", "transform")?;
                let (reference, inner) = match self.json.string(term) {
                    Some(name) => (Reference::Name(name.into()), Transform::Identity),
                    None if self.kind(term, "reference")? == "reference" => {
                        (self.reference(term)?, Transform::Identity)
                    }
                    None => return Err(malformed("a transform of a transform is not supported")),
                };
                Ok((reference, if transform == Transform::Identity { inner } else { transform }))
            }
            kind => Err(malformed(&format!("cannot parse type as a reference: {}", excerpt(kind)))),
        }
    }

    /// Parses a reference object: `name`, `id`, or the deprecated `term`.
    fn reference(&self, at: usize) -> Result<Reference, FilterError> {
        if let Some(id) = self.json.field(at, "id") {
            let id = match self.json.node(id) {
                Node::Number(text) => text.parse().ok(),
                _ => None,
            };
            return id.map(Reference::Id).ok_or_else(|| malformed("the id of a reference is a 32-bit integer"));
        }
        let name = self.json.field(at, "name").or_else(|| self.json.field(at, "term"));
        let name = name.and_then(|name| self.json.string(name));
        let name = name.ok_or_else(|| malformed("a reference must have a name or an id"))?;
        Ok(Reference::Name(name.into()))
    }

    /// Parses a value expression: a literal, a reference, or a function of one.
    fn operand(&mut self, at: usize) -> Result<Operand, FilterError> {
        if !matches!(self.json.node(at), Node::Object(_)) {
            return self.literal(at).map(Operand::Literal);
        }
        match self.kind(at, "value expression")?.as_str() {
            "literal" => self.literal(at).map(Operand::Literal),
            "apply" => {
                let (reference, transform) = self.apply(at)?;
                Ok(Operand::Column(reference, transform))
            }
            _ => {
                let (reference, transform) = self.term(at)?;
                Ok(Operand::Column(reference, transform))
            }
        }
    }

    /// Parses the application of a partition transform to a column.
    fn apply(&self, at: usize) -> Result<(Reference, Transform), FilterError> {
        let function = self.function(self.required(at, "function", "apply")?)?;
        let arguments = self.required(at, "arguments", "apply")?;
        let Node::Array(arguments) = self.json.node(arguments) else {
            return Err(malformed("the arguments of a function are an array"));
        };
        let (text, column) = match (function, arguments.as_slice()) {
            ("identity" | "year" | "month" | "day" | "hour", [column]) => (function.to_owned(), *column),
            ("bucket" | "truncate", [width, column]) => {
                let literal = self.json.field(*width, "value").unwrap_or(*width);
                let Node::Number(width) = self.json.node(literal) else {
                    return Err(malformed(&format!("the first argument of {function} is an integer")));
                };
                (format!("{function}[{width}]"), *column)
            }
            _ => return Err(malformed(&format!("function '{}' is not supported here", excerpt(function)))),
        };
        match Transform::parse(&text) {
            Transform::Unknown(name) => Err(malformed(&format!("unknown transform '{}'", excerpt(&name)))),
            _ if self.kind(column, "argument")? != "reference" => {
                Err(malformed(&format!("the last argument of {function} must be a column")))
            }
            transform => Ok((self.reference(column)?, transform)),
        }
    }

    /// Returns the name of a function of the expressions specification.
    fn function(&self, at: usize) -> Result<&'j str, FilterError> {
        let known = || {
            let catalog = self.json.string(self.json.field(at, "catalog")?)?;
            let Node::Array(names) = self.json.node(self.json.field(at, "identifier")?) else { return None };
            let [name] = names.as_slice() else { return None };
            (catalog == ICEBERG_FUNCTIONS).then(|| self.json.string(*name)).flatten()
        };
        known().ok_or_else(|| {
            malformed(&format!("a function must be of catalog {ICEBERG_FUNCTIONS}, with one name in its identifier"))
        })
    }

    fn literal(&mut self, at: usize) -> Result<Literal, FilterError> {
        self.literals += 1;
        if self.literals > MAX_LITERALS {
            return Err(FilterError::TooLarge(format!("it has more than {MAX_LITERALS} literals")));
        }
        let (value, data_type) = match self.json.node(at) {
            Node::Object(_) if self.json.field(at, "type").is_some() => {
                let kind = self.kind(at, "literal")?;
                if kind != "literal" {
                    return Err(malformed(&format!("cannot parse type as a literal: {}", excerpt(&kind))));
                }
                (self.required(at, "value", "literal")?, self.data_type(at)?)
            }
            _ => (at, None),
        };
        let scalar = match self.json.node(value) {
            Node::Boolean(value) => Scalar::Boolean(*value),
            Node::Number(text) => Scalar::Number((*text).into()),
            Node::String(text) => Scalar::Text(text.as_ref().into()),
            Node::Null => return Err(malformed("cannot compare with null: use is-null or not-null")),
            Node::Array(_) | Node::Object(_) => {
                return Err(malformed(&format!("cannot convert JSON to literal: {}", self.json.describe(value))));
            }
        };
        Ok(Literal { scalar, data_type })
    }

    /// Parses the optional `data-type` of a literal.
    fn data_type(&self, at: usize) -> Result<Option<ValueType>, FilterError> {
        let Some(at) = self.json.field(at, "data-type") else { return Ok(None) };
        let parsed = self.json.string(at).and_then(|name| ValueType::from_type(&Type::from_name(name)));
        let refuse = || malformed(&format!("the data-type {} has no literals", self.json.describe(at)));
        parsed.map(Some).ok_or_else(refuse)
    }

    /// Returns the `type` of an object in lower case, with hyphens. Java accepts both cases, and underscores.
    fn kind(&self, at: usize, what: &str) -> Result<String, FilterError> {
        if !matches!(self.json.node(at), Node::Object(_)) {
            return Err(malformed(&format!("cannot parse {what} from non-object: {}", self.json.describe(at))));
        }
        match self.json.field(at, "type").map(|kind| self.json.node(kind)) {
            Some(Node::String(kind)) => Ok(kind.to_ascii_lowercase().replace('_', "-")),
            Some(Node::Boolean(value)) => Ok(value.to_string()),
            Some(_) => Err(malformed(&format!("the type of an {what} must be a string"))),
            None => Err(malformed(&format!("missing field 'type' in {}", self.json.describe(at)))),
        }
    }

    fn required(&self, at: usize, key: &str, what: &str) -> Result<usize, FilterError> {
        self.json.field(at, key).ok_or_else(|| missing(what, key))
    }

    fn refuse(&self, at: usize, operation: Operation, key: &str) -> Result<(), FilterError> {
        match self.json.field(at, key) {
            Some(_) => Err(malformed(&format!("{} must not have the field '{key}'", operation.name()))),
            None => Ok(()),
        }
    }

    fn count_node(&mut self) -> Result<(), FilterError> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(FilterError::TooLarge(format!(
                "it has more than {MAX_NODES} operators and comparisons. Use `in` for many values of a column."
            )));
        }
        Ok(())
    }
}

fn constant(value: bool) -> Expression {
    if value { Expression::True } else { Expression::False }
}

fn malformed(why: &str) -> FilterError {
    FilterError::Malformed(why.to_owned())
}

fn missing(what: &str, key: &str) -> FilterError {
    malformed(&format!("missing field '{key}' of {}", excerpt(what)))
}

#[cfg(test)]
mod tests;
