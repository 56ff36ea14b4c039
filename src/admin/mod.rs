//! Administration: organisations, operators, keys, warehouses, usage and the server itself, as use cases.
//!
//! The HTTP API calls these use cases and has no rules itself. It checks permissions first, and passes the organisation and
//! the author of the change ([`Change`](crate::store::Change)).

mod access;
mod access_limits;
mod backup;
mod entities;
mod error;
mod grants_below;
mod keys;
mod limits;
mod operators;
mod organisations;
mod principals;
mod reload;
mod reseal;
mod server;
mod signing_keys;
mod subscriptions;
mod tables;
mod usage;
mod users;
mod warehouse_roots;
mod warehouses;

use std::sync::Arc;
use std::time::Instant;

use tidewater_core::ids::OrganisationId;

use crate::auth::Authenticator;
use crate::background::Runner;
use crate::base::clock::Clock;
use crate::base::keyed_lock::KeyedLock;
use crate::config::Config;
use crate::delivery::Webhooks;
use crate::metadata::Documents;
use crate::store::Store;
use crate::warehouse::StorageAccess;

pub use access::{ExplainedAccess, ExplainedToken, NamedObject, Verdict};
pub use entities::check_properties;
pub use error::AdminError;
pub use keys::{IssuedKey, KeyRequest, KeyState, key_state};
pub use operators::IssuedOperator;
pub use organisations::{DeleteRequest, OrganisationDetails};
pub use principals::KeyPrincipal;
pub use reload::{Reload, Reloaded};
pub use reseal::Resealed;
pub use server::ServerStatus;
pub use signing_keys::{SigningKeyInfo, SigningKeyState};
pub use subscriptions::{IssuedSubscription, SubscriptionRequest};
pub use tables::{CheckedTable, Finding, ShownNamespace};
pub use usage::{Days, UsageLimits, UsedBy};
pub use warehouses::{OwnStorage, WarehouseRequest, WarehouseUpdate};

/// The parts that administration uses.
pub struct AdminParts {
    /// The store of the catalog.
    pub store: Arc<dyn Store>,
    /// The authenticator, which signs tokens.
    pub authenticator: Arc<Authenticator>,
    /// Access to storage, and the keys that seal credentials.
    pub access: StorageAccess,
    /// Reads metadata for checks, without a cache.
    pub documents: Arc<Documents>,
    /// The source of the current time.
    pub clock: Clock,
    /// The settings in force.
    pub config: Arc<Config>,
    /// The tasks of the background, whose states the server's status shows.
    pub background: Arc<Runner>,
    /// Deliveries of events to subscriptions.
    pub webhooks: Arc<Webhooks>,
}

/// The administration of a catalog.
pub struct Admin {
    store: Arc<dyn Store>,
    authenticator: Arc<Authenticator>,
    access: StorageAccess,
    documents: Arc<Documents>,
    clock: Clock,
    config: Arc<Config>,
    background: Arc<Runner>,
    webhooks: Arc<Webhooks>,
    shared: Arc<Shared>,
}

/// The state that is kept when the settings change.
struct Shared {
    started: Instant,
    /// Reads the settings again, if the program can.
    reload: std::sync::OnceLock<Reload>,
    /// Whoever checks that a key's name is free, and takes it, has the organisation's turn.
    names: KeyedLock<OrganisationId>,
}

impl Admin {
    /// Creates the administration from its parts.
    #[must_use]
    pub fn new(parts: AdminParts) -> Self {
        let shared =
            Shared { started: Instant::now(), reload: std::sync::OnceLock::new(), names: KeyedLock::default() };
        Self::over(parts, Arc::new(shared))
    }

    /// Returns the same administration with other settings.
    #[must_use]
    pub fn with_settings(&self, authenticator: &Arc<Authenticator>, config: &Arc<Config>) -> Self {
        let parts = AdminParts {
            store: Arc::clone(&self.store),
            authenticator: Arc::clone(authenticator),
            access: self.access.clone(),
            documents: Arc::clone(&self.documents),
            clock: self.clock.clone(),
            config: Arc::clone(config),
            background: Arc::clone(&self.background),
            webhooks: Arc::clone(&self.webhooks),
        };
        Self::over(parts, Arc::clone(&self.shared))
    }

    fn over(parts: AdminParts, shared: Arc<Shared>) -> Self {
        let AdminParts { store, authenticator, access, documents, clock, config, background, webhooks } = parts;
        Self { store, authenticator, access, documents, clock, config, background, webhooks, shared }
    }
}
