//! The REST API: parses HTTP requests, calls use cases and builds HTTP answers. `router.rs` has every route on one page.

mod additions;
mod admission;
mod audit;
mod audit_marks;
mod audit_rules;
mod body;
mod client_address;
mod client_version;
mod commit;
mod config;
mod cors;
mod delegation;
mod direct;
mod endpoints;
mod entity_tag;
mod error;
mod events;
mod functions;
mod header_case;
mod health;
mod idempotency;
mod labels;
mod leftover;
mod limit_headers;
mod list_body;
mod load_result;
mod logged_text;
mod management;
mod metrics;
mod namespaces;
mod oauth;
mod openapi;
mod paging;
mod path;
mod permission;
mod plan;
mod plus;
mod polaris;
mod readiness;
mod referenced_by;
mod refused_sign_ins;
mod register;
mod request_log;
mod request_trace;
mod requests;
mod restricted_load;
mod router;
mod security_headers;
mod service;
mod sign;
mod tables;
mod telemetry;
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
use crate::audit::Audit;
use crate::auth::Authenticator;
use crate::base::clock::Clock;
use crate::base::latest::Latest;
use crate::base::trace::Tracer;
use crate::catalog::Catalog;
use crate::catalog::idempotency::Idempotency;
use crate::config::ApiConfig;
use crate::delivery::{Sequencer, Webhooks};
use crate::heavy::Heavy;
use crate::history::events::EventRetention;
use crate::history::reports::Reports;
use crate::maintenance::Maintenance;
use crate::planning::Planning;
use crate::store::Store;
use crate::telemetry::Telemetry;
use crate::tenancy::Signatures;
use crate::tenancy::quota::Quota;
use crate::upkeep::Upkeep;

pub use client_address::ClientAddress;
pub use header_case::HeaderCase;
pub use management::administrator::Machine;
pub use readiness::Readiness;
pub use security_headers::OverTls;
pub use service::{ApiService, Visitor};
pub use welcome::wants_page;

/// The parts that the handlers use.
pub struct Api {
    /// Use cases of administration.
    pub admin: Arc<Admin>,
    /// Use cases of the catalog.
    pub catalog: Arc<Catalog>,
    /// Planning of scans.
    pub planning: Arc<Planning>,
    /// Authenticates callers, and exchanges keys for tokens.
    pub authenticator: Arc<Authenticator>,
    /// Counts requests against the organisations' limits.
    pub quota: Arc<Quota>,
    /// Limits each key's rate of signatures for requests to storage.
    pub signatures: Signatures,
    /// Answers of earlier requests with an idempotency key.
    pub idempotency: Arc<Idempotency>,
    /// Background work, such as purges.
    pub maintenance: Arc<Maintenance>,
    /// The maintenance of tables.
    pub upkeep: Arc<Upkeep>,
    /// Clients' metrics reports.
    pub reports: Arc<Reports>,
    /// The retention of events.
    pub events: Arc<EventRetention>,
    /// Audit records.
    pub audit: Arc<Audit>,
    /// Gives events their positions in the feed.
    pub sequencer: Arc<Sequencer>,
    /// Deliveries of events to subscriptions.
    pub webhooks: Arc<Webhooks>,
    /// Whether clients can read events: `events.pull`.
    pub events_pull: bool,
    /// The most rows of the preview of a table: `console.preview_rows`.
    pub preview_rows: u32,
    /// The store, for lists of metrics reports.
    pub store: Arc<dyn Store>,
    /// How the latest calls to warehouses' storage ended.
    pub storage: Latest,
    /// Whether the server can answer requests, for `GET /ready`.
    pub readiness: Arc<Readiness>,
    /// The server's metrics.
    pub telemetry: Arc<Telemetry>,
    /// Decides which requests are traced. `None` if the settings name no collector.
    pub tracer: Option<Arc<Tracer>>,
    /// Whether `GET /metrics` needs no key.
    pub telemetry_is_public: bool,
    /// The source of the current time.
    pub clock: Clock,
    /// Workers for heavy work.
    pub heavy: Arc<Heavy>,
    /// Memory for large bodies, reserved from their arrival until their requests are answered.
    pub bodies: Arc<Heavy>,
    /// Limits on the content of one request.
    pub limits: RequestLimits,
    /// The settings of the API.
    pub settings: ApiConfig,
    /// Finds the address of a request's client.
    pub client_address: ClientAddress,
    /// The longest pause in a request's body.
    pub body_timeout: Duration,
}
