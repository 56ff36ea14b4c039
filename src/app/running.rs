//! The settings of a running server, and their replacement without a stop.
//!
//! A request reads all its settings from one value. A reload creates a new value over the same store, caches and queues, and
//! swaps it atomically. So a request uses either the old or the new settings until its end.

use std::sync::Arc;

use axum::body::Body;
use parking_lot::Mutex;

use super::tls;
use crate::api::{Api, ClientAddress};
use crate::auth::AuthSettings;
use crate::catalog::CatalogSettings;
use crate::config::{Config, Reload};
use crate::console::Site;
use crate::server::{Replacing, Tls};
use crate::store::ReportLimits;

/// The settings in force, and the server that uses them.
pub struct Running {
    now: Mutex<Now>,
    server: Replacing,
    tls: Option<Arc<Tls>>,
}

struct Now {
    config: Config,
    api: Arc<Api>,
}

impl Running {
    pub(super) fn new(config: Config, api: Arc<Api>, server: Replacing, tls: Option<Arc<Tls>>) -> Self {
        Self { now: Mutex::new(Now { config, api }), server, tls }
    }

    /// Returns the server's TLS, if it has it.
    pub(super) const fn tls(&self) -> Option<&Arc<Tls>> {
        self.tls.as_ref()
    }

    /// Reads the files of the server's certificate again.
    ///
    /// # Errors
    /// Fails if they cannot be used. Then the present certificate stays in use.
    pub async fn reload_certificate(&self) -> anyhow::Result<()> {
        let Some(tls) = &self.tls else { return Ok(()) };
        let clock = self.now.lock().api.clock.clone();
        tls::reload(tls, &clock).await??;
        Ok(())
    }

    /// Returns the settings in force.
    #[must_use]
    pub fn config(&self) -> Config {
        self.now.lock().config.clone()
    }

    /// Returns the parts with the settings in force.
    pub(super) fn api(&self) -> Arc<Api> {
        Arc::clone(&self.now.lock().api)
    }

    /// Returns the service that answers new requests.
    #[must_use]
    pub fn service(&self) -> Site {
        self.server.service()
    }

    /// Answers a request on another thread and reads the database. Returns whether the server works. Waits without a limit.
    ///
    /// A shared database that fails is no fault of this server, which must only notice it. An embedded one is a part of it.
    pub async fn is_working(&self) -> bool {
        let (service, store, is_shared) = {
            let now = self.now.lock();
            (self.service(), Arc::clone(&now.api.store), now.config.store.url.is_shared())
        };
        let probe = async move {
            let mut request = http::Request::new(Body::empty());
            *request.uri_mut() = http::Uri::from_static("/health");
            service.handle(request).await.status().is_success() && (store.ping().await.is_ok() || is_shared)
        };
        tokio::spawn(probe).await.unwrap_or(false)
    }

    /// Applies the new settings that can change while the server runs. They must be checked, as [`Config::load`] does.
    pub fn reload(&self, new: Config) -> Reload {
        let mut now = self.now.lock();
        let reload = now.config.reload(new);
        let config = &reload.config;
        // Background work reads these in its next round.
        now.api.reports.set_retention(report_limits(config), config.metrics.retention());
        now.api.audit.set_settings(&config.audit);
        now.api.events.set_retention(config.events.retention(), config.events.per_organisation);
        now.api.planning.set_cache_bytes(config.planning.cache_bytes);
        now.api.catalog.set_document_bytes(config.cache.metadata_bytes, config.limits.document_bytes);
        let api = Arc::new(with_settings(&now.api, config));
        self.server.replace(self.server.service().with_api(&api, &config.console), &config.connections);
        *now = Now { config: config.clone(), api };
        reload
    }
}

/// Returns the same parts with other settings.
fn with_settings(api: &Api, config: &Config) -> Api {
    let catalog = Arc::new(api.catalog.with_settings(catalog_settings(config)));
    let authenticator = Arc::new(api.authenticator.with_settings(&config.tiers, &auth_settings(config)));
    Api {
        admin: Arc::new(api.admin.with_settings(&authenticator, &Arc::new(config.clone()))),
        catalog,
        planning: Arc::new(api.planning.with_settings(config.planning)),
        authenticator,
        quota: Arc::clone(&api.quota),
        signatures: api.signatures.with_pace(config.api.signatures_per_second),
        idempotency: Arc::new(api.idempotency.with_lifetime(config.api.idempotency_key_lifetime())),
        maintenance: Arc::clone(&api.maintenance),
        upkeep: Arc::clone(&api.upkeep),
        reports: Arc::clone(&api.reports),
        events: Arc::clone(&api.events),
        audit: Arc::clone(&api.audit),
        sequencer: Arc::clone(&api.sequencer),
        webhooks: Arc::clone(&api.webhooks),
        events_pull: config.events.pull,
        preview_rows: config.console.preview_rows,
        store: Arc::clone(&api.store),
        storage: api.storage.clone(),
        readiness: Arc::clone(&api.readiness),
        telemetry: Arc::clone(&api.telemetry),
        tracer: api.tracer.clone(),
        telemetry_is_public: config.telemetry.public,
        clock: api.clock.clone(),
        heavy: Arc::clone(&api.heavy),
        bodies: Arc::clone(&api.bodies),
        limits: config.limits,
        settings: config.api.clone(),
        client_address: client_address(config),
        body_timeout: config.connections.body_timeout(),
    }
}

pub(super) fn client_address(config: &Config) -> ClientAddress {
    ClientAddress { trusted: config.connections.trusted_proxies.clone(), header: config.connections.forwarded_header }
}

pub(super) fn catalog_settings(config: &Config) -> CatalogSettings {
    CatalogSettings {
        drop_retention: config.drop.retention(),
        removal_delay: config.metadata.removal_delay(),
        limits: config.limits,
    }
}

pub(super) fn auth_settings(config: &Config) -> AuthSettings {
    AuthSettings {
        token_lifetime: config.auth.token_lifetime(),
        session: config.auth.session(),
        cache: config.auth.cache(),
        issuers: config.auth.issuers.clone(),
    }
}

pub(super) fn report_limits(config: &Config) -> ReportLimits {
    ReportLimits {
        per_table: config.metrics.reports_per_table,
        per_organisation: config.metrics.reports_per_organisation,
        bytes_per_organisation: config.metrics.bytes_per_organisation,
    }
}
