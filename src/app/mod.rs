//! Puts the concrete parts together. Only this file knows them all.

mod running;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::Context;
use axum::body::Body;
use bytes::Bytes;

use crate::admin::{Admin, AdminParts, Reload};
use crate::api::{Api, ApiService, HeaderCase, Machine};
use crate::auth::Authenticator;
use crate::background::{Runner, Task};
use crate::base::clock::{Clock, fresh_uuid};
use crate::catalog::Catalog;
use crate::catalog::idempotency::Idempotency;
use crate::catalog::newer_documents::{Behind, find_behind};
use crate::config::Config;
use crate::data_folder::control::ControlSocket;
use crate::data_folder::owner::Owner;
use crate::data_folder::{self, FolderLock, ServerLock};
use crate::heavy::{Heavy, HeavySettings};
use crate::history::events::EventRetention;
use crate::history::reports::Reports;
use crate::maintenance::Maintenance;
use crate::metadata::{Documents, ObjectReader};
use crate::sealing::master_key::{self, MasterKeyWatch};
use crate::sealing::{KeySource, PassKeys};
pub use crate::server::raise_descriptor_limit;
use crate::server::{CutOff, Server};
use crate::storage::Budget;
use crate::store::{self, LogFound, Store, StoreError};
use crate::tenancy::Signatures;
use crate::tenancy::quota::Quota;
use crate::warehouse::StorageAccess;
pub use running::Running;
use running::{auth_settings, catalog_settings, report_limits};

/// How long the tasks in the background may take at a stop to write down what they have in memory.
const BACKGROUND_GRACE: Duration = Duration::from_secs(10);

/// A catalog that answers requests of this process alone: it does not listen, and does nothing in the background.
pub struct InProcess {
    service: ApiService,
    _lock: FolderLock,
}

impl InProcess {
    /// Opens the catalog in the data folder that `lock` is of.
    ///
    /// # Errors
    /// When the database cannot be used, or the database of a catalog that was here is gone; the text says what to do.
    pub async fn open(config: &Config, lock: FolderLock) -> anyhow::Result<Self> {
        let store = open_store(config, &lock)?;
        // Commands that need the master key check it themselves: one mends a lost key.
        let api = api_over(config, store, storage_access(config));
        Ok(Self { service: service_over(&api).await?, _lock: lock })
    }

    /// Answers one request of the machine itself.
    pub async fn handle(&self, machine: Machine, request: http::Request<Bytes>) -> http::Response<Body> {
        self.service.handle_machine(machine, request.map(Body::from)).await
    }
}

/// A catalog that is ready to serve.
pub struct App {
    server: Server,
    api: Arc<Api>,
    running: Arc<Running>,
    /// The data folder is this server's as long as it has this; none where the store is not in it alone.
    lock: Option<ServerLock>,
    /// Whether the server before this one was killed, or its machine lost power.
    after_unclean_stop: bool,
}

