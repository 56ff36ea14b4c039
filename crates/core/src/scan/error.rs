//! Why a filter, or a list of columns, is refused. The messages are for the author of the request.

/// Why a filter or a column name is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// The text is not a filter of the REST specification.
    #[error("Cannot parse filter: {0}")]
    Malformed(String),
    /// The filter is larger or nested deeper than the limits.
    #[error("Filter is too large: {0}")]
    TooLarge(String),
    /// The schema has no such column. The wording is that of the reference implementation.
    #[error("Cannot find field '{name}' in struct: {columns}")]
    UnknownColumn {
        /// The name, or the id.
        name: String,
        /// The columns of the schema.
        columns: String,
    },
    /// Several columns have the name if case is ignored.
    #[error(
        "Column name '{name}' is ambiguous without case: it can be {}. Set case-sensitive to true.",
        candidates.join(" or ")
    )]
    AmbiguousColumn {
        /// The name.
        name: String,
        /// The columns that it matches, sorted.
        candidates: Vec<String>,
    },
    /// The literal is not a value of the column's type.
    #[error("Invalid value for conversion to type {value_type}: {literal} (column '{column}'): {reason}")]
    InvalidLiteral {
        /// The column, as the filter names it.
        column: String,
        /// The type that the literal must have.
        value_type: String,
        /// The literal, as JSON.
        literal: String,
        /// What is wrong, and what to send.
        reason: String,
    },
    /// The column's type, or the function, does not allow the comparison.
    #[error("Cannot bind {comparison} to column '{column}' of type {column_type}: {reason}")]
    InvalidComparison {
        /// The comparison, such as `lt`.
        comparison: String,
        /// The column, as the filter names it.
        column: String,
        /// Its type.
        column_type: String,
        /// What is wrong, and what to send.
        reason: String,
    },
}
