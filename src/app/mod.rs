//! Assembles the server from its parts. Only this module imports all of them.

mod backups;
mod check;
mod collect;
mod database;
mod health_figures;
mod lost_changes;
mod quota_figures;
mod running;
#[cfg(test)]
mod tests;
mod tls;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::Context;
use axum::body::Body;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::admin::{Admin, AdminParts, Reload};
use crate::api::{Api, ApiService, HeaderCase, Machine, Readiness};
use crate::audit::{Audit, AuditExport};
use crate::auth::Authenticator;
use crate::background::Runner;
use crate::backup::ScheduledBackups;
use crate::base::clock::{Clock, fresh_uuid};
use crate::base::measure::{Calls, Subject};
use crate::catalog::Catalog;
use crate::catalog::idempotency::Idempotency;
use crate::config::Config;
use crate::console::Site;
use crate::data_folder::control::ControlSocket;
use crate::data_folder::owner::Owner;
use crate::data_folder::{self, FolderLock, ServerLock};
use crate::delivery::kafka::KafkaDelivery;
use crate::delivery::{Sequencer, Webhooks};
use crate::heavy::{Heavy, HeavySettings};
use crate::history::events::EventRetention;
use crate::history::reports::Reports;
use crate::maintenance::Maintenance;
use crate::metadata::{Documents, ObjectReader};
use crate::planning::Planning;
use crate::sealing::master_key::{self, MasterKeyWatch};
use crate::sealing::{KeySource, PassKeys};
pub use crate::server::raise_descriptor_limit;
use crate::server::{CutOff, Server};
use crate::storage::Budget;
use crate::store::{self, Store};
use crate::telemetry::{SlowRequests, Telemetry, Traces};
use crate::tenancy::Signatures;
use crate::tenancy::quota::Quota;
use crate::upkeep::Upkeep;
use crate::warehouse::StorageAccess;
pub use check::{CheckOutcome, CheckResult, check};
pub use database::postgres_settings;
use lost_changes::{lost_changes_task, tell_of_log};
pub use running::Running;
use running::{auth_settings, catalog_settings, client_address, report_limits};

/// How long the background tasks may take at a stop to write their state in memory.
const BACKGROUND_GRACE: Duration = Duration::from_secs(10);

/// How long a stop may take to send the last spans to the collector.
const TRACES_GRACE: Duration = Duration::from_secs(5);

/// A catalog that answers only requests of this process. It does not listen and runs no background tasks.
pub struct InProcess {
    service: ApiService,
    audit: Arc<Audit>,
    /// The lock of the data folder. `None` if the database is shared.
    _lock: Option<FolderLock>,
}

impl InProcess {
    /// Opens the catalog in the locked data folder.
    ///
    /// # Errors
    /// Fails if the database cannot be used, or the database of an earlier catalog is missing. The text says what to do.
    pub async fn open(config: &Config, lock: FolderLock) -> anyhow::Result<Self> {
        let store = open_store(config, &lock)?;
        Self::over(config, store, Some(lock)).await
    }

    /// Opens the catalog in a shared database. Returns `None` if the settings name none.
    ///
    /// # Errors
    /// Fails if the database cannot be used. The text says what to do.
    pub async fn open_shared(config: &Config) -> anyhow::Result<Option<Self>> {
        // A person waits: a database that does not answer is reported at once.
        match database::open_shared(config, Duration::ZERO).await? {
            Some(store) => Ok(Some(Self::over(config, store, None).await?)),
            None => Ok(None),
        }
    }

    async fn over(config: &Config, store: Arc<dyn Store>, lock: Option<FolderLock>) -> anyhow::Result<Self> {
        // Commands that need the master key check it themselves: one of them repairs a lost key.
        let api = api_over(config, store, storage_access(config), Clock::System, None);
        Ok(Self { service: service_over(&api).await?, audit: Arc::clone(&api.audit), _lock: lock })
    }

    /// Answers a request with the rights of the machine's user.
    pub async fn handle(&self, machine: Machine, request: http::Request<Bytes>) -> http::Response<Body> {
        let answer = self.service.handle_machine(machine, request.map(Body::from)).await;
        // No background task writes them.
        if let Err(error) = self.audit.write().await {
            tracing::warn!(%error, "the audit record of the command could not be written");
        }
        answer
    }
}

