//! Copies between the two databases, from a store that was filled through its trait.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::base::clock::fresh_uuid;
use crate::base::secret::Secret;
use crate::store::suite::{answers, fill};
use crate::store::{self, CopyRow, PostgresSettings, Store};

/// A PostgreSQL database of a test's own.
struct TestDatabase {
    server: String,
    name: String,
    url: String,
}

impl TestDatabase {
    async fn create() -> Self {
        let server = tokio::task::spawn_blocking(store::test_postgres).await.unwrap();
        let name = format!("copy_{}", fresh_uuid().simple());
        connected(&server).await.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
        let mut url = url::Url::parse(&server).unwrap();
        url.set_path(&name);
        Self { server, name, url: url.into() }
    }

    fn settings(&self) -> PostgresSettings {
        PostgresSettings::new(Secret::new(self.url.clone()))
    }

    fn place(&self) -> CopyPlace {
        CopyPlace::Postgres(self.settings())
    }

    /// Runs statements in a connection of their own, which ends.
    async fn execute(&self, sql: &str) {
        let (client, connection) = tokio_postgres::connect(&self.url, tokio_postgres::NoTls).await.unwrap();
        let ends = tokio::spawn(connection);
        client.batch_execute(sql).await.unwrap();
        drop(client);
        ends.await.unwrap().unwrap();
        self.wait_until_unused().await;
    }

    async fn store(&self) -> Result<Arc<dyn Store>, store::PostgresOpenError> {
        store::open_postgres(&self.settings()).await
    }

