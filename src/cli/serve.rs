//! `tidewater serve`: runs a server.

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

/// Arguments of commands that run a server.
#[derive(Debug, Args)]
pub(crate) struct ServerArguments {
    /// Listen on this IP address or host name, and this port [default: 127.0.0.1:8181]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<ListenAddress>,

    /// Format of the log: text, or JSON for machines [default: text]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogFormat>,

    /// Lowest level in the log [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

impl ServerArguments {
    /// Returns the settings that these arguments set.
    pub(crate) fn flags(&self) -> Flags {
        let log = LogFlags { format: self.log_format, level: self.log_level.clone() };
        Flags { listen: self.listen.clone(), data_dir: None, log }
    }
}

const EXAMPLES: &str = "\
Examples:
  tidewater serve --listen 0.0.0.0:8181 --data-dir /var/lib/tidewater
  tidewater serve --config /etc/tidewater.toml --log-format json

On SIGINT or SIGTERM it answers the requests that have begun, then stops. A second signal ends it at once. On SIGHUP, and on
`tidewater reload`, it reads its settings again. Put TLS in front of it before other machines can reach it: clients send
API keys in headers.";

/// Arguments of `serve`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    server: ServerArguments,
}

impl Arguments {
    /// Returns the settings that these arguments set.
    pub(crate) fn flags(&self) -> Flags {
        self.server.flags()
    }
}

/// Runs a server with the settings from `read`, until a signal stops it.
pub(crate) async fn run(read: ReadSettings) -> Result<()> {
    // First of all, so that the signal cannot kill a server that is starting.
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
    warn_of_missing_folders(app.store().as_ref()).await?;
    let (address, max_connections) = (app.local_addr()?.to_string(), app.max_connections());
    tracing::info!(address, version = env!("CARGO_PKG_VERSION"), max_connections, descriptors, "serving");
    live.serve_until(app, stop).await
}

/// Warns of warehouses on local disk whose folder is missing, for example because a disk is not mounted. A folder may be
/// missing as long as the organisation has no tables.
async fn warn_of_missing_folders(store: &dyn Store) -> Result<()> {
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
                    "a warehouse's folder is missing, so its tables cannot be read: was it moved, or is its disk not mounted?"
                );
            }
        }
    }
    Ok(())
}

/// Returns a future that ends on SIGINT or SIGTERM. From this call on, the first signal no longer kills the process, and the
/// second one ends it at once, whatever its threads do.
pub(crate) fn stop_signal() -> Result<impl Future<Output = ()> + Send + 'static> {
    let signalled = Arc::new(AtomicBool::new(false));
    for (number, name) in [(SIGINT, "SIGINT"), (SIGTERM, "SIGTERM")] {
        // The order matters: a signal must find the flag of an earlier one, not its own. Shells report 128 + the signal's
        // number for a process that a signal killed.
        flag::register_conditional_shutdown(number, 128 + number, Arc::clone(&signalled))
            .and_then(|_| flag::register(number, Arc::clone(&signalled)))
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
