//! The store of a catalog under test: SQLite in its folder, or a schema of its own in a PostgreSQL server.
//!
//! `cargo xtask test --rust --store postgres` starts the server, and names it in `TIDEWATER_TEST_POSTGRES`.

use std::sync::Arc;

use tempfile::TempDir;
use tidewater::config::{Config, StoreConfig};
use tidewater::store::{self, PostgresSettings, Store};

/// The number of connections of a catalog. All tests together have at most 500.
const CONNECTIONS: usize = 4;

/// Returns whether catalogs under test use PostgreSQL.
pub(crate) fn is_postgres() -> bool {
    std::env::var("TIDEWATER_TEST_STORE").is_ok_and(|store| store == "postgres")
}

/// Returns the URL of the PostgreSQL server, if catalogs under test use one.
fn server() -> Option<String> {
    is_postgres().then(|| std::env::var("TIDEWATER_TEST_POSTGRES").expect("the URL of a PostgreSQL server"))
}

/// Returns the name of a folder's schema.
fn schema(folder: &str) -> String {
    let plain: String = folder.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    // Names differ in case.
    format!(
        "it_{}_{:08x}",
        plain.to_lowercase(),
        folder.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()))
    )
}

/// Returns the settings of the store of catalogs in a folder.
pub(super) fn settings(folder: &TempDir) -> StoreConfig {
    let Some(server) = server() else { return StoreConfig::default() };
    let name = folder.path().file_name().and_then(std::ffi::OsStr::to_str).expect("a name");
    let url = format!("{server}?options=-c%20search_path%3D{}", schema(name));
    StoreConfig { url: url.parse().expect("a URL"), connections: CONNECTIONS, ..StoreConfig::default() }
}

/// Creates the schema in which the store of these settings is, if it does not exist.
pub(super) async fn prepare(config: &Config) {
    let Some(url) = config.store.url.postgres() else { return };
    let (server, schema) = url.expose().split_once("?options=-c%20search_path%3D").expect("a schema");
    let (client, connection) = tokio_postgres::connect(server, tokio_postgres::NoTls).await.expect("PostgreSQL");
    let connection = tokio::spawn(connection);
    client.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {schema}")).await.expect("a schema");
    drop(client);
    connection.await.expect("no panic").expect("an orderly end");
}

/// Opens the store of these settings, as one of several processes.
pub(super) async fn open(config: &Config) -> Arc<dyn Store> {
    prepare(config).await;
    if let Some(url) = config.store.url.postgres() {
        let settings = PostgresSettings { connections: CONNECTIONS, ..PostgresSettings::new(url.clone()) };
        return store::open_postgres(&settings).await.expect("a store");
    }
    std::fs::create_dir_all(&config.data_dir).expect("a data folder");
    store::open(&config.database()).expect("a store")
}
