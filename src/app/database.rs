//! Opens a PostgreSQL database that other servers may use too, and waits for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::config::{Config, StoreConfig};
use crate::store::{self, PostgresOpenError, PostgresSettings, Store};

/// The pause before the second attempt. It doubles with each further attempt.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The longest pause between attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Opens the configured PostgreSQL database. Waits up to `patience` while it does not answer. Returns `None` if the
/// catalog is in SQLite.
///
/// # Errors
/// Fails if the database does not answer in time, or refuses the connection. The text has the URL without its password.
pub(super) async fn open_shared(config: &Config, patience: Duration) -> anyhow::Result<Option<Arc<dyn Store>>> {
    let Some(settings) = postgres_settings(&config.store) else { return Ok(None) };
    let url = &config.store.url;
    let until = Instant::now() + patience;
    let mut pause = FIRST_PAUSE;
    loop {
        let error = match store::open_postgres(&settings).await {
            Ok(store) => return Ok(Some(store)),
            Err(error) => error,
        };
        if !may_pass(&error) || Instant::now() + pause >= until {
            return Err(error).with_context(|| format!("cannot open the database {url}"));
        }
        let waits_s = until.saturating_duration_since(Instant::now()).as_secs();
        tracing::warn!(database = %url, %error, waits_s, "the database does not answer yet: trying again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Returns whether another attempt may succeed without a person's help.
const fn may_pass(error: &PostgresOpenError) -> bool {
    matches!(error, PostgresOpenError::Database(_))
}

/// Returns the settings of the PostgreSQL store, or `None` if the catalog is in SQLite.
#[must_use]
pub fn postgres_settings(store: &StoreConfig) -> Option<PostgresSettings> {
    let defaults = PostgresSettings::new(store.url.postgres()?.clone());
    Some(PostgresSettings {
        password: Some(store.password.clone()).filter(|password| !password.expose().is_empty()),
        password_file: Some(store.password_file.clone()).filter(|file| !file.as_os_str().is_empty()),
        connections: if store.connections == 0 { defaults.connections } else { store.connections },
        prepared_statements: store.prepared_statements,
        connect_timeout: Duration::from_secs(store.connect_timeout_s),
        acquire_timeout: Duration::from_secs(store.acquire_timeout_s),
        statement_timeout: Duration::from_secs(store.statement_timeout_s),
        retry_timeout: Duration::from_secs(store.retry_timeout_s),
        ..defaults
    })
}
