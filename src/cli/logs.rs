//! Where the log goes: standard error, so that standard output holds results alone.

use std::io::IsTerminal;

use anyhow::{Result, anyhow};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::Subscriber;

use tidewater::config::{LogConfig, LogFormat};

/// Begins to log as configured.
///
/// # Errors
/// When the levels cannot be read, or the process logs already.
pub(crate) fn start(config: &LogConfig) -> Result<()> {
    let filter = EnvFilter::try_new(&config.level)?;
    let colours = std::io::stderr().is_terminal();
    let log = Subscriber::builder().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    let started = match config.format {
        LogFormat::Text => tracing::subscriber::set_global_default(log.finish()),
        LogFormat::Json => tracing::subscriber::set_global_default(log.json().flatten_event(true).finish()),
    };
    started.map_err(|error| anyhow!("cannot start the log: {error}"))
}