impl App {
    /// Takes the data folder for itself, opens the store in it, brings its tables up to date, and takes the port.
    ///
    /// # Errors
    /// When the data folder or the database cannot be used, the database of a catalog that was here is gone, or the port
    /// cannot be had; the text says what to do.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        data_folder::prepare(&config.data_dir, &config.database())?;
        data_folder::check_database_is_there(&config.data_dir, &config.database())?;
        // Before the database is opened: an upgrade must not change it under a server that still runs.
        let mut lock = ServerLock::take(&config.data_dir)?;
        let has_log = tell_of_log(&config.database())?;
        if let Some(owner) = Owner::for_root(&config.data_dir) {
            tracing::warn!(
                data_dir = %config.data_dir.display(),
                owner = owner.name(),
                "running as root on the data folder of another user: files of tables that are written now belong to root, and \
                 a server of that user cannot remove or replace them later"
            );
        }
        let mut app = Self::over(&config, open_store(&config, lock.folder())?).await?;
        app.after_unclean_stop = has_log || lock.is_after_unclean_stop();
        lock.announce(app.local_addr()?);
        match ControlSocket::bind(&config.data_dir) {
            Ok(socket) => app.server = app.server.with_socket(socket),
            Err(error) => {
                let folder = config.data_dir.display().to_string();
                tracing::warn!(folder, %error, "no control socket: commands on this machine cannot reach the server without --uri");
            }
        }
        app.lock = Some(lock);
        Ok(app)
    }

    /// The same over a store that others may serve too, as several servers do before one database.
    ///
    /// # Errors
    /// When the store does not answer, or the port cannot be had.
    pub async fn over(config: &Config, store: Arc<dyn Store>) -> anyhow::Result<Self> {
        let access = storage_access(config);
        if let Some(keys) = master_key::check(store.as_ref(), &access.keys).await? {
            // It is the first to be there.
            let _ = access.passes.set(PassKeys::new(&keys));
        }
        let api = api_over(config, store, access);
        api.authenticator.prepare().await.context("cannot prepare the keys that sign tokens")?;
        let service = service_over(&api).await?;
        let server = Server::bind(&config.listen, &config.connections, service).await?;
        let running = Arc::new(Running::new(config.clone(), Arc::clone(&api), server.replacing()));
        Ok(Self { server, api, running, lock: None, after_unclean_stop: false })
    }

    /// Sets how `POST /management/v1/reload` reads the settings again.
    pub fn set_reload(&self, reload: Reload) {
        self.api.admin.set_reload(reload);
    }

    /// Its settings, which can be replaced while it runs.
    #[must_use]
    pub const fn running(&self) -> &Arc<Running> {
        &self.running
    }

    /// The address that it serves.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn local_addr(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.server.local_addr()?)
    }

    /// The most connections that it serves at the same time.
    #[must_use]
    pub fn max_connections(&self) -> usize {
        self.server.max_connections()
    }

    /// How it is administered, for use in this process.
    #[must_use]
    pub fn admin(&self) -> &Arc<Admin> {
        &self.api.admin
    }

    /// What a catalog does, for use in this process.
    #[must_use]
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.api.catalog
    }

    /// The API as a function, for requests that need no connection.
    #[must_use]
    pub fn service(&self) -> ApiService {
        self.running.service()
    }

    /// Where it remembers.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.api.store
    }

    /// What is done in the background, for use in this process.
    #[must_use]
    pub fn maintenance(&self) -> &Arc<Maintenance> {
        &self.api.maintenance
    }

    /// The reports of clients, for use in this process.
    #[must_use]
    pub fn reports(&self) -> &Arc<Reports> {
        &self.api.reports
    }

    /// Serves until `shutdown` ends. Then it takes no more, ends what was begun, and writes down what it had in memory. What
    /// has not ended after the grace period of the configuration is cut off.
    ///
    /// # Errors
    /// When a part of it has failed in a way that it cannot go on from, or something was cut off.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
        // The folder is this server's until the last of it is written.
        let Self { server, api, running, lock, after_unclean_stop } = self;
        let grace = || running.config().api.shutdown_grace();
        start_background(&api, after_unclean_stop);
        let told = OnceLock::new();
        let shutdown = async {
            shutdown.await;
            let _ = told.set(Instant::now());
            let (grace_s, changes) = (grace().as_secs(), api.catalog.running_changes());
            tracing::info!(
                grace_s,
                changes,
                "stopping: what was begun is ended first; a second signal ends all at once"
            );
        };
        let cut_off = server.serve(shutdown, grace).await;
        let grace = grace();
        // Changes end meanwhile, also those whose clients have gone.
        let left = grace.saturating_sub(told.get().map_or(Duration::ZERO, Instant::elapsed));
        let changes = match tokio::time::timeout(left, api.catalog.finish()).await {
            Ok(()) => 0,
            Err(_elapsed) => api.catalog.running_changes(),
        };
        let written = api.admin.background().stop(BACKGROUND_GRACE).await;
        if cut_off.is_some() || changes > 0 {
            let CutOff { connections, requests } = cut_off.unwrap_or_default();
            tracing::error!(
                grace_s = grace.as_secs(),
                connections,
                requests,
                changes,
                "stopped before all had ended: a change that was cut off is not done, or done and not answered"
            );
            anyhow::bail!(
                "stopped after {} s (api.shutdown_grace_s) before all had ended: {requests} requests on {connections} \
                 connections, {changes} changes",
                grace.as_secs()
            );
        }
        written?;
        if let Some(lock) = lock {
            lock.stopped();
        }
        Ok(())
    }
}

