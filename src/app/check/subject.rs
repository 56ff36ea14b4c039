//! What checks share: the settings, and one look at the database.

use tokio::sync::OnceCell;

use super::database::{Outcome, look};
use crate::config::Config;
use crate::store::InspectedCatalog;

/// What checks share.
pub(super) struct Subject {
    pub(super) config: Config,
    /// The outcome of the check of the database, and the catalog if it can be read.
    database: OnceCell<Outcome>,
}

impl Subject {
    /// Creates a subject that was not looked at.
    pub(super) fn new(config: Config) -> Self {
        Self { config, database: OnceCell::new() }
    }

    /// Returns the catalog in the database, after one check of the database for all.
    pub(super) async fn catalog(&self) -> Option<&InspectedCatalog> {
        self.database().await.catalog.as_ref()
    }

    /// Returns the outcome of the check of the database.
    pub(super) async fn database(&self) -> &Outcome {
        self.database.get_or_init(|| look(&self.config)).await
    }
}