    /// Waits until the server has ended the connections of this test.
    async fn wait_until_unused(&self) {
        let client = connected(&self.server).await;
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1";
        while client.query_one(sql, &[&self.name]).await.unwrap().get::<_, i64>(0) > 0 {
            tokio::task::yield_now().await;
        }
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

/// Copies until some rows are copied, and then stops as a killed process does: without an end.
async fn copied_partly(from: &CopyPlace, to: &CopyPlace, rows: u64) {
    let source = OpenedPlace::source(from).await.unwrap();
    let target = OpenedPlace::target(to).await.unwrap();
    let (reached, mut is_reached) = tokio::sync::mpsc::unbounded_channel();
    let mut report = |progress: CopyRowProgress| {
        if progress.step == CopyStep::Copying && progress.rows >= rows {
            let _ = reached.send(());
        }
    };
    tokio::select! {
        biased;
        _ = is_reached.recv() => {}
        done = copy(source.store(), target.store(), false, &mut report) => panic!("not stopped: {done:?}"),
    }
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
        database.wait_until_unused().await;
        let back = copied(&database.place(), &folder(second.path())).await.unwrap();
        assert_eq!(back, done);
        let rows = all_rows(&folder(first.path())).await;
        assert!(rows == all_rows(&database.place()).await && rows == all_rows(&folder(second.path())).await);
        assert_eq!(answers(&sqlite(second.path())).await, told, "seed {seed}");
        assert_eq!(answers(&database.store().await.unwrap()).await, told, "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_copy_is_refused_by_servers_and_continues_where_it_was() {
    let (source, back) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    filled(source.path(), 4).await;
    let database = TestDatabase::create().await;
    for (from, to) in [(folder(source.path()), database.place()), (database.place(), folder(back.path()))] {
        copied_partly(&from, &to, 20).await;
        let refused = match &to {
            CopyPlace::Sqlite { database, .. } => store::open(database).err().map(|error| error.to_string()),
            CopyPlace::Postgres(settings) => store::open_postgres(settings).await.err().map(|error| error.to_string()),
        };
        let refused = refused.unwrap();
        assert!(refused.contains("incomplete copy of") && refused.contains("tidewater copy --from"), "{refused}");
        database.wait_until_unused().await;
        let other = tempfile::tempdir().unwrap();
        let copy_of_copy = copied(&to, &folder(other.path())).await.unwrap_err();
        assert!(matches!(copy_of_copy, CopyError::Unfinished { .. }), "{copy_of_copy}");
        database.wait_until_unused().await;
        let done = copied(&from, &to).await.unwrap();
        assert!(matches!(done.begin, CopyBegin::Continued(20..)), "{:?}", done.begin);
        assert!(all_rows(&from).await == all_rows(&to).await);
        database.wait_until_unused().await;
    }
    drop(sqlite(back.path()));
    drop(database.store().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_copy_begins_again_when_its_source_has_changed() {
    let (source, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    filled(source.path(), 5).await;
    filled(other.path(), 6).await;
    let database = TestDatabase::create().await;
    copied_partly(&folder(source.path()), &database.place(), 20).await;
    let refused = copied(&folder(other.path()), &database.place()).await.unwrap_err();
    assert!(matches!(refused, CopyError::OtherCopy { .. }), "{refused}");
    let connection = rusqlite::Connection::open(source.path().join("tidewater.db")).unwrap();
    connection.execute("UPDATE organisation SET tier = 'changed'", []).unwrap();
    drop(connection);
    let done = copied(&folder(source.path()), &database.place()).await.unwrap();
    assert_eq!(done.begin, CopyBegin::SourceChanged);
    compared(&folder(source.path()), &database.place()).await.unwrap();
    let refused = copied(&folder(other.path()), &database.place()).await.unwrap_err();
    assert!(matches!(refused, CopyError::HasCatalog { .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_missing_and_additional_rows_are_named() {
    let source = tempfile::tempdir().unwrap();
    filled(source.path(), 7).await;
    let database = TestDatabase::create().await;
    copied(&folder(source.path()), &database.place()).await.unwrap();
    let change = "
        UPDATE usage SET taken = taken - 1 WHERE day = 20780;
        DELETE FROM master_key;
        INSERT INTO operator (id, name, digest, created_ms)
            VALUES ('00000000-0000-0000-0000-000000000007', 'x', decode(repeat('00', 32), 'hex'), 1)";
    database.execute(change).await;
    let told = compared(&folder(source.path()), &database.place()).await.unwrap_err().to_string();
    for named in [
        "table 'operator', row with id 00000000-0000-0000-0000-000000000007 is only in the target",
        "table 'master_key', row with only_one true is missing in the target",
        "day 20780: another value in taken",
    ] {
        assert!(told.contains(named), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_row_of_an_unfinished_copy_is_found_and_the_target_stays_closed() {
    let source = tempfile::tempdir().unwrap();
    filled(source.path(), 8).await;
    let database = TestDatabase::create().await;
    copied_partly(&folder(source.path()), &database.place(), 20).await;
    database.execute("UPDATE organisation SET tier = 'changed'").await;
    let refused = copied(&folder(source.path()), &database.place()).await.unwrap_err().to_string();
    assert!(refused.contains("table 'organisation'") && refused.contains("another value in tier"), "{refused}");
    assert!(refused.contains("--restart"), "{refused}");
    let opened = database.store().await.err().unwrap().to_string();
    assert!(opened.contains("incomplete copy"), "{opened}");
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_postgresql_cannot_store_is_named_before_anything_is_written() {
    let source = tempfile::tempdir().unwrap();
    filled(source.path(), 9).await;
    let connection = rusqlite::Connection::open(source.path().join("tidewater.db")).unwrap();
    connection.execute("UPDATE event SET actor_name = 'a' || char(0) WHERE id = 3", []).unwrap();
    drop(connection);
    let database = TestDatabase::create().await;
    let refused = copied(&folder(source.path()), &database.place()).await.unwrap_err().to_string();
    assert!(refused.contains("table 'event', row with id 3") && refused.contains("column 'actor_name'"), "{refused}");
    // The target is still empty, so another copy may use it.
    let other = tempfile::tempdir().unwrap();
    filled(other.path(), 9).await;
    let done = copied(&folder(other.path()), &database.place()).await.unwrap();
    assert_eq!(done.begin, CopyBegin::New);
}

#[tokio::test(flavor = "multi_thread")]
async fn source_that_a_server_uses_is_refused() {
    let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    filled(source.path(), 10).await;
    let database = TestDatabase::create().await;
    copied(&folder(source.path()), &database.place()).await.unwrap();
    let server = database.store().await.unwrap();
    server.ping().await.unwrap();
    let refused = copied(&database.place(), &folder(target.path())).await.unwrap_err().to_string();
    assert!(refused.contains("tidewater at ") && refused.contains("Stop all servers first"), "{refused}");

    let lock = crate::data_folder::ServerLock::take(source.path()).unwrap();
    let refused = OpenedPlace::source(&folder(source.path())).await.err().unwrap().to_string();
    assert!(refused.contains("a server of tidewater runs on the data folder"), "{refused}");
    drop(lock);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_organisations_with_one_id_keep_their_order_in_sqlite() {
    let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    filled(source.path(), 11).await;
    let database = TestDatabase::create().await;
    copied(&folder(source.path()), &database.place()).await.unwrap();
    let same_ids = "
        UPDATE event SET id = numbered.number
        FROM (SELECT organisation, id, row_number() OVER (PARTITION BY organisation ORDER BY id) AS number FROM event) AS numbered
        WHERE event.organisation = numbered.organisation AND event.id = numbered.id AND numbered.number < event.id";
    database.execute(same_ids).await;
    copied(&database.place(), &folder(target.path())).await.unwrap();
    compared(&database.place(), &folder(target.path())).await.unwrap();
}
