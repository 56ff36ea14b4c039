//! Why a database cannot be used, and the check of its encoding.

use std::sync::Arc;

use super::connector::{ConnectError, Connector};
use super::convert::{may_connect_later, message};
use super::migrations::{MigrateError, SchemaError};
use super::settings::UrlError;

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
    /// The database is the target of a copy that has not ended.
    #[error(
        "it is an incomplete copy of {source_name}: complete it by running the same command (`tidewater copy --from {source_name} \
         --to ...`) again"
    )]
    Unfinished {
        /// The database that is copied.
        source_name: String,
    },
    /// The database has no catalog to copy.
    #[error("there is no catalog in {0}")]
    NoCatalog(String),
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

/// Checks that the database can hold every name.
pub(super) async fn check_encoding(connector: &Arc<Connector>) -> Result<(), PostgresOpenError> {
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