/// A catalog that is ready to serve.
pub struct App {
    server: Server,
    api: Arc<Api>,
    running: Arc<Running>,
    /// The server for monitoring alone, if it has an address of its own.
    monitoring: Option<Server>,
    /// The export of traces, if the settings name a collector.
    traces: Option<Traces>,
    /// The delivery of events to Kafka, if it is configured.
    kafka: Option<Arc<KafkaDelivery>>,
    /// The lock of the data folder. `None` without a data folder.
    lock: Option<ServerLock>,
    /// Whether the previous server was killed, or its machine lost power.
    after_unclean_stop: bool,
    /// The scheduled backups, if the settings have some.
    backups: Option<Arc<ScheduledBackups>>,
}

impl App {
    /// Opens the configured store, migrates its schema, and listens on the port. Locks the data folder, if there is one.
    ///
    /// # Errors
    /// Fails if the data folder or the database cannot be used, the database of an earlier catalog is missing, or the port is
    /// not free. The text says what to do.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        match database::open_shared(&config, config.store.start_timeout()).await? {
            Some(store) => Self::start_shared(&config, store).await,
            None => Self::start_alone(config).await,
        }
    }

    /// Starts a server on a shared database. A data folder has only the control socket.
    async fn start_shared(config: &Config, store: Arc<dyn Store>) -> anyhow::Result<Self> {
        let Some(folder) = config.data_folder() else { return Self::over(config, store).await };
        data_folder::prepare(folder, &config.database())?;
        let lock = ServerLock::take(folder)?;
        Self::over(config, store).await?.with_folder(folder, lock)
    }

    /// Starts the only server on the embedded database.
    async fn start_alone(config: Config) -> anyhow::Result<Self> {
        data_folder::prepare(&config.data_dir, &config.database())?;
        data_folder::check_database_is_there(&config.data_dir, &config.database())?;
        // Locked before the database is opened: an upgrade must not change the database of a running server.
        let lock = ServerLock::take(&config.data_dir)?;
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
        app.with_folder(&config.data_dir, lock)
    }

    /// Adds the lock of the data folder, and the control socket in it.
    fn with_folder(mut self, folder: &Path, mut lock: ServerLock) -> anyhow::Result<Self> {
        lock.announce(self.local_addr()?);
        match ControlSocket::bind(folder) {
            Ok(socket) => self.server = self.server.with_socket(socket),
            Err(error) => {
                let folder = folder.display().to_string();
                tracing::warn!(folder, %error, "no control socket: commands on this machine cannot reach the server without --uri");
            }
        }
        self.lock = Some(lock);
        Ok(self)
    }

    /// Starts a server over a store that other servers may use too.
    ///
    /// # Errors
    /// Fails if the store does not answer, or the port is not free.
    pub async fn over(config: &Config, store: Arc<dyn Store>) -> anyhow::Result<Self> {
        Self::over_with_clock(config, store, Clock::System).await
    }

    /// Starts a server over a store, with another clock.
    ///
    /// # Errors
    /// See [`Self::over`].
    pub async fn over_with_clock(config: &Config, store: Arc<dyn Store>, clock: Clock) -> anyhow::Result<Self> {
        let access = storage_access(config);
        if let Some(keys) = master_key::check(store.as_ref(), &access.keys).await? {
            // The value is new, so it is never set twice.
            let _ = access.passes.set(PassKeys::new(&keys));
        }
        let traces =
            Traces::new(&config.traces, clock.clone()).map_err(|why| anyhow::anyhow!("cannot export traces: {why}"))?;
        let kafka = KafkaDelivery::new(&config.kafka, Arc::clone(&store), clock.clone()).context("kafka.operations")?;
        let backups = backups::open(config, &access, &clock)?;
        let api = api_over(config, store, access, clock, traces.as_ref());
        api.authenticator.prepare().await.context("cannot prepare the keys that sign tokens")?;
        let service = Site::new(service_over(&api).await?, &config.console);
        let tls = tls::load(config, &api)?;
        let monitoring = match &config.telemetry.listen {
            Some(listen) => {
                let server = Server::bind(listen, &config.connections, service.for_monitoring()).await?;
                Some(server.with_tls(tls.clone().filter(|_| config.tls.monitoring)))
            }
            None => None,
        };
        let server = Server::bind(&config.listen, &config.connections, service).await?.with_tls(tls.clone());
        let running = Arc::new(Running::new(config.clone(), Arc::clone(&api), server.replacing(), tls));
        collect::register_server(&api, server.counts());
        if let Some(kafka) = &kafka {
            collect::register_kafka(&api, kafka);
        }
        Ok(Self { server, api, running, monitoring, traces, kafka, backups, lock: None, after_unclean_stop: false })
    }

    /// Sets how `POST /management/v1/reload` reads the settings again.
    pub fn set_reload(&self, reload: Reload) {
        self.api.admin.set_reload(reload);
    }

    /// Returns the settings, which can be replaced while the server runs.
    #[must_use]
    pub const fn running(&self) -> &Arc<Running> {
        &self.running
    }

    /// Returns the address on which the server listens.
    ///
    /// # Errors
    /// The system's error.
    pub fn local_addr(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.server.local_addr()?)
    }

    /// Returns the scheme of the server's address: `https` with TLS, else `http`.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.running.tls().is_some() { "https" } else { "http" }
    }

    /// Returns the address for monitoring, if there is one apart.
    ///
    /// # Errors
    /// The system's error.
    pub fn monitoring_addr(&self) -> anyhow::Result<Option<SocketAddr>> {
        Ok(self.monitoring.as_ref().map(Server::local_addr).transpose()?)
    }

    /// Returns the maximum number of open connections.
    #[must_use]
    pub fn max_connections(&self) -> usize {
        self.server.max_connections()
    }

    /// Returns the use cases of administration, for use in this process.
    #[must_use]
    pub fn admin(&self) -> &Arc<Admin> {
        &self.api.admin
    }

    /// Returns the use cases of the catalog, for use in this process.
    #[must_use]
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.api.catalog
    }

    /// Returns the API and the console as a function, for requests without a connection.
    #[must_use]
    pub fn service(&self) -> Site {
        self.running.service()
    }

    /// Returns its store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.api.store
    }

    /// Returns the background work, for use in this process.
    #[must_use]
    pub fn maintenance(&self) -> &Arc<Maintenance> {
        &self.api.maintenance
    }

    /// Returns the audit records, for use in this process.
    #[must_use]
    pub fn audit(&self) -> &Arc<Audit> {
        &self.api.audit
    }

    /// Returns the clients' metrics reports, for use in this process.
    #[must_use]
    pub fn reports(&self) -> &Arc<Reports> {
        &self.api.reports
    }

    /// Serves until `shutdown` ends. Then `GET /ready` answers 503, and everything else is served as before for the drain time of
    /// the configuration. Then accepts no more requests, finishes those that have begun, and writes the state in memory to the
    /// store. Cuts off requests after the grace period of the configuration.
    ///
    /// # Errors
    /// Fails if a background task has failed, or a request was cut off.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
        // The lock is kept until the last write.
        let Self { server, api, running, monitoring, traces, kafka, backups, lock, after_unclean_stop } = self;
        let grace = || running.config().api.shutdown_grace();
        start_background(&api, after_unclean_stop);
        if let Some(traces) = &traces {
            traces.start();
        }
        running.tls().into_iter().for_each(|tls| api.admin.background().start(tls::task(tls, &api.clock)));
        if let Some(kafka) = &kafka {
            api.admin.background().start(kafka.task());
        }
        backups.iter().for_each(|backups| backups::start(&api, backups));
        if running.config().telemetry.organisations > 0 {
            api.admin.background().start(quota_figures::task(&running));
            let interval = running.config().maintenance.look_interval();
            api.admin.background().start(health_figures::task(&running, interval));
        }
        let stopping_since = OnceLock::new();
        let shutdown = async {
            shutdown.await;
            drain(&api, running.config().api.drain()).await;
            let _ = stopping_since.set(Instant::now());
            let (grace_s, changes) = (grace().as_secs(), api.catalog.running_changes());
            tracing::info!(
                grace_s,
                changes,
                "stopping after the requests that have begun; a second signal ends the process at once"
            );
        };
        // Monitoring goes on until all else has ended.
        let stop_monitoring = CancellationToken::new();
        let monitoring = monitoring.map(|server| {
            let stop = stop_monitoring.clone();
            tokio::spawn(async move { server.serve(stop.cancelled_owned(), || Duration::ZERO).await })
        });
        let cut_off = server.serve(shutdown, grace).await;
        let grace = grace();
        // Wait for running changes, including those whose clients have disconnected.
        let left = grace.saturating_sub(stopping_since.get().map_or(Duration::ZERO, Instant::elapsed));
        let changes = match tokio::time::timeout(left, api.catalog.finish()).await {
            Ok(()) => 0,
            Err(_elapsed) => api.catalog.running_changes(),
        };
        let written = api.admin.background().stop(BACKGROUND_GRACE).await;
        if let Some(traces) = &traces {
            traces.stop(TRACES_GRACE).await;
        }
        stop_monitoring.cancel();
        if let Some(monitoring) = monitoring {
            // Its requests change nothing, so it does not matter which of them were cut off.
            let _ = monitoring.await;
        }
        if cut_off.is_some() || changes > 0 {
            let CutOff { connections, requests } = cut_off.unwrap_or_default();
            tracing::error!(
                grace_s = grace.as_secs(),
                connections,
                requests,
                changes,
                "stopped before all had ended: a change that was cut off may be done without an answer"
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

/// Makes the server not ready, and waits until load balancers have noticed.
async fn drain(api: &Api, time: Duration) {
    api.readiness.start_draining();
    if !time.is_zero() {
        tracing::info!(
            "draining for {} s: /ready answers 503; a second signal ends the process at once",
            time.as_secs()
        );
        tokio::time::sleep(time).await;
    }
}

/// Creates what the server measures of itself.
fn telemetry_of(config: &Config, clock: &Clock, traces: Option<&Traces>) -> Arc<Telemetry> {
    let slow = SlowRequests::new(config.telemetry.slow_request_ms, clock.clone());
    let telemetry = Arc::new(Telemetry::new(config.telemetry.organisations, slow));
    if let Some(traces) = traces {
        telemetry.register(|registry| traces.register(registry));
    }
    telemetry
}

/// Creates the parts over a store.
fn api_over(
    config: &Config,
    store: Arc<dyn Store>,
    access: StorageAccess,
    clock: Clock,
    traces: Option<&Traces>,
) -> Arc<Api> {
    let telemetry = telemetry_of(config, &clock, traces);
    let tracer = traces.map(|traces| Arc::clone(traces.tracer()));
    let (calls, storage) = (access.calls.family(), access.calls.latest().clone());
    let master_key = MasterKeyWatch::new(Arc::clone(&store), access.keys.clone());
    let readiness = Arc::new(Readiness::new(Arc::clone(&store), master_key));
    // Half is for bodies, which wait for work, and half for the work. So work never waits for the memory of a body.
    let memory_bytes = config.heavy.memory_bytes / 2;
    let heavy_settings = HeavySettings::new(config.heavy.workers, memory_bytes);
    let heavy = Arc::new(Heavy::new(heavy_settings));
    let reader = ObjectReader::new(Arc::clone(&heavy), config.limits.document_bytes);
    let documents = Documents::with_reader(config.cache.metadata_bytes, reader.clone());
    let planning = Planning::new(Arc::clone(&store), access.clone(), reader.clone(), clock.clone(), config.planning);
    let settings = catalog_settings(config);
    let catalog = Arc::new(Catalog::new(Arc::clone(&store), documents, access.clone(), clock.clone(), settings));
    let auth = auth_settings(config);
    let authenticator = Arc::new(Authenticator::new(Arc::clone(&store), &config.tiers, clock.clone(), &auth));
    // These readers have no consumer in the store, or make it only when they find events.
    let is_feed_read = config.events.pull || config.kafka.is_on();
    let sequencer = Arc::new(Sequencer::new(Arc::clone(&store), clock.clone(), is_feed_read));
    let (delivery, keys) = (config.delivery.clone(), access.keys.clone());
    let webhooks = Webhooks::new(Arc::clone(&store), clock.clone(), delivery, keys, Arc::clone(&sequencer));
    let webhooks = Arc::new(webhooks);
    let admin = Arc::new(Admin::new(AdminParts {
        store: Arc::clone(&store),
        authenticator: Arc::clone(&authenticator),
        access: access.clone(),
        documents: Arc::new(Documents::with_reader(0, reader.clone())),
        clock: clock.clone(),
        config: Arc::new(config.clone()),
        background: Arc::new(Runner::new(clock.clone(), fresh_uuid().as_u64_pair().1).with_tracer(tracer.clone())),
        webhooks: Arc::clone(&webhooks),
    }));
    let api = Arc::new(Api {
        admin,
        catalog: Arc::clone(&catalog),
        planning: Arc::new(planning),
        authenticator,
        quota: Arc::new(Quota::new(Arc::clone(&store), clock.clone())),
        signatures: Signatures::new(config.api.signatures_per_second, clock.clone()),
        idempotency: Arc::new(Idempotency::new(
            Arc::clone(&store),
            clock.clone(),
            config.api.idempotency_key_lifetime(),
        )),
        maintenance: Arc::new(Maintenance::new(Arc::clone(&store), access, reader.clone(), clock.clone())),
        upkeep: Arc::new(Upkeep::new(
            Arc::clone(&store),
            Arc::clone(&catalog),
            reader,
            clock.clone(),
            config.maintenance.clone(),
        )),
        reports: Arc::new(reports(config, &store, &clock)),
        events: Arc::new(EventRetention::new(
            Arc::clone(&store),
            clock.clone(),
            config.events.retention(),
            config.events.per_organisation,
        )),
        audit: Arc::new(Audit::new(Arc::clone(&store), clock.clone(), &config.audit)),
        sequencer,
        webhooks,
        events_pull: config.events.pull,
        preview_rows: config.console.preview_rows,
        store,
        storage,
        readiness,
        telemetry,
        tracer,
        telemetry_is_public: config.telemetry.public,
        clock,
        heavy,
        bodies: Arc::new(Heavy::new(heavy_settings)),
        limits: config.limits,
        settings: config.api.clone(),
        client_address: client_address(config),
        body_timeout: config.connections.body_timeout(),
    });
    collect::register(&api, calls);
    api
}

/// Returns the API over the parts as a function.
async fn service_over(api: &Arc<Api>) -> anyhow::Result<ApiService> {
    let header_case = HeaderCase::learn().await.context("cannot prepare the spelling of headers")?;
    Ok(ApiService::new(api, header_case))
}

/// Starts the tasks that run beside requests.
fn start_background(api: &Api, look_for_lost_changes: bool) {
    let runner = api.admin.background();
    runner.start(api.authenticator.task());
    runner.start(api.authenticator.provider_task());
    runner.start(api.quota.task());
    runner.start(api.idempotency.task());
    runner.start(api.events.task());
    runner.start(api.sequencer.task());
    api.webhooks.tasks().into_iter().for_each(|task| runner.start(task));
    runner.start(api.upkeep.task());
    runner.start(api.audit.write_task());
    runner.start(api.audit.retention_task());
    runner.start(Arc::new(AuditExport::new(&api.audit)).task());
    api.maintenance.tasks().into_iter().for_each(|task| runner.start(task));
    api.reports.tasks().into_iter().for_each(|task| runner.start(task));
    if look_for_lost_changes {
        runner.start(lost_changes_task(&api.store));
    }
}

/// Returns the access to warehouses' storage from the configuration.
#[must_use]
pub fn storage_access(config: &Config) -> StorageAccess {
    let settings = &config.storage;
    let keys = if settings.master_key.expose().is_empty() {
        // A configured key file must exist: only the default file is created.
        let make = settings.master_key_file.as_os_str().is_empty();
        config.master_key_file().map_or(KeySource::Unset, |path| KeySource::File { path, make })
    } else {
        KeySource::Text(settings.master_key.clone())
    };
    let budget = Budget {
        connect_timeout: Duration::from_secs(settings.connect_timeout_s),
        request_timeout: Duration::from_secs(settings.request_timeout_s),
        retry_timeout: Duration::from_secs(settings.retry_timeout_s),
        hedge_after: Duration::from_millis(settings.hedge_after_ms),
    };
    StorageAccess { keys, budget, passes: Arc::default(), calls: Calls::new(Subject::Storage) }
}

fn reports(config: &Config, store: &Arc<dyn Store>, clock: &Clock) -> Reports {
    Reports::new(Arc::clone(store), clock.clone(), report_limits(config), config.metrics.retention())
}

/// Gives a new database and its log to the owner of the data folder.
fn give_database(file: &Path, owner: Owner) -> std::io::Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        owner.give_path(Path::new(&name))?;
    }
    Ok(())
}

/// Opens the configured store, for the process that has the folder's lock. No other process may open it meanwhile.
///
/// # Errors
/// Fails if the folder cannot be created or used, the database of an earlier catalog is missing, or the database is from a newer
/// version. The text says what to do.
pub fn open_store(config: &Config, alone: &FolderLock) -> anyhow::Result<Arc<dyn Store>> {
    let file = config.database();
    data_folder::prepare(&config.data_dir, &file)?;
    data_folder::check_database_is_there(&config.data_dir, &file)?;
    let is_new = !file.exists();
    let store = store::open_alone(&file, config.cache.pointer_bytes)?;
    // SQLite gives later log files to the database's owner.
    if is_new && let Some(owner) = Owner::for_root(&config.data_dir) {
        give_database(&file, owner).with_context(|| format!("cannot give {} to {}", file.display(), owner.name()))?;
    }
    alone.note_catalog().with_context(|| format!("cannot write the lock in {}", config.data_dir.display()))?;
    Ok(store)
}