/// Puts the parts together over a store.
fn api_over(config: &Config, store: Arc<dyn Store>, access: StorageAccess) -> Arc<Api> {
    let clock = Clock::System;
    let master_key = Arc::new(MasterKeyWatch::new(Arc::clone(&store), access.keys.clone()));
    // Half for bodies, which wait for work, and half for the work: whoever works never waits for a body.
    let memory_bytes = config.heavy.memory_bytes / 2;
    let heavy_settings = HeavySettings::new(config.heavy.workers, memory_bytes);
    let heavy = Arc::new(Heavy::new(heavy_settings));
    let reader = ObjectReader::new(Arc::clone(&heavy), config.limits.document_bytes);
    let documents = Documents::with_reader(config.cache.metadata_bytes, reader.clone());
    let settings = catalog_settings(config);
    let catalog = Arc::new(Catalog::new(Arc::clone(&store), documents, access.clone(), clock.clone(), settings));
    let auth = auth_settings(config);
    let authenticator = Arc::new(Authenticator::new(Arc::clone(&store), &config.tiers, clock.clone(), &auth));
    let admin = Arc::new(Admin::new(AdminParts {
        store: Arc::clone(&store),
        authenticator: Arc::clone(&authenticator),
        catalog: Arc::clone(&catalog),
        access: access.clone(),
        documents: Arc::new(Documents::with_reader(0, reader.clone())),
        clock: clock.clone(),
        config: Arc::new(config.clone()),
        background: Arc::new(Runner::new(clock.clone(), fresh_uuid().as_u64_pair().1)),
    }));
    Arc::new(Api {
        admin,
        catalog,
        authenticator,
        quota: Arc::new(Quota::new(Arc::clone(&store), clock.clone())),
        signatures: Signatures::new(config.api.signatures_per_second, clock.clone()),
        idempotency: Arc::new(Idempotency::new(
            Arc::clone(&store),
            clock.clone(),
            config.api.idempotency_key_lifetime(),
        )),
        maintenance: Arc::new(Maintenance::new(Arc::clone(&store), access, reader, clock.clone())),
        reports: Arc::new(reports(config, &store, &clock)),
        events: Arc::new(EventRetention::new(
            Arc::clone(&store),
            clock.clone(),
            config.events.retention(),
            config.events.per_organisation,
        )),
        store,
        master_key,
        clock,
        heavy,
        bodies: Arc::new(Heavy::new(heavy_settings)),
        limits: config.limits,
        settings: config.api.clone(),
        body_timeout: config.connections.body_timeout(),
    })
}

/// Returns the API over the parts as a function.
async fn service_over(api: &Arc<Api>) -> anyhow::Result<ApiService> {
    let header_case = HeaderCase::learn().await.context("cannot prepare the spelling of headers")?;
    Ok(ApiService::new(api, header_case))
}

/// Says what is found in the log of a database that was not closed, before it is opened: what cannot be read of it is left
/// out from then on. Gives whether there was anything in it.
///
/// # Errors
/// When the log is there and cannot be read.
fn tell_of_log(database: &Path) -> anyhow::Result<bool> {
    let found = store::inspect_log(database)
        .with_context(|| format!("cannot read the log of the database {}", database.display()))?;
    let LogFound { size_bytes, frames, commits, left_out_bytes, later_commits, missing_frames } = found;
    if found.is_damaged() {
        tracing::error!(
            size_bytes,
            frames,
            commits,
            left_out_bytes,
            later_commits,
            missing_frames,
            "the log of the database is damaged: changes that were acknowledged are lost. Those up to the last readable \
             commit are kept. Tables whose last change may be lost are named below; to go back to a whole state instead, \
             stop the server and restore a backup"
        );
    } else if size_bytes > 0 {
        tracing::warn!(
            size_bytes,
            frames,
            commits,
            left_out_bytes,
            "the database was not closed: its log is read, and what was not committed is left out"
        );
    }
    Ok(size_bytes > 0 || found.is_damaged())
}

/// How many tables are looked at for lost changes after an unclean stop, and how many of those found are named in the log.
const TABLES_LOOKED_AT: usize = 10_000;
const TABLES_NAMED: usize = 100;

