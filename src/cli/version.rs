//! `tidewater version`.

use anyhow::Result;
use clap::Args;

use super::output::{self, Format};

/// Arguments of `version`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    format: Format,
}

/// Prints the version.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    if arguments.format.json {
        return output::json(&serde_json::json!({ "version": version }));
    }
    output::line(&format!("tidewater {version}"))
}
