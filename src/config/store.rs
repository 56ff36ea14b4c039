//! Settings of the catalog's database.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::secrets::as_empty_text;
use super::store_url::StoreUrl;
use crate::base::secret::Secret;

/// Settings of the catalog's database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// Which database has the catalog.
    pub url: StoreUrl,
    /// The password of PostgreSQL's user, instead of that in the URL.
    #[serde(serialize_with = "as_empty_text")]
    pub password: Secret<String>,
    /// A file with this password, instead of all others. It is read for each connection. Empty: none.
    pub password_file: PathBuf,
    /// The most connections of this server to a PostgreSQL database; 0: four for each core, from 12 to 40.
    pub connections: usize,
    /// Whether statements are prepared once for each connection. A pooler that gives each transaction another connection may
    /// not support it.
    pub prepared_statements: bool,
    /// For how many seconds a starting server waits for a PostgreSQL database that does not answer.
    pub start_timeout_s: u64,
    /// The time-out for connecting to a host of the database, in seconds.
    pub connect_timeout_s: u64,
    /// For how many seconds a request waits for a free connection.
    pub acquire_timeout_s: u64,
    /// The time-out for a statement, in seconds.
    pub statement_timeout_s: u64,
    /// For how many seconds a read, or a change that was surely not made, is tried again.
    pub retry_timeout_s: u64,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            url: StoreUrl::default(),
            password: Secret::new(String::new()),
            password_file: PathBuf::new(),
            connections: 0,
            prepared_statements: true,
            start_timeout_s: 60,
            connect_timeout_s: 5,
            acquire_timeout_s: 10,
            statement_timeout_s: 30,
            retry_timeout_s: 10,
        }
    }
}

impl StoreConfig {
    /// Returns [`StoreConfig::start_timeout_s`] as a duration.
    #[must_use]
    pub const fn start_timeout(&self) -> Duration {
        Duration::from_secs(self.start_timeout_s)
    }
}
