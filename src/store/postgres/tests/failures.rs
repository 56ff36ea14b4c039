//! What happens when the database, a connection or a lock fails.

use std::time::Duration;

use futures_util::future::{self, join_all};
use tidewater_core::ids::OrganisationId;
use tokio::sync::Barrier;
use tokio::time::timeout;
use tokio_postgres::{Client, NoTls};

use super::server::{TestDatabase, TestServer, execute};
use super::{Arc, PostgresSettings, PostgresStore, settings};
use crate::base::clock::fresh_uuid;
use crate::store::postgres::attempts::transact;
use crate::store::postgres::convert::{Failure, get};
use crate::store::postgres::params::params;
use crate::store::{Result, Store, StoreError};

const ADD_ONE: &str = "UPDATE probe SET n = n + 1 WHERE id = $1";

/// A store with a table `probe` of two rows.
struct Fixture {
    store: PostgresStore,
    database: TestDatabase,
}

impl Fixture {
    async fn new() -> Self {
        Self::with(|settings| settings).await
    }

    /// Opens the store with other settings.
    async fn with(change: impl FnOnce(PostgresSettings) -> PostgresSettings) -> Self {
        let database = TestDatabase::create().await;
        execute(&database.url(), CREATE_PROBE).await.unwrap();
        let url = format!("{}&application_name={}", database.url(), database.schema());
        let store = PostgresStore::open(&change(settings(url))).await.unwrap();
        Self { store, database }
    }

    /// Returns a condition on `pg_stat_activity` that selects the store's connections, and further conditions.
    fn ours(&self, further: &str) -> String {
        format!("application_name = '{}' AND {further}", self.database.schema())
    }

    /// Returns a connection of the test's own.
    async fn client(&self) -> Client {
        connected(&self.database.url()).await
    }

    async fn n(&self, id: i64) -> i64 {
        n(&self.store, id).await.unwrap()
    }
}

const CREATE_PROBE: &str =
    "CREATE TABLE probe (id bigint PRIMARY KEY, n bigint NOT NULL); INSERT INTO probe VALUES (1, 0), (2, 0)";

