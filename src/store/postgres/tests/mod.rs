//! The conformance tests with the PostgreSQL store, and tests of this store alone.

mod people;
mod plans;
mod server;

use std::sync::Arc;

use super::{PostgresSettings, PostgresStore};
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

/// Opens the store in a database.
async fn opened(database: &server::TestDatabase) -> PostgresStore {
    let settings = PostgresSettings { url: database.url(), connections: 4, prepares: true };
    PostgresStore::open(&settings).await.unwrap()
}
