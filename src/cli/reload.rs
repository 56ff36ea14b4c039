//! `tidewater reload`.

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::client::{Client, with_message};
use super::output::{self, Format};
use tidewater::config::SettingChange;

const EXAMPLES: &str = "\
Examples:
  tidewater reload --config /etc/tidewater.toml
  systemctl reload tidewater

The server reads its own file and environment again: --config and --data-dir only select the server. If a setting is
invalid, nothing changes, and the command says why. SIGHUP does the same, with the outcome in the log.";

/// Arguments of `reload`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    format: Format,
}

/// Makes the server read its settings again, and prints the outcome.
pub(crate) async fn run(client: &Client, arguments: &Arguments) -> Result<()> {
    let answer = client.post("/management/v1/reload", &json!({})).await.map_err(|error| {
        with_message(error, |refused| format!("the server ({}) keeps its settings: {refused}", client.catalog()))
    })?;
    let changes = |field: &str| serde_json::from_value::<Vec<SettingChange>>(answer[field].clone());
    let (taken, needs_restart) = (changes("taken")?, changes("needs-restart")?);
    if arguments.format.json {
        return output::json(&json!({ "changed": taken, "needs-restart": needs_restart }));
    }
    let sentence = if taken.is_empty() { "No setting has changed." } else { "Changed while the server runs:" };
    output::line(sentence)?;
    for change in &taken {
        output::line(&format!("  {change}"))?;
    }
    if !needs_restart.is_empty() {
        output::line("Needs a restart of the server to take effect:")?;
        for change in &needs_restart {
            output::line(&format!("  {change}"))?;
        }
    }
    Ok(())
}
