//! `GET /v1/config`: the first request of a client.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use tidewater_core::scan::mode::PLANNING_MODE;

use super::Api;
use super::body::Parameters;
use super::endpoints::{ENDPOINTS, EVENTS};
use super::error::ApiError;
use super::load_result;
use super::permission::{Allowed, visible_warehouse};
use crate::access::{Warehouse, action};

#[derive(Deserialize)]
pub(super) struct Wanted {
    warehouse: Option<String>,
}

/// The endpoints as JSON.
static ENDPOINTS_JSON: LazyLock<String> = LazyLock::new(|| json!(&ENDPOINTS[..]).to_string());

/// The endpoints as JSON, with that of events.
static ENDPOINTS_WITH_EVENTS_JSON: LazyLock<String> =
    LazyLock::new(|| json!([&ENDPOINTS[..], &[EVENTS]].concat()).to_string());

/// Returns the configuration of the requested or default warehouse, with the prefix of its paths.
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    Allowed { authorizer }: Allowed<action::ReadConfig>,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<Response, ApiError> {
    let name = wanted.warehouse.as_deref().filter(|name| !name.is_empty());
    let warehouse = visible_warehouse(&api, authorizer.principal(), name).await?;
    let warehouse = authorizer.permit(Warehouse(warehouse))?.into_object().0;
    let endpoints = if api.events_pull { &ENDPOINTS_WITH_EVENTS_JSON } else { &ENDPOINTS_JSON };
    let mode = warehouse.options.scan_planning.sent();
    let text = text((&warehouse.name, mode), endpoints, api.idempotency.lifetime());
    Ok(load_result::json_response(Body::from(text)))
}

/// Returns the `CatalogConfig` of the REST specification. The planning mode is a default: a client's own setting counts more.
fn text(
    (warehouse, planning_mode): (&str, Option<&str>),
    endpoints: &str,
    idempotency_key_lifetime: Duration,
) -> String {
    let (name, lifetime) = (json!(warehouse).to_string(), iso_duration(idempotency_key_lifetime));
    let mode = planning_mode.map_or_else(String::new, |mode| format!(",\"{PLANNING_MODE}\":\"{mode}\""));
    [
        "{\"defaults\":{\"warehouse\":",
        &name,
        &mode,
        "},\"overrides\":{\"prefix\":",
        &name,
        "},\"endpoints\":",
        endpoints,
        ",\"idempotency-key-lifetime\":\"",
        &lifetime,
        "\"}",
    ]
    .concat()
}

/// Formats a duration of whole seconds in ISO 8601: `PT30M`.
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
    fn configuration_is_the_json_of_its_parts() {
        for name in ["lake", "a\"b\\c", "größe"] {
            let expected = json!({
                "defaults": { "warehouse": name }, "overrides": { "prefix": name }, "endpoints": &ENDPOINTS[..],
                "idempotency-key-lifetime": "PT30M",
            });
            let text = text((name, None), &ENDPOINTS_JSON, Duration::from_secs(1_800));
            let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(parsed, expected);
        }
    }

    #[test]
    fn planning_mode_of_a_warehouse_is_a_default() {
        let text = text(("lake", Some("server")), "[]", Duration::from_secs(60));
        let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(parsed["defaults"], json!({ "warehouse": "lake", "scan-planning-mode": "server" }));
    }

    #[test]
    fn duration_is_formatted_in_iso_8601() {
        for (seconds, text) in
            [(1_800, "PT30M"), (1, "PT1S"), (5_400, "PT1H30M"), (86_400, "PT24H"), (3_661, "PT1H1M1S")]
        {
            assert_eq!(iso_duration(Duration::from_secs(seconds)), text);
        }
    }
}
