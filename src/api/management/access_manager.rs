//! The managers of access in a warehouse: administrators of the organisation, and keys with CATALOG_MANAGE_ACCESS.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use tidewater_core::access::Securable;

use super::administrator::{Asking, OfOrganisation, OfWarehouse};
use crate::access::action::{ManageAccess, On};
use crate::access::{Authorizer, Namespace, Object, Permit, Principal, Warehouse};
use crate::admin::{AdminError, NamedObject};
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::path::PathParameters;
use crate::auth::Caller;
use crate::catalog::CatalogError;
use crate::store::{Change, Organisation, TableKind, WarehouseRef};
use crate::warehouse::OpenWarehouse;

/// A caller who may manage access to some object of the path's warehouse. It returns the permits.
pub(in crate::api) struct AccessManager {
    asking: Asking,
    principal: Principal,
    pub(in crate::api) organisation: Organisation,
    warehouse: Arc<OpenWarehouse>,
}

impl AccessManager {
    /// Returns the warehouse's place.
    pub(in crate::api) fn warehouse_ref(&self) -> WarehouseRef {
        self.warehouse.warehouse_ref
    }

    /// Returns the record of a change that this request makes.
    pub(in crate::api) fn change(&self, api: &Api) -> Change {
        self.asking.change(api)
    }

    /// Checks that the caller may manage access to the warehouse.
    ///
    /// # Errors
    /// 403.
    pub(in crate::api) fn warehouse(&self) -> Result<Permit<ManageAccess, Warehouse>, ApiError> {
        self.permit(Warehouse(Arc::clone(&self.warehouse)))
    }

    /// Checks that the caller may manage access to some object of the warehouse. It needs the names of the warehouse's roles to
    /// grant to them.
    ///
    /// # Errors
    /// 403.
    pub(in crate::api) fn somewhere(&self) -> Result<(), ApiError> {
        if self.principal.may_manage_within(self.warehouse.warehouse_ref.warehouse) {
            return Ok(());
        }
        self.warehouse().map(drop)
    }

    /// Returns whether the caller may manage access to the object of a grant.
    pub(in crate::api) fn manages(&self, on: &Securable) -> bool {
        self.principal.may_manage(self.warehouse.warehouse_ref, on)
    }

    /// Checks that the caller may manage access to an object.
    ///
    /// # Errors
    /// 403; 404 if the object does not exist or is hidden from the caller.
    pub(in crate::api) async fn object(&self, api: &Api, object: &NamedObject) -> Result<(), ApiError> {
        match object {
            NamedObject::Warehouse => self.warehouse().map(drop),
            NamedObject::Namespace(ident) => self.namespace(ident.clone()).map(drop),
            NamedObject::Tabular(kind, ident) => {
                let (authorizer, warehouse) = self.authorizer()?;
                match kind {
                    TableKind::Table => drop(api.catalog.table_find(authorizer, warehouse, ident.clone()).await?),
                    TableKind::View => drop(api.catalog.view_find(authorizer, warehouse, ident.clone()).await?),
                }
                Ok(())
            }
        }
    }

    /// Checks that the caller may manage access to a namespace.
    ///
    /// # Errors
    /// 403; 404 if the namespace is hidden from the caller.
    pub(in crate::api) fn namespace(
        &self,
        ident: tidewater_core::name::NamespaceIdent,
    ) -> Result<Permit<ManageAccess, Namespace>, ApiError> {
        self.permit(Namespace { warehouse: Arc::clone(&self.warehouse), ident })
    }

    /// Returns the authorizer for a table or view, and its warehouse.
    ///
    /// # Errors
    /// 403.
    pub(in crate::api) fn authorizer(&self) -> Result<(Authorizer<ManageAccess>, Arc<OpenWarehouse>), ApiError> {
        Ok((Authorizer::new(self.principal.clone())?, Arc::clone(&self.warehouse)))
    }

    fn permit<O: Object>(&self, object: O) -> Result<Permit<ManageAccess, O>, ApiError>
    where
        ManageAccess: On<O>,
    {
        Ok(Authorizer::new(self.principal.clone())?.permit(object)?)
    }
}

impl FromRequestParts<Arc<Api>> for AccessManager {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let Some((asking, caller)) = Asking::of_key(parts) else {
            let OfWarehouse { of, warehouse } = OfWarehouse::from_request_parts(parts, api).await?;
            let principal = of.principal(api);
            let OfOrganisation { asking, organisation } = of;
            return Ok(Self { asking, principal, organisation, warehouse });
        };
        let principal = Principal::from(Arc::clone(&caller));
        Authorizer::<ManageAccess>::new(principal.clone())?;
        let (organisation, warehouse) = own_warehouse(parts, api, &caller, &principal).await?;
        Ok(Self { asking, principal, organisation, warehouse })
    }
}

/// Finds the path's organisation and warehouse for the holder of a key, who need not be an administrator.
///
/// # Errors
/// 404 if the organisation is another's, or the warehouse is hidden from the holder.
pub(super) async fn own_warehouse(
    parts: &Parts,
    api: &Api,
    caller: &Caller,
    principal: &Principal,
) -> Result<(Organisation, Arc<OpenWarehouse>), ApiError> {
    let organisation = OfOrganisation::find_own(parts, api, caller).await?;
    let named = PathParameters::from_parts(parts).get("warehouse")?.unwrap_or_default();
    let name = match api.admin.warehouse_find(&organisation, &named).await {
        Ok(found) if principal.sees_warehouse(found.id) => found.name,
        // The same answer, which repeats only what the request says.
        Ok(_) => return Err(ApiError::from(CatalogError::NoSuchWarehouse(named)).hidden()),
        Err(AdminError::NoSuchWarehouse(_)) => return Err(CatalogError::NoSuchWarehouse(named).into()),
        Err(error) => return Err(error.into()),
    };
    let warehouse = api.catalog.warehouse(organisation.id, Some(&name)).await?;
    Ok((organisation, warehouse))
}
