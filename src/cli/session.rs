//! What the commands that look or administer have in common: the store, and the things that their options name.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use clap::Args;
use tidewater_core::limits::Tier;
use tidewater_core::name::TableIdent;

use super::dropped::word;
use super::{output, table_name};
use tidewater::app::{open_store, storage_access};
use tidewater::clock::Clock;
use tidewater::config::Config;
use tidewater::data_folder::check_database_is_there;
use tidewater::store::sqlite::SqliteStore;
use tidewater::store::{Actor, Change, Organisation, Place, Store, TableKind, TableRecord, Warehouse};
use tidewater::warehouse::OpenWarehouse;

/// The longest name of a user that is written down, in bytes.
const MAX_USER_BYTES: usize = 64;

/// One run of a command.
pub(crate) struct Session {
    /// The settings.
    pub(crate) config: Config,
    /// What tells the time.
    pub(crate) clock: Clock,
}

/// Which organisation.
#[derive(Debug, Clone, Args)]
pub(crate) struct OrganisationArgument {
    /// The organisation; not needed when there is only one
    #[arg(long, value_name = "NAME", env = "TIDEWATER_ORG")]
    pub(crate) org: Option<String>,
}

/// Which warehouse of which organisation.
#[derive(Debug, Clone, Args)]
pub(crate) struct WarehouseArgument {
    #[command(flatten)]
    organisation: OrganisationArgument,

    /// The warehouse [default: the organisation's default]
    #[arg(long, value_name = "NAME", env = "TIDEWATER_WAREHOUSE")]
    warehouse: Option<String>,
}

/// Whether it is fine that something is there already.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct IfNotExists {
    /// Succeed, and change nothing, when there is one of that name
    #[arg(long)]
    if_not_exists: bool,
}

impl IfNotExists {
    /// Fails unless it is.
    pub(crate) fn allow(self, what: &str) -> Result<()> {
        ensure!(self.if_not_exists, "{what} exists already: choose another name, or pass --if-not-exists");
        Ok(())
    }
}

impl Session {
    /// What a change by this command carries: the user who runs it, now.
    pub(crate) fn change(&self) -> Change {
        let user = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
        let user = user.filter(|user| !user.is_empty() && user.len() <= MAX_USER_BYTES);
        Change::by(Actor::CommandLine(user.map(Into::into)), self.clock.now_ms())
    }

    /// A run with these settings.
    pub(crate) fn new(config: Config) -> Self {
        Self { config, clock: Clock::System }
    }

    /// The warehouse with its storage.
    pub(crate) fn open(&self, warehouse: Warehouse) -> Result<OpenWarehouse> {
        let name = warehouse.name.clone();
        let opened = storage_access(&self.config).open(warehouse);
        opened.with_context(|| format!("warehouse '{name}' cannot be used as it is set up"))
    }

    /// What the store knows of a table or view, and the warehouse that it is in.
    pub(crate) async fn tabular(
        &self,
        warehouse: &WarehouseArgument,
        ident: &TableIdent,
        kind: TableKind,
    ) -> Result<(OpenWarehouse, TableRecord)> {
        let store = self.store()?;
        let warehouse = warehouse.find(&store).await?;
        let found = store.table_get(place(&warehouse), ident).await?.filter(|record| record.kind == kind);
        let record = found.ok_or_else(|| {
            let (name, namespace) = (ident.name(), table_name::shown(&ident.namespace));
            let kind = word(kind);
            anyhow!("there is no {kind} '{name}' in '{namespace}': see `tidewater {kind} list {namespace}`")
        })?;
        Ok((self.open(warehouse)?, record))
    }

    /// The store of a catalog that exists.
    pub(crate) fn store(&self) -> Result<SqliteStore> {
        let database = self.config.database();
        check_database_is_there(&self.config.data_dir, &database)?;
        ensure!(
            database.exists(),
            "there is no catalog in {}: name its folder with --data-dir, or begin one with `tidewater org create`",
            self.config.data_dir.display()
        );
        self.store_or_new()
    }

    /// The store, which is made if there is none yet.
    pub(crate) fn store_or_new(&self) -> Result<SqliteStore> {
        check_database_is_there(&self.config.data_dir, &self.config.database())?;
        if !self.config.database().exists() {
            output::note(&format!("making a new catalog in {}", self.config.data_dir.display()));
        }
        tidewater::data_folder::prepare(&self.config.data_dir, &self.config.database())?;
        let lock = tidewater::data_folder::FolderLock::take(&self.config.data_dir)?;
        open_store(&self.config, &lock)
    }

    /// The tiers that are in force: those of the server that runs on the data folder or, without one, the configured ones.
    pub(crate) async fn tiers(&self) -> Result<Tiers> {
        Ok(Tiers { known: self.config.tiers.clone(), of_server: false })
    }
}

/// The tiers that are in force.
pub(crate) struct Tiers {
    /// By name.
    pub(crate) known: BTreeMap<String, Tier>,
    /// Whether a running server has said so.
    of_server: bool,
}

impl Tiers {
    /// Fails when there is no tier of that name.
    pub(crate) fn check(&self, tier: &str) -> Result<()> {
        let known = self.known.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        ensure!(
            self.known.contains_key(tier) || !self.of_server,
            "the running server does not know the tier '{tier}': it knows {known}. Use one of these, or put '{tier}' into the \
             server's configuration and run `tidewater reload` first"
        );
        ensure!(self.known.contains_key(tier), "there is no tier '{tier}': use one of {known}");
        Ok(())
    }
}

impl OrganisationArgument {
    /// The organisation that is meant.
    pub(crate) async fn find(&self, store: &dyn Store) -> Result<Organisation> {
        if let Some(name) = &self.org {
            let found = store.organisation_by_name(name).await?;
            return found.ok_or_else(|| anyhow!("there is no organisation '{name}': see `tidewater org list`"));
        }
        let mut all = store.organisation_list().await?;
        match (all.pop(), all.is_empty()) {
            (Some(only), true) => Ok(only),
            (None, _) => bail!("there is no organisation yet: make one with `tidewater org create`"),
            (Some(_), false) => {
                bail!("there are several organisations: choose one with --org (see `tidewater org list`)")
            }
        }
    }
}

impl WarehouseArgument {
    /// The warehouse that is meant.
    pub(crate) async fn find(&self, store: &dyn Store) -> Result<Warehouse> {
        let organisation = self.organisation.find(store).await?;
        let all = store.warehouse_list(organisation.id).await?;
        let found = match &self.warehouse {
            Some(name) => all.into_iter().find(|warehouse| warehouse.name == *name),
            None => all.into_iter().find(|warehouse| warehouse.is_default),
        };
        found.ok_or_else(|| match &self.warehouse {
            Some(name) => anyhow!(
                "organisation '{}' has no warehouse '{name}': see `tidewater warehouse list`",
                organisation.name
            ),
            None => anyhow!(
                "organisation '{}' has no default warehouse: choose one with --warehouse (see `tidewater warehouse list`)",
                organisation.name
            ),
        })
    }
}

/// What every row of a warehouse is under.
pub(crate) fn place(warehouse: &Warehouse) -> Place {
    Place { organisation: warehouse.organisation, warehouse: warehouse.id }
}
