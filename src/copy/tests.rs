//! Copies between the two databases, from a store that was filled through its trait.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::base::clock::fresh_uuid;
use crate::store::suite::{answers, fill};
use crate::store::{self, CopyRow, PostgresSettings, Store};

/// A PostgreSQL database of a test's own.
struct TestDatabase {
    settings: PostgresSettings,
    client: tokio_postgres::Client,
}

impl TestDatabase {
    async fn create() -> Self {
        let server = std::env::var("TIDEWATER_TEST_POSTGRES").unwrap();
        let name = format!("copy_{}", fresh_uuid().simple());
        connected(&server).await.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
        let mut url = url::Url::parse(&server).unwrap();
        url.set_path(&name);
        let client = connected(url.as_str()).await;
        Self { settings: PostgresSettings { url: url.into(), connections: 3, prepares: false }, client }
    }

    fn place(&self) -> CopyPlace {
        CopyPlace::Postgres(self.settings.clone())
    }
}

async fn connected(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

fn folder(path: &Path) -> CopyPlace {
    CopyPlace::Sqlite { folder: path.to_owned(), database: path.join("tidewater.db") }
}

fn sqlite(path: &Path) -> Arc<dyn Store> {
    store::open(&path.join("tidewater.db")).unwrap()
}

/// Opens both places and copies from one to the other.
async fn copied(from: &CopyPlace, to: &CopyPlace) -> Result<CopyDone, CopyError> {
    let source = OpenedPlace::source(from).await.unwrap();
    let target = OpenedPlace::target(to).await.unwrap();
    copy(source.store(), target.store(), false, &mut |_| {}).await
}

async fn compared(from: &CopyPlace, to: &CopyPlace) -> Result<CopyDone, CopyError> {
    let source = OpenedPlace::source(from).await.unwrap();
    let target = OpenedPlace::source(to).await.unwrap();
    check(source.store(), target.store(), &mut |_| {}).await
}

/// Returns all rows, table by table.
async fn all_rows(place: &CopyPlace) -> Vec<Vec<CopyRow>> {
    let opened = OpenedPlace::source(place).await.unwrap();
    let mut tables = Vec::new();
    for table in COPY_TABLES {
        let (mut rows, mut all) = (Rows::unchanged(opened.store(), table), Vec::new());
        while let Some(batch) = rows.next().await.unwrap() {
            all.extend(batch.rows);
        }
        tables.push(all);
    }
    tables
}

/// Fills a data folder. Returns the answers of its store.
async fn filled(path: &Path, seed: u64) -> Vec<String> {
    let store = sqlite(path);
    fill(&store, seed).await;
    answers(&store).await
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_the_same_after_a_copy_to_postgresql_and_back() {
    for seed in 1..=3 {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let told = filled(first.path(), seed).await;
        let database = TestDatabase::create().await;
        let done = copied(&folder(first.path()), &database.place()).await.unwrap();
        assert!(done.tables.iter().all(|(_, rows)| *rows > 0), "a table was not filled: {:?}", done.tables);
        compared(&folder(first.path()), &database.place()).await.unwrap();
        let back = copied(&database.place(), &folder(second.path())).await.unwrap();
        assert_eq!(back, done);
        let rows = all_rows(&folder(first.path())).await;
        assert!(rows == all_rows(&database.place()).await && rows == all_rows(&folder(second.path())).await);
        assert_eq!(answers(&sqlite(second.path())).await, told, "seed {seed}");
    }
}