async fn connected(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn n(store: &PostgresStore, id: i64) -> Result<i64> {
    let row = store.read_first("SELECT n FROM probe WHERE id = $1", params![id]).await?;
    get(&row.unwrap(), 0)
}

/// Ends the backends that a condition on `pg_stat_activity` selects, and returns how many there were.
async fn terminate(client: &Client, condition: &str) -> usize {
    let sql =
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND {condition}");
    client.query(&sql, &[]).await.unwrap().len()
}

/// Waits until a condition on `pg_stat_activity` selects so many backends.
async fn until_active(client: &Client, condition: &str, number: i64) {
    let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND {condition}");
    while client.query_one(&sql, &[]).await.unwrap().get::<_, i64>(0) != number {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn transaction_whose_backend_is_killed_is_repeated_once() {
    let fixture = Fixture::new().await;
    let (client, store) = (fixture.client().await, &fixture.store);
    let mut attempts = 0;
    let added: Result<()> = transact!(store, transaction => {
        attempts += 1;
        let (client, first) = (&client, attempts == 1);
        async move {
            transaction.query(ADD_ONE, params![1_i64]).await?;
            if first {
                let row = transaction.query_first("SELECT pg_backend_pid()::bigint", params![]).await?.unwrap();
                let pid: i64 = get(&row, 0)?;
                assert_eq!(terminate(client, &format!("pid = {pid}")).await, 1);
            }
            transaction.query(ADD_ONE, params![2_i64]).await?;
            Ok(())
        }
    });
    added.unwrap();
    assert_eq!((attempts, fixture.n(1).await, fixture.n(2).await), (2, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn commit_whose_backend_is_killed_has_an_unknown_outcome() {
    let fixture = Fixture::new().await;
    let blocker = fixture.client().await;
    // A reference that is checked at the commit, which waits for the lock of the row.
    let prepare = "CREATE TABLE child (probe bigint REFERENCES probe DEFERRABLE INITIALLY DEFERRED)";
    blocker.batch_execute(prepare).await.unwrap();
    blocker.batch_execute("BEGIN; SELECT 1 FROM probe WHERE id = 1 FOR UPDATE").await.unwrap();
    let killer = fixture.client().await;
    let store = &fixture.store;
    let insert = async {
        let inserted: Result<()> = transact!(store, transaction => async {
            transaction.query("INSERT INTO child VALUES ($1)", params![1_i64]).await?;
            Ok(())
        });
        inserted
    };
    let commits = fixture.ours("query = 'COMMIT' AND wait_event_type = 'Lock'");
    let kill = async {
        until_active(&killer, &commits, 1).await;
        terminate(&killer, &commits).await
    };
    let (inserted, killed) = future::join(insert, kill).await;
    assert_eq!(killed, 1);
    assert!(inserted.as_ref().is_err_and(StoreError::outcome_is_unknown), "{inserted:?}");
    blocker.batch_execute("ROLLBACK").await.unwrap();
    assert!(store.read_first("SELECT 1 FROM child", params![]).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn change_that_was_made_but_not_answered_has_an_unknown_outcome() {
    // A commit waits for a standby that does not exist, after it was made.
    let server = TestServer::start("synchronous_standby_names = 'absent'\nsynchronous_commit = local\n", "");
    execute(&server.url(), CREATE_PROBE).await.unwrap();
    PostgresStore::open(&settings(server.url())).await.unwrap();
    let waits = format!("{}?options=-c%20synchronous_commit%3Don", server.url());
    let store = PostgresStore::open(&settings(waits)).await.unwrap();
    let killer = connected(&server.url()).await;
    for (number, in_transaction) in [(1, false), (2, true)] {
        let change = async {
            if in_transaction {
                transact!(store, transaction => async {
                    transaction.query(ADD_ONE, params![1_i64]).await?;
                    Ok(())
                })
            } else {
                store.change_rows(ADD_ONE, params![1_i64]).await.map(drop)
            }
        };
        let kill = async {
            until_active(&killer, "wait_event = 'SyncRep'", 1).await;
            terminate(&killer, "wait_event = 'SyncRep'").await;
        };
        let (changed, ()) = future::join(change, kill).await;
        assert!(changed.as_ref().is_err_and(StoreError::outcome_is_unknown), "{changed:?}");
        assert_eq!(n(&store, 1).await.unwrap(), number, "it was made once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deadlocked_transactions_are_both_made() {
    let fixture = Fixture::new().await;
    let (store, barrier) = (&fixture.store, Barrier::new(2));
    let attempts = std::sync::atomic::AtomicUsize::new(0);
    let run = async |order: [i64; 2]| -> Result<()> {
        let mut is_first = true;
        transact!(store, transaction => {
            let meets = std::mem::take(&mut is_first);
            let (barrier, attempts) = (&barrier, &attempts);
            async move {
                attempts.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                transaction.query(ADD_ONE, params![order[0]]).await?;
                if meets {
                    barrier.wait().await;
                }
                transaction.query(ADD_ONE, params![order[1]]).await?;
                Ok(())
            }
        })
    };
    let (one, other) = future::join(run([1, 2]), run([2, 1])).await;
    one.and(other).unwrap();
    assert_eq!((fixture.n(1).await, fixture.n(2).await), (2, 2));
    // PostgreSQL may give the row to the repeated one before the waiting one wakes up. Then they deadlock again.
    assert!(attempts.into_inner() >= 3, "one of them was undone and repeated");
}

#[tokio::test]
async fn slow_statement_is_cancelled() {
    let limit = Duration::from_millis(300);
    let fixture = Fixture::with(|settings| PostgresSettings { statement_timeout: limit, ..settings }).await;
    let (client, store) = (fixture.client().await, &fixture.store);
    let sleeps = "SELECT pg_sleep(600)";
    let read = store.read(sleeps, params![]).await;
    assert!(matches!(&read, Err(StoreError::Unavailable(cause)) if cause.to_string().contains("0.3 s")), "{read:?}");
    let change = store.change_rows(sleeps, params![]).await;
    assert!(change.as_ref().is_err_and(StoreError::outcome_is_unknown), "{change:?}");
    let transaction: Result<()> = transact!(store, transaction => async {
        transaction.query(ADD_ONE, params![1_i64]).await?;
        transaction.query(sleeps, params![]).await?;
        Ok(())
    });
    assert!(matches!(transaction, Err(StoreError::NotMade(_))), "{transaction:?}");
    let shared = store.read_first(sleeps, params![]).await;
    assert!(matches!(shared, Err(StoreError::Unavailable(_))), "{shared:?}");
    until_active(&client, &fixture.ours("state = 'active'"), 0).await;
    assert_eq!(fixture.n(1).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_servers_limit_are_waited_for() {
    let fixture = Fixture::new().await;
    let admin = fixture.client().await;
    let role = format!("few_{}", fresh_uuid().simple());
    admin.batch_execute(&format!("CREATE ROLE {role} LOGIN SUPERUSER")).await.unwrap();
    let url = fixture.database.url().replacen("postgres://postgres@", &format!("postgres://{role}@"), 1);
    let short = PostgresSettings { retry_timeout: Duration::from_millis(200), ..settings(url.clone()) };
    let (patient, hasty) =
        (PostgresStore::open(&settings(url.clone())).await.unwrap(), PostgresStore::open(&short).await.unwrap());
    let held = connected(&url).await;
    // The limit does not hold for superusers.
    admin.batch_execute(&format!("ALTER ROLE {role} NOSUPERUSER CONNECTION LIMIT 1")).await.unwrap();
    admin.batch_execute(&format!("GRANT ALL ON SCHEMA {} TO {role}", fixture.database.schema())).await.unwrap();
    admin.batch_execute(&format!("GRANT ALL ON probe TO {role}")).await.unwrap();
    let refused = hasty.change_rows(ADD_ONE, params![1_i64]).await;
    assert!(matches!(&refused, Err(StoreError::NotMade(cause)) if cause.to_string().contains("53300")), "{refused:?}");
    let mut change = Box::pin(async { patient.change_rows(ADD_ONE, params![1_i64]).await });
    assert!(timeout(Duration::from_millis(300), &mut change).await.is_err(), "it is tried again");
    drop(held);
    change.await.unwrap();
    drop(patient);
    admin.batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_survive_the_loss_of_all_connections() {
    let retry_timeout = Duration::from_secs(60);
    let fixture = Fixture::with(|settings| PostgresSettings { retry_timeout, ..settings }).await;
    let (client, store) = (fixture.client().await, &fixture.store);
    let ours = fixture.ours("true");
    for _ in 0..5 {
        let reads = join_all(
            (0..20).map(async |number| if number % 2 == 0 { n(store, 1).await.map(drop) } else { store.ping().await }),
        );
        let (read, _) = future::join(reads, terminate(&client, &ours)).await;
        read.into_iter().collect::<Result<Vec<()>>>().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_work_gives_its_connection_back() {
    let fixture = Fixture::new().await;
    let (client, store) = (fixture.client().await, &fixture.store);
    let idle = fixture.ours("state = 'idle in transaction'");
    for _ in 0..4 {
        let slow = async { store.change_rows("SELECT pg_sleep(0.05)", params![]).await };
        let left = timeout(Duration::from_millis(10), slow).await;
        assert!(left.is_err());
        let transaction = async {
            let locked: Result<()> = transact!(store, transaction => async {
                transaction.query(ADD_ONE, params![1_i64]).await?;
                future::pending::<std::result::Result<(), Failure>>().await
            });
            locked
        };
        let locks = until_active(&client, &idle, 1);
        let mut transaction = Box::pin(transaction);
        assert!(matches!(future::select(&mut transaction, Box::pin(locks)).await, future::Either::Right(_)));
        drop(transaction);
    }
    store.change_rows(ADD_ONE, params![1_i64]).await.unwrap();
    assert_eq!(fixture.n(1).await, 1, "dropped transactions are undone");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_wait_for_a_lock_do_not_stop_other_organisations() {
    let fixture = Fixture::with(|settings| PostgresSettings { connections: 10, ..settings }).await;
    let (blocker, store) = (fixture.client().await, &fixture.store);
    blocker.batch_execute("BEGIN; SELECT 1 FROM probe WHERE id = 1 FOR UPDATE").await.unwrap();
    let add = async |organisation: OrganisationId, id: i64| -> Result<()> {
        transact!(store, for organisation, transaction => async {
            transaction.query(ADD_ONE, params![id]).await?;
            Ok(())
        })
    };
    let (one, other) = (OrganisationId(fresh_uuid()), OrganisationId(fresh_uuid()));
    let waiting = join_all((0..30).map(|_| add(one, 1)));
    let passes = async {
        until_active(&fixture.client().await, &fixture.ours("wait_event_type = 'Lock'"), 3).await;
        add(other, 2).await.unwrap();
        blocker.batch_execute("ROLLBACK").await.unwrap();
    };
    let (waited, ()) = future::join(waiting, passes).await;
    waited.into_iter().collect::<Result<Vec<()>>>().unwrap();
    assert_eq!((fixture.n(1).await, fixture.n(2).await), (30, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_changes_survive_crashes_of_the_server() {
    let server = TestServer::start("", "");
    execute(&server.url(), CREATE_PROBE).await.unwrap();
    let retry_timeout = Duration::from_secs(60);
    let settings = PostgresSettings { retry_timeout, ..settings(server.url()) };
    let store = Arc::new(PostgresStore::open(&settings).await.unwrap());
    let (mut made, mut unknown) = (0, 0);
    for _ in 0..2 {
        let writers: Vec<_> = (0..4)
            .map(|_| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    let (mut made, mut unknown) = (0, 0);
                    for _ in 0..25 {
                        match store.change_rows(ADD_ONE, params![1_i64]).await {
                            Ok(_) => made += 1,
                            Err(error) if error.outcome_is_unknown() => unknown += 1,
                            Err(error) => panic!("{error:?}"),
                        }
                    }
                    (made, unknown)
                })
            })
            .collect();
        while n(&store, 1).await.unwrap() <= made + unknown + 10 {}
        server.crash();
        for writer in writers {
            let (more, unclear) = writer.await.unwrap();
            made += more;
            unknown += unclear;
        }
    }
    let n = n(&store, 1).await.unwrap();
    assert_eq!(made + unknown, 200);
    assert!(made <= n && n <= made + unknown, "{made} made, {unknown} unknown, {n} found");
}

#[tokio::test(flavor = "multi_thread")]
async fn change_on_a_standby_waits_for_the_primary() {
    let fixture = Fixture::new().await;
    let admin = fixture.client().await;
    let role = format!("standby_{}", fresh_uuid().simple());
    admin.batch_execute(&format!("CREATE ROLE {role} LOGIN SUPERUSER")).await.unwrap();
    let url = fixture.database.url().replacen("postgres://postgres@", &format!("postgres://{role}@"), 1);
    let open = async |url: String| {
        let settings = PostgresSettings { retry_timeout: Duration::from_secs(60), ..settings(url) };
        PostgresStore::open(&settings).await.unwrap()
    };
    // The first accepts any server, and finds out by its change. The second looks for a primary.
    let stores = [open(format!("{url}&target_session_attrs=any")).await, open(url).await];
    let set = |how: &str| format!("ALTER ROLE {role} {how}");
    for store in &stores {
        admin.batch_execute(&set("SET default_transaction_read_only = on")).await.unwrap();
        terminate(&admin, &format!("usename = '{role}'")).await;
        let mut change = Box::pin(async { store.change_rows(ADD_ONE, params![1_i64]).await });
        assert!(timeout(Duration::from_millis(500), &mut change).await.is_err(), "it is tried again");
        admin.batch_execute(&set("RESET default_transaction_read_only")).await.unwrap();
        change.await.unwrap();
    }
    assert_eq!(fixture.n(1).await, 2);
    drop(stores);
    terminate(&admin, &format!("usename = '{role}'")).await;
    admin.batch_execute(&format!("DROP ROLE {role}")).await.unwrap();
}

#[tokio::test]
async fn value_that_no_column_can_hold_is_a_fault_of_the_request() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let with_nul = store.read("SELECT 1 WHERE $1 = 'x'", params!["a\0b"]).await;
    assert!(matches!(with_nul, Err(StoreError::NotStorable(_))), "{with_nul:?}");
    execute(&fixture.database.url(), "CREATE TABLE long (key text PRIMARY KEY)").await.unwrap();
    let long = "INSERT INTO long SELECT string_agg(md5(n::text), '') FROM generate_series(1, $1) AS n";
    let too_long = store.change_rows(long, params![1_000_i64]).await;
    assert!(matches!(too_long, Err(StoreError::NotStorable(_))), "{too_long:?}");
    let wrong = store.change_rows("INSERT INTO long SELECT (1 / ($1::bigint - 1))::text", params![1_i64]).await;
    assert!(matches!(wrong, Err(StoreError::Corrupt(_))), "a fault of the statement: {wrong:?}");
}

#[tokio::test]
async fn statements_work_without_being_prepared() {
    let fixture = Fixture::with(|settings| PostgresSettings { prepared_statements: false, ..settings }).await;
    let store = &fixture.store;
    store.change_rows(ADD_ONE, params![1_i64]).await.unwrap();
    let added: Result<()> = transact!(store, transaction => async {
        transaction.query(ADD_ONE, params![1_i64]).await?;
        Ok(())
    });
    added.unwrap();
    assert_eq!(fixture.n(1).await, 2);
}

#[tokio::test]
async fn failed_statement_that_is_ignored_does_not_commit() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let ignored: Result<()> = transact!(store, transaction => async {
        transaction.query(ADD_ONE, params![1_i64]).await?;
        let _ = transaction.query("SELECT 1 / $1", params![0_i64]).await;
        Ok(())
    });
    assert!(matches!(ignored, Err(StoreError::NotMade(_))), "{ignored:?}");
    assert_eq!(fixture.n(1).await, 0);
}
