//! The scope of routes with two paths: `/management/v1/warehouses/{warehouse}` for keys of the organisation, and
//! `/management/v1/organisations/{organisation}/warehouses/{warehouse}` for administrators.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::administrator::OfWarehouse;
use crate::access::Authorizer;
use crate::access::action::Action;
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
