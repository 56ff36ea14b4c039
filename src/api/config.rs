//! `GET /v1/config`: what a client asks first.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::Api;
use super::body::Parameters;
use super::error::ApiError;
use super::permission::Allowed;
use super::router::ENDPOINTS;
use crate::access::{Warehouse, action};

#[derive(Deserialize)]
pub(super) struct Wanted {
    warehouse: Option<String>,
}

#[derive(Serialize)]
pub(super) struct CatalogConfig {
    defaults: BTreeMap<&'static str, String>,
    overrides: BTreeMap<&'static str, String>,
    endpoints: [&'static str; ENDPOINTS.len()],
    #[serde(rename = "idempotency-key-lifetime")]
    idempotency_key_lifetime: String,
}

/// The warehouse that was asked for, or the default one, and the prefix of its paths.
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    Allowed { authorizer }: Allowed<action::ReadConfig>,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<Json<CatalogConfig>, ApiError> {
    let name = wanted.warehouse.as_deref().filter(|name| !name.is_empty());
    let warehouse = api.catalog.warehouse(authorizer.principal().organisation(), name).await?;
    let warehouse = authorizer.permit(Warehouse(warehouse))?.into_object().0;
    Ok(Json(CatalogConfig {
        defaults: BTreeMap::from([("warehouse", warehouse.name.clone())]),
        overrides: BTreeMap::from([("prefix", warehouse.name.clone())]),
        endpoints: ENDPOINTS,
        idempotency_key_lifetime: iso_duration(api.idempotency.lifetime()),
    }))
}

/// A duration of whole seconds as ISO 8601 has it: `PT30M`.
fn iso_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let parts = [(seconds / 3_600, 'H'), (seconds / 60 % 60, 'M'), (seconds % 60, 'S')];
    let parts = parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}"));
    format!("PT{}", parts.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_written_as_clients_read_it() {
        for (seconds, text) in
            [(1_800, "PT30M"), (1, "PT1S"), (5_400, "PT1H30M"), (86_400, "PT24H"), (3_661, "PT1H1M1S")]
        {
            assert_eq!(iso_duration(Duration::from_secs(seconds)), text);
        }
    }
}
