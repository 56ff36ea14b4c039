//! The connection details that `quickstart` prints.

use serde::Serialize;

/// What a client needs to know. With `--json`, scripts read it, so its fields stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Welcome {
    /// Where the catalog answers.
    pub(crate) uri: String,
    /// The warehouse.
    pub(crate) warehouse: &'static str,
    /// An administrator's key, in the clear: this catalog is one person's, on one machine.
    pub(crate) api_key: String,
    /// The namespace of the sample table.
    pub(crate) namespace: &'static str,
    /// The sample table.
    pub(crate) table: &'static str,
}
