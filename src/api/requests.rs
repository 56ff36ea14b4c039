//! What several handlers read from requests: names, renames, purges.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidewater_core::name::{NamespaceIdent, TableIdent};

use super::error::ApiError;

/// A table's or view's name in a body.
#[derive(Serialize, Deserialize)]
pub(super) struct Identifier {
    namespace: Vec<String>,
    name: String,
}

impl Identifier {
    pub(super) const fn new(namespace: Vec<String>, name: String) -> Self {
        Self { namespace, name }
    }

    pub(super) fn ident(&self) -> Result<TableIdent, ApiError> {
        let namespace = NamespaceIdent::new(&self.namespace);
        let ident = namespace.and_then(|namespace| TableIdent::new(namespace, &self.name));
        ident.map_err(|error| ApiError::bad_request(error.to_string()))
    }
}

/// A namespace in a parameter, its levels joined by the unit separator, as in a path.
pub(super) fn namespace_parameter(text: &str) -> Result<NamespaceIdent, ApiError> {
    NamespaceIdent::from_key(text).map_err(|error| ApiError::bad_request(error.to_string()))
}

/// How long the answer to a purge waits for files that go at once: clients of other catalogs expect them to be gone, and
/// their place to be free. Those of most tables are by then.
pub(super) const PURGE_WAIT: Duration = Duration::from_secs(2);

/// Whether files are to be removed.
#[derive(Deserialize)]
pub(super) struct Purge {
    #[serde(rename = "purgeRequested")]
    requested: Option<String>,
}

impl Purge {
    /// What is asked for, if anything is. Clients send it in any case: PyIceberg `False`, others `false`.
    ///
    /// # Errors
    /// 400 when it is neither true nor false.
    pub(super) fn requested(&self) -> Result<Option<bool>, ApiError> {
        match self.requested.as_deref() {
            None => Ok(None),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(_) => Err(ApiError::bad_request("purgeRequested must be true or false")),
        }
    }

    /// Whether they are; not, unless it is said.
    pub(super) fn is_requested(&self) -> Result<bool, ApiError> {
        self.requested().map(|requested| requested.unwrap_or(false))
    }
}

#[derive(Deserialize)]
pub(super) struct Rename {
    pub(super) source: Identifier,
    pub(super) destination: Identifier,
}
