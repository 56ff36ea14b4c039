//! `tidewater reload`.

use anyhow::{Result, bail};
use clap::Args;
use serde_json::json;

use super::output::{self, Format};
use tidewater::config::Config;
use tidewater::control::{self, Reply, Request};
use tidewater::data_folder::process_of_server;

const EXAMPLES: &str = "\
Examples:
  tidewater reload --config /etc/tidewater.toml
  systemctl reload tidewater

The server reads its own file and environment again: --config and --data-dir say only which server is meant. When a setting
is wrong, nothing changes, and the command says why. The same happens on SIGHUP, with the outcome in the log.";

/// What `reload` takes.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    format: Format,
}

/// Has the server on the data folder read its settings again, and tells what came of it.
pub(crate) async fn run(config: &Config, arguments: &Arguments) -> Result<()> {
    let folder = config.data_dir.display();
    let (taken, needs_restart) = match control::ask(&config.data_dir, Request::Reload).await? {
        Some(Reply::Reloaded { taken, needs_restart }) => (taken, needs_restart),
        Some(Reply::Refused(why)) => bail!("the server on {folder} keeps its settings: {why}"),
        Some(Reply::Status { .. }) => bail!("the server on {folder} gave another answer than was asked for"),
        None => match process_of_server(&config.data_dir) {
            Some(process) => bail!("the server on {folder} (process {process}) is starting or stopping: try again"),
            None => bail!("no server runs on the data folder {folder}: name another with --data-dir or --config"),
        },
    };
    if arguments.format.json {
        return output::json(&json!({ "changed": taken, "needs_restart": needs_restart }));
    }
    let sentence = if taken.is_empty() { "No setting has changed." } else { "Changed while the server runs:" };
    output::line(sentence)?;
    for change in &taken {
        output::line(&format!("  {change}"))?;
    }
    if !needs_restart.is_empty() {
        output::line("Not taken, restart the server to take it:")?;
        for change in &needs_restart {
            output::line(&format!("  {change}"))?;
        }
    }
    Ok(())
}
