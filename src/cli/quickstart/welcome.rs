//! The connection details that `quickstart` prints.

use serde::Serialize;

/// The connection details of a client. Scripts read them with `--json`, so the fields must not change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Welcome {
    /// The catalog's address.
    pub(crate) uri: String,
    /// The warehouse.
    pub(crate) warehouse: &'static str,
    /// An administrator's key, in the clear: the catalog belongs to one person on one machine.
    pub(crate) api_key: String,
    /// The namespace of the sample table.
    pub(crate) namespace: &'static str,
    /// The sample table.
    pub(crate) table: &'static str,
}
