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
use super::supervisor::Supervisor;
use tidewater::app::{App, raise_descriptor_limit};
use tidewater::config::{Flags, ListenAddress, LogFlags, LogFormat};
use tidewater::store::{Organisation, PageRequest, Store, TableKind, Warehouse, WarehouseRef};

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
        Flags { listen: self.listen.clone(), log, ..Flags::default() }
    }
}

const EXAMPLES: &str = "\
Examples:
  tidewater serve --listen 0.0.0.0:8181 --data-dir /var/lib/tidewater
  tidewater serve --listen 0.0.0.0:8181 --store postgres://tidewater@db.example.com/tidewater
  tidewater serve --config /etc/tidewater.toml --log-format json
  tidewater serve --config /etc/tidewater.toml --check

Without --store, the database is in the data folder, for one server. On SIGINT or SIGTERM it answers the requests that have begun, then stops. A second signal ends it at once. On SIGHUP, and on
`tidewater reload`, it reads its settings again. Give it a certificate (tls.certificate_file), or put TLS in front of it, before other machines can reach it: clients send API keys in
headers.";

/// Arguments of `serve`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    server: ServerArguments,

    /// Only try all that the server needs: settings, data folder, database, keys, storage, addresses. Also beside a running
    /// server. Exit code 0: no failure; 1: a failure; 2: the settings are invalid
    #[arg(long)]
    pub(super) check: bool,

    /// Print the outcome of --check as JSON, for scripts
    #[arg(long, requires = "check")]
    pub(super) json: bool,
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
    let supervisor = Supervisor::from_environment();
    let app = supervisor.extend_while("Opening the database", App::start(config)).await?;
    let live = LiveSettings { read, levels, hang_up, supervisor };
    if app.store().organisation_list().await?.is_empty() {
        tracing::warn!("there is no organisation yet, so nobody can sign in: see `tidewater org create --help`");
    }
    warn_of_missing_folders(app.store().as_ref()).await;
    let address = format!("{}://{}", app.scheme(), app.local_addr()?);
    let max_connections = app.max_connections();
    tracing::info!(address, version = env!("CARGO_PKG_VERSION"), max_connections, descriptors, "serving");
    live.serve_until(app, stop).await
}

/// Warns of warehouses on local disk whose folder is missing, for example because a disk is not mounted.
async fn warn_of_missing_folders(store: &dyn Store) {
    let missing = missing_folders(store).await.unwrap_or_else(|error| {
        // The background may remove a deleted organisation meanwhile. That does not stop the start.
        tracing::warn!(%error, "could not check that the folders of all warehouses exist");
        Vec::new()
    });
    for (organisation, warehouse) in missing {
        tracing::warn!(
            organisation = organisation.name,
            warehouse = warehouse.name,
            folder = warehouse.root.strip_prefix("file://"),
            "a warehouse's folder is missing, so its tables cannot be read: was it moved, or is its disk not mounted?"
        );
    }
}

/// Returns the warehouses on local disk whose folder is missing. A warehouse without tables and views needs no folder.
async fn missing_folders(store: &dyn Store) -> Result<Vec<(Organisation, Warehouse)>> {
    let mut found = Vec::new();
    for organisation in store.organisation_list().await? {
        for warehouse in store.warehouse_list(organisation.id).await? {
            let is_missing = warehouse.root.strip_prefix("file://").is_some_and(|folder| !Path::new(folder).is_dir());
            let warehouse_ref = WarehouseRef { organisation: organisation.id, warehouse: warehouse.id };
            if is_missing && has_tables(store, warehouse_ref).await? {
                found.push((organisation.clone(), warehouse));
            }
        }
    }
    Ok(found)
}

/// Returns whether a warehouse has a table or view in any namespace.
async fn has_tables(store: &dyn Store, warehouse_ref: WarehouseRef) -> Result<bool> {
    let (all, first) = (PageRequest::default(), PageRequest { after: None, limit: Some(1) });
    let mut namespaces = store.namespace_list(warehouse_ref, None, &all).await?.items.clone();
    while let Some(namespace) = namespaces.pop() {
        for kind in [TableKind::Table, TableKind::View] {
            if !store.table_list(warehouse_ref, &namespace, kind, &first).await?.items.is_empty() {
                return Ok(true);
            }
        }
        namespaces.extend(store.namespace_list(warehouse_ref, Some(&namespace), &all).await?.items.iter().cloned());
    }
    Ok(false)
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tidewater::base::clock::fresh_uuid;
    use tidewater::store::{Change, EventDetails, NewTable, Origin, WarehouseOptions, WarehouseStorage};
    use tidewater_core::ids::{OrganisationId, TableId, WarehouseId};
    use tidewater_core::location::Location;
    use tidewater_core::name::{NamespaceIdent, TableIdent};
    use tidewater_core::reserved_locations::Locations;

    use super::*;

    async fn create_warehouse(
        store: &dyn Store,
        organisation: OrganisationId,
        name: &str,
        root: String,
    ) -> WarehouseRef {
        let warehouse = Warehouse {
            id: WarehouseId(fresh_uuid()),
            organisation,
            name: name.to_owned(),
            root,
            storage: WarehouseStorage::local(),
            options: WarehouseOptions::default(),
            is_default: false,
            created_ms: 0,
        };
        store.warehouse_create(&warehouse, &Change::by_catalog(0)).await.unwrap();
        WarehouseRef { organisation, warehouse: warehouse.id }
    }

    async fn create_table(store: &dyn Store, warehouse_ref: WarehouseRef, root: &str) {
        let outer = NamespaceIdent::new(&["outer"]).unwrap();
        let inner = NamespaceIdent::new(&["outer", "inner"]).unwrap();
        for namespace in [&outer, &inner] {
            store.namespace_create(warehouse_ref, namespace, &BTreeMap::new(), &Change::by_catalog(0)).await.unwrap();
        }
        let new = NewTable {
            id: TableId(fresh_uuid()),
            ident: &TableIdent::new(inner, "t").unwrap(),
            kind: TableKind::Table,
            metadata_location: &format!("{root}/t/metadata.json"),
            locations: &Locations::new(Location::parse(&format!("{root}/t")).unwrap(), []),
            origin: Origin::Catalog,
            details: &EventDetails::new(),
        };
        store.table_create(warehouse_ref, &new, None, &Change::by_catalog(0)).await.unwrap();
    }

    #[tokio::test]
    async fn missing_folder_of_an_empty_warehouse_is_not_reported() {
        let folder = tempfile::tempdir().unwrap();
        let store = tidewater::store::open(&folder.path().join("t.db")).unwrap();
        let organisation = Organisation::new(OrganisationId(fresh_uuid()), "acme", "premium", 0);
        store.organisation_create(&organisation, &Change::by_catalog(0)).await.unwrap();
        for (name, exists, has_table) in [("empty", false, false), ("lost", false, true), ("sound", true, true)] {
            let path = folder.path().join(name);
            if exists {
                std::fs::create_dir(&path).unwrap();
            }
            let root = format!("file://{}", path.display());
            let warehouse_ref = create_warehouse(store.as_ref(), organisation.id, name, root.clone()).await;
            if has_table {
                create_table(store.as_ref(), warehouse_ref, &root).await;
            }
        }
        let missing = missing_folders(store.as_ref()).await.unwrap();
        assert_eq!(missing.iter().map(|(_, warehouse)| warehouse.name.as_str()).collect::<Vec<_>>(), ["lost"]);
    }
}
