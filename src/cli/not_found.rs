//! The error for a table or view that does not exist.

use http::StatusCode;
use tidewater_core::name::TableIdent;

use super::client::{has_status, with_message};
use super::dropped::word;
use super::table_name;
use tidewater::store::TableKind;

/// Replaces a 404 error with a message that names the table or view and the command that lists the existing ones.
pub(super) fn explain(error: anyhow::Error, kind: TableKind, ident: &TableIdent) -> anyhow::Error {
    if !has_status(&error, StatusCode::NOT_FOUND) {
        return error;
    }
    let (word, name, namespace) = (word(kind), ident.name(), table_name::shown(&ident.namespace));
    with_message(error, |_| {
        format!("there is no {word} '{name}' in '{namespace}': see `tidewater {word} list {namespace}`")
    })
}
