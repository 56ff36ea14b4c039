//! The REST API: HTTP in, use cases called, HTTP out. `router.rs` shows every route on one page.

mod admission;
mod body;
mod client_version;
mod commit;
mod config;
mod cors;
mod delegation;
mod direct;
mod endpoints;
mod entity_tag;
mod error;
mod functions;
mod header_case;
mod health;
mod idempotency;
mod leftover;
mod limit_headers;
mod list_body;
mod load_result;
mod management;
mod metrics;
mod namespaces;
mod oauth;
mod openapi;
mod paging;
mod path;
mod permission;
mod plus;
mod referenced_by;
mod refused_sign_ins;
mod register;
mod request_log;
mod requests;
mod router;
mod service;
mod sign;
mod tables;
mod timed_paging;
mod transactions;
mod unpack;
mod views;
mod welcome;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use tidewater_core::request_limits::RequestLimits;

use crate::admin::Admin;
use crate::auth::Authenticator;
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::config::ApiConfig;
use crate::events::EventRetention;
use crate::heavy::Heavy;
use crate::idempotency::Idempotency;
use crate::maintenance::Maintenance;
use crate::master_key::MasterKeyWatch;
use crate::reports::Reports;
use crate::store::Store;
use crate::tenancy::Signatures;
use crate::tenancy::quota::Quota;

pub use header_case::HeaderCase;
pub use management::administrator::Machine;
pub use service::ApiService;

/// What the handlers work with.
pub struct Api {
    /// How it is administered.
    pub admin: Arc<Admin>,
    /// What a catalog does.
    pub catalog: Arc<Catalog>,
    /// Who is asking; turns keys into tokens.
    pub authenticator: Arc<Authenticator>,
    /// How much they may ask.
    pub quota: Arc<Quota>,
    /// How fast they may have requests to storage signed.
    pub signatures: Signatures,
    /// What was answered to requests that may be repeated.
    pub idempotency: Arc<Idempotency>,
    /// What is done in the background.
    pub maintenance: Arc<Maintenance>,
    /// What clients report of scans and commits.
    pub reports: Arc<Reports>,
    /// How long events are kept.
    pub events: Arc<EventRetention>,
    /// For `GET /health`, and what was reported.
    pub store: Arc<dyn Store>,
    /// Whether the master key is there, for `GET /health`.
    pub master_key: Arc<MasterKeyWatch>,
    /// What time it is.
    pub clock: Clock,
    /// Where heavy work is done.
    pub heavy: Arc<Heavy>,
    /// The memory that large bodies take, from when they arrive until their requests were answered.
    pub bodies: Arc<Heavy>,
    /// What one request may hold.
    pub limits: RequestLimits,
    /// Limits of the API itself.
    pub settings: ApiConfig,
    /// For how long a request's body may pause.
    pub body_timeout: Duration,
}
