//! `tidewater serve`: the production form.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context as _, Result};
use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use tokio::signal::unix::{SignalKind, signal};

use super::live::{LiveSettings, ReadSettings, hang_up_signal};
use super::logs;
use tidewater::app::{App, raise_descriptor_limit};
use tidewater::config::{Flags, ListenAddress, LogFlags, LogFormat};
use tidewater::store::Store;

/// What a server takes.
#[derive(Debug, Args)]
pub(crate) struct ServerArguments {
    /// Listen on this address, or the address of this name, and this port [default: 127.0.0.1:8181]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<ListenAddress>,

    /// Log lines for people or JSON for machines [default: text]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogFormat>,

    /// Log from this level on [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

impl ServerArguments {
    /// What these set.
    pub(crate) fn flags(&self) -> Flags {
        let log = LogFlags { format: self.log_format, level: self.log_level.clone() };
        Flags { listen: self.listen.clone(), data_dir: None, log }
    }
}

const EXAMPLES: &str = "\
Examples:
  tidewater serve --listen 0.0.0.0:8181 --data-dir /var/lib/tidewater
  tidewater serve --config /etc/tidewater.toml --log-format json

It stops on SIGINT or SIGTERM, once the requests that have begun are answered; a second signal ends it at once. On SIGHUP, and
when `tidewater reload` asks for it, it reads its settings again. Before it goes where others can reach it,
put TLS in front of it: API keys travel in headers.";

/// What `serve` takes.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    server: ServerArguments,
}

impl Arguments {
    /// What these set.
    pub(crate) fn flags(&self) -> Flags {
        self.server.flags()
    }
}

/// Serves until the process is told to stop, by the settings that `read` gives.
pub(crate) async fn run(read: ReadSettings) -> Result<()> {
    // Before anything else: the signal must not end a server that is starting.
    let hang_up = hang_up_signal()?;
    let config = read()?;
    let levels = logs::start(&config.log)?;
    let stop = stop_signal()?;
    let descriptors = raise_descriptor_limit();
    let app = App::start(config).await?;
    let live = LiveSettings { read, levels, hang_up };
    if app.store().organisation_list().await?.is_empty() {
        tracing::warn!("there is no organisation yet, so nobody can sign in: see `tidewater org create --help`");
    }
    tell_of_missing_folders(app.store().as_ref()).await?;
    let (address, max_connections) = (app.local_addr()?.to_string(), app.max_connections());
    tracing::info!(address, version = env!("CARGO_PKG_VERSION"), max_connections, descriptors, "serving");
    live.serve_until(app, stop).await
}

/// Warns of warehouses on local disk whose folder is not there, as after a move, or where a disk is not mounted. One that
/// holds nothing yet need not have one.
async fn tell_of_missing_folders(store: &dyn Store) -> Result<()> {
    for organisation in store.organisation_list().await? {
        for warehouse in store.warehouse_list(organisation.id).await? {
            let Some(folder) = warehouse.root.strip_prefix("file://").filter(|folder| !Path::new(folder).is_dir())
            else {
                continue;
            };
            if store.table_count(organisation.id).await? > 0 {
                tracing::warn!(
                    organisation = organisation.name,
                    warehouse = warehouse.name,
                    folder,
                    "a warehouse's folder is not there, so its tables cannot be read: was it moved, or is its disk not mounted?"
                );
            }
        }
    }
    Ok(())
}

/// Ends when the process is told to stop. From the call on, the first of these signals no longer kills it; the second ends
/// it at once, whatever its threads do.
pub(crate) fn stop_signal() -> Result<impl Future<Output = ()> + Send + 'static> {
    let told = Arc::new(AtomicBool::new(false));
    for (number, name) in [(SIGINT, "SIGINT"), (SIGTERM, "SIGTERM")] {
        // In this order: what a signal finds is what an earlier one has set. 128 and the signal is what a shell gives a
        // process that a signal has killed.
        flag::register_conditional_shutdown(number, 128 + number, Arc::clone(&told))
            .and_then(|_| flag::register(number, Arc::clone(&told)))
            .with_context(|| format!("cannot wait for {name}"))?;
    }
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
