//! A place in the walk over an organisation's tables.

use tidewater_core::ids::WarehouseId;
use tidewater_core::name::NamespaceIdent;

/// Where the next look at an organisation begins: after a table.
#[derive(Debug, Clone)]
pub(super) struct Cursor {
    pub(super) warehouse: WarehouseId,
    pub(super) namespace: NamespaceIdent,
    /// The table's name. `None` for the beginning of the namespace.
    pub(super) after: Option<String>,
}
