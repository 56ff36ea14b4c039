//! Signs clients' requests for a table's files, also while the table has no name: before a staged table exists, and after a
//! drop or rename while a client still uses it.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use tidewater_core::ids::{PrincipalId, TableId};
use tidewater_core::name::TableIdent;
use tidewater_core::storage::Access;
use tidewater_core::storage::s3_request::{Refused, S3Request};
use uuid::Uuid;

use super::error::table_error;
use super::{Catalog, CatalogError, LoadedTable, OpenWarehouse};
use crate::access::action::Action;
use crate::access::{Authorizer, InWarehouse, Namespace, Permit, Table, action};
use crate::base::clock::fresh_ordered_uuid;
use crate::metadata::Document;
use crate::store::StoreError;
use crate::vending::{Signed, ValidLocations, VendingError};
use crate::warehouse::{PassPurpose, open_pass, seal_pass};

/// How long a pass for an existing table is valid: as long as vended credentials by default.
const PASS_FOR_MS: i64 = 3_600 * 1_000;
/// How long a pass for a staged table is valid: longer than the query that fills it.
const STAGED_PASS_FOR_MS: i64 = 24 * 3_600 * 1_000;

/// The content of a pass: a table's locations. The client keeps the sealed pass, so the server stores nothing.
#[derive(Debug, Serialize, Deserialize)]
struct Pass {
    namespace: String,
    name: String,
    locations: Vec<String>,
    expires_ms: i64,
    /// The principal that staged the table, and owns it once it exists.
    #[serde(default)]
    creator: Option<Uuid>,
}

impl Catalog {
    /// Signs a client's request to the storage, if it is about the table's files and the permit allows it.
    ///
    /// The table is the one that has the name now. If there is none, or the request is not about its files, it may be the table
    /// that had the name when the client got its pass.
    ///
    /// # Errors
    /// `NoSuchTable`; `Metadata`; `Vending`.
    pub async fn table_sign(
        &self,
        authorizer: &Authorizer<action::ReadTableData>,
        warehouse: &Arc<OpenWarehouse>,
        ident: &TableIdent,
        pass: Option<&str>,
        request: &S3Request<'_>,
    ) -> Result<Signed, CatalogError> {
        let now_ms = self.clock.now_ms();
        let found = self.table_find(authorizer.clone(), Arc::clone(warehouse), ident.clone()).await;
        let refused = match found {
            Ok(table) => match self.sign_for_table(&table, request, now_ms).await {
                Ok(signed) => return Ok(signed),
                Err(error) => error,
            },
            Err(error) => error,
        };
        let is_of_another = matches!(
            &refused,
            CatalogError::NoSuchTable(_)
                | CatalogError::Hidden(_)
                | CatalogError::Vending(VendingError::NotSigned(Refused::Forbidden(_)))
        );
        let pass = pass.filter(|_| is_of_another).and_then(|pass| self.open_pass(warehouse, ident, pass, now_ms));
        let Some((locations, creator)) = pass else { return Err(refused) };
        let access = self.access_without_table(authorizer, warehouse, ident, (&locations, creator)).await?;
        let access = access.ok_or(refused)?;
        Ok(warehouse.vendor.sign(&locations, access, request, now_ms).await?)
    }

    /// Returns the access to the files of a table that may not exist: the permissions on its namespace decide. The principal that
    /// staged the table needs only the permission to create it, while no other table has its locations.
    async fn access_without_table(
        &self,
        authorizer: &Authorizer<action::ReadTableData>,
        warehouse: &Arc<OpenWarehouse>,
        ident: &TableIdent,
        (locations, creator): (&ValidLocations, Option<PrincipalId>),
    ) -> Result<Option<Access>, CatalogError> {
        let namespace = || Namespace { warehouse: Arc::clone(warehouse), ident: ident.namespace.clone() };
        let given = authorizer.clone().permit(namespace()).ok().and_then(|permit| permit.storage_access());
        let is_creator = creator.is_some() && creator == authorizer.principal().id();
        if !is_creator || given.is_some_and(Access::writes) {
            return Ok(given);
        }
        let create = authorizer.for_action::<action::CreateTable>().and_then(|create| create.permit(namespace()));
        let Ok(create) = create else { return Ok(given) };
        match self.store.location_check(warehouse.warehouse_ref, TableId(fresh_ordered_uuid()), locations.all()).await {
            Ok(()) => Ok(create.storage_access()),
            Err(StoreError::LocationTaken(_)) => Ok(given),
            Err(error) => Err(table_error(ident)(error)),
        }
    }

