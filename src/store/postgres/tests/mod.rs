//! The conformance tests with the PostgreSQL store, and tests of this store alone.

mod audit;
mod failures;
mod feed;
mod generations;
mod people;
mod people_plans;
mod plans;
mod replicas;
mod reports;
pub(crate) mod server;
mod start;
mod statements;
mod together;
mod two_servers;

use std::sync::Arc;
use std::time::Duration;

use super::{PostgresSettings, PostgresStore};
use crate::base::secret::Secret;
use crate::store::Store;

mod conforms {
    use super::server::TestDatabase;
    use super::{Arc, Store, opened};
    use crate::store::suite::conformance;

    async fn fresh() -> (Arc<dyn Store>, TestDatabase) {
        let database = TestDatabase::create().await;
        (Arc::new(opened(&database).await), database)
    }

    conformance!(fresh);
}

/// Returns settings for a database, with few connections. The machine of the tests may be slow.
fn settings(url: String) -> PostgresSettings {
    let slow = Duration::from_secs(120);
    PostgresSettings {
        connections: 6,
        connect_timeout: slow,
        acquire_timeout: slow,
        statement_timeout: slow,
        ..PostgresSettings::new(Secret::new(url))
    }
}

/// Opens the store in a database.
async fn opened(database: &server::TestDatabase) -> PostgresStore {
    PostgresStore::open(&settings(database.url())).await.unwrap()
}

/// An empty database for tests of other modules. Each store that is opened in it is as one of another server.
pub(crate) struct TestSchema(server::TestDatabase);

impl TestSchema {
    /// Creates the database.
    pub(crate) async fn create() -> Self {
        Self(server::TestDatabase::create().await)
    }

    /// Opens a store in it.
    pub(crate) async fn open(&self) -> Arc<dyn Store> {
        Arc::new(opened(&self.0).await)
    }
}
