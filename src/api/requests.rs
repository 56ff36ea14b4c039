//! Parts of requests that several handlers use: names, renames, purges.

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

/// Parses a namespace in a parameter. As in a path, the unit separator joins its levels.
pub(super) fn namespace_parameter(text: &str) -> Result<NamespaceIdent, ApiError> {
    NamespaceIdent::from_key(text).map_err(|error| ApiError::bad_request(error.to_string()))
}

/// How long the answer to a purge at once waits for the removal of the files. Clients expect the files to be removed and the
/// location to be free. For most tables, this time is enough.
pub(super) const PURGE_WAIT: Duration = Duration::from_secs(2);

/// The parameter that asks for the removal of files.
#[derive(Deserialize)]
pub(super) struct Purge {
    #[serde(rename = "purgeRequested")]
    requested: Option<String>,
}

impl Purge {
    /// Returns the parameter's value, or `None` if it is missing. Accepts any case: PyIceberg sends `False`.
    ///
    /// # Errors
    /// 400 if it is neither true nor false.
    pub(super) fn requested(&self) -> Result<Option<bool>, ApiError> {
        flag("purgeRequested", self.requested.as_deref())
    }

    /// Returns the parameter's value, or `false` if it is missing.
    pub(super) fn is_requested(&self) -> Result<bool, ApiError> {
        self.requested().map(|requested| requested.unwrap_or(false))
    }
}

/// Parses a query parameter that is true or false, in any case.
///
/// # Errors
/// 400 if it is neither. The message names the parameter.
pub(super) fn flag(parameter: &str, text: Option<&str>) -> Result<Option<bool>, ApiError> {
    match text {
        None => Ok(None),
        Some(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
        Some(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
        Some(_) => Err(ApiError::bad_request(format!("{parameter} must be true or false"))),
    }
}

#[derive(Deserialize)]
pub(super) struct Rename {
    pub(super) source: Identifier,
    pub(super) destination: Identifier,
}
