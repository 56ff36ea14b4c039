//! Opens the store: connects, and brings the schema up to date.

use std::sync::Arc;

use super::connection::Pool;
use super::connector::Connector;
use super::counters::Generations;
use super::migrations::{self, Migration};
use super::open_error::{PostgresOpenError, check_encoding};
use super::settings::PostgresSettings;
use super::{PostgresStore, copy};

impl PostgresStore {
    /// Opens the store, and creates or upgrades its schema. Does not wait for a database that cannot be reached.
    ///
    /// # Errors
    /// Fails if the database cannot be used.
    pub(crate) async fn open(settings: &PostgresSettings) -> Result<Self, PostgresOpenError> {
        Self::open_with(settings, &migrations::all()).await
    }

    /// Opens the store with these migrations.
    pub(super) async fn open_with(settings: &PostgresSettings, known: &[Migration]) -> Result<Self, PostgresOpenError> {
        let connector = Arc::new(Connector::new(settings)?);
        check_encoding(&connector).await?;
        migrations::migrate(&connector, known).await?;
        copy::check_complete(&connector).await?;
        if let Some(warning) = connector.warning() {
            tracing::warn!("{warning}");
        }
        let generations = Arc::<Generations>::default();
        let pool = Pool::new(settings, connector, Arc::clone(&generations));
        Ok(Self { pool, generations, together: Arc::default() })
    }
}
