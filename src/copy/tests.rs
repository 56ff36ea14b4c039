//! Copies between the two databases, from a store that was filled through its trait.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tidewater_core::ids::OrganisationId;

use super::*;
use crate::base::clock::fresh_uuid;
use crate::base::secret::Secret;
use crate::store::suite::{answers, fill};
use crate::store::{
    self, AuditDecision, AuditEntry, AuditPosition, AuditRecord, AuditType, Change, CopyRow, FeedScope, FeedStart,
    Organisation, PostgresSettings, Store,
};

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

/// Returns what the consumers of the feed and an export get next, by the times of events and records.
async fn unread(store: &dyn Store) -> Vec<(String, Vec<i64>)> {
    while store.feed_sequence(100).await.unwrap() + store.audit_sequence(100).await.unwrap() > 0 {}
    let mut all = Vec::new();
    for consumer in store.consumer_list().await.unwrap() {
        let page = store.feed_read(consumer.scope, consumer.position, 1_000).await.unwrap();
        let events = page.events.iter().map(|entry| &entry.event).filter(|event| consumer.reads(event));
        all.push((format!("{} {}", consumer.name, consumer.gaps), events.map(|event| event.at_ms).collect()));
    }
    let position = store.audit_position("file").await.unwrap().unwrap();
    let batch = store.audit_after(position, 1_000).await.unwrap();
    all.push(("events".to_owned(), batch.events.iter().map(|event| event.at_ms).collect()));
    all.push(("records".to_owned(), batch.records.iter().map(|record| record.at_ms).collect()));
    all.sort();
    all
}

/// Leaves events and audit records with these times.
async fn leave(store: &dyn Store, organisation: OrganisationId, times: impl IntoIterator<Item = i64>) {
    for at_ms in times {
        let (tier, change) = (format!("tier-{at_ms}"), Change::by_catalog(at_ms));
        store.organisation_set_tier(organisation, &tier, &change).await.unwrap();
        let entry = AuditEntry::new(AuditType::Refusal, "load-table", AuditDecision::Denied);
        store.audit_add(&[AuditRecord { id: 0, organisation: None, at_ms, entry }]).await.unwrap();
    }
}

/// Creates consumers and an export, and lets each read a number of events: none, some, all.
async fn read_some(store: &dyn Store, scope: FeedScope) {
    while store.feed_sequence(100).await.unwrap() + store.audit_sequence(100).await.unwrap() > 0 {}
    let holder = fresh_uuid();
    for (name, number) in [("none", 0), ("some", 3), ("all", 100)] {
        for scope in [FeedScope::All, scope] {
            let consumer = store.consumer_ensure(scope, name, FeedStart::Oldest).await.unwrap();
            store.consumer_claim(scope, name, holder, Duration::ZERO).await.unwrap().held().unwrap();
            let page = store.feed_read(scope, consumer.position, number).await.unwrap();
            let reached = page.events.last().map_or(consumer.position, |entry| entry.position);
            assert!(store.consumer_advance(scope, name, holder, reached, false).await.unwrap());
        }
    }
    store.consumer_ensure(scope, "latest", FeedStart::Latest).await.unwrap();
    let position = store.audit_after(AuditPosition::default(), 2).await.unwrap().position;
    assert!(store.audit_position_set("file", None, position).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_events_continue_after_a_copy_and_miss_nothing() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (database, acme) = (TestDatabase::create().await, OrganisationId(fresh_uuid()));
    let scope = FeedScope::Organisation(acme);
    let store = sqlite(first.path());
    store.organisation_create(&Organisation::new(acme, "acme", "free", 0), &Change::by_catalog(0)).await.unwrap();
    leave(&*store, acme, 1..=6).await;
    read_some(&*store, scope).await;
    let before = unread(&*store).await;
    assert!(before.contains(&("some 0".to_owned(), vec![3, 4, 5, 6])), "{before:?}");
    drop(store);
    copied(&folder(first.path()), &database.place()).await.unwrap();
    database.wait_until_unused().await;

    let store = database.store().await.unwrap();
    assert_eq!(unread(&*store).await, before, "the same events and no others");
    leave(&*store, acme, 7..=9).await;
    let after = unread(&*store).await;
    for (before, after) in before.iter().zip(&after) {
        assert_eq!([&before.1[..], &[7, 8, 9]].concat(), after.1, "{}", before.0);
    }
    // A change whose commit was late: its id is low, and its position is the last one. Some consumers have got the events between.
    for (name, number) in [("some", 2), ("all", 100)] {
        let holder = fresh_uuid();
        let consumer = store.consumer_claim(scope, name, holder, Duration::ZERO).await.unwrap().held().unwrap();
        let page = store.feed_read(scope, consumer.position, number).await.unwrap();
        let reached = page.events.last().unwrap().position;
        assert!(store.consumer_advance(scope, name, holder, reached, false).await.unwrap());
    }
    drop(store);
    database.wait_until_unused().await;
    let late = format!(
        "INSERT INTO event (organisation, id, at_ms, actor_kind, operation, object_kind, object_name, details)
         VALUES ('{}', 3000, 10, 'catalog', 'drop-table', 'table', 'late', '{{}}')",
        acme.0
    );
    database.execute(&late).await;
    let store = database.store().await.unwrap();
    let before = unread(&*store).await;
    assert!(before.contains(&("all 0".to_owned(), vec![10])), "{before:?}");
    drop(store);
    database.wait_until_unused().await;
    copied(&database.place(), &folder(second.path())).await.unwrap();

    let store = sqlite(second.path());
    let after = unread(&*store).await;
    for ((name, before), (same, after)) in before.iter().zip(&after) {
        assert_eq!(name, same);
        assert!(before.iter().all(|event| after.contains(event)), "{name}: {before:?}, {after:?}");
    }
    let again = after.iter().find(|(name, _)| name == "all 0").unwrap();
    assert_eq!(again.1, [10, 7, 8, 9], "events behind the late one come again, and no older ones");
    leave(&*store, acme, [11]).await;
    assert!(unread(&*store).await.iter().all(|(_, times)| times.last() == Some(&11)));
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
