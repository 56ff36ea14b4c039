//! Opens the store: connects, and brings the schema up to date.

use std::sync::Arc;

use super::PostgresStore;
use super::connection::Pool;
use super::connector::{ConnectError, Connector};
use super::convert::{may_connect_later, message};
use super::counters::Generations;
use super::migrations::{self, MigrateError, Migration, SchemaError};
use super::settings::{PostgresSettings, UrlError};

/// Why the database cannot be used. No text contains the URL or a password.
#[derive(Debug, thiserror::Error)]
pub enum PostgresOpenError {
    /// The URL cannot be read.
    #[error("store.url: {0}")]
    Url(#[from] UrlError),
    /// The database refuses the server, or its certificate is refused. A person has to change something.
    #[error("the database cannot be used: {0}")]
    Refused(String),
    /// The database's schema is not that of this version.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The database cannot be reached. Another attempt may succeed.
    #[error("the database cannot be reached: {0}")]
    Database(String),
}

impl From<ConnectError> for PostgresOpenError {
    fn from(error: ConnectError) -> Self {
        if error.may_pass() { Self::Database(error.to_string()) } else { Self::Refused(error.to_string()) }
    }
}

impl From<tokio_postgres::Error> for PostgresOpenError {
    fn from(error: tokio_postgres::Error) -> Self {
        if may_connect_later(&error) { Self::Database(message(&error)) } else { Self::Refused(message(&error)) }
    }
}

impl From<MigrateError> for PostgresOpenError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Connect(error) => error.into(),
            MigrateError::Schema(error) => error.into(),
            MigrateError::Database(error) => error.into(),
            error @ MigrateError::TooLong(_) => Self::Database(error.to_string()),
        }
    }
}

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
        if let Some(warning) = connector.warning() {
            tracing::warn!("{warning}");
        }
        let generations = Arc::<Generations>::default();
        Ok(Self { pool: Pool::new(settings, connector, Arc::clone(&generations)), generations })
    }
}

/// Checks that the database can hold every name.
async fn check_encoding(connector: &Arc<Connector>) -> Result<(), PostgresOpenError> {
    let client = connector.connect().await?.client;
    let rows = client.query_typed("SHOW server_encoding", &[]).await?;
    let encoding = rows.first().map(|row| row.try_get::<_, String>(0)).transpose()?;
    match encoding {
        Some(encoding) if encoding != "UTF8" => Err(PostgresOpenError::Refused(format!(
            "its encoding is {encoding}: create a database with ENCODING 'UTF8'"
        ))),
        _ => Ok(()),
    }
}
