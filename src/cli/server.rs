//! `tidewater status`, `tidewater settings` and `tidewater slow-requests`.

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use super::client::Client;
use super::output::{self, Format, text};
use super::time::shown_or;

/// Arguments of `status`, `settings` and `slow-requests`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    format: Format,
}

/// Shows the running server.
pub(crate) async fn status(client: &Client, arguments: &Arguments) -> Result<()> {
    let status = client.get("/management/v1/status").await?;
    if arguments.format.json {
        return output::json(&status);
    }
    let tiers = status["tiers"].as_object().into_iter().flatten().map(|(name, _)| name.as_str());
    output::fields(&[
        ("server", client.catalog()),
        ("process", status["process"].to_string()),
        ("version", text(&status, "version")),
        ("running for", format!("{} s", status["uptime-s"])),
        ("tiers", tiers.collect::<Vec<_>>().join(", ")),
    ])?;
    let parts: Vec<_> = status["parts"].as_array().into_iter().flatten().map(part_row).collect();
    output::line("")?;
    output::table(&["part", "state", "waiting", "oldest", "message"], &parts, "")?;
    let rows: Vec<_> = status["background"].as_array().into_iter().flatten().map(task_row).collect();
    if rows.is_empty() {
        return Ok(());
    }
    output::line("")?;
    output::table(&["background task", "state", "last run", "took", "next run", "last error"], &rows, "")
}

/// Returns the cells of a part of the server.
fn part_row(part: &Value) -> Vec<String> {
    let number = |field: &str, unit: &str| {
        part[field]
            .as_u64()
            .filter(|number| *number > 0)
            .map_or_else(|| "-".to_owned(), |number| format!("{number}{unit}"))
    };
    vec![text(part, "name"), text(part, "state"), number("waiting", ""), number("lag-s", " s"), text(part, "message")]
}

/// Returns the cells of a background task.
fn task_row(task: &Value) -> Vec<String> {
    let at = |field: &str| shown_or(task[field].as_i64(), "-");
    let took = task["last-duration-ms"].as_u64().map_or_else(|| "-".to_owned(), |took_ms| format!("{took_ms} ms"));
    let error = match task["failures"].as_u64() {
        None | Some(0) => "-".to_owned(),
        Some(1) => text(task, "last-error"),
        Some(failures) => format!("{} ({failures} times in a row)", text(task, "last-error")),
    };
    vec![text(task, "name"), text(task, "state"), at("last-run-ms"), took, at("next-run-ms"), error]
}

/// Shows the slowest requests of the last hour.
pub(crate) async fn slow_requests(client: &Client, arguments: &Arguments) -> Result<()> {
    let answer = client.get("/management/v1/slow-requests").await?;
    if arguments.format.json {
        return output::json(&answer["slow-requests"]);
    }
    let row = |one: &Value| {
        vec![
            shown_or(one["at-ms"].as_i64(), "-"),
            format!("{} ms", one["duration-ms"]),
            one["status"].as_u64().map_or_else(|| "not answered".to_owned(), |status| status.to_string()),
            text(one, "method"),
            text(one, "route"),
            text(one, "organisation"),
            text(one, "request-id"),
        ]
    };
    let rows: Vec<_> = answer["slow-requests"].as_array().into_iter().flatten().map(row).collect();
    let none = match answer["threshold-ms"].as_u64() {
        Some(threshold_ms) => format!("no request of the last hour took {threshold_ms} ms or longer"),
        None => "no slow requests are kept: set telemetry.slow_request_ms".to_owned(),
    };
    output::table(&["time", "took", "status", "method", "route", "organisation", "request id"], &rows, &none)
}

/// Shows the settings in force, without secrets.
pub(crate) async fn settings(client: &Client, arguments: &Arguments) -> Result<()> {
    let answer = client.get("/management/v1/settings").await?;
    if arguments.format.json {
        return output::json(&answer["settings"]);
    }
    let row = |(name, value): (&String, &Value)| vec![name.clone(), value.to_string()];
    let rows: Vec<_> = answer["settings"].as_object().into_iter().flatten().map(row).collect();
    output::table(&["setting", "value"], &rows, "there is no setting")
}
