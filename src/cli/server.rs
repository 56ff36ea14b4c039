//! `tidewater status` and `tidewater settings`.

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use super::client::Client;
use super::output::{self, Format, text};

/// Arguments of `status` and `settings`.
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
    ])
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
