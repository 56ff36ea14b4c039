//! `GET /v1/config`: what a client asks first.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::Api;
use super::body::Parameters;
use super::caller::{Allowed, Read};
use super::error::ApiError;
use super::router::ENDPOINTS;

#[derive(Deserialize)]
pub(super) struct Wanted {
    warehouse: Option<String>,
}

#[derive(Serialize)]
pub(super) struct CatalogConfig {
    defaults: BTreeMap<&'static str, String>,
    overrides: BTreeMap<&'static str, String>,
    endpoints: [&'static str; ENDPOINTS.len()],
}

/// The warehouse that was asked for, or the default one, and the prefix of its paths.
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    Allowed { caller, .. }: Allowed<Read>,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<Json<CatalogConfig>, ApiError> {
    let name = wanted.warehouse.as_deref().filter(|name| !name.is_empty());
    let warehouse = api.catalog.warehouse(caller.organisation(), name).await?;
    Ok(Json(CatalogConfig {
        defaults: BTreeMap::from([("warehouse", warehouse.name.clone())]),
        overrides: BTreeMap::from([("prefix", warehouse.name.clone())]),
        endpoints: ENDPOINTS,
    }))
}
