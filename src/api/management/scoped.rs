//! A warehouse that is reached in two ways: by a key of its organisation, below `/management/v1/warehouses`, and by an
//! administrator, below `/management/v1/organisations/{organisation}/warehouses`.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::administrator::OfWarehouse;
use crate::api::Api;
use crate::api::caller::{Permission, Scope};
use crate::api::error::ApiError;
use crate::api::idempotency::Once;
use crate::api::path::PathParameters;
use crate::store::Change;
use crate::warehouse::OpenWarehouse;

/// A warehouse in which `P` is allowed: to a key whose role allows it, or to an administrator.
pub(in crate::api) struct Scoped<P> {
    pub(in crate::api) warehouse: Arc<OpenWarehouse>,
    /// What a change for this request carries.
    pub(in crate::api) change: Change,
    /// Whether what is asked for may have been done before.
    pub(in crate::api) once: Once,
    /// How many tables the organisation may have.
    pub(in crate::api) max_tables: Option<u64>,
    permission: PhantomData<P>,
}

impl<P: Permission> FromRequestParts<Arc<Api>> for Scoped<P> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        if PathParameters::of(parts).get("organisation")?.is_none() {
            let scope = Scope::<P>::from_request_parts(parts, api).await?;
            let (change, max_tables) = (scope.change(api), scope.caller.tier().max_tables);
            let Scope { warehouse, once, .. } = scope;
            return Ok(Self { warehouse, change, once, max_tables, permission: PhantomData });
        }
        let OfWarehouse { of, warehouse } = OfWarehouse::from_request_parts(parts, api).await?;
        let max_tables = api.admin.max_tables(&of.organisation);
        Ok(Self { warehouse, change: of.change(api), once: Once::default(), max_tables, permission: PhantomData })
    }
}