/// Looks for tables whose pointer is behind their newest document, and names them in the log. Returns how many it looked at.
async fn look_for_lost_changes(store: Arc<dyn Store>) -> Result<u64, StoreError> {
    let mut behind = 0_usize;
    let tell = |found: Behind| {
        behind += 1;
        if behind <= TABLES_NAMED {
            let Behind { organisation, warehouse, ident, metadata_location, newest } = found;
            tracing::warn!(
                organisation,
                warehouse,
                table = %ident,
                metadata_location,
                newest = %newest.display(),
                "a table has a newer metadata document than the one that it points at: its last change was lost with the \
                 database's log, or was never acknowledged. If it is wanted, register the newer document with `overwrite`"
            );
        }
    };
    let looked = find_behind(store.as_ref(), TABLES_LOOKED_AT, tell).await?;
    let (tables, all) = (looked.tables, looked.all);
    tracing::info!(tables, all, behind, "looked for lost changes after an unclean stop");
    Ok(tables as u64)
}

/// Starts the tasks that run beside requests.
fn start_background(api: &Api, look_for_lost_changes: bool) {
    let runner = api.admin.background();
    runner.start(api.authenticator.task());
    runner.start(api.quota.task());
    runner.start(api.idempotency.task());
    runner.start(api.events.task());
    api.maintenance.tasks().into_iter().for_each(|task| runner.start(task));
    api.reports.tasks().into_iter().for_each(|task| runner.start(task));
    if look_for_lost_changes {
        runner.start(lost_changes_task(&api.store));
    }
}

/// Returns the task that looks for lost changes, until it is stopped or has looked everywhere.
fn lost_changes_task(store: &Arc<dyn Store>) -> Task {
    Task::once("lost-changes", store, |store, stop| async move {
        let looked = stop.run_until_cancelled(look_for_lost_changes(store)).await;
        Ok(looked.transpose()?.unwrap_or(0))
    })
    .while_failing(
        "Tables that lost their last change are not named in the log until then: check the database and its disk",
    )
}

/// How the configuration says that warehouses' storage is reached.
#[must_use]
pub fn storage_access(config: &Config) -> StorageAccess {
    let settings = &config.storage;
    let keys = if settings.master_key.expose().is_empty() {
        // A file that somebody names is theirs to make: one that is missing is not made up for.
        let make = settings.master_key_file.as_os_str().is_empty();
        KeySource::File { path: config.master_key_file(), make }
    } else {
        KeySource::Text(settings.master_key.clone())
    };
    let budget = Budget {
        connect_timeout: Duration::from_secs(settings.connect_timeout_s),
        request_timeout: Duration::from_secs(settings.request_timeout_s),
        retry_timeout: Duration::from_secs(settings.retry_timeout_s),
        hedge_after: Duration::from_millis(settings.hedge_after_ms),
    };
    StorageAccess { keys, budget, passes: Arc::default() }
}

fn reports(config: &Config, store: &Arc<dyn Store>, clock: &Clock) -> Reports {
    Reports::new(Arc::clone(store), clock.clone(), report_limits(config), config.metrics.retention())
}

/// Gives a new database and its log to the user whose the data folder is.
fn give_database(file: &Path, owner: Owner) -> std::io::Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        owner.give_path(Path::new(&name))?;
    }
    Ok(())
}

/// Opens the store that the configuration names, for the process that has the folder's lock: no other opens it meanwhile.
///
/// # Errors
/// When its folder cannot be made or used, the database of a catalog that was here is gone, or it is from a newer version; the
/// text says what to do.
pub fn open_store(config: &Config, _alone: &FolderLock) -> anyhow::Result<Arc<dyn Store>> {
    let file = config.database();
    data_folder::prepare(&config.data_dir, &file)?;
    data_folder::check_database_is_there(&config.data_dir, &file)?;
    let is_new = !file.exists();
    let store = store::open_alone(&file, config.cache.pointer_bytes)?;
    // The database itself gives its log to the database's owner.
    if is_new && let Some(owner) = Owner::for_root(&config.data_dir) {
        give_database(&file, owner).with_context(|| format!("cannot give {} to {}", file.display(), owner.name()))?;
    }
    Ok(store)
}
