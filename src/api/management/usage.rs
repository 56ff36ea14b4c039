//! `GET /management/v1/organisations/{organisation}/usage`

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{NaiveDate, TimeDelta};
use serde::{Deserialize, Serialize};
use tidewater_core::ids::KeyId;

use super::administrator::OfOrganisation;
use crate::admin::{Days, UsedBy};
use crate::api::Api;
use crate::api::body::Parameters;
use crate::api::error::ApiError;
use crate::store::KeyUsage;

/// The days and the grouping of usage.
#[derive(Deserialize)]
pub(in crate::api) struct Wanted {
    from: Option<String>,
    to: Option<String>,
    by: Option<String>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Row {
    day: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<KeyId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<KeyId>,
    requests: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) struct Usage {
    tier: String,
    served_by_tier: Option<String>,
    limit: Option<u64>,
    tables: u64,
    max_tables: Option<u64>,
    usage: Vec<Row>,
}

/// Returns an organisation's usage of a range of days, or of today.
pub(in crate::api) async fn get(
    State(api): State<Arc<Api>>,
    of: OfOrganisation,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<Json<Usage>, ApiError> {
    let day = |name: &str, text: &Option<String>| text.as_deref().map(|text| parse_day(name, text)).transpose();
    let to = day("to", &wanted.to)?.unwrap_or_else(|| api.admin.today());
    let days = Days { from: day("from", &wanted.from)?.unwrap_or(to), to };
    let usage = match wanted.by.as_deref() {
        None | Some("day") => {
            let found = api.admin.usage_by_day(&of.organisation, days).await?.into_iter();
            found.map(|(day, requests)| Row { day: day_text(day), requests, ..Row::default() }).collect()
        }
        Some("key") => {
            let (found, names) = api.admin.usage_by_key(&of.organisation, days).await?;
            let row = |one: KeyUsage| {
                let row = Row { day: day_text(one.day), requests: one.requests, ..Row::default() };
                match names.get(&one.key) {
                    Some(UsedBy::User(name)) => Row { user: Some(name.clone()), user_id: Some(one.key), ..row },
                    Some(UsedBy::Key(name)) => Row { key: Some(name.clone()), key_id: Some(one.key), ..row },
                    None => Row { key_id: Some(one.key), ..row },
                }
            };
            found.into_iter().map(row).collect()
        }
        Some(_) => return Err(ApiError::bad_request("by must be day or key")),
    };
    let limits = api.admin.usage_limits(&of.organisation).await?;
    let tier = limits.tier.as_ref().map(|(_, tier)| tier);
    Ok(Json(Usage {
        tier: of.organisation.tier,
        limit: tier.and_then(|tier| tier.requests_per_day),
        max_tables: tier.and_then(|tier| tier.max_tables),
        tables: limits.tables,
        served_by_tier: limits.tier.map(|(name, _)| name),
        usage,
    }))
}

fn parse_day(parameter: &str, text: &str) -> Result<i64, ApiError> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|date| date.to_string() == text);
    let days = date.map(|date| date.signed_duration_since(NaiveDate::default()).num_days());
    days.ok_or_else(|| ApiError::bad_request(format!("{parameter} must be a day, such as 2026-08-01")))
}

/// Formats a day that is counted from 1970-01-01, which is chrono's default date.
fn day_text(day: i64) -> String {
    let date = TimeDelta::try_days(day).and_then(|days| NaiveDate::default().checked_add_signed(days));
    date.unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_parsed_and_formatted_as_dates() {
        for (text, day) in [("1970-01-01", 0), ("2026-08-01", 20_666), ("2024-02-29", 19_782), ("1969-12-31", -1)] {
            assert_eq!((parse_day("from", text).unwrap(), day_text(day).as_str()), (day, text));
        }
        for text in
            ["", "2026-8-1", "2026-02-30", "2026-13-01", "2026-00-10", "2026-01-00", "2026-01-01-01", "x", "20260801"]
        {
            assert!(parse_day("from", text).is_err(), "{text}");
        }
    }
}