    /// Signs a request for the files of an existing table.
    async fn sign_for_table(
        &self,
        table: &Permit<action::ReadTableData, Table>,
        request: &S3Request<'_>,
        now_ms: i64,
    ) -> Result<Signed, CatalogError> {
        let warehouse = &table.warehouse;
        let LoadedTable { document, locations } = self.table_files(table).await?;
        let locations = locations.or_else(|| proof(warehouse, &document)).ok_or_else(|| outside(&table.ident))?;
        let access = table.storage_access().ok_or_else(|| CatalogError::NoSuchTable(table.ident.clone()))?;
        Ok(warehouse.vendor.sign(&locations, access, request, now_ms).await?)
    }

    /// Creates the pass with which a client has requests for a table's files signed, even after the table's name has changed.
    ///
    /// # Errors
    /// `WarehouseUnusable` when there is no key to seal the pass.
    pub async fn signing_pass<A: Action, O: InWarehouse>(
        &self,
        permit: &Permit<A, O>,
        ident: &TableIdent,
        locations: &ValidLocations,
        is_staged: bool,
    ) -> Result<String, CatalogError> {
        let warehouse = permit.warehouse();
        let pass = Pass {
            namespace: ident.namespace.as_key().to_owned(),
            name: ident.name().to_owned(),
            locations: locations.as_slice().iter().map(|location| location.as_str().to_owned()).collect(),
            expires_ms: self.clock.now_ms() + if is_staged { STAGED_PASS_FOR_MS } else { PASS_FOR_MS },
            creator: permit.principal().id().filter(|_| is_staged).map(|id| id.0),
        };
        let unusable = |error: &dyn std::fmt::Display| {
            tracing::error!(%error, "a pass for signing cannot be sealed");
            CatalogError::WarehouseUnusable(warehouse.name.clone())
        };
        let keys = self.warehouses.access().pass_keys(self.store.as_ref()).await.map_err(|error| unusable(&error))?;
        let text = serde_json::to_vec(&pass).map_err(|error| unusable(&error))?;
        let sealed =
            seal_pass(keys, PassPurpose::Signing, warehouse.warehouse_ref, &text).map_err(|error| unusable(&error))?;
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Returns the locations in a pass, and the principal that staged their table.
    fn open_pass(
        &self,
        warehouse: &OpenWarehouse,
        ident: &TableIdent,
        pass: &str,
        now_ms: i64,
    ) -> Option<(ValidLocations, Option<PrincipalId>)> {
        let sealed = URL_SAFE_NO_PAD.decode(pass).ok()?;
        // Without keys no pass can have been sealed.
        let keys = self.warehouses.access().passes.get()?;
        let text = open_pass(keys, PassPurpose::Signing, warehouse.warehouse_ref, &sealed).ok()?;
        let pass: Pass = serde_json::from_slice(text.expose()).ok()?;
        let is_good =
            pass.namespace == ident.namespace.as_key() && pass.name == ident.name() && now_ms < pass.expires_ms;
        let (own, others) = pass.locations.split_first()?;
        let locations = is_good.then(|| ValidLocations::parse(own, others, &warehouse.root).ok()).flatten()?;
        Some((locations, pass.creator.map(PrincipalId)))
    }
}

fn outside(ident: &TableIdent) -> CatalogError {
    CatalogError::Forbidden(format!(
        "The files of {ident} are outside of its warehouse now, so requests for them are not signed: an administrator \
         must check the table"
    ))
}

/// Returns the checked locations of a document. `None` in a warehouse that vends nothing: requests to sign are then refused.
fn proof(warehouse: &OpenWarehouse, document: &Document) -> Option<ValidLocations> {
    ValidLocations::from_table(&document.metadata, &warehouse.root).ok()
}
