//! Filters that are bound to the columns of a schema.

use super::value::{Value, ValueType};
use crate::document::Transform;

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
