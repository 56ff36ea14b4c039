//! A PostgreSQL server for the tests of this process, and an empty schema for each test.

use crate::base::clock::fresh_uuid;

/// An empty schema of a test's own in the server for tests.
pub(super) struct TestDatabase {
    schema: String,
}

impl TestDatabase {
    /// Creates the schema.
    pub(super) async fn create() -> Self {
        let schema = format!("t_{}", fresh_uuid().simple());
        let (client, connection) = tokio_postgres::connect(&server(), tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(&format!("CREATE SCHEMA {schema}")).await.unwrap();
        Self { schema }
    }

    /// Returns the URL whose connections use the schema.
    pub(super) fn url(&self) -> String {
        format!("{}?options=-c%20search_path%3D{}", server(), self.schema)
    }
}

/// Returns the URL of the server for tests.
fn server() -> String {
    std::env::var("TIDEWATER_TEST_POSTGRES").unwrap()
}
