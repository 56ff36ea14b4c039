//! Opens the store: connects, and brings the schema up to date.

use deadpool_postgres::{Manager, ManagerConfig, RecyclingMethod};
use std::sync::Arc;

use tokio_postgres::NoTls;

use super::PostgresStore;
use super::connection::Pool;
use super::generations::Generations;

mod embedded {
    refinery::embed_migrations!("migrations/postgres");
}

/// How the database is reached.
#[derive(Debug, Clone)]
pub struct PostgresSettings {
    /// The URL, for example `postgres://user@host/database`.
    pub url: String,
    /// The most connections of this server.
    pub connections: usize,
    /// Whether statements are prepared.
    pub prepares: bool,
}

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PostgresOpenError {
    /// The URL cannot be read.
    #[error("store.url: {0}")]
    Url(String),
    /// The database cannot be reached, or refused.
    #[error("the database cannot be used: {0}")]
    Database(String),
    /// The database is the target of a copy that has not ended.
    #[error("{target} is an incomplete copy of {source_name}: complete it with `tidewater copy --from {source_name} --to {target}`")]
    Unfinished {
        /// The database.
        target: String,
        /// The database that is copied.
        source_name: String,
    },
}

impl PostgresStore {
    /// Opens the store, and creates or upgrades its schema.
    ///
    /// # Errors
    /// Fails if the database cannot be used.
    pub(crate) async fn open(settings: &PostgresSettings) -> Result<Self, PostgresOpenError> {
        let pool = connect(settings, "tidewater")?;
        let mut client = pool.connections.get().await.map_err(|error| PostgresOpenError::Database(error.to_string()))?;
        migrate(&mut client).await.map_err(|error| PostgresOpenError::Database(error.to_string()))?;
        super::copy::check_complete(&client, &settings.url).await?;
        drop(client);
        Ok(Self { pool, generations: Arc::<Generations>::default() })
    }
}

/// Returns the pool of connections, whose name the database shows as `application`.
pub(super) fn connect(settings: &PostgresSettings, application: &str) -> Result<Pool, PostgresOpenError> {
    let mut config: tokio_postgres::Config =
        settings.url.parse().map_err(|error: tokio_postgres::Error| PostgresOpenError::Url(error.to_string()))?;
    config.application_name(application);
    let manager = Manager::from_config(config, NoTls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
    let connections = deadpool_postgres::Pool::builder(manager)
        .max_size(settings.connections)
        .build()
        .map_err(|error| PostgresOpenError::Database(error.to_string()))?;
    Ok(Pool { connections, prepares: settings.prepares })
}

/// Makes the missing migrations, in one transaction.
pub(super) async fn migrate(client: &mut deadpool_postgres::Object) -> Result<(), tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    transaction
        .batch_execute(
            "SELECT pg_advisory_xact_lock(7205759403792794);
             CREATE TABLE IF NOT EXISTS schema_history (version bigint NOT NULL PRIMARY KEY, name text NOT NULL)",
        )
        .await?;
    let made: i64 =
        transaction.query_one("SELECT coalesce(max(version), 0) FROM schema_history", &[]).await?.try_get(0)?;
    for migration in embedded::migrations::runner().get_migrations() {
        let version = i64::from(migration.version());
        if version > made {
            transaction.batch_execute(migration.sql().unwrap_or_default()).await?;
            transaction
                .execute("INSERT INTO schema_history (version, name) VALUES ($1, $2)", &[&version, &migration.name()])
                .await?;
        }
    }
    transaction.commit().await
}
