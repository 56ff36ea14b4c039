//! Vends access to a table's storage with an answer (header `X-Iceberg-Access-Delegation`).

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use axum::response::Response;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tidewater_core::ids::TableId;
use tidewater_core::name::TableIdent;
use tidewater_core::storage::{Delegation, Wanted};

use super::Api;
use super::audit_marks::GaveAccess;
use super::error::ApiError;
use crate::access::action::Action;
use crate::access::{InWarehouse, Permit};
use crate::catalog::LoadedTable;
use crate::vending::{Access, ValidLocations, Vended};

const HEADER: HeaderName = HeaderName::from_static("x-iceberg-access-delegation");

/// How a client said that it can reach files.
#[derive(Clone, Copy, Default)]
pub(super) struct Delegated(Wanted);

impl<S: Sync> FromRequestParts<S> for Delegated {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::from_headers(&parts.headers))
    }
}

impl Delegated {
    /// Reads them from a request's headers.
    pub(super) fn from_headers(headers: &HeaderMap) -> Self {
        // A header that is not text names no known way.
        let header = headers.get(HEADER).map(|value| value.to_str().unwrap_or_default());
        Self(Wanted::parse(header))
    }
}

/// Vends access to a table's locations. Vends nothing if they are outside of the warehouse.
///
/// # Errors
/// Fails if the client wants credentials and the catalog cannot get them.
pub(super) async fn vend_for_table<A: Action, O: InWarehouse>(
    api: &Api,
    permit: &Permit<A, O>,
    delegated: Delegated,
    ident: &TableIdent,
    table: &LoadedTable,
) -> Result<Arc<Vended>, ApiError> {
    match &table.locations {
        Some(locations) => vend_within_permit(api, permit, delegated, ident, (locations, false)).await,
        None => Ok(Arc::default()),
    }
}

/// Vends credentials with a plan, if the client asks for them and the warehouse vends them.
///
/// # Errors
/// Fails if the catalog cannot get them.
pub(super) async fn credentials_for_plan<A: Action, O: InWarehouse>(
    api: &Api,
    permit: &Permit<A, O>,
    delegated: Delegated,
    ident: &TableIdent,
    table: &LoadedTable,
) -> Result<Option<Arc<Vended>>, ApiError> {
    let asked = matches!(delegated.0, Wanted::Said { vended_credentials: true, .. });
    if !asked || permit.warehouse().vendor.delegation(delegated.0) != Delegation::VendedCredentials {
        return Ok(None);
    }
    let vended = vend_for_table(api, permit, delegated, ident, table).await?;
    Ok(Some(vended).filter(|vended| !vended.credentials.is_empty()))
}

/// Vends access after a completed change. Vends nothing if the catalog cannot get credentials: an error would mean that the
/// change was not made. The client gets credentials with its next load.
pub(super) async fn vend_after_change<A: Action, O: InWarehouse>(
    api: &Api,
    permit: &Permit<A, O>,
    delegated: Delegated,
    ident: &TableIdent,
    table: &LoadedTable,
) -> Arc<Vended> {
    vend_for_table(api, permit, delegated, ident, table).await.unwrap_or_else(|error| {
        tracing::warn!(table = %ident, cause = error.cause(), "the table was created, but the answer has no credentials");
        Arc::default()
    })
}

/// Vends access to the locations of a staged table.
///
/// # Errors
/// Fails if the client wants credentials and the catalog cannot get them.
pub(super) async fn vend_for_staged<A: Action, O: InWarehouse>(
    api: &Api,
    permit: &Permit<A, O>,
    delegated: Delegated,
    ident: &TableIdent,
    locations: &ValidLocations,
) -> Result<Arc<Vended>, ApiError> {
    vend_within_permit(api, permit, delegated, ident, (locations, true)).await
}

/// Vends access to a table's locations, within the permit.
async fn vend_within_permit<A: Action, O: InWarehouse>(
    api: &Api,
    permit: &Permit<A, O>,
    delegated: Delegated,
    ident: &TableIdent,
    (locations, is_staged): (&ValidLocations, bool),
) -> Result<Arc<Vended>, ApiError> {
    let warehouse = permit.warehouse();
    if warehouse.vendor.is_none() {
        return Ok(Arc::default());
    }
    let path = path_of(&warehouse.name, ident);
    let signs =
        permit.storage_access().is_some() && warehouse.vendor.delegation(delegated.0) == Delegation::RemoteSigning;
    let pass = match signs {
        true => Some(api.catalog.signing_pass(permit, ident, locations, is_staged).await?),
        false => None,
    };
    Ok(api.catalog.vend(permit, locations, delegated.0, (&path, pass.as_deref())).await?)
}

/// Marks an answer that gives the client credentials for a table's files, for the audit record.
pub(super) fn mark<A: Action, O: InWarehouse>(
    permit: &Permit<A, O>,
    table: Option<TableId>,
    vended: &Vended,
    mut response: Response,
) -> Response {
    if let Some(access) = permit.storage_access().filter(|_| !vended.credentials.is_empty()) {
        let access = match access {
            Access::Read => "read",
            Access::ReadWriteNoDelete => "read-write-no-delete",
            Access::ReadWrite => "read-write",
        };
        let gave = GaveAccess { given: "credentials", access, table: table.map(|table| table.0) };
        response.extensions_mut().insert(gave);
    }
    response
}

/// Returns a table's path below the catalog's address.
fn path_of(warehouse: &str, ident: &TableIdent) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    format!(
        "v1/{}/namespaces/{}/tables/{}",
        encoded(warehouse),
        encoded(ident.namespace.as_key()),
        encoded(ident.name())
    )
}

#[cfg(test)]
mod tests {
    use tidewater_core::name::NamespaceIdent;

    use super::*;

    #[test]
    fn path_with_special_characters_in_names_is_encoded() {
        let ident = TableIdent::new(NamespaceIdent::new(&["a b", "c"]).unwrap(), "t+/%").unwrap();
        assert_eq!(path_of("lake", &ident), "v1/lake/namespaces/a%20b%1Fc/tables/t%2B%2F%25");
    }
}
