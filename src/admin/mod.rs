//! Administration: organisations, operators, keys, warehouses, usage and the server itself, as use cases.
//!
//! The HTTP API calls these and has no rules of its own. Who may do what is decided before: these are told the organisation,
//! and who makes the change ([`Change`](crate::store::Change)).

mod access;
mod backup;
mod error;
mod keys;
mod limits;
mod operators;
mod organisations;
mod reseal;
mod server;
mod signing_keys;
mod tables;
mod usage;
mod warehouses;

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Mutex;

use crate::auth::Authenticator;
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::config::Config;
use crate::metadata::Documents;
use crate::store::Store;
use crate::warehouse::StorageAccess;

pub use access::{ExplainedAccess, NamedObject, Verdict};
pub use error::AdminError;
pub use keys::{IssuedKey, KeyRequest, KeyState, key_state};
pub use operators::IssuedOperator;
pub use organisations::{DeleteRequest, OrganisationDetails};
pub use reseal::Resealed;
pub use server::{Reload, Reloaded, ServerStatus};
pub use signing_keys::{SigningKeyInfo, SigningKeyState};
pub use tables::{CheckedTable, Finding, ShownNamespace};
pub use usage::{Days, UsageLimits};
pub use warehouses::{OwnStorage, Trial, WarehouseRequest, WarehouseUpdate};

/// What administration works with.
pub struct AdminParts {
    /// What the catalog remembers in.
    pub store: Arc<dyn Store>,
    /// Who is told that keys have changed.
    pub authenticator: Arc<Authenticator>,
    /// Who is told that warehouses have changed.
    pub catalog: Arc<Catalog>,
    /// How storage is reached, and what credentials are sealed with.
    pub access: StorageAccess,
    /// Reads metadata that nobody has asked for, and keeps none of it.
    pub documents: Arc<Documents>,
    /// What tells the time.
    pub clock: Clock,
    /// The settings in force.
    pub config: Arc<Config>,
}

/// The administration of a catalog.
pub struct Admin {
    store: Arc<dyn Store>,
    authenticator: Arc<Authenticator>,
    catalog: Arc<Catalog>,
    access: StorageAccess,
    documents: Arc<Documents>,
    clock: Clock,
    config: Arc<Config>,
    shared: Arc<Shared>,
}

/// What stays when the settings change.
struct Shared {
    started: Instant,
    /// Reads the settings again, if the program can.
    reload: std::sync::OnceLock<Reload>,
    /// Whoever checks that a name is free, and takes it, has this.
    names: Mutex<()>,
}

impl Admin {
    /// Administers the catalog of these parts.
    #[must_use]
    pub fn new(parts: AdminParts) -> Self {
        let shared = Shared { started: Instant::now(), reload: std::sync::OnceLock::new(), names: Mutex::default() };
        Self::over(parts, Arc::new(shared))
    }

    /// Returns the same with other settings.
    #[must_use]
    pub fn with_settings(
        &self,
        authenticator: &Arc<Authenticator>,
        catalog: &Arc<Catalog>,
        config: &Arc<Config>,
    ) -> Self {
        let parts = AdminParts {
            store: Arc::clone(&self.store),
            authenticator: Arc::clone(authenticator),
            catalog: Arc::clone(catalog),
            access: self.access.clone(),
            documents: Arc::clone(&self.documents),
            clock: self.clock.clone(),
            config: Arc::clone(config),
        };
        Self::over(parts, Arc::clone(&self.shared))
    }

    fn over(parts: AdminParts, shared: Arc<Shared>) -> Self {
        let AdminParts { store, authenticator, catalog, access, documents, clock, config } = parts;
        Self { store, authenticator, catalog, access, documents, clock, config, shared }
    }
}
