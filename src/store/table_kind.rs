//! The two kinds of tabular object, which share one name space.

/// A table or a view. Both share one name space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TableKind {
    /// A table.
    Table,
    /// A view.
    View,
}
