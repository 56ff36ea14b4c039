//! Signing clients' requests for a table's files, those of a table that is only staged among them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use tidewater_core::name::TableIdent;
use tidewater_core::storage::s3_request::S3Request;

use super::{Catalog, CatalogError, OpenWarehouse};
use crate::vending::{Access, Signed, ValidLocations};

/// For how long the files of a staged table can be written: longer than a query that fills a table takes.
const STAGED_FOR_MS: i64 = 24 * 3_600 * 1_000;

/// What was staged, as it is sealed into what a client brings back: nothing is remembered of a staged table.
#[derive(Debug, Serialize, Deserialize)]
struct Staged {
    namespace: String,
    name: String,
    locations: Vec<String>,
    expires_ms: i64,
}

impl Catalog {
    /// Signs a client's request to the storage, if it is about the files of a table and within `access`.
    ///
    /// The table is the one that has the name now. Where there is none, it can be one that is staged, if the client brings
    /// what it was given for it.
    ///
    /// # Errors
    /// `NoSuchTable`; `Metadata`; `Vending`.
    pub async fn table_sign(
        &self,
        warehouse: &OpenWarehouse,
        ident: &TableIdent,
        staged: Option<&str>,
        access: Access,
        request: &S3Request<'_>,
    ) -> Result<Signed, CatalogError> {
        let locations = match self.table_load(warehouse, ident).await {
            Ok(table) => table.locations.ok_or_else(|| {
                CatalogError::Forbidden(format!(
                    "The files of {ident} lie outside of its warehouse by now, so nothing is signed for them: an \
                     administrator must look at it"
                ))
            })?,
            Err(CatalogError::NoSuchTable(missing)) => {
                let locations = staged.and_then(|staged| self.staged_locations(warehouse, ident, staged));
                locations.ok_or(CatalogError::NoSuchTable(missing))?
            }
            Err(error) => return Err(error),
        };
        Ok(warehouse.vendor.sign(&locations, access, request, self.clock.now_ms()).await?)
    }

    /// What a client brings along to have requests for a staged table's files signed.
    ///
    /// # Errors
    /// `WarehouseUnusable` when there is no key to seal it with.
    pub fn staged_pass(
        &self,
        warehouse: &OpenWarehouse,
        ident: &TableIdent,
        locations: &ValidLocations,
    ) -> Result<String, CatalogError> {
        let staged = Staged {
            namespace: ident.namespace.as_key().to_owned(),
            name: ident.name().to_owned(),
            locations: locations.as_slice().iter().map(|location| location.as_str().to_owned()).collect(),
            expires_ms: self.clock.now_ms() + STAGED_FOR_MS,
        };
        let sealed = serde_json::to_vec(&staged).ok().and_then(|text| {
            let sealed = self.warehouses.access().seal_pass(warehouse.place, &text);
            sealed.inspect_err(|error| tracing::error!(%error, "a staged table cannot be sealed")).ok()
        });
        let sealed = sealed.ok_or_else(|| CatalogError::WarehouseUnusable(warehouse.name.clone()))?;
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    fn staged_locations(&self, warehouse: &OpenWarehouse, ident: &TableIdent, pass: &str) -> Option<ValidLocations> {
        let sealed = URL_SAFE_NO_PAD.decode(pass).ok()?;
        let text = self.warehouses.access().open_pass(warehouse.place, &sealed).ok()?;
        let staged: Staged = serde_json::from_slice(text.expose()).ok()?;
        let is_it = staged.namespace == ident.namespace.as_key() && staged.name == ident.name();
        let is_good = is_it && self.clock.now_ms() < staged.expires_ms;
        is_good.then(|| ValidLocations::again(&staged.locations, &warehouse.root).ok()).flatten()
    }
}
