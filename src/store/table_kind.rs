//! Tables and views share one name space.

/// Tables and views share one name space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TableKind {
    /// A table.
    Table,
    /// A view.
    View,
}
