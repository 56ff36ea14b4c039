//! The scope of routes with two paths: `/management/v1/warehouses/{warehouse}` for keys of the organisation, and
//! `/management/v1/organisations/{organisation}/warehouses/{warehouse}` for administrators.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::access_manager::own_warehouse;
use super::administrator::{Asking, OfWarehouse, WarehouseContents};
use crate::access::action::Action;
use crate::access::{Authorizer, Principal};
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::path::PathParameters;
use crate::api::permission::Scope;

/// A scope in a warehouse, for a key whose role allows `A` there or for an administrator.
pub(in crate::api) struct Scoped<A>(pub(in crate::api) Scope<A>);

impl<A: Action> FromRequestParts<Arc<Api>> for Scoped<A> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        if PathParameters::from_parts(parts).get("organisation")?.is_none() {
            return Scope::from_request_parts(parts, api).await.map(Self);
        }
        let OfWarehouse { of, warehouse } = OfWarehouse::from_request_parts(parts, api).await?;
        if A::ACTION.changes() {
            of.check_may_change_contents()?;
        }
        let authorizer = Authorizer::new(of.principal(api))?;
        Ok(Self(Scope::in_warehouse(authorizer, warehouse, parts)))
    }
}

/// A scope in the path's warehouse, for a key of the path's organisation that may do `A` to some object of the warehouse, or for a user of
/// the machine. Operators have no access to namespaces and tables.
pub(in crate::api) struct InOrganisation<A>(pub(in crate::api) Scope<A>);

impl<A: Action> FromRequestParts<Arc<Api>> for InOrganisation<A> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let Some((_, caller)) = Asking::of_key(parts) else {
            let WarehouseContents(OfWarehouse { of, warehouse }) =
                WarehouseContents::from_request_parts(parts, api).await?;
            let authorizer = Authorizer::new(of.principal(api))?;
            return Ok(Self(Scope::in_warehouse(authorizer, warehouse, parts)));
        };
        let principal = Principal::from(Arc::clone(&caller));
        let authorizer = Authorizer::new(principal.clone())?;
        let (_, warehouse) = own_warehouse(parts, api, &caller, &principal).await?;
        Ok(Self(Scope::in_warehouse(authorizer, warehouse, parts)))
    }
}
